"""The Jacobian of any torch module: by `torch.func` where it can, else by plain backward passes."""

import functools
import logging
import warnings
from collections.abc import Callable, Iterator

import torch
from torch.func import functional_call, jacrev, vmap

from ntkif.blocks import row_blocks
from ntkif.networks.inputs import Points, Reading, in_own_precision, unchanged
from ntkif.networks.modules import prepare, trained_parameters

__all__ = ["HELD", "PASS", "as_by_plain_passes", "check_finite", "few_of", "jacobian", "pieces", "rows_of"]

#: Numbers that one pass backward makes, at most: half a gigabyte in float64.
PASS = 2**26
#: Outputs at which a fast way is held against plain passes.
HELD = 4
_log = logging.getLogger(__name__)


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
    trained = {name: rows_of(value) for name, value in trained_parameters(reading).items()}
    piece = {name: slice(0, len(rows)) for name, rows in trained.items()} if piece is None else piece
    if point_block is None:
        # A pass backward makes the gradient of whole tensors, of which the rows are then taken.
        point_block = max(1, PASS // (c * sum(trained[name].numel() for name in piece)))
    width = sum(trained[name][rows].numel() for name, rows in piece.items())
    out = next(iter(trained.values())).new_empty(len(x), c, width)
    with unchanged(reading):
        derivatives = _derivatives(reading, x, c, piece, output_block)
        for points in row_blocks(len(x), point_block):
            out[points] = derivatives(x[points])
            check_finite(out[points], points.start)
    return out


def check_finite(derivatives: torch.Tensor, first: int) -> None:
    """Require derivatives that are finite, (n, ...) of n points, of which the first has this number."""
    bad = ~derivatives.flatten(1).sum(1).isfinite()  # one that is not makes the sum so, four times as fast as all
    if bad.any():
        at = first + int(bad.nonzero()[0])
        raise ValueError(
            f"x: expected points at which the network has derivatives, but that of point {at} is NaN or infinite "
            f"(a root or a logarithm of zero, or a norm of nothing, say); leave the point out."
        )


def few_of(x: Points, c: int) -> Points:
    """Points to try a way to derivatives of c outputs on.

    Another number than the outputs: a wrong rule of batches may go unseen where there are as many.
    """
    return x[: 3 if c == 2 else 2]


def as_by_plain_passes(derivatives: torch.Tensor, reading: Reading, few: Points, piece: dict[str, slice]) -> bool:
    """Whether (n, c, p) derivatives at few points are those of plain passes backward, at the first outputs."""
    plain = _by_passes(reading, piece)(few, HELD)
    return torch.allclose(derivatives[:, :HELD], plain, rtol=1e-3, atol=1e-6, equal_nan=True)


def _derivatives(
    reading: Reading, x: Points, c: int, piece: dict[str, slice], output_block: int | None
) -> Callable[[Points], torch.Tensor]:
    """What gives (n, c, p) derivatives: `torch.func` where it works and gives what plain passes give, else these."""
    fast, few = _by_functions(reading, piece, output_block), few_of(x, c)
    try:
        found, reason = fast(few), "gives another gradient there than a plain pass backward"
    except Exception as refused:  # whatever the module or torch makes of it; what is wrong with both, plain passes say
        found, reason = None, str(refused).strip().split("\n")[0]
    if found is not None and as_by_plain_passes(found, reading, few, piece):
        return fast
    _say(type(reading.module).__name__, reason)
    return _by_passes(reading, piece)


@functools.cache
def _say(kind: str, reason: str) -> None:
    """Once for each kind of module and reason."""
    _log.info("%s: derivatives by a backward pass for each point and output, since torch.func %s", kind, reason)


def _by_functions(reading: Reading, piece: dict[str, slice], output_block: int | None) -> Callable:
    trained = {name: rows_of(value) for name, value in trained_parameters(reading).items()}
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
                    rows.append(torch.cat([_rows_taken(gradient, taken) for gradient, taken in parts]))
                points.append(torch.stack(rows))
        return torch.stack(points)

    return derivatives


def _rows_taken(gradient: torch.Tensor, taken: slice) -> torch.Tensor:
    dense = gradient.to_dense() if gradient.is_sparse else gradient  # of an embedding that makes them sparse
    return rows_of(dense)[taken].flatten()


def pieces(module: torch.nn.Module, size: int, names: set[str] | None = None) -> Iterator[dict[str, slice]]:
    """Trained parameters, all or some, in pieces of at most `size` numbers, or of one row of a tensor with more."""
    if size < 1:
        raise ValueError(f"parameter_block: expected at least one parameter at once, got {size}.")
    piece, room = {}, size
    for name, value in trained_parameters(module).items():
        if names is not None and name not in names:
            continue
        rows, start = rows_of(value), 0
        while start < len(rows):
            stop = min(len(rows), start + max(room // rows.shape[1], 0 if piece else 1))
            if stop > start:
                piece[name] = slice(start, stop)
                room -= (stop - start) * rows.shape[1]
            if stop < len(rows):  # full; the rest goes into the next
                yield piece
                piece, room = {}, size
            start = stop
    if piece:
        yield piece


def rows_of(parameter: torch.Tensor) -> torch.Tensor:
    """A parameter as a matrix."""
    value = parameter.detach()
    return value.reshape(len(value), -1) if value.ndim else value.reshape(1, 1)
