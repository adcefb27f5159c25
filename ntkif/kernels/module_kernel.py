"""The tangent kernel of any torch module: products of its Jacobian, made in parts and never kept whole."""

import logging
from collections.abc import Callable, Iterator, Mapping

import torch

from ntkif.blocks import mirror_upper_, row_blocks
from ntkif.checks import available_bytes, check_fits
from ntkif.kernels.jacobian import PASS
from ntkif.kernels.layers import Part, UsedOtherwiseError
from ntkif.kernels.parts import JacobianParts, in_dtype
from ntkif.networks.inputs import Points, Reading, in_own_precision, points_of
from ntkif.networks.modules import prepare, trained_parameters

__all__ = ["TangentKernel", "module_kernel"]

_KEPT = 2**30  # numbers of the Jacobian at once, at most, where so many are free
_SHARE_OF_MEMORY = 0.25
_log = logging.getLogger(__name__)
_PARTS = 8  # of a symmetric product, of which the half below the diagonal is left out


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
    blocks = {"point_block": point_block, "parameter_block": parameter_block, "output_block": output_block}
    z = z if z is None or z is x else points_of(z, module, "z")
    kernel = TangentKernel(module, x if z is None else z, output=output, traced=traced, **blocks)
    return kernel.square() if z is None or z is x else kernel.against(x, "x")


class TangentKernel:
    """The tangent kernel of a module among n points, and of others with them.

    Where it fits in memory the Jacobian of the n points, or what stands for it, is made once and kept.

    Args:
        module, x, output, traced and blocks: as of `module_kernel`.
        scales: by which the derivatives by a parameter are multiplied, by its name; one where absent.
        dtype: of the Jacobian and its products, another than the module's; the kernels are in the module's.

    Raises:
        TypeError, ValueError: as `module_kernel`.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        x,
        *,
        output: str | int | None = None,
        traced: bool = False,
        scales: Mapping[str, float] | None = None,
        dtype: torch.dtype | None = None,
        **blocks,
    ):
        self.given, self.reading, self.x, self.c = in_dtype(module, x, output, dtype)
        self.dtype, self.told = dtype, next(iter(trained_parameters(self.given).values())).dtype
        self.single = traced or self.c == 1
        prefix = "" if isinstance(module, Reading) else "module."
        self.like = next(iter(trained_parameters(self.reading).values()))
        self._most = _kept(self.like) // len(self.x)
        self._how = {"scales": {prefix + name: scale for name, scale in (scales or {}).items()}, **blocks}
        self._take_parts(**self._how)

    @torch.no_grad()
    @in_own_precision
    def square(self) -> torch.Tensor:
        """(n, n) or (n, n, c, c) K(x, x).

        Raises:
            MemoryError: it would not fit in memory.
            ValueError: a point whose gradient is not finite.
        """
        return self._in_either_way(self._square)

    @torch.no_grad()
    @in_own_precision
    def against(self, z, name: str = "z") -> torch.Tensor:
        """(k, n) or (k, n, c, c) K(z, x) of k other points; errors as of `square`.

        Args:
            z: k points.
            name: of them, for errors.
        """
        z = points_of(z, self.given, name)
        z = prepare(self.reading, z if self.dtype is None else z.to(self.dtype), name)[1]
        return self._in_either_way(lambda: self._against(z))

    def _square(self) -> torch.Tensor:
        kernel = self._room(len(self.x))
        for own in self._own():
            for part in own:
                _add(kernel, part, part, self.single)
        return self._shaped(mirror_upper_(kernel), len(self.x))

    def _against(self, z: Points) -> torch.Tensor:
        kernel, high = self._room(len(z)), 1 if self.single else self.c
        for own, made in zip(self._own(), self.parts.makers(), strict=True):
            for rows in row_blocks(len(z), len(self.x)):  # as many at once as there are of the n points
                for part, other in zip(own, made(z[rows]), strict=True):
                    _add(kernel[rows.start * high : rows.stop * high], other, part, self.single)
        return self._shaped(kernel, len(z))

    def _take_parts(self, **how) -> None:
        self.parts = JacobianParts(self.reading, self.x, self.c, self._most, **how)
        self.kept = {} if self.parts.numbers <= self._most else None

    def _in_either_way(self, work: Callable[[], torch.Tensor]) -> torch.Tensor:
        """By layers; all over without them where points use one otherwise than those that it was found by."""
        try:
            return work()
        except UsedOtherwiseError as otherwise:
            _log.info("%s", otherwise)
            self._take_parts(**self._how | {"by_layers": False})
            return work()

    def _own(self) -> Iterator[list[Part]]:
        """The parts at the n points."""
        for number, made in enumerate(self.parts.makers()):
            if self.kept is None:
                yield made(self.x)
            else:
                if number not in self.kept:
                    self.kept[number] = made(self.x)
                yield self.kept[number]

    def _room(self, rows: int) -> torch.Tensor:
        n, c = len(self.x), self.c
        size = (rows, n) if self.single else (rows, n, c, c)
        advice = "use fewer points, float32 or the traced kernel."
        check_fits("the tangent kernel", *size, like=self.like, advice=advice)
        return self.like.new_zeros((rows, n) if self.single else (rows * c, n * c))

    def _shaped(self, kernel: torch.Tensor, rows: int) -> torch.Tensor:
        kernel = kernel.to(self.told)
        if self.single:
            return kernel
        return kernel.reshape(rows, self.c, -1, self.c).transpose(1, 2).contiguous()


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


def _kept(like: torch.Tensor) -> int:
    """Numbers of the Jacobian that are kept at once."""
    free = available_bytes(like.device)
    return PASS if free is None else min(_KEPT, int(_SHARE_OF_MEMORY * free) // like.element_size())
