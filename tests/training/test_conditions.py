"""What cannot be recorded is refused, with what to do."""

import pytest
import torch
from recorded_problem import CLASSES, INPUTS, network, problem, recording
from torch import nn
from torch.utils.data import DataLoader

from ntkif import record_training
from ntkif.metrics import agreement
from ntkif.networks.losses import CROSS_ENTROPY, SQUARES, Loss
from ntkif.training.conditions import check_points
from ntkif.training.optimizers import SGD

X, Y, X_TEST, Y_TEST = problem()


class Noisy(nn.Module):
    def forward(self, x):
        return x + torch.rand_like(x)


def head(*before):
    return nn.Sequential(*before, nn.Linear(INPUTS, CLASSES)).double()


class Recurrent(nn.Module):
    """The last hidden state of an LSTM over the inputs, one a step."""

    def __init__(self):
        super().__init__()
        self.cell, self.head = nn.LSTM(1, 4, batch_first=True), nn.Linear(4, CLASSES)

    def forward(self, x):
        return self.head(self.cell(x[:, :, None])[0][:, -1])


class Attending(nn.Module):
    """Attention over the inputs, one a token."""

    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Linear(1, 4), nn.Linear(4, CLASSES)
        self.layer = nn.TransformerEncoderLayer(4, 2, dim_feedforward=6, dropout=0.0, batch_first=True)

    def forward(self, x):
        return self.head(self.layer(self.embed(x[:, :, None])).mean(1))


def zero_head(*before):
    module = head(*before)
    nn.init.zeros_(module[-1].weight)
    nn.init.zeros_(module[-1].bias)
    return module


class Coupled(nn.Module):
    """Each point less the mean of the batch."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(INPUTS, CLASSES).double()

    def forward(self, x):
        return self.head(x - x.mean(0))


class Floored(nn.Module):
    """A step that is not differentiated in batches."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(INPUTS, CLASSES).double()

    def forward(self, x):
        return Once.apply(self.head(x))


class Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        return grad


class Backwards(torch.autograd.Function):
    """In batches, but not forwards."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x):
        return x.clone()

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, grad):
        return grad


class Returning(nn.Module):
    """Outputs in another form."""

    def __init__(self, form):
        super().__init__()
        self.head, self.form = nn.Linear(INPUTS, CLASSES).double(), form

    def forward(self, x):
        return self.form(logits=self.head(x)) if self.form is dict else self.form(self.head(x))


class Positive(nn.Module):
    """Takes the logarithm of a parameter, and the root of what a parameter is less than one."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(INPUTS, CLASSES)
        self.scale, self.share = (nn.Parameter(torch.tensor(value)) for value in (0.1, 0.99))

    def forward(self, x):
        return self.head(x) * self.scale.log() * (1 - self.share).sqrt()


class Infinite(nn.Linear):
    def __init__(self):
        super().__init__(INPUTS, CLASSES, dtype=torch.float64)

    def forward(self, x):
        return super().forward(x) / 0


