"""A large training set that is never held: every image of a small one, shifted by some pixels, made block by block."""

from dataclasses import dataclass

import numpy as np
import torch

__all__ = ["ShiftedImages"]


@dataclass(frozen=True, eq=False)
class ShiftedImages:
    """The images of a set, then all of them shifted, one shift after the other, the shorter shifts first.

    Attributes:
        images: (n, h, w) pixels, uint8.
        targets: (n, c) targets.
        radius: pixels by which an image is moved at most, in either direction; what comes in is black.
        count: rows, the first so many; all where absent.

    Raises:
        ValueError: a count that is not there.
    """

    images: np.ndarray
    targets: torch.Tensor
    radius: int = 2
    count: int | None = None

    def __post_init__(self):
        most = len(self.images) * len(self.shifts)
        if self.count is not None and not 1 <= self.count <= most:
            raise ValueError(f"count: expected from 1 to {most} rows with radius {self.radius}, got {self.count}.")

    def __len__(self) -> int:
        """Rows, of at most n (2 radius + 1)²."""
        return len(self.images) * len(self.shifts) if self.count is None else self.count

    @property
    def shifts(self) -> list[tuple[int, int]]:
        """(down, right) of each pass over the images, (0, 0) first."""
        steps = range(-self.radius, self.radius + 1)
        return sorted(((a, b) for a in steps for b in steps), key=lambda s: (s[0] ** 2 + s[1] ** 2, s))

    def __getitem__(self, rows: slice) -> tuple[torch.Tensor, torch.Tensor]:
        """(b, h w) points of norm one and (b, c) targets.

        Raises:
            IndexError: rows that are not there.
        """
        start, stop = rows.start or 0, len(self) if rows.stop is None else rows.stop
        if rows.step not in (None, 1) or not 0 <= start < stop <= len(self):
            raise IndexError(f"rows: expected a range, step one, from 0 to {len(self)}, got {rows}.")
        number = np.arange(start, stop)
        image, turn = number % len(self.images), number // len(self.images)
        pixels = np.zeros((len(number), *self.images.shape[1:]), np.uint8)
        for each in np.unique(turn):
            here = turn == each
            pixels[here] = _moved(self.images[image[here]], *self.shifts[each])
        points = torch.from_numpy(pixels.reshape(len(pixels), -1)).to(self.targets)
        norms = torch.linalg.vector_norm(points, dim=1, keepdim=True)
        if not norms.min() > 0:
            raise ValueError(f"image {image[int(norms.argmin())]} is black when shifted; use a smaller radius.")
        return points.div_(norms), self.targets[image]


def _moved(images: np.ndarray, down: int, right: int) -> np.ndarray:
    """Images moved, with black where nothing came."""
    out = np.zeros_like(images)
    (to_y, from_y), (to_x, from_x) = (
        (slice(max(step, 0), size + min(step, 0)), slice(max(-step, 0), size - max(step, 0)))
        for step, size in zip((down, right), images.shape[1:], strict=True)
    )
    out[:, to_y, to_x] = images[:, from_y, from_x]
    return out
