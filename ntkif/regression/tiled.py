"""Exact kernel ridge regression up to memory: only the lower triangle of the kernel is kept, in square tiles.

The triangle is filled, factorised in place and never mirrored, so that n points take n² / 2 numbers where `ridge_fit`
takes 2 n²: in float64, 60000 points in 15 GB. The work is n³/3 multiplications and additions for the factor and as many
for the diagonal of the inverse, all of it in products of tiles, on a CPU or on CUDA.
"""

from collections.abc import Callable, Sequence

import torch
from tqdm import tqdm

from ntkif.blocks import row_blocks
from ntkif.checks import check_condition, check_fits, check_matrix, check_ridge
from ntkif.kernels import Kernel
from ntkif.kernels.infinite import ntk
from ntkif.regression.ridge import RidgeFit

__all__ = ["TiledInverse", "solve_without", "tiled_fit", "tiled_numbers"]

_Tiles = list[list[torch.Tensor]]


class TiledInverse:
    """(K + λI)^-1 by its Cholesky factor in tiles: what a `RidgeFit` asks of its inverse, which is never formed.

    `matrix @ inverse` takes two triangular solves, `inverse[:, rows]` the same for as many columns.

    Args:
        factor: tiles [i][j], j <= i, of the lower triangular L with K + λI = L Lᵀ.
        diagonal: (n,) diagonal of the inverse.
    """

    def __init__(self, factor: _Tiles, diagonal: torch.Tensor):
        self.factor, self._diagonal = factor, diagonal

    @property
    def shape(self) -> tuple[int, int]:
        """(n, n)."""
        return (len(self._diagonal), len(self._diagonal))

    def diagonal(self) -> torch.Tensor:
        """(n,) entries [(K + λI)^-1]_ii."""
        return self._diagonal

    def __matmul__(self, right: torch.Tensor) -> torch.Tensor:
        """(n, c) solution of (K + λI) s = right."""
        return _solve_(self.factor, right.clone(memory_format=torch.contiguous_format))

    def __rmatmul__(self, left: torch.Tensor) -> torch.Tensor:
        """(k, n) product with a (k, n) matrix from the left."""
        return (self @ left.T).T

    def __getitem__(self, rows) -> torch.Tensor:
        """(s, n) rows of the inverse; with `[:, rows]` its (n, s) columns."""
        columns = isinstance(rows, tuple)
        chosen = rows[1] if columns else rows
        unit = self._diagonal.new_zeros(len(self._diagonal), len(chosen))
        unit[chosen, torch.arange(len(chosen), device=unit.device)] = 1
        found = _solve_(self.factor, unit)
        return found if columns else found.T


