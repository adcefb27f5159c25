"""What the book wants from a GPU, in order of worth, as much of it as the minutes allow.

Runs at the paper's size take seconds to minutes on a card, and hours without. Where a card is at hand for a quarter of
an hour only, on a machine that gives back few files, this makes what is missing, packs it, and takes it in at home.
"""

import io
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

from ntkif.data import Dataset, load
from ntkif.provenance import ROOT, device_name
from ntkif.retraining.protocol import Protocol, Retraining
from ntkif.retraining.runs import FOLDER, keep_run, load_run, run_file
from ntkif.retraining.selection import chosen_points
from ntkif.store import write_atomically
from ntkif.study import paper

__all__ = ["MEASURING", "Job", "collect", "made", "measure", "plan", "small_plan", "work_through"]

_RATE = {"cuda": 450e12, "cpu": 1e11}  # operations a second, a first guess
_OVERHEAD = 6.0  # seconds of a run beside its steps: images, start, chosen points, the own kernel
MEASURING = 60.0  # seconds that the benchmarks take, about
_FILE = 15 * 2**20  # bytes of an archive; some machines give back files of 16 MiB at most
_DIRECTIONS = {"mnist": 512, "cifar": 1280}  # that leave less than 2e-5 of the squared norm out

_CIFAR = ("-d", "3072", "--directions", "1280", "--width", "40000")
_TRAINED = ("--network", "conv", "--dtype", "float32", "--repeats", "1")
_BENCHMARKS = [
    ("training.py", "--precision", "float16", "-n", "5000", "-d", "784", "--directions", "512", "--width", "80000"),
    ("training.py", "--precision", "float16", "-n", "5000", *_CIFAR),
    ("training.py", "--precision", "tf32", "-n", "5000", "--width", "40000"),
    ("training.py", "--precision", "float32", "-n", "5000", "--width", "40000"),
    ("on_device.py",),
    ("through_training.py", *_TRAINED, "-n", "5000", "--width", "32"),
]
_TINY = ("-n", "64", "-d", "100", "--width", "256", "--epochs", "2", "--repeats", "1")
_SMALL_BENCHMARKS = [
    ("training.py", "--precision", "float16", "--directions", "48", *_TINY),
    ("training.py", "--precision", "float32", *_TINY),
    ("on_device.py", "-n", "100", "-k", "20", "-d", "50", "--many", "300", "--points", "20", "--runs", "1"),
    ("through_training.py", *_TRAINED, "-n", "40", "-k", "2", "--width", "4", "--pixels", "8", "--epochs", "1"),
]


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

    def load(self, device: str) -> Dataset:
        """Its images."""
        whole = load(self.dataset, device=device)
        return whole.head(self.n_train or len(whole.x_train), self.n_test or len(whole.x_test))

    def operations(self, dataset: Dataset) -> float:
        """What its steps ask for: two products an epoch for each network."""
        p = self.protocol
        return 4.0 * (1 + self.removals) * p.width * len(dataset.x_train) * p.directions * p.epochs


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
    how = {"learning_rate": rate, "epochs": epochs, "precision": "float16", "directions": _DIRECTIONS[kind]}
    return Job(name, Protocol(ridge=paper.RIDGE[name], width=width, seed=seed, **start, **how))


def made(job: Job, dataset: Dataset, folders: Sequence[Path]) -> Retraining | None:
    """The run of a job where it is kept with both steps and its own kernel, None where it is wanted."""
    for folder in folders:
        file = run_file(dataset, job.protocol, folder)
        if file.with_suffix(".json").exists():
            run = load_run(file)
            if run.following is not None and run.own_kernel is not None:
                return run
    return None


