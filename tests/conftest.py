"""Threads and progress bars as the notebooks' tests have them, figures without a window, and shared fixtures."""

import os

os.environ |= {"OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1", "MPLBACKEND": "Agg"}

import pytest
from problem import Problem, make_problem


@pytest.fixture(params=[1, 10], ids=["binary", "ten-class"])
def problem(request) -> Problem:
    return make_problem(outputs=request.param)


@pytest.fixture
def book_style():
    """The style of the book's figures, and no figure left open."""
    from matplotlib import pyplot

    from ntkif import plots

    plots.use_style()
    yield
    pyplot.close("all")
