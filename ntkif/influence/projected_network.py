"""A trained network in p numbers a point: removals of any block of its training points, of which others saw the rest.

On one machine `NetworkInfluence(projections=...)` holds all training points; here a block of them is enough, since all
that the others say is in the p × p factor of H, see `projected`. `cluster` makes it, on the workers of Dask.
"""

from dataclasses import dataclass

import torch

from ntkif.influence.projected import ProjectedPoints
from ntkif.influence.removals import Removals
from ntkif.kernels.projected import ProjectedJacobian
from ntkif.networks.inputs import Points, Reading, in_own_precision, points_of
from ntkif.networks.losses import Loss, targets_of
from ntkif.networks.modules import predict

__all__ = ["BlockRemovals", "ProjectedNetwork", "projected_block", "read_block"]


@dataclass(frozen=True, eq=False)
class ProjectedNetwork:
    """A trained network in the space of projected rows, which tells of any of its training points what it does.

    Attributes:
        kernel: what makes the projected rows of points.
        loss: a `Loss`.
        totals: the ridge of each trained parameter by its name, of the sum of the losses, damping included.
        count: training points n.
        ridge: λ of the rows.
        factor: (p, p) Cholesky factor of H, see `ProjectedFit`.
        network: the `fingerprint` of the network that made it.
    """

    kernel: ProjectedJacobian
    loss: Loss
    totals: dict[str, float]
    count: int
    ridge: float
    factor: torch.Tensor
    network: dict[str, tuple[float, ...]]

    @property
    def freedom(self) -> float:
        """How many parameters the training points take, all together: p - λ tr(H⁻¹)."""
        unit = torch.eye(len(self.factor), dtype=self.factor.dtype, device=self.factor.device)
        root = torch.linalg.solve_triangular(self.factor, unit, upper=False)
        return len(self.factor) - self.ridge * float(root.square().sum())

    def removals(self, x_train, y_train: torch.Tensor) -> "BlockRemovals":
        """What leaving out each of some training points does, and all that may be asked of it.

        Args:
            x_train: b training points, a block of them. That they were trained on cannot be seen, so it is not checked.
            y_train: their targets.

        Raises:
            TypeError, ValueError: as `NetworkInfluence`.
            MemoryError, numpy.linalg.LinAlgError: as `ProjectedPoints`.
        """
        return BlockRemovals(self, x_train, y_train)


class BlockRemovals(Removals):
    """`Removals` of a block of the training points: leverages, influences and groups are of its points alone."""

    @in_own_precision
    def __init__(self, network: ProjectedNetwork, x_train, y_train: torch.Tensor):
        self.kernel, self.loss, self.totals = network.kernel, network.loss, network.totals
        self.reading, self._scaled, self._traced = self.kernel.given, False, False
        self._network = network.network
        self._check_as_it_was()
        self.points, self.prediction, self.y = read_block(self.reading, self.loss, x_train, y_train)
        self.fit = projected_block(self.kernel, self.loss, self.points, self.prediction, self.y).removals(
            network.factor, network.ridge
        )


def read_block(reading: Reading, loss: Loss, x, y: torch.Tensor) -> tuple[Points, torch.Tensor, torch.Tensor]:
    """A block as the network takes it, (b, c) predictions, (b, c) targets; errors as `points_of` and `targets_of`."""
    points = points_of(x, reading, "points")
    prediction = predict(reading, points)
    loss.check_outputs(prediction)
    return points, prediction, targets_of(loss, y, prediction, "targets")


@in_own_precision
def projected_block(
    kernel: ProjectedJacobian, loss: Loss, points: Points, prediction: torch.Tensor, y: torch.Tensor
) -> ProjectedPoints:
    """A block in the space of its projected rows, from what is read of it."""
    curvature = loss.curvature(prediction, y) if loss.curvature else None
    gradient = loss.gradient(prediction, y)
    return ProjectedPoints(lambda some: kernel.rows(points[some]), gradient, curvature, progress=False)
