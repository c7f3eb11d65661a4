"""datasets: MNIST's relatives, where each is looked for, and forms other than IDX."""

import dataclasses
import gzip
import hashlib
import io
import os
import zipfile

import data_files
import numpy as np
import pytest
from data_files import NAMES, Mirror, body, idx, published, put

from lenet_c import LeNet5, catalogue, cli, codes, datasets, downloads, set_num_threads

PLAIN = ["mnist", "fashion-mnist", "kmnist"]  # sets whose files have the same names
FUNCTIONS = {
    "mnist": datasets.mnist,
    "fashion-mnist": datasets.fashion_mnist,
    "kmnist": datasets.kmnist,
    **{
        f"emnist-{split}": lambda *given, split=split, **more: datasets.emnist(
            split, *given, **more
        )
        for split in catalogue.SPLITS
    },
}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    return data_files.empty_cache(tmp_path, monkeypatch)


@pytest.fixture
def mirror():
    one = Mirror()
    yield one
    one.close()


def made_up(name, seed=0, counts=(7, 5)):
    """Arrays of a set's form, as in its files."""
    which = catalogue.SETS[name]
    random = np.random.default_rng(seed)
    arrays = []
    for count in counts:
        images = np.zeros((count, 28, 28), np.uint8)
        images[:, 5:21, 6:23] = random.integers(0, 256, (count, 16, 17))
        arrays.append(images)
        labels = random.integers(0, len(which.class_names), count) + which.first_label
        labels[:2] = which.first_label, which.first_label + len(which.class_names) - 1
        arrays.append(labels.astype(np.uint8))
    return arrays


def names_of(name):
    return [wanted.name.removesuffix(".gz") for wanted in catalogue.SETS[name].wanted]


def assert_read(name, result, arrays):
    """The images upright, the labels from 0."""
    which = catalogue.SETS[name]
    (x, y), (xt, yt) = result
    for images, wanted in ((x, arrays[0]), (xt, arrays[2])):
        assert images.dtype == np.uint8
        assert images.flags.c_contiguous
        upright = wanted.swapaxes(1, 2) if name.startswith("emnist") else wanted
        np.testing.assert_array_equal(images, upright)
    for labels, wanted in ((y, arrays[1]), (yt, arrays[3])):
        assert labels.dtype == np.uint8
        np.testing.assert_array_equal(labels, wanted - which.first_label)


def packed_of(array):
    return gzip.compress(idx(array), mtime=0)


def sha256(content):
    return hashlib.sha256(content).hexdigest()


# ---- what there is ----


def test_the_names():
    assert {*datasets.NAMES} == {*FUNCTIONS}
    assert len(datasets.class_names("emnist-byclass")) == 62
    assert len(datasets.class_names("emnist-balanced")) == 47
    assert datasets.class_names("emnist-bymerge")[36:] == tuple("abdefghnqrt")
    assert "".join(datasets.class_names("emnist-letters")) == "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    assert datasets.class_names("fashion-mnist")[9] == "Ankle boot"
    assert datasets.class_names("digits") == tuple("0123456789")
    for name in datasets.NAMES:
        names = datasets.class_names(name)
        # what a network takes
        net = LeNet5("lenet5-modern").with_classes(names)
        assert net.class_names == names


def test_every_file_has_a_digest():
    for which in (*catalogue.SETS.values(), catalogue.QMNIST):
        for wanted in (*which.wanted, *([] if which.archive is None else [which.archive])):
            digest = wanted.content or wanted.packed
            assert len(bytes.fromhex(digest)) == 32
            # whoever takes a packed file knows its size
            assert wanted.content or wanted.size or which.archive
        assert all(mirror.endswith("/") for mirror in which.mirrors)
    digests = [w.content or w.packed for s in catalogue.SETS.values() for w in s.wanted]
    assert len({*digests}) == len(digests) == 36


