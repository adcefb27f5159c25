"""Linearised networks against models that are linear in their parameters, refitted by normal equations of these."""

import math

import mpmath
import pytest
import torch
from problem import close, make_problem
from test_jacobians import plain_jacobian
from torch import nn

from ntkif import ihvp_influence, loo_influence
from ntkif.influence.ihvp import network_ihvp
from ntkif.influence.linearized import linearized_fit
from ntkif.influence.network import NotStationaryError, gradient_share, network_influence
from ntkif.kernels.tangent import tangent_kernel
from ntkif.networks.descent import safe_learning_rate, train
from ntkif.networks.losses import CROSS_ENTROPY, SQUARES
from ntkif.networks.modules import predict
from ntkif.networks.two_layer import random_network

RIDGE = 0.4


class Mixed(nn.Module):
    """f = M V φ(x) with V trained: linear in its parameters, with outputs that couple through M."""

    def __init__(self, outputs):
        super().__init__()
        self.features = nn.Sequential(nn.Linear(6, 20), nn.Tanh()).requires_grad_(False)
        self.trained = nn.Linear(20, 4)
        self.mix = nn.Linear(4, outputs, bias=False).requires_grad_(False)

    def forward(self, x):
        return self.mix(self.trained(self.features(x)))


class Fitted:
    """A linear model at the minimum of its objective, in the coordinates of its parameters, with or without rows."""

    def __init__(self, outputs, seed=4):
        torch.manual_seed(seed)
        self.p = make_problem(n=15, k=5, outputs=outputs)
        self.start = Mixed(outputs).double().eval()
        self.j, self.j_test = (plain_jacobian(self.start, x) for x in (self.p.x_train, self.p.x_test))
        self.outputs = outputs

    def minimise(self, kept):
        """θ - θ(0) = (Σ J_i J_iᵀ + λI)^-1 Σ J_i (y_i - f_0(x_i))."""
        with torch.no_grad():
            j, short = self.j[kept], (self.p.y_train - self.start(self.p.x_train))[kept]
        hessian = torch.einsum("iap,iaq->pq", j, j) + RIDGE * torch.eye(j.shape[2], dtype=j.dtype)
        return torch.linalg.solve(hessian, torch.einsum("iap,ia->p", j, short))

    def predict(self, moved, j, x):
        with torch.no_grad():
            return self.start(x) + j @ moved

    def trained(self):
        """The module at the minimum."""
        module, moved = Mixed(self.outputs).double().eval(), self.minimise(range(15))
        module.load_state_dict(self.start.state_dict())
        with torch.no_grad():
            size = module.trained.weight.numel()
            module.trained.weight += moved[:size].reshape_as(module.trained.weight)
            module.trained.bias += moved[size:]
        return module

    def without(self, group):
        """Change of the test predictions when a group of points is left out and the model fitted anew."""
        kept = [i for i in range(15) if i not in group]
        moved = self.minimise(kept) - self.minimise(range(15))
        return self.j_test @ moved

    def influence(self, group):
        residual = self.predict(self.minimise(range(15)), self.j_test, self.p.x_test) - self.p.y_test
        return ((residual + self.without(group)).square() - residual.square()).sum(1) / 2


@pytest.fixture(params=[1, 3], ids=["one-output", "three-outputs"])
def fitted(request):
    return Fitted(request.param)


def linearize(fitted, **keywords):
    module, p = fitted.trained(), fitted.p
    with torch.no_grad():
        residual, test_residual = module(p.x_train) - p.y_train, module(p.x_test) - p.y_test
    fit = linearized_fit(tangent_kernel(module, p.x_train), residual, RIDGE, **keywords)
    return fit, tangent_kernel(module, p.x_test, p.x_train), test_residual


