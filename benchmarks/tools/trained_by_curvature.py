"""Influence by an inverse curvature at the end of training, as other tools have it; see `trained_problem` for scales.

A function takes the problem and the settings that are tried, and returns (k, n) in our sign, orientation and scale.
"""

import logging
import tempfile

import torch
from torch.func import functional_call
from torch.nn.functional import cross_entropy
from trained_problem import DAMPINGS, TrainedProblem, captum, dattri_task, losses_of

# dattri, mean of the losses: (training, test), positive means helpful, n times too large


def _dattri(problem: TrainedProblem, kind: str, **settings) -> torch.Tensor:
    from dattri.algorithm import influence_function

    tool = getattr(influence_function, f"IFAttributor{kind}")(dattri_task(problem), **settings)
    train, test = problem.loaders()
    tool.cache(train)
    return tool.attribute(train, test).T / problem.n


def dattri_explicit(problem: TrainedProblem, damping: float) -> torch.Tensor:
    """`IFAttributorExplicit`."""
    return _dattri(problem, "Explicit", regularization=damping)


def dattri_cg(problem: TrainedProblem, damping: float, iterations: int = 30) -> torch.Tensor:
    """`IFAttributorCG`; with as many iterations as parameters it gives NaN."""
    return _dattri(problem, "CG", regularization=damping, max_iter=iterations)


def dattri_lissa(problem: TrainedProblem, scaling: float) -> torch.Tensor:
    """`IFAttributorLiSSA`, with full batches."""
    return _dattri(problem, "LiSSA", damping=1e-3, batch_size=problem.n, recursion_depth=300, scaling=scaling)


def dattri_datainf(problem: TrainedProblem, damping: float) -> torch.Tensor:
    """`IFAttributorDataInf`."""
    return _dattri(problem, "DataInf", regularization=damping)


def dattri_ekfac(problem: TrainedProblem, damping: float) -> torch.Tensor:
    """`IFAttributorEKFAC`, of the linear layers alone; it turns by the transposes of its eigenvectors."""
    return _dattri(problem, "EKFAC", damping=damping)


# captum, sum of the losses: (test, training), positive means helpful


def captum_arnoldi(problem: TrainedProblem, damping: float) -> torch.Tensor:
    """`ArnoldiInfluenceFunction`, with twice as many iterations as dimensions."""
    from captum.influence._core.arnoldi_influence_function import ArnoldiInfluenceFunction

    sizes = {"projection_dim": 100, "arnoldi_dim": 200, "arnoldi_tol": 1e-6, "hessian_inverse_tol": 0.0}
    return captum(problem, ArnoldiInfluenceFunction, problem.checkpoints(1), hessian_reg=damping * problem.n, **sizes)


# pyDVL, mean of the losses: (test, training), positive means helpful, n times too large


def pydvl_cg(problem: TrainedProblem, damping: float) -> torch.Tensor:
    """`CgInfluence`."""
    from pydvl.influence.torch import CgInfluence

    tool = CgInfluence(problem.model, cross_entropy, regularization=damping, rtol=1e-4, solve_simultaneously=True)
    return tool.fit(problem.loaders()[0]).influences(*problem.test, *problem.train) / problem.n


def pydvl_ekfac(problem: TrainedProblem, damping: float) -> torch.Tensor:
    """`EkfacInfluence`, of the linear layers alone, with a Fisher matrix of its own."""
    from pydvl.influence.torch import EkfacInfluence

    for part in problem.model.modules():
        if not list(part.children()):
            part.requires_grad_(isinstance(part, torch.nn.Linear))
    tool = EkfacInfluence(problem.model, update_diagonal=True, hessian_regularization=damping)
    (x, y), (x_test, y_test) = problem.train, problem.test
    fitted = tool.fit(problem.loaders(classes=True)[0])
    return fitted.influences(x_test, y_test.argmax(1), x, y.argmax(1)) / problem.n


# kronfluence, sum of the losses: (test, training), positive means helpful, n times too large


