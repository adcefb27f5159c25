"""The page of a report: one file of HTML that needs nothing beside it, no network and no script."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from ntkif.estimators.solution import DOUBTFUL
from ntkif.report.findings import Findings
from ntkif.report.markup import Html, bars, element, table, text
from ntkif.report.sources import Source
from ntkif.report.style import STYLE
from ntkif.report.told import Told

__all__ = ["page"]

_KERNELS = {"ntk": "two layers, the first trained", "deep_ntk": "three layers, all trained"}
_SHOWN, _COLUMNS = 8, 8


def page(source: Source, found: Findings, notes: Sequence[str], made: str) -> str:
    """The whole page.

    Args:
        source: what was read; its text is shown as text, whatever it holds.
        found: what is told.
        notes: what was done to the rows, in sentences.
        made: how the page came about, for its foot.
    """
    told = Told(source, found)
    parts = [
        ("summary", "Summary", _summary(told, notes)),
        ("suspicious", f"The most suspicious {told.targets}", _suspicious(told)),
        ("alike", f"Rows that are alike, with other {told.targets}", _alike(told)),
        ("influential", "The most influential rows", _influential(told)),
        ("removal", "What removing the worst does", _removal(told)),
        ("leverage", "How far IHVP could have been trusted", _leverage(told)),
    ]
    links = element("ul", *(element("li", element("a", title, href=f"#{name}")) for name, title, _ in parts))
    sections = [
        element("section", element("h2", title, id=name), *body, aria_labelledby=name) for name, title, body in parts
    ]
    title = f"Influence report: {source.title}"
    main = element("main", element("h1", title), element("nav", links, aria_label="On this page"), *sections)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n{element("title", title)}\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n{main}\n{element('footer', made)}\n</body>\n</html>\n"
    )


def _paragraph(*inside: object) -> Html:
    return element("p", *inside)


def _summary(told: Told, notes: Sequence[str]) -> list[Html]:
    found = told.found
    numbers = {
        "rows": str(len(found.rows)),
        f"leave-one-out {told.measure}": told.score(found.score),
        told.source.target: f"{found.rows['label'].nunique()} classes" if told.classes else "a number",
        "kernel": _KERNELS[found.kernel],
        "ridge": text(found.ridge),
    }
    if told.classes:
        numbers["labels that the others contradict"] = str(int((found.rows["loo_margin"] < 0).sum()))
    cards = element(
        "dl", *(element("div", element("dt", k), element("dd", v)) for k, v in numbers.items()), class_="numbers"
    )
    return [
        _paragraph(
            f"A network of infinite width was fitted to {told.source.title} to predict {told.source.target}. Each "
            "row was judged by the fit to all the others, exactly, without fitting again."
        ),
        *_by_landmarks(found.missed),
        cards,
        element(
            "details",
            element("summary", "What was done to the rows, and chosen"),
            element("ul", *(element("li", note) for note in notes)),
        ),
    ]


def _by_landmarks(missed: float | None) -> list[Html]:
    """What a reader must know where the fit is an approximation."""
    if missed is None:
        return []
    said = (
        "The kernel is spanned by landmarks: all is exact in their span, and up to "
        f"{missed:.0%} of the freedom of the fit is outside. Ranks of suspicion suffer least."
    )
    return [_paragraph(said + " Influences may be wrong by half and more." * (missed > DOUBTFUL))]


def _suspicious(told: Told) -> list[Html]:
    if told.classes:
        said = (
            "The margin is the output for the label less the largest other output, by the fit to all the other rows. "
            "Below zero they contradict the label. A low margin is a reason to look, not a proof: rare and hard rows "
            "have one too."
        )
        title = "How many rows have which margin, from the lowest to the highest; below zero hatched"
        picture = bars(told.rows["loo_margin"].to_numpy(), title, marked=0.0)
    else:
        said = (
            "The error is the prediction by the fit to all the other rows less the target. A large one is a reason to "
            "look, not a proof: rare and hard rows have one too."
        )
        picture = bars(told.rows["loo_residual"].to_numpy(), "How many rows have which error of prediction")
    cards = [element("li", *_card(told, row)) for row in told.found.suspicious]
    beside = (
        "With each stand the rows that contradict it most, and in brackets what leaving such a row out does to its "
        "loss, half the squared error."
    )
    return [_paragraph(said), picture, _paragraph(beside), element("ol", *cards, class_="cards")]


def _card(told: Told, row: int) -> list[Html]:
    about = told.rows.iloc[row]
    said = element("b", "labelled " if told.classes else "given ", told.label(row))
    numbers = f"{told.word} {text(float(about[told.deviation]))}"
    if told.classes:
        numbers += f", probability of its label {about['probability']:.1%}"
    head = [
        element("h3", f"{int(about['rank'])}. {told.name(row)}"),
        element("div", said, "; the others say ", element("b", told.predicted(row))),
        element("p", numbers, class_="soft"),
    ]
    against = told.found.contradictions.query("row == @row")
    listed = [_against(told, each) for each in against.itertuples()]
    kind = "strip" if told.source.picture else "strip plain"
    body = [element("div", "Contradicted most by"), element("ul", *listed, class_=kind)] if listed else []
    values = [] if told.source.columns is None else [_values(told, [row, *against["other"]])]
    return [element("div", told.picture(row), element("div", *head), class_="row"), *body, *values]


def _against(told: Told, each) -> Html:
    said = f"{told.name(each.other)}, {told.label(each.other)} ({text(each.influence)})"
    return element("li", told.picture(each.other, Html(said)) or Html(said))


def _values(told: Told, rows: Sequence[int]) -> Html:
    """The columns of some rows, side by side."""
    columns = told.source.columns.iloc[list(rows), :_COLUMNS]
    cells = [[name, *(_plain(value) for value in columns[name])] for name in columns]
    more = told.source.columns.shape[1]
    caption = "Columns" if more <= _COLUMNS else f"The first {_COLUMNS} of {more} columns"
    shown = table(caption, ["column", *(told.name(row) for row in rows)], cells)
    return element("details", element("summary", "Their values"), shown)


def _plain(value: object) -> object:
    return "" if pd.isna(value) else value


def _alike(told: Told) -> list[Html]:
    pairs = told.found.copies
    other = "other labels" if told.classes else "targets that differ by more than the targets' deviation"
    said = (
        f"Pairs with {other}, the most alike first. The similarity is the kernel of the two rows over that of a row "
        "with itself: 1 means that the fit cannot tell them apart, so at least one of the two is predicted wrongly."
    )
    if pairs.empty:
        return [_paragraph(said), _paragraph("There are none.")]
    labels = [
        (
            told.named(each.row),
            told.label(each.row),
            told.named(each.other),
            told.label(each.other),
            f"{each.similarity:.4f}",
        )
        for each in pairs.itertuples()
    ]
    word = "label" if told.classes else "target"
    return [
        _paragraph(said),
        table("Pairs that are alike", ["row", word, "other row", f"its {word}", "similarity"], labels),
    ]


def _influential(told: Told) -> list[Html]:
    said = (
        "What leaving a row out does to the leave-one-out loss (half the squared error) of other rows, in sum. "
        "Positive: the others are predicted worse without it, so it helps. Negative: they are predicted better without "
        "it, so it harms. Where other rows have wrong labels themselves, what harms them may well be right: see the "
        "rank, 1 for the most suspicious row."
    )
    tables = []
    for column, on in (
        ("influence_on_others", "all other rows"),
        ("influence_on_worst", f"the {told.found.worst} worst predicted rows"),
    ):
        order = told.rows[column].to_numpy().argsort(kind="stable")
        for kind, rows in (("most harmful", order[:_SHOWN]), ("most helpful", order[::-1][:_SHOWN])):
            tables.append(_ranked(told, f"The {kind} to {on}", column, rows))
    return [_paragraph(said), *_by_landmarks(told.found.missed), element("div", *tables, class_="pair")]


def _ranked(told: Told, caption: str, column: str, rows: Iterable[int]) -> Html:
    cells = [
        (told.named(row), told.label(row), told.predicted(row), float(about[column]), int(about["rank"]))
        for row, about in ((row, told.rows.iloc[row]) for row in rows)
    ]
    word = "label" if told.classes else "target"
    return table(caption, ["row", word, "others say", "influence", "rank"], cells)


def _removal(told: Told) -> list[Html]:
    said = (
        "The most suspicious rows were removed together, exactly, and the rows that are left judged by leave-one-out, "
        "before and after. That the worst rows are no longer counted is no merit: both columns count the same rows. "
        "Beside it stands the mean of three random removals of as many rows."
    )
    cells = [
        (
            f"{each.share:.0%} ({each.removed} row{'s' * (each.removed > 1)})",
            *(
                Html(f"{text(before)} → {text(after)} ({_change(before, after)})")
                for before, after in ((each.loss_before, each.loss_after), (each.random_before, each.random_after))
            ),
            Html(f"{told.score(each.score_before)} → {told.score(each.score_after)}"),
        )
        for each in told.found.removal.itertuples()
    ]
    head = ["removed", "loss of what is left", "the same, random rows removed", told.measure]
    return [_paragraph(said), table("Leave-one-out loss of the rows that are left", head, cells)]


def _change(before: float, after: float) -> str:
    return f"{(after - before) / before:+.1%}".replace("-", "\N{MINUS SIGN}")


def _leverage(told: Told) -> list[Html]:
    leverage = told.rows["leverage"].to_numpy()
    said = (
        "The leverage of a row is the share of its own target in its prediction. The classic estimate of influence "
        "(IHVP, an inverse Hessian times a gradient) is too small by about that share. "
        f"Here it would be off by a tenth at most for {(leverage <= 0.1).mean():.0%} of the rows, and by half or more "
        f"for {(leverage >= 0.5).mean():.0%}. The numbers on this page do not use it."
    )
    quantiles = np.quantile(leverage, [0, 0.25, 0.5, 0.75, 1])
    names = ["smallest", "a quarter below", "median", "a quarter above", "largest"]
    shown = table("Leverage of the rows", ["", "leverage"], list(zip(names, quantiles.tolist(), strict=True)))
    return [_paragraph(said), bars(leverage, "How many rows have which leverage, from 0 to 1", within=(0, 1)), shown]