def test_every_left_out_model(fitted):
    fit, k_test_train, test_residual = linearize(fitted)
    change = torch.stack([fitted.without([i]) for i in range(15)], 1)
    assert close(fit.loo_change(k_test_train), change)
    influence = torch.stack([fitted.influence([i]) for i in range(15)], 1)
    assert close(fit.loo_influence(k_test_train, test_residual), influence)


def test_groups(fitted):
    fit, k_test_train, test_residual = linearize(fitted)
    groups = [[0, 3, 7], [14], [2, 1]]
    influence = torch.stack([fitted.influence(group) for group in groups], 1)
    tensors = [torch.tensor(group) for group in groups]
    assert close(fit.group_influence(k_test_train, test_residual, tensors), influence)
    for wrong in ([3, 3], [15], [-1], [True, False]):
        with pytest.raises(ValueError, match="group: expected a list of distinct training rows, whole numbers from 0"):
            fit.group_influence(k_test_train, test_residual, [torch.tensor(wrong)])


def test_leverage_and_leave_one_out_residual(fitted):
    fit, *_ = linearize(fitted)
    hessian = torch.einsum("iap,iaq->pq", fitted.j, fitted.j)
    hessian.diagonal().add_(RIDGE)
    blocks = torch.einsum("iap,pq,ibq->iab", fitted.j, torch.linalg.inv(hessian), fitted.j)
    assert close(fit.leverage.reshape(blocks.shape), blocks)
    left_out = torch.stack(
        [
            fitted.predict(fitted.minimise([j for j in range(15) if j != i]), fitted.j, fitted.p.x_train)[i]
            for i in range(15)
        ]
    )
    assert close(fit.loo_residual, left_out - fitted.p.y_train)
    assert close(fit.residual, -RIDGE * fit.fit.dual.reshape(fit.residual.shape))


def test_ihvp_is_eq_12_in_parameters(fitted):
    fit, k_test_train, test_residual = linearize(fitted)
    hessian = torch.einsum("iap,iaq->pq", fitted.j, fitted.j)
    hessian.diagonal().add_(RIDGE)
    train, test = (
        torch.einsum("iap,ia->ip", j, r) for j, r in ((fitted.j, fit.residual), (fitted.j_test, test_residual))
    )
    assert close(fit.ihvp_influence(k_test_train, test_residual), test @ torch.linalg.solve(hessian, train.T))


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


def test_a_network_that_is_not_trained(fitted):
    p = fitted.p
    arrays = p.x_train, p.y_train, p.x_test, p.y_test
    assert gradient_share(fitted.start, fitted.start, p.x_train, p.y_train, RIDGE) == pytest.approx(1, rel=1e-12)
    with pytest.raises(NotStationaryError, match=r"is 1 of that of its losses, above the tolerance 0\.3"):
        network_influence(fitted.start, *arrays, RIDGE, start=fitted.start)
    near = fitted.trained()
    with torch.no_grad():
        near.trained.weight.mul_(0.95)
    share = gradient_share(near, fitted.start, p.x_train, p.y_train, RIDGE)
    assert 0.01 < share < 0.3
    with pytest.warns(UserWarning, match=f"trained weights is {share:.2g} of that of its losses"):
        network_influence(near, *arrays, RIDGE, start=fitted.start)
    network_influence(near, *arrays, RIDGE, start=None)  # no check, and so no warning: they are errors here


def test_the_share_by_plain_gradients(fitted):
    module, p = fitted.start, fitted.p
    moved = fitted.trained()
    with torch.no_grad():
        moved.trained.bias += 1
    parameters = [moved.trained.weight, moved.trained.bias]
    loss = (moved(p.x_train) - p.y_train).square().sum() / 2
    penalty = sum(
        (a - b).square().sum() for a, b in zip(parameters, (module.trained.weight, module.trained.bias), strict=True)
    )
    whole, pull = (
        torch.cat([g.flatten() for g in torch.autograd.grad(value, parameters, retain_graph=True)]).norm()
        for value in (loss + RIDGE / 2 * penalty, loss)
    )
    assert gradient_share(moved, module, p.x_train, p.y_train, RIDGE) == pytest.approx(float(whole / pull), rel=1e-12)


