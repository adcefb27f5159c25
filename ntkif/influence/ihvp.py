"""The classic influence estimate, the implicit Hessian-vector product (IHVP), on a finite network (Eq. 12).

    Î[t, i] = ∇l(x_t)^T (H + damping I)^-1 ∇l(x_i),    H = J J^T + ridge I,    ∇l(x) = J(x) (f(x) - y)

at the weights of the network. The Hessian of a ReLU network has no other part, except on its kinks (appendix, Eq. 56).
`ridge` is that of the training objective (2). `damping` is the solver's own, added to the Hessian to tame it.
"""

import torch

from ntkif.checks import check_matrix, check_ridge, check_unit_rows
from ntkif.influence.linearized import linearized_fit
from ntkif.kernels.tangent import pull_back, push_forward, tangent_kernel
from ntkif.networks.two_layer import TwoLayer

__all__ = ["check_ihvp", "hessian_product", "network_ihvp"]


@torch.no_grad()
def hessian_product(
    network: TwoLayer, x: torch.Tensor, vector: torch.Tensor, shift: float, gates: torch.Tensor | None = None
) -> torch.Tensor:
    """(J J^T + shift I) v, the Hessian of (2) times vectors, with `shift` the ridge (plus damping).

    Args:
        network: with m neurons.
        x: (n, d) training points.
        vector: (..., m, d) vectors, shaped as the first layer.
        shift: what is added to the diagonal.
        gates: (m, n) `network.gates(x)`, for many products at the same points; computed where absent.

    Returns:
        (..., m, d) products.
    """
    gates = network.gates(x) if gates is None else gates
    return pull_back(network, x, push_forward(network, x, vector, gates), gates).add_(vector, alpha=shift)


@torch.no_grad()
def network_ihvp(
    network: TwoLayer,
    x_train: torch.Tensor,
    y_train: torch.Tensor,
    x_test: torch.Tensor,
    y_test: torch.Tensor,
    ridge: float,
    *,
    damping: float = 0.0,
) -> torch.Tensor:
    """IHVP of a finite network (Eq. 12), exactly and at any width, through its own (n c, n c) tangent kernel.

    By the push-through identity (J J^T + λI)^-1 J = J (J^T J + λI)^-1, so that (appendix, Eq. 57)

        Î[t, i] = r_t^T [K_te (K_tr + (ridge + damping) I)^-1]_ti r_i,    r = f - y

    Args:
        network: trained, with c outputs; the Hessian is taken at its weights.
        x_train: (n, d) training points, rows of norm one.
        y_train: (n, c) targets.
        x_test: (k, d) test points, rows of norm one.
        y_test: (k, c) targets.
        ridge: penalty λ of the training objective.
        damping: added to the Hessian, to see what a damped solver tends to.

    Returns:
        (k, n) estimated change of loss; positive means helpful.

    Raises:
        TypeError, ValueError: wrong shapes, dtypes or devices, NaN, rows not of norm one, a ridge or damping below
            zero, or zero in sum.
        MemoryError: the kernel or its inverse would not fit in memory.
        numpy.linalg.LinAlgError: the system is singular to working precision.
    """
    check_ihvp(network, x_train, y_train, x_test, y_test, ridge, damping)
    residual, test_residual = network.predict(x_train) - y_train, network.predict(x_test) - y_test
    fit = linearized_fit(tangent_kernel(network, x_train), residual, ridge, damping=damping)
    return fit.ihvp_influence(tangent_kernel(network, x_test, x_train), test_residual)


def check_ihvp(network: TwoLayer, x_train, y_train, x_test, y_test, ridge: float, damping: float) -> float:
    """Check the input of an IHVP; returns what is added to J J^T, the ridge and the damping."""
    columns, outputs = network.weights.shape[1], network.signs.shape[1]
    for name, x, y in (("train", x_train, y_train), ("test", x_test, y_test)):
        check_matrix(f"x_{name}", x, columns=columns, like=network.weights)
        check_unit_rows(f"x_{name}", x)
        check_matrix(f"y_{name}", y, rows=len(x), columns=outputs, like=network.weights)
    check_ridge(ridge)
    if not damping >= 0:
        raise ValueError(f"damping: expected zero or a positive number, got {damping}.")
    check_ridge(ridge + damping, positive=True)
    return ridge + damping