def test_what_is_no_name():
    with pytest.raises(ValueError, match="name: got 'fashion', want one of mnist, fashion-mnist"):
        datasets.load("fashion")
    with pytest.raises(ValueError, match=r"split: got 'letter', want one of byclass.*letters"):
        datasets.emnist("letter")
    with pytest.raises(ValueError, match=r"name: got 'cifar'.*digits"):
        datasets.class_names("cifar")


# ---- where they are ----


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", datasets.NAMES)
def test_places_below_a_folder(tmp_path, cache, monkeypatch, name, packed):
    arrays = made_up(name)
    for k, place in enumerate(catalogue.SETS[name].folders):
        put(tmp_path / str(k) / place, arrays, packed, names_of(name))
        assert_read(name, FUNCTIONS[name](tmp_path / str(k)), arrays)
        monkeypatch.setenv("LENET_C_DATA", str(tmp_path / str(k)))
        assert_read(name, FUNCTIONS[name](), arrays)
    put(tmp_path / "here", arrays, packed, names_of(name))
    assert_read(name, FUNCTIONS[name](tmp_path / "here"), arrays)


def test_mnist_is_not_taken_for_another_set(tmp_path, cache, monkeypatch):
    """Where LENET_C_DATA itself has MNIST's files, which are called as the others' are."""
    put(tmp_path, made_up("mnist"))
    monkeypatch.setenv("LENET_C_DATA", str(tmp_path))
    datasets.mnist()
    for name in ("fashion-mnist", "kmnist"):
        with pytest.raises(FileNotFoundError, match=f"want in {name} or in .* there, gzipped"):
            datasets.load(name)
    # files of its own are read, and found before those of the folder itself
    arrays = made_up("kmnist", 3)
    put(tmp_path / "kmnist", arrays)
    assert_read("kmnist", datasets.kmnist(), arrays)
    assert_read("kmnist", datasets.kmnist(tmp_path), arrays)


@pytest.mark.parametrize("packed", [False, True])
def test_files_of_another_set_are_told(tmp_path, cache, monkeypatch, packed):
    arrays = made_up("fashion-mnist")
    put(tmp_path, arrays, packed)
    file = tmp_path / (NAMES[3] + ".gz" * packed)
    monkeypatch.setitem(datasets._OF, sha256(file.read_bytes()), "Fashion-MNIST")
    assert_read("fashion-mnist", datasets.fashion_mnist(tmp_path), arrays)
    for read in (datasets.mnist, datasets.kmnist):
        with pytest.raises(ValueError, match=r"is of Fashion-MNIST, want K?MNIST") as caught:
            read(tmp_path)
        assert str(file) in str(caught.value)


def test_known_digests_are_of_labels_too():
    for name in PLAIN:
        for wanted in catalogue.SETS[name].wanted:
            assert datasets._OF[wanted.content or wanted.packed] == catalogue.SETS[name].title


def test_what_debian_has(tmp_path, cache):
    arrays = made_up("fashion-mnist")
    put(tmp_path / "system" / "fashion-mnist", arrays, True)
    assert_read("fashion-mnist", datasets.fashion_mnist(download=False), arrays)
    with pytest.raises(FileNotFoundError, match=f"KMNIST is not in {cache}; wanted, gzipped"):
        datasets.kmnist(download=False)


@pytest.mark.parametrize("name", ["fashion-mnist", "emnist-balanced"])
def test_the_error_says_what_is_missing(tmp_path, cache, name):
    names, place = names_of(name), tmp_path / catalogue.SETS[name].folders[0]
    put(place, made_up(name), False, names)
    (place / names[1]).unlink()
    (place / names[2]).unlink()
    with pytest.raises(FileNotFoundError) as caught:
        datasets.load(name, tmp_path)
    assert str(caught.value).endswith(f"; missing in {place}: {names[1]}, {names[2]}")
    assert f"found: {place / names[0]}, " in str(caught.value)


