"""Scores of the field, by hand at small size: what is retrained, what is ranked, what is flipped."""

import pytest
import torch
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from ntkif import group_influence, loo_influence, ntk, ridge_fit
from ntkif.data import load
from ntkif.data.label_noise import flip_labels
from ntkif.influence.network import NetworkInfluence
from ntkif.networks.descent import safe_learning_rate, train
from ntkif.networks.two_layer import random_network
from ntkif.study.experiments.comparison import METHODS
from ntkif.study.experiments.field_scores import SCORES, SETS, TRACIN, field_scores, interval

N, K, RIDGE, SEED = 24, 6, 0.5, 3
DATA = load("mnist-sample").head(N, K)
SETTINGS = {"n_train": N, "n_test": K, "ridge": RIDGE, "width": 32, "seeds": [SEED], "shares": [0.5], "subsets": 4}
SETTINGS |= {"flipped": 0.2, "counts": [2, 12], "draws": 30}


@pytest.fixture(scope="module")
def table():
    return field_scores(DATA, **SETTINGS).set_index(["score", "of", "method"])


def trained(kept, y=DATA.y_train):
    start = random_network(784, width=32, init_scale=1.0, symmetric=True, seed=SEED)
    rate = safe_learning_rate(start, DATA.x_train, RIDGE)
    x = DATA.x_train[kept]
    return train(start, x, y[kept], RIDGE, learning_rate=rate, epochs=10_000, tolerance=0.005).network


ALL = list(range(N))


def loss(network):
    return (network.predict(DATA.x_test) - DATA.y_test).square().sum(1) / 2


def of_own_kernel(network, y=DATA.y_train):
    return NetworkInfluence(network, DATA.x_train, y, RIDGE, start=None)


def gradients(network, x, y):
    rows = []
    for point, target in zip(x, y, strict=True):
        half = (network(point[None]) - target).square().sum() / 2
        rows.append(torch.autograd.grad(half, [*network.parameters()])[0].flatten())
    return torch.stack(rows)


def tracin(network, x_test, y_test, y=DATA.y_train):
    return gradients(network, x_test, y_test) @ gradients(network, DATA.x_train, y).T


def test_lds_is_the_mean_of_rank_correlations_with_networks_retrained_on_subsets(table):
    whole = trained(ALL)
    generator = torch.Generator().manual_seed(SEED)
    sets = [torch.randperm(N, generator=generator)[:12] for _ in range(4)]
    truth = torch.stack([loss(trained([i for i in ALL if i not in rows.tolist()])) - loss(whole) for rows in sets], 1)
    infinite = ridge_fit(ntk(DATA.x_train), DATA.y_train, RIDGE)
    k_test_train, own = ntk(DATA.x_test, DATA.x_train), of_own_kernel(whole)
    single = {
        METHODS[0]: loo_influence(infinite, k_test_train, DATA.y_test),
        METHODS[2]: own.influence(DATA.x_test, DATA.y_test, trust=True),
        TRACIN: tracin(whole, DATA.x_test, DATA.y_test),
    }
    predicted = {name: torch.stack([each[:, rows].sum(1) for rows in sets], 1) for name, each in single.items()}
    predicted[SETS[0]] = group_influence(infinite, k_test_train, DATA.y_test, sets)
    predicted[SETS[1]] = own.group_influence(sets, DATA.x_test, DATA.y_test)
    for name, estimate in predicted.items():
        row = table.loc[("LDS", 0.5, name)]
        assert row["value"] == pytest.approx(spearman(estimate, truth), abs=1e-6)
        assert row["slope"] == pytest.approx(float((estimate * truth).sum() / truth.square().sum()), rel=1e-6)
        assert row["low"] <= row["high"] and row["relative_error"] > 0


def spearman(estimate, truth):
    return sum(spearmanr(a, b).statistic for a, b in zip(estimate, truth, strict=True)) / K


def test_detection_ranks_self_influence_of_a_network_trained_on_flipped_labels(table):
    noisy = flip_labels(DATA, 0.2, SEED)
    y, network = noisy.dataset.y_train, trained(ALL, noisy.dataset.y_train)
    found = {
        METHODS[0]: loo_influence(ridge_fit(ntk(DATA.x_train), y, RIDGE), ntk(DATA.x_train), y).diagonal(),
        METHODS[2]: of_own_kernel(network, y).self_influence(),
        TRACIN: tracin(network, DATA.x_train, y, y).diagonal(),
    }
    for name, suspicion in found.items():
        area = roc_auc_score(noisy.flipped, suspicion.detach())
        assert table.loc[("detection AUC", 0.2, name)]["value"] == pytest.approx(area, abs=1e-9)


def test_brittleness_leaves_out_what_helps_most_and_trains_again(table):
    whole = trained(ALL)
    before = whole.predict(DATA.x_test)[:, 0] > 0
    influence = of_own_kernel(whole).influence(DATA.x_test, DATA.y_test, trust=True)
    for count in (2, 12):
        flips = 0
        for t in range(K):
            out = influence[t].topk(count).indices.tolist()
            after = trained([i for i in ALL if i not in out]).predict(DATA.x_test)[:, 0] > 0
            flips += bool(after[t] != before[t])
        assert table.loc[("brittleness", count, METHODS[2])]["value"] == flips / K


def test_every_method_has_every_score_it_can_have(table):
    scores = table.reset_index()
    assert set(scores["score"]) == set(SCORES)
    assert set(scores.query("score == 'LDS'")["method"]) == {*METHODS, TRACIN, *SETS}
    assert set(scores.query("score != 'LDS'")["method"]) == {*METHODS, TRACIN}
    assert scores.query("score != 'LDS'")["slope"].isna().all() and len(scores) == 6 + 4 + 8


def test_an_interval_is_of_percentiles_over_what_is_drawn():
    values = torch.tensor([0.0, 1.0, 1.0, 1.0])
    found = interval(lambda rows: float(values[rows].mean()), 4, 0, 500)
    assert found["value"] == 0.75 and found["low"] == 0.25 and found["high"] == 1
    within = interval(lambda rows: float(values[rows].mean()), 4, 0, 500, lambda rows: bool((values[rows] == 0).any()))
    assert within["high"] == 0.75
