"""serialization: what is written comes back; what is damaged is refused; old files are safe."""

import contextlib
import dataclasses
import errno
import hashlib
import io
import json
import os
import stat
import struct
import sys
import threading
import tracemalloc
import zipfile

import numpy as np
import pytest

from lenet_c import LeNet5, serialization
from lenet_c.serialization import ModelFileError

METADATA = {"architecture": "lenet5-1998", "accuracy": 0.9904, "codes": [1, 2], "é": None}


def some_arrays():
    random = np.random.RandomState(0)
    return {
        "C1.weight": random.standard_normal((6, 5, 5)).astype(np.float32),
        "C1.bias": random.standard_normal(6).astype(np.float32),
        "steps": np.array([1, -(2**62)], np.int64),
        "codes": random.randint(0, 256, (10, 84)).astype(np.uint8),
        "scalar": np.array(1.5, np.float32),
        "nothing": np.zeros((0, 3), np.float32),
        "odd-values": np.array([np.nan, np.inf, -0.0, 1e-45], np.float32),
    }


def assert_same(result, metadata=METADATA, arrays=None):
    got_metadata, got_arrays = result
    arrays = some_arrays() if arrays is None else arrays
    assert got_metadata == {**metadata, "format": "lenet_c", "version": 1}
    assert set(got_arrays) == set(arrays)
    for name, array in arrays.items():
        got = got_arrays[name]
        assert got.dtype == array.dtype
        assert got.dtype.isnative
        assert got.shape == array.shape
        assert got.tobytes() == array.tobytes()
        assert got.flags.writeable
        assert got.flags.c_contiguous


@pytest.fixture
def content():
    file = io.BytesIO()
    serialization.write(file, METADATA, some_arrays())
    return file.getvalue()


