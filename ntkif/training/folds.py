"""Folds of the training points."""

from collections.abc import Sequence

import torch

__all__ = ["check_folds", "folds_apart"]


@torch.no_grad()
def folds_apart(x: torch.Tensor, y: torch.Tensor, count: int) -> torch.Tensor:
    """Numbers of `count` folds with like points in different ones.

    Points are sorted by class, in it by their first principal component, and dealt out: what a fold takes away from a
    point is then little more than the point itself.

    Args:
        x: (n, ...) points.
        y: (n, c) targets: the class is the largest, or with one output whether it is above the mean.
        count: of folds.

    Returns:
        (n,) from 0 to count - 1.
    """
    centred = x.flatten(1).double()
    centred = centred - centred.mean(0)
    wide = centred.shape[1] > len(x)
    leading = torch.linalg.eigh(centred @ centred.T if wide else centred.T @ centred)[1][:, -1]
    along = leading if wide else centred @ leading
    along = -along if along.pow(3).sum() < 0 else along  # the same way round on every processor
    label = y.argmax(1) if y.shape[1] > 1 else (y[:, 0] > y.mean()).long()
    order = torch.argsort(along, stable=True)
    order = order[torch.argsort(label[order], stable=True)]
    number = torch.empty_like(order)
    number[order] = torch.arange(len(x), device=x.device) % count
    return number


def check_folds(folds: int | Sequence[int] | torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """(n,) number of each point's fold, where either is given: so many folds, or these numbers.

    Raises:
        ValueError: fewer than two folds, more than points, or numbers that are not those from 0 on, each of some point.
    """
    numbers = torch.as_tensor(folds)
    whole = not numbers.is_floating_point() and numbers.dtype != torch.bool
    if whole and numbers.ndim == 0 and 2 <= numbers <= len(x):
        return folds_apart(x, y, int(numbers))
    if not whole or numbers.ndim == 0:
        raise ValueError(f"folds: expected a whole number from 2 to {len(x)}, the number of points, got {folds}.")
    numbers = numbers.long()
    present = numbers.unique()
    if numbers.shape != (len(x),) or len(present) < 2 or present.tolist() != list(range(len(present))):
        raise ValueError(
            f"folds: expected {len(x)} numbers, one for each point, that are 0, 1, ... up to the last fold, "
            f"got shape {tuple(numbers.shape)} with {present[:8].tolist()}."
        )
    return numbers.to(x.device)
