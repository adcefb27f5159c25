"""Gradient descent against autograd, its safe step, and where it stops."""

import pytest
import torch
from problem import points

from ntkif import ntk, ridge_fit
from ntkif.data import load
from ntkif.kernels.tangent import tangent_kernel
from ntkif.metrics import agreement
from ntkif.networks import descent
from ntkif.networks.descent import safe_learning_rate, train
from ntkif.networks.two_layer import TwoLayer, random_network


def objective(weights, start, x, y, ridge):
    """Eq. 1 and 2, as the paper writes them."""
    prediction = torch.relu(x @ weights.T) @ start.signs / len(weights) ** 0.5
    return (prediction - y).square().sum() / 2 + ridge / 2 * (weights - start.weights).square().sum()


def autograd_descent(start, x, y, ridge, learning_rate, epochs):
    weights = start.weights.clone()
    for _ in range(epochs):
        weights.requires_grad_()
        (gradient,) = torch.autograd.grad(objective(weights, start, x, y, ridge), weights)
        weights = (weights - learning_rate * gradient).detach()
    return weights


@pytest.mark.parametrize("n", [12, 60], ids=["few points", "many points"])
@pytest.mark.parametrize("outputs", [1, 10])
@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("block_size", [7, None])
def test_the_gradient_is_that_of_autograd(n, outputs, symmetric, block_size):
    """Each step is the gradient there, so every step is checked, from the first at the start to the last."""
    x, y = points(n, outputs=outputs)
    start = random_network(30, width=40, init_scale=0.3, seed=1, outputs=outputs, symmetric=symmetric)
    for epochs in (1, 25):
        trained = train(start, x, y, 0.7, learning_rate=0.01, epochs=epochs, block_size=block_size)
        truth = autograd_descent(start, x, y, 0.7, 0.01, epochs)
        step, true_step = trained.network.weights.detach() - start.weights.detach(), truth - start.weights.detach()
        assert float((step - true_step).abs().max()) < 1e-10 * float(true_step.abs().max())
        for loss, weights in ((trained.loss[0], start.weights), (trained.loss[-1], truth)):
            assert loss == pytest.approx(objective(weights, start, x, y, 0.7).item(), rel=1e-12)
        assert trained.epochs == epochs


def test_the_start_is_not_changed():
    x, y = points(12)
    start = random_network(30, width=8, init_scale=1.0, seed=0)
    before = start.weights.clone()
    train(start, x, y, 1.0, learning_rate=0.01, epochs=3)
    assert torch.equal(start.weights, before)


@pytest.mark.parametrize("n", [12, 60])
def test_movement_is_the_largest_of_all_neurons(n):
    x, y = points(n)
    start = random_network(30, width=50, init_scale=0.5, seed=0)
    trained = train(start, x, y, 0.5, learning_rate=0.01, epochs=200)
    distances = (trained.network.weights - start.weights).detach().norm(dim=1)
    assert trained.movement >= float(distances.max()) * (1 - 1e-9)
    assert trained.movement == pytest.approx(float(distances.max()), rel=0.2)


def test_weights_stay_in_the_span_of_the_points():
    x, y = points(12)
    start = random_network(30, width=50, init_scale=0.5, seed=0)
    moved = train(start, x, y, 0.5, learning_rate=0.01, epochs=50).network.weights.detach() - start.weights.detach()
    outside = moved - moved @ torch.linalg.pinv(x) @ x
    assert float(outside.abs().max()) < 1e-12 and float(moved.abs().max()) > 1e-3


def test_a_wide_network_is_the_kernel_predictor():
    x, y = points(40)
    test, _ = points(20, seed=5)
    truth = ridge_fit(ntk(x), y, 0.5).predict(ntk(test, x))
    start = random_network(30, width=20000, init_scale=1.0, seed=0, symmetric=True)
    trained = train(start, x, y, 0.5, learning_rate=0.15, epochs=2000, tolerance=1e-4)
    assert trained.unsettled < 1e-4
    assert agreement(trained.network.predict(test), truth)["relative_error"] < 0.03


