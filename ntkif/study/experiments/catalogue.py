"""What is recorded: the experiments of all modules, by name."""

import importlib
import pkgutil
from collections.abc import Callable

from ntkif.study import experiments
from ntkif.study.experiments.experiment import REGISTERED, Experiment

__all__ = ["EXPERIMENTS", "find", "settings_of"]

for _found in pkgutil.iter_modules(experiments.__path__):
    if _found.name != "catalogue":
        importlib.import_module(f"{experiments.__name__}.{_found.name}")  # which registers what is written there

#: Name -> experiment, by name; one that is written in a notebook or a script joins them.
EXPERIMENTS = REGISTERED
for _name in sorted(REGISTERED):
    EXPERIMENTS[_name] = EXPERIMENTS.pop(_name)


def find(experiment: str) -> Experiment:
    """The experiment of a name.

    Raises:
        ValueError: there is none; the error lists all.
    """
    if experiment not in EXPERIMENTS:
        raise ValueError(f"unknown experiment {experiment!r}: expected one of {', '.join(EXPERIMENTS)}.")
    return EXPERIMENTS[experiment]


def settings_of(experiment: str, dataset: str) -> tuple[Callable, dict]:
    """Function and settings of an experiment on a data set.

    Raises:
        ValueError: an unknown experiment, or one that has no settings for this data set.
    """
    known = find(experiment)
    if dataset not in known.settings:
        raise ValueError(f"{experiment} has no settings for {dataset!r}: expected one of {', '.join(known.settings)}.")
    return known.function, known.settings[dataset]
