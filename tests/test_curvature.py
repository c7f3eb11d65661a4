"""The curvature h_kk and the optimizer SDLM: against the reference, threads, learning."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from closeness import assert_close
from test_network import (
    ARCHITECTURES,
    LOSSES,
    POOL_FIRST,
    SEVEN_WIDE,
    TRAINED_CODES,
    case,
    fixed_codes,
    grey_images,
    labels_for,
    network,
)

import reference as ref
from lenet_c import (
    LENET5_28,
    LENET5_1998,
    LENET5_MODERN,
    SDLM,
    Architecture,
    LeNet5,
    Trainer,
    _core,
    datasets,
)


def both(
    net: LeNet5,
    x: np.ndarray,
    labels: np.ndarray,
    loss: str,
    j: float,
    temperature: float = 1.0,
) -> tuple[np.ndarray, ref.Array]:
    got = net.curvature(x, labels, loss, j=j, temperature=temperature)
    want = ref.curvature(
        net.architecture, net.parameters, x, labels, loss, j, fixed_codes(net), temperature
    )
    return got, want


def assert_same_curvature(net: LeNet5, got: np.ndarray, want: ref.Array) -> None:
    """Parameter group by parameter group."""
    assert got.dtype == np.float32
    assert got.shape == want.shape
    assert got.min() >= 0
    there = ref.unflatten(net.architecture, want)
    for name, values in ref.unflatten(net.architecture, got).items():
        assert_close(values, there[name], 1e-5)


# ---- h_kk ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda a: a.name)
def test_curvature(architecture: Architecture, loss: str) -> None:
    net, x, layers = case(architecture)
    labels = labels_for(architecture, 5)
    is_rbf = architecture.layers[-1].kind == "rbf"
    # a rubbish class with a share of its own
    j = float(np.abs(layers["output"]).min(axis=1).mean()) if is_rbf else 0.7
    if is_rbf and loss == "cross_entropy":
        net = copy.copy(net)
        net.parameters[...] *= 0.5  # or the best penalty wins by so much that nothing is left
    assert_same_curvature(net, *both(net, x[:5], labels, loss, j))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda a: a.name)
def test_curvature_with_a_temperature(architecture: Architecture, loss: str) -> None:
    net, x, layers = case(architecture)
    labels = labels_for(architecture, 5)
    j = float(np.abs(layers["output"]).min(axis=1).mean()) / 7
    assert_same_curvature(net, *both(net, x[:5], labels, loss, j, 7.0))


@pytest.mark.parametrize("n", [1, 15, 16, 17, 33, 130])
def test_curvature_of_any_number_of_images(n: int) -> None:
    net, x, _ = case(POOL_FIRST)
    assert_same_curvature(net, *both(net, x[-n:], labels_for(POOL_FIRST, n), "map", 5.0))


@pytest.mark.parametrize("size", [28, 32])
def test_curvature_of_grey_images(size: int) -> None:
    net, images, labels = network(LENET5_1998), grey_images(3, size, size), np.array([3, 9, 0])
    x = np.full((3, 32, 32), -0.1)
    edge = (32 - size) // 2
    x[:, edge : edge + size, edge : edge + size] += images / 255 * 1.275
    want = ref.curvature(LENET5_1998, net.parameters, x, labels, "mse", 1.0, fixed_codes(net))
    assert_same_curvature(net, net.curvature(images, labels, "mse"), want)
    one = net.curvature(images[1], 9, "mse")
    np.testing.assert_array_equal(one, net.curvature(images[1:2], labels[1:2], "mse"))


def test_default_loss_and_order() -> None:
    # only trained codes have a curvature that depends on the label
    for architecture, loss in ((TRAINED_CODES, "map"), (LENET5_28, "cross_entropy")):
        net, x, _ = case(architecture)
        labels = labels_for(architecture, 40)
        want = net.curvature(x[:40], labels, loss)
        np.testing.assert_array_equal(net.curvature(x[:40], labels), want)
        order = np.random.default_rng(1).permutation(40)[:30]
        samples = _core.Samples(net._network, x[:40], labels)
        np.testing.assert_array_equal(
            net._network.curvature(samples, order, loss, 5.0, 1.0),
            net.curvature(x[order], labels[order], loss),
        )


@pytest.mark.parametrize("architecture", [TRAINED_CODES, LENET5_MODERN], ids=lambda a: a.name)
def test_same_bits_of_curvature_for_any_threads(architecture: Architecture) -> None:
    net, images = network(architecture), grey_images(300, 28, 28)
    labels = labels_for(architecture, 300)
    want = net.curvature(images, labels, num_threads=1)
    assert want.max() > 0
    for threads in (2, 3, 5, 40):
        got = net.curvature(images, labels, num_threads=threads)
        np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(net.curvature(images, labels), want)


def test_bad_input_of_curvature() -> None:
    net, images = LeNet5(), grey_images(4, 28, 28)
    with pytest.raises(ValueError, match="labels: row 2 is 10, want 0 to 9"):
        net.curvature(images, [0, 1, 10, 2])
    with pytest.raises(ValueError, match=r"labels: shape \(3,\), want \(4,\)"):
        net.curvature(images, [0, 1, 2])
    with pytest.raises(ValueError, match="loss: got 'hinge', want one of"):
        net.curvature(images, [0, 1, 2, 3], "hinge")
    with pytest.raises(ValueError, match="j: got 0"):
        net.curvature(images, [0, 1, 2, 3], j=0)
    with pytest.raises(TypeError, match="images: dtype float64"):
        net.curvature(images.astype(float), [0, 1, 2, 3])
    with pytest.raises(FloatingPointError, match="not finite"):
        net.curvature(np.full((1, 32, 32), 3e38, np.float32), [0])
    samples = _core.Samples(net._network, images)
    with pytest.raises(ValueError, match="labels: none were given"):
        net._network.curvature(samples, None, "map", 1.0, 1.0)
    samples = _core.Samples(net._network, images, [0, 1, 2, 3])
    with pytest.raises(IndexError, match="entry 1 is 4, want 0 to 3"):
        net._network.curvature(samples, np.array([0, 4]), "map", 1.0, 1.0)


# ---- SDLM ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 7])
@pytest.mark.parametrize("architecture", [POOL_FIRST, SEVEN_WIDE], ids=lambda a: a.name)
def test_updates(architecture: Architecture, batch: int) -> None:
    """Each update against the reference's, given the core's own gradient and curvature."""
    net, x, _ = case(architecture)
    net = copy.copy(net)  # others use this one too
    x, labels = x[:batch], labels_for(architecture, batch)
    optimizer = SDLM(0.01, mu=0.1)
    trainer = Trainer(net, optimizer)
    h = net.curvature(x, labels).astype(np.float64)
    for _ in range(4):
        before = net.parameters.astype(np.float64)
        loss, gradient = net.loss_and_gradient(x, labels)
        want = ref.sdlm_step(before, gradient.astype(np.float64), h, 0.01, 0.1)
        assert trainer.step(x, labels) == loss
        assert_close(net.parameters, want, 3e-7)
        assert_close(
            net.parameters - before, want - before, 1e-5 + 1e-7 / np.abs(want - before).max()
        )


def test_defaults_are_the_papers() -> None:
    optimizer = SDLM()
    rates = [optimizer.rate(0, 1, epoch) for epoch in range(1, 21)]
    want = [5e-4] * 2 + [2e-4] * 3 + [1e-4] * 3 + [5e-5] * 4 + [1e-5] * 8
    assert rates == pytest.approx(want, rel=1e-12)
    assert (optimizer.mu, optimizer.samples) == (0.02, 500)
    assert Trainer(LeNet5(), optimizer).batch_size == 1
    assert Trainer(LeNet5(), optimizer, batch_size=32).batch_size == 32
    rates = optimizer.rates(0.0005, np.array([0.0, 0.03], np.float32))
    np.testing.assert_allclose(rates, [0.025, 0.01], rtol=1e-6)


def test_fit_estimates_before_each_pass_on_images_chosen_by_the_seed() -> None:
    images, labels = grey_images(60, 28, 28), labels_for(LENET5_1998, 60)
    net, other = LeNet5(seed=1), LeNet5(seed=1)
    optimizer = SDLM(1e-5, samples=20)
    history = Trainer(net, optimizer, batch_size=25, seed=9).fit(images, labels, epochs=3)
    assert [record["rate"] for record in history.epochs] == pytest.approx([1e-5, 1e-5, 4e-6])

    random, samples = np.random.default_rng(9), _core.Samples(other._network, images, labels)
    state = optimizer.new_state(60_000)
    for epoch in (1, 2, 3):
        pick = random.choice(60, 20, replace=False)
        h = other.curvature(images[pick], labels[pick])
        state.first[...] = optimizer.rates(optimizer.rate(0, 1, epoch), h)
        order = random.permutation(60)
        for k in range(0, 60, 25):
            other._network.step(samples, order[k : k + 25], "map", 5.0, 1.0, state, 1.0)
    np.testing.assert_array_equal(net.parameters, other.parameters)
    third = LeNet5(seed=1)
    Trainer(third, optimizer, batch_size=25, seed=8).fit(images, labels, epochs=3)
    assert (third.parameters != net.parameters).any()


def test_fit_with_fewer_images_than_samples() -> None:
    images, labels = grey_images(3, 28, 28), [0, 1, 2]
    net = LeNet5()
    assert Trainer(net, SDLM(1e-5)).fit(images, labels, epochs=1).epochs[0]["epoch"] == 1
    assert (net.parameters != LeNet5().parameters).any()


def test_a_schedule_that_changes_in_a_pass() -> None:
    images, labels = grey_images(6, 28, 28), labels_for(LENET5_1998, 6)
    net, copies = LeNet5(), []

    class Copy:
        def on_batch_end(self, trainer: Trainer, batch: dict[str, float]) -> None:
            copies.append(net.parameters.copy())

    optimizer = SDLM(1e-4, schedule=lambda step, n_steps, epoch: float(step % 3 > 0))
    Trainer(net, optimizer, callbacks=[Copy()]).fit(images, labels, epochs=1)
    moved = [(a != b).any() for a, b in zip([LeNet5().parameters, *copies], copies, strict=False)]
    assert moved == [False, True, True] * 2


def test_steps_average_the_curvature(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the first update and every hundredth; the mean over the last images, then decaying."""
    monkeypatch.setattr("lenet_c.optimizers.MEASURE_EVERY", 2)
    images, labels = grey_images(40, 28, 28), labels_for(LENET5_1998, 40)
    net = LeNet5(seed=2)
    trainer = Trainer(net, SDLM(1e-6, samples=25), "mse")
    h = np.zeros(60_000)
    for k, share in enumerate((1.0, None, 0.5, None, 10 / 25, None, 10 / 25)):
        batch = slice(5 * k % 30, 5 * k % 30 + 10)
        if share is not None:
            h += share * (net.curvature(images[batch], labels[batch], "mse") - h)
        trainer.step(images[batch], labels[batch])
        assert_close(trainer._state.second, h, 1e-6)
    trainer.fit(images, labels, epochs=1)
    share = 10 / 25
    if trainer.n_updates % 2:
        trainer.step(images[:10], labels[:10])
    h = trainer._state.second.astype(np.float64)
    h += share * (net.curvature(images[:10], labels[:10], "mse") - h)
    trainer.step(images[:10], labels[:10])
    assert_close(trainer._state.second, h, 1e-6)


