"""Speed and memory of the influence matrix at the paper's size, as ratios inside one run.

    make bench

Three questions, at n = 5000 training and k = 1000 test points with d = 784 pixels, in float64:

1. How much longer does `ntk_influence` take, from images to the (k, n) matrix, than the bare BLAS and LAPACK calls
   that no method of its kind avoids? These are X X^T, X_te X^T, one Cholesky factorisation, the inverse or only its
   diagonal, and the coefficients; of each the fastest of the variants listed below counts.
2. How much memory does it take beside its input, in units of n^2 doubles?
3. How much longer does brute force take: n refits, each the fastest Cholesky solve of n - 1 points? A few are timed
   and the rest extrapolated.

Both sides of a ratio run in turn, several times; the median of the ratios is quoted, with the smallest and largest.
"""

import argparse
import multiprocessing
import resource
import statistics

import torch
from common import problem, seconds, summary
from scipy.linalg import cho_factor, cho_solve, lapack

from ntkif import ntk, ntk_influence

RIDGE = 4.0


def bare_calls(x_train, x_test):
    """Seconds of each unavoidable call; where there are several ways, of the fastest."""
    x, z, n = x_train.numpy(), x_test.numpy(), len(x_train)
    took = {"X X^T": min(seconds(lambda: x @ x.T)[0], seconds(lambda: x_train @ x_train.T)[0])}
    by_numpy, gram = seconds(lambda: z @ x.T)
    took["X_te X^T"] = min(by_numpy, seconds(lambda: x_test @ x_train.T)[0])

    k_test_train, matrix = torch.from_numpy(gram), ntk(x_train)
    matrix.diagonal().add_(RIDGE)
    by_torch, torch_factor = seconds(lambda: torch.linalg.cholesky(matrix))
    by_scipy, (factor, _) = seconds(lambda: lapack.dpotrf(matrix.numpy().T, lower=1, clean=1, overwrite_a=1))
    took["Cholesky"] = min(by_torch, by_scipy)

    # The whole inverse and one product, or only the triangle's inverse (for the diagonal) and two triangular solves.
    whole, inverse = seconds(lambda: lapack.dpotri(factor, lower=1)[0])
    product = min(
        seconds(lambda: gram @ inverse)[0], seconds(lambda: k_test_train @ torch.from_numpy(inverse).contiguous())[0]
    )
    triangle, _ = seconds(lambda: lapack.dtrtri(factor, lower=1))

    def two_solves():
        half = torch.linalg.solve_triangular(torch_factor, k_test_train.T, upper=False)
        return torch.linalg.solve_triangular(torch_factor.T, half, upper=True)

    solves, _ = seconds(two_solves)
    took["inverse and coefficients"] = min(whole + product, triangle + solves)
    assert matrix.shape == (n, n)
    return took


def refit_seconds(k_train_train, k_test_train, y_train, row):
    def refit():
        kept = torch.arange(len(k_train_train)) != row
        system = k_train_train[kept][:, kept]
        system.diagonal().add_(RIDGE)
        dual = cho_solve(cho_factor(system.numpy().T, overwrite_a=True, check_finite=False), y_train[kept].numpy())
        return k_test_train[:, kept] @ torch.from_numpy(dual)

    return seconds(refit)[0]


def peak_memory(n, k, d, out):
    """In a process of its own: the high-water mark of the call, less what was there before it."""
    data = problem(n, k, d)
    ntk_influence(*(part[:50] for part in data), RIDGE)  # libraries loaded, threads started
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ntk_influence(*data, RIDGE)
    out.put(1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / (8 * n**2))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-n", type=int, default=5000)
    parser.add_argument("-k", type=int, default=1000)
    parser.add_argument("-d", type=int, default=784)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--refits", type=int, default=3)
    size = parser.parse_args()

    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    child = context.Process(target=peak_memory, args=(size.n, size.k, size.d, queue))
    child.start()
    memory = queue.get()
    child.join()

    x_train, y_train, x_test, y_test = problem(size.n, size.k, size.d)
    print(f"n={size.n}, k={size.k}, d={size.d}, float64, {torch.get_num_threads()} threads, torch {torch.__version__}")
    ours, bare = [], []
    for _ in range(size.runs + 1):
        bare.append(bare_calls(x_train, x_test))
        ours.append(seconds(lambda: ntk_influence(x_train, y_train, x_test, y_test, RIDGE))[0])
    ours, bare = ours[1:], bare[1:]  # the first run warms up
    for name in bare[0]:
        print(f"  bare {name:26} {statistics.median(run[name] for run in bare):6.2f} s")
    totals = [sum(run.values()) for run in bare]
    print(f"  bare calls, together            {statistics.median(totals):6.2f} s")
    print(f"  ntk_influence, from images      {statistics.median(ours):6.2f} s")
    ratios = [a / b for a, b in zip(ours, totals, strict=True)]
    print(f"1. ntk_influence / bare calls: {summary(ratios)}; at most 1.5 wanted")
    print(f"2. peak memory beside the input: {memory:.2f} n^2 doubles; at most 4 wanted")

    k_train_train, k_test_train = ntk(x_train), ntk(x_test, x_train)
    refits = [refit_seconds(k_train_train, k_test_train, y_train, row) for row in range(size.refits + 1)][1:]
    factors = [size.n * one / statistics.median(ours) for one in refits]
    print(f"  one refit                       {statistics.median(refits):6.2f} s, the median of {size.refits}")
    print(f"3. brute force / ntk_influence: {summary(factors)}, extrapolated from {size.refits} to {size.n} refits")


if __name__ == "__main__":
    main()
