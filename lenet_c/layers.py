"""Kinds of layers: what each is called, takes and gives, and the shapes of its parameters.

Nothing here computes; the C core runs them.
"""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from lenet_c import _core, checks
from lenet_c.tables import MAX_MAPS, Table, check_table, table_matrix

ACTIVATIONS = tuple(_core.ACTIVATIONS)

# Low enough that no product of sizes overflows in C.
MAX_SIDE = _core.MAX_SIDE
MAX_INPUTS = _core.MAX_INPUTS  # of a dense layer
MAX_VALUES = 2**28  # of all maps of a layer
MAX_NAME = 64

Shape = tuple[int, int, int]


class LayerRow(NamedTuple):
    """One layer's line in a summary.

    Attributes
    ----------
    name, kind : str
        The layer's name, and "conv", "subsample", "average_pool", "max_pool", "dense" or
        "rbf".
    output_shape : tuple of int
        (maps, height, width); (units, 1, 1) for dense and RBF layers.
    n_parameters : int
        Trainable parameters.
    n_connections : int
        Connections, biases included, as LeCun et al. 1998, section II.B counts them.
    """

    name: str
    kind: str
    output_shape: Shape
    n_parameters: int
    n_connections: int


@dataclass(frozen=True)
class Layer(ABC):
    """What every kind of layer has: a name, and shapes that follow from its input's shape.

    Parameters
    ----------
    name : str
        Unique in its network; prefixes the names of the layer's parameters.
    """

    kind: ClassVar[str] = ""
    flat: ClassVar[bool] = False  # whether its outputs are units, without height and width

    name: str

    @abstractmethod
    def check(self, input_shape: Shape) -> None:
        """Raise ValueError or TypeError unless the layer fits an input of this shape."""

    @abstractmethod
    def output_shape(self, input_shape: Shape) -> Shape:
        """Give the output's (maps, height, width) for an input of this shape."""

    def parameter_shapes(self, input_shape: Shape) -> dict[str, tuple[int, ...]]:
        """Shapes of the trainable parameters, without the layer's name, in vector order."""
        return {}

    def fan_in(self, input_shape: Shape) -> dict[str, tuple[int, ...]]:
        """For each parameter, the inputs of the unit that each entry along axis 0 feeds."""
        return {}

    @abstractmethod
    def n_connections(self, input_shape: Shape) -> int:
        """Count the connections, biases included."""

    def spec(self, input_shape: Shape) -> _core.Layer:
        """Give what the core makes the layer from; what a kind lacks is its neutral value."""
        table: Table | None = getattr(self, "table", None)
        return (
            self.kind,
            getattr(self, "activation", "identity"),
            self.output_shape(input_shape)[0],
            getattr(self, "kernel", 0),
            None if table is None else table_matrix(table, input_shape[0]),
            getattr(self, "trained", False),
            getattr(self, "padding", 0),
        )


