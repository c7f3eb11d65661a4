"""A network as data: a list of layers from which every shape and count follows."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lenet_c import _core, checks
from lenet_c.layers import (
    ACTIVATIONS,
    KINDS,
    MAX_NAME,
    MAX_SIDE,
    MAX_VALUES,
    RBF,
    Conv,
    Dense,
    Layer,
    LayerRow,
    Shape,
    check_keys,
    check_name,
    layer_from_dict,
    layer_to_dict,
    n_values,
)
from lenet_c.tables import MAX_MAPS

# Low enough that no product of sizes overflows in C.
MAX_LAYERS = _core.MAX_LAYERS
MAX_CHANNELS = _core.MAX_CHANNELS
MAX_GREY = 1e6

Levels = float | tuple[float, ...]


@dataclass(frozen=True)
class Architecture:
    """A network: its layers in order, and the levels of its input.

    Parameters
    ----------
    name : str
    layers : tuple of Layer
        The last is an `RBF`, or a `Dense` with the identity for activation, whose outputs are
        logits.
    input_shape : (int, int) or (int, int, int)
        Height and width of a grey image; channels, 2 to 16, height and width of others, as (3, 32,
        32). The channels are the input maps of the first layer.
    background, foreground : float or tuple of float
        What levels 0 and 255 of a uint8 image become: a pixel without and with full ink (LeCun et
        al. 1998, section II.B). One number for all channels, or one for each. For a mean and a
        standard deviation see `with_normalization`.
    blank : bool
        Whether the last class stands for no character: between and around those of a string, which
        the network then learns to read (section VI). Single images are never read as the blank.

    Raises
    ------
    TypeError, ValueError
        When something is of the wrong type, out of range, or does not fit what comes before it.
    """

    name: str
    layers: tuple[Layer, ...]
    input_shape: tuple[int, int] | tuple[int, int, int] = (32, 32)
    background: Levels = -0.1
    foreground: Levels = 1.175
    blank: bool = False

    def __post_init__(self) -> None:
        """Check everything once, so that all that is derived can rely on it."""
        check_name("architecture: name", self.name)
        self._check_input()
        self._check_layers()
        shape = self.image_shape
        n_parameters = 0
        for layer in self.layers:
            layer.check(shape)
            n_parameters += n_values(layer.parameter_shapes(shape))
            shape = layer.output_shape(shape)
            if math.prod(shape) > MAX_VALUES:
                raise ValueError(
                    f"layer {layer.name!r}: got output {shape}, want at most {MAX_VALUES:,} values"
                )
        if n_parameters > MAX_VALUES:
            raise ValueError(
                f"layers: got {n_parameters:,} parameters, want at most {MAX_VALUES:,}"
            )
        checks.instance("blank", self.blank, bool, "True or False")
        if self.blank and shape[0] < 2:
            raise ValueError("blank: True with one class, want a character's class besides")
        if self.blank and not self.sweepable:
            raise ValueError("blank: True with padding, want none: it cannot be swept")

    def _check_input(self) -> None:
        shape = self.input_shape
        if not isinstance(shape, tuple) or len(shape) not in (2, 3):
            raise TypeError(
                f"input_shape: got {checks.short(shape)}, want a tuple (height, width), or "
                "(channels, height, width)"
            )
        if len(shape) == 3:
            checks.whole("input_shape: channels", shape[0], 1, MAX_CHANNELS)
            if shape[0] == 1:
                raise ValueError(
                    f"input_shape: got {shape}, want (height, width), {shape[1:]}, for one channel"
                )
        for side in shape[-2:]:
            checks.whole("input_shape: side", side, 1, MAX_SIDE)
        for name, levels in (("background", self.background), ("foreground", self.foreground)):
            self._check_levels(name, levels)
        for background, foreground in zip(*self.levels, strict=True):
            if np.float32(background) == np.float32(foreground):
                raise ValueError(
                    f"foreground: got {self.foreground}, in float32 the background, want another "
                    "grey"
                )

    def _check_levels(self, name: str, levels: Levels) -> None:
        channels = self.image_shape[0]
        if channels == 1 or isinstance(levels, (int, float, np.number)):
            checks.real(name, levels, -MAX_GREY, MAX_GREY, "both")
            return
        if not isinstance(levels, tuple):
            raise TypeError(
                f"{name}: got {checks.short(levels)}, want a number, or a tuple of one for each "
                f"of {channels} channels"
            )
        if len(levels) != channels:
            raise ValueError(
                f"{name}: got {len(levels)} levels, want one number, or one for each of "
                f"{channels} channels"
            )
        for level in levels:
            checks.real(name, level, -MAX_GREY, MAX_GREY, "both")

    def _check_layers(self) -> None:
        layers = self.layers
        if not isinstance(layers, tuple):
            raise TypeError(f"layers: got a {type(layers).__name__}, want a tuple of layers")
        if not 1 <= len(layers) <= MAX_LAYERS:
            raise ValueError(f"layers: got {len(layers)}, want 1 to {MAX_LAYERS}")
        names: set[str] = set()
        for position, layer in enumerate(layers):
            if type(layer) not in KINDS.values():
                raise TypeError(
                    f"layers[{position}]: got a {type(layer).__name__}, want one of "
                    + ", ".join(kind.__name__ for kind in KINDS.values())
                )
            check_name(f"layers[{position}].name", layer.name)
            if "." in layer.name:
                raise ValueError(f"layers[{position}].name: got {layer.name!r}, want no '.' in it")
            if layer.name in names:
                raise ValueError(f"layers[{position}].name: got {layer.name!r} again, want another")
            names.add(layer.name)
        for layer, above in itertools.pairwise(layers):
            if isinstance(layer, RBF):
                raise ValueError(f"layer {layer.name!r}: got RBF before the end, want it last")
            if isinstance(layer, Dense) and not isinstance(above, (Dense, RBF)):
                raise ValueError(
                    f"layer {above.name!r}: got {above.kind} above the dense layer {layer.name!r}, "
                    "want Dense or RBF"
                )
        last = layers[-1]
        logits = isinstance(last, Dense) and last.activation == "identity"
        if not logits and not isinstance(last, RBF):
            raise ValueError(
                f"layer {last.name!r}: got {last.kind} for the last layer, activation "
                f"{checks.short(getattr(last, 'activation', None))}, "
                "want RBF, or Dense with activation 'identity'"
            )

    @property
    def image_shape(self) -> Shape:
        """Channels, height and width of an input image."""
        height, width = self.input_shape[-2:]
        return self.input_shape[0] if len(self.input_shape) == 3 else 1, height, width

    @property
    def levels(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Background and foreground of every channel."""
        channels = self.image_shape[0]
        background, foreground = (
            level if isinstance(level, tuple) else (level,) * channels
            for level in (self.background, self.foreground)
        )
        return background, foreground

    @property
    def input_shapes(self) -> dict[str, Shape]:
        """Layer name -> (maps, height, width) of its input."""
        shapes: dict[str, Shape] = {}
        shape = self.image_shape
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
        return n_values(self.parameter_shapes)

    @property
    def n_connections(self) -> int:
        """Connections: 340,908 for LeNet-5 (LeCun et al. 1998, section II.B)."""
        return sum(row.n_connections for row in self.rows())

    @property
    def classes(self) -> int:
        """Outputs of the last layer."""
        return self.output_shapes[self.layers[-1].name][0]

    @property
    def characters(self) -> int:
        """Classes that stand for characters: all, or all but the blank."""
        return self.classes - self.blank

    @property
    def sweepable(self) -> bool:
        """Whether the network can be swept over pictures wider than its input.

        Not with padding: a layer that has zeros around its input would have neighbours there.
        """
        return not any(isinstance(layer, Conv) and layer.padding for layer in self.layers)

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
        TypeError, ValueError
            If there is no such activation.
        """
        checks.one_of("activation", activation, ACTIVATIONS)
        kept = 2 if self.code_length is not None else 1
        layers = [
            dataclasses.replace(layer, **{"activation": activation})  # of any kind that has one
            if hasattr(layer, "activation")
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
        checks.whole("classes", classes, 1, MAX_MAPS)
        if code_length is not None:
            checks.whole("code_length", code_length, 1, MAX_MAPS)
        *layers, last = self.layers
        if code_length not in (None, self.code_length):
            below = layers[-1] if layers and isinstance(last, RBF) else None
            if isinstance(below, Dense):
                layers[-1] = dataclasses.replace(below, units=code_length)
            elif isinstance(below, Conv):
                layers[-1] = dataclasses.replace(below, maps=code_length)
            else:
                raise ValueError(
                    f"code_length: got {checks.short(code_length)}, want None: {self.name} has no "
                    "Dense or Conv layer below an RBF"
                )
        if isinstance(last, RBF):
            last = dataclasses.replace(last, classes=classes)
        elif isinstance(last, Dense):
            last = dataclasses.replace(last, units=classes)
        return dataclasses.replace(self, layers=(*layers, last))

    def with_normalization(
        self, mean: float | Sequence[float], std: float | Sequence[float]
    ) -> Architecture:
        """Give the same network for uint8 images that are scaled by a mean and a deviation.

        Level g becomes (g / 255 - mean) / std. The border of a smaller image, too, is taken to be
        of level 0.

        Parameters
        ----------
        mean, std : float, or list of float, one for each channel
            Of levels from 0 to 1; std above 0.

        Returns
        -------
        Architecture

        Raises
        ------
        TypeError, ValueError
            If a number is out of range, or there are not as many as channels.

        Examples
        --------
        With the means and deviations of the colours that PyTorch's networks are given::

            architecture.with_normalization((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
        """
        channels = self.image_shape[0]
        means, deviations = (
            _each(name, given, channels, low)
            for name, given, low in (("mean", mean, -MAX_GREY), ("std", std, 1 / MAX_GREY))
        )
        pairs = list(zip(means, deviations, strict=True))
        background = tuple(-m / s for m, s in pairs)
        foreground = tuple((1 - m) / s for m, s in pairs)
        if channels == 1:
            return dataclasses.replace(self, background=background[0], foreground=foreground[0])
        return dataclasses.replace(self, background=background, foreground=foreground)

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
                n_values(layer.parameter_shapes(inputs[layer.name])),
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
        description = {
            "name": self.name,
            "layers": [layer_to_dict(layer) for layer in self.layers],
            "input_shape": [int(side) for side in self.input_shape],
            "background": _plain(self.background),
            "foreground": _plain(self.foreground),
        }
        # what most have not is left out, as before there was any of it
        return {**description, "blank": True} if self.blank else description

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
        check_keys("architecture", data, cls)
        values = dict(data)
        layers = values["layers"]
        if not isinstance(layers, (list, tuple)):
            raise ValueError(f"layers: got a {type(layers).__name__}, want a list of layers")
        if len(layers) > MAX_LAYERS:
            raise ValueError(f"layers: got {len(layers)}, want 1 to {MAX_LAYERS}")
        for name in ("input_shape", "background", "foreground"):
            if isinstance(values.get(name), list):
                values[name] = tuple(values[name])
        try:
            values["layers"] = tuple(layer_from_dict(i, entry) for i, entry in enumerate(layers))
            return cls(**values)
        except TypeError as error:
            raise ValueError(str(error)) from None


def _plain(levels: Levels) -> float | list[float]:
    """Give levels in types that JSON has."""
    return [float(level) for level in levels] if isinstance(levels, tuple) else float(levels)


def _each(name: str, given: float | Sequence[float], channels: int, low: float) -> list[float]:
    """Check one number for all channels, or one for each, and give one for each."""
    if isinstance(given, np.ndarray):
        given = given.tolist()
    if not isinstance(given, (list, tuple)):
        return [checks.real(name, given, low, MAX_GREY, "both")] * channels
    if len(given) != channels:
        raise ValueError(
            f"{name}: got {len(given)} numbers, want one, or one for each of {channels} channels"
        )
    return [checks.real(name, each, low, MAX_GREY, "both") for each in given]
