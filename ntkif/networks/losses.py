"""Losses of one point as functions of its outputs, with gradient, curvature, and the targets that they take.

`named_losses` has what else users name. Gradient and curvature of the softmax keep their digits where a probability
nears 1. A network so sure of a wrong label is still beyond what one Newton step describes.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import nn

from ntkif.checks import check_matrix
from ntkif.metrics import half_squares
from ntkif.networks.inputs import lent

__all__ = [
    "BINARY_CROSS_ENTROPY",
    "CROSS_ENTROPY",
    "LOSSES",
    "SQUARES",
    "Loss",
    "change_of_loss",
    "huber",
    "made_by",
    "targets_of",
]


@dataclass(frozen=True)
class Loss:
    """A loss l(f, y) of outputs f and targets y, both (..., c).

    Attributes:
        value: (...) the loss.
        gradient: (..., c) by the outputs.
        curvature: (..., c, c) second derivatives by the outputs; None where they are the identity.
        targets: makes (n, c) targets of what users have, for (n, c) outputs: called with targets, outputs, and the
            name of the argument for errors. Absent: they are a matrix of the outputs' shape and dtype.
        flat: whether the curvature may vanish where the gradient does not.
        domain: of (n, c) outputs that a network gives, raises a ValueError where the loss does not take them.
        again: a function and its arguments that make the loss anew after a copy or a pickle, see `made_by`.
    """

    value: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    gradient: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    curvature: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = None
    targets: Callable[[torch.Tensor, torch.Tensor, str], torch.Tensor] | None = None
    flat: bool = False
    domain: Callable[[torch.Tensor], None] | None = None
    again: tuple[Callable, tuple] | None = field(default=None, init=False, repr=False, compare=False)

    def check_outputs(self, outputs: torch.Tensor) -> None:
        """Require (n, c) outputs that the loss takes."""
        if self.domain:
            self.domain(outputs)

    def __reduce_ex__(self, protocol):
        """Those of `LOSSES` by their name, so that they are the same after a copy or a pickle, whatever they hold."""
        for name, known in LOSSES.items():
            if known is self:
                return _known, (name,)
        return self.again or super().__reduce_ex__(protocol)


def _known(name: str) -> Loss:
    return LOSSES[name]


def change_of_loss(
    value: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], f: torch.Tensor, change: torch.Tensor, y: torch.Tensor
) -> torch.Tensor:
    """(k, n) what each of n changes (k, n, c) of the outputs `f` (k, c) does to a loss, with the targets (k, c)."""
    return value(f[:, None] + change, y[:, None]) - value(f, y)[:, None]


def targets_of(loss: Loss, y: torch.Tensor, outputs: torch.Tensor, name: str) -> torch.Tensor:
    """(n, c) targets of a loss, in dtype and on the device of the (n, c) outputs.

    Args:
        loss: theirs.
        y: as users have them: numbers, for one output without a column; classes or probabilities for cross-entropy.
        outputs: of the same points.
        name: of the argument, for errors.

    Raises:
        TypeError, ValueError: what the loss does not take: another number of points or outputs, NaN; classes that
            are not there; probabilities that are negative or do not sum to one.
    """
    if not isinstance(y, torch.Tensor):
        raise TypeError(
            f"{name}: expected a torch tensor, got {type(y).__name__}; convert it with torch.as_tensor(numpy.array(y))."
        )
    if y.is_meta:
        raise ValueError(f"{name}: expected numbers, got a tensor on the device meta, which has a shape alone.")
    y = lent(y).to(outputs.device)
    if y.dtype in (torch.uint16, torch.uint32, torch.uint64):  # of which torch computes next to nothing
        y = y.long()
    if loss.targets:
        y = loss.targets(y, outputs, name)
    elif y.ndim == 1 and outputs.shape[1] == 1:
        y = y[:, None]
    elif y.ndim == 1:
        raise ValueError(
            f"{name}: expected targets of shape {tuple(outputs.shape)}, a row of them for each point, got shape "
            f"{tuple(y.shape)}; class numbers go with the loss 'cross-entropy', and one-hot rows of them with others."
        )
    y = y if y.is_floating_point() else y.to(outputs.dtype)
    check_matrix(name, y, rows=len(outputs), columns=outputs.shape[1], like=outputs)
    return y


def _softmax(f: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(..., c) probabilities p, and 1 - p as the sums of the others, since 1 - p has no digits where p nears 1."""
    p = f.softmax(-1)
    others = torch.ones(p.shape[-1], p.shape[-1], dtype=p.dtype, device=p.device).fill_diagonal_(0)
    return p, p @ others


