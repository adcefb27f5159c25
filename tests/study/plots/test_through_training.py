"""Figures of influence through training: what is drawn is what the table says."""

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.colors import to_rgb
from plotted import labels

from ntkif.study.experiments.through_training import METHODS
from ntkif.study.plots.through_training import MARKS, errors_by_case, known_and_true_error, predicted_and_true

pytestmark = pytest.mark.usefixtures("book_style")


def table():
    rows = []
    for place, case in enumerate(("one", "two")):
        for seed in range(3):
            for number, method in enumerate(METHODS):
                error = 0.1 * (1 + number) + 0.01 * seed + 0.5 * place
                known = {"check": 0.2 + 0.1 * seed, "sharpness": 0.5 + 0.1 * seed, "growth": 1.0 * seed}
                key = {"case": case, "seed": seed, "method": method, "edge": case == "two"}
                rows.append(key | {"relative_error": error} | known)
    return pd.DataFrame(rows)


def test_each_estimate_is_drawn_against_the_truth():
    truth = torch.tensor([[0.1, -0.2], [0.3, 0.0]])
    figure = predicted_and_true({"a": truth / 2, "b": truth}, truth)
    for ax, share in zip(figure.axes, (0.5, 1.0), strict=True):
        points = ax.collections[0].get_offsets()
        assert np.allclose(points[:, 0], truth.flatten()) and np.allclose(points[:, 1], share * truth.flatten())
        assert ax.get_xlim() == ax.get_ylim()
    assert [ax.get_title() for ax in figure.axes] == ["a", "b"]


def test_errors_are_medians_with_their_range_a_row_for_each_case():
    (ax,) = errors_by_case(table()).axes
    by_name = {line.get_label(): line for line in ax.lines}
    assert list(by_name) == list(MARKS)
    for method, (mark, color) in MARKS.items():
        line = by_name[method]
        own = table()[table()["method"] == method].groupby("case", sort=False)["relative_error"]
        assert np.allclose(line.get_xdata(), own.median())
        assert line.get_marker() == mark and to_rgb(line.get_color()) == to_rgb(color)
        assert np.allclose(np.round(line.get_ydata()), [0, -1])
    ends = ax.collections[0].get_segments()
    assert np.allclose(ends[0][:, 0], [0.1, 0.12])
    assert [text.get_text() for text in ax.get_yticklabels()] == ["one", "two"] and ax.get_xscale() == "log"


def test_errors_are_drawn_against_what_is_known():
    rows = table()[table()["method"] == METHODS[2]]
    figure = known_and_true_error(rows, {"check": "its check", "growth": "growth"})
    for ax, column in zip(figure.axes, ("check", "growth"), strict=True):
        for line, edge in zip(ax.lines, (False, True), strict=True):
            own = rows[rows["edge"] == edge]
            assert np.allclose(line.get_xydata(), own[[column, "relative_error"]])
        assert ax.get_yscale() == "log"
    assert [ax.get_xscale() for ax in figure.axes] == ["log", "linear"]
    assert labels(figure.axes[0]) == ("its check", "true relative error")
