"""Modules of which no derivatives can be taken."""

import copy

import pytest
import torch
from torch import nn

from ntkif import NetworkInfluence, tangent_kernel
from ntkif.networks.module_checks import check_alone, check_module, check_prepared
from ntkif.networks.two_layer import random_network


def made_in_inference_mode():
    with torch.inference_mode():
        return nn.Linear(4, 1).eval()


def test_modules_that_are_none_or_not_made():
    for module, error, said in (
        (lambda x: x, TypeError, "here: expected a torch module, got function"),
        (nn.LazyLinear(2), ValueError, "here: expected one whose parameters are made, got a lazy one"),
    ):
        with pytest.raises(error, match=said):
            check_module(module, "here")
    lazy = nn.LazyLinear(2)
    lazy(torch.ones(1, 3))
    check_module(lazy)


def test_modules_that_are_not_prepared():
    mixed = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 1).double()).eval()
    for module, error, said in (
        (nn.Linear(4, 1), ValueError, "expected one in evaluation mode"),
        (nn.Flatten().eval(), ValueError, "at least one parameter with requires_grad=True"),
        (nn.Linear(4, 1).requires_grad_(False).eval(), ValueError, "at least one parameter with requires_grad=True"),
        (nn.Linear(4, 1).half().eval(), TypeError, "parameters of one dtype, float32 or float64"),
        (mixed, TypeError, "parameters of one dtype"),
        (made_in_inference_mode(), ValueError, "got some made in torch.inference_mode"),
    ):
        with pytest.raises(error, match=said):
            check_prepared(module)
    check_prepared(copy.deepcopy(made_in_inference_mode()))
    mixed[0].requires_grad_(False)
    check_prepared(mixed)


class Chance(nn.Linear):
    def forward(self, x):
        return nn.functional.dropout(super().forward(x), training=True)


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (
            nn.Sequential(
                nn.Unflatten(1, (2, 2)), nn.BatchNorm1d(2, track_running_stats=False), nn.Flatten(), nn.Linear(4, 6)
            ),
            "depends on the other points of the batch",
        ),
        (Chance(4, 6), "two calls at the same points differ"),
    ],
    ids=["batch norm", "chance"],
)
def test_modules_that_do_not_predict_points_by_themselves(module, said):
    """Refused before anything is made of them, and no random number is used up."""
    module, x, y = module.double().eval(), torch.randn(7, 4).double(), torch.randn(7, 6).double()
    state = torch.get_rng_state()
    for ask in (
        lambda: NetworkInfluence(module, x, y, 1.0, start=None),
        lambda: NetworkInfluence(module, x, y, 1.0, start=None, projections=3),
        lambda: tangent_kernel(module, x),
    ):
        with pytest.raises(ValueError, match=said):
            ask()
    assert torch.equal(torch.get_rng_state(), state)


def test_outputs_that_are_no_numbers_are_none_of_chance():
    check_alone(lambda k: torch.tensor([[1.0], [torch.nan], [torch.inf], [2.0]])[:k], 4)
    with pytest.raises(ValueError, match="depends on the other points"):
        check_alone(lambda k: torch.full((k, 1), torch.nan if k == 2 else 1.0), 4)


def test_rounding_errors_of_a_network_that_predicts_zero_are_none_of_chance():
    start = random_network(40, width=64, init_scale=1.0, symmetric=True, seed=0)
    x = torch.randn(9, 40, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert 0 < start.predict(x).abs().max() < 1e-12
    check_alone(lambda k: start.predict(x[:k]) + 1e-14 * torch.randn(k, 1).double(), len(x))
