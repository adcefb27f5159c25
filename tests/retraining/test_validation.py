"""A few removals really carried out, and what is said of them."""

import pytest
import torch
from torch import nn

from ntkif.influence.network import NetworkInfluence
from ntkif.metrics import agreement
from ntkif.networks.modules import train_module
from ntkif.retraining.validation import validate
from ntkif.training.optimizers import SGD
from ntkif.training.recording import record_training

RIDGE = 1.0


def some(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


X, Y, TEST, Y_TEST = some(30, 4), some(30, seed=1), some(6, 4, seed=2), some(6, seed=3)


def trainer(start, seen=None):
    def train(kept):
        assert torch.is_grad_enabled()  # a user's training needs it
        if seen is not None:
            seen.append(kept.tolist())
        return train_module(start, X[kept], Y[kept, None], RIDGE)

    return train


def test_a_linear_network_is_predicted_exactly():
    start, seen = nn.Linear(4, 1).double().eval(), []
    train = trainer(start, seen)
    network = train(torch.arange(30))
    model = NetworkInfluence(network, X, Y, RIDGE, start=start)
    seen.clear()
    found = validate(model, train, TEST, Y_TEST, count=6, progress=False)
    whole = set(range(30))
    assert [whole - set(kept) for kept in seen] == [set(), *({row} for row in found.rows)]
    assert found.scores["relative_error"] < 1e-6 and found.scores["slope"] == pytest.approx(1, abs=1e-6)
    assert torch.equal(found.predicted, model.influence(TEST, Y_TEST)[:, found.rows])
    sizes = model.influence(TEST, Y_TEST).norm(dim=0).argsort(descending=True).tolist()
    assert found.rows[:3] == sizes[:3] and len(set(found.rows)) == 6
    again = validate(model, train, TEST, Y_TEST, rows=found.rows[:2], progress=False)
    assert again.rows == found.rows[:2]


def test_a_network_that_bends_shows_its_error_and_how_sure_that_is():
    torch.manual_seed(0)
    start = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1)).double().eval()
    train = trainer(start)
    model = NetworkInfluence(train(torch.arange(30)), X, Y, RIDGE, start=start, tolerance=0.5)
    found = validate(model, train, TEST, Y_TEST, count=8, progress=False)
    assert found.scores == agreement(found.predicted, found.actual)
    for name, (low, high) in found.spread.items():
        assert low < high and low - 0.1 < found.scores[name] < high + 0.1
    first, *lines = str(found).split("\n")
    assert first == "8 removals, 6 test points, 90 % of draws"
    assert [line.split()[0] for line in lines] == ["pearson", "spearman", "slope", "relative_error"]


def test_wrong_input():
    start = nn.Linear(4, 1).double().eval()
    model = NetworkInfluence(start, X, Y, RIDGE, start=None)
    with pytest.raises(ValueError, match="count: expected between 2 and 30 training points, got 1"):
        validate(model, trainer(start), TEST, Y_TEST, count=1)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([3], r"rows: expected at least two training points, got \[3\]"),
        ([], "rows: expected a list of distinct training rows"),
        ([2, 5, -1], r"rows: expected a list of distinct training rows, whole numbers from 0 to 29, got .*-1\]"),
        ([0, 30], "rows: expected a list of distinct training rows"),
        ([2, 2], "rows: expected a list of distinct training rows"),
    ],
)
def test_rows_that_are_not_there_are_refused_before_anything_is_trained(rows, said):
    model = NetworkInfluence(nn.Linear(4, 1).double().eval(), X, Y, RIDGE, start=None)
    with pytest.raises(ValueError, match=said):
        validate(model, lambda kept: pytest.fail("trained"), TEST, Y_TEST, rows=rows, progress=False)


def test_points_that_are_the_same_may_be_left_out():
    """Draws of these alone have no correlation, and do not count."""
    start, x, y = nn.Linear(4, 1).double().eval(), X.clone(), Y.clone()
    x[1:3], y[1:3] = x[0], y[0]

    def train(kept):
        return train_module(start, x[kept], y[kept, None], RIDGE)

    model = NetworkInfluence(train(torch.arange(30)), x, y, RIDGE, start=start)
    found = validate(model, train, TEST[:1], Y_TEST[:1], rows={0, 1, 2, 7}, progress=False)
    assert found.rows == [0, 1, 2, 7] and found.scores["relative_error"] < 1e-6


def test_a_recorded_training_is_told_of_its_own_check():
    how = {"loss": "squares", "optimizer": SGD(0.1), "epochs": 2, "folds": 3, "alone": 2, "progress": False}
    run = record_training(nn.Linear(4, 1).double().eval(), X, Y[:, None], **how)
    with pytest.raises(
        TypeError, match=r"expected a NetworkInfluence, got RecordedTraining; .* check\(x_test, y_test\)"
    ):
        validate(run, lambda kept: run.module, TEST, Y_TEST)
