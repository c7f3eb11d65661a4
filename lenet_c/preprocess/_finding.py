"""Find the one character that a picture shows among other marks.

A grey picture of bounded size, dark ink on light paper, goes through these steps: the paper as it
is without ink, what is darker than it, long thin lines, the pieces that remain, and those of them
that make up a character. Lengths are in pixels of that picture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    import numpy.typing as npt

    Grey = npt.NDArray[np.float32]
    Mask = npt.NDArray[np.bool_]

MIN_CONTRAST = 1 / 16  # of the range from black to white
STRONG = 0.48  # of the ink's level: what a stroke is, however wide
WEAK = 0.34  # of the ink's level: what is one, too, if it is as thin as those
STRONG_CUT = 0.44  # of the ink's level: what a stroke is that the edge cuts
PAPER = 0.35  # of what is no stroke: as light as this share of it is the paper between print
DARK = 0.5  # of the ink's level: the mean of a stroke that the edge cuts
JOINED = 0.2  # of the ink's level: what may join pieces of one character
CUT = 0.7  # of the main piece's ink: what the edge cuts and yet belongs to it
WIDER = 2.5  # than strokes are on the average: none of them
SPECK = 0.028  # of the shorter side: too small to be the character
FAINT = 0.25  # of the ink's level: what may be a line
THIN = 0.05  # of the shorter side: how wide a line may be
LONG = 0.55  # of a side: how long a line is at least
SLOPES = np.linspace(-0.12, 0.12, 25)  # a line's, in pixels a pixel
UNSURE = 0.25  # of `darkness`: either polarity may be
FILLED = 0.93  # of both sides: what a character without a margin goes over
UNEVEN = 0.4  # of the ink's level: how dark a quarter of its paper may be
WIDE = 0.32  # of its longer side: wider than such a character's strokes on the average
SOLID = 0.45  # and at any place
MANY = 3000  # values: of more a third tells their ranks as well, of four times as many a seventh
ENOUGH = 500  # points of lines: so many tell the slope as well
ALL_AROUND = np.ones((3, 3), bool)
LEVELS = np.arange(256.0)


class NotFound(ValueError):
    """A picture in which no one character is to be seen."""


class Pieces(NamedTuple):
    """The connected pieces of a mask."""

    labels: npt.NDArray[np.int32]  # 0 outside, k + 1 in piece k
    mass: npt.NDArray[np.float64]
    area: npt.NDArray[np.intp]
    top: npt.NDArray[np.intp]
    bottom: npt.NDArray[np.intp]  # one beyond, as right is
    left: npt.NDArray[np.intp]
    right: npt.NDArray[np.intp]
    cut: Mask  # by the picture's edge


class Straight(NamedTuple):
    """A long thin line from left to right."""

    y: npt.NDArray[np.intp]  # its points, but where something crosses it
    x: npt.NDArray[np.intp]
    row: float  # where it goes on to at the left side
    start: int
    stop: int  # one beyond
    goes_on: float  # of its length: how much is there


def find(grey: Grey) -> Grey:
    """Return a character's ink, from 0 to 1, and 0 wherever else.

    Parameters
    ----------
    grey : ndarray of float32, (H, W)
        0 to 255, dark ink or light.
    """
    spread = float(grey.max() - grey.min())
    if spread < 255 * MIN_CONTRAST:
        raise NotFound(f"no character stands out (contrast {spread / 255:.0%} of black to white)")
    if min(grey.shape) < 2:
        raise NotFound(f"no character stands out in {grey.shape[1]}x{grey.shape[0]} pixels")
    ink_is_dark, corners = darkness(grey)
    if _may_be_tight(grey, spread):
        likelier, other = _tight(grey if ink_is_dark > 0 else 255 - grey), None
        if abs(ink_is_dark) < UNSURE:
            other = _tight(255 - grey if ink_is_dark > 0 else grey)
        if likelier is not None and other is None:
            return likelier
        if other is not None and likelier is None:
            return other
    sure = abs(ink_is_dark) > (0.6 if corners * ink_is_dark < 0 else 0.3)
    if sure or min(grey.shape) < 8:
        return _find_dark(grey if ink_is_dark > 0 else 255 - grey, spread)
    # Strokes as wide as what is between them fill the picture more than that does.
    both: list[Grey] = []
    for either in (grey, 255 - grey) if ink_is_dark > 0 else (255 - grey, grey):
        try:
            both.append(_find_dark(either, spread))
        except NotFound as error:
            why = error
    if not both:
        raise why
    return max(both, key=_filled)


def _filled(ink: Grey) -> float:
    """Return how much of the picture strokes go over; paper, with a straight edge, comes last."""
    rows, columns = extent(ink > 0)
    part = ink[rows, columns] > 0.5
    border = np.concatenate(_sides(part))
    return float(part.size) * (-1 if border.mean() > 0.65 else 1)


def _find_dark(grey: Grey, spread: float) -> Grey:
    rough = noise(grey)
    if rough > 0.025 * spread:
        grey = ndimage.gaussian_filter(grey, 0.8 if rough < 0.06 * spread else 1.3)
    # what the picture's edge cuts through counts as paper in `ink`, but not in `flat`
    flat = np.maximum(ranked(grey[::2, ::2], 0.95) - grey, 0)
    window = max(7, round(0.5 * min(grey.shape)))
    paper = closed(grey, window)
    ink = over_paper(grey, paper)
    level = _level(ink)
    mask, lines, level = _strokes(ink, level)
    chosen = None
    if mask.any():
        pieces = pieces_of(mask, ink)
        chosen = _of(pieces, choose(pieces))
        smaller = max(7, round(3.2 * stroke_width(chosen) + 2))
        # A blot or a bend in the light is paper, too, seen through a smaller window.
        clean = np.count_nonzero(chosen) > 0.97 * np.count_nonzero(mask)
        if smaller <= 0.7 * window and not (clean and np.ptp(paper) < 0.15 * level):
            ink = over_paper(grey, closed(grey, smaller))
            level = ranked(ink[chosen], 0.9)
            mask = _beside(lines, ink, level)
        if mask.any():
            whole = mask
            if any(side.any() for side in _sides((flat > STRONG_CUT * level) & ~lines)):
                flat = _over_own_paper(flat, mask)
                whole = mask | _cut_strokes(flat, mask, lines, stroke_width(chosen), level)
            pieces = pieces_of(whole, np.maximum(ink, flat * (whole & ~mask)))
            chosen = _of(pieces, choose(pieces, (ink > JOINED * level) & ~lines))
    chosen, ink, level = _or_all_dark(flat, chosen, mask, ink, level)
    if chosen is None:
        what = "only lines, and no character, are" if lines.any() else "no character is"
        raise NotFound(f"{what} to be seen")
    if max(part.stop - part.start for part in extent(chosen)) < SPECK * min(grey.shape):
        raise NotFound("only specks or corners of lines, and no character, are to be seen")
    if level < 2.5 * rough or np.count_nonzero(chosen) < 0.1 * np.count_nonzero(mask):
        raise NotFound(
            f"no character stands out from the noise (contrast {level / 255:.0%} of black to "
            f"white, noise {rough / 255:.0%})"
        )
    if not level > 0:
        raise NotFound("no character stands out")
    near = grown(chosen)
    if JOINED * level > 3 * rough and not any(part.any() for part in _edges(chosen)):
        other = lines | ((ink > STRONG * level) & mask & ~chosen)
        near |= _faint_parts(ink > JOINED * level, chosen, grown(other, 2))
    shown = np.where(chosen & ~mask, np.maximum(ink, flat), ink)
    found: Grey = (_unit((shown / level - 0.1) / 0.85) * near).astype(np.float32)
    if not found.any():
        raise NotFound("no character stands out")
    return found


def _may_be_tight(grey: Grey, spread: float) -> bool:
    """Tell whether both ink and paper may be along most edges of a clean picture."""
    mixed = sum(float(side.max() - side.min()) > FAINT * spread for side in _sides(grey))
    return mixed >= 3 and noise(grey) <= 0.025 * spread


def _tight(grey: Grey) -> Grey | None:
    """Return the ink of a clean character that goes from edge to edge, or None.

    There is no paper around it by which strokes at the edge could be told from other marks, and
    none is needed: one threshold parts ink and paper, and all that is dark is the character.
    """
    mask = grey < otsu(grey)
    paper = ranked(grey[~mask], 0.75)
    flat = np.maximum(paper - grey, 0)
    level = ranked(flat[mask], 0.75)
    reached = flat > FAINT * level
    sides = [float(side.mean()) for side in _sides(reached)]
    if sum(side > 0 for side in sides) < 3 or max(sides) > 0.9:
        return None
    pieces = pieces_of(mask, np.maximum(flat, 1))
    try:
        chosen = _of(pieces, choose(pieces))
    except NotFound:
        return None
    reached &= grown(chosen, round(0.1 * max(grey.shape)))
    if not reached.any():
        return None
    rows, columns = extent(reached)
    spans = rows.stop - rows.start, columns.stop - columns.start
    if min(span / side for span, side in zip(spans, grey.shape, strict=True)) < FILLED:
        return None
    others = np.count_nonzero(mask) - np.count_nonzero(chosen)
    if others > 0.05 * np.count_nonzero(mask) or lines_of(mask).any():
        return None
    if stroke_width(chosen) > WIDE * max(spans) or solid(chosen, round(SOLID * max(spans))):
        return None
    if ranked(flat[~mask], 0.75) > UNEVEN * level:
        return None
    ink: Grey = (_unit((flat / level - 0.1) / 0.85) * grown(chosen)).astype(np.float32)
    return ink if ink.any() else None


def _faint_parts(faint: Mask, chosen: Mask, other: Mask) -> Mask:
    """Return where strokes are fainter than the rest, if there is nothing faint but those."""
    faint = faint & ~other
    rows, columns = extent(chosen)
    room = max(rows.stop - rows.start, columns.stop - columns.start) // 4
    around = np.zeros_like(faint)
    around[
        max(0, rows.start - room) : rows.stop + room,
        max(0, columns.start - room) : columns.stop + room,
    ] = True
    near = faint & around
    area = np.count_nonzero(chosen)
    clean = np.count_nonzero(faint) - np.count_nonzero(near) <= 0.02 * area
    beyond = near & ~grown(chosen, 2)
    n = np.count_nonzero(beyond)
    if not clean or n > 0.5 * area or (n and solid(beyond, _thick(chosen))):
        return np.zeros_like(faint)
    return grown(near)


def darkness(grey: Grey) -> tuple[float, int]:
    """Tell how surely ink is the darker of the two: above 0 if it is, below 0 if it is lighter.

    Ink covers less than its paper does, seen from near, and leaves most of the border and the
    corners free. The second value is what all four corners say, 0 if they do not agree.
    """
    near = grey - ndimage.uniform_filter(grey, max(5, min(grey.shape) // 4))
    squares = near * near
    skew = float((squares * near).mean() / (squares.mean() ** 1.5 + 1e-6))
    light = grey > otsu(grey)
    corners = light[[0, 0, -1, -1], [0, -1, 0, -1]].mean()
    sides = [float(side.mean()) for side in _sides(light)]
    if corners in (0, 1):
        alike = [side if corners else 1 - side for side in sides]
        for one, other in ((alike[:2], alike[2:]), (alike[2:], alike[:2])):
            if min(one) > 0.95 and max(other) < 0.5:
                return -skew, 0  # strips along two edges: neither ink nor paper
    height, width = grey.shape
    inset = min(height, width) // 20
    ring = light[inset : height - inset, inset : width - inset]
    border = np.concatenate([light[0], light[-1], light[1:-1, 0], light[1:-1, -1]])
    inner = np.concatenate([ring[0], ring[-1], ring[1:-1, 0], ring[1:-1, -1]])
    surely = 0.75 * float(border.mean() + inner.mean() - 1) + 0.2 * float(2 * corners - 1) - skew
    return surely, int(corners == 1) - int(corners == 0)


def noise(grey: Grey) -> float:
    """Return the standard deviation of what neighbouring pixels do not have in common."""
    rows = grey[1::2] - grey[: grey.shape[0] // 2 * 2 : 2]
    return ranked(np.abs(rows[:, 1:] - rows[:, :-1]), 0.5) / (2 * 0.6745)


def closed(grey: Grey, window: int) -> Grey:
    """Return the grey closing; what is dark at the edge counts as going on beyond it.

    So a table in the corner, a shadow's straight edge and a scanner's strip are paper.
    """
    room = window // 2
    size = 2 * room + 1
    wide = _padded(_running(np.maximum, _padded(grey, 2 * room, 0), size, 0), 2 * room, 1)
    wide = _running(np.minimum, _running(np.maximum, wide, size, 1), size, 1)
    paper: Grey = _running(np.minimum, wide, size, 0)
    return paper


def closed_inside(grey: npt.NDArray[np.uint8], window: int) -> npt.NDArray[np.uint8]:
    """Return the grey closing where a stroke that the edge cuts is no paper."""
    room = window // 2
    height, width = grey.shape
    for _ in range(2):
        wide = np.zeros((height + 2 * room, width + 2 * room), grey.dtype)
        wide[room : room + height, room : room + width] = grey
        for axis in (0, 1):
            wide = _running(np.maximum, wide, 2 * room + 1, axis)
        grey = ~wide
    return grey


def _running(extreme: np.ufunc, values: Any, size: int, axis: int) -> Any:
    """Return the extremes in windows of this size, as many as fit.

    By doubling, in whole rows or, along rows, in one row of all: several times as fast as a filter
    that goes pixel by pixel. What windows over the end of a row have is left out.
    """
    height, width = values.shape
    if axis == 1:
        values = values.ravel()
    reached = 1
    while reached < size:
        step = min(reached, size - reached)
        values = extreme(values[:-step], values[step:])
        reached += step
    if axis == 0:
        return values
    stride = values.itemsize
    return np.ndarray(
        (height, width - size + 1), values.dtype, values, strides=(width * stride, stride)
    )


def _padded(values: Any, room: int, axis: int) -> Any:
    """Put so many zeros before and after; np.pad takes longer than what is done with the result."""
    height, width = values.shape
    if axis == 0:
        out = np.zeros((height + 2 * room, width), values.dtype)
        out[room : room + height] = values
    else:
        out = np.zeros((height, width + 2 * room), values.dtype)
        out[:, room : room + width] = values
    return out


def ranked(values: Any, share: float) -> float:
    """Return the value below which about this share of all lies."""
    flat = _some(values).copy()
    at = int(share * (flat.size - 1))
    # of values mostly alike, as on paper without noise, partition takes ten times as long as sort
    if len({*flat[:: flat.size // 15 + 1].tolist()}) < 6:
        flat.sort()
    else:
        flat.partition(at)
    return float(flat[at])


def _some(values: Any) -> Any:
    """Return all values in a row, or as many as tell their ranks."""
    flat = values.ravel()
    return flat[:: 1 if flat.size <= MANY else 3 if flat.size <= 4 * MANY else 7]


def grown(mask: Mask, by: int = 1) -> Mask:
    """Return a mask with what is at most so many pixels from it, corners included."""
    for axis in (0, 1):
        mask = _running(np.logical_or, _padded(mask, by, axis), 2 * by + 1, axis)
    return mask


def _unit(values: Any) -> Grey:
    """Return values bounded by 0 and 1; np.clip takes longer."""
    bounded: Grey = np.minimum(np.maximum(values, 0), 1)
    return bounded


def over_paper(grey: Grey, paper: Grey) -> Grey:
    """Return what is darker than its paper, as if all paper were as light as the lightest."""
    lightest = paper.max()
    brighter: Grey = np.maximum(paper, 0.25 * lightest)
    np.divide(lightest, brighter, out=brighter)
    ink: Grey = paper - grey
    ink *= brighter
    ink -= ranked(ink[::2, ::2], 0.5)
    return np.maximum(ink, 0, out=ink)


def otsu(values: Grey) -> float:
    """Return the threshold that splits values from 0 to 255 best in two."""
    counts = np.bincount(_some(values).astype(np.intp), minlength=256).astype(np.float64)
    sums, masses = counts.cumsum(), (counts * LEVELS).cumsum()
    below, mass = sums[:-1], masses[:-1]
    above = sums[-1] - below
    apart = mass / np.maximum(below, 1) - (masses[-1] - mass) / np.maximum(above, 1)
    spread = below * above * apart * apart
    (best,) = (spread == spread.max()).nonzero()
    return float(best.sum() / len(best) + 1)


def opened(mask: Mask, length: int, axis: int) -> Mask:
    """Return what of a mask lies in runs of at least this length."""
    length = max(1, length)
    if length > mask.shape[axis]:
        return np.zeros_like(mask)
    runs = _running(np.logical_and, mask, length, axis)
    runs = _padded(runs, length - 1, axis)
    opening: Mask = _running(np.logical_or, runs, length, axis)
    return opening


def solid(mask: Mask, side: int) -> bool:
    """Tell whether a square of this side fits into a mask."""
    side = max(1, side)
    if side > min(mask.shape):
        return False
    fits = _running(np.logical_and, _running(np.logical_and, mask, side, 0), side, 1)
    return bool(fits.any())


def where(mask: Mask) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return the rows and columns of a mask's points; np.nonzero takes longer."""
    at = np.flatnonzero(mask)
    rows = at // mask.shape[1]
    return rows, at - rows * mask.shape[1]


