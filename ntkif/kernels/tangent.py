"""The tangent features of a finite network: its Jacobian at its present weights, as products and as a kernel.

The Jacobian J of the two-layer network has a column for each point and output, the gradient of that output with
respect to the first layer. It is never formed: with m neurons, d inputs, n points and c outputs it would hold m d n c
numbers.
"""

import torch

from ntkif.checks import check_fits, check_matrix
from ntkif.kernels.module_kernel import TangentKernel, module_kernel
from ntkif.networks.inputs import Points, Reading
from ntkif.networks.two_layer import TwoLayer

__all__ = ["kernel_with", "pull_back", "push_forward", "tangent_kernel"]


@torch.no_grad()
def tangent_kernel(
    network: torch.nn.Module,
    x: torch.Tensor,
    z: torch.Tensor | None = None,
    *,
    traced: bool = False,
    **blocks,
) -> torch.Tensor:
    """The tangent kernel of a network at its present weights (Lemma 2): products of gradients.

        K(x, z)_ab = ∂f_a(x)/∂θ · ∂f_b(z)/∂θ,      traced: K(x, z) = 1/c Σ_a K(x, z)_aa

    of the two-layer network, in closed form, a product of inputs and one of gates:

        K(x, z)_ab = x.z * (1/m) Σ_r signs_ra signs_rb 1[w_r.x > 0] 1[w_r.z > 0]

    Args:
        network: any torch module with c outputs (see `module_kernel`).
        x: (n, d) points, or what else the module takes.
        z: (k, d) points; `x` itself where absent.
        traced: whether to return the cheaper kernel that couples no outputs (see `module_kernel`).
        **blocks: blocks and `output` of `module_kernel`; the two-layer network takes none.

    Returns:
        (n, k) where traced or where the network has one output, else (n, k, c, c) with the two outputs last.

    Raises:
        TypeError, ValueError: a wrong number of columns, dtype or device, or NaN.
        MemoryError: the result would not fit in memory.
    """
    if type(network) is not TwoLayer:  # a subclass may predict otherwise
        return module_kernel(network, x, z, traced=traced, **blocks)
    if blocks.pop("output", None) is not None:
        raise ValueError("output: expected none for the two-layer network, which returns a matrix.")
    if blocks:
        raise TypeError(f"tangent_kernel: {', '.join(blocks)} are for other modules; this closed form needs none.")
    z, (m, c) = x if z is None else z, network.signs.shape
    for name, points in (("x", x), ("z", z)):
        check_matrix(name, points, columns=network.weights.shape[1], like=network.weights)
    size = (len(x), len(z)) if traced else (len(x), len(z), c, c)
    check_fits("the tangent kernel", *size, like=x, advice="use fewer points, float32, or the traced kernel.")
    gates_x = network.gates(x).to(x.dtype)
    gates_z = gates_x if z is x else network.gates(z).to(x.dtype)
    cosine = (x @ z.T).div_(m)
    if traced or c == 1:
        if (network.signs.abs() == 1).all():  # the square of a sign is one
            return cosine.mul_(gates_x.T @ gates_z)
        return cosine.mul_((gates_x.T * network.signs.square().mean(1)) @ gates_z)
    kernel = x.new_empty(len(x), len(z), c, c)
    for a in range(c):
        for b in range(a, c):
            # The signs of a pair of outputs are the same both ways, and so is what they multiply.
            both = (gates_x.T * (network.signs[:, a] * network.signs[:, b])) @ gates_z
            kernel[:, :, a, b] = kernel[:, :, b, a] = both.mul_(cosine)
    return kernel


def kernel_with(reading: Reading, x: Points, *, dtype: torch.dtype | None = None, **how):
    """The kernel of a network among n points and of others with them: what `TangentKernel` is, for any network.

    Args:
        reading: the network.
        x: the points.
        dtype: of the Jacobian, see `TangentKernel`.
        **how: as of `TangentKernel`; the two-layer network takes `traced` alone.

    Raises:
        ValueError: a dtype for the two-layer network.
    """
    if type(reading.module) is not TwoLayer:
        return TangentKernel(reading, x, dtype=dtype, **how)
    if dtype is not None:
        raise ValueError("jacobian_dtype: expected none for the two-layer network, which needs no Jacobian.")
    return _ClosedForm(reading.module, x.arrays[0], how)


class _ClosedForm:
    """As `TangentKernel`, of the two-layer network."""

    def __init__(self, network: TwoLayer, x: torch.Tensor, how: dict):
        self.network, self.x, self.how = network, x, how

    def square(self) -> torch.Tensor:
        return tangent_kernel(self.network, self.x, **self.how)

    def against(self, z: Points, name: str = "z") -> torch.Tensor:
        return tangent_kernel(self.network, z.arrays[0], self.x, **self.how)


@torch.no_grad()
def push_forward(
    network: TwoLayer, x: torch.Tensor, direction: torch.Tensor, gates: torch.Tensor | None = None
) -> torch.Tensor:
    """J^T v: by how much each output changes, to first order, when the weights move by v.

    Args:
        network: with m neurons and c outputs.
        x: (n, d) points.
        direction: (..., m, d) movements v.
        gates: (m, n) `network.gates(x)`, for many products at the same points; computed where absent.

    Returns:
        (..., n, c) changes.
    """
    response = (direction @ x.T).mul_(network.gates(x) if gates is None else gates)
    return (response.mT @ network.signs).div_(len(network.weights) ** 0.5)


@torch.no_grad()
def pull_back(
    network: TwoLayer, x: torch.Tensor, weight: torch.Tensor, gates: torch.Tensor | None = None
) -> torch.Tensor:
    """J u: the gradient of Σ_ia u_ia f_a(x_i) with respect to the first layer.

    Args:
        network: with m neurons and c outputs.
        x: (n, d) points.
        weight: (..., n, c) weights u of the outputs.
        gates: as `push_forward`.

    Returns:
        (..., m, d) gradients.
    """
    pull = (network.signs @ weight.mT).mul_(network.gates(x) if gates is None else gates)
    return (pull @ x).div_(len(network.weights) ** 0.5)
