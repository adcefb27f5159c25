"""The trainings of a recording: resumed where they were, to the same bits, and no other's."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest
import torch
from recorded_problem import network, problem, recording
from torch import nn

from ntkif import store
from ntkif.networks.losses import SQUARES
from ntkif.training import trainings
from ntkif.training.optimizers import SGD

X, Y, X_TEST, Y_TEST = problem()


KILLED = """
    import os, signal, sys
    sys.path.insert(0, {tests!r})
    from ntkif import store
    from ntkif.training import trainings
    trainings.SIDE_BY_SIDE = 2
    whole, count = store.write, [0]
    def write(*args):
        if count[0] == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        count[0] += 1
        return whole(*args)
    store.write = write
    from recorded_problem import recording
    recording(folder={folder!r}, progress=False)
"""


def test_a_killed_recording_goes_on_where_it_was_to_the_same_bits(tmp_path, monkeypatch):
    script = textwrap.dedent(KILLED.format(tests=os.path.dirname(os.path.dirname(__file__)), folder=str(tmp_path)))
    ended = subprocess.run([sys.executable, "-c", script])
    assert ended.returncode == -signal.SIGKILL
    whole, folds = sorted(file.name for file in tmp_path.glob("*.pt"))
    assert whole == "all-points.pt" and folds.startswith("without-0-to-1-of-6-folds-")
    monkeypatch.setattr(trainings, "SIDE_BY_SIDE", 2)
    trained = []
    run_tape = trainings.Tape.run
    monkeypatch.setattr(trainings.Tape, "run", lambda self, w, *a: trained.append(w) or run_tape(self, w, *a))
    again = recording(folder=tmp_path)
    assert [len(weights) for weights in trained] == [2, 2, 2, 2, 2, 2, 2]
    anew = recording()
    assert torch.equal(again.influence(X_TEST, Y_TEST), anew.influence(X_TEST, Y_TEST))
    assert torch.equal(again._folds.theta, anew._folds.theta)


def test_a_folder_of_another_training_is_refused(tmp_path):
    recording(folder=tmp_path)
    for other in ({"optimizer": SGD(0.04, momentum=0.9)}, {"module": network(1)}, {"seed": 1}, {"loss": SQUARES}):
        with pytest.raises(ValueError, match="holds another training"):
            recording(folder=tmp_path, **other)


class Capped(nn.Sequential):
    """Its outputs are cut off; that it does so is not in its text."""

    def __init__(self, cap):
        super().__init__(*network())
        self.cap = cap

    def forward(self, x):
        return super().forward(x).clamp(-self.cap, self.cap)


def frozen(seed):
    module = nn.Sequential(network(), nn.Linear(3, 3).double().requires_grad_(False))
    with torch.no_grad():
        module[1].weight.copy_(torch.eye(3) + 1e-9 * seed)
    return module


def squares_up_to(bound):
    """Half squares, with slope one from a bound on."""
    return lambda f, y: torch.where((f - y).abs() < bound, (f - y).square() / 2, (f - y).abs()).sum()


OUTLIER = torch.where(torch.arange(24)[:, None] == 20, 40, 0.1 * Y)


@pytest.mark.parametrize(
    ("first", "other"),
    [
        ({"loss": "squares"}, {"loss": "huber"}),
        ({"loss": squares_up_to(50)}, {"loss": squares_up_to(20)}),
        ({"module": Capped(10)}, {"module": Capped(2)}),
        ({"module": frozen(0)}, {"module": frozen(1)}),
    ],
    ids=["huber", "one point", "what no text says", "a frozen part"],
)
def test_a_training_that_differs_at_few_points_is_another(tmp_path, first, other):
    """The losses and modules are alike at the first points and at the start."""
    how = {"loss": "squares", "y": OUTLIER, "folds": 2, "alone": 0, "epochs": 1}
    theta = recording(folder=tmp_path, **how | first).theta
    assert torch.equal(recording(folder=tmp_path, **how | first).theta, theta)
    with pytest.raises(ValueError, match="holds another training; name another folder, or empty it"):
        recording(folder=tmp_path, **how | other)


def test_a_folder_is_read_with_another_rounding(tmp_path, monkeypatch):
    theta = recording(folder=tmp_path).theta
    probes = trainings.Trainings._probes.func
    monkeypatch.setattr(trainings.Trainings, "_probes", property(lambda self: probes(self) * (1 + 1e-13)))
    assert torch.equal(recording(folder=tmp_path).theta, theta)


def test_a_folder_of_an_earlier_version_is_refused(tmp_path):
    """It knew of the loss what it is at eight points."""
    recording(folder=tmp_path)
    for file in tmp_path.glob("*.pt"):
        store.write(file, file.read_bytes(), {"training": "known by less"})
    with pytest.raises(ValueError, match=r"an earlier version, which noted too little .* and record again"):
        recording(folder=tmp_path)


def test_a_folder_serves_other_folds_and_less_memory(tmp_path, monkeypatch):
    first = recording(folder=tmp_path)
    trained = []
    run_tape = trainings.Tape.run
    monkeypatch.setattr(trainings.Tape, "run", lambda self, w, *a: trained.append(w) or run_tape(self, w, *a))
    monkeypatch.setattr("ntkif.training.recording.stride_for", lambda *_, **__: 3)
    again = recording(folder=tmp_path)
    assert trained == [] and torch.equal(again.influence(X_TEST, Y_TEST), first.influence(X_TEST, Y_TEST))
    recording(folder=tmp_path, folds=first.fold.flip(0))
    assert len(trained) == 1


def test_a_damaged_file_is_named(tmp_path):
    recording(folder=tmp_path)
    (tmp_path / "all-points.pt").write_bytes(b"cut")
    with pytest.raises(ValueError, match=r"rm .*all-points.pt .*all-points.json, and record again"):
        recording(folder=tmp_path)


class Halved(SGD):
    """An optimiser of one's own, of which its fields do not tell everything."""

    part = 0.5

    def step(self, index, theta, gradient, states):
        return super().step(index, theta, self.part * gradient, states)


def test_an_optimiser_of_ones_own_is_known_by_its_steps(tmp_path, monkeypatch):
    how = {"optimizer": Halved(0.1), "epochs": 1, "folds": 2, "alone": 0, "folder": tmp_path, "progress": False}
    first = recording(**how)
    assert torch.equal(recording(**how).theta, first.theta)
    monkeypatch.setattr(Halved, "part", 0.75)
    with pytest.raises(ValueError, match="holds another training"):
        recording(**how)


def test_a_folder_that_cannot_be_written_is_said_before_anything_is_trained(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(trainings.Trainings, "whole", lambda self: pytest.fail("it was trained"))
    for folder in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(OSError, match="file"):
            recording(folder=folder)
