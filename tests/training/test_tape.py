"""The reverse pass against central differences of training, and against itself with fewer states kept."""

import math

import pytest
import torch
from kinds import made
from recorded_problem import BATCH, EPOCHS, LOSSES, TORCH, network, problem

from ntkif.networks.named_losses import loss_of
from ntkif.training import tape as tapes
from ntkif.training.conversion import from_torch
from ntkif.training.flat_module import FlatModule
from ntkif.training.optimizers import SGD, Optimizer
from ntkif.training.tape import Tape, batches_of, stride_for

X, Y, X_TEST, _ = problem()
ONES = torch.ones(len(X), dtype=torch.float64)
NORM = 0.42  # between the lengths of the gradients here


def tape_of(optimizer="momentum", loss="cross-entropy", clip_norm=None, **options):
    module, (kind, settings) = network(), TORCH[optimizer]
    here = from_torch(kind(module.parameters(), **settings), clip_norm=clip_norm)
    batches = batches_of(len(X), BATCH, EPOCHS, seed=1)
    return Tape(FlatModule(module), X, Y, LOSSES[loss], here, batches, **options)


def recorded(tape):
    """Parameters at the end, gradients of each batch's losses by the outputs, and derivatives of test outputs."""
    gradients = []

    def see(index, outputs):
        gradients.append(tape.loss.gradient(outputs, Y[tape.batches[index]]))

    theta = tape.run(None, see)
    return theta, gradients, torch.autograd.functional.jacobian(lambda t: tape.function(t, X_TEST).flatten(), theta)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("optimizer", TORCH)
def test_the_reverse_pass_is_the_derivative_by_the_weights_of_points(optimizer, loss):
    assert_derivative(tape_of(optimizer, loss, ridge=2.0))


@pytest.mark.parametrize("optimizer", ["momentum", "adamw"])
def test_it_is_so_where_gradients_are_cut_to_a_norm(optimizer, monkeypatch):
    tape, lengths, scaled = tape_of(optimizer, clip_norm=NORM), [], Optimizer.scaled

    def seen(self, gradient):
        lengths.append(float(gradient.norm()))
        return scaled(self, gradient)

    with monkeypatch.context() as patch:
        patch.setattr(Optimizer, "scaled", seen)
        tape.run(None, lambda *_: None)
    assert min(lengths) < NORM < max(lengths), "some steps are cut and some are not"
    assert_derivative(tape)


def assert_derivative(tape):
    _, gradients, seeds = recorded(tape)
    (found,) = tape.back(seeds, [gradients])
    for i in range(3):
        steps = torch.tensor([2, 1, -1, -2], dtype=torch.float64) * 1e-4
        bent = ONES + steps[:, None] * (torch.arange(len(X)) == i)
        ends = [tape.function(theta, X_TEST).flatten() for theta in tape.run(bent, lambda *_: None)]
        truth = (8 * (ends[1] - ends[2]) - (ends[0] - ends[3])) / 12e-4
        assert (found[:, i] - truth).norm() < 1e-6 * truth.norm()


def test_many_weightings_at_once_are_trained_as_each_alone():
    tape = tape_of()
    alone = tape.run(None, lambda *_: None)
    some = ONES.expand(3, -1).clone()
    some[1, 4] = 0
    together = tape.run(some, lambda *_: None)
    assert torch.allclose(together[0], alone, atol=1e-13) and torch.equal(together[0], together[2])
    assert (together[1] - alone).abs().max() > 1e-3


@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
def test_with_few_states_kept_the_reverse_pass_is_the_same(optimizer):
    tape = tape_of(optimizer)
    _, gradients, seeds = recorded(tape)
    (whole,) = tape.back(seeds, [gradients])
    tape.stride = 5
    recorded(tape)
    assert len(tape.kept) == math.ceil(len(tape.batches) / 5)
    (few,) = tape.back(seeds, [gradients])
    assert torch.equal(few, whole)


def test_gauss_newton_is_the_hessian_of_a_linear_model():
    tape = tape_of(loss="cross-entropy", ridge=2.0)
    tape.function = FlatModule(torch.nn.Linear(5, 3).double())
    _, gradients, seeds = recorded(tape)
    pair = [tape.back(seeds, [gradients], gauss_newton=flag)[0] for flag in (False, True)]
    assert torch.allclose(*pair, rtol=0, atol=1e-13)


