"""Networks with any number of classes and any codes, from construction to the command line."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lenet_c import (
    LENET5_28,
    LENET5_1998,
    LENET5_MODERN,
    LENET_3X3,
    RBF,
    Adam,
    Architecture,
    LeNet5,
    Trainer,
    cli,
    codes,
    datasets,
    networks,
)
from lenet_c.recipes import RECIPES

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def pictures(text: str, each: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Images (len(text) * each, 28, 28) of the characters' codes, here and there, and labels."""
    labels = np.repeat(np.arange(len(text)), each)
    images = np.zeros((len(labels), 28, 28), np.uint8)
    for image, label in zip(images, labels, strict=True):
        shape = codes.of(text[label])[0].reshape(12, 7) > 0
        top, left = rng.integers(2, 4), rng.integers(6, 8)
        image[top : top + 24, left : left + 14] = np.kron(shape, np.full((2, 2), 255))
    return images, labels


def short_codes(classes: int, length: int) -> np.ndarray:
    rng = np.random.default_rng(7)
    return np.where(rng.random((classes, length)) < 0.5, -1.0, 1.0)


def trained_codes() -> LeNet5:
    layers = (*LENET5_1998.layers[:-1], RBF("output", classes=26, trained=True))
    architecture = dataclasses.replace(LENET5_1998, layers=layers)
    return LeNet5(architecture, codes=codes.of(LETTERS))


NETWORKS: dict[str, tuple[Callable[[], LeNet5], str]] = {
    "ascii": (lambda: LeNet5(codes=codes.ASCII), codes.CHARACTERS),
    "letters": (lambda: LeNet5(codes=codes.of(LETTERS)), LETTERS),
    "trained codes": (trained_codes, LETTERS),
    "three, 20 components": (lambda: LeNet5(codes=short_codes(3, 20)), "xyz"),
    "twelve, 130 components": (lambda: LeNet5(codes=short_codes(12, 130)), LETTERS[:12]),
    "one component": (lambda: LeNet5(codes=[[1], [-1]]), "L7"),
    "modern": (lambda: LeNet5(LENET5_MODERN.with_classes(26)), LETTERS),
    "28x28, relu": (
        lambda: LeNet5(LENET5_28.with_activation("relu").with_classes(26)),
        LETTERS,
    ),
    "3x3": (lambda: LeNet5(LENET_3X3.with_classes(3)), "xyz"),
}


