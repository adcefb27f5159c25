"""Experiments on Nystrom features: their error at the paper's size, and a training set that no memory holds."""

import time
from collections.abc import Sequence

import pandas as pd
import torch

from ntkif.data import Dataset
from ntkif.influence.closed_form import loo_influence
from ntkif.kernels.infinite import ntk
from ntkif.metrics import agreement, misfit, share
from ntkif.regression.nystrom import nystrom_fit
from ntkif.regression.ridge import ridge_fit
from ntkif.study import paper
from ntkif.study.experiments.experiment import AGREEMENT, Column, experiment

__all__ = ["feature_errors"]


@experiment(
    "features",
    settings={
        name: {"ridge": ridge, "features": [50, 100, 200, 500, 1000, 2000, 4000], "seeds": [0, 1, 2]}
        for name, ridge in paper.RIDGE.items()
    },
    witness={"ridge": 4.0, "features": [50, 200], "seeds": [0]},
    slice={"features": [1000], "seeds": [0]},
    columns={
        "features": Column.key("landmarks"),
        "seed": Column.key("of their draw"),
        **AGREEMENT,
        "seconds": Column.clock("of fit and influence"),
        "test_error": Column.value("share of test images classified wrongly"),
        "numbers": Column.value("held at the peak"),
        "exact_seconds": Column.clock("of the exact method"),
        "exact_test_error": Column.value("test error of the exact method"),
        "exact_numbers": Column.value("held at the peak by the exact method"),
    },
)
@torch.no_grad()
def feature_errors(dataset: Dataset, ridge: float, features: Sequence[int], seeds: Sequence[int]) -> pd.DataFrame:
    """Influence by Nystrom features against the exact influence, with the cost of both.

    Args:
        dataset: training and test images.
        ridge: penalty λ.
        features: numbers p of landmarks, drawn from the training images.
        seeds: of the draws.

    Returns:
        a row for each number of features and seed.
    """
    x, y, x_test, y_test = dataset.x_train, dataset.y_train, dataset.x_test, dataset.y_test
    clock = time.perf_counter()
    fit, k_test_train = ridge_fit(ntk(x), y, ridge), ntk(x_test, x)
    exact = loo_influence(fit, k_test_train, y_test)
    common = {
        "exact_seconds": time.perf_counter() - clock,
        "exact_test_error": share(misfit(fit.predict(k_test_train), y_test)),
        "exact_numbers": 2 * len(x) ** 2 + 2 * len(x) * len(x_test),
    }
    rows = []
    for p in features:
        for seed in seeds:
            marks = _landmarks(x, p, seed)
            clock = time.perf_counter()
            found = nystrom_fit([(x, y)], marks, ridge)
            influence = found.loo_influence(x, y, x_test, y_test)
            row = {"seconds": time.perf_counter() - clock, "test_error": share(misfit(found.predict(x_test), y_test))}
            agreed = agreement(influence, exact)
            rows.append({"features": p, "seed": seed, **agreed, **row, "numbers": 8 * p**2 + 2 * p * len(x), **common})
    return pd.DataFrame(rows)


def _landmarks(x: torch.Tensor, p: int, seed: int) -> torch.Tensor:
    return x[torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))[:p]]
