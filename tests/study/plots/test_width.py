"""Figures about networks of finite width, Figure 1 and Table 1 among them, draw what their table holds."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from plotted import NAMES, both, labels, lines, made, of_start, ticks

from ntkif.study.plots import width
from ntkif.study.plots.style import START_COLORS

pytestmark = pytest.mark.usefixtures("book_style")


def bars(container):
    """(points, 4): place, mean, lower and upper end of each bar."""
    ends = np.array(container[2][0].get_segments())
    return np.column_stack([container[0].get_xydata(), ends[:, :, 1]])


def over(table, by, column):
    """The same of a table: mean, least and largest at each place."""
    found = table.groupby(by)[column].agg(["mean", "min", "max"])
    return np.column_stack([found.index, found])


def test_quantities_by_width():
    table = both("error", "start", "flips", width=[128, 512, 2048], seed=[0, 1, 2])
    table.loc[table["symmetric"], "start"] = 0.0  # exactly, so that it has no place on a logarithmic axis
    figure = width.by_width(table, {"error": "error of $f$", "start": "output", "flips": "share"})
    assert [labels(ax) for ax in figure.axes] == [("width $m$", name) for name in ("error of $f$", "output", "share")]
    for ax, column in zip(figure.axes, ("error", "start", "flips"), strict=True):
        drawn = {container.get_label(): bars(container) for container in ax.containers}
        assert list(drawn) == (["κ = 0.01"] if column == "start" else list(NAMES))
        for name, found in drawn.items():
            assert np.allclose(found, over(of_start(table, name), "width", column)), (column, name)
        assert ticks(ax) == ["128", "512", "2048"] and ax.get_xscale() == ax.get_yscale() == "log"
        (low_x, low_y), (high_x, high_y) = lines(ax)["∝ $m^{-0.5}$"]
        assert (low_x, high_x) == (128, 2048) and high_y / low_y == pytest.approx(16**-0.5)
        assert high_y < min(found[:, 2].min() for found in drawn.values())  # the guide crosses nothing
    colors = [to_rgb(container[0].get_color()) for container in figure.axes[0].containers]
    assert colors == [to_rgb(START_COLORS[name]) for name in NAMES]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["∝ $m^{-0.5}$", *NAMES]


def test_a_quantity_without_a_rate_has_no_guide():
    figure = width.by_width(both("error", width=[128, 512], seed=[0]), {"error": "error"}, slope=None)
    assert len(figure.axes) == 1 and not any("∝" in label for label in lines(figure.axes[0]))


def test_a_quantity_by_scale():
    table = made("slope", init_scale=[0.01, 0.1, 1.0], symmetric=[False, True], seed=[0, 1])
    ax = width.by_scale(table, "slope", "slope of influence")
    assert labels(ax) == ("scale of the initial weights $\\kappa$", "slope of influence")
    drawn = {container.get_label(): container for container in ax.containers}
    for name, symmetric, start in (("random", False, "κ = 0.01"), ("symmetric", True, "κ = 1, symmetric")):
        assert np.allclose(bars(drawn[name]), over(table[table["symmetric"] == symmetric], "init_scale", "slope"))
        assert to_rgb(drawn[name][0].get_color()) == to_rgb(START_COLORS[start])
    assert ticks(ax) == ["0.01", "0.1", "1"] and ax.get_xscale() == ax.get_yscale() == "log"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["random", "symmetric"]
