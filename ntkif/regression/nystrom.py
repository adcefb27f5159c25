"""Kernel ridge regression beyond memory: Nystrom features, with every leave-one-out fit exact in their space.

With p landmarks Z the kernel is replaced by K(x, Z) K(Z, Z)^-1 K(Z, z). In its feature space ridge regression needs of
the training points two sums over them, of p × p and p × c numbers, which blocks of rows add up in any order and place:

    G = Σ_i k_i k_iᵀ,   b = Σ_i k_i y_iᵀ,   k_i = K(Z, x_i),      f(x) = K(x, Z) (G + λ K(Z, Z))^-1 b

Without point i both sums lose one term, and Eq. 9 holds with α(x_i, x) = k(x)ᵀ (G + λ K(Z, Z))^-1 k_i, the leverage
A_i = α(x_i, x_i) and the leave-one-out residual (f(x_i) - y_i) / (1 - A_i). The landmarks stay, even where the point
that leaves is one of them. With all training points as landmarks it is the exact method.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch

from ntkif.blocks import row_blocks
from ntkif.checks import check_fits, check_matrix, check_ridge
from ntkif.kernels import Kernel
from ntkif.kernels.infinite import ntk

__all__ = ["FeatureFit", "FeatureSums", "check_rest", "cholesky_factor", "feature_fit", "feature_sums", "nystrom_fit"]


@dataclass(frozen=True, eq=False)
class FeatureSums:
    """What a feature fit needs of some training points: sums, which add.

    Attributes:
        gram: (p, p) Σ k_i k_iᵀ.
        moment: (p, c) Σ k_i y_iᵀ.
        count: points.
    """

    gram: torch.Tensor
    moment: torch.Tensor
    count: int

    def __add__(self, other: "FeatureSums") -> "FeatureSums":
        """Those of both sets of points."""
        self._check(other)
        return FeatureSums(self.gram + other.gram, self.moment + other.moment, self.count + other.count)

    def __sub__(self, other: "FeatureSums") -> "FeatureSums":
        """Those of the points without some of them."""
        self._check(other)
        return FeatureSums(self.gram - other.gram, self.moment - other.moment, self.count - other.count)

    def _check(self, other: "FeatureSums") -> None:
        (p, c), (q, e) = self.moment.shape, other.moment.shape
        if (p, c) != (q, e):
            raise ValueError(
                f"sums: expected those of the same landmarks and outputs, {p} and {c}, got those of {q} and {e}."
            )


@dataclass(frozen=True, eq=False)
class FeatureFit:
    """A ridge fit in the space of p features, which tells of any training point what it does.

    Attributes:
        ridge: penalty λ.
        landmarks: (p, d) points Z.
        dual: (p, c) coefficients (G + λ K(Z, Z))^-1 b.
        whiten: (p, p) matrix T with TᵀT = (G + λ K(Z, Z))^-1.
        sums: of the n training points.
        kernel: of two sets of points.
    """

    ridge: float
    landmarks: torch.Tensor
    dual: torch.Tensor
    whiten: torch.Tensor
    sums: FeatureSums
    kernel: Kernel = ntk

    def predict(self, x: torch.Tensor) -> torch.Tensor:
        """(k, c) predictions at (k, d) points."""
        return self.kernel(x, self.landmarks) @ self.dual

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """(k, p) rows ψ(x) = T K(Z, x), whose products are the coefficients: α(x_i, x) = ψ(x_i)·ψ(x)."""
        return self.kernel(x, self.landmarks) @ self.whiten.T

    def leverage(self, x_train: torch.Tensor) -> torch.Tensor:
        """(b,) leverage A_i of (b, d) training points."""
        return self.features(x_train).square().sum(1)

    def without(self, x: torch.Tensor, y: torch.Tensor) -> "FeatureFit":
        """The fit without a set of training points, solved anew.

        Args:
            x: (s, d) points, which must be among those that were trained on; it cannot be seen whether they are.
            y: (s, c) their targets.
        """
        rest = self.sums - feature_sums(self.landmarks, x, y, kernel=self.kernel)
        return feature_fit(self.landmarks, rest, self.ridge, kernel=self.kernel)

    @torch.no_grad()
    def loo_influence(
        self, x_train: torch.Tensor, y_train: torch.Tensor, x_test: torch.Tensor, y_test: torch.Tensor
    ) -> torch.Tensor:
        """Influence of some of the training points, exact in feature space (Eq. 8 by Eq. 9).

        Args:
            x_train: (b, d) training points, a block of them. That they were trained on cannot be seen, so it is not
                checked.
            y_train: (b, c) their targets.
            x_test: (k, d) test points.
            y_test: (k, c) their targets.

        Returns:
            (k, b) change of loss; positive means helpful.

        Raises:
            TypeError, ValueError: wrong shapes or NaN.
            numpy.linalg.LinAlgError: a leverage of one, to working precision: without the point there is no fit.
        """
        for name, y, x in (("y_train", y_train, x_train), ("y_test", y_test, x_test)):
            check_matrix(name, y, rows=len(x), columns=self.dual.shape[1], like=self.dual)
        features = self.features(x_train)
        rest = 1 - features.square().sum(1, keepdim=True)
        check_rest(rest, 100 * len(self.landmarks) * torch.finfo(rest.dtype).eps, "landmarks")
        loo_residual = self.predict(x_train).sub_(y_train).div_(rest)
        coefficients = self.features(x_test) @ features.T
        one = ((self.predict(x_test) - y_test) @ loo_residual.T).mul_(coefficients)
        return one.add_(coefficients.square_().mul_(loo_residual.square().sum(1) / 2))


@torch.no_grad()
def feature_sums(
    landmarks: torch.Tensor, x: torch.Tensor, y: torch.Tensor, *, kernel: Kernel = ntk, block_size: int = 2048
) -> FeatureSums:
    """The sums over some training points.

    Args:
        landmarks: (p, d).
        x: (b, d) training points.
        y: (b, c) targets.
        kernel: of two sets of points.
        block_size: points handled at once; working memory is at most 4 * block_size * p numbers.

    Raises:
        TypeError, ValueError: as `ntk`; targets of another shape.
    """
    check_matrix("y", y, rows=len(x), like=landmarks)
    gram, moment = x.new_zeros(len(landmarks), len(landmarks)), x.new_zeros(len(landmarks), y.shape[1])
    for rows in row_blocks(len(x), block_size):
        part = kernel(x[rows], landmarks)
        gram.addmm_(part.T, part)
        moment.addmm_(part.T, y[rows])
    return FeatureSums(gram, moment, len(x))


@torch.no_grad()
def feature_fit(landmarks: torch.Tensor, sums: FeatureSums, ridge: float, *, kernel: Kernel = ntk) -> FeatureFit:
    """The fit from the sums over all training points.

    It is solved in coordinates in which K(Z, Z) is the identity. The digits lost are those of its condition number and
    of that of the sums in these coordinates, plus λ. Memory is 8 p² numbers, the sums included.

    Args:
        landmarks: (p, d) points, all different.
        sums: of all training points, with the same landmarks.
        ridge: penalty λ > 0.
        kernel: of two sets of points.

    Raises:
        ValueError: a ridge that is not positive; sums of other landmarks.
        numpy.linalg.LinAlgError: the kernel of the landmarks, or the system, is singular to working precision.
    """
    check_ridge(ridge, positive=True)
    p = len(landmarks)
    check_matrix("sums.gram", sums.gram, rows=p, columns=p, like=landmarks)
    root = cholesky_factor(
        kernel(landmarks, landmarks),
        "landmarks: expected points that all differ, and no more of them than the kernel has rank",
    )
    half = torch.linalg.solve_triangular(root, sums.gram, upper=False)
    inner = torch.linalg.solve_triangular(root, half.T, upper=False)
    inner = (inner + inner.T).div_(2)
    inner.diagonal().add_(ridge)
    factor = cholesky_factor(inner, "sums: expected those of these landmarks, and a ridge that the precision can see")
    unit = torch.eye(p, dtype=root.dtype, device=root.device)
    whiten = torch.linalg.solve_triangular(root @ factor, unit, upper=False)
    return FeatureFit(ridge, landmarks, whiten.T @ (whiten @ sums.moment), whiten, sums, kernel)


def nystrom_fit(
    blocks: Iterable[tuple[torch.Tensor, torch.Tensor]], landmarks: torch.Tensor, ridge: float, *, kernel: Kernel = ntk
) -> FeatureFit:
    """`feature_fit` in one pass over blocks of training points and their targets; see `cluster.fit_on` for many.

    Args:
        blocks: pairs of (b, d) points and (b, c) targets, at least one pair.
        landmarks: (p, d) points, such as some of the training points. Memory is 8 p² numbers beside a block's.
        ridge: penalty λ > 0.
        kernel: of two sets of points.

    Raises:
        TypeError, ValueError, MemoryError, numpy.linalg.LinAlgError: as `feature_sums` and `feature_fit`.
    """
    p = len(landmarks)
    check_fits("the feature fit", 8, p, p, like=landmarks, advice="use fewer landmarks.")
    sums = None
    for x, y in blocks:
        part = feature_sums(landmarks, x, y, kernel=kernel)
        sums = part if sums is None else sums + part
    if sums is None:
        raise ValueError("blocks: expected at least one block of training points, got none.")
    return feature_fit(landmarks, sums, ridge, kernel=kernel)


def check_rest(rest: torch.Tensor, rounding: float, fewer: str) -> None:
    """Require what leverages leave of one to be more than rounding; the error advises fewer of something."""
    if rest.min() <= rounding:
        from numpy.linalg import LinAlgError

        raise LinAlgError(
            f"a leverage of {1 - float(rest.min()):.6g} came out, and it must be below one by more than rounding, "
            f"{rounding:.1g}: use float64, a larger ridge or fewer {fewer}."
        )


def cholesky_factor(matrix: torch.Tensor, expected: str) -> torch.Tensor:
    """The Cholesky factor of a matrix that is positive to working precision; the error says what was expected."""
    from numpy.linalg import LinAlgError

    factor, info = torch.linalg.cholesky_ex(matrix)
    # Of a singular matrix a pivot may come out as a rounding error above zero.
    least = len(matrix) * torch.finfo(matrix.dtype).eps * matrix.diagonal()
    if info or (factor.diagonal().square() <= least).any():
        raise LinAlgError(f"{expected}, got a matrix that is singular to {matrix.dtype} precision.")
    return factor
