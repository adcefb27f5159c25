"""Points of two classes in tight clusters on the unit sphere (Definition 1)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

__all__ = ["Mixture", "sample_mixture"]


@dataclass(frozen=True, eq=False)
class Mixture:
    """Points of two classes on the unit sphere, in clusters whose points are within a radius of their mean.

    Attributes:
        x_train, x_test: (n, d) and (k, d) points, rows of norm one.
        y_train, y_test: (n, 1) and (k, 1) targets, +1 or -1.
        cluster_train, cluster_test: (n,) and (k,) number of each point's cluster, from 0.
        centres: (clusters, d) middles of the clusters, of norm one; their means are nearer to 0 by less than r^2.
        counts: training points of each cluster.
        radius: r of Definition 1.
    """

    x_train: torch.Tensor
    y_train: torch.Tensor
    x_test: torch.Tensor
    y_test: torch.Tensor
    cluster_train: torch.Tensor
    cluster_test: torch.Tensor
    centres: torch.Tensor
    counts: tuple[int, ...]
    radius: float


def sample_mixture(
    counts: Sequence[int], *, radius: float, seed: int, d: int = 100, n_test: int | None = None
) -> Mixture:
    """Two classes with clusters of the given sizes each, as in Figure 12.

    The centres are uniform on the sphere. Around its centre each cluster is uniform, to second order in the radius, in
    a cap of the sphere whose points are nearer to the centre than the radius (and nearer to their mean: (A2)).

    Args:
        counts: training points of each cluster of one class; the other class has the same.
        radius: r, at most 1.
        seed: of the draw, on the CPU in float64.
        d: dimensions, at least 2.
        n_test: test points, drawn from the mixture; a tenth of the training points where absent.

    Returns:
        the points, cluster by cluster, those of the class +1 first.

    Raises:
        ValueError: no cluster or an empty one, a radius outside (0, 1], or fewer than two dimensions.
    """
    if not counts or min(counts) < 1 or not 0 < radius <= 1 or d < 2:
        raise ValueError(
            f"expected clusters of at least one point, a radius above 0 and at most 1 and at least two dimensions, "
            f"got counts {list(counts)}, radius {radius}, d {d}."
        )
    generator, counts = torch.Generator().manual_seed(seed), tuple(counts) * 2
    centres = _unit(torch.randn(len(counts), d, generator=generator, dtype=torch.float64))
    cluster_train = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    share = torch.tensor(counts, dtype=torch.float64)
    wanted = n_test or max(1, len(cluster_train) // 10)
    cluster_test = torch.multinomial(share, wanted, replacement=True, generator=generator).sort().values
    x_train, x_test = (_around(centres[cluster], radius, generator) for cluster in (cluster_train, cluster_test))
    y_train, y_test = ((1.0 - 2 * (c >= len(counts) // 2).double())[:, None] for c in (cluster_train, cluster_test))
    return Mixture(x_train, y_train, x_test, y_test, cluster_train, cluster_test, centres, counts, radius)


def _unit(rows: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.normalize(rows)


def _around(centres: torch.Tensor, radius: float, generator: torch.Generator) -> torch.Tensor:
    """A point within `radius` of each centre, on the unit sphere."""
    n, d = centres.shape
    step = torch.randn(n, d, generator=generator, dtype=torch.float64)
    step = _unit(step - (step * centres).sum(1, keepdim=True) * centres)  # at right angles to the centre
    chord = radius * torch.rand(n, 1, generator=generator, dtype=torch.float64) ** (1 / (d - 1))
    angle = 2 * torch.asin(chord / 2)
    return torch.cos(angle) * centres + torch.sin(angle) * step
