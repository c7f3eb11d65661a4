"""What calibration makes of probabilities, and of pictures that show no digit, on MNIST.

python -m bench.confidence trains by the recipes of `lenet-c train` on the first 50,000 training
images, calibrates with the other 10,000, and prints what becomes of the test images, and how many
pictures of no digit are not doubtful: by the penalty alone and by the margin alone, each at the
threshold that rejects 1% of those 10,000, and as `calibrate` sets both of its own. So it does of
the weights that come with the library, as they are stored. The calibration error is the expected
one of Guo et al. (2017), in 15 bins. The pictures are
uniform noise; specks, of which each pixel is one with a chance of 1%; blobs, which are noise behind
a Gaussian filter and above a threshold, over the whole image, and as `preprocess.character` brings
them into MNIST's form; letters that are no digits, printed in matplotlib's fonts; and, not to be
doubted, digits so printed.
"""

from __future__ import annotations

import warnings

import numpy as np

from bench.common import Images, by_recipe, hold_out, markdown, mnist, need, parser
from bench.printed import fonts, printed
from lenet_c import LENET5_1998, LENET5_MODERN, InputWarning, LeNet5, Rejection, preprocess
from lenet_c.recipes import RECIPES

LETTERS = "AEFHKMNPRTUVWXY"
FOUR = ("DejaVuSans", "DejaVuSerif", "STIXGeneral", "cmtt10")
EACH = 1000
SHARE = 0.01


def blobs(rng: np.random.Generator, n: int) -> np.ndarray:
    """Draw blobs of several sizes that cover a tenth to a half of the image."""
    from scipy.ndimage import gaussian_filter

    images = np.empty((n, 28, 28), np.uint8)
    for image in images:
        smooth = gaussian_filter(rng.standard_normal((28, 28)), rng.uniform(1.0, 4.0))
        image[...] = 255 * (smooth > np.quantile(smooth, rng.uniform(0.5, 0.9)))
    return images


def no_digits() -> dict[str, np.ndarray]:
    """Draw the pictures, by what they are called."""
    rng = np.random.default_rng(0)
    files = fonts()
    margin = ((0, 0), (40, 40), (40, 40))
    spots = np.pad(blobs(rng, EACH).repeat(3, axis=1).repeat(3, axis=2), margin)
    found = preprocess.characters(255 - spots)
    return {
        "noise": rng.integers(0, 256, (EACH, 28, 28), np.uint8),
        "blobs": blobs(rng, EACH),
        "blobs in MNIST's form": found.images[~found.refused],
        "specks": 255 * (rng.random((EACH, 28, 28)) < 0.01).astype(np.uint8),
        "blank, and all ink": np.stack([np.full((28, 28), grey, np.uint8) for grey in (0, 255)]),
        "letters, four fonts": printed(LETTERS, [f for f in files if f.stem in FOUR])[0],
        f"letters, {len(files)} fonts": printed(LETTERS, files)[0],
        f"digits, {len(files)} fonts": printed("0123456789", files)[0],
    }


def log_loss(net: LeNet5, images: np.ndarray, labels: np.ndarray) -> float:
    """Give the mean of -log of the right class's probability."""
    shares = net.predict_proba(images)[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(shares, np.finfo(np.float32).tiny)).mean())


def calibration_error(net: LeNet5, images: np.ndarray, labels: np.ndarray, bins: int = 15) -> float:
    """Give the mean distance between probability and accuracy, in bins of probability."""
    shares = net.predict_proba(images)
    off = shares.max(axis=1) - (shares.argmax(axis=1) == labels)
    inside = np.minimum((shares.max(axis=1) * bins).astype(int), bins - 1)
    return float(np.abs(np.bincount(inside, off, bins)).sum() / len(labels))


def probabilities(net: LeNet5, test: Images) -> str:
    """Describe how good they are, and how many are nearly 1."""
    sure = (net.predict_proba(test[0]).max(axis=1) > 0.9999).mean()
    return f"{log_loss(net, *test):.4f}, {calibration_error(net, *test):.2%}, {sure:.1%}"


def row(name: str, net: LeNet5, test: Images) -> list[str]:
    """Describe a calibrated network's answers to the test images."""
    temperature = net.temperature
    net.temperature = 1
    before = probabilities(net, test)
    net.temperature = temperature
    reading = net.read(test[0])
    wrong = reading.classes != test[1]
    return [
        name,
        before,
        probabilities(net, test),
        f"{temperature:.3g}",
        f"{reading.rejected.mean():.2%}",
        f"{wrong.mean():.2%}",
        f"{wrong[~reading.rejected].mean():.2%}",
    ]


def main() -> None:
    """Print both tables."""
    parser("confidence", __doc__).parse_args()
    need("matplotlib", "scipy", "PIL")
    everything, test = mnist()
    train, others = hold_out(everything)
    shown = {"test digits": test[0], **no_digits()}
    rows: list[list[str]] = []
    left: dict[str, list[str]] = {name: [] for name in shown}

    def add(net: LeNet5, rule: Rejection | None) -> None:
        for name, images in shown.items():
            left[name].append(f"{1 - net.read(images, reject=rule).rejected.mean():.1%}")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)  # what is no digit looks like none
        for architecture in (LENET5_1998, LENET5_MODERN):
            net = by_recipe(RECIPES[architecture.name], train)
            net.calibrate(*others, reject=SHARE)
            rows.append(row(f"`lenet-c train`, {architecture.name}", net, test))
            for by in ("penalty", "margin"):
                add(net, net.rejection_curve(*others, by).rejecting(SHARE).rejection)
            add(net, None)
        for name in ("mnist", "mnist-modern"):
            net = LeNet5.pretrained(name)
            rows.append(row(f'`pretrained("{name}")`', net, test))
            add(net, None)
    header = ["", "log loss, calibration error, above 0.9999", "calibrated", "temperature"]
    print(markdown([*header, "doubtful", "error", "of what is left"], rows), end="\n\n")
    names = ["1998: penalty", "margin", "calibrated", "modern: penalty", "margin", "calibrated"]
    names += ["`mnist`", "`mnist-modern`"]
    print(markdown(["not doubtful", *names], [[k, *cells] for k, cells in left.items()]))


if __name__ == "__main__":
    main()
