"""The architecture of a network, drawn as in Fig. 2 of LeCun et al. 1998.

Everything is placed in inches: feature maps are stacked planes, units a bar, and between layers
stands what makes the one of the other.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lenet_c import checks
from lenet_c.architecture import Architecture
from lenet_c.canvas import axes_of
from lenet_c.layers import Conv, Layer, Shape
from lenet_c.model import LeNet5
from lenet_c.networks import NETWORKS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LARGEST = 1.15  # inches of the longest side
_SMALLEST = 0.1
_MOST_PLANES = 12  # of more maps so many are drawn
_STEP = 0.085  # from plane to plane, down and to the right
_DEEPEST = 0.6  # of all steps
_BAR = 0.11
_LONGEST_BAR = 1.5
_GAP = 0.5
_CHARACTER = 0.068  # inches of a character of a label, in the mean
_LABEL, _NOTE = 8.5, 7.5  # points
_LONGEST_NAME = 16
_EDGE, _FACE, _INK = "#333333", "#f4f4f0", "#777777"

_OPERATIONS = {
    "conv": "convolution",
    "subsample": "subsampling",
    "average_pool": "mean pooling",
    "max_pool": "max pooling",
    "dense": "full connection",
    "rbf": "Gaussian connections",
}


@dataclass(frozen=True)
class _Block:
    """What is drawn of a layer's output, from its left edge, in the middle at height 0."""

    label: tuple[str, str]
    planes: int  # 0: a bar
    height: float
    width: float
    step: float
    sides: tuple[int, int]

    @property
    def depth(self) -> float:
        return self.step * max(0, self.planes - 1)

    @property
    def span(self) -> float:
        return self.width + self.depth

    @property
    def top(self) -> float:
        return (self.height + self.depth) / 2


def network(network: LeNet5 | Architecture | str, ax: Axes | None = None) -> Axes:
    """Draw an architecture: the maps of each layer with their sizes, and what joins them.

    As Fig. 2 of LeCun et al. 1998. Sides grow less than in proportion, and of many maps twelve are
    drawn; the labels have the true sizes.

    Parameters
    ----------
    network : LeNet5, Architecture, or str
        A name stands for the network that has it, as in ``LeNet5("lenet5-modern")``.
    ax : matplotlib Axes, optional
        A new figure's by default, as large as the drawing is.

    Returns
    -------
    matplotlib Axes
        In inches. `save` writes it as PNG or SVG.

    Raises
    ------
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> plot.save(plot.network("lenet5-1998"), "lenet5.svg")              # doctest: +SKIP
    """
    if isinstance(network, LeNet5):
        network = network.architecture
    elif isinstance(network, str):
        network = NETWORKS[checks.one_of("network", network, NETWORKS)]
    checks.instance("network", network, Architecture, "a LeNet5, an Architecture, or a name")
    blocks = _blocks(network)
    inputs = network.input_shapes
    notes = [_notes(layer, inputs[layer.name]) for layer in network.layers]
    lefts = _placed(blocks, notes)
    first = max(0.0, _wide(blocks[0].label) - blocks[0].span) / 2
    last = max(0.0, _wide(blocks[-1].label) - blocks[-1].span) / 2
    right = lefts[-1] + blocks[-1].span + last
    high = max(block.top for block in blocks)
    top, bottom = high + 0.75, -high - 0.2 - 0.15 * max(map(len, notes))
    ax = axes_of(ax, right + first + 0.3, top - bottom)
    placed = list(zip(blocks, lefts, strict=True))
    for (one, other), layer in zip(itertools.pairwise(placed), network.layers, strict=True):
        _draw_links(ax, *one, *other, layer)
    for block, left in placed:
        _draw_block(ax, block, left)
    for k, note in enumerate(notes):
        middle = _middle(lefts[k] + blocks[k].span, lefts[k + 1])
        for i, line in enumerate(note):
            _write(ax, middle, -high - 0.12 - 0.15 * i, line, _NOTE, "top", _INK if i else _EDGE)
    title = (
        f"{network.name}: {network.n_parameters:,} parameters, "
        f"{network.n_connections:,} connections"
    )
    ax.text(-first, top - 0.05, title, size=_LABEL, va="top", color=_INK, parse_math=False)
    ax.set_xlim(-first - 0.15, right + 0.15)
    ax.set_ylim(bottom, top)
    ax.set_aspect("equal")
    ax.axis("off")
    return ax


# ---- what is drawn, and where ----


def _blocks(architecture: Architecture) -> list[_Block]:
    channels, height, width = architecture.image_shape
    shapes = list(architecture.output_shapes.items())
    units = [shape[0] for _, shape in shapes if _is_flat(shape)]
    largest, most = max(height, width), max(units, default=1)
    sides = f"{height}x{width}"
    blocks = [
        _planes(
            ("input", sides if channels == 1 else f"{channels}@{sides}"),
            (channels, height, width),
            largest,
        )
    ]
    for name, shape in shapes:
        short = name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
        if _is_flat(shape):
            length = max(0.22, _LONGEST_BAR * math.sqrt(shape[0] / max(most, 84)))
            blocks.append(_Block((short, f"{shape[0]:,}"), 0, length, _BAR, 0.0, (1, 1)))
        else:
            label = (f"{short}: maps", f"{shape[0]}@{shape[1]}x{shape[2]}")
            blocks.append(_planes(label, shape, largest))
    return blocks


