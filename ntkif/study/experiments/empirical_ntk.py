"""Influence through the empirical NTK of two-layer and deeper networks, against real retraining (beyond the paper)."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import product

import pandas as pd

from ntkif.data import Dataset
from ntkif.kernels.infinite import deep_ntk
from ntkif.kernels.kinks import kernel_on_kinks, resting_pairs
from ntkif.networks.descent import safe_learning_rate, train
from ntkif.networks.modules import Antisymmetric, ConvNet, Mlp, train_module
from ntkif.networks.two_layer import random_networks
from ntkif.retraining.selection import most_influential
from ntkif.study import paper
from ntkif.study.experiments.comparison import SCORES, Comparison, compare_methods, method_scores
from ntkif.study.experiments.experiment import Column, experiment

__all__ = ["deep_comparisons", "deep_scores", "two_layer_comparisons", "two_layer_scores"]


def two_layer_comparisons(
    dataset: Dataset,
    ridge: float,
    widths: Sequence[int],
    starts: Sequence[tuple[float, bool]],
    seeds: Sequence[int],
    removals: int,
) -> Iterator[Comparison]:
    """`compare_methods` of two-layer networks, trained by gradient descent with a safe step until they settle.

    Args:
        dataset: training and test images, of any number of outputs.
        ridge: penalty λ.
        widths: numbers of hidden neurons.
        starts: pairs of `init_scale` and `symmetric`, see `random_networks`.
        seeds: one network each.
        removals: training points to leave out, those that `most_influential` names by the paper's kernel.
    """
    rows = most_influential(dataset, ridge, removals)
    outputs = dataset.y_train.shape[1]
    for key, start in random_networks(dataset.x_train, widths, starts, seeds, outputs=outputs):
        rate = safe_learning_rate(start, dataset.x_train, ridge)

        def fit(x, y, start=start, rate=rate):
            return train(start, x, y, ridge, learning_rate=rate, epochs=10_000, tolerance=0.005).network

        def on_kinks(network, start=start, rate=rate):
            resting = resting_pairs(network, start, dataset.x_train, dataset.y_train, ridge, learning_rate=rate)
            return partial(kernel_on_kinks, network, resting, dataset.x_train)

        yield compare_methods(key, dataset, ridge, rows, start, fit, further=on_kinks if outputs == 1 else None)


@experiment(
    "own-kernel",
    settings={
        name: {
            "n_train": 200,
            "n_test": 200,
            "ridge": 1.0,
            "widths": [256, 1024],
            "starts": [[1.0, True], [0.01, False]],
            "seeds": [0, 1, 2],
            "removals": 12,
        }
        for name in paper.RIDGE
    },
    witness={
        "n_train": 24,
        "n_test": 20,
        "ridge": 1.0,
        "widths": [32],
        "starts": [[1.0, True]],
        "seeds": [0],
        "removals": 3,
    },
    slice={"widths": [256], "starts": [[1.0, True]], "seeds": [0]},
    columns={
        "width": Column.key("hidden neurons"),
        "init_scale": Column.key("κ"),
        "symmetric": Column.key("whether the network starts at zero"),
        "seed": Column.key("of the network"),
        **SCORES,
    },
)
def two_layer_scores(dataset: Dataset, n_train: int, n_test: int, **settings) -> pd.DataFrame:
    """How well kernels predict the retraining of two-layer networks: `method_scores` of `two_layer_comparisons`."""
    return method_scores(two_layer_comparisons(dataset.head(n_train, n_test), **settings))


def deep_comparisons(
    dataset: Dataset, ridge: float, networks: Sequence[str], seeds: Sequence[int], removals: int, iterations: int
) -> Iterator[Comparison]:
    """`compare_methods` of deeper networks, with all layers trained by L-BFGS, beside the NTK of two hidden layers.

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
    rows = most_influential(dataset, ridge, removals, kernel=deep_ntk)
    for name, seed in product(networks, seeds):
        start = _DEEP[name.removeprefix("antisymmetric ")](dataset, seed).to(dataset.x_train)
        start = Antisymmetric(start) if name.startswith("antisymmetric ") else start

        def fit_network(x, y, start=start):
            return train_module(start, x, y, ridge, iterations=iterations)

        key = {"network": name, "seed": seed, "parameters": sum(p.numel() for p in start.parameters())}
        yield compare_methods(key, dataset, ridge, rows, start, fit_network, kernel=deep_ntk)


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
            # With ten outputs the empirical NTK costs a hundred times as much, so the networks are smaller.
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
    """How well kernels predict the retraining of deeper networks: `method_scores` of `deep_comparisons`."""
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
