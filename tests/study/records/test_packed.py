"""What a GPU made comes home whole or not at all: runs, and parts of records."""

from dataclasses import replace

import pytest
import torch

from ntkif.retraining.runs import load_run, run_file
from ntkif.study.experiments.catalogue import EXPERIMENTS
from ntkif.study.records import packed
from ntkif.study.records.gpu import work_through
from ntkif.study.records.gpu_runs import small_plan
from ntkif.study.records.gpu_speed import small_benchmarks
from ntkif.study.records.gpu_trainings import Training
from ntkif.study.records.packed import collect, pack
from ntkif.study.records.tables import load_record

FEW = [replace(job, removals=1, protocol=replace(job.protocol, epochs=4)) for job in small_plan()[:3]]
NAME = "through-training-gpu"


def work(jobs, folder, records):
    how = {"device": "cpu", "records": records, "say": lambda line: None}
    return [job for job, _ in work_through(jobs, 60.0, folder / "work", folder / "out", **how)]


def test_runs_come_home_and_take_the_place_of_those_of_one_step(tmp_path):
    runs = tmp_path / "runs"
    work(FEW[:2], tmp_path, runs)
    with pytest.raises(FileNotFoundError, match=r"expected archives runs-1\.zip"):
        collect(tmp_path, runs)
    taken = collect(tmp_path / "out", runs)
    assert sorted(taken) == sorted(run_file(job.load("cpu"), job.protocol, runs) for job in FEW[:2])
    assert all(torch.isfinite(load_run(file).own_kernel).all() for file in taken)
    assert collect(tmp_path / "out", runs) == taken  # the same again
    assert sorted(path.name for path in runs.iterdir()) == ["mnist-sample-40"]
    other = tmp_path / "other"
    work([replace(FEW[0], removals=2)], other, runs / "none")
    before = taken[0].read_bytes()
    with pytest.raises(ValueError, match="holds another run of that name; delete one of the two"):
        collect(other / "out", runs)
    assert taken[0].read_bytes() == before


def test_benchmarks_come_home(tmp_path):
    job, runs = small_benchmarks("cpu")[1], tmp_path / "runs"
    (done,) = work([job], tmp_path, tmp_path / "none")
    assert done == job and [file.name for file in (tmp_path / "out").iterdir()] == ["benchmarks-1.zip"]
    home = tmp_path / "home"
    (file,) = collect(tmp_path / "out", runs, benchmarks=home)
    assert file == job.file(home) and "ceiling" in file.read_text() and job.made(None, tmp_path / "elsewhere", home)
    assert work([job], tmp_path, home) == []


def test_archives_stay_below_the_size_that_comes_back(tmp_path, monkeypatch):
    monkeypatch.setattr(packed, "_FILE", 6000)
    work(FEW, tmp_path, tmp_path / "runs")
    archives = sorted((tmp_path / "out").iterdir())
    assert len(archives) > 1
    assert len(collect(tmp_path / "out", tmp_path / "runs")) == 3


def test_parts_come_home_with_runs_and_are_in_the_record(parts, tmp_path, records):
    runs = tmp_path / "runs"
    work([FEW[0], *map(Training, parts[:2])], tmp_path, records)
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["parts-1.zip", "runs-1.zip"]
    run, record = collect(tmp_path / "out", runs, records)
    assert run.suffix == ".npz" and record == records / NAME / "mini-mnist-sample.csv"
    table = load_record(NAME, "mini-mnist-sample", records).table
    assert list(table["seed"].unique()) == [1, 2] and list(table.columns) == list(columns_of(table))
    assert sorted(file.name for file in runs.iterdir()) == ["mnist-sample-40"]  # nothing else is left there
    before = record.read_bytes()
    assert collect(tmp_path / "out", runs, records) == [run] and record.read_bytes() == before


def columns_of(table):
    return [name for name in table if name in EXPERIMENTS[NAME].columns]


@pytest.mark.parametrize("damage", ["archive", "part"])
def test_what_is_damaged_is_refused_and_nothing_is_moved(parts, damage, tmp_path, records):
    work([FEW[0], *map(Training, parts[:2])], tmp_path, records)
    archive = tmp_path / "out" / "parts-1.zip"
    if damage == "archive":
        archive.write_bytes(archive.read_bytes()[:-200])
        words = r"parts-1\.zip: expected a whole archive, got a damaged one"
    else:
        file = parts[1].file(tmp_path / "work")
        file.write_bytes(file.read_bytes().replace(b"first order", b"first  order"))
        pack(tmp_path / "work", tmp_path / "out")
        words = "do not belong together or were changed"
    with pytest.raises(ValueError, match=words):
        collect(tmp_path / "out", tmp_path / "runs", records)
    assert list((tmp_path / "runs").iterdir()) == []
    assert [file.name for file in (records / NAME).iterdir()] == ["witness-ten.csv"]


def test_a_result_without_its_provenance_is_not_finished_and_not_packed(parts, tmp_path, records):
    work([Training(parts[0])], tmp_path, records)
    parts[1].file(tmp_path / "work").write_text("case,seed\n")
    pack(tmp_path / "work", tmp_path / "out")
    collect(tmp_path / "out", tmp_path / "runs", records)
    assert len(load_record(NAME, "mini-mnist-sample", records).provenance["parts"]) == 1
