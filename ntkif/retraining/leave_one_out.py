"""The one loop behind every truth here: train with all points, then without each of some, and compare the losses."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch

from ntkif.metrics import half_squares

__all__ = ["check_row", "leave_one_out", "true_influence", "without"]

_Trained = TypeVar("_Trained")


def leave_one_out(
    train: Callable[[torch.Tensor, torch.Tensor], _Trained], x: torch.Tensor, y: torch.Tensor, rows: Sequence[int]
) -> Iterator[_Trained]:
    """What training gives with all points, and then without each of some.

    Args:
        train: of points and targets; returns a network, or whatever is wanted of it, such as its predictions. It must
            start from the same weights each time.
        x: (n, ...) training points.
        y: (n, c) targets.
        rows: r training points to leave out, one at a time.

    Yields:
        what `train` returns: first with all points, then without each of `rows`, as it is finished.

    Raises:
        ValueError: a row that is not there.

    >>> [float(mean) for mean in leave_one_out(lambda x, y: y.mean(), torch.eye(2), torch.tensor([[1.0], [3.0]]), [0])]
    [2.0, 3.0]
    """
    rows = list(rows)
    for row in rows:
        if row is not None:
            check_row(row, len(x))
    for row in (None, *rows):
        yield train(*without(row, x, y))


def without(row: int | None, *arrays: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The arrays, a row for each training point, without one of the points; all of it where `row` is None."""
    if row is None:
        return arrays
    check_row(row, len(arrays[0]))
    kept = torch.arange(len(arrays[0]), device=arrays[0].device) != row
    return tuple(array[kept] for array in arrays)


def check_row(row: int, n: int) -> None:
    """Require one of n training points.

    Raises:
        ValueError: it is not there; a negative one would remove nothing.
    """
    if not 0 <= row < n:
        raise ValueError(f"row: expected a training point from 0 to {n - 1}, got {row}.")


def true_influence(
    predictions: torch.Tensor | Sequence[torch.Tensor],
    y_test: torch.Tensor,
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] = half_squares,
) -> torch.Tensor:
    """Influence as it is defined (Eq. 7): the test loss without a training point minus the test loss with it.

    Args:
        predictions: (1 + r, k, c) at the test points, in the order of `leave_one_out`.
        y_test: (k, c) targets.
        loss: of (..., k, c) predictions and targets, (..., k).

    Returns:
        (k, r) change of loss; positive means helpful.

    Raises:
        ValueError: predictions that are not of three dimensions, or targets of another shape than one of them.
    """
    predictions = predictions if isinstance(predictions, torch.Tensor) else torch.stack(list(predictions))
    losses = loss(predictions, y_test)
    if predictions.ndim != 3 or losses.shape != predictions.shape[:2]:
        raise ValueError(
            f"y_test: expected (k, c) targets for (1 + r, k, c) predictions, or what the loss takes to give (1 + r, k) "
            f"numbers, got shapes {tuple(y_test.shape)} and {tuple(predictions.shape)}; turn a vector of one output "
            f"into a column with y_test[:, None]."
        )
    return (losses[1:] - losses[0]).T
