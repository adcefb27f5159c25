"""The figure of projections: what is drawn is what the table says."""

import numpy as np
import pandas as pd
import pytest

from ntkif.study.plots.projections import error_by_projections

pytestmark = pytest.mark.usefixtures("book_style")


def test_error_by_projections():
    rows = [
        {"ridge": ridge, "projections": p, "seed": s, "relative_error": (1 + s) / p, "parameters": 300, "freedom": 16.0}
        for ridge in (1.0, 10.0)
        for p in (64, 256, 1024)
        for s in (0, 1)
    ]
    figure = error_by_projections({"mini-mnist": pd.DataFrame(rows)}, 0.5)
    left, right = figure.axes
    assert np.allclose(left.lines[0].get_xydata(), [[64, 1.5 / 64], [256, 1.5 / 256]])  # 1024 are enough for all
    assert np.allclose(right.lines[1].get_xydata(), [[0.5, 1.5 / 64], [0.25, 1.5 / 256]])
    line = right.lines[2].get_xydata()
    assert np.allclose(line[:, 1], 0.5 * line[:, 0])
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["mini-mnist, λ = 1", "mini-mnist, λ = 10", r"0.5 $\sqrt{d/p}$"]
