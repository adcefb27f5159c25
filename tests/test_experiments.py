import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import spearmanr

from ntkif import loo_influence, ntk, ridge_fit
from ntkif.data import load
from ntkif.metrics import misfit, power_law
from ntkif.study.experiments.ihvp import decomposition
from ntkif.study.experiments.images import extreme_images, homogeneity
from ntkif.study.experiments.kernel import kernel_convergence

DATA = load("mnist-sample").head(60, 30)
TEN = load("mini-mnist-sample").head(60, 30)


def test_kernel_convergence_expects_the_error_it_finds():
    table = kernel_convergence(DATA.x_train[:20], [50, 400], seeds=range(60))
    assert list(table.columns) == ["width", "seed", "error", "expected"] and len(table) == 120
    found = ((table["error"] / table["expected"]) ** 2).groupby(table["width"]).mean() ** 0.5
    assert np.allclose(found, 1, atol=0.1)
    assert table["expected"][0] / table["expected"][119] == pytest.approx(8**0.5)


def test_narrow_networks_are_not_parts_of_wide_ones():
    table = kernel_convergence(DATA.x_train[:20], [50, 51], seeds=range(30))
    narrow, wide = (rows["error"].to_numpy() for _, rows in table.groupby("width"))
    assert abs(np.corrcoef(narrow, wide)[0, 1]) < 0.6


def test_misfit():
    binary = misfit(torch.tensor([[0.5], [-0.1], [0.0]]), torch.tensor([[1.0], [1.0], [1.0]]))
    assert binary.tolist() == [False, True, True]
    ten = misfit(torch.tensor([[0.9, 0.2], [0.1, 0.3]]), torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
    assert ten.tolist() == [False, True]


@pytest.mark.parametrize("dataset", [DATA, TEN], ids=["binary", "ten-class"])
def test_decomposition_against_the_definitions(dataset):
    row = decomposition(dataset, [0.5], top=5).iloc[0]
    fit, k_test = ridge_fit(ntk(dataset.x_train), dataset.y_train, 0.5), ntk(dataset.x_test, dataset.x_train)
    exact = loo_influence(fit, k_test, dataset.y_test)
    own_errors = fit.loo_residual.square().sum(1)
    two = fit.coefficients(k_test) ** 2 * own_errors / 2
    one = exact - two
    assert row["median_ratio"] == pytest.approx(float((two / one.abs()).median()))
    assert row["above_tenth"] == pytest.approx(float((two > one.abs() / 10).double().mean()))
    assert row["above_one"] == pytest.approx(float((two > one.abs()).double().mean()))
    assert row["sign_flips"] == pytest.approx(float(((one < 0) & (exact > 0)).double().mean()))
    assert row["relative_error"] == pytest.approx(float(two.norm() / exact.norm()))
    top = [exact[t].abs().argsort(descending=True)[:5] for t in range(30)]
    among = torch.stack([(two > one.abs() / 10)[t, rows] for t, rows in enumerate(top)])
    assert row["above_tenth_top"] == pytest.approx(float(among.double().mean()))
    misses = (fit.predict(k_test) - dataset.y_test).norm(dim=1).numpy()
    quarter = misses <= np.quantile(misses, 0.25)
    assert row["top_best_quarter"] == pytest.approx(float(among[quarter].double().mean()))
    assert row["top_others"] == pytest.approx(float(among[~quarter].double().mean()))
    rho = [spearmanr(one[t], exact[t]).statistic for t in range(30)]
    assert row["rank_low"] == pytest.approx(np.quantile(rho, 0.05))


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


def test_power_law_has_its_uncertainty():
    random = np.random.RandomState(0)
    x = np.geomspace(1, 1e4, 40)
    exponent, uncertainty = power_law(x, 3 * x**-0.5 * np.exp(random.normal(0, 0.1, 40)))
    assert abs(exponent + 0.5) < 3 * uncertainty < 0.03
    with pytest.raises(ValueError, match="three pairs of positive numbers"):
        power_law([1, 2, 0], [1, 2, 3])
