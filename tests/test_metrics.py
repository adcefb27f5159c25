"""Scores of estimates: what each of them sees, and what it does not."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from ntkif.metrics import agreement, error_rates, half_squares, lds, misfit, power_law, share, sign_alone


def test_a_wrong_scale_shows_in_slope_and_error_alone():
    actual = torch.tensor([1.0, -2.0, 0.5, 4.0])
    assert agreement(0.5 * actual, actual) == pytest.approx(
        {"pearson": 1, "spearman": 1, "slope": 0.5, "relative_error": 0.5}
    )


def test_order_alone_shows_in_spearman_alone():
    got = agreement(torch.tensor([1.0, 2.0, 30.0]), torch.tensor([1.0, 2.0, 3.0]))
    assert got["spearman"] == pytest.approx(1)
    assert got["pearson"] == pytest.approx(29 / math.sqrt(542 * 2))


def test_noise_of_a_known_size():
    noise = torch.tensor([0.0, 3.0])
    assert agreement(torch.tensor([4.0, 0.0]) + noise, torch.tensor([4.0, 0.0]))["relative_error"] == 0.75


def test_the_sign_alone_is_the_best_scaled_sign():
    """Slope and error are those of the least-squares scale; any other scale errs more."""
    predicted, actual = torch.tensor([9.0, 0.1, -2.0, -3.0, 4.0]), torch.tensor([1.0, 3.0, -2.0, 0.5, 2.0])
    sign, known = predicted.sign(), sign_alone(predicted, actual)
    scale = float(sign @ actual / 5)
    assert known == pytest.approx(agreement(scale * sign, actual))
    assert known["pearson"] == pytest.approx(stats.pearsonr(sign, actual).statistic)
    for other in (0.9 * scale, 1.1 * scale):
        assert agreement(other * sign, actual)["relative_error"] > known["relative_error"]
    shuffled = torch.tensor([0.1, 9.0, -3.0, -2.0, 4.0])
    assert sign_alone(shuffled, actual) == known  # sizes do not count


def test_of_one_sign_there_is_no_correlation():
    known = sign_alone(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 5.0]))
    assert math.isnan(known["pearson"]) and math.isnan(known["spearman"])
    assert known["slope"] == pytest.approx(64 / 68)
    with pytest.raises(ValueError, match="actual: expected finite values that are not all equal"):
        sign_alone(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 3.0]))


def test_a_share_counts_what_is_true():
    assert share(torch.tensor([True, False, False])) == pytest.approx(1 / 3, rel=1e-15)
    assert share(torch.ones(2, 3, dtype=torch.bool)) == 1 and share(torch.zeros(4, dtype=torch.bool)) == 0
    assert math.isnan(share(torch.zeros(0, dtype=torch.bool)))
    with pytest.raises(TypeError, match=r"condition: expected a tensor of dtype bool, got torch\.float32; compare it"):
        share(torch.ones(3))


def test_targets_of_other_outputs_are_not_paired_with_all():
    f, y = torch.tensor([[1.0], [3.0]]), torch.tensor([[0.0], [1.0]])
    assert half_squares(f, y).tolist() == [0.5, 2.0] and half_squares(f, 0).tolist() == [0.5, 4.5]
    assert half_squares(f[0], y[0]) == 0.5 and half_squares(f, y[:, None]).shape == (2, 2)
    for outputs in (f, f.expand(2, 2)):
        with pytest.raises(ValueError, match=r"y: expected targets of shape \(\.\.\., c\) .*y\[:, None\]"):
            half_squares(outputs, y[:, 0])


@pytest.mark.parametrize("score", [agreement, sign_alone, lds, error_rates])
def test_arrays_are_taken_as_tensors(score):
    predicted, actual = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0)).numpy()
    assert score(predicted, actual) == score(torch.tensor(predicted), torch.tensor(actual))


def test_an_undecided_prediction_is_wrong():
    """Of one output zero, which has no sign; of several, equal ones name the first class."""
    prediction, y = torch.tensor([[0.0], [-0.0], [0.0], [1e-30], [2.0]]), torch.tensor([[1.0], [1], [-1], [1], [-1]])
    assert misfit(prediction, y).tolist() == [True, True, True, False, True]
    several = torch.tensor([[0.5, 0.5], [0.5, 0.5], [0.1, 0.3]])
    assert misfit(several, torch.tensor([[1.0, 0.0], [0, 1], [0, 1]])).tolist() == [False, True, False]


def test_error_rates():
    generator = torch.Generator().manual_seed(0)
    estimate, exact = torch.randn(2, 7, 4, generator=generator, dtype=torch.float64)
    rates, ratio = error_rates(estimate, exact, dim=0), (estimate / exact - 1).abs()
    for i in range(4):
        one = error_rates(estimate[:, i], exact[:, i])
        assert {name: float(rate) for name, rate in one.items()} == pytest.approx(
            {n: float(r[i]) for n, r in rates.items()}
        )
        weight = exact[:, i].abs()
        assert float(one["ratio_of_sums"]) == pytest.approx(float((ratio[:, i] * weight).sum() / weight.sum()))
        assert float(one["median_of_ratios"]) == pytest.approx(float(ratio[:, i].sort().values[3]))
    assert float(error_rates(estimate, exact)["mean_of_ratios"]) == pytest.approx(float(ratio.mean()))
    assert float(error_rates(0.75 * exact, exact)["ratio_of_sums"]) == pytest.approx(0.25)
    with pytest.raises(ValueError, match=r"two tensors of one shape, got \(7, 4\) and \(4,\)"):
        error_rates(estimate, exact[0])


def test_power_law_has_its_uncertainty():
    random = np.random.RandomState(0)
    x = np.geomspace(1, 1e4, 40)
    exponent, uncertainty = power_law(x, 3 * x**-0.5 * np.exp(random.normal(0, 0.1, 40)))
    assert abs(exponent + 0.5) < 3 * uncertainty < 0.03
    with pytest.raises(ValueError, match="three pairs of positive numbers"):
        power_law([1, 2, 0], [1, 2, 3])


def test_estimates_that_cannot_be_compared():
    with pytest.raises(ValueError, match=r"one shape .*\(40, 1\) and \(9, 1\)"):
        agreement(torch.ones(40, 1), torch.ones(9, 1))
    with pytest.raises(ValueError, match=r"predicted: .*not all equal"):
        agreement(torch.ones(3), torch.arange(3.0))


def test_correlations_are_those_of_scipy_ties_included():
    generator = torch.Generator().manual_seed(0)
    p, a = torch.randint(0, 6, (2, 40), generator=generator).double()
    found = agreement(p, a)
    assert found["spearman"] == pytest.approx(stats.spearmanr(p, a).statistic, abs=1e-14)
    assert found["pearson"] == pytest.approx(stats.pearsonr(p, a).statistic, abs=1e-14)


def subsets(noise):
    generator = torch.Generator().manual_seed(0)
    actual = torch.randn(20, 40, generator=generator, dtype=torch.float64)
    return actual + noise * torch.randn(20, 40, generator=generator, dtype=torch.float64), actual


def test_lds_is_the_mean_of_rank_correlations_and_its_interval_that_of_subsets_drawn_again():
    predicted, actual = subsets(0.5)
    predicted = predicted.round(decimals=0)  # with ties
    found = lds(predicted, actual, draws=50)
    by_scipy = [stats.spearmanr(*pair).statistic for pair in zip(predicted, actual, strict=True)]
    assert found["lds"] == pytest.approx(np.mean(by_scipy), abs=1e-12)
    drawn = torch.randint(40, (50, 40), generator=torch.Generator().manual_seed(0))
    again = [lds(predicted[:, rows], actual[:, rows], draws=1)["lds"] for rows in drawn]
    assert [found["lds_low"], found["lds_high"]] == pytest.approx(np.quantile(again, [0.025, 0.975]), abs=1e-12)
    assert lds(predicted, actual, draws=50, seed=1)["lds_low"] != found["lds_low"]


def test_the_interval_of_lds_is_wider_with_fewer_subsets():
    predicted, actual = subsets(1.0)
    many, few = (lds(predicted[:, :count], actual[:, :count]) for count in (40, 10))
    for found in (many, few):
        assert found["lds_low"] < found["lds"] < found["lds_high"]
    assert few["lds_high"] - few["lds_low"] > 1.5 * (many["lds_high"] - many["lds_low"])


def test_draws_without_any_order_do_not_count():
    """Of three subsets each ninth draw has the same one three times."""
    order = torch.arange(3.0)[None]
    assert lds(order, order.square()) == pytest.approx({"lds": 1, "lds_low": 1, "lds_high": 1})


def test_subsets_that_cannot_be_compared():
    predicted, actual = subsets(1.0)
    with pytest.raises(ValueError, match=r"three subsets.* \(20, 40\) and \(20, 39\)"):
        lds(predicted, actual[:, :39])
    with pytest.raises(ValueError, match=r"three subsets.* \(20, 2\)"):
        lds(predicted[:, :2], actual[:, :2])
    with pytest.raises(ValueError, match="0 draws"):
        lds(predicted, actual, draws=0)
    with pytest.raises(ValueError, match=r"actual: .*not all equal"):
        lds(predicted, torch.cat([actual[:1], torch.ones(19, 40, dtype=torch.float64)]))
    with pytest.raises(ValueError, match=r"predicted: .*finite"):
        lds(predicted * torch.inf, actual)


def test_signs_that_are_mostly_wrong_are_scored_by_their_best_factor():
    """Which is negative: all four scores are of that one estimate."""
    predicted, actual = torch.tensor([1.0, 2.0, -1.0, -3.0]), torch.tensor([-2.0, -3.0, 2.0, 0.5])
    sign = predicted.sign().double()
    best = float(sign @ actual.double() / sign.square().sum()) * sign
    assert sign_alone(predicted, actual) == pytest.approx(agreement(best, actual.double()), abs=1e-12)
