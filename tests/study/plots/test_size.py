"""Figures of cost draw what their table holds."""

import numpy as np
import pandas as pd
import pytest

from ntkif.study.plots import size

pytestmark = pytest.mark.usefixtures("book_style")


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
