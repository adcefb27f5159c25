"""Scores of wrong labels in a trained classifier, from the recorded training by hand."""

from dataclasses import replace

import pytest
import torch

from ntkif import NTKInfluenceClassifier
from ntkif.data import load
from ntkif.networks.modules import predict
from ntkif.study.experiments.practice import Setting, record_setting
from ntkif.study.experiments.practice_labels import LABEL_SCORES, label_scores, suspicions
from ntkif.study.experiments.trained_networks import draw

DATA = load("mini-mnist-sample")
FIELDS = {"name": "small", "width": 8, "rate": 0.1, "batch_size": 8, "epochs": 3, "noise": 0.2}
SETTING = Setting(**FIELDS)


def test_suspicions_are_those_of_the_training():
    x, y, *test = draw(SETTING, DATA, 24, 6, 1, pool=7)
    run = record_setting(SETTING, x, y, 1, n_train=24, folds=4)
    found = suspicions(run, *test, 0.0)
    assert tuple(found) == LABEL_SCORES
    loss = run.tape.loss.value
    assert torch.allclose(found[LABEL_SCORES[0]], loss(predict(run.module, x), y))
    mean = torch.zeros(24, dtype=torch.float64)
    for rows, out in zip(run.tape.batches, run.inside, strict=True):
        mean[rows] += loss(out, y[rows]) / 3
    assert torch.allclose(found[LABEL_SCORES[1]], mean)
    last = run.tape.batches[-1]
    assert torch.allclose(found[LABEL_SCORES[2]][last], loss(run.outside[-1], y[last]))
    harm = -run.influence(*test, trust=True).mean(0)
    assert torch.allclose(found[LABEL_SCORES[4]], harm)
    kernel = NTKInfluenceClassifier(ridge=1.0).fit(x.flatten(1), y.argmax(1))
    if len(set(y.argmax(1).tolist())) == 10:
        # The estimator has the same margin of one-hot targets.
        assert torch.allclose(found[LABEL_SCORES[5]], -torch.from_numpy(kernel.loo_margin()), atol=1e-8)


def test_precision_is_of_as_many_points_as_labels_are_wrong():
    table = label_scores(DATA, [FIELDS], [0, 1], n_train=24, n_test=6, folds=4, pool=7)
    assert len(table) == 2 * len(LABEL_SCORES) and table["share"].tolist() == pytest.approx([5 / 24] * len(table))
    x, y, *test = draw(SETTING, DATA, 24, 6, 0, pool=7)
    right = draw(replace(SETTING, noise=0.0), DATA, 24, 6, 0, pool=7)[1]
    run = record_setting(SETTING, x, y, 0, n_train=24, folds=4)
    top = suspicions(run, *test, 0.0)[LABEL_SCORES[1]].topk(5).indices
    wrong = (y != right).any(1)
    assert table.loc[1, "precision"] == float(wrong[top].double().mean()) and int(wrong.sum()) == 5
