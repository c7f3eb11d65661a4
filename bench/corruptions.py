"""The fifteen corruptions of MNIST-C, for measuring: python -m bench.corruptions [MODEL ...].

MNIST-C (Mu and Gilmer, "MNIST-C: A Robustness Benchmark for Computer Vision", 2019) has MNIST's
test images in fifteen corruptions. Their images are not read here: these are the published
definitions at the published severities, in code of our own, with random numbers of our own. The
command prints the error rate of each network on each; mnist and mnist-modern name the weights that
come with the library.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage

from bench.common import load, markdown, mnist, parser
from lenet_c import LeNet5

Grey = np.ndarray  # float64 (N, 28, 28) from 0 to 1
SIDE = 28


def _each(images: Grey, change: Callable[[Grey], Grey]) -> Grey:
    return np.stack([change(image) for image in images])


def _mapped(images: Grey, matrices: np.ndarray) -> Grey:
    """Warp each image about its middle; a matrix says where a pixel's place (y, x) came from."""
    middle = np.full(2, (SIDE - 1) / 2)
    return np.stack(
        [
            ndimage.affine_transform(image, matrix, middle - matrix @ middle, order=1)
            for image, matrix in zip(images, matrices, strict=True)
        ]
    )


def shot_noise(images: Grey, rng: np.random.Generator) -> Grey:
    return rng.poisson(images * 3) / 3


def impulse_noise(images: Grey, rng: np.random.Generator) -> Grey:
    hit, white = rng.random((2, *images.shape))
    return np.where(hit < 0.17, white < 0.5, images)


def glass_blur(images: Grey, rng: np.random.Generator) -> Grey:
    blurred = ndimage.gaussian_filter(images, (0, 0.7, 0.7))
    for _ in range(2):
        for y in range(SIDE - 1, 1, -1):
            for x in range(SIDE - 1, 1, -1):
                swapped = rng.random(len(images)) < 0.5
                dy, dx = rng.integers(-1, 1, (2, len(images)))
                n = np.flatnonzero(swapped)
                to = n, y + dy[n], x + dx[n]
                blurred[n, y, x], blurred[to] = blurred[to], blurred[n, y, x].copy()
    return ndimage.gaussian_filter(blurred, (0, 0.7, 0.7))


def motion_blur(images: Grey, rng: np.random.Generator) -> Grey:
    """Smear along a line: half a Gaussian of deviation 3, at an angle of up to 45 degrees."""
    weights = np.exp(-0.5 * (np.arange(10) / 3) ** 2)
    weights /= weights.sum()

    def smear(image: Grey) -> Grey:
        angle = rng.uniform(-np.pi / 4, np.pi / 4)
        step = np.array([np.sin(angle), np.cos(angle)])
        return sum(w * ndimage.shift(image, k * step, order=1) for k, w in enumerate(weights))

    return _each(images, smear)


