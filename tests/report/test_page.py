"""The page: whole, valid, self-contained, readable by those who do not see it, and true to what was found."""

import re
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from report_source import FLIPPED, write_images, write_table

from ntkif.report.encoding import points_of, target_of, task_of
from ntkif.report.findings import findings
from ntkif.report.fitting import fitted
from ntkif.report.markup import text
from ntkif.report.page import page
from ntkif.report.sources import read_source

VOID = {"meta", "img"}


class Read(HTMLParser):
    """Elements in order, with attributes; fails where one is not closed or an id stands twice."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.open, self.elements, self.texts = [], [], []
        self.feed(html)
        self.close()
        assert self.open == []
        ids = [attributes["id"] for _, attributes in self.elements if "id" in attributes]
        assert len(ids) == len(set(ids))

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module", params=["kind", "price", None])
def made(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("source")
    path = write_table(folder) if request.param else write_images(folder)
    source = read_source(path, request.param)
    task = task_of(source.y)
    y, (x, notes) = target_of(source.y, task, source.target), points_of(source)
    model, chosen = fitted(x, y, task, images=source.images is not None)
    found = findings(model, x, y, count=5)
    return source, found, page(source, found, [*notes, *chosen], "made by <hand>")


def test_it_stands_alone(made):
    html = made[2]
    assert not re.search(r"https?://|<script|<link|@import|\bsrc=\"(?!data:)|\bon\w+=", html)
    links = [each["href"] for each in Read(html).all("a")]
    assert len(links) == 6 and all(f'id="{link[1:]}"' in html and link[0] == "#" for link in links)


def test_it_can_be_read_without_eyes(made):
    source, _, html = made
    read = Read(html)
    assert html.startswith("<!DOCTYPE html>") and read.all("html") == [{"lang": "en"}]
    assert f"<title>Influence report: {source.title}</title>" in html and len(read.all("h1")) == 1
    assert all(each["alt"] for each in read.all("img"))
    assert bool(read.all("img")) == (source.images is not None)
    assert all(each["aria-label"] and each["role"] == "img" for each in read.all("svg"))
    assert all(each["scope"] in ("col", "row") for each in read.all("th"))
    assert len(read.all("table")) == len(read.all("caption")) >= 7
    named = [int(tag[1]) for tag, _ in read.elements if re.fullmatch("h[1-6]", tag)]
    assert all(later - earlier <= 1 for earlier, later in pairwise(named))


def test_text_of_the_user_stays_text(made):
    source, _, html = made
    assert "made by &lt;hand&gt;" in html and "<hand>" not in html and "<c>" not in html
    if source.columns is not None:
        assert "&lt;c&gt;" in html


def test_it_tells_what_was_found(made):
    source, found, html = made
    words = " ".join("".join(Read(html).texts).split())
    score = f"{found.score:.1%}" if found.task == "classification" else f"{found.score:.3f}"
    assert score in words and text(float(found.ridge)) in words
    column = "loo_margin" if found.task == "classification" else "loo_residual"
    for row in found.suspicious:
        name = source.names[row] if source.images is not None else f"row {source.names[row]}"
        about = found.rows.iloc[row]
        assert f"{int(about['rank'])}. {name}" in words and text(float(about[column])) in words
    for each in found.contradictions.itertuples():
        assert f"({text(each.influence)})" in words
    for each in found.removal.itertuples():
        assert f"{text(each.loss_before)} → {text(each.loss_after)}" in words
    for each in found.copies.itertuples():
        assert f"{each.similarity:.4f}" in words
    for value in (found.rows["influence_on_others"].min(), found.rows["influence_on_worst"].max()):
        assert text(float(value)) in words


def test_wrong_labels_come_first(made):
    source, found, _ = made
    if source.target == "kind":
        assert set(FLIPPED) <= set(found.suspicious[:4])


@pytest.mark.parametrize(("one", "other"), [(10001, 10002), (123456, 123457), (2**53, 2**53 + 1), (-40000, 70000)])
def test_labels_that_are_whole_numbers_are_shown_in_full(tmp_path, one, other):
    table = pd.read_csv(write_table(tmp_path))
    table["kind"] = np.where(table["kind"] == "yes", one, other)
    table.to_csv(tmp_path / "numbers.csv", index=False)
    source = read_source(tmp_path / "numbers.csv", "kind")
    y, (x, _) = target_of(source.y, "classification", "kind"), points_of(source)
    model, chosen = fitted(x, y, "classification", images=False)
    words = "".join(Read(page(source, findings(model, x, y, count=5), chosen, "")).texts)
    said = re.findall("labelled (.*?); the others say (.*?)margin", words)
    assert len(said) == 5 and {each for pair in said for each in pair} == {str(one), str(other)}
