"""datasets: IDX files that lie, the places MNIST is looked for, and downloads that fail."""

import gzip
import hashlib
import os
import re
import socket
import struct
import subprocess
import sys
import threading
import time
import tracemalloc
import zlib
from pathlib import Path

import data_files
import numpy as np
import pytest
from data_files import MNIST, NAMES, Mirror, body, idx, published, put

from lenet_c import datasets, downloads
from lenet_c import idx as idx_module


def small_mnist(seed=0, train=7, test=5):
    random = np.random.RandomState(seed)
    arrays = []
    for count in (train, test):
        arrays.append(random.randint(0, 256, (count, 28, 28)).astype(np.uint8))
        arrays.append(random.randint(0, 10, count).astype(np.uint8))
    return arrays


def assert_same(result, arrays):
    (x, y), (xt, yt) = result
    for got, wanted in zip((x, y, xt, yt), arrays, strict=True):
        assert got.dtype == np.uint8
        np.testing.assert_array_equal(got, wanted)


# Reading IDX


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("shape", [(1,), (70000,), (3, 5), (3, 4, 5), (2, 3, 4, 5)])
def test_read_idx(tmp_path, shape, packed):
    array = np.random.RandomState(0).randint(0, 256, shape).astype(np.uint8)
    path = tmp_path / "any-name"
    path.write_bytes(gzip.compress(idx(array)) if packed else idx(array))
    got = datasets.read_idx(path, ndim=len(shape))
    assert got.dtype == np.uint8
    np.testing.assert_array_equal(got, array)
    np.testing.assert_array_equal(datasets.read_idx(str(path)), array)


GOOD = idx(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))
HOSTILE = {
    "empty": (b"", "not an IDX file"),
    "short magic": (GOOD[:3], "not an IDX file"),
    "html": (b"<!DOCTYPE html>", "not an IDX file"),
    "float type": (b"\0\0\x0d\x03" + GOOD[4:], "type 0x0d, want 0x08"),
    "no dimensions": (b"\0\0\x08\x00\x01", "0 dimensions, want 3"),
    "labels": (idx(np.zeros(5, np.uint8)), "1 dimensions, want 3"),
    "255 dimensions": (b"\0\0\x08\xff" + bytes(2000), "255 dimensions, want 3"),
    "short header": (GOOD[:13], "truncated in its header"),
    "empty dimension": (idx(np.zeros((0, 28, 28), np.uint8)), "which is empty"),
    "one byte short": (GOOD[:-1], r"\(2, 3, 4\), 24 bytes"),
    "no content": (GOOD[:16], r"\(2, 3, 4\), 24 bytes"),
    "one byte more": (GOOD + b"\0", r"\(2, 3, 4\), 24 bytes"),
    "absurd": (idx(np.zeros(9, np.uint8), (2**32 - 1,) * 3), "want at most"),
    # 65536 * 65536 * 65536 is 0 in 32 bits and 2^48 in truth.
    "overflow": (idx(np.zeros(9, np.uint8), (65536,) * 3), "want at most"),
    "below the limit": (idx(np.zeros(9, np.uint8), (1000, 1000, 1000)), "1000000000 bytes"),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_idx(tmp_path, case, packed):
    content, message = HOSTILE[case]
    path = tmp_path / "hostile"
    path.write_bytes(gzip.compress(content) if packed else content)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=message) as caught:
            datasets.read_idx(path, ndim=3)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
    assert str(path) in str(caught.value)


def test_any_number_of_dimensions_has_a_limit(tmp_path):
    path = tmp_path / "hostile"
    path.write_bytes(idx(np.zeros((1,) * 5, np.uint8)))
    with pytest.raises(ValueError, match="5 dimensions, want 1 to 4"):
        datasets.read_idx(path)


