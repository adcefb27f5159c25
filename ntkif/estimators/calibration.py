"""Outputs of a classifier as probabilities, by one number: temperature scaling."""

import torch
from scipy.optimize import minimize_scalar

__all__ = ["calibrated", "probabilities"]


def probabilities(outputs: torch.Tensor, slope: float) -> torch.Tensor:
    """(k, c) softmax of slope times the (k, c) outputs; of a single output y for two classes, that of -y/2 and y/2."""
    if outputs.shape[1] == 1:
        outputs = torch.cat([-outputs, outputs], dim=1) / 2
    return torch.softmax(slope * outputs, dim=1)


def calibrated(outputs: torch.Tensor, place: torch.Tensor, weight: torch.Tensor) -> float:
    """The slope, between 1e-3 and 1e3, whose probabilities have the least cross-entropy with labels that were not seen.

        E(a) = -Σ_i w_i Σ_c t_ic log p_c(a f^{-i}(x_i))

    As in Platt's scaling a label of which there are N counts for (N + 1) / (N + 2), and the other labels share the
    rest, so that outputs without an error do not make the probabilities zero and one.

    Args:
        outputs: (n, c), or (n, 1) for two classes, at points that the model has not seen.
        place: (n,) number of the label of each.
        weight: (n,) weights.
    """
    classes = max(2, outputs.shape[1])
    own = torch.nn.functional.one_hot(place, classes).double()
    count = (weight @ own)[place, None]
    wanted = weight[:, None] * torch.where(own > 0, count + 1, 1 / (classes - 1)) / (count + 2)

    def error(log_slope: float) -> float:
        shares = probabilities(outputs, 10.0**log_slope).clamp(min=1e-300)
        return -float((wanted * shares.log()).sum())

    return float(10.0 ** minimize_scalar(error, bounds=(-3, 3), method="bounded", options={"xatol": 1e-9}).x)
