"""Networks trained at once against each trained alone."""

from dataclasses import replace

import pytest
import torch
from retrained import SMALL

from ntkif.data import load
from ntkif.metrics import agreement
from ntkif.networks.descent import train
from ntkif.networks.two_layer import random_network
from ntkif.retraining.leave_one_out import without
from ntkif.retraining.protocol import Protocol
from ntkif.retraining.retrain import retrain
from ntkif.retraining.selection import chosen_points
from ntkif.retraining.stacked import Stack, leading_directions, left_out

REMOVED = [None, 7, 2]
HALF = Protocol(ridge=1.0, width=32, learning_rate=0.02, epochs=60, precision="float16")


def start_of(dataset, *, dtype=torch.float64, symmetric=False, init_scale=0.3, width=40):
    how = {"outputs": dataset.y_train.shape[1], "symmetric": symmetric, "dtype": dtype, "seed": 3}
    return random_network(dataset.x_train.shape[1], width=width, init_scale=init_scale, **how)


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("name", ["mnist-sample", "mini-mnist-sample"])
@pytest.mark.parametrize("n", [40, 800], ids=["few points", "many points"])
def test_a_stack_is_train_for_each_network(name, symmetric, n):
    dataset = load(name).head(n, 30)
    start = start_of(dataset, symmetric=symmetric)
    rate = 0.5 / n
    stack = Stack(start, dataset.x_train, dataset.y_train, 0.7, REMOVED, learning_rate=rate)
    residual = stack.train(57)
    ends = stack.predict(dataset.x_test)
    stack.step(residual)
    assert stack.epoch == 58 and (residual[1, 7] == 0).all() and (residual[2, 2] == 0).all()
    following = stack.predict(dataset.x_test)
    for number, row in enumerate(REMOVED):
        alone = train(start, *without(row, dataset.x_train, dataset.y_train), 0.7, learning_rate=rate, epochs=57)
        for found, network in ((ends, alone.network), (following, alone.following)):
            torch.testing.assert_close(found[number], network.predict(dataset.x_test), atol=1e-10, rtol=0)
        losses = [float(loss[number]) for loss in stack.watch.losses]
        assert losses == pytest.approx(alone.loss, rel=1e-10)
        assert float(stack.watch.unsettled[number]) == pytest.approx(alone.unsettled, abs=1e-10)


def test_directions_left_out_are_those_of_the_smallest_share():
    x = SMALL.x_train
    whole = leading_directions(x)
    assert whole.shape == (784, 40)
    torch.testing.assert_close(x @ whole @ whole.T, x, atol=1e-12, rtol=0)
    few = leading_directions(x, 10)
    torch.testing.assert_close(few.T @ few, torch.eye(10, dtype=x.dtype), atol=1e-12, rtol=0)
    share = float(1 - (x @ few).square().sum() / x.square().sum())
    assert left_out(x, 10) == pytest.approx(share, rel=1e-9) and 0.1 < share < 0.5
    assert left_out(x, 40) == pytest.approx(0, abs=1e-12)
    for q in (0, 785):
        with pytest.raises(ValueError, match=f"directions: expected between 1 and 784, got {q}"):
            leading_directions(x, q)


def test_leaving_directions_out_changes_little_where_they_carry_little():
    start = start_of(SMALL)
    ends = {}
    for q in (None, 38, 20):
        along = leading_directions(SMALL.x_train, q)
        stack = Stack(start, SMALL.x_train, SMALL.y_train, 1.0, [None], learning_rate=0.02, directions=along)
        stack.train(60)
        ends[q] = stack.predict(SMALL.x_test)
    off = {q: float((ends[q] - ends[None]).norm() / ends[None].norm()) for q in (38, 20)}
    assert 1e-8 < off[38] < 0.1 * off[20] and off[20] < 0.3


@pytest.mark.parametrize(("symmetric", "init_scale"), [(True, 1.0), (False, 0.01)])
def test_float16_hardly_moves_what_a_removal_does(symmetric, init_scale):
    """On the CPU its rounding is imitated; the networks are alike in all but that."""
    dataset = load("mnist-sample").head(100, 100)
    points = chosen_points(dataset, 1.0, 8)
    how = Protocol(1.0, 512, init_scale, symmetric, learning_rate=0.01, epochs=400, precision="float64")
    truth = retrain(dataset, how, points, progress=False).influence(dataset.y_test)
    half = retrain(dataset, replace(how, precision="float16"), points, progress=False)
    scores = agreement(half.influence(dataset.y_test).double(), truth)
    assert half.predictions.dtype == torch.float32 and half.protocol.precision == "float16"
    assert scores["pearson"] > 0.9995 and abs(scores["slope"] - 1) < 0.01 and 0 < scores["relative_error"] < 0.03


def test_a_rate_that_is_too_large_is_caught_and_a_safe_one_named():
    with pytest.raises(ValueError, match=r"learning_rate: the loss grew .* 1 is too large .* is safe") as caught:
        retrain(SMALL, replace(HALF, learning_rate=1.0), chosen_points(SMALL, 1.0, 2), progress=False)
    safe = float(str(caught.value).split()[-3])
    run = retrain(SMALL, replace(HALF, learning_rate=safe), chosen_points(SMALL, 1.0, 2), progress=False)
    assert (run.loss < run.beginning[:, 0]).all()


def test_what_a_stack_cannot_be():
    start, single = start_of(SMALL), start_of(SMALL, dtype=torch.float32)
    how = {"learning_rate": 0.01}
    with pytest.raises(ValueError, match=r"removed: expected training rows from 0 to 39 or None, got \[None, 40\]"):
        Stack(start, SMALL.x_train, SMALL.y_train, 1.0, [None, 40], **how)
    with pytest.raises(TypeError, match=r"half: expected float32 points and weights to round, got torch\.float64"):
        Stack(start, SMALL.x_train, SMALL.y_train, 1.0, [None], half=True, **how)
    with pytest.raises(TypeError, match="x"):
        Stack(single, SMALL.x_train, SMALL.y_train, 1.0, [None], **how)
    with pytest.raises(ValueError, match="client: expected none with float16"):
        retrain(SMALL, HALF, (0, [1]), progress=False, client=object())
