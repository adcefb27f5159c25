"""Which training points to leave out: the most influential by the kernel predictor in closed form, or others beside."""

import torch

from ntkif.data import Dataset
from ntkif.influence.closed_form import loo_influence
from ntkif.kernels import Kernel
from ntkif.kernels.infinite import ntk
from ntkif.metrics import half_squares, misfit
from ntkif.regression.ridge import RidgeFit, ridge_fit

__all__ = ["chosen_points", "largest_and_drawn", "most_influential"]


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


def largest_and_drawn(influence: torch.Tensor, count: int, seed: int) -> tuple[list[int], list[str]]:
    """Training points to leave out: half of them those of largest influence, the others drawn.

    Args:
        influence: (k, n) on test points, over which its root mean square counts.
        count: how many.
        seed: of the draw.

    Returns:
        rows, and of each "influential" or "drawn".
    """
    top = influence.norm(dim=0).topk(count // 2).indices.tolist()
    drawn = torch.randperm(influence.shape[1], generator=torch.Generator().manual_seed(seed)).tolist()
    others = [row for row in drawn if row not in top][: count - len(top)]
    return top + others, ["influential"] * len(top) + ["drawn"] * len(others)
