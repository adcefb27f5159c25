"""Leave-one-out influence of a trained network through its empirical NTK, its own Jacobian's (beyond the paper)."""

import math
import warnings
from collections.abc import Sequence

import torch

from ntkif.blocks import row_blocks
from ntkif.checks import check_matrix, check_ridge
from ntkif.influence.linearized import linearized_fit
from ntkif.kernels.tangent import tangent_kernel
from ntkif.networks.losses import SQUARES, Loss, change_of_loss
from ntkif.networks.modules import check_module, predict, trained_parameters

__all__ = ["NotStationaryError", "gradient_share", "network_influence"]

_NOTABLE = 0.01  # share of the gradient above which the user is warned


class NotStationaryError(ValueError):
    """The network is not at a minimum of the objective that the formula assumes."""


@torch.no_grad()
def network_influence(
    network: torch.nn.Module,
    x_train: torch.Tensor,
    y_train: torch.Tensor,
    x_test: torch.Tensor,
    y_test: torch.Tensor,
    ridge: float,
    *,
    start: torch.nn.Module | None,
    damping: float = 0.0,
    loss: Loss = SQUARES,
    traced: bool = False,
    tolerance: float = 0.3,
    block_size: int = 256,
    **blocks,
) -> torch.Tensor:
    """Leave-one-out influence of a trained network, from its empirical NTK and its residuals.

    Exact for the network linearised at its parameters, where these minimise the sum of half squared errors plus the
    ridge (Eq. 2). What else is approximate where the network was trained otherwise:

    - on another loss: its curvature is taken at the trained network, so the formula is one Newton step.
    - without a ridge, or stopped early: the parameters minimise nothing, and `damping` stands for what stopped them
      (gradient descent for a time t resembles a ridge of about 1/t). Measure it where it matters.

    Args:
        network: trained, with c outputs: any torch module as for `module_kernel`.
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
    c = _check_modules(network, x_train, x_test)
    for name, x, y in (("train", x_train, y_train), ("test", x_test, y_test)):
        check_matrix(f"y_{name}", y, rows=len(x), columns=c, like=x_train)
    check_ridge(ridge)
    if not ridge + damping > 0 or not damping >= 0:
        raise ValueError(
            f"damping: expected a positive number where the network was trained without a ridge, got {damping}; "
            f"after gradient descent for a time t (steps times step size), 1/t is a first guess."
        )
    if loss.curvature is not None and (traced or c == 1):
        raise ValueError(
            f"loss: expected half squares with the traced kernel or a single output, got another loss with "
            f"traced={traced} and {c} outputs; its curvature couples the outputs, so take traced=False and a network "
            f"with an output for each class."
        )
    if start is not None:
        _check_start(network, start, ridge)
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
            out[rows] = change_of_loss(loss.value, prediction, fit.loo_change(k_test_train), y)
    return out


@torch.no_grad()
def gradient_share(
    network: torch.nn.Module,
    start: torch.nn.Module,
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
    ends, starts = (trained_parameters(each).values() for each in (network, start))
    moved = [end.detach() - begin.detach() for end, begin in zip(ends, starts, strict=True)]
    gradient = [p + ridge * m for p, m in zip(pull, moved, strict=True)]
    whole, of_losses = _norm(gradient), _norm(pull)
    if of_losses == 0:
        return math.inf if whole > 0 else 0.0
    return whole / of_losses


def _loss_gradient(network: torch.nn.Module, x: torch.Tensor, y: torch.Tensor, loss: Loss) -> Sequence[torch.Tensor]:
    """J g, the gradient of the sum of the losses, a tensor for each parameter."""
    with torch.enable_grad():
        return torch.autograd.grad(loss.value(network(x), y).sum(), list(trained_parameters(network).values()))


def _norm(parts: Sequence[torch.Tensor]) -> float:
    return float(torch.stack([part.norm() for part in parts]).norm())


def _check_stationary(share: float, tolerance: float) -> None:
    size = (
        "only that of its ridge, as its losses have none" if math.isinf(share) else f"{share:.2g} of that of its losses"
    )
    message = f"the gradient of the objective at the trained weights is {size}"
    if not share <= tolerance:
        raise NotStationaryError(
            f"network: expected one that minimises the sum of losses plus ridge/2 times the squared distance "
            f"from `start`, but {message}, above the tolerance {tolerance:g}. Train longer or with a smaller "
            f"step; or, if it was trained otherwise, pass start=None and a damping, and measure what that gives."
        )
    if share > _NOTABLE:
        warnings.warn(f"{message}; the influences are those of a minimum nearby.", stacklevel=3)


def _check_modules(network: torch.nn.Module, x_train: torch.Tensor, x_test: torch.Tensor) -> int:
    if any(part.training for part in network.modules()):
        raise ValueError("network: expected one in evaluation mode, all parts of it; call network.eval() first.")
    outputs = check_module(network, x_train, "x_train")
    if x_test.shape[1:] != x_train.shape[1:]:
        wanted, came = tuple(x_train.shape[1:]), tuple(x_test.shape[1:])
        raise ValueError(f"x_test: expected points of shape {wanted} as the training points, got {came}.")
    check_module(network, x_test, "x_test")
    return outputs


def _check_start(network: torch.nn.Module, start: torch.nn.Module, ridge: float) -> None:
    if ridge == 0:
        raise ValueError(
            "start: expected None where the network was trained without a ridge, since the objective then has no "
            "minimum that depends on the start; pass start=None and a damping, and measure what that gives."
        )
    shapes = [{name: tuple(value.shape) for name, value in trained_parameters(net).items()} for net in (network, start)]
    if type(network) is not type(start) or shapes[0] != shapes[1]:
        raise ValueError(f"start: expected the network before training, with parameters {shapes[0]}, got {shapes[1]}.")
