"""From pictures to what the network sees: load, find a character, centre it as MNIST does.

MNIST's characters fit a 20x20 box, proportions kept, and sit in 28x28 with their centre of mass
in the middle; the background is 0 and ink goes up to 255. A line of characters becomes a strip.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from lenet_c import checks
from lenet_c.preprocess._arrays import channels_first, images
from lenet_c.preprocess._fields import Line, Lines, line, lines
from lenet_c.preprocess._pictures import Characters, character, characters, load_image

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = [
    "Characters",
    "Line",
    "Lines",
    "centre",
    "channels_first",
    "character",
    "characters",
    "images",
    "line",
    "lines",
    "load_image",
    "normalize",
    "normalize_columns",
    "pad",
    "resize",
]

_SIZE = 28


def centre(ink: npt.NDArray[np.floating[Any]], size: int = _SIZE) -> npt.NDArray[np.uint8]:
    """Place a character in an empty square, its centre of mass in the middle.

    Parameters
    ----------
    ink : ndarray of float, (H, W)
        0 for background to 1 for ink; no larger than the square.
    size : int
        The side of the square.

    Returns
    -------
    ndarray of uint8, (size, size)
        The character, moved by whole pixels and never over the edge.
    """
    ink = _check_grey("ink", ink)
    size = checks.whole("size", size, 1)
    if max(ink.shape) > size:
        raise ValueError(f"ink: {ink.shape} does not fit into ({size}, {size})")
    mass = ink.sum()
    if not 0 < mass < math.inf:
        raise ValueError(f"ink: adds up to {mass}, want some ink, and finite values")
    out = np.zeros((size, size), np.uint8)
    corner = []
    for axis, length in enumerate(ink.shape):
        middle = np.arange(length) @ ink.sum(axis=1 - axis) / mass
        corner.append(min(max(round(size / 2 - middle), 0), size - length))
    top, left = corner
    values = np.rint(np.clip(ink, 0, 1) * 255)
    out[top : top + ink.shape[0], left : left + ink.shape[1]] = values
    return out


def resize(
    image: npt.NDArray[np.floating[Any]], height: int, width: int
) -> npt.NDArray[np.floating[Any]]:
    """Scale a grey picture: by area where it shrinks, bilinearly where it grows.

    Parameters
    ----------
    image : ndarray of float, (H, W) or (N, H, W)
        The picture, or some of one size.
    height, width : int
        The size wanted.

    Returns
    -------
    ndarray of float, (height, width) or (N, height, width)
        The scaled picture, or pictures.
    """
    image = _check_grey("image", image, axes=(2, 3))
    height, width = checks.whole("height", height, 1), checks.whole("width", width, 1)
    rows = _weights(image.shape[-2], height).astype(image.dtype)
    columns = _weights(image.shape[-1], width).astype(image.dtype)
    scaled: npt.NDArray[np.floating[Any]] = rows @ image @ columns.T
    return scaled


def pad(images: npt.NDArray[np.uint8], size: int = 32) -> npt.NDArray[np.uint8]:
    """Put images in the middle of larger ones, with background around them.

    Parameters
    ----------
    images : ndarray of uint8, (N, H, W), (H, W) or (N, C, H, W)
        Raw images.
    size : int
        The side of the result.

    Returns
    -------
    ndarray of uint8, (N, size, size), (size, size) or (N, C, size, size)
        Padded images; an odd row or column goes to the bottom or the right.
    """
    _check_raw(images)
    size = checks.whole("size", size, 1)
    missing = [size - side for side in images.shape[-2:]]
    if min(missing) < 0:
        raise ValueError(f"images: {images.shape[-2:]} does not fit into ({size}, {size})")
    margins = [(m // 2, m - m // 2) for m in missing]
    return np.pad(images, [(0, 0)] * (images.ndim - 2) + margins)


def normalize(
    images: npt.NDArray[np.uint8],
    background: float | tuple[float, ...] = -0.1,
    foreground: float | tuple[float, ...] = 1.175,
) -> npt.NDArray[np.float32]:
    """Map raw values to the network's input range.

    Parameters
    ----------
    images : ndarray of uint8, (N, H, W), (H, W) or (N, C, H, W)
        Raw images.
    background, foreground : float or tuple of float
        What 0 and 255 become: the same in all channels, or a tuple of one for each. By default
        the paper's values (section II.B), which give MNIST a mean of about 0 and a variance of
        about 1.

    Returns
    -------
    ndarray of float32
        The normalised images.
    """
    _check_raw(images)
    channels = images.shape[1] if images.ndim == 4 else 1
    pairs = zip(
        _each("background", background, channels),
        _each("foreground", foreground, channels),
        strict=True,
    )
    tables = [low + (high - low) * np.arange(256) / 255 for low, high in pairs]
    out = np.empty(images.shape, np.float32)
    by_channel = [(images, out)]
    if images.ndim == 4:
        by_channel = [(images[:, c], out[:, c]) for c in range(channels)]
    for table, (given, to) in zip(tables, by_channel, strict=True):
        to[...] = table.astype(np.float32)[given]
    return out


def normalize_columns(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Scale every column of every image to Euclidean length 1.

    The input of the tutorial's 3x3 network: what Keras's ``normalize(images, axis=1)`` gives. A
    network of 28x28 images takes the result as it is.

    Parameters
    ----------
    images : ndarray of uint8, (N, H, W), (H, W) or (N, C, H, W)
        Raw images.

    Returns
    -------
    ndarray of float32
        As many images of the same size, all from 0 to 1; a column without ink stays 0.
    """
    _check_raw(images)
    values = images.astype(np.float32)
    lengths = np.sqrt(np.sum(values * values, axis=-2, keepdims=True))
    values /= np.maximum(lengths, 1)
    return values


