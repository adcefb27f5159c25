"""What is wanted from a GPU: in order, as far as the time goes, going on where it was broken off."""

import weakref
from dataclasses import replace

import pytest
import torch

from ntkif.study.records import gpu, gpu_runs, gpu_trainings
from ntkif.study.records.gpu import announce, make_all, wanted, work_through
from ntkif.study.records.gpu_runs import plan, small_plan
from ntkif.study.records.gpu_speed import benchmarks
from ntkif.study.records.gpu_trainings import Training, trainings
from ntkif.training.recorded import RecordedTraining

FEW = [replace(job, removals=1, protocol=replace(job.protocol, epochs=4)) for job in small_plan()[:3]]


def work(jobs, folder, seconds=60.0):
    told = []
    how = {"device": "cpu", "records": folder / "records", "say": told.append}
    done = list(work_through(jobs, seconds, folder / "work", folder / "out", **how))
    return [job for job, _ in done], told


def test_runs_are_made_in_order_and_not_twice(tmp_path):
    done, told = work(FEW, tmp_path)
    assert done == FEW and all("TFLOP/s on CPU" in line for line in told)
    again, told = work(FEW, tmp_path)
    assert again == [] and all(line.endswith("made before") for line in told)
    run = FEW[0].made(FEW[0].load("cpu"), tmp_path / "work", tmp_path / "records")
    assert run.own_kernel.shape == (30, 1) and run.following.shape == run.predictions.shape


@pytest.mark.parametrize("rates", [gpu_runs, gpu_trainings])
def test_what_there_is_no_time_for_is_told_and_left(rates, parts, records, tmp_path, monkeypatch):
    monkeypatch.setitem(rates._RATE, "cpu", 1.0)
    jobs = FEW if rates is gpu_runs else list(map(Training, parts))
    done, told = work(jobs, tmp_path, seconds=1.0)
    assert done == [] and all("no time" in line for line in told) and not (tmp_path / "out").exists()


def test_trainings_are_made_in_order_and_go_on_after_a_kill(parts, records, tmp_path, monkeypatch):
    jobs, real, calls = list(map(Training, parts)), RecordedTraining.without, []

    def killed_at_the_third(*args):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*args)

    with monkeypatch.context() as patched:
        patched.setattr(RecordedTraining, "without", killed_at_the_third)
        with pytest.raises(KeyboardInterrupt):
            work(jobs, tmp_path)
    names = sorted(file.name for file in (tmp_path / "work").rglob("*.csv"))
    assert names == ["mlp-sgd-1.csv", "mlp-sgd-2.csv"] and (tmp_path / "out" / "parts-1.zip").exists()
    done, told = work(jobs, tmp_path)
    assert done == jobs[2:] and [line.endswith("made before") for line in told] == [True, True, False, False]
    assert "error" in told[2] and "check" in told[2]
    assert work(jobs, tmp_path)[0] == [] and not list((tmp_path / "work" / "recordings").iterdir())


def test_a_card_that_is_slower_than_was_guessed_is_reckoned_with(parts, records, tmp_path, monkeypatch):
    monkeypatch.setattr(Training, "seconds", lambda self, device, speed=None: 1e-3 / (speed or 1.0))
    monkeypatch.setattr(Training, "speed", lambda self, device, seconds, before: 1e-9)
    done, told = work(list(map(Training, parts)), tmp_path, seconds=20.0)
    assert len(done) == 1 and all("no time" in line for line in told[1:])


def test_what_fails_keeps_no_other_from_being_made(parts, records, tmp_path, monkeypatch):
    """A job, or the images that it needs; but a folder that cannot be written ends it."""
    kept, large_one = [], type("Large", (), {})
    job, unknown = Training(parts[1]), replace(FEW[1], dataset="mini-mnist", n_train=7)
    monkeypatch.setenv("NTKIF_DATA", str(tmp_path / "nowhere"))

    def make(self, dataset, work, real=Training.make):
        if self == job:
            large = large_one()
            kept.append(weakref.ref(large))
            raise torch.OutOfMemoryError("no room")
        assert not kept or kept[0]() is None, "what a job held that failed is there while the next one runs"
        return real(self, dataset, work)

    monkeypatch.setattr(Training, "make", make)
    jobs, told = [FEW[0], unknown, *map(Training, parts[:3])], []
    how = {"device": "cpu", "records": records, "say": told.append}
    found = list(work_through(jobs, 60.0, tmp_path / "work", tmp_path / "out", **how))
    failed = [job for job, each in found if isinstance(each, Exception)]
    assert failed == [unknown, job] and [each for each, _ in found] == jobs
    assert [line.split("] ")[1].split(",")[0] for line in told if "FAILED" in line] == [
        f"{unknown}: FAILED",
        str(job).split(",")[0],
    ]
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        list(work_through([FEW[0]], 60.0, tmp_path / "file" / "work", tmp_path / "out", **how))


def test_a_failure_is_told_at_the_end(tmp_path, monkeypatch):
    jobs = small_plan()[:2]
    monkeypatch.setattr(gpu, "wanted", lambda *_, **__: jobs)
    monkeypatch.setattr(gpu, "announce", lambda *_: None)
    monkeypatch.setattr(gpu, "work_through", lambda *_, **__: [(jobs[0], "made"), (jobs[1], ArithmeticError("off"))])
    with pytest.raises(ChildProcessError, match=rf"1 of 2 runs made in .* s; 1 failed: {jobs[1]}\."):
        make_all(600.0, tmp_path, tmp_path, device="cpu", say=lambda line: None)


def test_the_order_and_the_guessed_times_are_announced():
    said, jobs = [], wanted("cuda")
    announce(jobs, said.append)
    assert said[0].startswith("wanted, about ") and len(said) == 1 + len(jobs)
    for number, (line, job) in enumerate(zip(said[1:], jobs, strict=True), 1):
        assert line == f"  {number}. {job}: about {job.seconds('cuda'):.0f} s"


def test_what_no_card_has_told_yet_comes_after_the_digits_of_the_papers_table():
    runs, others = plan(), trainings()
    speed = benchmarks("cuda")
    jobs = wanted("cuda")
    assert jobs == [*runs[:4], *speed, *others[:2], *runs[4:], *others[2:]]
    assert {job.dataset for job in runs[:4]} == {"mnist"} and len(speed) == 6
    soon = sum(job.seconds("cuda") for job in jobs[: 4 + 6 + 2])
    assert soon < 9 * 60, "of the quarter of an hour that there may be"
    assert wanted("cuda", speed=False) == [job for job in jobs if job not in speed]
    assert list(map(type, wanted("cpu", small=True))).count(Training) == len(others)
