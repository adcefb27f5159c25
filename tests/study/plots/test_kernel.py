"""Figures of the kernel: what is drawn is what was measured."""

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from plotted import made

from ntkif.study.plots import style
from ntkif.study.plots.kernel import kernel_values, width_rate

pytestmark = pytest.mark.usefixtures("book_style")


def test_width_rate():
    table = made("error", "expected", width=[16, 64, 256], seed=range(3))
    axes = width_rate(table, "error")
    expected, points, mean = (line.get_xydata() for line in axes.lines)
    assert np.allclose(expected[:, 1], table.groupby("width")["expected"].mean())
    assert np.allclose(points, table[["width", "error"]])
    assert np.allclose(mean[:, 1] ** 2, (table["error"] ** 2).groupby(table["width"]).mean())


def test_kernel_values():
    ax = kernel_values(torch.full((5,), 0.203), torch.full((5,), 0.103), ("same", "other"))
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["same", "other"]
    for bars, value, kind in zip(ax.containers, (0.203, 0.103), ("same class", "other class"), strict=True):
        (full,) = (bar for bar in bars if bar.get_height())
        assert full.get_x() < value < full.get_x() + full.get_width()
        assert full.get_height() * full.get_width() == pytest.approx(1)  # an area of one
        assert to_rgb(full.get_facecolor()) == to_rgb(style.COLORS[kind])
