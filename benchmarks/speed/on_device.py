"""The closed form on a device, against the bare calls that it cannot avoid, and what else a GPU is asked for.

    python benchmarks/speed/on_device.py --device cuda

At n = 5000 training and k = 1000 test points in float64, as ratios inside one run:

1. How much longer does `ntk_influence` take than two products of the points, one Cholesky factorisation, the inverse
   and the product of it with the test kernel?
2. How much longer does `tiled_fit` of many points take than their bare products and a Cholesky factorisation of a
   tenth of them, times a thousand? (All of them would not fit beside it.)
3. The kernel of a small convolutional network, a torch module, for a few points: seconds, and how much longer than one
   backward pass for each point.
"""

import argparse
from functools import partial

import torch
from common import problem, seconds, summary

from ntkif import ntk, ntk_influence
from ntkif.kernels.module_kernel import module_kernel
from ntkif.networks.modules import ConvNet
from ntkif.regression.tiled import tiled_fit

RIDGE = 4.0


def clock(device):
    """Seconds of a call, with the device's queue empty before and after."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None

    def run(call):
        wait()

        def whole():
            result = call()
            wait()
            return result

        return seconds(whole)[0]

    return run


def bare(x, z, ridge):
    """What no method of this kind avoids."""
    z @ x.T
    gram = x @ x.T
    gram.diagonal().add_(ridge + 1)
    return (z @ x.T) @ torch.cholesky_inverse(torch.linalg.cholesky(gram))


def backward_passes(network, images):
    """One for each point, the plain way to a Jacobian."""
    for image in images:
        network.zero_grad()
        network(image[None]).sum().backward()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-n", type=int, default=5000)
    parser.add_argument("-k", type=int, default=1000)
    parser.add_argument("-d", type=int, default=784)
    parser.add_argument("--many", type=int, default=60_000, help="points of the tiled fit")
    parser.add_argument("--points", type=int, default=500, help="of the torch module")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    chosen = parser.parse_args()
    device = torch.device(chosen.device)
    took = clock(device)
    arrays = [a.to(device) for a in problem(chosen.n, chosen.k, chosen.d)]
    x, z = arrays[0], arrays[2]
    ntk_influence(*arrays, RIDGE)  # warms up
    bare(x, z, RIDGE)
    ours, least = [], []
    for _ in range(chosen.runs):
        least.append(took(partial(bare, x, z, RIDGE)))
        ours.append(took(partial(ntk_influence, *arrays, RIDGE)))
    print(f"n={chosen.n}, k={chosen.k}, d={chosen.d}, float64 on {chosen.device}")
    print(f"  ntk_influence {summary(ours, 4)} s, bare calls {summary(least, 4)} s")
    print(f"1. ntk_influence / bare calls: {summary([a / b for a, b in zip(ours, least, strict=True)])}")

    many, targets, *_ = (a.to(device) for a in problem(chosen.many, 1, chosen.d))
    tenth = ntk(many[: chosen.many // 10])
    tenth.diagonal().add_(RIDGE)
    whole = took(partial(tiled_fit, many, targets, RIDGE, progress=False))
    factor = 1000 * took(lambda: torch.linalg.cholesky(tenth))
    print(f"2. tiled_fit of {chosen.many} points: {whole:.2f} s; {whole / factor:.2f} of the bare factorisations")

    network = ConvNet((28, 28), outputs=1, activation="relu", seed=0).to(device)
    images = torch.rand(chosen.points, 784, dtype=torch.float64, device=device)
    module_kernel(network, images[:8])
    own, passes = took(partial(module_kernel, network, images)), took(partial(backward_passes, network, images))
    print(f"3. kernel of a module, {chosen.points} points: {own:.2f} s; {own / passes:.2f} of a backward pass each")


if __name__ == "__main__":
    main()
