"""Iterative solvers of the IHVP on a finite network (Eq. 12): conjugate gradients and LiSSA.

Both say how far they are from having solved their systems; `ihvp.network_ihvp` is what they tend to.
"""

from dataclasses import dataclass

import numpy as np
import torch

from ntkif.checks import check_fits, require_extra
from ntkif.influence.ihvp import check_ihvp, hessian_product
from ntkif.kernels.tangent import pull_back, push_forward
from ntkif.networks.two_layer import TwoLayer

__all__ = ["DivergenceError", "Estimate", "network_ihvp_cg", "network_ihvp_lissa"]

_TOO_LARGE = 10  # times the norm that no solution can exceed


class DivergenceError(ArithmeticError):
    """An iteration whose iterates outgrew every possible solution."""


@dataclass(frozen=True, eq=False)
class Estimate:
    """What an iterative solver found, and how far it is from having solved its systems.

    Attributes:
        influence: (k, n) estimated change of loss; positive means helpful.
        residual: (k,) relative residual |(H + damping I) s - v| / |v| of each test point's system, computed anew.
        iterations: the most that a test point took.
        tolerance: the residual that was asked for.
    """

    influence: torch.Tensor
    residual: torch.Tensor
    iterations: int
    tolerance: float

    @property
    def converged(self) -> bool:
        """Whether every residual is within the tolerance."""
        return bool((self.residual <= self.tolerance).all())

    def __str__(self) -> str:
        """Whether it converged, in one line."""
        solved = int((self.residual <= self.tolerance).sum())
        return (
            f"{'converged' if self.converged else 'NOT converged'}: {solved} of {len(self.residual)} test points "
            f"within {self.tolerance:.0e}, largest relative residual {float(self.residual.max()):.1e}, "
            f"{self.iterations} iterations"
        )


@torch.no_grad()
def network_ihvp_cg(
    network: TwoLayer,
    x_train: torch.Tensor,
    y_train: torch.Tensor,
    x_test: torch.Tensor,
    y_test: torch.Tensor,
    ridge: float,
    *,
    damping: float = 0.0,
    tolerance: float = 1e-10,
    max_iterations: int | None = None,
) -> Estimate:
    """IHVP of a finite network by conjugate gradients (SciPy's) on Hessian-vector products, one test point at a time.

    Args:
        network: trained, with c outputs.
        x_train: (n, d) training points, rows of norm one.
        y_train: (n, c) targets.
        x_test: (k, d) test points, rows of norm one.
        y_test: (k, c) targets.
        ridge: penalty λ of the training objective.
        damping: added to the Hessian.
        tolerance: relative residual at which to stop.
        max_iterations: stop there at the latest; n c + 10 where absent, as many as exact arithmetic could need.

    Returns:
        the estimate with its residuals, converged or not.

    Raises:
        TypeError, ValueError: as `network_ihvp`; or a tolerance or number of iterations that is not positive.
        MemoryError: the gradients of all test points would not fit in memory.
    """
    require_extra("study", "scipy")
    from scipy.sparse.linalg import LinearOperator, cg

    shift = check_ihvp(network, x_train, y_train, x_test, y_test, ridge, damping)
    most = y_train.numel() + 10 if max_iterations is None else max_iterations
    _check_positive(tolerance=tolerance, max_iterations=most)
    like, gates, counts = network.weights, network.gates(x_train), []

    def as_vector(array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array).to(like).reshape(like.shape)

    def product(array: np.ndarray) -> np.ndarray:
        return hessian_product(network, x_train, as_vector(array), shift, gates).flatten().cpu().numpy()

    gradient = _test_gradients(network, x_test, y_test)
    hessian = LinearOperator((like.numel(), like.numel()), product, dtype=gradient.cpu().numpy().dtype)
    solution = torch.empty_like(gradient)
    for t, right in enumerate(gradient):
        counts.append(0)

        def count(_, t=t):
            counts[t] += 1

        # Half the tolerance, since the residual that CG carries along strays from the true one.
        settings = {"rtol": tolerance / 2, "maxiter": most, "callback": count}
        solution[t] = as_vector(cg(hessian, right.flatten().cpu().numpy(), **settings)[0])
    return _estimate(network, x_train, y_train, gates, gradient, solution, shift, max(counts), tolerance)