def _signs(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.choice((-1.0, 1.0), shape)


def shear(images: Grey, rng: np.random.Generator) -> Grey:
    angle = 0.4 * _signs(rng, len(images))
    matrices = np.tile(np.eye(2), (len(images), 1, 1))
    matrices[:, 0, 0] = np.cos(angle)
    matrices[:, 1, 0] = -np.sin(angle)
    return _mapped(images, matrices)


def scale(images: Grey, rng: np.random.Generator) -> Grey:
    return _mapped(images, np.tile(np.eye(2) / 0.7, (len(images), 1, 1)))


def rotate(images: Grey, rng: np.random.Generator) -> Grey:
    angle = 0.4 * _signs(rng, len(images))
    matrices = np.stack([np.cos(angle), np.sin(angle), -np.sin(angle), np.cos(angle)], axis=-1)
    return _mapped(images, matrices.reshape(-1, 2, 2))


def brightness(images: Grey, rng: np.random.Generator) -> Grey:
    return images + 0.5


def translate(images: Grey, rng: np.random.Generator) -> Grey:
    shifts = 3 * _signs(rng, len(images), 2)
    return np.stack([ndimage.shift(i, s, order=0) for i, s in zip(images, shifts, strict=True)])


def stripe(images: Grey, rng: np.random.Generator) -> Grey:
    inverted = images.copy()
    inverted[:, :, :7] = 1 - images[:, :, :7]
    inverted[:, :, 21:] = 1 - images[:, :, 21:]
    return inverted


def _plasma(rng: np.random.Generator, decay: float, side: int = 256) -> Grey:
    """Draw a fractal by midpoints (diamond-square) from 0 to 1, on a torus."""
    height = np.zeros((side, side))
    step, wibble = side, 100.0
    while step >= 2:
        half = step // 2

        def mean(total: Grey, wibble: float = wibble) -> Grey:
            return total / 4 + wibble * rng.uniform(-wibble, wibble, total.shape)

        corners = height[::step, ::step]
        total = corners + np.roll(corners, -1, 0)
        height[half::step, half::step] = mean(total + np.roll(total, -1, 1))
        squares, corners = height[half::step, half::step], height[::step, ::step]
        left = squares + np.roll(squares, 1, 0) + corners + np.roll(corners, -1, 1)
        height[::step, half::step] = mean(left)
        above = squares + np.roll(squares, 1, 1) + corners + np.roll(corners, -1, 0)
        height[half::step, ::step] = mean(above)
        step, wibble = half, wibble / decay
    height -= height.min()
    return height / height.max()


def fog(images: Grey, rng: np.random.Generator) -> Grey:
    thick, decay = 3.0, 1.4
    plasma = np.stack([_plasma(rng, decay)[:SIDE, :SIDE] for _ in images])
    top = images.max(axis=(1, 2), keepdims=True)
    return (images + thick * plasma) * top / (top + thick)


def spatter(images: Grey, rng: np.random.Generator) -> Grey:
    liquid = ndimage.gaussian_filter(rng.normal(0.65, 0.3, images.shape), (0, 1, 1))
    mud = ndimage.gaussian_filter((liquid > 0.65).astype(float), (0, 1.5, 1.5))
    mud[mud < 0.8] = 0
    return images * (1 - mud) + 63 / 255 * mud


def _line(x0: float, y0: float, x1: float, y1: float) -> Grey:
    """Draw a straight line that fades within 2.3 pixels, from column x0 to x1."""
    if x0 == x1:
        return np.zeros((SIDE, SIDE))
    y, x = np.mgrid[:SIDE, :SIDE]
    distance = np.abs(y - (y1 - y0) / (x1 - x0) * (x - x0) - y0)
    line = np.clip(np.log(1 - np.clip(distance, 0, 2.3 - 1e-10) / 2.3) + 1, 0, 1)
    line[:, : int(np.floor(x0))] = 0
    line[:, int(np.ceil(x1)) :] = 0
    return line


def dotted_line(images: Grey, rng: np.random.Generator) -> Grey:
    def dot(image: Grey) -> Grey:
        line = _line(0, rng.integers(27), 27, rng.integers(27))
        line[:, np.arange(SIDE) % 4 < 2] = 0
        return image + line

    return _each(images, dot)


def zigzag(images: Grey, rng: np.random.Generator) -> Grey:
    def zig(image: Grey) -> Grey:
        y0 = rng.integers(27)
        slope = np.arctan(rng.integers(-5, 5) / 23)
        length = 23 / np.cos(slope)
        along = [0.0, *(2.0 * (2 * i + 1) for i in range(int((length - 2) // 4) + 1)), length]
        across = [0.0, *(2.0 * (-1) ** i for i in range(len(along) - 2)), 0.0]
        x = 2 + np.cos(slope) * np.array(along) - np.sin(slope) * np.array(across)
        y = y0 + np.sin(slope) * np.array(along) + np.cos(slope) * np.array(across)
        for k in range(len(x) - 1):
            image = np.clip(image + _line(x[k], y[k], x[k + 1], y[k + 1]), 0, 1)
        return image

    return _each(images, zig)


def canny_edges(images: Grey, rng: np.random.Generator) -> Grey:
    """Find Canny's edges: deviation 1, thresholds 0.1 and 0.2 of the range."""

    def edges(image: Grey) -> Grey:
        smooth = ndimage.gaussian_filter(image, 1.0, mode="constant")
        dy, dx = ndimage.sobel(smooth, 0), ndimage.sobel(smooth, 1)
        size = np.hypot(dy, dx)
        unit = np.maximum(size, 1e-9)
        y, x = np.mgrid[:SIDE, :SIDE]
        beside = [
            ndimage.map_coordinates(size, [y + s * dy / unit, x + s * dx / unit], order=1)
            for s in (-1, 1)
        ]
        thin = (size >= beside[0]) & (size >= beside[1])
        pieces, n = ndimage.label(thin & (size > 0.1), np.ones((3, 3)))
        strong = ndimage.maximum(size, pieces, np.arange(n + 1)) > 0.2
        strong[0] = False
        return strong[pieces].astype(float)

    return _each(images, edges)


FAMILIES: dict[str, Callable[[Grey, np.random.Generator], Grey]] = {
    f.__name__: f
    for f in (
        shot_noise, impulse_noise, glass_blur, motion_blur, shear, scale, rotate, brightness,
        translate, stripe, fog, spatter, dotted_line, zigzag, canny_edges,
    )
}  # fmt: skip
NEVER_TRAINED_ON = ("glass_blur", "motion_blur", "stripe", "fog", "spatter", "canny_edges")


def corrupted(name: str, images: np.ndarray, seed: int = 0) -> np.ndarray:
    """Give uint8 images in one of the corruptions."""
    changed = FAMILIES[name](images / 255, np.random.default_rng(seed))
    return np.rint(255 * np.clip(changed, 0, 1)).astype(np.uint8)


def main() -> None:
    """Print the table."""
    command = parser("corruptions", __doc__)
    command.add_argument("models", nargs="*", default=["mnist", "mnist-modern"])
    arguments = command.parse_args()
    networks = [
        LeNet5.pretrained(name) if name in ("mnist", "mnist-modern") else load(name)
        for name in arguments.models
    ]
    images, labels = mnist()[1]
    rows, rates = [], []
    for name in FAMILIES:
        changed = corrupted(name, images)
        rates.append([(network.predict(changed) != labels).mean() for network in networks])
        kind = "never trained on" if name in NEVER_TRAINED_ON else ""
        rows.append([name, kind, *(f"{rate:.2%}" for rate in rates[-1])])
    unseen = [name in NEVER_TRAINED_ON for name in FAMILIES]
    for what, chosen in (("mean of all", slice(None)), ("mean of those never trained on", unseen)):
        rows.append([what, "", *(f"{rate:.2%}" for rate in np.mean(np.array(rates)[chosen], 0))])
    print(markdown(["corruption", "", *arguments.models], rows))


if __name__ == "__main__":
    main()
