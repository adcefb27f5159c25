"""`missed_` against the error that it stands for, at tiny size."""

import pytest

from ntkif.data import load
from ntkif.study.experiments.landmarks import landmark_errors


@pytest.fixture(scope="module")
def table():
    return landmark_errors(load("mini-mnist-sample").head(120, 30), [0.1, 4.0], [12, 60, 120], [0, 1], 20, 5)


def test_all_points_as_landmarks_miss_nothing(table):
    every = table[table["landmarks"] == 120]
    assert (every["relative_error"] < 1e-6).all() and (every["missed"] < 1e-6).all()
    assert every["freedom"].to_numpy() == pytest.approx(every["exact_freedom"].to_numpy(), rel=1e-8)


def test_what_is_missed_bounds_the_freedom_outside(table):
    assert ((1 - table["freedom"] / table["exact_freedom"]) <= table["missed"] + 1e-9).all()
    few = table[table["landmarks"] == 12]
    assert (few["missed"] > 0.3).all() and (few["freedom"] < few["exact_freedom"]).all()


def test_errors_fall_with_landmarks_and_so_does_what_is_missed(table):
    by_number = table.groupby(["ridge", "landmarks"])[["relative_error", "missed"]].mean()
    for _, rows in by_number.groupby("ridge"):
        assert (rows.diff().iloc[1:] < 0).all(axis=None)
    assert table.groupby("ridge")["missed"].mean().is_monotonic_decreasing
