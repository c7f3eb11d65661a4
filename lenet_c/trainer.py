"""Training: passes, order, rates, callbacks. Calls the model and the core's update only."""

from __future__ import annotations

import copy
import io
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import ArrayLike

from lenet_c import _core, calibration, checks
from lenet_c.distort import Distortion
from lenet_c.model import DEFAULT_J, LeNet5, loss_for
from lenet_c.optimizers import SDLM, Adam, Optimizer

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MEASURE_EVERY = 100  # steps between two estimates of the curvature outside of fit


@dataclass
class History:
    """What a training run recorded.

    Attributes
    ----------
    epochs : list of dict
        One a pass: "epoch" (from 1), "loss" and "error_rate" (over the pass, each batch before
        its update), "rate" (of the last update; SDLM's eta), "seconds" (without the validation)
        and "images_per_second"; with validation data also "val_loss" and "val_error_rate".
    """

    epochs: list[dict[str, float]] = field(default_factory=list)

    def __getstate__(self) -> dict[str, Any]:
        return {"epochs": [dict(record) for record in list(self.epochs)]}

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the learning curves with matplotlib (extra "plot").

        Parameters
        ----------
        ax : matplotlib Axes, optional

        Returns
        -------
        matplotlib Axes
        """
        from lenet_c import plot

        return plot.learning_curves(self, ax)


RECORD = ("epoch", "loss", "error_rate", "rate", "seconds", "images_per_second")
VALIDATION_RECORD = ("val_loss", "val_error_rate")


class Callback:
    """What a training run tells its callbacks. Any object with some of these methods will do.

    Attributes
    ----------
    adds : tuple of str
        Keys that its `on_epoch_end` puts into the record, for callbacks after it to monitor.
    """

    adds: tuple[str, ...] = ()

    def on_fit_begin(self, trainer: Trainer) -> None:
        """Before the first pass; `trainer.validates` tells whether there is validation data."""

    def on_batch_end(self, trainer: Trainer, batch: dict[str, float]) -> None:
        """After an update: "step" and "n_steps" of the run, "images", "loss", "errors"."""

    def on_epoch_end(self, trainer: Trainer, record: dict[str, float]) -> None:
        """After a pass, with its record in the history."""

    def on_fit_end(self, trainer: Trainer, history: History) -> None:
        """After the last pass, however the run ended: early, by an error, or interrupted."""

    def state_dict(self) -> dict[str, Any]:
        """Give what it remembers of the run, for `Trainer.save`: what JSON holds, and arrays."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Remember that again, in `Trainer.resume`, after `on_fit_begin`."""


_EVENTS = [name for name in vars(Callback) if name.startswith("on_")]


