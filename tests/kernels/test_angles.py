"""Angles against sixty digits: near-copies at every distance, alone and in crowds, and their cost."""

import math

import pytest
import torch
from many_digits import ROUNDING, SETS, by_many_digits, crowd
from torch.utils._python_dispatch import TorchDispatchMode

from ntkif.kernels.angles import angles


def allowed(angle):
    """Error of a computed angle: thirteen digits of a small one, the rounding of the cosine in a larger one."""
    return torch.where(angle < 1.4e-3, 1e-18 + 1e-13 * angle, 1e-15 + 1e-15 / angle)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("far", [False, True], ids=["copies", "opposite points"])
def test_small_angles_keep_their_digits(name, far):
    x = SETS[name]
    z, truth = -x if far else x, by_many_digits(x, x)
    cosine, angle = angles(x, z, opposite=far)
    assert ((angle - truth).abs() <= allowed(truth)).all()
    assert torch.equal(angle == 0, (x[:, None] == x).all(2))  # copies, and only they
    assert torch.allclose(cosine, truth.cos(), rtol=0, atol=1e-15)
    _, large = angles(x, z, opposite=not far)
    assert torch.allclose(large, math.pi - truth, rtol=0, atol=ROUNDING[name])


def test_small_angles_in_float32():
    for size in (1e-2, 1e-4, 1e-6):
        x = crowd(size, dtype=torch.float32)
        truth = by_many_digits(x, x)
        near = truth < 0.04
        assert ((angles(x, x)[1].double() - truth).abs() <= 2e-7 + 1e-5 * truth)[near].all()


class Numbers(TorchDispatchMode):
    """How many numbers are copied by index, and the most that one operation makes."""

    copied = largest = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        size = out.numel() if isinstance(out, torch.Tensor) else 0
        self.copied += size if function is torch.ops.aten.index.Tensor else 0
        self.largest = max(self.largest, size)
        return out


def test_a_crowd_takes_products_and_no_copy_of_two_points_for_each_pair():
    """That would be 2 n² d numbers."""
    n, d = 120, 400
    x = crowd(1e-5, count=n - 4, d=d)
    with Numbers() as numbers:
        angles(x, x)
    assert len(x) == n and numbers.copied < n**2 * d / 4 and numbers.largest <= n * d
