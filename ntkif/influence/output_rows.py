"""Kernels of several outputs as matrices with a row for each output, those of a point side by side."""

import torch

__all__ = ["blocks_of", "flattened", "own_blocks", "rows_of"]


def blocks_of(kernel: torch.Tensor) -> torch.Tensor:
    """(n, k, c, c), where a single output has none of its own."""
    return kernel[:, :, None, None] if kernel.ndim == 2 else kernel


def flattened(kernel: torch.Tensor) -> torch.Tensor:
    """(n, k, c, c) as (n c, k c); (n, k) as it is."""
    if kernel.ndim == 2:
        return kernel
    n, k, c, _ = kernel.shape
    return kernel.transpose(1, 2).reshape(n * c, k * c)


def own_blocks(matrix: torch.Tensor, outputs: int) -> torch.Tensor:
    """(n, c, c) blocks of an (n c, n c) matrix on its diagonal."""
    n = len(matrix) // outputs
    return matrix.reshape(n, outputs, n, outputs).diagonal(dim1=0, dim2=2).movedim(-1, 0)


def rows_of(group: torch.Tensor, outputs: int) -> torch.Tensor:
    """(s c,) rows of the outputs of a set of points."""
    return (group[:, None] * outputs + torch.arange(outputs, device=group.device)).flatten()
