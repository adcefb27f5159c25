"""What is asked of a trained network, against Newton steps in the parameters."""

import copy
import pickle
import warnings

import pandas as pd
import pytest
import torch
from linear_model import RIDGE
from newton_step import bent, hessian, newton, newton_change, parts, some
from problem import close
from torch import nn

from ntkif.influence.network import NetworkInfluence, network_influence
from ntkif.kernels.jacobian import jacobian
from ntkif.networks.losses import LOSSES, change_of_loss, targets_of
from ntkif.networks.modules import predict

pytestmark = pytest.mark.filterwarnings(
    "ignore:network. along the steps", "ignore:projections. with"
)  # of networks that were never trained
OTHERS = {
    "squares": (LOSSES["squares"], 2),
    "one output": (LOSSES["squares"], 1),
    "cross-entropy": (LOSSES["cross-entropy"], 3),
    "binary cross-entropy": (LOSSES["binary cross-entropy"], 1),
    "huber": (LOSSES["huber"], 2),
}


@pytest.fixture(params=OTHERS)
def asked(request):
    """A network of which things are asked, its points and targets."""
    loss, c = OTHERS[request.param]
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, c)).double().eval()
    x, test = some(12, 4), some(5, 4, seed=1)
    targets = {"cross-entropy": lambda z: z[:, :3].argmax(1), "binary cross-entropy": lambda z: (z[:, :1] > 0).double()}
    y, y_test = (targets.get(request.param, lambda z: 3 * z[:, :c])(each) for each in (x, test))
    return NetworkInfluence(module, x, y, 0.3, start=None, loss=loss), module, x, y, test, y_test


def test_influence_is_of_the_changes(asked):
    model, module, x, y, test, y_test = asked
    influence = model.influence(test, y_test)
    assert close(influence, network_influence(module, x, y, test, y_test, 0.3, start=None, loss=model.loss))
    targets = targets_of(model.loss, y_test, predict(module, test), "y")
    assert close(change_of_loss(model.loss.value, predict(module, test), model.change(test), targets), influence)
    assert close(model.measured(test, lambda f: f[..., 0]), model.change(test)[..., 0])
    with pytest.raises(ValueError, match="measure: expected a number for the outputs along the last axis"):
        model.measured(test, lambda f: f)


def test_what_a_point_does_to_itself(asked):
    """The outputs where a point is unseen, though a softmax does not feel their sum."""
    model, module, x, y, *_ = asked
    torch.testing.assert_close(model.self_influence(), model.influence(x, y).diagonal(), rtol=1e-9, atol=1e-11)
    own = newton_change(module, x, y, x, 0.3, model.loss).diagonal(dim1=0, dim2=1).T
    torch.testing.assert_close(model.loo_predict(), predict(module, x) + own, rtol=0, atol=1e-11)


def test_predictions_of_the_left_out_are_those_of_refits(fitted):
    p = fitted.p
    model = NetworkInfluence(fitted.trained(), p.x_train, p.y_train, RIDGE, start=fitted.start)
    refits = [fitted.minimise([j for j in range(15) if j != i]) for i in range(15)]
    alone = torch.stack([fitted.predict(refit, fitted.j, p.x_train)[i] for i, refit in enumerate(refits)])
    assert close(model.loo_predict(), alone)


def test_leverage_is_that_of_the_parameters(asked):
    model, module, x, y, *_ = asked
    *_, hessians = parts(module, x, y, model.loss)
    inverse = torch.linalg.inv(hessian(hessians, 0.3))
    blocks = torch.einsum("ipq,qr->ipr", hessians, inverse)  # its eigenvalues that are not zero are those of A_i
    largest = torch.linalg.eigvals(blocks).real.amax(1)
    torch.testing.assert_close(model.leverage, largest, rtol=0, atol=1e-11)
    torch.testing.assert_close(model.freedom, blocks.diagonal(dim1=1, dim2=2).sum(1), rtol=0, atol=1e-11)
    assert model.leverage.shape == (12,) and (model.leverage <= model.freedom + 1e-12).all()


def test_the_traced_kernel_has_one_leverage_for_all_outputs():
    model = NetworkInfluence(bent(), some(12, 4), some(12, 2), 1.0, start=None, traced=True)
    assert torch.equal(model.leverage, model.fit.fit.leverage) and torch.equal(model.freedom, 2 * model.leverage)


