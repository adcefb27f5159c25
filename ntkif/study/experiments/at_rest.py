"""Where full-batch descent ends in an oscillation, and what it does to influences (beyond the paper)."""

import math
from collections.abc import Iterator, Sequence

import pandas as pd
import torch

from ntkif.data import Dataset
from ntkif.influence.closed_form import loo_influence
from ntkif.kernels.infinite import ntk
from ntkif.kernels.tangent import tangent_kernel
from ntkif.metrics import agreement, rms
from ntkif.networks.two_layer import TwoLayer, random_network
from ntkif.regression.ridge import ridge_fit
from ntkif.retraining.leave_one_out import true_influence
from ntkif.retraining.selection import chosen_points
from ntkif.retraining.stacked import Stack, leading_directions
from ntkif.study import paper
from ntkif.study.experiments.experiment import POOLED, Column, experiment, on_point_and_pooled

__all__ = ["READINGS", "hop_of", "step_sizes"]

#: How the influences of trained networks are read.
READINGS = ("last step", "mean of two steps")


def hop_of(network: TwoLayer, following: TwoLayer, x: torch.Tensor, ridge: float, rate: float) -> dict[str, float]:
    """What one more step of gradient descent does to a trained network.

    Without kinks a step multiplies a deviation along an eigenvector of the network's own kernel K by
    1 - rate * (eigenvalue + λ), and descent is stable as long as rate < 2 / (largest eigenvalue + λ).

    Args:
        network: trained.
        following: the same one step on.
        x: (n, d) training points.
        ridge: penalty λ.
        rate: step size.

    Returns:
        share, of the rate in the largest that is stable; hop, the change of the training predictions, root mean
        square; and along, the cosine of this change with the leading eigenvector of the kernel.
    """
    values, vectors = torch.linalg.eigh(tangent_kernel(network, x))
    hop = (following.predict(x) - network.predict(x))[:, 0]
    return {
        "share": rate * (float(values[-1]) + ridge) / 2,
        "hop": rms(hop),
        "along": abs(float(hop @ vectors[:, -1] / hop.norm())),
    }


@experiment(
    "at-rest",
    settings={
        name: {
            "ridge": paper.RIDGE[name],
            "init_scale": 0.01,
            "dtype": "float32",
            "cases": [
                {
                    "n_train": 1000,
                    "n_test": 1000,
                    "width": 1024,
                    "removals": 10,
                    "steps": [[rate, epochs], [rate / 2, 2 * epochs], [rate / 4, 4 * epochs]],
                },
                *at_size,
            ],
        }
        for name, rate, epochs, at_size in (
            ("mnist", 0.004, 500, []),
            (
                "cifar",
                0.002,
                400,
                [
                    {
                        "n_train": 5000,
                        "n_test": 1000,
                        "width": 2000,
                        "removals": 0,
                        "steps": [[0.001, 500], [0.0005, 1000]],
                        "directions": 1280,
                    }
                ],
            ),
        )
    },
    witness={
        "ridge": 1.0,
        "init_scale": 1.0,
        "dtype": "float64",
        "cases": [
            {"n_train": 24, "n_test": 20, "width": 64, "removals": 3, "steps": [[0.02, 200], [0.01, 400]]},
            {"n_train": 24, "n_test": 20, "width": 32, "removals": 0, "steps": [[0.02, 200]], "directions": 20},
        ],
    },
    columns={
        "n": Column.key("training images"),
        "width": Column.key("hidden neurons"),
        "removals": Column.key("points left out"),
        "learning_rate": Column.key("step size"),
        "reading": Column.key("last step, or mean of two steps: of the predictions after the last and one more"),
        "epochs": Column.value("steps"),
        "unsettled": Column.value("see `networks.descent.Training`, of the network with all points"),
        "share": Column.value("of the rate in the largest that would be stable without kinks, see `hop_of`"),
        "hop": Column.value("change of the training predictions in one more step, root mean square"),
        "along": Column.value("cosine of this change with the leading eigenvector of the network's own kernel"),
        "removal": Column.value("change of the test predictions by a removal, root mean square"),
        **{name: Column.value(f"{column.meaning}; of the closed form") for name, column in POOLED.items()},
        "from_smallest": Column.value(
            "relative error of these influences, as an estimate of those of the smallest step (mean of two)"
        ),
    },
    slice=None,
)
def step_sizes(dataset: Dataset, ridge: float, init_scale: float, dtype: str, cases: list[dict]) -> pd.DataFrame:
    """How far from rest training ends, by step size, and how well influences are predicted by both readings.

    Args:
        dataset: training and test images.
        ridge: penalty λ.
        init_scale: κ.
        dtype: of the training.
        cases: n_train, n_test, width, removals (none: the network with all points alone), steps as pairs of rate and
            epochs, and directions, see `stacked.leading_directions`.
    """
    rows = [row for case in cases for row in _rows(dataset, ridge, init_scale, getattr(torch, dtype), **case)]
    return pd.DataFrame(rows)


def _rows(
    dataset: Dataset,
    ridge: float,
    init_scale: float,
    dtype: torch.dtype,
    *,
    n_train: int,
    n_test: int,
    width: int,
    removals: int,
    steps: Sequence[Sequence[float]],
    directions: int | None = None,
) -> Iterator[dict]:
    dataset = dataset.head(n_train, n_test)
    x, y, x_test, y_test = dataset.x_train, dataset.y_train, dataset.x_test, dataset.y_test
    point, removed = chosen_points(dataset, ridge, removals) if removals else (0, [])
    closed_form = loo_influence(ridge_fit(ntk(x), y, ridge), ntk(x_test, x), y_test)[:, removed]
    like = {"outputs": y.shape[1], "dtype": dtype, "device": x.device}
    start = random_network(x.shape[1], width=width, init_scale=init_scale, seed=0, **like)
    along = leading_directions(x.to(dtype), directions)
    found = {}
    for rate, epochs in sorted(steps):
        stack = Stack(start, x.to(dtype), y.to(dtype), ridge, [None, *removed], learning_rate=rate, directions=along)
        residual = stack.train(epochs)
        network, last = stack.network(0).double(), stack.predict(x_test.to(dtype)).double()
        stack.step(residual)
        following, once = stack.network(0).double(), stack.predict(x_test.to(dtype)).double()
        ends = dict(zip(READINGS, (last, (last + once) / 2), strict=True))
        found[rate] = {reading: true_influence(end, y_test) for reading, end in ends.items()}
        of_network = {"epochs": epochs, "unsettled": float(stack.watch.unsettled[0])}
        of_network |= hop_of(network, following, x, ridge, rate)
        of_network["removal"] = rms(last[1:] - last[0]) if removals else math.nan
        key = {"n": n_train, "width": width, "removals": removals, "learning_rate": rate}
        for reading, truth in found[rate].items():
            told = on_point_and_pooled(closed_form, truth, point) if removals else {}
            if removals:
                told["from_smallest"] = agreement(truth, found[min(found)][READINGS[1]])["relative_error"]
            yield key | {"reading": reading} | of_network | told
