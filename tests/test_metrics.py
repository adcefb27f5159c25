import math

import pytest
import torch

from ntkif.metrics import agreement, misfit, share


def test_a_wrong_scale_shows_in_slope_and_error_alone():
    actual = torch.tensor([1.0, -2.0, 0.5, 4.0])
    assert agreement(0.5 * actual, actual) == pytest.approx(
        {"pearson": 1, "spearman": 1, "slope": 0.5, "relative_error": 0.5}
    )


def test_order_alone_shows_in_spearman_alone():
    got = agreement(torch.tensor([1.0, 2.0, 30.0]), torch.tensor([1.0, 2.0, 3.0]))
    assert got["spearman"] == pytest.approx(1)
    assert got["pearson"] == pytest.approx(29 / math.sqrt(542 * 2))


def test_noise_of_a_known_size():
    noise = torch.tensor([0.0, 3.0])
    assert agreement(torch.tensor([4.0, 0.0]) + noise, torch.tensor([4.0, 0.0]))["relative_error"] == 0.75


def test_a_share_counts_what_is_true():
    assert share(torch.tensor([True, False, False])) == pytest.approx(1 / 3, rel=1e-15)
    assert share(torch.ones(2, 3, dtype=torch.bool)) == 1 and share(torch.zeros(4, dtype=torch.bool)) == 0
    assert math.isnan(share(torch.zeros(0, dtype=torch.bool)))
    with pytest.raises(TypeError, match=r"condition: expected a tensor of dtype bool, got torch\.float32; compare it"):
        share(torch.ones(3))


def test_an_undecided_prediction_is_wrong():
    """Of one output zero, which has no sign; of several, equal ones name the first class."""
    prediction, y = torch.tensor([[0.0], [-0.0], [0.0], [1e-30], [2.0]]), torch.tensor([[1.0], [1], [-1], [1], [-1]])
    assert misfit(prediction, y).tolist() == [True, True, True, False, True]
    several = torch.tensor([[0.5, 0.5], [0.5, 0.5], [0.0, 1.0]])
    assert misfit(several, torch.tensor([[1.0, 0.0], [0, 1], [0, 1]])).tolist() == [False, True, False]
