"""The reference itself: against sums written out, hand values and finite differences."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

import reference as ref
from lenet_c import (
    LENET5_28,
    LENET5_1998,
    LENET5_MODERN,
    LENET_3X3,
    RBF,
    Architecture,
    AveragePool,
    Conv,
    Dense,
    Subsample,
)
from lenet_c.codes import DIGITS

LOSSES = ["mse", "map", "cross_entropy"]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def random_vector(architecture: Architecture, seed: int = 0) -> ref.Array:
    """Uniform in [-2.4/F, 2.4/F], so that no unit saturates."""
    random, fan_in = rng(seed), architecture.fan_in
    parts = []
    for name, shape in architecture.parameter_shapes.items():
        limit = 2.4 / np.array(fan_in[name], dtype=float).reshape(-1, *[1] * (len(shape) - 1))
        parts.append((random.uniform(-1, 1, shape) * limit).ravel())
    return np.concatenate(parts)


def test_squash() -> None:
    a = np.array([0.0, 1.0, -1.0, 100.0])
    np.testing.assert_allclose(ref.squash(a), [0, 1, -1, 1.7159], atol=1e-5)
    assert ref.squash_derivative(np.zeros(1))[0] == pytest.approx(1.7159 * 2 / 3)


@pytest.mark.parametrize("kind", ["scaled_tanh", "tanh", "relu", "identity"])
def test_activation_derivative(kind: str) -> None:
    for a in (-2.3, -0.4, 0.3, 1.7):
        slope = ref.four_point_gradient(lambda v: ref.activate(kind, v)[0], np.array([a]), [0])
        np.testing.assert_allclose(
            ref.activate_derivative(kind, np.array([a])), slope, rtol=1e-9, atol=1e-12
        )


def test_relu_at_zero_and_unknown_names() -> None:
    assert ref.activate_derivative("relu", np.zeros(1))[0] == 0
    zero = np.zeros((1, 2))
    for activation in (ref.activate, ref.activate_derivative):
        with pytest.raises(ValueError, match="unknown activation"):
            activation("gelu", zero)
    for loss in (ref.loss, ref.loss_derivative):
        with pytest.raises(ValueError, match="unknown loss"):
            loss(zero, np.array([0]), "hinge")


TABLE = ((0, 2), (1,), (0, 1, 2), (2,))


@pytest.mark.parametrize("table", [None, TABLE])
def test_conv_is_the_sum_written_out(table: ref.Table | None) -> None:
    random = rng()
    x = random.normal(size=(2, 3, 6, 7))
    w = random.normal(size=(4, 3, 3, 3) if table is None else (7, 3, 3))
    b = random.normal(size=4)
    y = ref.conv(x, w, b, table)
    assert y.shape == (2, 4, 4, 5)
    for n, o, r, c in itertools.product(range(2), range(4), range(4), range(5)):
        total = b[o]
        if table is None:
            for i in range(3):
                total += (x[n, i, r : r + 3, c : c + 3] * w[o, i]).sum()
        else:
            first = sum(len(inputs) for inputs in table[:o])
            for k, i in enumerate(table[o]):
                total += (x[n, i, r : r + 3, c : c + 3] * w[first + k]).sum()
        assert y[n, o, r, c] == pytest.approx(total, rel=1e-12, abs=1e-12)


def test_subsample_and_average_pool_ignore_odd_edges() -> None:
    x = np.arange(15.0).reshape(1, 1, 3, 5)
    coefficient, bias = np.array([0.5]), np.array([100.0])
    # Blocks 0+1+5+6 = 12 and 2+3+7+8 = 20.
    np.testing.assert_array_equal(ref.subsample(x, coefficient, bias), [[[[106, 110]]]])
    np.testing.assert_array_equal(ref.average_pool(x), [[[[3, 5]]]])
    dx = ref.average_pool_backward(x, np.array([[[[4.0, 8.0]]]]))
    np.testing.assert_array_equal(dx[0, 0], [[1, 1, 2, 2, 0], [1, 1, 2, 2, 0], [0] * 5])


def test_rbf_and_dense_by_hand() -> None:
    x = np.array([[1.0, 2.0]])
    w = np.array([[1.0, 1.0], [-1.0, 0.0]])
    np.testing.assert_array_equal(ref.rbf(x, w), [[1, 8]])
    np.testing.assert_array_equal(ref.dense(x, w, np.array([10.0, 20.0])), [[13, 19]])


def check_backward(forward: Any, backward: Any, *arrays: ref.Array) -> None:
    """Every gradient of backward(dout) against differences of sum(forward * dout)."""
    out = forward(*arrays)
    dout = rng(9).normal(size=out.shape)
    grads = backward(dout)
    assert len(grads) == len(arrays)
    for position, (array, grad) in enumerate(zip(arrays, grads, strict=True)):
        assert grad.shape == array.shape

        def total(vector: ref.Array, position: int = position) -> float:
            moved = list(arrays)
            moved[position] = vector.reshape(arrays[position].shape)
            return float((forward(*moved) * dout).sum())

        slopes = ref.four_point_gradient(total, array.ravel(), range(array.size), 1e-2)
        np.testing.assert_allclose(grad.ravel(), slopes, rtol=1e-8, atol=1e-9)


def test_padding_is_zeros_around() -> None:
    x, w, b = np.ones((1, 1, 2, 3)), np.ones((1, 1, 3, 3)), np.array([10.0])
    np.testing.assert_array_equal(ref.conv(x, w, b, None, 1), [[[[14, 16, 14], [14, 16, 14]]]])
    assert ref.conv(x, w, b, None, 2).shape == (1, 1, 4, 5)


@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("table", [None, TABLE])
def test_conv_backward(table: ref.Table | None, padding: int) -> None:
    random = rng(1)
    x = random.normal(size=(2, 3, 5, 6))
    w = random.normal(size=(4, 3, 2, 2) if table is None else (7, 2, 2))
    check_backward(
        lambda x, w, b: ref.conv(x, w, b, table, padding),
        lambda dout: ref.conv_backward(x, w, dout, table, padding),
        x,
        w,
        random.normal(size=4),
    )


def test_other_backwards() -> None:
    random = rng(2)
    x, c, b = random.normal(size=(2, 3, 5, 4)), random.normal(size=3), random.normal(size=3)
    check_backward(ref.subsample, lambda dout: ref.subsample_backward(x, c, dout), x, c, b)
    check_backward(ref.average_pool, lambda dout: (ref.average_pool_backward(x, dout),), x)
    v, w, u = random.normal(size=(3, 5)), random.normal(size=(4, 5)), random.normal(size=4)
    check_backward(ref.dense, lambda dout: ref.dense_backward(v, w, dout), v, w, u)
    check_backward(ref.rbf, lambda dout: ref.rbf_backward(v, w, dout), v, w)


def test_losses_by_hand() -> None:
    y, labels = np.array([[1.0, 3.0], [2.0, 0.5]]), np.array([0, 0])
    e = math.exp
    assert ref.loss(y, labels, "mse") == 1.5
    assert ref.loss(y, labels, "map", j=0.7) == pytest.approx(
        (1 + math.log(e(-0.7) + e(-1) + e(-3)) + 2 + math.log(e(-0.7) + e(-2) + e(-0.5))) / 2
    )
    cross = (-math.log(e(-1) / (e(-1) + e(-3))) - math.log(e(-2) / (e(-2) + e(-0.5)))) / 2
    assert ref.loss(y, labels, "cross_entropy") == pytest.approx(cross)
    assert ref.loss(-y, labels, "cross_entropy", is_rbf=False) == pytest.approx(cross)
    assert ref.loss(-y, labels, "map", 0.7, is_rbf=False) == ref.loss(y, labels, "map", 0.7)
    # Targets (1, -1): 0 + 16, then 1 + 2.25.
    assert ref.loss(y, labels, "mse", is_rbf=False) == (16 + 1 + 2.25) / 2


def test_losses_do_not_overflow() -> None:
    y = np.array([[2000.0, 3000.0, 2500.0]])
    for is_rbf, outputs in ((True, y), (False, -y)):
        for kind in ("map", "cross_entropy"):
            value = ref.loss(outputs, np.array([1]), kind, j=5.0, is_rbf=is_rbf)
            # Of eq. (9) the rubbish class is nearest, at 5; of the softmax class 0, at 2000.
            assert value == (2995 if kind == "map" else 1000)
            assert np.isfinite(ref.loss_derivative(outputs, np.array([1]), kind, 5, is_rbf)).all()


@pytest.mark.parametrize("temperature", [1.0, 3.0])
@pytest.mark.parametrize("is_rbf", [True, False])
@pytest.mark.parametrize("kind", LOSSES)
def test_loss_derivative(kind: str, is_rbf: bool, temperature: float) -> None:
    outputs, labels = rng(3).uniform(0.2, 3, (4, 5)), np.array([0, 4, 2, 2])
    slopes = ref.four_point_gradient(
        lambda v: ref.loss(v.reshape(4, 5), labels, kind, 0.5, is_rbf, temperature),
        outputs.ravel(),
        range(20),
    )
    np.testing.assert_allclose(
        ref.loss_derivative(outputs, labels, kind, 0.5, is_rbf, temperature).ravel(),
        slopes,
        rtol=1e-9,
        atol=1e-11,
    )


@pytest.mark.parametrize(
    "architecture", [LENET5_1998, LENET5_MODERN, LENET5_28, LENET_3X3], ids=lambda a: a.name
)
def test_forward_gives_every_layer(architecture: Architecture) -> None:
    x = rng().normal(size=(2, *architecture.input_shape))
    vector = random_vector(architecture)
    outputs = ref.forward(architecture, vector, x, DIGITS)
    assert list(outputs) == list(architecture.output_shapes)
    for row in architecture.rows():
        flat = row.kind in ("dense", "rbf")
        shape = row.output_shape[:1] if flat else row.output_shape
        assert outputs[row.name].shape == (2, *shape)
        assert outputs[row.name].std() > 1e-3
    named = ref.forward(architecture, ref.unflatten(architecture, vector), x, DIGITS)
    np.testing.assert_array_equal(named["output"], outputs["output"])
    alone = ref.forward(architecture, vector, x[1:], DIGITS)
    np.testing.assert_allclose(alone["output"][0], outputs["output"][1], rtol=1e-12)


def test_forward_of_1998_is_its_layers_composed() -> None:
    x, vector = rng(4).normal(size=(1, 32, 32)), random_vector(LENET5_1998)
    p = ref.unflatten(LENET5_1998, vector)
    out = ref.forward(LENET5_1998, vector, x, DIGITS)
    c3 = LENET5_1998.layers[2]
    assert isinstance(c3, Conv)
    c1 = ref.squash(ref.conv(x[:, None], p["C1.weight"], p["C1.bias"]))
    s2 = ref.squash(ref.subsample(c1, p["S2.coefficient"], p["S2.bias"]))
    np.testing.assert_array_equal(out["S2"], s2)
    np.testing.assert_array_equal(
        out["C3"], ref.squash(ref.conv(s2, p["C3.weight"], p["C3.bias"], c3.table))
    )
    np.testing.assert_array_equal(out["output"][0], ((out["F6"] - DIGITS) ** 2).sum(axis=1))


def test_unflatten_follows_the_vector() -> None:
    p = ref.unflatten(LENET5_1998, np.arange(60_000))
    assert p["C1.bias"][0] == 150
    assert p["C3.weight"][1, 0, 0] == 168 + 25
    assert p["F6.bias"][-1] == 59_999
    with pytest.raises(ValueError, match=r"vector has shape \(59999,\), want \(60000,\)"):
        ref.unflatten(LENET5_1998, np.zeros(59_999))


def test_codes_and_image_shape_are_asked_for() -> None:
    vector = np.zeros(60_000)
    with pytest.raises(ValueError, match="codes is None"):
        ref.forward(LENET5_1998, vector, np.zeros((1, 32, 32)))
    with pytest.raises(ValueError, match="x has shape"):
        ref.forward(LENET5_1998, vector, np.zeros((1, 28, 28)), DIGITS)


SMALL = Architecture(
    "small",
    (
        Conv("a", 3, 3, activation="relu"),
        AveragePool("b"),
        Conv("c", 4, 2, TABLE, "identity"),
        Subsample("d", "tanh"),
        Dense("e", 6),
        RBF("f", 5, trained=True),
    ),
    (13, 16),
)


@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize(
    "architecture", [LENET5_1998, LENET5_MODERN, LENET_3X3, SMALL], ids=lambda a: a.name
)
def test_gradient_is_that_of_finite_differences(architecture: Architecture, kind: str) -> None:
    random = rng(5)
    vector = random_vector(architecture, 6)
    x = random.normal(size=(3, *architecture.input_shape))
    labels = np.array([1, 4, 1])
    is_rbf = architecture.code_length is not None
    # The rubbish class has to matter, or leaving it out would go unnoticed.
    outputs = ref.forward(architecture, vector, x, DIGITS)[architecture.layers[-1].name]
    j = float(np.median(outputs if is_rbf else -outputs))

    def value(v: ref.Array) -> float:
        outputs = ref.forward(architecture, v, x, DIGITS)[architecture.layers[-1].name]
        return ref.loss(outputs, labels, kind, j, is_rbf)

    total, gradient = ref.loss_and_gradient(architecture, vector, x, labels, kind, j, DIGITS)
    assert total == value(vector)
    assert gradient.shape == vector.shape
    start = 0
    for name, shape in architecture.parameter_shapes.items():
        size = math.prod(shape)
        group = gradient[start : start + size]
        # The largest, where an error shows most, and two at random.
        picked = np.append(random.integers(size, size=2), np.abs(group).argmax())
        # Small enough that a relu keeps its side.
        h = 1e-5 if architecture is SMALL else 1e-3
        slopes = ref.four_point_gradient(value, vector, start + picked, h)
        assert np.abs(slopes).max() > 1e-5, name
        np.testing.assert_allclose(
            group[picked],
            slopes,
            rtol=1e-6,
            atol=1e-6 * np.abs(group).max(),
            err_msg=f"{architecture.name} {name} {kind}",
        )
        start += size


# ---- curvature -----------------------------------------------------------------------------------


class Unshared:
    """A network written out, in which every connection has a weight of its own.

    Its `weights` are all connections u_ij of all units, biases included; `parameter` tells which
    entry of the flat vector each of them shares, or -1.
    """

    def __init__(self, architecture: Architecture, vector: ref.Array) -> None:
        self.layers: list[tuple[list[int], list[int], int, str]] = []  # unit, input, units, f
        self.weights: list[float] = []
        self.parameter: list[int] = []
        self.vector, offset = vector, 0
        for layer in architecture.layers:
            shape = architecture.input_shapes[layer.name]
            if isinstance(layer, RBF):
                continue
            units: list[int] = []
            inputs: list[int] = []
            for unit, source, k in self.connections(layer, shape):
                units.append(unit)
                inputs.append(source)
                self.parameter.append(-1 if k is None else offset + k)
                self.weights.append(0.25 if k is None else vector[offset + k])
            n_units = math.prod(layer.output_shape(shape))
            kind = getattr(layer, "activation", "identity")
            self.layers.append((units, inputs, n_units, kind))
            offset += sum(math.prod(s) for s in layer.parameter_shapes(shape).values())

    @staticmethod
    def connections(layer: Any, shape: tuple[int, int, int]) -> Any:
        """Yield unit, input (-1: always 1) and the parameter's place within the layer (or None)."""
        maps, height, width = layer.output_shape(shape)

        def at(m: int, y: int, x: int) -> int:
            return (m * shape[1] + y) * shape[2] + x

        places = itertools.product(range(maps), range(height), range(width))
        for unit, (o, y, x) in enumerate(places):
            if isinstance(layer, Conv):
                table = layer.table or ((*range(shape[0]),),) * maps
                k2, first = layer.kernel**2, sum(len(each) for each in table[:o])
                for c, source in enumerate(table[o]):
                    for tap in range(k2):
                        j, i = divmod(tap, layer.kernel)
                        yield unit, at(source, y + j, x + i), (first + c) * k2 + tap
                yield unit, -1, sum(map(len, table)) * k2 + o
            elif isinstance(layer, Dense):
                n = math.prod(shape)
                for i in range(n):
                    yield unit, i, o * n + i
                yield unit, -1, maps * n + o
            else:
                for j, i in itertools.product(range(2), range(2)):
                    trained = o if isinstance(layer, Subsample) else None
                    yield unit, at(o, 2 * y + j, 2 * x + i), trained
                if isinstance(layer, Subsample):
                    yield unit, -1, maps + o

    def outputs(self, weights: ref.Array, image: ref.Array) -> ref.Array:
        """What goes into the loss, or into the RBF units before it."""
        x, start = image.ravel(), 0
        for units, inputs, n_units, kind in self.layers:
            here = weights[start : start + len(units)]
            start += len(units)
            a = np.zeros(n_units)
            np.add.at(a, units, here * np.append(x, 1.0)[inputs])
            x = ref.activate(kind, a)
        return x

    def curvature(self, image: ref.Array, loss: Any) -> ref.Array:
        """Sum over connections of sum_o d2E/do^2 (do/du)^2, both by differences."""
        weights = np.array(self.weights)
        outputs = self.outputs(weights, image)
        by_output = ref.four_point_curvature(loss, outputs, range(len(outputs)))
        h = np.zeros(len(self.vector))
        for c, k in enumerate(self.parameter):
            if k < 0:
                continue
            for o, second in enumerate(by_output):
                slope = ref.four_point_gradient(
                    lambda v, o=o: self.outputs(v, image)[o], weights, [c], 1e-3
                )[0]
                h[k] += second * slope**2
        return h


