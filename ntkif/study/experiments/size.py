"""Experiments on size: the exact method at as many points as memory takes (beyond the paper)."""

import time

import pandas as pd
import torch

from ntkif.checks import peak_bytes
from ntkif.data import Dataset
from ntkif.data.shifts import ShiftedImages
from ntkif.influence.closed_form import ihvp_influence, loo_influence
from ntkif.kernels.infinite import ntk
from ntkif.metrics import agreement, misfit, share
from ntkif.regression.nystrom import nystrom_fit
from ntkif.regression.tiled import solve_without, tiled_fit
from ntkif.retraining.leave_one_out import true_influence
from ntkif.retraining.selection import largest_and_drawn
from ntkif.study import paper
from ntkif.study.experiments.experiment import AGREEMENT, Column, experiment

__all__ = ["full_fit", "shifted_fit"]


@experiment(
    "full-mnist",
    settings={"mnist-full": {"ridge": paper.RIDGE["mini-mnist"], "n_test": 200, "removals": 20, "seed": 0}},
    witness={"ridge": 4.0, "n_test": 20, "removals": 4, "seed": 0},
    slice=None,  # whatever is removed, the fit takes most of the hour
    columns={
        "row": Column.key("in the training set"),
        "kind": Column.value("influential, or drawn"),
        "leverage": Column.value("of the image"),
        "norm": Column.value("of its influences over the test images"),
        "deviation": Column.noise("of Eq. 9 from the refit in predictions, as a share of the largest change", 1e-8),
        "influence_deviation": Column.noise("the same of influences", 1e-8),
        "residual": Column.noise("of the refit's system, relative", 1e-12),
        "condition": Column.value("of K + λI"),
        "test_error": Column.value("share of test images classified wrongly"),
        "leverage_median": Column.value("over the training images"),
        "leverage_max": Column.value("over the training images"),
        **AGREEMENT,
        "fit_seconds": Column.clock("of the fit"),
        "influence_seconds": Column.clock("of the influence"),
        "peak_gib": Column.clock("the most memory held"),
        "refit_seconds": Column.clock("of all refits"),
    },
)
@torch.no_grad()
def full_fit(dataset: Dataset, ridge: float, n_test: int, removals: int, seed: int) -> pd.DataFrame:
    """The exact influence of all training images, and a check of some removals by refits without Eq. 9.

    Args:
        dataset: training and test images.
        ridge: penalty λ.
        n_test: test images, the first.
        removals: half of them the most influential, root mean square over the test images, the rest drawn.
        seed: of the draw.

    Returns:
        a row for each removed image; what is of the whole is the same in every row.
    """
    x, y, x_test, y_test = dataset.x_train, dataset.y_train, dataset.x_test[:n_test], dataset.y_test[:n_test]
    clock = time.perf_counter()
    fit = tiled_fit(x, y, ridge)
    seconds = {"fit_seconds": time.perf_counter() - clock}
    clock, k_test_train = time.perf_counter(), ntk(x_test, x)
    influence = loo_influence(fit, k_test_train, y_test)
    seconds["influence_seconds"] = time.perf_counter() - clock
    whole = {
        "condition": fit.condition,
        "test_error": share(misfit(fit.predict(k_test_train), y_test)),
        "leverage_median": float(fit.leverage.median()),
        "leverage_max": float(fit.leverage.max()),
        **agreement(ihvp_influence(fit, k_test_train, y_test), influence),
        **seconds,
        "peak_gib": peak_bytes(x.device) / 2**30,
    }
    rows, kinds = largest_and_drawn(influence, removals, seed)
    clock = time.perf_counter()
    dual, residual = solve_without(x, fit, rows)
    before = fit.predict(k_test_train)
    changed = torch.einsum("tn,nrc->trc", k_test_train, dual) - before[:, None]
    whole["refit_seconds"] = time.perf_counter() - clock
    exact = fit.coefficients(k_test_train)[:, rows, None] * fit.loo_residual[rows]
    refitted = (changed * (before - y_test)[:, None] + changed.square() / 2).sum(2)
    table = {
        "row": rows,
        "kind": kinds,
        "leverage": fit.leverage[rows].tolist(),
        "norm": influence[:, rows].norm(dim=0).tolist(),
        "deviation": ((exact - changed).abs().amax((0, 2)) / changed.abs().amax((0, 2))).tolist(),
        "influence_deviation": ((influence[:, rows] - refitted).abs().amax(0) / refitted.abs().amax(0)).tolist(),
        "residual": residual.tolist(),
    }
    return pd.DataFrame(table | {name: [value] * len(rows) for name, value in whole.items()})


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
        # One row of a million moves predictions by 1e-6, so that rounding is a larger share of that than elsewhere.
        "deviation": Column.noise("of its influences from the fit without it, as a share of the largest", 1e-4),
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
    from ntkif.regression.cluster import connect, fit_on, influence_on, peaks_of  # needs Dask

    x_test, y_test = dataset.x_test[:n_test], dataset.y_test[:n_test]
    source = ShiftedImages(dataset.images_train, dataset.y_train, count=rows)
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


def _removed(fit, source, row: int, x_test, y_test, influence) -> dict:
    """One row against the fit to sums that lack it."""
    x, y = source[row : row + 1]
    truth = true_influence([each.predict(x_test) for each in (fit, fit.without(x, y))], y_test)[:, 0]
    return {
        "removed": row,
        "leverage": float(fit.leverage(x)),
        "norm": float(influence[:, row].norm()),
        "deviation": float((influence[:, row] - truth).abs().max() / truth.abs().max()),
    }
