"""The trained network's own kernel at the paper's size, against networks retrained there (beyond the paper)."""

import time

import pandas as pd
import torch

from ntkif.data import Dataset
from ntkif.influence.stationary import gradient_share
from ntkif.metrics import rms
from ntkif.networks.two_layer import TwoLayer
from ntkif.retraining import runs
from ntkif.retraining.protocol import Protocol, Retraining
from ntkif.retraining.retrain import retrain, start_of
from ntkif.retraining.selection import chosen_points
from ntkif.retraining.stacked import Stack, leading_directions
from ntkif.study import paper
from ntkif.study.experiments.comparison import method_estimates
from ntkif.study.experiments.experiment import POOLED, Column, experiment, on_point_and_pooled

__all__ = ["own_kernel_scores"]

_HALF = {"width": 10_000, "precision": "float16"}
_LAZY = {"init_scale": 1.0, "symmetric": True}
_AT_SIZE = {
    "mnist": {"learning_rate": 0.001, "epochs": 1200, "directions": 512},
    "cifar": {"learning_rate": 0.001, "epochs": 500, "directions": 1280},
}


@experiment(
    "own-kernel-at-size",
    settings={
        name: {
            "n_train": 5000,
            "n_test": 1000,
            "removals": 40,
            "dtype": "float32",
            "protocols": [
                {"ridge": paper.RIDGE[name]} | _HALF | how | start for start in ({"init_scale": 0.01} | slower, _LAZY)
            ],
        }
        for (name, how), slower in zip(_AT_SIZE.items(), ({}, {"learning_rate": 0.0005, "epochs": 1000}), strict=True)
    },
    witness={
        "n_train": 24,
        "n_test": 20,
        "removals": 3,
        "dtype": "float64",
        "protocols": [
            {"ridge": 1.0, "width": 64, "learning_rate": 0.02, "epochs": 200, "precision": "float64"} | _LAZY
        ],
    },
    columns={
        "width": Column.key("hidden neurons"),
        "init_scale": Column.key("κ"),
        "symmetric": Column.key("whether the network starts at zero"),
        "seed": Column.key("of its start"),
        "method": Column.key("one of `comparison.METHODS`"),
        **POOLED,
        "away": Column.clock(
            "of the predictions of the network that was trained here from those of the run, root mean square, by the "
            "nearer of two successive steps; what rounding made of one training"
        ),
        "hop": Column.value("by how much one more step changes its predictions, root mean square"),
        "gradient": Column.value("how far training is from a minimum, see `gradient_share`"),
        "train_seconds": Column.clock("of the training of this network"),
    },
    slice=None,
)
def own_kernel_scores(
    dataset: Dataset, n_train: int, n_test: int, removals: int, dtype: str, protocols: list[dict]
) -> pd.DataFrame:
    """How well the kernel of a trained network predicts its retraining, beside the infinite kernel.

    The retrained networks are those of the recorded run; where there is none, they are trained. The network with all
    points is trained once more, here, since a run does not keep its weights.

    Args:
        dataset: training and test images.
        n_train: of them so many first ones.
        n_test: likewise.
        removals: training points left out, those of `chosen_points`.
        dtype: in which the network is trained once more.
        protocols: fields of `Protocol`, of each run.
    """
    dataset, rows = dataset.head(n_train, n_test), []
    for fields in protocols:
        protocol = Protocol(**fields)
        run = _run(dataset, protocol, removals)
        truth = run.influence(dataset.y_test).double()
        clock = time.perf_counter()
        start, network, following = _trained(dataset, protocol, getattr(torch, dtype))
        seconds = time.perf_counter() - clock
        ends = [network.predict(dataset.x_test), following.predict(dataset.x_test)]
        of_network = {
            "away": min(rms(end - run.predictions[0].double()) for end in ends),
            "hop": rms(ends[1] - ends[0]),
            "gradient": gradient_share(network, start, dataset.x_train, dataset.y_train, protocol.ridge),
            "train_seconds": seconds,
        }
        key = {name: getattr(protocol, name) for name in ("width", "init_scale", "symmetric", "seed")}
        predicted, _, _ = method_estimates(network, dataset, protocol.ridge, run.rows.tolist())
        for method, estimate in predicted.items():
            rows.append(key | {"method": method} | on_point_and_pooled(estimate, truth, run.test_point) | of_network)
    return pd.DataFrame(rows)


def _run(dataset: Dataset, protocol: Protocol, removals: int) -> Retraining:
    file = runs.run_file(dataset, protocol, runs.FOLDER)
    if file.exists():
        return runs.load_run(file)
    return retrain(dataset, protocol, chosen_points(dataset, protocol.ridge, removals), progress=False)


def _trained(dataset: Dataset, protocol: Protocol, dtype: torch.dtype) -> tuple[TwoLayer, TwoLayer, TwoLayer]:
    """The start, the network with all points, and that one step on, in float64, trained in the run's directions."""
    x, y = dataset.x_train.to(dtype), dataset.y_train.to(dtype)
    start = start_of(protocol, x, y)
    along = leading_directions(x, protocol.directions)
    stack = Stack(start, x, y, protocol.ridge, [None], learning_rate=protocol.learning_rate, directions=along)
    residual = stack.train(protocol.epochs)
    network = stack.network(0)
    stack.step(residual)
    following = stack.network(0)
    return start.double(), network.double(), following.double()