def test_max_bytes(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(GOOD)
    assert datasets.read_idx(path, max_bytes=24).size == 24
    with pytest.raises(ValueError, match="at most 23 bytes"):
        datasets.read_idx(path, max_bytes=23)


def test_gzip_bomb_is_not_unpacked(tmp_path):
    path = tmp_path / "bomb"
    with gzip.open(path, "wb") as file:
        file.write(GOOD)
        for _ in range(64):
            file.write(bytes(1 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="24 bytes; it has more"):
            datasets.read_idx(path)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("end", [1, 5, 12, 20, -9, -4, -1])
def test_truncated_gzip(tmp_path, end):
    path = tmp_path / "file.gz"
    path.write_bytes(gzip.compress(GOOD)[:end])
    with pytest.raises(ValueError, match=r"file\.gz"):
        datasets.read_idx(path)


def test_flipped_gzip(tmp_path):
    array = np.random.RandomState(0).randint(0, 256, (2, 3, 4)).astype(np.uint8)
    content = gzip.compress(idx(array))
    path = tmp_path / "file.gz"
    for position in range(10, len(content)):  # bytes 4 to 9 are a date and hints
        flipped = bytearray(content)
        flipped[position] ^= 0x55
        path.write_bytes(flipped)
        with pytest.raises(ValueError, match=r"file\.gz"):
            datasets.read_idx(path)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        datasets.read_idx(tmp_path / "none")


def member(content, name=b"", extra=b""):
    """One gzip file, with fields in its header."""
    flags = 8 * bool(name) | 4 * bool(extra)
    fields = (struct.pack("<H", len(extra)) + extra if extra else b"") + (
        name + b"\0" if name else b""
    )
    packer = zlib.compressobj(wbits=-15)
    packed = packer.compress(content) + packer.flush()
    end = struct.pack("<II", zlib.crc32(content), len(content))
    return struct.pack("<4BI2B", 0x1F, 0x8B, 8, flags, 0, 0, 255) + fields + packed + end


HEADERS = {
    "name": lambda: member(GOOD, name=b"n" * (48 << 20)),
    "no end of a name": lambda: member(GOOD, name=b"n" * (48 << 20))[: 40 << 20],
    "empty members": lambda: member(b"") * 200_000 + member(GOOD),
    "empty members behind": lambda: member(GOOD) + member(b"") * 200_000,
    "members with extra fields": lambda: member(b"", extra=b"x" * 65535) * 500 + member(GOOD),
    "zeros": lambda: member(GOOD) + bytes(48 << 20),
    "empty blocks": lambda: (
        b"\x1f\x8b\x08" + bytes(7) + b"\0\0\0\xff\xff" * (4 << 20) + member(GOOD)[10:]
    ),
}


class Counted:
    """A file that tells how much was read of it."""

    def __init__(self, file):
        self.file = file
        self.read_so_far = 0

    def read(self, count):
        part = self.file.read(count)
        self.read_so_far += len(part)
        return part


@pytest.mark.parametrize("case", HEADERS)
def test_gzip_that_is_all_header(tmp_path, monkeypatch, case):
    """Hardly more is read than what a sound file would take, whatever the file's size."""
    path = tmp_path / "headers.gz"
    path.write_bytes(HEADERS[case]())
    files = []

    class Watched(idx_module.Gunzip):
        def __init__(self, file):
            files.append(Counted(file))
            super().__init__(files[-1])

    monkeypatch.setattr(idx_module, "Gunzip", Watched)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"headers\.gz: damaged gzip file"):
            datasets.read_idx(path, ndim=3)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
    assert files[0].read_so_far < 2 << 20


def test_gzip_as_other_tools_write_it(tmp_path):
    """Fields in the header, several members, some of them empty, zeros at the end."""
    content = idx(np.arange(200, dtype=np.uint8).reshape(2, 10, 10))
    pieces = [content[k : k + 7] for k in range(0, len(content), 7)]
    packed = member(b"") + b"".join(member(p, b"name", b"extra" * 100) for p in pieces)
    path = tmp_path / "file"
    for end in (b"", bytes(3), bytes(1 << 18)):
        path.write_bytes(packed + end)
        assert datasets.read_idx(path).tobytes() == content[16:]
    path.write_bytes(packed + b"\0garbage")
    with pytest.raises(ValueError, match="damaged gzip file"):
        datasets.read_idx(path)


# Finding MNIST


@pytest.fixture
def cache(tmp_path, monkeypatch):
    return data_files.empty_cache(tmp_path, monkeypatch)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("dotted", [False, True])
@pytest.mark.parametrize("below", ["", "mnist", "MNIST/raw"])
def test_layouts(tmp_path, cache, below, dotted, packed):
    arrays = small_mnist()
    names = [name.replace("-idx", ".idx") for name in NAMES] if dotted else NAMES
    put(tmp_path / "data" / below, arrays, packed, names)
    assert_same(datasets.mnist(tmp_path / "data"), arrays)


def test_given_folder_is_the_only_one(tmp_path, cache, monkeypatch):
    put(cache / "mnist", small_mnist())
    put(tmp_path / "environment", small_mnist())
    monkeypatch.setenv("LENET_C_DATA", str(tmp_path / "environment"))
    (tmp_path / "given").mkdir()
    with pytest.raises(FileNotFoundError, match=r"given, want.*t10k-labels-idx1-ubyte"):
        datasets.mnist(tmp_path / "given")


def only(monkeypatch, arrays):
    """Let these arrays be what MNIST is."""
    digests = (hashlib.sha256(idx(array)).hexdigest() for array in arrays)
    wanted = (downloads.Wanted(f"{n}.gz", content=d) for n, d in zip(NAMES, digests, strict=True))
    published(monkeypatch, "mnist", wanted=tuple(wanted))


def test_order_of_places(tmp_path, cache, monkeypatch):
    in_cache, in_environment, in_given = (small_mnist(seed) for seed in range(3))
    only(monkeypatch, in_cache)
    put(cache / "mnist", in_cache)
    assert_same(datasets.mnist(), in_cache)
    monkeypatch.setenv("LENET_C_DATA", "")
    assert_same(datasets.mnist(), in_cache)
    monkeypatch.setenv("LENET_C_DATA", str(tmp_path / "environment"))
    put(tmp_path / "environment", in_environment)
    assert_same(datasets.mnist(), in_environment)
    put(tmp_path / "given", in_given)
    assert_same(datasets.mnist(str(tmp_path / "given")), in_given)


@pytest.mark.parametrize("variable", [True, False])
def test_nothing_where_mnist_was_said_to_be(tmp_path, cache, monkeypatch, variable):
    """An error that tells what is there, whatever the cache and the network have."""
    arrays = small_mnist()
    only(monkeypatch, arrays)
    put(cache / "mnist", arrays)
    data = tmp_path / "data"
    if variable:
        monkeypatch.setenv("LENET_C_DATA", str(data))

    def message():
        with pytest.raises(FileNotFoundError) as caught:
            datasets.mnist(None if variable else data)
        text = str(caught.value)
        name = f"LENET_C_DATA={data}" if variable else str(data)
        assert text.startswith(f"MNIST is not in {name}, want there, in mnist or in MNIST/raw, ")
        assert all(name in text for name in NAMES)
        return text.partition("found: ")[2]

    assert message() == "no such folder"
    data.write_bytes(b"")
    assert message() == "a file"
    data.unlink()
    data.mkdir()
    assert message() == "an empty folder"
    for k in range(7):
        (data / f"{k}.txt").touch()
    assert message() == "0.txt, 1.txt, 2.txt, 3.txt, 4.txt and 2 more"
    put(data / "mnist", arrays)
    (data / "mnist" / NAMES[2]).unlink()
    there = ", ".join(str(data / "mnist" / NAMES[k]) for k in (0, 1, 3))
    assert message() == f"{there}; missing in {data / 'mnist'}: {NAMES[2]}"


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("k", range(4))
def test_the_cache_is_not_believed(cache, mirrors, k, packed):
    """Whatever was changed in it: a few bytes are a well formed file still."""
    first, second, arrays = mirrors
    put(cache / "mnist", arrays, packed)
    assert_same(datasets.mnist(download=False), arrays)
    changed = [array.copy() for array in arrays]
    changed[k].ravel()[-1] = 9 - changed[k].ravel()[-1] % 10
    put(cache / "mnist", changed, packed)
    with pytest.raises(ValueError, match=rf"{NAMES[k]}.*: SHA-256 of its content is .* want"):
        datasets.mnist(download=False)
    assert first.asked == []
    assert_same(datasets.mnist(), arrays)
    assert first.asked == [f"/{NAMES[k]}.gz"]
    assert len(files_below(cache)) == 4
    assert_same(datasets.mnist(download=False), arrays)
    # and without a network it says both
    put(cache / "mnist", changed, True)
    first.answers.clear()
    second.answers.clear()
    (cache / "mnist" / NAMES[k]).unlink(missing_ok=True)
    with pytest.raises(datasets.DownloadError, match=r"(?s)SHA-256 of its content.*could not down"):
        datasets.mnist()


def test_three_of_four_files_are_not_enough(cache):
    put(cache / "mnist", small_mnist())
    (cache / "mnist" / NAMES[3]).unlink()
    with pytest.raises(FileNotFoundError, match=rf"cache; wanted.*missing in .*: {NAMES[3]}$"):
        datasets.mnist(download=False)


def test_contents_that_do_not_fit(tmp_path, cache):
    x, y, xt, yt = small_mnist()
    put(tmp_path, [x, y[:-1], xt, yt])
    with pytest.raises(ValueError, match=r"7 images but .* 6 labels"):
        datasets.mnist(tmp_path)
    bad = yt.copy()
    bad[-1] = 10
    put(tmp_path, [x, y, xt, bad])
    with pytest.raises(ValueError, match=r"t10k-labels.*label 10, want 0 to 9"):
        datasets.mnist(tmp_path)
    put(tmp_path, [x[:, 1:], y, xt, yt])
    with pytest.raises(ValueError, match=r"\(27, 28\), want \(28, 28\)"):
        datasets.mnist(tmp_path)
    # told by the header, before memory is taken for what a small file unpacks to
    put(tmp_path, [np.zeros((1, 8192, 8192), np.uint8), y, xt, yt])
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"\(8192, 8192\), want \(28, 28\)"):
        datasets.mnist(tmp_path)
    assert tracemalloc.get_traced_memory()[1] < 1 << 24
    tracemalloc.stop()
    put(tmp_path, [y, y, xt, yt])
    with pytest.raises(ValueError, match="1 dimensions, want 3"):
        datasets.mnist(tmp_path)


