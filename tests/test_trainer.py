"""Trainer: real data, history, callbacks, schedules, divergence, interrupts, bad settings."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import io
import itertools
import math
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lenet_c import (
    LENET5_28,
    LENET5_1998,
    SDLM,
    SGD,
    Adam,
    Architecture,
    BestWeights,
    Callback,
    Constant,
    Conv,
    Dense,
    EarlyStopping,
    History,
    LeNet5,
    OneCycle,
    PaperSteps,
    Trainer,
    _core,
    datasets,
)
from lenet_c.distort import AFFINE, Distortion
from lenet_c.optimizers import Optimizer
from lenet_c.turns import Turns

RELU = Architecture(
    "relu",
    (
        Conv("C1", maps=3, kernel=5, activation="relu"),
        Dense("F2", units=8, activation="relu"),
        Dense("output", units=10, activation="identity"),
    ),
    input_shape=(28, 28),
)


@pytest.fixture
def images(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 256, (100, 28, 28)).astype(np.uint8)


LABELS = np.arange(100) % 10


# ---- it learns -----------------------------------------------------------------------------------


def test_the_1998_network_learns_to_read(
    real_digits: tuple[datasets.Arrays, datasets.Arrays],
) -> None:
    (x, y), (xt, yt) = real_digits
    is_mnist = len(x) == 60_000
    epochs, limit = (1, 0.04) if is_mnist else (20, 0.06)
    net = LeNet5(seed=0)
    trainer = Trainer(net, Adam(2e-3, schedule="one_cycle"), seed=0, num_threads=1)
    history = trainer.fit(x, y, epochs=epochs, validation_data=(xt, yt))
    assert history.epochs[-1]["val_error_rate"] < limit
    assert net.evaluate(xt, yt).error_rate == history.epochs[-1]["val_error_rate"]


@pytest.mark.parametrize("loss", ["mse", "map", "cross_entropy"])
@pytest.mark.parametrize(
    ("architecture", "optimizer"),
    [(LENET5_1998, SGD(5e-4, momentum=0.9)), (LENET5_28, Adam(2e-3))],
    ids=["1998, momentum", "28, adam"],
)
def test_every_loss_falls_on_real_digits(
    real_digits: tuple[datasets.Arrays, datasets.Arrays],
    architecture: Architecture,
    optimizer: Optimizer,
    loss: str,
) -> None:
    (x, y), _ = real_digits
    trainer = Trainer(LeNet5(architecture, seed=1), optimizer, loss, batch_size=8)
    epochs = trainer.fit(x[:1400], y[:1400], epochs=4).epochs
    assert epochs[-1]["loss"] < 0.4 * epochs[0]["loss"]
    assert epochs[-1]["error_rate"] < 0.25 * epochs[0]["error_rate"]


def test_online_steps_lower_the_loss(
    real_digits: tuple[datasets.Arrays, datasets.Arrays],
) -> None:
    (x, y), _ = real_digits
    x, y = x[:200], y[:200]
    net = LeNet5(seed=0)
    trainer = Trainer(net, SGD(2e-3))
    before = net.evaluate(x, y).loss
    first = trainer.step(x[0], y[0])
    assert isinstance(first, float)
    assert first == pytest.approx(LeNet5(seed=0).evaluate(x[0], y[0]).loss, rel=1e-6)
    assert net.evaluate(x[0], y[0]).loss < first
    for _ in range(2):
        for image, label in zip(x, y, strict=True):
            trainer.step(image, int(label))
    assert trainer.n_updates == 401
    assert net.evaluate(x, y).loss < 0.8 * before


def test_defaults(images: np.ndarray) -> None:
    trainer = Trainer(LeNet5())
    assert trainer.loss == "map"
    assert Trainer(LeNet5(LENET5_28)).loss == "cross_entropy"
    assert isinstance(trainer.optimizer, Adam)
    assert trainer.batch_size == 64
    assert len(trainer.fit(images, LABELS, epochs=2).epochs) == 2
    assert trainer.n_updates == 4
    trainer.fit(images, LABELS, epochs=1)
    assert len(trainer.history.epochs) == 1
    assert trainer.n_updates == 6


@pytest.mark.parametrize("loss", ["map", "cross_entropy"])
@pytest.mark.parametrize("n", [1, 40])
def test_steps_and_records_are_of_the_loss_with_its_temperature(
    images: np.ndarray, loss: str, n: int
) -> None:
    x, y = images[:n], LABELS[:n]
    net, other = LeNet5(seed=2), LeNet5(seed=2)
    trainer = Trainer(net, SGD(0.125), loss, j=2.0, temperature=10.0, batch_size=n)
    value, gradient = other.loss_and_gradient(x, y, loss, j=2.0, temperature=10.0)
    assert trainer.step(x, y) == value
    np.testing.assert_array_equal(net.parameters, other.parameters - np.float32(0.125) * gradient)
    record = trainer.fit(x, y, 1, validation_data=(images, LABELS)).epochs[0]
    held_out = net.evaluate(images, LABELS, loss, j=2.0, temperature=10.0)
    assert record["val_loss"] == held_out.loss


# ---- history and callbacks -----------------------------------------------------------------------


class Recorder(Callback):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.batches: list[dict[str, float]] = []
        self.records: list[dict[str, float]] = []
        self.ends: list[History] = []

    def on_batch_end(self, trainer: Trainer, batch: dict[str, float]) -> None:
        self.batches.append(batch)

    def on_epoch_end(self, trainer: Trainer, record: dict[str, float]) -> None:
        assert trainer.history.epochs[-1] is record
        self.records.append(record)

    def on_fit_end(self, trainer: Trainer, history: History) -> None:
        self.ends.append(history)


def test_history_and_callbacks(images: np.ndarray) -> None:
    recorder = Recorder()

    class OnlyEpochs:
        seen = 0

        def on_epoch_end(self, trainer: Trainer, record: dict[str, float]) -> None:
            self.seen += 1

    other = OnlyEpochs()
    net = LeNet5()
    trainer = Trainer(
        net, Adam(1e-3, schedule="one_cycle"), batch_size=30, callbacks=(recorder, other)
    )
    validation = (images[:20], LABELS[:20])
    history = trainer.fit(images, LABELS, epochs=3, validation_data=validation)

    assert history is trainer.history
    assert recorder.records == history.epochs
    assert recorder.ends == [history]
    assert other.seen == 3
    assert [record["epoch"] for record in history.epochs] == [1, 2, 3]
    assert [batch["step"] for batch in recorder.batches] == list(range(1, 13))
    assert {batch["n_steps"] for batch in recorder.batches} == {12}
    assert [batch["images"] for batch in recorder.batches] == [30, 30, 30, 10] * 3
    for k, record in enumerate(history.epochs):
        assert set(record) == {
            *("epoch", "loss", "error_rate", "rate", "seconds", "images_per_second"),
            *("val_loss", "val_error_rate"),
        }
        batches = recorder.batches[4 * k : 4 * k + 4]
        weighted = sum(batch["loss"] * batch["images"] for batch in batches) / 100
        assert record["loss"] == pytest.approx(weighted, rel=1e-12)
        assert record["error_rate"] == sum(batch["errors"] for batch in batches) / 100
        assert record["rate"] == 1e-3 * OneCycle()(4 * k + 3, 12, k + 1)
        assert record["images_per_second"] == pytest.approx(100 / record["seconds"])
    last = net.evaluate(*validation)
    assert history.epochs[-1]["val_loss"] == last.loss
    assert history.epochs[-1]["val_error_rate"] == last.error_rate
    plain = trainer.fit(images, LABELS, epochs=1).epochs[0]
    assert set(plain) == {"epoch", "loss", "error_rate", "rate", "seconds", "images_per_second"}


def test_the_errors_of_an_epoch_are_those_before_each_update(images: np.ndarray) -> None:
    net = LeNet5(seed=4)
    wrong = int((net.predict(images) != LABELS).sum())
    assert 0 < wrong < 100
    trainer = Trainer(net, SGD(0.0), batch_size=7)
    record = trainer.fit(images, LABELS, epochs=1).epochs[0]
    assert record["error_rate"] == wrong / 100
    assert record["loss"] == pytest.approx(net.evaluate(images, LABELS).loss, rel=1e-6)


class Script(Callback):
    """Puts prepared values into the records, before the callbacks that read them."""

    adds = ("score",)

    def __init__(self, values: list[float]) -> None:
        self.values = values
        self.weights: list[np.ndarray] = []

    def on_epoch_end(self, trainer: Trainer, record: dict[str, float]) -> None:
        record["score"] = self.values[int(record["epoch"]) - 1]
        self.weights.append(trainer.network.parameters.copy())


@pytest.mark.parametrize(
    ("values", "settings", "passes"),
    [
        ([0.5, 0.4, 0.4, 0.41, 0.4, 0.1], {"patience": 3}, 5),
        ([0.5, 0.4, 0.4, 0.3, 0.4, 0.4], {"patience": 2}, 6),
        ([0.5, 0.5, 0.4, 0.3, 0.2, 0.1], {"patience": 1}, 2),
        ([0.5, 0.4, 0.39, 0.38, 0.37, 0.3], {"patience": 2, "min_delta": 0.05}, 4),
        ([0.6, 0.5, 0.4, 0.3, 0.2, 0.1], {"patience": 1}, 6),
    ],
)
def test_early_stopping(
    images: np.ndarray, values: list[float], settings: dict[str, Any], passes: int
) -> None:
    recorder = Recorder()
    callbacks = [Script(values), EarlyStopping("score", **settings), recorder]
    history = Trainer(LeNet5(), callbacks=callbacks).fit(images, LABELS, epochs=6)
    assert len(history.epochs) == passes
    assert recorder.ends == [history]


@pytest.mark.parametrize("restore", [True, False])
def test_best_weights(images: np.ndarray, tmp_path: Path, restore: bool) -> None:
    script = Script([0.5, 0.2, 0.3, 0.2])
    best = BestWeights(tmp_path / "best.npz", "score", restore)
    net = LeNet5()
    Trainer(net, callbacks=[script, best]).fit(images, LABELS, epochs=4)
    assert best.epoch == 2
    assert best.best == 0.2
    assert (script.weights[1] != script.weights[3]).any()
    np.testing.assert_array_equal(LeNet5.load(tmp_path / "best.npz").parameters, script.weights[1])
    np.testing.assert_array_equal(net.parameters, script.weights[1 if restore else 3])


@pytest.mark.parametrize("make", [EarlyStopping, BestWeights])
def test_a_monitor_that_is_not_recorded(images: np.ndarray, make: Any) -> None:
    """Is told before there is an update."""
    validation = images, LABELS

    def fit(name: str, data: Any = None, *before: Any) -> Trainer:
        trainer = Trainer(LeNet5(RELU), callbacks=[*before, make(monitor=name), Script([0.0])])
        try:
            trainer.fit(images, LABELS, 1, data)
        finally:
            assert trainer.n_updates == len(trainer.history.epochs) * 2
        return trainer

    for name in ("val_error_rate", "val_loss"):
        with pytest.raises(ValueError, match=f"{name!r} needs validation_data or validation_split"):
            fit(name)
        fit(name, validation)
    for data in (None, validation):
        for name in ("speed", "val_accuracy", "score"):
            with pytest.raises(ValueError, match=f"no {name!r} among epoch, loss.*`adds`"):
                fit(name, data)
        fit("loss", data)
        fit("score", data, Script([0.0]))
    # one that was promised and did not come
    liar = Script([0.0])
    liar.adds = ("speed",)
    with pytest.raises(ValueError, match="no 'speed' among epoch, loss"):
        fit("speed", None, liar)


class Breaking(Callback):
    """Ends a run in its third pass, by what it is told to do."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error

    def on_batch_end(self, trainer: Trainer, batch: dict[str, float]) -> None:
        if len(trainer.history.epochs) == 2:
            if self.error is not None:
                raise self.error
            trainer.network.parameters[...] = np.inf


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("mine"), None])
@pytest.mark.parametrize("restore", [True, False])
def test_best_weights_come_back_however_the_run_ends(
    images: np.ndarray, error: BaseException | None, restore: bool
) -> None:
    script, recorder = Script([0.2, 0.3]), Recorder()

    class Failing(Callback):
        def on_fit_end(self, trainer: Trainer, history: History) -> None:
            raise ValueError("not this one")

    best = BestWeights(monitor="score", restore=restore)
    callbacks = [script, Failing(), best, Breaking(error), recorder]
    net = LeNet5()
    trainer = Trainer(net, batch_size=50, callbacks=callbacks)
    with pytest.raises(type(error) if error is not None else FloatingPointError):
        trainer.fit(images, LABELS, epochs=9)
    assert len(recorder.ends) == 1
    assert best.epoch == 1
    assert (net.parameters == script.weights[0]).all() == restore
    assert np.isfinite(net.parameters).all()


