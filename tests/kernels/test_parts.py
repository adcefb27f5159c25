"""The parts of a Jacobian, together, against plain passes backward."""

import pytest
import torch
from kinds import KINDS, made
from problem import close

from ntkif.kernels.jacobian import jacobian
from ntkif.kernels.parts import JacobianParts
from ntkif.networks.modules import prepare, trained_parameters


def parts_of(name, most=10_000, **how):
    module, x, output = made(name)
    reading, points, c = prepare(module, x, output=output)
    parts = JacobianParts(reading, points, c, most, **how)
    return parts, torch.cat([part.jacobian() for made in parts.makers() for part in made(points)], 2), points


@pytest.mark.parametrize("most", [10_000, 20])
@pytest.mark.parametrize("name", KINDS)
def test_a_movement_of_the_columns_is_one_of_the_parameters(name, most):
    """Outputs change by both alike, and widths and numbers are those of what is made."""
    scales = {
        key: 2.0 for key in trained_parameters(prepare(*made(name)[:2], output=made(name)[2])[0]) if "bias" in key
    }
    parts, whole, points = parts_of(name, most, scales=scales)
    assert sum(parts.widths()) == whole.shape[2]
    generator = torch.Generator().manual_seed(0)
    columns = torch.randn(whole.shape[2], generator=generator, dtype=torch.float64)
    movement = parts.movement(columns)
    trained = trained_parameters(parts.reading)
    assert [each.shape for each in movement.values()] == [value.shape for value in trained.values()]
    plain = jacobian(parts.reading, points)
    moved = torch.cat([movement[name].flatten() for name in trained])
    assert close(whole @ columns, plain @ moved)
    gradient = {name: torch.randn(value.shape, generator=generator).double() for name, value in trained.items()}
    product = sum((gradient[name] * movement[name]).sum() for name in trained)
    assert close(parts.columns(gradient) @ columns, product)
