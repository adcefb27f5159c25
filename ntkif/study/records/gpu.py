"""What the book wants from a GPU, in order of worth, as much of it as the minutes allow.

Runs at the paper's size take seconds to minutes on a card, and hours without; trainings of larger networks likewise.
Where a card is at hand for a quarter of an hour only, on a machine that gives back few files, this makes what is
missing, packs it, and takes it in at home.
"""

import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from ntkif.data import Dataset
from ntkif.provenance import device_name
from ntkif.study.records.gpu_runs import Job, plan, small_plan
from ntkif.study.records.gpu_speed import Benchmark, benchmarks, small_benchmarks
from ntkif.study.records.gpu_trainings import Training, small_trainings, trainings
from ntkif.study.records.packed import pack

__all__ = ["announce", "make_all", "wanted", "work_through"]

Wanted = Job | Benchmark | Training
_KINDS = {Job: "runs", Benchmark: "benchmarks", Training: "trainings"}
_FIRST_RUNS, _FIRST_TRAININGS = 4, 2  # the digits of Table 1; enough to tell what a training takes on a card


def make_all(
    seconds: float,
    work: Path,
    output: Path,
    *,
    device: str,
    small: bool = False,
    speed: bool = True,
    say: Callable[[str], object] = print,
) -> str:
    """What is wanted, in order, as far as the time goes; one that fails does not keep the others.

    Args:
        seconds: that there are.
        work: where all is made.
        output: where it is packed.
        device: cpu or cuda.
        small: whether all of it at tiny size.
        speed: whether to measure speed too.
        say: takes a line for each.

    Returns:
        what was done.

    Raises:
        ChildProcessError: some failed; the others were made and packed.
        OSError: a folder cannot be written.
    """
    clock, jobs = time.perf_counter(), wanted(device, small=small, speed=speed)
    announce(wanted("cuda", speed=speed), say)
    made, failed = Counter(), []
    for job, found in work_through(jobs, seconds, work, output, device=device, say=say):
        if isinstance(found, Exception):
            failed.append(job)
        else:
            made[type(job)] += 1
    of_all = Counter(map(type, jobs))
    counted = ", ".join(f"{made[kind]} of {of_all[kind]} {name}" for kind, name in _KINDS.items() if of_all[kind])
    done = f"{counted} made in {time.perf_counter() - clock:.0f} s"
    if failed:
        raise ChildProcessError(f"{done}; {len(failed)} failed: {'; '.join(map(str, failed))}.")
    return done


def wanted(device: str, *, small: bool = False, speed: bool = True) -> list[Wanted]:
    """All of it, the most wanted first.

    The digits of Table 1; then speed and two trainings, of which a card has told nothing yet; the other runs; the
    other trainings.
    """
    runs, others = (small_plan(), small_trainings()) if small else (plan(), trainings())
    measured = (small_benchmarks if small else benchmarks)(device) if speed else []
    first = [*runs[:_FIRST_RUNS], *measured, *others[:_FIRST_TRAININGS]]
    return [*first, *runs[_FIRST_RUNS:], *others[_FIRST_TRAININGS:]]


def announce(jobs: Sequence[Wanted], say: Callable[[str], object] = print) -> None:
    """Say what is wanted, in order, and how long each takes on a card, as first guessed."""
    guessed = [job.seconds("cuda") for job in jobs]
    say(f"wanted, about {sum(guessed) / 60:.0f} min on an H100 or H200:")
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
) -> Iterator[tuple[Wanted, Any]]:
    """Make what is missing, in order, where it can be finished in time; one that was broken off goes on.

    Args:
        jobs: what is wanted, see `wanted`.
        seconds: that there are.
        work: where they are made.
        output: where they are packed, after each.
        device: cpu or cuda.
        records: where finished ones are kept, if not where the book keeps them.
        say: takes a line for each job.

    Yields:
        jobs that were tried, with what was made, or with the error that it ended in.

    Raises:
        OSError: a folder cannot be written.
    """
    clock, speed, loaded = time.perf_counter(), {}, {}
    kept = () if records is None else (records,)
    where = device_name(torch.device(device))

    def told(job: Wanted, what: str) -> None:
        say(f"[{time.perf_counter() - clock:5.0f} s] {job}: {what}")

    for job in jobs:
        if job.images not in loaded:
            try:
                loaded = {job.images: job.load(device)}  # one at a time
            except (OSError, ValueError) as failure:  # images that are not there keep no other from being made
                told(job, f"FAILED, {failure}")
                yield job, failure
                continue
        dataset = loaded[job.images]
        if job.made(dataset, work, *kept):
            told(job, "made before")
            continue
        needed = job.seconds(device, speed.get(type(job)))
        if time.perf_counter() - clock + needed > seconds:
            told(job, f"needs about {needed:.0f} s, no time")
            continue
        found, took, said = _tried(job, dataset, work)
        told(job, said if took is None else f"{said} on {where}")
        _give_back(device)
        if took is not None:
            speed[type(job)] = job.speed(device, took, speed.get(type(job)))
            pack(work, output)
        yield job, found


def _tried(job: Wanted, dataset: Dataset | None, work: Path) -> tuple[Any, float | None, str]:
    """What a job makes, its seconds, and what there is to say of it; of one that fails the error, and no seconds."""
    try:
        return job.make(dataset, work)
    except Exception as failure:  # there may be one chance: the others go on
        if isinstance(failure, OSError) and not isinstance(failure, ChildProcessError):
            raise  # but where a folder cannot be written
        said = f"FAILED, {type(failure).__name__}: {failure}\n{traceback.format_exc()}"
        failure.__traceback__ = failure.__context__ = failure.__cause__ = None  # which hold what the job had made
        return failure, None, said


def _give_back(device: str) -> None:
    """Memory of a card that one job held, and the next one, or another process, may want."""
    if device.startswith("cuda"):
        torch.cuda.empty_cache()
