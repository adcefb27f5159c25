"""Fits at full size and of shifted images check their influences, here at tiny size."""

import pytest

from ntkif.data import load
from ntkif.study.experiments.size import full_fit, shifted_fit


def test_a_fit_of_shifted_images_checks_its_influences():
    table = shifted_fit(load("mini-mnist-sample").head(60, 20), 1.0, 30, 400, 10, 3, 0, 2, 2)
    assert len(table) == 3 and table["removed"].between(0, 399).all() and (table["deviation"] < 1e-8).all()
    assert table["leverage"].between(0, 1).all() and (table["norm"] > 0).all()
    assert 0.1 < table["worker_gib"].iloc[0] < 2 and table["rows_gib"].iloc[0] == 400 * 784 * 8 / 2**30


def test_more_rows_than_shifts_give_are_refused():
    with pytest.raises(ValueError, match="count: expected from 1 to 1500 rows with radius 2, got 1501"):
        shifted_fit(load("mini-mnist-sample").head(60, 20), 1.0, 10, 1501, 10, 3, 0, 2, 2)


def test_the_experiment_checks_the_exact_influence():
    data = load("mini-mnist-sample").head(120, 40)
    table = full_fit(data, 2.0, 30, 6, 0)
    assert table["kind"].tolist() == ["influential"] * 3 + ["drawn"] * 3 and table["row"].is_unique
    assert (table[["deviation", "influence_deviation"]] < 1e-9).all(axis=None) and (table["residual"] < 1e-12).all()
    assert table["norm"].iloc[:3].is_monotonic_decreasing and table["norm"].iloc[0] >= table["norm"].max()
    assert (table["fit_seconds"] > 0).all() and table["peak_gib"].iloc[0] > 0.1
    assert 0 < table["slope"].iloc[0] < 1  # IHVP understates
