"""Files of trainings under way: a `Trainer` and its network, in the form of model files.

Beside the metadata there are arrays: ``network`` (the bytes of the network's own model file), what
the optimizer remembers, the order of the pass under way, and what callbacks remember.
"""

from __future__ import annotations

import dataclasses
import io
import os
import time
from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO, TypeVar

import numpy as np

from lenet_c import checks, serialization
from lenet_c.callbacks import remembering
from lenet_c.distort import Distortion
from lenet_c.history import History
from lenet_c.model import LeNet5
from lenet_c.optimizers import OPTIMIZERS, Constant, OneCycle, Optimizer, PaperSteps
from lenet_c.run import Run, digest_of
from lenet_c.serialization import ModelFileError
from lenet_c.trainer import Trainer

__all__ = ["KIND", "load", "save"]

KIND = "training"
VERSION = 1

_OPTIMIZERS = {name: type(optimizer) for name, optimizer in OPTIMIZERS.items()}
_SCHEDULES = {kind.__name__: kind for kind in (Constant, PaperSteps, OneCycle)}
_MOST = 1 << 62  # of a count

AnyTrainer = TypeVar("AnyTrainer", bound=Trainer)


# ---- writing ----


def save(trainer: Trainer, path: str | os.PathLike[str] | BinaryIO) -> None:
    """Write a trainer to a file: see `Trainer.save`."""
    run = trainer._run
    if run is not None and run.digest is None and trainer._data:
        run.digest = digest_of(trainer._data)  # not while updates wait
    metadata, arrays = trainer.network._turns.copy(lambda: _snapshot(trainer))
    serialization.write(path, metadata, arrays)


def _snapshot(trainer: Trainer) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Copy what goes into the file, between two updates."""
    model = io.BytesIO()
    trainer.network.save(model)
    state = trainer._state
    metadata: dict[str, Any] = {
        "kind": KIND,
        "training_version": VERSION,
        "optimizer": _optimizer_to_dict(trainer.optimizer),
        "loss": trainer.loss,
        "j": trainer.j,
        "temperature": trainer.temperature,
        "batch_size": trainer.batch_size,
        "distort": None if trainer.distort is None else dataclasses.asdict(trainer.distort),
        "frozen": trainer._frozen,
        "random": _random_to_dict(trainer),
        "distort_seed": trainer._distort_seed,
        "counts": [state.step, state.n_updates, state.n_images, state.n_measured],
        "rate": state.rate,
        "since_good": trainer._since_good,
        "validates": trainer.validates,
        "stop": trainer.stop,
        "callbacks": [],
    }
    arrays: dict[str, np.ndarray] = {"network": np.frombuffer(model.getvalue(), np.uint8)}
    for name, values in (("first", state.first), ("second", state.second), ("good", trainer._good)):
        if values is not None:
            arrays[name] = values.copy()
    metadata["history"], arrays["history"] = _history_to_array(trainer.history)
    if trainer._run is not None:
        metadata["run"] = _run_to_dict(trainer._run, state.n_updates)
        if trainer._run.order is not None:
            arrays["order"] = trainer._run.order
    for number, callback in enumerate(remembering(trainer.callbacks)):
        plain = {}
        for name, value in callback.state_dict().items():
            if isinstance(value, np.ndarray):
                arrays[f"callback{number}.{name}"] = value.copy()
            else:
                plain[name] = value
        metadata["callbacks"].append({"kind": type(callback).__name__, "state": plain})
    return metadata, arrays


def _optimizer_to_dict(optimizer: Optimizer) -> dict[str, Any]:
    if _OPTIMIZERS.get(optimizer.kind) is not type(optimizer):
        raise TypeError(
            f"optimizer: a file cannot hold {checks.short(optimizer)}, want SGD, Adam or SDLM"
        )
    settings = {
        field.name: getattr(optimizer, field.name) for field in dataclasses.fields(optimizer)
    }
    schedule = optimizer.schedule
    if not isinstance(schedule, str):
        if _SCHEDULES.get(type(schedule).__name__) is not type(schedule):
            raise TypeError(
                f"schedule: a file cannot hold {checks.short(schedule)}, want a name or one of "
                f"{', '.join(_SCHEDULES)}"
            )
        assert dataclasses.is_dataclass(schedule)
        settings["schedule"] = {"kind": type(schedule).__name__, **dataclasses.asdict(schedule)}
    return {"kind": optimizer.kind, **settings}


def _random_to_dict(trainer: Trainer) -> dict[str, Any]:
    run = trainer._run
    state: Mapping[str, Any] = trainer._rng.bit_generator.state
    if run is not None and run.order is None and run.random is not None:
        state = run.random
    return {
        "kind": state["bit_generator"],
        "state": int(state["state"]["state"]),
        "inc": int(state["state"]["inc"]),
        "has_uint32": int(state["has_uint32"]),
        "uinteger": int(state["uinteger"]),
    }


def _history_to_array(history: History) -> tuple[list[str], np.ndarray]:
    """Give the records' keys, and their values as the bits of float64; NaN: it has no such key."""
    epochs = history.epochs
    keys = list(dict.fromkeys(key for record in epochs for key in record))
    values = np.full((len(epochs), len(keys)), np.nan)
    for row, record in enumerate(epochs):
        for key, value in record.items():
            values[row, keys.index(key)] = checks.number(f"history: {key!r}", value)
    return keys, values.view(np.int64)


