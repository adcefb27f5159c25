"""Whether a network is its linearisation as far as a removal goes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from ntkif.checks import warn
from ntkif.networks.inputs import Points
from ntkif.networks.modules import predict, trained_parameters

if TYPE_CHECKING:
    from ntkif.influence.removals import Removals

__all__ = ["bends", "largest_removals", "warn_of_bends"]

_TOO_FAR = 0.3  # beyond which every network of the record "linearity" had a large error
_FEW_ROWS, _FEW_POINTS = 3, 64


@torch.no_grad()
def bends(model: "Removals", x_test: Points, rows: Sequence[int]) -> torch.Tensor:
    """(r,) what `Removals.linearity` says, at k points."""
    plain, linear, shares = predict(model.reading, x_test), model.change(x_test), []
    for row in rows:
        with _moved(model.reading, model.step(row)):
            off = predict(model.reading, x_test) - plain - linear[:, row]
        shares.append(off.norm() / linear[:, row].norm())
    return torch.stack(shares)


@contextmanager
def _moved(network: torch.nn.Module, step: Sequence[torch.Tensor]) -> Iterator[None]:
    """The network a step away, and afterwards as it was; not a copy, since not every module can be copied."""
    values = [value.data for value in trained_parameters(network).values()]  # a backward pass that waits sees no change
    before = [value.clone() for value in values]
    try:
        for value, part in zip(values, step, strict=True):
            value.add_(part)
        yield
    finally:
        for value, was in zip(values, before, strict=True):
            value.copy_(was)


def largest_removals(influence: torch.Tensor) -> list[int]:
    """The training points of the largest columns of (k, n) influences, three of them."""
    return influence.norm(dim=0).topk(min(_FEW_ROWS, influence.shape[1])).indices.tolist()


def warn_of_bends(models: Sequence[tuple["Removals", Sequence[int]]], x_test: Points) -> None:
    """Look along the steps of some removals of each model, at the first test points, and warn of a network that bends.

    Warns:
        UserWarning: in the median it departs by more than a third.
    """
    off = float(torch.cat([bends(model, x_test[:_FEW_POINTS], rows) for model, rows in models]).median())
    if off > _TOO_FAR:
        warn(
            f"network: along the steps of the largest removals it departs from its linearisation by {off:.2g} of what "
            f"these do, so that the influences are likely far off; `validate` trains without a few points to see "
            f"(trust=True says nothing)."
        )