def test_an_error_at_the_end_of_a_run_is_told(images: np.ndarray) -> None:
    class Failing(Callback):
        def on_fit_end(self, trainer: Trainer, history: History) -> None:
            raise ValueError("no room")

    recorder = Recorder()
    with pytest.raises(ValueError, match="no room"):
        Trainer(LeNet5(RELU), callbacks=[Failing(), recorder]).fit(images, LABELS, 1)
    assert len(recorder.ends) == 1


@pytest.mark.parametrize("what", [EarlyStopping, Recorder, print, "on_epoch_end", object()])
def test_callbacks_that_hear_nothing_are_refused(what: Any) -> None:
    """A class in place of its object, a function, a misspelt method."""
    with pytest.raises(TypeError, match=r"^callbacks: got .*, want objects with .*on_epoch_end"):
        Trainer(LeNet5(), callbacks=[what])


@pytest.mark.parametrize("argument", ["callbacks", "freeze"])
def test_a_view_of_several_dimensions_is_no_list(argument: str) -> None:
    """It has an iterator, which gives nothing and raises."""
    with pytest.raises(TypeError, match=rf"^{argument}: got .*memory.*, want a list of"):
        Trainer(LeNet5(), **{argument: memoryview(np.zeros((2, 2)))})


# ---- schedules -----------------------------------------------------------------------------------