def share(mask: Mask) -> float:
    """Return how much of a mask is set; its mean takes longer."""
    return np.count_nonzero(mask) / mask.size


def extent(mask: Mask) -> tuple[slice, slice]:
    """Return the rows and columns that hold all of a mask."""
    rows = np.flatnonzero(mask.any(axis=1))
    columns = np.flatnonzero(mask.any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def stroke_width(mask: Mask) -> float:
    """Return about how wide strokes are, from the mean lengths of runs along rows and columns."""
    down = np.count_nonzero(mask[1:] > mask[:-1]) + np.count_nonzero(mask[0])
    along = np.count_nonzero(mask[:, 1:] > mask[:, :-1]) + np.count_nonzero(mask[:, 0])
    return float(np.count_nonzero(mask) / max(1.0, np.hypot(down, along)))


def _level(ink: Grey) -> float:
    """Return how dark ink is where it is full."""
    core = ink[ink > otsu(ink)]
    return ranked(core, 0.95) if core.size else 1.0


def _strokes(ink: Grey, level: float) -> tuple[Mask, Mask, float]:
    """Return strokes without lines, the lines, and the ink's level."""
    lines = lines_of(ink > FAINT * level)
    mask = _beside(lines, ink, level)
    if lines.any() and np.count_nonzero(mask) < 0.002 * mask.size:
        # a frame darker than the pen, or a stroke that is a line itself
        rest = np.where(grown(lines), 0, ink)
        fainter = _level(rest)
        if fainter > 0.2 * level:
            mask = rest > STRONG * fainter
            return mask, lines, fainter
    return mask, lines, level


def _beside(lines: Mask, ink: Grey, level: float) -> Mask:
    """Return strokes, and what is fainter and as thin, without lines and their soft edges."""
    mask: Mask = (ink > STRONG * level) & ~lines
    weak = (ink > WEAK * level) & ~(mask | lines)
    side = _thick(mask)
    if solid(weak, side):  # a stain, or a shadow
        weak &= ~grown(opened(opened(weak, side, 0), side, 1), side)
    mask |= weak
    if lines.any():
        mask &= (ink > 0.75 * level) | ~grown(lines)
    return mask


def _thick(strokes: Mask) -> int:
    """Return how wide is wider than such strokes, even where two meet."""
    return round(stroke_width(strokes)) + 2


def lines_of(mask: Mask) -> Mask:
    """Return the long thin lines in a mask, but not where something crosses them.

    A line ends where the picture does, or has fellows, or lies below all else. Another one is a
    stroke, as of a 1, a 4 or a 7.
    """
    across, free_across, n_across = _lines_across(mask)
    down, free_down, n_down = _lines_across(np.ascontiguousarray(mask.T))
    down, free_down = down.T, free_down.T
    lines: Mask = across | down
    if n_across == 1 and n_down < 2:
        rest = mask & ~lines
        above = rest[: extent(free_across)[0].start]
        if np.count_nonzero(above) <= 0.7 * np.count_nonzero(rest):
            lines = lines & ~free_across
    if n_down == 1 and n_across < 2:
        lines = lines & ~free_down
    little = np.count_nonzero(mask & ~lines) < 0.1 * np.count_nonzero(mask)
    return across if n_down and little and _upright(mask & ~across) else lines  # a 1


def _upright(mask: Mask) -> bool:
    """Tell whether nearly all of a mask is one piece that is taller than wide."""
    labels, n = ndimage.label(mask, ALL_AROUND)
    if not n:
        return False
    areas = np.bincount(labels.ravel())[1:]
    rows, columns = extent(labels == int(areas.argmax()) + 1)
    spans = [part.stop - part.start for part in (rows, columns)]
    return bool(areas.max() > 0.8 * areas.sum()) and spans[1] < 0.4 * spans[0]


def _lines_across(mask: Mask) -> tuple[Mask, Mask, int]:
    """Return the lines from left to right, and those that end short of both sides, and how many."""
    found, free = np.zeros_like(mask), np.zeros_like(mask)
    n_free = 0
    reach = reach_of(mask.shape[1])
    for line in straight(mask, SLOPES, ENOUGH, LONG)[0]:
        if line.start > reach and line.stop < mask.shape[1] - reach:
            free[line.y, line.x] = True
            n_free += bool(len(line.y))
        found[line.y, line.x] = True
    return found, free, n_free


def reach_of(width: int) -> int:
    """Return how near a picture's side a line ends that goes on beyond it."""
    return max(2, round(0.04 * width))


def straight(
    mask: Mask, slopes: npt.NDArray[np.float64], enough: int, long: float, points: float = 0.3
) -> tuple[list[Straight], float]:
    """Return the long thin lines from left to right, and their slope.

    Parameters
    ----------
    mask : ndarray of bool, (H, W)
    slopes : ndarray of float
        Those to try, from the least to the largest.
    enough : int
        Points that tell the slope.
    long, points : float
        How long a line is at least, and how many points it has, of the picture's width.
    """
    height, width = mask.shape
    lines: list[Straight] = []
    if np.count_nonzero(mask.any(axis=0)) < long * width:
        return lines, 0.0
    thick = max(2, round(THIN * min(height, width)))
    thin = mask & ~opened(mask, thick + 1, 0)
    # short runs, of a tilted line's two rows together, are of no line
    thin &= opened(_running(np.logical_or, _padded(thin, 1, 0), 3, 0), 6, 1)
    y, x = where(thin)
    if len(y) < points * width:
        return lines, 0.0
    room = int(max(-slopes[0], slopes[-1]) * width) + 2
    rows = height + 2 * room
    some = slice(None, None, max(1, len(y) // enough))
    # how far up a place goes, so that a line of that slope comes into one row
    up = np.rint(slopes[:, None] * x[some]).astype(np.intp)
    flat = (np.arange(len(slopes)) * rows + room)[:, None] + y[some] - up
    tried = np.bincount(flat.ravel(), minlength=rows * len(slopes)).reshape(-1, rows)
    best = int(np.argmax((tried * tried * tried).sum(axis=1)))
    at = y - np.rint(slopes[best] * x).astype(np.intp) + room
    counts = np.bincount(at, minlength=rows)
    near = counts.copy()
    near[1:] += counts[:-1]
    near[:-1] += counts[1:]
    if near.max() < points * width:
        return lines, float(slopes[best])
    above_or_below = _running(np.logical_or, _padded(mask, 1, 0), 3, 0)
    while near[row := int(near.argmax())] >= points * width:
        near[max(0, row - thick) : row + thick + 1] = 0
        band = np.abs(at - row) <= thick // 2 + 1
        columns = np.bincount(x[band], minlength=width)
        covered = np.flatnonzero(columns)
        length = covered[-1] - covered[0] + 1 if len(covered) else 0
        if length < long * width or len(covered) < 0.3 * length:
            continue
        # where something crosses it, a line goes on
        along = np.arange(covered[0], covered[-1] + 1)
        middle = np.rint(slopes[best] * along + row - room).astype(np.intp)
        middle = np.minimum(np.maximum(middle, 0), height - 1)
        goes_on = np.count_nonzero(above_or_below[middle, along]) / length
        if goes_on < 0.7:
            continue
        tall = round(1.4 * ranked(columns[covered], 0.5)) + 2
        here = y[band], x[band]
        of_line = ~opened(mask, tall, 0)[here]
        lines.append(
            Straight(
                here[0][of_line],
                here[1][of_line],
                float(row - room),
                int(covered[0]),
                int(covered[-1]) + 1,
                float(goes_on),
            )
        )
    return lines, float(slopes[best])


def pieces_of(mask: Mask, ink: Grey) -> Pieces:
    """Return the connected pieces of a mask, corners included."""
    labels, n = ndimage.label(mask, ALL_AROUND)
    y, x = np.nonzero(mask)
    piece = labels[y, x] - 1
    height, width = mask.shape
    top, left = np.full(n, height, np.intp), np.full(n, width, np.intp)
    bottom, right = np.zeros(n, np.intp), np.zeros(n, np.intp)
    np.minimum.at(top, piece, y)
    np.minimum.at(left, piece, x)
    np.maximum.at(bottom, piece, y + 1)
    np.maximum.at(right, piece, x + 1)
    return Pieces(
        labels,
        np.bincount(piece, ink[y, x], n).astype(np.float64),
        np.bincount(piece, minlength=n),
        top,
        bottom,
        left,
        right,
        (top == 0) | (left == 0) | (bottom == height) | (right == width),
    )


def _of(pieces: Pieces, chosen: Mask) -> Mask:
    mask: Mask = np.concatenate([[False], chosen]).take(pieces.labels)
    return mask


def choose(p: Pieces, joined: Mask | None = None) -> Mask:
    """Return which pieces make up the character.

    Raise NotFound if they make up two, where a mask tells what may join them to one.
    """
    height, width = p.labels.shape
    tall, wide = p.bottom - p.top, p.right - p.left
    off = ((p.top + p.bottom) / height - 1) ** 2 + ((p.left + p.right) / width - 1) ** 2
    # what the edge cuts is less likely to be it, unless it goes over much of the picture
    if len(p.mass) > 30 and p.mass.max() < 0.2 * p.mass.sum():
        raise NotFound("no character stands out from the noise or the pattern around it")
    far = np.minimum(tall / height, wide / width) >= 0.5
    main = int(np.argmax(p.mass * np.where(p.cut & ~far, 0.2, 1) * np.exp(-off)))
    top, bottom, left, right = (int(side[main]) for side in p[3:7])
    size = max(bottom - top, right - left)
    tight = p.cut[main] or tall[main] > 0.8 * height or wide[main] > 0.8 * width
    chosen = np.zeros(len(p.mass), bool)
    chosen[main] = True
    for k in np.argsort(-p.mass):
        if k == main or p.mass[k] < 0.03 * p.mass[main]:
            continue
        beside = max(left - p.right[k], p.left[k] - right)
        above = max(top - p.bottom[k], p.top[k] - bottom)
        if p.cut[k] and (
            not tight
            or max(beside, above) > 0.2 * size
            or p.mass[k]
            < (CUT / 5 if beside < 0 and wide[k] > 1.5 * tall[k] else CUT) * p.mass[main]
        ):
            continue
        flat = wide[k] > 5 * tall[k] and wide[k] > right - left
        if flat and p.top[k] > (top + 2 * bottom) / 3:
            continue  # an underline
        blot = p.area[k] > 0.6 * tall[k] * wide[k]
        around = min(top - p.top[k], p.bottom[k] - bottom, left - p.left[k], p.right[k] - right) > 0
        if (blot or around) and p.mass[k] * p.area[main] < 0.68 * p.mass[main] * p.area[k]:
            continue  # a stain, a frame
        alike = p.mass[k] > 0.4 * p.mass[main] and max(tall[k], wide[k]) > 0.6 * size
        bar = wide[k] > 1.5 * tall[k] or wide[main] > 1.5 * tall[main]  # as of a 5
        apart = beside > 0.15 * size or above > 0.35 * size
        one = p.cut[main] or blot or bar or joined is None
        if alike and apart and not one and not _joined(p, main, int(k), joined):
            raise NotFound("two characters of about one size are to be seen")
        if beside < 0 and blot and alike and above < 1.6 * size:
            chosen[k] = True  # an equals sign, a colon
            continue
        if beside > 0.2 * size or above > (0.4 if beside < 0 else 0.2) * size:
            continue
        chosen[k] = True
    return chosen


def _joined(p: Pieces, one: int, other: int, mask: Mask | None) -> bool:
    labels, _ = ndimage.label(mask, ALL_AROUND)
    ends = (set(labels[p.labels == k + 1].tolist()) for k in (one, other))
    return bool(set.intersection(*ends) - {0})


def _cut_strokes(flat: Grey, mask: Mask, lines: Mask, width: float, level: float) -> Mask:
    """Return the strokes that the picture's edge cuts, which `closed` takes for paper.

    As dark as the ink, about as wide as its strokes, next to them, and no line along an edge.
    """
    labels, n = ndimage.label((flat > STRONG_CUT * level) & ~mask & ~lines, ALL_AROUND)
    out = np.zeros_like(mask)
    edge = np.concatenate(_sides(labels))
    at_edge = np.bincount(edge, minlength=n + 1) > 0
    at_edge[0] = False
    if not at_edge.any():
        return out
    area = np.bincount(labels.ravel(), minlength=n + 1)
    dark = np.bincount(labels.ravel(), flat.ravel(), n + 1) >= DARK * level * area
    near = grown(mask)
    touching = np.bincount(labels[near], minlength=n + 1) > 0
    spans = [part.stop - part.start for part in extent(mask)]
    for k in np.flatnonzero(at_edge & dark & touching):
        piece = labels == k
        along = [part.stop - part.start for part in extent(piece)]
        line = any(
            a >= 0.97 * side and span < 0.8 * side
            for a, span, side in zip(along, spans, mask.shape, strict=True)
        )
        if not line and not _soft(flat, piece, mask) and not solid(piece, round(WIDER * width + 2)):
            out |= piece
    return out


def _over_own_paper(flat: Grey, mask: Mask) -> Grey:
    """Return how much darker than most of the paper it is, which print may have darkened."""
    paper = flat[~grown(mask)]
    if not paper.size:
        return flat
    over: Grey = np.maximum(flat - ranked(paper, PAPER), 0)
    return over


def _soft(flat: Grey, piece: Mask, mask: Mask) -> bool:
    """Tell whether the surroundings are nearly as dark as a piece: light that fades, no stroke."""
    around = grown(piece, 3) & ~piece & ~mask
    return bool(around.any() and flat[around].mean() > 0.6 * flat[piece].mean())


def _sides(values: Any) -> tuple[Any, ...]:
    return values[0], values[-1], values[:, 0], values[:, -1]


def _edges(mask: Mask) -> tuple[Mask, ...]:
    return mask[:2], mask[-2:], mask[:, :2], mask[:, -2:]


def _or_all_dark(
    flat: Grey, chosen: Mask | None, mask: Mask, ink: Grey, level: float
) -> tuple[Mask | None, Grey, float]:
    """Return what is chosen, or all that is dark, if it fills the picture or nothing is chosen."""
    if chosen is not None and not any(part.any() for part in _edges(chosen)):
        return chosen, ink, level
    whole = flat > otsu(flat)
    if chosen is not None and np.count_nonzero(chosen) >= 0.5 * np.count_nonzero(whole):
        return chosen, ink, level
    whole &= ~lines_of(whole)
    if not whole.any():
        return chosen, ink, level
    pieces = pieces_of(whole, np.maximum(flat, 1))
    try:
        full = _of(pieces, choose(pieces))
    except NotFound:
        if chosen is None:
            raise
        return chosen, ink, level
    spans = [part.stop - part.start for part in extent(full)]
    fills = min(a / b for a, b in zip(spans, flat.shape, strict=True)) > 0.85
    strokes = not solid(full, round(0.36 * max(spans))) and not _soft(flat, full, full)
    if chosen is None:
        take = (fills and strokes) or not bool(pieces.cut[pieces.labels[full][0] - 1])
    else:
        of_full = pieces.labels[full]
        main = pieces.labels == int(np.bincount(of_full).argmax())
        overlap = np.count_nonzero(chosen & main) > 0.5 * np.count_nonzero(chosen)
        larger = np.count_nonzero(chosen) < 0.5 * np.count_nonzero(full)
        take = bool(fills and strokes and overlap and larger)
    if not take:
        return chosen, ink, level
    return full, flat, ranked(flat[full], 0.75)
