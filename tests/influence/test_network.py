"""Influence in a trained network, and how far its training is from a minimum."""

import pytest
import torch
from kinds import made
from linear_model import RIDGE, Mixed
from newton_step import bent, newton, some
from problem import close, make_problem
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from ntkif import ihvp_influence, loo_influence
from ntkif.influence.ihvp import network_ihvp
from ntkif.influence.linearized import linearized_fit
from ntkif.influence.network import NetworkInfluence, network_influence
from ntkif.influence.stationary import NotStationaryError, gradient_share
from ntkif.kernels import parts as parts_module
from ntkif.kernels.jacobian import jacobian
from ntkif.kernels.tangent import tangent_kernel
from ntkif.networks.descent import safe_learning_rate, train
from ntkif.networks.inputs import reading_of
from ntkif.networks.losses import CROSS_ENTROPY, LOSSES, SQUARES
from ntkif.networks.modules import predict, train_module
from ntkif.networks.two_layer import random_network


def test_network_influence_from_the_module(fitted):
    p, module = fitted.p, fitted.trained()
    influence = torch.stack([fitted.influence([i]) for i in range(15)], 1)
    arrays = p.x_train, p.y_train, p.x_test, p.y_test
    assert close(network_influence(module, *arrays, RIDGE, start=fitted.start, block_size=2), influence)
    assert gradient_share(module, fitted.start, p.x_train, p.y_train, RIDGE) < 1e-12


def test_damping_is_added_to_the_ridge(fitted):
    p, module = fitted.p, fitted.trained()
    arrays = p.x_train, p.y_train, p.x_test, p.y_test
    apart = network_influence(module, *arrays, 0.1, start=None, damping=RIDGE - 0.1)
    assert close(apart, network_influence(module, *arrays, RIDGE, start=fitted.start))


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.filterwarnings("ignore:the gradient")
def test_two_layer_networks_take_the_functions_of_the_analytic_kernel(outputs):
    """With one output, or the traced kernel, the matrices are those of `closed_form` on moved targets."""
    p = make_problem(n=15, k=5, outputs=outputs)
    start = random_network(6, width=64, init_scale=1.0, symmetric=True, seed=0, outputs=outputs)
    rate = safe_learning_rate(start, p.x_train, RIDGE)
    network = train(start, p.x_train, p.y_train, RIDGE, learning_rate=rate, epochs=2000).network
    arrays = p.x_train, p.y_train, p.x_test, p.y_test
    k, k_test = (tangent_kernel(network, x, p.x_train, traced=True) for x in (p.x_train, p.x_test))
    residual, test_residual = network.predict(p.x_train) - p.y_train, network.predict(p.x_test) - p.y_test
    fit = linearized_fit(k, residual, RIDGE)
    assert close(fit.fit.residual, residual)
    targets = fit.fit.predict(k_test) - test_residual
    assert torch.equal(fit.loo_influence(k_test, test_residual), loo_influence(fit.fit, k_test, targets))
    assert torch.equal(fit.ihvp_influence(k_test, test_residual), ihvp_influence(fit.fit, k_test, targets))
    assert close(
        network_influence(network, *arrays, RIDGE, start=start, traced=True), fit.loo_influence(k_test, test_residual)
    )
    full = linearized_fit(tangent_kernel(network, p.x_train), residual, RIDGE)
    found = full.ihvp_influence(tangent_kernel(network, p.x_test, p.x_train), test_residual)
    assert close(found, network_ihvp(network, *arrays, RIDGE))


