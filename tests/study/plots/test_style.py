"""The figures that all pages share draw what their table holds."""

import pytest
import torch
from plotted import labels

from ntkif.study.plots import style

pytestmark = pytest.mark.usefixtures("book_style")


def test_density_of_pairs():
    """Two pairs at (1, 1) and one at (10, 0.1), on logarithmic axes."""
    ax = style.density_of_pairs(torch.tensor([1.0, 1.0, 10.0]), torch.tensor([1.0, 1.0, 0.1]), "x", "y")
    counts = ax.collections[0].get_array()
    assert sorted(counts[counts > 0]) == [1, 2]
    assert labels(ax) == ("log$_{10}$ x", "log$_{10}$ y")
