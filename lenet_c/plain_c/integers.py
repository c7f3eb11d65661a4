"""A network in whole numbers of 8 bits, and what it computes, in numpy.

A value is ``scale * q + offset`` with q from -128 to 127: a scale and an offset for each map.
Weights have a scale for each map that they make. Sums are whole numbers of 32 bits, so that this
and the C file agree in every bit but those of the last layer's float arithmetic.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lenet_c import checks
from lenet_c.layers import RBF, AveragePool, Conv, MaxPool, Subsample
from lenet_c.network import Network
from lenet_c.plain_c.steps import Step
from lenet_c.tables import table_matrix

Array = NDArray[Any]

SQUASHED = {  # A, S and what is added: A tanh(S a) + what is added
    "scaled_tanh": (1.7159, 2 / 3, 0.0),
    "tanh": (1.0, 1.0, 0.0),
    "sigmoid": (0.5, 0.5, 0.5),
}
FINENESS = 256  # entries of the table of tanh for a step of 1
SQUASHES = np.rint(127 * np.tanh(np.arange(3 * FINENESS) / FINENESS)).astype(np.int8)
MOST_SUM = 2**31 - 1


@dataclass
class Numbers:
    """A step's whole numbers.

    Attributes
    ----------
    weights : int8 array, or None
        As the network has them; of a `Subsample` int32 coefficients.
    bias, factor : int32 array (maps,)
        A sum times its factor, divided by 2 ** shift, is what `activation` takes.
    shift : int
    activation : str
        "squash", by the table of tanh, "relu", "identity"; or "float": sums times `unit` are left
        as they are, for the last layers.
    unit : float32 array (maps,)
        What a sum of 1 stands for.
    pool : Numbers or None
        Of the 2x2 layer above a convolution.
    fill : int8 array (maps,)
        What stands for 0 around maps.
    """

    weights: Array | None = None
    bias: Array | None = None
    factor: Array | None = None
    shift: int = 0
    activation: str = "identity"
    unit: Array = field(default_factory=lambda: np.ones(0, np.float32))
    pool: Numbers | None = None
    fill: Array | None = None


@dataclass(frozen=True)
class Scales:
    """What the whole numbers of some maps stand for: (maps,) each."""

    scale: NDArray[np.float64]
    offset: NDArray[np.float64]


def is_flipped(network: Network) -> list[bool]:
    """Whether each channel's numbers fall as its grey levels rise: so they rise with values."""
    background, foreground = network.architecture.levels
    return [b > f for b, f in zip(background, foreground, strict=True)]


def _of_images(network: Network) -> Scales:
    background, foreground = (np.array(ends, np.float64) for ends in network.architecture.levels)
    scale = abs(foreground - background) / 255
    return Scales(scale, np.minimum(background, foreground) + 128 * scale)


def _of_outputs(activation: str, most: NDArray[np.float64]) -> Scales:
    """Give the scales of maps whose largest values are known."""
    if activation in SQUASHED:
        height, _, offset = SQUASHED[activation]
        return Scales(np.full(len(most), height / 127), np.full(len(most), offset))
    most = np.where(most > 0, most, 1.0)  # of a map that was 0 throughout
    if activation == "relu":
        return Scales(most / 255, 128 * most / 255)
    return Scales(most / 127, np.zeros(len(most)))


def largest(network: Network, images: Array) -> dict[str, NDArray[np.float64]]:
    """Give the largest value of each map of each layer over some images, by the layer's name."""
    found: dict[str, NDArray[np.float64]] = {}
    for begin in range(0, len(images), 500):
        for name, values in network.activations(images[begin : begin + 500]).items():  # type: ignore[attr-defined]
            values = values.reshape(*values.shape[:2], -1)
            most = abs(values).max(axis=(0, 2)).astype(np.float64)
            found[name] = np.maximum(found.get(name, 0.0), most)
    return found


