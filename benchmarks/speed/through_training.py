"""Cost of influence through training, in plain trainings of the same network, as ratios inside one run.

    python benchmarks/speed/through_training.py
    python benchmarks/speed/through_training.py --network conv --optimizer adam
    python benchmarks/speed/through_training.py --device cuda --dtype float32 -n 5000 --width 256

Retraining without each of n points takes n trainings. What do all n influences on k test points take?

1. The unit: one training by torch.optim, of the same network in the same batches.
2. Recording: the training with its tape, and twenty without a fold, side by side.
3. Influences: the reverse pass for k test points, with the check.

The parts run in turn, several times; the median of the ratios is quoted, with the smallest and largest.
"""

import argparse
import time

import torch
from common import summary

from ntkif.study.experiments.trained_networks import Case, record_case, seconds_by_torch


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-n", type=int, default=1000, help="training points")
    parser.add_argument("-k", type=int, default=20, help="test points")
    parser.add_argument("--network", default="mlp", choices=("mlp", "deep", "conv"))
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--optimizer", default="sgd", choices=("sgd", "adam"))
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--pixels", type=int, default=28, help="side of the images")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float64", choices=("float32", "float64"))
    parser.add_argument("--repeats", type=int, default=3)
    chosen = parser.parse_args()
    like = {"dtype": getattr(torch, chosen.dtype), "device": chosen.device}
    generator = torch.Generator().manual_seed(0)
    count = chosen.n + chosen.k
    labels = torch.randint(10, (count,), generator=generator)
    means = torch.randn(10, 1, chosen.pixels, chosen.pixels, generator=generator) / 4
    x = (means[labels] + torch.rand(count, 1, chosen.pixels, chosen.pixels, generator=generator)).to(**like)
    y = torch.nn.functional.one_hot(labels, 10).to(**like)
    x, x_test, y, y_test = x[: chosen.n], x[chosen.n :], y[: chosen.n], y[chosen.n :]
    case = Case(
        "timed",
        network=chosen.network,
        width=chosen.width,
        optimizer=chosen.optimizer,
        rate=0.02 if chosen.optimizer == "sgd" else 1e-3,
        batch_size=chosen.batch_size,
        epochs=chosen.epochs,
    )
    recording, influences = [], []
    # As the records of a card have it.
    torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic = False, True
    for _ in range(chosen.repeats):
        clock = time.perf_counter()
        run = record_case(case, x, y, 0)
        recorded = time.perf_counter() - clock
        clock = time.perf_counter()
        run.influence(x_test, y_test, trust=True)
        asked = time.perf_counter() - clock
        unit = seconds_by_torch(run, case)
        recording.append(recorded / unit)
        influences.append(asked / unit)
    size = f"{chosen.network} of {len(run.theta)} parameters, {len(run.tape.batches)} steps, {chosen.optimizer}"
    print(f"{size}; {chosen.n} training and {chosen.k} test points; one training takes {unit:.2f} s")
    print(f"recording, 20 folds: {summary(recording)} trainings")
    print(f"influences:          {summary(influences)} trainings")
    both = [a + b for a, b in zip(recording, influences, strict=True)]
    print(f"together:            {summary(both)} trainings, where retraining takes {chosen.n}")


if __name__ == "__main__":
    main()
