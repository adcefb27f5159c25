"""The command line: runs that are killed and resumed, bare machines, and what it says of wrong words."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial

import pytest
import torch
from retrained import files

from ntkif import __main__
from ntkif.__main__ import main
from ntkif.data import load
from ntkif.retraining.runs import load_run
from ntkif.study.records import tables
from ntkif.study.records.tables import record

COMMAND = "retrain --dataset mnist-sample --ridge 1 --n-train 60 --n-test 20 --width 256 --removals 6 --epochs 400"


def command(folder, *more):
    return [sys.executable, "-m", "ntkif", *COMMAND.split(), "--output", str(folder), *more]


def killed_after(parts, folder):
    """Start the command and kill it once so many networks are finished."""
    running = subprocess.Popen(command(folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while len(list(folder.glob("*/*.parts/*.npz"))) < parts:
        assert running.poll() is None
        time.sleep(0.002)
    running.send_signal(signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL and not list(folder.glob("*/*.npz"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a run that nobody interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    subprocess.run(command(folder), check=True, capture_output=True)
    return folder


@pytest.mark.parametrize("parts", [1, 4])
def test_killed_at_any_moment_it_ends_with_the_same_file(tmp_path, whole, parts):
    killed = tmp_path / "killed"
    killed_after(parts, killed)
    resumed = subprocess.run(command(killed), check=True, capture_output=True, text=True)
    assert "7 networks, 60 + 20 images" in resumed.stdout and "epoch/s" in resumed.stderr
    (file,) = killed.glob("*/*.npz")
    name = file.relative_to(killed)
    assert file.read_bytes() == (whole / name).read_bytes()
    assert sorted(files(killed)) == sorted(files(whole)) == [str(name.with_suffix(".json")), str(name)]
    a, b = (json.loads((folder / name).with_suffix(".json").read_text()) for folder in (whole, killed))
    assert {key for key in a if a[key] != b[key]} <= {"started", "seconds", "digest"}


COUNT = """
import sys
from ntkif import __main__
from ntkif.retraining import retrain as trainer
real, calls = trainer._train_without, []
trainer._train_without = lambda *arguments: calls.append(1) or real(*arguments)
__main__.main(sys.argv[1:])
print("trained", len(calls))
"""


def test_finished_networks_are_not_trained_again(tmp_path):
    killed_after(5, tmp_path)
    finished = len(list(tmp_path.glob("*/*.parts/[0-9].npz")))
    again = subprocess.run([sys.executable, "-c", COUNT, *command(tmp_path)[3:]], capture_output=True, text=True)
    assert f"trained {7 - finished}\n" in again.stdout


BARE = """
import sys
for name in "pandas scipy matplotlib seaborn sklearn mlxtend pooch requests".split():
    sys.modules[name] = None  # importing it fails
