"""Fields drawn with digits of MNIST, other marks on them, and what a strip has of each digit."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from PIL import Image

Grey = np.ndarray  # float, 0 where paper is, 1 where ink is full


@dataclass
class Field:
    """Digits on paper, each in a picture of its own, so that what became of it can be told."""

    digits: list[Grey]
    height: float

    @property
    def ink(self) -> Grey:
        return np.max(self.digits, axis=0)

    @property
    def shape(self) -> tuple[int, int]:
        return self.digits[0].shape

    @property
    def pen(self) -> float:
        """How wide printed lines are beside such digits."""
        return max(1.0, self.height / 25)

    @property
    def sides(self) -> list[tuple[int, int]]:
        """Left and right of each digit."""
        columns = [np.flatnonzero((digit > 0.5).any(axis=0)) for digit in self.digits]
        return [(c[0], c[-1] + 1) for c in columns]

    @property
    def between(self) -> list[float]:
        return [(one[1] + other[0]) / 2 for one, other in itertools.pairwise(self.sides)]

    def row(self, at: float) -> float:
        """Give the row at this part of the digits' height below their top."""
        return self.shape[0] / 2 + (at - 0.5) * self.height

    def turned(self, degrees: float) -> Field:
        return Field([turned(digit, degrees) for digit in self.digits], self.height)


def turned(sheet: Grey, degrees: float) -> Grey:
    picture = Image.fromarray(sheet.astype(np.float32))
    larger = picture.rotate(degrees, Image.Resampling.BILINEAR, expand=True)
    return np.clip(np.asarray(larger, np.float64), 0, 1)


def cropped(image: np.ndarray) -> np.ndarray:
    rows, columns = (np.flatnonzero((image > 100).any(axis=axis)) for axis in (1, 0))
    return image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def field(
    images: Iterable[np.ndarray],
    height: float = 40,
    gap: float = 0.3,
    margin: float = 0.5,
    heights: list[float] | None = None,
    slant: float = 0.0,
) -> Field:
    """Put digits side by side.

    Parameters
    ----------
    images : iterable of ndarray of uint8, (28, 28)
    height : float
        Of a digit, in pixels.
    gap, margin : float
        Between digits and around all, in heights.
    heights : list of float, optional
        Of each digit, as a part of height; smaller ones stand on the same line.
    slant : float
        Of the strokes, to the left for each down.
    """
    parts = []
    for k, image in enumerate(images):
        part = cropped(image)
        tall = round(height * (heights[k] if heights else 1))
        wide = max(2, round(part.shape[1] * tall / part.shape[0]))
        resized = Image.fromarray(part).resize((wide, tall), Image.Resampling.BICUBIC)
        parts.append(np.asarray(resized, np.float64) / 255)
    around, space, lean = (round(s * height) for s in (margin, gap, abs(slant)))
    width = sum(part.shape[1] for part in parts) + space * (len(parts) - 1)
    shape = round(height) + 2 * around, width + 2 * around + lean
    digits, left = [], around + lean // 2
    for part in parts:
        sheet = np.zeros(shape, np.float32)
        top = around + round(height) - len(part)
        sheet[top : top + len(part), left : left + part.shape[1]] = part
        sheared = Image.fromarray(sheet).transform(
            shape[::-1],
            Image.Transform.AFFINE,
            (1, slant, -slant * shape[0] / 2, 0, 1, 0),
            Image.Resampling.BILINEAR,
        )
        digits.append(np.asarray(sheared, np.float64))
        left += part.shape[1] + space
    return Field(digits, height)


Place = tuple[float, float]  # x, y


def stroke(f: Field, one: Place, other: Place, width: float | None = None) -> Grey:
    """Draw a straight stroke between two places."""
    y, x = np.mgrid[: f.shape[0], : f.shape[1]] + 0.5
    (x0, y0), (x1, y1) = one, other
    length = np.hypot(x1 - x0, y1 - y0)
    along = ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / length
    across = np.abs((x - x0) * (y1 - y0) - (y - y0) * (x1 - x0)) / length
    beyond = np.maximum(np.maximum(-along, along - length), 0)
    return np.clip((width or f.pen) / 2 + 0.5 - np.hypot(across, beyond), 0, 1)


def most(f: Field, *sheets: Grey) -> Grey:
    """Lay sheets on each other."""
    return np.max([np.zeros(f.shape), *sheets], axis=0)


def level(f: Field, at: float, inset: float = 0.0) -> Grey:
    """Draw a line along, at this part of the digits' height, so far from the sides."""
    ends = inset * f.shape[1], (1 - inset) * f.shape[1]
    return stroke(f, (ends[0], f.row(at)), (ends[1], f.row(at)))


def borders(f: Field, top: float, bottom: float) -> Grey:
    """Draw upright lines between the digits, and left and right of them."""
    gap = (f.sides[1][0] - f.sides[0][1]) / 2 if len(f.sides) > 1 else 5
    places = [f.sides[0][0] - gap, *f.between, f.sides[-1][1] + gap]
    return most(f, *(stroke(f, (x, f.row(top)), (x, f.row(bottom))) for x in places))


def box(f: Field, rng: np.random.Generator) -> Grey:
    sides = [x * f.shape[1] for x in (0.03, 0.97)]
    uprights = (stroke(f, (x, f.row(-0.25)), (x, f.row(1.25))) for x in sides)
    return most(f, level(f, -0.25, 0.03), level(f, 1.25, 0.03), *uprights)


