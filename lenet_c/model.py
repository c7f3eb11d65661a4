"""The network that people hold: parameters, forward, predict, evaluate, save, load."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lenet_c import _core, checks, initial
from lenet_c._moved import getter
from lenet_c.architecture import Architecture
from lenet_c.classes import (
    architecture_for,
    checked_codes,
    checked_names,
    codes_for,
    letters,
    shared,
)
from lenet_c.layers import Conv
from lenet_c.losses import DEFAULT_J
from lenet_c.network import Network
from lenet_c.networks import NETWORKS
from lenet_c.reader import Reader

if TYPE_CHECKING:
    from lenet_c.compiled import CompiledLeNet5

Floats = NDArray[np.float32]

__getattr__ = getter(__name__, {"Evaluation": "lenet_c.evaluation"})


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


class LeNet5(Network, Reader):
    """A LeNet-5: the 1998 network, or another `Architecture`.

    Parameters
    ----------
    architecture : Architecture or str, optional
        Or the name of one, of `lenet_c.networks.NETWORKS`: "lenet5-1998", "lenet5-modern",
        "lenet1", ... The 1998 network by default, with as many classes and units in F6 as `codes`
        ask for.
    seed : int
        Of the initial weights.
    codes : array (classes, code length), optional
        What the RBF units compare F6 with, say ``codes.of("ABC")``; the paper's ten digits by
        default. Where the architecture trains its codes, these are where they begin.
    init : str, optional
        How the weights begin: "paper", "he" or "glorot" (see `lenet_c.initial`). By default "he"
        in layers of rectified units, four times "glorot" in those of sigmoids, "paper" in all
        others.

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
    subspaces : float32 array (classes, 1 + directions, height, width) or None; or with channels
        What images of each class look like, which a `Rejection` with a distance needs; None until
        `calibrate` sets it.

    Notes
    -----
    ``net["C3.weight"]`` is a named view into `parameters`, ``list(net)`` gives the names;
    ``net["C3.weight"] = values`` copies values in, as assigning `parameters` does. Images
    are uint8 (N, 28, 28) or (N, 32, 32), raw grey with 0 for background and 255 for ink, or
    float32 (N, H, W) already normalised; one image (H, W) is a batch of one. Other networks take
    uint8 images of their own size or up to 8 pixels smaller, by an even number, which are padded
    with background, and float32 images of their size; networks of several channels take
    (N, channels, H, W) or one (channels, H, W). Calls that run the network take
    `num_threads`; results are the same bits for any number. With the size of its batch an image's
    outputs may differ in the last bits: few images run by other kernels than many. One network may
    predict from many Python threads at once.

    Calls that take images compare some of them with those that the network learnt from
    (`learnt_from`): `lenet_c.InputWarning` tells of another range, polarity or background, and a
    ValueError of uint8 images of 0 and 1 and of floats far beyond the range, both with the line of
    code that mends it. Where `rejection` rejects many of 20 images or more, a warning tells which
    turn would help; where it rejects most, also that none does.

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

    _network: _core.Network

    def __init__(
        self,
        architecture: Architecture | str | None = None,
        *,
        seed: int | np.random.SeedSequence | None = 0,
        codes: ArrayLike | None = None,
        init: str | None = None,
    ) -> None:
        if architecture is None:
            architecture = architecture_for(codes)
        architecture = checks.named(
            "architecture", architecture, NETWORKS, Architecture, "an Architecture"
        )
        if seed is not None and not isinstance(seed, np.random.SeedSequence):
            checks.whole("seed", seed, 0)
        initial.check(init)
        checked = checked_codes(architecture, codes)
        _check_memory(architecture)
        self._open(architecture, checked)
        rng = np.random.default_rng(seed)
        for name in self:
            if name != self._code_name:  # codes begin as codes
                self[name][...] = initial.draw(architecture, name, init, rng)

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
                start, end = other._ranges[name]
                self[name][...] = theirs_now[start:end].reshape(self[name].shape)
        if layers is None:
            self._take_record(other)

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
        names = checked_names("class_names", letters(class_names))
        kept = shared(self.class_names, self.architecture.characters, names)
        blank = self.architecture.blank
        architecture = self.architecture.with_classes(len(names) + blank)
        mine = self._snapshot()
        last = architecture.layers[-1].name
        own = self._codes_of(mine)
        characters = own if own is None or not blank else own[:-1]
        chosen = codes_for(self.architecture, names, kept, codes, characters)
        if blank and chosen is not None and own is not None:
            chosen = np.concatenate([np.asarray(chosen), own[-1:]])
        network = LeNet5(architecture, seed=seed, codes=chosen)
        for name in network:
            start, end = self._ranges[name]
            theirs = mine[start:end].reshape(self._shapes[name])
            if name.partition(".")[0] != last:
                network[name][...] = theirs
            elif name != self._code_name:
                for new, old in kept.items():
                    network[name][new] = theirs[old]
                if blank:
                    network[name][-1] = theirs[-1]
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
        names = checked_names("class_names", letters(class_names))
        kept = shared(self.class_names, self.architecture.characters, names)
        return tuple(names[new] for new in kept)

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

        calibration.calibrate(self, images, labels, reject, num_threads)
        return self

    def compile(self) -> CompiledLeNet5:
        """Give a copy that reads and never changes, its weights packed for the kernels.

        It gives the same bits, and does not see what becomes of this network later.

        Returns
        -------
        CompiledLeNet5

        Raises
        ------
        MemoryError
            If it would take more memory than `lenet_c.set_memory_limit` allows.

        Examples
        --------
        >>> LeNet5.pretrained("mnist-modern").compile()
        CompiledLeNet5('lenet5-modern', 61,706 parameters)
        """
        from lenet_c.compiled import CompiledLeNet5

        return CompiledLeNet5(self)

    def loss_and_gradient(
        self,
        images: ArrayLike,
        labels: ArrayLike,
        loss: str | None = None,
        *,
        j: float = DEFAULT_J,
        temperature: float = 1.0,
        sample_weight: ArrayLike | None = None,
        num_threads: int | None = None,
    ) -> tuple[float, Floats]:
        r"""Give the mean loss over a batch and its gradient for the parameters.

        Parameters
        ----------
        images : as for `forward`
        labels : integer array (N,), or float array (N, classes)
            Or each class's probability: the loss is then the mean over the classes by these. So
            one network learns from another's answers (`lenet_c.committee.distil`).
        loss : str, optional
            "map": eq. (9), also for logits, as negated penalties. "mse": eq. (8), the penalty of
            the right class; for linear outputs the squared distance to targets of +1 for the
            right class and -1 for the others, of which a probability p is 2 p - 1.
            "cross_entropy": over logits or negated penalties.
            None: "map" for RBF outputs, else "cross_entropy".
        j : float
            Penalty of the rubbish class in "map", above 0.
        temperature : float
            "map" and "cross_entropy" take penalties or logits divided by it. Above 1, wrong classes
            count while they are farther behind. The network's own `temperature` plays no part.
        sample_weight : array (N,), optional
            What each image counts, 0 or more and not all 0. The mean is then the sum of an image's
            loss times its weight, divided by the sum of the weights. By default all count the same.
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

        Notes
        -----
        For penalties :math:`y_i` and right classes :math:`D`, at temperature 1, "mse" and "map" are
        the means over the batch of

        .. math:: y_D, \qquad y_D + \log \bigl( e^{-j} + \sum_i e^{-y_i} \bigr).
        """
        samples = _core.Samples(self._network, images, labels, weights=sample_weight, soft=True)
        value, _, gradient = self._network.gradient(
            samples, *self._criterion(loss, j, temperature), num_threads
        )
        return value, gradient

    def curvature(
        self,
        images: ArrayLike,
        labels: ArrayLike,
        loss: str | None = None,
        *,
        j: float = DEFAULT_J,
        temperature: float = 1.0,
        sample_weight: ArrayLike | None = None,
        num_threads: int | None = None,
    ) -> Floats:
        """Give the diagonal of the mean loss's Gauss-Newton matrix: h_kk of each parameter.

        Second derivatives are carried backwards with squared weights and squared slopes, and a
        parameter that connections share has the sum of theirs (LeCun et al. 1998, appendix C).
        `SDLM` sets its rates by it. csrc/run/curvature.c says what the loss contributes.

        Parameters
        ----------
        images, labels, loss, j, temperature, sample_weight, num_threads : as for
            `loss_and_gradient`

        Returns
        -------
        float32 array (n_parameters,)
            In the order of `parameters`; none is negative.

        Raises
        ------
        FloatingPointError
            If it is not finite.
        """
        samples = _core.Samples(self._network, images, labels, weights=sample_weight, soft=True)
        return self._network.curvature(
            samples, None, *self._criterion(loss, j, temperature), num_threads
        )

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
        from lenet_c import model_file

        model_file.save(self, path)

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
        from lenet_c import model_file

        return model_file.load(cls, path, max_bytes, max_metadata)

    @classmethod
    def pretrained(cls, name: str = "mnist") -> LeNet5:
        """Give a network that this project trained; its weights came with the library.

        Parameters
        ----------
        name : str
            "mnist": the 1998 network. "mnist-modern": `LENET5_MODERN`. `lenet_c.recipes.mnist`
            trained both; `notes` tells how, and their error rates on the test images.
            "printed": the 1998 network for the 95 printable ASCII characters, as
            ``preprocess.character(..., line=...)`` cuts them from a printed page;
            `lenet_c.recipes.printed` trained it.
            "strings": `LENET5_STRINGS`, which `LineReader.pretrained` reads lines with.

        Returns
        -------
        LeNet5

        Raises
        ------
        TypeError, ValueError
            For another name.

        Examples
        --------
        >>> LeNet5.pretrained("mnist").n_parameters
        60000
        """
        from lenet_c.model_file import pretrained_files

        known = pretrained_files()
        checks.one_of("name", name, known)
        return cls.load(io.BytesIO(known[name].read_bytes()))
