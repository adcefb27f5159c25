"""Influence of a network as it was trained: any optimiser, mini-batches, any loss, stopped at any time.

Not in the paper. Write training as z_{t+1} = Φ_t(z_t, u_t), with z the parameters and the optimiser's state, and u_t
the gradient of step t. The training without point i is, exactly, a training of the full update with one more force,
minus that point's own term. Linearise the full update at the training that was recorded, as its reverse pass does. The
own term is then g_i + S_i J_iᵀ δθ, and the force that cancels it

    F_i(t) = g_i(t) + S_i(t) (f_i^{-i}(t) - f_i(t))

with g_i gradient and S_i curvature of the point's loss by its outputs f_i, and f_i^{-i} those outputs in a training
without it. A quantity of the network changes by

    - Σ_{t: i in B_t} a_tᵀ J_i(t) F_i(t) / |B_t|  +  O(δθ²)

where a_t is the derivative of the quantity by the gradient of step t. For half squares F_i is the leave-one-out
residual: at a ridge minimum the sum is that of Eq. 9. With g_i in place of F_i it is the derivative by the weight of
the point, which lacks what IHVP lacks.

The outputs f_i^{-i} come from few further trainings, each without a fold of the points. These are removals that were
really carried out: how well they are predicted tells how far the influences can be trusted.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch.func import jacrev, vmap

from ntkif.blocks import row_blocks
from ntkif.checks import check_group, check_matrix
from ntkif.metrics import agreement
from ntkif.networks.losses import Loss
from ntkif.retraining.leave_one_out import true_influence
from ntkif.training.conditions import check_batches, check_targets, check_training
from ntkif.training.folds import check_folds, folds_apart
from ntkif.training.optimizers import Optimizer
from ntkif.training.quantities import OUTPUTS, Quantities, quantities_for
from ntkif.training.tape import Tape, batches_of, stride_for
from ntkif.training.trainings import Folds, Trainings

__all__ = ["NotPredictableError", "RecordedTraining", "record_training"]

_WARN, _REFUSE = 0.3, 0.5  # relative error of the check
_WORKING_NUMBERS = 2**24  # of adjoints at once


class NotPredictableError(ValueError):
    """The training's own removals are predicted too badly for its influences to be believed."""


def record_training(
    module: torch.nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    *,
    loss: Loss,
    optimizer: Optimizer,
    epochs: int = 1,
    batch_size: int | None = None,
    batches: Sequence | None = None,
    seed: int = 0,
    ridge: float = 0.0,
    folds: int | torch.Tensor = 20,
    folder: str | Path | None = None,
    progress: bool = True,
) -> "RecordedTraining":
    """Train a module, keeping what its influences need, and again without each of some folds of the points.

    Each step takes the mean of the loss over its batch. In all 1 + `folds` trainings, the latter side by side.

    Args:
        module: at its start; not changed. It is used as it stands, in training or evaluation mode, and must predict
            each point by itself and without chance.
        x: (n, ...) training points, dtype and device as the parameters.
        y: (n, c) targets; one-hot for the cross-entropy.
        loss: of one point.
        optimizer: of `training.optimizers`; `from_torch` makes one of torch's.
        epochs: passes through the points; not used where `batches` are given.
        batch_size: points of a step; all where absent.
        batches: rows of each step, in the order of a training of your own.
        seed: of the batches.
        ridge: penalty λ of the sum of losses, towards the start (Eq. 2).
        folds: K, from 2 to n, dealt out so that like points are in different ones; or (n,) the number of each point's
            fold, from 0 to K - 1. The more, the nearer to leaving out one point; each costs a training.
        folder: where each part is kept as it ends; begun again after a failure, recording goes on from there.
        progress: whether to show bars.

    Returns:
        the recorded training.

    Raises:
        TypeError, ValueError: wrong shapes, dtypes, NaN or targets; a module with chance, or whose predictions depend
            on the other points of a batch; batches that do not cover the points; a training that diverges; or a folder
            of another training.
        MemoryError: the states of the training do not fit, not even few of them.
    """
    function = check_training(module, x, y, loss, ridge)
    number = check_folds(folds, x, y)
    batches = batches_of(len(x), batch_size, epochs, seed) if batches is None else batches
    batches = check_batches(batches, len(x), x.device)
    stride = stride_for(optimizer, function.start, len(batches))
    tape = Tape(function, x, y, loss, optimizer, batches, ridge=ridge, stride=stride)
    return RecordedTraining(Trainings(tape, folder, progress), number)


