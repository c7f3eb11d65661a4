"""The codes of the classes: 7x12 pictures of their characters, in +1 and -1.

The targets of F6 (LeCun et al. 1998, section II.B and figure 3): characters that look alike have
codes that lie close. The digits are the paper's; the other printable ASCII characters are drawn in
their spirit.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lenet_c import checks

ROWS, COLUMNS = 12, 7

CHARACTERS = "".join(map(chr, range(32, 127)))
"""The characters that have codes: printable ASCII, in its order."""


@functools.cache
def _ascii() -> NDArray[np.float32]:
    """Read blocks of pictures side by side, each under its character; "#" is +1."""
    from importlib import resources  # slow to import, and needed here alone

    art = (resources.files("lenet_c") / "ascii.txt").read_text(encoding="ascii")
    pictures: dict[str, str] = {}
    for block in art.rstrip("\n").split("\n\n"):
        names, *lines = block.split("\n")
        columns = zip(*(line.split() for line in lines), strict=True)
        for k, rows in enumerate(columns):
            pictures[names[k * (COLUMNS + 1)]] = "".join(rows)
    codes = np.array(
        [[1 if dot == "#" else -1 for dot in pictures[c]] for c in CHARACTERS], np.float32
    )
    codes.flags.writeable = False
    return codes


ASCII: NDArray[np.float32]
"""Codes of `CHARACTERS`, float32 (95, 84), row by row, read-only."""

DIGITS: NDArray[np.float32]
"""Codes of the digits, float32 (10, 84), row by row, read-only: LeCun et al. 1998, figure 3."""

if not TYPE_CHECKING:  # they are read when they are first asked for

    def __getattr__(name: str) -> NDArray[np.float32]:
        if name == "ASCII":
            value = _ascii()
        elif name == "DIGITS":
            value = of("0123456789")
            value.flags.writeable = False
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return globals().setdefault(name, value)  # of two threads' the first

    def __dir__() -> list[str]:
        return sorted({*globals(), "ASCII", "DIGITS"})


def of(text: str) -> NDArray[np.float32]:
    """Give the codes of some characters, in the order of the text.

    Parameters
    ----------
    text : str
        Printable ASCII characters, say "ABC", or `CHARACTERS` for all of them.

    Returns
    -------
    float32 array (len(text), 84)
        +1 and -1, row by row; what `LeNet5` takes as `codes`.

    Raises
    ------
    ValueError
        If `text` is empty or has another character in it.
    TypeError
        If `text` is no str.
    """
    checks.instance("text", text, str, "a str")
    if not text:
        raise ValueError("text: got none, want printable ASCII characters")
    for c in text:
        if c not in CHARACTERS:
            raise ValueError(f"text: got {c!r}, want printable ASCII characters, ' ' to '~'")
    return _ascii()[[CHARACTERS.index(c) for c in text]]


def show(code: int | str | ArrayLike) -> str:
    """Draw a code.

    Parameters
    ----------
    code : int, str or array_like
        A printable ASCII character, a digit as a number, or the 84 components of a code or of an
        F6 output.

    Returns
    -------
    str
        Twelve lines of seven characters: "#" for a component above zero, "." for the others.

    Raises
    ------
    ValueError
        If `code` is no such character or digit and does not have shape (84,).
    TypeError
        If its components are not real numbers.

    Examples
    --------
    >>> print(show("A"))
    ..###..
    .##.##.
    ##...##
    ##...##
    ##...##
    #######
    ##...##
    ##...##
    ##...##
    ##...##
    .......
    .......
    """
    if isinstance(code, str):
        if len(code) != 1 or code not in CHARACTERS:
            raise ValueError(
                f"code: got {checks.short(code)}, want one printable ASCII character, ' ' to '~'"
            )
        code = of(code)[0]
    if isinstance(code, (int, np.integer)) and not isinstance(code, bool):
        code = of(str(checks.whole("code", code, 0, 9)))[0]
    values = checks.array("code", code)
    if values.shape != (ROWS * COLUMNS,):
        raise ValueError(
            f"code: shape {values.shape}, want a character, a digit or ({ROWS * COLUMNS},)"
        )
    if values.dtype.kind not in "fiu":
        raise TypeError(f"code: dtype {values.dtype}, want real numbers")
    return "\n".join(
        "".join("#" if v > 0 else "." for v in row) for row in values.reshape(ROWS, COLUMNS)
    )
