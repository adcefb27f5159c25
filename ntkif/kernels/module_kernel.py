"""The tangent kernel of any torch module: products of its Jacobian, made in parts and never kept whole."""

import logging
from collections.abc import Iterator

import torch

from ntkif.blocks import mirror_upper_, row_blocks
from ntkif.checks import available_bytes, check_fits
from ntkif.kernels.jacobian import PASS, check_finite, jacobian, pieces
from ntkif.kernels.layers import Layer, Part, layers_of, parts_of
from ntkif.networks.inputs import Points, Reading, in_own_precision, unchanged
from ntkif.networks.modules import prepare, trained_parameters

__all__ = ["module_kernel", "module_kernels"]

_KEPT = 2**30  # numbers of the Jacobian at once, at most, where so many are free
_SHARE_OF_MEMORY = 0.25
_PARTS = 8  # of a symmetric product, of which the half below the diagonal is left out
_log = logging.getLogger(__name__)


@torch.no_grad()
@in_own_precision
def module_kernel(
    module: torch.nn.Module,
    x,
    z=None,
    *,
    output: str | int | None = None,
    traced: bool = False,
    point_block: int | None = None,
    parameter_block: int | None = None,
    output_block: int | None = None,
) -> torch.Tensor:
    """The tangent kernel of a torch module at its present parameters θ.

        K(x, z)_ab = ∂f_a(x)/∂θ · ∂f_b(z)/∂θ,      traced: K(x, z) = 1/c Σ_a K(x, z)_aa

    The traced kernel takes c times fewer operations and couples no outputs. It is exact where the full kernel is the
    same for every output and zero between two of them, as in the limit of infinite width; else an approximation.

    Derivatives are taken by `torch.func`, and by plain backward passes, one for each point and output, where a module
    does not bear that (recurrent layers, branches on data, scripts); a line of the log says so.

    Args:
        module: maps n points to (n, c) or (n,) outputs, each point by itself, in evaluation mode. The parameters that
            ask for gradients are θ; the others count as fixed.
        x: (n, ...) points, floats as the parameters or integers; several tensors as a tuple, or by name as a mapping.
        z: (k, ...) points; `x` itself where absent.
        output: the entry of a tuple or mapping that the module returns, see `Reading`.
        traced: whether to return the cheaper kernel.
        point_block: points differentiated at once.
        parameter_block: parameters at once, whole rows of a tensor; the Jacobian of all n + k points by these is kept,
            (n + k) c parameter_block numbers. Each block takes one more pass backward.
        output_block: outputs differentiated at once; all where absent.
            Blocks change nothing but time and memory. Where absent they are such that a quarter of the memory that is
            free holds the Jacobian that is kept, and half a gigabyte (in float64) what one pass backward makes.

    Returns:
        (n, k) where traced or where the module has one output, else (n, k, c, c) with the two outputs last.

    Raises:
        TypeError, ValueError: a module in training mode, without trained parameters, of several dtypes, or whose
            outputs are no (n, c) matrix; points of another dtype, or with NaN; a point whose gradient is not finite; a
            block below one.
        MemoryError: the result would not fit in memory.
    """
    how = {"traced": traced, "point_block": point_block, "output_block": output_block}
    reading, x, c = prepare(module, x, output=output)
    if z is None or z is x:
        return _kernels(reading, c, x, None, parameter_block, **how)[0]
    z = prepare(module, z, "z", output=output)[1]
    return _kernels(reading, c, x, z, parameter_block, square=False, **how)[1]