def pack(members, compression=zipfile.ZIP_STORED):
    """Make a zip file of arrays, or of raw bytes, under any names."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, member in members.items():
            archive.writestr(name, npy(member) if isinstance(member, np.ndarray) else member)
    return file.getvalue()


def npy(array, **changes):
    file = io.BytesIO()
    np.save(file, array, **changes)
    return file.getvalue()


def as_json(**about):
    return np.frombuffer(json.dumps(about).encode(), np.uint8)


def forge(arrays, **about):
    """Make a file with a right checksum over whatever it says."""
    return sealed(as_json(**{"format": "lenet_c", "version": 1, **about}), arrays)


def sealed(text, arrays):
    members = {"metadata": text, **arrays}
    members["checksum"] = np.frombuffer(serialization._digest(members), np.uint8)
    return pack({f"{name}.npy": array for name, array in members.items()})


def replace_member(content, name, new):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    members[name] = new
    if new is None:
        del members[name]
    return pack(members)


# Round trips


@pytest.mark.parametrize("as_text", [False, True])
def test_path_round_trip(tmp_path, as_text):
    path = tmp_path / "model.lenet"
    path = str(path) if as_text else path
    serialization.write(path, METADATA, some_arrays())
    assert_same(serialization.read(path))
    assert os.listdir(tmp_path) == ["model.lenet"]


def test_file_object_round_trip():
    file = io.BytesIO(b"before")
    file.seek(6)
    serialization.write(file, METADATA, some_arrays())
    file.seek(6)
    assert_same(serialization.read(file))


def test_pipe_round_trip():
    reading, writing = os.pipe()
    arrays = {"a": np.arange(10)}
    with open(writing, "wb") as file:
        serialization.write(file, {}, arrays)
    with open(reading, "rb") as file:
        assert_same(serialization.read(file), {}, arrays)


def test_same_model_gives_same_bytes(content):
    again = io.BytesIO()
    serialization.write(again, METADATA, some_arrays())
    assert again.getvalue() == content


def test_numpy_reads_it(tmp_path, content):
    path = tmp_path / "model.npz"
    path.write_bytes(content)
    with np.load(path, allow_pickle=False) as loaded:
        assert json.loads(loaded["metadata"].tobytes())["format"] == "lenet_c"
        for name, array in some_arrays().items():
            np.testing.assert_array_equal(loaded[name], array)


def test_checksum_is_as_documented():
    file = io.BytesIO()
    serialization.write(file, {"k": 1}, {"b": np.zeros((2, 3), np.float32)})
    file.seek(0)
    with np.load(file) as loaded:
        text = loaded["metadata"].tobytes()
        digest = hashlib.sha256(b"b\0<f4\x002,3\0" + bytes(24))
        digest.update(b"metadata\0|u1\0%d\0" % len(text) + text)
        assert loaded["checksum"].tobytes() == digest.digest()


def test_views_and_byte_orders(tmp_path):
    base = np.arange(24, dtype=np.float32).reshape(4, 6)
    arrays = {
        "strided": base[::-2, 1::2],
        "fortran": np.asfortranarray(base),
        "big": base.astype(">f4"),
        "big_int": np.arange(3).astype(">i8"),
    }
    serialization.write(tmp_path / "m", {}, arrays)
    native = {
        name: np.ascontiguousarray(array).astype(array.dtype.newbyteorder("="))
        for name, array in arrays.items()
    }
    assert_same(serialization.read(tmp_path / "m"), {}, native)


@pytest.mark.parametrize(
    ("metadata", "arrays", "error", "message"),
    [
        ({}, {"a": np.zeros(3)}, ValueError, "a: dtype float64, want float32"),
        ({}, {"a": np.array([None])}, ValueError, "a: dtype object"),
        ({}, {"metadata": np.zeros(3, np.uint8)}, ValueError, "'metadata' cannot be stored"),
        ({}, {"checksum": np.zeros(3, np.uint8)}, ValueError, "'checksum' cannot be stored"),
        ({}, {"../a": np.zeros(3, np.uint8)}, ValueError, "cannot be stored"),
        ({}, {"": np.zeros(3, np.uint8)}, ValueError, "cannot be stored"),
        ({}, {f"a{i}": np.zeros(1, np.uint8) for i in range(255)}, ValueError, "255 arrays"),
        ({"a": float("nan")}, {}, ValueError, "JSON"),
        ({"a": b""}, {}, TypeError, "JSON"),
    ],
)
def test_what_cannot_be_written(tmp_path, metadata, arrays, error, message):
    with pytest.raises(error, match=message):
        serialization.write(tmp_path / "m", metadata, arrays)
    assert os.listdir(tmp_path) == []


def test_most_arrays_that_fit(tmp_path):
    arrays = {f"a{i:099d}": np.zeros(1, np.uint8) for i in range(254)}
    serialization.write(tmp_path / "m", {}, arrays)
    assert_same(serialization.read(tmp_path / "m"), {}, arrays)


def test_what_is_too_large_to_read_is_not_written(tmp_path, monkeypatch):
    serialization.write(tmp_path / "m", {}, {"a": np.zeros(2000, np.uint8)})
    small = dataclasses.replace(serialization.LIMITS, file=2000)
    with monkeypatch.context() as patch:
        patch.setattr(serialization, "LIMITS", small)
        with pytest.raises(ValueError, match="at most 2000"):
            serialization.write(tmp_path / "n", {}, {"a": np.zeros(2000, np.uint8)})
    with pytest.raises(ModelFileError, match="at most 2000, unless max_bytes says more"):
        serialization.read(tmp_path / "m", small)
    with open(tmp_path / "m", "rb") as file, pytest.raises(ModelFileError, match="more than 2000"):
        serialization.read(file, small)


# Damage


@pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
def test_every_flipped_byte(content, mask):
    """Each flip is refused, or (dates and the like in the zip's directory) changes nothing."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        starts = [(e.header_offset + 30 + len(e.filename), e.file_size) for e in archive.infolist()]
    members = {position for start, size in starts for position in range(start, start + size)}
    assert len(members) > 1000
    for position in range(len(content)):
        flipped = bytearray(content)
        flipped[position] ^= mask
        try:
            result = serialization.read(io.BytesIO(flipped))
        except ModelFileError:
            continue
        assert position not in members
        assert_same(result)


def test_every_flipped_byte_of_an_array_is_refused(content):
    for name, array in some_arrays().items():
        start = content.find(npy(array))
        assert start > 0 or name == "nothing"
        for position in range(start, start + len(npy(array))):
            flipped = bytearray(content)
            flipped[position] ^= 0x10
            with pytest.raises(ModelFileError, match="damaged"):
                serialization.read(io.BytesIO(flipped))


def test_every_truncation(tmp_path, content):
    for length in range(0, len(content), 7):
        with pytest.raises(ModelFileError):
            serialization.read(io.BytesIO(content[:length]))
    path = tmp_path / "short.lenet"
    path.write_bytes(content[:-1])
    with pytest.raises(ModelFileError, match=r"short\.lenet: truncated"):
        serialization.read(path)
    path.write_bytes(content + b"\n")
    with pytest.raises(ModelFileError, match=r"short\.lenet: truncated, or with bytes added"):
        serialization.read(path)


def test_random_damage(content):
    """Whatever happens to the bytes, the error is ModelFileError."""
    random = np.random.RandomState(0)
    for _ in range(2000):
        damaged = bytearray(content)
        for _ in range(random.randint(1, 5)):
            start = random.randint(4, len(damaged))
            length = random.randint(1, 9)
            damaged[start : start + length] = random.bytes(length)
        with contextlib.suppress(ModelFileError):
            assert_same(serialization.read(io.BytesIO(damaged)))


def test_changed_content_with_right_crc(content):
    changed = some_arrays()["C1.bias"]
    changed[0] += 1
    with pytest.raises(ModelFileError, match="checksum does not match"):
        serialization.read(io.BytesIO(replace_member(content, "C1.bias.npy", npy(changed))))
    about = as_json(**{**METADATA, "accuracy": 1.0, "format": "lenet_c", "version": 1})
    with pytest.raises(ModelFileError, match="checksum does not match"):
        serialization.read(io.BytesIO(replace_member(content, "metadata.npy", npy(about))))


@pytest.mark.parametrize(
    ("member", "message"),
    [
        ("C1.bias", "checksum does not match"),
        ("metadata", "not a model file .no member 'metadata'"),
        ("checksum", "no member 'checksum'"),
    ],
)
def test_missing_member(content, member, message):
    with pytest.raises(ModelFileError, match=message):
        serialization.read(io.BytesIO(replace_member(content, f"{member}.npy", None)))


# Files that are something else


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a model file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "not a model file .it begins with b'.x89PNG'"),
        (npy(np.zeros(3)), "not a model file"),
        (b"PK\x03\x04" + bytes(100), "no end record"),
        (pack({"a.txt": b"hello"}), "unexpected member 'a.txt'"),
        (pack({"../a.npy": b""}), "unexpected member"),
        (pack({"a.npy": np.zeros(3, np.float32)}), "no member 'metadata'"),
        (pack({"metadata.npy": b"{}"}), "metadata is not a .npy array"),
        (pack({"metadata.npy": np.frombuffer(b"{", np.uint8)}), "metadata is not JSON"),
        (pack({"metadata.npy": np.frombuffer(b"\xff", np.uint8)}), "metadata is not JSON"),
        (pack({"metadata.npy": np.full(200_000, ord("["), np.uint8)}), "metadata is not JSON"),
        (pack({"metadata.npy": np.frombuffer(b"[]", np.uint8)}), "its format is not 'lenet_c'"),
        (pack({"metadata.npy": as_json(format="x", version=1)}), "its format is not 'lenet_c'"),
    ],
)
def test_not_a_model(tmp_path, content, message):
    path = tmp_path / "other"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=message) as caught:
        serialization.read(path)
    assert str(caught.value).startswith(str(path))
    with pytest.raises(ModelFileError, match=message):
        serialization.read(io.BytesIO(content))


