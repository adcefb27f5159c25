"""Rows of a user's table as points of the unit sphere, and kernels between them where some rows are blank."""

import torch

from ntkif.checks import warn
from ntkif.kernels import Kernel
from ntkif.kernels.infinite import of_the_sphere

__all__ = ["APPEND_ONE", "check_table", "kernel_between", "normalized", "to_sphere", "warn_of_one_direction"]

APPEND_ONE = "append-one"


def to_sphere(points: torch.Tensor) -> torch.Tensor:
    """(n, d) rows divided by their norm, however long or short they are; a row of zeros stays."""
    largest = points.abs().amax(1, keepdim=True)  # first, since the square of a large or small entry is lost
    points = torch.where(largest > 0, points / largest, 0.0)
    return torch.nn.functional.normalize(points)


def normalized(points: torch.Tensor, how: bool | str) -> torch.Tensor:
    """(n, d) rows as they are, on the sphere, or with "append-one" (n, d + 1) on the sphere with a 1 at their end.

    A network with biases is one without on points that end in a constant.

    Raises:
        ValueError: any other way.
    """
    if how not in (True, False, APPEND_ONE):
        raise ValueError(f"normalize: expected True, False or {APPEND_ONE!r}, got {how!r}.")
    if how == APPEND_ONE:
        points = torch.nn.functional.pad(points, (0, 1), value=1.0)
    return to_sphere(points) if how else points


def check_table(X) -> None:
    """Require that a point is a row, not an image.

    Raises:
        ValueError: more than two dimensions.
    """
    if getattr(X, "ndim", 2) > 2:
        shape = tuple(X.shape)
        raise ValueError(
            f"X: expected a table with a row for each point, got shape {shape}; flatten each point into a row, "
            f"X.reshape({shape[0]}, -1)."
        )


def warn_of_one_direction(points: torch.Tensor) -> None:
    """Warn where rows of norm one or zero have one direction, up to a sign: their lengths alone told them apart."""
    live = points[points.any(1)]
    if len(live) > 1 and bool(((live @ live[0]).abs() > 1 - 1e-12).all()):
        warn(
            "X: all rows have the same direction up to a sign, so dividing them by their norm throws away what tells "
            f"them apart; standardise the columns and set normalize={APPEND_ONE!r}, which keeps the length."
        )


def kernel_between(kernel: Kernel, points: torch.Tensor, others: torch.Tensor, block_size: int) -> torch.Tensor:
    """(n, k) kernel of (n, d) and (k, d) points.

    A kernel of the sphere is zero where one of two points is blank, as the output of a network without biases is there.
    A function of the user gets the points as they are; what it gives is taken to their precision.

    Args:
        kernel: of two sets of points.
        points: with rows of norm one, or zero, for a kernel of the sphere.
        others: likewise, or `points` themselves.
        block_size: rows handled at once by a kernel of the sphere.

    Raises:
        TypeError, ValueError: a function of the user gives no tensor of real numbers, or another shape.
    """
    if not of_the_sphere(kernel):
        return _checked(kernel(points, others), points, others)
    pairs = [points] if points is others else [points, others]
    live = [each.any(1) for each in pairs]  # a blank row is put somewhere for the time being
    somewhere = torch.eye(1, points.shape[1], dtype=points.dtype, device=points.device)
    filled = [torch.where(here[:, None], each, somewhere) for each, here in zip(pairs, live, strict=True)]
    matrix = kernel(*filled, block_size=block_size)
    matrix[~live[0]] = 0
    matrix[:, ~live[-1]] = 0
    return matrix


def _checked(matrix: torch.Tensor, points: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    if not isinstance(matrix, torch.Tensor) or matrix.is_complex():
        came = matrix.dtype if isinstance(matrix, torch.Tensor) else type(matrix).__name__
        raise TypeError(f"kernel: expected a function that gives a torch tensor of real numbers, got {came}.")
    if matrix.shape != (len(points), len(others)):
        raise ValueError(
            f"kernel: expected a function that gives the ({len(points)}, {len(others)}) matrix of {len(points)} and "
            f"{len(others)} points, got shape {tuple(matrix.shape)}."
        )
    return matrix.to(points.dtype)
