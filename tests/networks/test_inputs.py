"""Points of one or several inputs, and outputs of several kinds, in one form."""

from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.utils.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    Subset,
    TensorDataset,
    WeightedRandomSampler,
)

from ntkif.networks.inputs import Points, Reading, in_own_precision, lent, points_of, reading_of, take_all, unchanged

MODULE = nn.Linear(4, 2)
X = torch.randn(5, 4)


def test_points_of_one_input_several_and_by_name():
    for given, names in ((X, None), ((X, X[:, :2]), None), ({"a": X, "b": X[:, 0]}, ("a", "b"))):
        points = points_of(given, MODULE)
        assert len(points) == 5 and points.names == names and points_of(points, MODULE) is points
        some = points[1:3]
        assert len(some) == 2 and torch.equal(some.arrays[0], X[1:3])
        ordered, named = some.arguments()
        assert (len(ordered), list(named)) == ((0, ["a", "b"]) if names else (len(points.arrays), []))
    assert points_of({"a": X, "b": X[:, 0]}, MODULE).shapes == ((4,), ())
    assert points_of({"b": X[:, 0], "a": X}, MODULE).names == ("a", "b")  # they are passed by name, in any order
    assert points_of({"b": X[:, 0], "a": X}, MODULE).shapes == ((4,), ())


@dataclass
class Record:
    loss: object
    logits: object


@dataclass(slots=True)
class Slotted:
    hidden: object
    logits: object


Pair = namedtuple("Pair", "hidden logits")


class Returns(nn.Module):
    def __init__(self, found):
        super().__init__()
        self.found, self.weight = found, nn.Parameter(torch.ones(()))

    def forward(self, x):
        return self.found(x)


@pytest.mark.parametrize(
    ("found", "output"),
    [
        (lambda x: x[:, :1], None),
        (lambda x: x[:, 0], None),
        (lambda x: (x, x[:, :1]), 1),
        (lambda x: {"loss": x.sum(), "logits": x[:, :1]}, None),
        (lambda x: {"a": x[:, :1], "logits": x}, "a"),
        (lambda x: OrderedDict(loss=x.sum(), logits=x[:, :1]), None),
        (lambda x: Record(x.sum(), x[:, :1]), None),
        (lambda x: Slotted(x[:, :1], x), "hidden"),
        (lambda x: Pair(x, x[:, :1]), None),
        (lambda x: Pair(x, x[:, :1]), 1),
        (lambda x: SimpleNamespace(logits=x[:, :1]), None),
    ],
)
def test_outputs_are_a_matrix(found, output):
    reading = reading_of(Returns(found), output)
    assert reading_of(reading) is reading
    assert torch.equal(points_of(X, reading).predicted_by(reading), X[:, :1])
    assert torch.equal(points_of(X[:1], reading).predicted_by(reading), X[:1, :1])


def test_a_number_for_one_point_is_its_output():
    reading = reading_of(Returns(lambda x: x[:, 0].squeeze()))
    assert points_of(X[:1], reading).predicted_by(reading).shape == (1, 1)


@pytest.mark.parametrize(
    ("found", "output", "said"),
    [
        (lambda x: x[:, :, None], None, r"got shape \(5, 4, 1\) of 5"),
        (lambda x: x.sum(), None, r"got shape \(\) of 5"),
        (lambda x: (x, x), None, r"name the entry .* one of \[0, 1\]; got None"),
        (lambda x: {"a": x}, "b", r"one of \['a'\]; got 'b'"),
        (lambda x: {"a": 1.0}, "a", "a tensor, as output"),
        (lambda x: None, None, "returns a NoneType"),
        (lambda x: Pair(x, None), "hidden layer", r"one of \[0, 1, 'hidden', 'logits'\]; got 'hidden layer'"),
        (lambda x: x, "a", "expected none where the module returns a tensor, got 'a'"),
    ],
)
def test_outputs_that_cannot_be_read(found, output, said):
    reading = Reading(Returns(found), output)
    with pytest.raises(ValueError, match=said):
        points_of(X, reading).predicted_by(reading)


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        (X.numpy(), TypeError, "a tuple or a mapping of tensors, got ndarray; convert arrays and tables with torch"),
        (X.to_sparse(), TypeError, r"expected dense tensors, got torch\.sparse_coo; convert them with \.to_dense"),
        (X.to("meta"), ValueError, "got one of them on the device meta"),
        ((X, 1), TypeError, "got Tensor, int"),
        ((), TypeError, "got nothing"),
        (X.double(), TypeError, r"or integers, got torch\.float64; convert them with \.to\(torch\.float32\)"),
        ((X, X[:3]), ValueError, r"got \(5, 4\), \(3, 4\)"),
        (X / 0, ValueError, "or NaN or infinity"),
        (X[:0], ValueError, "expected finite points"),
        (DataLoader(TensorDataset(X)), TypeError, "take a DataLoader or a Dataset apart with `take_all`"),
    ],
)
def test_points_that_no_module_takes(given, error, said):
    with pytest.raises(error, match=f"^here: .*{said}"):
        points_of(given, MODULE, "here")


class Named(Dataset):
    def __len__(self):
        return 5

    def __getitem__(self, row):
        return {"a": X[row], "b": row}, row % 2


class Stream(IterableDataset):
    def __iter__(self):
        return zip(X, torch.arange(5), strict=True)


