"""Where descent ends: what is drawn is what the table says."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from plotted import NAMES, both, labels, lines, of_start

from ntkif.study.plots.at_rest import hops_by_share
from ntkif.study.plots.style import START_COLORS

pytestmark = pytest.mark.usefixtures("book_style")


def test_hops_are_drawn_over_the_share_a_line_for_each_start():
    table = both("share", "hop", learning_rate=[0.001, 0.002, 0.004])
    (ax,) = hops_by_share(table).axes
    assert sorted(lines(ax)) == sorted(NAMES)
    for line in ax.lines:
        name = line.get_label()
        own = of_start(table, name).sort_values("share")
        assert np.allclose(line.get_xydata(), own[["share", "hop"]]) and line.get_marker() == "o"
        assert to_rgb(line.get_color()) == to_rgb(START_COLORS[name])
    assert ax.get_yscale() == "log" and ax.get_xlim()[0] == 0
    assert labels(ax) == ("share of the step in the largest stable one", "change in one more step")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == list(NAMES)
