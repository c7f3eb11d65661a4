"""Printed characters: how many the shipped network reads, and which it confuses.

python -m bench.printed draws characters in the fonts to test with, which the network did not learn
from, and prints the tables of docs/printed.md. --write puts them there, and draws
docs/printed-confusions.png: the commonest confusions, with pictures that were read wrongly.
--validation takes the fonts to validate with in place of those.

Other commands take from here characters in matplotlib's text fonts, in MNIST's form.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.common import ROOT, load, markdown, need, parser, put_tables
from lenet_c import LeNet5, codes, preprocess
from lenet_c.recipes import printed as recipe

DOCUMENT = ROOT / "docs" / "printed.md"
SHEET = ROOT / "docs" / "printed-confusions.png"
LISTED = 24  # confusions
SHOWN = 8  # pictures of each

# not the symbols, of which those fonts have many
_TEXT = re.compile(r"DejaVuSans|DejaVuSerif|STIXGeneral|cmr10|cmss10|cmtt10|cmb10")


def fonts() -> list[Path]:
    """Find the fonts, 20 with matplotlib 3.11, in the order of their names."""
    from matplotlib import get_data_path

    files = sorted((Path(get_data_path()) / "fonts" / "ttf").glob("*.ttf"))
    return [file for file in files if _TEXT.match(file.stem) and "Display" not in file.stem]


def printed(characters: str, files: Sequence[Path]) -> tuple[np.ndarray, np.ndarray]:
    """Draw every character in every font.

    Parameters
    ----------
    characters : str
    files : sequence of path
        TrueType fonts.

    Returns
    -------
    images : uint8 array (fonts * characters, 28, 28)
    labels : int64 array (fonts * characters,)
        Places in `characters`.
    """
    from PIL import Image, ImageDraw, ImageFont

    images = []
    for file in files:
        font = ImageFont.truetype(str(file), 80)
        for character in characters:
            sheet = Image.new("L", (200, 200), 255)
            ImageDraw.Draw(sheet).text((60, 40), character, 0, font)
            images.append(preprocess.character(np.asarray(sheet)))
    return np.stack(images), np.tile(np.arange(len(characters)), len(files))


# ---- the figures ----


class Tested:
    """Pictures drawn in some fonts, and what a network reads on them."""

    def __init__(self, network: LeNet5, fonts: Sequence[recipe.Font], **settings: Any) -> None:
        paths = recipe.find(fonts)
        settings = {"on_line": 1.0, "seed": recipe.TEST_SEED} | settings
        self.images, self.labels, _ = recipe.pictures(paths, **settings)
        self.answers = network.predict(self.images)
        self.result = recipe.result(self.answers, self.labels)

    def row(self, name: str) -> list[str]:
        """Give a row of the table of figures."""
        right = f"{self.result.right:.2%}", f"{self.result.right_merged:.2%}"
        return [name, f"{self.result.pictures:,}", *right]


def confusions(confusion: np.ndarray) -> list[tuple[int, int, int]]:
    """List the pairs of characters that are taken for one another, commonest first.

    Parameters
    ----------
    confusion : int64 array (95, 95)

    Returns
    -------
    list of (int, int, int)
        How often, and two places in `codes.CHARACTERS`: the one that is read as the other most
        often comes first.
    """
    both = confusion + confusion.T
    found = []
    for one, other in zip(*np.nonzero(np.triu(both, 1)), strict=True):
        pair = int(one), int(other)
        if confusion[other, one] > confusion[one, other]:
            pair = pair[::-1]
        found.append((int(both[one, other]), *pair))
    return sorted(found, key=lambda row: (-row[0], row[1:]))


def code(character: str) -> str:
    """Write a character as code in a cell of a table."""
    if character == "`":
        return "`` ` ``"
    return "space" if character == " " else "`" + character.replace("|", "\\|") + "`"


def tables(network: LeNet5, part: str) -> tuple[dict[str, str], Tested]:
    """Draw, read and count.

    Returns
    -------
    dict
        Tables, by the names of their places in the page.
    Tested
        The degraded pictures.
    """
    fonts = recipe.fonts(part)
    degraded = Tested(network, fonts, times=recipe.TESTED_ON)
    rows = [
        degraded.row("as they may be found"),
        Tested(network, fonts, plain=True).row("black on white, 32 pixels high"),
        Tested(network, fonts, on_line=0.0).row("as they may be found, no line given"),
    ]
    figures = markdown(("pictures", "number", "right", "right, groups as one"), rows) + "\n"
    right = degraded.answers == degraded.labels
    alike = recipe.merged(degraded.answers) == recipe.merged(degraded.labels)
    families = [font.family for font in fonts]
    each = np.repeat(families, len(right) // len(families))  # as many pictures in each file
    by_family = []
    for family in dict.fromkeys(families):
        shares = (f"{given[each == family].mean():.1%}" for given in (right, alike))
        by_family.append([family, str(families.count(family)), *shares])
    by_families = markdown(("family", "files", "right", "groups as one"), by_family) + "\n"
    per = degraded.result.pictures / len(codes.CHARACTERS)
    pairs = []
    for n, one, other in confusions(degraded.result.confusion)[:LISTED]:
        there, back = degraded.result.confusion[[one, other], [other, one]] / per
        names = code(codes.CHARACTERS[one]), code(codes.CHARACTERS[other])
        pairs.append([f"{names[0]} as {names[1]}", f"{there:.1%}", f"{back:.1%}", str(n)])
    listed = markdown(("confusion", "so", "the other way", "pictures"), pairs) + "\n"
    return {"figures": figures, "families": by_families, "confusions": listed}, degraded


def sheet(tested: Tested) -> Any:
    """Draw the commonest confusions, a row each: both characters, and pictures read wrongly."""
    from matplotlib import get_data_path
    from PIL import Image, ImageDraw, ImageFont

    side, times, columns = 28, 2, 2
    width = 150 + SHOWN * side * times + 20
    rows = -(-LISTED // columns)
    page = Image.new("L", (columns * width, rows * (side * times + 6) + 6), 255)
    font = ImageFont.truetype(str(Path(get_data_path(), "fonts", "ttf", "DejaVuSansMono.ttf")), 22)
    pen = ImageDraw.Draw(page)
    for k, (n, one, other) in enumerate(confusions(tested.result.confusion)[:LISTED]):
        x, y = k // rows * width, k % rows * (side * times + 6) + 6
        names = (codes.CHARACTERS[place].replace(" ", "\u2423") for place in (one, other))
        pen.text((x + 10, y + 14), "{} as {}".format(*names), 0, font)
        pen.text((x + 10, y + 40), f"{n} pictures, both ways", 90, font.font_variant(size=10))
        wrong = np.flatnonzero((tested.labels == one) & (tested.answers == other))
        for place, row in enumerate(wrong[:: max(1, len(wrong) // SHOWN)][:SHOWN]):
            image = Image.fromarray(255 - tested.images[row])
            image = image.resize((side * times, side * times), Image.Resampling.NEAREST)
            page.paste(image, (x + 150 + place * side * times, y))
    return page


def main(argv: list[str] | None = None) -> None:
    command = parser("printed", __doc__)
    option = command.add_argument
    option("--model", metavar="FILE", help="default: the network that comes with the library")
    option("--validation", action="store_true", help="by the fonts to validate with")
    option("--write", action="store_true", help=f"write {DOCUMENT.name} and {SHEET.name} as well")
    option("--output", type=Path, default=DOCUMENT.parent, help="folder; default: %(default)s")
    arguments = command.parse_args(argv)
    need("matplotlib", "PIL", "scipy")
    network = LeNet5.pretrained("printed") if arguments.model is None else load(arguments.model)
    try:
        found, tested = tables(network, "validation" if arguments.validation else "test")
    except FileNotFoundError as error:
        raise SystemExit(f"error: {error}") from None
    print("\n".join(found.values()))
    if arguments.write:
        put_tables(arguments.output / DOCUMENT.name, found)
        sheet(tested).save(arguments.output / SHEET.name, optimize=True)


if __name__ == "__main__":
    main()
