"""Trainer.save, load and resume: the same bits as without a break, and files that are refused."""

from __future__ import annotations

import copy
import io
import pickle
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lenet_c import (
    LENET5_MODERN,
    SDLM,
    SGD,
    Adam,
    Architecture,
    BestWeights,
    Callback,
    Conv,
    Dense,
    EarlyStopping,
    LeNet5,
    ModelFileError,
    OneCycle,
    Subsample,
    Trainer,
    run,
    serialization,
)
from lenet_c.distort import AFFINE
from lenet_c.optimizers import Optimizer
from tests.killed import KillAt, Killed, without_times

N = 150
LABELS = np.arange(N) % 10
EPOCHS = 4


@pytest.fixture
def images(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 256, (N, 28, 28)).astype(np.uint8)


@pytest.fixture
def held_out(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return rng.integers(0, 256, (40, 28, 28)).astype(np.uint8), np.arange(40) % 10


def loaded(file: Any, **options: Any) -> Trainer:
    if isinstance(file, io.BytesIO):
        file.seek(0)
    return Trainer.load(file, **options)


def model_file(network: LeNet5) -> bytes:
    file = io.BytesIO()
    network.save(file)
    return file.getvalue()


def assert_same(one: Trainer, other: Trainer) -> None:
    assert one.network.parameters.tobytes() == other.network.parameters.tobytes()
    for a, b in ((one._state.first, other._state.first), (one._state.second, other._state.second)):
        assert (a is None) == (b is None)
        assert a is None or b is None or a.tobytes() == b.tobytes()
    assert without_times(one) == without_times(other)
    assert one.n_updates == other.n_updates
    assert one._state.n_images == other._state.n_images
    assert one._rng.bit_generator.state == other._rng.bit_generator.state
    assert one._since_good == other._since_good
    assert (one._good == other._good).all()  # type: ignore[union-attr]
    assert model_file(one.network) == model_file(other.network)


SETTINGS: list[tuple[Optimizer, dict[str, Any]]] = [
    (SGD(1e-3), {}),
    (
        SGD(1e-3, momentum=0.9, schedule="one_cycle"),
        {"distort": AFFINE, "batch_size": 20, "temperature": 7},
    ),
    (Adam(1e-3, schedule=OneCycle(0.3), weight_decay=0.1), {"distort": AFFINE, "freeze": ["C1"]}),
    (SDLM(1e-4, mu=0.5, samples=50), {"batch_size": 7, "freeze": ["S2", "C3.bias"]}),
]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("optimizer", "options"), SETTINGS, ids=["sgd", "momentum", "adam", "sdlm"]
)
@pytest.mark.parametrize("at", ["first update", "in a pass", "last of a pass", "pass", "last pass"])
def test_a_killed_training_ends_with_the_same_bits(
    images: np.ndarray,
    held_out: tuple[np.ndarray, np.ndarray],
    optimizer: Optimizer,
    options: dict[str, Any],
    threads: int,
    at: str,
) -> None:
    def trainer(*callbacks: Any) -> Trainer:
        net = LeNet5(seed=3)
        own = [EarlyStopping(patience=EPOCHS), BestWeights(), *callbacks]
        return Trainer(net, optimizer, seed=5, callbacks=own, num_threads=threads, **options)

    whole = trainer()
    whole.fit(images, LABELS, EPOCHS, held_out)

    steps = -(-N // whole.batch_size)
    update = {"first update": 1, "in a pass": steps + 2, "last of a pass": 2 * steps}.get(at)
    epoch = {"pass": 2, "last pass": EPOCHS}.get(at)
    file = io.BytesIO()
    killed = trainer(KillAt(file, update, epoch))
    with pytest.raises(Killed):
        killed.fit(images, LABELS, EPOCHS, held_out)

    # the first pass of `_since_good` and what is kept after on_fit_end are compared too
    again = loaded(file, callbacks=[EarlyStopping(patience=EPOCHS), BestWeights(), Callback()])
    again.num_threads = 3 - threads
    history = again.resume(images, LABELS, held_out)
    assert history is again.history
    assert_same(whole, again)
    for one, other in zip(whole.callbacks, again.callbacks, strict=False):
        theirs = {k: v for k, v in vars(other).items() if k != "_parameters"}
        assert {k: v for k, v in vars(one).items() if k != "_parameters"} == theirs
    best = whole.callbacks[1]._parameters
    assert again.callbacks[1]._parameters.tobytes() == best.tobytes()


def test_early_stopping_counts_on(
    images: np.ndarray, held_out: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    def callbacks() -> list[Any]:
        return [EarlyStopping("val_loss", patience=2, min_delta=1e9), BestWeights(restore=False)]

    whole = Trainer(LeNet5(), Adam(1e-3), callbacks=callbacks())
    whole.fit(images, LABELS, 9, held_out)
    assert len(whole.history.epochs) == 3
    path = tmp_path / "state.npz"
    killed = Trainer(LeNet5(), Adam(1e-3), callbacks=[*callbacks(), KillAt(path, None, 2)])
    with pytest.raises(Killed):
        killed.fit(images, LABELS, 9, held_out)
    again = loaded(path, callbacks=[*callbacks(), Callback()])
    again.resume(images, LABELS, held_out)
    assert_same(whole, again)
    # saved when it had already asked to stop
    killed = Trainer(LeNet5(), Adam(1e-3), callbacks=[*callbacks(), KillAt(path, None, 3)])
    with pytest.raises(Killed):
        killed.fit(images, LABELS, 9, held_out)
    again = loaded(path, callbacks=[*callbacks(), Callback()])
    again.resume(images, LABELS, held_out)
    assert_same(whole, again)


def test_a_callback_that_saves_before_others_are_told(images: np.ndarray) -> None:
    """Who has not heard of the pass when it is saved hears of it after loading, once."""

    class Counts(Callback):
        def __init__(self) -> None:
            self.heard: list[float] = []

        def on_epoch_end(self, trainer: Trainer, record: dict[str, float]) -> None:
            self.heard.append(record["epoch"])

    file = io.BytesIO()
    first, last = Counts(), Counts()
    killed = Trainer(LeNet5(), callbacks=[first, KillAt(file, None, 2), last])
    with pytest.raises(Killed):
        killed.fit(images, LABELS, 3)
    assert (first.heard, last.heard) == ([1, 2], [1])
    first, last = Counts(), Counts()
    again = loaded(file, callbacks=[first, Callback(), last])
    again.resume(images, LABELS)
    assert (first.heard, last.heard) == ([3], [2, 3])
    with pytest.raises(ValueError, match="callbacks: got 1, want those that the fit under way had"):
        loaded(file, callbacks=[first]).resume(images, LABELS)


def test_checkpoint_of_each_pass(images: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "state.npz"
    seen = []

    class Reads(Callback):
        def on_batch_end(self, trainer: Trainer, batch: dict[str, float]) -> None:
            seen.append(len(Trainer.load(path).history.epochs))

    net = LeNet5()
    trainer = Trainer(net, Adam(1e-3), batch_size=N, callbacks=[Reads()])
    trainer.fit(images, LABELS, 3, checkpoint=path)
    assert seen == [0, 1, 2]
    end = Trainer.load(path)
    assert end.network.parameters.tobytes() == net.parameters.tobytes()
    end.resume(images, LABELS)
    assert_same(trainer, end)
    with pytest.raises(ValueError, match="resume: no fit was under way"):
        end.resume(images, LABELS)


def test_resume_writes_the_checkpoint_too(images: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "state.npz"
    killed = Trainer(LeNet5(), Adam(1e-3), callbacks=[KillAt(path, 2)])
    with pytest.raises(Killed):
        killed.fit(images, LABELS, 3)
    Trainer.load(path).resume(images, LABELS, checkpoint=path)
    assert len(Trainer.load(path).history.epochs) == 3


def test_steps_of_online_learning_go_on(images: np.ndarray, tmp_path: Path) -> None:
    trainer = Trainer(LeNet5(), SDLM(1e-4, mu=0.5), distort=AFFINE, seed=4)
    for k in range(130):
        trainer.step(images[k : k + 2], LABELS[k : k + 2])
        if k == 70:
            trainer.save(tmp_path / "state.npz")
    again = Trainer.load(tmp_path / "state.npz")
    for k in range(71, 130):
        again.step(images[k : k + 2], LABELS[k : k + 2])
    assert_same(trainer, again)
    # and a fit after it, with its own schedule
    trainer.fit(images, LABELS, 2)
    again.fit(images, LABELS, 2)
    assert_same(trainer, again)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))])
