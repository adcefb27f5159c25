"""The closed forms against brute force at the paper's size: kernel, leave-one-out fits, influence along training."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from ntkif.data import Dataset
from ntkif.influence.closed_form import loo_influence
from ntkif.influence.flow import influence_along
from ntkif.kernels.infinite import ntk
from ntkif.metrics import half_squares
from ntkif.regression.factorized import factorized
from ntkif.regression.flow import kernel_flow
from ntkif.regression.ridge import refit_without
from ntkif.study import paper
from ntkif.study.experiments.experiment import Column, experiment

__all__ = ["flow_deviations", "refit_by_sklearn", "refit_deviations"]


@experiment(
    "equation-9",
    settings={name: {"ridges": [2.0**-4, 1.0, 2.0**4], "removals": 3, "seed": 0} for name in paper.RIDGE},
    witness={"ridges": [1.0], "removals": 2, "seed": 0},
    slice={"ridges": [1.0], "removals": 1},
    columns={
        "ridge": Column.key("penalty λ"),
        "row": Column.key("the image left out, in the training set"),
        "deviation": Column.noise(
            "largest difference of its influence on a test image, over the largest influence", 1e-9
        ),
        "condition": Column.value("of K + λI"),
    },
)
def refit_deviations(dataset: Dataset, ridges: Sequence[float], removals: int, seed: int) -> pd.DataFrame:
    """Eq. 8 and 9 against fits that really leave an image out.

    Args:
        dataset: training and test images.
        ridges: penalties λ.
        removals: how many training images, chosen at random, are left out, one at a time.
        seed: of the choice.

    Returns:
        a row for each ridge and image that is left out.
    """
    solved, rows = factorized(dataset), []
    for ridge in ridges:
        fit = solved.fit(ridge)
        exact = loo_influence(fit, solved.k_test_train, dataset.y_test)
        loss = half_squares(fit.predict(solved.k_test_train), dataset.y_test)
        for row in _choice(dataset, removals, seed):
            without = refit_without(
                solved.k_train_train, solved.k_test_train, dataset.y_train, ridge, torch.tensor([row])
            )
            truth = half_squares(without, dataset.y_test) - loss
            deviation = float((exact[:, row] - truth).abs().max() / truth.abs().max())
            rows.append({"ridge": ridge, "row": row, "deviation": deviation, "condition": fit.condition})
    return pd.DataFrame(rows)


@experiment(
    "equation-20",
    settings={name: {"times": [1e-3, 0.1, 10.0], "removals": 2, "seed": 0} for name in paper.RIDGE},
    witness={"times": [0.1], "removals": 1, "seed": 0},
    slice={"times": [0.1], "removals": 1},
    columns={
        "time": Column.key("of the flow (3)"),
        "row": Column.key("the image left out, in the training set"),
        "deviation": Column.noise(
            "largest difference of its influence on a test image, over the largest influence", 1e-9
        ),
    },
)
def flow_deviations(dataset: Dataset, times: Sequence[float], removals: int, seed: int) -> pd.DataFrame:
    """Influence along the ridgeless flow (Eq. 20) against flows on the kernel without an image, decomposed anew.

    Args:
        dataset: training and test images.
        times: of the flow (3).
        removals: how many training images, chosen at random, are left out, one at a time.
        seed: of the choice.

    Returns:
        a row for each time and image that is left out.
    """
    solved, rows = factorized(dataset), []
    chosen = _choice(dataset, removals, seed)
    flows = {row: _flow_without(dataset, row) for row in chosen}
    for timed in influence_along(solved.flow(0.0), solved.k_test_train, dataset.y_test, times):
        loss = half_squares(timed.prediction, dataset.y_test)
        for row, (kept, flow) in flows.items():
            truth = half_squares(flow.predict(solved.k_test_train[:, kept], timed.time), dataset.y_test) - loss
            deviation = float((timed.influence[:, row] - truth).abs().max() / truth.abs().max())
            rows.append({"time": timed.time, "row": row, "deviation": deviation})
    return pd.DataFrame(rows)


def refit_by_sklearn(
    dataset: Dataset, ridge: float, groups: Sequence[Sequence[int]]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Fits that leave groups of images out, by a solver that is not ours, on the same kernel.

    Args:
        dataset: training images and k test images, c outputs.
        ridge: penalty λ.
        groups: rows of the training set, left out together.

    Returns:
        (k, groups, c) predictions without each group, and (k, groups) influences, positive where the group helps.
    """
    from sklearn.kernel_ridge import KernelRidge  # no record needs it

    train, test = ntk(dataset.x_train).numpy(), ntk(dataset.x_test, dataset.x_train).numpy()

    def prediction(without: Sequence[int]) -> torch.Tensor:
        kept = np.setdiff1d(np.arange(len(train)), without)
        fit = KernelRidge(alpha=ridge, kernel="precomputed").fit(train[kept][:, kept], dataset.y_train[kept].numpy())
        return torch.from_numpy(fit.predict(test[:, kept]))

    without = torch.stack([prediction(group) for group in groups], dim=1)
    loss = half_squares(prediction([]), dataset.y_test)
    return without, half_squares(without, dataset.y_test[:, None]) - loss[:, None]


def _choice(dataset: Dataset, count: int, seed: int) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randperm(len(dataset.x_train), generator=generator)[:count].tolist()


def _flow_without(dataset: Dataset, row: int):
    kept = torch.ones(len(dataset.x_train), dtype=torch.bool, device=dataset.x_train.device)
    kept[row] = False
    kernel = factorized(dataset).k_train_train[kept][:, kept]
    return kept, kernel_flow(kernel, dataset.y_train[kept])
