"""Whether images look like those that a network learnt from, and the line of code that mends it.

The core looks at some images of each call (csrc/run/appearance.c): the range of their pixels and
the median of their border, beside those of the images that the network learnt from. Here is what it
says when more than half are unlike them: an error where no network could be right, else a warning.
Of images that look alike, but whose answers the network's thresholds reject, some are turned here
to see whether that helps.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lenet_c import checks
from lenet_c.preprocess._arrays import other_shape

if TYPE_CHECKING:
    from lenet_c import _core
    from lenet_c.reader import Answers

__all__ = ["FINITE", "Appearance", "InputWarning", "refused", "tell", "tell_framing"]

Range = tuple[float, float]

_SIDE = 28  # of MNIST's images, which preprocess.images gives
_PADDED = 32  # of MNIST's images padded
_SLACK = 0.04  # of the range: so much off is alike, as in the core

# the line that mends values that are NaN or infinite; runs of lists and DataFrames, too
FINITE = "images = np.nan_to_num(images, posinf=0, neginf=0)"


class InputWarning(UserWarning):
    """Images that a network reads or learns from, but hardly as they are meant.

    The message has the line of code that mends it. ``warnings.filterwarnings("error",
    category=lenet_c.InputWarning)`` makes it an error, "ignore" silences it.
    """


class Appearance(NamedTuple):
    """What the images that a network learnt from looked like, in the network's own units.

    A uint8 image counts as what the network makes of it, -0.1 for 0 and 1.175 for 255 in the 1998
    network. Blank images do not count. The channels of an image are taken together.

    Attributes
    ----------
    n : int
        How many images were looked at: up to 1,024 of a `Trainer.fit`, 16 of a `Trainer.step`.
    border : (float, float)
        The least and the greatest of the medians of the images' borders: the background.
    low, high : (float, float)
        The least and the greatest of the images' lowest and highest values.
    """

    n: int
    border: Range
    low: Range
    high: Range

    @classmethod
    def from_dict(cls, data: object) -> Appearance:
        """Give what a model file's metadata says, trusting nothing in it; else raise ValueError."""
        if not isinstance(data, dict) or set(data) != set(cls._fields):
            raise ValueError(f"learnt_from: want {', '.join(cls._fields)}")
        n, *ranges = (data[name] for name in cls._fields)
        if not isinstance(n, int) or isinstance(n, bool) or not 1 <= n < 2**62:
            raise ValueError("learnt_from: n is no whole number from 1")
        for pair in ranges:
            if (
                not isinstance(pair, (list, tuple))
                or len(pair) != 2
                or not all(type(value) in (int, float) and abs(value) < 1e38 for value in pair)
                or pair[0] > pair[1]
            ):
                raise ValueError("learnt_from: want two finite numbers, ascending, of each")
        border, low, high = ((float(a), float(b)) for a, b in ranges)
        return cls(n, border, low, high)


# ---- what the core has found -----------------------------------------------------------------


