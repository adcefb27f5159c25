"""Pixels of the images that a recorded table names, so that its figures need no image set."""

import base64
import zlib

import numpy as np
import pandas as pd

__all__ = ["pack_image", "unpack_images", "unpack_test_images"]


def unpack_images(table: pd.DataFrame) -> np.ndarray:
    """(count, height, width) or (count, height, width, 3) pixels of the training images in a recorded table."""
    return np.stack([_unpack_image(text) for text in table["pixels"]])


def unpack_test_images(table: pd.DataFrame) -> np.ndarray:
    """Pixels of the test images in a recorded table, each once, in the order in which they come."""
    return np.stack([_unpack_image(text) for text in table.drop_duplicates("test_row")["test_pixels"]])


def pack_image(image: np.ndarray) -> str:
    packed = base64.b64encode(zlib.compress(np.ascontiguousarray(image), 9)).decode()
    return "x".join(map(str, image.shape)) + ":" + packed


def _unpack_image(text: str) -> np.ndarray:
    shape, packed = text.split(":")
    pixels = np.frombuffer(zlib.decompress(base64.b64decode(packed)), np.uint8)
    return pixels.reshape([int(size) for size in shape.split("x")])