def _check_raw(images: npt.NDArray[np.uint8]) -> None:
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8:
        raise TypeError(f"images: {getattr(images, 'dtype', type(images))}, want a uint8 array")
    if images.ndim not in (2, 3, 4):
        raise ValueError(f"images: shape {images.shape}, want (N, H, W), (H, W) or (N, C, H, W)")


def _each(name: str, given: float | tuple[float, ...], channels: int) -> list[float]:
    """Check a level for all channels, or one for each, and give one for each."""
    levels = given if isinstance(given, tuple) else (given,) * channels
    if len(levels) != channels:
        raise ValueError(f"{name}: got {len(levels)} levels, want a number or {channels} of them")
    return [
        checks.real(name, level, -math.inf, closed="neither", in_float32=True) for level in levels
    ]


def _check_grey(
    name: str, image: npt.NDArray[np.floating[Any]], axes: tuple[int, ...] = (2,)
) -> npt.NDArray[np.floating[Any]]:
    """Give it as a plain array, whatever kind of array it was."""
    if not isinstance(image, np.ndarray) or not np.issubdtype(image.dtype, np.floating):
        what = getattr(image, "dtype", type(image))
        raise TypeError(f"{name}: {what}, want an array of floating numbers")
    if image.ndim not in axes or 0 in image.shape:
        wanted = "(H, W)" + " or (N, H, W)" * (3 in axes)
        raise ValueError(f"{name}: shape {image.shape}, want {wanted}, at least 1x1")
    if not np.isfinite(image).all():
        raise ValueError(f"{name}: some values are NaN or infinite, want finite values")
    return np.asarray(image)


def _weights(n_in: int, n_out: int) -> npt.NDArray[np.float64]:
    """Return the (n_out, n_in) matrix that scales one axis; each row adds up to 1."""
    step = n_in / n_out
    if n_out <= n_in:
        left = np.arange(n_out)[:, None] * step
        pixel = np.arange(n_in)
        overlap = np.minimum(left + step, pixel + 1) - np.maximum(left, pixel)
        weights: npt.NDArray[np.float64] = np.maximum(overlap, 0) / step
        return weights
    position = np.clip((np.arange(n_out)[:, None] + 0.5) * step - 0.5, 0, n_in - 1)
    weights = np.maximum(1 - np.abs(position - np.arange(n_in)), 0)
    return weights
