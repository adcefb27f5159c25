"""Experiments on where IHVP errs: by density of the training points, and in clusters (Theorem 4, Figures 3, 10, 12)."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from ntkif.data import Dataset
from ntkif.data.mixture import Mixture
from ntkif.influence import bounds, density
from ntkif.influence.closed_form import ihvp_influence, influence_terms
from ntkif.kernels.infinite import ntk
from ntkif.metrics import error_rates
from ntkif.regression.ridge import ridge_fit
from ntkif.study import paper
from ntkif.study.experiments.experiment import Column, experiment
from ntkif.study.experiments.ihvp import errors_of_points, rounding

__all__ = ["density_correlations", "density_deciles", "density_matrix", "errors_by_cluster", "point_densities"]


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


@experiment(
    "figure-3",
    settings={
        name: {
            "ridges": [2.0**-4, 0.5, 4.0, 2.0**4],
            "factors": [0.25, 0.5, 1.0, 2.0, 4.0],
            "components": [2, 5, 10, 20, 50, 100],
        }
        for name in paper.RIDGE
    },
    witness={"ridges": [0.5], "factors": [1.0], "components": [10]},
    slice={"ridges": [4.0], "factors": [1.0], "components": [10]},
    columns={
        "ridge": Column.key("penalty λ"),
        "kind": Column.key("of the density, sphere or pca"),
        "parameter": Column.key("its factor or number of components"),
        "bandwidth": Column.value("of a density on the sphere"),
        "over_median": Column.value("the bandwidth over the median distance between two points"),
        "error_rho": Column.value("Spearman's rho of log density and error rate"),
        "median_rho": Column.value("Spearman's rho of log density and median rate"),
        "leverage_rho": Column.value("Spearman's rho of log density and leverage"),
    },
)
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
        a row for each ridge and density.
    """
    densities = point_densities(dataset.x_train, factors, components)
    nearest, median = density.nearest_distance(dataset.x_train), density.median_distance(dataset.x_train)
    rows = []
    for ridge, errors in errors_of_points(dataset, ridges):
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


def density_matrix(table: pd.DataFrame, kind: str, rho: str = "error_rho") -> pd.DataFrame:
    """One coefficient of `density_correlations` over ridges and choices of one kind of density.

    Args:
        table: of `density_correlations`.
        kind: of the density, "sphere" or "pca".
        rho: column of the coefficient.

    Returns:
        a row for each ridge, a column for each factor or number of components, named as one types it: "0.5", "10".
    """
    grid = table[table["kind"] == kind].pivot(index="ridge", columns="parameter", values=rho)
    return grid.rename(columns="{:g}".format)


@experiment(
    "figure-3-deciles",
    settings={
        name: {"ridges": [2.0**-4, 0.5, 4.0, 2.0**4], "factors": [1.0], "components": [10]} for name in paper.RIDGE
    },
    witness={"ridges": [0.5], "factors": [1.0], "components": [10]},
    slice={"ridges": [4.0]},
    columns={
        "ridge": Column.key("penalty λ"),
        "kind": Column.key("of the density, sphere or pca"),
        "parameter": Column.key("its factor or number of components"),
        "decile": Column.key("tenth of the training points, from 1, the sparsest"),
        "low": Column.value("lower end of the middle 80 % of their error rates"),
        "median": Column.value("of their error rates"),
        "high": Column.value("upper end of the middle 80 %"),
    },
)
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
        a row for each ridge, density and tenth of the training points.
    """
    densities = point_densities(dataset.x_train, factors, components)
    rows = []
    for ridge, errors in errors_of_points(dataset, ridges):
        for kind, parameter in densities.columns:
            order = np.argsort(densities[kind, parameter].to_numpy(), kind="stable")
            for decile, members in enumerate(np.array_split(order, 10), start=1):
                low, median, high = np.quantile(errors["error_rate"].to_numpy()[members], [0.1, 0.5, 0.9])
                rows.append(
                    {"ridge": ridge, "kind": kind, "parameter": parameter, "decile": decile}
                    | {"low": low, "median": median, "high": high}
                )
    return pd.DataFrame(rows)


def errors_by_cluster(
    points: Mixture, ridges: Sequence[float], *, k_train_train: torch.Tensor | None = None
) -> pd.DataFrame:
    """Theorem 4 and Figure 12: the error of IHVP in each cluster against its bound (Eq. 18).

        |I - Î| <= sqrt(γ / (n n_k)) |I| + II,    in which sqrt(γ / (n n_k)) bounds the leverage

    Args:
        points: of Definition 1.
        ridges: penalties λ > 0.
        k_train_train: (n, n) kernel of the training points, where it is at hand.

    Returns:
        a row for each ridge and cluster: ridge, cluster, count (n_k); of |I - Î| over the pairs of its training
        points with all test points the mean (error) and that of the bound (bound), the pairs above the bound
        (violations), and the error rate (ratio_of_sums); the mean and largest leverage (leverage, largest_leverage),
        what the theorem has above it (paper_ceiling), the same with γ of this cluster alone (own_ceiling), and
        `bounds.cluster_ceiling` (ceiling); γ of all points (gamma) and the condition on the ridge (smallest_ridge).
    """
    k_train_train = ntk(points.x_train) if k_train_train is None else k_train_train
    k_test_train = ntk(points.x_test, points.x_train)
    least = bounds.smallest_ridge(points.radius, bounds.largest_eigenvalue(k_train_train))
    n, rows = len(points.x_train), []
    for ridge in ridges:
        fit = ridge_fit(k_train_train, points.y_train, ridge)
        one, two = influence_terms(fit, k_test_train, points.y_test)
        exact, ihvp = one + two, ihvp_influence(fit, k_test_train, points.y_test)
        error, own = (ihvp - exact).abs(), bounds.own_concentration(fit)
        slack = rounding(fit.predict(k_test_train) - points.y_test, two, fit.condition)
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
                    "ratio_of_sums": float(error_rates(ihvp[:, of], exact[:, of])["ratio_of_sums"]),
                    "leverage": float(fit.leverage[of].mean()),
                    "largest_leverage": float(fit.leverage[of].max()),
                    "paper_ceiling": ceiling,
                    "own_ceiling": own_ceiling,
                    "ceiling": bounds.cluster_ceiling(count, points.radius, ridge),
                    "gamma": float(own.max()),
                    "smallest_ridge": least,
                }
            )
    return pd.DataFrame(rows)
