"""Figures of complexity: what is drawn is what the table says."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from plotted import lines, made

from ntkif.study import plots
from ntkif.study.plots.complexity import complexity_of_groups, complexity_over_ridges

pytestmark = pytest.mark.usefixtures("book_style")


def test_complexity():
    table = made("complexity", "baseline", "low", "high", ridge=[0.5, 4.0], group=range(5))
    one = table[table["ridge"] == 4.0].reset_index(drop=True)
    figure = complexity_of_groups({"a": one, "b": one})
    bars = figure.axes[1].patches[1:]
    assert [bar.get_height() for bar in bars] == one["complexity"].tolist()
    assert [to_rgb(bar.get_facecolor()) for bar in bars[::4]] == [
        to_rgb(plots.COLORS[kind]) for kind in ("harmful", "helpful")
    ]
    band = figure.axes[1].patches[0].get_extents().transformed(figure.axes[1].transData.inverted())
    assert np.allclose([band.y0, band.y1], sorted(one.loc[0, ["low", "high"]]))
    figure = complexity_over_ridges({"a": table})
    drawn = lines(figure.axes[0])
    assert np.allclose(drawn["λ = 4"], np.column_stack([range(5), one["complexity"] / one["baseline"]]))
