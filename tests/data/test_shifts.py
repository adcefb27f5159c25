"""Shifted images: the images first, then each moved, with nothing that wraps round."""

import numpy as np
import pytest
import torch
from problem import close

from ntkif.data import load
from ntkif.data.shifts import ShiftedImages


def test_shifted_images_begin_with_the_images_and_move_them():
    data = load("mini-mnist-sample").head(30, 10)
    rows = ShiftedImages(data.images_train, data.y_train, radius=1)
    assert len(rows) == 270 and rows.shifts[0] == (0, 0) and len(set(rows.shifts)) == 9
    points, targets = rows[0:30]
    assert torch.equal(points, data.x_train) and torch.equal(targets, data.y_train)
    everything, targets = rows[0:270]
    assert torch.equal(targets, data.y_train.repeat(9, 1))
    for turn, (down, right) in enumerate(rows.shifts):
        padded = np.pad(data.images_train, ((0, 0), (1, 1), (1, 1)))
        rolled = np.roll(padded, (down, right), (1, 2))[:, 1:-1, 1:-1].reshape(30, -1)
        wanted = torch.nn.functional.normalize(torch.from_numpy(rolled).double())
        assert close(everything[30 * turn : 30 * (turn + 1)], wanted)
    assert torch.equal(rows[25:95][0], everything[25:95])
    with pytest.raises(IndexError, match="from 0 to 270"):
        rows[260:271]


def test_what_leaves_the_picture_does_not_come_back():
    image = np.zeros((1, 4, 4), np.uint8)
    image[0, 0, 0], image[0, 3, 2] = 10, 20
    rows = ShiftedImages(image, torch.ones(1, 1).double(), radius=1)
    place = rows.shifts.index((-1, -1))
    moved = rows[place : place + 1][0].reshape(4, 4)
    assert moved[2, 1] == 1 and moved.sum() == 1
    with pytest.raises(ValueError, match="black when shifted"):
        ShiftedImages(image[:, :1], torch.ones(1, 1).double(), radius=1)[0:9]
