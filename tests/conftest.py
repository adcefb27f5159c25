"""Threads and progress bars as the notebooks' tests have them, and shared fixtures."""

import os

# What the environment sets already stays: tests/arithmetic.py chooses other threads.
os.environ |= {"OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"} | os.environ

import pytest
from problem import Problem, make_clusters, make_problem

# A program that a test runs: to be read for doctests it would need Triton, and set it up for all tests.
collect_ignore = ["retraining/compiled.py"]


@pytest.fixture(params=[1, 10], ids=["binary", "ten-class"])
def problem(request) -> Problem:
    return make_problem(outputs=request.param)


@pytest.fixture
def book_style():
    """The style of the book's figures, drawn without a window, and none left open."""
    import matplotlib
    from matplotlib import pyplot

    from ntkif.study import plots

    matplotlib.use("Agg")  # not by MPLBACKEND, which the kernels of the notebooks would inherit
    plots.use_style()
    yield
    pyplot.close("all")


@pytest.fixture(scope="module")
def clusters():
    return make_clusters()


@pytest.fixture(scope="module")
def client():
    """Two worker processes on this machine."""
    from ntkif.regression import cluster

    with cluster.connect(workers=2, memory_limit="2GiB") as client:
        yield client


@pytest.fixture
def small(monkeypatch):
    """Settings of Figure 4 for forty images."""
    from dataclasses import replace

    from ntkif.study.experiments.catalogue import EXPERIMENTS

    settings = {"mnist": {"ridge": 1.0, "count": 3}}
    monkeypatch.setitem(EXPERIMENTS, "figure-4-images", replace(EXPERIMENTS["figure-4-images"], settings=settings))
