"""What is wanted from a GPU: its order, what fits in the time, going on, and taking it in."""

from dataclasses import replace

import pytest
import torch

from ntkif.retraining.runs import load_run, run_file
from ntkif.study import paper
from ntkif.study.records import gpu
from ntkif.study.records.gpu import collect, made, measure, plan, small_plan, work_through

FEW = [replace(job, removals=1, protocol=replace(job.protocol, epochs=4)) for job in small_plan()[:3]]


def work(jobs, folder, seconds=60.0):
    told = []
    done = list(
        work_through(
            jobs, seconds, folder / "work", folder / "out", device="cpu", records=folder / "records", say=told.append
        )
    )
    return [job for job, _ in done], told


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
    files = {run_file(job.load("cpu"), job.protocol, gpu.FOLDER) for job in small_plan()[:10]}
    assert len(files) == 10  # none is another's


def test_runs_are_made_in_order_and_not_twice(tmp_path):
    done, told = work(FEW, tmp_path)
    assert done == FEW and all("TFLOP/s on CPU" in line for line in told)
    again, told = work(FEW, tmp_path)
    assert again == [] and all(line.endswith("made before") for line in told)
    run = made(FEW[0], FEW[0].load("cpu"), [tmp_path / "records", tmp_path / "work"])
    assert run.own_kernel.shape == (30, 1) and run.following.shape == run.predictions.shape


def test_what_there_is_no_time_for_is_told_and_left(tmp_path, monkeypatch):
    monkeypatch.setitem(gpu._RATE, "cpu", 1.0)
    done, told = work(FEW, tmp_path, seconds=1.0)
    assert done == [] and all("no time" in line for line in told) and not (tmp_path / "out").exists()


def test_runs_come_home_and_take_the_place_of_those_of_one_step(tmp_path):
    work(FEW[:2], tmp_path)
    records = tmp_path / "records"
    with pytest.raises(FileNotFoundError, match=r"expected archives runs-1\.zip"):
        collect(tmp_path, records)
    taken = collect(tmp_path / "out", records)
    assert sorted(taken) == sorted(run_file(job.load("cpu"), job.protocol, records) for job in FEW[:2])
    assert all(torch.isfinite(load_run(file).own_kernel).all() for file in taken)
    assert collect(tmp_path / "out", records) == taken  # the same again
    assert sorted(path.name for path in records.iterdir()) == ["mnist-sample-40"]
    other = tmp_path / "other"
    work([replace(FEW[0], removals=2)], other)
    before = taken[0].read_bytes()
    with pytest.raises(ValueError, match="holds another run of that name; delete one of the two"):
        collect(other / "out", records)
    assert taken[0].read_bytes() == before


def test_archives_stay_below_the_size_that_comes_back(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "_FILE", 6000)
    work(FEW, tmp_path)
    archives = sorted((tmp_path / "out").iterdir())
    assert len(archives) > 1
    assert len(collect(tmp_path / "out", tmp_path / "records")) == 3


def test_the_benchmarks_of_a_device_run(tmp_path):
    told = measure(tmp_path, "cpu", small=True, say=lambda line: None).read_text()
    for words in (
        "share of the ceiling",
        "ntk_influence / bare calls",
        "tiled_fit of 300 points",
        "kernel of a module",
    ):
        assert words in told
    with pytest.raises(ChildProcessError, match=r"training\.py .* failed"):
        measure(tmp_path, "nowhere", small=True, say=lambda line: None)