@pytest.mark.skipif("LENET_C_DATA" not in os.environ, reason="LENET_C_DATA is not set")
def test_real_mnist():
    (x, y), (xt, yt) = datasets.mnist(download=False)
    assert x.shape == (60000, 28, 28)
    assert xt.shape == (10000, 28, 28)
    assert y[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert yt[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    for array, wanted in zip((x, y, xt, yt), MNIST.wanted, strict=True):
        assert hashlib.sha256(idx(array)).hexdigest() == wanted.content


@pytest.mark.parametrize(
    ("platform", "variable", "home", "under"),
    [
        ("linux", "XDG_CACHE_HOME", ".cache/lenet_c", "lenet_c"),
        ("darwin", None, "Library/Caches/lenet_c", None),
        ("win32", "LOCALAPPDATA", "AppData/Local/lenet_c/Cache", "lenet_c/Cache"),
    ],
)
def test_cache_folder(platform, variable, home, under, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "platform", platform)
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    assert Path(datasets.cache_folder()) == tmp_path / home
    if variable:
        monkeypatch.setenv(variable, str(tmp_path / "elsewhere"))
        assert Path(datasets.cache_folder()) == tmp_path / "elsewhere" / under


# Downloading


def files_below(folder):
    return sorted(p.name for p in folder.rglob("*") if p.is_file()) if folder.exists() else []


@pytest.fixture
def mirrors(cache, monkeypatch):
    """Two mirrors with the same small data set, and its arrays."""
    arrays = small_mnist()
    packed = {n: gzip.compress(idx(array)) for n, array in zip(NAMES, arrays, strict=True)}
    first, second = Mirror(), Mirror()
    first.serve(packed)
    second.serve(packed)
    only(monkeypatch, arrays)
    published(monkeypatch, "mnist", mirrors=(first.url, second.url))
    monkeypatch.setattr(downloads, "_CONNECTION_TIMEOUT", 0.5)
    yield first, second, arrays
    first.close()
    second.close()


def test_download(cache, mirrors, capfd):
    first, second, arrays = mirrors
    assert_same(datasets.mnist(), arrays)
    assert first.asked == [f"/{name}.gz" for name in NAMES]
    assert second.asked == []
    assert files_below(cache) == sorted(f"{name}.gz" for name in NAMES)
    assert_same(datasets.mnist(), arrays)
    assert len(first.asked) == 4
    assert capfd.readouterr() == ("", "")


def test_download_fetches_only_what_the_cache_lacks(cache, mirrors):
    first, _, arrays = mirrors
    datasets.mnist()
    (cache / "mnist" / f"{NAMES[2]}.gz").unlink()
    first.asked.clear()
    assert_same(datasets.mnist(), arrays)
    assert first.asked == [f"/{NAMES[2]}.gz"]


def test_progress_bar(cache, mirrors, capfd):
    pytest.importorskip("tqdm")
    datasets.mnist(progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert f"{NAMES[0]}.gz: 100%" in err


def test_progress_without_tqdm(cache, mirrors, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with pytest.raises(ImportError, match=r"lenet_c\[cli\]"):
        datasets.mnist(progress=True)
    assert files_below(cache) == []
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    datasets.mnist()


def test_download_false_asks_no_one(cache, mirrors):
    first, second, _ = mirrors
    with pytest.raises(FileNotFoundError, match="cache"):
        datasets.mnist(download=False)
    assert first.asked == second.asked == []


def test_the_time_limit_holds_for_all_addresses_of_a_name_together(cache, mirrors, monkeypatch):
    """However long a name, or the addresses that it leads to, are tried."""
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: time.sleep(3))
    began = time.monotonic()
    with pytest.raises(datasets.DownloadError, match=r"(?s)no answer after 0\.5 s.*no answer"):
        datasets.mnist()
    assert time.monotonic() - began < 2.5
    assert files_below(cache) == []


def test_a_thread_that_cannot_be_had(cache, mirrors, monkeypatch):
    def refuse(_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(datasets.DownloadError, match=r"(?s)can't start new.*can't start new"):
        datasets.mnist()


BAD = {  # what the mirror does, and what the message says of it
    "missing": (lambda mirror: lambda handler: handler.send_error(404), "404"),
    "wrong content": (
        lambda mirror: body(gzip.compress(idx(small_mnist(seed=9)[0]))),
        "SHA-256 of the content is .*, want",
    ),
    "not gzip": (lambda mirror: body(b"<html>please log in</html>"), "damaged gzip file"),
    "short": (lambda mirror: mirror.cut(declared=True), "ended after .* of .* bytes"),
    "short, not said": (lambda mirror: mirror.cut(declared=False), "damaged gzip file"),
    "too large": (lambda mirror: body(bytes(3 << 20)), "more than 1048576 bytes"),
    "bomb": (lambda mirror: body(gzip.compress(bytes(3 << 20))), "unpacks to more than"),
    "hangs": (lambda mirror: mirror.hang, "timed out|no answer after 0.5 s"),
    "drips": (lambda mirror: mirror.drip, "not done after 0.4 s"),
    "no http": (lambda mirror: lambda handler: handler.wfile.write(b"hello\r\n\r\n"), "hello"),
    "closes": (
        lambda mirror: lambda handler: handler.connection.shutdown(socket.SHUT_RDWR),
        "closed connection",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_mirror(cache, mirrors, monkeypatch, case):
    first, second, arrays = mirrors
    monkeypatch.setattr(downloads, "_MAX_DOWNLOAD", 1 << 20)
    monkeypatch.setattr(downloads, "_FILE_TIMEOUT", 0.4)
    make_answer, message = BAD[case]
    first.answers[f"{NAMES[0]}.gz"] = make_answer(first)
    # The other mirror makes up for it.
    assert_same(datasets.mnist(), arrays)
    assert second.asked == [f"/{NAMES[0]}.gz"]
    for path in (cache / "mnist").iterdir():
        path.unlink()
    # Without one, the message says what was tried and why it failed; nothing is left behind.
    second.answers.clear()
    started = time.monotonic()
    with pytest.raises(datasets.DownloadError) as caught:
        datasets.mnist()
    assert time.monotonic() - started < 5
    assert isinstance(caught.value, OSError)
    lines = str(caught.value).splitlines()
    assert lines[1].startswith(f"  {first.url}{NAMES[0]}.gz: ")
    assert re.search(message, lines[1])
    assert lines[2].startswith(f"  {second.url}{NAMES[0]}.gz: ")
    assert "404" in lines[2]
    assert "LENET_C_DATA" in lines[3]
    assert files_below(cache) == []


def test_no_server_at_all(cache, monkeypatch):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        published(monkeypatch, "mnist", mirrors=(url,))
        with pytest.raises(datasets.DownloadError, match=url):
            datasets.mnist()
    assert files_below(cache) == []


def test_interrupted_download_leaves_nothing(cache, mirrors, monkeypatch):
    def interrupt(file, sha256):
        raise KeyboardInterrupt

    monkeypatch.setattr(downloads, "_check", interrupt)
    with pytest.raises(KeyboardInterrupt):
        datasets.mnist()
    assert files_below(cache) == []


# Digits


def test_digits():
    pytest.importorskip("sklearn")
    (x, y), (xt, yt) = datasets.digits()
    assert x.shape == (1437, 28, 28)
    assert xt.shape == (360, 28, 28)
    assert x.dtype == xt.dtype == y.dtype == yt.dtype == np.uint8
    counts, test_counts = np.bincount(y), np.bincount(yt)
    assert (counts + test_counts).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    np.testing.assert_allclose(test_counts, (counts + test_counts) * 360 / 1797, atol=1)
    # The split never changes.

    assert yt[:12].tolist() == [1, 2, 3, 3, 4, 5, 6, 4, 9, 9, 8, 8]
    assert int(yt @ np.arange(360)) == 288622
    both = np.concatenate([x, xt]).astype(float)
    assert both.max() == 255
    mass = both.sum(axis=(1, 2))
    for axis in (1, 2):
        middle = both.sum(axis=3 - axis) @ np.arange(28) / mass
        assert np.abs(middle - 14).max() <= 0.51
        assert abs(middle.mean() - 14) < 0.05
    # Nearest class mean tells that pictures and labels belong together.
    means = np.stack([x[y == digit].mean(axis=0).ravel() for digit in range(10)])
    distances = ((xt.reshape(360, 1, -1) - means) ** 2).sum(axis=2)
    assert (distances.argmin(axis=1) == yt).mean() > 0.85


def test_digits_without_sklearn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ImportError, match=r"lenet_c\[sklearn\]"):
        datasets.digits()


def test_import_is_cheap():
    code = (
        "import numpy, sys; before = set(sys.modules); import lenet_c.datasets; "
        "new = set(sys.modules) - before; "
        "print([m for m in ('gzip', 'zipfile', 'urllib.request', 'hashlib', 'json', 'sklearn', "
        "'tqdm', 'PIL') if m in new])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
