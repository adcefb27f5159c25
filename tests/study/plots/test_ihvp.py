"""Figures about IHVP draw what their table holds."""

import numpy as np
import pandas as pd
import pytest
import torch
from plotted import labels, lines, made

from ntkif.study.plots import ihvp
from ntkif.study.plots.ihvp import ratio_by_residual, ratio_by_ridge

pytestmark = pytest.mark.usefixtures("book_style")
RATES = {
    "IHVP: ratio of sums": "ratio_of_sums",
    "IHVP: median of ratios": "median_of_ratios",
    "rescaled IHVP: ratio of sums": "rescaled",
    "ceiling of the leverage, $1/(1+2λ)$": "ceiling",
    "Theorem 3's floor, $λ_{min}/(λ_{min}+λ)$": "floor",
}
LEVERAGES = {
    "mean leverage": "leverage",
    "$λ_{max}/(λ_{max}+λ)$": "paper_ceiling",
    "$λ_{min}/(λ_{min}+λ)$": "floor",
    "$1/(1+2λ)$": "ceiling",
}


def test_rates_and_leverages_over_ridges():
    one, other = (
        made(
            *RATES.values(),
            "leverage",
            "paper_ceiling",
            "least_leverage",
            "largest_leverage",
            draw=d,
            ridge=[0.5, 1, 4],
        )
        for d in (0, 1)
    )
    for plot, wanted, ylabel in (
        (ihvp.errors_over_ridges, RATES, "error rate"),
        (ihvp.leverage_over_ridges, LEVERAGES, "leverage"),
    ):
        figure = plot({"a": one, "b": other})
        assert [ax.get_title() for ax in figure.axes] == ["a", "b"]
        for ax, table in zip(figure.axes, (one, other), strict=True):
            drawn = lines(ax)
            assert set(drawn) == set(wanted) and labels(ax) == ("ridge λ", ylabel)
            for label, column in wanted.items():
                assert np.allclose(drawn[label], table[["ridge", column]]), label
        assert set(wanted) <= {text.get_text() for text in figure.legends[0].get_texts()}
    band = figure.axes[1].collections[0].get_paths()[0].vertices
    ends = table[["least_leverage", "largest_leverage"]].to_numpy().flatten()
    assert {*np.round(band[:, 1], 12)} >= {*ends.round(12)}


def test_ratio_by_ridge():
    rows = pd.DataFrame({"ridge": [1.0, 2.0], "above_tenth": [0.2, 0.1], "above_tenth_top": [0.4, 0.3], "dataset": "a"})
    axes = ratio_by_ridge(rows)
    assert [line.get_ydata().tolist() for line in axes.lines] == [[0.2, 0.1], [0.4, 0.3]]


def test_ratio_by_residual():
    ax = ratio_by_residual(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0]))
    assert ax.lines[0].get_xydata().tolist() == [[1, 3], [2, 4]]
