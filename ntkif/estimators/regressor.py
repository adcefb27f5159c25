"""The method as a scikit-learn regressor, for NumPy arrays and torch tensors; `classifier` is for labels.

Needs scikit-learn, which the rest of the package does without.
"""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from ntkif.blocks import row_blocks
from ntkif.estimators.choice import check_choice
from ntkif.estimators.files import Saved
from ntkif.estimators.influences import Influences
from ntkif.estimators.points import APPEND_ONE, check_table, normalized, warn_of_one_direction
from ntkif.estimators.solution import Solution
from ntkif.estimators.state import Array, to_numpy
from ntkif.influence.table import names_of
from ntkif.kernels import Kernel
from ntkif.regression.weighted import WeightedFit

__all__ = ["NTKInfluence"]

_BLOCK = 512


class NTKInfluence(RegressorMixin, Influences, Solution, Saved, BaseEstimator):
    """Kernel ridge regression with the NTK of a wide ReLU network, or another kernel, and the influence of each point.

    The predictor is (6) plus an intercept, its penalty that of (2), a sum over points; influence is (8) by (9): half
    the squared error on a test point, summed over outputs, without a training point minus the same with it. Positive
    means helpful. All of it equals refitting, with intercept and weights (`WeightedFit`). What was learnt beforehand is
    held fixed: the scaler before it in a pipeline, which has seen all points, and a ridge or kernel that was chosen.

    Methods that take test points return torch tensors for tensors, and NumPy arrays for everything else, as do the
    methods that take none; numbers are computed in float64. Parameters that are changed take effect at the next `fit`.

    Args:
        ridge: penalty λ >= 0; or "loo", the one of `ridges` with the least mean squared leave-one-out error.
        kernel: "ntk", the paper's (4), of two layers whose first is trained; "deep_ntk", of three layers, all trained;
            or a function of (n, d) and (k, d) tensors that gives their (n, k) kernel. Of a list of these the one is
            taken whose leave-one-out error is least.
        fit_intercept: whether a constant is added to the predictor that no penalty holds; the paper has none.
        normalize: whether rows are divided by their norm, since those two kernels are of the unit sphere; a row of
            zeros stays, and its kernel is zero, as the output of a network without biases is there. With "append-one"
            each row first gets a 1 at its end, as for a network with biases, so that lengths count and no row is zero.
            Without it rows whose norm is not one are an error there. A function gets the rows as they come out of this.
        ridges: that "loo" chooses from; where absent 10^-4, 10^-3.5, ..., 10^3 times the mean diagonal of the kernel.
        landmarks: so many training points that span the kernel, for more of them than memory holds: n p numbers in
            place of n². Half are drawn, half those with the largest self-influence by these. Every method is exact in
            their span, and an approximation beside the kernel, with a warning where much may be missed; with as many
            landmarks as points it is none. None: the kernel itself.
        random_state: of their draw.
        device: where to compute, "cpu" or "cuda"; the CPU where absent.
        block_size: rows handled at once; 512 where absent.

    Attributes:
        fit_: the `WeightedFit` of the training points.
        leverage_: (n,) how much each training point fits itself, between 0 and 1.
        ridge_, kernel_: those of the fit.
        ridges_, loo_errors_: (k, r) ridges tried with each of k kernels, and their errors; None without a choice.
        missed_: with landmarks, an upper bound of the share of the freedom of the exact fit (the sum of all leverages)
            that is outside their span, (tr K - tr ΦΦᵀ) / λ over the same and the sum of the leverages here. None
            without.
        n_features_in_: d.

    >>> import numpy as np
    >>> model = NTKInfluence(ridge=0.5).fit(np.eye(3), [1.0, 2.0, 6.0])
    >>> model.predict(np.eye(3)[:1])
    array([2.])
    >>> model.influence(np.eye(3)[:1], [0.0]).round(3)
    array([[ 6.   ,  0.531, -1.219]])
    """

    def __init__(
        self,
        ridge: float | str = 1.0,
        *,
        kernel: str | Kernel | Sequence[str | Kernel] = "ntk",
        fit_intercept: bool = True,
        normalize: bool | str = True,
        ridges: Sequence[float] | None = None,
        landmarks: int | None = None,
        random_state: int | None = 0,
        device: str | torch.device | None = None,
        block_size: int | None = None,
    ):
        self.ridge = ridge
        self.kernel = kernel
        self.fit_intercept = fit_intercept
        self.normalize = normalize
        self.ridges = ridges
        self.landmarks = landmarks
        self.random_state = random_state
        self.device = device
        self.block_size = block_size

    def fit(self, X: Array, y: Array, sample_weight: Array | None = None) -> Self:
        """Fit to (n, d) points and their targets, (n,) or (n, c): one Cholesky factorisation and one inverse.

        What was learnt before is forgotten first, so an estimator whose fit was refused is not fitted.

        Where kernel and inverse would not fit in memory, it is in tiles, exact too, in a quarter of it (`tiled_fit`);
        the condition number is then a lower bound.

        Args:
            X: (n, d) points.
            y: targets; of the classifier (n,) labels.
            sample_weight: (n,) weights of the squared errors, one each where absent. A point of weight zero is absent.

        Raises:
            TypeError: sparse input, or a ridge that is no number.
            ValueError: wrong shapes, NaN, a negative ridge or weight, an unknown kernel, or without `normalize` a row
                whose norm is not one.
            MemoryError: the kernel would not fit in memory.
            numpy.linalg.LinAlgError: K + λI is singular to working precision.

        Warns:
            UserWarning: landmarks of which influences may be wrong by half; or rows with one direction.
        """
        for name in ("fit_", "leverage_", "_flow"):
            vars(self).pop(name, None)
        check_choice(self.ridge, self.ridges)
        check_table(X)
        self._names = names_of(X)
        X, y = self._validated(X, y)
        self._normalize = self.normalize
        self._targets = self._learn_targets(y)
        self._points = self._to_points(X)
        if self._normalize and self._normalize != APPEND_ONE:
            warn_of_one_direction(self._points)
        self._weight = torch.tensor(self._weigh(y, sample_weight), device=self.device)
        self._draw()
        self._choose()
        fit, self._flow = self._solve(), None
        self.leverage_ = fit.leverage.cpu().numpy()
        self._calibrate(fit)
        self.fit_ = fit  # last, since with it the estimator is fitted
        return self

    def predict(self, X: Array) -> Array:
        """(k,) or (k, c) predictions at (k, d) points."""
        return self._like(self._decode(self._predict(X)), X)

    def __sklearn_is_fitted__(self) -> bool:
        """Whether the last fit came to its end."""
        return hasattr(self, "fit_")

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
        return normalized(torch.tensor(X, dtype=torch.float64, device=self.device), self._normalize)

    def _weigh(self, y: np.ndarray, sample_weight: Array | None) -> np.ndarray:
        """(n,) weights."""
        if sample_weight is None:
            return np.ones(len(y))
        weight = check_array(
            to_numpy(sample_weight), ensure_2d=False, dtype=np.float64, input_name="sample_weight", copy=True
        )
        if weight.shape != (len(y),):
            raise ValueError(f"sample_weight: expected {len(y)} numbers, one for each row, got shape {weight.shape}.")
        return weight

    def _predict(self, X: Array) -> torch.Tensor:
        points = self._read(X)
        return torch.cat(
            [self.fit_.predict(self._kernel(points[rows])) for rows in row_blocks(len(points), self._block)]
        )

    def _read(self, X: Array) -> torch.Tensor:
        """Test points."""
        check_is_fitted(self)
        check_table(X)
        return self._to_points(validate_data(self, to_numpy(X), reset=False, dtype=np.float64, order="C"))

    def _test(self, X_test: Array, y_test: Array) -> tuple[torch.Tensor, torch.Tensor]:
        points, targets = self._read(X_test), self._encode(to_numpy(y_test))
        if targets.shape != (len(points), self._targets.shape[1]):
            raise ValueError(
                f"y_test: expected targets of {len(points)} test points with {self._targets.shape[1]} output(s) each, "
                f"got {tuple(targets.shape)}."
            )
        return points, targets

    def _like(self, values: Any, given: Array | None) -> Array:
        """Values as a tensor where a tensor was given and they are numbers, and as an array otherwise."""
        if isinstance(given, torch.Tensor) and not (isinstance(values, np.ndarray) and values.dtype.kind not in "biuf"):
            return torch.as_tensor(values, device=given.device)
        return values.cpu().numpy() if isinstance(values, torch.Tensor) else values

    # What a classifier does otherwise

    def _learn_targets(self, y: np.ndarray) -> torch.Tensor:
        self._columns = y.ndim == 2
        return self._encode(y)

    def _calibrate(self, fit: WeightedFit) -> None:
        pass

    def _encode(self, y: np.ndarray) -> torch.Tensor:
        y = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y_test")
        return torch.tensor(y if y.ndim == 2 else y[:, None], dtype=torch.float64, device=self.device)

    def _decode(self, prediction: torch.Tensor) -> torch.Tensor:
        return prediction if self._columns else prediction[:, 0]