def _is_flat(shape: Shape) -> bool:
    return shape[1:] == (1, 1)


def _planes(label: tuple[str, str], shape: Shape, largest: int) -> _Block:
    maps, *sides = shape
    height, width = (max(_SMALLEST, _LARGEST * (side / largest) ** 0.75) for side in sides)
    planes = min(maps, _MOST_PLANES)
    step = min(_STEP, _DEEPEST / max(1, planes - 1))
    return _Block(label, planes, height, width, step, (sides[0], sides[1]))


def _notes(layer: Layer, input_shape: Shape) -> list[str]:
    """Say what makes a layer of the one before: the operation, its size, its activation."""
    lines = [_OPERATIONS.get(layer.kind, layer.kind.replace("_", " "))]
    if isinstance(layer, Conv):
        if _is_flat(layer.output_shape(input_shape)) and layer.table is None:
            lines = [_OPERATIONS["dense"]]
        details = [f"{layer.kernel}x{layer.kernel}"]
        details += [f"padding {layer.padding}"] if layer.padding else []
        lines.append(", ".join(details))
    elif not layer.flat:
        lines.append("2x2")
    if getattr(layer, "table", None) is not None:
        lines.append("by a table")
    activation = getattr(layer, "activation", "identity")
    if activation != "identity":
        lines.append(activation.replace("_", " "))
    return lines


def _wide(lines: Sequence[str]) -> float:
    return _CHARACTER * max(map(len, lines))


def _middle(left: float, right: float) -> float:
    return (left + right) / 2


def _placed(blocks: Sequence[_Block], notes: Sequence[Sequence[str]]) -> list[float]:
    """Give left edges such that neither blocks nor labels nor notes touch their neighbours."""
    lefts = [0.0]
    before = -math.inf  # where the note before ends
    for k, (block, other) in enumerate(itertools.pairwise(blocks)):
        end = lefts[k] + block.span
        left = end + _GAP
        centre = lefts[k] + block.span / 2
        apart = (_wide(block.label) + _wide(other.label)) / 2 + 0.12
        left = max(left, centre + apart - other.span / 2)
        half = _wide(notes[k]) / 2
        left = max(left, 2 * (before + 0.1 + half) - end)  # its note is midway
        lefts.append(left)
        before = _middle(end, left) + half
    return lefts


# ---- drawing ----


def _write(ax: Axes, x: float, y: float, text: str, size: float, va: str, colour: str) -> None:
    clear = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}  # of lines below it
    style = {"size": size, "ha": "center", "va": va, "color": colour, "bbox": clear}
    ax.text(x, y, text, style, zorder=4, parse_math=False)


def _draw_block(ax: Axes, block: _Block, left: float) -> None:
    from matplotlib.patches import Rectangle

    for k in range(max(1, block.planes)):
        x, y = left + k * block.step, block.top - block.height - k * block.step
        ax.add_patch(
            Rectangle((x, y), block.width, block.height, fc=_FACE, ec=_EDGE, lw=0.8, zorder=2)
        )
    for i, line in enumerate(block.label):
        y = block.top + 0.08 + 0.16 * (1 - i)
        _write(ax, left + block.span / 2, y, line, _LABEL, "bottom", _EDGE)


def _front(block: _Block, left: float) -> tuple[float, float]:
    """Give the lower left corner of the plane in front."""
    return left + block.depth, -block.top


def _draw_links(
    ax: Axes, block: _Block, left: float, other: _Block, beyond: float, layer: Layer
) -> None:
    """Draw the lines from a layer's output to the next one's."""
    x, y = _front(block, left)
    if other.planes == 0:  # all to all
        end = left + block.span
        ends = ((-block.top + block.height, other.top), (-block.top, -other.top))
        for start, stop in ends:
            ax.plot((end, beyond), (start, stop), color=_INK, lw=0.7, zorder=1)
        return
    from matplotlib.patches import Rectangle

    side = getattr(layer, "kernel", 2)
    high, wide = (
        min(1.0, side / n) * size
        for n, size in zip(block.sides, (block.height, block.width), strict=True)
    )
    x, y = x + 0.62 * (block.width - wide), y + 0.55 * (block.height - high)
    ax.add_patch(Rectangle((x, y), wide, high, fc="none", ec=_INK, lw=0.7, zorder=3))
    to_x, to_y = _front(other, beyond)
    to_x, to_y = to_x + 0.3 * other.width, to_y + 0.55 * other.height
    for corner in (y, y + high):
        ax.plot((x + wide, to_x), (corner, to_y), color=_INK, lw=0.7, zorder=3)
