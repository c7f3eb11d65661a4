"""Images that no network is meant to read: what is said, and that the line in it mends them."""

from __future__ import annotations

import copy
import dataclasses
import os
import pickle
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lenet_c
from lenet_c import InputWarning, LeNet5, Rejection, Trainer, datasets, preprocess
from lenet_c.inputs import Appearance

Images = np.ndarray


def digits_network(images: Images, labels: Images) -> LeNet5:
    net = LeNet5()
    optimizer = lenet_c.Adam(5e-3, schedule="one_cycle")
    Trainer(net, optimizer, batch_size=32).fit(images, labels, epochs=20)
    net.rejection = Rejection(penalty=15.0)
    return net


@pytest.fixture(scope="module", params=["mnist", "mnist-modern", "digits"])
def trained(request: pytest.FixtureRequest) -> tuple[LeNet5, Images, Images]:
    """A network, images that it reads, and their labels."""
    if request.param == "digits":
        pytest.importorskip("sklearn")
        (images, labels), (others, their_labels) = datasets.digits()
        return digits_network(images, labels), others, their_labels
    if not os.environ.get("LENET_C_DATA"):
        pytest.skip("LENET_C_DATA is not set")
    _, (images, labels) = datasets.mnist(os.environ["LENET_C_DATA"])
    return LeNet5.pretrained(request.param), images[-1000:], labels[-1000:]


@pytest.fixture
def reader(trained: tuple[LeNet5, Images, Images]) -> tuple[LeNet5, Images, Images]:
    """The same, that has turned no images in vain yet, which puts the next time off."""
    net, images, labels = trained
    return copy.deepcopy(net), images, labels


def padded(images: Images, value: float = 0) -> Images:
    return np.pad(images, ((0, 0), (2, 2), (2, 2)), constant_values=value)


def float32(images: Images) -> Images:
    return images.astype(np.float32)


def normal(images: Images) -> Images:
    return preprocess.normalize(padded(images))


class Frame:
    """What a pandas.DataFrame has that matters here, where pandas need not be installed."""

    def __init__(self, values: Images) -> None:
        self.values = values

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Images:
        return np.array(self.values, dtype)

    def to_numpy(self) -> Images:
        return self.values

    @property
    def iloc(self) -> Any:
        values = self.values

        class Part:
            def __getitem__(self, key: Any) -> Frame:
                return Frame(values[key])

        return Part()


def standardised(images: Images) -> Images:
    return (images / 255 - 0.1307) / 0.3081


