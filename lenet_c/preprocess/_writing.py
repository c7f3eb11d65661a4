"""Find the line of writing that a picture of a field shows among other marks.

A grey picture of bounded size goes through these steps: which of the two is ink, the paper as it is
without ink, what is darker than it, lines that are printed, the pieces that remain, the slope of
the writing and its slant, and those of the pieces that make up characters. Places are in a frame
that turns with the writing: u along it, v down, in pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from statistics import median
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
    extent,
    grown,
    noise,
    otsu,
    over_paper,
    ranked,
    reach_of,
    share,
    straight,
    stroke_width,
)

if TYPE_CHECKING:
    import numpy.typing as npt

    from lenet_c.preprocess._finding import Grey, Mask

    Floats = npt.NDArray[np.float64]

UNEVEN = 0.4  # of full ink: how much paper differs that is looked at again
PAPER = 0.6  # of the shorter side: the window through which paper is seen
MASK = 0.9  # of the threshold between ink and paper: strokes are from here on
FAINT = 0.45  # of that threshold: ink beside strokes is shown from here on
FULL = 0.8  # of the darkest ink: shown as full
STEEPEST = 0.3  # of a line of writing, in pixels a pixel: some 16 degrees
SLOPES = np.linspace(-STEEPEST, STEEPEST, 41)
SLANTS = np.linspace(-0.6, 0.6, 25)  # of strokes, along for each down
UPRIGHT = np.linspace(-0.03, 0.03, 7)  # of lines across them, from the right angle
ENOUGH = 250  # points of lines: so many tell the slope of a picture's width
POINTS = 300  # of writing: so many tell its slant
TALL = 0.55  # of the larger characters: what tells their height
DIM = 0.65  # of the writing's ink: what is fainter on the average is none of it
DIM_TALL = 0.45  # the same, of what is as tall as characters
SPECK = 0.008  # of the height squared: the area of a mark that is none
BESIDE = 0.12  # of the height: how far from a character its parts may be
LEAST = 3.0  # pixels: writing that is lower cannot be told from specks
GOES_ON = 0.8  # of a printed line: how much is there
CLOSE = 0.12  # of their height together: how far apart the parts of a broken character are
REACH = 0.8  # of the height: how far from the middle characters may go
LOW = 0.45  # of the height: what is smaller is a mark or a part
CLOSING = 0.66  # of the height: as high as "=" and other marks that close a line


ONLY_LINES = "only lines, and no writing, are to be seen"
ONLY_SPECKS = "only specks, and no writing, are to be seen"


class Found(NamedTuple):
    """A line of writing."""

    ink: Grey  # 0 to 1, and 0 wherever else
    slope: float  # of the line: down for each along
    slant: float  # of the strokes: to the left for each down
    left: float  # along the line, once upright
    right: float
    middle: float  # across it, of the tall characters
    height: float  # of the tall characters


class Points(NamedTuple):
    """The pixels of connected pieces, one piece after another."""

    x: Floats
    y: Floats
    ink: Grey
    first: npt.NDArray[np.intp]  # of each piece
    area: Floats  # of each piece

    def each(self, what: np.ufunc, values: Any) -> Any:
        """Return a sum or an extreme of each piece."""
        return what.reduceat(values, self.first)


class Pieces(NamedTuple):
    """Connected pieces, in the frame of the writing."""

    top: Floats
    bottom: Floats
    left: Floats
    right: Floats
    area: Floats

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
    sure = _ink_is_dark(grey[::2, ::2] if min(grey.shape) >= 24 else grey)
    likelier, other = (grey, 255 - grey) if sure > 0 else (255 - grey, grey)
    try:
        return _find_dark(likelier, spread, keep)
    except NotFound:
        if abs(sure) < 0.3:
            with suppress(NotFound):
                return _find_dark(other, spread, keep)
        raise


def _ink_is_dark(grey: Grey) -> float:
    """Return how surely ink is the darker of the two, as `darkness` does; mostly it is plain."""
    light = grey > otsu(grey)
    inside = share(light)
    sides = sum(share(side) for side in (light[0], light[-1], light[:, 0], light[:, -1])) / 4
    for sign, inner, border in ((1, inside, sides), (-1, 1 - inside, 1 - sides)):
        if inner > 0.75 and border > 0.85:
            return float(sign)
    return darkness(grey)[0]


def _find_dark(grey: Grey, spread: float, keep: str) -> Found:
    ink, threshold, mask, full = _evenly_inked(grey, spread)
    lines, slope = _printed(mask)
    mask, labels = _labelled(mask, lines)
    points, at, order = _points(mask, labels, ink)
    pieces, u, v, slope = _straightened(points, slope)
    height, middle, chosen = _band(pieces, points)
    if height < LEAST or not chosen.any():
        raise NotFound(ONLY_SPECKS if lines is None else ONLY_LINES)
    of_tall = (chosen & (pieces.bottom - pieces.top > LOW * height))[order]
    slant = _slant(u[of_tall], v[of_tall] - middle, height)
    u = u + slant * (v - middle)
    pieces = pieces._replace(
        left=points.each(np.minimum, u) - 0.5, right=points.each(np.maximum, u) + 0.5
    )
    held = np.zeros(len(chosen), bool)
    if lines is not None:
        held[labels[grown(lines, 2) & mask] - 1] = True
    chosen = _characters(
        pieces, chosen, held, lambda: _stretched(points, u, v, pieces.area), height, middle, keep
    )
    kept = pieces.of(chosen)
    upright_at, (height, middle) = middle, _size(kept)
    if held[chosen].all() and height < 0.2 * min(grey.shape):
        raise NotFound(ONLY_LINES)
    if (kept.right - kept.left > 3 * (kept.bottom - kept.top)).all() and height < 0.3 * len(grey):
        raise NotFound("only a dash or a line, and no writing, is to be seen")
    near = np.zeros(mask.shape, bool)
    near.reshape(-1)[at[chosen[order]]] = True
    near = grown(near)
    if lines is not None:
        near &= ~lines
    least = np.float32(FAINT * threshold)
    shown = ink - least
    shown *= np.float32(1 / (full - least))
    shown *= near
    moved = slant * (upright_at - middle)
    return Found(
        np.minimum(np.maximum(shown, 0, out=shown), 1, out=shown),
        slope,
        slant,
        float(kept.left.min()) + moved,
        float(kept.right.max()) + moved,
        middle,
        height,
    )


def _evenly_inked(grey: Grey, spread: float) -> tuple[Grey, float, Mask, float]:
    """Return what `_inked` does, of a picture with noise and shadows."""
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
    return ink, threshold, mask, full


def _labelled(mask: Mask, lines: Mask | None) -> tuple[Mask, npt.NDArray[np.int32]]:
    """Return what neither is a line nor lies along an edge, and the labels of its pieces."""
    if lines is not None:
        mask = mask & ~lines
    labels, n = _pieces_of(mask)
    if not n:
        raise NotFound("no writing is to be seen" if lines is None else ONLY_LINES)
    if (strips := _along_edges(labels, n)) is not None:
        mask = mask & ~strips[labels]
        labels, n = _pieces_of(mask)
        if not n:
            raise NotFound("only a shadow or a strip along an edge, and no writing, is to be seen")
    return mask, labels


def _pieces_of(mask: Mask) -> tuple[npt.NDArray[np.int32], int]:
    """Return labels of connected pieces, and how many; only where some are is looked through."""
    labels = np.zeros(mask.shape, np.int32)
    if not mask.any():
        return labels, 0
    inked = extent(mask)
    return labels, int(ndimage.label(mask[inked], ALL_AROUND, labels[inked]))


def _along_edges(labels: npt.NDArray[np.int32], n: int) -> Mask | None:
    """Return which labels are of pieces that go all along an edge and not far from it, or None."""
    strips = None
    for side in (labels.T, labels):
        half = side.shape[1] // 2
        for edge, beyond in ((side[:, 0], half), (side[:, -1], side.shape[1] - 1 - half)):
            if np.count_nonzero(edge) < 0.9 * len(edge):
                continue
            counts = np.bincount(edge, minlength=n + 1)
            counts[0] = 0
            k = int(counts.argmax())
            if counts[k] >= 0.9 * len(edge) and not (side[:, beyond] == k).any():
                strips = np.zeros(n + 1, bool) if strips is None else strips
                strips[k] = True
    return strips


def _points(
    mask: Mask, labels: Any, ink: Grey
) -> tuple[Points, npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return the pixels of each piece, their places in the picture, and the piece of each."""
    at = np.flatnonzero(mask)
    piece = labels.ravel()[at] - 1
    order = np.argsort(piece.astype(np.uint16), kind="stable")
    at, piece = at[order], piece[order]
    y = at // mask.shape[1]
    x = at - y * mask.shape[1]
    (last,) = (piece[1:] != piece[:-1]).nonzero()
    ends = np.empty(len(last) + 2, np.intp)
    ends[0], ends[-1] = 0, len(at)
    np.add(last, 1, out=ends[1:-1])
    first, area = ends[:-1], (ends[1:] - ends[:-1]).astype(np.float64)
    return Points(x + 0.5, y + 0.5, ink.ravel()[at], first, area), at, piece


