import math

import pytest
import torch
from scipy.stats import spearmanr

from ntkif.metrics import agreement


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


def test_equal_values_share_their_rank():
    predicted, actual = torch.tensor([[3.0, 1.0, 3.0, 2.0, 3.0], [1.0, 0.0, -0.0, 5.0, 0.0]]), torch.arange(10) % 4
    truth = spearmanr(predicted.flatten(), actual).statistic
    assert agreement(predicted, actual.reshape(2, 5))["spearman"] == pytest.approx(truth, rel=1e-14)
