"""Strips of characters side by side, an endless seeded stream, to learn to read strings from.

LeCun et al. 1998 make the training set of their string reader from single characters of MNIST
(section VII.B). The strips here are what a field looks like when its writing has been brought to 20
rows of 32: digits that touch, lean and differ in size, their flags and links, and what is left of
rules, dots and dirt. csrc/run/draw_strings.c makes them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from lenet_c import _core, checks
from lenet_c.strips import MARKS

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Strip = NDArray[np.uint8]
    Label = NDArray[np.int64]

__all__ = ["PRESETS", "Strings", "strings"]

SIDE = 28
MOST_LENGTH = 256
_LEAST_GAP, _MOST_GAP = -16, 128
_MOST_GROUPS = 1 << 24  # writers times classes
_MOST_AT_ONCE = 2**31 - 1
_AT_ONCE = 64  # strips that an iteration makes at a time

Effect: TypeAlias = "float | tuple[float, float]"

# (strength, chance) in the preset "field", in the order of lenet_string_effect
_FIELD: dict[str, tuple[float, float]] = {
    "slant": (0.5, 0.8),
    "drift": (0.08, 0.5),
    "offset": (1.5, 0.7),
    "height": (0.15, 0.7),
    "width": (0.2, 0.7),
    "wide": (22, 0.15),
    "tight": (3, 0.25),
    "elastic": (0.8, 0.6),
    "small_zeros": (0.45, 0.3),
    "flags": (1.0, 0.35),
    "bars": (6, 0.35),
    "sizes": (0.15, 0.6),
    "squeeze": (0.15, 0.6),
    "shear": (0.12, 0.6),
    "rotation": (7, 0.6),
    "jitter": (1.5, 0.6),
    "large": (0.4, 0.05),
    "spaces": (18, 0.06),
    "joins": (3, 0.3),
    "separators": (1, 0.14),
    "flourishes": (14, 0.06),
    "cuts": (4, 0.04),
    "thickness": (1.0, 0.6),
    "underline": (1.5, 0.3),
    "box": (1.2, 0.12),
    "cells": (1, 0.05),
    "scratches": (2, 0.05),
    "specks": (8, 0.2),
    "blur": (0.8, 0.4),
    "levels": (0.45, 0.6),
    "fade": (0.6, 0.25),
    "contrast": (0.3, 0.06),
    "noise": (0.2, 0.12),
    "impulses": (0.04, 0.05),
    "inversion": (0.1, 0.05),
    "margin": (4, 0.7),
}
_MOST = dict(zip(_FIELD, _core.string_limits(), strict=True))

PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "field": MappingProxyType(
            {"gap": (-1, 7), "empty": 0.02, "repeat": 0.1, "on_line": True, **_FIELD}
        ),
        "mnist": MappingProxyType({"gap": (0, 4)}),
        "paper": MappingProxyType({"gap": (-1, 4), "inversion": (0.1, 1.0)}),
    }
)
"""What each preset sets; what it leaves out is off."""


def strings(
    images: ArrayLike,
    labels: ArrayLike,
    *,
    length: int | tuple[int, int] = (1, 8),
    gap: int | tuple[int, int] | None = None,
    writers: ArrayLike | None = None,
    preset: str | None = None,
    seed: int = 0,
    empty: float | None = None,
    repeat: float | None = None,
    on_line: bool | None = None,
    digits: bool | None = None,
    separator_labels: Mapping[str, int] | None = None,
    **effects: Effect,
) -> Strings:
    """Make an endless stream of strips of characters, each with its string's labels.

    A strip has 32 rows, 0 background and 255 ink, its characters about 20 rows high around row 16,
    and 8 empty columns at each end: the form that a field's picture is brought to before it is
    read. Strip k depends on the arguments and k alone.

    Parameters
    ----------
    images : uint8 array (N, 28, 28)
        Single characters in MNIST's form: 0 background.
    labels : integer array (N,)
        Of any classes, 0 or more.
    length : int or (int, int)
        Characters of a string: a number, or the fewest and the most, up to 256.
    gap : int or (int, int), optional
        Pixels between the boxes of neighbours, from -16 to 128: a number, or the least and the
        most. A box holds all pixels that are not 0, and leans as the strip does. By default the
        preset's.
    writers : integer array (N,), optional
        Who wrote each image: all characters of a strip are then by one hand.
    preset : str, optional
        "field", the default: everything that real fields have, to train from. "mnist": images as
        they are, side by side, gaps of 0 to 4. "paper": the same with gaps of -1 to 4, 10% of the
        pixels inverted (LeCun et al. 1998, section VII.B).
    seed : int
        0 or more, below 2**64.
    empty : float
        Chance of a strip without characters.
    repeat : float
        Chance that a character is of the class of the one before it.
    on_line : bool
        Whether characters stand on one line; else they lie as high as in their images.
    digits : bool, optional
        Whether the labels 0, 1 and 7 are those digits, which `small_zeros`, `joins`, `flags` and
        `bars` act on. By default if all labels are from 0 to 9.
    separator_labels : mapping, optional
        Labels for some of ".", "," and "-": those separators are then characters of the string. By
        default none is.
    **effects : float or (float, float)
        A strength, or a strength and a chance, for any of the effects below, in place of the
        preset's; 0 is off. A strength alone has the preset's chance, or 1 where it is off there.
        Strengths are drawn uniformly from 0 to those given or, where both signs make sense, from
        minus to plus those given; all lengths are in pixels.

        Of the hand, once a strip: ``slant`` (a row, to the right; a third of it to the left),
        ``drift`` (the line rises or falls by so much a pixel), ``offset`` (up or down), ``height``
        and ``width`` (fractions), ``wide`` and ``tight`` (more and less gap), ``elastic`` (a
        field's deviation), ``small_zeros`` (fraction smaller), ``flags`` (ones have a stroke up to
        their top; 1 is as long as the one), ``bars`` (strokes across sevens).

        Of a character, a gap or an end: ``sizes``, ``squeeze`` (fractions), ``shear`` (a row),
        ``rotation`` (degrees), ``jitter`` (up or down), ``large`` (a fraction larger), ``spaces``
        (more gap), ``joins`` (neighbouring zeros linked, by a bow of so much), ``separators``
        (dots, commas and dashes; size, 1 is ordinary), ``flourishes`` (strokes in and out),
        ``cuts`` (columns of a neighbour at the ends).

        Of paper and picture, once a strip: ``thickness`` (of strokes, more or less),
        ``underline``, ``box``, ``cells`` (thickness of rules), ``scratches`` and ``specks`` (how
        many), ``blur`` (deviation), ``levels`` (share of the range, below which ink goes),
        ``fade`` (share, uneven), ``contrast`` (share: grey paper, pale ink), ``noise``
        (deviation, a share), ``impulses`` (share of the pixels that become 0 or 255),
        ``inversion`` (share of the pixels inverted, always so much), ``margin`` (the 8 columns are
        more or fewer).

    Returns
    -------
    Strings
        Iterating gives (strip, label) without end; ``.batch(n)`` gives lists of both.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as said.

    Examples
    --------
    ::

        (x, y), _ = lenet_c.datasets.mnist()
        stream = lenet_c.datasets.strings(x, y, length=(1, 8), seed=1)
        strips, labels = stream.batch(64)  # of the first, (32, W) and the digits of its string
    """
    name = checks.one_of("preset", "field" if preset is None else preset, PRESETS)
    base = PRESETS[name]
    pixels = _checked_images(images)
    classes, codes = _checked_numbers("labels", labels, len(pixels))
    hands = None
    if writers is not None:
        hands = _checked_numbers("writers", writers, len(pixels), -(2**63))[1]
    marks = _checked_marks(separator_labels, classes)
    if digits is None:
        digits = bool(classes[-1] <= 9)
    checks.truth("digits", digits)
    if on_line is None:
        on_line = base.get("on_line", False)

    settings = MappingProxyType(
        {
            "preset": name,
            "seed": checks.whole("seed", seed, 0, 2**64 - 1),
            "length": _checked_range("length", length, 1, MOST_LENGTH),
            "gap": _checked_range(
                "gap", base["gap"] if gap is None else gap, _LEAST_GAP, _MOST_GAP
            ),
            "empty": _checked_chance("empty", base.get("empty", 0.0) if empty is None else empty),
            "repeat": _checked_chance(
                "repeat", base.get("repeat", 0.0) if repeat is None else repeat
            ),
            "on_line": checks.truth("on_line", on_line),
            "digits": digits,
            "separator_labels": marks,
            **_checked_effects(base, effects),
        }
    )
    return Strings(pixels, classes, codes, hands, settings)


class Strings:
    """An endless stream of strips: what `strings` gives.

    Attributes
    ----------
    position : int
        The number of the strip that comes next; it may be set, to go on where a training stopped.
    settings : mapping
        All that the strips are drawn by: lengths, gaps, chances, and each effect's strength and
        chance.
    """

    def __init__(
        self,
        pixels: Strip,
        classes: Label,
        codes: Label,
        hands: Label | None,
        settings: Mapping[str, Any],
    ) -> None:
        """Take what `strings` has checked: of each image the place of its class, and its writer."""
        marks = settings["separator_labels"]
        effects = [settings[name] for name in _MOST]
        self.settings = settings
        self.position = 0
        self._first = pixels, classes[codes], hands
        # of codes to labels, those of separators last
        self._labels = np.array([*classes, *(marks.get(mark, 0) for mark in MARKS)], np.int64)

        if hands is None:
            hands = np.zeros(len(pixels), np.int64)
        order = np.lexsort((codes, hands)).astype(np.int64)
        groups = (int(hands.max()) + 1) * len(classes)
        if groups > _MOST_GROUPS:
            raise ValueError(
                f"writers: {hands.max() + 1:,} of them times {len(classes):,} classes, want at "
                f"most {_MOST_GROUPS:,} in all"
            )
        starts = np.searchsorted((hands * len(classes) + codes)[order], np.arange(groups + 1))
        found = {int(label): place for place, label in enumerate(classes)}
        self._core = _core.Strings(
            pixels,
            order,
            starts.astype(np.int64),
            len(classes),
            [found.get(digit, -1) if settings["digits"] else -1 for digit in (0, 1, 7)],
            [mark in marks for mark in MARKS],
            settings["on_line"],
            settings["length"],
            settings["gap"],
            settings["empty"],
            settings["repeat"],
            [strength for strength, _ in effects],
            [chance for _, chance in effects],
            settings["seed"],
        )

    def batch(
        self, n: int, *, first: int | None = None, num_threads: int | None = None
    ) -> tuple[list[Strip], list[Label]]:
        """Make n strips.

        Parameters
        ----------
        n : int
        first : int, optional
            The number of the first one, 0 or more: what is given depends on nothing else, so any
            number of threads may call at once. By default those from `position` on, which is then
            moved behind them.
        num_threads : int, optional
            Threads that make them; of no account for what they look like.

        Returns
        -------
        strips : list of uint8 arrays (32, W)
            Each of a width of its own.
        labels : list of int64 arrays (L,)
            Of the characters from left to right; of an empty strip none.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as said.
        MemoryError
            If the strips may take more memory than `lenet_c.set_memory_limit` allows.
        """
        n = checks.whole("n", n, 1, _MOST_AT_ONCE)
        if first is None:
            start = checks.whole("position", self.position, 0, 2**64 - n)
        else:
            start = checks.whole("first", first, 0, 2**64 - n)
        strips, codes = self._core.draw(n, start, num_threads)
        if first is None:
            self.position = start + n
        return strips, [self._labels[code] for code in codes]

    def __iter__(self) -> Iterator[tuple[Strip, Label]]:
        """Give (strip, label) from `position` on, which moves along, without end."""
        while True:
            at = self.position
            for pair in zip(*self.batch(_AT_ONCE, first=at), strict=True):
                self.position = at = at + 1
                yield pair
                if self.position != at:  # somebody has moved it
                    break

    def __repr__(self) -> str:
        s = self.settings
        return (
            f"Strings({len(self._first[0])} images of {len(self._labels) - len(MARKS)} classes, "
            f"preset {s['preset']!r}, length {s['length']}, gap {s['gap']}, seed {s['seed']}, at "
            f"strip {self.position})"
        )

    def __reduce__(self) -> Any:
        pixels, labels, writers = self._first
        return _again, (pixels, labels, writers, dict(self.settings), self.position)


def _again(
    images: Strip, labels: Label, writers: Label | None, settings: dict[str, Any], position: int
) -> Strings:
    made = strings(images, labels, writers=writers, **settings)
    made.position = position
    return made


def _checked_images(images: ArrayLike) -> Strip:
    given = checks.array("images", images)
    if given.dtype != np.uint8:
        raise TypeError(f"images: dtype {given.dtype}, want uint8 (raw grey, 0 background)")
    if given.ndim != 3 or given.shape[1:] != (SIDE, SIDE) or not len(given):
        raise ValueError(
            f"images: shape {given.shape}, want (N, {SIDE}, {SIDE}), one or more; "
            "preprocess.characters brings pictures into this form"
        )
    blank = np.flatnonzero(~given.any(axis=(1, 2)))
    if len(blank):
        raise ValueError(f"images: number {blank[0]} has no ink (all of it is 0), want none such")
    corners = given[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    if np.median(corners) > 127:
        raise ValueError("images: dark on light, want 0 for background; 255 - images makes it so")
    return np.array(given, np.uint8, order="C")  # nobody else may change it


def _checked_numbers(name: str, numbers: ArrayLike, n: int, least: int = 0) -> tuple[Label, Label]:
    """Give the numbers that there are, and of each of `numbers` its place among them."""
    given = checks.numbers(name, numbers, "iu")
    if given.shape != (n,):
        raise ValueError(f"{name}: shape {given.shape}, want ({n},), one for each image")
    if given.min() < least or given.max() >= 2**63:
        wrong = given.min() if given.min() < least else given.max()
        raise ValueError(f"{name}: has {wrong}, want whole numbers of at least 0, below 2**63")
    found, codes = np.unique(given.astype(np.int64), return_inverse=True)
    return found, codes.reshape(-1).astype(np.int64)


def _checked_marks(given: Mapping[str, int] | None, classes: Label) -> dict[str, int]:
    if given is None:
        return {}
    name = "separator_labels"
    checks.instance(name, given, Mapping, "a mapping such as {'.': 10}")  # type: ignore[type-abstract]
    marks: dict[str, int] = {}
    for mark, label in given.items():
        checks.one_of(name, mark, MARKS)
        label = checks.whole(f"{name}[{mark!r}]", label, 0, 2**63 - 1)
        if label in classes or label in marks.values():
            raise ValueError(
                f"{name}[{mark!r}]: {label} is the label of another class, want a new one"
            )
        marks[mark] = label
    return marks


def _checked_range(name: str, given: object, least: int, most: int) -> tuple[int, int]:
    if isinstance(given, (tuple, list)):
        if len(given) != 2:
            raise ValueError(f"{name}: got {checks.short(given)}, want a number or (least, most)")
        low, high = (checks.whole(name, value, least, most) for value in given)
        if low > high:
            raise ValueError(
                f"{name}: got {checks.short(given)}, want the least first, then the most"
            )
        return low, high
    return (checks.whole(name, given, least, most),) * 2


def _checked_chance(name: str, given: object) -> float:
    return checks.real(name, given, 0, 1, "both", in_float32=True)


def _checked_effects(
    base: Mapping[str, Any], given: Mapping[str, Any]
) -> dict[str, tuple[float, float]]:
    unknown = [name for name in given if name not in _FIELD]
    if unknown:
        raise TypeError(
            f"{unknown[0]}: no such argument or effect; want some of {', '.join(_FIELD)}"
        )
    chosen: dict[str, tuple[float, float]] = {}
    for name, most in _MOST.items():
        strength, chance = base.get(name, (0.0, 1.0))
        value = given.get(name, strength)
        if isinstance(value, (tuple, list)):
            if len(value) != 2:
                raise ValueError(
                    f"{name}: got {checks.short(value)}, want a strength or (strength, chance)"
                )
            value, chance = value
        chosen[name] = (
            checks.real(name, value, 0, most, "both", in_float32=True),
            _checked_chance(f"{name}: chance", chance),
        )
    return chosen
