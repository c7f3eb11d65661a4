"""validation_split: the last share of the images, as Keras has it."""

import math

import numpy as np
import pytest

from lenet_c import InputWarning, LeNet5, LineReader, Trainer, splits
from lenet_c.line_training import fits

N = 50
IMAGES = np.random.default_rng(5).integers(0, 256, (N, 28, 28)).astype(np.uint8)
LABELS = np.arange(N) % 10


def trainer(**settings):
    return Trainer(LeNet5("lenet5-28"), **settings)


@pytest.mark.parametrize("share", [0.2, 0.31, 0.5])
@pytest.mark.parametrize("kind", [np.asarray, list, tuple])
def test_it_is_as_if_the_last_were_given_as_validation_data(share, kind):
    split, given = trainer(), trainer()
    first = math.floor(N * (1 - share))
    one = split.fit(kind(IMAGES), kind(LABELS), 3, validation_split=share)
    validation = IMAGES[first:], LABELS[first:]
    other = given.fit(IMAGES[:first], LABELS[:first], 3, validation)
    np.testing.assert_array_equal(split.network.parameters, given.network.parameters)
    assert [record["val_loss"] for record in one.epochs] == [
        record["val_loss"] for record in other.epochs
    ]
    assert split.validates


def test_without_it_all_are_trained_on():
    one, other = trainer(), trainer()
    one.fit(IMAGES, LABELS, 2, validation_split=0.0)
    other.fit(IMAGES, LABELS, 2)
    assert not one.validates
    np.testing.assert_array_equal(one.network.parameters, other.network.parameters)


@pytest.mark.parametrize(
    ("n", "share", "first"), [(10, 0.1, 9), (10, 0.25, 7), (3, 0.5, 1), (100, 0.9, 9)]
)
def test_it_is_rounded_as_by_keras(n, share, first):
    assert splits.first_held_out(n, share, "images") == first


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"validation_split": 1.0}, ValueError, "validation_split: got 1.0, want a number of at"),
        ({"validation_split": -0.1}, ValueError, "validation_split: got -0.1, want a number"),
        ({"validation_split": "0.2"}, TypeError, "validation_split: got '0.2', want a number"),
        ({"validation_split": True}, TypeError, "validation_split: got True, want a number"),
        (
            {"validation_data": (IMAGES, LABELS)},
            ValueError,
            "validation_split: got 0.2 beside validation_data, want one of them",
        ),
        ({"labels": LABELS[1:]}, ValueError, "labels: got 49, want 50, one for each image"),
        ({"labels": 3}, TypeError, "labels: got 3, want an array or a list with validation_split"),
        ({"images": iter(IMAGES)}, TypeError, "images: got <.*, want an array or a list with"),
        (
            {"images": IMAGES[:1], "labels": [3]},
            ValueError,
            "got 0.2 of 1 images, which leaves none to train on; want one at least of both",
        ),
        ({"validation_split": 1e-30}, ValueError, "leaves none to validate with"),
    ],
)
def test_what_cannot_be_parted(change, error, message):
    one = trainer()
    before = one.network.parameters.copy()
    given = {"images": IMAGES, "labels": LABELS, "validation_split": 0.2, **change}
    with pytest.raises(error, match=message):
        one.fit(**given)
    np.testing.assert_array_equal(one.network.parameters, before)


def test_sorted_images_are_told():
    order = np.argsort(LABELS, kind="stable")
    with pytest.warns(InputWarning, match="no image of classes 8, 9 is trained on") as told:
        trainer().fit(IMAGES[order], LABELS[order], 1, validation_split=0.2)
    assert told[0].filename == __file__
    line = str(told[0].message).partition("before: ")[2]
    names = {"np": np, "images": IMAGES[order], "labels": LABELS[order]}
    exec(line, names)
    trainer().fit(names["images"], names["labels"], 1, validation_split=0.4)  # warnings are errors
    with pytest.warns(InputWarning, match="no image of class 9 is trained on"):
        trainer().fit(IMAGES[order], list(LABELS[order]), 1, validation_split=0.1)


