"""Pictures as people have them, and the one character on each in MNIST's form."""

from __future__ import annotations

import io
import itertools
import math
import os
import struct
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from lenet_c import checks
from lenet_c.cpu import get_num_threads

if TYPE_CHECKING:
    import numpy.typing as npt
    from PIL.ImageFile import ImageFile

    Picture = npt.ArrayLike | str | os.PathLike[str] | bytes | IO[bytes]

SIZE = 28
BOX = 20
MAX_PIXELS = 64 << 20
MAX_ARRAY = 256 << 20  # pixels of an array, each of which is looked at once for the range
FORMATS = ("PNG", "JPEG", "PPM", "BMP", "WEBP", "TIFF", "GIF")
WORKING = 10_000  # pixels in which a character is looked for
LONGEST = 2048  # on the longer side of them
SMALLEST = 64  # what a smaller picture's longer side is enlarged to
SAMPLES = 4  # along each side of what becomes one pixel, at most
SMALL = 32  # a character smaller than this is looked at again from nearer
GREY = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R 601, as Pillow
HUGE = 1e30  # float32 computes with what is below
WHITES = (1, 255, 1023, 4095, 65535)


@dataclass(frozen=True)
class Characters:
    """What `characters` found.

    Attributes
    ----------
    images : ndarray of uint8, (N, 28, 28)
        In MNIST's form; all 0 where refused.
    refused : ndarray of bool, (N,)
        Which pictures show no character that can be told.
    reasons : list of (str or None)
        Why, for each that is refused.
    """

    images: npt.NDArray[np.uint8]
    refused: npt.NDArray[np.bool_]
    reasons: list[str | None]


def character(image: Picture, *, line: tuple[float, float] | None = None) -> npt.NDArray[np.uint8]:
    """Find the one character that a picture shows, and bring it into MNIST's form.

    Rules, squares, frames, cell borders, underlines, creases, shadows, stains, what lies around
    the paper, print in the background and what the picture's edge cuts off are left out. The
    character is scaled to 20 pixels on its longer side and centred by its mass. A picture that
    has this form already is returned as it is.

    Parameters
    ----------
    image : array, (H, W) or (H, W, channels), or what `load_image` takes
        Dark on light or light on dark; grey, grey and alpha, RGB or RGBA; bool, integers up to
        65535 or floating numbers of any range. Integers are taken to run to the next of 1, 255,
        1023, 4095 and 65535. What is transparent is white, or black if on white nothing is to be
        seen. Of colours the mixture that separates best is taken.
    line : (top, baseline), optional
        For a printed character that is cut from a line of text: the rows of the picture where the
        line's capital letters begin and where they stand, counted from the upper edge of the first
        row; both may lie outside the picture. Size and height on the line are then kept, so that c
        and C, or a comma and a quote, differ: a capital letter goes from row 5 to row 21, and the
        centre of mass is in the middle only from left to right. All ink is the character's, and a
        picture without ink is a space, all 0.

    Returns
    -------
    ndarray of uint8, (28, 28)
        Background 0, ink up to 255.

    Raises
    ------
    ValueError
        If the array is no picture, or it shows no character, or two of one size: what it shows.
        With a line, if there is ink only beyond it, or the picture is larger than a character is.
    ImportError
        If SciPy or Pillow is not installed.
    """
    need_extra("character")
    given = given_array(image)
    if line is not None:
        from lenet_c.preprocess._printed import checked_line, on_line

        line = checked_line("line", line)
        white, black = range_of(given)
        with np.errstate(all="ignore"):  # as below
            return on_line(given, white, black, line)
    if (as_it_is := _mnist_like(given)) is not None:
        return as_it_is
    white, black = range_of(given)
    with np.errstate(all="ignore"):  # of a few pixels, or nearly equal ones; found or not, below
        return _character(given, white, black)


def _character(given: npt.NDArray[Any], white: float, black: float) -> npt.NDArray[np.uint8]:
    from lenet_c.preprocess import _finding

    try:
        working, factor = _working(given, white, black, WORKING)
        ink = _finding.find(working)
        rows, columns = _finding.extent(ink > 0)
        size = max(rows.stop - rows.start, columns.stop - columns.start)
        if factor > 1.25 and size < SMALL:
            # far off: once more from nearer, with some of what is around it
            part = _around(rows, columns, size, factor, given.shape)
            ink = _finding.find(_working(given[part], white, black, WORKING)[0])
        if not np.isfinite(ink).all():  # of a few nearly equal pixels
            raise _finding.NotFound("no character stands out")
    except _finding.NotFound as error:
        raise ValueError(f"image: {error}") from None
    return _in_form(ink)