def test_wrong_input_of_a_network(fitted):
    p, module, c = fitted.p, fitted.trained(), fitted.outputs
    arrays = [p.x_train, p.y_train, p.x_test, p.y_test]
    with pytest.raises(ValueError, match=r"y_train: expected a matrix of shape \(15, \d\), got shape \(14,"):
        network_influence(module, p.x_train, p.y_train[1:], *arrays[2:], RIDGE, start=None)
    with pytest.raises(ValueError, match=r"y_test: expected a matrix of shape \(5, \d\)"):
        network_influence(module, *arrays[:3], p.y_test.T, RIDGE, start=None)
    with pytest.raises(ValueError, match="damping: expected a positive number where the network was trained without a"):
        network_influence(module, *arrays, 0.0, start=None)
    with pytest.raises(ValueError, match="start: expected None where the network was trained without a ridge"):
        network_influence(module, *arrays, 0.0, start=fitted.start, damping=1.0)
    other = Mixed(c).double().eval()
    other.trained = nn.Linear(21, 4)
    with pytest.raises(ValueError, match=r"start: expected the network before training, with parameters {'trained.we"):
        network_influence(module, *arrays, RIDGE, start=other)
    if c > 1:
        with pytest.raises(ValueError, match="expected half squares with the traced kernel, got another loss with 3"):
            network_influence(module, *arrays, RIDGE, start=None, loss=CROSS_ENTROPY, traced=True)
    module.features.train()
    with pytest.raises(ValueError, match="network: expected one in evaluation mode, all parts of it"):
        network_influence(module, *arrays, RIDGE, start=None)
    network = random_network(6, width=8, init_scale=1.0, seed=0, outputs=c)
    with pytest.raises(ValueError, match=r"x_test: expected points of shape \(6,\) as the training points, got \(3,\)"):
        network_influence(network, *arrays[:2], p.x_test[:, :3], p.y_test, RIDGE, start=None)


