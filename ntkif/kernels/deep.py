"""The infinite-width NTK of deeper fully connected ReLU networks with all layers trained (beyond the paper)."""

import math

import torch

from ntkif.blocks import mirror_upper_, row_blocks
from ntkif.checks import check_fits
from ntkif.kernels.angles import angles
from ntkif.kernels.infinite import check_points

__all__ = ["deep_ntk"]


@torch.no_grad()
def deep_ntk(
    x: torch.Tensor, z: torch.Tensor | None = None, *, hidden_layers: int = 2, block_size: int = 512
) -> torch.Tensor:
    """The NTK of a ReLU network of L hidden layers, all layers trained (Jacot et al.; Arora et al., 2019).

    By the arc-cosine recursion (Cho and Saul): with ω_l the angle between the images of x and z in layer l, ω_0 that
    between the points,

        K_0 = cos ω_0,    K_l = cos ω_l + K_(l-1) (1 - ω_(l-1)/π),
        cos ω_l = (sin ω_(l-1) + (π - ω_(l-1)) cos ω_(l-1)) / π

    It is the limit of the tangent kernel of `networks.modules.Mlp` at its start. Of one hidden layer, the first layer's
    part is twice `ntk`, since there the sum of neurons is scaled by √(1/m) and here by √(2/m).

    Args:
        x: (n, d) points, rows of norm one.
        z: (k, d) points, rows of norm one; `x` itself where absent.
        hidden_layers: L, at least one.
        block_size: rows of `x` handled at once. Working memory beside the result is 6 * block_size * k numbers.

    Returns:
        (n, k) kernel matrix, dtype and device of `x`; `deep_ntk(x)` is exactly symmetric, with diagonal L + 1.

    Raises:
        TypeError, ValueError: wrong shapes, NaN, rows whose norm is not one, or no hidden layer.
        MemoryError: the result would not fit in memory.

    >>> float(deep_ntk(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]), hidden_layers=1))  # 1/π
    0.3183...
    """
    if hidden_layers < 1:
        raise ValueError(f"hidden_layers: expected at least one, got {hidden_layers}.")
    symmetric = z is None
    z = x if symmetric else z
    check_points(x, z)
    check_fits("the kernel matrix", len(x), len(z), like=x, advice="use fewer points or float32.")
    out = x.new_empty(len(x), len(z))
    for rows in row_blocks(len(x), block_size):
        start = rows.start if symmetric else 0
        out[rows, start:] = _block(x[rows], z[start:], hidden_layers)
    return mirror_upper_(out, block_size) if symmetric else out


def _block(x: torch.Tensor, z: torch.Tensor, hidden_layers: int) -> torch.Tensor:
    _, angle = angles(x, z)
    kernel = angle.cos()
    for _ in range(hidden_layers):
        open_share = 1 - angle / math.pi  # of the neurons that see both points
        # 1 - cos ω keeps the digits of small angles, where cos ω has none of them.
        gap = 2 * (angle / 2).sin().square() - (angle.sin() - angle * angle.cos()) / math.pi
        kernel = kernel.mul_(open_share).add_(1 - gap)
        angle = 2 * (gap / 2).clamp_(0, 1).sqrt_().asin()
    return kernel