def test_the_step_is_that_of_the_change(asked):
    """J times the step is the change of the linearised outputs."""
    model, module, x, _, test, _ = asked
    j, change = jacobian(module, test), model.change(test)
    for row in range(len(x)):
        step = torch.cat([part.flatten() for part in model.step(row)])
        torch.testing.assert_close(j @ step, change[:, row], rtol=0, atol=1e-11)


def test_groups_are_not_sums(asked):
    model, module, x, y, test, y_test = asked
    single = model.group_influence([[3], [5]], test, y_test)
    assert close(single, model.influence(test, y_test)[:, [3, 5]])
    several = [{3, 5, 8}, torch.tensor([8, 3, 5]), pd.Series([5, 8, 3])]
    one, *same = model.group_influence(several, test, y_test).T
    assert all(close(each, one) for each in same)
    named = pd.DataFrame({"label": [0, 1, 1] * 4}).groupby("label").indices
    assert model.group_influence(named, test, y_test).shape == (5, 2)
    truth = newton(module, x, y, test, y_test, 0.3, model.loss, [[3, 5, 8]])[:, 0]
    torch.testing.assert_close(one, truth, rtol=0, atol=1e-11)


@pytest.mark.parametrize("outputs", [1, 2])
def test_groups_on_straight_parts_of_a_loss_are_newton_steps(outputs):
    """Points of which all, some and none have a curvature; a single one; and all but one."""
    module, x, test = bent(outputs), some(12, 4), some(5, 4, seed=1)
    y, y_test, loss = 3 * x[:, :outputs], test[:, :outputs], LOSSES["huber"]
    flat = (loss.curvature(predict(module, x), y) == 0).all((1, 2))
    assert 2 < flat.sum() < 10
    straight, bending = (each.nonzero()[:, 0].tolist() for each in (flat, ~flat))
    groups = [straight, bending, straight[:2] + bending[:2], straight[:1], list(range(11))]
    model = NetworkInfluence(module, x, y, 0.3, start=None, loss="huber")
    found = model.group_influence(groups, test, y_test)
    truth = newton(module, x, y, test, y_test, 0.3, loss, groups)
    assert ((found - truth).abs() <= 1e-10 * truth.abs().amax(0)).all()
    assert not close(found[:, 2], model.influence(test, y_test)[:, groups[2]].sum(1))


def test_the_largest_without_the_matrix(asked):
    model, *_, test, y_test = asked
    values, rows = model.top(3, test, y_test)
    influence = model.influence(test, y_test)
    assert torch.equal(rows, influence.abs().topk(3).indices) and torch.equal(values, influence.gather(1, rows))
    with pytest.raises(ValueError, match="count: expected between 1 and 12 training points, got 13"):
        model.top(13, test, y_test)


def test_linearity_tells_a_linear_network_from_one_that_bends():
    x, y, test = some(12, 4), some(12, 1), some(5, 4, seed=1)
    linear = nn.Linear(4, 1).double().eval()
    before = [value.clone() for value in linear.parameters()]
    model = NetworkInfluence(linear, x, y, 0.3, start=None)
    assert (model.linearity(test, range(12)) < 1e-10).all()
    assert all(torch.equal(a, b) for a, b in zip(before, linear.parameters(), strict=True))
    torch.manual_seed(0)
    bent = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1)).double().eval()
    weak, strong = (NetworkInfluence(bent, x, y, ridge, start=None).linearity(test, [0, 5]) for ridge in (100.0, 0.01))
    assert (weak < 0.05).all() and (strong > 0.3).all()


def test_the_traced_kernel_has_no_step():
    arrays = some(12, 4), some(12, 2)
    model = NetworkInfluence(bent(), *arrays, 1.0, start=None, traced=True)
    with pytest.raises(ValueError, match="the traced one is of no step of the parameters"):
        model.linearity(some(5, 4), [0])
    NetworkInfluence(bent(1), arrays[0], arrays[1][:, 0], 1.0, start=None, traced=True).step(0)


