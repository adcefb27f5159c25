"""IHVP by conjugate gradients and by LiSSA against the explicit inverse of the Hessian."""

import pytest
import torch
from problem import close
from tiny_network import RIDGE, Trained

from ntkif.influence.ihvp import hessian_product, network_ihvp
from ntkif.influence.solvers import DivergenceError, network_ihvp_cg, network_ihvp_lissa
from ntkif.kernels.tangent import tangent_kernel
from ntkif.networks.two_layer import TwoLayer


@pytest.mark.parametrize("damping", [0.0, 0.7])
def test_dual_cg_and_the_explicit_inverse_agree(trained, damping):
    truth = trained.explicit(damping)
    exact = network_ihvp(trained.network, *trained.arrays, RIDGE, damping=damping)
    by_cg = network_ihvp_cg(trained.network, *trained.arrays, RIDGE, damping=damping)
    assert close(exact, truth) and close(by_cg.influence, truth)
    assert by_cg.converged and float(by_cg.residual.max()) <= 1e-10
    assert str(by_cg).startswith("converged: 5 of 5 test points within 1e-10")


def test_lissa_in_full_batches_is_the_neumann_series(trained):
    """After T steps the factor 1 / w of each eigenvalue w is (1 - (1 - w / scale)^(T + 1)) / w."""
    x_train, y_train, x_test, y_test = trained.arrays
    w, vectors = torch.linalg.eigh(trained.hessian())
    left, right = (trained.gradients(x, y) @ vectors for x, y in ((x_test, y_test), (x_train, y_train)))
    for depth, scale in ((3, 10.0), (50, 10.0), (50, 1000.0)):
        series = (1 - (1 - w / scale) ** (depth + 1)) / w
        found = network_ihvp_lissa(trained.network, *trained.arrays, RIDGE, depth=depth, scale=scale)
        assert close(found.influence, left * series @ right.T, 1e-10)
        residual = (left * (1 - w / scale) ** (depth + 1)).norm(dim=1) / left.norm(dim=1)
        assert torch.allclose(found.residual, residual, rtol=1e-8)
        assert found.converged == bool((residual <= 0.01).all())


def test_lissa_in_batches_tends_to_the_same_and_repeats_average_its_noise(trained):
    truth, settings = trained.explicit(), {"depth": 400, "scale": 30.0, "batch_size": 5}
    errors = {}
    for repeats in (1, 16):
        found = [
            network_ihvp_lissa(trained.network, *trained.arrays, RIDGE, **settings, repeats=repeats, seed=seed)
            for seed in range(3)
        ]
        errors[repeats] = sum(float((f.influence - truth).norm() / truth.norm()) for f in found) / 3
    assert errors[16] < 0.4 * errors[1] < 0.4
    again = network_ihvp_lissa(trained.network, *trained.arrays, RIDGE, **settings, repeats=16, seed=2)
    assert torch.equal(again.influence, found[-1].influence)


def test_a_diverging_lissa_says_so_and_names_a_scale_that_does_not(trained):
    with pytest.raises(
        DivergenceError, match=r"diverged at step \d+ of 2000: .* scale=0.5 is too small. With scale="
    ) as e:
        network_ihvp_lissa(trained.network, *trained.arrays, RIDGE, depth=2000, scale=0.5)
    safe = float(str(e.value).split("With scale=")[1].split()[0])
    largest = float(torch.linalg.eigvalsh(trained.hessian())[-1])
    assert safe > largest
    found = network_ihvp_lissa(trained.network, *trained.arrays, RIDGE, depth=2000, scale=safe)
    assert found.converged and torch.isfinite(found.influence).all()
    for batch_size in (1, 4):
        with pytest.raises(DivergenceError) as e:
            network_ihvp_lissa(trained.network, *trained.arrays, RIDGE, depth=500, scale=0.5, batch_size=batch_size)
        safe = float(str(e.value).split("With scale=")[1].split()[0])
        assert torch.isfinite(
            network_ihvp_lissa(
                trained.network, *trained.arrays, RIDGE, depth=500, scale=safe, batch_size=batch_size
            ).influence
        ).all()


