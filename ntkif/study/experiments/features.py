"""Experiments on Nystrom features: their error at the paper's size, and a training set that no memory holds."""

import time
from collections.abc import Sequence

import pandas as pd
import torch

from ntkif.blocks import row_blocks
from ntkif.data import Dataset
from ntkif.influence.closed_form import loo_influence
from ntkif.kernels.infinite import ntk
from ntkif.metrics import agreement, misfit, share
from ntkif.regression.columns import solve_columns
from ntkif.regression.nystrom import FeatureFit, nystrom_fit
from ntkif.regression.ridge import ridge_fit
from ntkif.retraining.leave_one_out import true_influence
from ntkif.study import paper
from ntkif.study.experiments.experiment import AGREEMENT, Column, experiment

__all__ = ["feature_errors", "features_of_all"]

#: The ten images of MNIST with the largest influence by the exact fit: `records/tables/full-mnist`.
_INFLUENTIAL = [16572, 35861, 30690, 38760, 11386, 828, 54880, 49614, 16113, 58258]


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


@experiment(
    "features-of-all",
    settings={
        "mnist-full": {
            "ridge": paper.RIDGE["mini-mnist"],
            "features": [500, 1000, 2000, 4000],
            "preconditioner": 2000,
            "n_test": 200,
            "influential": _INFLUENTIAL,
            "drawn": 100,
            "seed": 0,
            "single": True,
        }
    },
    witness={
        "ridge": 4.0,
        "features": [50, 200],
        "preconditioner": 100,
        "n_test": 20,
        "influential": [448, 2],
        "drawn": 5,
        "seed": 0,
        "single": False,
    },
    slice={"features": [1000]},
    columns={
        "features": Column.key("landmarks"),
        "chosen": Column.key("how: all drawn, or half of them images of largest influence by a first pass"),
        "kind": Column.key("of the images: influential, or drawn"),
        **AGREEMENT,
        "norm": Column.value("of their exact influences over the test images"),
        "leverage": Column.value("the largest of theirs, exact"),
        "residual": Column.noise("of the exact system, relative", 1e-5),
        "test_error": Column.value("share of all test images classified wrongly"),
        "exact_test_error": Column.value("the same of the exact fit"),
        "seconds": Column.clock("of fit and influence"),
        "exact_seconds": Column.clock("of the exact solution"),
    },
)
@torch.no_grad()
def features_of_all(
    dataset: Dataset,
    ridge: float,
    features: Sequence[int],
    preconditioner: int,
    n_test: int,
    influential: Sequence[int],
    drawn: int,
    seed: int,
    single: bool,
) -> pd.DataFrame:
    """Influence by Nystrom features against the exact one, of some images of a set too large to ask for all.

    Args:
        dataset: training and test images.
        ridge: penalty λ.
        features: numbers p of landmarks, drawn from the training images.
        preconditioner: number of landmarks that lead the exact solution.
        n_test: test images for influence, the first.
        influential: training images of large influence.
        drawn: other training images, drawn.
        seed: of the draws.
        single: whether the exact solution works in float32, for want of memory.

    Returns:
        a row for each number of features, choice of landmarks and kind of images.
    """
    x, y, x_test, y_test = dataset.x_train, dataset.y_train, dataset.x_test[:n_test], dataset.y_test[:n_test]
    others = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed)).tolist()
    rows = [*influential, *[row for row in others if row not in influential][:drawn]]
    parts = {"influential": slice(len(influential)), "drawn": slice(len(influential), None)}
    clock = time.perf_counter()
    lead = nystrom_fit([(x, y)], _landmarks(x, preconditioner, seed), ridge)
    truth, leverage, whole = _exact_influence(dataset, lead, rows, n_test, single)
    whole["exact_seconds"] = time.perf_counter() - clock
    table = []
    for p in features:
        for chosen in ("drawn", "half by influence"):
            clock = time.perf_counter()
            fit = nystrom_fit([(x, y)], _landmarks(x, p, seed), ridge)
            if chosen != "drawn":
                largest = fit.loo_influence(x, y, x_test, y_test).norm(dim=0).topk(p // 2).indices.tolist()
                marks = list(dict.fromkeys([*largest, *others[: p // 2]]))
                fit = nystrom_fit([(x, y)], x[marks], ridge)
            found = fit.loo_influence(x[rows], y[rows], x_test, y_test)
            common = whole | {"seconds": time.perf_counter() - clock}
            common["test_error"] = share(misfit(fit.predict(dataset.x_test), dataset.y_test))
            for kind, each in parts.items():
                agreed = agreement(found[:, each], truth[:, each])
                norm, largest = float(truth[:, each].norm()), float(leverage[each].max())
                key = {"features": p, "chosen": chosen, "kind": kind}
                table.append({**key, **agreed, "norm": norm, "leverage": largest, **common})
    return pd.DataFrame(table)


def _exact_influence(
    dataset: Dataset, lead: FeatureFit, rows: list[int], n_test: int, single: bool
) -> tuple[torch.Tensor, torch.Tensor, dict]:
    """(n_test, r) exact influences of some rows by as many columns of the inverse, (r,) leverages, and of the whole."""
    x, y = dataset.x_train, dataset.y_train
    unit = x.new_zeros(len(x), len(rows))
    unit[rows, range(len(rows))] = 1
    how = {"dtype": torch.float32, "tolerance": 1e-5} if single else {"tolerance": 1e-12}
    solution, residual = solve_columns(x, torch.cat([y, unit], 1), lead, **how)
    dual, columns = solution.to(x).split([y.shape[1], len(rows)], 1)
    prediction = torch.cat([ntk(dataset.x_test[block], x) @ dual for block in row_blocks(len(dataset.x_test), 1000)])
    diagonal = columns[rows, range(len(rows))]
    coefficients = ntk(dataset.x_test[:n_test], x) @ columns
    change = coefficients.T[:, :, None] * (-dual[rows] / diagonal[:, None])[:, None]
    before = prediction[None, :n_test]
    truth = true_influence(torch.cat([before, before + change]), dataset.y_test[:n_test])
    wrong = share(misfit(prediction, dataset.y_test))
    return truth, 1 - lead.ridge * diagonal, {"residual": float(residual.max()), "exact_test_error": wrong}
