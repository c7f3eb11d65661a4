"""preprocess.line: a picture of a field in, its characters side by side in a strip out."""

from __future__ import annotations

import io
import itertools
import os
import tracemalloc

import numpy as np
import pytest

from lenet_c import preprocess
from lenet_c.preprocess import _fields, _finding

pytest.importorskip("scipy")
Image = pytest.importorskip("PIL.Image")

from fields import MARKS, Field, dark, field, guilloche, judged, most, stroke, turned  # noqa: E402


@pytest.fixture(scope="module")
def digits(real_digits):
    """Clear digits, several of each."""
    (x, y), _ = real_digits
    strong = [k for k in range(min(2000, len(x))) if (x[k] > 200).sum() > 50]
    return {d: [x[k] for k in strong if y[k] == d][:8] for d in range(10)}


def need_sharp_digits():
    """Skip what asks for edges that are sharper than a shadow's."""
    if not os.environ.get("LENET_C_DATA"):
        pytest.skip("LENET_C_DATA is not set: digits of 8x8 pixels are as blurred as a shadow")


def written(digits, text, **settings) -> Field:
    """Draw a text; each digit is another one each time."""
    seen = itertools.count()
    images = [digits[int(c)][next(seen) % len(digits[int(c)])] for c in text]
    return field(images, **settings)


def assert_kept(f, picture, least=0.9, other=0.05, tilted=False, **settings):
    found = preprocess.line(picture, return_map=True, **settings)
    strip = found.strip
    assert strip.dtype == np.uint8
    assert strip.shape[0] == 32
    assert not strip[:, :8].any()
    assert not strip[:, -8:].any()
    assert strip.max() == 255
    assert strip[:, 8:10].any()
    assert strip[:, -10:-8].any()
    got = judged(f, strip, found.to_picture)
    assert min(got.kept) >= least, got
    assert got.other <= other, got
    if not tilted:
        assert abs(got.height - 20) <= 2, got
    assert abs(got.middle - 16) <= 2, got
    return found


TEXTS = ("20731", "6", "4985", "0312657", "88")


@pytest.mark.parametrize("name", MARKS)
def test_marks_are_no_characters(digits, name):
    rng = np.random.default_rng(3)
    for text, height in zip(TEXTS, (40, 30, 64, 26, 48), strict=True):
        if text == "6" and name == "bars":
            continue  # |6| might be 161
        gap = 0.6 if name in ("dots", "dashes") else 0.3
        f = written(digits, text, height=height, gap=gap)
        picture = dark(most(f, f.ink, MARKS[name](f, rng)))
        assert_kept(f, picture, least=0.85 if name == "guilloche" else 0.9)


def test_security_print_of_sharp_lines_a_fifth_as_dark_as_the_ink(digits):
    f = written(digits, "207416", height=40)
    y, x = np.mgrid[: f.shape[0], : f.shape[1]]
    waves = [np.abs(y - k - 3 * np.sin(x / 9 + k)) < 0.7 for k in range(0, f.shape[0], 7)]
    assert_kept(f, dark(most(f, f.ink, 0.2 * np.any(waves, axis=0))))


@pytest.mark.parametrize("name", ["plain", "underline", "box", "cells", "guilloche"])
@pytest.mark.parametrize("degrees", [-14, -5, 5, 14])
def test_a_line_that_rises_or_falls_is_put_level(digits, name, degrees):
    f = written(digits, "207416", height=36)
    marks = turned(MARKS[name](f, np.random.default_rng(0)), degrees)
    f = f.turned(degrees)
    found = assert_kept(f, dark(most(f, f.ink, marks)), tilted=True)
    slope = found.to_picture[1, 0] / found.to_picture[0, 0]
    assert abs(slope + np.tan(np.radians(degrees))) < 0.04


def test_slanting_writing_is_put_upright(digits):
    def slant(of):
        f = written(digits, "4105317", height=40, slant=of)
        matrix = assert_kept(f, dark(f.ink), tilted=True).to_picture
        return -matrix[0, 1] / matrix[1, 1]

    upright, left, right = (slant(of) for of in (0, -0.27, 0.27))
    assert abs(upright) < 0.2
    assert 0.17 < right - upright < 0.33
    assert 0.17 < upright - left < 0.33


