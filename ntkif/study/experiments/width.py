"""Experiments on networks of finite width: how far they are from the kernel predictor, and so their influences."""

import math
from collections.abc import Sequence

import pandas as pd
import torch

from ntkif.data import Dataset
from ntkif.kernels.infinite import ntk
from ntkif.kernels.tangent import push_forward, tangent_kernel
from ntkif.metrics import power_law, rms
from ntkif.networks.descent import train
from ntkif.networks.two_layer import TwoLayer, random_network, random_networks
from ntkif.regression.ridge import ridge_fit

__all__ = [
    "bound_quotients",
    "coupling",
    "fitted_rates",
    "network_errors",
    "proof_sum",
    "start_name",
    "width_exponents",
]

_ZERO = 1e-12  # what is below is a rounding error of a zero, such as the outputs of a symmetric start


@torch.no_grad()
def network_errors(
    dataset: Dataset,
    ridge: float,
    widths: Sequence[int],
    starts: Sequence[tuple[float, bool]],
    seeds: Sequence[int],
    **training,
) -> pd.DataFrame:
    """Trained networks against the kernel predictor (Theorem 1), with what Lemmas 1 to 4 bound on the way.

    The linearisation is trained to its limit in closed form, f_lin = f_0 + K_te(0) (K_tr(0) + λI)^-1 (Y - f_0(X))
    (Eq. 46), with the network's own outputs f_0 and tangent kernel K(0) at the start.

    Args:
        dataset: training and test images, one output.
        ridge: penalty λ.
        widths: numbers of hidden neurons.
        starts: pairs of `init_scale` and `symmetric`, see `random_network`.
        seeds: one network each.
        **training: keywords of `train`.

    Returns:
        a row for each network: width, init_scale, symmetric, seed; over the test points the root mean square of
        f_nn - f_ntk (error), of f_nn - f_lin (network_linear, Lemma 4), of f_lin - f_ntk (linear_kernel) and of f_0
        (start); |f_nn(X) - f_lin(X)| (train_linear, Lemma 3); the largest movement of a neuron (movement, Lemma 1);
        from the start to the end, the change |K_tr(t) - K_tr(0)| in the spectral norm (kernel_change), the root mean
        square over test points of |K_te(t) - K_te(0)| (test_kernel_change) and |(J(t) - J(0))^T vec W(0)| over the
        training points (jacobian_change; all Lemma 2); |K_tr(0) - K_tr| in the spectral norm (kernel_noise, Eq. 50);
        the share of gates that flipped (flips); epochs and unsettled, see `Training`.
    """
    x, y, x_test = dataset.x_train, dataset.y_train, dataset.x_test
    both = torch.cat([x, x_test])
    kernel = ntk(x)
    truth = ridge_fit(kernel, y, ridge).predict(ntk(x_test, x))
    rows = []
    for key, start in random_networks(x, widths, starts, seeds):
        trained = train(start, x, y, ridge, **training)
        end = trained.network
        (k_start, k_test_start), (k_end, k_test_end) = (
            tangent_kernel(net, both, x).tensor_split([len(x)]) for net in (start, end)
        )
        (f_start, f_test_start), (f_end, f_test_end) = (
            net.predict(both).tensor_split([len(x)]) for net in (start, end)
        )
        pull = ridge_fit(k_start.double(), (y - f_start).double(), ridge).dual.to(x.dtype)
        linear, linear_train = f_test_start + k_test_start @ pull, f_start + k_start @ pull
        flipped = end.gates(x).to(x.dtype) - start.gates(x).to(x.dtype)
        rows.append(
            key
            | {
                "error": rms(f_test_end - truth),
                "network_linear": rms(f_test_end - linear),
                "linear_kernel": rms(linear - truth),
                "start": rms(f_test_start),
                "train_linear": float((f_end - linear_train).norm()),
                "movement": trained.movement,
                "kernel_change": float(torch.linalg.matrix_norm(k_end - k_start, 2)),
                "test_kernel_change": rms((k_test_end - k_test_start).norm(dim=1)),
                "jacobian_change": float(push_forward(start, x, start.weights, flipped).norm()),
                "kernel_noise": float(torch.linalg.matrix_norm(k_start - kernel, 2)),
                "flips": float(flipped.abs().mean()),
                "epochs": trained.epochs,
                "unsettled": trained.unsettled,
            }
        )
    return pd.DataFrame(rows)


def coupling(dataset: Dataset, ridge: float, width: int, init_scale: float, symmetric: bool, **training) -> float:
    """By how much the other outputs of a network change its first one, which is trained alone for comparison.

    Both networks start from the same weights and signs. In the limit of infinite width the outputs are separate.

    Args:
        dataset: training and test images, several outputs.
        ridge: penalty λ.
        width: hidden neurons.
        init_scale: κ.
        symmetric: whether the network starts at zero.
        **training: keywords of `train`.

    Returns:
        norm of the difference of the first output on the test images, over the norm of the one trained alone.
    """
    x, y = dataset.x_train, dataset.y_train
    shape = {"width": width, "outputs": y.shape[1], "seed": 0}
    start = random_network(x.shape[1], init_scale=init_scale, symmetric=symmetric, **shape)
    alone = TwoLayer(start.weights, start.signs[:, :1])
    together = train(start, x, y, ridge, **training).network.predict(dataset.x_test)[:, :1]
    one = train(alone, x, y[:, :1], ridge, **training).network.predict(dataset.x_test)
    return float((together - one).norm() / one.norm())


