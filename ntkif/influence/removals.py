"""What may be asked of a linearised network: influences, changes, groups, and whether to trust them."""

from collections.abc import Callable, Sequence

import torch

from ntkif.blocks import row_blocks
from ntkif.checks import groups_of
from ntkif.influence.linearity import bends, largest_removals, warn_of_bends
from ntkif.influence.linearized import LinearizedFit
from ntkif.influence.projected import ProjectedFit
from ntkif.influence.table import InfluenceTable
from ntkif.kernels.module_kernel import TangentKernel
from ntkif.kernels.projected import ProjectedJacobian
from ntkif.networks.inputs import Points, Reading, in_own_precision, points_of, taken, unchanged
from ntkif.networks.losses import Loss, change_of_loss, targets_of
from ntkif.networks.module_checks import fingerprint, same_fingerprint
from ntkif.networks.modules import predict, trained_parameters

__all__ = ["Removals"]

_CHANGES = 2**27  # numbers of them at once


class Removals:
    """What leaving out training points does to a linearised network; `NetworkInfluence` says what each attribute is."""

    fit: LinearizedFit | ProjectedFit
    kernel: TangentKernel | ProjectedJacobian
    prediction: torch.Tensor
    reading: Reading
    points: Points
    y: torch.Tensor
    loss: Loss
    totals: dict[str, float]
    _scaled: bool
    _traced: bool
    _network: dict[str, tuple[float, ...]]

    @property
    def leverage(self) -> torch.Tensor:
        """(n,) how much each training point fits itself, from 0 to 1: the largest eigenvalue of its A_i.

        A_i = L_iᵀ J_i (λI + J S Jᵀ)^-1 J_iᵀ L_i has a row for each output; S_i = L_i L_iᵀ is the curvature of the loss,
        one for half squares. Near one the network passes through the point in some direction of its outputs.
        """
        return self.fit.largest_leverage

    @property
    def freedom(self) -> torch.Tensor:
        """(n,) trace of each A_i of `leverage`: how many parameters a training point takes, all outputs together."""
        return self.fit.freedom

    @in_own_precision
    def influence(
        self, x_test, y_test: torch.Tensor | None = None, *, block_size: int | None = None, trust: bool = False
    ) -> torch.Tensor:
        """(k, n) what leaving out each training point does to the loss of each test point; positive means helpful.

        Args:
            x_test: k points.
            y_test: their targets; None where the points bring them.
            block_size: test points handled at once; where absent as many as there are training points, or so many that
                the changes of their outputs take a gigabyte.
            trust: whether to give the influences without a look at how far the network is from linear.

        Raises:
            TypeError, ValueError: points of another shape than the training points, or targets the loss does not take.
            MemoryError: the result would not fit in memory.

        Warns:
            UserWarning: along the steps of the three largest removals `linearity` is above a third in the median. The
                traced kernel of several outputs has no such steps, and no warning.
        """
        x_test, y_test = self.test_points(x_test, y_test)
        out = self.prediction.new_empty(len(x_test), len(self.y))
        block_size = block_size or max(1, min(max(256, len(self.y)), _CHANGES // self.prediction.numel()))
        for rows in row_blocks(len(x_test), block_size):
            prediction, kernel = predict(self.reading, x_test[rows]), self.kernel.against(x_test[rows], "x_test")
            if self.fit.by_residuals:
                out[rows] = self.fit.loo_influence(kernel, self.loss.gradient(prediction, y_test[rows]))
            else:
                change = self.fit.loo_change(kernel)
                out[rows] = change_of_loss(self.loss.value, prediction, change, y_test[rows])
        if not (trust or self._traced):
            warn_of_bends([(self, largest_removals(out))], x_test)
        return out

    @in_own_precision
    def change(self, x_test) -> torch.Tensor:
        """(k, n, c) what leaving out each training point does to the outputs at k points; errors as `influence`."""
        return self.fit.loo_change(self.kernel.against(self._tests(x_test)[0], "x_test"))

    @in_own_precision
    def measured(self, x_test, measure: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        """(k, n) what leaving out each training point does to a measure of the outputs, such as a logit or a margin.

        Args:
            x_test: k points.
            measure: of (..., c) outputs, (...): `lambda f: f[..., 3]` is logit 3.

        Raises:
            ValueError: the measure gives no number for each point; or as `influence`.
        """
        x_test = self._tests(x_test)[0]
        before = predict(self.reading, x_test)
        after = measure(before[:, None] + self.fit.loo_change(self.kernel.against(x_test, "x_test")))
        if after.shape != (len(x_test), len(self.y)):
            raise ValueError(
                f"measure: expected a number for the outputs along the last axis, got shape {tuple(after.shape)} for "
                f"{(len(x_test), len(self.y), before.shape[1])}."
            )
        return after - measure(before)[:, None]

    @in_own_precision
    def self_influence(self) -> torch.Tensor:
        """(n,) loss on each training point by the network that has not seen it, less its training loss."""
        return self.loss.value(self.loo_predict(), self.y) - self.loss.value(self.prediction, self.y)

    def loo_predict(self) -> torch.Tensor:
        """(n, c) outputs at each training point by the network that has not seen it."""
        return self.prediction + self.fit.self_change

    @in_own_precision
    def group_influence(self, groups, x_test, y_test: torch.Tensor) -> torch.Tensor:
        """(k, g) what leaving out whole sets of training points does to the loss of each test point.

        Exact for the linearised network, as for single points: not the sum over the points of a set.

        Args:
            groups: g sets of training rows, each once: lists, arrays, tensors, sets, or a mapping of such, as
                `DataFrame.groupby(...).indices`.
            x_test: k points.
            y_test: their targets.

        Raises:
            ValueError: a group that is no list of distinct rows; or as `influence`.
        """
        x_test, y_test = self.test_points(x_test, y_test)
        change = self.fit.group_change(self.kernel.against(x_test, "x_test"), groups_of(groups))
        return change_of_loss(self.loss.value, predict(self.reading, x_test), change, y_test)

    @in_own_precision
    def top(self, count: int, x_test, y_test: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The training points with the largest influence on each test point, without the whole matrix.

        Args:
            count: how many.
            x_test: k points.
            y_test: their targets.

        Returns:
            (k, count) influences, the largest in size first, and (k, count) rows of the training points.

        Raises:
            ValueError: a count below one or above the number of training points; or as `influence`.
        """
        n = len(self.y)
        if not 1 <= count <= n:
            raise ValueError(f"count: expected between 1 and {n} training points, got {count}.")
        x_test, y_test = self.test_points(x_test, y_test)
        found = []
        for rows in row_blocks(len(x_test), 256):
            some = self.influence(x_test[rows], y_test[rows], trust=True)
            order = some.abs().topk(count).indices
            found.append((some.gather(1, order), order))
        return torch.cat([values for values, _ in found]), torch.cat([rows for _, rows in found])

    def table(
        self,
        x_test,
        y_test: torch.Tensor | None = None,
        *,
        measure: Callable[[torch.Tensor], torch.Tensor] | None = None,
        names: Sequence | None = None,
        test_names: Sequence | None = None,
        unit: str | None = None,
        trust: bool = False,
    ) -> InfluenceTable:
        """`influence`, or what is `measured`, with the names of its points, its largest entries, and a picture.

        Args:
            x_test: k points.
            y_test: their targets; not needed for a measure.
            measure: of the outputs, as of `measured`; the loss where absent.
            names: n names of the training points; their positions where absent.
            test_names: k names of the test points; their positions where absent.
            unit: what is measured, in words.
            trust: as of `influence`.

        Raises:
            TypeError, ValueError, MemoryError: as `influence` and `measured`; another number of names.
        """
        plain = measure is None
        found = self.influence(x_test, y_test, trust=trust) if plain else self.measured(x_test, measure)
        unit = unit or f"change of the {'loss' if plain else 'measure'}"
        return InfluenceTable(found, names=names, test_names=test_names, unit=unit)

    @in_own_precision
    def step(self, row: int) -> list[torch.Tensor]:
        """The movement of the trained parameters that leaving out a training point asks for, a tensor for each.

        Raises:
            ValueError: the traced kernel of several outputs, which is of no movement of the parameters.
        """
        self._check_as_it_was()
        if self._traced:
            raise ValueError("traced: expected the whole kernel, since the traced one is of no step of the parameters.")
        if isinstance(self.fit, ProjectedFit):
            return [step.to(self.prediction) for step in self.kernel.movement(self.fit.steps[row])]
        weights = self.fit.loo_dual(row).reshape(self.prediction.shape)
        with torch.enable_grad(), unchanged(self.reading):
            outputs = self.points.predicted_by(self.reading)
            values = list(trained_parameters(self.reading).values())
            steps = torch.autograd.grad((weights * outputs).sum(), values, materialize_grads=True)
        if not self._scaled:
            return list(steps)
        return [step / total for step, total in zip(steps, self.totals.values(), strict=True)]

    @torch.no_grad()
    @in_own_precision
    def linearity(self, x_test, rows: Sequence[int]) -> torch.Tensor:
        """(r,) how far the network is from its linearisation along the steps that removals ask for.

            |f(x; θ + Δ_i) - f(x; θ) - J Δ_i| / |J Δ_i|,    Δ_i the step of removal i, over all test points

        One pass backward and one forward for each row. Near zero the linearised network is this network as far as the
        removal goes. Of 54 small networks of six kinds (record "linearity") half of those below .05 had errors below
        .1, and all those above .3 errors above .5. It does not see
        what else is approximate: a minimum that was not reached, or that retraining leaves for another.

        Args:
            x_test: k points.
            rows: training rows, those of largest influence for example.

        Raises:
            ValueError: as `step`.
        """
        return bends(self, self._tests(x_test)[0], rows)

    def test_points(self, x_test, y_test: torch.Tensor | None) -> tuple[Points, torch.Tensor]:
        """Test points and (k, c) targets as they are asked for, of whatever `influence` takes; errors as of it."""
        test, targets = self._tests(x_test, y_test)
        if targets is None:
            raise TypeError("y_test: expected targets, got none; pass them, or a DataLoader that brings them.")
        return test, targets

    def _check_as_it_was(self) -> None:
        """Require the network that the Jacobian of the training points was made of."""
        if not same_fingerprint(self._network, fingerprint(self.reading)):
            raise ValueError(
                "network: it was trained further, or put in training mode, since; make this object again, or of a "
                "copy.deepcopy of the network, which stays as it is."
            )

    def _tests(self, x_test, y_test: torch.Tensor | None = None) -> tuple[Points, torch.Tensor | None]:
        self._check_as_it_was()
        x_test, y_test = taken(x_test, y_test)
        test = points_of(x_test, self.reading, "x_test")
        if test.shapes != self.points.shapes or test.names != self.points.names or test.floats != self.points.floats:
            wanted, came = (", ".join(map(_told, points.arrays)) for points in (self.points, test))
            raise ValueError(f"x_test: expected points of shape {wanted} as the training points, got {came}.")
        if y_test is None:
            return test, None
        outputs = self.prediction.new_empty(len(test), self.prediction.shape[1])
        return test, targets_of(self.loss, y_test, outputs, "y_test")


def _told(array: torch.Tensor) -> str:
    return f"{tuple(array.shape[1:])}{'' if array.is_floating_point() else f' of {array.dtype}'}"
