"""What an image set is: pixels, rows of norm one, and targets +-1 (appendix A), or one-hot for ten classes."""

import hashlib
from dataclasses import dataclass, replace

import numpy as np
import torch

__all__ = ["Arrays", "Dataset", "class_targets", "from_pixels", "pixel_digest"]

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # images and labels for training, then for testing


@dataclass(frozen=True, eq=False)
class Dataset:
    """Training and test images, as vectors for the method and as pixels for pictures.

    Attributes:
        name: name of the set, see `load`.
        x_train, x_test: (n, d) and (k, d) images as rows of norm one.
        y_train, y_test: (n, c) and (k, c) targets: +1 or -1 in one column for two classes, else one-hot.
        images_train, images_test: (n, 28, 28) or (n, 32, 32, 3) pixels, uint8.
        labels_train, labels_test: (n,) and (k,) index into `classes` of each image.
        classes: names of the classes; of two, the first has target +1.
        source: what the pixels are and where they came from.
        digest: SHA-256 over pixels and original labels of the whole set.
    """

    name: str
    x_train: torch.Tensor
    y_train: torch.Tensor
    x_test: torch.Tensor
    y_test: torch.Tensor
    images_train: np.ndarray
    images_test: np.ndarray
    labels_train: np.ndarray
    labels_test: np.ndarray
    classes: tuple[str, ...]
    source: str
    digest: str

    def __str__(self) -> str:
        """One line of provenance."""
        n, k = len(self.x_train), len(self.x_test)
        return f"{self.name}: {n} training and {k} test images; {self.source}; sha256 {self.digest[:8]}"

    def head(self, n_train: int, n_test: int) -> "Dataset":
        """The first `n_train` training and the first `n_test` test images.

        Raises:
            ValueError: the set has fewer, or a size is not positive.
        """
        for what, wanted, have in (
            ("training", n_train, len(self.x_train)),
            ("test", n_test, len(self.x_test)),
        ):
            if not 1 <= wanted <= have:
                raise ValueError(f"{self.name}: expected between 1 and {have} {what} images, got {wanted}.")
        cut = {field: getattr(self, field)[:n_train] for field in self.__dict__ if field.endswith("_train")}
        cut |= {field: getattr(self, field)[:n_test] for field in self.__dict__ if field.endswith("_test")}
        return replace(self, name=f"{self.name} cut to {n_train} + {n_test}", **cut)


def from_pixels(
    name: str,
    arrays: Arrays,
    classes: tuple[str, ...],
    source: str,
    digest: str | None = None,
    *,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str = "cpu",
) -> Dataset:
    """An image set of given pixels.

    Args:
        name: of the set.
        arrays: training images, (n, h, w) or (n, h, w, 3) of uint8, and their labels, (n,) index into `classes`; the
            same of the test images.
        classes: names of the classes; of two, the first gets target +1.
        source: what the pixels are and where they came from.
        digest: of the whole set; of these arrays where absent.
        dtype: of the rows and targets.
        device: of the rows and targets.

    Raises:
        ValueError: an image of zeros, or labels that are no index into `classes`, one for each image.
    """
    x_train, labels_train, x_test, labels_test = arrays
    _check_labels("training", labels_train, len(x_train), classes)
    _check_labels("test", labels_test, len(x_test), classes)
    return Dataset(
        name=name,
        x_train=_unit_rows(x_train).to(device, dtype),
        y_train=class_targets(labels_train, len(classes)).to(device, dtype),
        x_test=_unit_rows(x_test).to(device, dtype),
        y_test=class_targets(labels_test, len(classes)).to(device, dtype),
        images_train=x_train,
        images_test=x_test,
        labels_train=labels_train,
        labels_test=labels_test,
        classes=classes,
        source=source,
        digest=digest or pixel_digest(arrays),
    )


def _unit_rows(images: np.ndarray) -> torch.Tensor:
    rows = torch.from_numpy(images.reshape(len(images), -1).astype(np.float64))
    norms = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    if (norms == 0).any():
        raise ValueError(f"image {int(norms.argmin())} has only zeros, so it cannot be scaled to norm one; remove it.")
    return rows / norms


def _check_labels(what: str, labels: np.ndarray, n: int, classes: tuple[str, ...]) -> None:
    if labels.shape != (n,) or labels.dtype.kind not in "biu":
        raise ValueError(
            f"{what} labels: expected {n} whole numbers, an index into classes for each image, got {labels.dtype} of "
            f"shape {labels.shape}."
        )
    outside = labels[(labels < 0) | (labels >= len(classes))]
    if len(outside):
        raise ValueError(
            f"{what} labels: expected an index into the {len(classes)} classes, 0 to {len(classes) - 1}, got "
            f"{outside[0]}; name all classes, or drop the images of others."
        )


def class_targets(labels: np.ndarray, n_classes: int) -> torch.Tensor:
    """(n, c) targets of (n,) labels: of two classes +1 for the first and -1 for the other, else one-hot."""
    if n_classes == 2:
        return torch.from_numpy(np.where(labels == 0, 1.0, -1.0)[:, None])
    return torch.nn.functional.one_hot(torch.from_numpy(labels.astype(np.int64)), n_classes)


def pixel_digest(arrays: Arrays) -> str:
    sha = hashlib.sha256()
    for array in arrays:
        sha.update(np.ascontiguousarray(array))
    return sha.hexdigest()
