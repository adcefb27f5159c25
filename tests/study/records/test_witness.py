"""Today's code against the witnesses that records name, and what telling two tables apart means."""

import numpy as np
import pandas as pd
import pytest

from ntkif.study.experiments.catalogue import EXPERIMENTS
from ntkif.study.experiments.experiment import Column, Experiment
from ntkif.study.records.tables import FOLDER
from ntkif.study.records.witness import compare_tables, difference, kinds_of, read_witness, witness_table, write_witness

EVERY = [(name, kind) for name, known in EXPERIMENTS.items() for kind in kinds_of(known)]


@pytest.mark.parametrize(("name", "kind"), EVERY, ids=map("-".join, EVERY))
def test_todays_code_gives_the_witness(name, kind):
    known = EXPERIMENTS[name]
    assert difference(known, kind, witness_table(known, kind), FOLDER / name) is None


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_witness_column_is_declared_and_every_value_is_measured(name):
    """No column is left to chance: not a clock by default, and no noise whose ceiling would let a value pass."""
    known = EXPERIMENTS[name]
    for kind in kinds_of(known):
        table, made = read_witness(known, kind, FOLDER / name)
        assert compare_tables(table, table, known.columns, whole=True)[0] == []
        assert {"commit", "versions", "device", "pixels", "settings"} <= set(made)
    ceiling = 1e-4 if known.name == "shifted-mnist" else 1e-5  # there one row of a million is left out
    assert all(column.bound <= ceiling for column in known.columns.values() if column.kind == "noise")
    assert set(known.witness) == set(next(iter(known.settings.values())))


COLUMNS = {
    "kind": Column.key("which"),
    "at": Column.key("when"),
    "count": Column.value("how many"),
    "size": Column.value("how large"),
    "top_*": Column.value("share"),
    "residual": Column.noise("rounding", 1e-9),
    "seconds": Column.clock("wall time"),
}


TABLE = pd.DataFrame(
    {
        "kind": ["a", "a", "7"],
        "at": [0.1, 1.0, 1.0],
        "count": [3, 4, 5],
        "size": [1e-3, -2.0, np.nan],
        "top_10": [0.5, 0.25, 1.0],
        "residual": [1e-12, 0.0, 3e-10],
        "seconds": [1.0, 2.0, 3.0],
    }
)


def changed(column, row, entry):
    table = TABLE.copy()
    table.loc[row, column] = entry
    return table


@pytest.mark.parametrize(
    "found",
    [
        TABLE,
        TABLE.iloc[::-1],
        changed("size", 0, 1e-3 + 1.9e-6),  # less than a millionth of the largest
        changed("at", 0, 0.1 + 1e-12),
        changed("residual", 0, -9e-10),
        changed("seconds", 0, 100.0),
    ],
)
def test_tables_that_agree(found):
    told, largest = compare_tables(TABLE, found, COLUMNS, whole=True)
    assert told == [] and largest <= 1e-6
    assert compare_tables(TABLE, found.iloc[1:], COLUMNS)[0] == []


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (changed("size", 0, 1e-3 + 2.1e-6), "size: differs by 1.1e-06 of the largest, more than 1e-06"),
        (changed("size", 2, 1.0), "size: NaN where there was a number, or a number where there was NaN"),
        (changed("size", 1, np.nan), "size: NaN where there was a number, or a number where there was NaN"),
        (changed("size", 1, np.inf), "size: differs by inf"),
        (changed("count", 1, 5), "count: 1 of 3 differ, the first 5 where 4 was"),
        (changed("top_10", 1, 0.26), "top_10: differs by 1.0e-02"),
        (changed("residual", 1, 2e-9), "residual: 2.0e-09 where rounding leaves 1e-09 at most"),
        (changed("residual", 1, np.nan), "residual: nan where rounding leaves 1e-09 at most"),
        (changed("at", 0, 0.1001), "other rows, by kind, at: 3 where 3 were"),
        (changed("kind", 0, "b"), "other rows, by kind, at: 3 where 3 were"),
        (changed("at", 0, 1.0), "rows that kind, at do not tell apart"),
        (TABLE.iloc[1:], "other rows, by kind, at: 2 where 3 were"),
        (TABLE.assign(more=1.0), "columns that are not declared, or that the stored table lacks: more"),
        (TABLE.drop(columns="count"), "columns of the stored table that are not there any more: count"),
    ],
)
def test_tables_that_differ(found, words):
    (told,), largest = compare_tables(TABLE, found, COLUMNS, whole=True)
    assert told.startswith(words) and (largest == np.inf or "differ" in told or "rounding" in told)


def test_a_slice_may_have_a_wider_tolerance_for_its_values_alone():
    off = changed("size", 0, 1e-3 + 1e-3)
    assert compare_tables(TABLE, off, COLUMNS, tolerance=1e-3)[0] == []
    assert compare_tables(TABLE, off, COLUMNS, tolerance=1e-4)[0][0].startswith("size: differs by 5.0e-04")
    assert compare_tables(TABLE, changed("residual", 0, 1e-6), COLUMNS, tolerance=1e-3)[0] != []


def test_a_witness_survives_its_file_and_says_how_it_differs(tmp_path):
    def function(dataset, factor):
        return TABLE.assign(size=factor * TABLE["size"], top_10=TABLE["top_10"] + 1 / 3)

    known = Experiment("made-up", function, {"mnist": {"factor": 1.0}}, {"factor": 2.0}, COLUMNS, {})
    write_witness(known, "two", witness_table(known, "two"), tmp_path)
    assert difference(known, "two", witness_table(known, "two"), tmp_path) is None
    wrong = difference(known, "two", function(None, 2.0001), tmp_path)
    assert wrong.startswith("the witness of made-up (two) differs: size: differs by 5.0e-05")
    assert "It was made with {'torch':" in wrong and "here are {'torch':" in wrong
    with pytest.raises(ValueError, match="other settings than the code asks for now"):
        read_witness(Experiment("made-up", function, {}, {"factor": 3.0}, COLUMNS, {}), "two", tmp_path)
    with pytest.raises(FileNotFoundError, match="not recorded yet"):
        read_witness(known, "ten", tmp_path)