def test_constant_and_paper_steps() -> None:
    assert {Constant()(k, 20, 1 + k) for k in range(20)} == {1.0}
    paper = [SGD(0.0005, schedule="paper").rate(0, 1, epoch) for epoch in range(1, 22)]
    want = [5e-4] * 2 + [2e-4] * 3 + [1e-4] * 3 + [5e-5] * 4 + [1e-5] * 9
    assert paper == pytest.approx(want, rel=1e-12)
    assert PaperSteps()(0, 1, 3) == 0.4


def test_one_cycle() -> None:
    rates = [OneCycle(warm_up=0.25, start=0.1, end=0.01)(k, 100, 1) for k in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[25] == 1.0 == max(rates)
    assert 0.01 < rates[99] < 0.012
    assert rates[12] < 0.55 < rates[13]
    assert all(a < b for a, b in itertools.pairwise(rates[:26]))
    assert all(a > b for a, b in itertools.pairwise(rates[25:]))
    half_down = OneCycle(warm_up=0.0, end=0.5)
    assert half_down(0, 10, 1) == 1.0
    assert half_down(5, 10, 1) == pytest.approx(0.75)
    assert Adam(2.0, schedule=OneCycle()).rate(20, 100, 1) == 2.0
    assert Adam(2.0, schedule="one_cycle").rate(0, 100, 1) == pytest.approx(0.08)
    assert all(0 < OneCycle()(k, n, 1) <= 1 for n in range(1, 9) for k in range(n))


def test_the_trainer_follows_the_schedule(images: np.ndarray) -> None:
    calls: list[tuple[int, int, int]] = []

    def schedule(step: int, n_steps: int, epoch: int) -> float:
        calls.append((step, n_steps, epoch))
        return 0.0 if epoch == 2 else 1.0

    script = Script([0.0] * 3)
    net = LeNet5()
    trainer = Trainer(net, SGD(1e-3, schedule=schedule), batch_size=50, callbacks=[script])
    history = trainer.fit(images, LABELS, epochs=3)
    assert calls == [(k, 6, 1 + k // 2) for k in range(6)]
    assert [record["rate"] for record in history.epochs] == [1e-3, 0.0, 1e-3]
    np.testing.assert_array_equal(script.weights[0], script.weights[1])
    assert (script.weights[1] != script.weights[2]).any()


# ---- copies ----


@pytest.mark.parametrize("optimizer", [SGD(1e-3), SGD(1e-3, momentum=0.9), Adam(), SDLM(mu=0.5)])
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))])
@pytest.mark.parametrize("distort", [None, AFFINE])
def test_a_copy_goes_on_as_the_trainer_does(
    images: np.ndarray,
    optimizer: Optimizer,
    copied: Callable[[Trainer], Trainer],
    distort: Distortion | None,
) -> None:
    trainer = Trainer(
        LeNet5(seed=1),
        optimizer,
        batch_size=30,
        distort=distort,
        freeze=["S2", "F6.bias"],
        seed=5,
    )
    trainer.fit(images, LABELS, epochs=1)
    other = copied(trainer)
    before = trainer.network.parameters.copy()
    other.step(images, LABELS)
    other.fit(images, LABELS, epochs=2)
    np.testing.assert_array_equal(trainer.network.parameters, before)
    trainer.step(images, LABELS)
    trainer.fit(images, LABELS, epochs=2)
    np.testing.assert_array_equal(other.network.parameters, trainer.network.parameters)
    assert (trainer.network["F6.weight"] != LeNet5(seed=1)["F6.weight"]).any()
    for name in ("S2.bias", "F6.bias"):
        np.testing.assert_array_equal(other.network[name], LeNet5(seed=1)[name])
    assert other.n_updates == trainer.n_updates


