"""Leave-one-out steps in the space of projected rows, against Newton steps solved anew."""

import pytest
import torch
from numpy.linalg import LinAlgError
from problem import close

from ntkif.influence import projected as projected_module
from ntkif.influence.linearized import linearized_fit
from ntkif.influence.projected import projected_fit

N, C, P, RIDGE = 14, 3, 10, 0.7


def some(*size, seed=0):
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def bent(c=C):
    """Curvatures, one of which vanishes."""
    root = some(N, c, c, seed=5)
    root[3] = 0
    return root @ root.mT


@pytest.fixture(params=["half squares", "another loss", "one output"])
def case(request):
    c = 1 if request.param == "one output" else C
    return some(N, c, P), some(N, c, seed=1), bent() if request.param == "another loss" else None


def without(rows, gradient, curvature, group):
    """The minimum of the quadratic objective without some points, from the present parameters."""
    c = gradient.shape[1]
    curvature = torch.eye(c, dtype=rows.dtype).expand(N, c, c) if curvature is None else curvature
    kept = [i for i in range(N) if i not in group]
    h = RIDGE * torch.eye(P, dtype=rows.dtype) + torch.einsum(
        "iap,iab,ibq->pq", rows[kept], curvature[kept], rows[kept]
    )
    return torch.linalg.solve(h, torch.einsum("iap,ia->p", rows[list(group)], gradient[list(group)]))


@pytest.mark.parametrize("share", [0.0, 0.25])
def test_steps_are_those_of_newton_without_the_point(case, share, monkeypatch):
    """Whether rows are kept or made twice, in blocks of any size."""
    monkeypatch.setattr(projected_module, "_SHARE_OF_MEMORY", share)
    rows, gradient, curvature = case
    fit = projected_fit(lambda some: rows[some], gradient, RIDGE, curvature=curvature)
    truth = torch.stack([without(*case, {i}) for i in range(N)])
    assert close(fit.steps, truth)
    test = some(5, gradient.shape[1], P, seed=2)
    assert close(fit.loo_change(test), torch.einsum("kcp,np->knc", test, truth))
    assert close(fit.self_change, torch.einsum("ncp,np->nc", rows, truth))
    groups = [torch.tensor([0, 3, 5]), torch.tensor([13])]
    of_groups = torch.stack([without(*case, set(group.tolist())) for group in groups])
    assert close(fit.group_change(test, groups), torch.einsum("kcp,gp->kgc", test, of_groups))


def test_with_whole_rows_it_is_the_linearised_network():
    rows, gradient, curvature = some(N, C, P), some(N, C, seed=1), bent() + torch.eye(C, dtype=torch.float64)
    test = some(5, C, P, seed=2)
    kernels = [torch.einsum("iap,jbp->ijab", one, rows) for one in (rows, test)]
    fit = projected_fit(lambda some: rows[some], gradient, RIDGE, curvature=curvature)
    exact = linearized_fit(kernels[0], gradient, RIDGE, curvature=curvature)
    assert close(fit.loo_change(test), exact.loo_change(kernels[1]))
    assert close(fit.freedom, exact.freedom) and close(fit.largest_leverage, exact.largest_leverage)


def test_rows_in_single_precision_and_a_solution_in_double():
    rows, gradient = some(N, C, P), some(N, C, seed=1)
    right = projected_fit(lambda some: rows[some], gradient, RIDGE)
    single = projected_fit(lambda some: rows[some].float(), gradient, RIDGE)
    assert single.steps.dtype == torch.float32 and single.self_change.dtype == torch.float64
    assert 0 < float((single.self_change - right.self_change).norm() / right.self_change.norm()) < 1e-5


def test_what_cannot_be_solved_is_refused(monkeypatch):
    rows, gradient = some(N, 1, P), some(N, 1, seed=1)
    with pytest.raises(ValueError, match="ridge: expected a positive number"):
        projected_fit(lambda some: rows[some], gradient, 0.0)
    rows[0] *= 300  # a leverage of one less 1e-6, where 4e-5 counts as rounding
    with pytest.raises(LinAlgError, match=r"a leverage of (1|0.99999\d+) came out.* or fewer projections"):
        projected_fit(lambda some: rows[some].float(), gradient, RIDGE)
    with pytest.raises(LinAlgError, match="ridge: expected one that the precision can see"):
        projected_fit(lambda some: rows[some].repeat(1, 1, 2), gradient, 1e-15)
    monkeypatch.setattr("ntkif.checks.available_bytes", lambda device: 100)
    with pytest.raises(MemoryError, match="take fewer projections"):
        projected_fit(lambda some: rows[some], gradient, RIDGE)
