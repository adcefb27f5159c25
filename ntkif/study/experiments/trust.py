"""Experiments on trust: whether `NetworkInfluence` can tell when it is wrong, and what `damping="auto"` is worth."""

import copy
from collections.abc import Iterator, Sequence
from functools import partial

import pandas as pd
import torch
from torch import nn

from ntkif.data import Dataset
from ntkif.influence.network import NetworkInfluence
from ntkif.influence.stationary import balancing_ridge, gradient_share
from ntkif.metrics import agreement
from ntkif.networks.losses import LOSSES, Loss, targets_of
from ntkif.networks.modules import predict, train_module
from ntkif.retraining.leave_one_out import leave_one_out, true_influence
from ntkif.retraining.validation import validate
from ntkif.study.experiments.experiment import AGREEMENT, Column, experiment

__all__ = ["DAMPINGS", "damping_errors", "linearity_scores"]

_ACTIVATIONS = {"tanh": nn.Tanh, "gelu": nn.GELU, "relu": nn.ReLU}
_SIDE = 7  # pixels of an image, each a mean of some
#: Minima of networks that bend magnify rounding.
_ROUNDED = 1e-3
_AGREEMENT = {name: Column.value(column.meaning, _ROUNDED) for name, column in AGREEMENT.items()}


class _Recurrent(nn.Module):
    """Reads an image row by row."""

    def __init__(self, kind: type[nn.Module]):
        super().__init__()
        self.rows, self.last = kind(_SIDE, 8, batch_first=True), nn.Linear(8, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.rows(x.reshape(-1, _SIDE, _SIDE))[0][:, -1])


def _network(kind: str, seed: int) -> nn.Module:
    """At its start."""
    torch.manual_seed(seed)
    inputs = _SIDE**2
    if kind in _ACTIVATIONS:
        made = nn.Sequential(nn.Linear(inputs, 16), _ACTIVATIONS[kind](), nn.Linear(16, 1))
    else:
        made = {"lstm": partial(_Recurrent, nn.LSTM), "gru": partial(_Recurrent, nn.GRU)}.get(
            kind, partial(nn.Linear, inputs, 1)
        )()
    return made.double().eval()