def _inked(grey: Grey, paper: Grey) -> tuple[Grey, float, Mask, float]:
    """Return the ink on a paper, the threshold, what is above it, and how dark full ink is."""
    ink = over_paper(grey, paper)
    threshold = otsu(ink)
    mask = ink > MASK * threshold
    dark = ink.ravel()[np.flatnonzero(mask)]
    if not dark.size:
        raise NotFound("no writing stands out")
    return ink, threshold, mask, FULL * ranked(dark, 0.99)


def turned(x: Any, y: Any, slope: float) -> tuple[Any, Any]:
    """Return how far places lie along a line of that slope, and how far below it."""
    if not slope:
        return x, y
    unit = math.hypot(1, slope)
    return (x + slope * y) / unit, (y - slope * x) / unit


def _paper(grey: Grey, window: int) -> Grey:
    """Return the paper as it is without ink, seen at half the size."""
    height, width = grey.shape
    rows, columns = height // 2 * 2, width // 2 * 2
    pairs = np.maximum(grey[0:rows:2], grey[1:rows:2])
    small = np.maximum(pairs[:, 0:columns:2], pairs[:, 1:columns:2]).astype(np.uint8)
    small = closed_inside(small, max(3, window // 2))
    paper = np.empty(grey.shape, np.float32)
    for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)):
        paper[row:rows:2, column:columns:2] = small
    paper[rows:] = paper[rows - 1]  # of an odd number the last one
    paper[:, columns:] = paper[:, columns - 1, None]
    return np.maximum(paper, grey, out=paper)


