"""What a training must be like to be recorded: each error says what was expected, what came and what to do."""

from collections import Counter
from collections.abc import Sequence

import torch
from torch.func import grad, hessian, jacrev, vmap
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from ntkif.checks import check_group, check_ridge, group_rows
from ntkif.networks.inputs import unchanged
from ntkif.networks.losses import Loss, targets_of
from ntkif.networks.module_checks import check_alone, check_module, points_taken
from ntkif.networks.modules import trained_parameters
from ntkif.networks.named_losses import loss_of
from ntkif.training.differences import check_decay, check_own_loss, check_own_module
from ntkif.training.flat_module import FlatModule
from ntkif.training.optimizers import Optimizer
from ntkif.training.quantities import LOG_ODDS, quantities_for
from ntkif.training.tape import Tape

__all__ = ["check_batches", "check_points", "check_training", "loss_of_batches", "recorded_targets"]


def check_points(module: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Require a module and points that it takes, one for itself; returns (1, c) outputs of the first.

    Raises:
        TypeError, ValueError: no module, or one with dropout or batch norm in training mode; no dense tensor of the
            parameters' dtype, float32 or float64, and device; fewer than three points; outputs that are no row.
    """
    check_module(module)
    parameters = trained_parameters(module).values()
    kinds = {(value.dtype, value.device) for value in parameters}
    came = (x.dtype, x.device) if isinstance(x, torch.Tensor) else type(x).__name__
    if len(kinds) != 1 or came not in kinds or x.layout != torch.strided:
        raise TypeError(
            f"x: expected a dense torch tensor like the trained parameters, {kinds or 'none'}, got {came}; convert "
            f"arrays with torch.as_tensor, take a DataLoader apart with `take_all`; a module of token numbers takes "
            f"them as floats, and x.long() first in its forward pass."
        )
    if x.dtype not in (torch.float32, torch.float64) or x.is_meta:
        raise TypeError(f"x: expected float32 or float64 with numbers, got {came}; use module.float() and x.float().")
    if x.ndim < 2 or len(x) < 3 or not torch.isfinite(x).all():
        raise ValueError(
            f"x: expected at least three finite points, one a row, got shape {tuple(x.shape)} or NaN or infinity."
        )
    if isinstance(module, torch.jit.ScriptModule | torch.nn.DataParallel):
        raise TypeError(
            f"module: expected one whose parameters can be replaced in a call, got a {type(module).__name__}; pass the "
            f"module that it was made of."
        )
    _check_modes(module)
    check_own_module(module)
    with torch.no_grad(), unchanged(module), points_taken("x", [x]):
        outputs = module(x[:1].clone())
    if not torch.is_tensor(outputs) or outputs.ndim != 2 or len(outputs) != 1:
        came = f"shape {tuple(outputs.shape)}" if torch.is_tensor(outputs) else f"a {type(outputs).__name__}"
        raise ValueError(
            f"module: expected (n, c) outputs of n points, got {came} of one; wrap it in a module that returns them."
        )
    return outputs


def check_training(
    module: torch.nn.Module, x: torch.Tensor, y: torch.Tensor, loss: Loss, optimizer: Optimizer, ridge: float
) -> FlatModule:
    """Require what `record_training` asks for else; returns the module as a function of its parameters."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"optimizer: expected SGD, Adam or AdamW of ntkif.training.optimizers, got {type(optimizer).__name__}; "
            f"pass from_torch(optimizer) of that module."
        )
    check_ridge(ridge)
    _check_parameters(module, optimizer)
    function = FlatModule(module)
    for name in ("learning_rate", "weight_decay"):
        each = getattr(optimizer, name)
        if torch.is_tensor(each) and (each.shape != function.start.shape or each.dtype != x.dtype):
            raise ValueError(
                f"optimizer: expected a {name} of {len(function.start)} parameters in {x.dtype}, "
                f"got shape {tuple(each.shape)} in {each.dtype}."
            )
    outputs = _check_outputs(function, x)[:4]
    _check_loss(loss, outputs, y[:4])
    check_decay(function.module, x[:8], y[:8], loss, optimizer)
    _check_derivatives(Tape(function, x[:2].clone(), y[:2], loss, optimizer, [torch.arange(2, device=x.device)]))
    return function


def loss_of_batches(loss) -> Loss:
    """The loss of one point, of whatever `loss_of` takes; a step takes its mean over the batch.

    Raises:
        TypeError, ValueError: as `loss_of`; or an object of torch that takes the sum.
    """
    if isinstance(loss, torch.nn.CrossEntropyLoss | torch.nn.NLLLoss) and loss.weight is not None:
        raise ValueError(
            "loss: expected none with weights of classes, since torch's mean divides by the sum of the weights of the "
            "batch and not by its points; train by the mean of a loss of one point, and pass that: "
            "lambda f, y: -(weight * y * f.log_softmax(-1)).sum(-1), with one-hot targets."
        )
    check_own_loss(loss)
    found, _ = loss_of(loss)
    if getattr(loss, "reduction", "mean") != "mean":
        raise ValueError(
            f"loss: expected the mean over a batch, which each step takes, got reduction={loss.reduction!r}; pass "
            f"reduction='mean' and a learning rate as many times as large as a batch has points."
        )
    return found


def recorded_targets(name: str, y: torch.Tensor, n: int, outputs: torch.Tensor, loss: Loss) -> torch.Tensor:
    """(n, c) targets as `targets_of` makes them, for outputs of c columns; one-hot where the loss is the cross-entropy.

    Raises:
        TypeError, ValueError: as `targets_of`; or probabilities.
    """
    y = targets_of(loss, y, outputs.new_empty(n, outputs.shape[1]), name)
    if quantities_for(loss) is LOG_ODDS and not ((y == 0) | (y == 1)).all():
        raise ValueError(
            f"{name}: expected class numbers or one-hot targets, since changes are carried through the log-odds of the "
            f"right class, got probabilities; take the loss lambda f, y: -(y * f.log_softmax(-1)).sum() for them."
        )
    return y


