"""Influence on predictions of models that have not seen the point: against leaving out two and refitting."""

import pytest
import torch

from ntkif import ntk, ridge_fit, weighted_fit
from ntkif.influence.unseen import influence_unseen, loo_residual_without
from ntkif.regression.tiled import tiled_fit
from ntkif.regression.weighted import with_weights

N = 14
X = torch.nn.functional.normalize(torch.randn(N, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))
K = ntk(X)
Y = torch.randn(N, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
WEIGHT = torch.linspace(0.3, 2, N, dtype=torch.float64)
KINDS = {
    "plain": {"intercept": False},
    "intercept": {},
    "weights": {"weight": WEIGHT, "intercept": False},
    "both": {"weight": WEIGHT},
}


def residual_at(j, left_out, weight=None, intercept=True):
    """Of the fit to what is left, at a point."""
    kept = [i for i in range(N) if i not in left_out]
    weight = None if weight is None else weight[kept]
    fit = weighted_fit(K[kept][:, kept], Y[kept], 0.3, weight=weight, intercept=intercept)
    return (fit.predict(K[[j]][:, kept]) - Y[[j]])[0]


@pytest.mark.parametrize("kind", KINDS)
def test_influence_is_that_of_leaving_out_two(kind):
    fit = weighted_fit(K, Y, 0.3, **KINDS[kind])
    rows = torch.tensor([5, 0, 13])
    found = influence_unseen(fit, rows)
    for at, j in enumerate(rows.tolist()):
        alone = residual_at(j, {j}, **KINDS[kind]).square().sum() / 2
        wanted = [residual_at(j, {j, i}, **KINDS[kind]).square().sum() / 2 - alone for i in range(N)]
        assert found[at] == pytest.approx(torch.stack(wanted), abs=1e-11)
        assert found[at, j] == 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("group", [[3], [12, 0, 7, 1]])
def test_residuals_without_a_set_are_those_of_leaving_out_one_more(kind, group):
    found = loo_residual_without(weighted_fit(K, Y, 0.3, **KINDS[kind]), torch.tensor(group))
    assert found[group].isnan().all()
    for i in set(range(N)) - set(group):
        assert found[i] == pytest.approx(residual_at(i, {*group, i}, **KINDS[kind]), abs=1e-11)


def test_a_fit_in_tiles_says_the_same():
    numbers = torch.arange(N).double()[:, None]
    tiled = tiled_fit(numbers, Y, 0.3, kernel=lambda a, b: K[a[:, 0].long()][:, b[:, 0].long()], tile=4)
    tiled, dense = with_weights(tiled, Y, torch.ones(N).double(), True), weighted_fit(K, Y, 0.3)
    rows = torch.tensor([9, 2])
    assert influence_unseen(tiled, rows) == pytest.approx(influence_unseen(dense, rows), abs=1e-11)
    found, wanted = (loo_residual_without(fit, rows) for fit in (tiled, dense))
    assert found.nan_to_num() == pytest.approx(wanted.nan_to_num(), abs=1e-11)


def test_what_cannot_be_left_out():
    fit = weighted_fit(K, Y, 0.3)
    with pytest.raises(ValueError, match="rows: expected a list of distinct training rows"):
        influence_unseen(fit, torch.tensor([1, 1]))
    with pytest.raises(ValueError, match="at least two points left of 14, got a set of 13"):
        loo_residual_without(fit, torch.arange(13))
    absent = weighted_fit(K, Y, 0.3, weight=(torch.arange(N) > 2).double())
    for asked in (influence_unseen, loo_residual_without):
        with pytest.raises(ValueError, match="a weight above zero"):
            asked(absent, torch.tensor([4]))


def test_it_sums_to_the_influence_of_a_test_point_far_from_its_own_label():
    """A copy of a point in the training set is a test point of the model without the copy."""
    kernel = torch.block_diag(K, torch.zeros(1, 1).double())
    kernel[N], kernel[:, N], kernel[N, N] = kernel[0], kernel[:, 0], kernel[0, 0]
    fit = weighted_fit(kernel, torch.cat([Y, Y[:1]]), 0.3, intercept=False)
    seen = ridge_fit(K, Y, 0.3)
    shift = torch.stack([seen.shift_without(K[:1], torch.tensor([i]))[0] for i in range(N)])
    residual = seen.predict(K[:1]) - Y[:1]
    wanted = (shift * (residual + shift / 2)).sum(1)
    assert influence_unseen(fit, torch.tensor([N]))[0, :N] == pytest.approx(wanted, abs=1e-11)
