"""Influence matrices: what removing training points does to each test loss (Eq. 8, 13-15), exactly or estimated.

An entry [t, i] is the half squared error at test point t, summed over outputs, without training point (or set) i
minus the same with it: positive means helpful.
"""

from collections.abc import Mapping, Sequence

import torch

from ntkif.blocks import row_blocks
from ntkif.checks import check_fits, check_matrix, check_ridge, groups_of
from ntkif.kernels import Kernel
from ntkif.kernels.infinite import ntk
from ntkif.regression.ridge import RidgeFit, ridge_fit

__all__ = ["group_influence", "ihvp_influence", "influence_terms", "loo_influence", "ntk_influence"]


@torch.no_grad()
def loo_influence(
    fit: RidgeFit, k_test_train: torch.Tensor, y_test: torch.Tensor, *, block_size: int = 256
) -> torch.Tensor:
    """Exact leave-one-out influence of the kernel predictor (Eq. 8 by Eq. 9).

        I[t, i] = Σ_c 1/2 (f^{-i}_c(x_t) - y_tc)^2 - 1/2 (f_c(x_t) - y_tc)^2 = term I + term II

    Args:
        fit: kernel ridge fit of the n training points.
        k_test_train: (k, n) kernel between test and training points.
        y_test: (k, c) targets of the test points.
        block_size: test points handled at once. Working memory beside the result is at most
            3 * block_size * n numbers.

    Returns:
        (k, n) change of loss; positive means helpful.

    Raises:
        TypeError, ValueError: wrong shapes or NaN.
        MemoryError: the result would not fit in memory.
    """
    out = _empty_like_pairs(fit, k_test_train, y_test)
    _loo_influence(fit, k_test_train, y_test, block_size, out)
    return out


