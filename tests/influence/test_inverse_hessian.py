"""The inverse of the Hessian as it is to the outputs, against that of the parameters."""

import pytest
import torch
from newton_step import bent, hessian, newton_change, parts, some

from ntkif.influence.inverse_hessian import inverse_hessian
from ntkif.influence.output_rows import flattened
from ntkif.kernels.tangent import tangent_kernel
from ntkif.networks.losses import LOSSES
from ntkif.networks.modules import predict

RIDGE = 0.3


@pytest.mark.parametrize("outputs", [1, 2])
def test_it_is_that_of_the_parameters(outputs):
    module, x, test, loss = bent(outputs), some(9, 4), some(5, 4, seed=1), LOSSES["huber"]
    y = 3 * x[:, :outputs]
    j, gradient, hessians = parts(module, x, y, loss)
    curvature = loss.curvature(predict(module, x), y)
    kernel, k_test = (flattened(tangent_kernel(module, each, x).detach()) for each in (x, test))
    found = inverse_hessian(tangent_kernel(module, x).detach(), curvature, gradient, RIDGE)
    rows = j.flatten(0, 1)
    between = rows @ torch.linalg.solve(hessian(hessians, RIDGE), rows.T)
    torch.testing.assert_close(kernel @ found.weights / RIDGE, between, rtol=0, atol=1e-11)
    truth = newton_change(module, x, y, test, RIDGE, loss)
    torch.testing.assert_close(found.loo_change(k_test), truth, rtol=0, atol=1e-11)
    group = torch.tensor([4, 0, 7])
    change = (k_test @ found.dual(group)).reshape(5, outputs)
    torch.testing.assert_close(
        change, newton_change(module, x, y, test, RIDGE, loss, [group])[:, 0], rtol=0, atol=1e-11
    )
    own = newton_change(module, x, y, x, RIDGE, loss).diagonal(dim1=0, dim2=1).T
    torch.testing.assert_close(found.own_change(kernel), own, rtol=0, atol=1e-11)
