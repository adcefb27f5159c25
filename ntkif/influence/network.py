"""Leave-one-out influence of a real, trained network through its own tangent kernel (beyond the paper)."""

import math
import warnings
from collections.abc import Sequence

import torch

from ntkif.blocks import row_blocks
from ntkif.influence.linearized import linearized_fit
from ntkif.kernels.tangent import pull_back, tangent_kernel
from ntkif.networks.losses import SQUARES, Loss
from ntkif.networks.modules import trained_parameters
from ntkif.networks.two_layer import Network

__all__ = ["NotStationaryError", "gradient_share", "network_influence", "predict"]

_SAID = 0.01  # share of the gradient above which the user hears of it


class NotStationaryError(ValueError):
    """The network is not at a minimum of the objective that the formula assumes."""


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
    """`ntkif.network_influence` of input that was checked; arguments, result and errors are described there."""
    if start is not None:
        _check_stationary(gradient_share(network, start, x_train, y_train, ridge, loss=loss), tolerance)
    k_train_train, prediction = tangent_kernel(network, x_train, traced=traced, **blocks), predict(network, x_train)
    curvature = loss.curvature(prediction) if loss.curvature else None
    residual = loss.gradient(prediction, y_train)
    fit = linearized_fit(k_train_train, residual, ridge, damping=damping, curvature=curvature)
    del k_train_train
    out = x_test.new_empty(len(x_test), len(x_train))
    for rows in row_blocks(len(x_test), block_size):
        k_test_train = tangent_kernel(network, x_test[rows], x_train, traced=traced, **blocks)
        prediction, y = predict(network, x_test[rows]), y_test[rows]
        if fit.root is None:
            out[rows] = fit.loo_influence(k_test_train, loss.gradient(prediction, y))
        else:
            without = prediction[:, None] + fit.loo_change(k_test_train)
            out[rows] = loss.value(without, y[:, None]) - loss.value(prediction, y)[:, None]
    return out


def gradient_share(
    network: Network | torch.nn.Module,
    start: Network | torch.nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    ridge: float,
    *,
    loss: Loss = SQUARES,
) -> float:
    """How far training is from a minimum: the gradient of the objective (Eq. 2), as a share of that of its losses.

        |J g + λ (θ - θ(0))| / |J g|,    g the gradient of the losses by the outputs, f - y for half squares

    At a minimum the two parts balance and it is 0. Where a ReLU network rests on kinks it stays above, since the
    gradient there jumps from one side to the other. Where the losses have no gradient at all, as in a perfect fit, only
    a network that has not moved is at the minimum: its share is 0, that of any other infinite.

    Args:
        network: trained.
        start: the same before training.
        x: (n, d) training points.
        y: (n, c) targets.
        ridge: penalty λ.
        loss: of the training.

    Returns:
        the share, from 0 to infinity.
    """
    pull = _loss_gradient(network, x, y, loss)
    moved = [end - begin for end, begin in zip(_parameters(network), _parameters(start), strict=True)]
    gradient = [p + ridge * m for p, m in zip(pull, moved, strict=True)]
    whole, of_losses = _norm(gradient), _norm(pull)
    if of_losses == 0:
        return math.inf if whole > 0 else 0.0
    return whole / of_losses


@torch.no_grad()
def predict(network: Network | torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    """(k, c) outputs at the points `x`."""
    return network.predict(x) if isinstance(network, Network) else network(x)


def _loss_gradient(network: Network | torch.nn.Module, x: torch.Tensor, y: torch.Tensor, loss: Loss) -> list:
    """J g, the gradient of the sum of the losses, a tensor for each parameter."""
    if isinstance(network, Network):
        return [pull_back(network, x, loss.gradient(network.predict(x), y))]
    parameters = list(trained_parameters(network).values())
    with torch.enable_grad():
        return list(torch.autograd.grad(loss.value(network(x), y).sum(), parameters))


def _parameters(network: Network | torch.nn.Module) -> list[torch.Tensor]:
    if isinstance(network, Network):
        return [network.weights]
    return [value.detach() for value in trained_parameters(network).values()]


def _norm(parts: Sequence[torch.Tensor]) -> float:
    return float(torch.stack([part.norm() for part in parts]).norm())


def _check_stationary(share: float, tolerance: float) -> None:
    size = (
        "only that of its ridge, as its losses have none" if math.isinf(share) else f"{share:.2g} of that of its losses"
    )
    said = f"the gradient of the objective at the trained weights is {size}"
    if not share <= tolerance:
        raise NotStationaryError(
            f"network: expected one that minimises the sum of losses plus ridge/2 times the squared distance "
            f"from `start`, but {said}, above the tolerance {tolerance:g}. Train longer or with a smaller "
            f"step; or, if it was trained otherwise, pass start=None and a damping, and measure what that gives."
        )
    if share > _SAID:
        warnings.warn(f"{said}; the influences are those of a minimum nearby.", stacklevel=3)
