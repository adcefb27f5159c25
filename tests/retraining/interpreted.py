"""Train by the kernels of `fused` under Triton's interpreter and compare: `interpreted.py SET START`."""

import sys
import warnings
from functools import partial

import torch

from ntkif.data import load
from ntkif.networks.two_layer import random_network
from ntkif.retraining import fused
from ntkif.retraining.fused import Fused, Tile
from ntkif.retraining.stacked import Stack


def main():
    name, kind = sys.argv[1:]
    dataset, symmetric = load(name).head(70, 40), kind == "symmetric"
    networks = {
        dtype: random_network(
            784,
            width=150,
            init_scale=0.3,
            seed=0,
            symmetric=symmetric,
            outputs=dataset.y_train.shape[1],
            dtype=dtype,
        )
        for dtype in (torch.float32, torch.float64)
    }

    def trained(dtype, **how):
        x, y, test = (a.to(dtype) for a in (dataset.x_train, dataset.y_train, dataset.x_test))
        stack = Stack(networks[dtype], x, y, 1.0, [None, 3, 41], learning_rate=0.02, **how)
        residual = stack.train(12)
        now = stack.predict(test)
        stack.step(residual)
        losses = torch.stack(stack.watch.losses)
        return now.double(), stack.predict(test).double(), losses

    tiles = Tile(128, 64, 64, 4, 3), Tile(64, 64, 32, 4, 3)
    truth = trained(torch.float64)
    plain, by_kernels = (
        trained(torch.float32, half=True, kernels=kernels) for kernels in (None, partial(Fused, tiles=tiles))
    )
    moved = float((truth[1] - truth[0]).norm())
    change = truth[0][1:] - truth[0][:1]
    for found, what in ((plain, "plain"), (by_kernels, "fused")):
        off = {
            "predictions": float((found[0] - truth[0]).norm() / truth[0].norm()),
            "a removal": float(((found[0][1:] - found[0][:1]) - change).norm() / change.norm()),
            "one more step": float(((found[1] - found[0]) - (truth[1] - truth[0])).norm()) / moved,
            "losses": float((found[2] / truth[2] - 1).abs().max()),
        }
        print(what, {name: f"{value:.1e}" for name, value in off.items()})
        assert off["predictions"] < 1e-3 and off["a removal"] < 0.04 and off["one more step"] < 0.04, off
        assert off["losses"] < 1e-4, off
    assert not torch.equal(plain[0], by_kernels[0])  # they are two ways to do it
    choose(networks[torch.float32], dataset)


def choose(network, dataset):
    """Tiles by trying: those that differ by more than rounding are left out, and nothing is left of the trials."""
    torch.cuda.synchronize = lambda: None
    small = [Tile(128, 64, 64, 4, 3), Tile(64, 64, 32, 4, 3)]
    forward, wrong = Fused._forward, Tile(128, 128, 64, 4, 3)

    def of_tile(self, tile):
        return forward(self, tile) * (1.01 if tile == wrong else 1.0)

    fused._TILES, Fused._forward = [*small, wrong], of_tile
    x, y = dataset.x_train.float(), dataset.y_train.float()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        state = Fused(network, x, y, 1.0, 0.02, torch.eye(x.shape[1])[:, 350:414], 3, True)
    assert [str(wrong) in str(each.message) for each in said] == [True], [str(each.message) for each in said]
    assert state.tiles[0] in small and not any(each.any() for each in (state.move, state.half))
    assert state.c > 1 or not state.pulled.any()


if __name__ == "__main__":
    main()