import torch
from pathlib import Path
from ntkif import __main__
from ntkif.retraining import protocol
from ntkif.data import Dataset
x = torch.nn.functional.normalize(torch.randn(30, 8, dtype=torch.float64))
y = torch.where(x[:, :1] > 0, 1.0, -1.0).double()
images, labels = x.numpy(), y[:, 0].numpy()
__main__.load = lambda name, device: Dataset(
    "mnist", x[:20], y[:20], x[20:], y[20:], images[:20], images[20:], labels[:20], labels[20:], ("a", "b"), "", "0"
)
__main__.main(sys.argv[1:])
"""


def bare(script, arguments, folder):
    whole = [sys.executable, "-c", script, *arguments.split(), "--output", str(folder)]
    answer = subprocess.run(whole, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr


def test_a_bare_machine_needs_torch_numpy_and_tqdm_alone(tmp_path):
    bare(BARE, "retrain --dataset mnist --width 16 --removals 3 --epochs 20 --learning-rate 0.01", tmp_path)
    assert len(list(tmp_path.glob("mnist-20/*.npz"))) == 1


@pytest.mark.skipif("NTKIF_DATA" not in os.environ, reason="needs the prepared image sets, see NTKIF_DATA")
def test_a_bare_machine_reads_the_prepared_sets(tmp_path):
    script = BARE.split("import torch\n")[0] + "from ntkif.__main__ import main; main(sys.argv[1:])"
    bare(script, "retrain --dataset mnist --width 8 --removals 1 --epochs 2 --n-train 50 --n-test 20", tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--dataset mnist-sample --width 8", "error: --ridge: the paper states none for mnist-sample; name one."),
        ("--dataset mnist-sample --ridge 1 --width 8 --precision half", "error: precision: expected one of float64"),
        ("--dataset mnist-sample --ridge 1 --width 8 --n-train 9999", "expected between 1 and 800 training images"),
        ("--dataset mnist-sample --ridge 1 --width 8 --n-train 20 --removals 21", "expected between 1 and 20 training"),
        ("--dataset mnist-sample --ridge 1 --width 8 --device gpu", "error: "),
        ("--dataset mnist-sample --ridge 1 --width 8 --n-train 60 --learning-rate 1", "1 is too large"),
        ("--dataset mnist-sample --ridge 1 --width 8 --precision tf32", "--precision tf32: expected --device cuda"),
        ("--dataset mnist-sample --ridge 1 --width 8 --directions 9", "directions: expected none with float32, got 9"),
        ("--dataset mnist-sample --ridge 1 --width 8 --precision float16 --directions 999", "between 1 and 784"),
    ],
)
def test_the_command_line_says_what_is_wrong(tmp_path, arguments, message, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["retrain", *arguments.split(), "--output", str(tmp_path)])
    assert ended.value.code != 0 and message in capsys.readouterr().err
    assert files(tmp_path) == {}


DATA = replace(load("mnist-sample").head(40, 20), name="mnist")


def refused(words, capsys):
    """What the command line says of words that it does not take."""
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    return capsys.readouterr().err.strip()


@pytest.mark.parametrize("words", [[], ["figure-2"], ["--all", "figure-2", "mnist"], ["--all", "figure-2"]])
def test_the_command_line_wants_one_or_all(words, capsys):
    assert refused(["record", *words], capsys).endswith("name an EXPERIMENT and a DATASET, or --all and neither.")
    wanted = "name an EXPERIMENT (or runs) and a DATASET, or --all, or --sample COUNT."
    assert refused(["verify", *words], capsys).endswith(wanted)


def test_the_command_line_says_what_it_did(small, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tables, "record", partial(record, folder=tmp_path))
    monkeypatch.setattr("ntkif.__main__.load", lambda name, device: DATA)
    main(["record", "figure-4-images", "mnist"])
    assert capsys.readouterr().out.startswith("mnist recorded 20")
    main(["record", "figure-4-images", "mnist"])
    out = capsys.readouterr().out
    assert out.startswith("today's code reproduces this record; nothing to record (--force makes it again):\nmnist rec")
    main(["record", "figure-4-images", "mnist", "--force"])
    assert capsys.readouterr().out.startswith("mnist recorded 20")


@pytest.mark.parametrize("device", ["gpu", "cuda:99"])
@pytest.mark.parametrize("words", ["record figure-4-images mnist", "verify figure-4-images mnist", "witness"])
def test_a_device_that_is_not_there(device, words, capsys):
    assert re.search("CUDA|device", refused([*words.split(), "--device", device], capsys))


def test_the_command_line_says_no_more_than_what_is_wrong():
    """In a process of its own, once: nothing but the sentence."""
    answer = subprocess.run(
        [sys.executable, "-m", "ntkif", "record", "figure-4-images", "mnist-sample"], capture_output=True, text=True
    )
    assert answer.returncode == 2 and "error: figure-4-images has no settings for 'mnist-sample'" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_the_command_line_reaches_a_scheduler(client, tmp_path, capsys):
    words = "retrain --dataset mnist-sample --ridge 1 --width 16 --n-train 30 --n-test 10 --removals 2 --epochs 5"
    __main__.main([*words.split(), "--dask", client.scheduler.address, "--output", str(tmp_path)])
    assert "Dask workers" in capsys.readouterr().out


def test_a_gpu_is_asked_for_what_is_wanted(capsys):
    main(["gpu", "--dry-run", "--no-benchmarks"])
    told = capsys.readouterr().out.splitlines()
    assert told[-1].startswith("20 of 20 runs, 27 of 27 trainings made in ") and told[-1].endswith("none is kept")
    assert len(told) == 1 + 2 * (20 + 27) + 1 and told[5].startswith("  5. mini-mnist conv, SGD, seed 20: about ")
    with pytest.raises(SystemExit) as ended:
        main(["gpu", "--device", "cpu"])
    assert ended.value.code == 2 and "expected cuda, got cpu; try it on a CPU with --dry-run" in capsys.readouterr().err


def test_what_a_gpu_made_is_taken_in(tmp_path, monkeypatch, capsys):
    both = "cifar-5000/a.npz", "through-training-gpu/cifar.csv"
    monkeypatch.setattr("ntkif.study.records.packed.collect", lambda folder: [folder / name for name in both])
    main(["gpu", "--collect", str(tmp_path)])
    told = capsys.readouterr().out
    assert told.startswith("1 runs taken in") and "python -m ntkif verify runs cifar\npython -m ntkif record" in told
    assert told.endswith("cifar.csv has more trainings; execute the notebooks again.\n")
    monkeypatch.undo()
    with pytest.raises(SystemExit):
        main(["gpu", "--collect", str(tmp_path)])
    assert "expected archives runs-1.zip" in capsys.readouterr().err


HALF = "--precision float16 --directions 40 --epochs 300 --n-train 60 --n-test 20 --removals 5 --width 256"


def test_runs_in_half_precision_end_the_same_after_a_kill(tmp_path):
    """A kill after the first batch loses the batch in work alone."""
    script = """
import sys
from ntkif import __main__
from ntkif.retraining import batches, stacked
batches.networks_at_once = lambda *sizes: 2
real, done = stacked.Stack.train, []
def train(stack, *arguments):
    if len(done) == int(sys.argv[1]):
        import os, signal
        os.kill(os.getpid(), signal.SIGKILL)
    done.append(stack.removed)
    return real(stack, *arguments)
stacked.Stack.train = train
__main__.main(["retrain", "--dataset", "mnist-sample", "--ridge", "1", "--learning-rate", "0.01", *sys.argv[2:]])
print("trained", len(done))
"""

    def run(at, folder):
        words = [sys.executable, "-c", script, str(at), *HALF.split(), "--output", str(folder)]
        return subprocess.run(words, capture_output=True, text=True)

    assert run(99, tmp_path / "whole").returncode == 0
    assert run(1, tmp_path / "killed").returncode == -9
    assert len(list((tmp_path / "killed").glob("*/*.parts/*.npz"))) == 2
    assert "trained 2" in run(99, tmp_path / "killed").stdout
    (whole,), (killed,) = ((tmp_path / name).glob("*/*.npz") for name in ("whole", "killed"))
    a, b = (load_run(file) for file in (whole, killed))
    assert torch.equal(a.predictions, b.predictions) and torch.equal(a.following, b.following)