def tiled_numbers(n: int, tile: int) -> int:
    """The most numbers that `tiled_fit` holds at once, beside points and targets."""
    tiles = -(-n // tile)
    return tiles * (tiles + 1) // 2 * tile**2 + n * tile + 4 * tile**2


@torch.no_grad()
def tiled_fit(
    x_train: torch.Tensor,
    y_train: torch.Tensor,
    ridge: float,
    *,
    kernel: Kernel = ntk,
    tile: int = 2048,
    progress: bool = True,
) -> RidgeFit:
    """`ridge_fit` from points, in a quarter of its memory: exact, for as many points as fit.

    Args:
        x_train: (n, d) points, for `ntk` with rows of norm one.
        y_train: (n, c) targets.
        ridge: penalty λ >= 0.
        kernel: of two sets of points.
        tile: points handled at once. Memory beside points and targets is n² / 2 + 3/2 * tile * n + 4 * tile²
            numbers.
        progress: whether to show a bar with the time left, on a terminal.

    Returns:
        the fit, on device and in dtype of the points. Its `inverse` is a `TiledInverse`; its `condition` is a lower
        bound, |K + λI| in the 1-norm times the largest entry on the diagonal of the inverse.

    Raises:
        TypeError, ValueError: wrong shapes or NaN, a negative ridge, a tile below one.
        MemoryError: it would not fit; said before anything is computed.
        numpy.linalg.LinAlgError: K + λI is singular to working precision.
    """
    check_matrix("x_train", x_train)
    check_matrix("y_train", y_train, rows=len(x_train), like=x_train)
    check_ridge(ridge)
    blocks = list(row_blocks(len(x_train), tile))
    numbers = tiled_numbers(len(x_train), min(tile, len(x_train)))
    advice = "use fewer training points, a smaller tile or float32, or features instead (ntkif.regression.nystrom)."
    check_fits("the exact fit", numbers, like=x_train, advice=advice)
    m = len(blocks)
    with tqdm(total=m * (m + 1) // 2 + m * (m + 1) * (m + 2) // 3, unit="tile", disable=not progress or None) as bar:
        tiles, norm = _fill(x_train, blocks, kernel, ridge, bar.update)
        failed = _factorise_(tiles, bar.update)
        diagonal = None if failed else _inverse_diagonal(tiles, bar.update)
    condition = float("inf") if failed else norm * float(diagonal.max())
    check_condition(condition, ridge, x_train.dtype)
    inverse = TiledInverse(tiles, diagonal)
    return RidgeFit(ridge, y_train, inverse, inverse @ y_train, condition)


def _fill(x: torch.Tensor, blocks: list[slice], kernel: Kernel, ridge: float, done: Callable) -> tuple[_Tiles, float]:
    """Lower triangle of K + λI, and its 1-norm."""
    tiles, sums = [], x.new_zeros(len(x))
    for i, rows in enumerate(blocks):
        tiles.append([])
        for columns in blocks[: i + 1]:
            tile = kernel(x[rows], x[columns]).clone()  # a kernel of a user's own may be a part of what it keeps
            if columns == rows:
                tile.diagonal().add_(ridge)
            else:
                sums[columns] += tile.abs().sum(0)
            sums[rows] += tile.abs().sum(1)
            tiles[i].append(tile)
            done(1)
    return tiles, float(sums.max())


def _factorise_(tiles: _Tiles, done: Callable) -> bool:
    """Cholesky factorisation in place, a column of tiles after the other; whether a pivot was not positive."""
    for j, row in enumerate(tiles):
        for i in range(j, len(tiles)):
            for k in range(j):
                tiles[i][j].addmm_(tiles[i][k], row[k].T, alpha=-1)
            if i == j:
                row[j], info = torch.linalg.cholesky_ex(row[j])
                if info:
                    return True
            else:
                _divide_(tiles[i][j].T, row[j])
            done(j + 1)
    return False


def _inverse_diagonal(factor: _Tiles, done: Callable) -> torch.Tensor:
    """Squared norms of the columns of L^-1, a column of tiles at a time."""
    out = []
    for j in range(len(factor)):
        corner = factor[j][j]
        column = [torch.eye(len(corner), dtype=corner.dtype, device=corner.device)]
        _divide_(column[0], corner)
        done(1)
        for i in range(j + 1, len(factor)):
            below = factor[i][j] @ column[0]
            for k in range(j + 1, i):
                below.addmm_(factor[i][k], column[k - j])
            column.append(_divide_(below.neg_(), factor[i][i]))
            done(i - j + 1)
        out.append(sum(part.square().sum(0) for part in column))
    return torch.cat(out)


def _solve_(factor: _Tiles, right: torch.Tensor) -> torch.Tensor:
    """(L Lᵀ)^-1 right, in place."""
    parts = right.split([len(row[-1]) for row in factor])
    for i, row in enumerate(factor):
        for k in range(i):
            parts[i].addmm_(row[k], parts[k], alpha=-1)
        _divide_(parts[i], row[i])
    for i in reversed(range(len(factor))):
        for k in range(i + 1, len(factor)):
            parts[i].addmm_(factor[k][i].T, parts[k], alpha=-1)
        _divide_(parts[i], factor[i][i].T, upper=True)
    return right


def _divide_(right: torch.Tensor, triangle: torch.Tensor, *, upper: bool = False) -> torch.Tensor:
    """triangle^-1 right, in place."""
    return right.copy_(torch.linalg.solve_triangular(triangle, right, upper=upper))


def solve_without(
    x: torch.Tensor,
    fit: RidgeFit,
    rows: Sequence[int],
    *,
    kernel: Kernel = ntk,
    tolerance: float = 1e-13,
    iterations: int = 10,
    block_size: int = 512,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The fit without each of some training points, solved anew to a residual that vouches for it.

    Conjugate gradients on the system without the point, whose kernel is made again in every iteration. The factor
    of the system with it serves as preconditioner alone: it makes the iteration short, and cannot make a wrong
    solution pass, since the residual is computed from the kernel.

    Args:
        x: (n, d) training points.
        fit: of them, which gives targets, ridge and preconditioner.
        rows: r training points to leave out, one at a time.
        kernel: of two sets of points, that of the fit.
        tolerance: relative residual at which to stop.
        iterations: at most.
        block_size: rows of the kernel made at once.

    Returns:
        (n, r, c) duals, zero at the removed point, and (r,) relative residuals |y - (K + λI) dual| / |y|, computed
        anew at the end.
    """
    n = len(x)
    kept = x.new_ones(n, len(rows), 1)
    kept[rows, range(len(rows))] = 0

    def product(v: torch.Tensor) -> torch.Tensor:
        flat, out = v.reshape(n, -1), torch.empty_like(v)
        for block in row_blocks(n, block_size):
            out[block] = (kernel(x[block], x) @ flat + fit.ridge * flat[block]).reshape_as(out[block])
        return out.mul_(kept)

    def precondition(v: torch.Tensor) -> torch.Tensor:
        return (fit.inverse @ v.reshape(n, -1)).reshape_as(v).mul_(kept)

    target = fit.y_train[:, None] * kept
    size = target.norm(dim=(0, 2))
    dual, left = torch.zeros_like(target), target.clone()
    direction = solved = precondition(left)
    for _ in range(iterations):
        image = product(direction)
        inner = (left * solved).sum((0, 2))
        step = inner / (direction * image).sum((0, 2))
        dual += step[:, None] * direction
        left -= step[:, None] * image
        if (left.norm(dim=(0, 2)) <= tolerance * size).all():
            break
        solved = precondition(left)
        direction = solved + ((left * solved).sum((0, 2)) / inner)[:, None] * direction
    return dual, (target - product(dual)).norm(dim=(0, 2)) / size
