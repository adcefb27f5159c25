"""Figures of solvers: what is drawn is what the table says."""

import numpy as np
import pandas as pd
import pytest
from plotted import labels, lines

from ntkif.study.plots.solvers import solver_curves

pytestmark = pytest.mark.usefixtures("book_style")


def test_solver_curves_leave_out_what_diverged():
    table = pd.DataFrame({"depth": [1, 2, 3], "pearson": [0.5, np.nan, 0.9], "diverged": [False, True, False]})
    ax = solver_curves({"name": table}, "depth", {"pearson": "R"}).axes[0]
    assert lines(ax)["name"].tolist() == [[1, 0.5], [3, 0.9]] and labels(ax) == ("steps", "R")
