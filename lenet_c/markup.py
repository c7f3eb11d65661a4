"""What notebooks show of networks, histories and readings: HTML without scripts or other files."""

from __future__ import annotations

import base64
import html
import math
import re
import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lenet_c import checks
from lenet_c.architecture import Architecture
from lenet_c.layers import Conv

ROWS = 20  # of a table; of more the first and the last
_PIXELS = 6  # that a weight is wide
_MOST = 4096  # weights in a picture of filters
_COLOURS = ("#1f77b4", "#d95f02")  # seen on white and on black

_NUMBER = re.compile(r"-?[\d.,]+(e[+-]?\d+)?%?|-?inf|nan|")  # or nothing
_EMPTY = ("img", "path", "polyline", "circle")  # elements that have no content


class Markup(str):
    """Text that is HTML already."""


def escaped(value: object) -> Markup:
    """Give HTML that shows a value's text."""
    if isinstance(value, Markup):
        return value
    return Markup(html.escape(checks.escaped(str(value))))


def element(tag: str, *content: object, **attributes: object) -> Markup:
    """Give an element; content that is no `Markup` is escaped."""
    given = "".join(f' {name}="{escaped(value)}"' for name, value in attributes.items())
    inner = "".join(map(escaped, content))
    return Markup(f"<{tag}{given} />" if tag in _EMPTY else f"<{tag}{given}>{inner}</{tag}>")


def table(heading: Sequence[object], rows: Sequence[Sequence[object]]) -> Markup:
    """Give a table: numbers stand to the right."""

    def row(tag: str, cells: Sequence[object]) -> Markup:
        return element(
            "tr",
            *(
                element(tag, cell, style=f"text-align: {side}")
                for cell, side in zip(cells, sides, strict=True)
            ),
        )

    sides = [
        "right" if all(_is_number(line[i]) for line in rows) else "left"
        for i in range(len(heading))
    ]
    return element(
        "table",
        element("thead", row("th", heading)),
        element("tbody", *(row("td", line) for line in rows)),
    )


def _is_number(cell: object) -> bool:
    return _NUMBER.fullmatch(str(cell)) is not None


