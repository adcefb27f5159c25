"""A model that is linear in its parameters, with outputs that couple, refitted by normal equations of these."""

import torch
from problem import make_problem, plain_jacobian
from torch import nn

RIDGE = 0.4


class Mixed(nn.Module):
    """f = M V φ(x) with V trained: linear in its parameters, with outputs that couple through M."""

    def __init__(self, outputs):
        super().__init__()
        self.features = nn.Sequential(nn.Linear(6, 20), nn.Tanh()).requires_grad_(False)
        self.trained = nn.Linear(20, 4)
        self.mix = nn.Linear(4, outputs, bias=False).requires_grad_(False)

    def forward(self, x):
        return self.mix(self.trained(self.features(x)))


class Fitted:
    """A linear model at the minimum of its objective, in the coordinates of its parameters, with or without rows."""

    def __init__(self, outputs, seed=4):
        torch.manual_seed(seed)
        self.p = make_problem(n=15, k=5, outputs=outputs)
        self.start = Mixed(outputs).double().eval()
        self.j, self.j_test = (plain_jacobian(self.start, x) for x in (self.p.x_train, self.p.x_test))
        self.outputs = outputs

    def minimise(self, kept):
        """θ - θ(0) = (Σ J_i J_iᵀ + λI)^-1 Σ J_i (y_i - f_0(x_i))."""
        with torch.no_grad():
            j, short = self.j[kept], (self.p.y_train - self.start(self.p.x_train))[kept]
        hessian = torch.einsum("iap,iaq->pq", j, j) + RIDGE * torch.eye(j.shape[2], dtype=j.dtype)
        return torch.linalg.solve(hessian, torch.einsum("iap,ia->p", j, short))

    def predict(self, moved, j, x):
        with torch.no_grad():
            return self.start(x) + j @ moved

    def trained(self):
        """The module at the minimum."""
        module, moved = Mixed(self.outputs).double().eval(), self.minimise(range(15))
        module.load_state_dict(self.start.state_dict())
        with torch.no_grad():
            size = module.trained.weight.numel()
            module.trained.weight += moved[:size].reshape_as(module.trained.weight)
            module.trained.bias += moved[size:]
        return module

    def without(self, group):
        """Change of the test predictions when a group of points is left out and the model fitted anew."""
        kept = [i for i in range(15) if i not in group]
        moved = self.minimise(kept) - self.minimise(range(15))
        return self.j_test @ moved

    def influence(self, group):
        residual = self.predict(self.minimise(range(15)), self.j_test, self.p.x_test) - self.p.y_test
        return ((residual + self.without(group)).square() - residual.square()).sum(1) / 2
