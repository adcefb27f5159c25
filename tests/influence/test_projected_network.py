"""A block of training points tells of its removals what all of them together tell."""

import copy
from dataclasses import replace

import pytest
import torch
from newton_step import some
from problem import close
from torch import nn

from ntkif.influence.network import NetworkInfluence
from ntkif.influence.projected_network import ProjectedNetwork, projected_block, read_block
from ntkif.networks.module_checks import fingerprint

N, BLOCK = 15, slice(4, 9)
X, TEST, LABELS = some(N, 5), some(6, 5, seed=1), torch.arange(N) % 3


@pytest.fixture(scope="module")
def models():
    """With all points, and from them a network that has seen them in another place."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3)).double().eval()
    whole = NetworkInfluence(module, X, LABELS, 1.0, start=None, loss="cross-entropy", projections=100)
    before = fingerprint(whole.reading)
    return whole, ProjectedNetwork(whole.kernel, whole.loss, whole.totals, N, 1.0, whole.fit.factor, before)


def test_a_block_by_itself(models):
    whole, network = models
    block = network.removals(X[BLOCK], LABELS[BLOCK])
    assert close(block.influence(TEST, LABELS[:6], trust=True), whole.influence(TEST, LABELS[:6], trust=True)[:, BLOCK])
    assert close(block.leverage, whole.leverage[BLOCK]) and close(block.loo_predict(), whole.loo_predict()[BLOCK])
    groups = block.group_influence([[0, 2], [3]], TEST, LABELS[:6])
    assert close(groups, whole.group_influence([[4, 6], [7]], TEST, LABELS[:6]))
    assert close(block.step(1)[0], whole.step(5)[0])
    assert close(block.linearity(TEST, [1]), whole.linearity(TEST, [5]))
    assert network.freedom == pytest.approx(float(whole.freedom.sum()), rel=1e-10)


def test_products_of_blocks_add_up(models):
    whole, network = models
    parts = [
        projected_block(whole.kernel, whole.loss, *read_block(whole.reading, whole.loss, X[rows], LABELS[rows]))
        for rows in (slice(0, 4), BLOCK, slice(9, N))
    ]
    found = sum(part.products() for part in parts).triu()
    h = network.factor @ network.factor.T - torch.eye(len(found))
    assert close(found, h.triu())


def test_a_block_of_another_kind_is_refused(models):
    with pytest.raises(ValueError, match=r"targets: expected class numbers, integers of shape \(5,\)"):
        models[1].removals(X[BLOCK], X[BLOCK])
    with pytest.raises(TypeError, match=r"points: expected points of torch\.float64"):
        models[1].removals(X[BLOCK].float(), LABELS[BLOCK])


def test_a_network_that_was_trained_further_tells_of_no_block(models):
    fit = models[1]
    other = copy.deepcopy(fit.kernel)
    with torch.no_grad():
        next(other.given.parameters()).add_(0.01)
    with pytest.raises(ValueError, match="network: it was trained further"):
        replace(fit, kernel=other).removals(X[BLOCK], LABELS[BLOCK])