def test_copies_of_a_fit_under_way_end_as_it_does(images: np.ndarray, copied: Any) -> None:
    copies = []

    class Copies(Callback):
        def on_batch_end(self, trainer: Trainer, batch: dict[str, float]) -> None:
            if batch["step"] == 4:
                trainer.callbacks.remove(self)
                copies.append(copied(trainer))

    trainer = Trainer(
        LeNet5(), Adam(1e-3), callbacks=[BestWeights(monitor="loss"), Copies()], distort=AFFINE
    )
    trainer.fit(images, LABELS, 3)
    (other,) = copies
    assert other.network is not trainer.network
    other.resume(images, LABELS)
    assert_same(trainer, other)
    assert other.callbacks[0].epoch == trainer.callbacks[0].epoch


def test_saved_from_another_thread(images: np.ndarray) -> None:
    whole = Trainer(LeNet5(), Adam(1e-3), batch_size=4, seed=1)
    whole.fit(images, LABELS, 8)
    files: list[io.BytesIO] = []
    trainer = Trainer(LeNet5(), Adam(1e-3), batch_size=4, seed=1)
    ended = threading.Event()

    def save() -> None:
        while not ended.is_set():
            files.append(io.BytesIO())
            trainer.save(files[-1])

    thread = threading.Thread(target=save)
    thread.start()
    try:
        trainer.fit(images, LABELS, 8)
    finally:
        ended.set()
        thread.join()
    assert_same(whole, trainer)
    under_way = [again for again in map(loaded, files) if again._run is not None]
    assert any(again._run is not None and again._run.order is not None for again in under_way)
    for again in under_way[:: max(1, len(under_way) // 6)]:
        again.resume(images, LABELS)
        assert_same(whole, again)


def test_saved_from_a_signals_handler_between_an_update_and_its_note(images: np.ndarray) -> None:
    """Saved when the core has updated and the trainer has not counted yet."""
    file = io.BytesIO()

    class Interrupted(Trainer):
        @property
        def n_updates(self) -> int:
            if self._state.n_updates == 20 and not file.getvalue():
                self.save(file)
            return super().n_updates

    trainer = Interrupted(LeNet5(), Adam(1e-3), batch_size=10)
    trainer.fit(images, LABELS, 2)
    again = loaded(file)
    assert again.n_updates == 20
    again.resume(images, LABELS)
    assert again.network.parameters.tobytes() == trainer.network.parameters.tobytes()
    assert again.n_updates == trainer.n_updates == 30


@pytest.mark.parametrize("as_file", [True, False])
def test_saved_from_a_signals_handler_while_a_pass_begins(
    images: np.ndarray, as_file: bool
) -> None:
    """Saved when some of the random numbers of the pass have been drawn."""
    saved: list[Any] = []

    class Interrupted(Trainer):
        def _prepare(self, *arguments: Any) -> None:
            super()._prepare(*arguments)
            if len(self.history.epochs) == 1 and not saved:
                saved.append(None)
                saved.append(io.BytesIO() if as_file else copy.deepcopy(self))
                if as_file:
                    self.save(saved[1])

    trainer = Interrupted(LeNet5(), SDLM(1e-4, mu=0.5, samples=50), batch_size=10)
    trainer.fit(images, LABELS, 3)
    again = loaded(saved[1]) if as_file else saved[1]
    again.resume(images, LABELS)
    assert_same(trainer, again)


def test_calibration_at_the_end_is_not_forgotten(real_digits: Any) -> None:
    (x, y), _ = real_digits
    data, held_out = (x[:600], y[:600]), (x[600:800], y[600:800])
    whole = Trainer(LeNet5(), Adam(3e-3), batch_size=16)
    whole.fit(*data, 2, held_out, calibrate=True)
    assert whole.network.temperature != 1.0
    file = io.BytesIO()
    killed = Trainer(LeNet5(), Adam(3e-3), batch_size=16, callbacks=[KillAt(file, 40)])
    with pytest.raises(Killed):
        killed.fit(*data, 2, held_out, calibrate=True)
    again = loaded(file)
    again.resume(*data, held_out)
    assert again.network.temperature == whole.network.temperature
    assert again.network.rejection == whole.network.rejection


def test_other_networks_and_what_they_know(images: np.ndarray, tmp_path: Path) -> None:
    net = LeNet5(LENET5_MODERN.with_classes(12), seed=2)
    net.notes["why"] = "a test"
    trainer = Trainer(net, Adam(1e-3), "mse", freeze=["C1", "C3.bias"], num_threads=1)
    trainer.fit(images, LABELS, 1)
    trainer.save(tmp_path / "state.npz")
    again = Trainer.load(tmp_path / "state.npz", num_threads=2)
    assert again.network.notes == {"why": "a test"}
    assert again.num_threads == 2
    assert again.loss == "mse"
    assert again.optimizer == trainer.optimizer
    assert again._frozen == trainer._frozen
    assert again.history.epochs == trainer.history.epochs
    with pytest.raises(ValueError, match="resume: no fit was under way"):
        again.resume(images, LABELS)
    trainer.fit(images, LABELS, 2)
    again.fit(images, LABELS, 2)
    assert_same(trainer, again)


SMALL = Architecture(
    "small",
    (Conv("C", 1, 3), Subsample("S"), Dense("output", 3, "identity")),
    input_shape=(8, 8),
)
FIXTURE = Path(__file__).parent / "fixtures" / "training-format1.npz"


def small_data() -> tuple[np.ndarray, np.ndarray]:
    return (np.arange(30 * 64) * 37 % 256).astype(np.uint8).reshape(30, 8, 8), np.arange(30) % 3


def test_a_file_of_the_first_version() -> None:
    """Written after the 5th of 12 updates; `small_data` and SMALL made it."""
    trainer = Trainer.load(FIXTURE, callbacks=[BestWeights(monitor="loss")])
    assert trainer.network.architecture == SMALL
    assert trainer.network.class_names == ("a", "b", "c")
    assert trainer.optimizer == Adam(1e-2, schedule="one_cycle")
    assert trainer.distort == AFFINE
    assert trainer.n_updates == 5
    assert len(trainer.history.epochs) == 1
    history = trainer.resume(*small_data())
    assert trainer.n_updates == 12
    assert [record["epoch"] for record in history.epochs] == [1, 2, 3]


# ---- what is refused -----------------------------------------------------------------------------


@pytest.fixture
def state(images: np.ndarray, held_out: tuple[np.ndarray, np.ndarray]) -> io.BytesIO:
    file = io.BytesIO()
    callbacks = [BestWeights(), KillAt(file, 4)]
    with pytest.raises(Killed):
        Trainer(LeNet5(), Adam(1e-3), callbacks=callbacks).fit(images, LABELS, 3, held_out)
    return file


def test_images_are_told_by_what_they_hold() -> None:
    x = (np.arange(3 * 28 * 28) % 251).astype(np.uint8).reshape(3, 28, 28)
    # as versions without strings have it
    first = "f649f02d0d9687f32bdbd90f260225ecf093fd2e6111c6ab66620eb0871ca276"
    for images in (x, list(x)):
        for labels in ([1, 2, 3], (1, 2, 3), np.array([1, 2, 3], np.uint8)):
            assert run.digest_of([images, labels]).hex() == first
    assert run.digest_of([x, [1, 2, 4]]).hex() != first
    strips = [x[0], x[1, :, :20]]
    same = (
        [["12", "3"], ("12", "3"), np.array(["12", "3"])],
        [[[1, 2], [3]], [np.array([1, 2]), [3]]],
    )
    for forms in same:
        digests = {run.digest_of([images, f]) for images in (strips, tuple(strips)) for f in forms}
        assert len(digests) == 1
    assert run.digest_of([strips, [[1, 2], [3]]]) != run.digest_of([strips, [[1], [2, 3]]])
    assert run.digest_of([strips, [[1, 2], [3, 4]]]) == run.digest_of(
        [strips, np.array([[1, 2], [3, 4]], np.int32)]
    )


def test_other_images_are_refused(
    state: io.BytesIO, images: np.ndarray, held_out: tuple[np.ndarray, np.ndarray]
) -> None:
    trainer = loaded(state, callbacks=[BestWeights()])
    with pytest.raises(ValueError, match="images: got 149, the fit under way has 150"):
        trainer.resume(images[1:], LABELS[1:], held_out)
    with pytest.raises(ValueError, match="images: these, their labels or the validation data"):
        trainer.resume(images[::-1], LABELS, held_out)
    with pytest.raises(ValueError, match="images: these, their labels"):
        trainer.resume(images, LABELS[::-1], held_out)
    with pytest.raises(ValueError, match="images: these, their labels"):
        trainer.resume(images, LABELS, (held_out[0], held_out[1][::-1]))
    with pytest.raises(ValueError, match="validation_data: the fit under way had validation data"):
        trainer.resume(images, LABELS)
    # the same in another layout and dtype
    trainer.resume(np.asfortranarray(images), LABELS.astype(np.uint8), held_out)


@pytest.mark.parametrize(
    ("callbacks", "message"),
    [
        ([], "had BestWeights, got none: want the same"),
        ([BestWeights(), BestWeights()], "had BestWeights, got BestWeights, BestWeights"),
        ([EarlyStopping()], "had BestWeights, got EarlyStopping"),
        (
            [BestWeights(monitor="loss")],
            "cannot go on .*monitor: got 'loss', want 'val_error_rate'",
        ),
    ],
)
def test_other_callbacks_are_refused(
    state: io.BytesIO,
    images: np.ndarray,
    held_out: tuple[np.ndarray, np.ndarray],
    callbacks: list[Any],
    message: str,
) -> None:
    with pytest.raises(ValueError, match=f"callbacks: .*{message}"):
        loaded(state, callbacks=callbacks).resume(images, LABELS, held_out)


def test_what_no_file_holds_is_told_before_training(images: np.ndarray, tmp_path: Path) -> None:
    net = LeNet5()
    trainer = Trainer(net, Adam(1e-3, schedule=lambda step, n_steps, epoch: 1.0))
    with pytest.raises(TypeError, match=r"schedule: a file cannot hold .*want a name or one of"):
        trainer.fit(images, LABELS, 1, checkpoint=tmp_path / "state.npz")
    with pytest.raises(OSError, match="no-such"):
        Trainer(net).fit(images, LABELS, 1, checkpoint=tmp_path / "no-such" / "state.npz")
    assert net.parameters.tobytes() == LeNet5().parameters.tobytes()
    assert list(tmp_path.iterdir()) == []


def test_the_two_kinds_of_files_are_told_apart(state: io.BytesIO, tmp_path: Path) -> None:
    (tmp_path / "state.npz").write_bytes(state.getvalue())
    with pytest.raises(ModelFileError, match=r"state\.npz: a training under way, Trainer\.load"):
        LeNet5.load(tmp_path / "state.npz")
    LeNet5().save(tmp_path / "model.npz")
    with pytest.raises(
        ModelFileError, match=r"model\.npz: a network, not a training .*LeNet5\.load"
    ):
        Trainer.load(tmp_path / "model.npz")
    with pytest.raises(ModelFileError, match="bytes; a model file has at most 1000"):
        Trainer.load(tmp_path / "state.npz", max_bytes=1000)
    with pytest.raises(TypeError, match="callbacks: got"):
        Trainer.load(tmp_path / "state.npz", callbacks=[3])


def test_damage_is_told(state: io.BytesIO) -> None:
    content = state.getvalue()
    refused = 0
    for k in range(0, len(content), len(content) // 60):
        with pytest.raises(ModelFileError):
            Trainer.load(io.BytesIO(content[:k]))
        damaged = bytearray(content)
        damaged[k] ^= 0x10
        try:
            whole = Trainer.load(io.BytesIO(bytes(damaged)))
        except ModelFileError:
            refused += 1
        else:  # in what a zip file says beside its members' content
            assert_same(whole, loaded(state))
    assert refused > 50


NOT_HERE = object()


@pytest.mark.parametrize(
    ("where", "value", "message"),
    [
        ("training_version", 2, "a training of version 2, this lenet_c reads up to 1"),
        ("optimizer", NOT_HERE, "it has no 'optimizer'"),
        ("optimizer", [], "it has no 'kind'"),
        ("optimizer.kind", "sgdd", "optimizer: got 'sgdd', want one of"),
        ("optimizer.lr", -1, "lr: got -1"),
        ("optimizer.code", "x", "unexpected keyword"),
        ("optimizer.schedule", {"kind": "eval"}, "schedule: got 'eval'"),
        ("optimizer.schedule", "eval", "schedule: got 'eval'"),
        ("loss", "none", "loss: got 'none'"),
        ("batch_size", 0, "batch_size: got 0"),
        ("frozen", ["C9"], "freeze: got 'C9'"),
        ("distort", {"wild": 1}, "unexpected keyword"),
        ("random.kind", "MT19937", "random: got 'MT19937'"),
        ("random.state", 1 << 128, "random: state: got"),
        ("random.uinteger", -1, "random: uinteger: got -1"),
        ("distort_seed", 1 << 64, "distort_seed: got"),
        ("counts", [1, 2, 3], "not enough values"),
        ("counts", [1, 2, -3, 4], "counts: got -3"),
        ("counts", [1, 2, 1 << 70, 4], "counts: got"),
        ("stop", 1, "stop: got 1, want True or False"),
        ("history", ["a"], r"history: int64 \(1, 8\), want int64 \(N, 1\)"),
        ("callbacks", 5, "not iterable"),
        ("callbacks", [{"kind": 3, "state": {}}], "callbacks: got 3, want text"),
        ("run.epochs", 0, "epochs: got 0"),
        ("run.n_images", 149, r"order: int64 \(150,\), want int64 \(149,\)"),
        ("run.n_done", 4, "n_done: got 4"),
        ("run.told", -1, "told: got -1"),
        ("run.digest", "xyz", "non-hexadecimal"),
        ("run.loss", "x", "loss: got 'x', want a number"),
    ],
)
def test_hostile_metadata(state: io.BytesIO, where: str, value: Any, message: str) -> None:
    state.seek(0)
    metadata, arrays = serialization.read(state)
    *outer, name = where.split(".")
    place = metadata
    for key in outer:
        place = place[key]
    if value is NOT_HERE:
        del place[name]
    else:
        place[name] = value
    file = io.BytesIO()
    serialization.write(file, metadata, arrays)
    with pytest.raises(ModelFileError, match=message):
        loaded(file)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("first", lambda a: a[1:], r"first: float32 \(59999,\), want float32 \(60000,\)"),
        ("second", lambda a: a * np.float32("nan"), "second: some are NaN"),
        ("good", lambda a: a.astype(np.int64), "good: int64"),
        ("second", None, "it has no 'second'"),
        ("network", None, "it has no 'network'"),
        ("network", lambda a: a[:-1], "truncated"),
        ("order", lambda a: a * 0, "order: want each of 0 to 149 once"),
        ("order", lambda a: a + (1 << 40), "order: want each"),
        ("history", lambda a: a.ravel(), "history: int64"),
    ],
)
def test_hostile_arrays(state: io.BytesIO, name: str, change: Any, message: str) -> None:
    state.seek(0)
    metadata, arrays = serialization.read(state)
    array = arrays.pop(name)
    if change is not None:
        arrays[name] = change(array)
    file = io.BytesIO()
    serialization.write(file, metadata, arrays)
    with pytest.raises(ModelFileError, match=message):
        loaded(file)


@pytest.mark.parametrize("parameters", [np.zeros(5, np.float32), np.zeros(60_000, np.int64)])
def test_hostile_best_weights(
    state: io.BytesIO,
    images: np.ndarray,
    held_out: tuple[np.ndarray, np.ndarray],
    parameters: np.ndarray,
) -> None:
    state.seek(0)
    metadata, arrays = serialization.read(state)
    metadata["callbacks"][0]["state"]["best"] = -1.0  # nothing is better than what is put back
    arrays["callback0.parameters"] = parameters
    file = io.BytesIO()
    serialization.write(file, metadata, arrays)
    trainer = loaded(file, callbacks=[BestWeights()])
    with pytest.raises(ValueError, match="parameters: "):
        trainer.resume(images, LABELS, held_out)
    assert trainer.network.parameters.any()
