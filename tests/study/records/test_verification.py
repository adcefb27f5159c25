"""What is verified, in what order, and how failures are told."""

from dataclasses import replace

import pytest
from retrained import COMMITTED

from ntkif.data import load
from ntkif.retraining import runs
from ntkif.study.experiments.catalogue import EXPERIMENTS
from ntkif.study.records import verification


def test_what_is_verified_is_chosen_by_the_commit():
    every = verification.everything()
    assert len(every) == len(set(every)) and ("full-mnist", "mnist-full") not in every
    assert {name for name, _ in every} >= {"figure-2", str(COMMITTED[0].relative_to(runs.FOLDER))}
    chosen = [verification.sample(3, seed=str(number)) for number in range(400)]
    assert all(len(set(each)) == 3 for each in chosen) and {pair for each in chosen for pair in each} == set(every)
    assert verification.sample(3, "a") == verification.sample(3, "a") and len(verification.sample(999)) == len(every)


def test_verifying_goes_on_after_a_failure_and_tells_of_it(monkeypatch):
    said = []

    def one(title, dataset):
        if title == "figure-2":
            raise ValueError("figure-2 is off")
        return "1 rows within 0"

    monkeypatch.setattr(verification, "_verify_one", one)
    with pytest.raises(ValueError, match="figure-2 is off"):
        verification.verify([("figure-2", "mnist-sample"), ("features", "mnist-sample")], load, said.append)
    assert said == [
        "figure-2 on mnist-sample: NOT reproduced",
        "features on mnist-sample: reproduced, 1 rows within 0",
    ]
    assert verification.verify([("features", "mnist-sample")], load, said.append) == "1 reproduced"


def test_runs_are_named_by_their_set():
    assert verification.named("runs", "mini-cifar") == [
        ("mini-cifar-1000/width-2500-scale-0.01-seed-0.npz", "mini-cifar")
    ]
    with pytest.raises(ValueError, match="runs: none on mnist-full in"):
        verification.named("runs", "mnist-full")
    with pytest.raises(ValueError, match="unknown experiment 'figure-99'"):
        verification.named("figure-99", "mnist")


def test_all_witnesses_are_made_and_named_after_an_upgrade(monkeypatch):
    known, said = EXPERIMENTS["figure-4-images"], []
    monkeypatch.setattr(verification, "EXPERIMENTS", {"figure-4-images": known})
    answer = verification.witnesses(report=said.append)
    assert answer.startswith("5 witnesses agree with those that the records name; here are {'torch':")
    assert said[:2] == ["figure-4-images, ten: agrees", "figure-4-images, two: agrees"] and len(said) == 5

    def other(*data, **settings):
        table = known.function(*data, **settings)
        return table.assign(size=1.0001 * table["size"])

    monkeypatch.setattr(verification, "EXPERIMENTS", {"figure-4-images": replace(known, function=other)})
    with pytest.raises(ValueError, match=r"\(ten\) differs: size: differs by 1\.0e-04 [^$]*\n[^$]*\(two\) differs"):
        verification.witnesses(report=said.append)
    assert said[5:7] == ["figure-4-images, ten: differs", "figure-4-images, two: differs"] and len(said) == 10
