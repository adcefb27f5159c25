"""A ridge for each parameter, by patterns of names, and the start that it refers to."""

import pytest
from torch import nn

from ntkif.influence.penalties import check_start, penalties_of


def network(outputs=2):
    return nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, outputs)).double().eval()


def test_the_first_pattern_that_fits_counts():
    module = network()
    module[0].weight.requires_grad_(False)
    found = penalties_of(module, {"2.bias": 0.1, "*.bias": 0.2, "*": 3.0}, 0.0)
    assert found == {"0.bias": 0.2, "2.weight": 3.0, "2.bias": 0.1}
    assert set(penalties_of(module, 2.0, 0.0).values()) == {2.0}
    assert penalties_of(module, {"*.bias": 0.0, "*": 1.0}, 0.5)["2.bias"] == 0


@pytest.mark.parametrize(
    ("ridge", "damping", "said"),
    [
        ({"0.*": 1.0}, 0.0, "got none for '2.weight'; add a pattern"),
        ({"*.bias": 0.0, "*": 1.0}, 0.0, "the ridge of '0.bias': expected a positive number, a small one where it is"),
        ({"*": -1.0}, 0.0, "ridge: expected zero or a positive number"),
        (0.0, 0.0, "expected a positive number where the network was trained without a ridge"),
        (1.0, -1.0, "damping: expected zero, a positive number"),
    ],
)
def test_wrong_penalties(ridge, damping, said):
    with pytest.raises(ValueError, match=said):
        penalties_of(network(), ridge, damping)


def test_a_start_is_the_network_before_training():
    check_start(network(), network(), 1.0)
    check_start(network(), "zero", {"*": 1.0})
    with pytest.raises(ValueError, match="start: expected a network, \"zero\" or None, got 'first'"):
        check_start(network(), "first", 1.0)
    with pytest.raises(ValueError, match=r"start: expected the network before training, with parameters {'0.weight'"):
        check_start(network(), network(3), 1.0)
    with pytest.raises(ValueError, match="expected None where the network was trained without a ridge"):
        check_start(network(), network(), 0.0)
