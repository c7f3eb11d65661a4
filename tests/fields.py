"""Fields drawn with digits of MNIST: each digit by itself, what else is on the paper, both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

Grey = np.ndarray  # float, 0 where paper is, 1 where ink is full


@dataclass
class Field:
    """Digits on paper, each in a picture of its own, so that what became of it can be told."""

    digits: list[Grey]

    @property
    def ink(self) -> Grey:
        return np.max(self.digits, axis=0)

    @property
    def shape(self) -> tuple[int, int]:
        return self.digits[0].shape

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Top, bottom, left and right of all digits."""
        rows, columns = (np.flatnonzero((self.ink > 0.5).any(axis=axis)) for axis in (1, 0))
        return rows[0], rows[-1] + 1, columns[0], columns[-1] + 1


def cropped(image: np.ndarray) -> np.ndarray:
    rows, columns = (np.flatnonzero((image > 100).any(axis=axis)) for axis in (1, 0))
    return image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def field(
    images: np.ndarray,
    height: float = 40,
    gap: float = 0.25,
    margin: float = 0.5,
    heights: list[float] | None = None,
    slope: float = 0.0,
    slant: float = 0.0,
) -> Field:
    """Put digits side by side.

    Parameters
    ----------
    images : ndarray of uint8, (N, 28, 28)
    height : float
        Of a digit, in pixels.
    gap, margin : float
        Between digits and around all, in heights.
    heights : list of float, optional
        Of each digit, as a part of height; smaller ones stand on the same line.
    slope, slant : float
        Of the line, down for each along; of the strokes, to the left for each down.
    """
    parts = []
    for k, image in enumerate(images):
        part = cropped(image)
        tall = round(height * (heights[k] if heights else 1))
        wide = max(1, round(part.shape[1] * tall / part.shape[0]))
        resized = Image.fromarray(part).resize((wide, tall), Image.Resampling.BICUBIC)
        parts.append(np.asarray(resized, np.float64) / 255)
    space, around = round(gap * height), round(margin * height)
    width = sum(part.shape[1] for part in parts) + space * (len(parts) - 1)
    lean = abs(slant) * height
    rows = round(height + 2 * around + abs(slope) * (width + 2 * around))
    columns = round(width + 2 * around + lean)
    digits, left = [], around + lean / 2
    for part in parts:
        sheet = np.zeros((rows, columns))
        place(sheet, part, left, rows / 2 + height / 2, slope, slant, height)
        digits.append(sheet)
        left += part.shape[1] + space
    return Field(digits)


def place(
    sheet: Grey, part: Grey, left: float, base: float, slope: float, slant: float, height: float
) -> None:
    """Draw a digit whose foot is on the line through the sheet's middle that has this slope."""
    rows, columns = sheet.shape
    # from the sheet to the digit: turn back about the sheet's middle, then put upright
    turn = np.array([[1, slope], [-slope, 1]]) / np.hypot(1, slope)
    lean = np.array([[1, slant], [0, 1]]) @ turn
    middle = np.array([columns / 2, rows / 2])
    origin = np.array([left, base - len(part)])
    bent = np.array([columns / 2, base - height / 2])
    shift = bent - lean @ middle - origin
    picture = Image.fromarray(np.pad(part, 2).astype(np.float32))
    matrix = np.column_stack([lean, shift + 2])
    drawn = picture.transform(
        (columns, rows),
        Image.Transform.AFFINE,
        tuple(matrix.ravel()),
        Image.Resampling.BILINEAR,
    )
    sheet += np.asarray(drawn)


def stroke(
    shape: tuple[int, int], one: tuple[float, float], other: tuple[float, float], width: float
) -> Grey:
    """Draw a straight stroke between two places (x, y)."""
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    (x0, y0), (x1, y1) = one, other
    length = np.hypot(x1 - x0, y1 - y0)
    along = ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / length
    across = np.abs((x - x0) * (y1 - y0) - (y - y0) * (x1 - x0)) / length
    beyond = np.maximum(np.maximum(-along, along - length), 0)
    return np.clip(width / 2 + 0.5 - np.hypot(across, beyond), 0, 1)


def pen(f: Field) -> float:
    """Give how wide printed lines and dots are, beside such digits."""
    return max(1.0, HEIGHT_OF(f) / 25)


def level(
    f: Field, at: float, start: float = 0.0, stop: float = 1.0, width: float = 0, slope: float = 0.0
) -> Grey:
    """Draw a line along at a part of the digits' height below their top, over a part of the width."""
    rows, columns = f.shape
    width = width or pen(f)
    top, bottom, *_ = f.box
    if slope:
        top, bottom = rows / 2 - (b := 0.5 * HEIGHT_OF(f)), rows / 2 + b
    y = top + at * (bottom - top)
    return stroke(
        f.shape,
        (start * columns, y + slope * (start - 0.5) * columns),
        (stop * columns, y + slope * (stop - 0.5) * columns),
        width,
    )


