"""What callers can change, or ask for, cannot make the core read or write where it must not."""

from __future__ import annotations

import contextlib
import copy
import io
import math
import os
import pickle
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import lenet_c
from lenet_c import (
    LENET5_1998,
    LENET5_MODERN,
    RBF,
    SGD,
    Adam,
    Architecture,
    AveragePool,
    Conv,
    Dense,
    LeNet5,
    Trainer,
    _core,
)

N = 60_000  # parameters of the 1998 network

TRAINED_CODES = Architecture(
    "small, trained codes",
    (
        Conv("C1", maps=3, kernel=5, activation="relu"),
        AveragePool("S2"),
        Dense("F3", units=6, activation="tanh"),
        RBF("output", classes=4, trained=True),
    ),
    input_shape=(12, 12),
)
CODES = np.arange(24).reshape(4, 6) % 5 - 2

# 1024x1024 pixels, and 64 maps of them, from 6 kB of parameters
HUNGRY = Architecture(
    "hungry",
    (
        Conv("C1", maps=64, kernel=1),
        *(AveragePool(f"S{i}") for i in range(2, 12)),
        Dense("output", units=10, activation="identity"),
    ),
    input_shape=(1024, 1024),
)


@pytest.fixture
def net() -> LeNet5:
    return LeNet5(seed=2)


@pytest.fixture
def images(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 256, (8, 28, 28)).astype(np.uint8)


@pytest.fixture
def limit() -> Iterator[Callable[[int | None], None]]:
    before = lenet_c.get_memory_limit()
    yield lenet_c.set_memory_limit
    lenet_c.set_memory_limit(before)


def run(code: str) -> str:
    """Run code in a process of its own, which may crash: its output."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, f"{done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


# ---- arrays that are handed out ------------------------------------------------------------------


def spoil(array: np.ndarray) -> None:
    """Do to an array, and to what it is a view of, what changes its sizes."""
    while isinstance(array, np.ndarray):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            for change in (
                lambda a: setattr(a, "shape", (1, 1, a.size)),
                lambda a: setattr(a, "dtype", np.float64),
                lambda a: a.setflags(write=False),
                lambda a: a.resize(3, refcheck=False),
            ):
                with contextlib.suppress(AttributeError, ValueError):
                    change(array)
        array = array.base


HANDED_OUT: dict[str, Callable[[LeNet5], Any]] = {
    "parameters": lambda net: net.parameters,
    "the core's": lambda net: net._network.parameters,
    "weight": lambda net: net["F3.weight"],
    "bias": lambda net: net["C1.bias"],
    "codes": lambda net: net.codes,
}


@pytest.mark.parametrize("which", HANDED_OUT)
def test_an_array_that_was_handed_out_is_no_size(which: str, rng: np.random.Generator) -> None:
    net = LeNet5(TRAINED_CODES, codes=CODES)
    images = rng.integers(0, 256, (4, 12, 12)).astype(np.uint8)
    want = net.loss_and_gradient(images, [0, 1, 2, 3])
    shape, before = HANDED_OUT[which](net).shape, net.parameters.copy()
    spoil(HANDED_OUT[which](net))
    assert HANDED_OUT[which](net).shape == shape
    assert HANDED_OUT[which](net).dtype == np.float32
    assert HANDED_OUT[which](net).flags.writeable
    loss, gradient = net.loss_and_gradient(images, [0, 1, 2, 3])
    assert loss == want[0]
    np.testing.assert_array_equal(gradient, want[1])
    np.testing.assert_array_equal(net.parameters, before)
    assert np.shares_memory(net.parameters, HANDED_OUT[which](net))


def test_outputs_do_not_grow_or_shrink_with_a_handed_out_array() -> None:
    """The heap was written beyond its end."""
    run("""
import warnings
warnings.simplefilter("ignore")
import numpy as np, lenet_c
net = lenet_c.LeNet5()
try:
    net.parameters.shape = (1, 60000)
except AttributeError:
    pass
images = np.zeros((4, 28, 28), np.uint8)
for _ in range(50):
    assert net.loss_and_gradient(images, [0, 1, 2, 3])[1].shape == (60000,)
    assert net.curvature(images, [0, 1, 2, 3]).shape == (60000,)
