"""The C interface's model files: those of `files`, loaded by lenet_model_load and by Python."""

from __future__ import annotations

import ctypes
import io
import math
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lenet_c import LeNet5, _core
from tests.fuzz.engine import Case, expect
from tests.fuzz.files import Files

OK, NO_MEMORY, NO_FILE, BAD_FILE, NEWER_FILE = 0, 3, 11, 12, 13
PAGE = mmap.PAGESIZE
CHANNELS = 16

Floats = NDArray[np.float32]


class Input(ctypes.Structure):
    """lenet_input."""

    _fields_ = [
        *((name, ctypes.c_int32) for name in ("channels", "height", "width")),
        *((name, ctypes.c_float * CHANNELS) for name in ("background", "foreground")),
    ]


class LoadedNetwork(ctypes.Structure):
    """lenet_network."""

    _fields_ = [
        ("plan", ctypes.c_void_p),
        ("model", ctypes.c_void_p),
        ("input", Input),
        *((name, ctypes.c_int32) for name in ("classes", "blank", "is_rbf")),
        ("class_names", ctypes.POINTER(ctypes.c_char_p)),
        *((name, ctypes.c_double) for name in ("temperature", "penalty", "margin")),
        ("memory", ctypes.c_void_p),
    ]


class Images(ctypes.Structure):
    """lenet_images."""

    _fields_ = [
        ("pixels", ctypes.c_void_p),
        *((name, ctypes.c_int32) for name in ("is_float", "height", "width")),
        ("order", ctypes.c_void_p),
        ("distortion", ctypes.c_void_p),
    ]


class Run(ctypes.Structure):
    """lenet_run."""

    _fields_ = [
        ("workspace", ctypes.c_void_p),
        ("workspace_size", ctypes.c_size_t),
        ("n_threads", ctypes.c_int32),
        *((name, ctypes.c_void_p) for name in ("interrupted", "context", "profile")),
        ("in_lanes", ctypes.c_int32),
    ]


def library() -> Any:
    """Give the C functions that the installed core exports."""
    lib = ctypes.CDLL(_core.__file__)
    lib.lenet_version.restype = ctypes.c_char_p
    lib.lenet_workspace_size.restype = ctypes.c_size_t
    lib.lenet_workspace_size.argtypes = [
        *(ctypes.c_void_p, ctypes.c_int32, ctypes.c_int64, ctypes.c_int32),
    ]
    lib.lenet_model_load_memory.argtypes = [
        *(ctypes.c_void_p, ctypes.c_size_t, ctypes.POINTER(ctypes.POINTER(LoadedNetwork))),
    ]
    lib.lenet_model_load.argtypes = [
        *(ctypes.c_char_p, ctypes.POINTER(ctypes.POINTER(LoadedNetwork))),
    ]
    lib.lenet_network_free.argtypes = [ctypes.POINTER(LoadedNetwork)]
    lib.lenet_network_free.restype = None
    return lib


LIBRARY = library()


def forward(net: LoadedNetwork, images: NDArray[np.uint8]) -> Floats:
    """Run uint8 images through a loaded network."""
    images = np.ascontiguousarray(images)
    n = len(images)
    size = LIBRARY.lenet_workspace_size(net.plan, 0, n, 1)
    room = np.empty(size + 64, np.uint8)
    outputs = np.empty((n, net.classes), np.float32)
    batch = Images(pixels=images.ctypes.data, height=images.shape[-2], width=images.shape[-1])
    run = Run(workspace=room.ctypes.data + -room.ctypes.data % 64, workspace_size=size, n_threads=1)
    status = LIBRARY.lenet_model_forward(
        *(ctypes.c_void_p(net.model), ctypes.byref(batch), ctypes.c_int64(n)),
        *(ctypes.c_void_p(outputs.ctypes.data), ctypes.byref(run)),
    )
    assert status == OK, status
    return outputs


def names_of(net: LoadedNetwork) -> list[str] | None:
    """Give the names of its classes."""
    n = net.classes - net.blank
    return [net.class_names[i].decode() for i in range(n)] if net.class_names else None