def shortened(n: int) -> list[int | None]:
    """Give the rows of a table that are shown; None stands for those left out."""
    if n <= ROWS:
        return list(range(n))
    return [*range(ROWS // 2), None, *range(n - ROWS // 2, n)]


# ---- pictures ----


def _png(pixels: NDArray[np.uint8], scale: int, text: str) -> Markup:
    """Give an image (height, width, 3), enlarged so many times by who shows it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + checksum

    height, width, _ = pixels.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], axis=1)
    file = b"\x89PNG\r\n\x1a\n" + chunk(
        b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    )
    file += chunk(b"IDAT", zlib.compress(rows.tobytes())) + chunk(b"IEND", b"")
    return element(
        "img",
        src="data:image/png;base64," + base64.b64encode(file).decode(),
        alt=text,
        title=text,
        width=scale * width,
        height=scale * height,
        style="image-rendering: pixelated",
    )


def _filters(name: str, kernels: NDArray[np.float32]) -> Markup:
    """Draw kernels (maps, inputs, side, side): a column a map, a row an input map."""
    maps, inputs, side, _ = kernels.shape
    values = np.nan_to_num(kernels.astype(np.float64), posinf=0.0, neginf=0.0)
    values /= np.abs(values).max() or 1.0
    # red above zero, blue below
    colours = np.stack([1 + np.minimum(values, 0), 1 - np.abs(values), 1 - np.maximum(values, 0)])
    sheet = np.full((3, inputs, side + 1, maps, side + 1), 255, np.uint8)
    sheet[:, :, :side, :, :side] = np.rint(255 * colours).transpose(0, 2, 3, 1, 4)
    pixels = sheet.reshape(3, inputs * (side + 1), -1)[:, :-1, :-1].transpose(1, 2, 0)
    return _png(pixels, _PIXELS, f"weights of {name}: red above zero, blue below")


def _curves(passes: Sequence[float], lines: Mapping[str, Sequence[float]]) -> Markup:
    """Draw shares, in percent, over the passes: an SVG. What is not finite is left out."""
    width, height, left, low = 480, 200, 48, 170
    finite = [value for line in lines.values() for value in line if math.isfinite(value)]
    top = max(finite, default=0.0) or 1.0
    first, last = min(passes), max(passes)

    def place(at: float, value: float) -> tuple[float, float]:
        share = (at - first) / (last - first) if last > first else 0.5
        return left + 4 + share * (width - left - 24), low - value / top * (low - 20)

    def label(x: float, y: float, what: object, anchor: str, colour: str) -> Markup:
        style = {"text-anchor": anchor, "font-size": 11, "fill": colour}
        return element("text", what, x=x, y=y, **style)

    ink = "currentColor"
    parts = [
        element("path", d=f"M{left} 12V{low}H{width - 12}", fill="none", stroke=ink, opacity=0.5),
        label(left - 6, low + 4, "0%", "end", ink),
        label(left - 6, 24, f"{top:.3g}%", "end", ink),
        label(left - 6, low + 16, "pass", "end", ink),
        label(place(first, 0)[0], low + 16, f"{first:g}", "middle", ink),
    ]
    if last > first:
        parts.append(label(place(last, 0)[0], low + 16, f"{last:g}", "middle", ink))
    for k, ((name, line), colour) in enumerate(zip(lines.items(), _COLOURS, strict=False)):
        points = [
            place(at, value) for at, value in zip(passes, line, strict=True) if math.isfinite(value)
        ]
        text = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(element("polyline", points=text, fill="none", stroke=colour))
        if len(points) <= 2 * ROWS:
            parts += [
                element("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r=2, fill=colour) for x, y in points
            ]
        parts.append(label(width - 12, 20 + 14 * k, name, "end", colour))
    return element(
        "svg",
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        width=width,
        height=height,
        viewBox=f"0 0 {width} {height}",
        role="img",
    )


# ---- what is shown ----


def of_network(
    title: str,
    architecture: Architecture,
    class_names: Sequence[str] | None,
    parameters: NDArray[np.float32],
) -> Markup:
    """Show a network: its layers, and the filters of the first.

    Parameters
    ----------
    title : str
    architecture : Architecture
    class_names : sequence of str or None
    parameters : float32 array (n_parameters,)

    Returns
    -------
    Markup
    """
    rows: list[list[object]] = []
    for row in architecture.rows():
        maps, height, width = row.output_shape
        shape = f"{maps}" if height == width == 1 else f"{maps} x {height} x {width}"
        rows.append([row.name, row.kind, shape, f"{row.n_parameters:,}", f"{row.n_connections:,}"])
    totals = f"{architecture.n_parameters:,}", f"{architecture.n_connections:,}"
    rows.append(["total", "", "", *totals])
    sides = " x ".join(map(str, architecture.input_shape))
    parts = [
        element("p", element("b", title), f", input {sides}"),
        table(["layer", "kind", "output", "parameters", "connections"], rows),
    ]
    if class_names is not None:
        names = ", ".join(class_names)
        parts.append(element("p", f"classes: {names if len(names) <= 80 else names[:77] + '...'}"))
    first = architecture.layers[0]
    shape_of_first = architecture.parameter_shapes.get(f"{first.name}.weight", ())
    size = math.prod(shape_of_first)
    if isinstance(first, Conv) and len(shape_of_first) == 4 and size <= _MOST:
        kernels = parameters[:size].reshape(shape_of_first)  # the first of the parameters
        parts.append(element("p", _filters(first.name, kernels)))
    return element("div", *parts)


def of_history(epochs: Sequence[Mapping[str, Any]]) -> Markup:
    """Show a history: the error rates as curves, and a table of all that was recorded.

    Parameters
    ----------
    epochs : sequence of dict
        As `History.epochs`.

    Returns
    -------
    Markup
    """
    n = len(epochs)
    title = element("p", element("b", "History"), f", {n} pass{'es' * (n != 1)}")
    if not n:
        return element("div", title)
    keys = list(dict.fromkeys(key for record in epochs for key in record))
    rows = [
        ["..."] * len(keys)
        if k is None
        else [_recorded(key, epochs[k].get(key, "")) for key in keys]
        for k in shortened(n)
    ]
    passes = [float(record.get("epoch", k + 1)) for k, record in enumerate(epochs)]
    lines = {
        name: [100 * float(record.get(key, math.nan)) for record in epochs]
        for key, name in (("error_rate", "training"), ("val_error_rate", "validation"))
        if key in keys
    }
    parts = [_curves(passes, lines)] if lines else []
    return element("div", title, *parts, table(keys, rows))


def _recorded(key: str, value: object) -> str:
    if not isinstance(value, (float, np.floating)):
        return str(value)
    if key.endswith("error_rate"):
        return f"{value:.2%}"
    return f"{value:,.0f}" if 1000 <= abs(float(value)) < 1e15 else f"{value:.4g}"


def of_line(
    text: str,
    probability: float,
    confidence: Sequence[float],
    doubt: str,
    alternatives: Sequence[tuple[str, float]],
) -> Markup:
    """Show what a line of characters was read as.

    Parameters
    ----------
    text : str
    probability : float
    confidence : sequence of float
        Of each character.
    doubt : str
        "" if there is none.
    alternatives : sequence of (str, float)

    Returns
    -------
    Markup
    """
    read = element("code", text or "-", style="font-size: 150%; white-space: pre")
    parts = [element("p", read, f"  probability {probability:.4f}" + (doubt and f", {doubt}"))]
    if len(confidence):
        # a class's name may have several characters
        heads = list(text) if len(text) == len(confidence) else range(1, len(confidence) + 1)
        cells = [[f"{value:.2f}" for value in confidence]]
        parts.append(table(heads, cells))
    if alternatives:
        others = ", ".join(f"{other} {value:.4f}" for other, value in alternatives)
        parts.append(element("p", f"or {others}"))
    return element("div", *parts)
