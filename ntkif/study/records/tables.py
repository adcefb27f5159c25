"""Results computed beforehand, at the paper's size: tables under `records/tables/`, each with how it was made.

`<experiment>/<dataset>.csv` holds a table, and `<experiment>/witness-<kind>.csv` the small one by which today's code
shows that it would give this table again; the `.json` beside each has its provenance.
"""

import io
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from ntkif.data import Dataset
from ntkif.data.samples import kind_of
from ntkif.provenance import ROOT, commit, machine, now, versions
from ntkif.store import add_note, read, status, write
from ntkif.study.experiments.catalogue import EXPERIMENTS, find, settings_of
from ntkif.study.experiments.experiment import Experiment
from ntkif.study.records.pixels import pack_image
from ntkif.study.records.record import Record, as_csv, provenance_of
from ntkif.study.records.witness import compare_tables, difference, witness_digest, witness_table, write_witness

__all__ = [
    "FOLDER",
    "Record",
    "expected_of",
    "load_record",
    "load_recorded",
    "record",
    "record_all",
    "record_file",
    "stale_reason",
    "verify_record",
    "witness_reason",
]

FOLDER = ROOT / "records" / "tables"


def record(experiment: str, dataset: Dataset, folder: Path = FOLDER, *, force: bool = False) -> tuple[Record, bool]:
    """Run an experiment on a data set and store its table, unless today's code reproduces the one that is stored.

    The witness comes first. If it is as stored, and settings, pixels and version are as recorded, nothing is made.
    A witness that differs is stored with the new record; those of other data sets of its kind are stale then. Each file
    is whole or not there; a table without its own provenance is refused by `load_record`.

    Args:
        experiment: a name of `EXPERIMENTS`.
        dataset: loaded image set; its device and dtype are those of the computation.
        folder: where records are kept.
        force: make the record whatever the witness says.

    Returns:
        the record, as stored, and whether it was made now.

    Raises:
        ValueError: an unknown experiment, or one that has no settings for this data set; or one that wants a GPU where
            there is none: its witness is stored all the same.
    """
    function, settings = settings_of(experiment, dataset.name)
    known, kind, made_by = find(experiment), kind_of(dataset.name), commit()  # the code may be edited meanwhile
    small = witness_table(known, kind)
    as_before = _witness_reason(known, kind, small, folder) is None
    expected = expected_of(known, dataset.name, folder) | {"pixels": dataset.digest}
    if not force and as_before and status(record_file(experiment, dataset.name, folder), expected, "") is None:
        return load_record(experiment, dataset.name, folder), False
    if known.device not in ("cpu", dataset.x_train.device.type):
        if not as_before:
            write_witness(known, kind, small, Path(folder) / experiment)
        raise ValueError(
            f"{experiment}: its witness ({kind}) is stored as today's code gives it. The record takes a GPU, where "
            f"`{_command(experiment, dataset.name)}` makes it a part at a time."
        )
    started, clock = now(), time.perf_counter()
    table = function(dataset, **settings)
    seconds = time.perf_counter() - clock
    _add_pixels(table, dataset)
    witness = expected["witness"] if as_before else write_witness(known, kind, small, Path(folder) / experiment)
    made = {"witness": witness, "commit": made_by, "started": started, "seconds": round(seconds, 1)}
    provenance = provenance_of(known, dataset, settings) | made
    write(record_file(experiment, dataset.name, folder), as_csv(table), provenance)
    return load_record(experiment, dataset.name, folder), True


def load_record(experiment: str, dataset: str, folder: Path = FOLDER) -> Record:
    """A stored record.

    Args:
        experiment: a name of `EXPERIMENTS`.
        dataset: name of the image set.
        folder: where records are kept.

    Returns:
        table and provenance.

    Raises:
        ValueError: an unknown name, or a table or provenance that was changed or is not the other's.
        FileNotFoundError: not recorded yet; gives the command that records it.
    """
    settings_of(experiment, dataset)
    content, provenance = read(record_file(experiment, dataset, folder), _command(experiment, dataset))
    return Record(pd.read_csv(io.BytesIO(content), dtype={"label": str, "run": str}), provenance)


def load_recorded(experiment: str, folder: Path = FOLDER) -> dict[str, Record]:
    """The records of an experiment that are there, by data set: of one that wants a GPU, perhaps none."""
    names = find(experiment).settings
    there = [name for name in names if record_file(experiment, name, folder).exists()]
    return {name: load_record(experiment, name, folder) for name in there}


def stale_reason(experiment: str, dataset: str, folder: Path = FOLDER) -> str | None:
    """Why a record has to be made again, with the command that does; None where it is whole and fresh.

    Fresh means: with the settings and the version as they are now, and with the witness that is stored. Whether today's
    code gives that witness is what `witness_reason` tells.
    """
    settings_of(experiment, dataset)
    expected = expected_of(find(experiment), dataset, folder)
    return status(record_file(experiment, dataset, folder), expected, _command(experiment, dataset))