class Guarded:
    """Bytes that end where a page begins that nobody may touch, at no place of an alignment."""

    def __init__(self, most: int) -> None:
        self._size = -(-most // PAGE) * PAGE
        self._map = mmap.mmap(-1, self._size + PAGE)
        self._at = ctypes.addressof(ctypes.c_char.from_buffer(self._map))
        libc = ctypes.CDLL(None)
        libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
        assert libc.mprotect(self._at + self._size, PAGE, 0) == 0

    def put(self, content: bytes) -> int:
        """Give where they begin; they are there until the next come."""
        at = self._at + self._size - len(content)
        ctypes.memmove(at, content, len(content))
        return at


@contextmanager
def loaded(content: bytes, guarded: Guarded | None = None) -> Iterator[tuple[int, Any]]:
    """Load from memory: the status, and the network or None."""
    pointer = ctypes.POINTER(LoadedNetwork)()
    held = ctypes.create_string_buffer(content, len(content)) if guarded is None else None
    at = ctypes.addressof(held) if held is not None else guarded.put(content)  # type: ignore[union-attr]
    status = LIBRARY.lenet_model_load_memory(at, len(content), ctypes.byref(pointer))
    expect(bool(pointer) == (status == OK), f"status {status}, network {bool(pointer)}")
    try:
        yield status, pointer.contents if pointer else None
    finally:
        LIBRARY.lenet_network_free(pointer)


class Native(Files):
    """The fuzzer."""

    name = "native"

    def __init__(self) -> None:
        super().__init__()
        self._guarded = Guarded(1 << 20)

    def load(self, case: Case, content: bytes) -> None:
        """Load it in C; what both read gives the same bits, what Python saves C reads."""
        case.n_inputs += 1
        guarded = self._guarded if len(content) <= 1 << 20 else None
        with case.timed(), loaded(content, guarded) as (status, net):
            expect(status in (OK, NO_MEMORY, BAD_FILE, NEWER_FILE), f"status {status}")
            if net is None:
                case.n_refused += 1
            elif net.input.height * net.input.width < 1 << 12:
                shape = (2, net.input.channels, net.input.height, net.input.width)
                forward(net, np.zeros(shape, np.uint8))
        try:
            python = LeNet5.load(io.BytesIO(content))
        except (ValueError, MemoryError):
            return
        if math.prod(python.architecture.image_shape) > 1 << 12:
            return
        file = io.BytesIO()
        python.save(file)
        with loaded(file.getvalue(), None) as (status, net):
            expect(status == OK, f"what Python saved has status {status} in C")
            same(python, net, case.random)


def same(python: LeNet5, net: LoadedNetwork, random: Random) -> None:
    """Hold a network that was loaded in C against Python's."""
    n = random.choice([1, 20])
    size = n * math.prod(python.architecture.image_shape)
    images = np.frombuffer(random.randbytes(size), np.uint8)
    images = images.reshape(n, *python.architecture.input_shape)
    with np.errstate(all="ignore"):
        try:
            wanted = python.forward(images, num_threads=1)
        except FloatingPointError:
            return
    expect(np.array_equal(forward(net, images), wanted), "other outputs in C")
    names = python.class_names
    expect(names_of(net) == (None if names is None else list(names)), "other names in C")
    expect(net.temperature == python.temperature, "another temperature in C")
    rejection = python.rejection
    penalty, margin = (rejection.penalty, rejection.margin) if rejection else (math.inf, 0.0)
    expect((net.penalty, net.margin) == (penalty, margin), "other thresholds in C")


def from_path(path: str | os.PathLike[str]) -> int:
    """Load a file by its path, and free it; the status."""
    pointer = ctypes.POINTER(LoadedNetwork)()
    status = LIBRARY.lenet_model_load(os.fsencode(path), ctypes.byref(pointer))
    LIBRARY.lenet_network_free(pointer)
    return int(status)
