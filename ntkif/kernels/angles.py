"""Angles between points on the unit sphere, to full precision for copies, near-copies and opposite points too."""

import math
from collections.abc import Iterator

import torch

__all__ = ["angles"]

_FEW = 8  # near points of one: for so many a copy of each pair takes less time
_SURE = 0.01  # share of |a|² + |b|² above which |a - b|² = |a|² + |b|² - 2 a.b has lost at most two digits


def angles(x: torch.Tensor, z: torch.Tensor, *, opposite: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosine x.z and angle arccos x.z between rows of norm one.

    Where |x.z| nears 1 the arccos loses half of its digits, and the chord between the points gives the angle:

        arccos x.z = 2 arcsin(|x - z| / 2) = π - 2 arcsin(|x + z| / 2)

    Args:
        x: (n, d) points.
        z: (k, d) points.
        opposite: whether -z is meant, which gives -x.z and π - arccos x.z.

    Returns:
        (n, k) cosine and (n, k) angle. Working memory beside them is at most 2 n k numbers, or 2 d where that is more.
    """
    cosine = (x @ z.T).clamp_(-1, 1)
    cosine = cosine.neg_() if opposite else cosine
    angle = cosine.arccos()
    bound = 1 - max(1e-6, 1e4 * torch.finfo(x.dtype).eps)
    sign = -1 if opposite else 1
    _mend_(angle, cosine > bound, x, z, sign, far=False)
    _mend_(angle, cosine < -bound, x, z, -sign, far=True)
    return cosine, angle


def _mend_(angle: torch.Tensor, near: torch.Tensor, x: torch.Tensor, z: torch.Tensor, sign: int, *, far: bool) -> None:
    """Set the angle of each near pair of rows of sign * x and of z by its chord, or π minus that where they are far.

    Of many pairs the chords come from products of the differences from one of the points, which are as short as the
    chords. Where two are much closer to each other than to that point, digits are lost, and another point is taken.
    """
    at_once = max(1, near.numel() // (2 * x.shape[1]))  # rows whose copy takes half as much as the result
    while near.any():
        crowded = near.sum(1, dtype=torch.int32) > _FEW
        for i, j in (pairs.T for pairs in (near & ~crowded[:, None]).nonzero().split(at_once)):
            chord = torch.linalg.vector_norm(x[i].mul_(sign).sub_(z[j]), dim=1)
            angle[i, j] = _by_chord(chord, far)
        near &= crowded[:, None]
        for rows, columns in _crowds(near, crowded):
            for r in rows.split(min(at_once, -(-len(near) // 16))):
                from_one = x[r].mul_(sign).sub_(z[columns[0]])
                for c in columns.split(at_once):
                    chord, sure = _chords(from_one, z[c].sub_(z[columns[0]]))
                    pairs = r[:, None], c
                    angle[pairs] = torch.where(sure, _by_chord(chord, far), angle[pairs])
                    near[pairs] = near[pairs] & ~sure


def _chords(a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Distances |a - b|, and which of them have their digits; where b is zero they do."""
    size = torch.linalg.vector_norm(a, dim=1).square()[:, None] + torch.linalg.vector_norm(b, dim=1).square()
    square = torch.addmm(size, a, b.T, alpha=-2)
    return square.clamp(min=0).sqrt_(), square >= _SURE * size


def _by_chord(chord: torch.Tensor, far: bool) -> torch.Tensor:
    angle = chord.div_(2).asin_().mul_(2)
    return angle.neg_().add_(math.pi) if far else angle


def _crowds(near: torch.Tensor, crowded: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Rows with the same first near column, and the columns near to any of them, the first one first."""
    rows = crowded.nonzero()[:, 0]
    first = near[rows].byte().argmax(1)
    order, sizes = first.argsort(), first.unique(return_counts=True)[1]
    for group in rows[order].split(sizes.tolist()):
        yield group, near[group].any(0).nonzero()[:, 0]