def test_newer_version():
    message = "written by a newer lenet_c: version 7, this one reads up to 1"
    with pytest.raises(ModelFileError, match=message):
        serialization.read(io.BytesIO(forge({"a": np.zeros(2, np.float16)}, version=7)))


@pytest.mark.parametrize("version", [0, -1, "1", 1.0, True, None])
def test_impossible_version(version):
    with pytest.raises(ModelFileError, match="want a whole number"):
        serialization.read(io.BytesIO(forge({}, version=version)))


@pytest.mark.parametrize("dtype", [">f4", "<f8", "<f2", "<i4", "|b1", "|S3", "<c8", "<M8[s]"])
def test_wrong_dtype(dtype):
    with pytest.raises(ModelFileError, match=r"a has dtype '.*', want little-endian float32"):
        serialization.read(io.BytesIO(forge({"a": np.zeros(2, dtype)})))


class Payload:
    ran = False

    def __reduce__(self):
        return (setattr, (Payload, "ran", True))


@pytest.mark.parametrize("name", ["a.npy", "metadata.npy"])
def test_pickles_are_refused(content, name):
    array = np.empty(1, object)
    array[0] = Payload()
    evil = npy(array, allow_pickle=True)
    with pytest.raises(ModelFileError, match=r"dtype '\|O'"):
        serialization.read(io.BytesIO(replace_member(content, name, evil)))
    np.load(io.BytesIO(evil), allow_pickle=True)
    assert Payload.ran  # the payload works where pickles are read
    Payload.ran = False
    with pytest.raises(ModelFileError):
        serialization.read(io.BytesIO(replace_member(content, name, evil)))
    assert not Payload.ran