def characters(
    pictures: Iterable[Picture],
    *,
    line: npt.ArrayLike | None = None,
    num_threads: int | None = None,
) -> Characters:
    """Find the character on each of many pictures, on several threads.

    Parameters
    ----------
    pictures : iterable
        What `character` takes: arrays, paths, bytes, in any mixture.
    line : (top, baseline) or array (N, 2), optional
        As of `character`: of all pictures, or of each its own.
    num_threads : int, optional
        By default as many as `get_num_threads` says.

    Returns
    -------
    Characters
        The images, and which pictures were refused and why. A picture that cannot be read is
        refused, too.

    Raises
    ------
    TypeError
        If one is no picture at all: the error says which.
    """
    need_extra("characters")
    threads = checks.whole(
        "num_threads", get_num_threads() if num_threads is None else num_threads, 1
    )
    if isinstance(pictures, (str, bytes, os.PathLike)):
        raise TypeError("pictures: got one picture, want several, as [picture]")
    if line is not None:
        pictures = list(pictures)
        lines = _lines_of(line, len(pictures))

    def one(k: int, picture: Picture) -> npt.NDArray[np.uint8] | str:
        try:
            return character(picture, line=None if line is None else lines(k))
        except (ValueError, OSError) as error:
            return str(error).removeprefix("image: ")
        except TypeError as error:
            raise TypeError(f"pictures[{k}]: {str(error).removeprefix('image: ')}") from None

    with ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(one, itertools.count(), pictures))
    images = np.zeros((len(found), SIZE, SIZE), np.uint8)
    reasons: list[str | None] = [None] * len(found)
    for k, result in enumerate(found):
        if isinstance(result, str):
            reasons[k] = result
        else:
            images[k] = result
    return Characters(images, np.array([why is not None for why in reasons], bool), reasons)


def _lines_of(line: npt.ArrayLike, pictures: int) -> Callable[[int], tuple[float, float]]:
    """Check the lines of so many pictures, and give what tells that of each."""
    from lenet_c.preprocess._printed import checked_line

    given = checks.numbers("line", line)
    if given.shape == (2,):
        one = checked_line("line", given)
        return lambda k: one
    if given.shape != (pictures, 2):
        raise ValueError(
            f"line: shape {given.shape}, want (top, baseline), or one for each of the {pictures} "
            f"pictures, ({pictures}, 2)"
        )
    each = [checked_line(f"line[{k}]", row) for k, row in enumerate(given)]
    return each.__getitem__


def load_image(
    source: str | os.PathLike[str] | bytes | IO[bytes] | Any,
    *,
    colour: bool = False,
    max_pixels: int = MAX_PIXELS,
) -> npt.NDArray[np.uint8]:
    """Read a picture, by default as grey.

    Parameters
    ----------
    source : path, bytes, binary file or PIL.Image.Image
        A PNG, JPEG, PGM, PPM, BMP, WebP, TIFF or GIF file (of several pages or frames the first),
        or a picture of Pillow's.
    colour : bool
        Keep colours and transparency: (H, W), (H, W, 3) or (H, W, 4), as the picture has them.
    max_pixels : int
        More pixels than these are refused before they are unpacked. Pillow's own limit does not
        matter, but for TIFF and WebP files: twice `PIL.Image.MAX_IMAGE_PIXELS`, 179 million unless
        it is set otherwise.

    Returns
    -------
    ndarray of uint8, (H, W)
        The picture, upright if it says how it was held, on white where it is transparent, or on
        black if on white nothing is to be seen.

    Raises
    ------
    ValueError
        If it is not such a picture, is damaged or is too large.
    ImportError
        If Pillow is not installed.
    """
    need_extra("load_image", "PIL")
    from PIL import Image

    max_pixels = checks.whole("max_pixels", max_pixels, 1)
    if isinstance(source, Image.Image):
        return _opened(source, "image", colour, max_pixels)
    return _loaded(source, colour, max_pixels)


def _loaded(
    source: Any, colour: bool, max_pixels: int, draft: bool = False
) -> npt.NDArray[np.uint8]:
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _read(io.BytesIO(source), f"image of {len(source)} bytes", colour, max_pixels, draft)
    if hasattr(source, "read"):
        return _read(source, str(getattr(source, "name", "file")), colour, max_pixels, draft)
    if not isinstance(source, (str, os.PathLike)):
        raise TypeError(
            f"source: got {checks.short(source)}, want a path, bytes, a binary file or a picture "
            "of Pillow's"
        )
    name = os.fsdecode(source)
    try:
        file = open(name, "rb")  # noqa: SIM115
    except ValueError as error:  # a null byte, or half of a surrogate pair
        raise ValueError(f"image: {checks.short(source)} is no path ({error})") from None
    with file:
        return _read(file, name, colour, max_pixels, draft)


