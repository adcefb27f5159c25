"""What is wanted from a GPU: in order, as far as the time goes, going on where it was broken off."""

from dataclasses import replace

import pytest

from ntkif.study.records import gpu, gpu_runs, gpu_trainings
from ntkif.study.records.gpu import announce, make_all, work_through
from ntkif.study.records.gpu_runs import plan, small_plan
from ntkif.study.records.gpu_trainings import Training, small_trainings, trainings
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


def test_the_order_and_the_guessed_times_are_announced():
    said = []
    announce(said.append)
    assert said[0].startswith("wanted, runs, about ") and "then trainings" in said[21] and len(said) == 49
    assert said[1].startswith(f"  1. {plan()[0]}: about ") and said[22].startswith(
        "  1. cifar smooth ResNet-9, SGD, seed 20"
    )
    for line, job in zip(said[22:], trainings(), strict=True):
        assert line.endswith(f"{job}: about {job.seconds('cuda'):.0f} s")


def test_runs_come_before_speed_and_speed_before_trainings(tmp_path, monkeypatch):
    order = []
    monkeypatch.setattr(gpu, "work_through", lambda jobs, *_, **__: order.append(jobs) or [])
    monkeypatch.setattr(gpu, "measure", lambda *_, **__: order.append("speed"))
    how = {"device": "cpu", "small": True, "say": lambda line: None}
    told = make_all(600.0, tmp_path, tmp_path, **how)
    assert order == [small_plan(), "speed", small_trainings()]
    assert told.startswith("0 of 20 runs and 0 of 27 trainings made in ")
    order.clear()
    make_all(600.0, tmp_path, tmp_path, benchmarks=False, **how)
    make_all(30.0, tmp_path, tmp_path, **how)  # no time to measure
    assert "speed" not in order and len(order) == 4
