"""The benchmarks that need a GPU: the share of what a card can do, and the closed form beside the bare calls."""

import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from ntkif.provenance import ROOT, commit, machine, now
from ntkif.store import write

__all__ = ["KEPT", "Benchmark", "benchmarks", "small_benchmarks"]

KEPT = ROOT / "records" / "tools" / "gpu"

_FOLDER = ROOT / "benchmarks" / "speed"
_PATIENCE = 4  # times as long as it should take, after which one is broken off

_CIFAR = ("-d", "3072", "--directions", "1280", "--width", "40000")
_TRAINED = ("--case", "conv, SGD", "--repeats", "1")
_DIGITS = ("--set", "mini-mnist", "--pool", "1")
_BENCHMARKS = [  # seconds each should take on a card, and what is called
    (25, "training.py", "--precision", "float16", "-n", "5000", "-d", "784", "--directions", "512", "--width", "80000"),
    (25, "training.py", "--precision", "float16", "-n", "5000", *_CIFAR),
    (15, "training.py", "--precision", "tf32", "-n", "5000", "--width", "40000"),
    (20, "training.py", "--precision", "float32", "-n", "5000", "--width", "40000"),
    (25, "on_device.py"),
    (30, "through_training.py", *_TRAINED, *_DIGITS, "-n", "5000", "--width", "32", "--epochs", "5"),
]
_TINY = ("-n", "64", "-d", "100", "--width", "256", "--epochs", "2", "--repeats", "1")
_SMALL_BENCHMARKS = [
    (30, "training.py", "--precision", "float16", "--directions", "48", *_TINY),
    (30, "training.py", "--precision", "float32", *_TINY),
    (30, "on_device.py", "-n", "100", "-k", "20", "-d", "50", "--many", "300", "--points", "20", "--runs", "1"),
    (30, "through_training.py", *_TRAINED, "-n", "40", "-k", "2", "--width", "4", "--pool", "4", "--epochs", "1"),
]


@dataclass(frozen=True)
class Benchmark:
    """A measurement of speed that is wanted.

    Attributes:
        guessed: seconds that it takes on a card.
        script: of benchmarks/speed.
        options: what it is called with.
        device: cpu or cuda.
    """

    guessed: float
    script: str
    options: tuple[str, ...]
    device: str

    def __str__(self) -> str:
        return " ".join((self.script, *self.options))

    @property
    def images(self) -> None:
        """None are loaded for it."""

    def load(self, device: str) -> None:
        """Nothing."""

    def seconds(self, device: str, speed: float | None = None) -> float:
        """That it takes, about."""
        return float(self.guessed) if device.startswith("cuda") else 0.0

    def speed(self, device: str, seconds: float, before: float | None) -> float | None:
        """Nothing is learnt of how long the others take."""
        return before

    def file(self, folder: Path) -> Path:
        """What it prints, under a folder."""
        return folder / f"{re.sub('[^a-z0-9.]+', '-', str(self).lower())}.txt"

    def made(self, dataset: None, work: Path, kept: Path = KEPT) -> bool:
        """Whether it was measured."""
        return any(self.file(folder).with_suffix(".json").exists() for folder in (work / "benchmarks", kept))

    def make(self, dataset: None, work: Path) -> tuple[str, float, str]:
        """What it prints, kept under a folder with its provenance; its seconds, and what there is to say of it.

        Raises:
            ChildProcessError: it failed, or took far longer than it should.
        """
        command = [sys.executable, str(_FOLDER / self.script), "--device", self.device, *self.options]
        started, clock = now(), time.perf_counter()
        try:
            done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=_PATIENCE * self.guessed)
        except subprocess.TimeoutExpired as late:
            raise ChildProcessError(f"{self} took more than {late.timeout:g} s.") from None
        if done.returncode:
            raise ChildProcessError(f"{self} failed:\n{done.stderr[-2000:]}")
        told = {"benchmark": self.script, "options": list(self.options), "started": started, "commit": commit()}
        file, seconds = self.file(work / "benchmarks"), round(time.perf_counter() - clock, 1)
        write(file, done.stdout.encode(), told | machine(torch.device(self.device)) | {"seconds": seconds})
        return done.stdout, seconds, f"\n{done.stdout}measured"


def benchmarks(device: str) -> list[Benchmark]:
    """All of them, the most wanted first; none where the package was installed without them."""
    return _listed(_BENCHMARKS, device)


def small_benchmarks(device: str) -> list[Benchmark]:
    """The same at a size that a CPU does in a moment."""
    return _listed(_SMALL_BENCHMARKS, device)


def _listed(them: list[tuple], device: str) -> list[Benchmark]:
    found = [Benchmark(guessed, script, tuple(options), device) for guessed, script, *options in them]
    return found if _FOLDER.exists() else []
