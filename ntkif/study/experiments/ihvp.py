"""Experiments on the error of IHVP in the NTK regime: over ridges, and point by point (Theorem 3, Figures 2 and 9)."""

from collections.abc import Iterator, Sequence

import pandas as pd
import torch

from ntkif.data import Dataset
from ntkif.influence import bounds
from ntkif.influence.closed_form import ihvp_influence, influence_terms
from ntkif.metrics import agreement, error_rates, misfit, share
from ntkif.regression.factorized import factorized
from ntkif.study import paper
from ntkif.study.experiments.experiment import AGREEMENT, Column, experiment

__all__ = ["decomposition", "errors_by_point", "errors_by_ridge", "errors_of_points", "rounding"]


def rounding(test_residual: torch.Tensor, term_two: torch.Tensor, condition: float) -> torch.Tensor:
    """(k, n) what rounding may lose in the sum of a pair's two terms: a bound missed by less is not missed.

    A coefficient α is a sum over training points that may cancel, so it is known to some digits of the largest that
    its training point has, not of itself; and so is the change Δf of a prediction. Term I is a sum over outputs that
    may cancel too, but none of it exceeds |r_t| |Δf|, with |Δf|^2 = 2 II. What is lost grows with
    the number n of summands and with the condition; ten times that is the margin:

        10 ε (n + condition) max_t |Δf| (|r_t| + |Δf|)

    Args:
        test_residual: (k, c) residuals r_t of the test points.
        term_two: (k, n) term II of Eq. 14.
        condition: of K + λI, see `RidgeFit`.
    """
    change = (2 * term_two).sqrt()
    lost = 10 * torch.finfo(change.dtype).eps * (change.shape[1] + condition)
    return lost * change.amax(0) * (test_residual.norm(dim=1, keepdim=True) + change)


@experiment(
    "figure-2",
    settings={name: {"ridges": [2.0**e for e in range(-4, 5)]} for name in paper.RIDGE},
    witness={"ridges": [0.0625, 4.0]},
    slice={"ridges": [4.0]},
    columns={
        "ridge": Column.key("penalty λ"),
        "floor": Column.value("λ_min / (λ_min + λ), the paper's bound"),
        "least_leverage": Column.value("least leverage of a training point"),
        "leverage": Column.value("mean leverage"),
        "largest_leverage": Column.value("largest leverage"),
        "ceiling": Column.value("1 / (1 + 2 λ), our bound from above"),
        "paper_ceiling": Column.value("the paper's bound from above, with λ_max"),
        "ratio_of_sums": Column.value("error rate of IHVP over all pairs, see `metrics.error_rates`"),
        "median_of_ratios": Column.value("median of the ratios of single pairs"),
        "mean_of_ratios": Column.value("mean of the ratios of single pairs"),
        "helpful": Column.value("error rate (ratio of sums) among helpful pairs"),
        "harmful": Column.value("error rate (ratio of sums) among harmful pairs"),
        "rescaled": Column.value("error rate of the rescaled IHVP, Î / (1 - A_i)"),
        "violations": Column.value("pairs that violate Theorem 3 by more than rounding"),
        "leverage_violations": Column.value("pairs that violate the bounds by the leverage by more than rounding"),
        "informative": Column.value("share of pairs for which the bound of Theorem 3 is above zero"),
        "looseness": Column.value("median of error over bound among these"),
        **AGREEMENT,
        "rescaled_slope": Column.value("slope of the rescaled IHVP"),
        "rescaled_relative_error": Column.value("relative error of the rescaled IHVP"),
    },
)
def errors_by_ridge(dataset: Dataset, ridges: Sequence[float]) -> pd.DataFrame:
    """Theorem 3 and Figure 2: how wrong IHVP is over ridges, against what bounds it.

    Args:
        dataset: training and test images.
        ridges: penalties λ > 0.

    Returns:
        a row for each ridge.
    """
    solved = factorized(dataset)
    k_test_train, spectrum = solved.k_test_train, solved.flow(0.0).eigenvalues
    smallest, largest = float(spectrum[0]), float(spectrum[-1])
    rows = []
    for ridge in ridges:
        fit = solved.fit(ridge)
        one, two = influence_terms(fit, k_test_train, dataset.y_test)
        exact, ihvp = one + two, ihvp_influence(fit, k_test_train, dataset.y_test)
        residual = fit.predict(k_test_train) - dataset.y_test
        error, slack = (ihvp - exact).abs(), rounding(residual, two, fit.condition)
        bound = bounds.theorem_3_bound(exact, two, smallest, ridge)
        low, high = bounds.leverage_bounds(exact, two, fit.leverage)
        cured = agreement(one, exact)
        rates = {name: float(rate) for name, rate in error_rates(ihvp, exact).items()}
        signs = {"helpful": exact > 0, "harmful": exact < 0}
        rows.append(
            {
                "ridge": ridge,
                "floor": bounds.leverage_floor(smallest, ridge),
                "least_leverage": float(fit.leverage.min()),
                "leverage": float(fit.leverage.mean()),
                "largest_leverage": float(fit.leverage.max()),
                "ceiling": bounds.leverage_ceiling(ridge),
                "paper_ceiling": bounds.leverage_floor(largest, ridge),
                **rates,
                **{name: float(error[pairs].sum() / exact[pairs].abs().sum()) for name, pairs in signs.items()},
                "rescaled": float(error_rates(one, exact)["ratio_of_sums"]),
                "violations": int((bound > error + slack).sum()),
                "leverage_violations": int(((low > error + slack) | (error > high + slack)).sum()),
                "informative": share(bound > 0),
                "looseness": float((error / bound)[bound > 0].median()),
                **agreement(ihvp, exact),
                "rescaled_slope": cured["slope"],
                "rescaled_relative_error": cured["relative_error"],
            }
        )
    return pd.DataFrame(rows)


