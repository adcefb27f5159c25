"""The figure of features: what is drawn is what the table says."""

import numpy as np
import pandas as pd
import pytest

from ntkif.study.plots.features import error_by_features

pytestmark = pytest.mark.usefixtures("book_style")


def test_error_by_features():
    rows = [
        {"features": p, "seed": s, "relative_error": (1 + s) / p, "seconds": p / 100, "exact_seconds": 4.0}
        for p in (50, 200)
        for s in (0, 1)
    ]
    figure = error_by_features({"mnist": pd.DataFrame(rows), "cifar": pd.DataFrame(rows)})
    left, right = (ax.containers[0] for ax in figure.axes)
    assert np.allclose(left[0].get_xydata(), [[50, 0.03], [200, 0.0075]])
    assert [segment[0][1] for segment in left[2][0].get_segments()] == [0.02, 0.005]
    assert np.allclose(right[0].get_xydata(), [[50, 0.125], [200, 0.5]])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["mnist", "cifar"]
