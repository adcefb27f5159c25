"""The choice of tiles, and what is said where the kernels cannot be had."""

import pytest
import torch

from ntkif.retraining import fused
from ntkif.retraining.fused import _TILES, _quickest


def test_without_triton_it_is_named(monkeypatch):
    monkeypatch.setattr(fused, "available", lambda: False)
    with pytest.raises(ModuleNotFoundError, match="pip install triton"):
        fused.Fused(None, None, None, 1.0, 0.1, None, 1, True)


def test_the_fastest_tile_is_found_and_one_that_cannot_be_is_left_out(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr("ntkif.retraining.fused.time.perf_counter", lambda: now[0])

    def call(tile):
        if tile is _TILES[0]:
            raise RuntimeError("out of shared memory")
        now[0] += {_TILES[2]: 1.0, _TILES[3]: 0.1}.get(tile, 2.0)
        return torch.full((3,), 2.0 if tile is _TILES[3] else 1.0)

    with pytest.warns(UserWarning, match=r"gives other numbers than Tile\(rows=128, columns=128.* is left out"):
        assert _quickest(_TILES[:4], call) is _TILES[2]
    with pytest.raises(RuntimeError, match="out of shared memory"):
        _quickest(_TILES[:1], call)
