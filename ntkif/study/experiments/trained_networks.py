"""Small networks that are trained as people train, on draws of images, and what is told of such a training."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import pandas as pd
import torch
from torch import nn

from ntkif.data import Dataset
from ntkif.influence.closed_form import loo_influence
from ntkif.influence.linearized import linearized_fit
from ntkif.kernels.infinite import ntk
from ntkif.kernels.tangent import tangent_kernel
from ntkif.metrics import rms
from ntkif.networks.losses import CROSS_ENTROPY, SQUARES, change_of_loss
from ntkif.networks.modules import predict
from ntkif.regression.ridge import ridge_fit
from ntkif.study.experiments.resnet import resnet9
from ntkif.training.optimizers import SGD, Adam
from ntkif.training.recorded import RecordedTraining
from ntkif.training.recording import record_training

__all__ = [
    "Case",
    "draw",
    "growth",
    "infinite_influence",
    "kernel_influence",
    "moment",
    "record_case",
    "rows_of",
    "seconds_by_torch",
    "sharpness_share",
    "small_network",
]

_LOSSES = {"cross-entropy": CROSS_ENTROPY, "squares": SQUARES}
_DAMPINGS = tuple(10.0**e for e in range(-4, 2))  # times the mean diagonal of the kernel
_NUDGE = 1e-7  # of the start, to see whether training forgets or magnifies it


@dataclass(frozen=True)
class Case:
    """How a network is made and trained.

    Attributes:
        name: in words.
        network: "mlp", "deep" (three layers), "conv", "resnet" or "linear", see `small_network`.
        width: neurons, or channels of the first layer.
        activation: "gelu" or "relu".
        loss: "cross-entropy" or "squares".
        optimizer: "sgd" or "adam".
        rate: learning rate.
        batch_size: None for all points.
        epochs: passes.
        momentum: of SGD.
        noise: share of training labels that are changed.
        edge: whether it is meant to be at the edge of stability.
        weight_decay: as of torch's optimisers.
    """

    name: str
    network: str = "mlp"
    width: int = 64
    activation: str = "gelu"
    loss: str = "cross-entropy"
    optimizer: str = "sgd"
    rate: float = 0.1
    batch_size: int | None = 30
    epochs: int = 30
    momentum: float = 0.9
    noise: float = 0.0
    edge: bool = False
    weight_decay: ClassVar[float] = 0.0  # a field where some have it, so that the settings of others stay


def draw(
    case: Case, dataset: Dataset, n_train: int, n_test: int, seed: int, *, pool: int = 4
) -> tuple[torch.Tensor, ...]:
    """Some images of a set, made smaller by means over squares of pixels, and their targets.

    Args:
        case: whose share of wrong training labels, and whose loss: the cross-entropy of two classes takes two columns.
        dataset: images, of which the training and the test part are drawn from.
        n_train: training images, without replacement.
        n_test: test images.
        seed: of the draw.
        pool: side of the squares.

    Returns:
        (n, colours, height, width) training points from 0 to 1, (n, c) targets, and the same of the test points.
    """
    generator = torch.Generator().manual_seed(seed)
    parts = []
    for size, images, y in (
        (n_train, dataset.images_train, dataset.y_train),
        (n_test, dataset.images_test, dataset.y_test),
    ):
        rows = torch.randperm(len(images), generator=generator)[:size]
        pixels = torch.from_numpy(images[rows.numpy()]).double() / 255
        pixels = pixels[:, None] if pixels.ndim == 3 else pixels.movedim(3, 1)
        parts += [nn.functional.avg_pool2d(pixels, pool), y[rows].double()]
    x, y, x_test, y_test = parts
    wrong = torch.randperm(n_train, generator=generator)[: round(case.noise * n_train)]
    turned = torch.randint(1, max(2, y.shape[1]), (len(wrong),), generator=generator)
    for row, by in zip(wrong.tolist(), turned.tolist(), strict=True):
        y[row] = y[row].roll(by) if y.shape[1] > 1 else -y[row]
    if case.loss == "cross-entropy" and y.shape[1] == 1:
        y, y_test = (torch.cat([each > 0, each < 0], 1).double() for each in (y, y_test))
    return x, y, x_test, y_test


def small_network(case: Case, shape: torch.Size, outputs: int, seed: int) -> nn.Module:
    """The network of a case at its start, with torch's own initial weights, for points (colours, height, width)."""
    act, w, flat = {"gelu": nn.GELU, "relu": nn.ReLU}[case.activation], case.width, shape.numel()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if case.network == "conv":
            sides = -(-shape[1] // 4) * -(-shape[2] // 4)
            layers = [nn.Conv2d(shape[0], w, 3, 2, 1), act(), nn.Conv2d(w, 2 * w, 3, 2, 1), act(), nn.Flatten()]
            layers += [nn.Linear(2 * w * sides, outputs)]
        elif case.network == "deep":
            layers = [nn.Flatten(), nn.Linear(flat, w), act(), nn.Linear(w, w), act(), nn.Linear(w, outputs)]
        elif case.network == "resnet":
            layers = [resnet9(w, shape, outputs, smooth=case.activation == "gelu")]
        elif case.network == "linear":
            layers = [nn.Flatten(), nn.Linear(flat, outputs)]
        else:
            layers = [nn.Flatten(), nn.Linear(flat, w), act(), nn.Linear(w, outputs)]
        return nn.Sequential(*layers).double().eval()


def rows_of(
    of_case: Callable[..., Iterator[dict]], dataset: Dataset, cases: Sequence[Case], seeds: Sequence[int], size: dict
) -> pd.DataFrame:
    """The rows that a function gives for each case and seed.

    Args:
        of_case: gives rows of a case, a data set and a seed.
        dataset: of images.
        cases: how networks are made and trained.
        seeds: of images, start and batches.
        size: what else the function takes.
    """
    return pd.DataFrame(row for case in cases for seed in seeds for row in of_case(case, dataset, seed, **size))


def record_case(
    case: Case, x: torch.Tensor, y: torch.Tensor, seed: int, *, start: nn.Module | None = None, **how
) -> RecordedTraining:
    """The recorded training of a case, from another start where one is given; `how` goes on to `record_training`."""
    network = small_network(case, x.shape[1:], y.shape[1], seed).to(x) if start is None else start
    how_fast = {"learning_rate": case.rate, "weight_decay": case.weight_decay}
    optimizer = SGD(**how_fast, momentum=case.momentum) if case.optimizer == "sgd" else Adam(**how_fast)
    told = {"loss": _LOSSES[case.loss], "optimizer": optimizer, "progress": False}
    size = {"batch_size": case.batch_size, "epochs": case.epochs, "seed": seed}
    return record_training(network, x, y, **told | size | how)


def infinite_influence(
    run: RecordedTraining, x_test: torch.Tensor, y_test: torch.Tensor, ridge: float = 1.0
) -> torch.Tensor:
    """(k, n) influences by the kernel of infinite width, which sees the points of a training and no network."""
    unit, unit_test = (nn.functional.normalize(points.flatten(1)) for points in (run.tape.x, x_test))
    return loo_influence(ridge_fit(ntk(unit), run.tape.y, ridge), ntk(unit_test, unit), y_test)


def kernel_influence(run: RecordedTraining, x_test: torch.Tensor, y_test: torch.Tensor) -> dict[float, torch.Tensor]:
    """(k, n) influences by the network's own kernel at its end, for dampings in units of its mean diagonal.

    None where the network is so sure of its labels that `linearized_fit` refuses it.
    """
    tape, network = run.tape, run.module
    found = tangent_kernel(network, tape.x), tangent_kernel(network, x_test, tape.x)
    found += predict(network, tape.x), predict(network, x_test), tape.y, y_test
    kernel, k_test_train, f, f_test, y, y_test = (each.double() for each in found)  # which small dampings ask for
    curvature = tape.loss.curvature(f, y) if tape.loss.curvature else None
    own = kernel if kernel.ndim == 2 else torch.einsum("nnaa->na", kernel)
    scale = float(own.diagonal().mean() if kernel.ndim == 2 else own.mean())
    found = {}
    for damping in _DAMPINGS:
        try:
            fit = linearized_fit(kernel, tape.loss.gradient(f, y), 0.0, damping=damping * scale, curvature=curvature)
        except ValueError:
            return {}
        found[damping] = change_of_loss(tape.loss.value, f_test, fit.loo_change(k_test_train), y_test)
    return found


def sharpness_share(run: RecordedTraining, case: Case, iterations: int = 30) -> float:
    """How near the edge of stability a training ended: 1 where a quadratic with its sharpness would just not settle.

    The largest eigenvalue of the Hessian of the objective, for Adam divided by its root of the second moment, times the
    rate, over 2 (1 + momentum); over 2 (1 + β1) / (1 - β1) for Adam, whose momentum is an average. (Cohen et al. 2021,
    2022.)
    """
    tape, momentum, below = run.tape, case.momentum, 1.0
    limit = 2 * (1 + momentum)
    if case.optimizer == "adam":
        first, second = tape.optimizer.betas
        below = (tape.kept[-1][1][1] / (1 - second ** len(tape.batches))).sqrt() + tape.optimizer.eps
        limit = 2 * (1 + first) / (1 - first)
    every = torch.arange(len(tape.x))
    along = torch.randn(1, len(run.theta), dtype=run.theta.dtype, generator=torch.Generator().manual_seed(0))
    for _ in range(iterations):
        along = tape.hessian(run.theta, every, along / along.norm())[0] / below
    return case.rate * float(along.norm()) / limit


def growth(run: RecordedTraining, x_test: torch.Tensor) -> float:
    """log10 of how much farther apart two trainings end than they began: their outputs, at test points."""
    tape = run.tape
    generator = torch.Generator().manual_seed(0)
    start, nudge = tape.function.start, torch.randn(len(run.theta), dtype=torch.float64, generator=generator)
    beside = start + _NUDGE * start.norm() * nudge / nudge.norm()
    end = tape.run(torch.ones(1, len(tape.x), dtype=torch.float64), lambda *_: None, start=beside)[0]
    apart = [rms(tape.function(a, x_test) - tape.function(b, x_test)) for a, b in ((beside, start), (end, run.theta))]
    return math.log10(apart[1] / apart[0])


def moment(device: torch.device) -> float:
    """Seconds on a clock, once the device has done what it was told to."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def seconds_by_torch(run: RecordedTraining, case: Case, clock: Callable[[torch.device], float] = moment) -> float:
    """Of one plain training of the same network."""
    tape, device = run.tape, run.tape.x.device
    module = small_network(case, tape.x.shape[1:], tape.y.shape[1], 0).to(tape.x)
    how = {"lr": case.rate, "weight_decay": case.weight_decay}
    optimizer = (
        torch.optim.SGD(module.parameters(), momentum=case.momentum, **how)
        if case.optimizer == "sgd"
        else torch.optim.Adam(module.parameters(), **how)
    )
    started = clock(device)
    for rows in tape.batches:
        optimizer.zero_grad()
        tape.loss.value(module(tape.x[rows]), tape.y[rows]).mean().backward()
        optimizer.step()
    return clock(device) - started