def tell(
    network: _core.Plan,
    images: NDArray[Any],
    kind: str,
    name: str = "images",
    is_training: bool = False,
    given: Any = None,
) -> None:
    """Raise ValueError, or warn, of images that are unlike those that were learnt from.

    Parameters
    ----------
    network : lenet_c._core.Plan
    images : uint8 or float32 array (N, height, width) or (N, channels, height, width)
        Some of them.
    kind : str
        How they are unlike: one of `lenet_c._core.UNLIKE`.
    name : str
        What the message calls them.
    is_training : bool
        Whether they are learnt from, or else read.
    given : object, optional
        The images as the caller has them.
    """
    conversion = _as_array(given)
    inner = _within(network, images)
    low, high = float(images.min()), float(images.max())
    learnt = _learnt(network)
    what = f"{images.dtype} from {low:.4g} to {high:.4g}"
    if kind == "ones":
        raise ValueError(
            f"{name}: uint8 whose largest value is 1, want 0 (background) to 255 (ink): "
            f"{conversion}images = images * 255"
        )
    if kind == "far":
        raise ValueError(
            f"{name}: {what}, want values around {learnt.low[0]:.4g} to {learnt.high[1]:.4g}: "
            + _mended(network, images, learnt, conversion=conversion)
        )
    before = "it learnt before from" if is_training else "the network learnt from"
    own = learnt.low[0], learnt.high[1]
    if images.dtype == np.uint8 and _is_documented(network, learnt):
        own = 0.0, 255.0
    if inner is not None and _is_alike(network, inner, learnt):
        text = f"{name}: padded with {_edge(images):.4g}, where {before} images "
        text += f"{_around(network, images, learnt)} around: "
        text += conversion + _unpadded(network, images, inner, learnt)
    elif kind == "inverted":
        is_light = np.median(_border(images if inner is None else inner)) > (low + high) / 2
        border, others = ("light", "dark") if is_light else ("dark", "light")
        if inner is not None:
            border = f"padded with {_edge(images):.4g}, and {border}"
        text = f"{name}: {border} around, where {before} images {others} around: "
        text += conversion + _turned(network, images, learnt)
    elif kind == "faint":
        text = (
            f"{name}: {what}, nearly blank, where {before} {own[0]:.4g} to {own[1]:.4g}: "
            + _mended(network, images, learnt, conversion=conversion)
        )
    else:
        border = f"{np.median(_border(images if inner is None else inner)):.4g} around"
        text = (
            f"{name}: {what}, {border}, where {before} {own[0]:.4g} to {own[1]:.4g}, "
            f"{_around(network, images, learnt)} around: "
            + _mended(network, images, learnt, conversion=conversion)
        )
    checks.warn(text, InputWarning)


# turns of (N, height, width), and how they are written
_TURNS: dict[str, tuple[str, Callable[[NDArray[Any]], NDArray[Any]]]] = {
    "transposed": (".swapaxes(-1, -2)", lambda x: x.swapaxes(-1, -2)),
    "mirrored": ("[..., ::-1]", lambda x: x[..., ::-1]),
    "upside down": ("[..., ::-1, ::-1]", lambda x: x[..., ::-1, ::-1]),
    "mirrored top to bottom": ("[..., ::-1, :]", lambda x: x[..., ::-1, :]),
    "turned to the right": (
        ".swapaxes(-1, -2)[..., ::-1]",
        lambda x: x.swapaxes(-1, -2)[..., ::-1],
    ),
    "turned to the left": (
        ".swapaxes(-1, -2)[..., ::-1, :]",
        lambda x: x.swapaxes(-1, -2)[..., ::-1, :],
    ),
    "transposed and turned upside down": (
        ".swapaxes(-1, -2)[..., ::-1, ::-1]",
        lambda x: x.swapaxes(-1, -2)[..., ::-1, ::-1],
    ),
}


def tell_framing(reader: Answers, images: NDArray[Any], given: Any = None) -> bool:
    """Warn of images of which many are rejected, if fewer are when they are turned, or if most are.

    Parameters
    ----------
    reader : Answers
        What read them.
    images : uint8 or float32 array (N, height, width) or (N, channels, height, width)
        Some of them.
    given : object, optional
        The images as the caller has them.

    Returns
    -------
    bool
        Whether it warned.
    """
    rejected = reader._share_rejected(images)
    best, least = None, rejected / 2  # chance helps a little
    for name, (_, turn) in _TURNS.items():
        turned = turn(images)
        if turned.shape == images.shape:  # all of them, where images are square
            share = reader._share_rejected(np.ascontiguousarray(turned))
            if share < least:
                best, least = name, share
    text = f"images: {rejected:.0%} of the answers are rejected"
    if best is not None:
        text += f", but {least:.0%} of the images {best}: "
        text += f"{_as_array(given)}images = images{_TURNS[best][0]}"
    elif rejected > 0.5 and reader._network.channels > 1:
        text += "; do they show what the network knows, upright and as large?"
    elif rejected > 0.5:
        text += (
            "; do they show what the network knows, upright, one character in the middle of each? "
            "what finds and centres it: images = lenet_c.preprocess.characters(images).images"
        )
    else:
        return False
    checks.warn(text, InputWarning)
    return True


