"""Factors of the curvature of a loss, by which its gradients are as those of half squares."""

import torch

__all__ = ["check_curved", "whiten"]


def check_curved(curved: bool) -> None:
    """Require that a loss is curved in the outputs at some training point.

    Raises:
        ValueError: it is not.
    """
    if not curved:
        raise ValueError(
            "loss: expected one that is curved in the outputs at some training point, since a Newton step follows "
            "its curvature; take a smooth one, and of log-probabilities cross-entropy with the logits as outputs."
        )


def whiten(curvature: torch.Tensor, gradient: torch.Tensor, flat: bool) -> tuple[torch.Tensor, torch.Tensor, bool]:
    """Factors L_i with S_i = L_i L_iᵀ, L_i⁺ g_i, and whether all gradients lie in the range, as a softmax's do.

    They must, unless `flat`.

    Args:
        curvature: (n, c, c) S_i.
        gradient: (n, c) g_i.
        flat: whether a curvature may vanish where its gradient does not.

    Raises:
        ValueError: wrong shapes, a negative eigenvalue, or a gradient outside the range.
    """
    wanted = (*gradient.shape, gradient.shape[1])
    if curvature.shape != wanted:
        raise ValueError(f"curvature: expected shape {wanted}, got {tuple(curvature.shape)}.")
    # Each diagonal is scaled to one, since eigh knows an eigenvalue only to the rounding of the largest, and along an
    # output of small probability the curvature is far smaller.
    size = curvature.diagonal(dim1=1, dim2=2).clamp(min=0).sqrt()
    size = torch.where(size > 0, size, 1)
    values, vectors = torch.linalg.eigh(curvature / size[:, :, None] / size[:, None, :])
    if (values[:, 0] < -(torch.finfo(values.dtype).eps ** 0.5)).any():
        point = int(values[:, 0].argmin())
        raise ValueError(
            f"curvature: expected no negative eigenvalue, got one at training point {point}; the loss is not convex in "
            f"the outputs there, and the empirical kernel knows no removal of such a point."
        )
    kept = values > values.shape[1] * torch.finfo(values.dtype).eps * values.amax(1, keepdim=True)
    scale = torch.where(kept, values, 1).sqrt()
    root = size[:, :, None] * vectors * (scale * kept)[:, None]
    solution = torch.einsum("nba,nb->na", vectors, gradient / size) / scale * kept
    return root, solution, _check_range(torch.einsum("nab,nb->na", root, solution), gradient, flat)


def _check_range(reached: torch.Tensor, gradient: torch.Tensor, flat: bool) -> bool:
    missed, whole = (reached - gradient).abs().amax(1), gradient.abs().amax(1)
    bad = missed > torch.finfo(whole.dtype).eps ** 0.5 * whole
    if bad.any() and not flat:
        point = int(bad.nonzero()[0])
        raise ValueError(
            f"residual: expected gradients in the range of the curvature, but that of training point {point} is off "
            f"by {float(missed[point] / whole[point]):.1e} of its size. Both must be of one loss; if they are, the "
            f"network gives the right class of the point a probability too small for {whole.dtype}: leave the point "
            f"out, or train with a larger ridge."
        )
    return not bool(bad.any())
