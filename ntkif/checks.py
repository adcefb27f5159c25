"""Checks of input: each error says what was expected, what came and what to do."""

import math
import operator
import os
import re
import sys
import warnings
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from numbers import Real
from pathlib import Path

import numpy as np
import torch

__all__ = [
    "available_bytes",
    "check_condition",
    "check_count",
    "check_fits",
    "check_group",
    "check_matrix",
    "check_ridge",
    "check_symmetric",
    "check_training_kernel",
    "check_unit_rows",
    "group_rows",
    "groups_of",
    "peak_bytes",
    "require_extra",
    "warn",
]


def check_matrix(
    name: str,
    matrix: torch.Tensor,
    rows: int | None = None,
    columns: int | None = None,
    like: torch.Tensor | None = None,
) -> None:
    """Require a finite matrix of float32 or float64, of the given size, and with dtype and device of `like`.

    Raises:
        TypeError: not a torch tensor of float32 or float64, or of another dtype or device than `like`.
        ValueError: not two-dimensional, empty, of another shape, or with NaN or infinite entries.
    """
    came = matrix.dtype if isinstance(matrix, torch.Tensor) else type(matrix).__name__
    if came not in (torch.float32, torch.float64):
        raise TypeError(
            f"{name}: expected a torch tensor of float32 or float64, got {came}; "
            f"convert it with torch.as_tensor({name}, dtype=torch.float64)."
        )
    if like is not None and (matrix.dtype, matrix.device) != (like.dtype, like.device):
        raise TypeError(
            f"{name}: expected {like.dtype} on {like.device} as the other matrices, "
            f"got {matrix.dtype} on {matrix.device}; convert it with {name}.to(...)."
        )
    wanted = tuple("any" if size is None else size for size in (rows, columns))
    fits = matrix.ndim == 2 and all(
        size in (None, got) for size, got in zip((rows, columns), matrix.shape, strict=True)
    )
    if not fits or matrix.numel() == 0:
        hint = " Turn a vector of targets into a column with y[:, None]." if matrix.ndim == 1 else ""
        raise ValueError(f"{name}: expected a matrix of shape {wanted}, got shape {tuple(matrix.shape)}.{hint}")
    # A sum is finite only if every entry is (or if finite entries overflow), and needs no second matrix.
    if not torch.isfinite(matrix.sum()) and not torch.isfinite(matrix).all():
        bad = int((~torch.isfinite(matrix)).any(1).nonzero()[0])
        raise ValueError(f"{name}: expected finite numbers, got NaN or infinity (first in row {bad}); clean the data.")


def check_unit_rows(name: str, matrix: torch.Tensor) -> None:
    """Require rows of Euclidean norm one, as the paper assumes of every image; Eq. 4 holds only there.

    Raises:
        ValueError: a row's norm differs from 1 by more than rounding (1e-6 in float64, 4e-6 in float32).
    """
    error = (torch.linalg.vector_norm(matrix, dim=1) - 1).abs()
    worst = int(error.argmax())
    if error[worst] > max(1e-6, 32 * torch.finfo(matrix.dtype).eps):
        norm = float(torch.linalg.vector_norm(matrix[worst]))
        advice = f"divide each row by its norm, e.g. torch.nn.functional.normalize({name})."
        if norm == 0:
            advice = "no length gives it a direction: drop it, or give all rows a 1 at their end and then norm 1."
        raise ValueError(f"{name}: expected rows of norm 1, but row {worst} has norm {norm:.6g}; {advice}")


def check_symmetric(name: str, matrix: torch.Tensor) -> None:
    """Require a symmetric matrix, by comparing its two products with one fixed vector: O(n^2) and no copy.

    Raises:
        ValueError: the products differ by more than rounding.
    """
    probe = torch.linspace(1, 2, len(matrix), dtype=matrix.dtype, device=matrix.device)
    right, left = matrix @ probe, probe @ matrix
    tolerance = math.sqrt(torch.finfo(matrix.dtype).eps)
    if (right - left).abs().max() > tolerance * right.abs().max():
        raise ValueError(
            f"{name}: expected a symmetric kernel matrix, got one whose two triangles differ; "
            f"it must hold the kernel of the training points with themselves, ntk(x_train)."
        )


def check_ridge(ridge: float, *, positive: bool = False) -> None:
    """Require a finite ridge, at least zero, or above zero where `positive`.

    Raises:
        TypeError: it is no number.
        ValueError: the ridge is negative, NaN or infinite, or zero where it must not be.
    """
    if not isinstance(ridge, (Real, torch.Tensor)):
        raise TypeError(f"ridge: expected a number, got {type(ridge).__name__}.")
    wanted = "a positive number" if positive else "zero or a positive number"
    if not math.isfinite(ridge) or ridge < 0 or (positive and ridge == 0):
        why = ": without a ridge the Hessian of an over-parameterized network has no inverse" if positive else ""
        raise ValueError(f"ridge: expected {wanted}, got {ridge}{why}. The paper uses 4 and 10 for 5000 images.")


def check_training_kernel(
    k_train_train: torch.Tensor, y_train: torch.Tensor, ridge: float, *, double: bool = False
) -> None:
    """Require an (n, n) symmetric kernel of the training points, (n, c) targets and a ridge, of float64 if `double`.

    Raises:
        TypeError: not torch tensors of one dtype and device, or not of float64 where that is needed.
        ValueError: wrong shapes, NaN, a kernel that is not symmetric, a negative ridge.
    """
    n = len(k_train_train)
    check_matrix("k_train_train", k_train_train, rows=n, columns=n)
    if double and k_train_train.dtype != torch.float64:
        raise TypeError(f"k_train_train: expected float64, got {k_train_train.dtype}; load the data in float64.")
    check_symmetric("k_train_train", k_train_train)
    check_matrix("y_train", y_train, rows=n, like=k_train_train)
    check_ridge(ridge)


