"""Experiments on influence through the own kernels of deeper networks, against real retraining (beyond the paper)."""

from collections.abc import Callable, Iterator, Sequence
from itertools import product

import pandas as pd

from ntkif.data import Dataset
from ntkif.kernels.deep import deep_ntk
from ntkif.networks.modules import Antisymmetric, ConvNet, Mlp, train_module
from ntkif.study.experiments.comparison import SCORES, Comparison, compare, method_scores, most_influential
from ntkif.study.experiments.experiment import Column, experiment

__all__ = ["deep_comparisons", "deep_scores"]


def deep_comparisons(
    dataset: Dataset, ridge: float, networks: Sequence[str], seeds: Sequence[int], removals: int, iterations: int
) -> Iterator[Comparison]:
    """`compare` of deeper networks, with all layers trained by L-BFGS, beside the NTK of two hidden layers.

    Args:
        dataset: training and test images.
        ridge: penalty λ.
        networks: names of `_DEEP`; with "antisymmetric " before them they start at zero.
        seeds: one network each.
        removals: training points to leave out, those that `most_influential` names by the deep NTK.
        iterations: of L-BFGS.

    Raises:
        ValueError: an unknown name.
    """
    plain = [name.removeprefix("antisymmetric ") for name in networks]
    if unknown := sorted(set(plain) - set(_DEEP)):
        raise ValueError(f"networks: expected some of {'; '.join(_DEEP)}, got {'; '.join(unknown)}.")
    rows = most_influential(dataset, deep_ntk, ridge, removals)
    for name, seed in product(networks, seeds):
        start = _DEEP[name.removeprefix("antisymmetric ")](dataset, seed).to(dataset.x_train)
        start = Antisymmetric(start) if name.startswith("antisymmetric ") else start

        def fit_network(x, y, start=start):
            return train_module(start, x, y, ridge, iterations=iterations)

        key = {"network": name, "seed": seed, "parameters": sum(p.numel() for p in start.parameters())}
        yield compare(key, dataset, ridge, rows, start, fit_network, deep_ntk)


@experiment(
    "deeper-networks",
    settings={
        name: {
            "n_train": 200,
            "n_test": 200,
            "ridge": 1.0,
            "networks": networks,
            "seeds": [0, 1, 2],
            "removals": 6,
            "iterations": 100,
        }
        for names, networks in {
            ("mnist", "cifar"): [
                "MLP, width 128",
                "antisymmetric MLP, width 128",
                "antisymmetric conv, ReLU",
                "antisymmetric conv, GELU",
            ],
            # With ten outputs the own kernel costs a hundred times as much, so the networks are smaller.
            ("mini-mnist", "mini-cifar"): ["antisymmetric MLP, width 64", "antisymmetric conv, GELU"],
        }.items()
        for name in names
    },
    witness={
        "n_train": 12,
        "n_test": 20,
        "ridge": 1.0,
        "networks": ["antisymmetric MLP, width 64", "antisymmetric conv, GELU"],
        "seeds": [0],
        "removals": 2,
        "iterations": 10,
    },
    slice={"networks": ["antisymmetric conv, GELU"], "seeds": [0]},
    slice_tolerance=5e-3,  # between a CPU and a GPU a hundred steps of L-BFGS made 6e-4 of rounding errors
    columns={
        "network": Column.key("its kind and width"),
        "seed": Column.key("of the network"),
        "parameters": Column.value("trained numbers"),
        **SCORES,
    },
)
def deep_scores(dataset: Dataset, n_train: int, n_test: int, **settings) -> pd.DataFrame:
    """`method_scores` of `deep_comparisons` on the first images of a data set."""
    return method_scores(deep_comparisons(dataset.head(n_train, n_test), **settings))


def _mlp(width: int) -> Callable:
    return lambda data, seed: Mlp(data.x_train.shape[1], width=width, outputs=data.y_train.shape[1], seed=seed)


def _conv(activation: str) -> Callable:
    return lambda data, seed: ConvNet(
        data.images_train.shape[1:], outputs=data.y_train.shape[1], activation=activation, seed=seed
    )


_DEEP = {
    **{f"MLP, width {width}": _mlp(width) for width in (64, 128, 256)},
    "conv, ReLU": _conv("relu"),
    "conv, GELU": _conv("gelu"),
}
