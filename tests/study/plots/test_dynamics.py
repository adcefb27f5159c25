"""Figures about complexity and training dynamics draw what their table holds."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from plotted import made

from ntkif.study import plots
from ntkif.study.plots import dynamics

pytestmark = pytest.mark.usefixtures("book_style")


def test_images_in_time():
    table = made("influence", time=[0.1, 1.0, 10.0], test_row=[3, 8]).assign(label=list("797997"))
    table["influence"] -= 0.5
    images = np.random.default_rng(0).integers(0, 256, (8, 5, 5), dtype=np.uint8)
    figure = dynamics.images_in_time(images[:2], images[2:], table)
    axes = np.array(figure.axes).reshape(2, 4)
    assert [ax.get_title() for ax in axes[:, 0]] == ["test 3", "test 8"]
    assert all((ax.images[0].get_array() == image).all() for ax, image in zip(axes[:, 0], images[:2], strict=True))
    for ax, image, point in zip(axes[:, 1:].T.flat, images[2:], table.itertuples(), strict=True):
        assert (ax.images[0].get_array() == image).all() and ax.get_title() == point.label
        kind = "helpful" if point.influence > 0 else "harmful"
        assert to_rgb(ax.spines["left"].get_edgecolor()) == to_rgb(plots.COLORS[kind])
    assert [ax.get_xlabel() for ax in axes[1, 1:]] == ["t = 0.1", "t = 1", "t = 10"]


def test_curves():
    table = pd.DataFrame({"time": [0.1, 1.0, 10.0], "a": [0.2, 0.9, 0.5], "b": [1.0, 0.0, 0.5]})
    styles = {"a": ("first", "clean", "o-"), "b": ("second", "black", "--")}
    figure = dynamics.curves_in_time({"one": table, "two": table}, styles, "share", marked="a")
    drawn = {line.get_label(): line for line in figure.axes[1].lines}
    for column, (label, color, _) in styles.items():
        assert np.allclose(drawn[label].get_xydata(), table[["time", column]])
        assert to_rgb(drawn[label].get_color()) == to_rgb(plots.COLORS.get(color, color))
    assert figure.axes[1].lines[2].get_xdata() == [1.0, 1.0]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["first", "second"]