WARNED: dict[str, Callable[[Images], Images]] = {
    "0 to 1, padded with 0": lambda x: float32(padded(x) / 255),
    "standardised": lambda x: float32(standardised(padded(x))),
    "standardised, padded with 0": lambda x: float32(padded(standardised(x))),
    "-1 to 1": lambda x: float32(padded(x) / 127.5 - 1),
    "-1 to 1, padded with 0": lambda x: float32(padded(x / 127.5 - 1)),
    "0 to 16 as float32": lambda x: float32(padded(x) / 16),
    "scaled twice": lambda x: float32(padded(x) / 255 / 255),
    "inverted": lambda x: 255 - x,
    "inverted, as the network has them": lambda x: float32(1.075 - preprocess.normalize(padded(x))),
    "inverted, 0 to 1": lambda x: float32(1 - padded(x) / 255),
    "inverted, padded with 0": lambda x: padded(255 - x),
    "inverted, 0 to 1, padded with 0": lambda x: float32(padded(1 - x / 255)),
    "inverted, 0 to 1, padded with -0.1": lambda x: float32(padded(1 - x / 255, -0.1)),
    "inverted, as the network has them, padded with -0.1": lambda x: float32(
        padded(1.075 - preprocess.normalize(x), -0.1)
    ),
    "inverted, -1 to 1, padded with 0": lambda x: float32(padded(1 - x / 127.5)),
    "padded with 255": lambda x: padded(x, 255),
    "padded with 100": lambda x: padded(x, 100),
    "as the network has them, padded with 1": lambda x: float32(padded(preprocess.normalize(x), 1)),
    "inverted, padded with 100": lambda x: padded(255 - x, 100),
    "0 to 15": lambda x: x // 16,
    "on grey": lambda x: (x * 0.8 + 40).astype(np.uint8),
    "on grey, padded with 0": lambda x: padded((x * 0.8 + 40).astype(np.uint8)),
}
TURNED: dict[str, Callable[[Images], Images]] = {
    "transposed": lambda x: np.ascontiguousarray(x.swapaxes(1, 2)),
    "mirrored": lambda x: np.ascontiguousarray(x[..., ::-1]),
    "mirrored top to bottom": lambda x: x[:, ::-1],
    "turned": lambda x: np.rot90(x, axes=(1, 2)),
    "turned the other way": lambda x: np.rot90(x, 3, axes=(1, 2)),
    "both": lambda x: np.rot90(x, 1, axes=(1, 2))[..., ::-1],
}
REFUSED: dict[str, Callable[[Images], Any]] = {
    "0 and 1": lambda x: (x > 127).astype(np.uint8),
    "0 to 255 as float32": lambda x: float32(padded(x)),
    "float64": lambda x: x / 255,
    "float64 of 0 to 255": lambda x: x.astype(np.float64),
    "float64 of -1 to 1": lambda x: x / 127.5 - 1,
    "float64 of 0 to 1023": lambda x: x / 255 * 1023,
    "float64 of 32x32": lambda x: padded(x) / 255,
    "float64 as the network has them": lambda x: preprocess.normalize(padded(x)).astype(float),
    "float16": lambda x: x.astype(np.float16),
    "28x28 float32": lambda x: float32(x / 255),
    "int64": lambda x: x.astype(np.int64),
    "int64 of 32x32": lambda x: padded(x).astype(np.int64),
    "int8 from -128": lambda x: (x.astype(np.int16) - 128).astype(np.int8),
    "int8 from -128 of 32x32": lambda x: (padded(x).astype(np.int16) - 128).astype(np.int8),
    "int8 of 0 and 1 of 32x32": lambda x: (padded(x) > 127).astype(np.int8),
    "float16 from -60000": lambda x: (x * 470.0 - 60000).astype(np.float16),
    "object": lambda x: x.astype(object),
    "object of 32x32": lambda x: padded(x).astype(object),
    "lists of -1 to 1": lambda x: (x / 127.5 - 1).tolist(),
    "lists of 32x32": lambda x: (padded(x) / 255).tolist(),
    "a DataFrame": lambda x: Frame(x.reshape(-1, 784)),
    "a DataFrame of -1 to 1": lambda x: Frame(x.reshape(-1, 784) / 127.5 - 1),
    "a DataFrame with labels": lambda x: Frame(
        np.concatenate([np.zeros((len(x), 1), int), x.reshape(-1, 784)], axis=1)
    ),
    "lists with labels": lambda x: np.concatenate(
        [np.zeros((len(x), 1), int), x.reshape(-1, 784)], axis=1
    ).tolist(),
    "(N, 785)": lambda x: np.concatenate([x[:, 0, :1], x.reshape(-1, 784)], axis=1),
    "(784, N)": lambda x: x.reshape(-1, 784).T,
    "(28, 28, N)": lambda x: x.transpose(1, 2, 0),
    "NaN": lambda x: np.where(np.arange(1024).reshape(32, 32) % 1024, normal(x), np.nan),
    "infinite": lambda x: np.where(np.arange(1024).reshape(32, 32) % 1024, normal(x), -np.inf),
    "NaN in float64": lambda x: np.where(
        np.arange(1024).reshape(32, 32) % 1024, normal(x), np.nan
    ).astype(float),
    "bool": lambda x: x > 127,
    "bool of 32x32": lambda x: padded(x) > 127,
    "lists": lambda x: x.tolist(),
    "(N, 784)": lambda x: x.reshape(-1, 784),
    "(N, 784), 0 to 1": lambda x: x.reshape(-1, 784) / 255,
    "(N, 28, 28, 1)": lambda x: x[..., None],
    "(N, 1, 28, 28)": lambda x: x[:, None],
    "(N, 1, 28, 28), standardised": lambda x: float32(standardised(x))[:, None],
    "(N, 1, 32, 32), 0 to 1": lambda x: float32(padded(x) / 255)[:, None],
    "(N, 28, 28, 3)": lambda x: np.repeat(x[..., None], 3, axis=-1),
    "(N, 3, 28, 28)": lambda x: np.repeat(x[:, None], 3, axis=1),
}
CALLS: dict[str, Callable[[LeNet5, Images, Images], Any]] = {
    "forward": lambda net, x, y: net.forward(x),
    "predict": lambda net, x, y: net.predict(x),
    "predict, reject": lambda net, x, y: net.predict(x, reject=Rejection()),
    "read": lambda net, x, y: net.read(x),
    "best_two": lambda net, x, y: net.best_two(x),
    "predict_proba": lambda net, x, y: net.predict_proba(x),
    "activations": lambda net, x, y: net.activations(x),
    "evaluate": lambda net, x, y: net.evaluate(x, y),
    "loss_and_gradient": lambda net, x, y: net.loss_and_gradient(x, y),
    "rejection_curve": lambda net, x, y: net.rejection_curve(x, y),
    "step": lambda net, x, y: Trainer(copy.deepcopy(net)).step(x, y),
    "fit": lambda net, x, y: Trainer(copy.deepcopy(net)).fit(x, y, epochs=1),
}


