"""What a training must be like to be recorded: each error says what was expected, what came and what to do."""

from collections.abc import Sequence

import torch

from ntkif.checks import check_group, check_matrix, check_ridge
from ntkif.networks.losses import CROSS_ENTROPY, Loss
from ntkif.networks.modules import trained_parameters
from ntkif.training.tape import FlatModule

__all__ = ["check_batches", "check_targets", "check_training"]


def check_training(module: torch.nn.Module, x: torch.Tensor, y: torch.Tensor, loss: Loss, ridge: float) -> FlatModule:
    """Require what `record_training` asks for; returns the module as a function of its parameters."""
    parameters = trained_parameters(module).values()
    kinds = {(value.dtype, value.device) for value in parameters}
    came = (x.dtype, x.device) if isinstance(x, torch.Tensor) else type(x).__name__
    if len(kinds) != 1 or came not in kinds:
        raise TypeError(f"x: expected a torch tensor like the trained parameters, {kinds or 'none'}, got {came}.")
    if len(x) < 2 or not torch.isfinite(x).all():
        raise ValueError(f"x: expected at least two finite points, got shape {tuple(x.shape)} or NaN or infinity.")
    check_matrix("y", y, rows=len(x), like=x)
    check_targets("y", y, loss)
    check_ridge(ridge)
    function = FlatModule(module)
    _check_outputs(function, x[:4], y[:4])
    return function


def check_targets(name: str, y: torch.Tensor, loss: Loss) -> None:
    """Require one-hot targets where the loss is the cross-entropy."""
    if loss is not CROSS_ENTROPY:
        return
    if y.shape[1] < 2 or not ((y == 0) | (y == 1)).all() or not (y.sum(1) == 1).all():
        raise ValueError(
            f"{name}: expected one-hot targets with a column for each class, as the cross-entropy needs; of class "
            f"numbers make them with torch.nn.functional.one_hot(labels, classes).to(x)."
        )


def check_batches(batches: Sequence, n: int, device: torch.device) -> list[torch.Tensor]:
    """Require distinct rows in each batch, and every point in some batch; returns the rows as tensors."""
    batches = [check_group(rows, n).to(device) for rows in batches]
    seen = torch.zeros(n, dtype=torch.bool, device=device)
    for rows in batches:
        seen[rows] = True
    if not seen.all():
        missing = (~seen).nonzero()[:, 0].tolist()
        raise ValueError(
            f"batches: expected every training point in some batch, but {len(missing)} of {n} are in none (first "
            f"{missing[:5]}); leave those out of x and y, or train longer."
        )
    return batches


@torch.no_grad()
def _check_outputs(function: FlatModule, few: torch.Tensor, y: torch.Tensor) -> None:
    """Require (n, c) outputs, of each point by itself, without chance."""
    outputs, again = function(function.start, few), function(function.start, few)
    if outputs.shape != y.shape:
        raise ValueError(
            f"module: expected outputs of shape {tuple(y.shape)} at {len(few)} points, as their targets, "
            f"got {tuple(outputs.shape)}."
        )
    if not torch.equal(outputs, again):
        raise ValueError(
            "module: two calls at the same points differ, so its forward pass is random (dropout?); set its rate to 0, "
            "or call module.eval(), before it is recorded."
        )
    # Two points, since batch norm refuses one alone.
    if (outputs[:2] - function(function.start, few[:2])).abs().max() > 1e-3 * outputs.abs().max():
        raise ValueError(
            "module: its prediction of a point depends on the other points of the batch (batch norm?), so that no "
            "point has a gradient of its own; use group or layer norm, or call module.eval(), which fixes the "
            "statistics."
        )
