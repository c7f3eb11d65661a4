"""Pictures of fields, and the line of characters on each as a strip."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lenet_c.preprocess import _pictures
from lenet_c.preprocess._pictures import BOX, HUGE, MAX_ARRAY, need_extra

if TYPE_CHECKING:
    import numpy.typing as npt

    from lenet_c.preprocess._pictures import Picture
    from lenet_c.preprocess._writing import Found

HEIGHT = 32
MARGIN = 8
PIXELS = 16_000  # in which writing is looked for
ROWS = 48  # of them at least, as far as
MOST = 48_000  # pixels go
SMALL = 24  # writing lower than this is looked at again from nearer


@dataclass(frozen=True)
class Line:
    """What `line` found.

    Attributes
    ----------
    strip : ndarray of uint8, (32, W)
        Background 0, ink up to 255.
    to_picture : ndarray of float64, (2, 3)
        Where the strip lies in the picture: ``to_picture @ [column, row, 1]`` is ``[x, y]``. Both
        count from the outer corner of the first pixel, whose middle is at 0.5.
    """

    strip: npt.NDArray[np.uint8]
    to_picture: npt.NDArray[np.float64]


def line(picture: Picture, *, keep: str = "", return_map: bool = False) -> Any:
    need_extra("line")
    given = _pictures._given(picture)
    white, black = _pictures._range(given)
    found = _line(given, white, black, keep)
    return found if return_map else found.strip


def _line(given, white, black, keep):
    from lenet_c.preprocess import _writing
    try:
        grey, to_given = _working(given, white, black)
        found = _writing.find(grey, keep)
    except _writing.NotFound as error:
        raise ValueError(f"picture: {error}") from None
    strip, to_working = _strip(found)
    return Line(strip, _after(to_given, to_working))


def _working(given, white, black):
    height, width = given.shape[:2]
    pixels = height * width
    factor = max(min(math.sqrt(pixels / PIXELS), height / ROWS), math.sqrt(pixels / MOST))
    if factor < 1:
        factor = max(factor, max(height, width) / _pictures.SMALLEST)
        factor = min(factor, 1)
    step = _pictures.sampled(factor)
    if given.ndim == 3 and given.shape[2] == 3:
        some = given[::step, ::step]
        if (some[:, :, 0] == some[:, :, 1]).all() and (some[:, :, 0] == some[:, :, 2]).all():
            given = given[:, :, 0]
    grey = _pictures.reduced(given, white, black, factor, "writing")
    to_given = np.zeros((2, 3))
    for axis, (side, reduced) in enumerate(zip((width, height), grey.shape[::-1], strict=True)):
        samples = -(-side // step)
        to_given[axis, axis] = samples / reduced * step
        to_given[axis, 2] = 0.5 - 0.5 * step
    return grey, to_given


def _after(second, first):
    """Return the affine map that does one after the other."""
    out = second[:, :2] @ first
    out[:, 2] += second[:, 2]
    return out


def _strip(found: Found):
    from PIL import Image

    scale = BOX / found.height
    columns = max(1, math.ceil((found.right - found.left) * scale)) + 2 * MARGIN
    down = 1 / scale
    unit = math.hypot(1, found.slope)
    # across the line and along it, once upright, from rows and columns; then from there to pixels
    upright = np.array(
        [
            [down, -found.slant * down, found.left - MARGIN * down + found.slant * HEIGHT / 2 * down],
            [0, down, found.middle - HEIGHT / 2 * down],
        ]
    )
    turn = np.array([[1, -found.slope, 0], [found.slope, 1, 0]]) / unit
    to_pixels = _after(turn, upright)
    finer = min(8, max(1, math.ceil(down - 0.25)))
    raw = Image.fromarray(np.rint(found.ink * 255).astype(np.uint8))
    drawn = raw.transform(
        (columns * finer, HEIGHT * finer),
        Image.Transform.AFFINE,
        tuple((to_pixels / [finer, finer, 1]).ravel()),
        Image.Resampling.BILINEAR,
    )
    strip = np.asarray(drawn.reduce(finer) if finer > 1 else drawn)
    return strip, to_pixels