def start_name(init_scale: float, symmetric: bool) -> str:
    """A start in words.

    >>> start_name(1.0, True)
    'κ = 1, symmetric'
    """
    return f"κ = {init_scale:g}" + (", symmetric" if symmetric else "")


def bound_quotients(table: pd.DataFrame, n: int, ridge: float, delta: float = 0.1) -> pd.DataFrame:
    """What was measured, over what Lemmas 1 to 4 and Theorem 1 allow: above one, the inequality is violated.

    The bounds, with every constant that the paper leaves out taken as one, and R the measured movement in Lemma 2:

        Lemma 1    n / (√(δm) λ)
        Lemma 2    4n²R / (√(2π) κδ),  4nR / (√(2π) κδ)  and  2√m nR² / (√(2π) κδ)
        Lemma 3    n^(7/2) / (λ² δ² κ √m)
        Lemma 4    n^4 / (λ³ δ² κ √m)
        Theorem 1  that of Lemma 4 + κ / √δ + nκ / (√δ λ) + n² √(log(n/δ)) / (√m λ²)    (Eq. 52)

    Args:
        table: of `network_errors`.
        n: training points.
        ridge: penalty λ.
        delta: the bounds hold with probability 1 - δ.

    Returns:
        a row for each network: init_scale, symmetric, and a column for each statement; of Lemma 2 the largest of three.
    """
    root, scale, moved = table["width"] ** 0.5, table["init_scale"], table["movement"]
    gauss = math.sqrt(2 * math.pi) * scale * delta
    kernel, test_kernel = 4 * n**2 * moved / gauss, 4 * n * moved / gauss
    changes = {"kernel_change": kernel, "test_kernel_change": test_kernel}
    changes["jacobian_change"] = 2 * root * n * moved**2 / gauss
    fourth = n**4 / (ridge**3 * delta**2 * scale * root)
    bounds = {
        "Lemma 1": moved / (n / (delta**0.5 * root * ridge)),
        "Lemma 2": pd.concat([table[name] / bound for name, bound in changes.items()], axis=1).max(axis=1),
        "Lemma 3": table["train_linear"] / (n**3.5 / (ridge**2 * delta**2 * scale * root)),
        "Lemma 4": table["network_linear"] / fourth,
        "Theorem 1": table["error"] / proof_sum(table, n, ridge, delta),
    }
    return table[["init_scale", "symmetric"]].assign(**bounds)


def proof_sum(table: pd.DataFrame, n: int, ridge: float, delta: float = 0.1) -> pd.Series:
    """The sum of Eq. 52, in which the proof of Theorem 1 ends, with every constant taken as one; see `bound_quotients`.

    Args:
        table: columns width and init_scale; a row for each network.
        n: training points.
        ridge: penalty λ.
        delta: the bound holds with probability 1 - δ.
    """
    root, scale = table["width"] ** 0.5, table["init_scale"]
    off_linear = n**4 / (ridge**3 * delta**2 * scale * root)
    at_start = (1 + n / ridge) * scale / delta**0.5
    return off_linear + at_start + n**2 * math.log(n / delta) ** 0.5 / (root * ridge**2)


def width_exponents(table: pd.DataFrame, column: str, starts: Sequence[tuple[float, bool]]) -> dict[str, float]:
    """Exponent b of a quantity ∝ width^b for some starts, by least squares on logarithms.

    Args:
        table: columns width, init_scale, symmetric and the quantity's; a row for each network.
        column: the quantity, above zero.
        starts: pairs of init_scale and symmetric.

    Returns:
        name of each start, see `start_name` -> b.
    """
    groups = table.groupby(["init_scale", "symmetric"])
    chosen = {start_name(*start): groups.get_group(start) for start in starts}
    return {name: power_law(group["width"], group[column])[0] for name, group in chosen.items()}


def fitted_rates(table: pd.DataFrame, columns: Sequence[str], over: str = "width") -> pd.DataFrame:
    """Exponent b of quantity ∝ over^b for each start, by least squares on logarithms, with its standard error.

    Args:
        table: columns init_scale, symmetric, `over` and those named; a row for each network.
        columns: quantities.
        over: what they depend on.

    Returns:
        a row for each start, a column "b ± error" for each quantity; one that is zero somewhere, to rounding, has none.
    """
    rows = {}
    for (init_scale, symmetric), group in table.groupby(["init_scale", "symmetric"]):
        fits = {name: power_law(group[over], group[name]) for name in columns if (group[name] > _ZERO).all()}
        rows[start_name(init_scale, symmetric)] = {name: f"{b:.2f} ± {error:.2f}" for name, (b, error) in fits.items()}
    return pd.DataFrame(rows).T.reindex(columns=list(columns))
