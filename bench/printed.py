"""Characters printed in the text fonts that come with matplotlib, in MNIST's form."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lenet_c import preprocess

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
