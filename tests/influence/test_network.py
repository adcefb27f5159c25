"""Influence in a trained network, and how far its training is from a minimum."""

from dataclasses import replace

import pandas as pd
import pytest
import torch
from kinds import made
from linear_model import RIDGE, Mixed
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
from ntkif.networks.losses import CROSS_ENTROPY, LOSSES, SQUARES, change_of_loss, targets_of
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


def newton(module, x, y, test, y_test, ridge, loss, output=None):
    """(k, n) change of the test loss by one Newton step without each point, in the parameters themselves."""
    j, j_test = (jacobian(module, each, output=output) for each in (x, test))
    reading = reading_of(module, output)
    f, f_test = predict(reading, x), predict(reading, test)
    gradient, curvature = loss.gradient(f, y), loss.curvature(f, y)
    hessians = torch.einsum("iap,iab,ibq->ipq", j, curvature, j)
    whole = hessians.sum(0) + ridge * torch.eye(j.shape[2], dtype=j.dtype)
    columns = []
    for i in range(len(j)):
        step = torch.linalg.solve(whole - hessians[i], gradient[i] @ j[i])
        columns.append(loss.value(f_test + j_test @ step, y_test) - loss.value(f_test, y_test))
    return torch.stack(columns, 1)


def some(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


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
    squares = replace(SQUARES, curvature=lambda f, y: torch.eye(c, dtype=f.dtype).expand(len(f), c, c))
    assert torch.allclose(influence, newton(module, points, y, points, y, 1.0, squares), rtol=0, atol=1e-10)


OTHERS = {
    "squares": (LOSSES["squares"], 2),
    "one output": (LOSSES["squares"], 1),
    "cross-entropy": (LOSSES["cross-entropy"], 3),
    "binary cross-entropy": (LOSSES["binary cross-entropy"], 1),
    "huber": (LOSSES["huber"], 2),
}


@pytest.fixture(params=OTHERS)
def asked(request):
    """A network of which things are asked, its points and targets."""
    loss, c = OTHERS[request.param]
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, c)).double().eval()
    x, test = some(12, 4), some(5, 4, seed=1)
    targets = {"cross-entropy": lambda z: z[:, :3].argmax(1), "binary cross-entropy": lambda z: (z[:, :1] > 0).double()}
    y, y_test = (targets.get(request.param, lambda z: 3 * z[:, :c])(each) for each in (x, test))
    return NetworkInfluence(module, x, y, 0.3, start=None, loss=loss), module, x, y, test, y_test


def test_influence_is_of_the_changes(asked):
    model, module, x, y, test, y_test = asked
    influence = model.influence(test, y_test)
    assert close(influence, network_influence(module, x, y, test, y_test, 0.3, start=None, loss=model.loss))
    targets = targets_of(model.loss, y_test, predict(module, test), "y")
    assert close(change_of_loss(model.loss.value, predict(module, test), model.change(test), targets), influence)
    assert close(model.measured(test, lambda f: f[..., 0]), model.change(test)[..., 0])
    with pytest.raises(ValueError, match="measure: expected a number for the outputs along the last axis"):
        model.measured(test, lambda f: f)


def test_self_influence_is_the_influence_on_the_points_themselves(asked):
    model, _, x, y, *_ = asked
    torch.testing.assert_close(model.self_influence(), model.influence(x, y).diagonal(), rtol=1e-9, atol=1e-11)
    if model.fit.root is None:
        own = model.change(x).diagonal(dim1=0, dim2=1).T
        torch.testing.assert_close(model.fit.self_change, own, rtol=0, atol=1e-11)


def test_the_step_is_that_of_the_change(asked):
    """J times the step is the change of the linearised outputs."""
    model, module, x, _, test, _ = asked
    j, change = jacobian(module, test), model.change(test)
    for row in range(len(x)):
        step = torch.cat([part.flatten() for part in model.step(row)])
        torch.testing.assert_close(j @ step, change[:, row], rtol=0, atol=1e-11)


