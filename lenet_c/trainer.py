"""Training: passes over images in a new order each, their rates, and who is told of them."""

from __future__ import annotations

import copy
import io
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import ArrayLike

from lenet_c import _core, calibration, checks, progress, splits
from lenet_c import callbacks as callbacks_
from lenet_c._moved import getter
from lenet_c.distort import Distortion
from lenet_c.history import RECORD, VALIDATION_RECORD, History
from lenet_c.losses import DEFAULT_J
from lenet_c.model import LeNet5
from lenet_c.optimizers import Factors, Optimizer
from lenet_c.run import Run
from lenet_c.updates import Updates, strings_of

LOOKS_OF_FIT = 1024  # images that are looked at, to record what the network learns from

__getattr__ = getter(
    __name__,
    {
        **dict.fromkeys(("BestWeights", "Callback", "EarlyStopping"), "lenet_c.callbacks"),
        **dict.fromkeys(("KEEP_EVERY", "LOOKS_OF_STEP"), "lenet_c.updates"),
        "MEASURE_EVERY": "lenet_c.optimizers",
    },
)


def _data_of(
    images: ArrayLike,
    labels: ArrayLike,
    sample_weight: ArrayLike | None,
    validation_data: Sequence[ArrayLike] | None,
) -> tuple[ArrayLike, ...]:
    """Give all that a fit learns from."""
    given = (images, labels, sample_weight, *(validation_data or ()))
    return tuple(part for part in given if part is not None)


