"""LeNetClassifier: scikit-learn's own checks, its companions, and what it adds to them."""

from __future__ import annotations

import pickle
import subprocess
import sys
import textwrap
import warnings
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn", minversion="1.6", reason="scikit-learn 1.6 is not there")

from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_digits, load_iris, make_blobs
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import lenet_c
from lenet_c import (
    LENET5_28,
    LENET5_1998,
    LENET5_STRINGS,
    SGD,
    Distortion,
    InputWarning,
    LeNet5,
    LeNetClassifier,
    Trainer,
    codes,
    preprocess,
)
from lenet_c.distort import SLIGHT

EXPECTED_TO_FAIL = {
    "check_sample_weight_equivalence_on_dense_data": "a row of weight 2 and two rows are added up "
    "in another order, in float32: the probabilities agree to 1e-5, where 1e-7 is asked for"
}


@parametrize_with_checks(
    [LeNetClassifier(epochs=40)], expected_failed_checks=lambda estimator: EXPECTED_TO_FAIL
)
def test_scikit_learns_own_checks(estimator: LeNetClassifier, check: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # checks warn of what they skip
        check(estimator)


def test_weights_are_repetition_but_for_rounding() -> None:
    X, y = make_blobs(15, centers=3, n_features=10, random_state=0)
    weights = np.random.default_rng(1).integers(0, 5, 15)
    probability = [
        LeNetClassifier(batch_size=64, epochs=60, random_state=0).fit(*data).predict_proba(X)
        for data in ((X, y, weights), (X.repeat(weights, axis=0), y.repeat(weights)))
    ]
    np.testing.assert_allclose(*probability, atol=1e-5)
    plain = LeNetClassifier(batch_size=64, epochs=60, random_state=0).fit(X, y).predict_proba(X)
    assert np.abs(plain - probability[0]).max() > 1e-3


# ---- pictures ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's, 8x8, of 0 to 16, and their classes."""
    X, y = load_digits(return_X_y=True)
    return X, y


@pytest.fixture(scope="module")
def model(digits: tuple[np.ndarray, np.ndarray]) -> LeNetClassifier:
    X, y = digits
    return LeNetClassifier(white=16, random_state=0).fit(X[:1000], y[:1000])


def test_it_reads(model: LeNetClassifier, digits: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = digits[0][1000:], digits[1][1000:]
    assert model.score(X, y) > 0.92
    assert model.n_iter_ == len(model.loss_curve_) == 16  # 32 updates each
    assert model.loss_ == model.loss_curve_[-1] < model.loss_curve_[0] / 20
    assert model.n_features_in_ == 64
    assert model.image_shape_ == (8, 8)
    np.testing.assert_array_equal(model.classes_, range(10))
    probability = model.predict_proba(X)
    np.testing.assert_allclose(probability.sum(axis=1), 1)
    np.testing.assert_array_equal(probability.argmax(axis=1), model.predict(X))
    evidence = model.decision_function(X)
    assert evidence.shape == (797, 10)
    np.testing.assert_array_equal(evidence.argmax(axis=1), model.predict(X))
    # its network is one that reads by itself
    images = model.images(X)
    assert images.shape == (797, 28, 28)
    np.testing.assert_array_equal(model.network_.predict(images), model.predict(X))
    np.testing.assert_allclose(model.network_.predict_proba(images), probability, atol=1e-5)
    assert model.network_.class_names == tuple("0123456789")


def test_evidence_of_two_classes_is_as_fine_as_their_probabilities(
    digits: tuple[np.ndarray, np.ndarray],
) -> None:
    few = digits[1] < 2
    X, y = digits[0][few], digits[1][few]
    model = LeNetClassifier(epochs=3, white=16, random_state=0).fit(X, y)
    evidence, shares = model.decision_function(X), model.predict_proba(X)
    assert evidence.dtype == np.float64
    log_odds = np.log(shares[:, 1]) - np.log(shares[:, 0])
    near = abs(log_odds) < 30
    assert near.sum() > 20
    wanted = log_odds[near] * model.network_.temperature
    np.testing.assert_allclose(evidence[near], wanted, rtol=1e-11)


@pytest.mark.parametrize("network", ["lenet5-modern", "lenet5-1998", "lenet5-28"])
def test_what_a_row_is_read_as_does_not_depend_on_the_others(
    network: str, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    X, y = digits
    model = LeNetClassifier(network, white=16, epochs=2, random_state=0).fit(X[:300], y[:300])
    every = model.decision_function(X[:40])
    for n in (1, 2, 5, 9, 17):
        for first in range(0, 40 - n, n):
            some = model.decision_function(X[first : first + n])
            np.testing.assert_array_equal(some, every[first : first + n])
    for n_jobs in (1, 2, -1):
        model.set_params(n_jobs=n_jobs)
        np.testing.assert_array_equal(model.decision_function(X[:40]), every)


def test_pictures_of_any_form(digits: tuple[np.ndarray, np.ndarray]) -> None:
    small, y = digits[0][:200] / 16, digits[1][:200]
    square = np.array([preprocess.resize(image, 28, 28) for image in small.reshape(-1, 8, 8)])
    raw = np.rint(square * 255).astype(np.uint8)
    settings: dict[str, Any] = {"epochs": 1, "random_state": 0}
    want = (
        LeNetClassifier(**settings)
        .fit(raw.reshape(200, -1), y)
        .decision_function(raw.reshape(200, -1))
    )
    assert want.std() > 0.01
    for X in (
        raw,
        raw[..., None],
        raw[:, None],
        raw / 255,
        (raw / 255).astype(np.float32)[..., None],
        raw.astype(np.int64).reshape(200, -1),
        raw.tolist(),
    ):
        model = LeNetClassifier(**settings).fit(X, y)
        assert model.image_shape_ == (28, 28)
        assert model.n_features_in_ == 784
        np.testing.assert_array_equal(model.decision_function(X), want)
        if isinstance(X, np.ndarray):
            np.testing.assert_array_equal(model.decision_function(X.reshape(200, -1)), want)
    light = LeNetClassifier(invert="auto", **settings).fit(255 - raw, y)
    np.testing.assert_array_equal(light.decision_function(255 - raw), want)
    with pytest.raises(ValueError, match=r"X: pictures of \(14, 56\), want \(28, 28\) as fit had"):
        model.predict(raw.reshape(200, 14, 56))
    with pytest.raises(ValueError, match="has 196 features, but LeNetClassifier is expecting 784"):
        model.predict(raw[:, ::2, ::2])


def test_pictures_in_colour() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 90, (300, 28, 28, 3), np.uint8), rng.integers(0, 3, 300)
    X[np.arange(300), 8:20, 8:20, y] += 150  # a square of one of three colours
    model = LeNetClassifier(epochs=40, random_state=0).fit(X[:200], y[:200])
    assert model.image_shape_ == (28, 28, 3)
    assert model.network_.architecture.input_shape == (3, 32, 32)
    assert model.images(X).shape == (300, 3, 28, 28)
    assert model.score(X[200:], y[200:]) > 0.95
    np.testing.assert_array_equal(model.predict(X[200:].reshape(100, -1)), model.predict(X[200:]))
    with pytest.raises(ValueError, match=r"channels first\? X = np.moveaxis\(X, 1, -1\)"):
        model.fit(np.moveaxis(X, -1, 1), y)
    with pytest.raises(ValueError, match="want 3 channels"):
        LeNetClassifier(LeNet5.pretrained("mnist")).fit(X, y)


def test_pictures_that_are_distorted(digits: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = digits[0][:100], digits[1][:100]
    settings: dict[str, Any] = {"white": 16, "epochs": 2, "random_state": 0}
    plain = LeNetClassifier(**settings).fit(X, y)
    distorted = LeNetClassifier(distort=Distortion(rotation=10), **settings).fit(X, y)
    assert (plain.decision_function(X) != distorted.decision_function(X)).any()
    with pytest.raises(ValueError, match="distort: got a Distortion, want None"):
        LeNetClassifier(distort=Distortion()).fit(*load_iris(return_X_y=True))


def test_ranges_that_are_not_told(digits: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = digits
    with pytest.raises(ValueError, match=r"X: has values from 0 to 16, .*LeNetClassifier\(white"):
        LeNetClassifier().fit(X, y)
    with pytest.raises(ValueError, match=r"normalised ones.*columns='features'"):
        make_pipeline(StandardScaler(), LeNetClassifier()).fit(X, y)
    scaled = make_pipeline(
        StandardScaler(), LeNetClassifier(columns="features", epochs=8, random_state=0)
    )
    assert scaled.fit(X[:1000], y[:1000]).score(X[1000:], y[1000:]) > 0.85
    with pytest.raises(ValueError, match=r"X: .* values from 0 to 37.5, want pixels from 0 to 16"):
        LeNetClassifier(white=16, epochs=1).fit(X[:50], y[:50]).predict(X[:50] * 2.5)
    with pytest.raises(ValueError, match=r"X: most pictures have no value above .* of white, 4096"):
        LeNetClassifier(white=4096, epochs=1).fit(X[:50], y[:50])


@pytest.mark.parametrize("kind", ["bytes", "fractions", "sixteenths"])
def test_a_dim_picture_is_read_alone_as_in_a_batch(
    digits: tuple[np.ndarray, np.ndarray], kind: str
) -> None:
    y = digits[1][:60]
    X = np.rint(digits[0][:60] * 255 / 16).astype(np.uint8)
    X[5] = 0
    X[5, 20:30] = 1
    white = None
    if kind == "fractions":
        X = X / 255
    elif kind == "sixteenths":
        X, white = digits[0][:60].copy(), 16
        X[5] = 0
        X[5, 20] = 0.05
    model = LeNetClassifier(white=white, epochs=1, random_state=0).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for call in (model.decision_function, model.predict_proba, model.predict, model.transform):
            np.testing.assert_array_equal(call(X[5:6])[0], call(X)[5])
        before = model.network_.learnt_from
        model.partial_fit(X[5:6], y[5:6])
    assert model.network_.learnt_from == before is not None


def test_what_is_of_another_scale_is_refused_alone_as_in_a_batch(
    digits: tuple[np.ndarray, np.ndarray],
) -> None:
    y = digits[1][:60]
    X = np.rint(digits[0][:60] * 255 / 16).astype(np.uint8)
    for learnt, other, white in ((X, X / 255, 255), (X / 255, X, 1)):
        model = LeNetClassifier(epochs=1).fit(learnt, y)
        for rows in (slice(None), slice(4, 5)):
            with pytest.raises(ValueError, match=f"^X: .* want pixels from 0 to {white} as fit"):
                model.predict(other[rows])


@pytest.mark.parametrize("scaler", [MinMaxScaler, MaxAbsScaler])
@pytest.mark.parametrize("cv", [2, 5])
def test_scalers_whose_columns_go_beyond_what_they_have_seen(
    digits: tuple[np.ndarray, np.ndarray], scaler: Any, cv: int
) -> None:
    X, y = digits
    pipeline = make_pipeline(scaler(), LeNetClassifier(epochs=3, random_state=0))
    halves = list(StratifiedKFold(cv).split(X, y))[-1:]
    assert scaler().fit(X[halves[0][0]]).transform(X).max() > 1
    assert cross_val_score(pipeline, X, y, cv=halves, error_score="raise")[0] > 0.6


def test_pictures_of_weight_0_may_have_any_range(digits: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = digits[0][:60].copy(), digits[1][:60]
    weights = np.arange(60) % 3 * 1.0
    model = LeNetClassifier(white=16, epochs=1, random_state=0)
    want = clone(model).fit(X, y, weights).network_.parameters
    X[::3] = 9999
    np.testing.assert_array_equal(clone(model).fit(X, y, weights).network_.parameters, want)


# ---- tables --------------------------------------------------------------------------------------


def test_a_table() -> None:
    X, y = load_iris(return_X_y=True)
    scores = cross_val_score(LeNetClassifier(random_state=0), X, y, cv=3)
    assert scores.mean() > 0.9
    model = LeNetClassifier(epochs=20, random_state=0).fit(X, y)
    assert model.image_shape_ is None
    assert model.images(X).shape == (150, 32, 32)
    shifted = LeNetClassifier(epochs=20, random_state=0).fit(X * [1e3, 1e-3, 2, 7] + 4, y)
    np.testing.assert_allclose(
        shifted.predict_proba(X * [1e3, 1e-3, 2, 7] + 4), model.predict_proba(X), atol=1e-3
    )
    with pytest.raises(ValueError, match="want a table whose columns are no pixels as fit had"):
        model.predict(X.reshape(150, 2, 2))
    with pytest.raises(ValueError, match="columns: got 'features', want 'auto' with pictures"):
        LeNetClassifier(columns="features").fit(np.zeros((4, 28, 28)), [0, 1, 0, 1])
    with pytest.raises(ValueError, match="X: 4 columns, want as many as a square"):
        LeNetClassifier(columns="pixels").fit(X, y)


@pytest.mark.parametrize("dtype", ["M8[s]", "m8[s]"])
@pytest.mark.parametrize("shape", [(60, 3), (60, 64), (60, 28, 28)])
def test_dates_are_no_numbers(dtype: str, shape: tuple[int, ...]) -> None:
    dates, y = np.zeros(shape, dtype), np.arange(60) % 3
    model = LeNetClassifier(epochs=1).fit(np.ones(shape), y)
    for call in (LeNetClassifier().fit, lambda X, y: LeNetClassifier().partial_fit(X, y, range(3))):
        with pytest.raises(TypeError, match=r"^X: dtype (datetime|timedelta)64\[s\], want numbers"):
            call(dates, y)
    with pytest.raises(TypeError, match=r"^X: dtype (datetime|timedelta)64\[s\], want numbers"):
        model.predict(dates)
    with pytest.raises(TypeError, match=r"^X: dtype (datetime|timedelta)64\[s\], want (real )?num"):
        model.predict(list(dates))


def test_a_table_of_many_columns() -> None:
    X, y = make_blobs(60, centers=2, n_features=1100, random_state=0)
    model = LeNetClassifier(epochs=3, random_state=0).fit(X, y)
    assert model.network_.architecture.input_shape == (34, 34)
    assert model.score(X, y) == 1
    with pytest.raises(ValueError, match=r"network: .* at least 34x34 pixels for this X"):
        LeNetClassifier(LeNet5.pretrained("mnist-modern")).fit(X, y)


@pytest.mark.parametrize("argument", ["X", "y", "sample_weight"])
def test_what_is_masked_is_refused(
    digits: tuple[np.ndarray, np.ndarray], model: LeNetClassifier, argument: str
) -> None:
    given = {"X": digits[0][:50], "y": digits[1][:50], "sample_weight": np.ones(50)}
    given[argument] = np.ma.array(given[argument], mask=given[argument] == given[argument][0])
    with pytest.raises(ValueError, match=rf"^{argument}: \d+ masked values"):
        LeNetClassifier(white=16, epochs=1).fit(**given)
    if argument == "X":
        with pytest.raises(ValueError, match=r"^X: \d+ masked values"):
            model.predict(given["X"])
    given[argument] = np.ma.array(given[argument].data)  # nothing is masked
    LeNetClassifier(white=16, epochs=1).fit(**given)


# ---- labels and weights --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "labels",
    [
        ["no", "yes"],
        [True, False],
        [-7, 1000],
        [0.0, 1.0],
        np.array(["α", "a long name, with spaces"], object),
        ["\n", "x" * 300],
        ["\n", "class 0"],
    ],
    ids=str,
)
@pytest.mark.parametrize("network", ["lenet5-modern", "lenet5-1998", "mnist", "mnist-modern"])
def test_any_labels(labels: Any, network: Any) -> None:
    X, number = make_blobs(80, centers=2, n_features=3, random_state=1)
    y = np.asarray(labels)[number]
    if network.startswith("mnist"):
        network = LeNet5.pretrained(network)
    model = LeNetClassifier(network, epochs=15, random_state=0).fit(X, y)
    assert model.score(X, y) > 0.9
    np.testing.assert_array_equal(model.classes_, np.unique(y))
    assert model.predict(X).dtype == y.dtype
    evidence = model.decision_function(X)
    assert evidence.shape == (80,)
    np.testing.assert_array_equal(model.classes_[(evidence > 0).astype(int)], model.predict(X))


def test_codes_of_the_classes() -> None:
    X, y = make_blobs(30, centers=3, n_features=3, random_state=1)
    letters = LeNetClassifier("lenet5-1998", epochs=1).fit(X, np.array(list("QXA"))[y])
    np.testing.assert_array_equal(letters.network_.codes, codes.of("AQX"))
    words = LeNetClassifier("lenet5-1998", epochs=1).fit(X, np.array(["cat", "dog", "A"])[y])
    assert set(np.unique(words.network_.codes)) == {-1, 1}
    assert words.network_.codes is not None
    assert words.network_.codes.shape == (3, 84)
    assert words.network_.class_names == ("A", "cat", "dog")


def test_weights_of_classes(digits: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = digits[0][:200], digits[1][:200]
    settings: dict[str, Any] = {"white": 16, "epochs": 2, "random_state": 0}
    plain = LeNetClassifier(**settings).fit(X, y).decision_function(X)
    by_class = LeNetClassifier(class_weight={3: 5.0}, **settings).fit(X, y).decision_function(X)
    by_row = (
        LeNetClassifier(**settings)
        .fit(X, y, sample_weight=np.where(y == 3, 5.0, 1.0))
        .decision_function(X)
    )
    np.testing.assert_array_equal(by_class, by_row)
    assert (by_class[:, 3] - plain[:, 3]).mean() > 0.01
    both = (
        LeNetClassifier(class_weight="balanced", **settings)
        .fit(X, y, sample_weight=np.ones(200))
        .decision_function(X)
    )
    weights = 200 / 10 / np.bincount(y)
    want = LeNetClassifier(**settings).fit(X, y, sample_weight=weights[y]).decision_function(X)
    np.testing.assert_array_equal(both, want)


@pytest.mark.parametrize("table", [True, False])
def test_rows_of_weight_zero_might_as_well_not_be_there(
    table: bool, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    X, y = load_iris(return_X_y=True) if table else digits
    X, y = X[::2].copy(), y[::2]
    weights = np.random.default_rng(0).uniform(0.5, 2, len(X)) * (np.arange(len(X)) % 3 > 0)
    X[weights == 0] = 1e300 if table else 0
    for early in (False, True):
        settings: dict[str, Any] = {"early_stopping": early, "epochs": 2, "random_state": 0}
        if not table:
            settings["white"] = 16
        model = LeNetClassifier(**settings).fit(X, y, weights)
        kept = weights > 0
        want = LeNetClassifier(**settings).fit(X[kept], y[kept], weights[kept])
        np.testing.assert_array_equal(
            model.decision_function(X[kept]), want.decision_function(X[kept])
        )


@pytest.mark.parametrize(
    ("weights", "text"),
    [
        (np.zeros(20), "(sample_weight: adds up to 0|Sample weights must contain at least one)"),
        (-np.ones(20), "Negative values in data passed to `sample_weight`"),
        (np.full(20, np.nan), "contains NaN"),
        (np.ones(19), r"sample_weight.shape == \(19,\), expected \(20,\)"),
    ],
)
def test_weights_that_are_none(weights: np.ndarray, text: str) -> None:
    X, y = make_blobs(20, random_state=0)
    for call in (LeNetClassifier().fit, LeNetClassifier().partial_fit):
        with pytest.raises(ValueError, match=text):
            call(X, y, sample_weight=weights, **({"classes": y} if "partial" in str(call) else {}))


# ---- training ------------------------------------------------------------------------------------


def test_random_states_and_threads(digits: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = digits[0][:150], digits[1][:150]

    def trained(state: Any, **settings: Any) -> np.ndarray:
        model = LeNetClassifier(
            white=16, epochs=2, batch_size=150, random_state=state, **settings
        ).fit(X, y)
        return model.network_.parameters.copy()

    want = trained(5)
    np.testing.assert_array_equal(trained(5, n_jobs=2), want)
    np.testing.assert_array_equal(trained(5, n_jobs=-1), want)
    first = trained(np.random.RandomState(5))
    np.testing.assert_array_equal(trained(np.random.RandomState(5)), first)
    assert (trained(6) != want).any()
    assert (trained(None) != trained(None)).any()


def test_it_is_a_trainers_work(digits: tuple[np.ndarray, np.ndarray]) -> None:
    """The same bits as with `Trainer`."""
    X, y = digits[0][:150], digits[1][:150]
    optimizer = SGD(0.05, 0.9)
    model = LeNetClassifier(
        white=16, epochs=3, optimizer=optimizer, loss="mse", random_state=8, batch_size=20
    ).fit(X, y)
    seed = int(np.random.RandomState(8).randint(2**31 - 1))
    net = LeNet5(lenet_c.LENET5_MODERN, seed=seed)
    Trainer(net, optimizer, "mse", batch_size=20, seed=seed).fit(model.images(X), y, 3)
    np.testing.assert_array_equal(model.network_.parameters, net.parameters)


@pytest.mark.parametrize("class_weight", [None, "balanced", {3: 5.0}])
def test_rows_of_weight_0_might_as_well_not_be_there(
    digits: tuple[np.ndarray, np.ndarray], class_weight: Any
) -> None:
    """Neither in what is learnt nor in how many passes are made, or in how common a class is."""
    X, y = digits[0][:700], digits[1][:700]
    weights = 1.0 * ((y > 4) | (np.arange(len(y)) % 3 == 0))
    model = LeNetClassifier(white=16, class_weight=class_weight, random_state=1)
    some = weights > 0
    one, other = clone(model).fit(X, y, weights), clone(model).fit(X[some], y[some])
    assert one.n_iter_ == other.n_iter_ > len(clone(model).fit(X, y).loss_curve_)
    np.testing.assert_array_equal(one.network_.parameters, other.network_.parameters)


def test_names_where_objects_are(digits: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = digits[0][:150], digits[1][:150]
    settings = {"white": 16, "epochs": 1, "random_state": 3}
    named = LeNetClassifier(optimizer="sgd", distort="slight", **settings)
    given = LeNetClassifier(optimizer=SGD(), distort=SLIGHT, **settings)
    for fit in (
        lambda model: model.fit(X, y),
        lambda model: model.partial_fit(X, y, np.unique(y)),
    ):
        one, other = (fit(clone(model)) for model in (named, given))
        np.testing.assert_array_equal(one.network_.parameters, other.network_.parameters)


def test_partial_fit(digits: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = digits
    model = LeNetClassifier(white=16, random_state=0)
    with pytest.raises(ValueError, match="classes: got None, want all labels at the first call"):
        model.partial_fit(X[:100], y[:100])
    parts = [slice(first, first + 100) for first in range(0, 1000, 100)]
    for k in range(3):
        for part in parts:
            model.partial_fit(X[part], y[part], classes=range(10) if k == 0 else None)
    assert model.n_iter_ == len(model.loss_curve_) == 30
    assert model.score(X[1000:], y[1000:]) > 0.85
    with pytest.raises(ValueError, match=r"classes: got range\(0, 3\), want those of before"):
        model.partial_fit(X[:9], y[:9], classes=range(3))
    with pytest.raises(ValueError, match="y: has 10, which is not among the classes"):
        model.partial_fit(X[:2], [1, 10])
    # pickled, it goes on as it would have
    other = pickle.loads(pickle.dumps(model))
    for one in (model, other):
        one.partial_fit(X[:50], y[:50])
    np.testing.assert_array_equal(other.network_.parameters, model.network_.parameters)
    # the rate does not fall
    steps = LeNetClassifier(
        white=16, optimizer=SGD(0.01, schedule="one_cycle"), random_state=0, batch_size=100
    )
    steps.partial_fit(X[:100], y[:100], range(10))
    before = steps.network_.parameters.copy()
    _, gradient = steps.network_.loss_and_gradient(steps.images(X[:100]), y[:100])
    steps.partial_fit(X[:100], y[:100])
    np.testing.assert_allclose(steps.network_.parameters, before - 0.01 * gradient, atol=1e-6)
    for name, value in (("early_stopping", True), ("class_weight", "balanced")):
        with pytest.raises(ValueError, match=f"{name}: "):
            LeNetClassifier(**{name: value}).partial_fit(X, y, classes=range(10))


@pytest.mark.parametrize(
    "classes",
    [
        [],
        3,
        "012",
        [[0, 1, 2]],
        [[0], [1, 2]],
        [0, 1, 2, np.nan],
        [0, 1, 2, np.inf],
        [0.5, 1, 2, 0],
        [0, 1, 2, None],
        np.array([0, 1, 2, "a"], object),
        [b"0", b"1", b"2"],
    ],
    ids=str,
)
def test_classes_that_cannot_be(classes: Any) -> None:
    X, y = make_blobs(30, centers=3, n_features=3, random_state=1)
    model = LeNetClassifier()
    with pytest.raises(ValueError, match=r"^classes: (got .*, want|not an array)"):
        model.partial_fit(X, y, classes)
    assert not hasattr(model, "n_features_in_")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LeNetClassifier().partial_fit(X, y, range(50))
    model.partial_fit(X, y, [2, 0, 1, 1])
    with pytest.raises(ValueError, match=r"^classes: (got .*, want|not an array)"):
        model.partial_fit(X, y, classes)
    np.testing.assert_array_equal(model.classes_, [0, 1, 2])


def test_partial_fit_of_a_table_holds_to_the_first_scaling() -> None:
    X, y = load_iris(return_X_y=True)
    model = LeNetClassifier(random_state=0).partial_fit(X, y, [0, 1, 2])
    images = model.images(X)
    # no warning of another range: columns are no pixels
    assert model.partial_fit(X * 2, y).predict(X * 3 - 9).shape == (150,)
    np.testing.assert_array_equal(model.images(X), images)


def test_warm_starts(digits: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = digits[0][:300], digits[1][:300]
    model = LeNetClassifier(white=16, epochs=10, warm_start=True, random_state=0)
    first = model.fit(X, y).loss_
    network = model.network_
    model.partial_fit(X[:50], y[:50])
    model.set_params(epochs=3).fit(X, y)
    assert model.network_ is network
    assert model._partial is None  # its weights to fall back on are those of before
    assert model.n_iter_ == len(model.loss_curve_) == 14
    assert model.loss_ < 0.6 * first
    with pytest.raises(ValueError, match="y: has 99, which is not among the classes of before"):
        model.fit(X, np.where(y == 3, 99, y))
    model.set_params(warm_start=False).fit(X, y)
    assert model.n_iter_ == 3
    assert model.network_ is not network


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("network", "lenet5-modern", "lenet1"),
        ("network", "lenet5-28", LENET5_1998),
        ("network", LENET5_28, LeNet5(LENET5_28)),
        ("network", LeNet5(LENET5_28), LeNet5(LENET5_28)),
        ("columns", "auto", "features"),
        ("white", 16, 17),
        ("white", 16, None),
        ("invert", False, True),
        ("invert", False, "auto"),
    ],
)
def test_what_going_on_cannot_follow_is_refused(
    digits: tuple[np.ndarray, np.ndarray], name: str, before: Any, after: Any
) -> None:
    X, y = digits[0][:60], digits[1][:60]
    model = LeNetClassifier(epochs=1, warm_start=True, random_state=0)
    model.set_params(**{"white": 16, name: before}).fit(X, y)
    model = pickle.loads(pickle.dumps(model.fit(X, y)))
    model.fit(X, y).set_params(**{name: after})
    parameters = model.network_.parameters.copy()
    for call in (model.fit, model.partial_fit):
        text = f"^{name}: got .*, want .* as fit had, .* warm_start=False begins anew"
        with pytest.raises(ValueError, match=text):
            call(X, y)
    np.testing.assert_array_equal(model.network_.parameters, parameters)
    if after is not None:
        model.set_params(warm_start=False).fit(X, y)


def test_one_network_under_two_names_is_gone_on_with(
    digits: tuple[np.ndarray, np.ndarray],
) -> None:
    X, y = digits[0][:60], digits[1][:60]
    model = LeNetClassifier("lenet5-1998", white=16, epochs=1, warm_start=True).fit(X, y)
    assert model.set_params(network=LENET5_1998, epochs=2).fit(X, y).n_iter_ == 3


def test_early_stopping(digits: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = digits
    model = LeNetClassifier(
        white=16, epochs=200, early_stopping=True, n_iter_no_change=6, random_state=0
    ).fit(X[:1000], y[:1000])
    scores = model.validation_scores_
    assert scores is not None
    assert 7 <= model.n_iter_ == len(scores) < 150
    assert model.best_validation_score_ == max(scores)
    assert scores.index(max(scores)) == len(scores) - 7
    assert model.score(X[1000:], y[1000:]) > 0.85
    # the best pass's weights are back
    _, others = model._split(y[:1000], int(np.random.RandomState(0).randint(2**31 - 1)))
    assert len(others) == 100
    assert model.score(X[others], y[others]) == model.best_validation_score_ > scores[-1]
    assert LeNetClassifier(white=16, epochs=1).fit(X[:90], y[:90]).validation_scores_ is None


def test_early_stopping_learns_from_the_one_image_of_a_rare_class(
    digits: tuple[np.ndarray, np.ndarray],
) -> None:
    X, y = digits[0][:100], np.array(["rare", *["dog", "cat", "owl"] * 33])
    model = LeNetClassifier(white=16, early_stopping=True, epochs=2, random_state=0)
    for weights in (None, np.where(np.arange(100) == 3, 0.0, 1.0)):
        model.fit(X, y, weights)
        assert list(model.classes_) == ["cat", "dog", "owl", "rare"]
    classes = np.searchsorted(model.classes_, y)
    learnt, others = model._split(classes, 0)
    assert 0 in learnt
    assert set(classes[others]) == {0, 1, 2}
    assert sorted([*learnt, *others]) == list(range(100))


def test_images_of_weight_0_are_not_held_out(digits: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = digits[0][:300], digits[1][:300]
    weights = np.where(np.arange(300) % 3, 1.0, 0.0)
    settings: dict[str, Any] = {"white": 16, "epochs": 2, "early_stopping": True, "random_state": 0}
    one = LeNetClassifier(**settings).fit(X, y, weights)
    other = LeNetClassifier(**settings).fit(X[weights > 0], y[weights > 0])
    np.testing.assert_array_equal(one.network_.parameters, other.network_.parameters)


@pytest.mark.parametrize("other", ["16 - X", "X / 16", "X - 8"])
def test_another_polarity_or_scale_at_reading_is_told(
    digits: tuple[np.ndarray, np.ndarray], other: str
) -> None:
    X, y = digits
    model = LeNetClassifier(white=16, epochs=2, random_state=0).fit(X[:500], y[:500])
    given = eval(other, {"X": X[500:600]})
    if other == "X - 8":
        with pytest.raises(ValueError, match=r"^X: has a picture with values from -8 to 8, want"):
            model.predict(given)
        return
    with pytest.warns(InputWarning, match="^X: "):
        model.predict(given)


def test_a_first_fit_that_failed_binds_nothing(digits: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = digits[0][:100], digits[1][:100]
    for warm, call in ((True, "fit"), (False, "partial_fit")):
        model = LeNetClassifier(white=4096, epochs=1, warm_start=warm)
        classes = {"classes": range(10)} if call == "partial_fit" else {}
        with pytest.raises(ValueError, match="want white to be that of full ink"):
            getattr(model, call)(X, y, **classes)
        with pytest.raises(NotFittedError):
            model.predict(X)
        getattr(model.set_params(white=16), call)(X, y, **classes)
        assert model.n_iter_ == 1


def test_weights_of_classes_that_leave_nothing_to_learn(
    digits: tuple[np.ndarray, np.ndarray],
) -> None:
    X, y = digits[0][:20], np.zeros(20, int)
    for settings in ({}, {"columns": "features"}, {"early_stopping": True}, {"epochs": None}):
        model = LeNetClassifier(**{"white": 16, "class_weight": {0: 0.0}, **settings})
        with pytest.raises(ValueError, match=r"^class_weight: "):
            model.fit(X, y)


@pytest.mark.filterwarnings("ignore:The number of unique classes is greater")
@pytest.mark.parametrize(
    ("fraction", "labels", "text"),
    [
        (0.01, range(10), "0.01 of 100 images in 10 classes of two or more: The test_size = 1"),
        (0.99, range(10), "0.99 of 100 images in 10 classes of two or more: The train_size = 1"),
        (0.1, range(100), "0.1 of 0 images in 0 classes of two or more: "),
    ],
)
def test_shares_that_cannot_be_held_out(
    digits: tuple[np.ndarray, np.ndarray], fraction: float, labels: range, text: str
) -> None:
    y = [f"label {label}" for label in labels] * (100 // len(labels))
    model = LeNetClassifier(white=16, early_stopping=True, validation_fraction=fraction)
    with pytest.raises(ValueError, match=f"^validation_fraction: got {text}"):
        model.fit(digits[0][:100], y)


def test_callbacks_are_told(digits: tuple[np.ndarray, np.ndarray]) -> None:
    class Heard:
        def __init__(self) -> None:
            self.epochs: list[float] = []

        def on_epoch_end(self, trainer: Trainer, record: dict[str, float]) -> None:
            self.epochs.append(record["epoch"])

    heard = Heard()
    X, y = digits[0][:100], digits[1][:100]
    LeNetClassifier(white=16, epochs=3, callbacks=[heard]).fit(X, y)
    assert heard.epochs == [1, 2, 3]


def test_a_network_is_gone_on_with(digits: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = digits
    pretrained = LeNet5.pretrained("mnist")
    before = pretrained.parameters.copy()
    model = LeNetClassifier(pretrained, white=16, epochs=1, learning_rate=1e-4, random_state=0)
    assert model.fit(X[:100], y[:100]).score(X[100:], y[100:]) > 0.7  # other people's digits
    np.testing.assert_array_equal(pretrained.parameters, before)
    assert isinstance(clone(model).network, LeNet5)


@pytest.mark.parametrize("name", ["mnist", "mnist-modern"])
def test_what_a_network_knows_goes_on_beside_labels_of_any_kind(
    digits: tuple[np.ndarray, np.ndarray], name: str
) -> None:
    X, y = digits[0][:400], digits[1][:400]
    known = LeNet5.pretrained(name)
    start = LeNetClassifier(known, white=16, epochs=1, learning_rate=0, random_state=0)
    as_integers = start.fit(X, y).decision_function(X)
    assert start.score(X, y) > 0.7
    np.testing.assert_array_equal(start.fit(X, y * 1.0).decision_function(X), as_integers)
    labels = np.where(y == 3, "three\n", y.astype(str))
    assert start.fit(X, labels).classes_[-1] == "three\n"
    assert start.network_.class_names[-1] == "class 9"
    np.testing.assert_array_equal(
        start.decision_function(X)[:, :9], np.delete(as_integers, 3, axis=1)
    )


@pytest.mark.parametrize(
    ("settings", "error", "text"),
    [
        ({"network": "lenet6"}, ValueError, "network: got 'lenet6', want one of lenet5-1998, "),
        ({"network": 5}, TypeError, "network: got 5, want one of .* an Architecture or a LeNet5"),
        ({"network": LENET5_STRINGS}, ValueError, "network: lenet5-strings has a blank class"),
        ({"epochs": 0}, ValueError, "epochs: got 0, want a whole number of at least 1"),
        ({"batch_size": 0}, ValueError, "batch_size: got 0"),
        ({"columns": "words"}, ValueError, "columns: got 'words', want one of auto, pixels, "),
        ({"white": 0}, ValueError, "white: got 0, want a finite number above 0"),
        ({"invert": "no"}, ValueError, "invert: got 'no', want True, False or \"auto\""),
        ({"invert": 3}, TypeError, 'invert: got 3, want True, False or "auto"'),
        ({"optimizer": "adams"}, ValueError, "optimizer: got 'adams', want one of adam, sgd, sdlm"),
        ({"optimizer": 3}, TypeError, "optimizer: got 3, want an optimizer"),
        ({"learning_rate": -1}, ValueError, "learning_rate: got -1"),
        ({"loss": "hinge"}, ValueError, "loss: got 'hinge', want one of"),
        ({"early_stopping": 1}, TypeError, "early_stopping: got 1, want True or False"),
        ({"n_iter_no_change": 0}, ValueError, "n_iter_no_change: got 0, want a whole number"),
        ({"tol": "a"}, TypeError, "^tol: got 'a', want a number"),
        ({"validation_fraction": 40}, ValueError, "validation_fraction: got 40, want a number"),
        ({"warm_start": "no"}, TypeError, "warm_start: got 'no', want True or False"),
        ({"callbacks": None}, TypeError, "callbacks: got None, want a list of callbacks"),
        ({"class_weight": "equal"}, ValueError, "class_weight: got 'equal', want one of balanced"),
        ({"class_weight": 5}, TypeError, "class_weight: got 5, want a dict by label"),
        ({"class_weight": {1: -1}}, ValueError, "class_weight: 1: got -1, want a finite number"),
        ({"distort": "slight"}, ValueError, "distort: got 'slight', want None: columns are no"),
        ({"n_jobs": 0}, ValueError, "n_jobs: got 0, want a number of threads"),
        ({"n_jobs": "all"}, TypeError, "n_jobs: got 'all', want a number of threads"),
        ({"n_jobs": 5000}, ValueError, "n_jobs: got 5000, want a number of threads up to 4096"),
    ],
)
def test_parameters_are_checked(settings: Any, error: type[Exception], text: str) -> None:
    X, y = make_blobs(40, random_state=0)
    with pytest.raises(error, match=text):
        LeNetClassifier(**settings).fit(X, y)


@pytest.mark.parametrize(("n_jobs", "error"), [("x", TypeError), (0, ValueError)])
def test_n_jobs_is_checked_at_reading(n_jobs: Any, error: type[Exception]) -> None:
    X, y = make_blobs(40, random_state=0)
    model = LeNetClassifier(epochs=1).fit(X, y).set_params(n_jobs=n_jobs)
    for call in (model.predict, model.predict_proba, model.decision_function, model.transform):
        with pytest.raises(error, match=f"^n_jobs: got {n_jobs!r}, want a number of threads"):
            call(X)


def test_reading_before_training() -> None:
    for name in ("predict", "predict_proba", "decision_function", "transform", "images"):
        with pytest.raises(NotFittedError):
            getattr(LeNetClassifier(), name)(np.zeros((3, 64)))


# ---- scikit-learn's other parts ------------------------------------------------------------------


def test_clones_and_pickles(model: LeNetClassifier, digits: tuple[np.ndarray, np.ndarray]) -> None:
    X = digits[0][:50]
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.decision_function(X), model.decision_function(X))
    settings = LeNetClassifier(LENET5_28, optimizer=SGD(0.1), distort=Distortion())
    twin = clone(settings)
    assert twin.get_params() == settings.get_params()
    assert "SGD(lr=0.1" in repr(twin)


def test_a_search_in_other_processes(digits: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = digits[0][:300], digits[1][:300]
    search = GridSearchCV(
        LeNetClassifier(white=16, random_state=0),
        {"epochs": [1, 30], "network": ["lenet5-28", LENET5_1998]},
        cv=2,
        n_jobs=2,
    ).fit(X.reshape(-1, 8, 8), y)
    assert search.best_params_["epochs"] == 30
    assert search.best_score_ > 0.7
    alone = clone(search).set_params(n_jobs=1).fit(X.reshape(-1, 8, 8), y)
    np.testing.assert_array_equal(
        alone.cv_results_["mean_test_score"], search.cv_results_["mean_test_score"]
    )


def test_calibration(digits: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = digits[0][:400], digits[1][:400]
    model = CalibratedClassifierCV(LeNetClassifier(white=16, epochs=25, random_state=0), cv=2)
    probability = model.fit(X, y).predict_proba(digits[0][400:])
    assert (probability.argmax(axis=1) == digits[1][400:]).mean() > 0.8


def test_what_the_layer_below_the_last_says_is_for_others_to_learn_from(
    model: LeNetClassifier, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    X, y = digits
    units = model.transform(X)
    assert units.shape == (1797, 84)
    want = model.network_.activations(model.images(X[:100]))["F6"]
    np.testing.assert_array_equal(units[:100], want.reshape(100, 84))
    np.testing.assert_array_equal(model.transform(X[:1]), units[:1])
    names = model.get_feature_names_out()
    assert list(names[:2]) == ["lenetclassifier0", "lenetclassifier1"]
    neighbours = make_pipeline(
        LeNetClassifier(white=16, epochs=12, random_state=0), KNeighborsClassifier(3)
    )
    assert neighbours.fit(X[:600], y[:600]).score(X[600:], y[600:]) > 0.85


def test_frames_of_pandas(digits: tuple[np.ndarray, np.ndarray]) -> None:
    pandas = pytest.importorskip("pandas")
    table, _ = load_digits(return_X_y=True, as_frame=True)
    X, y = table.iloc[:300], pandas.Series(digits[1][:300]).map("digit {}".format)
    model = LeNetClassifier(white=16, epochs=6, random_state=0).fit(X, y)
    np.testing.assert_array_equal(model.feature_names_in_, table.columns)
    want = LeNetClassifier(white=16, epochs=6, random_state=0).fit(digits[0][:300], y.to_numpy())
    np.testing.assert_array_equal(model.predict(X), want.predict(digits[0][:300]))
    assert model.predict(X)[0].startswith("digit ")
    units = model.set_output(transform="pandas").transform(X)
    assert list(units.columns[:1]) == ["lenetclassifier0"]
    assert list(units.index) == list(X.index)
    pipeline = make_pipeline(StandardScaler(), LeNetClassifier(columns="features", epochs=2))
    pipeline.set_output(transform="pandas").fit(X, y)
    assert list(pipeline[-1].feature_names_in_) == list(table.columns)
    dated = X.assign(seen=pandas.to_datetime(["2020-01-01"] * 300))
    for given in (dated, dated[["seen"]]):
        with pytest.raises(TypeError, match=r"^X: dtype datetime64\[\w+\], want numbers"):
            clone(model).fit(given, y)
    weighted = clone(model).fit(X, y, sample_weight=pandas.Series(np.ones(300)))
    np.testing.assert_array_equal(weighted.predict(X), model.predict(X))


def test_frames_of_polars(digits: tuple[np.ndarray, np.ndarray]) -> None:
    polars = pytest.importorskip("polars")
    X = polars.DataFrame(digits[0][:300], schema=[f"pixel{i}" for i in range(64)])
    y = polars.Series([f"digit {label}" for label in digits[1][:300]])
    model = LeNetClassifier(white=16, epochs=6, random_state=0).fit(X, y)
    assert model.feature_names_in_[63] == "pixel63"
    want = LeNetClassifier(white=16, epochs=6, random_state=0).fit(digits[0][:300], y.to_numpy())
    np.testing.assert_array_equal(model.predict(X), want.predict(digits[0][:300]))
    units = model.set_output(transform="polars").transform(X)
    assert isinstance(units, polars.DataFrame)
    assert units.shape == (300, 84)


# ---- without it ----------------------------------------------------------------------------------

WITHOUT = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "sklearn":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.modules["sklearn"] = None  # what find_spec takes for not there
import lenet_c
assert "LeNetClassifier" not in dir(lenet_c)
from lenet_c import *
import inspect
inspect.getmembers(lenet_c)
try:
    lenet_c.LeNetClassifier
except ImportError as error:
    print(error)
"""


def test_without_scikit_learn_the_error_says_what_to_install() -> None:
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(WITHOUT)], capture_output=True, text=True
    )
    assert run.stdout.strip() == (
        'lenet_c.LeNetClassifier needs scikit-learn 1.6 or later: pip install "lenet_c[sklearn]"'
    ), run.stderr
    assert "LeNetClassifier" in dir(lenet_c)


def test_scikit_learn_comes_when_it_is_asked_for() -> None:
    code = "import lenet_c, sys; lenet_c.LeNet5; print('sklearn' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
