"""What `bench.lines` counts: strings right, character errors, and what a threshold lets through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lenet_c.line_calibration import threshold as threshold_of
from lenet_c.lines import LineReading, _distance

LENGTH = 5  # of a string
SEED = 1998  # of strings and of folds
FOLDS = 5
WRONG = 0.01  # of what is read


@dataclass(frozen=True)
class Score:
    """How much was read right.

    Attributes
    ----------
    n : int
        Texts.
    right : float
        The share that is right as a whole.
    errors : float
        Characters to change, put in or take out, of all that there are.
    """

    n: int
    right: float
    errors: float


def score(got: Sequence[str], wanted: Sequence[str]) -> Score:
    """Compare texts with what they should be."""
    pairs = list(zip(got, wanted, strict=True))
    return Score(
        len(pairs),
        float(np.mean([a == b for a, b in pairs])),
        sum(_distance(a, b) for a, b in pairs) / sum(map(len, wanted)),
    )


def folds(n: int, parts: int = FOLDS, seed: int = SEED) -> list[np.ndarray]:
    """Cut the numbers from 0 to n - 1 into parts at random: each number is in one."""
    order = np.random.default_rng(seed).permutation(n)
    return [np.sort(part) for part in np.array_split(order, parts)]


@dataclass(frozen=True)
class Answers:
    """Readings in the form that thresholds need.

    Attributes
    ----------
    penalty : float array
        Minus the logarithm of a string's probability; infinite where nothing was read.
    right : bool array
    """

    penalty: np.ndarray
    right: np.ndarray

    def __getitem__(self, chosen: np.ndarray) -> Answers:
        return Answers(self.penalty[chosen], self.right[chosen])


def answers(readings: Sequence[LineReading], wanted: Sequence[str]) -> Answers:
    """Take from readings what `threshold` and `accepted` need."""
    with np.errstate(divide="ignore"):
        penalty = -np.log([reading.probability if reading.text else 0.0 for reading in readings])
    return Answers(penalty, np.array([a.text == b for a, b in zip(readings, wanted, strict=True)]))


def threshold(given: Answers, wrong: float = WRONG) -> float:
    """Give the highest penalty up to which no more than this share is wrong."""
    read = np.isfinite(given.penalty)
    return threshold_of(given.penalty[read], given.right[read], wrong) if read.any() else 0.0


def accepted(given: Answers, limits: float | np.ndarray) -> np.ndarray:
    """Mark what is read, by one threshold or each by its own."""
    return np.isfinite(given.penalty) & (given.penalty <= limits)


def limits_of_others(given: Answers, parts: Sequence[np.ndarray]) -> np.ndarray:
    """Give each answer the threshold that is chosen on all parts but its own."""
    limits = np.empty(len(given.right))
    for part in parts:
        others = np.ones(len(limits), bool)
        others[part] = False
        limits[part] = threshold(given[others])
    return limits
