"""From pictures to what the network sees: load, centre a character as MNIST does, pad, normalise.

MNIST's characters fit a 20x20 box, proportions kept, and sit in 28x28 with their centre of mass
in the middle; the background is 0 and ink goes up to 255.
"""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from lenet_c import checks

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["centre", "character", "load_image", "normalize", "normalize_columns", "pad", "resize"]

_SIZE = 28
_BOX = 20
_GREY = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R 601, as Pillow
_MAX_PIXELS = 64 << 20
_FORMATS = ("PNG", "JPEG", "PPM", "BMP")
_MIN_CONTRAST = 1 / 16  # of the range from black to white
_SPECK = 0.05  # share of the largest piece's ink below which a piece is none of the character
_PIECES = 96  # cells along the longer side of the grid in which pieces are told apart


def load_image(path: str | os.PathLike[str]) -> npt.NDArray[np.uint8]:
    """Read a picture as grey.

    Parameters
    ----------
    path : path
        A PNG, JPEG, PGM, PPM or BMP file.

    Returns
    -------
    ndarray of uint8, (H, W)
        The picture, upright if it says how it was held, on white where it is transparent, or on
        black if on white nothing is to be seen.

    Raises
    ------
    ValueError
        If the file is not such a picture, is damaged or is larger than 64 megapixels.
    ImportError
        If Pillow is not installed.
    """
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ImportError as error:
        raise ImportError('load_image() needs Pillow: pip install "lenet_c[cli]"') from error

    name = os.fsdecode(path)
    with open(name, "rb") as file:
        # Pillow's decoders raise nearly anything on a damaged file.
        try:
            with Image.open(file, formats=_FORMATS) as image:
                if image.width * image.height > _MAX_PIXELS:
                    raise ValueError(
                        f"{image.width}x{image.height} pixels, more than {_MAX_PIXELS}"
                    )
                return _grey_of_file(ImageOps.exif_transpose(image))
        except Exception as error:
            why = str(error)
            if isinstance(error, UnidentifiedImageError):
                why = "not a PNG, JPEG, PGM, PPM or BMP file, or a damaged one"
            raise ValueError(f"{name}: cannot be read as a picture ({why})") from error


def character(image: npt.ArrayLike) -> npt.NDArray[np.uint8]:
    """Bring a picture of one character into MNIST's form.

    The border tells the background, also where the light falls unevenly; what stands out from it
    is ink, dark or light, but for small specks apart from the rest. The ink is cropped, scaled to
    20 pixels on its longer side and centred by its mass. A picture that has this form already is
    returned as it is.

    Parameters
    ----------
    image : array, (H, W) or (H, W, channels)
        Grey, grey and alpha, RGB or RGBA; uint8, uint16, bool or floating. Floats may run from 0
        to 1 or to 255. What is transparent is white, or black if on white nothing is to be seen.

    Returns
    -------
    ndarray of uint8, (28, 28)
        Background 0, ink up to 255.

    Raises
    ------
    ValueError
        If the array is no picture, or the picture shows nothing.
    """
    given = checks.array("image", image)
    grey, white = _grey(given)
    while True:
        ink, unevenness = _ink(grey)
        if _is_mnist_like(given, grey, ink):
            return given.astype(np.uint8, copy=True)
        level = float(ink.max())
        # Noise that hides where a stroke ends is averaged away, as long as strokes stay.
        if level > 18 * unevenness or min(ink.shape) < 4 * _SIZE:
            break
        grey = _halved(grey)
    if level < white * _MIN_CONTRAST or level < 8 * unevenness:
        raise ValueError(
            f"image: no character stands out (contrast {level / white:.0%} of black to white, "
            f"uneven by {unevenness / white:.0%})"
        )
    # Shades of the paper and JPEG's ripples are not ink, but a soft edge is.
    ink[ink < max(0.1 * level, min(9 * unevenness, 0.5 * level))] = 0
    _clear_specks(ink)
    rows, columns = _extent(ink)
    cropped = ink[rows, columns]
    height, width = cropped.shape
    scale = _BOX / max(height, width)
    small = resize(cropped, max(1, round(height * scale)), max(1, round(width * scale)))
    return centre(small / small.max())


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
        raise ValueError(f"ink: adds up to {mass}; wanted some ink, and finite values")
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
    image : ndarray of float, (H, W)
        The picture.
    height, width : int
        The size wanted.

    Returns
    -------
    ndarray of float, (height, width)
        The scaled picture.
    """
    image = _check_grey("image", image)
    height, width = checks.whole("height", height, 1), checks.whole("width", width, 1)
    rows = _weights(image.shape[0], height).astype(image.dtype)
    columns = _weights(image.shape[1], width).astype(image.dtype)
    scaled: npt.NDArray[np.floating[Any]] = rows @ image @ columns.T
    return scaled


def pad(images: npt.NDArray[np.uint8], size: int = 32) -> npt.NDArray[np.uint8]:
    """Put images in the middle of larger ones, with background around them.

    Parameters
    ----------
    images : ndarray of uint8, (N, H, W) or (H, W)
        Raw grey images.
    size : int
        The side of the result.

    Returns
    -------
    ndarray of uint8, (N, size, size) or (size, size)
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
    images: npt.NDArray[np.uint8], background: float = -0.1, foreground: float = 1.175
) -> npt.NDArray[np.float32]:
    """Map raw grey values to the network's input range.

    Parameters
    ----------
    images : ndarray of uint8, (N, H, W) or (H, W)
        Raw grey images.
    background, foreground : float
        What 0 and 255 become. By default the paper's values (section II.B), which give MNIST
        a mean of about 0 and a variance of about 1.

    Returns
    -------
    ndarray of float32
        The normalised images.
    """
    _check_raw(images)
    for name, grey in (("background", background), ("foreground", foreground)):
        if not math.isfinite(checks.rounded(name, grey)):
            raise ValueError(f"{name}: got {checks.short(grey)}, want a finite number")
    low, high = float(background), float(foreground)  # numpy's scalars could overflow
    table = low + (high - low) * np.arange(256) / 255
    return table.astype(np.float32)[images]


