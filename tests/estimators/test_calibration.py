"""Probabilities by one slope."""

import numpy as np
import pytest
import torch

from ntkif.estimators.calibration import calibrated, probabilities


def outputs_of(n, classes, slope, seed=0):
    """Outputs, and labels that are drawn from the probabilities of a slope."""
    stream = np.random.RandomState(seed)
    outputs = torch.tensor(stream.randn(n, 1 if classes == 2 else classes))
    shares = probabilities(outputs, slope).numpy()
    return outputs, torch.tensor([stream.choice(classes, p=each) for each in shares])


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("slope", [0.5, 3.0])
def test_the_slope_that_made_the_labels_is_found(classes, slope):
    outputs, place = outputs_of(4000, classes, slope)
    assert calibrated(outputs, place, torch.ones(4000).double()) == pytest.approx(slope, rel=0.15)


def test_a_single_output_is_the_logistic_function():
    found = probabilities(torch.tensor([[0.7], [-2.0]]).double(), 3.0)
    assert found[:, 1].numpy() == pytest.approx(1 / (1 + np.exp([-2.1, 6.0])))
    assert found.sum(1).numpy() == pytest.approx(1)


@pytest.mark.parametrize("classes", [2, 3])
def test_weights_count_as_copies_and_zero_as_none(classes):
    outputs, place = outputs_of(60, classes, 2.0)
    weight = torch.arange(60) % 4
    rows = torch.arange(60).repeat_interleave(weight)
    copies = calibrated(outputs[rows], place[rows], torch.ones(len(rows)).double())
    assert calibrated(outputs, place, weight.double()) == pytest.approx(copies)


def test_outputs_without_an_error_do_not_make_them_certain():
    """Of two labels 20 times each Platt has 21/22 for the label, whatever the outputs."""
    place = torch.arange(40) % 2
    for size in (0.5, 20.0):
        outputs = size * (2.0 * place[:, None] - 1).double()
        shares = probabilities(outputs, calibrated(outputs, place, torch.ones(40).double()))
        assert shares.amax(1).numpy() == pytest.approx(21 / 22, rel=1e-6)


def test_outputs_that_say_nothing_make_them_equal():
    outputs, place = outputs_of(4000, 3, 1e-3)
    found = calibrated(
        outputs, place[torch.randperm(4000, generator=torch.Generator().manual_seed(0))], torch.ones(4000).double()
    )
    assert found < 0.1
