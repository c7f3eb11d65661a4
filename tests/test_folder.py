"""Pictures of one's own: folders, tables, what is refused, and networks for their classes."""

from __future__ import annotations

import copy
import errno
import io
import os
import pickle
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lenet_c import (
    LENET5_MODERN,
    RBF,
    Adam,
    Architecture,
    Dense,
    LeNet5,
    Trainer,
    codes,
    datasets,
    set_memory_limit,
)
from lenet_c.preprocess import character

Image = pytest.importorskip("PIL.Image")
pytest.importorskip("scipy")
features = pytest.importorskip("PIL.features")
posix = pytest.mark.skipif(os.name != "posix", reason="file names and links of POSIX")


def picture(code: np.ndarray) -> np.ndarray:
    """Dark on light, 120x100: the character that the code draws."""
    ink = np.kron(code.reshape(12, 7) > 0, np.ones((6, 8), bool))
    sheet = np.full((120, 100), 240, np.uint8)
    sheet[20:92, 20:76][ink] = 30
    return sheet


def write(path: Path, array: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return path


@pytest.fixture
def letters(tmp_path: Path) -> Path:
    """Four pictures of each of A, B and C; one of them in another format."""
    for letter in "ABC":
        for k in range(4):
            kind = "jpg" if k == 3 else "png"
            write(
                tmp_path / "letters" / letter / f"{k}.{kind}", np.roll(picture(codes.of(letter)), k)
            )
    return tmp_path / "letters"


# ---- folders -------------------------------------------------------------------------------------


def test_a_folder_a_class(letters: Path) -> None:
    found = datasets.folder(letters)
    assert found.class_names == ("A", "B", "C")
    assert found.images.shape == (12, 28, 28)
    assert (found.images.dtype, found.labels.dtype) == (np.uint8, np.int64)
    assert found.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert found.files[4:6] == ("B/0.png", "B/1.png")
    assert found.refused == ()
    for file, image in zip(found.files, found.images, strict=True):
        np.testing.assert_array_equal(image, character(letters / file))
    assert repr(found) == "Pictures(12 images of 3 classes: A, B, C)"


def test_it_is_a_pair(letters: Path) -> None:
    found = datasets.folder(str(letters), num_threads=2)
    x, y = found
    assert x is found.images
    assert y is found.labels
    rest, aside = found.split(0.25)
    net = LeNet5(codes=codes.of("ABC"))
    history = Trainer(net, Adam(1e-3)).fit(*rest, epochs=2, validation_data=aside)
    assert "val_loss" in history.epochs[-1]
    for other in (copy.deepcopy(found), pickle.loads(pickle.dumps(found))):
        assert isinstance(other, datasets.Pictures)
        assert other.class_names == found.class_names
        assert other.files == found.files
        np.testing.assert_array_equal(other.images, found.images)


def test_split_takes_of_every_class(letters: Path) -> None:
    write(letters / "D" / "one.png", picture(codes.of("D")))
    found = datasets.folder(letters)
    rest, aside = found.split(0.25)
    assert np.bincount(aside.labels, minlength=4).tolist() == [1, 1, 1, 0]
    assert np.bincount(rest.labels).tolist() == [3, 3, 3, 1]
    assert sorted(rest.files + aside.files) == sorted(found.files)
    assert aside.class_names == rest.class_names == found.class_names
    for part in (rest, aside):
        for file, image in zip(part.files, part.images, strict=True):
            np.testing.assert_array_equal(image, found.images[found.files.index(file)])
    assert found.split(0.25)[1].files == aside.files
    assert {found.split(0.25, seed=seed)[1].files for seed in range(8)} != {aside.files}
    assert np.bincount(found.split(0.001)[1].labels).tolist() == [1, 1, 1]
    assert np.bincount(found.split(0.999)[0].labels).tolist() == [1, 1, 1, 1]
    for share in (0, 1, -1, float("nan")):
        with pytest.raises(ValueError, match=r"share: got .*, want a number above 0 and below 1"):
            found.split(share)


def test_classes_in_natural_order_and_hidden_files_left_out(tmp_path: Path) -> None:
    for name in ("10", "9", "a2", "a10", "B"):
        for k in (10, 9):
            write(tmp_path / name / f"{k}.png", picture(codes.of("5")))
    for hidden in (".DS_Store", "9/.hidden.png", "9/Thumbs.db", ".git/config", "__MACOSX/x.png"):
        (tmp_path / hidden).parent.mkdir(exist_ok=True)
        (tmp_path / hidden).write_bytes(b"not a picture")
    found = datasets.folder(tmp_path)
    assert found.class_names == ("9", "10", "B", "a2", "a10")
    assert found.files[:2] == ("9/9.png", "9/10.png")
    assert found.refused == ()


def test_what_is_no_picture_is_named(letters: Path) -> None:
    (letters / "A" / "notes.txt").write_text("hello")
    (letters / "B" / "inner").mkdir()
    write(letters / "C" / "empty.png", np.full((50, 50), 200, np.uint8))
    (letters / "read me").write_text("hello")
    found = datasets.folder(letters)
    assert len(found.labels) == 12
    refused = dict(found.refused)
    assert set(refused) == {"A/notes.txt", "B/inner", "C/empty.png", "read me"}
    assert "not a PNG" in refused["A/notes.txt"]
    assert refused["B/inner"] == "a folder within a class's; it is not looked at"
    assert refused["read me"] == "in no class's folder"
    assert str(letters) not in "".join(refused.values())
    assert repr(found).endswith("A, B, C, 4 refused)")
    with pytest.raises(ValueError, match=r"a folder within"):
        datasets.folder(letters, errors="raise")
    (letters / "B" / "inner").rmdir()
    (letters / "read me").unlink()
    with pytest.raises(ValueError, match=r"A.notes\.txt: .*not a PNG"):
        datasets.folder(letters, errors="raise")
    (letters / "A" / "notes.txt").unlink()
    with pytest.raises(ValueError, match=r"C.empty\.png: .*no character"):
        datasets.folder(letters, errors="raise")


def test_empty_folders_are_left_out_and_named(letters: Path) -> None:
    (letters / "D").mkdir()
    (letters / "__pycache__").mkdir()
    (letters / "__pycache__" / "a.pyc").write_bytes(b"x")
    for options in ({}, {"class_names": ["A", "B", "C"]}):
        found = datasets.folder(letters, **options)  # type: ignore[arg-type]
        assert found.class_names == ("A", "B", "C")
        assert found.refused == (("D", "an empty folder; it is taken for no class"),)
    with pytest.raises(ValueError, match="D: an empty folder"):
        datasets.folder(letters, errors="raise")
    for letter in "ABC":
        for file in (letters / letter).iterdir():
            file.unlink()
    with pytest.raises(ValueError, match="class 'A' has no picture; add some, or remove"):
        datasets.folder(letters)


@posix
def test_what_is_no_file_is_not_waited_for(letters: Path, tmp_path: Path) -> None:
    os.mkfifo(letters / "A" / "pipe")
    (letters / "A" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    write(tmp_path / "elsewhere" / "z.png", picture(codes.of("Z")))
    (letters / "Z").symlink_to(tmp_path / "elsewhere")
    found = datasets.folder(letters)
    assert dict(found.refused) == {"A/pipe": "not a file", "A/gone.png": "not a file"}
    assert found.class_names == ("A", "B", "C", "Z")


def test_raw_pictures_as_they_are(tmp_path: Path, rng: np.random.Generator) -> None:
    images = rng.integers(0, 256, (6, 28, 28)).astype(np.uint8)
    for k, image in enumerate(images):
        write(tmp_path / f"class {k % 2}" / f"{k}.png", image)
    write(tmp_path / "class 0" / "large.png", np.zeros((30, 40), np.uint8))
    found = datasets.folder(tmp_path, form="raw")
    np.testing.assert_array_equal(found.images, images[[0, 2, 4, 1, 3, 5]])
    ((file, reason),) = found.refused
    assert file == "class 0/large.png"
    assert reason.startswith("40x30 pixels, want 28x28 with form='raw'")


def test_known_classes_in_their_order(letters: Path) -> None:
    found = datasets.folder(letters, class_names=["C", "X", "A", "B"])
    assert found.class_names == ("C", "X", "A", "B")
    assert found.labels.tolist() == [2] * 4 + [3] * 4 + [0] * 4
    with pytest.raises(
        ValueError, match="has the classes B, C, which are not among class_names: A"
    ):
        datasets.folder(letters, class_names=["A"])
    with pytest.raises(TypeError, match="class_names: got 'ABC', want a list, as list"):
        datasets.folder(letters, class_names="ABC")
    with pytest.raises(ValueError, match="class_names: got 'A' twice"):
        datasets.folder(letters, class_names=["A", "B", "A", "C"])


def test_the_number_of_threads_does_not_matter(letters: Path) -> None:
    (letters / "B" / "x.png").write_bytes(b"x")
    one, three = (datasets.folder(letters, num_threads=n) for n in (1, 3))
    np.testing.assert_array_equal(one.images, three.images)
    assert (one.files, one.refused) == (three.files, three.refused)


def test_images_in_a_file(letters: Path, tmp_path: Path) -> None:
    (letters / "A" / "x.png").write_bytes(b"x")
    found = datasets.folder(letters, memmap=tmp_path / "images.npy")
    assert isinstance(found.images, np.memmap)
    np.testing.assert_array_equal(found.images, datasets.folder(letters).images)
    Trainer(LeNet5(codes=codes.of("ABC"))).fit(*found, epochs=1)
    found.images.flush()
    np.testing.assert_array_equal(np.load(tmp_path / "images.npy")[:12], found.images)


def test_a_file_of_images_in_place_of_an_older_one(letters: Path, tmp_path: Path) -> None:
    """Who has the older one open keeps its images."""
    path = tmp_path / "images.npy"
    first = datasets.folder(letters, memmap=path)
    before = first.images.copy()
    for file in (letters / "C").iterdir():
        file.unlink()
    (letters / "C").rmdir()
    write(letters / "B" / "0.png", picture(codes.of("Z")))
    second = datasets.folder(letters, memmap=str(path))
    np.testing.assert_array_equal(first.images, before)
    np.testing.assert_array_equal(second.images, datasets.folder(letters).images)
    np.testing.assert_array_equal(np.load(path), second.images)
    assert second.images.filename == str(path)
    second.images[0] = 7
    second.images.flush()
    assert (np.load(path)[0] == 7).all()


def test_a_file_of_images_stays_when_reading_fails(letters: Path, tmp_path: Path) -> None:
    path = tmp_path / "images.npy"
    datasets.folder(letters, memmap=path)
    before = path.read_bytes()
    for file in (letters / "C").iterdir():
        file.write_bytes(b"x")
    with pytest.raises(ValueError, match="no picture of class 'C' can be used"):
        datasets.folder(letters, memmap=path)
    with pytest.raises(ValueError, match="not a PNG"):
        datasets.folder(letters, memmap=path, errors="raise")
    assert path.read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["images.npy", "letters"]


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="no posix_fallocate")
def test_no_room_for_a_file_of_images(
    letters: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match=r"No space left.*images\.npy"):
        datasets.folder(letters, memmap=tmp_path / "images.npy")
    assert os.listdir(tmp_path) == ["letters"]


@pytest.mark.parametrize("content", [b"my notes\n", b"", b"\x89PNG\r\n"])
def test_no_file_but_a_npy_is_replaced(letters: Path, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"memmap: .*notes\.txt is there and is no \.npy file"):
        datasets.folder(letters, memmap=path)
    assert path.read_bytes() == content
    with pytest.raises(ValueError, match="not a regular file"):
        datasets.folder(letters, memmap=tmp_path)
    with pytest.raises(TypeError, match="memmap: got 3, want the path"):
        datasets.folder(letters, memmap=3)  # type: ignore[arg-type]


def test_images_that_are_too_many_for_memory(letters: Path, tmp_path: Path) -> None:
    set_memory_limit(5000)
    try:
        with pytest.raises(MemoryError, match=r"path: the images of 12 pictures: .*memmap= keeps"):
            datasets.folder(letters)
        assert len(datasets.folder(letters, memmap=tmp_path / "images.npy").labels) == 12
    finally:
        set_memory_limit(2 << 30)


def test_few_pictures_are_open_at_a_time(letters: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures may be more than memory holds: what is decoded is put away before the next."""
    from lenet_c import folders

    for k in range(60):
        write(letters / "A" / f"more{k}.png", picture(codes.of("A")))
    begun, alive, most, lock = 0, 0, 0, threading.Lock()

    class Decoded(np.ndarray):
        def __del__(self) -> None:
            nonlocal alive
            with lock:
                alive -= 1

    def read(path: str) -> np.ndarray:
        nonlocal begun, alive, most
        with lock:
            begun += 1
            alive += 1
            most = max(most, alive)
        return np.zeros((28, 28), np.uint8).view(Decoded)

    monkeypatch.setattr(folders, "_character", read)
    assert len(datasets.folder(letters, num_threads=2).labels) == begun == 72
    assert most <= 2 * folders._AT_ONCE + 2


def test_errors_end_the_threads(letters: Path) -> None:
    (letters / "A" / "00.png").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"00\.png"):
        datasets.folder(letters, errors="raise")
    assert not [t for t in threading.enumerate() if "ThreadPool" in t.name]


# ---- tables --------------------------------------------------------------------------------------


def table(folder: Path, text: str, encoding: str = "utf-8", name: str = "labels.csv") -> Path:
    (folder / name).write_bytes(text.encode(encoding))
    return folder / name


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    """Pictures without folders: a.png to d.png, and sub/e.png."""
    folder = tmp_path / "flat"
    for k, letter in enumerate("ABCD"):
        write(folder / f"{'abcd'[k]}.png", picture(codes.of(letter)))
    write(folder / "sub" / "e.png", picture(codes.of("E")))
    return folder


ROWS = "file,class\na.png,A\nb.png,b\nsub/e.png,é\n"


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_table_of_files(flat: Path, delimiter: str, encoding: str, newline: str) -> None:
    table(flat, ROWS.replace(",", delimiter).replace("\n", newline), encoding)
    found = datasets.folder(flat)
    assert found.class_names == ("A", "b", "é")
    assert found.files == ("a.png", "b.png", "sub/e.png")
    assert found.labels.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(found.images[2], character(flat / "sub" / "e.png"))


def test_tables_as_people_write_them(flat: Path) -> None:
    text = 'Writer, CLASS ,File\n7,"/", a.png \n\n,"","b.png"\n3," ","c.png"\n3,"d, e",./d.png\n'
    path = table(
        flat, text + "8,x,\n,,\n9,f,sub\\e.png\n9,f,sub/e.png\n9,f,none.png\n", name="t.csv"
    )
    found = datasets.folder(path)
    assert found.class_names == (" ", "/", "d, e", "f")
    assert found.files == ("a.png", "c.png", "d.png", "sub/e.png")


@posix
def test_rows_that_give_no_image_are_named(flat: Path) -> None:
    (flat / "x.png").write_text("no picture")
    text = ROWS + "c.png,\n,C\nnone.png,A\nb.png,b\nx.png,A\nsub,A\n"
    table(flat, text)
    found = datasets.folder(flat)
    assert found.files == ("a.png", "b.png", "sub/e.png")
    refused = dict(found.refused)
    assert refused.pop("x.png").startswith("line 9: ")
    assert refused == {
        "c.png": "line 5: no class",
        "labels.csv": "line 6: no file",
        "none.png": "line 7: no such file",
        "b.png": "line 8: already in line 3",
        "sub": "line 10: not a file",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "its first line is '', want the names of the columns, with one file and one class"),
        ("name,label\na.png,A\n", "its first line is 'name,label', want the names of the columns"),
        ("file,class,class\n", "want the names of the columns, with one file and one class"),
        ("file,class\n", "lists no picture with a class"),
        ("file,class\na.png,\n", "lists no picture with a class"),
        ("file,class\na.png,A\nb.png,A\n", "one class, 'A'; want two or more"),
        ("file,class\na.png,A\nb.png,B\na.png,C\n", r"a\.png is 'A' in line 2 and 'C' in line 4"),
        ("file,class\n../a.png,A\n", r"line 2: \.\./a\.png is outside of the table's folder"),
        ("file,class\nx/../../a.png,A\n", "outside of the table's folder"),
        ("file,class\n/etc/passwd,A\n", "outside of the table's folder"),
        ("file,class\nC:\\a.png,A\n", "outside of the table's folder"),
        ('file,class\n"a.png,A\n', "line 2: "),
        ("file,class\na.png,A\nnone.png,B\n", r"no picture of class 'B' can be used; none\.png"),
        ("file,class\0\n", "null characters"),
        ("file;class\na.png,A\nb.png,B\n", "line 2: 'a.png,A' has ',' .* the first line ';'"),
        ("file,class\na.png;A\n", "line 2: 'a.png;A' has ';' .* the first line ','"),
        ('file,class\na.png,"A\tB"\n', r"line 2: the class name 'A\\tB' has control characters"),
    ],
)
def test_tables_that_are_refused(flat: Path, text: str, message: str) -> None:
    table(flat, text)
    with pytest.raises(ValueError, match=message) as told:
        datasets.folder(flat)
    assert str(flat / "labels.csv") in str(told.value)


def test_a_table_in_another_encoding(flat: Path) -> None:
    table(flat, ROWS, "latin-1")
    with pytest.raises(ValueError, match=r"labels\.csv: byte \d+ is not utf-8.*save it as UTF-8"):
        datasets.folder(flat)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM"])
def test_a_picture_in_place_of_a_folder(tmp_path: Path, kind: str) -> None:
    if kind == "WEBP" and not features.check("webp"):
        pytest.skip("this Pillow has no WebP")
    Image.fromarray(picture(codes.of("A"))).save(tmp_path / "a", kind)
    with pytest.raises(ValueError, match="a: a picture; want a folder of pictures, or a table"):
        datasets.folder(tmp_path / "a")


# ---- what is no folder of pictures ---------------------------------------------------------------


def test_folders_that_are_refused(tmp_path: Path, letters: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        datasets.folder(tmp_path / "nowhere")
    with pytest.raises(TypeError, match="path: got 3, want the path of a folder"):
        datasets.folder(3)  # type: ignore[arg-type]
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(
        ValueError, match="empty: no classes; want a folder for each class, or labels"
    ):
        datasets.folder(empty)
    with pytest.raises(ValueError, match=r"no classes; .*found: 0\.png, 1\.png, 2\.png, 3\.jpg"):
        datasets.folder(letters / "A")
    empty.rmdir()
    with pytest.raises(ValueError, match="class 'letters' has no picture, only folders: A, B, C"):
        datasets.folder(tmp_path)
    empty.mkdir()
    (letters.rename(tmp_path / "elsewhere")).rename(empty / "letters")
    with pytest.raises(ValueError, match="class 'empty' has no picture, only folders: letters"):
        datasets.folder(tmp_path)
    letters = empty / "letters"
    (letters / "D").mkdir()
    (letters / "D" / "x.png").write_bytes(b"x")
    with pytest.raises(
        ValueError, match=r"no picture of class 'D' can be used; D/x\.png: .*not a PNG"
    ):
        datasets.folder(letters)
    one = tmp_path / "one"
    write(one / "A" / "a.png", picture(codes.of("A")))
    with pytest.raises(ValueError, match="one class, 'A'; want two or more"):
        datasets.folder(one)
    assert datasets.folder(one, class_names=("B", "A")).labels.tolist() == [1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"form": "grey"}, "form: got 'grey', want one of character, raw"),
        ({"errors": "ignore"}, "errors: got 'ignore', want one of skip, raise"),
        ({"num_threads": 0}, "num_threads: got 0"),
    ],
)
def test_bad_arguments(letters: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        datasets.folder(letters, **options)


@posix
@pytest.mark.skipif(sys.platform == "darwin", reason="its file systems refuse such names")
def test_class_names_that_are_not_text(letters: Path) -> None:
    bad = os.path.join(os.fsencode(letters), b"\xff")
    os.mkdir(bad)
    with pytest.raises(ValueError, match=r"the class name '\\udcff' is not text"):
        datasets.folder(letters)


def test_accents_of_all_systems_are_one_class(letters: Path) -> None:
    write(letters / "e\u0301" / "a.png", picture(codes.of("A")))
    assert datasets.folder(letters).class_names == ("A", "B", "C", "\u00e9")


# ---- networks for their classes ------------------------------------------------------------------


def test_class_names_go_with_a_network() -> None:
    net = LeNet5(codes=codes.of("AB"))
    assert net.class_names is None
    net.class_names = ["A", "é"]
    assert net.class_names == ("A", "é")
    file = io.BytesIO()
    net.save(file)
    file.seek(0)
    for other in (LeNet5.load(file), pickle.loads(pickle.dumps(net)), copy.copy(net)):
        assert other.class_names == ("A", "é")


def test_new_classes_keep_what_they_know_of_the_old_ones(rng: np.random.Generator) -> None:
    old = LeNet5(LENET5_MODERN.with_classes(3), seed=1)
    old.class_names = ("a", "b", "c")
    new = old.with_classes(["c", "d", "a", "e"], seed=2)
    fresh = LeNet5(LENET5_MODERN.with_classes(4), seed=2)
    assert new.class_names == ("c", "d", "a", "e")
    assert old.class_names == ("a", "b", "c")
    for name in new:
        if not name.startswith("output"):
            np.testing.assert_array_equal(new[name], old[name], err_msg=name)
    for name in ("output.weight", "output.bias"):
        np.testing.assert_array_equal(
            new[name], [old[name][2], fresh[name][1], old[name][0], fresh[name][3]]
        )
    images = rng.integers(0, 256, (5, 28, 28)).astype(np.uint8)
    np.testing.assert_allclose(
        new.forward(images)[:, [2, 0]], old.forward(images)[:, [0, 2]], rtol=1e-5, atol=1e-5
    )
    assert old.known_classes(["c", "x", "a"]) == ("c", "a")
    same = old.with_classes(old.class_names)
    assert same.parameters.tobytes() == old.parameters.tobytes()
    assert not np.shares_memory(same.parameters, old.parameters)


def test_new_classes_of_rbf_networks_have_codes_of_their_names() -> None:
    digits = LeNet5.pretrained("mnist")
    new = digits.with_classes("3A7")
    assert new.class_names == ("3", "A", "7")
    np.testing.assert_array_equal(new.codes, codes.of("3A7"))
    assert new.parameters.tobytes() == digits.parameters.tobytes()
    assert digits.known_classes("3A7") == ("3", "7")
    assert digits.known_classes("AB") == ()
    np.testing.assert_array_equal(digits.with_classes("AB").codes, codes.of("AB"))
    np.testing.assert_array_equal(
        digits.with_classes(["x", "yes"], codes="XY").codes, codes.of("XY")
    )
    # what a class has keeps it, whatever the name would have
    own = -codes.of("ABC")
    net = LeNet5(codes=own)
    net.class_names = ("A", "one", "C")
    np.testing.assert_array_equal(
        net.with_classes(["one", "B", "A"]).codes, [own[1], codes.of("B")[0], own[0]]
    )
    with pytest.raises(ValueError, match=r"class 'yes' has no code of its own, .*each of A, yes"):
        digits.with_classes(["A", "yes"])
    with pytest.raises(ValueError, match=r"codes: shape \(3, 84\), want \(2, 84\)"):
        digits.with_classes(["A", "yes"], codes="ABC")
    with pytest.raises(ValueError, match="rows 0 and 1 are equal"):
        digits.with_classes(["A", "yes"], codes="AA")


def test_new_classes_of_trained_codes() -> None:
    layers = (Dense("F6", 84), RBF("output", 2, trained=True))
    net = LeNet5(Architecture("trained", layers, input_shape=(28, 28)), codes=codes.of("AB"))
    net.class_names = ("A", "B")
    net.codes = np.full((2, 84), [[0.5], [0.25]])
    new = net.with_classes("CB")
    np.testing.assert_array_equal(new.codes, [codes.of("C")[0], np.full(84, 0.25)])


@pytest.mark.parametrize(
    ("names", "error", "message"),
    [
        ([], ValueError, "class_names: got 0, want one"),
        (["a", "a"], ValueError, "class_names: got 'a' twice"),
        (["a", ""], ValueError, "class_names: got '' among them, want 1 to 200"),
        ([1, 2], TypeError, "class_names: got 1 among them, want texts"),
        (3, TypeError, "class_names: got 3, want a list of names"),
        (["a", "b\0"], ValueError, r"class_names: got 'b\\x00' among them, want no control"),
        (["a", "\ud800"], ValueError, r"class_names: got '\\ud800' among them, want no control"),
    ],
)
def test_bad_names(names: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        LeNet5(LENET5_MODERN).with_classes(names)


def test_codes_are_for_rbf_networks() -> None:
    with pytest.raises(ValueError, match="codes: lenet5-modern has no RBF output"):
        LeNet5(LENET5_MODERN).with_classes("AB", codes="AB")
