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

from lenet_c import _core, checks, codes, initial
from lenet_c.architectures import LENET5_1998, Architecture, Conv, table_matrix
from lenet_c.inputs import Appearance
from lenet_c.turns import Turns

if TYPE_CHECKING:
    from lenet_c.rejection import Rejection, RejectionCurve

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]

# Penalty of the rubbish class. On a validation split of MNIST 3, 5 and 8 were equal within the
# noise of three seeds, and 0.1, 1 and 20 worse.
DEFAULT_J = 5.0


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


def loss_for(network: LeNet5, loss: str | None, j: float) -> tuple[str, float]:
    """Check a loss; None is MAP for RBF outputs and cross-entropy for linear ones."""
    if loss is None:
        loss = "map" if network.codes is not None else "cross_entropy"
    checks.one_of("loss", loss, _core.LOSSES)
    if not 0.0 < checks.number("j", j) < math.inf:
        raise ValueError(f"j: got {checks.short(j)}, want a finite number above 0")
    return loss, float(j)


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


def _numbers(given: ArrayLike, name: str = "codes") -> NDArray[Any]:
    array = checks.array(name, given)
    if array.dtype.kind not in "fiub":
        hint = f", say codes.of({given!r})" if isinstance(given, str) else ""
        raise TypeError(f"{name}: dtype {array.dtype}, want real numbers{hint}")
    return array


def _rounded(name: str, array: NDArray[Any]) -> Floats:
    """Give real numbers as the core computes with them, a copy, all of them finite."""
    with np.errstate(over="ignore"):  # what overflows is infinite, and told below
        values = np.array(array, np.float32, order="C")
    if not np.isfinite(values).all():
        raise ValueError(f"{name}: some are NaN or infinite in float32, want finite values")
    return values


def _parameters(name: str, given: ArrayLike, shape: tuple[int, ...]) -> Floats:
    """Check what is to be the parameters of this name, and give a copy."""
    array = _numbers(given, name)
    if array.shape != shape:
        raise ValueError(
            f"{name}: shape {array.shape}, want just {shape} (writing to a view, as in "
            "net['C1.bias'][...] = 0, broadcasts)"
        )
    return _rounded(name, array)


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
    return _rounded("codes", array)


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
        if not isinstance(architecture, Architecture):
            raise TypeError(f"architecture: got {checks.short(architecture)}, want an Architecture")
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
        if not isinstance(other, LeNet5):
            raise TypeError(f"other: got {checks.short(other)}, want a LeNet5")
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
        if layers is None and other.learnt_from is not None:
            self._network.learnt_from = other.learnt_from

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
        return self._network.forward(
            images, num_threads, rejection=getattr(self, "rejection", None)
        )

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
            return self._network.predict(images, num_threads, getattr(self, "rejection", None))
        from lenet_c.rejection import REJECTED, Rejection, best_two

        if not isinstance(reject, Rejection):
            raise TypeError(
                f"reject: got {checks.short(reject)}, want Rejection(penalty=..., margin=...)"
            )
        outputs = self.forward(images, num_threads=num_threads)
        classes, penalty, margin = best_two(outputs, self.codes is not None)
        classes[reject(penalty, margin)] = REJECTED
        return classes

    def predict_proba(self, images: ArrayLike, *, num_threads: int | None = None) -> Floats:
        """Give each class's probability: the softmax of the logits or negated penalties.

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
        return self._network.probabilities(
            images, num_threads, rejection=getattr(self, "rejection", None)
        )

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
            flat = layer.kind in ("dense", "rbf")
            outputs[layer.name] = array.reshape(array.shape[:2]) if flat else array
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
        value, _, gradient = self._network.gradient(samples, *loss_for(self, loss, j), num_threads)
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
        `SDLM` sets its rates by it. csrc/curvature.c says what the loss contributes.

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
        return self._network.curvature(samples, None, *loss_for(self, loss, j), num_threads)

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
        return self._evaluate(
            samples, *loss_for(self, loss, j), num_threads, getattr(self, "rejection", None)
        )

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
        if not isinstance(notes, dict):
            raise TypeError(f"notes: got {checks.short(notes)}, want a dict")
        arrays = {"parameters": parameters}
        codes = self._codes_of(parameters)
        if codes is not None:
            arrays["codes"] = codes
        metadata: dict[str, Any] = {"architecture": self.architecture.to_dict()}
        if notes:
            metadata["notes"] = notes
        if self.learnt_from is not None:
            metadata["learnt_from"] = self.learnt_from._asdict()
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
        except KeyError as error:
            raise serialization.ModelFileError(f"{name}: it has no {error}") from None
        except (TypeError, ValueError) as error:
            raise serialization.ModelFileError(f"{name}: {error}") from None
        network.parameters = parameters
        notes = metadata.get("notes")
        network.notes = notes if isinstance(notes, dict) else {}
        return network

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
        from importlib import resources  # slow to import, and needed here alone

        folder = resources.files("lenet_c") / "pretrained"
        files = [file.name for file in folder.iterdir()]
        known = sorted(file[: -len(".npz")] for file in files if file.endswith(".npz"))
        checks.one_of("name", name, known)
        return cls.load(io.BytesIO((folder / f"{name}.npz").read_bytes()))

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
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._open(state["architecture"], state["codes"])
        self.parameters[...] = state["parameters"]
        self.notes = state.get("notes", {})
        self._network.learnt_from = state.get("learnt_from")
        if state.get("assumed", True):  # so are pickles of older versions
            self._network.assume()
