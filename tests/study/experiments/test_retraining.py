"""Scores of retrained networks: each from its definition, at small size."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import pearsonr

from ntkif import ntk, ridge_fit
from ntkif.data import load
from ntkif.retraining import runs
from ntkif.retraining.protocol import Protocol
from ntkif.retraining.retrain import retrain
from ntkif.retraining.runs import keep_run
from ntkif.retraining.selection import chosen_points
from ntkif.study.experiments import retraining
from ntkif.study.experiments.at_rest import READINGS
from ntkif.study.experiments.retraining import (
    at_paper_size,
    influence_pairs,
    influence_scores,
    live_protocol,
    read_once,
    theorem_2_errors,
)

DATA = load("mnist-sample").head(40, 30)
POINTS = chosen_points(DATA, 1.0, 5)
PROTOCOL = Protocol(
    ridge=1.0, width=256, init_scale=1.0, symmetric=True, learning_rate=0.04, epochs=400, precision="float64"
)


@pytest.fixture(scope="module")
def trained():
    protocols = [PROTOCOL, replace(PROTOCOL, seed=1), replace(PROTOCOL, init_scale=0.01, symmetric=False)]
    return [retrain(DATA, protocol, POINTS, progress=False) for protocol in protocols]


def test_a_network_s_own_kernel_is_scored_where_the_run_kept_what_it_predicts(trained):
    known = replace(trained[2], own_kernel=trained[2].influence(DATA.y_test))
    table = influence_scores(DATA, [known])
    assert list(table["predictor"]) == ["closed form", "own kernel"]
    assert table.loc[1, "relative_error"] == 0 < table.loc[0, "relative_error"]


def test_scores_by_hand(trained):
    table = influence_scores(DATA, trained)
    assert list(table["predictor"]) == ["closed form", "another start", "closed form", "another start", "closed form"]
    fit, k_test_train = ridge_fit(ntk(DATA.x_train), DATA.y_train, 1.0), ntk(DATA.x_test, DATA.x_train)
    loss = lambda prediction: (prediction - DATA.y_test[:, 0]) ** 2 / 2  # noqa: E731
    for at, run in zip((0, 2, 4), trained, strict=True):
        predicted = torch.stack(
            [
                loss(fit.loo_predict(k_test_train)[:, row, 0]) - loss(fit.predict(k_test_train)[:, 0])
                for row in POINTS[1]
            ],
            1,
        )
        actual = torch.stack([loss(p[:, 0]) - loss(run.at_rest[0][:, 0]) for p in run.at_rest[1:]], 1)
        row, point = table.iloc[at], POINTS[0]
        assert row["pearson"] == pytest.approx(pearsonr(predicted[point], actual[point]).statistic)
        assert row["pooled_pearson"] == pytest.approx(pearsonr(predicted.flatten(), actual.flatten()).statistic)
        each = [pearsonr(p, a).statistic for p, a in zip(predicted, actual, strict=True)]
        assert row["pearson_median"] == pytest.approx(float(torch.tensor(each).median()))
        assert row["pearson_low"] == pytest.approx(np.quantile(each, 0.05))
        assert row["slope"] == pytest.approx(float(predicted[point] @ actual[point] / actual[point].square().sum()))
        assert (row["n"], row["removals"], row["ridge"]) == (40, 5, 1.0)
    one, other = (run.influence(DATA.y_test) for run in trained[:2])
    assert table.iloc[1]["pooled_slope"] == pytest.approx(float((one * other).sum() / one.square().sum()))


def test_another_start_differs_in_the_seed_alone(trained):
    other = retrain(DATA, replace(PROTOCOL, seed=2, ridge=9.0), POINTS, progress=False)
    fewer = retrain(DATA, replace(PROTOCOL, seed=3), (POINTS[0], POINTS[1][:2]), progress=False)
    table = influence_scores(DATA, [trained[0], other, fewer])
    assert list(table["predictor"]) == ["closed form"] * 3


def test_the_symmetric_start_is_predicted_better(trained):
    table = influence_scores(DATA, trained).query("predictor == 'closed form'").set_index("init_scale")
    assert table.loc[1.0, "pooled_relative_error"].max() < 0.7 * table.loc[0.01, "pooled_relative_error"]


def test_pairs_are_those_of_the_scores(trained):
    pairs = influence_pairs(DATA, trained)
    assert len(pairs) == 15 and set(pairs["test_point"]) == {POINTS[0]}
    scores = influence_scores(DATA, trained).query("predictor == 'closed form'")
    for (_, group), pearson in zip(
        pairs.groupby(["symmetric", "seed"]), scores["pearson"].iloc[[2, 0, 1]], strict=True
    ):
        assert list(group["removed"]) == POINTS[1]
        assert pearsonr(group["predicted"], group["actual"]).statistic == pytest.approx(pearson)


def test_the_bound_of_theorem_2_holds_for_every_pair_and_could_fail(trained):
    table = theorem_2_errors(DATA, trained)
    assert (table["violations"] == 0).all() and (table["bound"] > 3 * table["error"]).all()
    run = trained[0]
    loud = replace(DATA, y_test=30 * DATA.y_test)  # the bound is for targets of size at most 1
    assert theorem_2_errors(loud, [run])["violations"].iloc[0] > 0
    network, truth = run.influence(DATA.y_test), theorem_2_errors(DATA, [run])
    assert truth["size"].iloc[0] == pytest.approx(float(network.square().mean().sqrt()))
    fit, k_test_train = ridge_fit(ntk(DATA.x_train), DATA.y_train, 1.0), ntk(DATA.x_test, DATA.x_train)
    off = (run.at_rest[0] - fit.predict(k_test_train)).square().mean().sqrt()
    assert truth["prediction_error"].iloc[0] == pytest.approx(float(off))


def test_recorded_tables_name_the_runs_they_come_from(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "FOLDER", tmp_path)
    monkeypatch.setattr(retraining.kept_runs, "FOLDER", tmp_path)
    whole = load("mnist-sample")
    with pytest.raises(FileNotFoundError, match=r"no run of mnist-sample in .* `python -m ntkif retrain"):
        retraining.recorded_scores(whole)
    short = replace(PROTOCOL, epochs=20, width=32)
    kept = [keep_run(DATA, replace(short, seed=seed), POINTS, tmp_path, progress=False) for seed in (0, 1)]
    scores, pairs = retraining.recorded_scores(whole), retraining.recorded_pairs(whole)
    digests = [run.provenance["table"][:12] for run in kept]
    assert scores.groupby("seed")["run"].first().tolist() == digests and list(scores["run"].unique()) == digests
    assert pairs.groupby("seed")["run"].first().tolist() == digests
    once = read_once(scores).drop(columns="run").reset_index(drop=True)
    pd.testing.assert_frame_equal(once, influence_scores(DATA, kept))


def test_the_protocol_of_the_pages():
    usual = {"epochs": 3000, "precision": "float64"}
    assert live_protocol(2.0, 512) == Protocol(2.0, 512, learning_rate=0.008, tolerance=0.01, **usual)
    lazy = Protocol(2.0, 512, 1.0, True, 3, learning_rate=0.02, tolerance=0.003, **usual)
    assert live_protocol(2.0, 512, 1.0, True, 3) == lazy
    changed = {"learning_rate": 0.1, "tolerance": 0.2, "epochs": 4}
    assert live_protocol(2.0, 512, 1.0, True, 3, **changed) == replace(lazy, **changed)


def test_of_the_runs_at_the_papers_size_the_shortest_is_taken():
    table = pd.DataFrame(
        {"n": [5000, 5000, 5000, 1000], "width": [8, 8, 9, 8], "epochs": [5000, 1200, 5000, 10], "removals": [40] * 4}
    ).assign(reading="last step")
    assert at_paper_size(table)["epochs"].tolist() == [1200, 5000]
    assert at_paper_size(table.assign(removals=[40, 8, 40, 40]))["epochs"].tolist() == [5000, 5000]
    twice = pd.concat([table.assign(removed=row) for row in (3, 7)], ignore_index=True)
    assert at_paper_size(twice)["removed"].tolist() == [3, 3, 7, 7]
    both = pd.concat([table, table.assign(reading="mean of two steps")], ignore_index=True)
    assert at_paper_size(both)["reading"].tolist() == ["last step"] * 2 + ["mean of two steps"] * 2


def test_of_two_readings_of_a_run_the_mean_is_taken():
    both = pd.DataFrame({"width": [8, 9, 9, 7], "reading": ["last step", *READINGS, "last step"], "value": range(4)})
    assert read_once(both)["value"].tolist() == [0, 2, 3]


def test_recorded_runs_are_read_both_ways_where_they_kept_two_steps(tmp_path, monkeypatch):
    monkeypatch.setattr(retraining.kept_runs, "FOLDER", tmp_path)
    whole, short = load("mnist-sample"), replace(PROTOCOL, epochs=20, width=32)
    kept = [
        keep_run(DATA, replace(short, seed=seed, last_step=seed == 1), POINTS, tmp_path, progress=False)
        for seed in (0, 1)
    ]
    scores = retraining.recorded_scores(whole).query("predictor == 'closed form'")
    assert scores[["seed", "reading"]].to_numpy().tolist() == [[0, READINGS[1]], [1, READINGS[0]], [0, READINGS[0]]]
    last = influence_scores(DATA, [replace(kept[0], protocol=replace(kept[0].protocol, last_step=True))])
    assert scores["pearson"].iloc[2] == last["pearson"].iloc[0] != scores["pearson"].iloc[0]
