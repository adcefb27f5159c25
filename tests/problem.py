"""Small random problems on the unit sphere, with their kernels and fits, and the oracle for refits."""

from dataclasses import dataclass

import torch
from sklearn.kernel_ridge import KernelRidge

from ntkif import ntk, ridge_fit


@dataclass
class Problem:
    """A small random problem on the unit sphere, with its kernels and fit."""

    x_train: torch.Tensor
    y_train: torch.Tensor
    x_test: torch.Tensor
    y_test: torch.Tensor
    ridge: float

    def __post_init__(self):
        self.k_train_train, self.k_test_train = ntk(self.x_train), ntk(self.x_test, self.x_train)
        self.fit = ridge_fit(self.k_train_train, self.y_train, self.ridge)


def make_problem(n=40, k=9, d=6, outputs=1, ridge=0.5, seed=0, dtype=torch.float64) -> Problem:
    generator = torch.Generator().manual_seed(seed)
    x = torch.nn.functional.normalize(torch.randn(n + k, d, generator=generator, dtype=torch.float64))
    labels = torch.randint(max(outputs, 2), (n + k,), generator=generator)
    y = (1.0 - 2 * labels[:, None]).double() if outputs == 1 else torch.nn.functional.one_hot(labels, outputs).double()
    x, y = x.to(dtype), y.to(dtype)
    return Problem(x[:n], y[:n], x[n:], y[n:], ridge)


def sklearn_without(p, group):
    """The independent oracle: scikit-learn's own solver on the other points."""
    kept = [i for i in range(len(p.y_train)) if i not in set(group)]
    oracle = KernelRidge(alpha=p.ridge, kernel="precomputed")
    oracle.fit(p.k_train_train[kept][:, kept].numpy(), p.y_train[kept].numpy())
    return torch.from_numpy(oracle.predict(p.k_test_train[:, kept].numpy()))


def close(got, truth):
    """To ten digits, of each entry or of the largest."""
    return torch.allclose(got, truth, rtol=1e-10, atol=1e-10 * float(truth.abs().max()))
