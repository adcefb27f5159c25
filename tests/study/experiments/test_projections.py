"""Experiments on projections at tiny size."""

import pytest

from ntkif.data import load
from ntkif.study.experiments.projections import large_network, projection_errors


def test_more_columns_err_less_and_enough_not_at_all():
    table = projection_errors(load("mini-mnist-sample"), 20, 10, (2, 3), [5.0], [16, 2000], [0, 1], 20)
    few, enough = (table[table["projections"] == p] for p in (16, 2000))
    assert (enough["relative_error"] < 1e-4).all() and (few["relative_error"] > 0.05).all()
    assert enough["projected_freedom"].to_numpy() == pytest.approx(enough["freedom"].to_numpy(), rel=1e-4)


def test_a_network_with_all_columns_is_checked_by_responses():
    table = large_network(load("mini-mnist-sample"), 60, 30.0, (2, 3), 3, [16, 2000], 10, 4, 0)
    assert table["kind"].tolist() == 2 * (["influential"] * 2 + ["drawn"] * 2)
    few, enough = (table[table["projections"] == p] for p in (16, 2000))
    assert (table["left"] < 1e-3).all() and (enough["parameters"] == 869).all()
    assert enough["relative_error"].iloc[0] < 0.3 < few["relative_error"].iloc[0]
    assert few["row"].tolist() == enough["row"].tolist()