def test_the_least_stable_scale_is_half_of_the_largest_eigenvalue(trained):
    largest = float(torch.linalg.eigvalsh(trained.hessian())[-1])
    network_ihvp_lissa(trained.network, *trained.arrays, RIDGE, depth=3000, scale=0.505 * largest)
    with pytest.raises(DivergenceError):
        network_ihvp_lissa(trained.network, *trained.arrays, RIDGE, depth=3000, scale=0.495 * largest)


def test_gates_are_computed_once_however_many_products_are_made(monkeypatch):
    """Of the training points, and of each test point for its gradient."""
    trained, gates, asked = Trained(1), TwoLayer.gates, []
    monkeypatch.setattr(TwoLayer, "gates", lambda self, x: asked.append(len(x)) or gates(self, x))
    for solver, settings in (
        (network_ihvp_cg, {}),
        (network_ihvp_lissa, {"depth": 9, "scale": 30.0}),
        (network_ihvp_lissa, {"depth": 9, "scale": 30.0, "batch_size": 4, "repeats": 2}),
    ):
        asked.clear()
        assert solver(trained.network, *trained.arrays, RIDGE, **settings).iterations >= 9
        assert sorted(asked) == [1] * 5 + [15]
    asked.clear()
    hessian_product(trained.network, trained.arrays[0], trained.start.weights, RIDGE)
    tangent_kernel(trained.network, trained.arrays[0])
    assert asked == [15, 15]


def test_too_few_steps_are_reported(trained):
    for found in (
        network_ihvp_cg(trained.network, *trained.arrays, RIDGE, max_iterations=2),
        network_ihvp_lissa(trained.network, *trained.arrays, RIDGE, depth=5, scale=10.0),
    ):
        assert not found.converged and str(found).startswith("NOT converged: ")
        assert found.iterations in (2, 5) and float(found.residual.max()) > 0.01


def test_single_precision_does_not_claim_more_than_it_reached(trained):
    """The residual that CG carries along falls below any tolerance; the true one stops at rounding."""
    network = TwoLayer(trained.network.weights.float(), trained.network.signs.float())
    found = network_ihvp_cg(network, *(array.float() for array in trained.arrays), RIDGE, tolerance=1e-12)
    assert found.influence.dtype == torch.float32 and not found.converged
    assert 1e-9 < float(found.residual.max()) < 1e-4
    assert close(found.influence.double(), trained.explicit(), 1e-4)


def test_a_test_point_without_loss_has_no_influence_to_solve_for():
    trained = Trained(1)
    x_train, y_train, x_test, _ = trained.arrays
    arrays = x_train, y_train, x_test, trained.network.predict(x_test)
    assert float(network_ihvp(trained.network, *arrays, RIDGE).abs().max()) == 0
    for found in (
        network_ihvp_cg(trained.network, *arrays, RIDGE),
        network_ihvp_lissa(trained.network, *arrays, RIDGE, depth=5, scale=10.0),
    ):
        assert found.converged and float(found.influence.abs().max()) == 0 == float(found.residual.max())


def test_wrong_settings(trained, monkeypatch):
    net = trained.network
    with pytest.raises(ValueError, match="damping: expected zero or a positive number, got -1"):
        network_ihvp_cg(net, *trained.arrays, RIDGE, damping=-1)
    for solver, settings, message in (
        (network_ihvp_cg, {"tolerance": 0}, "tolerance: expected a positive number, got 0"),
        (network_ihvp_cg, {"max_iterations": 0}, "max_iterations: expected a positive number"),
        (network_ihvp_lissa, {"depth": 0, "scale": 1.0}, "depth: expected a positive number"),
        (network_ihvp_lissa, {"depth": 1, "scale": -1.0}, "scale: expected a positive number"),
        (network_ihvp_lissa, {"depth": 1, "scale": 1.0, "batch_size": 16}, "at most the 15 training points, got 16"),
    ):
        with pytest.raises(ValueError, match=message):
            solver(net, *trained.arrays, RIDGE, **settings)
    monkeypatch.setattr(
        "ntkif.influence.solvers.check_fits", lambda *a, **b: (_ for _ in ()).throw(MemoryError("too large"))
    )
    with pytest.raises(MemoryError):
        network_ihvp_cg(net, *trained.arrays, RIDGE)
