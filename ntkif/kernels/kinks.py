"""Weights that rest on kinks of the ReLU, and the tangent kernel of a network that stays there (beyond the paper).

Gradient descent from small weights draws some neurons to where w_r·x_i = 0 for some training point i. The gradient
there points at the kink from both sides, so the neuron stays, hopping to and fro. If another point is removed it still
stays: of its movements only those at right angles to x_i are free, and the tangent kernel counts too many.
"""

from collections.abc import Sequence

import torch

from ntkif.checks import check_matrix
from ntkif.kernels.tangent import pull_back, tangent_kernel
from ntkif.networks.two_layer import TwoLayer

__all__ = ["kernel_on_kinks", "next_step", "resting_pairs"]

_DEPENDENT = 1000  # roundings, of the largest singular value: points that span a direction by less do not span it


@torch.no_grad()
def resting_pairs(
    network: TwoLayer,
    start: TwoLayer,
    x: torch.Tensor,
    y: torch.Tensor,
    ridge: float,
    *,
    learning_rate: float,
    looks: Sequence[int] = (1, 2, 3),
) -> torch.Tensor:
    """(m, n) pairs of neuron and training point that rest on a kink: their gate still switches after training.

    Args:
        network: trained by gradient descent; it takes a few steps more here.
        start: the same before training.
        x: (n, d) training points.
        y: (n, c) targets.
        ridge: penalty λ.
        learning_rate: step size.
        looks: further steps after which the gates are looked at.

    Returns:
        true where a gate at one of the looks differs from that at the end of training.
    """
    ended = network.gates(x)
    resting = torch.zeros_like(ended)
    for epoch in range(1, max(looks) + 1):
        network = next_step(network, start, x, y, ridge, learning_rate=learning_rate)
        if epoch in looks:
            resting |= network.gates(x) != ended
    return resting


@torch.no_grad()
def next_step(
    network: TwoLayer, start: TwoLayer, x: torch.Tensor, y: torch.Tensor, ridge: float, *, learning_rate: float
) -> TwoLayer:
    """The network after one more step of gradient descent (Eq. 3), as `train` would take it.

    Args:
        network: trained by gradient descent.
        start: the same before training.
        x: (n, d) training points.
        y: (n, c) targets.
        ridge: penalty λ.
        learning_rate: step size.
    """
    gradient = pull_back(network, x, network.predict(x) - y) + ridge * (network.weights - start.weights)
    return TwoLayer(network.weights - learning_rate * gradient, network.signs)


@torch.no_grad()
def kernel_on_kinks(
    network: TwoLayer, resting: torch.Tensor, points: torch.Tensor, x: torch.Tensor, z: torch.Tensor | None = None
) -> torch.Tensor:
    """The tangent kernel of a network whose neurons move along the kinks that they rest on, and not across.

        K(x, z) = 1/m Σ_r 1[w_r·x > 0] 1[w_r·z > 0] x·P_r z

    with P_r the projection at right angles to the training points on whose kink neuron r rests. A neuron on a kink of
    the very point that is removed would be free without it; this kernel holds it too.

    Args:
        network: trained, of one output.
        resting: (m, n) pairs of neuron and training point, of dtype bool.
        points: (n, d) training points.
        x: (k, d) points.
        z: (l, d) points; `x` itself where absent.

    Returns:
        (k, l) kernel.

    Raises:
        TypeError, ValueError: as `tangent_kernel`; several outputs; or pairs of another shape.
    """
    if network.signs.shape[1] != 1:
        raise ValueError(f"network: expected one output, got {network.signs.shape[1]}.")
    check_matrix("points", points, columns=network.weights.shape[1], like=network.weights)
    if resting.shape != (len(network.weights), len(points)):
        wanted = (len(network.weights), len(points))
        raise ValueError(f"resting: expected pairs of shape {wanted}, got {tuple(resting.shape)}.")
    z = x if z is None else z
    kernel = tangent_kernel(network, x, z)
    gates_x = network.gates(x)
    gates_z = gates_x if z is x else network.gates(z)
    for r in resting.any(1).nonzero()[:, 0].tolist():
        across = _span(points[resting[r]])
        one, other = (gates[r, :, None] * (rows @ across) for gates, rows in ((gates_x, x), (gates_z, z)))
        kernel.addmm_(one, other.T, alpha=-1 / len(network.weights))
    return kernel


def _span(points: torch.Tensor) -> torch.Tensor:
    """(d, rank) orthonormal basis of what the rows span; copies and other dependent points add nothing to it."""
    _, sizes, directions = torch.linalg.svd(points, full_matrices=False)
    return directions[sizes > _DEPENDENT * torch.finfo(points.dtype).eps * sizes[0]].T
