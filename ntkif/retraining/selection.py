"""Which training points to leave out: the most influential ones by the kernel predictor in closed form."""

import torch

from ntkif.data import Dataset
from ntkif.influence.closed_form import loo_influence
from ntkif.kernels import Kernel
from ntkif.kernels.infinite import ntk
from ntkif.metrics import half_squares, misfit
from ntkif.regression.ridge import RidgeFit, ridge_fit

__all__ = ["chosen_points", "most_influential"]


def chosen_points(dataset: Dataset, ridge: float, count: int, *, kernel: Kernel = ntk) -> tuple[int, list[int]]:
    """A test point (the paper names none) and the training points with the largest |influence| on it in closed form.

    Args:
        dataset: training and test images.
        ridge: penalty λ.
        count: training points to choose.
        kernel: of the predictor.

    Returns:
        the first test point, in test order, that the kernel predictor misclassifies (where it misclassifies none,
        that with the largest loss), and `count` training rows, the most influential first.

    Raises:
        ValueError: a count below one or above the number of training points.
    """
    fit, k_test_train = _fit(dataset, ridge, count, kernel)
    prediction = fit.predict(k_test_train)
    wrong = misfit(prediction, dataset.y_test).nonzero()
    point = int(wrong[0]) if len(wrong) else int(half_squares(prediction, dataset.y_test).argmax())
    influence = loo_influence(fit, k_test_train[point, None], dataset.y_test[point, None])[0]
    return point, influence.abs().topk(count).indices.tolist()


def most_influential(dataset: Dataset, ridge: float, count: int, *, kernel: Kernel = ntk) -> list[int]:
    """The most influential training points on all test points together.

    Args:
        dataset: training and test images.
        ridge: penalty λ.
        count: training points to choose.
        kernel: of the predictor.

    Returns:
        rows with the largest root mean square of their influences over the test points, the largest first.

    Raises:
        ValueError: a count below one or above the number of training points.
    """
    fit, k_test_train = _fit(dataset, ridge, count, kernel)
    return loo_influence(fit, k_test_train, dataset.y_test).norm(dim=0).topk(count).indices.tolist()


def _fit(dataset: Dataset, ridge: float, count: int, kernel: Kernel) -> tuple[RidgeFit, torch.Tensor]:
    n = len(dataset.x_train)
    if not 1 <= count <= n:
        raise ValueError(f"removals: expected between 1 and {n} training points, got {count}.")
    fit = ridge_fit(kernel(dataset.x_train, dataset.x_train), dataset.y_train, ridge)
    return fit, kernel(dataset.x_test, dataset.x_train)
