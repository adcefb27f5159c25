"""What was tried to predict trainings better, folds and curvatures, against retraining (beyond the paper)."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict

import pandas as pd
import torch

from ntkif.data import Dataset
from ntkif.kernels.tangent import tangent_kernel
from ntkif.metrics import agreement
from ntkif.networks.losses import change_of_loss
from ntkif.networks.modules import predict
from ntkif.study.experiments.asked import left_out
from ntkif.study.experiments.experiment import Column, experiment
from ntkif.study.experiments.through_training import ROUNDED, ROUNDED_AGREEMENT, SIZE, TEN_CLASSES
from ntkif.study.experiments.trained_networks import Case, draw, record_case, rows_of
from ntkif.training.folds import folds_apart
from ntkif.training.recorded import RecordedTraining

__all__ = ["case_tries", "through_training_tries"]

_TRIED = ("MLP, SGD", "MLP, Adam", "ReLU MLP, SGD", "conv, Adam")


@experiment(
    "through-training-tries",
    settings={"mini-mnist": {"cases": [asdict(case) for case in TEN_CLASSES if case.name in _TRIED]} | SIZE},
    witness={
        "cases": [{"name": "SGD", "width": 8, "rate": 0.1, "batch_size": 8, "epochs": 4}],
        "n_train": 24,
        "n_test": 6,
        "removals": 6,
        "retrained": 2,
        "seeds": [0],
        "folds": 4,
        "pool": 7,
    },
    columns={
        "case": Column.key("network, optimiser and loss"),
        "seed": Column.key("of images, network and batches"),
        "tried": Column.key("what was done otherwise"),
        **ROUNDED_AGREEMENT,
        "check": Column.value("relative error of its own check", ROUNDED),
    },
    slice=None,
)
def through_training_tries(dataset: Dataset, cases: list[dict], seeds: Sequence[int], **size) -> pd.DataFrame:
    """What was tried to lower the error: fewer and more folds, other folds, other quantities, another matrix.

    Args:
        dataset: images, of which each seed draws.
        cases: fields of `Case`, of the cross-entropy.
        seeds: of images, start and batches.
        **size: of `case_tries`.
    """
    return rows_of(case_tries, dataset, [Case(**fields) for fields in cases], seeds, size)


def case_tries(
    case: Case,
    dataset: Dataset,
    seed: int,
    *,
    n_train: int,
    n_test: int,
    removals: int,
    retrained: int,
    folds: int,
    pool: int,
) -> Iterator[dict]:
    """For one draw of a case, the scores of each thing that was tried; arguments as of `case_scores`."""
    x, y, x_test, y_test = draw(case, dataset, n_train, n_test, seed, pool=pool)
    run = record_case(case, x, y, seed, folds=folds)
    kernel = tangent_kernel(run.module, x, traced=True)
    like = torch.linalg.eigh(kernel)[1][:, -1:]
    shuffled = torch.randperm(n_train, generator=torch.Generator().manual_seed(seed))
    others = {
        "half as many folds": folds // 2,
        "twice as many folds": 2 * folds,
        "as many folds as points": n_train,
        "folds at random": shuffled % folds,
        "folds by the own kernel": folds_apart(like, y, folds),
    }
    runs = {"as it is": run} | {name: record_case(case, x, y, seed, folds=number) for name, number in others.items()}
    twice = [2 * b - a for a, b in zip(run.forces(), runs["twice as many folds"].forces(), strict=True)]
    estimates = {name: each.influence_by(each.forces(), x_test, y_test) for name, each in runs.items()}
    estimates |= {
        "folds and twice as many, extrapolated": run.influence_by(twice, x_test, y_test),
        "Gauss-Newton's matrix": run.influence_by(run.forces(), x_test, y_test, curvature="Gauss-Newton"),
        "through the outputs": _by_outputs(run, x_test, y_test),
        f"{retrained} points retrained": run.influence(x_test, y_test, retrain=retrained, trust=True),
    }
    rows = left_out(n_train, removals, seed)
    truth = run.without(rows, x_test, y_test)
    for name, estimate in estimates.items():
        told = runs.get(name, run).check(x_test, y_test)["relative_error"]
        yield {"case": case.name, "seed": seed, "tried": name} | agreement(estimate[:, rows], truth) | {"check": told}


def _by_outputs(run: RecordedTraining, x_test: torch.Tensor, y_test: torch.Tensor) -> torch.Tensor:
    return change_of_loss(run.tape.loss.value, predict(run.module, x_test), run.change(x_test), y_test)
