"""The runs of retraining two-layer networks that the book wants from a GPU, the most wanted first."""

from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from ntkif.data import Dataset, load
from ntkif.retraining.protocol import Protocol, Retraining
from ntkif.retraining.runs import FOLDER, keep_run, load_run, run_file
from ntkif.retraining.selection import chosen_points
from ntkif.study import paper

__all__ = ["Job", "plan", "small_plan"]

_RATE = {"cuda": 450e12, "cpu": 1e11}  # operations a second, a first guess
_OVERHEAD = 6.0  # seconds of a run beside its steps: images, start, chosen points, the own kernel
_ALL = 5000  # training images of a whole set
#: That leave less than 2e-5 of the squared norm out; of ten classes the images are others, and differ more.
_DIRECTIONS = {"mnist": 512, "cifar": 1280, "mini-mnist": 640, "mini-cifar": 2048}
_OF_SEVERAL = 1.5  # times as long as one, ten outputs should take, whose gates and sums are more to move


@dataclass(frozen=True)
class Job:
    """A run that is wanted.

    Attributes:
        dataset: name of the image set.
        protocol: how to train.
        n_train: of its images the first so many, all where absent.
        n_test: likewise.
        removals: points left out.
    """

    dataset: str
    protocol: Protocol
    n_train: int | None = None
    n_test: int | None = None
    removals: int = 40

    def __str__(self) -> str:
        return f"{self.dataset} {self.protocol}"

    @property
    def images(self) -> tuple:
        """What is loaded for it."""
        return self.dataset, self.n_train, self.n_test

    def load(self, device: str) -> Dataset:
        """Its images."""
        whole = load(self.dataset, device=device)
        return whole.head(self.n_train or len(whole.x_train), self.n_test or len(whole.x_test))

    def operations(self) -> float:
        """What its steps ask for: two products an epoch for each network."""
        p = self.protocol
        return 4.0 * (1 + self.removals) * p.width * (self.n_train or _ALL) * p.directions * p.epochs

    def seconds(self, device: str, speed: float | None = None) -> float:
        """That it takes, about, with so many operations a second, or as first guessed."""
        kind = device.split(":")[0]
        return self._work() / (speed or _RATE[kind]) + (_OVERHEAD if kind == "cuda" else 0)

    def speed(self, device: str, seconds: float, before: float | None) -> float:
        """Operations a second to reckon with, once a run took so many seconds."""
        return ((before or _RATE[device.split(":")[0]]) + self._work() / seconds) / 2

    def _work(self) -> float:
        """Its operations, those of several outputs counted more."""
        return self.operations() * (_OF_SEVERAL if self.dataset.startswith("mini") else 1.0)

    def made(self, dataset: Dataset, work: Path, kept: Path = FOLDER) -> Retraining | None:
        """The run where it is kept with both steps and its own kernel, None where it is wanted."""
        for folder in (kept, work):
            file = run_file(dataset, self.protocol, folder)
            if file.with_suffix(".json").exists():
                run = load_run(file)
                if run.following is not None and run.own_kernel is not None:
                    return run
        return None

    def make(self, dataset: Dataset, work: Path) -> tuple[Retraining, float, str]:
        """The run, kept under a folder; its seconds, and what there is to say of it."""
        points = chosen_points(dataset, self.protocol.ridge, self.removals)
        run = keep_run(dataset, self.protocol, points, work, own_kernel=True, progress=False)
        said = f"{run.seconds:.1f} s for {len(run.predictions)} networks, "
        return run, run.seconds, said + f"{self.operations() / run.seconds / 1e12:.3g} TFLOP/s"


def plan() -> list[Job]:
    """All runs that the book wants from a GPU, the most wanted first.

    Figure 1 and Table 1 with the paper's start; Figure 8; the symmetric start; second seeds. At κ = 0.01 the step for
    photographs is half the paper's, with which training does not settle.
    """
    widths = sorted({row["width"] for row in paper.TABLE_1})
    random, twins = {"init_scale": 0.01}, {"init_scale": 1.0, "symmetric": True}
    jobs = [_job(name, width, random) for name, width in product(("mnist", "cifar"), widths)]
    jobs += [_job(f"mini-{name}", widths[-1], random) for name in ("mnist", "cifar")]
    jobs += [_job(name, width, twins) for name, width in product(paper.RIDGE, (widths[0], widths[2]))]
    return jobs + [_job(name, widths[0], random, seed=1) for name in ("mnist", "cifar")]


def small_plan() -> list[Job]:
    """The same runs, in the same order, at a size that a CPU does in a moment."""
    return [
        Job(
            "mini-mnist-sample" if job.dataset.startswith("mini") else "mnist-sample",
            replace(
                job.protocol, ridge=1.0, width=job.protocol.width // 625, epochs=20, directions=30, learning_rate=0.01
            ),
            n_train=40 if "mnist" in job.dataset else 48,
            n_test=30,
            removals=3,
        )
        for job in plan()
    ]


def _job(name: str, width: int, start: dict, seed: int = 0) -> Job:
    kind = name.removeprefix("mini-")
    rate, epochs = 0.001, {"mnist": 1200, "cifar": 500}[kind]
    if kind == "cifar" and not start.get("symmetric"):
        rate, epochs = 0.0005, 1000
    how = {"learning_rate": rate, "epochs": epochs, "precision": "float16", "directions": _DIRECTIONS[name]}
    return Job(name, Protocol(ridge=paper.RIDGE[name], width=width, seed=seed, **start, **how))
