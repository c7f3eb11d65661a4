"""Pictures of fields, and the line of characters on each as a strip."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from lenet_c import checks
from lenet_c.cpu import get_num_threads
from lenet_c.preprocess._pictures import (
    BOX,
    SMALLEST,
    given_array,
    need_extra,
    range_of,
    reduced,
    sampled,
)

if TYPE_CHECKING:
    import numpy.typing as npt

    from lenet_c.preprocess._pictures import Picture
    from lenet_c.preprocess._writing import Found

    Strip = npt.NDArray[np.uint8]
    Map = npt.NDArray[np.float64]

HEIGHT = 32
MARGIN = 8  # empty columns left and right
WIDEST = 1 << 14  # columns of a strip
MARKS = ".,-"
WORKING = 16_000  # pixels in which writing is looked for
ROWS = 48  # of them at least
MOST = 48_000  # pixels, for pictures much wider than high
FINER = 9  # times as many pixels, where nothing was found
SMALL = 24  # writing lower than this is looked at again from nearer
PEAK = 1.25  # strokes are full in the middle, as MNIST's are


@dataclass(frozen=True)
class Line:
    """What `line` found.

    Attributes
    ----------
    strip : ndarray of uint8, (32, W)
        Background 0, ink up to 255.
    to_picture : ndarray of float64, (2, 3)
        Where the strip lies in the picture: ``to_picture @ [column, row, 1]`` is ``[x, y]``. All
        count from the outer corner of the first pixel, whose middle is at 0.5.
    """

    strip: Strip
    to_picture: Map


@dataclass(frozen=True)
class Lines:
    """What `lines` found.

    Attributes
    ----------
    strips : list of ndarray of uint8, (32, W)
        One for each field, of unequal width; (32, 16) and all 0 where refused.
    to_picture : ndarray of float64, (N, 2, 3)
        Where each lies in its picture, as in `Line`; all 0 where refused.
    refused : ndarray of bool, (N,)
        Which show no writing that can be told.
    reasons : list of (str or None)
        Why, for each that is refused.
    """

    strips: list[Strip]
    to_picture: Map
    refused: npt.NDArray[np.bool_]
    reasons: list[str | None]


@overload
def line(picture: Picture, *, keep: str = ..., return_map: Literal[False] = ...) -> Strip: ...


@overload
def line(picture: Picture, *, keep: str = ..., return_map: Literal[True]) -> Line: ...


def line(picture: Picture, *, keep: str = "", return_map: bool = False) -> Strip | Line:
    """Find the line of characters that a picture of a field shows, and bring it into a strip.

    Rules, boxes, borders of cells, underlines, shadows, security print up to a fifth as dark as the
    ink, specks, marks between characters, and a dot, dash or "=" that closes the line are left out.
    A line that rises or falls, up to 16 degrees, is put level, and writing that slants upright. The
    median of the tall characters becomes 20 pixels high, its middle in row 16; small ones stay
    small beside them.

    Parameters
    ----------
    picture : array, (H, W) or (H, W, channels), or what `load_image` takes
        One line, from a single digit to some tens of characters; what `character` takes.
    keep : str
        Marks that stay in the strip, as characters: any of "." "," and "-".
    return_map : bool
        Return a `Line`, which also says where in the picture the strip lies.

    Returns
    -------
    ndarray of uint8, (32, W), or Line
        Background 0, ink up to 255, 8 empty columns left and right.

    Raises
    ------
    ValueError
        If the array is no picture, or no writing is to be seen on it: what it shows.
    ImportError
        If SciPy or Pillow is not installed.
    """
    need_extra("line")
    keep, return_map = _marks(keep), checks.truth("return_map", return_map)
    given = given_array(picture, "picture", "lines", draft=False)
    found = _line(given, *range_of(given, "picture"), keep)
    return found if return_map else found.strip


def lines(
    pictures: Iterable[Picture] | Picture,
    boxes: npt.ArrayLike | None = None,
    *,
    keep: str = "",
    num_threads: int | None = None,
) -> Lines:
    """Bring the writing of many fields into strips, on several threads.

    Parameters
    ----------
    pictures : iterable, or one picture with boxes
        What `line` takes: arrays, paths, bytes, in any mixture. With boxes one picture, of a form.
    boxes : array-like, (N, 4), optional
        Where the fields of the form are: x, y, width and height, in its pixels.
    keep : str
        Marks that stay in the strips, as `line` keeps them.
    num_threads : int, optional
        By default as many as `get_num_threads` says.

    Returns
    -------
    Lines
        The strips, where they lie, and which fields were refused and why. A picture that cannot
        be read is refused, too.

    Raises
    ------
    TypeError, ValueError
        If a picture is none at all, the form cannot be read, or a box is outside of it: which.
    """
    need_extra("lines")
    keep, threads = _marks(keep), _threads(num_threads)
    if boxes is not None:
        return _of_form(pictures, boxes, keep, threads)
    if isinstance(pictures, (str, bytes, os.PathLike)) or not isinstance(pictures, Iterable):
        raise TypeError(
            "pictures: got one picture, want several, as [picture], or one with its boxes"
        )

    return _of_pictures(pictures, keep, threads)


def readable_lines(
    pictures: Iterable[Picture], first: int, keep: str, num_threads: int | None
) -> Lines:
    """Do what `lines` does; raise for a picture that cannot be read, counted from `first`."""
    need_extra("lines")
    return _of_pictures(pictures, keep, _threads(num_threads), refuse=False, first=first)


def _threads(given: int | None) -> int:
    return checks.whole("num_threads", get_num_threads() if given is None else given, 1)


def _of_pictures(
    pictures: Iterable[Any], keep: str, threads: int, refuse: bool = True, first: int = 0
) -> Lines:
    def one(k: int, picture: Any) -> Line | str:
        try:
            given = given_array(picture, "picture", "lines", draft=False)
            levels = range_of(given, "picture")
        except (TypeError, ValueError, OSError) as error:
            what = str(error).removeprefix("picture: ")
            if refuse and not isinstance(error, TypeError):
                return what
            if isinstance(error, OSError) and error.filename is not None:
                raise  # it names the file
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"pictures[{k}]: {what}") from None
        try:
            return _line(given, *levels, keep)
        except ValueError as error:
            return str(error).removeprefix("picture: ")

    with ThreadPoolExecutor(threads) as pool:
        return _together(list(pool.map(one, itertools.count(first), pictures)))


def _of_form(form: Any, boxes: npt.ArrayLike, keep: str, threads: int) -> Lines:
    given = given_array(form, "pictures", "lines", draft=False)
    white, black = range_of(given, "pictures")
    places = checks.numbers("boxes", boxes)
    if places.ndim != 2 or places.shape[1] != 4:
        raise ValueError(f"boxes: shape {places.shape}, want (N, 4): x, y, width, height")
    size = given.shape[1::-1]
    parts = []
    for k, (x, y, width, height) in enumerate(places.tolist()):
        if not (0 <= x < x + width <= size[0] and 0 <= y < y + height <= size[1]):
            raise ValueError(
                f"boxes[{k}]: x {x}, y {y}, width {width}, height {height}, want a box within "
                f"{size[0]}x{size[1]} pixels"
            )
        left, top = math.floor(x), math.floor(y)
        parts.append((left, top, given[top : math.ceil(y + height), left : math.ceil(x + width)]))

    def one(part: tuple[int, int, npt.NDArray[Any]]) -> Line | str:
        try:
            return _moved(_line(part[2], white, black, keep), *part[:2])
        except ValueError as error:
            return str(error).removeprefix("picture: ")

    with ThreadPoolExecutor(threads) as pool:
        return _together(list(pool.map(one, parts)))


def _together(found: list[Line | str]) -> Lines:
    out = Lines([], np.zeros((len(found), 2, 3)), np.zeros(len(found), bool), [None] * len(found))
    for k, result in enumerate(found):
        if isinstance(result, str):
            out.strips.append(np.zeros((HEIGHT, 2 * MARGIN), np.uint8))
            out.refused[k], out.reasons[k] = True, result
        else:
            out.strips.append(result.strip)
            out.to_picture[k] = result.to_picture
    return out


def _marks(keep: str) -> str:
    if not isinstance(keep, str):
        raise TypeError(f"keep: got {checks.short(keep)}, want a str of marks, as {MARKS!r}")
    if others := "".join(sorted(set(keep) - set(MARKS))):
        raise ValueError(f"keep: got {checks.short(others)}, want any of {MARKS!r}")
    return keep


def _line(given: npt.NDArray[Any], white: float, black: float, keep: str) -> Line:
    from lenet_c.preprocess import _writing
    from lenet_c.preprocess._finding import NotFound

    def look(part: npt.NDArray[Any], pixels: int) -> tuple[Found, Map, float]:
        grey, to_part, factor = _working(part, white, black, pixels)
        return _writing.find(grey, keep), to_part, factor

    with np.errstate(all="ignore"):  # of a few pixels, or nearly equal ones; found or not, below
        try:
            try:
                found, to_given, factor = look(given, WORKING)
            except NotFound:
                if given.shape[0] * given.shape[1] < 4 * WORKING:
                    raise
                found, to_given, factor = look(given, FINER * WORKING)  # what is small is a speck
        except NotFound as error:
            raise ValueError(f"picture: {error}") from None
        if factor > 1.25 and found.height < SMALL:
            # far off: once more from nearer, with some of what is around it
            left, top, part = _around(given, found, to_given)
            with suppress(NotFound):
                nearer, to_part, _ = look(part, WORKING)
                return _moved(_strip(nearer, to_part), left, top)
    return _strip(found, to_given)


def _working(
    given: npt.NDArray[Any], white: float, black: float, pixels: int
) -> tuple[npt.NDArray[np.float32], Map, float]:
    """Return the picture as grey of a bounded size, the way back, and how much smaller it is."""
    height, width = given.shape[:2]
    factor = min(math.sqrt(height * width / pixels), height / ROWS)
    factor = max(factor, math.sqrt(height * width / max(pixels, MOST)))
    if factor < 1:
        factor = min(1.0, max(factor, max(height, width) / SMALLEST))
    step = sampled(factor)
    if given.ndim == 3 and given.shape[2] == 3:
        some = given[::step, ::step]
        if (some[:, :, :1] == some[:, :, 1:]).all():
            given = given[:, :, 0]
    grey = reduced(given, white, black, factor, "picture", "writing")
    to_given = np.zeros((2, 3))
    for axis, (side, short) in enumerate(zip((width, height), grey.shape[::-1], strict=True)):
        to_given[axis, axis] = -(-side // step) / short * step
        to_given[axis, 2] = 0.5 - 0.5 * step  # every step-th pixel, the first one first
    return grey, to_given, factor


def _around(given: npt.NDArray[Any], found: Found, to_given: Map) -> tuple[int, int, Any]:
    """Return the left and the top of the part of the picture with the writing, and that part."""
    to_pixels, columns = _placed(found)
    corners = np.array([[c, r, 1] for c in (0, columns) for r in (0, HEIGHT)])
    places = _after(to_given, to_pixels) @ corners.T
    low = np.maximum(places.min(axis=1).astype(int), 0)
    high = np.minimum(np.ceil(places.max(axis=1)).astype(int), given.shape[1::-1])
    return int(low[0]), int(low[1]), given[low[1] : high[1], low[0] : high[0]]


def _moved(found: Line, x: float, y: float) -> Line:
    return Line(found.strip, found.to_picture + np.array([[0, 0, x], [0, 0, y]]))


def _after(second: Map, first: Map) -> Map:
    """Return the affine map that does one after the other."""
    out: Map = second[:, :2] @ first
    out[:, 2] += second[:, 2]
    return out


def _placed(found: Found) -> tuple[Map, int]:
    """Return the map from the strip to the pixels that writing was found in, and its columns."""
    down = found.height / BOX
    columns = max(1, math.ceil((found.right - found.left) / down)) + 2 * MARGIN
    unit = math.hypot(1, found.slope)
    # from columns and rows to places along the line and across it, then to pixels
    half = HEIGHT / 2 * down
    along = [down, -found.slant * down, found.left - MARGIN * down + found.slant * half]
    across = [0.0, down, found.middle - half]
    turn = np.array([[1, -found.slope, 0], [found.slope, 1, 0]]) / unit
    return _after(turn, np.array([along, across])), columns


def _strip(found: Found, to_given: Map) -> Line:
    from PIL import Image

    to_pixels, columns = _placed(found)
    if columns > WIDEST:
        raise ValueError(f"picture: writing {columns} times as wide as high is none")
    levels = found.ink * np.float32(255)
    levels += np.float32(0.5)
    size = found.ink.shape[::-1]
    raw = Image.frombuffer("L", size, levels.astype(np.uint8), "raw", "L", 0, 1)
    coarser = max(1, int(found.height / BOX + 0.25))
    if coarser > 1:
        raw = raw.reduce(coarser)
    drawn = raw.transform(
        (columns, HEIGHT),
        Image.Transform.AFFINE,
        tuple((to_pixels / coarser).ravel()),
        Image.Resampling.BILINEAR,
    )
    level = np.frombuffer(drawn.tobytes(), np.uint8).reshape(HEIGHT, columns)
    shown = level * np.float32(PEAK * 255 / max(1, level.max()))
    strip = np.minimum(shown, 255, out=shown).astype(np.uint8)
    strip[:, :MARGIN] = strip[:, -MARGIN:] = 0  # the soft edge of what stands at the ends
    return Line(strip, _after(to_given, to_pixels))