def HEIGHT_OF(f: Field) -> float:
    return float(np.median([np.ptp(np.flatnonzero((d > 0.5).any(axis=1))) + 1 for d in f.digits]))


def cells(f: Field, top: float, bottom: float) -> Grey:
    """Draw borders between the digits, and left and right of them."""
    rows = f.box[0] + top * (f.box[1] - f.box[0]), f.box[0] + bottom * (f.box[1] - f.box[0])
    sides = [np.flatnonzero((d > 0.5).any(axis=0))[[0, -1]] for d in f.digits]
    gap = (sides[1][0] - sides[0][1]) / 2 if len(sides) > 1 else 5
    places = [sides[0][0] - gap, *(s[1] + gap for s in sides)]
    return np.max([stroke(f.shape, (x, rows[0]), (x, rows[1]), pen(f)) for x in places], axis=0)


def guilloche(f: Field, rng: np.random.Generator, strength: float = 0.35) -> Grey:
    """Draw waves that cross each other."""
    y, x = np.mgrid[: f.shape[0], : f.shape[1]]
    out = np.zeros(f.shape)
    for _ in range(3):
        a, b, c = rng.uniform(0.02, 0.08), rng.uniform(5, 12), rng.uniform(-0.5, 0.5)
        wave = (y + c * x + b * np.sin(a * x + rng.uniform(0, 6))) / rng.uniform(5, 8)
        out = np.maximum(out, strength * np.clip(1.5 * np.cos(2 * np.pi * wave) - 0.5, 0, 1))
    return out


def dark(ink: Grey, paper: float | Grey = 235, pen: float = 30) -> np.ndarray:
    return np.clip(np.rint(paper - (paper - pen) * ink), 0, 255).astype(np.uint8)


def most(f: Field, sheets) -> Grey:
    """Lay sheets on each other."""
    return np.max([np.zeros(f.shape), *sheets], axis=0)


MARKS: dict[str, Callable[[Field, np.random.Generator], Grey]] = {
    "plain": lambda f, rng: np.zeros(f.shape),
    "underline": lambda f, rng: level(f, 1.2, 0.05, 0.95),
    "underline touching": lambda f, rng: level(f, 1.0, 0.05, 0.95),
    "underline to the edges": lambda f, rng: level(f, 1.15),
    "rules": lambda f, rng: np.maximum(level(f, -0.3), level(f, 1.2)),
    "rule through": lambda f, rng: level(f, 0.6),
    "faint rules": lambda f, rng: (
        0.4 * np.max([level(f, a) for a in np.arange(-0.4, 1.5, 0.3)], axis=0)
    ),
    "box": lambda f, rng: np.max(
        [
            level(f, -0.25, 0.03, 0.97),
            level(f, 1.25, 0.03, 0.97),
            *(
                stroke(
                    f.shape,
                    (p * f.shape[1], f.box[0] - 0.25 * (h := f.box[1] - f.box[0])),
                    (p * f.shape[1], f.box[1] + 0.25 * h),
                    pen(f),
                )
                for p in (0.03, 0.97)
            ),
        ],
        axis=0,
    ),
    "cells": lambda f, rng: np.max(
        [level(f, -0.25), level(f, 1.25), cells(f, -0.25, 1.25)], axis=0
    ),
    "cells to the edges": lambda f, rng: cells(f, -2, 3),
    "comb": lambda f, rng: np.maximum(level(f, 1.2), cells(f, 0.8, 1.2)),
    "comb of full height": lambda f, rng: np.maximum(level(f, 1.2), cells(f, -0.1, 1.2)),
    "bars": lambda f, rng: cells(f, -0.25, 1.25),
    "guilloche": guilloche,
    "dots": lambda f, rng: most(
        f, (stroke(f.shape, (x, y := f.box[1] - 2), (x, y + 1), 2.5 * pen(f)) for x in between(f))
    ),
    "dashes": lambda f, rng: most(
        f,
        (
            stroke(
                f.shape,
                (x - 2 * (w := pen(f)), y := (f.box[0] + f.box[1]) / 2),
                (x + 2 * w, y),
                2 * w,
            )
            for x in between(f)
        ),
    ),
    "specks": lambda f, rng: np.max(
        [
            stroke(
                f.shape,
                (x := rng.uniform(0, f.shape[1]), y := rng.uniform(0, f.shape[0])),
                (x + 0.1, y),
                pen(f),
            )
            for _ in range(20)
        ],
        axis=0,
    ),
}


def between(f: Field) -> list[float]:
    sides = [np.flatnonzero((d > 0.5).any(axis=0))[[0, -1]] for d in f.digits]
    return [(a[1] + b[0]) / 2 for a, b in zip(sides, sides[1:], strict=False)]
