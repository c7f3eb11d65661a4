"""Whole networks against the float64 reference, same bits for any threads, and the updates."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np
import pytest
from closeness import assert_close

import reference as ref
from lenet_c import (
    LENET1,
    LENET4,
    LENET5_28,
    LENET5_1998,
    LENET5_MODERN,
    LENET_3X3,
    RBF,
    SGD,
    Adam,
    Architecture,
    AveragePool,
    Conv,
    Dense,
    LeNet5,
    MaxPool,
    Subsample,
    Trainer,
    _core,
    distort,
    kernels,
)
from lenet_c.networks import C3_TABLE

LOSSES = ["mse", "map", "cross_entropy"]
BATCHES = [1, 2, 7, 15, 16, 17, 33, 64, 65, 100, 130]

TRAINED_CODES = dataclasses.replace(
    LENET5_1998,
    name="1998, trained codes",
    layers=(*LENET5_1998.layers[:-1], RBF("output", trained=True)),
)
SEVEN_WIDE = Architecture(
    "7x7, oblong, odd maps",
    (
        Conv("C1", maps=4, kernel=7, activation="relu"),
        AveragePool("S2"),
        Conv("C3", maps=5, kernel=3, table=((0, 2), (1,), (3,), (0, 1, 2, 3), (2, 3))),
        Dense("F4", units=11, activation="tanh"),
        Dense("output", units=7, activation="identity"),
    ),
    input_shape=(27, 32),
)
POOL_FIRST = Architecture(
    "pools without a convolution below",
    (
        Subsample("S1", activation="relu"),
        AveragePool("S2"),
        Conv("C3", maps=3, kernel=2, activation="tanh"),
        Dense("F4", units=5),
        RBF("output", classes=3, trained=True),
    ),
    input_shape=(18, 15),
)
NO_POOL = Architecture(
    "convolutions without a pool above",
    (
        Conv("C1", maps=3, kernel=3, activation="tanh"),
        Conv("C2", maps=4, kernel=5),
        Conv("C3", maps=2, kernel=2, activation="identity"),
        Conv("C4", maps=6, kernel=1, activation="relu"),
        Dense("output", units=2, activation="identity"),
    ),
    input_shape=(12, 13),
)
CONV_TO_RBF = Architecture(
    "one convolution under fixed codes",
    (Conv("C1", maps=6, kernel=5), RBF("output", classes=4)),
    input_shape=(5, 5),
)
LARGE_C5 = Architecture(
    "C5 of 2x3",
    (
        Conv("C1", maps=6, kernel=5),
        Subsample("S2"),
        Conv("C3", maps=8, kernel=5),
        AveragePool("S4"),
        Conv("C5", maps=12, kernel=5),
        Dense("F6", units=21),
        RBF("output", classes=26),
    ),
    input_shape=(37, 40),
)
MANY_POOLS = Architecture(
    "odd maps under every pool",
    (
        Conv("C1", maps=3, kernel=5, activation="relu"),
        Subsample("S2"),
        Subsample("S3", activation="tanh"),
        Conv("C4", maps=5, kernel=3),
        AveragePool("S5"),
        Conv("C6", maps=4, kernel=2, table=((0,), (1, 2), (4,), (3,)), activation="tanh"),
        Dense("output", units=95, activation="identity"),
    ),
    input_shape=(31, 33),
)
POOLED_TO_ONE = Architecture(
    "pools that leave one unit a map",
    (
        Conv("C1", maps=3, kernel=2, activation="tanh"),
        AveragePool("S2"),
        Subsample("S3"),
        Dense("output", units=4, activation="identity"),
    ),
    input_shape=(5, 6),
)
NO_LISTED_SIZE = Architecture(
    "a mean first, convolution on convolution, no listed size",
    (
        AveragePool("S1"),
        Conv("C2", maps=3, kernel=3, activation="tanh"),
        Conv("C3", maps=5, kernel=4, table=((0,), (1, 2), (2,), (0, 1, 2), (0, 2))),
        Subsample("S4"),
        Conv("C5", maps=4, kernel=2, activation="relu"),
        AveragePool("S6"),
        Dense("output", units=6, activation="identity"),
    ),
    input_shape=(41, 43),
)
SAME_SIZE = Architecture(
    "zeros around, 5x5, by Winograd where that can be",
    (
        Conv("C1", maps=6, kernel=5, padding=2),
        Subsample("S2"),
        Conv("C3", maps=16, kernel=5, table=C3_TABLE, padding=2),
        Subsample("S4"),
        Conv("C5", maps=9, kernel=5),
        RBF("output", classes=4),
    ),
    input_shape=(20, 20),
)
SAME_SIZE_3X3 = Architecture(
    "zeros around, 3x3",
    (
        Conv("C1", maps=6, kernel=3, activation="tanh", padding=1),
        AveragePool("S2"),
        Conv("C3", maps=16, kernel=3, activation="tanh", padding=1),
        AveragePool("S4"),
        Dense("output", units=5, activation="identity"),
    ),
    input_shape=(22, 22),
)
MUCH_PADDING = Architecture(
    "zeros around, as many as can be, kernels larger than their input",
    (
        Conv("C1", maps=3, kernel=3, activation="tanh", padding=2),
        Conv("C2", maps=4, kernel=2, table=((0, 2), (1,), (2,), (0, 1)), padding=1),
        Subsample("S3"),
        Conv("C4", maps=5, kernel=7, activation="relu", padding=3),
        AveragePool("S5"),
        Conv("C6", maps=4, kernel=5, activation="tanh", padding=1),
        Dense("output", units=3, activation="identity"),
    ),
    input_shape=(9, 11),
)
MAX_POOLED = Architecture(
    "max pooling",
    (
        Conv("C1", maps=6, kernel=5, activation="relu"),
        MaxPool("S2"),
        Conv("C3", maps=16, kernel=5, table=LENET5_1998.layers[2].table, activation="tanh"),
        MaxPool("S4"),
        Conv("C5", maps=20, kernel=5, activation="relu"),
        Dense("output", units=10, activation="identity"),
    ),
)
MANY_MAX_POOLS = Architecture(
    "odd maps under max pooling, of images and of other pools too",
    (
        MaxPool("S1"),
        Conv("C2", maps=5, kernel=3, activation="tanh"),
        MaxPool("S3"),
        Subsample("S4"),
        Conv("C5", maps=17, kernel=2),
        MaxPool("S6"),
        MaxPool("S7"),
        Dense("F8", units=12),
        RBF("output", classes=5, trained=True),
    ),
    input_shape=(63, 81),
)
SIGMOIDS = Architecture(
    "sigmoids under every kind of layer",
    (
        Conv("C1", maps=6, kernel=5, activation="sigmoid"),
        Conv("C2", maps=4, kernel=3, activation="sigmoid", padding=2),
        MaxPool("S2"),
        Conv("C3", maps=16, kernel=5, activation="sigmoid"),
        Subsample("S4", activation="sigmoid"),
        Conv("C5", maps=9, kernel=3, activation="sigmoid"),
        AveragePool("S6"),
        Dense("F7", units=30, activation="sigmoid"),
        Dense("F8", units=12, activation="sigmoid"),
        RBF("output", classes=5, trained=True),
    ),
    input_shape=(33, 32),
)
TABLED_SUMS = Architecture(
    "sums by tables: in pairs, shuffled, of the image, of other sums",
    (
        Subsample("S1", activation="tanh", table=((0,), (0,))),
        Conv("C2", maps=16, kernel=5, activation="relu"),
        Subsample("S3", table=((5,), (0,), (5,), (15,), (2,), (2,), (5,))),  # not of all maps
        Conv("C4", maps=16, kernel=5, activation="sigmoid"),
        Subsample("S5", table=tuple((i // 2,) for i in range(32))),
        Subsample("S6", activation="sigmoid", table=((31,), (0,), (8,))),
        Conv("C7", maps=9, kernel=2),
        Dense("output", units=4, activation="identity"),
    ),
    input_shape=(66, 71),
)
DENSE_ONLY = Architecture(
    "dense layers only",
    (Dense("F1", units=9, activation="relu"), Dense("output", units=3, activation="identity")),
    input_shape=(6, 7),
)
ONE_LAYER = Architecture(
    "one layer", (Dense("output", units=26, activation="identity"),), input_shape=(8, 8)
)
ARCHITECTURES = [
    LENET5_1998,
    LENET1,
    LENET4,
    TABLED_SUMS,
    LENET5_MODERN,
    LENET5_28,
    LENET_3X3,
    TRAINED_CODES,
    SEVEN_WIDE,
    POOL_FIRST,
    NO_POOL,
    CONV_TO_RBF,
    LARGE_C5,
    MANY_POOLS,
    POOLED_TO_ONE,
    NO_LISTED_SIZE,
    SAME_SIZE,
    SAME_SIZE_3X3,
    MUCH_PADDING,
    MAX_POOLED,
    MANY_MAX_POOLS,
    SIGMOIDS,
    DENSE_ONLY,
    ONE_LAYER,
]

each_architecture = pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda a: a.name)


def network(architecture: Architecture, seed: int = 5) -> LeNet5:
    """A network whose weights, codes and coefficients are all at random."""
    length = architecture.code_length
    codes = None
    if length is not None and (architecture.classes, length) != (10, 84):
        random = np.random.default_rng(seed)
        codes = random.choice([-1.0, 1.0], (architecture.classes, length))
    return LeNet5(architecture, seed=seed, codes=codes)


def fixed_codes(net: LeNet5) -> np.ndarray | None:
    trained = getattr(net.architecture.layers[-1], "trained", False)
    return None if trained else net.codes


def grey_images(n: int, height: int, width: int, seed: int = 6) -> np.ndarray:
    """Noise in patches, so that pools do not average it away."""
    random = np.random.default_rng(seed)
    small = random.integers(0, 256, (n, (height + 2) // 3, (width + 2) // 3))
    images = np.kron(small, np.ones((1, 3, 3), int))[:, :height, :width]
    images = images + random.integers(-40, 40, images.shape)
    return images.clip(0, 255).astype(np.uint8)


def normalised(architecture: Architecture, grey: np.ndarray) -> ref.Array:
    """What the kernels make of grey images: padded and scaled."""
    height, width = architecture.input_shape
    dark, light = architecture.background, architecture.foreground
    top, left = (height - grey.shape[1]) // 2, (width - grey.shape[2]) // 2
    x = np.full((len(grey), height, width), float(dark))
    x[:, top : top + grey.shape[1], left : left + grey.shape[2]] += grey / 255 * (light - dark)
    return x


@functools.cache
def case(architecture: Architecture) -> tuple[LeNet5, np.ndarray, dict[str, ref.Array]]:
    """A network, 130 float32 images and the reference's outputs of every layer."""
    net = network(architecture)
    height, width = architecture.input_shape
    x = normalised(architecture, grey_images(130, height, width)).astype(np.float32)
    return net, x, ref.forward(architecture, net.parameters, x, fixed_codes(net))


