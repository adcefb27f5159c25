"""Removals where the curvature of a loss vanishes and its gradient does not, by the inverse of the Hessian.

On the straight part of Huber's loss there is no L_i⁺ g_i, see `linearized`. What the inverse of the Hessian is to
outputs needs none,

    B_te = J_teᵀ (λI + J S Jᵀ)^-1 J = K_te M,    M = (λI + S K)^-1

and since S K M = I - λM, Newton's step without a set s of points changes outputs by

    f^{-s}(x) - f(x) = B_te,s (I - S_s B_ss)^-1 g_s = K_te M_s (λ M_ss)^-1 g_s
"""

from dataclasses import dataclass

import torch

from ntkif.influence.output_rows import blocks_of, flattened, own_blocks, rows_of

__all__ = ["InverseHessian", "inverse_hessian"]


@dataclass(frozen=True, eq=False)
class InverseHessian:
    """The inverse of the Hessian, as it is to the outputs of n training points.

    Attributes:
        weights: (n c, n c) λ M.
        pull: (n, c) (λ M_ii)^-1 g_i.
        gradient: (n, c) g_i.
        ridge: λ.
    """

    weights: torch.Tensor
    pull: torch.Tensor
    gradient: torch.Tensor
    ridge: float

    def loo_change(self, kernel: torch.Tensor) -> torch.Tensor:
        """(k, n, c) change of the outputs without each point, from the (k c, n c) kernel."""
        n, c = self.gradient.shape
        hessian = (kernel @ self.weights).reshape(-1, c, n, c)
        return torch.einsum("tanb,nb->tna", hessian, self.pull) / self.ridge

    def dual(self, group: torch.Tensor) -> torch.Tensor:
        """(n c,) weights v of the kernel, so that without a set of points outputs change by K_te v."""
        rows = rows_of(group, self.gradient.shape[1])
        pull = torch.linalg.solve(self.weights[rows][:, rows], self.gradient[group].flatten())
        return self.weights[:, rows] @ pull / self.ridge

    def own_change(self, kernel: torch.Tensor) -> torch.Tensor:
        """(n, c) change of each point's own outputs without it, from the (n c, n c) kernel of the training points."""
        n, c = self.gradient.shape
        own = torch.einsum("iap,pib->iab", kernel.reshape(n, c, -1), self.weights.reshape(-1, n, c))
        return torch.einsum("iab,ib->ia", own, self.pull) / self.ridge


def inverse_hessian(
    kernel: torch.Tensor, curvature: torch.Tensor, gradient: torch.Tensor, ridge: float
) -> InverseHessian:
    """From the kernel of n points with c outputs, the (n, c, c) curvatures S_i and the (n, c) gradients g_i."""
    system = flattened(torch.einsum("iab,ijbd->ijad", curvature / ridge, blocks_of(kernel)))
    system.diagonal().add_(1)
    weights = torch.linalg.inv(system)
    pull = torch.linalg.solve(own_blocks(weights, gradient.shape[1]), gradient)
    return InverseHessian(weights, pull, gradient, ridge)
