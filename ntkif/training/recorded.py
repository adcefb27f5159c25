"""Influence of a network as it was trained: any optimiser, mini-batches, any loss, stopped at any time.

Not in the paper. Write training as z_{t+1} = Φ_t(z_t, u_t), with z the parameters and the optimiser's state, and u_t
the gradient of step t. The training without point i is, exactly, a training of the full update with one more force,
minus that point's own term. Linearise the full update at the training that was recorded, as its reverse pass does. The
own term is then J_i (g_i + S_i J_iᵀ δθ), and a change of J_i that is dropped here; the force that cancels it

    F_i(t) = g_i(t) + S_i(t) (f_i^{-i}(t) - f_i(t))

with J_i the Jacobian of the point's outputs f_i, g_i gradient and S_i curvature of its loss by them, and f_i^{-i} those
outputs in a training without it. A quantity of the network changes by

    - Σ_{t: i in B_t} a_tᵀ J_i(t) F_i(t) / |B_t|

where a_t is the derivative of the quantity by the gradient of step t, but for the change of J_i and what is of second
order in δθ. Nothing is left out where the model is linear, the loss squared and the update linear in the gradient. For
half squares F_i is the leave-one-out residual: at a ridge minimum the sum is that of Eq. 9. With g_i in place of F_i it
is the derivative by the weight of the point, which lacks what IHVP lacks.

The outputs f_i^{-i} come from few further trainings, each without a fold of the points. These are removals that were
really carried out: how well they are predicted tells how far the influences can be trusted.
"""

from collections.abc import Sequence
from functools import cached_property

import torch

from ntkif.checks import check_count, check_group, groups_of
from ntkif.influence.table import InfluenceTable
from ntkif.networks.inputs import in_own_precision
from ntkif.networks.losses import change_of_loss
from ntkif.training.conditions import recorded_targets
from ntkif.training.estimates import Estimates
from ntkif.training.folds import folds_apart
from ntkif.training.quantities import OUTPUTS
from ntkif.training.trainings import Folds, Trainings

__all__ = ["RecordedTraining"]


