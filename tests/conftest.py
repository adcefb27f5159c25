"""Threads and progress bars as the notebooks' tests have them."""

import os

os.environ |= {"OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"}

import pytest
from problem import Problem, make_problem


@pytest.fixture(params=[1, 10], ids=["binary", "ten-class"])
def problem(request) -> Problem:
    return make_problem(outputs=request.param)
