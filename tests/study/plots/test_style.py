"""The figures that all pages share draw what their table holds."""

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.colors import to_rgb
from plotted import labels, made

from ntkif.study.plots import style
from ntkif.study.plots.ihvp import ratio_by_residual, ratio_by_ridge
from ntkif.study.plots.images import digits, image_rows, likeness, share_of_largest
from ntkif.study.plots.kernel import kernel_values, width_rate

pytestmark = pytest.mark.usefixtures("book_style")


def test_width_rate():
    table = made("error", "expected", width=[16, 64, 256], seed=range(3))
    axes = width_rate(table, "error")
    expected, points, mean = (line.get_xydata() for line in axes.lines)
    assert np.allclose(expected[:, 1], table.groupby("width")["expected"].mean())
    assert np.allclose(points, table[["width", "error"]])
    assert np.allclose(mean[:, 1] ** 2, (table["error"] ** 2).groupby(table["width"]).mean())


def test_digits_in_colour_and_grey():
    for shape in ((4, 8, 8), (4, 8, 8, 3)):
        figure = digits(np.zeros(shape, dtype=np.uint8), list("abcd"), ["top", "bottom"])
        assert [ax.get_title() for ax in figure.axes] == list("abcd")


def test_concentration():
    axes = share_of_largest(torch.tensor([[3.0, 1.0], [3.0, 1.0]]))
    assert np.allclose(axes.lines[0].get_ydata(), [0.75, 1])


def test_ratio_by_ridge():
    rows = pd.DataFrame({"ridge": [1.0, 2.0], "above_tenth": [0.2, 0.1], "above_tenth_top": [0.4, 0.3], "dataset": "a"})
    axes = ratio_by_ridge(rows)
    assert [line.get_ydata().tolist() for line in axes.lines] == [[0.2, 0.1], [0.4, 0.3]]


KINDS = ["helpful", "harmful", "uninfluential", "influential"]


def test_images_are_those_of_the_table():
    table = made("influence", "size", kind=KINDS, rank=[1, 2, 3]).assign(label=list("7979" * 3))
    table["influence"] -= 0.5
    images = np.random.default_rng(0).integers(0, 256, (12, 5, 5), dtype=np.uint8)
    figure = image_rows(images, table)
    for ax, image, row in zip(figure.axes, images, table.itertuples(), strict=True):
        assert (ax.images[0].get_array() == image).all()
        ranked_by = f"{1e4 * row.influence:+.2g}" if row.kind in KINDS[:2] else f"{1e4 * row.size:.2g}"
        assert ax.get_title() == f"{row.label}: {ranked_by}".replace("-", "−")
    assert [ax.get_ylabel() for ax in figure.axes[::3]] == KINDS


def test_likeness():
    one, other = (made("similarity", "low", "high", draw=draw, group=KINDS[:2]).set_index("group") for draw in (0, 1))
    figure = likeness({"left": one, "right": other})
    assert [ax.get_title() for ax in figure.axes] == ["left", "right"]
    for ax, table in zip(figure.axes, (one, other), strict=True):
        ranges, points = ax.collections
        assert np.allclose(points.get_offsets(), np.column_stack([table["similarity"], [1, 0]]))
        assert np.allclose([segment[:, 0] for segment in ranges.get_segments()], table[["low", "high"]])
        assert [label.get_text() for label in ax.get_yticklabels()] == KINDS[:2]
        colors = [to_rgb(color) for color in points.get_facecolors()]
        assert colors == [to_rgb(style.COLORS[kind]) for kind in KINDS[:2]]


def test_density_of_pairs():
    """Two pairs at (1, 1) and one at (10, 0.1), on logarithmic axes."""
    ax = style.density_of_pairs(torch.tensor([1.0, 1.0, 10.0]), torch.tensor([1.0, 1.0, 0.1]), "x", "y")
    counts = ax.collections[0].get_array()
    assert sorted(counts[counts > 0]) == [1, 2]
    assert labels(ax) == ("log$_{10}$ x", "log$_{10}$ y")


def test_ratio_by_residual():
    ax = ratio_by_residual(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0]))
    assert ax.lines[0].get_xydata().tolist() == [[1, 3], [2, 4]]


def test_kernel_values():
    ax = kernel_values(torch.full((5,), 0.203), torch.full((5,), 0.103), ("same", "other"))
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["same", "other"]
    for bars, value, kind in zip(ax.containers, (0.203, 0.103), ("same class", "other class"), strict=True):
        (full,) = (bar for bar in bars if bar.get_height())
        assert full.get_x() < value < full.get_x() + full.get_width()
        assert full.get_height() * full.get_width() == pytest.approx(1)  # an area of one
        assert to_rgb(full.get_facecolor()) == to_rgb(style.COLORS[kind])
