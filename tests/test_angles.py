"""Angles against sixty digits: near-copies at every distance, alone and in crowds, and their cost."""

import math

import mpmath
import pytest
import torch
from problem import make_problem
from torch.utils._python_dispatch import TorchDispatchMode

from ntkif import ntk
from ntkif.kernels.angles import angles
from ntkif.kernels.infinite import deep_ntk


def crowd(size, *, count=12, d=30, dtype=torch.float64):
    """Points around one, off by a length `size`; the last two are copies of the first two, the rest is elsewhere."""
    generator = torch.Generator().manual_seed(7)
    one, *steps = torch.randn(count, d, generator=generator, dtype=torch.float64).div_(d**0.5)
    near = one / one.norm() + size * torch.stack(steps)
    x = torch.nn.functional.normalize(torch.cat([near, near[:2], make_problem(n=3, d=d).x_train]))
    return x.to(dtype)[torch.randperm(len(x), generator=generator)]


def nested():
    """In the plane, as close to one of them as to another they are far: each scale is a crowd in the next."""
    turns = [scale * step for scale in (1e-4, 1e-6, 1e-9, 1e-13) for step in (-3, -1, 0, 1, 2)]
    return torch.tensor([[math.cos(0.3 + turn), math.sin(0.3 + turn)] for turn in turns], dtype=torch.float64)


def by_many_digits(x, z, function=lambda angle: angle):
    """Of the points as they are, at sixty digits, whose norms are one to rounding alone."""

    def exact(points):
        rows = [[mpmath.mpf(value) for value in row] for row in points.tolist()]
        return [[value / mpmath.sqrt(mpmath.fdot(row, row)) for value in row] for row in rows]

    def arccos(cosine):
        return mpmath.acos(max(-1, min(1, cosine)))

    with mpmath.workdps(60):
        return torch.tensor(
            [[float(function(arccos(mpmath.fdot(row, other)))) for other in exact(z)] for row in exact(x)],
            dtype=torch.float64,
        )


SETS = {f"off by {size:g}": crowd(size) for size in (1e-2, 1e-3, 1e-4, 1e-6, 1e-8, 1e-9)} | {"nested": nested()}
# In the first two some pairs are so far apart that the arccos is used, which has lost three digits there.
ROUNDING = {name: 1e-12 if place < 2 else 2e-15 for place, name in enumerate(SETS)}


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


@pytest.mark.parametrize("name", SETS)
def test_kernels_of_copies_and_of_opposite_points(name):
    x = SETS[name]
    for z in (x, -x):
        truth = by_many_digits(x, z, lambda angle: mpmath.cos(angle) * (mpmath.pi - angle) / (2 * mpmath.pi))
        assert torch.allclose(ntk(x, z), truth, rtol=0, atol=ROUNDING[name])
    copies = (x[:, None] == x).all(2)
    assert torch.allclose(ntk(x)[copies], torch.tensor(0.5, dtype=torch.float64), rtol=0, atol=1e-15)
    assert not ntk(x, -x)[copies].any()
    assert torch.allclose(deep_ntk(x)[copies], torch.tensor(3.0, dtype=torch.float64), rtol=1e-15)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("kernel", [ntk, deep_ntk])
def test_a_pair_alone_and_in_a_crowd_are_the_same(name, kernel):
    x = torch.cat([SETS[name], -SETS[name]])
    alone = torch.stack([torch.cat([kernel(row[None], other[None])[0] for other in x]) for row in x])
    for block_size in (3, 1000):
        for whole in (kernel(x, block_size=block_size), kernel(x, x.clone(), block_size=block_size)):
            assert torch.allclose(whole, alone, rtol=0, atol=2 * ROUNDING[name])


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