def guilloche(f: Field, rng: np.random.Generator) -> Grey:
    """Draw waves that cross each other, a third as dark as ink."""
    y, x = np.mgrid[: f.shape[0], : f.shape[1]]
    out = np.zeros(f.shape)
    for _ in range(3):
        a, b, c = rng.uniform(0.02, 0.08), rng.uniform(5, 12), rng.uniform(-0.5, 0.5)
        wave = (y + c * x + b * np.sin(a * x + rng.uniform(0, 6))) / rng.uniform(5, 8)
        out = np.maximum(out, 0.3 * np.clip(1.5 * np.cos(2 * np.pi * wave) - 0.5, 0, 1))
    return out


def dots(f: Field, rng: np.random.Generator) -> Grey:
    y, width = f.row(0.96), 2.5 * f.pen
    return most(f, *(stroke(f, (x, y), (x, y + 0.5), width) for x in f.between))


def dashes(f: Field, rng: np.random.Generator) -> Grey:
    half, y, width = 2 * f.pen, f.row(0.5), 2 * f.pen
    return most(f, *(stroke(f, (x - half, y), (x + half, y), width) for x in f.between))


def after(f: Field, *places: Place) -> Grey:
    """Draw a stroke from place to place beyond the last digit, in parts of the digits' height."""
    side = f.sides[-1][1]
    drawn = [(side + x * f.height, f.row(y)) for x, y in places]
    return most(f, *(stroke(f, a, b, 2 * f.pen) for a, b in itertools.pairwise(drawn)))


def specks(f: Field, rng: np.random.Generator) -> Grey:
    places = rng.random((15, 2)) * f.shape[::-1]
    return most(f, *(stroke(f, (x, y), (x + 0.1, y)) for x, y in places))


MARKS: dict[str, Callable[[Field, np.random.Generator], Grey]] = {
    "plain": lambda f, rng: most(f),
    "underline": lambda f, rng: level(f, 1.2, 0.05),
    "underline that touches": lambda f, rng: level(f, 1.0, 0.05),
    "rules": lambda f, rng: most(f, level(f, -0.3), level(f, 1.2)),
    "rule through": lambda f, rng: level(f, 0.6),
    "faint rules": lambda f, rng: (
        0.4 * most(f, *(level(f, at) for at in np.arange(-0.4, 1.5, 0.3)))
    ),
    "box": box,
    "cells": lambda f, rng: most(f, level(f, -0.25), level(f, 1.25), borders(f, -0.25, 1.25)),
    "cells to the edges": lambda f, rng: borders(f, -2, 3),
    "comb": lambda f, rng: most(f, level(f, 1.2), borders(f, 0.8, 1.2)),
    "comb of full height": lambda f, rng: most(f, level(f, 1.2), borders(f, -0.1, 1.2)),
    "bars": lambda f, rng: borders(f, -0.25, 1.25),
    "guilloche": guilloche,
    "dots": dots,
    "dashes": dashes,
    "= at the end": lambda f, rng: most(
        f, after(f, (0.24, 0.25), (0.46, 0.2)), after(f, (0.24, 0.45), (0.46, 0.4))
    ),
    "= in one stroke": lambda f, rng: after(f, (0.3, 0.2), (0.48, 0.17), (0.3, 0.32), (0.48, 0.3)),
    "dash at the end": lambda f, rng: after(f, (0.2, 0.55), (0.3, 0.45), (0.4, 0.5)),
    "specks": specks,
}


def dark(ink: Grey, paper: float | Grey = 235, pen: float = 30) -> np.ndarray:
    """Give a grey picture of dark ink."""
    return np.clip(np.rint(paper - (paper - pen) * ink), 0, 255).astype(np.uint8)


@dataclass
class Judged:
    """What a strip has of a field."""

    kept: list[float]  # of each digit's pixels, the share that has ink where it should
    other: float  # of the strip's ink, the share that is of no digit
    height: float  # the median of the digits' heights, in the strip
    middle: float  # and of their middles


def judged(f: Field, strip: np.ndarray, to_picture: np.ndarray) -> Judged:
    height, width = strip.shape
    back = np.linalg.inv(to_picture[:, :2])
    room = 10
    near = np.zeros((height + 2 * room, width + 2 * room), bool)
    kept, heights, middles = [], [], []
    for digit in f.digits:

        def placed(mask: np.ndarray) -> np.ndarray:
            y, x = np.nonzero(mask)
            return back @ (np.stack([x + 0.5, y + 0.5]) - to_picture[:, 2:])

        x, y = placed(digit > 0.5)
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        column, row = (np.clip(v.astype(int), 0, s - 1) for v, s in ((x, width), (y, height)))
        kept.append(float((inside & (strip[row, column] > 50)).mean()))
        heights.append(np.ptp(y) + 1)
        middles.append((y.min() + y.max()) / 2)
        x, y = (np.floor(v).astype(int) + room for v in placed(digit > 0.02))
        for dx, dy in itertools.product((-1, 0, 1), repeat=2):
            rows, columns = (
                np.clip(y + dy, 0, len(near) - 1),
                np.clip(x + dx, 0, near.shape[1] - 1),
            )
            near[rows, columns] = True
    total = strip.sum(dtype=float)
    other = strip[~near[room:-room, room:-room]].sum(dtype=float) / total
    return Judged(kept, float(other), float(np.median(heights)), float(np.median(middles)))
