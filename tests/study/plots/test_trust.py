"""The figures of trust: what is drawn is what the tables say."""

import numpy as np
import pandas as pd
import pytest

from ntkif.study.experiments.trust import DAMPINGS
from ntkif.study.plots.trust import error_by_damping, error_by_linearity

pytestmark = pytest.mark.usefixtures("book_style")


def test_error_by_linearity():
    table = pd.DataFrame(
        {"network": ["linear", "tanh", "tanh"], "linearity": [1e-9, 0.1, 0.5], "relative_error": [1e-5, 0.2, 0.9]}
    )
    (ax,) = error_by_linearity(table, (0.05, 0.3)).axes
    assert np.allclose(ax.lines[0].get_xydata(), [[1e-3, 1e-3]])
    assert np.allclose(ax.lines[1].get_xydata(), [[0.1, 0.2], [0.5, 0.9]])
    assert [line.get_xdata()[0] for line in ax.lines[2:]] == [0.05, 0.3]


def test_error_by_damping():
    rows = [
        {
            "network": kind,
            "loss": "squares",
            "how": "plain",
            "steps": 9,
            "damping": damping,
            "relative_error": 0.1 + place,
        }
        for kind in ("tanh", "relu")
        for place, damping in enumerate(DAMPINGS)
        for _ in range(3)
    ]
    (ax,) = error_by_damping(pd.DataFrame(rows)).axes
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        "tanh, squares, plain, 9 steps",
        "relu, squares, plain, 9 steps",
    ]
    assert np.allclose(ax.lines[1].get_xydata(), [[1.1, 0.0]] * 3)
    assert np.allclose(ax.lines[5].get_xydata(), [[2.1, 1.22]] * 3)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == list(DAMPINGS)
