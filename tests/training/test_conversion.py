"""Optimisers and schedulers of torch, taken over: each training against torch's own."""

import copy

import pytest
import torch
from recorded_problem import BATCH, EPOCHS, TORCH, network, problem, recording, trained_by_torch, trained_here
from torch.optim.lr_scheduler import (
    ChainedScheduler,
    ConstantLR,
    CosineAnnealingLR,
    ExponentialLR,
    MultiStepLR,
    OneCycleLR,
    ReduceLROnPlateau,
)

from ntkif.training.conversion import from_torch
from ntkif.training.tape import batches_of

STEPS = 12


@pytest.mark.parametrize(
    ("schedule", "every"),
    [
        (lambda o: CosineAnnealingLR(o, T_max=STEPS), 1),
        (lambda o: MultiStepLR(o, [1, 3], gamma=0.3), 3),
        (lambda o: ChainedScheduler([ExponentialLR(o, 0.9), ConstantLR(o, 0.5, 2)]), 1),
    ],
    ids=["a step", "an epoch", "a chain"],
)
@pytest.mark.parametrize("name", ["momentum", "adamw"])
def test_schedules_are_torchs_own(name, schedule, every):
    x, y, _, _ = problem()
    module, (kind, settings) = network(), TORCH[name]
    batches = batches_of(len(x), BATCH, EPOCHS, seed=1)
    optimizer = kind(module.parameters(), **settings)
    here = from_torch(optimizer, schedule(optimizer), steps=STEPS, every=every)
    theirs = copy.deepcopy(module)
    optimizer = kind(theirs.parameters(), **settings)
    truth = trained_by_torch(theirs, x, y, batches, optimizer, schedule(optimizer), every)
    assert torch.allclose(trained_here(module, x, y, batches, here), truth, rtol=0, atol=1e-12)


def test_groups_may_differ_in_rate_and_decay():
    x, y, _, _ = problem()
    module, batches = network(), batches_of(24, BATCH, EPOCHS, seed=1)

    def grouped(module):
        weights = [value for value in module.parameters() if value.ndim > 1]
        biases = [value for value in module.parameters() if value.ndim == 1]
        return torch.optim.AdamW([{"params": biases, "weight_decay": 0.0}, {"params": weights, "lr": 0.05}], lr=0.01)

    found = trained_here(module, x, y, batches, from_torch(grouped(module), module=module))
    theirs = copy.deepcopy(module)
    truth = trained_by_torch(theirs, x, y, batches, grouped(theirs))
    assert torch.allclose(found, truth, rtol=0, atol=1e-12)
    with pytest.raises(ValueError, match="module: expected the module whose parameters"):
        from_torch(grouped(module))


def test_adam_with_decoupled_decay_is_adamw():
    x, y, _, _ = problem()
    module, batches = network(), batches_of(24, BATCH, EPOCHS, seed=1)
    settings = {"lr": 0.02, "weight_decay": 0.1, "decoupled_weight_decay": True}
    found = trained_here(module, x, y, batches, from_torch(torch.optim.Adam(module.parameters(), **settings)))
    theirs = copy.deepcopy(module)
    truth = trained_by_torch(theirs, x, y, batches, torch.optim.Adam(theirs.parameters(), **settings))
    assert torch.allclose(found, truth, rtol=0, atol=1e-12)


def test_reading_a_scheduler_leaves_it_as_it_was():
    optimizer = torch.optim.SGD(network().parameters(), lr=0.1)
    scheduler = CosineAnnealingLR(optimizer, T_max=STEPS)
    first, again = (from_torch(optimizer, scheduler, steps=STEPS) for _ in range(2))
    assert first == again and first.schedule[-1] < 0.1
    assert optimizer.param_groups[0]["lr"] == 0.1 and scheduler.last_epoch == 0


def test_reading_leaves_a_rate_that_is_a_tensor_as_it_was():
    rate = torch.tensor(0.1)
    optimizer = torch.optim.Adam(network().parameters(), lr=rate)
    first, again = (from_torch(optimizer, ExponentialLR(optimizer, 0.5), steps=6) for _ in range(2))
    assert first == again and first.schedule == pytest.approx([0.5**step for step in range(6)])
    assert optimizer.param_groups[0]["lr"] is rate and rate == torch.tensor(0.1)


