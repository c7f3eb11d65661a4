"""What classes are called, and their codes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lenet_c import checks, codes
from lenet_c.architecture import Architecture
from lenet_c.networks import LENET5_1998

Floats = NDArray[np.float32]

LONGEST_NAME = 200  # characters: an array of labels is as wide as the longest
DIGITS = tuple("0123456789")


# ---- names ----


def checked_names(argument: str, given: object, wanted: int | None = None) -> tuple[str, ...]:
    """Give class names as a tuple of distinct texts.

    Parameters
    ----------
    argument : str
        What an error calls them.
    given : iterable of str
    wanted : int, optional
        How many, of a network: then none is longer than `LONGEST_NAME`.

    Returns
    -------
    tuple of str
    """
    if isinstance(given, str):
        raise TypeError(f"{argument}: got {checks.short(given)}, want a list, as list('ABC')")
    names: dict[str, None] = {}
    for name in checks.items(argument, given, "names"):
        if wanted is not None and len(names) == wanted:
            raise ValueError(f"{argument}: got more than {wanted}, want one for each class")
        what = f"{argument}: got {checks.short(name)} among them"
        if not isinstance(name, str):
            raise TypeError(f"{what}, want texts")
        if not name or (wanted is not None and len(name) > LONGEST_NAME):
            raise ValueError(f"{what}, want 1 to {LONGEST_NAME} characters")
        if not checks.is_plain(name):
            raise ValueError(
                f"{what}, want no control characters, line ends or halves of surrogate pairs"
            )
        if name in names:
            raise ValueError(
                f"{argument}: got {checks.short(name)} twice, want a name of its own for each class"
            )
        names[str(name)] = None
    if not names or (wanted is not None and len(names) != wanted):
        number = "" if wanted is None else f"{wanted}, "
        raise ValueError(f"{argument}: got {len(names)}, want {number}one for each class")
    return tuple(names)


def letters(names: object) -> object:
    """Give a text as its characters."""
    return tuple(names) if isinstance(names, str) else names


def shortened(names: Sequence[str], most: int = 8) -> str:
    """List the first of some names."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def names_or_digits(own: Sequence[str] | None, classes: int) -> tuple[str, ...] | None:
    """Give a network's names: ten classes without any are digits; None: they have none."""
    if own is None:
        return DIGITS if classes == len(DIGITS) else None
    return tuple(own)


def shared(own: Sequence[str] | None, classes: int, names: Sequence[str]) -> dict[int, int]:
    """Give the place in a network of each class that is among the names, by its place there.

    Parameters
    ----------
    own : sequence of str or None
        The network's names, or what `names_or_digits` has in their place.
    classes : int
        Of the network.
    names : sequence of str
    """
    places = {name: old for old, name in enumerate(names_or_digits(own, classes) or ())}
    return {new: places[name] for new, name in enumerate(names) if name in places}


def classes_of(
    argument: str, text: str | Sequence[str] | ArrayLike, names: tuple[str, ...] | None
) -> NDArray[np.int32]:
    """Give the classes of a string's characters.

    Parameters
    ----------
    argument : str
        What an error calls it.
    text : str, sequence of class names, or integer array (length,)
        A str is one of its characters after another.
    names : tuple of str or None
        What the classes are called.

    Returns
    -------
    int32 array (length,)
    """
    parts = list(text) if isinstance(text, str) else text
    if not isinstance(parts, (list, tuple)) or any(isinstance(part, str) for part in parts):
        parts = list(checks.items(argument, parts, "class names, or integers"))
    if not any(isinstance(part, str) for part in parts):
        array = checks.array(argument, parts if len(parts) else np.zeros(0, np.int32))
        if array.ndim != 1 or array.dtype.kind not in "iu":
            raise TypeError(f"{argument}: got {checks.short(text)}, want a str or integers")
        if array.size and not -(2**31) <= array.min() <= array.max() < 2**31:
            raise ValueError(f"{argument}: got {checks.short(text)}, want classes")
        return array.astype(np.int32)
    if names is None:
        raise ValueError(
            f"{argument}: got {checks.short(text)}, and the network's classes have no names: want "
            "integers, or network.class_names set"
        )
    known = {name: i for i, name in enumerate(names)}
    for place, part in enumerate(parts):
        if part not in known:
            raise ValueError(
                f"{argument}: got {checks.short(text)}, where {checks.short(part)} at place "
                f"{place} is no class's name; want some of {checks.short(' '.join(names))}"
            )
    return np.array([known[part] for part in parts], np.int32)


