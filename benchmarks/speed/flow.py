"""Influence at a time of training at the paper's size, against refitting, as ratios inside one run.

    make bench

At n = 5000 training and k = 1000 test points, in float64:

1. How long does the influence of all n points on all k test points take at one time, for one and for ten outputs
   (at most 25 s wanted on two cores), and the eigendecomposition before it, which serves all times?
2. How much longer does refitting take: n eigendecompositions of n - 1 points? A few are timed and the rest
   extrapolated. Once over one time with the decomposition, once over one further time (at least 1000 wanted).

Both sides run in turn, several times; the median is quoted, with the smallest and largest.
"""

import argparse
from dataclasses import replace
from functools import partial

import torch
from common import problem, seconds, summary

from ntkif import ntk
from ntkif.influence.flow import influence_at
from ntkif.regression.flow import flow_without, kernel_flow

TIME = 1.0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-n", type=int, default=5000)
    parser.add_argument("-k", type=int, default=1000)
    parser.add_argument("-d", type=int, default=784)
    parser.add_argument("--runs", type=int, default=3)
    size = parser.parse_args()
    x_train, y_ten, x_test, y_test = problem(size.n, size.k, size.d, outputs=10)
    kernel, kernel_test = ntk(x_train), ntk(x_test, x_train)
    print(f"n={size.n}, k={size.k}, float64, {torch.get_num_threads()} threads, torch {torch.__version__}")
    decompositions, ones, tens, refits = [], [], [], []
    y_one, test_one = y_ten[:, :1], y_test[:, :1]
    for run in range(size.runs):
        took, flow = seconds(partial(kernel_flow, kernel, y_one))
        decompositions.append(took)
        ones.append(seconds(partial(influence_at, flow, kernel_test, test_one, TIME))[0])
        tens.append(seconds(partial(influence_at, replace(flow, y_train=y_ten), kernel_test, y_test, TIME))[0])
        refits.append(seconds(partial(flow_without, kernel, kernel_test, y_one, 0.0, TIME, [run]))[0])
    print(f"  eigendecomposition, once         {summary(decompositions)} s")
    print(f"1. one time, one output            {summary(ones)} s; at most 25 wanted")
    print(f"   one time, ten outputs           {summary(tens)} s; at most 25 wanted")
    print(f"  one refit                        {summary(refits)} s")
    first = [size.n * a / (b + c) for a, b, c in zip(refits, decompositions, ones, strict=True)]
    further = [size.n * a / b for a, b in zip(refits, ones, strict=True)]
    print(f"2. refitting / decomposition and one time  {summary(first, 0)}, extrapolated from {size.runs} refits")
    print(f"   refitting / one further time            {summary(further, 0)}; at least 1000 wanted")


if __name__ == "__main__":
    main()
