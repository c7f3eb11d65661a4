"""The share of the images of a `fit` that is not trained on: the last, as Keras has it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lenet_c import checks
from lenet_c.inputs import InputWarning


def share_of(validation_split: float, validation_data: object) -> float:
    """Check a share, 0 for none, which is not beside validation data."""
    share = checks.real("validation_split", validation_split, 0.0, 1.0)
    if share and validation_data is not None:
        raise ValueError(
            f"validation_split: got {share:g} beside validation_data, want one of them"
        )
    return share


def first_held_out(n: int, share: float, what: str) -> int:
    """Give the place of the first one that is held out; Keras rounds in the same way.

    Parameters
    ----------
    n : int
    share : float
        Above 0 and below 1.
    what : str
        What they are, for an error.

    Returns
    -------
    int
        From 1 to n - 1.
    """
    place = math.floor(n * (1.0 - share))
    if not 0 < place < n:
        raise ValueError(
            f"validation_split: got {share:g} of {n} {what}, which leaves none to "
            f"{'train on' if place < 1 else 'validate with'}; want one at least of both"
        )
    return place


def held_out(
    share: float,
    validation_data: Any,
    images: ArrayLike,
    labels: ArrayLike,
    sample_weight: ArrayLike | None,
) -> tuple[list[Any], Any]:
    """Part images, labels and weights in those to train on and the last.

    Parameters
    ----------
    share : float
        `validation_split`: at least 0 and below 1. 0: nothing is parted.
    validation_data : object
        What was given as such; None if the share is not 0.
    images, labels, sample_weight : as `Trainer.fit` gets them
        Weights that are None stay None.

    Returns
    -------
    (list, validation_data)
        The list has the rows to train on, in the order given.
    """
    rows = {"images": images, "labels": labels, "sample_weight": sample_weight}
    if not share_of(share, validation_data):
        return list(rows.values()), validation_data
    given = {name: _rows(name, one) for name, one in rows.items() if one is not None}
    n = len(given["images"])
    for name, one in given.items():
        if len(one) != n:
            raise ValueError(f"{name}: got {len(one)}, want {n}, one for each image")
    first = first_held_out(n, share, "images")
    learnt = {name: one[:first] for name, one in given.items()}
    held = {name: one[first:] for name, one in given.items()}
    _check_classes(np.asarray(learnt["labels"]), held["labels"])
    return [learnt.get(name) for name in rows], tuple(held.values())


def _rows(name: str, given: ArrayLike) -> Any:
    """Give what is one row an image: a list as it is, for strips differ in size."""
    if isinstance(given, (list, tuple)):
        return given
    if isinstance(given, (str, Iterator)) or (array := checks.array(name, given)).ndim == 0:
        raise TypeError(
            f"{name}: got {checks.short(given)}, want an array or a list with validation_split"
        )
    return array


def _check_classes(learnt: NDArray[Any], held: Any) -> None:
    """Warn of images that are sorted by their classes."""
    if learnt.ndim != 1 or learnt.dtype.kind not in "iu":
        return
    missing = np.setdiff1d(held, learnt)
    if len(missing):
        checks.warn(
            f"validation_split: no image of {'class' if len(missing) == 1 else 'classes'} "
            f"{checks.short(missing.tolist())[1:-1]} is trained on, since the last images are held "
            "out as they stand, sorted; shuffle them before: order = np.random.default_rng(0)."
            "permutation(len(labels)); images, labels = images[order], labels[order]",
            InputWarning,
        )
