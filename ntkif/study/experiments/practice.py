"""A trained classifier as people have one: which method tells what its training points did, and at what cost."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

import pandas as pd
import torch
from torch import nn

from ntkif.data import Dataset
from ntkif.influence.stationary import gradient_share
from ntkif.metrics import agreement, misfit, share
from ntkif.networks.losses import LOSSES
from ntkif.networks.modules import predict, train_module
from ntkif.study.experiments.experiment import AGREEMENT, Column, experiment
from ntkif.study.experiments.practice_methods import FIRST_ORDER, METHODS, every_method, start_of, timed
from ntkif.study.experiments.trained_networks import Case, draw, record_case, rows_of, seconds_by_torch, small_network
from ntkif.training.optimizers import SGD, Adam
from ntkif.training.recorded import RecordedTraining

__all__ = ["COLUMNS", "SETTINGS", "Setting", "practice_scores", "record_setting", "setting_scores"]

_BELOW_HEAD = 300  # images that the layers below a head were trained on
_ROUNDED = 1e-3  # steps of Adam, and a Hessian that is nearly singular, magnify rounding


@dataclass(frozen=True)
class Setting(Case):
    """A `Case` with a penalty.

    Attributes:
        ridge: of the sum of the losses, towards the start.
        decay: weight decay of the optimiser, beside the mean of the losses.
        settles: whether the learning rate falls to zero, as half a cosine.
        head: whether the last layer alone is trained, on layers trained on other images.
    """

    ridge: float = 0.0
    decay: float = 0.0
    settles: bool = False
    head: bool = False

    def penalty(self, n: int) -> float:
        """Of the sum of the losses of n points: a weight decay w beside their mean is n w."""
        return self.ridge + n * self.decay


_MANY = {"width": 32, "batch_size": 20}
_FULL = {"width": 32, "batch_size": None, "loss": "squares"}
#: As a page calls them.
SETTINGS = (
    Setting("squares, ridge, at a minimum", **_FULL, rate=0.3, epochs=250, ridge=10.0),
    Setting("cross-entropy, weight decay", **_MANY, rate=0.2, epochs=80, decay=0.005, settles=True),
    Setting("squares, stopped early", **_FULL, rate=0.2, epochs=100),
    Setting("cross-entropy, SGD", **_MANY, rate=0.05, epochs=30),
    Setting("cross-entropy, Adam", **_MANY, optimizer="adam", rate=3e-3, epochs=30),
    Setting("cross-entropy, Adam, ReLU", **_MANY, activation="relu", optimizer="adam", rate=3e-3, epochs=30),
    Setting("fine-tuned head", **_MANY, optimizer="adam", rate=3e-2, epochs=80, decay=0.005, settles=True, head=True),
)
#: Of a table of methods.
COLUMNS = {
    "setting": Column.key("how the network was trained"),
    "seed": Column.key("of images, start and batches"),
    "method": Column.key("one of `METHODS`, or the own kernel with one of `DAMPINGS`"),
    **{name: Column.value(column.meaning, _ROUNDED) for name, column in AGREEMENT.items()},
    "penalty": Column.value("ridge or damping of the sum of the losses; none where a method takes none", _ROUNDED),
    "gradient": Column.value("left by the training, see `gradient_share`; none without a penalty", _ROUNDED),
    "train_loss": Column.value("mean over the training images, at the end", _ROUNDED),
    "test_error": Column.value("share of the test images that are named wrong"),
    "parameters": Column.value("that are trained"),
    "cost": Column.clock("time for the influences of all points, over that of one training by torch.optim"),
    "train_seconds": Column.clock("of that training"),
}


def record_setting(
    setting: Setting, x: torch.Tensor, y: torch.Tensor, seed: int, *, n_train: int, **how
) -> RecordedTraining:
    """The recorded training of a setting.

    Args:
        setting: how the network is made and trained.
        x: (n + m, ...) n training points, and m that the layers below a head are trained on.
        y: their targets.
        seed: of the start and the batches.
        n_train: n.
        **how: of `record_training`, its folds for example.
    """
    start = small_network(setting, x.shape[1:], y.shape[1], seed)
    if setting.head:
        start = _with_a_new_head(start, setting, x[n_train:], y[n_train:])
    steps = setting.epochs * math.ceil(n_train / (setting.batch_size or n_train))
    falling = [(1 + math.cos(math.pi * step / steps)) / 2 for step in range(steps)] if setting.settles else None
    made = {"learning_rate": setting.rate, "weight_decay": setting.decay, "schedule": falling}
    optimizer = Adam(**made) if setting.optimizer == "adam" else SGD(**made, momentum=setting.momentum)
    told = {"start": start, "optimizer": optimizer, "ridge": setting.ridge}
    return record_case(setting, x[:n_train], y[:n_train], seed, **told, **how)


def _with_a_new_head(start: nn.Sequential, setting: Setting, x: torch.Tensor, y: torch.Tensor) -> nn.Sequential:
    """The network with layers that were trained on some points, frozen, below its last one as it was."""
    trained = train_module(start, x, y, 1.0, loss=LOSSES[setting.loss], iterations=20)
    trained[-1].load_state_dict(start[-1].state_dict())
    trained[:-1].requires_grad_(False)
    return trained


@experiment(
    "practice",
    settings={
        "mini-mnist": {
            "cases": [asdict(setting) for setting in SETTINGS],
            "seeds": [30, 31, 32],
            "n_train": 150,
            "n_test": 10,
            "removals": 16,
            "folds": 15,
            "pool": 4,
        }
    },
    witness={
        "cases": [
            {"name": "SGD", "width": 3, "rate": 0.1, "batch_size": 8, "epochs": 6, "decay": 0.05},
            {"name": "Adam", "width": 3, "rate": 0.01, "optimizer": "adam", "batch_size": 8, "epochs": 3},
            {
                "name": "squares",
                "width": 4,
                "rate": 0.1,
                "loss": "squares",
                "batch_size": None,
                "epochs": 20,
                "ridge": 1.0,
            },
            {"name": "head", "width": 4, "rate": 0.1, "batch_size": None, "epochs": 10, "decay": 0.05, "head": True},
        ],
        "seeds": [0],
        "n_train": 24,
        "n_test": 6,
        "removals": 6,
        "folds": 4,
        "pool": 7,
    },
    columns=COLUMNS,
    slice=None,
)
def practice_scores(dataset: Dataset, cases: list[dict], seeds: Sequence[int], **size) -> pd.DataFrame:
    """Every method on every setting: how well it predicts retraining, and what it costs.

    Args:
        dataset: images of several classes, of which each seed draws.
        cases: fields of `Setting`.
        seeds: of images, start and batches.
        **size: of `setting_scores`.
    """
    return rows_of(setting_scores, dataset, [Setting(**fields) for fields in cases], seeds, size)


def setting_scores(
    setting: Setting,
    dataset: Dataset,
    seed: int,
    *,
    n_train: int,
    n_test: int,
    removals: int,
    folds: int,
    pool: int,
    ask: Callable[..., dict] = every_method,
) -> Iterator[dict]:
    """For one draw of a setting and each method: how well it predicts retraining, and what is known of the training.

    Args:
        setting: how the network is made and trained.
        dataset: of images.
        seed: of images, start and batches.
        n_train: training images.
        n_test: test images.
        removals: training points left out: half of them those of the largest loss at the end, the others by chance.
        folds: of the recording.
        pool: as of `draw`.
        ask: what gives the influences, as `every_method` does.
    """
    x, y, *test = draw(setting, dataset, n_train + _BELOW_HEAD * setting.head, n_test, seed, pool=pool)
    run, recording = timed(lambda: record_setting(setting, x, y, seed, n_train=n_train, folds=folds))
    other = record_setting(setting, x, y, seed + 1000, n_train=n_train, folds=2, alone=0)
    rows = _removals(run, removals, seed)
    truth = run.without(rows, *test)
    penalty = setting.penalty(n_train)
    found = {}
    for method, (estimate, used, seconds) in ask(run, test, penalty, rows, truth).items():
        found[method] = estimate[:, rows], used, seconds + recording * (method in (METHODS[6], FIRST_ORDER))
    found[METHODS[0]] = truth.sign() * truth.abs().mean(), math.nan, math.nan
    found[METHODS[1]] = other.without(rows, *test), math.nan, math.nan
    _, train_seconds = timed(lambda: seconds_by_torch(run, setting))
    known = _known(run, setting, test) | {"train_seconds": train_seconds}
    for method, (estimate, used, seconds) in found.items():
        scores = agreement(estimate, truth) if estimate.isfinite().all() else dict.fromkeys(AGREEMENT, math.nan)
        key = {"setting": setting.name, "seed": seed, "method": method}
        yield key | scores | {"penalty": used, "cost": seconds / train_seconds} | known


def _removals(run: RecordedTraining, count: int, seed: int) -> list[int]:
    """Half of the largest loss at the end of training, half of the others."""
    loss = run.tape.loss.value(predict(run.module, run.tape.x), run.tape.y)
    order = loss.argsort(descending=True, stable=True)
    largest, others = order[: count // 2], order[count // 2 :]
    chosen = torch.randperm(len(others), generator=torch.Generator().manual_seed(seed))[: count - count // 2]
    return [*largest.tolist(), *others[chosen].tolist()]


def _known(run: RecordedTraining, setting: Setting, test: list[torch.Tensor]) -> dict[str, float]:
    tape, (x_test, y_test) = run.tape, test
    penalty, start = setting.penalty(len(tape.x)), "zero" if setting.decay else start_of(run)
    left = gradient_share(run.module, start, tape.x, tape.y, penalty, loss=tape.loss) if penalty else math.nan
    return {
        "gradient": left,
        "train_loss": float(tape.loss.value(predict(run.module, tape.x), tape.y).mean()),
        "test_error": share(misfit(predict(run.module, x_test), y_test)),
        "parameters": len(run.theta),
    }
