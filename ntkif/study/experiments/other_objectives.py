"""Experiments on networks that were not trained as the formula assumes: stopped early, or on cross-entropy."""

from collections.abc import Sequence
from functools import partial

import pandas as pd
import torch

from ntkif.data import Dataset
from ntkif.influence.flow import influence_at
from ntkif.influence.linearized import linearized_fit
from ntkif.influence.stationary import gradient_share
from ntkif.kernels.infinite import ntk
from ntkif.kernels.tangent import tangent_kernel
from ntkif.metrics import agreement, misfit, share
from ntkif.networks.descent import safe_learning_rate
from ntkif.networks.losses import CROSS_ENTROPY, change_of_loss
from ntkif.networks.modules import Antisymmetric, Mlp, predict, train_module
from ntkif.networks.two_layer import random_network
from ntkif.regression.flow import kernel_flow
from ntkif.retraining.leave_one_out import leave_one_out, true_influence
from ntkif.retraining.selection import most_influential
from ntkif.study.experiments.network_dynamics import train_until

__all__ = ["cross_entropy_scores", "early_stopped_scores"]


def early_stopped_scores(
    dataset: Dataset,
    times: Sequence[float],
    factors: Sequence[float],
    *,
    width: int,
    removals: int,
    seeds: Sequence[int],
) -> pd.DataFrame:
    """Own-kernel influence of networks trained without a ridge for a time t, with a damping of factor / t.

    Beside it what is exact for a constant kernel, gradient flow for the same time (Eq. 20), with the network's own
    kernel and with the paper's. The two-layer network starts symmetrically, at zero.

    Args:
        dataset: training and test images.
        times: of training, in units of the flow (3), rising.
        factors: dampings, in units of 1 / t.
        width: hidden neurons.
        removals: training points to leave out.
        seeds: one network each.

    Returns:
        a row for each seed, time and method: seed, time, method ("damping", "own kernel, flow" or "analytic kernel,
        flow"), factor (absent but for damping), pearson, spearman, slope, relative_error, and the share of training
        images that the network has wrong (train_error).
    """
    x, y, x_test, y_test = dataset.x_train, dataset.y_train, dataset.x_test, dataset.y_test
    left_out = most_influential(dataset, 1 / times[len(times) // 2], removals)
    analytic = kernel_flow(ntk(x), y, 0.0), ntk(x_test, x)
    rows = []
    for seed in seeds:
        shape = {"width": width, "init_scale": 1.0, "symmetric": True, "outputs": y.shape[1]}
        start = random_network(x.shape[1], **shape, seed=seed, dtype=x.dtype, device=x.device)
        # The largest power of ten times 1, 2 or 5 that is safe divides every time.
        rate = _round_down(safe_learning_rate(start, x, 0.0))
        trained = list(leave_one_out(partial(train_until, start, times=times, learning_rate=rate), x, y, left_out))
        for time, (network, *without) in zip(times, zip(*trained, strict=True), strict=True):
            residual, test_residual = predict(network, x) - y, predict(network, x_test) - y_test
            truth = true_influence([predict(each, x_test) for each in (network, *without)], y_test)
            own, own_test = tangent_kernel(network, x), tangent_kernel(network, x_test, x)
            flows = {"own kernel, flow": (kernel_flow(own, y, 0.0), own_test), "analytic kernel, flow": analytic}
            key = {"seed": seed, "time": time, "train_error": share(misfit(residual + y, y))}
            for factor in factors:
                fit = linearized_fit(own, residual, 0.0, damping=factor / time)
                predicted = fit.loo_influence(own_test, test_residual)[:, left_out]
                rows.append(key | {"method": "damping", "factor": factor} | agreement(predicted, truth))
            for method, (flow, k_test_train) in flows.items():
                # Targets so moved that the residual is the network's.
                targets = flow.predict(k_test_train, time) - test_residual
                predicted = influence_at(flow, k_test_train, targets, time).influence[:, left_out]
                rows.append(key | {"method": method} | agreement(predicted, truth))
    return pd.DataFrame(rows)


def cross_entropy_scores(
    dataset: Dataset, ridges: Sequence[float], *, width: int, removals: int, seeds: Sequence[int], iterations: int
) -> pd.DataFrame:
    """Own-kernel influence on the cross-entropy of an MLP trained on it, with the curvature and without.

    Args:
        dataset: training and test images, of one-hot targets, or of one output that is -1 or 1.
        ridges: penalties λ of the training.
        width: of both hidden layers.
        removals: training points to leave out.
        seeds: one network each.
        iterations: of L-BFGS.

    Returns:
        a row for each ridge, seed and method: ridge, seed, method ("leave-one-out", "IHVP", both with the curvature of
        the loss, or "as if squared", leave-one-out without it), pearson, spearman, slope, relative_error; confidence,
        the mean probability of the right class over the training images; and gradient, see `gradient_share`.
    """
    x, x_test = dataset.x_train, dataset.x_test
    y, y_test = _one_hot(dataset.y_train), _one_hot(dataset.y_test)
    rows = []
    for ridge in ridges:
        left_out = most_influential(dataset, ridge, removals)
        for seed in seeds:
            start = Antisymmetric(Mlp(x.shape[1], width=width, outputs=y.shape[1], seed=seed)).to(x)

            def fit(x, y, start=start, ridge=ridge):
                return train_module(start, x, y, ridge, loss=CROSS_ENTROPY, iterations=iterations)

            network, *without = leave_one_out(fit, x, y, left_out)
            f, f_test = predict(network, x), predict(network, x_test)
            truth = true_influence([f_test, *(predict(each, x_test) for each in without)], y_test, CROSS_ENTROPY.value)
            k_train_train, k_test_train = tangent_kernel(network, x), tangent_kernel(network, x_test, x)
            gradient, test_gradient = CROSS_ENTROPY.gradient(f, y), CROSS_ENTROPY.gradient(f_test, y_test)
            curved = linearized_fit(k_train_train, gradient, ridge, curvature=CROSS_ENTROPY.curvature(f, y))
            squared = linearized_fit(k_train_train, gradient, ridge)
            changes = {
                "leave-one-out": curved.loo_change(k_test_train),
                "as if squared": squared.loo_change(k_test_train),
            }
            estimates = {
                method: change_of_loss(CROSS_ENTROPY.value, f_test, change, y_test)
                for method, change in changes.items()
            } | {"IHVP": curved.ihvp_influence(k_test_train, test_gradient)}
            key = {
                "ridge": ridge,
                "seed": seed,
                "confidence": float((f.softmax(1) * y).sum(1).mean()),
                "gradient": gradient_share(network, start, x, y, ridge, loss=CROSS_ENTROPY),
            }
            rows += [
                key | {"method": method} | agreement(estimate[:, left_out], truth)
                for method, estimate in estimates.items()
            ]
    return pd.DataFrame(rows)


def _one_hot(y: torch.Tensor) -> torch.Tensor:
    """(n, c) one-hot targets, of two classes where the targets are one column of -1 and 1."""
    return torch.cat([y > 0, y < 0], 1).to(y) if y.shape[1] == 1 else y


def _round_down(rate: float) -> float:
    return max(step * 10.0**e for e in range(-6, 1) for step in (1, 2, 5) if step * 10.0**e <= rate)