def test_rates_that_were_forgotten_are_measured_anew(images: np.ndarray) -> None:
    trainer = Trainer(LeNet5(), SDLM(mu=0.5))
    trainer.step(images, LABELS)
    assert trainer._state.first is not None
    assert trainer._state.second is not None
    trainer._state.first[:] = trainer._state.second[:] = np.nan
    with pytest.raises(FloatingPointError):
        trainer.step(images, LABELS)
    before = trainer.network.parameters.copy()
    trainer.step(images, LABELS)
    assert (trainer.network.parameters != before).mean() > 0.9


# ---- gradients from elsewhere ----


def added_in_pairs(gradients: list[np.ndarray]) -> np.ndarray:
    """Give (0 + 1) + (2 + 3) + .., as the core adds blocks up."""
    pairs = [sum(gradients[k + 1 : k + 2], gradients[k]) for k in range(0, len(gradients), 2)]
    return sum(pairs[1:], pairs[0])


@pytest.mark.parametrize("optimizer", [SGD(0.01), SGD(0.01, momentum=0.9), Adam(weight_decay=0.1)])
@pytest.mark.parametrize("blocks", [1, 2, 4, 16])
def test_blocks_gradients_applied_are_a_step(
    optimizer: Optimizer, blocks: int, rng: np.random.Generator
) -> None:
    """With a power of two of them, whose means are divided without a rounding."""
    n = 32 * blocks
    images = rng.integers(0, 256, (2 * n, 28, 28), np.uint8)
    labels = rng.integers(0, 10, 2 * n)
    whole, parts = (Trainer(LeNet5(seed=3), optimizer, freeze=["C1", "C3.bias"]) for _ in range(2))
    for first in (0, n):
        whole.step(images[first : first + n], labels[first : first + n])
        gradients = [
            parts.network.loss_and_gradient(images[k : k + 32], labels[k : k + 32])[1]
            for k in range(first, first + n, 32)
        ]
        some = images[first : first + n]
        parts.apply(added_in_pairs(gradients) / np.float32(blocks), n, images=some)
    assert parts.network.learnt_from == whole.network.learnt_from
    assert parts.network.parameters.tobytes() == whole.network.parameters.tobytes()
    assert (parts.network["C1.weight"] == LeNet5(seed=3)["C1.weight"]).all()
    assert pickle.dumps(parts._state) == pickle.dumps(whole._state)
    assert parts.n_updates == 2


def test_a_gradient_is_applied_at_a_rate(images: np.ndarray) -> None:
    trainer = Trainer(LeNet5(LENET5_28), SGD(0.5))
    before = trainer.network.parameters.copy()
    gradient = np.ones_like(before)
    trainer.apply(gradient.astype(">f8"), 7, rate=0.25)
    np.testing.assert_array_equal(trainer.network.parameters, before - np.float32(0.25))
    trainer.apply(gradient.tolist(), 7)
    assert trainer.network.parameters.max() < before.max() - 0.7


def test_gradients_that_cannot_be_applied(images: np.ndarray) -> None:
    trainer = Trainer(LeNet5(LENET5_28), Adam(1.0))
    trainer.step(images, LABELS)
    n = trainer.network.n_parameters
    before = trainer.network.parameters.copy()
    for gradient, n_images, options, error, text in (
        (np.zeros(n - 1), 1, {}, ValueError, rf"gradient: shape \({n - 1},\), want \({n},\)"),
        (np.zeros((1, n)), 1, {}, ValueError, "gradient: shape"),
        (np.full(n, np.nan), 1, {}, ValueError, "gradient: some are NaN"),
        (["a"] * n, 1, {}, TypeError, "gradient: dtype"),
        (np.zeros(n), 0, {}, ValueError, "n_images: got 0"),
        (np.zeros(n), 1, {"rate": -1.0}, ValueError, "rate: got -1"),
        (np.ones(n), 1, {"rate": 3e38}, FloatingPointError, "no longer finite at update 2"),
    ):
        with pytest.raises(error, match=text):
            trainer.apply(gradient, n_images, **options)
        assert trainer.network.parameters.tobytes() == before.tobytes()
        assert trainer.n_updates == 1
    trainer.apply(np.zeros(n), 1)
    with pytest.raises(ValueError, match="optimizer: got SDLM"):
        Trainer(LeNet5(), SDLM()).apply(np.zeros(60_000), 1)


def test_an_update_that_a_callback_applies_is_none_of_the_pass(images: np.ndarray) -> None:
    """So a run that is saved then goes on where it was."""

    class Applies(Callback):
        def on_epoch_end(self, trainer: Trainer, record: Any) -> None:
            trainer.apply(np.zeros(trainer.network.n_parameters), 1)
            assert trainer._run is not None
            self.done = trainer._run.done

    callback = Applies()
    trainer = Trainer(LeNet5(LENET5_28), "adam", batch_size=1, callbacks=[callback])
    trainer.fit(images, LABELS, 1)
    assert callback.done[1] == trainer.n_updates == len(images) + 1


# ---- while another thread trains ----


class HalfDone(_core.Network):
    """Is seen in the middle of an update: half of the parameters are new, the others old."""

    in_update: Callable[[], None] | None = None

    def step(self, *arguments: Any) -> Any:
        n = len(self.parameters) // 2
        old = self.parameters[n:].copy()
        result = super().step(*arguments)
        if self.in_update is not None:
            new = self.parameters[n:].copy()
            self.parameters[n:] = old
            self.in_update()
            self.parameters[n:] = new
        return result


