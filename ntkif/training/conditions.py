"""What a training must be like to be recorded: each error says what was expected, what came and what to do."""

from collections.abc import Sequence

import torch
from torch.func import grad, hessian, jacrev, jvp, vmap
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from ntkif.checks import check_group, check_matrix, check_ridge
from ntkif.networks.losses import CROSS_ENTROPY, Loss, targets_of
from ntkif.networks.modules import trained_parameters
from ntkif.networks.named_losses import loss_of
from ntkif.training.optimizers import Optimizer
from ntkif.training.tape import FlatModule

__all__ = ["check_batches", "check_targets", "check_training", "loss_of_batches", "with_classes"]


def check_training(
    module: torch.nn.Module, x: torch.Tensor, y: torch.Tensor, loss: Loss, optimizer: Optimizer, ridge: float
) -> FlatModule:
    """Require what `record_training` asks for; returns the module as a function of its parameters."""
    parameters = trained_parameters(module).values()
    kinds = {(value.dtype, value.device) for value in parameters}
    came = (x.dtype, x.device) if isinstance(x, torch.Tensor) else type(x).__name__
    if len(kinds) != 1 or came not in kinds:
        raise TypeError(
            f"x: expected a torch tensor like the trained parameters, {kinds or 'none'}, got {came}; a module of token "
            f"numbers takes them as floats, and x.long() first in its forward pass."
        )
    if x.ndim < 2 or len(x) < 3 or not torch.isfinite(x).all():
        raise ValueError(
            f"x: expected at least three finite points, one a row, got shape {tuple(x.shape)} or NaN or infinity."
        )
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"optimizer: expected SGD, Adam or AdamW of ntkif.training.optimizers, got {type(optimizer).__name__}; "
            f"pass from_torch(optimizer) of that module."
        )
    check_targets("y", y, loss)
    check_matrix("y", y, rows=len(x), like=x)
    check_ridge(ridge)
    function = FlatModule(module)
    for name in ("learning_rate", "weight_decay"):
        each = getattr(optimizer, name)
        if torch.is_tensor(each) and (each.shape != function.start.shape or each.dtype != x.dtype):
            raise ValueError(
                f"optimizer: expected a {name} of {len(function.start)} parameters in {x.dtype}, "
                f"got shape {tuple(each.shape)} in {each.dtype}."
            )
    outputs = _check_outputs(function, x[:4], y[:4])
    _check_loss(loss, outputs, y[:4])
    _check_derivatives(function, x[:2])
    return function


def loss_of_batches(loss) -> Loss:
    """The loss of one point, of whatever `loss_of` takes; a step takes its mean over the batch.

    Raises:
        TypeError, ValueError: as `loss_of`; or an object of torch that takes the sum.
    """
    found, _ = loss_of(loss)
    if getattr(loss, "reduction", "mean") != "mean":
        raise ValueError(
            f"loss: expected the mean over a batch, which each step takes, got reduction={loss.reduction!r}; pass "
            f"reduction='mean' and a learning rate as many times as large as a batch has points."
        )
    return found


def with_classes(name: str, y: torch.Tensor, outputs: int, like: torch.Tensor, loss: Loss) -> torch.Tensor:
    """One-hot targets of class numbers, for the cross-entropy; other targets as they are."""
    numbers = torch.is_tensor(y) and y.ndim == 1 and not y.is_floating_point() and y.dtype != torch.bool
    if loss is not CROSS_ENTROPY or not numbers:
        return y
    return targets_of(loss, y, like.new_empty(len(y), outputs), name)


def check_targets(name: str, y: torch.Tensor, loss: Loss) -> None:
    """Require one-hot targets where the loss is the cross-entropy."""
    if loss is not CROSS_ENTROPY:
        return
    fits = torch.is_tensor(y) and y.ndim == 2 and y.shape[1] > 1 and y.is_floating_point()
    if not fits or not ((y == 0) | (y == 1)).all() or not (y.sum(1) == 1).all():
        raise ValueError(
            f"{name}: expected class numbers, integers of shape (n,), or one-hot targets with a column for each class, "
            f"as the cross-entropy needs."
        )


