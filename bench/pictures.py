"""How well a network reads pictures that do not look like MNIST.

python -m bench.pictures [MODEL] [--images N] makes pictures of MNIST's last test images (the first
ones were looked at while `preprocess.character` was written): enlarged, dark on light, off-centre,
on noisy, specked or unevenly lit paper. `character` brings each into MNIST's form again, and the
model that `lenet-c train` saved reads it.
"""

from __future__ import annotations

import numpy as np

from bench.common import load, mnist, parser
from lenet_c import preprocess

ENLARGED = 7

PAPERS: dict[str, dict[str, float]] = {
    "plain": {},
    "noise of 3%": {"noise": 0.03},
    "noise of 8%": {"noise": 0.08},
    "noise of 15%": {"noise": 0.15},
    "light that varies by 20%": {"noise": 0.02, "light": 0.2},
    "light that varies by 40%": {"noise": 0.02, "light": 0.4},
    "five specks": {"noise": 0.02, "specks": 5},
    "pencil": {"noise": 0.03, "pen": 0.6},
}


def picture(
    image: np.ndarray,
    rng: np.random.Generator,
    *,
    noise: float = 0.0,
    light: float = 0.0,
    specks: float = 0,
    pen: float = 0.15,
) -> np.ndarray:
    """Draw an image on paper: 7 times as large, somewhere on a larger sheet, dark on light."""
    side = ENLARGED * 28
    ink = preprocess.resize(image / 255, side, side)
    above, below, left, right = rng.integers(0, 120, 4)
    ink = np.pad(ink, ((above, below), (left, right)))
    height, width = ink.shape
    for y, x in rng.random((int(specks), 2)) * (height - 3, width - 3):
        ink[int(y) : int(y) + 3, int(x) : int(x) + 3] = 1
    down, along = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    angle = rng.uniform(0, 2 * np.pi)
    lit = 1 + light * (np.cos(angle) * along + np.sin(angle) * down)
    grey = lit * (0.65 * (1 - ink) + 0.65 * pen * ink) + rng.normal(0, noise, ink.shape)
    return np.rint(255 * np.clip(grey, 0, 1)).astype(np.uint8)


def main() -> None:
    """Print the table."""
    command = parser("pictures", __doc__)
    command.add_argument("model", nargs="?", default="model.npz")
    command.add_argument("--images", type=int, default=500)
    arguments = command.parse_args()
    net = load(arguments.model)
    images, labels = (part[-arguments.images :] for part in mnist()[1])
    print(f"| {len(images)} test images | error rate | refused |\n| --- | --- | --- |")
    print(f"| as MNIST has them | {(net.predict(images) != labels).mean():.2%} | 0 |", flush=True)
    for name, settings in PAPERS.items():
        rng = np.random.default_rng(0)
        errors = refused = 0
        for image, label in zip(images, labels, strict=True):
            try:
                character = preprocess.character(picture(image, rng, **settings))
            except ValueError:
                refused += 1
            else:
                errors += int(net.predict(character)[0] != label)
        # who is refused is not read right either
        print(f"| {name} | {(errors + refused) / len(images):.2%} | {refused} |", flush=True)


if __name__ == "__main__":
    main()
