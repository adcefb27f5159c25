"""The tangent kernel of any torch module: products of its Jacobian, which is made in blocks and never kept whole."""

from collections.abc import Iterator

import torch
from torch.func import functional_call, jacrev, vmap

from ntkif.blocks import mirror_upper_, row_blocks
from ntkif.checks import check_fits
from ntkif.networks.modules import check_module, trained_parameters

__all__ = ["jacobian", "module_kernel"]

_WORKING_NUMBERS = 2**26  # of the Jacobian at once, by default: half a gigabyte in float64


@torch.no_grad()
def module_kernel(
    module: torch.nn.Module,
    x: torch.Tensor,
    z: torch.Tensor | None = None,
    *,
    traced: bool = False,
    point_block: int | None = None,
    parameter_block: int | None = None,
    output_block: int | None = None,
) -> torch.Tensor:
    """The tangent kernel of a torch module at its present parameters θ.

        K(x, z)_ab = ∂f_a(x)/∂θ · ∂f_b(z)/∂θ,      traced: K(x, z) = 1/c Σ_a K(x, z)_aa

    The traced kernel takes c times fewer operations and couples no outputs. It is exact where the full kernel is the
    same for every output and zero between two of them, as in the limit of infinite width; else an approximation.

    Args:
        module: maps (n, ...) points to (n, c) outputs, each point by itself, in evaluation mode. The parameters that
            ask for gradients are θ; the others count as fixed.
        x: (n, ...) points, dtype and device as the parameters.
        z: (k, ...) points; `x` itself where absent.
        traced: whether to return the cheaper kernel.
        point_block: points differentiated at once.
        parameter_block: parameters at once, whole rows of a tensor; the Jacobian of all n + k points by these is kept,
            (n + k) c parameter_block numbers. Each block takes one more pass backward.
        output_block: outputs differentiated at once; all where absent.
            Blocks change nothing but time and memory. Where absent they are such that half a gigabyte (in float64)
            holds the Jacobian that is kept, and another what one pass backward makes.

    Returns:
        (n, k) where traced or where the module has one output, else (n, k, c, c) with the two outputs last.

    Raises:
        TypeError, ValueError: a module in training mode, without trained parameters, of several dtypes, or whose
            outputs are no (n, c) matrix; points of another dtype or device, or with NaN; a block below one.
        MemoryError: the result would not fit in memory.
    """
    z = x if z is None else z
    symmetric = z is x
    c = check_module(module, x)
    if not symmetric:
        check_module(module, z, "z")
    n, k, single = len(x), len(z), traced or c == 1
    size = (n, k) if single else (n, k, c, c)
    check_fits("the tangent kernel", *size, like=x, advice="use fewer points, float32, or the traced kernel.")
    blocks = {"point_block": point_block, "output_block": output_block}
    kernel = x.new_zeros(n, k) if single else x.new_zeros(n * c, k * c)
    for piece in _pieces(module, parameter_block or max(1, _WORKING_NUMBERS // ((n if symmetric else n + k) * c))):
        j_x = jacobian(module, x, piece, **blocks)
        j_z = j_x if symmetric else jacobian(module, z, piece, **blocks)
        if single:
            for a in range(c):
                kernel.addmm_(j_x[:, a], j_z[:, a].T, alpha=1 / c)
        else:
            kernel.addmm_(j_x.flatten(0, 1), j_z.flatten(0, 1).T)
    if symmetric:
        mirror_upper_(kernel)  # a product of matrices is symmetric but for rounding
    return kernel if single else kernel.reshape(n, c, k, c).transpose(1, 2).contiguous()


@torch.no_grad()
def jacobian(
    module: torch.nn.Module,
    x: torch.Tensor,
    piece: dict[str, slice] | None = None,
    *,
    point_block: int | None = None,
    output_block: int | None = None,
) -> torch.Tensor:
    """(n, c, p) derivatives of every output at every point by p parameters.

    Args:
        module: maps (n, ...) points to (n, c) outputs, see `module_kernel`.
        x: (n, ...) points.
        piece: rows of each parameter, by its name; all trained parameters where absent.
        point_block: points differentiated at once.
        output_block: outputs differentiated at once.
    """
    trained = {name: _rows_of(value) for name, value in trained_parameters(module).items()}
    piece = {name: slice(0, len(rows)) for name, rows in trained.items()} if piece is None else piece
    fixed = dict((*module.named_parameters(), *module.named_buffers()))

    def output(moving: dict[str, torch.Tensor], point: torch.Tensor) -> torch.Tensor:
        replaced = {}
        for name, rows in piece.items():
            whole = torch.cat([trained[name][: rows.start], moving[name], trained[name][rows.stop :]])
            replaced[name] = whole.reshape(fixed[name].shape)
        return functional_call(module, fixed | replaced, (point[None],))[0]

    c = module(x[:1]).shape[1]
    if point_block is None:
        # A pass backward makes the gradient of whole tensors, of which the rows are then taken.
        point_block = max(1, _WORKING_NUMBERS // (c * sum(trained[name].numel() for name in piece)))
    moving = {name: trained[name][rows] for name, rows in piece.items()}
    each = vmap(jacrev(output, chunk_size=output_block), in_dims=(None, 0))
    out = x.new_empty(len(x), c, sum(value.numel() for value in moving.values()))
    for points in row_blocks(len(x), point_block):
        torch.cat([part.flatten(2) for part in each(moving, x[points]).values()], 2, out=out[points])
    return out


def _pieces(module: torch.nn.Module, size: int) -> Iterator[dict[str, slice]]:
    """The trained parameters in pieces of at most `size` numbers, or of one row of a tensor where it has more."""
    if size < 1:
        raise ValueError(f"parameter_block: expected at least one parameter at once, got {size}.")
    piece, room = {}, size
    for name, value in trained_parameters(module).items():
        rows, start = _rows_of(value), 0
        while start < len(rows):
            stop = min(len(rows), start + max(room // rows.shape[1], 0 if piece else 1))
            if stop > start:
                piece[name] = slice(start, stop)
                room -= (stop - start) * rows.shape[1]
            if stop < len(rows):  # full; the rest goes into the next
                yield piece
                piece, room = {}, size
            start = stop
    yield piece


def _rows_of(parameter: torch.Tensor) -> torch.Tensor:
    """A parameter as a matrix."""
    value = parameter.detach()
    return value.reshape(len(value), -1) if value.ndim else value.reshape(1, 1)
