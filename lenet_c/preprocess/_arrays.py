"""Arrays of images as people have them, and the one form that the network takes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from lenet_c import _core, checks

if TYPE_CHECKING:
    import numpy.typing as npt

SIDE = 28


def images(x: Any, *, invert: bool | str = False) -> npt.NDArray[np.uint8]:
    """Bring images that are 28x28 already into the form that the network takes.

    Parameters
    ----------
    x : array, list or DataFrame
        (N, 28, 28), (28, 28), (N, 784), (784,), (N, 28, 28, 1) or (N, 1, 28, 28); bool, or
        integers or floating numbers from 0 to 255 or from 0 to 1. The range is that of all
        images together.
    invert : bool or "auto"
        Whether ink is darker than the background, or "auto": told from the images' borders, of
        all of them together.

    Returns
    -------
    ndarray of uint8, (N, 28, 28)
        Background 0, ink up to 255.

    Raises
    ------
    ValueError
        If the shape or the range is another, or it cannot be told: with what to do.
    """
    check_invert(invert)
    given = checks.array("x", x.to_numpy() if hasattr(x, "to_numpy") else x)
    if given.dtype == object:
        try:
            given = given.astype(np.float64)
        except (TypeError, ValueError):
            raise TypeError("x: has values that are no numbers, or images of unlike size") from None
    if given.dtype != bool and given.dtype.kind not in "uif":
        raise TypeError(f"x: dtype {given.dtype}, want numbers or bool")
    raw = _to_255(_shaped(given, x), x)
    if isinstance(invert, str):
        invert = dark_on_light(raw)
    return 255 - raw if invert else raw


def check_invert(invert: object) -> None:
    """Raise TypeError or ValueError unless it is True, False or "auto"."""
    is_bool = isinstance(invert, (bool, np.bool_))
    if not is_bool and not (isinstance(invert, str) and invert == "auto"):
        error = ValueError if isinstance(invert, str) else TypeError
        raise error(f'invert: got {checks.short(invert)}, want True, False or "auto"')


def channels_first(x: Any) -> npt.NDArray[Any]:
    """Turn pictures whose channels come last, as most libraries load them, for the network.

    Parameters
    ----------
    x : array, (N, H, W, C) or (H, W, C)
        Up to 16 channels; uint8 or other numbers, which stay as they are.

    Returns
    -------
    ndarray, (N, C, H, W) or (C, H, W)
        A contiguous copy.

    Raises
    ------
    TypeError, ValueError
        If they are no numbers, or of another shape.

    Examples
    --------
    >>> import numpy as np
    >>> channels_first(np.zeros((10, 32, 32, 3), np.uint8)).shape
    (10, 3, 32, 32)
    """
    given = checks.numbers("x", x)
    if given.ndim not in (3, 4) or not 1 <= given.shape[-1] <= _core.MAX_CHANNELS:
        hint = ""
        if given.ndim in (3, 4) and 1 <= given.shape[-3] <= _core.MAX_CHANNELS:
            hint = ": channels first already? take x as it is"
        elif given.ndim in (2, 3):
            hint = ": grey? x = x[..., None] gives it one channel"
        raise ValueError(
            f"x: shape {given.shape}, want (N, height, width, channels) or (height, width, "
            f"channels), at most {_core.MAX_CHANNELS} channels{hint}"
        )
    return np.ascontiguousarray(np.moveaxis(given, -1, -3))


def other_shape(shape: tuple[int, ...], given: Any, name: str) -> tuple[str, str] | None:
    """Ask what images of a shape that is not taken may be, and write what makes them 28x28.

    Parameters
    ----------
    shape : tuple of int
    given : array, list or DataFrame
        What has the shape.
    name : str
        Of the variable that holds it.

    Returns
    -------
    (str, str) or None
        The question, and the expression; None: nothing that can be told from the shape.
    """
    pixels = SIDE * SIDE
    is_frame = hasattr(given, "iloc")
    if not is_frame and not isinstance(given, np.ndarray):
        name = f"np.asarray({name})"
    if len(shape) == 2 and shape[1] == pixels + 1:
        part = f"{name}.iloc[:, 1:]" if is_frame else f"{name}[:, 1:]"
        return "a column of labels first?", part
    if len(shape) == 2 and shape[0] == pixels:
        return "one column an image?", f"{name}.T"
    if len(shape) == 4 and shape[1:] in ((SIDE, SIDE, 3), (3, SIDE, SIDE)):
        axis = 3 if shape[3] == 3 else 1
        return "colours? their mean is grey:", f"{name}.mean(axis={axis})"
    if len(shape) == 3 and shape[:2] == (SIDE, SIDE):
        return "images along the last axis?", f"{name}.transpose(2, 0, 1)"
    return None


def _shaped(given: npt.NDArray[Any], x: Any) -> npt.NDArray[Any]:
    shape = given.shape
    pixels = SIDE * SIDE
    if shape[-2:] == (SIDE, SIDE) and (given.ndim <= 3 or (given.ndim == 4 and shape[1] == 1)):
        return given.reshape(-1, SIDE, SIDE)
    if given.ndim == 4 and shape[1:] == (SIDE, SIDE, 1):
        return given.reshape(-1, SIDE, SIDE)
    if given.ndim in (1, 2) and shape[-1] == pixels:
        return given.reshape(-1, SIDE, SIDE)
    hint = ""
    if (other := other_shape(shape, x, "x")) is not None:
        hint = f": {other[0]} x = {other[1]}"
    elif shape[-2:] == (32, 32):
        cut = "x" if isinstance(x, np.ndarray) else "np.asarray(x)"
        hint = f": padded? a network of 32x32 takes uint8 as it is; x = {cut}[..., 2:-2, 2:-2]"
    elif given.ndim == 3 or (given.ndim == 4 and shape[3] in (2, 3, 4)):
        hint = ": pictures of another size? x = lenet_c.preprocess.characters(x).images"
    elif given.ndim == 2:
        hint = ": a picture of another size? x = lenet_c.preprocess.character(x)"
    raise ValueError(
        f"x: shape {shape}, want (N, 28, 28), (N, 784), (N, 28, 28, 1) or (N, 1, 28, 28){hint}"
    )


def _to_255(given: npt.NDArray[Any], x: Any) -> npt.NDArray[np.uint8]:
    if given.size == 0:
        return np.zeros(given.shape, np.uint8)
    white = white_of(given, x)
    if given.dtype == np.uint8 and white == 255:
        return given.copy()
    return levels(given, white)


def levels(given: npt.NDArray[Any], white: float) -> npt.NDArray[np.uint8]:
    """Give numbers from 0 to `white` as levels from 0 to 255; bytes as they are, not copied."""
    if given.dtype == bool:
        return given.astype(np.uint8) * np.uint8(255)
    if white == 255:
        return given if given.dtype == np.uint8 else _bytes(given)
    return _bytes(given.astype(np.float32) * np.float32(255 / white))


def white_of(given: npt.NDArray[Any], x: Any, name: str = "x") -> float:
    """Tell what white is, 1 or 255, of all these values together; else raise ValueError.

    x : what the caller gave, and `name` what it calls that, for the error's text.
    """
    if given.dtype == bool:
        return 1.0
    low, high = float(given.min()), float(given.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(
            f"{name}: has values that are not finite; with 0 in their place: "
            f"{name} = np.nan_to_num({name}, posinf=0, neginf=0)"
        )
    if low < 0:
        raise ValueError(
            f"{name}: has values from {low:.4g} to {high:.4g}, normalised ones: undo it first, as "
            f"in {name} * std + mean, ({name} + 1) / 2 for -1 to 1, or ({name} + 0.1) / 1.275"
        )
    if high > 255:
        raise ValueError(
            f"{name}: has values up to {high:.6g}, want at most 255; 0 to 1 by {name} = "
            f"{name if isinstance(x, np.ndarray) else f'np.asarray({name})'} / {_white(high)}"
        )
    if high <= 1:
        return 255.0 if given.dtype.kind in "ui" and high == 0 else 1.0
    if high < 32:
        raise ValueError(
            f"{name}: has values from 0 to {high:.4g}, neither 0 to 1 nor 0 to 255: divide by what "
            f"white is, as in {name} / 16"
        )
    return 255.0


def _bytes(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    raw: npt.NDArray[np.uint8] = np.rint(values).astype(np.uint8)
    return raw


def _white(high: float) -> int:
    return next((white for white in (1023, 4095, 65535) if high <= white), math.ceil(high))


def dark_on_light(
    raw: npt.NDArray[np.uint8],
    name: str = "x",
    remedy: str = "characters(x) takes each by itself",
) -> bool:
    """Tell from their borders whether images (N, H, W) are all dark on light; raise if some are.

    name, remedy : what the error calls them, and says that helps.
    """
    if raw.size == 0:
        return False
    border = np.concatenate([raw[:, 0], raw[:, -1], raw[:, 1:-1, 0], raw[:, 1:-1, -1]], axis=1)
    light = np.median(border, axis=1) > 127
    share = float(light.mean())
    if 0.1 < share < 0.9:
        raise ValueError(
            f"{name}: the borders of {share:.0%} of the images are light, the others dark: "
            f'invert="auto" wants all of one kind; {remedy}'
        )
    return share >= 0.9
