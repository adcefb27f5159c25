"""A few columns of (K + λI)^-1 where its factor takes too long: conjugate gradients, which features make few."""

import torch

from ntkif.blocks import row_blocks
from ntkif.checks import check_fits, check_matrix
from ntkif.regression.nystrom import FeatureFit

__all__ = ["solve_columns"]

_Tiles = list[list[torch.Tensor]]


@torch.no_grad()
def solve_columns(
    x: torch.Tensor,
    right: torch.Tensor,
    features: FeatureFit,
    *,
    dtype: torch.dtype | None = None,
    tolerance: float = 1e-6,
    iterations: int = 100,
    tile: int = 2048,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Solve (K + λI) s = b for some right-hand sides at once, by conjugate gradients on the kernel in memory.

    The lower triangle of the kernel is kept, n² / 2 numbers. The fit in feature space, whose inverse is
    (b - ψ ψᵀ b) / λ with ψ its features, is the preconditioner: it takes the large eigenvalues away.

    Args:
        x: (n, d) training points.
        right: (n, s) right-hand sides.
        features: fit of the same points in feature space, which gives the kernel and the ridge too.
        dtype: of the kernel and the iteration, that of the points where absent; float32 takes half the memory.
        tolerance: residual |b - (K + λI) s| / |b| at which to stop, for all right-hand sides.
        iterations: at most.
        tile: points handled at once.

    Returns:
        (n, s) solution, in `dtype`, and (s,) residuals, computed anew at the end.

    Raises:
        TypeError, ValueError: wrong shapes or NaN.
        MemoryError: the triangle would not fit.
    """
    check_matrix("right", right, rows=len(x))
    small = x.to(dtype or x.dtype)
    right = right.to(small)
    check_fits("half of the kernel", len(x), len(x) // 2 + tile, like=small, advice="use float32 or fewer points.")
    psi = features.features(x).to(small)
    tiles = [
        [features.kernel(small[rows], small[columns]) for columns in row_blocks(rows.stop, tile)]
        for rows in row_blocks(len(x), tile)
    ]
    size, solution, left = right.norm(dim=0), torch.zeros_like(right), right.clone()
    direction = solved = left - psi @ (psi.T @ left)
    for _ in range(iterations):
        image = _product(tiles, direction, features.ridge)
        inner = (left * solved).sum(0)
        step = inner / (direction * image).sum(0).clamp_min(torch.finfo(small.dtype).tiny)
        solution += step * direction
        left -= step * image
        if (left.norm(dim=0) <= tolerance * size).all():
            break
        solved = left - psi @ (psi.T @ left)
        direction = solved + (left * solved).sum(0) / inner.clamp_min(torch.finfo(small.dtype).tiny) * direction
    left = (right - _product(tiles, solution, features.ridge)).norm(dim=0)
    return solution, torch.where(size > 0, left / size, left)


def _product(tiles: _Tiles, v: torch.Tensor, ridge: float) -> torch.Tensor:
    """(K + λI) v by the lower triangle of tiles."""
    out = ridge * v
    parts, sums = (each.split([len(row[-1]) for row in tiles]) for each in (v, out))
    for i, row in enumerate(tiles):
        for j, tile in enumerate(row):
            sums[i].addmm_(tile, parts[j])
            if j < i:
                sums[j].addmm_(tile.T, parts[i])
    return out