def errors_by_point(dataset: Dataset, ridge: float, neighbours: Sequence[int] = ()) -> pd.DataFrame:
    """The error of IHVP of each training point, summed over the test points, with its leverage.

    Args:
        dataset: training and test images.
        ridge: penalty λ > 0.
        neighbours: numbers of neighbours for `bounds.neighbour_ceiling`; none for no such column.

    Returns:
        a row for each training point: its error_rate (ratio of sums over the test points), median_rate (median of
        ratios), leverage, and neighbour_ceiling.
    """
    table = _point_errors(dataset, ridge)
    if neighbours:
        table["neighbour_ceiling"] = (
            bounds.neighbour_ceiling(factorized(dataset).k_train_train, ridge, neighbours).cpu().numpy()
        )
    return table


def errors_of_points(dataset: Dataset, ridges: Sequence[float]) -> Iterator[tuple[float, pd.DataFrame]]:
    """Each ridge with the table of `errors_by_point`."""
    for ridge in ridges:
        yield ridge, _point_errors(dataset, ridge)


def _point_errors(dataset: Dataset, ridge: float) -> pd.DataFrame:
    fit, k_test_train = factorized(dataset).fit(ridge), factorized(dataset).k_test_train
    exact = torch.add(*influence_terms(fit, k_test_train, dataset.y_test))
    rates = error_rates(ihvp_influence(fit, k_test_train, dataset.y_test), exact, dim=0)
    columns = {"error_rate": rates["ratio_of_sums"], "median_rate": rates["median_of_ratios"], "leverage": fit.leverage}
    return pd.DataFrame({name: values.cpu().numpy() for name, values in columns.items()})


@experiment(
    "proposition-2",
    settings={name: {"ridges": [2.0**e for e in range(-4, 5)]} for name in paper.RIDGE},
    witness={"ridges": [0.0625, 4.0]},
    slice={"ridges": [4.0]},
    columns={
        "ridge": Column.key("penalty λ"),
        "test_error": Column.value("share of test images classified wrongly"),
        "largest_coefficient": Column.value("max |α| over all pairs"),
        "median_ratio": Column.value("median of term II / |term I| over all pairs"),
        "above_tenth": Column.value("share of pairs in which that ratio is above a tenth"),
        "above_one": Column.value("share of pairs in which it is above one"),
        "sign_flips": Column.value("share of pairs in which term I has the wrong sign"),
        "above_tenth_top": Column.value("share above a tenth among the `top` points of each test image"),
        "top_best_quarter": Column.value("the same for the quarter of test images with the smallest residual"),
        "top_others": Column.value("the same for the other test images"),
        **AGREEMENT,
        "rank_low": Column.value("Spearman's rho over training images that 95 % of test images exceed"),
    },
)
def decomposition(dataset: Dataset, ridges: Sequence[float], top: int = 40) -> pd.DataFrame:
    """Term I against term II of Proposition 2 over ridges, and Eq. 15, which keeps term I alone, against the truth.

    Args:
        dataset: training and test images.
        ridges: penalties λ.
        top: how many training points with the largest |influence| on each test point count as influential.

    Returns:
        a row for each ridge.
    """
    k_test_train, rows = factorized(dataset).k_test_train, []
    for ridge in ridges:
        fit = factorized(dataset).fit(ridge)
        term_one, term_two = influence_terms(fit, k_test_train, dataset.y_test)
        exact, ratio = term_one + term_two, term_two / term_one.abs()
        prediction = fit.predict(k_test_train)
        test_residual = (prediction - dataset.y_test).norm(dim=1)
        best = test_residual <= test_residual.quantile(0.25)
        above_top = ratio.gather(1, exact.abs().topk(top, dim=1).indices) > 0.1
        rows.append(
            {
                "ridge": ridge,
                "test_error": share(misfit(prediction, dataset.y_test)),
                "largest_coefficient": float(fit.coefficients(k_test_train).abs().max()),
                "median_ratio": float(ratio.median()),
                "above_tenth": share(ratio > 0.1),
                "above_one": share(ratio > 1),
                "sign_flips": share(term_one.sign() != exact.sign()),
                "above_tenth_top": share(above_top),
                "top_best_quarter": share(above_top[best]),
                "top_others": share(above_top[~best]),
                **agreement(term_one, exact),
                "rank_low": float(_row_spearman(term_one, exact).quantile(0.05)),
            }
        )
    return pd.DataFrame(rows)


def _row_spearman(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Spearman's rho of each row of `a` with that of `b`, for values without ties."""
    ranks = [values.argsort(1).argsort(1).double() for values in (a, b)]
    a, b = (torch.nn.functional.normalize(rank - rank.mean(1, keepdim=True)) for rank in ranks)
    return (a * b).sum(1)