""")


def test_a_view_outlives_its_network() -> None:
    view = LeNet5(seed=2)["C1.weight"]
    LeNet5(seed=3)
    np.testing.assert_array_equal(view, LeNet5(seed=2)["C1.weight"])


def test_a_read_only_view_protects_that_view_alone(net: LeNet5) -> None:
    view = net.parameters
    view.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 1
    net.parameters[0] = 2
    net["C1.weight"][0, 0, 0, 1] = 3
    assert view[:2].tolist() == [2, 3]


def test_fixed_codes_cannot_be_changed(net: LeNet5) -> None:
    for change in (
        lambda: net.codes.__setitem__(0, 3),
        lambda: setattr(net.codes.flags, "writeable", True),
        lambda: setattr(net.codes.base.flags, "writeable", True),
    ):
        with pytest.raises(ValueError, match=r"read-only|WRITEABLE"):
            change()
    spoil(net.codes)
    np.testing.assert_array_equal(net.codes, lenet_c.codes.DIGITS)


def test_given_codes_are_copied(images: np.ndarray) -> None:
    codes = lenet_c.codes.DIGITS.copy()
    net = LeNet5(codes=codes)
    want = net.forward(images)
    codes[...] = 0
    np.testing.assert_array_equal(net.codes, lenet_c.codes.DIGITS)
    np.testing.assert_array_equal(net.forward(images), want)


def test_checked_labels_are_given_to_nobody(net: LeNet5, images: np.ndarray) -> None:
    samples = _core.Samples(net._network, images, np.arange(8))
    want = net._network.evaluate(samples, "map", 5.0, 1.0)[:2]
    samples.labels[...] = 1 << 40
    samples.labels.resize(0, refcheck=False)
    assert samples.labels.tolist() == list(range(8))
    assert net._network.evaluate(samples, "map", 5.0, 1.0)[:2] == want
    assert _core.Samples(net._network, images[0], 3).labels.tolist() == [3]


def test_what_an_optimizer_remembers_keeps_its_sizes(net: LeNet5, images: np.ndarray) -> None:
    samples = _core.Samples(net._network, images, np.arange(8))
    state, other = Adam().new_state(N), Adam().new_state(N)
    twin = LeNet5(seed=2)
    for s in (state, other):
        s.freeze([(3, 5)])
    spoil(state.first)
    spoil(state.second)
    state.frozen[...] = 1 << 40
    state.__reduce__()[2][3][...] = 1 << 40
    for _ in range(2):
        net._network.step(samples, None, "map", 5.0, 1.0, state, 1e-3)
        twin._network.step(samples, None, "map", 5.0, 1.0, other, 1e-3)
    np.testing.assert_array_equal(net.parameters, twin.parameters)
    assert state.first.shape == state.second.shape == (N,)
    assert state.frozen.tolist() == [[3, 5]]
    with pytest.raises(AttributeError):
        state.first = np.zeros(3, np.float32)


@pytest.mark.parametrize("optimizer", [SGD(), SGD(momentum=0.5), Adam()])
def test_an_optimizer_state_for_fewer_parameters(net: LeNet5, optimizer: Any) -> None:
    samples = _core.Samples(net._network, np.zeros((1, 28, 28), np.uint8), [1])
    with pytest.raises(ValueError, match="optimizer state: for 59999 parameters, want 60000"):
        net._network.step(samples, None, "map", 5.0, 1.0, optimizer.new_state(N - 1), 1e-3)
    with pytest.raises(ValueError, match="fallback: 59999 parameters, want 60000"):
        net._network.step(
            samples,
            None,
            "map",
            5.0,
            1.0,
            optimizer.new_state(N),
            1e-3,
            fallback=np.zeros(N - 1, np.float32),
        )


def test_states_are_made_whole_or_not_at_all() -> None:
    for kind in (_core.OptimizerState, _core.Network, _core.Samples):
        with pytest.raises(TypeError):
            kind.__new__(kind)
    state = Adam().new_state(5)
    state.__init__("adam", 7)
    assert state.first.shape == (5,)
    for thing in (LeNet5()._network, _core.Samples(LeNet5()._network, np.zeros((28, 28), "u1"))):
        with pytest.raises(TypeError):
            copy.copy(thing)
    for n in (-1, 1 << 62):
        with pytest.raises(MemoryError):
            Adam().new_state(n)


def test_ranges_that_are_frozen_during_an_update() -> None:
    """They are for the next one: C still looks at those that it began with."""
    assert (
        run("""
import sys, threading
import numpy as np
from lenet_c import LeNet5, SGD, _core
net, twin = LeNet5(), LeNet5()
images = np.random.default_rng(0).integers(0, 256, (512, 28, 28)).astype(np.uint8)
labels = np.arange(512) % 10
samples = _core.Samples(net._network, images, labels)
state, other = (SGD().new_state(60000) for _ in range(2))
other.freeze([(0, 59999)])
during = []
def freeze(go):
    go.acquire()
    state.freeze([(0, 0)] * 1000 + [(0, 60000)])
    during.append(state.n_updates == other.n_updates)
sys.setswitchinterval(1000)  # only the core lets the other thread run
n = 512
while not any(during):
    order = np.arange(n) % 512
    go = threading.Lock()
    go.acquire()
    thread = threading.Thread(target=freeze, args=[go])
    thread.start()
    state.freeze([(0, 59999)])
    go.release()
    net._network.step(samples, order, "map", 5.0, 1.0, state, 1e-3)
    thread.join()
    twin._network.step(samples, order, "map", 5.0, 1.0, other, 1e-3)
    n = min(2 * n, 1 << 17)
moved = net.parameters != LeNet5().parameters
print(np.flatnonzero(moved), (net.parameters == twin.parameters).all())
""")
        == "[59999] True\n"
    )


def test_an_order_that_changes_during_a_call() -> None:
    """It is copied, then checked."""
    assert (
        run("""