def _softmax_gradient(f: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The difference p - y as p (1 - y) - y (1 - p)."""
    p, rest = _softmax(f)
    return p * (1 - y) - y * rest


def _softmax_curvature(f: torch.Tensor, y: torch.Tensor | None = None) -> torch.Tensor:
    """The matrix diag(p) - p pᵀ, whose diagonal is p (1 - p)."""
    p, rest = _softmax(f)
    return (-p[..., :, None] * p[..., None, :]).diagonal_scatter(p * rest, dim1=-2, dim2=-1)


def _probabilities(y: torch.Tensor, outputs: torch.Tensor, name: str) -> torch.Tensor:
    """One-hot rows of class numbers; or probabilities as they are, if that is what they are."""
    c = outputs.shape[1]
    if c < 2:
        raise ValueError(
            f"{name}: expected a network with an output for each class, got {c}; see BINARY_CROSS_ENTROPY."
        )
    if not y.is_floating_point() and (y.ndim == 1 or y.shape[1:] == (1,)):
        bad = ((y < 0) | (y >= c)).flatten()
        if bad.any():
            row = int(bad.nonzero()[0])
            raise ValueError(
                f"{name}: expected classes from 0 to {c - 1}, got {int(y.flatten()[row])} in row {row}; leave points "
                f"out that training ignored."
            )
        return nn.functional.one_hot(y.flatten().long(), c).to(outputs.dtype)
    if y.shape[1:] != (c,):
        raise ValueError(
            f"{name}: expected class numbers, integers of shape ({len(outputs)},), or probabilities of shape "
            f"({len(outputs)}, {c}), got {y.dtype} of shape {tuple(y.shape)}."
        )
    y = y.to(outputs.dtype)
    off = (y.sum(1) - 1).abs()
    bad = (y < 0).any(1) | ~(off <= 1e-4)
    if bad.any():
        row = int(bad.nonzero()[0])
        raise ValueError(
            f"{name}: expected probabilities, which are not negative and sum to one, got {_told(y[row])} in row "
            f"{row}; for targets of ±1 train and ask with half squares."
        )
    return y


def _binary(y: torch.Tensor, outputs: torch.Tensor, name: str) -> torch.Tensor:
    """Probabilities of yes."""
    y = y[:, None] if y.ndim == 1 and outputs.shape[1] == 1 else y
    bad = ~((y >= 0) & (y <= 1))
    if y.ndim == 2 and bad.any():
        row = int(bad.any(1).nonzero()[0])
        raise ValueError(
            f"{name}: expected probabilities from 0 to 1, one for each logit, got {_told(y[row])} in row {row}; "
            f"take (y + 1) / 2 of targets of ±1."
        )
    return y


def huber(delta: float) -> Loss:
    """Half squares up to a residual of δ, linear from there; torch's own has no second derivative in forward mode."""

    def value(f: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        r = f - y
        return torch.where(r.abs() < delta, r.square() / 2, delta * (r.abs() - delta / 2)).sum(-1)

    loss = Loss(
        value,
        lambda f, y: (f - y).clamp(-delta, delta),
        lambda f, y: torch.diag_embed(((f - y).abs() < delta).to(f.dtype)),
        flat=True,
    )
    return made_by(loss, huber, delta)


def made_by(loss: Loss, function: Callable[..., Loss], *arguments) -> Loss:
    """The loss, which a function makes of its arguments: so it can be pickled, whatever it holds."""
    loss = replace(loss)
    object.__setattr__(loss, "again", (function, arguments))
    return loss


def _told(row: torch.Tensor) -> str:
    return "[" + ", ".join(f"{value:g}" for value in row[:8].tolist()) + (", ...]" if len(row) > 8 else "]")


#: 1/2 |f - y|², the loss of the paper (Eq. 2).
SQUARES = Loss(half_squares, lambda f, y: f - y)
#: -Σ_c y_c log softmax(f)_c, of classes or of probabilities that sum to one.
CROSS_ENTROPY = Loss(
    lambda f, y: -(y * f.log_softmax(-1)).sum(-1), _softmax_gradient, _softmax_curvature, targets=_probabilities
)
#: Σ_c log(1 + exp f_c) - y_c f_c, a logit for each question of yes or no.
BINARY_CROSS_ENTROPY = Loss(
    lambda f, y: (nn.functional.softplus(f) - y * f).sum(-1),
    lambda f, y: f.sigmoid() * (1 - y) - y * (-f).sigmoid(),
    lambda f, y: torch.diag_embed(f.sigmoid() * (-f).sigmoid()),
    targets=_binary,
)
#: By name.
LOSSES = {
    "squares": SQUARES,
    "cross-entropy": CROSS_ENTROPY,
    "binary cross-entropy": BINARY_CROSS_ENTROPY,
    "huber": huber(1.0),
}