def header(text):
    text = text.ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ("(4,)", "holds 12 bytes; shape .4,. of float32 wants 16"),
        ("(2,)", "holds 12 bytes"),
        ("()", "holds 12 bytes"),
        ("(1000000000, 1000000000)", "holds 12 bytes"),
        ("(0, 99999999999, 99999999999)", "holds 12 bytes"),
        ("(-3,)", "header that this library does not write"),
        ("(3 3)", "impossible shape"),
        ("(99999999999999999999,)", "impossible shape"),
        ("(" + "1," * 40 + ")", "impossible shape"),
        ("((((((((((((", "header that this library does not write"),
    ],
)
def test_lying_shapes(content, shape, message):
    member = header(f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}") + bytes(12)
    with pytest.raises(ModelFileError, match=f"a {message}|a has .*{message}"):
        serialization.read(io.BytesIO(replace_member(content, "a.npy", member)))


def test_empty_array_of_an_impossible_shape(content):
    shape = "(0, 99999999999, 99999999999)"
    member = header(f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}")
    with pytest.raises(ModelFileError, match="a has an impossible shape"):
        serialization.read(io.BytesIO(replace_member(content, "a.npy", member)))


def test_fortran_order_is_refused():
    array = np.asfortranarray(np.zeros((2, 3), np.float32))
    with pytest.raises(ModelFileError, match="does not write"):
        serialization.read(io.BytesIO(forge({"a": array})))


def assert_refused_in_little_memory(content, message):
    tracemalloc.start()
    try:
        with pytest.raises(ModelFileError, match=message):
            serialization.read(io.BytesIO(content))
        assert tracemalloc.get_traced_memory()[1] < 3 * len(content) + (1 << 20)
    finally:
        tracemalloc.stop()


def test_compression_bomb():
    member = npy(np.zeros(64 << 20, np.uint8))
    content = pack({"metadata.npy": member}, zipfile.ZIP_DEFLATED)
    assert len(content) < 1 << 20
    assert_refused_in_little_memory(content, "compressed members")


def test_members_that_overlap():
    """Many directory entries for one stored member: small file, large content."""
    one = pack({"a.npy": np.zeros(1 << 16, np.uint8)})
    start, size = (struct.unpack_from("<I", one, len(one) - 22 + at)[0] for at in (16, 12))
    entry = one[start : start + size]
    entries = b"".join(entry.replace(b"a.npy", b"%c.npy" % c) for c in b"abcdefghijklmnop")
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 16, 16, len(entries), start, 0)
    assert_refused_in_little_memory(one[:start] + entries + end, "larger than the file")


def test_directory_bomb():
    """zipfile would build an object for each of these entries."""
    one = pack({"a.npy": np.zeros(1, np.uint8)})
    start, size = (struct.unpack_from("<I", one, len(one) - 22 + at)[0] for at in (16, 12))
    entries = one[start : start + size] * 100_000
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 9, 9, len(entries), start, 0)
    assert_refused_in_little_memory(one[:start] + entries + end, "directory is too large")


def test_a_64_bit_directory_is_too_large():
    """Its end record, where a smaller one could hide it, is not followed."""
    one = pack({"a.npy": np.zeros(1, np.uint8)})
    locator = b"PK\x06\x07" + bytes(16)
    with pytest.raises(ModelFileError, match="directory is too large"):
        serialization.read(io.BytesIO(one[:-22] + locator + one[-22:]))


