"""Trainers of strings, and networks with a blank class that read single characters."""

from __future__ import annotations

import copy
import dataclasses
import io
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lenet_c import (
    LENET5_1998,
    SDLM,
    SGD,
    Adam,
    Architecture,
    AveragePool,
    BestWeights,
    Callback,
    Conv,
    Dense,
    Distortion,
    LeNet5,
    Rejection,
    Trainer,
    updates,
)
from lenet_c.networks import LENET5_STRINGS
from tests.killed import KillAt, Killed, without_times

ROOT = Path(__file__).parent.parent

# Of strips 10 pixels high, with a position every other pixel.
TINY = Architecture(
    "tiny",
    (
        Conv("a", maps=4, kernel=3, activation="tanh"),
        AveragePool("b"),
        Dense("c", units=12, activation="tanh"),
        Dense("output", units=4, activation="identity"),
    ),
    input_shape=(10, 8),
    blank=True,
)
N = 70


def strips(n: int = N, seed: int = 1) -> tuple[list[np.ndarray], list[str]]:
    """Strips of bars: low, high or both, which stand for the characters 0, 1 and 2."""
    rng = np.random.default_rng(seed)
    images, labels = [], []
    for _ in range(n):
        text = rng.integers(0, 3, rng.integers(1, 5))
        image = rng.integers(0, 40, (10, 8 * len(text) + 4), np.uint8)
        for k, c in enumerate(text):
            left = 4 + 8 * k + rng.integers(-1, 2)
            image[(1, 6, 1)[c] : (4, 9, 9)[c], left : left + 4] = 230
        images.append(image)
        labels.append("".join(map(str, text)))
    return images, labels


def tiny(seed: int = 2) -> LeNet5:
    net = LeNet5(TINY, seed=seed)
    net.class_names = list("012")
    return net


@pytest.mark.parametrize("loss", [None, "viterbi", "discriminative"])
def test_it_learns_to_read_strings(loss: str | None) -> None:
    images, labels = strips(300)
    net = tiny()
    # the likeliest path alone is a poor teacher at first
    trainer = Trainer(net, Adam(1e-2, schedule="one_cycle"), loss, batch_size=20)
    assert trainer.loss == (loss or "forward")
    history = trainer.fit(images, labels, 12, strips(60, 9))
    assert history.epochs[-1]["loss"] < 0.2 * history.epochs[0]["loss"]
    assert history.epochs[-1]["val_error_rate"] < 0.2


def test_labels_in_all_their_forms() -> None:
    images, labels = strips(20)
    classes = [[int(c) for c in label] for label in labels]
    forms: list[Any] = [
        labels,
        tuple(labels),
        np.array(labels),
        np.array(labels, object),
        [list(label) for label in labels],
        classes,
        [np.array(c, np.uint8) for c in classes],
        [np.array(c) for c in classes],
    ]
    found = []
    for form in forms:
        net = tiny()
        trainer = Trainer(net, SGD(0.05))
        loss = trainer.step(images, form)
        trainer.fit(images, form, 1, checkpoint=io.BytesIO())
        found.append((loss, net.parameters.tobytes()))
    assert found == [found[0]] * len(forms)
    one = np.stack([image[:, :12] for image in images[:4]])
    equal = np.array([[0], [1], [2], [0]])
    first, second = tiny(), tiny()
    assert Trainer(first).step(one, equal) == Trainer(second).step(list(one), ["0", "1", "2", "0"])
    assert first.parameters.tobytes() == second.parameters.tobytes()
    first, second = tiny(), tiny()
    assert Trainer(first).step(images[0], labels[0]) == Trainer(second).step(images[:1], labels[:1])


def test_digits_need_no_names() -> None:
    net = LeNet5(LENET5_STRINGS)
    assert net.class_names is None
    assert np.isfinite(Trainer(net).step(np.zeros((32, 90), np.uint8), "407"))
    net = LeNet5(TINY)
    with pytest.raises(ValueError, match="labels: row 0: got '12', and the network's classes have"):
        Trainer(net).step(np.zeros((10, 30), np.uint8), "12")
    assert np.isfinite(Trainer(net).step([np.zeros((10, 30), np.uint8)], [[1, 2]]))


