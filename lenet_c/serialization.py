"""Model files: an .npz of stored members, checksummed, read without pickle.

The file is a zip archive that ``np.load(path, allow_pickle=False)`` opens too. Besides the
arrays it holds ``metadata`` (JSON as bytes, with the format's name and version) and ``checksum``
(SHA-256 over every other member's name, dtype, shape and bytes).
"""

from __future__ import annotations

import io
import math
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from lenet_c import checks, files
from lenet_c.files import name_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FORMAT", "LIMITS", "VERSION", "Limits", "ModelFileError", "name_of", "read", "write"]

FORMAT = "lenet_c"
VERSION = 1


@dataclass(frozen=True)
class Limits:
    """What a model file may have at most. What is larger is not written, and refused unread.

    Attributes
    ----------
    file : int
        Bytes. Reading takes three times the file's size of memory, and a few MB.
    metadata : int
        Bytes of the JSON with architecture and notes; read they take up to 35 times the memory.
    members : int
        Arrays, with the metadata and the checksum.
    directory : int
        Bytes of the zip file's directory.
    dimensions : int
        Of an array.
    depth : int
        Lists and dicts within one another, in the metadata.
    digits : int
        Of a whole number in the metadata.
    """

    file: int = 256 << 20
    metadata: int = 1 << 20
    members: int = 256
    directory: int = 64 << 10
    dimensions: int = 32
    depth: int = 100
    digits: int = 4300


LIMITS = Limits()

_DTYPES: dict[str, np.dtype[Any]] = {
    "<f4": np.dtype("<f4"),
    "<i8": np.dtype("<i8"),
    "|u1": np.dtype("u1"),
}
_RESERVED = ("metadata", "checksum")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,99}")
_NPY_HEADER = re.compile(
    r"\{'descr': '([^']*)', 'fortran_order': (True|False), 'shape': \(([\d, ]*)\), \} *\n"
)


class ModelFileError(ValueError):
    """A model file that is damaged, not a model file, or written by a newer version."""


def write(
    path: str | os.PathLike[str] | BinaryIO,
    metadata: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
) -> None:
    """Write a model file.

    A path is replaced whole or not at all: the file is written beside it, synced, then renamed
    (`lenet_c.files.replacing` says what is kept of the file that was there). Everything is copied
    once, before it is looked at: what other threads change meanwhile cannot damage the file.

    Parameters
    ----------
    path : path or binary file object
        Where to write. A file object is written to as it is, until it has taken everything.
    metadata : mapping
        Text to anything that JSON can hold: dicts with text as keys, lists (of tuples and arrays
        lists are made), text, finite numbers (also numpy's), truth values, None. ``"format"`` and
        ``"version"`` are set here.
    arrays : mapping of str to ndarray
        float32, int64 or uint8 arrays.

    Raises
    ------
    TypeError, ValueError
        If `path` is neither a path nor a file, a name, a dtype or the metadata cannot be stored,
        or something is larger than `LIMITS`.
    OSError
        If the file cannot be written, naming it.
    """
    files.put(path, _pack(metadata, arrays))


