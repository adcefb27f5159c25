"""The table of the practitioner's page, from the same numbers found another way."""

import math
from dataclasses import replace

import pytest
import torch

from ntkif.data import load
from ntkif.influence.network import NetworkInfluence
from ntkif.metrics import agreement
from ntkif.networks.modules import predict, trained_parameters
from ntkif.study.experiments.practice import Setting, practice_scores, record_setting, setting_scores
from ntkif.study.experiments.practice_methods import DAMPINGS, METHODS
from ntkif.study.experiments.trained_networks import draw

DATA = load("mini-mnist-sample")
FIELDS = {"name": "small", "width": 3, "rate": 0.1, "batch_size": 8, "epochs": 4}
SETTING = Setting(**FIELDS)
SIZE = {"n_train": 24, "n_test": 6, "removals": 6, "folds": 4, "pool": 7}


def recorded(setting, seed=1, **how):
    x, y, *test = draw(setting, DATA, 324, 6, seed, pool=7)
    return record_setting(setting, x, y, seed, n_train=24, **{"folds": 4} | how), test


def test_scores_are_those_of_each_method_on_removals_of_large_loss_and_by_chance():
    run, test = recorded(SETTING)
    table = {row["method"]: row for row in setting_scores(SETTING, DATA, 1, **SIZE)}
    loss = run.tape.loss.value(predict(run.module, run.tape.x), run.tape.y)
    order = loss.argsort(descending=True)
    others = order[3:][torch.randperm(21, generator=torch.Generator().manual_seed(1))[:3]]
    rows = [*order[:3].tolist(), *others.tolist()]
    truth = run.without(rows, *test)
    expected = {
        METHODS[6]: run.influence(*test, trust=True)[:, rows],
        METHODS[0]: truth.sign(),
        METHODS[1]: recorded(SETTING)[0].without(rows, *test),
        "own kernel, damping 0.1": NetworkInfluence(
            run.module, run.tape.x, run.tape.y, 0.0, damping=0.1, start=None, loss="cross-entropy"
        ).influence(*test, trust=True)[:, rows],
    }
    for method, estimate in expected.items():
        same = method != METHODS[1]  # the same seed again is the truth, another is not
        assert (table[method]["pearson"] == pytest.approx(agreement(estimate, truth)["pearson"], rel=1e-6)) == same
    best = min(table[f"own kernel, damping {damping:g}"]["relative_error"] for damping in DAMPINGS)
    assert table[METHODS[7]]["relative_error"] == best
    assert table[METHODS[0]]["slope"] < 1 and math.isnan(table[METHODS[5]]["gradient"])
    assert table[METHODS[5]]["cost"] > 0 and table[METHODS[5]]["parameters"] == 91


def test_a_weight_decay_is_n_times_as_large_a_ridge_and_needs_no_damping():
    settled = replace(SETTING, decay=0.2, epochs=60, settles=True, optimizer="sgd", rate=0.2)
    rows = list(setting_scores(settled, DATA, 1, **SIZE))
    assert settled.penalty(24) == pytest.approx(4.8)
    assert {row["penalty"] for row in rows if row["method"] == METHODS[5]} == {settled.penalty(24)}
    assert not any("damping" in row["method"] for row in rows)
    assert rows[0]["gradient"] < 0.05  # that of the ridge n w, so near a minimum
    assert replace(SETTING, ridge=3.0).penalty(24) == 3.0


def test_of_a_head_the_last_layer_alone_is_trained_on_layers_that_were_trained_before():
    head, whole = (recorded(replace(SETTING, head=head))[0] for head in (True, False))
    assert set(trained_parameters(head.module)) == {"3.weight", "3.bias"}
    plain = whole.tape.function.at(whole.tape.function.start)
    began = head.tape.function.at(head.tape.function.start)
    assert torch.equal(began[3].weight, plain[3].weight) and not torch.allclose(began[1].weight, plain[1].weight)


def test_a_row_for_each_setting_seed_and_method():
    fields = [FIELDS | {"name": "one"}, FIELDS | {"name": "two", "width": 5, "decay": 0.1}]
    table = practice_scores(DATA, cases=fields, seeds=[0, 1], **SIZE)
    assert not table.duplicated(["setting", "seed", "method"]).any()
    methods = table.groupby(["setting", "seed"])["method"].agg(set)
    assert all(set(METHODS[:7]) <= each for each in methods)
    assert all(METHODS[7] in methods[name, seed] for name, seed in methods.index if name == "one")
    assert not any(METHODS[7] in methods[name, seed] for name, seed in methods.index if name == "two")