class RecordedTraining:
    """A training with its tape and its folds; made by `record_training`.

    Attributes:
        tape: the training itself.
        theta: (P,) parameters at the end.
        inside: for each step, (b, c) outputs of its batch before it.
        outside: the same, of each point in the training without its fold.
        fold: (n,) number of each point's fold.
    """

    def __init__(self, trainings: Trainings, number: torch.Tensor):
        self._trainings, self.tape = trainings, trainings.tape
        self.theta, self.inside = trainings.whole()
        self._folds = trainings.without_folds(number)
        self._of_count = {len(self._folds.theta): self._folds}
        self._last: tuple | None = None

    @property
    def outside(self) -> list[torch.Tensor]:
        """For each step, (b, c) outputs of its batch, of each point in the training without its fold."""
        return self._folds.outside

    @property
    def fold(self) -> torch.Tensor:
        """(n,) number of each point's fold."""
        return self._folds.number

    @cached_property
    def module(self) -> torch.nn.Module:
        """The trained module."""
        return self.tape.function.at(self.theta)

    def influence(
        self, x_test: torch.Tensor, y_test: torch.Tensor, *, retrain: int = 0, trust: bool = False
    ) -> torch.Tensor:
        """Change of the test loss without each training point.

        Through the log-odds of the right class for the cross-entropy, one reverse pass a test point; else through the
        outputs, c passes. The pass takes the Hessian; where this fails the check, Gauss-Newton's matrix if that is
        better.

        Args:
            x_test: (k, ...) test points.
            y_test: (k, c) targets.
            retrain: so many training points, those of largest influence over all test points, are really left out, and
                have their true influence: the few that matter most are where the rest of the error is.
            trust: whether to give the influences without a word, however the check turns out.

        Returns:
            (k, n); positive means helpful.

        Raises:
            NotPredictableError: the relative error of the check is above 0.5.

        Warns:
            UserWarning: it is above 0.3.
        """
        estimate = self._best(x_test, y_test)
        if not trust:
            _judge(estimate.check["relative_error"])
        influence = estimate.influence.clone()
        if retrain:
            rows = influence.norm(dim=0).topk(min(retrain, influence.shape[1])).indices
            influence[:, rows] = self.without(rows.tolist(), x_test, y_test)
        return influence

    def check(self, x_test: torch.Tensor, y_test: torch.Tensor) -> dict[str, float | str]:
        """How well the removal of each fold, really carried out, is predicted at test points, all pooled.

        Returns:
            scores of `metrics.agreement`, and by which curvature they were reached.
        """
        estimate = self._best(x_test, y_test)
        return {"curvature": estimate.curvature} | estimate.check

    def first_order(self, x_test: torch.Tensor, y_test: torch.Tensor) -> torch.Tensor:
        """(k, n) minus the derivative of the test loss by the weight of each training point, for comparison (MAGIC)."""
        return self._estimate(x_test, y_test, "Hessian").first_order

    def change(self, x_test: torch.Tensor, *, curvature: str = "Hessian") -> torch.Tensor:
        """(k, n, c) change of the outputs at test points without each training point; c reverse passes a test point."""
        no_targets = self.tape.y.new_zeros(len(x_test), self.tape.y.shape[1])
        return self._moved(x_test, no_targets, OUTPUTS, [self.forces()], curvature)[0].transpose(1, 2)

    def group(self, sets: Sequence, x_test: torch.Tensor, y_test: torch.Tensor) -> torch.Tensor:
        """Change of the test loss without whole sets of training points, with forces from folds of about their size.

        A set larger than the folds asks for trainings without larger ones, n over its size of them and at least two.

        Args:
            sets: g lists of training rows.
            x_test: (k, ...) test points.
            y_test: (k, c) targets.

        Returns:
            (k, g); positive means helpful.
        """
        carried, at = self._quantities(x_test, y_test)
        sets = [check_group(rows, len(self.tape.x)) for rows in sets]
        counts = [self._count_for(len(rows)) for rows in sets]
        forces = {count: self._forces(self._folds_of(count)) for count in counts}
        moved = self._moved(x_test, y_test, carried, forces.values(), self._best(x_test, y_test).curvature)
        by_count = dict(zip(forces, moved, strict=True))
        at_sets = [at + by_count[count][:, :, rows].sum(2) for count, rows in zip(counts, sets, strict=True)]
        return torch.stack([carried.loss(each, y_test) - carried.loss(at, y_test) for each in at_sets], 1)

    def top(self, count: int, x_test: torch.Tensor, y_test: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(k, count) influences of largest absolute value, and the training rows they are of."""
        influence = self.influence(x_test, y_test)
        rows = influence.abs().topk(min(count, influence.shape[1]), dim=1).indices
        return influence.gather(1, rows), rows

    def without(self, sets: Sequence, x_test: torch.Tensor, y_test: torch.Tensor) -> torch.Tensor:
        """(k, r) true influences of points or sets: trained again without each, from the same start.

        In the same batches, with the same divisors.
        """
        weights = self.tape.x.new_ones(len(sets), len(self.tape.x))
        for row, removed in zip(weights, sets, strict=True):
            row[check_group(torch.as_tensor(removed).reshape(-1), len(row))] = 0
        return self._truth(self._trainings.without(weights), x_test, y_test)

    def _truth(self, theta: torch.Tensor, x_test: torch.Tensor, y_test: torch.Tensor) -> torch.Tensor:
        outputs = vmap(self.tape.function, in_dims=(0, None))(torch.cat([self.theta[None], theta]), x_test)
        return true_influence(outputs, y_test, self.tape.loss.value)

    def forces(self) -> list[torch.Tensor]:
        """F of each step, (b, c): what each point of its batch would have pulled with, had it not been there."""
        return self._forces(self._folds)

    def influence_by(
        self, forces: Sequence[torch.Tensor], x_test: torch.Tensor, y_test: torch.Tensor, *, curvature: str = "Hessian"
    ) -> torch.Tensor:
        """(k, n) change of the test loss by forces of your own making, (b, c) for each step, see `forces`."""
        self._check_test(x_test, y_test)
        carried, at = self._quantities(x_test, y_test)
        moved = self._moved(x_test, y_test, carried, [forces], curvature)[0]
        return _change_of_loss(carried, at, moved, y_test)

    def _forces(self, folds: Folds) -> list[torch.Tensor]:
        loss, forces = self.tape.loss, []
        for rows, inside, outside in zip(self.tape.batches, self.inside, folds.outside, strict=True):
            moved = outside - inside
            if loss.curvature is not None:
                moved = torch.einsum("bcd,bd->bc", loss.curvature(inside), moved)
            forces.append(loss.gradient(inside, self.tape.y[rows]) + moved)
        return forces

    def _count_for(self, size: int) -> int:
        return min(len(self._folds.theta), max(2, len(self.tape.x) // size))

    def _folds_of(self, count: int) -> Folds:
        if count not in self._of_count:
            number = folds_apart(self.tape.x, self.tape.y, count)
            self._of_count[count] = self._trainings.without_folds(number)
        return self._of_count[count]

    def _quantities(self, x_test: torch.Tensor, y_test: torch.Tensor) -> tuple[Quantities, torch.Tensor]:
        """Through what changes are carried, and (k, q) what it is in the trained network."""
        carried = quantities_for(self.tape.loss)
        return carried, carried.of(self.tape.function(self.theta, x_test), y_test)

    def _moved(self, x_test, y_test, carried: Quantities, forces, curvature: str) -> list[torch.Tensor]:
        """(k, q, n) changes of the quantities of test points without each training point, for each of `forces`."""

        def quantities(theta, x, y):
            return carried.of(self.tape.function(theta, x[None]), y[None])[0]

        derivative = vmap(jacrev(quantities), in_dims=(None, 0, 0))
        q, found = carried.of(self.tape.y[:1], self.tape.y[:1]).shape[1], []
        for rows in row_blocks(len(x_test), max(1, _WORKING_NUMBERS // (q * len(self.theta)))):
            seeds = derivative(self.theta, x_test[rows], y_test[rows]).flatten(0, 1)
            sums = self.tape.back(seeds, forces, gauss_newton=curvature != "Hessian")
            found.append([-part.reshape(-1, q, part.shape[1]) for part in sums])
        return [torch.cat(parts) for parts in zip(*found, strict=True)]

    def _estimate(self, x_test: torch.Tensor, y_test: torch.Tensor, curvature: str) -> "_Estimate":
        """For these test points; the last ones are remembered."""
        self._check_test(x_test, y_test)
        if self._last is None or not all(map(torch.equal, self._last[:2], (x_test, y_test))):
            self._last = (x_test.clone(), y_test.clone(), {})
        found = self._last[2]
        if curvature not in found:
            found[curvature] = self._estimated(x_test, y_test, curvature)
        return found[curvature]

    def _estimated(self, x_test: torch.Tensor, y_test: torch.Tensor, curvature: str) -> "_Estimate":
        loss, y = self.tape.loss, self.tape.y
        inside = zip(self.tape.batches, self.inside, strict=True)
        forces = [self.forces(), [loss.gradient(outputs, y[rows]) for rows, outputs in inside]]
        carried, at = self._quantities(x_test, y_test)
        ours, first = self._moved(x_test, y_test, carried, forces, curvature)

        def change(moved):
            return (
                carried.loss(at[:, None] + moved.transpose(1, 2), y_test[:, None]) - carried.loss(at, y_test)[:, None]
            )

        slope = vmap(jacrev(carried.loss))(at, y_test)
        numbers = torch.arange(len(self._folds.theta), device=ours.device)
        together = ours @ (self.fold[:, None] == numbers).to(ours)
        folds, each = (_change_of_loss(carried, at, moved, y_test) for moved in (together, ours))
        told = agreement(folds, self._truth(self._folds.theta, x_test, y_test))
        return _Estimate(curvature, each, torch.einsum("kq,kqn->kn", slope, first), told)

    def _best(self, x_test: torch.Tensor, y_test: torch.Tensor) -> "_Estimate":
        """By the Hessian where it passes the check, else by what passes it better."""
        hessian = self._estimate(x_test, y_test, "Hessian")
        if hessian.check["relative_error"] <= _WARN:
            return hessian
        other = self._estimate(x_test, y_test, "Gauss-Newton")
        return min(hessian, other, key=lambda estimate: estimate.check["relative_error"])

    def _check_test(self, x_test: torch.Tensor, y_test: torch.Tensor) -> None:
        wanted, came = ((tuple(each.shape[1:]), each.dtype, each.device) for each in (self.tape.x, x_test))
        if came != wanted:
            raise ValueError(f"x_test: expected points like the training points, {wanted}, got {came}.")
        check_matrix("y_test", y_test, rows=len(x_test), columns=self.tape.y.shape[1], like=self.tape.y)
        check_targets("y_test", y_test, self.tape.loss)


@dataclass(frozen=True, eq=False)
class _Estimate:
    """(k, n) influence and first order by one curvature, and how well the folds are predicted by it."""

    curvature: str
    influence: torch.Tensor
    first_order: torch.Tensor
    check: dict[str, float]


def _change_of_loss(carried: Quantities, at: torch.Tensor, moved: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """(k, n) from quantities (k, q), their changes (k, q, n), and targets."""
    return carried.loss(at[:, None] + moved.transpose(1, 2), y[:, None]) - carried.loss(at, y)[:, None]


def _judge(error: float) -> None:
    told = f"the removals of its own folds are predicted with a relative error of {error:.2g}"
    if not error <= _REFUSE:
        raise NotPredictableError(
            f"{told}, above {_REFUSE}: nobody can know these influences from one training. Train with a smaller "
            f"learning rate or fewer epochs, or retrain with `without`; trust=True gives the numbers all the same."
        )
    if error > _WARN:
        warnings.warn(f"{told}; expect influences about as far off.", stacklevel=3)