class Training:
    """Trains in a thread: each update waits half done until the main thread looks, or a while."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(_core, "Network", HalfDone)
            self.net = LeNet5(LENET5_28)
        self.trainer = Trainer(self.net, Adam(1e-3), callbacks=[])
        self.half_done = threading.Event()
        self.looked = threading.Event()
        self.whole: list[bytes] = [self.net.parameters.tobytes()]
        core: Any = self.net._network
        core.in_update = self._pause
        self.thread = threading.Thread(target=self._run)

    def _pause(self) -> None:
        self.half_done.set()
        # A copy that waits for the end of the update cannot be waited for.
        self.looked.wait(0.05)

    def _run(self) -> None:
        images = np.zeros((4, 28, 28), np.uint8)
        while not self.looked.is_set():
            self.trainer.step(images, [0, 1, 2, 3])
            self.whole.append(self.net.parameters.tobytes())

    def __enter__(self) -> Training:
        self.thread.start()
        self.half_done.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self.looked.set()
        self.thread.join()


def saved(net: LeNet5) -> LeNet5:
    file = io.BytesIO()
    net.save(file)
    file.seek(0)
    return LeNet5.load(file)


def taken_over(net: LeNet5) -> LeNet5:
    other = LeNet5(LENET5_28)
    other.copy_from(net)
    return other


@pytest.mark.parametrize(
    "copied", [saved, copy.copy, copy.deepcopy, taken_over, lambda n: pickle.loads(pickle.dumps(n))]
)
def test_no_copy_has_half_an_update(
    monkeypatch: pytest.MonkeyPatch, copied: Callable[[LeNet5], LeNet5]
) -> None:
    with Training(monkeypatch) as training:
        copies = [copied(training.net).parameters.tobytes() for _ in range(3)]
    assert set(copies) <= set(training.whole)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))])
def test_a_copied_trainer_has_moments_and_weights_of_one_update(
    monkeypatch: pytest.MonkeyPatch, copied: Callable[[Trainer], Trainer]
) -> None:
    images = np.zeros((4, 28, 28), np.uint8)
    with Training(monkeypatch) as training:
        others = [copied(training.trainer) for _ in range(3)]
    again = Trainer(LeNet5(LENET5_28), Adam(1e-3))
    states = []
    for _ in range(training.trainer.n_updates + 1):
        again.step(images, [0, 1, 2, 3])
        assert again._state.first is not None
        states.append((again.network.parameters.tobytes(), again._state.first.tobytes()))
    for other in others:
        state = other.network.parameters.tobytes(), other._state.first.tobytes()
        assert state == states[other.n_updates - 1]


class CountedTurns(Turns):
    """Turns that note how many updates there were once a copy was asked for, and when it was made.

    Counts are taken in here: between a test's own lines its thread may rest for many updates.
    """

    __slots__ = ("_asked", "made", "since", "trainer")

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        super().__init__()

    @property
    def asked(self) -> bool:  # type: ignore[override]
        return self._asked

    @asked.setter
    def asked(self, asked: bool) -> None:
        self._asked = asked
        if asked:
            self.since = self.trainer.n_updates

    def copy(self, make: Callable[[], Any]) -> Any:
        def counted() -> Any:
            self.made = self.trainer.n_updates
            return make()

        return super().copy(counted)


def test_a_copy_waits_for_one_update_at_most(images: np.ndarray) -> None:
    """Also beside a loop that takes the lock again as soon as it has given it back."""
    trainer = Trainer(LeNet5(), batch_size=100, num_threads=1)
    turns = trainer.network._turns = CountedTurns(trainer)
    stop = threading.Event()

    def train() -> None:
        while not stop.is_set():
            trainer.step(images, LABELS)

    thread = threading.Thread(target=train)
    thread.start()
    try:
        for _ in range(30):
            copy.copy(trainer.network)
            assert turns.made <= turns.since + 1
    finally:
        stop.set()
        thread.join()
    assert trainer.n_updates > 0


def test_a_network_can_be_saved_in_the_middle_of_its_own_update(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By a signal handler: in the thread that trains, which cannot wait for itself."""
    training = Training(monkeypatch)
    core: Any = training.net._network
    seen: list[LeNet5] = []
    core.in_update = lambda: seen.append(saved(training.net))
    training.trainer.step(np.zeros((4, 28, 28), np.uint8), [0, 1, 2, 3])
    assert len(seen) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_forked_during_an_update_can_copy_and_train(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The thread that holds the lock is not there any more."""
    with Training(monkeypatch) as training:
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            core: Any = training.net._network
            core.in_update = None
            copy.copy(training.net)
            training.trainer.step(np.zeros((4, 28, 28), np.uint8), [0, 1, 2, 3])
            os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_a_trainer_and_its_network_stay_together() -> None:
    trainer = Trainer(LeNet5(RELU))
    for copied in (copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))):
        net, other = copied((trainer.network, trainer))
        assert other.network is net
        assert net is not trainer.network
    assert copy.copy(trainer).network is trainer.network


def test_a_pickle_of_the_first_version_still_loads(images: np.ndarray) -> None:
    """Its trainer's state was what is in its dict."""
    trainer = Trainer(LeNet5(RELU), Adam(1e-3))
    trainer.step(images[:4], LABELS[:4])
    old = Trainer.__new__(Trainer)
    old.__setstate__(dict(vars(trainer)))
    assert old.step(images[:4], LABELS[:4]) < np.inf


# ---- what goes wrong -----------------------------------------------------------------------------


def test_divergence_keeps_the_last_good_weights(images: np.ndarray) -> None:
    net = LeNet5(RELU)
    before = net.parameters.copy()
    trainer = Trainer(net, SGD(1e12), "mse", batch_size=10)
    with pytest.raises(FloatingPointError, match=r"no longer finite at update \d+ \(rate 1e\+12\)"):
        trainer.fit(images, LABELS, epochs=3)
    assert trainer.n_updates < 30
    np.testing.assert_array_equal(net.parameters, before)
    # and it can be trained on, at a rate that works, with nothing left of the failure
    trainer.optimizer = dataclasses.replace(trainer.optimizer, lr=1e-6)
    other = LeNet5(RELU)
    assert trainer.step(images, LABELS) == Trainer(other, SGD(1e-6), "mse").step(images, LABELS)
    np.testing.assert_array_equal(net.parameters, other.parameters)


def test_moments_that_overflowed_are_forgotten(images: np.ndarray) -> None:
    net, other = LeNet5(RELU), LeNet5(RELU)
    trainer = Trainer(net, Adam(1e-3), "mse")
    for _ in range(2):  # squares of these gradients are beyond float32
        with pytest.raises(FloatingPointError, match="at update 1 "):
            trainer.step(np.full((28, 28), 1e12, np.float32), 0)
        np.testing.assert_array_equal(net.parameters, other.parameters)
    assert trainer.step(images, LABELS) == Trainer(other, Adam(1e-3), "mse").step(images, LABELS)
    np.testing.assert_array_equal(net.parameters, other.parameters)


def test_weights_spoiled_in_mid_run(images: np.ndarray) -> None:
    net = LeNet5()
    trainer = Trainer(net, Adam(1e-3), batch_size=10)
    trainer.fit(images, LABELS, epochs=20)
    assert trainer.n_updates == 200
    net["C3.weight"][5, 2, 2] = np.inf
    with pytest.raises(FloatingPointError, match="at update 201"):
        trainer.step(images, LABELS)
    assert np.isfinite(net.parameters).all()
    # not the weights of the beginning, but of one of the last updates
    assert np.abs(net.parameters - LeNet5().parameters).max() > 0.01
    assert trainer.step(images, LABELS) < LeNet5().evaluate(images, LABELS).loss


@pytest.mark.parametrize(
    "optimizer", [SGD(3e38), Adam(1e-3, epsilon=0.0), Adam(3e38, weight_decay=1e10)]
)
def test_an_update_never_leaves_weights_that_are_not_finite(optimizer: Optimizer) -> None:
    """An error, or finite weights: also when it was the last update."""
    net = LeNet5(RELU)
    trainer = Trainer(net, optimizer, "mse")
    for _ in range(3):
        with contextlib.suppress(FloatingPointError):
            trainer.step(np.zeros((2, 28, 28), np.uint8), [0, 1])
        assert np.isfinite(net.parameters).all()


class WatchedCore(_core.Network):
    """Notes how many threads a call is to use; a signal may come just before an update returns."""

    interrupted = False
    threads: set[int | None]

    def curvature(self, *arguments: Any) -> Any:
        self.threads.add(arguments[5])
        return super().curvature(*arguments)

    def evaluate(self, *arguments: Any) -> Any:
        self.threads.add(arguments[4])
        return super().evaluate(*arguments)

    def step(self, *arguments: Any) -> Any:
        self.threads.add(arguments[7])
        try:
            return super().step(*arguments)
        finally:
            if self.interrupted:
                raise KeyboardInterrupt


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Trainer, Any]]:
    """Make a trainer, and give its network's core too."""

    def make(*arguments: Any, **settings: Any) -> tuple[Trainer, Any]:
        with monkeypatch.context() as patch:
            patch.setattr(_core, "Network", WatchedCore)
            trainer = Trainer(LeNet5(), *arguments, **settings)
        core: Any = trainer.network._network
        core.threads = set()
        return trainer, core

    return make


