"""Values that callers should not pass, and bytes that files should not hold."""

from __future__ import annotations

import array
import math
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np

NUMBERS = [
    0, 1, -1, 2, 3, 7, 8, 9, 16, 17, 28, 32, 64, 100, 127, 128, 255, 256, 257, 1000, 1024, 1025,
    4095, 4096, 4097, 65535, 65536, 2**24, 2**24 + 1, 2**31 - 1, 2**31, 2**32 - 1, 2**32,
    2**46, 2**62, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**31), -(2**63), -(2**64), 10**30, 10**400,
]  # fmt: skip
FLOATS = [
    math.nan, math.inf, -math.inf, 0.0, -0.0, 1e-300, 5e-324, 1e-38, 1e-45, 0.5, 1.0, 1.5, -1.0,
    3.4e38, 3.5e38, 1e300, -1e300, 1e30,
]  # fmt: skip
TEXTS = [
    "", "x", "map", "conv", "C1", "C3.bias", "nan", "a\0b", "\ud800", "é", "x" * 5000, "../..",
    "%s%n", "{0}", "\n", "train", "1",
]  # fmt: skip
DTYPES = [
    "u1", "i1", "<u2", ">u2", "<i4", ">i4", "<i8", ">i8", "<u8", ">u8", "<f2", "<f4", ">f4", "<f8",
    ">f8", "<c8", "?", "S3", "<U2", "<M8[s]", "<m8[s]", "O", "V4", "g",
]  # fmt: skip


class LyingArray:
    """An object that says that it is an array and is none."""

    def __init__(self, given: object) -> None:
        self.given = given
        self.shape, self.dtype, self.ndim, self.size = (3, 28, 28), np.dtype("u1"), 3, 3 * 784

    def __array__(self, dtype: object = None, copy: object = None) -> Any:
        return self.given

    def __len__(self) -> int:
        return 3

    def __repr__(self) -> str:
        return f"LyingArray({type(self.given).__name__})"


