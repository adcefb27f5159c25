"""`NTKInfluence` for labels, as a scikit-learn classifier.

Needs scikit-learn, which the rest of the package does without.
"""

import numpy as np
import torch
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d, validate_data

from ntkif.estimators.regressor import NTKInfluence
from ntkif.estimators.state import Array, to_numpy

__all__ = ["NTKInfluenceClassifier"]


class NTKInfluenceClassifier(ClassifierMixin, NTKInfluence):
    """`NTKInfluence` for labels: +-1 for two classes, one-hot for more, and back.

    With two classes the second of `classes_`, as scikit-learn orders them, has the target +1. Arguments, attributes and
    methods are those of `NTKInfluence`, with labels for targets; labels that are no numbers come as arrays.

    Attributes:
        classes_: (c,) the labels.

    >>> import numpy as np
    >>> model = NTKInfluenceClassifier(ridge=0.5).fit(np.eye(3), ["cat", "dog", "dog"])
    >>> model.predict(np.eye(3)).tolist()
    ['cat', 'dog', 'dog']
    """

    def decision_function(self, X: Array) -> Array:
        """(k,) outputs, positive for the second of two classes; or (k, c), the largest for the class predicted."""
        outputs = self._predict(X)
        return self._like(outputs[:, 0] if outputs.shape[1] == 1 else outputs, X)

    def __sklearn_tags__(self):
        """One label for each point."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = False
        return tags

    def _validated(self, X: Array, y: Array) -> tuple[np.ndarray, np.ndarray]:
        X, y = validate_data(self, to_numpy(X), to_numpy(y), dtype=np.float64, order="C")
        return X, column_or_1d(y, warn=True)

    def _learn_targets(self, y: np.ndarray) -> torch.Tensor:
        check_classification_targets(y)
        self.classes_ = np.unique(y)
        if len(self.classes_) < 2:
            raise ValueError(
                f"y: expected labels of at least two classes, got only one class, {self.classes_.tolist()[0]!r}."
            )
        return self._encode(y)

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
