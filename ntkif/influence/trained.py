"""Influence of a trained network, for users: input is checked, then `network` computes (beyond the paper)."""

import torch

from ntkif.checks import check_matrix, check_ridge
from ntkif.influence import network as own_kernel
from ntkif.networks.losses import SQUARES, Loss
from ntkif.networks.modules import check_module, trained_parameters
from ntkif.networks.two_layer import Network

__all__ = ["network_influence"]


@torch.no_grad()
def network_influence(
    network: Network | torch.nn.Module,
    x_train: torch.Tensor,
    y_train: torch.Tensor,
    x_test: torch.Tensor,
    y_test: torch.Tensor,
    ridge: float,
    *,
    start: Network | torch.nn.Module | None,
    damping: float = 0.0,
    loss: Loss = SQUARES,
    traced: bool = False,
    tolerance: float = 0.3,
    block_size: int = 256,
    **blocks,
) -> torch.Tensor:
    """Leave-one-out influence of a trained network, from its own kernel and its own residuals.

    Exact for the network linearised at its parameters, where these minimise the sum of half squared errors plus the
    ridge (Eq. 2). What else is approximate where the network was trained otherwise:

    - on another loss: its curvature is taken at the trained network, so the formula is one Newton step.
    - without a ridge, or stopped early: the parameters minimise nothing, and `damping` stands for what stopped them
      (gradient descent for a time t resembles a ridge of about 1/t). Measure it where it matters.

    Args:
        network: trained, with c outputs; a `Network`, or a torch module as for `module_kernel`.
        x_train: (n, ...) training points.
        y_train: (n, c) targets.
        x_test: (k, ...) test points.
        y_test: (k, c) targets.
        ridge: penalty λ of the training.
        start: the network before training, to which the penalty refers; how far the gradient of the objective is from
            zero is then checked. None: no check, for a network that was trained otherwise.
        damping: added to the ridge.
        loss: that of the training and of the influence; another than half squares needs several outputs.
        traced: whether to take the traced kernel, see `tangent_kernel`.
        tolerance: largest `gradient_share` allowed. ReLU networks do not get to zero: on kinks the gradient jumps.
        block_size: test points handled at once.
        **blocks: for the kernel of a torch module, see `module_kernel`.

    Returns:
        (k, n) change of loss; positive means helpful.

    Raises:
        NotStationaryError: the gradient is larger than the tolerance allows; the error says by how much.
        TypeError, ValueError: wrong shapes, dtypes or NaN; a module in training mode, even in part; a start of other
            shapes; neither ridge nor damping, or a start without a ridge; or another loss with the traced kernel, or
            with a right class of no chance (see `linearized_fit`).
        MemoryError, numpy.linalg.LinAlgError: as `tangent_kernel` and `ridge_fit`.

    Warns:
        UserWarning: the gradient is allowed, but above a hundredth of what it balances.
    """
    c = _outputs(network, x_train, x_test)
    for name, x, y in (("train", x_train, y_train), ("test", x_test, y_test)):
        check_matrix(f"y_{name}", y, rows=len(x), columns=c, like=x_train)
    check_ridge(ridge)
    if not ridge + damping > 0 or not damping >= 0:
        raise ValueError(
            f"damping: expected a positive number where the network was trained without a ridge, got {damping}; "
            f"after gradient descent for a time t (steps times step size), 1/t is a first guess."
        )
    if start is not None:
        _check_start(network, start, ridge)
    if loss.curvature is not None and (traced or c == 1):
        raise ValueError(
            f"loss: expected half squares with the traced kernel or a single output, got another loss with "
            f"traced={traced} and {c} outputs; its curvature couples the outputs, so take traced=False and a network "
            f"with an output for each class."
        )
    options = {"start": start, "damping": damping, "loss": loss, "traced": traced, "tolerance": tolerance}
    arrays = x_train, y_train, x_test, y_test
    return own_kernel.network_influence(network, *arrays, ridge, **options, block_size=block_size, **blocks)


def _outputs(network: Network | torch.nn.Module, x_train: torch.Tensor, x_test: torch.Tensor) -> int:
    if isinstance(network, Network):
        for name, x in (("x_train", x_train), ("x_test", x_test)):
            check_matrix(name, x, columns=network.weights.shape[1], like=network.weights)
        return network.signs.shape[1]
    if any(part.training for part in network.modules()):
        raise ValueError("network: expected one in evaluation mode, all parts of it; call network.eval() first.")
    check_module(network, x_test, "x_test")
    return check_module(network, x_train, "x_train")


def _check_start(network: Network | torch.nn.Module, start: Network | torch.nn.Module, ridge: float) -> None:
    if ridge == 0:
        raise ValueError(
            "start: expected None where the network was trained without a ridge, since the objective then has no "
            "minimum that depends on the start; pass start=None and a damping, and measure what that gives."
        )
    shapes = [
        {"weights": tuple(net.weights.shape)}
        if isinstance(net, Network)
        else {name: tuple(value.shape) for name, value in trained_parameters(net).items()}
        for net in (network, start)
    ]
    if type(network) is not type(start) or shapes[0] != shapes[1]:
        raise ValueError(f"start: expected the network before training, with parameters {shapes[0]}, got {shapes[1]}.")
