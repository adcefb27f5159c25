"""What is read from disk, and what is refused."""

import io
import struct

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from report_source import write_images, write_table

from ntkif.report.sources import read_source


def test_a_table_is_read_as_it_is(tmp_path):
    read = read_source(write_table(tmp_path), "kind")
    table = pd.read_csv(tmp_path / "table.csv")
    assert read.y.tolist() == table["kind"].tolist() and read.names == list(range(60)) and read.notes == []
    pd.testing.assert_frame_equal(read.columns, table.drop(columns="kind"))


def test_a_draw_of_rows_keeps_their_numbers(tmp_path):
    file = write_table(tmp_path)
    read, table = read_source(file, "price", rows=10, seed=4), pd.read_csv(file)
    assert len(set(read.names)) == 10 and read.names == sorted(read.names) and max(read.names) > 10
    assert read.y.tolist() == table["price"][read.names].tolist()
    assert read.columns["a"].tolist() == table["a"][read.names].tolist()
    assert read.notes == ["10 of 60 rows were drawn at random (seed 4)."]
    assert read_source(file, "price", rows=10, seed=5).names != read.names


def test_arrays_are_rows_or_images(tmp_path):
    x, y = np.arange(48.0).reshape(6, 8), np.arange(6) % 2
    np.savez(tmp_path / "rows.npz", x=x, y=y)
    read = read_source(tmp_path / "rows.npz")
    assert read.columns.to_numpy().tolist() == x.tolist() and read.y.tolist() == y.tolist() and read.images is None
    np.savez(tmp_path / "images.npz", x=x.reshape(6, 2, 4, 1), of=y)
    read = read_source(tmp_path / "images.npz", "of")
    assert read.images == pytest.approx(x.reshape(6, 2, 4) / 47) and read.columns is None
    assert read.picture(5).dtype == np.uint8 and read.picture(5)[-1, -1] == 255
    np.savez(tmp_path / "bytes.npz", x=x.reshape(6, 2, 4).astype(np.uint8), y=y)
    assert read_source(tmp_path / "bytes.npz").images == pytest.approx(x.reshape(6, 2, 4) / 255)


def test_images_get_one_size_and_keep_their_names(tmp_path):
    read = read_source(write_images(tmp_path), side=10)
    assert read.images.shape == (24, 8, 8) and 0 <= read.images.min() < read.images.max() <= 1
    assert read.names[0] == "left/00.png" and read.y[0] == "left" and read.y[-1] == "right"
    assert "6 images of another size were stretched" in read.notes[1]
    assert read.picture(14).shape == (12, 12), "the picture is not the shrunk one"
    assert read.names[14] == "right/05.png"


def test_transparent_and_coloured_images(tmp_path):
    for name, pixel in (("a/clear.png", (255, 0, 0, 0)), ("b/red.png", (255, 0, 0, 255))):
        (tmp_path / name).parent.mkdir()
        Image.new("RGBA", (4, 4), pixel).save(tmp_path / name)
    images = read_source(tmp_path).images
    assert images.shape == (2, 4, 4, 3)
    assert images[0, 0, 0].tolist() == [1, 1, 1] and images[1, 0, 0].tolist() == [1, 0, 0]


def test_images_of_cameras_and_of_sixteen_bits(tmp_path):
    (tmp_path / "a").mkdir()
    pixels = np.zeros((2, 4, 3), np.uint8)
    pixels[:, 0] = 200
    turned = Image.Exif()
    turned[0x0112] = 6  # to be shown a quarter to the right
    Image.fromarray(pixels).save(tmp_path / "a" / "1.png", exif=turned)
    read = read_source(tmp_path)
    assert read.images.shape == (1, 4, 2, 3) and read.images[0, 0] == pytest.approx(200 / 255)
    (tmp_path / "deep" / "a").mkdir(parents=True)
    Image.fromarray(np.array([[0, 40_000]], np.uint16)).save(tmp_path / "deep" / "a" / "1.png")
    assert read_source(tmp_path / "deep").images[0] == pytest.approx(np.array([[0, 156 / 255]]))


def test_images_elsewhere_are_left_out_and_hidden_ones_not_counted(tmp_path):
    folder = write_images(tmp_path)
    for name in ("left/more/1.png", "1.PNG", ".trash/1.png"):
        (folder / name).parent.mkdir(exist_ok=True)
        Image.new("L", (4, 4)).save(folder / name)
    read = read_source(folder)
    assert len(read.y) == 24 and set(read.y) == {"left", "right"}
    assert read.notes[-1] == "2 images that lie elsewhere than in the folder of a class were left out."


