"""Where a network uses its linear layers and convolutions, with what went in and what comes back."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from ntkif.networks.inputs import Points, Reading
from ntkif.networks.modules import trained_parameters

__all__ = ["Use", "uses_of"]


@dataclass
class Use:
    """One call of a layer by n points.

    Attributes:
        weight: its name.
        bias: that of the bias, None where there is none that is trained.
        inputs: (n, L, k) what went in at each of L places.
        out: what came out.
        channels_first: whether places stand behind what comes out, as of a convolution.
    """

    weight: str
    bias: str | None
    inputs: torch.Tensor
    out: torch.Tensor
    channels_first: bool

    def of_places(self, pull: torch.Tensor) -> torch.Tensor:
        """(n, L, o) of a derivative by what came out."""
        return pull.flatten(2).transpose(1, 2) if self.channels_first else pull.reshape(len(pull), -1, pull.shape[-1])


class _Watching(TorchFunctionMode):
    """Notes each call of a linear layer or convolution with a trained weight, and takes the weight out of the graph."""

    def __init__(self, names: dict[int, str], n: int):
        super().__init__()
        self.names, self.n, self.uses, self.elsewhere = names, n, [], set()

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function is functional.linear:
            return self._linear(function, *args, **kwargs)
        if function in (functional.conv1d, functional.conv2d):
            return self._convolution(function, *args, **kwargs)
        return function(*args, **kwargs)

    def _unnoted(self, weight, found):
        """What a call gave that is none of a layer at all points, whose weight stays in the graph."""
        if id(weight) in self.names:
            self.elsewhere.add(self.names[id(weight)])
        return found

    def _linear(self, function, x, weight, bias=None):
        if id(weight) not in self.names or x.ndim < 2 or len(x) != self.n:
            return self._unnoted(weight, function(x, weight, bias))
        return self._noted(
            weight, bias, x.reshape(len(x), -1, x.shape[-1]), function(x, *_without(weight, bias)), False
        )

    def _convolution(self, function, x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
        how = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        as_layer = groups == 1 and not isinstance(padding, str) and x.ndim == weight.ndim and len(x) == self.n
        if id(weight) not in self.names or not as_layer:
            return self._unnoted(weight, function(x, weight, bias, **how))
        size, image = tuple(weight.shape[2:]), x.detach()
        if len(size) == 1:  # a row of an image
            image, size = image[:, :, None], (1, *size)
            stride, padding, dilation = (1, *_tuple(stride)), (0, *_tuple(padding)), (1, *_tuple(dilation))
        places = functional.unfold(image, size, dilation, padding, stride).transpose(1, 2)
        return self._noted(weight, bias, places, function(x, *_without(weight, bias), **how), channels_first=True)

    def _noted(self, weight, bias, inputs, out, channels_first):
        out = out if out.requires_grad else out.detach().requires_grad_()
        self.uses.append(Use(self.names[id(weight)], self.names.get(id(bias)), inputs.detach(), out, channels_first))
        return out.clone()  # which the network may change in place


def _without(weight, bias):
    return weight.detach(), bias if bias is None else bias.detach()


def _tuple(value) -> tuple:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


@torch.enable_grad()
def uses_of(
    reading: Reading, x: Points, c: int, names: Iterable[str] | None = None
) -> tuple[list[tuple[Use, torch.Tensor]], set[str]]:
    """Calls of layers with (n, c, L, o) derivatives by what came out; and which parameters are used elsewhere too.

    These are looked for among the parameters of some names; among all where absent.
    """
    trained = trained_parameters(reading)
    with _Watching({id(value): name for name, value in trained.items()}, len(x)) as watching:
        found = x.predicted_by(reading)
    outs = [use.out for use in watching.uses]
    names = list(trained if names is None else names)
    others = [trained[name] for name in names]
    if not outs or not found.requires_grad:
        return [], set(trained)
    pulls, directly = [], watching.elsewhere
    for use in watching.uses:
        places = use.of_places(use.out.detach())
        pulls.append(places.new_zeros(len(x), c, *places.shape[1:]))
    for a in range(c):
        gradients = torch.autograd.grad(found[:, a].sum(), outs + others, retain_graph=a + 1 < c, allow_unused=True)
        for use, kept, gradient in zip(watching.uses, pulls, gradients, strict=False):
            if gradient is not None:
                kept[:, a] = use.of_places(gradient)
        directly |= {name for name, g in zip(names, gradients[len(outs) :], strict=True) if g is not None}
    return list(zip(watching.uses, pulls, strict=True)), directly