class _Monitor(Callback):
    """Has a lowest value of something in the epoch's record, since the run began."""

    def __init__(self, monitor: str) -> None:
        if not isinstance(monitor, str):
            raise TypeError(
                f"monitor: got {checks.short(monitor)}, want a key of the record, say 'val_loss'"
            )
        self.monitor = monitor
        self.best = np.inf

    def on_fit_begin(self, trainer: Trainer) -> None:
        """Forget the run before; raise ValueError if the records will not have what is wanted."""
        if self.monitor in VALIDATION_RECORD and not trainer.validates:
            raise ValueError(f"monitor: {self.monitor!r} needs validation_data in fit")
        names = trainer.record_keys(before=self)
        if self.monitor not in names:
            raise ValueError(
                f"monitor: no {self.monitor!r} among {', '.join(names)}; a callback that puts more "
                "into the record stands before this one and names it in its attribute `adds`"
            )
        self.best = np.inf

    def state_dict(self) -> dict[str, Any]:
        """Give the lowest value so far; None: there is none."""
        return {"monitor": self.monitor, "best": None if self.best == np.inf else self.best}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there; raise ValueError if it was the lowest value of something else."""
        if state["monitor"] != self.monitor:
            raise ValueError(f"monitor: got {self.monitor!r}, want {state['monitor']!r} as before")
        best = state["best"]
        self.best = np.inf if best is None else checks.number("best", best)

    def _value(self, record: dict[str, float]) -> float:
        if self.monitor not in record:
            raise ValueError(f"monitor: no {self.monitor!r} among {', '.join(record)}")
        return record[self.monitor]


class EarlyStopping(_Monitor):
    """Ends training when the monitored value has not fallen for some passes.

    Parameters
    ----------
    monitor : str
        A key of the epoch's record.
    patience : int
        Passes without a new lowest value before the run ends, at least 1.
    min_delta : float
        How much lower a new lowest value must be, at least 0.
    """

    def __init__(
        self, monitor: str = "val_error_rate", patience: int = 3, min_delta: float = 0.0
    ) -> None:
        super().__init__(monitor)
        self.patience = checks.whole("patience", patience, 1)
        self.min_delta = checks.number("min_delta", min_delta)
        if not 0.0 <= self.min_delta < np.inf:
            raise ValueError(
                f"min_delta: got {checks.short(min_delta)}, want a finite number of at least 0"
            )
        self.since = 0

    def on_fit_begin(self, trainer: Trainer) -> None:
        """Forget the run before."""
        super().on_fit_begin(trainer)
        self.since = 0

    def state_dict(self) -> dict[str, Any]:
        """Give the lowest value so far, and the passes since."""
        return {**super().state_dict(), "since": self.since}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        super().load_state_dict(state)
        self.since = checks.whole("since", state["since"], 0)

    def on_epoch_end(self, trainer: Trainer, record: dict[str, float]) -> None:
        """Ask the trainer to stop if the value has not fallen."""
        value = self._value(record)
        if value < self.best - self.min_delta:
            self.best, self.since = value, 0
        else:
            self.since += 1
        if self.since >= self.patience:
            trainer.stop = True


class BestWeights(_Monitor):
    """Keeps the weights of the pass with the lowest monitored value.

    Parameters
    ----------
    path : str or path, optional
        A model file to write at each new lowest value.
    monitor : str
        A key of the epoch's record.
    restore : bool
        Put the best weights back into the network at the end of the run, however it ends: also
        after Ctrl-C, or when the loss is no longer finite.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        monitor: str = "val_error_rate",
        restore: bool = True,
    ) -> None:
        super().__init__(monitor)
        if path is not None and not isinstance(path, (str, os.PathLike)):
            raise TypeError(f"path: got {checks.short(path)}, want a path")
        self.path = path
        self.restore = restore
        self.epoch: int | None = None
        self._parameters: np.ndarray | None = None

    def on_fit_begin(self, trainer: Trainer) -> None:
        """Forget the run before."""
        super().on_fit_begin(trainer)
        self.epoch = self._parameters = None

    def state_dict(self) -> dict[str, Any]:
        """Give the best weights so far, and their pass."""
        state = {**super().state_dict(), "epoch": self.epoch}
        return state if self._parameters is None else {**state, "parameters": self._parameters}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        super().load_state_dict(state)
        parameters = state.get("parameters")
        if parameters is not None and not (
            isinstance(parameters, np.ndarray)
            and parameters.dtype == np.float32
            and np.isfinite(parameters).all()
        ):
            raise ValueError("parameters: want a float32 array of finite values")
        self.epoch, self._parameters = state["epoch"], parameters

    def on_epoch_end(self, trainer: Trainer, record: dict[str, float]) -> None:
        """Copy and save the weights if this pass is the best so far."""
        value = self._value(record)
        if value < self.best:
            # One copy, for the file too; and kept in one step, for who pickles it meanwhile.
            network = copy.copy(trainer.network)
            vars(self).update(
                best=value, epoch=int(record["epoch"]), _parameters=network.parameters.copy()
            )
            if self.path is not None:
                network.save(self.path)

    def on_fit_end(self, trainer: Trainer, history: History) -> None:
        """Put the best weights back."""
        if self.restore and self._parameters is not None:
            trainer._put_back(self._parameters)


# images that are looked at, to record what the network learns from
LOOKS_OF_FIT = 1024
LOOKS_OF_STEP = 16


