from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import pearsonr

from ntkif import ntk, ridge_fit
from ntkif.data import load
from ntkif.networks.descent import train
from ntkif.networks.two_layer import random_network
from ntkif.retraining import runs
from ntkif.retraining.protocol import Protocol, retrain
from ntkif.retraining.runs import keep_run
from ntkif.retraining.selection import chosen_points
from ntkif.study import paper
from ntkif.study.experiments import retraining as finite_width
from ntkif.study.experiments.retraining import influence_pairs, influence_scores, live_protocol, theorem_2_errors
from ntkif.study.experiments.width import fitted_rates, network_errors, start_name, width_exponents
from ntkif.study.records import tables as records

DATA = load("mnist-sample").head(40, 30)
POINTS = chosen_points(DATA, 1.0, 5)
PROTOCOL = Protocol(
    ridge=1.0, width=256, init_scale=1.0, symmetric=True, learning_rate=0.04, epochs=400, precision="float64"
)


@pytest.fixture(scope="module")
def trained():
    protocols = [PROTOCOL, replace(PROTOCOL, seed=1), replace(PROTOCOL, init_scale=0.01, symmetric=False)]
    return [retrain(DATA, protocol, POINTS, progress=False) for protocol in protocols]


def jacobian(network, x):
    def outputs(weights):
        return (torch.relu(x @ weights.T) @ network.signs)[:, 0] / len(weights) ** 0.5

    return torch.autograd.functional.jacobian(outputs, network.weights).flatten(1)


@pytest.mark.parametrize("start", [(0.01, False), (1.0, True)])
def test_what_the_lemmas_bound_by_plain_jacobians(start):
    """Every column of `network_errors` from its definition, with the network's own Jacobian."""
    small = load("mnist-sample").head(12, 7)
    x, y, x_test = small.x_train, small.y_train, small.x_test
    settings = {"learning_rate": 0.05, "epochs": 300}
    row = network_errors(small, 0.5, [64], [start], [2], **settings).iloc[0]
    begin = random_network(784, width=64, init_scale=start[0], symmetric=start[1], seed=2 * 1_000_003 + 64)
    end = train(begin, x, y, 0.5, **settings).network
    j, j_test = ([jacobian(net, points) for net in (begin, end)] for points in (x, x_test))
    moved = (end.weights - begin.weights).flatten()
    k_begin, k_end = (a @ a.T for a in j)
    gain = j_test[0] @ j[0].T @ torch.linalg.inv(k_begin + 0.5 * torch.eye(12))
    linear = begin.predict(x_test) + gain @ (y - begin.predict(x))
    gain_train = k_begin @ torch.linalg.inv(k_begin + 0.5 * torch.eye(12))
    linear_train = begin.predict(x) + gain_train @ (y - begin.predict(x))
    truth = ridge_fit(ntk(x), y, 0.5).predict(ntk(x_test, x))
    rms = lambda values: float(values.square().mean().sqrt())  # noqa: E731
    expected = {
        "error": rms(end.predict(x_test) - truth),
        "network_linear": rms(end.predict(x_test) - linear),
        "linear_kernel": rms(linear - truth),
        "start": rms(begin.predict(x_test)),
        "train_linear": float((end.predict(x) - linear_train).norm()),
        "movement": float(moved.reshape(64, -1).norm(dim=1).max()),
        "kernel_change": float(torch.linalg.matrix_norm(k_end - k_begin, 2)),
        "test_kernel_change": rms((j_test[1] @ j[1].T - j_test[0] @ j[0].T).norm(dim=1)),
        "jacobian_change": float(((j[1] - j[0]) @ begin.weights.flatten()).norm()),
        "kernel_noise": float(torch.linalg.matrix_norm(k_begin - ntk(x), 2)),
        "flips": float((end.gates(x) != begin.gates(x)).double().mean()),
    }
    for name, value in expected.items():
        tolerance = 0.2 if name == "movement" else 1e-9  # the largest on the way, not at the end
        assert row[name] == pytest.approx(value, rel=tolerance, abs=1e-12), name
    assert row["movement"] >= expected["movement"] * (1 - 1e-9)


def test_the_linearisation_is_where_a_linear_model_ends():
    """Gradient descent on the first-order expansion itself tends to the closed form of Eq. 46."""
    small = load("mnist-sample").head(12, 7)
    x, y = small.x_train, small.y_train
    begin = random_network(784, width=64, init_scale=0.3, seed=64)
    j, j_test, move = jacobian(begin, x), jacobian(begin, small.x_test), torch.zeros(64 * 784, dtype=torch.float64)
    for _ in range(3000):
        residual = begin.predict(x)[:, 0] + j @ move - y[:, 0]
        move -= 0.1 * (j.T @ residual + 0.5 * move)
    settings = {"learning_rate": 0.05, "epochs": 5}
    row = network_errors(small, 0.5, [64], [(0.3, False)], [0], **settings).iloc[0]
    trained = train(begin, x, y, 0.5, **settings).network.predict(small.x_test)[:, 0]
    linear = begin.predict(small.x_test)[:, 0] + j_test @ move
    assert row["network_linear"] == pytest.approx(float((trained - linear).square().mean().sqrt()), rel=1e-9)


