"""Trains the reader of strings that the library ships: `lenet-c train --strings`.

The network learns from strips made of MNIST's training digits alone: most as real fields are, some
as the digits are, some as in the paper (section VII.B).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from lenet_c import checks
from lenet_c.lines import LineReader
from lenet_c.model import LeNet5
from lenet_c.networks import LENET5_STRINGS
from lenet_c.optimizers import Adam, OneCycle
from lenet_c.strings import strings
from lenet_c.trainer import Trainer

STEPS = 20_000
SHARES = {"field": 44, "mnist": 10, "paper": 10}  # strips of each preset in an update
OPTIMIZER = Adam(4e-3, schedule=OneCycle(warm_up=0.15, start=0.05, end=0.0))


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
        batch = []
        for preset, stream in streams.items():
            strips, labels_of = stream.batch(SHARES[preset], num_threads=num_threads)
            batch += list(zip(strips, (np.asarray(b, np.int32) for b in labels_of), strict=True))
        loss = reader._update(trainer, batch, step, steps)
        if on_step is not None:
            on_step(step + 1, loss, reader)
    return reader
