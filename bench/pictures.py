"""How well a network reads pictures that do not look like MNIST.

python -m bench.pictures [MODEL] [--images N] draws pictures of MNIST's test images, larger,
on paper that has other marks, too: rules, frames, shadows, a neighbour's piece and more, each of a
strength and at a place drawn at random, dark on light and light on dark in turn.
`preprocess.character` brings each into MNIST's form again, and the model reads it. Who is refused
is not read right. --training takes training images instead, for work on `character`: the test
images are for the table alone. --cheques FOLDER cuts digits by their true boxes out of a folder
with a boxes.json: file to [digit, x, y, width, height] of each.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from bench.common import load, mnist, need, parser
from lenet_c import LeNet5, preprocess

ENLARGED = 5
SHEET = 200  # pixels: what the enlarged 140 lie on

Grey = np.ndarray  # float, 0 where paper is, 1 where ink is full
Condition = Callable[[Grey, np.random.Generator], Grey]

CONDITIONS: dict[str, Condition] = {}


def condition(name: str) -> Callable[[Condition], Condition]:
    """Enter a function that draws a picture of a digit under this name."""

    def enter(function: Condition) -> Condition:
        CONDITIONS[name] = function
        return function

    return enter


def enlarge(image: Grey, factor: float = ENLARGED) -> Grey:
    """Draw an image of MNIST as ink from 0 to 1, so many times as large."""
    side = round(28 * factor)
    return preprocess.resize(image / 255, side, side)


def cropped(ink: Grey, margin: int = 0) -> Grey:
    """Cut to the box of what is at least a third dark, with so many pixels around it."""
    rows, columns = (np.flatnonzero((ink > 0.3).any(axis=axis)) for axis in (1, 0))
    ink = np.pad(ink, margin)
    return ink[rows[0] : rows[-1] + 2 * margin + 1, columns[0] : columns[-1] + 2 * margin + 1]


def sheet(image: Grey, rng: np.random.Generator, side: int = SHEET) -> Grey:
    """Put an enlarged image near the middle of a sheet."""
    ink = enlarge(image)
    out = np.zeros((side, side))
    y, x = (side - len(ink)) // 2 + rng.integers(-20, 21, 2)
    out[y : y + len(ink), x : x + len(ink)] = ink
    return out


def over(under: Grey, mark: Grey) -> Grey:
    """Lay a mark on what is there."""
    return np.maximum(under, mark)


def line(shape: tuple[int, ...], at: float, width: float, angle: float = 0.0) -> Grey:
    """Draw a horizontal line across, turned by so many degrees about its middle."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    middle = at + np.tan(np.radians(angle)) * (x - shape[1] / 2)
    return np.clip(width / 2 + 0.5 - np.abs(y - middle), 0, 1)


def rules(shape: tuple[int, ...], rng: np.random.Generator, angle: float) -> Grey:
    """Draw parallel lines of one distance."""
    distance, width = rng.uniform(24, 70), rng.uniform(1, 2.5)
    out = np.zeros(shape)
    for at in np.arange(rng.uniform(-distance, 0), shape[0] + distance, distance):
        out = over(out, line(shape, at, width, angle))
    return out


@condition("plain")
def plain(image: Grey, rng: np.random.Generator) -> Grey:
    return sheet(image, rng)


@condition("faint rules")
def faint_rules(image: Grey, rng: np.random.Generator) -> Grey:
    ink = sheet(image, rng)
    return over(ink, rng.uniform(0.08, 0.5) * rules(ink.shape, rng, rng.uniform(-2, 2)))


@condition("dark rules")
def dark_rules(image: Grey, rng: np.random.Generator) -> Grey:
    ink = sheet(image, rng)
    return over(ink, rng.uniform(0.5, 1) * rules(ink.shape, rng, rng.uniform(-2, 2)))