def _read(
    file: IO[bytes], name: str, colour: bool, max_pixels: int, draft: bool
) -> npt.NDArray[np.uint8]:
    from PIL import Image

    # Pillow's decoders raise nearly anything on a damaged file.
    try:
        with _identified(file) as image:
            if draft and image.width * image.height <= max_pixels:
                image.draft(None, (1024, 1024))  # a JPEG unpacks no more detail than is used
            return _opened(image, name, colour, max_pixels)
    except Exception as error:
        beginning = f"{name}: cannot be read as a picture ("
        if str(error).startswith(beginning):
            raise
        why = str(error) or type(error).__name__
        if isinstance(error, (Image.DecompressionBombError, Image.DecompressionBombWarning)):
            why = (
                "more pixels than Pillow unpacks of a TIFF or WebP file, twice "
                f"PIL.Image.MAX_IMAGE_PIXELS={Image.MAX_IMAGE_PIXELS}, which raises that"
            )
        raise ValueError(f"{beginning}{why})") from error


def _identified(file: IO[bytes]) -> ImageFile:
    """Open a picture as PIL.Image.open does, but without its limit: max_pixels takes its place.

    That limit is a global of the whole process: changing it for a call would change it for others.
    """
    from PIL import Image

    try:
        file.seek(0)
    except (AttributeError, io.UnsupportedOperation):
        file = io.BytesIO(file.read())
    prefix = file.read(16)
    Image.preinit()
    for kind in FORMATS:
        if kind not in Image.OPEN:
            Image.init()
        if kind not in Image.OPEN:
            continue
        factory, accept = Image.OPEN[kind]
        with suppress(SyntaxError, IndexError, TypeError, struct.error):
            # a text says what this Pillow lacks
            if accept is None or accept(prefix) is True:
                file.seek(0)
                return factory(file, "")
    raise ValueError(
        "not a PNG, JPEG, PGM, PPM, BMP, WebP, TIFF or GIF file that this Pillow reads, or a "
        "damaged one"
    )


def _opened(image: Any, name: str, colour: bool, max_pixels: int) -> npt.NDArray[np.uint8]:
    from PIL import ImageOps

    if image.width * image.height > max_pixels:
        raise ValueError(
            f"{name}: cannot be read as a picture ({image.width}x{image.height} pixels, more "
            f"than max_pixels={max_pixels})"
        )
    image = ImageOps.exif_transpose(image)
    if image.mode == "I" or image.mode.startswith("I;16"):
        deep = np.asarray(image)
        white = _next_white(float(deep.max(initial=0)))
        return _bytes(np.clip(deep * (255 / max(255, white)), 0, 255))
    if image.mode == "F":
        raise ValueError(
            f"{name}: cannot be read as a picture (its pixels are floating-point numbers: give "
            "them as an array, np.asarray(PIL.Image.open(...)))"
        )
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        rgba: npt.NDArray[np.uint8] = np.array(image.convert("RGBA"))
        if colour:
            return rgba
        return _bytes(_opaque(rgba.astype(np.float32), 255.0) @ GREY)
    if colour and image.mode not in ("1", "L"):
        return np.array(image.convert("RGB"))
    return np.array(image.convert("L"))