# One path leads from a connection to an output, so that what the recursion leaves out is 0.
ONE_PATH = [
    Architecture(
        "subsampling",
        (
            Conv("a", 2, 2, activation="scaled_tanh"),
            Subsample("b", activation="tanh"),
            Dense("c", 2, activation="identity"),
        ),
        (5, 6),
    ),
    Architecture(
        "table",
        (
            Conv("a", 2, 2, activation="tanh"),
            Conv("b", 2, 4, ((1,), (0,)), "scaled_tanh"),
            Dense("c", 3, activation="identity"),
        ),
        (5, 5),
    ),
    Architecture(
        "average pool",
        (
            Conv("a", 2, 2, activation="tanh"),
            AveragePool("b"),
            Dense("c", 2, activation="identity"),
        ),
        (6, 5),
    ),
    Architecture("fixed codes", (Conv("a", 4, 3, activation="scaled_tanh"), RBF("b", 3)), (3, 3)),
]


@pytest.mark.parametrize("temperature", [1.0, 2.0])
@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize("architecture", ONE_PATH, ids=lambda a: a.name)
def test_curvature_is_that_of_a_network_without_shared_weights(
    architecture: Architecture, kind: str, temperature: float
) -> None:
    random = rng(11)
    vector = 3 * random_vector(architecture, 12)
    images, labels = random.normal(size=(2, *architecture.input_shape)), np.array([1, 0])
    is_rbf = architecture.layers[-1].kind == "rbf"
    codes = random.normal(size=(3, 4)) if is_rbf else None
    network, want = Unshared(architecture, vector), np.zeros(len(vector))
    for image, label in zip(images, labels, strict=True):

        def loss(v: ref.Array, label: int = label) -> float:
            outputs = ref.rbf(v[None], codes) if is_rbf else v[None]
            return ref.loss(outputs, np.array([label]), kind, 0.3, is_rbf, temperature)

        want += network.curvature(image, loss) / 2
    got = ref.curvature(architecture, vector, images, labels, kind, 0.3, codes, temperature)
    assert got.min() >= 0
    assert (want > 0).mean() > 0.9
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-7 * want.max())


