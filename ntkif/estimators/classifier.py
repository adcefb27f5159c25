"""`NTKInfluence` for labels, as a scikit-learn classifier.

Needs scikit-learn, which the rest of the package does without.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from sklearn.base import ClassifierMixin
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d, validate_data

from ntkif.estimators.calibration import calibrated, probabilities
from ntkif.estimators.regressor import NTKInfluence
from ntkif.estimators.state import Array, to_numpy
from ntkif.kernels import Kernel
from ntkif.regression.weighted import WeightedFit

__all__ = ["NTKInfluenceClassifier"]


class NTKInfluenceClassifier(ClassifierMixin, NTKInfluence):
    """`NTKInfluence` for labels: +-1 for two classes, one-hot for more, and back.

    With two classes the second of `classes_`, as scikit-learn orders them, has the target +1. Arguments, attributes and
    methods are those of `NTKInfluence`, with labels for targets; labels that are no numbers come as arrays.

    Probabilities are the softmax of the outputs times one number, fitted to the labels and the outputs at each training
    point of the model that has not seen it (temperature scaling by leave-one-out, `calibrated`). So they are of points
    that are new, and the likeliest label is the one predicted. A sample weight above one stands for as many copies, of
    which one is left out there.

    Args:
        ridge, kernel, fit_intercept, normalize, ridges, landmarks, random_state, device, block_size: as of
            `NTKInfluence`.
        class_weight: what multiplies the weights of each class: a mapping from labels to numbers, or "balanced", with
            which all classes weigh the same in sum; one each where absent.

    Attributes:
        classes_: (c,) the labels.

    >>> import numpy as np
    >>> model = NTKInfluenceClassifier(ridge=0.5).fit(np.eye(3), ["cat", "dog", "dog"])
    >>> model.predict(np.eye(3)).tolist()
    ['cat', 'dog', 'dog']
    """

    def __init__(
        self,
        ridge: float | str = 1.0,
        *,
        kernel: str | Kernel | Sequence[str | Kernel] = "ntk",
        fit_intercept: bool = True,
        class_weight: Mapping[Any, float] | str | None = None,
        normalize: bool | str = True,
        ridges: Sequence[float] | None = None,
        landmarks: int | None = None,
        random_state: int | None = 0,
        device: str | torch.device | None = None,
        block_size: int | None = None,
    ):
        options = {"normalize": normalize, "ridges": ridges, "device": device, "block_size": block_size}
        options |= {"landmarks": landmarks, "random_state": random_state}
        super().__init__(ridge, kernel=kernel, fit_intercept=fit_intercept, **options)
        self.class_weight = class_weight

    def decision_function(self, X: Array) -> Array:
        """(k,) outputs, positive for the second of two classes; or (k, c), the largest for the class predicted."""
        return self._like(_flat(self._predict(X)), X)

    def predict_proba(self, X: Array) -> Array:
        """(k, c) probabilities of the classes, in the order of `classes_`."""
        return self._like(probabilities(self._predict(X), self._slope), X)

    def loo_decision(self) -> np.ndarray:
        """Outputs at each training point of the model that has not seen it, shaped as by `decision_function`."""
        return _flat(self._loo_outputs()).cpu().numpy()

    def loo_predict_proba(self) -> np.ndarray:
        """(n, c) probabilities at each training point by the model that has not seen it, as label checkers want them.

        Of the label of the point only the number that all outputs are multiplied by knows.
        """
        return probabilities(self._loo_outputs(), self._slope).cpu().numpy()

    def loo_margin(self) -> np.ndarray:
        """(n,) output for the label of each training point less the largest other, by the model that has not seen it.

        Of two classes it is the output, with the sign of the label. Where it is negative that model contradicts the
        label; the lowest are the most suspicious.
        """
        outputs, own = self._loo_outputs(), self._targets > 0
        if outputs.shape[1] == 1:
            return (self._targets * outputs)[:, 0].cpu().numpy()
        return (outputs[own] - outputs.masked_fill(own, -torch.inf).amax(1)).cpu().numpy()

    def __sklearn_tags__(self):
        """One label for each point."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = False
        return tags

    def _validated(self, X: Array, y: Array) -> tuple[np.ndarray, np.ndarray]:
        _check_there(to_numpy(y))
        X, y = validate_data(self, to_numpy(X), to_numpy(y), dtype=np.float64, order="C")
        return X, column_or_1d(y, warn=True)

    def _learn_targets(self, y: np.ndarray) -> torch.Tensor:
        try:
            check_classification_targets(y)
            self.classes_ = np.unique(y)
        except TypeError as failure:  # labels without an order
            kinds = sorted({type(label).__name__ for label in y})
            raise TypeError(f"y: expected labels of one kind, got {' and '.join(kinds)}; make them texts.") from failure
        return self._encode(y)

    def _weigh(self, y: np.ndarray, sample_weight: Array | None) -> np.ndarray:
        weight = super()._weigh(y, sample_weight)
        self._copies = np.maximum(1, weight)
        self._check_classes(y, weight)
        options = {"classes": self.classes_, "y": y, "sample_weight": weight}
        weight *= compute_class_weight(self.class_weight, **options)[np.searchsorted(self.classes_, y)]
        self._check_classes(y, weight)
        return weight

    def _calibrate(self, fit: WeightedFit) -> None:
        place = torch.as_tensor(np.searchsorted(self.classes_, self._decode(self._targets)), device=self.device)
        self._slope = calibrated(self._targets + self._residual_without_one(fit), place, self._weight)

    def _residual_without_one(self, fit: WeightedFit) -> torch.Tensor:
        """(n, c) residual at each training point of the model without one of its copies: (f - y) / (1 - A_i / w_i)."""
        leverage, copies = fit.leverage, torch.as_tensor(self._copies, device=self.device)
        share = ((1 - leverage) / (1 - leverage / copies)).where(copies > 1, 1)
        return share[:, None] * fit.loo_residual

    def _check_classes(self, y: np.ndarray, weight: np.ndarray) -> None:
        counted = np.unique(y[weight > 0])
        if len(counted) < max(2, len(self.classes_)):
            raise ValueError(
                f"y: expected at least two classes, each with a weight above zero, got {len(counted)} class(es) with "
                f"one, {counted.tolist()}, of {self.classes_.tolist()}; drop the rows of the others."
            )

    def _encode(self, y: np.ndarray) -> torch.Tensor:
        y = column_or_1d(y)
        unknown = ~np.isin(y, self.classes_)
        if unknown.any():
            raise ValueError(f"y_test: expected labels among {self.classes_.tolist()}, got {y[unknown].tolist()[0]!r}.")
        place = torch.as_tensor(np.searchsorted(self.classes_, y), device=self.device)
        if len(self.classes_) == 2:
            return (2.0 * place[:, None] - 1).double()
        return torch.nn.functional.one_hot(place, len(self.classes_)).double()

    def _decode(self, prediction: torch.Tensor) -> np.ndarray:
        binary = prediction.shape[1] == 1
        place = (prediction[:, 0] > 0).long() if binary else prediction.argmax(1)
        return self.classes_[place.cpu().numpy()]


def _check_there(y: Array) -> None:
    """Require that no label is None or NA of pandas; NaN is found by scikit-learn."""
    labels = np.asarray(y)
    if labels.dtype != object or labels.ndim == 0:
        return
    missing = [row for row, label in enumerate(labels.ravel()) if label is None or type(label).__name__ == "NAType"]
    if missing:
        raise ValueError(
            f"y: expected a label for each point, got none in {len(missing)} row(s), the first of them row "
            f"{missing[0]}; drop those rows."
        )


def _flat(outputs: torch.Tensor) -> torch.Tensor:
    return outputs[:, 0] if outputs.shape[1] == 1 else outputs