def work_through(
    jobs: Sequence[Job],
    seconds: float,
    work: Path,
    output: Path,
    *,
    device: str,
    records: Path = FOLDER,
    say: Callable[[str], object] = print,
) -> Iterator[tuple[Job, Retraining]]:
    """Make what is missing, in order, where it can be finished in time; a run that was broken off goes on.

    Args:
        jobs: what is wanted, see `plan`.
        seconds: that there are.
        work: where runs are made.
        output: where they are packed, after each.
        device: cpu or cuda.
        records: where finished ones are kept.
        say: takes a line for each job.

    Yields:
        jobs that were finished, with their runs.

    Raises:
        OSError: a folder cannot be written.
    """
    clock, rate, loaded = time.perf_counter(), _RATE[device.split(":")[0]], {}
    for job in jobs:
        key = job.dataset, job.n_train, job.n_test
        if key not in loaded:
            loaded = {key: job.load(device)}  # one at a time
        dataset, spent = loaded[key], time.perf_counter() - clock
        if made(job, dataset, [records, work]):
            say(f"[{spent:5.0f} s] {job}: made before")
            continue
        needed = job.operations(dataset) / rate + (_OVERHEAD if device != "cpu" else 0)
        if spent + needed > seconds:
            say(f"[{spent:5.0f} s] {job}: needs about {needed:.0f} s, no time")
            continue
        points = chosen_points(dataset, job.protocol.ridge, job.removals)
        run = keep_run(dataset, job.protocol, points, work, own_kernel=True, progress=False)
        reached = job.operations(dataset) / run.seconds
        rate = (rate + reached) / 2
        say(
            f"[{time.perf_counter() - clock:5.0f} s] {job}: {run.seconds:.1f} s for {len(run.predictions)} networks, "
            f"{reached / 1e12:.3g} TFLOP/s on {device_name(dataset.x_train.device)}"
        )
        _pack(work, output)
        yield job, run


def collect(packed: Path, records: Path = FOLDER) -> list[Path]:
    """Take in the runs of archives that `work_through` packed elsewhere.

    Each is read whole before it is moved. It takes the place of a run of the same name that kept one step alone, and
    of no other.

    Args:
        packed: folder of the archives.
        records: where runs are kept.

    Returns:
        the files of the runs that were taken in.

    Raises:
        FileNotFoundError: no archive is there.
        ValueError: a run is damaged, or another run of the same name is kept.
    """
    archives = sorted(Path(packed).glob("runs-*.zip"))
    if not archives:
        raise FileNotFoundError(f"{packed}: expected archives runs-1.zip, ..., as `python -m ntkif gpu` packs them.")
    taken = []
    records.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=records) as beside:
        for archive in archives:
            with zipfile.ZipFile(archive) as opened:
                opened.extractall(beside)
        files = sorted(Path(beside).glob("*/*.npz"))
        for file in files:
            load_run(file)
            kept = records / file.relative_to(beside)
            if kept.exists() and kept.read_bytes() != file.read_bytes() and load_run(kept).following is not None:
                raise ValueError(f"{kept} holds another run of that name; delete one of the two.")
        for file in files:
            kept = records / file.relative_to(beside)
            kept.parent.mkdir(exist_ok=True)
            for suffix in (".npz", ".json"):
                file.with_suffix(suffix).replace(kept.with_suffix(suffix))
            taken.append(kept)
    return taken


def _pack(work: Path, output: Path) -> None:
    """All finished runs of `work`, in as few archives as hold them."""
    output.mkdir(parents=True, exist_ok=True)
    stored = sorted(file for file in work.glob("*/*.json"))
    archives, size = [[]], 0
    for file in stored:
        both = [file, file.with_suffix(".npz")]
        needed = sum(each.stat().st_size for each in both)
        if archives[-1] and size + needed > _FILE:
            archives.append([])
            size = 0
        archives[-1] += both
        size += needed
    for number, members in enumerate(archives, 1):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as packed:
            for member in members:
                packed.write(member, member.relative_to(work))
        write_atomically(output / f"runs-{number}.zip", lambda stream, made=buffer: stream.write(made.getvalue()))


def measure(output: Path, device: str, *, small: bool = False, say: Callable[[str], object] = print) -> Path | None:
    """Run the benchmarks that need the device, and keep what they print.

    Args:
        output: folder of `benchmarks.txt`.
        device: cpu or cuda.
        small: whether at a size that a CPU does in a moment.
        say: takes a line.

    Returns:
        the file; None where the package was installed without its benchmarks.

    Raises:
        ChildProcessError: a benchmark failed.
    """
    folder = ROOT / "benchmarks" / "speed"
    if not folder.exists():
        say(f"no benchmarks: {folder} is not there")
        return None
    told = []
    for script, *options in _SMALL_BENCHMARKS if small else _BENCHMARKS:
        command = [sys.executable, str(folder / script), "--device", device, *options]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
        if done.returncode:
            raise ChildProcessError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
        told.append(f"$ {script} {' '.join(options)}\n{done.stdout}")
        say(told[-1])
    output.mkdir(parents=True, exist_ok=True)
    file = output / "benchmarks.txt"
    write_atomically(file, lambda stream: stream.write("\n".join(told).encode()))
    return file
