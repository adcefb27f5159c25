"""The tables on influence through training, from the same numbers found another way."""

import pytest
import torch

from ntkif.data import load
from ntkif.metrics import agreement
from ntkif.study.experiments import asked
from ntkif.study.experiments.through_training import (
    METHODS,
    case_scores,
    through_training_scores,
)
from ntkif.study.experiments.trained_networks import Case, draw, kernel_influence, record_case

DATA = load("mini-mnist-sample")
CASE = Case("small", width=6, rate=0.1, batch_size=8, epochs=5)
SIZE = {"n_train": 24, "n_test": 6, "removals": 8, "retrained": 3, "folds": 4, "pool": 7}


@pytest.fixture(scope="module")
def recorded():
    x, y, *test = draw(CASE, DATA, 24, 6, 1, pool=7)
    return record_case(CASE, x, y, 1, folds=4), test


def test_scores_are_those_of_each_method_on_the_removals(recorded):
    run, test = recorded
    table = {row["method"]: row for row in case_scores(CASE, DATA, 1, **SIZE)}
    assert set(table) == set(METHODS)
    rows = torch.randperm(24, generator=torch.Generator().manual_seed(1))[:8].tolist()
    truth = run.without(rows, *test)
    ours = run.influence(*test, trust=True)
    expected = {
        METHODS[0]: run.first_order(*test)[:, rows],
        METHODS[2]: ours[:, rows],
        METHODS[4]: run.influence(*test, retrain=3, trust=True)[:, rows],
    }
    for method, estimate in expected.items():
        for name, value in agreement(estimate, truth).items():
            assert table[method][name] == pytest.approx(value, rel=1e-9)
    best = min(agreement(k[:, rows], truth)["relative_error"] for k in kernel_influence(run, *test).values())
    assert table[METHODS[1]]["relative_error"] == pytest.approx(best, rel=1e-9)
    assert table[METHODS[3]]["relative_error"] <= table[METHODS[0]]["relative_error"]
    assert table[METHODS[2]]["check"] == pytest.approx(run.check(*test)["relative_error"], rel=1e-9)


def test_a_network_too_sure_of_its_labels_has_no_kernel_estimate(monkeypatch):
    monkeypatch.setattr(asked, "kernel_influence", lambda *_: {})
    table = {row["method"]: row for row in case_scores(CASE, DATA, 1, **SIZE)}
    assert table[METHODS[1]]["slope"] != table[METHODS[1]]["slope"]


def test_the_table_has_a_row_for_each_case_seed_and_method():
    fields = {"name": "small", "width": 4, "batch_size": 12, "epochs": 2}
    table = through_training_scores(DATA, cases=[fields], seeds=[0, 1], **SIZE)
    assert table["seed"].value_counts().nunique() == 1 and set(table["case"]) == {"small"}
