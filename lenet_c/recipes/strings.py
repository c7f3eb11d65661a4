"""Trains the reader of strings that the library ships: `lenet-c train --strings`.

The network learns from strips made of MNIST's training digits alone: most as real fields are, some
as the digits are, some as in the paper (section VII.B).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lenet_c import checks
from lenet_c.line_training import update
from lenet_c.lines import LineEvaluation, LineReader
from lenet_c.model import LeNet5
from lenet_c.networks import LENET5_STRINGS
from lenet_c.optimizers import Adam, OneCycle
from lenet_c.strings import strings
from lenet_c.trainer import Trainer

STEPS = 20_000
SHARES = {"field": 44, "mnist": 10, "paper": 10}  # strips of each preset in an update
OPTIMIZER = Adam(4e-3, schedule=OneCycle(warm_up=0.15, start=0.05, end=0.0))
CALIBRATED_ON = 2000  # strips
TESTED_ON = 1000  # of each kind
KINDS = {
    "as they are, 0 to 4 pixels apart": "mnist",
    "-1 to 4 pixels apart, 10% of the pixels inverted": "paper",
    "as fields are": "field",
}


def split(images: ArrayLike, labels: ArrayLike) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """Part digits: five sixths to learn from, and the last sixth, 10,000 of MNIST, to calibrate by.

    Parameters
    ----------
    images : uint8 array (N, 28, 28)
    labels : integer array (N,)

    Returns
    -------
    tuple
        Of two pairs (images, labels).
    """
    images, labels = np.asarray(images), np.asarray(labels)
    n = len(images) - len(images) // 6
    return (images[:n], labels[:n]), (images[n:], labels[n:])


def train(
    images: ArrayLike,
    labels: ArrayLike,
    *,
    steps: int = STEPS,
    seed: int = 0,
    on_step: Callable[[int, float, LineReader], object] | None = None,
    num_threads: int | None = None,
) -> LineReader:
    """Train a reader of digit strings from the start.

    Parameters
    ----------
    images : uint8 array (N, 28, 28)
        Single digits.
    labels : integer array (N,)
    steps : int
        Updates.
    seed : int
        Of the first weights, and of the strips.
    on_step : callable, optional
        Called after each update with its number, its loss and the reader.
    num_threads : int, optional
        The weights are the same bits for any number.

    Returns
    -------
    LineReader
        Not calibrated.
    """
    steps = checks.whole("steps", steps, 1)
    reader = LineReader(LeNet5(LENET5_STRINGS, seed=seed))
    trainer = Trainer(reader.network, OPTIMIZER, "forward", seed=seed, num_threads=num_threads)
    streams = {
        preset: strings(images, labels, preset=preset, seed=seed * len(SHARES) + k)
        for k, preset in enumerate(SHARES)
    }
    for step in range(steps):
        batch: list[tuple[Any, Any]] = []
        for preset, stream in streams.items():
            strips, labels_of = stream.batch(SHARES[preset], num_threads=num_threads)
            batch += zip(strips, labels_of, strict=True)
        loss = update(trainer, batch, step, steps)
        if on_step is not None:
            on_step(step + 1, loss, reader)
    return reader


def calibrate(
    reader: LineReader,
    images: ArrayLike,
    labels: ArrayLike,
    *,
    seed: int = 0,
    num_threads: int | None = None,
) -> None:
    """Give a reader its temperature and its threshold for doubts, by strips that it has not seen.

    They are as real fields are, made of digits that it has not seen either.

    Parameters
    ----------
    reader : LineReader
        Of digits.
    images, labels, seed, num_threads
        As of `train`: the other part of `split`.
    """
    own = strings(images, labels, preset="field", empty=0.0, seed=seed * len(SHARES) + len(SHARES))
    strips, texts = own.batch(CALIBRATED_ON, num_threads=num_threads)
    reader.calibrate(strips, _texts(texts), num_threads=num_threads)


def evaluate(
    reader: LineReader,
    images: ArrayLike,
    labels: ArrayLike,
    *,
    n: int | None = None,
    num_threads: int | None = None,
) -> dict[str, LineEvaluation]:
    """Read strips of five digits that are none of those learnt from.

    Parameters
    ----------
    reader : LineReader
    images, labels
        As of `train`: test digits.
    n : int, optional
        Strips of each kind; 1,000 by default.
    num_threads : int, optional

    Returns
    -------
    dict
        By what the strips look like.
    """
    found = {}
    for name, preset in KINDS.items():
        stream = strings(images, labels, preset=preset, length=5, empty=0.0, seed=1)
        strips, texts = stream.batch(n or TESTED_ON, num_threads=num_threads)
        found[name] = reader.evaluate(strips, _texts(texts), num_threads=num_threads)
    return found


def _texts(labels: list[NDArray[np.int64]]) -> list[str]:
    return ["".join(map(str, label)) for label in labels]
