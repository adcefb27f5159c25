"""Forces against derivatives by torch, and what they make of quantities against trainings that really feel them."""

import pytest
import torch
from recorded_problem import network, problem, recording

from ntkif.networks.losses import CROSS_ENTROPY, SQUARES
from ntkif.training import forces
from ntkif.training.forces import changes_by, forces_of
from ntkif.training.optimizers import SGD
from ntkif.training.quantities import OUTPUTS, quantities_for

X, Y, X_TEST, Y_TEST = problem()
RATE, STEPS = 0.05, 6


@pytest.fixture(scope="module")
def run():
    return recording(network(), optimizer=SGD(RATE), epochs=1, batch_size=20, alone=0)


@pytest.mark.parametrize("loss", [SQUARES, CROSS_ENTROPY], ids=["squares", "cross-entropy"])
def test_forces_are_gradient_and_curvature_of_the_loss_by_outputs(loss):
    run = recording(network(), loss=loss, optimizer=SGD(RATE), epochs=1, alone=0)
    found = forces_of(run.tape, run.inside, run.outside)
    for rows, inside, outside, force in zip(run.tape.batches, run.inside, run.outside, found, strict=True):
        for row, f, without, each in zip(rows, inside, outside, force, strict=True):
            by_outputs = (lambda at, y=run.tape.y[row]: loss.value(at[None], y[None])[0], f)
            gradient = torch.func.grad(by_outputs[0])(f)
            curvature = torch.func.hessian(by_outputs[0])(f)
            assert torch.allclose(each, gradient + curvature @ (without - f), rtol=0, atol=1e-12)


@pytest.mark.parametrize("row", [0, 7])
def test_changes_are_those_of_a_training_that_feels_the_forces(run, row):
    """By central differences of plain descent whose gradient has the force of one point added."""
    tape, found = run.tape, run.forces()

    def trained(factor):
        theta = tape.function.start.clone()
        for rows, force in zip(tape.batches, found, strict=True):

            def total(at, rows=rows, force=force):
                f = tape.function(at, tape.x[rows])
                pull = (force.detach() * f)[rows == row].sum()
                return (tape.loss.value(f, tape.y[rows]).sum() + factor * pull) / len(rows)

            theta = theta - RATE * torch.func.grad(total)(theta)
        return tape.function(theta, X_TEST)

    step = 1e-5
    expected = -(trained(step) - trained(-step)) / (2 * step)
    no_targets = torch.zeros_like(Y_TEST)
    changes = changes_by([found], run._trainings, run.theta, OUTPUTS, X_TEST, no_targets, "Hessian")[0]
    assert float(expected.abs().max()) > 1e-4
    assert torch.allclose(changes[:, :, row], expected, rtol=0, atol=1e-6 * float(expected.abs().max()))


@pytest.mark.parametrize("curvature", ["Hessian", "Gauss-Newton"])
def test_test_points_are_handled_some_at_a_time(run, monkeypatch, curvature):
    back, sizes = run.tape.back, []

    def counted(seeds, *forces, **how):
        sizes.append(len(seeds))
        return back(seeds, *forces, **how)

    monkeypatch.setattr(run.tape, "back", counted)
    how = (run._trainings, run.theta, quantities_for(CROSS_ENTROPY), X_TEST, Y_TEST, curvature)
    whole = changes_by([run.forces()], *how)[0]
    monkeypatch.setattr(forces, "_WORKING_NUMBERS", 2 * forces._numbers_of_adjoint(run.tape))
    assert torch.allclose(changes_by([run.forces()], *how)[0], whole, rtol=0, atol=1e-13)
    assert sizes == [4, 2, 2]


def test_an_unknown_curvature_is_refused(run):
    with pytest.raises(ValueError, match=r"curvature: expected one of \('Hessian', 'Gauss-Newton'\), got 'Fisher'"):
        changes_by([run.forces()], run._trainings, run.theta, OUTPUTS, X_TEST, Y_TEST, "Fisher")
