"""The closed forms against brute force."""

import pytest
import torch

from ntkif import group_influence, ntk, refit_without, ridge_fit
from ntkif.data import load
from ntkif.study.experiments import brute_force

DATA = load("mnist-sample").head(60, 20)
TEN = load("mini-mnist-sample").head(60, 20)


@pytest.mark.parametrize("dataset", [DATA, TEN], ids=["binary", "ten-class"])
def test_closed_forms_are_exact_and_a_wrong_one_is_seen(dataset, monkeypatch):
    assert brute_force.refit_deviations(dataset, [0.1, 1.0], 2, 0)["deviation"].max() < 1e-10
    table = brute_force.flow_deviations(dataset, [0.01, 1.0], 2, 0)
    assert table["deviation"].max() < 1e-9 and table["row"].nunique() == 2
    monkeypatch.setattr(brute_force, "_choice", lambda *args: [3])
    monkeypatch.setattr(brute_force, "refit_without", lambda *problem: refit_without(*problem[:-1], problem[-1] + 1))
    assert brute_force.refit_deviations(dataset, [1.0], 1, 0)["deviation"].max() > 0.1


@pytest.mark.parametrize("dataset", [DATA, TEN], ids=["binary", "ten-class"])
def test_groups_left_out_by_another_solver_are_those_of_the_closed_form(dataset):
    groups, kernel, test = [[3], [5, 7, 50]], ntk(dataset.x_train), ntk(dataset.x_test, dataset.x_train)
    predictions, influence = brute_force.refit_by_sklearn(dataset, 0.5, groups)
    fit = ridge_fit(kernel, dataset.y_train, 0.5)
    assert torch.allclose(predictions[:, 0], fit.loo_predict(test)[:, 3], atol=1e-10)
    assert torch.allclose(influence, group_influence(fit, test, dataset.y_test, groups), atol=1e-10)
    assert not torch.allclose(influence, group_influence(fit, test, dataset.y_test, groups[::-1]), atol=1e-4)
