"""The Jacobian of a network in parts: layers by what goes in and comes back, other parameters a piece at a time."""

import copy
import logging
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import torch

from ntkif.blocks import row_blocks
from ntkif.kernels.jacobian import PASS, check_finite, few_of, jacobian, pieces, rows_of
from ntkif.kernels.layers import Layer, Part, confirmed, grouped, layers_of, parts_of
from ntkif.networks.inputs import Points, Reading, unchanged
from ntkif.networks.modules import prepare, trained_parameters

__all__ = ["JacobianParts", "in_dtype"]

_TRIED = 16  # points of a block in which layers are tried
_log = logging.getLogger(__name__)


def in_dtype(
    module: torch.nn.Module, x, output: str | int | None, dtype: torch.dtype | None
) -> tuple[Reading, Reading, Points, int]:
    """A module as users have it, a copy in the dtype of its derivatives, points in that, and how many outputs.

    Args:
        module: see `module_kernel`.
        x: points.
        output: as of `module_kernel`.
        dtype: that of the module where absent, of which then no copy is made.

    Raises:
        TypeError, ValueError: as `prepare`.
    """
    given, x, c = prepare(module, x, output=output)
    if dtype is None:
        return given, given, x, c
    return given, _converted(copy.deepcopy(given), dtype), x.to(dtype), c


def _converted(module: torch.nn.Module, dtype: torch.dtype) -> torch.nn.Module:
    """The module with its floats in a dtype, and its complex numbers, which `to` would make real, in the like of it."""

    def convert(value: torch.Tensor) -> torch.Tensor:
        if value.is_complex():
            return value.to(dtype.to_complex())
        return value.to(dtype) if value.is_floating_point() else value

    return module._apply(convert)


