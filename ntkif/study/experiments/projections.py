"""Experiments on projected Jacobians: what they lose, and a network with more points than a kernel has room for."""

import time
from collections.abc import Iterator, Sequence

import pandas as pd
import torch

from ntkif.checks import peak_bytes
from ntkif.data import Dataset
from ntkif.influence.network import NetworkInfluence
from ntkif.influence.stationary import gradient_share
from ntkif.metrics import agreement, misfit, share
from ntkif.networks.modules import ConvNet, predict, train_module
from ntkif.retraining.leave_one_out import true_influence
from ntkif.retraining.nearby import settled
from ntkif.study import paper
from ntkif.study.experiments.experiment import AGREEMENT, Column, experiment

__all__ = ["large_network", "projection_errors"]

#: Training magnifies rounding, and so do rows in single precision.
_ROUNDED = 1e-3
_AGREEMENT = {name: Column.value(column.meaning, _ROUNDED) for name, column in AGREEMENT.items()}


@experiment(
    "projections",
    settings={
        name: {
            "n_train": 500,
            "n_test": 100,
            "channels": [16, 64],
            "ridges": [1.0, 10.0],
            "projections": [256, 1024, 4096],
            "seeds": [0, 1, 2],
            "iterations": 200,
        }
        for name in ("mini-mnist", "mini-cifar")
    },
    witness={
        "n_train": 20,
        "n_test": 10,
        "channels": [2, 3],
        "ridges": [5.0],
        "projections": [16, 100],
        "seeds": [0],
        "iterations": 20,
    },
    slice=None,
    columns={
        "ridge": Column.key("of the training"),
        "projections": Column.key("columns p"),
        "seed": Column.key("of the projection"),
        **_AGREEMENT,
        "parameters": Column.value("of the network"),
        "freedom": Column.value("d, the traces of all leverages, by the kernel", _ROUNDED),
        "projected_freedom": Column.value("the same by the projected rows", _ROUNDED),
        "seconds": Column.clock("of the fit and its influences"),
        "exact_seconds": Column.clock("of those by the kernel"),
    },
)
def projection_errors(
    dataset: Dataset,
    n_train: int,
    n_test: int,
    channels: tuple[int, int],
    ridges: Sequence[float],
    projections: Sequence[int],
    seeds: Sequence[int],
    iterations: int,
) -> pd.DataFrame:
    """Influence by projected rows against that by the whole kernel of the same convolutional network.

    Args:
        dataset: images.
        n_train: training images, the first.
        n_test: test images, the first.
        channels: of the network.
        ridges: of its trainings.
        projections: columns of the projections.
        seeds: of the projections.
        iterations: of L-BFGS.
    """
    data = dataset.head(n_train, n_test)
    rows = (_errors(data, channels, ridge, projections, seeds, iterations) for ridge in ridges)
    return pd.DataFrame(row for some in rows for row in some)


def _errors(data: Dataset, channels, ridge, projections, seeds, iterations) -> Iterator[dict]:
    start = _network(data, channels)
    network = train_module(start, data.x_train, data.y_train, ridge, iterations=iterations)
    train, test = (data.x_train, data.y_train), (data.x_test, data.y_test)
    clock = time.perf_counter()
    kernel = NetworkInfluence(network, *train, ridge, start=None)
    exact = kernel.influence(*test, trust=True)
    common = {
        "parameters": sum(value.numel() for value in network.parameters()),
        "freedom": float(kernel.freedom.sum()),
        "exact_seconds": time.perf_counter() - clock,
    }
    for p in projections:
        for seed in seeds:
            clock = time.perf_counter()
            model = _model(network, *train, ridge, p, seed)
            scores = agreement(model.influence(*test, trust=True), exact)
            told = {"projected_freedom": float(model.freedom.sum()), "seconds": time.perf_counter() - clock}
            yield {"ridge": ridge, "projections": p, "seed": seed} | scores | told | common


