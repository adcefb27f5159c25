"""How far training is from a minimum, and what is said of it."""

import copy
import math
from functools import partial

import pytest
import torch
from linear_model import RIDGE

from ntkif.influence.network import NetworkInfluence, network_influence
from ntkif.influence.stationary import NotStationaryError, balancing_ridge, gradient_share
from ntkif.networks.losses import CROSS_ENTROPY
from ntkif.networks.modules import predict
from ntkif.networks.two_layer import random_network


def test_a_network_that_is_not_trained(fitted):
    p = fitted.p
    arrays = p.x_train, p.y_train, p.x_test, p.y_test
    assert gradient_share(fitted.start, fitted.start, p.x_train, p.y_train, RIDGE) == pytest.approx(1, rel=1e-12)
    with pytest.raises(NotStationaryError, match=r"is 1 of that of its losses, above the tolerance 0\.3"):
        network_influence(fitted.start, *arrays, RIDGE, start=fitted.start)
    near = fitted.trained()
    with torch.no_grad():
        near.trained.weight.mul_(0.95)
    share = gradient_share(near, fitted.start, p.x_train, p.y_train, RIDGE)
    assert 0.01 < share < 0.3
    with pytest.warns(UserWarning, match=f"trained weights is {share:.2g} of that of its losses"):
        network_influence(near, *arrays, RIDGE, start=fitted.start)
    with pytest.warns(UserWarning) as told:
        NetworkInfluence(near, p.x_train, p.y_train, RIDGE, start=fitted.start)
    assert told[0].filename == __file__  # who asked
    network_influence(near, *arrays, RIDGE, start=None)  # no check, and so no warning: they are errors here


def test_the_share_by_plain_gradients(fitted):
    module, p = fitted.start, fitted.p
    moved = fitted.trained()
    with torch.no_grad():
        moved.trained.bias += 1
    parameters = [moved.trained.weight, moved.trained.bias]
    loss = (moved(p.x_train) - p.y_train).square().sum() / 2
    penalty = sum(
        (a - b).square().sum() for a, b in zip(parameters, (module.trained.weight, module.trained.bias), strict=True)
    )
    whole, pull = (
        torch.cat([g.flatten() for g in torch.autograd.grad(value, parameters, retain_graph=True)]).norm()
        for value in (loss + RIDGE / 2 * penalty, loss)
    )
    assert gradient_share(moved, module, p.x_train, p.y_train, RIDGE) == pytest.approx(float(whole / pull), rel=1e-12)


@pytest.mark.parametrize("kind", ["module", "two-layer network"])
def test_a_perfect_fit_is_a_minimum_where_the_network_has_not_moved(fitted, kind):
    """Where the losses have no gradient: with nothing to learn no point matters; else the ridge pulls back."""
    p, start, moved = fitted.p, fitted.start, fitted.trained()
    if kind == "two-layer network":
        start, moved = (random_network(6, width=32, init_scale=1.0, seed=s, outputs=fitted.outputs) for s in (0, 1))
    arrays = p.x_train, predict(start, p.x_train), p.x_test, p.y_test
    assert gradient_share(start, start, *arrays[:2], RIDGE) == 0
    assert not network_influence(start, *arrays, RIDGE, start=start).any()
    arrays = p.x_train, predict(moved, p.x_train), p.x_test, p.y_test
    assert gradient_share(moved, start, *arrays[:2], RIDGE) == math.inf
    with pytest.raises(NotStationaryError, match=r"is only that of its ridge, as its losses have none, above the tol"):
        network_influence(moved, *arrays, RIDGE, start=start)
    assert not network_influence(moved, *arrays, RIDGE, start=None).any()


def test_the_ridge_that_balances_is_that_of_the_training(fitted):
    """At a minimum; and the network that has not moved has none."""
    p, trained = fitted.p, fitted.trained()
    assert balancing_ridge(trained, fitted.start, p.x_train, p.y_train) == pytest.approx(RIDGE, rel=1e-10)
    arrays = p.x_train, p.y_train, p.x_test, p.y_test
    truth = network_influence(trained, *arrays, RIDGE, start=None)
    for how in ({"mean": True}, {}):
        found = network_influence(trained, *arrays, 0.0, start=fitted.start, damping="auto", **how)
        torch.testing.assert_close(found, truth, rtol=1e-8, atol=1e-12)
    with pytest.raises(ValueError, match=r"expected a network that has moved from its start .* a movement of 0"):
        balancing_ridge(fitted.start, fitted.start, p.x_train, p.y_train)
    with pytest.raises(ValueError, match='expected the network before training as start for "auto"'):
        network_influence(trained, *arrays, 0.0, start=None, damping="auto")
    with pytest.raises(ValueError, match="damping: expected zero, a positive number or \"auto\", got 'some'"):
        network_influence(trained, *arrays, 0.0, start=None, damping="some")


def test_the_gradient_is_summed_over_blocks_of_points(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    module, start = (torch.nn.Linear(4, 2).double().eval() for _ in range(2))
    x, y = (torch.randn(11, size, generator=generator, dtype=torch.float64) for size in (4, 2))
    whole = gradient_share(module, start, x, y, 0.5)
    monkeypatch.setattr("ntkif.influence.stationary.AT_ONCE", 3)
    assert gradient_share(module, start, x, y, 0.5) == pytest.approx(whole, rel=1e-12)


def test_targets_are_taken_as_the_loss_takes_them():
    """A vector of them is a column for one output, and else refused: it would be paired with all points."""
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(7, size, generator=generator, dtype=torch.float64) for size in (4, 1))
    module, start = (torch.nn.Linear(4, 1).double().eval() for _ in range(2))
    for asked in (partial(gradient_share, ridge=0.5), balancing_ridge):
        assert asked(module, start, x, y[:, 0]) == asked(module, start, x, y)
        with pytest.raises(ValueError, match="y: expected targets of shape"):
            asked(torch.nn.Linear(4, 7).double().eval(), start, x, y[:, 0])
    several, classes = torch.nn.Linear(4, 3).double().eval(), torch.arange(7) % 3
    one_hot = torch.eye(3, dtype=torch.float64)[classes]
    shares = [gradient_share(several, "zero", x, y, 0.5, loss=CROSS_ENTROPY) for y in (classes, one_hot)]
    assert shares[0] == shares[1]


def test_the_start_may_be_a_frozen_copy(fitted):
    p, trained, start = fitted.p, fitted.trained(), fitted.start
    frozen = copy.deepcopy(start).requires_grad_(False)
    arrays = p.x_train, p.y_train
    assert gradient_share(trained, frozen, *arrays, RIDGE) == gradient_share(trained, start, *arrays, RIDGE)
    assert balancing_ridge(trained, frozen, *arrays) == balancing_ridge(trained, start, *arrays)
    found, wanted = (
        NetworkInfluence(trained, *arrays, RIDGE, start=each).influence(p.x_test, p.y_test) for each in (frozen, start)
    )
    assert torch.equal(found, wanted)