def test_labels_of_other_classes(tmp_path, cache):
    arrays = made_up("emnist-letters")
    for bad in (0, 27):
        arrays[3][-1] = bad
        put(tmp_path, arrays, False, names_of("emnist-letters"))
        message = rf"emnist-letters-test-labels.*: label {bad}, want 1 to 26"
        with pytest.raises(ValueError, match=message):
            datasets.emnist("letters", tmp_path)


def test_many_images_are_turned(tmp_path, cache, monkeypatch):
    monkeypatch.setattr(datasets, "_TURNED_AT_ONCE", 3)
    arrays = made_up("emnist-digits")
    put(tmp_path, arrays, True, names_of("emnist-digits"))
    assert_read("emnist-digits", datasets.emnist("digits", tmp_path), arrays)


# ---- EMNIST's archive ----


def archive_of(name, arrays, **options):
    """A zip file as NIST has it."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", **options) as archive:
        for file, array in zip(names_of(name), arrays, strict=True):
            archive.writestr(f"gzip/{file}.gz", packed_of(array))
    return content.getvalue()


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_an_archive_in_a_folder(tmp_path, cache, method):
    arrays = made_up("emnist-letters")
    path = tmp_path / "emnist" / "gzip.zip"
    path.parent.mkdir()
    path.write_bytes(archive_of("emnist-letters", arrays, compression=method))
    assert_read("emnist-letters", datasets.emnist("letters", tmp_path), arrays)
    with pytest.raises(ValueError, match=r"gzip\.zip: has no gzip/emnist-digits-train-images"):
        datasets.emnist("digits", tmp_path)
    # files beside it come first
    others = made_up("emnist-letters", 1)
    put(path.parent, others, True, names_of("emnist-letters"))
    assert_read("emnist-letters", datasets.emnist("letters", tmp_path), others)


def test_a_damaged_archive(tmp_path, cache):
    content = bytearray(archive_of("emnist-mnist", made_up("emnist-mnist")))
    path = tmp_path / "gzip.zip"
    for damage in (content[:-40], b"<html>", content[:200] + b"!!!!" + content[204:]):
        path.write_bytes(damage)
        with pytest.raises(ValueError, match=r"gzip\.zip.*damaged (zip|gzip) file"):
            datasets.emnist("mnist", tmp_path)


@pytest.fixture
def letters(cache, mirror, monkeypatch):
    """EMNIST's letters on a mirror, and their arrays."""
    arrays = made_up("emnist-letters")
    content = archive_of("emnist-letters", arrays)
    wanted = tuple(
        downloads.Wanted(f"{file}.gz", packed=sha256(packed_of(array)))
        for file, array in zip(names_of("emnist-letters"), arrays, strict=True)
    )
    archive = downloads.Wanted("gzip.zip", packed=sha256(content), size=len(content))
    published(monkeypatch, "emnist-letters", wanted=wanted, archive=archive, mirrors=(mirror.url,))
    mirror.answers = {"gzip.zip": body(content)}
    return arrays


def test_an_archive_is_downloaded_once(cache, mirror, letters):
    with pytest.raises(FileNotFoundError, match=r"EMNIST \(letters\) is not in .*cache"):
        datasets.emnist("letters", download=False)
    assert_read("emnist-letters", datasets.emnist("letters"), letters)
    assert_read("emnist-letters", datasets.emnist("letters", download=False), letters)
    assert mirror.asked == ["/gzip.zip"]
    assert [p.name for p in cache.rglob("*") if p.is_file()] == ["gzip.zip"]


def test_an_archive_that_was_changed_is_downloaded_again(cache, mirror, letters):
    (cache / "emnist").mkdir(parents=True)
    letters_2 = made_up("emnist-letters", 2)
    (cache / "emnist" / "gzip.zip").write_bytes(archive_of("emnist-letters", letters_2))
    with pytest.raises(ValueError, match=r"gzip/emnist-letters-train.*: SHA-256 of the file is"):
        datasets.emnist("letters", download=False)
    assert_read("emnist-letters", datasets.emnist("letters"), letters)
    assert mirror.asked == ["/gzip.zip"]


