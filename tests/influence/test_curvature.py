"""Factors of curvatures, and gradients in them."""

import pytest
import torch

from ntkif.influence.curvature import whiten
from ntkif.networks.losses import CROSS_ENTROPY, LOSSES

F = torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
Y = torch.eye(3, dtype=torch.float64)[[0, 2, 1, 0, 1, 2]]


def test_factors_give_curvature_and_gradient():
    curvature, gradient = CROSS_ENTROPY.curvature(F, Y), CROSS_ENTROPY.gradient(F, Y)
    root, solution, within = whiten(curvature, gradient, False)
    torch.testing.assert_close(root @ root.mT, curvature, rtol=0, atol=1e-14)
    torch.testing.assert_close(torch.einsum("nab,nb->na", root, solution), gradient, rtol=0, atol=1e-14)
    assert within


def test_a_curvature_that_vanishes_is_said_or_refused():
    huber, far = LOSSES["huber"], Y + 5
    arrays = huber.curvature(F, far), huber.gradient(F, far)
    assert not whiten(*arrays, True)[2]
    with pytest.raises(ValueError, match="range of the curvature, but that of training point 0 is off"):
        whiten(*arrays, False)


def test_wrong_input():
    gradient = CROSS_ENTROPY.gradient(F, Y)
    with pytest.raises(ValueError, match=r"curvature: expected shape \(6, 3, 3\), got \(6, 3\)"):
        whiten(gradient, gradient, False)
    with pytest.raises(ValueError, match="expected no negative eigenvalue, got one at training point 0"):
        whiten(-torch.eye(3, dtype=torch.float64).expand(6, 3, 3), gradient, True)
