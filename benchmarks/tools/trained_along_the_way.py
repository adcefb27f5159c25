"""Influence by what happened in training, ours and that of other tools; see `trained_problem` for scales.

A function takes the problem and the settings that are tried, and returns (k, n) in our sign, orientation and scale.
"""

import copy
import tempfile

import torch
from torch.func import functional_call, grad, jacrev, vmap
from trained_problem import TrainedProblem, captum, dattri_task, losses_of, mean_loss

from ntkif import NetworkInfluence
from ntkif.networks.losses import CROSS_ENTROPY
from ntkif.study.experiments.trained_networks import record_case

# ours, which record the training again: of all, 20 without a fold and ten without a point


def _recorded(problem: TrainedProblem, **how):
    x, y, *_ = problem.arrays
    return record_case(problem.training, x, y, problem.case["seed"], **how)


def through_training(problem: TrainedProblem, retrain: int = 0) -> torch.Tensor:
    """`influence` of a recorded training."""
    return _recorded(problem, folds=20).influence(*problem.arrays[2:], retrain=retrain, trust=True)


def first_order(problem: TrainedProblem) -> torch.Tensor:
    """`first_order` of one, recorded with as few folds as may be, two, and no points alone."""
    return _recorded(problem, folds=2, alone=0).first_order(*problem.arrays[2:])


def own_kernel(problem: TrainedProblem) -> torch.Tensor:
    """`NetworkInfluence` with the damping that it chooses by itself."""
    x, y, x_test, y_test = problem.arrays
    how = {"start": problem.case["start"], "damping": "auto", "loss": CROSS_ENTROPY}
    return NetworkInfluence(problem.case["network"], x, y, 0.0, **how).influence(x_test, y_test)


# TracIn: positive means helpful; weights are rates, over the size of a batch and for all steps that a checkpoint is for


def dattri_tracin(problem: TrainedProblem, checkpoints: int) -> torch.Tensor:
    """`TracInAttributor`: (training, test)."""
    from dattri.algorithm.tracin import TracInAttributor

    weights = torch.full((checkpoints,), problem.weight(checkpoints))
    tool = TracInAttributor(dattri_task(problem, checkpoints), weight_list=weights, normalized_grad=False)
    tool.projector_kwargs = None
    return tool.attribute(*problem.loaders()).T


def captum_tracin(problem: TrainedProblem, checkpoints: int) -> torch.Tensor:
    """`TracInCP`: (test, training)."""
    from captum.influence import TracInCP

    return captum(problem, TracInCP, problem.checkpoints(checkpoints), problem.weight(checkpoints))


# dattri, DVEmb: the path of SGD, (training, test), positive means helpful