@pytest.mark.parametrize("distort", [None, AFFINE])
def test_an_interrupt_right_after_an_update(
    rng: np.random.Generator, watched: Callable[..., Any], distort: Distortion | None
) -> None:
    """The update counts, and the next one goes on from it."""
    images = rng.integers(0, 256, (3, 16, 28, 28)).astype(np.uint8)
    labels = rng.integers(0, 10, (3, 16))
    other = Trainer(LeNet5(), Adam(1e-3), distort=distort)
    for k in range(3):
        other.step(images[k], labels[k])
    trainer, core = watched(Adam(1e-3), distort=distort)
    trainer.step(images[0], labels[0])
    core.interrupted = True
    with pytest.raises(KeyboardInterrupt):
        trainer.step(images[1], labels[1])
    core.interrupted = False
    assert (trainer.n_updates, trainer._state.n_images) == (2, 32)
    trainer.step(images[2], labels[2])
    np.testing.assert_array_equal(trainer.network.parameters, other.network.parameters)


@pytest.mark.parametrize("n_before", [0, 1, 7])
def test_an_interrupt_right_after_a_failed_update(
    rng: np.random.Generator, watched: Callable[..., Any], n_before: int
) -> None:
    """The weights are finite, and what the optimizer remembers, so that training can go on."""
    images = rng.integers(0, 256, (16, 28, 28)).astype(np.uint8)
    labels = rng.integers(0, 10, 16)
    trainer, core = watched(SGD(1e-4, 0.9))
    for _ in range(n_before):
        trainer.step(images, labels)
    trainer._state.first[:] = np.inf
    core.interrupted = True
    with pytest.raises(KeyboardInterrupt):
        trainer.step(images, labels)
    core.interrupted = False
    assert trainer.n_updates == n_before
    assert np.isfinite(trainer.network.parameters).all()
    assert math.isfinite(trainer.step(images, labels))


@pytest.mark.parametrize("method", ["fit", "step"])
@pytest.mark.parametrize("optimizer", [Adam(), SDLM(mu=0.5)])
def test_threads_of_a_call(
    rng: np.random.Generator, watched: Callable[..., Any], method: str, optimizer: Optimizer
) -> None:
    """Those of the call, or else the trainer's: to measure, to update and to validate."""
    images = rng.integers(0, 256, (100, 28, 28)).astype(np.uint8)
    labels = rng.integers(0, 10, 100)
    trainer, core = watched(optimizer, batch_size=100, num_threads=2)
    call: Callable[..., Any] = trainer.step
    if method == "fit":
        call = partial(trainer.fit, epochs=1, validation_data=(images, labels))
    call(images, labels)
    assert core.threads == {2}
    core.threads.clear()
    trainer._state.n_measured = 0
    call(images, labels, num_threads=3)
    assert core.threads == {3}
    with pytest.raises(ValueError, match="num_threads: got 0, want a whole number from 1"):
        call(images, labels, num_threads=0)


