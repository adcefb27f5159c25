"""Small random problems on the unit sphere, with their kernels and fits, and the oracles for refits and Jacobians."""

from dataclasses import dataclass

import torch
from sklearn.kernel_ridge import KernelRidge

from ntkif import ntk, ridge_fit
from ntkif.data.mixture import sample_mixture

COUNTS, RADIUS = (5, 10, 20, 40), 0.001


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


def linear(x, z=None):
    """A kernel that is not the paper's."""
    return x @ (x if z is None else z).T


def close(got, truth, tolerance=1e-10):
    """To ten digits, of each entry or of the largest."""
    return torch.allclose(got, truth, rtol=tolerance, atol=tolerance * float(truth.abs().max()))


def points(n, d=30, lit=20, outputs=1, seed=0):
    """Random points on the sphere, the last pixels dark; few (n < 2 lit) or many take different coordinates."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=generator, dtype=torch.float64)
    x[:, lit:] = 0
    y = torch.randn(n, outputs, generator=generator, dtype=torch.float64)
    return torch.nn.functional.normalize(x), y


def make_clusters(seed=0):
    """Clusters of `COUNTS` points for each class, so narrow that Theorem 4 holds in them."""
    return sample_mixture(COUNTS, radius=RADIUS, seed=seed, d=30, n_test=50)


def plain_jacobian(module, x):
    """(n, c, P) of any module: nothing but torch.autograd.grad."""
    parameters = [value for value in module.parameters() if value.requires_grad]
    rows = [
        torch.cat([part.flatten() for part in _gradients(output, parameters)])
        for point in x
        for output in module(point[None])[0]
    ]
    return torch.stack(rows).reshape(len(x), -1, rows[0].numel())


def _gradients(output, parameters):
    return torch.autograd.grad(output, parameters, retain_graph=True, materialize_grads=True)


def jacobian(network, x):
    """(n, c, m, d) of a two-layer network as the paper writes it, by automatic differentiation."""

    def outputs(weights):
        return torch.relu(x @ weights.T) @ network.signs / len(weights) ** 0.5

    return torch.autograd.functional.jacobian(outputs, network.weights.detach())
