"""Losses of one point as functions of its outputs, with gradient and curvature: half squares and cross-entropy.

The curvature of the softmax loses its digits where a probability nears 1 to working precision; a network so sure of a
wrong label is beyond what one Newton step describes.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch

__all__ = ["CROSS_ENTROPY", "SQUARES", "Loss"]


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


def _softmax_curvature(f: torch.Tensor) -> torch.Tensor:
    p = f.softmax(-1)
    return torch.diag_embed(p) - p[..., :, None] * p[..., None, :]


#: 1/2 |f - y|², the loss of the paper (Eq. 2).
SQUARES = Loss(lambda f, y: (f - y).square().sum(-1) / 2, lambda f, y: f - y)
#: -Σ_c y_c log softmax(f)_c, for targets that are one-hot.
CROSS_ENTROPY = Loss(lambda f, y: -(y * f.log_softmax(-1)).sum(-1), lambda f, y: f.softmax(-1) - y, _softmax_curvature)
