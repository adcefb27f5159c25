"""The quantities through which a change is carried: nearly linear in the parameters, the loss their function."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from ntkif.networks.losses import CROSS_ENTROPY, Loss

__all__ = ["LOG_ODDS", "OUTPUTS", "Quantities", "quantities_for"]


@dataclass(frozen=True)
class Quantities:
    """Quantities of a point, and its loss as their function.

    Attributes:
        of: (..., q) of (..., c) outputs and targets.
        loss: (...) of (..., q) quantities and (..., c) targets.
    """

    of: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def _log_odds(f: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The output of the right class minus the log-sum-exp of the others, which keeps its digits as p nears 1."""
    others = f.masked_fill(y > 0, -torch.inf).logsumexp(-1)
    return ((y * f).sum(-1) - others)[..., None]


#: log p / (1 - p), with p the probability of the right class; the cross-entropy is log(1 + exp(-u)) of it.
LOG_ODDS = Quantities(_log_odds, lambda u, _: torch.nn.functional.softplus(-u[..., 0]))
#: The outputs as they are, and no loss.
OUTPUTS = Quantities(lambda f, _: f, lambda f, _: f)


def quantities_for(loss: Loss) -> Quantities:
    """The log-odds for the cross-entropy, the outputs for another loss."""
    return LOG_ODDS if loss.value is CROSS_ENTROPY.value else Quantities(lambda f, _: f, loss.value)
