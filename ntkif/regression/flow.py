"""Kernel regression trained by gradient flow, at any time of training, from one eigendecomposition (Eq. 3 and 20)."""

import math
from dataclasses import dataclass
from functools import lru_cache

import torch

from ntkif.checks import check_fits, check_matrix, check_training_kernel

__all__ = [
    "KernelFlow",
    "check_time",
    "eigenpairs",
    "flow_without",
    "kernel_flow",
    "paper_time",
    "quadrature_error",
    "talbot",
]


@dataclass(frozen=True, eq=False)
class KernelFlow:
    """A kernel predictor along its training by gradient flow, from the start f = 0.

        d dual/dt = Y - (K + λI) dual,   dual(t) = (K + λI)^-1 (I - exp(-t (K + λI))) Y

    This is the flow (3) of the loss (2), a *sum* over points, in the limit of infinite width; its end is the ridge
    fit of Eq. 6. Without a ridge it is Eq. 20, whose time is `paper_time`.

    Attributes:
        ridge: penalty λ.
        y_train: (n, c) targets.
        eigenvalues: (n,) of K, rising.
        eigenvectors: (n, n), a column each.
        at_once: (n,) whether a mode is no part of K, and learnt at once: that of an intercept (`weighted_flow`).
    """

    ridge: float
    y_train: torch.Tensor
    eigenvalues: torch.Tensor
    eigenvectors: torch.Tensor
    at_once: torch.Tensor | None = None

    def dual(self, time: float) -> torch.Tensor:
        """(n, c) coefficients at a time from 0 (zero) to infinity (the ridge fit).

        Raises:
            ValueError: a negative time, or an infinite one where K + λI is singular.
        """
        rate = self.eigenvalues + self.ridge
        check_time(time, rate)
        learnt = 1 / rate if math.isinf(time) else torch.where(rate > 0, -torch.expm1(-rate * time) / rate, time)
        if self.at_once is not None:
            learnt = learnt.where(~self.at_once, 1 / self.eigenvalues)
        return self.eigenvectors @ (learnt[:, None] * (self.eigenvectors.T @ self.y_train))

    def predict(self, k_test_train: torch.Tensor, time: float) -> torch.Tensor:
        """(k, c) predictions K_te dual(t) (Eq. 20) from the (k, n) test kernel; `time` as for `dual`."""
        check_matrix("k_test_train", k_test_train, columns=len(self.y_train), like=self.y_train)
        return k_test_train @ self.dual(time)

    def predict_train(self, time: float) -> torch.Tensor:
        """(n, c) predictions K dual(t) at the training points; `time` as for `dual`."""
        along = self.eigenvectors.T @ self.dual(time)
        return self.eigenvectors @ (self.eigenvalues[:, None] * along)


@torch.no_grad()
def kernel_flow(k_train_train: torch.Tensor, y_train: torch.Tensor, ridge: float = 0.0) -> KernelFlow:
    """Gradient flow on a kernel: one eigendecomposition serves every time, every ridge and every removal.

    Args:
        k_train_train: (n, n) kernel matrix of the training points, float64; not changed.
        y_train: (n, c) targets.
        ridge: penalty λ >= 0 of Eq. 2. For others of the same kernel, `dataclasses.replace(flow, ridge=...)`.

    Returns:
        the flow. Peak memory beside `k_train_train` is about four more (n, n) matrices.

    Raises:
        TypeError: not float64.
        ValueError: wrong shapes, NaN, a kernel that is not symmetric or has a negative eigenvalue beyond rounding,
            a negative ridge.
        MemoryError: the decomposition would not fit in memory.

    >>> float(kernel_flow(torch.eye(2).double(), torch.ones(2, 1).double()).predict(torch.eye(2).double(), 1.0)[0])
    0.632...
    """
    check_training_kernel(k_train_train, y_train, ridge, double=True)
    return KernelFlow(ridge, y_train, *eigenpairs(k_train_train))


