"""What the benchmarks share: a made-up problem, a clock, and how a list of measurements is told."""

import statistics
import time

import torch


def problem(n, k, d, outputs=1):
    """Random non-negative unit rows with targets ±1: the time does not depend on what the pixels show."""
    generator = torch.Generator().manual_seed(0)
    x = torch.nn.functional.normalize(torch.rand(n + k, d, generator=generator, dtype=torch.float64) ** 4)
    y = 2.0 * torch.randint(2, (n + k, outputs), generator=generator).double() - 1
    return x[:n], y[:n], x[n:], y[n:]


def seconds(call):
    """Wall time of a call, and what it returned."""
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def summary(values, digits=2):
    """Median, smallest and largest."""
    return f"{statistics.median(values):.{digits}f} (from {min(values):.{digits}f} to {max(values):.{digits}f})"
