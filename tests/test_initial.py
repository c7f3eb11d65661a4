"""How the weights begin: the limits of each scheme, and that it suits its activation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lenet_c import (
    LENET5_28,
    LENET5_1998,
    LENET5_MODERN,
    LENET_3X3,
    RBF,
    Architecture,
    Conv,
    Dense,
    LeNet5,
    codes,
)

# fan-in, and the units that an input feeds: by hand
FANS = {
    "C1.weight": (25, 6 * 25),
    "C3.weight": (150, 16 * 25),
    "C5.weight": (400, 120 * 25),
    "F6.weight": (120, 84),
    "output.weight": (84, 10),
}


def uniform_within(values: np.ndarray, limit: float) -> None:
    """Uniform in [-limit, limit], as far as so many draws can tell."""
    assert np.abs(values).max() <= limit * (1 + 1e-6)
    error = 1 / math.sqrt(values.size)
    assert np.abs(values).max() > limit * (1 - 5 / values.size)
    assert np.std(values) == pytest.approx(limit / math.sqrt(3), rel=2 * error)
    assert abs(np.mean(values)) < 3 * limit / math.sqrt(3) * error


@pytest.mark.parametrize("name", list(FANS))
@pytest.mark.parametrize("init", ["he", "glorot"])
def test_limits(init: str, name: str) -> None:
    net = LeNet5(LENET5_MODERN, seed=5, init=init)
    fan_in, fan_out = FANS[name]
    variance = 2 / fan_in if init == "he" else 2 / (fan_in + fan_out)
    uniform_within(net[name], math.sqrt(3 * variance))
    assert not net[name.replace("weight", "bias")].any()


def test_c3_table_counts_its_own_connections() -> None:
    he = LeNet5(seed=5, init="he")["C3.weight"]
    for map_inputs, rows in ((3, he[:18]), (4, he[18:54]), (6, he[54:])):
        uniform_within(rows, math.sqrt(6 / (25 * map_inputs)))
    glorot = LeNet5(seed=5, init="glorot")["C3.weight"]
    # 60 pairs: each S2 map feeds ten C3 maps.
    uniform_within(glorot[54:], math.sqrt(6 / (25 * 6 + 25 * 10)))


@pytest.mark.parametrize("init", ["he", "glorot"])
def test_subsampling_begins_as_the_mean(init: str) -> None:
    net = LeNet5(init=init)
    assert (net["S2.coefficient"] == 0.25).all()
    assert not net["S4.bias"].any()


def test_the_default_follows_the_activation() -> None:
    tanh = LeNet5(LENET5_28, seed=1)
    np.testing.assert_array_equal(
        tanh.parameters, LeNet5(LENET5_28, seed=1, init="paper").parameters
    )
    relu = LeNet5(LENET5_28.with_activation("relu"), seed=1)
    he = LeNet5(LENET5_28, seed=1, init="he")
    for name in ("C1", "C3", "F5", "F6"):
        np.testing.assert_array_equal(relu[f"{name}.weight"], he[f"{name}.weight"])
        assert not relu[f"{name}.bias"].any()
    assert np.abs(relu["output.weight"]).max() <= 2.4 / 84
    assert relu["output.bias"].any()


def test_sigmoids_begin_four_times_as_large_as_glorot() -> None:
    sigmoid = LeNet5(LENET5_1998.with_activation("sigmoid"), seed=1)
    glorot = LeNet5(LENET5_1998, seed=1, init="glorot")
    for name in ("C1.weight", "S2.coefficient", "C3.weight", "S4.coefficient", "C5.weight"):
        np.testing.assert_allclose(sigmoid[name], 4 * glorot[name], rtol=1e-6)
    assert not sigmoid["S2.bias"].any()
    told = LeNet5(LENET5_1998.with_activation("sigmoid"), seed=1, init="glorot")
    np.testing.assert_array_equal(told.parameters, glorot.parameters)


@pytest.mark.parametrize("init", ["he", "glorot"])
def test_trained_codes_begin_as_codes(init: str) -> None:
    architecture = Architecture(
        "a", (Conv("C1", 3, 5), Dense("F2", 84), RBF("output", trained=True)), (8, 8)
    )
    net = LeNet5(architecture, codes=codes.DIGITS, init=init)
    np.testing.assert_array_equal(net["output.weight"], codes.DIGITS)


@pytest.mark.parametrize(
    "architecture", [LENET5_1998, LENET5_MODERN, LENET5_28, LENET_3X3], ids=lambda a: a.name
)
def test_rectified_units_begin_alive(architecture: Architecture, rng: np.random.Generator) -> None:
    """Most units answer to some image, and the spread neither dies nor explodes."""
    images = rng.integers(0, 256, (64, 28, 28)).astype(np.uint8)
    net = LeNet5(architecture.with_activation("relu"), seed=3)
    for layer in net.architecture.layers[:-1]:
        values = net.activations(images)[layer.name]
        if getattr(layer, "activation", None) == "relu":
            axes = tuple(i for i in range(values.ndim) if i != 1)
            assert (values > 0).any(axis=axes).mean() > 0.6
            assert 0.05 < values.std() < 5
