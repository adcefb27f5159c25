"""Whether stored results still come out: slices of records at full size, and the first networks of runs."""

import random
from collections.abc import Callable, Sequence
from pathlib import Path

from ntkif.data import Dataset
from ntkif.data.samples import KINDS
from ntkif.provenance import ROOT, commit, versions
from ntkif.retraining import runs
from ntkif.retraining.witness import dataset_of, verify_run, witness_difference
from ntkif.study.experiments.catalogue import EXPERIMENTS, settings_of
from ntkif.study.records import tables as records
from ntkif.study.records.tools import OWN_ANSWER
from ntkif.study.records.witness import difference, kinds_of, witness_table

__all__ = ["everything", "named", "sample", "verify", "witnesses"]

_DEAR = 300  # seconds of one training, above which its first fifty epochs have to do


def witnesses(device: str = "cpu", report: Callable[[str], object] = print) -> str:
    """Make all witnesses and compare them, as after an upgrade, or on another machine or device.

    Args:
        device: of the tables; the runs of retraining stay on the CPU.
        report: hears of each.

    Returns:
        how many agree.

    Raises:
        ValueError: some do not; the error says how they differ.
    """
    every = {
        f"{title}, {kind}": (known, kind, records.FOLDER / title)
        for title, known in EXPERIMENTS.items()
        for kind in kinds_of(known)
    }
    every["own answer, two"] = OWN_ANSWER, "two", ROOT / "records" / "tools"
    reasons = {}
    for name, (known, kind, folder) in every.items():
        reasons[name] = difference(known, kind, witness_table(known, kind, device), folder)
        report(f"{name}: {'differs' if reasons[name] else 'agrees'}")
    for kind in KINDS:
        reasons[f"runs, {kind}"] = witness_difference(kind)
        report(f"runs, {kind}: {'differs' if reasons[f'runs, {kind}'] else 'agrees'}")
    if failed := list(filter(None, reasons.values())):
        raise ValueError("\n".join(failed))
    return f"{len(reasons)} witnesses agree with those that the records name; here are {versions()}"


def everything() -> list[tuple[str, str]]:
    """All that can be verified: pairs of an experiment, or the path of a run under `runs.FOLDER`, and a data set."""
    pairs = [
        (name, title) for title, known in EXPERIMENTS.items() if known.slice is not None for name in known.settings
    ]
    pairs += [(dataset_of(Path(path)), path) for path in _runs()]
    return [(title, name) for name, title in sorted(pairs)]


def named(experiment: str, dataset: str) -> list[tuple[str, str]]:
    """A record, or all runs on a data set where the experiment is called `runs`.

    Raises:
        ValueError: there is no such experiment or run.
    """
    if experiment != "runs":
        settings_of(experiment, dataset)
        return [(experiment, dataset)]
    if not (found := [(path, dataset) for path in _runs() if dataset_of(Path(path)) == dataset]):
        raise ValueError(
            f"runs: none on {dataset} in {runs.FOLDER}; they are on {sorted(set(map(dataset_of, map(Path, _runs()))))}."
        )
    return found


def sample(count: int, seed: str | None = None) -> list[tuple[str, str]]:
    """Some of `everything`, chosen by the commit, so that many commits together verify all.

    Args:
        count: how many; all, where there are no more.
        seed: in place of the commit.
    """
    every = everything()
    return sorted(random.Random(seed or commit()).sample(every, min(count, len(every))), key=lambda each: each[::-1])


def verify(
    wanted: Sequence[tuple[str, str]], load: Callable[[str], Dataset], report: Callable[[str], object] = print
) -> str:
    """Verify one after the other; each that is reproduced says so in its `.json`.

    Args:
        wanted: of `everything`.
        load: gives the data set of a name.
        report: hears of each.

    Returns:
        how many were reproduced.

    Raises:
        ValueError: some were not; the error has the reasons. The others were verified all the same.
    """
    failed, dataset = [], None
    for title, name in wanted:
        if dataset is None or dataset.name != name:
            dataset = load(name)
        try:
            report(f"{title} on {name}: reproduced, {_verify_one(title, dataset)}")
        except (ValueError, FileNotFoundError) as failure:
            failed.append(str(failure))
            report(f"{title} on {name}: NOT reproduced")
    if failed:
        raise ValueError("\n".join(failed))
    return f"{len(wanted)} reproduced"


def _verify_one(title: str, dataset: Dataset) -> str:
    if title in EXPERIMENTS:
        note = records.verify_record(title, dataset)
        return f"{note['rows']} rows within {note['largest_difference']:.0e} of the largest"
    run = runs.load_run(file := runs.FOLDER / title)
    one = run.seconds / len(run.predictions)
    dear = one > _DEAR or not run.provenance["device"].startswith("CPU")
    note = verify_run(file, dataset, beginning=dear).provenance["reproduced"]
    return ", ".join(f"{name} at {share:.2g} of what is allowed" for name, share in note["share_of_tolerance"].items())


def _runs() -> list[str]:
    return [
        str(f.relative_to(runs.FOLDER)) for f in sorted(runs.FOLDER.glob("*/*.npz")) if "witness" not in f.parent.name
    ]
