"""Projected rows of a Jacobian against the Jacobian itself."""

import pytest
import torch
from kinds import made
from otherwise import OTHERWISE, otherwise
from problem import close, plain_jacobian
from torch import nn

from ntkif.kernels import projected as projected_module
from ntkif.kernels.jacobian import jacobian
from ntkif.kernels.layers import UsedOtherwiseError
from ntkif.kernels.module_kernel import module_kernel
from ntkif.kernels.projected import ProjectedJacobian
from ntkif.networks.modules import predict, prepare

SOME = ["convolution", "layer norm", "transformer layer", "tied weights", "a sequence through a linear layer"]


def of_rows(name, projections, **how):
    module, x, output = made(name)
    projected = ProjectedJacobian(module, x, projections, output=output, **how)
    points = prepare(module, x, output=output)[1]
    return projected, points, projected.rows(points)


@pytest.mark.parametrize("name", SOME)
def test_with_columns_enough_nothing_is_projected(name):
    projected, points, rows = of_rows(name, 10**6)
    kernel, (n, c, _) = module_kernel(projected.reading, points), rows.shape
    assert projected.exact and projected.width == jacobian(projected.reading, points).shape[2]
    assert close(torch.einsum("iap,jbp->ijab", rows, rows), kernel.reshape(n, n, c, c))


@pytest.mark.parametrize("name", SOME)
@pytest.mark.parametrize("projections", [1, 4, 6])
def test_a_movement_is_that_of_the_projected_rows(name, projections):
    """Of v columns the outputs change by φ v: what the sign and the place of each parameter are for."""
    projected, points, rows = of_rows(name, projections, seed=3)
    v = torch.randn(projected.width, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    movement = projected.movement(v)
    moved = torch.cat([part.flatten() for part in movement])
    assert rows.shape[2] == projections and not projected.exact
    assert close(rows @ v, jacobian(projected.reading, points) @ moved)
    gradient = [torch.randn(part.shape, generator=torch.Generator().manual_seed(2)).double() for part in movement]
    assert close(projected.columns(gradient) @ v, torch.cat([part.flatten() for part in gradient]) @ moved)


def test_products_are_those_of_the_jacobian_in_the_mean_and_scatter_less_with_more_columns():
    module = nn.Sequential(nn.Linear(6, 10), nn.Tanh(), nn.Linear(10, 2)).double().eval()
    x = torch.randn(4, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    kernel, scatter = module_kernel(module, x), {}
    for p in (8, 32):
        found = []
        for seed in range(300):
            projected = ProjectedJacobian(module, x, p, seed=seed)
            rows = projected.rows(prepare(module, x)[1])
            found.append(torch.einsum("iap,jbp->ijab", rows, rows))
        off = torch.stack(found) - kernel
        scatter[p] = float(off.square().mean().sqrt())
        assert (off.mean(0).abs() < 5 * off.std(0) / 300**0.5 + 1e-12).all()
        own = kernel.diagonal(dim1=2, dim2=3).diagonal()  # (c, n) squared norms
        most = (2 / p * own.max() ** 2) ** 0.5
        assert off.square().mean(0).sqrt().max() < 1.2 * most
    assert 1.6 < scatter[8] / scatter[32] < 2.6


@pytest.mark.parametrize("name", SOME)
def test_in_parts_of_any_size(name, monkeypatch):
    projected, points, right = of_rows(name, 5)
    monkeypatch.setattr(projected_module, "PASS", 40)
    assert close(projected.rows(points), right)


def test_scales_and_another_dtype():
    module, x, _ = made("layer norm")
    scales = {f"module.{key}": 3.0 for key, _ in module.named_parameters()}
    plain, scaled = (ProjectedJacobian(module, x, 5, scales=each) for each in (None, scales))
    points = prepare(module, x)[1]
    assert close(3 * plain.rows(points), scaled.rows(points))
    single = ProjectedJacobian(module, x, 5, dtype=torch.float32)
    assert single.rows(points).dtype == torch.float32 and predict(module, x).dtype == torch.float64
    assert torch.allclose(single.rows(points).double(), plain.rows(points), atol=1e-5)


def test_a_frozen_part_of_another_precision_takes_its_points_as_they_are():
    torch.manual_seed(0)
    frozen = nn.Linear(4, 3).half().requires_grad_(False)
    for value in frozen.parameters():  # eighths, whose sums of products are exact in half precision
        value.copy_((8 * value).round() / 8)

    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.frozen, self.head = frozen, nn.Linear(3, 2)

        def forward(self, x):
            return self.head(self.frozen(x).float())

    module, x = Mixed().eval(), torch.arange(-10.0, 10).reshape(5, 4).div(4).half()
    rows = ProjectedJacobian(module, x, 100).against(x)
    kernel = module_kernel(module, x)
    assert torch.allclose(torch.einsum("iap,jbp->ijab", rows, rows), kernel, atol=1e-5)


@pytest.mark.parametrize("projections", [0, 2.5])
def test_wrong_numbers_of_columns(projections):
    with pytest.raises(ValueError, match="projections: expected a whole number of columns, one or more, got"):
        ProjectedJacobian(nn.Linear(3, 1).eval(), torch.ones(2, 3), projections)


@pytest.mark.parametrize("name", OTHERWISE)
def test_points_at_which_layers_are_used_otherwise(name):
    module, x = otherwise(name)
    points, plain = prepare(module, x)[1], plain_jacobian(module, x)
    kernel = torch.einsum("iap,jbp->ijab", plain, plain)
    plainly = ProjectedJacobian(module, x[:1], 1000, by_layers=False)
    for projected in [plainly] if "by one point" in name else [plainly, ProjectedJacobian(module, x, 1000)]:
        rows = projected.rows(points)
        assert close(torch.einsum("iap,jbp->ijab", rows, rows), kernel)


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("padding cut to the longest", 2),  # of one place each
        ("a weight used directly by one point", 40),
        ("a bias used directly by one point", 40),
    ],
)
def test_points_that_are_otherwise_than_those_that_were_seen(name, seen):
    module, x = otherwise(name)
    projected = ProjectedJacobian(module, x[:seen], 1000)
    with pytest.raises(UsedOtherwiseError, match=r"its layer with module\.\w+\.weight .* pass by_layers=False"):
        projected.rows(prepare(module, x)[1])
