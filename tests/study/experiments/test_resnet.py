"""The ResNet-9: its size is that of the papers', and it keeps points apart, so that its training can be recorded."""

import numpy as np
import pytest
import torch
from torch import nn

from ntkif import record_training
from ntkif.data.dataset import from_pixels
from ntkif.study.experiments.resnet import resnet9
from ntkif.study.experiments.trained_networks import Case, draw, growth, record_case
from ntkif.training.optimizers import SGD


def test_it_has_the_layers_and_the_size_of_the_papers():
    network = resnet9(64, torch.Size([3, 32, 32]), 10)
    kernels = {tuple(part.weight.shape) for part in network.modules() if isinstance(part, nn.Conv2d)}
    assert kernels == {
        (64, 3, 3, 3),
        (128, 64, 5, 5),
        (128, 128, 3, 3),
        (256, 128, 3, 3),
        (256, 256, 3, 3),
        (128, 256, 3, 3),
    }
    weights = 27 * 64 + 25 * 64 * 128 + 9 * (2 * 128**2 + 128 * 256 + 2 * 256**2 + 256 * 128) + 128 * 10
    norms = 2 * (64 + 3 * 128 + 3 * 256 + 128)
    assert sum(value.numel() for value in network.parameters()) == weights + norms
    assert {part.num_groups for part in network.modules() if isinstance(part, nn.GroupNorm)} == {8}
    assert network(torch.rand(2, 3, 32, 32)).shape == (2, 10)


def test_the_smooth_one_has_no_kinks_and_the_same_weights():
    kinks = nn.ReLU, nn.MaxPool2d, nn.AdaptiveMaxPool2d
    rough, smooth = (resnet9(4, torch.Size([3, 32, 32]), 2, smooth=each) for each in (False, True))
    assert {type(part) for part in rough.modules()} >= set(kinks)
    assert not any(isinstance(part, kinks) for part in smooth.modules())
    shapes = [[value.shape for value in each.parameters()] for each in (rough, smooth)]
    assert shapes[0] == shapes[1]


def test_the_smooth_one_forgets_the_start_where_the_other_magnifies_it_a_thousandfold():
    images, labels = np.random.RandomState(0).randint(1, 255, (60, 14, 14), dtype=np.uint8), np.arange(60) % 2
    noise = from_pixels("noise", (images[:40], labels[:40], images[40:], labels[40:]), ("a", "b"), "noise")
    apart = {}
    for activation in ("relu", "gelu"):
        case = Case("", network="resnet", width=4, activation=activation, rate=0.02, batch_size=8, epochs=8)
        x, y, *test = draw(case, noise, 32, 10, 0, pool=1)
        apart[activation] = growth(record_case(case, x, y, 0, folds=2, alone=0), test[0])
    assert apart["gelu"] < 0 and apart["relu"] > 3


@pytest.mark.parametrize("smooth", [False, True])
def test_a_point_is_predicted_by_itself_and_its_training_can_be_recorded(smooth):
    torch.manual_seed(0)
    network = resnet9(2, torch.Size([1, 14, 14]), 2, smooth=smooth).double()
    x, y = torch.rand(9, 1, 14, 14, dtype=torch.float64), torch.arange(9) % 2
    with torch.no_grad():
        assert torch.allclose(network(x)[:1], network(x[:1]), atol=1e-12)
    how = {"loss": "cross-entropy", "optimizer": SGD(0.05, momentum=0.9, weight_decay=5e-4), "progress": False}
    run = record_training(network, x[:8], y[:8], batch_size=4, folds=2, alone=1, **how)
    assert torch.isfinite(run.influence(x[8:], y[8:], trust=True)).all()


def test_images_that_are_too_small_are_refused():
    assert resnet9(1, torch.Size([1, 11, 11]), 2)(torch.rand(1, 1, 11, 11)).shape == (1, 2)
    with pytest.raises(ValueError, match=r"expected images of at least 11 pixels a side, got \(10, 11\)"):
        resnet9(1, torch.Size([1, 10, 11]), 2)
