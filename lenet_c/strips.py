"""Strips, as `preprocess.line` gives them, and where in one the characters stand that are read.

A strip is 32 rows of pixels, 0 for paper and 255 for ink, with a line of characters some 20 rows
high. A network is swept over it, and sees a window of it at each position.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import astuple
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lenet_c import _core, checks
from lenet_c.distort import Distortion, transform

Strip = NDArray[np.uint8]

MARKS = ".,-"
"""What may stand between digits, in the order in which the core has them."""

MARGIN = 6
"""Columns that are put beside a strip, so that its first and last characters have positions to
spare."""

STRIDE = 4  # columns of a strip from one position to the next, by LeNet-5's two 2x2 layers
REACH = 14  # columns of a strip that a character may have left and right of its middle
INK = 64  # levels of a strip above which there is ink
TOUCHING = 2 * 255  # levels of a column together: more is a stroke that goes on
SLIGHT = 0.15  # of the largest piece's ink: what has less is none of the character
SIDE = 28  # of a single character's image
LOWEST = 8  # rows of it


def is_strip(picture: Any) -> bool:
    """Whether it is a strip and no picture of a field, whose paper is mostly light."""
    return (
        isinstance(picture, np.ndarray)
        and picture.dtype == np.uint8
        and picture.ndim == 2
        and picture.shape[0] == 32
        and bool(picture.mean() < 128)
    )


def checked_strips(strips: Iterable[ArrayLike]) -> list[Strip]:
    """Give strips as a list of arrays."""
    given = [
        checks.array(f"strips[{i}]", strip)
        for i, strip in enumerate(checks.items("strips", strips, "strips"))
    ]
    for i, strip in enumerate(given):
        if strip.dtype != np.uint8 or strip.ndim != 2 or strip.shape[0] != 32 or not strip.size:
            raise TypeError(
                f"strips[{i}]: got {strip.dtype} {strip.shape}, want uint8 (32, W), as "
                "preprocess.line gives them"
            )
    return given


def padded(strips: Sequence[Strip]) -> list[Strip]:
    """Give strips with `MARGIN` columns more at each end."""
    found = []
    for strip in strips:
        wider = np.zeros((strip.shape[0], strip.shape[1] + 2 * MARGIN), np.uint8)
        wider[:, MARGIN:-MARGIN] = strip
        found.append(wider)
    return found


class View(NamedTuple):
    """How a strip is looked at: columns, rows and slant are changed about its middle."""

    width: float = 1.0
    height: float = 1.0
    shear: float = 0.0  # columns a row

    def _room(self, strip: Strip) -> int:
        """Columns that are put at each end, so that what gets wider stays in the picture."""
        return math.ceil(max(0.0, self.width - 1) * int(strip.shape[1]) / 2)

    def of(self, strip: Strip) -> Strip:
        """Give the strip as it looks."""
        if self == View():
            return strip
        room = self._room(strip)
        return transform(
            np.pad(strip, ((0, 0), (room, room))),
            scale=math.sqrt(self.width * self.height),
            squeeze=math.sqrt(self.width / self.height),
            shear=self.shear,
        )

    def in_strip(
        self, strip: Strip, positions: NDArray[np.integer[Any]], window: int
    ) -> NDArray[np.float64]:
        """Give the strip's own positions for those of its view."""
        first, middle = window / 2 - MARGIN, strip.shape[1] / 2
        columns = positions * STRIDE + first - (middle + self._room(strip))
        own: NDArray[np.float64] = (columns / self.width + middle - first) / STRIDE
        return own


VIEWS = (
    View(),
    View(0.92, 0.95, 0.1),
    View(1.08, 0.95, -0.1),
    View(0.92, 1.05, -0.1),
    View(1.08, 1.05, 0.1),
)
"""What `LineReader.read(..., views=n)` looks at: the first n of these."""


def distorted(strip: Strip, distort: Distortion, rng: np.random.Generator) -> Strip:
    """Give a strip as it looks with random distortions; too wide a one as it is."""
    out: Strip = np.empty((1, *strip.shape), np.uint8)
    if max(strip.shape) > _core.MAX_SIDE:
        return strip
    seed = int(rng.integers(2**63))
    _core.distort(astuple(distort), seed, 0, np.ascontiguousarray(strip)[None], out)
    changed: Strip = out[0]
    return changed


# ---- characters ----


