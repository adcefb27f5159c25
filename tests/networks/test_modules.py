"""Deeper networks: their scale at the start, zero starts with the same kernel, and training to a minimum."""

import pytest
import torch
from problem import make_problem

from ntkif.influence.stationary import gradient_share
from ntkif.kernels.tangent import tangent_kernel
from ntkif.networks.losses import CROSS_ENTROPY
from ntkif.networks.modules import Antisymmetric, ConvNet, Mlp, predict, prepare, train_module

IMAGES = torch.nn.functional.normalize(torch.rand(9, 100, generator=torch.Generator().manual_seed(1)).double())
NETWORKS = {
    "mlp": lambda seed=0: Mlp(100, width=200, hidden_layers=3, outputs=2, seed=seed),
    "conv": lambda seed=0: ConvNet((10, 10), outputs=2, channels=(12, 16), seed=seed),
    "gelu": lambda seed=0: ConvNet((10, 10), outputs=2, activation="gelu", seed=seed),
}


@pytest.fixture(params=NETWORKS)
def make(request):
    return NETWORKS[request.param]


def test_outputs_start_at_the_size_of_targets(make):
    """Over seeds, with mean 0; exactly 1 in root mean square for the ReLU networks at fully connected layers."""
    outputs = torch.stack([make(seed)(IMAGES).detach() for seed in range(200)])
    assert 0.5 < float(outputs.square().mean().sqrt()) < 1.2
    assert abs(float(outputs.mean())) < 0.1


def test_seeds_and_dtypes():
    one, same, other = (Mlp(5, width=7, seed=seed) for seed in (3, 3, 4))
    low = Mlp(5, width=7, seed=3, dtype=torch.float32)
    for a, b, c, d in zip(*(net.layers for net in (one, same, other, low)), strict=True):
        assert torch.equal(a, b) and not torch.equal(a, c) and torch.equal(a.float(), d)
    assert not one.training


def test_an_antisymmetric_network_starts_at_zero_with_the_same_kernel(make):
    module = make()
    twin = Antisymmetric(module)
    assert not twin(IMAGES).any()
    assert torch.allclose(tangent_kernel(twin, IMAGES), tangent_kernel(module, IMAGES), rtol=0, atol=1e-12)
    with torch.no_grad():
        twin.plus.layers[0].add_(1.0)
    assert twin(IMAGES).any()  # the copies do not share their weights


def test_colours_come_last():
    """A pixel of one colour moves the outputs as the same pixel of the first channel does in torch's layout."""
    net = ConvNet((10, 12, 3), seed=2)
    image = torch.rand(1, 10, 12, 3, generator=torch.Generator().manual_seed(0)).double()
    expected = 120**0.5 * image.permute(0, 3, 1, 2)
    h = torch.nn.functional.conv2d(expected, net.layers[0].detach(), stride=2) / 5
    h = torch.nn.functional.conv2d(h.relu(), net.layers[1].detach(), stride=2) * (2 / (16 * 9)) ** 0.5
    h = h.relu().flatten(1) @ net.layers[2].detach().T * (2 / h[0].numel()) ** 0.5
    assert torch.allclose(net(image.flatten(1)), h)


@pytest.mark.parametrize("loss", ["squares", "cross-entropy"])
def test_training_reaches_a_minimum(loss):
    """A smooth network, where the gradient can vanish; the start is not changed."""
    keywords = {"loss": CROSS_ENTROPY} if loss == "cross-entropy" else {}
    start, y = NETWORKS["gelu"](), torch.eye(2, dtype=torch.float64)[[0, 1, 1, 0, 1, 0, 0, 1, 1]]
    before = start(IMAGES).detach()
    trained = train_module(start, IMAGES, y, 0.5, iterations=200, **keywords)
    assert gradient_share(trained, start, IMAGES, y, 0.5, **keywords) < 1e-6
    assert torch.equal(start(IMAGES), before) and not torch.allclose(trained(IMAGES), before)
    assert all(value.grad is None for value in (*start.parameters(), *trained.parameters()))


def test_a_linear_network_is_trained_to_the_ridge_solution():
    p = make_problem(n=12, k=5)
    torch.manual_seed(0)
    start = torch.nn.Linear(6, 1, bias=False, dtype=torch.float64).eval()
    trained = train_module(start, p.x_train, p.y_train, 0.3)
    with torch.no_grad():
        x, short = p.x_train, p.y_train - start(p.x_train)
        moved = torch.linalg.solve(x.T @ x + 0.3 * torch.eye(6, dtype=torch.float64), x.T @ short)
        assert torch.allclose(trained.weight, start.weight + moved.T, rtol=0, atol=1e-8)


def test_wrong_input():
    p = make_problem(n=8)
    module = Mlp(6, width=5)
    with pytest.raises(ValueError, match=r"y: expected targets of shape \(8, 1\), got \(8, 2\)"):
        train_module(module, p.x_train, p.y_train.repeat(1, 2), 1.0)
    with pytest.raises(ValueError, match="ridge: expected zero or a positive number"):
        train_module(module, p.x_train, p.y_train, -1.0)
    with pytest.raises(ValueError, match="the loss became inf"):
        train_module(module, 1e200 * p.x_train, p.y_train, 1.0)
    with pytest.raises(ValueError, match="at least one input, neuron, hidden layer and output"):
        Mlp(6, width=5, hidden_layers=0)
    with pytest.raises(ValueError, match="expected at least 9 x 9 pixels, got 8 x 10"):
        ConvNet((8, 10))
    with pytest.raises(ValueError, match="activation: expected one of relu, gelu, got 'tanh'"):
        ConvNet((28, 28), activation="tanh")


def test_points_go_through_a_module_in_blocks(monkeypatch):
    """Predictions, and training to the same minimum, whatever the blocks; a linear module has only one minimum."""
    module, x = Mlp(4, width=6, outputs=2), torch.randn(11, 4, generator=torch.Generator().manual_seed(0)).double()
    y, whole = x[:, :2], predict(module, x)
    linear = torch.nn.Linear(4, 2, dtype=torch.float64).eval()
    trained = predict(train_module(linear, x, y, 0.5, iterations=200), x)
    blocks = predict(train_module(linear, x, y, 0.5, iterations=200, point_block=4), x)
    assert torch.allclose(blocks, trained, rtol=0, atol=1e-6)
    monkeypatch.setattr("ntkif.networks.modules.AT_ONCE", 3)
    assert torch.allclose(predict(module, x), whole, rtol=0, atol=1e-12)


def test_points_that_the_module_does_not_take():
    module = Mlp(100, width=4)
    for points in (IMAGES[:, :3], IMAGES.long()):
        with pytest.raises(
            ValueError, match=r"^here: expected points that the module takes, got torch\.\w+ of shape \(9,"
        ):
            prepare(module, points, "here")
    with pytest.raises(
        ValueError, match=r"here: expected points that the module takes, .*TypeError: .* unexpected keyword"
    ):
        prepare(module, {"pixels": IMAGES}, "here")
