"""Threads and progress bars as the notebooks' tests have them, and small random problems."""

import os

os.environ |= {"OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"}

from dataclasses import dataclass

import pytest
import torch

from ntkif import ntk, ridge_fit


@dataclass
class Problem:
    """A small random problem on the unit sphere, with its kernels and fit."""

    x_train: torch.Tensor
    y_train: torch.Tensor
    x_test: torch.Tensor
    y_test: torch.Tensor
    ridge: float

    def __post_init__(self):
        self.k_train_train, self.k_test_train = ntk(self.x_train), ntk(self.x_test, self.x_train)
        self.fit = ridge_fit(self.k_train_train, self.y_train, self.ridge)


def make_problem(n=40, k=9, d=6, outputs=1, ridge=0.5, seed=0, dtype=torch.float64) -> Problem:
    generator = torch.Generator().manual_seed(seed)
    x = torch.nn.functional.normalize(torch.randn(n + k, d, generator=generator, dtype=torch.float64))
    labels = torch.randint(max(outputs, 2), (n + k,), generator=generator)
    y = (1.0 - 2 * labels[:, None]).double() if outputs == 1 else torch.nn.functional.one_hot(labels, outputs).double()
    x, y = x.to(dtype), y.to(dtype)
    return Problem(x[:n], y[:n], x[n:], y[n:], ridge)


@pytest.fixture(params=[1, 10], ids=["binary", "ten-class"])
def problem(request) -> Problem:
    return make_problem(outputs=request.param)
