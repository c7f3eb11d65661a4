"""Compiled networks: the bits of the network they were made of, whatever becomes of it."""

from __future__ import annotations

import copy
import pickle
import threading
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lenet_c
from lenet_c import (
    LENET4,
    LENET5_28,
    LENET5_1998,
    LENET5_MODERN,
    LENET_3X3,
    RBF,
    SGD,
    Architecture,
    CompiledLeNet5,
    Conv,
    Dense,
    LeNet5,
    Rejection,
    Subsample,
    Trainer,
    _core,
)

# random images are like nothing that was learnt from
pytestmark = pytest.mark.filterwarnings("ignore::lenet_c.InputWarning")

COUNTS = (1, 5, 33, 1000)
TRAINED_CODES = Architecture(
    "trained codes",
    (Conv("C1", 3, 5), Subsample("S2"), Dense("F3", 9), RBF("OUT", 4, trained=True)),
    input_shape=(12, 20),
)
ARCHITECTURES = (LENET5_1998, LENET5_MODERN, LENET5_28, LENET_3X3, LENET4, TRAINED_CODES)

Images = np.ndarray


def random_images(architecture: Architecture, n: int, seed: int = 0) -> Images:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, *architecture.input_shape)).astype(np.uint8)


def make(architecture: Architecture, seed: int = 3) -> LeNet5:
    codes = None
    if architecture is TRAINED_CODES:
        codes = np.eye(4, 9, dtype=np.float32)
    return LeNet5(architecture, seed=seed, codes=codes)


@pytest.fixture(scope="module", params=["mnist", "mnist-modern", *ARCHITECTURES], ids=str)
def net(request: pytest.FixtureRequest) -> LeNet5:
    if isinstance(request.param, str):
        return LeNet5.pretrained(request.param)
    return make(request.param)


@pytest.fixture(scope="module")
def digits() -> LeNet5:
    """A network with all that a reader needs; its own to nobody, so not to be changed."""
    network = LeNet5.pretrained("mnist")
    network.class_names = ["d" + name for name in "0123456789"]
    return network


def same(one: Any, other: Any) -> None:
    """Every bit: NaN too."""
    assert type(one) is type(other)
    if isinstance(one, np.ndarray):
        assert one.dtype == other.dtype
        assert one.shape == other.shape
        assert one.tobytes() == other.tobytes()
    elif isinstance(one, dict):
        assert list(one) == list(other)
        for name in one:
            same(one[name], other[name])
    elif isinstance(one, tuple):
        for part, another in zip(one, other, strict=True):
            same(part, another)
    else:
        assert one == other


@pytest.mark.parametrize("n", COUNTS)
def test_the_same_bits(net: LeNet5, n: int) -> None:
    images = random_images(net.architecture, n)
    labels = np.arange(n) % net.architecture.classes
    compiled = net.compile()
    assert isinstance(compiled, CompiledLeNet5)
    for threads in (1, 2, 3, None):
        same(
            compiled.forward(images, num_threads=threads), net.forward(images, num_threads=threads)
        )
    same(compiled.predict(images), net.predict(images))
    same(compiled.predict_proba(images), net.predict_proba(images))
    same(compiled.best_two(images), net.best_two(images))
    same(compiled.evaluate(images, labels), net.evaluate(images, labels))
    if n <= 33:
        same(compiled.activations(images), net.activations(images))
        same(vars(compiled.read(images)), vars(net.read(images)))
        reject = Rejection(margin=0.5)
        same(compiled.predict(images, reject=reject), net.predict(images, reject=reject))
        same(
            compiled.rejection_curve(images, labels).error_rate,
            net.rejection_curve(images, labels).error_rate,
        )
    normalised = np.random.default_rng(1).random((n, *net.architecture.input_shape), np.float32)
    same(compiled.forward(normalised), net.forward(normalised))


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=str)
def test_it_does_not_follow_the_network(architecture: Architecture) -> None:
    net = make(architecture)
    images = random_images(architecture, 40)
    labels = np.arange(40) % architecture.classes
    compiled = net.compile()
    before = [compiled.forward(images[:n]) for n in (1, 40)]
    activations = compiled.activations(images)
    Trainer(net, SGD(1e-4), batch_size=8).fit(images, labels, epochs=1)
    net.parameters[...] += 0.5
    for n, outputs in zip((1, 40), before, strict=True):
        same(compiled.forward(images[:n]), outputs)
        assert not np.array_equal(net.forward(images[:n]), outputs)
    same(compiled.activations(images), activations)
    same(net.compile().forward(images), net.forward(images))


