"""Cost of influence through training, in plain trainings of the same network, as ratios inside one run.

    python benchmarks/speed/through_training.py --keep
    python benchmarks/speed/through_training.py --case "conv, Adam" --dtype float64
    python benchmarks/speed/through_training.py --set mini-mnist -n 5000 --pool 1 --width 256 --device cuda

Retraining without each of n points takes n trainings. What do all n influences on k test points take?

1. The unit: one training by torch.optim, of the same network in the same batches.
2. Recording: the training with its tape, those without a fold, and those without one point, ten side by side.
3. Influences: the reverse pass for k test points, with the check; two passes where the Hessian does not pass it.

The parts run in turn, several times, the unit five times each; the median of the ratios is quoted. `--keep` measures
all cases with twenty folds and ten points left out alone, and with less: `cost-through-training`, which the page on
influence through training reads.
"""

import argparse
import os
import statistics
import time
from dataclasses import replace

import pandas as pd
import torch

from ntkif.data import load
from ntkif.provenance import device_name, now
from ntkif.study.experiments.through_training import LARGE_DIGITS
from ntkif.study.experiments.trained_networks import Case, draw, moment, record_case, seconds_by_torch
from ntkif.study.records.tools import keep_measurement

CASES = {case.name: case for case in LARGE_DIGITS}
UNITS = 5  # plain trainings timed beside each recording: one alone is at the mercy of what else runs
TRAININGS = {"folds": 20, "alone": 10}, {"folds": 20, "alone": 0}, {"folds": 10, "alone": 0}


def cost(case: Case, data: list[torch.Tensor], folds: int, alone: int, repeats: int) -> dict:
    """Medians over repeats of recording, influences and both, in plain trainings."""
    x, y, x_test, y_test = data
    units, ratios = [], []
    for _ in range(repeats):
        started = clock(x.device)
        run = record_case(case, x, y, 0, folds=folds, alone=alone)
        recorded = clock(x.device)
        run.influence(x_test, y_test, trust=True)
        asked = clock(x.device)
        unit = statistics.median(seconds_by_torch(run, case, clock) for _ in range(UNITS))
        units.append(unit)
        ratios.append([(recorded - started) / unit, (asked - recorded) / unit, (asked - started) / unit])
    names = ("recording", "influences", "together")
    medians = {name: statistics.median(each) for name, each in zip(names, zip(*ratios, strict=True), strict=True)}
    size = {"parameters": len(run.theta), "steps": len(run.tape.batches), "train_seconds": statistics.median(units)}
    check = run.check(x_test, y_test)["relative_error"]
    return size | {"folds": folds, "alone": alone} | medians | {"check": check}


def clock(device: torch.device) -> float:
    """Seconds: on a CPU the processor's, so that what else runs there hardly counts."""
    return time.process_time() if device.type == "cpu" else moment(device)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", default="mini-mnist-sample", help="images, of ten classes")
    parser.add_argument("--pool", type=int, default=2, help="side of the squares of pixels of which means are taken")
    parser.add_argument("-n", type=int, default=1000, help="training points")
    parser.add_argument("-k", type=int, default=20, help="test points")
    parser.add_argument("--case", default="MLP, SGD", choices=tuple(CASES))
    parser.add_argument("--width", type=int, help="of its first layer, the case's own where absent")
    parser.add_argument("--epochs", type=int, help="likewise")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32", choices=("float32", "float64"))
    parser.add_argument("--folds", type=int, default=20)
    parser.add_argument("--alone", type=int, default=10, help="points that the check leaves out alone")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--keep", action="store_true", help="measure what the book shows, and keep it")
    chosen = parser.parse_args()
    torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic = False, True  # as the records of a card
    torch.set_num_threads(1)
    images, started, rows = load(chosen.set), now(), []
    trainings = TRAININGS if chosen.keep else [{"folds": chosen.folds, "alone": chosen.alone}]
    changed = {name: getattr(chosen, name) for name in ("width", "epochs") if getattr(chosen, name)}
    for case in CASES.values() if chosen.keep else [replace(CASES[chosen.case], **changed)]:
        drawn = draw(case, images, chosen.n, chosen.k, 0, pool=chosen.pool)
        data = [each.to(chosen.device, getattr(torch, chosen.dtype)) for each in drawn]
        for how in trainings:
            rows.append({"case": case.name} | cost(case, data, **how, repeats=chosen.repeats))
    table = pd.DataFrame(rows)
    print(table.round(2).to_string(index=False))
    if chosen.keep:
        device = f"{device_name(torch.device(chosen.device))}, {os.cpu_count()} cores"
        made = {"started": started, "device": device, "images": f"{chosen.n} + {chosen.k} of {chosen.set}"}
        content = table.to_csv(index=False, float_format="%.4g").encode()
        keep_measurement("cost-through-training", content, made)


if __name__ == "__main__":
    main()
