"""Speed of training at the paper's size, against what the machine's matrix products allow, as ratios inside one run.

    python benchmarks/speed/training.py  # two CPU cores: 1000 points, 10 000 neurons
    python benchmarks/speed/training.py --device cuda --precision tf32 -n 5000 --width 80000
    python benchmarks/speed/training.py --device cuda --precision tf32 -n 5000 -d 3072 --width 40000
    python benchmarks/speed/training.py --device cuda --precision float16 -n 5000 -d 784 --directions 512 --width 80000

Gradient descent on a two-layer network cannot be faster than the matrix products that each epoch consists of: one
where there are fewer than 2 d points (2 n^2 m operations), else two (4 n d m). How near does `train` come?

1. The ceiling: operations a second of one large product in the same precision.
2. The epoch: operations a second of `train`, everything else that it does included, from the difference of a long and
   a short training, so that set-up does not count. In float16 that of a `Stack` of six networks.
3. For comparison, the same step by autograd and torch.optim.SGD.

The parts run in turn, several times; the median of the ratios is quoted, with the smallest and largest.
"""

import argparse
import time

import torch
from common import summary

from ntkif.networks.descent import train
from ntkif.networks.two_layer import random_network
from ntkif.retraining.stacked import Stack, leading_directions

RATE, RIDGE = 1e-4, 4.0


def seconds(call, device):
    """Wall time of a call, with the device's queue empty before and after."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    wait()
    start = time.perf_counter()
    call()
    wait()
    return time.perf_counter() - start


def ceiling(n, width, dtype, device):
    """Operations a second of a large product, the best of five."""
    a, b = torch.randn(width, n, dtype=dtype, device=device), torch.randn(n, n, dtype=dtype, device=device)
    out = a @ b
    return 2 * width * n * n / min(seconds(lambda: torch.mm(a, b, out=out), device) for _ in range(5))


def stack_of(network, x, y, directions):
    """Six networks that are trained at once in half precision."""
    along = leading_directions(x, directions)
    return Stack(network, x, y, RIDGE, [None, *range(5)], learning_rate=RATE, directions=along, half=True)


def stacked_epoch(stack, epochs, device):
    """Seconds an epoch, of so many."""

    def run():
        for _ in range(epochs):
            stack.step(stack.residual())

    return seconds(run, device) / epochs


def autograd_epoch(network, x, y):
    """Seconds an epoch of the same descent by autograd and torch.optim."""
    weights = network.weights.detach().clone().requires_grad_()
    optimiser = torch.optim.SGD([weights], lr=RATE)

    def epoch():
        optimiser.zero_grad()
        prediction = torch.relu(x @ weights.T) @ network.signs / len(weights) ** 0.5
        moved = (weights - network.weights).square().sum()
        ((prediction - y).square().sum() / 2 + RIDGE / 2 * moved).backward()
        optimiser.step()

    epoch()
    return seconds(epoch, x.device)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-n", type=int, default=1000, help="training points")
    parser.add_argument("-d", type=int, default=576, help="lit pixels: 576 of MNIST's 7 and 9, 3072 of CIFAR")
    parser.add_argument("--width", type=int, default=10_000)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="float32", choices=("float64", "float32", "tf32", "float16"))
    parser.add_argument("--directions", type=int, help="with float16; as many as there are where absent")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    chosen = parser.parse_args()
    n, d, width, device = chosen.n, chosen.d, chosen.width, torch.device(chosen.device)
    tf32, dtype = chosen.precision == "tf32", torch.float64 if chosen.precision == "float64" else torch.float32
    generator = torch.Generator().manual_seed(0)
    x = torch.nn.functional.normalize(torch.rand(n, d, generator=generator) ** 4).to(device, dtype)
    y = (2.0 * torch.randint(2, (n, 1), generator=generator) - 1).to(device, dtype)
    network = random_network(d, width=width, init_scale=0.01, seed=0, dtype=dtype, device=device)
    half, stack = chosen.precision == "float16", None
    operations = width * (2 * n * n if n < 2 * d else 4 * n * d)
    if half:
        stack = stack_of(network, x, y, chosen.directions)
        operations = len(stack.removed) * width * 4 * n * stack.basis.shape[1]
        stacked_epoch(stack, 2, device)  # compiles and finds its tiles

    def run(epochs):
        return seconds(lambda: train(network, x, y, RIDGE, learning_rate=RATE, epochs=epochs, tf32=tf32), device)

    run(1)  # warms up
    ratios, slower = [], []
    for _ in range(chosen.repeats):
        torch.backends.cuda.matmul.allow_tf32 = tf32
        best = ceiling(n, width, torch.float16 if half and device.type == "cuda" else dtype, device)
        by_autograd = autograd_epoch(network, x, y) * (len(stack.removed) if half else 1)
        torch.backends.cuda.matmul.allow_tf32 = False
        if half:
            epoch = stacked_epoch(stack, chosen.epochs, device)
        else:
            epoch = (run(1 + chosen.epochs) - run(1)) / chosen.epochs
        ratios.append(operations / epoch / best)
        slower.append(by_autograd / epoch)
        print(f"  {epoch * 1e3:.1f} ms an epoch, {operations / epoch / 1e12:.3f} of {best / 1e12:.3f} TFLOP/s")
    print(f"n = {n}, d = {d}, width {width}, {chosen.precision} on {chosen.device}")
    for name, values in (("share of the ceiling", ratios), ("autograd and SGD take", slower)):
        print(f"{name}: {summary(values)}")


if __name__ == "__main__":
    main()