def test_another_archive_is_refused(cache, mirror, letters):
    other = bytearray(archive_of("emnist-letters", letters))
    other[len(other) // 2] ^= 1
    mirror.answers = {"gzip.zip": body(bytes(other))}
    with pytest.raises(datasets.DownloadError, match=r"SHA-256 is .*, want") as caught:
        datasets.emnist("letters")
    assert "set LENET_C_DATA to a folder with emnist in it" in str(caught.value)
    mirror.answers = {"gzip.zip": body(bytes(1 << 16))}
    with pytest.raises(datasets.DownloadError, match=r"more than \d+ bytes"):
        datasets.emnist("letters")
    assert not [p for p in cache.rglob("*") if p.is_file()]


# ---- files whose packed form alone has a published digest ----


def test_packed_files_are_known_by_their_own_digest(cache, mirror, monkeypatch):
    arrays = made_up("kmnist")
    packed = {f"{n}.gz": packed_of(a) for n, a in zip(NAMES, arrays, strict=True)}
    wanted = tuple(
        downloads.Wanted(name, packed=sha256(content), size=len(content))
        for name, content in packed.items()
    )
    published(monkeypatch, "kmnist", wanted=wanted, mirrors=(mirror.url,))
    mirror.answers = {name: body(content) for name, content in packed.items()}
    assert_read("kmnist", datasets.kmnist(), arrays)
    assert mirror.asked == [f"/{name}" for name in packed]
    # the same content packed in another way is not what was published
    first = cache / "kmnist" / f"{NAMES[0]}.gz"
    first.write_bytes(gzip.compress(idx(arrays[0]), 1))
    with pytest.raises(ValueError, match="SHA-256 of the file is"):
        datasets.kmnist(download=False)
    assert_read("kmnist", datasets.kmnist(), arrays)
    assert mirror.asked[4:] == [f"/{NAMES[0]}.gz"]
    assert first.read_bytes() == packed[first.name]


def test_time_for_a_large_file():
    assert downloads.Wanted("a").seconds == downloads._FILE_TIMEOUT
    assert downloads.Wanted("a", size=1000).seconds == downloads._FILE_TIMEOUT
    archive = catalogue.EMNIST["letters"].archive
    assert archive.seconds > 3600
    assert archive.limit == 561_753_746


# ---- QMNIST ----


def rows(count, seed=0):
    random = np.random.default_rng(seed)
    columns = [random.integers(0, top, count) for top in (10, 5, 2600, 150, 40, 281_770)]
    return np.stack([*columns, np.zeros(count, int), np.zeros(count, int)], axis=1).astype(">i4")


QMNIST = [wanted.name.removesuffix(".gz") for wanted in catalogue.QMNIST.wanted]


def put_rows(folder, arrays, packed=False):
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in zip(QMNIST, arrays, strict=True):
        content = idx(array, dtype=0x0C)
        path = folder / (f"{name}.gz" if packed else name)
        path.write_bytes(gzip.compress(content) if packed else content)


@pytest.mark.parametrize("packed", [False, True])
def test_qmnist(tmp_path, cache, packed):
    arrays = [rows(6), rows(9, 1)]
    put_rows(tmp_path / "qmnist", arrays, packed)
    train, test = datasets.qmnist(tmp_path)
    for origins, array in ((train, arrays[0]), (test, arrays[1])):
        assert len(origins) == len(array)
        assert origins.labels.dtype == np.uint8
        assert origins.writers.dtype == np.int32
        for column, name in enumerate(("labels", "series", "writers", "places")):
            np.testing.assert_array_equal(getattr(origins, name), array[:, column])
        np.testing.assert_array_equal(origins.numbers, array[:, 5])
    assert repr(train) == f"Origins(6 images of {len({*train.writers})} writers)"
    assert train != test
    part = test[:4]
    assert len(part) == 4
    np.testing.assert_array_equal(part.writers, test.writers[:4])
    chosen = test[test.labels == test.labels[3]]
    assert (chosen.labels == test.labels[3]).all()
    assert len(test[2]) == 1


def test_qmnist_is_downloaded(cache, mirror, monkeypatch):
    arrays = [rows(6), rows(9, 1)]
    packed = {f"{n}.gz": idx(a, dtype=0x0C) for n, a in zip(QMNIST, arrays, strict=True)}
    wanted = tuple(downloads.Wanted(name, content=sha256(c)) for name, c in packed.items())
    changed = dataclasses.replace(datasets.QMNIST, wanted=wanted, mirrors=(mirror.url,))
    monkeypatch.setattr(datasets, "QMNIST", changed)
    mirror.answers = {name: body(gzip.compress(c)) for name, c in packed.items()}
    for _ in range(2):
        train, test = datasets.qmnist()
        assert (len(train), len(test)) == (6, 9)
    assert len(mirror.asked) == 2


def test_qmnist_that_is_none(tmp_path, cache):
    arrays = [rows(6), rows(9, 1)]
    put_rows(tmp_path, arrays)
    (tmp_path / QMNIST[0]).write_bytes(idx(np.zeros((6, 8), np.uint8)))
    with pytest.raises(ValueError, match="type 0x08, want 0x0c, 32-bit integers"):
        datasets.qmnist(tmp_path)
    arrays[0][2, 0] = 10
    put_rows(tmp_path, arrays)
    with pytest.raises(ValueError, match=f"{QMNIST[0]}: has a label that is no digit"):
        datasets.qmnist(tmp_path)
    put_rows(tmp_path, [arrays[0][:, :7], arrays[1]])
    with pytest.raises(ValueError, match=r"items of \(7,\), want \(8,\)"):
        datasets.qmnist(tmp_path)
    (tmp_path / QMNIST[1]).unlink()
    with pytest.raises(FileNotFoundError, match=f"missing in .*: {QMNIST[1]}"):
        datasets.qmnist(tmp_path)


# ---- Keras's .npz ----


def npz(arrays, save=np.savez_compressed, names=("x_train", "y_train", "x_test", "y_test")):
    content = io.BytesIO()
    save(content, **dict(zip(names, arrays, strict=True)))
    return content.getvalue()


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("dtype", ["uint8", "int64", ">u2"])
def test_npz(tmp_path, cache, save, dtype):
    arrays = made_up("mnist")
    arrays[1] = arrays[1].astype(dtype)
    (tmp_path / "mnist.npz").write_bytes(npz(arrays, save))
    assert_read("mnist", datasets.mnist(tmp_path), arrays)
    assert_read("mnist", datasets.mnist(tmp_path / "mnist.npz"), arrays)
    for place in (tmp_path, tmp_path / "mnist.npz"):
        assert datasets.has_mnist(str(place))  # the command takes it for no pictures
    assert not datasets.has_mnist(str(tmp_path / "other.npz"))
    (x, y), _ = datasets.read_npz(tmp_path / "mnist.npz")
    assert x.dtype == y.dtype == np.uint8
    # the four files come first
    others = made_up("mnist", 1)
    put(tmp_path, others)
    assert_read("mnist", datasets.mnist(tmp_path), others)


def claiming(header, content=b""):
    """An .npz whose first array claims something."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        head = header.encode().ljust(117) + b"\n"
        magic = b"\x93NUMPY\x01\0" + len(head).to_bytes(2, "little")
        archive.writestr("x_train.npy", magic + head + content)
    return out.getvalue()


ARRAYS = made_up("mnist")
BAD_NPZ = {
    "html": (b"<html>", "damaged .npz"),
    "truncated": (npz(ARRAYS)[:-30], "damaged .npz"),
    "flipped": (npz(ARRAYS).replace(b"x_train.npy", b"x_trail.npy"), "x_train"),
    "missing": (npz(ARRAYS[:3], names=("x_train", "y_train", "x_test")), "no item.*y_test.*want"),
    "shape": (npz([ARRAYS[0][:, 1:], *ARRAYS[1:]]), r"uint8 \(7, 27, 28\), want uint8"),
    "dtype": (npz([ARRAYS[0] / 255, *ARRAYS[1:]]), r"x_train: got float64 .*, want uint8"),
    "labels": (npz([ARRAYS[0], ARRAYS[1] / 2, *ARRAYS[2:]]), "y_train: got float64.*want integers"),
    "negative": (
        npz([ARRAYS[0], ARRAYS[1].astype(int) - 9, *ARRAYS[2:]]),
        "y_train: has -9 to 0, want 0 to 255",
    ),
    "empty": (npz([ARRAYS[0][:0], *ARRAYS[1:]]), r"\(0, 28, 28\), want"),
    "pickle": (npz([np.array([{}], object), *ARRAYS[1:]]), "got object"),
    "columns": (npz([np.asfortranarray(ARRAYS[0]), *ARRAYS[1:]]), "want uint8"),
    "absurd": (
        claiming("{'descr': '|u1', 'fortran_order': False, 'shape': (99999999, 28, 28), }"),
        "more than the file can have",
    ),
    "nonsense": (claiming("{'descr': __import__('os'), }"), "not a .npy array"),
}


@pytest.mark.parametrize("case", BAD_NPZ)
def test_bad_npz(tmp_path, case):
    content, message = BAD_NPZ[case]
    path = tmp_path / "mnist.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"mnist\.npz.*{message}"):
        datasets.read_npz(path)


# ---- Kaggle's .csv ----

PIXELS = [f"pixel{k}" for k in range(784)]


def csv(images, labels=None, heading=None):
    flat = images.reshape(len(images), -1)
    table = flat if labels is None else np.column_stack([labels, flat])
    lines = [] if heading is None else [",".join(heading)]
    return "\n".join([*lines, *(",".join(map(str, row)) for row in table)]) + "\n"


@pytest.mark.parametrize("heading", [None, ["label", *PIXELS]])
def test_csv(tmp_path, heading):
    images, labels = ARRAYS[:2]
    path = tmp_path / "train.csv"
    for text in (csv(images, labels, heading), "\ufeff" + csv(images, labels, heading)):
        path.write_text(text.replace("\n", "\r\n"), encoding="utf-8", newline="")
        x, y = datasets.read_csv(path)
        assert x.dtype == y.dtype == np.uint8
        assert x.flags.c_contiguous
        np.testing.assert_array_equal(x, images)
        np.testing.assert_array_equal(y, labels)


def test_csv_without_labels_and_with_labels_at_the_end(tmp_path):
    images, labels = ARRAYS[:2]
    path = tmp_path / "test.csv"
    for heading in (None, PIXELS):
        path.write_text(csv(images, None, heading))
        x, y = datasets.read_csv(path)
        assert y is None
        np.testing.assert_array_equal(x, images)
    table = np.column_stack([images.reshape(7, -1), labels])
    heading = ",".join([*(f'"{p}"' for p in PIXELS), '"class"'])
    path.write_text("\n".join([heading, *(",".join(map(str, row)) for row in table)]))
    x, y = datasets.read_csv(path)
    np.testing.assert_array_equal(x, images)
    np.testing.assert_array_equal(y, labels)


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "emnist-letters"])
def test_tables_in_a_folder(tmp_path, cache, name):
    arrays = made_up(name)
    train, test = (tmp_path / file for file in catalogue.SETS[name].tables)
    train.write_text(csv(*arrays[:2]))
    with pytest.raises(FileNotFoundError, match=f"; missing in .*: {test.name}$"):
        datasets.load(name, tmp_path)
    test.write_text(csv(*arrays[2:], ["label", *PIXELS]))
    assert_read(name, datasets.load(name, tmp_path), arrays)
    test.write_text(csv(arrays[2]))
    with pytest.raises(ValueError, match=f"{test.name}: has no column of labels"):
        datasets.load(name, tmp_path)


ROW = csv(*(array[:1] for array in ARRAYS[:2]))
BAD_CSV = {
    "empty": ("", "first line has 1 cells, want 785"),
    "few columns": ("1,2,3\n", "first line has 3 cells, want 785"),
    "heading alone": (",".join(["label", *PIXELS]) + "\n", "want rows of 785"),
    "too large": (ROW.replace(",", ",256,", 1).rsplit(",", 1)[0] + "\n", "want rows of 785"),
    "negative": (ROW.replace(",", ",-1,", 1).rsplit(",", 1)[0] + "\n", "want rows of 785"),
    "fraction": (ROW.replace(",", ",0.5,", 1).rsplit(",", 1)[0] + "\n", "want rows of 785"),
    "a word": (ROW + ROW.replace(",", ",x,", 1).rsplit(",", 1)[0] + "\n", "line 2 has 'x'"),
    "a short row": (ROW + ROW.rsplit(",", 1)[0] + "\n", "line 2 has 784"),
    "a word under a heading": (
        ",".join(["label", *PIXELS]) + "\n" + ROW + ROW.replace(",", ",x,", 1),
        "line 3 has 786",
    ),
    "a first row that is none": (ROW.rsplit(",", 1)[0] + ",-1\n" + ROW, "line 1 has '-1'"),
    "a first row that is cut": (ROW.rsplit(",", 1)[0] + ",\n" + ROW, "line 1 has ''"),
    "no column called label": (
        ",".join([*PIXELS, "target"]) + "\n" + ROW,
        "785 columns, none of them called label",
    ),
    "a pixel is missing": (
        ",".join(["label", *PIXELS[1:]]) + "\n" + ROW.rsplit(",", 1)[0],
        "784 columns, one of them",
    ),
    "one long line": ("1" * (1 << 20), "first line has 1 cells"),
}


@pytest.mark.parametrize("case", BAD_CSV)
def test_bad_csv(tmp_path, case):
    text, message = BAD_CSV[case]
    path = tmp_path / "train.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"train\.csv: .*{message}"):
        datasets.read_csv(path)


# ---- the real ones, where they are ----


@pytest.mark.skipif("LENET_C_DATA" not in os.environ, reason="LENET_C_DATA is not set")
def test_real_fashion_mnist_and_writers():
    try:
        (x, y), (xt, yt) = datasets.fashion_mnist(download=False)
    except FileNotFoundError:
        pytest.skip("LENET_C_DATA has no Fashion-MNIST")
    wanted = catalogue.SETS["fashion-mnist"].wanted
    for array, file in zip((x, y, xt, yt), wanted, strict=True):
        assert sha256(idx(array)) == file.content
    assert np.bincount(y).tolist() == [6000] * 10
    try:
        origins = datasets.qmnist(download=False)
        mnist = datasets.mnist(download=False)
    except FileNotFoundError:
        pytest.skip("LENET_C_DATA has no labels of QMNIST, or no MNIST")
    for part, (_, labels) in zip(origins, mnist, strict=True):
        np.testing.assert_array_equal(part.labels[: len(labels)], labels)


# ---- the command ----


@pytest.fixture
def command(tmp_path, cache, monkeypatch, capsys):
    """The command in a folder, with a thread and LENET_C_DATA; what it prints."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LENET_C_DATA", str(tmp_path / "data"))

    def run(*arguments, code=0):
        capsys.readouterr()
        assert cli.main([*map(str, arguments)]) == code
        printed = capsys.readouterr()
        return printed.out if code == 0 else printed.err

    yield run
    set_num_threads(None)


