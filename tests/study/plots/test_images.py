"""Figures of images: what is drawn is what the table says."""

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from plotted import made

from ntkif.study.plots import style
from ntkif.study.plots.images import digits, image_rows, likeness, share_of_largest

pytestmark = pytest.mark.usefixtures("book_style")


def test_digits_in_colour_and_grey():
    for shape in ((4, 8, 8), (4, 8, 8, 3)):
        figure = digits(np.zeros(shape, dtype=np.uint8), list("abcd"), ["top", "bottom"])
        assert [ax.get_title() for ax in figure.axes] == list("abcd")


def test_concentration():
    axes = share_of_largest(torch.tensor([[3.0, 1.0], [3.0, 1.0]]))
    assert np.allclose(axes.lines[0].get_ydata(), [0.75, 1])


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
