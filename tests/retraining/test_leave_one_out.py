"""The loop that trains with and without each point, and the influence that it gives."""

import pytest
import torch

from ntkif.networks.losses import CROSS_ENTROPY
from ntkif.retraining.leave_one_out import leave_one_out, true_influence, without


def test_training_sees_all_points_and_then_each_set_without_one():
    x, y = torch.arange(8.0).reshape(4, 2), torch.arange(4.0)[:, None]
    seen = list(leave_one_out(lambda *arrays: arrays, x, y, [2, 0]))
    assert [y[:, 0].tolist() for _, y in seen] == [[0, 1, 2, 3], [0, 1, 3], [1, 2, 3]]
    assert all(torch.equal(x[:, 0] / 2, y[:, 0]) for x, y in seen)
    assert without(None, x, y) == (x, y)


@pytest.mark.parametrize("row", [-1, 4])
def test_a_row_that_is_not_there_would_remove_nothing(row):
    x = torch.eye(4)
    with pytest.raises(ValueError, match=f"row: expected a training point from 0 to 3, got {row}"):
        without(row, x)
    with pytest.raises(ValueError, match="row: expected a training point"):
        next(leave_one_out(lambda x, y: pytest.fail("trained"), x, x, [1, row]))


@pytest.mark.parametrize(("predictions", "y_test"), [((3, 4, 1), (4,)), ((3, 4, 4), (4,)), ((3, 4), (4, 1))])
def test_targets_of_another_shape_are_not_paired_with_all(predictions, y_test):
    with pytest.raises(ValueError, match=r"turn a vector of targets into a column with y\[:, None\]"):
        true_influence(torch.ones(predictions), torch.ones(y_test))


def test_networks_are_trained_one_at_a_time():
    """Each is wanted before the next one is trained, so that a caller may keep it or stop."""
    trained, x = [], torch.eye(3)
    networks = leave_one_out(lambda x, y: trained.append(len(x)), x, x, [0, 1])
    assert not trained
    next(networks), next(networks)
    assert trained == [3, 2]


@pytest.mark.parametrize("as_list", [False, True])
def test_positive_influence_means_helpful(as_list):
    """Without the first point the test point is lost by 2, without the second it is met."""
    predictions = torch.tensor([[[1.0, 0.0]], [[2.0, 0.0]], [[0.0, 0.0]]])
    y_test = torch.zeros(1, 2)
    assert true_influence(list(predictions) if as_list else predictions, y_test).tolist() == [[1.5, -0.5]]


def test_the_loss_may_be_another():
    predictions, y_test = torch.tensor([[[0.0, 0.0]], [[0.0, 1.0]]]), torch.tensor([[1.0, 0.0]])
    found = true_influence(predictions, y_test, CROSS_ENTROPY.value)
    assert float(found) == pytest.approx(float(torch.log((1 + torch.e ** torch.tensor(1.0)) / 2)), rel=1e-6)


def test_rows_may_come_one_at_a_time():
    x, y, rows = torch.eye(4), torch.arange(4.0)[:, None], [0, 2, None]
    means = [list(leave_one_out(lambda a, b: float(b.mean()), x, y, each)) for each in (rows, iter(rows))]
    assert means[0] == means[1] == pytest.approx([1.5, 2.0, 4 / 3, 1.5])


def test_a_loss_of_class_numbers_takes_them():
    predictions, numbers = torch.randn(3, 4, 2, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 1, 0])

    def loss(f, y):
        return -f.log_softmax(-1).gather(-1, y.expand(f.shape[:-1])[..., None])[..., 0]

    found = true_influence(predictions, numbers, loss)
    assert torch.equal(found, (loss(predictions[1:], numbers) - loss(predictions[:1], numbers)).T)
    with pytest.raises(ValueError, match="or what the loss takes"):
        true_influence(predictions, numbers, lambda f, y: f)
