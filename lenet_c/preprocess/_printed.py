"""A printed character in its place on the line: its size and height are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from lenet_c import checks
from lenet_c.preprocess._pictures import SIZE, reduced

if TYPE_CHECKING:
    import numpy.typing as npt

    Rows = npt.NDArray[np.float64]

CAPITAL = 16  # rows of a capital letter
BASELINE = 21  # rows above it: from 5 on capitals, ascenders and brackets a little higher
WIDEST = 26  # columns: a wider character is squeezed
FINEST = 48  # rows of a capital letter that are looked at
LARGEST = 12  # heights of a capital letter: a side of a picture of one character
FAINT = 1 / 10  # of black to white: fainter ink is none
CLEAR = 3.0  # of the noise: weaker ink is none
SPECK = 0.002  # of the square of a capital letter's height: what is smaller is no dot
PEAK = 1.15  # strokes are full in the middle, as MNIST's are
MAX_ROW = 1e6


def checked_line(argument: str, line: Any) -> tuple[float, float]:
    """Give where a line's capital letters begin and where they stand, as two floats."""
    try:
        given_top, given_baseline = line
    except (TypeError, ValueError):
        raise TypeError(
            f"{argument}: got {checks.short(line)}, want (top, baseline): the rows of the "
            "picture where capital letters begin and where they stand"
        ) from None
    top = checks.real(argument, given_top, -MAX_ROW, MAX_ROW, "both")
    baseline = checks.real(argument, given_baseline, -MAX_ROW, MAX_ROW, "both")
    if baseline - top < 1:
        raise ValueError(
            f"{argument}: got ({top:g}, {baseline:g}), want (top, baseline), the baseline at least "
            "1 row below the top of capital letters; rows count downward"
        )
    return top, baseline


def on_line(
    given: npt.NDArray[Any], white: float, black: float, line: tuple[float, float]
) -> npt.NDArray[np.uint8]:
    """Give a character with capitals of `CAPITAL` rows over `BASELINE`; all 0: there is no ink.

    Parameters
    ----------
    given : array, (H, W) or (H, W, channels)
    white, black : float
        What they are among its values.
    line : (float, float)
        Where capital letters begin and stand, in rows from the upper edge of the first.
    """
    top, baseline = line
    capital = baseline - top
    if max(given.shape[:2]) > LARGEST * capital:
        raise ValueError(
            f"line: capital letters of {capital:g} rows in a picture of {given.shape[1]}x"
            f"{given.shape[0]} pixels, want a picture of one character, at most {LARGEST} times "
            "as wide or high"
        )
    grey = reduced(given, white, black, max(1.0, capital / FINEST))
    per_row = grey.shape[0] / given.shape[0]
    per_column = grey.shape[1] / given.shape[1]
    found = _ink(grey, capital * per_row)
    out = np.zeros((SIZE, SIZE), np.uint8)
    if found is None:
        return out
    columns = np.flatnonzero(found.any(axis=0))
    mass = found.sum(axis=0)
    middle = (np.arange(len(mass)) + 0.5) @ mass / mass.sum()
    step = capital * per_column / CAPITAL  # of the grey's columns, one of the character's
    step = max(step, (columns[-1] + 1 - columns[0]) / WIDEST)
    # a wide character whose mass lies aside stays inside
    left, right = columns[0] + step * (SIZE / 2 - 1), columns[-1] + 1 - step * (SIZE / 2 - 1)
    middle = min(max(middle, right), left)
    rise = capital * per_row / CAPITAL
    rows = (np.arange(SIZE) + 0.5 - BASELINE) * rise + baseline * per_row
    across = (np.arange(SIZE) + 0.5 - SIZE / 2) * step + middle
    small = _seen(rows, rise, len(found)) @ found @ _seen(across, step, len(mass)).T
    if not small.max() > 0:
        raise ValueError(
            f"line: the picture's ink lies beyond the line ({top:g}, {baseline:g}), want (top, "
            "baseline) in rows of the picture"
        )
    out[...] = np.rint(np.minimum(small * (PEAK / small.max()), 1) * 255)
    return out


def _ink(grey: npt.NDArray[np.float32], capital: float) -> npt.NDArray[np.float32] | None:
    """Return all ink, from 0 to 1; None: there is none."""
    from lenet_c.preprocess import _finding

    if min(grey.shape) < 2 or np.ptp(grey) < 255 * FAINT:
        return None
    if _finding.darkness(grey)[0] < 0:
        grey = 255 - grey
    rough = _finding.noise(grey)
    if rough > 0.025 * float(np.ptp(grey)):
        grey = ndimage.gaussian_filter(grey, min(0.8, capital / 25))
    mask = grey < _finding.otsu(grey)
    if not mask.any() or mask.all():
        return None
    paper = float(np.median(grey[~mask]))
    level = paper - _finding.ranked(grey[mask], 0.25)
    if level < 255 * FAINT or level < CLEAR * rough:
        return None
    pieces, n = ndimage.label(mask, _finding.ALL_AROUND)
    large = np.bincount(pieces.ravel(), minlength=n + 1) >= SPECK * capital * capital
    large[0] = False
    if not large.any():
        return None
    near = _finding.grown(large[pieces], max(1, round(capital / 16)))
    ink: npt.NDArray[np.float32] = np.clip(((paper - grey) / level - 0.1) / 0.85, 0, 1) * near
    return ink if ink.any() and np.isfinite(ink).all() else None


def _seen(middles: Rows, step: float, size: int) -> Rows:
    """Return how much of each of `size` pixels a pixel around each of the middles is made of."""
    width = max(step, 1.0)  # where it is enlarged, it is interpolated
    pixel = np.arange(size)
    left, right = middles[:, None] - width / 2, middles[:, None] + width / 2
    overlap = np.minimum(right, pixel + 1) - np.maximum(left, pixel)
    weights: Rows = np.maximum(overlap, 0) / width
    return weights
