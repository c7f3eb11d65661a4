"""What all pictures are drawn on, with matplotlib (extra "plot"), and how they become files."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lenet_c import checks, files
from lenet_c.architecture import Architecture
from lenet_c.layers import Conv

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float32]

_PAPER = "#e8e8e8"  # where a mosaic has nothing


def new_figure(width: float, height: float) -> Figure:
    """Make a figure that pyplot does not know of.

    Parameters
    ----------
    width, height : float
        In inches.

    Returns
    -------
    matplotlib Figure

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError('plots need matplotlib: pip install "lenet_c[plot]"') from None
    return Figure(figsize=(width, height), layout="constrained")


def save(drawn: Axes | Figure, path: str | os.PathLike[str], dpi: float = 100) -> None:
    """Write a picture, in place of an older one once it is complete.

    Parameters
    ----------
    drawn : matplotlib Axes or Figure
        Axes stand for their whole figure.
    path : path
        SVG, lines and text that scale, if the name ends in .svg; else PNG.
    dpi : float
        Pixels an inch, of a PNG file.
    """
    figure: Any = getattr(drawn, "figure", drawn)
    if not hasattr(figure, "savefig"):
        raise TypeError(f"drawn: got {checks.short(drawn)}, want a matplotlib Axes or Figure")
    full = io.BytesIO()
    if checks.path("path", path).lower().endswith(".svg"):
        from matplotlib import rc_context

        with rc_context({"svg.hashsalt": "lenet_c"}):  # or each file would differ
            figure.savefig(full, format="svg", metadata={"Date": None})
        files.replace(path, full.getvalue())
        return
    from PIL import Image  # matplotlib needs it too

    figure.savefig(full, format="png", dpi=dpi)
    # a palette makes the file less than half as large
    picture = Image.open(full).convert("RGB").quantize(256)
    packed = io.BytesIO()
    picture.save(packed, "PNG", optimize=True)
    files.replace(path, packed.getvalue())


def axes_of(ax: Axes | None, width: float, height: float) -> Axes:
    """Give the axes, or where there are none those of a new figure."""
    if ax is None:
        return new_figure(width, height).subplots()
    from matplotlib.axes import Axes

    return checks.instance("ax", ax, Axes, "a matplotlib Axes (plot.save writes a file)")


def figure_of(figure: Figure | None, width: float, height: float) -> Figure:
    """Give the figure, or where there is none a new one."""
    if figure is None:
        return new_figure(width, height)
    from matplotlib.figure import FigureBase

    checks.instance("figure", figure, FigureBase, "a matplotlib Figure")
    return figure


def draw_values(
    ax: Axes,
    values: NDArray[Any],
    colours: str,
    low: float | None = None,
    high: float | None = None,
) -> None:
    """Draw values, of which those masked or NaN are left out."""
    ax.set_facecolor(_PAPER)
    ax.imshow(values, cmap=colours, vmin=low, vmax=high, interpolation="nearest")
    ax.spines[:].set_visible(False)


def tiled(tiles: NDArray[Any], per_row: int, gap: int = 1, below: int = 0) -> Floats:
    """Lay tiles (n, h, w) out in rows, a gap between them, and room below each.

    NaN is empty; or white, of colours (n, h, w, 3).
    """
    n, height, width, *colours = tiles.shape
    rows = -(-n // per_row)
    down, across = height + gap + below, width + gap
    empty = 1.0 if colours else np.nan
    mosaic = np.full((rows * down - gap, per_row * across - gap, *colours), empty, np.float32)
    for i, tile in enumerate(tiles):
        top, left = i // per_row * down, i % per_row * across
        mosaic[top : top + height, left : left + width] = tile
    return mosaic


def convolution(architecture: Architecture, layer: str) -> Conv:
    """Give the convolution of a name; raise ValueError if there is none."""
    convolutions = {each.name: each for each in architecture.layers if isinstance(each, Conv)}
    return convolutions[checks.one_of("layer", layer, convolutions)]


def kernels_of(weights: Floats, conv: Conv, n_inputs: int) -> Floats:
    """Arrange a convolution's weights as (maps, input maps, k, k), NaN without a connection."""
    if conv.table is None:
        return weights
    full = np.full((conv.maps, n_inputs, conv.kernel, conv.kernel), np.nan, np.float32)
    pairs = [(m, i) for m, row in enumerate(conv.table) for i in row]
    for (m, i), kernel in zip(pairs, weights, strict=True):
        full[m, i] = kernel
    return full


def mosaic_of(kernels: Floats) -> Floats:
    """Lay kernels (maps, input maps, k, k) out: a column a map, a row an input map."""
    maps, _, side, _ = kernels.shape
    return tiled(kernels.swapaxes(0, 1).reshape(-1, side, side), maps)


def draw_kernels(
    kernels: Floats, layer: str, ax: Axes | None = None, limit: float | None = None
) -> Axes:
    """Draw kernels (maps, input maps, k, k), red above zero and blue below, up to a limit."""
    maps, inputs, side, _ = kernels.shape
    mosaic = mosaic_of(kernels)
    height, width = mosaic.shape
    scale = min(0.12, 7 / width)  # inches a weight
    ax = axes_of(ax, max(2.5, width * scale + 0.7), max(1.5, height * scale + 0.7))
    limit = float(np.abs(kernels[np.isfinite(kernels)]).max()) if limit is None else limit
    draw_values(ax, mosaic, "RdBu_r", -limit, limit)
    step = max(1, maps // 30)
    ax.set_xticks([m * (side + 1) + (side - 1) / 2 for m in range(0, maps, step)])
    ax.set_xticklabels([str(m) for m in range(0, maps, step)])
    ax.set_yticks([i * (side + 1) + (side - 1) / 2 for i in range(inputs)])
    ax.set_yticklabels([str(i) for i in range(inputs)])
    ax.set_xlabel(f"map of {layer}")
    ax.set_ylabel("input map")
    ax.tick_params(length=0)
    return ax