def test_what_a_reader_needs_is_kept(digits: LeNet5) -> None:
    net = copy.deepcopy(digits)
    compiled = net.compile()
    names = net.class_names
    for name in ("architecture", "codes", "class_names", "temperature", "rejection", "subspaces"):
        same(getattr(compiled, name), getattr(net, name))
        assert getattr(compiled, name) is not None
    assert compiled.learnt_from == net.learnt_from
    assert compiled.learnt_from is not None
    net.class_names = None
    net.temperature = 99.0
    net.rejection = None
    net.subspaces = None
    assert compiled.class_names == names
    assert compiled.temperature == digits.temperature
    assert compiled.rejection == digits.rejection
    images = random_images(net.architecture, 3)
    same(vars(compiled.read(images)), vars(digits.read(images)))


def test_codes_that_are_trained_are_kept() -> None:
    net = make(TRAINED_CODES)
    compiled = net.compile()
    assert net.codes is not None
    kept = net.codes.copy()
    net.codes[...] = 0.0
    same(compiled.codes, kept)
    images = random_images(TRAINED_CODES, 3)
    same(compiled.forward(images), make(TRAINED_CODES).forward(images))


def test_it_cannot_be_changed(digits: LeNet5) -> None:
    compiled = digits.compile()
    for name in ("temperature", "class_names", "architecture", "_network", "anything"):
        with pytest.raises(AttributeError, match=rf"{name}: .*compile that anew"):
            setattr(compiled, name, 1.0)
        with pytest.raises(AttributeError, match=name):
            delattr(compiled, name)
    for array in (compiled.codes, compiled.subspaces):
        assert array is not None
        assert not array.flags.writeable
        with pytest.raises(ValueError, match="WRITEABLE"):
            array.flags.writeable = True
    parameters = compiled._network.parameters
    parameters[...] = 0.0  # a copy
    same(compiled._network.parameters, digits.parameters)
    for name in ("parameters", "loss_and_gradient", "calibrate", "save", "notes"):
        assert not hasattr(compiled, name)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_pickles(digits: LeNet5, protocol: int) -> None:
    compiled = digits.compile()
    again = pickle.loads(pickle.dumps(compiled, protocol))
    assert isinstance(again, CompiledLeNet5)
    assert again._network is not compiled._network
    images = random_images(digits.architecture, 33)
    same(again.forward(images), digits.forward(images))
    same(vars(again.read(images)), vars(digits.read(images)))
    for name in ("architecture", "codes", "class_names", "temperature", "rejection", "subspaces"):
        same(getattr(again, name), getattr(digits, name))
    assert again.learnt_from == digits.learnt_from
    assert again._network.assumed == digits._network.assumed


def test_a_pickle_has_what_the_network_s_own_has(digits: LeNet5) -> None:
    state, own = digits.compile().__getstate__(), digits.__getstate__()
    del own["notes"]
    same(state, own)


def test_pickles_with_trained_codes_and_without_a_record() -> None:
    net = make(TRAINED_CODES)
    again = pickle.loads(pickle.dumps(net.compile()))
    images = random_images(TRAINED_CODES, 9)
    same(again.forward(images), net.forward(images))
    assert again.learnt_from is None
    assert not again._network.assumed


def test_copies_are_itself(digits: LeNet5) -> None:
    compiled = digits.compile()
    assert copy.copy(compiled) is compiled
    assert copy.deepcopy([compiled])[0] is compiled


