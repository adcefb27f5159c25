"""The log-odds against their definition, and the losses as functions of the quantities."""

import torch

from ntkif.networks.losses import CROSS_ENTROPY, SQUARES
from ntkif.training.quantities import LOG_ODDS, OUTPUTS, quantities_for


def test_log_odds_keep_their_digits():
    f = torch.tensor([[0.3, -0.2, 1.0], [40.0, 0.0, 1.0]], dtype=torch.float64)
    y = torch.eye(3, dtype=torch.float64)[[1, 0]]
    found = LOG_ODDS.of(f, y)[:, 0]
    p = f.softmax(1)
    assert torch.allclose(found[0], torch.log(p[0, 1] / (1 - p[0, 1])))
    assert torch.allclose(found[1], 40 - torch.tensor([0.0, 1.0], dtype=torch.float64).logsumexp(0))
    assert torch.allclose(LOG_ODDS.loss(found[:, None], y), CROSS_ENTROPY.value(f, y))


def test_another_loss_is_carried_through_the_outputs():
    f, y = torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 1.0]])
    carried = quantities_for(SQUARES)
    assert torch.equal(carried.of(f, y), f) and torch.equal(carried.loss(f, y), torch.tensor([1.0]))
    assert quantities_for(CROSS_ENTROPY) is LOG_ODDS and torch.equal(OUTPUTS.loss(f, y), f)