needs_kill = pytest.mark.skipif(os.name != "posix", reason="signals are sent the POSIX way")


class Reached(threading.Event, Callback):
    """Is set after so many updates."""

    def __init__(self, n_updates: int) -> None:
        super().__init__()
        self.n_updates = n_updates

    def on_batch_end(self, trainer: Trainer, batch: dict[str, float]) -> None:
        if trainer.n_updates == self.n_updates:
            self.set()


@needs_kill
@pytest.mark.parametrize(("batch_size", "n_updates"), [(16, 100), (30_000, 1)])
def test_interrupting_fit(rng: np.random.Generator, batch_size: int, n_updates: int) -> None:
    """Ends at once, between short updates or inside a long one, with the last finished update.

    "At once" is counted in updates: how long one takes depends on what else the machine does.
    """
    images = rng.integers(0, 256, (30_000, 28, 28)).astype(np.uint8)
    labels = rng.integers(0, 10, 30_000)
    reached = Reached(n_updates)
    net = LeNet5(seed=3)
    trainer = Trainer(
        net, Adam(1e-3), batch_size=batch_size, seed=4, callbacks=[reached], num_threads=1
    )
    sent: list[int] = []

    def send() -> None:
        reached.wait()
        time.sleep(0.02)  # or a long update has not begun
        os.kill(os.getpid(), signal.SIGINT)
        sent.append(trainer.n_updates)  # not before: updates go on while this thread has to wait

    # a test run in the background may have been told to ignore the signal
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            trainer.fit(images, labels, epochs=40)
        sender.join()
    finally:
        signal.signal(signal.SIGINT, before)
    is_long = batch_size == len(images)
    assert trainer.n_updates >= n_updates
    assert trainer.n_updates <= sent[0] + (0 if is_long else 2)

    # the same updates again
    again = LeNet5(seed=3)
    other = Trainer(again, Adam(1e-3), seed=4)
    random, steps = np.random.default_rng(4), -(-30_000 // batch_size)
    for k in range(trainer.n_updates):
        if k % steps == 0:
            order = random.permutation(30_000)
        batch = order[k % steps * batch_size :][:batch_size]
        other.step(images[batch], labels[batch])
    np.testing.assert_array_equal(again.parameters, net.parameters)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: SGD(-0.1), ValueError, r"lr: got -0\.1, want a finite number of at"),
        (lambda: SGD(math.nan), ValueError, "lr: got nan, want"),
        (lambda: Adam(math.inf), ValueError, "lr: got inf, want"),
        (
            lambda: SGD(momentum=1.0),
            ValueError,
            r"momentum: got 1\.0, want a number of at",
        ),
        (lambda: SGD(momentum=-0.1), ValueError, r"momentum: got -0\.1"),
        (lambda: SGD(weight_decay=-1.0), ValueError, r"weight_decay: got -1\.0"),
        (lambda: Adam(beta1=1.0), ValueError, r"beta1: got 1\.0"),
        (lambda: Adam(beta2=-0.5), ValueError, r"beta2: got -0\.5"),
        (lambda: Adam(epsilon=-1e-8), ValueError, "epsilon: got -1e-08"),
        (
            lambda: Adam(schedule="cosine"),
            ValueError,
            "schedule: got 'cosine', want one of constant, paper, one_cycle, or a callable",
        ),
        (lambda: OneCycle(warm_up=1.0), ValueError, r"warm_up: got 1\.0, want a number of"),
        (lambda: OneCycle(start=2.0), ValueError, r"start: got 2\.0, want a number from 0 to 1"),
        (lambda: OneCycle(end=-0.1), ValueError, r"end: got -0\.1, want a number from 0 to 1"),
        (lambda: SGD("0.1"), TypeError, "lr: got '0.1', want a number"),
        (lambda: SGD(momentum=True), TypeError, "momentum: got True, want a number"),
        (lambda: Adam(10**400), ValueError, "lr: got an integer of 1329 bits, want a finite"),
        (lambda: Adam(schedule=["paper"]), TypeError, r"schedule: got \['paper'\], want one of"),
        (
            lambda: Adam(schedule=np.array(["paper", "constant"])),
            TypeError,
            r"schedule: got array\(.*, want one of",
        ),
        (lambda: OneCycle(warm_up="x"), TypeError, "warm_up: got 'x', want a number"),
        (lambda: OneCycle(end=None), TypeError, "end: got None, want a number"),
        (lambda: EarlyStopping(patience=0), ValueError, "patience: got 0, want a whole number of"),
        (lambda: EarlyStopping(patience=1.5), TypeError, r"patience: got 1\.5, want a whole"),
        (lambda: EarlyStopping(min_delta=math.nan), ValueError, "min_delta: got nan, want a fin"),
        (lambda: EarlyStopping(monitor=3), TypeError, "monitor: got 3, want a key of the record"),
        (lambda: BestWeights(3), TypeError, "path: got 3, want a path"),
        (lambda: Trainer("net"), TypeError, "network: got 'net', want a LeNet5"),
        (lambda: Trainer(LeNet5(), 3), TypeError, "optimizer: got 3, want .* adam, sgd"),
        (lambda: Trainer(LeNet5(), Optimizer(0.1)), TypeError, "optimizer: got Optimizer, want"),
        (lambda: Trainer(LeNet5(), batch_size=0), ValueError, "batch_size: got 0, want a whole"),
        (lambda: Trainer(LeNet5(), batch_size=1.5), TypeError, r"batch_size: got 1\.5, want"),
        (lambda: Trainer(LeNet5(), batch_size=True), TypeError, "batch_size: got True, want"),
        (lambda: Trainer(LeNet5(), seed=-1), ValueError, "seed: got -1, want a whole number of a"),
        (lambda: Trainer(LeNet5(), seed="x"), TypeError, "seed: got 'x', want a whole number"),
        (
            lambda: Trainer(LeNet5(), callbacks=Callback()),
            TypeError,
            "callbacks: got <.*>, want a list of callbacks",
        ),
        (lambda: Trainer(LeNet5(), callbacks="x"), TypeError, "callbacks: got 'x', want a list"),
        (lambda: Trainer(LeNet5(), freeze=None), TypeError, "freeze: got None, want a list of na"),
        (
            lambda: Trainer(LeNet5(), freeze=[["C1"]]),
            TypeError,
            r"freeze: got \['C1'\], want one",
        ),
    ],
)
def test_bad_settings(make: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("factor", "error", "message"),
    [
        (None, TypeError, "got None, want a number"),
        ("1", TypeError, "got '1', want a number"),
        (math.nan, ValueError, "got nan, want a finite number of at least 0"),
        (math.inf, ValueError, "got inf, want a finite number of at least 0"),
        (-1, ValueError, "got -1, want a finite number of at least 0"),
    ],
)
def test_a_schedule_that_gives_no_factor(
    images: np.ndarray, factor: Any, error: type[Exception], message: str
) -> None:
    net = LeNet5(RELU)
    before = net.parameters.copy()
    trainer = Trainer(net, SGD(0.01, schedule=lambda *_: factor))
    with pytest.raises(error, match=f"^schedule's factor: {message}"):
        trainer.fit(images, LABELS)
    np.testing.assert_array_equal(net.parameters, before)