@dataclass
class Run:
    """Where a `fit` stands: what `Trainer.resume` goes on from.

    Attributes
    ----------
    epochs : int
        Passes that it was asked for.
    n_images : int
    calibrate : bool
        Whether the network is calibrated when it ends.
    digest : bytes or None
        Of the images, the labels and the validation data; None until it is asked for.
    order : int64 array (n_images,) or None
        Of the pass under way; None between two passes.
    done : tuple (int, int, float, int)
        Updates of that pass, the trainer's count of updates then, and over the pass the sum of the
        losses and the errors. One tuple: who interrupts sees all of it or nothing.
    seconds : float
        Of that pass until `began`.
    began : float
    random : dict or None
        State of the random numbers before a pass whose order is just being drawn: a signal's
        handler may save in between.
    told : int or None
        Callbacks that have been told of the last pass; None: all of them.
    """

    epochs: int
    n_images: int
    calibrate: bool = False
    digest: bytes | None = None
    order: np.ndarray | None = None
    done: tuple[int, int, float, int] = (0, 0, 0.0, 0)
    seconds: float = 0.0
    began: float = 0.0
    random: Mapping[str, Any] | None = None
    told: int | None = None


KEEP_EVERY = 64  # images between two copies of the weights, in case the loss becomes infinite


def digest_of(data: Iterable[ArrayLike]) -> bytes:
    """Give the SHA-256 of some arrays: shapes, dtypes and values."""
    from hashlib import sha256  # slow to import

    digest = sha256()
    for given in data:
        array = np.asarray(given)
        if array.dtype.kind in "iu" and array.ndim < 2:
            array = array.astype(np.int64)  # labels are the same in any dtype
        digest.update(f"{array.dtype.str} {array.shape}\0".encode())
        flat = array.reshape(1) if array.ndim == 0 else array
        for first in range(0, len(flat), 4096):  # a view that is not contiguous is copied in parts
            digest.update(np.ascontiguousarray(flat[first : first + 4096]).data)
    return digest.digest()


def remembering(callbacks: Iterable[Any]) -> list[Any]:
    """Give the callbacks that have something for `Trainer.save`."""
    empty = Callback.state_dict
    return [one for one in callbacks if getattr(type(one), "state_dict", empty) is not empty]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


