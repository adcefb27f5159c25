"""Whether `NetworkInfluence` can tell when it is wrong: its linearity against real removals, and `damping="auto"`.

    python benchmarks/tools/trust.py  # about three minutes on one core; digits of 28 x 28 that ship with a dependency

1. Networks of six kinds, trained to a minimum with three ridges each: the median linearity over eight removals, the
   gradient that was left, and how the influences agree with these removals really carried out.
2. Eight networks trained without a ridge and stopped: the error at `damping="auto"`, at the best damping of a grid,
   which only the truth can choose, and at one over the time of training.
"""

import copy
import warnings

import torch
from torch import nn

from ntkif import NetworkInfluence, validate
from ntkif.data import load
from ntkif.influence.stationary import balancing_ridge, gradient_share
from ntkif.metrics import agreement
from ntkif.networks.losses import LOSSES, targets_of
from ntkif.networks.modules import predict, train_module
from ntkif.retraining.leave_one_out import leave_one_out, true_influence

REMOVALS = 8
ACTIVATIONS = {"tanh": nn.Tanh, "gelu": nn.GELU, "relu": nn.ReLU}


class Recurrent(nn.Module):
    """Reads an image of 7 x 7 row by row."""

    def __init__(self, kind):
        super().__init__()
        self.rows, self.last = kind(7, 8, batch_first=True), nn.Linear(8, 1)

    def forward(self, x):
        return self.last(self.rows(x.reshape(-1, 7, 7))[0][:, -1])


def perceptron(inputs, width, activation, outputs=1):
    """One hidden layer."""
    return nn.Sequential(nn.Linear(inputs, width), activation(), nn.Linear(width, outputs))


def small(x):
    """Every fourth pixel of every fourth row, of about size one."""
    return x.reshape(-1, 28, 28)[:, ::4, ::4].reshape(len(x), 49) * 28**0.5 / 4


def linearity():
    data = load("mnist-sample").head(120, 40)
    x, y, x_test = small(data.x_train), data.y_train, small(data.x_test)
    kinds = {
        name: lambda act=act: nn.Sequential(nn.Linear(49, 16), act(), nn.Linear(16, 1))
        for name, act in ACTIVATIONS.items()
    }
    kinds |= {"LSTM": lambda: Recurrent(nn.LSTM), "GRU": lambda: Recurrent(nn.GRU), "linear": lambda: nn.Linear(49, 1)}
    print("1. network   ridge  gradient  linearity     R    rho  slope  error")
    for name, make in kinds.items():
        for ridge in (1.0, 0.1, 0.01):
            torch.manual_seed(0)
            start = make().double().eval()

            def train(kept, start=start, ridge=ridge):
                return train_module(start, x[kept], y[kept], ridge, iterations=300)

            network = train(torch.arange(len(x)))
            model = NetworkInfluence(network, x, y, ridge, start=None)
            found = validate(model, train, x_test, data.y_test, count=REMOVALS, progress=False)
            bends = float(model.linearity(x_test, found.rows).median())
            left = gradient_share(network, start, x, y, ridge)
            scores = "".join(f"{found.scores[key]:7.2f}" for key in ("pearson", "spearman", "slope", "relative_error"))
            print(f"   {name:8} {ridge:6g} {left:9.1e} {bends:10.3f}{scores}", flush=True)


def descent(start, x, y, loss, steps, rate, how):
    """A network trained for so many full batches, on the sum of the losses."""
    network = copy.deepcopy(start)
    kind = torch.optim.Adam if how == "adam" else torch.optim.SGD
    optimizer = kind(network.parameters(), lr=rate, **({"momentum": 0.9} if how == "momentum" else {}))
    for _ in range(steps):
        optimizer.zero_grad()
        loss.value(network(x), y).sum().backward()
        optimizer.step()
    return network.eval()


CASES = [
    ("tanh", "squares", "plain", 100, 2e-3),
    ("tanh", "squares", "plain", 400, 2e-3),
    ("tanh", "squares", "momentum", 200, 1e-3),
    ("relu", "squares", "plain", 200, 2e-3),
    ("gelu", "squares", "adam", 100, 2e-3),
    ("tanh", "cross-entropy", "plain", 200, 1e-2),
    ("gelu", "cross-entropy", "momentum", 200, 3e-3),
    ("relu", "cross-entropy", "adam", 60, 2e-3),
]


def damping():
    data = load("mnist-sample").head(150, 40)
    x, x_test = 6 * data.x_train, 6 * data.x_test
    print("2. network  loss            steps    best  error    auto  error    1/t  error")
    for name, title, how, steps, rate in CASES:
        torch.manual_seed(0)
        loss, outputs = LOSSES[title], 1 if title == "squares" else 2
        start = perceptron(784, 32, ACTIVATIONS[name], outputs).double()
        asked = [y if outputs == 1 else (y[:, 0] > 0).long() for y in (data.y_train, data.y_test)]
        y, y_test = (targets_of(loss, each, torch.zeros(len(each), outputs).double(), "y") for each in asked)

        def train(x, y, start=start, loss=loss, rest=(steps, rate, how)):
            return descent(start, x, y, loss, *rest)

        network = train(x, y)

        def influence(size, network=network, title=title, asked=asked):
            model = NetworkInfluence(network, x, asked[0], 0.0, start=None, damping=size, loss=title)
            return model.influence(x_test, asked[1])

        rows = influence(1.0).norm(dim=0).topk(REMOVALS).indices.tolist()
        outputs_without = [predict(each, x_test) for each in leave_one_out(train, x, y, rows)]
        truth = true_influence(outputs_without, y_test, loss.value)
        sizes = {"auto": balancing_ridge(network, start, x, y, loss=loss)}
        sizes["time"] = (0.1 if how == "momentum" else 1.0) / (steps * rate)
        sizes |= {number: 10 ** (number / 2) for number in range(-6, 7)}
        errors = {key: agreement(influence(size)[:, rows], truth)["relative_error"] for key, size in sizes.items()}
        best = min((key for key in errors if isinstance(key, int)), key=errors.get)
        told = "".join(f"{sizes[key]:8.3g} {errors[key]:6.2f}" for key in (best, "auto", "time"))
        print(f"   {name:8} {title:14} {how:8} {steps:4}{told}", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    linearity()
    damping()
