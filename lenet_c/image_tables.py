"""Images with labels in other forms than IDX: Keras's .npz and Kaggle's .csv."""

from __future__ import annotations

import math
import os
import warnings
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from lenet_c import checks
from lenet_c.idx import CHUNK, MAX_BYTES, MAX_DEFLATE_RATIO

if TYPE_CHECKING:
    import numpy.typing as npt

    Bytes = npt.NDArray[np.uint8]

__all__ = ["read_csv", "read_npz"]

SIDE = 28
_LONGEST_LINE = 1 << 16  # characters
_LABELS = ("label", "class")
_MEMBERS = ("x_train", "y_train", "x_test", "y_test")


# ---- .npz ----


def read_npz(
    path: str | os.PathLike[str],
) -> tuple[tuple[Bytes, Bytes], tuple[Bytes, Bytes]]:
    """Read a data set as Keras keeps it, ``mnist.npz``.

    Parameters
    ----------
    path : path
        An .npz file with x_train and x_test, uint8 (N, 28, 28), and y_train and y_test, integers
        from 0 to 255 (N,). It is read without pickle, and what a header claims is checked before
        memory is taken for it.

    Returns
    -------
    (x, y), (xt, yt) : tuples of uint8 arrays

    Raises
    ------
    ValueError
        If the file is no such file.
    """
    import zlib
    from zipfile import BadZipFile, ZipFile

    name = checks.path("path", path)
    arrays = []
    try:
        with open(name, "rb") as file, ZipFile(file) as archive:
            for member in _MEMBERS:
                info = archive.getinfo(f"{member}.npy")
                with archive.open(info) as content:
                    most = MAX_DEFLATE_RATIO * max(1, info.compress_size)
                    arrays.append(
                        _array(f"{name}: {member}", content, min(info.file_size, most), member)
                    )
    except KeyError as error:
        raise ValueError(f"{name}: {error.args[0]}; want {', '.join(_MEMBERS)}") from None
    except (BadZipFile, EOFError, RuntimeError, zlib.error) as error:
        raise ValueError(f"{name}: damaged .npz file ({error})") from error
    x, y, xt, yt = arrays
    return (x, y), (xt, yt)


def _array(what: str, file: Any, size: int, member: str) -> Bytes:
    """Read an .npy of images or labels, whose file has at most so many bytes."""
    form = np.lib.format
    try:
        version = form.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"version {version} of the form .npy")
        read = form.read_array_header_1_0 if version == (1, 0) else form.read_array_header_2_0
        shape, in_columns, dtype = read(file)
    except ValueError as error:
        raise ValueError(f"{what}: not a .npy array ({error})") from None
    if member[0] == "x":
        wanted, fits = "uint8 (N, 28, 28)", dtype == np.uint8 and shape[1:] == (SIDE, SIDE)
    else:
        wanted, fits = "integers (N,)", dtype.kind in "iu" and len(shape) == 1
    if not fits or in_columns or not shape or not shape[0]:
        raise ValueError(f"{what}: got {dtype} {shape}, want {wanted}")
    count = math.prod(shape) * dtype.itemsize
    if count > min(size, MAX_BYTES):
        raise ValueError(f"{what}: its header says {shape}, more than the file can have")
    content = np.empty(count, np.uint8)
    done = 0
    while done < count:
        got = file.readinto(content.data[done : done + CHUNK])
        if not got:
            raise ValueError(f"{what}: its header says {shape}, {count} bytes; it has {done}")
        done += got
    values = content.view(dtype).reshape(shape)
    if values.min() < 0 or values.max() > 255:
        raise ValueError(f"{what}: has {values.min()} to {values.max()}, want 0 to 255")
    return values.astype(np.uint8, copy=False)


# ---- .csv ----


def read_csv(path: str | os.PathLike[str]) -> tuple[Bytes, Bytes | None]:
    """Read a table of images as Kaggle has them: a row an image, a column a pixel.

    Parameters
    ----------
    path : path
        A .csv file of whole numbers from 0 to 255, with a heading or without: 784 pixels, and
        before them the label, if there is one. With a heading the label may be anywhere: the
        column that it calls "label" or "class".

    Returns
    -------
    images : uint8 array (N, 28, 28)
    labels : uint8 array (N,), or None
        None if there are 784 columns alone, as in a table to hand in answers for.

    Raises
    ------
    ValueError
        If the file is no such table; with the line.

    Examples
    --------
    >>> images, labels = datasets.read_csv("train.csv")                   # doctest: +SKIP
    """
    name = checks.path("path", path)
    with open(name, encoding="utf-8-sig", errors="replace") as file:
        first = file.readline(_LONGEST_LINE)
        cells = [cell.strip().strip('"').lower() for cell in first.split(",")]
        n = len(cells)
        pixels = SIDE * SIDE
        if n not in (pixels, pixels + 1):
            raise ValueError(
                f"{name}: its first line has {n:,} cells, want {pixels + 1}, a label and {SIDE}x"
                f"{SIDE} pixels, or {pixels} without a label"
            )
        named = [cells.index(one) for one in _LABELS if one in cells]
        has_heading = bool(named) or not any(map(_is_number, cells))
        if has_heading and bool(named) != (n > pixels):
            raise ValueError(
                f"{name}: its heading has {n} columns, {'one' if named else 'none'} of them called "
                f"label or class; want {pixels} pixels, and beside them such a column or none"
            )
        label = named[0] if named else 0
        if not has_heading:
            file.seek(0)
        table = _table(name, file, n, int(has_heading))
    if n == pixels:
        return table.reshape(-1, SIDE, SIDE), None
    labels = table[:, label].copy()
    images = np.delete(table, label, axis=1).reshape(-1, SIDE, SIDE)
    return np.ascontiguousarray(images), labels


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _table(name: str, file: TextIO, columns: int, headings: int) -> Bytes:
    try:
        with warnings.catch_warnings():
            # an empty table, and numbers that are not whole, are warned of only
            warnings.simplefilter("error")
            return np.loadtxt(file, np.uint8, delimiter=",", comments=None, ndmin=2)
    except (ValueError, Warning) as error:
        raise ValueError(
            f"{name}: want rows of {columns} whole numbers from 0 to 255"
            f" ({_first_fault(file, columns, headings) or error})"
        ) from None


def _first_fault(file: TextIO, columns: int, headings: int) -> str | None:
    """Say what is wrong with the first line that is no row, if one is."""
    file.seek(0)
    for number, line in enumerate(file, 1):
        cells = [cell.strip() for cell in line.split(",")]
        if number <= headings or cells == [""]:
            continue
        if len(cells) != columns:
            return f"line {number} has {len(cells):,}"
        for cell in cells:
            if not cell.isdecimal() or int(cell.lstrip("0")[:4] or "0") > 255:
                return f"line {number} has {checks.short(cell)}"
    return None
