"""The products of `stacked` on CUDA, two kernels for an epoch, written in Triton.

    forward    response = W(0) x + move x, gates and the sum over neurons in its epilogue
    backward   move <- (1 - η λ) move - η/√m signs (gates (residual x)), the update in its epilogue

Operands are float16, sums float32; the movement is kept in float32 with a copy in float16. Gates are bytes: what an
epoch reads and writes of them is a good part of what it moves at all. Numbers are scaled by powers of two, so that
none falls below what float16 can hold.
"""

import time
from dataclasses import dataclass
from importlib.util import find_spec
from types import SimpleNamespace

import torch

from ntkif.networks.two_layer import TwoLayer

if find_spec("triton"):
    import triton
    import triton.language as tl
else:  # so that this module can be read, listed and searched for examples anywhere
    triton, tl = SimpleNamespace(jit=lambda kernel: kernel), SimpleNamespace(constexpr=None)

__all__ = ["FASTEST", "Fused", "Tile"]

_MOVE_SCALE, _X_SCALE, _PULL_SCALE = 64.0, 16.0, 64.0
_OUTPUTS = 16  # the least inner dimension of a product on the tensor cores


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


_SMALL = Tile(128, 64, 64, 4, 3)  # fits every stack
_TILES = [  # few, since each takes a second or two to compile
    Tile(128, 128, 64, 4, 4),
    Tile(128, 256, 64, 8, 3),
    Tile(256, 128, 64, 8, 3),
    Tile(128, 256, 64, 8, 4),
    Tile(128, 256, 64, 8, 3, programs=1),
    Tile(256, 128, 64, 8, 3, programs=1),
    _SMALL,
]

#: The fastest tiles for the forward and the backward kernel, by device and shape, as found in this process.
FASTEST: dict[tuple, tuple[Tile, Tile]] = {}


@triton.jit
def _forward(
    move,
    x,
    start,
    signs,
    gates,
    partial,
    width,
    tiles,
    start_scale,
    inverse,
    N: tl.constexpr,
    Q: tl.constexpr,
    C: tl.constexpr,
    BM: tl.constexpr,
    BN: tl.constexpr,
    BK: tl.constexpr,
):
    columns = N // BN
    for tile in range(tl.program_id(0), tiles * columns, tl.num_programs(0)):
        block, column = tile // columns, tile % columns
        row = block.to(tl.int64) * BM + tl.arange(0, BM)
        point, k = column * BN + tl.arange(0, BN), tl.arange(0, BK)
        a = move + row[:, None] * Q + k[None, :]
        b = x + point[None, :] * Q + k[:, None]
        total = tl.zeros((BM, BN), tl.float32)
        for _ in range(0, Q, BK):
            total = tl.dot(tl.load(a), tl.load(b), total)
            a += BK
            b += BK
        own = (block * BM) % width + tl.arange(0, BM)
        first = tl.load(start + own.to(tl.int64)[:, None] * N + point[None, :]).to(tl.float32)
        response = total * inverse + first * start_scale
        is_open = response > 0
        response = tl.where(is_open, response, 0.0)
        for c in tl.static_range(C):
            sign = tl.load(signs + c * width + own).to(tl.float32)
            summed = tl.sum(response * sign[:, None], 0)
            tl.store(partial + (block.to(tl.int64) * C + c) * N + point, summed)
        tl.store(gates + row[:, None] * N + point[None, :], is_open.to(tl.int8))


