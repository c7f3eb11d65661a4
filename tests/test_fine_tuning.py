"""Fine-tuning: what is frozen keeps its bits, the rest learns; layers are taken over by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lenet_c import (
    LENET5_28,
    LENET5_1998,
    LENET5_MODERN,
    LENET_3X3,
    RBF,
    SDLM,
    SGD,
    Adam,
    Architecture,
    Conv,
    Dense,
    LeNet5,
    Trainer,
    _core,
    codes,
)
from lenet_c.optimizers import Optimizer

OPTIMIZERS = [
    SGD(1e-3),
    SGD(1e-3, momentum=0.9, weight_decay=0.1),
    Adam(1e-3),
    Adam(1e-3, weight_decay=0.1),
    SDLM(1e-4),
]


@pytest.fixture
def images(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 256, (40, 28, 28)).astype(np.uint8)


LABELS = np.arange(40) % 10

FREEZE = [
    (["C1"], {"C1.weight", "C1.bias"}),
    (["C5.weight", "S2"], {"C5.weight", "S2.coefficient", "S2.bias"}),
    (["F6", "C1.bias", "C1"], {"F6.weight", "F6.bias", "C1.weight", "C1.bias"}),
    (["S4.bias"], {"S4.bias"}),
    (["output", "C3"], {"C3.weight", "C3.bias"}),
]


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
@pytest.mark.parametrize(("freeze", "frozen"), FREEZE, ids=lambda names: "+".join(sorted(names)))
def test_what_is_frozen_keeps_its_bits_and_the_rest_learns(
    images: np.ndarray, optimizer: Optimizer, freeze: list[str], frozen: set[str]
) -> None:
    net, free = LeNet5(seed=2), LeNet5(seed=2)
    before = {name: net[name].copy() for name in net}
    trainer = Trainer(net, optimizer, batch_size=10, freeze=freeze)
    other = Trainer(free, optimizer, batch_size=10)
    trainer.step(images, LABELS)
    other.step(images, LABELS)
    for name in net:
        # the first update knows nothing yet of what the frozen ones would have become
        want = before[name] if name in frozen else free[name]
        np.testing.assert_array_equal(net[name], want, err_msg=name)
    trainer.fit(images, LABELS, epochs=3)
    for name in net:
        if name in frozen:
            assert net[name].tobytes() == before[name].tobytes(), name
        else:
            assert (net[name] != before[name]).mean() > 0.9, name


def test_moments_of_what_is_frozen_stay_zero(images: np.ndarray) -> None:
    trainer = Trainer(LeNet5(), Adam(1e-3), freeze=["C3", "C5.bias"])
    trainer.fit(images, LABELS, epochs=2)
    for moments in (trainer._state.first, trainer._state.second):
        assert moments is not None
        for name, (first, end) in trainer.network._ranges.items():
            frozen = name.startswith("C3") or name == "C5.bias"
            assert moments[first:end].any() != frozen, name


def test_the_threads_do_not_matter(images: np.ndarray) -> None:
    weights = []
    for threads in (1, 3):
        net = LeNet5()
        trainer = Trainer(net, Adam(1e-3), freeze=["S2", "C5.weight"], num_threads=threads)
        trainer.fit(np.repeat(images, 4, axis=0), np.repeat(LABELS, 4), epochs=2)
        weights.append(net.parameters.tobytes())
    assert weights[0] == weights[1]


@pytest.mark.parametrize(
    "ranges",
    [
        [],
        [(0, 0), (0, 1)],
        [(3, 5), (5, 6), (8190, 8200), (12_288, 59_999)],
        [(0, 4096), (4096, 4096), (8192, 60_000)],
        [(1, 60_000)],
        [(0, 60_000)],
    ],
)
@pytest.mark.parametrize("optimizer", [SGD(1e-3, momentum=0.5), Adam(1e-3)], ids=["sgd", "adam"])
def test_ranges_across_the_chunks_of_an_update(
    images: np.ndarray, ranges: list[tuple[int, int]], optimizer: Optimizer
) -> None:
    updated = []
    for given in ([], ranges):
        net = LeNet5()
        state = optimizer.new_state(60_000)
        state.freeze(given)
        samples = _core.Samples(net._network, images, LABELS)
        net._network.step(samples, None, "map", 5.0, 1.0, state, 1e-3)
        updated.append(net.parameters)
    frozen = np.zeros(60_000, bool)
    for first, end in ranges:
        frozen[first:end] = True
    np.testing.assert_array_equal(updated[1], np.where(frozen, LeNet5().parameters, updated[0]))


@pytest.mark.parametrize(
    "ranges", [[(-1, 3)], [(5, 4)], [(4, 9), (8, 12)], [(0, 60_001)], [(9, 10), (3, 4)]]
)
def test_ranges_that_the_core_refuses(images: np.ndarray, ranges: list[tuple[int, int]]) -> None:
    net = LeNet5()
    state = SGD(1e-3).new_state(60_000)
    state.freeze(ranges)
    samples = _core.Samples(net._network, images, LABELS)
    with pytest.raises(ValueError, match="refused"):
        net._network.step(samples, None, "map", 5.0, 1.0, state, 1e-3)
    np.testing.assert_array_equal(net.parameters, LeNet5().parameters)


def test_frozen_after_a_failure(images: np.ndarray) -> None:
    """What begins anew after a loss that was not finite keeps to it as well."""
    net = LeNet5(LENET_3X3)
    trainer = Trainer(net, Adam(1e-3), "mse", freeze=["C1"])
    trainer.step(images, LABELS)
    before = net["C1.weight"].copy()
    trainer._state.first[:] = np.nan  # type: ignore[index]
    trainer._state.forget_if_bad()
    trainer.step(images, LABELS)
    np.testing.assert_array_equal(net["C1.weight"], before)


@pytest.mark.parametrize(
    ("freeze", "error", "message"),
    [
        (["C1", "C7"], ValueError, r"freeze: got 'C7', want one of C1, S2, .*output, C1\.weight"),
        (["C1.wait"], ValueError, r"freeze: got 'C1\.wait', want one of"),
        ([3], TypeError, "freeze: got 3, want one of"),
        ("C1", TypeError, r"freeze: got 'C1', want a list, \['C1'\]"),
        (["C1", "S2", "C3", "S4", "C5", "F6"], ValueError, "freeze: got every layer"),
    ],
)
def test_bad_names(freeze: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Trainer(LeNet5(), freeze=freeze)


# ---- taking over layers --------------------------------------------------------------------------


def test_new_classes_on_what_was_learnt() -> None:
    old = LeNet5(LENET5_MODERN, seed=1)
    new = LeNet5(LENET5_MODERN.with_classes(26), seed=2)
    fresh = LeNet5(LENET5_MODERN.with_classes(26), seed=2)
    kept = ["C1", "S2", "C3", "S4", "C5"]
    new.copy_from(old, kept)
    for name in new:
        source = old if name[:2] in kept else fresh
        np.testing.assert_array_equal(new[name], source[name], err_msg=name)
    assert new.forward(np.zeros((28, 28), np.uint8)).shape == (1, 26)
    new.copy_from(old, ["F6.bias"])
    np.testing.assert_array_equal(new["F6.bias"], old["F6.bias"])
    np.testing.assert_array_equal(new["F6.weight"], fresh["F6.weight"])
    with pytest.raises(ValueError, match="layers: 'output' differs between the two networks"):
        new.copy_from(old)


def test_new_codes_on_what_was_learnt() -> None:
    old = LeNet5(seed=1)
    letters = np.where(np.random.default_rng(0).random((4, 84)) < 0.5, -1.0, 1.0)
    new = LeNet5(LENET5_1998.with_classes(4), seed=2, codes=letters)
    new.copy_from(old, ["C1", "S2", "C3", "S4", "C5", "F6"])
    np.testing.assert_array_equal(new.parameters, old.parameters)
    assert new.codes is not None
    np.testing.assert_array_equal(new.codes, letters)
    same = LeNet5(seed=3, codes=-codes.DIGITS)
    same.copy_from(old)
    np.testing.assert_array_equal(same.parameters, old.parameters)
    old.parameters[:] = 0
    assert same.parameters.any()


def test_fine_tuning_learns_new_classes(real_digits: Any) -> None:
    """Two classes that the network never saw, from layers that it learnt on the other eight."""
    (x, y), (xt, yt) = real_digits
    x, y = x[:5000], y[:5000]
    old = LeNet5(LENET5_1998.with_classes(8), codes=codes.DIGITS[:8])
    Trainer(old, Adam(2e-3), batch_size=16).fit(x[y < 8], y[y < 8], epochs=4)
    new = LeNet5(LENET5_1998.with_classes(2), codes=codes.DIGITS[8:])
    kept = ["C1", "S2", "C3", "S4"]
    new.copy_from(old, kept)
    few = np.flatnonzero(y >= 8)[:100]
    Trainer(new, Adam(2e-3), batch_size=10, freeze=kept).fit(x[few], y[few] - 8, epochs=10)
    for name in new:
        assert (new[name] == old[name]).all() == (name[:2] in kept), name
    assert new.evaluate(xt[yt >= 8], yt[yt >= 8] - 8).error_rate < 0.06


def test_with_classes() -> None:
    assert LENET5_1998.with_classes(10) == LENET5_1998
    assert LENET5_1998.with_classes(95).layers[-1] == RBF("output", classes=95)
    assert LENET5_28.with_classes(3).layers[-1] == Dense("output", 3, activation="identity")
    assert LENET5_28.with_classes(3).layers[:-1] == LENET5_28.layers[:-1]
    with pytest.raises(ValueError, match="classes: got 0, want a whole"):
        LENET5_28.with_classes(0)


RELU_C1 = Architecture(
    "relu",
    (Conv("C1", maps=6, kernel=5, activation="relu"), Dense("D", 4, activation="identity")),
)


@pytest.mark.parametrize(
    ("other", "layers", "error", "message"),
    [
        (LeNet5(), ["C8"], ValueError, "layers: got 'C8', want one of C1, S2"),
        (LeNet5(), "C1", TypeError, r"layers: got 'C1', want a list, \['C1'\]"),
        ("net", None, TypeError, "other: got 'net', want a LeNet5"),
        (LeNet5(RELU_C1), ["C1"], ValueError, "layers: 'C1' differs between"),
        (LeNet5(RELU_C1), ["C3"], ValueError, "layers: the other network has no 'C3', want some"),
        (LeNet5(LENET5_MODERN), ["C5", "C3"], ValueError, "layers: 'C3' differs between"),
    ],
)
def test_layers_that_cannot_be_taken_over(
    other: Any, layers: Any, error: type[Exception], message: str
) -> None:
    net = LeNet5(seed=5)
    with pytest.raises(error, match=message):
        net.copy_from(other, layers)
    np.testing.assert_array_equal(net.parameters, LeNet5(seed=5).parameters)
