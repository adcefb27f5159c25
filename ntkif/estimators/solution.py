"""How an estimator is fitted: kernel and ridge as given or chosen; in one piece, in tiles, or by landmarks."""

from functools import partial

import numpy as np
import torch
from sklearn.utils import check_random_state

from ntkif.blocks import row_blocks
from ntkif.checks import available_bytes, check_fits, warn
from ntkif.estimators.choice import Choice, choose, kernels_of
from ntkif.estimators.points import kernel_between
from ntkif.kernels import Kernel
from ntkif.kernels.infinite import kernel_of, of_the_sphere
from ntkif.regression.low_rank import landmark_root, low_rank_fit
from ntkif.regression.tiled import tiled_fit
from ntkif.regression.weighted import WeightedFit, check_weight, weighted_fit, with_weights

__all__ = ["DOUBTFUL", "Solution", "check_landmarks"]

#: Of `missed_`, above which influences are doubtful: errors were .33 to 1.3, below it at most .38 (record "landmarks").
DOUBTFUL = 0.75
_SMALL_BLOCK = 64  # of whose kernel the diagonal alone is wanted


def check_landmarks(landmarks: int | None) -> None:
    """Require a number of landmarks, or None.

    Raises:
        ValueError: no whole number, or below two.
    """
    whole = isinstance(landmarks, (int, np.integer)) and not isinstance(landmarks, bool)
    if landmarks is not None and (not whole or landmarks < 2):
        raise ValueError(
            f"landmarks: expected a whole number, at least 2, or None for the exact fit, got {landmarks!r}."
        )


