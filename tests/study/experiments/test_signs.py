"""The baseline of the signs: what it sees, what it does not, and that it is of each run."""

import numpy as np
import pandas as pd
import pytest

from ntkif.study.experiments.signs import HARMFUL, HELPFUL, KNOWN, PREDICTION, SIGN, sign_scores
from ntkif.study.records.tables import load_record


def pairs(actual, predicted, seed=0):
    return pd.DataFrame({"seed": seed, "removed": range(len(actual)), "predicted": predicted, "actual": actual})


def test_sizes_guessed_at_random_correlate_by_their_signs():
    """Two clusters of equal sizes on both sides: R is high, and within a sign there is nothing."""
    scores = sign_scores(pairs([9.0, 10, 11, -9, -10, -11], [10.0, 11, 10, -9, -10, -11])).set_index("known")
    assert list(scores.index) == list(KNOWN)
    assert scores.loc[PREDICTION, "pearson"] > 0.99 and scores.loc[SIGN, "pearson"] > 0.99
    assert scores.loc[HELPFUL, "pearson"] == pytest.approx(0, abs=1e-12)
    assert scores.loc[HARMFUL, "pearson"] == pytest.approx(1)
    assert scores["points"].to_dict() == {PREDICTION: 6, SIGN: 6, HELPFUL: 3, HARMFUL: 3}


def test_signs_and_their_two_sides_are_those_of_the_prediction():
    scores = sign_scores(pairs([5.0, -2, 1, -4, 3, -1], [1.0, 2, 3, -4, -5, -6])).set_index("known")
    assert scores.loc[SIGN, "pearson"] == pytest.approx(np.corrcoef([1, 1, 1, -1, -1, -1], [5, -2, 1, -4, 3, -1])[0, 1])
    assert scores.loc[HELPFUL, "pearson"] == pytest.approx(np.corrcoef([1, 2, 3], [5, -2, 1])[0, 1])


def test_each_run_has_its_rows_and_two_points_have_no_correlation():
    both = pd.concat([pairs([1.0, 2, 3, -1, -2], [1.0, 2, 3, -1, -2]), pairs([1.0, 2, -3], [2.0, 2, -3], seed=1)])
    scores = sign_scores(both).set_index(["seed", "known"])
    assert len(scores) == 2 * len(KNOWN)
    assert scores.loc[0, "pearson"][HELPFUL] == pytest.approx(1) and np.isnan(scores.loc[0, "pearson"][HARMFUL])
    assert scores.loc[1, "pearson"][PREDICTION] == pytest.approx(np.corrcoef([2, 2, -3], [1, 2, -3])[0, 1])


def test_at_the_papers_size_the_signs_give_much_of_the_correlation():
    """As computed apart from this package, after the last step: .77 to .82 for digits, .86 to .89 for photographs."""
    for name, low, high in (("mnist", 0.77, 0.82), ("cifar", 0.86, 0.89)):
        table = load_record("figure-1", name).table.query("n == 5000 and removals == 40 and init_scale == 0.01")
        scores = sign_scores(table[table["reading"] == "last step"])
        found = scores.loc[scores["known"] == SIGN, "pearson"]
        assert low - 0.005 < found.min() and found.max() < high + 0.005, name
