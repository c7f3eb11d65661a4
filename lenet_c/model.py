"""The network that people hold: parameters, forward, predict, evaluate, save, load."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lenet_c import _core, checks, codes, initial
from lenet_c.architectures import LENET5_1998, Architecture, Conv, table_matrix

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
    if network.parameters.size != architecture.n_parameters:
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
    array = checks.array("codes", given)
    if array.dtype.kind not in "fiub":
        hint = f", say codes.of({given!r})" if isinstance(given, str) else ""
        raise TypeError(f"codes: dtype {array.dtype}, want real numbers{hint}")
    return array


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
    with np.errstate(over="ignore"):  # what overflows is infinite, and told below
        array = np.array(_numbers(given), np.float32, order="C")
    if array.shape != wanted:
        raise ValueError(
            f"codes: shape {array.shape}, want {wanted} for {architecture.name} "
            "(Architecture.with_classes changes it)"
        )
    if not np.isfinite(array).all():
        raise ValueError("codes: some are NaN or infinite, want finite values")
    return array


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
        Every trainable parameter; writing to it changes the network.
    codes : float32 array (classes, code length) or None
    notes : dict
        Anything that JSON can hold, saved with the network; empty at first.

    Notes
    -----
    ``net["C3.weight"]`` is a named view into `parameters`, ``list(net)`` gives the names. Images
    are uint8 (N, 28, 28) or (N, 32, 32), raw grey with 0 for background and 255 for ink, or
    float32 (N, H, W) already normalised; one image (H, W) is a batch of one. Other networks take
    uint8 images of their own size or up to 8 pixels smaller, by an even number, which are padded
    with background, and float32 images of their size. Calls that run the network take
    `num_threads`; results are the same bits for any number. With the size of its batch an image's
    outputs may differ in the last bits: few images run by other kernels than many. One network may
    predict from many Python threads at once.

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
        self._open(architecture, _checked_codes(architecture, codes))
        rng = np.random.default_rng(seed)
        for name, view in self._views.items():
            if name not in self._code_names:  # codes begin as codes
                view[...] = initial.draw(architecture, name, init, rng)

    def _open(self, architecture: Architecture, codes: Floats | None) -> None:
        self._architecture = architecture
        self.notes: dict[str, Any] = {}
        last = architecture.layers[-1]
        trained = bool(getattr(last, "trained", False))
        if codes is not None and not trained:
            _check_distinct(codes)
        self._network = _core_network(architecture, None if trained else codes)
        self._views: dict[str, Floats] = {}
        self._ranges: dict[str, tuple[int, int]] = {}
        start = 0
        for name, shape in architecture.parameter_shapes.items():
            end = start + int(np.prod(shape))
            self._views[name] = self.parameters[start:end].reshape(shape)
            self._ranges[name] = start, end
            start = end
        self._code_names = {f"{last.name}.weight"} if trained else set()
        if codes is not None:
            if trained:
                view = self[f"{last.name}.weight"]
                view[...] = codes
                codes = view
            else:
                codes.flags.writeable = False  # the core has its own copy
        self._codes = codes

    # ---- what it is ----

    @property
    def architecture(self) -> Architecture:
        """The description that the network was made from."""
        return self._architecture

    @property
    def codes(self) -> Floats | None:
        """Codes of the classes, (classes, code length); a view if trained; None: no RBF output."""
        return self._codes

    @property
    def parameters(self) -> Floats:
        """Every trainable parameter, one contiguous float32 vector; a view, not a copy."""
        return self._network.parameters

    @property
    def n_parameters(self) -> int:
        """Trainable parameters."""
        return self.architecture.n_parameters

    @property
    def n_connections(self) -> int:
        """Connections, biases included, as the paper counts them."""
        return self.architecture.n_connections

    def __getitem__(self, name: str) -> Floats:
        try:
            return self._views[name]
        except KeyError:
            raise KeyError(f"{name!r}: want one of {', '.join(self._views)}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._views)

    def __len__(self) -> int:
        return len(self._views)

    def __contains__(self, name: object) -> bool:
        return name in self._views

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
        for name in names:
            self[name][...] = other[name]

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
        """
        return self._network.forward(images, num_threads)

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
            return self._network.predict(images, num_threads)
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
        return self._network.probabilities(images, num_threads)

    def activations(
        self, images: ArrayLike, *, num_threads: int | None = None
    ) -> dict[str, Floats]:
        """Run the network and give every layer's outputs.

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
        value, n_errors, read = self._network.evaluate(
            samples, *loss_for(self, loss, j), num_threads
        )
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
        right = _core.Samples(self._network, images, labels).labels
        outputs = self._network.forward(images, num_threads, finite=True)
        classes, penalty, margin = best_two(outputs, self.codes is not None)
        return curve(by, penalty if by == "penalty" else margin, classes != right)

    # ---- keeping ----

    def save(self, path: str | os.PathLike[str] | BinaryIO) -> None:
        """Write the network to a file (.npz, no pickle, versioned, checksummed, atomic).

        Parameters
        ----------
        path : str, path or binary file

        Raises
        ------
        TypeError, ValueError
            If `path` is something else, JSON cannot hold `notes`, or parameters are not finite.
        """
        from lenet_c import serialization

        if not np.isfinite(self.parameters).all():
            raise ValueError("parameters: some are NaN or infinite, which load would refuse")
        if not isinstance(self.notes, dict):
            raise TypeError(f"notes: got {checks.short(self.notes)}, want a dict")
        arrays = {"parameters": self.parameters}
        if self.codes is not None:
            arrays["codes"] = np.ascontiguousarray(self.codes)
        metadata: dict[str, Any] = {"architecture": self.architecture.to_dict()}
        if self.notes:
            metadata["notes"] = self.notes
        serialization.write(path, metadata, arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str] | BinaryIO) -> LeNet5:
        """Read a network that `save` wrote.

        Parameters
        ----------
        path : str, path or binary file

        Returns
        -------
        LeNet5

        Raises
        ------
        lenet_c.ModelFileError
            If the file is damaged, is not a model, or comes from a newer version.
        """
        from lenet_c import serialization

        metadata, arrays = serialization.read(path)
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
        except KeyError as error:
            raise serialization.ModelFileError(f"{name}: it has no {error}") from None
        except (TypeError, ValueError) as error:
            raise serialization.ModelFileError(f"{name}: {error}") from None
        network.parameters[...] = parameters
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
        return {
            "architecture": self.architecture,
            "parameters": self.parameters.copy(),
            "codes": None if self.codes is None else np.array(self.codes),
            "notes": self.notes,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._open(state["architecture"], state["codes"])
        self.parameters[...] = state["parameters"]
        self.notes = state.get("notes", {})
