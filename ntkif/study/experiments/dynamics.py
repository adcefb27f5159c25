"""Experiments on which training images matter at which time of training (Eq. 20, Figure 6)."""

from collections.abc import Sequence

import pandas as pd
import torch

from ntkif.data import Dataset
from ntkif.influence.flow import influence_along
from ntkif.metrics import misfit, share
from ntkif.regression.factorized import factorized
from ntkif.study import paper
from ntkif.study.experiments.experiment import Column, experiment

__all__ = ["TIMES", "images_along", "signed_scores", "turnover"]

#: Two for each factor of ten, 1e-5 to 100.
TIMES = [float(f"{10 ** (e / 2):.2g}") for e in range(-10, 5)]


@experiment(
    "figure-6-images",
    settings={
        name: {
            "ridge": 0.0,
            "times": [1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0],
            "test_rows": [0, 1, 2, 3, 4],
            "kinds": ["influential"],
        }
        for name in paper.RIDGE
    },
    witness={"ridge": 0.0, "times": [0.1, 10.0], "test_rows": [0, 256], "kinds": ["influential", "harmful"]},
    slice={"times": [0.1]},
    columns={
        "test_row": Column.key("the test image"),
        "time": Column.key("of the flow (3)"),
        "kind": Column.key("influential, helpful or harmful"),
        "row": Column.value("the image that matters most, in the training set"),
        "label": Column.value("name of its class"),
        "influence": Column.value("of it"),
    },
)
def images_along(
    dataset: Dataset, ridge: float, times: Sequence[float], test_rows: Sequence[int], kinds: Sequence[str]
) -> pd.DataFrame:
    """Figure 6: the training image that matters most for each of some test images, at several times of training.

    Args:
        dataset: training and test images.
        ridge: penalty λ.
        times: of the flow (3).
        test_rows: the test images.
        kinds: of images: influential (largest |influence|), helpful, harmful.

    Returns:
        a row for each time, kind and test image.
    """
    solved = factorized(dataset)
    k_test_train, y_test = solved.k_test_train[test_rows], dataset.y_test[test_rows]
    rows = []
    for timed in influence_along(solved.flow(ridge), k_test_train, y_test, times):
        scores = signed_scores(timed.influence)
        for kind in kinds:
            for place, row in enumerate(scores[kind].argmax(1).tolist()):
                rows.append(
                    {
                        "test_row": test_rows[place],
                        "time": timed.time,
                        "kind": kind,
                        "row": row,
                        "label": dataset.classes[dataset.labels_train[row]],
                        "influence": float(timed.influence[place, row]),
                    }
                )
    return pd.DataFrame(rows)


@experiment(
    "figure-6-turnover",
    settings={name: {"ridge": 0.0, "times": TIMES, "top": 10} for name in paper.RIDGE},
    witness={"ridge": 0.0, "times": [0.1, 1.0, 10.0], "top": 10},
    slice={},
    columns={
        "kind": Column.key("influential, helpful or harmful"),
        "time": Column.key("of the flow (3)"),
        "test_error": Column.value("share of test images classified wrongly"),
        "steady": Column.value("share of test images whose first image is the same at all times"),
        "same_before": Column.value("share of test images whose first image is that of the time before"),
        "overlap_before": Column.value("mean share of the first `top` images that were among those of the time before"),
        "same_end": Column.value("share of test images whose first image is that of the end"),
        "overlap_end": Column.value("mean share of the first `top` images that are among those of the end"),
    },
)
def turnover(dataset: Dataset, ridge: float, times: Sequence[float], top: int) -> pd.DataFrame:
    """How far the most influential training images of all test images stay the same in training.

    Args:
        dataset: training and test images.
        ridge: penalty λ.
        times: of the flow (3), rising; the last is called the end.
        top: size of the sets that are compared.

    Returns:
        a row for each kind (influential: largest |influence|; helpful; harmful) and time.
    """
    solved = factorized(dataset)
    errors, best = [], {}
    for timed in influence_along(solved.flow(ridge), solved.k_test_train, dataset.y_test, times):
        errors.append(share(misfit(timed.prediction, dataset.y_test)))
        for kind, score in signed_scores(timed.influence).items():
            best.setdefault(kind, []).append(score.topk(top, dim=1).indices)
    rows = []
    for kind, along in best.items():
        steady = share(torch.stack([now[:, 0] == along[0][:, 0] for now in along]).all(0))
        for place, now in enumerate(along):
            row = {"kind": kind, "time": times[place], "test_error": errors[place], "steady": steady}
            for name, other in (("before", along[place - 1] if place else None), ("end", along[-1])):
                row[f"same_{name}"] = float("nan") if other is None else share(now[:, 0] == other[:, 0])
                row[f"overlap_{name}"] = float("nan") if other is None else _overlap(now, other)
            rows.append(row)
    return pd.DataFrame(rows)


def signed_scores(influence: torch.Tensor) -> dict[str, torch.Tensor]:
    """Kind -> score whose largest values it names: influential |I|, helpful I, harmful -I."""
    return {"influential": influence.abs(), "helpful": influence, "harmful": -influence}


def _overlap(one: torch.Tensor, other: torch.Tensor) -> float:
    """Mean share of the entries of each row of `one` that are in the same row of `other`."""
    return share((one[:, :, None] == other[:, None, :]).any(2))
