"""The figures of the practitioner's page: what is drawn is what the table says."""

import numpy as np
import pandas as pd
import pytest

from ntkif.study.experiments.practice_methods import DAMPINGS, METHODS
from ntkif.study.plots.practice import errors_by_setting, scale_by_damping

pytestmark = pytest.mark.usefixtures("book_style")


def test_errors_by_setting():
    rows = [
        {"setting": setting, "seed": seed, "method": method, "relative_error": 0.1 + place + seed / 10}
        for setting in ("one", "two")
        for place, method in enumerate(METHODS)
        for seed in (0, 1)
    ]
    (ax,) = errors_by_setting(pd.DataFrame(rows)).axes
    drawn = {line.get_label(): line.get_xydata() for line in ax.lines if line.get_label() in METHODS}
    assert set(drawn) == {METHODS[place] for place in (1, 2, 3, 4, 5, 6)}
    assert np.allclose(drawn[METHODS[6]][:, 0], [6.1, 6.2, 6.1, 6.2])
    assert np.allclose(np.round(drawn[METHODS[6]][:, 1]), [0, 0, 1, 1])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["one", "two"]


def test_scale_by_damping():
    rows = [
        {
            "setting": setting,
            "seed": seed,
            "method": f"own kernel, damping {damping:g}",
            "penalty": damping,
            "pearson": 0.1 * place + seed,
            "slope": 1 / damping,
        }
        for setting in ("one", "two")
        for place, damping in enumerate(DAMPINGS)
        for seed in (0, 1)
    ]
    other = [{"setting": "three", "seed": 0, "method": METHODS[5], "penalty": 2.0, "pearson": 1.0, "slope": 1.0}]
    left, right = scale_by_damping(pd.DataFrame(rows + other)).axes
    lines = [ax.get_lines() for ax in (left, right)]
    assert [line.get_label() for line in lines[0]] == ["one", "two"]
    assert np.allclose(lines[0][0].get_xydata(), [[d, 0.1 * i + 0.5] for i, d in enumerate(DAMPINGS)])
    assert np.allclose(lines[1][1].get_xydata(), [[d, 1 / d] for d in DAMPINGS])
