"""Confidence: temperature, what is doubtful, readings, names, and what becomes of them in files."""

from __future__ import annotations

import copy
import io
import json
import math
import pickle
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lenet_c import (
    LENET5_28,
    LENET5_1998,
    LENET5_STRINGS,
    RBF,
    Adam,
    Architecture,
    AveragePool,
    BestWeights,
    Conv,
    Dense,
    EarlyStopping,
    LeNet5,
    ModelFileError,
    Reading,
    Rejection,
    Trainer,
    calibration,
    cli,
    serialization,
)

Digits = Any  # ((x, y), (xt, yt)) of the fixture real_digits
FIXTURES = Path(__file__).parent / "fixtures"
LETTERS = tuple("ABCDEFGHIJ")
SMALL = Architecture(
    "small",
    (
        Conv("C1", maps=3, kernel=5, activation="relu"),
        AveragePool("S2"),
        Dense("F3", units=6, activation="tanh"),
        RBF("output", classes=4, trained=True),
    ),
    input_shape=(12, 12),
)


@pytest.fixture(scope="module", params=[LENET5_1998, LENET5_28], ids=["rbf", "logits"])
def trained(request: pytest.FixtureRequest, real_digits: Digits) -> LeNet5:
    """So little that it errs, on digits, and not calibrated."""
    (x, y), _ = real_digits
    net = LeNet5(request.param, seed=1)
    Trainer(net, Adam(2e-3), batch_size=32).fit(x[:1000], y[:1000], epochs=8)
    return net


@pytest.fixture(scope="module")
def held_out(real_digits: Digits) -> tuple[np.ndarray, np.ndarray]:
    (x, y), _ = real_digits
    return x[1000:][-5000:], y[1000:][-5000:]


@pytest.fixture
def net(trained: LeNet5) -> LeNet5:
    return copy.deepcopy(trained)


@pytest.fixture
def calibrated(net: LeNet5, held_out: Any) -> LeNet5:
    return net.calibrate(*held_out)


def loss_of(net: LeNet5, images: np.ndarray, labels: np.ndarray) -> float:
    """Mean of -log of the right class's probability, by another way."""
    sign = -1.0 if net.codes is not None else 1.0
    values = sign * net.forward(images).astype(float) / net.temperature
    values -= values.max(axis=1, keepdims=True)
    shares = np.exp(values) / np.exp(values).sum(axis=1, keepdims=True)
    return float(-np.log(shares[np.arange(len(labels)), labels] + 1e-300).mean())


# ---- temperature ----


def test_calibrate_finds_the_likeliest_temperature(net: LeNet5, held_out: Any) -> None:
    before = loss_of(net, *held_out)
    assert net.calibrate(*held_out, reject=None) is net
    best, temperature = loss_of(net, *held_out), net.temperature
    assert best < before
    for factor in (0.5, 0.9, 1.1, 2.0):
        net.temperature = factor * temperature
        assert loss_of(net, *held_out) > best
    assert (net.rejection, net.subspaces) == (None, None)
    outputs = net.forward(held_out[0])
    labels = held_out[1].astype(np.int64)
    assert calibration.log_loss(outputs, net.codes is not None, labels, temperature) == (
        pytest.approx(best)
    )


def test_other_images_gain_too(net: LeNet5, held_out: Any, real_digits: Digits) -> None:
    if net.codes is None:
        pytest.skip("logits of few passes are sure enough")
    test = real_digits[1]
    before = loss_of(net, *test)
    assert loss_of(net.calibrate(*held_out), *test) < before / 2


