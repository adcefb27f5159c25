"""A ResNet-9 for small images, as papers on influence train it, with a norm that keeps points apart."""

import math

import torch
from torch import nn

__all__ = ["resnet9"]

_GROUPS = 8  # of channels, in each norm
_SCALE = 0.2  # of the outputs, as there
_SMALLEST = 11  # pixels of a side, so that something is left for the last convolution


class _Residual(nn.Module):
    def __init__(self, *layers: nn.Module):
        super().__init__()
        self.inner = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.inner(x)


class _Scaled(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return _SCALE * x


def resnet9(width: int, shape: torch.Size, outputs: int, *, smooth: bool = False) -> nn.Module:
    """The ResNet-9 of the examples of TRAK on CIFAR, with group norm in place of batch norm.

    Batch norm makes a prediction depend on the other points of a batch, so that no point has a gradient of its own, and
    `record_training` refuses it. Group norm normalises each point by itself, in eight groups of channels where there
    are enough, and keeps nothing from one step to the next, so that no chance or state has to be recorded. All else is
    as there: convolutions without bias, ReLU, two residual blocks, pools of the largest, and outputs times 0.2.

    So made, its training magnifies the least change of the start so much that what a point does cannot be known. With
    GELU and pools of means, which have no kinks, it magnifies little.

    Args:
        width: channels w of the first layer, 64 in the papers; the layers have w, 2 w, 4 w and 2 w.
        shape: (colours, height, width) of a point.
        outputs: of the network.
        smooth: whether with GELU, and pools of means.

    Returns:
        the network, with torch's own initial weights.

    Raises:
        ValueError: images with fewer than 11 pixels a side.
    """
    if min(shape[1:]) < _SMALLEST:
        raise ValueError(f"shape: expected images of at least {_SMALLEST} pixels a side, got {tuple(shape[1:])}.")
    w, act = width, nn.GELU if smooth else nn.ReLU
    pool, pool_all = (nn.AvgPool2d, nn.AdaptiveAvgPool2d) if smooth else (nn.MaxPool2d, nn.AdaptiveMaxPool2d)
    return nn.Sequential(
        _block(shape[0], w, act),
        _block(w, 2 * w, act, 5, stride=2, padding=2),
        _Residual(_block(2 * w, 2 * w, act), _block(2 * w, 2 * w, act)),
        _block(2 * w, 4 * w, act),
        pool(2),
        _Residual(_block(4 * w, 4 * w, act), _block(4 * w, 4 * w, act)),
        _block(4 * w, 2 * w, act, padding=0),
        pool_all(1),
        nn.Flatten(),
        nn.Linear(2 * w, outputs, bias=False),
        _Scaled(),
    )


def _block(
    inputs: int, outputs: int, act: type[nn.Module], size: int = 3, *, stride: int = 1, padding: int = 1
) -> nn.Module:
    convolution = nn.Conv2d(inputs, outputs, size, stride, padding, bias=False)
    groups = math.gcd(_GROUPS, max(1, outputs // 2))  # of two channels at least, since the last ones are of one pixel
    return nn.Sequential(convolution, nn.GroupNorm(groups, outputs), act())
