"""The codes of the classes: 7x12 pictures of their characters, in +1 and -1.

The targets of F6 (LeCun et al. 1998, section II.B and figure 3): characters that look alike have
codes that lie close.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

ROWS, COLUMNS = 12, 7

# The digits 0 to 9, left to right; "#" is +1.
_DIGITS_ART = """
.#####. ...##.. .#####. ####### .#####. .#####. ..####. ####### .#####. .#####.
....... ..###.. ....... .....## ....... ....... .##.... .....## ##...## ##..###
..###.. .####.. .#####. ....##. ....... ####### ##..... .....## ##...## ##...##
.##.##. ...##.. ##...## ...##.. .##..## ##..... ##..... ....##. ##...## ##...##
##...## ...##.. #....## ..####. .##..## ##..... ######. ...##.. .#####. ##..###
##...## ...##.. ....##. .....## ###..## .####.. ###..## ...##.. ##...## .######
##...## ...##.. ..###.. .....## ##...## ..####. ##...## ..##... ##...## .....##
##...## ...##.. .##.... .....## ##...## .....## ##...## ..##... ##...## .....##
.##.##. ...##.. ##..... ##...## ##..### ##...## ###..## ..##... ##...## ....##.
..###.. .###### ####### .#####. .###### .#####. .#####. ..##... .#####. .####..
....... ....... ....... ....... .....## ....... ....... ....... ....... .......
....... ....... ....... ....... .....## ....... ....... ....... ....... .......
"""


def _read(art: str) -> NDArray[np.float32]:
    lines = [line.split() for line in art.splitlines() if line]
    pictures = ["".join(rows) for rows in zip(*lines, strict=True)]
    codes = np.array([[1 if c == "#" else -1 for c in p] for p in pictures], dtype=np.float32)
    codes.flags.writeable = False
    return codes


DIGITS: NDArray[np.float32] = _read(_DIGITS_ART)
"""Codes of the digits, float32 (10, 84), row by row, read-only: LeCun et al. 1998, figure 3."""


def show(code: int | str | ArrayLike) -> str:
    """Draw a code.

    Parameters
    ----------
    code : int, str or array_like
        A digit, 3 or "3", or the 84 components of a code or of an F6 output.

    Returns
    -------
    str
        Twelve lines of seven characters: "#" for a component above zero, "." for the others.

    Raises
    ------
    ValueError
        If `code` is no digit and does not have shape (84,).
    TypeError
        If its components are not real numbers.
    """
    if isinstance(code, str):
        if len(code) != 1 or code not in "0123456789":
            raise ValueError(f"code is {code!r}, want a digit, '0' to '9'")
        code = int(code)
    if isinstance(code, (int, np.integer)) and not isinstance(code, bool):
        if not 0 <= code < len(DIGITS):
            raise ValueError(f"code is {code}, want a digit, 0 to {len(DIGITS) - 1}")
        code = DIGITS[code]
    values = np.asarray(code)
    if values.shape != (ROWS * COLUMNS,):
        raise ValueError(f"code has shape {values.shape}, want a digit or ({ROWS * COLUMNS},)")
    if values.dtype.kind not in "fiu":
        raise TypeError(f"code has dtype {values.dtype}, want real numbers")
    return "\n".join(
        "".join("#" if v > 0 else "." for v in row) for row in values.reshape(ROWS, COLUMNS)
    )
