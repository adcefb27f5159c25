"""Experiments on trust at tiny size."""

from ntkif.data import load
from ntkif.study.experiments.trust import DAMPINGS, damping_errors, linearity_scores


def test_a_linear_network_is_linear_and_predicted_and_one_that_bends_less_so():
    table = linearity_scores(load("mnist-sample"), ["linear", "tanh"], [1.0], [0], 20, 10, 4, 200).set_index("network")
    assert table.loc["linear", "linearity"] < 1e-10 and table.loc["linear", "relative_error"] < 1e-3
    assert table.loc["tanh", "linearity"] > 1e-3 and table.loc["tanh", "relative_error"] > 1e-3


def test_no_damping_is_better_than_the_best_of_those_tried_by_much():
    cases = [["tanh", "squares", "plain", 20, 2e-3], ["relu", "cross-entropy", "momentum", 5, 2e-3]]
    table = damping_errors(load("mnist-sample"), cases, [0], 20, 10, 4)
    assert table["damping"].tolist() == 2 * list(DAMPINGS)
    times = table[table["damping"] == DAMPINGS[2]]["size"].tolist()
    assert times == [1 / (20 * 2e-3), 0.1 / (5 * 2e-3)]
    best, auto = (table[table["damping"] == name]["relative_error"].to_numpy() for name in DAMPINGS[:2])
    assert (best < 1.5 * auto).all()
