"""Influence through a network's own kernel, against the paper's kernel and one training, as ratios inside one run.

    make bench

At n = 1000 training and k = 1000 test points, in float64:

1. How much longer does the influence of all points take through the own kernel of a two-layer network than through
   the paper's kernel, and how does it compare with training the network once, for 300 epochs?
2. The same network as a torch module, whose Jacobian is made in blocks: how much longer than the closed form?

Both sides run in turn, several times; the median is quoted, with the smallest and largest.
"""

import argparse
from functools import partial

import torch
from common import problem, seconds, summary

from ntkif import network_influence, ntk_influence
from ntkif.kernels.module_kernel import module_kernel
from ntkif.kernels.tangent import tangent_kernel
from ntkif.networks.descent import train
from ntkif.networks.two_layer import random_network


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
    print(f"2. as a module / closed form, {size.module_points} points: {summary(ratios, 0)}")


if __name__ == "__main__":
    main()