def check_batches(batches: Sequence, n: int, optimizer: Optimizer, device: torch.device) -> list[torch.Tensor]:
    """Require distinct rows in each batch, every point in some batch, and a rate for each; returns rows as tensors."""
    batches = [check_group(rows, n, "batches").to(device) for rows in batches]
    seen = torch.zeros(n, dtype=torch.bool, device=device)
    for rows in batches:
        seen[rows] = True
    if not seen.all():
        missing = (~seen).nonzero()[:, 0].tolist()
        raise ValueError(
            f"batches: expected every training point in some batch, but {len(missing)} of {n} are in none (first "
            f"{missing[:5]}); leave those out of x and y, or train longer."
        )
    optimizer.rate(len(batches) - 1)
    return batches


@torch.no_grad()
def _check_outputs(function: FlatModule, few: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Require (n, c) outputs, of each point by itself, without chance. At moved parameters: some start at zero."""
    generator = torch.Generator().manual_seed(0)
    nudge = torch.randn(function.start.shape, generator=generator, dtype=torch.float64).to(function.start)
    theta = function.start + 0.1 * nudge
    kept = [part for part in function.module.modules() if part.training and isinstance(part, _BatchNorm | _DropoutNd)]
    if kept := [part for part in kept if getattr(part, "p", 1) > 0]:
        raise ValueError(
            f"module: {kept[0]} in training mode makes a prediction depend on chance or on the other points of the "
            f"batch; use group or layer norm, set a rate of dropout to 0, or call module.eval(), which fixes both."
        )
    outputs, again = function(theta, few), function(theta, few)
    if not torch.is_tensor(outputs) or outputs.shape != y.shape:
        came = tuple(outputs.shape) if torch.is_tensor(outputs) else type(outputs).__name__
        raise ValueError(
            f"module: expected outputs of shape {tuple(y.shape)} at {len(few)} points, as their targets, got {came}."
        )
    if not torch.equal(outputs, again):
        raise ValueError(
            "module: two calls at the same points differ, so its forward pass is random; take the chance out of it, or "
            "call module.eval(), before it is recorded."
        )
    if (outputs[:2] - function(theta, few[:2])).abs().max() > 1e-3 * outputs.abs().max():
        raise ValueError(
            "module: its prediction of a point depends on the other points of the batch, so that no point has a "
            "gradient of its own; use group or layer norm, or call module.eval()."
        )
    return outputs


def _check_loss(loss: Loss, outputs: torch.Tensor, y: torch.Tensor) -> None:
    """Require a gradient and a curvature that are those of the loss's value."""
    value = loss.value(outputs, y)
    if value.shape != y.shape[:1]:
        raise ValueError(
            f"loss: expected a value for each point, of shape {tuple(y.shape[:1])}, got {tuple(value.shape)}."
        )
    c = y.shape[1]
    curvature = loss.curvature(outputs, y) if loss.curvature else torch.eye(c).to(outputs).expand(len(y), c, c)
    true = {"gradient": (loss.gradient(outputs, y), grad), "curvature": (curvature, hessian)}
    for name, (found, derivative) in true.items():
        wanted = vmap(derivative(loss.value))(outputs, y)
        if not torch.allclose(found, wanted, rtol=1e-3, atol=1e-4 * float(wanted.abs().max())):
            raise ValueError(f"loss: its {name} is not the derivative of its value by the outputs.")


def _check_derivatives(function: FlatModule, few: torch.Tensor) -> None:
    """Require the derivatives that a recording takes, before it is paid for."""

    def total(theta):
        return function(theta, few).square().sum()

    two = torch.stack([function.start, function.start])
    try:
        vmap(grad(total))(two)
        vmap(lambda along: jvp(grad(total), (function.start,), (along,))[1])(two)
        jacrev(lambda theta: function(theta, few[:1]))(function.start)
    except (RuntimeError, NotImplementedError) as failure:
        raise ValueError(
            f"module: some operation of it cannot be differentiated forwards and in batches ({str(failure)[:200]}); "
            f"write it with simpler ones."
        ) from failure