def _run_to_dict(run: Run, n_updates: int) -> dict[str, Any]:
    k, counted, loss, errors = run.done
    return {
        "epochs": run.epochs,
        "n_images": run.n_images,
        "calibrate": run.calibrate,
        "digest": None if run.digest is None else run.digest.hex(),
        # a signal's handler may come between an update and its note
        "n_done": k + n_updates - counted if run.order is not None else 0,
        "loss": loss,
        "errors": errors,
        "seconds": run.seconds
        + (time.perf_counter() - run.began if run.order is not None else 0.0),
        "told": run.told,
    }


# ---- reading ----


def load(
    kind: type[AnyTrainer],
    path: str | os.PathLike[str] | BinaryIO,
    callbacks: Iterable[Any],
    num_threads: int | None,
    max_bytes: int | None,
) -> AnyTrainer:
    """Read a trainer: see `Trainer.load`."""
    limits = serialization.LIMITS
    if max_bytes is not None:
        limits = dataclasses.replace(limits, file=checks.whole("max_bytes", max_bytes, 1))
    metadata, arrays = serialization.read(path, limits)
    name = serialization.name_of(path)
    if metadata.get("kind") != KIND:
        raise ModelFileError(
            f"{name}: a network, not a training under way; LeNet5.load reads it, and Trainer(net) "
            "trains it further"
        )
    version = metadata.get("training_version")
    if type(version) is not int or not 1 <= version <= VERSION:
        raise ModelFileError(
            f"{name}: a training of version {checks.short(version)}, this lenet_c reads up to "
            f"{VERSION}"
        )
    callbacks = list(checks.items("callbacks", callbacks, "callbacks"))
    try:
        model = io.BytesIO(arrays["network"].tobytes())
        network = LeNet5.load(model, max_bytes=max_bytes)
        settings = {
            "optimizer": _optimizer_from_dict(metadata["optimizer"]),
            "loss": metadata["loss"],
            "j": metadata["j"],
            "temperature": metadata.get("temperature", 1.0),
            "batch_size": metadata["batch_size"],
            "distort": _distortion_from_dict(metadata["distort"]),
            "freeze": metadata["frozen"],
        }
        trainer = kind(network, **settings)
        _restore(trainer, metadata, arrays)
    except KeyError as error:
        raise ModelFileError(f"{name}: it has no {error}") from None
    except (AttributeError, OverflowError, TypeError, ValueError) as error:
        raise ModelFileError(f"{name}: {error}") from None
    # what the caller gave has errors of its own
    given = kind(network, settings["optimizer"], callbacks=callbacks, num_threads=num_threads)
    trainer.callbacks, trainer.num_threads = given.callbacks, given.num_threads
    return trainer