@torch.no_grad()
@in_own_precision
def module_kernels(
    module: torch.nn.Module,
    x,
    z,
    *,
    output: str | int | None = None,
    traced: bool = False,
    point_block: int | None = None,
    parameter_block: int | None = None,
    output_block: int | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """K(x, x) and K(z, x) of `module_kernel`, from one Jacobian of `x`; arguments and errors are those of it."""
    reading, x, c = prepare(module, x, output=output)
    z = prepare(module, z, "z", output=output)[1]
    how = {"traced": traced, "point_block": point_block, "output_block": output_block}
    square, across = _kernels(reading, c, x, z, parameter_block, **how)
    return square, across.T if across.ndim == 2 else across.permute(1, 0, 3, 2)


def _kernels(
    reading: Reading,
    c: int,
    x: Points,
    z: Points | None,
    parameter_block: int | None,
    *,
    traced: bool,
    square: bool = True,
    **blocks,
) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """K(x, x) and K(x, z), those that are asked for."""
    n, k, single = len(x), 0 if z is None else len(z), traced or c == 1
    like = next(iter(trained_parameters(reading).values()))
    kernels = [None, None]
    for number, (wanted, columns) in enumerate(((square, n), (z is not None, k))):
        if wanted:
            size = (n, columns) if single else (n, columns, c, c)
            check_fits("the tangent kernel", *size, like=like, advice="use fewer points, float32 or the traced kernel.")
            kernels[number] = like.new_zeros((n, columns) if single else (n * c, columns * c))
    most, others = _kept(like) // (n + k), x if z is None else z
    layers = _layers(reading, x, c, most)
    for group in _groups(layers, c, most):
        parts = [_parts(reading, points, c, group, blocks["point_block"]) for points in ((x,) if z is None else (x, z))]
        for own, other in zip(parts[0], parts[-1], strict=True):
            for kernel, against in zip(kernels, (own, other), strict=True):
                if kernel is not None:
                    _add(kernel, own, against, single)
    rest = set(trained_parameters(reading)) - {name for layer in layers for name in layer.names()}
    for piece in pieces(reading, parameter_block or max(1, most // c), rest):
        own = Part(jacobian(reading, x, piece, **blocks))
        for kernel, points in zip(kernels, (x, others), strict=True):
            if kernel is not None:
                _add(kernel, own, own if points is x else Part(jacobian(reading, points, piece, **blocks)), single)
    if square:
        mirror_upper_(kernels[0])
    if single:
        return tuple(kernels)
    return tuple(a if a is None else a.reshape(n, c, -1, c).transpose(1, 2).contiguous() for a in kernels)


def _add(kernel: torch.Tensor, one: Part, other: Part, single: bool) -> None:
    """The products of the Jacobians of a part; of a part with itself those on and above the diagonal alone."""
    (n, c, _), k = one.pulls.shape, len(other.pulls)
    j, h = (part.pulls.flatten(1) if single else part.pulls.flatten(0, 1) for part in (one, other))
    scale = 1 / c if single else 1.0
    if one.inputs is not None:
        pulls = (j @ h.T).mul_(scale).reshape(n, len(j) // n, k, len(h) // k)
        kernel.view_as(pulls).addcmul_(pulls, (one.inputs @ other.inputs.T)[:, None, :, None])
        return
    for rows in row_blocks(len(j), -(-len(j) // _PARTS) if one is other else len(j)):
        right = slice(rows.start if one is other else 0, None)
        kernel[rows, right].addmm_(j[rows], h[right].T, alpha=scale)


def _layers(reading: Reading, x: Points, c: int, most: int) -> list[Layer]:
    """Layers whose Jacobian is a product, see `layers`, and fits as such."""
    try:
        with unchanged(reading):
            found = layers_of(reading, x[: 3 if c == 2 else 2], c)
    except Exception as refused:  # then all parameters are taken another way, which says what is wrong
        _log.debug("%s: no layers are taken by themselves: %s", type(reading.module).__name__, refused)
        return []
    return [layer for layer in found if layer.numbers(c) <= most]


def _groups(layers: list[Layer], c: int, most: int) -> Iterator[list[Layer]]:
    """Layers of which not more than so many numbers a point are kept at once."""
    group, room = [], most
    for layer in layers:
        if layer.numbers(c) > room:
            yield group
            group, room = [], most
        group.append(layer)
        room -= layer.numbers(c)
    if group:
        yield group


def _parts(reading: Reading, x: Points, c: int, group: list[Layer], point_block: int | None) -> list[Part]:
    """Of all points, some at once."""
    numbers, found = sum(layer.numbers(c) + layer.places * (layer.inner + c * layer.outer) for layer in group), None
    with unchanged(reading):
        for rows in row_blocks(len(x), point_block or max(1, PASS // numbers)):
            some = parts_of(reading, x[rows], c, group)
            found = [part.room(len(x)) for part in some] if found is None else found
            for part, whole in zip(some, found, strict=True):
                check_finite(part.pulls, rows.start)
                whole.fill(rows, part)
    return found


def _kept(like: torch.Tensor) -> int:
    """Numbers of the Jacobian that are kept at once."""
    free = available_bytes(like.device)
    return PASS if free is None else min(_KEPT, int(_SHARE_OF_MEMORY * free) // like.element_size())