def test_gauss_newton_leaves_out_the_curvature_of_the_network():
    tape = tape_of()
    theta, _, _ = recorded(tape)
    rows = tape.batches[0]
    along = torch.randn(1, len(theta), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    j = torch.autograd.functional.jacobian(lambda t: tape.function(t, X[rows]), theta)
    s = tape.loss.curvature(tape.function(theta, X[rows]), Y[rows])
    truth = torch.einsum("bcp,bcd,bdq,q->p", j, s, j, along[0]) / len(rows)
    found, pushed = tape.gauss_newton(theta, rows, along)
    assert torch.allclose(found[0], truth, atol=1e-13)
    assert torch.allclose(pushed[0], j @ along[0], atol=1e-13)


@pytest.mark.parametrize("kind", ["weight norm", "transformer layer", "attention", "LSTM", "groups, strides, dilation"])
def test_both_matrices_of_modules_without_a_forward_derivative_too(kind):
    module, x, _ = made(kind)
    function = FlatModule(module)
    y = torch.randn(function(function.start, x).shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y, rows, theta = y.softmax(1), torch.arange(len(x)), function.moved(0.1)
    tape = Tape(function, x, y, LOSSES["cross-entropy"], SGD(0.1), [rows], ridge=2.0)
    eye = torch.eye(len(theta), dtype=torch.float64)
    hessian, j = tape.hessian(theta, rows, eye)
    wanted = torch.autograd.functional.hessian(lambda at: tape._objective(at, rows)[0], theta)
    torch.testing.assert_close(hessian, wanted, rtol=0, atol=1e-12)
    torch.testing.assert_close(
        j.movedim(0, -1), torch.autograd.functional.jacobian(lambda at: function(at, x), theta), rtol=0, atol=1e-12
    )
    s = tape.loss.curvature(function(theta, x), y)
    wanted = torch.einsum("pbc,bcd,qbd->pq", j, s, j) / len(rows) + 2 / len(x) * eye
    torch.testing.assert_close(tape.gauss_newton(theta, rows, eye)[0], wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("value", [lambda f, y: (f - y).abs().sum(), lambda f, y: (f * y).sum()])
def test_a_loss_without_curvature_bends_nothing(value):
    function = FlatModule(torch.nn.Linear(5, 3).double())
    tape, rows = Tape(function, X, Y, loss_of(value)[0], SGD(0.1), [torch.arange(len(X))]), torch.arange(4)
    along = torch.ones(2, len(function.start), dtype=torch.float64)
    for product in (tape.hessian, tape.gauss_newton):
        curved, pushed = product(function.start, rows, along)
        assert torch.equal(curved, torch.zeros_like(along))
        torch.testing.assert_close(pushed, (X[rows].sum(1) + 1).expand(2, 3, 4).mT)
    tape.run(None, lambda *_: None)
    by_hessian, by_gauss_newton = (tape.back(along, [[Y]], gauss_newton=flag)[0] for flag in (False, True))
    assert torch.equal(by_hessian, by_gauss_newton) and by_hessian.abs().max() > 0


def test_the_tape_is_kept_whole_in_part_or_not_at_all(monkeypatch):
    optimizer = from_torch(torch.optim.Adam(network().parameters()))
    theta = torch.zeros(1000, dtype=torch.float64)  # 24 kB a state
    for free, wanted in ((10**9, 1), (2 * 24_000 * 30, 10)):
        monkeypatch.setattr(tapes, "available_bytes", lambda _, free=free: free)
        assert stride_for(optimizer, theta, 100) == wanted
    monkeypatch.setattr(tapes, "available_bytes", lambda _: 24_000)
    with pytest.raises(MemoryError, match=r"20 states of 0 MiB .*freeze"):
        stride_for(optimizer, theta, 100)


def test_batches_are_permutations():
    batches = batches_of(10, 4, 2, seed=0)
    assert [len(rows) for rows in batches] == [4, 4, 2] * 2
    for epoch in (batches[:3], batches[3:]):
        assert torch.cat(epoch).sort().values.tolist() == list(range(10))
    assert [rows.tolist() for rows in batches_of(3, None, 2, seed=0)] == [[0, 1, 2]] * 2


def test_each_step_back_is_told():
    tape, ticks = tape_of(stride=5), []
    _, gradients, seeds = recorded(tape)
    tape.back(seeds, [gradients], tick=lambda: ticks.append(1))
    assert len(ticks) == len(tape.batches)
