"""What registering an experiment does."""

from ntkif.study.experiments import experiment as module
from ntkif.study.experiments.catalogue import EXPERIMENTS
from ntkif.study.experiments.experiment import Column, Experiment, experiment


def test_the_docstring_of_an_experiment_tells_of_its_columns():
    text = EXPERIMENTS["figure-4-images"].function.__doc__
    assert "Columns:\n    kind: helpful, harmful, uninfluential or influential.\n    rank: in its kind, from 1." in text


def test_a_function_is_registered_with_what_it_was_given(monkeypatch):
    monkeypatch.setattr(module, "REGISTERED", registered := {})
    columns = {"row": Column.key("which"), "size": Column.noise("how large", 1e-9), "seconds": Column.clock("time")}
    settings, witness = {"mnist": {"count": 3}}, {"count": 1}

    @experiment("made-up", settings=settings, witness=witness, columns=columns, slice=None, version=2)
    def function(dataset, count):
        """Counts."""
        return count * dataset

    assert function(5, 2) == 10 and registered["made-up"].function is function
    assert registered["made-up"] == Experiment("made-up", function, settings, witness, columns, None, version=2)
    assert function.__doc__ == "Counts.\n\nColumns:\n    row: which.\n    size: how large.\n    seconds: time."
    assert [column.kind for column in columns.values()] == ["key", "noise", "clock"]
    assert Column.value("any").bound == 1e-6 and columns["size"].bound == 1e-9
