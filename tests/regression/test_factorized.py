"""One factorisation for each image set: what one would compute, and forgotten with the set."""

import gc
import weakref
from dataclasses import replace

import pytest
import torch
from problem import linear

from ntkif import ntk, ridge_fit
from ntkif.data import load
from ntkif.regression.factorized import factorized
from ntkif.regression.flow import kernel_flow

DATA = load("mnist-sample").head(60, 20)
TEN = load("mini-mnist-sample").head(60, 20)


@pytest.mark.parametrize("dataset", [DATA, TEN], ids=["binary", "ten-class"])
def test_it_is_what_one_would_compute(dataset):
    solved, kernel = factorized(dataset), ntk(dataset.x_train)
    assert (solved.k_train_train == kernel).all()
    assert (solved.k_test_train == ntk(dataset.x_test, dataset.x_train)).all()
    assert (solved.fit(0.5).dual == ridge_fit(kernel, dataset.y_train, 0.5).dual).all()
    assert (solved.interpolant.dual == ridge_fit(kernel, dataset.y_train, 0.0).dual).all()
    assert torch.allclose(solved.flow(0.3).dual(2.0), kernel_flow(kernel, dataset.y_train, 0.3).dual(2.0))
    other = -dataset.y_train
    assert torch.allclose(solved.flow(0.3, other).dual(2.0), -solved.flow(0.3).dual(2.0))


def test_sets_are_told_apart_and_forgotten():
    one = load("mnist-sample").head(10, 5)
    assert factorized(one) is factorized(one) is not factorized(replace(one))
    seen = weakref.ref(factorized(one))
    del one
    gc.collect()
    assert seen() is None


def test_each_kernel_has_its_own():
    solved = factorized(DATA, linear)
    assert solved is factorized(DATA, linear) is not factorized(DATA)
    assert (solved.k_train_train == linear(DATA.x_train)).all()
    assert (solved.k_test_train == linear(DATA.x_test, DATA.x_train)).all()
    assert (solved.fit(0.5).dual == ridge_fit(linear(DATA.x_train), DATA.y_train, 0.5).dual).all()