def labels_for(architecture: Architecture, n: int) -> np.ndarray:
    return np.random.default_rng(7).integers(0, architecture.classes, n)


# ---- forward -------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", BATCHES)
@each_architecture
def test_forward(architecture: Architecture, n: int) -> None:
    net, x, layers = case(architecture)
    outputs = net.forward(x[-n:])
    assert outputs.dtype == np.float32
    assert_close(outputs, layers["output"][-n:], 4e-6)


@each_architecture
def test_forward_of_grey_images(architecture: Architecture) -> None:
    net = network(architecture)
    height, width = architecture.input_shape
    for smaller in (0, 2, 4, 8):
        if min(height, width) <= smaller:
            continue
        for images in (
            grey_images(17, height - smaller, width - smaller),
            grey_images(17, height - smaller, width),
            np.full((1, height, width - smaller), 255, np.uint8),
        ):
            want = ref.forward(
                architecture, net.parameters, normalised(architecture, images), fixed_codes(net)
            )
            assert_close(net.forward(images), want["output"], 4e-6)


def test_grey_levels_become_what_the_paper_says() -> None:
    pixel = Architecture("a pixel", (Dense("output", units=1, activation="identity"),), (1, 1))
    net = LeNet5(pixel)
    net.parameters[...] = 1, 0
    grey = np.arange(256, dtype=np.uint8).reshape(256, 1, 1)
    assert_close(net.forward(grey)[:, 0], -0.1 + np.arange(256) / 255 * 1.275, 1e-7)


