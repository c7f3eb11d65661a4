"""IDX files: two zero bytes, the type, the number of dimensions, each as 32 bits, then the values.

All numbers are big-endian. Files are not trusted: what the header claims is checked before memory
is taken for it.
"""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from lenet_c import checks

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["DamagedGzip", "Gunzip", "read_idx"]

CHUNK = 1 << 16
MAX_BYTES = 1 << 30  # of content, unless said otherwise
MAX_DEFLATE_RATIO = 1032  # what one byte of a gzip file can unpack to
_MAX_GZIP_RATIO = 2  # bytes of a gzip file for one of content, beside
_MAX_GZIP_EXTRA = 1 << 20  # these: more is not content but headers, or nothing
_MAX_GZIP_MEMBERS = 10_000  # gzip files one after the other, as some tools make for each 64 kB
# the types that data sets have, by their code in the header
_TYPES = {"uint8": (0x08, "unsigned bytes"), "int32": (0x0C, "32-bit integers")}


def read_idx(
    path: str | os.PathLike[str],
    *,
    ndim: int | None = None,
    item_shape: tuple[int, ...] | None = None,
    max_bytes: int = MAX_BYTES,
) -> npt.NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes, gzipped or not.

    Parameters
    ----------
    path : path
        The file. Whether it is gzipped is told from its content.
    ndim : int, optional
        The number of dimensions it must have. By default any from 1 to 4.
    item_shape : tuple of int, optional
        The shape that must follow the first dimension.
    max_bytes : int
        The most content to accept. Of a gzipped file at most twice as many bytes are read as it
        unpacks to, and 1 MiB: one that is all headers is refused there.

    Returns
    -------
    ndarray of uint8
        The values, in the shape that the file states.

    Raises
    ------
    ValueError
        If the file is not such a file, or its size does not match its header.
    """
    name = checks.path("path", path)
    with open(name, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        return read_open(name, file, size, ndim, item_shape, max_bytes)


def read_open(
    name: str,
    file: BinaryIO,
    size: int,
    ndim: int | None = None,
    item_shape: tuple[int, ...] | None = None,
    max_bytes: int = MAX_BYTES,
    *,
    dtype: str = "uint8",
    digest: Any = None,
) -> npt.NDArray[Any]:
    """Read an IDX file that is open, as `read_idx` does.

    Parameters
    ----------
    name : str
        What errors call the file.
    file : binary file
        At its beginning.
    size : int
        Its bytes.
    ndim, item_shape, max_bytes : as for `read_idx`
    dtype : str
        "uint8", or "int32".
    digest : hash of hashlib, optional
        Is updated with the unpacked content.

    Returns
    -------
    ndarray
    """
    packed = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    wanted = (ndim, item_shape, max_bytes)
    if not packed:
        return _read(name, file, size, True, wanted, dtype, digest)
    try:
        limit = size * MAX_DEFLATE_RATIO
        return _read(name, Gunzip(file), limit, False, wanted, dtype, digest)
    except DamagedGzip as error:
        raise ValueError(f"{name}: damaged gzip file ({error})") from error


class DamagedGzip(ValueError):
    """What is wrong with a gzip file, without its name."""


class Gunzip:
    """Unpacks a gzip file as gzip.GzipFile does, but in bounded memory, input and time.

    gzip.GzipFile reads a header byte by byte, however long it is, and any number of empty members.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._begin()
        self._packed = b""
        self._taken = self._given = self._members = 0

    def _begin(self) -> None:
        import zlib

        self._unpack = zlib.decompressobj(wbits=31)
        self._error = zlib.error

    def readinto(self, room: memoryview) -> int:
        """Fill some of `room`, in bytes; 0 at the end."""
        while True:
            if self._unpack.eof and not self._next_member():
                return 0
            if not self._packed:
                self._take()
            try:
                part = self._unpack.decompress(self._packed, len(room))
            except self._error as error:
                raise DamagedGzip(str(error)) from None
            self._packed = self._unpack.unconsumed_tail or self._unpack.unused_data
            if part:
                room[: len(part)] = part
                self._given += len(part)
                return len(part)

    def read(self, count: int) -> bytes:
        """Give `count` bytes, or what is left of them."""
        room = bytearray(count)
        done = 0
        while done < count and (got := self.readinto(memoryview(room)[done:])):
            done += got
        return bytes(room[:done])

    def _take(self) -> None:
        self._packed = self._file.read(CHUNK)
        self._taken += len(self._packed)
        if not self._packed:
            raise DamagedGzip("it is truncated")
        if self._taken > _MAX_GZIP_EXTRA + _MAX_GZIP_RATIO * self._given:
            raise DamagedGzip(f"{self._taken} bytes unpack to {self._given} only")

    def _next_member(self) -> bool:
        """Whether another gzip file follows, behind zeros."""
        self._packed = self._packed.lstrip(b"\0")
        while not self._packed:
            self._packed = self._file.read(CHUNK)
            if not self._packed:
                return False
            self._taken += len(self._packed)
            if self._taken > _MAX_GZIP_EXTRA + _MAX_GZIP_RATIO * self._given:
                raise DamagedGzip("it ends in zeros")
            self._packed = self._packed.lstrip(b"\0")
        self._members += 1
        if self._members >= _MAX_GZIP_MEMBERS:
            raise DamagedGzip(f"it has more than {_MAX_GZIP_MEMBERS} members")
        self._begin()
        return True