@pytest.mark.parametrize("ridge", [0.3, {"*.bias": 0.1, "*": 0.5}], ids=["one ridge", "two"])
def test_with_columns_for_all_parameters_projections_change_nothing(asked, ridge):
    """Everything that is asked of the kernel, asked of the projected rows."""
    (_, module, x, y, test, y_test), loss = asked, asked[0].loss
    kernel, rows = (NetworkInfluence(module, x, y, ridge, start=None, loss=loss, projections=p) for p in (None, 1000))
    for name in ("leverage", "freedom"):
        assert close(getattr(rows, name), getattr(kernel, name)), name
    for ask in (
        lambda model: model.influence(test, y_test),
        lambda model: model.influence(test, y_test, block_size=2),
        lambda model: model.change(test),
        lambda model: model.self_influence(),
        lambda model: model.loo_predict(),
        lambda model: model.measured(test, lambda f: f[..., 0]),
        lambda model: model.group_influence([[0, 3, 5], {11}], test, y_test),
        lambda model: model.top(2, test, y_test)[0],
        lambda model: torch.cat([part.flatten() for part in model.step(4)]),
        lambda model: model.linearity(test, [0, 7]),
    ):
        assert close(ask(rows), ask(kernel), 1e-8)


def test_fewer_columns_give_other_numbers_and_each_seed_its_own(asked):
    (model, module, x, y, test, y_test) = asked
    exact = model.influence(test, y_test)
    found = [
        NetworkInfluence(module, x, y, 0.3, start=None, loss=model.loss, projections=8, seed=seed) for seed in (0, 0, 1)
    ]
    one, same, other = (each.influence(test, y_test) for each in found)
    assert torch.equal(one, same) and not close(one, other, 1e-3)
    assert ((one - exact).norm() / exact.norm()) > 1e-3
    step = torch.cat([part.flatten() for part in found[0].step(4)])
    assert close(jacobian(module, test) @ step, found[0].change(test)[:, 4], 1e-8)


def test_too_few_columns_are_warned_of():
    torch.manual_seed(0)
    module, x, y = nn.Linear(40, 2).double().eval(), some(30, 40), some(30, 2)
    with pytest.warns(UserWarning, match=r"with 16 columns .* off by about [\d.]+ .*; take 82, one for each parameter"):
        few = NetworkInfluence(module, x, y, 1.0, start=None, projections=16)
    wide = nn.Linear(4000, 1).double().eval()
    with pytest.warns(UserWarning, match=r"; take \d+ for a tenth"):
        NetworkInfluence(wide, some(30, 4000), some(30, 1), 1e4, start=None, projections=8)
    assert (few.freedom.sum() / 16) ** 0.5 > 0.3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        NetworkInfluence(module, x, y, 1.0, start=None, projections=100)  # all parameters


def test_projections_take_neither_the_traced_kernel_nor_its_blocks():
    module, x, y = nn.Linear(4, 2).double().eval(), some(6, 4), some(6, 2)
    with pytest.raises(ValueError, match="traced: expected the whole kernel with projections"):
        NetworkInfluence(module, x, y, 1.0, start=None, projections=5, traced=True)
    with pytest.raises(TypeError, match="point_block"):
        NetworkInfluence(module, x, y, 1.0, start=None, projections=5, point_block=2)


@pytest.mark.parametrize("how", [{}, {"projections": 100}], ids=["kernel", "projections"])
def test_a_network_that_was_trained_further_is_refused(how):
    """It would answer for no network: the Jacobian of the training points is of then, that of test points of now."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 1)).double().eval()
    x, y = some(12, 4), some(12, 1, seed=2)
    model, kept = (NetworkInfluence(each, x, y, 0.3, start=None, **how) for each in (module, copy.deepcopy(module)))
    before = model.influence(x[:3], y[:3])
    assert torch.equal(model.influence(x[:3], y[:3]), before)
    copied = copy.deepcopy(model)
    module.load_state_dict({name: value + 0.1 for name, value in module.state_dict().items()})
    for ask in (lambda: model.influence(x[:3], y[:3]), lambda: model.change(x[:3]), lambda: model.step(0)):
        with pytest.raises(ValueError, match=r"network: it was trained further, .* copy\.deepcopy"):
            ask()
    for same in (kept, copied, pickle.loads(pickle.dumps(kept))):
        torch.testing.assert_close(same.influence(x[:3], y[:3]), before, rtol=0, atol=1e-12)
    kept.reading.module.train()
    with pytest.raises(ValueError, match="or put in training mode, since"):
        kept.influence(x[:3], y[:3])