@pytest.mark.parametrize("n", [1, 17, 130])
@each_architecture
def test_activations(architecture: Architecture, n: int) -> None:
    net, x, layers = case(architecture)
    got = net.activations(x[-n:])
    assert list(got) == list(layers)
    for name, want in layers.items():
        assert got[name].dtype == np.float32
        assert_close(got[name], want[-n:], 4e-6)


@each_architecture
def test_predictions_follow_from_the_outputs(architecture: Architecture) -> None:
    net, x, layers = case(architecture)
    is_rbf = architecture.layers[-1].kind == "rbf"
    evidence = -layers["output"] if is_rbf else layers["output"]
    share = np.exp(evidence - evidence.max(axis=1, keepdims=True))
    share /= share.sum(axis=1, keepdims=True)
    shares = net.predict_proba(x)
    assert shares.dtype == np.float32
    np.testing.assert_allclose(shares, share, atol=2e-5)
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-6)
    classes = net.predict(x)
    assert classes.dtype == np.int64
    np.testing.assert_array_equal(classes, evidence.argmax(axis=1))


def test_equal_outputs_go_to_the_first_class() -> None:
    net = LeNet5(ONE_LAYER)
    net.parameters[...] = 0
    assert net.predict(np.ones((3, 8, 8), np.float32)).tolist() == [0, 0, 0]


# ---- gradients -----------------------------------------------------------------------------------


