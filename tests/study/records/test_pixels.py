"""Pixels kept in a table."""

import numpy as np
import pandas as pd

from ntkif.study.records.pixels import pack_image, unpack_images, unpack_test_images


def test_colour_pixels_survive():
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    table = pd.DataFrame({"pixels": [pack_image(image), pack_image(255 - image)]})
    assert (unpack_images(table) == np.stack([image, 255 - image])).all()


def test_test_images_are_those_that_are_there_once():
    image = np.arange(16, dtype=np.uint8).reshape(4, 4)
    table = pd.DataFrame({"test_row": [4, 2, 4], "test_pixels": [pack_image(image), pack_image(image.T), np.nan]})
    assert (unpack_test_images(table) == np.stack([image, image.T])).all()
