"""Feature fits against the exact one, at tiny size."""

from ntkif.data import load
from ntkif.study.experiments.features import feature_errors


def test_the_error_falls_to_zero_with_the_features():
    table = feature_errors(load("mini-mnist-sample").head(150, 40), 1.0, [20, 75, 150], [0, 1])
    errors = table.groupby("features")["relative_error"].max()
    assert errors.is_monotonic_decreasing and errors[150] < 1e-8 < 0.1 < errors[75]
    last = table[table["features"] == 150]
    assert (last["test_error"] == last["exact_test_error"]).all() and (table["seconds"] > 0).all()
    assert table.groupby("seed").size().tolist() == [3, 3]
