"""Kernel ridge regression with the part of a kernel that some landmarks span, exact there: n p numbers in place of n².

With p landmarks Z and a root R of the pseudo-inverse of K(Z, Z), R Rᵀ = K(Z, Z)⁺, the rows φ(x) = K(x, Z) R have the
products of the Nyström kernel, φ(x)·φ(z) = K(x, Z) K(Z, Z)⁺ K(Z, z). For the (n, p) rows Φ of the training points

    (ΦΦᵀ + λI)⁻¹ = (I - Φ (ΦᵀΦ + λI)⁻¹ Φᵀ) / λ

so that a `RidgeFit` with that inverse has all its leave-one-out fits exactly, with landmarks and root held fixed.
`nystrom` has the same fit for rows that no memory holds, and no intercept or weights.
"""

from collections.abc import Sequence

import torch

from ntkif.blocks import row_blocks
from ntkif.checks import check_fits, check_matrix, check_ridge
from ntkif.regression.nystrom import cholesky_factor
from ntkif.regression.ridge import RidgeFit

__all__ = ["LowRankInverse", "landmark_root", "low_rank_errors", "low_rank_fit"]


class LowRankInverse:
    """(ΦΦᵀ + λI)⁻¹: what a `RidgeFit` asks of its inverse, which is never formed.

    Args:
        features: (n, p) rows Φ.
        factor: (p, p) lower triangular L with L Lᵀ = ΦᵀΦ + λI.
        ridge: penalty λ.
        diagonal: (n,) that of the inverse, (1 - A_i) / λ; computed where absent.
    """

    def __init__(
        self, features: torch.Tensor, factor: torch.Tensor, ridge: float, diagonal: torch.Tensor | None = None
    ):
        self.features, self.factor, self.ridge = features, factor, ridge
        if diagonal is None:
            blocks = row_blocks(len(features), len(factor))
            diagonal = (1 - torch.cat([_leverage(features[rows], factor) for rows in blocks])) / ridge
        self._diagonal = diagonal

    @property
    def shape(self) -> tuple[int, int]:
        """(n, n)."""
        return (len(self.features), len(self.features))

    def diagonal(self) -> torch.Tensor:
        """(n,) its diagonal."""
        return self._diagonal

    def __matmul__(self, right: torch.Tensor) -> torch.Tensor:
        """(n, c) solution of (ΦΦᵀ + λI) s = right."""
        return self.features.mm(self._solved(self.features.T @ right)).neg_().add_(right).div_(self.ridge)

    def __rmatmul__(self, left: torch.Tensor) -> torch.Tensor:
        """(k, n) product with a (k, n) matrix from the left."""
        return (self @ left.T).T

    def __getitem__(self, rows) -> torch.Tensor:
        """(s, n) rows of the inverse; with `[:, rows]` its (n, s) columns."""
        columns = isinstance(rows, tuple)
        chosen = rows[1] if columns else rows
        found = self.features.mm(self._solved(self.features[chosen].T)).neg_()
        found[chosen, range(len(chosen))] += 1
        found.div_(self.ridge)
        return found if columns else found.T

    def _solved(self, right: torch.Tensor) -> torch.Tensor:
        return torch.cholesky_solve(right, self.factor)


def _leverage(features: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    return torch.linalg.solve_triangular(factor, features.T, upper=False).square_().sum(0)


@torch.no_grad()
def landmark_root(k_landmarks: torch.Tensor) -> torch.Tensor:
    """(p, r) root R of the pseudo-inverse of the (p, p) kernel of the landmarks, r its rank to working precision.

    Landmarks may be alike, or the same.
    """
    values, vectors = torch.linalg.eigh(k_landmarks)
    live = values > len(values) * torch.finfo(values.dtype).eps * values[-1]
    return vectors[:, live] / values[live].sqrt()


@torch.no_grad()
def low_rank_fit(features: torch.Tensor, y_train: torch.Tensor, ridge: float) -> RidgeFit:
    """`ridge_fit` on the kernel ΦΦᵀ.

    Args:
        features: (n, p) rows Φ; kept, not copied.
        y_train: (n, c) targets.
        ridge: penalty λ > 0.

    Returns:
        the fit. Its `inverse` is a `LowRankInverse`, its `condition` that of ΦΦᵀ + λI in the 2-norm.

    Raises:
        TypeError, ValueError: wrong shapes or NaN, a ridge that is not positive.
        MemoryError: it would not fit.
        numpy.linalg.LinAlgError: the ridge is below what the precision can see beside the features.
    """
    check_matrix("features", features)
    check_matrix("y_train", y_train, rows=len(features), like=features)
    check_ridge(ridge, positive=True)
    n, p = features.shape
    check_fits("the fit in features", n + 4 * p, p, like=features, advice="use fewer landmarks.")
    gram = features.T @ features
    condition = 1 + float(torch.linalg.eigvalsh(gram)[-1]) / ridge
    gram.diagonal().add_(ridge)
    factor = cholesky_factor(gram, "ridge: expected one that the precision can see beside the features")
    inverse = LowRankInverse(features, factor, ridge)
    return RidgeFit(ridge, y_train, inverse, inverse @ y_train, condition)


@torch.no_grad()
def low_rank_errors(
    features: torch.Tensor, y_train: torch.Tensor, scale: torch.Tensor, intercept: bool, ridges: Sequence[float]
) -> torch.Tensor:
    """(r,) what `loo_errors` has for the kernel ΦΦᵀ, from the eigenpairs s, V of a (p, p) matrix.

    With z the square roots of the weights, C the projection off z where there is an intercept and U the columns of
    C diag(z) Φ V / √s,

        λ P = C - U diag(s / (s + λ)) Uᵀ.

    Args:
        features: (n, p) rows Φ.
        y_train: (n, c) targets.
        scale: (n,) z.
        intercept: whether there is one.
        ridges: penalties λ; infinity stands for one that is not positive, since p features are fewer than n points.
    """
    level = scale / scale.norm() if intercept else torch.zeros_like(scale)
    y, rows = (scale[:, None] * each for each in (y_train, features))
    y, rows = (each - torch.outer(level, level @ each) for each in (y, rows))
    values, vectors = torch.linalg.eigh(rows.T @ rows)
    values = values.clamp_min(0)
    along = rows @ vectors
    moved, squares, whole = along.T @ y, along.square(), 1 - level.square()
    errors = []
    for ridge in ridges:
        if ridge <= 0:
            errors.append(y.new_tensor(torch.inf))
            continue
        shrunk = 1 / (values + ridge)  # of U diag(s / (s + λ)) Uᵀ = C diag(z) Φ V (s + λ)⁻¹ Vᵀ Φᵀ diag(z) C
        left_out = (y - along @ (shrunk[:, None] * moved)) / (whole - squares @ shrunk)[:, None]
        errors.append(left_out.square().sum())
    return torch.stack(errors) / scale.square().sum()
