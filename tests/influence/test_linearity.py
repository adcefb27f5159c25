"""Whether a network says that it is far from linear where a removal takes it."""

import warnings

import pytest
import torch
from torch import nn

from ntkif import network_influence, validate
from ntkif.influence.linearity import bends
from ntkif.influence.network import NetworkInfluence
from ntkif.networks.modules import train_module


def some(*size, seed=0):
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def bent(ridge, **how):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2)).double().eval()
    return NetworkInfluence(module, some(12, 4), some(12, 2, seed=1), ridge, start=None, **how)


@pytest.mark.parametrize("how", [{}, {"projections": 1000}], ids=["kernel", "projections"])
def test_a_network_that_bends_is_told_of_where_the_user_asked(how):
    test = some(70, 4, seed=2), some(70, 2, seed=3)
    with pytest.warns(UserWarning, match=r"departs from its linearisation by [\d.]+ of what these do") as caught:
        asked = bent(0.01, **how).influence(*test)
    assert [each.filename for each in caught] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(bent(0.01, **how).influence(*test, trust=True), asked)
        bent(1000.0, **how).influence(*test)


def test_what_is_told_is_the_median_of_the_three_largest_removals():
    model, (x_test, y_test) = bent(0.01), (some(70, 4, seed=2), some(70, 2, seed=3))
    rows = model.influence(x_test, y_test, trust=True).norm(dim=0).topk(3).indices
    told = f"{float(model.linearity(x_test[:64], rows.tolist()).median()):.2g}"
    with pytest.warns(UserWarning, match=f"by {told} of what"):
        model.influence(x_test, y_test)
    before = [value.clone() for value in model.reading.parameters()]
    assert torch.equal(bends(model, model.test_points(x_test, y_test)[0], [3]), model.linearity(x_test, [3]))
    assert all(map(torch.equal, before, model.reading.parameters()))


def test_the_traced_kernel_has_no_steps_to_look_along():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bent(0.01, traced=True).influence(some(5, 4), some(5, 2))


def test_a_recurrent_network_is_told_of_and_retraining_says_so():
    """Stopped before two trainings that differ by rounding part."""

    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell, self.last = nn.LSTM(2, 4, batch_first=True), nn.Linear(4, 1)

        def forward(self, x):
            return self.last(self.cell(x.reshape(len(x), -1, 2))[0][:, -1])

    torch.manual_seed(0)
    start, ridge = Recurrent().double().eval(), 0.02
    x, y, x_test, y_test = some(30, 8), some(30, 1, seed=1), some(20, 8, seed=2), some(20, 1, seed=3)

    def train(kept):
        return train_module(start, x[kept], y[kept], ridge, iterations=30)

    network = train(torch.arange(30))
    with pytest.warns(UserWarning, match="departs from its linearisation"):
        network_influence(network, x, y, x_test, y_test, ridge, start=None)
    model = NetworkInfluence(network, x, y, ridge, start=None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = validate(model, train, x_test, y_test, count=4, progress=False)
    assert found.scores["relative_error"] > 0.3


def test_a_backward_pass_of_the_user_that_waits_goes_through():
    model = bent(0.01)
    loss = model.reading(some(5, 4)).square().sum()
    model.linearity(some(5, 4), [3])
    loss.backward()
    assert all(value.grad is not None for value in model.reading.parameters())
