"""The trained network's own kernel against the infinite one, at a size that can be trained here."""

import pandas as pd
import pytest

from ntkif.data import load
from ntkif.influence.network import network_influence
from ntkif.metrics import agreement
from ntkif.networks.descent import train
from ntkif.networks.two_layer import random_network
from ntkif.retraining import runs
from ntkif.retraining.protocol import Protocol
from ntkif.retraining.retrain import retrain
from ntkif.retraining.selection import chosen_points
from ntkif.study.experiments import own_kernel_at_size
from ntkif.study.experiments.own_kernel_at_size import own_kernel_scores

DATA = load("mnist-sample").head(40, 30)
FIELDS = {"ridge": 1.0, "width": 128, "init_scale": 1.0, "symmetric": True, "learning_rate": 0.02, "epochs": 300}
LAZY = Protocol(**FIELDS, precision="float64")


def scores(**changed):
    protocol = FIELDS | {"precision": "float64"} | changed
    return own_kernel_scores(DATA, 40, 30, 4, "float64", [protocol])


def test_the_own_kernel_is_that_of_the_network_and_nearer_than_the_infinite_one():
    table = scores().set_index("method")
    start = random_network(784, width=128, init_scale=1.0, seed=0, symmetric=True)
    network = train(start, DATA.x_train, DATA.y_train, 1.0, learning_rate=0.02, epochs=300).network
    points = chosen_points(DATA, 1.0, 4)
    arrays = DATA.x_train, DATA.y_train, DATA.x_test, DATA.y_test
    own = network_influence(network, *arrays, 1.0, start=None)[:, points[1]]
    truth = retrain(DATA, LAZY, points, progress=False).influence(DATA.y_test)
    for name, value in agreement(own, truth).items():
        assert table.loc["own kernel, leave-one-out", f"pooled_{name}"] == pytest.approx(value, rel=1e-6)
    for name, value in agreement(own[points[0]], truth[points[0]]).items():
        assert table.loc["own kernel, leave-one-out", name] == pytest.approx(value, rel=1e-6)
    error = table["pooled_relative_error"]
    assert error["own kernel, leave-one-out"] < 0.6 * error["analytic kernel"]
    assert (table["away"] < 1e-10).all() and (table["hop"] > 0).all() and (table["gradient"] < 0.1).all()


def test_a_recorded_run_is_the_truth(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "FOLDER", tmp_path)
    points = chosen_points(DATA, 1.0, 4)
    runs.keep_run(DATA, LAZY, points, tmp_path, progress=False)
    monkeypatch.setattr(own_kernel_at_size, "retrain", None)
    told = scores()
    monkeypatch.undo()
    pd.testing.assert_frame_equal(told.drop(columns="train_seconds"), scores().drop(columns="train_seconds"))
