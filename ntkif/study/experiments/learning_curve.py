"""The experiment on the assumption of Equation 17: how fast the test error falls with the training images."""

from collections.abc import Sequence

import pandas as pd

from ntkif.data import Dataset
from ntkif.kernels.infinite import ntk
from ntkif.metrics import power_law
from ntkif.regression.ridge import ridge_fit
from ntkif.study import paper
from ntkif.study.experiments.experiment import Column, experiment

__all__ = ["learning_curve", "learning_rates"]


@experiment(
    "learning-curve",
    settings={name: {"ridges": [0.0625, 1.0, 16.0], "sizes": [312, 625, 1250, 2500, 5000]} for name in paper.RIDGE},
    witness={"ridges": [1.0], "sizes": [25, 50, 100]},
    slice={"sizes": [312, 625]},
    columns={
        "ridge": Column.key("penalty λ"),
        "n": Column.key("training images, the first of the set"),
        "squared_error": Column.value("mean of |f(x) - y|^2 over the test images, summed over outputs"),
    },
)
def learning_curve(dataset: Dataset, ridges: Sequence[float], sizes: Sequence[int]) -> pd.DataFrame:
    """The test error of the kernel predictor with more and more training images, at fixed ridges (Equation 17).

    Args:
        dataset: training and test images.
        ridges: penalties λ > 0.
        sizes: numbers of training images; each set is a part of the next.

    Returns:
        a row for each ridge and size.
    """
    x, y = dataset.x_train, dataset.y_train
    k_train_train, k_test_train = ntk(x), ntk(dataset.x_test, x)
    rows = []
    for ridge in ridges:
        for n in sizes:
            fit = ridge_fit(k_train_train[:n, :n], y[:n], ridge)
            residual = fit.predict(k_test_train[:, :n]) - dataset.y_test
            rows.append({"ridge": ridge, "n": n, "squared_error": float(residual.square().sum(1).mean())})
    return pd.DataFrame(rows)


def learning_rates(curve: pd.DataFrame) -> pd.DataFrame:
    """The exponent b of squared_error ∝ n^b at each ridge, with its standard error.

    Args:
        curve: of `learning_curve`, at least three sizes.

    Returns:
        a row for each ridge, with columns exponent and uncertainty.
    """
    found = {ridge: power_law(rows["n"], rows["squared_error"]) for ridge, rows in curve.groupby("ridge")}
    return pd.DataFrame(found, index=["exponent", "uncertainty"]).T.rename_axis("ridge")