@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("name", ["binary cross-entropy", "huber"])
def test_other_losses_are_newton_steps(name, outputs):
    """With one output too; and where the curvature vanishes and the gradient does not."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, outputs)).double().eval()
    x, test, loss = some(12, 4), some(5, 4, seed=1), LOSSES[name]
    y, y_test = ((each[:, :outputs] > 0).double() for each in (x, test))
    y = y if name != "huber" else 3 * y
    vanishes = (loss.curvature(predict(module, x), y).diagonal(dim1=1, dim2=2) == 0).any()
    assert vanishes == (name == "huber")
    found = network_influence(module, x, y, test, y_test, 0.3, start=None, loss=name, block_size=2)
    assert torch.allclose(found, newton(module, x, y, test, y_test, 0.3, loss), rtol=0, atol=1e-11)


def test_log_probabilities_have_the_influences_of_their_logits():
    """Of class numbers, with the loss that PyTorch has for them; and logits that are taken for such are refused."""
    torch.manual_seed(0)
    logits = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 3)).double().eval()
    module = nn.Sequential(logits, nn.LogSoftmax(1)).eval()
    arrays = some(12, 4), torch.arange(12) % 3, some(5, 4, seed=1), torch.arange(5) % 3
    expected = network_influence(logits, *arrays, 0.3, start=None, loss=nn.CrossEntropyLoss(reduction="sum"))
    found = network_influence(module, *arrays, 0.3, start=None, loss=nn.NLLLoss(reduction="sum"))
    assert torch.allclose(found, expected, rtol=0, atol=1e-12 * float(expected.abs().max()))
    for options in ({}, {"projections": 5}):
        with pytest.raises(ValueError, match="expected log-probabilities as outputs"):
            network_influence(logits, *arrays, 0.3, start=None, loss=nn.NLLLoss(reduction="sum"), **options)


def test_a_loss_that_is_not_convex_in_the_outputs_is_refused():
    module = nn.Linear(4, 2).double().eval()
    arrays = some(12, 4), some(12, 2), some(5, 4), some(5, 2)
    with pytest.raises(ValueError, match="expected no negative eigenvalue, got one at training point"):
        network_influence(module, *arrays, 1.0, start=None, loss=lambda f, y: -(f - y).square().sum())


def test_a_mean_of_losses_has_n_times_the_ridge():
    """Said by the user, or by an object of torch; and the error for what looks like it says so."""
    module = nn.Sequential(nn.Linear(4, 3)).double().eval()
    x, test, y, y_test = some(12, 4), some(5, 4, seed=1), torch.arange(12) % 3, torch.arange(5) % 3
    arrays, of_sum = (
        (x, y, test, y_test),
        network_influence(module, x, y, test, y_test, 12 * 0.1, start=None, damping=12 * 0.02, loss="cross-entropy"),
    )
    for how in ({"loss": CROSS_ENTROPY, "mean": True}, {"loss": nn.CrossEntropyLoss()}):
        assert close(network_influence(module, *arrays, 0.1, start=None, damping=0.02, **how), of_sum)
    how = {"loss": nn.CrossEntropyLoss(), "mean": False}
    assert not close(network_influence(module, *arrays, 0.1, start=None, damping=0.02, **how), of_sum)
    with pytest.raises(NotStationaryError, match="pass mean=True, which takes 12 times the ridge"):
        network_influence(
            module, *arrays, 0.1, start=nn.Sequential(nn.Linear(4, 3)).double().eval(), loss="cross-entropy"
        )


@pytest.mark.parametrize("kind", ["inputs and outputs by name", "two inputs", "LSTM", "a vector of outputs", "script"])
def test_networks_of_many_kinds(kind):
    module, points, output = made(kind)
    reading = reading_of(module, output)
    c = predict(reading, points).shape[1]
    y = some(5, c)
    influence = network_influence(module, points, y[:, 0] if c == 1 else y, points, y, 1.0, start=None, output=output)
    found = newton(module, points, y, points, y, 1.0, SQUARES, output=output)
    assert torch.allclose(influence, found, rtol=0, atol=1e-10)


def test_a_test_point_costs_no_jacobian_of_the_training_points(monkeypatch):
    """One Jacobian of these serves all test points that are no more than they."""
    seen = []
    plainly = parts_module.jacobian

    def counted(module, x, *how, **more):
        seen.append(len(x))
        return plainly(module, x, *how, **more)

    monkeypatch.setattr(parts_module, "jacobian", counted)
    module, ids = nn.EmbeddingBag(9, 1).double().eval(), torch.randint(9, (16, 3))
    network_influence(module, ids[:9], some(9), ids[9:], some(7), 1.0, start=None, trust=True)
    assert sorted(seen) == [7, 9]


def test_a_jacobian_in_single_precision_and_a_solution_in_double():
    module = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)).double().eval()
    arrays = some(12, 4), some(12, 2), some(5, 4), some(5, 2)
    exact, rounded = (
        network_influence(module, *arrays, 1.0, start=None, jacobian_dtype=dtype) for dtype in (None, torch.float32)
    )
    assert rounded.dtype == torch.float64 and next(module.parameters()).dtype == torch.float64
    assert 0 < float((rounded - exact).abs().max() / exact.abs().max()) < 1e-5
    network = random_network(4, width=8, init_scale=1.0, seed=0)
    with pytest.raises(ValueError, match="jacobian_dtype: expected none for the two-layer network"):
        network_influence(
            network, arrays[0], some(12), arrays[2], some(5), 1.0, start=None, jacobian_dtype=torch.float32
        )


@pytest.mark.parametrize("loss", ["squares", "cross-entropy"])
def test_a_ridge_for_each_parameter(loss):
    """Against one Newton step with a diagonal of penalties; the biases are nearly free."""
    module, x, test = bent(), some(12, 4), some(5, 4, seed=1)
    y, y_test = (each[:, :2] if loss == "squares" else each[:, :2].argmax(1) for each in (x, test))
    ridge = {"0.weight": 2.0, "*.bias": 1e-3, "*": 0.5}
    model = NetworkInfluence(module, x, y, ridge, start=None, damping=0.1, loss=loss, mean=True)
    own = {name: ridge.get(name, 1e-3 if "bias" in name else 0.5) + 0.1 for name, _ in module.named_parameters()}
    sizes = {name: value.numel() for name, value in module.named_parameters()}
    penalties = torch.cat([12 * torch.full((size,), own[name], dtype=torch.float64) for name, size in sizes.items()])
    truth = newton(module, x, y, test, y_test, torch.diag(penalties), LOSSES[loss])
    assert torch.allclose(model.influence(test, y_test), truth, rtol=0, atol=1e-11)
    j, change = jacobian(module, test), model.change(test)
    for row in (0, 7):
        step = torch.cat([part.flatten() for part in model.step(row)])
        torch.testing.assert_close(j @ step, change[:, row], rtol=0, atol=1e-11)


def test_weight_decay_is_a_penalty_on_the_parameters_themselves():
    """The formula is the same; what is checked is another gradient."""
    start = nn.Linear(4, 1).double().eval()
    with torch.no_grad():
        start.weight.zero_(), start.bias.zero_()
    x, y = some(12, 4), some(12)
    decayed = train_module(start, x, y[:, None], 1.0)
    arrays = x, y, some(5, 4, seed=1), some(5, seed=2)
    with_start = network_influence(decayed, *arrays, 1.0, start=start)
    assert close(network_influence(decayed, *arrays, 1.0, start="zero"), with_start)
    with torch.no_grad():
        start.weight.add_(1)
    elsewhere = train_module(start, x, y[:, None], 1.0)
    with pytest.raises(NotStationaryError):
        network_influence(elsewhere, *arrays, 1.0, start="zero")


def test_many_classes_are_no_dead_end():
    """Where the coupled kernel does not fit, what does is said before any Jacobian is made."""
    module = nn.Linear(4, 5000).double().eval()
    with pytest.raises(MemoryError, match=r"all outputs of all points; pass projections=4096.* \(record_training\)"):
        NetworkInfluence(
            module, some(900, 4), torch.zeros(900, dtype=torch.long), 1.0, start=None, loss="cross-entropy"
        )


def test_a_loader_brings_points_and_targets():
    """In the order of its rows, though it shuffles."""
    module = nn.Linear(4, 2).double().eval()
    x, y, test, y_test = some(12, 4), some(12, 2), some(5, 4, seed=1), some(5, 2, seed=2)
    loader = DataLoader(TensorDataset(x, y), 5, shuffle=True)
    model = NetworkInfluence(module, loader, None, 1.0, start=None)
    plain = network_influence(module, x, y, test, y_test, 1.0, start=None)
    assert torch.equal(model.influence(TensorDataset(test, y_test)), plain)
    assert torch.equal(network_influence(module, loader, None, test, y_test, 1.0, start=None), plain)
    with pytest.raises(TypeError, match="y_test: expected targets, got none"):
        model.influence(test)


def test_a_precision_around_the_calls_changes_nothing():
    module = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)).eval()
    arrays = [each.float() for each in (some(12, 4), some(12, 2), some(5, 4, seed=1), some(5, 2, seed=2))]

    def asked():
        model = NetworkInfluence(module, *arrays[:2], 1.0, start=None)
        groups = model.group_influence([[1, 2]], *arrays[2:])
        return model.influence(*arrays[2:]), groups, model.change(arrays[2]), model.linearity(arrays[2], [0])

    plain = asked()
    with torch.autocast("cpu", torch.bfloat16):
        for found, wanted in zip(asked(), plain, strict=True):
            torch.testing.assert_close(found, wanted, rtol=0, atol=0)


class Frozen(nn.Module):
    """A part that is not trained, in another dtype, as a large model's body is."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body, self.head = nn.Linear(4, 4).half().requires_grad_(False), bent()
        for value in self.body.parameters():  # eighths, whose sums of products are exact in half precision
            value.copy_((8 * value).round() / 8)

    def forward(self, x):
        return self.head(self.body(x).double())


