"""Pixels kept in a table."""

import numpy as np
import pandas as pd

from ntkif.study.records.pixels import pack_image, unpack_images


def test_colour_pixels_survive():
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    table = pd.DataFrame({"pixels": [pack_image(image), pack_image(255 - image)]})
    assert (unpack_images(table) == np.stack([image, 255 - image])).all()
