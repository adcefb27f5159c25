"""A trained network, linearised, in p numbers a point: leave-one-out steps that are exact in that space.

With rows φ_i of the Jacobian, projected or whole (see `ProjectedJacobian`), g_i and S_i the gradient and the curvature
of the loss at the outputs of point i, the Newton step of the network without it is

    δ_i = (H - φ_iᵀ S_i φ_i)^-1 φ_iᵀ g_i = H^-1 φ_iᵀ (I - S_i B_ii)^-1 g_i,
    H = λI + Σ_j φ_jᵀ S_j φ_j,    B_ii = φ_i H^-1 φ_iᵀ,    f^{-i}(x) - f(x) = φ(x) δ_i

So (p, p) numbers take the place of (n c, n c), in one pass over the points for H and one for the steps. With whole rows
it is `LinearizedFit`; TRAK has the same H, without S_i, the ridge and the leverage S_i B_ii, and so no size.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from tqdm import tqdm

from ntkif.blocks import mirror_upper_, row_blocks
from ntkif.checks import available_bytes, check_fits, check_group, check_ridge, warn
from ntkif.influence.curvature import whiten
from ntkif.kernels.projected import ProjectedJacobian
from ntkif.regression.nystrom import check_rest, cholesky_factor

__all__ = ["ProjectedFit", "ProjectedPoints", "factor_of", "projected_fit", "warn_of_few"]

_SHARE_OF_MEMORY = 0.25
_PARTS = 8  # of a product
_TOO_FAR = 0.3  # relative error by projections of which there is a warning
Rows = Callable[[slice | torch.Tensor], torch.Tensor]


@dataclass(frozen=True, eq=False)
class ProjectedFit:
    """The steps of all removals of single points.

    Attributes:
        ridge: λ.
        factor: (p, p) Cholesky factor of H.
        steps: (n, p) δ_i.
        self_change: (n, c) by how much each training point's own prediction changes without it, φ_i δ_i.
        largest_leverage: (n,) largest eigenvalue of each A_i = L_iᵀ B_ii L_i, with S_i = L_i L_iᵀ.
        freedom: (n,) trace of each.
        rows: what gives (b, c, p) φ of training points, by their numbers.
        gradient: (n, c) g_i.
        curvature: (n, c, c) S_i, one for half squares.
    """

    ridge: float
    factor: torch.Tensor
    steps: torch.Tensor
    self_change: torch.Tensor
    largest_leverage: torch.Tensor
    freedom: torch.Tensor
    rows: Rows
    gradient: torch.Tensor
    curvature: torch.Tensor

    by_residuals = False  # influences are those of changes of the outputs, see `LinearizedFit`

    def loo_change(self, rows: torch.Tensor) -> torch.Tensor:
        """(k, n, c) by how much predictions change without each training point.

        Args:
            rows: (k, c, p) φ of test points.

        Raises:
            MemoryError: the changes would not fit in memory.
        """
        size = (len(rows), *self.gradient.shape)
        check_fits("the changes", *size, like=self.gradient, advice="pass fewer test points at once.")
        return (rows @ self.steps.T).transpose(1, 2).to(self.gradient)

    def group_change(self, rows: torch.Tensor, groups: Sequence[torch.Tensor]) -> torch.Tensor:
        """(k, g, c) by how much predictions change without whole sets of training points, as exactly.

        Args:
            rows: (k, c, p) φ of test points.
            groups: g sets, each a list of distinct training rows.
        """
        steps = [self._without(check_group(group, len(self.gradient)).cpu()) for group in groups]
        return torch.einsum("kcp,gp->kgc", rows.to(self.gradient), torch.stack(steps))

    def _without(self, group: torch.Tensor) -> torch.Tensor:
        """(p,) the step of the removal of a set."""
        own, (s, c) = self.rows(group).to(self.gradient), (len(group), self.gradient.shape[1])
        flat = own.reshape(s * c, -1)
        between = flat @ torch.cholesky_solve(flat.T, self.factor)
        between = (self.curvature[group] @ between.reshape(s, c, s * c)).reshape(s * c, s * c)
        eye = torch.eye(s * c, dtype=flat.dtype, device=flat.device)
        pull = torch.linalg.solve(eye - between, self.gradient[group].reshape(-1, 1))
        return torch.cholesky_solve(flat.T @ pull, self.factor)[:, 0]


def projected_fit(
    rows: Rows, gradient: torch.Tensor, ridge: float, *, curvature: torch.Tensor | None = None, progress: bool = True
) -> ProjectedFit:
    """Both passes over the training points.

    Args:
        rows: as of `ProjectedPoints`, and so the gradient, the curvature and the progress.
        gradient: (n, c) g_i.
        ridge: λ > 0, damping included.
        curvature: (n, c, c) S_i; one where absent.
        progress: whether to show bars, on a terminal.

    Raises:
        ValueError: no positive ridge, or a curvature with a negative eigenvalue.
        MemoryError: H or the steps would not fit in memory.
        numpy.linalg.LinAlgError: a leverage of one, or an H that is singular, to working precision.
    """
    check_ridge(ridge, positive=True)
    points = ProjectedPoints(rows, gradient, curvature, progress=progress)
    return points.removals(factor_of(points.products(), ridge), ridge)


def factor_of(products: torch.Tensor, ridge: float) -> torch.Tensor:
    """(p, p) Cholesky factor of H, from the sum of `ProjectedPoints.products` of all training points, changed in place.

    Raises:
        numpy.linalg.LinAlgError: H is singular to working precision.
    """
    mirror_upper_(products).diagonal().add_(ridge)
    return cholesky_factor(products, "ridge: expected one that the precision can see beside the rows")


def warn_of_few(freedom: float, kernel: ProjectedJacobian) -> None:
    """Warn of so few columns that influences are off by more than 0.3 of their size.

    Args:
        freedom: of all training points together.
        kernel: what makes the rows.
    """
    if not kernel.exact and (off := (freedom / kernel.width) ** 0.5) > _TOO_FAR:
        p, wanted, every = kernel.width, math.ceil(freedom / 0.01), sum(kernel.widths)
        told = f"{wanted} for a tenth" if wanted < every else f"{every}, one for each parameter, and nothing is lost"
        warn(f"projections: with {p} columns influences are off by about {off:.2g} of their size; take {told}.")


class ProjectedPoints:
    """Training points, all or a block of them: their part of H, and with the factor of the whole their removals.

    Rows are kept from one to the other where a quarter of the free memory holds them, and made twice where it does not.
    H is summed in the dtype of the gradient, whatever that of the rows. Beside rows and steps, memory is some 6 p².

    Args:
        rows: what gives (b, c, p) rows φ of the points, by a slice of their numbers or a list of them.
        gradient: (n, c) g_i.
        curvature: (n, c, c) S_i; one where absent.
        progress: whether to show a bar, on a terminal.

    Raises:
        ValueError: a curvature with a negative eigenvalue.
        MemoryError: H or the steps would not fit in memory.
    """

    @torch.no_grad()
    def __init__(
        self, rows: Rows, gradient: torch.Tensor, curvature: torch.Tensor | None = None, *, progress: bool = True
    ):
        (n, c), like = gradient.shape, rows(slice(0, 1))
        self.p, self.like, advice = like.shape[2], like, "take fewer projections."
        check_fits("the matrix of the projections", 6, self.p, self.p, like=gradient, advice=advice)
        check_fits("the steps of the removals", n, self.p, like=like, advice=advice)
        free = available_bytes(like.device)
        self._kept = [] if free is not None and n * c * like[0, 0].nbytes <= _SHARE_OF_MEMORY * free else None
        self.rows, self.gradient, self.progress = rows, gradient, progress
        if curvature is None:
            unit = torch.eye(c, dtype=gradient.dtype, device=gradient.device)
            self.curvature = self.root = unit.expand(n, c, c)
        else:
            self.curvature, self.root = curvature, whiten(curvature, gradient, flat=True)[0]
        self.blocks = list(row_blocks(n, max(1, self.p // c)))

    @torch.no_grad()
    def products(self) -> torch.Tensor:
        """(p, p) Σ φ_iᵀ S_i φ_i, on the diagonal and above it, to be added to those of other points."""
        h = self.gradient.new_zeros(self.p, self.p)
        for block, own in self._each():
            bent = (self.root[block].mT.to(own) @ own).flatten(0, 1)
            for part in row_blocks(self.p, -(-self.p // _PARTS)):
                h[part, part.start :] += bent[:, part].T @ bent[:, part.start :]
        return h

    @torch.no_grad()
    def removals(self, factor: torch.Tensor, ridge: float) -> ProjectedFit:
        """Of each of the points by itself.

        Args:
            factor: see `factor_of`.
            ridge: λ, that of the factor.

        Raises:
            numpy.linalg.LinAlgError: a leverage of one, to working precision.
        """
        found = [
            _removals(own, factor, self.gradient[block], self.curvature[block], self.root[block])
            for block, own in self._each()
        ]
        steps, changes, largest, freedom = map(torch.cat, zip(*found, strict=True))
        check_rest(1 - largest, 100 * self.p**0.5 * torch.finfo(self.like.dtype).eps, "projections")
        own = self.rows, self.gradient, self.curvature
        return ProjectedFit(ridge, factor, steps, changes, largest, freedom, *own)

    def _each(self) -> Iterator[tuple[slice, torch.Tensor]]:
        """The rows of each block, made where they are not kept from before."""
        for number, block in enumerate(tqdm(self.blocks, unit="block", leave=False, disable=not self.progress or None)):
            if self._kept is None:
                yield block, self.rows(block)
            else:
                if number == len(self._kept):
                    self._kept.append(self.rows(block))
                yield block, self._kept[number]


def _removals(own: torch.Tensor, factor: torch.Tensor, gradient, curvature, root) -> tuple[torch.Tensor, ...]:
    """Of a block of points δ_i, φ_i δ_i, and the largest eigenvalue and the trace of A_i."""
    white = torch.linalg.solve_triangular(factor.to(own), own.flatten(0, 1).T, upper=False)
    white = white.T.reshape(own.shape).to(gradient)
    between = white @ white.mT
    bent = curvature @ between
    pull = torch.linalg.solve(torch.eye(len(bent[0])).to(bent) - bent, gradient[:, :, None])
    steps = torch.linalg.solve_triangular(factor.T, (white.mT @ pull)[:, :, 0].T, upper=True).T
    leverage = root.mT @ between @ root
    values = torch.linalg.eigvalsh(leverage)
    return steps.to(own), (between @ pull)[:, :, 0], values[:, -1], values.sum(1)