@pytest.mark.parametrize("comment", [1, 22, 65535])
def test_a_comment_is_refused(content, comment):
    """zipfile would look for another end record in it."""
    with pytest.raises(ModelFileError, match="truncated, or with bytes added"):
        serialization.read(io.BytesIO(content[:-2] + struct.pack("<H", comment)))
    hidden = (content[-22:] * 3000)[: comment // 22 * 22]
    commented = content[:-2] + struct.pack("<H", len(hidden)) + hidden
    if hidden:
        with pytest.raises(ModelFileError, match="its directory is not where its end says"):
            serialization.read(io.BytesIO(commented))


def test_data_before_the_archive_is_refused(content):
    """zipfile would take the archive behind it for the file."""
    with pytest.raises(ModelFileError, match="its directory is not where its end says"):
        serialization.read(io.BytesIO(content[:4] + bytes(100) + content))


def test_64_bit_sizes_of_a_member():
    one = bytearray(pack({"a.npy": np.zeros(1, np.uint8)}))
    start, size = (struct.unpack_from("<I", one, len(one) - 22 + at)[0] for at in (16, 12))
    entry = bytearray(one[start : start + size])
    entry[20:28] = b"\xff" * 8
    extra = struct.pack("<HHQQ", 1, 16, 1 << 40, 1 << 40)
    entry[30:32] = struct.pack("<H", len(extra))
    entry += extra
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 1, 1, len(entry), start, 0)
    assert_refused_in_little_memory(bytes(one[:start] + entry + end), "larger than the file")


def test_memory_of_reading_is_three_times_the_file(tmp_path):
    arrays = {"a": np.zeros(12 << 20, np.uint8), "b": np.ones(5 << 20, np.float32)}
    serialization.write(tmp_path / "m", {}, arrays)
    size = (tmp_path / "m").stat().st_size
    del arrays
    tracemalloc.start()
    try:
        serialization.read(tmp_path / "m")
        assert tracemalloc.get_traced_memory()[1] < 3 * size + (4 << 20)
    finally:
        tracemalloc.stop()


# Metadata


