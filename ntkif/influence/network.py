"""Leave-one-out influence of a trained network through its empirical NTK, its own Jacobian's (beyond the paper)."""

import copy
from collections.abc import Callable, Mapping, Sequence

import torch

from ntkif.blocks import row_blocks
from ntkif.checks import check_fits, groups_of
from ntkif.influence.linearized import linearized_fit
from ntkif.influence.penalties import check_start, penalties_of
from ntkif.influence.stationary import balancing_ridge, check_stationary, gradient_share
from ntkif.influence.table import InfluenceTable
from ntkif.kernels.tangent import kernel_with
from ntkif.networks.inputs import Points, in_own_precision, points_of, taken, unchanged
from ntkif.networks.losses import SQUARES, Loss, change_of_loss, loss_of, targets_of
from ntkif.networks.modules import predict, prepare, trained_parameters

__all__ = ["NetworkInfluence", "network_influence"]


def network_influence(
    network: torch.nn.Module,
    x_train,
    y_train: torch.Tensor,
    x_test,
    y_test: torch.Tensor,
    ridge: float,
    *,
    block_size: int | None = None,
    **how,
) -> torch.Tensor:
    """Leave-one-out influence of a trained network on test points, from its empirical NTK and its residuals.

    Args:
        network: trained, with c outputs; all arguments but the test points are those of `NetworkInfluence`, which also
            gives what a removal does to outputs, groups, and how far to trust it.
        x_train: n training points.
        y_train: their targets.
        x_test: k test points.
        y_test: their targets.
        ridge: penalty λ of the training.
        block_size: test points handled at once; as many as there are training points where absent.
        **how: as of `NetworkInfluence`; `start` has to be named.

    Returns:
        (k, n) change of the loss of each test point; positive means helpful.

    Raises:
        NotStationaryError, TypeError, ValueError, MemoryError, numpy.linalg.LinAlgError: as `NetworkInfluence`.

    Warns:
        UserWarning: as `NetworkInfluence`.
    """
    return NetworkInfluence(network, x_train, y_train, ridge, **how).influence(x_test, y_test, block_size=block_size)


