"""Which runs are wanted from a GPU, in which order, and how long they take."""

import os

import pytest
import torch

from ntkif.data import load
from ntkif.retraining.runs import FOLDER, run_file
from ntkif.study import paper
from ntkif.study.records.gpu_runs import plan, small_plan


def test_the_plan_has_the_papers_table_first_and_every_set():
    jobs = plan()
    table = [(row["dataset"], row["width"]) for row in paper.TABLE_1]
    first = [(job.dataset, job.protocol.width) for job in jobs[: len(table)]]
    assert sorted(first) == sorted(table) and all(job.protocol.init_scale == 0.01 for job in jobs[: len(table)])
    figure_8 = jobs[len(table) : len(table) + 2]
    assert [(job.dataset, job.protocol.width) for job in figure_8] == [("mini-mnist", 80000), ("mini-cifar", 80000)]
    assert {job.dataset for job in jobs if job.protocol.symmetric} == set(paper.RIDGE)
    assert {job.dataset for job in jobs if job.protocol.seed == 1} == {"mnist", "cifar"}
    assert all(job.protocol.ridge == paper.RIDGE[job.dataset] for job in jobs)
    names = [str(job) for job in jobs]
    assert len(set(names)) == len(names) == 20


def test_the_small_plan_is_the_plan_in_small():
    assert [job.protocol.symmetric for job in small_plan()] == [job.protocol.symmetric for job in plan()]
    files = {run_file(job.load("cpu"), job.protocol, FOLDER) for job in small_plan()[:10]}
    assert len(files) == 10  # none is another's


def test_seconds_are_those_of_the_products_and_learn_from_what_was_seen():
    job = plan()[0]
    products = 4 * 41 * 10_000 * 5000 * 512 * 1200
    assert job.operations() == products
    assert job.seconds("cuda:0") - job.seconds("cuda", 1e300) == products / 450e12
    assert job.speed("cuda", products / 50e12, None) == 250e12
    assert job.speed("cuda", products / 50e12, 150e12) == 100e12


@pytest.mark.skipif("NTKIF_DATA" not in os.environ, reason="needs the prepared image sets, see NTKIF_DATA")
@pytest.mark.parametrize("name", paper.RIDGE)
def test_the_directions_leave_next_to_nothing_out(name):
    x = load(name).x_train.double()
    squares = torch.linalg.eigvalsh(x.T @ x).flip(0)
    for job in plan():
        if job.dataset == name:
            assert squares[job.protocol.directions :].sum() < 2e-5 * squares.sum()


def test_ten_outputs_are_reckoned_to_take_longer():
    one, several = (next(job for job in plan() if job.dataset == name) for name in ("mnist", "mini-mnist"))
    assert several.seconds("cuda", 1e14) - 6 == 1.5 * several.operations() / 1e14
    assert one.seconds("cuda", 1e14) - 6 == one.operations() / 1e14
    assert several.speed("cuda", several.seconds("cuda", 1e14) - 6, 1e14) == pytest.approx(1e14)
