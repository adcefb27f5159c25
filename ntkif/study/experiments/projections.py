"""Experiments on projected Jacobians: what they lose, and a network with more points than a kernel has room for."""

import time
from collections.abc import Iterator, Sequence

import pandas as pd
import torch
from torch import nn

from ntkif.checks import peak_bytes
from ntkif.data import Dataset
from ntkif.influence.network import NetworkInfluence
from ntkif.metrics import agreement, misfit, share
from ntkif.networks.modules import ConvNet, predict, train_module
from ntkif.retraining.leave_one_out import true_influence
from ntkif.retraining.response import response
from ntkif.retraining.selection import largest_and_drawn
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
            "ridge": 10.0,
            "channels": [8, 12],
            "epochs": 5,
            "projections": [1024, 8192],
            "n_test": 100,
            "removals": 20,
            "seed": 0,
        }
    },
    witness={
        "n_train": 40,
        "ridge": 10.0,
        "channels": [2, 3],
        "epochs": 2,
        "projections": [16, 10_000],
        "n_test": 10,
        "removals": 4,
        "seed": 0,
    },
    slice=None,
    columns={
        "projections": Column.key("columns p; no more are taken than there are parameters"),
        "row": Column.key("of the removed image in the training set"),
        "kind": Column.value("influential, or drawn"),
        "norm": Column.value("of its influences over the test images, by the response", _ROUNDED),
        "row_error": Column.value("relative error of its influences", _ROUNDED),
        **_AGREEMENT,
        "parameters": Column.value("of the network"),
        "freedom": Column.value("d, the traces of all leverages", _ROUNDED),
        "largest_leverage": Column.value("over the training images", _ROUNDED),
        "left": Column.noise("of the gradient that a removal begins with, at most", 1e-5),
        "test_error": Column.value("share of test images classified wrongly"),
        "fit_seconds": Column.clock("of the fit"),
        "influence_seconds": Column.clock("of all influences on the test images"),
        "peak_gib": Column.clock("the most memory held until then"),
        "train_seconds": Column.clock("of the training"),
        "removal_seconds": Column.clock("of a removal by the response"),
    },
)
def large_network(
    dataset: Dataset,
    n_train: int,
    ridge: float,
    channels: tuple[int, int],
    epochs: int,
    projections: Sequence[int],
    n_test: int,
    removals: int,
    seed: int,
) -> pd.DataFrame:
    """Influence in a convolutional network of very many images, by projected rows, against responses to removals.

    Args:
        dataset: training and test images of 28 x 28 pixels.
        n_train: training images, the first.
        ridge: λ of influence and response.
        channels: of the network.
        epochs: of its training by Adam on half squares, in batches of a hundred, without a ridge.
        projections: columns, the last of them as many as parameters at least.
        n_test: test images, the first.
        removals: half of them the most influential, the rest drawn.
        seed: of start, batches and draw.
    """
    data = dataset.head(n_train, n_test)
    x, x_test = (28 * points.reshape(-1, 1, 28, 28) for points in (data.x_train, data.x_test))
    clock = time.perf_counter()
    network = _by_adam(x, data.y_train, channels, epochs, seed)
    whole = {"train_seconds": time.perf_counter() - clock}
    models, found, told = [], [], []
    for p in projections:
        clock = time.perf_counter()
        models.append(_model(network, x, data.y_train, ridge, p))
        fitted = time.perf_counter()
        found.append(models[-1].influence(x_test, data.y_test, trust=True))
        seconds = {"fit_seconds": fitted - clock, "influence_seconds": time.perf_counter() - fitted}
        told.append(seconds | {"peak_gib": peak_bytes(x.device) / 2**30})
    rows, kinds = largest_and_drawn(found[-1], removals, seed)
    clock = time.perf_counter()
    without = [response(models[-1], row) for row in rows]
    outputs = [predict(network, x_test), *(predict(each, x_test) for each, _ in without)]
    truth = true_influence(outputs, data.y_test)
    whole |= {
        "parameters": sum(value.numel() for value in network.parameters()),
        "left": max(left for _, left in without),
        "test_error": share(misfit(outputs[0], data.y_test)),
        "removal_seconds": (time.perf_counter() - clock) / len(rows),
    }
    table = []
    for p, model, influence, cost in zip(projections, models, found, told, strict=True):
        size = {"freedom": float(model.freedom.sum()), "largest_leverage": float(model.leverage.max())}
        common = agreement(influence[:, rows], truth) | size | cost | whole
        off, norm = ((influence[:, rows] - truth).norm(dim=0)), truth.norm(dim=0)
        for place, (row, kind) in enumerate(zip(rows, kinds, strict=True)):
            own = {"norm": float(norm[place]), "row_error": float(off[place] / norm[place])}
            table.append({"projections": p, "row": row, "kind": kind} | own | common)
    return pd.DataFrame(table)


def _by_adam(x: torch.Tensor, y: torch.Tensor, channels: tuple[int, int], epochs: int, seed: int) -> nn.Module:
    """A network of two convolutions, trained with a rate that falls to nothing."""
    torch.manual_seed(seed)
    one, two = channels
    network = nn.Sequential(
        nn.Conv2d(1, one, 5, stride=2), nn.GELU(), nn.Conv2d(one, two, 3, stride=2), nn.GELU(), nn.Flatten(),
        nn.Linear(25 * two, y.shape[1]),
    ).double()  # fmt: skip
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    steps = epochs * -(-len(x) // 100)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 1 / steps, total_iters=steps)
    for _ in range(epochs):
        for batch in torch.randperm(len(x)).split(100):
            optimizer.zero_grad()
            ((network(x[batch]) - y[batch]).square().sum() / 2 / len(batch)).backward()
            optimizer.step()
            schedule.step()
    return network.eval()


def _model(network: torch.nn.Module, x, y, ridge: float, projections: int, seed: int = 0) -> NetworkInfluence:
    how = {"projections": projections, "seed": seed, "jacobian_dtype": torch.float32}
    return NetworkInfluence(network, x, y, ridge, start=None, **how)


def _network(data: Dataset, channels: tuple[int, int]) -> ConvNet:
    return ConvNet(data.images_train.shape[1:], channels=channels, activation="gelu", outputs=data.y_train.shape[1])
