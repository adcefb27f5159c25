"""The baseline of the signs: what it sees, what it does not, and that it is of each run."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from ntkif.study.experiments.signs import HARMFUL, HELPFUL, KNOWN, PREDICTION, SIGN, beside_signs, sign_scores
from ntkif.study.records.tables import load_record


def pairs(actual, predicted, seed=0):
    return pd.DataFrame({"seed": seed, "removed": range(len(actual)), "predicted": predicted, "actual": actual})


def test_sizes_guessed_at_random_correlate_by_their_signs():
    """Two clusters of like sizes on both sides: R is high, and within a sign there is nothing."""
    sizes = np.arange(8.0, 13)
    guessed = sizes[[1, 3, 4, 2, 0]]
    table = pairs(np.concatenate([sizes, -sizes]), np.concatenate([guessed, -sizes]))
    scores = sign_scores(table).set_index("known")
    assert list(scores.index) == list(KNOWN)
    assert scores.loc[PREDICTION, "pearson"] > 0.97 and scores.loc[SIGN, "pearson"] > 0.98
    assert scores.loc[HELPFUL, "pearson"] == pytest.approx(-0.3)
    assert scores.loc[HARMFUL, "pearson"] == pytest.approx(1)
    assert scores["points"].to_dict() == {PREDICTION: 10, SIGN: 10, HELPFUL: 5, HARMFUL: 5}


ACTUAL = [5.0, -2, 1, -4, 3, -1, 2, -3, 4, 0.5]
PREDICTED = [1.0, 2, 3, 4, 5, -4, -5, -6, -7, -8]


def test_signs_and_their_two_sides_are_those_of_the_prediction():
    scores = sign_scores(pairs(ACTUAL, PREDICTED)).set_index("known")
    assert scores.loc[SIGN, "pearson"] == pytest.approx(np.corrcoef(np.sign(PREDICTED), ACTUAL)[0, 1])
    assert scores.loc[HELPFUL, "pearson"] == pytest.approx(np.corrcoef(PREDICTED[:5], ACTUAL[:5])[0, 1])
    assert scores.loc[HARMFUL, "spearman"] == pytest.approx(spearmanr(PREDICTED[5:], ACTUAL[5:]).statistic)


def two_runs():
    return pd.concat([pairs(ACTUAL, PREDICTED), pairs([1.0, 2, 3, 4, 6, -3], [2.0, 2, 1, 4, 5, -3], seed=1)])


def test_each_run_has_its_rows_and_few_points_have_no_correlation():
    scores = sign_scores(two_runs()).set_index(["seed", "known"])["pearson"]
    assert len(scores) == 2 * len(KNOWN)
    assert scores[1, PREDICTION] == pytest.approx(np.corrcoef([2, 2, 1, 4, 5, -3], [1, 2, 3, 4, 6, -3])[0, 1])
    assert scores[1, HELPFUL] < 1 and np.isnan(scores[1, HARMFUL]) and not scores[0].isna().any()


def test_at_the_papers_size_the_signs_give_much_of_the_correlation():
    """As computed apart from this package, after the last step: .77 to .82 for digits, .86 to .89 for photographs."""
    for name, low, high in (("mnist", 0.77, 0.82), ("cifar", 0.86, 0.89)):
        table = load_record("figure-1", name).table.query("n == 5000 and removals == 40 and init_scale == 0.01")
        scores = sign_scores(table[table["reading"] == "last step"])
        found = scores.loc[scores["known"] == SIGN, "pearson"]
        assert low - 0.005 < found.min() and found.max() < high + 0.005, name


def test_scores_have_those_of_their_signs_beside_them():
    scores = pd.DataFrame({"seed": [1, 0, 0, 2], "predictor": ["closed form"] * 2 + ["another start", "closed form"]})
    table = beside_signs(scores.assign(pearson=[0.1, 0.2, 0.3, 0.4]), two_runs())
    assert "predictor" not in table and table[["seed", "pearson"]].to_numpy().tolist() == [
        [1, 0.1],
        [0, 0.2],
    ]  # of seed 2 there are no pairs
    found = sign_scores(two_runs()).set_index(["seed", "known"])["pearson"]
    for column, known in (("sign_pearson", SIGN), ("helpful_pearson", HELPFUL), ("harmful_pearson", HARMFUL)):
        assert table[column].to_numpy() == pytest.approx(found.xs(known, level="known")[[1, 0]].to_numpy(), nan_ok=True)
