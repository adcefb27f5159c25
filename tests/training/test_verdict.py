"""What is said of an estimate, by its check alone."""

import math
import warnings

import pytest
import torch

from ntkif.metrics import agreement
from ntkif.training.verdict import Estimate, NotPredictableError, scores

FOUND, TRUTH = torch.tensor([[1.0, 2.0], [3.0, 4.5]]).double(), torch.tensor([[1.0, 2.5], [3.0, 4.0]]).double()


def estimate(error):
    return Estimate("Hessian", FOUND, FOUND, {"of": "folds", "relative_error": error})


def test_a_small_error_is_passed_over():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        estimate(0.3).judge()
    assert estimate(0.3).good and not estimate(0.31).good and estimate(0.2).error == 0.2


def test_a_notable_error_is_said_to_who_asked():
    def asked():
        estimate(0.5).judge()

    with pytest.warns(UserWarning, match="relative error of 0.5; expect influences about as far off") as told:
        asked()
    assert told[0].filename == __file__


@pytest.mark.parametrize("error", [0.51, math.inf, math.nan])
def test_a_large_error_or_none_is_refused(error):
    with pytest.raises(NotPredictableError, match=r"above 0\.5: nobody can know .*trust=True"):
        estimate(error).judge()


def test_scores_are_those_of_the_agreement():
    assert scores("folds", FOUND, TRUTH) == {"of": "folds"} | agreement(FOUND, TRUTH)


def test_where_nothing_was_trained_nothing_is_wrong():
    zero = torch.zeros(2, 3)
    assert scores("folds", zero, zero)["relative_error"] == 0 and math.isnan(scores("folds", zero, zero)["slope"])


def test_what_does_not_differ_has_an_error_alone():
    same = torch.ones(2, 2).double()
    told = scores("folds", same, TRUTH)
    assert told["relative_error"] == pytest.approx(float((same - TRUTH).norm() / TRUTH.norm()))
    assert all(math.isnan(told[name]) for name in ("pearson", "spearman", "slope"))
    assert scores("folds", FOUND, same)["relative_error"] == pytest.approx(float((FOUND - same).norm() / 2))


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_what_is_not_finite_has_an_infinite_error(value):
    wrong = FOUND.clone()
    wrong[0, 0] = value
    assert (
        scores("folds", wrong, TRUTH)["relative_error"] == scores("folds", FOUND, wrong)["relative_error"] == math.inf
    )
