"""Figures about IHVP draw what their table holds."""

import numpy as np
import pandas as pd
import pytest

from ntkif.data import load
from ntkif.data.mixture import sample_mixture
from ntkif.study.experiments.density import density_correlations, density_deciles, errors_by_cluster
from ntkif.study.experiments.ihvp import errors_by_point, errors_by_ridge
from ntkif.study.plots import ihvp

DATA = load("mnist-sample").head(40, 20)


pytestmark = pytest.mark.usefixtures("book_style")


def lines(ax):
    return {line.get_label(): line.get_xydata() for line in ax.lines}


def test_rates_and_leverages_over_ridges():
    table = errors_by_ridge(DATA, [0.5, 1.0, 4.0])
    figure = ihvp.errors_over_ridges({"a": table, "b": table})
    assert [ax.get_title() for ax in figure.axes] == ["a", "b"]
    drawn = lines(figure.axes[1])
    for label, column in (
        ("IHVP: ratio of sums", "ratio_of_sums"),
        ("IHVP: median of ratios", "median_of_ratios"),
        ("rescaled IHVP: ratio of sums", "rescaled"),
        ("ceiling of the leverage, $1/(1+2λ)$", "ceiling"),
    ):
        assert np.allclose(drawn[label], table[["ridge", column]]), label
    figure = ihvp.leverage_over_ridges({"a": table})
    drawn = lines(figure.axes[0])
    for label, column in (
        ("mean leverage", "leverage"),
        ("$λ_{max}/(λ_{max}+λ)$", "paper_ceiling"),
        ("$λ_{min}/(λ_{min}+λ)$", "floor"),
        ("$1/(1+2λ)$", "ceiling"),
    ):
        assert np.allclose(drawn[label], table[["ridge", column]]), label
    band = figure.axes[0].collections[0].get_paths()[0].vertices
    assert {*np.round(band[:, 1], 12)} >= {*table["least_leverage"].round(12), *table["largest_leverage"].round(12)}


def test_points():
    points = errors_by_point(DATA, 1.0, [1, 4])
    ax = ihvp.error_by_leverage(points, 0.1, 0.4)
    assert np.allclose(ax.collections[0].get_offsets(), points[["leverage", "error_rate"]])
    ax = ihvp.neighbour_scatter(points)
    assert np.allclose(ax.collections[0].get_offsets(), points[["leverage", "neighbour_ceiling"]])


def test_clusters():
    table = errors_by_cluster(sample_mixture([4, 8], radius=0.01, seed=0, d=9), [9.0])
    left, right = ihvp.cluster_errors(table.assign(case="named")).axes
    assert np.allclose(lines(left)["error, one cluster"], table[["count", "error"]])
    assert np.allclose(lines(left)["Theorem 4's bound"], table[["count", "bound"]])
    assert np.allclose(lines(right)["largest leverage"], table[["count", "largest_leverage"]])
    ceilings = [line for line in right.lines if line.get_linestyle() == "--"]
    assert np.allclose(ceilings[0].get_ydata(), table.groupby("count")["paper_ceiling"].mean())


def test_densities():
    figure = ihvp.density_scatter({"one": [1.0, 2.0], "other": [3.0, 5.0]}, [0.1, 0.2])
    assert figure.axes[1].collections[0].get_offsets().tolist() == [[3.0, 0.1], [5.0, 0.2]]
    table = density_correlations(DATA, [0.5, 4.0], [0.5, 1.0], [2, 3])
    left, right = ihvp.rho_by_bandwidth({"set": table}).axes
    strong = table[(table["ridge"] == 4.0) & (table["kind"] == "pca")]
    assert np.allclose(lines(right)["λ = 4"], strong[["parameter", "error_rho"]])
    assert np.allclose(lines(left)["λ = 0.5"], table.iloc[:2][["parameter", "error_rho"]])
    low, high = left.get_ylim()
    assert low <= table["error_rho"].min() and table["error_rho"].max() <= high
    deciles = density_deciles(DATA, [0.5, 4.0], [1.0], [])
    ax = ihvp.decile_bands({"a": deciles, "b": deciles}).axes[0]
    assert np.allclose(lines(ax)["λ = 4"], deciles[deciles["ridge"] == 4.0][["decile", "median"]])


def test_solver_curves_leave_out_what_diverged():
    table = pd.DataFrame({"depth": [1, 2, 3], "pearson": [0.5, np.nan, 0.9], "diverged": [False, True, False]})
    ax = ihvp.solver_curves({"name": table}, "depth", {"pearson": "R"}).axes[0]
    assert lines(ax)["name"].tolist() == [[1, 0.5], [3, 0.9]]
