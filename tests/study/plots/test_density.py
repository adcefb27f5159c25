"""Figures by density: what is drawn is what the table says."""

import numpy as np
import pandas as pd
import pytest
from plotted import labels, lines, made, ticks

from ntkif.study.plots import ihvp
from ntkif.study.plots.density import cluster_errors, decile_bands, density_scatter, neighbour_scatter, rho_by_bandwidth
from ntkif.study.records.tables import load_record

pytestmark = pytest.mark.usefixtures("book_style")


def test_points():
    points = made("leverage", "error_rate", "neighbour_ceiling", point=range(6))
    ax = ihvp.error_by_leverage(points, 0.05, 1.2)
    assert np.allclose(ax.collections[0].get_offsets(), points[["leverage", "error_rate"]])
    levels = {line.get_label(): line.get_ydata()[0] for line in ax.lines if "=" not in line.get_label()}
    assert levels == {"floor (Theorem 3)": 0.05, "ceiling": 1.2} and labels(ax)[0] == "leverage $A_i$"
    ax = neighbour_scatter(points)
    assert np.allclose(ax.collections[0].get_offsets(), points[["leverage", "neighbour_ceiling"]])


def test_clusters():
    columns = "error", "bound", "largest_leverage", "paper_ceiling", "own_ceiling", "ceiling"
    table = made(*columns, cluster=[0, 1], count=[4, 8]).assign(case="named")
    left, right = cluster_errors(table).axes
    for ax, label, column in (
        (left, "error, one cluster", "error"),
        (left, "Theorem 4's bound", "bound"),
        (right, "largest leverage", "largest_leverage"),
    ):
        assert np.allclose(lines(ax)[label], table[["count", column]]), label
    for label, column in (
        (r"Theorem 4, $\sqrt{γ/(n n_k)}$", "paper_ceiling"),
        ("the same, γ of the cluster", "own_ceiling"),
        (r"$1/(n_k+2λ)+ε_r^2/λ$", "ceiling"),
    ):
        mean = table.groupby("count")[column].mean()
        assert np.allclose(lines(right)[label], np.column_stack([mean.index, mean])), label
    assert ticks(left) == ticks(right) == ["4", "8"]


def test_densities():
    figure = density_scatter({"one": [1.0, 2.0], "other": [3.0, 5.0]}, [0.1, 0.2])
    assert figure.axes[1].collections[0].get_offsets().tolist() == [[3.0, 0.1], [5.0, 0.2]]
    assert [ax.get_xlabel() for ax in figure.axes] == ["log density, one", "log density, other"]


@pytest.mark.parametrize("components", [True, False])
def test_correlations_by_bandwidth(components):
    parts = [
        made("error_rho", draw=draw, ridge=[0.5, 4.0], kind=[kind], parameter=parameters)
        for draw, (kind, parameters) in enumerate({"sphere": [0.5, 1.0, 2.0], "pca": [2, 3]}.items())
    ]
    table = pd.concat(parts)
    figure = rho_by_bandwidth({"set": table.assign(error_rho=-table["error_rho"])}, components)
    assert len(figure.axes) == 1 + components
    for ax, part in zip(figure.axes, parts, strict=False):
        for ridge in (0.5, 4.0):
            drawn = lines(ax)[f"λ = {ridge:g}"]
            assert np.allclose(drawn, part[part["ridge"] == ridge][["parameter", "error_rho"]] * [1, -1])
        assert ticks(ax) == [f"{place:g}" for place in part["parameter"].unique()]
    assert figure.axes[0].get_title() == "set: on the sphere"
    low, high = figure.axes[0].get_ylim()
    for name in ("mnist", "cifar", "mini-mnist", "mini-cifar"):  # the axis has fixed ends
        assert load_record("figure-3", name).table["error_rho"].between(low, high).all()


def test_deciles():
    table = made("median", "low", "high", ridge=[0.5, 4.0], decile=range(1, 11))
    figure = decile_bands({"a": table, "b": table})
    for ax in figure.axes:
        for ridge, band in zip((0.5, 4.0), ax.collections, strict=True):
            mine = table[table["ridge"] == ridge]
            assert np.allclose(lines(ax)[f"λ = {ridge:g}"], mine[["decile", "median"]])
            ends = mine[["low", "high"]].to_numpy().flatten()
            assert {*np.round(band.get_paths()[0].vertices[:, 1], 12)} >= {*ends.round(12)}