@pytest.mark.parametrize("value", [b"[],", b'{"":0},', b"[0],", b'"a",', b"[[]],"])
def test_metadata_bomb(value):
    """Small pieces of JSON take dozens of times their size."""
    text = b'{"format":"lenet_c","version":1,"notes":[' + value * ((16 << 20) // len(value))
    content = pack({"metadata.npy": np.frombuffer(text + b"0]}", np.uint8)})
    assert_refused_in_little_memory(content, "bytes of metadata; a model file has at most 1048576")


def test_the_most_metadata_takes_little_memory():
    text = b'{"format":"lenet_c","version":1,"notes":[' + b'{"":0},' * 149_000 + b"0]}"
    members = {"metadata": np.frombuffer(text, np.uint8)}
    assert 0.99 * serialization.LIMITS.metadata < len(text) <= serialization.LIMITS.metadata
    members["checksum"] = np.frombuffer(serialization._digest(members), np.uint8)
    content = pack({f"{name}.npy": array for name, array in members.items()})
    tracemalloc.start()
    try:
        serialization.read(io.BytesIO(content))
        assert tracemalloc.get_traced_memory()[1] < 40 << 20
    finally:
        tracemalloc.stop()


def test_limit_of_metadata_holds_in_writing_and_can_be_raised(tmp_path, monkeypatch):
    notes = {"text": "x" * (1 << 20)}
    with pytest.raises(ValueError, match=r"metadata: \d+ bytes of JSON; at most 1048576 fit"):
        serialization.write(tmp_path / "m", notes, {})
    more = dataclasses.replace(serialization.LIMITS, metadata=2 << 20)
    with monkeypatch.context() as patch:
        patch.setattr(serialization, "LIMITS", more)
        serialization.write(tmp_path / "m", notes, {})
    with pytest.raises(ModelFileError, match="at most 1048576, unless max_metadata says more"):
        serialization.read(tmp_path / "m")
    assert_same(serialization.read(tmp_path / "m", more), notes, {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("NaN", "it has NaN, want finite numbers"),
        ("-Infinity", "it has -Infinity, want finite"),
        ("1e999", "it has 1e999, want finite"),
        ("9" * 4301, "more than 4300 digits"),
        ("[" * 101 + "]" * 101, "more than 100 lists and dicts"),
        ('{"a":' * 101 + "1" + "}" * 101, "more than 100 lists and dicts"),
        ('["\\"]]]]",' + "[" * 100 + "]" * 100 + "]", "more than 100 lists and dicts"),
    ],
    ids=range(7),
)
def test_what_could_not_be_saved_again_is_not_read(text, message):
    about = f'{{"format":"lenet_c","version":1,"notes":{text}}}'.encode()
    content = pack({"metadata.npy": np.frombuffer(about, np.uint8)})
    with pytest.raises(ModelFileError, match=f"metadata is not JSON .*{message}"):
        serialization.read(io.BytesIO(content))


@pytest.mark.parametrize(
    "value",
    ['"[[[" ', 10**4300 - 1, 1 - 10**4300, "\ud800", "[" * 1000, '\\"' + "[" * 200],
    ids=["quote", "long", "negative", "surrogate", "brackets", "escaped"],
)
def test_odd_values_that_come_back(value):
    file = io.BytesIO()
    serialization.write(file, {"k": value}, {})
    file.seek(0)
    assert serialization.read(file)[0]["k"] == value


def test_the_deepest_that_is_written_is_read():
    value = []
    for _ in range(98):
        value = [value]
    for deep in (value, [value]):
        file = io.BytesIO()
        with contextlib.suppress(ValueError):
            serialization.write(file, {"k": deep}, {})
            file.seek(0)
            assert serialization.read(file)[0]["k"] == deep
    assert file.getvalue()
    with pytest.raises(ValueError, match="more than 100 lists and dicts"):
        serialization.write(io.BytesIO(), {"k": [[[value]]]}, {})


def twice(value, times=60):
    for _ in range(times):
        value = [value, value]
    return value


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (10**4300, ValueError, "more than 4300 digits"),
        (1 << 20_000, ValueError, "more than 4300 digits"),
        ({1: 2}, TypeError, "the key 1 is not text"),
        ({"a": {None: 2}}, TypeError, "the key None is not text"),
        ({"a": [np.float32("nan")]}, ValueError, "it has no nan"),
        (np.array([1.0, np.inf]), ValueError, "it has no inf"),
        (np.array([1j]), TypeError, "of type ndarray"),
        (np.zeros(2 << 20), ValueError, "an array of 2097152 values is too large"),
        (twice("x"), ValueError, "more than 1048576 values"),
        ("\ud83d\ude00", ValueError, "would not come back the same"),
        ({1, 2}, TypeError, "of type set"),
    ],
    ids=range(11),
)
def test_metadata_that_json_cannot_hold(value, error, message):
    with pytest.raises(error, match=f"^k: JSON cannot hold it .*{message}"):
        serialization.write(io.BytesIO(), {"k": value}, {})


def test_a_list_that_holds_itself():
    value = []
    value.append(value)
    with pytest.raises(ValueError, match=r"k: JSON cannot hold it .more than 100 lists"):
        serialization.write(io.BytesIO(), {"k": value}, {})


def test_numpy_in_metadata_becomes_python():
    file = io.BytesIO()
    metadata = {
        "loss": np.float32(0.5),
        "rate": np.float64(0.1),
        "n": np.int64(7),
        "is": np.bool_(True),
        "name": np.str_("x"),
        "each": np.arange(6, dtype=np.int16).reshape(2, 3),
        "scalar": np.array(2.0),
        "pair": (1, [np.uint8(2)]),
    }
    serialization.write(file, metadata, {})
    file.seek(0)
    got = serialization.read(file)[0]
    want = {
        **{"loss": 0.5, "rate": 0.1, "n": 7, "is": True, "name": "x"},
        **{"each": [[0, 1, 2], [3, 4, 5]], "scalar": 2.0, "pair": [1, [2]]},
    }
    assert {key: got[key] for key in want} == want


# Another thread


def test_arrays_that_change_meanwhile_do_not_damage_the_file():
    arrays = {"a": np.zeros(200_000, np.float32)}
    stop = threading.Event()

    def change():
        k = 0
        while not stop.is_set():
            k += 1
            arrays["a"].fill(k)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(40):
            file = io.BytesIO()
            serialization.write(file, {}, arrays)
            file.seek(0)
            serialization.read(file)
    finally:
        stop.set()
        thread.join()