def eigenpairs(kernel: torch.Tensor, size: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """(n,) eigenvalues of a kernel matrix, rising and at least zero, and its (n, n) eigenvectors.

    Args:
        kernel: (n, n) symmetric matrix, float64.
        size: of the numbers whose rounding it carries; its largest eigenvalue where absent.

    Raises:
        ValueError: an eigenvalue that is negative beyond rounding.
        MemoryError: the decomposition would not fit in memory.
    """
    n = len(kernel)
    check_fits("the eigendecomposition", 4, n, n, like=kernel, advice="use fewer training points.")
    eigenvalues, eigenvectors = torch.linalg.eigh(kernel)
    if eigenvalues[0] < -1e-12 * n**0.5 * (eigenvalues[-1] if size is None else size):
        raise ValueError(
            f"k_train_train: expected a kernel matrix, which has no negative eigenvalue, got one with "
            f"{float(eigenvalues[0]):.2e} (largest {float(eigenvalues[-1]):.2e}); check the kernel function."
        )
    return eigenvalues.clamp_(min=0), eigenvectors


@torch.no_grad()
def flow_without(
    k_train_train: torch.Tensor,
    k_test_train: torch.Tensor,
    y_train: torch.Tensor,
    ridge: float,
    time: float,
    group: list[int],
) -> torch.Tensor:
    """Brute force: drop the rows in `group`, decompose the kernel of the others anew and predict at `time`.

    Args:
        k_train_train: (n, n) kernel matrix of the training points.
        k_test_train: (k, n) kernel between test and training points.
        y_train: (n, c) targets.
        ridge: penalty λ.
        time: of training, from 0 to infinity.
        group: rows of the training points to remove.

    Returns:
        (k, c) predictions of the flow on the other points.

    Raises:
        TypeError, ValueError, MemoryError: as `kernel_flow`.
    """
    kept = torch.ones(len(y_train), dtype=torch.bool, device=y_train.device)
    kept[group] = False
    flow = kernel_flow(k_train_train[kept][:, kept], y_train[kept], ridge)
    return flow.predict(k_test_train[:, kept], time)


def paper_time(time: float, n: int) -> float:
    """The paper's t of Eq. 20 for a time of Eq. 3: n t / 2.

    Eq. 20 is the flow of the loss Σ (f - y)^2 / n, Eq. 3 that of Σ (f - y)^2 / 2 (Eq. 2), which is n / 2 as fast.

    Args:
        time: of the flow of Eq. 3, as everywhere in the package.
        n: number of training points.

    >>> paper_time(2.0, n=5000)
    5000.0
    """
    return n * time / 2


def check_time(time: float, rate: torch.Tensor) -> None:
    """Require a time at least zero, and finite where some rate is zero to rounding."""
    if not time >= 0:
        raise ValueError(f"time: expected zero or a positive number, or math.inf for the end of training, got {time}.")
    if math.isinf(time) and not rate[0] > 1e-15 * len(rate) * rate[-1]:
        raise ValueError(
            "time: expected a finite number, since K + ridge I is singular to rounding and training has no end; "
            "name a time, or a positive ridge."
        )


def talbot(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Nodes and weights of the midpoint rule on a contour around the negative real axis.

    A function f(t) with Laplace transform F(s), real for real s and analytic off the half-line s <= 0, is

        f(t) = 1/(2πi) ∫ e^{st} F(s) ds ≈ Re Σ_q weights_q F(nodes_q / t) / t

    on the contour z(θ) = N (0.5017 θ cot(0.6407 θ) - 0.6122 + 0.2645 i θ), -π < θ < π, whose error falls nearly as
    3.89^-N (Weideman, SIAM J. Numer. Anal. 44, 2006; constants of Trefethen, Weideman and Schmelzer, BIT 46, 2006).
    Nodes come in conjugate pairs, of which one is kept. The weights grow as 1.19^N, and rounding with them.

    Args:
        count: number N of nodes, even; half as many are returned.

    Returns:
        nodes and weights, each (count / 2,) complex128.

    Raises:
        ValueError: `count` is not a positive even number.

    >>> nodes, weights = talbot(24)
    >>> round(float((weights / (nodes + 1)).sum().real), 9), round(math.exp(-1), 9)  # F(s) = 1 / (s + 1) at t = 1
    (0.367879441, 0.367879441)
    """
    if count < 2 or count % 2:
        raise ValueError(f"count: expected a positive even number of nodes, got {count}.")
    angle = math.pi / count * (2 * torch.arange(count // 2, dtype=torch.float64) + 1)
    cotangent = 1 / torch.tan(0.6407 * angle)
    nodes = count * torch.complex(0.5017 * angle * cotangent - 0.6122, 0.2645 * angle)
    slope = 0.5017 * (cotangent - 0.6407 * angle / torch.sin(0.6407 * angle) ** 2)
    derivative = count * torch.complex(slope, torch.full_like(slope, 0.2645))
    return nodes, nodes.exp() * derivative * (2 / (1j * count))


@lru_cache
def quadrature_error(count: int) -> float:
    """Largest relative error of the rule for how far a mode has learnt, (1 - e^{-x})/x, whatever its rate x >= 0.

    Gradient flow on a kernel is a sum of such modes, with x = (eigenvalue + ridge) t.

    Args:
        count: number of nodes, see `talbot`.
    """
    nodes, weights = talbot(count)
    rate = torch.logspace(-8, 12, 401, dtype=torch.float64)
    exact = -torch.expm1(-rate) / rate
    return float((((weights / nodes) / (nodes + rate[:, None])).sum(1).real / exact - 1).abs().max())
