"""The kernel and the ridge whose leave-one-out error is least, from one eigendecomposition a kernel."""

from collections.abc import Callable, Sequence
from numbers import Real
from typing import NamedTuple

import numpy as np
import torch

from ntkif.checks import check_ridge
from ntkif.kernels import Kernel
from ntkif.regression.low_rank import low_rank_errors
from ntkif.regression.weighted_flow import loo_errors, weighted_flow

__all__ = ["LOO", "Choice", "check_choice", "choose", "kernels_of"]

LOO = "loo"
_GRID = 10.0 ** np.arange(-4, 3.5, 0.5)


class Choice(NamedTuple):
    """What was chosen, and among what.

    Attributes:
        kernel: its number among those offered.
        ridge: the penalty.
        errors: (k, r) leave-one-out errors of the kernels with each of their ridges; None without a choice.
        ridges: (k, r) those ridges.
    """

    kernel: int
    ridge: float
    errors: np.ndarray | None = None
    ridges: np.ndarray | None = None


def kernels_of(kernel: str | Kernel | Sequence[str | Kernel]) -> list[str | Kernel]:
    """The kernels offered: those of a list, or the one.

    Raises:
        ValueError: an empty list.
    """
    kernels = list(kernel) if isinstance(kernel, (list, tuple)) else [kernel]
    if not kernels:
        raise ValueError("kernel: expected at least one to choose from, got an empty list.")
    return kernels


def check_choice(ridge: float | str, ridges: Sequence[float] | None) -> None:
    """Require a ridge, or "loo" and what it chooses from.

    Raises:
        TypeError: neither a number nor "loo".
        ValueError: a negative ridge, no list of ridges to choose from, or one without "loo".
    """
    if isinstance(ridge, str) and ridge == LOO:
        if ridges is not None and (np.ndim(ridges) != 1 or len(ridges) == 0):
            raise ValueError(f"ridges: expected a list of numbers to choose from, or None for a grid, got {ridges!r}.")
        for each in () if ridges is None else ridges:
            check_ridge(each)
    elif not isinstance(ridge, (Real, torch.Tensor)) or np.ndim(ridge):
        raise TypeError(
            f"ridge: expected a number, at least zero, or {LOO!r}, which chooses it among `ridges`, got {ridge!r}."
        )
    elif ridges is not None:
        raise ValueError(f"ridges: expected none with ridge={ridge!r}, got {ridges!r}; set ridge={LOO!r} to choose.")
    else:
        check_ridge(ridge)


def choose(
    kernels: Sequence[Callable[[], torch.Tensor]],
    y_train: torch.Tensor,
    scale: torch.Tensor,
    intercept: bool,
    ridges: Sequence[float] | None,
    *,
    features: bool = False,
) -> Choice:
    """The kernel and the ridge with the least mean squared leave-one-out residual, see `loo_errors`.

    Args:
        kernels: functions that make the kernel matrix of the training points.
        y_train: (n, c) targets.
        scale: (n,) square roots of the weights.
        intercept: whether there is one.
        ridges: to choose from; where absent 10^-4, 10^-3.5, ..., 10^3 times the mean diagonal of each kernel.
        features: whether they make (n, p) features, whose products are the kernel.

    Raises:
        ValueError: no ridges are given, and a kernel whose mean diagonal they would be multiples of is zero.
    """
    tried, errors = [], []
    for kernel in kernels:
        matrix = kernel()
        diagonal = matrix.square().sum(1) if features else matrix.diagonal()
        mean = float(scale.square() @ diagonal / scale.square().sum())
        if ridges is None and mean <= 0:
            raise ValueError(
                f"ridges: expected a list of numbers where the mean diagonal of the kernel is {mean:g}, as of blank "
                "rows or landmarks, since None stands for multiples of it; pass some, or append a one to the rows."
            )
        tried.append(_GRID * mean if ridges is None else np.array([float(each) for each in ridges]))
        if features:
            found = low_rank_errors(matrix, y_train, scale, intercept, tried[-1].tolist())
        else:
            flow = weighted_flow(matrix, y_train, 0.0, scale, intercept=intercept)
            found = loo_errors(flow, tried[-1].tolist())
        errors.append(found.cpu().numpy())
    best, at = np.unravel_index(np.argmin(errors), np.shape(errors))
    return Choice(int(best), float(tried[best][at]), np.array(errors), np.array(tried))
