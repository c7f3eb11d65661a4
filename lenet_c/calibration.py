"""Calibration: from images whose classes are known, what makes a network's answers a confidence.

A temperature, by which penalties or logits are divided before the softmax (Guo et al. 2017), and
the thresholds beyond which an answer is doubtful: its penalty, and how far its image is from all
that images of its class look like. The penalty does not tell noise from characters, since the
network has seen none; the distance is of pixels and knows nothing of the network.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lenet_c import _core, checks
from lenet_c.architecture import Architecture
from lenet_c.losses import TEMPERATURES
from lenet_c.rejection import Rejection

if TYPE_CHECKING:
    from lenet_c.ensemble import Ensemble
    from lenet_c.model import LeNet5

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]
Reals = NDArray[np.float64]

FEWEST = 10
"""Images that a calibration takes at least."""

GRID = 16
"""The side of what images are compared by."""

DIRECTIONS = 20
"""Principal components of a class, at most."""

INK = 1.1
"""Of the mean's length an image has at least, once it is brightened."""

PARTS = 5
"""The distances of each part of the images are from what the others look like."""

STEPS = np.float32(4096.0)
"""Of 1, to which a mean and directions are rounded."""

CHUNK = 1024
"""Images that are compared at a time."""

# GRID, DIRECTIONS and INK: for networks trained on MNIST's first 50,000 training images, calibrated
# with the other 10,000, these left the fewest letters, blobs and specks undoubted.


def check(n: int, architecture: Architecture, name: str = "images") -> None:
    """Raise ValueError unless so many images of a network can say anything."""
    if n < FEWEST:
        raise ValueError(f"{name}: got {n}, want at least {FEWEST} to calibrate with")
    if architecture.characters < 2:
        raise ValueError(f"calibrate: {architecture.name} has one class, of which all is certain")