# ---- lines of code -----------------------------------------------------------------------------


def refused(network: _core.Plan, given: Any) -> str:
    """Say how images whose dtype or shape was refused are brought into a form that is taken.

    Parameters
    ----------
    network : lenet_c._core.Plan
    given : array or what makes one

    Returns
    -------
    str
        What may help, ending with the line of code; empty if nothing can be told.
    """
    if _is_file(given):
        return "the character on a picture file: images = lenet_c.preprocess.character(images)"
    if isinstance(given, (list, tuple)) and given and all(map(_is_file, given)):
        return (
            "the characters on picture files: images = lenet_c.preprocess.characters(images).images"
        )
    array = checks.array("images", given)
    conversion = _as_array(given)
    if array.dtype == object and array.ndim:
        try:
            array = array.astype(np.float64)
        except (TypeError, ValueError):
            return ""
        conversion = 'images = np.asarray(images, "float64"); '
    if not array.size or array.dtype.kind not in "buif":
        return ""
    if network.channels > 1:
        return _refused_channels(network, array, conversion)
    sizes = [(network.height, network.width)]
    if _takes_28(network):
        sizes.append((_SIDE, _SIDE))
    for height, width in sizes:
        shaped, base = _shaped(array, height, width)
        if shaped is not None:
            is_28 = (height, width) == (_SIDE, _SIDE)
            return _line(network, array, shaped, base, is_28, conversion)
    if not _takes_28(network):
        return f"images of {network.height}x{network.width} are wanted, one channel"
    if (other := other_shape(array.shape, given, "images")) is not None:
        return f"{other[0]} images = lenet_c.preprocess.images({other[1]})"
    forms = (
        "lenet_c.preprocess.images takes (N, 28, 28), (N, 784), (N, 28, 28, 1), (N, 1, 28, 28); "
    )
    channels = array.shape[-1:] in ((2,), (3,), (4,))
    if array.ndim == 2 or (array.ndim == 3 and channels):
        return (
            f"{forms}for the character on one picture of another size: "
            f"{conversion}images = lenet_c.preprocess.character(images)"
        )
    pictures = "images"
    if array.ndim == 4 and not channels:
        pictures = {1: "images[:, 0]", 3: "np.moveaxis(images, 1, -1)"}.get(array.shape[1], "")
    if array.ndim in (3, 4) and pictures:
        return (
            f"{forms}for the character on each picture of another size: "
            f"{conversion}images = lenet_c.preprocess.characters({pictures}).images"
        )
    return forms.removesuffix("; ")


def _refused_channels(network: _core.Plan, array: NDArray[Any], conversion: str) -> str:
    """Say the same for a network of several channels."""
    channels, height, width = network.channels, network.height, network.width
    shape = array.shape
    if array.ndim in (1, 2) and shape[-1] == channels * height * width:
        shaped = array.reshape(-1, channels, height, width)
        base = f"images.reshape(-1, {channels}, {height}, {width})"
        return _line(network, array, shaped, base, False, conversion)
    if array.ndim in (3, 4) and shape[-3] == channels and _fits_within(network, *shape[-2:]):
        shaped = array.reshape(-1, *shape[-3:])
        return _line(network, array, shaped, "images", False, conversion)
    first = "images = lenet_c.preprocess.channels_first"
    if array.ndim in (3, 4) and _fits_within(network, *shape[-3:-1]):
        if shape[-1] == channels:
            return f"channels last? {conversion}{first}(images)"
        if shape[-1] == channels + 1:
            return f"channels last, and one more? {conversion}{first}(images[..., :{channels}])"
    if array.ndim in (2, 3) and _fits_within(network, *shape[-2:]):
        return f"grey? {conversion}images = np.stack([images] * {channels}, axis=-3)"
    if array.ndim == 4 and shape[1] == 1 and _fits_within(network, *shape[2:]):
        return f"grey? {conversion}images = images.repeat({channels}, axis=1)"
    return f"images of {height}x{width} are wanted, {channels} channels, which come first"


