"""Modules of many kinds, each with points that it takes, in float64 and evaluation mode."""

import torch
from torch import nn
from torch.nn.utils import parametrizations
from torch.utils.checkpoint import checkpoint

N = 5


def _numbers(*shape):
    return torch.randn(N, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def _tokens(length=3):
    return torch.randint(9, (N, length), generator=torch.Generator().manual_seed(1))


class Last(nn.Module):
    """The last outputs of a recurrent layer."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x)[0][:, -1]


class Counting(nn.Linear):
    """Changes a buffer at every call."""

    def __init__(self, *sizes):
        super().__init__(*sizes)
        self.register_buffer("mean", torch.zeros(sizes[0]))

    def forward(self, x):
        self.mean.mul_(0.9).add_(0.1 * x.mean(0))
        return super().forward(x)


class Branching(nn.Linear):
    """Takes another way where a point is large."""

    def forward(self, x):
        return torch.cat([super(Branching, self).forward(row[None]) * (2 if row.sum() > 0 else -1) for row in x])


class Named(nn.Module):
    """Two inputs by name, outputs by name, as models of Hugging Face have them."""

    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Embedding(9, 4), nn.Linear(4, 2)

    def forward(self, input_ids, attention_mask):
        hidden = self.embed(input_ids) * attention_mask[:, :, None]
        return {"hidden": hidden, "logits": self.head(torch.tanh(hidden.sum(1)))}


class Pair(nn.Linear):
    """Outputs as the second of two."""

    def forward(self, x):
        return x, super().forward(x)


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.out = nn.Embedding(9, 4), nn.Linear(4, 9, bias=False)
        self.out.weight = self.embed.weight

    def forward(self, x):
        return self.out(self.embed(x).mean(1))


class Checkpointed(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(4, 3), nn.Linear(3, 2)

    def forward(self, x):
        return self.two(checkpoint(lambda h: torch.tanh(self.one(h)), x, use_reentrant=False))


class Cube(torch.autograd.Function):
    """A function with a gradient of its own, written before torch.func."""

    @staticmethod
    def forward(context, x):
        context.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(context, pull):
        (x,) = context.saved_tensors
        return 3 * x**2 * pull


class Cubed(nn.Linear):
    def forward(self, x):
        return Cube.apply(super().forward(x))


class Spectrum(nn.Linear):
    """Complex numbers on the way."""

    def forward(self, x):
        return torch.fft.rfft(super().forward(x)).abs()


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, x):
        return self.layer(x, x, x)[0].mean(1)


class Mean(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x).flatten(2).mean(2) if x.ndim > 2 else self.layer(x)


class Unused(nn.Linear):
    """With a parameter that no output feels."""

    def __init__(self, *sizes):
        super().__init__(*sizes)
        self.idle = nn.Parameter(torch.ones(2))


def _frozen():
    module = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))
    module[0].requires_grad_(False)
    return module


def _hooked():
    module = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))
    module[0].register_forward_hook(lambda layer, inputs, found: 2 * found)
    return module


def _sequence(layer):
    return nn.Sequential(nn.Unflatten(1, (2, 2)), layer, nn.Flatten(), nn.Linear(4, 2))


def _images(*layers):
    return nn.Sequential(*layers, nn.Flatten(), nn.LazyLinear(2))


def _conv(**how):
    return _images(nn.Conv2d(2, 3, 2, **how), nn.GELU())


#: name: (module, points, output)
KINDS = {
    "LSTM": (lambda: Last(nn.LSTM(2, 3, batch_first=True)), _numbers(3, 2), None),
    "two-layer bidirectional LSTM": (
        lambda: Last(nn.LSTM(2, 2, 2, batch_first=True, bidirectional=True)),
        _numbers(3, 2),
        None,
    ),
    "GRU": (lambda: Last(nn.GRU(2, 3, batch_first=True)), _numbers(3, 2), None),
    "RNN": (lambda: Last(nn.RNN(2, 3, batch_first=True)), _numbers(3, 2), None),
    "PReLU": (lambda: nn.Sequential(nn.Linear(4, 3), nn.PReLU(), nn.Linear(3, 2)), _numbers(4), None),
    "script": (lambda: torch.jit.script(nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))), _numbers(4), None),
    "DataParallel": (lambda: nn.DataParallel(nn.Linear(4, 2)), _numbers(4), None),
    "changes a buffer": (lambda: Counting(4, 2), _numbers(4), None),
    "branches on data": (lambda: Branching(4, 2), _numbers(4), None),
    "token ids": (lambda: nn.Sequential(nn.Embedding(9, 3), nn.Flatten(), nn.Linear(9, 2)), _tokens(), None),
    "bag of tokens": (lambda: nn.EmbeddingBag(9, 3), _tokens(), None),
    "one token": (lambda: nn.Embedding(9, 3), _tokens()[:, 0], None),
    "two inputs": (lambda: nn.Bilinear(4, 3, 2), (_numbers(4), _numbers(3)), None),
    "inputs and outputs by name": (
        Named,
        {"input_ids": _tokens(), "attention_mask": _tokens() % 2},
        None,
    ),
    "an entry of a tuple": (lambda: Pair(4, 2), _numbers(4), 1),
    "an entry by name": (Named, {"input_ids": _tokens(), "attention_mask": _tokens() % 2}, "logits"),
    "a vector of outputs": (lambda: nn.Sequential(nn.Linear(4, 1), nn.Flatten(0)), _numbers(4), None),
    "transformer layer": (
        lambda: Mean(nn.TransformerEncoderLayer(4, 2, 6, batch_first=True)),
        _numbers(3, 4),
        None,
    ),
    "attention": (Attention, _numbers(3, 4), None),
    "layer norm": (lambda: nn.Sequential(nn.Linear(4, 3), nn.LayerNorm(3)), _numbers(4), None),
    "RMS norm": (lambda: nn.Sequential(nn.Linear(4, 3), nn.RMSNorm(3)), _numbers(4), None),
    "batch norm": (lambda: nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)), _numbers(4), None),
    "group norm": (lambda: _images(nn.Conv2d(2, 4, 2), nn.GroupNorm(2, 4)), _numbers(2, 4, 4), None),
    "instance norm": (
        lambda: _images(nn.InstanceNorm2d(2, affine=True, track_running_stats=True), nn.Tanh()),
        _numbers(2, 3, 3),
        None,
    ),
    "convolution": (_conv, _numbers(2, 4, 4), None),
    "groups, strides, dilation": (
        lambda: _images(nn.Conv2d(2, 4, 2, stride=2, groups=2, dilation=2, padding=1), nn.SiLU()),
        _numbers(2, 5, 5),
        None,
    ),
    "one-dimensional convolution": (lambda: _images(nn.Conv1d(2, 3, 2), nn.Tanh()), _numbers(2, 5), None),
    "transposed convolution": (lambda: _images(nn.ConvTranspose2d(2, 3, 2), nn.Tanh()), _numbers(2, 3, 3), None),
    "channels last": (
        lambda: nn.Sequential(nn.Conv2d(2, 3, 2), nn.GELU(), nn.Flatten()).to(memory_format=torch.channels_last),
        _numbers(2, 4, 4),
        None,
    ),
    "pooling": (lambda: _images(nn.Conv2d(2, 3, 2), nn.MaxPool2d(2), nn.ReLU()), _numbers(2, 6, 6), None),
    "adaptive pooling": (lambda: _images(nn.Conv2d(2, 3, 2), nn.AdaptiveAvgPool2d(2)), _numbers(2, 6, 6), None),
    "upsampling": (
        lambda: _images(nn.Conv2d(2, 3, 2), nn.Upsample(scale_factor=2, mode="bilinear")),
        _numbers(2, 4, 4),
        None,
    ),
    "tied weights": (Tied, _tokens(), None),
    "frozen parameters": (_frozen, _numbers(4), None),
    "a parameter that is not used": (lambda: Unused(4, 2), _numbers(4), None),
    "hooks": (_hooked, _numbers(4), None),
    "weight norm": (lambda: parametrizations.weight_norm(nn.Linear(4, 2)), _numbers(4), None),
    "spectral norm": (lambda: parametrizations.spectral_norm(nn.Linear(4, 2)), _numbers(4), None),
    "checkpoints": (Checkpointed, _numbers(4), None),
    "a gradient of its own": (lambda: Cubed(4, 2), _numbers(4), None),
    "complex on the way": (lambda: Spectrum(4, 4), _numbers(4), None),
    "compiled": (
        lambda: torch.compile(nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)), backend="eager"),
        _numbers(4),
        None,
    ),
    "a sequence through a linear layer": (lambda: _sequence(nn.Linear(2, 2)), _numbers(4), None),
}


def made(name):
    """A module in float64 and evaluation mode, its points, and which output."""
    build, points, output = KINDS[name]
    torch.manual_seed(0)
    module = build()
    first = points if isinstance(points, torch.Tensor) else None
    if any(isinstance(part, nn.LazyLinear) for part in module.modules()):
        module.eval()(first.float())
    return module.double().eval(), points, output
