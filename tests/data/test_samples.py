"""The sets of witnesses have what is rare, and each set is of a kind."""

import numpy as np
import torch

from ntkif.data.samples import KINDS, kind_of, witness_set


def test_the_sets_have_what_is_rare():
    for kind in KINDS:
        data = witness_set(kind)
        assert len(data.x_train) % 512 == 1 and len(data.x_test) % 256 == 1
        cosine = data.x_train @ data.x_train.T - 2 * torch.eye(len(data.x_train), dtype=torch.float64)
        near = (cosine > 1 - 1e-6).nonzero().tolist()
        assert near == [[0, 1], [1, 0], [511, 512], [512, 511]] and not (data.x_train[0] == data.x_train[1]).all()
        assert (data.x_test[1] == data.x_train[2]).all() and (data.y_test[1] == data.y_train[2]).all()
        assert len(data.classes) == {"two": 2, "ten": 10}[kind] and len(np.unique(data.labels_test)) == len(
            data.classes
        )


def test_the_kind_of_a_set():
    names = ["mnist", "cifar", "mini-mnist", "mini-cifar", "mnist-full", "mnist-sample", "mini-mnist-sample"]
    assert [kind_of(name) for name in names] == ["two", "two", "ten", "ten", "ten", "two", "ten"]