@experiment(
    "large-network",
    settings={
        "mnist-full": {
            "n_train": 60_000,
            "ridge": paper.RIDGE["mini-mnist"],
            "channels": [8, 16],
            "projections": [512, 2048, 8192],
            "n_test": 200,
            "removals": 20,
            "iterations": 60,
            "steps": 60,
            "seed": 0,
        }
    },
    witness={
        "n_train": 40,
        "ridge": 20.0,
        "channels": [2, 3],
        "projections": [16, 1000],
        "n_test": 10,
        "removals": 4,
        "iterations": 20,
        "steps": 200,
        "seed": 0,
    },
    slice=None,
    columns={
        "projections": Column.key("columns p; no more are taken than there are parameters"),
        "row": Column.key("of the removed image in the training set"),
        "kind": Column.value("influential, or drawn"),
        "norm": Column.value("of its true influences over the test images", _ROUNDED),
        "row_error": Column.value("relative error of its influences", _ROUNDED),
        **_AGREEMENT,
        "parameters": Column.value("of the network"),
        "freedom": Column.value("d, the traces of all leverages", _ROUNDED),
        "largest_leverage": Column.value("over the training images", _ROUNDED),
        "gradient": Column.noise("left by the training with all images, see `gradient_share`", 1e-6),
        "left": Column.noise("of the gradient that a removal leaves, at most", 1e-4),
        "test_error": Column.value("share of test images classified wrongly"),
        "fit_seconds": Column.clock("of the fit"),
        "influence_seconds": Column.clock("of all influences on the test images"),
        "peak_gib": Column.clock("the most memory held until then"),
        "train_seconds": Column.clock("of the training with all images"),
        "removal_seconds": Column.clock("of a removal, from the trained weights"),
    },
)
def large_network(
    dataset: Dataset,
    n_train: int,
    ridge: float,
    channels: tuple[int, int],
    projections: Sequence[int],
    n_test: int,
    removals: int,
    iterations: int,
    steps: int,
    seed: int,
) -> pd.DataFrame:
    """Influence in a convolutional network of all training images, by projected rows, against real removals.

    A removal is trained from the trained weights to the minimum without its image.

    Args:
        dataset: training and test images.
        n_train: training images, the first.
        ridge: penalty λ of the training.
        channels: of the network.
        projections: columns; the most of them serve to find the minima, by steps that they precondition.
        n_test: test images, the first.
        removals: half of them the most influential, the rest drawn.
        iterations: of L-BFGS, on which such steps follow.
        steps: of them, at most.
        seed: of the draw.
    """
    data = dataset.head(n_train, n_test)
    start, train, test = _network(data, channels), (data.x_train, data.y_train), (data.x_test, data.y_test)
    clock = time.perf_counter()
    rough = train_module(start, *train, ridge, iterations=iterations, point_block=500)
    near = _model(rough, *train, ridge, max(projections))
    network, _ = settled(near, rough, start, steps=steps)
    whole = {"train_seconds": time.perf_counter() - clock}
    whole["gradient"] = gradient_share(network, start, *train, ridge)
    models, found = {}, {}
    for p in projections:
        clock = time.perf_counter()
        model = _model(network, *train, ridge, p)
        fitted = time.perf_counter()
        found[p] = model.influence(*test, trust=True)
        models[p] = {
            "freedom": float(model.freedom.sum()),
            "largest_leverage": float(model.leverage.max()),
            "fit_seconds": fitted - clock,
            "influence_seconds": time.perf_counter() - fitted,
            "peak_gib": peak_bytes(data.x_train.device) / 2**30,
        }
    rows, kinds = _chosen(found[max(projections)], removals, seed)
    clock = time.perf_counter()
    without = [settled(near, network, start, without=row, steps=steps) for row in rows]
    outputs = [predict(each, data.x_test) for each in (network, *(each for each, _ in without))]
    truth = true_influence(outputs, data.y_test)
    whole |= {
        "parameters": sum(value.numel() for value in network.parameters()),
        "left": max(left for _, left in without),
        "test_error": share(misfit(outputs[0], data.y_test)),
        "removal_seconds": (time.perf_counter() - clock) / len(rows),
    }
    table = []
    for p, told in models.items():
        told |= whole | agreement(found[p][:, rows], truth)
        for place, (row, kind) in enumerate(zip(rows, kinds, strict=True)):
            off, size = (found[p][:, row] - truth[:, place]).norm(), truth[:, place].norm()
            key = {"projections": p, "row": row, "kind": kind, "norm": float(size), "row_error": float(off / size)}
            table.append(key | told)
    return pd.DataFrame(table)


def _model(network: torch.nn.Module, x, y, ridge: float, projections: int, seed: int = 0) -> NetworkInfluence:
    how = {"projections": projections, "seed": seed, "jacobian_dtype": torch.float32}
    return NetworkInfluence(network, x, y, ridge, start=None, **how)


def _network(data: Dataset, channels: tuple[int, int]) -> ConvNet:
    return ConvNet(data.images_train.shape[1:], channels=channels, activation="gelu", outputs=data.y_train.shape[1])


def _chosen(influence: torch.Tensor, removals: int, seed: int) -> tuple[list[int], list[str]]:
    """Rows to remove, half of them the most influential, the others drawn, and which are which."""
    top = influence.norm(dim=0).topk(removals // 2).indices.tolist()
    drawn = torch.randperm(influence.shape[1], generator=torch.Generator().manual_seed(seed)).tolist()
    others = [row for row in drawn if row not in top][: removals - len(top)]
    return top + others, ["influential"] * len(top) + ["drawn"] * len(others)