def test_calibration_and_checkpoints(tmp_path):
    path = tmp_path / "state.npz"
    whole = trainer()
    whole.fit(IMAGES, LABELS, 3, validation_split=0.2)

    class Halt:
        def on_epoch_end(self, trainer, record):
            if record["epoch"] == 2:
                raise InterruptedError

    halted = trainer(callbacks=[Halt()])
    with pytest.raises(InterruptedError):
        halted.fit(IMAGES, LABELS, 3, validation_split=0.2, checkpoint=path)
    with pytest.raises(ValueError, match="validation_data: the fit under way had validation"):
        Trainer.load(path).resume(IMAGES, LABELS)
    again = Trainer.load(path)
    again.resume(IMAGES, LABELS, validation_split=0.2)
    np.testing.assert_array_equal(again.network.parameters, whole.network.parameters)
    with pytest.raises(ValueError, match="calibrate: got no validation data"):
        trainer().fit(IMAGES, LABELS, 3, calibrate=True)
    with pytest.raises(ValueError, match=r"^validation_split: got 5, want at least 10 to"):
        trainer().fit(IMAGES, LABELS, 3, calibrate=True, validation_split=0.1)


@pytest.mark.filterwarnings("ignore:validation_split. no image of class 99")
def test_what_is_held_out_is_checked_by_the_name_of_the_share():
    wrong = np.append(LABELS[:-1], 99)
    with pytest.raises(ValueError, match=r"^validation_split: labels: row \d+ is 99, want 0 to"):
        Trainer(LeNet5("lenet5-28")).fit(IMAGES, wrong, 3, validation_split=0.1)


def test_strings():
    rng = np.random.default_rng(3)
    strips = [rng.integers(0, 256, (32, 40 + 4 * k)).astype(np.uint8) for k in range(10)]
    texts = ["12", "3"] * 5
    split, given = Trainer(LeNet5("lenet5-strings")), Trainer(LeNet5("lenet5-strings"))
    split.fit(strips, texts, 2, validation_split=0.3)
    given.fit(strips[:7], texts[:7], 2, (strips[7:], texts[7:]))
    np.testing.assert_array_equal(split.network.parameters, given.network.parameters)
    assert split.history.epochs[1]["val_loss"] == given.history.epochs[1]["val_loss"]


def test_fields_of_a_reader():
    rng = np.random.default_rng(3)
    strips = [np.zeros((32, 60), np.uint8) for k in range(10)]
    for strip in strips:
        strip[6:26, 8:-8] = rng.integers(0, 256, (20, 44))
    texts = ["12", "3"] * 5
    texts[2] = "1" * 50  # cannot be spelt in its strip
    left = strips[:2] + strips[3:], texts[:2] + texts[3:]
    split, given = LineReader(LeNet5("lenet5-strings")), LineReader(LeNet5("lenet5-strings"))
    assert not fits(split.network, strips[2], np.zeros(50))
    with pytest.warns(InputWarning, match=r"1 of 10 are left out; pictures\[2\]: the text"):
        split.fit(strips, texts, 2, validation_split=0.3, batch_size=4)
    given.fit(
        left[0][:6],
        left[1][:6],
        2,
        validation_data=(left[0][6:], left[1][6:]),
        batch_size=4,
    )
    np.testing.assert_array_equal(split.network.parameters, given.network.parameters)
    assert split.history == given.history
    assert len(split.history) == 2
    with pytest.raises(ValueError, match=r"validation_split: got 0.95 of 10 fields, which leaves"):
        given.fit(strips, ["1"] * 10, 2, validation_split=0.95)
    with pytest.raises(ValueError, match=r"validation_split: got 0.5 beside validation_data"):
        given.fit(strips, texts, 2, validation_split=0.5, validation_data=(strips, texts))


def test_all_that_has_a_row_an_image_is_parted():
    weights = np.arange(N)
    learnt, held = splits.held_out(0.4, None, IMAGES, LABELS, weights)
    assert len(learnt) == len(held) == 3
    for given, one, other in zip((IMAGES, LABELS, weights), learnt, held, strict=True):
        np.testing.assert_array_equal(one, given[:30])
        np.testing.assert_array_equal(other, given[30:])
    with pytest.raises(ValueError, match="sample_weight: got 49, want 50, one for each image"):
        splits.held_out(0.4, None, IMAGES, LABELS, weights[1:])
