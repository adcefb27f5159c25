"""Kernel ridge regression with every leave-one-out fit for the price of one (Eq. 5, 6 and 9)."""

from dataclasses import dataclass
from importlib.util import find_spec

import torch

from ntkif.blocks import mirror_upper_, row_blocks
from ntkif.checks import check_condition, check_fits, check_group, check_matrix, check_ridge, check_training_kernel

__all__ = ["RidgeFit", "refit_without", "ridge_fit"]


@dataclass(frozen=True, eq=False)
class RidgeFit:
    """A kernel ridge fit that knows what each of its n training points does to it.

    Attributes:
        ridge: the penalty λ of Eq. 2 and 5.
        y_train: (n, c) targets.
        inverse: (n, n) matrix (K + λI)^-1.
        dual: (n, c) coefficients (K + λI)^-1 Y, the minimiser of Eq. 5.
        condition: condition number of K + λI in the 1-norm.
    """

    ridge: float
    y_train: torch.Tensor
    inverse: torch.Tensor
    dual: torch.Tensor
    condition: float

    @property
    def residual(self) -> torch.Tensor:
        """(n, c) training residual f(x_i) - y_i = -λ dual_i."""
        return -self.ridge * self.dual

    @property
    def loo_residual(self) -> torch.Tensor:
        """(n, c) leave-one-out residual f^{-i}(x_i) - y_i = -dual_i / [(K + λI)^-1]_ii (appendix, Eq. 60)."""
        return -self.dual / self.inverse.diagonal()[:, None]

    @property
    def leverage(self) -> torch.Tensor:
        """(n,) leverage A_i = [K (K + λI)^-1]_ii = 1 - λ [(K + λI)^-1]_ii, between 0 and 1 (appendix, Eq. 63)."""
        return 1 - self.ridge * self.inverse.diagonal()

    @property
    def self_influence(self) -> torch.Tensor:
        """(n,) influence of each training point on itself (8): its loss without it, less its training loss."""
        return (self.loo_residual.square() - self.residual.square()).sum(1) / 2

    def predict(self, k_test_train: torch.Tensor) -> torch.Tensor:
        """(k, c) predictions f(x_te) = K_te (K + λI)^-1 Y (Eq. 6) from the (k, n) test kernel."""
        check_matrix("k_test_train", k_test_train, columns=len(self.dual), like=self.dual)
        return k_test_train @ self.dual

    def coefficients(self, k_test_train: torch.Tensor) -> torch.Tensor:
        """(k, n) coefficients α(x_i, x_te) = K_te (K + λI)^-1 e_i (Eq. 13) from the (k, n) test kernel."""
        check_matrix("k_test_train", k_test_train, columns=len(self.dual), like=self.dual)
        return k_test_train @ self.inverse

    def loo_predict(self, k_test_train: torch.Tensor) -> torch.Tensor:
        """All leave-one-out predictions at once (Eq. 9).

            f^{-i}(x_te) = f(x_te) + α(x_i, x_te) (f^{-i}(x_i) - y_i)

        Args:
            k_test_train: (k, n) kernel between test and training points.

        Returns:
            (k, n, c) predictions; entry [t, i] is that of the fit without training point i at test point t.

        Raises:
            ValueError: wrong shape.
            MemoryError: the result would not fit; pass fewer test points at once.
        """
        coefficients, size = self.coefficients(k_test_train), (len(k_test_train), *self.dual.shape)
        check_fits("the leave-one-out predictions", *size, like=self.dual, advice="pass fewer test points at once.")
        return (coefficients[:, :, None] * self.loo_residual).add_(self.predict(k_test_train)[:, None, :])

    def predict_without(self, k_test_train: torch.Tensor, group: torch.Tensor) -> torch.Tensor:
        """Prediction of the fit from which a whole set S of training points is removed: the block form of Eq. 9.

            f^{-S}(x_te) = f(x_te) - α_S ([(K + λI)^-1]_SS)^-1 dual_S

        Args:
            k_test_train: (k, n) kernel between test and training points.
            group: (s,) whole numbers, the rows of the training points to remove, each once.

        Returns:
            (k, c) predictions.

        Raises:
            ValueError: wrong shape, or a row named twice or outside the training set.
        """
        return self.predict(k_test_train) + self.shift_without(k_test_train, group)

    def shift_without(self, k_test_train: torch.Tensor, group: torch.Tensor) -> torch.Tensor:
        """(k, c) change f^{-S}(x_te) - f(x_te) of the predictions by the removal; arguments as `predict_without`."""
        group = check_group(group, len(self.dual)).to(self.dual.device)
        alpha = k_test_train @ self.inverse[:, group]
        return -alpha @ torch.linalg.solve(self.inverse[group][:, group], self.dual[group])


