"""Which training points to leave out: the most influential ones in closed form."""

from collections.abc import Callable

from ntkif.data import Dataset
from ntkif.influence.closed_form import loo_influence
from ntkif.kernels.infinite import ntk
from ntkif.metrics import misfit
from ntkif.regression.ridge import ridge_fit

__all__ = ["chosen_points", "most_influential"]


def chosen_points(dataset: Dataset, ridge: float, count: int) -> tuple[int, list[int]]:
    """A test point (the paper names none) and the training points with the largest |influence| on it in closed form.

    Args:
        dataset: training and test images.
        ridge: penalty λ.
        count: training points to choose.

    Returns:
        the first test point, in test order, that the kernel predictor misclassifies (where it misclassifies none,
        that with the largest loss), and `count` training rows, the most influential first.

    Raises:
        ValueError: a count below one or above the number of training points.
    """
    n = len(dataset.x_train)
    if not 1 <= count <= n:
        raise ValueError(f"removals: expected between 1 and {n} training points, got {count}.")
    fit, k_test_train = ridge_fit(ntk(dataset.x_train), dataset.y_train, ridge), ntk(dataset.x_test, dataset.x_train)
    prediction = fit.predict(k_test_train)
    wrong = misfit(prediction, dataset.y_test).nonzero()
    worst = (prediction - dataset.y_test).square().sum(1).argmax()
    point = int(wrong[0]) if len(wrong) else int(worst)
    influence = loo_influence(fit, k_test_train[point, None], dataset.y_test[point, None])[0]
    return point, influence.abs().topk(count).indices.tolist()


def most_influential(dataset: Dataset, kernel: Callable, ridge: float, count: int) -> list[int]:
    """Training points to leave out: the most influential by the kernel predictor, on all test points together.

    Args:
        dataset: training and test images.
        kernel: `ntk` or another, of one or two sets of points.
        ridge: penalty λ.
        count: how many.

    Returns:
        rows with the largest root mean square of their influences over the test points, the largest first.
    """
    fit, k_test_train = (
        ridge_fit(kernel(dataset.x_train), dataset.y_train, ridge),
        kernel(dataset.x_test, dataset.x_train),
    )
    return loo_influence(fit, k_test_train, dataset.y_test).norm(dim=0).topk(count).indices.tolist()
