"""Records that take a GPU, made a part at a time: one training of one case with one seed.

A part is kept as a small table with its provenance, `<experiment>/<dataset>/<case>-<seed>.csv` and `.json`, where it is
made, and joined to the record of its data set at home. The record may hold some of its parts; its provenance names
them, with the machine and the commit of each.
"""

import io
import re
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ntkif.data import Dataset
from ntkif.data.samples import kind_of
from ntkif.data.sets import published_digest
from ntkif.provenance import commit, now
from ntkif.store import changed, digest_of, read, status, write
from ntkif.study.experiments.catalogue import find, settings_of
from ntkif.study.experiments.experiment import Experiment
from ntkif.study.records.record import Record, as_csv, provenance_of
from ntkif.study.records.tables import FOLDER, expected_of, load_record, record_file
from ntkif.study.records.witness import witness_digest

__all__ = ["Part", "join_parts", "keep_part", "load_part", "part_made", "parts_of"]

_COMMAND = "python -m ntkif gpu"
_OF_PART = ("device", "torch", "versions", "commit", "started", "seconds")  # what the record says of each


@dataclass(frozen=True)
class Part:
    """One case with one seed of an experiment whose settings have cases and seeds.

    Attributes:
        experiment: its name.
        dataset: name of the image set.
        settings: of the experiment's function, with one case and one seed.
    """

    experiment: str
    dataset: str
    settings: dict

    @property
    def key(self) -> tuple[str, int]:
        """Case and seed."""
        return self.settings["cases"][0]["name"], self.settings["seeds"][0]

    def __str__(self) -> str:
        return f"{self.dataset} {self.key[0]}, seed {self.key[1]}"

    def file(self, folder: Path) -> Path:
        """Its table under a folder."""
        name = re.sub("[^a-z0-9]+", "-", self.key[0].lower())
        return Path(folder) / self.experiment / self.dataset / f"{name}-{self.key[1]}.csv"


def parts_of(experiment: str, dataset: str) -> list[Part]:
    """All parts of a record, in its order."""
    _, settings = settings_of(experiment, dataset)
    pairs = [(case, seed) for case in settings["cases"] for seed in settings["seeds"]]
    return [Part(experiment, dataset, settings | {"cases": [case], "seeds": [seed]}) for case, seed in pairs]


def part_made(part: Part, work: Path, records: Path = FOLDER) -> bool:
    """Whether a part is in the record at home, or in a folder, with the settings and the witness as they are now."""
    if status(part.file(work), _expected(part, records), _COMMAND) is None:
        return True
    return part.key in _keys(find(part.experiment), part.dataset, records)


def keep_part(part: Part, dataset: Dataset, work: Path, records: Path = FOLDER) -> Record:
    """Make a part, and keep it under a folder; where its recording was broken off, it goes on.

    Args:
        part: what to make.
        dataset: its images; their device trains.
        work: where the part is kept, and the recording meanwhile.
        records: whose witness it names.

    Returns:
        the part as it is stored.

    Raises:
        OSError: the folder cannot be written.
    """
    known, made_by, started, clock = find(part.experiment), commit(), now(), time.perf_counter()
    told = provenance_of(known, dataset, part.settings) | {"dataset": part.dataset}
    told |= {"witness": _expected(part, records)["witness"], "commit": made_by}
    recording = Path(work) / "recordings" / digest_of(told)[:16]  # another machine's or code's is not gone on with
    table = known.function(dataset, **part.settings, folder=recording)
    told |= {"started": started, "seconds": round(time.perf_counter() - clock, 1)}
    write(part.file(work), as_csv(table), told)
    shutil.rmtree(recording, ignore_errors=True)
    return load_part(part.file(work))


def load_part(file: Path) -> Record:
    """A stored part.

    Raises:
        FileNotFoundError, ValueError: it is not there, or was changed.
    """
    content, provenance = read(file, _COMMAND)
    return Record(pd.read_csv(io.BytesIO(content)), provenance)


def join_parts(files: Sequence[Path], records: Path = FOLDER) -> list[Path]:
    """Add parts to the records that they are of; one that a record has already is left as it is.

    All are read and checked before anything is written.

    Args:
        files: of the parts.
        records: where records are kept.

    Returns:
        the records that have more than before.

    Raises:
        ValueError: a part is damaged, or not of today's settings, witness or pixels; or the record is damaged or stale.
    """
    found: dict[tuple[str, str], dict] = {}
    for file in files:
        part = load_part(file)
        name = part.provenance["experiment"], part.provenance["dataset"]
        place = _place(part, file, records)
        if place.key not in _keys(find(name[0]), name[1], records):
            found.setdefault(name, {}).setdefault(place.key, part)
    return [_joined(*name, parts, records) for name, parts in found.items()]


def _place(found: Record, file: Path, records: Path) -> Part:
    """The part that a stored one is, of today's.

    Raises:
        ValueError: it is none of them.
    """
    told = found.provenance
    for part in parts_of(told["experiment"], told["dataset"]):
        if part.key == (told["settings"]["cases"][0]["name"], told["settings"]["seeds"][0]):
            expected = _expected(part, records) | {"pixels": published_digest(part.dataset)}
            if other := changed(told, expected):
                raise ValueError(f"{file}: made with other {' and '.join(other)} than today's; make it again.")
            return part
    raise ValueError(f"{file}: {told['experiment']} has no such case and seed on {told['dataset']} any more.")


def _joined(experiment: str, dataset: str, parts: dict[tuple, Record], records: Path) -> Path:
    """The record with these parts too, written; the provenance of the last that was made, and which it holds."""
    file, known = record_file(experiment, dataset, records), find(experiment)
    before = [load_record(experiment, dataset, records)] if file.exists() else []
    told = [part for each in before for part in each.provenance["parts"]]
    told += [
        {"case": case, "seed": seed} | {name: part.provenance[name] for name in _OF_PART}
        for (case, seed), part in parts.items()
    ]
    order = {part.key: place for place, part in enumerate(parts_of(experiment, dataset))}
    told.sort(key=lambda each: order[each["case"], each["seed"]])
    table = pd.concat([each.table for each in (*before, *parts.values())])
    places = [order[key] for key in zip(table["case"], table["seed"], strict=True)]
    table = table.assign(place=places).sort_values("place", kind="stable").drop(columns="place")
    last = max(told, key=lambda each: each["started"])
    whole = next(iter(parts.values())).provenance | {name: last[name] for name in _OF_PART}
    whole |= expected_of(known, dataset, records) | {"seconds": round(sum(each["seconds"] for each in told), 1)}
    whole |= {"device": ", ".join(sorted({each["device"] for each in told})), "parts": told}
    write(file, as_csv(table), whole)
    return file


def _expected(part: Part, records: Path) -> dict:
    """What the provenance of a fresh part says."""
    known = find(part.experiment)
    digest = witness_digest(known, kind_of(part.dataset), Path(records) / known.name)
    return {"settings": part.settings, "version": known.version, "witness": digest}


def _keys(known: Experiment, dataset: str, records: Path) -> set[tuple[str, int]]:
    """Cases and seeds in the record at home, none where there is no record.

    Raises:
        ValueError: it is damaged or stale.
    """
    file = record_file(known.name, dataset, records)
    if dataset not in known.settings or not file.exists():
        return set()
    if reason := status(file, expected_of(known, dataset, records), _COMMAND):
        raise ValueError(f"{reason} To begin anew, delete the record; its parts are made again.")
    table = load_record(known.name, dataset, records).table
    return set(zip(table["case"], table["seed"], strict=True))