@pytest.mark.parametrize("height", [12, 16, 24, 50, 80])
def test_any_size(digits, height):
    assert_kept(f := written(digits, "30926", height=height), dark(f.ink))


def test_long_fields_and_wide_gaps(digits):
    text = "314159265358979323846264338327"
    found = assert_kept(f := written(digits, text, height=36), dark(f.ink))
    assert found.strip.shape[1] > 30 * 12
    for gap in (0.08, 1.5):
        assert_kept(f := written(digits, "27184", height=36, gap=gap), dark(f.ink))


def test_small_digits_stay_small_beside_the_others(digits):
    heights = [1, 0.9, 1.05, 0.5, 0.5]
    f = written(digits, "25300", height=44, heights=heights)
    found = preprocess.line(dark(f.ink), return_map=True)
    got = judged(f, found.strip, found.to_picture)
    assert min(got.kept) > 0.9
    scale = 1 / found.to_picture[1, 1]
    assert abs(44 * scale - 20) < 2
    tall = [np.ptp(np.flatnonzero((d > 0.5).any(axis=1))) * scale for d in f.digits]
    assert max(tall[3:]) < 12


def test_a_wide_and_low_digit_at_an_end_is_no_mark(digits):
    wide = np.repeat(digits[2][0], 2, axis=1)
    for heights in ([0.55, 1, 1, 1], [1, 1, 1, 0.55]):
        images = [wide if height < 1 else digits[4][0] for height in heights]
        f = field(images, heights=heights, gap=0.6)
        assert_kept(f, dark(f.ink))


@pytest.mark.parametrize("text", ["25000", "45700", "18025", "25011", "11403"])
def test_small_digits_side_by_side_are_no_marks(digits, text):
    for small in (0.36, 0.42, 0.45, 0.53):
        heights = [1, 1, 1, small, small] if text[:2] != "11" else [small, small, 1, 1, 1]
        f = written(digits, text, height=44, heights=heights)
        found = preprocess.line(dark(f.ink), return_map=True)
        got = judged(f, found.strip, found.to_picture)
        assert min(got.kept) >= 0.8, (small, got)


def test_all_of_slanting_writing_of_two_sizes_is_in_the_strip(digits):
    for text, heights in (("4000000", [1, *[0.5] * 6]), ("0000004", [*[0.5] * 6, 1])):
        f = written(digits, text, height=60, heights=heights, slant=0.5)
        found = preprocess.line(dark(f.ink), return_map=True)
        assert found.strip[:, 8:10].any()
        assert found.strip[:, -10:-8].any()
        assert min(judged(f, found.strip, found.to_picture).kept) > 0.85


def test_what_is_fainter_than_the_writing_is_none(digits):
    need_sharp_digits()
    f = written(digits, "20345", height=48)
    middles = [(left + right) / 2 for left, right in f.sides]
    flecks = (stroke(f, (x - 8, f.row(1.12)), (x + 8, f.row(1.12)), 3) for x in middles)
    assert_kept(f, dark(most(f, f.ink, 0.55 * most(f, *flecks))), other=0.01)


@pytest.mark.parametrize("kept", ["", "-", ".", ".,-"])
def test_marks_that_are_to_stay(digits, kept):
    rng = np.random.default_rng(0)
    for name, mark in (("dots", "."), ("dashes", "-")):
        f = written(digits, "5207", height=40, gap=0.6)
        marks = MARKS[name](f, rng)
        stays = mark in kept
        shown = Field([*f.digits, marks], f.height) if stays else f
        found = preprocess.line(dark(most(f, f.ink, marks)), keep=kept, return_map=True)
        got = judged(shown, found.strip, found.to_picture)
        assert min(got.kept) > 0.85
        assert got.other < 0.03


@pytest.mark.parametrize("levels", [1, 2, 40, 10**6])
def test_ranks_of_values_that_are_alike_or_not(levels):
    values = np.random.default_rng(0).integers(0, levels, (30, 40)).astype(np.float32)
    for share in (0, 0.5, 0.95, 1):
        assert _finding.ranked(values, share) == np.sort(values.ravel())[int(share * 1199)]


