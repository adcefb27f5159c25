"""Influence through training of larger networks, on a GPU (beyond the paper): a ResNet-9, and wider networks."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

from ntkif.data import Dataset
from ntkif.metrics import agreement, rms
from ntkif.provenance import device_name
from ntkif.study.experiments.asked import left_out, own_kernel_scores, recorded_and_asked
from ntkif.study.experiments.experiment import AGREEMENT, Column, experiment
from ntkif.study.experiments.through_training import METHODS, ROUNDED, ROUNDED_AGREEMENT
from ntkif.study.experiments.trained_networks import Case, draw, rows_of, small_network
from ntkif.training.recorded import RecordedTraining
from ntkif.training.trainings import SIDE_BY_SIDE

__all__ = ["DecayCase", "card_scores", "operations", "scores_on_card", "steps_told"]


@dataclass(frozen=True)
class DecayCase(Case):
    """A case whose weights decay, in batches of 250 for ten epochs; see `Case`.

    Attributes:
        weight_decay: as of torch's optimisers.
    """

    batch_size: int | None = 250
    epochs: int = 10
    weight_decay: float = 5e-4


_RESNETS = (
    DecayCase("smooth ResNet-9, SGD", network="resnet", width=16, rate=0.02),
    DecayCase("smooth ResNet-9, Adam", network="resnet", width=16, optimizer="adam", rate=3e-4),
    DecayCase("ResNet-9, SGD", network="resnet", width=16, activation="relu", rate=0.02, edge=True),
)
_WIDE = {
    name: (
        DecayCase("conv, SGD", network="conv", width=32, rate=0.05),
        DecayCase("conv, Adam", network="conv", width=32, optimizer="adam", rate=2e-3),
        DecayCase("MLP, SGD", width=neurons, rate=0.05),
        DecayCase("MLP, Adam", width=neurons, optimizer="adam", rate=1e-3),
    )
    for name, neurons in (("mini-mnist", 1024), ("mini-cifar", 256))  # a tape of 2 GB at most
}
_LARGE = {"n_train": 5000, "n_test": 20, "removals": 40, "folds": 20, "alone": 10, "pool": 1, "precision": "float32"}
_PASSES, _BLOCKS = 2, 4  # backwards at most, each for so many blocks of test points


@experiment(
    "through-training-gpu",
    settings={
        name: {"cases": [asdict(case) for case in cases], "seeds": seeds, "kernel": kernel} | _LARGE
        for name, cases, seeds, kernel in (
            ("cifar", _RESNETS, [20], True),
            *((name, cases, [20, 21, 22], False) for name, cases in _WIDE.items()),
        )
    },
    witness={
        "cases": [
            {"name": "ResNet-9", "network": "resnet", "width": 4, "rate": 0.003, "batch_size": 8, "epochs": 1},
            {"name": "MLP, Adam", "width": 6, "optimizer": "adam", "rate": 0.01, "batch_size": 8, "epochs": 2},
        ],
        "n_train": 16,
        "n_test": 4,
        "removals": 4,
        "folds": 8,
        "alone": 2,
        "pool": 1,
        "precision": "float64",
        "seeds": [0],
        "kernel": True,
    },
    columns={
        "case": Column.key("network and optimiser"),
        "seed": Column.key("of images, network and batches"),
        "method": Column.key("one of the first three of `METHODS`"),
        **ROUNDED_AGREEMENT,
        "check": Column.value("relative error with which removals that were carried out are predicted", ROUNDED),
        "of": Column.value("which of them are predicted worse, those of folds or of points alone"),
        "curvature": Column.value("of the reverse pass, by that check"),
        "truth": Column.value("root mean square of the true influences", ROUNDED),
        "rounding": Column.clock("what a second training with all points changes, as a share of truth"),
        "train_loss": Column.value("mean over the training images, at the end"),
        "test_loss": Column.value("mean over the test images"),
        "train_seconds": Column.clock("of one training by torch.optim"),
        "recording_seconds": Column.clock("of the recording with its folds; NaN where it was broken off and went on"),
        "influence_seconds": Column.clock("of all influences, with the check"),
        "device": Column.clock("that trained"),
    },
    slice=None,
    device="cuda",
)
def scores_on_card(dataset: Dataset, cases: list[dict], seeds: Sequence[int], **size) -> pd.DataFrame:
    """How well retraining of a ResNet-9 with two classes, and of wider networks with ten, is predicted on a GPU.

    Args:
        dataset: images to draw from; its device is that of the trainings.
        cases: fields of `DecayCase`.
        seeds: of the draws.
        **size: of `card_scores`.
    """
    return rows_of(card_scores, dataset, [DecayCase(**fields) for fields in cases], seeds, size)


def card_scores(
    case: Case,
    dataset: Dataset,
    seed: int,
    *,
    precision: str,
    kernel: bool,
    removals: int,
    folds: int,
    alone: int,
    folder: Path | None = None,
    **size,
) -> Iterator[dict]:
    """For one draw of a case and each method: how well it predicts retraining, and what is known without that.

    Args:
        case: how the network is made and trained.
        dataset: of images.
        seed: of the draw, of the start, and of the batches.
        precision: "float32" or "float64".
        kernel: whether the network's own kernel is asked too, where the memory holds it.
        removals: training points left out, drawn at random.
        folds: of the recording.
        alone: points that the recording leaves out alone.
        folder: of `record_training`.
        **size: n_train, n_test and pool of `draw`.
    """
    begun = folder is not None and any(folder.glob("*"))
    like = {"device": dataset.x_train.device, "dtype": getattr(torch, precision)}
    drawn = draw(case, dataset, seed=seed, **size)
    # Group norm of channels that come last, as a photograph's do, cannot be had of several networks at once.
    x, y, *test = (each.to(**like).contiguous() for each in drawn)
    # Ten bits, which convolutions take on a card by default, would drown what one point does.
    with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
        run, ours, told = recorded_and_asked(case, (x, y), test, seed, folds=folds, alone=alone, folder=folder)
        rows = left_out(len(x), removals, seed)
        truth = run.without(rows, *test)
        told |= {"truth": rms(truth), "rounding": _again(run, *test) / rms(truth), "device": device_name(x.device)}
        scores = {METHODS[0]: agreement(run.first_order(*test)[:, rows], truth)}
        if kernel:
            scores[METHODS[1]] = _kernel_that_fits(run, rows, test, truth)
        scores[METHODS[2]] = agreement(ours[:, rows], truth)
    if begun:
        told["recording_seconds"] = math.nan
    for method, of_method in scores.items():
        yield {"case": case.name, "seed": seed, "method": method} | of_method | told


def operations(case: Case, shape: Sequence[int], outputs: int, *, n_train: int, **size) -> float:
    """Additions and multiplications that `card_scores` asks for, its own kernel aside.

        3 F n E (2 + K + a + r + 2 + 2 p k)

    with F those of a point's forward pass, three times as many for a gradient and six for its derivative along a
    direction, n points, E epochs, K folds, a points alone, r removals and k test points; two trainings more tell what
    rounding does, and p = 2 passes are the most that are made.

    Args:
        case: how the network is made and trained.
        shape: (colours, height, width) of a point.
        outputs: of the network.
        n_train: training images.
        **size: of `card_scores`.
    """
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        small_network(case, torch.Size(shape), outputs, 0)(torch.zeros(1, *shape, dtype=torch.float64))
    trainings = 4 + size["folds"] + size["alone"] + size["removals"] + 2 * _PASSES * size["n_test"]
    return 3.0 * counter.get_total_flops() * n_train * case.epochs * trainings


def steps_told(case: Case, *, n_train: int, **size) -> int:
    """How often the device is told to take a step, for some networks or test points at once."""
    steps = case.epochs * math.ceil(n_train / (case.batch_size or n_train))
    at_once = sum(math.ceil(size[name] / SIDE_BY_SIDE) for name in ("folds", "alone", "removals"))
    return steps * (3 + at_once + 2 * _PASSES * _BLOCKS)


def _again(run: RecordedTraining, x_test: torch.Tensor, y_test: torch.Tensor) -> float:
    """Root mean square of what another training with all points, as beside others, makes of the test losses."""
    tape = run.tape
    ends = tape.run(tape.x.new_ones(2, len(tape.x)), lambda *_: None)
    one, other = (tape.loss.value(tape.function(theta, x_test), y_test) for theta in (ends[0], run.theta))
    return rms(one - other)


def _kernel_that_fits(run, rows: list[int], test: Sequence[torch.Tensor], truth: torch.Tensor) -> dict[str, float]:
    try:
        return own_kernel_scores(run, rows, test, truth)
    except (MemoryError, torch.OutOfMemoryError, torch.linalg.LinAlgError):  # too large, or singular in this precision
        return dict.fromkeys(AGREEMENT, math.nan)
