"""Predictions and influence along training, by an eigendecomposition without each point."""

import pytest
import torch

from ntkif import ntk
from ntkif.data import load
from ntkif.regression.flow import flow_without

DATA = load("mnist-sample").head(50, 12)
TEN = load("mini-mnist-sample").head(50, 12)
BOTH = pytest.mark.parametrize("data", [DATA, TEN], ids=["binary", "ten-class"])


def predictions(data, time, at=None, ridge=0.0):
    """(k, c) with all points, (n, k, c) without each, by eigendecompositions."""
    kernel, test = ntk(data.x_train), ntk(data.x_test if at is None else at, data.x_train)
    groups = [[], *([i] for i in range(len(kernel)))]
    every = torch.stack([flow_without(kernel, test, data.y_train, ridge, time, group) for group in groups])
    return every[0], every[1:]


def influence(data, time, ridge=0.0):
    full, without = predictions(data, time, ridge=ridge)
    loss = [(values - data.y_test).square().sum(-1) / 2 for values in (full, without)]
    return (loss[1] - loss[0]).T


def named_right(prediction, y):
    return (prediction * y > 0)[:, 0] if y.shape[1] == 1 else prediction.argmax(1) == y.argmax(1)