def _fits_within(network: _core.Plan, height: int, width: int) -> bool:
    """Whether uint8 images of this size would be padded, or need not be."""
    spare = network.height - height, network.width - width
    return all(0 <= side <= 8 and side % 2 == 0 for side in spare)


def _is_file(given: Any) -> bool:
    """Whether it may be a picture's path or content; other text is not."""
    if isinstance(given, str):
        return bool(os.path.splitext(given)[1])
    return isinstance(given, (bytes, os.PathLike))


def _as_array(given: Any) -> str:
    """Write what lines about arrays need first, if the caller has something else."""
    if given is None or isinstance(given, np.ndarray):
        return ""
    return "images = np.asarray(images); "


def _takes_28(network: _core.Plan) -> bool:
    return network.channels == 1 and _fits_within(network, _SIDE, _SIDE)


def _shaped(array: NDArray[Any], height: int, width: int) -> tuple[NDArray[Any] | None, str]:
    """Give them as (N, height, width), and the expression that does so; None: they are not."""
    shape = array.shape
    if array.ndim in (2, 3) and shape[-2:] == (height, width):
        return array.reshape(-1, height, width), "images"
    one_channel = array.ndim == 4 and (height, width, 1) in (shape[1:], (*shape[2:], shape[1]))
    if one_channel or (array.ndim in (1, 2) and shape[-1] == height * width):
        return array.reshape(-1, height, width), f"images.reshape(-1, {height}, {width})"
    return None, ""


def _line(
    network: _core.Plan,
    array: NDArray[Any],
    shaped: NDArray[Any],
    base: str,
    is_28: bool,
    conversion: str,
) -> str:
    learnt = _learnt(network)
    low, high = float(shaped.min()), float(shaped.max())
    if not np.isfinite([low, high]).all():
        shaped = np.nan_to_num(shaped, posinf=0, neginf=0)
        return f"{conversion}{FINITE}; {_line(network, shaped, shaped, base, is_28, '')}"
    is_own_size = shaped.shape[-2:] == (network.height, network.width)
    if shaped.dtype.kind == "f" and is_own_size and _fits(shaped, low, high, learnt):
        return f'{conversion}images = {base}.astype("float32")'
    if shaped.dtype == np.uint8 and high > 1 and not is_28:
        return f"{conversion}images = {base}"
    if is_28 and _is_documented(network, learnt) and low >= 0 and (high <= 1 or 32 <= high <= 255):
        return "images = lenet_c.preprocess.images(images)"
    if array.dtype.kind == "b":
        return f'{conversion}images = {base}.astype("uint8") * 255'
    is_narrow = shaped.dtype.kind in "iu" and not (low >= 0 and 32 <= high <= 255)
    if is_narrow or shaped.dtype == np.float16:  # which would overflow
        conversion += f'images = {base}.astype("float32"); '
        shaped, base = shaped.astype(np.float32), "images"
    return _mended(network, shaped, learnt, base, conversion)