@triton.jit
def _backward(
    gates,
    pull,
    weight,
    move,
    half,
    signs,
    width,
    tiles,
    decay,
    step,
    move_scale,
    N: tl.constexpr,
    Q: tl.constexpr,
    C: tl.constexpr,
    BM: tl.constexpr,
    BN: tl.constexpr,
    BK: tl.constexpr,
):
    columns = Q // BN
    for tile in range(tl.program_id(0), tiles * columns, tl.num_programs(0)):
        block, column = tile // columns, tile % columns
        row = block.to(tl.int64) * BM + tl.arange(0, BM)
        net = (block.to(tl.int64) * BM) // width
        own = (block * BM) % width + tl.arange(0, BM)
        q, k = column * BN + tl.arange(0, BN), tl.arange(0, BK)
        a = gates + row[:, None] * N + k[None, :]
        total = tl.zeros((BM, BN), tl.float32)
        if C == 1:  # gates @ (residual x), times the sign of the neuron
            b = pull + (net * N + k)[:, None] * Q + q[None, :]
            for _ in range(0, N, BK):
                total = tl.dot(tl.load(a).to(tl.float16), tl.load(b), total)
                a += BK
                b += BK * Q
            total = total * tl.load(signs + own).to(tl.float32)[:, None]
        else:  # (gates * (signs @ residual)) @ x
            c = tl.arange(0, 16)
            sign = tl.load(signs + c[None, :] * width + own[:, None])
            w = weight + (net * 16 + c)[:, None] * N + k[None, :]
            b = pull + k[:, None] * Q + q[None, :]
            for _ in range(0, N, BK):
                along = tl.dot(sign, tl.load(w))
                pulled = tl.where(tl.load(a) != 0, along, 0.0).to(tl.float16)
                total = tl.dot(pulled, tl.load(b), total)
                a += BK
                b += BK * Q
                w += BK
        at = row[:, None] * Q + q[None, :]
        moved = tl.load(move + at) * decay - total * step
        tl.store(move + at, moved)
        tl.store(half + at, (moved * move_scale).to(tl.float16))


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
        ValueError: more than sixteen outputs.
        ModuleNotFoundError: Triton is not installed.
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
        if not find_spec("triton"):
            raise ModuleNotFoundError("triton: not installed; `pip install triton` brings it on Linux.", name="triton")
        (self.m, self.c), (self.n, _) = start.signs.shape, x.shape
        if self.c > _OUTPUTS:
            raise ValueError(f"signs: expected at most {_OUTPUTS} outputs in float16 on CUDA, got {self.c}.")
        q = directions.shape[1]
        self.q, self.networks = q, networks
        self.width, self.N, self.Q = _up(self.m, 256), _up(self.n, 256), _up(q, 128 if q > 64 and q % 128 == 0 else 64)
        self.decay, self.rate = 1 - learning_rate * ridge, learning_rate
        device, rows = x.device, networks * self.width
        half_of = {"dtype": torch.float16, "device": device}
        self.signs = torch.zeros(_OUTPUTS, self.width, **half_of)
        self.signs[: self.c, : self.m] = start.signs.T
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
        self.gates = torch.zeros(rows, self.N, dtype=torch.int8, device=device)
        shape = (networks, self.N, self.Q) if self.c == 1 else (networks, _OUTPUTS, self.N)
        self.pulled = torch.zeros(shape, **half_of)
        key = (str(device), self.width, self.N, self.Q, self.c, networks)
        if tiles is None and key not in FASTEST:
            FASTEST[key] = self._fastest()
        self.tiles = tiles or FASTEST[key]

    def predict(self) -> torch.Tensor:
        """(r, n, c) outputs at the training points; notes which gates are open."""
        partial = self._forward(self.tiles[0])
        summed = partial.view(self.networks, -1, self.c, self.N).sum(1)[:, :, : self.n]
        return summed.transpose(1, 2) * self.m**-0.5

    def step(self, residual: torch.Tensor) -> None:
        """One step down the gradient, at the gates that `predict` found open."""
        scaled = residual.transpose(1, 2) * _PULL_SCALE
        if self.c == 1:
            torch.mul(scaled[:, 0, :, None], self.x[: self.n] / _X_SCALE, out=self.pulled[:, : self.n])
        else:
            self.pulled[:, : self.c, : self.n] = scaled
        self._backward(self.tiles[1])

    def squares(self) -> torch.Tensor:
        """(r,) squared distance from the start."""
        return self.move.view(self.networks, -1).square().sum(1)

    def moved(self, number: int) -> torch.Tensor:
        """(m, q) the movement of a network."""
        return self.move[number * self.width :][: self.m, : self.q]

    def _forward(self, tile: Tile) -> torch.Tensor:
        tiles = self.networks * self.width // tile.rows
        partial = torch.empty(tiles * self.c, self.N, device=self.move.device)
        _forward[self._grid(tile, tiles * (self.N // tile.columns))](
            self.half,
            self.x,
            self.start,
            self.signs,
            self.gates,
            partial,
            self.width,
            tiles,
            self.start_scale,
            1 / (_MOVE_SCALE * _X_SCALE),
            N=self.N,
            Q=self.Q,
            C=self.c,
            **_cut(tile),
        )
        return partial

    def _backward(self, tile: Tile, rate: float | None = None) -> None:
        """A rate of zero and no decay change nothing."""
        tiles = self.networks * self.width // tile.rows
        scale = _PULL_SCALE * (1 if self.c == 1 else _X_SCALE)
        _backward[self._grid(tile, tiles * (self.Q // tile.columns))](
            self.gates,
            self.pulled if self.c == 1 else self.x,
            self.pulled,
            self.move,
            self.half,
            self.signs,
            self.width,
            tiles,
            self.decay if rate is None else 1.0,
            (self.rate if rate is None else rate) * self.m**-0.5 / scale,
            _MOVE_SCALE,
            N=self.N,
            Q=self.Q,
            C=self.c,
            **_cut(tile),
        )

    def _grid(self, tile: Tile, tiles: int) -> tuple[int]:
        if not tile.programs or not self.move.is_cuda:
            return (tiles,)
        processors = torch.cuda.get_device_properties(self.move.device).multi_processor_count
        return (min(tiles, tile.programs * processors),)

    def _fastest(self) -> tuple[Tile, Tile]:
        """The fastest tiles, by trying those that fit; before the first step, when trying changes nothing."""
        forward = [tile for tile in _TILES if tile.fits(self.width, self.N, self.Q)]
        backward = [tile for tile in _TILES if tile.fits(self.width, self.Q, self.N)]
        return _quickest(forward, self._forward), _quickest(backward, lambda tile: self._backward(tile, rate=0.0))


def _quickest(tiles: list[Tile], call) -> Tile:
    """By trying; a tile that this card or this Triton cannot do is left out, as long as another can."""
    seconds, failure = {}, None
    for tile in tiles:
        try:
            call(tile)  # compiles
            torch.cuda.synchronize()
        except Exception as refused:  # what Triton raises here has no common name
            failure = refused
            continue
        clock = time.perf_counter()
        for _ in range(3):
            call(tile)
        torch.cuda.synchronize()
        seconds[tile] = time.perf_counter() - clock
    if not seconds:
        raise failure
    return min(seconds, key=seconds.get)


def _cut(tile: Tile) -> dict:
    return {
        "BM": tile.rows,
        "BN": tile.columns,
        "BK": tile.inner,
        "num_warps": tile.warps,
        "num_stages": tile.stages,
    }


def _up(size: int, to: int) -> int:
    return -(-size // to) * to
