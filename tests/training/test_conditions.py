"""What cannot be recorded is refused, with what to do."""

import pytest
import torch
from recorded_problem import CLASSES, INPUTS, network, problem, recording
from torch import nn

from ntkif import record_training
from ntkif.networks.losses import CROSS_ENTROPY
from ntkif.training.optimizers import SGD

X, Y, X_TEST, Y_TEST = problem()


class Noisy(nn.Module):
    def forward(self, x):
        return x + torch.rand_like(x)


def head(*before):
    return nn.Sequential(*before, nn.Linear(INPUTS, CLASSES)).double()


REFUSED = {
    "dropout": (ValueError, r"Dropout\(p=0.5.*module.eval\(\)", {"module": head(nn.Dropout(0.5))}),
    "noise": (ValueError, "forward pass is random", {"module": head(Noisy()).eval()}),
    "batch norm": (ValueError, "BatchNorm1d.*layer norm", {"module": head(nn.BatchNorm1d(INPUTS))}),
    "outputs": (ValueError, "outputs of shape \\(4, 3\\)", {"module": nn.Linear(INPUTS, 2).double()}),
    "dtype": (TypeError, "x: expected a torch tensor like the trained", {"module": nn.Linear(INPUTS, CLASSES)}),
    "batches": (ValueError, "22 of 24 are in none \\(first \\[2, 3", {"batches": [[0, 1]]}),
    "rows": (ValueError, "batches: expected a list of distinct training rows", {"batches": [[0, 24]]}),
    "folds": (ValueError, "folds: expected a whole number from 2 to 24", {"folds": 25}),
    "ridge": (ValueError, "ridge: expected", {"ridge": -1.0}),
    "steps too large": (ValueError, "NaN or infinite; use a smaller learning rate", {"optimizer": SGD(1e200)}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_errors_say_what_to_do(name):
    kind, message, options = REFUSED[name]
    with pytest.raises(kind, match=message):
        recording(**options)


@pytest.mark.parametrize("target", [Y * 2 - 1, Y[:, :1], Y / 2], ids=["signs", "column", "halves"])
def test_targets_of_the_wrong_kind_are_refused(target):
    with pytest.raises(ValueError, match=r"y: expected one-hot .*one_hot\(labels"):
        record_training(network(), X, target, loss=CROSS_ENTROPY, optimizer=SGD(0.1))
    with pytest.raises(ValueError, match="y: expected one-hot"):
        record_training(network(), X, Y.argmax(1), loss=CROSS_ENTROPY, optimizer=SGD(0.1))


def test_modules_in_evaluation_mode_may_have_dropout_and_batch_norm():
    module = head(nn.BatchNorm1d(INPUTS), nn.Dropout(0.5)).eval()
    assert recording(module).influence(X_TEST, Y_TEST).shape == (4, len(X))
