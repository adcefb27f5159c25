"""The paper's data file: complete, and its numbers as printed."""

import re

import pandas as pd
import pytest

from ntkif.provenance import ROOT
from ntkif.study import paper


def test_the_data_file_is_complete():
    """Every numbered item of the paper has a row, every claim of the paper is used, every name is known."""
    names = " ".join(item["name"] for item in paper.ITEMS)
    counts = {"Equation": 20, "Figure": 12, "Table": 1, "Theorem": 4, "Proposition": 2, "Lemma": 4, "Definition": 1}
    for kind, count in counts.items():
        assert re.findall(rf"{kind} (\d+)", names) and all(
            re.search(rf"{kind} {number}\b", names) for number in range(1, count + 1)
        )
    used = {key for item in paper.ITEMS for key in [*item.get("claims", []), *item.get("by", [])]}
    assert used == set(paper.CLAIMS)
    for item in paper.ITEMS:
        assert ("claims" in item) != ("by" in item) and item["about"]
    for claim in paper.CLAIMS.values():
        assert claim["claim"] and claim["item"] and claim["where"]


def test_numbers_of_the_paper_are_as_printed():
    """The copy of the paper lies beside the checkout in development, not where the book is only read."""
    text = ROOT.parent / "shared" / "paper.md"
    if not text.exists():
        pytest.skip("no copy of the paper beside the checkout")
    text = text.read_text()
    for row in paper.TABLE_1:
        assert f"{row['pearson']:.4f}" in text and f"{row['spearman']:.4f}" in text
    table = text[text.index("MNIST\t") : text.index("Table 1:")]
    printed = [[float(x) for x in line.split("\t")[1:]] for line in re.findall(r"(?:Pearson|Spearman)'s.*", table)]
    ours = [
        [row[score] for row in paper.TABLE_1 if row["dataset"] == name][::-1]
        for name in ("mnist", "cifar")
        for score in ("pearson", "spearman")
    ]
    assert printed == ours


def test_table_1_of_the_paper():
    table = pd.DataFrame(paper.TABLE_1)
    assert len(table) == 8 and list(table["width"].unique()) == [10000, 20000, 40000, 80000]
    best = table[table["width"] == 80000].set_index("dataset")
    assert best.loc["mnist"].tolist()[1:] == [0.9955, 0.9728] and best.loc["cifar"].tolist()[1:] == [0.996, 0.9606]
    for _, rows in table.groupby("dataset"):
        assert rows["pearson"].is_monotonic_increasing and rows["spearman"].is_monotonic_increasing
