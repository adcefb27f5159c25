"""The kernels for CUDA without a card: under Triton's interpreter, and compiled; in processes of their own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ntkif.retraining.fused_kernels import available

INTERPRETED, COMPILED = (Path(__file__).parent / f"{name}.py" for name in ("interpreted", "compiled"))


@pytest.mark.skipif(not available(), reason="needs triton, which `pip install triton` brings on Linux")
@pytest.mark.skipif(torch.cuda.is_available(), reason="the interpreter is for machines without CUDA")
@pytest.mark.parametrize("name", ["mnist-sample", "mini-mnist-sample"])
@pytest.mark.parametrize("start", ["random", "symmetric"])
def test_the_kernels_give_what_plain_torch_gives(name, start):
    environment = os.environ | {"TRITON_INTERPRET": "1"}
    done = subprocess.run([sys.executable, INTERPRETED, name, start], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(not available(), reason="needs triton, which `pip install triton` brings on Linux")
@pytest.mark.skipif(torch.cuda.is_available(), reason="where there is a card it is used")
def test_the_kernels_compile_for_a_card_and_their_tiles_fit_its_memory():
    done = subprocess.run([sys.executable, COMPILED], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
