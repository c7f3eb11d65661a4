"""Draws fields, reads them, and shows where: the pictures of docs/lines.md and of README.md.

python -m bench.field_sheet [FOLDER] [--model M] writes digits of MNIST's test set on drawn paper
and reads them with the reader that comes with the library, or one of a file:

- lines-sheet.png: fields of many kinds, each with what is read, where, and how sure that is;
- lines-columns.png: the network's outputs along a strip, as in Fig. 25 of LeCun et al. 1998;
- lines-field.png: the one field that README.md reads.

FOLDER is docs by default.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bench.common import ROOT, Images, mnist, need, parser
from lenet_c import LineReader, LineReading, plot, preprocess

HEIGHT, WIDTH = 84, 300  # of a field
COLUMNS = 3
HAND = 40  # pixels that digits are high

Picture = np.ndarray  # float, (HEIGHT, WIDTH) of ink or light from 0 to 1


class Hand:
    """Writes texts with digits of a dataset, another one each time."""

    def __init__(self, digits: Images, rng: np.random.Generator) -> None:
        self.images, self.labels = digits
        self.rng = rng

    def digit(self, name: str, height: int) -> Picture:
        """Give a digit, cut to its ink and so high."""
        from PIL import Image

        clear = np.flatnonzero(self.labels == int(name))[:200]
        image = self.images[self.rng.choice(clear)]
        rows, columns = (np.flatnonzero((image > 80).any(axis=axis)) for axis in (1, 0))
        part = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        width = max(5, round(part.shape[1] * height / part.shape[0]))
        drawn = Image.fromarray(part).resize((width, height), Image.Resampling.BICUBIC)
        return np.asarray(drawn, float) / 255

    def write(self, text: str, gap: int = 7, left: int = 24, height: int = HAND) -> Picture:
        """Write digits, dots, commas and dashes; "_" is some room."""
        ink = np.zeros((HEIGHT, WIDTH))
        top = (HEIGHT - height) // 2
        x = left
        for mark in text:
            if mark == "_":
                x += 12
                continue
            if mark in ".,":
                end = top + height + (1 if mark == "." else 6)
                ink[top + height - 4 : end, x : x + 5] = 0.9
                x += 5 + gap
                continue
            if mark == "-":
                ink[HEIGHT // 2 - 2 : HEIGHT // 2 + 2, x : x + 14] = 0.9
                x += 14 + gap
                continue
            high = height + int(self.rng.integers(-2, 3))
            part = self.digit(mark, high)
            place = ink[top + height - high : top + height, x : x + part.shape[1]]
            np.maximum(place, part[:, : place.shape[1]], out=place)
            x += part.shape[1] + gap
        return ink


def on_paper(ink: Picture, paper: float | Picture = 0.93, pen: float = 0.16) -> Picture:
    return paper - (paper - pen) * np.clip(ink, 0, 1)


def zip_code(hand: Hand) -> Picture:
    ink = hand.write("20742")
    ink[66:68, 12:230] = 0.85
    return on_paper(ink)


def zip_plus_four(hand: Hand) -> Picture:
    return on_paper(hand.write("10025-7701", 4, 16, 34), 0.9)


def amount(hand: Hand) -> Picture:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    print_ = np.zeros((HEIGHT, WIDTH))
    for k in range(3):
        wave = y + 9 * np.sin(x / (13 + 4 * k) + 2 * k) + 0.3 * k * x
        print_ = np.maximum(print_, 0.25 * np.clip(2 * np.cos(wave / 1.4) - 0.8, 0, 1))
    ink = hand.write("1.250.000", 4, 26)
    ink[8:10, 6:-6] = ink[-10:-8, 6:-6] = 0.9
    ink[8:-8, 6:8] = ink[8:-8, -8:-6] = 0.9
    return on_paper(np.maximum(ink, print_), 0.9)


def amount_with_dashes(hand: Hand) -> Picture:
    return on_paper(hand.write("38.500-", 6))


def meter(hand: Hand) -> Picture:
    light = np.full((HEIGHT, WIDTH), 0.08)
    for k, name in enumerate("048513"):
        left = 20 + 44 * k
        light[12:-12, left - 4 : left + 34] = 0.16
        part = hand.digit(name, HAND)
        x = left + max(0, (30 - part.shape[1]) // 2)
        place = light[22 : 22 + HAND, x : x + part.shape[1]]
        np.maximum(place, 0.85 * part, out=place)
    return light + hand.rng.normal(0, 0.015, light.shape)


def cells(hand: Hand) -> Picture:
    ink = np.zeros((HEIGHT, WIDTH))
    for k, name in enumerate("261194"):
        part = hand.digit(name, HAND)
        left = 24 + 42 * k
        x = left + (38 - part.shape[1]) // 2
        ink[22 : 22 + HAND, x : x + part.shape[1]] = part
        ink[12:-12, left - 2 : left] = 0.7
    ink[12:-12, 274:276] = 0.7
    ink[12:14, 22:276] = ink[-14:-12, 22:276] = 0.7
    return on_paper(ink)


def touching(hand: Hand) -> Picture:
    return on_paper(hand.write("59036", -3, 40))


def climbing(hand: Hand) -> Picture:
    from PIL import Image

    ink = hand.write("7218", 8, 60, 34)
    turned = Image.fromarray(ink.astype(np.float32)).rotate(7, Image.Resampling.BILINEAR)
    return on_paper(np.asarray(turned, float))


def shadow(hand: Hand) -> Picture:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return on_paper(hand.write("40961", 9)) * np.where(x + 0.6 * y > 0.6 * WIDTH, 0.6, 1.0)


def grainy(hand: Hand) -> Picture:
    return on_paper(hand.write("8375", 9, 50), 0.72, 0.25) + hand.rng.normal(
        0, 0.07, (HEIGHT, WIDTH)
    )


def scribble(hand: Hand) -> Picture:
    t = np.linspace(0, 1, 2000)
    ink = np.zeros((HEIGHT, WIDTH))
    x = 40 + 200 * t + 14 * np.sin(47 * t)
    y = HEIGHT / 2 + 16 * np.sin(71 * t + 1) * np.sin(9 * t)
    for dx in range(3):
        ink[y.astype(int) + dx, x.astype(int) + dx] = 0.9
    return on_paper(ink)


def empty(hand: Hand) -> Picture:
    ink = np.zeros((HEIGHT, WIDTH))
    ink[66:68, 12:-12] = 0.85
    return on_paper(ink)


class Kind(NamedTuple):
    """A kind of field: how it is drawn, what it says, and what is known of such texts."""

    draw: Callable[[Hand], Picture]
    text: str | None  # None: nothing that can be read
    pattern: str | None = None


FIELDS: dict[str, Kind] = {
    "a zip code": Kind(zip_code, "20742", r"\d{5}(\d{4})?"),
    "with four digits more": Kind(zip_plus_four, "100257701", r"\d{5}(\d{4})?"),
    "an amount on security print": Kind(amount, "1250000", r"[1-9]\d*"),
    "an amount and a dash": Kind(amount_with_dashes, "38500", r"[1-9]\d*"),
    "a meter": Kind(meter, "048513", r"\d{6}"),
    "a date in cells": Kind(cells, "261194", r"[0-3]\d[01]\d\d\d"),
    "touching": Kind(touching, "59036"),
    "climbing": Kind(climbing, "7218"),
    "half in shadow": Kind(shadow, "40961"),
    "a grainy photo": Kind(grainy, "8375"),
    "a scribble": Kind(scribble, None),
    "an empty line": Kind(empty, None),
}


class Shown(NamedTuple):
    """A field's place on the sheet."""

    name: str
    picture: np.ndarray
    reading: LineReading
    text: str | None


