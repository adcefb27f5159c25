"""Figures about complexity and training dynamics draw what their table holds."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from ntkif.data import load
from ntkif.study import plots
from ntkif.study.experiments.complexity import complexity_by_group
from ntkif.study.experiments.dynamics import images_along
from ntkif.study.plots import dynamics

DATA = load("mnist-sample").head(40, 20)


pytestmark = pytest.mark.usefixtures("book_style")


def test_complexity():
    table = complexity_by_group(DATA, [0.5, 4.0], groups=5, draws=20, seed=0)
    one = table[table["ridge"] == 4.0].reset_index(drop=True)
    figure = dynamics.complexity_by_group({"a": one, "b": one})
    bars = figure.axes[1].patches[1:]
    assert [bar.get_height() for bar in bars] == one["complexity"].tolist()
    assert [to_rgb(bar.get_facecolor()) for bar in bars[::4]] == [
        to_rgb(plots.COLORS[kind]) for kind in ("harmful", "helpful")
    ]
    band = figure.axes[1].patches[0].get_extents().transformed(figure.axes[1].transData.inverted())
    assert np.allclose([band.y0, band.y1], one.loc[0, ["low", "high"]].tolist())
    figure = dynamics.complexity_over_ridges({"a": table})
    drawn = {line.get_label(): line.get_ydata() for line in figure.axes[0].lines}
    assert np.allclose(drawn["λ = 4"], one["complexity"] / one["baseline"])


def test_images_in_time():
    table = images_along(DATA, 0.0, [0.1, 1.0, 10.0], [3, 8], ["influential"])
    figure = dynamics.images_in_time(DATA.images_test[[3, 8]], DATA.images_train[table["row"]], table)
    axes = np.array(figure.axes).reshape(2, 4)
    assert [ax.get_title() for ax in axes[:, 0]] == ["test 3", "test 8"]
    for ax, point in zip(axes[:, 1:].T.flat, table.itertuples(), strict=True):
        assert (ax.images[0].get_array() == DATA.images_train[point.row]).all() and ax.get_title() == point.label
        kind = "helpful" if point.influence > 0 else "harmful"
        assert to_rgb(ax.spines["left"].get_edgecolor()) == to_rgb(plots.COLORS[kind])
    assert [ax.get_xlabel() for ax in axes[1, 1:]] == ["t = 0.1", "t = 1", "t = 10"]


def test_curves():
    table = pd.DataFrame({"time": [0.1, 1.0, 10.0], "a": [0.2, 0.9, 0.5], "b": [1.0, 0.0, 0.5]})
    lines = {"a": ("first", "clean", "o-"), "b": ("second", "black", "--")}
    figure = dynamics.curves_in_time({"one": table, "two": table}, lines, "share", marked="a")
    drawn = {line.get_label(): line for line in figure.axes[1].lines}
    for column, (label, color, _) in lines.items():
        assert np.allclose(drawn[label].get_xydata(), table[["time", column]])
        assert to_rgb(drawn[label].get_color()) == to_rgb(plots.COLORS.get(color, color))
    assert figure.axes[1].lines[2].get_xdata() == [1.0, 1.0]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["first", "second"]
