"""The official image archives: fetched with a checksum, resumed where a download broke, read from their own formats."""

import gzip
import os
import pickle
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ntkif.checks import require_extra

__all__ = ["CIFAR10", "MNIST", "Archive", "fetch", "read_cifar10", "read_idx", "read_mnist"]


@dataclass(frozen=True)
class Archive:
    """One file of an official data set: its name, where it is served (tried in order) and its SHA-256."""

    file: str
    mirrors: tuple[str, ...]
    sha256: str


_MNIST_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
MNIST = (
    Archive(
        "train-images-idx3-ubyte.gz",
        _MNIST_MIRRORS,
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    ),
    Archive(
        "train-labels-idx1-ubyte.gz",
        _MNIST_MIRRORS,
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    ),
    Archive(
        "t10k-images-idx3-ubyte.gz",
        _MNIST_MIRRORS,
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    ),
    Archive(
        "t10k-labels-idx1-ubyte.gz",
        _MNIST_MIRRORS,
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ),
)
CIFAR10 = Archive(
    "cifar-10-python.tar.gz",
    ("https://www.cs.toronto.edu/~kriz/",),
    "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
)


def fetch(archive: Archive, folder: Path) -> Path:
    """The archive in `folder`, downloaded if it is not there yet with the right checksum.

    The file appears under its name only when it is whole and its checksum is right. A broken download leaves a
    `.part` file, from which the next try goes on.

    Args:
        archive: what to fetch.
        folder: where to keep it; made if need be.

    Returns:
        path of the file.

    Raises:
        OSError: no mirror gave the file: unreachable, broken off, or with another checksum, of which nothing is kept.
            Says what was tried, why it failed and what to do.
    """
    require_extra("study", "pooch", "filelock", "requests")
    import pooch
    from filelock import FileLock
    from requests import RequestException
    from urllib3.exceptions import HTTPError

    advice = (
        f"Check the network and call again (a part that arrived is kept and the download goes on from there), "
        f"put the file into {folder} yourself, or set NTKIF_DATA to a folder that holds the prepared sets."
    )
    lock = folder / ".lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.touch()
    except OSError as failure:
        raise OSError(f"Cannot keep {archive.file} in {folder}: {failure}. {advice}") from failure
    downloader = _resume_from(folder / (archive.file + ".part"))
    failures = []
    with FileLock(lock):  # another process may be fetching the same file
        for mirror in archive.mirrors:
            try:
                url, known = mirror + archive.file, "sha256:" + archive.sha256
                return Path(pooch.retrieve(url, known, archive.file, folder, downloader=downloader))
            except (RequestException, HTTPError, ValueError) as failure:
                failures.append(f"{mirror}: {failure}")
    raise OSError(f"Could not download {archive.file}. Tried:\n  " + "\n  ".join(failures) + f"\n{advice}")


def read_mnist(files: list[Path]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Training images (N, 28, 28) and labels (N,), then those for testing, from the four files in `MNIST`'s order."""
    x_train, y_train, x_test, y_test = (read_idx(file) for file in files)
    return x_train, y_train, x_test, y_test


def read_idx(file: Path) -> np.ndarray:
    """The uint8 array in a gzipped IDX file: magic number 0, 0, 8, ndim; sizes as big-endian uint32; then the bytes.

    Raises:
        ValueError: not gzipped IDX of bytes, or cut short.
    """
    try:
        raw = gzip.decompress(Path(file).read_bytes())
    except (OSError, EOFError, zlib.error) as failure:
        raise ValueError(f"{file}: expected a whole gzip file, got a broken one ({failure}); {_AGAIN}") from failure
    if len(raw) < 4 or raw[:3] != b"\0\0\x08" or len(raw) < 4 + 4 * raw[3]:
        raise ValueError(f"{file}: expected an IDX file of bytes, but it begins with {raw[:4]!r}; {_AGAIN}")
    shape = tuple(np.frombuffer(raw, ">u4", count=raw[3], offset=4).tolist())
    values = np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3])
    if values.size != np.prod(shape):
        raise ValueError(f"{file}: expected {np.prod(shape)} bytes for shape {shape}, got {values.size}; {_AGAIN}")
    return values.reshape(shape)


def read_cifar10(file: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Training images (N, 32, 32, 3) and labels (N,), the five batches in order, then those for testing.

    The batches are pickles, so only a file whose checksum was verified may be read.

    Raises:
        ValueError: not a whole tar file, or a batch is missing.
    """
    try:
        with tarfile.open(file) as tar:
            train = [_cifar_batch(tar, f"data_batch_{i}") for i in range(1, 6)]
            test = _cifar_batch(tar, "test_batch")
    except Exception as failure:  # a damaged pickle can raise anything
        raise ValueError(f"{file}: expected the whole CIFAR-10 archive for Python ({failure}); {_AGAIN}") from failure
    images, labels = (np.concatenate(parts) for parts in zip(*train, strict=True))
    return images, labels, *test


_AGAIN = "delete it and call again to download it anew."


def _cifar_batch(tar: tarfile.TarFile, name: str) -> tuple[np.ndarray, np.ndarray]:
    batch = pickle.load(tar.extractfile(f"cifar-10-batches-py/{name}"), encoding="bytes")
    images = batch[b"data"].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return images, np.array(batch[b"labels"], dtype=np.uint8)


def _resume_from(part: Path) -> Callable:
    """A pooch downloader that adds to `part` what is still missing, and moves it into place when it is whole."""
    import requests
    from tqdm import tqdm

    def download(url: str, output_file: str, _pooch: object) -> None:
        have = part.stat().st_size if part.exists() else 0
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        with requests.get(url, headers=headers, stream=True, timeout=30) as response:
            # 416: the server has nothing beyond what is here, so the checksum decides about the part as it is.
            if response.status_code != 416:
                response.raise_for_status()
                have = have if response.status_code == 206 else 0
                length = response.headers.get("Content-Length", "")
                total = have + int(length) if length.isdigit() else None
                bar = tqdm(total=total, initial=have, unit="B", unit_scale=True, desc=part.stem)
                with part.open("ab" if have else "wb") as file, bar:
                    # The bytes as sent: some servers call a .gz file an encoding, and requests would unpack it.
                    for chunk in response.raw.stream(1 << 14, decode_content=False):
                        file.write(chunk)
                        bar.update(len(chunk))
        os.replace(part, output_file)

    return download
