"""Networks as data: a list of layers from which every shape and count follows.

Nothing here computes; the C core runs what an `Architecture` describes.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lenet_c.checks import short

ACTIVATIONS = ("scaled_tanh", "tanh", "relu", "identity")

# Far above any LeNet, and low enough that no product of sizes overflows in C.
MAX_MAPS = 4096
MAX_SIDE = 1024
MAX_VALUES = 2**28
MAX_INPUTS = 2**24  # of a dense layer
MAX_LAYERS = 64
MAX_NAME = 64
MAX_GREY = 1e6

Table = tuple[tuple[int, ...], ...]
Shape = tuple[int, int, int]


class LayerRow(NamedTuple):
    """One layer's line in a summary.

    Attributes
    ----------
    name, kind : str
        The layer's name, and "conv", "subsample", "average_pool", "dense" or "rbf".
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


@dataclass(frozen=True)
class Conv(Layer):
    """Valid convolution with stride 1 and a bias per map (LeCun et al. 1998, section II.A).

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
    """

    kind: ClassVar[str] = "conv"

    maps: int
    kernel: int
    table: Table | None = None
    activation: str = "scaled_tanh"

    def check(self, input_shape: Shape) -> None:
        """Raise ValueError or TypeError unless the layer fits an input of this shape."""
        _check_size(f"layer {self.name!r}: maps", self.maps, MAX_MAPS)
        _check_size(f"layer {self.name!r}: kernel", self.kernel, min(input_shape[1:]))
        _check_activation(f"layer {self.name!r}: activation", self.activation)
        if self.table is not None:
            check_table(f"layer {self.name!r}: table", self.table, self.maps, input_shape[0])

    def output_shape(self, input_shape: Shape) -> Shape:
        """Give the output's (maps, height, width) for an input of this shape."""
        _, height, width = input_shape
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
        """Count the connections, biases included."""
        _, height, width = self.output_shape(input_shape)
        return _count(self.parameter_shapes(input_shape)) * height * width


@dataclass(frozen=True)
class Subsample(Layer):
    """Sum of a 2x2 block, times a coefficient, plus a bias (LeCun et al. 1998, section II.B, S2).

    Coefficient and bias are trained, one of each per map. An odd last row or column is ignored.

    Parameters
    ----------
    name : str
    activation : str
        One of `ACTIVATIONS`.
    """

    kind: ClassVar[str] = "subsample"

    activation: str = "scaled_tanh"

    def check(self, input_shape: Shape) -> None:
        """Raise ValueError or TypeError unless the layer fits an input of this shape."""
        _check_activation(f"layer {self.name!r}: activation", self.activation)
        _check_block(self.name, input_shape)

    def output_shape(self, input_shape: Shape) -> Shape:
        """Give the output's (maps, height, width) for an input of this shape."""
        return _halve(input_shape)

    def parameter_shapes(self, input_shape: Shape) -> dict[str, tuple[int, ...]]:
        """`coefficient` (maps,) and `bias` (maps,)."""
        return {"coefficient": (input_shape[0],), "bias": (input_shape[0],)}

    def fan_in(self, input_shape: Shape) -> dict[str, tuple[int, ...]]:
        """For each parameter, the inputs of the unit that each entry along axis 0 feeds."""
        per_map = (4,) * input_shape[0]
        return {"coefficient": per_map, "bias": per_map}

    def n_connections(self, input_shape: Shape) -> int:
        """Count the connections, biases included."""
        return 5 * math.prod(self.output_shape(input_shape))


