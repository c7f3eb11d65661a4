"""Rejection: which answers are left out, and what the curve says about it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from lenet_c import (
    LENET5_28,
    LENET5_1998,
    Adam,
    Architecture,
    LeNet5,
    Rejection,
    Trainer,
    rejection,
)

Digits = Any  # ((x, y), (xt, yt)) of the fixture real_digits


@pytest.fixture(scope="module", params=[LENET5_1998, LENET5_28], ids=["rbf", "logits"])
def net(request: pytest.FixtureRequest, real_digits: Digits) -> LeNet5:
    """Trained so far that it still errs."""
    (x, y), _ = real_digits
    architecture: Architecture = request.param
    net = LeNet5(architecture, seed=1)
    Trainer(net, Adam(2e-3), batch_size=32).fit(x[:1400], y[:1400], epochs=6)
    return net


def scores(net: LeNet5, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Penalty and margin of each image, by another way."""
    if net.codes is not None:
        two = np.sort(net.forward(images).astype(float), axis=1)[:, :2]
        return two[:, 0], two[:, 1] - two[:, 0]
    logits = np.sort(net.forward(images).astype(float), axis=1)
    return -np.log(net.predict_proba(images).max(axis=1)), logits[:, -1] - logits[:, -2]


def test_predict_marks_what_is_rejected(net: LeNet5, real_digits: Digits) -> None:
    images = real_digits[1][0][:300]
    plain = net.predict(images)
    penalty, margin = scores(net, images)
    for limit in (
        Rejection(margin=float(np.median(margin)) + 1e-3),
        Rejection(penalty=float(np.median(penalty)) + 1e-3),
        Rejection(float(np.quantile(penalty, 0.7)) + 1e-3, float(np.quantile(margin, 0.3)) + 1e-3),
    ):
        answers = net.predict(images, reject=limit)
        out = (penalty > limit.penalty) | (margin < limit.margin)
        assert 50 < out.sum() < 250
        assert answers.dtype == np.int64
        np.testing.assert_array_equal(answers, np.where(out, -1, plain))
    np.testing.assert_array_equal(net.predict(images, reject=Rejection()), plain)
    one = net.predict(images[0], reject=Rejection(margin=1e9))
    assert one.tolist() == [-1]


def test_the_margin_is_the_log_of_the_probabilities_ratio(net: LeNet5, real_digits: Digits) -> None:
    images = real_digits[1][0][:50]
    _, _, margin = rejection.best_two(net.forward(images), net.codes is not None)
    two = np.sort(net.predict_proba(images).astype(float), axis=1)[:, -2:]
    close = two[:, 0] > 1e-30  # float32 ends below
    assert close.sum() > 5
    np.testing.assert_allclose(margin[close], np.log(two[close, 1] / two[close, 0]), rtol=1e-3)