@pytest.mark.parametrize("temperature", [1.0, 2.0])
@pytest.mark.parametrize("kind", LOSSES)
def test_curvature_of_rbf_units(kind: str, temperature: float) -> None:
    """Exact by the inputs; by the codes but for what is negative, -2 p_i of other classes."""
    random = rng(13)
    w, x, label = random.normal(size=(3, 4)), random.normal(size=4), 1
    by_x, by_w = ref.rbf_curvature(x[None], w, np.array([label]), kind, 0.3, temperature)

    def loss(x: ref.Array, w: ref.Array) -> float:
        return ref.loss(ref.rbf(x[None], w), np.array([label]), kind, 0.3, True, temperature)

    want = ref.four_point_curvature(lambda v: loss(v, w), x, range(4))
    np.testing.assert_allclose(by_x[0], want, rtol=1e-5, atol=1e-6)
    want = ref.four_point_curvature(lambda v: loss(x, v.reshape(3, 4)), w.ravel(), range(12))
    p = -ref.loss_derivative(ref.rbf(x[None], w), np.array([label]), kind, 0.3, True, temperature)[
        0
    ]
    p[label] = 0
    np.testing.assert_allclose(by_w[0], want.reshape(3, 4) + 2 * p[:, None], rtol=1e-5, atol=1e-6)
    assert by_x.min() > 0
    assert by_w.min() >= 0


