"""Names, labels and pictures of rows."""

import numpy as np
import pandas as pd
import pytest

from ntkif.report.findings import Findings
from ntkif.report.sources import Source
from ntkif.report.told import Told


def told(task, **read):
    labels = np.array(["<a>", "b"]) if task == "classification" else np.array([0.123456, 2.0])
    rows = pd.DataFrame({"label": labels, "predicted": labels})
    empty = dict.fromkeys(Findings.__annotations__)
    return Told(Source("t", "y", labels, [7, "x/1.png"], **read), Findings(**empty | {"task": task, "rows": rows}))


def test_rows_of_tables_have_numbers_and_no_pictures():
    each = told("regression", columns=pd.DataFrame({"a": [1, 2]}))
    assert each.name(0) == "row 7" and each.label(0) == "0.1235" and each.named(0) == "row 7"
    assert each.label(1) == each.predicted(1) == "2"
    assert (each.targets, each.measure, each.word, each.score(0.5)) == ("targets", "R²", "error", "0.500")


@pytest.mark.parametrize("caption", ["", "seen"])
def test_rows_of_images_have_pictures_with_words(caption):
    images = np.zeros((2, 2, 2))
    each = told("classification", images=images, picture=lambda row: images[row].astype(np.uint8))
    made = each.picture(0, caption)
    assert 'alt="7, labelled &lt;a&gt;"' in made and ("<figcaption>seen</figcaption>" in made) == bool(caption)
    assert each.named(1).endswith("</figure>x/1.png") and each.score(0.5) == "50.0%"