def error_rate(net: LeNet5, images: Images, labels: Images) -> float:
    return float((net.predict(images) != labels).mean())


def mended(message: str, images: Any) -> Any:
    """Run the line of code at the end of a message."""
    line = re.search(r"images = .*$", message)
    assert line is not None, message
    names: dict[str, Any] = {"images": images, "np": np, "lenet_c": lenet_c}
    exec(line[0], names)
    return names["images"]


def warned(call: Callable[[], Any]) -> str:
    """Give the one warning of a call, which names this file."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    assert [one.category for one in caught] == [InputWarning]
    assert caught[0].filename == __file__
    return str(caught[0].message)


def check_mended(reader: tuple[LeNet5, Images, Images], message: str, given: Any) -> None:
    net, images, labels = reader
    wanted = error_rate(net, images, labels)
    got = error_rate(net, mended(message, given), labels)  # and nothing is warned of any more
    assert got <= wanted + (0.003 if len(labels) == 1000 else 0.02)
    # of two grey levels they are read less well
    assert len(labels) < 1000 or got < (0.01 if len(np.unique(images)) > 2 else 0.02)


@pytest.mark.parametrize("kind", WARNED)
def test_unlikely_images_are_told_and_mended(
    kind: str, reader: tuple[LeNet5, Images, Images]
) -> None:
    net, images, _ = reader
    if "on grey" in kind:
        pytest.importorskip("scipy")
        pytest.importorskip("PIL.Image")
        reader = net, images[:300], reader[2][:300]
        images = images[:300]
    given = WARNED[kind](images)
    message = warned(lambda: net.predict(given))
    assert message.startswith("images: ")
    check_mended(reader, message, given)


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused_is_mended(kind: str, reader: tuple[LeNet5, Images, Images]) -> None:
    net, images, _ = reader
    given = REFUSED[kind](images)
    with pytest.raises((TypeError, ValueError), match=r"^images: .*images = ") as error:
        net.predict(given)
    if kind in ("(N, 784)", "(N, 28, 28, 1)", "(N, 1, 28, 28)", "float64", "28x28 float32"):
        assert "images = lenet_c.preprocess.images(images)" in str(error.value)
    if kind in ("0 and 1", "bool", "bool of 32x32", "int8 of 0 and 1 of 32x32"):
        reader = net, np.where(images > 127, 255, 0).astype(np.uint8), reader[2]
    check_mended(reader, str(error.value), given)


@pytest.mark.parametrize("kind", TURNED)
def test_turned_images_are_told_and_mended(
    kind: str, reader: tuple[LeNet5, Images, Images]
) -> None:
    net, images, _ = reader
    given = TURNED[kind](images)
    message = warned(lambda: net.predict(given))
    assert "of the answers are rejected, but" in message
    check_mended(reader, message, given)


def test_the_way_that_images_are_to_be_turned(reader: tuple[LeNet5, Images, Images]) -> None:
    net, images, _ = reader
    for k, way in ((-1, "left"), (1, "right")):  # np.rot90 turns to the left
        given = np.rot90(images, k, axes=(1, 2))
        message = warned(lambda given=given: net.predict(given))  # type: ignore[misc]
        assert f"of the images turned to the {way}: " in message
        np.testing.assert_array_equal(mended(message, given), images)


def test_turned_images_are_told_by_the_calls_that_read(
    reader: tuple[LeNet5, Images, Images],
) -> None:
    net, images, labels = reader
    given = TURNED["transposed"](images)
    for name in ("forward", "predict", "predict, reject", "predict_proba", "read", "evaluate"):
        assert "transposed" in warned(lambda name=name: CALLS[name](net, given, labels))  # type: ignore[misc]
    net.predict(given[:19])  # too few to tell
    without = copy.deepcopy(net)
    without.rejection = None
    without.predict(given)


def test_turned_images_are_told_without_subspaces(reader: tuple[LeNet5, Images, Images]) -> None:
    net, images, _ = reader
    assert net.rejection is not None
    net.rejection = dataclasses.replace(net.rejection, distance=5.0)
    net.subspaces = None
    given = TURNED["transposed"](images)
    assert "of the images transposed: " in warned(lambda: net.predict(given))


def test_images_that_no_turn_helps(reader: tuple[LeNet5, Images, Images]) -> None:
    net, images, _ = reader
    stars = np.max([np.rot90(images, k, (1, 2)) for k in range(4)], axis=0)
    assert "one character in the middle" in warned(lambda: net.predict(stars))


@pytest.mark.parametrize("call", CALLS)
def test_every_call_looks(call: str, reader: tuple[LeNet5, Images, Images]) -> None:
    net, images, labels = (part[:30] if isinstance(part, np.ndarray) else part for part in reader)
    message = warned(lambda: CALLS[call](net, 255 - images, labels))
    np.testing.assert_array_equal(mended(message, 255 - images), images)
    with pytest.raises(ValueError, match="largest value is 1, want 0"):
        CALLS[call](net, REFUSED["0 and 1"](images), labels)


@pytest.mark.parametrize("n", [1, 2, 19, 100])
def test_few_images_and_single_ones(n: int, reader: tuple[LeNet5, Images, Images]) -> None:
    net, images, _ = reader
    for given in (WARNED[kind](images[:n]) for kind in ("inverted", "0 to 1, padded with 0")):
        warned(lambda given=given: net.predict(given))  # type: ignore[misc]
        if n == 1:
            warned(lambda given=given: net.predict(given[0]))  # type: ignore[misc]
    with pytest.raises(ValueError, match=r"images = images \* 255"):
        net.predict((images[0] > 127).astype(np.uint8))


def test_what_is_right_is_not_told(reader: tuple[LeNet5, Images, Images]) -> None:
    net, images, labels = reader
    for given in (images, padded(images), preprocess.normalize(padded(images))):
        for call in CALLS.values():
            call(net, given[:100], labels[:100])
    for image in images[:100]:
        net.predict(image)
    # a few odd ones among others
    odd = images[:100].copy()
    odd[:30] = 255 - odd[:30]
    odd[40:50] //= 255
    net.predict(odd)
    # blank ones
    net.predict(np.zeros((28, 28), np.uint8))
    net.predict(np.zeros((15, 28, 28), np.uint8))
    net.predict(np.ones((28, 28), np.uint8))


def striped(rng: np.random.Generator, n: int, border: int, ink: int) -> tuple[Images, Images]:
    """Images of two classes: a stroke across, or one down."""
    images = np.full((n, 28, 28), border, np.uint8)
    labels = rng.integers(0, 2, n)
    for image, label, at in zip(images, labels, rng.integers(8, 18, n), strict=True):
        (image if label else image.T)[at : at + 3, 6:22] = ink
    return images, labels


def test_what_was_learnt_from_is_kept(rng: np.random.Generator, tmp_path: Path) -> None:
    dark, labels = striped(rng, 120, 250, 10)
    light = 255 - dark
    net = LeNet5()
    assert net.learnt_from is None
    net.predict(light)  # an untrained network knows no better
    Trainer(net).fit(dark, labels, epochs=1)
    learnt = net.learnt_from
    assert isinstance(learnt, Appearance)
    assert learnt.n == 120
    np.testing.assert_allclose(learnt.border, -0.1 + 1.275 * 250 / 255, rtol=1e-5)
    net.save(tmp_path / "net.npz")
    partner = LeNet5()
    partner.copy_from(net)
    for other in (
        net,
        LeNet5.load(tmp_path / "net.npz"),
        pickle.loads(pickle.dumps(net)),
        copy.deepcopy(net),
        partner,
    ):
        assert other.learnt_from == learnt
        other.predict(dark)
        assert "dark around" in warned(lambda other=other: other.predict(light))  # type: ignore[misc]
    # after both, both are known
    assert "it learnt before" in warned(lambda: Trainer(net).fit(light, labels, epochs=1))
    for images in (dark, light):
        net.predict(images)


def test_steps_are_remembered_too(rng: np.random.Generator) -> None:
    images, labels = striped(rng, 128, 250, 10)
    net = LeNet5()
    trainer = Trainer(net)
    for k in range(0, 128, 8):
        trainer.step(images[k : k + 8], labels[k : k + 8])
    assert net.learnt_from is not None
    assert net.learnt_from.n >= 100
    net.predict(images)
    warned(lambda: net.predict(255 - images))
    one_by_one = LeNet5()
    trainer = Trainer(one_by_one)
    for image, label in zip(images, labels, strict=True):
        trainer.step(image, int(label))
    warned(lambda: one_by_one.predict(255 - images[0]))


def test_learnt_from_floats_of_a_range_of_ones_own(rng: np.random.Generator) -> None:
    raw, labels = striped(rng, 200, 0, 255)
    own = float32(standardised(padded(raw)))
    net = LeNet5()
    Trainer(net, lenet_c.Adam(3e-3), batch_size=16).fit(own, labels, epochs=8)
    assert error_rate(net, own, labels) < 0.05
    for given in (raw, padded(raw), float32(padded(raw) / 255), preprocess.normalize(padded(raw))):
        message = warned(lambda given=given: net.predict(given))  # type: ignore[misc]
        np.testing.assert_allclose(mended(message, given), own, atol=1e-3)
    for given in (raw / 255, raw[:, None], float32(raw / 255), padded(raw) / 255):
        with pytest.raises((TypeError, ValueError), match="images = ") as error:
            net.predict(given)
        if given.shape[-1] == 32:
            np.testing.assert_allclose(mended(str(error.value), given), own, atol=1e-3)
    inverted = float32(own.min() + own.max() - own)
    np.testing.assert_allclose(
        mended(warned(lambda: net.predict(inverted)), inverted), own, atol=1e-3
    )


def test_training_and_validation_images_of_two_kinds(rng: np.random.Generator) -> None:
    images, labels = striped(rng, 200, 0, 255)
    others = images[:50], labels[:50]
    Trainer(LeNet5()).fit(images, labels, 2, others)
    message = warned(lambda: Trainer(LeNet5()).fit(images, labels, 2, (255 - others[0], others[1])))
    assert message.startswith("validation_data: light around")
    floats = float32(padded(others[0]) / 255)
    message = warned(lambda: Trainer(LeNet5()).fit(images, labels, 2, (floats, others[1])))
    np.testing.assert_array_equal(mended(message, floats)[:, 2:-2, 2:-2], others[0])
    with pytest.raises(ValueError, match=r"^validation_data: uint8 whose largest value is 1"):
        Trainer(LeNet5()).fit(images, labels, 2, (others[0] // 255, others[1]))


def test_training_refuses_what_no_network_is_for(rng: np.random.Generator) -> None:
    images, labels = striped(rng, 100, 0, 255)
    for given in (images // 255, float32(padded(images))):
        for call in (Trainer(LeNet5()).fit, Trainer(LeNet5()).step):
            with pytest.raises(ValueError, match="images = ") as error:
                call(given, labels)
            fixed = mended(str(error.value), given)
            np.testing.assert_array_equal(fixed, images if len(fixed[0]) == 28 else padded(images))


def test_images_with_some_light_borders_are_no_surprise_where_they_were_learnt(
    rng: np.random.Generator,
) -> None:
    dark, labels = striped(rng, 200, 0, 255)
    mixed = np.where(rng.random((200, 1, 1)) < 0.2, 255 - dark, dark)
    net = LeNet5()
    Trainer(net).fit(mixed, labels, epochs=1)
    for images in (mixed, dark, 255 - dark):
        net.predict(images)
        net.predict(images[0])


@pytest.mark.skipif(not os.environ.get("LENET_C_DATA"), reason="LENET_C_DATA is not set")
def test_fashion_mnist_is_no_surprise_to_its_own_network() -> None:
    folder = Path(os.environ["LENET_C_DATA"]) / "fashion-mnist"
    if not folder.is_dir():
        pytest.skip("Fashion-MNIST is not there")
    images = datasets.read_idx(folder / "t10k-images-idx3-ubyte.gz")
    labels = datasets.read_idx(folder / "t10k-labels-idx1-ubyte.gz")
    net = LeNet5()
    Trainer(net).fit(images[:3000], labels[:3000], 1, (images[3000:4000], labels[3000:4000]))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for image in images[4000:8000]:
            net.predict(image)
    assert len(caught) <= 4  # garments that fill the whole image
    for k in range(4000, 8000, 50):
        net.predict(images[k : k + 50])
    warned(lambda: net.predict(255 - images[4000:]))


@pytest.mark.parametrize(
    "given",
    [
        [],
        {"n": 0, "border": [0, 0], "low": [0, 0], "high": [1, 1]},
        {"n": 5, "border": [0, 0], "low": [0, 0]},
        {"n": 5, "border": [0, 0], "low": [1, 0], "high": [1, 1]},
        {"n": 5, "border": [0, "0"], "low": [0, 0], "high": [1, 1]},
        {"n": 5, "border": [0, 1e39], "low": [0, 0], "high": [1, 1]},
        {"n": True, "border": [0, 0], "low": [0, 0], "high": [1, 1]},
    ],
)
def test_a_file_whose_record_is_none_is_refused(given: Any, tmp_path: Path) -> None:
    from lenet_c import serialization

    net = LeNet5()
    metadata = {"architecture": net.architecture.to_dict(), "learnt_from": given}
    arrays = {"parameters": net.parameters.copy(), "codes": np.array(net.codes)}
    serialization.write(tmp_path / "net.npz", metadata, arrays)
    with pytest.raises(lenet_c.ModelFileError, match="learnt_from: "):
        LeNet5.load(tmp_path / "net.npz")


@pytest.mark.parametrize(
    "given",
    [
        "seven",
        ["seven", "eight"],
        None,
        [None, None],
        1 + 2j,
        np.zeros((5, 28, 28), complex),
        (image for image in ()),
        np.zeros((0, 784)),
        np.float64(3),
        np.zeros(5),
        np.zeros((2, 3, 4, 5, 6)),
    ],
    ids=lambda given: f"{type(given).__name__}{getattr(given, 'shape', '')}",
)
def test_what_no_line_mends_has_none(given: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="images: ") as error:
        LeNet5().predict(given)
    assert "images = " not in str(error.value)
    assert not str(error.value).rstrip().endswith(":")


def test_paths_are_sent_to_character(tmp_path: Path) -> None:
    pytest.importorskip("scipy")
    pil = pytest.importorskip("PIL.Image")
    picture = np.full((64, 64), 255, np.uint8)
    picture[12:50, 30:34] = 0
    path = tmp_path / "one.png"
    pil.fromarray(picture).save(path)
    for given in (path, str(path), path.read_bytes(), [str(path)] * 2):
        with pytest.raises((TypeError, ValueError), match="images = ") as error:
            LeNet5().predict(given)
        assert mended(str(error.value), given).shape[-2:] == (28, 28)


def test_what_is_no_array_becomes_one_where_a_warning_needs_it(
    reader: tuple[LeNet5, Images, Images],
) -> None:
    net, images, _ = reader
    given = memoryview(np.ascontiguousarray(255 - images[:30]))
    for read in (net.predict, net.read):
        message = warned(lambda read=read: read(given))  # type: ignore[misc]
        np.testing.assert_array_equal(mended(message, given), images[:30])
    turned = memoryview(np.ascontiguousarray(images.swapaxes(1, 2)))
    message = warned(lambda: net.predict(turned))
    np.testing.assert_array_equal(mended(message, turned), images)


@pytest.mark.parametrize("record", [False, True])
def test_what_was_learnt_from_goes_with_all_layers(
    reader: tuple[LeNet5, Images, Images], record: bool
) -> None:
    net, images, _ = reader
    given = copy.deepcopy(net)
    if not record:  # as loaded from a file that has none
        given = LeNet5(net.architecture, codes=net.codes)
        given.parameters = net.parameters
    other = LeNet5(net.architecture, codes=net.codes)
    other.copy_from(given)
    for taken in (
        other,
        given.with_classes("ABCDEFGHIJ", codes="ABCDEFGHIJ" if net.codes is not None else None),
    ):
        assert taken.learnt_from == given.learnt_from
        assert "images = 255 - images" in warned(
            lambda taken=taken: taken.predict(255 - images[:30])
        )  # type: ignore[misc]


def test_blank_images_of_another_dtype_are_refused_in_words(rng: np.random.Generator) -> None:
    images, labels = striped(rng, 200, 0, 255)
    net = LeNet5()
    own_range = np.pad(images, ((0, 0), (2, 2), (2, 2))).astype(np.float32) / 51 - 3
    Trainer(net).fit(own_range, labels, epochs=1)
    with pytest.raises(TypeError, match="float64"):
        net.predict(np.zeros((5, 32, 32)))


def test_padded_images_are_no_surprise_where_they_were_learnt(rng: np.random.Generator) -> None:
    images, labels = striped(rng, 200, 0, 255)
    given = padded(255 - images)
    net = LeNet5()
    Trainer(net).fit(given, labels, epochs=1)
    net.predict(given)
    net.predict(given[0])


def test_inverted_images_padded_for_a_network_of_floats(rng: np.random.Generator) -> None:
    raw, labels = striped(rng, 200, 0, 255)
    own = float32(standardised(padded(raw)))
    net = LeNet5()
    Trainer(net, lenet_c.Adam(3e-3), batch_size=16).fit(own, labels, epochs=1)
    low, high = float(own.min()), float(own.max())
    given = float32(padded(own[:, 2:-2, 2:-2], high))
    message = warned(lambda: net.predict(given))
    np.testing.assert_allclose(mended(message, given), own, atol=1e-3)
    for scale in (1, 3):  # its own range, and another
        given = float32(padded((low + high - own[:, 2:-2, 2:-2]) * scale, low * scale))
        for some in (given, given[0]):
            message = warned(lambda some=some: net.predict(some))  # type: ignore[misc]
            wanted = own if some is given else own[0]
            np.testing.assert_allclose(mended(message, some), wanted, atol=1e-3)


@pytest.mark.parametrize(
    ("x", "shape"),
    [
        (np.zeros((5, 785)), (5, 28, 28)),
        (Frame(np.zeros((5, 785))), (5, 28, 28)),
        (np.zeros((5, 785)).tolist(), (5, 28, 28)),
        (np.zeros((784, 5)), (5, 28, 28)),
        (np.zeros((5, 28, 28, 3)), (5, 28, 28)),
        (np.zeros((5, 3, 28, 28)), (5, 28, 28)),
        (np.zeros((28, 28, 5)), (5, 28, 28)),
        (np.zeros((5, 32, 32)).tolist(), (5, 28, 28)),
        (np.full((5, 784), np.inf), (5, 28, 28)),
        (np.linspace(0, 65535, 784).tolist(), (1, 28, 28)),
        (np.zeros((5, 64, 64), np.uint8), (5, 28, 28)),
    ],
)
def test_what_preprocess_images_refuses_is_mended(x: Any, shape: tuple[int, ...]) -> None:
    if np.shape(x) == (5, 64, 64):
        pytest.importorskip("scipy")
        pytest.importorskip("PIL.Image")
    with pytest.raises(ValueError, match=r"^x: .*x = ") as error:
        preprocess.images(x)
    names: dict[str, Any] = {"x": x, "np": np, "lenet_c": lenet_c}
    line = re.search(r"x = .*$", str(error.value))
    assert line is not None
    exec(line[0], names)
    assert preprocess.images(names["x"]).shape == shape


def test_invert_may_be_a_bool_of_numpy() -> None:
    images = np.arange(784, dtype=np.float32).reshape(1, 28, 28) / 784 * 255
    for invert in (True, False):
        np.testing.assert_array_equal(
            preprocess.images(images, invert=np.bool_(invert)),  # type: ignore[arg-type]
            preprocess.images(images, invert=invert),
        )
    with pytest.raises(TypeError, match="invert: got 1"):
        preprocess.images(images, invert=1)  # type: ignore[arg-type]


def test_pictures_of_another_size_are_sent_to_character() -> None:
    pytest.importorskip("scipy")
    pytest.importorskip("PIL.Image")
    net = LeNet5()
    pictures = np.full((2, 64, 64), 255, np.uint8)
    pictures[:, 12:50, 30:34] = 0
    for given in (
        pictures,
        pictures.tolist(),
        pictures[:, None],
        np.repeat(pictures[..., None], 3, axis=-1),
        np.repeat(pictures[:, None], 3, axis=1),
        pictures[0],
    ):
        with pytest.raises((TypeError, ValueError), match="images = ") as error:
            net.predict(given)
        found = mended(str(error.value), given)
        assert found.shape[-2:] == (28, 28)
        assert found.max() == 255
    with pytest.raises(ValueError, match=r"images = lenet_c\.preprocess\.characters\(images\)"):
        net.predict(np.zeros((5, 64, 64), np.uint8))
    with pytest.raises(ValueError, match=r"images = lenet_c\.preprocess\.character\(images\)"):
        net.predict(np.zeros((64, 60), np.uint8))
    small = LeNet5(
        lenet_c.Architecture(
            "small",
            (lenet_c.Conv("C1", maps=2, kernel=5), lenet_c.Dense("output", 3, "identity")),
            (9, 9),
        )
    )
    with pytest.raises(ValueError, match="images of 9x9 are wanted"):
        small.predict(np.zeros((5, 64, 64), np.uint8))
