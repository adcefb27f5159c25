"""What a card is wanted for of trainings: its table in small, and what it will take."""

import math
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from ntkif.data import load
from ntkif.data.dataset import from_pixels
from ntkif.metrics import agreement, rms
from ntkif.study.experiments import on_card
from ntkif.study.experiments.catalogue import EXPERIMENTS
from ntkif.study.experiments.on_card import DecayCase, card_scores, operations, scores_on_card, steps_told
from ntkif.study.experiments.through_training import METHODS
from ntkif.study.experiments.trained_networks import draw, record_case, seconds_by_torch

DATA = load("mini-mnist-sample")
CASE = DecayCase("small", width=6, batch_size=8, epochs=3)
SIZE = {"n_train": 24, "n_test": 6, "removals": 8, "folds": 4, "alone": 2, "pool": 7}
KNOWN = EXPERIMENTS["through-training-gpu"]


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_scores_are_those_of_each_method_on_the_removals(precision):
    table = {row["method"]: row for row in card_scores(CASE, DATA, 1, **SIZE, precision=precision, kernel=True)}
    assert list(table) == list(METHODS[:3])
    x, y, *test = (each.to(getattr(torch, precision)) for each in draw(CASE, DATA, 24, 6, 1, pool=7))
    run = record_case(CASE, x, y, 1, folds=4, alone=2)
    rows = torch.randperm(24, generator=torch.Generator().manual_seed(1))[:8].tolist()
    truth, close = run.without(rows, *test), 1e-9 if precision == "float64" else 1e-3
    for method, found in ((METHODS[0], run.first_order(*test)), (METHODS[2], run.influence(*test, trust=True))):
        for name, value in agreement(found[:, rows], truth).items():
            assert table[method][name] == pytest.approx(value, rel=close)
    told = table[METHODS[2]]
    assert told["truth"] == pytest.approx(rms(truth), rel=close) and told["device"].startswith("CPU")
    assert told["rounding"] < {"float64": 1e-9, "float32": 1e-2}[precision]
    assert all(told[f"{name}_seconds"] > 0 for name in ("train", "recording", "influence"))


def test_a_resnet_takes_photographs_whose_colours_come_last():
    images = np.random.RandomState(0).randint(1, 255, (60, 16, 16, 3), dtype=np.uint8)
    labels = np.arange(60) % 2
    data = from_pixels("noise", (images[:40], labels[:40], images[40:], labels[40:]), ("a", "b"), "noise")
    case = DecayCase("ResNet-9", network="resnet", width=2, rate=0.01, batch_size=8, epochs=1)
    size = SIZE | {"n_train": 16, "pool": 1, "precision": "float32", "kernel": True}
    assert all(math.isfinite(row["relative_error"]) for row in card_scores(case, data, 0, **size))
    x, y, *_ = draw(case, data, 16, 4, 0, pool=1)
    with pytest.raises(ValueError, match=r"where this names ChannelsLast, pass x\.contiguous\(\)"):
        record_case(case, x, y, 0)


def test_weights_decay_as_in_torch():
    x, y, *_ = draw(CASE, DATA, 24, 6, 1, pool=7)
    for optimizer in ("sgd", "adam"):
        case = replace(CASE, optimizer=optimizer, weight_decay=0.1)
        run, without = (record_case(each, x, y, 1, folds=2) for each in (case, replace(case, weight_decay=0.0)))
        assert not torch.allclose(run.theta, without.theta, atol=1e-4)
        assert run.tape.optimizer.weight_decay == 0.1 and seconds_by_torch(run, case) > 0
    assert "weight_decay" in asdict(CASE)


def test_a_recording_that_goes_on_has_no_time_and_the_same_numbers(tmp_path):
    how = SIZE | {"precision": "float64", "kernel": False, "folder": tmp_path}
    first, again = (list(card_scores(CASE, DATA, 1, **how)) for _ in range(2))
    assert first[0]["recording_seconds"] > 0 and math.isnan(again[0]["recording_seconds"])
    assert [row["relative_error"] for row in first] == [row["relative_error"] for row in again]


def test_a_kernel_that_does_not_fit_is_left_out_and_nothing_else(monkeypatch):
    def too_large(*_):
        raise MemoryError("10 GiB")

    monkeypatch.setattr(on_card, "own_kernel_scores", too_large)
    table = {row["method"]: row for row in card_scores(CASE, DATA, 1, **SIZE, precision="float64", kernel=True)}
    assert math.isnan(table[METHODS[1]]["slope"]) and table[METHODS[2]]["slope"] > 0


def test_operations_are_those_of_the_layers():
    case = DecayCase("", width=5, epochs=2)
    forward = 2 * (49 * 5 + 5 * 10)
    trainings = 4 + 4 + 2 + 8 + 2 * 2 * 6
    assert operations(case, (1, 7, 7), 10, **SIZE) == 3 * forward * 24 * 2 * trainings
    ratio = [operations(DecayCase("", network="resnet", width=w), (3, 32, 32), 2, **SIZE) for w in (16, 32)]
    assert 3.8 < ratio[1] / ratio[0] < 4  # all but the first layer grow with the square
    assert steps_told(replace(case, batch_size=8), **SIZE) == 6 * (3 + 1 + 1 + 1 + 16)


def test_the_settings_are_what_was_asked_for():
    """40 removals, 20 test images, 20 folds; the ResNet-9 on two classes, and three seeds of wider networks."""
    for settings in KNOWN.settings.values():
        sizes = [settings[name] for name in ("n_train", "n_test", "removals", "folds", "precision")]
        assert sizes == [5000, 20, 40, 20, "float32"]
    assert {case["network"] for case in KNOWN.settings["cifar"]["cases"]} == {"resnet"}
    assert {case["optimizer"] for case in KNOWN.settings["cifar"]["cases"]} == {"sgd", "adam"}
    assert all(len(KNOWN.settings[name]["seeds"]) == 3 for name in ("mini-mnist", "mini-cifar"))
    assert all(case["weight_decay"] > 0 for settings in KNOWN.settings.values() for case in settings["cases"])
    table = scores_on_card(DATA, cases=[{"name": "a", "width": 3, "epochs": 1}], seeds=[0, 1], **KNOWN_SMALL)
    assert list(table["seed"].unique()) == [0, 1] and set(table.columns) == set(KNOWN.columns)


KNOWN_SMALL = SIZE | {"precision": "float64", "kernel": False}


def test_products_are_exact_while_a_card_trains(monkeypatch):
    seen = []
    real = on_card.recorded_and_asked

    def looked(*args, **how):
        seen.append([getattr(torch.backends.cudnn, name) for name in ("enabled", "deterministic", "allow_tf32")])
        return real(*args, **how)

    monkeypatch.setattr(on_card, "recorded_and_asked", looked)
    before = torch.backends.cudnn.allow_tf32
    list(card_scores(CASE, DATA, 1, **KNOWN_SMALL))
    assert seen == [[True, True, False]] and torch.backends.cudnn.allow_tf32 == before
