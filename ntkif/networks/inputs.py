"""What a module takes and what it returns, made alike: points of one or several inputs, and a row of outputs a point.

Modules take a tensor, several, or tensors by name, and return a matrix, a vector, a tuple, a dictionary or an object.
`points_of` and `reading_of` bring both into the one form that the rest of this package knows.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps

import torch
from torch.utils.data import DataLoader, Dataset, RandomSampler, SequentialSampler

__all__ = ["Points", "Reading", "in_own_precision", "lent", "points_of", "reading_of", "take_all", "taken", "unchanged"]

_USUAL = "logits"  # the entry that libraries of transformers name so


@dataclass(frozen=True, eq=False)
class Points:
    """Points of a module that takes one or several tensors, each with a row a point.

    Attributes:
        arrays: the tensors.
        names: of the arguments they are passed as; None where they are passed in order.
    """

    arrays: tuple[torch.Tensor, ...]
    names: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.arrays[0])

    def __getitem__(self, rows) -> "Points":
        """Some of the points."""
        return Points(tuple(array[rows] for array in self.arrays), self.names)

    def to(self, dtype: torch.dtype) -> "Points":
        """With floats of another dtype."""
        arrays = (array.to(dtype) if array.is_floating_point() else array for array in self.arrays)
        return Points(tuple(arrays), self.names)

    @property
    def floats(self) -> tuple[bool, ...]:
        """Whether each tensor holds floats."""
        return tuple(array.is_floating_point() for array in self.arrays)

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Of one point."""
        return tuple(tuple(array.shape[1:]) for array in self.arrays)

    def arguments(self, arrays: Sequence[torch.Tensor] | None = None) -> tuple[tuple, dict]:
        """These tensors, or others in their place, as arguments in order and by name."""
        arrays = self.arrays if arrays is None else tuple(arrays)
        return (arrays, {}) if self.names is None else ((), dict(zip(self.names, arrays, strict=True)))

    def predicted_by(self, module: torch.nn.Module) -> torch.Tensor:
        """(n, c) outputs of a `Reading`."""
        arrays, named = self.arguments()
        return module(*arrays, **named)


class Reading(torch.nn.Module):
    """A module whose outputs are read as an (n, c) matrix.

    Args:
        module: returns (n, c) or (n,) outputs, or a tuple, mapping or object that holds them.
        output: which entry; `logits` where absent and there is such an entry.
    """

    def __init__(self, module: torch.nn.Module, output: str | int | None = None):
        super().__init__()
        self.module, self.output = module, output
        self.training = module.training

    def forward(self, *arrays: torch.Tensor, **named: torch.Tensor) -> torch.Tensor:
        """(n, c) outputs."""
        first = arrays[0] if arrays else next(iter(named.values()))
        found = self._entry(self.module(*arrays, **named))
        if found.ndim < 2 and found.numel() == len(first):
            return found.reshape(-1, 1)
        if found.ndim != 2 or len(found) != len(first):
            raise ValueError(
                f"module: expected (n, c) or (n,) outputs of n points, got shape {tuple(found.shape)} of "
                f"{len(first)}; wrap it in a module that returns a row for each point."
            )
        return found

    def _entry(self, found) -> torch.Tensor:
        if isinstance(found, torch.Tensor):
            if self.output is not None:
                raise ValueError(f"output: expected none where the module returns a tensor, got {self.output!r}.")
            return found
        entries = _entries(found)
        wanted = _USUAL if self.output is None and _USUAL in entries else self.output
        if not isinstance(entries.get(wanted), torch.Tensor):
            raise ValueError(
                f"output: the module returns a {type(found).__name__}; name the entry that holds the outputs, a "
                f"tensor, as output=..., one of {list(entries)}; got {self.output!r}."
            )
        return entries[wanted]


def _entries(found) -> Mapping:
    """Of what a module returns, by name or place: a named tuple has both."""
    if isinstance(found, Mapping):
        return found
    if is_dataclass(found):
        return {field.name: getattr(found, field.name) for field in fields(found)}
    if isinstance(found, (tuple, list)):
        return dict(enumerate(found)) | (found._asdict() if hasattr(found, "_asdict") else {})
    return getattr(found, "__dict__", {})