def assert_same_gradient(
    net: LeNet5, got: np.ndarray, want: ref.Array, tolerance: float = 2e-5
) -> None:
    """Parameter group by parameter group."""
    assert got.shape == want.shape
    assert got.dtype == np.float32
    there = ref.unflatten(net.architecture, want)
    for name, values in ref.unflatten(net.architecture, got).items():
        assert np.abs(there[name]).max() > 0, name
        off = np.abs(values - there[name]).max() / np.abs(there[name]).max()
        assert off <= tolerance, f"{name}: off by {off:.1e} of its largest entry"


def both_gradients(
    net: LeNet5,
    x: np.ndarray,
    labels: np.ndarray,
    loss: str,
    j: float = 0.7,
    temperature: float = 1.0,
) -> tuple[float, np.ndarray, float, ref.Array]:
    value, gradient = net.loss_and_gradient(x, labels, loss, j=j, temperature=temperature)
    want_value, want = ref.loss_and_gradient(
        net.architecture, net.parameters, x, labels, loss, j, fixed_codes(net), temperature
    )
    return value, gradient, want_value, want


@pytest.mark.parametrize("n", [3, 33])
@pytest.mark.parametrize("loss", LOSSES)
@each_architecture
def test_gradient(architecture: Architecture, loss: str, n: int) -> None:
    net, x, _ = case(architecture)
    labels = labels_for(architecture, n)
    value, gradient, want_value, want = both_gradients(net, x[:n], labels, loss)
    assert value == pytest.approx(want_value, rel=2e-6)
    assert_same_gradient(net, gradient, want)


@pytest.mark.parametrize("temperature", [0.3, 12.0])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("architecture", [LENET5_1998, LENET5_MODERN], ids=lambda a: a.name)
def test_gradient_with_a_temperature(
    architecture: Architecture, loss: str, temperature: float
) -> None:
    net, x, _ = case(architecture)
    labels = labels_for(architecture, 33)
    value, gradient, want_value, want = both_gradients(net, x[:33], labels, loss, 2.0, temperature)
    assert value == pytest.approx(want_value, rel=2e-6)
    assert_same_gradient(net, gradient, want)
    read = net.evaluate(x[:33], labels, loss, j=2.0, temperature=temperature)
    assert read.loss == pytest.approx(value, rel=2e-6)
    plain = net.loss_and_gradient(x[:33], labels, loss, j=2.0)[0]
    assert (value == plain) == (loss == "mse")


@pytest.mark.parametrize("n", BATCHES)
@pytest.mark.parametrize("architecture", [LENET5_1998, LENET5_MODERN], ids=lambda a: a.name)
def test_gradient_of_any_batch(architecture: Architecture, n: int) -> None:
    net, x, _ = case(architecture)
    labels = labels_for(architecture, n)
    value, gradient, want_value, want = both_gradients(net, x[-n:], labels, "map")
    assert value == pytest.approx(want_value, rel=2e-6)
    assert_same_gradient(net, gradient, want)


SATURATED = Architecture(
    "units that saturate",
    (Dense("F1", units=40, activation="tanh"), Dense("output", units=3, activation="identity")),
    input_shape=(8, 8),
)


@pytest.mark.parametrize("activation", ["tanh", "scaled_tanh"])
def test_gradient_of_saturated_units(activation: str, rng: np.random.Generator) -> None:
    """A slope near 0 is A S - (S / A) y^2, and errs by up to 2e-6 of the largest, A S."""
    a, s = (1.0, 1.0) if activation == "tanh" else (1.7159, 2 / 3)
    hidden = dataclasses.replace(SATURATED.layers[0], activation=activation)
    architecture = dataclasses.replace(SATURATED, layers=(hidden, SATURATED.layers[1]))
    net = network(architecture)
    net["F1.weight"][...] = np.abs(rng.normal(0, 0.25, net["F1.weight"].shape))
    x = np.abs(rng.normal(0, 1, (33, 8, 8))).astype(np.float32)  # sums of 10 and more
    labels = labels_for(architecture, len(x))
    _, gradient, _, want = both_gradients(net, x, labels, "cross_entropy")

    logits = net.forward(x).astype(np.float64)
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    p[np.arange(len(x)), labels] -= 1
    by_unit = np.abs(p @ net["output.weight"].astype(np.float64)) / len(x)
    slope_off = 2e-6 * a * s
    flat = x.reshape(len(x), -1)
    bound = slope_off * np.concatenate([(by_unit.T @ np.abs(flat)).ravel(), by_unit.sum(axis=0)])
    n = len(bound)
    off = np.abs(gradient[:n] - want[:n])
    assert (off <= bound + 1e-5 * np.abs(want[:n]).max()).all(), (off / bound).max()


