"""How far a network is from a minimum of its objective: the gradient that training left."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import torch

from ntkif.blocks import row_blocks
from ntkif.checks import warn
from ntkif.influence.penalties import check_start, penalties_of
from ntkif.networks.inputs import Reading, in_own_precision, points_of, reading_of, unchanged
from ntkif.networks.losses import SQUARES, Loss, targets_of
from ntkif.networks.modules import AT_ONCE, predict, trained_parameters

__all__ = [
    "NotStationaryError",
    "balance_of",
    "balancing_ridge",
    "check_stationary",
    "gradient_share",
    "loss_gradient",
    "share_of",
    "totals_of",
]

_NOTABLE = 0.01  # share of the gradient above which the user is warned


class NotStationaryError(ValueError):
    """The network is not at a minimum of the objective that the formula assumes."""


def gradient_share(
    network: torch.nn.Module,
    start: torch.nn.Module | str,
    x,
    y: torch.Tensor,
    ridge: float | Mapping[str, float],
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
        start: the same before training; "zero" where the penalty is on the parameters themselves (weight decay).
        x: n training points.
        y: (n, c) targets, as the loss takes them.
        ridge: penalty λ, or one for each trained parameter by its name.
        loss: that of the training.

    Returns:
        the share, from 0 to infinity.

    Raises:
        TypeError, ValueError: targets that the loss does not take.
    """
    return share_of(_gradient(network, x, y, loss), network, start, ridge)


@torch.no_grad()
def share_of(
    pull: Sequence[torch.Tensor],
    network: torch.nn.Module,
    start: torch.nn.Module | str,
    ridge: float | Mapping[str, float],
) -> float:
    """`gradient_share` from the gradient of the sum of the losses, see `loss_gradient`; the others are as there."""
    ends = trained_parameters(network.module if isinstance(network, Reading) else network)
    starts = [0.0] * len(ends) if start == "zero" else _begin(start, ends)
    moved = [end.detach() - begin for end, begin in zip(ends.values(), starts, strict=True)]
    ridges = [ridge[name] if isinstance(ridge, Mapping) else ridge for name in ends]
    gradient = [p + own * m for p, own, m in zip(pull, ridges, moved, strict=True)]
    whole, of_losses = _norm(gradient), _norm(pull)
    if of_losses == 0:
        return math.inf if whole > 0 else 0.0
    return whole / of_losses


def balancing_ridge(
    network: torch.nn.Module, start: torch.nn.Module, x, y: torch.Tensor, *, loss: Loss = SQUARES
) -> float:
    """The ridge whose pull back to the start is as large as the gradient that training left.

        λ = |J g| / |θ - θ(0)|

    At a minimum of Eq. 2 it is the ridge itself. Of a network that was trained without one, and stopped, it is the
    ridge that may stand for what stopped it.

    Args:
        network: trained.
        start: the same before training.
        x: n training points.
        y: (n, c) targets, as the loss takes them.
        loss: that of the training.

    Raises:
        TypeError, ValueError: targets that the loss does not take; the network has not moved, or no gradient is left.
    """
    return balance_of(_gradient(network, x, y, loss), network, start)


@torch.no_grad()
def balance_of(gradient: Sequence[torch.Tensor], network: torch.nn.Module, start: torch.nn.Module) -> float:
    """`balancing_ridge` from the gradient of the sum of the losses, see `loss_gradient`; the others are as there."""
    pull = _norm(gradient)
    ends = trained_parameters(network.module if isinstance(network, Reading) else network)
    moved = _norm([a.detach() - b for a, b in zip(ends.values(), _begin(start, ends), strict=True)])
    if not (pull > 0 and moved > 0):
        raise ValueError(
            f"damping: expected a network that has moved from its start and has a gradient left, got a movement of "
            f"{moved:g} and a gradient of {pull:g}; name a damping, and measure what it gives."
        )
    return pull / moved


