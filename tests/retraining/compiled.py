"""Compile the kernels as `fused` calls them, for a card of compute capability 9.0, which an H100 is, without one."""

import os
import tempfile

import torch

os.environ["TRITON_CACHE_DIR"] = tempfile.mkdtemp()

from triton.backends.compiler import GPUTarget
from triton.runtime import driver

from ntkif.retraining import fused

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


class Compiled:
    """A kernel that is compiled where it would be called; notes the bytes that each tile shares."""

    def __init__(self, kernel):
        self.kernel, self.shared = kernel, []

    def __getitem__(self, grid):
        def call(*operands, **sizes):
            self.shared.append(self.kernel.warmup(*operands, grid=grid, **sizes).metadata.shared)

        return call


def state_of(q, c):
    """Networks of the paper's largest width without numbers, which `Fused` has no use for to call its kernels."""
    state, rows = object.__new__(fused.Fused), NETWORKS * WIDTH
    state.width, state.networks, state.N, state.Q, state.c, state.start_scale = WIDTH, NETWORKS, N, q, c, 0.01
    shapes = {"half": (rows, q), "gates": (rows, N), "x": (N, q), "start": (WIDTH, N), "signs": (c, WIDTH)}
    shapes["pulled"] = (NETWORKS * N if c == 1 else N, q)
    for name, shape in shapes.items():
        setattr(state, name, torch.empty(shape, dtype=torch.float16, device="meta"))
    state.move, state.factors = torch.empty(rows, q, device="meta"), torch.empty(WIDTH, device="meta")
    return state


def main():
    driver.set_active(NoCard())
    fused.forward, fused.backward = Compiled(fused.forward), Compiled(fused.backward)
    for q, c in ((512, 1), (640, 10)):
        state = state_of(q, c)
        for kernel, call, inner in (
            (fused.forward, state._forward, (WIDTH, N, q)),
            (fused.backward, lambda tile, of=state: of._backward(tile, of.factors, 0.99), (WIDTH, q, N)),
        ):
            kernel.shared.clear()
            for tile in fused._TILES:
                if tile.fits(*inner):
                    call(tile)
            print(q, c, kernel.shared)
            assert kernel.shared[0] < MEMORY / 2, "the tile that fits every stack leaves room for another"
            assert sum(each <= MEMORY for each in kernel.shared) >= 4, kernel.shared


if __name__ == "__main__":
    main()