@torch.no_grad()
def network_ihvp_lissa(
    network: TwoLayer,
    x_train: torch.Tensor,
    y_train: torch.Tensor,
    x_test: torch.Tensor,
    y_test: torch.Tensor,
    ridge: float,
    *,
    depth: int,
    scale: float,
    damping: float = 0.0,
    batch_size: int | None = None,
    repeats: int = 1,
    seed: int = 0,
    tolerance: float = 0.01,
) -> Estimate:
    """IHVP of a finite network by LiSSA (Agarwal et al.), the stochastic Neumann series that Koh and Liang used.

        s <- s + (v - (H_b + damping I) s) / scale,    H_b = (n / |b|) J_b J_b^T + ridge I

    from s = v / scale, with another random batch b of training points at each step. The `damping` of Koh and Liang's
    code is this one divided by `scale`.

    Args:
        network: trained, with c outputs.
        x_train: (n, d) training points, rows of norm one.
        y_train: (n, c) targets.
        x_test: (k, d) test points, rows of norm one.
        y_test: (k, c) targets.
        ridge: penalty λ of the training objective.
        depth: steps. An eigenvalue w of the Hessian needs some scale / w of them.
        scale: in full batches it must exceed half of the largest eigenvalue of H + damping I. Above half of that of
            every H_b + damping I no step overshoots; somewhat below, a recursion in batches need not diverge yet.
        damping: added to the Hessian.
        batch_size: training points a step, drawn without replacement; all of them where absent, and then nothing is
            random.
        repeats: independent recursions whose mean is taken.
        seed: of the batches.
        tolerance: relative residual within which the result counts as converged.

    Returns:
        the estimate with its residuals, converged or not.

    Raises:
        TypeError, ValueError: as `network_ihvp`; or a setting that is not positive, or batches larger than n.
        MemoryError: the gradients of all test points would not fit in memory.
        DivergenceError: the iterates outgrew every possible solution; the error names a scale that cannot diverge.
    """
    shift = check_ihvp(network, x_train, y_train, x_test, y_test, ridge, damping)
    n, like = len(x_train), network.weights
    size = n if batch_size is None else batch_size
    _check_positive(depth=depth, scale=scale, batch_size=size, repeats=repeats, tolerance=tolerance)
    if size > n:
        raise ValueError(f"batch_size: expected at most the {n} training points, got {size}.")
    gradient, generator = _test_gradients(network, x_test, y_test), torch.Generator().manual_seed(seed)
    limit = _TOO_LARGE * gradient.flatten(1).norm(dim=1) / shift
    mean, gates = torch.zeros_like(gradient), network.gates(x_train)
    for _ in range(repeats):
        s = gradient / scale
        for step in range(1, depth + 1):
            batch = torch.randperm(n, generator=generator)[:size].to(like.device) if size < n else slice(None)
            curved = hessian_product(network, x_train[batch] * (n / size) ** 0.5, s, shift, gates[:, batch])
            s += curved.neg_().add_(gradient).div_(scale)
            if not (s.flatten(1).norm(dim=1) <= limit).all():
                safe = _largest_eigenvalue(network, x_train, size, shift)
                raise DivergenceError(
                    f"LiSSA diverged at step {step} of {depth}: an iterate outgrew {_TOO_LARGE} |v| / (ridge + "
                    f"damping), where no solution can be, so scale={scale:g} is too small. "
                    f"With scale={safe:.3g} it cannot diverge, and an eigenvalue w needs about {safe:.3g} / w steps."
                )
        mean += s / repeats
    return _estimate(network, x_train, y_train, gates, gradient, mean, shift, depth, tolerance)


def _test_gradients(network: TwoLayer, x_test: torch.Tensor, y_test: torch.Tensor) -> torch.Tensor:
    """(k, m, d) gradient of each test point's loss."""
    size = (len(x_test), *network.weights.shape)
    check_fits("the gradients of the test points", *size, like=x_test, advice="pass fewer test points at once.")
    residual = network.predict(x_test) - y_test
    return torch.stack([pull_back(network, x[None], r[None]) for x, r in zip(x_test, residual, strict=True)])


def _estimate(network, x_train, y_train, gates, gradient, solution, shift, iterations, tolerance) -> Estimate:
    moved = push_forward(network, x_train, solution, gates)
    influence = (moved * (network.predict(x_train) - y_train)).sum(2)
    product = pull_back(network, x_train, moved, gates).add_(solution, alpha=shift)  # with the Hessian
    short = (product - gradient).flatten(1).norm(dim=1)
    size = gradient.flatten(1).norm(dim=1)
    residual = torch.where(size > 0, short / size, short)
    return Estimate(influence, residual, iterations, tolerance)


def _largest_eigenvalue(network: TwoLayer, x_train: torch.Tensor, size: int, shift: float) -> float:
    """A number that no eigenvalue of the Hessian of a batch exceeds."""
    spread = float(torch.linalg.matrix_norm(network.signs, 2)) ** 2 / len(network.signs)
    points = min(size, float(torch.linalg.matrix_norm(x_train, 2)) ** 2)  # rows of norm one
    return len(x_train) / size * points * spread + shift


def _check_positive(**settings: float) -> None:
    for name, value in settings.items():
        if not value > 0:
            raise ValueError(f"{name}: expected a positive number, got {value}.")