@condition("squared paper")
def squares(image: Grey, rng: np.random.Generator) -> Grey:
    ink = sheet(image, rng)
    distance, width, angle = rng.uniform(16, 50), rng.uniform(1, 2), rng.uniform(-1, 1)
    marks = np.zeros(ink.shape)
    for at in np.arange(rng.uniform(-distance, 0), SHEET + distance, distance):
        marks = over(marks, line(ink.shape, at, width, angle))
        marks = over(marks, line(ink.shape, at + 3, width, -angle).T)
    return over(ink, rng.uniform(0.08, 0.5) * marks)


@condition("crease")
def crease(image: Grey, rng: np.random.Generator) -> Grey:
    ink = sheet(image, rng)
    mark = line(ink.shape, rng.uniform(30, 170), rng.uniform(1, 3), rng.uniform(-6, 6))
    if rng.random() < 0.5:
        mark = mark.T
    strength = rng.uniform(0.08, 0.6)
    return ink + mark * strength * (1 - ink) * rng.choice([-0.3, 1, 1])


@condition("line along one edge")
def edge_line(image: Grey, rng: np.random.Generator) -> Grey:
    ink = sheet(image, rng)
    mark = line(ink.shape, rng.uniform(0, 8), rng.uniform(1, 5), rng.uniform(-1, 1))
    return over(ink, rng.uniform(0.3, 1.1) * np.rot90(mark, rng.integers(4)))


@condition("scanner's strip")
def strip(image: Grey, rng: np.random.Generator) -> Grey:
    ink = sheet(image, rng)
    for turn in rng.permutation(4)[: rng.integers(1, 3)]:
        y = np.arange(SHEET)[:, None] + np.tan(np.radians(rng.uniform(-2, 2))) * np.arange(SHEET)
        mark = np.clip(rng.uniform(2, 18) - y, 0, 1)
        ink = over(ink, rng.uniform(0.8, 1.15) * np.rot90(mark, turn))
    return ink


