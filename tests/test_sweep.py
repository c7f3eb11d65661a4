"""Networks swept over wider and higher pictures, and their gradients on strings."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import lenet_c
from lenet_c import Architecture, LeNet5, _core, updates
from lenet_c.layers import RBF, AveragePool, Conv, Dense, MaxPool, Subsample
from lenet_c.networks import (
    LENET4,
    LENET5_28,
    LENET5_1998,
    LENET5_MAX,
    LENET5_MODERN,
    LENET5_STRINGS,
    LENET_3X3,
)
from tests import reference, string_reference
from tests.closeness import assert_close

Array = Any


def build(name: str, *layers: Any, shape: Any, blank: bool = False) -> Architecture:
    return Architecture(name, layers, input_shape=shape, blank=blank)


def last(units: int) -> Dense:
    return Dense("output", units=units, activation="identity")


def codes(classes: int, length: int) -> Array:
    return np.where(np.random.default_rng(7).random((classes, length)) < 0.5, -1.0, 1.0)


SMALL = {
    "max pooling, sigmoid": build(
        "small",
        Conv("a", maps=3, kernel=3, activation="sigmoid"),
        MaxPool("b"),
        Conv("c", maps=5, kernel=2, table=((0, 1), (1, 2), (0,), (0, 1, 2), (2,))),
        Subsample("d", activation="sigmoid"),
        Dense("e", units=7, activation="relu"),
        last(4),
        shape=(13, 12),
        blank=True,
    ),
    "channels": build(
        "small",
        Conv("a", maps=4, kernel=5, activation="relu"),
        AveragePool("b"),
        last(5),
        shape=(3, 11, 14),
        blank=True,
    ),
    "convolution last": build(
        "small",
        Conv("a", maps=4, kernel=3, activation="tanh"),
        Subsample("b"),
        Conv("c", maps=17, kernel=2),
        RBF("output", classes=3),
        shape=(7, 7),
        blank=True,
    ),
    "a convolution under dense units": build(
        "small",
        MaxPool("a"),
        Conv("b", maps=18, kernel=3),
        last(4),
        shape=(10, 9),
        blank=True,
    ),
    "trained codes": build(
        "small",
        Conv("a", maps=2, kernel=3),
        Subsample("b"),
        Dense("c", units=6),
        RBF("output", classes=4, trained=True),
        shape=(8, 8),
        blank=True,
    ),
    "no maps": build("small", Dense("a", units=9), last(3), shape=(5, 4), blank=True),
    "one layer": build("small", last(3), shape=(1, 1), blank=True),
    "sixteen maps": build(  # of one picture, with maps in the lanes
        "small",
        Conv("a", maps=16, kernel=3, activation="tanh"),
        AveragePool("b"),
        Conv("c", maps=16, kernel=3),
        Subsample("d"),
        last(4),
        shape=(14, 14),
        blank=True,
    ),
}

SMALL["sums with a table"] = build(
    "small",
    Conv("a", maps=16, kernel=3, activation="tanh"),
    Subsample("b", table=((3,), (3,), (0,), (15,), (3,))),
    Conv("c", maps=4, kernel=2),
    last(4),
    shape=(8, 8),
    blank=True,
)

NAMED = {
    architecture.name: architecture
    for architecture in (
        *(LENET5_1998, LENET5_MODERN, LENET5_28, LENET_3X3, LENET5_STRINGS),
        *(LENET4, LENET5_MAX),
    )
}


def network(architecture: Architecture, seed: int = 3) -> LeNet5:
    own = None
    if architecture.code_length is not None and architecture is not LENET5_1998:
        own = codes(architecture.classes, architecture.code_length)
    net = LeNet5(architecture, seed=seed, codes=own)
    rng = np.random.default_rng(seed)
    net.parameters[...] += rng.normal(0, 0.05, net.n_parameters).astype(np.float32)
    return net


NETS = {name: network(architecture) for name, architecture in (NAMED | SMALL).items()}


def stride_of(architecture: Architecture) -> int:
    return 2 ** sum(layer.kind in ("subsample", "average_pool", "max_pool")
                    for layer in architecture.layers)  # fmt: skip


def draw(net: LeNet5, height: int, width: int, seed: int, is_float: bool = False) -> Array:
    rng = np.random.default_rng(seed)
    shape = (*net.architecture.input_shape[:-2], height, width)
    if is_float:
        return rng.normal(0, 1, shape).astype(np.float32)
    return rng.integers(0, 256, shape, np.uint8)


def whole_picture(net: LeNet5, picture: Array) -> Array:
    """What all positions see together, normalised: (channels, height, width)."""
    architecture = net.architecture
    stride = stride_of(architecture)
    channels, height, width = architecture.image_shape
    maps = picture.reshape(channels, *picture.shape[-2:])
    background, foreground = (np.array(v)[:, None, None] for v in architecture.levels)
    background = background.astype(np.float64)
    if maps.dtype == np.uint8:
        maps = background + maps / 255.0 * (foreground - background)
    before, counts = [], []
    for length, wanted in zip(maps.shape[1:], (height, width), strict=True):
        before.append(max(0, (wanted - length) // 2))
        counts.append(1 + max(0, -(-(length - wanted) // stride)))
    rows, columns = counts
    whole = np.empty((channels, height + (rows - 1) * stride, width + (columns - 1) * stride))
    whole[...] = background
    whole[:, before[0] : before[0] + maps.shape[1], before[1] : before[1] + maps.shape[2]] = maps
    return whole


def windows(net: LeNet5, picture: Array) -> tuple[int, int, Array]:
    """Rows and columns of positions, and what the network sees at each, normalised."""
    architecture = net.architecture
    stride = stride_of(architecture)
    _, height, width = architecture.image_shape
    whole = whole_picture(net, picture)
    rows, columns = ((whole.shape[k] - (0, height, width)[k]) // stride + 1 for k in (1, 2))
    seen = [
        whole[:, r * stride : r * stride + height, c * stride : c * stride + width]
        for r, c in itertools.product(range(rows), range(columns))
    ]
    return rows, columns, np.reshape(seen, (len(seen), *architecture.input_shape))


def referred(net: LeNet5, picture: Array) -> dict[str, Array]:
    _, _, seen = windows(net, picture)
    return reference.forward(net.architecture, net.parameters, seen, net.codes)


@pytest.fixture
def limit() -> Iterator[None]:
    before = _core.get_memory_limit()
    yield
    lenet_c.set_memory_limit(before)


# ---- what it gives ----


@pytest.mark.parametrize("is_float", [False, True], ids=["uint8", "float32"])
@pytest.mark.parametrize("name", NETS)
def test_a_sweep_is_the_network_at_every_window(name: str, is_float: bool) -> None:
    net = NETS[name]
    height, width = net.architecture.image_shape[1:]
    step = stride_of(net.architecture)
    sizes = [
        (height, width),
        (height, width + 9 * step),
        (max(1, height - 3), max(1, width - 2)),
        (1, 1),
        (max(1, height - 4), width + 19 * step + 1),
        (height + 2 * step + 1, width + 3 * step),
        (height + step, max(1, width - 1)),
    ]
    pictures = [draw(net, *size, seed, is_float) for seed, size in enumerate(sizes)]
    swept = net.sweep(pictures)
    assert isinstance(swept, list)
    for picture, outputs in zip(pictures, swept, strict=True):
        rows, columns, _ = windows(net, picture)
        assert net.positions(*picture.shape[-2:]) == (rows, columns)
        assert outputs.dtype == np.float32
        assert outputs.shape == (rows * columns, net.architecture.classes)
        assert_close(outputs, referred(net, picture)[net.architecture.layers[-1].name], 5e-6)


@pytest.mark.parametrize("name", NETS)
def test_activations_of_a_sweep(name: str) -> None:
    net = NETS[name]
    height, width = net.architecture.image_shape[1:]
    step = stride_of(net.architecture)
    picture = draw(net, height + step, width + 6 * step + 1, 5)
    rows, columns, _ = windows(net, picture)
    got, want = net.sweep_activations(picture), referred(net, picture)
    assert list(got) == list(want)
    stride = step
    for layer in net.architecture.layers:
        values, each = got[layer.name], want[layer.name]
        if layer.kind in ("subsample", "average_pool", "max_pool"):
            stride //= 2
        if values.ndim == 2:
            assert_close(values, each.reshape(rows * columns, -1), 5e-6)
            continue
        maps, high, wide = each.shape[1:]
        assert values.shape == (maps, high + (rows - 1) * stride, wide + (columns - 1) * stride)
        for place, (r, c) in enumerate(itertools.product(range(rows), range(columns))):
            part = values[:, r * stride : r * stride + high, c * stride : c * stride + wide]
            assert_close(part, each[place], 5e-6)
    final = list(got.values())[-1]
    assert final.tobytes() == net.sweep([picture])[0].tobytes()


@pytest.mark.parametrize("name", NETS)
def test_a_cut_of_a_long_strip_has_its_bits(name: str) -> None:
    """Whatever the pieces that it is read in."""
    net = NETS[name]
    height, width = net.architecture.image_shape[1:]
    step = stride_of(net.architecture)
    for positions in (127, 128, 129, 302):
        strip = draw(net, height, width + step * (positions - 1), positions)
        whole = net.sweep([strip])[0]
        assert len(whole) == positions
        for first, n in ((0, 1), (0, 5), (3, 17), (1, 40), (0, 128), (9, 129), (100, 2)):
            if first + n <= positions:
                cut = strip[..., step * first : step * first + width + step * (n - 1)]
                got = net.sweep([cut])[0]
                assert got.tobytes() == whole[first : first + n].tobytes(), (positions, first, n)


@pytest.mark.parametrize("name", ["lenet5-strings", "sixteen maps", "no maps", "channels"])
@pytest.mark.parametrize("columns", [1, 3, 60, 131])
def test_a_high_picture_is_read_in_pieces(name: str, columns: int) -> None:
    net = NETS[name]
    height, width = net.architecture.image_shape[1:]
    step = stride_of(net.architecture)
    rows = 131 if columns == 1 else 5
    picture = draw(net, height + step * (rows - 1), width + step * (columns - 1), rows)
    whole = net.sweep([picture])[0]
    strips = [picture[..., step * k : step * k + height, :] for k in range(rows)]
    assert_close(whole, np.concatenate(net.sweep(strips)), 2e-6)
    activations = net.sweep_activations(picture)
    assert list(activations.values())[-1].tobytes() == whole.tobytes()
    first = net.architecture.layers[0]
    if not first.flat:  # its maps are those of one large image
        seen = whole_picture(net, picture)
        want = reference.conv(
            seen[None],
            reference.unflatten(net.architecture, net.parameters)[f"{first.name}.weight"],
            reference.unflatten(net.architecture, net.parameters)[f"{first.name}.bias"],
        )
        got = activations[first.name]
        assert_close(got, reference.activate(first.activation, want)[0], 5e-6)


@pytest.mark.parametrize("name", ["lenet5-1998", "lenet5-strings", "channels", "trained codes"])
def test_neither_neighbours_nor_threads_change_a_bit(name: str) -> None:
    net = NETS[name]
    height, width = net.architecture.image_shape[1:]
    step = stride_of(net.architecture)
    columns = [1, 40, 7, 300, 1, 2, 16, 128, 33, 5]
    pictures = [draw(net, height, width + step * (n - 1), n) for n in columns]
    pictures.append(draw(net, height + 3 * step, width + 20 * step, 0))
    alone = [net.sweep([picture], num_threads=1)[0].tobytes() for picture in pictures]
    for threads in (1, 2, 3, None):
        assert [o.tobytes() for o in net.sweep(pictures, num_threads=threads)] == alone
    backward = net.sweep(pictures[::-1], num_threads=2)
    assert [o.tobytes() for o in backward] == alone[::-1]


def test_a_compiled_network_gives_the_same_bits() -> None:
    for net in (NETS["lenet5-strings"], NETS["sixteen maps"], NETS["convolution last"]):
        height, width = net.architecture.image_shape[1:]
        picture = draw(net, height + 4, width + 60, 1)
        packed = net.compile()
        assert packed.sweep([picture])[0].tobytes() == net.sweep([picture])[0].tobytes()
        ours, theirs = net.sweep_activations(picture), packed.sweep_activations(picture)
        assert all(ours[name].tobytes() == theirs[name].tobytes() for name in ours)
        assert packed.positions(height, width + 60) == net.positions(height, width + 60)


def test_forms_of_the_pictures(rng: np.random.Generator) -> None:
    net = NETS["lenet5-strings"]
    strips = rng.integers(0, 256, (3, 32, 60), np.uint8)
    outputs = net.sweep(strips)
    assert isinstance(outputs, np.ndarray)
    assert outputs.shape == (3, 8, 11)
    want = outputs.tobytes()
    one = net.sweep(strips[1])
    assert isinstance(one, np.ndarray)
    assert one.shape == (1, 8, 11)
    assert one.tobytes() == outputs[1].tobytes()
    for given in (list(strips), tuple(strips), [*strips]):
        assert np.concatenate(net.sweep(given)).tobytes() == want
    turned = np.asfortranarray(strips)
    assert np.concatenate(net.sweep(turned)).tobytes() == want
    every_other = np.repeat(strips, 2, axis=2)[:, :, ::2]
    assert np.concatenate(net.sweep(every_other)).tobytes() == want
    colour = NETS["channels"]
    picture = draw(colour, 11, 30, 1)
    alone, many = colour.sweep(picture), colour.sweep(picture[None])
    assert np.array_equal(alone, many)


# ---- what it refuses ----


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (np.zeros((32, 60)), TypeError, "pictures: 0 has dtype float64, want uint8"),
        (np.zeros(60, np.uint8), ValueError, r"pictures: shape \(60,\), want \(height, width\) or"),
        (np.uint8(3), ValueError, r"pictures: shape \(\), want"),
        (np.zeros((1, 1, 32, 60), np.uint8), ValueError, r"pictures: shape \(1, 1, 32, 60\), want"),
        (np.zeros((0, 32, 60), np.uint8), ValueError, "pictures: no pictures, want at least one"),
        ([], ValueError, "pictures: no pictures, want at least one"),
        (np.zeros((0, 60), np.uint8), ValueError, "pictures: 0 is 0x60, want sides of 1 to"),
        ([np.zeros((32, 0), np.uint8)], ValueError, "pictures: 0 is 32x0, want sides of 1 to"),
        (
            [np.zeros((1, (1 << 24) + 1), np.uint8)],
            ValueError,
            "pictures: 0 is 1x16777217, want sides of 1 to 16,777,216 pixels",
        ),
        (
            [np.zeros((32, 60), np.uint8), np.zeros((32, 60), np.float32)],
            TypeError,
            "pictures: 1 has dtype float32, and those before it another",
        ),
        ([np.zeros((1, 32, 60), np.uint8)], ValueError, "pictures: 0 has shape .* want .height, w"),
        ([None], TypeError, "pictures: 0 has dtype object"),
        ([[[1, 2], [3]]], ValueError, "pictures: 0: not an array"),
        (
            [np.full((32, 60), np.nan, np.float32)],
            ValueError,
            "pictures: 0 has a pixel that is NaN or infinite",
        ),
    ],
    ids=itertools.count(),
)
def test_pictures_that_are_none(given: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        NETS["lenet5-strings"].sweep(given)
    with pytest.raises(error, match=message):
        NETS["lenet5-strings"].compile().sweep(given)


def test_other_arguments_that_are_refused() -> None:
    net = NETS["lenet5-strings"]
    strip = np.zeros((32, 60), np.uint8)
    for wrong in (0, -1, 4097):
        with pytest.raises(ValueError, match="num_threads: got"):
            net.sweep(strip, num_threads=wrong)
    with pytest.raises(TypeError, match="num_threads: got"):
        net.sweep([strip], num_threads=1.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="height: got 0, want a whole number of at least 1"):
        net.positions(0, 60)
    with pytest.raises(TypeError, match=r"width: got 60\.0"):
        net.positions(32, 60.0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="want sides of 1 to 16,777,216 pixels"):
        net.positions(32, 1 << 25)
    with pytest.raises(ValueError, match="pictures: 0 has shape"):
        NETS["channels"].sweep([np.zeros((2, 11, 14), np.uint8)])
    with pytest.raises(ValueError, match="pictures: 0 has shape"):
        net.sweep_activations(np.zeros((2, 32, 60), np.uint8))


def test_padding_is_refused() -> None:
    padded = build("p", Conv("a", 4, 5), Conv("b", 3, 3, padding=1), last(2), shape=(9, 9))
    net = LeNet5(padded)
    picture = np.zeros((9, 20), np.uint8)
    for call in (net.sweep, net.sweep_activations, net.compile().sweep):
        with pytest.raises(ValueError, match=r"network: convolutions are padded.*sweepable"):
            call(picture)
    with pytest.raises(ValueError, match="blank: True with padding"):
        dataclasses.replace(padded, blank=True)


def test_the_memory_limit(limit: None) -> None:
    net = NETS["lenet5-strings"]
    strips = [np.zeros((32, 700), np.uint8)] * 8
    want = [outputs.tobytes() for outputs in net.sweep(strips, num_threads=1)]
    low, high = 1, 64 << 20
    while high - low > 1000:  # what one thread takes
        middle = (low + high) // 2
        lenet_c.set_memory_limit(middle)
        try:
            net.sweep(strips, num_threads=1)
            high = middle
        except MemoryError:
            low = middle
    lenet_c.set_memory_limit(high)
    assert [outputs.tobytes() for outputs in net.sweep(strips)] == want  # on as many as fit
    with pytest.raises(
        MemoryError, match=r"sweeping, 8 pictures on 2 threads: wants .*fewer pictures at a time or"
    ):
        net.sweep(strips, num_threads=2)
    lenet_c.set_memory_limit(1000)
    with pytest.raises(MemoryError, match="sweeping, 1 picture on 1 thread: wants"):
        net.sweep(strips[0])
    with pytest.raises(MemoryError, match="sweeping, 1 picture on 1 thread: wants"):
        net.sweep_activations(strips[0])
    strings = updates.strings_of(net, strips, ["12"] * 8)
    with pytest.raises(MemoryError, match=r"training, 8 strips on 1 thread: wants .*fewer strips"):
        net._network.strings_gradient(strings, "forward", np.inf, 1.0)


def test_a_profile_says_where_the_time_goes() -> None:
    net = network(LENET5_STRINGS)
    profile = net._network.profile = _core.Profile()
    net.sweep([draw(net, 32, 900, 1)], num_threads=1)
    n_layers = len(net.architecture.layers)
    assert profile.seconds("load") > 0
    assert all(profile.seconds("forward", k) > 0 for k in range(n_layers))
    assert profile.seconds("loss") == 0
    profile = net._network.profile = _core.Profile()
    net.sweep([draw(net, 32, 900, 1)] * 20, num_threads=2)
    assert profile.seconds("load") == 0
    strings = updates.strings_of(net, [draw(net, 32, 90, 1)], ["12"])
    net._network.strings_gradient(strings, "forward", np.inf, 1.0, 1)
    for part in ("load", "loss", "update"):
        assert profile.seconds(part) > 0
    for k in range(n_layers):
        assert profile.seconds("backward_weights", k) + profile.seconds("backward_input", k) > 0


# ---- gradients on strings ----


def strip_of(net: LeNet5, positions: int, seed: int, is_float: bool = False) -> Array:
    """Not a whole number of steps wide, nor as high as the network's input, where it can be."""
    height, width = net.architecture.image_shape[1:]
    step = stride_of(net.architecture)
    wide = width + step * (positions - 1) - (seed % step if positions > 1 else 0)
    return draw(net, max(1, height - seed % 3), wide, seed, is_float)


