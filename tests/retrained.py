"""A small set, a short protocol, and the committed runs, for the tests of retraining."""

from ntkif.data import load
from ntkif.retraining import runs
from ntkif.retraining.protocol import Protocol

SMALL = load("mnist-sample").head(40, 30)
PROTOCOL = Protocol(ridge=1.0, width=32, learning_rate=0.02, epochs=60, precision="float64")
COMMITTED = sorted(file for file in runs.FOLDER.glob("*/*.npz") if not file.parent.name.startswith("witness-"))


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
