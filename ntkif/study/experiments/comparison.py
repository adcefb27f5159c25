"""A network retrained without each of some points, and what each method predicted of it (beyond the paper)."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import pandas as pd
import torch

from ntkif.data import Dataset
from ntkif.influence.closed_form import loo_influence
from ntkif.influence.linearized import LinearizedFit, linearized_fit
from ntkif.influence.stationary import gradient_share
from ntkif.kernels import Kernel
from ntkif.kernels.infinite import ntk
from ntkif.kernels.tangent import tangent_kernel
from ntkif.metrics import agreement, share
from ntkif.networks.modules import predict
from ntkif.networks.two_layer import TwoLayer
from ntkif.regression.ridge import ridge_fit
from ntkif.retraining.leave_one_out import leave_one_out, true_influence
from ntkif.study.experiments.experiment import AGREEMENT, Column

__all__ = [
    "KINKS",
    "METHODS",
    "SCORES",
    "Comparison",
    "compare_methods",
    "method_estimates",
    "method_scores",
    "removal_errors",
    "smaller_error",
]

#: What is compared: the kernel of the paper, the network's own (empirical) kernel in the classic estimate and in Eq. 9.
METHODS = ("analytic kernel", "own kernel, IHVP", "own kernel, leave-one-out")
#: The last with the weights that rest on kinks held there, see `kinks`; of two-layer networks with one output.
KINKS = "own kernel, kinks held"
#: What `method_scores` says of each comparison and method.
SCORES = {
    "removals": Column.value("points left out"),
    "method": Column.key("one of `METHODS`, or `KINKS`"),
    **AGREEMENT,
    "seconds": Column.clock("of the method"),
    "train_seconds": Column.clock("of the training of one network"),
    "gradient": Column.value("how far training is from a minimum, see `gradient_share`"),
    "leverage": Column.value("mean of the removed points"),
}


@dataclass(frozen=True, eq=False)
class Comparison:
    """One network, retrained without each of r points, and what each method predicted.

    Attributes:
        key: what tells the network from others.
        rows: the removed training points.
        truth: (k, r) influences found by retraining.
        predicted: (k, r) for each method, by its name.
        seconds: wall time of each method, and of the training of one network (train), by name.
        diagnostics: numbers about the whole network.
        by_removal: (r,) numbers about each removal, by name.
    """

    key: dict
    rows: list[int]
    truth: torch.Tensor
    predicted: dict[str, torch.Tensor]
    seconds: dict[str, float]
    diagnostics: dict[str, float]
    by_removal: dict[str, list[float]]


def compare_methods(
    key: dict,
    dataset: Dataset,
    ridge: float,
    rows: Sequence[int],
    start: torch.nn.Module,
    fit_network: Callable[[torch.Tensor, torch.Tensor], torch.nn.Module],
    *,
    kernel: Kernel = ntk,
    further: Callable | None = None,
) -> Comparison:
    """Train a network on all points and without each of some, and predict the difference by each method.

    Args:
        key: what tells the network from others.
        dataset: training and test images.
        ridge: penalty λ.
        rows: training points to leave out, one at a time.
        start: the network before training.
        fit_network: trains it on points and targets.
        kernel: of infinite width.
        further: makes a kernel of the trained network, for one more leave-one-out method, `KINKS`.

    Returns:
        the comparison.
    """
    x, y, x_test = dataset.x_train, dataset.y_train, dataset.x_test
    clock = _Clock()
    trained = leave_one_out(fit_network, x, y, rows)
    network = next(trained)
    seconds = {"train": clock.lap()}
    predictions = [predict(network, x_test)]
    predicted, cost, own = method_estimates(network, dataset, ridge, rows, kernel=kernel, further=further)
    # One number where outputs couple too: the mean of the eigenvalues of A_i.
    leverage = own.leverage if own.leverage.ndim == 1 else own.leverage.diagonal(dim1=1, dim2=2).mean(1)
    by_removal = {"leverage": leverage[rows].tolist()}
    for without in trained:
        predictions.append(predict(without, x_test))
        for name, value in _gate_flips(network, without, x, x_test).items():
            by_removal.setdefault(name, []).append(value)
    diagnostics = {"gradient": gradient_share(network, start, x, y, ridge)}
    truth = true_influence(predictions, dataset.y_test)
    return Comparison(key, list(rows), truth, predicted, seconds | cost, diagnostics, by_removal)


def method_estimates(
    network: torch.nn.Module,
    dataset: Dataset,
    ridge: float,
    rows: Sequence[int],
    *,
    kernel: Kernel = ntk,
    further: Callable | None = None,
) -> tuple[dict[str, torch.Tensor], dict[str, float], LinearizedFit]:
    """What each method predicts of a network that was trained on all points.

    Args:
        network: trained.
        dataset: training and test images.
        ridge: penalty λ of the training.
        rows: training points, of which the influence is asked.
        kernel: of infinite width.
        further: as of `compare_methods`.

    Returns:
        (k, r) influences and seconds, by method, and the network linearised.
    """
    x, y, x_test, y_test = dataset.x_train, dataset.y_train, dataset.x_test, dataset.y_test
    residual, test_residual = predict(network, x) - y, predict(network, x_test) - y_test
    clock, seconds = _Clock(), {}
    fit, k_test_train = ridge_fit(kernel(x, x), y, ridge), kernel(x_test, x)
    predicted = {METHODS[0]: loo_influence(fit, k_test_train, y_test)[:, rows]}
    seconds[METHODS[0]] = clock.lap()
    own, k_test_train = linearized_fit(tangent_kernel(network, x), residual, ridge), tangent_kernel(network, x_test, x)
    kernel_seconds = clock.lap()
    for name, method in zip(METHODS[1:], (own.ihvp_influence, own.loo_influence), strict=True):
        predicted[name] = method(k_test_train, test_residual)[:, rows]
        seconds[name] = kernel_seconds + clock.lap()
    if further is not None:
        kernel_on_kinks = further(network)
        held = linearized_fit(kernel_on_kinks(x, x), residual, ridge)
        predicted[KINKS] = held.loo_influence(kernel_on_kinks(x_test, x), test_residual)[:, rows]
        seconds[KINKS] = clock.lap()
    return predicted, seconds, own


def method_scores(comparisons: Iterable[Comparison]) -> pd.DataFrame:
    """How well each method predicts what retraining finds, over all test points and removals pooled.

    Returns:
        a row for each comparison and method: the key, and the columns of `SCORES`.
    """
    rows = []
    for c in comparisons:
        leverage = sum(c.by_removal["leverage"]) / len(c.rows)
        for method, predicted in c.predicted.items():
            cost = {"seconds": c.seconds[method], "train_seconds": c.seconds["train"]}
            of_network = c.diagnostics | {"leverage": leverage}
            told = {"removals": len(c.rows), "method": method}
            rows.append(c.key | told | agreement(predicted, c.truth) | cost | of_network)
    return pd.DataFrame(rows)


def removal_errors(comparisons: Iterable[Comparison], method: str = METHODS[2]) -> pd.DataFrame:
    """Where a method fails: its error for each removal, beside what changed in the network.

    Returns:
        a row for each comparison and removal: the key; removed; relative_error over the test points; leverage; and of
        a two-layer network, from the network to that trained without the point, the shares of gates that flipped at
        training points (flips) and at test points (test_flips).
    """
    rows = []
    for c in comparisons:
        error = (c.predicted[method] - c.truth).norm(dim=0) / c.truth.norm(dim=0)
        each = {"removed": c.rows, "relative_error": error.tolist(), **c.by_removal}
        rows += [c.key | dict(zip(each, values, strict=True)) for values in zip(*each.values(), strict=True)]
    return pd.DataFrame(rows)


def smaller_error(table: pd.DataFrame, networks: Sequence[str], other: str, method: str = METHODS[2]) -> pd.Series:
    """Whether a method has a smaller relative error than another, for each network.

    Args:
        table: of `method_scores`.
        networks: columns that tell the networks apart.
        other: the method to beat.
        method: the one that should.

    Returns:
        booleans, by network.
    """
    error = table.set_index([*networks, "method"])["relative_error"].unstack("method")
    return error[method] < error[other]


class _Clock:
    """Seconds since the last lap."""

    def __init__(self):
        self.last = time.perf_counter()

    def lap(self) -> float:
        before, self.last = self.last, time.perf_counter()
        return self.last - before


def _gate_flips(network, without, x: torch.Tensor, x_test: torch.Tensor) -> dict[str, float]:
    if not isinstance(network, TwoLayer):
        return {}
    places = {"flips": x, "test_flips": x_test}
    return {name: share(network.gates(points) != without.gates(points)) for name, points in places.items()}
