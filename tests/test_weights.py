"""What images count in losses: against the reference, without those of weight 0, the same bits."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike
from test_curvature import assert_same_curvature
from test_network import (
    LOSSES,
    SEVEN_WIDE,
    TRAINED_CODES,
    assert_same_gradient,
    case,
    fixed_codes,
    grey_images,
    labels_for,
)

import reference as ref
from lenet_c import (
    LENET5_1998,
    LENET5_MODERN,
    LENET5_STRINGS,
    SDLM,
    SGD,
    Adam,
    Architecture,
    BestWeights,
    Dense,
    Distortion,
    LeNet5,
    Trainer,
)

NETWORKS = [LENET5_1998, LENET5_MODERN, TRAINED_CODES, SEVEN_WIDE]


def weights_for(n: int, seed: int = 3) -> np.ndarray:
    """From 0 to 5, and some 0."""
    rng = np.random.default_rng(seed)
    weights: np.ndarray = rng.uniform(0, 5, n) * (rng.random(n) > 0.3)
    weights[n // 2] = 2.5
    return weights


def weighted_reference(
    net: LeNet5, x: np.ndarray, labels: np.ndarray, weights: np.ndarray, loss: str, j: float
) -> tuple[float, ref.Array]:
    """The sum of an image's loss times its weight, over the sum of the weights; its gradient."""
    is_rbf = net.architecture.layers[-1].kind == "rbf"
    shares = weights / weights.sum()

    def derivative(outputs: ref.Array) -> tuple[float, ref.Array]:
        each = [
            ref.loss(outputs[i : i + 1], labels[i : i + 1], loss, j, is_rbf)
            for i in range(len(outputs))
        ]
        slopes = ref.loss_derivative(outputs, labels, loss, j, is_rbf) * len(outputs)
        return float(shares @ each), slopes * shares[:, None]

    return ref.gradient_of(net.architecture, net.parameters, x, derivative, fixed_codes(net))


@pytest.mark.parametrize("n", [2, 7, 33, 100])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("architecture", NETWORKS, ids=lambda a: a.name)
def test_gradient(architecture: Any, loss: str, n: int) -> None:
    net, x, _ = case(architecture)
    labels, weights = labels_for(architecture, n), weights_for(n)
    value, gradient = net.loss_and_gradient(x[:n], labels, loss, j=0.7, sample_weight=weights)
    want_value, want = weighted_reference(net, x[:n], labels, weights, loss, 0.7)
    # losses are differences of outputs, which are rounded to float32
    rounding = 1e-7 * float(np.abs(net.forward(x[:n])).max())
    assert value == pytest.approx(want_value, rel=2e-6, abs=rounding)
    assert_same_gradient(net, gradient, want)
    read = net.evaluate(x[:n], labels, loss, j=0.7, sample_weight=weights)
    assert read.loss == pytest.approx(want_value, rel=2e-6, abs=rounding)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("architecture", NETWORKS, ids=lambda a: a.name)
def test_curvature(architecture: Any, loss: str) -> None:
    net, x, _ = case(architecture)
    labels, weights = labels_for(architecture, 20), weights_for(20)
    got = net.curvature(x[:20], labels, loss, j=5.0, sample_weight=weights)
    vector, codes = net.parameters, fixed_codes(net)
    each = [
        ref.curvature(architecture, vector, x[i : i + 1], labels[i : i + 1], loss, 5.0, codes)
        for i in range(20)
    ]
    assert_same_curvature(net, got, weights @ np.array(each) / weights.sum())


def test_accuracy_is_that_of_the_weights() -> None:
    net, x, _ = case(LENET5_MODERN)
    labels = net.predict(x[:30])
    labels[:10] = (labels[:10] + 1) % 10  # misread
    weights = np.where(np.arange(30) < 10, 1.0, 3.0)
    read = net.evaluate(x[:30], labels, sample_weight=weights)
    assert read.error_rate == pytest.approx(10 / 70)
    assert read.accuracy == pytest.approx(60 / 70)
    assert read.confusion.sum() == 30


@pytest.mark.parametrize("weights", [np.ones(50), np.full(50, 4), np.full(50, True)])
def test_equal_weights_are_none(weights: np.ndarray) -> None:
    net, x, _ = case(LENET5_1998)
    labels = labels_for(LENET5_1998, 50)
    plain, gradient = net.loss_and_gradient(x[:50], labels)
    value, same = net.loss_and_gradient(x[:50], labels, sample_weight=weights)
    assert value == plain  # powers of two lose nothing
    np.testing.assert_array_equal(same, gradient)


def test_an_image_may_be_given_its_weight_as_a_number() -> None:
    net, x, _ = case(LENET5_1998)
    plain = net.loss_and_gradient(x[0], 3)
    weighted = net.loss_and_gradient(x[0], 3, sample_weight=0.1)
    assert weighted[0] == pytest.approx(plain[0], rel=1e-12)
    assert_same_gradient(net, weighted[1], plain[1].astype(np.float64))


