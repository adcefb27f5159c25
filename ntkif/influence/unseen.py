"""What leaving out training points does to predictions of the training points by models that have not seen them.

The leave-one-out loss needs no test set: each training point is a test point of the model without it.
"""

import torch

from ntkif.blocks import row_blocks
from ntkif.checks import check_fits, check_group
from ntkif.regression.low_rank import LowRankInverse, low_rank_fit
from ntkif.regression.weighted import WeightedFit, with_weights

__all__ = ["influence_unseen", "loo_residual_without"]

_BLOCK = 2048


@torch.no_grad()
def influence_unseen(fit: WeightedFit, rows: torch.Tensor) -> torch.Tensor:
    """Influence of every training point i on the loss at training points j of the model without j.

        I[j, i] = Σ_c 1/2 (f^{-ij}_c(x_j) - y_jc)^2 - 1/2 (f^{-j}_c(x_j) - y_jc)^2

    With P and v of `WeightedFit`, and D for the diagonal of P, leaving out i moves the leave-one-out residual r_j by

        P_ij (D_j v_i - P_ij v_j) / (z_j D_j (D_i D_j - P_ij^2)).

    Args:
        fit: of n points, all of a weight above zero.
        rows: r training points j.

    Returns:
        (r, n) change of loss, zero for i = j: negative where leaving out i brings the prediction closer to the target
        of j, so where i contradicts that target.

    Raises:
        ValueError: as `check_group`, or a weight of zero.
        MemoryError: the result would not fit in memory.
    """
    rows = check_group(rows, len(fit.dual), "rows").to(fit.dual.device)
    _check_present(fit)
    size = (len(rows), len(fit.dual))
    check_fits("the influence matrix", *size, like=fit.dual, advice="pass fewer rows at once.")
    v, diagonal, p = fit.solved, fit.diagonal, fit.columns(rows).T
    own, at = v[rows], diagonal[rows, None]
    left = (at * diagonal - p.square()) * at * fit.scale[rows, None]
    left[range(len(rows)), rows] = torch.inf  # a point has no part in the model without it
    factor = p / left
    between, square = own @ v.T, own.square().sum(1, keepdim=True)
    shift_by_v = at * between - p * square  # with r = -v / (z D)
    shift_by_shift = at.square() * v.square().sum(1) - 2 * at * p * between + p.square() * square
    return factor * (factor * shift_by_shift / 2 - shift_by_v / (at * fit.scale[rows, None]))


@torch.no_grad()
def loo_residual_without(fit: WeightedFit, group: torch.Tensor) -> torch.Tensor:
    """Leave-one-out residuals of the fit to the training points that are left when a set S goes.

        f^{-S,i}(x_i) - y_i = -v'_i / (z_i P'_ii),   P' = P - P_S (P_SS)⁻¹ P_Sᵀ,   v' = v - P_S (P_SS)⁻¹ v_S

    Args:
        fit: of n points, all of a weight above zero.
        group: s distinct training points.

    Returns:
        (n, c) residuals, NaN at the points of the set.

    Raises:
        ValueError: as `check_group`, a weight of zero, or a set that leaves fewer than two points.
    """
    n = len(fit.dual)
    group = check_group(group, n).to(fit.dual.device)
    _check_present(fit)
    if n - len(group) < 2:
        raise ValueError(f"group: expected at least two points left of {n}, got a set of {len(group)}.")
    if isinstance(fit.inverse, LowRankInverse):
        return _refitted(fit, group)
    p, left = fit.columns(group), []
    factor = torch.linalg.cholesky(p[group])
    own = torch.linalg.solve_triangular(factor, fit.solved[group], upper=False)
    for rows in row_blocks(n, _BLOCK):
        half = torch.linalg.solve_triangular(factor, p[rows].T, upper=False)
        v, diagonal = fit.solved[rows] - half.T @ own, fit.diagonal[rows] - half.square_().sum(0)
        left.append(-v / (fit.scale[rows] * diagonal)[:, None])
    residual = torch.cat(left)
    residual[group] = torch.nan
    return residual


def _refitted(fit: WeightedFit, group: torch.Tensor) -> torch.Tensor:
    """The same by features fitted again, where an (n, s) block of P may not fit, and takes longer."""
    left = torch.ones(len(fit.dual), dtype=torch.bool, device=fit.dual.device)
    left[group] = False
    y, scale = fit.y_train[left], fit.scale[left]
    again = low_rank_fit(fit.inverse.features[left], scale[:, None] * y, fit.ridge)
    residual = torch.full_like(fit.y_train, torch.nan)
    residual[left] = with_weights(again, y, scale, fit.lift > 0).loo_residual
    return residual


def _check_present(fit: WeightedFit) -> None:
    if (fit.scale == 0).any():
        raise ValueError("fit: expected points of a weight above zero; fit to those alone.")
