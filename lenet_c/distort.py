"""Random distortions of grey images, made while training: planar affine maps and elastic ones.

LeCun et al. 1998, section III.B, enlarge the training set by affine maps: translation, scaling,
squeezing and shearing. Small rotations and the elastic fields of Simard et al. 2003 are options.
`Trainer(distort=...)` makes new ones for each image in each pass.
"""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass, fields, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lenet_c import _core, checks
from lenet_c.layers import MAX_SIDE

__all__ = ["AFFINE", "DISTORTIONS", "SLIGHT", "WORLD", "Distortion", "preview", "transform"]

_LEAST_SMOOTHNESS = 2.0
# How large a strength may be, and which ends it may have (see `checks.real`).
_FIELDS: dict[str, tuple[float, str]] = {
    "translation": (MAX_SIDE, "left"),
    "scaling": (1, "left"),
    "squeezing": (1, "left"),
    "shearing": (MAX_SIDE, "left"),
    "rotation": (180, "both"),
    "elastic": (MAX_SIDE, "left"),
    "elastic_smoothness": (MAX_SIDE, "left"),
    "thickness": (16, "left"),
    "lines": (64, "both"),
    "blur": (5, "left"),
    "contrast": (1, "left"),
    "noise": (1, "left"),
    "impulses": (1, "left"),
    "chance": (1, "both"),
}


@dataclass(frozen=True)
class Distortion:
    """How strongly images are distorted at random; 0 everywhere changes nothing.

    Every image gets numbers of its own, uniform in the ranges below. Pixels are interpolated
    bilinearly; what comes from outside the image is background (0). What it costs is in
    docs/distortions.md.

    Parameters
    ----------
    translation : float
        Pixels: shifts in x and in y are within +-translation.
    scaling : float
        Fraction, below 1: both sides are multiplied by a factor within 1 +- scaling.
    squeezing : float
        Fraction, below 1: the width is multiplied and the height divided by a factor within
        1 +- squeezing.
    shearing : float
        Pixels a row: rows slide sideways by up to +-shearing times their distance from the middle.
    rotation : float
        Degrees, at most 180: the image turns about its middle by an angle within +-rotation.
    elastic : float
        Pixels: standard deviation, in x and in y, of a smooth random displacement of each pixel.
        The fields of Simard et al. (sigma 4, alpha 34) have 1.4 at `elastic_smoothness` 4.
    elastic_smoothness : float
        Pixels, at least 2: standard deviation of the Gaussian that the displacements are as
        smooth as.
    thickness : float
        Pixels, below 16: strokes become thicker or thinner by up to so much.
    lines : int
        At most 64: up to so many thin lines are drawn across, dark or cutting through the ink.
    blur : float
        Pixels, below 5: a Gaussian of a standard deviation up to so much.
    contrast : float
        Share of the range, below 1: paper gets darker and ink paler, together by up to so much.
    noise : float
        Share of the range, below 1: standard deviation, up to so much, of noise that is added.
    impulses : float
        Share of the pixels, below 1: up to so many become 0 or 255.
    chance : float
        Probability with which each of the last six acts on an image, in [0, 1]. They act in that
        order, after the maps; strengths are uniform from 0 to those above.

    Raises
    ------
    TypeError, ValueError
        If a field is no number, negative, too large or not finite.
    """

    translation: float = 0.0
    scaling: float = 0.0
    squeezing: float = 0.0
    shearing: float = 0.0
    rotation: float = 0.0
    elastic: float = 0.0
    elastic_smoothness: float = 4.0
    thickness: float = 0.0
    lines: int = 0
    blur: float = 0.0
    contrast: float = 0.0
    noise: float = 0.0
    impulses: float = 0.0
    chance: float = 0.5

    def __post_init__(self) -> None:
        checks.whole("lines", self.lines, 0, 64)
        for field in fields(self):
            value = getattr(self, field.name)
            high, closed = _FIELDS[field.name]
            low = _LEAST_SMOOTHNESS if field.name == "elastic_smoothness" else 0.0
            checks.real(field.name, value, low, high, closed, in_float32=True)


AFFINE = Distortion(translation=1, scaling=0.1, squeezing=0.1, shearing=0.2, rotation=10)
"""The paper's kinds of distortion and small rotations, chosen on a validation split."""

WORLD = replace(
    AFFINE,
    thickness=2,
    lines=2,
    blur=1.2,
    contrast=0.6,
    noise=0.3,
    impulses=0.2,
    chance=0.15,
)
"""`AFFINE` and what scanners, cameras, pens and paper do, each to 15% of the images."""