def test_a_loader_is_read_once_in_the_order_of_its_rows():
    y = torch.arange(5)
    whole = TensorDataset(X, y)
    halves = ConcatDataset([Subset(whole, [0, 1]), Subset(whole, [2, 3, 4])])
    batches = DataLoader(whole, batch_sampler=BatchSampler(RandomSampler(whole), 2, False))
    for data in (whole, DataLoader(whole, 2), DataLoader(whole, 2, True), halves, Stream(), batches):
        x, targets = take_all(data)
        assert torch.equal(x, X) and torch.equal(targets, y)
    for data in (Named(), DataLoader(Named(), 3)):
        x, targets = take_all(data)
        assert torch.equal(x["a"], X) and x["b"].tolist() == [0, 1, 2, 3, 4] and targets.tolist() == [0, 1, 0, 1, 0]
    pairs = TensorDataset(X, y)
    several = DataLoader([((a, b), b) for a, b in pairs], 2)
    assert torch.equal(take_all(several)[0][1], y)


def test_a_loader_that_may_leave_points_out_is_refused():
    data = TensorDataset(X, X)
    with pytest.raises(ValueError, match="got one with the sampler WeightedRandomSampler; pass the data set itself"):
        take_all(DataLoader(data, sampler=WeightedRandomSampler(torch.ones(5), 5)))
    with pytest.raises(ValueError, match="got one with the sampler RandomSampler"):
        take_all(DataLoader(data, sampler=torch.utils.data.RandomSampler(data, replacement=True)))
    with pytest.raises(ValueError, match="got one with the sampler WeightedRandomSampler"):
        take_all(DataLoader(data, batch_sampler=BatchSampler(WeightedRandomSampler(torch.ones(5), 5), 2, False)))
    with pytest.raises(ValueError, match="got one with the sampler list"):
        take_all(DataLoader(data, batch_sampler=[[0, 1], [3]]))
    with pytest.raises(
        ValueError, match="expected a loader that makes batches, got batch_size=None; pass its data set"
    ):
        take_all(DataLoader(data, batch_size=None))
    with pytest.raises(TypeError, match="expected pairs of a point and a target"):
        take_all(TensorDataset(X))


WHOLE = TensorDataset(X, X)


@pytest.mark.parametrize(
    "loader",
    [
        DataLoader(WHOLE, 2, drop_last=True),
        DataLoader(WHOLE, batch_sampler=BatchSampler(SequentialSampler(WHOLE), 2, True)),
        DataLoader(WHOLE, sampler=SequentialSampler(range(4))),
    ],
    ids=["the rest", "the rest by its batches", "another set"],
)
def test_a_loader_that_never_gives_some_points_is_refused(loader):
    with pytest.raises(ValueError, match=r"got one that gives 4 of 5; pass what was trained on as a data set, such as"):
        take_all(loader)


def test_a_loader_that_gives_a_few_by_chance_is_refused():
    with pytest.raises(ValueError, match="got one that gives 3 of 5"):
        take_all(DataLoader(WHOLE, sampler=RandomSampler(WHOLE, num_samples=3)))
    for loader in (DataLoader(WHOLE, 5, drop_last=True), DataLoader(WHOLE, 2, shuffle=True, drop_last=True)):
        assert len(take_all(loader)[0]) == 5


def test_points_padded_batch_by_batch_are_refused():
    texts = [(torch.arange(1 + row), row) for row in range(4)]

    def padded(batch):
        points, y = zip(*batch, strict=True)
        return nn.utils.rnn.pad_sequence(points, batch_first=True), torch.tensor(y)

    with pytest.raises(ValueError, match=r"points of one shape, got \[\(2,\), \(4,\)\]; pad all of them to one length"):
        take_all(DataLoader(texts, 2, collate_fn=padded))
    assert take_all(DataLoader(texts, 4, collate_fn=padded))[0].shape == (4, 4)


def test_buffers_are_as_before_whatever_happens():
    module = nn.BatchNorm1d(4)
    with pytest.raises(RuntimeError, match="of the test"), unchanged(module):
        module(X)
        raise RuntimeError("of the test")
    assert module.num_batches_tracked == 0 and not module.running_mean.any()


def test_no_precision_from_around():
    with torch.autocast("cpu", torch.bfloat16):
        assert (X @ X.T).dtype == torch.bfloat16
        assert in_own_precision(lambda: X @ X.T)().dtype == torch.float32
    assert isinstance(points_of(X, MODULE), Points)


def test_no_inference_mode_from_around():
    with torch.inference_mode():
        made = X * 2
        asked = in_own_precision(lambda: (torch.is_inference_mode_enabled(), torch.is_grad_enabled()))()
        assert asked == (False, False) and torch.is_inference_mode_enabled()
        assert not in_own_precision(lambda: lent(made))().is_inference()
    assert lent(X) is X and torch.equal(lent(made), 2 * X)


def test_points_are_of_a_dtype_that_the_module_has():
    """A frozen part may have another than what is trained."""
    mixed = nn.Sequential(nn.Linear(4, 3).half().requires_grad_(False), nn.Linear(3, 2))
    for points in (X, X.half()):
        assert points_of(points, mixed).arrays[0].dtype == points.dtype
    with pytest.raises(TypeError, match=r"expected points of torch\.float32 as the parameters, .*torch\.float64"):
        points_of(X.double(), mixed)