def cut(strip: Strip, spans: NDArray[Any], window: int) -> list[Strip | None]:
    """Cut a strip between its characters.

    Parameters
    ----------
    strip : uint8 array (32, W)
    spans : array (characters, 2)
        The first and the last position of each.
    window : int
        Columns that the network sees at a position.

    Returns
    -------
    list of (uint8 array (28, 28), or None)
        Each in the middle, as large as it was; None where strokes of it and its neighbours touch,
        it is too large, or none is there.
    """
    centres = (spans[:, 0] + spans[:, 1]) * (STRIDE / 2) + window / 2 - MARGIN
    ends = [0, *(int(column) for column in _cuts(strip, centres)), strip.shape[1]]
    touching = [False, *(strip.sum(axis=0)[ends[1:-1]] > TOUCHING), False]
    found: list[Strip | None] = []
    for k, (left, right) in enumerate(itertools.pairwise(ends)):
        alone = not (touching[k] or touching[k + 1]) and left < right
        found.append(_centred(strip[:, left:right]) if alone else None)
    return found


def _centred(part: Strip) -> Strip | None:
    """Put a character into the middle of an image, without dots and what neighbours left of it."""
    from scipy import ndimage

    labels, n = ndimage.label(part > INK, np.ones((3, 3), bool))
    if not n:
        return None
    mass = np.bincount(labels.ravel(), part.ravel(), n + 1)
    kept = mass >= SLIGHT * mass[1:].max()
    kept[0] = False
    shown = part * ndimage.binary_dilation(kept[labels], np.ones((3, 3), bool))
    rows, columns = (np.flatnonzero(shown.any(axis=axis)) for axis in (1, 0))
    shown = shown[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = shown.shape
    if max(height, width) > SIDE or height < LOWEST:
        return None
    image = np.zeros((SIDE, SIDE), np.uint8)
    top, left = (SIDE - height) // 2, (SIDE - width) // 2
    image[top : top + height, left : left + width] = shown
    return image


# ---- places ----


def boxes_of(
    strip: Strip, spans: NDArray[Any], window: int, to_picture: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Give an upright box of the picture around the ink of each character's columns.

    Parameters
    ----------
    strip : uint8 array (32, W)
    spans : array (characters, 2)
        The first and the last position of each.
    window : int
        Columns that the network sees at a position.
    to_picture : float64 array (2, 3)
        What a place in the strip becomes in the picture.

    Returns
    -------
    float64 array (characters, 4)
    """
    found = np.empty((len(spans), 4))
    if not len(spans):
        return found
    height, width = strip.shape
    centres = (spans[:, 0] + spans[:, 1]) * (STRIDE / 2) + window / 2 - MARGIN
    cuts = _cuts(strip, centres)
    first = np.rint(np.maximum(centres - REACH, [0, *cuts])).astype(int).clip(0, width - 1)
    last = np.rint(np.minimum(centres + REACH, [*cuts, width])).astype(int).clip(first + 1, width)
    # all ink, from left to right, as places in the picture
    columns, rows = np.nonzero((strip > INK).T)
    places = _placed(columns + 0.5, rows + 0.5, to_picture)
    half = np.abs(to_picture[:, :2]).sum(axis=1) / 2  # of a pixel of the strip
    begin, end = np.searchsorted(columns, first), np.searchsorted(columns, last)
    for i, (a, b) in enumerate(zip(begin.tolist(), end.tolist(), strict=True)):
        ink = places[:, a:b]
        if a == b:  # faint, or none: all that the character can be in
            ends = np.array([first[i] + 0.5, last[i] - 0.5])
            ink = _placed(ends, np.array([0.5, height - 0.5]), to_picture)
        low, high = ink.min(axis=1) - half, ink.max(axis=1) + half
        found[i, :2], found[i, 2:] = low, high - low
    return found


def _cuts(strip: Strip, centres: NDArray[np.floating[Any]]) -> list[float]:
    """Give the column between each two neighbours that has the least ink, near their middle."""
    ink = strip.sum(axis=0, dtype=np.int64)
    middles = np.arange(len(ink)) + 0.5
    cuts = []
    for one, other in itertools.pairwise(centres.tolist()):
        middle, reach = (one + other) / 2, (other - one) / 4
        first = min(max(math.ceil(middle - reach), 0), len(ink) - 1)
        last = max(first + 1, min(int(middle + reach) + 1, len(ink)))
        # of columns with as much ink the one next to the middle
        far = np.abs(middles[first:last] - middle) / len(ink)
        cuts.append(first + int(np.argmin(ink[first:last] + far)) + 0.5)
    return cuts


def _placed(
    x: NDArray[np.floating[Any]], y: NDArray[np.floating[Any]], to_picture: NDArray[np.float64]
) -> NDArray[np.float64]:
    placed: NDArray[np.float64] = to_picture[:, :2] @ np.stack([x, y]) + to_picture[:, 2:]
    return placed
