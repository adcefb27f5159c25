"""Networks retrained without a point, and the closed form against them (Figures 1 and 8, Table 1, Theorem 2)."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby

import pandas as pd
import torch

from ntkif.data import Dataset
from ntkif.influence.closed_form import loo_influence
from ntkif.kernels.infinite import ntk
from ntkif.metrics import rms
from ntkif.regression.ridge import ridge_fit
from ntkif.retraining import runs as kept_runs
from ntkif.retraining.leave_one_out import true_influence
from ntkif.retraining.protocol import Protocol, Retraining
from ntkif.study import paper
from ntkif.study.experiments.at_rest import READINGS
from ntkif.study.experiments.experiment import POOLED, Column, experiment, on_point_and_pooled

__all__ = [
    "at_paper_size",
    "influence_pairs",
    "influence_scores",
    "live_protocol",
    "read_once",
    "recorded_errors",
    "recorded_pairs",
    "recorded_scores",
    "theorem_2_errors",
]

#: The columns that tell one run from another.
_RUN = {
    "n": Column.key("training images"),
    "width": Column.key("hidden neurons"),
    "init_scale": Column.key("κ"),
    "symmetric": Column.key("whether the network starts at zero"),
    "seed": Column.key("of its start"),
    "epochs": Column.key("steps, at most"),
    "removals": Column.key("points left out"),
    "reading": Column.key("of the influences: last step, or mean of two steps where the run kept both"),
}


def theorem_2_errors(dataset: Dataset, runs: Sequence[Retraining]) -> pd.DataFrame:
    """How far the influences of networks are from those of the kernel predictor, and the proof's bound on it (Eq. 54).

        |I_nn - I_ntk| <= (C + 1) (|f_nn - f_ntk| + |f_nn^{-i} - f_ntk^{-i}|)

    with C the largest prediction that occurs, for one output and targets of size at most 1.

    Args:
        dataset: training and test images, one output.
        runs: networks trained on it with and without each of some points.

    Returns:
        a row for each run, with the columns of the record `theorem-2`, see `recorded_errors`.

    Raises:
        ValueError: several outputs, for which the bound is not stated.
    """
    if dataset.y_train.shape[1] != 1:
        raise ValueError(f"expected targets in one column, got {dataset.y_train.shape[1]} outputs; use two classes.")
    predictions = _by_ridge(dataset, runs, lambda fit, k: (fit.predict(k), fit.loo_predict(k)[:, :, 0]))
    rows = []
    for run in runs:
        whole, without = predictions[run.protocol.ridge]
        kernel = torch.cat([whole, without[:, run.rows]], 1).T
        network, y = run.at_rest[:, :, 0].to(kernel), dataset.y_test[:, 0]
        off, largest = (network - kernel).abs(), float(torch.maximum(network.abs(), kernel.abs()).max())
        truth, predicted = (true_influence(each[..., None], y[:, None]).T for each in (network, kernel))
        bound = (largest + 1) * (off[1:] + off[0])
        rows.append(
            _key(dataset, run)
            | {
                "error": rms(truth - predicted),
                "size": rms(truth),
                "bound": rms(bound),
                "prediction_error": rms(off[0]),
                "violations": int(((truth - predicted).abs() > bound).sum()),
            }
        )
    return pd.DataFrame(rows)


def influence_scores(dataset: Dataset, runs: Sequence[Retraining]) -> pd.DataFrame:
    """How well the closed form predicts what retraining finds (Table 1), and how well another start does.

    Where a run kept what the trained network's own kernel predicts, that too.

    Args:
        dataset: training and test images.
        runs: networks trained on it with and without each of some points.

    Returns:
        a row for each run and predictor, with the columns of the record `table-1`, see `recorded_scores`.
    """
    closed_form = _closed_form(dataset, runs)
    rows = []
    for run in runs:
        truth = run.influence(dataset.y_test).to(dataset.y_test)
        others = [other for other in runs if other is not run and _differ_in_seed(other, run)]
        predictors = {
            "closed form": [closed_form[run.protocol.ridge][:, run.rows]],
            "own kernel": [] if run.own_kernel is None else [run.own_kernel.to(truth)],
            "another start": [other.influence(dataset.y_test).to(truth) for other in others],
        }
        for predictor, estimates in predictors.items():
            for predicted in estimates:
                each = _row_pearson(predicted, truth)
                rows.append(
                    _key(dataset, run)
                    | {"ridge": run.protocol.ridge, "predictor": predictor}
                    | on_point_and_pooled(predicted, truth, run.test_point)
                    | {"pearson_low": float(each.quantile(0.05)), "pearson_median": float(each.median())}
                )
    return pd.DataFrame(rows)


def influence_pairs(dataset: Dataset, runs: Sequence[Retraining]) -> pd.DataFrame:
    """The points of Figure 1: predicted and actual influence of each removed point on the chosen test point.

    Args:
        dataset: training and test images.
        runs: networks trained on it with and without each of some points.

    Returns:
        a row for each run and removed point, with the columns of the record `figure-1`, see `recorded_pairs`.
    """
    closed_form = _closed_form(dataset, runs)
    rows = []
    for run in runs:
        predicted = closed_form[run.protocol.ridge][run.test_point, run.rows].tolist()
        actual = run.influence(dataset.y_test)[run.test_point].tolist()
        for removed, p, a in zip(run.rows.tolist(), predicted, actual, strict=True):
            rows.append(
                _key(dataset, run) | {"test_point": run.test_point, "removed": removed} | {"predicted": p, "actual": a}
            )
    return pd.DataFrame(rows)


@experiment(
    "table-1",
    settings={name: {} for name in paper.RIDGE},
    witness={},
    slice={},
    columns={
        **_RUN,
        "ridge": Column.value("penalty λ"),
        "predictor": Column.key(
            "closed form; own kernel, the network's as trained; or another start: what a run with another seed found"
        ),
        **POOLED,
        "pearson_low": Column.value("Pearson's R that 95 % of the test points exceed"),
        "pearson_median": Column.value("median Pearson's R over test points"),
        "run": Column.value("digest of the run"),
    },
)
def recorded_scores(dataset: Dataset) -> pd.DataFrame:
    """How well the closed form predicts what retraining found, run by run: `influence_scores` of all recorded runs."""
    return _over_sizes(dataset, influence_scores)


@experiment(
    "figure-1",
    settings={name: {} for name in paper.RIDGE},
    witness={},
    slice={},
    columns={
        **_RUN,
        "test_point": Column.value("the chosen test image"),
        "removed": Column.key("the removed point, a row of the training set"),
        "predicted": Column.value("its influence on the test image in closed form"),
        "actual": Column.value("its influence found by retraining"),
        "run": Column.value("digest of the run"),
    },
)
def recorded_pairs(dataset: Dataset) -> pd.DataFrame:
    """Predicted and true influence of each removed image: `influence_pairs` of all recorded runs."""
    return _over_sizes(dataset, influence_pairs)


@experiment(
    "theorem-2",
    settings={name: {} for name in ("mnist", "cifar")},
    witness={},
    slice={},
    columns={
        **_RUN,
        "error": Column.value("of the influences, root mean square over pairs of test image and removed image"),
        "size": Column.value("of the influences themselves, likewise"),
        "bound": Column.value("of Eq. 54, likewise"),
        "prediction_error": Column.value("of the predictions, root mean square over the test images"),
        "violations": Column.value("pairs above the bound"),
        "run": Column.value("digest of the run"),
    },
)
def recorded_errors(dataset: Dataset) -> pd.DataFrame:
    """How far true influences are from those of the kernel, against the bound: `theorem_2_errors` of all runs."""
    return _over_sizes(dataset, theorem_2_errors)


def _over_sizes(dataset: Dataset, function: Callable) -> pd.DataFrame:
    tables, kept = [], kept_runs.load_runs(dataset)
    if not kept:
        command = f"python -m ntkif retrain --dataset {dataset.name} ..."
        raise FileNotFoundError(f"no run of {dataset.name} in {kept_runs.FOLDER}: train first, `{command}`.")
    for size, group in groupby(kept, key=lambda run: (run.provenance["n_train"], run.provenance["n_test"])):
        runs = list(group)
        cut = dataset.head(*size)
        runs += [replace(run, protocol=replace(run.protocol, last_step=True)) for run in runs if _kept_two(run)]
        table = function(cut, runs)
        digests = {tuple(_key(cut, run).values()): run.provenance["table"][:12] for run in runs}
        keys = table[list(_RUN)].itertuples(index=False, name=None)
        tables.append(table.assign(run=[digests[key] for key in keys]))
    return pd.concat(tables, ignore_index=True)


def _key(dataset: Dataset, run: Retraining) -> dict:
    """The columns that tell one run from another, `_RUN`."""
    size = {"n": len(dataset.x_train)} | _start(run)
    reading = READINGS[0] if run.protocol.last_step else READINGS[1]
    return size | {"epochs": run.protocol.epochs, "removals": len(run.rows), "reading": reading}


def _kept_two(run: Retraining) -> bool:
    return run.following is not None and not run.protocol.last_step


def _start(run: Retraining) -> dict:
    return {name: getattr(run.protocol, name) for name in ("width", "init_scale", "symmetric", "seed")}


def _differ_in_seed(one: Retraining, other: Retraining) -> bool:
    same = replace(one.protocol, seed=0) == replace(other.protocol, seed=0)
    return same and one.protocol != other.protocol and one.rows.tolist() == other.rows.tolist()


def _by_ridge(dataset: Dataset, runs: Sequence[Retraining], function: Callable) -> dict[float, object]:
    """What a function of the fit and the test kernel returns for each ridge of the runs: one fit serves them all."""
    k_train_train, k_test_train = ntk(dataset.x_train), ntk(dataset.x_test, dataset.x_train)
    ridges = {run.protocol.ridge for run in runs}
    return {ridge: function(ridge_fit(k_train_train, dataset.y_train, ridge), k_test_train) for ridge in ridges}


def _closed_form(dataset: Dataset, runs: Sequence[Retraining]) -> dict[float, torch.Tensor]:
    """(k, n) influence of the kernel predictor for each ridge of the runs."""
    return _by_ridge(dataset, runs, lambda fit, k_test_train: loo_influence(fit, k_test_train, dataset.y_test))


def _row_pearson(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    a, b = (torch.nn.functional.normalize(values - values.mean(1, keepdim=True)) for values in (a, b))
    return (a * b).sum(1)


def at_paper_size(table: pd.DataFrame) -> pd.DataFrame:
    """Of a recorded table of runs those with the paper's 5000 images and 40 removals.

    Of runs that differ in the epochs alone it is the shortest, so that runs of one set have the same protocol.
    """
    asked = paper.SETTINGS
    rows = table[(table["n"] == asked["n_train"]) & (table["removals"] == asked["removals"])]
    shortest = rows.groupby(_tells(rows, "epochs", "reading"))["epochs"].transform("min")
    return rows[rows["epochs"] == shortest]


def read_once(table: pd.DataFrame) -> pd.DataFrame:
    """Of each run in a recorded table one reading: the mean of two steps where it is there, else the last step."""
    first = table.sort_values("reading", ascending=False, kind="stable").drop_duplicates(_tells(table, "reading"))
    return table.loc[first.index.sort_values()]


def _tells(table: pd.DataFrame, *but: str) -> list[str]:
    """The columns that tell its rows apart, but some."""
    names = ["dataset", *_RUN, "predictor", "removed"]
    return [name for name in names if name in table and name not in but]


def live_protocol(
    ridge: float, width: int, init_scale: float = 0.01, symmetric: bool = False, seed: int = 0, **changed
) -> Protocol:
    """How the pages train small networks while one waits: in double precision, with a stop as soon as they settle.

    Args:
        ridge: penalty λ.
        width: hidden neurons.
        init_scale: κ; from 1 on the step is 0.02 and the stop 0.003, for smaller ones 0.008 and 0.01.
        symmetric: whether the network starts at zero.
        seed: of the initial weights.
        **changed: fields of `Protocol` that are to be others, for example `learning_rate`.
    """
    small = init_scale < 1
    usual = {"learning_rate": 0.008 if small else 0.02, "epochs": 3000, "tolerance": 0.01 if small else 0.003}
    return Protocol(ridge, width, init_scale, symmetric, seed, **usual | {"precision": "float64"} | changed)