class NetworkInfluence:
    """What leaving out training points does to a trained network, from its empirical NTK and its residuals.

    Exact for the network linearised at its parameters, where these minimise the sum of half squared errors plus the
    ridge (Eq. 2). What else is approximate where the network was trained otherwise:

    - on another loss: its curvature is taken at the trained network, so the formula is one Newton step.
    - without a ridge, or stopped early: the parameters minimise nothing, and `damping` stands for what stopped them
      (gradient descent for a time t resembles a ridge of about 1/t). Measure it where it matters.

    Args:
        network: trained, with c outputs: any torch module as for `module_kernel`.
        x_train: n training points as the network takes them: a tensor, a tuple of tensors, or a mapping; or a
            DataLoader or Dataset of pairs of a point and a target, see `take_all`.
        y_train: (n, c) targets; (n,) for one output, or class numbers for cross-entropy; None where the points bring
            them.
        ridge: penalty λ of the training; or one for each parameter, by patterns of their names of which the first that
            fits counts: `{"*.bias": 1e-4, "*": 1.0}`.
        start: the network before training, to which the penalty refers, or "zero" where it is on the parameters
            themselves (weight decay); how far the gradient of the objective is from zero is then checked. None: no
            check, for a network that was trained otherwise.
        damping: added to the ridge; "auto" for a network that was trained without one: the ridge that balances the
            gradient that training left against the way from the start, which is then needed, see `balancing_ridge`.
            On eight small networks (two losses; gradient descent, momentum, Adam; `benchmarks/tools/trust.py`) the
            error was within a tenth of that at the best damping in six, half as much again in one, and four times in
            one without any loss left.
        loss: that of the training and of the influence: see `loss_of`. Another than half squares takes no traced
            kernel of several outputs.
        mean: whether the objective was the mean of the losses plus the ridge, not their sum: λ and damping are then
            n times as large for the sum. Absent: what an object of torch says by its reduction, else the sum.
        output: the entry of a tuple or mapping that the network returns, see `Reading`.
        traced: whether to take the traced kernel, see `tangent_kernel`.
        tolerance: largest `gradient_share` allowed. ReLU networks do not get to zero: on kinks the gradient jumps.
        jacobian_dtype: of the Jacobian and its products, which take most of the time: float32 halves it for a network
            in float64; what is solved stays in the dtype of the network.
        **blocks: for the kernel of a torch module, see `module_kernel`.

    Attributes:
        fit: the linearised network as a kernel ridge fit, a `LinearizedFit`.
        prediction: (n, c) at the training points.
        reading: the network, whose outputs are a matrix.
        points: the training points, `Points`.
        y: (n, c) their targets.
        loss: a `Loss`.
        totals: the ridge of each trained parameter by its name, of the sum of the losses, damping included.

    Raises:
        NotStationaryError: the gradient is larger than the tolerance allows; the error says by how much.
        TypeError, ValueError: wrong shapes, dtypes or NaN; targets that the loss does not take; a module in training
            mode, even in part; a start of other shapes; neither ridge nor damping, or a start without a ridge; or
            another loss with the traced kernel, or with a right class of no chance (see `linearized_fit`).
        MemoryError, numpy.linalg.LinAlgError: as `tangent_kernel` and `ridge_fit`.

    Warns:
        UserWarning: the gradient is allowed, but above a hundredth of what it balances.
    """

    @in_own_precision
    def __init__(
        self,
        network: torch.nn.Module,
        x_train,
        y_train: torch.Tensor | None,
        ridge: float | Mapping[str, float],
        *,
        start: torch.nn.Module | str | None,
        damping: float | str = 0.0,
        loss: Loss | str | Callable = SQUARES,
        mean: bool | None = None,
        output: str | int | None = None,
        traced: bool = False,
        tolerance: float = 0.3,
        jacobian_dtype: torch.dtype | None = None,
        **blocks,
    ):
        (self.loss, of_torch), self.output = loss_of(loss), output
        if any(part.training for part in network.modules()):
            raise ValueError("network: expected one in evaluation mode, all parts of it; call network.eval() first.")
        x_train, y_train = taken(x_train, y_train)
        self.reading, self.points, c = prepare(network, x_train, "x_train", output=output)
        self.prediction = predict(self.reading, self.points)
        self.y = targets_of(self.loss, y_train, self.prediction, "y_train")
        n = len(self.points)
        times = n if (of_torch if mean is None else mean) else 1
        if damping == "auto":
            damping, start = self._balanced(network, start) / times, None
        penalties = {name: times * each for name, each in penalties_of(network, ridge, damping).items()}
        if self.loss.curvature is not None and c > 1:
            advice = (
                "another loss couples all outputs of all points; use fewer points or float32, let the network return "
                "the outputs that matter, or record its training, which makes no kernel (record_training)."
            )
            size = len(self.y) * c
            check_fits("the tangent kernel", size, size, like=self.prediction, advice=advice)
        if self.loss.curvature is not None and traced and c > 1:
            raise ValueError(
                f"loss: expected half squares with the traced kernel, got another loss with {c} outputs; its curvature "
                f"couples the outputs, so take traced=False."
            )
        if start is not None:
            check_start(network, start, ridge)
            share = gradient_share(self.reading, start, self.points, self.y, penalties, loss=self.loss)
            check_stationary(share, tolerance, n)
        self.totals = {name: penalty + times * damping for name, penalty in penalties.items()}
        alike = len(set(self.totals.values())) == 1
        if not alike:
            blocks["scales"] = {f"module.{name}": total**-0.5 for name, total in self.totals.items()}  # of the reading
        self._kernel = kernel_with(self.reading, self.points, dtype=jacobian_dtype, traced=traced, **blocks)
        curvature = self.loss.curvature(self.prediction, self.y) if self.loss.curvature else None
        gradient, total = self.loss.gradient(self.prediction, self.y), next(iter(self.totals.values()))
        self.fit = linearized_fit(
            self._kernel.square(), gradient, total if alike else 1.0, curvature=curvature, flat=self.loss.flat
        )
        self._scaled, self._traced = not alike, traced and c > 1

    @in_own_precision
    def influence(self, x_test, y_test: torch.Tensor | None = None, *, block_size: int | None = None) -> torch.Tensor:
        """(k, n) what leaving out each training point does to the loss of each test point; positive means helpful.

        Args:
            x_test: k points.
            y_test: their targets; None where the points bring them.
            block_size: test points handled at once; as many as there are training points where absent.

        Raises:
            TypeError, ValueError: points of another shape than the training points, or targets the loss does not take.
            MemoryError: the result would not fit in memory.
        """
        x_test, y_test = self.test_points(x_test, y_test)
        out = self.prediction.new_empty(len(x_test), len(self.y))
        for rows in row_blocks(len(x_test), block_size or max(256, len(self.y))):
            prediction, kernel = predict(self.reading, x_test[rows]), self._kernel.against(x_test[rows], "x_test")
            if self.fit.root is None:
                out[rows] = self.fit.loo_influence(kernel, self.loss.gradient(prediction, y_test[rows]))
            else:
                change = self.fit.loo_change(kernel)
                out[rows] = change_of_loss(self.loss.value, prediction, change, y_test[rows])
        return out

    @in_own_precision
    def change(self, x_test) -> torch.Tensor:
        """(k, n, c) what leaving out each training point does to the outputs at k points; errors as `influence`."""
        return self.fit.loo_change(self._kernel.against(self._tests(x_test)[0], "x_test"))

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
        after = measure(before[:, None] + self.fit.loo_change(self._kernel.against(x_test, "x_test")))
        if after.shape != (len(x_test), len(self.y)):
            raise ValueError(
                f"measure: expected a number for the outputs along the last axis, got shape {tuple(after.shape)} for "
                f"{(len(x_test), len(self.y), before.shape[1])}."
            )
        return after - measure(before)[:, None]

    @in_own_precision
    def self_influence(self) -> torch.Tensor:
        """(n,) loss on each training point by the network that has not seen it, less its training loss."""
        unseen = self.loss.value(self.prediction + self.fit.self_change, self.y)
        return unseen - self.loss.value(self.prediction, self.y)

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
            ValueError: a loss whose curvature vanishes where its gradient does not; or as `influence`.
        """
        x_test, y_test = self.test_points(x_test, y_test)
        change = self.fit.group_change(self._kernel.against(x_test, "x_test"), groups_of(groups))
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
            some = self.influence(x_test[rows], y_test[rows])
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
    ) -> InfluenceTable:
        """`influence`, or what is `measured`, with the names of its points, its largest entries, and a picture.

        Args:
            x_test: k points.
            y_test: their targets; not needed for a measure.
            measure: of the outputs, as of `measured`; the loss where absent.
            names: n names of the training points; their positions where absent.
            test_names: k names of the test points; their positions where absent.
            unit: what is measured, in words.

        Raises:
            TypeError, ValueError, MemoryError: as `influence` and `measured`; another number of names.
        """
        found = self.influence(x_test, y_test) if measure is None else self.measured(x_test, measure)
        unit = unit or f"change of the {'loss' if measure is None else 'measure'}"
        return InfluenceTable(found, names=names, test_names=test_names, unit=unit)

    @in_own_precision
    def step(self, row: int) -> list[torch.Tensor]:
        """The movement of the trained parameters that leaving out a training point asks for, a tensor for each.

        Raises:
            ValueError: the traced kernel of several outputs, which is of no movement of the parameters.
        """
        if self._traced:
            raise ValueError("traced: expected the whole kernel, since the traced one is of no step of the parameters.")
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
        removal goes. Of eighteen small networks of six kinds those with less than .05 in the median had errors of .03
        at most, those with more than .3 at least .8, and those between from .3 to 1 (`benchmarks/tools/trust.py`). It
        does not see what else is approximate: a minimum that was not reached, or that retraining leaves for another.

        Args:
            x_test: k points.
            rows: training rows, those of largest influence for example.

        Raises:
            ValueError: as `step`.
        """
        x_test = self._tests(x_test)[0]
        moved, plain = copy.deepcopy(self.reading), predict(self.reading, x_test)
        linear, shares = self.change(x_test), []
        both = [trained_parameters(model).values() for model in (moved, self.reading)]
        for row in rows:
            for value, own, step in zip(*both, self.step(row), strict=True):
                value.copy_(own + step)
            off = predict(moved, x_test) - plain - linear[:, row]
            shares.append(off.norm() / linear[:, row].norm())
        return torch.stack(shares)

    def test_points(self, x_test, y_test: torch.Tensor | None) -> tuple[Points, torch.Tensor]:
        """Test points and (k, c) targets as they are asked for, of whatever `influence` takes; errors as of it."""
        test, targets = self._tests(x_test, y_test)
        if targets is None:
            raise TypeError("y_test: expected targets, got none; pass them, or a DataLoader that brings them.")
        return test, targets

    def _balanced(self, network: torch.nn.Module, start: torch.nn.Module | str | None) -> float:
        if not isinstance(start, torch.nn.Module):
            raise ValueError('damping: expected the network before training as start for "auto", got none.')
        check_start(network, start, 1.0)
        return balancing_ridge(self.reading, start, self.points, self.y, loss=self.loss)

    def _tests(self, x_test, y_test: torch.Tensor | None = None) -> tuple[Points, torch.Tensor | None]:
        x_test, y_test = taken(x_test, y_test)
        test = points_of(x_test, self.reading, "x_test")
        if test.shapes != self.points.shapes or test.names != self.points.names:
            wanted, came = (", ".join(map(str, points.shapes)) for points in (self.points, test))
            raise ValueError(f"x_test: expected points of shape {wanted} as the training points, got {came}.")
        if y_test is None:
            return test, None
        outputs = self.prediction.new_empty(len(test), self.prediction.shape[1])
        return test, targets_of(self.loss, y_test, outputs, "y_test")