def test_temperature_acts_on_probabilities_alone(net: LeNet5, held_out: Any) -> None:
    images, labels = held_out[0][:100], held_out[1][:100]

    def results() -> list[Any]:
        curve = net.rejection_curve(images, labels)
        return [
            net.forward(images),
            net.predict(images),
            net.predict(images, reject=Rejection(penalty=1.0)),
            *net.loss_and_gradient(images, labels),
            net.evaluate(images, labels).loss,
            *net.best_two(images),
            curve.thresholds,
        ]

    before, shares = results(), net.predict_proba(images)
    net.calibrate(*held_out)
    for one, another in zip(before, results(), strict=True):
        np.testing.assert_array_equal(one, another)
    sign = -1.0 if net.codes is not None else 1.0
    values = sign * net.forward(images).astype(float) / net.temperature
    wanted = np.exp(values - values.max(axis=1, keepdims=True))
    wanted /= wanted.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(net.predict_proba(images), wanted, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(net.predict_proba(images[0]), wanted[:1], rtol=1e-3, atol=1e-7)
    assert not np.array_equal(net.predict_proba(images), shares)
    net.temperature = 1
    np.testing.assert_array_equal(net.predict_proba(images), shares)


def test_extreme_temperatures(net: LeNet5, held_out: Any) -> None:
    images = held_out[0][:20]
    net.temperature = 1e-30
    assert set(net.predict_proba(images).ravel()) == {0.0, 1.0}
    assert (net.read(images).probability == 1.0).all()
    net.temperature = 1e30
    np.testing.assert_allclose(net.predict_proba(images), 0.1, rtol=1e-6)
    np.testing.assert_allclose(net.read(images).probability, 0.1)


@pytest.mark.parametrize("value", [0, 0.0, -1.0, math.nan, math.inf, 1e31, 1e-31, 10**400])
def test_temperatures_that_are_none(value: Any) -> None:
    net = LeNet5()
    with pytest.raises(ValueError, match=r"^temperature: got .*, want a number from 1e-30"):
        net.temperature = value
    assert net.temperature == 1.0


@pytest.mark.parametrize("value", [None, "1", True, [1.0]])
def test_temperatures_that_are_no_numbers(value: Any) -> None:
    with pytest.raises(TypeError, match=r"^temperature: got .*, want a number"):
        LeNet5().temperature = value


def test_the_search_by_hand() -> None:
    """Two logits 2 apart, right three times of four: the odds are 3 at T = 2 / log 3."""
    outputs = np.tile(np.array([[2.0, 0.0]], np.float32), (4, 1))
    labels = np.array([0, 0, 1, 0])
    assert calibration.temperature(outputs, False, labels) == pytest.approx(2 / math.log(3))
    for scale in (1e-12, 1e15):  # whatever the outputs' own scale
        found = calibration.temperature(-outputs * np.float32(scale), True, labels)
        assert found == pytest.approx(scale * 2 / math.log(3))


def test_all_right_is_no_certainty() -> None:
    """One image more, of which both classes are as likely: half of 1 in N + 2 is wrong."""
    outputs = np.tile(np.array([[2.0, 0.0]], np.float32), (8, 1))
    found = calibration.temperature(outputs, False, np.zeros(8, np.int64))
    share = 1 / (1 + math.exp(-2 / found))
    assert share == pytest.approx(1 - 0.5 / 10)


def test_nothing_to_learn(real_digits: Digits) -> None:
    (x, y), _ = real_digits
    net = LeNet5(LENET5_28)
    net.parameters[:] = 0  # all logits are equal
    with pytest.raises(ValueError, match="no better than by chance, so there is no temperature"):
        net.calibrate(x[:50], y[:50])
    outputs = np.array([[1.0, 0.0]] * 10, np.float32)
    with pytest.raises(ValueError, match="no better than by chance"):
        calibration.temperature(outputs, False, np.ones(10, np.int64))  # all wrong
    assert (net.temperature, net.rejection, net.subspaces) == (1.0, None, None)


def test_bad_calibrations(real_digits: Digits) -> None:
    (x, y), _ = real_digits
    net = LeNet5()
    with pytest.raises(ValueError, match="images: got 9, want at least 10 to calibrate with"):
        net.calibrate(x[:9], y[:9])
    with pytest.raises(ValueError, match="labels: row 0 is 10, want 0 to 9"):
        net.calibrate(x[:20], np.full(20, 10))
    with pytest.raises(ValueError, match="labels: none were given"):
        net.calibrate(x[:20], None)  # type: ignore[arg-type]
    for share in (-0.1, 1.0, math.nan):
        with pytest.raises(ValueError, match=r"reject: got .*, want a number of at least 0 an"):
            net.calibrate(x[:20], y[:20], reject=share)
    with pytest.raises(TypeError, match="reject: got 'all', want a number"):
        net.calibrate(x[:20], y[:20], reject="all")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="has one class, of which all is certain"):
        LeNet5(LENET5_28.with_classes(1)).calibrate(x[:20], np.zeros(20, int))
    with pytest.raises(ValueError, match="has one class, of which all is certain"):
        LeNet5(LENET5_STRINGS.with_classes(2)).calibrate(x[:20], np.zeros(20, int))
    net.parameters[:] = np.nan
    with pytest.raises(FloatingPointError, match="row 0"):
        net.calibrate(x[:20], y[:20])


# ---- what is doubtful ----


def test_the_wanted_share_is_rejected(net: LeNet5, held_out: Any) -> None:
    images, labels = held_out
    calibrating, others = slice(0, None, 2), slice(1, None, 2)
    net.calibrate(images[calibrating], labels[calibrating], reject=0.1)
    assert net.rejection is not None
    assert net.rejection.penalty < math.inf
    assert net.rejection.distance < math.inf
    share = net.read(images[others]).rejected.mean()
    assert 0.03 < share < 0.25  # of few images
    wrong = net.read(images).classes != labels
    assert net.read(images).rejected[wrong].mean() > 2 * share
    net.calibrate(images, labels, reject=0)
    assert net.rejection == Rejection()