META = X.to("meta")
WRONG = {
    "gradient": Loss(SQUARES.value, lambda f, y: 2 * (f - y)),
    "curvature": Loss(CROSS_ENTROPY.value, CROSS_ENTROPY.gradient),
    "shape": Loss(lambda f, y: (f - y).square().sum(), SQUARES.gradient),
}
REFUSED = {
    "dropout before zeros": (ValueError, "Dropout", {"module": zero_head(nn.Dropout(0.5))}),
    "norm before zeros": (ValueError, "BatchNorm1d", {"module": zero_head(nn.BatchNorm1d(INPUTS))}),
    "coupled": (ValueError, "depends on the other points", {"module": Coupled()}),
    "not in batches": (ValueError, "cannot be differentiated twice and in batches", {"module": Floored()}),
    "wrong gradient": (ValueError, "its gradient is not the derivative", {"loss": WRONG["gradient"]}),
    "wrong curvature": (ValueError, "its curvature is not the derivative", {"loss": WRONG["curvature"]}),
    "one value": (ValueError, r"a value for each point, of shape \(4,\)", {"loss": WRONG["shape"]}),
    "no second derivative": (
        ValueError,
        "loss: expected one that can be differentiated twice, .*write the loss with simpler operations",
        {"loss": lambda f, y: Backwards.apply(f - y).square().sum()},
    ),
    "no number": (ValueError, "module: expected finite outputs at its start", {"module": Infinite()}),
    "no loss": (TypeError, "loss: expected one of 'squares'", {"loss": 3}),
    "sum": (ValueError, "the mean over a batch, .* reduction='sum'", {"loss": nn.CrossEntropyLoss(reduction="sum")}),
    "optimizer of torch": (
        TypeError,
        r"pass from_torch\(optimizer\)",
        {"optimizer": torch.optim.SGD(network().parameters(), lr=0.1)},
    ),
    "rates": (ValueError, "a learning_rate of 57 parameters", {"optimizer": SGD(torch.ones(3))}),
    "short schedule": (ValueError, "a factor for every step, got 2", {"optimizer": SGD(0.1, schedule=(1.0, 0.5))}),
    "batches and epochs": (ValueError, "no epochs and no batch_size", {"batches": [range(24)], "epochs": 2}),
    "fold numbers": (ValueError, r"24 numbers, .*shape \(24,\) with \[0, 2\]", {"folds": [0, 2] * 12}),
    "half a fold": (ValueError, "folds: expected a whole number", {"folds": 2.5}),
    "dropout": (ValueError, r"Dropout\(p=0.5.*module.eval\(\)", {"module": head(nn.Dropout(0.5))}),
    "noise": (ValueError, "forward pass is random", {"module": head(Noisy()).eval()}),
    "batch norm": (ValueError, "BatchNorm1d.*layer norm", {"module": head(nn.BatchNorm1d(INPUTS))}),
    "outputs": (ValueError, r"y: expected .* of shape \(24, 2\)", {"module": nn.Linear(INPUTS, 2).double()}),
    "mapping": (ValueError, r"expected \(n, c\) outputs .* got a dict of one; wrap", {"module": Returning(dict)}),
    "vector": (ValueError, r"got shape \(3,\) of one; wrap it", {"module": Returning(torch.flatten)}),
    "function": (TypeError, "module: expected a torch module, got function", {"module": lambda x: x}),
    "half": (TypeError, "expected float32 or float64 with numbers", {"module": network().half(), "x": X.half()}),
    "nowhere": (TypeError, "expected float32 or float64 with numbers", {"module": network().to("meta"), "x": META}),
    "sparse": (TypeError, "x: expected a dense torch tensor", {"x": X.to_sparse()}),
    "array": (TypeError, "got ndarray; convert arrays with torch.as_tensor", {"x": X.numpy()}),
    "loader": (TypeError, "take a DataLoader apart with `take_all`", {"x": DataLoader(X)}),
    "no points a step": (ValueError, "batch_size: expected at least one point of a step, got 0", {"batch_size": 0}),
    "dtype": (TypeError, "x: expected a dense torch tensor like the trained", {"module": nn.Linear(INPUTS, CLASSES)}),
    "batches": (ValueError, "22 of 24 are in none \\(first \\[2, 3", {"batches": [[0, 1]]}),
    "rows": (ValueError, "batches: expected a list of distinct training rows", {"batches": [[0, 24]]}),
    "folds": (ValueError, "folds: expected a whole number from 2 to 24", {"folds": 25}),
    "ridge": (ValueError, "ridge: expected", {"ridge": -1.0}),
    "a batch of a loader": (TypeError, "batches: expected for each step the rows", {"batches": [[X[:2], Y[:2]]]}),
    "fractions of epochs": (TypeError, "epochs: expected a whole number, got 2.0 of float", {"epochs": 2.0}),
    "fractions of points": (TypeError, "batch_size: expected a whole number, got 7.0", {"batch_size": 7.0}),
    "no number of points": (TypeError, "alone: expected a whole number, got None", {"alone": None}),
    "fewer than none": (ValueError, "alone: expected at least 0, got -1", {"alone": -1}),
    "no seed": (TypeError, "seed: expected a whole number, got None", {"seed": None}),
    "width": (ValueError, "x: expected points that the module takes, got .*shape \\(24, 3\\)", {"x": X[:, :3]}),
    "script": (TypeError, "got a RecursiveScriptModule; pass the module", {"module": torch.jit.script(network())}),
    "parallel": (TypeError, "got a DataParallel; pass the module", {"module": nn.DataParallel(network())}),
    "a loss of other things": (
        ValueError,
        "loss: expected one of the outputs .* says",
        {"loss": lambda f, y: f @ y[None]},
    ),
    "steps too large": (ValueError, "NaN or infinite; use a smaller learning rate", {"optimizer": SGD(1e200)}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_errors_say_what_to_do(name):
    kind, message, options = REFUSED[name]
    with pytest.raises(kind, match=message):
        recording(**options)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (Y * 2 - 1, "expected probabilities, which are not negative"),
        (Y[:, :1], "expected class numbers, integers of shape"),
        (Y / 2, "expected probabilities, which .* sum to one"),
        (Y.softmax(1), "expected class numbers or one-hot targets, .* got probabilities; take the loss lambda"),
    ],
    ids=["signs", "column", "halves", "probabilities"],
)
def test_targets_of_the_wrong_kind_are_refused(target, said):
    with pytest.raises(ValueError, match=f"y: {said}"):
        record_training(network(), X, target, loss=CROSS_ENTROPY, optimizer=SGD(0.1))
    with pytest.raises(ValueError, match="y: expected classes from 0 to 2, got 3 in row"):
        record_training(network(), X, Y.argmax(1) + 1, loss=CROSS_ENTROPY, optimizer=SGD(0.1))