def test_a_data_set_is_trained_on_by_its_name(command, tmp_path):
    arrays = made_up("fashion-mnist", counts=(40, 20))
    put(tmp_path / "data" / "fashion-mnist", arrays)
    train = ("train", "--dataset", "fashion-mnist", "--epochs", 1, "--quiet", "--threads", 1)
    out = command(*train)
    assert " on fashion-mnist: 40 images, 1 epochs" in out
    assert "codes: T-shirt/top = 0, Trouser = 1" in out
    net = LeNet5.load("model.npz")
    assert net.class_names == datasets.class_names("fashion-mnist")
    np.testing.assert_array_equal(net.codes, codes.DIGITS)
    out = command("evaluate", "model.npz", "--dataset", "fashion-mnist", "--threads", 1)
    assert "reading the test images of fashion-mnist" in out
    assert " of 20), loss" in out
    # from another folder, and with what was learnt of the same classes
    put(tmp_path / "here", arrays)
    more = ("--data", tmp_path / "here", "--from", "model.npz", "--output", "b.npz")
    assert "goes on with T-shirt/top, Trouser" in command(*train, *more)
    # a network that has seen clothes reads no digits
    put(tmp_path / "data" / "mnist", made_up("mnist"))
    error = command("evaluate", "model.npz", "--dataset", "mnist", "--threads", 1, code=2)
    assert "reads T-shirt/top" in error
    assert "mnist has labels 0 to 9" in error