def normalize_columns(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Scale every column of every image to Euclidean length 1.

    The input of the tutorial's 3x3 network: what Keras's ``normalize(images, axis=1)`` gives. A
    network of 28x28 images takes the result as it is.

    Parameters
    ----------
    images : ndarray of uint8, (N, H, W) or (H, W)
        Raw grey images.

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
        raise TypeError(f"images: {getattr(images, 'dtype', type(images))}; wanted a uint8 array")
    if images.ndim not in (2, 3):
        raise ValueError(f"images: shape {images.shape}; wanted (N, H, W) or (H, W)")


def _check_grey(name: str, image: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.floating[Any]]:
    """Give it as a plain array, whatever kind of array it was."""
    if not isinstance(image, np.ndarray) or not np.issubdtype(image.dtype, np.floating):
        what = getattr(image, "dtype", type(image))
        raise TypeError(f"{name}: {what}; wanted an array of floating numbers")
    if image.ndim != 2 or 0 in image.shape:
        raise ValueError(f"{name}: shape {image.shape}; wanted (H, W), at least 1x1")
    if not np.isfinite(image).all():
        raise ValueError(f"{name}: some values are NaN or infinite; wanted finite values")
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


def _grey(image: npt.NDArray[Any]) -> tuple[npt.NDArray[np.float32], float]:
    """Return the picture as float grey, and the value that white has in it."""
    if image.dtype == bool:
        image = image.astype(np.uint8)
        white = 1.0
    elif image.dtype in (np.uint8, np.uint16):
        white = float(np.iinfo(image.dtype).max)
    elif np.issubdtype(image.dtype, np.floating):
        largest = np.abs(image).max(initial=0)
        if not largest <= 255:  # NaN included
            raise ValueError(f"image: has values up to {largest}; wanted 0 to 1 or 0 to 255")
        white = 1.0 if largest <= 2 else 255.0
    else:
        raise TypeError(f"image: dtype {image.dtype}; wanted uint8, uint16, bool or floating")
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (1, 2, 3, 4)):
        raise ValueError(f"image: shape {image.shape}; wanted (H, W) or (H, W, 1 to 4)")
    if 0 in image.shape:
        raise ValueError(f"image: shape {image.shape} is empty")
    if image.ndim == 2:
        return image.astype(np.float32), white
    channels = image.astype(np.float32)
    grey = channels[:, :, :3] @ _GREY if image.shape[2] > 2 else channels[:, :, 0]
    return (_on_paper(grey, channels[:, :, -1], white) if image.shape[2] in (2, 4) else grey), white


def _on_paper(
    grey: npt.NDArray[np.float32], alpha: npt.NDArray[np.float32], white: float
) -> npt.NDArray[np.float32]:
    """Return the picture on white, or on black if nothing is to be seen on white."""
    share = alpha / np.float32(white)
    on_white = share * grey + (1 - share) * np.float32(white)
    on_black = share * grey
    return on_black if np.ptp(on_white) < white * _MIN_CONTRAST < np.ptp(on_black) else on_white


def _ink(grey: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], float]:
    """Return what stands out from the paper as positive values, and how uneven the paper is."""
    border = np.concatenate([grey[0], grey[-1], grey[1:-1, 0], grey[1:-1, -1]])
    beyond = np.mean(border > (grey.min() + grey.max()) / 2)
    # Ink all along the border of a tight crop: there the larger part of the whole is background.
    paper = grey if 0.25 < beyond < 0.75 else border
    background = float(np.median(paper))
    unevenness = float(np.median(np.abs(paper - background)))
    ink = grey - background
    if unevenness > 0:
        light, left = _light(grey)
        # a border full of ink has no say about the light unless light explains nearly all of it
        if left < (0.7 if paper is border else 0.3) * unevenness:
            ink, unevenness = grey - _surface(light, grey.shape), left
    # Cubes: a few pixels of ink far from the background outweigh any amount of faint noise.
    if np.sum(ink * ink * ink, dtype=np.float64) < 0:
        ink = -ink
    return ink, unevenness


