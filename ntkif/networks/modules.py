"""Deeper networks as torch modules, in the parametrisation whose kernel has a limit, for comparison with it.

Every weight starts from N(0, 1), and each layer behind a ReLU scales its sum by √(2 / fan-in); there are no biases.
"""

import copy
import math
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from ntkif.blocks import row_blocks
from ntkif.checks import check_ridge
from ntkif.networks.inputs import Points, Reading, in_own_precision, points_of, reading_of, unchanged
from ntkif.networks.losses import SQUARES, Loss
from ntkif.networks.module_checks import check_alone, check_module, check_prepared, points_taken

__all__ = ["AT_ONCE", "Antisymmetric", "ConvNet", "Mlp", "predict", "prepare", "train_module", "trained_parameters"]

#: Points that go through a module at once.
AT_ONCE = 8192
_ACTIVATIONS = {"relu": torch.relu, "gelu": functional.gelu}


class Mlp(nn.Module):
    """A fully connected ReLU network whose layers are all trained.

        h_1 = W_1 x,    h_l+1 = √(2/m) W_l+1 relu(h_l),    f = h_L+1

    As the width m grows its tangent kernel tends to `deep_ntk`.

    Args:
        inputs: d.
        width: neurons m of each hidden layer.
        hidden_layers: L, at least one.
        outputs: c.
        seed: of the weights.
        dtype: of the weights.
    """

    def __init__(
        self,
        inputs: int,
        *,
        width: int,
        hidden_layers: int = 2,
        outputs: int = 1,
        seed: int = 0,
        dtype: torch.dtype = torch.float64,
    ):
        super().__init__()
        if min(inputs, width, hidden_layers, outputs) < 1:
            raise ValueError(
                f"expected at least one input, neuron, hidden layer and output, "
                f"got inputs={inputs}, width={width}, hidden_layers={hidden_layers}, outputs={outputs}."
            )
        sizes = [inputs, *[width] * hidden_layers, outputs]
        self.layers = _drawn([(b, a) for a, b in pairwise(sizes)], seed, dtype)
        self.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, c) outputs at (n, d) points."""
        first, *others = self.layers
        h = functional.linear(x, first)
        for weight in others:
            h = functional.linear(torch.relu(h), weight) * math.sqrt(2 / weight.shape[1])
        return h


class ConvNet(nn.Module):
    """A small convolutional network: two strided convolutions, then a linear layer, all trained.

    Args:
        image_shape: (height, width) or (height, width, colours) of the images, whose pixels come as rows.
        channels: of the two convolutions.
        activation: "relu", or "gelu", which has no kinks.
        outputs: c.
        seed: of the weights.
        dtype: of the weights.
    """

    def __init__(
        self,
        image_shape: tuple[int, ...],
        *,
        channels: tuple[int, int] = (16, 32),
        activation: str = "relu",
        outputs: int = 1,
        seed: int = 0,
        dtype: torch.dtype = torch.float64,
    ):
        super().__init__()
        height, width, colours = (*image_shape, 1)[:3]
        if activation not in _ACTIVATIONS:
            raise ValueError(f"activation: expected one of {', '.join(_ACTIVATIONS)}, got {activation!r}.")
        self.activation = activation
        self.image_shape = (height, width, colours)
        # A row has norm one; so scaled, the colours of a pixel have squares that sum to one, on the mean.
        self.pixel = math.sqrt(height * width)
        after = [((side - 5) // 2 + 1 - 3) // 2 + 1 for side in (height, width)]
        if min(after) < 1:
            raise ValueError(f"image_shape: expected at least 9 x 9 pixels, got {height} x {width}.")
        one, two = channels
        sizes = [(one, colours, 5, 5), (two, one, 3, 3), (outputs, two * after[0] * after[1])]
        self.layers = _drawn(sizes, seed, dtype)
        self.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, c) outputs at (n, height * width * colours) points, rows of norm one."""
        (one, two, last), act = self.layers, _ACTIVATIONS[self.activation]
        h = self.pixel * x.reshape(-1, *self.image_shape).movedim(3, 1)
        h = functional.conv2d(h, one, stride=2) / math.sqrt(one[0, 0].numel())
        h = functional.conv2d(act(h), two, stride=2) * math.sqrt(2 / two[0].numel())
        return functional.linear(act(h).flatten(1), last) * math.sqrt(2 / last.shape[1])


