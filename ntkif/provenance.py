"""How a result was made: the commit, the machine, the versions. Nothing here needs more than torch and NumPy."""

import importlib
import os
import platform
import re
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

__all__ = ["ROOT", "commit", "device_name", "machine", "now", "versions"]

_BESIDE = Path(__file__).parents[1]
#: Of the project; where the package was installed without it, the working folder, so that nothing is written beside it.
ROOT = _BESIDE if (_BESIDE / "pyproject.toml").exists() else Path.cwd()


def now() -> str:
    """The time, in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def commit() -> str:
    """The commit of the package, marked where its code has changes that are not committed.

    On a machine without the history, the environment variable NTKIF_COMMIT may name it.
    """
    if "NTKIF_COMMIT" in os.environ:
        return os.environ["NTKIF_COMMIT"]
    try:
        head, changes = (
            subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True).stdout.strip()
            for words in (("rev-parse", "HEAD"), ("status", "--porcelain", "--", "ntkif"))
        )
    except OSError:  # no git on this machine
        return "unknown"
    return (head or "unknown") + ("-dirty" if changes else "")


def device_name(device: torch.device) -> str:
    """The device in words."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU ({platform.machine()}, {torch.get_num_threads()} threads)"


def machine(device: torch.device) -> dict:
    """What runs the code: device, Python, and the versions of what computes."""
    return {
        "device": device_name(device),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Versions of torch, NumPy and, where it is installed, SciPy, each with the BLAS that it multiplies with."""
    found = {"torch": f"{torch.__version__}, {_torch_blas()}", "numpy": f"{np.__version__}, {_blas(np)}"}
    if find_spec("scipy"):  # a bare GPU machine may have none
        scipy = importlib.import_module("scipy")
        found["scipy"] = f"{scipy.__version__}, {_blas(scipy)}"
    return found


def _torch_blas() -> str:
    """The BLAS of torch, and the instructions that torch itself takes on this processor."""
    configuration = torch.__config__.show()
    name = re.search(r"BLAS_INFO=(\w+)", configuration)
    number = re.search(r"Math Kernel Library Version (\S+)", configuration)
    words = [name[1] if name else "unknown BLAS", number[1] if number else "", torch.backends.cpu.get_cpu_capability()]
    return " ".join(filter(None, words))


def _blas(package) -> str:
    built = package.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return f"{built['name']} {built['version']}"
