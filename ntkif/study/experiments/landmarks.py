"""How well `missed_` tells what influences by landmarks are worth."""

import time
import warnings
from collections.abc import Sequence

import pandas as pd
import torch

from ntkif.data import Dataset
from ntkif.estimators.regressor import NTKInfluence
from ntkif.influence.closed_form import loo_influence
from ntkif.kernels.infinite import ntk
from ntkif.metrics import agreement
from ntkif.regression.ridge import ridge_fit
from ntkif.study.experiments.experiment import AGREEMENT, Column, experiment

__all__ = ["landmark_errors"]


@experiment(
    "landmarks",
    settings={
        name: {
            "ridges": [0.1, 1.0, 4.0, 10.0],
            "landmarks": [250, 500, 1000, 2000],
            "seeds": [0, 1, 2],
            "n_test": 200,
            "largest": 40,
        }
        for name in ("mnist", "cifar", "mini-mnist", "mini-cifar")
    },
    witness={"ridges": [0.1, 4.0], "landmarks": [20, 60], "seeds": [0, 1], "n_test": 20, "largest": 5},
    slice={"landmarks": [500], "seeds": [0]},
    columns={
        "ridge": Column.key("λ"),
        "landmarks": Column.key("p"),
        "seed": Column.key("of the draw of half of them"),
        **AGREEMENT,
        "largest_slope": Column.value("slope of the training images with the largest exact influences"),
        "missed": Column.value("`missed_` of the fit"),
        "freedom": Column.value("sum of the leverages by landmarks"),
        "exact_freedom": Column.value("the same of the exact fit"),
        "seconds": Column.clock("of fit and influence"),
    },
)
@torch.no_grad()
def landmark_errors(
    dataset: Dataset,
    ridges: Sequence[float],
    landmarks: Sequence[int],
    seeds: Sequence[int],
    n_test: int,
    largest: int,
) -> pd.DataFrame:
    """Influence of the estimator by landmarks against that of the exact fit, beside what `missed_` says of it.

    Args:
        dataset: training and test images.
        ridges: penalties λ.
        landmarks: numbers p of them.
        seeds: of the draw of half of them.
        n_test: test images, the first.
        largest: training images of largest exact influence that have a slope of their own.

    Returns:
        a row for each ridge, number of landmarks and seed.
    """
    x, y, x_test, y_test = dataset.x_train, dataset.y_train, dataset.x_test[:n_test], dataset.y_test[:n_test]
    kernel, k_test_train, rows = ntk(x), ntk(x_test, x), []
    for ridge in ridges:
        fit = ridge_fit(kernel, y, ridge)
        truth, freedom = loo_influence(fit, k_test_train, y_test), float(fit.leverage.sum())
        first = truth.norm(dim=0).topk(largest).indices
        for p in landmarks:
            for seed in seeds:
                clock = time.perf_counter()
                model = NTKInfluence(ridge, fit_intercept=False, landmarks=p, random_state=seed)
                with warnings.catch_warnings():
                    warnings.filterwarnings("ignore", "landmarks")  # whether it is right to warn is the question
                    model.fit(x, y)
                found = model.influence(x_test, y_test)
                row = {"ridge": ridge, "landmarks": p, "seed": seed, **agreement(found, truth)}
                row["largest_slope"] = agreement(found[:, first], truth[:, first])["slope"]
                row |= {"missed": model.missed_, "freedom": float(model.leverage_.sum()), "exact_freedom": freedom}
                rows.append(row | {"seconds": time.perf_counter() - clock})
    return pd.DataFrame(rows)
