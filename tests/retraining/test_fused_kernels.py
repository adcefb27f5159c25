"""The kernels for CUDA, under Triton's interpreter on the CPU, in a process that has it from the start."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ntkif.retraining.fused_kernels import available

INTERPRETED = Path(__file__).parent / "interpreted.py"


@pytest.mark.skipif(not available(), reason="needs triton, which `pip install triton` brings on Linux")
@pytest.mark.skipif(torch.cuda.is_available(), reason="the interpreter is for machines without CUDA")
@pytest.mark.parametrize("name", ["mnist-sample", "mini-mnist-sample"])
@pytest.mark.parametrize("start", ["random", "symmetric"])
def test_the_kernels_give_what_plain_torch_gives(name, start):
    environment = os.environ | {"TRITON_INTERPRET": "1"}
    done = subprocess.run([sys.executable, INTERPRETED, name, start], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
