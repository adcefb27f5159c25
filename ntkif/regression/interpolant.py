"""The fit without a ridge, and the training points that are too much alike for it (Eq. 19)."""

import torch

from ntkif.blocks import row_blocks
from ntkif.regression.ridge import RidgeFit, ridge_fit

__all__ = ["alike_pairs", "interpolant"]


_SHOWN = 5  # pairs in an error


@torch.no_grad()
def interpolant(k_train_train: torch.Tensor, y_train: torch.Tensor) -> RidgeFit:
    """The ridgeless fit, which passes through every target; Eq. 19 is about its RKHS norm.

    Args:
        k_train_train: (n, n) kernel matrix of the training points; not changed.
        y_train: (n, c) targets.

    Returns:
        the fit with ridge 0.

    Raises:
        TypeError, ValueError, MemoryError: as `ridge_fit`.
        numpy.linalg.LinAlgError: K is singular to working precision; names its condition number and the pairs of
            training points that are alike.
    """
    from numpy.linalg import LinAlgError

    try:
        return ridge_fit(k_train_train, y_train, 0.0)
    except LinAlgError as failure:
        pairs = alike_pairs(k_train_train)
        shown = ", ".join(f"({i}, {j})" for i, j in pairs[:_SHOWN].tolist()) + (" ..." if len(pairs) > _SHOWN else "")
        found = f"alike to rounding are {len(pairs)} pairs of training points: {shown}"
        nothing = "no two training points are alike, so some are mixtures of several others"
        raise LinAlgError(
            f"{failure} Here {found if len(pairs) else nothing}. An interpolant needs points that differ: keep one of "
            f"each pair, or pass ridge_fit(..., ridge) with a small ridge, whose norm is that of K + ridge I."
        ) from failure


@torch.no_grad()
def alike_pairs(k_train_train: torch.Tensor) -> torch.Tensor:
    """(p, 2) rows i < j of training points so alike that each pair alone makes K singular to working precision.

    The distance of their features is |φ_i - φ_j|^2 = K_ii + K_jj - 2 K_ij, and half of it bounds the smallest
    eigenvalue; as `ridge_fit`, this asks for a condition number below 0.01 / eps.

    Args:
        k_train_train: (n, n) kernel matrix.
    """
    n, diagonal = len(k_train_train), k_train_train.diagonal()
    largest = k_train_train.sum() / n  # a Rayleigh quotient: at most the largest eigenvalue
    tolerance = 200 * torch.finfo(k_train_train.dtype).eps * largest
    found = []
    for rows in row_blocks(n, 512):
        distance = diagonal[rows, None] + diagonal - 2 * k_train_train[rows]
        found.append((distance <= tolerance).triu(rows.start + 1).nonzero() + torch.tensor([rows.start, 0]))
    return torch.cat(found)