@pytest.mark.parametrize("epochs", [0, -1, 1.5, "3", None, True])
def test_bad_epochs(images: np.ndarray, epochs: Any) -> None:
    error = ValueError if epochs in (0, -1) else TypeError
    with pytest.raises(error, match=f"epochs: got {epochs!r}, want a whole number"):
        Trainer(LeNet5()).fit(images, LABELS, epochs=epochs)


def test_a_callback_that_fails_ends_the_run(images: np.ndarray) -> None:
    class Failing(Callback):
        def on_epoch_end(self, trainer: Trainer, record: dict[str, float]) -> None:
            raise RuntimeError("disk full")

    trainer = Trainer(LeNet5(), callbacks=[Failing()])
    with pytest.raises(RuntimeError, match="disk full"):
        trainer.fit(images, LABELS, epochs=5)
    assert len(trainer.history.epochs) == 1


def test_callbacks_forget_the_run_before() -> None:
    images, labels = np.zeros((8, 28, 28), np.uint8), [0] * 8
    net = LeNet5(RELU)
    best, early = BestWeights(monitor="loss"), EarlyStopping("loss", patience=2)
    trainer = Trainer(net, SGD(0.0), "mse", callbacks=[best, early])
    assert len(trainer.fit(images, labels, epochs=9).epochs) == 3
    first = net.parameters.copy()
    net.parameters[...] *= 0.5
    assert len(trainer.fit(images, labels, epochs=9).epochs) == 3
    assert not np.array_equal(net.parameters, first)
    assert best.epoch == 1


def test_validation_data_is_checked_before_training() -> None:
    images, labels = np.zeros((2, 28, 28), np.uint8), [0, 1]
    trainer = Trainer(LeNet5(RELU), callbacks=[BestWeights()])
    with pytest.raises(ValueError, match="'val_error_rate' needs validation_data"):
        trainer.fit(images, labels)
    for bad in (images, (images,), (images, labels, None, 1)):
        with pytest.raises(TypeError, match="validation_data: want a pair"):
            trainer.fit(images, labels, validation_data=bad)
    with pytest.raises(ValueError, match="validation_data: no labels"):
        trainer.fit(images, labels, validation_data=(images, None))
    for pair, error, text in (
        ((images, labels[:1]), ValueError, r"labels: shape \(1,\), want \(2,\)"),
        ((images, [0, 99]), ValueError, "labels: row 1 is 99"),
        ((images[:0], []), ValueError, "images: no images"),
        (([], []), TypeError, "images: dtype float64"),
        ((np.array(labels), images), TypeError, "images: dtype int64"),
        ((images, labels, [1]), ValueError, "sample_weight: shape"),
    ):
        with pytest.raises(error, match=f"^validation_data: {text}"):
            trainer.fit(images, labels, validation_data=pair)
    with pytest.raises(ValueError, match=r"^validation_data: got 2, want at least"):
        trainer.fit(images, labels, validation_data=(images, labels), calibrate=True)
    assert trainer.n_updates == 0


@pytest.mark.filterwarnings("ignore::lenet_c.InputWarning")  # stripes fill them more and more
@pytest.mark.parametrize("n", [1, 64])
def test_a_bad_image_costs_few_updates(n: int) -> None:
    """Not the run so far: one update of 64 images, or as many single ones."""
    net = LeNet5(RELU)
    trainer = Trainer(net, Adam(1e-4))
    images = np.zeros((n, 28, 28), np.uint8)
    copies = []
    for k in range(100):
        images[:, k % 28] = 2 * k
        copies.append(net.parameters.copy())
        trainer.step(images, np.full(n, k % 10))
    height, width = RELU.input_shape
    with pytest.raises(FloatingPointError):
        trainer.step(np.full((height, width), 3e38, np.float32), 0)
    # a copy before the first image and before each 64th after it
    np.testing.assert_array_equal(net.parameters, copies[64 if n == 1 else -1])


def test_bad_threads_are_refused_at_once() -> None:
    with pytest.raises(TypeError, match="num_threads: got 'x'"):
        Trainer(LeNet5(RELU), num_threads="x")


def test_settings_that_round_to_a_bad_number() -> None:
    with pytest.raises(ValueError, match="beta2: got"):
        Adam(beta2=1 - 1e-12)
    with pytest.raises(ValueError, match="lr: got"):
        SGD(1e39)


def test_repr() -> None:
    start = "Trainer(LeNet5('lenet5-1998', 60,000 parameters), Adam"
    assert repr(Trainer(LeNet5())).startswith(start)
