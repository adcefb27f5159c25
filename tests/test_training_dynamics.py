"""Experiments along training, with and without flipped labels: each column from its definition, at small size."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, precision_recall_curve

from ntkif import ntk
from ntkif.data import load
from ntkif.data.label_noise import flip_labels
from ntkif.regression.flow import flow_without
from ntkif.study.experiments.dynamics import images_along, turnover
from ntkif.study.experiments.label_noise import detection_curves, detection_scores, noise_along

DATA = load("mnist-sample").head(50, 12)
TEN = load("mini-mnist-sample").head(50, 12)
BOTH = pytest.mark.parametrize("data", [DATA, TEN], ids=["binary", "ten-class"])


def predictions(data, time, at=None, ridge=0.0):
    """(k, c) with all points, (n, k, c) without each, by eigendecompositions."""
    kernel, test = ntk(data.x_train), ntk(data.x_test if at is None else at, data.x_train)
    groups = [[], *([i] for i in range(len(kernel)))]
    every = torch.stack([flow_without(kernel, test, data.y_train, ridge, time, group) for group in groups])
    return every[0], every[1:]


def influence(data, time, ridge=0.0):
    full, without = predictions(data, time, ridge=ridge)
    loss = [(values - data.y_test).square().sum(-1) / 2 for values in (full, without)]
    return (loss[1] - loss[0]).T


def named_right(prediction, y):
    return (prediction * y > 0)[:, 0] if y.shape[1] == 1 else prediction.argmax(1) == y.argmax(1)


@BOTH
def test_images_by_hand(data):
    table = images_along(data, 0.3, [0.1, 5.0], [4, 7, 0], ["influential", "harmful"])
    assert len(table) == 12 and table["test_row"].tolist() == [4, 7, 0] * 4
    assert list(table) == ["test_row", "time", "kind", "row", "label", "influence"]
    for time, rows in table.groupby("time"):
        exact = influence(data, time, ridge=0.3)[[4, 7, 0]]
        chosen = {"influential": exact.abs().argmax(1), "harmful": exact.argmin(1)}
        for kind, of_kind in rows.groupby("kind"):
            assert of_kind["row"].tolist() == chosen[kind].tolist()
            assert np.allclose(of_kind["influence"], exact[range(3), chosen[kind]])
            assert of_kind["label"].tolist() == [data.classes[data.labels_train[row]] for row in of_kind["row"]]


@BOTH
def test_turnover_by_hand(data):
    times, top = [1e-3, 1.0, 50.0], 5
    table = turnover(data, 0.0, times, top)
    exact = [influence(data, time) for time in times]
    for kind, sign in (("influential", None), ("helpful", 1), ("harmful", -1)):
        order = [(values.abs() if sign is None else sign * values).argsort(dim=1, descending=True) for values in exact]
        best = [values[:, :top].tolist() for values in order]
        rows = table[table["kind"] == kind].reset_index(drop=True)
        assert rows["time"].tolist() == times
        steady = np.mean([len({now[test][0] for now in best}) == 1 for test in range(12)])
        assert np.allclose(rows["steady"], steady)
        for place in range(3):
            wrong = ~named_right(predictions(data, times[place])[0], data.y_test)
            assert rows["test_error"][place] == pytest.approx(float(wrong.double().mean()))
            for name, other in (("before", place - 1), ("end", 2)):
                if other < 0:
                    assert math.isnan(rows["same_before"][0]) and math.isnan(rows["overlap_before"][0])
                    continue
                pairs = list(zip(best[place], best[other], strict=True))
                same = np.mean([a[0] == b[0] for a, b in pairs])
                overlap = np.mean([len(set(a) & set(b)) / top for a, b in pairs])
                assert rows[f"same_{name}"][place] == pytest.approx(same)
                assert rows[f"overlap_{name}"][place] == pytest.approx(overlap)


@BOTH
def test_flipped_labels_are_wrong_and_the_others_right(data):
    noisy = flip_labels(data, 0.4, seed=3)
    changed = noisy.dataset.labels_train != data.labels_train
    assert changed.sum() == 20 and torch.equal(torch.from_numpy(changed), noisy.flipped)
    for one in range(50):
        like = int(np.flatnonzero(data.labels_train == noisy.dataset.labels_train[one])[0])
        assert torch.equal(noisy.dataset.y_train[one], data.y_train[like])
    assert noisy.dataset.y_test is data.y_test and noisy.dataset.x_train is data.x_train
    assert torch.equal(flip_labels(data, 0.4, seed=3).flipped, noisy.flipped)
    assert not torch.equal(flip_labels(data, 0.4, seed=4).flipped, noisy.flipped)
    assert not flip_labels(data, 0.0, seed=3).flipped.any()


def test_every_other_class_is_drawn():
    data = load("mini-mnist-sample")
    noisy = flip_labels(data, 1.0, seed=0)
    steps = (noisy.dataset.labels_train - data.labels_train) % 10
    assert np.bincount(steps, minlength=10)[0] == 0 and np.bincount(steps)[1:].min() > 80


@pytest.mark.parametrize("share", [-0.1, 1.5, math.nan])
def test_a_share_is_a_share(share):
    with pytest.raises(ValueError, match="share: expected a number between 0 and 1"):
        flip_labels(DATA, share, 0)


@BOTH
def test_noise_by_hand(data):
    noisy = flip_labels(data, 0.4, seed=1)
    given, flipped = noisy.dataset, noisy.flipped
    table = noise_along(data, 0.4, 1, 0.2, [0.05, 2.0], tops=[1, 6])
    every = torch.arange(50)
    for row in table.to_dict("records"):
        exact, (test, _) = influence(given, row["time"], 0.2), predictions(given, row["time"], ridge=0.2)
        train, without = predictions(given, row["time"], at=given.x_train, ridge=0.2)
        loo = without[every, every]
        surprise = (loo - given.y_train).norm(dim=1)
        loss, loo_loss = ((values - given.y_train).square().sum(1) / 2 for values in (train, loo))
        expected = {
            "accuracy": named_right(test, data.y_test).double().mean(),
            "loo_accuracy": named_right(loo, given.y_train).double().mean(),
            "learnt": named_right(train, given.y_train)[flipped].double().mean(),
            "clean_residual": surprise[~flipped].mean(),
            "flipped_residual": surprise[flipped].mean(),
            "ap_loss": average_precision_score(flipped, loss),
            "ap_loo": average_precision_score(flipped, loo_loss),
            "ap_self": average_precision_score(flipped, loo_loss - loss),
            "ap_mean": average_precision_score(flipped, -exact.mean(0)),
        }
        for top in (1, 6):
            for kind, values in (("influential", exact.abs()), ("helpful", exact), ("harmful", -exact)):
                first = values.argsort(dim=1, descending=True)[:, :top]
                expected[f"{kind}_{top}"] = flipped[first].double().mean()
        assert set(expected) | {"time"} == set(row)
        for name, value in expected.items():
            assert row[name] == pytest.approx(float(value), abs=1e-9), name


def test_at_the_start_the_most_influential_is_the_nearest():
    """I = -t K(x, x_i) y_i y + O(t^2) in size: the share of flipped ones is that among nearest neighbours."""
    noisy = flip_labels(DATA, 0.4, seed=1)
    nearest = ntk(DATA.x_test, DATA.x_train).argmax(1)
    table = noise_along(DATA, 0.4, 1, 0.0, [1e-7], tops=[1])
    assert table["influential_1"][0] == pytest.approx(float(noisy.flipped[nearest].double().mean()))


def test_scores_are_losses():
    y, fitted, loo = torch.tensor([[1.0], [-1.0]]), torch.tensor([[0.5], [-1.0]]), torch.tensor([[0.0], [1.0]])
    scores = detection_scores(fitted, loo, y, torch.tensor([[1.0, -2.0], [3.0, 0.0]]))
    assert scores["loss"].tolist() == [0.125, 0] and scores["loo"].tolist() == [0.5, 2]
    assert scores["self"].tolist() == [0.375, 2] and scores["mean"].tolist() == [-2, 1]


def test_precision_at_a_recall_is_that_of_scikit_learn():
    random = np.random.default_rng(0)
    flipped = torch.from_numpy(random.random(200) < 0.3)
    score = torch.from_numpy(random.random(200)) + 0.3 * flipped
    recalls = np.array([0.1, 0.5, 1.0])
    table = detection_curves(flipped, {"one": score}, recalls)
    precision, recall, _ = precision_recall_curve(flipped, score)  # recall falls
    wanted = np.round(recalls * int(flipped.sum())) / int(flipped.sum())
    truth = [precision[np.flatnonzero(recall >= least - 1e-12).max()] for least in wanted]
    assert np.allclose(table["precision"], truth) and table["recall"].tolist() == recalls.tolist()