# ---- codes ----


def numbers(given: ArrayLike) -> NDArray[Any]:
    """Give codes as an array of real numbers."""
    try:
        return checks.numbers("codes", given)
    except TypeError as error:
        hint = f", say codes.of({given!r})" if isinstance(given, str) else ""
        raise TypeError(f"{error}{hint}") from None


def architecture_for(given: ArrayLike | None) -> Architecture:
    """Give the 1998 network with as many classes, and units in F6, as the codes ask for."""
    if given is None:
        return LENET5_1998
    shape = numbers(given).shape
    if len(shape) != 2 or 0 in shape:
        raise ValueError(f"codes: shape {shape}, want (classes, code length)")
    return LENET5_1998.with_classes(*shape)


def checked_codes(architecture: Architecture, given: ArrayLike | None) -> Floats | None:
    """Give the codes that a network begins with; None: it has no RBF output."""
    length = architecture.code_length
    if length is None:
        if given is not None:
            raise ValueError(f"codes: {architecture.name} has no RBF output, want None")
        return None
    wanted = (architecture.classes, length)
    if given is None:
        if wanted != codes.DIGITS.shape:
            raise ValueError(f"codes: none given, want an array {wanted} for this architecture")
        given = codes.DIGITS
    array = numbers(given)
    if array.shape != wanted:
        raise ValueError(
            f"codes: shape {array.shape}, want {wanted} for {architecture.name} "
            "(Architecture.with_classes changes it)"
        )
    return checks.floats("codes", array)


def check_distinct(codes: Floats) -> None:
    """Raise ValueError if two classes have the same code."""
    seen: dict[bytes, int] = {}
    for row, code in enumerate(codes):
        before = seen.setdefault((code + 0.0).tobytes(), row)  # -0.0 becomes 0.0
        if before != row:
            raise ValueError(
                f"codes: rows {before} and {row} are equal, want a code of its own for each class"
            )


def codes_for(
    architecture: Architecture,
    names: tuple[str, ...],
    kept: dict[int, int],
    given: str | ArrayLike | None,
    own: Floats | None,
) -> ArrayLike | None:
    """Give the codes of a new network's classes."""
    if own is None:
        if given is not None:
            raise ValueError(f"codes: {architecture.name} has no RBF output, want None")
        return None
    if given is not None:
        try:
            array = codes.of(given) if isinstance(given, str) else numbers(given)
        except ValueError as error:
            raise ValueError(f"codes: {str(error).removeprefix('codes: ')}") from None
        if array.shape != (len(names), own.shape[1]):
            raise ValueError(
                f"codes: shape {array.shape}, want {(len(names), own.shape[1])}, one for each "
                f"of {shortened(names)}"
            )
        return array
    chosen = np.empty((len(names), own.shape[1]), np.float32)
    for new, name in enumerate(names):
        if new in kept:
            chosen[new] = own[kept[new]]
        elif name in codes.CHARACTERS and len(name) == 1 and own.shape[1:] == codes.ASCII[0].shape:
            chosen[new] = codes.of(name)[0]
        else:
            raise ValueError(
                f"codes: class {name!r} has no code of its own, as printable ASCII characters "
                f"have in 84 units; want codes=, of shape {chosen.shape}, or a text of "
                f"{len(names)} such characters, one for each of {shortened(names)}"
            )
    return chosen