def read(
    path: str | os.PathLike[str] | BinaryIO, limits: Limits = LIMITS
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read a model file.

    Parameters
    ----------
    path : path or binary file object
        What to read. A file object is read from where it stands to its end.
    limits : Limits, optional
        What is accepted.

    Returns
    -------
    metadata : dict
        As written, with ``"format"`` and ``"version"``.
    arrays : dict of str to ndarray
        Writable arrays that own their memory.

    Raises
    ------
    ModelFileError
        If the file is damaged, is not a model file, or a newer version wrote it.
    OSError
        If it cannot be read, naming it.
    """
    name = name_of(path)
    if not isinstance(path, (str, os.PathLike)):
        files.check(path, "read")
        return _unpack(name, _content(name, path, limits), limits)
    with open(name, "rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        if size > limits.file:
            raise ModelFileError(f"{name}: {size} bytes; {_at_most(limits)}")
        return _unpack(name, _content(name, file, limits), limits)


def _content(name: str, file: BinaryIO, limits: Limits) -> bytes:
    magic = files.read_all(file, 3, name)  # and one more
    if magic != b"PK\x03\x04":
        raise ModelFileError(f"{name}: not a model file (it begins with {magic!r})")
    content = magic + files.read_all(file, limits.file - 4, name)
    if len(content) > limits.file:
        raise ModelFileError(f"{name}: more than {limits.file} bytes; {_at_most(limits)}")
    return content


def _at_most(limits: Limits) -> str:
    return f"a model file has at most {limits.file}, unless max_bytes says more"


class _Plain:
    """Makes values what JSON gives back, counting them; tells where one is that it cannot hold."""

    def __init__(self) -> None:
        self.left = LIMITS.metadata  # each takes a byte at least: more than so many cannot fit

    def of(self, value: Any, depth: int = 0) -> Any:
        self.left -= 1
        if self.left < 0 or depth > LIMITS.depth:
            raise ValueError(
                f"it has more than {LIMITS.metadata} values"
                if self.left < 0
                else f"more than {LIMITS.depth} lists and dicts within one another"
            )
        if isinstance(value, np.ndarray) and value.dtype.kind in "biufU":
            if value.size > self.left:
                raise ValueError(f"an array of {value.size} values is too large")
            value = value.tolist()
        elif isinstance(value, np.generic) and value.dtype.kind in "biufU":
            value = value.item()
        if value is None or isinstance(value, (bool, str)):
            return value
        if isinstance(value, int):
            return _whole(int(value))
        if isinstance(value, float):
            if not math.isfinite(value):
                raise ValueError(f"it has no {value}, only finite numbers")
            return float(value)
        if isinstance(value, (list, tuple)):
            return [self.of(item, depth + 1) for item in list(value)]
        if isinstance(value, dict):
            plain = {}
            for key, item in list(value.items()):
                if not isinstance(key, str):
                    raise TypeError(f"the key {checks.short(key)} is not text")
                plain[str(key)] = self.of(item, depth + 1)
            return plain
        raise TypeError(f"{checks.short(value)} is of type {type(value).__name__}")


def _whole(value: int) -> int:
    bits = LIMITS.digits * math.log2(10)  # a number so long is not put into digits to count them
    if value.bit_length() > bits + 1 or (
        value.bit_length() > bits - 1 and abs(value) >= 10**LIMITS.digits
    ):
        raise ValueError(f"a whole number of more than {LIMITS.digits} digits")
    return value


def encode(metadata: Mapping[str, Any]) -> bytes:
    """Give metadata as JSON, or an error where it does not fit or would come back otherwise."""
    import json

    about = {}
    plain = _Plain()
    for key, value in {**metadata, "format": FORMAT, "version": VERSION}.items():
        try:
            about[key] = plain.of(value)
            if json.loads(json.dumps(about[key])) != about[key]:  # halves of a surrogate pair
                raise ValueError("it would not come back the same")
        except (TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"{key}: JSON cannot hold it ({error})") from None
    text = json.dumps(about, allow_nan=False).encode()
    if len(text) > LIMITS.metadata:
        raise ValueError(f"metadata: {len(text)} bytes of JSON; at most {LIMITS.metadata} fit")
    return text


def _pack(metadata: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> bytes:
    import zipfile

    if len(arrays) > LIMITS.members - len(_RESERVED):
        raise ValueError(f"{len(arrays)} arrays; at most {LIMITS.members - len(_RESERVED)} fit")
    members = {"metadata": np.frombuffer(encode(metadata), np.uint8)}
    for name, array in arrays.items():
        if not _NAME.fullmatch(name) or name in _RESERVED:
            raise ValueError(f"array name {name!r} cannot be stored")
        array = np.asarray(array)
        little = array.dtype.newbyteorder("<")
        if little.str not in _DTYPES:
            raise ValueError(f"{name}: dtype {array.dtype}, want float32, int64 or uint8")
        # a copy, or another thread might change it between the checksum and the file
        members[name] = array.astype(little, order="C", copy=True)
    members["checksum"] = np.frombuffer(_digest(members), np.uint8)

    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, array in members.items():
            npy = io.BytesIO()
            np.lib.format.write_array(npy, array, version=(1, 0), allow_pickle=False)
            # ZipInfo's fixed date: the same model gives the same bytes.
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), npy.getvalue())
    if out.tell() > LIMITS.file:
        raise ValueError(f"the model takes {out.tell()} bytes; at most {LIMITS.file} are stored")
    return out.getvalue()


def _unpack(
    source: str, content: bytes, limits: Limits
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    members = _members(source, content, limits)
    del content
    if "metadata" not in members:
        raise ModelFileError(f"{source}: not a model file (no member 'metadata')")
    # Before the rest is looked at: a newer version may store what this one does not know.
    about = _metadata(source, members["metadata"], limits)
    arrays = {name: _array(f"{source}: {name}", member) for name, member in members.items()}
    del members
    checksum = arrays.pop("checksum", None)
    if checksum is None:
        raise ModelFileError(f"{source}: damaged (no member 'checksum')")
    if checksum.tobytes() != _digest(arrays):
        raise ModelFileError(f"{source}: damaged (its checksum does not match its content)")
    del arrays["metadata"]
    for name, array in arrays.items():
        arrays[name] = array.astype(array.dtype.newbyteorder("="), copy=True)
    return about, arrays


def _members(source: str, content: bytes, limits: Limits) -> dict[str, bytes]:
    import struct
    import zipfile

    end = content[-22:]
    # With a comment, which this library does not write, zipfile would look for another record.
    if end[:4] != b"PK\x05\x06" or end[20:] != b"\0\0":
        raise ModelFileError(f"{source}: truncated, or with bytes added (no end record)")
    # zipfile builds an object for each entry before it can be asked how many there are.
    size, start = struct.unpack_from("<II", end, 12)
    if size > limits.directory or content[-42:-38] == b"PK\x06\x07":
        raise ModelFileError(f"{source}: not a model file (its directory is too large)")
    if start + size != len(content) - len(end):
        raise ModelFileError(f"{source}: damaged (its directory is not where its end says)")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
            if len(entries) > limits.members:
                raise ModelFileError(
                    f"{source}: {len(entries)} members, want at most {limits.members}"
                )
            if any(e.compress_type or e.compress_size != e.file_size for e in entries):
                raise ModelFileError(f"{source}: has compressed members; a model file has none")
            if sum(e.file_size for e in entries) > len(content):
                raise ModelFileError(f"{source}: its members are larger than the file")
            members: dict[str, bytes] = {}
            for entry in entries:
                name = entry.filename[: -len(".npy")]
                if entry.filename != f"{name}.npy" or not _NAME.fullmatch(name) or name in members:
                    raise ModelFileError(f"{source}: unexpected member {entry.filename!r}")
                members[name] = archive.read(entry)
    except ModelFileError:
        raise
    except (
        zipfile.BadZipFile,
        EOFError,
        OverflowError,
        RuntimeError,  # also what zipfile has not implemented
        ValueError,
        struct.error,
    ) as error:
        raise ModelFileError(f"{source}: damaged ({error})") from error
    return members


def _array(what: str, content: bytes) -> np.ndarray:
    """Read one .npy; np.load would evaluate the header and might allocate what it claims."""
    if content[:8] != b"\x93NUMPY\x01\x00":
        raise ModelFileError(f"{what} is not a .npy array of version 1.0")
    start = 10 + int.from_bytes(content[8:10], "little")
    header = _NPY_HEADER.fullmatch(content[10:start].decode("latin-1"))
    if header is None or header[2] == "True":
        raise ModelFileError(f"{what} has a .npy header that this library does not write")
    dtype = _DTYPES.get(header[1])
    if dtype is None:
        raise ModelFileError(
            f"{what} has dtype {header[1]!r}, want little-endian float32, int64 or uint8"
        )
    sizes = [size.strip() for size in header[3].split(",") if size.strip()]
    if len(sizes) > LIMITS.dimensions or any(len(s) > 12 or not s.isdecimal() for s in sizes):
        raise ModelFileError(f"{what} has an impossible shape ({header[3]})")
    shape = tuple(map(int, sizes))
    count = 1
    for size in shape:
        count *= size
    if len(content) - start != count * dtype.itemsize:
        raise ModelFileError(
            f"{what} holds {len(content) - start} bytes; shape {shape} of {dtype} "
            f"wants {count * dtype.itemsize}"
        )
    try:
        return np.frombuffer(content, dtype, count, start).reshape(shape)
    except ValueError as error:
        raise ModelFileError(f"{what} has an impossible shape {shape}") from error


def _metadata(source: str, member: bytes, limits: Limits) -> dict[str, Any]:
    array = _array(f"{source}: metadata", member)
    if array.nbytes > limits.metadata:
        raise ModelFileError(
            f"{source}: {array.nbytes} bytes of metadata; a model file has at most "
            f"{limits.metadata}, unless max_metadata says more"
        )
    try:
        about = decode(array.tobytes().decode(), limits)
    except ValueError as error:
        raise ModelFileError(f"{source}: metadata is not JSON ({error})") from error
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise ModelFileError(f"{source}: not a model file (its format is not {FORMAT!r})")
    version = about.get("version")
    if type(version) is not int or version < 1:
        raise ModelFileError(
            f"{source}: version {checks.short(version)}, want a whole number from 1 on"
        )
    if version > VERSION:
        raise ModelFileError(
            f"{source}: written by a newer lenet_c: version {version}, "
            f"this one reads up to {VERSION}"
        )
    return about


def decode(text: str, limits: Limits = LIMITS) -> Any:
    """Give what JSON says; ValueError for what is none, or what `write` would refuse."""
    import json

    if len(text) > limits.metadata:
        raise ValueError(f"more than {limits.metadata} characters")
    if _depth(text) > limits.depth:  # or the parser might need more stack than there is
        raise ValueError(f"more than {limits.depth} lists and dicts within one another")
    try:
        return json.loads(text, parse_constant=_no_number, parse_float=_finite, parse_int=_whole_of)
    except RecursionError as error:
        raise ValueError(str(error)) from error


def _depth(text: str) -> int:
    """Give how deep lists and dicts of a JSON text lie within one another."""
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', "", text, flags=re.DOTALL).encode("utf-8", "replace")
    signs = np.frombuffer(bare, np.uint8)
    steps = np.isin(signs, list(b"[{")).astype(np.int8) - np.isin(signs, list(b"]}"))
    return int(np.cumsum(steps, dtype=np.int32).max(initial=0))


def _no_number(text: str) -> None:
    raise ValueError(f"it has {text}, want finite numbers")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        _no_number(text if len(text) < 80 else "a number that is too large")
    return value


def _whole_of(text: str) -> int:
    if len(text.lstrip("-")) > LIMITS.digits:
        raise ValueError(f"a whole number of more than {LIMITS.digits} digits")
    return int(text)


def _digest(members: Mapping[str, np.ndarray]) -> bytes:
    import hashlib

    digest = hashlib.sha256()
    for name in sorted(members):
        array = members[name]
        shape = ",".join(map(str, array.shape))
        digest.update(f"{name}\0{array.dtype.str}\0{shape}\0".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.digest()
