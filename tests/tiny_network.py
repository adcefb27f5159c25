"""A tiny trained network, with the gradients and the Hessian of its objective by automatic differentiation."""

import torch
from problem import make_problem

from ntkif.networks.descent import train
from ntkif.networks.two_layer import random_network

RIDGE = 0.3


def outputs(network, x, weights):
    return torch.relu(x @ weights.T) @ network.signs / len(weights) ** 0.5


class Trained:
    """A tiny trained network, its data, and the objective's gradients and Hessian by automatic differentiation."""

    def __init__(self, outputs_, k=5):
        p = make_problem(n=15, k=k, d=4, outputs=outputs_)
        self.arrays = p.x_train, p.y_train, p.x_test, p.y_test
        self.start = random_network(4, width=12, init_scale=0.8, seed=3, outputs=outputs_)
        self.network = train(self.start, p.x_train, p.y_train, RIDGE, learning_rate=0.05, epochs=400).network

    def objective(self, weights):
        x, y = self.arrays[:2]
        moved = (weights - self.start.weights).square().sum()
        return (outputs(self.network, x, weights) - y).square().sum() / 2 + RIDGE / 2 * moved

    def hessian(self):
        size = self.network.weights.numel()
        return torch.autograd.functional.hessian(self.objective, self.network.weights).reshape(size, size)

    def gradients(self, x, y):
        """(points, m d) gradient of each point's loss."""

        def losses(weights):
            return (outputs(self.network, x, weights) - y).square().sum(1) / 2

        return torch.autograd.functional.jacobian(losses, self.network.weights).flatten(1)

    def explicit(self, damping=0.0):
        x_train, y_train, x_test, y_test = self.arrays
        hessian = self.hessian() + damping * torch.eye(self.network.weights.numel(), dtype=torch.float64)
        return self.gradients(x_test, y_test) @ torch.linalg.inv(hessian) @ self.gradients(x_train, y_train).T
