"""What a network holds: parameters by name, codes, names of its classes, its calibration."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lenet_c import _core, checks
from lenet_c.architecture import Architecture
from lenet_c.classes import check_distinct, checked_names
from lenet_c.inputs import Appearance
from lenet_c.losses import TEMPERATURES
from lenet_c.turns import Turns

if TYPE_CHECKING:
    from lenet_c.rejection import Rejection

Floats = NDArray[np.float32]


def _core_network(architecture: Architecture, fixed_codes: Floats | None) -> _core.Network:
    inputs = architecture.input_shapes
    layers = [layer.spec(inputs[layer.name]) for layer in architecture.layers]
    background, foreground = architecture.levels
    image, blank = architecture.image_shape, architecture.blank
    network = _core.Network(layers, image, background, foreground, fixed_codes, blank)
    if network.n_parameters != architecture.n_parameters:
        raise AssertionError("the core and the architecture count parameters differently")
    return network


def _parameters(name: str, given: ArrayLike, shape: tuple[int, ...]) -> Floats:
    """Check what is to be the parameters of this name, and give a copy."""
    array = checks.numbers(name, given)
    if array.shape != shape:
        raise ValueError(
            f"{name}: shape {array.shape}, want just {shape} (writing to a view, as in "
            "net['C1.bias'][...] = 0, broadcasts)"
        )
    return checks.floats(name, array)


class Calibrated:
    """Has names of its classes and a calibration, which can be set: see `LeNet5`."""

    _architecture: Architecture  # of the images and the classes
    _class_names: tuple[str, ...] | None
    _temperature: float
    _rejection: Rejection | None
    _subspaces: Floats | None

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """What the classes are called, in their order, but the blank; None: they have no names.

        Takes any list of as many texts of 1 to 200 characters, no two of them equal, or None.
        Control characters, line ends and halves of surrogate pairs are refused.
        """
        return self._class_names

    @class_names.setter
    def class_names(self, names: Iterable[str] | None) -> None:
        n = self._architecture.characters
        self._class_names = None if names is None else checked_names("class_names", names, n)

    @property
    def temperature(self) -> float:
        """What penalties or logits are divided by for a probability: above 1 it is less sure.

        `predict_proba` and `read` alone use it. Takes a number from 1e-30 to 1e30.
        """
        return self._temperature

    @temperature.setter
    def temperature(self, value: float) -> None:
        self._temperature = checks.real("temperature", value, *TEMPERATURES, "both")

    @property
    def rejection(self) -> Rejection | None:
        """Which answers `read` rejects, unless it is told; None: none."""
        return self._rejection

    @rejection.setter
    def rejection(self, value: Rejection | None) -> None:
        from lenet_c.rejection import checked

        self._rejection = None if value is None else checked("rejection", value)

    @property
    def subspaces(self) -> Floats | None:
        """What images of each class look like, read-only; None: unknown.

        (classes, 1 + directions, height, width), or (classes, 1 + directions, channels, height,
        width): their mean, and the directions in which they differ most from it, of length 1 and
        orthogonal, or 0; on a grid of at most 256 values, 0 for background and 1 for ink. Takes
        real numbers, finite in float32, or None.
        """
        return None if self._subspaces is None else self._subspaces.view()

    @subspaces.setter
    def subspaces(self, values: ArrayLike | None) -> None:
        if values is None:
            self._subspaces = None
            return
        from lenet_c import calibration

        array = checks.numbers("subspaces", values)
        classes, grid = self._architecture.characters, calibration.grid(self._architecture)
        directions = array.shape[1] if array.ndim == 2 + len(grid) else 0
        if not directions or array.shape != (classes, directions, *grid):
            raise ValueError(
                f"subspaces: shape {array.shape}, want ({classes}, 1 + directions, "
                f"{', '.join(map(str, grid))}), as calibrate makes them"
            )
        checked = checks.floats("subspaces", array)
        checked.flags.writeable = False
        self._subspaces = checked


class Network(Calibrated):
    """What `LeNet5` is made of: see there. It computes nothing."""

    _network: _core.Network

    def _open(self, architecture: Architecture, codes: Floats | None) -> None:
        self._architecture = architecture
        self._turns = Turns()
        self.notes: dict[str, Any] = {}
        self._class_names: tuple[str, ...] | None = None
        self._temperature = 1.0
        self._rejection: Rejection | None = None
        self._subspaces: Floats | None = None
        last = architecture.layers[-1]
        trained = bool(getattr(last, "trained", False))
        if codes is not None and not trained:
            check_distinct(codes)
        self._network = _core_network(architecture, None if trained else codes)
        self._shapes = architecture.parameter_shapes
        self._ranges: dict[str, tuple[int, int]] = {}
        start = 0
        for name, shape in self._shapes.items():
            end = start + math.prod(shape)
            self._ranges[name] = start, end
            start = end
        self._code_name = f"{last.name}.weight" if trained else None
        self._fixed_codes = None  # bytes, which nobody can change; the core has its own copy
        if codes is not None:
            if self._code_name is not None:
                self[self._code_name][...] = codes
            else:
                self._fixed_codes = codes.tobytes()

    @property
    def architecture(self) -> Architecture:
        """The description that the network was made from."""
        return self._architecture

    @property
    def codes(self) -> Floats | None:
        """Codes of the classes, (classes, code length); None: no RBF output.

        A view if trained, which takes codes as `parameters` takes parameters; else read-only.
        """
        if self._code_name is not None:
            return self[self._code_name]
        if self._fixed_codes is None:
            return None
        return np.frombuffer(self._fixed_codes, np.float32).reshape(self.architecture.classes, -1)

    @codes.setter
    def codes(self, values: ArrayLike) -> None:
        if self._code_name is None:
            raise AttributeError(
                f"codes: those of {self.architecture.name} are fixed when it is made, "
                "LeNet5(codes=...)"
                if self._fixed_codes is not None
                else f"codes: {self.architecture.name} has no RBF output"
            )
        self[self._code_name] = values

    @property
    def parameters(self) -> Floats:
        """Every trainable parameter, one contiguous float32 vector.

        A view, a new one each time: its shape, dtype and flags are its own. One made read-only
        protects the network from writing to that view, not from others or from training. Assigned
        values are copied in after a check: real numbers, the same shape, finite in float32; else
        nothing is written. (``net.parameters *= 2`` multiplies a view and then assigns it, so what
        it spoils is told, and stays.)
        """
        return self._network.parameters

    @parameters.setter
    def parameters(self, values: ArrayLike) -> None:
        checked = _parameters("parameters", values, (self._network.n_parameters,))
        self._network.parameters[...] = checked
        self._network.assume()

    @property
    def learnt_from(self) -> Appearance | None:
        """What the images that it learnt from looked like; None: nobody has recorded it.

        A `Trainer` records it, and it is saved. Calls warn (`lenet_c.InputWarning`) when most of
        their images are unlike these. A network without a record that was loaded, or given
        parameters, is taken to have learnt from uint8 images that are 0 around.
        """
        found = self._network.learnt_from
        return None if found is None else Appearance(*found)

    @property
    def n_parameters(self) -> int:
        """Trainable parameters."""
        return self.architecture.n_parameters

    @property
    def n_connections(self) -> int:
        """Connections, biases included, as the paper counts them."""
        return self.architecture.n_connections

    def __getitem__(self, name: str) -> Floats:
        start, end = self._range_of(name)
        return self._network.parameters[start:end].reshape(self._shapes[name])

    def __setitem__(self, name: str, values: ArrayLike) -> None:
        self._range_of(name)
        self[name][...] = _parameters(name, values, self._shapes[name])
        self._network.assume()

    def _range_of(self, name: str) -> tuple[int, int]:
        try:
            return self._ranges[name]
        except KeyError:
            pass
        fixed = ""
        if self._fixed_codes is not None and name == f"{self.architecture.layers[-1].name}.weight":
            fixed = "the codes are fixed, no parameters (net.codes has them); "
        raise KeyError(f"{name!r}: {fixed}want one of {', '.join(self)}")

    def __iter__(self) -> Iterator[str]:
        return iter(self._shapes)

    def __len__(self) -> int:
        return len(self._shapes)

    def __contains__(self, name: object) -> bool:
        return name in self._shapes

    def __repr__(self) -> str:
        return f"LeNet5({self.architecture.name!r}, {self.n_parameters:,} parameters)"

    def _names_of(self, names: Iterable[str], argument: str) -> list[str]:
        """Names of the parameters of some layers ("C3") and of single ones ("C3.bias"), in order.

        `argument` is what an error calls `names`.
        """
        if isinstance(names, str):
            raise TypeError(f"{argument}: got {names!r}, want a list, [{names!r}]")
        layers = [layer.name for layer in self.architecture.layers]
        wanted = set()
        for name in checks.items(argument, names, "names"):
            wanted.add(checks.one_of(argument, name, [*layers, *self]))
        return [name for name in self if wanted & {name, name.partition(".")[0]}]

    def _take_record(self, other: Network) -> None:
        """Take over what another network's images looked like."""
        self._network.learnt_from = other._network.learnt_from
        if other._network.assumed:
            self._network.assume()

    def summary(self) -> str:
        """Give a table of layers: output shape, parameters, connections.

        Returns
        -------
        str
        """
        lines = [("layer", "kind", "output", "parameters", "connections")]
        for row in self.architecture.rows():
            maps, height, width = row.output_shape
            shape = f"{maps}" if height == width == 1 else f"{maps} x {height} x {width}"
            lines.append(
                (row.name, row.kind, shape, f"{row.n_parameters:,}", f"{row.n_connections:,}")
            )
        lines.append(("total", "", "", f"{self.n_parameters:,}", f"{self.n_connections:,}"))
        widths = [max(len(line[i]) for line in lines) for i in range(5)]
        text = []
        for line in lines:
            cells = [line[i].ljust(widths[i]) for i in range(3)]
            cells += [line[i].rjust(widths[i]) for i in range(3, 5)]
            text.append("  ".join(cells).rstrip())
        rule = "-" * max(map(len, text))
        text.insert(1, rule)
        text.insert(-1, rule)
        if self.class_names is not None:
            names = ", ".join(self.class_names)
            text.append(f"classes: {names if len(names) <= 80 else names[:77] + '...'}")
        sides = " x ".join(map(str, self.architecture.input_shape))
        return "\n".join([f"{self.architecture.name}, input {sides}", *text])

    def _snapshot(self) -> Floats:
        """Copy the parameters: between two updates, if a `Trainer` trains in another thread."""
        return self._turns.copy(lambda: self.parameters.copy())

    def _codes_of(self, parameters: Floats) -> Floats | None:
        """Give the codes that belong to a copy of the parameters."""
        if self._code_name is None:
            return self.codes
        start, end = self._ranges[self._code_name]
        return parameters[start:end].reshape(self._shapes[self._code_name])

    def __getstate__(self) -> dict[str, Any]:
        parameters = self._snapshot()
        codes = self._codes_of(parameters)
        return {
            "architecture": self.architecture,
            "parameters": parameters,
            "codes": None if codes is None else np.array(codes),
            "notes": dict(self.notes) if isinstance(self.notes, dict) else self.notes,
            "learnt_from": self._network.learnt_from,
            "assumed": self._network.assumed,
            "class_names": self._class_names,
            "temperature": self._temperature,
            "rejection": self._rejection,
            "subspaces": None if self._subspaces is None else self._subspaces.copy(),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._open(state["architecture"], state["codes"])
        self.parameters[...] = state["parameters"]
        self.notes = state.get("notes", {})
        self._network.learnt_from = state.get("learnt_from")
        if state.get("assumed", True):  # so are pickles of older versions
            self._network.assume()
        self.class_names = state.get("class_names")
        self.temperature = state.get("temperature", 1.0)
        self.rejection = state.get("rejection")
        self.subspaces = state.get("subspaces")