import contextlib, random, threading, time
import numpy as np
from lenet_c import LeNet5, SGD, _core
net = LeNet5()
samples = _core.Samples(net._network, np.zeros((4, 28, 28), np.uint8), [0, 1, 2, 3])
state = SGD().new_state(60000)
order, stop = np.zeros(2000, np.int64), threading.Event()
def spoil():
    while not stop.is_set():
        order[:] = random.choice([0, 1 << 40])
thread = threading.Thread(target=spoil)
thread.start()
done = 0
for _ in range(2000):
    time.sleep(0)  # an IndexError comes without a turn for the other thread
    with contextlib.suppress(IndexError):
        net._network.step(samples, order, "map", 5.0, 1.0, state, 1e-3, 1)
        done += 1
    with contextlib.suppress(IndexError):
        net._network.curvature(samples, order[:50], "map", 5.0, 1.0, 1)
    if done == 20:
        break
stop.set()
thread.join()
print(done > 0)
""")
        == "True\n"
    )


def test_samples_of_another_network(net: LeNet5) -> None:
    other = LeNet5(codes=lenet_c.codes.of("ABC"))
    samples = _core.Samples(other._network, np.zeros((2, 28, 28), np.uint8), [0, 1])
    state = SGD().new_state(N)
    for call in (
        lambda: net._network.evaluate(samples, "map", 5.0, 1.0),
        lambda: net._network.gradient(samples, "map", 5.0, 1.0),
        lambda: net._network.curvature(samples, None, "map", 5.0, 1.0),
        lambda: net._network.step(samples, None, "map", 5.0, 1.0, state, 1e-3),
    ):
        with pytest.raises(ValueError, match="samples: for a network of 32x32 pixels and 3 "):
            call()


def test_parts_that_the_core_does_not_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_core, "PARTS", (*_core.PARTS, *"abcdefgh"))
    assert _core.Profile().seconds("update") == 0.0
    with pytest.raises(ValueError, match="part: 'h'"):
        _core.Profile().seconds("h")


class Sub(np.ndarray):
    """Lies about its size."""

    def __len__(self) -> int:
        return 1 << 20


def test_subclasses_of_arrays(net: LeNet5, images: np.ndarray) -> None:
    labels = np.arange(8)
    want = net.loss_and_gradient(images, labels)
    given = net.loss_and_gradient(images.view(Sub), labels.view(Sub))
    assert given[0] == want[0]
    np.testing.assert_array_equal(given[1], want[1])
    twisted = net.predict(images[:, ::-1].view(Sub))
    np.testing.assert_array_equal(twisted, net.predict(images[:, ::-1]))
    net.parameters = (net.parameters * 2).view(Sub)
    assert type(net.parameters) is np.ndarray
    np.testing.assert_array_equal(net.parameters, LeNet5(seed=2).parameters * 2)


# ---- assigning parameters ------------------------------------------------------------------------


def put_item(net: LeNet5, value: Any) -> None:
    net["C1.bias"] = value


def put_all(net: LeNet5, value: Any) -> None:
    if isinstance(value, np.ndarray) and value.shape == (6,):
        value = np.concatenate([value, np.zeros(N - 6, value.dtype)])
    net.parameters = value


@pytest.mark.parametrize(
    "dtype", [np.float16, np.float32, np.float64, np.longdouble, ">f4", np.int8, np.uint64, bool]
)
@pytest.mark.parametrize("put", [put_item, put_all])
def test_values_are_copied_in(net: LeNet5, put: Callable[..., None], dtype: Any) -> None:
    values = np.array([1, 0, 1, 1, 0, 1]).astype(dtype)
    put(net, values)
    got = net["C1.bias"] if put is put_item else net.parameters[:6]
    np.testing.assert_array_equal(got, [1, 0, 1, 1, 0, 1])
    values[...] = 0
    assert got.any()
    assert not np.shares_memory(net.parameters, values)


@pytest.mark.parametrize("put", [put_item, put_all])
@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (0.0, ValueError, r"shape \(\), want just \("),
        (np.zeros(5), ValueError, r"shape \(5,\), want just \("),
        (np.zeros((1, 6)), ValueError, r"shape \(1, 6\), want just \("),
        (np.zeros((6, 1)), ValueError, r"shape \(6, 1\), want just \("),
        (np.broadcast_to(0.0, (1 << 40,)), ValueError, r"shape \(1099511627776,\), want just \("),
        (np.zeros(6, complex), TypeError, "dtype complex128, want real numbers"),
        (np.zeros(6, object), TypeError, "dtype object, want real numbers"),
        (np.array(["0"] * 6), TypeError, "dtype <U1, want real numbers"),
        (np.zeros(6, "m8[s]"), TypeError, r"dtype timedelta64\[s\], want real numbers"),
        (None, TypeError, "dtype object, want real numbers"),
        ([[1], [1, 2]], ValueError, "not an array"),
        (np.array([1, 2, 3, 4, 5, np.nan]), ValueError, "some are NaN or infinite in float32"),
        (np.array([1, 2, 3, 4, 5, -np.inf]), ValueError, "some are NaN or infinite in float32"),
        (np.array([1, 2, 3, 4, 5, 1e39]), ValueError, "some are NaN or infinite in float32"),
    ],
)
def test_values_that_are_refused_leave_the_network_as_it_was(
    net: LeNet5, put: Callable[..., None], value: Any, error: type[Exception], message: str
) -> None:
    before = net.parameters.tobytes()
    with pytest.raises(error, match=("C1.bias: " if put is put_item else "parameters: ") + message):
        put(net, value)
    assert net.parameters.tobytes() == before


def test_operators_on_parameters_and_views(net: LeNet5) -> None:
    first = LeNet5(seed=2)
    net["C3.weight"] *= 2
    net["C3.weight"] += 1
    np.testing.assert_array_equal(net["C3.weight"], first["C3.weight"] * 2 + 1)
    net["C3.weight"] = first["C3.weight"]
    net.parameters -= 0.5
    net.parameters /= 2
    np.testing.assert_array_equal(net.parameters, (first.parameters - np.float32(0.5)) / 2)
    net.parameters = net.parameters
    net.parameters = net.parameters[::-1]
    np.testing.assert_array_equal(net.parameters[::-1], (first.parameters - np.float32(0.5)) / 2)
    with pytest.raises(ValueError, match="parameters: some are NaN"), np.errstate(all="ignore"):
        net.parameters *= np.inf


def test_assigning_trained_codes() -> None:
    net = LeNet5(TRAINED_CODES, codes=CODES)
    net["output.weight"] = CODES + 1
    net.codes *= 2
    np.testing.assert_array_equal(net.codes, (CODES + 1) * 2)
    net.codes = CODES
    np.testing.assert_array_equal(net["output.weight"], CODES)
    with pytest.raises(ValueError, match=r"output.weight: shape \(6, 4\), want just \(4, 6\)"):
        net.codes = CODES.T


def test_fixed_codes_are_no_parameters(net: LeNet5) -> None:
    message = r"'output.weight': the codes are fixed, no parameters \(net.codes has them\); want"
    with pytest.raises(KeyError, match=message):
        net["output.weight"] = lenet_c.codes.DIGITS
    with pytest.raises(KeyError, match=message):
        net["output.weight"]
    with pytest.raises(AttributeError, match="fixed when it is made"):
        net.codes = lenet_c.codes.DIGITS
    with pytest.raises(AttributeError, match="has no RBF output"):
        LeNet5(LENET5_MODERN).codes = lenet_c.codes.DIGITS
    with pytest.raises(KeyError, match=r"'C9.weight': want one of C1.weight"):
        net["C9.weight"] = 0


@pytest.mark.filterwarnings("ignore::lenet_c.InputWarning")  # noise looks like no character
def test_old_pickles(images: np.ndarray) -> None:
    """Made by the version before, of a network with its own codes and of an optimizer's state."""
    net = LeNet5(seed=4, codes=lenet_c.codes.DIGITS[::-1] * 0.5)
    state = {
        "architecture": LENET5_1998,
        "parameters": net.parameters.copy(),
        "codes": np.array(net.codes),
        "notes": {"a": 1},
    }
    old = LeNet5.__new__(LeNet5)
    old.__setstate__(state)
    np.testing.assert_array_equal(old.forward(images), net.forward(images))
    trainer = Trainer(net, Adam(), freeze=["C1"])
    trainer.step(images, np.arange(8))
    kept = pickle.loads(pickle.dumps(trainer))
    for t in (trainer, kept):
        t.step(images, np.arange(8))
    np.testing.assert_array_equal(kept.network.parameters, net.parameters)


