"""What a report tells of, with the words and pictures of its rows."""

from ntkif.report.encoding import CLASSIFICATION
from ntkif.report.findings import Findings
from ntkif.report.markup import Html, element, image, text, written
from ntkif.report.sources import Source

__all__ = ["Told"]


class Told:
    """What is told of, with its words."""

    def __init__(self, source: Source, found: Findings):
        self.source, self.found, self.rows = source, found, found.rows
        self.classes = found.task == CLASSIFICATION
        self.targets, self.measure = ("labels", "accuracy") if self.classes else ("targets", "R²")
        self.deviation = "loo_margin" if self.classes else "loo_residual"
        self.word = "margin" if self.classes else "error"

    def name(self, row: int) -> str:
        return str(self.source.names[row]) if self.source.images is not None else f"row {self.source.names[row]}"

    def label(self, row: int) -> str:
        return written(self.rows["label"].iloc[row])

    def predicted(self, row: int) -> str:
        """What the others say."""
        return written(self.rows["predicted"].iloc[row])

    def picture(self, row: int, caption: object = "") -> Html:
        if self.source.picture is None:
            return Html("")
        alt = f"{self.name(row)}, labelled {self.label(row)}"
        return element("figure", image(self.source.picture(row), alt), caption and element("figcaption", caption))

    def named(self, row: int) -> Html:
        """A row as the first cell of a table."""
        return Html(f"{self.picture(row)}{text(self.name(row))}")

    def score(self, value: float) -> str:
        return f"{value:.1%}" if self.classes else f"{value:.3f}"
