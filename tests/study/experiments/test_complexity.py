"""Experiments on complexity: each column from its definition, at small size."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import spearmanr

from ntkif import loo_influence, ntk, ridge_fit
from ntkif.data import load
from ntkif.study.experiments.complexity import complexity_by_group, complexity_by_point, end_places, ends_lead, leads

DATA = load("mnist-sample").head(60, 25)
KERNEL, TEST = ntk(DATA.x_train), ntk(DATA.x_test, DATA.x_train)


def norm_without(group):
    kept = np.setdiff1d(np.arange(60), group)
    y = DATA.y_train[kept].numpy()
    return float(np.sqrt(y.T @ np.linalg.solve(KERNEL[kept][:, kept].numpy(), y))[0, 0])


def influence(ridge):
    return loo_influence(ridge_fit(KERNEL, DATA.y_train, ridge), TEST, DATA.y_test)


def test_groups_by_hand():
    table = complexity_by_group(DATA, [0.1, 3.0], groups=6, draws=40, seed=0)
    assert len(table) == 12
    for ridge, rows in table.groupby("ridge"):
        mean = influence(ridge).mean(0)
        members = mean.argsort().reshape(6, 10).numpy()
        complexity = np.array([norm_without([]) - norm_without(group) for group in members])
        assert np.allclose(rows["complexity"], complexity, rtol=1e-9) and np.allclose(rows["norm"], norm_without([]))
        assert np.allclose(rows["influence"], [float(mean[group].mean()) for group in members])
        assert rows["place"].tolist() == [1 + int((complexity > value).sum()) for value in complexity]
        assert (rows["influence"].diff().dropna() > 0).all() and rows["group"].tolist() == list(range(6))


def test_the_baseline_is_random_groups_of_the_same_size():
    table = complexity_by_group(DATA, [1.0], groups=6, draws=2000, seed=0)
    random = np.random.default_rng(5)
    other = [norm_without([]) - norm_without(random.permutation(60)[:10]) for _ in range(2000)]
    row = table.iloc[0]
    assert row["baseline"] == pytest.approx(np.mean(other), rel=0.05)
    assert row["low"] == pytest.approx(np.quantile(other, 0.025), rel=0.1)
    assert row["high"] == pytest.approx(np.quantile(other, 0.975), rel=0.1)
    ranks = [(np.array(other) < value).mean() for value in table["complexity"]]
    assert np.allclose(table["rank"], ranks, atol=0.04)
    again = complexity_by_group(DATA, [1.0], groups=6, draws=2000, seed=0)
    assert again.equals(table) and not complexity_by_group(DATA, [1.0], 6, 2000, seed=1).equals(table)


def test_points_by_hand():
    row = complexity_by_point(DATA, [0.5]).iloc[0]
    increment = np.array([norm_without([]) - norm_without([i]) for i in range(60)])
    scores = influence(0.5).numpy()
    mean, error = scores.mean(0), [ridge_fit(KERNEL, DATA.y_train, r).loo_residual.abs()[:, 0] for r in (0.0, 0.5)]
    expected = {
        "own_error_rho": spearmanr(error[0], increment),
        "error_rho": spearmanr(error[1], increment),
        "mean_rho": spearmanr(np.abs(mean), increment),
        "size_rho": spearmanr(np.abs(scores).mean(0), increment),
        "harmful_rho": spearmanr(-mean[mean < 0], increment[mean < 0]),
        "helpful_rho": spearmanr(mean[mean > 0], increment[mean > 0]),
    }
    for name, value in expected.items():
        assert row[name] == pytest.approx(value.statistic, abs=1e-9), name


def test_ten_classes_run():
    data = load("mini-mnist-sample").head(60, 20)
    table = complexity_by_group(data, [1.0], groups=6, draws=12, seed=0)
    kernel, y = ntk(data.x_train), data.y_train
    assert table["norm"][0] ** 2 == pytest.approx(float((y * torch.linalg.solve(kernel, y)).sum()), rel=1e-9)


def test_what_leading_means():
    """Both ends among the first two, and each above the share of random groups."""
    table = pd.DataFrame(
        {
            "ridge": [1.0] * 3 + [2.0] * 3 + [4.0] * 3,
            "group": [0, 1, 2] * 3,
            "place": [2, 3, 1, 1, 2, 3, 1, 3, 2],
            "rank": [0.98, 0.5, 1.0, 1.0, 0.99, 0.98, 1.0, 0.1, 0.97],
        }
    )
    assert ends_lead({"a": table})["a"].to_dict() == {1.0: True, 2.0: False, 4.0: False}
    assert leads(table, 2.0, [0]) and leads(table, 4.0, [0]) and not leads(table, 4.0, [2])


def test_places_of_the_ends():
    table = pd.DataFrame({"ridge": [1.0, 1.0, 1.0, 2.0, 2.0, 2.0], "group": [0, 1, 2] * 2})
    table = table.assign(place=[1, 3, 2, 2, 1, 3], rank=[1.0, 0.2, 0.9, 0.8, 0.7, 0.6])
    found = end_places({"a": table, "b": table[table["ridge"] == 2]})
    assert list(found.index) == [("a", 1.0), ("a", 2.0), ("b", 2.0)] and found.index.names == ["set", "ridge"]
    assert list(found.columns) == [("place", 0), ("place", 2), ("rank", 0), ("rank", 2)]
    assert found["place"].dtypes.eq(int).all(), "places are shown as 1, not as 1.0"
    assert found.loc[("a", 1.0)].tolist() == [1, 2, 1.0, 0.9] and found.loc[("b", 2.0)].tolist() == [2, 3, 0.8, 0.6]
