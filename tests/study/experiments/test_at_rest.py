"""Where descent ends, by step size."""

import pytest
import torch

from ntkif.data import load
from ntkif.kernels.tangent import tangent_kernel
from ntkif.metrics import agreement
from ntkif.networks.descent import train
from ntkif.networks.two_layer import TwoLayer, random_network
from ntkif.retraining.protocol import Protocol
from ntkif.retraining.retrain import retrain
from ntkif.retraining.selection import chosen_points
from ntkif.study.experiments.at_rest import READINGS, hop_of, step_sizes

DATA = load("mnist-sample").head(40, 30)
CASE = {"n_train": 40, "n_test": 30, "width": 128, "removals": 3, "steps": [[0.02, 300], [0.01, 600]]}


def test_a_hop_along_the_leading_eigenvector_is_known_as_such():
    network = random_network(784, width=64, init_scale=1.0, seed=0)
    kernel = tangent_kernel(network, DATA.x_train)
    values, vectors = torch.linalg.eigh(kernel)
    # The smallest weights that move the predictions along the eigenvector: J (J^T J)^-1 v.
    pull = network.signs * network.gates(DATA.x_train) @ (vectors[:, -1:] / values[-1] * DATA.x_train) / 64**0.5
    moved = TwoLayer(network.weights + 1e-6 * pull, network.signs)
    told = hop_of(network, moved, DATA.x_train, 1.0, 0.01)
    assert told["along"] == pytest.approx(1, abs=1e-6)
    assert told["hop"] == pytest.approx(1e-6 / 40**0.5, rel=1e-5)
    assert told["share"] == pytest.approx(0.01 * (float(values[-1]) + 1) / 2)


def test_the_influences_are_those_of_retraining_in_both_readings():
    table = step_sizes(DATA, 1.0, 0.01, "float64", [CASE]).set_index(["learning_rate", "reading"])
    points = chosen_points(DATA, 1.0, 3)
    how = {"width": 128, "init_scale": 0.01, "precision": "float64"}
    truth = {}
    for rate, epochs in CASE["steps"]:
        run = retrain(DATA, Protocol(1.0, **how, learning_rate=rate, epochs=epochs), points, progress=False)
        truth[rate] = run.influence(DATA.y_test)
        network = random_network(784, width=128, init_scale=0.01, seed=0)
        trained = train(network, DATA.x_train, DATA.y_train, 1.0, learning_rate=rate, epochs=epochs)
        told = hop_of(trained.network, trained.following, DATA.x_train, 1.0, rate)
        for name, value in told.items():
            assert table.loc[(rate, READINGS[0]), name] == pytest.approx(value, rel=1e-6)
        assert table.loc[(rate, READINGS[0]), "unsettled"] == pytest.approx(trained.unsettled, rel=1e-6)
    expected = agreement(truth[0.02], truth[0.01])["relative_error"]
    assert table.loc[(0.02, READINGS[1]), "from_smallest"] == pytest.approx(expected, rel=1e-6)
    assert table.loc[(0.01, READINGS[1]), "from_smallest"] == pytest.approx(0, abs=1e-9)
    assert table.loc[(0.02, READINGS[0]), "from_smallest"] > expected


def test_without_removals_there_is_the_whole_network_alone():
    table = step_sizes(DATA, 1.0, 0.01, "float64", [CASE | {"removals": 0, "steps": [[0.02, 20]], "directions": 30}])
    assert len(table) == 2 and table["hop"].notna().all() and table["removal"].isna().all()
