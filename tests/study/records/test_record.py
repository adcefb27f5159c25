"""What a record is: how it tells of itself, and with how many digits its table is stored."""

import pandas as pd

from ntkif.data import load
from ntkif.study.experiments.catalogue import EXPERIMENTS
from ntkif.study.records.record import Record, as_csv, provenance_of

DATA = load("mnist-sample")


def test_a_record_tells_its_images_its_precision_and_its_code():
    known = EXPERIMENTS["through-training-gpu"]
    told = provenance_of(known, DATA, {"precision": "float32", "n_train": 40, "n_test": 5})
    assert told["dtype"] == "torch.float32" and told["experiment"] == "through-training-gpu"
    assert provenance_of(known, DATA, {})["dtype"] == "torch.float64"
    told |= {"commit": "0" * 40 + "-dirty", "started": "2026-11-27T10:00:00Z", "seconds": 3.0}
    line = str(Record(pd.DataFrame(), told))
    assert line.startswith("mnist-sample recorded 2026-11-27: 40 + 5 of 800 + 200 images, exact MNIST pixels")
    assert "torch.float32 on CPU" in line and line.endswith("3 s, commit 00000000-dirty")


def test_a_table_has_ten_digits():
    assert as_csv(pd.DataFrame({"a": [1 / 3]})) == b"a\n0.3333333333\n"