@pytest.mark.parametrize("remedy", ["freeze", "module"])
@pytest.mark.parametrize("name", ["momentum", "adamw"])
def test_a_head_is_trained_alone_where_the_rest_is_frozen_or_the_module_is_given(name, remedy):
    """Silently all of it would be trained; an optimizer of a module that is frozen later has more than is needed."""
    (kind, settings), module = TORCH[name], network()
    optimizer = kind(module[2].parameters(), **settings)
    with pytest.raises(ValueError, match=r"got one without \[\(6, 5\), \(6,\)\]; freeze .* or pass module=\.\.\."):
        recording(module, optimizer=from_torch(optimizer))
    theirs = copy.deepcopy(module)
    here = from_torch(optimizer, module=module)
    if remedy == "freeze":
        here = from_torch(kind(module.parameters(), **settings))
        module[0].requires_grad_(False)
    run = recording(module, optimizer=here, epochs=2, alone=2)
    trained_by_torch(theirs, run.tape.x, run.tape.y, run.tape.batches, kind(theirs[2].parameters(), **settings))
    for found, wanted in zip(run.module.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(found, wanted, rtol=0, atol=1e-12)


def refused():
    module = network()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    used = torch.optim.Adam(module.parameters())
    module(torch.ones(1, 5, dtype=torch.float64)).sum().backward()
    used.step()
    groups = [
        {"params": [value], "betas": (0.9, b)} for value, b in zip(module.parameters(), (0.9, 0.99) * 2, strict=True)
    ]
    attached, stepped, cycled, part = (torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9) for _ in range(4))
    CosineAnnealingLR(attached, 5)
    late = CosineAnnealingLR(stepped, 5)
    stepped.step()
    late.step()
    stepped.state.clear()
    cycle = OneCycleLR(cycled, 0.1, total_steps=5)
    part = torch.optim.SGD(module[2].parameters(), lr=0.1)
    kinds = [{"params": [value], "decoupled_weight_decay": value.ndim > 1} for value in module.parameters()]
    bare = torch.optim.SGD(module.parameters(), lr=0.1)
    still = torch.optim.SGD(module.parameters(), lr=0.0)
    return {
        "attached": (ValueError, "scheduler: the optimizer has one", attached, {}),
        "stepped": (
            ValueError,
            "before its first step; make a new one, with",
            stepped,
            {"scheduler": late, "steps": 3},
        ),
        "cycle": (ValueError, "cycle_momentum=False", cycled, {"scheduler": cycle, "steps": 4}),
        "part": (ValueError, "norm is that of all.*requires_grad_", part, {"module": module, "clip_norm": 1.0}),
        "others": (ValueError, "over parameters of the module, got others", part, {"module": network(1)}),
        "another's": (ValueError, "got another one's", bare, {"scheduler": CosineAnnealingLR(still, 5), "steps": 3}),
        "plateau alone": (TypeError, "looks at the loss", bare, {"scheduler": ReduceLROnPlateau(bare), "steps": 3}),
        "kinds": (ValueError, "only, got \\['decoupled_weight_decay'\\]", torch.optim.Adam(kinds), {"module": module}),
        "rate 0": (ValueError, "above zero", still, {"scheduler": CosineAnnealingLR(still, 5), "steps": 3}),
        "LBFGS": (TypeError, "SGD, Adam or AdamW, got LBFGS", torch.optim.LBFGS(module.parameters()), {}),
        "amsgrad": (ValueError, "amsgrad=True", torch.optim.Adam(module.parameters(), amsgrad=True), {}),
        "used": (ValueError, "before its first step", used, {}),
        "groups": (ValueError, "lr and weight_decay only, got \\['betas'\\]", torch.optim.Adam(groups), {}),
        "no steps": (ValueError, "steps: expected", optimizer, {"scheduler": CosineAnnealingLR(optimizer, 5)}),
        "plateau": (TypeError, "looks at the loss", optimizer, {"scheduler": ReduceLROnPlateau(optimizer), "steps": 3}),
    }


@pytest.mark.parametrize("name", refused())
def test_what_cannot_be_the_same_training_is_refused(name):
    kind, message, optimizer, options = refused()[name]
    with pytest.raises(kind, match=message):
        from_torch(optimizer, **options)


@pytest.mark.parametrize(
    ("how", "kind", "said"),
    [
        ({"steps": 12, "every": 10 / 3}, TypeError, "every: expected a whole number, got 3.33"),
        ({"steps": 12, "every": 0}, ValueError, "every: expected at least 1, got 0"),
        ({"steps": -1}, ValueError, "steps: expected at least 1, got -1"),
        ({"steps": 12.0}, TypeError, "steps: expected a whole number, got 12.0 of float"),
    ],
)
def test_steps_are_counted_in_whole_numbers(how, kind, said):
    """With a fraction between two calls the schedule would have no effect."""
    optimizer = torch.optim.SGD(network().parameters(), lr=0.1)
    with pytest.raises(kind, match=said):
        from_torch(optimizer, torch.optim.lr_scheduler.StepLR(optimizer, 1), **how)
