"""Pictures unlike those that the networks were trained on, for python -m bench.accuracy.

MNIST's test images moved, turned and worn, in the corruptions of MNIST-C (`bench.corruptions`),
and drawn large on paper that has other marks (`bench.pictures`); digits of other hands, of fonts,
and, where the data is there, of cheques.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench import corruptions, pictures
from bench.common import Images
from bench.printed import fonts, printed
from lenet_c import datasets, distort, preprocess

FEW = 500  # test images, from all over the file, that are drawn large
_NEIGHBOURS = ((0, 1), (1, 0), (1, 1))


class Kind(NamedTuple):
    """Pictures of one kind.

    Attributes
    ----------
    what : str
    images : uint8 array (N, 28, 28)
    labels : int64 array (N,)
    refused : bool array (N,)
        Those that `preprocess.characters` found nothing on, which count as read wrong.
    family : str
        Of corruptions "trained on" or "never trained on", whose means are printed.
    """

    what: str
    images: np.ndarray
    labels: np.ndarray
    refused: np.ndarray | bool = False
    family: str = ""


def thicker(images: np.ndarray) -> np.ndarray:
    """Give each pixel the largest of itself and three neighbours: strokes grow by a pixel."""
    return np.maximum.reduce([images, *(np.roll(images, s, (1, 2)) for s in _NEIGHBOURS)])


def thinner(images: np.ndarray) -> np.ndarray:
    """Give each pixel the smallest of itself and three neighbours: strokes lose a pixel."""
    return np.minimum.reduce([images, *(np.roll(images, s, (1, 2)) for s in _NEIGHBOURS)])


def shifted(images: np.ndarray) -> np.ndarray:
    """Move each image by 2 pixels, to the left, right, up and down in turn."""
    moved = images.copy()
    for start, (dx, dy) in enumerate(((-2, 0), (2, 0), (0, -2), (0, 2))):
        moved[start::4] = distort.transform(images[start::4], dx=dx, dy=dy)
    return moved


def moved(test: Images) -> Iterator[Kind]:
    """Give the test images, in other places and of other pens, and other people's digits."""
    images, labels = test
    (small, small_labels), (more, more_labels) = datasets.digits()
    yield Kind("MNIST's test images", images, labels)
    yield Kind("moved by 2 pixels", shifted(images), labels)
    right = distort.transform(images, shear=-0.3)
    yield Kind("slanted to the right, 0.3 pixels a row", right, labels)
    yield Kind("slanted to the left", distort.transform(images, shear=0.3), labels)
    yield Kind("turned by 15 degrees", distort.transform(images, rotation=15), labels)
    yield Kind("strokes a pixel thicker", thicker(images), labels)
    yield Kind("strokes a pixel thinner", thinner(images), labels)
    yield Kind("four fifths of the size", distort.transform(images, scale=0.8), labels)
    yield Kind(
        "scikit-learn's digits",
        np.concatenate([small, more]),
        np.concatenate([small_labels, more_labels]),
    )
    yield Kind("printed, in fonts of matplotlib", *printed("0123456789", fonts()))


def corrupted(test: Images) -> Iterator[Kind]:
    """Give the test images in each of MNIST-C's corruptions."""
    images, labels = test
    for name in corruptions.FAMILIES:
        unseen = name in corruptions.NEVER_TRAINED_ON
        what = f"MNIST-C: {name.replace('_', ' ')}{', never trained on' if unseen else ''}"
        yield Kind(
            what,
            corruptions.corrupted(name, images),
            labels,
            family="never trained on" if unseen else "trained on",
        )


def drawn(test: Images) -> Iterator[Kind]:
    """Give some test images drawn large with other marks, as `preprocess.characters` finds them."""
    chosen = np.linspace(0, len(test[1]) - 1, FEW).astype(int)
    images, labels = (part[chosen] for part in test)
    for name in pictures.CONDITIONS:
        found = preprocess.characters(pictures.pictures(name, images))
        yield Kind(f"drawn large: {name}", found.images, labels, found.refused)


def cheques(folder: Path) -> Iterator[Kind]:
    """Give the digits of a folder's cheques, cut out by their boxes."""
    cut, labels = pictures.cheques(folder, 0, 1 << 30)
    found = preprocess.characters(cut)
    yield Kind("digits of cheques (ORAND CAR-A)", found.images, labels, found.refused)