def test_the_loss_of_an_image_of_weight_zero_may_be_infinite() -> None:
    logits = Architecture("logits", (Dense("output", 3, activation="identity"),), (8, 8))
    net = LeNet5(logits)
    x = np.zeros((3, 8, 8), np.float32)
    x[0, 1], x[1], x[2, 2] = 1.0, 1.0, 0.5
    net["output.weight"][:, 32:] = 3e38  # of pixels that image 1 alone has
    labels, weights = np.array([1, 2, 0]), [1.0, 0.0, 3.0]
    with pytest.raises(FloatingPointError):
        net.loss_and_gradient(x, labels, "mse")
    value, gradient = net.loss_and_gradient(x, labels, "mse", sample_weight=weights)
    kept = [0, 2]
    want_value, want = net.loss_and_gradient(x[kept], labels[kept], "mse", sample_weight=[1.0, 3.0])
    assert value == pytest.approx(want_value)
    assert_same_gradient(net, gradient, want.astype(np.float64))


# ---- training ------------------------------------------------------------------------------------


def trained(
    weights: ArrayLike | None, images: np.ndarray, labels: np.ndarray, **settings: Any
) -> tuple[np.ndarray, list[float]]:
    net = LeNet5(settings.pop("architecture", LENET5_1998), seed=2)
    trainer = Trainer(net, **{"optimizer": Adam(1e-3), "batch_size": 20, **settings})
    history = trainer.fit(images, labels, 2, sample_weight=weights)
    return net.parameters.copy(), [record["loss"] for record in history.epochs]


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return grey_images(150, 28, 28), labels_for(LENET5_1998, 150), weights_for(150)