# ---- the core's functions ------------------------------------------------------------------------

ONE = "np.zeros((1, 8, 8), np.uint8)"
CALLS = {
    "distort": ("[1, 0, 0, 0, 0, 0, 4, 1, 1, 1, 0, 0, 0, 1]", "1", "0", ONE, ONE),
    "transform": ("[0, 0, 1, 1, 0, 0]", ONE, ONE),
    "layer_forward of a convolution": (
        "'conv'", "4", "3", "None", "f(2, 3, 8, 8)", "f(4 * 3 * 9)", "f(4)", "f(2, 4, 6, 6)"
    ),
    "layer_forward of one with a table": (
        "'conv'", "4", "3", "np.ones((4, 3), np.uint8)", "f(2, 3, 8, 8)", "f(4 * 3 * 9)", "f(4)",
        "f(2, 4, 6, 6)",
    ),
    "layer_backward of a convolution": (
        "'conv'", "4", "3", "None", "f(2, 3, 8, 8)", "f(4 * 3 * 9)", "f(2, 4, 6, 6)",
        "f(2, 3, 8, 8)", "f(4 * 3 * 9)", "f(4)",
    ),
    "layer_forward of subsampling": (
        "'subsample'", "0", "0", "None", "f(2, 3, 8, 9)", "f(3)", "f(3)", "f(2, 3, 4, 4)"
    ),
    "layer_backward of subsampling": (
        "'subsample'", "0", "0", "None", "f(2, 3, 8, 9)", "f(3)", "f(2, 3, 4, 4)",
        "f(2, 3, 8, 9)", "f(3)", "f(3)",
    ),
    "layer_forward of a mean": (
        "'average_pool'", "0", "0", "None", "f(2, 3, 8, 9)", "None", "None", "f(2, 3, 4, 4)"
    ),
    "layer_backward of a maximum": (
        "'max_pool'", "0", "0", "None", "f(2, 3, 8, 9)", "None", "f(2, 3, 4, 4)", "f(2, 3, 8, 9)",
        "None", "None",
    ),
    "layer_forward of units": (
        "'dense'", "3", "0", "None", "f(2, 5, 1, 1)", "f(15)", "f(3)", "f(2, 3, 1, 1)"
    ),
    "layer_backward of units": (
        "'dense'", "3", "0", "None", "f(2, 5, 1, 1)", "f(15)", "f(2, 3, 1, 1)", "f(2, 5, 1, 1)",
        "f(15)", "f(3)",
    ),
    "layer_forward of codes": (
        "'rbf'", "3", "0", "None", "f(2, 5, 1, 1)", "f(15)", "None", "f(2, 3, 1, 1)"
    ),
    "layer_backward of codes": (
        "'rbf'", "3", "0", "None", "f(2, 5, 1, 1)", "f(15)", "f(2, 3, 1, 1)", "f(2, 5, 1, 1)",
        "f(15)", "None",
    ),
    "squash": ("f(7)", "'tanh'", "f(7)"),
    "squash_backward": ("f(7)", "f(7)", "'tanh'", "f(7)"),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_arrays_of_single_kernels(name: str) -> None:
    """Each array in turn: None, empty, shorter, longer, and shorter or longer along each axis."""
    arguments = CALLS[name]
    code = f"""
import numpy as np
from lenet_c import _core

def f(*shape):
    return np.zeros(shape, np.float32)

def spoilt(a):
    if a.dtype != np.uint8 or {name.startswith(("distort", "transform"))}:
        yield None  # a table may be None, with other weights
    for axis in range(a.ndim):
        shape = list(a.shape)
        for size in (0, max(0, shape[axis] - 2), shape[axis] + 2, 20 * shape[axis]):
            yield np.zeros((*shape[:axis], size, *shape[axis + 1:]), a.dtype)
    yield np.zeros((*a.shape, 1), a.dtype)
    yield a.astype(np.float64)

function = _core.{name.split()[0]}
arguments = [{", ".join(arguments)}]
function(*arguments)
n = 0
for i, argument in enumerate(arguments):
    if not isinstance(argument, np.ndarray):
        continue
    for wrong in spoilt(argument):
        given = [*arguments[:i], wrong, *arguments[i + 1:]]
        try:
            function(*given)
        except (TypeError, ValueError):
            n += 1
        else:
            raise SystemExit(f"argument {{i}} {{getattr(wrong, 'shape', None)}} was taken")
print(n > 10)
"""
    assert run(code) == "True\n"


def test_none_where_the_core_wants_something() -> None:
    """All that may not be None, or must fit."""
    code = """
import functools
import numpy as np
from lenet_c import LeNet5, SGD, _core
net = LeNet5()._network
x = np.zeros((2, 28, 28), np.uint8)
samples = _core.Samples(net, x, [0, 1])
state = SGD().new_state(60000)
step = functools.partial(net.step, samples, None, "map", 5.0, 1.0)
nothing = [0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0]
calls = [
    (lambda: _core.Samples(None, x), "'network' has incorrect type"),
    (lambda: _core.Samples(net, None), "images: dtype object"),
    (lambda: net.forward(None), "images: dtype object"),
    (lambda: net.predict(None), "images: dtype object"),
    (lambda: net.probabilities(None), "images: dtype object"),
    (lambda: net.activations(None), "images: dtype object"),
    (lambda: net.evaluate(None, "map", 5.0, 1.0), "'samples' has incorrect type"),
    (lambda: net.evaluate(samples, None, 5.0, 1.0), "None"),
    (lambda: net.gradient(None, "map", 5.0, 1.0), "'samples' has incorrect type"),
    (lambda: net.gradient(samples, None, 5.0, 1.0), "None"),
    (lambda: net.curvature(None, None, "map", 5.0, 1.0), "'samples' has incorrect type"),
    (lambda: net.curvature(samples, np.zeros(0, np.int64), "map", 5.0, 1.0), "order: no indices"),
    (lambda: net.step(None, None, "map", 5.0, 1.0, state, 1e-3), "'samples' has incorrect type"),
    (lambda: step(None, 1e-3), "'state' has incorrect type"),
    (lambda: step(state, None), "must be real number, not NoneType"),
    (lambda: step(state, 1e-3, None, (nothing[1:], 0)), "values to unpack"),
    (lambda: step(state, 1e-3, None, ([float("nan"), *nothing[1:]], 0)), "refused the call"),
    (lambda: step(state, 1e-3, fallback=np.zeros(0, np.float32)), "fallback: 0 parameters"),
    (lambda: setattr(net, "profile", 3), "_core.Profile"),
    (lambda: _core.Profile().seconds("load", 64), "layer: got 64"),
    (lambda: _core.Profile().seconds(None), "not in tuple"),
    (lambda: state.freeze(None), "'NoneType'"),
    (lambda: _core.OptimizerState(None, 3), "None"),
    (lambda: _core.Network(None, (1, 8, 8), (0.0,), (1.0,), None), "'NoneType'"),
    (lambda: _core.Network([], (1, 8, 8), (0.0,), (1.0,), None), "layers: 0 of them"),
    (lambda: net.workspace_size("reading", 0, 1), "got 0 images"),
]
for i, (call, message) in enumerate(calls):
    try:
        call()
    except (TypeError, ValueError, KeyError, IndexError) as error:
        if message in str(error):
            continue
        print(error)
    print(i)
net.profile = None
step(state, 1e-3, None, (nothing, 0))
step(state, 1e-3, None, None, None)
print("done")
"""
    assert run(code) == "done\n"


class Endless(list):  # type: ignore[type-arg]
    """Has far more layers than memory has room for, it says."""

    def __len__(self) -> int:
        return (1 << 62) - 1


CONV = ("conv", "tanh", 4, 3, None, False, 0)
LAST = ("dense", "identity", 3, 0, None, False, 0)
UNITS = ("rbf", "identity", 3, 0, None, False, 0)


def conv(maps: int, table: np.ndarray | None = None) -> Any:
    return ("conv", "tanh", maps, 3, table, False, 0)


def units(n: int) -> Any:
    return ("dense", "tanh", n, 0, None, False, 0)


def ones(*shape: int) -> np.ndarray:
    return np.ones(shape, np.uint8)


def codes(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


POOL = ("average_pool", "identity", 0, 0, None, False, 0)
REFUSED = r"refused the call \(status 1\)"


@pytest.mark.parametrize(
    ("layers", "given", "message"),
    [
        ([LAST] * 65, None, "layers: 65 of them, want 1 to 64"),
        ([conv(4, ones(3, 1)), LAST], None, r"table 0: shape \(3, 1\), want \(4, 1\)"),
        ([conv(4, ones(4, 0)), LAST], None, r"table 0: shape \(4, 0\), want \(4, 1\)"),
        ([conv(4000, ones(4, 1)), LAST], None, r"table 0: shape \(4, 1\), want \(4000, 1\)"),
        ([CONV, conv(4, ones(4, 3)), LAST], None, r"table 1: shape \(4, 3\), want \(4, 4\)"),
        ([CONV, conv(4, ones(4, 1)), LAST], None, r"table 1: shape \(4, 1\), want \(4, 4\)"),
        ([units(5), UNITS], codes(3, 4), r"codes: shape \(3, 4\), want \(3, 5\)"),
        ([units(5), UNITS], codes(0, 5), r"codes: shape \(0, 5\), want \(3, 5\)"),
        ([units(5), UNITS], codes(2, 5), r"codes: shape \(2, 5\), want \(3, 5\)"),
        ([CONV, units(4096), UNITS], codes(1, 1), r"codes: shape \(1, 1\), want \(3, 4096\)"),
        ([UNITS], codes(3, 63), r"codes: shape \(3, 63\), want \(3, 64\)"),
        ([CONV, POOL, UNITS], codes(3, 35), r"codes: shape \(3, 35\), want \(3, 36\)"),
        ([UNITS], None, REFUSED),
        ([LAST], codes(3, 64), REFUSED),
        ([conv(-4), UNITS], codes(3, 1), REFUSED),
    ],
)
def test_descriptions_that_do_not_fit(layers: Any, given: Any, message: str) -> None:
    """The core would read tables and codes by the sizes of the layers."""
    with pytest.raises(ValueError, match=message):
        _core.Network(layers, (1, 8, 8), (0.0,), (1.0,), given)


def test_descriptions_beyond_all_counts() -> None:
    with pytest.raises(OverflowError, match="too large to convert"):
        _core.Network([conv(1 << 40), UNITS], (1, 8, 8), (0.0,), (1.0,), codes(3, 1))
    with pytest.raises(MemoryError):
        _core.Network(Endless([LAST]), (1, 8, 8), (0.0,), (1.0,), None)


def test_levels_for_fewer_channels() -> None:
    """The core would read a level of each channel, and two of each that was learnt from."""
    code = """
from lenet_c import LeNet5, _core
net = LeNet5()._network
last = [("dense", "identity", 3, 0, None, False, 0)]
for call in (
    lambda: _core.Network(last, (3, 8, 8), [], (1.0, 1.0, 1.0), None),
    lambda: _core.Network(last, (3, 8, 8), (0.0, 0.0, 0.0), (1.0, 1.0), None),
    lambda: setattr(net, "learnt_from", (1, [], (0.0, 0.0), (1.0, 1.0))),
    lambda: setattr(net, "learnt_from", (1, (0.0, 0.0), (0.0, 0.0), (1.0,))),
):
    try:
        call()
    except ValueError as error:
        print(error)
"""
    assert run(code).splitlines() == [
        "background: shape (0,), want (3,)",
        "foreground: shape (2,), want (3,)",
        "need more than 0 values to unpack",
        "need more than 1 value to unpack",
    ]


def test_descriptions_that_fit() -> None:
    layers = [CONV, conv(4, ones(4, 4)), POOL, UNITS]
    net = _core.Network(layers, (1, 9, 8), (0.0,), (1.0,), codes(3, 16))
    assert net.n_parameters == 40 + 4 * 4 * 9 + 4
    order = np.asfortranarray(np.arange(48, dtype=np.float32).reshape(3, 16))
    _core.Network(layers, (1, 9, 8), (0.0,), (1.0,), order)


# ---- limits on bytes -----------------------------------------------------------------------------


def test_the_limit_is_set_and_told(limit: Callable[[Any], None]) -> None:
    assert lenet_c.get_memory_limit() == 2 << 30
    for value, want in ((1, 1), (1 << 40, 1 << 40), (None, None), (1 << 70, None)):
        limit(value)
        assert lenet_c.get_memory_limit() == want
    for wrong in (0, -1, 1.5, "2 GB", True):
        with pytest.raises(ValueError if wrong in (0, -1) else TypeError, match="limit: got"):
            limit(wrong)


def test_a_small_file_does_not_take_all_memory(limit: Callable[[Any], None]) -> None:
    file = io.BytesIO()
    LeNet5(HUNGRY).save(file)
    assert len(file.getvalue()) < 8000
    file.seek(0)
    began = time.process_time()
    net = LeNet5.load(file)
    image = np.zeros((1024, 1024), np.uint8)
    message = (
        r"training, 1 image on 1 thread, with a network of 778 parameters whose largest layer has "
        r"64x1024x1024 units: wants \d+,\d{3},\d{3},\d{3} bytes, at most 2,147,483,648 are "
        r"allowed; lenet_c.set_memory_limit allows more$"
    )
    with pytest.raises(MemoryError, match=message):
        net.loss_and_gradient(image, 0)
    with pytest.raises(MemoryError, match="training, 1 image"):
        Trainer(net).step(image, 0)
    with pytest.raises(MemoryError, match="training, 1 image"):
        net.activations(image)
    with pytest.raises(MemoryError, match="curvature, 1 image"):
        net.curvature(image, 0)
    limit(1 << 20)
    with pytest.raises(MemoryError, match="reading, 1 image on 1 thread, "):
        net.predict(image)
    assert time.process_time() - began < 5  # nothing was computed


@pytest.mark.parametrize("what", ["reading", "training", "curvature"])
@pytest.mark.parametrize("threads", [1, 3])
def test_the_limit_is_kept_to_the_byte(
    net: LeNet5, limit: Callable[[Any], None], what: str, threads: int
) -> None:
    images, labels = np.zeros((200, 28, 28), np.uint8), np.zeros(200, int)
    call, results = {
        "reading": (lambda t: net.forward(images, num_threads=t), 200 * 40),
        "training": (lambda t: net.loss_and_gradient(images, labels, num_threads=t), 4 * N),
        "curvature": (lambda t: net.curvature(images, labels, num_threads=t), 4 * N),
    }[what]
    want = call(threads)
    enough = net._network.workspace_size(what, 200, threads) + results
    limit(enough)
    got = call(threads)
    limit(enough - 1)
    remedy = "fewer images at a time" + " or fewer threads" * (threads > 1)
    with pytest.raises(MemoryError, match=rf"^{what}, 200 images on {threads} .*; {remedy} take"):
        call(threads)
    if threads > 1:
        # nobody asked for so many
        lenet_c.set_num_threads(threads)
        try:
            fewer = call(None)
        finally:
            lenet_c.set_num_threads(None)
        np.testing.assert_array_equal(np.hstack(fewer), np.hstack(want))
    np.testing.assert_array_equal(np.hstack(got), np.hstack(want))


def test_what_the_named_networks_want_is_allowed() -> None:
    """60,000 images on 64 threads; the 1998 network's activations too."""
    for architecture in (LENET5_1998, LENET5_MODERN, lenet_c.LENET5_28, lenet_c.LENET_3X3):
        core = LeNet5(architecture)._network
        for what in ("reading", "training", "curvature"):
            assert core.workspace_size(what, 60_000, 64) < 1 << 29
    core = LeNet5()._network
    sizes = [math.prod(shape) for shape in LENET5_1998.output_shapes.values()]
    assert core.workspace_size("training", 60_000, 64) + 4 * 60_000 * sum(sizes) < 2 << 30


@pytest.mark.parametrize(
    "layers",
    [
        [("conv", "tanh", 256, 1, None, False, 0), ("conv", "tanh", 256, 1, None, False, 0), LAST],
        [("conv", "tanh", 16, 1, None, False, 0), LAST],
        [("conv", "tanh", 4096, 1, None, False, 0)] * 3
        + [("average_pool", "identity", 0, 0, None, False, 0)] * 9
        + [LAST],
    ],
    ids=["large maps", "many inputs", "all"],
)
@pytest.mark.parametrize("what", ["reading", "training"])
def test_sizes_do_not_overflow(what: str, layers: Any) -> None:
    """Each thread takes as much as the one before, up to the most that there can be."""
    if sys.maxsize < 2**40:
        pytest.skip("needs 64 bits")
    inputs = layers[0][2] * 1024 * 1024
    if len(layers) < 4 and inputs > 1 << 24:
        layers = [*layers[:-1], *[("average_pool", "identity", 0, 0, None, False, 0)] * 5, LAST]
    core = _core.Network(layers, (1, 1024, 1024), (0.0,), (1.0,), None)
    sizes = [core.workspace_size(what, 10**15, threads) for threads in (16, 17, 255, 256)]
    assert sizes[1] - sizes[0] == sizes[3] - sizes[2] > 4 * inputs
    assert sizes[3] > 240 * (sizes[1] - sizes[0])


def test_outputs_count(net: LeNet5, limit: Callable[[Any], None], images: np.ndarray) -> None:
    many = np.zeros((20_000, 28, 28), np.uint8)
    limit(4 << 20)
    net.predict(many, num_threads=1)
    net.activations(images, num_threads=1)
    with pytest.raises(MemoryError, match=r"training, 20000 images on 1 thread.*fewer images"):
        net.activations(many, num_threads=1)
    limit(1 << 20)
    for call in (net.forward, net.predict, net.predict_proba):
        with pytest.raises(MemoryError, match="reading, 60000 images"):
            call(np.repeat(many, 3, axis=0), num_threads=1)


def test_views_that_repeat_are_not_copied_without_end(net: LeNet5) -> None:
    images = np.broadcast_to(np.zeros((28, 28), np.uint8), (10_000_000, 28, 28))
    message = "wants 7,840,000,000 bytes, at most 2,147,483,648 are allowed; fewer images at a time"
    with pytest.raises(MemoryError, match=f"images: a contiguous copy: {message}"):
        net.forward(images)
    with pytest.raises(MemoryError, match=f"images: a copy: {message}"):
        lenet_c.distort.transform(images)
    with pytest.raises(MemoryError, match=r"preview of 1000000000 times \(28, 28\)"):
        lenet_c.distort.preview(images[0], n=10**9)
    with pytest.raises(ValueError, match=r"labels: shape \(1099511627776,\), want \(1,\)"):
        net.evaluate(images[:1], np.broadcast_to(0, (1 << 40,)))
    with pytest.raises(ValueError, match=r"codes: shape \(1099511627776, 84\)"):
        LeNet5(LENET5_1998, codes=np.broadcast_to(0.0, (1 << 40, 84)))


def test_limits_of_single_kernels() -> None:
    x, w = np.zeros((1, 1, 1024, 1024)), np.zeros((4096, 1, 1, 1))
    kernels = lenet_c.kernels
    with pytest.raises(MemoryError, match=r"y of shape \(1, 4096, 1024, 1024\): wants 17,179,869,"):
        kernels.conv(x, w, np.zeros(4096))
    with pytest.raises(MemoryError, match="conv: its workspace: wants"):
        kernels.conv(x, w[:60], np.zeros(60))
    endless = np.broadcast_to(0.0, (1 << 30, 4))
    with pytest.raises(MemoryError, match=r"x: a float32 copy: wants 17,179,869,184 bytes, .*rows"):
        kernels.dense(endless, np.zeros((2, 4)), np.zeros(2))


def test_networks_that_are_too_large(limit: Callable[[Any], None]) -> None:
    wide = Architecture(
        "wide",
        (Dense("F1", units=255), Dense("output", units=10, activation="identity")),
        input_shape=(1024, 1024),
    )
    with pytest.raises(MemoryError, match=r"architecture: wide, of 267,389,695 parameters: wants"):
        LeNet5(wide)
    limit(1 << 19)
    with pytest.raises(MemoryError, match="architecture: lenet5-1998"):
        LeNet5()
    limit(2 << 20)
    LeNet5()


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="no /proc")
def test_nothing_is_taken_before_a_call_is_refused() -> None:
    code = """
import numpy as np, lenet_c
from lenet_c import Architecture, Conv, AveragePool, Dense, LeNet5

def most():
    lines = open("/proc/self/status").read().splitlines()
    return int(next(line for line in lines if line.startswith("VmPeak")).split()[1])

layers = [Conv("C1", maps=64, kernel=1)] + [AveragePool(f"S{i}") for i in range(2, 12)]
layers = (*layers, Dense("output", units=10, activation="identity"))
net = LeNet5(Architecture("hungry", layers, input_shape=(1024, 1024)))
small = LeNet5()
many = np.zeros((60000, 28, 28), np.uint8)
images = np.zeros((3, 1024, 1024), np.uint8)
small.predict(many[:64], num_threads=1)
before = most()
for call in (
    lambda: net.loss_and_gradient(images, [0, 1, 2]),
    lambda: net.curvature(images, [0, 1, 2]),
    lambda: net.activations(images),
    lambda: small.activations(np.repeat(many, 1, axis=0)[:, ::-1].copy(), num_threads=1),
):
    lenet_c.set_memory_limit(100 << 20)
    try:
        call()
    except MemoryError:
        continue
    print("taken")
print((most() - before) // 1024 < 150)
"""
    assert run(code) == "True\n"
