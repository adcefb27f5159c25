"""The products of `stacked` on CUDA: operands of the two kernels of an epoch, and the fastest way to cut these.

Operands are float16, sums float32; the movement is kept in float32 with a copy in float16. Numbers are scaled by
powers of two, so that none falls below what float16 can hold.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from ntkif.checks import warn
from ntkif.networks.two_layer import TwoLayer
from ntkif.retraining.fused_kernels import available, backward, forward

__all__ = ["FASTEST", "Fused", "Tile"]

_MOVE_SCALE, _X_SCALE, _PULL_SCALE = 64.0, 16.0, 64.0
_PARTS = 8  # of a tile in which the movement is updated: so two tiles of 128 x 128 share a multiprocessor
_AGREE = 1e-4  # by how much the same product may differ by tiles, of its size


@dataclass(frozen=True)
class Tile:
    """How a kernel cuts its product: rows and columns of a tile, inner dimension of a step, warps, and stages.

    Attributes:
        programs: for each multiprocessor, which take tile after tile; 0: one for each tile.
    """

    rows: int
    columns: int
    inner: int
    warps: int
    stages: int
    programs: int = 0

    def fits(self, rows: int, columns: int, inner: int) -> bool:
        """Whether it covers a product of this shape with whole tiles."""
        return not (rows % self.rows or columns % self.columns or inner % self.inner)


_TILES = [  # few, since each takes a second or two to compile; the first fits every stack, and the others follow it
    Tile(128, 64, 64, 4, 3),
    Tile(128, 128, 64, 4, 3),
    Tile(128, 128, 64, 4, 2),
    Tile(128, 256, 64, 8, 3),
    Tile(128, 256, 64, 8, 3, programs=1),
    Tile(128, 256, 64, 8, 4),
    Tile(256, 128, 64, 8, 4),
]

#: The fastest tiles for the forward and the backward kernel, by device and shape, as found in this process.
FASTEST: dict[tuple, tuple[Tile, Tile]] = {}


class Fused:
    """The state of r networks on the device, padded to whole tiles; what `stacked.Stack` asks of its kernels.

    Args:
        start: (m, d) weights and (m, c) signs.
        x: (n, d) training points.
        y: (n, c) targets.
        ridge: penalty λ.
        learning_rate: step size.
        directions: (d, q) orthonormal columns in which the movement is kept.
        networks: how many.
        half: always true here.
        tiles: of the forward and the backward kernel; the fastest are found by trying where absent.

    Raises:
        ModuleNotFoundError: Triton is not installed, or too old.
    """

    def __init__(
        self,
        start: TwoLayer,
        x: torch.Tensor,
        y: torch.Tensor,
        ridge: float,
        learning_rate: float,
        directions: torch.Tensor,
        networks: int,
        half: bool,
        *,
        tiles: tuple[Tile, Tile] | None = None,
    ):
        if not available():
            raise ModuleNotFoundError(
                "triton: expected version 3.4 or later, which `pip install triton` brings on Linux.", name="triton"
            )
        (self.m, self.c), (self.n, _) = start.signs.shape, x.shape
        q = directions.shape[1]
        self.q, self.networks = q, networks
        self.width, self.N, self.Q = _up(self.m, 256), _up(self.n, 256), _up(q, 128 if q > 64 and q % 128 == 0 else 64)
        self.decay = 1 - learning_rate * ridge
        device, rows = x.device, networks * self.width
        half_of = {"dtype": torch.float16, "device": device}
        self.signs = torch.zeros(self.c, self.width, **half_of)
        self.signs[:, : self.m] = start.signs.T
        self.x = torch.zeros(self.N, self.Q, **half_of)
        self.x[: self.n, :q] = x @ directions * _X_SCALE
        # The response of the initial weights in float16, scaled to size one.
        self.start_scale = float(start.weights.detach().square().mean().sqrt()) or 1.0
        self.start = torch.zeros(self.width, self.N, **half_of)
        for first in range(0, self.m, 8192):
            block = slice(first, min(first + 8192, self.m))
            self.start[block, : self.n] = start.weights[block] @ x.T / self.start_scale
        self.move = torch.zeros(rows, self.Q, device=device)
        self.half = torch.zeros(rows, self.Q, **half_of)
        self.gates = torch.zeros(rows, self.N, **half_of)
        # Of one output its residual goes to the points and its sign to the sum; of several both go to the gates.
        single = self.c == 1
        self.pulled = torch.zeros(networks * self.N, self.Q, **half_of) if single else self.x
        self.factors = self.signs[0].float() if single else torch.ones(self.width, device=device)
        self.factors *= learning_rate * self.m**-0.5 / (_PULL_SCALE * (1 if single else _X_SCALE))
        key = (str(device), self.width, self.N, self.Q, self.c)
        if tiles is None and key not in FASTEST:
            FASTEST[key] = self._fastest()
        self.tiles = tiles or FASTEST[key]

    def predict(self) -> torch.Tensor:
        """(r, n, c) outputs at the training points; notes which gates are open."""
        return self._forward(self.tiles[0])[:, :, : self.n].transpose(1, 2) * self.m**-0.5

    def step(self, residual: torch.Tensor) -> None:
        """One step down the gradient, at the gates that `predict` found open."""
        scaled = residual * _PULL_SCALE
        if self.c == 1:
            pulled = self.pulled.view(self.networks, self.N, self.Q)
            torch.mul(scaled, self.x[: self.n] / _X_SCALE, out=pulled[:, : self.n])
        else:
            for own, weights in zip(self.gates.view(self.networks, self.width, self.N), scaled.half(), strict=True):
                own[:, : self.n] *= self.signs.T @ weights.T
        self._backward(self.tiles[1], self.factors, self.decay)

    def squares(self) -> torch.Tensor:
        """(r,) squared distance from the start."""
        return self.move.view(self.networks, -1).square().sum(1)

    def moved(self, number: int) -> torch.Tensor:
        """(m, q) the movement of a network."""
        return self.move[number * self.width :][: self.m, : self.q]

    def _forward(self, tile: Tile) -> torch.Tensor:
        """(r, c, N) sums over the neurons; notes which gates are open."""
        blocks = self.networks * self.width // tile.rows
        sums = torch.empty(blocks * self.c, self.N, device=self.move.device)
        forward[self._grid(tile, blocks * (self.N // tile.columns))](
            _blocks_of(self.half, tile.rows, tile.inner),
            _blocks_of(self.x, tile.columns, tile.inner),
            self.start,
            self.signs,
            _blocks_of(self.gates, tile.rows, tile.columns // 2),
            sums,
            self.width,
            self.networks,
            self.start_scale * _MOVE_SCALE * _X_SCALE,
            1 / (_MOVE_SCALE * _X_SCALE),
            C=self.c,
            ROWS=max(64, 1 << (self.c - 1).bit_length()),
            **self._sizes(tile),
        )
        return sums.view(self.networks, -1, self.c, self.N).sum(1)

    def _backward(self, tile: Tile, factors: torch.Tensor, decay: float) -> None:
        blocks = self.networks * self.width // tile.rows
        backward[self._grid(tile, blocks * (self.Q // tile.columns))](
            _blocks_of(self.gates, tile.rows, tile.inner),
            _blocks_of(self.pulled, tile.inner, tile.columns),
            _blocks_of(self.move, tile.rows, tile.columns // _PARTS),
            _blocks_of(self.half, tile.rows, tile.columns // _PARTS),
            factors,
            self.width,
            self.networks,
            self.N if self.c == 1 else 0,
            decay,
            _MOVE_SCALE,
            PARTS=_PARTS,
            **self._sizes(tile),
        )

    def _sizes(self, tile: Tile) -> dict:
        """What the kernels are compiled for."""
        blocks = {"BM": tile.rows, "BN": tile.columns, "BK": tile.inner, "PERSISTENT": tile.programs > 0}
        return {"N": self.N, "Q": self.Q, "num_warps": tile.warps, "num_stages": tile.stages, **blocks}

    def _grid(self, tile: Tile, tiles: int) -> tuple[int]:
        if not tile.programs or not self.move.is_cuda:
            return (tiles,)
        processors = torch.cuda.get_device_properties(self.move.device).multi_processor_count
        return (min(tiles, tile.programs * processors),)

    def _fastest(self) -> tuple[Tile, Tile]:
        """The fastest tiles of those that fit and agree, on random numbers; before the first step, all zero again."""
        shapes = (self.width, self.N, self.Q), (self.width, self.Q, self.N)
        of_forward, of_backward = ([tile for tile in _TILES if tile.fits(*shape)] for shape in shapes)
        drawn = [self.half] + [self.pulled] * (self.c == 1)
        for each in drawn:
            each.normal_()

        def pulled(tile: Tile) -> torch.Tensor:
            self._backward(tile, torch.ones_like(self.factors), decay=0.0)
            return self.move[-4096:]

        found = _quickest(of_forward, self._forward), _quickest(of_backward, pulled)
        for each in (*drawn, self.half, self.move):
            each.zero_()
        return found


def _quickest(tiles: list[Tile], call: Callable[[Tile], torch.Tensor]) -> Tile:
    """By trying.

    One that this card or this Triton cannot do, or that gives something else than the first that it can, is left out,
    as long as there is another.
    """
    seconds, failure, like, first = {}, None, None, None
    for tile in tiles:
        try:
            result = call(tile).clone()  # compiles
            torch.cuda.synchronize()
        except Exception as refused:  # what Triton raises here has no common name
            failure = refused
            continue
        like, first = (result, tile) if like is None else (like, first)
        if not (result - like).norm() <= _AGREE * like.norm():
            warn(f"{tile} gives other numbers than {first} on this device, and is left out.")
            continue
        clock = time.perf_counter()
        for _ in range(3):
            call(tile)
        torch.cuda.synchronize()
        seconds[tile] = time.perf_counter() - clock
    if not seconds:
        raise failure
    return min(seconds, key=seconds.get)


def _blocks_of(a: torch.Tensor, rows: int, columns: int):
    """A matrix, to be read and written by blocks."""
    from triton.tools.tensor_descriptor import TensorDescriptor

    return TensorDescriptor.from_tensor(a, [rows, columns])


def _up(size: int, to: int) -> int:
    return -(-size // to) * to