@pytest.mark.parametrize("outputs", [1, 10])
@pytest.mark.parametrize("init_scale", [0.01, 1.0])
def test_a_learning_rate_that_diverges_names_one_that_does_not(outputs, init_scale):
    x, y = points(60, outputs=outputs)
    start = random_network(30, width=200, init_scale=init_scale, seed=0, outputs=outputs)
    with pytest.raises(ValueError, match=r"learning_rate: the loss grew from .* so 1 is too large .* is safe") as info:
        train(start, x, y, 0.5, learning_rate=1.0, epochs=200)
    safe = float(str(info.value).split("; ")[1].split()[0])
    assert safe == pytest.approx(safe_learning_rate(start, x, 0.5), rel=0.05)
    losses = torch.tensor(train(start, x, y, 0.5, learning_rate=safe, epochs=2000).loss)
    assert (losses <= 1.002 * losses.cummin(0).values).all()  # weights on kinks make it flicker by less


def test_no_eigenvalue_of_the_hessian_exceeds_the_inverse_of_the_safe_step():
    """With all gates open and equal signs, the bound is met."""
    x, _ = points(25)
    everything_open = TwoLayer(x.mean(0).repeat(8, 1) * 0 + 1, torch.ones(8, 1, dtype=torch.float64))
    x = torch.nn.functional.normalize(x.abs())
    largest = float(torch.linalg.eigvalsh(tangent_kernel(everything_open, x))[-1]) + 0.3
    assert safe_learning_rate(everything_open, x, 0.3) == pytest.approx(1 / largest)
    three = TwoLayer(everything_open.weights, torch.ones(8, 3, dtype=torch.float64))  # outputs that are all the same
    assert safe_learning_rate(three, x, 0.3) == pytest.approx(1 / (3 * (largest - 0.3) + 0.3))
    random = random_network(30, width=100, init_scale=1.0, seed=0)
    assert safe_learning_rate(random, x, 0.3) < 1 / float(torch.linalg.eigvalsh(tangent_kernel(random, x))[-1] + 0.3)


def test_an_early_stop_is_where_the_criterion_is_met():
    x, y = points(40)
    test, _ = points(20, seed=5)
    start = random_network(30, width=500, init_scale=1.0, seed=0, symmetric=True)
    rate, ridge = 0.02, 0.5
    limit = train(start, x, y, ridge, learning_rate=rate, epochs=4000)
    for tolerance in (1e-2, 1e-4):
        stopped = train(start, x, y, ridge, learning_rate=rate, epochs=4000, tolerance=tolerance)
        assert stopped.epochs < 4000 and stopped.unsettled < tolerance
        earlier = train(start, x, y, ridge, learning_rate=rate, epochs=stopped.epochs - 10)
        assert earlier.unsettled >= tolerance
        window = round(1 / (rate * ridge))
        changes = []
        for earlier in (window, 1):
            before = train(start, x, y, ridge, learning_rate=rate, epochs=stopped.epochs - earlier)
            changes.append(float((stopped.network.predict(x) - before.network.predict(x)).abs().max()))
        assert max(changes) == pytest.approx(stopped.unsettled, rel=1e-6)
        left = (stopped.network.predict(test) - limit.network.predict(test)).abs().max()
        assert float(left) < 2 * tolerance


def test_predictions_that_alternate_from_step_to_step_are_not_settled():
    """Steps too large for small weights on kinks: every tenth epoch looks the same, the next one does not."""
    data = load("mnist-sample").head(60, 1)
    start = random_network(784, width=256, init_scale=0.01, seed=0)
    rate = 2.5 * safe_learning_rate(start, data.x_train, 1.0)
    settings = {"learning_rate": rate, "epochs": 600, "tolerance": 1e-3}
    trained = train(start, data.x_train, data.y_train, 1.0, **settings)
    assert trained.epochs == 600 and trained.unsettled > 0.1