class Trainer(Updates):
    """Trains a network: passes over shuffled batches, or one batch at a time.

    Parameters
    ----------
    network : LeNet5
        Changed in place.
    optimizer : Optimizer or str, optional
        Or the name of one with its defaults: "adam", "sgd" or "sdlm". Adam(1e-3) by default.
    loss : str, optional
        "map", "mse" or "cross_entropy" (see `LeNet5.loss_and_gradient`). None: "map" for RBF
        outputs, else "cross_entropy". A network with a blank class (`Architecture`) also learns
        strings, by "forward", its default, "viterbi" or "discriminative" (`lenet_c.criteria`).
    j : float
        The constant of "map" (eq. 9), above 0.
    temperature : float
        What "map" and "cross_entropy" divide penalties or logits by (see
        `LeNet5.loss_and_gradient`).
    batch_size : int, optional
        Images an update. None: 64, and 1 for SDLM.
    distort : Distortion or str, optional
        Distort each image anew in each pass and each `step`; then images must be uint8. Or the
        name of one: "affine", "slight" or "world" (`lenet_c.distort`). None: train on the images
        as they are, as strings always are.
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

    Raises
    ------
    TypeError, ValueError
        If an argument is not as said, or the loss or the optimizer is none for this network.

    Notes
    -----
    What the images look like is recorded in the network (`LeNet5.learnt_from`). Images unlike those
    that it learnt from before, and validation images unlike the training images, are told by
    `lenet_c.InputWarning`.

    Pickled, deep-copied or saved, with its network, a trainer goes on as it would have done. While
    another thread trains, this waits for the end of the update under way, and what is copied is
    as that update left it: weights, moments and counts belong together. `resume` ends a `fit` that
    was under way then.

    Examples
    --------
    >>> import lenet_c
    >>> (x, y), (xt, yt) = lenet_c.datasets.digits()
    >>> net = lenet_c.LeNet5("lenet5-28")
    >>> best = lenet_c.BestWeights()
    >>> trainer = lenet_c.Trainer(net, "adam", distort="slight", callbacks=[best])
    >>> history = trainer.fit(x, y, epochs=20, validation_split=0.2)
    >>> net.evaluate(xt, yt).error_rate < 0.2
    True
    """

    def __init__(
        self,
        network: LeNet5,
        optimizer: Optimizer | str | None = None,
        loss: str | None = None,
        *,
        j: float = DEFAULT_J,
        temperature: float = 1.0,
        batch_size: int | None = None,
        distort: Distortion | str | None = None,
        seed: int | None = 0,
        freeze: Iterable[str] = (),
        callbacks: Iterable[Any] = (),
        num_threads: int | None = None,
    ) -> None:
        super().__init__(
            network, optimizer, loss, j, temperature, distort, seed, freeze, num_threads
        )
        if batch_size is None:
            batch_size = self.optimizer.batch_size
        self.batch_size = checks.whole("batch_size", batch_size, 1)
        self.callbacks = callbacks_.checked(callbacks)
        self.history = History()
        self.validates = False
        self.stop = False
        self._data: tuple[Any, ...] = ()  # what the fit under way got, for its digest
        self._callback_states: list[tuple[str, dict[str, Any]]] | None = None  # loaded
        self._shown: progress.PassLines | None = None  # how a verbose fit goes on

    def __repr__(self) -> str:
        return (
            f"Trainer({self.network!r}, {self.optimizer!r}, loss={self.loss!r}, j={self.j:g}, "
            f"temperature={self.temperature:g}, batch_size={self.batch_size})"
        )

    def __getstate__(self) -> dict[str, Any]:
        return self.network._turns.copy(self._copied)

    def _copied(self) -> dict[str, Any]:
        state = vars(self).copy()
        del state["_spare"]
        state["_shown"] = None
        state["_data"] = ()
        for name in ("_state", "_good", "_rng", "_run", "history"):
            state[name] = copy.deepcopy(state[name])
        # The network is copied later, when another update may have been made.
        state["_parameters"] = self.network.parameters.copy()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = {"_factors": Factors(state["optimizer"]), **state}
        parameters = state.pop("_parameters", None)
        vars(self).update(
            {"_run": None, "_data": (), "_callback_states": None, "_shown": None, **state}
        )
        self._spare = np.empty_like(self.network.parameters)
        if parameters is not None:
            self.network.parameters[...] = parameters

    def __copy__(self) -> Trainer:
        other = type(self).__new__(type(self))
        vars(other).update(vars(self))  # of the same network, which is not written to
        other._run = copy.copy(self._run)
        other._shown = None
        return other

    def fit(
        self,
        images: ArrayLike,
        labels: ArrayLike,
        epochs: int = 12,
        validation_data: tuple[ArrayLike, ...] | None = None,
        *,
        validation_split: float = 0.0,
        sample_weight: ArrayLike | None = None,
        verbose: bool | int = False,
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
        images, labels : as for `step`
        epochs : int
            Passes.
        validation_data : (images, labels) or (images, labels, sample_weight), optional
            Evaluated after each pass.
        validation_split : float
            In its place: the last share of the images, as they are given and before any shuffling,
            which are not trained on. At least 0 and below 1; 0: none. A warning
            (`lenet_c.InputWarning`) tells if classes are only among them, as in sorted images.
        sample_weight : array (N,), optional
            What each image counts (see `LeNet5.loss_and_gradient`): in each update the mean over
            its images is by their weights. Those of weight 0 take no part. Strings have none.
        verbose : bool or int
            Whether to show how it goes on; by default nothing is printed. True or 1: a line a pass
            and, on a terminal or in a notebook, a bar, if tqdm is installed (see `ProgressBar`);
            2: the lines alone.
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
        shown = progress.shown(verbose, self.callbacks)
        (images, labels, sample_weight), validation_data = splits.held_out(
            validation_split, validation_data, images, labels, sample_weight
        )
        samples = self._samples(images, labels, LOOKS_OF_FIT, sample_weight)
        self._check_validation(validation_data, calibrate, validation_split)
        self.validates = validation_data is not None
        self.history = History()
        self.stop = False
        self._run = self._callback_states = None
        if checkpoint is not None:
            self.save(io.BytesIO())  # what cannot be saved is told now
        self._tell("on_fit_begin")
        run = Run(epochs, samples.n, calibrate)
        data = _data_of(images, labels, sample_weight, validation_data)
        with self._under_way(run, data, shown):
            if checkpoint is not None:
                self.save(checkpoint)
            self._train(samples, validation_data, threads, checkpoint)
        self._calibrate(run, validation_data, threads)
        return self.history

    def resume(
        self,
        images: ArrayLike,
        labels: ArrayLike,
        validation_data: tuple[ArrayLike, ...] | None = None,
        *,
        validation_split: float = 0.0,
        sample_weight: ArrayLike | None = None,
        verbose: bool | int = False,
        checkpoint: str | os.PathLike[str] | None = None,
        num_threads: int | None = None,
    ) -> History:
        """End the `fit` that was under way when the trainer was saved, pickled or copied.

        With the same images, and callbacks of the same kinds, it gives the same bits as the `fit`
        that was not interrupted: weights, moments, history (but for the seconds), best weights.

        Parameters
        ----------
        images, labels, validation_data, validation_split, sample_weight : as `fit` got them
        verbose, checkpoint, num_threads : as for `fit`

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
        shown = progress.shown(verbose, self.callbacks)
        (images, labels, sample_weight), validation_data = splits.held_out(
            validation_split, validation_data, images, labels, sample_weight
        )
        # what the images look like was recorded when the fit began, and counts once
        looks = 0
        if self.network.learnt_from is None:  # not by early versions; then nothing is known
            self.network._network.learnt_from = None
            looks = LOOKS_OF_FIT
        samples = self._samples(images, labels, looks, sample_weight)
        self._check_validation(validation_data, self._run.calibrate, validation_split)
        if self.validates != (validation_data is not None):
            had = "had" if self.validates else "had no"
            raise ValueError(f"validation_data: the fit under way {had} validation data")
        data = _data_of(images, labels, sample_weight, validation_data)
        run = copy.copy(self._run)
        run.check(samples.n, data)
        if run.told is not None and run.told > len(self.callbacks):
            raise ValueError(
                f"callbacks: got {len(self.callbacks)}, want those that the fit under way had"
            )
        memories = callbacks_.memories(self.callbacks, self._callback_states)
        self._tell("on_fit_begin")
        callbacks_.remind(memories)
        self._callback_states = None
        with self._under_way(run, data, shown):
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

    def _check_validation(
        self, validation_data: object, calibrate: bool, validation_split: float
    ) -> None:
        """Raise what `evaluate` and `calibrate` would, before training."""
        name = "validation_split" if validation_split else "validation_data"
        if validation_data is None:
            if calibrate:
                raise ValueError(
                    "calibrate: got no validation data, want validation_data=(images, labels): "
                    "images that are not trained on"
                )
            return
        if not isinstance(validation_data, (tuple, list)) or len(validation_data) not in (2, 3):
            raise TypeError(
                "validation_data: want a pair (images, labels), or (images, labels, sample_weight)"
            )
        if validation_data[1] is None:
            raise ValueError("validation_data: no labels")
        if self._learns_strings:
            images, labels, *weights = validation_data
            if weights and weights[0] is not None:
                raise ValueError("validation_data: got weights, want none with strings")
            strings_of(self.network, images, labels, name)
            if calibrate:
                raise ValueError("calibrate: got True, want False with strings")
            return
        # looked at when training begins
        with checks.named_in(name):
            n = self._validation_samples(validation_data, look=False).n
        if calibrate and np.asarray(validation_data[1]).dtype.kind == "f":
            raise ValueError(f"calibrate: got True, want integers for labels in {name}, not floats")
        if calibrate:
            calibration.check(n, self.network.architecture, name)

    def _validation_samples(self, data: Sequence[ArrayLike], look: bool = True) -> _core.Samples:
        images, labels, *rest = data
        network, weights = self.network._network, rest[0] if rest else None
        look = look and self._looks
        return _core.Samples(network, images, labels, 0, "validation_data", look, weights, True)

    def _calibrate(
        self, run: Run, validation_data: tuple[ArrayLike, ...] | None, threads: int | None
    ) -> None:
        if run.calibrate and validation_data is not None:
            self.network.calibrate(*validation_data[:2], num_threads=threads)

    @contextmanager
    def _under_way(
        self, run: Run, data: tuple[Any, ...], shown: progress.PassLines | None
    ) -> Iterator[None]:
        """Keep where the fit in this block stands, and tell the callbacks that it ends."""
        self._run, self._data, self._shown = run, data, shown
        try:
            try:
                yield
            except BaseException:
                with suppress(Exception):  # what ended the run is told
                    self._tell_end()
                raise
            self._tell_end()
        finally:
            self._run, self._data, self._shown = None, (), None

    def _train(
        self,
        samples: _core.Samples | _core.LabelledPictures,
        validation_data: tuple[ArrayLike, ...] | None,
        threads: int | None,
        checkpoint: str | os.PathLike[str] | None,
    ) -> None:
        others: _core.Samples | _core.LabelledPictures | None = None
        if validation_data is not None:
            if self._learns_strings:
                images, labels = validation_data[:2]
                others = strings_of(self.network, images, labels, "validation_data")
            else:
                others = self._validation_samples(validation_data)
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
                if self._shown is not None:
                    self._shown.on_epoch_end(self, epochs[-1])
                run.told = None
                if checkpoint is not None:
                    self.save(checkpoint)
            if self.stop or len(epochs) >= run.epochs:
                break
            record = self._run_epoch(samples, run, threads)
            if others is not None:
                record |= self._validate(others, threads)
            with self.network._turns.changing:
                epochs.append(record)
                run.order, run.told = None, 0

    def _validate(
        self, others: _core.Samples | _core.LabelledPictures, threads: int | None
    ) -> dict[str, float]:
        if isinstance(others, _core.LabelledPictures):
            constants = self.loss, self._rubbish, self.temperature
            loss, n_errors, _ = self.network._network.strings_gradient(others, *constants, threads)
            return {"val_loss": loss, "val_error_rate": n_errors / others.n}
        result = self.network._evaluate(others, self._criterion, threads)
        return {"val_loss": result.loss, "val_error_rate": result.error_rate}

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

    def _begin_epoch(
        self, samples: _core.Samples | _core.LabelledPictures, run: Run, threads: int | None
    ) -> np.ndarray:
        """Measure the curvature and draw the order, between two copies and as a whole."""
        with self.network._turns.changing:
            run.began = time.perf_counter()
            run.random = self._rng.bit_generator.state
            self._prepare(samples, threads, self._rng)
            order = self._rng.permutation(samples.n)
            run.seconds = 0.0
            run.done = (0, self.n_updates, 0.0, 0)
            run.order = order
            run.random = None
            return order

    def _run_epoch(
        self, samples: _core.Samples | _core.LabelledPictures, run: Run, threads: int | None
    ) -> dict[str, float]:
        order = run.order
        if order is None:
            order = self._begin_epoch(samples, run, threads)
        epoch = len(self.history.epochs) + 1
        steps = -(-samples.n // self.batch_size)
        n_steps = steps * run.epochs
        rate = None
        rate_of = self._rate if self._factors.watches else self.optimizer.rate
        told = (*self.callbacks, self._shown)
        listeners = [one.on_batch_end for one in told if hasattr(one, "on_batch_end")]
        for k in range(run.done[0], steps):
            batch = order[k * self.batch_size : (k + 1) * self.batch_size]
            step = (epoch - 1) * steps + k
            rate = rate_of(step, n_steps, epoch)
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
            "loss": total_loss
            / (samples.weight() if isinstance(samples, _core.Samples) else samples.n),
            "error_rate": n_errors / samples.n,
            "rate": rate,
            "seconds": seconds,
            "images_per_second": samples.n / seconds,
        }

    def _tell(self, event: str, *what: object) -> None:
        for callback in self.callbacks:
            if hasattr(callback, event):
                getattr(callback, event)(self, *what)

    def _tell_end(self) -> None:
        """Tell every callback that the run has ended, also if one of them fails."""
        failed: BaseException | None = None
        for callback in (*self.callbacks, self._shown):
            try:
                if hasattr(callback, "on_fit_end"):
                    callback.on_fit_end(self, self.history)
            except BaseException as error:
                failed = failed or error
        if failed is not None:
            raise failed