class Antisymmetric(nn.Module):
    """The difference, over √2, of a network and a copy of it: zero at the start, with the same tangent kernel.

        f(x) = (g(x; θ) - g(x; θ')) / √2,    θ' = θ at the start

    It is to any module what `symmetric` is to `random_network`.

    Args:
        module: g at its start.
    """

    def __init__(self, module: nn.Module):
        super().__init__()
        self.plus, self.minus = copy.deepcopy(module), copy.deepcopy(module)
        self.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, c) outputs at the points that the module takes."""
        return (self.plus(x) - self.minus(x)) / math.sqrt(2)


def train_module(
    module: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    ridge: float,
    *,
    loss: Loss = SQUARES,
    iterations: int = 100,
    point_block: int | None = None,
) -> nn.Module:
    """Minimise the objective (Eq. 2) over all trained parameters of a module, from its present ones.

        Σ_i l(f(x_i; θ), y_i) + λ/2 |θ - θ(0)|²

    By torch's L-BFGS in full batches with strong Wolfe line searches, which needs no step size. How near a minimum it
    came is for `gradient_share` to say.

    Args:
        module: θ(0), in evaluation mode; not changed.
        x: (n, ...) training points.
        y: (n, c) targets.
        ridge: penalty λ.
        loss: l, half squares where absent.
        iterations: of L-BFGS, at most.
        point_block: points that go through the module at once; `AT_ONCE` where absent.

    Returns:
        the trained module, a copy.

    Raises:
        TypeError, ValueError: as `prepare`; targets of another shape; a negative ridge; or a loss that is not finite.
    """
    *_, c = prepare(module, x)
    if y.shape != (len(x), c):
        raise ValueError(f"y: expected targets of shape {(len(x), c)}, got {tuple(y.shape)}.")
    check_ridge(ridge)
    trained = copy.deepcopy(module)
    parameters = list(trained_parameters(trained).values())
    start = [value.detach().clone() for value in parameters]
    descent = torch.optim.LBFGS(
        parameters,
        max_iter=iterations,
        history_size=20,
        line_search_fn="strong_wolfe",
        tolerance_grad=1e-10,
        tolerance_change=0.0,
    )

    def objective() -> torch.Tensor:
        descent.zero_grad()
        moved = sum((value - begin).square().sum() for value, begin in zip(parameters, start, strict=True))
        parts = [ridge / 2 * moved]
        parts[0].backward()
        for rows in row_blocks(len(x), point_block or AT_ONCE):
            parts.append(loss.value(trained(x[rows]), y[rows]).sum())
            parts[-1].backward()
        total = sum(part.detach() for part in parts)
        if not torch.isfinite(total):
            raise ValueError(f"training: the loss became {total}; start from smaller weights, or clean the data.")
        return total

    with torch.enable_grad():
        descent.step(objective)
    descent.zero_grad()
    return trained


@torch.no_grad()
@in_own_precision
def predict(module: nn.Module, x) -> torch.Tensor:
    """(k, c) outputs at the points `x`, see `points_of`, without what a gradient needs."""
    points, reading = points_of(x, module), reading_of(module)
    with unchanged(module):
        return torch.cat([points[rows].predicted_by(reading) for rows in row_blocks(len(points), AT_ONCE)])


def trained_parameters(module: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that ask for gradients, by name; shared ones once, and none without numbers."""
    return {name: value for name, value in module.named_parameters() if value.requires_grad and value.numel()}


def prepare(module: nn.Module, x, name: str = "x", *, output: str | int | None = None) -> tuple[Reading, Points, int]:
    """A module of which the tangent kernel can be taken, points that it takes, and how many outputs it has.

    Args:
        module: in evaluation mode.
        x: points, see `points_of`.
        name: of the points, for errors.
        output: see `Reading`.

    Raises:
        TypeError, ValueError: points that the module does not take; or as `check_module`, `check_prepared`, `points_of`
            and `Reading`.
    """
    check_module(module)
    check_prepared(module)
    reading, points = reading_of(module, output), points_of(x, module, name)
    cards = {array.device for array in points.arrays if array.is_cuda}
    # Of chance, which is refused, no random number is used up.
    with torch.no_grad(), unchanged(module), torch.random.fork_rng(cards):
        with points_taken(name, points.arrays):
            outputs = points[:1].predicted_by(reading).shape[1]
        if not isinstance(module, Reading):  # which was looked at when it was made
            check_alone(lambda rows: points[rows].predicted_by(reading), len(points))
    return reading, points, outputs


def _drawn(sizes: list[tuple[int, ...]], seed: int, dtype: torch.dtype) -> nn.ParameterList:
    generator = torch.Generator().manual_seed(seed)
    return nn.ParameterList(torch.randn(size, generator=generator, dtype=torch.float64).to(dtype) for size in sizes)