def witness_reason(experiment: str, kind: str, folder: Path = FOLDER) -> str | None:
    """How the witness of an experiment, made by today's code, differs from the stored one; None if it does not."""
    return _witness_reason(find(experiment), kind, witness_table(find(experiment), kind), folder)


def verify_record(experiment: str, dataset: Dataset, folder: Path = FOLDER) -> dict:
    """Make a slice of a record again at full size, and note in its `.json` that it is reproduced.

    Args:
        experiment: a name of `EXPERIMENTS`.
        dataset: loaded image set; its device and dtype are those of the computation.
        folder: where records are kept.

    Returns:
        the note: commit, date, rows made again, largest difference of a value as a share of the largest of its column,
        device and versions.

    Raises:
        FileNotFoundError: not recorded yet.
        ValueError: the record was changed; or it is not reproduced, and the error says in which columns; or there is no
            slice that is small enough.
    """
    function, settings = settings_of(experiment, dataset.name)
    known, found = find(experiment), load_record(experiment, dataset.name, folder)
    if found.provenance["pixels"] != dataset.digest:
        raise ValueError(
            f"{dataset.name}: its pixels are not those of the record ({found.provenance['pixel_source']})."
        )
    if known.slice is None:
        raise ValueError(
            f"{experiment}: no part of it is small; `{_command(experiment, dataset.name)} --force` makes it again."
        )
    again = function(dataset, **settings | known.slice)
    differences, largest = compare_tables(found.table, again, known.columns, tolerance=known.slice_tolerance)
    if differences:
        raise ValueError(
            f"{experiment} on {dataset.name} is not reproduced: {'; '.join(differences)}. It was made with torch "
            f"{found.provenance['torch']} on {found.provenance['device']}; here are {versions()}."
        )
    where = machine(dataset.x_train.device)
    note = {"commit": commit(), "date": now(), "rows": len(again), "largest_difference": largest, **where}
    add_note(record_file(experiment, dataset.name, folder), _command(experiment, dataset.name), reproduced=note)
    return note


def record_all(
    load: Callable[[str], Dataset], folder: Path = FOLDER, report: Callable[[str], object] = print
) -> list[Record]:
    """Make every record that is missing or stale, one data set after the other, so that each is factorised once.

    All but those that want a GPU.

    All witnesses come first: where today's code gives another, the records of that kind are stale. Each record is kept
    as soon as it is made: killed and called again, this goes on with the next.

    Args:
        load: gives the data set of a name; called only for those with something to do.
        folder: where records are kept.
        report: hears of each record before and after it is made.

    Returns:
        the records that were made.
    """
    here = {title: known for title, known in EXPERIMENTS.items() if known.device == "cpu"}
    names = list(dict.fromkeys(name for known in here.values() for name in known.settings))
    every = [(name, title) for name in names for title, known in here.items() if name in known.settings]
    kinds = dict.fromkeys((title, kind_of(name)) for name, title in every)
    other = {each for each in kinds if witness_reason(*each, folder) is not None}
    stale = [
        (name, title)
        for name, title in every
        if (title, kind_of(name)) in other or stale_reason(title, name, folder) is not None
    ]
    report(f"{len(every)} records, {len(every) - len(stale)} of them fresh, {len(stale)} to make")
    made, dataset = [], None
    for place, (name, title) in enumerate(stale, start=1):
        if dataset is None or dataset.name != name:
            dataset = load(name)  # the one before goes, and with it what was solved on it
        report(f"[{place}/{len(stale)}] {title} on {name} ...")
        made.append(record(title, dataset, folder, force=True)[0])
        report(f"[{place}/{len(stale)}] {title} on {name}: {made[-1].provenance['seconds']:.0f} s")
    return made


def _add_pixels(table: pd.DataFrame, dataset: Dataset) -> None:
    """Of the images that rows are of, so that the record can be drawn without the data set."""
    if "row" in table:
        table["pixels"] = [pack_image(image) for image in dataset.images_train[table["row"]]]
    if "test_row" in table:  # once for each test image
        first = table["test_row"].drop_duplicates()
        packed = [pack_image(image) for image in dataset.images_test[first]]
        table["test_pixels"] = pd.Series(packed, index=first.index).reindex(table.index, fill_value="")


def record_file(experiment: str, dataset: str, folder: Path = FOLDER) -> Path:
    """Where a record's table is kept."""
    return Path(folder) / experiment / f"{dataset}.csv"


def _command(experiment: str, dataset: str) -> str:
    if find(experiment).device != "cpu":
        return "python -m ntkif gpu"
    return f"python -m ntkif record {experiment} {dataset}"


def expected_of(known: Experiment, dataset: str, folder: Path) -> dict:
    """What the provenance of a fresh record says of settings, version and witness."""
    digest = witness_digest(known, kind_of(dataset), Path(folder) / known.name)
    return {"settings": known.settings[dataset], "version": known.version, "witness": digest}


def _witness_reason(known: Experiment, kind: str, table: pd.DataFrame, folder: Path) -> str | None:
    try:
        return difference(known, kind, table, Path(folder) / known.name)
    except (FileNotFoundError, ValueError) as failure:  # none is stored, or one of other settings
        return str(failure)
