"""From the command line to two files, or to none."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from report_source import write_images, write_table

from ntkif import NTKInfluenceClassifier
from ntkif.__main__ import main
from ntkif.report.command import write_report
from ntkif.report.encoding import encode_columns
from ntkif.report.fitting import KERNELS, plan


@pytest.fixture
def folder(tmp_path, monkeypatch):
    write_table(tmp_path)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


def files(folder):
    return sorted(file.name for file in folder.iterdir())


def test_a_table_becomes_a_page_and_a_table_of_all_rows(folder, capsys):
    main(["report", "../table.csv", "--target", "kind"])
    told = capsys.readouterr()
    assert told.out == "table-report.html and table-report-rows.csv\n"
    assert told.err.startswith("60 rows, kernel in one piece: needs up to 0.00 GiB")
    assert files(folder / "here") == ["table-report-rows.csv", "table-report.html"]
    table = pd.read_csv(folder / "table.csv")
    y, (x, _) = table.pop("kind"), encode_columns(table)
    model = NTKInfluenceClassifier(ridge="loo", kernel=list(KERNELS), normalize="append-one").fit(x, y)
    rows = pd.read_csv("table-report-rows.csv")
    assert rows["row"].tolist() == list(range(60)) and rows["label"].tolist() == y.tolist()
    assert rows["loo_margin"].tolist() == pytest.approx(model.loo_margin().tolist(), rel=1e-9)
    assert sorted(rows["rank"]) == list(range(1, 61))


@pytest.mark.filterwarnings("ignore:landmarks")
def test_by_landmarks_where_memory_asks_for_it_or_the_user(folder, monkeypatch, capsys):
    main(["report", "../table.csv", "--target", "kind", "--landmarks", "60", "--output", "all.html"])
    assert "60 rows, kernel by 60 landmarks: needs up to" in capsys.readouterr().err
    main(["report", "../table.csv", "--target", "kind", "--output", "exact.html"])
    exact, found = pd.read_csv("exact-rows.csv"), pd.read_csv("all-rows.csv")
    assert found["loo_margin"].tolist() == pytest.approx(exact["loo_margin"].tolist(), rel=1e-6)
    assert found["influence_on_others"].tolist() == pytest.approx(exact["influence_on_others"].tolist(), abs=1e-8)
    monkeypatch.setattr("ntkif.report.fitting._FEWEST", 5)
    monkeypatch.setattr("ntkif.report.fitting.LANDMARKS", 10)
    free = plan(*encode_columns(pd.read_csv("../table.csv").drop(columns="kind"))[0].shape, landmarks=10).needed
    monkeypatch.setattr("ntkif.report.fitting.available_bytes", lambda device: free)
    main(["report", "../table.csv", "--target", "kind", "--output", "few.html"])
    assert "kernel by 10 landmarks" in capsys.readouterr().err
    few = (folder / "here" / "few.html").read_text()
    assert "10 of 60 rows span the kernel" in few and few.count("The kernel is spanned by landmarks") == 2
    assert "Influences may be wrong" in few and "is spanned by landmarks" not in Path("exact.html").read_text()


def test_three_rows_and_numbers_as_classes(folder, capsys):
    main(["report", "../table.csv", "--target", "price", "--rows", "3", "--output", "a.html"])
    assert len(pd.read_csv("a-rows.csv")) == 3
    stars = pd.read_csv("../table.csv").assign(stars=lambda table: table["a"].round().clip(-1, 1) / 2)
    stars.to_csv("../stars.csv", index=False)
    main(["report", "../stars.csv", "--target", "stars", "--task", "classification", "--output", "b.html"])
    assert pd.read_csv("b-rows.csv")["label"].tolist() == stars["stars"].tolist()


def test_images_and_numbers_and_a_draw(folder, capsys):
    main(["report", str(write_images(folder)), "--output", "a.html", "--top", "2", "--side", "6"])
    rows = pd.read_csv("a-rows.csv")
    assert rows["row"][0] == "left/00.png" and set(rows["label"]) == {"left", "right"}
    main(["report", "../table.csv", "--target", "price", "--rows", "30", "--output", "new/b.html"])
    assert "probability" not in pd.read_csv("new/b-rows.csv") and len(pd.read_csv("new/b-rows.csv")) == 30
    assert files(folder / "here") == ["a-rows.csv", "a.html", "new"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--target", "none"], "--target: expected one of the columns a, b"),
        (["--target", "same"], "same: expected at least two classes, got one"),
        (["--target", "kind", "--task", "regression"], "kind: expected numbers for regression, got 'yes'"),
        (["--target", "price", "--task", "classification"], "price: expected a label that several rows have"),
        (["--target", "kind", "--output", "page.pdf"], "expected a name that ends in .html, got page.pdf"),
        (["--target", "kind", "--output", ".html"], "expected a name that ends in .html"),
        (["--target", "kind", "--top", "0"], "--top and --side: expected 1 or more, got 0 and 32"),
        (["--target", "kind", "--landmarks", "1"], "landmarks: expected a whole number, at least 2"),
        (["--target", "kind", "--device", "meta"], "--device: expected cpu or cuda, got meta"),
        (["--target", "price", "--rows", "2"], "table.csv: expected at least 3 rows, two beside each, got 2"),
        (["--target", "kind", "--rows", "61"], "--rows: expected between 1 and 60"),
    ],
)
def test_wrong_words_leave_no_file(folder, words, message, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["report", "../table.csv", *words])
    assert ended.value.code != 0 and message in capsys.readouterr().err
    assert files(folder / "here") == []


def test_an_output_that_cannot_be_written(folder, capsys):
    (folder / "page.html").mkdir()
    with pytest.raises(SystemExit) as ended:
        main(["report", "../table.csv", "--target", "kind", "--output", "../page.html"])
    assert ended.value.code == 2 and "expected a file that can be written" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main(["report", "../table.csv", "--target", "kind", "--output", "../table.csv/page.html"])
    assert ended.value.code == 2 and "expected a file that can be written" in capsys.readouterr().err
    assert files(folder) == ["here", "page.html", "table.csv"]


@pytest.mark.parametrize("linked", [False, True])
def test_the_source_is_never_written_over(folder, linked, capsys):
    source, page = folder / "here" / "data-rows.csv", "data.html"
    if linked:  # the same file by another name
        os.link(folder / "table.csv", source)
        page = "../here/data.html"
    else:
        source.write_bytes((folder / "table.csv").read_bytes())
    before = source.read_bytes()
    with pytest.raises(SystemExit) as ended:
        main(["report", "../table.csv" if linked else "data-rows.csv", "--target", "kind", "--output", page])
    told = capsys.readouterr().err
    assert ended.value.code == 2 and "data-rows.csv over it; name another" in told
    assert files(folder / "here") == ["data-rows.csv"] and source.read_bytes() == before
    with pytest.raises(ValueError, match="over it; name another"):
        write_report(source, folder / "here" / "data.html", target="kind")
    main(["report", "../table.csv", "--target", "kind", "--output", "again.html"])
    main(["report", "../table.csv", "--target", "kind", "--output", "again.html"])  # an older report may go


def test_a_failure_late_leaves_an_older_report_whole(folder, monkeypatch, capsys):
    main(["report", "../table.csv", "--target", "kind"])
    before = {file.name: file.read_bytes() for file in (folder / "here").iterdir()}

    def fails(*arguments):
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(SystemExit) as ended:
        main(["report", "../table.csv", "--target", "price"])
    assert ended.value.code == 1 and "no space left" in capsys.readouterr().err
    assert {file.name: file.read_bytes() for file in (folder / "here").iterdir()} == before


def test_memory_that_is_not_there_is_refused_before_the_fit(folder, monkeypatch, capsys):
    monkeypatch.setattr("ntkif.report.fitting.available_bytes", lambda device: 1000)
    with pytest.raises(SystemExit) as ended:
        main(["report", "../table.csv", "--target", "kind"])
    assert ended.value.code == 1 and "are free; take a random subset, --rows " in capsys.readouterr().err
    assert files(folder / "here") == []


def test_a_picture_that_is_none_is_named(folder, capsys):
    (folder / "cats" / "a").mkdir(parents=True)
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(folder / "cats" / "a" / "1.png")
    (folder / "cats" / "a" / "2.png").write_bytes(b"\x89PNG")
    with pytest.raises(SystemExit):
        main(["report", "../cats"])
    assert "2.png: expected an image" in capsys.readouterr().err and files(folder / "here") == []
