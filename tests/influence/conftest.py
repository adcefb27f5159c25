"""A trained network and a linear model, with one output and with three."""

import pytest
from linear_model import Fitted
from tiny_network import Trained


@pytest.fixture(scope="module", params=[1, 3], ids=["one-output", "three-outputs"])
def trained(request):
    return Trained(request.param)


@pytest.fixture(params=[1, 3], ids=["one-output", "three-outputs"])
def fitted(request):
    return Fitted(request.param)
