"""The most and least influential images, and how alike they are."""

import numpy as np
import pandas as pd
import pytest

from ntkif import loo_influence, ntk, ridge_fit
from ntkif.data import load
from ntkif.study.experiments.images import extreme_images, homogeneity

DATA = load("mnist-sample").head(60, 30)


def test_extreme_images():
    table = extreme_images(DATA, 1.0, count=4)
    fit = ridge_fit(ntk(DATA.x_train), DATA.y_train, 1.0)
    influence = loo_influence(fit, ntk(DATA.x_test, DATA.x_train), DATA.y_test).numpy()
    mean, size = influence.mean(0), np.abs(influence).mean(0)
    rows = {kind: group["row"].tolist() for kind, group in table.groupby("kind")}
    assert rows["helpful"] == mean.argsort()[::-1][:4].tolist()
    assert rows["harmful"] == mean.argsort()[:4].tolist()
    assert rows["uninfluential"] == size.argsort()[:4].tolist()
    assert rows["influential"] == size.argsort()[::-1][:4].tolist()
    first = table.iloc[0]
    assert first["influence"] == pytest.approx(mean.max()) and first["rank"] == 1
    assert first["label"] == DATA.classes[DATA.labels_train[first["row"]]]


def test_homogeneity_finds_copies_alike_and_random_images_ordinary():
    sevens = np.flatnonzero(DATA.labels_train == 0)
    cosine = DATA.x_train @ DATA.x_train.T
    alike = cosine[sevens[0]][sevens].topk(5).indices.numpy()
    groups = {"alike": sevens[alike], "any": np.arange(20)}
    table = homogeneity(DATA, groups, draws=200, seed=0).set_index("group")
    assert table.loc["alike", "rank"] == 1 and table.loc["alike", "similarity"] > table.loc["alike", "high"]
    assert abs(table.loc["any", "z"]) < 3
    members = sevens[alike]
    pairs = [float(cosine[i, j]) for i in members for j in members if i != j]
    assert table.loc["alike", "similarity"] == pytest.approx(np.mean(pairs))
    pd.testing.assert_frame_equal(homogeneity(DATA, groups, draws=200, seed=0).set_index("group"), table)


def test_homogeneity_compares_with_the_same_classes():
    """All sevens: every random group of that many sevens is the same set, whatever the nines are like."""
    sevens = np.flatnonzero(DATA.labels_train == 0)
    row = homogeneity(DATA, {"sevens": sevens[:-1]}, draws=50, seed=0).iloc[0]
    assert row["baseline"] == pytest.approx(row["similarity"], rel=0.02)
