"""How networks are trained, and how what came of it is read."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ntkif.metrics import rms
from ntkif.retraining.protocol import LOOKS, Protocol, Retraining

HALF = Protocol(ridge=1.0, width=32, learning_rate=0.02, epochs=60, precision="float16")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"precision": "float32", "directions": 8}, "directions: expected none with float32, got 8"),
        ({"tolerance": 0.1}, "tolerance: expected none with float16, got 0.1"),
    ],
)
def test_what_a_protocol_cannot_be(change, message):
    with pytest.raises(ValueError, match=message):
        replace(HALF, **change)


def test_the_file_of_a_run_tells_its_epochs_and_directions():
    assert str(HALF) == "width-32-scale-0.01-seed-0-epochs-60-directions-all"
    assert str(replace(HALF, directions=8, symmetric=True)).endswith("-symmetric-seed-0-epochs-60-directions-8")


def test_influences_are_of_the_mean_of_two_steps_unless_the_last_is_asked_for():
    ends = torch.tensor([[[1.0], [2.0]], [[3.0], [1.0]]]), torch.tensor([[[2.0], [2.0]], [[1.0], [2.0]]])
    told = np.zeros(2), np.zeros(2), np.zeros(2), np.full((2, LOOKS), np.nan)
    run = Retraining(HALF, 0, np.array([5]), *ends, *told, 1.0)
    y = torch.tensor([[1.0], [0.0]])
    assert run.at_rest[:, :, 0].tolist() == [[1.5, 2.0], [2.0, 1.5]]
    assert run.influence(y).tolist() == [[0.5 - 0.125], [1.125 - 2.0]]
    last = replace(run, protocol=replace(HALF, last_step=True))
    assert last.influence(y).tolist() == [[2.0], [0.5 - 2.0]]
    assert run.hops.tolist() == pytest.approx([rms(ends[1][0] - ends[0][0]), 2.5**0.5])
    assert replace(last, following=None).hops is None
