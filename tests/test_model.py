"""LeNet5: its parameters, files and errors, and how it behaves inside someone's process."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import io
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lenet_c
from lenet_c import (
    LENET5_1998,
    LENET5_MODERN,
    RBF,
    Adam,
    Architecture,
    AveragePool,
    Conv,
    Dense,
    Distortion,
    LeNet5,
    MaxPool,
    ModelFileError,
    Trainer,
    layers,
    serialization,
)

SMALL_TRAINED = Architecture(
    "small, trained codes",
    (
        Conv("C1", maps=3, kernel=5, activation="relu"),
        AveragePool("S2"),
        Dense("F3", units=6, activation="tanh"),
        RBF("output", classes=4, trained=True),
    ),
    input_shape=(12, 12),
)


@pytest.fixture
def net() -> LeNet5:
    return LeNet5(seed=2)


@pytest.fixture
def images(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 256, (40, 28, 28)).astype(np.uint8)


def small(seed: int = 0) -> LeNet5:
    return LeNet5(SMALL_TRAINED, seed=seed, codes=np.arange(24).reshape(4, 6) % 5 - 2)


# ---- parameters ----------------------------------------------------------------------------------


def test_names_and_views(net: LeNet5) -> None:
    shapes = {
        "C1.weight": (6, 1, 5, 5),
        "C1.bias": (6,),
        "S2.coefficient": (6,),
        "S2.bias": (6,),
        "C3.weight": (60, 5, 5),
        "C3.bias": (16,),
        "S4.coefficient": (16,),
        "S4.bias": (16,),
        "C5.weight": (120, 16, 5, 5),
        "C5.bias": (120,),
        "F6.weight": (84, 120),
        "F6.bias": (84,),
    }
    assert {name: net[name].shape for name in net} == shapes
    assert len(net) == len(shapes)
    assert "C3.weight" in net
    assert "C3" not in net
    assert net.n_parameters == net.parameters.size == 60_000
    assert net.n_connections == 340_908
    assert net.parameters.dtype == np.float32
    assert net.parameters.flags.c_contiguous
    joined = np.concatenate([net[name].ravel() for name in net])
    np.testing.assert_array_equal(joined, net.parameters)
    with pytest.raises(KeyError, match=r"'C4.weight': want one of C1.weight, C1.bias"):
        net["C4.weight"]


@pytest.mark.parametrize("name", list(LeNet5()))
def test_writing_to_a_view_changes_the_network(net: LeNet5, images: np.ndarray, name: str) -> None:
    before = net.forward(images)
    net[name][...] += 0.05
    assert (net.forward(images) != before).any()
    net[name][...] -= 0.05
    np.testing.assert_allclose(net.forward(images), before, rtol=1e-3)
    flat = net.parameters.copy()
    net.parameters[...] = 0
    assert not net[name].any()
    assert (net.forward(images) == net.forward(images[:1])).all()
    net.parameters[...] = flat
    np.testing.assert_allclose(net.forward(images), before, rtol=1e-3)


def test_initial_weights(net: LeNet5) -> None:
    """Uniform in [-2.4 / F, 2.4 / F], by the seed."""
    for name, fan_in in LENET5_1998.fan_in.items():
        limit = 2.4 / np.array(fan_in).reshape(-1, *[1] * (net[name].ndim - 1))
        scaled = np.abs(net[name] / limit)
        assert scaled.max() <= 1 + 1e-6
        if scaled.size > 100:
            assert scaled.max() > 0.95
            assert scaled.mean() == pytest.approx(0.5, abs=0.1)
            assert abs((net[name] / limit).mean()) < 0.1
    np.testing.assert_array_equal(net.parameters, LeNet5(seed=2).parameters)
    assert (net.parameters != LeNet5(seed=3).parameters).any()


def test_codes(net: LeNet5, images: np.ndarray) -> None:
    np.testing.assert_array_equal(net.codes, lenet_c.codes.DIGITS)
    with pytest.raises(ValueError, match="read-only"):
        net.codes[0, 0] = 3
    assert LeNet5(LENET5_MODERN).codes is None
    swapped = LeNet5(seed=2, codes=net.codes[::-1])
    np.testing.assert_array_equal(swapped.forward(images), net.forward(images)[:, ::-1])
    trained = small()
    np.testing.assert_array_equal(trained["output.weight"], np.arange(24).reshape(4, 6) % 5 - 2)
    trained["output.weight"][...] = 7
    assert (trained.codes == 7).all()


def test_repr_and_summary(net: LeNet5) -> None:
    assert repr(net) == "LeNet5('lenet5-1998', 60,000 parameters)"
    lines = net.summary().splitlines()
    assert lines[0] == "lenet5-1998, input 32 x 32"
    rows = [re.split(r"\s{2,}", line) for line in lines[1:] if not line.startswith("---")]
    assert rows == [
        ["layer", "kind", "output", "parameters", "connections"],
        ["C1", "conv", "6 x 28 x 28", "156", "122,304"],
        ["S2", "subsample", "6 x 14 x 14", "12", "5,880"],
        ["C3", "conv", "16 x 10 x 10", "1,516", "151,600"],
        ["S4", "subsample", "16 x 5 x 5", "32", "2,000"],
        ["C5", "conv", "120", "48,120", "48,120"],
        ["F6", "dense", "84", "10,164", "10,164"],
        ["output", "rbf", "10", "0", "840"],
        ["total", "60,000", "340,908"],
    ]
    assert "\n".join(line.rstrip() for line in lines) == net.summary()


# ---- keeping -------------------------------------------------------------------------------------


def by_path(net: LeNet5, folder: Path) -> LeNet5:
    net.save(folder / "net.npz")
    return LeNet5.load(str(folder / "net.npz"))


def by_file(net: LeNet5, folder: Path) -> LeNet5:
    file = io.BytesIO()
    net.save(file)
    file.seek(0)
    return LeNet5.load(file)


@pytest.mark.filterwarnings("ignore::lenet_c.InputWarning")  # noise looks like no character
@pytest.mark.parametrize(
    "keep",
    [
        by_path,
        by_file,
        lambda net, _: pickle.loads(pickle.dumps(net)),
        lambda net, _: pickle.loads(pickle.dumps(net, protocol=2)),
        lambda net, _: copy.deepcopy(net),
        lambda net, _: copy.copy(net),
    ],
    ids=["path", "file", "pickle", "pickle 2", "deepcopy", "copy"],
)
@pytest.mark.parametrize(
    "make",
    [
        lambda: LeNet5(seed=4),
        lambda: LeNet5(seed=4, codes=lenet_c.codes.DIGITS[::-1] * 0.5),
        lambda: LeNet5(LENET5_MODERN, seed=4),
        lambda: small(4),
    ],
    ids=["1998", "own codes", "modern", "trained codes"],
)
def test_round_trips(
    rng: np.random.Generator,
    tmp_path: Path,
    make: Callable[[], LeNet5],
    keep: Callable[[LeNet5, Path], LeNet5],
) -> None:
    net = make()
    images = rng.integers(0, 256, (20, *net.architecture.input_shape)).astype(np.uint8)
    net.parameters[...] += 1e-3
    other = keep(net, tmp_path)
    assert other.architecture == net.architecture
    np.testing.assert_array_equal(other.parameters, net.parameters)
    np.testing.assert_array_equal(other.forward(images), net.forward(images))
    if net.codes is not None:
        np.testing.assert_array_equal(other.codes, net.codes)
    before = net.forward(images)
    other.parameters[...] = 0.01
    other[list(other)[-1]][...] = 0.5
    assert (other.forward(images) != before).any()
    np.testing.assert_array_equal(net.forward(images), before)


def model_file(path: Path, change: Callable[[dict[str, Any], dict[str, np.ndarray]], Any]) -> Path:
    """A file with a right checksum around content that `change` has spoiled."""
    metadata = {"architecture": json.loads(json.dumps(LENET5_1998.to_dict()))}
    net = LeNet5()
    arrays = {"parameters": net.parameters.copy(), "codes": np.array(net.codes)}
    change(metadata, arrays)
    serialization.write(path, metadata, arrays)
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda _, a: a.update(parameters=a["parameters"][:-1]), r"parameters: .*\(59999,\), want"),
        (lambda _, a: a.update(parameters=a["parameters"].reshape(2, -1)), r"\(2, 30000\), want"),
        (
            lambda _, a: a.update(parameters=a["parameters"].astype(np.int64)),
            "parameters: int64 .*want float32",
        ),
        (lambda _, a: a.pop("parameters"), "it has no 'parameters'"),
        (lambda m, _: m.pop("architecture"), "it has no 'architecture'"),
        (lambda m, _: m.update(architecture=[1]), "architecture: got a list, want a dict"),
        (lambda m, _: m["architecture"].pop("layers"), "architecture: got no key 'layers'"),
        (lambda m, _: m["architecture"].update(layers=[]), "layers: got 0, want"),
        (lambda m, _: m["architecture"]["layers"].pop(), "got dense for the last layer"),
        (lambda m, _: m["architecture"]["layers"][0].update(maps=-1), "maps: got -1, want a whole"),
        (lambda m, _: m["architecture"]["layers"][0].update(maps=7), "parameters: |table"),
        (lambda m, _: m["architecture"]["layers"][0].update(kernel=2**40), "kernel: got"),
        (lambda m, _: m["architecture"]["layers"][0].update(kind="exec"), "kind: got 'exec'"),
        (lambda m, _: m["architecture"]["layers"][2].update(table=[[0]]), "table: got 1 entries"),
        (lambda m, _: m["architecture"].update(input_shape=[32, 36]), "parameters: .*want float32"),
        (lambda _, a: a.update(codes=a["codes"][:9]), r"codes: shape \(9, 84\), want \(10, 84\)"),
        (lambda _, a: a.pop("codes"), "it has no 'codes'"),
        (lambda _, a: a["codes"].fill(1), "codes: rows 0 and 1 are equal"),
        (lambda _, a: a["codes"].fill(np.nan), "codes: some are NaN or infinite"),
        (lambda _, a: a["parameters"].fill(np.inf), "parameters: some are NaN or infinite"),
    ],
)
def test_files_with_wrong_content(
    tmp_path: Path, change: Callable[[dict[str, Any], dict[str, np.ndarray]], Any], message: str
) -> None:
    path = model_file(tmp_path / "bad.npz", change)
    with pytest.raises(ModelFileError, match=message) as caught:
        LeNet5.load(path)
    assert str(path) in str(caught.value)


def test_wrong_content_in_an_open_file(tmp_path: Path) -> None:
    """Named as the file is, or a file without a name as what it is to hold."""
    path = model_file(tmp_path / "bad.npz", lambda _, a: a.pop("parameters"))
    with open(path, "rb") as file, pytest.raises(ModelFileError) as caught:
        LeNet5.load(file)
    assert str(caught.value) == f"{path}: it has no 'parameters'"
    with pytest.raises(ModelFileError, match=r"^model file: it has no 'parameters'$"):
        LeNet5.load(io.BytesIO(path.read_bytes()))


def test_a_good_file_made_the_same_way_loads(tmp_path: Path) -> None:
    path = model_file(tmp_path / "good.npz", lambda *_: None)
    np.testing.assert_array_equal(LeNet5.load(path).parameters, LeNet5().parameters)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.npz"):
        LeNet5.load(tmp_path / "none.npz")


# ---- input errors --------------------------------------------------------------------------------

GREY = np.zeros((5, 28, 28), np.uint8)
FLOAT = np.zeros((5, 32, 32), np.float32)
LABELS = np.arange(5)


def spoiled(value: float, row: int, n: int = 5) -> np.ndarray:
    images = np.zeros((n, 32, 32), np.float32)
    images[row, 31, 30] = value
    return images


IMAGE_ERRORS: list[tuple[Any, type[Exception], str]] = [
    (GREY.astype(np.int64), TypeError, "images: dtype int64, want uint8 .* or float32"),
    (GREY.astype(np.int8), TypeError, "images: dtype int8, want uint8"),
    (FLOAT.astype(np.float64), TypeError, "images: dtype float64, want uint8"),
    (FLOAT.astype(np.float16), TypeError, "images: dtype float16, want uint8"),
    (FLOAT.astype(">f8"), TypeError, "images: dtype float64, want uint8"),
    (GREY > 0, TypeError, "images: dtype bool, want uint8"),
    (GREY.astype(complex), TypeError, "images: dtype complex128"),
    (GREY.astype("datetime64[s]"), TypeError, "images: dtype datetime64"),
    (GREY.tolist(), TypeError, "images: dtype int64, want uint8"),
    (None, TypeError, "images: dtype object, want uint8"),
    ("digits", TypeError, "images: dtype <U6, want uint8"),
    (GREY[0, 0], ValueError, r"images: shape \(28,\), want \(N, height, width\)"),
    (GREY[None], ValueError, r"images: shape \(1, 5, 28, 28\), want \(N, height, width\)"),
    (GREY[:0], ValueError, "images: no images, want at least one"),
    (FLOAT[:0], ValueError, "images: no images, want at least one"),
    (GREY[:, :27], ValueError, "images: uint8 images of 27x28, want 28x28 or 32x32"),
    (GREY[:, :, :20], ValueError, "images: uint8 images of 28x20, want 28x28 or 32x32"),
    (GREY[:, :0], ValueError, "images: uint8 images of 0x28, want 28x28 or 32x32"),
    (np.zeros((5, 34, 32), np.uint8), ValueError, "images: uint8 images of 34x32, want 28x28"),
    (np.zeros((1, 5000, 9000), np.uint8), ValueError, "images: uint8 images of 5000x9000"),
    (np.zeros((2**40, 0, 28), np.uint8), ValueError, "images: uint8 images of 0x28"),
    (FLOAT[:, :28, :28], ValueError, "images: float32 images of 28x28, want 32x32"),
    (FLOAT[:, :, :31], ValueError, "images: float32 images of 32x31, want 32x32"),
    (spoiled(np.nan, 3), ValueError, "images: row 3 has a pixel that is NaN or infinite"),
    (spoiled(np.inf, 0), ValueError, "images: row 0 has a pixel that is NaN or infinite"),
    (spoiled(-np.inf, 99, 100), ValueError, "images: row 99 has a pixel that is NaN"),
    (spoiled(np.nan, 0)[0], ValueError, "images: row 0 has a pixel that is NaN"),
]


def name_of(value: object) -> str:
    shape = getattr(value, "shape", None)
    return f"{value.dtype}{list(shape)}" if isinstance(value, np.ndarray) else ""


@pytest.mark.parametrize(("images", "error", "message"), IMAGE_ERRORS, ids=name_of)
def test_image_errors(net: LeNet5, images: Any, error: type[Exception], message: str) -> None:
    labels = [0] * (len(images) if np.ndim(images) == 3 and len(images) < 1000 else 1)
    calls: list[Callable[[], Any]] = [
        lambda: net.forward(images),
        lambda: net.predict(images),
        lambda: net.predict_proba(images),
        lambda: net.activations(images),
        lambda: net.loss_and_gradient(images, labels),
        lambda: net.evaluate(images, labels),
        lambda: lenet_c.Trainer(net).step(images, labels),
        lambda: lenet_c.Trainer(net).fit(images, labels, epochs=1),
        lambda: lenet_c.Trainer(net).fit(GREY, LABELS, 1, validation_data=(images, labels)),
    ]
    before = net.parameters.copy()
    for call in calls:
        with pytest.raises(error, match=message):
            call()
    np.testing.assert_array_equal(net.parameters, before)


@pytest.mark.parametrize("n", [1, 3, 100])
@pytest.mark.parametrize("side", [1, 5, 9])
def test_every_pixel_is_looked_at(side: int, n: int) -> None:
    layers = (Dense("output", units=2, activation="identity"),)
    tiny = LeNet5(Architecture("tiny", layers, input_shape=(side, side)))
    images = np.zeros((n, side, side), np.float32)
    for place in {0, n * side * side // 2, n * side * side - 1}:
        images.flat[place] = np.nan
        with pytest.raises(ValueError, match=f"images: row {place // side**2} has a pixel"):
            tiny.forward(images)
        images.flat[place] = 0
    assert np.isfinite(tiny.forward(images)).all()


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        ([0, 1, 2, 3, 10], ValueError, "labels: row 4 is 10, want 0 to 9"),
        ([0, -1, 2, 3, 10], ValueError, "labels: row 1 is -1, want 0 to 9"),
        (np.array([0, 1, 2**63, 1, 1], np.uint64), ValueError, "labels: row 2 is 92233720368547"),
        (np.array([0, 1, -128, 1, 1], np.int8), ValueError, "labels: row 2 is -128"),
        ([0, 1, 2], ValueError, r"labels: shape \(3,\), want \(5,\), one for each image"),
        (3, ValueError, r"labels: shape \(\), want \(5,\)"),
        ([[0], [1], [2], [3], [4]], ValueError, r"labels: shape \(5, 1\), want \(5,\)"),
        ([0.0, 1.0, 2.0, 3.0, 4.0], TypeError, "labels: dtype float64, want integers"),
        ([True] * 5, TypeError, "labels: dtype bool, want integers"),
        (["0"] * 5, TypeError, "labels: dtype <U1, want integers"),
    ],
)
def test_label_errors(net: LeNet5, labels: Any, error: type[Exception], message: str) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: net.loss_and_gradient(GREY, labels),
        lambda: net.evaluate(GREY, labels),
        lambda: lenet_c.Trainer(net).step(GREY, labels),
        lambda: lenet_c.Trainer(net).fit(GREY, labels),
        lambda: lenet_c.Trainer(net).fit(GREY, LABELS, 1, validation_data=(GREY, labels)),
    ]
    for call in calls:
        with pytest.raises(error, match=message):
            call()


@pytest.mark.parametrize(
    ("n", "error", "message"),
    [
        (0, ValueError, "num_threads: got 0, want a whole number from 1 to 4096"),
        (-1, ValueError, "num_threads: got -1, want"),
        (2**70, ValueError, "num_threads: got an integer of 71 bits, want"),
        pytest.param(10**5000, ValueError, "num_threads: got an integer of 16610 ", id="huge"),
        (1.0, TypeError, r"num_threads: got 1\.0, want a whole number"),
        ("2", TypeError, "num_threads: got '2', want a whole number"),
        (True, TypeError, "num_threads: got True, want a whole number"),
    ],
)
def test_thread_errors(net: LeNet5, n: Any, error: type[Exception], message: str) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: net.forward(GREY, num_threads=n),
        lambda: net.predict(GREY, num_threads=n),
        lambda: net.predict_proba(GREY, num_threads=n),
        lambda: net.activations(GREY, num_threads=n),
        lambda: net.loss_and_gradient(GREY, LABELS, num_threads=n),
        lambda: net.evaluate(GREY, LABELS, num_threads=n),
        lambda: lenet_c.Trainer(net, num_threads=n).step(GREY, LABELS),
        lambda: lenet_c.set_num_threads(n),
    ]
    for call in calls:
        with pytest.raises(error, match=message):
            call()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"loss": "hinge"}, "loss: got 'hinge', want one of mse, map, cross_entropy"),
        ({"loss": "MAP"}, "loss: got 'MAP', want"),
        ({"j": 0.0}, r"j: got 0\.0, want a finite number above 0"),
        ({"j": -1}, "j: got -1, want"),
        ({"j": np.nan}, "j: got nan, want"),
        ({"j": np.inf}, "j: got inf, want"),
        ({"j": 10**400}, "j: got an integer of 1329 bits, want"),
    ],
)
def test_loss_errors(net: LeNet5, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        net.loss_and_gradient(GREY, LABELS, **arguments)
    with pytest.raises(ValueError, match=message):
        net.evaluate(GREY, LABELS, **arguments)
    with pytest.raises(ValueError, match=message):
        lenet_c.Trainer(net, **arguments)


def test_a_loss_is_a_name(net: LeNet5) -> None:
    with pytest.raises(TypeError, match=r"loss: got \['map'\], want one of mse"):
        net.evaluate(GREY, LABELS, loss=["map"])  # type: ignore[arg-type]


@pytest.mark.parametrize("j", ["5", None, True])
def test_j_is_a_number(net: LeNet5, j: Any) -> None:
    with pytest.raises(TypeError, match=r"^j: got .*, want a number"):
        net.evaluate(GREY, LABELS, j=j)


@pytest.mark.parametrize("path", [None, 5, b"model.npz"])
def test_paths_are_paths_or_files(net: LeNet5, path: Any) -> None:
    for call in (net.save, LeNet5.load):
        with pytest.raises(TypeError, match=r"^path: got .*, want a path or a binary file"):
            call(path)


@pytest.mark.parametrize(
    "call",
    [
        LeNet5,
        LeNet5.load,
        LeNet5.pretrained,
        lambda x: LeNet5().save(x),
        lambda x: LeNet5().copy_from(x),
        lambda x: LeNet5().copy_from(LeNet5(), [x]),
        lambda x: LeNet5().predict(GREY, reject=x),
        lambda x: LeNet5().predict(GREY, num_threads=np.int64(1) + x),
        lambda x: lenet_c.distort.preview(GREY, x),
        lambda x: lenet_c.BestWeights(x),
        lambda x: lenet_c.EarlyStopping(x),
        lambda x: lenet_c.Trainer(x, LABELS),
        lambda x: lenet_c.Trainer(LeNet5(), x),
        lambda x: lenet_c.Trainer(LeNet5(), distort=x),
        lambda x: lenet_c.Trainer(LeNet5(), freeze=[x]),
    ],
)
def test_an_array_in_the_wrong_place_is_told_in_one_line(call: Callable[[Any], Any]) -> None:
    with pytest.raises((TypeError, ValueError), match=r"^\w+: got \[?array") as caught:
        call(np.zeros((60, 28, 28), np.uint8))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("notes", "error", "message"),
    [
        (["trained"], TypeError, r"notes: got \['trained'\], want a dict"),
        ({"classes": {1, 2}}, TypeError, "notes: JSON cannot hold it .*set"),
        ({"loss": np.complex64(1)}, TypeError, "notes: JSON cannot hold it .*complex64"),
        ({"loss": float("nan")}, ValueError, "notes: JSON cannot hold it .*no nan, only finite"),
    ],
)
def test_notes_that_cannot_be_saved(
    net: LeNet5, tmp_path: Path, notes: Any, error: type[Exception], message: str
) -> None:
    net.notes = notes
    with pytest.raises(error, match=f"^{message}"):
        net.save(tmp_path / "model.npz")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: LeNet5(b"x"), TypeError, "architecture: got b'x', want an Architecture or one"),
        (
            lambda: LeNet5(LENET5_1998, codes=np.ones((10, 83))),
            ValueError,
            r"codes: shape \(10, 83\), want \(10, 84\) for lenet5-1998 \(Architecture.with_cl",
        ),
        (
            lambda: LeNet5(codes=np.ones(84)),
            ValueError,
            r"codes: shape \(84,\), want \(classes, code length\)",
        ),
        (
            lambda: LeNet5(codes=np.ones((0, 84))),
            ValueError,
            r"codes: shape \(0, 84\), want \(classes, code length\)",
        ),
        (
            lambda: LeNet5(codes=np.ones((2, 5000))),
            ValueError,
            "code_length: got 5000, want",
        ),
        (lambda: LeNet5(codes=np.eye(5000, 3)), ValueError, "classes: got 5000, want a whole"),
        (
            lambda: LeNet5(codes=lenet_c.codes.of("ABCA")),
            ValueError,
            "codes: rows 0 and 3 are equal, want a code of its own for each class",
        ),
        (
            lambda: LeNet5(codes="ABC"),  # type: ignore[arg-type]
            TypeError,
            r"codes: dtype <U3, want real numbers, say codes.of\('ABC'\)",
        ),
        (lambda: LeNet5(codes=np.eye(3) * 1j), TypeError, "codes: dtype complex128, want real"),
        (lambda: LeNet5(codes=[[1, 2], [3]]), ValueError, "codes: not an array"),
        (lambda: LeNet5(init="zeros"), ValueError, "init: got 'zeros', want one of paper, he, gl"),
        (lambda: LeNet5(seed=-1), ValueError, "seed: got -1, want a whole number of at least 0"),
        (lambda: LeNet5(seed=1.5), TypeError, r"seed: got 1\.5, want a whole number of at le"),  # type: ignore[arg-type]
        (lambda: LeNet5(seed="x"), TypeError, "seed: got 'x', want a whole number"),  # type: ignore[arg-type]
        (lambda: LeNet5(codes=np.full((10, 84), np.inf)), ValueError, "codes: some are NaN or inf"),
        (lambda: LeNet5(SMALL_TRAINED), ValueError, r"codes: none given, want an array \(4, 6\)"),
        (
            lambda: LeNet5(LENET5_MODERN, codes=lenet_c.codes.DIGITS),
            ValueError,
            "codes: lenet5-modern has no RBF output, want None",
        ),
    ],
)
def test_constructor_errors(make: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_more_images_than_memory_holds(net: LeNet5) -> None:
    endless = np.broadcast_to(np.zeros((28, 28), np.uint8), (2**40, 28, 28))
    with pytest.raises(MemoryError):
        net.forward(endless)


def test_a_loss_that_is_not_finite(net: LeNet5, images: np.ndarray) -> None:
    net["C5.bias"][3] = np.nan
    with pytest.raises(FloatingPointError, match="not finite"):
        net.loss_and_gradient(images, np.zeros(40, int))


@pytest.mark.parametrize("n", [1, 40])
def test_outputs_that_are_not_finite_are_no_answer(net: LeNet5, images: np.ndarray, n: int) -> None:
    net["F6.bias"][3] = np.nan
    labels = np.zeros(n, int)
    for call in (
        lambda: net.predict(images[:n]),
        lambda: net.predict_proba(images[:n]),
        lambda: net.evaluate(images[:n], labels),
        lambda: net.rejection_curve(images[:n], labels),
    ):
        with pytest.raises(FloatingPointError, match="the outputs for row 0 of images are NaN"):
            call()
    assert np.isnan(net.forward(images[:n])).all()  # to be looked at
    rejected = net.predict(images[:n], reject=lenet_c.Rejection(margin=0.1))
    assert (rejected == -1).all()


def test_the_row_whose_outputs_are_not_finite() -> None:
    output = lenet_c.Dense("output", units=10, activation="identity")
    net = LeNet5(lenet_c.Architecture("linear", (output,), input_shape=(8, 8)))
    net.parameters[:] = 1.0
    images = np.zeros((40, 8, 8), np.float32)
    images[33] = 3e38
    with pytest.raises(FloatingPointError, match="row 33 "):
        net.predict(images)


def test_parameters_of_half_the_size(tmp_path: Path) -> None:
    net = small()
    values = [1.0, -2.0, 65504.0, 1 / 3, -1e-4, 6e-8, 1e-5, -1e-9, 0.0]
    net.parameters[: len(values)] = values
    whole, half = tmp_path / "whole.npz", tmp_path / "half.npz"
    net.save(whole)
    net.save(half, half=True)
    given = serialization.read(half)[1]["parameters"]
    assert given.nbytes * 2 == serialization.read(whole)[1]["parameters"].nbytes
    read = LeNet5.load(half)
    np.testing.assert_array_equal(
        read.parameters, net.parameters.astype(np.float16).astype(np.float32)
    )
    read.save(whole)
    np.testing.assert_array_equal(LeNet5.load(whole).parameters, read.parameters)
    net.parameters[3] = 65520.0
    with pytest.raises(ValueError, match=r"^parameters: some are beyond float16's range"):
        net.save(half, half=True)
    np.testing.assert_array_equal(LeNet5.load(half).parameters, read.parameters)
    with pytest.raises(TypeError, match=r"^half: "):
        net.save(half, half=1)  # type: ignore[arg-type]


def test_parameters_that_are_not_finite_are_not_saved(net: LeNet5, tmp_path: Path) -> None:
    net["C5.bias"][3] = np.inf
    with pytest.raises(ValueError, match="parameters: some are NaN or infinite"):
        net.save(tmp_path / "model.npz")
    assert not list(tmp_path.iterdir())


# ---- images in any layout ------------------------------------------------------------------------


def off_by(images: np.ndarray, offset: int) -> np.ndarray:
    memory = np.zeros(images.nbytes + offset, np.uint8)
    view = memory[offset:].view(images.dtype).reshape(images.shape)
    view[...] = images
    return view


def read_only(images: np.ndarray) -> np.ndarray:
    images = images.copy()
    images.flags.writeable = False
    return images


@pytest.mark.parametrize(
    "place",
    [
        lambda a: np.repeat(a, 2, axis=0)[::2],
        lambda a: np.repeat(a, 3, axis=2)[:, :, ::3],
        lambda a: np.ascontiguousarray(a[:, ::-1])[:, ::-1],
        np.asfortranarray,
        lambda a: off_by(a, 1),
        lambda a: off_by(a, 4),
        read_only,
        memoryview,
        lambda a: np.ctypeslib.as_ctypes(a.copy()),
        list,
    ],
    ids=[
        *("rows", "columns", "flipped", "fortran", "1 off", "4 off", "read-only", "memoryview"),
        *("ctypes", "list"),
    ],
)
@pytest.mark.parametrize("kind", ["grey", "float"])
def test_image_layouts(net: LeNet5, images: np.ndarray, kind: str, place: Any) -> None:
    if kind == "float":
        images = np.pad(images / 255, [(0, 0), (2, 2), (2, 2)]).astype(np.float32)
    want = net.forward(images)
    np.testing.assert_array_equal(net.forward(place(images)), want)


def test_a_single_image(net: LeNet5, images: np.ndarray) -> None:
    one = images[7]
    assert net.forward(one).shape == (1, 10)
    np.testing.assert_array_equal(net.forward(one), net.forward(images[7:8]))
    assert net.predict(one).shape == (1,)
    assert net.activations(one)["C1"].shape == (1, 6, 28, 28)
    for labels in (3, [3], np.int16(3)):
        loss, gradient = net.loss_and_gradient(one, labels)
        want = net.loss_and_gradient(images[7:8], [3])
        assert loss == want[0]
        np.testing.assert_array_equal(gradient, want[1])
        assert net.evaluate(one, labels).confusion.sum() == 1


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.uint64, ">i2"])
def test_label_dtypes(net: LeNet5, images: np.ndarray, dtype: Any) -> None:
    labels = np.arange(40) % 10
    want = net.loss_and_gradient(images, labels)
    got = net.loss_and_gradient(images, np.repeat(labels.astype(dtype), 2)[::2])
    assert got[0] == want[0]
    np.testing.assert_array_equal(got[1], want[1])


# ---- evaluate ------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [LeNet5, lambda: LeNet5(LENET5_MODERN)], ids=["1998", "modern"])
def test_evaluate(rng: np.random.Generator, make: Callable[[], LeNet5]) -> None:
    net = make()
    images = rng.integers(0, 256, (300, 28, 28)).astype(np.uint8)
    labels = rng.integers(0, 10, 300)
    labels[:100] = net.predict(images[:100])
    result = net.evaluate(images, labels, j=0.3)
    confusion = np.zeros((10, 10), np.int64)
    np.add.at(confusion, (labels, net.predict(images)), 1)
    np.testing.assert_array_equal(result.confusion, confusion)
    assert result.confusion.dtype == np.int64
    assert result.accuracy == pytest.approx(np.trace(confusion) / 300)
    assert result.accuracy + result.error_rate == 1
    assert 0.3 < result.accuracy < 0.9
    loss, _ = net.loss_and_gradient(images, labels, j=0.3)
    assert result.loss == pytest.approx(loss, rel=1e-6)
    assert loss != net.evaluate(images, labels, "mse").loss
    assert repr(result) == (
        f"Evaluation(loss={result.loss:.4f}, error_rate={result.error_rate:.4%}, images=300)"
    )


def test_results_can_be_compared(net: LeNet5, images: np.ndarray) -> None:
    labels = np.arange(40) % 10
    one, other = net.evaluate(images, labels), net.evaluate(images, labels)
    assert one == other
    assert one != net.evaluate(images[::-1], labels)
    assert one != dataclasses.replace(other, loss=other.loss + 1)
    assert one != dataclasses.replace(other, confusion=other.confusion.T)
    assert one != 0.5
    curve = net.rejection_curve(images, labels)
    assert curve == net.rejection_curve(images, labels)
    assert curve != net.rejection_curve(images, labels, "penalty")
    assert curve != net.rejection_curve(images, (labels + 1) % 10)
    assert curve != one


# ---- in someone's process ------------------------------------------------------------------------


def test_many_threads_predict_at_once(net: LeNet5, rng: np.random.Generator) -> None:
    images = rng.integers(0, 256, (400, 28, 28)).astype(np.uint8)
    sizes = [1, 5, 17, 64, 200, 399] * 8
    want = net.forward(images)
    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(lambda n: net.forward(images[:n], num_threads=1 + n % 3), sizes))
        gradients = list(
            pool.map(lambda n: net.loss_and_gradient(images[:200], [n] * 200)[1], [1, 2] * 6)
        )
    for n, outputs in zip(sizes, results, strict=True):
        np.testing.assert_allclose(outputs, want[:n], rtol=1e-5)
        np.testing.assert_array_equal(outputs, net.forward(images[:n], num_threads=1))
    for k, gradient in enumerate(gradients):
        np.testing.assert_array_equal(gradient, gradients[k % 2])
    assert (gradients[0] != gradients[1]).any()


def test_the_gil_is_released(net: LeNet5, rng: np.random.Generator) -> None:
    """A Python thread goes on while another is in the core."""
    images = rng.integers(0, 256, (20_000, 28, 28)).astype(np.uint8)
    ticks, done = [], threading.Event()

    def tick() -> None:
        while not done.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0.001)

    thread = threading.Thread(target=tick)
    thread.start()
    began = time.perf_counter()
    net.loss_and_gradient(images, np.zeros(20_000, int), num_threads=1)
    ended = time.perf_counter()
    done.set()
    thread.join()
    inside = [t for t in ticks if began + 0.01 < t < ended - 0.01]
    assert len(inside) > 5


needs_timer = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no interval timers")


@needs_timer
def test_a_signal_handler_may_predict(net: LeNet5, rng: np.random.Generator) -> None:
    images = rng.integers(0, 256, (20_000, 28, 28)).astype(np.uint8)
    labels = np.zeros(20_000, int)
    want, want_gradient = net.forward(images[:100]), net.loss_and_gradient(images, labels)[1]
    seen: list[np.ndarray] = []
    is_inside = False

    def handler(*_: Any) -> None:
        if is_inside:
            seen.append(net.forward(images[:100]))
            net.loss_and_gradient(images[:50], labels[:50])
        signal.setitimer(signal.ITIMER_REAL, 0.01)  # not while this runs, however slowly

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    try:
        is_inside = True
        # with the threads of a large machine the call would be over too soon
        _, gradient = net.loss_and_gradient(images, labels, num_threads=2)
        is_inside = False
    finally:
        signal.signal(signal.SIGALRM, signal.SIG_IGN)  # or the handler arms the timer again
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert len(seen) > 1
    for outputs in seen:
        np.testing.assert_array_equal(outputs, want)
    np.testing.assert_array_equal(gradient, want_gradient)


@needs_timer
@pytest.mark.parametrize(
    "call",
    [
        lambda net, x, y: net.loss_and_gradient(x, y, num_threads=1),
        lambda net, x, y: net.forward(x, num_threads=1),
        lambda net, x, y: lenet_c.Trainer(net, num_threads=1).step(x, y),
    ],
    ids=["gradient", "forward", "step"],
)
def test_a_signal_handler_may_end_a_long_call(
    net: LeNet5, rng: np.random.Generator, call: Callable[..., Any]
) -> None:
    images = np.tile(rng.integers(0, 256, (1000, 28, 28)).astype(np.uint8), (200, 1, 1))
    labels = np.zeros(len(images), int)

    # processor time, which other processes do not change
    def seconds(n: int) -> float:
        began = time.process_time()
        call(net, images[:n], labels[:n])
        return time.process_time() - began

    whole = 10 * seconds(len(images) // 10)
    before_it = net.parameters.copy()

    def handler(*_: Any) -> None:
        raise TimeoutError("enough")

    before = signal.signal(signal.SIGPROF, handler)
    began = time.process_time()
    signal.setitimer(signal.ITIMER_PROF, whole / 10)
    try:
        with pytest.raises(TimeoutError, match="enough"):
            call(net, images, labels)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
    assert time.process_time() - began < whole / 2
    np.testing.assert_array_equal(net.parameters, before_it)
    assert net.forward(images[:100]).shape == (100, 10)


def python(code: str, **environment: str) -> str:
    """Run code in a fresh process that must say nothing on stderr; give what it prints."""
    kept = {k: v for k, v in os.environ.items() if k not in ("OMP_NUM_THREADS", "PYTHONWARNINGS")}
    child = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parent.parent,
        env=kept | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert child.stderr == ""
    assert child.returncode == 0
    return child.stdout


def test_nothing_is_printed() -> None:
    code = """
