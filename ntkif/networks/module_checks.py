"""Checks of a module before derivatives of it are taken."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

__all__ = [
    "check_alone",
    "check_module",
    "check_prepared",
    "check_trained",
    "fingerprint",
    "points_taken",
    "same_fingerprint",
]

_SAME = 1e-3  # of the largest output: more than rounding in other blocks
_ROUNDED = 1e-6  # of a sum: what another device, or a way through single precision, may change
_ALONE = 8  # points


def check_module(module: nn.Module, name: str = "module") -> None:
    """Require a torch module whose parameters are made.

    Raises:
        TypeError: no module.
        ValueError: a lazy one that was not called.
    """
    if not isinstance(module, nn.Module):
        raise TypeError(
            f"{name}: expected a torch module, got {type(module).__name__}; put a function and its parameters into one."
        )
    if any(nn.parameter.is_lazy(value) for value in module.parameters()):
        raise ValueError(f"{name}: expected one whose parameters are made, got a lazy one; call it once, and train it.")


def check_trained(network: nn.Module) -> None:
    """Require a torch module that is in evaluation mode, in all its parts.

    Raises:
        TypeError, ValueError: as `check_module`; one in training mode, even in part.
    """
    check_module(network, "network")
    if any(part.training for part in network.modules()):
        raise ValueError("network: expected one in evaluation mode, all parts of it; call network.eval() first.")


def check_prepared(module: nn.Module) -> None:
    """Require evaluation mode, and trained parameters of one dtype on one device.

    Raises:
        TypeError: several dtypes or devices, or another dtype than float32 and float64.
        ValueError: training mode, nothing that is trained, or parameters made in `torch.inference_mode`.
    """
    if module.training:
        raise ValueError(
            "module: expected one in evaluation mode, where each point is predicted by itself and without chance; "
            "call module.eval() first."
        )
    kinds = {(value.dtype, value.device) for value in module.parameters() if value.requires_grad}
    if not kinds:
        raise ValueError("module: expected at least one parameter with requires_grad=True, got none.")
    if len(kinds) > 1 or next(iter(kinds))[0] not in (torch.float32, torch.float64):
        raise TypeError(
            f"module: expected parameters of one dtype, float32 or float64, on one device, got {kinds}; "
            f"convert a copy of it with .float() or .double()."
        )
    if any(value.is_inference() for value in module.parameters()):
        raise ValueError(
            "module: expected one whose parameters have derivatives, got some made in torch.inference_mode; make it, "
            "or a copy.deepcopy of it, outside."
        )


@contextmanager
def points_taken(name: str, arrays: Sequence[torch.Tensor]) -> Iterator[None]:
    """Around a module's forward pass: what it says of points that it does not take, with what they are.

    Raises:
        ValueError: it fails.
    """
    try:
        yield
    except (IndexError, RuntimeError, TypeError) as refused:
        came = ", ".join(f"{array.dtype} of shape {tuple(array.shape)}" for array in arrays)
        raise ValueError(
            f"{name}: expected points that the module takes, got {came}; convert them, or mend its forward, which "
            f"says {type(refused).__name__}: {refused}"
        ) from refused


@torch.no_grad()
def check_alone(predict: Callable[[torch.Tensor], torch.Tensor], n: int) -> None:
    """Require that points are predicted without chance, and each by itself, as some of n points drawn show.

    Args:
        predict: (r, c) outputs of (r,) rows.
        n: how many points there are.

    Raises:
        ValueError: two calls differ, or the outputs of some points hang on others beside them.
    """
    rows = torch.randperm(n, generator=torch.Generator().manual_seed(0))[:_ALONE]
    half = (len(rows) + 1) // 2
    # Convolutions of ten bits, which cuDNN has by default, would look as if they mixed points.
    with torch.backends.cudnn.flags(enabled=torch.backends.cudnn.enabled, deterministic=True, allow_tf32=False):
        many, again, parts = predict(rows), predict(rows), torch.cat([predict(part) for part in rows.split(half)])
    # A network that starts at zero, as a difference of two, predicts rounding errors.
    near = max(_SAME * float(many.abs().nan_to_num(0, 0).max()), torch.finfo(many.dtype).eps ** 0.5)
    how = {"rtol": 0, "atol": near, "equal_nan": True}
    if not torch.allclose(many, again, **how):
        raise ValueError(
            "module: two calls at the same points differ, so its forward pass is random; take the chance out of it, or "
            "call module.eval()."
        )
    if not torch.allclose(many, parts, **how):
        raise ValueError(
            "module: its prediction of a point depends on the other points of the batch, so that no point has a "
            "gradient of its own; use group or layer norm, or keep running statistics and call module.eval()."
        )


@torch.no_grad()
def fingerprint(module: nn.Module) -> dict[str, tuple[float, ...]]:
    """What tells whether a module is as it was: sums of its parameters and buffers of floats, and the mode of parts."""
    found = {"training": tuple(float(part.training) for part in module.modules())}
    for name, value in (*module.named_parameters(), *module.named_buffers()):
        if value.is_floating_point() or value.is_complex():
            numbers = (torch.view_as_real(value) if value.is_complex() else value).flatten().double()
            weights = torch.arange(1, len(numbers) + 1, dtype=torch.float64, device=value.device).sin_()
            found[name] = (float(numbers.abs().sum()), float(numbers.sum()), float(numbers @ weights))
    return found


def same_fingerprint(one: dict[str, tuple[float, ...]], other: dict[str, tuple[float, ...]]) -> bool:
    """Whether two are of the same numbers, to rounding."""
    if one.keys() != other.keys() or one["training"] != other["training"]:
        return False
    pairs = [(one[name], other[name]) for name in one if name != "training"]
    return all(abs(a - b) <= _ROUNDED * before[0] for before, now in pairs for a, b in zip(before, now, strict=True))
