"""Model files: an .npz of stored members, checksummed, read without pickle.

The file is a zip archive that ``np.load(path, allow_pickle=False)`` opens too. Besides the
arrays it holds ``metadata`` (JSON as bytes, with the format's name and version) and ``checksum``
(SHA-256 over every other member's name, dtype, shape and bytes).
"""

from __future__ import annotations

import io
import os
import re
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from lenet_c import checks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = [
    "FORMAT",
    "VERSION",
    "ModelFileError",
    "name_of",
    "read",
    "replacing",
    "target_of",
    "write",
]

FORMAT = "lenet_c"
VERSION = 1

_DTYPES: dict[str, np.dtype[Any]] = {
    "<f4": np.dtype("<f4"),
    "<i8": np.dtype("<i8"),
    "|u1": np.dtype("u1"),
}
_MAX_BYTES = 256 << 20
_MAX_MEMBERS = 256
_MAX_DIRECTORY = 64 << 10
_MAX_DIMENSIONS = 32
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

    A path is replaced whole or not at all: the file is written beside it, synced, then renamed.

    Parameters
    ----------
    path : path or binary file object
        Where to write. A file object is written to as it is.
    metadata : mapping
        Anything that JSON can hold. ``"format"`` and ``"version"`` are set here.
    arrays : mapping of str to ndarray
        float32, int64 or uint8 arrays.

    Raises
    ------
    TypeError, ValueError
        If `path` is neither a path nor a file, or a name, a dtype or the metadata cannot be stored.
    """
    content = _pack(metadata, arrays)
    if not isinstance(path, (str, os.PathLike)):
        _check_file(path, "write")
        path.write(content)
        return
    with replacing(path) as file:
        file.write(content)


def read(path: str | os.PathLike[str] | BinaryIO) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read a model file.

    Parameters
    ----------
    path : path or binary file object
        What to read. A file object is read from where it stands to its end.

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
    """
    name = name_of(path)
    if not isinstance(path, (str, os.PathLike)):
        _check_file(path, "read")
        return _unpack(name, path.read(_MAX_BYTES + 1))
    with open(name, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > _MAX_BYTES:
            raise ModelFileError(f"{name}: {size} bytes; a model file has at most {_MAX_BYTES}")
        magic = file.read(4)
        if magic != b"PK\x03\x04":
            raise ModelFileError(f"{name}: not a model file (it begins with {magic!r})")
        return _unpack(name, magic + file.read(_MAX_BYTES))


def name_of(path: str | os.PathLike[str] | BinaryIO) -> str:
    """Give what an error calls a file: its path, or its name if it is open and has one."""
    if isinstance(path, (str, os.PathLike)):
        return os.fsdecode(path)
    return str(getattr(path, "name", "model file"))


def target_of(path: str | os.PathLike[str]) -> str:
    """Give the file to write for `path`: a link to a model stays a link.

    Raises
    ------
    ValueError
        If something else than a file is there.
    """
    target = os.path.realpath(os.fsdecode(path))
    if os.path.exists(target) and not os.path.isfile(target):
        raise ValueError(f"{target}: not a regular file; nothing is written in its place")
    return target


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file that takes the place of `path` only once it is complete and on disk.

    Parameters
    ----------
    path : path
        The target. Until the block ends without an exception it stays as it is.

    Yields
    ------
    binary file object
        A temporary file in the target's folder, removed if the block fails.
    """
    target = target_of(path)
    folder = os.path.dirname(target)
    temporary = os.path.join(folder, f".lenet_c-{os.urandom(6).hex()}.tmp")
    try:
        # open, not tempfile: the file gets the permissions that the umask asks for.
        file = open(temporary, "xb")  # noqa: SIM115
    except OSError as error:
        raise OSError(error.errno, error.strerror, target) from None
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    _sync_folder(folder)


def _check_file(file: object, method: str) -> None:
    if not hasattr(file, method):
        raise TypeError(f"path: got {checks.short(file)}, want a path or a binary file")


def _sync_folder(folder: str) -> None:
    # Windows cannot open a folder, and some network file systems cannot sync one.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _pack(metadata: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> bytes:
    import json
    import zipfile

    if len(arrays) > _MAX_MEMBERS - len(_RESERVED):
        raise ValueError(f"{len(arrays)} arrays; at most {_MAX_MEMBERS - len(_RESERVED)} fit")
    about = {**metadata, "format": FORMAT, "version": VERSION}
    for key, value in about.items():
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"{key}: JSON cannot hold it ({error})") from None
    text = json.dumps(about, allow_nan=False).encode()
    members = {"metadata": np.frombuffer(text, np.uint8)}
    for name, array in arrays.items():
        if not _NAME.fullmatch(name) or name in _RESERVED:
            raise ValueError(f"array name {name!r} cannot be stored")
        array = np.asarray(array, order="C")
        little = array.dtype.newbyteorder("<")
        if little.str not in _DTYPES:
            raise ValueError(f"{name}: dtype {array.dtype}; wanted float32, int64 or uint8")
        members[name] = array.astype(little, copy=False)
    members["checksum"] = np.frombuffer(_digest(members), np.uint8)

    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, array in members.items():
            npy = io.BytesIO()
            np.lib.format.write_array(npy, array, version=(1, 0), allow_pickle=False)
            # ZipInfo's fixed date: the same model gives the same bytes.
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), npy.getvalue())
    if out.tell() > _MAX_BYTES:
        raise ValueError(f"the model takes {out.tell()} bytes; at most {_MAX_BYTES} are stored")
    return out.getvalue()


def _unpack(source: str, content: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    members = _members(source, content)
    if "metadata" not in members:
        raise ModelFileError(f"{source}: not a model file (no member 'metadata')")
    # Before the rest is looked at: a newer version may store what this one does not know.
    about = _metadata(source, _array(f"{source}: metadata", members["metadata"]))
    arrays = {name: _array(f"{source}: {name}", member) for name, member in members.items()}
    checksum = arrays.pop("checksum", None)
    if checksum is None:
        raise ModelFileError(f"{source}: damaged (no member 'checksum')")
    if checksum.tobytes() != _digest(arrays):
        raise ModelFileError(f"{source}: damaged (its checksum does not match its content)")
    del arrays["metadata"]
    return about, {
        name: array.astype(array.dtype.newbyteorder("="), copy=True)
        for name, array in arrays.items()
    }


def _members(source: str, content: bytes) -> dict[str, bytes]:
    import struct
    import zipfile

    if len(content) > _MAX_BYTES:
        raise ModelFileError(f"{source}: more than {_MAX_BYTES} bytes, the most a model file has")
    if content[:4] != b"PK\x03\x04":
        raise ModelFileError(f"{source}: not a model file (it begins with {content[:4]!r})")
    end = content[-22:]
    if end[:4] != b"PK\x05\x06":
        raise ModelFileError(f"{source}: truncated, or with bytes added (no end record)")
    # zipfile builds an object for each entry before it can be asked how many there are.
    if struct.unpack_from("<I", end, 12)[0] > _MAX_DIRECTORY or content[-42:-38] == b"PK\x06\x07":
        raise ModelFileError(f"{source}: not a model file (its directory is too large)")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
            if len(entries) > _MAX_MEMBERS:
                raise ModelFileError(f"{source}: {len(entries)} members, wanted <= {_MAX_MEMBERS}")
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
            f"{what} has dtype {header[1]!r}; wanted little-endian float32, int64 or uint8"
        )
    sizes = [size.strip() for size in header[3].split(",") if size.strip()]
    if len(sizes) > _MAX_DIMENSIONS or any(len(s) > 12 or not s.isdecimal() for s in sizes):
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


def _metadata(source: str, member: np.ndarray) -> dict[str, Any]:
    import json

    try:
        about = json.loads(member.tobytes())
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{source}: metadata is not JSON ({error})") from error
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise ModelFileError(f"{source}: not a model file (its format is not {FORMAT!r})")
    version = about.get("version")
    if type(version) is not int or version < 1:
        raise ModelFileError(
            f"{source}: version {checks.short(version)}; wanted a whole number from 1 on"
        )
    if version > VERSION:
        raise ModelFileError(
            f"{source}: written by a newer lenet_c: version {version}, "
            f"this one reads up to {VERSION}"
        )
    return about


def _digest(members: Mapping[str, np.ndarray]) -> bytes:
    import hashlib

    digest = hashlib.sha256()
    for name in sorted(members):
        array = members[name]
        shape = ",".join(map(str, array.shape))
        digest.update(f"{name}\0{array.dtype.str}\0{shape}\0".encode())
        digest.update(array.tobytes())
    return digest.digest()
