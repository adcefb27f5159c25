"""Compile the kernels of `fused` for a card of compute capability 9.0, which an H100 is, without one."""

import os
import tempfile

import torch

os.environ["TRITON_CACHE_DIR"] = tempfile.mkdtemp()

from triton.backends.compiler import GPUTarget
from triton.runtime import driver
from triton.tools.tensor_descriptor import TensorDescriptor

from ntkif.retraining.fused import _PARTS, _TILES
from ntkif.retraining.fused_kernels import backward, forward

MEMORY = 232_448  # bytes that the tiles of a multiprocessor may share there
WIDTH, NETWORKS, N = 80128, 6, 5120


class NoCard:
    """What compiling asks of a driver."""

    def get_current_target(self):
        return GPUTarget("cuda", 90, 32)

    def get_current_device(self):
        return 0

    def get_current_stream(self, device):
        return 0


def matrix(rows, columns, dtype=torch.float16):
    return torch.empty(rows, columns, dtype=dtype, device="meta")


def blocks(a, rows, columns):
    return TensorDescriptor.from_tensor(a, [rows, columns])


def memory_of(kernel, *operands, tile, **sizes):
    how = {"BM": tile.rows, "BN": tile.columns, "BK": tile.inner, "PERSISTENT": tile.programs > 0}
    how |= {"num_warps": tile.warps, "num_stages": tile.stages, "grid": (1,)}
    return kernel.warmup(*operands, **sizes, **how).metadata.shared


def memory_ahead(tile, q, c):
    half, x, gates = matrix(NETWORKS * WIDTH, q), matrix(N, q), matrix(NETWORKS * WIDTH, N)
    operands = blocks(half, tile.rows, tile.inner), blocks(x, tile.columns, tile.inner), matrix(WIDTH, N)
    operands += matrix(c, WIDTH), blocks(gates, tile.rows, tile.columns // 2)
    operands += matrix(NETWORKS * WIDTH // tile.rows * c, N, torch.float32), WIDTH, NETWORKS, 12.3, 0.001
    return memory_of(forward, *operands, tile=tile, N=N, Q=q, C=c, ROWS=64)


def memory_back(tile, q, c):
    half, move = matrix(NETWORKS * WIDTH, q), matrix(NETWORKS * WIDTH, q, torch.float32)
    gates, pull = matrix(NETWORKS * WIDTH, N), matrix(NETWORKS * N if c == 1 else N, q)
    operands = blocks(gates, tile.rows, tile.inner), blocks(pull, tile.inner, tile.columns)
    operands += tuple(blocks(each, tile.rows, tile.columns // _PARTS) for each in (move, half))
    operands += torch.empty(WIDTH, device="meta"), WIDTH, NETWORKS, N if c == 1 else 0, 0.99, 64.0
    return memory_of(backward, *operands, tile=tile, N=N, Q=q, PARTS=_PARTS)


def main():
    driver.set_active(NoCard())
    for q, c in ((512, 1), (640, 10)):
        for memory, (rows, inner) in ((memory_ahead, (N, q)), (memory_back, (q, N))):
            tiles = [tile for tile in _TILES if tile.fits(WIDTH, rows, inner)]
            needed = [memory(tile, q, c) for tile in tiles]
            print(memory.__name__, q, c, needed)
            assert needed[0] < MEMORY / 2, "the tile that fits every stack leaves room for another"
            assert sum(each <= MEMORY for each in needed) >= 4, needed


if __name__ == "__main__":
    main()