SLIGHT = Distortion(translation=1, scaling=0.05, squeezing=0.05, shearing=0.1)
"""For few images, in fine-tuning (docs/fine_tuning.md)."""


DISTORTIONS = {"affine": AFFINE, "slight": SLIGHT, "world": WORLD}
"""By name."""


def preview(
    images: ArrayLike, distortion: Distortion | str = AFFINE, *, n: int = 10, seed: int = 0
) -> NDArray[np.uint8]:
    """Distort images, to look at them.

    Parameters
    ----------
    images : uint8 array (N, height, width), or (height, width) for one image
        Raw grey, 0 background; or (N, channels, height, width), where all channels of an image are
        distorted alike.
    distortion : Distortion or str
        Or the name of one: "affine", "slight" or "world".
    n : int
        How often each image is distorted.
    seed : int
        0 or more, below 2**64.

    Returns
    -------
    uint8 array (N, n, height, width), or (n, height, width) for one image; or (N, n, channels,
    height, width)

    Raises
    ------
    TypeError, ValueError
        If an argument is not as said.
    MemoryError
        If the images take more memory than `lenet_c.set_memory_limit` allows.
    """
    grey = _grey(images)
    distortion = checks.named("distortion", distortion, DISTORTIONS, Distortion, "a Distortion")
    checks.whole("n", n, 1)
    checks.whole("seed", seed, 0, 2**64 - 1)
    _core.check_memory(
        f"preview of {n} times {grey.shape}", 2 * n * grey.size, "a smaller n takes less; "
    )
    height, width = grey.shape[-2:]
    channels = grey.shape[1] if grey.ndim == 4 else 1
    repeated = np.repeat(grey.reshape(-1, channels, height, width), n, axis=0)
    out = np.empty_like(repeated)
    for c in range(channels):  # each by the same numbers
        channel = np.ascontiguousarray(repeated[:, c])
        distorted = np.empty_like(channel)
        _core.distort(astuple(distortion), seed, 0, channel, distorted)
        out[:, c] = distorted
    if grey.ndim == 4:
        return out.reshape(-1, n, channels, height, width)
    return out.reshape(*grey.shape[:-2], n, height, width)


def transform(
    images: ArrayLike,
    *,
    dx: float = 0.0,
    dy: float = 0.0,
    scale: float = 1.0,
    squeeze: float = 1.0,
    shear: float = 0.0,
    rotation: float = 0.0,
) -> NDArray[np.uint8]:
    """Apply one affine map, the same to all images.

    About the middle of the image: x is multiplied by scale * squeeze and y by scale / squeeze, then
    x grows by shear * y, then all turns by the rotation, then it moves by (dx, dy). x points right,
    y down.

    Parameters
    ----------
    images : uint8 array (N, height, width), or (height, width) for one image
        Raw grey, 0 background; or (N, channels, height, width).
    dx, dy : float
        Pixels.
    scale, squeeze : float
        Above 0.
    shear : float
        Pixels a row.
    rotation : float
        Degrees, clockwise.

    Returns
    -------
    uint8 array, shaped as the images
        Interpolated bilinearly, 0 where nothing came from.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as said.
    """
    grey = _grey(images)
    parameters = {
        "dx": dx, "dy": dy, "scale": scale, "squeeze": squeeze, "shear": shear, "rotation": rotation
    }  # fmt: skip
    values = [checks.rounded(name, value) for name, value in parameters.items()]
    for name, given in parameters.items():
        low = 0.0 if name in ("scale", "squeeze") else -math.inf
        checks.real(name, given, low, closed="neither", in_float32=True)
    out = np.empty_like(grey)
    shape = (-1, *grey.shape[-2:])
    _core.transform(values, grey.reshape(shape), out.reshape(shape))
    return out


def _grey(images: ArrayLike) -> NDArray[np.uint8]:
    array = checks.array("images", images)
    if array.dtype != np.uint8:
        raise TypeError(f"images: dtype {array.dtype}, want uint8 (raw grey, 0 background)")
    if array.ndim not in (2, 3, 4):
        raise ValueError(
            f"images: shape {array.shape}, want (N, height, width), or "
            "(height, width) for one image, or (N, channels, height, width)"
        )
    if array.size == 0 or max(array.shape[-2:]) > MAX_SIDE:
        raise ValueError(
            f"images: shape {array.shape}, want at least one image of 1x1 to {MAX_SIDE}x{MAX_SIDE}"
        )
    if not array.flags.c_contiguous:
        _core.check_memory("images: a copy", array.size, "fewer images at a time take less; ")
    return np.require(array, requirements=["C", "A"])