def test_many_threads_at_once(digits: LeNet5) -> None:
    compiled = digits.compile()
    batches = [random_images(digits.architecture, n, seed=n) for n in (1, 5, 33, 200)]
    wanted = [digits.forward(images) for images in batches]
    wrong: list[str] = []

    def work(k: int) -> None:
        for turn in range(30):
            i = (k + turn) % len(batches)
            got = compiled.forward(batches[i], num_threads=1 + turn % 2)
            if got.tobytes() != wanted[i].tobytes():
                wrong.append(f"thread {k}, turn {turn}")

    threads = [threading.Thread(target=work, args=(k,)) for k in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_it_outlives_the_network() -> None:
    net = make(LENET_3X3)
    images = random_images(LENET_3X3, 20)
    wanted = net.forward(images)
    compiled = net.compile()
    del net
    make(LENET_3X3, seed=7).forward(images)  # memory that was the network's
    same(compiled.forward(images), wanted)


def test_images_that_are_read_only_or_lie_apart(digits: LeNet5) -> None:
    compiled = digits.compile()
    images = random_images(digits.architecture, 40)
    images.flags.writeable = False
    same(compiled.forward(images), digits.forward(images))
    same(compiled.forward(images[::3, ::-1]), digits.forward(images[::3, ::-1]))
    same(compiled.forward(images[0]), digits.forward(images[0]))


BAD: list[Callable[[Any], object]] = [
    lambda net: net.forward(np.zeros((2, 28, 28))),
    lambda net: net.forward(np.zeros((2, 30, 28), np.float32)),
    lambda net: net.forward(np.zeros((0, 28, 28), np.uint8)),
    lambda net: net.forward(np.zeros((2, 3, 28, 28), np.uint8)),
    lambda net: net.forward(np.full((1, 32, 32), np.nan, np.float32)),
    lambda net: net.forward(np.eye(28, dtype=np.uint8)),
    lambda net: net.forward("no images"),
    lambda net: net.predict(np.zeros((2, 28, 28), np.uint8), num_threads=0),
    lambda net: net.predict(np.zeros((2, 28, 28), np.uint8), num_threads="2"),
    lambda net: net.predict(np.zeros((2, 28, 28), np.uint8), reject=3),
    lambda net: net.evaluate(np.zeros((2, 28, 28), np.uint8), [1, 10]),
    lambda net: net.evaluate(np.zeros((2, 28, 28), np.uint8), [1]),
    lambda net: net.evaluate(np.zeros((2, 28, 28), np.uint8), [1, 2], "none"),
    lambda net: net.evaluate(np.zeros((2, 28, 28), np.uint8), [1, 2], j=0.0),
    lambda net: net.rejection_curve(np.zeros((2, 28, 28), np.uint8), [1, 2], by="length"),
]


@pytest.mark.parametrize("call", BAD)
def test_errors_are_the_network_s_own(digits: LeNet5, call: Callable[[Any], object]) -> None:
    with pytest.raises((TypeError, ValueError)) as wanted:
        call(digits)
    with pytest.raises(type(wanted.value)) as got:
        call(digits.compile())
    assert str(got.value) == str(wanted.value)


def test_warnings_are_the_network_s_own(digits: LeNet5) -> None:
    images = 255 - random_images(digits.architecture, 30) // 4  # light around
    messages = []
    for reader in (digits, digits.compile()):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            reader.forward(images)
        messages.append([str(one.message) for one in caught])
    assert messages[0] == messages[1]
    assert len(messages[0]) == 1


def test_outputs_that_are_not_finite() -> None:
    net = make(LENET5_1998)
    net["F6.bias"][3] = np.nan
    compiled = net.compile()
    images = random_images(LENET5_1998, 2)
    with pytest.raises(FloatingPointError, match="row 0"):
        compiled.predict(images)
    same(compiled.forward(images), net.forward(images))


def test_only_a_network_compiles() -> None:
    net = make(LENET_3X3)
    for given in (None, "mnist", net.compile(), LENET_3X3):
        with pytest.raises(TypeError, match=r"network: got .*, want a LeNet5"):
            CompiledLeNet5(given)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="want a LeNet5"):
        Trainer(net.compile())  # type: ignore[arg-type]


def test_the_memory_limit_holds(digits: LeNet5) -> None:
    lenet_c.set_memory_limit(100_000)
    try:
        with pytest.raises(MemoryError, match=r"compiled network of 60,000 parameters: wants"):
            digits.compile()
    finally:
        lenet_c.set_memory_limit(2 << 30)


def test_the_core_checks_for_itself() -> None:
    net = make(LENET_3X3)._network
    with pytest.raises(ValueError, match="parameters"):
        _core.Model(net, np.zeros(net.n_parameters - 1, np.float32))
    for bad in (
        lambda: _core.Plan(),
        lambda: _core.Model(None, net.parameters),
        lambda: _core.Model(net, None),
        lambda: _core.Model.__new__(_core.Model),
        lambda: copy.copy(_core.Model(net, net.parameters)),
    ):
        with pytest.raises(TypeError):
            bad()
    samples = _core.Samples(make(LENET5_1998)._network, np.zeros((2, 28, 28), np.uint8), look=False)
    with pytest.raises(ValueError, match="samples: for a network of 32x32"):
        _core.Model(net, net.parameters).forward(samples)
