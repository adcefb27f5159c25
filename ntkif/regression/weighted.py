"""Kernel ridge regression with an intercept that no penalty holds and a weight for each point, every removal exact."""

from dataclasses import dataclass

import torch

from ntkif.checks import check_group, check_matrix, check_ridge
from ntkif.regression.ridge import RidgeFit, ridge_fit

__all__ = ["WeightedFit", "check_weight", "weighted_fit", "with_weights"]


@dataclass(frozen=True, eq=False)
class WeightedFit(RidgeFit):
    """The minimiser f = g + b of Σ_i w_i/2 |f(x_i) - y_i|² + λ/2 |g|², with g of the kernel and an intercept b.

    With z = √w and A = diag(z) K diag(z) + λI it solves the bordered system

        [A   z] [v]   [z y]
        [zᵀ  0] [b] = [ 0 ],     v = P (z y),   P = A⁻¹ - u uᵀ,   u = A⁻¹z / √(zᵀA⁻¹z),

    and Eq. 9 holds with P for the inverse, since the fit without point i is the one with f^{-i}(x_i) for its target.
    The kernel K + s 11ᵀ has this for its limit as s -> infinity. Without an intercept u = 0.

    A point of weight zero is absent: it moves nothing, its leverage is zero, and both its residuals stand as zero.

    Attributes:
        inverse: A⁻¹.
        dual: (n, c) coefficients z v of the kernel.
        condition: condition number of A.
        scale: (n,) z, square roots of the weights.
        border: (n,) u.
        lift: 1 / √(zᵀA⁻¹z), zero without an intercept.
    """

    scale: torch.Tensor
    border: torch.Tensor
    lift: float

    @property
    def intercept(self) -> torch.Tensor:
        """(c,) b."""
        return self.lift * self.border @ (self.scale[:, None] * self.y_train)

    @property
    def residual(self) -> torch.Tensor:
        """(n, c) training residual f(x_i) - y_i = -λ v_i / z_i."""
        return -self.ridge * self._unscaled(self.solved)

    @property
    def loo_residual(self) -> torch.Tensor:
        """(n, c) leave-one-out residual f^{-i}(x_i) - y_i = -v_i / (z_i P_ii)."""
        return -self._unscaled(self.solved / self.diagonal[:, None])

    @property
    def leverage(self) -> torch.Tensor:
        """(n,) share A_i = 1 - λ P_ii of each target in its own prediction, between 0 and 1."""
        return 1 - self.ridge * self.diagonal

    def predict(self, k_test_train: torch.Tensor) -> torch.Tensor:
        """(k, c) predictions K_te dual + b from the (k, n) test kernel."""
        return super().predict(k_test_train) + self.intercept

    def coefficients(self, k_test_train: torch.Tensor) -> torch.Tensor:
        """(k, n) coefficients: f(x_te) is their product with the targets."""
        scaled = k_test_train * self.scale
        return super().coefficients(scaled).addr_(self._rest(scaled), self.border).mul_(self.scale)

    def shift_without(self, k_test_train: torch.Tensor, group: torch.Tensor) -> torch.Tensor:
        """(k, c) change f^{-S}(x_te) - f(x_te) of the predictions by the removal of a set of training points.

        Raises:
            ValueError: as `check_group`, or an intercept of which no point is left.
        """
        group = check_group(group, len(self.dual)).to(self.dual.device)
        self._check_left(group)
        scaled, border = k_test_train * self.scale, self.border[group]
        alpha = (scaled @ self.inverse[:, group]).addr_(self._rest(scaled), border)
        block = self.inverse[group][:, group].addr(border, border, alpha=-1)
        return -alpha @ torch.linalg.solve(block, self.solved[group])

    @property
    def solved(self) -> torch.Tensor:
        """(n, c) v."""
        return self._unscaled(self.dual)

    @property
    def diagonal(self) -> torch.Tensor:
        """(n,) that of P."""
        return self.inverse.diagonal() - self.border.square()

    def columns(self, rows: torch.Tensor) -> torch.Tensor:
        """(n, r) some columns of P."""
        return self.inverse[:, rows].addr_(self.border, self.border[rows], alpha=-1)

    def _unscaled(self, values: torch.Tensor) -> torch.Tensor:
        """Values over z; those of an absent point are zero and stay."""
        return values / self.scale.where(self.scale > 0, 1)[:, None]

    def _rest(self, scaled: torch.Tensor) -> torch.Tensor:
        """(k,) what the intercept still has to say at each test point: (1 - k_te A⁻¹z) / √(zᵀA⁻¹z)."""
        return self.lift - scaled @ self.border

    def _check_left(self, group: torch.Tensor) -> None:
        left = self.scale.clone()
        left[group] = 0
        if self.lift and not left.any():
            raise ValueError(
                f"group: expected at least one point left, since an intercept is the mean of what is left, got all "
                f"{int(self.scale.count_nonzero())} points; fit without an intercept, where nothing left predicts zero."
            )