class Integers:
    """The network's steps in whole numbers.

    Parameters
    ----------
    network : Network
    steps : list of Step
    values : dict
        The layers' parameters by name, with those of a `Conv` as (maps, inputs, k, k).
    most : dict
        As `largest` gives them.

    Raises
    ------
    ValueError
        If a layer's numbers do not fit.
    """

    def __init__(
        self,
        network: Network,
        steps: list[Step],
        values: dict[str, Array],
        most: dict[str, NDArray[np.float64]],
    ) -> None:
        self.steps, self._values, self._most = steps, values, most
        self._network = network
        self.numbers: list[Numbers] = []
        now = _of_images(network)
        floats = _first_float(steps)
        self.last: Scales | None = None  # of what floats are made of, where no layer makes them
        for place, step in enumerate(steps):
            if place >= floats:
                if step.kind == "rbf":
                    self.numbers.append(Numbers())
                    if floats == place:
                        self.last = now
                else:
                    self.numbers.append(self._float(step, now))
                continue
            made, now = self._step(step, now)
            self.numbers.append(made)

    # ---- parameters ----

    def _step(self, step: Step, now: Scales) -> tuple[Numbers, Scales]:
        if step.kind == "pad":
            fill = np.rint(-now.offset / now.scale)
            if (abs(fill + 0.5) > 127.5).any():
                raise ValueError(
                    f"layer {step.layer.name!r}: padding of images whose levels do not include 0, "
                    "want precision='float32'"
                )
            return Numbers(fill=fill.astype(np.int8)), now
        if step.kind == "pool":
            return self._pool(step.layer, now)
        made, unit = self._sums(step, now)
        out = self._finish(made, step.layer, unit)
        if step.pool is not None:
            made.pool, out = self._pool(step.pool, out)
        return made, out

    def _float(self, step: Step, now: Scales) -> Numbers:
        made, unit = self._sums(step, now)
        made.activation = "float"
        made.unit = unit.astype(np.float32)
        return made

    def _sums(self, step: Step, now: Scales) -> tuple[Numbers, NDArray[np.float64]]:
        """Give weights and biases, and what a sum of 1 stands for."""
        name = step.layer.name
        weight = self._values[f"{name}.weight"].astype(np.float64)
        shape = weight.shape
        weight = weight.reshape(len(weight), len(now.scale), -1)
        bias = self._values[f"{name}.bias"] + (weight.sum(axis=2) * now.offset).sum(axis=1)
        weight = weight * now.scale[:, None]
        unit = np.maximum(abs(weight).max(axis=(1, 2)) / 127, abs(bias) / 2**30)
        unit = np.where(unit > 0, unit, 1.0)
        whole = np.rint(weight / unit[:, None, None]).astype(np.int8)
        biases = np.rint(bias / unit)
        most = 128 * abs(whole.astype(np.int64)).sum(axis=(1, 2)) + abs(biases)
        if most.max() > MOST_SUM:
            raise ValueError(
                f"layer {name!r}: sums of up to {most.max():.3g}, want them in 32 bits: "
                "precision='float32'"
            )
        return Numbers(whole.reshape(shape), biases.astype(np.int32)), unit

    def _finish(self, made: Numbers, layer: Any, unit: NDArray[np.float64]) -> Scales:
        """Set by what sums become values, and give what those stand for."""
        out = _of_outputs(layer.activation, self._most[layer.name])
        if layer.activation in SQUASHED:
            made.activation = "squash"
            ratio = unit * SQUASHED[layer.activation][1] * FINENESS
        else:
            made.activation = layer.activation
            ratio = unit / out.scale
        made.shift = min(46, 30 - math.frexp(ratio.max())[1])
        if made.shift < 1:
            raise ValueError(f"layer {layer.name!r}: weights too large for precision='int8'")
        made.factor = np.rint(ratio * 2.0**made.shift).astype(np.int32)
        return out

    def _pool(self, layer: Any, now: Scales) -> tuple[Numbers, Scales]:
        if not isinstance(layer, Subsample):
            return Numbers(), now
        sources = layer.sources((len(now.scale), 2, 2))
        now = Scales(now.scale[sources], now.offset[sources])
        coefficient = self._values[f"{layer.name}.coefficient"].astype(np.float64)
        bias = self._values[f"{layer.name}.bias"] + 4 * now.offset * coefficient
        coefficient = coefficient * now.scale
        unit = np.maximum(abs(coefficient) / 2**15, abs(bias) / 2**30)
        unit = np.where(unit > 0, unit, 1.0)
        made = Numbers(
            np.rint(coefficient / unit).astype(np.int32), np.rint(bias / unit).astype(np.int32)
        )
        return made, self._finish(made, layer, unit)

    # ---- what it computes ----

    def forward(self, images: Array) -> NDArray[np.float32]:
        """Give outputs of uint8 images (N, channels, height, width) of the network's own size."""
        flipped = np.array(is_flipped(self._network))[:, None, None]
        q = images.astype(np.int64)
        values: Array = np.where(flipped, 127 - q, q - 128)
        for step, numbers in zip(self.steps, self.numbers, strict=True):
            values = self._run(step, numbers, values)
        return values.astype(np.float32)

    def _run(self, step: Step, numbers: Numbers, q: Array) -> Array:
        if step.kind == "pad":
            assert isinstance(step.layer, Conv)
            assert numbers.fill is not None
            p = step.layer.padding
            padded = np.empty((len(q), *step.output), q.dtype)
            padded[:] = numbers.fill[:, None, None]
            padded[:, :, p:-p, p:-p] = q
            return padded
        if step.kind == "pool":
            return _pooled(step.layer, numbers, q)
        if step.kind == "rbf":
            return self._distances(step, q)
        assert numbers.weights is not None
        assert numbers.bias is not None
        weights = numbers.weights.astype(np.float64)  # whose sums are exact
        if step.kind == "dense":
            sums = q.reshape(len(q), -1).astype(np.float64) @ weights.reshape(len(weights), -1).T
            sums = sums[:, :, None, None]
        else:
            k = weights.shape[-1]
            windows = np.lib.stride_tricks.sliding_window_view(
                q.astype(np.float64), (k, k), axis=(2, 3)
            )
            sums = np.einsum("nchwij,ocij->nohw", windows, weights, optimize=True)
        whole = np.rint(sums).astype(np.int64) + numbers.bias[:, None, None]
        if numbers.activation == "float":
            floats = whole * numbers.unit.astype(np.float64)[:, None, None]
            return _activated(step.layer, floats)
        values = _requantised(numbers, whole)
        return values if step.pool is None else _pooled(step.pool, numbers.pool, values)

    def _distances(self, step: Step, q: Array) -> Array:
        if self.last is not None:
            q = q * self.last.scale[:, None, None] + self.last.offset[:, None, None]
        codes = self._values[f"{step.layer.name}.weight"].astype(np.float64)
        apart = q.reshape(len(q), 1, -1) - codes
        return np.asarray((apart**2).sum(axis=2)[:, :, None, None])


