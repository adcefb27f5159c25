"""The kernels for CUDA, under Triton's interpreter on the CPU, in a process that has it from the start."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from ntkif.retraining import fused
from ntkif.retraining.fused import _TILES, _quickest

FUSED = Path(__file__).parent / "interpreted.py"


@pytest.mark.skipif(not find_spec("triton"), reason="needs triton, which `pip install triton` brings on Linux")
@pytest.mark.skipif(torch.cuda.is_available(), reason="the interpreter is for machines without CUDA")
@pytest.mark.parametrize("name", ["mnist-sample", "mini-mnist-sample"])
@pytest.mark.parametrize("start", ["random", "symmetric"])
def test_the_kernels_give_what_plain_torch_gives(name, start):
    environment = os.environ | {"TRITON_INTERPRET": "1"}
    done = subprocess.run([sys.executable, FUSED, name, start], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_without_triton_it_is_named(monkeypatch):
    monkeypatch.setattr(fused, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="pip install triton"):
        fused.Fused(None, None, None, 1.0, 0.1, None, 1, True)


def test_the_fastest_tile_is_found_and_one_that_cannot_be_is_left_out(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr("ntkif.retraining.fused.time.perf_counter", lambda: now[0])

    def call(tile):
        if tile is _TILES[0]:
            raise RuntimeError("out of shared memory")
        now[0] += 1.0 if tile is _TILES[2] else 2.0

    assert _quickest(_TILES[:4], call) is _TILES[2]
    with pytest.raises(RuntimeError, match="out of shared memory"):
        _quickest(_TILES[:1], call)
