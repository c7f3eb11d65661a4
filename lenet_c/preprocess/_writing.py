"""Find the line of writing that a picture of a field shows among other marks.

A grey picture of bounded size goes through these steps: which of the two is ink, the paper as it is
without ink, what is darker than it, lines that are printed, the pieces that remain, the slope of
the writing and its slant, and those of the pieces that make up characters. Places are in a frame
that turns with the writing: u along it, v down, in pixels.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy import ndimage

from lenet_c.preprocess._finding import (
    ALL_AROUND,
    MIN_CONTRAST,
    NotFound,
    Straight,
    closed_inside,
    darkness,
    grown,
    noise,
    opened,
    otsu,
    over_paper,
    ranked,
    reach_of,
    straight,
    stroke_width,
)

if TYPE_CHECKING:
    import numpy.typing as npt

    from lenet_c.preprocess._finding import Grey, Mask

    Floats = npt.NDArray[np.float64]

UNEVEN = 0.4  # of full ink: how much paper differs that is looked at again
PAPER = 0.6  # of the shorter side: the window through which paper is seen
import os
MASK=float(os.environ.get('MASK','.9'))
FAINT=float(os.environ.get('FAINT','.45'))
FULL_=float(os.environ.get('FULL','.8'))
#  # of the threshold: ink from here on is shown
FULL = 0.85  # of the darkest ink: shown as full
STEEPEST = 0.3  # of a line of writing, in pixels a pixel: some 16 degrees
SLOPES = np.linspace(-STEEPEST, STEEPEST, 41)
SLANTS = np.linspace(-0.6, 0.6, 25)  # of strokes, along for each down
UPRIGHT = np.linspace(-0.03, 0.03, 7)  # of lines across them, from the right angle
ENOUGH = 250  # points of lines: so many tell the slope of a picture's width
POINTS = 500  # of writing: so many tell its slant
TALL = 0.55  # of the larger characters: what tells their height
DIM = 0.65  # of the writing's ink: what is fainter on the average is none of it
DIM_TALL = 0.45  # the same, of what is as tall as characters
SPECK = 0.008  # of the height squared: the area of a mark that is none
BESIDE = 0.12  # of the height: how far from a character its parts may be
LOW = 0.45  # of the height: what is smaller is a mark or a part


class Found(NamedTuple):
    """A line of writing."""

    ink: Grey  # 0 to 1, and 0 wherever else
    slope: float  # of the line: down for each along
    slant: float  # of the strokes: to the left for each down
    left: float  # along the line, once upright
    right: float
    middle: float  # across it, of the tall characters
    height: float  # of the tall characters


class Pieces(NamedTuple):
    """Connected pieces, in the frame of the writing."""

    top: Floats
    bottom: Floats
    left: Floats
    right: Floats
    area: Floats
    level: Floats  # how dark it is on the average
    stretched: Mask  # along one line

    def of(self, chosen: Any) -> Pieces:
        """Return some of them."""
        return Pieces(*(side[chosen] for side in self))


def find(grey: Grey, keep: str) -> Found:
    """Return the writing on a picture.

    Parameters
    ----------
    grey : ndarray of float32, (H, W)
        0 to 255, dark ink or light.
    keep : str
        Which marks beside the characters are kept: any of ".,-".
    """
    spread = float(grey.max() - grey.min())
    if spread < 255 * MIN_CONTRAST:
        raise NotFound(f"no writing stands out (contrast {spread / 255:.0%} of black to white)")
    if min(grey.shape) < 4:
        raise NotFound(f"no writing stands out in {grey.shape[1]}x{grey.shape[0]} pixels")
    sure, _ = darkness(grey[::2, ::2] if min(grey.shape) >= 24 else grey)
    return _find_dark(grey if sure > 0 else 255 - grey, spread, keep)


def _find_dark(grey: Grey, spread: float, keep: str) -> Found:
    rough = noise(grey)
    if rough > 0.025 * spread:
        grey = ndimage.gaussian_filter(grey, 0.8 if rough < 0.06 * spread else 1.3)
    window = max(7, round(PAPER * min(grey.shape)))
    paper = _paper(grey, window)
    ink, threshold, mask, full = _inked(grey, paper)
    smaller = max(7, round(3.2 * stroke_width(mask) + 2))
    if smaller < 0.7 * window and np.ptp(paper) > UNEVEN * full:
        # the corner of a shadow is paper, too, seen through a smaller window
        ink, threshold, mask, full = _inked(grey, _paper(grey, smaller))
    if full < 2.5 * rough or full < 255 * MIN_CONTRAST / 2:
        raise NotFound(
            f"no writing stands out from the noise (contrast {full / 255:.0%} of black to white, "
            f"noise {rough / 255:.0%})"
        )
    lines, slope = _printed(mask)
    mask &= ~lines
    labels, n = ndimage.label(mask, ALL_AROUND)
    if not n:
        what = "only lines, and no writing, are" if lines.any() else "no writing is"
        raise NotFound(f"{what} to be seen")
    y, x = np.nonzero(mask)
    piece = labels[y, x] - 1
    order = np.argsort(piece.astype(np.uint16), kind="stable")
    y, x, piece = y[order], x[order], piece[order]
    first = np.flatnonzero(np.diff(piece, prepend=-1))
    dark = ink[y, x]
    slope = _slope(x, y, first, dark, slope)
    u, v = turned(x + 0.5, y + 0.5, slope)
    rising = _pieces(u, v, first, dark)
    height, middle, chosen = _band(rising)
    if not chosen.any():
        raise NotFound("only specks, and no writing, are to be seen")
    of_tall = chosen & (rising.bottom - rising.top > LOW * height)
    some = np.flatnonzero(of_tall[piece])
    slant = _slant(u[some], v[some] - middle)
    upright = _pieces(u + slant * (v - middle), v, first, dark)
    held = np.zeros(n, bool)
    if lines.any():
        held[labels[grown(lines, 2) & mask] - 1] = True
    chosen = _characters(upright, chosen, held, height, middle, keep)
    kept = upright.of(chosen)
    height, middle = _size(kept)
    near = grown(np.concatenate([[False], chosen])[labels]) & ~lines
    shown = (ink - FAINT * threshold) * (near / (full - FAINT * threshold))
    return Found(
        np.minimum(np.maximum(shown, 0), 1).astype(np.float32),
        slope,
        slant,
        float(kept.left.min()),
        float(kept.right.max()),
        middle,
        height,
    )


def _inked(grey: Grey, paper: Grey) -> tuple[Grey, float, Mask, float]:
    """Return the ink on a paper, the threshold, what is above it, and how dark full ink is."""
    ink = over_paper(grey, paper)
    threshold = otsu(ink)
    mask = ink > MASK * threshold
    dark = ink[mask]
    if not dark.size:
        raise NotFound("no writing stands out")
    return ink, threshold, mask, FULL_ * ranked(dark, 0.99)


def turned(x: Any, y: Any, slope: float) -> tuple[Any, Any]:
    """Return how far places lie along a line of that slope, and how far below it."""
    unit = math.hypot(1, slope)
    return (x + slope * y) / unit, (y - slope * x) / unit


def _paper(grey: Grey, window: int) -> Grey:
    """Return the paper as it is without ink, seen at half the size."""
    height, width = grey.shape
    rows, columns = height // 2 * 2, width // 2 * 2
    pairs = np.maximum(grey[0:rows:2], grey[1:rows:2])
    small = np.maximum(pairs[:, 0:columns:2], pairs[:, 1:columns:2]).astype(np.uint8)
    small = closed_inside(small, max(3, window // 2))
    paper = small.repeat(2, axis=0).repeat(2, axis=1).astype(np.float32)
    if paper.shape != grey.shape:
        paper = np.pad(paper, ((0, height - rows), (0, width - columns)), mode="edge")
    return np.maximum(paper, grey)


def _printed(mask: Mask) -> tuple[Mask, float]:
    """Return the lines that are printed, and their slope."""
    lines = np.zeros_like(mask)
    found, slope = straight(mask, SLOPES, ENOUGH, 0.4)
    across = [line for line in found if line.goes_on >= 0.8]
    for line in across:
        lines[line.y, line.x] = True
    if not across:
        slope = 0.0
    for line in _upright(mask, lines, across, slope):
        lines[line.x, line.y] = True
    return lines, slope


def _upright(mask: Mask, lines: Mask, across: list[Straight], slope: float) -> list[Straight]:
    """Return which upright lines are borders of cells, and no strokes of a 1 or a 4.

    They end at lines across, or at the picture's edge, or several of them go alike beyond all
    writing.
    """
    height = mask.shape[0]
    found, lean = straight(np.ascontiguousarray(mask.T), UPRIGHT - slope, ENOUGH, 0.25, 0.2)
    found = [line for line in found if line.goes_on >= 0.8 and len(line.x)]
    if not found:
        return found
    x = np.array([line.row + lean * (line.start + line.stop) / 2 for line in found])
    top = np.array([float(line.start) for line in found])
    bottom = np.array([float(line.stop) for line in found])
    near = reach_of(height) + 1
    held_above, held_below = top <= near, bottom >= height - near
    for line in across:
        at = line.row + slope * x
        held_above |= (top >= at - near) & (top <= at + 2)
        held_below |= (bottom <= at + 1 + near) & (bottom >= at - 1)
    sure = held_above & held_below
    v_top, v_bottom = top - slope * x, bottom - slope * x
    tallest = int(np.argmax(bottom - top))
    alike = (np.abs(v_top - v_top[tallest]) <= near) & (np.abs(v_bottom - v_bottom[tallest]) <= near)
    if alike.sum() >= 2 and not (sure | ~alike).all():
        rest = mask & ~lines
        for line, one in zip(found, alike, strict=True):
            if one:
                rest[line.x, line.y] = False
        y, along = np.nonzero(rest)
        if len(y):
            v = y - slope * along
            extent = ranked(v, 0.93) - ranked(v, 0.07)
            if v_bottom[tallest] - v_top[tallest] > 1.25 * extent:
                sure |= alike
    return [line for line, one in zip(found, sure, strict=True) if one]


def _pieces(u: Floats, v: Floats, first: npt.NDArray[np.intp], dark: Floats) -> Pieces:
    area = np.diff(first, append=len(u)).astype(np.float64)
    return Pieces(
        np.minimum.reduceat(v, first) - 0.5,
        np.maximum.reduceat(v, first) + 0.5,
        np.minimum.reduceat(u, first) - 0.5,
        np.maximum.reduceat(u, first) + 0.5,
        area,
        np.add.reduceat(dark, first) / area,
        _stretched(u, v, first, area),
    )


def _stretched(u, v, first, area):
    """Tell which pieces lie along a sloping line, as a dash does."""
    mu, mv = np.add.reduceat(u, first) / area, np.add.reduceat(v, first) / area
    uu = np.add.reduceat(u * u, first) / area - mu * mu
    vv = np.add.reduceat(v * v, first) / area - mv * mv
    uv = np.add.reduceat(u * v, first) / area - mu * mv
    return uv * uv > 0.6 * uu * vv


def _median(values: Floats, weights: Floats) -> float:
    """Return the value with as much weight below it as above."""
    order = np.argsort(values)
    sums = np.cumsum(weights[order])
    return float(values[order[np.searchsorted(sums, 0.5 * sums[-1])]])


def _slope(
    x: Any, y: Any, first: npt.NDArray[np.intp], dark: Floats, slope: float
) -> float:
    """Return the slope of the writing: that of most pairs of its tall pieces."""
    u, v = turned(x + 0.5, y + 0.5, slope)
    p = _pieces(u, v, first, dark)
    tall = p.bottom - p.top
    height = _height(p)
    some = np.flatnonzero((tall > TALL * height) & (tall < 1.8 * height))
    if len(some) > 40:
        some = some[np.argsort(-p.area[some])[:40]]
    if len(some) < 3:
        return slope
    across, along = (p.top + p.bottom)[some] / 2, (p.left + p.right)[some] / 2
    one, other = np.triu_indices(len(some), 1)
    apart = along[other] - along[one]
    far = np.abs(apart) > height
    if np.ptp(along) < 2 * height or not far.any():
        return slope
    apart, down = apart[far], (across[other] - across[one])[far]
    more = _median(down / apart, np.abs(apart))
    return min(max(slope + more, -STEEPEST), STEEPEST)


def _slant(u: Floats, v: Floats) -> float:
    """Return the slant that puts strokes above themselves."""
    step = max(1, len(u) // POINTS)
    u, v = u[::step], v[::step]
    room = float(np.abs(v).max()) * SLANTS[-1] + 2
    at = u + SLANTS[:, None] * v
    at += room - u.min()
    bins = int(at.max()) + 2
    flat = at.astype(np.intp) + np.arange(len(SLANTS))[:, None] * bins
    counts = np.bincount(flat.ravel(), minlength=bins * len(SLANTS)).reshape(-1, bins)
    sharp = (counts * counts).sum(axis=1).astype(np.float64)
    weights = np.maximum(sharp - np.partition(sharp, len(sharp) // 2)[len(sharp) // 2], 0) ** 2
    if not weights.any():
        return 0.0
    return float(weights @ SLANTS / weights.sum())


def _band(p: Pieces) -> tuple[float, float, Mask]:
    """Return the height and the middle of the writing, and which pieces lie in its line."""
    tall = p.bottom - p.top
    height = _height(p)
    large = tall > 0.25 * height
    middles = (p.top + p.bottom) / 2
    middle = _median(middles[large], (p.area / tall)[large])
    dim = np.where(tall > LOW * height, DIM_TALL, DIM)
    faint = p.level < dim * _median(p.level, p.area)
    large = p.area >= SPECK * height * height
    return height, middle, large & ~faint & (np.abs(middles - middle) < 0.9 * height)


def _height(p: Pieces) -> float:
    """Return about how tall characters are, whether they touch or not."""
    tall = p.bottom - p.top
    height = _median(tall, p.area)
    large = tall > 0.25 * height
    return _median(tall[large], (p.area / tall)[large])


def _characters(
    p: Pieces, chosen: Mask, held: Mask, height: float, middle: float, keep: str
) -> Mask:
    """Return which pieces are characters, or parts of them, or marks to keep."""
    tall, wide = p.bottom - p.top, p.right - p.left
    round_ = (np.minimum(tall, wide) > 0.26 * height) & (wide < 4 * tall)
    round_ &= (p.area < 0.7 * tall * wide) & ~p.stretched
    low = (p.top > middle - 0.05 * height) & (tall > 1.3 * wide) & (tall < 0.7 * height)
    main = chosen & ((tall > LOW * height) | round_) & ~low
    if not main.any():
        main = chosen
    out = main.copy()
    rest = np.flatnonzero(chosen & ~main & ~held)
    if not len(rest):
        return out
    a, b = p.of(rest[:, None]), p.of(main)
    apart = np.maximum(a.left - b.right, b.left - a.right)
    above = np.maximum(a.top - b.bottom, b.top - a.bottom)
    over = (apart < -0.3 * wide[rest, None]) & (above < 0.2 * height)
    upright = (tall > 0.2 * height) & (tall > 0.7 * wide) & ~low
    beside = (apart < BESIDE * height) & (above < 0) & upright[rest, None]
    flag = (apart < 0.25 * height) & (above < 0.1 * height) & (a.bottom < middle)
    part = (over | beside | flag).any(axis=1)
    out[rest[part]] = True
    if keep:
        marks = p.of(rest[~part])
        out[rest[~part]] = _marks(marks, height, middle, keep)
    return out


def _marks(p: Pieces, height: float, middle: float, keep: str) -> Mask:
    """Return which pieces are marks to keep."""
    tall, wide = p.bottom - p.top, p.right - p.left
    at = (p.top + p.bottom) / 2 - middle
    flat = (wide > 1.5 * tall) & (wide < 1.5 * height)
    below = (p.bottom > middle + 0.15 * height) & (p.top > middle - 0.05 * height)
    dot = below & ~flat & (np.maximum(tall, wide) < 0.3 * height) & (tall < 1.6 * wide)
    kept = np.zeros(len(tall), bool)
    if "-" in keep:
        kept |= flat & (np.abs(at) < 0.3 * height)
    if "." in keep:
        kept |= dot
    if "," in keep:
        kept |= below & ~flat & ~dot & (tall < 0.7 * height)
    return kept


def _size(p: Pieces) -> tuple[float, float]:
    """Return the height and the middle of the tall ones among characters."""
    order = np.argsort(p.left)
    p = p.of(order)
    # pieces of one character lie above each other
    new = p.left[1:] + 0.4 * np.minimum(p.right[1:] - p.left[1:], p.right[:-1] - p.left[:-1])
    first = np.flatnonzero(np.concatenate([[True], new > np.maximum.accumulate(p.right)[:-1]]))
    top, bottom = np.minimum.reduceat(p.top, first), np.maximum.reduceat(p.bottom, first)
    tall = bottom - top
    large = np.sort(tall)[round(0.75 * (len(tall) - 1))]
    some = tall >= TALL * large
    return float(np.median(tall[some])), float(np.median((top + bottom)[some])) / 2