def content(folder, kind):
    """A file or folder that is refused."""
    if kind == "no class folders":
        Image.new("L", (2, 2)).save(folder / "1.png")
        return folder
    if kind in ("no image", "no range"):
        (folder / "cat").mkdir()
        (folder / "cat" / "1.png").write_text("no image")
        if kind == "no range":
            Image.new("F", (2, 2)).save(folder / "cat" / "0.tif")
        return folder
    file = folder / ("bad.npz" if "npz" in kind else "bad.txt" if kind == "text" else "bad.csv")
    if kind == "npz of a number":
        np.savez(file, x=np.zeros((2, 2)), y=3)
    elif kind == "npz of complex":
        np.savez(file, x=np.full((2, 2, 2), 1j), y=np.zeros(2))
    elif kind == "npz of one":
        np.savez(file, x=np.zeros((2, 2)))
    elif kind == "npz of other lengths":
        np.savez(file, x=np.zeros((3, 2)), y=np.zeros(2))
    elif kind == "npz of objects":
        np.savez(file, x=np.zeros((2, 2)), y=np.array(["a", None]))
    elif kind == "npz of words":
        np.savez(file, x=np.full((2, 2, 2), "a"), y=np.zeros(2))
    elif kind != "absent":
        file.write_text({"empty": "", "head": "a,y\n", "missing": "a,y\n1,b\n2,\n3,\n"}.get(kind, "a,b\n1,2\n3,4\n"))
    return file


@pytest.mark.parametrize(
    ("kind", "target", "options", "message"),
    [
        ("absent", "y", {}, "bad.csv: not there; expected .csv, .parquet, .npz or a folder of images"),
        ("text", "y", {}, "got .txt"),
        ("empty", "y", {}, "bad.csv: expected a table in UTF-8, .*No columns to parse"),
        ("head", "y", {}, "expected rows, got none"),
        ("missing", "y", {}, r"y: expected a target in every row, got none in 2 row\(s\), the first of them row 1"),
        ("columns", "z", {}, "--target: expected one of the columns a, b, got z"),
        ("columns", None, {}, "--target: expected one of the columns a, b, got None"),
        ("columns", "a", {"rows": 3}, "--rows: expected between 1 and 2, the rows there are, got 3"),
        ("columns", "a", {"rows": 0}, "--rows: expected between 1 and 2, the rows there are, got 0"),
        ("npz of one", None, {}, "expected arrays x and y, got x, without y"),
        ("npz of other lengths", None, {}, r"got \(3, 2\) and \(2,\)"),
        ("npz of a number", None, {}, r"of shape \(n,\), got \(2, 2\) and \(\)"),
        ("npz of complex", None, {}, "x: expected finite numbers, got complex128"),
        ("npz of words", None, {}, "x: expected finite numbers"),
        ("npz of text", None, {}, "bad.npz: expected a file that numpy.savez wrote"),
        ("npz of objects", None, {}, r"got one of objects, .*; save x.astype\(float\) and y.astype\(str\)"),
        ("no class folders", None, {}, "a folder for each class with images in it"),
        ("no class folders", "y", {}, "--target: expected none for images"),
        ("no range", None, {}, "0.tif: expected an image, got what cannot be read as one"),
        ("no image", None, {}, "1.png: expected an image, got what cannot be read as one"),
    ],
)
def test_what_cannot_be_read(tmp_path, kind, target, options, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        read_source(content(tmp_path, kind), target, **options)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("at", [0, 20, 60, 100, -80, -20])
def test_a_damaged_npz_is_named(tmp_path, save, at):
    file = tmp_path / "bad.npz"
    save(file, x=np.random.RandomState(0).randn(30, 2), y=np.arange(30))
    for wrong in (0, 1, 255):
        content = bytearray(file.read_bytes())
        content[at : at + 9] = bytes([wrong]) * 9
        (tmp_path / "worse.npz").write_bytes(content)
        with pytest.raises(ValueError, match=r"worse.npz: expected .*, got"):
            read_source(tmp_path / "worse.npz")


def broken(kind):
    """A name and the bytes of an image whose head is damaged."""
    stream = io.BytesIO()
    name, at, wrong = {
        "length of a chunk": ("1.png", 36, b"\0"),
        "short chunk": ("1.png", 8, b"\0\0\0\5"),
        "too many pixels": ("1.bmp", 18, struct.pack("<i", 2**28)),
    }[kind]
    pixels = np.random.RandomState(0).randint(0, 255, (9, 9, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(stream, name[2:].upper())
    content = bytearray(stream.getvalue())
    content[at : at + len(wrong)] = wrong
    return name, content


@pytest.mark.parametrize("kind", ["length of a chunk", "short chunk", "too many pixels"])
def test_a_damaged_image_is_named(tmp_path, kind):
    name, content = broken(kind)
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name}: expected an image, got what cannot be read as one \(.*; mend or"):
        read_source(tmp_path)
