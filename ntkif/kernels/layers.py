"""Jacobians of linear layers and convolutions as products of what goes into them and what comes back.

A linear layer gives s_t = W a_t + b at every place t of a point: one, or those of a sequence or of an image. With
B_ct = ∂f_c/∂s_t its Jacobian is Σ_t B_ct a_tᵀ for W and Σ_t B_ct for b. So one pass backward for each output, of all
points at once, gives it for every point; and where there is a single place the kernel needs no Jacobian at all:

    K(x, z)_cd = (a(x) · a(z) + 1) (B_c(x) · B_d(z))
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch.nn import functional

from ntkif.kernels.jacobian import HELD, PASS, as_by_plain_passes
from ntkif.kernels.uses import Use, uses_of
from ntkif.networks.inputs import Points, Reading

__all__ = ["Layer", "Part", "UsedOtherwiseError", "confirmed", "grouped", "layers_of", "parts_of"]

_CONFIRMED = 2  # points of a block that are held against plain passes


class UsedOtherwiseError(ValueError):
    """A layer is used otherwise at some points than at those that it was found by."""


@dataclass(frozen=True)
class Layer:
    """A weight that is used by linear layers or convolutions alone.

    Attributes:
        weight: its name.
        bias: that of the bias which is trained with it, None where there is none.
        places: at which it is used for one point.
        inner: numbers that go in at a place, with one for the bias.
        outer: numbers that come out.
    """

    weight: str
    bias: str | None
    places: int
    inner: int
    outer: int

    def names(self) -> list[str]:
        """Of its parameters."""
        return [self.weight] if self.bias is None else [self.weight, self.bias]

    def numbers(self, c: int) -> int:
        """That are kept of a point with c outputs."""
        return self.inner + c * self.outer if self.places == 1 else c * self.inner * self.outer


@dataclass(frozen=True, eq=False)
class Part:
    """What is kept of a layer at n points.

    Attributes:
        pulls: (n, c, o) derivatives by what comes out, or the Jacobian (n, c, o k) where `inputs` is None.
        inputs: (n, k) what goes in.
    """

    pulls: torch.Tensor
    inputs: torch.Tensor | None = None

    def jacobian(self) -> torch.Tensor:
        """(n, c, o k)."""
        if self.inputs is None:
            return self.pulls
        return (self.pulls[:, :, :, None] * self.inputs[:, None, None]).flatten(2)

    def scale_(self, inner: int, weight: float, bias: float | None) -> None:
        """Derivatives by weight and bias times a number each, in place; `inner` as of the layer."""
        columns = self.inputs if self.inputs is not None else self.pulls.unflatten(2, (-1, inner))
        if bias is None:
            columns *= weight
        else:
            columns[..., :-1] *= weight
            columns[..., -1] *= bias

    def room(self, n: int) -> "Part":
        """For n points."""
        inputs = None if self.inputs is None else self.inputs.new_empty(n, *self.inputs.shape[1:])
        return Part(self.pulls.new_empty(n, *self.pulls.shape[1:]), inputs)

    def fill(self, rows: slice, part: "Part") -> None:
        """Some of the points."""
        self.pulls[rows] = part.pulls
        if self.inputs is not None:
            self.inputs[rows] = part.inputs


def layers_of(reading: Reading, x: Points, c: int) -> list[Layer]:
    """The layers of a network whose Jacobian is such a product, as a few points show.

    Args:
        reading: the network.
        x: few points, see `few_of`.
        c: outputs.

    Returns:
        those that agree with plain passes backward; none where the network cannot be called on several points at once.
    """
    uses, directly = uses_of(reading, x, c)
    biases = {}
    for use, _ in uses:
        biases.setdefault(use.weight, set()).add(use.bias)
    owners = [bias for found in biases.values() for bias in found if bias is not None]
    layers = []
    for weight, found in biases.items():
        (bias, *others), places = found, sum(use.inputs.shape[1] for use, _ in uses if use.weight == weight)
        if others or weight in directly or bias in directly or owners.count(bias) > 1:
            continue
        of_weight = [(use, pulls) for use, pulls in uses if use.weight == weight]
        inner = of_weight[0][0].inputs.shape[2] + (bias is not None)
        layers.append(Layer(weight, bias, places, inner, of_weight[0][1].shape[3]))
    kept = []
    for layer in layers:
        few_outputs = _few_of_part(_part(layer, uses), slice(None))  # of all it might not fit
        piece = {name: slice(None) for name in layer.names()}
        if as_by_plain_passes(_in_order(layer, few_outputs.jacobian()), reading, x, piece):
            kept.append(layer)
    return kept


def confirmed(reading: Reading, block: Points, c: int, layers: list[Layer]) -> list[Layer]:
    """The layers, if in a block of points they agree with plain passes too, and none of them else.

    In a block a network may do what it does not at a few points: sort them, cut their padding, pass some again.

    Raises:
        UsedOtherwiseError: as `parts_of`.
    """
    rows, parts = slice(-_CONFIRMED, None), iter(parts_of(reading, block, c, layers))
    for some in grouped(layers, lambda layer: _CONFIRMED * HELD * layer.inner * layer.outer, PASS):
        piece = {name: slice(None) for layer in some for name in layer.names()}
        few = [(layer, _few_of_part(next(parts), rows)) for layer in some]
        jacobian = torch.cat([_in_order(layer, part.jacobian()) for layer, part in few], 2)
        if not as_by_plain_passes(jacobian, reading, block[rows], piece):
            return []
    return layers


def grouped(layers: Iterable[Layer], numbers: Callable[[Layer], int], most: int) -> Iterator[list[Layer]]:
    """Layers one after the other, as many at once as have at most so many numbers; a larger one alone."""
    group, room = [], most
    for layer in layers:
        if group and numbers(layer) > room:
            yield group
            group, room = [], most
        group.append(layer)
        room -= numbers(layer)
    if group:
        yield group


def _few_of_part(part: Part, rows: slice) -> Part:
    """At some points, of the first outputs."""
    return Part(part.pulls[rows, :HELD], None if part.inputs is None else part.inputs[rows])


def parts_of(reading: Reading, x: Points, c: int, layers: Iterable[Layer]) -> list[Part]:
    """What is kept of some layers at points that are few enough for one pass.

    Raises:
        UsedOtherwiseError: a layer is used at some of the points alone, at none, or with another bias; at several
            places of a point where it was found at one; or its weight or bias is used by something else too.
    """
    layers = list(layers)
    uses, elsewhere = uses_of(reading, x, c, [name for layer in layers for name in layer.names()])
    for layer in layers:
        own = [use for use, _ in uses if use.weight == layer.weight]
        places = sum(use.inputs.shape[1] for use in own)
        alike = own and {use.bias for use in own} == {layer.bias} and (layer.places > 1 or places == 1)
        if not alike or elsewhere.intersection(layer.names()):
            raise UsedOtherwiseError(
                f"module: its layer with {layer.weight} is used otherwise at some of these points than at those that "
                f"were tried (at some of them alone, at another number of places, or directly); pass by_layers=False, "
                f"which is slower and asks nothing of it."
            )
    return [_part(layer, uses) for layer in layers]


def _in_order(layer: Layer, jacobian: torch.Tensor) -> torch.Tensor:
    """Columns of weight and bias one after the other, instead of a bias behind each row."""
    if layer.bias is None:
        return jacobian
    rows = jacobian.unflatten(2, (layer.outer, layer.inner))
    return torch.cat([rows[..., :-1].flatten(2), rows[..., -1]], 2)


def _part(layer: Layer, uses: list[tuple[Use, torch.Tensor]]) -> Part:
    own = [(use, pulls) for use, pulls in uses if use.weight == layer.weight]
    inputs = torch.cat([use.inputs for use, _ in own], 1)
    pulls = torch.cat([pulls for _, pulls in own], 2)
    if layer.bias is not None:
        inputs = functional.pad(inputs, (0, 1), value=1.0)
    if layer.places == 1:
        return Part(pulls[:, :, 0], inputs[:, 0])
    n, c, places, outer = pulls.shape
    found = pulls.transpose(2, 3).reshape(n, c * outer, places) @ inputs
    return Part(found.reshape(n, c, -1))