@pytest.mark.parametrize("loss", ["cross-entropy", nn.CrossEntropyLoss()], ids=str)
def test_class_numbers_and_losses_by_name(loss):
    how = {"optimizer": SGD(0.05, momentum=0.9), "batch_size": 8, "epochs": 5, "folds": 6}
    plain, named = (
        record_training(network(), X, y, loss=own, **how) for y, own in ((Y, CROSS_ENTROPY), (Y.argmax(1), loss))
    )
    assert torch.equal(named.theta, plain.theta) and torch.equal(named.tape.y, plain.tape.y)
    wanted = plain.influence(X_TEST, Y_TEST, trust=True)
    assert torch.equal(named.influence(X_TEST, Y_TEST.argmax(1), trust=True), wanted)
    assert named.check(X_TEST, Y_TEST.argmax(1)) == plain.check(X_TEST, Y_TEST)
    assert torch.equal(named.without([3], X_TEST, Y_TEST.argmax(1)), plain.without([3], X_TEST, Y_TEST))


def test_log_probabilities_are_recorded_as_their_logits():
    """And logits that are taken for such are refused before anything is trained."""
    how = {"optimizer": SGD(0.05, momentum=0.9), "batch_size": 8, "epochs": 3, "folds": 3, "alone": 2}
    classes = Y.argmax(1)
    plain = record_training(network(), X, classes, loss=nn.CrossEntropyLoss(), **how)
    module = nn.Sequential(network(), nn.LogSoftmax(1))
    same = record_training(module, X, classes, loss=nn.NLLLoss(), **how)
    assert torch.allclose(same.theta, plain.theta, rtol=0, atol=1e-12)
    wanted, found = (run.influence(X_TEST, Y_TEST.argmax(1), trust=True) for run in (plain, same))
    assert torch.allclose(found, wanted, rtol=0, atol=1e-10 * float(wanted.abs().max()))
    with pytest.raises(ValueError, match="expected log-probabilities as outputs"):
        record_training(network(), X, classes, loss=nn.NLLLoss(), **how)
    with pytest.raises(ValueError, match="loss: expected none with weights of classes"):
        record_training(module, X, classes, loss=nn.NLLLoss(weight=torch.ones(3)), **how)


def test_targets_as_users_have_them():
    """Class numbers of any kind; a vector for one output; probabilities by a loss of one's own."""
    how = {"optimizer": SGD(0.05), "batch_size": 8, "epochs": 2, "folds": 3, "alone": 2}
    plain = record_training(network(), X, Y, loss="cross-entropy", **how)
    for y in (Y.argmax(1)[:, None], Y.long(), Y.argmax(1).to(torch.uint8)):
        assert torch.equal(record_training(network(), X, y, loss="cross-entropy", **how).theta, plain.theta)
    wanted = plain.influence(X_TEST, Y_TEST, trust=True)
    assert torch.equal(plain.influence(X_TEST, Y_TEST.argmax(1)[:, None], trust=True), wanted)
    single = nn.Linear(INPUTS, 1).double()
    for loss in ("squares", "binary cross-entropy"):
        one, same = (record_training(single, X, y, loss=loss, **how) for y in (Y[:, 0], Y[:, :1]))
        found = [run.influence(X_TEST, y, trust=True) for run, y in ((one, Y_TEST[:, 0]), (same, Y_TEST[:, :1]))]
        assert torch.equal(one.theta, same.theta) and torch.equal(*found)
    by_hand = record_training(network(), X, Y.softmax(1), loss=lambda f, y: -(y * f.log_softmax(-1)).sum(), **how)
    assert torch.isfinite(by_hand.influence(X_TEST, Y_TEST, trust=True)).all()


