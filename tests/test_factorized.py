"""One factorisation for each image set, and the closed forms against brute force."""

import gc
import weakref
from dataclasses import replace

import pytest
import torch

from ntkif import ntk, refit_without, ridge_fit
from ntkif.data import load
from ntkif.regression import factorized as module
from ntkif.regression.factorized import factorized
from ntkif.regression.flow import kernel_flow
from ntkif.study.experiments import brute_force
from ntkif.study.experiments.dynamics import images_along, turnover
from ntkif.study.experiments.ihvp import errors_by_ridge
from ntkif.study.experiments.kernel import kernel_errors
from ntkif.study.experiments.label_noise import noise_along

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


def test_experiments_share_it(monkeypatch):
    calls = []

    def counted(name):
        original = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *args: calls.append(name) or original(*args))

    for name in ("ridge_fit", "kernel_flow"):
        counted(name)
    dataset = load("mnist-sample").head(60, 20)
    monkeypatch.setattr(factorized(dataset), "_kernel", lambda x, z: calls.append("kernel") or ntk(x, z))
    errors_by_ridge(dataset, [0.5, 2.0])
    errors_by_ridge(dataset, [2.0, 0.5])
    turnover(dataset, 0.0, [0.1], top=3)
    for kind in ("influential", "harmful"):
        images_along(dataset, 0.0, [0.1], [0, 1], [kind])
    noise_along(dataset, 0.4, 0, 0.0, [0.1], [1])
    assert sorted(calls) == ["kernel", "kernel", "kernel_flow", "ridge_fit", "ridge_fit"]


def test_sets_are_told_apart_and_forgotten():
    one = load("mnist-sample").head(10, 5)
    assert factorized(one) is factorized(one) is not factorized(replace(one))
    seen = weakref.ref(factorized(one))
    del one
    gc.collect()
    assert seen() is None


@pytest.mark.parametrize("dataset", [DATA, TEN], ids=["binary", "ten-class"])
def test_closed_forms_are_exact_and_a_wrong_one_is_seen(dataset, monkeypatch):
    assert brute_force.refit_deviations(dataset, [0.1, 1.0], 2, 0)["deviation"].max() < 1e-10
    table = brute_force.flow_deviations(dataset, [0.01, 1.0], 2, 0)
    assert table["deviation"].max() < 1e-9 and table["row"].nunique() == 2
    monkeypatch.setattr(brute_force, "_choice", lambda *args: [3])
    monkeypatch.setattr(brute_force, "refit_without", lambda *problem: refit_without(*problem[:-1], problem[-1] + 1))
    assert brute_force.refit_deviations(dataset, [1.0], 1, 0)["deviation"].max() > 0.1


def test_kernel_errors_are_those_of_the_training_images():
    table = kernel_errors(DATA, [64], [0, 1])
    assert len(table) == 2 and (table["error"] / table["expected"]).between(0.5, 2).all()