def _bytes(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    raw: npt.NDArray[np.uint8] = np.rint(values).astype(np.uint8)
    return raw


def need_extra(name: str, *modules: str) -> None:
    """Raise ImportError, with what to install, unless pictures can be worked on."""
    import importlib

    for module in modules or ("PIL", "scipy.ndimage"):
        if sys.modules.get(module) is not None:
            continue  # as mostly; this takes a hundredth of the time of a field
        try:
            importlib.import_module(module)
        except ImportError as error:
            library = {"PIL": "Pillow", "scipy.ndimage": "SciPy"}[module]
            raise ImportError(f'{name}() needs {library}: pip install "lenet_c[images]"') from error


def given_array(
    image: Any, name: str = "image", many: str = "characters", draft: bool = True
) -> npt.NDArray[Any]:
    """Return the picture as an array of grey or colours.

    Parameters
    ----------
    image : array, or what `load_image` takes
    name, many : str
        What errors call it, and what takes several.
    draft : bool
        Whether a JPEG file may come in less detail than it has.
    """
    if isinstance(image, (str, bytes, bytearray, os.PathLike)) or hasattr(image, "read"):
        return _loaded(image, True, MAX_PIXELS, draft=draft)
    if hasattr(image, "convert") and hasattr(image, "getexif"):
        return load_image(image, colour=True)
    given = checks.array(name, image)
    if given.dtype == object and given.ndim == 0:
        raise TypeError(
            f"{name}: got {checks.short(image)}, want an array, a path, bytes, a binary file or a "
            "picture of Pillow's"
        )
    if given.dtype != bool and given.dtype.kind not in "uif":
        raise TypeError(f"{name}: dtype {given.dtype}, want numbers or bool")
    if 0 in given.shape:
        raise ValueError(f"{name}: shape {given.shape} is empty")
    if given.ndim not in (2, 3) or (given.ndim == 3 and given.shape[2] not in (1, 2, 3, 4)):
        hint = ""
        if given.ndim == 3 and given.shape[0] in (1, 2, 3, 4):
            hint = f"; channels go last: {name}.transpose(1, 2, 0)"
        elif given.ndim > 2:
            hint = f"; several pictures go to {many}()"
        elif given.ndim == 1:
            hint = f"; {name}.reshape(height, width) makes a picture of a row of pixels"
        raise ValueError(
            f"{name}: shape {given.shape}, want (H, W) or (H, W, 1 to 4 channels){hint}"
        )
    if given.shape[0] * given.shape[1] > MAX_ARRAY:
        raise ValueError(
            f"{name}: {given.shape[1]}x{given.shape[0]} pixels, want at most {MAX_ARRAY:,}; "
            f"{name}[::2, ::2] has a quarter"
        )
    return given


def _next_white(largest: float) -> float:
    return float(next((white for white in WHITES if largest <= white), WHITES[-1]))


def range_of(given: npt.NDArray[Any], name: str = "image") -> tuple[float, float]:
    """Return what white and black are among an array's values."""
    if given.dtype == bool:
        return 1.0, 0.0
    if given.dtype == np.uint8 and given.size > 4 and given[:: max(1, len(given) // 64)].max() > 1:
        return 255.0, 0.0
    low, high = float(given.min()), float(given.max())
    if not -HUGE < low <= high < HUGE:  # NaN included
        raise ValueError(
            f"{name}: has values from {low:.4g} to {high:.4g}; np.nan_to_num and np.clip mend them"
        )
    if given.dtype.kind in "iu":
        if low < 0 or high > WHITES[-1]:
            raise ValueError(f"{name}: has values from {low:.0f} to {high:.0f}, want 0 to 65535")
        return _next_white(high), 0.0
    if low < 0 or 1 < high <= 2:
        return high, low  # normalised: black is as far down as it goes
    if high <= WHITES[-1]:
        return _next_white(high), 0.0
    return high, 0.0


def _working(
    given: npt.NDArray[Any], white: float, black: float, pixels: int
) -> tuple[npt.NDArray[np.float32], float]:
    """Return the picture as grey of a bounded size, 0 to 255, and how much smaller it is."""
    height, width = given.shape[:2]
    factor = max(math.sqrt(height * width / pixels), max(height, width) / LONGEST)
    if factor < 1:
        factor = max(factor, max(height, width) / SMALLEST)
    return reduced(given, white, black, factor), factor


def sampled(factor: float) -> int:
    """Return every which pixel of a picture is looked at that is to become so much smaller."""
    return max(1, int(factor / SAMPLES))


def reduced(
    given: npt.NDArray[Any],
    white: float,
    black: float,
    factor: float,
    name: str = "image",
    what: str = "character",
) -> npt.NDArray[np.float32]:
    """Return the picture as grey, 0 to 255, so much smaller; an error says what does not show."""
    from PIL import Image

    height, width = given.shape[:2]
    step = sampled(factor)
    sample = given[::step, ::step]
    shape = max(1, round(width / factor)), max(1, round(height / factor))
    if sample.ndim == 3 and sample.shape[2] == 1:
        sample = sample[:, :, 0]
    box = Image.Resampling.BOX if factor > 1 else Image.Resampling.BICUBIC
    colours = sample.ndim == 3

    def resized(channel: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        if channel.shape == shape[::-1]:
            return channel.astype(np.float32)
        if channel.dtype != np.uint8:
            channel = channel.astype(np.float32)
        picture = Image.fromarray(np.ascontiguousarray(channel))
        return np.asarray(picture.resize(shape, box), np.float32)

    if colours and sample.shape[2] != 3:
        if not sample[:, :, -1].any():
            raise ValueError(
                f"{name}: no {what} stands out: the last channel, which tells what is opaque, is "
                f"0 everywhere; leave it out with {name}[:, :, :-1], or of CMYK make RGB: "
                f'PIL.Image.fromarray({name}, "CMYK").convert("RGB")'
            )
        floats = (sample.astype(np.float32) - np.float32(black)) * np.float32(
            255 / (white - black or 1)
        )
        sample = _opaque(floats, 255.0)
        white, black = 255.0, 0.0
    if colours:
        grey = _mixture(np.dstack([resized(sample[:, :, k]) for k in range(3)]), white - black)
    else:
        grey = resized(sample)
    if (white, black) != (255.0, 0.0):
        grey = (grey - np.float32(black)) * np.float32(255 / (white - black or 1))
    return np.minimum(np.maximum(grey, 0), 255)


def _opaque(channels: npt.NDArray[np.float32], white: float) -> npt.NDArray[np.float32]:
    """Return RGB on white, or on black if on white nothing is to be seen."""
    alpha = channels[:, :, -1:] / np.float32(white)
    colours = channels[:, :, :-1]
    if colours.shape[2] == 1:
        colours = np.repeat(colours, 3, axis=2)
    on_black = alpha * colours
    on_white = on_black + (1 - alpha) * np.float32(white)
    if np.ptp(on_white) < white / 16 < np.ptp(on_black):
        return on_black
    return on_white


def _mixture(colours: npt.NDArray[np.float32], range_: float) -> npt.NDArray[np.float32]:
    """Return the brightness, or where colours differ much more than it does, that difference."""
    grey = colours @ GREY
    centred = (colours - np.median(colours, axis=(0, 1))).reshape(-1, 3)
    values, vectors = np.linalg.eigh(centred.T @ centred)
    if values[-1] <= 6 * float((grey - np.median(grey)).ravel() @ (grey - np.median(grey)).ravel()):
        return grey
    along = (centred @ vectors[:, -1]).reshape(grey.shape)
    # far from black, so that differences, not ratios, count
    shifted: npt.NDArray[np.float32] = along + np.float32(range_ / 2)
    return shifted


def _around(
    rows: slice, columns: slice, size: int, factor: float, shape: tuple[int, ...]
) -> tuple[slice, slice]:
    """Return the part of the given picture that a found box and its surroundings have."""
    room = 0.6 * size
    part = []
    for found, side in zip((rows, columns), shape[:2], strict=True):
        low, high = (found.start - room) * factor, (found.stop + room) * factor
        part.append(slice(max(0, int(low)), min(side, math.ceil(high))))
    return part[0], part[1]


def _in_form(ink: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    from PIL import Image

    from lenet_c.preprocess import centre, resize
    from lenet_c.preprocess._finding import extent

    cropped = ink[extent(ink > 0.3)]
    scale = BOX / max(cropped.shape)
    height, width = (max(1, round(side * scale)) for side in cropped.shape)
    if scale < 1:
        picture = Image.fromarray(np.ascontiguousarray(cropped))
        small = np.asarray(picture.resize((width, height), Image.Resampling.BOX))
    else:
        small = resize(cropped, height, width)
    # MNIST's strokes are full in the middle
    return centre(np.minimum(small * (1.15 / small.max()), 1))


def _mnist_like(given: npt.NDArray[Any]) -> npt.NDArray[np.uint8] | None:
    """Return a copy of what has MNIST's form, but for its polarity or equal channels."""
    if given.dtype != np.uint8 or given.shape[:2] != (SIZE, SIZE):
        return None
    if given.ndim == 3:
        if given.shape[2] not in (1, 3) or (given != given[:, :, :1]).any():
            return None
        given = given[:, :, 0]
    for image in (given.copy(), 255 - given):
        if _is_mnist_like(image):
            return image
    return None


def _is_mnist_like(image: npt.NDArray[Any]) -> bool:
    if image.max() < 128:
        return False
    marked = image > 0
    border = np.concatenate([marked[0], marked[-1], marked[:, 0], marked[:, -1]])
    if border.mean() > 0.1:
        return False
    spans = [np.ptp(np.flatnonzero(marked.any(axis=axis))) + 1 for axis in (0, 1)]
    if not BOX - 2 <= max(spans) <= BOX:
        return False
    index = np.arange(SIZE)
    mass = image.sum(dtype=np.float64)
    middle = np.array([image.sum(axis=1) @ index, image.sum(axis=0) @ index]) / mass
    return bool(np.abs(middle - SIZE / 2).max() <= 1)
