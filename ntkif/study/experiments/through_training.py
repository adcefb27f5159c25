"""Influence of networks as they were trained, against retraining, with other methods beside it (beyond the paper)."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict

import pandas as pd

from ntkif.data import Dataset
from ntkif.metrics import agreement
from ntkif.study.experiments.asked import left_out, own_kernel_scores, recorded_and_asked
from ntkif.study.experiments.experiment import AGREEMENT, Column, experiment
from ntkif.study.experiments.trained_networks import Case, draw, growth, rows_of, sharpness_share

__all__ = [
    "LARGE_DIGITS",
    "METHODS",
    "ROUNDED",
    "ROUNDED_AGREEMENT",
    "SIZE",
    "TEN_CLASSES",
    "case_scores",
    "through_training_scores",
]

#: What is compared: the derivative of the test loss by a point's weight; the network's own kernel, with the damping
#: that the truth would choose; the forces of folds; and the first and the last with the points that matter most, by
#: themselves, really left out.
METHODS = (
    "first order",
    "own kernel, best damping",
    "through training",
    "first order, top retrained",
    "through training, top retrained",
)
TEN_CLASSES = (
    Case("MLP, SGD"),
    Case("MLP, SGD, small steps", rate=0.05, epochs=40),
    Case("MLP, Adam", optimizer="adam", rate=3e-3),
    Case("MLP, full batches", rate=0.5, momentum=0.0, batch_size=None, epochs=200),
    Case("ReLU MLP, SGD", activation="relu", rate=0.05),
    Case("ReLU MLP, Adam", activation="relu", optimizer="adam", rate=3e-3),
    Case("three layers, SGD", network="deep", rate=0.05, epochs=40),
    Case("three layers, SGD, small steps", network="deep", rate=0.02, epochs=60),
    Case("three layers, Adam", network="deep", optimizer="adam", rate=2e-3),
    Case("three layers, Adam, squares", network="deep", optimizer="adam", rate=2e-3, loss="squares"),
    Case("conv, SGD", network="conv", width=8, rate=0.03, epochs=60),
    Case("conv, Adam", network="conv", width=8, optimizer="adam", rate=3e-3, epochs=40),
    Case("MLP, SGD, 15 % wrong labels", rate=0.05, noise=0.15),
    Case("MLP, Adam, 15 % wrong labels", optimizer="adam", rate=3e-3, noise=0.15, epochs=40),
    Case("conv, SGD, at the edge", network="conv", width=8, rate=0.2, epochs=60, edge=True),
    Case("MLP, full batches, at the edge", rate=2.0, momentum=0.0, batch_size=None, epochs=150, edge=True),
    Case("three layers, SGD, at the edge", network="deep", rate=0.3, epochs=40, edge=True),
)
_TWO = (
    Case("MLP, SGD, squares, two classes", width=128, loss="squares", rate=0.02),
    Case("ReLU MLP, SGD, squares, two classes", width=128, activation="relu", loss="squares", rate=0.02),
    Case(
        "ReLU MLP, stopped early, squares, two classes",
        width=128,
        activation="relu",
        loss="squares",
        rate=0.02,
        momentum=0.0,
        batch_size=None,
        epochs=100,
        noise=0.1,
    ),
)
#: How networks are trained on 5000 digits; the cost of it is measured on 1000.
LARGE_DIGITS = (
    Case("logistic regression, SGD", network="linear", rate=0.1, batch_size=64, epochs=20, momentum=0.0),
    Case("MLP, SGD", rate=0.05, batch_size=64, epochs=20),
    Case("MLP, Adam", optimizer="adam", rate=1e-3, batch_size=64, epochs=20),
    Case("conv, SGD", network="conv", width=8, rate=0.02, batch_size=64, epochs=12),
    Case("conv, Adam", network="conv", width=8, optimizer="adam", rate=1e-3, batch_size=64, epochs=12),
)
_LARGE_PHOTOGRAPHS = (
    Case("conv, SGD", network="conv", width=8, rate=0.01, batch_size=64, epochs=12),
    Case("conv, Adam", network="conv", width=8, optimizer="adam", rate=1e-3, batch_size=64, epochs=12),
)
_LARGE = {"n_train": 5000, "n_test": 20, "removals": 40, "retrained": 20, "seeds": [20], "folds": 20}
SIZE = {
    "n_train": 200,
    "n_test": 20,
    "removals": 40,
    "retrained": 10,
    "seeds": [20, 21, 22],
    "folds": 20,
    "pool": 4,
}


#: Steps of Adam divide by the root of small squares, and so magnify rounding, the more so their derivatives.
ROUNDED = 1e-4
ROUNDED_AGREEMENT = {name: Column.value(column.meaning, ROUNDED) for name, column in AGREEMENT.items()}
_COLUMNS = {
    "case": Column.key("network, optimiser and loss"),
    "seed": Column.key("of images, network and batches"),
    "method": Column.key("one of `METHODS`"),
    **ROUNDED_AGREEMENT,
    "check": Column.value(
        "relative error with which removals that were carried out are predicted, see `check`", ROUNDED
    ),
    "of": Column.value("which of them are predicted worse, those of folds or of points alone"),
    "curvature": Column.value("of the reverse pass, by that check"),
    "edge": Column.value("whether the case is meant to be at the edge of stability"),
    "sharpness": Column.value("times the rate, as a share of what is stable, see `sharpness_share`"),
    "growth": Column.value("of the distance of two trainings, see `growth`"),
    "train_loss": Column.value("mean over the training images, at the end"),
    "test_loss": Column.value("mean over the test images"),
    "train_seconds": Column.clock("of one training by torch.optim"),
    "recording_seconds": Column.clock("of the recording with its folds"),
    "influence_seconds": Column.clock("of all influences, with the check"),
}


@experiment(
    "through-training",
    settings={
        "mini-mnist": {"cases": [asdict(case) for case in TEN_CLASSES]} | SIZE,
        "mnist": {"cases": [asdict(case) for case in _TWO]} | SIZE,
    },
    witness={
        "cases": [
            {"name": "SGD", "width": 8, "rate": 0.1, "batch_size": 8, "epochs": 4},
            {"name": "Adam", "width": 8, "rate": 0.01, "optimizer": "adam", "batch_size": 8, "epochs": 3},
            {"name": "squares", "width": 8, "rate": 0.02, "loss": "squares", "batch_size": None, "epochs": 6},
        ],
        "n_train": 24,
        "n_test": 6,
        "removals": 6,
        "retrained": 2,
        "seeds": [0],
        "folds": 4,
        "pool": 7,
    },
    columns=_COLUMNS,
    slice=None,
)
@experiment(
    "through-training-large",
    settings={
        name: {"cases": [asdict(case) for case in cases], "kernel": False} | _LARGE | {"pool": pool}
        for name, cases, pool in (("mini-mnist", LARGE_DIGITS, 2), ("mini-cifar", _LARGE_PHOTOGRAPHS, 2))
    },
    witness={
        "cases": [{"name": "SGD", "width": 8, "rate": 0.1, "batch_size": 8, "epochs": 4}],
        "n_train": 24,
        "n_test": 6,
        "removals": 6,
        "retrained": 2,
        "seeds": [1],
        "folds": 4,
        "pool": 7,
        "kernel": False,
    },
    columns=_COLUMNS,
    slice=None,
)
def through_training_scores(dataset: Dataset, cases: list[dict], seeds: Sequence[int], **size) -> pd.DataFrame:
    """How well methods predict retraining of networks that were trained with batches, momentum, Adam, and stopped.

    Args:
        dataset: images, of which each seed draws.
        cases: fields of `Case`.
        seeds: of images, start and batches.
        **size: of `case_scores`.
    """
    return rows_of(case_scores, dataset, [Case(**fields) for fields in cases], seeds, size)


def case_scores(
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
    kernel: bool = True,
) -> Iterator[dict]:
    """For one draw of a case and each method: how well it predicts retraining, and what is known without that.

    Args:
        case: how the network is made and trained.
        dataset: of images.
        seed: of images, start and batches.
        n_train: training images.
        n_test: test images.
        removals: training points left out, drawn at random.
        retrained: points of largest influence that one method really leaves out.
        folds: of the recording.
        pool: as of `draw`.
        kernel: whether the network's own kernel is asked too, which takes (n c)³ operations a damping.
    """
    x, y, *test = draw(case, dataset, n_train, n_test, seed, pool=pool)
    run, ours, told = recorded_and_asked(case, (x, y), test, seed, folds=folds)
    rows = left_out(n_train, removals, seed)
    truth = run.without(rows, *test)
    told |= {"edge": case.edge, "sharpness": sharpness_share(run, case), "growth": growth(run, test[0])}
    estimates = {METHODS[0]: run.first_order(*test), METHODS[2]: ours}
    for name, of in ((METHODS[3], METHODS[0]), (METHODS[4], METHODS[2])):
        estimates[name] = run.with_retrained(estimates[of], retrained, *test)
    scores = {method: agreement(estimate[:, rows], truth) for method, estimate in estimates.items()}
    if kernel:
        scores[METHODS[1]] = own_kernel_scores(run, rows, test, truth)
    for method, of_method in scores.items():
        yield {"case": case.name, "seed": seed, "method": method} | of_method | told
