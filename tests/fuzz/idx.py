"""IDX files, plain and gzipped: headers, sizes, cuts, and gzip that is all header."""

from __future__ import annotations

import gzip
import math
import os
import struct
import tempfile
import zlib
from random import Random

import numpy as np

from lenet_c import datasets
from tests.fuzz import hostile
from tests.fuzz.engine import Case, expect, scratch

NAMES = [
    "train-images-idx3-ubyte", "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte",
]  # fmt: skip


def header(kind: int, shape: tuple[int, ...], zeros: bytes = b"\0\0") -> bytes:
    """Give an IDX header."""
    sizes = b"".join(struct.pack(">I", size & 0xFFFFFFFF) for size in shape)
    return zeros + bytes([kind, len(shape) & 255]) + sizes


class Idx:
    """The fuzzer."""

    name = "idx"

    def __init__(self) -> None:
        self.folder = scratch()
        self.path = os.path.join(self.folder, "file.idx")

    def run(self, case: Case) -> None:
        """Read one file, or MNIST's four of which some are changed."""
        random = case.random
        if random.random() < 0.03:
            self.mnist(case)
            return
        content = self.content(random)
        case.show(content)
        with open(self.path, "wb") as file:
            file.write(content)
        ndim = random.choice([None, None, None, 1, 2, 3])
        item_shape = random.choice([None, None, None, (2,), (28, 28), ()])
        most = random.choice([1 << 30, 1 << 30, 100])
        result = case.call(
            datasets.read_idx, self.path, ndim=ndim, item_shape=item_shape, max_bytes=most,
            allowed=(ValueError,), names=[self.path],
        )  # fmt: skip
        wanted = self.read(content) if len(content) < 100000 else None
        if isinstance(result, np.ndarray):
            expect(result.dtype == np.uint8, f"dtype {result.dtype}")
            expect(result.nbytes <= most, f"{result.nbytes} bytes, at most {most} were asked for")
            expect(ndim is None or result.ndim == ndim, f"{result.ndim} dimensions")
            if len(content) < 100000:
                expect(wanted is not None, "read what is no IDX file")
                expect(np.array_equal(wanted, result), "other values than the file holds")
        elif "header crc" in str(result):
            pass  # zlib looks at it, and the plain reader does not
        elif wanted is not None and ndim is None and item_shape is None and wanted.nbytes <= most:
            expect(wanted.size == 0 or wanted.ndim > 4, f"refused a good file: {result}")

    @staticmethod
    def read(content: bytes) -> np.ndarray | None:
        """Read it in the plainest way; None: it is not such a file."""
        if content[:2] == b"\x1f\x8b":
            try:
                content = gzip.decompress(content)
            except (OSError, EOFError, zlib.error, struct.error):
                return None
        if len(content) < 4 or content[:3] != b"\0\0\x08":
            return None
        n = content[3]
        if len(content) < 4 + 4 * n or n == 0:
            return None
        shape = struct.unpack(f">{n}I", content[4 : 4 + 4 * n])
        if len(content) - 4 - 4 * n != math.prod(shape) or n > 32:
            return None
        if math.prod(size or 1 for size in shape) > 1 << 40:
            return None  # none of numpy's shapes
        return np.frombuffer(content, np.uint8, offset=4 + 4 * n).reshape(shape)

    def content(self, random: Random) -> bytes:
        """Give a file that is good, nearly good, or not."""
        shape = tuple(random.choice([0, 1, 1, 2, 2, 3, 28]) for _ in range(random.randrange(6)))
        if random.random() < 0.1:
            shape = tuple(random.choice([1, 2, 65536, 2**31, 2**32 - 1]) for _ in shape)
        count = math.prod(shape) if math.prod(shape) < 20000 else random.randrange(20000)
        plain = header(random.choice([8] * 8 + [9, 0, 255, 11]), shape) + random.randbytes(count)
        if random.random() < 0.5:
            plain = hostile.mutated(random, plain, 2)
        if random.random() < 0.5:
            return plain
        return self.gzipped(random, plain)

    def gzipped(self, random: Random, plain: bytes) -> bytes:
        """Pack it: whole, cut, in several members, with long headers, or with other ends."""
        way = random.randrange(10)
        packed = gzip.compress(plain, 1, mtime=0)
        if way == 0:
            return hostile.mutated(random, packed, 2)
        if way == 1:
            half = random.randrange(len(plain) + 1)
            parts = gzip.compress(plain[:half], 1, mtime=0), gzip.compress(plain[half:], 1, mtime=0)
            return parts[0] + random.choice([b"", b"\0" * 10, b"x"]) + parts[1]
        if way == 2:
            return packed + random.choice([b"\0", b"\0" * 1000, b"trailing", packed, b"\x1f\x8b"])
        if way == 3:
            # a name or a comment before the data
            flag = random.choice([8, 16, 24, 4, 2, 31])
            size = random.choice([0, 1, 100, 10000])
            return packed[:3] + bytes([flag]) + packed[4:10] + b"n" * size + b"\0" + packed[10:]
        if way == 4:
            size = 1 << random.randint(8, 16)
            if random.random() < 0.01:
                size = 16 << 20
            start = b"\x1f\x8b\x08" + bytes([random.choice([8, 16])]) + bytes(6)
            return start + b"n" * size  # all header
        if way == 5:
            return b"\x1f\x8b\x08\0" + bytes(6) + plain
        if way == 6:
            # members without content, one after the other
            empty = gzip.compress(b"", 1, mtime=0)
            many = 20000 if random.random() < 0.01 else random.choice([1, 10, 300])
            return empty * many + random.choice([b"", packed])
        if way == 7:
            # a bomb: what it unpacks to is more than its header says
            return gzip.compress(plain + bytes(random.choice([1, 1000, 1 << 20])), 1, mtime=0)
        return packed

    def mnist(self, case: Case) -> None:
        """MNIST's four files of 3 images, some of them changed."""
        random = case.random
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            for name in NAMES:
                shape = (3, 28, 28) if "images" in name else (3,)
                content = header(8, shape) + bytes(math.prod(shape))
                if random.random() < 0.3:
                    content = hostile.mutated(random, content, 2)
                name += random.choice(["", "", ".gz"])
                if name.endswith(".gz"):
                    content = gzip.compress(content, 1, mtime=0)
                case.show(content)
                if random.random() < 0.95:
                    with open(os.path.join(folder, name), "wb") as file:
                        file.write(content)
            result = case.call(datasets.mnist, folder, download=False, names=[folder])
            if isinstance(result, tuple):
                for images, labels in result:
                    expect(images.shape[1:] == (28, 28), f"images {images.shape}")
                    expect(len(images) == len(labels) and labels.max() < 10, "labels")
