"""How much of a correlation between predicted and actual influence the signs alone give (Figures 1 and 8, Table 1)."""

import math

import pandas as pd
import torch

from ntkif.metrics import agreement, sign_alone

__all__ = ["HARMFUL", "HELPFUL", "KNOWN", "PREDICTION", "SIGN", "beside_signs", "sign_scores"]

PREDICTION, SIGN = "prediction", "its sign alone"
HELPFUL, HARMFUL = "prediction, helpful ones", "prediction, harmful ones"
#: What is known of the influences in a row of `sign_scores`.
KNOWN = (PREDICTION, SIGN, HELPFUL, HARMFUL)
_WIDE = {SIGN: "sign_pearson", HELPFUL: "helpful_pearson", HARMFUL: "harmful_pearson"}
_OF_A_PAIR = {"removed", "predicted", "actual"}
_SCORES = ("pearson", "spearman", "slope", "relative_error")
_LEAST = 5  # of fewer points a correlation says nothing, of two it is always one


def sign_scores(pairs: pd.DataFrame) -> pd.DataFrame:
    """The agreement of predictions with retraining, beside that of their signs alone and that within each sign.

    The removed points are those of largest influence, so predictions lie in two clusters, one a sign, and a correlation
    over both is high as soon as the signs are right. Within one sign only the sizes can correlate.

    Args:
        pairs: of `retraining.influence_pairs` or the record `figure-1`, with further columns that tell runs apart.

    Returns:
        a row for each run and each of `KNOWN`: the columns that tell runs apart, known, points (how many), and those of
        `metrics.agreement`, which are NaN for fewer than five points.
    """
    keys = [name for name in pairs if name not in _OF_A_PAIR]
    rows = []
    for key, run in pairs.groupby(keys, sort=False):
        predicted, actual = (
            torch.tensor(run[name].to_numpy(), dtype=torch.float64) for name in ("predicted", "actual")
        )
        of_run = dict(zip(keys, key, strict=True))
        for known, scores in _each(predicted, actual).items():
            rows.append(of_run | {"known": known} | scores)
    return pd.DataFrame(rows)


def beside_signs(scores: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """The scores of the closed form, and beside them what R the signs alone give, and R within each sign.

    Args:
        scores: of `retraining.influence_scores` or the record `table-1`.
        pairs: of the same runs, see `sign_scores`.

    Returns:
        the rows of the closed form that have pairs, without the column predictor, and with three more: sign_pearson,
        helpful_pearson and harmful_pearson.
    """
    signs = sign_scores(pairs)
    keys = [name for name in signs if name in scores and name not in (*_SCORES, "run")]
    wide = signs.set_index([*keys, "known"])["pearson"].unstack("known")[list(_WIDE)].rename(columns=_WIDE)
    closed = scores[scores["predictor"] == "closed form"].drop(columns="predictor")
    return closed.merge(wide.reset_index(), on=keys)


def _each(predicted: torch.Tensor, actual: torch.Tensor) -> dict[str, dict[str, float]]:
    found = {PREDICTION: _scores(predicted, actual), SIGN: {"points": len(actual)} | sign_alone(predicted, actual)}
    for known, chosen in ((HELPFUL, predicted > 0), (HARMFUL, predicted < 0)):
        found[known] = _scores(predicted[chosen], actual[chosen])
    return found


def _scores(predicted: torch.Tensor, actual: torch.Tensor) -> dict[str, float]:
    few = dict.fromkeys(_SCORES, math.nan)
    return {"points": len(actual)} | (few if len(actual) < _LEAST else agreement(predicted, actual))