@pytest.mark.parametrize("kind", ["module", "two-layer network"])
def test_a_perfect_fit_is_a_minimum_where_the_network_has_not_moved(fitted, kind):
    """Where the losses have no gradient: with nothing to learn no point matters; else the ridge pulls back."""
    p, start, moved = fitted.p, fitted.start, fitted.trained()
    if kind == "two-layer network":
        start, moved = (random_network(6, width=32, init_scale=1.0, seed=s, outputs=fitted.outputs) for s in (0, 1))
    arrays = p.x_train, predict(start, p.x_train), p.x_test, p.y_test
    assert gradient_share(start, start, *arrays[:2], RIDGE) == 0
    assert not network_influence(start, *arrays, RIDGE, start=start).any()
    arrays = p.x_train, predict(moved, p.x_train), p.x_test, p.y_test
    assert gradient_share(moved, start, *arrays[:2], RIDGE) == math.inf
    with pytest.raises(NotStationaryError, match=r"is only that of its ridge, as its losses have none, above the tol"):
        network_influence(moved, *arrays, RIDGE, start=start)
    assert not network_influence(moved, *arrays, RIDGE, start=None).any()


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


def test_cross_entropy_is_a_newton_step():
    """One step of Newton's method without the point, in the parameters, from those of the whole set."""
    fitted = Fitted(3)
    p, module, j = fitted.p, fitted.trained(), fitted.j
    with torch.no_grad():
        f, f_test = module(p.x_train), module(p.x_test)
    gradient, curvature = CROSS_ENTROPY.gradient(f, p.y_train), CROSS_ENTROPY.curvature(f)
    fit = linearized_fit(tangent_kernel(module, p.x_train), gradient, RIDGE, curvature=curvature)
    k_test_train = tangent_kernel(module, p.x_test, p.x_train)
    change = fit.loo_change(k_test_train)
    influence = network_influence(
        module, p.x_train, p.y_train, p.x_test, p.y_test, RIDGE, start=None, loss=CROSS_ENTROPY, block_size=2
    )
    hessians = torch.einsum("iap,iab,ibq->ipq", j, curvature, j)
    whole = hessians.sum(0) + RIDGE * torch.eye(j.shape[2], dtype=j.dtype)
    for i in range(15):
        step = torch.linalg.solve(whole - hessians[i], gradient[i] @ j[i])
        assert torch.allclose(change[:, i], fitted.j_test @ step, rtol=0, atol=1e-12)
        without = CROSS_ENTROPY.value(f_test + fitted.j_test @ step, p.y_test)
        assert torch.allclose(influence[:, i], without - CROSS_ENTROPY.value(f_test, p.y_test), rtol=0, atol=1e-12)
    classic = fit.ihvp_influence(k_test_train, CROSS_ENTROPY.gradient(f_test, p.y_test))
    train, test = (
        torch.einsum("iap,ia->ip", jj, g)
        for jj, g in ((j, gradient), (fitted.j_test, CROSS_ENTROPY.gradient(f_test, p.y_test)))
    )
    assert torch.allclose(classic, test @ torch.linalg.solve(whole, train.T), rtol=0, atol=1e-12)
    with pytest.raises(ValueError, match="expected a network trained on half squared errors"):
        fit.loo_influence(k_test_train, f_test - p.y_test)


