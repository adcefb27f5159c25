"""Wrong labels in the training set of a classifier that was trained as people train: which score finds them."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace

import pandas as pd
import torch
from torch import nn

from ntkif.data import Dataset
from ntkif.kernels.infinite import ntk
from ntkif.networks.modules import predict
from ntkif.regression.ridge import ridge_fit
from ntkif.scores import detection_auc
from ntkif.study.experiments.experiment import Column, experiment
from ntkif.study.experiments.practice import SETTINGS, Setting, record_setting
from ntkif.study.experiments.practice_methods import balance, own_kernel
from ntkif.study.experiments.trained_networks import draw, rows_of
from ntkif.training.recorded import RecordedTraining

__all__ = ["LABEL_SCORES", "label_scores", "suspicions"]

#: How suspicious a label is, the first four from the training alone; the fifth also wants clean test images; the last
#: knows the images and no network.
LABEL_SCORES = (
    "training loss, at the end",
    "training loss, mean over epochs",
    "loss without its fold",
    "self-influence, own kernel",
    "harm to test images, through training",
    "leave-one-out margin, infinite kernel",
)
_ROUNDED = 1e-3
_NAMES = ("cross-entropy, SGD", "cross-entropy, Adam", "cross-entropy, weight decay")


@experiment(
    "practice-labels",
    settings={
        "mini-mnist": {
            "cases": [asdict(replace(each, noise=0.1)) for each in SETTINGS if each.name in _NAMES],
            "seeds": [40, 41, 42],
            "n_train": 200,
            "n_test": 20,
            "folds": 20,
            "pool": 4,
        }
    },
    witness={
        "cases": [{"name": "SGD", "width": 8, "rate": 0.1, "batch_size": 8, "epochs": 6, "noise": 0.2}],
        "seeds": [0],
        "n_train": 40,
        "n_test": 6,
        "folds": 4,
        "pool": 7,
    },
    columns={
        "setting": Column.key("how the network was trained"),
        "seed": Column.key("of images, start, batches and wrong labels"),
        "score": Column.key("one of `LABEL_SCORES`"),
        "precision": Column.value("share of wrong labels among as many points as there are wrong labels, the first"),
        "auc": Column.value("how likely a wrong label is more suspicious than a right one", _ROUNDED),
        "share": Column.value("of wrong labels: what chance finds"),
    },
    slice=None,
)
def label_scores(dataset: Dataset, cases: list[dict], seeds: Sequence[int], **size) -> pd.DataFrame:
    """How many wrong labels each score finds.

    Args:
        dataset: images of several classes, of which each seed draws.
        cases: fields of `Setting`, with their share of wrong labels.
        seeds: of images, start, batches and wrong labels.
        **size: n_train and n_test images, `folds` of the recording, and `pool` as of `draw`.
    """
    return rows_of(_scored, dataset, [Setting(**fields) for fields in cases], seeds, size)


def _scored(
    setting: Setting, dataset: Dataset, seed: int, *, n_train: int, n_test: int, folds: int, pool: int
) -> Iterator[dict]:
    x, y, *test = draw(setting, dataset, n_train, n_test, seed, pool=pool)
    right = draw(replace(setting, noise=0.0), dataset, n_train, n_test, seed, pool=pool)[1]
    wrong = (y != right).any(1)
    run = record_setting(setting, x, y, seed, n_train=n_train, folds=folds)
    for name, score in suspicions(run, *test, setting.penalty(n_train)).items():
        found = wrong[score.argsort(descending=True, stable=True)[: int(wrong.sum())]]
        key = {"setting": setting.name, "seed": seed, "score": name}
        told = {"precision": float(found.double().mean()), "auc": detection_auc(score, wrong)}
        yield key | told | {"share": float(wrong.double().mean())}


def suspicions(
    run: RecordedTraining, x_test: torch.Tensor, y_test: torch.Tensor, penalty: float
) -> dict[str, torch.Tensor]:
    """(n,) each of `LABEL_SCORES` of the training points, larger where more suspicious.

    Args:
        run: the recorded training.
        x_test: (k, ...) clean test points.
        y_test: (k, c) their targets.
        penalty: of the sum of the losses; where zero what balances it.
    """
    tape = run.tape
    found = (
        tape.loss.value(predict(run.module, tape.x), tape.y),
        run.losses().mean(0),
        run.losses(unseen=True)[-1],
        own_kernel(run, penalty or balance(run)).self_influence(),
        -run.influence(x_test, y_test, trust=True).mean(0),
        -_margin(tape.x, tape.y),
    )
    return dict(zip(LABEL_SCORES, found, strict=True))


def _margin(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Output for the label less the largest other, by the fit to all other points."""
    fit = ridge_fit(ntk(nn.functional.normalize(x.flatten(1))), y, 1.0)
    outputs, own = y + fit.loo_residual, y > 0
    return outputs[own] - outputs.masked_fill(own, -torch.inf).amax(1)
