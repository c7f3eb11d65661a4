"""The network that people hold: parameters, forward, predict, evaluate, save, load."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lenet_c import _core, checks, codes, initial, losses
from lenet_c.architecture import Architecture
from lenet_c.folders import checked_names, shortened
from lenet_c.inputs import Appearance
from lenet_c.layers import Conv
from lenet_c.losses import DEFAULT_J
from lenet_c.networks import LENET5_1998
from lenet_c.tables import table_matrix
from lenet_c.turns import Turns

if TYPE_CHECKING:
    from lenet_c.reading import Reading
    from lenet_c.rejection import Rejection, RejectionCurve

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What `LeNet5.evaluate` found.

    Attributes
    ----------
    loss : float
        Mean loss over the images.
    accuracy, error_rate : float
        Shares of the images, in [0, 1]; they add up to 1.
    confusion : int64 array (classes, classes)
        Images of class `row` that were read as class `column`.
    """

    loss: float
    accuracy: float
    error_rate: float
    confusion: Integers

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Evaluation):
            return NotImplemented
        return self.loss == other.loss and np.array_equal(self.confusion, other.confusion)

    def __repr__(self) -> str:
        n = int(self.confusion.sum())
        return f"Evaluation(loss={self.loss:.4f}, error_rate={self.error_rate:.4%}, images={n})"


def _core_network(architecture: Architecture, fixed_codes: Floats | None) -> _core.Network:
    inputs = architecture.input_shapes
    layers = []
    for layer in architecture.layers:
        table = None
        if isinstance(layer, Conv) and layer.table is not None:
            table = table_matrix(layer.table, inputs[layer.name][0])
        layers.append(
            (
                layer.kind,
                getattr(layer, "activation", "identity"),
                architecture.output_shapes[layer.name][0],
                getattr(layer, "kernel", 0),
                table,
                getattr(layer, "trained", False),
            )
        )
    height, width = architecture.input_shape
    network = _core.Network(
        layers, height, width, architecture.background, architecture.foreground, fixed_codes
    )
    if network.n_parameters != architecture.n_parameters:
        raise AssertionError("the core and the architecture count parameters differently")
    return network


def _architecture_for(codes: ArrayLike | None) -> Architecture:
    """Give the 1998 network with as many classes, and units in F6, as the codes ask for."""
    if codes is None:
        return LENET5_1998
    shape = _numbers(codes).shape
    if len(shape) != 2 or 0 in shape:
        raise ValueError(f"codes: shape {shape}, want (classes, code length)")
    return LENET5_1998.with_classes(*shape)


def _numbers(given: ArrayLike) -> NDArray[Any]:
    try:
        return checks.numbers("codes", given)
    except TypeError as error:
        hint = f", say codes.of({given!r})" if isinstance(given, str) else ""
        raise TypeError(f"{error}{hint}") from None


def _parameters(name: str, given: ArrayLike, shape: tuple[int, ...]) -> Floats:
    """Check what is to be the parameters of this name, and give a copy."""
    array = checks.numbers(name, given)
    if array.shape != shape:
        raise ValueError(
            f"{name}: shape {array.shape}, want just {shape} (writing to a view, as in "
            "net['C1.bias'][...] = 0, broadcasts)"
        )
    return checks.floats(name, array)


def _checked_rejection(name: str, value: object) -> Rejection:
    from lenet_c.rejection import Rejection

    return checks.instance(name, value, Rejection, "Rejection(penalty=..., margin=...)")


def _check_memory(architecture: Architecture) -> None:
    """Raise MemoryError if a new network would take more than a call may."""
    sizes = {name: math.prod(shape) for name, shape in architecture.parameter_shapes.items()}
    taken = 4 * sum(sizes.values()) + 16 * max(sizes.values(), default=0)  # drawn in float64
    for layer in architecture.layers:
        if isinstance(layer, Conv):  # the core lists who is connected
            taken += 12 * sizes[f"{layer.name}.weight"] // layer.kernel**2
    _core.check_memory(
        f"architecture: {architecture.name}, of {sum(sizes.values()):,} parameters", taken
    )


def _checked_codes(architecture: Architecture, given: ArrayLike | None) -> Floats | None:
    length = architecture.code_length
    if length is None:
        if given is not None:
            raise ValueError(f"codes: {architecture.name} has no RBF output, want None")
        return None
    wanted = (architecture.classes, length)
    if given is None:
        if wanted != codes.DIGITS.shape:
            raise ValueError(f"codes: none given, want an array {wanted} for this architecture")
        given = codes.DIGITS
    array = _numbers(given)
    if array.shape != wanted:
        raise ValueError(
            f"codes: shape {array.shape}, want {wanted} for {architecture.name} "
            "(Architecture.with_classes changes it)"
        )
    return checks.floats("codes", array)


def pretrained_files() -> dict[str, Any]:
    """Give the files of the networks that come with the library, by name."""
    from importlib import resources  # slow to import, and needed here alone

    files = (resources.files("lenet_c") / "pretrained").iterdir()
    weights = {f.name.removesuffix(".npz"): f for f in files if f.name.endswith(".npz")}
    return dict(sorted(weights.items()))


