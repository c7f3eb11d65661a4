"""Exported C files, compiled and called."""

from __future__ import annotations

import ctypes
import os
import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np

from tests.sanitized import without

STRICT = ("-Wall", "-Wextra", "-Wpedantic", "-Werror")


def compiler() -> list[str]:
    """Give the C compiler's command."""
    return shlex.split(os.environ.get("CC", "cc"))


def has_compiler() -> bool:
    return shutil.which(compiler()[0]) is not None


def run(command, **options):
    """Run a compiler or an emulator."""
    return subprocess.run(command, capture_output=True, text=True, env=without(), **options)


def compile_c(source, to, *flags, command=None):
    """Compile with all warnings as errors."""
    command = compiler() if command is None else command
    done = run([*command, *STRICT, *map(str, flags), str(source), "-o", str(to)])
    assert done.returncode == 0, done.stderr


class Exported:
    """A file's functions, called as a C program does, with room that is checked for its ends."""

    GUARD = 0x7FC0BEEF

    def __init__(self, source: Path, *flags: str, prefix: str | None = None) -> None:
        self.source, self.prefix = source, source.stem if prefix is None else prefix
        library = source.with_suffix(".so")
        compile_c(source, library, "-std=c99", "-O1", "-shared", "-fPIC", *flags)
        self._library = ctypes.CDLL(str(library))
        text = source.read_text(encoding="ascii")
        self.macros = {}
        for line in text.splitlines():
            words = line.split()
            if words[:1] == ["#define"] and len(words) > 2:
                self.macros[words[1].removeprefix(self.prefix.upper() + "_")] = words[2]
        self.classes = int(self.macros["CLASSES"])

    def scratch(self):
        """Make a scratch that is full of NaN, with a guard behind it."""
        floats = np.full(int(self.macros["SCRATCH"]) + 8, np.nan, np.float32)
        floats[-8:].view(np.uint32)[:] = self.GUARD
        return floats

    def function(self, name):
        return getattr(self._library, f"{self.prefix}_{name}")

    def read(self, images):
        """Give classes and outputs of images."""
        scratch, found = self.scratch(), np.empty((len(images), self.classes), np.float32)
        read = self.function("read")
        classes = [
            read(pointer(np.ascontiguousarray(image)), pointer(row), pointer(scratch))
            for image, row in zip(images, found, strict=True)
        ]
        assert (scratch[-8:].view(np.uint32) == self.GUARD).all()
        return np.array(classes), found

    def read_strip(self, strip, capacity=256):
        """Give the classes of a strip's characters and their columns."""
        scratch = self.scratch()
        characters, columns = np.full((2, capacity + 1), -7, np.int32)
        n = self.function("read")(
            *(pointer(np.ascontiguousarray(strip)), strip.shape[-1]),
            *(pointer(characters), pointer(columns), capacity, pointer(scratch)),
        )
        assert (scratch[-8:].view(np.uint32) == self.GUARD).all()
        assert characters[capacity] == columns[capacity] == -7
        return n, characters[: min(n, capacity)], columns[: min(n, capacity)]

    def stream(self, strip):
        """Give the outputs of all positions of a strip, columns by columns."""
        window, step = int(self.macros["WINDOW"]), int(self.macros["STEP"])
        scratch, found, classes = self.scratch(), [], []
        for begin in range(0, strip.shape[-1] - window + 1, step):
            outputs = np.empty(self.classes, np.float32)
            first, name = (begin, "start") if begin == 0 else (begin + window - step, "next")
            columns = np.ascontiguousarray(strip[..., first : begin + window])
            classes.append(
                self.function(name)(
                    pointer(columns), columns.shape[-1], pointer(outputs), pointer(scratch)
                )
            )
            found.append(outputs)
        assert (scratch[-8:].view(np.uint32) == self.GUARD).all()
        return np.array(classes), np.array(found)


def pointer(array):
    """Point to an array, and keep it."""
    found = ctypes.c_void_p(array.ctypes.data)
    found.array = array
    return found
