"""A small problem of three classes, networks for it, and optimisers of torch with their like here."""

import torch
from torch import nn

from ntkif import record_training
from ntkif.networks.losses import CROSS_ENTROPY, SQUARES
from ntkif.training.flat_module import FlatModule
from ntkif.training.optimizers import SGD
from ntkif.training.tape import Tape

N, INPUTS, CLASSES, BATCH, EPOCHS = 24, 5, 3, 8, 4
#: Name -> class of torch and its settings.
TORCH = {
    "descent": (torch.optim.SGD, {"lr": 0.3}),
    "momentum": (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "dampening": 0.2, "weight_decay": 0.03}),
    "nesterov": (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    "adam": (torch.optim.Adam, {"lr": 0.02, "betas": (0.8, 0.95), "weight_decay": 0.03}),
    "adamw": (torch.optim.AdamW, {"lr": 0.02, "weight_decay": 0.1}),
}
LOSSES = {"squares": SQUARES, "cross-entropy": CROSS_ENTROPY}


def problem(seed=0, n=N, k=4):
    """Points and one-hot targets, to train and to test."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n + k, INPUTS, dtype=torch.float64, generator=generator)
    teacher = torch.randn(INPUTS, CLASSES, dtype=torch.float64, generator=generator)
    noise = torch.randn(n + k, CLASSES, dtype=torch.float64, generator=generator)
    y = torch.eye(CLASSES, dtype=torch.float64)[(x @ teacher + noise).argmax(1)]
    return x[:n], y[:n], x[n:], y[n:]


def network(seed=0, hidden=6):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(INPUTS, hidden), nn.GELU(), nn.Linear(hidden, CLASSES)).double()


def linear(seed=0):
    torch.manual_seed(seed)
    return nn.Linear(INPUTS, CLASSES).double()


def recording(module=None, **options):
    """A training of the network, or of another module, with all of `problem`."""
    optimizer = SGD(0.05, momentum=0.9)
    given = {"loss": CROSS_ENTROPY, "optimizer": optimizer, "batch_size": BATCH, "epochs": 10, "folds": 6}
    if "batches" in options:
        del given["batch_size"], given["epochs"]
    x, y, *_ = problem()
    given |= {"x": x, "y": y}
    return record_training(network() if module is None else module, **given | options)


def trained_by_torch(module, x, y, batches, optimizer, scheduler=None, every=1, clip_value=None, clip_norm=None):
    for index, rows in enumerate(batches):
        optimizer.zero_grad()
        CROSS_ENTROPY.value(module(x[rows]), y[rows]).mean().backward()
        if clip_value is not None:
            torch.nn.utils.clip_grad_value_(module.parameters(), clip_value)
        if clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(module.parameters(), clip_norm)
        optimizer.step()
        if scheduler and (index + 1) % every == 0:
            scheduler.step()
    return torch.cat([value.detach().flatten() for value in module.parameters()])


def trained_here(module, x, y, batches, optimizer):
    return Tape(FlatModule(module), x, y, CROSS_ENTROPY, optimizer, batches).run(None, lambda *_: None)
