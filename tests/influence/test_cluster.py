"""Trained networks on worker processes: the numbers of one process."""

import subprocess
import sys
import warnings

import pytest
import torch
from newton_step import some
from problem import close
from torch import nn
from torch.nn.utils import parametrizations
from torch.utils.data import TensorDataset

from ntkif.influence.cluster import ask_on, network_fit_on, network_influence_on
from ntkif.influence.network import NetworkInfluence
from ntkif.influence.stationary import NotStationaryError
from ntkif.networks.modules import train_module

N, BLOCK = 23, 4  # six blocks, the last of them short
X, TEST = some(N, 6), some(7, 6, seed=1)
LABELS, TEST_LABELS = X[:, :3].argmax(1), TEST[:, :3].argmax(1)
ROWS = TensorDataset(X, LABELS)


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)).double().eval()


def numbers(labels):
    return nn.functional.one_hot(labels, 3).double()


#: Targets, the ridge, and whatever else is asked for.
CASES = {
    "half squares": (numbers, 2.0, {"start": None}),
    "another loss": (torch.Tensor.long, 2.0, {"start": None, "loss": "cross-entropy"}),
    "a mean": (torch.Tensor.long, 0.1, {"start": None, "loss": nn.CrossEntropyLoss(), "damping": 0.05}),
    "no curvature at some points": (lambda labels: 3 * numbers(labels), 2.0, {"start": None, "loss": "huber"}),
    "ridges of their own, and a balance": (
        numbers,
        {"*.bias": 0.5, "*": 3.0},
        {"start": network(1), "damping": "auto"},
    ),
    "nothing projected": (numbers, 2.0, {"start": None, "projections": 1000}),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.filterwarnings("ignore:projections:", "ignore:network. along")
def test_numbers_are_those_of_one_process(client, case):
    targets, ridge, how = CASES[case]
    how = {"projections": 40, "seed": 3} | how
    y, y_test = targets(LABELS), targets(TEST_LABELS)
    rows = TensorDataset(X, y)
    alone = NetworkInfluence(network(), X, y, ridge, **how)
    fit = network_fit_on(client, network(), rows, ridge, block_size=BLOCK, **how)
    assert close(fit.factor, alone.fit.factor) and fit.totals == pytest.approx(alone.totals, rel=1e-12)
    assert fit.freedom == pytest.approx(float(alone.freedom.sum()), rel=1e-10)
    found = network_influence_on(client, rows, fit, TEST, y_test, block_size=BLOCK)
    assert found.shape == (7, N) and close(found, alone.influence(TEST, y_test))
    for question in (lambda removals: removals.leverage, lambda removals: removals.loo_predict()):
        assert close(ask_on(client, rows, fit, question, block_size=BLOCK), question(alone))


def test_points_by_name_and_the_same_bits_in_any_order(client):
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(6, 3)

        def forward(self, x, scale):
            return {"logits": torch.tanh(self.head(x)) * scale[:, None]}

    class Rows:
        def __len__(self):
            return N

        def __getitem__(self, block):
            return {"x": X[block], "scale": X[block, 0]}, LABELS[block]

    torch.manual_seed(0)
    module, how = Named().double().eval(), {"start": None, "projections": 100, "loss": "cross-entropy"}
    fits = [network_fit_on(client, module, Rows(), 1.0, block_size=BLOCK, **how) for _ in range(2)]
    points = {"x": TEST, "scale": TEST[:, 0]}
    alone = NetworkInfluence(module, {"x": X, "scale": X[:, 0]}, LABELS, 1.0, **how)
    found = network_influence_on(client, Rows(), fits[0], points, TEST_LABELS, block_size=BLOCK, trust=True)
    assert torch.equal(fits[0].factor, fits[1].factor)
    assert close(found, alone.influence(points, TEST_LABELS, trust=True))


def test_what_one_process_checks_and_warns_of(client):
    """A start that the network is not at rest with, few columns, and a network that bends."""
    y, start, how = numbers(LABELS), network(), {"projections": 200, "block_size": BLOCK}
    rows = TensorDataset(X, y)
    with pytest.raises(NotStationaryError, match="above the tolerance"):
        network_fit_on(client, network(1), rows, 1.0, start=start, **how)
    trained = train_module(start, X, y, 1.0, iterations=500)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        network_fit_on(client, trained, rows, 1.0, start=start, **how)
    with pytest.warns(UserWarning, match="with 5 columns influences are off by about .* take 83, one for each"):
        network_fit_on(client, trained, rows, 1.0, start=start, projections=5, block_size=BLOCK)
    bent, how["start"] = network(1), None
    fit = network_fit_on(client, bent, rows, 0.01, **how)
    network_influence_on(client, rows, fit, TEST, y[:7], trust=True)
    with pytest.warns(UserWarning, match="departs from its linearisation") as here:
        NetworkInfluence(bent, X, y, 0.01, start=None, projections=200).influence(TEST, y[:7])
    with pytest.warns(UserWarning, match="departs from its linearisation") as there:
        network_influence_on(client, rows, fit, TEST, y[:7], block_size=BLOCK)
    assert str(there[0].message) == str(here[0].message)


@pytest.mark.filterwarnings("ignore:projections:")
def test_what_cannot_be_done_is_refused(client):
    class Elsewhere:
        """Rows whose fourth block lies on another device."""

        def __len__(self):
            return N

        def __getitem__(self, block):
            return X[block].to("meta" if block.start == 3 * BLOCK else "cpu"), LABELS[block]

    how = {"start": None, "projections": 40, "loss": "cross-entropy", "block_size": BLOCK}
    bad = LABELS.clone()
    bad[9] = 5
    with pytest.raises(ValueError, match=r"rows\[8:12\]: targets: expected classes from 0 to 2, got 5 in row 1"):
        network_fit_on(client, network(), TensorDataset(X, bad), 1.0, **how)
    with pytest.raises(ValueError, match=r"rows\[12:16\]: points: .* device meta"):
        network_fit_on(client, network(), Elsewhere(), 1.0, **how)
    with pytest.raises(ValueError, match="at least one training point"):
        network_fit_on(client, network(), [], 1.0, **how)
    with pytest.raises(ValueError, match="curved in the outputs"):
        flat = how | {"loss": lambda f, y: (f * y).sum()}
        network_fit_on(client, network(), TensorDataset(X, numbers(LABELS)), 1.0, **flat)
    fit = network_fit_on(client, network(), ROWS, 1.0, **how)
    with pytest.raises(ValueError, match="expected the 23 training points of the fit, got 20"):
        network_influence_on(client, TensorDataset(X[:20], LABELS[:20]), fit, TEST, TEST_LABELS)
    with pytest.raises(ValueError, match="x_test: expected points of shape"):
        network_influence_on(client, ROWS, fit, TEST[:, :5], TEST_LABELS)


def test_a_network_that_cannot_travel_is_refused(client):
    how = {"start": None, "projections": 40, "loss": "cross-entropy", "block_size": BLOCK}
    torch.manual_seed(0)
    module = nn.Sequential(parametrizations.weight_norm(nn.Linear(6, 3))).double().eval()
    with pytest.raises(TypeError, match=r"network: expected what can be pickled, .*remove_parametrizations"):
        network_fit_on(client, module, ROWS, 1.0, **how)

    class Far(nn.Linear):
        def __setstate__(self, state):
            raise RuntimeError("Attempting to deserialize object on a CUDA device")

    with pytest.raises(ValueError, match=r"on a device that each worker has, got Attempting .* pass network.cpu\(\)"):
        network_fit_on(client, Far(6, 3).double().eval(), ROWS, 1.0, **how)


def test_without_dask_the_extra_is_named():
    told = "import sys; sys.modules['distributed'] = None; import ntkif.influence.cluster"
    found = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=False)
    assert "pip install 'ntkif[cluster]'" in found.stderr