@pytest.mark.parametrize(("activation", "a", "s"), [("tanh", 1, 1), ("scaled_tanh", 1.7159, 2 / 3)])
def test_slope_of_any_sum(activation: str, a: float, s: float) -> None:
    sums = np.linspace(-20, 20, 200_001).astype(np.float32)
    y = kernels.squash(sums, activation)
    slope = kernels.squash_backward(y, np.ones_like(y), activation)
    want = a * s / np.cosh(s * sums.astype(np.float64)) ** 2
    assert np.abs(slope - want).max() <= 2e-6 * a * s


def test_slope_of_the_sigmoid_of_any_sum() -> None:
    """y (1 - y): where y is small it is right to the last digits, near 1 to those of y."""
    sums = np.linspace(-30, 30, 200_001).astype(np.float32)
    y = kernels.squash(sums, "sigmoid")
    slope = kernels.squash_backward(y, np.ones_like(y), "sigmoid")
    want = ref.activate_derivative("sigmoid", sums.astype(np.float64))
    assert np.abs(slope - want).max() <= 2e-6 / 4
    np.testing.assert_allclose(slope[sums < 0], want[sums < 0], rtol=2e-6)


def test_gradient_over_several_rounds(rng: np.random.Generator) -> None:
    """The mean over 1,100 images, more than two rounds of blocks, from its parts."""
    net, x, _ = case(LENET5_1998)
    pick = rng.integers(0, 130, 1100)
    images, labels = x[pick], rng.integers(0, 10, 1100)
    value, gradient = net.loss_and_gradient(images, labels, "map", j=0.7)
    parts = [
        net.loss_and_gradient(images[i : i + 22], labels[i : i + 22], "map", j=0.7)
        for i in range(0, 1100, 22)
    ]
    assert value == pytest.approx(np.mean([part[0] for part in parts]), rel=1e-6)
    want = np.mean([part[1].astype(np.float64) for part in parts], axis=0)
    assert_same_gradient(net, gradient, want)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(
    "architecture", [LENET5_1998, LENET5_MODERN, TRAINED_CODES], ids=lambda a: a.name
)
def test_gradient_by_four_point_differences(architecture: Architecture, loss: str) -> None:
    """A few entries of every parameter group, the largest among them."""
    net, x, _ = case(architecture)
    x, labels = x[:2], labels_for(architecture, 2)
    _, gradient = net.loss_and_gradient(x, labels, loss, j=0.7)
    is_rbf = architecture.layers[-1].kind == "rbf"

    def mean_loss(vector: ref.Array) -> float:
        outputs = ref.forward(architecture, vector, x, fixed_codes(net))["output"]
        return ref.loss(outputs, labels, loss, 0.7, is_rbf)

    random, start = np.random.default_rng(8), 0
    for name, shape in architecture.parameter_shapes.items():
        group = gradient[start : start + int(np.prod(shape))]
        indices = {int(np.abs(group).argmax()), *random.integers(0, group.size, 2).tolist()}
        slopes = ref.four_point_gradient(
            mean_loss, net.parameters, [start + i for i in sorted(indices)]
        )
        off = np.abs(group[sorted(indices)] - slopes).max()
        assert np.abs(slopes).max() > 0, name
        assert off <= 2e-5 * np.abs(slopes).max(), name
        start += group.size


@pytest.mark.parametrize("n", [2, 40])
def test_a_gradient_goes_to_the_first_of_the_largest(n: int) -> None:
    """All maps are flat: of each block the first input gets what there is."""
    net = LeNet5(
        Architecture(
            "flat",
            (
                Conv("C1", maps=2, kernel=1, activation="identity"),
                MaxPool("S2"),
                Conv("C3", maps=1, kernel=2, activation="identity"),
                MaxPool("S4"),
                Dense("output", units=2, activation="identity"),
            ),
            input_shape=(6, 6),
        )
    )
    net["C1.weight"][:] = 0
    images = np.arange(n * 36, dtype=np.float32).reshape(n, 6, 6) / 100
    labels = np.zeros(n, int)
    _, gradient = net.loss_and_gradient(images, labels, "mse")
    _, want = ref.loss_and_gradient(net.architecture, net.parameters, images, labels, "mse")
    assert_same_gradient(net, gradient, want)
    # the first block of S4 has for its first input the first windows of C3 and S2
    by_pixel = ref.unflatten(net.architecture, gradient)["C1.weight"]
    d = ref.loss_derivative(net.forward(images), labels, "mse", is_rbf=False)
    d = d @ net["output.weight"].astype(float)
    taken = net["C3.weight"][0].astype(float)
    pixels = images[:, :4:2, :4:2].astype(float)
    assert_close(by_pixel.ravel(), np.einsum("no,cij,nij->c", d, taken, pixels), 1e-5)


# ---- what shares a batch does not matter ---------------------------------------------------------


