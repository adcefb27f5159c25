"""Gradient flow of a kernel predictor with weighted points and an intercept, and the ridge that leaves one out best."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ntkif.checks import check_fits, check_matrix, check_training_kernel
from ntkif.regression.flow import KernelFlow, eigenpairs

__all__ = ["WeightedFlow", "loo_errors", "weighted_flow"]


@dataclass(frozen=True, eq=False)
class WeightedFlow(KernelFlow):
    """The flow (3) of Σ_i w_i/2 |g(x_i) + b - y_i|² + λ/2 |g|² from g = 0, its intercept b the best one at every time.

    That is the flow on the kernel K + s 11ᵀ in the limit s -> infinity, where an intercept is learnt at once and the
    rest at the speed of K. With z = √w, e = z / |z| and C = I - e eᵀ it is the plain flow of the targets z y on

        C diag(z) K diag(z) C + τ e eᵀ,    τ the largest eigenvalue of the first,

    but that the mode e, with the weighted mean of the targets, is learnt from the start and has no part in P
    (`WeightedFit`). Its end is that fit.

    Attributes:
        y_train: (n, c) targets z y.
        eigenvalues: (n,) of the matrix above.
        scale: (n,) z.
        mean: (n,) of the rows of K diag(z) over the training points, with their weights.
    """

    scale: torch.Tensor | None = None
    mean: torch.Tensor | None = None

    def test_kernel(self, k_test_train: torch.Tensor) -> torch.Tensor:
        """(k, n) the kernel above between test and training points, from the (k, n) test kernel."""
        scaled = k_test_train * self.scale
        if self.at_once is None:
            return scaled
        scaled -= self.mean
        level = self.scale / self.scale.norm()
        return scaled.addr_(self.eigenvalues[-1] / self.scale.norm() - scaled @ level, level)


@torch.no_grad()
def weighted_flow(
    k_train_train: torch.Tensor, y_train: torch.Tensor, ridge: float, scale: torch.Tensor, *, intercept: bool = True
) -> WeightedFlow:
    """The flow of weighted points, with an intercept or without: one eigendecomposition serves every time and ridge.

    Args:
        k_train_train: (n, n) kernel matrix of n >= 2 training points, float64; not changed.
        y_train: (n, c) targets.
        ridge: penalty λ >= 0.
        scale: (n,) square roots of the weights.
        intercept: whether there is one.

    Raises:
        TypeError, ValueError, MemoryError: as `kernel_flow`.
    """
    check_training_kernel(k_train_train, y_train, ridge, double=True)
    check_matrix("scale", scale[:, None], rows=len(y_train), columns=1, like=y_train)
    check_fits("the scaled kernel", 2, *k_train_train.shape, like=y_train, advice="use fewer training points.")
    kernel, y = k_train_train * scale * scale[:, None], scale[:, None] * y_train
    if not intercept:
        return WeightedFlow(ridge, y, *eigenpairs(kernel), scale=scale)
    mean = kernel @ scale / scale.square().sum()
    at_once = torch.arange(len(y), device=y.device) == len(y) - 1
    return WeightedFlow(ridge, y, *_eigenpairs_apart(kernel, scale / scale.norm()), at_once, scale, mean)


def loo_errors(flow: WeightedFlow, ridges: Sequence[float]) -> torch.Tensor:
    """(r,) weighted mean of the squared leave-one-out residuals, summed over outputs, of the fit with each ridge.

        E(λ) = Σ_i w_i |f^{-i}(x_i) - y_i|² / Σ_i w_i = Σ_i |v_i|² / P_ii² / Σ_i w_i

    Each ridge costs n² (c + 1) multiplications.

    Args:
        flow: of the training points; its own ridge plays no part.
        ridges: r penalties λ; infinity stands where K + λI is singular to rounding.
    """
    slow = slice(None) if flow.at_once is None else ~flow.at_once
    values, vectors = flow.eigenvalues[slow], flow.eigenvectors[:, slow]
    along, squares = vectors.T @ flow.y_train, vectors.square()
    errors = []
    for ridge in ridges:
        rate = values + ridge
        held = rate[0] > 1e-15 * len(rate) * rate[-1]
        left_out = vectors @ (along / rate[:, None]) / (squares @ (1 / rate))[:, None]
        errors.append(left_out.square().sum() if held else values.new_tensor(torch.inf))
    return torch.stack(errors) / flow.scale.square().sum()


def _eigenpairs_apart(kernel: torch.Tensor, level: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Eigenpairs of C kernel C + τ e eᵀ with that of e = level last; the kernel is overwritten.

    The reflection I - m mᵀ takes e to the first axis and C to the others.
    """
    size, mirror = kernel.trace(), level.clone()
    mirror[0] += 1
    mirror *= (2 / mirror.square().sum()).sqrt()
    values, within = eigenpairs(_reflected(_reflected(kernel, mirror).T, mirror)[1:, 1:], size)
    vectors = torch.zeros_like(kernel)
    vectors[1:, :-1], vectors[0, -1] = within, 1
    return torch.cat([values, values[-1:].where(values[-1:] > 0, 1)]), _reflected(vectors, mirror)


def _reflected(matrix: torch.Tensor, mirror: torch.Tensor) -> torch.Tensor:
    """(I - m mᵀ) matrix, in place."""
    return matrix.addr_(mirror, mirror @ matrix, alpha=-1)
