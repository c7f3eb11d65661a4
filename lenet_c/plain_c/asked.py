"""Checks what `lenet_c.export.c` is given."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lenet_c import checks
from lenet_c.network import Network
from lenet_c.onnx_writer import _size
from lenet_c.plain_c import committees, writer

if TYPE_CHECKING:
    from lenet_c.ensemble import Ensemble

PRECISIONS = ("float32", "int8")
MAX_PREFIX = 40
MOST_WINDOWS = 5000  # of strips, or images, that numbers are calibrated with

Images = NDArray[np.uint8]


def content(
    network: Network | Ensemble,
    path: object,
    prefix: object,
    precision: str,
    images: Any,
    size: object,
) -> bytes:
    """Give the file's content: see `lenet_c.export.c`."""
    checks.one_of("precision", precision, PRECISIONS)
    name = _prefix(path, prefix)
    if not isinstance(network, Network):
        if len(name) > MAX_PREFIX - 3:
            raise ValueError(
                f"prefix: {name} has {len(name)} characters, want at most {MAX_PREFIX - 3}: "
                "numbers of the networks come behind it"
            )
        text = committees.source(
            network,
            name,
            [
                content(one, path, f"{name}_{k}", precision, images, size).decode()
                for k, one in enumerate(network.members())
            ],
        )
        return text.encode("ascii")
    if network.n_parameters > writer.MAX_PARAMETERS:
        raise ValueError(
            f"network: {network.n_parameters:,} parameters, want at most "
            f"{writer.MAX_PARAMETERS:,} in a C file"
        )
    found = _size(network.architecture, "uint8", size)
    given = None if images is None else _windows(network, images)
    if precision == "int8" and given is None:
        raise ValueError(
            "images: got None, want some that the network will read, by which int8 is scaled: "
            "images=train_images[:1000]"
        )
    top, left = (
        (own - side) // 2
        for own, side in zip(network.architecture.image_shape[1:], found, strict=True)
    )
    example = _pattern(network) if given is None else given[0]
    example = example[:, top : top + found[0], left : left + found[1]]
    text = writer.source(network, name, found, given if precision == "int8" else None, example)
    return text.encode("ascii")


def _prefix(path: object, given: object) -> str:
    if given is None:
        if not isinstance(path, (str, os.PathLike)):
            return "lenet"
        stem = os.path.splitext(os.path.basename(os.fsdecode(path)))[0]
        name = re.sub(r"[^a-z0-9]+", "_", stem.lower()).strip("_")[:MAX_PREFIX]
        if name[:1].isalpha():
            return name
        raise ValueError(f"path: no name for C in {stem!r}, want prefix='digit'")
    name = checks.instance("prefix", given, str, "a str")
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) or len(name) > MAX_PREFIX:
        raise ValueError(
            f"prefix: got {checks.short(given)}, want a letter, then up to {MAX_PREFIX - 1} "
            "letters, digits and '_'"
        )
    return name


def _windows(network: Network, given: Any) -> Images:
    """Give uint8 images of the network's own size, (N, channels, height, width)."""
    channels, height, width = network.architecture.image_shape
    if network.architecture.blank:
        strips = [
            checks.array(f"images[{i}]", strip)
            for i, strip in enumerate(checks.items("images", given, "strips"))
        ]
        return _cut(strips, channels, height, width)
    images = checks.array("images", given)
    want = f"uint8 (N, {f'{channels}, ' if channels > 1 else ''}{height}, {width})"
    if images.dtype != np.uint8 or images.ndim != (4 if channels > 1 else 3) or not len(images):
        raise TypeError(
            f"images: got {images.dtype} {images.shape}, want {want}, or smaller ones, one or more"
        )
    images = images[:MOST_WINDOWS]
    if channels == 1:
        images = images[:, None]
    spare = height - images.shape[2], width - images.shape[3]
    if images.shape[1] != channels or not all(0 <= s <= 8 and s % 2 == 0 for s in spare):
        raise ValueError(
            f"images: got {images.shape}, want {want}, or up to 8 pixels less, by an even number"
        )
    rows, columns = ((s // 2, s // 2) for s in spare)
    return np.pad(images, ((0, 0), (0, 0), rows, columns))


def _cut(strips: list[NDArray[Any]], channels: int, height: int, width: int) -> Images:
    """Cut strips into windows."""
    shape = (channels, height) if channels > 1 else (height,)
    found: list[Images] = []
    for i, strip in enumerate(strips):
        if strip.dtype != np.uint8 or strip.shape[:-1] != shape or not strip.size:
            sides = ", ".join(map(str, shape))
            raise TypeError(
                f"images[{i}]: got {strip.dtype} {strip.shape}, want uint8 ({sides}, W)"
            )
        strip = strip.reshape(channels, height, -1)
        strip = np.pad(strip, ((0, 0), (0, 0), (width // 4, width)))
        found += [
            strip[:, :, x : x + width] for x in range(0, strip.shape[2] - width, width // 4 or 1)
        ]
        if len(found) > MOST_WINDOWS:
            break
    if not found:
        raise ValueError("images: got none, want strips")
    return np.stack(found[:MOST_WINDOWS])


def _pattern(network: Network) -> Images:
    """Give an image of the network's own size that is none of anything."""
    drawn = np.random.default_rng(0).integers(0, 256, network.architecture.image_shape)
    return np.where(drawn > 160, drawn, 0).astype(np.uint8)
