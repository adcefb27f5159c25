"""Networks of the book, trained, and trained again without each of some points: the truth for `benchmarks/peers.py`.

Runs in the book's own environment. Each case becomes `_build/peers/<case>.pt`; one that is there is not made again.
"""

import sys
import time
from pathlib import Path

import torch

from ntkif.comparisons import most_influential
from ntkif.data import Dataset, load
from ntkif.deep_kernel import deep_ntk
from ntkif.deep_networks import Antisymmetric, ConvNet, Mlp, train_module
from ntkif.files import write_atomically
from ntkif.kernel import ntk
from ntkif.network import random_network, safe_learning_rate, train
from ntkif.own_kernel import gradient_share, predict

FOLDER = Path(__file__).parents[1] / "_build" / "peers"
RIDGE, N, K, REMOVALS = 1.0, 200, 100, 40
OTHERS = 20  # of the removals, for which a network from another seed is retrained too


def two_layer(data: Dataset, seed: int):
    """The network of the paper, symmetric, at width 1024, and how it is trained."""
    start = random_network(data.x_train.shape[1], width=1024, init_scale=1.0, symmetric=True, seed=seed)
    rate = safe_learning_rate(start, data.x_train, RIDGE)

    def fit(x, y):
        return train(start, x, y, RIDGE, learning_rate=rate, epochs=10_000, tolerance=0.005).network

    return start, fit


def deep(make):
    """A deeper network that starts at zero, and how it is trained."""

    def case(data: Dataset, seed: int):
        start = Antisymmetric(make(data, seed))
        return start, lambda x, y: train_module(start, x, y, RIDGE, iterations=200)

    return case


#: Name -> network and its training, and the kernel of infinite width that names the points to remove.
CASES = {
    "two-layer": (two_layer, ntk),
    "mlp": (deep(lambda data, seed: Mlp(data.x_train.shape[1], width=128, seed=seed)), deep_ntk),
    "conv": (deep(lambda data, seed: ConvNet(data.images_train.shape[1:], activation="gelu", seed=seed)), deep_ntk),
}


def truth(data: Dataset, make, rows: list[int], seed: int) -> dict:
    """One network, and the influence of each removed point by training without it, (K, REMOVALS)."""
    start, fit = make(data, seed)
    clock = time.perf_counter()
    network = fit(data.x_train, data.y_train)
    seconds = time.perf_counter() - clock
    loss = (predict(network, data.x_test) - data.y_test).square().sum(1) / 2
    changes = []
    for row in rows:
        kept = torch.arange(len(data.x_train)) != row
        without = fit(data.x_train[kept], data.y_train[kept])
        changes.append((predict(without, data.x_test) - data.y_test).square().sum(1) / 2 - loss)
    share = gradient_share(network, start, data.x_train, data.y_train, RIDGE)
    return {"network": network, "start": start, "truth": torch.stack(changes, 1), "seconds": seconds, "gradient": share}


def main() -> None:
    """Make the cases that are not there."""
    for name, (make, kernel) in CASES.items():
        file = FOLDER / f"{name}.pt"
        if file.exists():
            continue
        data = load("mnist-sample").head(N, K)
        rows = most_influential(data, kernel, RIDGE, REMOVALS)
        made = [truth(data, make, some, seed) for seed, some in enumerate((rows, rows[:OTHERS]))]
        arrays = {key: getattr(data, key) for key in ("x_train", "y_train", "x_test", "y_test")}
        case = {"arrays": arrays, "ridge": RIDGE, "rows": rows, "other": made[1]["truth"], **made[0]}
        case |= {"pixels": data.digest, "kernel": kernel.__name__}
        write_atomically(file, lambda stream, case=case: torch.save(case, stream))
        print(f"{name}: one training {case['seconds']:.1f} s, gradient {case['gradient']:.1e}", file=sys.stderr)


if __name__ == "__main__":
    main()
