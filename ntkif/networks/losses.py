"""Losses of one point as functions of its outputs, with gradient, curvature, and the targets that they take.

By name, as torch's own objects, or as any function that can be differentiated twice: see `loss_of`. Gradient and
curvature of the softmax keep their digits where a probability nears 1. A network so sure of a wrong label is still
beyond what one Newton step describes.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.func import grad, hessian, vmap

from ntkif.checks import check_matrix
from ntkif.metrics import half_squares

__all__ = [
    "BINARY_CROSS_ENTROPY",
    "CROSS_ENTROPY",
    "LOSSES",
    "SQUARES",
    "Loss",
    "change_of_loss",
    "loss_of",
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
    """

    value: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    gradient: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    curvature: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = None
    targets: Callable[[torch.Tensor, torch.Tensor, str], torch.Tensor] | None = None
    flat: bool = False


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
        raise TypeError(f"{name}: expected a torch tensor, got {type(y).__name__}; convert it with torch.as_tensor.")
    y = y.to(outputs.device)
    if loss.targets:
        y = loss.targets(y, outputs, name)
    elif y.ndim == 1 and outputs.shape[1] == 1:
        y = y[:, None]
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
            raise ValueError(f"{name}: expected classes from 0 to {c - 1}, got {int(y.flatten()[row])} in row {row}.")
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
_HUBER = Loss(
    lambda f, y: nn.functional.huber_loss(f, y.expand_as(f), reduction="none").sum(-1),
    lambda f, y: (f - y).clamp(-1, 1),
    lambda f, y: torch.diag_embed(((f - y).abs() < 1).to(f.dtype)),
    flat=True,
)
#: By name.
LOSSES = {
    "squares": SQUARES,
    "cross-entropy": CROSS_ENTROPY,
    "binary cross-entropy": BINARY_CROSS_ENTROPY,
    "huber": _HUBER,
}


def loss_of(loss) -> tuple[Loss, bool]:
    """A loss as users name it, and whether it is a mean over the points.

    Args:
        loss: a `Loss`; one of the names in `LOSSES`; an object of torch, as `torch.nn.CrossEntropyLoss()`, which says
            by its reduction whether training took the mean or the sum; or a function of (c,) outputs and targets of
            one point that returns a number and can be differentiated twice.

    Returns:
        the loss of one point, and whether the objective was its mean: then a ridge λ of it is n λ of the sum.

    Raises:
        TypeError, ValueError: something else; or an object whose loss is no sum over points.
    """
    if isinstance(loss, Loss):
        return loss, False
    if isinstance(loss, str):
        if loss not in LOSSES:
            raise ValueError(f"loss: expected one of {', '.join(map(repr, LOSSES))}, got {loss!r}.")
        return LOSSES[loss], False
    if isinstance(loss, nn.modules.loss._Loss):
        return _of_torch(loss)
    if callable(loss):
        return _derived(loss), False
    raise TypeError(
        f"loss: expected one of {', '.join(map(repr, LOSSES))}, an object as torch.nn.CrossEntropyLoss(), or a "
        f"function of the outputs and the targets of one point, got {type(loss).__name__}."
    )


def _of_torch(loss: nn.Module) -> tuple[Loss, bool]:
    if loss.reduction not in ("mean", "sum"):
        raise ValueError(
            f"loss: expected reduction 'mean' or 'sum', which is what was minimised, got {loss.reduction!r}."
        )
    mean, weighted = loss.reduction == "mean", getattr(loss, "weight", None) is not None
    if isinstance(loss, nn.CrossEntropyLoss):
        if mean and weighted:
            raise ValueError(
                "loss: expected reduction='sum' with weights of classes, since torch's mean then divides by the sum of "
                "the weights of the batch; pass CrossEntropyLoss(weight=..., reduction='sum') and the ridge of the sum."
            )
        if not weighted and loss.label_smoothing == 0:
            return CROSS_ENTROPY, mean
    if isinstance(loss, nn.BCEWithLogitsLoss) and not weighted and loss.pos_weight is None:
        return BINARY_CROSS_ENTROPY if not mean else _over_outputs(BINARY_CROSS_ENTROPY), mean
    summed = copy.copy(loss)
    summed.reduction = "sum"
    per_output = mean and not isinstance(loss, nn.CrossEntropyLoss)  # torch's other means are over outputs too
    targets = (
        _probabilities if isinstance(loss, nn.CrossEntropyLoss) else _binary if "BCE" in type(loss).__name__ else None
    )
    one = _derived(lambda f, y: summed(f[None], y[None]), targets)
    return _over_outputs(one) if per_output else one, mean


def _over_outputs(loss: Loss) -> Loss:
    """The mean over the outputs of a point, where the loss is their sum."""
    value, gradient, curvature = (
        lambda f, y, part=part: part(f, y) / f.shape[-1] for part in (loss.value, loss.gradient, loss.curvature)
    )
    return Loss(value, gradient, curvature, loss.targets, loss.flat)


def _derived(value: Callable, targets: Callable | None = None) -> Loss:
    """A loss from its value of one point; gradient and curvature by `torch.func`."""

    def batched(function: Callable) -> Callable:
        def whole(f: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            f, y = torch.broadcast_tensors(f, y)
            found = vmap(function)(f.reshape(-1, f.shape[-1]), y.reshape(-1, y.shape[-1]))
            return found.reshape(f.shape[:-1] + found.shape[1:])

        return whole

    def checked(f: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        found = value(f, y)
        if not isinstance(found, torch.Tensor) or found.numel() != 1:
            came = tuple(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
            raise ValueError(f"loss: expected a number for the outputs and targets of one point, got {came}.")
        return found.reshape(())

    return Loss(batched(checked), batched(grad(checked)), batched(hessian(checked)), targets, flat=True)
