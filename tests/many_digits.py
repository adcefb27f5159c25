"""Oracles at many digits: angles of points in crowds, and the softmax where a probability nears 1."""

import math

import mpmath
import torch
from problem import make_problem


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


def softmax_by_many_digits(f):
    """Gradient for each right class, (c, c), and curvature, (c, c), of the cross-entropy at c outputs."""
    e = [mpmath.exp(mpmath.mpf(float(value))) for value in f]
    p = mpmath.matrix([value / sum(e) for value in e])
    one = mpmath.eye(len(e))
    return mpmath.ones(len(e), 1) * p.T - one, mpmath.diag(p) - p * p.T


def doubles(matrix):
    rows = [[float(matrix[i, j]) for j in range(matrix.cols)] for i in range(matrix.rows)]
    return torch.tensor(rows, dtype=torch.float64)


SURE = ([0.0, 40.0], [0.0, 50.0, 0.0], [3.0, 0.5, 37.0], [0.0, 40.0, 41.0], [0.0, 0.3, -0.2], [0.0, 300.0, 500.0])
