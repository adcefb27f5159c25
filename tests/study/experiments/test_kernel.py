"""How fast random networks near the kernel: the expected error is that found."""

import numpy as np
import pytest

from ntkif.data import load
from ntkif.study.experiments.kernel import kernel_convergence, kernel_errors

DATA = load("mnist-sample").head(60, 30)


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


def test_kernel_errors_are_those_of_the_training_images():
    table = kernel_errors(DATA, [64], [0, 1])
    assert len(table) == 2 and (table["error"] / table["expected"]).between(0.5, 2).all()
