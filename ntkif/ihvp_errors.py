"""Experiments on the error of IHVP in the NTK regime: over ridges, point by point, by density, in clusters."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from ntkif import bounds, density, mixture
from ntkif.data import Dataset
from ntkif.influence import ihvp_influence, influence_terms
from ntkif.kernel import ntk
from ntkif.metrics import agreement
from ntkif.regression import ridge_fit

__all__ = [
    "density_correlations",
    "density_deciles",
    "errors_by_cluster",
    "errors_by_point",
    "errors_by_ridge",
    "point_densities",
    "rounding",
]


def rounding(test_residual: torch.Tensor, term_two: torch.Tensor) -> torch.Tensor:
    """(k, n) what float64 may lose in the sum of a pair's two terms: a bound missed by less is not missed.

    Term I is a sum over outputs that may cancel; by Cauchy and Schwarz none of it exceeds |r_t| |Δf|, with
    |Δf|^2 = 2 II.

    Args:
        test_residual: (k, c) residuals r_t of the test points.
        term_two: (k, n) term II of Eq. 14.
    """
    return 1e-12 * (test_residual.norm(dim=1, keepdim=True) * (2 * term_two).sqrt() + term_two)


def errors_by_ridge(dataset: Dataset, ridges: Sequence[float]) -> pd.DataFrame:
    """Theorem 3 and Figure 2: how wrong IHVP is over ridges, against what bounds it.

    Args:
        dataset: training and test images.
        ridges: penalties λ > 0.

    Returns:
        a row for each ridge: ridge; the floor λ_min / (λ_min + λ) of the paper, the least, mean and largest leverage
        (least_leverage, leverage, largest_leverage), our ceiling 1 / (1 + 2 λ) and the paper's, with λ_max
        (paper_ceiling); the error rate of IHVP over all pairs (ratio_of_sums, median_of_ratios, mean_of_ratios, see
        `bounds.error_rates`), the same among helpful and harmful pairs (helpful, harmful: ratios of sums), and that of
        the rescaled IHVP, Î / (1 - A_i) (rescaled); pairs that violate Theorem 3 (violations) and the bounds by the
        leverage (leverage_violations), beyond rounding; the share of pairs for which the bound of Theorem 3 is above
        zero (informative) and there the median of error over bound (looseness); and the agreement of IHVP with the
        exact influence (pearson, spearman, slope, relative_error) and the slope and relative error of the rescaled
        one (rescaled_slope, rescaled_relative_error).
    """
    k_train_train, k_test_train = ntk(dataset.x_train), ntk(dataset.x_test, dataset.x_train)
    spectrum = torch.linalg.eigvalsh(k_train_train)
    smallest, largest = float(spectrum[0]), float(spectrum[-1])
    rows = []
    for ridge in ridges:
        fit = ridge_fit(k_train_train, dataset.y_train, ridge)
        one, two = influence_terms(fit, k_test_train, dataset.y_test)
        exact, ihvp = one + two, ihvp_influence(fit, k_test_train, dataset.y_test)
        residual = fit.predict(k_test_train) - dataset.y_test
        error, slack = (ihvp - exact).abs(), rounding(residual, two)
        bound = bounds.theorem_3_bound(exact, two, smallest, ridge)
        low, high = bounds.leverage_bounds(exact, two, fit.leverage)
        cured = agreement(one, exact)
        rates = {name: float(rate) for name, rate in bounds.error_rates(ihvp, exact).items()}
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
                "rescaled": float(bounds.error_rates(one, exact)["ratio_of_sums"]),
                "violations": int((bound > error + slack).sum()),
                "leverage_violations": int(((low > error + slack) | (error > high + slack)).sum()),
                "informative": float((bound > 0).double().mean()),
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
    k_train_train, k_test_train = ntk(dataset.x_train), ntk(dataset.x_test, dataset.x_train)
    table = _point_errors(dataset, k_train_train, k_test_train, ridge)
    if neighbours:
        table["neighbour_ceiling"] = bounds.neighbour_ceiling(k_train_train, ridge, neighbours).cpu().numpy()
    return table


def point_densities(x: torch.Tensor, factors: Sequence[float], components: Sequence[int]) -> pd.DataFrame:
    """Log density at each training point, by several choices.

    Args:
        x: (n, d) points, rows of norm one.
        factors: bandwidths on the sphere, as multiples of the median distance to the nearest neighbour.
        components: numbers of principal components for SciPy's estimate.

    Returns:
        a row for each point; the columns are pairs of the kind, "sphere" or "pca", and the factor or number.
    """
    nearest = density.nearest_distance(x)
    columns = {("sphere", factor): density.sphere_density(x, factor * nearest) for factor in factors}
    columns |= {("pca", count): density.pca_density(x, count) for count in components}
    return pd.DataFrame({key: values.cpu().numpy() for key, values in columns.items()})


def density_correlations(
    dataset: Dataset, ridges: Sequence[float], factors: Sequence[float], components: Sequence[int]
) -> pd.DataFrame:
    """Figure 3 as numbers: Spearman's rho between density and the error of IHVP, over choices of the density.

    Args:
        dataset: training and test images.
        ridges: penalties λ > 0.
        factors: see `point_densities`.
        components: see `point_densities`.

    Returns:
        a row for each ridge and density: ridge; kind and parameter of the density; on the sphere its bandwidth, and
        that over the median distance between two points (over_median); the rank correlation of the log density with
        the error rate (error_rho), with the median rate (median_rho) and with the leverage (leverage_rho).
    """
    densities, nearest = (
        point_densities(dataset.x_train, factors, components),
        density.nearest_distance(dataset.x_train),
    )
    median = density.median_distance(dataset.x_train)
    rows = []
    for ridge, errors in _errors_over(dataset, ridges):
        rho = pd.concat([densities.set_axis(range(densities.shape[1]), axis=1), errors], axis=1).corr("spearman")
        for number, (kind, parameter) in enumerate(densities.columns):
            bandwidth = parameter * nearest if kind == "sphere" else np.nan
            rows.append(
                {"ridge": ridge, "kind": kind, "parameter": parameter}
                | {"bandwidth": bandwidth, "over_median": bandwidth / median}
                | {
                    name: rho.loc[number, column]
                    for name, column in (
                        ("error_rho", "error_rate"),
                        ("median_rho", "median_rate"),
                        ("leverage_rho", "leverage"),
                    )
                }
            )
    return pd.DataFrame(rows)


def density_deciles(
    dataset: Dataset, ridges: Sequence[float], factors: Sequence[float], components: Sequence[int]
) -> pd.DataFrame:
    """Figure 3 as a curve: the error rate of IHVP of training points by tenths of their density.

    Args:
        dataset: training and test images.
        ridges: penalties λ > 0.
        factors: see `point_densities`.
        components: see `point_densities`.

    Returns:
        a row for each ridge, density and tenth of the training points, the sparsest first: ridge, kind, parameter,
        decile from 1; of their error rates the middle (median) and the middle 80 % (low, high).
    """
    densities = point_densities(dataset.x_train, factors, components)
    rows = []
    for ridge, errors in _errors_over(dataset, ridges):
        for kind, parameter in densities.columns:
            order = np.argsort(densities[kind, parameter].to_numpy(), kind="stable")
            for decile, members in enumerate(np.array_split(order, 10), start=1):
                low, median, high = np.quantile(errors["error_rate"].to_numpy()[members], [0.1, 0.5, 0.9])
                rows.append(
                    {"ridge": ridge, "kind": kind, "parameter": parameter, "decile": decile}
                    | {"low": low, "median": median, "high": high}
                )
    return pd.DataFrame(rows)


def errors_by_cluster(points: mixture.Mixture, ridges: Sequence[float]) -> pd.DataFrame:
    """Theorem 4 and Figure 12: the error of IHVP in each cluster against its bound (Eq. 18).

        |I - Î| <= sqrt(γ / (n n_k)) |I| + II,    in which sqrt(γ / (n n_k)) bounds the leverage

    Args:
        points: of Definition 1.
        ridges: penalties λ > 0.

    Returns:
        a row for each ridge and cluster: ridge, cluster, count (n_k); of |I - Î| over the pairs of its training
        points with all test points the mean (error) and that of the bound (bound), the pairs above the bound
        (violations), and the error rate (ratio_of_sums); the mean and largest leverage (leverage, largest_leverage),
        what the theorem has above it (paper_ceiling), the same with γ of this cluster alone (own_ceiling), and
        `mixture.cluster_ceiling` (ceiling); γ of all points (gamma) and the condition on the ridge (smallest_ridge).
    """
    k_train_train, k_test_train = ntk(points.x_train), ntk(points.x_test, points.x_train)
    least = mixture.smallest_ridge(points.radius, _largest_eigenvalue(k_train_train))
    n, rows = len(points.x_train), []
    for ridge in ridges:
        fit = ridge_fit(k_train_train, points.y_train, ridge)
        one, two = influence_terms(fit, k_test_train, points.y_test)
        exact, ihvp = one + two, ihvp_influence(fit, k_test_train, points.y_test)
        error, own = (ihvp - exact).abs(), mixture.own_concentration(fit)
        slack = rounding(fit.predict(k_test_train) - points.y_test, two)
        for cluster, count in enumerate(points.counts):
            of = points.cluster_train == cluster
            ceiling, own_ceiling = (float((gamma.max() / (n * count)).sqrt()) for gamma in (own, own[of]))
            bound = ceiling * exact[:, of].abs() + two[:, of]
            above = error[:, of] > bound + slack[:, of]
            rows.append(
                {
                    "ridge": ridge,
                    "cluster": cluster,
                    "count": count,
                    "error": float(error[:, of].mean()),
                    "bound": float(bound.mean()),
                    "violations": int(above.sum()),
                    "ratio_of_sums": float(bounds.error_rates(ihvp[:, of], exact[:, of])["ratio_of_sums"]),
                    "leverage": float(fit.leverage[of].mean()),
                    "largest_leverage": float(fit.leverage[of].max()),
                    "paper_ceiling": ceiling,
                    "own_ceiling": own_ceiling,
                    "ceiling": mixture.cluster_ceiling(count, points.radius, ridge),
                    "gamma": float(own.max()),
                    "smallest_ridge": least,
                }
            )
    return pd.DataFrame(rows)


def _errors_over(dataset: Dataset, ridges: Sequence[float]):
    k_train_train, k_test_train = ntk(dataset.x_train), ntk(dataset.x_test, dataset.x_train)
    for ridge in ridges:
        yield ridge, _point_errors(dataset, k_train_train, k_test_train, ridge)


def _point_errors(dataset, k_train_train, k_test_train, ridge: float) -> pd.DataFrame:
    fit = ridge_fit(k_train_train, dataset.y_train, ridge)
    exact = torch.add(*influence_terms(fit, k_test_train, dataset.y_test))
    rates = bounds.error_rates(ihvp_influence(fit, k_test_train, dataset.y_test), exact, dim=0)
    columns = {"error_rate": rates["ratio_of_sums"], "median_rate": rates["median_of_ratios"], "leverage": fit.leverage}
    return pd.DataFrame({name: values.cpu().numpy() for name, values in columns.items()})


def _largest_eigenvalue(matrix: torch.Tensor) -> float:
    from scipy.sparse.linalg import eigsh

    start = np.ones(len(matrix))  # or SciPy draws one
    return float(eigsh(matrix.cpu().numpy(), k=1, v0=start, return_eigenvectors=False)[0])