class Solution:
    """The part of `NTKInfluence` that makes its kernel and its fit.

    With landmarks the kernel is the part that they span, products of features; `_landmarks` are rows of training
    points, `_root` and `_features` as of `low_rank`.
    """

    def _choose(self) -> None:
        """Set kernel and ridge, those given or the best of those offered, by landmarks that are drawn alone."""
        offered, by_loo = kernels_of(self.kernel), isinstance(self.ridge, str)
        check_weight(self._weight, self._targets, 1.0 if by_loo else self.ridge, self.fit_intercept)
        if by_loo or len(offered) > 1:
            ridges = self.ridges if by_loo else [self.ridge]
            spanned = self.landmarks is not None
            make = self._spanned if spanned else partial(self._exact, self._points, self._points)
            makers = [partial(make, kernel_of(each)) for each in offered]
            found = choose(makers, self._targets, self._weight.sqrt(), self.fit_intercept, ridges, features=spanned)
        else:
            found = Choice(0, float(self.ridge))
        best, self.ridge_, self.loo_errors_, self.ridges_ = found
        self.kernel_ = offered[best]
        self._kernel_function = kernel_of(self.kernel_)

    def _solve(self) -> WeightedFit:
        if self.landmarks is not None:
            return self._solve_by_landmarks()
        n, free = len(self._points), available_bytes(self._points.device)
        most = 2 if self._points.device.type == "cpu" else 4  # matrices that `ridge_fit` holds at once
        if free is None or most * n**2 * self._points.element_size() <= free:
            options = {"weight": self._weight, "intercept": self.fit_intercept}
            return weighted_fit(self._kernel(), self._targets, self.ridge_, **options)
        scale = self._weight.sqrt()

        def scaled(rows: torch.Tensor, others: torch.Tensor) -> torch.Tensor:  # by their numbers
            rows, others = rows[:, 0].long(), others[:, 0].long()
            return self._kernel(self._points[rows], self._points[others]) * scale[rows, None] * scale[others]

        numbers = torch.arange(n, device=scale.device).double()[:, None]
        tile = max(self._block, n // 32)
        fit = tiled_fit(numbers, scale[:, None] * self._targets, self.ridge_, kernel=scaled, tile=tile)
        return with_weights(fit, self._targets, scale, self.fit_intercept)

    def _kernel(self, points: torch.Tensor | None = None, others: torch.Tensor | None = None) -> torch.Tensor:
        """The kernel of the fit between points and others; of the training points where one or both are absent."""
        others = self._points if others is None else others
        points = others if points is None else points
        if self._features is not None:
            check_fits("the kernel", len(points), len(others), like=points, advice="pass fewer points at once.")
            return self._features_at(points) @ self._features_at(others).T
        return self._exact(points, others)

    def _exact(self, points: torch.Tensor, others: torch.Tensor, function: Kernel | None = None) -> torch.Tensor:
        """The same without landmarks, by a function or that of the fit."""
        function = function or self._kernel_function
        if not self._normalize and of_the_sphere(function):  # the kernel itself refuses what is not
            return function(points, others, block_size=self._block)
        return kernel_between(function, points, others, self._block)

    def _draw(self) -> None:
        """Set half of the landmarks, training points at random; all of these where they are no more than asked for."""
        check_landmarks(self.landmarks)
        self._landmarks = self._root = self._features = self.missed_ = None
        if self.landmarks is not None:
            n = len(self._points)
            order = torch.as_tensor(check_random_state(self.random_state).permutation(n), device=self._points.device)
            self._landmarks = order if self.landmarks >= n else order[: self.landmarks // 2]

    def _solve_by_landmarks(self) -> WeightedFit:
        """By the landmarks that were drawn, and then with others too, that matter most to themselves by the first."""
        more = min(self.landmarks, len(self._points)) - len(self._landmarks)
        if more:
            own = self._fit_to(self._spanned()).self_influence
            own[self._landmarks] = -torch.inf
            self._landmarks = torch.cat([self._landmarks, own.topk(more).indices])
        features = self._spanned()
        fit = self._fit_to(features)
        self.missed_ = self._missed(fit)
        if self.missed_ > DOUBTFUL:
            warn(
                f"landmarks: up to {self.missed_:.0%} of the freedom of the fit is outside their span. Influences may "
                "be wrong by half and more; predictions and margins are nearer. Take more landmarks than "
                f"{self.landmarks}, fewer points, or a ridge above {self.ridge_:.3g}."
            )
        self._features = features
        return fit

    def _missed(self, fit: WeightedFit) -> float:
        """Σ_i w_i (K_ii - |φ_i|²) / λ, which bounds what is missed of the sum of all leverages, as a share of both."""
        blocks = zip(self._points.split(_SMALL_BLOCK), self._weight.split(_SMALL_BLOCK), strict=True)
        trace = sum(float(weight @ self._exact(block, block).diagonal()) for block, weight in blocks)
        missed = max(0.0, trace - float(fit.inverse.features.square().sum())) / self.ridge_
        freedom = missed + float(fit.leverage.sum())
        return missed / freedom if freedom else 0.0

    def _spanned(self, function: Kernel | None = None) -> torch.Tensor:
        """(n, r) features of the training points, and their root set."""
        marks = self._points[self._landmarks]
        root = landmark_root(self._exact(marks, marks, function))
        self._root = root if root.shape[1] else marks.new_zeros(len(marks), 1)  # of blank landmarks, which span nothing
        features = marks.new_empty(len(self._points), self._root.shape[1])
        for rows in row_blocks(len(features), self._block):
            features[rows] = self._exact(self._points[rows], marks, function) @ self._root
        return features

    def _features_at(self, points: torch.Tensor) -> torch.Tensor:
        """(k, r) features of points by the kernel of the fit."""
        if points is self._points:
            return self._features
        return self._exact(points, self._points[self._landmarks]) @ self._root

    def _fit_to(self, features: torch.Tensor) -> WeightedFit:
        scale = self._weight.sqrt()
        scaled = features if (scale == 1).all() else scale[:, None] * features
        fit = low_rank_fit(scaled, scale[:, None] * self._targets, self.ridge_)
        return with_weights(fit, self._targets, scale, self.fit_intercept)
