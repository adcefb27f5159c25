"""Estimates of influence from one recorded training by either curvature, and the check that chooses between them."""

from collections.abc import Iterable, Sequence
from itertools import chain

import torch
from torch.func import jacrev, vmap

from ntkif.networks.losses import change_of_loss
from ntkif.retraining.leave_one_out import true_influence
from ntkif.training.forces import changes_by, forces_of
from ntkif.training.quantities import Quantities, quantities_for
from ntkif.training.trainings import Folds, Trainings
from ntkif.training.verdict import Estimate, scores

__all__ = ["Estimates"]


class Estimates:
    """Of a recorded training.

    Args:
        trainings: whose tape was run.
        theta: (P,) parameters at its end.
        inside: for each step, (b, c) outputs of its batch before it.
        folds: trainings without a fold each.
        alone: (r,) rows that were left out alone.
        theta_alone: (r, P) parameters at the end of those trainings.
    """

    def __init__(
        self,
        trainings: Trainings,
        theta: torch.Tensor,
        inside: list[torch.Tensor],
        folds: Folds,
        alone: torch.Tensor,
        theta_alone: torch.Tensor,
    ):
        self.trainings, self.tape, self.theta = trainings, trainings.tape, theta
        self.inside, self.folds, self.alone, self.theta_alone = inside, folds, alone, theta_alone
        self._last: tuple | None = None

    def forces(self, folds: Folds | None = None) -> list[torch.Tensor]:
        """F of each step, (b, c), from these folds or the training's own."""
        return forces_of(self.tape, self.inside, (folds or self.folds).outside)

    def quantities(self, x_test: torch.Tensor, y_test: torch.Tensor) -> tuple[Quantities, torch.Tensor]:
        """Through what changes are carried, and (k, q) what it is in the trained network."""
        carried = quantities_for(self.tape.loss)
        return carried, carried.of(self.tape.function(self.theta, x_test), y_test)

    def moved(
        self,
        x_test: torch.Tensor,
        y_test: torch.Tensor,
        carried: Quantities,
        forces: Sequence[Sequence[torch.Tensor]],
        curvature: str,
    ) -> list[torch.Tensor]:
        """(k, q, n) changes of the quantities of test points without each training point, for each of `forces`."""
        return changes_by(forces, self.trainings, self.theta, carried, x_test, y_test, curvature)

    def truth(self, ends: Iterable[torch.Tensor], x_test: torch.Tensor, y_test: torch.Tensor) -> torch.Tensor:
        """(k, r) true influences, from parameters at the end of trainings, some at a time."""
        thetas = chain([self.theta], (theta for part in ends for theta in part))
        carried = quantities_for(self.tape.loss)

        def loss(outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return carried.loss(carried.of(outputs, y), y)  # which has digits where the loss nears zero

        return true_influence([self.tape.function(theta, x_test) for theta in thetas], y_test, loss)

    def by(self, curvature: str, x_test: torch.Tensor, y_test: torch.Tensor) -> Estimate:
        """By "Hessian" or "Gauss-Newton"; those at the last test points are remembered."""
        if self._last is None or not all(map(torch.equal, self._last[:2], (x_test, y_test))):
            self._last = (x_test.clone(), y_test.clone(), {})
        found = self._last[2]
        if curvature not in found:
            found[curvature] = self._made(curvature, x_test, y_test)
        return found[curvature]

    def best(self, x_test: torch.Tensor, y_test: torch.Tensor) -> Estimate:
        """By the Hessian where it passes the check, else by what passes it better."""
        hessian = self.by("Hessian", x_test, y_test)
        if hessian.good:
            return hessian
        other = self.by("Gauss-Newton", x_test, y_test)
        return min(hessian, other, key=lambda estimate: estimate.error)

    def _made(self, curvature: str, x_test: torch.Tensor, y_test: torch.Tensor) -> Estimate:
        loss, y = self.tape.loss, self.tape.y
        inside = zip(self.tape.batches, self.inside, strict=True)
        forces = [self.forces(), [loss.gradient(outputs, y[rows]) for rows, outputs in inside]]
        carried, at = self.quantities(x_test, y_test)
        ours, first = self.moved(x_test, y_test, carried, forces, curvature)
        slope = vmap(jacrev(carried.loss))(at, y_test)
        numbers = torch.arange(len(self.folds.theta), device=ours.device)
        together = ours @ (self.folds.number[:, None] == numbers).to(ours)
        folds, each = (change_of_loss(carried.loss, at, moved.transpose(1, 2), y_test) for moved in (together, ours))
        told = [scores("folds", folds, self.truth([self.folds.theta], x_test, y_test))]
        if len(self.alone):
            truth = self.truth([self.theta_alone], x_test, y_test)
            told.append(scores("points alone", each[:, self.alone], truth))
        worse = max(told, key=lambda one: one["relative_error"])
        return Estimate(curvature, each, torch.einsum("kq,kqn->kn", slope, first), worse)
