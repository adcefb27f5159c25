"""Scores of the field, against scikit-learn, the definitions of other tools, and fitting again."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from ntkif import group_influence, loo_influence, ntk, ridge_fit
from ntkif.metrics import agreement
from ntkif.regression.ridge import refit_without
from ntkif.scores import brittleness, detection_auc, inspection_curve, summed_effects

RANDOM = np.random.RandomState(0)


def draw(n, share, digits):
    return torch.from_numpy(RANDOM.randn(n).round(digits)), torch.from_numpy(np.arange(n) < max(1, share * n))


@pytest.mark.parametrize("digits", [8, 0], ids=["distinct", "equal"])
@pytest.mark.parametrize(("n", "share"), [(2, 0.5), (50, 0.1), (50, 0.96)])
def test_the_area_is_that_of_scikit_learn(n, share, digits):
    suspicion, wrong = draw(n, share, digits)
    assert detection_auc(suspicion, wrong) == pytest.approx(roc_auc_score(wrong, suspicion), abs=1e-12)
    assert detection_auc(torch.zeros(n), wrong) == pytest.approx(0.5, abs=1e-12)


def test_the_curve_counts_as_other_tools_do():
    """As quanda: the running share of wrong labels in the order of suspicion; and the true positive rate of dattri."""
    suspicion, wrong = draw(40, 0.2, 8)
    order = np.argsort(-suspicion.numpy())
    wanted = np.r_[0, np.cumsum(wrong.numpy()[order])] / 8
    assert inspection_curve(suspicion, wrong).tolist() == pytest.approx(wanted.tolist(), abs=1e-12)


def test_equal_suspicion_is_the_mean_over_orders():
    suspicion = torch.tensor([1.0, 1, 1, 0, 2])
    wrong = torch.tensor([True, False, False, True, False])
    assert inspection_curve(suspicion, wrong).tolist() == pytest.approx([0, 0, 1 / 6, 1 / 3, 1 / 2, 1])


def test_a_suspicion_that_is_refused():
    wrong = torch.tensor([True, False])
    with pytest.raises(TypeError, match=r"wrong: expected a tensor of dtype bool, got torch\.int64"):
        detection_auc(torch.ones(2), wrong.long())
    for labels in (torch.tensor([True, True]), torch.tensor([False, False]), torch.tensor([True, False, True])):
        with pytest.raises(ValueError, match="wrong: expected 2 entries, some of them true and some false"):
            detection_auc(torch.ones(2), labels)
    with pytest.raises(ValueError, match="suspicion"):
        inspection_curve(torch.tensor([1.0, math.nan]), wrong)


N, K = 24, 6
X = torch.nn.functional.normalize(torch.from_numpy(RANDOM.randn(N + K, 3)))
KERNEL, TEST = ntk(X[:N]), ntk(X[N:], X[:N])


@pytest.fixture(params=[1, 3])
def fit(request):
    places = (X[:, 0] > 0.1).long() if request.param == 1 else (X[:, 0] > 0).long() + (X[:, 1] > 0).long()
    y = 2.0 * places[:, None] - 1 if request.param == 1 else torch.nn.functional.one_hot(places, 3)
    return ridge_fit(KERNEL, y[:N].double(), 0.1), y[N:].double()


def test_brittleness_by_exact_removal_is_that_of_fitting_again(fit):
    fit, y_test = fit
    influence, counts = loo_influence(fit, TEST, y_test), [1, 4, 12, 18]

    def exactly(rows):
        return fit.predict(TEST) + (fit.shift_without(TEST, rows) if len(rows) else 0)

    def again(rows):
        kept = [i for i in range(N) if i not in rows.tolist()]
        return ridge_fit(KERNEL[kept][:, kept], fit.y_train[kept], 0.1).predict(TEST[:, kept])

    flips = brittleness(influence, counts, exactly)
    assert flips.tolist() == brittleness(influence, counts, again).tolist()
    whole = again(torch.arange(0))
    named = whole[:, 0] > 0 if whole.shape[1] == 1 else whole.argmax(1)
    for t in range(K):
        for at, count in enumerate(counts):
            rows = torch.tensor(sorted(range(N), key=lambda i: -float(influence[t, i]))[:count])
            prediction = again(rows)[t]
            name = prediction[0] > 0 if len(prediction) == 1 else prediction.argmax()
            assert bool(flips[t, at]) == bool(name != named[t])
    assert flips[:, 0].sum() < flips[:, 2].sum(), "the more goes, the more flips"
    harmful_first = brittleness(-influence, counts[:3], exactly)
    assert harmful_first.sum() < flips[:, :3].sum()


@pytest.mark.parametrize("count", [0, N, 1.5])
def test_counts_that_are_refused(count):
    with pytest.raises(ValueError, match="counts: expected whole numbers between 1 and 23, so that some are left, got"):
        brittleness(torch.zeros(K, N), [count], lambda rows: torch.zeros(K, 1))


def test_what_summing_loses_shows_against_fitting_again(fit):
    fit, y_test = fit
    influence = loo_influence(fit, TEST, y_test)
    groups = [RANDOM.permutation(N)[:12] for _ in range(8)]
    summed, exact = summed_effects(influence, groups), group_influence(fit, TEST, y_test, [*map(torch.tensor, groups)])
    for g, group in enumerate(groups):
        again = refit_without(KERNEL, TEST, fit.y_train, 0.1, torch.tensor(group))
        change = ((again - y_test).square() - (fit.predict(TEST) - y_test).square()).sum(1) / 2
        assert exact[:, g] == pytest.approx(change, abs=1e-10)
        assert summed[:, g] == pytest.approx(sum(influence[:, i] for i in group), abs=1e-12)
    assert agreement(summed, exact)["relative_error"] > 0.1
    alone = [[i] for i in range(N)]
    assert summed_effects(influence, alone) == pytest.approx(influence, abs=1e-12)


def test_groups_that_are_refused():
    with pytest.raises(ValueError, match="distinct training rows, whole numbers from 0 to 23"):
        summed_effects(torch.zeros(K, N), [[1, 1]])
    with pytest.raises(ValueError, match="at least one set"):
        summed_effects(torch.zeros(K, N), [])
