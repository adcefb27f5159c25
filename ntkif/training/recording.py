"""Train a module so that the influences of its points can be asked for: with a tape, folds, and points left out."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from ntkif.checks import check_count
from ntkif.networks.inputs import in_own_precision
from ntkif.networks.losses import Loss
from ntkif.training.conditions import check_batches, check_points, check_training, loss_of_batches, recorded_targets
from ntkif.training.folds import check_folds
from ntkif.training.optimizers import Optimizer
from ntkif.training.recorded import RecordedTraining
from ntkif.training.tape import Tape, batches_of, stride_for
from ntkif.training.trainings import Trainings

__all__ = ["record_training"]


@in_own_precision
def record_training(
    module: torch.nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    *,
    loss: Loss | str | Callable,
    optimizer: Optimizer,
    epochs: int | None = None,
    batch_size: int | None = None,
    batches: Sequence | None = None,
    seed: int = 0,
    ridge: float = 0.0,
    folds: int | Sequence[int] | torch.Tensor | None = None,
    alone: int = 10,
    folder: str | Path | None = None,
    progress: bool = True,
) -> RecordedTraining:
    """Train a module, keeping what its influences need, and again without each of some folds of the points.

    Each step takes the mean of the loss over its batch. In all 1 + K + `alone` trainings, ten at a time but the first.

    Args:
        module: at its start; not changed. It is used as it stands, in training or evaluation mode, and must predict
            each point by itself and without chance.
        x: (n, ...) training points, dtype and device as the parameters.
        y: (n, c) targets; class numbers or one-hot for the cross-entropy, for test points too.
        loss: of one point, see `loss_of`: by name, an object of torch, or a function.
        optimizer: of `training.optimizers`; `from_torch` makes one of torch's.
        epochs: passes through the points, one where absent.
        batch_size: points of a step; all where absent.
        batches: in place of these two, rows of each step, in the order of a training of your own.
        seed: of the batches.
        ridge: penalty λ of the sum of losses, towards the start (Eq. 2).
        folds: K, from 2 to n, dealt out so that like points are in different ones; or (n,) the number of each point's
            fold, from 0 to K - 1. The more, the nearer to leaving out one point; each costs a training. Twenty, or n,
            where absent.
        alone: points, drawn at random, that are left out alone, so that the check knows of single points too.
        folder: where each part is kept as it ends; begun again after a failure, recording goes on from there.
        progress: whether to show bars.

    Returns:
        the recorded training.

    Raises:
        TypeError, ValueError: wrong shapes, dtypes, NaN or targets; a module with chance, or whose predictions depend
            on the other points of a batch; a loss without second derivatives; an optimizer of torch for a part of the
            parameters; what a training of torch may do and a recording would not, as hooks on parameters, or a decay
            of weights on which the loss does not depend; batches that do not cover the points; a training that
            diverges; or a folder of another training.
        OSError: the folder cannot be written.
        MemoryError: the states of the training do not fit, not even few of them.
    """
    loss = loss_of_batches(loss)
    outputs = check_points(module, x)
    y = recorded_targets("y", y, len(x), outputs, loss)
    function = check_training(module, x, y, loss, optimizer, ridge)
    x, y, n = x.detach().clone(), y.detach().clone(), len(x)  # yours may change afterwards
    number = check_folds(min(20, n) if folds is None else folds, x, y)
    if batches is not None and (epochs, batch_size) != (None, None):
        raise ValueError("batches: expected no epochs and no batch_size beside them; they say all steps themselves.")
    batches = batches_of(n, batch_size, 1 if epochs is None else epochs, seed) if batches is None else batches
    batches = check_batches(batches, n, optimizer, x.device)
    # A folder takes a second copy for a moment.
    stride = stride_for(optimizer, function.start, len(batches), share=0.5 if folder is None else 0.25)
    tape = Tape(function, x, y, loss, optimizer, batches, ridge=ridge, stride=stride)
    rows = torch.randperm(n, generator=torch.Generator().manual_seed(0))[: check_count("alone", alone, 0)].to(x.device)
    with torch.no_grad():
        return RecordedTraining(Trainings(tape, folder, progress), number, rows)