def test_a_comma_is_no_dot(digits):
    f = written(digits, "5207", height=40, gap=0.6)
    y, x = np.mgrid[: f.shape[0], : f.shape[1]]
    along = (y - f.row(0.88)) / 14
    at = f.between[1] + 2 - 4 * along
    comma = ((np.abs(x - at) < 2.2) & (along > 0) & (along < 1)).astype(float)
    picture = dark(most(f, f.ink, comma))
    only = preprocess.line(dark(f.ink))
    both = Field([*f.digits, comma], f.height)
    for keep in ("", ".-"):
        np.testing.assert_allclose(preprocess.line(picture, keep=keep), only.astype(int), atol=8)
    found = preprocess.line(picture, keep=",", return_map=True)
    assert min(judged(both, found.strip, found.to_picture).kept) > 0.85


def test_polarity_colours_and_kinds_of_numbers_give_one_strip(digits):
    f = written(digits, "94071", height=38)
    ink = most(f, f.ink, MARKS["underline"](f, np.random.default_rng(0)))
    grey = dark(ink)
    wanted = preprocess.line(grey).astype(int)
    png = io.BytesIO()
    Image.fromarray(grey).save(png, "PNG")
    paper, pen = np.array([250, 240, 160]), np.array([40, 60, 170])
    for given, most_off in (
        (255 - grey, 1),
        (grey / 255, 3),
        (grey.astype(np.float32), 3),
        (grey.astype(np.uint16) * 257, 3),
        ((grey / 127.5 - 1).astype(np.float32), 60),
        (np.repeat(grey[..., None], 3, axis=2), 1),
        (np.dstack([grey] * 3 + [np.full_like(grey, 255)]), 3),
        (grey[::1, ::-1][:, ::-1], 1),
        (grey.tolist(), 1),
        (Image.fromarray(grey), 1),
        (png.getvalue(), 1),
        (np.rint(paper + ink[..., None] * (pen - paper)).astype(np.uint8), 60),
    ):
        strip = preprocess.line(given).astype(int)
        assert abs(strip.shape[1] - wanted.shape[1]) <= 1
        if strip.shape == wanted.shape:
            assert np.abs(strip - wanted).mean() <= most_off / 8


@pytest.mark.parametrize("name", ["plain", "underline", "box", "guilloche"])
@pytest.mark.parametrize("light", ["soft", "shadow"])
def test_uneven_light(digits, name, light):
    if (name, light) == ("plain", "shadow"):
        need_sharp_digits()
    f = written(digits, "60925", height=40)
    y, x = np.mgrid[: f.shape[0], : f.shape[1]]
    if light == "soft":
        paper = 235 - 90 * (x / f.shape[1] + y / f.shape[0]) / 2
    else:
        paper = np.where(x + 0.5 * y > 0.55 * f.shape[1], 235.0, 150.0)
    picture = dark(most(f, f.ink, MARKS[name](f, np.random.default_rng(1))), paper)
    assert_kept(f, picture, least=0.8 if name == "guilloche" else 0.9)


@pytest.mark.parametrize("text", ["084", "20731"])
@pytest.mark.parametrize("lean", [-1, 1])
def test_the_corner_of_a_shadow_is_paper(digits, text, lean):
    need_sharp_digits()
    f = written(digits, text, height=56)
    y, x = np.mgrid[: f.shape[0], : f.shape[1]]
    for part in (0.5, 0.75):
        paper = np.where(x + lean * y > part * f.shape[1], 235.0, 150.0)
        assert_kept(f, dark(f.ink, paper))


def test_noise_and_jpeg(digits):
    f = written(digits, "18306", height=40)
    noisy = dark(f.ink) + np.random.default_rng(0).normal(0, 18, f.shape)
    assert_kept(f, np.clip(noisy, 0, 255).astype(np.uint8))
    file = io.BytesIO()
    Image.fromarray(dark(f.ink)).save(file, "JPEG", quality=30)
    assert_kept(f, file.getvalue())


def test_broken_strokes_are_kept(digits):
    f = written(digits, "83520", height=60)
    gap = np.ones(f.shape)
    rows = round(f.row(0.35))
    gap[rows : rows + 3] = 0
    broken = Field([digit * gap for digit in f.digits], f.height)
    assert_kept(broken, dark(broken.ink))


