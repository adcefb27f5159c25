"""How networks are retrained without a point, the truth that influences predict (Eq. 7), and what came of it."""

from dataclasses import dataclass, field

import numpy as np
import torch

from ntkif.retraining.leave_one_out import true_influence

__all__ = ["LOOKS", "Protocol", "Retraining"]

LOOKS = 6  # of the beginning of a run, see `Retraining`
_PRECISIONS = {"float64": torch.float64} | dict.fromkeys(("float32", "tf32", "float16"), torch.float32)


@dataclass(frozen=True)
class Protocol:
    """How a network is trained; the defaults are the paper's (appendix A).

    Attributes:
        ridge: penalty λ.
        width: hidden neurons m.
        init_scale: κ.
        symmetric: whether it starts at zero, see `random_network`.
        seed: of the initial weights.
        learning_rate: step size.
        epochs: steps.
        tolerance: earlier stop, see `train`; absent in the paper.
        precision: float64, float32, tf32 (float32 with products on the tensor cores), or float16 (products of it, with
            sums and movement in float32, all networks at once; see `stacked`).
        directions: with float16, of the training points the leading so many in which the movement is kept; all where
            absent.
        last_step: whether influences are those of the networks after the last step, as the paper's are. Otherwise
            they are of the mean of the predictions after that and after one more step: descent with a fixed step may
            end in an oscillation of period two, and which of its ends a network is at is chance.
    """

    ridge: float
    width: int
    init_scale: float = 0.01
    symmetric: bool = False
    seed: int = 0
    learning_rate: float = 0.001
    epochs: int = 5000
    tolerance: float | None = None
    precision: str = "float32"
    directions: int | None = None
    last_step: bool = False

    def __post_init__(self):
        if self.precision not in _PRECISIONS:
            raise ValueError(f"precision: expected one of {', '.join(_PRECISIONS)}, got {self.precision!r}.")
        if self.precision != "float16" and self.directions is not None:
            raise ValueError(f"directions: expected none with {self.precision}, got {self.directions}; see float16.")
        if self.precision == "float16" and self.tolerance is not None:
            raise ValueError(f"tolerance: expected none with float16, got {self.tolerance}.")

    @property
    def dtype(self) -> torch.dtype:
        """Of weights and points."""
        return _PRECISIONS[self.precision]

    def __str__(self) -> str:
        """Name of the file of a run."""
        start = "-symmetric" if self.symmetric else ""
        half = f"-epochs-{self.epochs}-directions-{self.directions or 'all'}" if self.precision == "float16" else ""
        return f"width-{self.width}-scale-{self.init_scale:g}{start}-seed-{self.seed}{half}"


@dataclass(frozen=True, eq=False)
class Retraining:
    """Networks trained with all points and without each of some, from the same start.

    Attributes:
        protocol: how they were trained.
        test_point: the test point for which the removed points are the most influential.
        rows: (r,) the removed training points.
        predictions: (1 + r, k, c) outputs at all test points: of the network trained on all points, then without each.
        following: (1 + r, k, c) the same after one more step; None where an older run did not keep it.
        epochs: (1 + r,) steps taken.
        unsettled: (1 + r,) see `Training`.
        loss: (1 + r,) final value of the objective.
        beginning: (1 + r, 6) the objective before the first step and after 10, 20, ... 50, by which
            `witness.verify_run` knows a run that is too dear to train again; NaN where training was shorter or an
            older run has none.
        seconds: wall time of all trainings, summed over them also where workers trained several at once.
        own_kernel: (k, r) the influences as predicted by the kernel of the network with all points, where asked for.
        provenance: how the run was made; empty unless it was loaded from a file.
    """

    protocol: Protocol
    test_point: int
    rows: np.ndarray
    predictions: torch.Tensor
    following: torch.Tensor | None
    epochs: np.ndarray
    unsettled: np.ndarray
    loss: np.ndarray
    beginning: np.ndarray
    seconds: float
    own_kernel: torch.Tensor | None = None
    provenance: dict = field(default_factory=dict)

    @property
    def at_rest(self) -> torch.Tensor:
        """(1 + r, k, c) the outputs that influences are computed from, see `Protocol.last_step`."""
        return self.predictions if self.protocol.last_step else (self.predictions + self.following) / 2

    @property
    def hops(self) -> np.ndarray | None:
        """(1 + r,) by how much one more step changes the outputs, root mean square; None where it was not kept."""
        if self.following is None:
            return None
        return (self.following - self.predictions).square().mean((1, 2)).sqrt().numpy()

    def influence(self, y_test: torch.Tensor) -> torch.Tensor:
        """(k, r) true influence of each removed point on each test point (Eq. 7); positive means helpful."""
        return true_influence(self.at_rest, y_test.to(self.predictions))

    def __str__(self) -> str:
        """One line: what was trained on which pixels, where, when and by which code."""
        if not (p := self.provenance):
            return f"{self.protocol}: {len(self.predictions)} networks, not stored"
        return (
            f"{p['dataset']}, {self.protocol}, recorded {p['started'][:10]}: {len(self.predictions)} networks, "
            f"{p['n_train']} + {p['n_test']} images, sha256 {p['pixels'][:8]}; λ = {self.protocol.ridge:g}, "
            f"learning rate {self.protocol.learning_rate:g}, {min(self.epochs)} to {max(self.epochs)} epochs, "
            f"{self.protocol.precision} on {p['device']}, torch {p['torch']}, {p['seconds'] / 60:.0f} min, "
            + (p["trainer"] if "trainer" in p else f"commit {p['commit'][:8]}{p['commit'][40:]}")
        )
