"""A network that was trained in batches on the cross-entropy and stopped, as other tools take it, in float32.

Scales: training minimised the mean of the losses, so without a point its parameters change by (H + λ)⁻¹ g / n, with H
the Hessian of that mean and g the gradient of the point's loss; a sum over steps of size η gives η g / |B| for each.
"""

import copy
import tempfile
import time
from dataclasses import dataclass
from functools import cached_property
from types import SimpleNamespace

import torch
from torch.func import functional_call
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from ntkif.networks.losses import CROSS_ENTROPY
from ntkif.study.experiments.trained_networks import Case, seconds_by_torch
from ntkif.training.flat_module import FlatModule

DAMPINGS = (1e-3, 1e-2, 1e-1)  # of the Hessian of the mean


def losses_of(outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """(n,) cross-entropy of each point, by one-hot targets."""
    return cross_entropy(outputs, y, reduction="none")


@dataclass(frozen=True, eq=False)
class TrainedProblem:
    """A case of `benchmarks/tools/truth_of_trainings.py`."""

    case: dict

    @cached_property
    def training(self) -> Case:
        """How the network was made and trained."""
        return Case(**self.case["training"])

    @property
    def arrays(self) -> tuple[torch.Tensor, ...]:
        """Training points and one-hot targets, test points and targets, in float64."""
        return tuple(self.case["arrays"].values())

    @cached_property
    def model(self) -> torch.nn.Module:
        """The trained network in float32."""
        return copy.deepcopy(self.case["network"]).float().eval()

    @cached_property
    def start(self) -> torch.nn.Module:
        """The network before training, in float32."""
        return copy.deepcopy(self.case["start"]).float().eval()

    @cached_property
    def train(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Training points and one-hot targets in float32."""
        return tuple(each.float() for each in self.arrays[:2])

    @cached_property
    def test(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Test points and one-hot targets in float32."""
        return tuple(each.float() for each in self.arrays[2:])

    @property
    def n(self) -> int:
        """Number of training points."""
        return len(self.arrays[0])

    @cached_property
    def size(self) -> int:
        """Number of parameters."""
        return sum(value.numel() for value in self.case["network"].parameters())

    @property
    def rate(self) -> float:
        """What a gradient moves in the end: with momentum, its sum over all later steps; of Adam the rate as it is."""
        momentum = self.training.momentum if self.training.optimizer == "sgd" else 0.0
        return self.training.rate / (1 - momentum)

    @property
    def batches(self) -> list[torch.Tensor]:
        """Rows of each step."""
        return self.case["batches"]

    def checkpoints(self, count: int) -> list[dict]:
        """The last of all, or all, in float32."""
        return [{name: value.float() for name, value in each.items()} for each in self.case["checkpoints"][-count:]]

    def weight(self, count: int) -> float:
        """Of a product of gradients at each of `count` checkpoints, so that they stand for all steps."""
        return self.rate * len(self.batches) / (self.n * count)

    def loaders(self, classes: bool = False) -> list[DataLoader]:
        """All training points in one batch, and all test points; with class numbers in place of one-hot targets."""
        points = (self.train, self.test)
        return [DataLoader(TensorDataset(x, y.argmax(1) if classes else y), batch_size=len(x)) for x, y in points]

    def residuals(self) -> torch.Tensor:
        """(k, 1) one minus the probability of the right class, at test points."""
        with torch.no_grad():
            return 1 - torch.exp(-losses_of(self.model(self.test[0]), self.test[1]))[:, None]

    def train_seconds(self) -> float:
        """Of one plain training by torch, now, by the processor's clock as of an answer."""
        tape = SimpleNamespace(x=self.arrays[0], y=self.arrays[1], batches=self.batches, loss=CROSS_ENTROPY)
        for _ in range(2):  # the second time, since the first loads what torch loads late
            start = time.process_time()
            seconds_by_torch(SimpleNamespace(tape=tape), self.training)
            seconds = time.process_time() - start
        return seconds

    def made(self) -> "TrainedProblem":
        """With all that is made once, so that no tool's time has it."""
        _ = self.model, self.start, self.train, self.test, self.function
        return self

    @cached_property
    def function(self) -> FlatModule:
        """The network as a function of a flat vector."""
        return FlatModule(self.model)


def dattri_task(problem: TrainedProblem, checkpoints: int = 1, **target):
    """Its own description of a network and a loss, which it asks about single points too."""
    from dattri.task import AttributionTask

    return AttributionTask(
        loss_func=mean_loss(problem), model=problem.model, checkpoints=problem.checkpoints(checkpoints), **target
    )


def mean_loss(problem: TrainedProblem):
    """The mean over a batch, or of a single point without its first dimension."""

    def loss(parameters, data):
        x, y = data
        x = x if x.ndim == 4 else x[None]
        return cross_entropy(functional_call(problem.model, parameters, (x,)), y.reshape(len(x), -1))

    return loss


def captum(problem: TrainedProblem, kind, checkpoints: list[dict], weight: float = 1.0, **settings) -> torch.Tensor:
    """`influence` of one of its classes, with the loss of single points from one pass."""
    places: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for number, state in enumerate(checkpoints):
            places.append(f"{folder}/{number}.pt")
            torch.save(state, places[-1])

        def load(model, file):
            model.load_state_dict(torch.load(file))
            return weight

        (x, y), (x_test, y_test) = problem.train, problem.test
        tool = kind(
            problem.model, TensorDataset(x, y.argmax(1)),
            places if kind.__name__.startswith("TracIn") else places[0], checkpoints_load_func=load,
            loss_fn=torch.nn.CrossEntropyLoss(reduction="sum"), batch_size=problem.n, sample_wise_grads_per_batch=True,
            **settings,
        )  # fmt: skip
        return tool.influence((x_test, y_test.argmax(1)))
