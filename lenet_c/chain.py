"""Layers gathered one behind the other, as another library's graph has them, for a network.

What a graph says in several nodes (a sum and its activation, a mean and its coefficient) becomes
one layer. Each method raises ValueError, saying what there is and what is wanted, where no layer of
this library does that.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lenet_c import checks
from lenet_c.architecture import MAX_CHANNELS, Architecture
from lenet_c.layers import (
    MAX_INPUTS,
    MAX_SIDE,
    RBF,
    AveragePool,
    Conv,
    Dense,
    Layer,
    MaxPool,
    Shape,
    Subsample,
)
from lenet_c.model import LeNet5
from lenet_c.tables import Table

Floats = NDArray[np.float32]

TANH_SCALES = 2 / 3, 1.7159
"""Of a scaled tanh: of a, and of the tanh's value (LeCun et al. 1998, appendix A)."""


class Chain:
    """The layers so far, and what the next one sees.

    Parameters
    ----------
    shape : (int, int, int)
        Channels, height and width of an image.

    Attributes
    ----------
    shape : (int, int, int)
        Of the last layer's outputs.
    """

    def __init__(self, shape: Shape) -> None:
        if not 1 <= shape[0] <= MAX_CHANNELS or not 1 <= min(shape[1:]) <= max(shape) <= MAX_SIDE:
            raise ValueError(
                f"images {shape}, want at most {MAX_CHANNELS} channels and sides of {MAX_SIDE}"
            )
        self._input_shape = self.shape = shape
        self._layers: list[Layer] = []
        self._parameters: list[dict[str, Floats]] = []
        self._codes: Floats | None = None
        self._scale, self._shift = np.ones(shape[0]), np.zeros(shape[0])  # of the images
        self._padding = 0  # of the next convolution
        self._table: Table | None = None  # of the next sums: which map each of theirs reads,
        self._read = shape  # of these maps
        self._tanh: str | None = None  # what there is so far of a scaled one
        self._order: NDArray[np.intp] | None = None  # of flattened values: which each is in ours
        self._is_over = False

    # ---- images ----

    @property
    def is_empty(self) -> bool:
        """Whether there is no layer yet."""
        return not self._layers and not self._padding

    @property
    def range(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Give by how much images are multiplied, and what is then added, for each channel."""
        return self._scale, self._shift

    @property
    def is_scaled(self) -> bool:
        """Whether the graph itself scales its images."""
        return bool((self._scale != 1).any() or self._shift.any())

    def enlarge(self, height: int, width: int) -> None:
        """Pad images before they are scaled, by so much on each side."""
        channels, rows, columns = self.shape
        self._input_shape = self.shape = channels, rows + 2 * height, columns + 2 * width

    # ---- arithmetic ----

    def multiply(self, factors: NDArray[Any]) -> None:
        """Multiply by a number, or by one for each map or unit, (maps,)."""
        if self._is_one(factors, TANH_SCALES[0]) and self._is_linear() and self._tanh is None:
            self._tanh = "scaled"
        elif self._is_one(factors, TANH_SCALES[1]) and self._tanh == "squashed":
            self._set_activation("scaled_tanh")
            self._tanh = None
        elif self.is_empty:
            self._scale, self._shift = self._scale * factors, self._shift * factors
        else:
            self._settle()
            self._need_in_order(factors)
            self._subsampled()["coefficient"] *= factors.astype(np.float32)

    def add(self, terms: NDArray[Any]) -> None:
        """Add a number, or one for each map or unit, (maps,)."""
        self._settle()
        if self.is_empty:
            self._shift = self._shift + terms
        elif self._is_linear():
            self._need_in_order(terms)
            self._parameters[-1]["bias"] += terms.astype(np.float32)
        else:
            self._need_in_order(terms)
            self._subsampled()["bias"] += terms.astype(np.float32)

    @staticmethod
    def _is_one(factors: NDArray[Any], wanted: float) -> bool:
        return factors.size == 1 and math.isclose(factors.item(), wanted, rel_tol=1e-6)

    def _is_linear(self) -> bool:
        return bool(self._layers) and getattr(self._layers[-1], "activation", "") == "identity"

    def _subsampled(self) -> dict[str, Floats]:
        """Give the parameters of a mean that becomes a trained one."""
        last = self._layers[-1] if self._layers else None
        if isinstance(last, AveragePool):
            maps = self.shape[0]
            self._layers[-1] = Subsample(last.name, "identity")
            self._parameters[-1] = {
                "coefficient": np.full(maps, 0.25, np.float32),
                "bias": np.zeros(maps, np.float32),
            }
        elif not (isinstance(last, Subsample) and last.activation == "identity"):
            raise ValueError("arithmetic where no layer has any, want it before the first layer")
        elif self._parameters[-1]["bias"].any():
            raise ValueError("a factor behind a bias, want it before")
        return self._parameters[-1]

    def _need_in_order(self, values: NDArray[Any]) -> None:
        if self._order is not None and values.size > 1:
            raise ValueError("arithmetic on flattened maps, want it before them")

    # ---- layers ----

    def pad(self, padding: int) -> None:
        """Put zeros around the maps, for the convolution that follows."""
        self._settle(padded=True)
        self._need_maps()
        self._padding += padding

    def conv(self, weight: Floats, bias: Floats | None, padding: int) -> None:
        """Add a convolution with weights (maps, input maps, k, k)."""
        self._settle(padded=True)
        self._need_maps()
        maps, inputs, height, width = weight.shape
        if inputs != self.shape[0] or height != width:
            raise ValueError(
                f"weights {weight.shape} on {self.shape[0]} maps, want ({maps}, {self.shape[0]}, "
                "k, k)"
            )
        padding, self._padding = padding + self._padding, 0
        layer = Conv(self._name("C"), maps, height, None, "identity", padding)
        self._append(layer, weight, bias, maps)

    def subsample(self, coefficients: Floats, bias: Floats | None) -> None:
        """Add sums of 2x2, times coefficients (maps,), plus a bias."""
        table, self._table = self._table, None
        self._settle()
        self._need_maps()
        if table is not None:
            self.shape = self._read
        layer = Subsample(self._name("S"), "identity", table)
        layer.check(self.shape)
        maps = layer.output_shape(self.shape)[0]
        self._add_layer(layer, {"coefficient": coefficients, "bias": _bias(bias, maps)})

    def gather(self, sources: list[int]) -> None:
        """Take these maps, for the 2x2 sums that follow."""
        self._settle()
        self._need_maps()
        maps, height, width = self._read = self.shape
        self._table = tuple((source % maps,) for source in sources if -maps <= source < maps)
        if not sources or len(self._table) < len(sources):
            raise ValueError(f"takes maps {checks.short(sources)}, want some of 0 to {maps - 1}")
        self.shape = len(sources), height, width

    def pool(self, kind: type[AveragePool] | type[MaxPool]) -> None:
        """Add a mean or a maximum over 2x2."""
        self._settle()
        self._need_maps()
        layer = kind(self._name("S"))
        layer.check(self.shape)
        self._add_layer(layer, {})

    def dense(self, weight: Floats, bias: Floats | None) -> None:
        """Add a dense layer with weights (units, inputs)."""
        self._settle()
        units, inputs = weight.shape
        values = math.prod(self.shape)
        if self._order is None and values != self.shape[0]:
            raise ValueError("a dense layer on maps, want them flattened before it")
        if inputs != values:
            raise ValueError(f"weights for {inputs} inputs, want {values}")
        if self._order is not None:
            ours = np.empty_like(weight)
            ours[:, self._order] = weight
            weight, self._order = ours, None
        layer = Dense(self._name("F"), units, "identity")
        self._append(layer, weight, bias, units)

    def rbf(self, codes: Floats) -> None:
        """Add squared distances to codes (classes, units), which end the network."""
        self._settle()
        layer = RBF("output", len(codes))
        layer.check(self.shape)
        if codes.shape[1] != self.shape[0]:
            raise ValueError(f"codes of {codes.shape[1]} components, want {self.shape[0]}")
        self._codes = codes
        self._add_layer(layer, {})
        self._is_over = True

    def flatten(self, axes: tuple[int, int, int] = (0, 1, 2)) -> None:
        """Make one row of the maps, whose axes lie in this order: 0 the maps, 1 rows, 2 columns."""
        self._settle()
        if math.prod(self.shape) > MAX_INPUTS:
            raise ValueError(f"{self.shape} flattened, want at most {MAX_INPUTS} values")
        if self._order is None:
            order = np.arange(math.prod(self.shape)).reshape(self.shape)
            self._order = order.transpose(axes).reshape(-1)

    def activation(self, kind: str) -> None:
        """Add the activation of what there is: "tanh", "relu" or "sigmoid"."""
        if kind == "tanh" and self._tanh == "scaled":
            self._tanh = "squashed"
            return
        self._settle()
        if not self._layers:
            raise ValueError(f"{kind} of the images, want a layer before it")
        self._set_activation(kind)

    def softmax(self) -> None:
        """End with logits, of which probabilities would be made."""
        self._settle()
        self._is_over = True

    def _set_activation(self, kind: str) -> None:
        place = len(self._layers) - 1
        if isinstance(self._layers[place], MaxPool) and place:
            below = self._layers[place - 1]
            # what rises goes before a maximum as well as behind it
            if getattr(below, "activation", "") in ("identity", kind if kind == "relu" else ""):
                place -= 1
        elif isinstance(self._layers[place], AveragePool):
            self._subsampled()
        layer = self._layers[place]
        before = getattr(layer, "activation", None)
        if before != "identity" and (before, kind) != ("relu", "relu"):
            raise ValueError(f"{kind} of {'what is ' + before if before else 'a maximum'}")
        self._layers[place] = dataclasses.replace(layer, **{"activation": kind})

    def _append(self, layer: Conv | Dense, weight: Floats, bias: Floats | None, n: int) -> None:
        layer.check(self.shape)
        self._add_layer(layer, {"weight": weight, "bias": _bias(bias, n)})

    def _add_layer(self, layer: Layer, parameters: dict[str, Floats]) -> None:
        self._layers.append(layer)
        self._parameters.append(parameters)
        self.shape = layer.output_shape(self.shape)

    def _name(self, letter: str) -> str:
        return f"{letter}{len(self._layers) + 1}"

    def _need_maps(self) -> None:
        if self._order is not None or (self._layers and self._layers[-1].flat):
            raise ValueError("maps are wanted, and they are flattened before it")

    def _settle(self, padded: bool = False) -> None:
        """Raise ValueError if the network is over, or half of something stands before this."""
        if self._is_over:
            raise ValueError("the network is over before it: want it to end there")
        if self._table is not None:
            raise ValueError("behind maps that are taken by number, want 2x2 sums behind them")
        if self._padding and not padded:
            raise ValueError("behind zeros around the maps, want a convolution behind them")
        if self._tanh is not None:
            raise ValueError(
                "a factor that is no scaled tanh before it, want 1.7159 tanh(2/3 a) or none"
            )

    # ---- the network ----

    def network(
        self,
        name: str,
        background: NDArray[np.float64],
        foreground: NDArray[np.float64],
    ) -> LeNet5:
        """Make the network.

        Parameters
        ----------
        name : str
        background, foreground : float64 array (channels,)
            What levels 0 and 255 of uint8 images become.
        """
        self._is_over = False
        self._settle()
        self._end_with_units()
        channels, *sides = self._input_shape
        levels: dict[str, Any] = {"background": background, "foreground": foreground}
        for end, values in levels.items():
            same = (values == values[0]).all()
            levels[end] = float(values[0]) if same else tuple(map(float, values))
        architecture = Architecture(
            name,
            tuple(self._layers),
            (channels, *sides) if channels > 1 else tuple(sides),  # type: ignore[arg-type]
            **levels,
        )
        network = LeNet5(architecture, codes=self._codes)
        for layer, parameters in zip(self._layers, self._parameters, strict=True):
            for parameter, values in parameters.items():
                network[f"{layer.name}.{parameter}"] = checks.floats(layer.name, values)
        return network

    def _end_with_units(self) -> None:
        """Make the last layer one that ends a network: a dense one without activation."""
        if not self._layers:
            raise ValueError("no layers, want some")
        last = self._layers[-1]
        if isinstance(last, Conv) and self.shape[1:] == (1, 1) and not last.padding:
            last = Dense("output", last.maps, last.activation)
            weight = self._parameters[-1]["weight"]
            self._parameters[-1]["weight"] = weight.reshape(len(weight), -1)
        if (
            not isinstance(last, (Dense, RBF))
            or getattr(last, "activation", "identity") != "identity"
        ):
            what = getattr(last, "activation", "identity")
            raise ValueError(
                f"the last layer is {last.kind} with {what}, want a dense one without activation, "
                "whose outputs are logits, or an RBF"
            )
        self._layers[-1] = dataclasses.replace(last, name="output")


def _bias(given: Floats | None, n: int) -> Floats:
    if given is None:
        return np.zeros(n, np.float32)
    if given.size != n:
        raise ValueError(f"a bias of {given.size} values, want {n}")
    return np.array(given, np.float32).reshape(n)
