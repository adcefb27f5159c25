"""What is recorded: experiments with their settings on each image set."""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from ntkif import (
    complexity_experiments,
    deep_experiments,
    exactness,
    experiments,
    feature_experiments,
    finite_width,
    full_experiments,
    ihvp_density,
    ihvp_errors,
    label_noise,
    own_kernel_experiments,
    paper,
    training_dynamics,
)

__all__ = ["EXPERIMENTS", "Experiment", "settings_of"]


@dataclass(frozen=True)
class Experiment:
    """What can be recorded: a function of `experiments` and its settings, by data set."""

    function: Callable[..., pd.DataFrame]
    settings: dict[str, dict]


_RIDGES = [2.0**e for e in range(-4, 5)]  # of Figure 2
_FEW_RIDGES = [2.0**-4, 0.25, 1.0, 4.0, 10.0, 16.0]  # the same range, with those of Figure 8
_TIMES = [float(f"{10 ** (e / 2):.2g}") for e in range(-10, 5)]  # two for each factor of ten, 1e-5 to 100
EXPERIMENTS = {
    "equation-4": Experiment(
        exactness.kernel_errors,
        {name: {"widths": [256, 1024, 4096, 16384], "seeds": [0, 1, 2]} for name in paper.RIDGE},
    ),
    "equation-9": Experiment(
        exactness.refit_deviations,
        {name: {"ridges": [2.0**-4, 1.0, 2.0**4], "removals": 3, "seed": 0} for name in paper.RIDGE},
    ),
    "equation-20": Experiment(
        exactness.flow_deviations,
        {name: {"times": [1e-3, 0.1, 10.0], "removals": 2, "seed": 0} for name in paper.RIDGE},
    ),
    "proposition-2": Experiment(experiments.decomposition, {name: {"ridges": _RIDGES} for name in paper.RIDGE}),
    "figure-2": Experiment(ihvp_errors.errors_by_ridge, {name: {"ridges": _RIDGES} for name in paper.RIDGE}),
    "figure-3": Experiment(
        ihvp_density.density_correlations,
        {
            name: {
                "ridges": [2.0**-4, 0.5, 4.0, 2.0**4],
                "factors": [0.25, 0.5, 1.0, 2.0, 4.0],
                "components": [2, 5, 10, 20, 50, 100],
            }
            for name in paper.RIDGE
        },
    ),
    "figure-3-deciles": Experiment(
        ihvp_density.density_deciles,
        {name: {"ridges": [2.0**-4, 0.5, 4.0, 2.0**4], "factors": [1.0], "components": [10]} for name in paper.RIDGE},
    ),
    "figure-4-images": Experiment(
        experiments.extreme_images, {name: {"ridge": ridge, "count": 10} for name, ridge in paper.RIDGE.items()}
    ),
    "figure-4-likeness": Experiment(
        experiments.image_likeness,
        {name: {"ridge": ridge, "count": 40, "draws": 1000, "seed": 0} for name, ridge in paper.RIDGE.items()},
    ),
    "figure-5": Experiment(
        complexity_experiments.complexity_by_group,
        {name: {"ridges": _FEW_RIDGES, "groups": 10, "draws": 1000, "seed": 0} for name in paper.RIDGE},
    ),
    "figure-5-points": Experiment(
        complexity_experiments.complexity_by_point, {name: {"ridges": _FEW_RIDGES} for name in paper.RIDGE}
    ),
    "figure-6-images": Experiment(
        training_dynamics.images_along,
        {
            name: {
                "ridge": 0.0,
                "times": [1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0],
                "test_rows": [0, 1, 2, 3, 4],
                "kinds": ["influential"],
            }
            for name in paper.RIDGE
        },
    ),
    "figure-6-turnover": Experiment(
        training_dynamics.turnover, {name: {"ridge": 0.0, "times": _TIMES, "top": 10} for name in paper.RIDGE}
    ),
    "figure-7": Experiment(
        label_noise.noise_along,
        {name: {"share": 0.4, "seed": 0, "ridge": 0.0, "times": _TIMES, "tops": [1, 10, 40]} for name in paper.RIDGE},
    ),
    "own-kernel": Experiment(
        own_kernel_experiments.two_layer_scores,
        {
            name: {
                "n_train": 200,
                "n_test": 200,
                "ridge": 1.0,
                "widths": [256, 1024],
                "starts": [[1.0, True], [0.01, False]],
                "seeds": [0, 1, 2],
                "removals": 12,
            }
            for name in paper.RIDGE
        },
    ),
    "deeper-networks": Experiment(
        deep_experiments.deep_scores,
        {
            name: {
                "n_train": 200,
                "n_test": 200,
                "ridge": 1.0,
                "networks": networks,
                "seeds": [0, 1, 2],
                "removals": 6,
                "iterations": 100,
            }
            for names, networks in {
                ("mnist", "cifar"): [
                    "MLP, width 128",
                    "antisymmetric MLP, width 128",
                    "antisymmetric conv, ReLU",
                    "antisymmetric conv, GELU",
                ],
                # With ten outputs the own kernel costs a hundred times as much, so the networks are smaller.
                ("mini-mnist", "mini-cifar"): ["antisymmetric MLP, width 64", "antisymmetric conv, GELU"],
            }.items()
            for name in names
        },
    ),
    "figure-1": Experiment(finite_width.recorded_pairs, {name: {} for name in paper.RIDGE}),
    "table-1": Experiment(finite_width.recorded_scores, {name: {} for name in paper.RIDGE}),
    "features": Experiment(
        feature_experiments.feature_errors,
        {
            name: {"ridge": ridge, "features": [50, 100, 200, 500, 1000, 2000, 4000], "seeds": [0, 1, 2]}
            for name, ridge in paper.RIDGE.items()
        },
    ),
    "shifted-mnist": Experiment(
        feature_experiments.shifted_fit,
        {
            "mnist-full": {
                "ridge": paper.RIDGE["mini-mnist"],
                "features": 2000,
                "rows": 1_000_000,
                "n_test": 20,
                "removals": 5,
                "seed": 0,
                "workers": 2,
                "memory_gib": 8,
            }
        },
    ),
    "full-mnist": Experiment(
        full_experiments.full_fit,
        {"mnist-full": {"ridge": paper.RIDGE["mini-mnist"], "n_test": 200, "removals": 20, "seed": 0}},
    ),
}


def settings_of(experiment: str, dataset: str) -> tuple[Callable, dict]:
    """Function and settings of an experiment on a data set.

    Raises:
        ValueError: an unknown experiment, or one that has no settings for this data set.
    """
    if experiment not in EXPERIMENTS:
        raise ValueError(f"unknown experiment {experiment!r}: expected one of {', '.join(EXPERIMENTS)}.")
    known = EXPERIMENTS[experiment]
    if dataset not in known.settings:
        raise ValueError(f"{experiment} has no settings for {dataset!r}: expected one of {', '.join(known.settings)}.")
    return known.function, known.settings[dataset]
