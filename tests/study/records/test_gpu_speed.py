"""The benchmarks that need a GPU, tried on a CPU."""

import json
from dataclasses import replace

import pytest

from ntkif.study.records.gpu_speed import benchmarks, small_benchmarks


def test_the_benchmarks_of_a_device_run_and_are_kept(tmp_path):
    told = ""
    for job in small_benchmarks("cpu"):
        assert not job.made(None, tmp_path, tmp_path / "records")
        printed, seconds, said = job.make(None, tmp_path)
        assert job.made(None, tmp_path, tmp_path / "records") and 0 < seconds < 120 and printed in said
        provenance = json.loads(job.file(tmp_path / "benchmarks").with_suffix(".json").read_text())
        assert provenance["options"] == list(job.options) and "CPU" in provenance["device"]
        told += printed
    for words in (
        "share of the ceiling",
        "ntk_influence / bare calls",
        "tiled_fit of 300 points",
        "kernel of a module",
    ):
        assert words in told


def test_what_fails_or_takes_too_long_is_said_and_not_kept(tmp_path):
    job = small_benchmarks("nowhere")[0]
    for wrong, words in ((job, r"training\.py .* failed"), (replace(job, guessed=0.01), "took more than 0.04 s")):
        with pytest.raises(ChildProcessError, match=words):
            wrong.make(None, tmp_path)
    assert not list(tmp_path.iterdir())


def test_each_has_a_file_of_its_own(tmp_path):
    jobs = benchmarks("cuda")
    assert len({job.file(tmp_path) for job in jobs}) == len(jobs) == 6
    assert all(job.seconds("cuda:0") == job.guessed and job.seconds("cpu") == 0 for job in jobs)
