"""Strips of characters: exact where nothing is distorted, the same bits in any order; effects."""

from __future__ import annotations

import itertools
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lenet_c import _core, datasets, set_memory_limit, strings
from lenet_c.strings import _FIELD, _MOST, PRESETS

Strips = list[np.ndarray]


def characters(rng: np.random.Generator, n: int = 10, high: int = 256) -> np.ndarray:
    """Give images whose ink fills a box of random place and size, at least 8x16."""
    images = np.zeros((n, 28, 28), np.uint8)
    for image in images:
        height, width = rng.integers(16, 21), rng.integers(8, 19)
        top, left = rng.integers(1, 27 - height), rng.integers(1, 27 - width)
        image[top : top + height, left : left + width] = rng.integers(
            high - 100, high, (height, width)
        )
    return images


@pytest.fixture
def ten(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Of each digit one image."""
    return characters(rng), np.arange(10)


@pytest.fixture(scope="module")
def digits(real_digits: Any) -> tuple[np.ndarray, np.ndarray]:
    (x, y), _ = real_digits
    return x[:1000], y[:1000]


def side_by_side(images: np.ndarray, gap: int) -> np.ndarray:
    """The images' boxes with a gap between them, as high as in the images, 8 columns around."""
    sheet = np.zeros((32, 8 + 28 * len(images) * 8), np.uint8)
    end = 8
    for k, image in enumerate(images):
        columns = np.flatnonzero(image.any(axis=0))
        box = image[:, columns[0] : columns[-1] + 1]
        begin = end + gap if k else end
        place = sheet[2:30, begin : begin + box.shape[1]]
        np.maximum(place, box, out=place)
        end = max(end, begin + box.shape[1])
    return sheet[:, : end + 8]


def plain(data: tuple[np.ndarray, np.ndarray], **settings: Any) -> datasets.Strings:
    return datasets.strings(*data, **{"preset": "mnist", **settings})


def differ(some: Strips, others: Strips) -> list[bool]:
    return [a.shape != b.shape or bool((a != b).any()) for a, b in zip(some, others, strict=True)]


def ink(strips: Strips) -> float:
    return float(np.mean([strip.sum() for strip in strips]))


# ---- without distortions -------------------------------------------------------------------------


@pytest.mark.parametrize("gap", [-4, -1, 0, 1, 3, 25])
def test_plain_strips_are_the_characters_side_by_side(
    ten: tuple[np.ndarray, np.ndarray], gap: int
) -> None:
    strips, labels = plain(ten, length=(1, 6), gap=gap).batch(60)
    assert {len(label) for label in labels} == {1, 2, 3, 4, 5, 6}
    for strip, label in zip(strips, labels, strict=True):
        assert (strip.dtype, label.dtype) == (np.uint8, np.int64)
        assert strip.flags.c_contiguous
        np.testing.assert_array_equal(strip, side_by_side(ten[0][label], gap))
    assert set(np.concatenate(labels).tolist()) == set(range(10))


def test_gaps_are_drawn_from_all_of_their_range(ten: tuple[np.ndarray, np.ndarray]) -> None:
    widths = np.array([np.ptp(np.flatnonzero(image.any(axis=0))) + 1 for image in ten[0]])
    for preset, low, high in (("mnist", 0, 4), ("paper", -1, 4)):
        strips, labels = datasets.strings(*ten, preset=preset, length=2).batch(300)
        seen = [s.shape[1] - 16 - widths[y].sum() for s, y in zip(strips, labels, strict=True)]
        assert set(seen) == set(range(low, high + 1)), preset


def test_labels_and_images_of_any_classes(rng: np.random.Generator) -> None:
    images = characters(rng, 30)
    labels = np.repeat([5000, 3, 71], 10).astype(np.uint16)
    stream = plain((images, labels), length=1)
    by_look = {
        side_by_side(i[None], 0).tobytes(): int(y) for i, y in zip(images, labels, strict=True)
    }
    strips, found = stream.batch(200)
    assert [by_look[s.tobytes()] for s in strips] == [int(y[0]) for y in found]
    assert len({s.tobytes() for s in strips}) == 30
    assert not stream.settings["digits"]


def test_the_arrays_that_were_given_may_change(ten: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = ten[0].copy(), ten[1].copy()
    stream = plain((images, labels))
    before = stream.batch(20, first=0)
    images[:] = 1
    labels[:] = 3
    after = stream.batch(20, first=0)
    for one, other in zip(before, after, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)


# ---- the same bits -------------------------------------------------------------------------------


def same(some: tuple[Strips, Strips], others: tuple[Strips, Strips]) -> bool:
    return not any(differ(some[0], others[0])) and not any(differ(some[1], others[1]))


def test_the_same_bits_however_they_are_made(digits: tuple[np.ndarray, np.ndarray]) -> None:
    stream = datasets.strings(*digits, seed=3)
    whole = stream.batch(150, first=0, num_threads=1)
    for threads in (2, 3, 7):
        assert same(stream.batch(150, first=0, num_threads=threads), whole)
    pieces: tuple[Strips, Strips] = ([], [])
    for n in (1, 64, 3, 65, 17):  # goes on where it was
        for all_, piece in zip(pieces, stream.batch(n), strict=True):
            all_ += piece
    assert stream.position == 150
    assert same(pieces, whole)
    assert same(stream.batch(30, first=70), (whole[0][70:100], whole[1][70:100]))
    assert stream.position == 150
    again = datasets.strings(*digits, seed=3)
    assert same(tuple(map(list, zip(*itertools.islice(again, 100), strict=True))),
                (whole[0][:100], whole[1][:100]))  # fmt: skip
    assert again.position == 100
    again.position = 20
    np.testing.assert_array_equal(next(iter(again))[0], whole[0][20])
    assert any(differ(datasets.strings(*digits, seed=4).batch(150)[0], whole[0]))


def test_an_iteration_follows_the_position(digits: tuple[np.ndarray, np.ndarray]) -> None:
    stream = datasets.strings(*digits)
    wanted, _ = stream.batch(100, first=0)
    for k, (strip, _) in enumerate(stream):
        np.testing.assert_array_equal(strip, wanted[stream.position - 1])
        if k == 5:
            stream.position = 90
        if k == 9:
            break
    assert stream.position == 94


def test_the_last_numbers_there_are(ten: tuple[np.ndarray, np.ndarray]) -> None:
    stream = plain(ten)
    assert len(stream.batch(3, first=2**64 - 3)[0]) == 3
    with pytest.raises(ValueError, match=r"first: got 18446744073709551614"):
        stream.batch(3, first=2**64 - 2)


def test_a_copy_goes_on_where_it_was(digits: tuple[np.ndarray, np.ndarray]) -> None:
    stream = datasets.strings(
        *digits,
        writers=np.arange(1000) // 100,
        separator_labels={".": 10, "-": 12},
        slant=(0.3, 0.5),
        empty=0.25,
        length=3,
    )
    stream.batch(10)
    copied = pickle.loads(pickle.dumps(stream))
    assert copied.settings == stream.settings
    assert copied.position == 10
    assert repr(copied) == repr(stream)
    assert same(copied.batch(40), stream.batch(40))


PRINT = """
import hashlib, numpy as np
from lenet_c import _core, datasets
rng = np.random.RandomState(5)
images = np.zeros((40, 28, 28), np.uint8)
images[:, 5:23, 8:20] = rng.randint(0, 256, (40, 18, 12))
made = [s.tobytes() for s in datasets.strings(images, np.arange(40) % 10).batch(300)[0]]
print(_core.isa()[0], hashlib.sha256(b"".join(made)).hexdigest())
"""


def test_the_same_bits_from_every_instruction_set() -> None:
    said = {}
    for name in _core.available_isas():
        environment = {**os.environ, "LENET_C_ISA": name}
        output = subprocess.check_output([sys.executable, "-c", PRINT], env=environment, text=True)
        used, said[name] = output.split()
        assert used == name
    assert len(set(said.values())) == 1, said


# ---- effects -------------------------------------------------------------------------------------


def test_the_effects_have_the_cores_order() -> None:
    """Their largest strengths tell some of them apart."""
    assert _MOST["rotation"] == 90
    assert _MOST["specks"] == 256
    assert _MOST["inversion"] == 0.5
    assert _MOST["scratches"] == 64
    assert _MOST["flags"] == 1.5
    assert list(_MOST) == list(_FIELD)


@pytest.mark.parametrize("name", list(_FIELD))
def test_each_effect_acts_as_often_as_it_may(
    digits: tuple[np.ndarray, np.ndarray], name: str
) -> None:
    kept = {"small_zeros": [0], "joins": [0], "flags": [1], "bars": [7]}.get(name, range(10))
    chosen = np.isin(digits[1], list(kept))
    data = digits[0][chosen], digits[1][chosen]
    settings: dict[str, Any] = {"length": 2, "gap": 3}
    before, labels = plain(data, **settings).batch(300)

    def changed(effect: Any) -> float:
        strips, found = plain(data, **settings, **{name: effect}).batch(300)
        assert not any(differ(labels, found))  # labels stay
        return float(np.mean(differ(strips, before)))

    strength = _FIELD[name][0]
    assert changed(0) == 0
    assert changed((strength, 0)) == 0
    assert changed((0, 1)) == 0
    assert changed(strength) > 0.6  # some are too weak to be seen
    often = changed((strength, 0.2))
    assert 0.02 < often < (0.6 if name in ("sizes", "squeeze", "separators", "cuts") else 0.5)


def test_strokes_lean_to_the_right(digits: tuple[np.ndarray, np.ndarray]) -> None:
    """By the correlation of rows and columns."""

    def lean(strips: Strips) -> np.ndarray:
        found = []
        for strip in strips:
            y, x = np.mgrid[:32, : strip.shape[1]]
            w = strip / strip.sum()
            dx, dy = x - (w * x).sum(), y - (w * y).sum()
            found.append(-(w * dx * dy).sum() / (w * dy * dy).sum())
        return np.array(found)

    before, _ = plain(digits, length=1).batch(200)
    strips, _ = plain(digits, length=1, slant=0.9).batch(200)
    more = lean(strips) - lean(before)
    assert more.max() > 0.5
    assert -0.5 < more.min() < -0.05
    assert np.mean(more) > 0.05


def test_gaps_become_wider_and_narrower(digits: tuple[np.ndarray, np.ndarray]) -> None:
    def width(**effect: float) -> np.ndarray:
        return np.array(
            [s.shape[1] for s in plain(digits, length=5, gap=4, **effect).batch(100)[0]]
        )

    before = width()
    wide, tight, spaces = width(wide=20), width(tight=4), width(spaces=20)
    assert ((wide - before) % 4 == 0).all()  # each of the four gaps by as much
    assert (wide - before).max() > 4 * 15
    assert ((tight - before) % 4 == 0).all()
    assert (tight - before).min() == -16
    assert ((spaces - before) % 4 != 0).any()
    assert 15 < (spaces - before).mean() / 2 < 25


def test_sizes_of_characters(digits: tuple[np.ndarray, np.ndarray]) -> None:
    def rows(strip: np.ndarray) -> int:
        return int(np.ptp(np.flatnonzero((strip > 60).any(axis=1)))) + 1

    before = [rows(s) for s in plain(digits, length=1).batch(200)[0]]
    for name, least, most in (
        ("height", 0.75, 1.3),
        ("sizes", 0.75, 1.3),
        ("large", 1.0, 1.3),
        ("width", 0.95, 1.05),
        ("squeeze", 0.95, 1.05),
    ):
        strips = plain(digits, length=1, **{name: 0.25}).batch(200)[0]
        ratio = np.array([rows(s) for s in strips]) / before
        assert np.quantile(ratio, 0.02) > least - 0.08, name
        assert np.quantile(ratio, 0.98) < most + 0.05, name
        if name in ("height", "sizes"):
            assert ratio.min() < 0.85
            assert ratio.max() > 1.15
        if name in ("width", "squeeze"):
            columns = [s.shape[1] - 16 for s in strips]
            assert (
                np.ptp(
                    columns
                    / np.array([s.shape[1] - 16 for s in plain(digits, length=1).batch(200)[0]])
                )
                > 0.3
            )


def test_only_zeros_become_small_and_only_ones_have_flags(
    digits: tuple[np.ndarray, np.ndarray],
) -> None:
    for name, label in (("small_zeros", 0), ("flags", 1), ("bars", 7)):
        before, labels = plain(digits, length=1).batch(200)
        strips, _ = plain(digits, length=1, **{name: _FIELD[name][0]}).batch(200)
        for changed, found in zip(differ(strips, before), labels, strict=True):
            assert changed <= (found[0] == label), name
        off, _ = plain(digits, length=1, digits=False, **{name: _FIELD[name][0]}).batch(200)
        assert not any(differ(off, before))


def test_zeros_are_linked_at_the_top(digits: tuple[np.ndarray, np.ndarray]) -> None:
    zeros = digits[0][digits[1] == 0], digits[1][digits[1] == 0]
    before, _ = plain(zeros, length=2, gap=6).batch(50)
    strips, _ = plain(zeros, length=2, gap=6, joins=1).batch(50)
    added = [np.argwhere(a.astype(int) - b > 100) for a, b in zip(strips, before, strict=True)]
    rows = np.concatenate(added)[:, 0]
    assert np.quantile(rows, 0.9) < 14
    filled = [(a > 0).any(axis=0)[8:-8].all() for a in strips]
    assert np.mean(filled) > 0.9  # no empty column is left between them
    assert not any((b > 0).any(axis=0)[8:-8].all() for b in before)


def test_separators_may_be_characters(ten: tuple[np.ndarray, np.ndarray]) -> None:
    stream = plain(ten, length=3, separators=1, separator_labels={".": 46, "-": 45})
    strips, labels = stream.batch(200)
    assert {len(label) for label in labels} - {4, 5, 6, 7, 8} == set()
    assert set(np.concatenate(labels).tolist()) == {*range(10), 45, 46}
    without, digits = plain(ten, length=3, separators=1).batch(200)
    for label, only in zip(labels, digits, strict=True):
        assert label[label < 10].tolist() == only.tolist()
        assert len(only) == 3
    del strips, without


def test_dots_lie_low_and_dashes_in_the_middle(rng: np.random.Generator) -> None:
    box = np.zeros((1, 28, 28), np.uint8)
    box[0, 4:24, 8:20] = 40  # separators have up to 255
    for kind, low, high in ((".", 20, 29), ("-", 9, 24), (",", 20, 32)):
        stream = plain(
            (box, [4]),
            length=1,
            on_line=True,
            separators=(1, 0.5),
            separator_labels={".": 1, ",": 2, "-": 3},
        )
        seen = 0
        for strip, label in zip(*stream.batch(200), strict=True):
            if label.tolist() != [4, {".": 1, ",": 2, "-": 3}[kind]]:
                continue
            rows = np.flatnonzero((strip > 80).any(axis=1))
            assert low <= rows[0], kind
            assert rows[-1] <= high, kind
            seen += 1
        assert seen > 5, kind


def test_characters_stand_on_a_line(ten: tuple[np.ndarray, np.ndarray]) -> None:
    for strip in plain(ten, length=1, on_line=True).batch(50)[0]:
        assert np.flatnonzero(strip.any(axis=1))[-1] == 25


def test_margins(ten: tuple[np.ndarray, np.ndarray]) -> None:
    ends = []
    for strip in plain(ten, margin=3).batch(100)[0]:
        columns = np.flatnonzero(strip.any(axis=0))
        ends += [columns[0], strip.shape[1] - 1 - columns[-1]]
    assert set(ends) == set(range(5, 12))


def test_so_many_pixels_are_inverted(ten: tuple[np.ndarray, np.ndarray]) -> None:
    before, _ = plain(ten, gap=2).batch(100)
    strips, _ = datasets.strings(*ten, preset="paper", gap=2).batch(100)
    found = np.concatenate([s.ravel() for s in strips])
    was = np.concatenate([s.ravel() for s in before])
    changed = found != was
    assert (found[changed] == 255 - was[changed]).all()
    assert abs(changed.mean() - 0.1) < 0.003
    few, _ = plain(ten, gap=2, inversion=0.02).batch(100)
    assert abs((np.concatenate([s.ravel() for s in few]) != was).mean() - 0.02) < 0.002


def test_strokes_become_thicker_and_thinner(digits: tuple[np.ndarray, np.ndarray]) -> None:
    before, _ = plain(digits).batch(100)
    strips, _ = plain(digits, thickness=1.5).batch(100)
    ratio = [ink([a]) / ink([b]) for a, b in zip(strips, before, strict=True)]
    assert min(ratio) < 0.7
    assert max(ratio) > 1.3


@pytest.mark.parametrize(
    ("name", "more"),
    [
        *[(name, 1) for name in ("underline", "box", "cells", "specks", "flourishes", "cuts")],
        *[("noise", 1), ("fade", -1), ("separators", 1)],
    ],
)
def test_there_is_more_ink_or_less(
    digits: tuple[np.ndarray, np.ndarray], name: str, more: int
) -> None:
    before, after = (
        ink(plain(digits, length=4, **{name: s}).batch(100)[0]) for s in (0, _FIELD[name][0])
    )
    assert np.sign(round(after / before - 1, 3)) == more


def test_lines_lie_where_they_should(digits: tuple[np.ndarray, np.ndarray]) -> None:
    for name, rows in (("underline", slice(26, 32)), ("box", slice(0, 5))):
        share = []
        for strength in (0, 1.5):
            strips, _ = plain(digits, length=6, on_line=True, **{name: strength}).batch(60)
            long = [(s > 40).sum(axis=1) > 0.3 * s.shape[1] for s in strips]
            share.append(np.mean([is_long[rows].any() for is_long in long]))
        assert share[1] > share[0] + 0.4, name


def test_a_faded_strip_keeps_its_background(digits: tuple[np.ndarray, np.ndarray]) -> None:
    before, _ = plain(digits).batch(50)
    for name in ("fade", "levels"):
        strips, _ = plain(digits, **{name: _FIELD[name][0]}).batch(50)
        for strip, was in zip(strips, before, strict=True):
            assert strip.shape == was.shape
            assert not strip[was == 0].any()
            assert (strip[was == 255] > 60).all()


def test_strengths_are_bounds(digits: tuple[np.ndarray, np.ndarray]) -> None:
    """All at once and as strong as can be: strips are as said, whatever they show."""
    everything = {name: (most, 1.0) for name, most in _MOST.items()}
    for length in (1, 9, 256):
        stream = datasets.strings(*digits, length=length, gap=(-16, 128), **everything)
        for strip, label in zip(*stream.batch(4), strict=True):
            assert strip.shape[0] == 32
            assert strip.shape[1] >= 16
            assert len(label) == length
        narrow = datasets.strings(*digits, length=length, gap=-16, tight=8, preset="mnist")
        assert all(len(label) == length for label in narrow.batch(4)[1])


# ---- what strips are of --------------------------------------------------------------------------


def test_all_of_a_strip_is_by_one_writer(rng: np.random.Generator) -> None:
    images = (characters(rng, 60) > 0).astype(np.uint8)
    writers = rng.integers(0, 7, 60) * 1000 - 3000
    images *= (10 + writers // 100 + 60).astype(np.uint8)[:, None, None]  # a level each
    labels = rng.integers(0, 10, 60)
    strips, found = plain((images, labels), writers=writers, length=(2, 6)).batch(200)
    levels = [set(np.unique(strip)) - {0} for strip in strips]
    assert all(len(level) == 1 for level in levels)
    assert len(set().union(*levels)) == len(np.unique(writers))
    for level, label in zip(levels, found, strict=True):
        theirs = labels[images.max(axis=(1, 2)) == next(iter(level))]
        assert set(label) <= set(theirs)
    mixed, _ = plain((images, labels), length=6).batch(50)
    assert any(len(np.unique(strip)) > 2 for strip in mixed)


def test_empty_strips(digits: tuple[np.ndarray, np.ndarray]) -> None:
    strips, labels = plain(digits, empty=1).batch(40)
    assert all(label.shape == (0,) for label in labels)
    assert not any(strip.any() for strip in strips)
    assert len({strip.shape[1] for strip in strips}) > 10
    _, some = plain(digits, empty=0.3).batch(400)
    assert 0.2 < np.mean([len(label) == 0 for label in some]) < 0.4
    _, none = plain(digits, empty=0).batch(400)
    assert all(len(label) for label in none)
    dirty, labels = plain(digits, empty=1, noise=0.2, underline=2).batch(40)
    assert all(strip.any() for strip in dirty)
    assert all(label.shape == (0,) for label in labels)


def test_characters_may_repeat(digits: tuple[np.ndarray, np.ndarray]) -> None:
    def repeats(share: float) -> float:
        _, labels = plain(digits, length=2, repeat=share).batch(400)
        return float(np.mean([a == b for a, b in labels]))

    assert repeats(0) < 0.2
    assert 0.45 < repeats(0.5) < 0.65
    assert repeats(1) == 1


def test_the_default_is_made_for_training(digits: tuple[np.ndarray, np.ndarray]) -> None:
    stream = datasets.strings(*digits)
    assert stream.settings["preset"] == "field"
    assert stream.settings["gap"] == (-1, 7)
    assert stream.settings["slant"] == _FIELD["slant"]
    assert datasets.strings(*digits, slant=0.1).settings["slant"] == (0.1, _FIELD["slant"][1])
    assert datasets.strings(*digits, preset="mnist", slant=0.1).settings["slant"] == (0.1, 1.0)
    assert set(PRESETS) == {"field", "mnist", "paper"}
    assert repr(stream) == (
        "Strings(1000 images of 10 classes, preset 'field', length (1, 8), gap (-1, 7), seed 0, "
        "at strip 0)"
    )
    strips, labels = stream.batch(500)
    assert {len(label) for label in labels} == set(range(9))
    assert max(strip.shape[1] for strip in strips) > 250


# ---- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"length": 0}, ValueError, "length: got 0, want a whole number from 1 to 256"),
        ({"length": (5, 2)}, ValueError, r"length: got \(5, 2\), want the least first"),
        ({"length": (1, 2, 3)}, ValueError, r"length: got .*, want a number or \(least, most\)"),
        ({"length": 1.5}, TypeError, "length: got 1.5, want a whole number"),
        ({"gap": (0, 200)}, ValueError, "gap: got 200, want a whole number from -16 to 128"),
        ({"seed": -1}, ValueError, "seed: got -1"),
        ({"preset": "cheque"}, ValueError, "preset: got 'cheque', want one of field, mnist, paper"),
        ({"empty": 1.5}, ValueError, "empty: got 1.5, want a number from 0 to 1"),
        ({"repeat": "often"}, TypeError, "repeat: got 'often', want a number"),
        ({"on_line": 1}, TypeError, "on_line: got 1, want True or False"),
        ({"digits": 1}, TypeError, "digits: got 1, want True or False"),
        ({"wobble": 1}, TypeError, "wobble: no such argument or effect; want some of slant, "),
        ({"slant": 1.5}, ValueError, "slant: got 1.5, want a number from 0 to 1"),
        ({"slant": (0.1, 2)}, ValueError, "slant: chance: got 2, want a number from 0 to 1"),
        ({"slant": (1, 2, 3)}, ValueError, r"slant: got \(1, 2, 3\), want a strength or"),
        ({"slant": "much"}, TypeError, "slant: got 'much', want a number"),
        ({"noise": float("nan")}, ValueError, "noise: got nan"),
        ({"writers": [1, 2]}, ValueError, r"writers: shape \(2,\), want \(10,\), one for each"),
        ({"writers": np.zeros(10)}, TypeError, "writers: dtype float64, want integers"),
        ({"separator_labels": {";": 4}}, ValueError, "separator_labels: got ';', want one of"),
        ({"separator_labels": {".": 4}}, ValueError, "4 is the label of another class"),
        ({"separator_labels": {".": -4}}, ValueError, r"separator_labels\['.'\]: got -4"),
        ({"separator_labels": [10]}, TypeError, "separator_labels: got .*, want a mapping"),
    ],
)
def test_bad_settings(
    ten: tuple[np.ndarray, np.ndarray], settings: dict[str, Any], error: Any, message: str
) -> None:
    with pytest.raises(error, match=message):
        datasets.strings(*ten, **settings)


def test_bad_arrays(ten: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = ten
    blank = images.copy()
    blank[4] = 0
    for given, numbers, error, message in (
        (images / 255, labels, TypeError, "images: dtype float64, want uint8"),
        (images[:, :20], labels, ValueError, r"images: shape .*, want \(N, 28, 28\)"),
        (images[:0], labels[:0], ValueError, r"images: shape .* one or more"),
        (blank, labels, ValueError, "images: number 4 has no ink"),
        (255 - images, labels, ValueError, "images: dark on light"),
        (images, labels[:5], ValueError, r"labels: shape \(5,\), want \(10,\)"),
        (images, labels - 1, ValueError, "labels: has -1"),
        (images, labels * 0.5, TypeError, "labels: dtype float64, want integers"),
    ):
        with pytest.raises(error, match=message):
            datasets.strings(given, numbers)


def test_bad_batches(ten: tuple[np.ndarray, np.ndarray]) -> None:
    stream = plain(ten)
    for arguments, error, message in (
        ({"n": 0}, ValueError, "n: got 0, want a whole number from 1"),
        ({"n": 2.0}, TypeError, "n: got 2.0"),
        ({"n": 3, "first": -1}, ValueError, "first: got -1"),
        ({"n": 3, "num_threads": 0}, ValueError, "num_threads: got 0"),
    ):
        with pytest.raises(error, match=message):
            stream.batch(**arguments)  # type: ignore[arg-type]
    stream.position = "here"  # type: ignore[assignment]
    with pytest.raises(TypeError, match="position: got 'here'"):
        stream.batch(1)


def test_memory_has_a_limit(ten: tuple[np.ndarray, np.ndarray]) -> None:
    set_memory_limit(1 << 20)
    try:
        with pytest.raises(MemoryError, match=r"n: 10000 strips: wants .* a smaller n takes less"):
            plain(ten).batch(10000)
    finally:
        set_memory_limit(2 << 30)


def test_too_many_writers_and_classes(rng: np.random.Generator) -> None:
    images = np.repeat(characters(rng, 1), 5000, axis=0)
    with pytest.raises(ValueError, match="writers: 5,000 of them times 5,000 classes"):
        datasets.strings(images, np.arange(5000), writers=np.arange(5000))


# ---- fields of one's own -------------------------------------------------------------------------


@pytest.fixture
def fields(tmp_path: Path) -> Path:
    image = pytest.importorskip("PIL.Image")
    pytest.importorskip("scipy")
    rows = ["file,text"]
    for k in range(6):
        picture = np.full((20 + k, 60), 250, np.uint8)
        picture[5:15, 10 * k] = 20
        image.fromarray(picture).save(tmp_path / f"{k}.png")
        rows.append(f"{k}.png,{100 + k}")
    (tmp_path / "labels.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


def add(folder: Path, row: str) -> None:
    with (folder / "labels.csv").open("a") as file:
        file.write(f"{row}\n")


def test_a_folder_of_fields(fields: Path) -> None:
    found = datasets.folder(fields)
    assert isinstance(found, datasets.Fields)
    assert len(found) == 6
    assert found.texts == ("100", "101", "102", "103", "104", "105")
    assert found.files == tuple(f"{k}.png" for k in range(6))
    assert found.class_names == ("0", "1", "2", "3", "4", "5")
    assert repr(found) == "Fields(6 pictures, of 0, 1, 2, 3, 4, 5)"
    for k, (picture, text) in enumerate(found):
        assert picture.shape == (20 + k, 60)
        assert picture[10, 10 * k] == 20
        assert text == str(100 + k)
    assert found[-1][1] == "105"
    assert found[4][0].shape == (24, 60)
    assert [text for _, text in found[1:3]] == ["101", "102"]
    rest, aside = found.split(0.3, seed=1)
    assert (len(rest), len(aside)) == (4, 2)
    assert {*rest.texts, *aside.texts} == set(found.texts)
    assert aside.class_names == found.class_names
    assert datasets.folder(fields, class_names=list("0123456789")).class_names == tuple(
        "0123456789"
    )


def test_fields_that_cannot_be_read_name_file_and_line(fields: Path) -> None:
    add(fields, "none.png,7\n5.png,105\n1.png,")
    (fields / "2.png").write_bytes(b"no picture")
    found = datasets.folder(fields)
    assert found.refused == (
        ("5.png", "line 9: already in line 7"),
        ("1.png", "line 10: no text"),
        ("none.png", "line 8: no such file"),
    )
    with pytest.raises(ValueError, match=r"2\.png: line 4: "):
        list(found)
    with pytest.raises(ValueError, match=r"2\.png: line 4: "):
        found[2]
    assert found[3][1] == "103"
    with pytest.raises(ValueError, match=r"5\.png: line 9: already in line 7"):
        datasets.folder(fields, errors="raise")


def test_fields_that_are_refused(fields: Path) -> None:
    with pytest.raises(ValueError, match=r"line 7: the text '105' has 5, not among class_names"):
        datasets.folder(fields, class_names=list("01234"))
    with pytest.raises(ValueError, match=r"form: .* has texts of fields"):
        datasets.folder(fields, form="raw")
    with pytest.raises(ValueError, match=r"memmap: .* has texts of fields"):
        datasets.folder(fields, memmap=fields / "all.npy")
    add(fields, "gone.png,4")
    with pytest.raises(ValueError, match=r"gone\.png: line 8: no such file"):
        datasets.folder(fields, errors="raise")
    add(fields, "0.png,900")
    with pytest.raises(ValueError, match=r"0\.png is '100' in line 2 and '900' in line 9"):
        datasets.folder(fields)
    (fields / "labels.csv").write_text("text;file\n12;0.png\n")
    one = datasets.folder(fields)
    with pytest.raises(ValueError, match="share: 1 field"):
        one.split()


def test_a_column_of_classes_comes_first(fields: Path) -> None:
    text = (fields / "labels.csv").read_text().splitlines()
    rows = ["file,class,text", *(f"{row.split(',')[0]},A,{row}" for row in text[1:])]
    (fields / "labels.csv").write_text("\n".join(rows))
    with pytest.raises(ValueError, match="one class, 'A'"):
        datasets.folder(fields)


def test_what_is_public() -> None:
    assert datasets.strings is strings.strings
    assert datasets.Strings is strings.Strings
