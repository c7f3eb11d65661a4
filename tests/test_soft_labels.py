"""Probabilities for labels: losses, gradients and curvature against the reference, and learning."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from test_curvature import assert_same_curvature, both
from test_network import (
    LOSSES,
    POOL_FIRST,
    SEVEN_WIDE,
    TRAINED_CODES,
    assert_same_gradient,
    both_gradients,
    case,
    grey_images,
    labels_for,
)

from lenet_c import (
    LENET5_1998,
    LENET5_MODERN,
    LENET5_STRINGS,
    SDLM,
    SGD,
    Adam,
    Architecture,
    LeNet5,
    Trainer,
)

NETWORKS = [LENET5_1998, LENET5_MODERN, TRAINED_CODES, SEVEN_WIDE, POOL_FIRST]
each_network = pytest.mark.parametrize("architecture", NETWORKS, ids=lambda a: a.name)


def shares_for(architecture: Architecture, n: int) -> np.ndarray:
    """Each class's probability; some are 0, and some images are of one class."""
    rng = np.random.default_rng(11)
    shares = rng.dirichlet(np.full(architecture.classes, 0.4), n)
    shares[rng.random(shares.shape) < 0.2] = 0.0
    shares[:, 0] += 1e-3
    shares[n // 2] = np.eye(architecture.classes)[1]
    return shares / shares.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("n", [1, 3, 33])
@pytest.mark.parametrize("loss", LOSSES)
@each_network
def test_gradient(architecture: Architecture, loss: str, n: int) -> None:
    net, x, _ = case(architecture)
    shares = shares_for(architecture, n)
    value, gradient, want_value, want = both_gradients(net, x[:n], shares, loss, 0.7, 3.0)
    assert value == pytest.approx(want_value, rel=2e-6)
    assert_same_gradient(net, gradient, want)
    read = net.evaluate(x[:n], shares, loss, j=0.7, temperature=3.0)
    assert read.loss == pytest.approx(want_value, rel=2e-6)


@pytest.mark.parametrize("loss", LOSSES)
@each_network
def test_curvature(architecture: Architecture, loss: str) -> None:
    net, x, layers = case(architecture)
    j = float(np.abs(layers["output"]).min(axis=1).mean()) / 7
    shares = shares_for(architecture, 20)
    assert_same_curvature(net, *both(net, x[:20], shares, loss, j, 7.0))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("loss", LOSSES)
@each_network
def test_certain_labels_are_labels(architecture: Architecture, loss: str, dtype: Any) -> None:
    net, x, _ = case(architecture)
    labels = labels_for(architecture, 33)
    certain = np.eye(architecture.classes, dtype=dtype)[labels]
    for call in (net.loss_and_gradient, net.curvature, net.evaluate):
        plain, same = (call(x[:33], given, loss, j=0.7) for given in (labels, certain))
        if isinstance(plain, tuple):
            assert plain[0] == same[0]
            plain, same = plain[1], same[1]
        assert np.array_equal(plain, same) if isinstance(plain, np.ndarray) else plain == same


def test_errors_are_those_of_the_likeliest_class() -> None:
    net, x, _ = case(LENET5_MODERN)
    answers = net.predict(x[:20])
    shares = np.full((20, 10), 0.05)
    shares[np.arange(20), answers] = 0.55
    assert net.evaluate(x[:20], shares).error_rate == 0.0


def test_an_image_may_be_given_by_itself() -> None:
    net, x, _ = case(LENET5_1998)
    shares = shares_for(LENET5_1998, 1)
    one = net.loss_and_gradient(x[0], shares[0])
    assert one[0] == net.loss_and_gradient(x[:1], shares)[0]


def test_with_weights_and_in_another_order() -> None:
    net, x, _ = case(LENET5_1998)
    shares, weights = shares_for(LENET5_1998, 40), np.arange(40) % 3
    value, gradient = net.loss_and_gradient(x[:40], shares, sample_weight=weights)
    each = [net.loss_and_gradient(x[i], shares[i]) for i in range(40)]
    assert value == pytest.approx(weights @ [one[0] for one in each] / weights.sum())
    want = weights @ np.array([one[1] for one in each], np.float64) / weights.sum()
    assert_same_gradient(net, gradient, want)
    order = np.random.default_rng(0).permutation(40)
    nets = [LeNet5(seed=1), LeNet5(seed=1)]
    for one, (rows, targets) in zip(
        nets, ((x[:40], shares), (x[order], shares[order])), strict=True
    ):
        trainer = Trainer(one, SGD(1e-3), batch_size=40)
        samples = trainer._samples(rows, targets, 0, None)
        trainer._update(samples, None if one is nets[1] else order, 1e-3, 1)
    np.testing.assert_array_equal(nets[0].parameters, nets[1].parameters)


@pytest.mark.parametrize("optimizer", [Adam(2e-3), SDLM(mu=0.5)], ids=["adam", "sdlm"])
def test_training_learns_the_probabilities(optimizer: Any) -> None:
    images = grey_images(60, 28, 28)
    shares = np.tile([[0.7, 0.3] + [0.0] * 8, [0.0, 0.2, 0.8] + [0.0] * 7], (30, 1))
    nets = []
    for threads in (1, 3):
        net = LeNet5(LENET5_MODERN, seed=3)
        trainer = Trainer(net, optimizer, num_threads=threads)
        history = trainer.fit(images, shares, epochs=6, validation_data=(images, shares))
        nets.append(net)
    assert history.epochs[-1]["val_loss"] < history.epochs[0]["val_loss"]
    np.testing.assert_array_equal(nets[0].parameters, nets[1].parameters)


def test_a_share_is_held_out_and_images_of_weight_0_are_left_out() -> None:
    images, shares = grey_images(40, 28, 28), shares_for(LENET5_1998, 40)
    weights = np.repeat([1.0, 0.0, 1.0], [10, 10, 20])
    kept = weights > 0
    nets = [LeNet5(), LeNet5()]
    Trainer(nets[0]).fit(images, shares, 2, sample_weight=weights, validation_split=0.25)
    Trainer(nets[1]).fit(images[:30][kept[:30]], shares[:30][kept[:30]], 2)
    np.testing.assert_array_equal(nets[0].parameters, nets[1].parameters)


def test_strings_networks_learn_single_images_so() -> None:
    net = LeNet5(LENET5_STRINGS)
    shares = np.eye(10)[[3, 4]]
    strips = grey_images(2, *LENET5_STRINGS.input_shape)
    value = net.loss_and_gradient(strips, shares, "cross_entropy")[0]
    assert value == net.loss_and_gradient(strips, [3, 4], "cross_entropy")[0]


@pytest.mark.parametrize(
    ("labels", "error", "text"),
    [
        (np.zeros((4, 10)), ValueError, "row 0 adds up to 0, want probabilities: 1"),
        (np.full((4, 10), 0.2), ValueError, "row 0 adds up to 2, "),
        (np.full((4, 10), 1e308), ValueError, "row 0 adds up to inf, "),
        (np.eye(10)[:4] * -1, ValueError, "row 0 has a probability that is negative or not"),
        (np.full((4, 10), np.nan), ValueError, "row 0 has a probability that is negative or not"),
        (np.full((4, 9), 1 / 9), ValueError, r"shape \(4, 9\), want \(4, 10\), each class's"),
        (np.full((3, 10), 0.1), ValueError, r"shape \(3, 10\), want \(4, 10\)"),
        (
            np.zeros(4),
            TypeError,
            r"dtype float64, want integers, or probabilities, shape \(4, 10\)",
        ),
    ],
)
def test_what_are_no_probabilities(labels: np.ndarray, error: Any, text: str) -> None:
    images = grey_images(4, 28, 28)
    net = LeNet5()
    for call in (net.loss_and_gradient, net.evaluate, net.curvature, Trainer(net).step):
        with pytest.raises(error, match=rf"^labels: {text}"):
            call(images, labels)


def test_what_needs_one_class_of_each_says_so() -> None:
    images, shares = grey_images(40, 28, 28), shares_for(LENET5_1998, 40)
    net = LeNet5()
    for call in (net.calibrate, net.rejection_curve):
        with pytest.raises(TypeError, match=r"^labels: dtype float64, want integers$"):
            call(images, shares)


def test_a_training_with_probabilities_is_resumed() -> None:
    images, shares = grey_images(40, 28, 28), shares_for(LENET5_1998, 40)
    whole = Trainer(LeNet5())
    whole.fit(images, shares, 3)
    parts = Trainer(LeNet5())
    file = io.BytesIO()

    class Keeper:
        def on_epoch_end(self, trainer: Trainer, record: dict[str, float]) -> None:
            if record["epoch"] == 1:
                trainer.save(file)

    parts.callbacks.append(Keeper())
    parts.fit(images, shares, 3)
    file.seek(0)
    again = Trainer.load(file, callbacks=[Keeper()])
    again.resume(images, shares)
    np.testing.assert_array_equal(again.network.parameters, whole.network.parameters)
