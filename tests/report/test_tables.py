"""Tables on disk: words and missing values told apart, and what is no table named."""

import numpy as np
import pandas as pd
import pytest

from ntkif.report.sources import read_source
from ntkif.report.tables import read_table


def test_parquet_is_read_where_pyarrow_is(tmp_path):
    pytest.importorskip("pyarrow")
    table = pd.DataFrame({"a": [1.0, 2.0, 3.0], "y": ["n", "m", "n"]})
    table.to_parquet(tmp_path / "table.parquet")
    assert read_source(tmp_path / "table.parquet", "y").y.tolist() == ["n", "m", "n"]


def test_parquet_names_what_it_lacks(tmp_path, monkeypatch):
    monkeypatch.setattr("ntkif.checks.find_spec", lambda name: None)
    (tmp_path / "table.parquet").write_bytes(b"")
    with pytest.raises(ModuleNotFoundError, match=r"pyarrow: not installed.*pip install 'ntkif\[report\]'"):
        read_source(tmp_path / "table.parquet", "y")


def test_a_parquet_that_is_none_is_named(tmp_path):
    pytest.importorskip("pyarrow")
    (tmp_path / "table.parquet").write_bytes(b"no table")
    with pytest.raises(ValueError, match=r"table.parquet: expected a table that pyarrow can read"):
        read_source(tmp_path / "table.parquet", "y")


@pytest.mark.parametrize("word", ["None", "NA", "null", "nan", "n/a"])
def test_a_class_may_have_any_name(tmp_path, word):
    kinds = [word, "Some", word, "Some"]
    (tmp_path / "table.csv").write_text("a,y\n" + "".join(f"{i},{kind}\n" for i, kind in enumerate(kinds)))
    read = read_source(tmp_path / "table.csv", "y")
    assert read.y.tolist() == kinds
    said = f"Of texts only empty fields are missing; words like these are taken as they stand: y ({word})."
    assert read.notes == [said]
    (tmp_path / "two.csv").write_text("a,y\n1,None\n2,NA\n")  # no other word
    assert read_source(tmp_path / "two.csv", "y").y.tolist() == ["None", "NA"]


def test_beside_numbers_and_truth_values_words_for_missing_are_that(tmp_path):
    rows = ["1.5,True,red,NA,,2", "NA,NA,NA,,,nan", ",,,NA,,3", "2,False,blue,None,,4"]
    (tmp_path / "table.csv").write_text("\n".join(["number,truth,text,words,void,y", *rows]) + "\n")
    table, notes = read_table(tmp_path / "table.csv")
    assert table["number"].isna().tolist() == table["truth"].isna().tolist() == [False, True, True, False]
    assert table["number"].dtype == np.float64 and table["truth"].dropna().tolist() == [True, False]
    assert table["text"].fillna("-").tolist() == ["red", "NA", "-", "blue"]
    assert table["words"].fillna("-").tolist() == ["NA", "-", "NA", "None"] and table["void"].isna().all()
    assert notes[0].endswith("as they stand: text (NA); words (NA, None).")
    with pytest.raises(ValueError, match=r"y: expected a target in every row, got none in 1 row"):
        read_source(tmp_path / "table.csv", "y")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,y\n1,café\n".encode("latin-1"), "expected a table in UTF-8, .* save it as CSV UTF-8"),
        ("a,y\n1,b\n".encode("utf-16"), "expected a table in UTF-8, .* save it as CSV UTF-8"),
        (b"", "expected a table in UTF-8, .* save it as CSV UTF-8"),
        (b"a,b,y\n1,2,u\n1,2,3,4,v\n", "as many in each line, got what cannot be read so .* save it"),
        (b"a;b;y\n1;2;u\n", r"commas between them, got one, 'a;b;y'; .*\('table.csv', sep=';'\)\.to_csv"),
        (b"a\tb\ty\n1\t2\tu\n", r"commas between them, got one, .* sep='\\t'\)\.to_csv"),
    ],
    ids=["latin-1", "utf-16", "empty", "ragged", "semicolons", "tabs"],
)
def test_what_is_no_table_with_commas_is_named(tmp_path, content, message):
    (tmp_path / "table.csv").write_bytes(content)
    with pytest.raises(ValueError, match=rf"table.csv: .*{message}"):
        read_source(tmp_path / "table.csv", "y")