def test_a_step_is_the_gradient() -> None:
    images, labels = strips()
    net = tiny()
    strings = updates.strings_of(net, images, labels)
    loss, _, gradient = net._network.strings_gradient(strings, "forward", np.inf, 1.0)
    want = net.parameters - np.float32(0.25) * gradient
    assert Trainer(net, SGD(0.25)).step(images, labels) == loss
    np.testing.assert_allclose(net.parameters, want, rtol=0, atol=1e-6)

    images, labels = [np.zeros((32, 60), np.uint8)], ["1201"]
    for net, j in ((with_penalties(), 5.0), (LeNet5(LENET5_STRINGS), np.inf)):  # logits have no j
        net.class_names = list("0123456789")[: net.architecture.characters]
        strings = updates.strings_of(net, images, labels)
        wanted, without = (
            net._network.strings_gradient(strings, "forward", one, 40.0)[0] for one in (j, np.inf)
        )
        assert (wanted == without) == (j == np.inf)
        assert Trainer(net, SGD(0.1), j=5.0, temperature=40.0).step(images, labels) == wanted


def test_fit_is_steps() -> None:
    images, labels = strips()

    class Order(Callback):
        def on_batch_end(self, trainer: Trainer, batch: dict[str, float]) -> None:
            assert trainer._run is not None
            orders.append(trainer._run.order)

    orders: list[Any] = []
    fitted, stepped = tiny(), tiny()
    trainer = Trainer(fitted, Adam(1e-2), batch_size=16, callbacks=[Order()])
    record = trainer.fit(images, labels, 1).epochs[0]
    other, losses = Trainer(stepped, Adam(1e-2)), []
    for k in range(0, N, 16):
        chosen = orders[0][k : k + 16]
        losses += [other.step([images[i] for i in chosen], [labels[i] for i in chosen])] * len(
            chosen
        )
    assert fitted.parameters.tobytes() == stepped.parameters.tobytes()
    assert record["loss"] == pytest.approx(np.mean(losses))
    assert len(orders) == 5


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("at", ["first update", "in a pass", "last of a pass", "pass", "last pass"])
def test_a_killed_training_on_strings_ends_with_the_same_bits(at: str, threads: int) -> None:
    images, labels = strips()
    held_out = strips(20, 5)

    def trainer(*callbacks: Any) -> Trainer:
        return Trainer(
            tiny(),
            Adam(1e-2, schedule="one_cycle"),
            batch_size=20,
            freeze=["a"],
            callbacks=[BestWeights(), *callbacks],
            num_threads=threads,
        )

    whole = trainer()
    before = whole.network["a.weight"].tobytes(), whole.network["a.bias"].tobytes()
    whole.fit(images, labels, 3, held_out)
    assert (whole.network["a.weight"].tobytes(), whole.network["a.bias"].tobytes()) == before
    assert len({r["val_loss"] for r in whole.history.epochs}) == 3

    update = {"first update": 1, "in a pass": 6, "last of a pass": 8}.get(at)
    epoch = {"pass": 2, "last pass": 3}.get(at)
    file = io.BytesIO()
    killed = trainer(KillAt(file, update, epoch))
    with pytest.raises(Killed):
        killed.fit(images, labels, 3, held_out)
    file.seek(0)
    again = Trainer.load(file, callbacks=[BestWeights(), Callback()])
    again.num_threads = 3 - threads
    again.resume(images, labels, held_out)
    assert again.loss == "forward"
    assert again.network.architecture.blank
    assert again.network.class_names == tuple("012")
    assert again.network.parameters.tobytes() == whole.network.parameters.tobytes()
    assert without_times(again) == without_times(whole)

    file.seek(0)
    again = Trainer.load(file, callbacks=[BestWeights(), Callback()])
    others = [*labels[:-1], "0" if labels[-1] != "0" else "1"]
    with pytest.raises(ValueError, match="images: these, their labels or the validation data"):
        again.resume(images, others, held_out)


KILLED = """
import os, sys
import numpy as np
from lenet_c import Adam, Callback, Trainer
from tests.test_string_training import strips, tiny

class End(Callback):
    def on_batch_end(self, trainer, batch):
        if batch["step"] == 7:
            os.kill(os.getpid(), 9)

Trainer(tiny(), Adam(1e-2), batch_size=20, callbacks=[End()]).fit(
    *strips(), 3, checkpoint=sys.argv[1])
"""


def test_a_process_that_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "state.npz"
    child = subprocess.run([sys.executable, "-c", KILLED, str(path)], cwd=ROOT, check=False)
    assert child.returncode == -9
    again = Trainer.load(path, callbacks=[Callback()])
    assert len(again.history.epochs) == 1
    again.resume(*strips())
    whole = Trainer(tiny(), Adam(1e-2), batch_size=20)
    whole.fit(*strips(), 3)
    assert again.network.parameters.tobytes() == whole.network.parameters.tobytes()


