"""Each optimiser against torch's own, and its diagonals against central differences."""

import copy

import pytest
import torch
from recorded_problem import BATCH, EPOCHS, TORCH, network, problem, trained_by_torch, trained_here

from ntkif.training.conversion import from_torch
from ntkif.training.optimizers import SGD, Adam
from ntkif.training.tape import batches_of


@pytest.mark.parametrize("clip", [{}, {"clip_value": 0.02}, {"clip_norm": 0.3}], ids=["as it is", "value", "norm"])
@pytest.mark.parametrize("name", TORCH)
def test_every_step_is_torchs_own(name, clip):
    x, y, _, _ = problem()
    module, (kind, settings) = network(), TORCH[name]
    batches = batches_of(len(x), BATCH, EPOCHS, seed=1)
    here = from_torch(kind(module.parameters(), **settings), **clip)
    found = trained_here(module, x, y, batches, here)
    theirs = copy.deepcopy(module)
    truth = trained_by_torch(theirs, x, y, batches, kind(theirs.parameters(), **settings), **clip)
    assert torch.allclose(found, truth, rtol=0, atol=1e-12)


def test_both_kinds_of_clipping_at_once_are_refused():
    with pytest.raises(ValueError, match="clip_value, clip_norm: expected one of them, got both; leave one out"):
        Adam(0.1, clip_value=1.0, clip_norm=1.0)


@pytest.mark.parametrize(
    ("how", "kind", "said"),
    [
        ({"learning_rate": -0.1}, ValueError, "learning_rate: expected zero or more, got -0.1"),
        ({"learning_rate": torch.tensor([0.1, -0.2])}, ValueError, "learning_rate: expected zero or more, got -0.2"),
        ({"learning_rate": "0.1"}, TypeError, "learning_rate: expected a number, got '0.1' of str"),
        ({"weight_decay": -1e-4}, ValueError, "weight_decay: expected zero or more"),
        ({"clip_norm": 0.0}, ValueError, "clip_norm: expected more than zero, got 0"),
        ({"clip_value": -1.0}, ValueError, "clip_value: expected more than zero, got -1"),
        ({"clip_norm": "1"}, TypeError, "clip_norm: expected a number"),
        ({"weight_decay": float("nan")}, ValueError, "weight_decay: expected zero or more, got nan"),
    ],
)
def test_settings_that_are_none(how, kind, said):
    with pytest.raises(kind, match=said):
        SGD(**{"learning_rate": 0.1} | how)


@pytest.mark.parametrize("index", [0, 5])
@pytest.mark.parametrize("name", TORCH)
def test_diagonals_are_those_of_central_differences(name, index):
    generator = torch.Generator().manual_seed(0)
    kind, settings = TORCH[name]
    optimizer = from_torch(kind(network().parameters(), **settings))
    theta = torch.randn(7, dtype=torch.float64, generator=generator)
    before = [theta, *torch.rand(1 + len(optimizer.states(theta)), 7, dtype=torch.float64, generator=generator) + 0.1]

    def step(values):
        new, states = optimizer.step(index, values[0], values[1], tuple(values[2:]))
        return [new, *states]

    found = optimizer.diagonals(index, before[0], before[1], tuple(before[2:]))
    for place in range(len(before)):
        up, down = ([b + sign * 1e-5 * (i == place) for i, b in enumerate(before)] for sign in (1, -1))
        for row, above, below in zip(found, step(up), step(down), strict=True):
            truth = (above - below) / 2e-5
            got = torch.zeros_like(truth) if row[place] is None else row[place]
            assert torch.allclose(got, truth, rtol=1e-6, atol=1e-8)


def test_a_parameter_that_never_had_a_gradient_has_a_finite_derivative():
    zero = torch.zeros(2, dtype=torch.float64)
    found = Adam(0.1).diagonals(0, zero, zero, (zero, zero))
    assert all(torch.isfinite(each).all() for row in found for each in row if each is not None)


def test_long_schedules_are_kept_as_numbers():
    assert SGD(0.1, schedule=torch.linspace(1, 0, 3)).schedule == (1.0, 0.5, 0.0)


def test_a_schedule_that_is_too_short_is_refused():
    with pytest.raises(ValueError, match="a factor for every step, got 2"):
        SGD(0.1, schedule=(1.0, 0.5)).rate(2)