def test_groups_are_not_sums(asked):
    model, module, x, y, test, y_test = asked
    if model.loss.flat:
        with pytest.raises(ValueError, match="expected a loss whose curvature vanishes nowhere"):
            model.group_influence([[1]], test, y_test)
        return
    single = model.group_influence([[3], [5]], test, y_test)
    assert close(single, model.influence(test, y_test)[:, [3, 5]])
    several = [{3, 5, 8}, torch.tensor([8, 3, 5]), pd.Series([5, 8, 3])]
    one, *same = model.group_influence(several, test, y_test).T
    assert all(close(each, one) for each in same)
    named = pd.DataFrame({"label": [0, 1, 1] * 4}).groupby("label").indices
    assert model.group_influence(named, test, y_test).shape == (5, 2)
    j, reading = jacobian(module, x), reading_of(module)
    f, y = predict(reading, x), targets_of(model.loss, y, predict(reading, x), "y")
    gradient = model.loss.gradient(f, y)
    curvature = (
        model.loss.curvature(f, y) if model.loss.curvature else torch.eye(f.shape[1]).double().expand(12, -1, -1)
    )
    hessians = torch.einsum("iap,iab,ibq->ipq", j, curvature, j)
    kept = [i for i in range(12) if i not in {3, 5, 8}]
    whole = hessians[kept].sum(0) + 0.3 * torch.eye(j.shape[2], dtype=j.dtype)
    step = torch.linalg.solve(whole, torch.einsum("ia,iap->p", gradient[[3, 5, 8]], j[[3, 5, 8]]))
    change = jacobian(module, test) @ step
    f_test, y_test = predict(reading, test), targets_of(model.loss, y_test, predict(reading, test), "y")
    torch.testing.assert_close(one, model.loss.value(f_test + change, y_test) - model.loss.value(f_test, y_test))


def test_the_largest_without_the_matrix(asked):
    model, *_, test, y_test = asked
    values, rows = model.top(3, test, y_test)
    influence = model.influence(test, y_test)
    assert torch.equal(rows, influence.abs().topk(3).indices) and torch.equal(values, influence.gather(1, rows))
    with pytest.raises(ValueError, match="count: expected between 1 and 12 training points, got 13"):
        model.top(13, test, y_test)


def test_linearity_tells_a_linear_network_from_one_that_bends():
    x, y, test = some(12, 4), some(12, 1), some(5, 4, seed=1)
    linear = nn.Linear(4, 1).double().eval()
    before = [value.clone() for value in linear.parameters()]
    model = NetworkInfluence(linear, x, y, 0.3, start=None)
    assert (model.linearity(test, range(12)) < 1e-10).all()
    assert all(torch.equal(a, b) for a, b in zip(before, linear.parameters(), strict=True))
    torch.manual_seed(0)
    bent = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1)).double().eval()
    weak, strong = (NetworkInfluence(bent, x, y, ridge, start=None).linearity(test, [0, 5]) for ridge in (100.0, 0.01))
    assert (weak < 0.05).all() and (strong > 0.3).all()


def test_a_test_point_costs_no_jacobian_of_the_training_points(monkeypatch):
    """One Jacobian of these serves all test points that are no more than they."""
    seen = []
    plainly = parts_module.jacobian

    def counted(module, x, *how, **more):
        seen.append(len(x))
        return plainly(module, x, *how, **more)

    monkeypatch.setattr(parts_module, "jacobian", counted)
    module, ids = nn.EmbeddingBag(9, 1).double().eval(), torch.randint(9, (16, 3))
    network_influence(module, ids[:9], some(9), ids[9:], some(7), 1.0, start=None)
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


def bent(outputs=2):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.LayerNorm(3), nn.Linear(3, outputs)).double().eval()


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
    asked = LOSSES[loss] if LOSSES[loss].curvature else replace(LOSSES[loss], curvature=_identity)
    targets = [targets_of(asked, each, predict(module, z), "y") for each, z in ((y, x), (y_test, test))]
    truth = newton(module, x, targets[0], test, targets[1], torch.diag(penalties), asked)
    assert torch.allclose(model.influence(test, y_test), truth, rtol=0, atol=1e-11)
    j, change = jacobian(module, test), model.change(test)
    for row in (0, 7):
        step = torch.cat([part.flatten() for part in model.step(row)])
        torch.testing.assert_close(j @ step, change[:, row], rtol=0, atol=1e-11)


def _identity(f, y):
    return torch.eye(f.shape[1], dtype=f.dtype).expand(len(f), -1, -1)


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
    with pytest.raises(MemoryError, match=r"couples all outputs of all points; .* \(record_training\)"):
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


def test_the_traced_kernel_has_no_step():
    arrays = some(12, 4), some(12, 2)
    model = NetworkInfluence(bent(), *arrays, 1.0, start=None, traced=True)
    with pytest.raises(ValueError, match="the traced one is of no step of the parameters"):
        model.linearity(some(5, 4), [0])
    NetworkInfluence(bent(1), arrays[0], arrays[1][:, 0], 1.0, start=None, traced=True).step(0)