def _restore(
    trainer: Trainer, metadata: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> None:
    state = trainer._state
    n = trainer.network.n_parameters
    moments = []
    for name, values in (("first", state.first), ("second", state.second)):
        moments.append(None if values is None else _floats(name, arrays[name], n))
    step, n_updates, n_images, n_measured = (
        checks.whole("counts", count, 0, _MOST) for count in metadata["counts"]
    )
    rate = metadata["rate"]
    counts = (
        step,
        n_updates,
        n_images,
        n_measured,
        None if rate is None else checks.number("rate", rate),
    )
    state.__setstate__((counts, *moments, state.frozen))
    trainer._rng.bit_generator.state = _random_from_dict(metadata["random"])
    trainer._distort_seed = checks.whole("distort_seed", metadata["distort_seed"], 0, 2**64 - 1)
    trainer._since_good = checks.whole("since_good", metadata["since_good"], 0, _MOST)
    if "good" in arrays:
        trainer._good = _floats("good", arrays["good"], n)
    trainer.validates = checks.truth("validates", metadata["validates"])
    trainer.stop = checks.truth("stop", metadata["stop"])
    trainer.history = _history_from_array(metadata["history"], arrays["history"])
    trainer._callback_states = []
    for number, saved in enumerate(metadata["callbacks"]):
        plain = dict(saved["state"])
        beginning = f"callback{number}."
        for name, values in arrays.items():
            if name.startswith(beginning):
                plain[name[len(beginning) :]] = values
        trainer._callback_states.append(
            (checks.instance("callbacks", saved["kind"], str, "text"), plain)
        )
    if metadata.get("run") is not None:
        trainer._run = _run_from_dict(metadata["run"], arrays.get("order"), trainer)


def _optimizer_from_dict(saved: Mapping[str, Any]) -> Optimizer:
    settings = dict(saved)
    kind = _OPTIMIZERS[checks.one_of("optimizer", settings.pop("kind"), _OPTIMIZERS)]
    schedule = settings.get("schedule")
    if not isinstance(schedule, str):
        schedule = dict(settings["schedule"])
        shape = _SCHEDULES[checks.one_of("schedule", schedule.pop("kind"), _SCHEDULES)]
        settings["schedule"] = shape(**schedule)
    return kind(**settings)


def _distortion_from_dict(saved: Mapping[str, Any] | None) -> Distortion | None:
    return None if saved is None else Distortion(**saved)


def _random_from_dict(saved: Mapping[str, Any]) -> dict[str, Any]:
    checks.one_of("random", saved["kind"], ["PCG64"])
    return {
        "bit_generator": "PCG64",
        "state": {
            name: checks.whole(f"random: {name}", saved[name], 0, 2**128 - 1)
            for name in ("state", "inc")
        },
        "has_uint32": checks.whole("random: has_uint32", saved["has_uint32"], 0, 1),
        "uinteger": checks.whole("random: uinteger", saved["uinteger"], 0, 2**32 - 1),
    }


def _history_from_array(keys: list[Any], bits: np.ndarray) -> History:
    names = [checks.instance("history", key, str, "text") for key in keys]
    if bits.dtype != np.int64 or bits.ndim != 2 or bits.shape[1] != len(names):
        raise ValueError(f"history: {bits.dtype} {bits.shape}, want int64 (N, {len(names)})")
    epochs = []
    for row in bits.view(np.float64).tolist():
        record = {
            name: value
            for name, value in zip(names, row, strict=True)
            if value == value  # no NaN
        }
        if "epoch" in record:
            record["epoch"] = int(record["epoch"])
        epochs.append(record)
    return History(epochs)


def _run_from_dict(saved: Mapping[str, Any], order: np.ndarray | None, trainer: Trainer) -> Run:
    run = Run(
        epochs=checks.whole("epochs", saved["epochs"], 1, _MOST),
        n_images=checks.whole("n_images", saved["n_images"], 1, _MOST),
        calibrate=checks.truth("calibrate", saved["calibrate"]),
        seconds=checks.number("seconds", saved["seconds"]),
    )
    if saved["digest"] is not None:
        run.digest = bytes.fromhex(saved["digest"])
    if len(trainer.history.epochs) > run.epochs:
        raise ValueError(f"history: {len(trainer.history.epochs)} passes of {run.epochs}")
    if saved["told"] is not None:
        run.told = checks.whole("told", saved["told"], 0, _MOST)
        if not trainer.history.epochs:
            raise ValueError("told: of a pass that the history does not have")
    if order is not None:
        n = run.n_images
        if order.dtype != np.int64 or order.shape != (n,):
            raise ValueError(f"order: {order.dtype} {order.shape}, want int64 ({n},)")
        if not np.array_equal(np.sort(order), np.arange(n)):
            raise ValueError(f"order: want each of 0 to {n - 1} once")
        run.order = order
        steps = -(-n // trainer.batch_size)
        run.done = (
            checks.whole("n_done", saved["n_done"], 0, steps),
            trainer.n_updates,
            checks.number("loss", saved["loss"]),
            checks.whole("errors", saved["errors"], 0, n),
        )
    return run


def _floats(name: str, values: np.ndarray, n: int) -> np.ndarray:
    if values.dtype != np.float32 or values.shape != (n,):
        raise ValueError(f"{name}: {values.dtype} {values.shape}, want float32 ({n},)")
    if not np.isfinite(values).all():
        raise ValueError(f"{name}: some are NaN or infinite, want finite values")
    return values
