"""The scores by which the field compares attributions, of one network that is really retrained (beyond the paper)."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import pandas as pd
import torch

from ntkif.data import Dataset
from ntkif.data.label_noise import flip_labels
from ntkif.influence.closed_form import group_influence
from ntkif.influence.linearized import LinearizedFit
from ntkif.kernels.infinite import ntk
from ntkif.kernels.tangent import tangent_kernel
from ntkif.metrics import agreement, half_squares, lds
from ntkif.networks.descent import safe_learning_rate, train
from ntkif.networks.two_layer import TwoLayer, random_network
from ntkif.regression.ridge import ridge_fit
from ntkif.scores import brittleness, detection_auc, summed_effects
from ntkif.study.experiments.comparison import method_estimates
from ntkif.study.experiments.experiment import Column, experiment

__all__ = ["SCORES", "SETS", "TRACIN", "field_scores", "interval"]

TRACIN = "TracIn at the end"
#: What tells the effect of a set as a whole, where the others sum over its points.
SETS = ("analytic kernel, whole sets", "own kernel, whole sets")
#: The scores, and what the column `of` holds for each.
SCORES = {
    "LDS": "share of the training images that a subset lacks",
    "detection AUC": "share of labels that were flipped",
    "brittleness": "most helpful training images left out",
}
_ROUNDED = 1e-4  # where training stops, and what ranks, make more of rounding
_SIZE = ("slope", "relative_error")


@dataclass(frozen=True, eq=False)
class _Retrained:
    """A network that can be trained again without some of its training images, from the same start."""

    data: Dataset
    ridge: float
    start: TwoLayer

    @cached_property
    def whole(self) -> TwoLayer:
        """Trained with all images."""
        return self.without(torch.arange(0))

    @cached_property
    def _rate(self) -> float:
        return safe_learning_rate(self.start, self.data.x_train, self.ridge)

    def without(self, rows: torch.Tensor) -> TwoLayer:
        kept = torch.ones(len(self.data.x_train), dtype=torch.bool)
        kept[rows] = False
        how = {"learning_rate": self._rate, "epochs": 10_000, "tolerance": 0.005}
        return train(self.start, self.data.x_train[kept], self.data.y_train[kept], self.ridge, **how).network

    def predict_without(self, rows: torch.Tensor) -> torch.Tensor:
        return (self.without(rows) if len(rows) else self.whole).predict(self.data.x_test)


@experiment(
    "field-scores",
    settings={
        "mnist": {
            "n_train": 200,
            "n_test": 20,
            "ridge": 1.0,
            "width": 256,
            "seeds": [0, 1, 2],
            "shares": [0.5, 0.1],
            "subsets": 30,
            "flipped": 0.1,
            "counts": [10, 30],
            "draws": 1000,
        }
    },
    witness={
        "n_train": 24,
        "n_test": 6,
        "ridge": 1.0,
        "width": 32,
        "seeds": [0],
        "shares": [0.5],
        "subsets": 4,
        "flipped": 0.2,
        "counts": [6],
        "draws": 20,
    },
    columns={
        "seed": Column.key("of the start of the network, of subsets and of flipped labels"),
        "score": Column.key("one of `SCORES`"),
        "of": Column.key("how much is left out or flipped, see `SCORES`"),
        "method": Column.key("one of `comparison.METHODS`, `TRACIN` or `SETS`"),
        "value": Column.value("of the score; of brittleness the share of predictions that flip", _ROUNDED),
        "low": Column.value("end of its bootstrap interval, 2.5 %: over subsets, images or test images", _ROUNDED),
        "high": Column.value("97.5 %", _ROUNDED),
        "slope": Column.value("of predicted on true effects of subsets, through the origin; LDS alone", _ROUNDED),
        "relative_error": Column.value("of the same", _ROUNDED),
    },
    slice=None,
)
def field_scores(
    dataset: Dataset,
    n_train: int,
    n_test: int,
    ridge: float,
    width: int,
    seeds: Sequence[int],
    shares: Sequence[float],
    subsets: int,
    flipped: float,
    counts: Sequence[int],
    draws: int,
) -> pd.DataFrame:
    """Kernels, IHVP and TracIn judged by LDS, finding flipped labels and brittleness, all against real retraining.

    Args:
        dataset: training and test images.
        n_train: training images, the first.
        n_test: test images, the first.
        ridge: penalty λ.
        width: hidden neurons of a symmetric two-layer network.
        seeds: of starts.
        shares: of the training images that random subsets lack.
        subsets: of each size.
        flipped: share of training labels that are flipped for the detection.
        counts: how many of the most helpful images are left out for the brittleness.
        draws: of the bootstrap.
    """
    data, rows = dataset.head(n_train, n_test), []
    for seed in seeds:
        shape = {"width": width, "init_scale": 1.0, "outputs": data.y_train.shape[1], "symmetric": True, "seed": seed}
        start = random_network(data.x_train.shape[1], **shape, dtype=data.x_train.dtype)
        network = _Retrained(data, ridge, start)
        scored = [*_lds(network, shares, subsets, seed, draws), *_detection(network, flipped, seed, draws)]
        scored += _brittleness(network, counts, seed, draws)
        rows += [{"seed": seed} | each for each in scored]
    return pd.DataFrame(rows)


def _attributions(network: TwoLayer, data: Dataset, ridge: float) -> tuple[dict[str, torch.Tensor], LinearizedFit]:
    """(k, n) by each method, and the network linearised."""
    found, _, own = method_estimates(network, data, ridge, list(range(len(data.x_train))))
    gradient, test_gradient = network.predict(data.x_train) - data.y_train, network.predict(data.x_test) - data.y_test
    kernel = tangent_kernel(network, data.x_test, data.x_train)
    if kernel.ndim == 2:
        return found | {TRACIN: kernel * (test_gradient @ gradient.T)}, own
    return found | {TRACIN: torch.einsum("tiab,ta,ib->ti", kernel, test_gradient, gradient)}, own


def _lds(network: _Retrained, shares: Sequence[float], subsets: int, seed: int, draws: int) -> Iterator[dict]:
    data, whole = network.data, network.whole
    found, own = _attributions(whole, data, network.ridge)
    infinite, k_test_train = ridge_fit(ntk(data.x_train), data.y_train, network.ridge), ntk(data.x_test, data.x_train)
    residual = whole.predict(data.x_test) - data.y_test
    own_test = tangent_kernel(whole, data.x_test, data.x_train)
    generator = torch.Generator().manual_seed(seed)
    for share in shares:
        count = round(share * len(data.x_train))
        sets = [torch.randperm(len(data.x_train), generator=generator)[:count] for _ in range(subsets)]
        before = half_squares(whole.predict(data.x_test), data.y_test)
        truth = torch.stack([half_squares(network.predict_without(rows), data.y_test) - before for rows in sets], 1)
        predicted = {name: summed_effects(each, sets) for name, each in found.items()}
        predicted[SETS[0]] = group_influence(infinite, k_test_train, data.y_test, sets)
        predicted[SETS[1]] = own.group_influence(own_test, residual, sets)
        for method, estimate in predicted.items():
            value, low, high = lds(estimate, truth, draws=draws, seed=seed).values()
            size = {name: each for name, each in agreement(estimate, truth).items() if name in _SIZE}
            yield {"score": "LDS", "of": share, "method": method, "value": value, "low": low, "high": high} | size


def _detection(network: _Retrained, flipped: float, seed: int, draws: int) -> Iterator[dict]:
    noisy = flip_labels(network.data, flipped, seed)
    data = replace(noisy.dataset, x_test=noisy.dataset.x_train, y_test=noisy.dataset.y_train)
    found, _ = _attributions(replace(network, data=data).whole, data, network.ridge)
    for method, influence in found.items():
        suspicion = influence.diagonal()

        def area(rows, suspicion=suspicion):
            return detection_auc(suspicion[rows], noisy.flipped[rows])

        yield {"score": "detection AUC", "of": flipped, "method": method} | interval(
            area, len(suspicion), seed, draws, lambda rows: bool(noisy.flipped[rows].unique().numel() == 2)
        )


def _brittleness(network: _Retrained, counts: Sequence[int], seed: int, draws: int) -> Iterator[dict]:
    found, _ = _attributions(network.whole, network.data, network.ridge)
    for method, influence in found.items():
        flips = brittleness(influence, counts, network.predict_without).double()
        for count, each in zip(counts, flips.T, strict=True):

            def mean(rows, each=each):
                return float(each[rows].mean())

            yield {"score": "brittleness", "of": count, "method": method} | interval(mean, len(each), seed, draws)


def interval(
    score: Callable[[torch.Tensor], float],
    n: int,
    seed: int,
    draws: int,
    counts: Callable[[torch.Tensor], bool] = lambda rows: True,
) -> dict[str, float]:
    """A score and its bootstrap interval of percentiles, over n things drawn with replacement.

    Args:
        score: of rows.
        n: things.
        seed: of the draws.
        draws: of things.
        counts: whether a draw has a score.
    """
    drawn = torch.randint(n, (draws, n), generator=torch.Generator().manual_seed(seed))
    found = torch.tensor([score(rows) for rows in drawn if counts(rows)], dtype=torch.float64)
    low, high = found.quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return {"value": score(torch.arange(n)), "low": low, "high": high}
