"""Modules of which no derivatives can be taken."""

import copy

import pytest
import torch
from torch import nn

from ntkif.networks.module_checks import check_module, check_prepared


def made_in_inference_mode():
    with torch.inference_mode():
        return nn.Linear(4, 1).eval()


def test_modules_that_are_none_or_not_made():
    for module, error, said in (
        (lambda x: x, TypeError, "here: expected a torch module, got function"),
        (nn.LazyLinear(2), ValueError, "here: expected one whose parameters are made, got a lazy one"),
    ):
        with pytest.raises(error, match=said):
            check_module(module, "here")
    lazy = nn.LazyLinear(2)
    lazy(torch.ones(1, 3))
    check_module(lazy)


def test_modules_that_are_not_prepared():
    mixed = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 1).double()).eval()
    for module, error, said in (
        (nn.Linear(4, 1), ValueError, "expected one in evaluation mode"),
        (nn.Flatten().eval(), ValueError, "at least one parameter with requires_grad=True"),
        (nn.Linear(4, 1).requires_grad_(False).eval(), ValueError, "at least one parameter with requires_grad=True"),
        (nn.Linear(4, 1).half().eval(), TypeError, "parameters of one dtype, float32 or float64"),
        (mixed, TypeError, "parameters of one dtype"),
        (made_in_inference_mode(), ValueError, "got some made in torch.inference_mode"),
    ):
        with pytest.raises(error, match=said):
            check_prepared(module)
    check_prepared(copy.deepcopy(made_in_inference_mode()))
    mixed[0].requires_grad_(False)
    check_prepared(mixed)