def test_copies_and_pickles_of_a_trainer_go_on() -> None:
    images, labels = strips()
    trainer = Trainer(tiny(), Adam(1e-2), "viterbi")
    trainer.step(images, labels)
    others = [copy.deepcopy(trainer), pickle.loads(pickle.dumps(trainer))]
    trainer.step(images, labels)
    for other in others:
        other.step(images, labels)
        assert other.loss == "viterbi"
        assert other.network.parameters.tobytes() == trainer.network.parameters.tobytes()


def test_a_failed_update_keeps_the_last_good_weights() -> None:
    images, labels = strips()
    net = tiny()
    trainer = Trainer(net, SGD(1e37))
    with pytest.raises(FloatingPointError, match="the loss is no longer finite at update"):
        trainer.fit(images, labels, 4)
    assert np.isfinite(net.parameters).all()


def test_what_trainers_of_strings_refuse() -> None:
    images, labels = strips(4)
    net = tiny()
    with pytest.raises(ValueError, match="distort: got a Distortion, want None with strings"):
        Trainer(net, distort=Distortion())
    with pytest.raises(ValueError, match="optimizer: got SDLM, which has no curvature of strings"):
        Trainer(net, SDLM())
    with pytest.raises(ValueError, match="loss: 'forward' wants strings"):
        Trainer(LeNet5(), loss="forward")
    with pytest.raises(ValueError, match="loss: got 'ctc', want one of"):
        Trainer(net, loss="ctc")
    trainer = Trainer(net)
    before = net.parameters.tobytes()
    with pytest.raises(ValueError, match="labels: row 2 has 90 characters"):
        trainer.step(images, [*labels[:2], "01" * 45, labels[3]])
    with pytest.raises(ValueError, match="labels: row 0 has class 3"):
        trainer.step(images, [[3], [1], [1], [1]])
    with pytest.raises(ValueError, match="validation_data: row 1: got 'x'"):
        trainer.fit(images, labels, 1, (images[:2], ["0", "x"]))
    with pytest.raises(ValueError, match="validation_data: row 1 has class 9"):
        trainer.fit(images, labels, 1, (images[:2], [[0], [9]]))
    with pytest.raises(TypeError, match="validation_data: 0 has dtype float64"):
        trainer.fit(images, labels, 1, ([np.zeros((10, 20))], ["0"]))
    with pytest.raises(ValueError, match="calibrate: got True, want False with strings"):
        trainer.fit(images, labels, 1, (images, labels), calibrate=True)
    with pytest.raises(ValueError, match="validation_data: no labels"):
        trainer.fit(images, labels, 1, (images, None))  # type: ignore[arg-type]
    assert net.parameters.tobytes() == before
    assert trainer.n_updates == 0


# ---- single characters ----


def characters(n: int = 200) -> tuple[np.ndarray, np.ndarray]:
    images, labels = strips(4 * n, 3)
    single = [(i[:, 2:10], int(t)) for i, t in zip(images, labels, strict=True) if len(t) == 1]
    return np.stack([i for i, _ in single]), np.array([t for _, t in single])


@pytest.fixture(scope="module")
def taught() -> LeNet5:
    net = tiny()
    Trainer(net, Adam(1e-2, schedule="one_cycle"), batch_size=20).fit(*strips(300), 12)
    return net


def with_penalties(blank_nearest: bool = False) -> LeNet5:
    """RBF units, of which the blank's code is what F6 gives for a blank picture."""
    architecture = dataclasses.replace(LENET5_1998, blank=True).with_classes(4, 84)
    codes = np.where(np.random.default_rng(1).random((4, 84)) < 0.5, -1.0, 1.0)
    net = LeNet5(architecture, codes=codes)
    if blank_nearest:
        codes[3] = net.activations(np.zeros((1, 32, 32), np.uint8))["F6"][0]
        net = LeNet5(architecture, codes=codes)
    return net