@pytest.mark.parametrize("which", NETWORKS)
def test_from_construction_to_reading(which: str, rng: np.random.Generator, tmp_path: Path) -> None:
    make, text = NETWORKS[which]
    n = len(text)
    images, labels = pictures(text, 8 if n > 26 else 12, rng)
    net = make()
    assert net.architecture.classes == n
    assert net.forward(images[:5]).shape == (5, n)
    assert net.activations(images[:1])["output"].shape == (1, n)
    np.testing.assert_allclose(net.predict_proba(images).sum(axis=1), 1, rtol=1e-5)

    epochs = max(4, 8000 // len(images) // 2)
    Trainer(net, Adam(2e-3, schedule="one_cycle"), batch_size=8).fit(images, labels, epochs)
    result = net.evaluate(images, labels)
    assert result.error_rate < 0.05
    assert result.confusion.shape == (n, n)
    np.testing.assert_array_equal(result.confusion.sum(axis=1), np.bincount(labels))
    read = net.predict(images)
    assert (read != labels).mean() == pytest.approx(result.error_rate)

    net.save(tmp_path / "net.npz")
    other = LeNet5.load(tmp_path / "net.npz")
    assert other.architecture == net.architecture
    np.testing.assert_array_equal(other.forward(images), net.forward(images))
    if net.codes is not None:
        np.testing.assert_array_equal(other.codes, net.codes)

    with pytest.raises(ValueError, match=rf"labels: row 0 is {n}, want 0 to {n - 1}"):
        net.evaluate(images[:1], [n])


@pytest.mark.parametrize(("classes", "length"), [(95, 84), (3, 20), (12, 130), (2, 1)])
def test_penalties_are_distances_to_the_codes(
    classes: int, length: int, rng: np.random.Generator
) -> None:
    """LeCun et al. 1998, eq. 7, for other numbers than ten and 84."""
    given = np.eye(classes, length) if length == 1 else short_codes(classes, length)
    net = LeNet5(codes=given)
    images = rng.integers(0, 256, (33, 28, 28)).astype(np.uint8)
    f6 = net.activations(images)["F6"].astype(float)
    assert f6.shape == (33, length)
    wanted = ((f6[:, None] - given) ** 2).sum(axis=2)
    np.testing.assert_allclose(net.forward(images), wanted, rtol=1e-5, atol=1e-5)


def test_codes_decide_only_where_no_architecture_is_given() -> None:
    assert LeNet5(codes=codes.of("ABC")).architecture == LENET5_1998.with_classes(3)
    assert LeNet5(codes=codes.DIGITS).architecture == LENET5_1998
    with pytest.raises(ValueError, match=r"codes: shape \(3, 84\), want \(10, 84\)"):
        LeNet5(LENET5_1998, codes=codes.of("ABC"))
    LeNet5(LENET5_1998.with_classes(3), codes=codes.of("ABC"))
    with pytest.raises(ValueError, match=r"codes: none given, want an array \(3, 84\)"):
        LeNet5(LENET5_1998.with_classes(3))


def test_equal_codes_are_refused_where_they_stay() -> None:
    same = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, -0.0]])
    with pytest.raises(ValueError, match="codes: rows 0 and 2 are equal"):
        LeNet5(codes=same)
    layers = (*LENET5_1998.with_classes(3, 2).layers[:-1], RBF("output", 3, trained=True))
    LeNet5(Architecture("trained", layers), codes=same)


# ---- the command line ----------------------------------------------------------------------------


@pytest.fixture
def ascii_model(tmp_path: Path) -> Path:
    LeNet5(codes=codes.ASCII).save(tmp_path / "ascii.npz")
    return tmp_path / "ascii.npz"


def test_summary_and_predict(ascii_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image_module = pytest.importorskip("PIL.Image")
    assert cli.main(["summary", str(ascii_model)]) == 0
    assert "output  rbf        95  " in capsys.readouterr().out
    picture = ascii_model.parent / "Q.png"
    image_module.fromarray(pictures("Q", 1, np.random.default_rng(0))[0][0]).save(picture)
    assert cli.main(["predict", str(ascii_model), str(picture)]) == 0
    name, best, probability = capsys.readouterr().out.split("\t")
    assert name == str(picture)
    assert 0 <= int(best) < 95
    assert 0 < float(probability) <= 1


def test_evaluate(ascii_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """More classes than the data have are their own business; fewer cannot be compared."""
    pytest.importorskip("sklearn")
    assert cli.main(["evaluate", str(ascii_model), "--dataset", "digits"]) == 0
    table = capsys.readouterr().out.split("class read)\n")[1].splitlines()
    assert table[0].split() == [str(i) for i in range(95)]
    assert [len(line.split()) for line in table[1:]] == [96] * 95
    LeNet5(codes=codes.of("ABC")).save(ascii_model)
    assert cli.main(["evaluate", str(ascii_model), "--dataset", "digits"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (
        f"lenet-c: error: {ascii_model}: reads 3 classes, digits has labels 0 to 9\n"
    )


@pytest.mark.parametrize("name", list(RECIPES))
def test_train_with_relu(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("sklearn")
    monkeypatch.chdir(tmp_path)
    arguments = ["--architecture", name, "--activation", "relu", "--dataset", "digits"]
    epochs = "3" if name == "lenet-caffe" else "15"  # it is large
    assert cli.main(["train", *arguments, "--epochs", epochs, "--quiet"]) == 0
    assert f"training {name}-relu " in capsys.readouterr().out
    net = LeNet5.load("model.npz")
    assert net.architecture == networks.NETWORKS[name].with_activation("relu")
    assert net.evaluate(*datasets.digits()[1]).error_rate < 0.1