@pytest.mark.parametrize("loss", [SQUARES, CROSS_ENTROPY], ids=["squares", "cross-entropy"])
def test_losses_by_automatic_differentiation(loss):
    f = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    y = torch.eye(3, dtype=torch.float64)[[0, 2, 1, 0]]
    assert torch.allclose(torch.autograd.grad(loss.value(f, y).sum(), f)[0], loss.gradient(f, y).detach(), atol=1e-15)
    found = loss.curvature(f.detach()) if loss.curvature else torch.eye(3, dtype=torch.float64).expand(4, 3, 3)
    for row in range(4):
        truth = torch.autograd.functional.hessian(lambda g, row=row: loss.value(g, y[row]), f[row].detach())
        assert torch.allclose(found[row], truth, atol=1e-15)
    if loss is CROSS_ENTROPY:
        torch_says = nn.functional.cross_entropy(f, y, reduction="none")
        assert torch.allclose(loss.value(f, y), torch_says)


def softmax_by_many_digits(f):
    """Gradient for each right class, (c, c), and curvature, (c, c), of the cross-entropy at c outputs."""
    e = [mpmath.exp(mpmath.mpf(float(value))) for value in f]
    p = mpmath.matrix([value / sum(e) for value in e])
    one = mpmath.eye(len(e))
    return mpmath.ones(len(e), 1) * p.T - one, mpmath.diag(p) - p * p.T


def doubles(matrix):
    rows = [[float(matrix[i, j]) for j in range(matrix.cols)] for i in range(matrix.rows)]
    return torch.tensor(rows, dtype=torch.float64)


SURE = ([0.0, 40.0], [0.0, 50.0, 0.0], [3.0, 0.5, 37.0], [0.0, 40.0, 41.0], [0.0, 0.3, -0.2], [0.0, 300.0, 500.0])


@pytest.mark.parametrize("f", SURE, ids=str)
def test_the_softmax_keeps_its_digits_where_a_probability_nears_one(f):
    """Each entry to 14 digits; and the rows of the curvature still sum to zero."""
    c = len(f)
    with mpmath.workdps(500):
        gradient, curvature = (doubles(matrix) for matrix in softmax_by_many_digits(f))
    outputs = torch.tensor(f, dtype=torch.float64)
    found = CROSS_ENTROPY.gradient(outputs.expand(c, c), torch.eye(c, dtype=torch.float64))
    assert torch.allclose(found, gradient, rtol=1e-14, atol=0)
    found = CROSS_ENTROPY.curvature(outputs)
    assert torch.allclose(found, curvature, rtol=1e-14, atol=0)
    assert (found.sum(1).abs() <= 1e-15 * found.abs().amax(1)).all()


def newton_by_many_digits(j, j_test, f, y):
    """(k, n, c) change of the linearised test predictions by one Newton step without each point."""

    def matrix(values):
        return mpmath.matrix(values.tolist())

    gradients, hessians = [], []
    for own, outputs, right in zip(j, f, y.argmax(1).tolist(), strict=True):
        gradient, curvature = softmax_by_many_digits(outputs)
        gradients.append((gradient[right, :] * matrix(own)).T)
        hessians.append(matrix(own).T * curvature * matrix(own))
    whole = RIDGE * mpmath.eye(j.shape[2])
    for hessian in hessians:
        whole += hessian
    steps = [mpmath.lu_solve(whole - h, g) for h, g in zip(hessians, gradients, strict=True)]
    moved = doubles(matrix(j_test.flatten(0, 1)) * mpmath.matrix([list(step) for step in steps]).T)
    return moved.reshape(len(j_test), -1, len(j)).transpose(1, 2)


@pytest.mark.parametrize("f", [f for f in SURE if len(f) == 3 and max(f) < 100], ids=str)
@pytest.mark.parametrize("right", [0, 1, 2])
def test_cross_entropy_of_a_sure_network_is_a_newton_step_to_twelve_digits(f, right):
    """Of a point with a right label, with a wrong one, and with one that has no chance beside two that compete."""
    generator = torch.Generator().manual_seed(1)
    j, j_test, others = (
        torch.randn(*size, generator=generator, dtype=torch.float64) for size in ((5, 3, 8), (2, 3, 8), (4, 3))
    )
    f = torch.cat([torch.tensor([f], dtype=torch.float64), others])
    y = torch.eye(3, dtype=torch.float64)[[right, 0, 1, 2, 0]]
    k, k_test = (torch.einsum("iap,jbp->ijab", one, j) for one in (j, j_test))
    fit = linearized_fit(k, CROSS_ENTROPY.gradient(f, y), RIDGE, curvature=CROSS_ENTROPY.curvature(f))
    with mpmath.workdps(100):
        truth = newton_by_many_digits(j, j_test, f, y)
    error, size = (values.abs().amax((0, 2)) for values in (fit.loo_change(k_test) - truth, truth))
    assert (error <= 1e-12 * size).all()