def _mended(
    network: _core.Plan,
    images: NDArray[Any],
    learnt: Appearance,
    base: str = "images",
    conversion: str = "",
) -> str:
    """Write the line that brings images of the right size into the range that is wanted."""
    if images.dtype == np.uint8 and not _is_documented(network, learnt):
        if images.shape[-2:] != (network.height, network.width):
            base = f"lenet_c.preprocess.pad({base}, {network.height})"
        return (
            f"{conversion}images = lenet_c.preprocess.normalize({base}, {learnt.low[0]:.6g}, "
            f"{learnt.high[1]:.6g})"
        )
    low, high = float(images.min()), float(images.max())
    if not _is_documented(network, learnt):
        # blank ones become background
        factor = (learnt.high[1] - learnt.low[0]) / (high - low) if low < high else 1.0
        return (
            f"{conversion}images = (({base} - {low:.6g}) * {factor:.6g} + "
            f'{learnt.low[0]:.6g}).astype("float32")'
        )
    if images.dtype == np.uint8:
        if high < 128:
            return f'{conversion}images = ({base} * (255 / {base}.max())).round().astype("uint8")'
        if network.channels > 1:
            return "prepare them as those were"
        if _within(network, images) is not None:
            base += _CUT
        return (
            "what takes the background out: "
            f"{conversion}images = lenet_c.preprocess.characters({base}).images"
        )
    return f"{conversion}images = {_bytes(network, images, base)}"


def _bytes(network: _core.Plan, images: NDArray[Any], base: str) -> str:
    """Write the expression that makes uint8 of other numbers, 0 of the lowest."""
    # what was put around images after they were scaled goes: the core puts background there
    inner = _within(network, images)
    if inner is not None:
        images = inner
        base += _CUT
    low, high = float(images.min()), float(images.max())
    if images.dtype.kind in "iu" and low >= 0 and 32 <= high <= 255:
        return f'{base}.astype("uint8")'
    if low >= 0 and 0.5 < high <= 1:
        scaled = f"({base} * 255)"
    elif low >= 0 and 32 <= high <= 255:
        scaled = base
    elif abs(low + 1) < 1e-3 and high <= 1:
        scaled = f"(({base} + 1) * 127.5)"
    elif abs(low + 0.4242) < 1e-3 and 2 < high <= 2.8216:  # MNIST's mean and deviation
        scaled = f"(({base} * 0.3081 + 0.1307) * 255)"
    elif abs(low + 0.1) < 1e-3 and 1 < high <= 1.1751:
        scaled = f"(({base} + 0.1) * 200)"
    else:
        scaled = f"(({base} - {base}.min()) * (255 / ({base}.max() - {base}.min())))"
    return f'{scaled}.round().clip(0, 255).astype("uint8")'


def _turned(network: _core.Plan, images: NDArray[Any], learnt: Appearance) -> str:
    """Write the line that makes dark light."""
    inner = _within(network, images)
    cut = "images" if inner is None else "images" + _CUT
    if images.dtype == np.uint8:
        return f"images = 255 - {cut}"
    own = learnt.low[0], learnt.high[1]
    if inner is not None and _is_documented(network, learnt):
        return f"images = 255 - {_bytes(network, images, 'images')}"
    values = images if inner is None else inner
    low, high = float(values.min()), float(values.max())
    slack = _SLACK * (own[1] - own[0])
    if abs(low - own[0]) <= slack and high <= own[1] + slack:
        turned = f"{own[0] + own[1]:.6g} - {cut}"
    elif _is_documented(network, learnt):
        return f"images = 255 - {_bytes(network, images, 'images')}"
    else:
        factor = (own[1] - own[0]) / (high - low)
        turned = f'(({high:.6g} - {cut}) * {factor:.6g} + {own[0]:.6g}).astype("float32")'
    return f"images = {turned if inner is None else _padded(turned, learnt)}"


# ---- padding -----------------------------------------------------------------------------------

_CUT = "[..., 2:-2, 2:-2]"


