"""What a recording would train otherwise than torch: refused before anything is paid for, with what to do."""

import copy

import pytest
import torch
from recorded_problem import BATCH, CLASSES, INPUTS, network, problem, recording
from torch import nn

from ntkif import from_torch
from ntkif.networks.losses import CROSS_ENTROPY
from ntkif.training.optimizers import SGD, AdamW

X, Y, _, _ = problem()


class Head(nn.Module):
    """A head on features that are made without gradients, as of a network that was trained before."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body, self.head = nn.Linear(INPUTS, 4).double(), nn.Linear(4, CLASSES).double()

    def forward(self, x):
        with torch.no_grad():
            features = self.body(x)
        return self.head(features)


def test_weights_that_have_no_gradient_may_not_decay():
    """Torch leaves them as they are; with a decay of zero, or frozen, so does a recording."""
    module, how = Head(), {"epochs": 2, "folds": 2, "alone": 0}
    with pytest.raises(ValueError, match=r"does not depend on body\.weight, body\.bias, which torch's .* freeze"):
        recording(module, optimizer=AdamW(0.01, weight_decay=0.1), **how)
    groups = [{"params": module.body.parameters(), "weight_decay": 0.0}, {"params": module.head.parameters()}]
    some = from_torch(torch.optim.SGD(groups, lr=0.1, weight_decay=0.1), module=module)
    assert torch.equal(recording(module, optimizer=some, **how).module.body.weight, module.body.weight)
    plain = recording(module, optimizer=SGD(0.1), **how)
    assert torch.equal(plain.module.body.weight, module.body.weight)
    theirs = copy.deepcopy(module)
    optimizer = torch.optim.AdamW(theirs.parameters(), lr=0.01, weight_decay=0.1)
    module.body.requires_grad_(False)
    run = recording(
        module, optimizer=from_torch(torch.optim.AdamW(module.parameters(), lr=0.01, weight_decay=0.1)), **how
    )
    for rows in run.tape.batches:
        optimizer.zero_grad()
        CROSS_ENTROPY.value(theirs(X[rows]), Y[rows]).mean().backward()
        optimizer.step()
    for name, value in theirs.named_parameters():
        torch.testing.assert_close(run.module.get_parameter(name), value, rtol=0, atol=1e-12)


def test_a_loss_that_hangs_on_nothing_is_refused_too():
    class Constant(Head):
        def forward(self, x):
            return super().forward(x).detach()

    with pytest.raises(ValueError, match=r"depend on body\.weight, body\.bias, head\.weight, head\.bias,"):
        recording(Constant(), optimizer=SGD(0.01, weight_decay=0.1), epochs=1)


@pytest.mark.parametrize("hook", ["register_hook", "register_post_accumulate_grad_hook"])
def test_hooks_on_parameters_are_refused(hook):
    module = network()
    handle = getattr(module[0].weight, hook)(lambda gradient: None)
    with pytest.raises(ValueError, match=r"without hooks, which a recording does not call, got some on 0\.weight"):
        recording(module)
    handle.remove()
    recording(module, epochs=1, folds=2, alone=0)


@pytest.mark.parametrize("hook", ["register_step_pre_hook", "register_step_post_hook"])
def test_hooks_on_the_steps_of_an_optimizer_are_refused(hook):
    optimizer = torch.optim.SGD(network().parameters(), lr=0.1)
    getattr(optimizer, hook)(lambda *_: None)
    with pytest.raises(ValueError, match="without hooks on its steps"):
        from_torch(optimizer)


def test_parameters_in_one_place_of_the_memory_are_refused():
    """Tied by hand; parts of one piece of memory beside each other, as of recurrent layers on a card, are not."""
    module = nn.Sequential(nn.Linear(INPUTS, INPUTS), nn.Tanh(), nn.Linear(INPUTS, CLASSES)).double()
    module[0].weight.data = module[2].weight.data.new_empty(INPUTS, INPUTS).copy_(module[0].weight.data)
    whole = torch.randn(2 * INPUTS, CLASSES, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    module[2].weight.data = whole[:INPUTS].T
    module[0].bias.data = whole[INPUTS:, 0]
    recording(module, epochs=1, folds=2, alone=0)
    module[0].bias.data = whole[1 : 1 + INPUTS, 0]
    with pytest.raises(ValueError, match=r"0\.bias and 2\.weight share memory, and would be trained as two"):
        recording(module)


def test_an_embedding_that_scales_its_gradients_is_refused():
    class Words(nn.Module):
        def __init__(self):
            super().__init__()
            self.words, self.out = nn.Embedding(9, 4, scale_grad_by_freq=True), nn.Linear(4, CLASSES)

        def forward(self, x):
            return self.out(self.words(x.long()).mean(1))

    with pytest.raises(ValueError, match=r"words scales its gradients .* scale_grad_by_freq=False"):
        recording(Words().double(), x=X.abs().round())


def test_a_loss_with_parameters_of_its_own_is_refused():
    class Tempered(nn.Module):
        def __init__(self):
            super().__init__()
            self.temperature = nn.Parameter(torch.ones((), dtype=torch.float64))

        def forward(self, f, y):
            return -(y * (f / self.temperature).log_softmax(-1)).sum()

    loss = Tempered()
    with pytest.raises(ValueError, match=r"one that is fixed, got one with trained parameters \['temperature'\]"):
        recording(loss=loss)
    fixed = recording(loss=loss.requires_grad_(False), epochs=1, folds=2, alone=0)
    plain = recording(loss=lambda f, y: -(y * f.log_softmax(-1)).sum(), epochs=1, folds=2, alone=0)
    assert torch.allclose(fixed.theta, plain.theta, rtol=0, atol=1e-14) and len(fixed.tape.batches[0]) == BATCH