def some_strings(net: LeNet5, counts: list[int], is_float: bool = False) -> Any:
    """Strips of so many positions, and labels that can be spelt there; the first is empty."""
    rng = np.random.default_rng(len(counts))
    strips = [strip_of(net, n, seed, is_float) for seed, n in enumerate(counts)]
    labels = []
    for k, n in enumerate(counts):
        length = 0 if k == 0 else int(rng.integers(0, (n + 1) // 2 + 1))
        labels.append(rng.integers(0, net.architecture.characters, length))
    return strips, labels


def reference_gradient(
    net: LeNet5, strips: Any, labels: Any, loss: str, j: float, temperature: float
) -> tuple[float, int, Array]:
    seen = [windows(net, strip)[2] for strip in strips]
    ends = np.cumsum([len(each) for each in seen])
    is_rbf = net.codes is not None
    blank = net.architecture.classes - 1
    errors = 0

    def derivative(outputs: Array) -> tuple[float, Array]:
        nonlocal errors
        total, parts = 0.0, []
        for y, label in zip(np.split(outputs, ends[:-1]), labels, strict=True):
            value, dy = string_reference.loss(
                loss,
                y,
                label,
                blank,
                (-1 if is_rbf else 1) / temperature,
                None if j == np.inf else j,
            )
            best = (-y if is_rbf else y).argmax(axis=1)
            errors += string_reference.spells(tuple(best), blank) != tuple(label)
            total += value
            parts.append(dy)
        return total / len(seen), np.concatenate(parts) / len(seen)

    value, gradient = reference.gradient_of(
        net.architecture, net.parameters, np.concatenate(seen), derivative, net.codes
    )
    return value, errors, gradient


def gradient(net: LeNet5, strips: Any, labels: Any, *rest: Any) -> tuple[float, int, Array]:
    return net._network.strings_gradient(updates.strings_of(net, strips, labels), *rest)


@pytest.mark.parametrize("is_float", [False, True], ids=["uint8", "float32"])
@pytest.mark.parametrize("loss", ["forward", "viterbi", "discriminative"])
@pytest.mark.parametrize("name", SMALL)
def test_gradients_on_strings(name: str, loss: str, is_float: bool) -> None:
    net = NETS[name]
    strips, labels = some_strings(net, [3, 1, 12, 7, 9, 20, 2], is_float)
    for j, temperature in ((np.inf, 1.0), (3.0, 2.5)):
        value, errors, got = gradient(net, strips, labels, loss, j, temperature)
        want = reference_gradient(net, strips, labels, loss, j, temperature)
        assert value == pytest.approx(want[0], rel=1e-5)
        assert errors == want[1]
        assert_close(got, want[2], 1e-5)


def test_gradients_of_lenet5_on_strings() -> None:
    penalties = dataclasses.replace(LENET5_1998, blank=True).with_classes(11, 84)
    for net in (NETS["lenet5-strings"], network(penalties)):
        strips, labels = some_strings(net, [3, 24, 9])
        value, errors, got = gradient(net, strips, labels, "forward", 5.0, 40.0)
        want = reference_gradient(net, strips, labels, "forward", 5.0, 40.0)
        assert value == pytest.approx(want[0], rel=1e-5)
        assert errors == want[1]
        assert_close(got, want[2], 1e-5)


@pytest.mark.parametrize("blocks", [1, 2, 3, 5, 18])
@pytest.mark.parametrize("name", ["sixteen maps", "convolution last", "trained codes"])
def test_threads_change_no_bit_of_a_gradient(name: str, blocks: int) -> None:
    """Also where there are more blocks than gradients are kept for, 16 on several threads."""
    net = NETS[name]
    lanes = _core.isa()[1]
    rng = np.random.default_rng(blocks)
    counts = [int(n) for n in rng.integers(1, 12, lanes * blocks - lanes // 2)]
    strips, labels = some_strings(net, counts)
    constants = ("forward", np.inf, 1.0)
    one = gradient(net, strips, labels, *constants, 1)
    for threads in (2, 3, None):
        other = gradient(net, strips, labels, *constants, threads)
        assert other[:2] == one[:2]
        assert other[2].tobytes() == one[2].tobytes()
    parts = [
        gradient(net, strips[k : k + 20], labels[k : k + 20], *constants, 1)
        for k in range(0, len(strips), 20)
    ]
    weights = [len(strips[k : k + 20]) / len(strips) for k in range(0, len(strips), 20)]
    assert one[0] == pytest.approx(sum(w * p[0] for w, p in zip(weights, parts, strict=True)))
    assert one[1] == sum(p[1] for p in parts)
    assert_close(one[2], sum(w * p[2] for w, p in zip(weights, parts, strict=True)), 1e-5)


def test_what_is_empty_beside_a_narrow_strip_counts_nothing() -> None:
    net = NETS["sixteen maps"]
    strips, labels = some_strings(net, [4, 5, 90])
    parts = [
        gradient(net, [s], [t], "forward", np.inf, 1.0) for s, t in zip(strips, labels, strict=True)
    ]
    whole = gradient(net, strips, labels, "forward", np.inf, 1.0)
    assert whole[0] == pytest.approx(np.mean([p[0] for p in parts]))
    assert_close(whole[2], np.mean([p[2] for p in parts], axis=0, dtype=np.float64), 1e-5)


STRIPS = [np.zeros((32, 60), np.uint8)] * 2  # of 8 positions


@pytest.mark.parametrize(
    ("strips", "labels", "error", "message"),
    [
        (STRIPS, ["12"], ValueError, "labels: 1 strings, want 2, one for each strip"),
        (STRIPS, [[1], [1, 10]], ValueError, "labels: row 1 has class 10 at place 1, want 0 to 9"),
        (STRIPS, [[-1], [1]], ValueError, "labels: row 0 has class -1 at place 0, want 0 to 9"),
        (STRIPS, ["1", "1a"], ValueError, "labels: row 1: got '1a', where 'a' at place 1 is no cl"),
        (
            STRIPS,
            ["1", "012345678"],
            ValueError,
            "labels: row 1 has 9 characters, which take 9 positions .*60 pixels wide and has 8",
        ),
        (STRIPS, ["1", "11111"], ValueError, "labels: row 1 has 5 characters, which take 9 posit"),
        (STRIPS, [[1.5], [1]], TypeError, "labels: row 0: got .* want a str or integers"),
        (STRIPS, [1, 2], TypeError, "labels: row 0: got 1, want"),
        (STRIPS, 3, TypeError, "labels: got 3, want a list of strings"),
        (STRIPS, iter(["1", "2"]), TypeError, "labels: got <list_iterator.*want a list of strings"),
        (np.zeros((2, 32, 60)), ["1", "2"], TypeError, "images: 0 has dtype float64"),
        ([np.zeros((33, 60), np.uint8)], ["1"], ValueError, "images: strip 0 is 33 pixels high"),
        (
            [np.zeros((1, (1 << 21) + 1), np.uint8)],
            ["1"],
            ValueError,
            "images: strip 0 is 2,097,153 pixels wide, want 2,097,152 or less to learn from",
        ),
    ],
    ids=itertools.count(),
)
def test_strings_that_cannot_be_learnt(
    strips: Any, labels: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        updates.strings_of(NETS["lenet5-strings"], strips, labels)


def test_other_arguments_of_gradients_on_strings() -> None:
    net = NETS["lenet5-strings"]
    strings = updates.strings_of(net, STRIPS, ["11", ""])
    assert [label.tolist() for label in strings.classes] == [[1, 1], []]
    for temperature in (0.0, 1e-320, np.nan, np.inf):
        with pytest.raises(ValueError, match=r"temperature: got .*, want 1e-30 to 1e30"):
            net._network.strings_gradient(strings, "forward", np.inf, temperature)
    with pytest.raises(ValueError, match="num_threads: got 0"):
        net._network.strings_gradient(strings, "forward", np.inf, 1.0, 0)
    spoiled = network(LENET5_STRINGS)
    spoiled.parameters[...] = np.nan
    with pytest.raises(FloatingPointError):
        spoiled._network.strings_gradient(strings, "forward", np.inf, 1.0)
