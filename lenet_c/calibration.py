"""Calibration: from images whose classes are known, what makes a network's answers a confidence.

A temperature, by which penalties or logits are divided before the softmax (Guo et al. 2017), and
the thresholds beyond which an answer is doubtful: its penalty, and how far its image is from the
mean image of the class.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lenet_c import _core
from lenet_c.architectures import Architecture
from lenet_c.rejection import Rejection

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]
Reals = NDArray[np.float64]

FEWEST = 10
"""Images that a calibration takes at least."""

TEMPERATURES = (1e-30, 1e30)
"""The lowest and the highest that a network takes."""

_CHUNK = 1 << 18  # pixels that are held as floats at a time


def check(n: int, architecture: Architecture) -> None:
    """Raise ValueError unless so many images of a network can say anything."""
    if n < FEWEST:
        raise ValueError(f"images: got {n}, want at least {FEWEST} to calibrate with")
    if architecture.classes < 2:
        raise ValueError(f"calibrate: {architecture.name} has one class, of which all is certain")


def evidence(outputs: Floats, is_rbf: bool) -> Reals:
    """Give logits, or negated penalties, less the largest of each image."""
    values = -outputs.astype(np.float64) if is_rbf else outputs.astype(np.float64)
    values -= values.max(axis=1, keepdims=True)
    return values


def log_loss(outputs: Floats, is_rbf: bool, labels: Integers, temperature: float) -> float:
    """Give the mean negative logarithm of the right class's probability.

    Parameters
    ----------
    outputs : float32 array (N, classes)
        What `LeNet5.forward` gives, finite.
    is_rbf : bool
        Whether they are penalties, or else logits.
    labels : int64 array (N,)
    temperature : float

    Returns
    -------
    float
    """
    values = evidence(outputs, is_rbf) / temperature
    right = np.take_along_axis(values, labels[:, None], axis=1)[:, 0]
    return float(np.mean(np.log(np.exp(values).sum(axis=1)) - right))


def temperature(outputs: Floats, is_rbf: bool, labels: Integers) -> float:
    """Find the temperature of the lowest `log_loss`.

    Where the right class is the best one of every image, colder is always better. Then one image
    more is taken to be there, of which all classes are as likely (as Platt 1999 does): so many
    right answers are no certainty.

    Parameters
    ----------
    outputs, is_rbf, labels : as for `log_loss`

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If no temperature is better than the highest: the outputs say nothing about the labels.
    """
    values = evidence(outputs, is_rbf)
    n, classes = values.shape
    right = np.take_along_axis(values, labels[:, None], axis=1)[:, 0]
    chance = 1.0 / (n + 2) if not right.any() else 0.0
    wanted = float(np.mean((1.0 - chance) * right + chance * values.mean(axis=1)))
    mean = float(values.mean())
    # without the margin rounding might decide
    if wanted - mean <= 1e-9 * (1.0 + abs(mean)):
        raise ValueError(
            "labels: the network reads these images no better than by chance, so there is no "
            f"temperature to find; train it first, or look whether labels are 0 to {classes - 1}"
        )

    def too_cold(log_temperature: float) -> bool:
        # the loss is convex in 1 / temperature, and this is the sign of its slope there
        scaled = values / math.exp(log_temperature)
        shares = np.exp(scaled)
        expected = (shares * values).sum(axis=1) / shares.sum(axis=1)
        return float(np.mean(expected)) > wanted

    low, high = (math.log(limit) for limit in TEMPERATURES)
    near = math.log(max(-mean, 1e-20))  # of the outputs' own scale
    low, high = max(low, near - 25.0), min(high, near + 25.0)
    while high - low > 1e-9 * (1.0 + abs(low)):
        middle = (low + high) / 2
        if too_cold(middle):
            low = middle
        else:
            high = middle
    return math.exp((low + high) / 2)


def thresholds(share: float, penalty: Reals, distance: Reals) -> Rejection:
    """Find the rejection that rejects this share of some images, by either score as many.

    Parameters
    ----------
    share : float
        In [0, 1); no more than this are rejected.
    penalty, distance : float64 array (N,)

    Returns
    -------
    Rejection
    """
    n = len(penalty)
    ranks = [score.argsort(kind="stable").argsort(kind="stable") for score in (penalty, distance)]
    # the last rank that is accepted in both
    last = int(np.sort(np.maximum(*ranks))[n - int(share * n) - 1])
    if last == n - 1:
        return Rejection()
    return Rejection(
        **{
            name: float(np.mean(np.sort(score)[last : last + 2]))
            for name, score in (("penalty", penalty), ("distance", distance))
        }
    )


# ---- how far an image is from the mean image of a class ----


def class_means(images: NDArray[Any], labels: Integers, architecture: Architecture) -> Floats:
    """Give the mean image of each class, 0 for background and 1 for ink.

    Parameters
    ----------
    images : uint8 or float32 array (N, H, W)
        Checked, as the network takes them.
    labels : int64 array (N,)
    architecture : Architecture

    Returns
    -------
    float32 array (classes, height, width)
        As large as what the network sees. A class without images has the mean of all.

    Raises
    ------
    MemoryError
        If they would take more than a call may.
    """
    shape = (architecture.classes, *architecture.input_shape)
    _core.check_memory(f"mean images, {shape}", 4 * math.prod(shape) + images.nbytes)
    means = np.zeros(shape, np.float32)
    rows, columns = _middle(images, architecture)
    background, step = _scale(images, architecture)
    for label in range(len(means)):
        chosen = labels == label
        of_class = images[chosen] if chosen.any() else images
        means[label, rows, columns] = (of_class.mean(axis=0, dtype=np.float64) - background) / step
    return means


def distances(
    images: NDArray[Any], classes: Integers, means: Floats, architecture: Architecture
) -> Reals:
    """Give each image's Euclidean distance from the mean image of its class.

    Parameters
    ----------
    images : uint8 or float32 array (N, H, W)
        Checked, as the network takes them.
    classes : int64 array (N,)
        What they are read as.
    means : float32 array (classes, height, width)
        What `class_means` gives.
    architecture : Architecture

    Returns
    -------
    float64 array (N,)
    """
    rows, columns = _middle(images, architecture)
    background, step = _scale(images, architecture)
    inner = means[:, rows, columns]
    # around an image there is background, as far away as the mean has ink there
    outer, around = (
        np.einsum("cij,cij->c", part, part, dtype=np.float64) for part in (means, inner)
    )
    found: Reals = np.maximum(outer - around, 0.0)[classes]
    with np.errstate(over="ignore", invalid="ignore"):  # infinitely far
        inner = inner * step + background  # as the pixels are
        chunk = max(1, _CHUNK // inner[0].size)
        for start in range(0, len(images), chunk):
            part = slice(start, start + chunk)
            apart = images[part] - inner[classes[part]]
            found[part] += np.einsum("nij,nij->n", apart, apart) / step**2
    np.sqrt(found, out=found)
    return found


def _scale(images: NDArray[Any], architecture: Architecture) -> tuple[np.float32, np.float32]:
    """Give what background is among the pixels' values, and how far from it ink is."""
    if images.dtype == np.uint8:
        return np.float32(0.0), np.float32(255.0)
    low, high = np.float32(architecture.background), np.float32(architecture.foreground)
    return low, high - low


def _middle(images: NDArray[Any], architecture: Architecture) -> tuple[slice, slice]:
    """Give where images lie in what the network sees, which is padded."""
    rows, columns = (
        slice((wanted - given) // 2, (wanted + given) // 2)
        for wanted, given in zip(architecture.input_shape, images.shape[1:], strict=True)
    )
    return rows, columns
