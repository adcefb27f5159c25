"""A trained network, linearised at its parameters, as kernel ridge regression with its empirical NTK.

Where the parameters θ̂ minimise the objective that the network was trained on,

    Σ_i 1/2 |f(x_i; θ) - y_i|² + λ/2 |θ - θ(0)|²                                                            (Eq. 2)

the linearised network is the kernel ridge fit, with the kernel K = JᵀJ of its own Jacobian, of the targets
-(K + λI) r / λ, where r = f(X; θ̂) - y are the residuals that training left: those of the fit are r again. So all that
Eq. 9 knows of kernel ridge fits holds for it, and without training point i a prediction changes by

    f^{-i}(x) - f(x) = α(x_i, x) (I - A_i)^-1 r_i,    α(x_i, x) = [K_te (K + λI)^-1]_i,    A_i = [K (K + λI)^-1]_ii

In term I of the influence (Eq. 14) the IHVP lacks (I - A_i)^-1, and it has no term II. With c outputs K is an
(n c, n c) matrix, α and A_i are (c, c) blocks, and a point is removed with its c rows.

For another loss let g_i be its gradient and S_i = L_i L_iᵀ its curvature at the outputs of point i. To second order in
the parameters the same holds with L_iᵀ K_ij L_j in place of K_ij, K_te L_i in place of K_te, and L_i⁺ g_i in place of
r_i. Where a curvature vanishes and its gradient does not, there is no L_i⁺ g_i: see `inverse_hessian`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from ntkif.checks import check_fits, check_group, check_matrix, check_ridge
from ntkif.influence.closed_form import ihvp_influence, loo_influence
from ntkif.influence.curvature import whiten
from ntkif.influence.inverse_hessian import InverseHessian, inverse_hessian
from ntkif.influence.output_rows import blocks_of, flattened, own_blocks, rows_of
from ntkif.regression.ridge import RidgeFit, ridge_fit

__all__ = ["LinearizedFit", "linearized_fit"]


@dataclass(frozen=True, eq=False)
class LinearizedFit:
    """A trained network, linearised at its parameters, as a kernel ridge fit on its empirical NTK.

    Attributes:
        fit: of the moved targets: n rows and c columns where the outputs do not couple, else n c rows and one column.
        residual: (n, c) predictions of the network minus targets, or what stands for them with another loss.
        root: (n, c, c) factors L_i of the curvature of another loss; None for half squares.
        own_change: (n, c) change of each training point's own outputs without it, for another loss.
        beyond: where a curvature vanishes and its gradient does not, what tells of removals there; else None.
    """

    fit: RidgeFit
    residual: torch.Tensor
    root: torch.Tensor | None = None
    own_change: torch.Tensor | None = None
    beyond: InverseHessian | None = None

    @property
    def by_residuals(self) -> bool:
        """Whether `loo_influence` gives influences, from residuals, without the changes of the outputs."""
        return self.root is None

    @property
    def coupled(self) -> bool:
        """Whether the fit has a row for each output of a point."""
        return len(self.fit.dual) > len(self.residual)

    @property
    def leverage(self) -> torch.Tensor:
        """A_i: (n,) where the outputs do not couple, else (n, c, c)."""
        if not self.coupled:
            return self.fit.leverage
        own = torch.eye(self.residual.shape[1], dtype=self.residual.dtype, device=self.residual.device)
        return own - self.fit.ridge * self._own_blocks()

    @property
    def largest_leverage(self) -> torch.Tensor:
        """(n,) largest eigenvalue of each A_i."""
        return torch.linalg.eigvalsh(self.leverage)[:, -1] if self.coupled else self.leverage

    @property
    def freedom(self) -> torch.Tensor:
        """(n,) trace of each A_i, with a row for each output."""
        if self.coupled:
            return self.leverage.diagonal(dim1=1, dim2=2).sum(1)
        return self.leverage * self.residual.shape[1]

    @property
    def loo_residual(self) -> torch.Tensor:
        """(n, c) leave-one-out residual f^{-i}(x_i) - y_i = (I - A_i)^-1 r_i."""
        if not self.coupled:
            return self.fit.loo_residual
        return -torch.linalg.solve(self._own_blocks(), self.fit.dual.reshape_as(self.residual))

    def loo_change(self, k_test_train: torch.Tensor) -> torch.Tensor:
        """(k, n, c) by how much each prediction changes without each training point, f^{-i}(x_te) - f(x_te).

        Args:
            k_test_train: (k, n) or (k, n, c, c) kernel between test and training points.
        """
        size = (len(k_test_train), *self.residual.shape)
        check_fits("the changes", *size, like=self.residual, advice="pass fewer test points at once.")
        if self.beyond is not None:
            return self.beyond.loo_change(flattened(self._checked(k_test_train)))
        coefficients = self.fit.coefficients(self._flat(k_test_train))
        n, c = self.residual.shape
        if not self.coupled:
            return coefficients[:, :, None] * self.loo_residual
        return torch.einsum("tanb,nb->tna", coefficients.reshape(-1, c, n, c), self.loo_residual)

    @property
    def self_change(self) -> torch.Tensor:
        """(n, c) by how much each training point's own prediction changes without it."""
        return self.loo_residual - self.residual if self.own_change is None else self.own_change

    def loo_influence(self, k_test_train: torch.Tensor, test_residual: torch.Tensor) -> torch.Tensor:
        """(k, n) leave-one-out influence in half squared errors; positive means helpful.

        Args:
            k_test_train: (k, n) or (k, n, c, c) kernel between test and training points.
            test_residual: (k, c) predictions of the network minus targets.

        Raises:
            ValueError: the network was trained on another loss; take the loss of its predictions plus `loo_change`.
        """
        self._check_squares()
        if not self.coupled:
            return loo_influence(self.fit, *self._moved(k_test_train, test_residual))
        return _of_squares(self.loo_change(k_test_train), test_residual)

    def group_influence(
        self, k_test_train: torch.Tensor, test_residual: torch.Tensor, groups: Sequence[torch.Tensor]
    ) -> torch.Tensor:
        """(k, g) influence of whole sets of training points.

        Args:
            k_test_train: (k, n) or (k, n, c, c) kernel between test and training points.
            test_residual: (k, c) predictions of the network minus targets.
            groups: g sets, each a list of distinct training rows.
        """
        self._check_squares()
        self._check_residual(k_test_train, test_residual)
        return _of_squares(self.group_change(k_test_train, groups), test_residual)

    def group_change(self, k_test_train: torch.Tensor, groups: Sequence[torch.Tensor]) -> torch.Tensor:
        """(k, g, c) by how much each prediction changes without whole sets of training points.

        Args:
            k_test_train: (k, n) or (k, n, c, c) kernel between test and training points.
            groups: g sets, each a list of distinct training rows.
        """
        n, c = self.residual.shape
        groups = [check_group(group, n).to(self.residual.device) for group in groups]
        if self.beyond is not None:
            kernel = flattened(self._checked(k_test_train))
            changes = [kernel @ self.beyond.dual(group) for group in groups]
        else:
            flat, own = self._flat(k_test_train), c if self.coupled else 1
            changes = [self.fit.shift_without(flat, rows_of(group, own)) for group in groups]
        return torch.stack([change.reshape(-1, c) for change in changes], 1)

    def loo_dual(self, row: int) -> torch.Tensor:
        """(n, c) weights v of the kernel, so that without a training point predictions change by K_te v.

        So J v is the movement of the parameters.
        """
        c = self.residual.shape[1]
        if self.beyond is not None:
            return self.beyond.dual(torch.tensor([row], device=self.residual.device)).reshape_as(self.residual)
        if not self.coupled and self.root is None:
            return self.fit.inverse[:, row, None] * self.loo_residual[row]
        own = torch.arange(row * c, row * c + c) if self.coupled else torch.tensor([row])
        return self._rooted(self.fit.inverse[:, own] @ self.loo_residual[row])

    def _rooted(self, weights: torch.Tensor) -> torch.Tensor:
        """(n, c) weights of the outputs, from those of the rows of the fit."""
        weights = weights.reshape(self.residual.shape)
        return weights if self.root is None else torch.einsum("nab,nb->na", self.root, weights)

    def ihvp_influence(self, k_test_train: torch.Tensor, test_residual: torch.Tensor) -> torch.Tensor:
        """(k, n) the classic estimate (Eq. 12) at the network's own Hessian; arguments as `loo_influence`."""
        if not self.coupled:
            return ihvp_influence(self.fit, *self._moved(k_test_train, test_residual))
        flat, _ = self._moved(k_test_train, test_residual)
        pull = torch.einsum("tan,ta->tn", flat.reshape(*test_residual.shape, -1), test_residual)
        return (self.fit.coefficients(pull).reshape(-1, *self.residual.shape) * self.residual).sum(2)

    def _check_squares(self) -> None:
        if self.root is not None:
            raise ValueError(
                "expected a network trained on half squared errors, but the fit has the curvature of another loss; "
                "take that loss of the predictions plus `loo_change`, as network_influence does."
            )

    def _check_residual(self, k_test_train: torch.Tensor, test_residual: torch.Tensor) -> None:
        check_matrix("test_residual", test_residual, len(k_test_train), self.residual.shape[1], like=self.residual)

    def _own_blocks(self) -> torch.Tensor:
        """(n, c, c) blocks of (K + λI)^-1 on its diagonal."""
        return own_blocks(self.fit.inverse, self.residual.shape[1])

    def _moved(self, k_test_train: torch.Tensor, test_residual: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Kernel, and targets so moved that the fit's residual is the network's; rows of outputs where they couple."""
        self._check_residual(k_test_train, test_residual)
        flat = self._flat(k_test_train)
        prediction = self.fit.predict(flat)
        return flat, prediction - test_residual.reshape_as(prediction)

    def _checked(self, k_test_train: torch.Tensor) -> torch.Tensor:
        wanted = 4 if self.coupled else 2
        if k_test_train.ndim != wanted:
            raise ValueError(
                f"k_test_train: expected {wanted} dimensions as the training kernel, "
                f"got shape {tuple(k_test_train.shape)}; make both with tangent_kernel(..., traced=...) alike."
            )
        return k_test_train

    def _flat(self, k_test_train: torch.Tensor) -> torch.Tensor:
        k_test_train = self._checked(k_test_train)
        if self.root is not None:
            k_test_train = torch.einsum("tnab,nbe->tnae", blocks_of(k_test_train), self.root)
        return flattened(k_test_train)


@torch.no_grad()
def linearized_fit(
    k_train_train: torch.Tensor,
    residual: torch.Tensor,
    ridge: float,
    *,
    damping: float = 0.0,
    curvature: torch.Tensor | None = None,
    flat: bool = False,
) -> LinearizedFit:
    """The linearised network from its empirical NTK and its residuals.

    Args:
        k_train_train: (n, n) or (n, n, c, c) tangent kernel of the training points, see `tangent_kernel`.
        residual: (n, c) predictions of the network minus targets; the gradient of the loss, for another loss.
        ridge: penalty λ of the training.
        damping: added to the ridge, for a network trained without one; see `network_influence`.
        curvature: (n, c, c) second derivatives of another loss by the outputs; needs the coupled kernel.
        flat: whether a curvature may vanish where its gradient does not; takes twice the memory where one does.

    Returns:
        the fit, whose residuals are `residual`, or with a curvature L_i⁺ g_i.

    Raises:
        TypeError, ValueError: wrong shapes, NaN, a kernel that is not symmetric, a ridge or damping below zero, or
            zero in sum; a curvature with a negative eigenvalue; a gradient outside the range of its curvature.
        MemoryError, numpy.linalg.LinAlgError: as `ridge_fit`.
    """
    check_matrix("residual", residual, rows=len(k_train_train))
    n, c = residual.shape
    allowed = [(n, n)] * (curvature is None or c == 1) + [(n, n, c, c)] * (c > 1)
    if k_train_train.shape not in allowed:
        raise ValueError(
            f"k_train_train: expected shape {' or '.join(map(str, allowed)) or 'of several outputs'} "
            f"for residuals of shape {(n, c)}, got {tuple(k_train_train.shape)}."
        )
    check_ridge(ridge)
    if not damping >= 0:
        raise ValueError(f"damping: expected zero or a positive number, got {damping}.")
    check_ridge(ridge + damping, positive=True)
    shift = ridge + damping
    if curvature is None:
        return LinearizedFit(_moved_fit(flattened(k_train_train), residual, shift), residual)
    gradient = residual
    root, residual, within = whiten(curvature, gradient, flat)
    pulled = torch.einsum("iba,ijbd->ijad", root, blocks_of(k_train_train))
    fit = _moved_fit(flattened(torch.einsum("ijad,jde->ijae", pulled, root)), residual, shift)
    if not within:
        beyond = inverse_hessian(k_train_train, curvature, gradient, shift)
        return LinearizedFit(fit, residual, root, beyond.own_change(flattened(k_train_train)), beyond)
    found = LinearizedFit(fit, residual, root)
    weights = torch.einsum("jaib,ib->jai", fit.inverse.reshape(n, c, n, c), found.loo_residual)
    return replace(found, own_change=torch.einsum("jiad,jai->id", pulled, weights))


def _moved_fit(kernel: torch.Tensor, residual: torch.Tensor, ridge: float) -> RidgeFit:
    """Of the targets whose fit has these residuals."""
    right = residual.reshape(len(kernel), -1)
    return ridge_fit(kernel, -(kernel @ right) / ridge - right, ridge)


def _of_squares(change: torch.Tensor, residual: torch.Tensor) -> torch.Tensor:
    """(k, r) what changes (k, r, c) of the predictions do to half the squares of their (k, c) residuals."""
    return (change * (residual[:, None] + change / 2)).sum(2)
