"""A server of the official archives in tiny copies, and the folder where they are kept."""

from dataclasses import replace

import pytest
from official import Server, random_images, serve_mnist

from ntkif.data import sets
from ntkif.data.dataset import pixel_digest


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


@pytest.fixture
def tiny_mnist(server, monkeypatch):
    """40 training and 20 test images, and a set cut from them: sevens and nines, 4 + 2."""
    arrays = (*random_images(40, (28, 28), 0), *random_images(20, (28, 28), 1))
    serve_mnist(server, monkeypatch, arrays)
    recipe = replace(sets._RECIPES["mnist"], n_train=4, n_test=2)
    cut = sets._cut("mnist", arrays, recipe)
    monkeypatch.setitem(sets._RECIPES, "mnist", replace(recipe, digest=pixel_digest(cut)))
    return arrays
