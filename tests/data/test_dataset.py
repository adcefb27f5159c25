"""What an image set is: rows of norm one, targets, and a set cut to its first images."""

import numpy as np
import pytest
import torch

from ntkif.data import dataset, sets


def test_ten_class_targets_are_one_hot():
    sample = sets.load("mini-mnist-sample")
    assert torch.equal(sample.y_train.sum(1), torch.ones(1000, dtype=torch.float64))
    assert torch.equal(sample.y_train.argmax(1), torch.from_numpy(sample.labels_train))


def test_rows_are_the_pixels_scaled():
    sample = sets.load("mnist-sample", dtype=torch.float32)
    pixels = sample.images_test[5].reshape(-1).astype(float)
    assert sample.x_test.dtype == torch.float32
    assert np.allclose(sample.x_test[5], pixels / np.linalg.norm(pixels), atol=1e-7)


def test_head():
    sample = sets.load("mnist-sample").head(30, 7)
    assert len(sample.x_train) == len(sample.images_train) == len(sample.labels_train) == len(sample.y_train) == 30
    assert len(sample.x_test) == len(sample.images_test) == len(sample.labels_test) == len(sample.y_test) == 7
    with pytest.raises(ValueError, match="between 1 and 30 training images, got 31"):
        sample.head(31, 7)


def test_an_image_of_zeros():
    with pytest.raises(ValueError, match="image 1 has only zeros"):
        dataset._unit_rows(np.stack([np.ones((2, 2)), np.zeros((2, 2))]))