@pytest.mark.parametrize("by", ["margin", "penalty"])
def test_each_point_of_the_curve_is_what_predict_does(
    net: LeNet5, real_digits: Digits, by: str
) -> None:
    _, (xt, yt) = real_digits
    xt, yt = xt[:350], yt[:350]
    curve = net.rejection_curve(xt, yt, by)
    assert curve.by == by
    assert curve.rejected[0] == 0.0
    assert curve.error_rate[0] == pytest.approx(net.evaluate(xt, yt).error_rate)
    assert (np.diff(curve.rejected) > 0).all()
    assert (np.diff(curve.thresholds) * (1 if by == "margin" else -1) > 0).all()
    assert len(curve.rejected) > 300
    for k in range(0, len(curve.rejected), 17):
        answers = net.predict(xt, reject=Rejection(**{by: float(curve.thresholds[k])}))
        left = answers != -1
        assert 1 - left.mean() == pytest.approx(curve.rejected[k])
        assert (answers != yt)[left].mean() == pytest.approx(curve.error_rate[k])
    # what is left out is what the network is unsure of
    assert curve.error_rate[len(curve.rejected) // 2] < curve.error_rate[0] / 2


def test_the_threshold_for_an_error_rate(net: LeNet5, real_digits: Digits) -> None:
    _, (xt, yt) = real_digits
    xt, yt = xt[:350], yt[:350]
    curve = net.rejection_curve(xt, yt)
    wanted = curve.error_rate[0] / 3
    point = curve.reaching(wanted)
    assert point.error_rate <= wanted
    answers = net.predict(xt, reject=point.rejection)
    left = answers != -1
    assert point.rejected == pytest.approx(1 - left.mean())
    assert point.error_rate == pytest.approx((answers != yt)[left].mean())
    # one image fewer would not do
    k = int(np.flatnonzero(curve.rejected == point.rejected)[0])
    assert (curve.error_rate[:k] > wanted).all()
    assert curve.reaching(1.0).rejected == 0.0
    assert curve.reaching(1.0).rejection == Rejection()


def test_a_curve_by_hand() -> None:
    scores = np.array([3.0, 1.0, 2.0, 1.0, 5.0])
    wrong = np.array([False, True, False, False, True])
    curve = rejection.curve("margin", scores, wrong)
    # the two of 1.0 go together
    np.testing.assert_allclose(curve.thresholds, [0, 1.5, 2.5, 4])
    np.testing.assert_allclose(curve.rejected, [0, 0.4, 0.6, 0.8])
    np.testing.assert_allclose(curve.error_rate, [2 / 5, 1 / 3, 1 / 2, 1])
    assert curve.reaching(0.35).rejection == Rejection(margin=1.5)
    with pytest.raises(ValueError, match=r"error_rate: got 0\.3, want at least 0\.333333, the lo"):
        curve.reaching(0.3)
    with pytest.raises(ValueError, match=r"error_rate: got 1\.5, want a number from 0 to 1"):
        curve.reaching(1.5)
    # no more than the share is rejected
    for share, threshold in ((0.0, 0.0), (0.39, 0.0), (0.4, 1.5), (0.6, 2.5), (0.79, 2.5), (1, 4)):
        point = curve.rejecting(share)
        assert point.rejection == Rejection(margin=threshold)
        assert point.rejected <= share + 1e-12
    with pytest.raises(ValueError, match=r"share: got -0\.1, want a number from 0 to 1"):
        curve.rejecting(-0.1)
    curve = rejection.curve("penalty", scores, wrong)
    np.testing.assert_allclose(curve.thresholds, [math.inf, 4, 2.5, 1.5])
    np.testing.assert_allclose(curve.rejected, [0, 0.2, 0.4, 0.6])
    np.testing.assert_allclose(curve.error_rate, [2 / 5, 1 / 4, 1 / 3, 1 / 2])
    assert curve.reaching(0.3).rejection == Rejection(penalty=4.0)
    assert curve.reaching(0.25).rejection == Rejection(penalty=4.0)


def test_a_score_at_its_threshold_is_accepted() -> None:
    penalty, margin = np.array([2.0, 2.5, 2.0]), np.array([0.5, 0.5, 0.25])
    assert Rejection(2.0, 0.5)(penalty, margin).tolist() == [False, True, True]
    assert Rejection(0.0)(np.array([0.0, 1e-9]), np.zeros(2)).tolist() == [False, True]


def test_best_two_by_hand() -> None:
    outputs = np.array([[3, 1, 1.5], [0, 7, 0]], np.float32)
    classes, penalty, margin = rejection.best_two(outputs, is_rbf=True)
    assert (classes.tolist(), penalty.tolist(), margin.tolist()) == ([1, 0], [1, 0], [0.5, 0])
    classes, penalty, margin = rejection.best_two(-outputs, is_rbf=False)
    assert classes.tolist() == [1, 0]
    softmax = np.exp(-outputs) / np.exp(-outputs).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(penalty, -np.log(softmax.max(axis=1)), rtol=1e-5)
    np.testing.assert_allclose(margin, [0.5, 0])
    assert rejection.best_two(outputs[:, :1], is_rbf=True)[2].tolist() == [math.inf] * 2


def test_outputs_that_are_not_numbers_are_rejected() -> None:
    net = LeNet5()
    net.parameters[:] = np.nan
    assert net.predict(np.zeros((28, 28), np.uint8), reject=Rejection()).tolist() == [-1]
    outputs = np.full((1, 3), np.inf, np.float32)
    assert Rejection()(*rejection.best_two(outputs, is_rbf=True)[1:]).tolist() == [True]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"penalty": -1.0}, r"penalty: got -1\.0, want a number of at least 0"),
        ({"penalty": math.nan}, "penalty: got nan"),
        ({"distance": -1}, r"distance: got -1, want a number of at least 0"),
        ({"distance": math.nan}, "distance: got nan"),
        ({"margin": -0.5}, r"margin: got -0\.5, want a finite number"),
        ({"margin": math.nan}, "margin: got nan"),
        ({"margin": math.inf}, "margin: got inf"),
    ],
)
def test_bad_thresholds(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Rejection(**settings)


@pytest.mark.parametrize("value", ["0.5", None, True, [1.0]])
def test_thresholds_that_are_no_numbers(value: Any) -> None:
    for name in ("penalty", "margin", "distance"):
        with pytest.raises(TypeError, match=f"^{name}: got .*, want a number"):
            Rejection(**{name: value})
    found = LeNet5().rejection_curve(np.zeros((28, 28), np.uint8), [0])
    with pytest.raises(TypeError, match=r"^error_rate: got .*, want a number"):
        found.reaching(value)
    with pytest.raises(TypeError, match=r"^share: got .*, want a number"):
        found.rejecting(value)


def test_thresholds_of_any_kind_are_kept_as_floats() -> None:
    wanted = "Rejection(penalty=3.0, margin=0.5, distance=2.0)"
    assert repr(Rejection(np.int64(3), np.float32(0.5), np.float16(2))) == wanted
    everything = Rejection(penalty=10**400)
    assert everything == Rejection()
    assert everything(np.array([1e300]), np.array([0.0])).tolist() == [False]


def test_a_curve_needs_labels() -> None:
    with pytest.raises(ValueError, match="labels: none were given"):
        LeNet5().rejection_curve(np.zeros((28, 28), np.uint8), None)  # type: ignore[arg-type]


def test_bad_arguments() -> None:
    image = np.zeros((28, 28), np.uint8)
    with pytest.raises(TypeError, match=r"reject: got 0\.5, want Rejection\("):
        LeNet5().predict(image, reject=0.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="by: got 'size', want one of margin, penalty"):
        LeNet5().rejection_curve(image, [0], "size")
    with pytest.raises(TypeError, match=r"by: got array\(.*, want one of margin, penalty"):
        LeNet5().rejection_curve(image, [0], np.arange(2))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="labels: row 0 is 10"):
        LeNet5().rejection_curve(image, [10])
