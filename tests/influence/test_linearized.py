"""Linearised fits against models that are linear in their parameters, refitted by normal equations of these."""

import mpmath
import pytest
import torch
from linear_model import RIDGE, Fitted
from many_digits import SURE, doubles, softmax_by_many_digits
from problem import close

from ntkif.influence.linearized import linearized_fit
from ntkif.influence.network import network_influence
from ntkif.kernels.tangent import tangent_kernel
from ntkif.networks.losses import CROSS_ENTROPY


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


def test_cross_entropy_is_a_newton_step():
    """One step of Newton's method without the point, in the parameters, from those of the whole set."""
    fitted = Fitted(3)
    p, module, j = fitted.p, fitted.trained(), fitted.j
    with torch.no_grad():
        f, f_test = module(p.x_train), module(p.x_test)
    gradient, curvature = CROSS_ENTROPY.gradient(f, p.y_train), CROSS_ENTROPY.curvature(f, p.y_train)
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
    fit = linearized_fit(k, CROSS_ENTROPY.gradient(f, y), RIDGE, curvature=CROSS_ENTROPY.curvature(f, y))
    with mpmath.workdps(100):
        truth = newton_by_many_digits(j, j_test, f, y)
    error, size = (values.abs().amax((0, 2)) for values in (fit.loo_change(k_test) - truth, truth))
    assert (error <= 1e-12 * size).all()


def test_a_class_without_any_chance_is_refused():
    """A probability of exp(-1000) is zero in float64, and so is its row of the curvature: nothing leads back."""
    f, y = torch.tensor([[0.0, 999.0, 1000.0]] * 2).double(), torch.eye(3, dtype=torch.float64)[[2, 0]]
    k = torch.eye(6, dtype=torch.float64).reshape(2, 3, 2, 3).transpose(1, 2)
    with pytest.raises(ValueError, match=r"range of the curvature, but that of training point 1 is off by 1\.0e\+00"):
        linearized_fit(k, CROSS_ENTROPY.gradient(f, y), RIDGE, curvature=CROSS_ENTROPY.curvature(f, y))


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
    flat = torch.zeros(n, c, c, dtype=torch.float64)
    with pytest.raises(ValueError, match="range of the curvature" if c == 1 else "k_train_train: expected shape"):
        linearized_fit(torch.eye(n, dtype=torch.float64), fit.residual, RIDGE, curvature=flat)
