"""What `LeNet5.evaluate` gives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What `LeNet5.evaluate` found.

    Attributes
    ----------
    loss : float
        Mean loss over the images.
    accuracy, error_rate : float
        Shares of the images, in [0, 1]; they add up to 1.
    confusion : int64 array (classes, classes)
        Images of class `row` that were read as class `column`.
    """

    loss: float
    accuracy: float
    error_rate: float
    confusion: NDArray[np.int64]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Evaluation):
            return NotImplemented
        return self.loss == other.loss and np.array_equal(self.confusion, other.confusion)

    def __repr__(self) -> str:
        n = int(self.confusion.sum())
        return f"Evaluation(loss={self.loss:.4f}, error_rate={self.error_rate:.4%}, images={n})"