@pytest.mark.parametrize("module", [Recurrent, Attending])
def test_recurrent_and_attending_modules_are_recorded(module):
    torch.manual_seed(0)
    run = recording(module().double(), epochs=3)
    truth = run.without(range(0, 24, 2), X_TEST, Y_TEST)
    found = run.influence(X_TEST, Y_TEST, trust=True)[:, ::2]
    assert agreement(found, truth)["relative_error"] < 0.3


@pytest.mark.parametrize("loss", ["huber", nn.HuberLoss(delta=0.5)], ids=str)
def test_influences_by_a_loss_that_is_linear_far_out(loss):
    run = recording(loss=loss, epochs=2, alone=2)
    assert torch.isfinite(run.influence(X_TEST, Y_TEST, trust=True)).all()


def test_parameters_that_must_not_change_their_sign():
    torch.manual_seed(0)
    run = recording(Positive().double(), optimizer=SGD(1e-4), epochs=2, alone=2)
    assert torch.isfinite(run.influence(X_TEST, Y_TEST, trust=True)).all()


class Counting(nn.Linear):
    """Counts its calls in a buffer."""

    def __init__(self):
        super().__init__(INPUTS, CLASSES)
        self.register_buffer("calls", torch.tensor(0))

    def forward(self, x):
        self.calls += 1
        return super().forward(x)


def test_the_module_is_as_it_was():
    module = Counting().double()
    check_points(module, X)
    assert module.calls == 0


def test_modules_in_evaluation_mode_may_have_dropout_and_batch_norm():
    module = head(nn.BatchNorm1d(INPUTS), nn.Dropout(0.5)).eval()
    assert recording(module).influence(X_TEST, Y_TEST).shape == (4, len(X))


def test_norms_over_a_batch_are_refused_in_evaluation_mode_too():
    norm = nn.BatchNorm1d(INPUTS, track_running_stats=False).double().eval()
    with pytest.raises(ValueError, match=r"has no running statistics, .* in evaluation mode too; use group"):
        recording(nn.Sequential(norm, network()).eval())


def test_batches_as_loaders_and_sets_give_them():
    plain = recording(batches=[[0, 1, 2], list(range(3, 24))], folds=2, alone=0)
    loaded = recording(batches=[[torch.tensor([0, 1, 2])], set(range(3, 24))], folds=2, alone=0)
    assert torch.equal(plain.theta, loaded.theta)


def test_points_that_a_module_writes_over_stay_as_they_were():
    class Centred(nn.Module):
        def __init__(self):
            super().__init__()
            self.whole = network()

        def forward(self, x):
            x -= 1.0
            return self.whole(x)

    x = X.clone()
    with pytest.raises(ValueError):
        recording(Centred(), x=x)
    assert torch.equal(x, X)


@pytest.mark.parametrize("dtype", [torch.uint16, torch.uint32, torch.uint64])
def test_class_numbers_without_a_sign(dtype):
    how = {"epochs": 1, "folds": 2, "alone": 0}
    assert torch.equal(recording(y=Y.argmax(1).to(dtype), **how).theta, recording(**how).theta)


def test_weights_of_classes_are_told_what_to_do():
    x, y = torch.randn(6, 3).double(), torch.tensor([0, 1, 2, 0, 1, 2])
    weight, how = torch.tensor([1.0, 2.0, 3.0]).double(), {"optimizer": SGD(0.1), "folds": 2, "alone": 0}
    module = nn.Linear(3, 3).double()
    for reduction in ("mean", "sum"):
        loss = nn.CrossEntropyLoss(weight, reduction=reduction)
        with pytest.raises(ValueError, match=r"weights of classes, .* a loss of one point, and pass that"):
            record_training(module, x, y, loss=loss, **how)
    one_hot = nn.functional.one_hot(y).double()
    record_training(module, x, one_hot, loss=lambda f, y: -(weight * y * f.log_softmax(-1)).sum(-1), **how)