def test_a_frozen_part_of_another_dtype():
    module, x, y, test, y_test = Frozen().eval(), some(12, 4), some(12, 2), some(5, 4, seed=1), some(5, 2, seed=2)
    x, test = ((4 * points).round().div(4).half() for points in (x, test))
    found = network_influence(module, x, y, test, y_test, 1.0, start=None)
    assert torch.allclose(found, newton(module, x, y, test, y_test, 1.0, SQUARES), rtol=0, atol=1e-11)


def test_inference_mode_around_the_calls_changes_nothing():
    module, x, test = bent(), some(12, 4), some(5, 4, seed=1)
    plain = NetworkInfluence(module, x, x[:, :2], 1.0, start=None, loss="huber")
    with torch.inference_mode():
        again, other = x.clone(), test.clone()
        assert again.is_inference() and other.is_inference()
        model = NetworkInfluence(module, again, again[:, :2], 1.0, start=None, loss="huber")
        found = model.influence(other, other[:, :2]), model.linearity(other, [0])
    assert torch.equal(found[0], plain.influence(test, test[:, :2]))
    assert torch.equal(found[1], plain.linearity(test, [0]))


@pytest.mark.parametrize("loss", [nn.L1Loss(reduction="sum"), nn.KLDivLoss(reduction="sum"), lambda f, y: f @ y])
def test_a_loss_that_is_curved_nowhere_is_refused(loss):
    with pytest.raises(ValueError, match="loss: expected one that is curved in the outputs at some training point"):
        NetworkInfluence(bent(), some(12, 4), some(12, 2).softmax(1), 1.0, start=None, loss=loss)


def test_what_is_no_network_and_test_points_of_another_kind():
    arrays = some(12, 4), some(12, 2)
    with pytest.raises(TypeError, match="network: expected a torch module, got function"):
        NetworkInfluence(lambda x: x, *arrays, 1.0, start=None)
    model = NetworkInfluence(bent(), *arrays, 1.0, start=None)
    with pytest.raises(ValueError, match=r"of shape \(4,\) as the training points, got \(4,\) of torch\.int64"):
        model.influence(torch.ones(5, 4, dtype=torch.long), arrays[1][:5])