@pytest.mark.parametrize("batch", [1, 100])
def test_same_bits_for_any_threads(batch: int) -> None:
    images, labels = grey_images(300, 28, 28), labels_for(LENET5_1998, 300)
    results = []
    for threads in (1, 2, 5):
        net = LeNet5(seed=3)
        trainer = Trainer(net, SDLM(1e-5), batch_size=batch, num_threads=threads)
        trainer.fit(images[: 50 * batch], labels[: 50 * batch], epochs=2)
        results.append(net.parameters)
    assert (results[0] != LeNet5(seed=3).parameters).any()
    for parameters in results[1:]:
        np.testing.assert_array_equal(parameters, results[0])


@pytest.mark.parametrize(
    ("architecture", "loss", "lr"),
    [(LENET5_1998, "mse", 5e-5), (LENET5_1998, "map", 5e-5), (LENET5_28, "cross_entropy", 5e-4)],
    ids=["mse", "map", "cross_entropy"],
)
def test_it_learns_to_read(
    real_digits: tuple[datasets.Arrays, datasets.Arrays],
    architecture: Architecture,
    loss: str,
    lr: float,
) -> None:
    (x, y), (xt, yt) = real_digits
    net = LeNet5(architecture, seed=0)
    if loss == "cross_entropy":
        net.parameters[...] *= 4  # else four passes over few images do not leave the beginning
    optimizer = SDLM(lr, schedule="constant")
    history = Trainer(net, optimizer, loss).fit(x[:1400], y[:1400], epochs=4)
    assert history.epochs[-1]["error_rate"] < 0.3 * history.epochs[0]["error_rate"]
    assert net.evaluate(xt[:2000], yt[:2000]).error_rate < 0.15


