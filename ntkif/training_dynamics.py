"""Experiments on which training images matter at which time of training (Eq. 20, Figure 6)."""

from collections.abc import Sequence

import pandas as pd
import torch

from ntkif.data import Dataset
from ntkif.factorized import factorized
from ntkif.flow_influence import influence_along
from ntkif.metrics import misfit, share

__all__ = ["images_along", "signed_scores", "turnover"]


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
        a row for each time, kind and test image: test_row, time, kind, row in the training set, label (a class name),
        influence.
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


def turnover(dataset: Dataset, ridge: float, times: Sequence[float], top: int) -> pd.DataFrame:
    """How far the most influential training images of all test images stay the same in training.

    Args:
        dataset: training and test images.
        ridge: penalty λ.
        times: of the flow (3), rising; the last is called the end.
        top: size of the sets that are compared.

    Returns:
        a row for each kind (influential: largest |influence|; helpful; harmful) and time: kind, time; test_error, the
        share of test images classified wrongly; same_before and same_end, the share of test images whose first image
        is that of the time before and of the end; overlap_before and overlap_end, the mean share of their `top` images
        that is also among those of the time before and of the end (at the first time nothing is before); and steady,
        the share of test images whose first image is the same at all times.
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
