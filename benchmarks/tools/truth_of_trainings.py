"""Networks trained with SGD or Adam in batches and stopped, with and without points: the truth for others' answers.

`benchmarks/tools/peers_through_training.py` asks other tools about them. Runs in the book's own environment. Each case
becomes `_build/peers/<case>.pt`; one that is there is not made again. The set of images is `mini-mnist`, made smaller.
"""

import sys
import time
from dataclasses import asdict
from pathlib import Path

import torch

from ntkif.data import Dataset, load
from ntkif.store import write_atomically
from ntkif.study.experiments.catalogue import EXPERIMENTS
from ntkif.study.experiments.trained_networks import Case, draw, record_case
from ntkif.training.recorded import RecordedTraining

FOLDER = Path(__file__).parents[2] / "_build" / "peers"
DATA, K, REMOVALS, FOLDS, CHECKPOINTS = "mini-mnist", 20, 40, 20, 5
SHARES, SUBSETS = (0.1, 0.5), 40  # of the points that a subset lacks, and subsets of each size
#: Record of the book -> training points, side of the squares of pixels, seeds, and those of its cases that are asked.
ASKED = {
    "through-training": (200, 4, (20, 21, 22), ("MLP, SGD", "MLP, Adam", "conv, SGD")),
    "through-training-large": (5000, 2, (20,), ("logistic regression, SGD", "MLP, SGD")),
}


def names_of(record: str) -> dict[str, tuple[Case, int]]:
    """Name of a file -> case and seed, of those that are asked."""
    n, _, seeds, asked = ASKED[record]
    cases = {fields["name"]: Case(**fields) for fields in EXPERIMENTS[record].settings[DATA]["cases"]}
    return {f"{name}, n = {n}, seed {seed}": (cases[name], seed) for name in asked for seed in seeds}


def checkpoints(run: RecordedTraining, case: Case) -> list[dict]:
    """State of the network at the end of each of some epochs, evenly apart, the last one's included."""
    steps = len(run.tape.batches) // case.epochs
    ends = [steps * (case.epochs * part // CHECKPOINTS) for part in range(1, CHECKPOINTS + 1)]
    thetas = [run.tape.kept[end][0] for end in ends[:-1]] + [run.theta]
    return [run.tape.function.at(theta).state_dict() for theta in thetas]


def subsets(run: RecordedTraining, seed: int, x_test: torch.Tensor, y_test: torch.Tensor) -> dict[float, dict]:
    """Random sets that are left out, as `case_subsets` draws them, what that does to test losses, and our answer."""
    generator, found = torch.Generator().manual_seed(seed), {}
    n = len(run.tape.x)
    for share in SHARES:
        sets = [torch.randperm(n, generator=generator)[: round(share * n)] for _ in range(SUBSETS)]
        truth, clock = run.without(sets, x_test, y_test), time.process_time()
        group = run.group(sets, x_test, y_test, trust=True)
        found[share] = {"sets": sets, "truth": truth, "group": group, "seconds": time.process_time() - clock}
    return found


def truth(data: Dataset, case: Case, seed: int, n: int, pool: int) -> dict:
    """One network with its training, and the influence of each removed point by training without it."""
    x, y, x_test, y_test = draw(case, data, n, K, seed, pool=pool)
    clock = time.process_time()
    run = record_case(case, x, y, seed, folds=FOLDS)
    seconds = time.process_time() - clock
    rows = torch.randperm(n, generator=torch.Generator().manual_seed(seed))[:REMOVALS].tolist()
    return {
        "arrays": {"x_train": x, "y_train": y, "x_test": x_test, "y_test": y_test},
        "network": run.module,
        "start": run.tape.function.module,
        "checkpoints": checkpoints(run, case),
        "batches": run.tape.batches,
        "training": asdict(case),
        "seed": seed,
        "rows": rows,
        "truth": run.without(rows, x_test, y_test),
        "subsets": subsets(run, seed, x_test, y_test) if n < 1000 else {},
        "check": run.check(x_test, y_test),
        "recording_seconds": seconds,
        "pixels": data.digest,
    }


def main() -> None:
    """Make the cases that are not there."""
    data = load(DATA)
    for record, (n, pool, *_) in ASKED.items():
        for name, (case, seed) in names_of(record).items():
            file = FOLDER / f"{name}.pt"
            if not file.exists():
                made = truth(data, case, seed, n, pool)
                write_atomically(file, lambda stream, made=made: torch.save(made, stream))
                print(f"{name}: check {made['check']['relative_error']:.2f}", file=sys.stderr)


if __name__ == "__main__":
    main()