@torch.no_grad()
def ridge_fit(k_train_train: torch.Tensor, y_train: torch.Tensor, ridge: float) -> RidgeFit:
    """Kernel ridge regression (Eq. 5): one Cholesky factorisation and one inverse serve every removal.

    Args:
        k_train_train: (n, n) kernel matrix of the training points; not changed.
        y_train: (n, c) targets, a column for each output.
        ridge: penalty λ >= 0 of Eq. 2. The loss is a sum over points, so a removal leaves λ as it is.

    Returns:
        the fit. Peak memory beside `k_train_train` is one more (n, n) matrix and 1024 n numbers on a CPU.

    Raises:
        TypeError, ValueError: wrong shapes, NaN, a kernel that is not symmetric, a negative ridge.
        MemoryError: the inverse would not fit in memory.
        numpy.linalg.LinAlgError: K + λI is singular to working precision.

    >>> float(ridge_fit(torch.eye(2), torch.ones(2, 1), ridge=1.0).predict(torch.eye(2))[0])
    0.5
    """
    check_training_kernel(k_train_train, y_train, ridge)
    n = len(k_train_train)
    check_fits("the inverse kernel", n, n, like=k_train_train, advice="use fewer training points or float32.")
    inverse = _inverse(k_train_train, ridge)
    # Columns of K + λI sum to those of |K| plus λ, since a kernel's diagonal is not negative.
    condition = (_norm_1(k_train_train) + ridge) * _norm_1(inverse) if inverse is not None else float("inf")
    check_condition(condition, ridge, k_train_train.dtype)
    return RidgeFit(ridge, y_train, inverse, inverse @ y_train, condition)


@torch.no_grad()
def refit_without(
    k_train_train: torch.Tensor,
    k_test_train: torch.Tensor,
    y_train: torch.Tensor,
    ridge: float,
    group: torch.Tensor,
) -> torch.Tensor:
    """Brute force: drop the rows in `group`, solve Eq. 5 anew and predict (Eq. 6). The truth that Eq. 9 must meet.

    Args:
        k_train_train: (n, n) kernel matrix of the training points.
        k_test_train: (k, n) kernel between test and training points.
        y_train: (n, c) targets.
        ridge: penalty λ.
        group: (s,) rows of the training points to remove.

    Returns:
        (k, c) predictions of the fit on the other n - s points; zero where none is left.

    Raises:
        TypeError, ValueError: wrong shapes or NaN, a negative ridge, or a row named twice or outside the data.
    """
    check_matrix("k_train_train", k_train_train, rows=len(y_train), columns=len(y_train))
    check_matrix("k_test_train", k_test_train, columns=len(y_train), like=k_train_train)
    check_matrix("y_train", y_train, like=k_train_train)
    check_ridge(ridge)
    kept = torch.ones(len(y_train), dtype=torch.bool, device=y_train.device)
    kept[check_group(group, len(y_train)).to(y_train.device)] = False
    system = k_train_train[kept][:, kept]
    system.diagonal().add_(ridge)
    return k_test_train[:, kept] @ torch.linalg.solve(system, y_train[kept])


def _inverse(k_train_train: torch.Tensor, ridge: float) -> torch.Tensor | None:
    """(K + λI)^-1, or None where the factorisation meets a pivot that is not positive."""
    matrix = k_train_train.clone(memory_format=torch.contiguous_format)
    matrix.diagonal().add_(ridge)
    # A bare GPU machine may have no SciPy.
    lapack = matrix.device.type == "cpu" and find_spec("scipy")
    return _lapack_inverse_(matrix) if lapack else _torch_inverse(matrix)


def _torch_inverse(matrix: torch.Tensor) -> torch.Tensor | None:
    factor, info = torch.linalg.cholesky_ex(matrix)
    return None if info else torch.cholesky_inverse(factor)


def _lapack_inverse_(matrix: torch.Tensor) -> torch.Tensor | None:
    """In place, where torch takes three more (n, n) matrices; SciPy's LAPACK was also up to twice as fast."""
    from scipy.linalg import get_lapack_funcs

    # A symmetric matrix is its own transpose, and the transposed view has the column order that LAPACK wants.
    columns = matrix.numpy().T
    potrf, potri = get_lapack_funcs(("potrf", "potri"), (columns,))
    factor, info = potrf(columns, lower=1, clean=0, overwrite_a=1)
    if info:
        return None
    inverse, _ = potri(factor, lower=1, overwrite_c=1)
    return mirror_upper_(torch.from_numpy(inverse.T))


def _norm_1(matrix: torch.Tensor) -> float:
    """1-norm of a symmetric matrix, in row blocks."""
    return max(float(matrix[rows].abs().sum(1).max()) for rows in row_blocks(len(matrix), 512))
