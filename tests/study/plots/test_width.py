"""Figures about networks of finite width, Figure 1 and Table 1 among them, draw what their table holds."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from plotted import labels, lines, made, ticks
from seaborn.utils import relative_luminance

from ntkif.study.plots import width
from ntkif.study.plots.retraining import predicted_and_actual, regime_map, scores_by_width

pytestmark = pytest.mark.usefixtures("book_style")
RANDOM, SYMMETRIC = {"init_scale": [0.01], "symmetric": [False]}, {"init_scale": [1.0], "symmetric": [True]}
NAMES = {"κ = 0.01": (0.01, False), "κ = 1, symmetric": (1.0, True)}


def both(*columns, **keys):
    """Rows of a random and of a symmetric start, with other numbers each."""
    parts = [made(*columns, draw=draw, **start, **keys) for draw, start in enumerate((RANDOM, SYMMETRIC))]
    return pd.concat(parts, ignore_index=True)


def of_start(table, name):
    init_scale, symmetric = NAMES[name]
    return table[(table["init_scale"] == init_scale) & (table["symmetric"] == symmetric)]


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
    assert colors == [to_rgb(width._STARTS[name]) for name in NAMES]
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
        assert to_rgb(drawn[name][0].get_color()) == to_rgb(width._STARTS[start])
    assert ticks(ax) == ["0.01", "0.1", "1"] and ax.get_xscale() == ax.get_yscale() == "log"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["random", "symmetric"]


@pytest.mark.parametrize(("widths", "grid"), [([256, 1024], (2, 2)), ([256], (1, 2)), ([256, 512, 1024], (1, 6))])
def test_figure_1_sets_predicted_over_actual_influence(widths, grid):
    table = both("predicted", "actual", n=[40], width=widths, seed=[0], removed=range(5))
    table["predicted"] -= 0.5
    table = table.iloc[::-1].reset_index(drop=True)  # the panels come as the runs come, not in the order of numbers
    titles = [f"run {number}" for number in range(2 * len(widths))]
    figure = predicted_and_actual(table, titles)
    assert [ax.get_title() for ax in figure.axes] == titles
    assert figure.axes[0].get_subplotspec().get_gridspec().get_geometry() == grid
    runs = [run for _, run in table.groupby(["symmetric", "width"], sort=False)]
    for place, (ax, run) in enumerate(zip(figure.axes, runs, strict=True)):
        points = ax.collections[0]
        assert np.allclose(points.get_offsets(), run[["actual", "predicted"]])
        name = "κ = 1, symmetric" if run["symmetric"].all() else "κ = 0.01"
        assert to_rgb(points.get_facecolor()[0]) == to_rgb(width._STARTS[name])
        (diagonal,) = ax.lines
        assert (diagonal.get_xdata() == diagonal.get_ydata()).all() and (diagonal.get_xdata() == ax.get_xlim()).all()
        assert ax.get_xlim() == ax.get_ylim() and ax.get_aspect() == 1
        numbers = run[["predicted", "actual"]].to_numpy()
        assert ax.get_xlim()[0] < numbers.min() and numbers.max() < ax.get_xlim()[1]
        assert labels(ax) == ("actual influence", "predicted influence" if place % grid[1] == 0 else "")


def test_figure_1_has_a_title_for_each_run():
    table = both("predicted", "actual", n=[40], width=[256], seed=[0], removed=range(3))
    with pytest.raises(ValueError, match="zip"):
        predicted_and_actual(table, ["one"])


def scores():
    """As of `influence_scores`: two predictors, of which the second is missing for the symmetric start."""
    table = both("pearson", "slope", width=[256, 1024], seed=[0, 1], predictor=["closed form", "another start"])
    return table[~table["symmetric"] | (table["predictor"] == "closed form")]


def test_scores_by_width():
    table = scores()
    figure = scores_by_width(table, {"pearson": "Pearson's R", "slope": "slope"})
    assert [labels(ax) for ax in figure.axes] == [("width $m$", "Pearson's R"), ("width $m$", "slope")]
    for ax, column in zip(figure.axes, ("pearson", "slope"), strict=True):
        assert [line.get_label() for line in ax.lines] == ["κ = 0.01", "another start", "κ = 1, symmetric"]
        wanted = [("κ = 0.01", "closed form"), ("κ = 0.01", "another start"), ("κ = 1, symmetric", "closed form")]
        for line, (name, predictor) in zip(ax.lines, wanted, strict=True):
            mean = of_start(table, name).query("predictor == @predictor").groupby("width")[column].mean()
            assert np.allclose(line.get_xydata(), np.column_stack([mean.index, mean])), (column, name, predictor)
            assert to_rgb(line.get_color()) == to_rgb(width._STARTS[name])
            assert (line.get_marker(), line.get_linestyle()) == (
                ("o", "-") if predictor == "closed form" else ("x", "None")
            )
        assert ticks(ax) == ["256", "1024"] and ax.get_xscale() == "log"
    assert [ax.get_legend() is None for ax in figure.axes] == [False, True]


def test_the_map_of_regimes_is_the_table_of_the_closed_form():
    table = scores().assign(relative_error=lambda rows: 1 - rows["pearson"]).query("seed == 0")
    figure = regime_map(table, {"pearson": "Pearson's R", "relative_error": "relative error"})
    closed = table[table["predictor"] == "closed form"]
    luminance = []
    for ax, column in zip(figure.axes, ("pearson", "relative_error"), strict=True):
        assert ticks(ax) == ["256", "1024"] and labels(ax) == ("width $m$", "")
        wanted = [of_start(closed, name).set_index("width").loc[m, column] for name in NAMES for m in (256, 1024)]
        assert [text.get_text() for text in ax.texts] == [f"{value:.2f}" for value in wanted]
        cells = [relative_luminance(color) for color in ax.collections[0].get_facecolors()]
        best = np.argmin(wanted) if column == "relative_error" else np.argmax(wanted)
        assert np.argmax(cells) == best  # bright is better
        readable = ["black" if cell > 0.18 else "white" for cell in cells]
        assert [text.get_color() for text in ax.texts] == readable
        luminance.append(cells)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == list(NAMES)
    assert [ax.get_title() for ax in figure.axes] == ["Pearson's R", "relative error"]
    assert np.allclose(*luminance, atol=0.02)  # of the same cells the same are bright
