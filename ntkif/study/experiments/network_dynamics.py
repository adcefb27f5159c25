"""Influence along the training of a real, finite network, against the kernel's at the same time."""

from collections.abc import Sequence

import pandas as pd
import torch

from ntkif.data import Dataset
from ntkif.influence.flow import influence_along
from ntkif.kernels.infinite import ntk
from ntkif.metrics import agreement
from ntkif.networks.descent import train
from ntkif.networks.two_layer import TwoLayer, random_network
from ntkif.regression.flow import kernel_flow
from ntkif.retraining.leave_one_out import leave_one_out, true_influence

__all__ = ["network_influence_along", "train_until"]


def network_influence_along(
    dataset: Dataset,
    times: Sequence[float],
    points: Sequence[int],
    *,
    width: int,
    learning_rate: float,
    seed: int,
    ridge: float = 0.0,
) -> pd.DataFrame:
    """Influence of a network that is trained for a time with all points and without each of some, against Eq. 20's.

    The network starts symmetrically, at zero as the kernel predictor does.

    Args:
        dataset: training and test images.
        times: of the flow (3), rising.
        points: rows of the training set to leave out.
        width: hidden neurons.
        learning_rate: size of a step of gradient descent, in units of time.
        seed: of the start.
        ridge: penalty λ.

    Returns:
        a row for each time: time; the agreement of the kernel's influence with the network's over pairs of test
        images and points (pearson, spearman, slope, relative_error); and prediction_error, the relative error of the
        kernel's predictions on the test images.
    """
    flow = kernel_flow(ntk(dataset.x_train), dataset.y_train, ridge)
    start = random_network(
        dataset.x_train.shape[1],
        width=width,
        init_scale=1.0,
        seed=seed,
        outputs=dataset.y_train.shape[1],
        symmetric=True,
        dtype=dataset.x_train.dtype,
        device=dataset.x_train.device,
    )

    def predictions_along(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        networks = train_until(start, x, y, times, learning_rate=learning_rate, ridge=ridge)
        return torch.stack([network.predict(dataset.x_test) for network in networks])

    along = torch.stack(list(leave_one_out(predictions_along, dataset.x_train, dataset.y_train, points)))
    rows = []
    kernel = influence_along(flow, ntk(dataset.x_test, dataset.x_train), dataset.y_test, times)
    for place, timed in enumerate(kernel):
        full, actual = along[0, place], true_influence(along[:, place], dataset.y_test)
        error = float((timed.prediction - full).norm() / full.norm())
        scores = agreement(timed.influence[:, list(points)], actual)
        rows.append({"time": timed.time, **scores, "prediction_error": error})
    return pd.DataFrame(rows)


def train_until(
    start: TwoLayer,
    x: torch.Tensor,
    y: torch.Tensor,
    times: Sequence[float],
    *,
    learning_rate: float,
    ridge: float = 0.0,
) -> list[TwoLayer]:
    """The network after training for each of several times, by gradient descent from one start.

    Args:
        start: network at initialisation.
        x: (n, d) training points.
        y: (n, c) targets.
        times: rising, each a multiple of the learning rate.
        learning_rate: size of a step, in units of time.
        ridge: penalty λ. Without one, training goes on from time to time; with one, whose centre is the start, it
            begins anew for each.

    Raises:
        ValueError: times that do not rise, or are no multiples of the learning rate.
    """
    steps = [round(time / learning_rate) for time in times]
    exact = all(abs(count * learning_rate - time) < 1e-9 * time for count, time in zip(steps, times, strict=True))
    if not exact or sorted(set(steps)) != steps or steps[0] < 1:
        raise ValueError(f"times: expected rising multiples of the learning rate {learning_rate}, got {list(times)}.")
    networks, network, done = [], start, 0
    for count in steps:
        if ridge:
            network, done = start, 0
        network = train(network, x, y, ridge, learning_rate=learning_rate, epochs=count - done).network
        networks.append(network)
        done = count
    return networks
