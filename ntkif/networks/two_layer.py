"""The finite two-layer ReLU network (Eq. 1) and its random starts."""

from collections.abc import Iterator, Sequence
from itertools import product

import torch

from ntkif.blocks import row_blocks
from ntkif.checks import check_fits

__all__ = ["TwoLayer", "random_network", "random_networks", "seed_of_width"]


class TwoLayer(torch.nn.Module):
    """f_c(x) = 1/√m Σ_r signs_rc relu(w_r·x) (Eq. 1): the first layer is trained, the second stays at ±1.

    Attributes:
        weights: (m, d) first layer, a neuron a row; the one parameter. Shared with the tensor that is passed in.
        signs: (m, c) second layer, a buffer; the outputs share the hidden neurons.
    """

    def __init__(self, weights: torch.Tensor, signs: torch.Tensor):
        super().__init__()
        self.weights = torch.nn.Parameter(weights.detach())
        self.register_buffer("signs", signs)
        self.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(k, c) outputs at the rows of `x`, (k, d), 1024 neurons at a time."""
        if x.shape[-1] != self.weights.shape[1]:
            raise ValueError(f"x: expected points with {self.weights.shape[1]} columns, got shape {tuple(x.shape)}.")
        blocks = row_blocks(len(self.weights), 1024)
        return sum((x @ self.weights[b].T).relu_() @ self.signs[b] for b in blocks) / len(self.weights) ** 0.5

    @torch.no_grad()
    def predict(self, x: torch.Tensor) -> torch.Tensor:
        """(k, c) outputs at the rows of `x`, without what a gradient needs."""
        return self(x)

    @torch.no_grad()
    def gates(self, x: torch.Tensor) -> torch.Tensor:
        """(m, k) whether each neuron is open at each row of `x`: w_r·x > 0."""
        return self.weights @ x.T > 0


def random_network(
    d: int,
    *,
    width: int,
    init_scale: float,
    seed: int,
    outputs: int = 1,
    symmetric: bool = False,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str = "cpu",
) -> TwoLayer:
    """A network at initialisation: w_r ~ N(0, κ² I), second layer ±1 with equal chance.

    Args:
        d: inputs.
        width: hidden neurons m; even where `symmetric`.
        init_scale: standard deviation κ of the weights, 0.01 in the paper.
        seed: of the draw. It is made on the CPU in float64, so it is the same, to rounding, for every dtype and device.
        outputs: number c of outputs.
        symmetric: draw half of the neurons and add a copy of each with the opposite sign (not in the paper). The
            network then starts at exactly zero whatever `init_scale`, which may be 1.
        dtype: of the weights.
        device: of the weights.

    Returns:
        the network.

    Raises:
        ValueError: a width below one, or odd where symmetric; a scale that is not positive.
        MemoryError: the weights would not fit.
    """
    if width < 1 or (symmetric and width % 2):
        kind = "an even number of neurons, each with its copy" if symmetric else "at least one neuron"
        raise ValueError(f"width: expected {kind}, got {width}.")
    if not init_scale > 0:
        raise ValueError(f"init_scale: expected a positive number (the paper uses 0.01), got {init_scale}.")
    like = torch.empty(0, dtype=dtype, device=device)
    check_fits("the first layer", width, d, like=like, advice="use a smaller width or float32.")
    generator, drawn = torch.Generator().manual_seed(seed), width // 2 if symmetric else width
    signs = torch.randint(2, (drawn, outputs), generator=generator).mul_(2).sub_(1).to(device, dtype)
    weights = torch.empty(width, d, dtype=dtype, device=device)
    for block in row_blocks(drawn, 1024):
        size = (block.stop - block.start, d)
        weights[block] = init_scale * torch.randn(size, generator=generator, dtype=torch.float64).to(device, dtype)
    if symmetric:
        weights[drawn:], signs = weights[:drawn], torch.cat([signs, -signs])
    return TwoLayer(weights, signs)


def random_networks(
    x: torch.Tensor,
    widths: Sequence[int],
    starts: Sequence[tuple[float, bool]],
    seeds: Sequence[int],
    *,
    outputs: int = 1,
) -> Iterator[tuple[dict, TwoLayer]]:
    """A network at initialisation for each width, start and seed.

    Args:
        x: (n, d) points that it will take, in dtype and on device.
        widths: numbers of hidden neurons.
        starts: pairs of `init_scale` and `symmetric`, see `random_network`.
        seeds: one network each.
        outputs: number c of outputs.

    Yields:
        what tells it from the others (width, init_scale, symmetric, seed), and the network.
    """
    for width, (init_scale, symmetric), seed in product(widths, starts, seeds):
        key = {"width": width, "init_scale": init_scale, "symmetric": symmetric, "seed": seed}
        drawn = key | {"seed": seed_of_width(seed, width), "outputs": outputs, "dtype": x.dtype, "device": x.device}
        yield key, random_network(x.shape[1], **drawn)


def seed_of_width(seed: int, width: int) -> int:
    """A seed of its own for each width: with one for all, networks would begin with the same random numbers."""
    return 1_000_003 * seed + width
