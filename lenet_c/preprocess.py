"""From pictures to what the network sees: load, centre a character as MNIST does, pad, normalise.

MNIST's characters fit a 20x20 box, proportions kept, and sit in 28x28 with their centre of mass
in the middle; the background is 0 and ink goes up to 255.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["centre", "character", "load_image", "normalize", "normalize_columns", "pad", "resize"]

_SIZE = 28
_BOX = 20
_GREY = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R 601, as Pillow
_MAX_PIXELS = 64 << 20
_FORMATS = ("PNG", "JPEG", "PPM", "BMP")
_MIN_CONTRAST = 1 / 16  # of the range from black to white


def load_image(path: str | os.PathLike[str]) -> npt.NDArray[np.uint8]:
    """Read a picture as grey.

    Parameters
    ----------
    path : path
        A PNG, JPEG, PGM, PPM or BMP file.

    Returns
    -------
    ndarray of uint8, (H, W)
        The picture, upright if it says how it was held, on white where it is transparent.

    Raises
    ------
    ValueError
        If the file is not such a picture, is damaged or is larger than 64 megapixels.
    ImportError
        If Pillow is not installed.
    """
    try:
        from PIL import Image, ImageOps
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
            why = str(error).replace(f" {file!r}", "")
            raise ValueError(f"{name}: cannot be read as a picture ({why})") from error


def character(image: npt.ArrayLike) -> npt.NDArray[np.uint8]:
    """Bring a picture of one character into MNIST's form.

    The border tells the background; what stands out from it is ink, dark or light. The ink is
    cropped, scaled to 20 pixels on its longer side and centred by its mass. A picture that has
    this form already is returned as it is.

    Parameters
    ----------
    image : array, (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)
        Grey, RGB or RGBA; uint8, bool or floating. Floats may run from 0 to 1 or to 255.

    Returns
    -------
    ndarray of uint8, (28, 28)
        Background 0, ink up to 255.

    Raises
    ------
    ValueError
        If the array is no picture, or the picture shows nothing.
    """
    given = np.asarray(image)
    grey, white = _grey(given)
    border = np.concatenate([grey[0], grey[-1], grey[1:-1, 0], grey[1:-1, -1]])
    beyond = np.mean(border > (grey.min() + grey.max()) / 2)
    # Ink all along the border of a tight crop: there the larger part of the whole is background.
    paper = grey if 0.25 < beyond < 0.75 else border
    background = float(np.median(paper))
    ink = grey - background
    # Cubes: a few pixels of ink far from the background outweigh any amount of faint noise.
    if np.sum(np.power(ink, 3, dtype=np.float64)) < 0:
        ink = -ink
    elif _is_mnist_like(given, ink, background):
        return given.astype(np.uint8, copy=True)
    level = ink.max()
    unevenness = float(np.median(np.abs(paper - background)))
    if level < white * _MIN_CONTRAST or level < 3 * unevenness:
        raise ValueError(
            f"image: no character stands out (contrast {level / white:.0%} of black to white, "
            f"uneven by {unevenness / white:.0%})"
        )
    # Shades of the paper and JPEG's ripples are not ink, but a soft edge is.
    ink[ink < max(0.1 * level, min(9 * unevenness, 0.5 * level))] = 0
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
    out = np.zeros((size, size), np.uint8)
    mass = ink.sum()
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
    table = background + (foreground - background) * np.arange(256) / 255
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
    elif image.dtype == np.uint8:
        white = 255.0
    elif np.issubdtype(image.dtype, np.floating):
        largest = np.abs(image).max(initial=0)
        if not largest <= 255:  # NaN included
            raise ValueError(f"image: has values up to {largest}; wanted 0 to 1 or 0 to 255")
        white = 1.0 if largest <= 2 else 255.0
    else:
        raise TypeError(f"image: dtype {image.dtype}; wanted uint8, bool or floating")
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (1, 3, 4)):
        raise ValueError(f"image: shape {image.shape}; wanted (H, W), (H, W, 3) or (H, W, 4)")
    if 0 in image.shape:
        raise ValueError(f"image: shape {image.shape} is empty")
    if image.ndim == 2:
        return image.astype(np.float32), white
    if image.shape[2] == 1:
        return image[:, :, 0].astype(np.float32), white
    grey = image[:, :, :3].astype(np.float32) @ _GREY
    if image.shape[2] == 4:
        alpha = image[:, :, 3].astype(np.float32) / white
        grey = alpha * grey + (1 - alpha) * white
    return grey, white


def _is_mnist_like(
    image: npt.NDArray[Any], ink: npt.NDArray[np.float32], background: float
) -> bool:
    if image.shape != (_SIZE, _SIZE) or image.dtype != np.uint8 or background != 0:
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
    from PIL import Image

    if image.mode == "I" or image.mode.startswith("I;16"):
        return np.rint(np.clip(np.asarray(image, np.float64) / 257, 0, 255)).astype(np.uint8)
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers")
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        image = image.convert("RGBA")
        paper = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(paper, image)
    return np.array(image.convert("L"))
