"""Experiments on networks of finite width: how far they are from the kernel predictor, and so their influences."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby, product

import pandas as pd
import torch

from ntkif.data import Dataset
from ntkif.influence.closed_form import loo_influence
from ntkif.kernels.infinite import ntk
from ntkif.kernels.tangent import tangent_kernel
from ntkif.metrics import agreement, power_law
from ntkif.networks.two_layer import random_network, train
from ntkif.regression.ridge import ridge_fit
from ntkif.retraining import runs as kept_runs
from ntkif.retraining.protocol import Protocol, Retraining
from ntkif.study import paper
from ntkif.study.experiments.experiment import AGREEMENT, Column, experiment

__all__ = [
    "fitted_rates",
    "influence_pairs",
    "influence_scores",
    "live_protocol",
    "network_errors",
    "recorded_pairs",
    "recorded_scores",
    "start_name",
    "theorem_2_errors",
    "width_exponents",
]

_ZERO = 1e-12  # what is below is a rounding error of a zero, such as the outputs of a symmetric start


def network_errors(
    dataset: Dataset,
    ridge: float,
    widths: Sequence[int],
    starts: Sequence[tuple[float, bool]],
    seeds: Sequence[int],
    **training,
) -> pd.DataFrame:
    """Trained networks against the kernel predictor (Theorem 1), with what Lemmas 1 to 4 bound on the way.

    The linearisation is trained to its limit in closed form, f_lin = f_0 + K_te(0) (K_tr(0) + λI)^-1 (Y - f_0(X))
    (Eq. 46), with the network's own outputs f_0 and tangent kernel K(0) at the start.

    Args:
        dataset: training and test images, one output.
        ridge: penalty λ.
        widths: numbers of hidden neurons.
        starts: pairs of `init_scale` and `symmetric`, see `random_network`.
        seeds: one network each.
        **training: keywords of `train`.

    Returns:
        a row for each network: width, init_scale, symmetric, seed; over the test points the root mean square of
        f_nn - f_ntk (error), of f_nn - f_lin (network_linear, Lemma 4), of f_lin - f_ntk (linear_kernel) and of f_0
        (start); |f_nn(X) - f_lin(X)| (train_linear, Lemma 3); the largest movement of a neuron (movement, Lemma 1);
        from the start to the end, the change |K_tr(t) - K_tr(0)| in the spectral norm (kernel_change), the root mean
        square over test points of |K_te(t) - K_te(0)| (test_kernel_change) and |(J(t) - J(0))^T vec W(0)| over the
        training points (jacobian_change; all Lemma 2); |K_tr(0) - K_tr| in the spectral norm (kernel_noise, Eq. 50);
        the share of gates that flipped (flips); epochs and unsettled, see `Training`.
    """
    x, y, x_test = dataset.x_train, dataset.y_train, dataset.x_test
    both = torch.cat([x, x_test])
    kernel = ntk(x)
    truth = ridge_fit(kernel, y, ridge).predict(ntk(x_test, x))
    rows = []
    for width, (init_scale, symmetric), seed in product(widths, starts, seeds):
        # A seed of its own for each width, or networks of two widths would begin with the same random numbers.
        key = {"width": width, "init_scale": init_scale, "symmetric": symmetric, "seed": seed}
        own = 1_000_003 * seed + width
        start = random_network(x.shape[1], **key | {"seed": own}, dtype=x.dtype, device=x.device)
        trained = train(start, x, y, ridge, **training)
        end = trained.network
        (k_start, k_test_start), (k_end, k_test_end) = (
            tangent_kernel(net, both, x).tensor_split([len(x)]) for net in (start, end)
        )
        (f_start, f_test_start), (f_end, f_test_end) = (
            net.predict(both).tensor_split([len(x)]) for net in (start, end)
        )
        pull = ridge_fit(k_start.double(), (y - f_start).double(), ridge).dual.to(x.dtype)
        linear, linear_train = f_test_start + k_test_start @ pull, f_start + k_start @ pull
        flipped = end.gates(x).to(x.dtype) - start.gates(x).to(x.dtype)
        rows.append(
            key
            | {
                "error": _rms(f_test_end - truth),
                "network_linear": _rms(f_test_end - linear),
                "linear_kernel": _rms(linear - truth),
                "start": _rms(f_test_start),
                "train_linear": float((f_end - linear_train).norm()),
                "movement": trained.movement,
                "kernel_change": float(torch.linalg.matrix_norm(k_end - k_start, 2)),
                "test_kernel_change": _rms((k_test_end - k_test_start).norm(dim=1)),
                "jacobian_change": float((start.signs.T @ (flipped * (start.weights @ x.T))).norm() / width**0.5),
                "kernel_noise": float(torch.linalg.matrix_norm(k_start - kernel, 2)),
                "flips": float(flipped.abs().mean()),
                "epochs": trained.epochs,
                "unsettled": trained.unsettled,
            }
        )
    return pd.DataFrame(rows)


def start_name(init_scale: float, symmetric: bool) -> str:
    """A start in words.

    >>> start_name(1.0, True)
    'κ = 1, symmetric'
    """
    return f"κ = {init_scale:g}" + (", symmetric" if symmetric else "")


def live_protocol(
    ridge: float, width: int, init_scale: float = 0.01, symmetric: bool = False, seed: int = 0, **changed
) -> Protocol:
    """How the pages train small networks while one waits: in double precision, with a stop as soon as they settle.

    Args:
        ridge: penalty λ.
        width: hidden neurons.
        init_scale: κ; from 1 on the step is 0.02 and the stop 0.003, for smaller ones 0.008 and 0.01.
        symmetric: whether the network starts at zero.
        seed: of the initial weights.
        **changed: fields of `Protocol` that are to be others, for example `learning_rate`.
    """
    small = init_scale < 1
    usual = {"learning_rate": 0.008 if small else 0.02, "epochs": 3000, "tolerance": 0.01 if small else 0.003}
    return Protocol(ridge, width, init_scale, symmetric, seed, **usual | {"precision": "float64"} | changed)


def width_exponents(table: pd.DataFrame, column: str, starts: Sequence[tuple[float, bool]]) -> dict[str, float]:
    """Exponent b of a quantity ∝ width^b for some starts, by least squares on logarithms.

    Args:
        table: columns width, init_scale, symmetric and the quantity's; a row for each network.
        column: the quantity, above zero.
        starts: pairs of init_scale and symmetric.

    Returns:
        name of each start, see `start_name` -> b.
    """
    groups = table.groupby(["init_scale", "symmetric"])
    chosen = {start_name(*start): groups.get_group(start) for start in starts}
    return {name: power_law(group["width"], group[column])[0] for name, group in chosen.items()}


def fitted_rates(table: pd.DataFrame, columns: Sequence[str], over: str = "width") -> pd.DataFrame:
    """Exponent b of quantity ∝ over^b for each start, by least squares on logarithms, with its standard error.

    Args:
        table: columns init_scale, symmetric, `over` and those named; a row for each network.
        columns: quantities.
        over: what they depend on.

    Returns:
        a row for each start, a column "b ± error" for each quantity; one that is zero somewhere, to rounding, has none.
    """
    rows = {}
    for (init_scale, symmetric), group in table.groupby(["init_scale", "symmetric"]):
        fits = {name: power_law(group[over], group[name]) for name in columns if (group[name] > _ZERO).all()}
        rows[start_name(init_scale, symmetric)] = {name: f"{b:.2f} ± {error:.2f}" for name, (b, error) in fits.items()}
    return pd.DataFrame(rows).T.reindex(columns=list(columns))


def theorem_2_errors(dataset: Dataset, runs: Sequence[Retraining]) -> pd.DataFrame:
    """How far the influences of networks are from those of the kernel predictor, and the proof's bound on it (Eq. 54).

        |I_nn - I_ntk| <= (C + 1) (|f_nn - f_ntk| + |f_nn^{-i} - f_ntk^{-i}|)

    with C the largest prediction that occurs, for one output and targets of size at most 1.

    Args:
        dataset: training and test images, one output.
        runs: networks trained on it with and without each of some points.

    Returns:
        a row for each run: width, init_scale, symmetric, seed; over all pairs of test point and removed point the
        root mean square of I_nn - I_ntk (error), of I_nn (size) and of the bound (bound); the root mean square of
        f_nn - f_ntk over test points (prediction_error); and the number of pairs above the bound (violations).

    Raises:
        ValueError: several outputs, for which the bound is not stated.
    """
    if dataset.y_train.shape[1] != 1:
        raise ValueError(f"expected targets in one column, got {dataset.y_train.shape[1]} outputs; use two classes.")
    predictions = _by_ridge(dataset, runs, lambda fit, k: (fit.predict(k), fit.loo_predict(k)[:, :, 0]))
    rows = []
    for run in runs:
        whole, without = predictions[run.protocol.ridge]
        kernel = torch.cat([whole, without[:, run.rows]], 1).T
        network, y = run.predictions[:, :, 0].to(kernel), dataset.y_test[:, 0]
        off, largest = (network - kernel).abs(), float(torch.maximum(network.abs(), kernel.abs()).max())
        losses = [(prediction - y).square() / 2 for prediction in (network, kernel)]
        truth, predicted = (loss[1:] - loss[0] for loss in losses)
        bound = (largest + 1) * (off[1:] + off[0])
        rows.append(
            _start(run)
            | {
                "error": _rms(truth - predicted),
                "size": _rms(truth),
                "bound": _rms(bound),
                "prediction_error": _rms(off[0]),
                "violations": int(((truth - predicted).abs() > bound).sum()),
            }
        )
    return pd.DataFrame(rows)


def influence_scores(dataset: Dataset, runs: Sequence[Retraining]) -> pd.DataFrame:
    """How well the closed form predicts what retraining finds (Table 1), and how well another start does.

    Args:
        dataset: training and test images.
        runs: networks trained on it with and without each of some points.

    Returns:
        a row for each run and predictor: n, width, init_scale, symmetric, seed, ridge, removals; predictor, which is
        "closed form", or "another start" for the true influences of a run that differs in the seed alone; the
        agreement of the removed points' influences on the chosen test point (pearson, spearman, slope,
        relative_error); the same over all test points pooled (pooled_pearson, ...); and over test points one by one
        the Pearson correlation that 95 % exceed (pearson_low) and its median (pearson_median).
    """
    closed_form = _closed_form(dataset, runs)
    rows = []
    for run in runs:
        truth = run.influence(dataset.y_test).to(dataset.y_test)
        others = [other for other in runs if other is not run and _differ_in_seed(other, run)]
        predictors = {
            "closed form": [closed_form[run.protocol.ridge][:, run.rows]],
            "another start": [other.influence(dataset.y_test).to(truth) for other in others],
        }
        for predictor, estimates in predictors.items():
            for predicted in estimates:
                pooled, each = agreement(predicted, truth), _row_pearson(predicted, truth)
                rows.append(
                    {"n": len(dataset.x_train)}
                    | _start(run)
                    | {"ridge": run.protocol.ridge, "removals": len(run.rows), "predictor": predictor}
                    | agreement(predicted[run.test_point], truth[run.test_point])
                    | {f"pooled_{name}": value for name, value in pooled.items()}
                    | {"pearson_low": float(each.quantile(0.05)), "pearson_median": float(each.median())}
                )
    return pd.DataFrame(rows)


def influence_pairs(dataset: Dataset, runs: Sequence[Retraining]) -> pd.DataFrame:
    """The points of Figure 1: predicted and actual influence of each removed point on the chosen test point.

    Args:
        dataset: training and test images.
        runs: networks trained on it with and without each of some points.

    Returns:
        a row for each run and removed point: n, width, init_scale, symmetric, seed, test_point, removed (a row of
        the training set), predicted, actual.
    """
    closed_form = _closed_form(dataset, runs)
    rows = []
    for run in runs:
        predicted = closed_form[run.protocol.ridge][run.test_point, run.rows].tolist()
        actual = run.influence(dataset.y_test)[run.test_point].tolist()
        for removed, p, a in zip(run.rows.tolist(), predicted, actual, strict=True):
            key = {"n": len(dataset.x_train)} | _start(run) | {"test_point": run.test_point}
            rows.append(key | {"removed": removed, "predicted": p, "actual": a})
    return pd.DataFrame(rows)


@experiment(
    "table-1",
    settings={name: {} for name in paper.RIDGE},
    witness={},
    slice={},
    columns={
        "n": Column.key("training images"),
        "width": Column.key("hidden neurons"),
        "init_scale": Column.key("κ"),
        "symmetric": Column.key("whether the network starts at zero"),
        "seed": Column.key("of its start"),
        "ridge": Column.value("penalty λ"),
        "removals": Column.value("points left out"),
        "predictor": Column.key(
            "closed form, or another start: true influences of a run that differs in the seed alone"
        ),
        **AGREEMENT,
        **{
            f"pooled_{name}": Column.value(f"{column.meaning}, over all test points")
            for name, column in AGREEMENT.items()
        },
        "pearson_low": Column.value("Pearson's R that 95 % of the test points exceed"),
        "pearson_median": Column.value("median Pearson's R over test points"),
        "run": Column.value("digest of the run"),
    },
)
def recorded_scores(dataset: Dataset) -> pd.DataFrame:
    """`influence_scores` of all recorded runs on a data set, with the digest of each run."""
    return _over_sizes(dataset, influence_scores)


@experiment(
    "figure-1",
    settings={name: {} for name in paper.RIDGE},
    witness={},
    slice={},
    columns={
        "n": Column.key("training images"),
        "width": Column.key("hidden neurons"),
        "init_scale": Column.key("κ"),
        "symmetric": Column.key("whether the network starts at zero"),
        "seed": Column.key("of its start"),
        "test_point": Column.value("the chosen test image"),
        "removed": Column.key("the removed point, a row of the training set"),
        "predicted": Column.value("its influence on the test image in closed form"),
        "actual": Column.value("its influence found by retraining"),
        "run": Column.value("digest of the run"),
    },
)
def recorded_pairs(dataset: Dataset) -> pd.DataFrame:
    """`influence_pairs` of all recorded runs on a data set, with the digest of each run."""
    return _over_sizes(dataset, influence_pairs)


def _over_sizes(dataset: Dataset, function: Callable) -> pd.DataFrame:
    tables, kept = [], kept_runs.load_runs(dataset)
    if not kept:
        command = f"python -m ntkif retrain --dataset {dataset.name} ..."
        raise FileNotFoundError(f"no run of {dataset.name} in {kept_runs.FOLDER}: train first, `{command}`.")
    for size, group in groupby(kept, key=lambda run: (run.provenance["n_train"], run.provenance["n_test"])):
        runs = list(group)
        table = function(dataset.head(*size), runs)
        digests = {tuple(_start(run).values()): run.provenance["table"][:12] for run in runs}
        keys = table[["width", "init_scale", "symmetric", "seed"]].itertuples(index=False, name=None)
        tables.append(table.assign(run=[digests[key] for key in keys]))
    return pd.concat(tables, ignore_index=True)


def _start(run: Retraining) -> dict:
    return {name: getattr(run.protocol, name) for name in ("width", "init_scale", "symmetric", "seed")}


def _differ_in_seed(one: Retraining, other: Retraining) -> bool:
    same = replace(one.protocol, seed=0) == replace(other.protocol, seed=0)
    return same and one.protocol != other.protocol and one.rows.tolist() == other.rows.tolist()


def _by_ridge(dataset: Dataset, runs: Sequence[Retraining], function: Callable) -> dict[float, object]:
    """What a function of the fit and the test kernel returns for each ridge of the runs: one fit serves them all."""
    k_train_train, k_test_train = ntk(dataset.x_train), ntk(dataset.x_test, dataset.x_train)
    ridges = {run.protocol.ridge for run in runs}
    return {ridge: function(ridge_fit(k_train_train, dataset.y_train, ridge), k_test_train) for ridge in ridges}


def _closed_form(dataset: Dataset, runs: Sequence[Retraining]) -> dict[float, torch.Tensor]:
    """(k, n) influence of the kernel predictor for each ridge of the runs."""
    return _by_ridge(dataset, runs, lambda fit, k_test_train: loo_influence(fit, k_test_train, dataset.y_test))


def _row_pearson(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    a, b = (torch.nn.functional.normalize(values - values.mean(1, keepdim=True)) for values in (a, b))
    return (a * b).sum(1)


def _rms(values: torch.Tensor) -> float:
    return float(values.double().square().mean().sqrt())