@pytest.mark.parametrize("n", [1, 7, 17, 33, 70])
def test_an_image_does_not_see_its_neighbours(n: int) -> None:
    net, x, _ = case(LENET5_1998)
    outputs = net.forward(x[:n])
    for i in {0, n // 2, n - 1}:
        others = np.full_like(x[:n], 1e30)
        others[i] = x[i]
        np.testing.assert_array_equal(net.forward(others)[i], outputs[i])
        assert_close(net.forward(x[i]), outputs[i : i + 1])


@pytest.mark.parametrize("architecture", [LENET5_1998, LENET5_MODERN, SEVEN_WIDE], ids=str)
def test_in_lanes_an_image_does_not_see_how_many_there_are(architecture: Architecture) -> None:
    net, x, _ = case(architecture)
    every = net._network.forward(x, in_lanes=True)
    np.testing.assert_array_equal(every, net.forward(x))
    for n in (*range(1, 18), 33, 65):
        for threads in (1, 2):
            some = net._network.forward(x[-n:], threads, in_lanes=True)
            np.testing.assert_array_equal(some, every[-n:])


@pytest.mark.parametrize("architecture", [LENET5_1998, LENET5_MODERN], ids=lambda a: a.name)
def test_an_image_does_not_see_its_place(architecture: Architecture) -> None:
    """The same image everywhere: the outputs of all places have the same bits."""
    net, x, _ = case(architecture)
    for n in (*range(2, 71), 130):
        same = np.repeat(x[3:4], n, axis=0)
        outputs = net.forward(same, num_threads=1)
        assert (outputs == outputs[0]).all(), n
    for n in (2, 17, 33, 70):
        layers = net.activations(np.repeat(x[3:4], n, axis=0))
        assert all((values == values[0]).all() for values in layers.values()), n


@pytest.mark.parametrize("n", [1, 3, 17, 31])
def test_nothing_is_left_from_the_batch_before(n: int) -> None:
    """A batch that fills the workspace with infinity and NaN, then one with idle lanes."""
    net, x, _ = case(SEVEN_WIDE)
    labels = labels_for(SEVEN_WIDE, 64)
    before = net.loss_and_gradient(x[:n], labels[:n], num_threads=1)
    outputs = net.forward(x[:n], num_threads=1)
    kept = net.parameters.copy()
    net.parameters[...] *= np.float32(1e30)
    with pytest.raises(FloatingPointError, match="is not finite"):
        net.loss_and_gradient(x[:64], labels, num_threads=1)
    net.parameters[...] = kept
    after = net.loss_and_gradient(x[:n], labels[:n], num_threads=1)
    assert after[0] == before[0]
    np.testing.assert_array_equal(after[1], before[1])
    net.parameters[...] = np.nan
    assert not np.isfinite(net.forward(x[:64], num_threads=1)).all()
    net.parameters[...] = kept
    np.testing.assert_array_equal(net.forward(x[:n], num_threads=1), outputs)


@each_architecture
def test_nothing_is_left_from_another_network(architecture: Architecture) -> None:
    """The memory that a thread keeps between calls is full of NaN."""
    net, labels = network(architecture), labels_for(architecture, 70)
    _, x, _ = case(architecture)
    images = x[np.arange(70) % len(x)].astype(np.float32)
    spoiled = LeNet5(LENET5_1998)
    spoiled.parameters[:] = np.nan
    blank = np.zeros((200, 28, 28), np.uint8)
    for n in (1, 3, 20, 70):
        want = net.loss_and_gradient(images[:n], labels[:n], num_threads=1)
        outputs = net.forward(images[:n], num_threads=1)
        for m in (1, 200):
            spoiled.forward(blank[:m], num_threads=1)
            np.testing.assert_array_equal(net.forward(images[:n], num_threads=1), outputs)
            with pytest.raises(FloatingPointError):
                spoiled.loss_and_gradient(blank[:m], np.zeros(m, int), num_threads=1)
            got = net.loss_and_gradient(images[:n], labels[:n], num_threads=1)
            assert got[0] == want[0]
            np.testing.assert_array_equal(got[1], want[1])


def test_order_of_the_images_is_the_order_of_the_outputs(rng: np.random.Generator) -> None:
    net, x, layers = case(LENET5_MODERN)
    order = rng.permutation(130)
    assert_close(net.forward(x[order]), layers["output"][order], 4e-6)


# ---- same bits -----------------------------------------------------------------------------------


@each_architecture
def test_a_single_image_learns_as_its_gradient_says(architecture: Architecture) -> None:
    """A step of plain SGD on one image never makes the gradient, but does the same."""
    net, x, _ = case(architecture)
    label = labels_for(architecture, 1)
    trainer = Trainer(net, SGD(1e-3, momentum=0.0, weight_decay=0.1))
    before = net.parameters.astype(np.float64)
    loss, gradient = net.loss_and_gradient(x[:1], label, trainer.loss, j=trainer.j)
    assert trainer.step(x[:1], label) == loss
    want = before * (1.0 - 1e-4) - 1e-3 * gradient
    assert np.abs(want - before).max() > 0.0
    np.testing.assert_allclose(net.parameters, want, rtol=2e-6, atol=1e-7)


# Every batch with one optimizer: the others cut what they update alike, whatever gave the gradient.
@pytest.mark.parametrize(
    ("optimizer", "batch"),
    [
        *((Adam(3e-3, weight_decay=1e-3), n) for n in (1, 64, 100, 128, 161, 227, 545, 579, 600)),
        *((SGD(0.01, momentum=0.9), n) for n in (1, 100, 227)),
        *((SGD(0.01), n) for n in (1, 64, 161)),
    ],
    ids=str,
)
def test_same_bits_for_any_threads(optimizer: Any, batch: int) -> None:
    images = grey_images(600, 28, 28)
    labels = labels_for(LENET5_1998, 600)
    results = []
    for threads in (1, 2, 3, 4, 5, 8):
        net = LeNet5(seed=3)
        trainer = Trainer(net, optimizer, num_threads=threads)
        losses = [
            trainer.step(images[: batch + k][-batch:], labels[: batch + k][-batch:])
            for k in range(4)
        ]
        results.append((losses, net.parameters, net.forward(images, num_threads=threads)))
    assert results[0][0][0] != results[0][0][3]
    for losses, parameters, outputs in results[1:]:
        assert losses == results[0][0]
        np.testing.assert_array_equal(parameters, results[0][1])
        np.testing.assert_array_equal(outputs, results[0][2])


@pytest.mark.parametrize("batch", [1, 50])
def test_padded_networks_learn_distorted_images_with_any_threads(batch: int) -> None:
    labels = np.arange(100) % 5
    brightness = (labels[:, None, None] + 1) / 5
    images = (grey_images(100, *SAME_SIZE_3X3.input_shape) * brightness).astype(np.uint8)
    results = []
    for threads in (1, 2):
        net = network(SAME_SIZE_3X3)
        trainer = Trainer(net, Adam(3e-3), batch_size=batch, distort=distort.SLIGHT, seed=4)
        before = net.evaluate(images, labels).loss
        trainer.fit(images, labels, epochs=6, num_threads=threads)
        assert net.evaluate(images, labels).loss < 0.8 * before
        results.append(net.parameters.copy())
    np.testing.assert_array_equal(results[0], results[1])


@pytest.mark.parametrize("n", [70, 128, 1100])
def test_same_bits_of_other_calls(n: int) -> None:
    images, labels = grey_images(n, 28, 28), labels_for(LENET5_MODERN, n)
    net = network(LENET5_MODERN)
    value, gradient = net.loss_and_gradient(images, labels, num_threads=1)
    layers = net.activations(images, num_threads=1)
    for threads in (2, 3, 4, 5):
        assert net.loss_and_gradient(images, labels, num_threads=threads)[0] == value
        np.testing.assert_array_equal(
            net.loss_and_gradient(images, labels, num_threads=threads)[1], gradient
        )
        for name, array in net.activations(images, num_threads=threads).items():
            np.testing.assert_array_equal(array, layers[name])


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_gradients_of_blocks_are_added_in_pairs(threads: int) -> None:
    """The order is part of what one seed gives: (0 + 1) + (2 + 3), blocks of 32 images."""
    images, labels = grey_images(128, 28, 28), labels_for(LENET5_MODERN, 128)
    net = network(LENET5_MODERN)
    # dividing by a power of two does not round
    blocks = [
        net.loss_and_gradient(images[i : i + 32], labels[i : i + 32])[1] for i in range(0, 128, 32)
    ]
    want = ((blocks[0] + blocks[1]) + (blocks[2] + blocks[3])) / np.float32(4)
    got = net.loss_and_gradient(images, labels, num_threads=threads)[1]
    np.testing.assert_array_equal(got, want)
    assert (want != (((blocks[0] + blocks[1]) + blocks[2]) + blocks[3]) / np.float32(4)).any()


# ---- updates -------------------------------------------------------------------------------------


def follow(net: LeNet5, optimizer: Any, batch: int = 5, steps: int = 4) -> None:
    """Hold each update against the reference's, given the core's own gradient."""
    _, x, _ = case(net.architecture)
    x, labels = x[:batch], labels_for(net.architecture, batch)
    trainer = Trainer(net, optimizer)
    m = v = np.zeros(net.n_parameters)
    for step in range(1, steps + 1):
        before = net.parameters.astype(np.float64)
        loss, gradient = net.loss_and_gradient(x, labels)
        gradient = gradient.astype(np.float64)
        if isinstance(optimizer, SGD):
            want, v = ref.sgd_step(
                before, gradient, v, optimizer.lr, optimizer.momentum, optimizer.weight_decay
            )
        else:
            want, m, v = ref.adam_step(
                *(before, gradient, m, v, step, optimizer.lr),
                *(optimizer.beta1, optimizer.beta2, optimizer.epsilon, optimizer.weight_decay),
            )
        assert trainer.step(x, labels) == loss
        assert_close(net.parameters, want, 3e-7)
        # the parameters are float32: their rounding is all that the change may be off by
        assert_close(
            net.parameters - before, want - before, 1e-5 + 1e-7 / np.abs(want - before).max()
        )
    assert trainer.n_updates == steps


@pytest.mark.parametrize(
    "optimizer",
    [
        SGD(0.5),
        SGD(0.1, momentum=0.9),
        SGD(0.1, weight_decay=0.5),
        SGD(0.1, momentum=0.5, weight_decay=0.1),
        Adam(0.05),
        Adam(0.05, beta1=0.5, beta2=0.9, epsilon=1e-3),
        Adam(0.05, weight_decay=0.5),
        Adam(0.05, beta1=0.0),
    ],
    ids=str,
)
@pytest.mark.parametrize("architecture", [POOL_FIRST, SEVEN_WIDE], ids=lambda a: a.name)
def test_updates(architecture: Architecture, optimizer: Any) -> None:
    assert architecture.n_parameters % 16, "a rest that fills no vector is wanted"
    follow(network(architecture), optimizer)


@pytest.mark.parametrize("optimizer", [SGD(1e-3, momentum=0.9), Adam(3e-3)], ids=["sgd", "adam"])
def test_updates_of_many_parameters(optimizer: Any) -> None:
    follow(network(LENET5_1998), optimizer, steps=2)


# ---- the order of the images in training ---------------------------------------------------------


@pytest.mark.parametrize("optimizer", [SGD(0.01, momentum=0.5), Adam(1e-3)], ids=["sgd", "adam"])
def test_fit_is_steps_in_a_seeded_order(optimizer: Any) -> None:
    images, labels = grey_images(150, 28, 28), labels_for(LENET5_1998, 150)
    net, other = LeNet5(seed=1), LeNet5(seed=1)
    history = Trainer(net, optimizer, batch_size=40, seed=9).fit(images, labels, epochs=2)

    trainer = Trainer(other, optimizer)
    random = np.random.default_rng(9)
    for record in history.epochs:
        order = random.permutation(150)
        losses = []
        for k in range(0, 150, 40):
            batch = order[k : k + 40]
            losses += [trainer.step(images[batch], labels[batch])] * len(batch)
        assert record["loss"] == pytest.approx(np.mean(losses), rel=1e-12)
    np.testing.assert_array_equal(net.parameters, other.parameters)
    third = LeNet5(seed=1)
    Trainer(third, optimizer, batch_size=40, seed=10).fit(images, labels, epochs=2)
    assert (third.parameters != net.parameters).any()


def test_order_is_checked() -> None:
    net = LeNet5()
    samples = _core.Samples(net._network, grey_images(4, 28, 28), np.arange(4))
    state = SGD().new_state(net.n_parameters)
    for order, message in (([0, 4], "entry 1 is 4, want 0 to 3"), ([-1], "entry 0 is -1")):
        with pytest.raises(IndexError, match=message):
            net._network.step(samples, np.array(order), "map", 1.0, 1.0, state, 0.01)
    with pytest.raises(ValueError, match="order: no indices"):
        net._network.step(samples, np.array([], np.int64), "map", 1.0, 1.0, state, 0.01)
    with pytest.raises(ValueError, match="optimizer state: for 3 parameters, want 60000"):
        net._network.step(samples, None, "map", 1.0, 1.0, Adam().new_state(3), 0.01)
    unlabelled = _core.Samples(net._network, grey_images(4, 28, 28))
    with pytest.raises(ValueError, match="labels: none were given"):
        net._network.step(unlabelled, None, "map", 1.0, 1.0, state, 0.01)


@pytest.mark.parametrize("architecture", [LENET5_1998, LENET5_MODERN, LENET5_28, LENET_3X3])
def test_the_largest_layer_begins_at_a_cache_line(architecture: Architecture) -> None:
    net = LeNet5(architecture)
    dense = [layer for layer in architecture.layers[3:] if isinstance(layer, Conv | Dense)]
    weights = [net[f"{layer.name}.weight"] for layer in dense]
    assert max(weights, key=lambda w: w.size).ctypes.data % 64 == 0
