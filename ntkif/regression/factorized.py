"""Kernels of one image set and what is solved with them, each computed once however many experiments ask for it."""

from dataclasses import replace
from functools import cached_property
from weakref import WeakKeyDictionary

import torch

from ntkif.data import Dataset
from ntkif.kernels import Kernel
from ntkif.kernels.infinite import ntk
from ntkif.regression.flow import KernelFlow, kernel_flow
from ntkif.regression.interpolant import interpolant
from ntkif.regression.ridge import RidgeFit, ridge_fit

__all__ = ["Factorized", "factorized"]


class Factorized:
    """The kernels of an image set (Eq. 4), its ridge fits (Eq. 5) and its gradient flow (Eq. 3), made on first use.

    Every ridge keeps an (n, n) matrix, so this is for a few ridges and thousands of points.

    Args:
        dataset: training and test images.
        kernel: of two sets of points; the paper's where absent.
    """

    def __init__(self, dataset: Dataset, kernel: Kernel = ntk):
        self._kernel = kernel
        self._x_train, self._x_test, self._y_train = dataset.x_train, dataset.x_test, dataset.y_train
        self._fits: dict[float, RidgeFit] = {}

    @cached_property
    def k_train_train(self) -> torch.Tensor:
        """(n, n) kernel of the training points."""
        return self._kernel(self._x_train, self._x_train)

    @cached_property
    def k_test_train(self) -> torch.Tensor:
        """(k, n) kernel between test and training points."""
        return self._kernel(self._x_test, self._x_train)

    def fit(self, ridge: float) -> RidgeFit:
        """The kernel ridge fit: one Cholesky factorisation for each ridge."""
        if ridge not in self._fits:
            self._fits[ridge] = ridge_fit(self.k_train_train, self._y_train, ridge)
        return self._fits[ridge]

    def flow(self, ridge: float, y_train: torch.Tensor | None = None) -> KernelFlow:
        """The gradient flow: one eigendecomposition for all ridges and all (n, c) targets, by default the set's own."""
        return replace(self._flow, ridge=ridge, y_train=self._y_train if y_train is None else y_train)

    @cached_property
    def interpolant(self) -> RidgeFit:
        """The fit without a ridge, as `interpolant.interpolant`."""
        return interpolant(self.k_train_train, self._y_train)

    @cached_property
    def _flow(self) -> KernelFlow:
        return kernel_flow(self.k_train_train, self._y_train)


_KEPT: WeakKeyDictionary[Dataset, dict[Kernel, Factorized]] = WeakKeyDictionary()


def factorized(dataset: Dataset, kernel: Kernel = ntk) -> Factorized:
    """The one `Factorized` of a loaded image set and a kernel; it is forgotten when the `Dataset` object is.

    >>> from ntkif.data import load
    >>> data = load("mnist-sample").head(20, 10)
    >>> factorized(data).fit(1.0) is factorized(data).fit(1.0)
    True
    """
    kept = _KEPT.setdefault(dataset, {})
    if kernel not in kept:
        kept[kernel] = Factorized(dataset, kernel)
    return kept[kernel]