def _small(x: torch.Tensor) -> torch.Tensor:
    """(n, 49) means over squares of pixels of (n, 784) images, of a norm of about two."""
    return nn.functional.avg_pool2d(x.reshape(-1, 1, 28, 28), 28 // _SIDE).flatten(1) * 12


@experiment(
    "linearity",
    settings={
        "mnist": {
            "networks": ["linear", "tanh", "gelu", "relu", "lstm", "gru"],
            "ridges": [10.0, 3.0, 1.0],
            "seeds": [0, 1, 2],
            "n_train": 120,
            "n_test": 40,
            "removals": 8,
            "iterations": 1000,
        }
    },
    witness={
        "networks": ["linear", "tanh"],
        "ridges": [10.0],
        "seeds": [0],
        "n_train": 20,
        "n_test": 10,
        "removals": 4,
        "iterations": 100,
    },
    slice={"networks": ["linear", "tanh"], "ridges": [10.0], "seeds": [0]},
    slice_tolerance=_ROUNDED,
    columns={
        "network": Column.key("kind of network"),
        "ridge": Column.key("of its training"),
        "seed": Column.key("of its start"),
        "gradient": Column.clock("left by its training, see `gradient_share`; at a minimum a rounding error"),
        "linearity": Column.value("median over the removals, see `linearity`", _ROUNDED),
        **_AGREEMENT,
    },
)
def linearity_scores(
    dataset: Dataset,
    networks: Sequence[str],
    ridges: Sequence[float],
    seeds: Sequence[int],
    n_train: int,
    n_test: int,
    removals: int,
    iterations: int,
) -> pd.DataFrame:
    """How far networks at a minimum are from linear along the steps of removals, and how well these are predicted.

    Args:
        dataset: images of 28 x 28 pixels and one output.
        networks: kinds.
        ridges: of the trainings.
        seeds: of the starts.
        n_train: training images, the first.
        n_test: test images, the first.
        removals: really carried out, half of them of the most influential images.
        iterations: of L-BFGS.
    """
    data = dataset.head(n_train, n_test)
    x, y, x_test = _small(data.x_train), data.y_train, _small(data.x_test)
    rows = []
    for kind in networks:
        for ridge in ridges:
            for seed in seeds:
                start = _network(kind, seed)

                def train(kept, start=start, ridge=ridge):
                    return train_module(start, x[kept], y[kept], ridge, iterations=iterations)

                network = train(torch.arange(len(x)))
                model = NetworkInfluence(network, x, y, ridge, start=None)
                found = validate(model, train, x_test, data.y_test, count=removals, progress=False)
                told = {"gradient": gradient_share(network, start, x, y, ridge)}
                told["linearity"] = float(model.linearity(x_test, found.rows).median())
                rows.append({"network": kind, "ridge": ridge, "seed": seed} | told | found.scores)
    return pd.DataFrame(rows)


#: Ways to name a damping: the best by the truth, which nobody has; `damping="auto"`; one over the time of training.
DAMPINGS = ("best", "auto", "one over the time")


@experiment(
    "damping",
    settings={
        "mnist": {
            "cases": [
                ["tanh", "squares", "plain", 100, 5e-4],
                ["tanh", "squares", "plain", 400, 5e-4],
                ["tanh", "squares", "momentum", 200, 2.5e-4],
                ["relu", "squares", "plain", 200, 5e-4],
                ["gelu", "squares", "adam", 100, 1e-3],
                ["tanh", "cross-entropy", "plain", 200, 2.5e-3],
                ["gelu", "cross-entropy", "momentum", 200, 7.5e-4],
                ["relu", "cross-entropy", "adam", 60, 2e-3],
            ],
            "seeds": [0, 1, 2],
            "n_train": 150,
            "n_test": 40,
            "removals": 8,
        }
    },
    witness={
        "cases": [["tanh", "squares", "plain", 20, 2e-3], ["gelu", "cross-entropy", "adam", 10, 2e-3]],
        "seeds": [0],
        "n_train": 20,
        "n_test": 10,
        "removals": 4,
    },
    slice={"cases": [["tanh", "squares", "plain", 100, 5e-4]], "seeds": [0]},
    slice_tolerance=_ROUNDED,
    columns={
        "network": Column.key("activation of its hidden layer"),
        "loss": Column.key("of the training and of the influence"),
        "how": Column.key("the optimiser"),
        "steps": Column.key("of it, in full batches"),
        "seed": Column.key("of the start"),
        "damping": Column.key("one of `DAMPINGS`"),
        "size": Column.value("of the damping", _ROUNDED),
        **_AGREEMENT,
    },
)
def damping_errors(
    dataset: Dataset, cases: Sequence[Sequence], seeds: Sequence[int], n_train: int, n_test: int, removals: int
) -> pd.DataFrame:
    """Influence in networks that were trained without a ridge and stopped, by dampings, against real removals.

    Args:
        dataset: images of one output.
        cases: activation, loss, optimiser, steps and learning rate.
        seeds: of the starts.
        n_train: training images, the first.
        n_test: test images, the first.
        removals: of the most influential images.
    """
    data = dataset.head(n_train, n_test)
    return pd.DataFrame(row for case in cases for seed in seeds for row in _dampings(data, case, seed, removals))


def _dampings(data: Dataset, case: Sequence, seed: int, removals: int) -> Iterator[dict]:
    (activation, title, how, steps, rate), (x, x_test) = case, (6 * data.x_train, 6 * data.x_test)
    loss, outputs = LOSSES[title], 1 if title == "squares" else 2
    torch.manual_seed(seed)
    hidden = nn.Linear(x.shape[1], 32), _ACTIVATIONS[activation](), nn.Linear(32, outputs)
    start = nn.Sequential(*hidden).double()
    asked = [y if outputs == 1 else (y[:, 0] > 0).long() for y in (data.y_train, data.y_test)]
    y, y_test = (targets_of(loss, each, torch.zeros(len(each), outputs).to(x), "y") for each in asked)
    train = partial(_descent, start, loss=loss, steps=steps, rate=rate, how=how)
    network = train(x, y)

    def influence(size: float) -> torch.Tensor:
        model = NetworkInfluence(network, x, asked[0], 0.0, start=None, damping=size, loss=title)
        return model.influence(x_test, asked[1], trust=True)

    rows = influence(1.0).norm(dim=0).topk(removals).indices.tolist()
    truth = true_influence([predict(each, x_test) for each in leave_one_out(train, x, y, rows)], y_test, loss.value)

    def scored(size: float) -> dict:
        return {"size": size} | agreement(influence(size)[:, rows], truth)

    tried = [scored(10 ** (number / 4)) for number in range(-12, 13)]
    found = {
        DAMPINGS[0]: min(tried, key=lambda each: each["relative_error"]),
        DAMPINGS[1]: scored(balancing_ridge(network, start, x, y, loss=loss)),
        DAMPINGS[2]: scored((0.1 if how == "momentum" else 1.0) / (steps * rate)),
    }
    key = {"network": activation, "loss": title, "how": how, "steps": steps, "seed": seed}
    for name, scores in found.items():
        yield key | {"damping": name} | scores


def _descent(start, x: torch.Tensor, y: torch.Tensor, *, loss: Loss, steps: int, rate: float, how: str) -> nn.Module:
    """A network trained for so many full batches, on the sum of the losses."""
    network = copy.deepcopy(start)
    kind = torch.optim.Adam if how == "adam" else torch.optim.SGD
    optimizer = kind(network.parameters(), lr=rate, **({"momentum": 0.9} if how == "momentum" else {}))
    for _ in range(steps):
        optimizer.zero_grad()
        loss.value(network(x), y).sum().backward()
        optimizer.step()
    return network.eval()