@condition("neighbour's piece")
def neighbour(image: Grey, rng: np.random.Generator) -> Grey:
    ink = enlarge(image)
    other = cropped(enlarge(NEIGHBOURS[rng.integers(len(NEIGHBOURS))]))
    own = np.flatnonzero((ink > 0.3).any(axis=0))
    gap = rng.integers(8, 50)
    shown = rng.integers(3, max(4, min(45, other.shape[1] * 2 // 3)))
    right = rng.random() < 0.5
    if not right:
        ink = ink[:, ::-1]
        own = ink.shape[1] - 1 - own[::-1]
        other = other[:, ::-1]
    out = np.zeros((len(ink) + 30, 30 + own[-1] + gap + shown))
    top = rng.integers(0, 30)
    out[top : top + len(ink), 20 : 20 + own[-1] + 1] = ink[:, : own[-1] + 1]
    y = rng.integers(0, max(1, len(out) - len(other)))
    piece = other[: len(out) - y, :shown]
    out[y : y + len(piece), out.shape[1] - piece.shape[1] :] = piece
    return out if right else out[:, ::-1]


@condition("table in the corners")
def corners(image: Grey, rng: np.random.Generator) -> Grey:
    ink = sheet(image, rng, 220)
    y, x = np.mgrid[: len(ink), : len(ink)]
    for turn in rng.permutation(4)[: rng.integers(1, 3)]:
        mark = np.clip(rng.uniform(15, 75) - y - x * rng.uniform(0.4, 2), 0, 1)
        ink = over(ink, rng.uniform(0.3, 1) * np.rot90(mark, turn))
    return ink


@condition("stain")
def stain(image: Grey, rng: np.random.Generator) -> Grey:
    ink = sheet(image, rng)
    y, x = np.mgrid[:SHEET, :SHEET]
    for _ in range(rng.integers(1, 3)):
        at, size = rng.uniform(20, 180, 2), rng.uniform(12, 50)
        distance = np.hypot(y - at[0], (x - at[1]) * rng.uniform(0.6, 1.5))
        edge = rng.uniform(2, 20)
        mark = np.clip((size - distance) / edge + 0.5, 0, 1)
        ink = ink + (1 - ink) * mark * rng.uniform(0.08, 0.35)
    return ink


@condition("security print")
def security(image: Grey, rng: np.random.Generator) -> Grey:
    ink = sheet(image, rng)
    y, x = np.mgrid[:SHEET, :SHEET]
    marks = np.zeros(ink.shape)
    for _ in range(2):
        angle, period = rng.uniform(0, np.pi), rng.uniform(4, 14)
        along = np.cos(angle) * x + np.sin(angle) * y
        bend = rng.uniform(0, 6) * np.sin((np.cos(angle) * y - np.sin(angle) * x) / 15)
        marks = over(marks, np.clip(np.cos(2 * np.pi * (along + bend) / period) * 2 - 0.5, 0, 1))
    return over(ink, rng.uniform(0.08, 0.35) * marks)


@condition("cell borders")
def cell(image: Grey, rng: np.random.Generator) -> Grey:
    ink = sheet(image, rng)
    strength, width = rng.uniform(0.4, 1), rng.uniform(1, 4)
    angle = rng.uniform(-1, 1)
    for turn in rng.permutation(4)[: rng.integers(2, 5)]:
        mark = line(ink.shape, rng.uniform(2, 18), width, angle)
        ink = over(ink, strength * np.rot90(mark, turn))
    return ink


@condition("frame inside")
def frame_inside(image: Grey, rng: np.random.Generator) -> Grey:
    return framed(image, rng, rng.integers(4, 22, 4))


@condition("frame on the edge")
def frame_on_edge(image: Grey, rng: np.random.Generator) -> Grey:
    return framed(image, rng, rng.integers(0, 2) * rng.integers(0, 4, 4))


def framed(image: Grey, rng: np.random.Generator, inset: np.ndarray) -> Grey:
    """Draw a frame around a digit, in a quarter of the pictures open at one side."""
    ink = sheet(image, rng)
    top, bottom, left, right = inset
    width = rng.integers(1, 6)
    mark = np.zeros(ink.shape)
    sides = [
        (slice(top, top + width), slice(left, SHEET - right)),
        (slice(SHEET - bottom - width, SHEET - bottom), slice(left, SHEET - right)),
        (slice(top, SHEET - bottom), slice(left, left + width)),
        (slice(top, SHEET - bottom), slice(SHEET - right - width, SHEET - right)),
    ]
    for side in rng.permutation(4)[rng.random() < 0.25 :]:
        mark[sides[side]] = 1
    return over(ink, rng.uniform(0.4, 1) * mark)


@condition("hard shadow")
def shadow(image: Grey, rng: np.random.Generator) -> Grey:
    ink = sheet(image, rng)
    y, x = np.mgrid[:SHEET, :SHEET] - SHEET / 2
    angle = rng.uniform(0, 2 * np.pi)
    across = np.cos(angle) * x + np.sin(angle) * y + rng.uniform(-30, 30)
    light = 1 - rng.uniform(0.2, 0.55) * np.clip(across / rng.uniform(1, 6) + 0.5, 0, 1)
    return 1 - (1 - 0.88 * ink) * light


@condition("underline")
def underline(image: Grey, rng: np.random.Generator) -> Grey:
    ink = sheet(image, rng)
    bottom = np.flatnonzero((ink > 0.3).any(axis=1))[-1]
    at, width = bottom + rng.uniform(-3, 30), rng.uniform(1.5, 6)
    mark = line(ink.shape, min(at, SHEET - 6), width, rng.uniform(-3, 3))
    mark[:, : rng.integers(0, 40)] = 0
    mark[:, SHEET - rng.integers(0, 40) :] = 0
    return over(ink, rng.uniform(0.5, 1) * mark)


@condition("no margin")
def tight(image: Grey, rng: np.random.Generator) -> Grey:
    return cropped(enlarge(image, rng.choice([0.8, 1, 2, 5])))


@condition("margin of 2 pixels")
def margin(image: Grey, rng: np.random.Generator) -> Grey:
    return cropped(enlarge(image, rng.choice([0.8, 1, 2, 5])), 2)


@condition("8x8")
def eight(image: Grey, rng: np.random.Generator) -> Grey:
    ink = cropped(enlarge(image, 5))
    scale = 8 / max(ink.shape)
    height, width = (max(1, round(side * scale)) for side in ink.shape)
    out = np.zeros((8, 8))
    y, x = (8 - height) // 2, (8 - width) // 2
    out[y : y + height, x : x + width] = preprocess.resize(ink, height, width)
    return out


@condition("noise of 3%")
def noise_3(image: Grey, rng: np.random.Generator) -> Grey:
    return noisy(image, rng, 0.03)


@condition("noise of 8%")
def noise_8(image: Grey, rng: np.random.Generator) -> Grey:
    return noisy(image, rng, 0.08)


@condition("noise of 15%")
def noise_15(image: Grey, rng: np.random.Generator) -> Grey:
    return noisy(image, rng, 0.15)


def noisy(image: Grey, rng: np.random.Generator, noise: float) -> Grey:
    """Draw a digit of medium contrast on paper whose grey is that uneven."""
    ink = sheet(image, rng)
    return 0.3 + 0.55 * ink + rng.normal(0, noise, ink.shape)


@condition("pencil")
def pencil(image: Grey, rng: np.random.Generator) -> Grey:
    ink = sheet(image, rng)
    return 0.35 + 0.26 * ink + rng.normal(0, 0.03, ink.shape)


@condition("soft light")
def soft_light(image: Grey, rng: np.random.Generator) -> Grey:
    ink = sheet(image, rng)
    down, along = np.mgrid[-1 : 1 : SHEET * 1j, -1 : 1 : SHEET * 1j]
    angle = rng.uniform(0, 2 * np.pi)
    light = 1 + rng.uniform(0.1, 0.4) * (np.cos(angle) * along + np.sin(angle) * down)
    return 1 - light * (0.65 - 0.55 * ink) + rng.normal(0, 0.02, ink.shape)


@condition("specks")
def specks(image: Grey, rng: np.random.Generator) -> Grey:
    ink = sheet(image, rng)
    for y, x in rng.integers(0, SHEET - 3, (5, 2)):
        ink[y : y + 3, x : x + 3] = 1
    return ink


@condition("JPEG of quality 30")
def jpeg(image: Grey, rng: np.random.Generator) -> Grey:
    from PIL import Image

    file = io.BytesIO()
    grey = np.rint(255 * (0.1 + 0.75 * sheet(image, rng))).astype(np.uint8)
    Image.fromarray(grey).save(file, "JPEG", quality=30)
    return np.asarray(Image.open(file)) / 255


@condition("colours of equal brightness")
def colours(image: Grey, rng: np.random.Generator) -> Grey:
    ink = sheet(image, rng)[:, :, None]
    weights = np.array([0.299, 0.587, 0.114])
    while True:
        one, other = rng.uniform(0.1, 0.9, (2, 3))
        other += (one - other) @ weights
        if np.linalg.norm(one - other) > 0.4 and other.min() > 0 and other.max() < 1:
            return one + (other - one) * ink


NEIGHBOURS = np.zeros((1, 28, 28), np.uint8)


def pictures(
    name: str, images: np.ndarray, seed: int = 0, inverted: bool | None = None
) -> Iterator[np.ndarray]:
    """Draw each image as uint8, dark on light and light on dark in turn unless told which."""
    global NEIGHBOURS
    NEIGHBOURS = images
    rng = np.random.default_rng([seed, list(CONDITIONS).index(name)])
    for k, image in enumerate(images):
        grey = CONDITIONS[name](image, rng)
        paper, contrast = rng.uniform(0.85, 1), rng.uniform(0.6, 0.85)
        if grey.ndim == 3 or name.startswith(("noise", "pencil", "soft", "JPEG")):
            paper, contrast = 1.0, 1.0
        light = np.clip(paper - contrast * grey + rng.normal(0, 0.004, grey.shape), 0, 1)
        if (k % 2 == 1) if inverted is None else inverted:
            light = 1 - light
        yield np.rint(255 * light).astype(np.uint8)


def read(net: LeNet5, drawn: Iterator[np.ndarray], labels: np.ndarray) -> tuple[int, int]:
    """Count what is read wrong, refused included, and what is refused."""
    wrong = refused = 0
    for picture, label in zip(drawn, labels, strict=True):
        try:
            image = preprocess.character(picture)
        except ValueError:
            refused += 1
            wrong += 1
            continue
        wrong += int(net.predict(image)[0] != label)
    return wrong, refused


def milliseconds(images: np.ndarray, name: str, shape: tuple[int, int]) -> float:
    """Measure `character` on pictures of a size: the median over pictures of each one's best."""
    best = []
    for drawn in pictures(name, images):
        height, width = shape
        rows = np.arange(height) * drawn.shape[0] // height
        columns = np.arange(width) * drawn.shape[1] // width
        picture = drawn[rows[:, None], columns]
        spent = []
        for _ in range(10):
            start = time.perf_counter()
            preprocess.character(picture)
            spent.append(time.perf_counter() - start)
        best.append(min(spent))
    return 1000 * float(np.median(best))


def cheques(folder: Path, first: int, last: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Cut the digits of some of a folder's pictures out by their boxes."""
    boxes = json.loads((folder / "boxes.json").read_text())
    cut, labels = [], []
    for name in sorted(boxes)[first:last]:
        picture = preprocess.load_image(folder / "images" / name)
        for digit, x, y, width, height in boxes[name]:
            cut.append(picture[max(0, y) : y + height, max(0, x) : x + width])
            labels.append(digit)
    return cut, np.array(labels)


def main() -> None:
    """Print the table."""
    command = parser("pictures", __doc__)
    command.add_argument("model", nargs="?", help="a saved network; default: the shipped one")
    command.add_argument("--images", type=int, default=500)
    command.add_argument("--training", action="store_true", help="of the training images, instead")
    command.add_argument("--only", nargs="+", choices=list(CONDITIONS), metavar="NAME")
    command.add_argument("--cheques", type=Path, metavar="FOLDER")
    arguments = command.parse_args()
    need("scipy", "PIL")
    net = load(arguments.model) if arguments.model else LeNet5.pretrained("mnist")
    data = mnist()[0 if arguments.training else 1]
    # as many, from all over the file: its halves differ in difficulty
    chosen = np.linspace(0, len(data[1]) - 1, arguments.images).astype(int)
    images, labels = (part[chosen] for part in data)
    print("| pictures | wrong | refused |\n| --- | ---: | ---: |")
    given = (net.predict(images) != labels).mean()
    print(f"| as MNIST has them | {given:.1%} | 0 |", flush=True)
    for name in arguments.only or CONDITIONS:
        wrong, refused = read(net, pictures(name, images), labels)
        print(f"| {name} | {wrong / len(labels):.1%} | {refused} |", flush=True)
    if arguments.cheques:
        cut, digits = cheques(arguments.cheques, 0, 1 << 30)
        wrong, refused = read(net, iter(cut), digits)
        print(f"| {len(cut)} digits of cheques | {wrong / len(cut):.1%} | {refused} |")
    print("\n| picture | plain | dark rules | hard shadow |\n| --- | ---: | ---: | ---: |")
    for shape in ((8, 8), (28, 28), (225, 300), (900, 1200), (4000, 6000)):
        cells = []
        for name in ("plain", "dark rules", "hard shadow"):
            # of a few pixels only plain ones show a character
            timed = shape[0] > 28 or name == "plain"
            cells.append(f"{milliseconds(images[:11], name, shape):.1f} ms" if timed else "")
        print(f"| {shape[1]}x{shape[0]} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
