"""Losses of one point as functions of its outputs, with gradient and curvature: half squares and cross-entropy.

Gradient and curvature of the softmax keep their digits where a probability nears 1. A network so sure of a wrong label
is still beyond what one Newton step describes.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from ntkif.metrics import half_squares

__all__ = ["CROSS_ENTROPY", "SQUARES", "Loss", "change_of_loss"]


@dataclass(frozen=True)
class Loss:
    """A loss l(f, y) of outputs f and targets y, both (..., c).

    Attributes:
        value: (...) the loss.
        gradient: (..., c) by the outputs.
        curvature: (..., c, c) second derivatives by the outputs; None where they are the identity.
    """

    value: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    gradient: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    curvature: Callable[[torch.Tensor], torch.Tensor] | None = None


def change_of_loss(
    value: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], f: torch.Tensor, change: torch.Tensor, y: torch.Tensor
) -> torch.Tensor:
    """(k, n) what each of n changes (k, n, c) of the outputs `f` (k, c) does to a loss, with the targets (k, c)."""
    return value(f[:, None] + change, y[:, None]) - value(f, y)[:, None]


def _softmax(f: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(..., c) probabilities p, and 1 - p as the sums of the others, since 1 - p has no digits where p nears 1."""
    p = f.softmax(-1)
    others = torch.ones(p.shape[-1], p.shape[-1], dtype=p.dtype, device=p.device).fill_diagonal_(0)
    return p, p @ others


def _softmax_gradient(f: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The difference p - y as p (1 - y) - y (1 - p)."""
    p, rest = _softmax(f)
    return p * (1 - y) - y * rest


def _softmax_curvature(f: torch.Tensor) -> torch.Tensor:
    """The matrix diag(p) - p pᵀ, whose diagonal is p (1 - p)."""
    p, rest = _softmax(f)
    return (-p[..., :, None] * p[..., None, :]).diagonal_scatter(p * rest, dim1=-2, dim2=-1)


#: 1/2 |f - y|², the loss of the paper (Eq. 2).
SQUARES = Loss(half_squares, lambda f, y: f - y)
#: -Σ_c y_c log softmax(f)_c, for targets that are one-hot.
CROSS_ENTROPY = Loss(lambda f, y: -(y * f.log_softmax(-1)).sum(-1), _softmax_gradient, _softmax_curvature)