def test_digits_cut_by_the_edge_are_kept(digits):
    f = written(digits, "52063", height=40, margin=0)
    for ink in (f.ink, np.pad(f.ink, ((0, 0), (30, 30)))):
        found = preprocess.line(dark(ink), return_map=True)
        moved = Field(
            [np.pad(d, ((0, 0), ((n := (ink.shape[1] - f.shape[1]) // 2), n))) for d in f.digits],
            f.height,
        )
        got = judged(moved, found.strip, found.to_picture)
        assert min(got.kept) > 0.85


def test_the_map_leads_back_to_the_picture(digits):
    f = written(digits, "471", height=40)
    sheet = np.zeros((900, 1300))
    sheet[400 : 400 + f.shape[0], 700 : 700 + f.shape[1]] = f.ink
    digits_there = []
    for digit in f.digits:
        there = np.zeros(sheet.shape)
        there[400 : 400 + f.shape[0], 700 : 700 + f.shape[1]] = digit
        digits_there.append(there)
    for larger in (1, 3):
        one = np.ones((larger, larger))
        g = Field([np.kron(d, one) for d in digits_there], f.height * larger)
        found = assert_kept(g, dark(np.kron(sheet, one)))
        tops = found.to_picture @ [8, 16 - found.strip.shape[0] / 3.2, 1]
        assert abs(tops[0] - larger * (700 + f.sides[0][0])) < 12 * larger
        assert abs(tops[1] - larger * (400 + f.row(0))) < 4 * larger


@pytest.mark.parametrize("width", [90, 1000, 6001])
def test_each_pixel_that_is_looked_at_is_known_by_its_place(width):
    middles = np.arange(width) + 0.5
    ramp = np.tile((middles * 255 / width).astype(np.float32), (width // 3, 1))
    for given, axis in ((ramp, 0), (ramp.T, 1)):
        grey, to_given, _ = _fields._working(given, 255.0, 0.0, _fields.WORKING)
        seen = grey[0] if axis == 0 else grey[:, 0]
        there = (np.arange(len(seen)) + 0.5) * to_given[axis, axis] + to_given[axis, 2]
        off = there - seen * width / 255
        assert abs(off[2:-2].mean()) < 0.1
        assert np.abs(off[2:-2]).max() < 0.1 + width / 3000


@pytest.mark.parametrize(
    ("shape", "rows", "most"),
    [((300, 300), 126, 16_000), ((200, 4000), 48, 48_000), ((60, 60_000), 7, 48_000)],
)
def test_in_how_many_pixels_writing_is_looked_for(shape, rows, most):
    grey, _, factor = _fields._working(np.zeros(shape, np.uint8), 255.0, 0.0, _fields.WORKING)
    assert abs(grey.shape[0] - rows) <= 1
    assert 0.85 * most < grey.size < 1.1 * most
    assert grey.shape[0] == round(shape[0] / factor)


FRAME = np.full((60, 200), 235, np.uint8)
FRAME[5:55, 10:190] = 30
FRAME[7:53, 12:188] = 235
RNG = np.random.default_rng(0)
HOPELESS = {
    "blank": (np.full((60, 200), 200, np.uint8), "contrast 0%"),
    "black": (np.zeros((60, 200, 3), np.uint8), "contrast 0%"),
    "one pixel": (np.zeros((1, 1)), "contrast 0%"),
    "one row": (np.eye(1, 40) * 255, "64x2 pixels"),
    "frame": (FRAME, "only lines"),
    "rules": (
        np.where(np.arange(60)[:, None] % 12 == 5, 90, np.full((60, 200), 235)),
        "only lines",
    ),
    "dash": (np.pad(np.zeros((3, 110)), ((30, 30), (50, 50)), constant_values=255), "only"),
    "short dash": (np.pad(np.zeros((5, 40)), ((28, 27), (80, 80)), constant_values=255), "a dash"),
    "noise": (RNG.integers(0, 256, (60, 200), dtype=np.uint8), "noise"),
    "faint noise": (np.clip(RNG.normal(200, 20, (60, 200)), 0, 255), "noise"),
    "specks": (np.where(RNG.random((60, 200)) < 0.02, 30, 235), "only specks"),
    "slope of light": (np.tile(np.linspace(0, 255, 200), (60, 1)), "no writing"),
    "half dark": (np.tile(np.arange(200) < 70, (60, 1)) * 255, "no writing"),
}


@pytest.mark.parametrize("name", HOPELESS)
def test_what_shows_no_writing_is_refused_with_what_it_shows(name):
    picture, seen = HOPELESS[name]
    for given in (picture, np.asarray(picture).max() - np.asarray(picture)):
        with pytest.raises(ValueError, match=f"^picture: .*{seen}"):
            preprocess.line(given)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (None, TypeError, "picture: got None"),
        (np.zeros(9), ValueError, r"picture.reshape\(height, width\)"),
        (np.zeros((3, 40, 90)), ValueError, r"picture.transpose\(1, 2, 0\)"),
        (np.zeros((2, 40, 90, 3)), ValueError, r"go to lines\(\)"),
        (np.full((9, 9), np.nan), ValueError, "picture: has values from nan"),
        (np.full((9, 9), -5), ValueError, "picture: has values from -5"),
        (np.zeros((9, 9, 4)), ValueError, "picture: no writing stands out: the last channel"),
        (np.broadcast_to(np.uint8(0), (1 << 15, 1 << 15)), ValueError, "picture: 32768x32768"),
        (b"none", ValueError, "cannot be read as a picture"),
    ],
)
def test_what_is_no_picture(given, error, message):
    with pytest.raises(error, match=message):
        preprocess.line(given)


def test_other_arguments_are_checked(digits):
    picture = dark(written(digits, "3").ink)
    with pytest.raises(ValueError, match="keep: got 'x', want any of"):
        preprocess.line(picture, keep=".x")
    with pytest.raises(TypeError, match="keep: got 1"):
        preprocess.line(picture, keep=1)
    with pytest.raises(TypeError, match="return_map"):
        preprocess.line(picture, return_map="yes")


def test_every_size(digits):
    f = written(digits, "71", height=6, margin=0.2)
    assert preprocess.line(dark(f.ink)).shape[0] == 32
    one = np.full((8, 8), 255, np.uint8)
    one[1:7, 3] = 0
    assert preprocess.line(one).shape[0] == 32
    for shape in ((1, 1), (2, 9000), (9000, 2), (5, 5), (4, 300), (300, 4)):
        found = preprocess.lines([np.eye(*shape) * 255])
        assert found.strips[0].shape[0] == 32
        assert found.refused[0] == (found.reasons[0] is not None)


@pytest.mark.parametrize("height", [60, 500, 1200])
def test_large_pictures(digits, height):
    """Of 24 megapixels, bounded in memory, however small the writing is in it."""
    f = written(digits, "405", height=height)
    top, left = (4000 - f.shape[0]) // 2, (6000 - f.shape[1]) // 2
    picture = np.full((4000, 6000), 235, np.uint8)
    picture[top : top + f.shape[0], left : left + f.shape[1]] = dark(f.ink)
    tracemalloc.start()
    try:
        found = preprocess.line(picture, return_map=True)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 30e6
    moved = found.to_picture - [[0, 0, left], [0, 0, top]]
    got = judged(f, found.strip, moved)
    assert min(got.kept) > 0.9
    assert abs(got.height - 20) < 2
    assert abs(got.middle - 16) < 2


def test_many_fields(digits, tmp_path):
    pictures = [dark(written(digits, text).ink) for text in TEXTS]
    Image.fromarray(pictures[1]).save(tmp_path / "six.png")
    given = [pictures[0], tmp_path / "six.png", FRAME, tmp_path / "none.png", *pictures[2:]]
    for threads in (1, 3):
        found = preprocess.lines(iter(given), num_threads=threads)
        assert found.refused.tolist() == [False, False, True, True, False, False, False]
        assert "only lines" in found.reasons[2]
        assert "No such file" in found.reasons[3]
        assert found.to_picture.shape == (7, 2, 3)
        assert not found.strips[2].any()
        for k, picture in zip((0, 1, 4, 5, 6), pictures, strict=True):
            one = preprocess.line(picture, return_map=True)
            np.testing.assert_array_equal(found.strips[k], one.strip)
            np.testing.assert_array_equal(found.to_picture[k], one.to_picture)
            assert found.reasons[k] is None
    with pytest.raises(TypeError, match=r"pictures\[1\]: got None"):
        preprocess.lines([pictures[0], None])
    for one in ("field.png", 3):
        with pytest.raises(TypeError, match="pictures: got one picture"):
            preprocess.lines(one)
    assert preprocess.lines([]).strips == []


def test_fields_of_a_form(digits, tmp_path):
    form = np.full((400, 500), 235, np.uint8)
    boxes, fields = [], []
    for k, text in enumerate(("5208", "31")):
        f = written(digits, text)
        x, y = 40 + 30 * k, 50 + 150 * k
        form[y : y + f.shape[0], x : x + f.shape[1]] = dark(f.ink)
        boxes.append((x, y, f.shape[1], f.shape[0]))
        fields.append(f)
    boxes.append((300, 300, 100, 60))  # nothing there
    Image.fromarray(form).save(tmp_path / "form.png")
    for given in (form, tmp_path / "form.png"):
        found = preprocess.lines(given, boxes)
        assert found.refused.tolist() == [False, False, True]
        assert "contrast 0%" in found.reasons[2]
        for f, box, strip, matrix in zip(
            fields, boxes, found.strips, found.to_picture, strict=False
        ):
            got = judged(f, strip, matrix - [[0, 0, box[0]], [0, 0, box[1]]])
            assert min(got.kept) > 0.9
    wanted = found
    found = preprocess.lines(form / 255, boxes)  # white is that of the form, not of each field
    for strip, want in zip(found.strips, wanted.strips, strict=True):
        assert np.abs(strip - want.astype(int)).max(initial=0) <= 3
    # a pixel of which a part is in the box is in it
    inside = [(x + 0.6, y + 0.6, w - 1.2, h - 1.2) for x, y, w, h in boxes]
    found = preprocess.lines(form, inside)
    for strip, want in zip(found.strips, wanted.strips, strict=True):
        np.testing.assert_array_equal(strip, want)
    np.testing.assert_array_equal(found.to_picture, wanted.to_picture)
    for bad in ((480, 0, 30, 30), (0, 0, 0, 5), (-1, 0, 9, 9), (0, np.nan, 9, 9)):
        with pytest.raises(ValueError, match=r"boxes\[1\]: x .* within 500x400 pixels"):
            preprocess.lines(form, [boxes[0], bad])
    with pytest.raises(ValueError, match="boxes: shape"):
        preprocess.lines(form, [1, 2, 3, 4])
    assert preprocess.lines(form, np.zeros((0, 4))).strips == []


def test_guilloche_alone_is_no_writing(digits):
    f = written(digits, "4985")
    picture = dark(guilloche(f, np.random.default_rng(0)))
    try:
        strip = preprocess.line(picture)
    except ValueError:
        return
    assert strip.shape[1] <= _fields.WIDEST


def test_without_scipy(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "scipy.ndimage", None)
    for call in (lambda: preprocess.line(FRAME), lambda: preprocess.lines([FRAME])):
        with pytest.raises(ImportError, match=r"needs SciPy: pip install"):
            call()


@pytest.mark.parametrize("size", [1, 2, 5, 8, 11])
@pytest.mark.parametrize("axis", [0, 1])
def test_extremes_of_windows(axis, size):
    from lenet_c.preprocess import _finding

    values = np.random.default_rng(size).integers(0, 256, (11, 13)).astype(np.uint8)
    views = np.lib.stride_tricks.sliding_window_view(values, size, axis)
    np.testing.assert_array_equal(
        _finding._running(np.maximum, values, size, axis), views.max(axis=-1)
    )
    # of what is no row after row in memory, too
    for other in (values[:, ::-1], np.asfortranarray(values)):
        views = np.lib.stride_tricks.sliding_window_view(other, size, axis)
        found = _finding._running(np.minimum, other, size, axis)
        np.testing.assert_array_equal(found, views.min(axis=-1))


@pytest.mark.parametrize("shape", [(8, 12), (9, 13)])
def test_paper_is_seen_at_half_the_size(shape):
    from lenet_c.preprocess import _finding, _writing

    grey = np.random.default_rng(0).integers(0, 200, shape).astype(np.float32)
    even = grey[: shape[0] // 2 * 2, : shape[1] // 2 * 2]
    small = even.reshape(shape[0] // 2, 2, -1, 2).max(axis=(1, 3)).astype(np.uint8)
    small = _finding.closed_inside(small, 3)
    paper = np.kron(small, np.ones((2, 2)))
    paper = np.pad(paper, [(0, a - b) for a, b in zip(shape, paper.shape, strict=True)], "edge")
    np.testing.assert_array_equal(_writing._paper(grey, 7), np.maximum(paper, grey))
