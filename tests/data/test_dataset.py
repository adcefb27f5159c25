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


def test_a_set_of_given_pixels():
    images, labels = np.random.default_rng(0).integers(1, 256, (5, 4, 3), dtype=np.uint8), np.array([0, 2, 1, 1, 0])
    arrays = images[:3], labels[:3], images[3:], labels[3:]
    made = dataset.from_pixels("five", arrays, ("a", "b", "c"), "made", dtype=torch.float32)
    assert made.x_train.dtype == made.y_test.dtype == torch.float32 and made.classes == ("a", "b", "c")
    assert made.y_train.tolist() == [[1, 0, 0], [0, 0, 1], [0, 1, 0]] and made.y_test.tolist() == [[0, 1, 0], [1, 0, 0]]
    assert str(made) == f"five: 3 training and 2 test images; made; sha256 {made.digest[:8]}"
    assert made.digest == dataset.pixel_digest(arrays) != dataset.pixel_digest((*arrays[:3], labels[2:4]))
    two = dataset.from_pixels("five", (images[:3], labels[2:], images[3:], labels[3:]), ("a", "b"), "made", "of more")
    assert two.y_train.tolist() == [[-1], [-1], [1]] and two.digest == "of more"


@pytest.mark.parametrize("kind", [np.uint8, np.int32, np.uint64])
def test_labels_of_any_whole_numbers(kind):
    images, labels = np.random.default_rng(0).integers(1, 256, (3, 4, 3), dtype=np.uint8), np.array([0, 2, 1], kind)
    three = dataset.from_pixels("three", (images, labels, images, labels), ("a", "b", "c"), "made")
    assert three.y_train.argmax(1).tolist() == [0, 2, 1] and three.labels_train is labels


@pytest.mark.parametrize(
    ("labels", "classes", "message"),
    [
        ([0, 1, 2], "ab", "training labels: expected an index into the 2 classes, 0 to 1, got 2; name all classes"),
        ([0, 1, 3], "abc", "training labels: expected an index into the 3 classes, 0 to 2, got 3; name all classes"),
        ([0, -1, 1], "ab", "training labels: expected an index into the 2 classes, 0 to 1, got -1; name"),
        ([0, 1], "ab", r"training labels: expected 3 whole numbers, .*, got int64 of shape \(2,\)"),
        ([[0], [1], [1]], "ab", r"training labels: expected 3 whole numbers, .*, got int64 of shape \(3, 1\)"),
        ([0.0, 1.0, 1.0], "ab", "training labels: expected 3 whole numbers, .*, got float64"),
    ],
)
def test_labels_that_are_no_index_into_the_classes(labels, classes, message):
    images, right = np.random.default_rng(0).integers(1, 256, (3, 4, 3), dtype=np.uint8), np.array([0, 1, 1])
    with pytest.raises(ValueError, match=message):
        dataset.from_pixels("three", (images, np.array(labels), images, right), tuple(classes), "made")
    with pytest.raises(ValueError, match=message.replace("training", "test")):
        dataset.from_pixels("three", (images, right, images, np.array(labels)), tuple(classes), "made")