def test_networks_of_one_seed_and_two_widths_share_no_neurons():
    table = network_errors(DATA, 1.0, [8, 16], [(1.0, False)], [0, 1], learning_rate=0.04, epochs=5)
    assert list(table["width"]) == [8, 8, 16, 16] and list(table["seed"]) == [0, 1, 0, 1]
    seeds = [1_000_003 * seed + width for seed in (0, 1) for width in (8, 16)]
    starts = [random_network(784, width=8, init_scale=1.0, seed=seed).weights for seed in seeds]
    assert all(not torch.equal(a, b) for i, a in enumerate(starts) for b in starts[:i])


def test_fitted_rates():
    widths = [10, 20, 40, 80]
    table = pd.DataFrame({"width": widths * 2, "init_scale": [1.0] * 8, "symmetric": [True] * 4 + [False] * 4})
    table["falls"] = table["width"] ** -0.5 * np.where(table["symmetric"], 1, 3)
    table["zero"] = np.where(table["symmetric"], 1e-17, table["width"])  # as a symmetric start is, to rounding
    rates = fitted_rates(table, ["falls", "zero"])
    assert list(rates.index) == ["κ = 1", "κ = 1, symmetric"]
    assert list(rates["falls"]) == ["-0.50 ± 0.00"] * 2
    assert rates["zero"].isna().tolist() == [False, True] and rates["zero"].iloc[0] == "1.00 ± 0.00"


def test_width_exponents_of_chosen_starts():
    table = pd.DataFrame(
        {"width": [10, 20, 40] * 2, "init_scale": [1.0] * 3 + [0.1] * 3, "symmetric": [True] * 3 + [False] * 3}
    )
    table["error"] = 3 * table["width"] ** np.where(table["symmetric"], -0.5, 0.25)
    both = [(0.1, False), (1.0, True)]
    assert width_exponents(table, "error", both) == pytest.approx({"κ = 0.1": 0.25, "κ = 1, symmetric": -0.5})
    assert list(width_exponents(table, "error", both[1:])) == ["κ = 1, symmetric"]
    with pytest.raises(KeyError):
        width_exponents(table, "error", [(1.0, False)])


def test_the_protocol_of_the_pages():
    usual = {"epochs": 3000, "precision": "float64"}
    assert live_protocol(2.0, 512) == Protocol(2.0, 512, learning_rate=0.008, tolerance=0.01, **usual)
    lazy = Protocol(2.0, 512, 1.0, True, 3, learning_rate=0.02, tolerance=0.003, **usual)
    assert live_protocol(2.0, 512, 1.0, True, 3) == lazy
    changed = {"learning_rate": 0.1, "tolerance": 0.2, "epochs": 4}
    assert live_protocol(2.0, 512, 1.0, True, 3, **changed) == replace(lazy, **changed)


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
        actual = torch.stack([loss(p[:, 0]) - loss(run.predictions[0][:, 0]) for p in run.predictions[1:]], 1)
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
    assert table.loc[1.0, "pooled_relative_error"].max() < 0.5 * table.loc[0.01, "pooled_relative_error"]


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
    off = (run.predictions[0] - fit.predict(k_test_train)).square().mean().sqrt()
    assert truth["prediction_error"].iloc[0] == pytest.approx(float(off))


def test_recorded_tables_name_the_runs_they_come_from(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "FOLDER", tmp_path)
    monkeypatch.setattr(finite_width.kept_runs, "FOLDER", tmp_path)
    whole = load("mnist-sample")
    with pytest.raises(FileNotFoundError, match=r"no run of mnist-sample in .* `python -m ntkif retrain"):
        finite_width.recorded_scores(whole)
    short = replace(PROTOCOL, epochs=20, width=32)
    kept = [keep_run(DATA, replace(short, seed=seed), POINTS, tmp_path, progress=False) for seed in (0, 1)]
    scores, pairs = finite_width.recorded_scores(whole), finite_width.recorded_pairs(whole)
    digests = [run.provenance["table"][:12] for run in kept]
    assert scores.groupby("seed")["run"].first().tolist() == digests and list(scores["run"].unique()) == digests
    assert pairs.groupby("seed")["run"].first().tolist() == digests
    pd.testing.assert_frame_equal(scores.drop(columns="run"), influence_scores(DATA, kept))


@pytest.mark.parametrize("experiment", ["table-1", "figure-1"])
@pytest.mark.parametrize("dataset", ["mnist", "cifar", "mini-mnist", "mini-cifar"])
def test_recorded_tables_are_of_all_committed_runs(experiment, dataset):
    files = [path for path in runs.FOLDER.glob("*/*.npz") if path.parent.name.rsplit("-", 1)[0] == dataset]
    digests = {runs.load_run(file).provenance["table"][:12] for file in files}
    again = f"run `python -m ntkif record {experiment} {dataset}` again"
    assert set(records.load_record(experiment, dataset).table["run"]) == digests, again


def test_table_1_of_the_paper():
    table = pd.DataFrame(paper.TABLE_1)
    assert len(table) == 8 and list(table["width"].unique()) == [10000, 20000, 40000, 80000]
    best = table[table["width"] == 80000].set_index("dataset")
    assert best.loc["mnist"].tolist()[1:] == [0.9955, 0.9728] and best.loc["cifar"].tolist()[1:] == [0.996, 0.9606]
    for _, rows in table.groupby("dataset"):
        assert rows["pearson"].is_monotonic_increasing and rows["spearman"].is_monotonic_increasing


def test_start_names():
    assert start_name(0.01, False) == "κ = 0.01" and start_name(1.0, True) == "κ = 1, symmetric"
