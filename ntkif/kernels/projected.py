"""The Jacobian of a network, projected: rows short enough to be kept of many points.

    φ(x) = J(x) Ω, (c, p),    Ω: every parameter goes, with a random sign, into one of the p columns

Products of such rows are, in the mean over Ω, those of the Jacobian; they scatter about them by √(2/p) |J(x)| |J(z)| at
most. Ω is a count sketch (Charikar, Chen and Farach-Colton 2002), which costs one addition a number: parameters that
follow each other go into columns that follow each other, from a random first one, so that neighbours never meet.
"""

from collections.abc import Iterator, Mapping

import torch

from ntkif.blocks import row_blocks
from ntkif.kernels.jacobian import PASS
from ntkif.kernels.layers import Part
from ntkif.kernels.parts import JacobianParts, in_dtype
from ntkif.networks.inputs import Points, in_own_precision, points_of
from ntkif.networks.modules import prepare, trained_parameters

__all__ = ["ProjectedJacobian"]

_AT_ONCE = 8  # points whose Jacobian is held, at least


class ProjectedJacobian:
    """Projected rows of the Jacobian of a module, of any points.

    Where there are no more parameters than columns asked for, the rows are those of the Jacobian itself.

    Args:
        module: see `module_kernel`.
        x: points of which a few are looked at.
        projections: columns p.
        seed: of the projection.
        output: as of `module_kernel`.
        scales: by which the derivatives by a parameter are multiplied, by its name; one where absent.
        dtype: of the Jacobian and its rows, another than the module's.
        by_layers: as of `JacobianParts`.

    Attributes:
        width: p, or the number of trained parameters where these are no more.
        exact: whether nothing is projected.

    Raises:
        TypeError, ValueError: as `module_kernel`; fewer than one column.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        x,
        projections: int,
        *,
        seed: int = 0,
        output: str | int | None = None,
        scales: Mapping[str, float] | None = None,
        dtype: torch.dtype | None = None,
        by_layers: bool = True,
    ):
        if int(projections) != projections or projections < 1:
            raise ValueError(f"projections: expected a whole number of columns, one or more, got {projections}.")
        self.given, self.reading, x, self.c = in_dtype(module, x, output, dtype)
        self.dtype = dtype
        self.like = next(iter(trained_parameters(self.reading).values()))
        self.parts = JacobianParts(self.reading, x, self.c, PASS // _AT_ONCE, scales=scales, by_layers=by_layers)
        self.widths = self.parts.widths()
        self.exact, self.width = sum(self.widths) <= projections, min(sum(self.widths), projections)
        self.signs, self.shifts = self._drawn(seed)

    @torch.no_grad()
    @in_own_precision
    def rows(self, points: Points) -> torch.Tensor:
        """(b, c, p) φ at b points.

        Raises:
            ValueError: a point whose gradient is not finite.
            UsedOtherwiseError: a layer is used otherwise at these points; see `by_layers`.
        """
        points = points if self.dtype is None else points.to(self.dtype)
        out = self.like.new_zeros(len(points), self.c, self.width)
        at_once = max(1, PASS // (self.c * max(self.widths)))
        for some in row_blocks(len(points), at_once):
            first = 0
            for part in (part for made in self.parts.makers() for part in made(points[some])):
                for columns in _columns(part, PASS // (self.c * at_once)):
                    self._add(out[some], columns, first)
                    first += columns.shape[2]
        return out

    def against(self, z, name: str = "z") -> torch.Tensor:
        """`rows` of other points, see `module_kernel`; the name is for errors."""
        return self.rows(prepare(self.given, points_of(z, self.given, name), name)[1])

    def movement(self, columns: torch.Tensor) -> list[torch.Tensor]:
        """Of each trained parameter, so that outputs change, to first order, by φ(x)·v for (p,) numbers v: Ω v."""
        moved = self.signs.clone()
        for whole, place in self._places(0, len(moved)):
            moved[whole] *= columns[place].to(moved)
        return list(self.parts.movement(moved).values())

    def columns(self, gradient: list[torch.Tensor]) -> torch.Tensor:
        """(p,) the gradient by the columns of φ, from that by each trained parameter: Ωᵀ g."""
        names = trained_parameters(self.reading)
        of_parts = self.parts.columns(dict(zip(names, gradient, strict=True)))
        found = of_parts.new_zeros(self.width)
        for whole, place in self._places(0, len(of_parts)):
            found[place] += of_parts[whole] * self.signs[whole]
        return found

    def _drawn(self, seed: int) -> tuple[torch.Tensor, list[int]]:
        """A sign of each parameter, and where the first of each p of them goes; none that changes anything if exact."""
        numbers, generator = sum(self.widths), torch.Generator().manual_seed(seed)
        if self.exact:
            return self.like.new_ones(numbers), [0]
        signs = torch.randint(2, (numbers,), generator=generator) * 2 - 1
        shifts = torch.randint(self.width, (-(-numbers // self.width),), generator=generator)
        return signs.to(self.like), shifts.tolist()

    def _places(self, first: int, count: int) -> Iterator[tuple[slice, slice]]:
        """Runs of parameters, counted from the first of them, and the columns of φ that they go into."""
        p, done = self.width, 0
        while done < count:
            at = first + done
            place = (at + self.shifts[at // p]) % p
            run = min(count - done, p - at % p, p - place)
            yield slice(done, done + run), slice(place, place + run)
            done += run

    def _add(self, out: torch.Tensor, columns: torch.Tensor, first: int) -> None:
        """Columns of the Jacobian, of which this is the first, to where they go."""
        signs = self.signs[first : first + columns.shape[2]]
        for run, place in self._places(first, columns.shape[2]):
            out[:, :, place].addcmul_(columns[:, :, run], signs[run])


def _columns(part: Part, most: int) -> Iterator[torch.Tensor]:
    """(b, c, w) the Jacobian of a part, a few columns at a time where it is a product."""
    if part.inputs is None:
        yield part.pulls
        return
    for rows in row_blocks(part.pulls.shape[2], max(1, most // part.inputs.shape[1])):
        yield Part(part.pulls[:, :, rows], part.inputs).jacobian()
