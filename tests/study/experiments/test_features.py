"""Feature fits against the exact one, at tiny size."""

import pytest
import torch

from ntkif.data import load
from ntkif.influence.closed_form import loo_influence
from ntkif.kernels.infinite import ntk
from ntkif.metrics import agreement
from ntkif.regression.nystrom import nystrom_fit
from ntkif.regression.ridge import ridge_fit
from ntkif.study.experiments.features import feature_errors, features_of_all


def test_the_error_falls_to_zero_with_the_features():
    table = feature_errors(load("mini-mnist-sample").head(150, 40), 1.0, [20, 75, 150], [0, 1])
    errors = table.groupby("features")["relative_error"].max()
    assert errors.is_monotonic_decreasing and errors[150] < 1e-8 < 0.1 < errors[75]
    last = table[table["features"] == 150]
    assert (last["test_error"] == last["exact_test_error"]).all() and (table["seconds"] > 0).all()
    assert table.groupby("seed").size().tolist() == [3, 3]


@pytest.mark.parametrize(("single", "most"), [(False, 1e-8), (True, 1e-3)])
def test_of_some_images_the_exact_influence_is_that_of_the_closed_form(single, most):
    data, rows = load("mini-mnist-sample").head(150, 40), [7, 3]
    table = features_of_all(data, 1.0, [20, 150], 30, 15, rows, 4, 0, single)
    table = table[table["chosen"] == "drawn"].set_index(["features", "kind"])
    fit = ridge_fit(ntk(data.x_train), data.y_train, 1.0)
    truth = loo_influence(fit, ntk(data.x_test[:15], data.x_train), data.y_test[:15])[:, rows]
    assert table.loc[(20, "influential"), "norm"] == pytest.approx(float(truth.norm()), rel=most)
    assert table.loc[(20, "influential"), "leverage"] == pytest.approx(float(fit.leverage[rows].max()), rel=most)
    assert (table.loc[150, "relative_error"] < most).all() and (table.loc[20, "relative_error"] > 0.1).all()
    marks = data.x_train[torch.randperm(150, generator=torch.Generator().manual_seed(0))[:20]]
    few = nystrom_fit([(data.x_train, data.y_train)], marks, 1.0)
    part = few.loo_influence(data.x_train[rows], data.y_train[rows], data.x_test[:15], data.y_test[:15])
    assert table.loc[(20, "influential"), "slope"] == pytest.approx(agreement(part, truth)["slope"], rel=most)
    assert (table.loc[150, "test_error"] == table.loc[150, "exact_test_error"]).all()


def test_a_first_pass_makes_landmarks_of_the_images_that_matter():
    data = load("mini-mnist-sample").head(300, 40)
    fit = ridge_fit(ntk(data.x_train), data.y_train, 4.0)
    size = loo_influence(fit, ntk(data.x_test, data.x_train), data.y_test).norm(dim=0)
    table = features_of_all(data, 4.0, [150], 60, 40, size.topk(5).indices.tolist(), 4, 0, False)
    errors = table.set_index(["chosen", "kind"])["relative_error"]
    assert errors["half by influence", "influential"] < errors["drawn", "influential"] / 5