class LyingIndex:
    """An object that is a whole number by `__index__` alone."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __index__(self) -> int:
        return self.value

    def __repr__(self) -> str:
        return f"LyingIndex({self.value})"


class SubInt(int):
    """A kind of int."""


class SubStr(str):
    """A kind of str."""

    __slots__ = ()


class SubArray(np.ndarray):
    """A kind of array."""


class Empty:
    """An object with nothing."""

    def __repr__(self) -> str:
        return "Empty()"


def _recursive() -> list[Any]:
    own: list[Any] = []
    own.append(own)
    return own


def _nested(depth: int) -> list[Any]:
    own: list[Any] = []
    for _ in range(depth):
        own = [own]
    return own


def shape(random: Random, most: int = 40) -> tuple[int, ...]:
    """Give a shape of up to 5 dimensions, of few values."""
    sizes = [
        random.choice([0, 1, 1, 2, 3, 4, 8, 10, 12, 28, 32]) for _ in range(random.randrange(6))
    ]
    while math.prod(sizes) > most * most * 16:
        sizes.pop()
    return tuple(sizes)


def of_dtype(random: Random, wanted: tuple[int, ...], dtype: str) -> np.ndarray:
    """Give an array of some values, often special ones."""
    made = np.zeros(wanted, np.dtype(dtype))
    if made.dtype.kind in "iub" and made.size:
        info = (
            (0, 1)
            if made.dtype.kind == "b"
            else (np.iinfo(made.dtype).min, np.iinfo(made.dtype).max)
        )
        made[...] = random.choice([0, 1, 1, 5, 9, 10, info[0], info[1]]) if info[1] > 9 else 1
    elif made.dtype.kind in "fc" and made.size:
        with np.errstate(all="ignore"):
            made[...] = random.choice(FLOATS)
        if random.random() < 0.5:
            kept = made.reshape(-1)[0]
            made[...] = 0.25
            made.reshape(-1)[random.randrange(made.size)] = kept
    return made


def array_like(random: Random) -> Any:
    """Give an array, or what passes for one, in an unusual form."""
    wanted = shape(random)
    made = of_dtype(random, wanted, random.choice(DTYPES))
    return twisted(random, made)


def twisted(random: Random, made: np.ndarray) -> Any:
    """Give the same values in another form: strided, read-only, a subclass, a buffer."""
    way = random.randrange(12)
    if way == 0:
        made = made.copy()
        made.flags.writeable = False
    elif way == 1 and made.ndim:
        made = made[::-1]
    elif way == 2 and made.ndim:
        made = np.repeat(made, 2, axis=-1)[..., ::2]
    elif way == 3:
        made = np.asfortranarray(made)
    elif way == 4:
        made = made.view(SubArray)
    elif way == 5 and made.dtype.kind != "O":
        made = np.ma.masked_array(made)
    elif way == 6 and made.ndim:
        made = made.T
    elif way == 7 and made.dtype.itemsize and made.dtype.kind not in "O":  # not aligned
        room = np.zeros(made.nbytes + 1, np.uint8)
        moved = room[1:].view(made.dtype) if made.nbytes else made.reshape(-1)
        moved = moved.reshape(made.shape)
        moved[...] = made
        made = moved
    elif way == 8:
        return made.tolist()
    elif way == 9 and made.dtype.kind in "iuf" and made.dtype.isnative:
        return memoryview(np.ascontiguousarray(made))
    elif way == 10:
        return made.astype(made.dtype.newbyteorder())
    return made


_OTHER: list[Callable[[Random], Any]] = [
    lambda random: None,
    lambda random: random.random() < 0.5,
    lambda random: random.choice(NUMBERS),
    lambda random: random.choice(FLOATS),
    lambda random: random.choice(TEXTS),
    lambda random: random.choice([b"", b"x", bytearray(784), b"\0" * 784]),
    lambda random: random.choice([[], (), {}, set(), [[]], [None], ["C1"], {"C1": 1}, [1, [2]]]),
    lambda random: random.choice([object(), Empty(), Empty, len, np, type, ...]),
    lambda random: LyingArray(random.choice([None, 3, [1], "x", np.zeros(3), np.zeros((2, 2, 2))])),
    lambda random: LyingIndex(random.choice(NUMBERS)),
    lambda random: SubInt(random.choice([0, 1, 3])),
    lambda random: SubStr(random.choice(TEXTS)),
    lambda random: array.array(random.choice("Bfdiq"), [1, 2, 3]),
    lambda random: random.choice([np.float32(1), np.float64("nan"), np.int8(-1), np.uint64(2**63)]),
    lambda random: random.choice([np.bool_(True), np.str_("map"), np.datetime64("2000"), 1 + 2j]),
    lambda random: random.choice([_recursive(), _nested(30), _nested(3000)]),
    lambda random: (k for k in range(3)),
    lambda random: np.broadcast_to(
        np.zeros((), random.choice(["u1", "f4", "i8"])),
        random.choice([(2**40, 28, 28), (2**59,), (2**33, 1, 1), (3, 2**31, 1), (2**31 + 1, 28)]),
    ),
    lambda random: np.zeros(random.choice([(2**40, 0), (0, 2**60), (0, 28, 28), (2, 0, 28)]), "u1"),
]  # fmt: skip


def value(random: Random) -> Any:
    """Give anything."""
    if random.random() < 0.4:
        return array_like(random)
    return random.choice(_OTHER)(random)


# ---- bytes ---------------------------------------------------------------------------------------

INTERESTING = [
    b"\0", b"\xff", b"\x7f", b"\x80", b"\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x80\0\0\0", b"\0\0\0\x80", b"\1\0\0\0",
    b"\0\0\0\1",
    b"PK\3\4", b"PK\1\2", b"PK\5\6", b"PK\6\6", b"PK\6\7", b"\x93NUMPY", b"NaN", b"1e999",
]  # fmt: skip


def mutated(random: Random, content: bytes, most: int = 4) -> bytes:
    """Change bytes: flips, cuts, copies, numbers that are limits."""
    data = bytearray(content)
    for _ in range(random.randint(1, most)):
        way = random.randrange(9)
        at = random.randrange(len(data) + 1)
        if way == 0 and at < len(data):
            data[at] ^= 1 << random.randrange(8)
        elif way == 1 and at < len(data):
            data[at] = random.randrange(256)
        elif way == 2:
            del data[at:]
        elif way == 3:
            del data[at : at + random.choice([1, 2, 4, 16, 100])]
        elif way == 4:
            data[at:at] = random.choice(INTERESTING)
        elif way == 5:
            new = random.choice(INTERESTING)
            data[at : at + len(new)] = new
        elif way == 6:
            data[at:at] = data[at : at + random.choice([1, 4, 50, 300])]
        elif way == 7:
            data += random.choice([b"\0", b"\0" * 100, b"PK\5\6" + bytes(18), bytes(data[:50])])
        elif at < len(data):
            data[at] = (data[at] + random.choice([1, -1])) % 256
    return bytes(data)