class Trainer:
    """Trains a network: passes over shuffled batches, or one batch at a time.

    Parameters
    ----------
    network : LeNet5
        Changed in place.
    optimizer : Optimizer, optional
        Adam(1e-3) by default.
    loss : str, optional
        "map", "mse" or "cross_entropy" (see `LeNet5.loss_and_gradient`). None: "map" for RBF
        outputs, else "cross_entropy".
    j : float
        The constant of "map" (eq. 9), above 0.
    batch_size : int, optional
        Images an update. None: 64, and 1 for SDLM.
    distort : Distortion, optional
        Distort each image anew in each pass and each `step`; then images must be uint8. None:
        train on the images as they are.
    seed : int
        Of the order of the images, of their distortions, and of SDLM's choice among them.
    freeze : iterable of str
        Layers, "C1", or single parameters, "C3.bias", that keep their bits: no update, weight
        decay or moment touches them.
    callbacks : iterable
        Objects with some of `Callback`'s methods.
    num_threads : int, optional
        The trained weights are the same bits for any number.

    Attributes
    ----------
    history : History
        Of the current or last `fit`.
    n_updates : int
    validates : bool
        Whether the current or last `fit` has validation data.
    stop : bool
        Set by a callback to end `fit` after this pass.

    Notes
    -----
    What the images look like is recorded in the network (`LeNet5.learnt_from`). Images unlike those
    that it learnt from before, and validation images unlike the training images, are told by
    `lenet_c.InputWarning`.

    Pickled, deep-copied or saved, with its network, a trainer goes on as it would have done. While
    another thread trains, this waits for the end of the update under way, and what is copied is
    as that update left it: weights, moments and counts belong together. `resume` ends a `fit` that
    was under way then.
    """

    def __init__(
        self,
        network: LeNet5,
        optimizer: Optimizer | None = None,
        loss: str | None = None,
        *,
        j: float = DEFAULT_J,
        batch_size: int | None = None,
        distort: Distortion | None = None,
        seed: int | None = 0,
        freeze: Iterable[str] = (),
        callbacks: Iterable[Any] = (),
        num_threads: int | None = None,
    ) -> None:
        if not isinstance(network, LeNet5):
            raise TypeError(f"network: got {checks.short(network)}, want a LeNet5")
        if optimizer is None:
            optimizer = Adam(1e-3)
        if not isinstance(optimizer, Optimizer):
            raise TypeError(
                f"optimizer: got {checks.short(optimizer)}, want SGD(...), Adam(...) or SDLM(...)"
            )
        if batch_size is None:
            batch_size = optimizer.batch_size
        if distort is not None and not isinstance(distort, Distortion):
            raise TypeError(f"distort: got {checks.short(distort)}, want a Distortion or None")
        self.network = network
        self.optimizer = optimizer
        self.loss, self.j = loss_for(network, loss, j)
        self.batch_size = checks.whole("batch_size", batch_size, 1)
        self.distort = distort
        self.callbacks: list[Any] = []
        for callback in checks.items("callbacks", callbacks, "callbacks"):
            hears = any(hasattr(callback, event) for event in _EVENTS)
            if isinstance(callback, type) or not hears:
                raise TypeError(
                    f"callbacks: got {checks.short(callback)}, want objects with some of "
                    + ", ".join(_EVENTS)
                )
            self.callbacks.append(callback)
        _core.check_num_threads(num_threads)
        self.num_threads = num_threads
        self.validates = False
        self.history = History()
        self.stop = False
        if seed is not None:
            checks.whole("seed", seed, 0)
        seeds = np.random.SeedSequence(seed)
        self._rng = np.random.default_rng(seeds)
        self._distort_seed = int(seeds.spawn(1)[0].generate_state(1, np.uint64)[0])
        self._frozen = network._names_of(freeze, "freeze")
        if len(self._frozen) == len(network):
            raise ValueError("freeze: got every layer that has parameters, want some left to train")
        self._state = optimizer.new_state(network.n_parameters)
        self._state.freeze([network._ranges[name] for name in self._frozen])
        # weights whose loss was finite, kept when KEEP_EVERY images have been learnt since
        self._good: np.ndarray | None = None
        self._spare = np.empty_like(network.parameters)
        self._since_good = 0
        self._run: Run | None = None
        self._data: tuple[Any, ...] = ()  # what the fit under way got, for its digest
        self._callback_states: list[tuple[str, dict[str, Any]]] | None = None  # loaded

    def __repr__(self) -> str:
        return (
            f"Trainer({self.network!r}, {self.optimizer!r}, loss={self.loss!r}, j={self.j:g}, "
            f"batch_size={self.batch_size})"
        )

    def __getstate__(self) -> dict[str, Any]:
        return self.network._turns.copy(self._copied)

    def _copied(self) -> dict[str, Any]:
        state = vars(self).copy()
        del state["_spare"]
        state["_data"] = ()
        for name in ("_state", "_good", "_rng", "_run", "history"):
            state[name] = copy.deepcopy(state[name])
        # The network is copied later, when another update may have been made.
        state["_parameters"] = self.network.parameters.copy()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        parameters = state.pop("_parameters", None)
        vars(self).update({"_run": None, "_data": (), "_callback_states": None, **state})
        self._spare = np.empty_like(self.network.parameters)
        if parameters is not None:
            self.network.parameters[...] = parameters

    def __copy__(self) -> Trainer:
        other = type(self).__new__(type(self))
        vars(other).update(vars(self))  # of the same network, which is not written to
        other._run = copy.copy(self._run)
        return other

    @property
    def n_updates(self) -> int:
        """How many updates were made."""
        return self._state.n_updates

    def fit(
        self,
        images: ArrayLike,
        labels: ArrayLike,
        epochs: int = 12,
        validation_data: tuple[ArrayLike, ArrayLike] | None = None,
        *,
        checkpoint: str | os.PathLike[str] | None = None,
        calibrate: bool = False,
        num_threads: int | None = None,
    ) -> History:
        """Train for some passes over the images, each in a new order.

        The schedule of the rate spans this call; what the optimizer remembers goes on from
        earlier calls. An interrupt (Ctrl-C) ends training with the weights of the last finished
        update. However it ends, callbacks are told (`on_fit_end`), and `BestWeights` puts back what
        it kept.

        Parameters
        ----------
        images : as for `LeNet5.forward`
        labels : integer array (N,)
        epochs : int
            Passes.
        validation_data : (images, labels), optional
            Evaluated after each pass.
        checkpoint : path, optional
            A file that `save` writes after each pass, when all callbacks have been told of it:
            `Trainer.load(path).resume(...)` goes on from there, should this process be killed.
        calibrate : bool
            Calibrate the network (`LeNet5.calibrate`) with the validation data once it has its last
            weights, the best ones where `BestWeights` puts them back; not if an error or an
            interrupt ends the run. Files that callbacks wrote are older than that.
        num_threads : int, optional
            None: the trainer's.

        Returns
        -------
        History

        Raises
        ------
        FloatingPointError
            If the loss is no longer finite; the network then has the last weights whose loss was
            finite, those before the last update (with less than 64 images an update, from up to 64
            images earlier). Also if outputs for the validation images are not finite.
        ValueError
            If `calibrate` is given without validation data, or too few of them: before training;
            if the network reads them no better than by chance: after it.
        """
        epochs = checks.whole("epochs", epochs, 1)
        threads = self._threads(num_threads)
        samples = self._samples(images, labels, LOOKS_OF_FIT)
        self._check_validation(validation_data, calibrate)
        self.validates = validation_data is not None
        self.history = History()
        self.stop = False
        self._run = self._callback_states = None
        if checkpoint is not None:
            self.save(io.BytesIO())  # what cannot be saved is told now
        self._tell("on_fit_begin")
        run = Run(epochs, samples.n, calibrate)
        with self._under_way(run, (images, labels, *(validation_data or ()))):
            if checkpoint is not None:
                self.save(checkpoint)
            self._train(samples, validation_data, threads, checkpoint)
        self._calibrate(run, validation_data, threads)
        return self.history

    def resume(
        self,
        images: ArrayLike,
        labels: ArrayLike,
        validation_data: tuple[ArrayLike, ArrayLike] | None = None,
        *,
        checkpoint: str | os.PathLike[str] | None = None,
        num_threads: int | None = None,
    ) -> History:
        """End the `fit` that was under way when the trainer was saved, pickled or copied.

        With the same images, and callbacks of the same kinds, it gives the same bits as the `fit`
        that was not interrupted: weights, moments, history (but for the seconds), best weights.

        Parameters
        ----------
        images, labels, validation_data : as `fit` got them
        checkpoint, num_threads : as for `fit`

        Returns
        -------
        History
            With the passes before.

        Raises
        ------
        ValueError
            If no `fit` was under way, the images are others, or the callbacks do not fit.
        FloatingPointError
            As `fit`.

        Examples
        --------
        A training that may be killed at any time::

            if os.path.exists("state.npz"):
                trainer = Trainer.load("state.npz", callbacks=[EarlyStopping()])
                trainer.resume(x, y, (xv, yv), checkpoint="state.npz")
            else:
                trainer = Trainer(LeNet5(), Adam(1e-3), callbacks=[EarlyStopping()])
                trainer.fit(x, y, 100, (xv, yv), checkpoint="state.npz")
        """
        if self._run is None:
            raise ValueError(
                "resume: no fit was under way when this trainer was saved or copied; fit begins one"
            )
        threads = self._threads(num_threads)
        # what the images look like was recorded when the fit began, and counts once
        looks = 0
        if self.network.learnt_from is None:  # not by early versions; then nothing is known
            self.network._network.learnt_from = None
            looks = LOOKS_OF_FIT
        samples = self._samples(images, labels, looks)
        self._check_validation(validation_data, self._run.calibrate)
        if self.validates != (validation_data is not None):
            had = "had" if self.validates else "had no"
            raise ValueError(f"validation_data: the fit under way {had} validation data")
        data = (images, labels, *(validation_data or ()))
        run = copy.copy(self._run)
        if samples.n != run.n_images:
            raise ValueError(
                f"images: got {samples.n:,}, the fit under way has {run.n_images:,}: want the same"
            )
        if run.digest is not None and run.digest != digest_of(data):
            raise ValueError(
                "images: these, their labels or the validation data are not those that the fit "
                "under way began with: want the same, in the same order"
            )
        if run.told is not None and run.told > len(self.callbacks):
            raise ValueError(
                f"callbacks: got {len(self.callbacks)}, want those that the fit under way had"
            )
        states = self._callback_states
        with_memory = remembering(self.callbacks)
        if states is not None:
            kinds = [type(callback).__name__ for callback in with_memory]
            if kinds != [kind for kind, _ in states]:
                raise ValueError(
                    f"callbacks: the fit under way had {_listed(kind for kind, _ in states)}, got "
                    f"{_listed(kinds)}: want the same, Trainer.load(path, callbacks=[...])"
                )
        memories = [state for _, state in states] if states is not None else []
        if states is None:  # a pickled or copied trainer has its callbacks with it
            memories = [copy.deepcopy(callback.state_dict()) for callback in with_memory]
        self._tell("on_fit_begin")
        for callback, memory in zip(with_memory, memories, strict=True):
            try:
                callback.load_state_dict(memory)
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError(
                    f"callbacks: {type(callback).__name__} cannot go on from what was saved "
                    f"({error})"
                ) from error
        self._callback_states = None
        with self._under_way(run, data):
            run.began = time.perf_counter()
            if run.random is not None and run.order is None:
                self._rng.bit_generator.state = run.random
            self._train(samples, validation_data, threads, checkpoint)
        self._calibrate(run, validation_data, threads)
        return self.history

    def save(self, path: str | os.PathLike[str] | BinaryIO) -> None:
        """Write what training goes on from to a file (no pickle, versioned, checksummed, atomic).

        That is the network, the optimizer with what it remembers, the settings, the state of the
        random numbers, the history, what the callbacks remember (`Callback.state_dict`) and, called
        while `fit` runs, where that stands: by a callback, by another thread or a signal's handler.
        The images are not in the file. What is there is as one update left it, as in a copy.

        Parameters
        ----------
        path : str, path or binary file
            As for `LeNet5.save`.

        Raises
        ------
        TypeError, ValueError
            As `LeNet5.save`; also if the schedule is a function of one's own, which no file holds.
        OSError
            If the file cannot be written.
        """
        from lenet_c import checkpoint

        checkpoint.save(self, path)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str] | BinaryIO,
        *,
        callbacks: Iterable[Any] = (),
        num_threads: int | None = None,
        max_bytes: int | None = None,
    ) -> Trainer:
        """Read a trainer that `save` wrote, with its network.

        Parameters
        ----------
        path : str, path or binary file
        callbacks : iterable
            A file has what callbacks remember, not the callbacks: new ones of the same kinds, in
            the same order, get it in `resume`. Others, which remember nothing, may come and go.
        num_threads : int, optional
        max_bytes : int, optional
            The largest file to accept; 256 MiB by default.

        Returns
        -------
        Trainer

        Raises
        ------
        lenet_c.ModelFileError
            If the file is damaged, is no trainer's, is too large, or comes from a newer version.
        OSError
            If it cannot be read.
        """
        from lenet_c import checkpoint

        return checkpoint.load(cls, path, callbacks, num_threads, max_bytes)

    def _check_validation(self, validation_data: object, calibrate: bool) -> None:
        """Raise what `evaluate` and `calibrate` would, before training."""
        if validation_data is None:
            if calibrate:
                raise ValueError(
                    "calibrate: got no validation data, want validation_data=(images, labels): "
                    "images that are not trained on"
                )
            return
        if not isinstance(validation_data, (tuple, list)) or len(validation_data) != 2:
            raise TypeError("validation_data: want a pair (images, labels)")
        if validation_data[1] is None:
            raise ValueError("validation_data: no labels")
        data = (*validation_data, 0, "validation_data", False)  # looked at when training begins
        n = _core.Samples(self.network._network, *data).n
        if calibrate:
            calibration.check(n, self.network.architecture)

    def _calibrate(
        self, run: Run, validation_data: tuple[ArrayLike, ArrayLike] | None, threads: int | None
    ) -> None:
        if run.calibrate and validation_data is not None:
            self.network.calibrate(*validation_data, num_threads=threads)

    @contextmanager
    def _under_way(self, run: Run, data: tuple[Any, ...]) -> Iterator[None]:
        """Keep where the fit in this block stands, and tell the callbacks that it ends."""
        self._run, self._data = run, data
        try:
            try:
                yield
            except BaseException:
                with suppress(Exception):  # what ended the run is told
                    self._tell_end()
                raise
            self._tell_end()
        finally:
            self._run, self._data = None, ()

    def _train(
        self,
        samples: _core.Samples,
        validation_data: tuple[ArrayLike, ArrayLike] | None,
        threads: int | None,
        checkpoint: str | os.PathLike[str] | None,
    ) -> None:
        others = None
        if validation_data is not None:
            others = _core.Samples(self.network._network, *validation_data, 0, "validation_data")
        run = self._run
        assert run is not None
        epochs = self.history.epochs
        while True:
            if run.told is not None:
                while run.told < len(self.callbacks):
                    callback = self.callbacks[run.told]
                    run.told += 1  # one that saves has been told itself
                    if hasattr(callback, "on_epoch_end"):
                        callback.on_epoch_end(self, epochs[-1])
                run.told = None
                if checkpoint is not None:
                    self.save(checkpoint)
            if self.stop or len(epochs) >= run.epochs:
                break
            record = self._run_epoch(samples, run, threads)
            if others is not None:
                result = self.network._evaluate(others, self.loss, self.j, threads)
                record |= {"val_loss": result.loss, "val_error_rate": result.error_rate}
            with self.network._turns.changing:
                epochs.append(record)
                run.order, run.told = None, 0

    def record_keys(self, before: object = None) -> list[str]:
        """Give the keys that the records of the current `fit` have.

        Parameters
        ----------
        before : callback, optional
            As this one sees the record: with what the callbacks before it say that they add.

        Returns
        -------
        list of str
        """
        keys = [*RECORD, *(VALIDATION_RECORD if self.validates else ())]
        for callback in self.callbacks:
            if callback is before:
                break
            keys += getattr(callback, "adds", ())
        return keys

    def step(
        self, images: ArrayLike, labels: ArrayLike, *, num_threads: int | None = None
    ) -> float:
        """Make one update on one batch, at the optimizer's rate without its schedule.

        Parameters
        ----------
        images : as for `LeNet5.forward`
        labels : integer array (N,), or an integer for one image
        num_threads : int, optional
            None: the trainer's.

        Returns
        -------
        float
            The batch's mean loss before the update.

        Raises
        ------
        FloatingPointError
            If the loss is no longer finite; the network then has the last weights whose loss was
            finite, those before the last update (with less than 64 images an update, from up to 64
            images earlier).
        """
        threads = self._threads(num_threads)
        samples = self._samples(images, labels, LOOKS_OF_STEP)
        if not self._state.n_measured or self.n_updates % MEASURE_EVERY == 0:
            self._measure(samples, threads)
        return self._update(samples, None, self.optimizer.lr, threads)[0]

    def _threads(self, num_threads: int | None) -> int | None:
        if num_threads is None:
            return self.num_threads
        _core.check_num_threads(num_threads)
        return num_threads

    def _samples(self, images: ArrayLike, labels: ArrayLike, learn: int) -> _core.Samples:
        samples = _core.Samples(self.network._network, images, labels, learn)
        if self.distort is not None and not samples.is_grey:
            raise TypeError("images: dtype float32, want uint8 (raw grey) with distort")
        return samples

    def _begin_epoch(self, samples: _core.Samples, run: Run, threads: int | None) -> np.ndarray:
        """Measure the curvature and draw the order, between two copies and as a whole."""
        with self.network._turns.changing:
            run.began = time.perf_counter()
            run.random = self._rng.bit_generator.state
            self._measure(samples, threads, anew=True)
            order = self._rng.permutation(samples.n)
            run.seconds = 0.0
            run.done = (0, self.n_updates, 0.0, 0)
            run.order = order
            run.random = None
            return order

    def _run_epoch(self, samples: _core.Samples, run: Run, threads: int | None) -> dict[str, float]:
        order = run.order
        if order is None:
            order = self._begin_epoch(samples, run, threads)
        epoch = len(self.history.epochs) + 1
        steps = -(-samples.n // self.batch_size)
        n_steps = steps * run.epochs
        rate = None
        listeners = [c.on_batch_end for c in self.callbacks if hasattr(c, "on_batch_end")]
        for k in range(run.done[0], steps):
            batch = order[k * self.batch_size : (k + 1) * self.batch_size]
            step = (epoch - 1) * steps + k
            rate = self.optimizer.rate(step, n_steps, epoch)
            loss, errors = self._update(samples, batch, rate, threads)
            for listener in listeners:
                listener(
                    self,
                    {
                        "step": step + 1,
                        "n_steps": n_steps,
                        "images": len(batch),
                        "loss": loss,
                        "errors": errors,
                    },
                )
        if rate is None:  # saved after the pass's last update
            rate = self.optimizer.rate(epoch * steps - 1, n_steps, epoch)
        seconds = run.seconds + time.perf_counter() - run.began
        _, _, total_loss, n_errors = run.done
        return {
            "epoch": epoch,
            "loss": total_loss / samples.n,
            "error_rate": n_errors / samples.n,
            "rate": rate,
            "seconds": seconds,
            "images_per_second": samples.n / seconds,
        }

    def _measure(self, samples: _core.Samples, threads: int | None, anew: bool = False) -> None:
        """Estimate the curvature, if the optimizer uses it: in a running mean, or anew by chance.

        The running mean is over the images measured so far, at most `optimizer.samples` of them.
        """
        optimizer, state = self.optimizer, self._state
        if not isinstance(optimizer, SDLM):
            return
        pick, share = None, 1.0
        if anew:
            n = min(optimizer.samples, samples.n)
            pick = self._rng.choice(samples.n, n, replace=False)
            n_measured = optimizer.samples
        else:
            n_measured = min(state.n_measured + samples.n, optimizer.samples)
            share = min(samples.n / n_measured, 1.0)
        try:
            measured = self.network._network.curvature(samples, pick, self.loss, self.j, threads)
        except FloatingPointError:
            with self.network._turns.changing:
                if self._good is not None:  # the weights at hand may be what made the loss infinite
                    self.network.parameters[...] = self._good
                state.forget_if_bad()
            raise FloatingPointError(
                f"the curvature is not finite before update {self.n_updates + 1}; the network has "
                "the last weights again whose loss was finite"
            ) from None
        assert state.second is not None
        if share < 1.0:
            measured = state.second + np.float32(share) * (measured - state.second)
        with self.network._turns.changing:
            state.rate = None
            state.second[...] = measured
            state.n_measured = n_measured

    def _set_rates(self, rate: float) -> None:
        """Give each parameter its rate, if the optimizer has such and they are of another one."""
        if isinstance(self.optimizer, SDLM) and self._state.rate != rate:
            assert self._state.first is not None
            assert self._state.second is not None
            self._state.first[...] = self.optimizer.rates(rate, self._state.second)
            self._state.rate = rate

    def _put_back(self, parameters: np.ndarray) -> None:
        if parameters.shape != self.network.parameters.shape:
            raise ValueError(
                f"parameters: the best weights are {parameters.shape}, the network has "
                f"{self.network.parameters.shape}"
            )
        with self.network._turns.changing:
            self.network.parameters[...] = parameters

    def _update(
        self, samples: _core.Samples, batch: np.ndarray | None, rate: float, threads: int | None
    ) -> tuple[float, int]:
        turns = self.network._turns
        if turns.asked:
            turns.give_way()
        with turns.changing:
            keep = self._good is None or self._since_good >= KEEP_EVERY
            if keep:
                np.copyto(self._spare, self.network.parameters)
            self._set_rates(rate)
            distortion = None
            if self.distort is not None:
                distortion = (astuple(self.distort), self._distort_seed)
            # the weights at hand may be what makes the loss infinite: an older copy, if any
            fallback = self._spare if self._good is None else self._good
            try:
                result = self.network._network.step(
                    samples,
                    batch,
                    self.loss,
                    self.j,
                    self._state,
                    rate,
                    threads,
                    distortion,
                    fallback,
                )
            except FloatingPointError:
                raise FloatingPointError(
                    f"the loss is no longer finite at update {self.n_updates + 1} (rate {rate:g}); "
                    "the network has the last weights again whose loss was finite"
                ) from None
            if keep:
                spare = np.empty_like(self._spare) if self._good is None else self._good
                self._good, self._spare, self._since_good = self._spare, spare, 0
            self._since_good += samples.n if batch is None else len(batch)
            if (run := self._run) is not None:
                k, _, total_loss, n_errors = run.done
                if batch is not None:
                    k, n_errors = k + 1, n_errors + result[1]
                    total_loss += result[0] * len(batch)
                run.done = k, self.n_updates, total_loss, n_errors
            return result

    def _tell(self, event: str, *what: object) -> None:
        for callback in self.callbacks:
            if hasattr(callback, event):
                getattr(callback, event)(self, *what)

    def _tell_end(self) -> None:
        """Tell every callback that the run has ended, also if one of them fails."""
        failed: BaseException | None = None
        for callback in self.callbacks:
            try:
                if hasattr(callback, "on_fit_end"):
                    callback.on_fit_end(self, self.history)
            except BaseException as error:
                failed = failed or error
        if failed is not None:
            raise failed