@dataclass(frozen=True)
class Conv(Layer):
    """Convolution with stride 1 and a bias per map (LeCun et al. 1998, section II.A).

    It is valid unless it has padding. A network with padding cannot be swept over pictures wider
    than its input: inside a picture there are neighbours where its layers had zeros
    (`Architecture.sweepable`).

    Parameters
    ----------
    name : str
    maps : int
        Output maps.
    kernel : int
        Side of the square kernel.
    table : tuple of tuple of int, optional
        For each output map, the input maps it reads, ascending (Table I). None: all of them.
    activation : str
        One of `ACTIVATIONS`.
    padding : int
        Rows and columns of zeros on each side of every input map, 0 to kernel - 1; with
        kernel // 2 an odd kernel keeps the size. The zeros are around the layer's input as it
        comes: for images that is after grey levels have become numbers, where 0 need not be the
        background.
    """

    kind: ClassVar[str] = "conv"

    maps: int
    kernel: int
    table: Table | None = None
    activation: str = "scaled_tanh"
    padding: int = 0

    def check(self, input_shape: Shape) -> None:
        """Raise ValueError or TypeError unless the layer fits an input of this shape."""
        checks.whole(f"layer {self.name!r}: maps", self.maps, 1, MAX_MAPS)
        self._check_sizes(input_shape)
        checks.one_of(f"layer {self.name!r}: activation", self.activation, ACTIVATIONS)
        if self.table is not None:
            check_table(f"layer {self.name!r}: table", self.table, self.maps, input_shape[0])

    def _check_sizes(self, input_shape: Shape) -> None:
        what = f"layer {self.name!r}: padding"
        checks.whole(what, self.padding, 0, MAX_SIDE)
        padded = self._padded(input_shape)
        checks.whole(f"layer {self.name!r}: kernel", self.kernel, 1, min(padded[1:]))
        checks.whole(what, self.padding, 0, self.kernel - 1)
        if max(padded[1:]) > MAX_SIDE or math.prod(padded) > MAX_VALUES:
            raise ValueError(
                f"{what}: got {self.padding}, which makes the input {padded}, want sides of at "
                f"most {MAX_SIDE} and at most {MAX_VALUES:,} values"
            )

    def _padded(self, input_shape: Shape) -> Shape:
        maps, height, width = input_shape
        return maps, height + 2 * self.padding, width + 2 * self.padding

    def output_shape(self, input_shape: Shape) -> Shape:
        """Give the output's (maps, height, width) for an input of this shape."""
        _, height, width = self._padded(input_shape)
        return self.maps, height - self.kernel + 1, width - self.kernel + 1

    def parameter_shapes(self, input_shape: Shape) -> dict[str, tuple[int, ...]]:
        """`weight` (connected pairs, k, k) with a table, else (maps, in, k, k); `bias` (maps,)."""
        k = self.kernel
        if self.table is None:
            weight: tuple[int, ...] = (self.maps, input_shape[0], k, k)
        else:
            weight = (sum(len(inputs) for inputs in self.table), k, k)
        return {"weight": weight, "bias": (self.maps,)}

    def fan_in(self, input_shape: Shape) -> dict[str, tuple[int, ...]]:
        """For each parameter, the inputs of the unit that each entry along axis 0 feeds."""
        area = self.kernel**2
        if self.table is None:
            per_map = (input_shape[0] * area,) * self.maps
            return {"weight": per_map, "bias": per_map}
        return {
            "weight": tuple(len(inputs) * area for inputs in self.table for _ in inputs),
            "bias": tuple(len(inputs) * area for inputs in self.table),
        }

    def n_connections(self, input_shape: Shape) -> int:
        """Count the connections, biases included; also those to zeros of the padding.

        So LeCun et al. 1989 count those to their background: 19,968 for 12 maps of 8x8 units.
        """
        _, height, width = self.output_shape(input_shape)
        return n_values(self.parameter_shapes(input_shape)) * height * width


@dataclass(frozen=True)
class Subsample(Layer):
    """Sum of a 2x2 block, times a coefficient, plus a bias (LeCun et al. 1998, section II.B, S2).

    Coefficient and bias are trained, one of each per map. An odd last row or column is ignored.

    Parameters
    ----------
    name : str
    activation : str
        One of `ACTIVATIONS`.
    table : tuple of tuple of int, optional
        For each output map, the one input map that it reads: ((0,), (0,), (1,), (1,)) makes two of
        each, as LeNet-4 has them (section III.C.8). None: as many maps as the input has.
    """

    kind: ClassVar[str] = "subsample"

    activation: str = "scaled_tanh"
    table: Table | None = None

    def check(self, input_shape: Shape) -> None:
        """Raise ValueError or TypeError unless the layer fits an input of this shape."""
        checks.one_of(f"layer {self.name!r}: activation", self.activation, ACTIVATIONS)
        _check_block(self.name, input_shape)
        if self.table is None:
            return
        what = f"layer {self.name!r}: table"
        maps = len(checks.instance(what, self.table, tuple, "a tuple of tuples of int"))
        checks.whole(f"{what}: entries", maps, 1, MAX_MAPS)
        check_table(what, self.table, maps, input_shape[0])
        for position, inputs in enumerate(self.table):
            if len(inputs) > 1:
                raise ValueError(f"{what}[{position}]: got {len(inputs)} input maps, want one")

    def sources(self, input_shape: Shape) -> list[int]:
        """Give the input map that each output map reads."""
        if self.table is None:
            return list(range(input_shape[0]))
        return [int(source) for (source,) in self.table]

    def output_shape(self, input_shape: Shape) -> Shape:
        """Give the output's (maps, height, width) for an input of this shape."""
        maps, height, width = _halve(input_shape)
        return maps if self.table is None else len(self.table), height, width

    def parameter_shapes(self, input_shape: Shape) -> dict[str, tuple[int, ...]]:
        """`coefficient` (maps,) and `bias` (maps,)."""
        maps = self.output_shape(input_shape)[0]
        return {"coefficient": (maps,), "bias": (maps,)}

    def fan_in(self, input_shape: Shape) -> dict[str, tuple[int, ...]]:
        """For each parameter, the inputs of the unit that each entry along axis 0 feeds."""
        per_map = (4,) * self.output_shape(input_shape)[0]
        return {"coefficient": per_map, "bias": per_map}

    def n_connections(self, input_shape: Shape) -> int:
        """Count the connections, biases included."""
        return 5 * math.prod(self.output_shape(input_shape))


