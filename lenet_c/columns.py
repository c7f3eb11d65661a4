"""Tables of numbers as pictures: columns that are pixels, and columns that are anything else.

How they become pictures is told once, from what a network learns from, and then stays: a row's
picture does not depend on the rows beside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lenet_c import preprocess
from lenet_c.architecture import Architecture
from lenet_c.preprocess import _arrays

SMALLEST = 8  # side of the smallest square that columns are taken to be the pixels of
FARTHEST = 10.0  # deviations from the mean: what is farther counts as that far
_AT_ONCE = 1024  # rows
_INK = 0.5  # of the range: so far beyond full ink, values count as that,
_PAPER = 0.125  # and so far beyond the background as background, of which pictures have most;
_FEW = 4  # farther ones do, too, if they are so few of a picture,
_SHARE = 64  # or one in so many

Images = NDArray[np.uint8] | NDArray[np.float32]


def side_of(columns: int) -> int | None:
    """Give the side of the square whose pixels so many columns may be; None: they are none."""
    side = math.isqrt(columns)
    return side if side >= SMALLEST and side * side == columns else None


@dataclass(frozen=True)
class Pixels:
    """Columns that are pixels, row by row, the channels of a pixel side by side.

    Attributes
    ----------
    shape : (int, int) or (int, int, int)
        Height and width of a picture, and channels if it has several.
    white : float
        The value of full ink, or light; 0 is none.
    invert : bool
        Whether ink is darker than the background.
    size : (int, int)
        Height and width of the images for the network.
    whole : bool
        Whether `white` was told, as 255, from whole numbers: a picture of fractions up to 1 is then
        of another scale.
    """

    shape: tuple[int, ...]
    white: float
    invert: bool
    size: tuple[int, int]
    whole: bool = False

    @classmethod
    def learn(
        cls,
        x: NDArray[Any],
        shape: tuple[int, ...],
        architecture: Architecture,
        white: float | None,
        invert: bool | str,
    ) -> Pixels:
        """Tell the range and the polarity of pixels (N, columns), and which size a network takes.

        Parameters
        ----------
        x : array (N, columns)
        shape : tuple of int
            Height and width, and perhaps channels.
        architecture : Architecture
        white : float, optional
            By default 1 or 255, as `lenet_c.preprocess.images` has it.
        invert : bool or "auto"
        """
        whole = False
        if white is None:
            try:
                white = _arrays.white_of(x, x, "X")
                whole = white == 255 and _is_whole(x)
            except ValueError as error:
                raise ValueError(
                    f"{error}; or say what white is: "
                    "LeNetClassifier(white=16); or that columns are no pixels: columns='features'"
                ) from None
        elif x.dtype != bool:
            low, high, half = float(x.min()), float(x.max()), 0.5 * white / 255
            if low < -half or high > white + half:
                raise ValueError(
                    f"X: has values from {low:.4g} to {high:.4g}, want pixels from 0 to "
                    f"{white:g}, as white has it"
                )
        size = _size(shape, architecture)
        found = cls(shape, float(white), False, size, whole)
        if invert == "auto":
            grey = next(found._parts(x[:_AT_ONCE])).reshape(-1, *shape)
            invert = _arrays.dark_on_light(
                grey.reshape(*grey.shape[:3], -1)[..., 0],
                "X",
                "invert=True or False takes them as they are",
            )
        return replace(found, invert=bool(invert))

    def images(self, x: NDArray[Any]) -> Images:
        """Give rows (N, columns) as the network takes them, uint8 (N, height, width).

        Of several channels they are (N, channels, height, width). Values somewhat beyond the range
        count as its end. ValueError if a picture is of another scale, whatever is beside it.
        """
        channels = self.shape[2:]
        images = np.empty((len(x), *channels, *self.size), np.uint8)
        first = 0
        for levels in self._parts(x):
            part = levels.reshape(-1, *self.shape)
            if channels:
                part = np.moveaxis(part, -1, 1)
            if self.shape[:2] != self.size:
                flat = part.reshape(-1, *self.shape[:2]).astype(np.float32)
                part = np.rint(preprocess.resize(flat, *self.size))
            images[first : first + len(levels)] = part.reshape(-1, *images.shape[1:])
            first += len(levels)
        return images

    def _parts(self, x: NDArray[Any]) -> Iterator[NDArray[np.uint8]]:
        for first in range(0, len(x), _AT_ONCE):
            levels = _arrays.levels(self._within(x[first : first + _AT_ONCE]), self.white)
            yield 255 - levels if self.invert else levels

    def _within(self, x: NDArray[Any]) -> NDArray[Any]:
        """Give some rows with what is beyond the range cut off."""
        if x.dtype == bool:
            return x
        low, high = float(x.min()), float(x.max())
        beneath, over = (_INK, _PAPER) if self.invert else (_PAPER, _INK)
        below, above = -beneath * self.white, (1 + over) * self.white
        other = np.zeros(len(x), bool)
        if low < below or high > above:
            far = ((x < below) | (x > above)).sum(axis=1)
            other = far > max(_FEW, x.shape[1] // _SHARE)
        if self.whole and x.dtype.kind == "f":
            other |= (x.max(axis=1) <= 1) & (x != np.rint(x)).any(axis=1)
        if other.any():
            bad = x[other.argmax()]
            raise ValueError(
                f"X: has a picture with values from {bad.min():.4g} to {bad.max():.4g}, want "
                f"pixels from 0 to {self.white:g} as fit had: the same scaling for both"
            )
        return x if low >= 0 and high <= self.white else np.clip(x, 0, self.white)


def _is_whole(x: NDArray[Any]) -> bool:
    return x.dtype.kind != "f" or bool((x == np.rint(x)).all())


def _size(shape: tuple[int, ...], architecture: Architecture) -> tuple[int, int]:
    """Give the height and width that pictures get: their own, where the network takes it."""
    _, height, width = architecture.image_shape
    own = shape[0], shape[1]
    if all(
        0 <= wanted - side <= 8 and (wanted - side) % 2 == 0
        for side, wanted in zip(own, (height, width), strict=True)
    ):
        return own
    if own[0] * width != own[1] * height:
        raise ValueError(
            f"X: pictures of {own[0]}x{own[1]}, want the proportions of the network's input, "
            f"{height}x{width}: cut or pad them; characters are found by "
            "lenet_c.preprocess.characters(X).images"
        )
    # room for strokes to end within the picture, as the paper has it: 28x28 in 32x32
    margin = 4 if min(height, width) >= 32 else 0
    return height - margin, width - margin


@dataclass(frozen=True, eq=False)
class Features:
    """Columns that are no pixels: each scaled, and laid out as a cell of a square picture.

    Attributes
    ----------
    unit, mean, scale : float64 array (columns,)
        (x / unit - mean) / scale has mean 0 and deviation 1.
    size : (int, int)
        Height and width of the pictures.
    """

    unit: NDArray[np.float64]
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    size: tuple[int, int]

    @classmethod
    def learn(
        cls, x: NDArray[Any], weights: NDArray[np.float64] | None, size: tuple[int, int]
    ) -> Features:
        """Tell means and deviations of columns (N, columns), by the rows' weights."""
        unit = np.abs(x).max(axis=0).astype(np.float64)  # so that no square overflows
        unit[unit == 0.0] = 1.0
        values = x / unit
        mean = np.average(values, axis=0, weights=weights)
        scale = np.sqrt(np.average((values - mean) ** 2, axis=0, weights=weights))
        scale[scale < 1e-12] = 1.0  # all the same, but for rounding
        return cls(unit, mean, scale, size)

    def images(self, x: NDArray[Any]) -> Images:
        """Give rows (N, columns) as the network takes them, float32 (N, height, width)."""
        with np.errstate(over="ignore"):
            values = (x / self.unit - self.mean) / self.scale
        n, columns = x.shape
        side = cells_of(columns)
        cell = min(self.size) // side
        grid = np.zeros((n, side * side), np.float32)
        grid[:, :columns] = np.clip(values, -FARTHEST, FARTHEST)
        images = np.zeros((n, *self.size), np.float32)
        top, left = ((length - side * cell) // 2 for length in self.size)
        cells = grid.reshape(n, side, side).repeat(cell, axis=1).repeat(cell, axis=2)
        images[:, top : top + side * cell, left : left + side * cell] = cells
        return images


def cells_of(columns: int) -> int:
    """Give the side of the smallest square that has as many cells."""
    return math.isqrt(columns - 1) + 1
