"""Signs, orientations and scales of other tools' influence, measured against ours: `make peers` runs it.

The model is linear with one output and no bias, at the minimum of ridge regression, so that IHVP is known: it is
`ntkif.ihvp_influence` with the kernel x.x'. Each tool gets the loss (f(x) - y)^2 / 2 and the same ridge. Its answer is
compared with ours, once as the tool's own units have it and once with the training points in two batches.
"""

import csv
import io
import tempfile
import warnings
from importlib.metadata import version

import torch
from captum.influence import NaiveInfluenceFunction
from dattri.algorithm.influence_function import IFAttributorExplicit
from dattri.task import AttributionTask
from pydvl.influence.torch import DirectInfluence
from torch.utils.data import DataLoader, TensorDataset

from ntkif import ihvp_influence, ridge_fit
from ntkif.provenance import now
from ntkif.study.records.tools import keep_measurement

N, K, D, RIDGE = 24, 5, 4, 0.5


class HalfSquares(torch.nn.Module):
    """The loss of the book, summed or averaged over the points of a batch."""

    def __init__(self, reduction: str):
        super().__init__()
        self.reduction = reduction

    def forward(self, prediction: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Half of the squared error."""
        losses = (prediction - y).square().sum(1) / 2
        return losses.sum() if self.reduction == "sum" else losses.mean()


def problem():
    """Points and targets, the model at the minimum, and our IHVP, (K, N)."""
    generator = torch.Generator().manual_seed(0)
    x, y, x_test, y_test = (torch.randn(n, d, generator=generator) for n, d in ((N, D), (N, 1), (K, D), (K, 1)))
    fit = ridge_fit(x @ x.T, y, RIDGE)
    model = torch.nn.Linear(D, 1, bias=False)
    model.weight.data = (x.T @ fit.dual).T
    return model, (x, y), (x_test, y_test), ihvp_influence(fit, x_test @ x.T, y_test)


def captum(model, train, test, batch_size):
    """`influence` of the Hessian inverted outright, loss summed."""
    with tempfile.TemporaryDirectory() as folder:
        torch.save(model.state_dict(), f"{folder}/model.pt")

        def load(target, file):
            target.load_state_dict(torch.load(file))
            return 1.0

        tool = NaiveInfluenceFunction(
            model, TensorDataset(*train), f"{folder}/model.pt", loss_fn=HalfSquares("sum"), batch_size=batch_size,
            checkpoints_load_func=load, sample_wise_grads_per_batch=True, hessian_reg=RIDGE, hessian_inverse_tol=0.0,
        )  # fmt: skip
        return tool.influence(test)


def dattri(model, train, test, batch_size):
    """`attribute` of the Hessian inverted outright, loss summed."""

    def loss(parameters, data):
        prediction = torch.func.functional_call(model, parameters, (data[0],))
        return (prediction - data[1]).square().sum() / 2

    task = AttributionTask(loss_func=loss, model=model, checkpoints=model.state_dict())
    tool = IFAttributorExplicit(task=task, regularization=RIDGE)
    loaders = [DataLoader(TensorDataset(*points), batch_size=batch_size) for points in (train, test)]
    tool.cache(loaders[0])
    return tool.attribute(*loaders)


def pydvl(model, train, test, batch_size, reduction="sum"):
    """`influences` of the Hessian inverted outright; with a mean, the ridge is that of the mean."""
    ridge = RIDGE if reduction == "sum" else RIDGE / N
    tool = DirectInfluence(model, HalfSquares(reduction), regularization=ridge)
    return tool.fit(DataLoader(TensorDataset(*train), batch_size=batch_size)).influences(*test, *train)


def koh_liang(model, train, test, batch_size):
    """I_up,loss = -∇L(z_test)^T H^-1 ∇L(z) with H the Hessian of the mean, as the paper of 2017 defines it."""
    gradients = [(model(x) - y).detach() * x for x, y in (test, train)]
    hessian = (train[0].T @ train[0] + RIDGE * torch.eye(D)) / N
    return -gradients[0] @ torch.linalg.solve(hessian, gradients[1].T)


TOOLS = {
    ("captum", "NaiveInfluenceFunction.influence", "sum"): captum,
    ("dattri", "IFAttributorExplicit.attribute", "sum"): dattri,
    ("pyDVL", "DirectInfluence.influences", "sum"): pydvl,
    ("pyDVL", "DirectInfluence.influences", "mean"): lambda *given: pydvl(*given, reduction="mean"),
    ("Koh and Liang, 2017", "I_up,loss", "mean"): koh_liang,
}


def row(name: str, call: str, loss: str, run) -> dict[str, str]:
    """What a tool does, in words and numbers."""
    model, train, test, ours = problem()
    theirs = run(model, train, test, N).detach()
    shape = "(test, training)" if theirs.shape == (K, N) else "(training, test)"

    def turned(values: torch.Tensor) -> torch.Tensor:
        return values if values.shape == (K, N) else values.T

    def error(values: torch.Tensor) -> str:
        return f"{float((near * turned(values) - ours).norm() / ours.norm()):.0e}"

    factor = float((ours * turned(theirs)).sum() / theirs.square().sum())
    words = {1: "1", N: "n", -N: "-n", 1 / N: "1/n", -1 / N: "-1/n"}
    near = min(words, key=lambda value: abs(value - factor))
    return {
        "tool": name,
        "version": "" if name.startswith("Koh") else version(name),
        "result of": call,
        "loss over points": loss,
        "shape": shape,
        "positive means": "helpful" if factor > 0 else "harmful",
        "ours = theirs times": words[near],
        "relative error then": error(theirs),
        "in two batches": error(run(model, train, test, 2 * N // 3).detach()),
    }


def main() -> None:
    """Ask each tool, and write `records/tools/conventions.csv` with how it was made."""
    warnings.simplefilter("ignore")
    started = now()
    rows = [row(*named, run) for named, run in TOOLS.items()]
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    content = stream.getvalue().encode()
    packages = ("torch", "captum", "dattri", "pyDVL")
    made = {
        "settings": {"n": N, "k": K, "d": D, "ridge": RIDGE, "seed": 0},
        "versions": {name: version(name) for name in packages},
        "started": started,
    }
    keep_measurement("conventions", content, made)
    print(content.decode())


if __name__ == "__main__":
    main()
