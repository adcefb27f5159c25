"""Figures of networks trained otherwise: what is drawn is what the table says."""

import pandas as pd
import pytest

from ntkif.study.plots.other_objectives import errors_by_damping

pytestmark = pytest.mark.usefixtures("book_style")


def test_damping():
    rows = [
        {"time": t, "method": "damping", "factor": f, "relative_error": t * f, "seed": 0}
        for t in (1, 2)
        for f in (1, 2)
    ]
    rows += [
        {"time": t, "method": m, "relative_error": t * 0.1, "seed": 0}
        for t in (1, 2)
        for m in ("own kernel, flow", "analytic kernel, flow")
    ]
    figure = errors_by_damping(pd.DataFrame(rows))
    for t, ax in zip((1, 2), figure.axes, strict=True):
        assert ax.containers[0][0].get_xydata().tolist() == [[1, t], [2, 2 * t]]
        levels = {line.get_label(): line.get_ydata()[0] for line in ax.lines if "flow" in line.get_label()}
        assert levels == pytest.approx({"own kernel, flow": 0.1 * t, "analytic kernel, flow": 0.1 * t})
        assert ax.get_title() == f"t = {t:g}"