def available_bytes(device: torch.device) -> int | None:
    """Bytes that an allocation on `device` may still take, or None where the system does not say."""
    if device.type == "cuda":
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + cached  # torch uses again what it has cached
    if (meminfo := Path("/proc/meminfo")).exists():
        return _linux_bytes(meminfo, "MemAvailable")
    if "SC_PHYS_PAGES" in getattr(os, "sysconf_names", {}):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def check_fits(what: str, *shape: int, like: torch.Tensor, advice: str) -> None:
    """Require that an array of `shape`, with the dtype and device of `like`, fits in the memory that is free.

    Raises:
        MemoryError: it would not; the error gives both sizes and the `advice`.
    """
    needed, free = math.prod(shape) * like.element_size(), available_bytes(like.device)
    if free is not None and needed > free:
        raise MemoryError(
            f"{what} of shape {shape} needs {needed / 2**30:.1f} GiB on {like.device}, "
            f"but {free / 2**30:.1f} GiB are free; {advice}"
        )


def peak_bytes(device: torch.device) -> int:
    """The most memory that this process has held so far: resident on the CPU (POSIX only), allocated on CUDA."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    # What getrusage tells of a new process begins with the peak of the process that started it.
    if (status := Path("/proc/self/status")).exists():
        return _linux_bytes(status, "VmHWM")
    import resource  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def require_extra(extra: str, *packages: str) -> None:
    """Require packages that an extra of this package brings, see `pyproject.toml`.

    Raises:
        ModuleNotFoundError: some are not installed; names them and the command that installs them.
    """
    if missing := [name for name in packages if find_spec(name) is None]:
        raise ModuleNotFoundError(
            f"{', '.join(missing)}: not installed; this part of ntkif needs the extra `{extra}`, "
            f"pip install 'ntkif[{extra}]'.",
            name=missing[0],
        )


def _linux_bytes(file: Path, entry: str) -> int:
    """A size that Linux tells in kB in a file of /proc."""
    return 1024 * int(re.search(rf"{entry}:\s+(\d+) kB", file.read_text())[1])


def check_count(name: str, value, least: int | None = 1) -> int:
    """Require a whole number, at least so large if that is given; returns it as Python's.

    Raises:
        TypeError: something else, as 2.0 is.
        ValueError: it is smaller.
    """
    try:
        count = operator.index(value)
    except TypeError:
        raise TypeError(f"{name}: expected a whole number, got {value!r} of {type(value).__name__}.") from None
    if least is not None and count < least:
        raise ValueError(f"{name}: expected at least {least}, got {count}.")
    return count


def groups_of(groups, name: str = "groups") -> list[torch.Tensor]:
    """Groups as users name them, a sequence or a mapping, each as `group_rows` makes it.

    Raises:
        TypeError: rows that are no numbers.
        ValueError: no groups.
    """
    if not isinstance(groups, Iterable):
        raise TypeError(f"{name}: expected a list of sets of training rows, got {groups!r}; put it into a list.")
    found = [group_rows(group) for group in (groups.values() if isinstance(groups, Mapping) else groups)]
    if not found:
        raise ValueError(f"{name}: expected at least one set of training rows, got none.")
    return found


def group_rows(group) -> torch.Tensor:
    """Rows as users name them, a list, an array, a tensor, a series or a set, as a tensor; see `check_group`."""
    if isinstance(group, torch.Tensor):
        return group
    rows = np.array(sorted(group) if isinstance(group, (set, frozenset)) else group)  # a copy: pandas' are read-only
    if rows.dtype.kind not in "biuf":
        raise TypeError(f"group: expected rows of the training set, whole numbers, got {rows.dtype} of {type(group)}.")
    return torch.from_numpy(rows)


def check_group(group: torch.Tensor, n: int, name: str = "group") -> torch.Tensor:
    """Require distinct rows of a training set of n points; returns them in the dtype that torch indexes with.

    Raises:
        ValueError: no row, one that is named twice or is not there, or numbers that are not whole.
    """
    group = torch.as_tensor(group)
    shown = f"{group.dtype} of shape {tuple(group.shape)}: {group.flatten()[:8].tolist()}"
    whole = group.ndim == 1 and not group.is_floating_point() and not group.is_complex() and group.dtype != torch.bool
    group = group.long()  # of the whole numbers, torch indexes with these alone
    if not whole or len(group) == 0 or group.min() < 0 or group.max() >= n or len(group.unique()) < len(group):
        raise ValueError(
            f"{name}: expected a list of distinct training rows, whole numbers from 0 to {n - 1}, got {shown}."
        )
    return group


def check_condition(condition: float, ridge: float, dtype: torch.dtype) -> None:
    """Require that K + λI has a condition number with which at least two digits of a solution are right.

    Raises:
        numpy.linalg.LinAlgError: it is singular to working precision.
    """
    if condition < 0.01 / torch.finfo(dtype).eps:
        return
    from numpy.linalg import LinAlgError

    raise LinAlgError(
        f"K + ridge I is singular to {dtype} precision at ridge={ridge:g} (condition number {condition:.1e}): "
        f"expected training points that all differ, or a larger ridge. Remove repeated points, raise the ridge, "
        f"or use float64."
    )


def warn(message: str) -> None:
    """Warn at the line of the first caller outside this package and torch, whatever stands between."""
    frame, level = sys._getframe(1), 2
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in ("ntkif", "torch"):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, stacklevel=level)