class _Pool(Layer):
    """What layers have that make one value of each 2x2 block by a rule, without parameters."""

    def check(self, input_shape: Shape) -> None:
        """Raise ValueError unless the layer fits an input of this shape."""
        _check_block(self.name, input_shape)

    def output_shape(self, input_shape: Shape) -> Shape:
        """Give the output's (maps, height, width) for an input of this shape."""
        return _halve(input_shape)

    def n_connections(self, input_shape: Shape) -> int:
        """Count the connections: four a unit, as there is no bias."""
        return 4 * math.prod(self.output_shape(input_shape))


@dataclass(frozen=True)
class AveragePool(_Pool):
    """Plain mean of each 2x2 block: no parameters, no activation.

    An odd last row or column is ignored.

    Parameters
    ----------
    name : str
    """

    kind: ClassVar[str] = "average_pool"


@dataclass(frozen=True)
class MaxPool(_Pool):
    """Largest value of each 2x2 block: no parameters, no activation.

    A block's gradient goes to its largest value, and if several are equal to the first of them in
    reading order. An odd last row or column is ignored.

    Parameters
    ----------
    name : str
    """

    kind: ClassVar[str] = "max_pool"


@dataclass(frozen=True)
class Dense(Layer):
    """Every input, flattened in the order (map, y, x), to every unit, plus a bias per unit.

    F6 of LeCun et al. 1998, section II.B.

    Parameters
    ----------
    name : str
    units : int
    activation : str
        One of `ACTIVATIONS`.
    """

    kind: ClassVar[str] = "dense"
    flat: ClassVar[bool] = True

    units: int
    activation: str = "scaled_tanh"

    def check(self, input_shape: Shape) -> None:
        """Raise ValueError or TypeError unless the layer fits an input of this shape."""
        checks.whole(f"layer {self.name!r}: units", self.units, 1, MAX_MAPS)
        checks.one_of(f"layer {self.name!r}: activation", self.activation, ACTIVATIONS)
        if math.prod(input_shape) > MAX_INPUTS:
            raise ValueError(
                f"layer {self.name!r}: got input {input_shape}, want at most {MAX_INPUTS} values"
            )

    def output_shape(self, input_shape: Shape) -> Shape:
        """Give the output's shape, (units, 1, 1)."""
        return self.units, 1, 1

    def parameter_shapes(self, input_shape: Shape) -> dict[str, tuple[int, ...]]:
        """`weight` (units, inputs) and `bias` (units,)."""
        return {"weight": (self.units, math.prod(input_shape)), "bias": (self.units,)}

    def fan_in(self, input_shape: Shape) -> dict[str, tuple[int, ...]]:
        """For each parameter, the inputs of the unit that each entry along axis 0 feeds."""
        per_unit = (math.prod(input_shape),) * self.units
        return {"weight": per_unit, "bias": per_unit}

    def n_connections(self, input_shape: Shape) -> int:
        """Count the connections, biases included."""
        return n_values(self.parameter_shapes(input_shape))


