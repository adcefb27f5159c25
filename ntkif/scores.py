"""Scores by which the field compares attributions: finding wrong labels, flipping predictions, effects of subsets.

The linear datamodeling score is `metrics.lds`. All take attributions of any method; none of them sees a scale, but the
effects of subsets.
"""

from collections.abc import Callable, Sequence

import torch

from ntkif.checks import check_group, check_matrix, groups_of

__all__ = ["brittleness", "detection_auc", "inspection_curve", "summed_effects"]


def inspection_curve(suspicion: torch.Tensor, wrong: torch.Tensor) -> torch.Tensor:
    """Share of the wrong labels that are found by looking at the most suspicious points first.

    Args:
        suspicion: (n,) larger where more suspicious; of points of equal suspicion each order is as likely.
        wrong: (n,) bool, which labels are wrong.

    Returns:
        (n + 1,) share found after looking at 0, 1, ..., n points.

    Raises:
        TypeError, ValueError: other shapes or dtypes, NaN, or labels that are all right or all wrong.

    >>> inspection_curve(torch.tensor([3.0, 1.0, 2.0]), torch.tensor([True, False, True])).tolist()
    [0.0, 0.5, 1.0, 1.0]
    """
    _check_suspicion(suspicion, wrong)
    values, place = suspicion.unique(return_inverse=True)
    place = len(values) - 1 - place  # the most suspicious first
    looked_at = torch.bincount(place).cumsum(0).double()
    found = torch.bincount(place, weights=wrong.double()).cumsum(0) / wrong.sum()
    looked_at, found = (torch.cat([each.new_zeros(1), each]) for each in (looked_at, found))
    at = torch.arange(len(wrong) + 1, dtype=torch.float64, device=suspicion.device)
    end = torch.searchsorted(looked_at, at).clamp(min=1)
    share = (at - looked_at[end - 1]) / (looked_at[end] - looked_at[end - 1])
    return found[end - 1] + share * (found[end] - found[end - 1])


def detection_auc(suspicion: torch.Tensor, wrong: torch.Tensor) -> float:
    """Area under the receiver operating curve of wrong labels: how likely a wrong one is more suspicious than a right.

    Equal ones count half. The area under `inspection_curve`, from 0 to 1 on both axes, is this times the share of right
    labels, plus half of that of wrong ones.

    Args:
        suspicion: (n,) larger where more suspicious.
        wrong: (n,) bool, which labels are wrong.

    Raises:
        TypeError, ValueError: as `inspection_curve`.

    >>> detection_auc(torch.tensor([3.0, 1.0, 2.0, 2.0]), torch.tensor([True, False, True, False]))
    0.875
    """
    curve, wrong_share = inspection_curve(suspicion, wrong), float(wrong.double().mean())
    area = float(torch.trapezoid(curve)) / len(wrong)
    return (area - wrong_share / 2) / (1 - wrong_share)


def brittleness(
    influence: torch.Tensor, counts: Sequence[int], predict_without: Callable[[torch.Tensor], torch.Tensor]
) -> torch.Tensor:
    """Whether a prediction flips when its most helpful training points are really left out.

    Args:
        influence: (k, n) attributions of n training points to k test points, positive where helpful.
        counts: m numbers of points that are left out of each, the most helpful by the attribution.
        predict_without: of (count,) rows of the training set, or none, that gives the (k, c) predictions of a model
            fitted without them, at all test points. Called k m times and once: retraining, or for a kernel the exact
            removal, `RidgeFit.predict` plus `RidgeFit.shift_without`.

    Returns:
        (k, m) bool, whether the prediction of a test point then names another class than with all points: by sign for
        one output, by the largest of several.

    Raises:
        TypeError, ValueError: no matrix of finite floats, or a count that is not between 1 and n - 1.
    """
    check_matrix("influence", influence)
    k, n = influence.shape
    for count in counts:
        if int(count) != count or not 1 <= count < n:
            raise ValueError(
                f"counts: expected whole numbers between 1 and {n - 1}, so that some are left, got {count}."
            )
    order = influence.argsort(dim=1, descending=True, stable=True)
    before = _named(predict_without(order.new_zeros(0)))
    flips = [[bool(_named(predict_without(order[t, :m]))[t] != before[t]) for m in counts] for t in range(k)]
    return torch.tensor(flips)


def summed_effects(influence: torch.Tensor, groups) -> torch.Tensor:
    """What an attribution says of leaving out sets of training points: the sum of what it says of each.

    So the linear datamodeling score has it. For a kernel `group_influence` tells the effect itself, and `agreement` of
    the two what summing loses.

    Args:
        influence: (k, n) attributions, positive where helpful.
        groups: g sets of rows of the training set, as of `group_influence`.

    Returns:
        (k, g) predicted change of loss.

    Raises:
        TypeError, ValueError: no matrix of finite floats, no set, or a set that names a row twice or outside the data.

    >>> summed_effects(torch.tensor([[1.0, 2.0, 4.0]]), [[0, 2], [1]]).tolist()
    [[5.0, 2.0]]
    """
    check_matrix("influence", influence)
    rows = [check_group(group, influence.shape[1]).to(influence.device) for group in groups_of(groups)]
    return torch.stack([influence[:, group].sum(1) for group in rows], dim=1)


def _named(prediction: torch.Tensor) -> torch.Tensor:
    return prediction[:, 0] > 0 if prediction.shape[1] == 1 else prediction.argmax(1)


def _check_suspicion(suspicion: torch.Tensor, wrong: torch.Tensor) -> None:
    check_matrix("suspicion", suspicion[:, None])
    if wrong.dtype != torch.bool:
        raise TypeError(f"wrong: expected a tensor of dtype bool, got {wrong.dtype}; compare the labels.")
    if wrong.shape != suspicion.shape or wrong.all() or not wrong.any():
        raise ValueError(
            f"wrong: expected {len(suspicion)} entries, some of them true and some false, got {int(wrong.sum())} true "
            f"of shape {tuple(wrong.shape)}."
        )
