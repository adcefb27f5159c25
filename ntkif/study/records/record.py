"""What a record is: a table, and how it was made."""

from dataclasses import dataclass

import pandas as pd

from ntkif.data import Dataset
from ntkif.provenance import machine
from ntkif.study.experiments.experiment import Experiment

__all__ = ["Record", "as_csv", "provenance_of"]


@dataclass(frozen=True, eq=False)
class Record:
    """A recorded table and its provenance."""

    table: pd.DataFrame
    provenance: dict

    def __str__(self) -> str:
        """One line: what was computed on which pixels, where, when and by which code."""
        p = self.provenance
        whole = p["n_train"], p["n_test"]
        used = tuple(p["settings"].get(name, p[name]) for name in ("n_train", "n_test"))
        images = " of ".join(f"{train} + {test}" for train, test in dict.fromkeys((used, whole)))
        return (
            f"{p['dataset']} recorded {p['started'][:10]}: {images} images, {p['pixel_source']}, "
            f"sha256 {p['pixels'][:8]}; {p['dtype']} on {p['device']}, torch {p['torch']}, {p['seconds']:.0f} s, "
            f"commit {p['commit'][:8]}{p['commit'][40:]}"
        )


def provenance_of(known: Experiment, dataset: Dataset, settings: dict) -> dict:
    """What a record says of its experiment, settings, machine and pixels."""
    dtype = f"torch.{settings['precision']}" if "precision" in settings else str(dataset.x_train.dtype)
    return {
        "experiment": known.name,
        "dataset": dataset.name,
        "settings": settings,
        "version": known.version,
        "n_train": len(dataset.x_train),
        "n_test": len(dataset.x_test),
        "dtype": dtype,
        **machine(dataset.x_train.device),
        "pixels": dataset.digest,
        "pixel_source": dataset.source,
    }


def as_csv(table: pd.DataFrame) -> bytes:
    """As records are stored, with ten digits."""
    return table.to_csv(index=False, float_format="%.10g").encode()
