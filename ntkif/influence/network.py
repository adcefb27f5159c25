"""Leave-one-out influence of a trained network through its empirical NTK, its own Jacobian's (beyond the paper)."""

from collections.abc import Callable, Mapping

import torch

from ntkif.checks import check_fits
from ntkif.influence.curvature import check_curved
from ntkif.influence.linearized import linearized_fit
from ntkif.influence.penalties import one_ridge
from ntkif.influence.projected import projected_fit, warn_of_few
from ntkif.influence.removals import Removals
from ntkif.influence.stationary import loss_gradient, totals_of
from ntkif.kernels.projected import ProjectedJacobian
from ntkif.kernels.tangent import kernel_with
from ntkif.networks.inputs import in_own_precision, taken
from ntkif.networks.losses import SQUARES, Loss, targets_of
from ntkif.networks.module_checks import check_trained, fingerprint
from ntkif.networks.modules import predict, prepare
from ntkif.networks.named_losses import loss_of

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
    trust: bool = False,
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
        trust: as of `Removals.influence`.
        **how: as of `NetworkInfluence`; `start` has to be named.

    Returns:
        (k, n) change of the loss of each test point; positive means helpful.

    Raises:
        NotStationaryError, TypeError, ValueError, MemoryError, numpy.linalg.LinAlgError: as `NetworkInfluence`.

    Warns:
        UserWarning: as `NetworkInfluence`.
    """
    return NetworkInfluence(network, x_train, y_train, ridge, **how).influence(
        x_test, y_test, block_size=block_size, trust=trust
    )


class NetworkInfluence(Removals):
    """What leaving out training points does to a trained network, from its empirical NTK and its residuals.

    Exact for the network linearised at its parameters, where these minimise the sum of half squared errors plus the
    ridge (Eq. 2). What else is approximate where the network was trained otherwise:

    - on another loss: its curvature is taken at the trained network, so the formula is one Newton step.
    - without a ridge, or stopped early: the parameters minimise nothing, and `damping` stands for what stopped them
      (gradient descent for a time t resembles a ridge of about 1/t). Measure it where it matters.

    Args:
        network: trained, with c outputs: any torch module as for `module_kernel`; it is not copied, and is refused once
            it was trained further.
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
            It tends to be too small: of 24 trainings of eight kinds (record "damping") the error was twice that at the
            best damping in the median, and within a quarter of it in six. For plain descent on half squares one over
            the learning rate times the steps was nearly as good as the best.
        loss: that of the training and of the influence: see `loss_of`. Another than half squares takes no traced
            kernel of several outputs.
        mean: whether the objective was the mean of the losses plus the ridge, not their sum: λ and damping are then
            n times as large for the sum. Absent: what an object of torch says by its reduction, else the sum.
        output: the entry of a tuple or mapping that the network returns, see `Reading`.
        traced: whether to take the traced kernel, see `tangent_kernel`.
        tolerance: largest `gradient_share` allowed. ReLU networks do not get to zero: on kinks the gradient jumps.
        jacobian_dtype: of the Jacobian and its products, which take most of the time: float32 halves it for a network
            in float64; what is solved stays in the dtype of the network.
        projections: columns p to which the rows of the Jacobian are projected, see `ProjectedJacobian`, where the
            kernel, (n c)² numbers, does not fit or takes too long. Time is n c p² operations, memory (n + p) p numbers,
            and leave-one-out is exact there. Nothing is lost where the network has no more than p parameters; else
            the relative error is about √(d / p), d the sum of the freedom of all points (record "projections").
        seed: of the projection.
        **blocks: for the kernel of a torch module, see `module_kernel`.

    Attributes:
        fit: the linearised network as a kernel ridge fit, a `LinearizedFit`.
        kernel: what makes the kernel of points with the training points, or their projected rows.
        prediction: (n, c) at the training points.
        reading: the network, whose outputs are a matrix.
        points: the training points, `Points`.
        y: (n, c) their targets.
        loss: a `Loss`.
        totals: the ridge of each trained parameter by its name, of the sum of the losses, damping included.

    Raises:
        NotStationaryError: the gradient is larger than the tolerance allows; the error says by how much.
        TypeError, ValueError: wrong shapes, dtypes or NaN; targets that the loss does not take; no module, or one in
            training mode, even in part; a start of other shapes; neither ridge nor damping, or a start without a ridge;
            another loss with the traced kernel, with a right class of no chance (see `linearized_fit`), or curved
            nowhere.
        MemoryError, numpy.linalg.LinAlgError: as `tangent_kernel` and `ridge_fit`.

    Warns:
        UserWarning: the gradient is allowed, but above a hundredth of what it balances; or so few projections that
            influences are off by more than 0.3 of their size.
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
        projections: int | None = None,
        seed: int = 0,
        **blocks,
    ):
        (self.loss, of_torch), self.output = loss_of(loss), output
        check_trained(network)
        x_train, y_train = taken(x_train, y_train)
        self.reading, self.points, c = prepare(network, x_train, "x_train", output=output)
        self.prediction = predict(self.reading, self.points)
        self.loss.check_outputs(self.prediction)
        self.y = targets_of(self.loss, y_train, self.prediction, "y_train")
        if projections is None and self.loss.curvature is not None and c > 1:
            advice = (
                "another loss couples all outputs of all points; pass projections=4096, say, use fewer points, or "
                "record its training, which makes no kernel (record_training)."
            )
            size = len(self.y) * c
            check_fits("the tangent kernel", size, size, like=self.prediction, advice=advice)
        if self.loss.curvature is not None and traced and c > 1:
            raise ValueError(
                f"loss: expected half squares with the traced kernel, got another loss with {c} outputs; its curvature "
                f"couples the outputs, so take traced=False."
            )
        how = {"n": len(self.points), "mean": of_torch if mean is None else mean, "tolerance": tolerance}
        self.totals = totals_of(network, start, self._loss_gradient, ridge, damping, **how)
        total, scales = one_ridge(self.totals)
        if scales is not None:
            blocks["scales"] = scales
        curvature = self.loss.curvature(self.prediction, self.y) if self.loss.curvature else None
        check_curved(curvature is None or bool(curvature.any()))
        gradient = self.loss.gradient(self.prediction, self.y)
        if projections is None:
            self.kernel = kernel_with(self.reading, self.points, dtype=jacobian_dtype, traced=traced, **blocks)
            self.fit = linearized_fit(self.kernel.square(), gradient, total, curvature=curvature, flat=self.loss.flat)
        else:
            if traced:
                raise ValueError("traced: expected the whole kernel with projections, of which all outputs are a part.")
            how = {"seed": seed, "dtype": jacobian_dtype, **blocks}
            self.kernel = ProjectedJacobian(self.reading, self.points, projections, **how)
            self.fit = projected_fit(self._rows, gradient, total, curvature=curvature)
            warn_of_few(float(self.fit.freedom.sum()), self.kernel)
        self._scaled, self._traced, self._network = scales is not None, traced and c > 1, fingerprint(self.reading)

    def _loss_gradient(self) -> list[torch.Tensor]:
        """Of all training points together."""
        return loss_gradient(self.reading, self.points, self.y, self.loss)

    def _rows(self, rows: slice | torch.Tensor) -> torch.Tensor:
        """Of training points, projected."""
        return self.kernel.rows(self.points[rows])