def _light(grey: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float64], float]:
    """Fit a quadratic surface to the border, whatever ink may touch it, and tell what is left."""
    edge = np.zeros(grey.shape, bool)
    edge[[0, -1]] = edge[:, [0, -1]] = True
    (y, x), values = np.nonzero(edge), grey[edge].astype(np.float64)
    v, u = (2 * at / max(1, side - 1) - 1 for at, side in zip((y, x), grey.shape, strict=True))
    terms = np.stack([np.ones_like(u), u, v, u * u, u * v, v * v], axis=1)
    weights = np.ones_like(values)
    for _ in range(10):
        solved = np.linalg.lstsq(terms * weights[:, None], values * weights, rcond=None)[0]
        light = solved.astype(np.float64, copy=False)
        distance = np.abs(values - terms @ light)
        # Cauchy's weights: what lies far off counts less and less
        weights = 1 / np.sqrt(1 + (distance / (2 * np.median(distance) + 1e-6)) ** 2)
    return light, float(np.median(distance))


def _surface(light: npt.NDArray[np.float64], shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """Return the values of a surface that `_light` fitted."""
    v, u = (np.linspace(-1, 1, side) for side in shape)
    along = light[0] + light[1] * u + light[3] * u * u
    down = light[2] * v + light[5] * v * v
    surface: npt.NDArray[np.float64] = along + down[:, None] + light[4] * np.outer(v, u)
    return surface.astype(np.float32)


def _halved(grey: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the means of 2x2 blocks; an odd last row or column is left out."""
    height, width = (side // 2 for side in grey.shape)
    blocks = grey[: 2 * height, : 2 * width].reshape(height, 2, width, 2)
    means: npt.NDArray[np.float32] = blocks.mean(axis=(1, 3))
    return means


def _clear_specks(ink: npt.NDArray[np.float32]) -> None:
    """Set to 0 what is not connected with a good part of the ink."""
    step = -(-max(ink.shape) // _PIECES)
    height, width = (-(-side // step) for side in ink.shape)
    padded = np.pad(
        ink, [(0, n * step - side) for n, side in zip((height, width), ink.shape, strict=True)]
    )
    mass = padded.reshape(height, step, width, step).sum(axis=(1, 3))
    pieces = _pieces(mass > 0)
    masses = np.bincount(pieces.ravel(), mass.ravel())
    masses[0] = 0
    kept = (masses >= _SPECK * masses.max())[pieces]
    ink *= np.repeat(np.repeat(kept, step, axis=0), step, axis=1)[: ink.shape[0], : ink.shape[1]]


def _pieces(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Give each connected piece of a mask, corners included, a number above 0; 0 is outside."""
    height, width = mask.shape
    number = np.zeros((height + 2, width + 2), np.int64)
    number[1:-1, 1:-1] = np.where(mask, np.arange(1, mask.size + 1).reshape(mask.shape), 0)
    inside = number > 0
    while True:
        wide = np.maximum(np.maximum(number[:, :-2], number[:, 2:]), number[:, 1:-1])
        most = np.maximum(np.maximum(wide[:-2], wide[2:]), wide[1:-1])
        most[~mask] = 0
        # a piece takes the largest number that one of its pixels has for neighbour
        leader = np.arange(mask.size + 1)
        np.maximum.at(leader, number[inside], most[mask])
        while not np.array_equal(further := leader[leader], leader):
            leader = further
        if (leader[number[inside]] == number[inside]).all():
            return number[1:-1, 1:-1]
        number[inside] = leader[number[inside]]


def _is_mnist_like(
    image: npt.NDArray[Any], grey: npt.NDArray[np.float32], ink: npt.NDArray[np.float32]
) -> bool:
    if image.shape != (_SIZE, _SIZE) or image.dtype != np.uint8 or (ink != grey).any():
        return False
    if image.max() < 128:
        return False
    sides = [part.stop - part.start for part in _extent(ink)]
    if not _BOX - 2 <= max(sides) <= _BOX:
        return False
    index = np.arange(_SIZE)
    middle = np.array([index @ ink.sum(axis=1), index @ ink.sum(axis=0)]) / ink.sum()
    return bool(np.abs(middle - _SIZE / 2).max() <= 1)


def _extent(ink: npt.NDArray[np.float32]) -> tuple[slice, slice]:
    """Return the rows and columns that hold everything above 0."""
    marked = ink > 0
    rows = np.flatnonzero(marked.any(axis=1))
    columns = np.flatnonzero(marked.any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _grey_of_file(image: Any) -> npt.NDArray[np.uint8]:
    if image.mode == "I" or image.mode.startswith("I;16"):
        return np.rint(np.clip(np.asarray(image, np.float64) / 257, 0, 255)).astype(np.uint8)
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers")
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        grey, _ = _grey(np.asarray(image.convert("RGBA")))
        return np.rint(grey).astype(np.uint8)
    return np.array(image.convert("L"))
