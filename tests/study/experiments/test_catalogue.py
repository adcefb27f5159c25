"""All experiments: gathered from their modules, on one factorisation of each image set."""

import re

import pytest

from ntkif import ntk
from ntkif.data import load
from ntkif.provenance import ROOT
from ntkif.regression import factorized as module
from ntkif.regression.factorized import factorized
from ntkif.study.experiments.catalogue import EXPERIMENTS, find, settings_of
from ntkif.study.experiments.dynamics import images_along, turnover
from ntkif.study.experiments.ihvp import errors_by_ridge
from ntkif.study.experiments.label_noise import noise_along


def test_experiments_share_it(monkeypatch):
    calls = []

    def counted(name):
        original = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *args: calls.append(name) or original(*args))

    for name in ("ridge_fit", "kernel_flow"):
        counted(name)
    dataset = load("mnist-sample").head(60, 20)
    monkeypatch.setattr(factorized(dataset), "_kernel", lambda x, z: calls.append("kernel") or ntk(x, z))
    errors_by_ridge(dataset, [0.5, 2.0])
    errors_by_ridge(dataset, [2.0, 0.5])
    turnover(dataset, 0.0, [0.1], top=3)
    for kind in ("influential", "harmful"):
        images_along(dataset, 0.0, [0.1], [0, 1], [kind])
    noise_along(dataset, 0.4, 0, 0.0, [0.1], [1])
    assert sorted(calls) == ["kernel", "kernel", "kernel_flow", "ridge_fit", "ridge_fit"]


def test_every_experiment_that_a_module_registers_is_gathered():
    folder = ROOT / "ntkif" / "study" / "experiments"
    text = "".join(file.read_text(encoding="utf-8") for file in folder.glob("*.py"))
    written = re.findall(r'^@experiment\(\s*"([^"]+)"', text, re.MULTILINE)
    assert list(EXPERIMENTS) == sorted(written) and len(written) > 20


def test_unknown_experiments_and_sets():
    assert find("figure-2").name == "figure-2"
    with pytest.raises(ValueError, match=r"unknown experiment 'figure-99': expected one of .*deeper-networks"):
        find("figure-99")
    function, settings = settings_of("figure-4-images", "mnist")
    assert function is EXPERIMENTS["figure-4-images"].function and set(settings) == {"ridge", "count"}
    with pytest.raises(ValueError, match="figure-4-images has no settings for 'mnist-sample': expected one of mnist"):
        settings_of("figure-4-images", "mnist-sample")
