"""What the book wants from a GPU, in order of worth, as much of it as the minutes allow.

Runs at the paper's size take seconds to minutes on a card, and hours without; trainings of larger networks likewise.
Where a card is at hand for a quarter of an hour only, on a machine that gives back few files, this makes what is
missing, packs it, and takes it in at home.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ntkif.provenance import device_name
from ntkif.retraining.protocol import Retraining
from ntkif.study.records.gpu_runs import Job, plan, small_plan
from ntkif.study.records.gpu_speed import MEASURING, measure
from ntkif.study.records.gpu_trainings import Training, small_trainings, trainings
from ntkif.study.records.packed import pack
from ntkif.study.records.record import Record

__all__ = ["announce", "make_all", "work_through"]

Wanted = Job | Training


def make_all(
    seconds: float,
    work: Path,
    output: Path,
    *,
    device: str,
    small: bool = False,
    benchmarks: bool = True,
    say: Callable[[str], object] = print,
) -> str:
    """Runs, then the benchmarks, then trainings, as far as the time goes.

    Args:
        seconds: that there are.
        work: where all is made.
        output: where it is packed.
        device: cpu or cuda.
        small: whether all of it at tiny size.
        benchmarks: whether to measure speed too.
        say: takes a line for each.

    Returns:
        what was done.
    """
    clock = time.perf_counter()
    announce(say)
    runs, others = (small_plan(), small_trainings()) if small else (plan(), trainings())

    def left() -> float:
        return seconds - (time.perf_counter() - clock)

    made = len(list(work_through(runs, left(), work, output, device=device, say=say)))
    if benchmarks and left() > MEASURING:
        measure(output, device, small=small, say=say)
    trained = len(list(work_through(others, left(), work, output, device=device, say=say)))
    done = f"{made} of {len(runs)} runs and {trained} of {len(others)} trainings made"
    return f"{done} in {time.perf_counter() - clock:.0f} s"


def announce(say: Callable[[str], object] = print) -> None:
    """Say what is wanted, in order, and how long each takes on a card, as first guessed."""
    for title, jobs in (("runs", plan()), ("then trainings", trainings())):
        guessed = [job.seconds("cuda") for job in jobs]
        say(f"wanted, {title}, about {sum(guessed) / 60:.0f} min on an H100 or H200:")
        for number, (job, each) in enumerate(zip(jobs, guessed, strict=True), 1):
            say(f"  {number}. {job}: about {each:.0f} s")


def work_through(
    jobs: Sequence[Wanted],
    seconds: float,
    work: Path,
    output: Path,
    *,
    device: str,
    records: Path | None = None,
    say: Callable[[str], object] = print,
) -> Iterator[tuple[Wanted, Retraining | Record]]:
    """Make what is missing, in order, where it can be finished in time; one that was broken off goes on.

    Args:
        jobs: what is wanted, see `plan` and `trainings`.
        seconds: that there are.
        work: where they are made.
        output: where they are packed, after each.
        device: cpu or cuda.
        records: where finished ones are kept, if not where the book keeps them.
        say: takes a line for each job.

    Yields:
        jobs that were finished, with their runs or parts.

    Raises:
        OSError: a folder cannot be written.
    """
    clock, speed, loaded = time.perf_counter(), None, {}
    kept = () if records is None else (records,)
    for job in jobs:
        if job.images not in loaded:
            loaded = {job.images: job.load(device)}  # one at a time
        dataset, spent = loaded[job.images], time.perf_counter() - clock
        if job.made(dataset, work, *kept):
            say(f"[{spent:5.0f} s] {job}: made before")
            continue
        needed = job.seconds(device, speed)
        if spent + needed > seconds:
            say(f"[{spent:5.0f} s] {job}: needs about {needed:.0f} s, no time")
            continue
        found, took, said = job.make(dataset, work)
        speed = job.speed(device, took, speed)
        where = device_name(dataset.x_train.device)
        say(f"[{time.perf_counter() - clock:5.0f} s] {job}: {said} on {where}")
        pack(work, output)
        yield job, found