@torch.no_grad()
def weighted_fit(
    k_train_train: torch.Tensor,
    y_train: torch.Tensor,
    ridge: float,
    *,
    weight: torch.Tensor | None = None,
    intercept: bool = True,
) -> WeightedFit:
    """`ridge_fit` with an intercept that no penalty holds, and a weight for each point; see `WeightedFit`.

    Args:
        k_train_train: (n, n) kernel matrix of the training points; not changed.
        y_train: (n, c) targets.
        ridge: penalty λ >= 0, above zero where a weight is zero.
        weight: (n,) weights w >= 0 of the squared errors; one each where absent.
        intercept: whether there is one.

    Returns:
        the fit. Peak memory beside `k_train_train` is one more (n, n) matrix, with weights two.

    Raises:
        TypeError, ValueError: as `ridge_fit` and `check_weight`.
        MemoryError, numpy.linalg.LinAlgError: as `ridge_fit`.

    >>> fit = weighted_fit(torch.eye(3), torch.tensor([[1.0], [2.0], [3.0]]), ridge=1.0)
    >>> fit.intercept.tolist(), fit.predict(torch.eye(3)).flatten().tolist()
    ([2.0], [1.5, 2.0, 2.5])
    """
    weight = y_train.new_ones(len(y_train)) if weight is None else weight
    check_weight(weight, y_train, ridge, intercept)
    scale = weight.sqrt()
    kernel = k_train_train if (weight == 1).all() else k_train_train * scale * scale[:, None]
    return with_weights(ridge_fit(kernel, scale[:, None] * y_train, ridge), y_train, scale, intercept)


@torch.no_grad()
def with_weights(scaled: RidgeFit, y_train: torch.Tensor, scale: torch.Tensor, intercept: bool) -> WeightedFit:
    """The weighted fit of the (n, c) targets y from the ridge fit of z y on the kernel diag(z) K diag(z).

    Args:
        scaled: that ridge fit, also one in tiles.
        y_train: (n, c) targets.
        scale: (n,) z, square roots of the weights.
        intercept: whether there is one.
    """
    lift, border = 0.0, torch.zeros_like(scale)
    if intercept:
        solved = (scaled.inverse @ scale[:, None])[:, 0]
        lift = float(scale @ solved) ** -0.5
        border = lift * solved
    dual = scale[:, None] * (scaled.dual - torch.outer(border, border @ scaled.y_train))
    return WeightedFit(scaled.ridge, y_train, scaled.inverse, dual, scaled.condition, scale, border, lift)


def check_weight(weight: torch.Tensor, y_train: torch.Tensor, ridge: float, intercept: bool) -> None:
    """Require a weight for each point, at least zero, and what a fit with them needs.

    Raises:
        TypeError, ValueError: of another shape, dtype or device than the targets, NaN, negative, all zero, zero where
            the ridge is, or with an intercept fewer than two above zero.
    """
    check_ridge(ridge)
    check_matrix("weight", weight[:, None], rows=len(y_train), columns=1, like=y_train)
    counted, least = int((weight > 0).sum()), 2 if intercept else 1
    if weight.min() < 0:
        raise ValueError(f"weight: expected zero or positive numbers, got {float(weight.min()):g}.")
    if counted < least:
        why = ", since an intercept without one of them is that of the others" if intercept else ""
        raise ValueError(
            f"weight: expected at least {least} training point(s) with a weight above zero{why}, "
            f"got n_samples = {counted}."
        )
    if ridge == 0 and counted < len(weight):
        raise ValueError("weight: expected positive ones where the ridge is zero; drop the points of weight zero.")