def _printed(mask: Mask) -> tuple[Mask | None, float]:
    """Return the lines that are printed, or None, and their slope."""
    found, slope = straight(mask, SLOPES, ENOUGH, 0.4)
    across = [line for line in found if line.goes_on >= GOES_ON]
    lines = np.zeros_like(mask)
    for line in across:
        lines[line.y, line.x] = True
    if not across:
        slope = 0.0
    upright = _upright(mask, lines, across, slope)
    for line in upright:
        lines[line.x, line.y] = True
    return (lines if across or upright else None), slope


def _upright(mask: Mask, lines: Mask, across: list[Straight], slope: float) -> list[Straight]:
    """Return which upright lines are borders of cells, and no strokes of a 1 or a 4.

    They end at lines across, or at the picture's edge, or several of them go alike beyond all
    writing.
    """
    height = mask.shape[0]
    found, lean = straight(np.ascontiguousarray(mask.T), UPRIGHT - slope, ENOUGH, 0.25, 0.2)
    found = [line for line in found if line.goes_on >= GOES_ON and len(line.x)]
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
    alike = (np.abs(v_top - v_top[tallest]) <= near) & (
        np.abs(v_bottom - v_bottom[tallest]) <= near
    )
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


def _pieces(points: Points, u: Floats, v: Floats) -> Pieces:
    return Pieces(
        points.each(np.minimum, v) - 0.5,
        points.each(np.maximum, v) + 0.5,
        points.each(np.minimum, u) - 0.5,
        points.each(np.maximum, u) + 0.5,
        points.area,
    )


def _stretched(points: Points, u: Floats, v: Floats, area: Floats) -> Mask:
    """Tell which pieces lie along a sloping line, as a dash may."""
    mean_u, mean_v = points.each(np.add, u) / area, points.each(np.add, v) / area
    uu = points.each(np.add, u * u) / area - mean_u * mean_u
    vv = points.each(np.add, v * v) / area - mean_v * mean_v
    uv = points.each(np.add, u * v) / area - mean_u * mean_v
    along: Mask = uv * uv > 0.6 * uu * vv
    return along


def _median(values: Floats, weights: Floats) -> float:
    """Return the value with as much weight below it as above."""
    order = values.argsort()
    sums = weights[order].cumsum()
    return float(values[order[sums.searchsorted(0.5 * sums[-1])]])


def _straightened(points: Points, slope: float) -> tuple[Pieces, Floats, Floats, float]:
    """Return the pieces, and where their points lie, in the frame of the writing, and its slope.

    The slope is that of most pairs of tall pieces.
    """
    u, v = turned(points.x, points.y, slope)
    p = _pieces(points, u, v)
    tall = p.bottom - p.top
    height = _height(p)
    some = np.flatnonzero((tall > TALL * height) & (tall < 1.8 * height))
    if len(some) > 40:
        some = some[np.argsort(-p.area[some])[:40]]
    along = (p.left + p.right)[some] / 2
    if len(some) < 3 or (length := float(along.max() - along.min())) < 2 * height:
        return p, u, v, slope
    across = (p.top + p.bottom)[some] / 2
    apart, down = (side[:, None] - side for side in (along, across))
    far = apart > height
    more = _median(down[far] / apart[far], apart[far])
    if abs(more) * length < 0.5:
        return p, u, v, slope
    slope = min(max(slope + more, -STEEPEST), STEEPEST)
    u, v = turned(points.x, points.y, slope)
    return _pieces(points, u, v), u, v, slope