def test_letters_have_codes_of_their_own(command, tmp_path):
    arrays = made_up("emnist-letters", counts=(40, 20))
    put(tmp_path / "data" / "emnist", arrays, True, names_of("emnist-letters"))
    data = ("--dataset", "emnist-letters", "--threads", 1)
    assert "codes:" not in command("train", *data, "--epochs", 1, "--quiet")
    net = LeNet5.load("model.npz")
    np.testing.assert_array_equal(net.codes, codes.of("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
    assert " of 20), loss" in command("evaluate", "model.npz", *data)
    # digits and letters in one network: each set by itself
    both = LeNet5().with_classes([*net.class_names, *"0123456789"])
    both.save("both.npz")
    put(tmp_path / "data" / "mnist", made_up("mnist", counts=(4, 3)))
    for dataset, n in (("emnist-letters", 20), ("mnist", 3)):
        out = command("evaluate", "both.npz", "--dataset", dataset, "--threads", 1)
        assert f" of {n}), loss" in out


def test_a_set_that_is_not_there_is_an_error(command, tmp_path):
    error = command("train", "--dataset", "kmnist", "--threads", 1, code=2)
    assert f"KMNIST is not in LENET_C_DATA={tmp_path / 'data'}, want in kmnist" in error
    error = command("train", "--strings", "--dataset", "kmnist", code=2)
    assert "--dataset: kmnist has no digits, want one of mnist, emnist-digits" in error


def test_the_command_downloads(command, tmp_path, mirror, monkeypatch):
    arrays = made_up("kmnist", counts=(20, 10))
    packed = {f"{n}.gz": packed_of(a) for n, a in zip(NAMES, arrays, strict=True)}
    wanted = tuple(
        downloads.Wanted(name, packed=sha256(content), size=len(content))
        for name, content in packed.items()
    )
    published(monkeypatch, "kmnist", wanted=wanted, mirrors=(mirror.url,))
    mirror.answers = {name: body(content) for name, content in packed.items()}
    monkeypatch.delenv("LENET_C_DATA")
    train = ("train", "--dataset", "kmnist", "--epochs", 1, "--quiet", "--threads", 1)
    modern = ("--architecture", "lenet5-modern")
    out = command(*train, *modern)
    assert f"KMNIST is not in {tmp_path / 'cache'}: downloading it (21 MB) to" in out
    assert "codes:" not in out
    assert "downloading" not in command(*train, *modern)
