"""Pictures: arrays of any kind, and PNG, JPEG, BMP and PPM files with changed bytes."""

from __future__ import annotations

import io
import os
import struct
import zlib
from random import Random
from typing import Any

import numpy as np

from lenet_c import preprocess
from tests.fuzz import hostile
from tests.fuzz.engine import Case, expect, scratch


def chunk(kind: bytes, data: bytes) -> bytes:
    """Give a chunk of a PNG file, with its checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, depth: int, colour: int, data: bytes, more: bytes = b"") -> bytes:
    """Give a PNG file of what need not fit together."""
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + more
        + chunk(b"IDAT", zlib.compress(data, 1))
        + chunk(b"IEND", b"")
    )


class Pictures:
    """The fuzzer."""

    name = "pictures"

    def __init__(self) -> None:
        from PIL import Image

        self.path = os.path.join(scratch(), "picture")
        drawn = np.full((24, 20), 250, np.uint8)
        drawn[4:20, 8:12] = 10
        grey = Image.fromarray(drawn)
        self.files = []
        for mode, format, options in [
            ("L", "PNG", {}),
            ("RGB", "PNG", {}),
            ("RGBA", "PNG", {}),
            ("LA", "PNG", {}),
            ("P", "PNG", {"transparency": 0}),
            ("1", "PNG", {}),
            ("I;16", "PNG", {}),
            ("L", "JPEG", {}),
            ("RGB", "JPEG", {}),
            ("CMYK", "JPEG", {}),
            ("L", "BMP", {}),
            ("RGB", "BMP", {}),
            ("1", "BMP", {}),
            ("L", "PPM", {}),
            ("RGB", "PPM", {}),
            ("1", "PPM", {}),
        ]:
            file = io.BytesIO()
            grey.convert(mode).save(file, format, **options)
            self.files.append(file.getvalue())
        exif = Image.Exif()
        exif[0x0112] = 6
        file = io.BytesIO()
        grey.save(file, "JPEG", exif=exif)
        self.files += [
            file.getvalue(),
            b"P2\n3 2\n255\n0 1 2 3 4 255\n",
            b"P5 2 2 65535\n" + bytes(8),
        ]
        self.drawn = drawn

    def run(self, case: Case) -> None:
        """An array, or a file and what was read from it."""
        if case.random.random() < 0.5:
            given = self.array(case.random)
            case.show(given)
            self.character(case, given)
            return
        content = self.file(case.random)
        case.show(content)
        with open(self.path, "wb") as file:
            file.write(content)
        grey = case.call(
            preprocess.load_image, self.path, names=[self.path], allowed=(ValueError, MemoryError)
        )
        if isinstance(grey, np.ndarray):
            expect(grey.dtype == np.uint8 and grey.ndim == 2, f"{grey.dtype} {grey.shape}")
            self.character(case, grey)

    @staticmethod
    def character(case: Case, given: Any) -> None:
        """Bring it into MNIST's form, or in its place on a line."""
        line = None
        if case.random.random() < 0.3:
            line = case.random.uniform(-20, 40), case.random.uniform(0, 60)
        found = case.call(preprocess.character, given, names=["image", "line"], line=line)
        if isinstance(found, BaseException):
            return
        expect(type(found) is np.ndarray, f"a {type(found).__name__}")
        expect(found.dtype == np.uint8 and found.shape == (28, 28), f"{found.dtype} {found.shape}")
        expect(line is not None or found.any(), "no ink")

    def array(self, random: Random) -> Any:
        """Give something that may be a picture."""
        way = random.random()
        if way < 0.3:
            return hostile.value(random)
        if way < 0.302:
            # long strips
            long = random.choice([10**5, 4 * 10**6])
            sides = random.choice([(1, long), (2, long), (long, 1), (3, long // 3, 3)])
            return self.noise(random, sides, np.dtype("u1"))
        shape = (random.randint(1, 60), random.randint(1, 60))
        if random.random() < 0.3:
            shape = (*shape, random.choice([0, 1, 2, 3, 4, 5]))
        dtype = np.dtype(
            random.choice(["u1", "u1", "<u2", ">u2", "?", "<f4", "<f8", "f2", ">f4", "i4", "g"])
        )
        made = self.noise(random, shape, dtype)
        if dtype.kind == "f" and random.random() < 0.3 and made.size:
            with np.errstate(all="ignore"):
                made.reshape(-1)[random.randrange(made.size)] = random.choice(hostile.FLOATS)
        return hostile.twisted(random, made) if random.random() < 0.5 else made

    def noise(self, random: Random, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
        """Give noise, strokes on paper, or one value."""
        rng = np.random.default_rng(random.getrandbits(32))
        way = random.randrange(4)
        values = rng.random(shape) if way else np.full(shape, random.choice([0.0, 0.5, 1.0]))
        if way > 1:
            values = values * random.choice([0.0, 0.02, 0.3]) + 0.5
            a, b = sorted([random.randrange(shape[0]), random.randrange(shape[0])])
            values[a : b + 1, : random.randint(1, shape[1])] = random.choice([0.0, 1.0, 0.2])
        if dtype.kind == "b":
            return values > 0.5
        if dtype.kind in "ui":
            return (np.clip(values, 0, 1) * min(65535, np.iinfo(dtype).max)).astype(dtype)
        return (values * random.choice([1.0, 255.0, 1e-30])).astype(dtype)

    def file(self, random: Random) -> bytes:
        """Give a file that may be a picture."""
        way = random.random()
        if way < 0.55:
            return hostile.mutated(random, random.choice(self.files), 3)
        if way < 0.56:
            return random.choice(self.files)
        if way < 0.95:
            width, height = (random.choice([0, 1, 2, 8, 28, 100, 2**20, 2**31 - 1]) for _ in "wh")
            depth, colour = random.choice([1, 2, 4, 8, 16, 3]), random.choice([0, 2, 3, 4, 6, 1])
            if random.random() < 0.7:
                width, height = min(width, 100), min(height, 100)
            size = min(width * height * 8, 10000) + height % 1000
            more = random.choice(
                [
                    b"",
                    b"",
                    chunk(b"PLTE", bytes(random.choice([3, 6, 768, 5]))),
                    chunk(b"tRNS", bytes(2)),
                    chunk(b"gAMA", b"\0\0\0\0"),
                    chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(100))),
                    chunk(b"tEXt", b"a\0" + b"b" * 100),
                    chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(10**5))),
                    chunk(b"eXIf", b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0"),
                    chunk(b"acTL", bytes(8)),
                ]
            )
            return png(width, height, depth, colour, random.randbytes(1) * size, more)
        if way < 0.951:
            long = random.choice([10**5, 4 * 10**6, 12 * 10**6])
            width, height = random.choice([(1, long), (long, 1)])
            rows = (b"\0" + bytes(width)) * height
            data = bytearray(rows)
            data[len(data) // 2] = 255
            return png(width, height, 8, 0, bytes(data))
        head = random.choice([b"P5", b"P6", b"P2", b"P1", b"P4", b"P3", b"P7", b"Pf"])
        sizes = [str(random.choice([0, 1, 3, 28, -1, 10**9, 10**20])).encode() for _ in range(2)]
        most = random.choice([b"1", b"255", b"65535", b"0", b"99999999", b""])
        return (
            head
            + b"\n"
            + b" ".join(sizes)
            + b"\n"
            + most
            + b"\n"
            + random.randbytes(random.randrange(3000))
        )
