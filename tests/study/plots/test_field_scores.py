"""The figure of the scores of the field: what is drawn is what the table says."""

import numpy as np
import pandas as pd
import pytest

from ntkif.study.experiments.comparison import METHODS
from ntkif.study.experiments.field_scores import SETS, TRACIN
from ntkif.study.plots.field_scores import MARKS, scores_of_methods

pytestmark = pytest.mark.usefixtures("book_style")


def test_scores():
    assert set(MARKS) == {*METHODS, *SETS, TRACIN}
    rows = []
    for seed in (0, 1):
        for number, method in enumerate(MARKS):
            value = 0.1 * number + 0.01 * seed
            ends = {"value": value, "low": value - 0.05, "high": value + 0.05, "slope": 2 * value}
            rows.append({"seed": seed, "score": "LDS", "of": 0.5, "method": method} | ends)
            rows.append(rows[-1] | {"of": 0.1, "value": 9.0})
    shown = {"ranks": ("LDS", 0.5, "value"), "scale": ("LDS", 0.5, "slope")}
    figure = scores_of_methods(pd.DataFrame(rows).sample(frac=1, random_state=0), shown)
    ranks, scale = figure.axes
    assert [ax.get_title() for ax in figure.axes] == list(shown)
    drawn = {line.get_label(): line for line in ranks.lines}
    assert list(drawn) == list(MARKS)
    for number, (method, (mark, color)) in enumerate(MARKS.items()):
        line = drawn[method]
        assert np.allclose(line.get_xdata(), [0.1 * number, 0.1 * number + 0.01])
        assert np.allclose(line.get_ydata(), [0.2 - number, -number])
        assert (line.get_marker(), line.get_color()) == (mark, color)
        assert line.get_markerfacecolor() == ("white" if method in SETS else color)
        ends = [segment[:, 0] for segment in ranks.collections[number].get_segments()]
        assert np.allclose(ends, [[0.1 * number + s - 0.05, 0.1 * number + s + 0.05] for s in (0, 0.01)])
    slopes = {line.get_label(): line for line in scale.lines}
    assert np.allclose(slopes[TRACIN].get_xdata(), 2 * drawn[TRACIN].get_xdata()) and not scale.collections
