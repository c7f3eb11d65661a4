"""Pictures of single characters with marks that are none, drawn anew: each kind is read right.

Ten digits of each kind are drawn in several strengths and sizes, dark on light and light on dark.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("scipy")

from bench import pictures
from lenet_c import LeNet5, datasets, preprocess

Grey = np.ndarray
Case = Callable[[Grey, float, np.random.Generator], Grey]


@pytest.fixture(scope="module")
def digits() -> Any:
    """The shipped network, and of each class the digits that it is surest of."""
    if not os.environ.get("LENET_C_DATA"):
        pytest.skip("LENET_C_DATA is not set")
    (images, labels), _ = datasets.mnist(os.environ["LENET_C_DATA"])
    images, labels = images[-2000:], labels[-2000:]
    net = LeNet5.pretrained("mnist")
    shares = net.predict_proba(images)
    return net, [images[labels == k][np.argsort(-shares[labels == k, k])[:4]] for k in range(10)]


def rules(strength: float, faint: float, angle: float = 0.0) -> Case:
    def draw(ink: Grey, size: float, rng: np.random.Generator) -> Grey:
        distance = len(ink) / rng.uniform(4, 7)
        for at in np.arange(rng.uniform(0, distance), len(ink), distance):
            mark = pictures.line(ink.shape, at, 1 + size / 3, angle)
            ink = np.maximum(ink, rng.uniform(faint, strength) * mark)
        return ink

    return draw


def squares(ink: Grey, size: float, rng: np.random.Generator) -> Grey:
    distance, strength = len(ink) / rng.uniform(6, 9), rng.uniform(0.12, 0.4)
    for at in np.arange(rng.uniform(2, distance), len(ink) - 2, distance):
        mark = pictures.line(ink.shape, at, 1 + size / 5)
        ink = np.maximum(ink, strength * np.maximum(mark, mark.T))
    return ink


def edge_line(ink: Grey, size: float, rng: np.random.Generator) -> Grey:
    mark = pictures.line(ink.shape, rng.uniform(0, 4), rng.uniform(1, size))
    return np.maximum(ink, rng.uniform(0.4, 1) * np.rot90(mark, rng.integers(4)))


def scanner_edge(ink: Grey, size: float, rng: np.random.Generator) -> Grey:
    mark = np.zeros(ink.shape)
    mark[: round(rng.uniform(1, 3) * size)] = 1.1
    return np.maximum(ink, np.rot90(mark, rng.integers(4)))


def frame(inset: float) -> Case:
    def draw(ink: Grey, size: float, rng: np.random.Generator) -> Grey:
        first, width = round(inset * size), max(1, round(rng.uniform(0.3, 0.8) * size))
        mark = np.zeros(ink.shape)
        last = len(ink) - first
        mark[first:last, first:last] = rng.uniform(0.5, 1)
        mark[first + width : last - width, first + width : last - width] = 0
        return np.maximum(ink, mark)

    return draw


def underline(ink: Grey, size: float, rng: np.random.Generator) -> Grey:
    bottom = np.flatnonzero((ink > 0.3).any(axis=1))[-1]
    mark = pictures.line(ink.shape, bottom + 2.2 * size, rng.uniform(0.4, 1) * size)
    mark[:, : round(3 * size)] = 0
    mark[:, -round(3 * size) :] = 0
    return np.maximum(ink, rng.uniform(0.6, 1) * mark)


def fold(ink: Grey, size: float, rng: np.random.Generator) -> Grey:
    at = rng.uniform(0.35, 0.65) * len(ink)
    mark = pictures.line(ink.shape, at, 0.4 * size, rng.uniform(-3, 3))
    mark = mark if rng.random() < 0.5 else mark.T
    return ink + rng.uniform(0.1, 0.35) * mark * (1 - ink)


def table_corner(ink: Grey, size: float, rng: np.random.Generator) -> Grey:
    y, x = np.mgrid[: len(ink), : len(ink)]
    mark = np.clip(rng.uniform(5, 9) * size - y - x * rng.uniform(0.7, 1.4), 0, 1)
    return np.maximum(ink, rng.uniform(0.4, 0.9) * np.rot90(mark, rng.integers(4)))


def hard_shadow(ink: Grey, size: float, rng: np.random.Generator) -> Grey:
    y, x = np.mgrid[: len(ink), : len(ink)] - len(ink) / 2
    angle = rng.uniform(0, 2 * np.pi)
    across = np.cos(angle) * x + np.sin(angle) * y + rng.uniform(-3, 3) * size
    light = 1 - rng.uniform(0.25, 0.5) * np.clip(across + 0.5, 0, 1)
    return 1 - (1 - 0.88 * ink) * light


def neighbour(ink: Grey, size: float, rng: np.random.Generator) -> Grey:
    """A stroke of the character before or behind, cut by the picture's edge."""
    turn = slice(None, None, rng.choice([1, -1]))
    ink = ink[:, turn]
    own = np.flatnonzero((ink > 0.3).any(axis=0))
    ink = ink[:, : own[-1] + round(rng.uniform(5, 8) * size)].copy()
    shown, top = round(rng.uniform(1, 2.5) * size), round(rng.uniform(8, 14) * size)
    ink[top : top + round(6 * size), -shown:] = 1
    return ink[:, turn]


def no_margin(ink: Grey, size: float, rng: np.random.Generator) -> Grey:
    return pictures.cropped(ink, int(rng.integers(0, 2)))


CASES: dict[str, Case] = {
    "ruled light": rules(0.5, 0.3),
    "ruled dark": rules(1, 0.8),
    "ruled, turned": rules(0.5, 0.3, 1.5),
    "ruled faint": rules(0.2, 0.1),
    "squared light": squares,
    "one edge line": edge_line,
    "scanner edge": scanner_edge,
    "neighbour cut": neighbour,
    "frame inside": frame(1.5),
    "frame on edge": frame(0),
    "underline": underline,
    "fold": fold,
    "table corner": table_corner,
    "hard shadow": hard_shadow,
    "no margin": no_margin,
}
"""Every kind that came from users, by its name there, and two more of rules."""

SIZES = (3, 5, 7)  # by which a digit of MNIST is enlarged, on a sheet 10 pixels of its own wider


def drawn(image: Grey, case: Case, size: float, rng: np.random.Generator) -> Grey:
    margin = round(5 * size)
    ink = case(np.pad(pictures.enlarge(image, size), margin), size, rng)
    return np.clip(rng.uniform(0.88, 0.98) - rng.uniform(0.65, 0.8) * ink, 0, 1)


@pytest.mark.parametrize("name", CASES)
def test_it_is_read_right(name: str, digits: Any) -> None:
    net, images = digits
    rng = np.random.default_rng([27, list(CASES).index(name)])
    wrong = []
    for size in SIZES:
        for polarity in ("dark", "light"):
            for digit in range(10):
                image = images[digit][rng.integers(len(images[digit]))]
                light = drawn(image, CASES[name], size, rng)
                light = light if polarity == "dark" else 1 - light
                try:
                    found = preprocess.character(np.rint(255 * light).astype(np.uint8))
                    read = int(net.predict(found)[0])
                except ValueError as error:
                    wrong.append((size, polarity, digit, str(error)))
                else:
                    if read != digit:
                        wrong.append((size, polarity, digit, read))
    assert len(wrong) <= 2, wrong  # of 60
