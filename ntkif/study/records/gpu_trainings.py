"""The trainings of larger networks that the book wants from a GPU, the most wanted first: parts of one record."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ntkif.data import Dataset, load
from ntkif.study.experiments.catalogue import find
from ntkif.study.experiments.on_card import DecayCase, operations, steps_told
from ntkif.study.records.parts import Part, keep_part, part_made, parts_of
from ntkif.study.records.record import Record
from ntkif.study.records.tables import FOLDER

__all__ = ["EXPERIMENT", "Training", "small_trainings", "trainings"]

EXPERIMENT = "through-training-gpu"
_SHAPES = {"mnist": ((1, 28, 28), 10), "cifar": ((3, 32, 32), 10)}  # of a point, and outputs at most
_RATE = {"cuda": 4e12, "cpu": 2e10}  # operations a second in single precision, a first guess: nothing was measured yet
_TOLD = {"resnet": 0.024, "conv": 0.005, "mlp": 0.003}  # seconds to tell a device of a step, as seen on a CPU
_OVERHEAD = {False: 20.0, True: 50.0}  # seconds beside the steps: images, first calls, tape; with the own kernel


@dataclass(frozen=True)
class Training:
    """A part of the record that is wanted.

    Attributes:
        part: of `EXPERIMENT`.
        coloured: whether grey images stand for photographs, with three colours.
    """

    part: Part
    coloured: bool = False

    def __str__(self) -> str:
        return str(self.part)

    @property
    def images(self) -> tuple:
        """What is loaded for it."""
        return self.part.dataset, self.coloured

    def load(self, device: str) -> Dataset:
        """Its images."""
        data = load(self.part.dataset, device=device)
        if not self.coloured:
            return data
        both = {name: np.repeat(getattr(data, name)[..., None], 3, 3) for name in ("images_train", "images_test")}
        return replace(data, **both)

    def operations(self) -> float:
        """What its trainings and its passes backwards ask for."""
        shape, outputs = _SHAPES["cifar" if self.coloured or "cifar" in self.part.dataset else "mnist"]
        return operations(self._case, shape, outputs, **self._size)

    def seconds(self, device: str, speed: float | None = None) -> float:
        """That it takes, about, at so many times the speed that was first guessed."""
        kind = device.split(":")[0]
        told = steps_told(self._case, **self._size) * _TOLD[self._case.network]
        beside = _OVERHEAD[self.part.settings["kernel"]] if kind == "cuda" else 0
        return (self.operations() / _RATE[kind] + told) / (speed or 1.0) + beside

    def speed(self, device: str, seconds: float, before: float | None) -> float:
        """Speed to reckon with, in units of the guess, once a training took so many seconds."""
        return ((before or 1.0) + self.seconds(device) / seconds) / 2

    def made(self, dataset: Dataset, work: Path, kept: Path = FOLDER) -> bool:
        """Whether it is in the record, or in the folder of work."""
        return part_made(self.part, work, kept)

    def make(self, dataset: Dataset, work: Path) -> tuple[Record, float, str]:
        """The part, kept under a folder; its seconds, and what there is to say of it."""
        found = keep_part(self.part, dataset, work)
        seconds, told = found.provenance["seconds"], found.table.iloc[-1]
        said = f"{seconds:.0f} s, error {told['relative_error']:.2f}, check {told['check']:.2f}"
        return found, max(seconds, 0.1), said

    @property
    def _case(self) -> DecayCase:
        return DecayCase(**self.part.settings["cases"][0])

    @property
    def _size(self) -> dict:
        return {name: value for name, value in self.part.settings.items() if name not in ("cases", "seeds")}


def trainings() -> list[Training]:
    """All of them, the most wanted first.

    A first seed of every wider network, then the smooth ResNet-9, which takes minutes; the other seeds; and what likely
    cannot be predicted.
    """
    parts = [part for name in find(EXPERIMENT).settings for part in parts_of(EXPERIMENT, name)]
    return [Training(part) for part in sorted(parts, key=_rank)]


def _rank(part: Part) -> tuple:
    (case,) = part.settings["cases"]
    return case["edge"], part.key[1], case["network"] == "resnet"


def small_trainings() -> list[Training]:
    """The same, in the same order, at a size that a CPU does in a moment."""
    return [Training(_small(job.part), coloured="cifar" in job.part.dataset) for job in trainings()]


def _small(part: Part) -> Part:
    name = "mnist-sample" if part.dataset == "cifar" else "mini-mnist-sample"
    (case,) = part.settings["cases"]
    tiny = {"name": f"{case['name']} of {part.dataset}"}  # since they share a sample
    tiny |= {"width": 2, "batch_size": 6, "epochs": 1}
    size = {"n_train": 12, "n_test": 2, "removals": 2, "folds": 2, "alone": 1, "pool": 2}
    return Part(part.experiment, name, part.settings | size | {"cases": [case | tiny]})