def test_sdlm_step_by_hand() -> None:
    p = ref.sdlm_step(np.array([1.0, 1.0]), np.array([2.0, -3.0]), np.array([0.08, 0.0]), 0.1, 0.02)
    np.testing.assert_allclose(p, [1 - 2.0, 1 + 15.0])


def test_sgd_step_by_hand() -> None:
    p, v = np.array([1.0]), np.array([0.5])
    p, v = ref.sgd_step(p, np.array([2.0]), v, lr=0.1, momentum=0.9, weight_decay=0.3)
    np.testing.assert_allclose(v, [2.45])
    np.testing.assert_allclose(p, [1 - 0.245 - 0.03])


def test_adam_step_by_hand() -> None:
    p, m, v = np.array([2.0, 2.0]), np.zeros(2), np.zeros(2)
    g = np.array([3.0, -0.01])
    p, m, v = ref.adam_step(p, g, m, v, 1, lr=0.1, weight_decay=0.5)
    # Bias correction makes the first step the rate times the sign, plus the decay 0.1*0.5*2.
    np.testing.assert_allclose(p, [2 - 0.1 - 0.1, 2 + 0.1 - 0.1], atol=1e-6)
    p2, m, v = ref.adam_step(p, np.array([1.0, 1.0]), m, v, 2, lr=0.1)
    mhat = (0.9 * 0.1 * 3 + 0.1 * 1) / (1 - 0.81)
    vhat = (0.999 * 0.001 * 9 + 0.001 * 1) / (1 - 0.999**2)
    assert p2[0] == pytest.approx(p[0] - 0.1 * mhat / (math.sqrt(vhat) + 1e-8), rel=1e-12)


def test_four_point_curvature() -> None:
    curvatures = ref.four_point_curvature(
        lambda v: v[0] ** 4 * v[1] ** 2, np.array([0.5, -2.0]), [1, 0]
    )
    np.testing.assert_allclose(curvatures, [2 * 0.5**4, 12 * 0.25 * 4], rtol=1e-8)


def test_four_point_gradient_is_exact_on_quartics() -> None:
    slopes = ref.four_point_gradient(
        lambda v: v[0] ** 4 + 3 * v[1] ** 3 * v[0], np.array([0.5, -2.0]), [1, 0], 0.1
    )
    np.testing.assert_allclose(slopes, [9 * 4 * 0.5, 4 * 0.125 - 24], rtol=1e-12)
