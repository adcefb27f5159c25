"""Downloads that break, and archives that are damaged, of tiny copies served on loopback."""

import gzip
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from official import kept, random_images, serve_cifar

from ntkif.data import archives, sets


def test_a_broken_download_goes_on_where_it_stopped(server, tiny_mnist, cache):
    name = archives.MNIST[0].file
    server.break_after = 20_000
    with pytest.raises(OSError, match=r"Could not download train-images(?s:.)*Check the network and call again"):
        sets.load("mnist")
    assert kept(cache) == [name + ".part"]
    server.break_after = None
    assert len(sets.load("mnist").x_train) == 4
    assert (name, "bytes=20000-") in server.requests
    assert not list(cache.glob("*.part")) and not list(cache.glob("tmp*"))


def test_a_server_without_ranges_sends_it_all_again(server, tiny_mnist):
    server.break_after, server.ranges = 20_000, False
    with pytest.raises(OSError):
        sets.load("mnist")
    server.break_after = None
    assert len(sets.load("mnist").x_train) == 4


def test_a_download_killed_after_its_last_byte(server, tiny_mnist, cache):
    name = archives.MNIST[0].file
    cache.mkdir(parents=True)
    (cache / (name + ".part")).write_bytes(server.files[name])
    assert len(sets.load("mnist").x_train) == 4


def test_a_missing_network(server, tiny_mnist, monkeypatch, cache):
    monkeypatch.setattr(
        archives, "MNIST", tuple(replace(archive, mirrors=("http://127.0.0.1:9/",)) for archive in archives.MNIST)
    )
    with pytest.raises(OSError, match=r"127.0.0.1:9.*(?s:.)*Check the network .* or set NTKIF_DATA"):
        sets.load("mnist")
    assert kept(cache) == []


def test_the_next_mirror_serves_where_the_first_does_not(server, tiny_mnist, monkeypatch):
    mirrors = ("http://127.0.0.1:9/", server.url)
    monkeypatch.setattr(archives, "MNIST", tuple(replace(archive, mirrors=mirrors) for archive in archives.MNIST))
    assert len(sets.load("mnist").x_train) == 4


def test_a_mirror_that_serves_something_else_is_passed_over(server, tiny_mnist, monkeypatch):
    """As the login page of a hotel's network does."""
    server.files |= {f"portal/{archive.file}": b"<html>Please log in</html>" for archive in archives.MNIST}
    mirrors = (server.url + "portal/", server.url)
    monkeypatch.setattr(archives, "MNIST", tuple(replace(archive, mirrors=mirrors) for archive in archives.MNIST))
    assert len(sets.load("mnist").x_train) == 4


@pytest.mark.parametrize(("length", "encoding"), [(False, None), (True, "x-gzip"), (True, "gzip")])
def test_headers_that_servers_send_for_gz_files(server, tiny_mnist, length, encoding):
    server.length, server.encoding = length, encoding
    assert len(sets.load("mnist").x_train) == 4


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
        sets.load("mnist")


@pytest.mark.parametrize("wrong", ["changed", "longer"])
def test_a_wrong_checksum(server, tiny_mnist, cache, wrong):
    name = archives.MNIST[0].file
    right = server.files[name]
    server.files[name] = right[:-1] + b"?" if wrong == "changed" else right + b"more"
    with pytest.raises(OSError, match=r"Could not download train-images(?s:.)*hash(?s:.)*Check the network"):
        sets.load("mnist")
    assert kept(cache) == []
    server.files[name] = right
    assert len(sets.load("mnist").x_train) == 4


def test_a_damaged_archive_in_the_cache_is_fetched_anew(server, tiny_mnist, cache):
    sets.load("mnist")
    (cache / "mnist.npz").unlink()
    archive = cache / archives.MNIST[0].file
    archive.write_bytes(archive.read_bytes()[:100])
    assert len(sets.load("mnist").x_train) == 4


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