class RecordedTraining:
    """A training with its tape and its folds; made by `record_training`.

    Attributes:
        tape: the training itself.
        theta: (P,) parameters at the end.
        inside: for each step, (b, c) outputs of its batch before it.
        outside: the same, of each point in the training without its fold.
        fold: (n,) number of each point's fold.
        alone: rows that were left out alone.
    """

    def __init__(self, trainings: Trainings, number: torch.Tensor, alone: torch.Tensor):
        self._trainings, self.tape, self.alone = trainings, trainings.tape, alone
        self.theta, self.inside = trainings.whole()
        self._folds = trainings.without_folds(number)
        self._of_count = {len(self._folds.theta): self._folds}
        self._estimates = Estimates(trainings, self.theta, self.inside, self._folds, alone, trainings.alone(alone))

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

    @in_own_precision
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
        x_test, y_test = self._asked(x_test, y_test)
        estimate = self._estimates.best(x_test, y_test)
        if not trust:
            estimate.judge()
        return self.with_retrained(estimate.influence, retrain, x_test, y_test)

    def table(
        self,
        x_test: torch.Tensor,
        y_test: torch.Tensor,
        *,
        names: Sequence | None = None,
        test_names: Sequence | None = None,
        **how,
    ) -> InfluenceTable:
        """`influence` with names of its n and k points, their positions where absent; `how` as there."""
        return InfluenceTable(self.influence(x_test, y_test, **how), names=names, test_names=test_names)

    @in_own_precision
    def losses(self, *, unseen: bool = False) -> torch.Tensor:
        """The loss of each training point each time its batch came, before the step.

        Where these stay large a label is suspicious. Their mean over the visits counts the time before a wrong label is
        learnt by heart.

        Args:
            unseen: whether by the training without the point's fold, which never saw its label.

        Returns:
            (v, n) of v visits; NaN where a point came less often than others.
        """
        y, counts = self.tape.y, torch.bincount(torch.cat(self.tape.batches), minlength=len(self.tape.y))
        found, visit = y.new_full((int(counts.max()), len(y)), torch.nan), torch.zeros_like(counts)
        for rows, outputs in zip(self.tape.batches, self.outside if unseen else self.inside, strict=True):
            found[visit[rows], rows] = self.tape.loss.value(outputs, y[rows])
            visit[rows] += 1
        return found

    def with_retrained(
        self, influence: torch.Tensor, count: int, x_test: torch.Tensor, y_test: torch.Tensor
    ) -> torch.Tensor:
        """(k, n) an estimate of influences, with the truth in place of the `count` largest over all test points."""
        influence, count = influence.clone(), check_count("retrain", count, 0)
        if count > 0:
            rows = influence.norm(dim=0).topk(min(count, influence.shape[1])).indices
            influence[:, rows] = self.without(rows, x_test, y_test)
        return influence

    @in_own_precision
    def check(self, x_test: torch.Tensor, y_test: torch.Tensor) -> dict[str, float | str]:
        """How well removals that were really carried out are predicted at test points, all pooled.

        Of two kinds: the removal of each fold, by its own force, which tells how far training is from linear; and that
        of each point that was left out alone, which tells also what it costs that folds are larger than a point.

        Returns:
            scores of `metrics.agreement` of the kind that is predicted worse, which kind (`of`), and the `curvature`.
        """
        x_test, y_test = self._asked(x_test, y_test)
        estimate = self._estimates.best(x_test, y_test)
        return {"curvature": estimate.curvature} | estimate.check

    @in_own_precision
    def first_order(self, x_test: torch.Tensor, y_test: torch.Tensor) -> torch.Tensor:
        """(k, n) minus the derivative of the test loss by the weight of each training point, for comparison (MAGIC)."""
        x_test, y_test = self._asked(x_test, y_test)
        return self._estimates.by("Hessian", x_test, y_test).first_order.clone()

    @in_own_precision
    def change(self, x_test: torch.Tensor, *, curvature: str = "Hessian") -> torch.Tensor:
        """(k, n, c) change of the outputs at test points without each training point, unchecked.

        It takes c reverse passes a test point.

        Args:
            x_test: (k, ...) test points.
            curvature: of the reverse pass, "Hessian" or "Gauss-Newton".
        """
        x_test = self._points(x_test)
        no_targets = self.tape.y.new_zeros(len(x_test), self.tape.y.shape[1])
        moved = self._estimates.moved(x_test, no_targets, OUTPUTS, [self._estimates.forces()], curvature)[0]
        return moved.transpose(1, 2)

    @in_own_precision
    def group(self, sets: Sequence, x_test: torch.Tensor, y_test: torch.Tensor, *, trust: bool = False) -> torch.Tensor:
        """Change of the test loss without whole sets of training points, with forces from folds of about their size.

        A set larger than the folds asks for trainings without larger ones, n over its size of them and at least two.

        Args:
            sets: g sets of training rows: lists, arrays, tensors, sets, or a mapping of such.
            x_test: (k, ...) test points.
            y_test: (k, c) targets.
            trust: as of `influence`, whose check is asked.

        Returns:
            (k, g); positive means helpful.

        Raises:
            ValueError: no sets, or one that is no list of distinct rows; or as `influence`.
        """
        x_test, y_test = self._asked(x_test, y_test)
        best = self._estimates.best(x_test, y_test)
        if not trust:
            best.judge()
        sets = [check_group(rows, len(self.tape.x)) for rows in groups_of(sets, "sets")]
        carried, at = self._estimates.quantities(x_test, y_test)
        counts = [self._count_for(len(rows)) for rows in sets]
        forces = {count: self._estimates.forces(self._folds_of(count)) for count in counts}
        moved = self._estimates.moved(x_test, y_test, carried, forces.values(), best.curvature)
        by_count = dict(zip(forces, moved, strict=True))
        at_sets = [at + by_count[count][:, :, rows].sum(2) for count, rows in zip(counts, sets, strict=True)]
        return torch.stack([carried.loss(each, y_test) - carried.loss(at, y_test) for each in at_sets], 1)

    def top(self, count: int, x_test: torch.Tensor, y_test: torch.Tensor, **how) -> tuple[torch.Tensor, torch.Tensor]:
        """(k, count) influences of largest absolute value, and the training rows they are of; `how` as `influence`."""
        return InfluenceTable(self.influence(x_test, y_test, **how)).top(count)

    @in_own_precision
    def without(self, sets: Sequence, x_test: torch.Tensor, y_test: torch.Tensor) -> torch.Tensor:
        """(k, r) true influences of points or sets: trained again without each, from the same start.

        In the same batches, with the same divisors.
        """
        sets = [check_group(rows.reshape(-1), len(self.tape.x), "sets") for rows in groups_of(sets, "sets")]
        x_test, y_test = self._asked(x_test, y_test)
        return self._estimates.truth(self._trainings.without(sets), x_test, y_test)

    @in_own_precision
    def forces(self) -> list[torch.Tensor]:
        """F of each step, (b, c): what each point of its batch would have pulled with, had it not been there."""
        return self._estimates.forces()

    @in_own_precision
    def influence_by(
        self, forces: Sequence[torch.Tensor], x_test: torch.Tensor, y_test: torch.Tensor, *, curvature: str = "Hessian"
    ) -> torch.Tensor:
        """(k, n) change of the test loss by forces of your own, (b, c) for each step, see `forces`; unchecked."""
        x_test, y_test = self._asked(x_test, y_test)
        c = self.tape.y.shape[1]
        if [tuple(force.shape) for force in forces] != [(len(rows), c) for rows in self.tape.batches]:
            raise ValueError(
                f"forces: expected one for each of {len(self.tape.batches)} steps, of the points of its batch by {c} "
                f"outputs."
            )
        carried, at = self._estimates.quantities(x_test, y_test)
        moved = self._estimates.moved(x_test, y_test, carried, [forces], curvature)[0]
        return change_of_loss(carried.loss, at, moved.transpose(1, 2), y_test)

    def _count_for(self, size: int) -> int:
        return min(len(self._folds.theta), max(2, len(self.tape.x) // size))

    def _folds_of(self, count: int) -> Folds:
        if count not in self._of_count:
            number = folds_apart(self.tape.x, self.tape.y, count)
            self._of_count[count] = self._trainings.without_folds(number)
        return self._of_count[count]

    def _asked(self, x_test: torch.Tensor, y_test: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Checked test points, as users have them, and their targets."""
        x_test = self._points(x_test)
        return x_test, recorded_targets("y_test", y_test, len(x_test), self.tape.y, self.tape.loss).detach()

    def _points(self, x_test: torch.Tensor) -> torch.Tensor:
        if not isinstance(x_test, torch.Tensor):
            raise TypeError(
                f"x_test: expected a torch tensor, got {type(x_test).__name__}; use torch.as_tensor(x_test)."
            )
        wanted, came = ((tuple(each.shape[1:]), each.dtype, each.device) for each in (self.tape.x, x_test))
        if came != wanted or len(x_test) == 0:
            raise ValueError(
                f"x_test: expected at least one point like the training points, {wanted}, got {came}, {len(x_test)}."
            )
        if not torch.isfinite(x_test).all():
            row = int((~torch.isfinite(x_test.flatten(1))).any(1).nonzero()[0])
            raise ValueError(f"x_test: expected finite points, got NaN or infinity in row {row}; mend or drop it.")
        return x_test.detach()
