"""Training of a reader of lines: batches of strips, updates on them, and the best weights."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lenet_c import _core, criteria
from lenet_c.distort import Distortion
from lenet_c.model import LeNet5
from lenet_c.strips import MARGIN, Strip, distorted, padded
from lenet_c.trainer import Trainer

if TYPE_CHECKING:
    from lenet_c.strings import Strings

Floats = NDArray[np.float32]
Labelled: TypeAlias = "tuple[Strip, NDArray[np.integer[Any]]]"

OWN = Distortion(
    translation=1.5,
    scaling=0.15,
    squeezing=0.15,
    shearing=0.16,
    rotation=2.5,
    elastic=0.7,
    elastic_smoothness=6.0,
    thickness=0.7,
    blur=0.6,
    contrast=0.25,
    noise=0.06,
    chance=0.7,
)
"""How `LineReader.fit` changes the strips of one's own fields, anew each time."""


def fits(network: LeNet5, strip: Strip, label: NDArray[Any]) -> bool:
    """Tell whether a text can be spelt in the positions that a strip has when it is padded."""
    _, positions = network.positions(len(strip), strip.shape[1] + 2 * MARGIN)
    return criteria.positions_needed(label) <= positions


def update(trainer: Trainer, batch: Sequence[Labelled], step: int, steps: int) -> float:
    """Make one update on the strips whose texts fit.

    Parameters
    ----------
    trainer : Trainer
    batch : sequence of (strip, classes)
        One at least whose text fits.
    step, steps : int
        Which update it is, from 0, and of how many: the optimizer's schedule spans them.

    Returns
    -------
    float
        The mean loss before it.
    """
    network = trainer.network
    kept = [(strip, label) for strip, label in batch if fits(network, strip, label)]
    samples = _core.LabelledPictures(
        network._network, padded([strip for strip, _ in kept]), [label for _, label in kept]
    )
    rate = trainer._rate(step, steps, 1)
    return trainer._update(samples, None, rate, trainer.num_threads)[0]


def batches(
    own: Sequence[Labelled],
    n_own: int,
    distort: Distortion | None,
    synthetic: Strings | None,
    n_others: int,
    rng: np.random.Generator,
    num_threads: int | None,
) -> Iterator[list[Labelled]]:
    """Give batches without end: n_own of one's own strips, distorted anew, and n_others."""
    order = _orders(len(own), rng)
    while True:
        chosen = [own[next(order)] for _ in range(n_own)]
        batch: list[Labelled] = [
            (strip if distort is None else distorted(strip, distort, rng), label)
            for strip, label in chosen
        ]
        if synthetic is not None and n_others:
            batch += zip(*synthetic.batch(n_others, num_threads=num_threads), strict=True)
        yield batch


def _orders(n: int, rng: np.random.Generator) -> Iterator[int]:
    while True:
        yield from rng.permutation(n).tolist()


class Best:
    """The weights that had the lowest loss, if any was seen."""

    def __init__(self, network: LeNet5) -> None:
        self._network = network
        self._loss = math.inf
        self._weights: Floats | None = None

    def look(self, loss: float) -> None:
        """Keep the weights as they are now if this is their loss and the lowest."""
        if loss < self._loss:
            self._weights, self._loss = self._network.parameters.copy(), loss

    def put_back(self) -> None:
        """Give the network the weights that were kept."""
        if self._weights is not None:
            with self._network._turns.changing:
                self._network.parameters[...] = self._weights
