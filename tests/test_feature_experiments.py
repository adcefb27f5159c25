"""Experiments on features, at tiny size."""

import pytest

from ntkif.data import load
from ntkif.study.experiments.features import feature_errors
from ntkif.study.experiments.size import shifted_fit


def test_the_error_falls_to_zero_with_the_features():
    table = feature_errors(load("mini-mnist-sample").head(150, 40), 1.0, [20, 75, 150], [0, 1])
    errors = table.groupby("features")["relative_error"].max()
    assert errors.is_monotonic_decreasing and errors[150] < 1e-8 < 0.1 < errors[75]
    last = table[table["features"] == 150]
    assert (last["test_error"] == last["exact_test_error"]).all() and (table["seconds"] > 0).all()
    assert table.groupby("seed").size().tolist() == [3, 3]


def test_a_fit_of_shifted_images_checks_its_influences():
    table = shifted_fit(load("mini-mnist-sample").head(60, 20), 1.0, 30, 400, 10, 3, 0, 2, 2)
    assert len(table) == 3 and table["removed"].between(0, 399).all() and (table["deviation"] < 1e-8).all()
    assert table["leverage"].between(0, 1).all() and (table["norm"] > 0).all()
    assert 0.1 < table["worker_gib"].iloc[0] < 2 and table["rows_gib"].iloc[0] == 400 * 784 * 8 / 2**30


def test_more_rows_than_shifts_give_are_refused():
    with pytest.raises(ValueError, match="count: expected from 1 to 1500 rows with radius 2, got 1501"):
        shifted_fit(load("mini-mnist-sample").head(60, 20), 1.0, 10, 1501, 10, 3, 0, 2, 2)
