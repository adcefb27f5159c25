"""Modules that predict each point by itself, and yet use their layers otherwise in a block than at a few points."""

import torch
from torch import nn


class Padded(nn.Module):
    """Zeroes padded places of a layer's output, in place or not; the first two points have none."""

    def __init__(self, in_place):
        super().__init__()
        self.embedding, self.inner, self.outer = nn.Embedding(9, 4), nn.Linear(4, 5), nn.Linear(5, 1)
        self.in_place = in_place

    def forward(self, tokens):
        h, padding = self.inner(torch.tanh(self.embedding(tokens))), (tokens == 0)[..., None]
        h = h.masked_fill_(padding, 0.0) if self.in_place else h.masked_fill(padding, 0.0)
        return self.outer(torch.tanh(h).sum(1))


class Again(nn.Module):
    """A second pass for hard points."""

    def __init__(self):
        super().__init__()
        self.inner, self.outer = nn.Linear(3, 3), nn.Linear(3, 1)

    def forward(self, x):
        h, hard = torch.tanh(self.inner(x)), x[:, 0] > 0
        if hard.any():
            h = h.clone()
            h[hard] = torch.tanh(self.inner(h[hard]))
        return self.outer(h)


class Sorted(nn.Module):
    """Points in another order inside."""

    def __init__(self):
        super().__init__()
        self.inner, self.outer = nn.Linear(3, 3), nn.Linear(3, 1)

    def forward(self, x):
        order = x[:, 0].argsort()
        return self.outer(torch.tanh(self.inner(x[order]))[order.argsort()])


class Trimmed(nn.Module):
    """Padding cut to the longest of the block."""

    def __init__(self):
        super().__init__()
        self.embedding, self.inner, self.outer = nn.Embedding(9, 4), nn.Linear(4, 3), nn.Linear(3, 1)

    def forward(self, tokens):
        tokens = tokens[:, : int((tokens > 0).sum(1).max())]
        h = torch.tanh(self.inner(self.embedding(tokens)))
        return self.outer((h * (tokens > 0)[..., None]).sum(1))


class Experts(nn.Module):
    """Each point by one of two layers."""

    def __init__(self):
        super().__init__()
        self.gate, self.experts = nn.Linear(3, 2), nn.ModuleList([nn.Linear(3, 2), nn.Linear(3, 2)])

    def forward(self, x):
        shares, taken, out = self.gate(x).softmax(1), (x[:, 0] > 0).long(), x.new_zeros(len(x), 2)
        for number, expert in enumerate(self.experts):
            rows = taken == number
            if rows.any():
                out[rows] = expert(x[rows]) * shares[rows, number : number + 1]
        return out


class Directly(nn.Module):
    """A weight, or a bias, that one point in many uses by hand beside its layer."""

    def __init__(self, bias):
        super().__init__()
        self.inner, self.outer, self.bias = nn.Linear(3, 3), nn.Linear(3, 1), bias

    def forward(self, x):
        h, hard = torch.tanh(self.inner(x)), (x[:, 0] > 0)[:, None]
        if hard.any():
            h = h + hard * self.inner.bias if self.bias else torch.where(hard, torch.tanh(h @ self.inner.weight.T), h)
        return self.outer(h)


def _clamped():
    return nn.Sequential(nn.Linear(3, 4), nn.Hardtanh(inplace=True), nn.Linear(4, 1))


def _numbers():
    """Eight points, of which the first three are easy, small and in order."""
    x = torch.randn(8, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x[:3] *= 0.05
    x[3:] *= 6
    x[:3, 0] = torch.tensor([-9.0, -8.0, -7.0])
    x[4, 0], x[5, 0] = 2.0, -1.0
    return x


def _one_hard():
    """Forty points, of which one is hard."""
    x = torch.randn(40, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x[:, 0] = -x[:, 0].abs()
    x[33, 0] = 2.0
    return x


def _tokens(short):
    tokens = torch.randint(1, 9, (8, 5), generator=torch.Generator().manual_seed(0))
    tokens[:2, 1 if short else 5 :] = 0
    tokens[3:6, 3:] = 0
    return tokens


OTHERWISE = {
    "changed in place": (lambda: Padded(True), lambda: _tokens(short=False)),
    "clamped in place": (_clamped, _numbers),
    "a second pass for some points": (Again, _numbers),
    "a weight used directly by one point": (lambda: Directly(False), _one_hard),
    "a bias used directly by one point": (lambda: Directly(True), _one_hard),
    "sorted inside": (Sorted, _numbers),
    "padding cut to the longest": (Trimmed, lambda: _tokens(short=True)),
    "a mixture of experts": (Experts, _numbers),
}


def otherwise(name):
    """Module and points."""
    module, points = OTHERWISE[name]
    torch.manual_seed(0)
    return module().double().eval(), points()
