"""Networks trained as people train them, and what is told of such a training."""

import numpy as np
import pytest
import torch

from ntkif.data import load
from ntkif.influence.network import network_influence
from ntkif.networks.losses import CROSS_ENTROPY
from ntkif.study.experiments.trained_networks import (
    Case,
    draw,
    growth,
    kernel_influence,
    record_case,
    sharpness_share,
    small_network,
)

TEN, TWO = load("mini-mnist-sample"), load("mnist-sample")
SMALL = Case("small", width=6, rate=0.1, batch_size=8, epochs=5)


@pytest.fixture(scope="module")
def drawn():
    return draw(SMALL, TEN, 24, 6, 3, pool=7)


@pytest.fixture(scope="module")
def run(drawn):
    return record_case(SMALL, *drawn[:2], 3, folds=4)


def test_a_draw_is_of_means_over_squares_and_of_its_own_labels():
    x, y, x_test, y_test = draw(SMALL, TEN, 30, 5, 1, pool=7)
    assert x.shape == (30, 1, 4, 4) and y.shape == (30, 10) and x_test.shape == (5, 1, 4, 4) and y_test.shape == (5, 10)
    means = TEN.images_train.reshape(-1, 4, 7, 4, 7).mean((2, 4)) / 255
    for point, target in zip(x[:, 0].numpy(), y, strict=True):
        row = int(np.abs(means - point).sum((1, 2)).argmin())
        assert np.allclose(means[row], point, atol=1e-14) and torch.equal(TEN.y_train[row], target)
    assert not torch.equal(draw(SMALL, TEN, 30, 5, 2, pool=7)[0], x)


def test_wrong_labels_are_as_many_as_were_asked_for():
    clean, noisy = (draw(Case("", noise=noise), TEN, 40, 5, 1)[1] for noise in (0.0, 0.25))
    assert int((clean != noisy).any(1).sum()) == 10 and (noisy.sum(1) == 1).all()
    squares = [draw(Case("", loss="squares", noise=noise), TWO, 40, 5, 1)[1] for noise in (0.0, 0.25)]
    assert int((squares[0] != squares[1]).sum()) == 10 and (squares[1].abs() == 1).all()
    two = draw(Case(""), TWO, 40, 5, 1)[1]
    assert two.shape == (40, 2) and torch.equal(two[:, :1] * 2 - 1, squares[0])


@pytest.mark.parametrize("network", ["mlp", "deep", "conv", "linear"])
def test_networks_take_images_and_are_the_same_again(network):
    case, x = Case("", network=network, width=5), torch.rand(3, 1, 7, 7, dtype=torch.float64)
    state = torch.get_rng_state()
    one, two, other = (small_network(case, x.shape[1:], 10, seed)(x) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    assert one.shape == (3, 10) and torch.equal(one, two) and not torch.equal(one, other)


def test_the_kernel_at_a_damping_is_that_of_network_influence(run, drawn):
    found = kernel_influence(run, *drawn[2:])
    assert len(found) == 6
    for factor in (0.01, 1.0):
        jacobian = torch.autograd.functional.jacobian(lambda t: run.tape.function(t, drawn[0]), run.theta)
        damping = factor * float(jacobian.square().sum(2).mean())
        with torch.no_grad():
            same = network_influence(run.module, *drawn, 0.0, start=None, damping=damping, loss=CROSS_ENTROPY)
        assert torch.allclose(found[factor], same, rtol=0, atol=1e-9)


def test_the_kernel_of_a_training_in_single_precision_has_small_dampings_too(run, drawn):
    x, y, *test = (each.float() for each in drawn)
    found = kernel_influence(record_case(SMALL, x, y, 3, folds=4), *test)
    for damping, influence in kernel_influence(run, *drawn[2:]).items():
        assert found[damping].dtype == torch.float64
        assert (found[damping] - influence).norm() < 1e-2 * influence.norm()


def test_sharpness_is_a_share_of_what_a_quadratic_allows(run, drawn):
    x, y = drawn[:2]
    hessian = torch.autograd.functional.hessian(
        lambda t: CROSS_ENTROPY.value(run.tape.function(t, x), y).mean(), run.theta
    )
    largest = float(torch.linalg.eigvalsh(hessian).abs().amax())
    assert sharpness_share(run, SMALL, 300) == pytest.approx(0.1 * largest / 3.8, rel=1e-3)
    adam = Case("adam", width=6, rate=0.01, optimizer="adam", batch_size=8, epochs=5)
    of_adam = record_case(adam, x, y, 3, folds=2)
    second = of_adam.tape.kept[-1][1][1] / (1 - 0.999 ** len(of_adam.tape.batches))
    hessian = torch.autograd.functional.hessian(
        lambda t: CROSS_ENTROPY.value(of_adam.tape.function(t, x), y).mean(), of_adam.theta
    )
    largest = float(torch.linalg.eigvals(hessian / (second.sqrt() + 1e-8)[:, None]).abs().amax())
    assert sharpness_share(of_adam, adam, 300) == pytest.approx(0.01 * largest / 38, rel=1e-3)


def test_growth_tells_smooth_from_chaotic_training(run, drawn):
    wild = Case("wild", width=6, rate=3.0, batch_size=8, epochs=30)
    assert growth(run, drawn[2]) < 1 < growth(record_case(wild, *drawn[:2], 3, folds=2), drawn[2])
    still = Case("still", width=6, rate=1e-6, batch_size=8, epochs=2)
    assert growth(record_case(still, *drawn[:2], 3, folds=2), drawn[2]) == pytest.approx(0, abs=1e-3)
