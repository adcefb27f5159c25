"""The tangent kernel of any torch module: products of its Jacobian, which is made in blocks and never kept whole."""

import functools
import logging
import warnings
from collections.abc import Callable, Iterator

import torch
from torch.func import functional_call, jacrev, vmap

from ntkif.blocks import mirror_upper_, row_blocks
from ntkif.checks import available_bytes, check_fits
from ntkif.networks.inputs import Points, Reading, in_own_precision, unchanged
from ntkif.networks.modules import prepare, trained_parameters

__all__ = ["jacobian", "module_kernel", "module_kernels"]

_PASS = 2**26  # numbers that one pass backward makes, at most: half a gigabyte in float64
_KEPT = 2**30  # of the Jacobian at once, at most, where so many are free
_SHARE_OF_MEMORY = 0.25
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
    for piece in _pieces(reading, parameter_block or max(1, _kept(like) // ((n + k) * c))):
        j_x = _matrix(reading, x, piece, single, **blocks)
        for kernel, other in zip(kernels, (x, z), strict=True):
            if kernel is not None:
                j = j_x if other is x else _matrix(reading, other, piece, single, **blocks)
                kernel.addmm_(j_x, j.T, alpha=1 / c if single else 1)
    if square:
        mirror_upper_(kernels[0])  # a product of matrices is symmetric but for rounding
    if single:
        return tuple(kernels)
    return tuple(a if a is None else a.reshape(n, c, -1, c).transpose(1, 2).contiguous() for a in kernels)


def _matrix(reading: Reading, x: Points, piece: dict[str, slice], single: bool, **blocks) -> torch.Tensor:
    """The Jacobian with a row for each point, or for each output of each point."""
    found = jacobian(reading, x, piece, **blocks)
    return found.flatten(1) if single else found.flatten(0, 1)


def _kept(like: torch.Tensor) -> int:
    """Numbers of the Jacobian that are kept at once."""
    free = available_bytes(like.device)
    return _PASS if free is None else min(_KEPT, int(_SHARE_OF_MEMORY * free) // like.element_size())


@torch.no_grad()
@in_own_precision
def jacobian(
    module: torch.nn.Module,
    x,
    piece: dict[str, slice] | None = None,
    *,
    output: str | int | None = None,
    point_block: int | None = None,
    output_block: int | None = None,
) -> torch.Tensor:
    """(n, c, p) derivatives of every output at every point by p parameters.

    Args:
        module: see `module_kernel`.
        x: n points, see `module_kernel`.
        piece: rows of each parameter, by its name in the module's `Reading`; all trained parameters where absent.
        output: as of `module_kernel`.
        point_block: points differentiated at once.
        output_block: outputs differentiated at once.

    Raises:
        ValueError: a gradient that is not finite; the error names the point.
    """
    reading, x, c = prepare(module, x, output=output)
    trained = {name: _rows_of(value) for name, value in trained_parameters(reading).items()}
    piece = {name: slice(0, len(rows)) for name, rows in trained.items()} if piece is None else piece
    if point_block is None:
        # A pass backward makes the gradient of whole tensors, of which the rows are then taken.
        point_block = max(1, _PASS // (c * sum(trained[name].numel() for name in piece)))
    width = sum(trained[name][rows].numel() for name, rows in piece.items())
    out = next(iter(trained.values())).new_empty(len(x), c, width)
    with unchanged(reading):
        derivatives = _derivatives(reading, x, c, piece, output_block)
        for points in row_blocks(len(x), point_block):
            out[points] = derivatives(x[points])
            _check_finite(out[points], points.start)
    return out


def _check_finite(derivatives: torch.Tensor, first: int) -> None:
    if not torch.isfinite(derivatives).all():
        at = first + int((~derivatives.isfinite().flatten(1).all(1)).nonzero()[0])
        raise ValueError(
            f"x: expected points at which the network has derivatives, but that of point {at} is NaN or infinite "
            f"(a root or a logarithm of zero, or a norm of nothing, say); leave the point out."
        )


def _derivatives(
    reading: Reading, x: Points, c: int, piece: dict[str, slice], output_block: int | None
) -> Callable[[Points], torch.Tensor]:
    """What gives (n, c, p) derivatives: `torch.func` where it works and gives what plain passes give, else these."""
    fast, plain = _by_functions(reading, piece, output_block), _by_passes(reading, piece)
    few = x[: 3 if c == 2 else 2]  # a wrong rule of batches may go unseen where points and outputs are as many
    try:
        found, reason = fast(few), "gives another gradient there than a plain pass backward"
    except Exception as refused:  # whatever the module or torch makes of it; what is wrong with both, plain passes say
        found, reason = None, str(refused).strip().split("\n")[0]
    if found is not None:
        some = plain(few, outputs=4)
        if torch.allclose(found[:, :4], some, rtol=1e-3, atol=1e-6, equal_nan=True):
            return fast
    _say(type(reading.module).__name__, reason)
    return plain


@functools.cache
def _say(kind: str, reason: str) -> None:
    """Once for each kind of module and reason."""
    _log.info("%s: derivatives by a backward pass for each point and output, since torch.func %s", kind, reason)


def _by_functions(reading: Reading, piece: dict[str, slice], output_block: int | None) -> Callable:
    trained = {name: _rows_of(value) for name, value in trained_parameters(reading).items()}
    # Of a module that changes its buffers the changes are not kept.
    fixed = dict(reading.named_parameters()) | {name: value.clone() for name, value in reading.named_buffers()}
    moving = {name: trained[name][rows] for name, rows in piece.items()}

    def output(moving: dict[str, torch.Tensor], arrays: tuple[torch.Tensor, ...], at: Points) -> torch.Tensor:
        replaced = {}
        for name, rows in piece.items():
            whole = torch.cat([trained[name][: rows.start], moving[name], trained[name][rows.stop :]])
            replaced[name] = whole.reshape(fixed[name].shape)
        ordered, named = at.arguments([array[None] for array in arrays])
        return functional_call(reading, fixed | replaced, ordered, named)[0]

    def derivatives(x: Points) -> torch.Tensor:
        one = vmap(jacrev(functools.partial(output, at=x), chunk_size=output_block), in_dims=(None, 0))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="There is a performance drop")
            return torch.cat([part.flatten(2) for part in one(moving, x.arrays).values()], 2)

    return derivatives


def _by_passes(reading: Reading, piece: dict[str, slice]) -> Callable:
    values = trained_parameters(reading)

    @torch.enable_grad()
    def derivatives(x: Points, outputs: int | None = None) -> torch.Tensor:
        points = []
        # Recurrent layers of cuDNN have no pass backward in evaluation mode; those of torch itself have.
        with torch.backends.cudnn.flags(enabled=False):
            for i in range(len(x)):
                found, rows = x[i : i + 1].predicted_by(reading)[0], []
                for value in found[:outputs]:
                    gradients = torch.autograd.grad(
                        value, [values[name] for name in piece], retain_graph=True, materialize_grads=True
                    )
                    parts = zip(gradients, piece.values(), strict=True)
                    rows.append(torch.cat([_rows_of(gradient)[taken].flatten() for gradient, taken in parts]))
                points.append(torch.stack(rows))
        return torch.stack(points)

    return derivatives


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