def kronfluence_ekfac(problem: TrainedProblem, damping: float, empirical: bool = False) -> torch.Tensor:
    """`Analyzer` with the strategy "ekfac", of linear and convolutional layers."""
    from kronfluence.analyzer import Analyzer, prepare_model
    from kronfluence.arguments import FactorArguments, ScoreArguments
    from kronfluence.task import Task

    class Classification(Task):
        def compute_train_loss(self, batch, model, sample=False):
            outputs, y = model(batch[0]), batch[1]
            if sample:
                y = torch.multinomial(outputs.detach().softmax(-1), 1).flatten()
            return cross_entropy(outputs, y, reduction="sum")

        def compute_measurement(self, batch, model):
            return self.compute_train_loss(batch, model)

    torch.manual_seed(0)
    task = Classification()
    train, test = (loader.dataset for loader in problem.loaders(classes=True))
    with tempfile.TemporaryDirectory() as folder:
        tool = Analyzer(
            "ours", prepare_model(problem.model, task), task, cpu=True, disable_tqdm=True, output_dir=folder
        )
        factors = FactorArguments("ekfac", use_empirical_fisher=empirical)
        tool.fit_all_factors("factors", train, per_device_batch_size=problem.n, factor_args=factors)
        tool.compute_pairwise_scores(
            "scores", "factors", test, train, per_device_query_batch_size=len(test),
            per_device_train_batch_size=problem.n, score_args=ScoreArguments(damping_factor=damping),
        )  # fmt: skip
        return tool.load_pairwise_scores("scores")["all_modules"] / problem.n


# TRAK, of the log-odds of the right class, whose change times the test residual is that of the loss


def dattri_trak(problem: TrainedProblem, damping: float) -> torch.Tensor:
    """`TRAKAttributor`: (training, test), positive means helpful; it divides gradients by the root of their number."""
    from dattri.algorithm.trak import TRAKAttributor
    from dattri.task import AttributionTask

    def point(parameters, data):
        outputs = functional_call(problem.model, parameters, (data[0][None],))
        return torch.exp(-losses_of(outputs, data[1][None])).squeeze(0)

    def odds(parameters, data):
        p = point(parameters, data)
        return torch.log(p) - torch.log1p(-p)

    task = AttributionTask(loss_func=odds, model=problem.model, checkpoints=problem.checkpoints(1))
    settings = {"projector_kwargs": {"proj_dim": 1024}, "regularization": damping * problem.n / problem.size}
    tool = TRAKAttributor(task, correct_probability_func=point, **settings)
    train, test = problem.loaders()
    tool.cache(train)
    return tool.attribute(test).T * problem.residuals()


def trak(problem: TrainedProblem, damping: float) -> torch.Tensor:
    """`TRAKer` for classes of images: (training, test), positive means helpful; it has no scale."""
    from trak import TRAKer
    from trak.projectors import BasicProjector, ProjectionType

    dimensions = 1024
    projector = BasicProjector(
        grad_dim=problem.size, proj_dim=dimensions, seed=0, proj_type=ProjectionType.rademacher, device="cpu"
    )
    (x, y), (x_test, y_test) = problem.train, problem.test
    with tempfile.TemporaryDirectory() as folder:
        tool = TRAKer(
            problem.model, "image_classification", train_set_size=len(x), save_dir=folder, device="cpu",
            projector=projector, proj_dim=dimensions, use_half_precision=False,
            lambda_reg=damping * problem.n * dimensions / problem.size, logging_level=logging.ERROR,
        )  # fmt: skip
        tool.load_checkpoint(problem.model.state_dict(), model_id=0)
        tool.featurize((x, y.argmax(1)), num_samples=len(x))
        tool.finalize_features()
        tool.start_scoring_checkpoint("all", problem.model.state_dict(), model_id=0, num_targets=len(x_test))
        tool.score((x_test, y_test.argmax(1)), num_samples=len(x_test))
        return torch.as_tensor(tool.finalize_scores("all").copy()).T * problem.residuals()


_DAMPED = [{"damping": damping} for damping in DAMPINGS]
_DAMPED_MORE = [
    {"damping": 10 * damping} for damping in DAMPINGS
]  # gradients of points learnt by heart are nearly zero
BY_CURVATURE = {
    "dattri, explicit": (dattri_explicit, _DAMPED),
    "dattri, CG": (dattri_cg, _DAMPED),
    "dattri, LiSSA": (dattri_lissa, [{"scaling": scaling} for scaling in (10.0, 100.0)]),
    "dattri, DataInf": (dattri_datainf, _DAMPED_MORE),
    "dattri, EK-FAC": (dattri_ekfac, _DAMPED_MORE),
    "captum, Arnoldi": (captum_arnoldi, _DAMPED),
    "pyDVL, CG": (pydvl_cg, _DAMPED),
    "pyDVL, EK-FAC": (pydvl_ekfac, _DAMPED),
    "kronfluence, EK-FAC": (kronfluence_ekfac, _DAMPED),
    "dattri, TRAK": (dattri_trak, _DAMPED),
    "TRAK": (trak, _DAMPED),
}