@contextmanager
def unchanged(module: torch.nn.Module) -> Iterator[None]:
    """Buffers that the module changes when it is called are afterwards as before."""
    before = [(value, value.clone()) for value in module.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for value, was in before:
                if not torch.equal(value, was):  # else a second derivative would find that it was written to
                    value.copy_(was)


def in_own_precision(function: Callable) -> Callable:
    """The function without an autocast around it, for which no derivative is meant, or `torch.inference_mode`."""
    cpu, cuda = (torch.autocast(device, enabled=False) for device in ("cpu", "cuda"))

    @wraps(function)
    def alone(*args, **named):
        with ExitStack() as around, cpu, cuda:
            if torch.is_inference_mode_enabled():
                around.enter_context(torch.inference_mode(False))
                around.enter_context(torch.no_grad())
            return function(*args, **named)

    return alone


def reading_of(module: torch.nn.Module, output: str | int | None = None) -> Reading:
    """The module as a `Reading`, unless it is one."""
    return module if isinstance(module, Reading) and output is None else Reading(module, output)


def points_of(x, module: torch.nn.Module, name: str = "x") -> Points:
    """Points as a module takes them, on its device.

    Args:
        x: (n, ...) tensor; a tuple or list of tensors, passed in order; a mapping of tensors, passed by name.
        module: of which the parameters tell device and dtype.
        name: of the argument, for errors.

    Raises:
        TypeError: something else than dense tensors; floats of another dtype than the parameters; complex numbers.
        ValueError: no points, tensors of different lengths, or NaN or infinity; nothing but shapes.
    """
    if isinstance(x, Points):
        return x
    names = tuple(sorted(x, key=str)) if isinstance(x, Mapping) else None  # so that mappings may differ in their order
    arrays = tuple(x[name] for name in names) if names else tuple(x) if isinstance(x, (tuple, list)) else (x,)
    if not arrays or not all(isinstance(array, torch.Tensor) for array in arrays):
        came = ", ".join(sorted({type(array).__name__ for array in arrays})) or "nothing"
        raise TypeError(
            f"{name}: expected a torch tensor, a tuple or a mapping of tensors, got {came}; convert arrays and tables "
            f"with torch.as_tensor(numpy.array(...)), take a DataLoader or a Dataset apart with `take_all`."
        )
    like = next((value for value in module.parameters() if value.requires_grad), next(iter(module.parameters())))
    floats = {value.dtype for value in module.parameters()}
    for array in arrays:
        if array.layout != torch.strided:
            raise TypeError(f"{name}: expected dense tensors, got {array.layout}; convert them with .to_dense().")
        if array.is_meta or like.is_meta:
            raise ValueError(
                f"{name}: expected points and parameters with numbers, got one of them on the device meta, which has "
                f"shapes alone; load them first."
            )
        if array.is_complex() or (array.is_floating_point() and array.dtype not in floats):
            raise TypeError(
                f"{name}: expected points of {like.dtype} as the parameters, or integers, got {array.dtype}; "
                f"convert them with .to({like.dtype})."
            )
        if not array.ndim or not array.numel() or len(array) != len(arrays[0]) or not torch.isfinite(array).all():
            raise ValueError(
                f"{name}: expected finite points, one a row of each tensor, got "
                f"{', '.join(str(tuple(a.shape)) for a in arrays)}, or NaN or infinity."
            )
    return Points(tuple(lent(array).to(like.device) for array in arrays), names)


def lent(array: torch.Tensor) -> torch.Tensor:
    """A tensor of which derivatives may be taken: a copy of one that was made in `torch.inference_mode`."""
    return array.clone() if array.is_inference() else array


def take_all(data: DataLoader | Dataset) -> tuple:
    """Points and targets of a DataLoader or Dataset, read once, in the order of its rows.

    Args:
        data: gives pairs of a point (a tensor, a tuple or a mapping of tensors) and a target. A loader that shuffles
            is read in the order of its data set, so that row i of the result is its point i; one with a sampler of
            its own is refused, since it may leave points out, and so is one that never gives some points.

    Returns:
        points, as `points_of` takes them, and targets.

    Raises:
        TypeError, ValueError: no pairs; points of several shapes; or a loader that makes no batches, or whose rows are
            not those of its data set, each once.
    """
    if isinstance(data, DataLoader):
        if data.batch_size is None and data.batch_sampler is None:
            raise ValueError("data: expected a loader that makes batches, got batch_size=None; pass its data set.")
        sampler = data.sampler if data.batch_size else getattr(data.batch_sampler, "sampler", data.batch_sampler)
        if not isinstance(sampler, (SequentialSampler, RandomSampler)) or getattr(sampler, "replacement", False):
            raise ValueError(
                f"data: expected a loader that gives each row of its data set once, got one with the sampler "
                f"{type(sampler).__name__}; pass the data set itself."
            )
        given = len(sampler)
        if isinstance(sampler, SequentialSampler) and getattr(data.batch_sampler, "drop_last", False):
            given -= given % data.batch_sampler.batch_size
        if given != len(data.dataset):
            raise ValueError(
                f"data: expected a loader that gives each row of its data set once, got one that gives {given} of "
                f"{len(data.dataset)}; pass what was trained on as a data set, such as torch.utils.data.Subset."
            )
        how = {"batch_size": data.batch_size or 1, "collate_fn": data.collate_fn}
        loader = DataLoader(data.dataset, **how)
    else:
        loader = DataLoader(data, batch_size=256)
    batches = list(loader)
    if not batches or not all(isinstance(batch, (tuple, list)) and len(batch) == 2 for batch in batches):
        raise TypeError("data: expected pairs of a point and a target, at least one; write a data set of such pairs.")
    return _joined([x for x, _ in batches]), _joined([y for _, y in batches])


def taken(x, y: torch.Tensor | None) -> tuple:
    """Points and targets as they are; of a DataLoader or Dataset without targets beside it, see `take_all`, both."""
    return take_all(x) if y is None and isinstance(x, (DataLoader, Dataset)) else (x, y)


def _joined(parts: list):
    if isinstance(parts[0], Mapping):
        return {name: _joined([part[name] for part in parts]) for name in parts[0]}
    if not isinstance(parts[0], torch.Tensor):
        return tuple(map(_joined, map(list, zip(*parts, strict=True))))
    if len(shapes := {tuple(part.shape[1:]) for part in parts}) > 1:
        raise ValueError(
            f"data: expected points of one shape, got {sorted(shapes)[:4]}; pad all of them to one length, not those "
            f"of each batch."
        )
    return torch.cat(parts)
