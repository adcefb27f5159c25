"""The table of what was tried, from the same numbers found another way."""

import pytest
import torch

from ntkif.data import load
from ntkif.metrics import agreement
from ntkif.study.experiments.trained_networks import Case, draw, record_case
from ntkif.study.experiments.tries import case_tries, through_training_tries

DATA = load("mini-mnist-sample")
CASE = Case("small", width=6, rate=0.1, batch_size=8, epochs=5)
SIZE = {"n_train": 24, "n_test": 6, "removals": 8, "retrained": 3, "folds": 4, "pool": 7}


def test_what_was_tried_is_another_estimate_of_the_same_removals():
    x, y, *test = draw(CASE, DATA, 24, 6, 1, pool=7)
    run = record_case(CASE, x, y, 1, folds=4)
    found = {row["tried"]: row for row in case_tries(CASE, DATA, 1, **SIZE)}
    rows = torch.randperm(24, generator=torch.Generator().manual_seed(1))[:8].tolist()
    truth = run.without(rows, *test)
    assert found["as it is"]["relative_error"] == pytest.approx(
        agreement(run.influence_by(run.forces(), *test)[:, rows], truth)["relative_error"], rel=1e-9
    )
    all_folds = record_case(CASE, *draw(CASE, DATA, 24, 6, 1, pool=7)[:2], 1, folds=24)
    assert found["as many folds as points"]["relative_error"] == pytest.approx(
        agreement(all_folds.influence_by(all_folds.forces(), *test)[:, rows], truth)["relative_error"], rel=1e-9
    )
    through = run.influence(*test, retrain=3, trust=True)[:, rows]
    assert found["3 points retrained"]["slope"] == pytest.approx(agreement(through, truth)["slope"], rel=1e-9)
    assert len({round(row["relative_error"], 9) for row in found.values()}) >= 8


def test_the_table_has_a_row_for_each_case_seed_and_method():
    fields = {"name": "small", "width": 4, "batch_size": 12, "epochs": 2}
    table = through_training_tries(DATA, cases=[fields], seeds=[0, 1], **SIZE)
    assert table["seed"].value_counts().nunique() == 1 and set(table["case"]) == {"small"}
