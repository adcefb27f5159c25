"""Errors and densities: each column from its definition, and Theorem 4 in every cluster."""

import numpy as np
import pandas as pd
import pytest
import torch
from problem import COUNTS, RADIUS
from scipy.stats import spearmanr

from ntkif import ntk
from ntkif.data import load
from ntkif.influence.bounds import (
    largest_eigenvalue,
    smallest_ridge,
)
from ntkif.influence.density import median_distance, nearest_distance, pca_density, sphere_density
from ntkif.study.experiments.density import (
    density_correlations,
    density_deciles,
    density_matrix,
    errors_by_cluster,
    point_densities,
)
from ntkif.study.experiments.ihvp import errors_by_point

DATA = load("mnist-sample").head(60, 25)


def test_densities_and_their_rank_correlations():
    nearest = nearest_distance(DATA.x_train)
    table = density_correlations(DATA, [0.5, 4.0], [0.5, 1.0], [3])
    assert table[["ridge", "kind", "parameter"]].to_numpy().tolist() == [
        [ridge, *kind] for ridge in (0.5, 4.0) for kind in (("sphere", 0.5), ("sphere", 1.0), ("pca", 3))
    ]
    densities = [sphere_density(DATA.x_train, factor * nearest) for factor in (0.5, 1.0)]
    densities.append(pca_density(DATA.x_train, 3))
    assert np.allclose(point_densities(DATA.x_train, [0.5, 1.0], [3]), torch.stack(densities, 1))
    for row, density in zip(table[table["ridge"] == 4.0].itertuples(), densities, strict=True):
        points = errors_by_point(DATA, 4.0)
        assert row.error_rho == pytest.approx(spearmanr(density, points["error_rate"]).statistic)
        assert row.median_rho == pytest.approx(spearmanr(density, points["median_rate"]).statistic)
        assert row.leverage_rho == pytest.approx(spearmanr(density, points["leverage"]).statistic)
    assert table["bandwidth"].tolist()[:2] == pytest.approx([0.5 * nearest, nearest])
    assert table["over_median"][1] == pytest.approx(nearest / median_distance(DATA.x_train))
    assert np.isnan(table["bandwidth"][2])


def test_deciles_go_from_sparse_to_dense():
    table = density_deciles(DATA, [1.0], [1.0], [3])
    assert len(table) == 20 and list(table["decile"]) == [*range(1, 11)] * 2
    density, rate = point_densities(DATA.x_train, [1.0], [3]), errors_by_point(DATA, 1.0)["error_rate"]
    sparsest = rate[density["sphere", 1.0].argsort()[:6]]
    assert table["median"][0] == pytest.approx(sparsest.median())
    assert table[["low", "high"]].iloc[0].tolist() == pytest.approx(np.quantile(sparsest, [0.1, 0.9]))
    assert table["median"][0] > table["median"][9]


def test_theorem_4_holds_in_every_cluster_where_its_condition_does(clusters):
    largest = float(torch.linalg.eigvalsh(ntk(clusters.x_train))[-1])
    assert largest_eigenvalue(ntk(clusters.x_train)) == pytest.approx(largest, rel=1e-12)
    least = smallest_ridge(RADIUS, largest)
    table = errors_by_cluster(clusters, [1.001 * least, 10 * least, 1e-4 * least])
    assert table["smallest_ridge"].unique() == pytest.approx([least], rel=1e-6)
    allowed = table[table["ridge"] > least]
    assert (allowed["violations"] == 0).all()
    assert (allowed["error"] < allowed["bound"]).all()
    for column in ("paper_ceiling", "own_ceiling"):
        assert (allowed["largest_leverage"] <= allowed[column]).all()
    # Far below the condition it fails, so it can fail; the ceiling without γ needs no condition.
    assert table[table["ridge"] < least]["violations"].sum() > 0
    assert (table["largest_leverage"] <= table["ceiling"]).all()
    assert (allowed["ceiling"] < 1.1 * allowed["largest_leverage"]).all()
    assert (table.groupby("ridge")["count"].apply(list).map(lambda c: c == list(COUNTS * 2))).all()


def test_a_matrix_has_a_row_for_each_ridge_and_a_column_for_each_choice():
    table = pd.DataFrame(
        {"ridge": [4.0, 0.5, 4.0, 0.5, 4.0], "kind": ["sphere"] * 4 + ["pca"], "parameter": [1.0, 1.0, 0.25, 0.25, 10]}
    ).assign(error_rho=[1, 2, 3, 4, 5], leverage_rho=[6, 7, 8, 9, 10])
    sphere = density_matrix(table, "sphere")
    assert sphere.to_dict() == {"0.25": {0.5: 4, 4.0: 3}, "1": {0.5: 2, 4.0: 1}}
    assert density_matrix(table, "pca", "leverage_rho").to_dict() == {"10": {4.0: 10}}