def test_too_many_members():
    members = {f"a{i}.npy": np.zeros(1, np.uint8) for i in range(257)}
    with pytest.raises(ModelFileError, match="257 members"):
        serialization.read(io.BytesIO(pack(members)))


# The file system


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        serialization.read(tmp_path / "none")
    with pytest.raises(FileNotFoundError) as caught:
        serialization.write(tmp_path / "no" / "folder", {}, {})
    assert caught.value.filename == str(tmp_path / "no" / "folder")


def test_directory(tmp_path):
    with pytest.raises(OSError):
        serialization.read(tmp_path)
    with pytest.raises(ValueError, match="not a regular file"):
        serialization.write(tmp_path, {}, {})
    assert os.listdir(tmp_path) == []


class Failure(Exception):
    pass


@pytest.mark.parametrize("step", ["fsync", "replace", "interrupt"])
def test_failed_write_leaves_the_old_file(tmp_path, monkeypatch, step):
    path = tmp_path / "model"
    serialization.write(path, METADATA, some_arrays())
    error = KeyboardInterrupt if step == "interrupt" else Failure

    def fail(*_):
        assert len(os.listdir(tmp_path)) == 2  # the temporary file lies beside the target
        raise error

    monkeypatch.setattr(os, "fsync" if step == "interrupt" else step, fail)
    with pytest.raises(error):
        serialization.write(path, {}, {"a": np.zeros(3, np.float32)})
    assert os.listdir(tmp_path) == ["model"]
    assert_same(serialization.read(path))
    # Where there was no file, there is none.
    path.unlink()
    monkeypatch.setattr(
        os, "fsync" if step == "interrupt" else step, lambda *_: (_ for _ in ()).throw(error)
    )
    with pytest.raises(error):
        serialization.write(path, {}, {"a": np.zeros(3, np.float32)})
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="needs /dev/full")
def test_full_disk():
    with open("/dev/full", "wb", buffering=0) as file, pytest.raises(OSError) as caught:
        serialization.write(file, METADATA, some_arrays())
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, "/dev/full")


def test_synced_before_renamed(tmp_path, monkeypatch):
    steps = []
    sync, replace = os.fsync, os.replace

    def traced_sync(descriptor):
        folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        size = os.fstat(descriptor).st_size
        steps.append("folder" if folder else size)
        sync(descriptor)

    def traced_replace(source, target):
        steps.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", traced_sync)
    monkeypatch.setattr(os, "replace", traced_replace)
    serialization.write(tmp_path / "m", METADATA, some_arrays())
    size = (tmp_path / "m").stat().st_size
    assert steps == [size, "rename"] + ([] if sys.platform == "win32" else ["folder"])


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_permissions_follow_the_umask(tmp_path, mask):
    before = os.umask(mask)
    try:
        serialization.write(tmp_path / "m", {}, {})
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "m").stat().st_mode) == 0o666 & ~mask


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_link_stays_a_link(tmp_path):
    (tmp_path / "models").mkdir()
    link = tmp_path / "latest"
    link.symlink_to(tmp_path / "models" / "first")
    serialization.write(link, METADATA, some_arrays())
    assert link.is_symlink()
    assert_same(serialization.read(tmp_path / "models" / "first"))


def test_what_loads_can_be_saved(tmp_path):
    """As the file has it, the text fits; as it would be saved, with escapes, it may not."""
    network = LeNet5()
    network.save(tmp_path / "model.npz")
    metadata, arrays = serialization.read(tmp_path / "model.npz")
    for length in (100_000, 400_000):
        metadata["notes"] = {"about": "é" * length}
        text = json.dumps(metadata, ensure_ascii=False).encode()
        (tmp_path / "other.npz").write_bytes(sealed(np.frombuffer(text, np.uint8), arrays))
        if length == 100_000:
            LeNet5.load(tmp_path / "other.npz").save(tmp_path / "again.npz")
    with pytest.raises(ModelFileError, match=r"as it would be saved, metadata: 24\d+ bytes"):
        LeNet5.load(tmp_path / "other.npz")
    raised = LeNet5.load(tmp_path / "other.npz", max_metadata=2 << 20)
    assert len(raised.notes["about"]) == length
