"""The trainings behind a recording, with all points and without some; each can be kept in a folder as it ends."""

import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property, partial
from pathlib import Path
from tempfile import TemporaryFile

import torch
from torch.func import grad
from tqdm import tqdm

from ntkif import store
from ntkif.training.tape import Tape

__all__ = ["SIDE_BY_SIDE", "Folds", "Trainings"]

SIDE_BY_SIDE = 10  # trainings at once, and what is lost at most where one is killed
_AWAY = 0.0, 0.1, 3.0  # from the start, in sizes of the parameters: there, nearby, and where outputs are large


@dataclass(frozen=True, eq=False)
class Folds:
    """Trainings without a fold each.

    Attributes:
        number: (n,) of each point's fold.
        theta: (K, P) parameters at the end.
        outside: for each step, (b, c) outputs of its batch, of each point in the training without its fold.
    """

    number: torch.Tensor
    theta: torch.Tensor
    outside: list[torch.Tensor]


class Trainings:
    """Runs the trainings of a tape.

    Args:
        tape: of the training.
        folder: where they are kept; None: nowhere.
        progress: whether to show bars.

    Raises:
        OSError: the folder cannot be written.
    """

    def __init__(self, tape: Tape, folder: str | Path | None, progress: bool):
        self.tape, self.folder, self.progress = tape, None if folder is None else Path(folder), progress
        if self.folder is not None:  # said before what it would hold is paid for
            self.folder.mkdir(parents=True, exist_ok=True)
            TemporaryFile(dir=self.folder).close()

    def whole(self) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """(P,) parameters at the end, and (b, c) outputs of each batch before its step; the tape is kept."""

        def make() -> dict:
            inside: list[torch.Tensor] = []
            theta = self._train(None, f"all points ({self.tape})", lambda _, outputs: inside.append(outputs))
            return {"theta": theta, "inside": inside, "kept": self.tape.kept, "stride": self.tape.stride}

        found = self._kept("all-points", make)
        self.tape.kept, self.tape.stride = found["kept"], found["stride"]
        return found["theta"], found["inside"]

    def without_folds(self, number: torch.Tensor) -> Folds:
        """Train without each fold, side by side, of these (n,) numbers of the points' folds."""
        count = int(number.max()) + 1
        fold_of_visit = number[torch.cat(self.tape.batches)]
        outside = self.tape.y.new_empty(len(fold_of_visit), self.tape.y.shape[1])
        ends = []
        for part in torch.arange(count, device=number.device).split(SIDE_BY_SIDE):
            name = f"without-{int(part[0])}-to-{int(part[-1])}-of-{count}-folds"
            made = partial(self._without_some, name, number, part)
            found = self._kept(f"{name}-{_short(number)}", made)
            outside[(fold_of_visit >= part[0]) & (fold_of_visit <= part[-1])] = found["outside"]
            ends.append(found["theta"])
        return Folds(number, torch.cat(ends), list(outside.split([len(rows) for rows in self.tape.batches])))

    def alone(self, rows: torch.Tensor) -> torch.Tensor:
        """(r, P) parameters at the end of trainings without each of some points."""
        if len(rows) == 0:
            return self.tape.x.new_empty(0, len(self.tape.function.start))

        def make() -> dict:
            return {"theta": torch.cat(list(self.without(rows[:, None])))}

        return self._kept(f"without-{len(rows)}-points-{_short(rows)}", make)["theta"]

    def without(self, sets: Sequence[torch.Tensor]) -> Iterator[torch.Tensor]:
        """Parameters at the end of trainings without each of some sets of points, (ten or fewer, P) at a time."""
        for first in range(0, len(sets), SIDE_BY_SIDE):
            part = sets[first : first + SIDE_BY_SIDE]
            weights = self.tape.x.new_ones(len(part), len(self.tape.x))
            for row, removed in zip(weights, part, strict=True):
                row[removed] = 0
            yield self._train(weights, f"without {first + 1} to {first + len(part)} of {len(sets)}", lambda *_: None)

    def bar(self, total: int, what: str) -> tqdm:
        """Of so many steps, where bars are shown."""
        return tqdm(total=total, desc=what, disable=not self.progress)

    def _without_some(self, name: str, number: torch.Tensor, part: torch.Tensor) -> dict:
        outside: list[torch.Tensor] = []

        def see(index: int, outputs: torch.Tensor) -> None:
            place = number[self.tape.batches[index]] - part[0]
            here = ((place >= 0) & (place < len(part))).nonzero()[:, 0]
            outside.append(outputs[place[here], here])

        theta = self._train((number != part[:, None]).to(self.tape.x), name.replace("-", " "), see)
        return {"theta": theta, "outside": torch.cat(outside)}

    def _train(self, weights: torch.Tensor | None, what: str, see: Callable) -> torch.Tensor:
        with self.bar(len(self.tape.batches), what) as bar:
            theta = self.tape.run(weights, see, bar.update)
        if not torch.isfinite(theta).all():
            raise ValueError(
                "training: parameters became NaN or infinite; use a smaller learning rate, or clean the data."
            )
        return theta

    def _kept(self, name: str, make: Callable[[], dict]) -> dict:
        """What is in the folder under a name; made and written where it is not."""
        if self.folder is None:
            return make()
        marks = {"training": self._digest, "probes": self._probes.tolist(), "steps": self._stepped.tolist()}
        file = self.folder / f"{name}.pt"
        if file.exists() and file.with_suffix(".json").exists():
            content, told = store.read(file, f"rm {file} {file.with_suffix('.json')}, and record again")
            self._check_same(told)
            return torch.load(io.BytesIO(content), weights_only=True, map_location=self.tape.x.device)
        made, stream = make(), io.BytesIO()
        torch.save(made, stream)
        store.write(file, stream.getvalue(), marks)
        return made

    def _check_same(self, told: dict) -> None:
        """Require the marks of this training: its digest, and its probes up to rounding, which other machines do."""
        if not {"probes", "steps"} <= set(told):
            raise ValueError(
                f"folder: {self.folder} was written by an earlier version, which noted too little of the loss and the "
                f"module to tell whether it holds this training; name another folder, or empty it, and record again."
            )
        kept = self._probes.new_tensor(told["probes"])
        tolerance = torch.finfo(self.tape.x.dtype).eps ** 0.5
        # Gradients near zero are differences of probabilities, and known to the rounding of one.
        scale = kept[..., 1:] + tolerance * len(self.tape.x)
        same = told["training"] == self._digest and ((kept - self._probes).abs() <= tolerance * scale).all()
        if not (same and torch.allclose(self._stepped.new_tensor(told["steps"]), self._stepped, rtol=tolerance)):
            raise ValueError(f"folder: {self.folder} holds another training; name another folder, or empty it.")

    @cached_property
    def _digest(self) -> str:
        """SHA-256 of the numbers that decide those of the trainings."""
        tape, module = self.tape, self.tape.function.module
        settings = [getattr(tape.optimizer, field.name) for field in fields(tape.optimizer) if field.compare]
        whole = hashlib.sha256(repr((type(tape.optimizer).__name__, str(module), tape.ridge)).encode())
        for each in (*module.parameters(), *module.buffers(), tape.x, tape.y, *tape.batches, *settings):
            whole.update(_bytes(each) if isinstance(each, torch.Tensor) else repr(each).encode())
        return whole.hexdigest()

    @cached_property
    def _probes(self) -> torch.Tensor:
        """(3, 2, 2) of what functions decide: outputs, and gradients of the loss by them, at all points.

        Of each at three places, their sum with weights drawn at random, and that of their absolute values.
        """
        tape, function = self.tape, self.tape.function
        weights = torch.rand(tape.y.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 0.5
        found = torch.zeros(len(_AWAY), 2, 2, dtype=torch.float64)
        for sums, size in zip(found, _AWAY, strict=True):
            theta = function.moved(size)
            for rows in torch.arange(len(tape.x), device=tape.x.device).split(max(map(len, tape.batches))):
                outputs = function(theta, tape.x[rows]).nan_to_num(0, 0, 0)
                slopes = grad(lambda f, y=tape.y[rows]: tape.loss.value(f, y).sum())(outputs).nan_to_num(0, 0, 0)
                for each, part in zip(sums, (outputs, slopes), strict=True):
                    part = weights[rows.cpu()] * part.cpu()
                    each += torch.stack([part.sum(), part.abs().sum()])
        return found.nan_to_num()

    @cached_property
    def _stepped(self) -> torch.Tensor:
        """(2,) norms of the way that the optimiser makes of its first steps with gradients drawn at random."""
        optimizer, start = self.tape.optimizer, self.tape.function.start
        generator = torch.Generator().manual_seed(0)
        theta, states, ways = start, optimizer.states(start), []
        for index in (0, min(1, len(self.tape.batches) - 1)):
            gradient = torch.randn(start.shape, generator=generator, dtype=torch.float64).to(start)
            theta, states = optimizer.step(index, theta, optimizer.scaled(gradient), states)
            ways.append((theta - start).double().norm())
        return torch.stack(ways)


def _bytes(numbers: torch.Tensor) -> bytes:
    return numbers.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()


def _short(numbers: torch.Tensor) -> str:
    return hashlib.sha256(_bytes(numbers)).hexdigest()[:8]
