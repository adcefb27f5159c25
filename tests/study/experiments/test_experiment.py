"""What registering an experiment does."""

from ntkif.study.experiments.catalogue import EXPERIMENTS


def test_the_docstring_of_an_experiment_tells_of_its_columns():
    text = EXPERIMENTS["figure-4-images"].function.__doc__
    assert "Columns:\n    kind: helpful, harmful, uninfluential or influential.\n    rank: in its kind, from 1." in text
