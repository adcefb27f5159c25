"""Training with flipped labels: which images matter when, and what tells the flipped ones (Figure 7)."""

from collections.abc import Sequence

import pandas as pd
import torch

from ntkif import metrics
from ntkif.data import Dataset
from ntkif.data.label_noise import flip_labels
from ntkif.influence.flow import influence_along
from ntkif.regression.factorized import factorized
from ntkif.study import paper
from ntkif.study.experiments.dynamics import TIMES, signed_scores
from ntkif.study.experiments.experiment import Column, experiment

__all__ = ["detection_curves", "detection_scores", "noise_along", "stopping"]


@experiment(
    "figure-7",
    settings={
        name: {"share": 0.4, "seed": 0, "ridge": 0.0, "times": TIMES, "tops": [1, 10, 40]} for name in paper.RIDGE
    },
    witness={"share": 0.4, "seed": 0, "ridge": 0.0, "times": [0.1, 10.0], "tops": [10]},
    slice={"times": [0.1]},
    columns={
        "time": Column.key("of the flow (3)"),
        "accuracy": Column.value("on the test images"),
        "loo_accuracy": Column.value("share of training images whose leave-one-out prediction names the label given"),
        "learnt": Column.value("share of flipped images for which the model names the wrong label they were given"),
        "clean_residual": Column.value("mean size of f^{-i}(x_i) - y_i of the images with right labels"),
        "flipped_residual": Column.value("mean size of the same of those with flipped labels"),
        "influential_*": Column.value("share of flipped images among so many of largest |influence|, over test images"),
        "helpful_*": Column.value("the same among the most helpful"),
        "harmful_*": Column.value("the same among the most harmful"),
        "ap_*": Column.value("average precision of a score of `detection_scores`"),
    },
)
def noise_along(
    dataset: Dataset, share: float, seed: int, ridge: float, times: Sequence[float], tops: Sequence[int]
) -> pd.DataFrame:
    """Figure 7: flipped labels among the most influential training images, and what finds them, along training.

    Args:
        dataset: training and test images, with their right labels.
        share: of the training labels that are flipped.
        seed: of the choice.
        ridge: penalty λ.
        times: of the flow (3).
        tops: how many training images of each test image count as the most influential.

    Returns:
        a row for each time.
    """
    noisy = flip_labels(dataset, share, seed)
    data, flipped = noisy.dataset, noisy.flipped
    k_test_train, flow = factorized(dataset).k_test_train, factorized(dataset).flow(ridge, data.y_train)
    rows = []
    for timed in influence_along(flow, k_test_train, data.y_test, times):
        fitted, loo = flow.predict_train(timed.time), timed.loo_prediction
        scores = detection_scores(fitted, loo, data.y_train, timed.influence)
        surprise = (loo - data.y_train).norm(dim=1)
        rows.append(
            {
                "time": timed.time,
                "accuracy": 1 - metrics.share(metrics.misfit(timed.prediction, data.y_test)),
                "loo_accuracy": 1 - metrics.share(metrics.misfit(loo, data.y_train)),
                "learnt": 1 - metrics.share(metrics.misfit(fitted, data.y_train)[flipped]),
                "clean_residual": float(surprise[~flipped].mean()),
                "flipped_residual": float(surprise[flipped].mean()),
            }
            | {
                f"{kind}_{top}": metrics.share(flipped[score.topk(top, dim=1).indices])
                for kind, score in signed_scores(timed.influence).items()
                for top in tops
            }
            | {f"ap_{name}": _average_precision(flipped, score) for name, score in scores.items()}
        )
    return pd.DataFrame(rows)


def detection_scores(
    prediction: torch.Tensor, loo_prediction: torch.Tensor, y_train: torch.Tensor, influence: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Scores at one time of training by which wrong labels may be found, the more suspicious the larger.

    Args:
        prediction: (n, c) at the training points.
        loo_prediction: (n, c) the same, each by the model that has not seen the point.
        y_train: (n, c) targets as given.
        influence: (k, n) influence at that time on test images with right labels.

    Returns:
        loss: (n,) training loss, half the squared error on the point itself, the baseline;
        loo: the same by the model that has not seen the point;
        self: self-influence, the second less the first;
        mean: how harmful the point is on average over the test images, the only score that needs right labels.
    """
    loss, loo = (metrics.half_squares(values, y_train) for values in (prediction, loo_prediction))
    return {"loss": loss, "loo": loo, "self": loo - loss, "mean": -influence.mean(0)}


def detection_curves(flipped: torch.Tensor, scores: dict[str, torch.Tensor], recalls: Sequence[float]) -> pd.DataFrame:
    """Precision at given recalls when the images with the largest scores are called wrong.

    Args:
        flipped: (n,) bool, the truth.
        scores: name -> (n,) score.
        recalls: shares of the flipped images that are to be found.

    Returns:
        a row for each score and recall: score, recall, precision, the share of flipped ones among the fewest images
        with the largest score that reach the recall.
    """
    rows = []
    for name, score in scores.items():
        hits = flipped[score.argsort(descending=True, stable=True)].cumsum(0)
        for recall in recalls:
            count = int(torch.searchsorted(hits, max(1, round(recall * int(hits[-1]))))) + 1
            rows.append({"score": name, "recall": recall, "precision": float(hits[count - 1]) / count})
    return pd.DataFrame(rows)


def stopping(table: pd.DataFrame) -> dict[str, float]:
    """When to stop, by three columns of a table.

    Args:
        table: of `noise_along`, with the first image counted (`tops`).

    Returns:
        words -> the time of the best accuracy on the test images and that accuracy; the time that the leave-one-out
        accuracy chooses, which needs no right label, and the accuracy then; the accuracy at the last time; and the
        time when most flipped images are the most influential.
    """
    own, guess, peak = (table.loc[table[name].idxmax()] for name in ("accuracy", "loo_accuracy", "influential_1"))
    return {
        "best time": own["time"],
        "accuracy": own["accuracy"],
        "time by leaving out": guess["time"],
        "accuracy then": guess["accuracy"],
        "at the end": table["accuracy"].iloc[-1],
        "peak of flipped": peak["time"],
    }


def _average_precision(flipped: torch.Tensor, score: torch.Tensor) -> float:
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(flipped.cpu().numpy(), score.cpu().numpy()))
