"""The benchmarks that need a GPU, tried on a CPU."""

import pytest

from ntkif.study.records.gpu_speed import measure


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
