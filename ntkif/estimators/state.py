"""What the estimators say about a fit, and how they keep it in a file."""

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from ntkif.store import write_atomically

__all__ = ["Array", "Diagnosis", "Top", "diagnosis", "read_state", "to_numpy", "write_state"]

Array = np.ndarray | torch.Tensor
_KEPT = (type(None), bool, int, float, complex, str, bytes, torch.Tensor, torch.nn.Parameter)


class Top(NamedTuple):
    """The training points with the largest influence on each of t test points, k at either end.

    Attributes:
        helpful: (t, k) rows of the training set, the most helpful first.
        harmful: (t, k) rows, the most harmful first.
        helpful_influence: (t, k) their influence.
        harmful_influence: (t, k) their influence.
    """

    helpful: Array
    harmful: Array
    helpful_influence: Array
    harmful_influence: Array


@dataclass(frozen=True)
class Diagnosis:
    """How well posed a fit is, and how far IHVP could be trusted with it.

    IHVP is (1 - A_i) times the influence to first order, so to first order the leverage A_i is its relative error
    (Theorem 3).

    Attributes:
        condition: number of K + λI, in the 1-norm, or of a fit in tiles a lower bound of it; digits lost are about its
            logarithm.
        leverage_min, leverage_median, leverage_max: of A_i over the training points.
        ihvp_within_tenth: share of training points whose leverage is a tenth at most.
    """

    condition: float
    leverage_min: float
    leverage_median: float
    leverage_max: float
    ihvp_within_tenth: float

    def __str__(self) -> str:
        """In words."""
        return (
            f"condition number {self.condition:.1e}; leverage {self.leverage_min:.2g} to {self.leverage_max:.2g}, "
            f"median {self.leverage_median:.2g}: IHVP would understate an influence by about that share, "
            f"by at most a tenth for {self.ihvp_within_tenth:.0%} of the training points"
        )


def diagnosis(condition: float, leverage: np.ndarray) -> Diagnosis:
    """The diagnosis of a fit, from its condition number and the (n,) leverages of its training points."""
    low, middle, high = np.quantile(leverage, [0, 0.5, 1]).tolist()
    return Diagnosis(condition, low, middle, high, float((leverage <= 0.1).mean()))


def write_state(file: Path, kind: str, state: dict[str, Any]) -> None:
    """Write tensors, arrays and plain values to a file, which is whole or not there.

    Args:
        file: its path.
        kind: what they are the state of; `read_state` asks for it.
        state: name -> tensor, array, number, text, None, or a list of these, or a dict of these by numbers or texts.

    Raises:
        TypeError: something else, which could not be read back.
    """
    plain = {name: _plain(value, name) for name, value in state.items()}
    write_atomically(file, lambda stream: torch.save({"kind": kind, "state": plain}, stream))


def read_state(file: Path, kind: str, device: str | torch.device) -> dict[str, Any]:
    """What `write_state` wrote, its tensors on a device. No code from the file is run.

    Raises:
        ValueError: the file holds something else.
        OSError: it is not there, or cannot be read.
    """
    try:
        saved = torch.load(file, map_location=device, weights_only=True)
    except (
        pickle.UnpicklingError,
        EOFError,
        LookupError,
        RuntimeError,
    ) as failure:  # as torch meets files of other kinds
        raise ValueError(
            f"{file}: expected a {kind} that its method save wrote, got another kind of file."
        ) from failure
    came = saved.get("kind") if isinstance(saved, dict) else type(saved).__name__
    if came != kind:
        raise ValueError(f"{file}: expected a {kind} that its method save wrote, got {came}; load it by that class.")
    return _arrays(saved["state"])


def _plain(value: Any, name: str) -> Any:
    """Values that torch reads back without running code: arrays become lists with their dtype."""
    if isinstance(value, dict):
        return {_plain(key, name): _plain(each, name) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return (list if isinstance(value, list) else tuple)(_plain(each, name) for each in value)
    if isinstance(value, np.ndarray):
        numbers = value.view(np.int64) if value.dtype.kind in "mM" else value  # dates as what they count
        return {"array": _plain(numbers.tolist(), name), "dtype": value.dtype.str}
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, torch.device):
        return str(value)
    if type(value) in _KEPT:  # not by what inherits from them, which is code
        return value
    raise TypeError(
        f"{name}: expected a number, a text, None, an array, a tensor, or lists of these, which a file can hold, got "
        f"{type(value).__name__}; turn it into one of them, or remove it, before saving."
    )


def _arrays(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return type(value)(map(_arrays, value))
    if not isinstance(value, dict):
        return value
    if set(value) == {"array", "dtype"}:
        return np.array(value["array"], dtype=value["dtype"])
    return {name: _arrays(each) for name, each in value.items()}


def to_numpy(values: Array) -> Array:
    """The array of a torch tensor, of bfloat16 in float32, which NumPy has; everything else as it is."""
    if not isinstance(values, torch.Tensor):
        return values
    return (values.float() if values.dtype == torch.bfloat16 else values).detach().cpu().numpy()
