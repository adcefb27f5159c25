"""The neural tangent kernel (NTK) of fully connected ReLU networks of infinite width.

`ntk` is the paper's, of two layers whose first is trained (Eq. 4); `deep_ntk`, with all layers trained, goes beyond it.
"""

import math
from collections.abc import Callable
from functools import partial

import torch

from ntkif.blocks import mirror_upper_, row_blocks
from ntkif.checks import check_fits, check_matrix, check_unit_rows
from ntkif.kernels import Kernel
from ntkif.kernels.angles import angles

__all__ = ["deep_ntk", "kernel_of", "ntk", "ntk_monte_carlo", "of_the_sphere"]

_DRAWN = 4096  # neurons at a time, however many are handled at once


@torch.no_grad()
def ntk(x: torch.Tensor, z: torch.Tensor | None = None, *, block_size: int = 512) -> torch.Tensor:
    """The infinite-width NTK between the rows of `x` and the rows of `z` (Eq. 4).

        K(x, z) = x.z (pi - arccos(x.z)) / (2 pi)

    Args:
        x: (n, d) points, rows of norm one.
        z: (k, d) points, rows of norm one; where absent or `x` itself, half of the work is saved.
        block_size: rows of `x` handled at once. Working memory beside the result is at most
            4 * block_size * k numbers.

    Returns:
        (n, k) kernel matrix, dtype and device of `x`; `ntk(x)` is exactly symmetric, with diagonal 1/2.

    Raises:
        TypeError, ValueError: wrong shapes, NaN, or rows whose norm is not one.
        MemoryError: the result would not fit in memory.

    >>> float(ntk(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.6, 0.8]])))  # 0.6 (pi - arccos 0.6) / (2 pi)
    0.2114...
    """
    return _in_blocks(_ntk_block, x, z, block_size)


@torch.no_grad()
def ntk_monte_carlo(
    x: torch.Tensor,
    z: torch.Tensor | None = None,
    *,
    width: int,
    generator: torch.Generator | None = None,
    block_size: int = _DRAWN,
) -> torch.Tensor:
    """The NTK of one random network of finite width at initialisation: the mean inside Eq. 4 over `width` neurons.

        K_m(x, z) = x.z * (1/m) sum_r 1[w_r.x >= 0] 1[w_r.z >= 0],   w_r ~ N(0, I)

    The scale `init_scale` of the weights cancels, since a gate sees only the sign of w_r.x.

    Args:
        x: (n, d) points, rows of norm one.
        z: (k, d) points, rows of norm one; `x` itself where absent.
        width: number m of hidden neurons.
        generator: source of the random weights; on the CPU it gives the same ones for `x` on every device.
        block_size: neurons handled at once, at most 4096. Working memory is block_size * (n + k) + 4096 d numbers
            beside two matrices of the result's size.

    Returns:
        (n, k) kernel matrix; its mean over networks is `ntk(x, z)`, its error falls as 1 / sqrt(width).

    Raises:
        TypeError, ValueError: as `ntk`, or a width below one.
    """
    z = x if z is None else z
    _check_points(x, z)
    if width < 1:
        raise ValueError(f"width: expected at least one neuron, got {width}.")
    place = x.device if generator is None else generator.device
    both_open = x.new_zeros(len(x), len(z))
    for drawn in row_blocks(width, _DRAWN):
        size = (drawn.stop - drawn.start, x.shape[1])
        weights = torch.randn(size, generator=generator, dtype=x.dtype, device=place).to(x.device)
        for some in row_blocks(len(weights), block_size):
            open_x, open_z = ((points @ weights[some].T >= 0).to(x.dtype) for points in (x, z))
            both_open.addmm_(open_x, open_z.T)
    return (x @ z.T).mul_(both_open).div_(width)


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
    return _in_blocks(partial(_deep_block, hidden_layers=hidden_layers), x, z, block_size)


def kernel_of(kernel: str | Kernel) -> Kernel:
    """A kernel by its name, "ntk" or "deep_ntk"; a function as it is.

    Raises:
        ValueError: an unknown name.
    """
    if callable(kernel):
        return kernel
    if kernel not in _NAMED:
        raise ValueError(
            f"kernel: expected {' or '.join(map(repr, _NAMED))}, or a function of two sets of points, got {kernel!r}."
        )
    return _NAMED[kernel]


def of_the_sphere(kernel: Kernel) -> bool:
    """Whether a kernel is one of those here, also with some arguments set, which take rows of norm one alone."""
    return getattr(kernel, "func", kernel) in _NAMED.values()


_NAMED = {"ntk": ntk, "deep_ntk": deep_ntk}


def _in_blocks(block: Callable, x: torch.Tensor, z: torch.Tensor | None, block_size: int) -> torch.Tensor:
    """The kernel matrix, some rows at a time; of one set of points the upper half, mirrored."""
    z = x if z is None else z
    _check_points(x, z)
    check_fits("the kernel matrix", len(x), len(z), like=x, advice="use fewer points or float32.")
    out = x.new_empty(len(x), len(z))
    for rows in row_blocks(len(x), block_size):
        start = rows.start if z is x else 0
        out[rows, start:] = block(x[rows], z[start:])
    return mirror_upper_(out, block_size) if z is x else out


def _deep_block(x: torch.Tensor, z: torch.Tensor, hidden_layers: int) -> torch.Tensor:
    _, angle = angles(x, z)
    kernel = angle.cos()
    for _ in range(hidden_layers):
        open_share = 1 - angle / math.pi  # of the neurons that see both points
        # 1 - cos ω keeps the digits of small angles, where cos ω has none of them.
        gap = 2 * (angle / 2).sin().square() - (angle.sin() - angle * angle.cos()) / math.pi
        kernel = kernel.mul_(open_share).add_(1 - gap)
        angle = 2 * (gap / 2).clamp_(0, 1).sqrt_().asin()
    return kernel


def _check_points(x: torch.Tensor, z: torch.Tensor) -> None:
    """Require two sets of points on one unit sphere (see `check_matrix` and `check_unit_rows`)."""
    check_matrix("x", x)
    check_unit_rows("x", x)
    if z is not x:
        check_matrix("z", z, columns=x.shape[1], like=x)
        check_unit_rows("z", z)


def _ntk_block(x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    minus_cosine, open_angle = angles(x, z, opposite=True)  # π - arccos x.z, the neurons that see both points
    return minus_cosine.mul_(open_angle).div_(-2 * math.pi)
