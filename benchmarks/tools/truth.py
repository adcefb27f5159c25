"""Networks of the book, trained with and without each of some points: the truth for `benchmarks/tools/peers.py`.

Runs in the book's own environment, for the cases of a record, `peers` where none is named. Each case becomes
`_build/peers/<case>.pt`; one that is there is not made again.
"""

import sys
import time
from pathlib import Path

import torch

from ntkif.data import Dataset, load
from ntkif.influence.stationary import gradient_share
from ntkif.kernels.infinite import deep_ntk, ntk
from ntkif.networks.descent import safe_learning_rate, train
from ntkif.networks.modules import Antisymmetric, ConvNet, Mlp, predict, train_module
from ntkif.networks.two_layer import random_network
from ntkif.retraining.leave_one_out import leave_one_out, true_influence
from ntkif.retraining.selection import most_influential
from ntkif.store import write_atomically

FOLDER = Path(__file__).parents[2] / "_build" / "peers"
K, REMOVALS = 100, 40
OTHERS = {"peers": 20, "peers-large": 8}  # of the removals, for which a network from another start is retrained too


def two_layer(data: Dataset, seed: int, ridge: float):
    """The network of the paper, symmetric, at width 1024, and how it is trained."""
    start = random_network(data.x_train.shape[1], width=1024, init_scale=1.0, symmetric=True, seed=seed)
    rate = safe_learning_rate(start, data.x_train, ridge)

    def fit(x, y):
        return train(start, x, y, ridge, learning_rate=rate, epochs=10_000, tolerance=0.005).network

    return start, fit


def deep(make):
    """A deeper network that starts at zero, and how it is trained."""

    def case(data: Dataset, seed: int, ridge: float):
        start = Antisymmetric(make(data, seed))
        return start, lambda x, y: train_module(start, x, y, ridge, iterations=200)

    return case


def two_layer_by_lbfgs(data: Dataset, seed: int, ridge: float):
    """The same network at width 256, trained by L-BFGS, which needs far fewer steps where there are many points."""
    start = random_network(data.x_train.shape[1], width=256, init_scale=1.0, symmetric=True, seed=seed)
    return start, lambda x, y: train_module(start, x, y, ridge, iterations=100)


#: Record -> image set, training points, ridge, and its cases: name -> network and its training, and the kernel of
#: infinite width that names the points to remove.
RECORDS = {
    "peers": (
        ("mnist-sample", 200, 1.0),
        {
            "two-layer": (two_layer, ntk),
            "mlp": (deep(lambda data, seed: Mlp(data.x_train.shape[1], width=128, seed=seed)), deep_ntk),
            "conv": (
                deep(lambda data, seed: ConvNet(data.images_train.shape[1:], activation="gelu", seed=seed)),
                deep_ntk,
            ),
        },
    ),
    "peers-large": (("mnist", 5000, 4.0), {"two-layer, n = 5000": (two_layer_by_lbfgs, ntk)}),
}


def truth(data: Dataset, make, rows: list[int], seed: int, ridge: float) -> dict:
    """One network, and the influence of each removed point by training without it, (K, REMOVALS)."""
    start, fit = make(data, seed, ridge)
    clock = time.process_time()  # with one thread, that of a quiet machine
    trained = leave_one_out(fit, data.x_train, data.y_train, rows)
    network = next(trained)
    seconds = time.process_time() - clock
    predictions = [predict(each, data.x_test) for each in (network, *trained)]
    share = gradient_share(network, start, data.x_train, data.y_train, ridge)
    return {
        "network": network,
        "start": start,
        "truth": true_influence(predictions, data.y_test),
        "seconds": seconds,
        "gradient": share,
    }


def main() -> None:
    """Make the cases that are not there."""
    record = sys.argv[1] if len(sys.argv) > 1 else "peers"
    (dataset, n, ridge), cases = RECORDS[record]
    for name, (make, kernel) in cases.items():
        file = FOLDER / f"{name}.pt"
        if file.exists():
            continue
        data = load(dataset).head(n, K)
        rows = most_influential(data, ridge, REMOVALS, kernel=kernel)
        made = [truth(data, make, some, s, ridge) for s, some in enumerate((rows, rows[: OTHERS[record]]))]
        arrays = {key: getattr(data, key) for key in ("x_train", "y_train", "x_test", "y_test")}
        case = {"arrays": arrays, "ridge": ridge, "rows": rows, "other": made[1]["truth"], **made[0]}
        case |= {"pixels": data.digest, "kernel": kernel.__name__}
        write_atomically(file, lambda stream, case=case: torch.save(case, stream))
        print(f"{name}: one training {case['seconds']:.1f} s, gradient {case['gradient']:.1e}", file=sys.stderr)


if __name__ == "__main__":
    main()