@dataclass(frozen=True)
class RBF(Layer):
    r"""Euclidean radial basis units, y_i = sum_j (x_j - w_ij)^2 (LeCun et al. 1998, eq. 7).

    An output is a penalty: the smallest wins. Always the last layer, on a flat input.

    Parameters
    ----------
    name : str
    classes : int
    trained : bool
        Whether the w_ij are parameters. If not they are the classes' fixed codes.

    Notes
    -----
    .. math:: y_i = \sum_j (x_j - w_{ij})^2
    """

    kind: ClassVar[str] = "rbf"
    flat: ClassVar[bool] = True

    classes: int = 10
    trained: bool = False

    def check(self, input_shape: Shape) -> None:
        """Raise ValueError or TypeError unless the layer fits an input of this shape."""
        checks.whole(f"layer {self.name!r}: classes", self.classes, 1, MAX_MAPS)
        checks.truth(f"layer {self.name!r}: trained", self.trained)
        if input_shape[1:] != (1, 1):
            raise ValueError(f"layer {self.name!r}: got input {input_shape}, want flat, (n, 1, 1)")

    def output_shape(self, input_shape: Shape) -> Shape:
        """Give the output's shape, (classes, 1, 1)."""
        return self.classes, 1, 1

    def parameter_shapes(self, input_shape: Shape) -> dict[str, tuple[int, ...]]:
        """`weight` (classes, inputs) if trained."""
        return {"weight": (self.classes, input_shape[0])} if self.trained else {}

    def fan_in(self, input_shape: Shape) -> dict[str, tuple[int, ...]]:
        """For each parameter, the inputs of the unit that each entry along axis 0 feeds."""
        return {"weight": (input_shape[0],) * self.classes} if self.trained else {}

    def n_connections(self, input_shape: Shape) -> int:
        """Count the connections; there is no bias."""
        return self.classes * input_shape[0]


KINDS: dict[str, type[Layer]] = {
    cls.kind: cls for cls in (Conv, Subsample, AveragePool, MaxPool, Dense, RBF)
}
"""Every kind of layer, by its name."""


def n_values(shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Count the values of arrays of these shapes."""
    return sum(math.prod(shape) for shape in shapes.values())


def _halve(shape: Shape) -> Shape:
    maps, height, width = shape
    return maps, height // 2, width // 2


def check_name(what: str, name: object) -> None:
    """Raise TypeError or ValueError unless the name is a short printable text."""
    text = checks.instance(what, name, str, "a str")
    if not 1 <= len(text) <= MAX_NAME or not text.isprintable():
        raise ValueError(
            f"{what}: got {checks.short(name)}, want 1 to {MAX_NAME} printable characters"
        )


def _check_block(layer: str, input_shape: Shape) -> None:
    if min(input_shape[1:]) < 2:
        raise ValueError(f"layer {layer!r}: got input {input_shape}, want maps of at least 2x2")


def check_keys(what: str, data: object, cls: type) -> None:
    """Raise ValueError unless the data are a dict with the fields of a dataclass."""
    if not isinstance(data, Mapping):
        raise ValueError(f"{what}: got a {type(data).__name__}, want a dict")
    known = {field.name: field for field in dataclasses.fields(cls)}
    for key in data:
        if key not in known:
            raise ValueError(f"{what}: got a key {checks.short(key)}, want only {', '.join(known)}")
    for name, field in known.items():
        if field.default is dataclasses.MISSING and name not in data:
            raise ValueError(f"{what}: got no key {name!r}, want one")


def layer_to_dict(layer: Layer) -> dict[str, Any]:
    """Give a layer in types that JSON has."""
    entry: dict[str, Any] = {"kind": layer.kind}
    for field in dataclasses.fields(layer):
        value = getattr(layer, field.name)
        entry[field.name] = int(value) if isinstance(value, np.integer) else value
    if entry.get("table") is not None:
        entry["table"] = [[int(i) for i in inputs] for inputs in entry["table"]]
    # as in files from before there was any of it
    if entry.get("padding") == 0:
        del entry["padding"]
    if isinstance(layer, Subsample) and layer.table is None:
        del entry["table"]
    return entry


def layer_from_dict(position: int, data: object) -> Layer:
    """Build a layer from `layer_to_dict`'s result, trusting nothing in it."""
    what = f"layers[{position}]"
    if not isinstance(data, Mapping):
        raise ValueError(f"{what}: got a {type(data).__name__}, want a dict")
    values = dict(data)
    kind = values.pop("kind", None)
    cls = KINDS[checks.one_of(f"{what}.kind", kind, KINDS)]
    check_keys(what, values, cls)
    table = values.get("table")
    if isinstance(table, list):
        values["table"] = tuple(tuple(row) if isinstance(row, list) else row for row in table)
    return cls(**values)
