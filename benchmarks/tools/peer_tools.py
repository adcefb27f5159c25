"""How each tool is asked for the influence of all training points on all test points, one function for each.

A function takes the problem and the settings that are tuned, and returns (k, n) in our sign, orientation and scale,
converted as the tool documents them. Tools get float32, one batch of all training points, the loss (f - y)^2 / 2
summed, and the ridge of the training.
"""

import copy
import logging
import tempfile
from dataclasses import dataclass
from functools import cached_property

import torch
from torch.func import functional_call
from torch.utils.data import DataLoader, TensorDataset

import ntkif
from ntkif.influence.linearized import linearized_fit
from ntkif.kernels.infinite import deep_ntk
from ntkif.kernels.tangent import tangent_kernel
from ntkif.networks.modules import predict
from ntkif.networks.two_layer import TwoLayer

KERNELS = {"ntk": ntkif.ntk, "deep_ntk": deep_ntk}


@dataclass(frozen=True, eq=False)
class Problem:
    """A trained network of `benchmarks/tools/truth.py` with its points."""

    case: dict

    @property
    def arrays(self):
        """Training points and targets, test points and targets, in float64."""
        return tuple(self.case["arrays"].values())

    @property
    def ridge(self) -> float:
        """Penalty of the training."""
        return self.case["ridge"]

    @cached_property
    def model(self) -> torch.nn.Module:
        """The trained network as torch layers in float32, of which those that were trained take gradients."""
        network = self.case["network"]
        return (as_layers(network) if isinstance(network, TwoLayer) else copy.deepcopy(network)).float().eval()

    @cached_property
    def trained(self) -> list[str]:
        """Names of the trained parameters."""
        return [name for name, value in self.model.named_parameters() if value.requires_grad]

    @property
    def layers(self) -> list[str] | None:
        """Layers with trained weights, where these are layers that torch has; None where all parameters are trained."""
        return ["0"] if isinstance(self.model, torch.nn.Sequential) else None

    @cached_property
    def size(self) -> int:
        """Number of trained parameters."""
        return sum(value.numel() for value in self.model.parameters() if value.requires_grad)

    @cached_property
    def train(self):
        """Training points and targets in float32."""
        return tuple(a.float() for a in self.arrays[:2])

    @cached_property
    def test(self):
        """Test points and targets in float32."""
        return tuple(a.float() for a in self.arrays[2:])

    def loaders(self):
        """All training points in one batch, and test points in batches of ten, which save memory and change nothing."""
        sizes = len(self.train[0]), 10
        return [
            DataLoader(TensorDataset(*p), batch_size=b) for p, b in zip((self.train, self.test), sizes, strict=True)
        ]


