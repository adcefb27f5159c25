"""Whether answers about trained networks are turned into ours rightly, on tiny ones of one layer: `make peers` runs it.

Of one layer the curvature is known outright, and so is what each tool should say; of steps so small that nothing bends,
the sum of products of gradients. Raises where a tool is farther from that than its own approximation explains.
"""

import warnings
from dataclasses import asdict
from itertools import product

import torch
import trained_along_the_way as way
import trained_by_curvature as curvature
import without_vision  # noqa: F401
from dattri.metric import lds as lds_of_dattri
from trained_problem import TrainedProblem

from ntkif.metrics import lds
from ntkif.study.experiments.trained_networks import Case, record_case

N, K, C, DAMPING = 24, 5, 3, 0.1
TINY = Case("tiny", network="linear", rate=0.1, batch_size=8, epochs=20)


def problem(case: Case, side: int, signs: bool = False) -> TrainedProblem:
    """A training of one layer on random points; of ±1 where asked for, without a bias."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(N + K, 1, side, side, dtype=torch.float64, generator=generator)
    x = x.sign() if signs else x
    y = torch.nn.functional.one_hot(torch.randint(C, (N + K,), generator=generator)).double()
    run = record_case(case, x[:N], y[:N], 0, folds=2, alone=0)
    arrays = {"x_train": x[:N], "y_train": y[:N], "x_test": x[N:], "y_test": y[N:]}
    networks = {"network": run.module, "start": run.tape.function.module}
    if signs:
        for network in networks.values():
            network[1].bias = None
    states = {"checkpoints": [networks["network"].state_dict()] * 5, "batches": run.tape.batches, "seed": 0}
    return TrainedProblem({"arrays": arrays, "training": asdict(case), **networks, **states}).made()


def by_matrix(given: TrainedProblem, matrix: torch.Tensor, damping: float) -> torch.Tensor:
    """(k, n) by a matrix outright."""
    theta = given.function.start
    train, test = (way.gradients_of(given, theta, *points) for points in (given.train, given.test))
    return test @ torch.linalg.solve(matrix + damping * torch.eye(len(matrix)), train.T) / N


def error(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """Relative."""
    return float((found - wanted).norm() / wanted.norm())


def by_curvature() -> dict[str, tuple[float, float]]:
    """Error of each tool, and how large it may be."""
    given = problem(TINY, 2)
    outright = by_matrix(given, way.gauss_newton(given, given.function.start), DAMPING)  # of one layer it is Newton's
    tools = {
        "dattri, explicit": (curvature.dattri_explicit, 1e-3),
        "dattri, CG": (lambda *how: curvature.dattri_cg(*how, iterations=14), 1e-3),
        "captum, Arnoldi": (curvature.captum_arnoldi, 1e-2),
        "pyDVL, CG": (curvature.pydvl_cg, 1e-3),
    }
    found = {name: (error(tool(problem(TINY, 2), DAMPING), outright), bound) for name, (tool, bound) in tools.items()}
    return found | by_factors() | of_odds()


def by_factors() -> dict[str, tuple[float, float]]:
    """The same where one input is ±1, and factors of the curvature are its whole."""
    signs = problem(TINY, 1, signs=True)
    each = way.gradients_of(signs, signs.function.start, *signs.train)
    fisher = each.T @ each / N
    with torch.no_grad():
        p = signs.model(signs.train[0]).softmax(1)
    pull = p.sqrt() - p.sqrt().sum(1, keepdim=True) * p  # pyDVL draws no labels, and weighs them all by their roots
    single = torch.stack([torch.linalg.inv(torch.outer(g, g) + DAMPING * torch.eye(C)) for g in each]).mean(0)
    matrices = {
        "kronfluence, EK-FAC": (lambda *how: curvature.kronfluence_ekfac(*how, empirical=True), fisher, DAMPING),
        "pyDVL, EK-FAC": (curvature.pydvl_ekfac, pull.T @ pull / N, DAMPING),
        "dattri, DataInf": (curvature.dattri_datainf, torch.linalg.inv(single), 0.0),
    }
    found = {
        name: (error(tool(problem(TINY, 1, True), DAMPING), by_matrix(signs, matrix, damping)), 1e-3)
        for name, (tool, matrix, damping) in matrices.items()
    }
    theirs, errors = curvature.dattri_ekfac(problem(TINY, 1, True), DAMPING), []
    for flips in product((1.0, -1.0), repeat=C):  # it turns by transposed eigenvectors, whose signs are left to chance
        turn = torch.linalg.eigh(fisher)[1] * torch.tensor(flips)
        turned = turn.T @ (turn @ each.T).square().mean(1).diag() @ turn
        errors.append(error(theirs, by_matrix(signs, turned, DAMPING)))
    return found | {"dattri, EK-FAC as it turns": (min(errors), 1e-3)}


def of_odds() -> dict[str, tuple[float, float]]:
    """TRAK, whose projections are random; that of its authors has no scale, so the best factor is given to it."""
    given = problem(TINY, 2)
    train, test = (way.gradients_of(given, given.function.start, *points) for points in (given.train, given.test))
    with torch.no_grad():
        p = (given.model(given.train[0]).softmax(1) * given.train[1]).sum(1)
    odds = train / (1 - p)[:, None]  # the gradient of the loss is minus the residual times that of the log-odds
    wanted = test @ torch.linalg.solve(odds.T @ odds + DAMPING * N * torch.eye(odds.shape[1]), train.T)
    found = {"dattri, TRAK": (error(curvature.dattri_trak(problem(TINY, 2), DAMPING), wanted), 0.2)}
    theirs = curvature.trak(problem(TINY, 2), DAMPING)
    factor = float((theirs * wanted).sum() / theirs.square().sum())
    return found | {"TRAK": (error(abs(factor) * theirs, wanted), 0.2)}


def along_the_way() -> dict[str, tuple[float, float]]:
    """The same, of small steps, and of a training as it is."""
    small = Case("small steps", network="linear", rate=1e-4, batch_size=8, epochs=20, momentum=0.5)
    wanted = problem(small, 2).rate * 3 * 20 * by_matrix(problem(small, 2), torch.zeros(15, 15), 1.0)
    tools = {
        "ntkif, first order": way.first_order,
        "bergson, MAGIC": way.bergson_magic,
        "dattri, DVEmb": lambda given: way.dattri_dvemb(given, given.rate),
        "dattri, TracIn": lambda given: way.dattri_tracin(given, 5),
        "captum, TracIn": lambda given: way.captum_tracin(given, 5),
        "SOURCE, ours": lambda given: way.source(given, 5),
    }
    found = {f"{name}, small steps": (error(tool(problem(small, 2)), wanted), 0.05) for name, tool in tools.items()}
    for words, more in (("SGD", {"rate": 0.1}), ("Adam", {"rate": 0.01, "optimizer": "adam"})):
        case = Case(words, network="linear", batch_size=8, epochs=20, **more)
        theirs = way.bergson_magic(problem(case, 2))
        found[f"bergson, MAGIC, {words}, our first order"] = error(theirs, way.first_order(problem(case, 2))), 1e-3
    long = Case("long", network="linear", rate=1e4, momentum=0.0, batch_size=24, epochs=20)
    settled = problem(TINY, 2)
    settled.case["training"] = asdict(long)
    given = TrainedProblem(settled.case).made()
    outright = by_matrix(given, way.gauss_newton(given, given.function.start), 1e-6)
    found["SOURCE, ours, long training"] = error(way.source(given, 1), outright), 1e-2
    return found


def main() -> None:
    """Print the errors, that of LDS against dattri's too, and raise where one is too large."""
    warnings.simplefilter("ignore")
    found = by_curvature() | along_the_way()
    generator = torch.Generator().manual_seed(0)
    scores, truth = (torch.randn(rows, K, generator=generator, dtype=torch.float64) for rows in (20, 12))
    sets = torch.stack([torch.randperm(20, generator=generator)[:8] for _ in range(12)])
    theirs = float(lds_of_dattri(scores, (truth, sets))[0].mean())
    ours = lds(torch.stack([scores[each].sum(0) for each in sets], 1), truth.T, draws=1)["lds"]
    found["LDS, of dattri"] = abs(ours - theirs), 1e-6
    for name, (size, bound) in found.items():
        print(f"{name:45} {size:8.1e} of at most {bound:g}")
    wrong = [name for name, (size, bound) in found.items() if not size <= bound]
    assert not wrong, f"not converted rightly: {wrong}"


if __name__ == "__main__":
    main()
