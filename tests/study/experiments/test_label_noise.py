"""Training with flipped labels: each column from its definition, at small size."""

import numpy as np
import pandas as pd
import pytest
import torch
from by_flow import BOTH, DATA, influence, named_right, predictions
from sklearn.metrics import average_precision_score, precision_recall_curve

from ntkif import ntk
from ntkif.data.label_noise import flip_labels
from ntkif.study.experiments.label_noise import detection_curves, detection_scores, noise_along, stopping


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


def test_when_to_stop_by_three_columns():
    table = pd.DataFrame({"time": [1.0, 2.0, 3.0, 4.0], "accuracy": [0.5, 0.9, 0.8, 0.6]})
    table = table.assign(loo_accuracy=[0.1, 0.2, 0.3, 0.2], influential_1=[0.7, 0.2, 0.1, 0.0])
    found = stopping(table)
    assert found == {
        "best time": 2.0,
        "accuracy": 0.9,
        "time by leaving out": 3.0,
        "accuracy then": 0.8,
        "at the end": 0.6,
        "peak of flipped": 1.0,
    }
