"""Where a training run stands, for who saves, copies or resumes it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lenet_c import checks


@dataclass
class Run:
    """Where a `fit` stands: what `Trainer.resume` goes on from.

    Attributes
    ----------
    epochs : int
        Passes that it was asked for.
    n_images : int
    calibrate : bool
        Whether the network is calibrated when it ends.
    digest : bytes or None
        Of the images, the labels and the validation data; None until it is asked for.
    order : int64 array (n_images,) or None
        Of the pass under way; None between two passes.
    done : tuple (int, int, float, int)
        Updates of that pass, the trainer's count of updates then, and over the pass the sum of the
        losses and the errors. One tuple: who interrupts sees all of it or nothing.
    seconds : float
        Of that pass until `began`.
    began : float
    random : dict or None
        State of the random numbers before a pass whose order is just being drawn: a signal's
        handler may save in between.
    told : int or None
        Callbacks that have been told of the last pass; None: all of them.
    """

    epochs: int
    n_images: int
    calibrate: bool = False
    digest: bytes | None = None
    order: np.ndarray | None = None
    done: tuple[int, int, float, int] = (0, 0, 0.0, 0)
    seconds: float = 0.0
    began: float = 0.0
    random: Mapping[str, Any] | None = None
    told: int | None = None

    def check(self, n_images: int, data: Iterable[ArrayLike]) -> None:
        """Raise ValueError unless these are the images, labels and so on that it began with."""
        if n_images != self.n_images:
            raise ValueError(
                f"images: got {n_images:,}, the fit under way has {self.n_images:,}: want the same"
            )
        if self.digest is not None and self.digest != digest_of(data):
            raise ValueError(
                "images: these, their labels or the validation data are not those that the fit "
                "under way began with: want the same, in the same order"
            )


def digest_of(data: Iterable[ArrayLike]) -> bytes:
    """Give the SHA-256 of some arrays: shapes, dtypes and values."""
    from hashlib import sha256  # slow to import

    digest = sha256()
    for given in _arrays(data):
        array = checks.array("images", given)
        is_image = array.ndim > 2 or (array.ndim == 2 and array.dtype == np.uint8)
        if array.dtype.kind in "iu" and not is_image:
            array = array.astype(np.int64)  # labels are the same in any dtype
        digest.update(f"{array.dtype.str} {array.shape}\0".encode())
        if array.dtype.kind == "U":
            array = np.frombuffer(array.tobytes(), np.uint8)
        flat = array.reshape(1) if array.ndim == 0 else array
        for first in range(0, len(flat), 4096):  # a view that is not contiguous is copied in parts
            digest.update(np.ascontiguousarray(flat[first : first + 4096]).data)
    return digest.digest()


def _arrays(data: Iterable[Any]) -> Iterable[ArrayLike]:
    """Give the arrays; where they differ in size, as strips and strings do, each by itself."""
    for given in data:
        try:
            array = checks.array("images", given)
            differ = array.dtype == object and array.ndim > 0
        except ValueError:
            differ = True
        if differ:
            yield len(given)
            yield from given
        else:
            yield array
