"""Figures of cost draw what their table holds."""

import numpy as np
import pandas as pd
import pytest

from ntkif.study.plots import size
from ntkif.study.plots.features import error_by_features
from ntkif.study.plots.tools import errors_of_tools

pytestmark = pytest.mark.usefixtures("book_style")


def test_error_by_features():
    rows = [
        {"features": p, "seed": s, "relative_error": (1 + s) / p, "seconds": p / 100, "exact_seconds": 4.0}
        for p in (50, 200)
        for s in (0, 1)
    ]
    figure = error_by_features({"mnist": pd.DataFrame(rows), "cifar": pd.DataFrame(rows)})
    left, right = (ax.containers[0] for ax in figure.axes)
    assert np.allclose(left[0].get_xydata(), [[50, 0.03], [200, 0.0075]])
    assert [segment[0][1] for segment in left[2][0].get_segments()] == [0.02, 0.005]
    assert np.allclose(right[0].get_xydata(), [[50, 0.125], [200, 0.5]])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["mnist", "cifar"]


def test_growth():
    rows = [
        {"method": method, "varied": varied, "value": value, "seconds": value * scale}
        for method, varied, scale in (("a", "n", 1.0), ("b", "n", 2.0), ("a", "d", 3.0))
        for value in (1, 2, 4)
    ]
    figure = size.growth(pd.DataFrame(rows))
    drawn = {(ax.get_title(), line.get_label()): line for ax in figure.axes for line in ax.lines}
    assert set(drawn) == {("training points $n$", "a"), ("training points $n$", "b"), ("inputs $d$", "a")}
    assert np.allclose(drawn["inputs $d$", "a"].get_ydata(), [3, 6, 12])
    same = {line.get_color() for (_, label), line in drawn.items() if label == "a"}
    assert len(same) == 1 and drawn["training points $n$", "b"].get_color() not in same


def test_tools():
    rows = [("two-layer", "x, CG", 0.3, 0.8, 5.0), ("mlp", "x, CG", 0.4, -0.2, 6.0)]
    rows += [("two-layer", "ntkif, own kernel", 0.04, 1.0, 0.1), ("two-layer", "another start", 0.1, 0.9, np.nan)]
    table = pd.DataFrame(rows, columns=["case", "tool", "relative_error", "slope", "seconds"])
    figure = errors_of_tools(table)
    error, slope, seconds = figure.axes
    assert [label.get_text() for label in error.get_yticklabels()] == ["x, CG", "ntkif, own kernel"]
    assert [label.get_fontweight() for label in error.get_yticklabels()] == ["normal", "bold"]
    marks = {line.get_label(): line for line in error.lines}
    assert np.allclose(marks["two-layer"].get_xydata(), [[0.3, 0], [0.04, 1]])
    assert [line.get_xdata()[0] for line in error.lines if line.get_linestyle() == ":"] == [0.1]
    assert np.allclose({line.get_label(): line for line in seconds.lines}["mlp"].get_xydata(), [[6.0, 0]])
    assert {line.get_label(): line for line in slope.lines}["mlp"].get_xdata()[0] == 1e-3  # below zero: at the edge
