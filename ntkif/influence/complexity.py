"""How much a set of training points adds to the complexity of the model: its RKHS norm (Eq. 19)."""

from collections.abc import Sequence

import torch

from ntkif.regression.ridge import RidgeFit

__all__ = ["influence_groups", "norm_increments", "point_increments", "rkhs_norm"]


def rkhs_norm(fit: RidgeFit) -> float:
    """RKHS norm of the interpolant, (Σ_c Y_c^T K^-1 Y_c)^1/2; with a ridge, the same with K + λI in place of K.

    Args:
        fit: of `interpolant`.
    """
    return float((fit.y_train * fit.dual).sum().sqrt())


@torch.no_grad()
def norm_increments(fit: RidgeFit, groups: Sequence[torch.Tensor]) -> torch.Tensor:
    """What each set of training points adds to the RKHS norm of the interpolant (Eq. 19).

        C(S) = (Y^T K^-1 Y)^1/2 - (Y_R^T K_RR^-1 Y_R)^1/2,   R the other points
        Y^T K^-1 Y - Y_R^T K_RR^-1 Y_R = dual_S^T [(K^-1)_SS]^-1 dual_S   (block inverse)

    so that one factorisation serves all sets. Outputs are summed under the root.

    Args:
        fit: of `interpolant`.
        groups: sets of distinct rows of the training set; they may overlap. Working memory for the largest, of s
            points, is s (n + 3 s) numbers.

    Returns:
        (g,) increments, never negative, in the units of the norm.

    Raises:
        ValueError: no set, or one that names a row twice or outside the training set.
    """
    if len(groups) == 0:
        raise ValueError("groups: expected at least one set of training rows, got none.")
    return _increment(fit, torch.stack([_square(fit, group) for group in groups]))


def point_increments(fit: RidgeFit) -> torch.Tensor:
    """(n,) increments of `norm_increments` for each training point alone: C({i}) by Σ_c dual_ic^2 / (K^-1)_ii.

    Args:
        fit: of `interpolant`.
    """
    return _increment(fit, fit.dual.square().sum(1) / fit.inverse.diagonal())


def influence_groups(influence: torch.Tensor, count: int = 10) -> list[torch.Tensor]:
    """Training points in groups of equal size, sorted by influence: group 0 is the most harmful one.

    Args:
        influence: (n,) influence of each training point, for instance its mean over the test points.
        count: number of groups.

    Returns:
        `count` tensors of rows; where n is not a multiple, the first groups have one row more.

    Raises:
        ValueError: fewer points than groups, or not a vector.
    """
    if influence.ndim != 1 or not 1 <= count <= len(influence):
        raise ValueError(
            f"influence: expected a vector of at least {count} numbers, one for each training point, got shape "
            f"{tuple(influence.shape)}; average over test points with influence.mean(0)."
        )
    return list(influence.argsort(stable=True).tensor_split(count))


def _square(fit: RidgeFit, group: torch.Tensor) -> torch.Tensor:
    """Σ_c dual_S^T [(K^-1)_SS]^-1 dual_S, the block form of Eq. 9 with Y^T for K_te, since Y^T K^-1 = dual^T."""
    return -fit.shift_without(fit.y_train.T, group).trace()


def _increment(fit: RidgeFit, square: torch.Tensor) -> torch.Tensor:
    """a^1/2 - (a - b)^1/2 without the loss of digits where b is small."""
    whole = (fit.y_train * fit.dual).sum()
    root = whole.sqrt() + (whole - square).clamp(min=0).sqrt()
    return torch.where(root > 0, square / root, 0.0)  # of targets that are all zero