@pytest.mark.parametrize("n", [1, 3, 40])
def test_the_blank_is_never_read(n: int) -> None:
    biased = tiny()
    biased["output.bias"][3] = 1e6
    empty = np.zeros((n, 10, 8), np.uint8)
    penalties = with_penalties(True)
    for net, images in ((biased, empty), (penalties, np.zeros((n, 32, 32), np.uint8))):
        outputs = net.forward(images)
        assert outputs.shape == (n, 4)
        best = (-outputs if net.codes is not None else outputs).argmax(axis=1)
        assert (best == 3).all()  # what it says is there, and is not read
        wanted = (-outputs if net.codes is not None else outputs)[:, :3].argmax(axis=1)
        packed = net.compile()
        for reader in (net, packed):
            assert reader.predict(images).tolist() == wanted.tolist()
            assert reader.predict(images, reject=Rejection()).tolist() == wanted.tolist()
            probabilities = reader.predict_proba(images)
            assert probabilities.shape == (n, 3)
            np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
            reading = reader.read(images)
            assert reading.classes.tolist() == wanted.tolist()
            classes, found = reader.best_two(images)
            assert classes.max() < 3
            assert np.isfinite(found).all()
            evaluation = reader.evaluate(images, wanted)
            assert evaluation.error_rate == 0
            assert evaluation.confusion.shape == (3, 3)
            assert evaluation.confusion.sum() == n
            with pytest.raises(ValueError, match="labels: row 0 is 3, want 0 to 2"):
                reader.evaluate(images, np.full(n, 3))


def test_a_string_network_reads_single_characters(taught: LeNet5) -> None:
    images, labels = characters()
    evaluation = taught.evaluate(images, labels)
    assert evaluation.error_rate < 0.1
    assert (taught.predict(images) != labels).mean() == evaluation.error_rate
    reading = taught.read(images)
    assert set(reading.labels) <= set("012")
    net = LeNet5(TINY, seed=2)
    net.parameters[...] = taught.parameters
    net.calibrate(images, labels)
    assert net.temperature != 1.0
    np.testing.assert_allclose(net.predict_proba(images).sum(axis=1), 1, rtol=1e-6)
    curve = net.rejection_curve(images, labels)
    assert curve.reaching(0.2) is not None


@pytest.mark.parametrize("loss", ["mse", "cross_entropy", "map"])
def test_an_evaluation_has_the_loss_that_is_learnt(loss: str) -> None:
    for net, images in (
        (tiny(), characters()[0]),
        (with_penalties(), np.random.default_rng(0).integers(0, 256, (40, 32, 32), np.uint8)),
    ):
        labels = np.arange(len(images)) % 3
        value, _ = net.loss_and_gradient(images, labels, loss)
        assert net.evaluate(images, labels, loss).loss == pytest.approx(value, rel=1e-5)
        before = net.evaluate(images, labels, loss).loss
        Trainer(net, SGD(1e-5), loss).fit(images, labels, 2, (images, labels))
        assert net.evaluate(images, labels, loss).loss < before


def test_class_names_are_the_characters() -> None:
    net = LeNet5(LENET5_STRINGS)
    assert net.architecture.characters == 10
    net.class_names = list("abcdefghij")
    with pytest.raises(ValueError, match="class_names: got more than 10, want one for each class"):
        net.class_names = list("abcdefghijk")
    assert net.read(np.zeros((1, 32, 32), np.uint8)).labels[0] in "abcdefghij"


# ---- files ----


def test_files_and_pickles_keep_the_blank(taught: LeNet5) -> None:
    images, _ = strips(5)
    want = [outputs.tobytes() for outputs in taught.sweep(images)]
    file = io.BytesIO()
    taught.save(file)
    file.seek(0)
    loaded = LeNet5.load(file)
    for other in (loaded, pickle.loads(pickle.dumps(taught)), copy.deepcopy(taught)):
        assert other.architecture == taught.architecture
        assert other.architecture.blank
        assert other.class_names == tuple("012")
        assert [outputs.tobytes() for outputs in other.sweep(images)] == want
        assert other.predict(np.zeros((3, 10, 8), np.uint8)).max() < 3
        again = io.BytesIO()
        other.save(again)
        assert again.getvalue() == file.getvalue()
    packed = pickle.loads(pickle.dumps(taught.compile()))
    assert [outputs.tobytes() for outputs in packed.sweep(images)] == want


@pytest.mark.parametrize("name", ["model-format1.npz", "model-format1-calibrated.npz"])
def test_files_without_a_blank_are_as_they_were(name: str) -> None:
    net = LeNet5.load(ROOT / "tests" / "fixtures" / name)
    assert not net.architecture.blank
    assert net.architecture.characters == net.architecture.classes
    file, again = io.BytesIO(), io.BytesIO()
    net.save(file)
    file.seek(0)
    assert b"blank" not in file.getvalue()
    fixture = (ROOT / "tests" / "fixtures" / name).read_bytes()
    found = [
        re.search(rb'{"architecture": ({.*?"foreground": [0-9.]+})', text, re.DOTALL)
        for text in (fixture, file.getvalue())
    ]
    assert found[0] is not None
    assert found[1] is not None
    assert found[0][1] == found[1][1]
    LeNet5.load(file).save(again)
    assert file.getvalue() == again.getvalue()
