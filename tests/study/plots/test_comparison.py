"""Figures that compare methods draw what their table holds."""

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.colors import to_rgb
from plotted import made

from ntkif.study.experiments.comparison import KINKS, METHODS, Comparison
from ntkif.study.plots import comparison

pytestmark = pytest.mark.usefixtures("book_style")


COLUMNS = "relative_error", "slope"


def test_scores_by_width():
    table = pd.concat(
        [
            made(
                *COLUMNS,
                draw=draw,
                init_scale=[scale],
                symmetric=[symmetric],
                width=[64, 256],
                seed=[0, 1],
                method=METHODS,
            )
            for draw, (scale, symmetric) in enumerate(((1.0, True), (0.01, False)))
        ]
    )
    figure = comparison.method_scores_by_width(table, {"relative_error": "error", "slope": "slope"})
    axes = np.array(figure.axes).reshape(2, 2)
    assert [ax.get_title() for ax in axes[0]] == ["κ = 1, symmetric", "κ = 0.01"]
    assert [ax.get_xlabel() for ax in axes[1]] == ["width $m$"] * 2
    for ax, symmetric in zip(axes[1], (True, False), strict=True):
        for container in ax.containers:
            mine = table[(table["symmetric"] == symmetric) & (table["method"] == container.get_label())]
            mean = mine.groupby("width")["slope"].mean()
            assert np.allclose(container[0].get_xydata(), np.stack([mean.index, mean], 1))
            assert to_rgb(container[0].get_color()) == to_rgb(comparison.METHOD_COLORS[container.get_label()])
            low = [segment[0][1] for segment in container[2][0].get_segments()]
            assert np.allclose(low, mine.groupby("width")["slope"].min())


def test_error_and_flips():
    table = pd.DataFrame(
        {
            "init_scale": [1.0, 1.0, 0.01],
            "symmetric": [True, True, False],
            "width": [64, 256, 64],
            "flips": [0.001, 0.002, 0.03],
            "relative_error": [0.1, 0.2, 0.3],
        }
    )
    ax = comparison.error_and_flips(table)
    drawn = {line.get_label(): line.get_xydata().tolist() for line in ax.lines}
    assert drawn["κ = 1, symmetric, $m$ = 256"] == [[0.002, 0.2]] and drawn["κ = 0.01, $m$ = 64"] == [[0.03, 0.3]]
    assert to_rgb(ax.lines[0].get_color()) == to_rgb(ax.lines[1].get_color()) != to_rgb(ax.lines[2].get_color())


def test_errors_of_networks():
    tables = {
        "a": made(*COLUMNS, network=["one", "two"], seed=[0, 1, 2], method=METHODS),
        "b": made(*COLUMNS, draw=1, network=["one"], seed=[0], method=METHODS),
    }
    figure = comparison.errors_of_networks(tables, {"relative_error": "error", "slope": "slope"})
    axes = np.array(figure.axes).reshape(2, 2)
    assert [label.get_text() for label in axes[0, 0].get_yticklabels()] == ["one", "two"]
    assert [ax.get_xlabel() for ax in axes[1]] == ["error", "slope"]
    assert [ax.get_title(loc="left") for ax in axes[:, 0]] == ["a", "b"]
    for row, table in zip(axes, tables.values(), strict=True):
        for ax, column in zip(row, ("relative_error", "slope"), strict=True):
            for line in ax.lines[:3]:
                mine = table[table["method"] == line.get_label()]
                assert line.get_xdata().tolist() == mine[column].tolist()
                assert np.array_equal(np.round(line.get_ydata()), -mine["network"].map({"one": 0, "two": 1}))


def test_predicted_and_actual():
    truth = torch.randn(5, 2, dtype=torch.float64)
    predicted = {method: truth * factor for factor, method in enumerate(METHODS)}
    figure = comparison.predictions_of_methods(Comparison({}, [0, 1], truth, predicted, {}, {}, {}), list("abc"))
    for factor, ax in enumerate(figure.axes):
        x, y = ax.collections[0].get_offsets().T
        assert np.allclose(y, factor * x) and np.allclose(x, truth.flatten())
        assert ax.get_xlim() == ax.get_ylim() and ax.get_title() == "abc"[factor]


def test_each_method_has_a_colour():
    assert set(comparison.METHOD_COLORS) == {*METHODS, KINKS}
    assert len(set(comparison.METHOD_COLORS.values())) == 4