def shown(reader: LineReader, digits: Images, seed: int = 1998) -> list[Shown]:
    """Draw each field and read it."""
    sheet = []
    for k, (name, kind) in enumerate(FIELDS.items()):
        light = kind.draw(Hand(digits, np.random.default_rng([seed, k])))
        picture = np.rint(255 * np.clip(light, 0, 1)).astype(np.uint8)
        (reading,) = reader.read([picture], pattern=kind.pattern)
        sheet.append(Shown(name, picture, reading, kind.text))
    return sheet


def draw_sheet(sheet: list[Shown]) -> Any:
    """Lay the fields out, with boxes and confidences."""
    from matplotlib.patches import Rectangle

    rows = -(-len(sheet) // COLUMNS)
    figure = plot.new_figure(3.6 * COLUMNS, 1.62 * rows)
    axes = figure.subplots(rows, COLUMNS)
    for ax in axes.flat:
        ax.axis("off")
    for ax, one in zip(axes.flat, sheet, strict=False):
        ax.imshow(one.picture, cmap="gray", vmin=0, vmax=255)
        found = one.reading
        if found.reason:
            says = f"refused: {found.reason.partition(';')[0].partition('(')[0].strip()}"
        else:
            says = f"{found.text}  {found.probability:.1%}{', doubtful' * found.rejected}"
        ax.set_title(f"{one.name}\n{says}", fontsize=10)
        for name, sure, (x, y, width, height) in zip(
            found.text, found.confidence, found.boxes, strict=True
        ):
            colour = "#2a7f3f" if sure > 0.9 else "#c0272d"
            ax.add_patch(Rectangle((x, y), width, height, fill=False, edgecolor=colour))
            ax.text(
                x + width / 2, HEIGHT + 1, f"{name} {sure:.0%}", fontsize=6.5, color=colour,
                ha="center", va="top",
            )  # fmt: skip
    return figure


def main() -> None:
    """Write the pictures."""
    command = parser("field_sheet", __doc__)
    command.add_argument("folder", nargs="?", type=Path, default=ROOT / "docs")
    command.add_argument("--model", metavar="M", help="file of a reader; default: the library's")
    arguments = command.parse_args()
    need("matplotlib", "scipy", "PIL")
    from PIL import Image

    reader = (
        LineReader.load(arguments.model) if arguments.model is not None else LineReader.pretrained()
    )
    sheet = shown(reader, mnist()[1])
    for one in sheet:
        found = one.reading
        right = "" if one.text in (None, found.text) else f", and says {one.text}"
        doubt = ", doubtful" if found.rejected else ""
        print(
            f"{one.name}: {found.reason or repr(found.text)}, {found.probability:.1%}{doubt}{right}"
        )
    folder = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    plot.save(draw_sheet(sheet), folder / "lines-sheet.png", dpi=90)
    Image.fromarray(sheet[0].picture).save(folder / "lines-field.png", optimize=True)
    strip = preprocess.line(next(one.picture for one in sheet if one.name == "touching"))
    ax = plot.columns(
        reader.outputs([strip])[0],
        reader.class_names,
        strip=strip,
        temperature=reader.network.temperature,
        penalties=reader.network.codes is not None,
    )
    ax.set_title("what the network sees along a strip", fontsize=10)
    plot.save(ax, folder / "lines-columns.png", dpi=90)


if __name__ == "__main__":
    main()
