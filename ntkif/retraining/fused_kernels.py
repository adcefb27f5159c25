"""The two products of an epoch on CUDA, in Triton; `fused` holds their operands and calls them.

    forward    response = W(0) x + move x, gates and the sum over neurons in its epilogue
    backward   move <- (1 - η λ) move - η/√m signs (gates (residual x)), the update in its epilogue

Operands are float16, read through tensor descriptors, sums float32. A gate is a byte, 0 or the upper half of the
float16 one, so that it becomes an operand by being widened. The four gates of a word are those that one thread has:
of sixteen points in a row those at 2t, 2t + 1, 2t + 8, 2t + 9; the backward product takes its points in this order,
see `stored_order`.
"""

from importlib.util import find_spec
from types import SimpleNamespace

import torch

if find_spec("triton"):
    import triton
    import triton.language as tl
else:  # so that this module can be read, listed and searched for examples anywhere
    triton, tl = SimpleNamespace(jit=lambda kernel: kernel), SimpleNamespace(constexpr=None)

__all__ = ["OUTPUTS", "available", "backward", "forward", "stored_order"]

#: The least inner dimension of a product on the tensor cores: of several outputs, at most so many.
OUTPUTS = 16


def available() -> bool:
    """Whether Triton is installed, in a version with tensor descriptors."""
    return bool(find_spec("triton") and find_spec("triton.tools.tensor_descriptor"))


def stored_order(n: int) -> torch.Tensor:
    """(n,) the points in the order in which their gates are stored, for a multiple of 16."""
    return torch.arange(n).view(-1, 2, 4, 2).transpose(1, 2).reshape(-1)


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
    BM: tl.constexpr,
    BN: tl.constexpr,
    BK: tl.constexpr,
    PERSISTENT: tl.constexpr,
):
    """Tiles of (BM neurons, BN points); those of all networks that share a part of `start` follow each other."""
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
        for c in tl.static_range(C):
            sign = tl.load(signs + c * width + neuron).to(tl.float32) * inverse
            summed = tl.sum(tl.maximum(total, 0.0) * sign[:, None], 0)
            tl.store(partial + (block.to(tl.int64) * C + c) * N + point, summed)
        even, odd = total.reshape(BM, BN // 16, 2, 4, 2).permute(0, 1, 3, 2, 4).split()
        a, c = even.split()
        b, d = odd.split()
        word = tl.where(a > 0, 0x3C, 0) | tl.where(b > 0, 0x3C00, 0)
        word = word | tl.where(c > 0, 0x3C0000, 0) | tl.where(d > 0, 0x3C000000, 0)
        gates.store([block * BM, column * (BN // 4)], word.reshape(BM, BN // 4))


@triton.jit
def backward(
    gates,
    pull,
    weight,
    move,
    half,
    signs,
    width,
    networks,
    decay,
    step,
    move_scale,
    N: tl.constexpr,
    Q: tl.constexpr,
    C: tl.constexpr,
    BM: tl.constexpr,
    BN: tl.constexpr,
    BK: tl.constexpr,
    PERSISTENT: tl.constexpr,
):
    """Tiles of (BM neurons, BN directions)."""
    columns = Q // BN
    for tile in tl.range(tl.program_id(0), networks * (width // BM) * columns, tl.num_programs(0), flatten=PERSISTENT):
        block, column = tile // columns, tile % columns
        net = block * BM // width
        own = block * BM % width + tl.arange(0, BM)
        total = tl.zeros((BM, BN), tl.float32)
        if C == 1:  # gates @ (residual x), times the sign of the neuron
            for k in range(0, N, BK):
                is_open = gates.load([block * BM, k]).to(tl.float8e5, bitcast=True).to(tl.float16)
                total = tl.dot(is_open, pull.load([net * N + k, column * BN]), total)
            total = total * (tl.load(signs + own).to(tl.float32) * step)[:, None]
        else:  # (gates * (signs @ residual)) @ x
            output, inner = tl.arange(0, 16), tl.arange(0, BK)
            sign = tl.load(signs + output[None, :] * width + own[:, None])
            for k in range(0, N, BK):
                along = tl.dot(sign, tl.load(weight + (net * 16 + output)[:, None] * N + k + inner[None, :]))
                is_open = gates.load([block * BM, k]).to(tl.float8e5, bitcast=True).to(tl.float16)
                total = tl.dot(along.to(tl.float16) * is_open, pull.load([k, column * BN]), total)
            total *= step
        part: tl.constexpr = BN // 4  # the update by quarters, which all of the memory would not hold at once
        row, q = block * BM, column * BN
        left, right = total.reshape(BM, 2, BN // 2).permute(0, 2, 1).split()
        first, second = left.reshape(BM, 2, part).permute(0, 2, 1).split()
        third, fourth = right.reshape(BM, 2, part).permute(0, 2, 1).split()
        _update(first, move, half, row, q, decay, move_scale)
        _update(second, move, half, row, q + part, decay, move_scale)
        _update(third, move, half, row, q + 2 * part, decay, move_scale)
        _update(fourth, move, half, row, q + 3 * part, decay, move_scale)


@triton.jit
def _update(pulled, move, half, row, q, decay, move_scale):
    moved = move.load([row, q]) * decay - pulled
    move.store([row, q], moved)
    half.store([row, q], (moved * move_scale).to(tl.float16))