def dattri_dvemb(problem: TrainedProblem, rate: float | None = None) -> torch.Tensor:
    """`DVEmbAttributor`, without projection, told each batch and the rate, in which momentum is not; trains again."""
    from dattri.algorithm.dvemb import DVEmbAttributor
    from dattri.task import AttributionTask

    problem.model.load_state_dict(problem.start.state_dict())
    task = AttributionTask(loss_func=mean_loss(problem), model=problem.model, checkpoints=problem.start.state_dict())
    tool, (x, y), training = DVEmbAttributor(task), problem.train, problem.training
    kind = {
        "sgd": lambda of: torch.optim.SGD(of, training.rate, momentum=training.momentum),
        "adam": lambda of: torch.optim.Adam(of, training.rate),
    }
    optimizer = kind[training.optimizer](problem.model.parameters())
    steps = len(problem.batches) // training.epochs
    for index, rows in enumerate(problem.batches):
        tool.cache_gradients(index // steps, (x[rows], y[rows]), rows, training.rate if rate is None else rate)
        optimizer.zero_grad()
        losses_of(problem.model(x[rows]), y[rows]).mean().backward()
        optimizer.step()
    tool.cache()
    return tool.attribute(problem.loaders()[1]).T


# bergson, MAGIC: minus the derivative by the weight of a point, (training) of one test point at a time


class _Weighted(torch.nn.Module):
    """Gives the loss of a batch, as its trainer asks for it."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, x, y, example_weight, shift_loss_mask):
        return (example_weight * losses_of(self.module(x), y)).mean()


class _Stream:
    """The batches of a training, as its trainer reads them; the mask is what it takes the size of a batch from."""

    def __init__(self, problem: TrainedProblem):
        self.points, self.batches, self.device = problem.train, problem.batches, torch.device("cpu")
        self.weights, self.requires_grad = torch.nn.Parameter(torch.ones(problem.n)), False

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        x, y = (each[self.batches[index]] for each in self.points)
        weight = self.weights[self.batches[index]]
        return {"x": x, "y": y, "example_weight": weight, "shift_loss_mask": torch.ones(len(x))}


def bergson_magic(problem: TrainedProblem) -> torch.Tensor:
    """`Trainer` of `bergson.magic`: trains with every state kept, and goes back through them once a test point.

    Under Adam's root a little is added: a weight whose gradients are zero, of a pixel that is always black, gives NaN.
    """
    import torchopt
    from bergson.magic.trainer import BackwardState, Trainer

    training, stream, rows = problem.training, _Stream(problem), []
    optimizer = (
        torchopt.sgd(training.rate, momentum=training.momentum)
        if training.optimizer == "sgd"
        else torchopt.adam(training.rate, eps_root=1e-12)
    )
    trainer, state = Trainer.initialize(_Weighted(copy.deepcopy(problem.start)), optimizer)
    with tempfile.TemporaryDirectory() as folder:
        state = trainer.train(state, stream, save_dir=folder, save_mode="all").detach_()
        theta = {name: value.clone() for name, value in state.params.items()}
        zeros = [torch.zeros_like(each) for each in state.differentiable_tensors()[len(theta) :]]

        def loss(parameters, x, y):
            named = {name.removeprefix("module."): value for name, value in parameters.items()}
            return losses_of(functional_call(problem.model, named, (x[None],)), y[None]).squeeze(0)

        for x, y in zip(*problem.test, strict=True):
            end = BackwardState(grad(loss)(theta, x, y), [each.clone() for each in zeros], torch.zeros(problem.n))
            back = trainer.backward(folder, stream, end, state, cleanup=False, save_mode="all")
            rows.append(-back.weight_grads.detach())
    return torch.stack(rows)


# SOURCE, written here from arXiv 2405.12186, Eq. 15 to 20, with Gauss-Newton's whole matrix in place of EK-FAC


def source(problem: TrainedProblem, segments: int) -> torch.Tensor:
    """Segments of training, in each of which curvature and gradients stay as their mean over its checkpoints.

        ΔL = 1/n Σ_s q_sᵀ (1 - exp(-ηK H_s)) H_s⁻¹ g_s,   q_s = exp(-ηK H_{s+1}) q_{s+1},   q_S = ∇L at the end

    with K the steps of a segment, and η with momentum that of `TrainedProblem.rate`.
    """
    if problem.training.optimizer != "sgd" or problem.size > 5000:
        raise ValueError("written for SGD and at most 5000 parameters, whose matrix it takes whole")
    states = [torch.cat([value.flatten() for value in each.values()]) for each in problem.checkpoints(5)]
    query, per = gradients_of(problem, states[-1], *problem.test), len(states) // segments
    moved, total = problem.rate * len(problem.batches) / segments, 0.0
    for part in reversed(range(segments)):
        inside = states[part * per : (part + 1) * per]
        curvature = sum(gauss_newton(problem, theta) for theta in inside) / per
        gradients = sum(gradients_of(problem, theta, *problem.train) for theta in inside) / per
        values, vectors = torch.linalg.eigh(curvature)
        x = moved * values.clamp(min=0)
        gone = torch.where(x > 1e-4, -torch.expm1(-x) / x.clamp(min=1e-4), 1 - x / 2)
        query = query @ vectors
        total = total + (moved * gone * query) @ (gradients @ vectors).T / problem.n
        query = (torch.exp(-x) * query) @ vectors.T
    return total


def gradients_of(problem: TrainedProblem, theta, x, y):
    """(n, P) of the loss of each point."""

    def loss(at, one, target):
        return losses_of(problem.function(at, one[None]), target[None]).squeeze(0)

    return vmap(grad(loss), in_dims=(None, 0, 0))(theta, x, y)


def gauss_newton(problem: TrainedProblem, theta):
    """(P, P) of the mean of the losses."""
    x, total = problem.train[0], 0.0
    for some in x.split(250):
        jacobian = vmap(jacrev(lambda at, one: problem.function(at, one[None])[0]), (None, 0))(theta, some)
        p = problem.function(theta, some).softmax(1)
        root = p.sqrt()[:, :, None] * (jacobian - torch.einsum("nc,ncp->np", p, jacobian)[:, None])
        total = total + root.flatten(0, 1).T @ root.flatten(0, 1) / len(x)
    return total


ALONG_THE_WAY = {
    "ntkif, through training": (through_training, [{}]),
    "ntkif, through training, top 10 retrained": (through_training, [{"retrain": 10}]),
    "ntkif, first order": (first_order, [{}]),
    "ntkif, own kernel, damping auto": (own_kernel, [{}]),
    "bergson, MAGIC": (bergson_magic, [{}]),
    "SOURCE, ours": (source, [{"segments": count} for count in (1, 5)]),
    "dattri, DVEmb": (dattri_dvemb, [{}]),
    "dattri, TracIn": (dattri_tracin, [{"checkpoints": count} for count in (1, 5)]),
    "captum, TracIn": (captum_tracin, [{"checkpoints": count} for count in (1, 5)]),
}