def _slant(u: Floats, v: Floats, height: float) -> float:
    """Return the slant that puts strokes above themselves; of a digit or two only a part of it.

    These may lean by themselves: a lone 7 has no upright stroke.
    """
    if not len(u):
        return 0.0
    span = float(u.max() - u.min())
    step = max(1, len(u) // POINTS)
    u, v = u[::step], v[::step]
    room = float(np.abs(v).max()) * SLANTS[-1] + 2
    at = SLANTS[:, None] * v
    at += u
    at += room - u.min()
    bins = int(at.max()) + 2
    flat = at.astype(np.int32)
    flat += (np.arange(len(SLANTS), dtype=np.int32) * bins)[:, None]
    counts = np.bincount(flat.ravel(), minlength=bins * len(SLANTS)).reshape(-1, bins)
    counts *= counts
    sharp = counts.sum(axis=1).astype(np.float64)
    weights = np.maximum(sharp - np.sort(sharp)[len(sharp) // 2], 0) ** 2
    if not weights.any():
        return 0.0
    return float(weights @ SLANTS / weights.sum()) * span / (span + height)


def _band(p: Pieces, points: Points) -> tuple[float, float, Mask]:
    """Return the height and the middle of the writing, and which pieces lie in its line."""
    by_itself = p.bottom - p.top
    p = _whole(p)
    tall = p.bottom - p.top
    height = _height(p)
    large = tall > 0.25 * height
    middles = (p.top + p.bottom) / 2
    middle = _median(middles[large], (p.area / tall)[large])
    level = points.each(np.add, points.ink) / p.area
    dim = np.where(by_itself > LOW * height, DIM_TALL, DIM)
    chosen = level > dim * _median(level, p.area)
    chosen &= p.area >= SPECK * height * height
    chosen &= np.abs(middles - middle) < 0.9 * height
    return height, middle, chosen


def _whole(p: Pieces) -> Pieces:
    """Return the pieces, those that lie close above each other as high as they are together."""
    some = np.argsort(-p.area)[:40]
    q = p.of(some)
    narrower = np.minimum.outer(wide := q.right - q.left, wide)
    over = np.minimum.outer(q.right, q.right) - np.maximum.outer(q.left, q.left) > 0.5 * narrower
    apart = np.maximum.outer(q.top, q.top) - np.minimum.outer(q.bottom, q.bottom)
    together = np.maximum.outer(q.bottom, q.bottom) - np.minimum.outer(q.top, q.top)
    one, other = np.nonzero(over & (apart > 0) & (apart < CLOSE * together))
    if not len(one):
        return p
    top, bottom = p.top.copy(), p.bottom.copy()
    for _ in range(2):  # of three pieces, too
        for sides, extreme in ((top, np.minimum), (bottom, np.maximum)):
            extreme.at(sides, some[one], sides[some[other]])
    return p._replace(top=top, bottom=bottom)


def _height(p: Pieces) -> float:
    """Return about how tall characters are, whether they touch or not."""
    tall = p.bottom - p.top
    height = _median(tall, p.area)
    large = tall > 0.25 * height
    return _median(tall[large], (p.area / tall)[large])


def _characters(
    p: Pieces,
    chosen: Mask,
    held: Mask,
    stretched: Callable[[], Mask],
    height: float,
    middle: float,
    keep: str,
) -> Mask:
    """Return which pieces are characters, or parts of them, or marks to keep."""
    tall, wide = p.bottom - p.top, p.right - p.left
    round_ = (np.minimum(tall, wide) > 0.26 * height) & (wide < 4 * tall)
    round_ &= p.area < 0.7 * tall * wide
    under = p.top > middle - 0.05 * height
    paired = _in_pairs(p, chosen & under, height)
    low = under & ~paired & (tall > 1.3 * wide) & (tall < 0.7 * height)
    large = paired | (tall > LOW * height)
    if (round_ & chosen & ~large).any():  # seldom, and it takes its time
        round_ &= ~stretched()
    main = chosen & (large | round_) & ~low
    if not main.any():
        main = chosen
    out = main.copy()
    rest = np.flatnonzero(chosen & ~main & ~held)
    if not len(rest):
        return _without_ends(p, out, height, middle, keep)
    a, b = p.of(rest[:, None]), p.of(main)
    apart = np.maximum(a.left - b.right, b.left - a.right)
    above = np.maximum(a.top - b.bottom, b.top - a.bottom)
    over = (apart < -0.3 * wide[rest, None]) & (above < 0.2 * height)
    upright = (tall > 0.2 * height) & (tall > 0.7 * wide) & ~low
    beside = (apart < BESIDE * height) & (above < 0) & upright[rest, None]
    flag = (apart < 0.25 * height) & (above < 0.1 * height) & (a.bottom < middle)
    part = (over | beside | flag).any(axis=1)
    out[rest[part]] = True
    out = _without_ends(p, out, height, middle, keep)
    if keep:
        marks = p.of(rest[~part])
        out[rest[~part]] = _marks(marks, height, middle, keep)
    return out


def _in_pairs(p: Pieces, some: Mask, height: float) -> Mask:
    """Return which of some, dots and dashes apart, stand beside one as tall: no comma does."""
    out = np.zeros(len(some), bool)
    at = np.flatnonzero(some)
    if len(at) < 2:
        return out
    q = p.of(at)
    tall = q.bottom - q.top
    upright = (tall > 0.3 * height) & (tall > 0.7 * (q.right - q.left))
    apart = np.maximum.outer(q.left, q.left) - np.minimum.outer(q.right, q.right)
    alike = np.minimum.outer(tall, tall) > 0.7 * np.maximum.outer(tall, tall)
    beside = alike & (apart < 0.5 * height) & upright & ~np.eye(len(at), dtype=bool)
    out[at] = upright & beside.any(axis=1)
    return out


def _without_ends(p: Pieces, out: Mask, height: float, middle: float, keep: str) -> Mask:
    """Return the characters without the dots, dashes and "=" that close the line at an end."""
    tall = p.bottom - p.top
    if (tall[out] > CLOSING * height).all():
        return out
    for left, right in ((p.left, p.right), (-p.right, -p.left)):
        while True:
            some = np.flatnonzero(out)
            last = some[right[some].argmax()]
            if tall[last] > CLOSING * height:
                break
            over = np.minimum(right[some], right[last]) - np.maximum(left[some], left[last])
            beside = over < 0.4 * np.minimum(right[some] - left[some], right[last] - left[last])
            end, others = some[~beside], some[beside]
            if not len(others) or tall[others].max() < LOW * height:
                break
            apart = left[end].min() - right[others].max()
            if not _closes(p.of(end), float(apart), height, middle):
                break
            out[end] = _marks(p.of(end), height, middle, keep)
            if out[end].any():
                break
    return out


def _closes(p: Pieces, apart: float, height: float, middle: float) -> bool:
    """Tell whether what stands at an end, so far from its neighbour, is a mark and no digit."""
    tall = float(p.bottom.max() - p.top.min())
    wide = float(p.right.max() - p.left.min())
    if tall > CLOSING * height:
        return False
    flat = (p.right - p.left > 1.3 * (p.bottom - p.top)) & (p.bottom - p.top < 0.3 * height)
    if len(flat) > 1 and flat.all():  # the strokes of "="
        return apart > -0.1 * height
    if apart < (0.12 if p.bottom.max() < middle else 0.08) * height:  # a 5's bar, high up
        return False
    return tall < 0.3 * height or (tall < 0.38 * height and wide > 1.3 * tall)  # no small zero


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
    """Return the height and the middle of the tall ones among characters, so that all show."""
    spans: list[list[float]] = []
    for left, right, top, bottom in sorted(
        zip(p.left.tolist(), p.right.tolist(), p.top.tolist(), p.bottom.tolist(), strict=True)
    ):
        last = spans[-1] if spans else None
        # pieces of one character lie above each other
        if last and last[1] - left > 0.4 * min(right - left, last[1] - last[0]):
            last[1:] = max(last[1], right), min(last[2], top), max(last[3], bottom)
        else:
            spans.append([left, right, top, bottom])
    heights = sorted(span[3] - span[2] for span in spans)
    least = TALL * heights[round(0.75 * (len(heights) - 1))]
    tall = [span for span in spans if span[3] - span[2] >= least]
    height = max(median(span[3] - span[2] for span in tall), heights[-1] / (2 * REACH))
    middle = median((span[2] + span[3]) / 2 for span in tall)
    # one digit that is much higher than the others stays in the strip, too
    lowest = max(span[3] for span in tall) - REACH * height
    highest = min(span[2] for span in tall) + REACH * height
    if lowest <= highest:
        middle = min(max(middle, lowest), highest)
    return height, middle
