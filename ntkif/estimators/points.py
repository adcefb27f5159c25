"""Rows of a user's table as points of the unit sphere, and kernels between them where some rows are blank."""

import torch

from ntkif.kernels import Kernel
from ntkif.kernels.infinite import of_the_sphere

__all__ = ["kernel_between", "to_sphere"]


def to_sphere(points: torch.Tensor) -> torch.Tensor:
    """(n, d) rows divided by their norm, however long or short they are; a row of zeros stays."""
    largest = points.abs().amax(1, keepdim=True)  # first, since the square of a large or small entry is lost
    points = torch.where(largest > 0, points / largest, 0.0)
    return torch.nn.functional.normalize(points)


def kernel_between(kernel: Kernel, points: torch.Tensor, others: torch.Tensor, block_size: int) -> torch.Tensor:
    """(n, k) kernel of (n, d) and (k, d) points.

    A kernel of the sphere is zero where one of two points is blank, as the output of a network without biases is there.
    A function of the user gets the points as they are.

    Args:
        kernel: of two sets of points.
        points: with rows of norm one, or zero, for a kernel of the sphere.
        others: likewise, or `points` themselves.
        block_size: rows handled at once by a kernel of the sphere.
    """
    if not of_the_sphere(kernel):
        return kernel(points, others)
    pairs = [points] if points is others else [points, others]
    live = [each.any(1) for each in pairs]  # a blank row is put somewhere for the time being
    somewhere = torch.eye(1, points.shape[1], dtype=points.dtype, device=points.device)
    filled = [torch.where(here[:, None], each, somewhere) for each, here in zip(pairs, live, strict=True)]
    matrix = kernel(*filled, block_size=block_size)
    matrix[~live[0]] = 0
    matrix[:, ~live[-1]] = 0
    return matrix
