"""Forces that stand for absent points at every step, and what they make of quantities of the trained network."""

from collections.abc import Sequence

import torch
from torch.func import jacrev

from ntkif.blocks import row_blocks
from ntkif.training.quantities import Quantities
from ntkif.training.tape import Tape
from ntkif.training.trainings import Trainings

__all__ = ["changes_by", "forces_of"]

_CURVATURES = ("Hessian", "Gauss-Newton")
_WORKING_NUMBERS = 2**24  # of adjoints at once
_ON_CARD = 16  # times as many, since a card waits where it is told of little at a time


def forces_of(tape: Tape, inside: Sequence[torch.Tensor], outside: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """F = g + S (f^{-i} - f) of each step, (b, c), from outputs with and without the points of its batch."""
    loss, forces = tape.loss, []
    for rows, present, absent in zip(tape.batches, inside, outside, strict=True):
        moved = absent - present
        if loss.curvature is not None:
            moved = torch.einsum("bcd,bd->bc", loss.curvature(present, tape.y[rows]), moved)
        forces.append(loss.gradient(present, tape.y[rows]) + moved)
    return forces


def changes_by(
    forces: Sequence[Sequence[torch.Tensor]],
    trainings: Trainings,
    theta: torch.Tensor,
    carried: Quantities,
    x_test: torch.Tensor,
    y_test: torch.Tensor,
    curvature: str,
) -> list[torch.Tensor]:
    """Changes of the quantities of test points without each training point, by one reverse pass a quantity.

    Args:
        forces: several times, for each step, (b, c).
        trainings: whose tape was run.
        theta: (P,) parameters at its end.
        carried: the q quantities of a test point.
        x_test: (k, ...) test points.
        y_test: (k, c) targets.
        curvature: of the reverse pass, "Hessian" or "Gauss-Newton".

    Returns:
        for each of `forces`, (k, q, n).

    Raises:
        ValueError: another curvature.
    """
    if curvature not in _CURVATURES:
        raise ValueError(f"curvature: expected one of {_CURVATURES}, got {curvature!r}.")
    tape, found = trainings.tape, []

    def quantities(at: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return carried.of(tape.function(at, x[None]), y[None])[0]

    q = carried.of(tape.y[:1], tape.y[:1]).shape[1]
    at_once = _WORKING_NUMBERS * (_ON_CARD if x_test.is_cuda else 1) // (q * _numbers_of_adjoint(tape))
    blocks = list(row_blocks(len(x_test), max(1, at_once)))
    with trainings.bar(len(blocks) * len(tape.batches), "influence, backwards") as bar:
        how = {"gauss_newton": curvature == _CURVATURES[1], "tick": bar.update}
        for rows in blocks:
            pairs = zip(x_test[rows], y_test[rows], strict=True)
            seeds = torch.cat([jacrev(quantities)(theta, *pair) for pair in pairs])
            found.append([-part.reshape(-1, q, part.shape[1]) for part in tape.back(seeds, forces, **how)])
    return [torch.cat(parts) for parts in zip(*found, strict=True)]


def _numbers_of_adjoint(tape: Tape) -> int:
    """That the reverse pass holds for each adjoint."""
    batch = max(len(rows) for rows in tape.batches)
    return max(len(tape.function.start), batch * tape.function.numbers_of(tape.x))
