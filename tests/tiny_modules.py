"""Small torch modules of several kinds, for 6 inputs."""

import torch
from torch import nn


class Scaled(nn.Module):
    """With a parameter that is a number, one shared by two layers, a frozen one and a buffer."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.7, dtype=torch.float64))
        self.one, self.two = (nn.Linear(6, 6, dtype=torch.float64) for _ in range(2))
        self.two.weight = self.one.weight
        self.two.bias.requires_grad = False
        self.register_buffer("shift", torch.full((6,), 0.3, dtype=torch.float64))

    def forward(self, x):
        return self.scale * self.two(torch.tanh(self.one(x) + self.shift))[:, :2]


def conv():
    layers = nn.Unflatten(1, (1, 2, 3)), nn.Conv2d(1, 4, 2), nn.BatchNorm2d(4), nn.GELU(), nn.Flatten(), nn.Linear(8, 3)
    return nn.Sequential(*layers).double()


MODULES = {
    "mlp": lambda: nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Dropout(0.5), nn.Linear(5, 3)).double(),
    "one-output": lambda: nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 1, bias=False)).double(),
    "conv": conv,
    "shared": Scaled,
}
