"""The official archives in tiny copies, made here and served on loopback."""

import gzip
import hashlib
import io
import os
import pickle
import tarfile
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

from ntkif.data import archives


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