def check_batches(batches: Sequence, n: int, optimizer: Optimizer, device: torch.device) -> list[torch.Tensor]:
    """Require distinct rows in each batch, every point in some batch, and a rate for each; returns rows as tensors."""
    batches = [check_group(_rows_of(rows), n, "batches").to(device) for rows in batches]
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


def _rows_of(rows) -> torch.Tensor:
    """Rows of a step as users have them, also as the one tensor of a batch of a DataLoader."""
    if isinstance(rows, list | tuple) and len(rows) == 1 and torch.is_tensor(rows[0]) and rows[0].ndim == 1:
        return rows[0]
    try:
        return group_rows(rows)
    except (RuntimeError, TypeError, ValueError):
        shown = f"{type(rows).__name__} of {[type(each).__name__ for each in rows][:3]}" if len(rows) else "nothing"
        raise TypeError(
            f"batches: expected for each step the rows of its points, whole numbers, got a {shown}; take the rows out "
            f"of each batch."
        ) from None


def _check_parameters(module: torch.nn.Module, optimizer: Optimizer) -> None:
    """Require that an optimizer of torch has all that would be trained; what it has besides may be frozen here."""
    mine = [tuple(value.shape) for value in trained_parameters(module).values()]
    if optimizer.shapes is not None and (left := Counter(mine) - Counter(optimizer.shapes)):
        raise ValueError(
            f"optimizer: expected one over all parameters of the module that ask for gradients, of shapes {mine[:8]}, "
            f"got one without {list(left.elements())[:8]}; freeze what it does not train with requires_grad_(False), "
            f"or pass module=... to from_torch."
        )


def _check_modes(module: torch.nn.Module) -> None:
    kept = [part for part in module.modules() if part.training and isinstance(part, _BatchNorm | _DropoutNd)]
    without = [part for part in module.modules() if isinstance(part, _BatchNorm) and part.running_mean is None]
    if without and without[0] not in kept:
        raise ValueError(
            f"module: {without[0]} has no running statistics, so that a prediction depends on the other points of the "
            f"batch in evaluation mode too; use group or layer norm."
        )
    if kept := [part for part in kept if getattr(part, "p", 1) > 0]:
        raise ValueError(
            f"module: {kept[0]} in training mode makes a prediction depend on chance or on the other points of the "
            f"batch; use group or layer norm, set a rate of dropout to 0, or call module.eval(), which fixes both."
        )


@torch.no_grad()
def _check_outputs(function: FlatModule, x: torch.Tensor) -> torch.Tensor:
    """Require outputs of each point by itself, without chance; at moved parameters if it can, since some start at 0."""
    for theta in (function.moved(0.1), function.start):
        outputs = function(theta, x[:8].clone())
        if torch.isfinite(outputs).all():
            break
    else:
        raise ValueError("module: expected finite outputs at its start, got NaN or infinity; start it elsewhere.")
    check_alone(lambda rows: function(theta, x[rows]), len(x))
    return outputs


def _check_loss(loss: Loss, outputs: torch.Tensor, y: torch.Tensor) -> None:
    """Require outputs that the loss takes, and a gradient and a curvature that are those of its value."""
    loss.check_outputs(outputs)
    try:
        value = loss.value(outputs, y)
    except (AssertionError, RuntimeError, TypeError) as failure:
        raise ValueError(
            f"loss: expected one of the outputs and the targets of one point, a row each, got one that says "
            f"{type(failure).__name__}: {str(failure)[:200]}"
        ) from failure
    if value.shape != y.shape[:1]:
        raise ValueError(
            f"loss: expected a value for each point, of shape {tuple(y.shape[:1])}, got {tuple(value.shape)}."
        )
    eye = torch.eye(y.shape[1]).to(outputs).expand(*y.shape, y.shape[1])
    try:
        told = loss.gradient(outputs, y), loss.curvature(outputs, y) if loss.curvature else eye
        true = [vmap(derivative(loss.value))(outputs, y) for derivative in (grad, hessian)]
    except RuntimeError as failure:
        raise ValueError(
            f"loss: expected one that can be differentiated twice, of the outputs and the targets of one point, got "
            f"{str(failure)[:200]}; write the loss with simpler operations."
        ) from failure
    for name, found, wanted in zip(("gradient", "curvature"), told, true, strict=True):
        if not torch.allclose(found, wanted, rtol=1e-3, atol=1e-4 * float(wanted.abs().max())):
            raise ValueError(f"loss: its {name} is not the derivative of its value by the outputs.")


def _check_derivatives(tape: Tape) -> None:
    """Require the derivatives that a recording takes, before it is paid for, of a tape of a few points."""
    start, (rows,) = tape.function.start, tape.batches
    two = torch.stack([start, start])
    try:
        vmap(grad(lambda theta: tape.loss.value(tape.function(theta, tape.x), tape.y).sum()))(two)
        tape.hessian(start, rows, two)
        jacrev(lambda theta: tape.function(theta, tape.x[:1]))(start)
    except (RuntimeError, NotImplementedError) as failure:
        raise ValueError(
            f"module, loss: some operation cannot be differentiated twice and in batches ({str(failure)[:200]}); "
            f"write it with simpler ones, or, where this names ChannelsLast, pass x.contiguous()."
        ) from failure
