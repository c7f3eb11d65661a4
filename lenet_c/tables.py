"""Connection tables: which input maps each output map of a convolution reads (Table I)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lenet_c import _core, checks

Table = tuple[tuple[int, ...], ...]

# Far above any LeNet, and low enough that no product of sizes overflows in C.
MAX_MAPS = _core.MAX_MAPS


def check_table(what: str, table: object, maps: int, in_maps: int) -> None:
    """Raise ValueError or TypeError unless the table gives each map ascending input maps.

    Parameters
    ----------
    what : str
        Begins the message.
    table : tuple of tuple of int
    maps, in_maps : int
    """
    if not isinstance(table, tuple):
        raise TypeError(f"{what}: got a {type(table).__name__}, want a tuple of tuples of int")
    if len(table) != maps:
        raise ValueError(f"{what}: got {len(table)} entries, want {maps}, one for each map")
    for position, inputs in enumerate(table):
        entry = f"{what}[{position}]"
        if not isinstance(inputs, tuple):
            raise TypeError(f"{entry}: got a {type(inputs).__name__}, want a tuple of int")
        if not inputs:
            raise ValueError(f"{entry}: got none, want at least one input map")
        before = -1
        for i in inputs:
            checks.whole(entry, i, 0, in_maps - 1)
            if i <= before:
                raise ValueError(f"{entry}: got {i} after {before}, want ascending input maps")
            before = i


def table_art(table: Table) -> str:
    """Draw a connection table as Table I of LeCun et al. 1998 does, without its headers.

    Parameters
    ----------
    table : tuple of tuple of int
        For each output map, the input maps it reads.

    Returns
    -------
    str
        A line for each input map, a cell for each output map: "X" connected, "." not.

    Raises
    ------
    TypeError, ValueError
        If it is no such table.
    """
    check_table("table", table, len(table) if isinstance(table, tuple) else 0, MAX_MAPS)
    n_inputs = 1 + max((i for inputs in table for i in inputs), default=-1)
    return "\n".join(
        " ".join("X" if i in inputs else "." for inputs in table) for i in range(n_inputs)
    )


def table_from_art(text: str) -> Table:
    """Read a connection table from its drawing; the inverse of `table_art`.

    Parameters
    ----------
    text : str
        A line for each input map, a cell for each output map. Blank lines do not count.

    Returns
    -------
    tuple of tuple of int
        For each output map, the input maps it reads, ascending.

    Raises
    ------
    TypeError
        If `text` is no str.
    ValueError
        If a cell is neither "X" nor ".", or the lines are not all as long as the first.
    """
    checks.instance("text", text, str, "a str")
    rows = [line.split() for line in text.splitlines() if line.strip()]
    if not rows:
        raise ValueError("text: got none, want a line for each input map")
    for number, row in enumerate(rows):
        if len(row) != len(rows[0]):
            raise ValueError(f"text: got {len(row)} cells in row {number}, want {len(rows[0])}")
        for cell in row:
            if cell not in ("X", "."):
                raise ValueError(f"text: got {cell!r} in row {number}, want 'X' or '.'")
    return tuple(
        tuple(i for i, cell in enumerate(column) if cell == "X")
        for column in zip(*rows, strict=True)
    )


def table_matrix(table: Table, in_maps: int) -> NDArray[np.uint8]:
    """Make a 0/1 array (maps, in_maps) of a table.

    Parameters
    ----------
    table : tuple of tuple of int
        For each output map, the input maps it reads (Table I).
    in_maps : int

    Returns
    -------
    uint8 array (maps, in_maps)
    """
    matrix = np.zeros((len(table), in_maps), np.uint8)
    for row, sources in zip(matrix, table, strict=True):
        row[list(sources)] = 1
    return matrix
