"""Batches of a run: the same whatever their size, gone on with, and trained by kernels that were checked."""

from dataclasses import replace

import pytest
import torch
from retrained import SMALL

from ntkif.data import load
from ntkif.influence.network import network_influence
from ntkif.metrics import agreement
from ntkif.networks.descent import train
from ntkif.networks.two_layer import random_network
from ntkif.retraining import batches, stacked
from ntkif.retraining.batches import check_kernels, networks_at_once, train_in_batches
from ntkif.retraining.protocol import Protocol
from ntkif.retraining.retrain import retrain
from ntkif.retraining.runs import keep_run
from ntkif.retraining.selection import chosen_points
from ntkif.retraining.stacked import Stack, leading_directions

REMOVED = [None, 7, 2]
HALF = Protocol(ridge=1.0, width=32, learning_rate=0.02, epochs=60, precision="float16")


def start_of(dataset, *, dtype=torch.float64, symmetric=False, init_scale=0.3, width=40):
    how = {"outputs": dataset.y_train.shape[1], "symmetric": symmetric, "dtype": dtype, "seed": 3}
    return random_network(dataset.x_train.shape[1], width=width, init_scale=init_scale, **how)


class Losing(stacked._Plain):
    """Kernels that lose a part of each step."""

    def step(self, residual):
        super().step(residual * 0.998)


def test_kernels_are_not_taken_on_trust():
    dataset = load("mnist-sample").head(800, 30)
    arrays = dataset.x_train.float(), dataset.y_train.float(), 0.7, REMOVED
    how = {"learning_rate": 1e-3, "directions": leading_directions(arrays[0], 100)}
    start = start_of(dataset, dtype=torch.float32)
    check_kernels(start, *arrays, **how)
    with pytest.raises(ArithmeticError, match=r"expected the losses of float32 .* report card, torch and triton"):
        check_kernels(start, *arrays, kernels=Losing, **how)


def test_a_batch_is_trained_only_by_kernels_that_were_checked(monkeypatch):
    seen = []
    monkeypatch.setattr(batches, "fused_on", lambda x: True)
    monkeypatch.setattr(stacked, "fused_on", lambda x: True)
    monkeypatch.setattr(stacked, "Fused", stacked._Plain)
    monkeypatch.setattr(batches, "check_kernels", lambda start, x, y, ridge, removed, **how: seen.append(removed))
    start, x, y = start_of(SMALL, dtype=torch.float32), SMALL.x_train.float(), SMALL.y_train.float()
    found = train_in_batches(start, x, y, 0.7, REMOVED, learning_rate=0.01, epochs=1, batch=2)
    assert [list(numbers) for numbers, *_ in found] == [[0, 1], [2]] and seen == [REMOVED[:2]]


def test_batches_give_the_same_run(monkeypatch):
    points = chosen_points(SMALL, 1.0, 4)
    whole = retrain(SMALL, HALF, points, progress=False)
    monkeypatch.setattr(batches, "networks_at_once", lambda *sizes: 2)
    parts = retrain(SMALL, HALF, points, progress=False)
    assert torch.equal(whole.predictions, parts.predictions) and (whole.loss == parts.loss).all()


def test_a_run_that_goes_on_is_the_same_and_trains_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(batches, "networks_at_once", lambda *sizes: 2)
    points, trained = chosen_points(SMALL, 1.0, 4), []
    whole = retrain(SMALL, HALF, points, progress=False)
    real = Stack.train

    def counted(stack, *arguments):
        trained.append(stack.removed)
        return real(stack, *arguments)

    monkeypatch.setattr(Stack, "train", counted)
    retrain(SMALL, HALF, points, parts=tmp_path, progress=False)
    (tmp_path / "3.npz").unlink()
    before = {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    again = retrain(SMALL, HALF, points, parts=tmp_path, progress=False)
    assert torch.equal(again.predictions, whole.predictions) and torch.equal(again.following, whole.following)
    assert trained[3:] == [[points[1][1], points[1][2]]]  # the batch of networks 2 and 3
    assert {name: (tmp_path / name).stat().st_mtime_ns for name in before} == before


def test_too_little_memory_is_said_before_training(monkeypatch):
    start = start_of(SMALL, dtype=torch.float32)
    monkeypatch.setattr(batches, "available_bytes", lambda device: 1000)
    with pytest.raises(MemoryError, match=r"for one network of width 40, but 0\.0 GiB are free; use a smaller width"):
        networks_at_once(start, 40, 40, 3)
    monkeypatch.setattr(batches, "available_bytes", lambda device: None)
    assert networks_at_once(start, 40, 40, 41) == 41
    wide = start_of(SMALL, dtype=torch.float32, width=2**17)
    assert networks_at_once(wide, 40, 40, 9) == 3  # alike, where four would fit


def test_the_own_kernel_of_a_run_is_that_of_its_first_network(tmp_path):
    points = chosen_points(SMALL, 1.0, 4)
    run = keep_run(
        SMALL, replace(HALF, symmetric=True, init_scale=1.0), points, tmp_path, progress=False, own_kernel=True
    )
    start = random_network(784, width=32, init_scale=1.0, seed=0, symmetric=True)
    network = train(start, SMALL.x_train, SMALL.y_train, 1.0, learning_rate=0.02, epochs=60).network
    arrays = SMALL.x_train, SMALL.y_train, SMALL.x_test, SMALL.y_test
    own = network_influence(network, *arrays, 1.0, start=None)[:, points[1]]
    assert run.own_kernel.shape == (30, 4) and agreement(run.own_kernel, own)["relative_error"] < 0.05
    assert retrain(SMALL, HALF, points, progress=False).own_kernel is None
    with pytest.raises(ValueError, match="own_kernel: expected a protocol in float16, got float64"):
        retrain(SMALL, replace(HALF, precision="float64"), points, progress=False, own_kernel=True)


def test_finished_batches_are_left_out():
    start = start_of(SMALL, dtype=torch.float32)
    arrays = SMALL.x_train.float(), SMALL.y_train.float()
    how = {"learning_rate": 0.02, "epochs": 3, "batch": 2}
    found = train_in_batches(start, *arrays, 1.0, [None, 1, 2, 3, 4], finished=lambda number: number < 3, **how)
    assert [numbers for numbers, _, _ in found] == [range(2, 4), range(4, 5)]
