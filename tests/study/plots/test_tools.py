"""The figure of other tools: what is drawn is what the table says."""

import numpy as np
import pandas as pd
import pytest

from ntkif.study.plots.tools import STOPPED, errors_of_tools

pytestmark = pytest.mark.usefixtures("book_style")


def test_tools():
    rows = [("two-layer", "x, CG", 0.3, 0.8, 5.0), ("mlp", "x, CG", 0.4, -0.2, 6.0)]
    rows += [("two-layer", "ntkif, own kernel", 0.04, 1.0, 0.1), ("two-layer", "another start", 0.1, 0.9, np.nan)]
    table = pd.DataFrame(rows, columns=["case", "tool", "relative_error", "slope", "seconds"])
    figure = errors_of_tools(table)
    error, seconds = figure.axes
    assert [label.get_text() for label in error.get_yticklabels()] == ["x, CG", "ntkif, own kernel"]
    assert [label.get_fontweight() for label in error.get_yticklabels()] == ["normal", "bold"]
    marks = {line.get_label(): line for line in error.lines}
    assert np.allclose(marks["two-layer"].get_xydata(), [[0.3, 0.32], [0.04, 1.32]])
    assert [line.get_xdata()[0] for line in error.lines if line.get_linestyle() == ":"] == [0.1]
    assert np.allclose({line.get_label(): line for line in seconds.lines}["mlp"].get_xydata(), [[6.0, 0]])
    assert marks["mlp"].get_ydata()[0] == 0  # a tool's marks lie apart: this one between the two others


def test_networks_that_were_stopped_have_marks_and_a_column_of_their_own():
    case = "MLP, Adam, n = 200"
    rows = [(case, "x, CG", 0.9, 0.1, 3.0), (case, "ntkif, through training", 0.2, 1.0, 40.0)]
    table = pd.DataFrame(rows, columns=["case", "tool", "relative_error", "slope", "trainings"])
    figure = errors_of_tools(table, STOPPED, ("trainings", "time, in trainings"))
    last = {line.get_label(): line for line in figure.axes[1].lines}[case]
    assert np.allclose(last.get_xydata(), [[3, 0.16], [40, 1.16]]) and last.get_marker() == STOPPED[case][0]
    assert figure.axes[1].get_xlabel() == "time, in trainings"
