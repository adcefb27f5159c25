"""What a fitted estimator tells of its training points: their influence, alone and in groups, and what stands out."""

from collections.abc import Sequence

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted

from ntkif.blocks import row_blocks
from ntkif.checks import check_fits, groups_of
from ntkif.estimators.state import Array, Diagnosis, Top, diagnosis
from ntkif.influence.closed_form import group_influence, loo_influence
from ntkif.influence.flow import influence_at
from ntkif.influence.table import InfluenceTable, names_of
from ntkif.regression.weighted_flow import WeightedFlow, weighted_flow

__all__ = ["Influences"]


class Influences:
    """The methods of `NTKInfluence` that remove training points."""

    def influence(self, X_test: Array, y_test: Array) -> Array:
        """(k, n) influence of every training point on every test point; zero for those of weight zero.

        Raises:
            ValueError: wrong shapes, NaN, or a label that was not trained.
            MemoryError: the result would not fit in memory.
        """
        points, targets = self._test(X_test, y_test)
        size = (len(points), len(self._points))
        check_fits("the influence matrix", *size, like=points, advice="pass fewer test points at once.")
        out = points.new_empty(size)
        for rows in row_blocks(len(points), self._block):
            out[rows] = loo_influence(self.fit_, self._kernel(points[rows]), targets[rows], block_size=self._block)
        return self._like(out, X_test)

    def table(
        self, X_test: Array, y_test: Array, *, names: Sequence | None = None, test_names: Sequence | None = None
    ) -> InfluenceTable:
        """`influence` with the names of its points, its largest entries, and a picture of them.

        Args:
            X_test: (k, d) test points.
            y_test: their targets.
            names: n names of the training points; where absent the index of the DataFrame that `fit` got, else their
                positions.
            test_names: k names of the test points; where absent the index of a DataFrame, else their positions.
        """
        influence, unit = self.influence(X_test, y_test), "change of half the squared error"
        names, test_names = (
            own if given is None else given for given, own in ((names, self._names), (test_names, names_of(X_test)))
        )
        return InfluenceTable(influence, names=names, test_names=test_names, unit=unit)

    def influence_at(self, time: float, X_test: Array, y_test: Array) -> Array:
        """(k, n) influence after training by the flow (3) for a time, from 0 to infinity, which is `influence`.

        An intercept is the best one at every time: nothing holds it back, as the kernel K + s 11ᵀ with s without
        bounds. The first call makes an eigendecomposition, which serves all later ones.
        """
        points, targets = self._test(X_test, y_test)
        flow = self._training()
        timed = influence_at(flow, flow.test_kernel(self._kernel(points)), targets, time, block_size=self._block)
        return self._like(timed.influence, X_test)

    def group_influence(self, groups, X_test: Array, y_test: Array) -> Array:
        """(k, g) influence of removing whole sets of training points together.

        Args:
            groups: g sets of rows of the training set, each row once: lists, arrays, sets, or a mapping of such, as
                `DataFrame.groupby(...).indices`.
            X_test: (k, d) test points.
            y_test: their targets.
        """
        points, targets = self._test(X_test, y_test)
        return self._like(group_influence(self.fit_, self._kernel(points), targets, groups_of(groups)), X_test)

    def self_influence(self) -> np.ndarray:
        """(n,) loss on each training point by the model that has not seen it, less its training loss."""
        check_is_fitted(self)
        return self.fit_.self_influence.cpu().numpy()

    def loo_predict(self) -> np.ndarray:
        """Prediction at each training point by the model that has not seen it, shaped as by `predict`."""
        return self._like(self._decode(self._loo_outputs()), given=None)

    def top(self, k: int, X_test: Array, y_test: Array) -> Top:
        """The k most helpful and the k most harmful training points for each test point."""
        check_is_fitted(self)
        if int(k) != k or not 1 <= k <= len(self._points):
            raise ValueError(
                f"k: expected a whole number between 1 and {len(self._points)}, the training points, got {k}."
            )
        influence = torch.as_tensor(self.influence(X_test, y_test))
        helpful, harmful = (influence.topk(int(k), dim=1, largest=largest) for largest in (True, False))
        parts = (helpful.indices, harmful.indices, helpful.values, harmful.values)
        return Top(*(self._like(part, X_test) for part in parts))

    def diagnose(self) -> Diagnosis:
        """How well posed the fit is, and how far IHVP could be trusted with it."""
        check_is_fitted(self)
        return diagnosis(self.fit_.condition, self.leverage_)

    def _loo_outputs(self) -> torch.Tensor:
        """(n, c) outputs at each training point without it; what has weight zero was never seen."""
        check_is_fitted(self)
        outputs, absent = self._targets + self.fit_.loo_residual, self._weight == 0
        if absent.any():
            outputs[absent] = self.fit_.predict(self._kernel(self._points[absent]))
        return outputs

    def _training(self) -> WeightedFlow:
        if self._flow is None:
            scale, intercept = self._weight.sqrt(), self.fit_.lift > 0
            self._flow = weighted_flow(self._kernel(), self._targets, self.fit_.ridge, scale, intercept=intercept)
        return self._flow