def _first_float(steps: list[Step]) -> int:
    """Give the place of the step from which on outputs are floats."""
    if isinstance(steps[-1].layer, RBF):
        return len(steps) - (2 if len(steps) > 1 and steps[-2].kind == "dense" else 1)
    return len(steps) - 1


def _requantised(numbers: Numbers, sums: Array) -> Array:
    assert numbers.factor is not None
    factor = numbers.factor.astype(np.int64)[:, None, None]
    values = (sums * factor + (1 << (numbers.shift - 1))) >> numbers.shift
    if numbers.activation == "squash":
        size = SQUASHES[np.minimum(abs(values), len(SQUASHES) - 1)].astype(np.int64)
        return np.asarray(np.where(values < 0, -size, size))
    if numbers.activation == "relu":
        return np.asarray(values.clip(0, 255) - 128)
    return np.asarray(values.clip(-127, 127))


def _pooled(layer: Any, numbers: Numbers | None, q: Array) -> Array:
    if isinstance(layer, Subsample) and layer.table is not None:
        q = q[:, layer.sources(q.shape[1:])]
    n, maps, height, width = q.shape
    blocks = q[:, :, : height // 2 * 2, : width // 2 * 2]
    blocks = blocks.reshape(n, maps, height // 2, 2, width // 2, 2)
    if isinstance(layer, MaxPool):
        return np.asarray(blocks.max(axis=(3, 5)))
    sums = blocks.sum(axis=(3, 5))
    if isinstance(layer, AveragePool):
        return np.asarray((sums + 2) >> 2)
    assert numbers is not None
    assert numbers.weights is not None
    assert numbers.bias is not None
    bias = numbers.bias.astype(np.int64)[:, None, None]
    return _requantised(numbers, sums * numbers.weights.astype(np.int64)[:, None, None] + bias)


def _activated(layer: Any, a: Array) -> Array:
    if layer.activation in SQUASHED:
        height, slope, offset = SQUASHED[layer.activation]
        return np.asarray(height * np.tanh(slope * a) + offset)
    return np.maximum(a, 0) if layer.activation == "relu" else a


def parameters_of(network: Network) -> dict[str, Array]:
    """Give a copy of all parameters by name, and the codes, fixed or trained.

    Weights of a `Conv` with a table are (maps, inputs, k, k), 0 where there is no connection.
    """
    copied = network._snapshot()
    checks.floats("parameters", copied)
    values: dict[str, Array] = {
        name: copied[slice(*network._ranges[name])].reshape(shape)
        for name, shape in network._shapes.items()
    }
    shapes = network.architecture.input_shapes
    for layer in network.architecture.layers:
        if isinstance(layer, Conv) and layer.table is not None:
            inputs = shapes[layer.name][0]
            packed = values[f"{layer.name}.weight"]
            full = np.zeros((layer.maps, inputs, *packed.shape[1:]), np.float32)
            full[table_matrix(layer.table, inputs) > 0] = packed
            values[f"{layer.name}.weight"] = full
        elif isinstance(layer, RBF):
            codes = network._codes_of(copied)
            assert codes is not None
            values[f"{layer.name}.weight"] = codes
    return values