def test_a_class_without_any_chance_is_refused():
    """A probability of exp(-1000) is zero in float64, and so is its row of the curvature: nothing leads back."""
    f, y = torch.tensor([[0.0, 999.0, 1000.0]] * 2).double(), torch.eye(3, dtype=torch.float64)[[2, 0]]
    k = torch.eye(6, dtype=torch.float64).reshape(2, 3, 2, 3).transpose(1, 2)
    with pytest.raises(ValueError, match=r"range of the curvature, but that of training point 1 is off by 1\.0e\+00"):
        linearized_fit(k, CROSS_ENTROPY.gradient(f, y), RIDGE, curvature=CROSS_ENTROPY.curvature(f))


def test_wrong_input(fitted):
    fit, k_test_train, test_residual = linearize(fitted)
    n, c = fit.residual.shape
    other = k_test_train[:, :, None, None] if c == 1 else k_test_train[:, :, 0, 0]
    with pytest.raises(ValueError, match=r"k_test_train: expected \d dimensions as the training kernel"):
        fit.loo_change(other)
    with pytest.raises(ValueError, match="test_residual: expected a matrix of shape"):
        fit.loo_influence(k_test_train, test_residual[:2]) if c == 1 else fit.ihvp_influence(
            k_test_train, test_residual[:2]
        )
    with pytest.raises(ValueError, match=rf"k_train_train: expected shape .*for residuals of shape \({n}, {c}\)"):
        linearized_fit(torch.eye(n, dtype=torch.float64)[:, :-1], fit.residual, RIDGE)
    with pytest.raises(ValueError, match="damping: expected zero or a positive number, got -1"):
        linearized_fit(torch.eye(n, dtype=torch.float64), fit.residual, RIDGE, damping=-1.0)
    with pytest.raises(ValueError, match=r"ridge: expected a positive number, got 0\.0"):
        linearized_fit(torch.eye(n, dtype=torch.float64), fit.residual, 0.0)
    with pytest.raises(ValueError, match="k_train_train: expected shape"):
        linearized_fit(torch.eye(n, dtype=torch.float64), fit.residual, RIDGE, curvature=torch.zeros(n, c, c))


def test_wrong_input_of_a_network(fitted):
    p, module, c = fitted.p, fitted.trained(), fitted.outputs
    arrays = [p.x_train, p.y_train, p.x_test, p.y_test]
    with pytest.raises(ValueError, match=r"y_train: expected a matrix of shape \(15, \d\), got shape \(15,\)"):
        network_influence(module, p.x_train, p.y_train[:, 0], *arrays[2:], RIDGE, start=None)
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
    with pytest.raises(ValueError, match="loss: expected half squares with the traced kernel or a single output"):
        network_influence(module, *arrays, RIDGE, start=None, loss=CROSS_ENTROPY, traced=True)
    module.features.train()
    with pytest.raises(ValueError, match="network: expected one in evaluation mode, all parts of it"):
        network_influence(module, *arrays, RIDGE, start=None)
    network = random_network(6, width=8, init_scale=1.0, seed=0, outputs=c)
    with pytest.raises(ValueError, match=r"x_test: expected points of shape \(6,\) as the training points, got \(3,\)"):
        network_influence(network, *arrays[:2], p.x_test[:, :3], p.y_test, RIDGE, start=None)