def _read(
    name: str,
    file: Any,
    available: int,
    exact: bool,
    wanted: tuple[int | None, tuple[int, ...] | None, int],
    dtype: str,
    digest: Any,
) -> npt.NDArray[Any]:
    ndim, item_shape, max_bytes = wanted
    code, described = _TYPES[dtype]
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0":
        raise ValueError(
            f"{name}: not an IDX file (it begins with {magic!r}, want two zero bytes, "
            "the type and the number of dimensions)"
        )
    if magic[2] != code:
        raise ValueError(f"{name}: values of type 0x{magic[2]:02x}, want 0x{code:02x}, {described}")
    if magic[3] not in (range(1, 5) if ndim is None else (ndim,)):
        raise ValueError(
            f"{name}: {magic[3]} dimensions, want {'1 to 4' if ndim is None else ndim}"
        )
    header = file.read(4 * magic[3])
    if len(header) < 4 * magic[3]:
        raise ValueError(f"{name}: truncated in its header")
    shape = tuple(int.from_bytes(header[i : i + 4], "big") for i in range(0, len(header), 4))
    if item_shape is not None and shape[1:] != item_shape:
        raise ValueError(f"{name}: items of {shape[1:]}, want {item_shape}")
    item = np.dtype(dtype).newbyteorder(">")
    count = math.prod(shape) * item.itemsize
    if count == 0:
        raise ValueError(f"{name}: its header says {shape}, which is empty")
    if count > max_bytes:
        raise ValueError(f"{name}: its header says {shape}, want at most {max_bytes} bytes")
    available -= len(magic) + len(header)
    if count > available or (exact and count != available):
        raise ValueError(
            f"{name}: its header says {shape}, {count} bytes; the file "
            + (f"has {available}" if exact else f"can unpack to {available} at most")
        )

    values = np.empty(count, np.uint8)
    view = values.data
    done = 0
    while done < count:
        got = file.readinto(view[done : done + CHUNK])
        if not got:
            raise ValueError(f"{name}: its header says {shape}, {count} bytes; it has {done}")
        done += got
    if file.read(1):
        raise ValueError(f"{name}: its header says {shape}, {count} bytes; it has more")
    if digest is not None:
        digest.update(magic + header)
        digest.update(values)
    return values.view(item).astype(dtype, copy=False).reshape(shape)
