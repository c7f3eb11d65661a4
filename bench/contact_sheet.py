"""Draws the README's picture: pictures as given, what the network sees of each, and what it reads.

python -m bench.contact_sheet [FILE] draws characters by its own strokes, a pen's along splines with
a shaking hand, on paper with other marks; nothing of it is anybody's data. The shipped network
reads what `preprocess.character` makes of each. FILE is docs/contact-sheet.png by default.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench import pictures
from bench.common import ROOT, need, parser
from lenet_c import LeNet5, plot, preprocess

SHEET = ROOT / "docs" / "contact-sheet.png"
SIDE = 160  # pixels of a picture
COLUMNS = 6

Picture = np.ndarray  # float, (SIDE, SIDE) of ink from 0 to 1, or (SIDE, SIDE, 3) of colours

# strokes that a pen makes: x,y in percent of a square's side, from its top left corner
STROKES = {
    "0": "55,12 30,30 27,62 46,88 70,66 70,30 50,12",
    "2": "28,30 42,13 66,20 62,45 42,68 25,85 50,82 76,84",
    "3": "28,20 50,12 68,26 46,47 70,62 58,86 28,82",
    "4": "36,12 28,36 27,52 50,52 76,50 / 66,20 62,55 58,90",
    "5": "72,14 36,16 / 36,16 32,44 56,42 70,62 54,86 26,82",
    "6": "62,10 40,36 30,66 46,88 68,74 58,54 34,64",
    "7": "24,20 50,17 74,18 / 74,18 56,50 44,90",
    "8": "66,22 46,12 34,28 52,48 68,70 50,88 33,70 50,48 66,22",
    "9": "66,26 46,14 32,34 46,50 66,28 / 67,26 64,55 56,90",
    "W": "14,20 24,55 34,84 / 34,84 44,60 50,40 / 50,40 58,60 66,84 / 66,84 76,55 86,18",
}


def spline(points: np.ndarray, per_piece: int = 40) -> np.ndarray:
    """Give points along the Catmull-Rom spline through some points."""
    if len(points) == 2:
        return points[0] + np.linspace(0, 1, 2 * per_piece)[:, None] * (points[1] - points[0])
    padded = np.concatenate([points[:1], points, points[-1:]])
    t = np.linspace(0, 1, per_piece, endpoint=False)[:, None]
    pieces = []
    for a, b, c, d in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        pieces.append(
            b
            + 0.5 * t * (c - a)
            + t**2 * (a - 2.5 * b + 2 * c - 0.5 * d)
            + t**3 * (1.5 * (b - c) + 0.5 * (d - a))
        )
    return np.concatenate([*pieces, points[-1:]])


def write(
    text: str, rng: np.random.Generator, height: float = 0.75, at: tuple[float, float] = (0.5, 0.5)
) -> Picture:
    """Write a character with a pen, so high and its middle there, in shares of the side."""
    y, x = np.mgrid[:SIDE, :SIDE]
    ink = np.zeros((SIDE, SIDE))
    angle = rng.normal(0, 0.05)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    for stroke in STROKES[text].split("/"):
        points = np.array([point.split(",") for point in stroke.split()], float) / 100
        shaken = points - 0.5 + rng.normal(0, 0.008, points.shape)
        path = spline(shaken) @ turn * height / 0.78 + at
        # faster is thinner, and the hand is not still
        width = (
            SIDE
            * height
            * (0.05 + 0.006 * np.sin(np.linspace(0, 5, len(path)) + rng.uniform(0, 6)))
        )
        for (px, py), radius in zip(path * SIDE, width, strict=True):
            ink = np.maximum(ink, np.clip(radius + 0.5 - np.hypot(x - px, y - py), 0, 1))
    return ink


def on_paper(ink: Picture, paper: float = 0.95, pen: float = 0.15) -> Picture:
    return paper - (paper - pen) * np.clip(ink, 0, 1)


def ruled(rng: np.random.Generator) -> Picture:
    ink = write("7", rng)
    ink[12::32] = np.maximum(ink[12::32], 0.45)
    ink[13::32] = np.maximum(ink[13::32], 0.45)
    return on_paper(ink)


def squared(rng: np.random.Generator) -> Picture:
    ink, marks = write("4", rng), np.zeros((SIDE, SIDE))
    marks[9::20] = marks[:, 6::20] = 0.35
    return on_paper(np.maximum(ink, marks))


def framed(rng: np.random.Generator) -> Picture:
    ink, box = write("5", rng, 0.6), np.zeros((SIDE, SIDE))
    box[8:-8, 8:-8] = 1
    box[12:-12, 12:-12] = 0
    return on_paper(np.maximum(ink, box))


def shadowed(rng: np.random.Generator) -> Picture:
    y, x = np.mgrid[:SIDE, :SIDE]
    return on_paper(write("2", rng)) * np.where(x + 0.6 * y > 0.85 * SIDE, 0.58, 1.0)


def tight(rng: np.random.Generator) -> Picture:
    return on_paper(pictures.cropped(write("6", rng)))


def chalk(rng: np.random.Generator) -> Picture:
    return 1 - on_paper(write("3", rng), 0.88, 0.1) + rng.normal(0, 0.03, (SIDE, SIDE))


def coloured(rng: np.random.Generator) -> Picture:
    ink = write("8", rng)[:, :, None]
    return ink * (0.75, 0.2, 0.3) + (1 - ink) * (0.98, 0.93, 0.72)


def noisy(rng: np.random.Generator) -> Picture:
    return on_paper(write("9", rng), 0.7, 0.2) + rng.normal(0, 0.09, (SIDE, SIDE))


def underlined(rng: np.random.Generator) -> Picture:
    ink = write("0", rng, 0.55, (0.5, 0.42))
    ink[132:137, 20:140] = 0.9
    return on_paper(ink)


def letter(rng: np.random.Generator) -> Picture:
    return on_paper(write("W", rng))


def two(rng: np.random.Generator) -> Picture:
    return on_paper(
        np.maximum(write("2", rng, 0.5, (0.28, 0.5)), write("8", rng, 0.5, (0.72, 0.5)))
    )


def empty(rng: np.random.Generator) -> Picture:
    return on_paper(np.zeros((SIDE, SIDE))) + rng.normal(0, 0.01, (SIDE, SIDE))


PICTURES: dict[str, Callable[[np.random.Generator], Picture]] = {
    "ruled paper": ruled,
    "squared paper": squared,
    "in a frame": framed,
    "half in shadow": shadowed,
    "no margin": tight,
    "on a blackboard": chalk,
    "coloured pen": coloured,
    "a grainy photo": noisy,
    "underlined": underlined,
    "a letter": letter,
    "two characters": two,
    "an empty sheet": empty,
}


class Shown(NamedTuple):
    """One picture's place on the sheet.

    Attributes
    ----------
    name : str
    picture : ndarray of uint8
    seen : ndarray of uint8, (28, 28), or None where it is refused
    text : str
    """

    name: str
    picture: np.ndarray
    seen: np.ndarray | None
    text: str


def reading(net: LeNet5, seen: np.ndarray) -> str:
    """Say what a network reads, and how sure it is."""
    found = net.read(seen)
    return "doubtful" if found.rejected[0] else f"{found.labels[0]}, {found.probability[0]:.1%}"


def shown(net: LeNet5, seed: int = 1998) -> list[Shown]:
    """Draw each picture and read it."""
    sheet = []
    for k, (name, draw) in enumerate(PICTURES.items()):
        light = draw(np.random.default_rng([seed, k]))
        picture = np.rint(255 * np.clip(light, 0, 1)).astype(np.uint8)
        try:
            seen = preprocess.character(picture)
        except ValueError as error:
            why = str(error).removeprefix("image: ").partition(";")[0].partition(":")[0]
            sheet.append(Shown(name, picture, None, f"refused: {why}"))
        else:
            sheet.append(Shown(name, picture, seen, reading(net, seen)))
    return sheet


def main() -> None:
    """Write the sheet."""
    command = parser("contact_sheet", __doc__)
    command.add_argument("file", nargs="?", type=Path, default=SHEET)
    arguments = command.parse_args()
    need("matplotlib", "scipy", "PIL")
    import textwrap

    from matplotlib.figure import Figure

    net = LeNet5.pretrained("mnist")
    sheet = shown(net)
    figure = Figure(figsize=(9.6, 6.4), layout="constrained")
    bands = -(-len(sheet) // COLUMNS)
    axes = figure.subplots(2 * bands, COLUMNS, height_ratios=[1.25, 1] * bands)
    for ax in axes.flat:
        ax.axis("off")
    for k, one in enumerate(sheet):
        row, column = 2 * (k // COLUMNS), k % COLUMNS
        above, below = axes[row, column], axes[row + 1, column]
        above.imshow(one.picture, cmap="gray", vmin=0, vmax=255)
        above.set_title(one.name, fontsize=11)
        if one.seen is not None:
            below.imshow(one.seen, cmap="gray", vmin=0, vmax=255)
            below.set_title(one.text, fontsize=13, fontweight="bold", y=-0.28)
        else:
            below.text(
                0.5, 0.5, textwrap.fill(one.text, 17), ha="center", va="center", fontsize=11,
                transform=below.transAxes,
            )  # fmt: skip
        print(f"{one.name}: {one.text}")
    plot.save(figure, arguments.file, dpi=100)


if __name__ == "__main__":
    main()