def _letters(names: object) -> object:
    """Give a text as its characters."""
    return tuple(names) if isinstance(names, str) else names


def _check_distinct(codes: Floats) -> None:
    seen: dict[bytes, int] = {}
    for row, code in enumerate(codes):
        before = seen.setdefault((code + 0.0).tobytes(), row)  # -0.0 becomes 0.0
        if before != row:
            raise ValueError(
                f"codes: rows {before} and {row} are equal, want a code of its own for each class"
            )


class LeNet5:
    """A LeNet-5: the 1998 network, or another `Architecture`.

    Parameters
    ----------
    architecture : Architecture, optional
        The 1998 network by default, with as many classes and units in F6 as `codes` ask for.
    seed : int
        Of the initial weights.
    codes : array (classes, code length), optional
        What the RBF units compare F6 with, say ``codes.of("ABC")``; the paper's ten digits by
        default. Where the architecture trains its codes, these are where they begin.
    init : str, optional
        How the weights begin: "paper", "he" or "glorot" (see `lenet_c.initial`). By default "he"
        in layers of rectified units, "paper" in all others.

    Attributes
    ----------
    architecture : Architecture
    parameters : float32 array (n_parameters,)
        Every trainable parameter; writing to it, and assigning values, changes the network.
    codes : float32 array (classes, code length) or None
    notes : dict
        Anything that JSON can hold, saved with the network; empty at first.
    class_names : tuple of str or None
        What the classes are called; saved with the network, as all that follows.
    temperature : float
        What `predict_proba` and `read` divide penalties or logits by; 1.0 until `calibrate` sets
        it.
    rejection : Rejection or None
        What `read` rejects by; None, nothing, until `calibrate` sets it.
    subspaces : float32 array (classes, 1 + directions, height, width) or None
        What images of each class look like, which a `Rejection` with a distance needs; None until
        `calibrate` sets it.

    Notes
    -----
    ``net["C3.weight"]`` is a named view into `parameters`, ``list(net)`` gives the names;
    ``net["C3.weight"] = values`` copies values in, as assigning `parameters` does. Images
    are uint8 (N, 28, 28) or (N, 32, 32), raw grey with 0 for background and 255 for ink, or
    float32 (N, H, W) already normalised; one image (H, W) is a batch of one. Other networks take
    uint8 images of their own size or up to 8 pixels smaller, by an even number, which are padded
    with background, and float32 images of their size. Calls that run the network take
    `num_threads`; results are the same bits for any number. With the size of its batch an image's
    outputs may differ in the last bits: few images run by other kernels than many. One network may
    predict from many Python threads at once.

    Calls that take images compare some of them with those that the network learnt from
    (`learnt_from`): `lenet_c.InputWarning` tells of another range, polarity or background, and a
    ValueError of uint8 images of 0 and 1 and of floats far beyond the range, both with the line of
    code that mends it.

    Arrays that a call reads may be written to by other threads meanwhile, and are then read as they
    are at some time; but ``array.resize(..., refcheck=False)`` frees what the call still reads.

    An `Architecture` has at most 2**28 parameters and values a layer. A call that would take more
    memory than `lenet_c.set_memory_limit` allows, 2 GiB, is a MemoryError that says for what.

    Examples
    --------
    >>> net = LeNet5()
    >>> net.n_parameters, net.n_connections
    (60000, 340908)
    """

    def __init__(
        self,
        architecture: Architecture | None = None,
        *,
        seed: int | np.random.SeedSequence | None = 0,
        codes: ArrayLike | None = None,
        init: str | None = None,
    ) -> None:
        if architecture is None:
            architecture = _architecture_for(codes)
        checks.instance("architecture", architecture, Architecture, "an Architecture")
        if seed is not None and not isinstance(seed, np.random.SeedSequence):
            checks.whole("seed", seed, 0)
        initial.check(init)
        checked = _checked_codes(architecture, codes)
        _check_memory(architecture)
        self._open(architecture, checked)
        rng = np.random.default_rng(seed)
        for name in self:
            if name != self._code_name:  # codes begin as codes
                self[name][...] = initial.draw(architecture, name, init, rng)

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
            _check_distinct(codes)
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

    # ---- what it is ----

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
    def class_names(self) -> tuple[str, ...] | None:
        """What the classes are called, in their order; None: they have no names.

        Takes any list of as many texts of 1 to 200 characters, no two of them equal, or None.
        Control characters, line ends and halves of surrogate pairs are refused.
        """
        return self._class_names

    @class_names.setter
    def class_names(self, names: Iterable[str] | None) -> None:
        self._class_names = None if names is None else self._checked_names(names)

    def _checked_names(self, given: Iterable[str]) -> tuple[str, ...]:
        wanted = self.architecture.classes
        if isinstance(given, str):
            raise TypeError(f"class_names: got {checks.short(given)}, want a list, as list('ABC')")
        names: list[str] = []
        for name in checks.items("class_names", given, "names"):
            if len(names) == wanted:
                raise ValueError(f"class_names: got more than {wanted}, want one for each class")
            if not isinstance(name, str):
                raise TypeError(f"class_names: got {checks.short(name)} among them, want texts")
            if not 0 < len(name) <= 200:  # an array of labels is as wide as the longest
                raise ValueError(
                    f"class_names: got {checks.short(name)} among them, want 1 to 200 characters"
                )
            if not checks.is_plain(name):
                raise ValueError(
                    f"class_names: got {checks.short(name)} among them, want no control "
                    "characters, line ends or halves of surrogate pairs"
                )
            names.append(str(name))
        if len(names) != wanted:
            raise ValueError(f"class_names: got {len(names)}, want {wanted}, one for each class")
        if len(set(names)) != wanted:
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"class_names: got {checks.short(twice)} twice, want distinct ones")
        return tuple(names)

    @property
    def temperature(self) -> float:
        """What penalties or logits are divided by for a probability: above 1 it is less sure.

        `predict_proba` and `read` alone use it. Takes a number from 1e-30 to 1e30.
        """
        return self._temperature

    @temperature.setter
    def temperature(self, value: float) -> None:
        self._temperature = checks.real("temperature", value, 1e-30, 1e30, "both")

    @property
    def rejection(self) -> Rejection | None:
        """Which answers `read` rejects, unless it is told; None: none."""
        return self._rejection

    @rejection.setter
    def rejection(self, value: Rejection | None) -> None:
        self._rejection = None if value is None else _checked_rejection("rejection", value)

    @property
    def subspaces(self) -> Floats | None:
        """What images of each class look like, read-only; None: unknown.

        (classes, 1 + directions, height, width): their mean, and the directions in which they
        differ most from it, of length 1 and orthogonal, or 0; on a grid of at most 16x16, 0 for
        background and 1 for ink. Takes real numbers, finite in float32, or None.
        """
        return None if self._subspaces is None else self._subspaces.view()

    @subspaces.setter
    def subspaces(self, values: ArrayLike | None) -> None:
        if values is None:
            self._subspaces = None
            return
        from lenet_c import calibration

        array = checks.numbers("subspaces", values)
        classes, grid = self.architecture.classes, calibration.grid(self.architecture)
        directions = array.shape[1] if array.ndim == 4 else 0
        if not directions or array.shape != (classes, directions, *grid):
            raise ValueError(
                f"subspaces: shape {array.shape}, want ({classes}, 1 + directions, {grid[0]}, "
                f"{grid[1]}), as calibrate makes them"
            )
        checked = checks.floats("subspaces", array)
        checked.flags.writeable = False
        self._subspaces = checked

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
            if not isinstance(name, str) or (name not in layers and name not in self):
                raise ValueError(
                    f"{argument}: got {checks.short(name)}, want some of "
                    + ", ".join([*layers, *self])
                )
            wanted.add(name)
        return [name for name in self if wanted & {name, name.partition(".")[0]}]

    def copy_from(self, other: LeNet5, layers: Iterable[str] | None = None) -> None:
        """Take parameters over from another network, to start from what it has learnt.

        Parameters
        ----------
        other : LeNet5
        layers : iterable of str, optional
            Names of layers, or of single parameters, that both networks have and that are alike.
            By default every layer.

        Raises
        ------
        TypeError, ValueError
            For a name that one of the networks lacks, or a layer that differs between them;
            nothing is then copied.

        Examples
        --------
        Other classes on top of what was learnt from MNIST::

            letters = LeNet5(LENET5_1998.with_classes(26), codes=codes_of_letters)
            letters.copy_from(digits, ["C1", "S2", "C3", "S4", "C5"])
        """
        checks.instance("other", other, LeNet5, "a LeNet5")
        own = {layer.name: layer for layer in self.architecture.layers}
        theirs = {layer.name: layer for layer in other.architecture.layers}
        names = self._names_of(own if layers is None else layers, "layers")
        for name in names:
            layer = name.partition(".")[0]
            if layer not in theirs:
                raise ValueError(
                    f"layers: the other network has no {layer!r}, want some of {', '.join(theirs)}"
                )
            if own[layer] != theirs[layer] or self[name].shape != other[name].shape:
                raise ValueError(f"layers: {layer!r} differs between the two networks")
        theirs_now = other._snapshot()
        with self._turns.changing:
            for name in names:
                first, end = other._ranges[name]
                self[name][...] = theirs_now[first:end].reshape(self[name].shape)
        if layers is None:
            self._take_record(other)

    def _take_record(self, other: LeNet5) -> None:
        """Take over what another network's images looked like."""
        self._network.learnt_from = other._network.learnt_from
        if other._network.assumed:
            self._network.assume()

    def with_classes(
        self,
        class_names: Iterable[str],
        *,
        codes: str | ArrayLike | None = None,
        seed: int | np.random.SeedSequence | None = 0,
    ) -> LeNet5:
        """Give a new network for other classes, which begins with what this one has learnt.

        All layers but the last are copied. Of the last, classes that both networks have, by their
        names, keep their codes, or their weights, wherever they stand; others begin anew. This
        network is not changed.

        Parameters
        ----------
        class_names : iterable of str
            Of the new network, in the order of its outputs; a text stands for its characters.
        codes : str or array (classes, code length), optional
            For RBF outputs, the codes of all classes: a text of one printable ASCII character for
            each, or an array. By default classes that this network has keep theirs, and others,
            whose names are such characters, get those of `lenet_c.codes`.
        seed : int
            Of the weights that begin anew.

        Returns
        -------
        LeNet5
            Without `notes`, and not calibrated.

        Raises
        ------
        TypeError, ValueError
            For names that are no names; if a class has no code, or two have the same.

        Notes
        -----
        A network of ten classes without names is taken to read the digits "0" to "9" if one of the
        names given is a digit; other networks without names share no class with the new one.

        Examples
        --------
        Digits go on, and letters come to them:

        >>> LeNet5.pretrained("mnist").with_classes("0123456789ABC").architecture.classes
        13
        """
        names = checked_names("class_names", _letters(class_names))
        kept = self._kept_classes(names)
        architecture = self.architecture.with_classes(len(names))
        mine = self._snapshot()
        last = architecture.layers[-1].name
        network = LeNet5(
            architecture, seed=seed, codes=self._codes_for(names, kept, codes, self._codes_of(mine))
        )
        for name in network:
            first, end = self._ranges[name]
            theirs = mine[first:end].reshape(self._shapes[name])
            if name.partition(".")[0] != last:
                network[name][...] = theirs
            elif name != self._code_name:
                for new, old in kept.items():
                    network[name][new] = theirs[old]
        network.class_names = names
        network._take_record(self)
        return network

    def known_classes(self, class_names: Iterable[str]) -> tuple[str, ...]:
        """Tell which of some class names this network has, as `with_classes` takes it.

        Parameters
        ----------
        class_names : iterable of str
            As for `with_classes`.

        Returns
        -------
        tuple of str
        """
        names = checked_names("class_names", _letters(class_names))
        return tuple(names[new] for new in self._kept_classes(names))

    def _kept_classes(self, names: tuple[str, ...]) -> dict[int, int]:
        """Give the place here of each class that is among the names, by its place there."""
        own = self.class_names
        if own is None and self.architecture.classes == 10 and set(names) & set("0123456789"):
            own = tuple("0123456789")
        places = {name: old for old, name in enumerate(own or ())}
        return {new: places[name] for new, name in enumerate(names) if name in places}

    def _codes_for(
        self,
        names: tuple[str, ...],
        kept: dict[int, int],
        given: str | ArrayLike | None,
        own: Floats | None,
    ) -> ArrayLike | None:
        """Give the codes of a new network's classes."""
        if own is None:
            if given is not None:
                raise ValueError(f"codes: {self.architecture.name} has no RBF output, want None")
            return None
        if given is not None:
            try:
                array = codes.of(given) if isinstance(given, str) else _numbers(given)
            except ValueError as error:
                raise ValueError(f"codes: {str(error).removeprefix('codes: ')}") from None
            if array.shape != (len(names), own.shape[1]):
                raise ValueError(
                    f"codes: shape {array.shape}, want {(len(names), own.shape[1])}, one for each "
                    f"of {shortened(names)}"
                )
            return array
        chosen = np.empty((len(names), own.shape[1]), np.float32)
        for new, name in enumerate(names):
            if new in kept:
                chosen[new] = own[kept[new]]
            elif (
                name in codes.CHARACTERS
                and len(name) == 1
                and own.shape[1:] == codes.ASCII[0].shape
            ):
                chosen[new] = codes.of(name)[0]
            else:
                raise ValueError(
                    f"codes: class {name!r} has no code of its own, as printable ASCII characters "
                    f"have in 84 units; want codes=, of shape {chosen.shape}, or a text of "
                    f"{len(names)} such characters, one for each of {shortened(names)}"
                )
        return chosen

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
        height, width = self.architecture.input_shape
        if self.class_names is not None:
            names = ", ".join(self.class_names)
            text.append(f"classes: {names if len(names) <= 80 else names[:77] + '...'}")
        return "\n".join([f"{self.architecture.name}, input {height} x {width}", *text])

    # ---- reading ----

    def forward(self, images: ArrayLike, *, num_threads: int | None = None) -> Floats:
        """Run the network.

        Parameters
        ----------
        images : uint8 (N, 28, 28) or (N, 32, 32), or float32 (N, H, W) normalised
            Other networks: see the notes on the class.
        num_threads : int, optional

        Returns
        -------
        float32 array (N, classes)
            RBF penalties, of which the smallest wins, or logits.

        Raises
        ------
        TypeError, ValueError
            For another dtype, another shape, no images, or pixels that are NaN or infinite.
        MemoryError
            If the call would take more memory than `lenet_c.set_memory_limit` allows; all calls
            that run the network raise it.
        """
        return self._network.forward(images, num_threads, rejection=self._rejection)

    def predict(
        self,
        images: ArrayLike,
        *,
        reject: Rejection | None = None,
        num_threads: int | None = None,
    ) -> Integers:
        """Read the images: the class of each.

        Parameters
        ----------
        images : as for `forward`
        reject : Rejection, optional
            Which answers are rejected; by default none is.
        num_threads : int, optional

        Returns
        -------
        int64 array (N,)
            -1 where the answer is rejected.

        Raises
        ------
        FloatingPointError
            If outputs are NaN or infinite, naming the row; with `reject` such rows are rejected.
        """
        if reject is None:
            return self._network.predict(images, num_threads, self._rejection)
        from lenet_c.rejection import REJECTED, best_two

        reject = _checked_rejection("reject", reject)
        outputs = self.forward(images, num_threads=num_threads)
        classes, penalty, margin = best_two(outputs, self.codes is not None)
        distance = None
        if reject.distance < math.inf:
            distance = self._distance(checks.array("images", images), classes, reject)
        classes[reject(penalty, margin, distance)] = REJECTED
        return classes

    def _distance(
        self, images: NDArray[Any], classes: Integers, reject: Rejection
    ) -> NDArray[np.float64]:
        """Give how far each image is from those of its class; NaN where that is unknown.

        Raises ValueError if `reject` needs what is unknown.
        """
        subspaces = self._subspaces
        if subspaces is None:
            if reject.distance < math.inf:
                raise ValueError(
                    f"reject: {reject} has a distance, and the network no subspaces: calibrate "
                    "sets them, or take those of the network that the rejection is from"
                )
            return np.full(len(classes), np.nan)
        from lenet_c import calibration

        if images.ndim == 2:
            images = images[None]
        flat = subspaces.reshape(*subspaces.shape[:2], -1)
        found = np.empty(len(classes))
        for start in range(0, len(classes), calibration.CHUNK):
            part = slice(start, start + calibration.CHUNK)
            seen = calibration.seen(images[part], self.architecture)
            found[part] = calibration.distances(seen, classes[part], flat)
        return found

    def predict_proba(self, images: ArrayLike, *, num_threads: int | None = None) -> Floats:
        """Give each class's probability.

        The softmax of logits or negated penalties over `temperature`. Before `calibrate` has set
        that, an RBF output's probabilities are hardly ever below 1, also of wrong answers. A
        rubbish class, as the loss "map" has it, takes no part: a picture of no character has
        probabilities, too, and `read` tells it by other means.

        Parameters
        ----------
        images : as for `forward`
        num_threads : int, optional

        Returns
        -------
        float32 array (N, classes)
            Rows add up to 1.

        Raises
        ------
        FloatingPointError
            If outputs are NaN or infinite, naming the row.
        """
        return self._network.probabilities(images, num_threads, self._temperature, self._rejection)

    def read(
        self,
        images: ArrayLike,
        *,
        reject: Rejection | None = None,
        num_threads: int | None = None,
    ) -> Reading:
        """Read the images: the class of each, what it is called, and how sure that is.

        Parameters
        ----------
        images : as for `forward`
        reject : Rejection, optional
            Which answers are rejected; by default the network's own `rejection`, and where that is
            None, none. ``Rejection()`` rejects none.
        num_threads : int, optional

        Returns
        -------
        Reading

        Raises
        ------
        FloatingPointError
            If outputs are NaN or infinite, naming the row.

        Examples
        --------
        >>> import numpy as np
        >>> reading = LeNet5.pretrained("mnist").read(np.zeros((2, 28, 28), np.uint8))
        >>> len(reading), reading.classes.dtype.name, sorted(reading[0])[:2]
        (2, 'int64', ['class', 'distance'])
        """
        from lenet_c.calibration import evidence
        from lenet_c.reading import Reading
        from lenet_c.rejection import Rejection, best_two

        if reject is None:
            reject = Rejection() if self._rejection is None else self._rejection
        reject = _checked_rejection("reject", reject)
        outputs = self._network.forward(images, num_threads, finite=True, rejection=self._rejection)
        is_rbf = self.codes is not None
        classes, penalty, margin = best_two(outputs, is_rbf)
        distance = self._distance(checks.array("images", images), classes, reject)
        shares = np.exp(evidence(outputs, is_rbf) / self._temperature)
        names = self._class_names or tuple(map(str, range(self.architecture.classes)))
        return Reading(
            classes,
            np.array(names)[classes],
            1.0 / shares.sum(axis=1),
            penalty,
            margin,
            distance,
            reject(penalty, margin, distance),
        )

    def best_two(
        self, images: ArrayLike, *, num_threads: int | None = None
    ) -> tuple[Integers, NDArray[np.float64]]:
        """Give the best two classes of each image.

        Parameters
        ----------
        images : as for `forward`
        num_threads : int, optional

        Returns
        -------
        classes : int64 array (N, 2)
            The best one first; (N, 1) for a network of one class.
        penalties : float64 array (N, 2)
            Of these, as `Rejection` has them: RBF outputs, or minus the logarithms of their
            probabilities at temperature 1. Their difference is the margin.

        Raises
        ------
        FloatingPointError
            If outputs are NaN or infinite, naming the row.
        """
        from lenet_c.rejection import best_two_penalties

        outputs = self._network.forward(images, num_threads, finite=True)
        return best_two_penalties(outputs, self.codes is not None)

    def calibrate(
        self,
        images: ArrayLike,
        labels: ArrayLike,
        *,
        reject: float | None = 0.01,
        num_threads: int | None = None,
    ) -> LeNet5:
        """Make probabilities a confidence, and tell what is doubtful, from images with labels.

        Sets `temperature` so that the right classes' probabilities are likeliest (the mean of their
        negative logarithms is lowest). Then `subspaces`, what the images of each class look like,
        and `rejection`: what has a higher penalty than nearly all of these images, or is less like
        the others of its class. Neither classes nor losses change. Training afterwards leaves all
        this as it is: then calibrate anew. Another network that will read the same kind of images
        can take it over: ``other.temperature = net.temperature``, `rejection` and `subspaces`.

        Parameters
        ----------
        images : as for `forward`
            At least 10, that the network was not trained on, and as it will be given: what was
            trained on it reads too well.
        labels : integer array (N,)
        reject : float, optional
            The share of images like these that `rejection` is to reject, at least 0 and below 1.
            None: leave `rejection` and `subspaces` as they are.
        num_threads : int, optional

        Returns
        -------
        LeNet5
            This network.

        Raises
        ------
        ValueError
            If there are too few images, or the network reads them no better than by chance;
            nothing is then set.
        FloatingPointError
            If outputs are NaN or infinite, naming the row.

        Examples
        --------
        >>> import lenet_c
        >>> (x, y), _ = lenet_c.datasets.digits()
        >>> net = lenet_c.LeNet5(lenet_c.LENET5_28)
        >>> _ = lenet_c.Trainer(net).fit(x[:1000], y[:1000], epochs=4)
        >>> net.calibrate(x[1000:], y[1000:]).temperature != 1.0
        True
        """
        from lenet_c import calibration
        from lenet_c.rejection import best_two

        samples = _core.Samples(self._network, images, labels)
        labels = samples.labels
        calibration.check(len(labels), self.architecture)
        if reject is not None:
            checks.real("reject", reject, 0.0, 1.0)
        outputs = self._network.forward(samples, num_threads, finite=True)
        is_rbf = self.codes is not None
        temperature = calibration.temperature(outputs, is_rbf, labels)
        if reject is not None:
            n, grid = self.architecture.classes, calibration.grid(self.architecture)
            calibration.check_memory(len(labels), n, grid)
            images = checks.array("images", images)
            if images.ndim == 2:
                images = images[None]
            seen = calibration.seen(images, self.architecture)
            classes, penalty, _ = best_two(outputs, is_rbf)
            distance = calibration.distances_of_others(seen, labels, classes, n)
            rejection = calibration.thresholds(float(reject), penalty, distance)
            self.subspaces = calibration.subspaces(seen, labels, n).reshape(n, -1, *grid)
            self.rejection = rejection
        self.temperature = temperature
        return self

    def activations(
        self, images: ArrayLike, *, num_threads: int | None = None
    ) -> dict[str, Floats]:
        """Run the network and give every layer's outputs: 32 kB an image in the 1998 network.

        Parameters
        ----------
        images : as for `forward`
        num_threads : int, optional

        Returns
        -------
        dict
            Layer name to float32 array: (N, maps, height, width), or (N, units) for dense and
            RBF layers; after the squashing function.
        """
        outputs = {}
        arrays = self._network.activations(images, num_threads)
        for layer, array in zip(self.architecture.layers, arrays, strict=True):
            outputs[layer.name] = array.reshape(array.shape[:2]) if layer.flat else array
        return outputs

    def loss_and_gradient(
        self,
        images: ArrayLike,
        labels: ArrayLike,
        loss: str | None = None,
        *,
        j: float = DEFAULT_J,
        num_threads: int | None = None,
    ) -> tuple[float, Floats]:
        """Give the mean loss over a batch and its gradient for the parameters.

        Parameters
        ----------
        images : as for `forward`
        labels : integer array (N,)
        loss : str, optional
            "map": eq. (9), also for logits, as negated penalties. "mse": eq. (8), the penalty of
            the right class; for linear outputs the squared distance to targets of +1 for the
            right class and -1 for the others. "cross_entropy": over logits or negated penalties.
            None: "map" for RBF outputs, else "cross_entropy".
        j : float
            Penalty of the rubbish class in "map", above 0.
        num_threads : int, optional

        Returns
        -------
        loss : float
        gradient : float32 array (n_parameters,)
            In the order of `parameters`.

        Raises
        ------
        FloatingPointError
            If the loss or the gradient is not finite.
        """
        samples = _core.Samples(self._network, images, labels)
        value, _, gradient = self._network.gradient(samples, *self._loss(loss, j), num_threads)
        return value, gradient

    def curvature(
        self,
        images: ArrayLike,
        labels: ArrayLike,
        loss: str | None = None,
        *,
        j: float = DEFAULT_J,
        num_threads: int | None = None,
    ) -> Floats:
        """Give the diagonal of the mean loss's Gauss-Newton matrix: h_kk of each parameter.

        Second derivatives are carried backwards with squared weights and squared slopes, and a
        parameter that connections share has the sum of theirs (LeCun et al. 1998, appendix C).
        `SDLM` sets its rates by it. csrc/run/curvature.c says what the loss contributes.

        Parameters
        ----------
        images, labels, loss, j, num_threads : as for `loss_and_gradient`

        Returns
        -------
        float32 array (n_parameters,)
            In the order of `parameters`; none is negative.

        Raises
        ------
        FloatingPointError
            If it is not finite.
        """
        samples = _core.Samples(self._network, images, labels)
        return self._network.curvature(samples, None, *self._loss(loss, j), num_threads)

    def evaluate(
        self,
        images: ArrayLike,
        labels: ArrayLike,
        loss: str | None = None,
        *,
        j: float = DEFAULT_J,
        num_threads: int | None = None,
    ) -> Evaluation:
        """Read images whose classes are known and compare.

        Parameters
        ----------
        images, labels, loss, j, num_threads : as for `loss_and_gradient`

        Returns
        -------
        Evaluation

        Raises
        ------
        FloatingPointError
            If outputs are NaN or infinite, naming the row.
        """
        samples = _core.Samples(self._network, images, labels)
        return self._evaluate(samples, *self._loss(loss, j), num_threads, self._rejection)

    def _loss(self, loss: str | None, j: float) -> tuple[str, float]:
        return losses.checked(loss, j, self.codes is not None)

    def _evaluate(
        self,
        samples: _core.Samples,
        loss: str,
        j: float,
        num_threads: int | None,
        rejection: Rejection | None = None,
    ) -> Evaluation:
        value, n_errors, read = self._network.evaluate(samples, loss, j, num_threads, rejection)
        classes = self.architecture.classes
        pairs = samples.labels * classes + read
        confusion = np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)
        error_rate = n_errors / samples.n
        return Evaluation(value, 1.0 - error_rate, error_rate, confusion.astype(np.int64))

    def rejection_curve(
        self,
        images: ArrayLike,
        labels: ArrayLike,
        by: str = "margin",
        *,
        num_threads: int | None = None,
    ) -> RejectionCurve:
        """Read images whose classes are known: the error rate against the share rejected.

        Parameters
        ----------
        images, labels, num_threads : as for `evaluate`
        by : str
            The threshold that varies, "margin" or "penalty" (see `Rejection`).

        Returns
        -------
        RejectionCurve

        Raises
        ------
        FloatingPointError
            If outputs are NaN or infinite, naming the row.

        Examples
        --------
        Leave as many answers as it takes for one error in two hundred::

            point = net.rejection_curve(images, labels).reaching(0.005)
            net.predict(others, reject=point.rejection)
        """
        from lenet_c.rejection import SCORES, best_two, curve

        checks.one_of("by", by, SCORES)
        samples = _core.Samples(self._network, images, labels)
        right = samples.labels
        outputs = self._network.forward(samples, num_threads, finite=True)
        classes, penalty, margin = best_two(outputs, self.codes is not None)
        return curve(by, penalty if by == "penalty" else margin, classes != right)

    # ---- keeping ----

    def _snapshot(self) -> Floats:
        """Copy the parameters: between two updates, if a `Trainer` trains in another thread."""
        return self._turns.copy(lambda: self.parameters.copy())

    def _codes_of(self, parameters: Floats) -> Floats | None:
        """Give the codes that belong to a copy of the parameters."""
        if self._code_name is None:
            return self.codes
        first, end = self._ranges[self._code_name]
        return parameters[first:end].reshape(self._shapes[self._code_name])

    def save(self, path: str | os.PathLike[str] | BinaryIO) -> None:
        """Write the network to a file (.npz, no pickle, versioned, checksummed, atomic).

        Of a network that a `Trainer` trains in another thread the file has the weights between
        two updates: `save` waits for the end of the one under way, as pickling and `copy` do.
        What else writes to `parameters` meanwhile may be there in part.

        Parameters
        ----------
        path : str, path or binary file
            A file is replaced only once the new one is complete and on disk. It keeps its mode,
            and its owner and group where this user may set them, but neither access control
            lists nor extended attributes, and other (hard) links to it keep what it was. An open
            file, buffered or not, is written to until it has taken everything.

        Raises
        ------
        TypeError, ValueError
            If `path` is something else, JSON cannot hold `notes`, parameters are not finite, or
            the file would be larger than `load` takes by default.
        OSError
            If the file cannot be written, or is read-only; it is named.

        Notes
        -----
        `notes` come back as JSON has them: keys are text (others are an error), tuples and arrays
        are lists, numpy's numbers are Python's. NaN and infinity are an error.
        """
        from lenet_c import serialization

        parameters = self._snapshot()
        if not np.isfinite(parameters).all():
            raise ValueError("parameters: some are NaN or infinite, which load would refuse")
        notes = self.notes
        checks.instance("notes", notes, dict, "a dict")
        arrays = {"parameters": parameters}
        codes = self._codes_of(parameters)
        if codes is not None:
            arrays["codes"] = codes
        metadata: dict[str, Any] = {"architecture": self.architecture.to_dict()}
        if notes:
            metadata["notes"] = notes
        if self.learnt_from is not None:
            metadata["learnt_from"] = self.learnt_from._asdict()
        # what is as in a new network is left out, as before there was any of it
        if self._class_names is not None:
            metadata["class_names"] = self._class_names
        if self._temperature != 1.0:
            metadata["temperature"] = self._temperature
        if self._rejection is not None:
            metadata["rejection"] = self._rejection.to_dict()
        if self._subspaces is not None:
            arrays["subspaces"] = self._subspaces
        serialization.write(path, metadata, arrays)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str] | BinaryIO,
        *,
        max_bytes: int | None = None,
        max_metadata: int | None = None,
    ) -> LeNet5:
        """Read a network that `save` wrote.

        Parameters
        ----------
        path : str, path or binary file
            An open file is read to its end, and never more than a byte beyond `max_bytes`.
        max_bytes : int, optional
            The largest file to accept; 256 MiB by default. Reading takes three times a file's size
            of memory, and the network itself.
        max_metadata : int, optional
            The most bytes of architecture and notes to accept, which take up to 35 times the
            memory once they are read; 1 MiB by default.

        Returns
        -------
        LeNet5

        Raises
        ------
        lenet_c.ModelFileError
            If the file is damaged, is not a model, is too large, or comes from a newer version.
        OSError
            If it cannot be read; it is named.
        """
        from lenet_c import serialization

        limits = serialization.LIMITS
        if max_bytes is not None:
            limits = replace(limits, file=checks.whole("max_bytes", max_bytes, 1))
        if max_metadata is not None:
            limits = replace(limits, metadata=checks.whole("max_metadata", max_metadata, 1))
        metadata, arrays = serialization.read(path, limits)
        name = serialization.name_of(path)
        if metadata.get("kind") == "training":
            raise serialization.ModelFileError(
                f"{name}: a training under way, Trainer.load(path).network is its network"
            )
        try:
            architecture = Architecture.from_dict(metadata["architecture"])
            parameters = arrays["parameters"]
            if parameters.shape != (architecture.n_parameters,) or parameters.dtype != np.float32:
                raise ValueError(
                    f"parameters: {parameters.dtype} {parameters.shape}, want float32 "
                    f"({architecture.n_parameters},)"
                )
            if not np.isfinite(parameters).all():
                raise ValueError("parameters: some are NaN or infinite, want finite values")
            # codes that are wanted have to be there
            given = arrays["codes"] if architecture.code_length else arrays.get("codes")
            network = cls.__new__(cls)
            network._open(architecture, _checked_codes(architecture, given))
            if "learnt_from" in metadata:
                network._network.learnt_from = Appearance.from_dict(metadata["learnt_from"])
            network._take_over(metadata, arrays.get("subspaces"))
        except KeyError as error:
            raise serialization.ModelFileError(f"{name}: it has no {error}") from None
        except (TypeError, ValueError) as error:
            raise serialization.ModelFileError(f"{name}: {error}") from None
        network.parameters = parameters
        notes = metadata.get("notes")
        network.notes = notes if isinstance(notes, dict) else {}
        return network

    def _take_over(self, metadata: dict[str, Any], subspaces: Floats | None) -> None:
        """Set what a file says of calibration and names, if it says anything, checked."""
        if "class_names" in metadata:
            self.class_names = metadata["class_names"]
        if "temperature" in metadata:
            self.temperature = metadata["temperature"]
        if "rejection" in metadata:
            from lenet_c.rejection import Rejection

            self.rejection = Rejection.from_dict(metadata["rejection"])
        self.subspaces = subspaces

    @classmethod
    def pretrained(cls, name: str = "mnist") -> LeNet5:
        """Give a network that was trained on MNIST; its weights came with the library.

        Parameters
        ----------
        name : str
            "mnist": the 1998 network. "mnist-modern": `LENET5_MODERN`. `lenet_c.recipes.mnist`
            trained both; `notes` tells how, and their error rates on the test images.

        Returns
        -------
        LeNet5

        Raises
        ------
        ValueError
            For another name.

        Examples
        --------
        >>> LeNet5.pretrained("mnist").n_parameters
        60000
        """
        known = pretrained_files()
        checks.one_of("name", name, known)
        return cls.load(io.BytesIO(known[name].read_bytes()))

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
