"""The row of the networks that are too large, from the same numbers found another way."""

import pytest
import torch

from ntkif.data import load
from ntkif.influence.network import NetworkInfluence
from ntkif.metrics import agreement
from ntkif.study.experiments.practice import Setting, record_setting, setting_scores
from ntkif.study.experiments.practice_large import LARGE, PROJECTIONS, large_scores, methods_at_size
from ntkif.study.experiments.practice_methods import FIRST_ORDER, METHODS, balance
from ntkif.study.experiments.trained_networks import draw, small_network

DATA = load("mini-mnist-sample")
FIELDS = {"name": "small", "width": 3, "rate": 0.1, "batch_size": 8, "epochs": 4}
SIZE = {"n_train": 24, "n_test": 6, "removals": 6, "folds": 4, "pool": 7}
WHOLE = f"{METHODS[5]}, 200 projections"


def recorded(setting):
    x, y, *test = draw(setting, DATA, 24, 6, 1, pool=7)
    return record_setting(setting, x, y, 1, n_train=24, folds=4), test


@pytest.mark.parametrize("decay", [0.0, 0.2])
def test_with_a_column_for_each_parameter_it_is_the_own_kernel_itself_and_with_few_it_is_not(decay):
    setting = Setting(**FIELDS, decay=decay)
    run, test = recorded(setting)
    found = methods_at_size(run, test, setting.penalty(24), projections=[10, 200])
    penalty = setting.penalty(24) or balance(run)
    model = NetworkInfluence(run.module, run.tape.x, run.tape.y, penalty, start=None, loss="cross-entropy")
    whole = model.influence(*test, trust=True)
    assert torch.allclose(found[WHOLE][0], whole, rtol=1e-6, atol=1e-12)
    assert not torch.allclose(found[f"{METHODS[5]}, 10 projections"][0], whole, rtol=1e-2)
    assert {used for name, (_, used, _) in found.items() if name.startswith(METHODS[5])} == {penalty}


def test_the_recording_gives_two_of_the_answers_and_both_pay_for_it():
    setting = Setting(**FIELDS)
    run, test = recorded(setting)
    found = methods_at_size(run, test, 0.0, projections=[])
    assert torch.equal(found[FIRST_ORDER][0], run.first_order(*test))
    assert torch.equal(found[METHODS[6]][0], run.influence(*test, trust=True))
    assert not torch.allclose(found[FIRST_ORDER][0], found[METHODS[6]][0], rtol=1e-2)
    assert found[METHODS[6]][2] >= found[FIRST_ORDER][2]
    free = {FIRST_ORDER: (run.first_order(*test), 0.0, 0.0), "free": (run.first_order(*test), 0.0, 0.0)}
    costs = {row["method"]: row["cost"] for row in setting_scores(setting, DATA, 1, **SIZE, ask=lambda *_: free)}
    assert costs[FIRST_ORDER] > 0 and costs["free"] == 0


def test_the_table_has_the_scores_of_the_same_removals():
    table = large_scores(DATA, cases=[FIELDS], seeds=[1], projections=[200], **SIZE).set_index("method")
    rows = {row["method"]: row for row in setting_scores(Setting(**FIELDS), DATA, 1, **SIZE)}
    assert set(table.index) == {*METHODS[:3], METHODS[6], FIRST_ORDER, WHOLE}
    for name, same in ((METHODS[0], METHODS[0]), (METHODS[1],) * 2, (WHOLE, METHODS[5]), (METHODS[6],) * 2):
        for score in agreement(torch.arange(3.0), torch.arange(3.0)):
            assert table.loc[name, score] == pytest.approx(rows[same][score], rel=1e-6)


def test_of_these_networks_no_kernel_fits_where_the_columns_for_all_parameters_do():
    for setting in LARGE:
        count = sum(each.numel() for each in small_network(setting, torch.Size((1, 14, 14)), 10, 0).parameters())
        assert PROJECTIONS[1] < count < PROJECTIONS[2] < 5000 * 10
