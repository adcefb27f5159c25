"""How fast the kernel of a random network nears its closed form (Eq. 4)."""

from collections.abc import Sequence

import pandas as pd
import torch

from ntkif.data import Dataset
from ntkif.kernels.infinite import ntk, ntk_monte_carlo
from ntkif.networks.two_layer import seed_of_width
from ntkif.study import paper
from ntkif.study.experiments.experiment import Column, experiment

__all__ = ["kernel_convergence", "kernel_errors"]


def kernel_convergence(x: torch.Tensor, widths: Sequence[int], seeds: Sequence[int]) -> pd.DataFrame:
    """How fast the kernel of a random network nears Eq. 4 as its width grows.

    A neuron adds x.z times a coin that falls open with probability p = K(x, z) / x.z, so the squared error has the
    expected value (x.z)^2 p (1 - p) / width: nothing is fitted.

    Args:
        x: (n, d) points, rows of norm one.
        widths: numbers of hidden neurons.
        seeds: one random network each.

    Returns:
        a row for each width and seed, with the columns of the record `equation-4`, see `kernel_errors`.
    """
    kernel, cosine = ntk(x), x @ x.T
    variance = float((kernel * (cosine - kernel)).mean())
    rows = []
    for width in widths:
        for seed in seeds:
            generator = torch.Generator().manual_seed(seed_of_width(seed, width))
            sampled = ntk_monte_carlo(x, width=width, generator=generator)
            error = float((sampled - kernel).square().mean().sqrt())
            rows.append({"width": width, "seed": seed, "error": error, "expected": (variance / width) ** 0.5})
    return pd.DataFrame(rows)


@experiment(
    "equation-4",
    settings={name: {"widths": [256, 1024, 4096, 16384], "seeds": [0, 1, 2]} for name in paper.RIDGE},
    witness={"widths": [256, 4097], "seeds": [0]},
    slice={"widths": [256], "seeds": [0]},
    columns={
        "width": Column.key("hidden neurons"),
        "seed": Column.key("of the random network"),
        "error": Column.value("root mean square over all pairs of points"),
        "expected": Column.value("root of the expected squared error, averaged over the same pairs"),
    },
)
def kernel_errors(dataset: Dataset, widths: Sequence[int], seeds: Sequence[int]) -> pd.DataFrame:
    """How fast the kernel of random networks nears Eq. 4 on the training images: the table of `kernel_convergence`."""
    return kernel_convergence(dataset.x_train, widths, seeds)
