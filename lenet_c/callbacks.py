"""Who is told how a training run goes: early stopping, the best weights, or one's own."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from lenet_c import checks
from lenet_c.history import VALIDATION_RECORD, History

if TYPE_CHECKING:
    from lenet_c.trainer import Trainer


class Callback:
    """What a training run tells its callbacks. Any object with some of these methods will do.

    ``docs/callbacks.md`` has some of one's own, for TensorBoard and MLflow too.

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


EVENTS = [name for name in vars(Callback) if name.startswith("on_")]


class _Monitor(Callback):
    """Has a lowest value of something in the epoch's record, since the run began."""

    def __init__(self, monitor: str) -> None:
        self.monitor = checks.instance(
            "monitor", monitor, str, "a key of the record, say 'val_loss'"
        )
        self.best = np.inf

    def on_fit_begin(self, trainer: Trainer) -> None:
        """Forget the run before; raise ValueError if the records will not have what is wanted."""
        if self.monitor in VALIDATION_RECORD and not trainer.validates:
            raise ValueError(
                f"monitor: {self.monitor!r} needs validation_data or validation_split in fit"
            )
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
        self.min_delta = checks.real("min_delta", min_delta, 0.0)
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


def checked(callbacks: Iterable[Any]) -> list[Any]:
    """Give the callbacks as a list; raise TypeError for what hears nothing."""
    found = []
    for callback in checks.items("callbacks", callbacks, "callbacks"):
        hears = any(hasattr(callback, event) for event in EVENTS)
        if isinstance(callback, type) or not hears:
            raise TypeError(
                f"callbacks: got {checks.short(callback)}, want objects with some of "
                + ", ".join(EVENTS)
            )
        found.append(callback)
    return found


def remembering(callbacks: Iterable[Any]) -> list[Any]:
    """Give the callbacks that have something for `Trainer.save`."""
    empty = Callback.state_dict
    return [one for one in callbacks if getattr(type(one), "state_dict", empty) is not empty]


def memories(
    callbacks: Iterable[Any], saved: list[tuple[str, dict[str, Any]]] | None
) -> list[tuple[Any, dict[str, Any]]]:
    """Give each callback that remembers with what it is to go on from.

    Parameters
    ----------
    callbacks : iterable
    saved : list of (str, dict) or None
        Kinds and states from a file; None: a pickled or copied trainer has its callbacks with it.

    Returns
    -------
    list of (callback, dict)

    Raises
    ------
    ValueError
        If the callbacks are of other kinds than those saved.
    """
    own = remembering(callbacks)
    if saved is None:
        return [(callback, copy.deepcopy(callback.state_dict())) for callback in own]
    kinds = [type(callback).__name__ for callback in own]
    before = [kind for kind, _ in saved]
    if kinds != before:
        raise ValueError(
            f"callbacks: the fit under way had {', '.join(before) or 'none'}, got "
            f"{', '.join(kinds) or 'none'}: want the same, Trainer.load(path, callbacks=[...])"
        )
    return [(callback, state) for callback, (_, state) in zip(own, saved, strict=True)]


def remind(memories: Iterable[tuple[Any, dict[str, Any]]]) -> None:
    """Let callbacks load their states; raise ValueError for a state that does not fit."""
    for callback, memory in memories:
        try:
            callback.load_state_dict(memory)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"callbacks: {type(callback).__name__} cannot go on from what was saved ({error})"
            ) from error