def _within(network: _core.Plan, images: NDArray[Any]) -> NDArray[Any] | None:
    """Give images of 28x28 without the padding, if most have one that is not their background."""
    if images.shape[1:] != (_PADDED, _PADDED) or not _takes_28(network):
        return None
    frame, inner = _border(images), images[:, 2:-2, 2:-2]
    is_even = (frame == frame[:, :1]).all(axis=1)
    background = np.median(_border(inner), axis=1)
    slack = _SLACK * (float(images.max()) - float(images.min()))
    is_padded = is_even & (abs(background - frame[:, 0].astype(np.float64)) > slack)
    return inner if is_padded.mean() > 0.5 else None


def _is_alike(network: _core.Plan, inner: NDArray[Any], learnt: Appearance) -> bool:
    """Whether the background of images without their padding is the one that was learnt."""
    background = float(np.median(_border(inner)))
    if inner.dtype == np.uint8:
        zero, unit = _scale(network)
        background = zero + unit * background
    slack = _SLACK * (learnt.high[1] - learnt.low[0])
    return learnt.border[0] - slack <= background <= learnt.border[1] + slack


def _unpadded(
    network: _core.Plan, images: NDArray[Any], inner: NDArray[Any], learnt: Appearance
) -> str:
    """Write the line that takes a wrong padding away."""
    if inner.dtype == np.uint8:
        return f"images = images{_CUT}"
    if _is_documented(network, learnt):
        return f"images = {_bytes(network, images, 'images')}"
    return f"images = {_padded('images' + _CUT, learnt)}"


def _padded(values: str, learnt: Appearance) -> str:
    """Write the expression that pads 28x28 with the background that was learnt."""
    return (
        f"np.pad({values}, [(0, 0)] * (images.ndim - 2) + [(2, 2)] * 2, "
        f"constant_values={learnt.border[0]:.6g})"
    )


def _edge(images: NDArray[Any]) -> float:
    return float(np.median(images[:, 0, 0]))


# ---- what was learnt from ----------------------------------------------------------------------


def _learnt(network: _core.Plan) -> Appearance:
    """Give what was learnt from; if it is not known, the range of the architecture."""
    found = network.learnt_from
    if found is not None:
        return Appearance(*found)
    low, high = _levels(network)
    if network.channels > 1:
        return Appearance(0, (low, high), (low, low), (high, high))
    return Appearance(0, (network.background[0],) * 2, (low, low), (high, high))


def _levels(network: _core.Plan) -> Range:
    """Give the range of what uint8 images become."""
    levels = network.background + network.foreground
    return min(levels), max(levels)


def _scale(network: _core.Plan) -> Range:
    """Give what 0 of uint8 images becomes, and a step; about, where channels differ."""
    if network.channels == 1:
        return network.background[0], (network.foreground[0] - network.background[0]) / 255
    low, high = _levels(network)
    return low, (high - low) / 255


def _is_documented(network: _core.Plan, learnt: Appearance) -> bool:
    """Whether uint8 images have the range that was learnt from."""
    low, high = _levels(network)
    slack = _SLACK * (high - low)
    return abs(learnt.low[0] - low) <= slack and abs(learnt.high[1] - high) <= slack


def _fits(images: NDArray[Any], low: float, high: float, learnt: Appearance) -> bool:
    slack = _SLACK * (learnt.high[1] - learnt.low[0])
    return learnt.low[0] - slack <= low <= learnt.low[1] + slack and high <= learnt.high[1] + slack


def _around(network: _core.Plan, images: NDArray[Any], learnt: Appearance) -> str:
    low, high = learnt.border
    if images.dtype == np.uint8 and _is_documented(network, learnt):
        zero, unit = _scale(network)
        low, high = sorted(round((side - zero) / unit) for side in (low, high))
    return f"{low:.4g}" if high - low < 1e-6 else f"{low:.4g} to {high:.4g}"


def _border(images: NDArray[Any]) -> NDArray[Any]:
    sides = images[..., 0, :], images[..., -1, :], images[..., 1:-1, 0], images[..., 1:-1, -1]
    return np.concatenate(sides, axis=-1).reshape(len(images), -1)
