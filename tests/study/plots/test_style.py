"""The figures that all pages share draw what their table holds."""

import numpy as np
import pandas as pd
import pytest
import torch

from ntkif.data import load
from ntkif.study.experiments.images import extreme_images, homogeneity
from ntkif.study.experiments.kernel import kernel_convergence
from ntkif.study.plots import style

DATA = load("mnist-sample").head(40, 20)


pytestmark = pytest.mark.usefixtures("book_style")


def test_width_rate():
    table = kernel_convergence(DATA.x_train[:10], [16, 64, 256], seeds=range(3))
    axes = style.width_rate(table, "error")
    expected, points, mean = (line.get_xydata() for line in axes.lines)
    assert np.allclose(expected[:, 1], table.groupby("width")["expected"].mean())
    assert np.allclose(points, table[["width", "error"]])
    assert np.allclose(mean[:, 1] ** 2, (table["error"] ** 2).groupby(table["width"]).mean())


def test_images_are_those_of_the_table():
    table = extreme_images(DATA, 1.0, count=3)
    figure = style.image_rows(DATA.images_train[table["row"]], table)
    assert len(figure.axes) == len(table) == 12
    for ax, row in zip(figure.axes, table.itertuples(), strict=True):
        assert (ax.images[0].get_array() == DATA.images_train[row.row]).all()
        assert ax.get_title().startswith(f"{row.label}: ")


def test_digits_in_colour_and_grey():
    for shape in ((4, 8, 8), (4, 8, 8, 3)):
        figure = style.digits(np.zeros(shape, dtype=np.uint8), list("abcd"), ["top", "bottom"])
        assert [ax.get_title() for ax in figure.axes] == list("abcd")


def test_concentration():
    axes = style.concentration(torch.tensor([[3.0, 1.0], [3.0, 1.0]]))
    assert np.allclose(axes.lines[0].get_ydata(), [0.75, 1])


def test_likeness():
    groups = {"helpful": [0, 1, 2], "harmful": [3, 4, 5]}
    table = homogeneity(DATA, groups, draws=20, seed=0).set_index("group")
    figure = style.likeness({"left": table, "right": table})
    assert [ax.get_title() for ax in figure.axes] == ["left", "right"]
    assert np.allclose(figure.axes[0].collections[1].get_offsets()[:, 0], table["similarity"])


def test_ratio_by_ridge():
    rows = pd.DataFrame({"ridge": [1.0, 2.0], "above_tenth": [0.2, 0.1], "above_tenth_top": [0.4, 0.3], "dataset": "a"})
    axes = style.ratio_by_ridge(rows)
    assert [line.get_ydata().tolist() for line in axes.lines] == [[0.2, 0.1], [0.4, 0.3]]


def test_pairs_and_values():
    style.density_of_pairs(torch.tensor([1.0, 10.0]), torch.tensor([1.0, 0.1]), "x", "y")
    assert style.ratio_by_residual(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])).lines[
        0
    ].get_ydata().tolist() == [3, 4]
    axes = style.kernel_values(torch.full((5,), 0.2), torch.full((5,), 0.1), ("same", "other"))
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["same", "other"]