@pytest.mark.filterwarnings("ignore::lenet_c.InputWarning")  # noise looks like no character
def test_what_is_no_digit_is_doubtful(
    calibrated: LeNet5, real_digits: Digits, rng: np.random.Generator
) -> None:
    noise = rng.integers(0, 256, (300, 28, 28), np.uint8)
    specks = 255 * (rng.random((300, 28, 28)) < 0.1).astype(np.uint8)
    plain = np.stack([np.full((28, 28), grey, np.uint8) for grey in (0, 1, 3, 128, 255)])
    bars = np.zeros((2, 28, 28), np.uint8)
    bars[0, :, 10:] = bars[1, :14] = 255
    for name, images in {"noise": noise, "specks": specks, "plain": plain, "bars": bars}.items():
        share = calibrated.read(images).rejected.mean()
        assert share > (0.9 if name == "specks" else 0.98), name
    test = real_digits[1][0]
    assert calibrated.read(test).rejected.mean() < 0.05
    np.testing.assert_array_equal(
        calibrated.predict(noise, reject=calibrated.rejection) == -1,
        calibrated.read(noise).rejected,
    )


def test_raw_and_normalised_images_have_one_distance(calibrated: LeNet5, held_out: Any) -> None:
    raw = held_out[0][:30]
    side = calibrated.architecture.input_shape[0]
    padded = np.pad(raw, [(0, 0)] + [((side - 28) // 2,) * 2] * 2)
    low, high = calibrated.architecture.background, calibrated.architecture.foreground
    floats = (low + (high - low) * (padded / 255)).astype(np.float32)
    wanted = calibrated.read(raw).distance
    for images in (padded, floats, np.asfortranarray(floats), list(raw)):
        np.testing.assert_allclose(calibrated.read(images).distance, wanted, rtol=1e-4)
    np.testing.assert_allclose(calibrated.read(raw[3]).distance, wanted[3:4], rtol=1e-6)
    # of normalised images the same is learnt
    every = np.pad(held_out[0], [(0, 0)] + [((side - 28) // 2,) * 2] * 2)
    normalised = (low + (high - low) * (every / 255)).astype(np.float32)
    again = copy.deepcopy(calibrated).calibrate(normalised, held_out[1])
    np.testing.assert_allclose(again.read(raw).distance, wanted, rtol=1e-3)


def test_an_image_has_one_distance_in_any_batch(calibrated: LeNet5, held_out: Any) -> None:
    images = held_out[0][:2500]
    everything = calibrated.read(images).distance
    for part in (slice(0, 1), slice(5, 40), slice(len(images) // 3, len(images))):
        np.testing.assert_array_equal(calibrated.read(images[part]).distance, everything[part])


def test_distances_by_hand() -> None:
    seen = np.array([[3, 4, 0], [6, 0, 0], [0, 0, 0], [0, 0, 1]], np.float32)
    made = np.zeros((2, 2, 3), np.float32)
    made[0] = [[3, 0, 0], [0, 1, 0]]
    made[1] = [[0, 0, 10], [0, 0, 0]]
    found = calibration.distances(seen, np.array([0, 0, 1, 1]), made)
    # the first along the direction, the second beside it, the third empty, the last brightened
    np.testing.assert_allclose(found, [0, 3, math.inf, 10 * calibration.INK - 10], rtol=1e-6)


def test_subspaces_by_hand(rng: np.random.Generator) -> None:
    seen = rng.normal(size=(200, 6)).astype(np.float32) * np.array([9, 5, 1, 1, 1, 1], np.float32)
    seen[:, 2] += 7
    labels = np.repeat([0, 3], [150, 50])
    made = calibration.subspaces(seen, labels, 4)
    assert made.shape == (4, 21, 6)
    np.testing.assert_allclose(made[0, 0], seen[:150].mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(made[1, 0], seen.mean(axis=0), rtol=1e-5)  # it has no images
    assert not made[1, 1:].any()
    np.testing.assert_allclose(made[0, 1:7] @ made[0, 1:7].T, np.eye(6), atol=1e-5)
    assert not made[0, 7:].any()
    assert abs(made[0, 1, 0]) > 0.9  # the first coordinate varies most
    assert made[3, 5].any()  # one direction for ten images
    assert not made[3, 6:].any()


def test_rounded_subspaces_take_less_and_give_the_same_distances(
    real_digits: Digits, rng: np.random.Generator
) -> None:
    (x, y), _ = real_digits
    seen = calibration.seen(x[:900], LENET5_28)
    exact = calibration.subspaces(seen, y[:900], 10)
    rounded = calibration.rounded(exact)
    assert rounded.dtype == np.float32
    assert len(zlib.compress(rounded.tobytes())) < 0.6 * len(zlib.compress(exact.tobytes()))
    noise = rng.random((100, seen.shape[1]), np.float32)
    both = np.concatenate([seen, noise]), np.append(y[:900], rng.integers(10, size=100))
    before = calibration.distances(*both, exact)
    np.testing.assert_allclose(calibration.distances(*both, rounded), before, rtol=5e-3)


def test_thresholds_by_hand() -> None:
    penalty, distance = np.arange(10.0), np.arange(10.0)[::-1].copy()
    found = calibration.thresholds(0.2, penalty, distance)
    assert found == Rejection(penalty=8.5, distance=8.5)
    assert found(penalty, penalty, distance).sum() == 2
    # less than one image of ten: what is beyond all of them
    hundred = np.arange(100.0)
    found = calibration.thresholds(0.29, hundred, hundred)
    assert found(hundred, hundred, hundred).sum() == 29
    few = calibration.thresholds(0.09, penalty, distance)
    assert (few.penalty, few.distance) == (penalty.max(), distance.max())
    assert calibration.thresholds(0, penalty, distance) == Rejection()
    empty = np.append(distance[1:], math.inf)
    assert calibration.thresholds(0.09, penalty, empty).distance == distance[1:].max()
    same = np.ones(10)
    assert not calibration.thresholds(0.5, same, same)(same, same, same).any()


def test_a_class_without_images(real_digits: Digits) -> None:
    (x, y), _ = real_digits
    net = LeNet5(LENET5_28.with_classes(13))
    Trainer(net, Adam(2e-3)).fit(x[:600], y[:600], epochs=2)
    net.calibrate(x[600:1000], y[600:1000])
    assert net.subspaces is not None
    assert np.isfinite(net.subspaces).all()


def test_a_distance_needs_subspaces() -> None:
    net = LeNet5()
    image = np.zeros((28, 28), np.uint8)
    for read in (net.read, net.predict):
        with pytest.raises(ValueError, match=r"reject: .*has a distance, and the network no sub"):
            read(image, reject=Rejection(distance=2.0))
    with pytest.raises(ValueError, match="distance: none given"):
        Rejection(distance=2.0)(np.zeros(1), np.zeros(1))
    net.rejection = Rejection(distance=2.0)
    with pytest.raises(ValueError, match="calibrate sets them"):
        net.read(image)


def test_taken_over_by_assignment(calibrated: LeNet5, held_out: Any) -> None:
    other = LeNet5(calibrated.architecture)
    other.temperature = calibrated.temperature
    other.rejection = calibrated.rejection
    other.subspaces = calibrated.subspaces
    other.parameters = calibrated.parameters
    assert other.read(held_out[0]) == calibrated.read(held_out[0])


@pytest.mark.parametrize("value", [0.5, "1", {"penalty": 1.0}, True])
def test_rejections_that_are_none(value: Any) -> None:
    net = LeNet5()
    with pytest.raises(TypeError, match=r"^rejection: got .*, want Rejection\("):
        net.rejection = value
    with pytest.raises(TypeError, match=r"^reject: got .*, want Rejection\("):
        net.read(np.zeros((28, 28), np.uint8), reject=value)
    assert net.rejection is None


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        (np.zeros((10, 21, 28, 28)), ValueError, r"shape .*, want \(10, 1 \+ directions, 16, 16\)"),
        (np.zeros((9, 21, 16, 16)), ValueError, "shape"),
        (np.zeros((10, 0, 16, 16)), ValueError, "shape"),
        (np.zeros((10, 16, 16)), ValueError, "shape"),
        (np.full((10, 1, 16, 16), np.nan), ValueError, "NaN or infinite"),
        (np.zeros((10, 1, 16, 16), "S1"), TypeError, "dtype"),
        (0.5, ValueError, "shape"),
    ],
)
def test_subspaces_that_are_none(values: Any, error: type[Exception], message: str) -> None:
    net = LeNet5()
    with pytest.raises(error, match=f"^subspaces: .*{message}"):
        net.subspaces = values
    assert net.subspaces is None


def test_subspaces_are_read_only_and_a_copy(calibrated: LeNet5) -> None:
    given = np.array(calibrated.subspaces)
    calibrated.subspaces = given
    given[...] = 0
    kept = calibrated.subspaces
    assert kept is not None
    assert kept.any()
    with pytest.raises(ValueError, match="read-only"):
        kept[...] = 0
    kept.shape = (-1,)
    assert calibrated.subspaces is not None
    assert calibrated.subspaces.ndim == 4


@pytest.mark.filterwarnings("ignore::lenet_c.InputWarning")  # noise looks like no character
def test_huge_subspaces_and_pixels_reject_without_a_warning() -> None:
    net = LeNet5(LENET5_28)
    net.subspaces = np.full((10, 3, 14, 14), 3e38)
    net.rejection = Rejection(distance=1e6)
    assert net.read(np.ones((2, 28, 28), np.uint8)).rejected.all()
    net.subspaces = np.zeros((10, 3, 14, 14))
    images = np.full((2, 28, 28), 1e25, np.float32)
    images[:, 1, 0] = 0  # in a row that nobody looks at for the range: as if blank
    assert net.read(images).rejected.all()


# ---- reading ----


def test_a_reading(calibrated: LeNet5, held_out: Any) -> None:
    images = held_out[0][:300]
    reading = calibrated.read(images, num_threads=1)
    assert isinstance(reading, Reading)
    np.testing.assert_array_equal(reading.classes, calibrated.predict(images))
    np.testing.assert_array_equal(reading.labels, reading.classes.astype(str))
    shares = calibrated.predict_proba(images)
    np.testing.assert_allclose(reading.probability, shares.max(axis=1), rtol=1e-6)
    classes, penalties = calibrated.best_two(images)
    np.testing.assert_array_equal(reading.classes, classes[:, 0])
    np.testing.assert_allclose(reading.penalty, penalties[:, 0], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(reading.margin, penalties[:, 1] - penalties[:, 0], rtol=1e-4)
    kinds = {name: (array.dtype.kind, array.shape) for name, array in vars(reading).items()}
    assert kinds == {
        **{"classes": ("i", (300,)), "labels": ("U", (300,)), "rejected": ("b", (300,))},
        **dict.fromkeys(("probability", "penalty", "margin", "distance"), ("f", (300,))),
    }
    limit = Rejection(margin=float(np.median(reading.margin)))
    assert 100 < calibrated.read(images, reject=limit).rejected.sum() < 200
    assert not calibrated.read(images, reject=Rejection()).rejected.any()


def test_parts_of_a_reading(calibrated: LeNet5, held_out: Any) -> None:
    reading = calibrated.read(held_out[0][:30])
    assert len(reading) == 30
    dicts = reading.as_dicts()
    assert json.loads(json.dumps(dicts, allow_nan=False)) == dicts
    names = ["class", "label", "probability", "penalty", "margin", "distance", "rejected"]
    assert list(dicts[7]) == names
    assert reading[7] == reading[np.int64(7)] == reading[-23] == dicts[7] == list(reading)[7]
    assert [type(value) for value in dicts[7].values()] == [int, str, *[float] * 4, bool]
    assert dicts[7]["class"] == reading.classes[7]
    part = reading[7:9]
    assert isinstance(part, Reading)
    assert part.as_dicts() == dicts[7:9]
    assert reading[reading.classes == 3].as_dicts() == [d for d in dicts if d["class"] == 3]
    assert reading[[2, 0]].as_dicts() == [dicts[2], dicts[0]]
    assert len(reading[:0]) == 0
    assert str(reading[:0]).split() == ["label", "probability", "penalty", "margin"]
    for bad in (30, -31):
        with pytest.raises(IndexError, match=f"image {bad} of a reading of 30"):
            reading[bad]
    with pytest.raises(TypeError):
        reading["classes"]  # type: ignore[call-overload]
    assert reading == reading[:]
    assert reading != reading[:-1]
    assert reading != 1
    assert pickle.loads(pickle.dumps(reading)) == reading


def test_a_reading_is_a_table(net: LeNet5, held_out: Any) -> None:
    net.class_names = ["a longer name", *LETTERS[1:]]
    reading = net.read(held_out[0][:25], reject=Rejection(margin=1e9))
    assert repr(reading) == "Reading(25 images, 25 rejected)"
    assert repr(reading[:1]) == "Reading(1 image, 1 rejected)"
    lines = str(reading).splitlines()
    assert lines[0].split() == ["label", "probability", "penalty", "margin"]
    assert len(lines) == 1 + 10 + 1 + 10
    assert lines[11].strip() == "..."
    assert lines[-1].split()[0] == "24"
    assert all(line.endswith("rejected") for line in lines[1:11])
    assert reading.labels[3] in lines[4]
    assert f"{reading.probability[3]:.4f}" in lines[4]
    assert len(str(reading[:20]).splitlines()) == 21
    net.calibrate(*held_out)
    assert "distance" in str(net.read(held_out[0][:2]))


def test_reading_outputs_that_are_no_numbers() -> None:
    net = LeNet5()
    net.parameters[:] = np.nan
    image = np.zeros((28, 28), np.uint8)
    for call in (net.read, net.best_two):
        with pytest.raises(FloatingPointError, match="row 0"):
            call(image)
    with pytest.raises(ValueError, match="images: not an array"):
        net.read([[[1, 2], [3]]])


def test_one_class() -> None:
    net = LeNet5(LENET5_28.with_classes(1))
    image = np.zeros((28, 28), np.uint8)
    (answer,) = net.read(image).as_dicts()
    assert answer == {
        **{"class": 0, "label": "0", "probability": 1.0, "penalty": 0.0},
        **{"margin": None, "distance": None, "rejected": False},
    }
    classes, penalties = net.best_two(image)
    assert classes.tolist() == [[0]]
    assert penalties.tolist() == [[0.0]]


def test_the_best_two(net: LeNet5, held_out: Any) -> None:
    images = held_out[0][:50]
    classes, penalties = net.best_two(images)
    assert (classes.dtype, penalties.dtype) == (np.int64, np.float64)
    outputs = net.forward(images).astype(float)
    if net.codes is None:
        outputs = np.log(np.exp(outputs).sum(axis=1, keepdims=True)) - outputs
    order = outputs.argsort(axis=1)[:, :2]
    np.testing.assert_array_equal(classes, order)
    np.testing.assert_allclose(
        penalties, np.take_along_axis(outputs, order, axis=1), rtol=1e-9, atol=1e-12
    )


def test_reading_is_quick(net: LeNet5, held_out: Any) -> None:
    images = held_out[0]
    net.calibrate(images, held_out[1])

    def best(call: Any) -> float:
        times = []
        for _ in range(5):
            began = time.perf_counter()
            call(images, num_threads=1)
            times.append(time.perf_counter() - began)
        return min(times)

    assert best(net.read) < 6 * best(net.predict)


# ---- names ----


def test_class_names(net: LeNet5, held_out: Any) -> None:
    assert net.class_names is None
    plain = net.summary()
    net.class_names = list(LETTERS)
    assert net.class_names == LETTERS
    assert net.summary() == f"{plain}\nclasses: A, B, C, D, E, F, G, H, I, J"
    reading = net.read(held_out[0][:40])
    assert reading.labels.tolist() == [LETTERS[c] for c in reading.classes]
    net.class_names = [f"the class of number {k}" for k in range(10)]
    assert net.summary().endswith("...")
    net.class_names = None
    assert net.class_names is None


@pytest.mark.parametrize(
    ("names", "error", "message"),
    [
        ("ABCDEFGHIJ", TypeError, r"got 'ABCDEFGHIJ', want a list, as list\('ABC'\)"),
        (7, TypeError, "got 7, want a list of names"),
        ([*"ABCDEFGHI", 9], TypeError, "got 9 among them, want texts"),
        ([*"ABCDEFGHI"], ValueError, "got 9, want 10, one for each class"),
        ([*"ABCDEFGHIJK"], ValueError, "got more than 10, want one for each class"),
        ([*"ABCDEFGHI", ""], ValueError, "got '' among them, want 1 to 200 characters"),
        ([*"ABCDEFGHI", "J" * 201], ValueError, "got 'JJJ.* among them, want 1 to 200 characters"),
        ([*"ABCDEFGHI", "a\n"], ValueError, r"got 'a\\n' among them, want no control characters"),
        ([*"ABCDEFGHI", "\0"], ValueError, r"got '\\x00' among them, want no control"),
        ([*"ABCDEFGHI", "\udc80"], ValueError, r"got '\\udc80' among them, want no control"),
        ([*"ABCDEFGHI", "\u2028"], ValueError, r"got '\\u2028' among them, want no control"),
        ([*"ABCDEFGHIA"], ValueError, "got 'A' twice, want a name of its own"),
    ],
)
def test_names_that_are_none(names: Any, error: type[Exception], message: str) -> None:
    net = LeNet5()
    with pytest.raises(error, match=f"^class_names: {message}"):
        net.class_names = names
    assert net.class_names is None


# ---- kept ----


def everything_of(net: LeNet5) -> tuple[Any, ...]:
    subspaces = None if net.subspaces is None else net.subspaces.tobytes()
    return net.temperature, net.rejection, net.class_names, subspaces


def through_a_file(net: LeNet5) -> LeNet5:
    file = io.BytesIO()
    net.save(file)
    file.seek(0)
    return LeNet5.load(file)


@pytest.mark.parametrize(
    "keep",
    [through_a_file, copy.copy, copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))],
    ids=["file", "copy", "deepcopy", "pickle"],
)
def test_all_is_kept(calibrated: LeNet5, held_out: Any, keep: Any) -> None:
    calibrated.class_names = LETTERS
    other = keep(calibrated)
    assert everything_of(other) == everything_of(calibrated)
    assert other.read(held_out[0][:50]) == calibrated.read(held_out[0][:50])
    other.temperature, other.rejection = 2.0, None
    other.class_names = other.subspaces = None
    assert everything_of(other) == (2.0, None, None, None)
    assert calibrated.class_names == LETTERS
    assert calibrated.rejection is not None


def test_a_new_networks_file_is_as_it_was() -> None:
    """Older versions of the library read it."""
    file = io.BytesIO()
    LeNet5().save(file)
    file.seek(0)
    metadata, arrays = serialization.read(file)
    assert set(metadata) == {"architecture", "format", "version"}
    assert set(arrays) == {"parameters", "codes"}


def test_states_of_before_still_load() -> None:
    net = LeNet5()
    state = net.__getstate__()
    for name in ("temperature", "rejection", "class_names", "subspaces"):
        del state[name]
    other = LeNet5.__new__(LeNet5)
    other.__setstate__(state)
    assert everything_of(other) == (1.0, None, None, None)


def test_a_file_of_before_has_none_of_it() -> None:
    net = LeNet5.load(FIXTURES / "model-format1.npz")
    assert everything_of(net) == (1.0, None, None, None)


@pytest.mark.filterwarnings("ignore::lenet_c.InputWarning")  # noise looks like no character
def test_a_calibrated_file_still_loads() -> None:
    net = LeNet5.load(FIXTURES / "model-format1-calibrated.npz")
    assert net.temperature == 2.5
    assert net.rejection == Rejection(penalty=7.5, distance=2.25)
    assert net.class_names == ("north", "east", "south", "Übersee")
    assert net.subspaces is not None
    assert net.subspaces.shape == (4, 2, 12, 12)
    images = (np.arange(2 * 144).reshape(2, 12, 12) % 256).astype(np.uint8)
    want = np.array([[5.401, 0.2857], [5.061, 0.3317]])
    reading = net.read(images)
    np.testing.assert_allclose(np.stack([reading.distance, reading.probability], 1), want, 1e-3)
    assert reading.rejected.tolist() == [True, True]


@pytest.mark.parametrize(
    ("changes", "arrays", "message"),
    [
        ({"temperature": 0}, {}, "temperature: got 0, want a number from"),
        ({"temperature": -1.5}, {}, "temperature: got -1.5"),
        ({"temperature": "hot"}, {}, "temperature: got 'hot', want a number"),
        ({"temperature": None}, {}, "temperature: got None, want a number"),
        ({"temperature": True}, {}, "temperature: got True, want a number"),
        ({"temperature": 10**400}, {}, "temperature: got an integer of"),
        ({"class_names": ["a"] * 10}, {}, "class_names: got 'a' twice"),
        ({"class_names": ["a"]}, {}, "class_names: got 1, want 10"),
        ({"class_names": [str(k) for k in range(9999)]}, {}, "class_names: got more than 10"),
        ({"class_names": 3}, {}, "class_names: got 3, want a list"),
        ({"class_names": [*"ABCDEFGHI", "\x1b[2J"]}, {}, "class_names: got .* want no control"),
        ({"class_names": [[]] * 10}, {}, r"class_names: got \[\] among them"),
        ({"rejection": [1]}, {}, r"rejection: got \[1\], want a dict"),
        ({"rejection": {"penalty": -1}}, {}, "penalty: got -1"),
        ({"rejection": {"penalty": "x"}}, {}, "penalty: got 'x', want a number"),
        ({"rejection": {"self": 1}}, {}, "rejection: got 'self', want one of penalty, margin, dis"),
        ({}, {"subspaces": np.zeros((10, 1, 28, 28), np.float32)}, "subspaces: shape"),
        ({}, {"subspaces": np.full((10, 1, 16, 16), np.inf, np.float32)}, "subspaces: some are"),
    ],
)
def test_what_files_must_not_say(
    changes: dict[str, Any], arrays: dict[str, np.ndarray], message: str
) -> None:
    file = io.BytesIO()
    LeNet5().save(file)
    file.seek(0)
    metadata, own = serialization.read(file)
    file = io.BytesIO()
    serialization.write(file, {**metadata, **changes}, {**own, **arrays})
    file.seek(0)
    with pytest.raises(ModelFileError, match=message):
        LeNet5.load(file)


def test_nan_in_a_file_is_no_temperature() -> None:
    with pytest.raises(ValueError, match="temperature: JSON cannot hold it"):
        serialization.write(io.BytesIO(), {"temperature": math.nan}, {})


# ---- training ----


def fit(net: LeNet5, digits: Digits, **settings: Any) -> Trainer:
    (x, y), (xt, yt) = digits
    trainer = Trainer(net, Adam(2e-3), batch_size=8, callbacks=settings.pop("callbacks", ()))
    settings = {"epochs": 2, "validation_data": (xt[:200], yt[:200]), **settings}
    trainer.fit(x[:600], y[:600], **settings)
    return trainer


def test_fit_calibrates_with_the_validation_data(real_digits: Digits) -> None:
    net, plain = LeNet5(seed=3), LeNet5(seed=3)
    fit(net, real_digits, calibrate=True)
    fit(plain, real_digits)
    np.testing.assert_array_equal(net.parameters, plain.parameters)
    assert everything_of(plain) == (1.0, None, None, None)
    xt, yt = real_digits[1]
    assert everything_of(net) == everything_of(plain.calibrate(xt[:200], yt[:200]))


def test_fit_calibrates_the_weights_that_it_leaves(real_digits: Digits) -> None:
    """The best ones, also if it is stopped early."""

    class Spoil:
        def on_epoch_end(self, trainer: Trainer, record: dict[str, float]) -> None:
            if record["epoch"] > 1:
                trainer.network.parameters *= 0.5
                record["val_error_rate"] = 1.0

    net = LeNet5(seed=3)
    best = [Spoil(), BestWeights(), EarlyStopping(patience=1)]
    trainer = fit(net, real_digits, epochs=50, callbacks=best, calibrate=True)
    assert len(trainer.history.epochs) == 2
    again = LeNet5(seed=3)
    again.parameters = net.parameters
    xt, yt = real_digits[1]
    again.calibrate(xt[:200], yt[:200])
    assert everything_of(again) == everything_of(net)


def test_fit_that_is_ended_does_not_calibrate(real_digits: Digits) -> None:
    class Interrupt:
        def on_epoch_end(self, trainer: Trainer, record: dict[str, float]) -> None:
            raise KeyboardInterrupt

    net = LeNet5()
    with pytest.raises(KeyboardInterrupt):
        fit(net, real_digits, callbacks=[Interrupt()], calibrate=True)
    assert net.temperature == 1.0


def test_fit_needs_something_to_calibrate_with(real_digits: Digits) -> None:
    net = LeNet5()
    before = net.parameters.copy()
    xt, yt = real_digits[1]
    with pytest.raises(ValueError, match="calibrate: got no validation data, want validation_data"):
        fit(net, real_digits, validation_data=None, calibrate=True)
    with pytest.raises(ValueError, match="validation_data: got 5, want at least 10 to"):
        fit(net, real_digits, validation_data=(xt[:5], yt[:5]), calibrate=True)
    with pytest.raises(ValueError, match="calibrate: got True, want integers for labels in"):
        fit(net, real_digits, validation_data=(xt[:50], np.eye(10)[yt[:50]]), calibrate=True)
    np.testing.assert_array_equal(net.parameters, before)


# ---- the command ----


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, real_digits: Digits) -> Path:
    """A calibrated network, a picture of a 7, one of noise, and an empty one."""
    image = pytest.importorskip("PIL.Image")
    pytest.importorskip("scipy")
    monkeypatch.chdir(tmp_path)
    (x, y), (xt, yt) = real_digits
    net = LeNet5(seed=1)
    Trainer(net, Adam(4e-3)).fit(x[:1200], y[:1200], epochs=12)
    net.class_names = [f"digit {k}" for k in range(10)]
    net.calibrate(xt, yt)
    net.save("model.npz")
    sure = net.predict_proba(xt)[:, 7] * (yt == 7)
    seven = xt[int(sure.argmax())]
    image.fromarray(255 - seven.repeat(4, axis=0).repeat(4, axis=1)).save("seven.png")
    bars = np.full((28, 28), 255, np.uint8)
    bars[3:25, 4:8] = bars[3:25, 12:16] = bars[3:25, 20:24] = bars[22:25, 4:24] = 0
    image.fromarray(bars).save("bars.png")
    image.fromarray(np.full((40, 40), 255, np.uint8)).save("empty.png")
    return tmp_path


def test_predict_prints_labels_probabilities_and_doubts(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["predict", "model.npz", "seven.png", "bars.png"]) == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert rows[0][:2] == ["seven.png", "digit 7"]
    assert len(rows[0]) == 3
    assert 0.3 < float(rows[0][2]) <= 1
    assert rows[1][0] == "bars.png"
    assert rows[1][3:] == ["doubtful"]
    assert cli.main(["predict", "model.npz", "bars.png", "--reject", "distance=1e9"]) == 0
    assert "doubtful" not in capsys.readouterr().out


def test_predict_prints_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures = ["seven.png", "empty.png", "none.png", "bars.png"]
    assert cli.main(["predict", "model.npz", *pictures, "--json"]) == 2
    printed = capsys.readouterr()
    assert printed.err == ""
    answers = json.loads(printed.out)
    assert [answer["file"] for answer in answers] == pictures
    names = ["file", "class", "label", "probability", "penalty", "margin", "distance", "doubtful"]
    assert list(answers[0]) == names
    assert (answers[0]["class"], answers[0]["label"]) == (7, "digit 7")
    assert [answer.get("doubtful") for answer in answers] == [False, None, None, True]
    assert answers[1] == {"file": "empty.png", "error": answers[1]["error"]}
    assert answers[1]["error"].startswith("empty.png: ")
    assert answers[2]["error"] == "none.png: No such file or directory"
    assert cli.main(["predict", "model.npz", "seven.png", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 1


def test_predict_shows_a_refused_picture_among_the_others(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["predict", "model.npz", "seven.png", "empty.png", "seven.png"]) == 2
    printed = capsys.readouterr()
    assert printed.out.count("seven.png\tdigit 7\t") == 2
    assert printed.err.startswith("lenet-c: error: empty.png: ")


def test_predict_sees_colours_of_equal_brightness(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = pytest.importorskip("PIL.Image")
    seven = np.asarray(image.open("seven.png")) < 128
    green, red = (60, 140, 60), (157, 90, 70)  # both of grey 107
    picture = np.where(seven[:, :, None], np.uint8(red), np.uint8(green))
    grey = np.asarray(image.fromarray(picture).convert("L"))
    assert np.ptp(grey) <= 1
    image.fromarray(picture).save("colours.png")
    assert cli.main(["predict", "model.npz", "colours.png"]) == 0
    assert capsys.readouterr().out.startswith("colours.png\tdigit 7\t")


def test_train_holds_out_and_evaluate_reports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("sklearn")
    monkeypatch.chdir(tmp_path)
    train = ["train", "--dataset", "digits", "--epochs", "6", "--quiet"]
    assert cli.main([*train, "--hold-out", "300"]) == 0
    output = capsys.readouterr().out
    assert "on digits: 1,137 images" in output
    net = LeNet5.load("model.npz")
    assert net.temperature != 1.0
    assert net.rejection is not None
    assert f", temperature {net.temperature:.3g}\n" in output
    assert cli.main(["evaluate", "model.npz", "--dataset", "digits"]) == 0
    report = capsys.readouterr().out
    assert report[report.index("test error") :] in output
    from lenet_c import datasets

    xt, yt = datasets.digits()[1]
    assert f"log loss of the probabilities {loss_of(net, xt, yt):.4f}," in report
    reading = net.read(xt)
    wrong = int((reading.classes != yt)[~reading.rejected].sum())
    share = reading.rejected.mean()
    assert f"doubtful {share:.2%}; of the other answers {wrong} are wrong\n" in report
    assert cli.main([*train, "--hold-out", "1437"]) == 2
    assert "--hold-out: got 1437, want less than 1437" in capsys.readouterr().err