def test_divergence_keeps_finite_weights() -> None:
    images, labels = grey_images(20, 28, 28), labels_for(LENET5_MODERN, 20)
    net = LeNet5(LENET5_MODERN)
    trainer = Trainer(net, SDLM(3e38), "mse")
    with pytest.raises(FloatingPointError, match=r"no longer finite|curvature is not finite"):
        trainer.fit(images, labels, epochs=2)
    assert np.isfinite(net.parameters).all()


def test_weights_that_are_not_finite_before_an_estimate() -> None:
    images, labels = grey_images(10, 28, 28), labels_for(LENET5_1998, 10)
    net = LeNet5()
    trainer = Trainer(net, SDLM(1e-5))
    trainer.fit(images, labels, epochs=1)
    good = net.parameters.copy()
    net["C3.weight"][0] = np.inf
    with pytest.raises(FloatingPointError, match="curvature is not finite before update 11;"):
        trainer.fit(images, labels, epochs=1)
    assert np.isfinite(net.parameters).all()
    assert_close(net.parameters, good, 0.05)
    trainer.step(images, labels)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mu": 0.0}, r"mu: got 0\.0, want a finite number above 0"),
        ({"mu": -1.0}, r"mu: got -1\.0, want"),
        ({"lr": -1.0}, r"lr: got -1\.0, want"),
        ({"samples": 0}, "samples: got 0, want a whole number of at least 1"),
        ({"weight_decay": 0.1}, r"weight_decay: got 0\.1, want 0: SDLM has none"),
    ],
)
def test_bad_settings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SDLM(**settings)
    with pytest.raises(TypeError, match=r"samples: got 1\.5, want a whole number"):
        SDLM(samples=1.5)  # type: ignore[arg-type]


def test_pickling() -> None:
    optimizer = SDLM(1e-4, mu=0.5, samples=3)
    assert pickle.loads(pickle.dumps(optimizer)) == optimizer
    assert copy.deepcopy(optimizer) == optimizer
