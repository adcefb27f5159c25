"""Influence along training: each column from its definition, at small size."""

import math

import numpy as np
import pytest
from by_flow import BOTH, influence, named_right, predictions

from ntkif.study.experiments.dynamics import images_along, turnover


@BOTH
def test_images_by_hand(data):
    table = images_along(data, 0.3, [0.1, 5.0], [4, 7, 0], ["influential", "harmful"])
    assert len(table) == 12 and table["test_row"].tolist() == [4, 7, 0] * 4
    assert list(table) == ["test_row", "time", "kind", "row", "label", "influence"]
    for time, rows in table.groupby("time"):
        exact = influence(data, time, ridge=0.3)[[4, 7, 0]]
        chosen = {"influential": exact.abs().argmax(1), "harmful": exact.argmin(1)}
        for kind, of_kind in rows.groupby("kind"):
            assert of_kind["row"].tolist() == chosen[kind].tolist()
            assert np.allclose(of_kind["influence"], exact[range(3), chosen[kind]])
            assert of_kind["label"].tolist() == [data.classes[data.labels_train[row]] for row in of_kind["row"]]


@BOTH
def test_turnover_by_hand(data):
    times, top = [1e-3, 1.0, 50.0], 5
    table = turnover(data, 0.0, times, top)
    exact = [influence(data, time) for time in times]
    for kind, sign in (("influential", None), ("helpful", 1), ("harmful", -1)):
        order = [(values.abs() if sign is None else sign * values).argsort(dim=1, descending=True) for values in exact]
        best = [values[:, :top].tolist() for values in order]
        rows = table[table["kind"] == kind].reset_index(drop=True)
        assert rows["time"].tolist() == times
        steady = np.mean([len({now[test][0] for now in best}) == 1 for test in range(12)])
        assert np.allclose(rows["steady"], steady)
        for place in range(3):
            wrong = ~named_right(predictions(data, times[place])[0], data.y_test)
            assert rows["test_error"][place] == pytest.approx(float(wrong.double().mean()))
            for name, other in (("before", place - 1), ("end", 2)):
                if other < 0:
                    assert math.isnan(rows["same_before"][0]) and math.isnan(rows["overlap_before"][0])
                    continue
                pairs = list(zip(best[place], best[other], strict=True))
                same = np.mean([a[0] == b[0] for a, b in pairs])
                overlap = np.mean([len(set(a) & set(b)) / top for a, b in pairs])
                assert rows[f"same_{name}"][place] == pytest.approx(same)
                assert rows[f"overlap_{name}"][place] == pytest.approx(overlap)
