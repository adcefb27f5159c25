"""The two products of an epoch on CUDA, in Triton; `fused` holds their operands and calls them.

    forward    response = W(0) x + move x, gates and the sum over neurons in its epilogue
    backward   move <- (1 - η λ) move - η/√m signs (gates (residual x)), the update in its epilogue

Operands are float16, sums float32. Both operands are read through tensor descriptors and multiplied from shared
memory. (Gates of a byte, widened in registers, would be half as much to move. But what Triton 3.6 makes of a product
with an operand in registers loads the next one while this one is still read: losses were off by 1e-3 on an H200.)
"""

from importlib.util import find_spec
from types import SimpleNamespace

if find_spec("triton"):
    import triton
    import triton.language as tl
else:  # so that this module can be read, listed and searched for examples anywhere
    triton, tl = SimpleNamespace(jit=lambda kernel: kernel), SimpleNamespace(constexpr=None)

__all__ = ["available", "backward", "forward"]


def available() -> bool:
    """Whether Triton is installed, in a version with tensor descriptors."""
    return bool(find_spec("triton") and find_spec("triton.tools.tensor_descriptor"))


@triton.jit
def forward(
    half,
    x,
    start,
    signs,
    gates,
    partial,
    width,
    networks,
    start_scale,
    inverse,
    N: tl.constexpr,
    Q: tl.constexpr,
    C: tl.constexpr,
    ROWS: tl.constexpr,
    BM: tl.constexpr,
    BN: tl.constexpr,
    BK: tl.constexpr,
    PERSISTENT: tl.constexpr,
):
    """Tiles of (BM neurons, BN points); those of all networks that share a part of `start` follow each other.

    Of C outputs; of several, in ROWS rows, a power of two of at least 64, which is what a product takes.
    """
    columns, blocks = N // BN, width // BM
    each = networks * columns
    for tile in tl.range(tl.program_id(0), blocks * each, tl.num_programs(0), flatten=PERSISTENT):
        own, net, column = tile // each, tile % each // columns, tile % columns
        block = net * blocks + own
        neuron, point = own * BM + tl.arange(0, BM), column * BN + tl.arange(0, BN)
        total = tl.zeros((BM, BN), tl.float32)
        for k in range(0, Q, BK):
            total = tl.dot(half.load([block * BM, k]), x.load([column * BN, k]).T, total)
        first = tl.load(start + neuron.to(tl.int64)[:, None] * N + point[None, :])
        total += first.to(tl.float32) * start_scale
        left, right = (total > 0).to(tl.float16).reshape(BM, 2, BN // 2).permute(0, 2, 1).split()
        gates.store([block * BM, column * BN], left)  # by halves, so that less memory is in use
        gates.store([block * BM, column * BN + BN // 2], right)
        if C == 1:
            sign = tl.load(signs + neuron).to(tl.float32) * inverse
            tl.store(partial + block.to(tl.int64) * N + point, tl.sum(tl.maximum(total, 0.0) * sign[:, None], 0))
        else:  # one more product, of signs and what is open, which float16 holds in two parts of 11 bits
            c = tl.arange(0, ROWS)
            sign = tl.load(signs + c[:, None] * width + neuron[None, :], mask=(c < C)[:, None], other=0.0)
            size = 64 * start_scale  # of the largest, about, since what is open may grow beyond its start
            opened = tl.maximum(total, 0.0) * (1 / size)
            high = opened.to(tl.float16)
            summed = tl.dot(sign, high)
            summed = tl.dot(sign, (opened - high.to(tl.float32)).to(tl.float16), summed) * (size * inverse)
            to = partial + (block.to(tl.int64) * C + c[:, None]) * N + point[None, :]
            tl.store(to, summed, mask=(c < C)[:, None])


@triton.jit
def backward(
    gates,
    pull,
    move,
    half,
    factors,
    width,
    networks,
    apart,
    decay,
    move_scale,
    N: tl.constexpr,
    Q: tl.constexpr,
    BM: tl.constexpr,
    BN: tl.constexpr,
    BK: tl.constexpr,
    PARTS: tl.constexpr,
    PERSISTENT: tl.constexpr,
):
    """Tiles of (BM neurons, BN directions); the rows of `pull` of a network begin `apart` after those of the last."""
    columns = Q // BN
    for tile in tl.range(tl.program_id(0), networks * (width // BM) * columns, tl.num_programs(0), flatten=PERSISTENT):
        block, column = tile // columns, tile % columns
        first = block * BM // width * apart
        total = tl.zeros((BM, BN), tl.float32)
        for k in range(0, N, BK):
            total = tl.dot(gates.load([block * BM, k]), pull.load([first + k, column * BN]), total)
        total = total * tl.load(factors + block * BM % width + tl.arange(0, BM))[:, None]
        _update(total, move, half, block * BM, column * BN, decay, move_scale, BM, BN, PARTS)


@triton.jit
def _update(pulled, move, half, row, q, decay, move_scale, BM: tl.constexpr, BN: tl.constexpr, PARTS: tl.constexpr):
    """By so many parts, one after the other, which the memory of a multiprocessor would not hold at once."""
    if PARTS == 1:
        moved = move.load([row, q]) * decay - pulled
        move.store([row, q], moved)
        half.store([row, q], (moved * move_scale).to(tl.float16))
    else:
        left, right = pulled.reshape(BM, 2, BN // 2).permute(0, 2, 1).split()
        _update(left, move, half, row, q, decay, move_scale, BM, BN // 2, PARTS // 2)
        _update(right, move, half, row, q + BN // 2, decay, move_scale, BM, BN // 2, PARTS // 2)
