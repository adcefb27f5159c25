"""Which points are removed: the most influential ones."""

import numpy as np
import pytest
import torch
from problem import linear, sklearn_without
from retrained import SMALL

from ntkif import loo_influence, ntk, ridge_fit
from ntkif.data import load
from ntkif.retraining.selection import chosen_points, largest_and_drawn, most_influential


def test_the_chosen_points():
    """The first test point that is misclassified, and the largest true changes of its loss."""
    dataset, ridge = load("mnist-sample").head(150, 200), 1.0
    point, rows = chosen_points(dataset, ridge, 12)
    fit = ridge_fit(ntk(dataset.x_train), dataset.y_train, ridge)
    wrong = (fit.predict(ntk(dataset.x_test, dataset.x_train)).sign() != dataset.y_test)[:, 0].tolist()
    assert point == wrong.index(True)

    class One:
        y_train, ridge = dataset.y_train, 1.0
        k_train_train, k_test_train = ntk(dataset.x_train), ntk(dataset.x_test[point, None], dataset.x_train)

    def loss(without):
        return float((sklearn_without(One, without) - dataset.y_test[point]) ** 2) / 2

    change = np.abs([loss([i]) - loss([]) for i in range(150)])
    assert rows == np.argsort(-change)[:12].tolist()


def test_where_nothing_is_misclassified_the_largest_loss_is_chosen():
    easy = load("mnist-sample").head(800, 8)
    fit = ridge_fit(ntk(easy.x_train), easy.y_train, 1.0)
    prediction = fit.predict(ntk(easy.x_test, easy.x_train))
    assert (prediction.sign() == easy.y_test).all()
    assert chosen_points(easy, 1.0, 3)[0] == int((prediction - easy.y_test).abs().argmax())


@pytest.mark.parametrize("count", [0, 41])
def test_more_removals_than_points(count):
    with pytest.raises(ValueError, match=f"removals: expected between 1 and 40 training points, got {count}"):
        chosen_points(SMALL, 1.0, count)


DATA = load("mnist-sample").head(30, 20)
RIDGE = 0.5


def test_rows_are_the_most_influential():
    fit = ridge_fit(ntk(DATA.x_train), DATA.y_train, RIDGE)
    size = loo_influence(fit, ntk(DATA.x_test, DATA.x_train), DATA.y_test).square().sum(0)
    assert most_influential(DATA, RIDGE, 4) == size.argsort(descending=True)[:4].tolist()


def test_another_kernel_chooses_by_its_own_influence():
    fit = ridge_fit(linear(SMALL.x_train), SMALL.y_train, 1.0)
    k_test_train = linear(SMALL.x_test, SMALL.x_train)
    influence = loo_influence(fit, k_test_train, SMALL.y_test)
    rows = influence.square().sum(0).argsort(descending=True)[:6].tolist()
    assert most_influential(SMALL, 1.0, 6, kernel=linear) == rows != most_influential(SMALL, 1.0, 6)
    point, rows = chosen_points(SMALL, 1.0, 6, kernel=linear)
    wrong = (fit.predict(k_test_train).sign() != SMALL.y_test)[:, 0].tolist()
    assert point == wrong.index(True) and rows == influence[point].abs().argsort(descending=True)[:6].tolist()


def test_half_of_the_largest_and_others_that_are_drawn():
    influence = torch.tensor([[1.0, -5.0, 0.0, 3.0, 0.5], [0.0, 1.0, 0.1, -4.0, 0.2]])
    rows, kinds = largest_and_drawn(influence, 5, seed=0)
    assert rows[:2] == [1, 3] and sorted(rows) == [0, 1, 2, 3, 4]
    assert kinds == ["influential"] * 2 + ["drawn"] * 3
    assert largest_and_drawn(influence, 4, seed=0) == (rows[:4], kinds[:4])