@dataclass(frozen=True)
class AveragePool(Layer):
    """Plain mean of each 2x2 block: no parameters, no activation.

    An odd last row or column is ignored.

    Parameters
    ----------
    name : str
    """

    kind: ClassVar[str] = "average_pool"

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

    units: int
    activation: str = "scaled_tanh"

    def check(self, input_shape: Shape) -> None:
        """Raise ValueError or TypeError unless the layer fits an input of this shape."""
        _check_size(f"layer {self.name!r}: units", self.units, MAX_MAPS)
        _check_activation(f"layer {self.name!r}: activation", self.activation)
        if math.prod(input_shape) > MAX_INPUTS:
            raise ValueError(
                f"layer {self.name!r}: input is {input_shape}, want at most {MAX_INPUTS} values"
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
        return _count(self.parameter_shapes(input_shape))


@dataclass(frozen=True)
class RBF(Layer):
    """Euclidean radial basis units, y_i = sum_j (x_j - w_ij)^2 (LeCun et al. 1998, eq. 7).

    An output is a penalty: the smallest wins. Always the last layer, on a flat input.

    Parameters
    ----------
    name : str
    classes : int
    trained : bool
        Whether the w_ij are parameters. If not they are the classes' fixed codes.
    """

    kind: ClassVar[str] = "rbf"

    classes: int = 10
    trained: bool = False

    def check(self, input_shape: Shape) -> None:
        """Raise ValueError or TypeError unless the layer fits an input of this shape."""
        _check_size(f"layer {self.name!r}: classes", self.classes, MAX_MAPS)
        if not isinstance(self.trained, bool):
            raise TypeError(
                f"layer {self.name!r}: trained is {short(self.trained)}, want True or False"
            )
        if input_shape[1:] != (1, 1):
            raise ValueError(f"layer {self.name!r}: input is {input_shape}, want flat, (n, 1, 1)")

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


_KINDS: dict[str, type[Layer]] = {
    cls.kind: cls for cls in (Conv, Subsample, AveragePool, Dense, RBF)
}


@dataclass(frozen=True)
class Architecture:
    """A network: its layers in order, and the grey levels of its input.

    Parameters
    ----------
    name : str
    layers : tuple of Layer
        The last is an `RBF`, or a `Dense` with the identity for activation, whose outputs are
        logits.
    input_shape : (int, int)
        Height and width of an input image.
    background, foreground : float
        What a pixel without and with full ink becomes (LeCun et al. 1998, section II.B).

    Raises
    ------
    TypeError, ValueError
        When something is of the wrong type, out of range, or does not fit what comes before it.
    """

    name: str
    layers: tuple[Layer, ...]
    input_shape: tuple[int, int] = (32, 32)
    background: float = -0.1
    foreground: float = 1.175

    def __post_init__(self) -> None:
        """Check everything once, so that all that is derived can rely on it."""
        _check_name("architecture name", self.name)
        self._check_input()
        self._check_layers()
        shape: Shape = (1, *self.input_shape)
        n_parameters = 0
        for layer in self.layers:
            layer.check(shape)
            n_parameters += _count(layer.parameter_shapes(shape))
            shape = layer.output_shape(shape)
            if math.prod(shape) > MAX_VALUES:
                raise ValueError(
                    f"layer {layer.name!r}: output is {shape}, want at most {MAX_VALUES} values"
                )
        if n_parameters > MAX_VALUES:
            raise ValueError(f"n_parameters is {n_parameters}, want at most {MAX_VALUES}")

    def _check_input(self) -> None:
        shape = self.input_shape
        if not isinstance(shape, tuple) or len(shape) != 2:
            raise TypeError(f"input_shape is {short(shape)}, want a tuple (height, width)")
        for side in shape:
            _check_size("input_shape: side", side, MAX_SIDE)
        for which, grey in (("background", self.background), ("foreground", self.foreground)):
            numbers = (int, float, np.integer, np.floating)
            if isinstance(grey, bool) or not isinstance(grey, numbers):
                raise TypeError(f"{which} is {short(grey)}, want a number")
            # NaN fails every comparison.
            if not -MAX_GREY <= grey <= MAX_GREY:
                raise ValueError(
                    f"{which} is {short(grey)}, want a finite number within +-{MAX_GREY:g}"
                )
        if np.float32(self.background) == np.float32(self.foreground):
            raise ValueError(
                f"background and foreground are both {self.background} in float32, want two"
            )

    def _check_layers(self) -> None:
        layers = self.layers
        if not isinstance(layers, tuple):
            raise TypeError(f"layers is a {type(layers).__name__}, want a tuple of layers")
        if not 1 <= len(layers) <= MAX_LAYERS:
            raise ValueError(f"layers has {len(layers)} layers, want 1 to {MAX_LAYERS}")
        names: set[str] = set()
        for position, layer in enumerate(layers):
            if type(layer) not in _KINDS.values():
                raise TypeError(
                    f"layers[{position}] is a {type(layer).__name__}, "
                    "want a Conv, Subsample, AveragePool, Dense or RBF"
                )
            _check_name(f"layers[{position}]: name", layer.name)
            if "." in layer.name:
                raise ValueError(f"layers[{position}]: name is {layer.name!r}, want no '.' in it")
            if layer.name in names:
                raise ValueError(f"layers[{position}]: name {layer.name!r} is taken, want another")
            names.add(layer.name)
        for layer, above in itertools.pairwise(layers):
            if isinstance(layer, RBF):
                raise ValueError(f"layer {layer.name!r}: RBF before the end, want it last")
            if isinstance(layer, Dense) and not isinstance(above, (Dense, RBF)):
                raise ValueError(
                    f"layer {above.name!r}: {above.kind} above the dense layer {layer.name!r}, "
                    "want Dense or RBF"
                )
        last = layers[-1]
        logits = isinstance(last, Dense) and last.activation == "identity"
        if not logits and not isinstance(last, RBF):
            raise ValueError(
                f"layer {last.name!r}: last layer is {last.kind}, activation "
                f"{short(getattr(last, 'activation', None))}, "
                "want RBF, or Dense with activation 'identity'"
            )

    @property
    def input_shapes(self) -> dict[str, Shape]:
        """Layer name -> (maps, height, width) of its input."""
        shapes: dict[str, Shape] = {}
        shape: Shape = (1, *self.input_shape)
        for layer in self.layers:
            shapes[layer.name] = shape
            shape = layer.output_shape(shape)
        return shapes

    @property
    def output_shapes(self) -> dict[str, Shape]:
        """Layer name -> (maps, height, width) of its output."""
        inputs = self.input_shapes
        return {layer.name: layer.output_shape(inputs[layer.name]) for layer in self.layers}

    @property
    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """Parameter name ("C1.weight") -> shape, in the order of the flat vector.

        The weights of a `Conv` with a table are listed by output map, then by input map.
        """
        inputs = self.input_shapes
        return {
            f"{layer.name}.{parameter}": shape
            for layer in self.layers
            for parameter, shape in layer.parameter_shapes(inputs[layer.name]).items()
        }

    @property
    def fan_in(self) -> dict[str, tuple[int, ...]]:
        """Parameter name -> F_i, the number of inputs of the unit fed, by entry along axis 0.

        Initial weights are uniform in [-2.4/F_i, 2.4/F_i] (LeCun et al. 1998, appendix A).
        """
        inputs = self.input_shapes
        return {
            f"{layer.name}.{parameter}": counts
            for layer in self.layers
            for parameter, counts in layer.fan_in(inputs[layer.name]).items()
        }

    @property
    def n_parameters(self) -> int:
        """Trainable parameters: 60,000 for LeNet-5 (LeCun et al. 1998, section II.B)."""
        return _count(self.parameter_shapes)

    @property
    def n_connections(self) -> int:
        """Connections: 340,908 for LeNet-5 (LeCun et al. 1998, section II.B)."""
        return sum(row.n_connections for row in self.rows())

    @property
    def classes(self) -> int:
        """Outputs of the last layer."""
        return self.output_shapes[self.layers[-1].name][0]

    @property
    def code_length(self) -> int | None:
        """Components of a class's code: the inputs of the RBF layer. None if there is none."""
        last = self.layers[-1]
        return self.input_shapes[last.name][0] if isinstance(last, RBF) else None

    def with_activation(self, activation: str) -> Architecture:
        """Give the same network with another activation in its layers, say "relu".

        The last layer keeps its own. So does the layer below an `RBF`, whose outputs have to come
        near codes of +1 and -1.

        Parameters
        ----------
        activation : str
            One of `ACTIVATIONS`.

        Returns
        -------
        Architecture
            Its name ends in the activation's: "lenet5-modern-relu".

        Raises
        ------
        ValueError
            If there is no such activation.
        """
        _check_activation("activation", activation)
        kept = 2 if self.code_length is not None else 1
        layers = [
            dataclasses.replace(layer, activation=activation)
            if isinstance(layer, (Conv, Subsample, Dense))
            else layer
            for layer in self.layers[:-kept]
        ]
        name = f"{self.name[: MAX_NAME - 1 - len(activation)]}-{activation}"
        return dataclasses.replace(self, name=name, layers=(*layers, *self.layers[-kept:]))

    def with_classes(self, classes: int, code_length: int | None = None) -> Architecture:
        """Give the same network for another number of classes.

        Parameters
        ----------
        classes : int
            Outputs of the last layer.
        code_length : int, optional
            Components of a class's code: the layer below the `RBF` gets as many units. By default
            what it has.

        Returns
        -------
        Architecture

        Raises
        ------
        TypeError, ValueError
            If a number is out of range, or a code length is given and there is no `RBF` or no
            layer below it whose units can be chosen.
        """
        _check_size("classes", classes, MAX_MAPS)
        if code_length is not None:
            _check_size("code_length", code_length, MAX_MAPS)
        *layers, last = self.layers
        if code_length not in (None, self.code_length):
            below = layers[-1] if layers and isinstance(last, RBF) else None
            if isinstance(below, Dense):
                layers[-1] = dataclasses.replace(below, units=code_length)
            elif isinstance(below, Conv):
                layers[-1] = dataclasses.replace(below, maps=code_length)
            else:
                raise ValueError(
                    f"code_length is {short(code_length)}, want None: {self.name} has no Dense or "
                    "Conv layer below an RBF"
                )
        if isinstance(last, RBF):
            last = dataclasses.replace(last, classes=classes)
        elif isinstance(last, Dense):
            last = dataclasses.replace(last, units=classes)
        return dataclasses.replace(self, layers=(*layers, last))

    def rows(self) -> list[LayerRow]:
        """One row a layer, with its counts, for a summary.

        Returns
        -------
        list of LayerRow
        """
        inputs = self.input_shapes
        return [
            LayerRow(
                layer.name,
                layer.kind,
                layer.output_shape(inputs[layer.name]),
                _count(layer.parameter_shapes(inputs[layer.name])),
                layer.n_connections(inputs[layer.name]),
            )
            for layer in self.layers
        ]

    def to_dict(self) -> dict[str, Any]:
        """Everything that `from_dict` needs, in types that JSON has.

        Returns
        -------
        dict
        """
        layers = []
        for layer in self.layers:
            entry: dict[str, Any] = {"kind": layer.kind}
            for field in dataclasses.fields(layer):
                entry[field.name] = getattr(layer, field.name)
            if entry.get("table") is not None:
                entry["table"] = [list(inputs) for inputs in entry["table"]]
            layers.append(entry)
        return {
            "name": self.name,
            "layers": layers,
            "input_shape": list(self.input_shape),
            "background": float(self.background),
            "foreground": float(self.foreground),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Architecture:
        """Build an architecture from `to_dict`'s result, trusting nothing in it.

        Parameters
        ----------
        data : dict
            May come from a file that someone else wrote.

        Returns
        -------
        Architecture

        Raises
        ------
        ValueError
            Whatever is wrong with `data`: a missing or unknown key, a wrong type, a layer that
            does not fit.
        """
        _check_keys("architecture", data, cls)
        values = dict(data)
        layers = values["layers"]
        if not isinstance(layers, (list, tuple)):
            raise ValueError(f"layers is a {type(layers).__name__}, want a list of layers")
        if len(layers) > MAX_LAYERS:
            raise ValueError(f"layers has {len(layers)} layers, want 1 to {MAX_LAYERS}")
        values["layers"] = tuple(_layer_from_dict(i, entry) for i, entry in enumerate(layers))
        if isinstance(values.get("input_shape"), list):
            values["input_shape"] = tuple(values["input_shape"])
        try:
            return cls(**values)
        except TypeError as error:
            raise ValueError(str(error)) from None


def table_art(table: Table) -> str:
    """Draw a connection table as Table I of LeCun et al. 1998 does, without its headers.

    Parameters
    ----------
    table : tuple of tuple of int
        For each output map, the input maps it reads.

    Returns
    -------
    str
        A line for each input map, a cell for each output map: "X" connected, "." not.

    Raises
    ------
    TypeError, ValueError
        If it is no such table.
    """
    check_table("table", table, len(table) if isinstance(table, tuple) else 0, MAX_MAPS)
    n_inputs = 1 + max((i for inputs in table for i in inputs), default=-1)
    return "\n".join(
        " ".join("X" if i in inputs else "." for inputs in table) for i in range(n_inputs)
    )


def table_from_art(text: str) -> Table:
    """Read a connection table from its drawing; the inverse of `table_art`.

    Parameters
    ----------
    text : str
        A line for each input map, a cell for each output map. Blank lines do not count.

    Returns
    -------
    tuple of tuple of int
        For each output map, the input maps it reads, ascending.

    Raises
    ------
    TypeError
        If `text` is no str.
    ValueError
        If a cell is neither "X" nor ".", or the lines are not all as long as the first.
    """
    if not isinstance(text, str):
        raise TypeError(f"text is a {type(text).__name__}, want a str")
    rows = [line.split() for line in text.splitlines() if line.strip()]
    if not rows:
        raise ValueError("text is empty, want a line for each input map")
    for number, row in enumerate(rows):
        if len(row) != len(rows[0]):
            raise ValueError(f"text: row {number} has {len(row)} cells, want {len(rows[0])}")
        for cell in row:
            if cell not in ("X", "."):
                raise ValueError(f"text: row {number} has a cell {cell!r}, want 'X' or '.'")
    return tuple(
        tuple(i for i, cell in enumerate(column) if cell == "X")
        for column in zip(*rows, strict=True)
    )


def table_matrix(table: Table, in_maps: int) -> NDArray[np.uint8]:
    """Make a 0/1 array (maps, in_maps) of a table.

    Parameters
    ----------
    table : tuple of tuple of int
        For each output map, the input maps it reads (Table I).
    in_maps : int

    Returns
    -------
    uint8 array (maps, in_maps)
    """
    matrix = np.zeros((len(table), in_maps), np.uint8)
    for row, sources in zip(matrix, table, strict=True):
        row[list(sources)] = 1
    return matrix


def _count(shapes: Mapping[str, tuple[int, ...]]) -> int:
    return sum(math.prod(shape) for shape in shapes.values())


def _halve(shape: Shape) -> Shape:
    maps, height, width = shape
    return maps, height // 2, width // 2


def _check_name(what: str, name: object) -> None:
    if not isinstance(name, str):
        raise TypeError(f"{what} is {short(name)}, want a str")
    if not 1 <= len(name) <= MAX_NAME or not name.isprintable():
        raise ValueError(f"{what} is {short(name)}, want 1 to {MAX_NAME} printable characters")


def _check_size(what: str, value: object, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{what} is {short(value)}, want an int")
    if not 1 <= value <= most:
        raise ValueError(f"{what} is {short(value)}, want 1 to {most}")


def _check_activation(what: str, activation: object) -> None:
    if not isinstance(activation, str) or activation not in ACTIVATIONS:
        raise ValueError(f"{what} is {short(activation)}, want one of {', '.join(ACTIVATIONS)}")


def _check_block(layer: str, input_shape: Shape) -> None:
    if min(input_shape[1:]) < 2:
        raise ValueError(f"layer {layer!r}: input is {input_shape}, want maps of at least 2x2")


def check_table(what: str, table: object, maps: int, in_maps: int) -> None:
    """Raise ValueError or TypeError unless the table gives each map ascending input maps.

    Parameters
    ----------
    what : str
        Begins the message.
    table : tuple of tuple of int
    maps, in_maps : int
    """
    if not isinstance(table, tuple):
        raise TypeError(f"{what} is a {type(table).__name__}, want a tuple of tuples of int")
    if len(table) != maps:
        raise ValueError(f"{what} has {len(table)} entries, want one per map, {maps}")
    for position, inputs in enumerate(table):
        entry = f"{what}[{position}]"
        if not isinstance(inputs, tuple):
            raise TypeError(f"{entry} is a {type(inputs).__name__}, want a tuple of int")
        if not inputs:
            raise ValueError(f"{entry} is empty, want at least one input map")
        before = -1
        for i in inputs:
            if isinstance(i, bool) or not isinstance(i, int):
                raise TypeError(f"{entry} has {short(i)}, want an int")
            if not 0 <= i < in_maps:
                raise ValueError(f"{entry} has {short(i)}, want input maps 0 to {in_maps - 1}")
            if i <= before:
                raise ValueError(f"{entry} has {i} after {before}, want ascending input maps")
            before = i


def _check_keys(what: str, data: object, cls: type[Architecture] | type[Layer]) -> None:
    if not isinstance(data, Mapping):
        raise ValueError(f"{what} is a {type(data).__name__}, want a dict")
    known = {field.name: field for field in dataclasses.fields(cls)}
    for key in data:
        if key not in known:
            raise ValueError(f"{what} has a key {short(key)}, want only {', '.join(known)}")
    for name, field in known.items():
        if field.default is dataclasses.MISSING and name not in data:
            raise ValueError(f"{what} has no key {name!r}, want one")


def _layer_from_dict(position: int, data: object) -> Layer:
    what = f"layers[{position}]"
    if not isinstance(data, Mapping):
        raise ValueError(f"{what} is a {type(data).__name__}, want a dict")
    values = dict(data)
    kind = values.pop("kind", None)
    cls = _KINDS.get(kind) if isinstance(kind, str) else None
    if cls is None:
        raise ValueError(f"{what}: kind is {short(kind)}, want one of {', '.join(_KINDS)}")
    _check_keys(what, values, cls)
    table = values.get("table")
    if isinstance(table, list):
        values["table"] = tuple(tuple(row) if isinstance(row, list) else row for row in table)
    return cls(**values)


C3_TABLE: Table = table_from_art("""
    X . . . X X X . . X X X X . X X
    X X . . . X X X . . X X X X . X
    X X X . . . X X X . . X . X X X
    . X X X . . X X X X . . X . X X
    . . X X X . . X X X X . X X . X
    . . . X X X . . X X X X . X X X
""")
"""Which S2 maps (rows) feed which C3 maps (columns): LeCun et al. 1998, Table I."""

LENET5_1998 = Architecture(
    "lenet5-1998",
    (
        Conv("C1", maps=6, kernel=5),
        Subsample("S2"),
        Conv("C3", maps=16, kernel=5, table=C3_TABLE),
        Subsample("S4"),
        Conv("C5", maps=120, kernel=5),
        Dense("F6", units=84),
        RBF("output"),
    ),
)
"""LeNet-5 as published: LeCun et al. 1998, section II.B."""

LENET5_MODERN = Architecture(
    "lenet5-modern",
    (
        Conv("C1", maps=6, kernel=5, activation="tanh"),
        AveragePool("S2"),
        Conv("C3", maps=16, kernel=5, activation="tanh"),
        AveragePool("S4"),
        Conv("C5", maps=120, kernel=5, activation="tanh"),
        Dense("F6", units=84, activation="tanh"),
        Dense("output", units=10, activation="identity"),
    ),
)
"""LeNet-5 as most tutorials teach it: average pooling, full C3, softmax; 61,706 parameters."""

LENET5_28 = Architecture(
    "lenet5-28",
    (
        Conv("C1", maps=6, kernel=5, activation="tanh"),
        AveragePool("S2"),
        Conv("C3", maps=16, kernel=5, activation="tanh"),
        AveragePool("S4"),
        Dense("F5", units=120, activation="tanh"),
        Dense("F6", units=84, activation="tanh"),
        Dense("output", units=10, activation="identity"),
    ),
    input_shape=(28, 28),
    background=0.0,
    foreground=1.0,
)
"""The modern network on unpadded 28x28 images; 44,426 parameters."""

LENET_3X3 = Architecture(
    "lenet-3x3",
    (
        Conv("C1", maps=6, kernel=3, activation="tanh"),
        AveragePool("S2"),
        Conv("C3", maps=16, kernel=3, activation="tanh"),
        AveragePool("S4"),
        Dense("F5", units=128, activation="tanh"),
        Dense("output", units=10, activation="identity"),
    ),
    input_shape=(28, 28),
    background=0.0,
    foreground=1.0,
)
"""A smaller relative with 3x3 kernels on 28x28 images; 53,558 parameters."""
