"""Influence through a network's own kernel, against the paper's kernel and one training, as ratios inside one run.

    make bench

At n = 1000 training and k = 1000 test points, in float64:

1. How much longer does the influence of all points take through the own kernel of a two-layer network than through
   the paper's kernel, and how does it compare with training the network once, for 300 epochs?
2. The same network as a torch module, whose Jacobian is made in blocks: how much longer than the closed form?
3. A convolutional network of 0.25 M parameters and ten classes, 200 training and 20 test points: influence, in float64
   and with a Jacobian in float32, against one pass of `vmap(jacrev)` over all points and its two products.
4. Of the same, 10 times as many test points, against these.
5. A linear layer with 1000 outputs, 200 points, the traced kernel: seconds.

Both sides run in turn, several times; the median is quoted, with the smallest and largest.
"""

import argparse
from functools import partial

import torch
from common import problem, seconds, summary
from torch.func import functional_call, jacrev, vmap

from ntkif import network_influence, ntk_influence
from ntkif.kernels.module_kernel import module_kernel
from ntkif.kernels.tangent import tangent_kernel
from ntkif.networks.descent import train
from ntkif.networks.modules import ConvNet
from ntkif.networks.two_layer import random_network


def plain_products(network, x, n, at_once=24):
    """The Jacobian of all points by torch.func, and its products, as one writes them first."""
    values = {name: value.detach() for name, value in network.named_parameters()}
    one = vmap(jacrev(lambda moving, point: functional_call(network, moving, (point[None],))[0]), in_dims=(None, 0))
    parts = [torch.cat([part.flatten(2) for part in one(values, some).values()], 2) for some in x.split(at_once)]
    j = torch.cat(parts).flatten(0, 1)
    rows = n * parts[0].shape[1]
    return j[:rows] @ j[:rows].T, j[rows:] @ j[:rows].T


def convolutional(runs, n=200, k=20, channels=(96, 224)):
    network = ConvNet((28, 28), channels=channels, activation="gelu", outputs=10, seed=0)
    x, y, z, y_test = problem(n, 10 * k, 784, outputs=10)
    influence = partial(network_influence, network, x, y, start=None, ridge=1.0)
    times = {name: [] for name in ("plain", "float64", "float32", "more")}
    for _ in range(runs):
        times["plain"].append(seconds(partial(plain_products, network, torch.cat([x, z[:k]]), n))[0])
        few = {"x_test": z[:k], "y_test": y_test[:k]}
        times["float64"].append(seconds(partial(influence, **few))[0])
        times["float32"].append(seconds(partial(influence, **few, jacobian_dtype=torch.float32))[0])
        times["more"].append(seconds(partial(influence, x_test=z, y_test=y_test))[0])
    print(
        f"  {sum(value.numel() for value in network.parameters())} parameters, vmap(jacrev) {summary(times['plain'])} s"
    )
    for name in ("float64", "float32"):
        shares = [a / b for a, b in zip(times[name], times["plain"], strict=True)]
        print(f"3. influence, Jacobian in {name}, {summary(times[name])} s: {summary(shares)} of that")
    more = [a / b for a, b in zip(times["more"], times["float64"], strict=True)]
    print(f"4. {10 * k} test points / {k}: {summary(more)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-n", type=int, default=1000)
    parser.add_argument("-k", type=int, default=1000)
    parser.add_argument("-d", type=int, default=784)
    parser.add_argument("--width", type=int, default=4096)
    parser.add_argument("--module-points", type=int, default=200)
    parser.add_argument("--runs", type=int, default=3)
    size = parser.parse_args()
    arrays = problem(size.n, size.k, size.d)
    network = random_network(size.d, width=size.width, init_scale=1.0, symmetric=True, seed=0)
    few = arrays[0][: size.module_points]
    print(f"n={size.n}, k={size.k}, width={size.width}, float64, {torch.get_num_threads()} threads")
    analytic, own, trainings, closed, general = [], [], [], [], []
    for _ in range(size.runs):
        analytic.append(seconds(partial(ntk_influence, *arrays, 4.0))[0])
        own.append(seconds(partial(network_influence, network, *arrays, 4.0, start=None))[0])
        steps = {"learning_rate": 1e-5, "epochs": 20}
        trainings.append(15 * seconds(partial(train, network, *arrays[:2], 4.0, **steps))[0])
        closed.append(seconds(partial(tangent_kernel, network, few))[0])
        general.append(seconds(partial(module_kernel, network, few))[0])
    print(f"  the paper's kernel    {summary(analytic)} s")
    print(f"  own kernel            {summary(own)} s")
    print(f"  300 epochs            {summary(trainings)} s, from 20")
    print(f"1. own / paper's kernel {summary([a / b for a, b in zip(own, analytic, strict=True)])}")
    print(f"   one training / own   {summary([a / b for a, b in zip(trainings, own, strict=True)])}")
    ratios = [a / b for a, b in zip(general, closed, strict=True)]
    print(f"2. as a module / closed form, {size.module_points} points: {summary(ratios, 2)}")
    convolutional(size.runs)
    wide, points = torch.nn.Linear(512, 1000).double().eval(), torch.randn(200, 512, dtype=torch.float64)
    took = [seconds(partial(module_kernel, wide, points, traced=True))[0] for _ in range(size.runs)]
    print(f"5. a linear layer with 1000 outputs, 200 points: {summary(took)} s")


if __name__ == "__main__":
    main()