class HalfSquares(torch.nn.Module):
    """The loss of the book, summed over a batch or, with "none", of each point."""

    def __init__(self, reduction: str = "sum"):
        super().__init__()
        self.reduction = reduction

    def forward(self, prediction: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Half of the squared errors."""
        losses = (prediction - y).square().sum(-1) / 2
        return losses.sum() if self.reduction == "sum" else losses


# ours


def own_kernel(problem: Problem) -> torch.Tensor:
    """Eq. 9 by the network's own kernel."""
    return ntkif.network_influence(problem.case["network"], *problem.arrays, problem.ridge, start=None)


def own_kernel_ihvp(problem: Problem) -> torch.Tensor:
    """IHVP in closed form by the network's own kernel."""
    network, (x, y, x_test, y_test) = problem.case["network"], problem.arrays
    fit = linearized_fit(tangent_kernel(network, x), predict(network, x) - y, problem.ridge)
    return fit.ihvp_influence(tangent_kernel(network, x_test, x), predict(network, x_test) - y_test)


def paper_kernel(problem: Problem) -> torch.Tensor:
    """Eq. 9 by the kernel of infinite width."""
    kernel, (x, y, x_test, y_test) = KERNELS[problem.case["kernel"]], problem.arrays
    return ntkif.loo_influence(ntkif.ridge_fit(kernel(x), y, problem.ridge), kernel(x_test, x), y_test)


# dattri: (training, test), positive means helpful


def _task(problem: Problem, target=None):
    from dattri.task import AttributionTask

    model, loss = problem.model, HalfSquares()

    def losses(parameters, data):
        return loss(functional_call(model, parameters, (data[0],)), data[1])

    def output(parameters, data):
        return functional_call(model, parameters, (data[0].unsqueeze(0),)).sum()

    chosen = {"loss": losses, "output": output}
    return AttributionTask(
        loss_func=chosen["output" if target else "loss"], target_func=losses if target else None, model=model,
        checkpoints=model.state_dict(),
    )  # fmt: skip


def _dattri(problem: Problem, tool) -> torch.Tensor:
    train, test = problem.loaders()
    tool.cache(train)
    return tool.attribute(train, test).T


def dattri_cg(problem: Problem, max_iter: int) -> torch.Tensor:
    """`IFAttributorCG`."""
    from dattri.algorithm.influence_function import IFAttributorCG

    names = {"layer_name": problem.trained, "regularization": problem.ridge}
    return _dattri(problem, IFAttributorCG(_task(problem), max_iter=max_iter, **names))


def dattri_arnoldi(problem: Problem, proj_dim: int) -> torch.Tensor:
    """`IFAttributorArnoldi`, with twice as many iterations as dimensions; with as many it gives NaN."""
    from dattri.algorithm.influence_function import IFAttributorArnoldi

    names = {"layer_name": problem.trained, "regularization": problem.ridge}
    return _dattri(problem, IFAttributorArnoldi(_task(problem), proj_dim=proj_dim, max_iter=2 * proj_dim, **names))


def dattri_datainf(problem: Problem, regularization: float) -> torch.Tensor:
    """`IFAttributorDataInf`."""
    from dattri.algorithm.influence_function import IFAttributorDataInf

    names = {"layer_name": problem.trained, "regularization": regularization}
    return _dattri(problem, IFAttributorDataInf(_task(problem), **names))


def dattri_lissa(problem: Problem, scaling: float) -> torch.Tensor:
    """`IFAttributorLiSSA` with full batches; the ridge goes into its damping."""
    from dattri.algorithm.influence_function import IFAttributorLiSSA

    names = {"layer_name": problem.trained, "damping": problem.ridge, "batch_size": len(problem.train[0])}
    return _dattri(problem, IFAttributorLiSSA(_task(problem), scaling=scaling, recursion_depth=300, **names))


def dattri_tracin(problem: Problem) -> torch.Tensor:
    """`TracInAttributor` at the trained network."""
    from dattri.algorithm.tracin import TracInAttributor

    tool = TracInAttributor(_task(problem), weight_list=torch.ones(1), normalized_grad=False)
    tool.projector_kwargs = None
    return tool.attribute(*problem.loaders()).T


def dattri_trak(problem: Problem, proj_dim: int) -> torch.Tensor:
    """`TRAKAttributor` of the output, with the residual in place of one minus the probability of the right label."""
    from dattri.algorithm.trak import TRAKAttributor

    model = problem.model

    def residual(parameters, data):
        return 1 - (functional_call(model, parameters, (data[0].unsqueeze(0),)) - data[1]).sum()

    # It divides gradients by the root of their number, so the ridge is divided by that number.
    settings = {"projector_kwargs": {"proj_dim": proj_dim}, "regularization": problem.ridge / problem.size}
    tool = TRAKAttributor(_task(problem, target="loss"), correct_probability_func=residual, **settings)
    train, test = problem.loaders()
    tool.cache(train)
    return tool.attribute(test).T


# captum: (test, training), positive means helpful


def _captum(problem: Problem, kind, **settings) -> torch.Tensor:
    layers = problem.layers
    with tempfile.TemporaryDirectory() as folder:
        torch.save(problem.model.state_dict(), f"{folder}/model.pt")

        def load(model, file):
            model.load_state_dict(torch.load(file))
            return 1.0

        saved = f"{folder}/model.pt"
        common = {
            "loss_fn": HalfSquares("sum" if layers else "none"),
            "batch_size": len(problem.train[0]),
            "checkpoints_load_func": load,
        }
        place = [saved] if kind.__name__.startswith("TracIn") else saved
        settings = {"sample_wise_grads_per_batch": layers is not None} | settings
        tool = kind(problem.model, TensorDataset(*problem.train), place, layers=layers, **common, **settings)
        return tool.influence(problem.test)


def captum_naive(problem: Problem) -> torch.Tensor:
    """`NaiveInfluenceFunction`: the Hessian outright."""
    from captum.influence import NaiveInfluenceFunction

    return _captum(problem, NaiveInfluenceFunction, hessian_reg=problem.ridge, hessian_inverse_tol=0.0)


def captum_arnoldi(problem: Problem, projection_dim: int) -> torch.Tensor:
    """`ArnoldiInfluenceFunction`, with twice as many iterations as dimensions."""
    from captum.influence._core.arnoldi_influence_function import ArnoldiInfluenceFunction

    sizes = {"projection_dim": projection_dim, "arnoldi_dim": 2 * projection_dim, "arnoldi_tol": 1e-6}
    return _captum(problem, ArnoldiInfluenceFunction, hessian_reg=problem.ridge, hessian_inverse_tol=0.0, **sizes)


def captum_tracin(problem: Problem) -> torch.Tensor:
    """`TracInCP` at the trained network."""
    from captum.influence import TracInCP

    return _captum(problem, TracInCP)


# pyDVL: (test, training), positive means helpful


def _pydvl(problem: Problem, tool) -> torch.Tensor:
    train, _ = problem.loaders()
    return tool.fit(train).influences(*problem.test, *problem.train)


def pydvl_cg(problem: Problem, rtol: float) -> torch.Tensor:
    """`CgInfluence`."""
    from pydvl.influence.torch import CgInfluence

    return _pydvl(problem, CgInfluence(problem.model, HalfSquares(), regularization=problem.ridge, rtol=rtol,
                                       solve_simultaneously=True))  # fmt: skip


def pydvl_arnoldi(problem: Problem, rank: int) -> torch.Tensor:
    """`ArnoldiInfluence`."""
    from pydvl.influence.torch import ArnoldiInfluence

    settings = {"regularization": problem.ridge, "rank": rank, "use_woodbury": True}
    return _pydvl(problem, ArnoldiInfluence(problem.model, HalfSquares(), **settings))


def pydvl_nystrom(problem: Problem, rank: int) -> torch.Tensor:
    """`NystroemSketchInfluence`."""
    from pydvl.influence.torch import NystroemSketchInfluence

    return _pydvl(problem, NystroemSketchInfluence(problem.model, HalfSquares(), problem.ridge, rank))


# others


def trak(problem: Problem, proj_dim: int) -> torch.Tensor:
    """`TRAKer` of the output, whose change times the test residual is that of the loss; (training, test)."""
    from trak import TRAKer
    from trak.modelout_functions import AbstractModelOutput
    from trak.projectors import BasicProjector, ProjectionType

    class Output(AbstractModelOutput):
        def __init__(self):
            super().__init__()

        @staticmethod
        def get_output(model, weights, buffers, x, y):
            return functional_call(model, (weights, buffers), args=(x.unsqueeze(0),)).sum()

        def get_out_to_loss_grad(self, model, weights, buffers, batch):
            return (functional_call(model, (weights, buffers), args=(batch[0],)) - batch[1]).reshape(-1, 1)

    # Gradients are divided by the root of their number, and projected without a factor; so is the ridge.
    projector = BasicProjector(
        grad_dim=problem.size, proj_dim=proj_dim, seed=0, proj_type=ProjectionType.rademacher, device="cpu"
    )
    with tempfile.TemporaryDirectory() as folder:
        tool = TRAKer(
            problem.model, Output(), train_set_size=len(problem.train[0]), save_dir=folder, device="cpu",
            projector=projector, proj_dim=proj_dim, use_half_precision=False, grad_wrt=problem.trained,
            lambda_reg=problem.ridge * proj_dim / problem.size, logging_level=logging.ERROR,
        )  # fmt: skip
        tool.load_checkpoint(problem.model.state_dict(), model_id=0)
        tool.featurize(problem.train, num_samples=len(problem.train[0]))
        tool.finalize_features()
        tool.start_scoring_checkpoint("all", problem.model.state_dict(), model_id=0, num_targets=len(problem.test[0]))
        tool.score(problem.test, num_samples=len(problem.test[0]))
        change = torch.as_tensor(tool.finalize_scores("all").copy()).T
    return change * (problem.model(problem.test[0]) - problem.test[1]).detach()


def pyinfluence(problem: Problem) -> torch.Tensor:
    """`InfluenceFunctions` of scikit-learn's kernel ridge with the kernel of infinite width; (test, training)."""
    from pyinfluence import InfluenceFunctions
    from sklearn.kernel_ridge import KernelRidge

    kernel, (x, y, x_test, y_test) = KERNELS[problem.case["kernel"]], problem.arrays
    both = torch.cat([x, x_test])
    table = kernel(both).numpy()
    place = torch.arange(len(both), dtype=torch.float64)[:, None].numpy()

    def looked_up(a, b):
        return table[int(a[0]), int(b[0])]

    model = KernelRidge(alpha=problem.ridge, kernel=looked_up).fit(place[: len(x)], y[:, 0].numpy())
    tool = InfluenceFunctions(damping=0.0).fit(model, place[: len(x)], y[:, 0].numpy())
    return torch.as_tensor(tool.explain(place[len(x) :], y_test[:, 0].numpy()))


def scikit_ntk(problem: Problem) -> torch.Tensor:
    """The kernel alone, with scikit-learn's kernel ridge fitted again without each removed point."""
    from sklearn.kernel_ridge import KernelRidge
    from skntk import NeuralTangentKernel

    x, y, x_test, y_test = (a.numpy() for a in problem.arrays)
    depth = 2  # two hidden layers; it divides the kernel by their number plus one
    kernel = NeuralTangentKernel(depth, bias=0.0)
    k_train, k_test = 3 * kernel(x), 3 * kernel(x_test, x)
    out = torch.zeros(len(x_test), len(x), dtype=torch.float64)

    def loss(kept):
        model = KernelRidge(alpha=problem.ridge, kernel="precomputed").fit(k_train[kept][:, kept], y[kept])
        return torch.as_tensor((model.predict(k_test[:, kept]) - y_test) ** 2).sum(1) / 2

    everything = list(range(len(x)))
    before = loss(everything)
    for row in problem.case["rows"]:
        out[:, row] = loss([i for i in everything if i != row]) - before
    return out


#: Name -> function, settings that are tried, and which cases it is for (all, where absent).
TOOLS = {
    "ntkif, own kernel": (own_kernel, [{}], None),
    "ntkif, own kernel, IHVP": (own_kernel_ihvp, [{}], None),
    "ntkif, kernel of infinite width": (paper_kernel, [{}], None),
    "dattri, CG": (dattri_cg, [{"max_iter": n} for n in (10, 30)], None),
    "dattri, Arnoldi": (dattri_arnoldi, [{"proj_dim": n} for n in (20, 50)], None),
    "dattri, DataInf": (dattri_datainf, [{"regularization": r} for r in (1.0, 10.0)], None),
    "dattri, LiSSA": (dattri_lissa, [{"scaling": s} for s in (100.0,)], None),
    "dattri, TracIn": (dattri_tracin, [{}], None),
    "dattri, TRAK": (dattri_trak, [{"proj_dim": n} for n in (512, 2048)], None),
    "captum, naive": (captum_naive, [{}], None),
    "captum, Arnoldi": (captum_arnoldi, [{"projection_dim": n} for n in (50, 100)], None),
    "captum, TracIn": (captum_tracin, [{}], None),
    "pyDVL, CG": (pydvl_cg, [{"rtol": 1e-4}], None),
    "pyDVL, Arnoldi": (pydvl_arnoldi, [{"rank": n} for n in (50,)], None),
    "pyDVL, Nystrom": (pydvl_nystrom, [{"rank": n} for n in (50, 200)], None),
    "TRAK": (trak, [{"proj_dim": n} for n in (512, 2048)], None),
    "pyinfluence, kernel ridge": (pyinfluence, [{}], None),
    "scikit-ntk, refits": (scikit_ntk, [{}], ("mlp", "conv")),
}


def as_layers(network: TwoLayer) -> torch.nn.Module:
    """The two-layer network as torch layers, the second fixed."""
    m, d = network.weights.shape
    like = {"bias": False, "dtype": network.weights.dtype}
    layers = torch.nn.Sequential(torch.nn.Linear(d, m, **like), torch.nn.ReLU(), torch.nn.Linear(m, 1, **like))
    layers[0].weight.data, layers[2].weight.data = network.weights.detach().clone(), network.signs.T / m**0.5
    layers[2].weight.requires_grad = False
    return layers.eval()
