"""What is recorded: the points, batches, folds and parameters that were given, in their precision."""

import torch
from recorded_problem import BATCH, network, problem, recording

from ntkif import record_training
from ntkif.networks.losses import CROSS_ENTROPY, SQUARES
from ntkif.training.optimizers import SGD

X, Y, X_TEST, Y_TEST = problem()


def test_in_single_precision_it_is_nearly_the_same():
    run = recording()
    module = network().float()
    single = record_training(
        module,
        X.float(),
        Y.float(),
        loss=CROSS_ENTROPY,
        optimizer=SGD(0.05, momentum=0.9),
        batch_size=BATCH,
        epochs=10,
        folds=6,
    ).influence(X_TEST.float(), Y_TEST.float())
    assert single.dtype == torch.float32
    whole = run.influence(X_TEST, Y_TEST)
    assert (single - whole).abs().max() < 1e-2 * whole.abs().max()


def test_your_own_batches_are_followed():
    run = recording()
    again = recording(batches=[rows.tolist() for rows in run.tape.batches])
    assert torch.equal(again.influence(X_TEST, Y_TEST), run.influence(X_TEST, Y_TEST))


def test_frozen_parameters_stay():
    module = network()
    module[0].requires_grad_(False)
    run = recording(module, epochs=2)
    assert torch.equal(run.module[0].weight, module[0].weight) and not torch.equal(
        run.module[2].weight, module[2].weight
    )
    assert len(run.theta) == sum(value.numel() for value in module[2].parameters())


def test_points_that_ask_for_gradients_leave_no_graph():
    run = record_training(network(), X.clone().requires_grad_(), Y, loss=SQUARES, optimizer=SGD(0.1), folds=2)
    assert not run.theta.requires_grad and not run.influence(X_TEST, Y_TEST, trust=True).requires_grad
    with torch.inference_mode():
        same = recording(epochs=2).influence(X_TEST, Y_TEST, trust=True)
    assert torch.equal(same, recording(epochs=2).influence(X_TEST, Y_TEST, trust=True))


def test_no_precision_from_around():
    with torch.autocast("cpu", torch.bfloat16):
        mixed = recording(network().float(), x=X.float(), y=Y.float(), epochs=2)
        found = mixed.influence(X_TEST.float(), Y_TEST.float(), trust=True)
    run = recording(network().float(), x=X.float(), y=Y.float(), epochs=2)
    assert torch.equal(mixed.theta, run.theta)
    assert torch.equal(found, run.influence(X_TEST.float(), Y_TEST.float(), trust=True))


def test_few_points_have_as_many_folds():
    x, y = X[:6], Y[:6]
    assert len(record_training(network(), x, y, loss=SQUARES, optimizer=SGD(0.1)).fold.unique()) == 6
    given = torch.arange(24) % 3
    assert torch.equal(recording(folds=given.to(torch.uint8), epochs=1).fold, given)