class JacobianParts:
    """What makes the Jacobian of a network at any points, part after part.

    Args:
        reading: the network.
        x: points to find its layers by.
        c: outputs.
        most: numbers of a point that are kept at once.
        scales: by which the derivatives by a parameter are multiplied, by its name; one where absent.
        by_layers: whether linear layers and convolutions are taken as products where they can be, see `layers`.
        point_block, parameter_block, output_block: as of `module_kernel`.

    Attributes:
        numbers: that are kept of a point, of all parts together.
    """

    def __init__(
        self,
        reading: Reading,
        x: Points,
        c: int,
        most: int,
        *,
        scales: Mapping[str, float] | None = None,
        by_layers: bool = True,
        point_block: int | None = None,
        parameter_block: int | None = None,
        output_block: int | None = None,
    ):
        self.reading, self.c, self.scales = reading, c, scales or {}
        self.blocks = {"point_block": point_block, "output_block": output_block}
        trained = trained_parameters(reading)
        layers = _layers(reading, x, c, most) if by_layers else []
        self.groups = list(grouped(layers, lambda layer: layer.numbers(c), most))
        rest = set(trained) - {name for group in self.groups for layer in group for name in layer.names()}
        self.pieces = list(pieces(reading, parameter_block or max(1, most // c), rest))
        self.numbers = sum(layer.numbers(c) for group in self.groups for layer in group)
        self.numbers += c * sum(trained[name].numel() for name in rest)

    def makers(self) -> Iterator[Callable[[Points], list[Part]]]:
        """For each group of layers, and each piece of other parameters, what makes its parts at points."""
        for group in self.groups:
            yield partial(self._of_layers, group)
        for piece in self.pieces:
            yield partial(self._of_piece, piece)

    def widths(self) -> list[int]:
        """Columns of the Jacobian of each part, in the order they are made in."""
        of_layers = [layer.inner * layer.outer for group in self.groups for layer in group]
        return of_layers + [sum(rows.numel() for _, rows in self._rows(piece)) for piece in self.pieces]

    def movement(self, columns: torch.Tensor) -> dict[str, torch.Tensor]:
        """Of each trained parameter, by its name, from a number for each column of the parts, one after the other.

        So that a movement of the columns changes the outputs as that of the parameters, scales included.
        """
        trained = trained_parameters(self.reading)
        found = {name: value.new_empty(value.shape) for name, value in trained.items()}
        parts = iter(columns.split(self.widths()))
        for layer in (layer for group in self.groups for layer in group):
            rows = next(parts).reshape(layer.outer, layer.inner)
            if layer.bias is not None:
                rows, found[layer.bias][:] = rows[:, :-1], rows[:, -1]
            found[layer.weight][:] = rows.reshape(trained[layer.weight].shape)
        for piece in self.pieces:
            rows = [place for _, place in self._rows(piece, found)]
            for place, part in zip(rows, next(parts).split([each.numel() for each in rows]), strict=True):
                place[:] = part.reshape(place.shape)
        return {name: value.mul_(self.scales.get(name, 1.0)) for name, value in found.items()}

    def columns(self, gradient: dict[str, torch.Tensor]) -> torch.Tensor:
        """The gradient by the columns of the parts, from that by each parameter: the transpose of `movement`."""
        values, found = {name: each * self.scales.get(name, 1.0) for name, each in gradient.items()}, []
        for layer in (layer for group in self.groups for layer in group):
            rows = values[layer.weight].reshape(layer.outer, -1)
            found.append(rows if layer.bias is None else torch.cat([rows, values[layer.bias][:, None]], 1))
        found += [rows for piece in self.pieces for _, rows in self._rows(piece, values)]
        return torch.cat([rows.flatten() for rows in found])

    def _rows(self, piece: dict[str, slice], values=None) -> Iterator[tuple[str, torch.Tensor]]:
        """The rows of parameters that a piece names, of these or of other values."""
        values = trained_parameters(self.reading) if values is None else values
        return ((name, rows_of(values[name])[rows]) for name, rows in piece.items())

    def _of_layers(self, group: list[Layer], points: Points) -> list[Part]:
        parts = _parts(self.reading, points, self.c, group, self.blocks["point_block"])
        for layer, part in zip(group, parts, strict=True):
            scales = [self.scales.get(name, 1.0) for name in layer.names()]
            if set(scales) != {1.0}:
                part.scale_(layer.inner, scales[0], scales[1] if layer.bias else None)
        return parts

    def _of_piece(self, piece: dict[str, slice], points: Points) -> list[Part]:
        found, first = jacobian(self.reading, points, piece, **self.blocks), 0
        for name, rows in self._rows(piece):
            if (scale := self.scales.get(name, 1.0)) != 1:
                found[:, :, first : first + rows.numel()] *= scale
            first += rows.numel()
        return [Part(found)]


def _layers(reading: Reading, x: Points, c: int, most: int) -> list[Layer]:
    """Layers whose Jacobian is a product, see `layers`, and fits as such."""
    try:
        with unchanged(reading):
            found = [layer for layer in layers_of(reading, few_of(x, c), c) if layer.numbers(c) <= most]
            at_once = min(len(x), _TRIED, max(1, PASS // max(1, _numbers(found, c))))
            shuffled = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
            return confirmed(reading, x[shuffled[:at_once]], c, found)
    except Exception as refused:  # then all parameters are taken another way, which says what is wrong
        _log.debug("%s: no layers are taken by themselves: %s", type(reading.module).__name__, refused)
        return []


def _numbers(layers: list[Layer], c: int) -> int:
    """That a pass makes of a point beside what is kept; of a single place that is one output at a time."""
    return sum(layer.places * (layer.inner + (c if layer.places > 1 else 1) * layer.outer) for layer in layers)


def _parts(reading: Reading, x: Points, c: int, group: list[Layer], point_block: int | None) -> list[Part]:
    """Of all points, some at once."""
    blocks, found = list(row_blocks(len(x), point_block or max(1, PASS // _numbers(group, c)))), None
    with unchanged(reading):
        for rows in blocks:
            some = parts_of(reading, x[rows], c, group)
            for part in some:
                check_finite(part.pulls, rows.start)
            if len(blocks) == 1:
                return some
            found = [part.room(len(x)) for part in some] if found is None else found
            for part, whole in zip(some, found, strict=True):
                whole.fill(rows, part)
    return found