def test_without_a_ridge_the_loss_may_reach_zero():
    x, y = points(8, d=30)
    start = random_network(30, width=200, init_scale=1.0, seed=0, symmetric=True)
    rate = safe_learning_rate(start, x, 0.0)
    trained = train(start, x, y, 0.0, learning_rate=rate, epochs=3000)
    assert trained.loss[-1] < 1e-20


def test_progress_counts_every_epoch_once():
    x, y = points(12)
    start = random_network(30, width=8, init_scale=1.0, seed=0)
    for epochs in (1, 10, 25):
        told = []
        train(start, x, y, 1.0, learning_rate=0.01, epochs=epochs, progress=told.append)
        assert sum(told) == epochs and max(told) <= 10


def test_float32_follows_float64():
    x, y = points(60)
    start = random_network(30, width=512, init_scale=1.0, seed=0, symmetric=True)
    single = TwoLayer(start.weights.float(), start.signs.float())
    double = train(start, x, y, 0.5, learning_rate=0.02, epochs=400).network.predict(x)
    rough = train(single, x.float(), y.float(), 0.5, learning_rate=0.02, epochs=400).network.predict(x.float())
    assert torch.allclose(rough.double(), double, atol=1e-4)


def test_tf32_rounds_to_ten_bits():
    a = torch.tensor([1.0, 1 + 2**-10, 1 + 2**-11 + 2**-20, 1 + 2**-12, -3.14159274, 0.0])
    rounded = descent._round_to_tf32(a)
    assert rounded.tolist() == [1.0, 1 + 2**-10, 1 + 2**-10, 1.0, -3.140625, 0.0]
    x, y = points(60)
    start = random_network(30, width=64, init_scale=1.0, seed=0, dtype=torch.float32)
    runs = [
        train(start, x.float(), y.float(), 0.5, learning_rate=0.02, epochs=50, tf32=tf32).network for tf32 in (0, 1)
    ]
    first, second, begin = (net.weights.detach() for net in (*runs, start))
    change = float((first - second).norm() / (first - begin).norm())
    assert 1e-6 < change < 1e-2


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"x": torch.zeros(12, 30, dtype=torch.float64)}, ValueError, "x: expected rows of norm 1"),
        ({"x": torch.ones(12, 9, dtype=torch.float64) / 3}, ValueError, "x: expected a matrix of shape"),
        ({"y": torch.zeros(12, 2, dtype=torch.float64)}, ValueError, "y: expected a matrix of shape"),
        ({"y": torch.zeros(12, 1)}, TypeError, "y: expected torch.float64"),
        ({"ridge": -1.0}, ValueError, "ridge: expected zero or a positive number"),
        ({"ridge": 0.0, "tolerance": 0.1}, ValueError, "ridge: expected a positive number"),
        ({"learning_rate": 0.0}, ValueError, "expected a positive learning rate"),
        ({"learning_rate": float("nan")}, ValueError, "expected a positive learning rate"),
        ({"epochs": 0}, ValueError, "at least one epoch"),
        ({"tolerance": -1.0}, ValueError, "a positive tolerance or none"),
        ({"tf32": True}, TypeError, "tf32: expected float32"),
    ],
)
def test_bad_input(change, error, message):
    x, y = points(12)
    start = random_network(30, width=8, init_scale=1.0, seed=0)
    arguments = {"x": x, "y": y, "ridge": 1.0, "learning_rate": 0.01, "epochs": 5} | change
    with pytest.raises(error, match=message):
        train(start, arguments.pop("x"), arguments.pop("y"), arguments.pop("ridge"), **arguments)


def test_a_training_that_would_not_fit():
    x, y = points(12)
    wide = TwoLayer(
        torch.zeros(1, 30, dtype=torch.float64).expand(10**12, 30), torch.ones(1, 1).double().expand(10**12, 1)
    )
    with pytest.raises(MemoryError, match=r"training .* use fewer points"):
        train(wide, x, y, 1.0)
