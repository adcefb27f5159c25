"""Experiments on the IHVP of finite networks: its limit (Proposition 1), and what iterative solvers make of it."""

import copy
from collections.abc import Sequence

import pandas as pd
import torch

from ntkif.data import Dataset
from ntkif.influence.closed_form import ihvp_influence
from ntkif.influence.ihvp import network_ihvp
from ntkif.influence.solvers import DivergenceError, network_ihvp_cg, network_ihvp_lissa
from ntkif.kernels.infinite import ntk
from ntkif.metrics import agreement, share
from ntkif.networks.descent import train
from ntkif.networks.two_layer import TwoLayer, random_networks
from ntkif.regression.ridge import ridge_fit

__all__ = ["proposition_1_errors", "solver_errors"]

_SOLVERS = {"cg": network_ihvp_cg, "lissa": network_ihvp_lissa}


@torch.no_grad()
def proposition_1_errors(
    dataset: Dataset,
    ridge: float,
    widths: Sequence[int],
    starts: Sequence[tuple[float, bool]],
    seeds: Sequence[int],
    **training,
) -> pd.DataFrame:
    """IHVP of trained networks (Eq. 12, exactly) against its limit (Eq. 13), over widths and starts.

    Args:
        dataset: training and test images, of any number of outputs.
        ridge: penalty λ.
        widths: numbers of hidden neurons.
        starts: pairs of `init_scale` and `symmetric`, see `random_network`.
        seeds: one network each.
        **training: keywords of `train`.

    Returns:
        a row for each network: width, init_scale, symmetric, seed; the agreement of its IHVP with the limit (pearson,
        spearman, slope, relative_error); the relative error |r_nn - r_ntk| / |r_ntk| of its residuals at the training
        and at the test points (train_residual, test_residual); how far its IHVP is from the limit where the residuals
        are those of the kernel predictor and only the Hessian is the network's, as a relative error (hessian); the
        share of gates that flipped (flips); the share of pairs of neuron and training point within 1e-6 |w_r| of the
        kink (on_kink); epochs and unsettled, see `Training`.
    """
    x, y, x_test, y_test = dataset.x_train, dataset.y_train, dataset.x_test, dataset.y_test
    fit, k_test_train = ridge_fit(ntk(x), y, ridge), ntk(x_test, x)
    limit, kernel_test = ihvp_influence(fit, k_test_train, y_test), fit.predict(k_test_train)
    rows = []
    for key, start in random_networks(x, widths, starts, seeds, outputs=y.shape[1]):
        trained = train(start, x, y, ridge, **training)
        network = trained.network
        train_prediction, test_prediction = network.predict(x), network.predict(x_test)
        # With targets moved by f_nn - f_ntk, the residuals are those of the kernel predictor.
        moved = train_prediction - fit.residual, y_test + test_prediction - kernel_test
        response = (network.weights / network.weights.norm(dim=1, keepdim=True)) @ x.T
        rows.append(
            key
            | agreement(network_ihvp(network, x, y, x_test, y_test, ridge), limit)
            | {
                "train_residual": _relative(train_prediction - y, fit.residual),
                "test_residual": _relative(test_prediction - y_test, kernel_test - y_test),
                "hessian": _relative(network_ihvp(network, x, moved[0], x_test, moved[1], ridge), limit),
                "flips": share(network.gates(x) != start.gates(x)),
                "on_kink": share(response.abs() < 1e-6),
                "epochs": trained.epochs,
                "unsettled": trained.unsettled,
            }
        )
    return pd.DataFrame(rows)


def solver_errors(
    network: TwoLayer, dataset: Dataset, ridge: float, settings: Sequence[dict], test_points: int
) -> pd.DataFrame:
    """What iterative solvers of Eq. 12 find, against the exact solution in float64 without damping.

    Args:
        network: trained on the data set, in float64.
        dataset: training and test images.
        ridge: penalty λ of the training.
        settings: for each row of the result the solver, "cg" or "lissa", its keywords, and optionally the dtype.
        test_points: only the first so many test points.

    Returns:
        a row for each setting: what it sets; iterations; the largest relative residual, by the solver's own system
        (residual); converged; diverged, with what follows absent where it is true; and the agreement with the exact
        IHVP (pearson, spearman, slope, relative_error).
    """
    arrays = dataset.x_train, dataset.y_train, dataset.x_test[:test_points], dataset.y_test[:test_points]
    truth = network_ihvp(network, *arrays, ridge)
    rows = []
    for setting in settings:
        keywords = dict(setting)
        solver, dtype = _SOLVERS[keywords.pop("solver")], keywords.pop("dtype", torch.float64)
        same = copy.deepcopy(network).to(dtype)
        row = {name: str(value) if name == "dtype" else value for name, value in setting.items()}
        try:
            found = solver(same, *(array.to(dtype) for array in arrays), ridge, **keywords)
        except DivergenceError:
            rows.append(row | {"converged": False, "diverged": True})
            continue
        rows.append(
            row
            | {"iterations": found.iterations, "residual": float(found.residual.max())}
            | {"converged": found.converged, "diverged": False}
            | agreement(found.influence.double(), truth)
        )
    return pd.DataFrame(rows)


def _relative(found: torch.Tensor, truth: torch.Tensor) -> float:
    return float((found - truth).norm() / truth.norm())
