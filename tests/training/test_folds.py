"""Folds with like points apart."""

import torch

from ntkif.training.folds import folds_apart


def test_like_points_come_into_different_folds():
    x = torch.cat([torch.linspace(0, 1, 12), torch.linspace(5, 6, 12)])[:, None].double()
    y = (torch.arange(24) % 2)[:, None].double()
    fold = folds_apart(x, y, 3)
    assert fold.bincount().tolist() == [8, 8, 8]
    for label in (0, 1):
        of_label = fold[(y[:, 0] == label).nonzero()[:, 0]]
        assert all(len(set(of_label[i : i + 3].tolist())) == 3 for i in range(0, 12, 3))
    wide = torch.randn(24, 50, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    tall = (
        wide @ torch.linalg.qr(torch.randn(50, 50, dtype=torch.float64, generator=torch.Generator().manual_seed(1)))[0]
    )
    assert folds_apart(wide, y, 3).bincount().tolist() == [8, 8, 8] == folds_apart(tall, y, 3).bincount().tolist()
