"""The method as a scikit-learn regressor, for NumPy arrays and torch tensors; `classifier` is for labels.

Needs scikit-learn, which the rest of the package does without.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from ntkif.blocks import row_blocks
from ntkif.checks import available_bytes, check_fits, groups_of
from ntkif.estimators.points import kernel_between, to_sphere
from ntkif.estimators.state import Array, Diagnosis, Top, diagnosis, read_state, to_numpy, write_state
from ntkif.influence.closed_form import group_influence, loo_influence
from ntkif.influence.flow import influence_at
from ntkif.influence.table import InfluenceTable, names_of
from ntkif.kernels import Kernel
from ntkif.kernels.infinite import kernel_of, of_the_sphere
from ntkif.regression.flow import KernelFlow, kernel_flow
from ntkif.regression.ridge import RidgeFit, ridge_fit
from ntkif.regression.tiled import TiledInverse, tiled_fit

__all__ = ["NTKInfluence"]

_BLOCK = 512


class NTKInfluence(RegressorMixin, BaseEstimator):
    """Kernel ridge regression with the NTK of a wide ReLU network, or another kernel, and the influence of each point.

    The predictor is (6), its penalty that of (2), a sum over points; influence is (8) by (9): half the squared error
    on a test point, summed over outputs, without a training point minus the same with it. Positive means helpful.
    There is no intercept, and the fit shrinks towards zero: centre targets that are numbers.

    Methods that take test points return torch tensors for tensors, and NumPy arrays for everything else, as do the
    methods that take none; numbers are computed in float64. Parameters that are changed take effect at the next `fit`.

    Args:
        ridge: penalty λ >= 0.
        kernel: "ntk", the paper's (4), of two layers whose first is trained; "deep_ntk", of three layers, all trained;
            or a function of (n, d) and (k, d) points that gives their (n, k) kernel.
        normalize: whether rows are divided by their norm, since those two kernels are of the unit sphere; a row of
            zeros stays, and its kernel is zero, as the output of a network without biases is there. Without it rows
            whose norm is not one are an error there. A function gets the rows as they come out of this.
        device: where to compute, "cpu" or "cuda"; the CPU where absent.
        block_size: rows handled at once; 512 where absent.

    Attributes:
        fit_: the `RidgeFit` of the training points.
        leverage_: (n,) how much each training point fits itself, between 0 and 1.
        n_features_in_: d.

    >>> import numpy as np
    >>> model = NTKInfluence(ridge=0.5).fit(np.eye(3), [1.0, 2.0, 3.0])
    >>> model.predict(np.eye(3)[:1])
    array([0.5])
    >>> model.influence(np.eye(3)[:1], [1.0]).round(3)
    array([[0.375, 0.   , 0.   ]])
    """

    def __init__(
        self,
        ridge: float = 1.0,
        *,
        kernel: str | Kernel = "ntk",
        normalize: bool = True,
        device: str | torch.device | None = None,
        block_size: int | None = None,
    ):
        self.ridge = ridge
        self.kernel = kernel
        self.normalize = normalize
        self.device = device
        self.block_size = block_size

    def fit(self, X: Array, y: Array) -> Self:
        """Fit to (n, d) points and their targets, (n,) or (n, c): one Cholesky factorisation and one inverse.

        Where kernel and inverse would not fit in memory, it is in tiles, exact too, in a quarter of it (`tiled_fit`);
        the condition number is then a lower bound.

        Raises:
            TypeError: sparse input.
            ValueError: wrong shapes, NaN, a negative ridge, an unknown kernel, or without `normalize` a row whose norm
                is not one.
            MemoryError: the kernel would not fit in memory.
            numpy.linalg.LinAlgError: K + λI is singular to working precision.
        """
        self._names = names_of(X)
        X, y = self._validated(X, y)
        self._kernel_function = kernel_of(self.kernel)
        self._on_sphere = not self.normalize
        self._targets = self._learn_targets(y)
        self._points = self._to_points(X)
        self.fit_ = self._solve()
        self.leverage_ = self.fit_.leverage.cpu().numpy()
        self._flow = None
        return self

    def predict(self, X: Array) -> Array:
        """(k,) or (k, c) predictions at (k, d) points."""
        return self._like(self._decode(self._predict(X)), X)

    def influence(self, X_test: Array, y_test: Array) -> Array:
        """(k, n) influence of every training point on every test point.

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

        The first call makes an eigendecomposition, which serves all later ones.
        """
        points, targets = self._test(X_test, y_test)
        timed = influence_at(self._training(), self._kernel(points), targets, time, block_size=self._block)
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
        unseen, seen = self.fit_.loo_residual.square().sum(1), self.fit_.residual.square().sum(1)
        return ((unseen - seen) / 2).cpu().numpy()

    def loo_predict(self) -> np.ndarray:
        """Prediction at each training point by the model that has not seen it, shaped as by `predict`."""
        check_is_fitted(self)
        return self._like(self._decode(self._targets + self.fit_.loo_residual), given=None)

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

    def save(self, file: str | Path) -> None:
        """Write the fitted model to a file, which is whole or not there; `load` reads it."""
        check_is_fitted(self)
        kept = {name: value for name, value in vars(self).items() if name not in ("fit_", "_flow", "_kernel_function")}
        if callable(self.kernel):
            kept["kernel"] = {"function": getattr(self.kernel, "__name__", repr(self.kernel))}
        fit = dict(vars(self.fit_))
        if isinstance(fit["inverse"], TiledInverse):
            fit["inverse"] = {"factor": fit["inverse"].factor, "diagonal": fit["inverse"].diagonal()}
        write_state(Path(file), type(self).__name__, kept | {"fit": fit})

    @classmethod
    def load(cls, file: str | Path, *, device: str | torch.device | None = None, kernel: Kernel | None = None) -> Self:
        """A fitted model from a file that `save` wrote; no code from the file is run.

        Args:
            file: its path.
            device: where to compute from now on; the CPU where absent, wherever it was fitted.
            kernel: the function that the model was fitted with, where it was one, since no file holds code.

        Raises:
            ValueError: the file holds something else, or a model with a function for its kernel and none is passed.
        """
        state, model = read_state(Path(file), cls.__name__, device or "cpu"), cls()
        fit = state.pop("fit")
        if isinstance(fit["inverse"], dict):
            fit["inverse"] = TiledInverse(**fit["inverse"])
        fit = RidgeFit(**fit)
        if isinstance(state["kernel"], dict):
            if kernel is None:
                raise ValueError(
                    f"{file}: the model was fitted with the kernel {state['kernel']['function']}, a function, which no "
                    f"file holds; pass it, {cls.__name__}.load(file, kernel=...)."
                )
            state["kernel"] = kernel
        function = kernel_of(state["kernel"])
        vars(model).update(state, device=device, fit_=fit, _flow=None, _kernel_function=function)
        return model

    def __sklearn_tags__(self):
        """Several outputs are welcome."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    @property
    def _block(self) -> int:
        return _BLOCK if self.block_size is None else self.block_size

    def _validated(self, X: Array, y: Array) -> tuple[np.ndarray, np.ndarray]:
        return validate_data(
            self, to_numpy(X), to_numpy(y), dtype=np.float64, multi_output=True, y_numeric=True, order="C"
        )

    def _to_points(self, X: np.ndarray) -> torch.Tensor:
        points = torch.tensor(X, dtype=torch.float64, device=self.device)
        return points if self._on_sphere else to_sphere(points)

    def _solve(self) -> RidgeFit:
        n, free = len(self._points), available_bytes(self._points.device)
        most = 2 if self._points.device.type == "cpu" else 4  # matrices that `ridge_fit` holds at once
        if free is None or most * n**2 * self._points.element_size() <= free:
            return ridge_fit(self._kernel(), self._targets, self.ridge)
        return tiled_fit(self._points, self._targets, self.ridge, kernel=self._kernel, tile=max(self._block, n // 32))

    def _kernel(self, points: torch.Tensor | None = None, others: torch.Tensor | None = None) -> torch.Tensor:
        """The kernel between points and others; of the training points where one or both are absent."""
        others = self._points if others is None else others
        points = others if points is None else points
        if self._on_sphere and of_the_sphere(self._kernel_function):  # the kernel itself refuses what is not
            return self._kernel_function(points, others, block_size=self._block)
        return kernel_between(self._kernel_function, points, others, self._block)

    def _predict(self, X: Array) -> torch.Tensor:
        check_is_fitted(self)
        points = self._to_points(validate_data(self, to_numpy(X), reset=False, dtype=np.float64, order="C"))
        return torch.cat(
            [self.fit_.predict(self._kernel(points[rows])) for rows in row_blocks(len(points), self._block)]
        )

    def _test(self, X_test: Array, y_test: Array) -> tuple[torch.Tensor, torch.Tensor]:
        check_is_fitted(self)
        points = self._to_points(validate_data(self, to_numpy(X_test), reset=False, dtype=np.float64, order="C"))
        targets = self._encode(to_numpy(y_test))
        if targets.shape != (len(points), self._targets.shape[1]):
            raise ValueError(
                f"y_test: expected targets of {len(points)} test points with {self._targets.shape[1]} output(s) each, "
                f"got {tuple(targets.shape)}."
            )
        return points, targets

    def _training(self) -> KernelFlow:
        if self._flow is None:
            self._flow = kernel_flow(self._kernel(), self._targets, self.fit_.ridge)
        return self._flow

    def _like(self, values: Any, given: Array | None) -> Array:
        """Values as a tensor where a tensor was given and they are numbers, and as an array otherwise."""
        if isinstance(given, torch.Tensor) and not (isinstance(values, np.ndarray) and values.dtype.kind not in "biuf"):
            return torch.as_tensor(values, device=given.device)
        return values.cpu().numpy() if isinstance(values, torch.Tensor) else values

    # What a classifier does otherwise

    def _learn_targets(self, y: np.ndarray) -> torch.Tensor:
        self._columns = y.ndim == 2
        return self._encode(y)

    def _encode(self, y: np.ndarray) -> torch.Tensor:
        y = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y_test")
        return torch.tensor(y if y.ndim == 2 else y[:, None], dtype=torch.float64, device=self.device)

    def _decode(self, prediction: torch.Tensor) -> torch.Tensor:
        return prediction if self._columns else prediction[:, 0]
