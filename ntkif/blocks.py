"""Row blocks: the way every large matrix here is filled with bounded working memory."""

from collections.abc import Iterator

import torch

__all__ = ["mirror_upper_", "row_blocks"]


def row_blocks(n: int, block_size: int) -> Iterator[slice]:
    """Slices of at most `block_size` rows that cover `range(n)` in order.

    Raises:
        ValueError: `block_size` is not a positive whole number.

    >>> list(row_blocks(5, 2))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    if int(block_size) != block_size or block_size < 1:
        raise ValueError(f"block_size is the number of rows handled at once: expected 1 or more, got {block_size}.")
    return (slice(start, min(start + int(block_size), n)) for start in range(0, n, int(block_size)))


def mirror_upper_(matrix: torch.Tensor, block_size: int = 512) -> torch.Tensor:
    """Copy the upper triangle of a square matrix onto its lower triangle, in place, and return the matrix."""
    for rows in row_blocks(len(matrix), block_size):
        corner = matrix[rows, rows]
        corner.copy_(corner.triu() + corner.triu(1).T)
        matrix[rows.stop :, rows] = matrix[rows, rows.stop :].T
    return matrix
