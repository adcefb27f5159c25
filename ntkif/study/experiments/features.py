"""Experiments on Nystrom features: their error at the paper's size, and a training set that no memory holds."""

import time
from collections.abc import Sequence

import pandas as pd
import torch

from ntkif.data import Dataset
from ntkif.data.shifts import ShiftedImages
from ntkif.influence.closed_form import loo_influence
from ntkif.kernels.infinite import ntk
from ntkif.metrics import agreement, misfit, share
from ntkif.regression.nystrom import nystrom_fit
from ntkif.regression.ridge import ridge_fit
from ntkif.study import paper
from ntkif.study.experiments.experiment import AGREEMENT, Column, experiment

__all__ = ["feature_errors", "shifted_fit"]


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


@experiment(
    "shifted-mnist",
    settings={
        "mnist-full": {
            "ridge": paper.RIDGE["mini-mnist"],
            "features": 2000,
            "rows": 1_000_000,
            "n_test": 20,
            "removals": 5,
            "seed": 0,
            "workers": 2,
            "memory_gib": 8,
        }
    },
    witness={
        "ridge": 4.0,
        "features": 20,
        "rows": 8193,
        "n_test": 10,
        "removals": 2,
        "seed": 0,
        "workers": 1,
        "memory_gib": 2,
    },
    slice={},
    columns={
        "removed": Column.key("the row"),
        "leverage": Column.value("of the row"),
        "norm": Column.value("of its influences over the test images"),
        "deviation": Column.noise("of its influences from the fit without it, as a share of the largest", 1e-5),
        "test_error": Column.value("share of test images classified wrongly"),
        "few_test_error": Column.value("the same of the fit to the images alone"),
        "fit_seconds": Column.clock("of the fit"),
        "influence_seconds": Column.clock("of the influence"),
        "rows_gib": Column.value("memory that all rows would take"),
        "worker_gib": Column.clock("the most memory that a worker held"),
        "client_gib": Column.clock("the most memory that the calling process held"),
    },
)
@torch.no_grad()
def shifted_fit(
    dataset: Dataset,
    ridge: float,
    features: int,
    rows: int,
    n_test: int,
    removals: int,
    seed: int,
    workers: int,
    memory_gib: int,
) -> pd.DataFrame:
    """Influence of training images and shifted copies of them, more than memory holds, on a Dask cluster.

    Args:
        dataset: training and test images.
        ridge: penalty λ.
        features: number p of landmarks, drawn from the rows.
        rows: training points: all images, then all moved by some pixels, until there are so many.
        n_test: test images, the first.
        removals: rows, drawn, whose influence is compared with a fit whose sums lack them.
        seed: of the draws.
        workers: processes.
        memory_gib: memory limit of each.

    Returns:
        a row for each removal; what is of the whole is the same in every row.
    """
    from ntkif.checks import peak_bytes
    from ntkif.regression.cluster import connect, fit_on, influence_on, peaks_of

    x_test, y_test = dataset.x_test[:n_test], dataset.y_test[:n_test]
    source = _First(ShiftedImages(dataset.images_train, dataset.y_train), rows)
    drawn = torch.randperm(rows, generator=torch.Generator().manual_seed(seed))
    marks = torch.cat([source[slice(int(i), int(i) + 1)][0] for i in drawn[:features].tolist()])
    with connect(workers=workers, memory_limit=f"{memory_gib}GiB") as client:
        clock = time.perf_counter()
        fit = fit_on(client, source, marks, ridge)
        seconds = {"fit_seconds": time.perf_counter() - clock}
        clock = time.perf_counter()
        influence = influence_on(client, source, fit, x_test, y_test)
        seconds["influence_seconds"] = time.perf_counter() - clock
        peaks = peaks_of(client).values()
    alone = nystrom_fit([(dataset.x_train, dataset.y_train)], marks, ridge)
    whole = {
        "test_error": share(misfit(fit.predict(x_test), y_test)),
        "few_test_error": share(misfit(alone.predict(x_test), y_test)),
        **seconds,
        "rows_gib": rows * dataset.x_train[0].numel() * dataset.x_train.element_size() / 2**30,
        "worker_gib": max(peaks) / 2**30,
        "client_gib": peak_bytes(x_test.device) / 2**30,
    }
    chosen = drawn[len(drawn) - removals :].tolist()
    return pd.DataFrame([_removed(fit, source, row, x_test, y_test, influence) | whole for row in chosen])


class _First:
    """The first rows of a longer set."""

    def __init__(self, rows: ShiftedImages, count: int):
        self.rows, self.count = rows, count
        rows[count - 1 : count]  # refuses a count that is not there

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, rows: slice) -> tuple[torch.Tensor, torch.Tensor]:
        return self.rows[rows]


def _removed(fit, source, row: int, x_test, y_test, influence) -> dict:
    """One row against the fit to sums that lack it."""
    x, y = source[row : row + 1]
    loss = [(each.predict(x_test) - y_test).square().sum(1) / 2 for each in (fit.without(x, y), fit)]
    truth = loss[0] - loss[1]
    return {
        "removed": row,
        "leverage": float(fit.leverage(x)),
        "norm": float(influence[:, row].norm()),
        "deviation": float((influence[:, row] - truth).abs().max() / truth.abs().max()),
    }


def _landmarks(x: torch.Tensor, p: int, seed: int) -> torch.Tensor:
    return x[torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))[:p]]
