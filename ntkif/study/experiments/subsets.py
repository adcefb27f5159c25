"""Networks trained on random subsets, and how well the effect of what they lack is predicted (beyond the paper)."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict

import pandas as pd
import torch

from ntkif.data import Dataset
from ntkif.metrics import agreement, lds
from ntkif.study.experiments.experiment import Column, experiment
from ntkif.study.experiments.through_training import ROUNDED_AGREEMENT, SIZE, TEN_CLASSES
from ntkif.study.experiments.trained_networks import Case, draw, infinite_influence, record_case, rows_of

__all__ = ["SUBSET_METHODS", "case_subsets", "subset_scores"]

#: What is compared on subsets: sums of the influences of single points, all but the fourth, which takes forces from
#: folds as large as the set.
SUBSET_METHODS = (
    "kernel of infinite width",
    "first order",
    "through training",
    "through training, folds of that size",
)


@experiment(
    "through-training-subsets",
    settings={
        "mini-mnist": {
            "cases": [asdict(case) for case in TEN_CLASSES if case.name in ("MLP, SGD", "MLP, Adam")],
            "shares": [0.1, 0.5],
            "subsets": 40,
        }
        | {name: SIZE[name] for name in ("n_train", "n_test", "seeds", "folds", "pool")}
    },
    witness={
        "cases": [{"name": "SGD", "width": 8, "rate": 0.1, "batch_size": 8, "epochs": 4}],
        "shares": [0.5],
        "subsets": 5,
        "n_train": 24,
        "n_test": 6,
        "seeds": [0],
        "folds": 4,
        "pool": 7,
    },
    columns={
        "case": Column.key("network, optimiser and loss"),
        "seed": Column.key("of images, network and batches"),
        "share": Column.key("of the training images that a subset lacks"),
        "method": Column.key("one of `SUBSET_METHODS`"),
        "lds": Column.value("linear datamodeling score: Spearman's rho over subsets, mean over test images"),
        **ROUNDED_AGREEMENT,
    },
    slice=None,
)
def subset_scores(dataset: Dataset, cases: list[dict], seeds: Sequence[int], **size) -> pd.DataFrame:
    """How well the loss of networks trained on random subsets is predicted: by ranks, and in size.

    Args:
        dataset: images, of which each seed draws.
        cases: fields of `Case`.
        seeds: of images, start, batches and subsets.
        **size: of `case_subsets`.
    """
    return rows_of(case_subsets, dataset, [Case(**fields) for fields in cases], seeds, size)


def case_subsets(
    case: Case,
    dataset: Dataset,
    seed: int,
    *,
    n_train: int,
    n_test: int,
    shares: Sequence[float],
    subsets: int,
    folds: int,
    pool: int,
) -> Iterator[dict]:
    """For one draw of a case: how well the effects of leaving out random sets are predicted.

    Args:
        case: how the network is made and trained.
        dataset: of images.
        seed: of images, start, batches and subsets.
        n_train: training images.
        n_test: test images.
        shares: of the training images that are left out.
        subsets: random sets of each size.
        folds: of the recording.
        pool: as of `draw`.
    """
    x, y, x_test, y_test = draw(case, dataset, n_train, n_test, seed, pool=pool)
    run = record_case(case, x, y, seed, folds=folds)
    infinite = infinite_influence(run, x_test, y_test)
    found = infinite, run.first_order(x_test, y_test), run.influence(x_test, y_test, trust=True)
    single = dict(zip(SUBSET_METHODS[:3], found, strict=True))
    generator = torch.Generator().manual_seed(seed)
    for share in shares:
        sets = [torch.randperm(n_train, generator=generator)[: round(share * n_train)] for _ in range(subsets)]
        truth = run.without(sets, x_test, y_test)
        found = {name: torch.stack([each[:, rows].sum(1) for rows in sets], 1) for name, each in single.items()}
        found[SUBSET_METHODS[3]] = run.group(sets, x_test, y_test)
        for method, estimate in found.items():
            key = {"case": case.name, "seed": seed, "share": share, "method": method}
            yield key | {"lds": lds(estimate, truth)["lds"]} | agreement(estimate, truth)