def _begin(start: torch.nn.Module, names: Iterable[str]) -> list[torch.Tensor]:
    """The parameters of the start that the network trains, which may be frozen in it."""
    return [start.get_parameter(name).detach() for name in names]


def _gradient(network: torch.nn.Module, x, y: torch.Tensor, loss: Loss) -> list[torch.Tensor]:
    """`loss_gradient` of points and targets as users have them."""
    points = points_of(x, network)
    outputs = predict(network, points[:1])
    return loss_gradient(network, points, targets_of(loss, y, outputs.expand(len(points), -1), "y"), loss)


@torch.no_grad()
@in_own_precision
def loss_gradient(network: torch.nn.Module, x, y: torch.Tensor, loss: Loss) -> list[torch.Tensor]:
    """J g, the gradient of the sum of the losses of some points, a tensor for each trained parameter."""
    points, reading, values = points_of(x, network), reading_of(network), list(trained_parameters(network).values())
    found = [torch.zeros_like(value) for value in values]
    with torch.enable_grad(), unchanged(network):
        for rows in row_blocks(len(points), AT_ONCE):
            total = loss.value(points[rows].predicted_by(reading), y[rows]).sum()
            parts = torch.autograd.grad(total, values, materialize_grads=True)
            found = [whole + part for whole, part in zip(found, parts, strict=True)]
    return found


def _norm(parts: Sequence[torch.Tensor]) -> float:
    return float(torch.stack([part.norm() for part in parts]).norm())


def check_stationary(share: float, tolerance: float, n: int) -> None:
    """Require a `gradient_share` of n points that is within the tolerance, and warn of one above a hundredth.

    Raises:
        NotStationaryError: it is larger.

    Warns:
        UserWarning: it is notable.
    """
    size = (
        "only that of its ridge, as its losses have none" if math.isinf(share) else f"{share:.2g} of that of its losses"
    )
    message = f"the gradient of the objective at the trained weights is {size}"
    if not share <= tolerance:
        raise NotStationaryError(
            f"network: expected one that minimises the sum of losses plus ridge/2 times the squared distance "
            f"from `start`, but {message}, above the tolerance {tolerance:g}. Train longer or with a smaller "
            f"step; if the objective was the mean of the losses, pass mean=True, which takes {n} times the ridge; "
            f"or, if it was trained otherwise, pass start=None and a damping, and measure what that gives."
        )
    if share > _NOTABLE:
        warn(f"{message}; the influences are those of a minimum nearby.")


def totals_of(
    network: torch.nn.Module,
    start: torch.nn.Module | str | None,
    gradient: Callable[[], Sequence[torch.Tensor]],
    ridge: float | Mapping[str, float],
    damping: float | str,
    *,
    n: int,
    mean: bool,
    tolerance: float,
) -> dict[str, float]:
    """The ridge of each trained parameter by its name, of the sum of the losses, damping included; checks the start.

    Args:
        network: as of `NetworkInfluence`, and so all others without a word.
        start: before training.
        gradient: what gives that of the sum of the losses, see `loss_gradient`; called where it is asked for.
        ridge: of the training.
        damping: added to it.
        n: training points.
        mean: whether the objective was the mean of the losses.
        tolerance: of the share.

    Raises:
        NotStationaryError, ValueError: as `NetworkInfluence`.

    Warns:
        UserWarning: as `check_stationary`.
    """
    times = n if mean else 1
    if damping == "auto":
        if not isinstance(start, torch.nn.Module):
            raise ValueError('damping: expected the network before training as start for "auto", got none.')
        check_start(network, start, 1.0)
        damping, start = balance_of(gradient(), network, start) / times, None
    penalties = {name: times * each for name, each in penalties_of(network, ridge, damping).items()}
    if start is not None:
        check_start(network, start, ridge)
        check_stationary(share_of(gradient(), network, start, penalties), tolerance, n)
    return {name: penalty + times * damping for name, penalty in penalties.items()}
