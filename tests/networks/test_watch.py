"""When descent is at rest, and when it is lost."""

import math

import pytest
import torch

from ntkif.networks.watch import LOOK_EVERY, Watch


def residual(*values):
    return torch.tensor(values, dtype=torch.float64)[:, None, None]


def look_at(watch, losses, residuals, befores):
    for number, (loss, now, before) in enumerate(zip(losses, residuals, befores, strict=True)):
        watch.look(number * LOOK_EVERY, torch.tensor(loss, dtype=torch.float64), residual(*now), residual(*before))


def test_unsettled_is_the_larger_of_the_window_and_the_last_step_of_each_network():
    watch = Watch(0.05, 1.0, lambda: 0.1)  # 1 / (0.05 * 1 * 10): two looks
    look_at(watch, [[3.0, 3.0], [2.0, 2.0]], [(5.0, 5.0), (4.0, 4.5)], [(5.0, 5.0), (4.5, 4.5)])
    assert watch.unsettled.tolist() == [math.inf, math.inf]
    look_at(watch, [[1.9, 1.9]], [(3.0, 4.5)], [(3.1, 3.5)])
    assert watch.unsettled.tolist() == [2.0, 1.0]  # since the first look; in the last step
    look_at(watch, [[1.9, 1.9]], [(3.0, 4.5)], [(3.0, 4.5)])
    assert watch.unsettled.tolist() == [1.0, 0.0]
    assert [loss.tolist() for loss in watch.losses[:2]] == [[3.0, 3.0], [2.0, 2.0]]


def test_without_a_ridge_nothing_says_that_it_is_at_rest():
    watch = Watch(0.05, 0.0, lambda: 0.1)
    look_at(watch, [[3.0]] * 9, [(1.0,)] * 9, [(1.0,)] * 9)
    assert watch.unsettled.tolist() == [math.inf]


@pytest.mark.parametrize("grown", [2.03, math.nan, math.inf])
def test_one_network_whose_loss_grows_is_enough(grown):
    watch = Watch(0.05, 1.0, lambda: 0.01)
    look_at(watch, [[3.0, 3.0], [2.0, 2.0]], [(1.0, 1.0)] * 2, [(1.0, 1.0)] * 2)
    with pytest.raises(ValueError, match=r"grew from 2 to .* by epoch 0, so 0.05 is too large .* 0.01 is safe"):
        look_at(watch, [[1.0, grown]], [(1.0, 1.0)], [(1.0, 1.0)])


def test_a_loss_may_flicker_by_a_hundredth():
    watch = Watch(0.05, 1.0, lambda: 0.01)
    look_at(watch, [[2.0], [2.019]], [(1.0,)] * 2, [(1.0,)] * 2)