import numpy as np
import lenet_c

images = np.zeros((100, 28, 28), np.uint8)
images[:, 8:20, 12:16] = 255
labels = np.arange(100) % 10
net = lenet_c.LeNet5()
trainer = lenet_c.Trainer(net, callbacks=[lenet_c.EarlyStopping("loss"), lenet_c.Callback()])
trainer.fit(images, labels, epochs=2, validation_data=(images, labels))
net.evaluate(images, labels, num_threads=2)
net.summary(), repr(net), lenet_c.cpu_info()
try:
    lenet_c.Trainer(net, lenet_c.SGD(1e30)).fit(images, labels)
except FloatingPointError:
    pass
"""
    assert python(code) == ""


def test_a_single_label_that_is_far_too_large(net: LeNet5) -> None:
    with pytest.raises(ValueError, match="labels: row 0 is an integer of 16610 bits, want 0 to 9"):
        net.loss_and_gradient(GREY[0], 10**5000)


def test_ragged_input_is_named(net: LeNet5) -> None:
    with pytest.raises(ValueError, match="images: not an array"):
        net.predict([[[1, 2], [3]]])
    with pytest.raises(ValueError, match="labels: not an array"):
        net.evaluate(np.zeros((2, 28, 28), np.uint8), [[1, 2], [3]])


@pytest.mark.filterwarnings("ignore::lenet_c.InputWarning")  # stripes look like no character
def test_a_file_of_format_1_still_loads() -> None:
    """Written by the first version, with every kind of layer that it had, a table and codes."""
    net = LeNet5.load(Path(__file__).parent / "fixtures" / "model-format1.npz")
    kinds = [layer.kind for layer in net.architecture.layers]
    assert kinds == ["conv", "subsample", "conv", "average_pool", "dense", "rbf"]
    images = (np.arange(2 * 144).reshape(2, 12, 12) % 256).astype(np.uint8)
    want = [[7.57208, 9.659435, 4.438975, 7.152182], [7.307984, 9.361837, 4.3279753, 6.7383246]]
    np.testing.assert_allclose(net.forward(images), want, rtol=1e-5)


@pytest.mark.filterwarnings("ignore::lenet_c.InputWarning")  # of random pixels
def test_a_padded_network_is_saved_and_pickled(tmp_path: Path, images: np.ndarray) -> None:
    layers = (Conv("C1", 3, 5, padding=2), AveragePool("S2"), Dense("output", 4, "identity"))
    net = LeNet5(Architecture("padded", layers), seed=3)
    net.save(tmp_path / "padded.npz")
    for again in (LeNet5.load(tmp_path / "padded.npz"), pickle.loads(pickle.dumps(net))):
        assert again.architecture == net.architecture
        np.testing.assert_array_equal(again.forward(images), net.forward(images))
    valid = dataclasses.replace(layers[0], padding=0)
    with pytest.raises(ValueError, match="'C1' differs"):
        net.copy_from(LeNet5(Architecture("valid", (valid, *layers[1:]))), layers=["C1"])


def test_a_network_without_padding_is_saved_as_before_there_was_any() -> None:
    """And a layer that was pickled then has none."""
    metadata, _ = serialization.read(Path(__file__).parent / "fixtures" / "model-format1.npz")
    then = metadata["architecture"]
    assert json.dumps(Architecture.from_dict(then).to_dict()) == json.dumps(then)
    old = Conv("C1", 3, 5)
    del old.__dict__["padding"]
    again = pickle.loads(pickle.dumps(old))
    assert "padding" not in again.__dict__
    assert again == Conv("C1", 3, 5)
    assert again.output_shape((1, 32, 32)) == (3, 28, 28)


MAX_POOLED = Architecture(
    "max pooling",
    (
        Conv("C1", maps=4, kernel=5, activation="relu"),
        MaxPool("S2"),
        Dense("output", units=10, activation="identity"),
    ),
    input_shape=(28, 28),
)


@pytest.mark.filterwarnings("ignore::lenet_c.InputWarning")  # noise
def test_a_network_with_max_pooling(tmp_path: Path, images: np.ndarray) -> None:
    """It trains on distorted images, is shown, saved and loaded."""
    net, labels = LeNet5(MAX_POOLED, seed=1), np.arange(40) % 10
    before = net.evaluate(images, labels).loss
    trainer = Trainer(net, Adam(3e-3), distort=Distortion(translation=0.5), batch_size=8)
    trainer.fit(images, labels, epochs=10)
    assert net.evaluate(images, labels).loss < before / 2
    rows = [line.split() for line in net.summary().splitlines()]
    assert ["S2", "max_pool", "4", "x", "12", "x", "12", "0", "2,304"] in rows
    path = tmp_path / "model.npz"
    net.save(path)
    np.testing.assert_array_equal(LeNet5.load(path).forward(images), net.forward(images))


def test_an_older_version_names_the_kind_that_it_does_not_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.npz"
    LeNet5(MAX_POOLED).save(path)
    known = {name: cls for name, cls in layers.KINDS.items() if cls is not MaxPool}
    monkeypatch.setattr(layers, "KINDS", known)
    with pytest.raises(ModelFileError, match=r"layers\[1\]\.kind: got 'max_pool', want one of"):
        LeNet5.load(path)


def test_what_the_network_is_cannot_be_replaced(net: LeNet5) -> None:
    with pytest.raises(AttributeError):
        net.codes = np.zeros((10, 84), np.float32)
    with pytest.raises(AttributeError):
        net.architecture = LENET5_MODERN


def test_labels_may_change_during_a_call(net: LeNet5) -> None:
    """They are copied when they are checked."""
    images, labels = np.zeros((2000, 28, 28), np.uint8), np.zeros(2000, np.int64)
    want, _ = net.loss_and_gradient(images, labels)
    stop = threading.Event()

    def spoil() -> None:
        while not stop.is_set():
            labels[:] = 1 << 40
            labels[:] = 0

    thread = threading.Thread(target=spoil)
    thread.start()
    try:
        for _ in range(20):
            with contextlib.suppress(ValueError):  # the labels when they were bad
                assert net.loss_and_gradient(images, labels)[0] == want
    finally:
        stop.set()
        thread.join()


def test_evaluate_needs_labels(net: LeNet5) -> None:
    with pytest.raises(ValueError, match="labels: none were given"):
        net.evaluate(np.zeros((1, 28, 28), np.uint8), None)


def test_import_leaves_out_what_is_imported_when_asked_for() -> None:
    code = """
import sys, lenet_c
late = ["datasets", "kernels", "plot", "preprocess", "rejection", "serialization"]
names = [*(f"lenet_c.{name}" for name in late), "importlib.resources"]
print([name for name in names if name in sys.modules])
print(set(lenet_c.__all__) <= set(dir(lenet_c)), all(hasattr(lenet_c, n) for n in lenet_c.__all__))
print(lenet_c.Rejection.__name__, lenet_c.ModelFileError.__name__)
print(lenet_c.datasets is sys.modules["lenet_c.datasets"], hasattr(lenet_c, "nothing"))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\nTrue True\nRejection ModelFileError\nTrue False\n"