@torch.no_grad()
def influence_terms(
    fit: RidgeFit, k_test_train: torch.Tensor, y_test: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The two terms of Proposition 2 (Eq. 14), whose sum is the exact influence; Eq. 15 keeps the first alone.

        term I  = α(x_i, x_t) Σ_c (f_c(x_t) - y_tc) (f^{-i}_c(x_i) - y_ic)
        term II = 1/2 α(x_i, x_t)^2 Σ_c (f^{-i}_c(x_i) - y_ic)^2

    Args:
        fit: kernel ridge fit of the n training points.
        k_test_train: (k, n) kernel between test and training points.
        y_test: (k, c) targets of the test points.

    Returns:
        two (k, n) matrices in the units of the loss: term I, positive where helpful, and term II, never negative.

    Raises:
        TypeError, ValueError: wrong shapes or NaN.
    """
    _check_pairs(fit, k_test_train, y_test)
    check_fits("the two terms", 2, *k_test_train.shape, like=fit.dual, advice="pass fewer test points at once.")
    return _terms(fit, k_test_train, y_test)


@torch.no_grad()
def ihvp_influence(
    fit: RidgeFit, k_test_train: torch.Tensor, y_test: torch.Tensor, *, block_size: int = 256
) -> torch.Tensor:
    """The classic implicit Hessian-vector product (IHVP) in the NTK regime (Eq. 13).

        Î[t, i] = α(x_i, x_t) Σ_c (f_c(x_t) - y_tc) (f_c(x_i) - y_ic) = (1 - A_i) term I

    It takes the training residual where term I takes the leave-one-out residual.

    Args:
        fit: kernel ridge fit of the n training points, with a positive ridge.
        k_test_train: (k, n) kernel between test and training points.
        y_test: (k, c) targets of the test points.
        block_size: test points handled at once. Working memory beside the result is at most
            2 * block_size * n numbers.

    Returns:
        (k, n) estimated change of loss; positive means helpful.

    Raises:
        TypeError, ValueError: wrong shapes, NaN, or a ridge of zero, where the Hessian has no inverse.
        MemoryError: the result would not fit in memory.
    """
    check_ridge(fit.ridge, positive=True)
    out = _empty_like_pairs(fit, k_test_train, y_test)
    for rows in row_blocks(len(y_test), block_size):
        residual = fit.predict(k_test_train[rows]) - y_test[rows]
        torch.mul(fit.coefficients(k_test_train[rows]), residual @ fit.residual.T, out=out[rows])
    return out


@torch.no_grad()
def group_influence(
    fit: RidgeFit, k_test_train: torch.Tensor, y_test: torch.Tensor, groups: Sequence | Mapping
) -> torch.Tensor:
    """Exact influence of removing whole sets of training points together: the block form of Eq. 9.

        I[t, g] = Σ_c 1/2 (f^{-S_g}_c(x_t) - y_tc)^2 - 1/2 (f_c(x_t) - y_tc)^2

    Args:
        fit: kernel ridge fit of the n training points.
        k_test_train: (k, n) kernel between test and training points.
        y_test: (k, c) targets of the test points.
        groups: g sets, or a mapping of them, each of distinct training rows; they may overlap. Working memory beside
            the result, for the largest set of s points, is s * (n + k + 3 s) + 8 * k * c numbers.

    Returns:
        (k, g) change of loss; positive means that the set as a whole is helpful.

    Raises:
        TypeError, ValueError: wrong shapes or NaN, no set, or a set that names a row twice or outside the data.
    """
    groups = groups_of(groups)
    _check_pairs(fit, k_test_train, y_test)
    size = (len(y_test), len(groups))
    check_fits("the influence of groups", *size, like=fit.dual, advice="pass fewer groups at once.")
    residual = fit.predict(k_test_train) - y_test
    out = residual.new_empty(size)
    for column, group in enumerate(groups):
        shift = fit.shift_without(k_test_train, group)
        out[:, column] = (shift * (residual + shift / 2)).sum(1)
    return out


@torch.no_grad()
def ntk_influence(
    x_train: torch.Tensor,
    y_train: torch.Tensor,
    x_test: torch.Tensor,
    y_test: torch.Tensor,
    ridge: float,
    *,
    kernel: Kernel = ntk,
    block_size: int = 512,
) -> torch.Tensor:
    """Exact influence from images: the kernel, one fit, and the influence, with the test kernel made in blocks.

    Args:
        x_train: (n, d) training points, for `ntk` with rows of norm one.
        y_train: (n, c) targets.
        x_test: (k, d) test points, likewise.
        y_test: (k, c) targets.
        ridge: penalty λ >= 0.
        kernel: of two sets of points; the paper's where absent.
        block_size: test points handled at once. Peak memory beside the result is at most
            2 n^2 + (5 * block_size + 1024) * n numbers on a CPU, and what a kernel of your own takes.

    Returns:
        (k, n) change of loss; positive means helpful.

    Raises:
        TypeError, ValueError, MemoryError, numpy.linalg.LinAlgError: as the kernel, `ridge_fit` and `loo_influence`.
    """
    check_matrix("y_train", y_train, rows=len(x_train))
    check_matrix("y_test", y_test, rows=len(x_test), columns=y_train.shape[1])
    fit = ridge_fit(kernel(x_train, x_train), y_train, ridge)
    check_fits("the influence matrix", len(x_test), len(x_train), like=x_train, advice="pass fewer test points.")
    out = x_train.new_empty(len(x_test), len(x_train))
    for rows in row_blocks(len(x_test), block_size):
        k_test_train = kernel(x_test[rows], x_train)
        _check_pairs(fit, k_test_train, y_test[rows])
        _loo_influence(fit, k_test_train, y_test[rows], block_size, out[rows])
    return out


# What follows trusts its input.


def _loo_influence(
    fit: RidgeFit, k_test_train: torch.Tensor, y_test: torch.Tensor, block_size: int, out: torch.Tensor
) -> None:
    for rows in row_blocks(len(y_test), block_size):
        one, two = _terms(fit, k_test_train[rows], y_test[rows])
        torch.add(one, two, out=out[rows])
        del one, two  # before the next block makes its own


def _terms(fit: RidgeFit, k_test_train: torch.Tensor, y_test: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    coefficients = fit.coefficients(k_test_train)
    residual, loo_residual = fit.predict(k_test_train) - y_test, fit.loo_residual
    term_one = (residual @ loo_residual.T).mul_(coefficients)
    return term_one, coefficients.square_().mul_(loo_residual.square().sum(1) / 2)


def _check_pairs(fit: RidgeFit, k_test_train: torch.Tensor, y_test: torch.Tensor) -> None:
    check_matrix("k_test_train", k_test_train, columns=len(fit.dual), like=fit.dual)
    check_matrix("y_test", y_test, rows=len(k_test_train), columns=fit.dual.shape[1], like=fit.dual)


def _empty_like_pairs(fit: RidgeFit, k_test_train: torch.Tensor, y_test: torch.Tensor) -> torch.Tensor:
    _check_pairs(fit, k_test_train, y_test)
    check_fits("the influence matrix", *k_test_train.shape, like=fit.dual, advice="pass fewer test points at once.")
    return torch.empty_like(k_test_train)