def calibrate(
    reader: LeNet5 | Ensemble,
    images: ArrayLike,
    labels: ArrayLike,
    reject: float | None,
    num_threads: int | None,
) -> None:
    """Set a reader's temperature, subspaces and rejection: see `LeNet5.calibrate`."""
    from lenet_c.rejection import best_two

    architecture = reader._architecture
    samples = _core.Samples(reader._network, images, labels)
    labels = samples.labels
    check(len(labels), architecture)
    if reject is not None:
        checks.real("reject", reject, 0.0, 1.0)
    outputs = reader._outputs(samples, num_threads)
    is_rbf = reader._network.is_rbf
    found = temperature(outputs, is_rbf, labels)
    if reject is not None:
        n, sides = architecture.characters, grid(architecture)
        check_memory(len(labels), n, sides)
        images = checks.array("images", images)
        if images.ndim == len(architecture.input_shape):
            images = images[None]
        shown = seen(images, architecture)
        classes, penalty, _ = best_two(outputs, is_rbf)
        distance = distances_of_others(shown, labels, classes, n)
        rejection = thresholds(float(reject), penalty, distance)
        reader.subspaces = rounded(subspaces(shown, labels, n)).reshape(n, -1, *sides)
        reader.rejection = rejection
    reader.temperature = found


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
    if wanted - mean <= 1e-9 * abs(mean):
        raise ValueError(
            "labels: the network reads these images no better than by chance, so there is no "
            f"temperature to find; train it first, or look whether labels are 0 to {classes - 1}"
        )

    def too_cold(log_temperature: float) -> bool:
        # the loss is convex in 1 / temperature, and this is the sign of its slope there
        scaled = values / math.exp(log_temperature)
        exponentials = np.exp(scaled)
        expected = (exponentials * values).sum(axis=1) / exponentials.sum(axis=1)
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
        In [0, 1); no more than this are rejected. Where that is less than one image, what is beyond
        all of them is; 0 rejects nothing.
    penalty, distance : float64 array (N,)

    Returns
    -------
    Rejection
    """
    if not share:
        return Rejection()
    n = len(penalty)
    ranks = [score.argsort(kind="stable").argsort(kind="stable") for score in (penalty, distance)]
    # the last rank that is accepted in both
    # 0.29 of 100 images are 29 of them, however their share is rounded
    last = int(np.sort(np.maximum(*ranks))[n - int((share + 1e-12) * n) - 1])
    found = {}
    for name, score in (("penalty", penalty), ("distance", distance)):
        values = np.sort(score[np.isfinite(score)])  # an empty image stays doubtful
        nearest = values[last : last + 2] if last < len(values) else values[-1:]
        found[name] = float(np.mean(nearest)) if nearest.size else math.inf
    return Rejection(**found)


# ---- how far an image is from those of a class ----


def grid(architecture: Architecture) -> tuple[int, ...]:
    """Give the shape in which images are compared.

    (height, width), at most 16 pixels each; or (channels, height, width), of no more values.
    """
    block = _block(architecture)
    channels, *sides = architecture.image_shape
    height, width = (-(-side // block) for side in sides)
    return (height, width) if channels == 1 else (channels, height, width)


def _block(architecture: Architecture) -> int:
    channels, *sides = architecture.image_shape
    return -(-max(sides) // int(GRID / channels**0.5))


def check_memory(n: int, classes: int, grid: tuple[int, ...]) -> None:
    """Raise MemoryError if finding the subspaces of n images would take more than a call may."""
    pixels = math.prod(grid)
    taken = 4 * pixels * (4 * n + 3 * (1 + DIRECTIONS) * classes)
    _core.check_memory(f"what {n} images of {classes} classes look like", taken)


def seen(images: NDArray[Any], architecture: Architecture) -> Floats:
    """Give images as they are compared: small, 0 for background and 1 for ink.

    Parameters
    ----------
    images : uint8 or float32 array (N, H, W) or (N, C, H, W)
        Checked, as the network takes them.
    architecture : Architecture

    Returns
    -------
    float32 array (N, values of the grid)
        0 where an image is of one grey alone, or one colour, which shows as little as an empty one.
    """
    channels = [images] if images.ndim == 3 else [images[:, c] for c in range(images.shape[1])]
    pairs = zip(*architecture.levels, strict=True)
    found = [
        _seen(channel, architecture, *pair) for channel, pair in zip(channels, pairs, strict=True)
    ]
    empty = np.all([(x == x[:, :1, :1]).all(axis=(1, 2)) for x in channels], axis=0)
    values = np.concatenate(found, axis=1) if len(found) > 1 else found[0]
    values[empty] = 0.0
    return values


def _seen(
    images: NDArray[Any], architecture: Architecture, background: float, foreground: float
) -> Floats:
    """Give the same of one channel (N, H, W), whatever it shows."""
    block = _block(architecture)
    rows, columns = (side * block for side in grid(architecture)[-2:])
    dark, ink = np.float32(0.0), np.float32(255.0)
    if images.dtype != np.uint8:
        dark = np.float32(background)
        ink = np.float32(foreground) - dark
    _, height, width = architecture.image_shape
    top, left = (height - images.shape[1]) // 2, (width - images.shape[2]) // 2
    inside = slice(top, top + images.shape[1]), slice(left, left + images.shape[2])
    found = np.empty((len(images), rows // block, columns // block), np.float32)
    for start in range(0, len(images), CHUNK):
        part = slice(start, start + CHUNK)
        padded = np.full((len(images[part]), rows, columns), dark, np.float32)
        padded[:, inside[0], inside[1]] = images[part]
        with np.errstate(over="ignore", invalid="ignore"):  # infinitely far
            lower = padded[:, ::block].copy()
            for k in range(1, block):
                lower += padded[:, k::block]
            small = lower[:, :, ::block].copy()
            for k in range(1, block):
                small += lower[:, :, k::block]
            found[part] = (small / np.float32(block**2) - dark) / ink
    return found.reshape(len(images), -1)


def subspaces(seen: Floats, labels: Integers, classes: int) -> Floats:
    """Give the subspace that the images of each class lie near: their principal components.

    Parameters
    ----------
    seen : float32 array (N, pixels)
    labels : int64 array (N,)
    classes : int

    Returns
    -------
    float32 array (classes, 21, pixels)
        The mean, and directions of length 1 in which the images differ most from it; one for every
        ten images, those that are left are 0. A class without images has the mean of all.
    """
    found = np.zeros((classes, 1 + DIRECTIONS, seen.shape[1]), np.float32)
    found[:, 0] = seen.mean(axis=0, dtype=np.float64)
    for label in np.unique(labels):
        of_class = seen[labels == label].astype(np.float64)
        mean = of_class.mean(axis=0)
        found[label, 0] = mean
        directions = min(DIRECTIONS, len(of_class) // 10, seen.shape[1])
        if directions:
            of_class -= mean
            _, vectors = np.linalg.eigh(of_class.T @ of_class)
            found[label, 1 : 1 + directions] = vectors.T[: -1 - directions : -1]
    return found


def rounded(subspaces: Floats) -> Floats:
    """Round subspaces to multiples of 1/4,096: files pack, and distances hardly change.

    Parameters
    ----------
    subspaces : float32 array

    Returns
    -------
    float32 array of the same shape
    """
    found: Floats = np.rint(subspaces * STEPS) / STEPS
    return found


def distances(seen: Floats, classes: Integers, subspaces: Floats) -> Reals:
    """Give how far each image is from the subspace of its class.

    An image with hardly more ink than the class's mean is first brightened to so much, or a few
    specks would be near to everything. An empty image is infinitely far.

    Parameters
    ----------
    seen : float32 array (N, pixels)
    classes : int64 array (N,)
        What the images are read as.
    subspaces : float32 array (classes, 1 + directions, pixels)

    Returns
    -------
    float64 array (N,)
    """
    found = np.empty(len(seen))
    with np.errstate(all="ignore"):  # infinitely far
        for label in np.unique(classes):
            here = classes == label
            mean, directions = subspaces[label, 0], subspaces[label, 1:]
            length = np.sqrt(np.einsum("ni,ni->n", seen[here], seen[here]))
            scale = np.maximum(np.float32(INK) * np.sqrt(mean @ mean) / length, np.float32(1.0))
            apart = seen[here] * scale[:, None] - mean
            # not by @, whose last bits depend on how many images there are
            along = np.einsum("ni,ki->nk", apart, directions)
            left = np.einsum("ni,ni->n", apart, apart) - np.einsum("nk,nk->n", along, along)
            found[here] = np.where(length > 0.0, np.sqrt(np.maximum(left, 0.0)), np.inf)
    return found


def distances_of_others(seen: Floats, labels: Integers, classes: Integers, n: int) -> Reals:
    """Give each image's distance from subspaces that were made without it, in five parts.

    Parameters
    ----------
    seen : float32 array (N, pixels)
    labels, classes : int64 array (N,)
        What the images are, and what they are read as.
    n : int
        Classes of the network.

    Returns
    -------
    float64 array (N,)
    """
    part = np.zeros(len(labels), np.int64)
    for label in np.unique(labels):  # some of each class in every part
        here = np.flatnonzero(labels == label)
        part[here] = np.arange(len(here)) % PARTS
    found = np.empty(len(labels))
    for k in np.unique(part):
        out = part == k
        others = subspaces(seen[~out], labels[~out], n)
        found[out] = distances(seen[out], classes[out], others)
    return found
