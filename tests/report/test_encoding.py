"""Columns as numbers, and what a target asks for."""

import numpy as np
import pandas as pd
import pytest
from report_source import write_images, write_table

from ntkif.report.encoding import encode_columns, points_of, target_of, task_of
from ntkif.report.sources import read_source


def test_columns_become_numbers_and_all_is_said():
    columns = pd.DataFrame(
        {
            "number": [1.0, 3.0, np.nan, 5.0],
            "day": pd.to_datetime(["2020-01-01", "2020-01-03", None, "2020-01-05"]),
            "text": ["a", None, "b", "a"],
            "truth": [True, False, True, True],
            "same": 7,
            "void": np.nan,
        }
    )
    x, notes = encode_columns(columns)
    assert x[:, 0] == pytest.approx([-(1.5**0.5), 0, 0, 1.5**0.5])
    assert x[:, 1] == pytest.approx(x[:, 0])
    assert x[:, 2:5].tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]]
    assert x[:, 5:].tolist() == [[1, 0], [0, 1], [1, 0], [1, 0]]
    assert notes == [
        "Numbers were standardised, mean 0 and deviation 1: number, day.",
        "Missing numbers were set to the mean of their column: number (1), day (1).",
        "Texts became a column of zeros and ones for each value, missing ones too: text, truth.",
        "Left out, since all rows have the same: same, void.",
    ]


def test_texts_with_many_values_are_left_out():
    x, notes = encode_columns(pd.DataFrame({"id": [f"n{i}" for i in range(51)], "a": range(51)}))
    assert x.shape == (51, 1) and notes[-1] == "Left out, texts with more than 50 values: id."


@pytest.mark.parametrize("scale", [1e-300, 1e200, 2.0**1020])
def test_very_large_and_very_small_numbers_are_standardised(scale):
    column = np.array([1.0, -3.0, np.nan, 5.0, 7.5])
    found, wanted = (encode_columns(pd.DataFrame({"a": column * by}))[0] for by in (scale, 1.0))
    assert found == pytest.approx(wanted, rel=1e-12)


def test_points_of_tables_and_images(tmp_path):
    table = read_source(write_table(tmp_path), "kind")
    assert points_of(table)[0].shape == (60, 3 + 2 + 1)
    images = read_source(write_images(tmp_path))
    assert points_of(images)[0].tolist() == images.images.reshape(24, -1).tolist()


@pytest.mark.parametrize(
    ("y", "task"),
    [
        (["a", "b"], "classification"),
        ([True, False], "classification"),
        ([0, 1, 7], "classification"),
        ([0.0, 1.0, 7.0], "classification"),
        ([0.5, 1.0], "regression"),
        (list(range(21)), "regression"),
        (list(range(20)), "classification"),
    ],
)
def test_the_task_follows_the_target(y, task):
    y = np.array(y)
    assert task_of(y) == task
    assert task_of(y, "regression") == "regression"


def test_targets_as_the_estimators_take_them():
    assert target_of(np.array([1.0, 2.0, 1.0, 2.0]), "classification", "y").dtype == np.int64
    assert target_of(np.array(["a", "b"] * 2, dtype=object), "classification", "y").dtype.kind == "U"
    assert target_of(np.array([3, 4]), "regression", "y").dtype == np.float64
    assert target_of(np.array([1e19, 2e19] * 2), "classification", "y").tolist() == ["1e+19", "2e+19"] * 2
    assert target_of(np.array([0.5, 1.0] * 2), "classification", "y").tolist() == ["0.5", "1.0"] * 2


@pytest.mark.parametrize(
    ("y", "task", "message"),
    [
        (["a", "a"], "classification", "y: expected at least two classes, got one, a"),
        (["a", "b", "c"], "classification", "got 3 different ones in 3 rows"),
        (["1", "x"], "regression", "y: expected numbers for regression, got '1'|y: expected numbers for regression"),
        ([2.0, 2.0], "regression", "finite numbers that are not all equal"),
        ([2.0, np.inf], "regression", "finite numbers that are not all equal"),
        ([2j, 2.0], "regression", "y: expected labels or real numbers, got complex128"),
        ([2j, 2.0], "classification", "y: expected labels or real numbers, got complex128"),
    ],
)
def test_targets_that_are_refused(y, task, message):
    with pytest.raises(ValueError, match=message):
        target_of(np.array(y), task, "y")


def test_columns_that_are_refused():
    with pytest.raises(ValueError, match="a: expected finite numbers, got inf"):
        encode_columns(pd.DataFrame({"a": [1.0, np.inf]}))
    with pytest.raises(ValueError, match="a: expected real numbers, got complex128"):
        encode_columns(pd.DataFrame({"a": [1.0, 2j]}))
    with pytest.raises(ValueError, match=r"a column beside the target that says something, got \['a'\]"):
        encode_columns(pd.DataFrame({"a": [1, 1]}))
    with pytest.raises(ValueError, match=r"a: expected numbers, dates or texts, got \[1\]; drop the column"):
        encode_columns(pd.DataFrame({"a": [[1], [2]]}))
    with pytest.raises(ValueError, match="--task: expected classification or regression, got both"):
        task_of(np.zeros(2), "both")


@pytest.mark.parametrize("unit", [1e160, 1e-170])
def test_numbers_whose_squares_cannot_be_summed_are_refused(unit):
    with pytest.raises(ValueError, match=r"y: expected numbers whose squares can be summed, .* in another unit"):
        target_of(unit * np.array([1.0, 2.0, 4.0]), "regression", "y")
