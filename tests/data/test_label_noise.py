"""Flipped labels: which, how many, and to what."""

import math

import numpy as np
import pytest
import torch
from by_flow import BOTH, DATA

from ntkif.data import load
from ntkif.data.label_noise import flip_labels


@BOTH
def test_flipped_labels_are_wrong_and_the_others_right(data):
    noisy = flip_labels(data, 0.4, seed=3)
    changed = noisy.dataset.labels_train != data.labels_train
    assert changed.sum() == 20 and torch.equal(torch.from_numpy(changed), noisy.flipped)
    for one in range(50):
        like = int(np.flatnonzero(data.labels_train == noisy.dataset.labels_train[one])[0])
        assert torch.equal(noisy.dataset.y_train[one], data.y_train[like])
    assert noisy.dataset.y_test is data.y_test and noisy.dataset.x_train is data.x_train
    assert torch.equal(flip_labels(data, 0.4, seed=3).flipped, noisy.flipped)
    assert not torch.equal(flip_labels(data, 0.4, seed=4).flipped, noisy.flipped)
    assert not flip_labels(data, 0.0, seed=3).flipped.any()


def test_every_other_class_is_drawn():
    data = load("mini-mnist-sample")
    noisy = flip_labels(data, 1.0, seed=0)
    steps = (noisy.dataset.labels_train - data.labels_train) % 10
    assert np.bincount(steps, minlength=10)[0] == 0 and np.bincount(steps)[1:].min() > 80


def test_a_class_may_have_no_image_yet():
    data = load("mini-mnist-sample", dtype=torch.float32).head(5, 5)
    assert len(set(data.labels_train)) < 5
    noisy = flip_labels(data, 1.0, seed=0).dataset
    assert noisy.y_train.argmax(1).tolist() == noisy.labels_train.tolist() != data.labels_train.tolist()
    assert noisy.y_train.dtype == torch.float32 and (noisy.y_train.sum(1) == 1).all()


@pytest.mark.parametrize("share", [-0.1, 1.5, math.nan])
def test_a_share_is_a_share(share):
    with pytest.raises(ValueError, match="share: expected a number between 0 and 1"):
        flip_labels(DATA, share, 0)
