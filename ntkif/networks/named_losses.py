"""Losses as users name them: by name, as torch's own objects, or as any function that can be differentiated twice."""

import copy
from collections.abc import Callable
from dataclasses import replace
from inspect import signature

import torch
from torch import nn
from torch.func import grad, jacrev, vmap

from ntkif.networks.losses import BINARY_CROSS_ENTROPY, CROSS_ENTROPY, LOSSES, Loss, huber, made_by

__all__ = ["loss_of"]


def loss_of(loss) -> tuple[Loss, bool]:
    """A loss as users name it, and whether it is a mean over the points.

    Args:
        loss: a `Loss`; one of the names in `LOSSES`; an object of torch, as `torch.nn.CrossEntropyLoss()`, which says
            by its reduction whether training took the mean or the sum (NLLLoss is the cross-entropy of the
            log-probabilities that it takes); or a function of (c,) outputs and targets of one point that returns a
            number and can be differentiated twice.

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
        found, mean = _of_torch(loss)
        return _kept(found, loss), mean
    for function, same in _OF_CLASSES:
        if loss is function:
            return loss_of(same)[0], False
    if callable(loss) and not isinstance(loss, type):
        return _kept(_derived(loss), loss), False
    came = f"the class {loss.__name__}; make an object of it" if isinstance(loss, type) else type(loss).__name__
    raise TypeError(
        f"loss: expected one of {', '.join(map(repr, LOSSES))}, an object as torch.nn.CrossEntropyLoss(), or a "
        f"function of the outputs and the targets of one point, got {came}."
    )


def _kept(loss: Loss, made_of) -> Loss:
    """A loss that is made again of what it was made of, unless it has a name."""
    return loss if loss in LOSSES.values() else made_by(loss, _made_of, made_of)


def _made_of(loss) -> Loss:
    return loss_of(loss)[0]


#: Functions of torch that take class numbers, which those of one point by itself could not.
_OF_CLASSES = (
    (nn.functional.cross_entropy, nn.CrossEntropyLoss(reduction="sum")),
    (nn.functional.nll_loss, nn.NLLLoss(reduction="sum")),
)


def _of_torch(loss: nn.Module) -> tuple[Loss, bool]:
    if loss.reduction not in ("mean", "sum"):
        raise ValueError(
            f"loss: expected reduction 'mean' or 'sum', which is what was minimised, got {loss.reduction!r}."
        )
    parameters = signature(loss.forward).parameters.values()
    taken = [each.name for each in parameters if each.default is each.empty and each.kind is not each.VAR_POSITIONAL]
    if len(taken) > 2:
        raise ValueError(
            f"loss: expected one of outputs and targets, got {type(loss).__name__}, which takes {', '.join(taken)}; "
            f"write it as a function of the outputs and the targets of one point."
        )
    if isinstance(loss, nn.MultiMarginLoss | nn.MultiLabelMarginLoss):
        raise ValueError(
            f"loss: expected one that can be differentiated twice, got {type(loss).__name__}, which is made of "
            f"straight pieces; take CrossEntropyLoss or BCEWithLogitsLoss."
        )
    mean = loss.reduction == "mean"
    if type(loss) is nn.CrossEntropyLoss:  # a subclass may have a forward pass of its own
        return _cross_entropy(loss, mean), mean
    if type(loss) is nn.NLLLoss:  # of log-probabilities the cross-entropy is the same, with the logits' curvature
        same = nn.CrossEntropyLoss(loss.weight, ignore_index=loss.ignore_index, reduction=loss.reduction)
        return replace(_cross_entropy(same, mean), domain=_log_probabilities), mean
    if type(loss) is nn.BCELoss:
        return replace(_of_point(loss, BINARY_CROSS_ENTROPY.targets), domain=_probabilities), mean
    if type(loss) is nn.BCEWithLogitsLoss and loss.weight is None and loss.pos_weight is None:
        return BINARY_CROSS_ENTROPY if not mean else _over_outputs(BINARY_CROSS_ENTROPY), mean
    if type(loss) is nn.HuberLoss:
        return huber(loss.delta) if not mean else _over_outputs(huber(loss.delta)), mean
    binary = isinstance(loss, nn.BCELoss | nn.BCEWithLogitsLoss)
    targets = CROSS_ENTROPY.targets if isinstance(loss, nn.CrossEntropyLoss) else None
    return _of_point(loss, BINARY_CROSS_ENTROPY.targets if binary else targets), mean


def _cross_entropy(loss: nn.CrossEntropyLoss, mean: bool) -> Loss:
    if mean and loss.weight is not None:
        raise ValueError(
            "loss: expected reduction='sum' with weights of classes, since torch's mean then divides by the sum of "
            "the weights of the batch; pass CrossEntropyLoss(weight=..., reduction='sum') and the ridge of the sum."
        )
    plain = loss.weight is None and loss.label_smoothing == 0
    if plain and loss.ignore_index < 0:
        return CROSS_ENTROPY
    targets, loss = _classes_but(loss.ignore_index), copy.copy(loss)
    loss.ignore_index = -1  # torch takes no other with probabilities, which class numbers have become
    return replace(CROSS_ENTROPY, targets=targets) if plain else _of_point(loss, targets)


def _log_probabilities(outputs: torch.Tensor) -> None:
    """Require that they are of one distribution for each point, up to rounding."""
    apart = outputs.detach().double().logsumexp(-1).abs()
    if not (apart < max(1e-3, torch.finfo(outputs.dtype).eps ** 0.5)).all():
        row = int(apart.nan_to_num(torch.inf).argmax())
        raise ValueError(
            f"loss: expected log-probabilities as outputs, whose exponentials sum to one, which is what NLLLoss "
            f"takes, got {outputs[row].tolist()[:5]} at row {row}; end the network with LogSoftmax, or take "
            f"CrossEntropyLoss."
        )


def _probabilities(outputs: torch.Tensor) -> None:
    """Require that they are some, and not sure, where the loss has no derivatives."""
    if not ((outputs > 0) & (outputs < 1)).all():
        row = int((~((outputs > 0) & (outputs < 1))).any(-1).nonzero()[0])
        raise ValueError(
            f"loss: expected probabilities between 0 and 1 as outputs, which is what BCELoss takes, got "
            f"{outputs[row].tolist()[:5]} at row {row}; take BCEWithLogitsLoss of the logits."
        )


def _classes_but(ignored: int) -> Callable:
    """Targets of cross-entropy, of which no class number is one that the loss ignores."""

    def targets(y: torch.Tensor, outputs: torch.Tensor, name: str) -> torch.Tensor:
        numbers = y if y.ndim == 1 else y[:, 0] if y.shape[1:] == (1,) else y.new_empty(0)
        same = (numbers == ignored).nonzero()
        if len(same):
            raise ValueError(
                f"{name}: expected no class that the loss ignores, got {ignored} in row {int(same[0])}; leave points "
                f"out that training ignored."
            )
        return CROSS_ENTROPY.targets(y, outputs, name)

    return targets


def _of_point(loss: nn.Module, targets: Callable | None) -> Loss:
    """By what torch gives for one point, its mean too: over the outputs, for most losses."""

    def value(f: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        _check_weights(loss, f.shape[-1])
        return loss(f[None], y[None])

    return _derived(value, targets)


def _check_weights(loss: nn.Module, c: int) -> None:
    for what in ("weight", "pos_weight"):
        own = getattr(loss, what, None)
        if own is not None and own.shape not in ((), (1,), (c,), (1, c)):
            raise ValueError(
                f"loss: expected a {what} for each of {c} outputs, got shape {tuple(own.shape)}; weights of training "
                f"points are not known here."
            )


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

    return Loss(batched(checked), batched(grad(checked)), batched(jacrev(grad(checked))), targets, flat=True)
