"""What the C file does one after another, and where each step's outputs lie."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lenet_c.architecture import Architecture
from lenet_c.layers import RBF, Conv, Dense, Layer, Shape, Subsample

MAX_TILE = 8  # sums of a convolution that are in registers together
FEW_TILE = 4  # of a swept one, which has few new columns a position, and of whole numbers


@dataclass(frozen=True)
class Step:
    """Some layers that run together.

    Attributes
    ----------
    kind : str
        "conv", "pool", "dense", "rbf", or "pad": zeros around what the convolution behind it sees.
    layer : Layer
    pool : Layer or None
        The 2x2 layer above a convolution, which takes its rows as they are made.
    input, output : (int, int, int)
        Maps, height and width.
    columns : int
        Those of the output that are new at each further position of a sweep.
    """

    kind: str
    layer: Layer
    pool: Layer | None
    input: Shape
    output: Shape
    columns: int

    @property
    def size(self) -> int:
        """Values of the output."""
        return math.prod(self.output)

    @property
    def new(self) -> int:
        """The first column of the output that is new at a further position."""
        return max(0, self.output[2] - self.columns)

    @property
    def conv_width(self) -> int:
        """How wide a convolution's own output is."""
        assert isinstance(self.layer, Conv)
        return self.input[2] - self.layer.kernel + 1

    @property
    def layers(self) -> list[Layer]:
        """One layer or two."""
        return [self.layer] if self.pool is None else [self.layer, self.pool]


def step_of(architecture: Architecture) -> int:
    """Columns from one position of a sweep to the next."""
    pools = [each for each in architecture.layers if not each.flat and not isinstance(each, Conv)]
    return int(2 ** len(pools))


def steps_of(architecture: Architecture) -> list[Step]:
    """List the steps.

    Parameters
    ----------
    architecture : Architecture

    Returns
    -------
    list of Step
    """
    steps: list[Step] = []
    shape, columns = architecture.image_shape, step_of(architecture)
    layers = list(architecture.layers)
    while layers:
        layer = layers.pop(0)
        kind, pool = layer.kind, None
        output = layer.output_shape(shape)
        if isinstance(layer, Conv):
            if layer.padding:
                maps, height, width = shape
                padded = maps, height + 2 * layer.padding, width + 2 * layer.padding
                steps.append(Step("pad", layer, None, shape, padded, columns))
                shape = padded
            if output[1:] == (1, 1) and layer.table is None:
                kind = "dense"  # each unit sees all that there is
            elif layers and _takes_rows(layers[0]):
                pool = layers.pop(0)
                output = pool.output_shape(output)
                columns //= 2
        elif not isinstance(layer, (Dense, RBF)):
            kind = "pool"
            columns //= 2
        steps.append(Step(kind, layer, pool, shape, output, columns))
        shape = output
    return steps


def _takes_rows(layer: Layer) -> bool:
    """Tell whether it is a 2x2 layer of as many maps as it reads."""
    has_table = isinstance(layer, Subsample) and layer.table is not None
    return not layer.flat and not isinstance(layer, Conv) and not has_table


def tile_of(steps: list[Step], few: bool) -> int:
    """Give how many neighbouring sums are taken together, no more than the narrowest rows have."""
    narrowest = [
        step.output[2] * (1 if step.pool is None else 2) for step in steps if step.kind == "conv"
    ]
    return min([FEW_TILE if few else MAX_TILE, *narrowest])


@dataclass(frozen=True)
class Memory:
    """Where things begin, in values of the kind that the maps have.

    Attributes
    ----------
    places : list of int
        Of the images, then of each step's outputs but the last one's.
    rows : int
        Of two rows of a convolution.
    total : int
    """

    places: list[int]
    rows: int
    total: int


def memory_of(architecture: Architecture, steps: list[Step]) -> Memory:
    """Lay the scratch out.

    A step reads one of two places and writes to the other. What is swept keeps all maps, of which
    the next position has most.
    """
    sizes = [math.prod(architecture.image_shape), *(step.size for step in steps[:-1])]
    if architecture.blank:
        places = [sum(sizes[:i]) for i in range(len(sizes))]
        end = sum(sizes)
    else:
        even, odd = max(sizes[::2]), max(sizes[1::2], default=0)
        places = [even if i % 2 else 0 for i in range(len(sizes))]
        end = even + odd
    rows = max(
        (2 * step.conv_width for step in steps if step.kind == "conv" and step.pool), default=0
    )
    return Memory(places, end, end + rows)
