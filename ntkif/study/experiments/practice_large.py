"""A trained classifier whose own kernel does not fit in memory: what tells there what its training points did."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial

import pandas as pd
import torch

from ntkif.data import Dataset
from ntkif.study.experiments.experiment import experiment
from ntkif.study.experiments.practice import COLUMNS, Setting, setting_scores
from ntkif.study.experiments.practice_methods import FIRST_ORDER, METHODS, balance, own_kernel, timed
from ntkif.study.experiments.trained_networks import infinite_influence, rows_of
from ntkif.training.recorded import RecordedTraining

__all__ = ["LARGE", "PROJECTIONS", "large_scores", "methods_at_size"]

_HOW = {"width": 32, "batch_size": 50, "epochs": 20}
#: As a page calls them.
LARGE = (
    Setting("cross-entropy, SGD", **_HOW, rate=0.05),
    Setting("cross-entropy, Adam", **_HOW, optimizer="adam", rate=1e-3),
    Setting("cross-entropy, weight decay", **_HOW, rate=0.1, decay=5e-4, settles=True),
)
#: Columns of the Jacobian; the most are more than these networks have parameters, so that nothing is lost.
PROJECTIONS = (512, 2048, 8192)
_INFINITE_RIDGE = 1.0


@experiment(
    "practice-large",
    settings={
        "mini-mnist": {
            "cases": [asdict(setting) for setting in LARGE],
            "seeds": [50, 51, 52],
            "projections": list(PROJECTIONS),
            "n_train": 5000,
            "n_test": 10,
            "removals": 16,
            "folds": 10,
            "pool": 2,
        }
    },
    witness={
        "cases": [
            {"name": "SGD", "width": 3, "rate": 0.1, "batch_size": 8, "epochs": 6},
            {"name": "decay", "width": 3, "rate": 0.1, "batch_size": 8, "epochs": 6, "decay": 0.05, "settles": True},
        ],
        "seeds": [0],
        "projections": [40, 200],
        "n_train": 24,
        "n_test": 6,
        "removals": 6,
        "folds": 4,
        "pool": 7,
    },
    columns=COLUMNS,
    slice=None,
)
def large_scores(
    dataset: Dataset, cases: list[dict], seeds: Sequence[int], projections: Sequence[int], **size
) -> pd.DataFrame:
    """Each method that fits, on every setting: how well it predicts retraining, and what it costs.

    Args:
        dataset: images of several classes, of which each seed draws.
        cases: fields of `Setting`.
        seeds: of images, start and batches.
        projections: numbers of columns for the network's own kernel.
        **size: of `setting_scores`.
    """
    of_case = partial(setting_scores, ask=partial(methods_at_size, projections=projections))
    return rows_of(of_case, dataset, [Setting(**fields) for fields in cases], seeds, size)


def methods_at_size(
    run: RecordedTraining, test: list[torch.Tensor], penalty: float, *_truth, projections: Sequence[int]
) -> dict[str, tuple[torch.Tensor, float, float]]:
    """Influences (k, n), the penalty they took, and seconds, of the methods that make no kernel of all outputs.

    Args:
        run: the recorded training.
        test: (k, ...) test points and (k, c) targets.
        penalty: of the sum of the losses; where zero, what balances it.
        projections: numbers of columns for the network's own kernel.
    """
    used = penalty or balance(run)
    first, once = timed(lambda: run.first_order(*test))
    through, more = timed(lambda: run.influence(*test, trust=True))  # which takes what the first pass found
    infinite, seconds = timed(lambda: infinite_influence(run, *test, _INFINITE_RIDGE))
    found = {FIRST_ORDER: (first, math.nan, once), METHODS[6]: (through, math.nan, once + more)}
    found[METHODS[2]] = infinite, _INFINITE_RIDGE, seconds
    for count in projections:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of few projections, whose error is what is measured
            estimate, seconds = timed(lambda p=count: own_kernel(run, used, projections=p).influence(*test, trust=True))
        found[f"{METHODS[5]}, {count} projections"] = estimate, used, seconds
    return found
