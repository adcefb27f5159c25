"""Figure 1, Table 1 and the map of regimes: what is drawn is what the table says."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from plotted import NAMES, both, labels, of_start, ticks
from seaborn.utils import relative_luminance

from ntkif.study.plots.retraining import predicted_and_actual, regime_map, scores_by_width
from ntkif.study.plots.style import START_COLORS

pytestmark = pytest.mark.usefixtures("book_style")


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
        assert to_rgb(points.get_facecolor()[0]) == to_rgb(START_COLORS[name])
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
            assert to_rgb(line.get_color()) == to_rgb(START_COLORS[name])
            assert (line.get_marker(), line.get_linestyle()) == (
                ("o", "-") if predictor == "closed form" else ("x", "None")
            )
        assert ticks(ax) == ["256", "1024"] and ax.get_xscale() == "log"
    assert [ax.get_legend() is None for ax in figure.axes] == [False, True]


def test_scores_of_two_sets_have_lines_of_their_own():
    first, second = scores(), scores().assign(pearson=lambda table: -table["pearson"])
    table = pd.concat([first.assign(dataset="one"), second.assign(dataset="two")])
    ax = scores_by_width(table, {"pearson": "R", "slope": "slope"}).axes[0]
    drawn = {line.get_label(): line for line in ax.lines}
    assert list(drawn)[:3] == ["one, κ = 0.01", "one, another start", "one, κ = 1, symmetric"]
    for name in NAMES:
        one, two = drawn[f"one, {name}"], drawn[f"two, {name}"]
        assert np.allclose(one.get_ydata(), -np.asarray(two.get_ydata())) and one.get_color() == two.get_color()
        assert (one.get_linestyle(), two.get_linestyle()) == ("-", "--")


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
