"""Modules of which no derivatives can be taken."""

import copy

import pytest
import torch
from torch import nn

from ntkif import NetworkInfluence, tangent_kernel
from ntkif.networks.module_checks import check_alone, check_module, check_prepared, fingerprint, same_fingerprint
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
    check_alone(lambda rows: torch.tensor([[1.0], [torch.nan], [torch.inf], [2.0]])[rows], 4)
    with pytest.raises(ValueError, match="depends on the other points"):
        check_alone(lambda rows: torch.full((len(rows), 1), torch.nan if len(rows) == 2 else 1.0), 4)
    check_alone(lambda rows: torch.ones(len(rows), 1), 1)


@pytest.mark.parametrize("first", [torch.zeros(1, 4), torch.ones(1, 4)], ids=["blank", "like"])
def test_points_that_begin_alike_hide_nothing(first):
    """As padded, sorted or repeated ones do."""
    x = torch.cat([first.expand(4, 4), torch.randn(40, 4, generator=torch.Generator().manual_seed(0))]).double()

    def centred(rows):
        return x[rows] - x[rows].mean(0)

    with pytest.raises(ValueError, match="depends on the other points"):
        check_alone(centred, len(x))


def test_fingerprints_tell_numbers_and_modes_apart():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2), nn.Dropout()).double().eval()
    before = fingerprint(module)
    for same in (module, copy.deepcopy(module), copy.deepcopy(module).float().double()):
        assert same_fingerprint(before, fingerprint(same))
    module.load_state_dict(copy.deepcopy(module.state_dict()))
    module[1].num_batches_tracked += 1  # a count
    assert same_fingerprint(before, fingerprint(module))
    for change in (
        lambda net: net[0].weight.data.add_(1e-3),
        lambda net: net[0].weight.data.neg_(),
        lambda net: net[0].weight.data.copy_(net[0].weight.data.flip(0)),
        lambda net: setattr(net[0], "bias", nn.Parameter(torch.ones(2).double())),
        lambda net: net[1].running_mean.add_(0.1),
        lambda net: net[2].train(),
        lambda net: setattr(net[0], "bias", None),
    ):
        other = copy.deepcopy(module)
        change(other)
        assert not same_fingerprint(before, fingerprint(other))


def test_rounding_errors_of_a_network_that_predicts_zero_are_none_of_chance():
    start = random_network(40, width=64, init_scale=1.0, symmetric=True, seed=0)
    x = torch.randn(9, 40, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert 0 < start.predict(x).abs().max() < 1e-12
    check_alone(lambda rows: start.predict(x[rows]) + 1e-14 * torch.randn(len(rows), 1).double(), len(x))
