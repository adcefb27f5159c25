"""The table on subsets, from the same numbers found another way."""

import pytest
import torch

from ntkif.data import load
from ntkif.metrics import agreement
from ntkif.study.experiments.subsets import SUBSET_METHODS, case_subsets, subset_scores
from ntkif.study.experiments.trained_networks import Case, draw, record_case

DATA = load("mini-mnist-sample")
CASE = Case("small", width=6, rate=0.1, batch_size=8, epochs=5)
SIZE = {"n_train": 24, "n_test": 6, "folds": 4, "pool": 7}


def test_subsets_are_scored_by_ranks_and_in_size():
    x, y, *test = draw(CASE, DATA, 24, 6, 1, pool=7)
    run = record_case(CASE, x, y, 1, folds=4)
    found = {row["method"]: row for row in case_subsets(CASE, DATA, 1, shares=[0.25], subsets=7, **SIZE)}
    assert set(found) == set(SUBSET_METHODS)
    generator = torch.Generator().manual_seed(1)
    sets = [torch.randperm(24, generator=generator)[:6] for _ in range(7)]
    truth = run.without(sets, *test)
    first = run.first_order(*test)
    summed = torch.stack([first[:, rows].sum(1) for rows in sets], 1)
    ranks = [agreement(a, b)["spearman"] for a, b in zip(summed, truth, strict=True)]
    assert found[SUBSET_METHODS[1]]["lds"] == pytest.approx(sum(ranks) / 6, rel=1e-9)
    group = agreement(run.group(sets, *test), truth)
    assert found[SUBSET_METHODS[3]]["relative_error"] == pytest.approx(group["relative_error"], rel=1e-9)


def test_the_table_has_a_row_for_each_case_seed_and_method():
    fields = {"name": "small", "width": 4, "batch_size": 12, "epochs": 2}
    table = subset_scores(DATA, cases=[fields], seeds=[0, 1], shares=[0.5], subsets=3, **SIZE)
    assert table["seed"].value_counts().to_dict() == {0: 4, 1: 4} and set(table["case"]) == {"small"}