SETTINGS: list[dict[str, Any]] = [
    {},
    {"distort": Distortion(), "batch_size": 64},
    {"optimizer": SDLM(), "batch_size": 1},
    {"optimizer": SGD(0.01), "batch_size": 1, "architecture": LENET5_MODERN},
    {"optimizer": SGD(0.01, 0.9), "loss": "mse", "architecture": LENET5_MODERN},
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_images_of_weight_zero_might_as_well_not_be_there(
    settings: dict[str, Any], data: tuple[np.ndarray, ...]
) -> None:
    images, labels, weights = data
    kept = weights > 0
    assert 0 < kept.sum() < 150
    some, losses = trained(weights[kept], images[kept], labels[kept], **settings)
    every, same = trained(weights, images, labels, **settings)
    np.testing.assert_array_equal(every, some)
    assert losses == same
    plain, _ = trained(None, images[kept], labels[kept], **settings)
    ones, _ = trained(kept, images, labels, **settings)
    np.testing.assert_array_equal(ones, plain)
    if settings.get("batch_size") != 1:  # where an image is alone, it counts alone
        assert (plain != some).any()


@pytest.mark.parametrize("settings", SETTINGS[:2])
def test_same_bits_for_any_threads(settings: dict[str, Any], data: tuple[np.ndarray, ...]) -> None:
    images, labels, weights = data
    first, *others = (
        trained(weights, images, labels, num_threads=threads, **(settings | {"batch_size": 150}))
        for threads in (1, 2, 5)
    )
    for parameters, losses in others:
        np.testing.assert_array_equal(parameters, first[0])
        assert losses == first[1]


def test_a_pass_is_steps_with_the_weights_of_their_images(data: tuple[np.ndarray, ...]) -> None:
    images, labels, weights = data
    weights = weights + 0.5
    want, want_losses = LeNet5(seed=2), []
    one = Trainer(want, Adam(1e-3), batch_size=20)
    order = np.random.default_rng(np.random.SeedSequence(0))
    for _ in range(2):
        total = 0.0
        rows = order.permutation(150)
        for start in range(0, 150, 20):
            pick = rows[start : start + 20]
            loss = one.step(images[pick], labels[pick], sample_weight=weights[pick])
            total += loss * weights[pick].sum()
        want_losses.append(total / weights.sum())
    parameters, losses = trained(weights, images, labels)
    np.testing.assert_array_equal(parameters, want.parameters)
    assert losses == pytest.approx(want_losses)


def test_a_step_goes_down_the_weighted_gradient(data: tuple[np.ndarray, ...]) -> None:
    images, labels, weights = data
    for n in (1, 2, 40):
        net = LeNet5(seed=2)
        weighted = weights[:n] + 0.25
        loss, gradient = net.loss_and_gradient(images[:n], labels[:n], sample_weight=weighted)
        before = net.parameters.copy()
        value = Trainer(net, SGD(0.5)).step(images[:n], labels[:n], sample_weight=weighted)
        assert value == pytest.approx(loss, rel=1e-12)
        # what a parameter of 1 loses of its digits
        assert np.abs((before - net.parameters) / 0.5 - gradient).max() < 1e-6 * (
            1 + np.abs(gradient).max()
        )


def test_validation_data_may_have_weights(data: tuple[np.ndarray, ...]) -> None:
    images, labels, weights = data
    net = LeNet5(seed=2)
    trainer = Trainer(net, callbacks=[BestWeights()])
    held_out = images[:40], labels[:40], weights[:40]
    record = trainer.fit(images[40:], labels[40:], 1, held_out).epochs[0]
    read = net.evaluate(images[:40], labels[:40], sample_weight=weights[:40])
    assert record["val_loss"] == read.loss
    assert record["val_error_rate"] == read.error_rate
    with pytest.raises(TypeError, match="validation_data: want a pair"):
        trainer.fit(images, labels, 1, (*held_out, 1))
    with pytest.raises(ValueError, match=r"sample_weight: shape \(39,\), want \(40,\)"):
        trainer.fit(images, labels, 1, (images[:40], labels[:40], weights[:39]))


def test_resuming_with_weights(data: tuple[np.ndarray, ...]) -> None:
    images, labels, weights = data
    saved = io.BytesIO()

    class Saver:
        def on_batch_end(self, trainer: Trainer, batch: dict[str, float]) -> None:
            if batch["step"] == 7:
                trainer.save(saved)

    net = LeNet5(seed=2)
    history = Trainer(net, batch_size=20, callbacks=[Saver()]).fit(
        images, labels, 2, sample_weight=weights
    )
    for other in (None, weights + 1, weights * 2):
        saved.seek(0)
        with pytest.raises(ValueError, match="images: "):
            Trainer.load(saved).resume(images, labels, sample_weight=other)
    saved.seek(0)
    trainer = Trainer.load(saved)
    resumed = trainer.resume(images, labels, sample_weight=weights)
    np.testing.assert_array_equal(trainer.network.parameters, net.parameters)
    assert [r["loss"] for r in resumed.epochs] == [r["loss"] for r in history.epochs]


# ---- what cannot be ------------------------------------------------------------------------------

REFUSED = [
    ([1.0, -2.0, 1.0], ValueError, "sample_weight: row 1 is -2.0, want finite numbers of at least"),
    ([1.0, 2.0, np.nan], ValueError, "sample_weight: row 2 is nan, want finite"),
    ([np.inf, 2.0, 1.0], ValueError, "sample_weight: row 0 is inf, want finite"),
    ([0.0, 0.0, 0.0], ValueError, "sample_weight: adds up to 0, want more than 0"),
    ([1e308, 1e308, 1e308], ValueError, "sample_weight: adds up to inf"),
    ([1.0, 2.0], ValueError, r"sample_weight: shape \(2,\), want \(3,\), one for each image"),
    ([[1.0], [2.0], [1.0]], ValueError, r"sample_weight: shape \(3, 1\), want \(3,\)"),
    (2.0, ValueError, r"sample_weight: shape \(\), want \(3,\)"),
    (["a", "b", "c"], TypeError, "sample_weight: dtype <U1, want real numbers"),
    ([[1.0], [2.0, 3.0], 1.0], ValueError, "sample_weight: not an array"),
]


@pytest.mark.parametrize(("weights", "error", "text"), REFUSED)
def test_weights_are_checked(weights: Any, error: type[Exception], text: str) -> None:
    net, labels = LeNet5(), np.array([1, 2, 3])
    images = grey_images(3, 28, 28)
    before = net.parameters.copy()
    trainer = Trainer(net)
    for call in (
        net.loss_and_gradient,
        net.evaluate,
        net.curvature,
        trainer.step,
        trainer.fit,
    ):
        with pytest.raises(error, match=text):
            call(images, labels, sample_weight=weights)
    np.testing.assert_array_equal(net.parameters, before)


def test_what_is_wrong_with_the_images_is_told_with_weights_of_zero() -> None:
    trainer, weights = Trainer(LeNet5()), [1.0, 0.0, 1.0]
    with pytest.raises(ValueError, match=r"labels: shape \(3,\), want \(4,\)"):
        trainer.step(grey_images(4, 28, 28), [1, 2, 3], sample_weight=weights)
    with pytest.raises(ValueError, match="images: uint8 images of 3x784"):
        trainer.step(np.zeros((3, 784), np.uint8), [1, 2, 3], sample_weight=weights)


def test_strings_have_no_weights() -> None:
    trainer = Trainer(LeNet5(LENET5_STRINGS))
    strips = [np.zeros((32, 64), np.uint8)]
    with pytest.raises(ValueError, match="sample_weight: got weights, want None with strings"):
        trainer.step(strips, ["12"], sample_weight=[1.0])
    with pytest.raises(ValueError, match="validation_data: got weights, want none with strings"):
        trainer.fit(strips, ["12"], 1, (strips, ["12"], [1.0]))
