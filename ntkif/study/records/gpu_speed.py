"""The benchmarks that need a GPU: the share of what a card can do, and the closed form beside the bare calls."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from ntkif.provenance import ROOT
from ntkif.store import write_atomically

__all__ = ["MEASURING", "measure"]

MEASURING = 60.0  # seconds that the benchmarks take, about

_CIFAR = ("-d", "3072", "--directions", "1280", "--width", "40000")
_TRAINED = ("--network", "conv", "--dtype", "float32", "--repeats", "1")
_BENCHMARKS = [
    ("training.py", "--precision", "float16", "-n", "5000", "-d", "784", "--directions", "512", "--width", "80000"),
    ("training.py", "--precision", "float16", "-n", "5000", *_CIFAR),
    ("training.py", "--precision", "tf32", "-n", "5000", "--width", "40000"),
    ("training.py", "--precision", "float32", "-n", "5000", "--width", "40000"),
    ("on_device.py",),
    ("through_training.py", *_TRAINED, "-n", "5000", "--width", "32"),
]
_TINY = ("-n", "64", "-d", "100", "--width", "256", "--epochs", "2", "--repeats", "1")
_SMALL_BENCHMARKS = [
    ("training.py", "--precision", "float16", "--directions", "48", *_TINY),
    ("training.py", "--precision", "float32", *_TINY),
    ("on_device.py", "-n", "100", "-k", "20", "-d", "50", "--many", "300", "--points", "20", "--runs", "1"),
    ("through_training.py", *_TRAINED, "-n", "40", "-k", "2", "--width", "4", "--pixels", "8", "--epochs", "1"),
]


def measure(output: Path, device: str, *, small: bool = False, say: Callable[[str], object] = print) -> Path | None:
    """Run the benchmarks that need the device, and keep what they print.

    Args:
        output: folder of `benchmarks.txt`.
        device: cpu or cuda.
        small: whether at a size that a CPU does in a moment.
        say: takes a line.

    Returns:
        the file; None where the package was installed without its benchmarks.

    Raises:
        ChildProcessError: a benchmark failed.
    """
    folder = ROOT / "benchmarks" / "speed"
    if not folder.exists():
        say(f"no benchmarks: {folder} is not there")
        return None
    told = []
    for script, *options in _SMALL_BENCHMARKS if small else _BENCHMARKS:
        command = [sys.executable, str(folder / script), "--device", device, *options]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
        if done.returncode:
            raise ChildProcessError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
        told.append(f"$ {script} {' '.join(options)}\n{done.stdout}")
        say(told[-1])
    output.mkdir(parents=True, exist_ok=True)
    file = output / "benchmarks.txt"
    write_atomically(file, lambda stream: stream.write("\n".join(told).encode()))
    return file
