"""What callers give, checked: an error names the argument, what came and what is wanted."""

from __future__ import annotations

import math
import os
import sys
import unicodedata
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

_NOT_PLAIN = ("Cc", "Cs", "Zl", "Zp")  # Unicode's categories of such characters


def short(value: object) -> str:
    """Give a value's repr, or its beginning, on one line for an error's text."""
    # Python refuses to print integers of thousands of digits.
    if isinstance(value, int) and value.bit_length() > 64:
        return f"an integer of {value.bit_length()} bits"
    try:
        text = " ".join(line.strip() for line in repr(value).splitlines())
    except Exception:  # of numbers too long to print, or lists too deep
        text = f"a {type(value).__name__}"
    return text if len(text) <= 80 else text[:77] + "..."


def is_plain(text: str) -> bool:
    """Tell whether a text has no control characters, line ends or halves of surrogate pairs."""
    return all(unicodedata.category(character) not in _NOT_PLAIN for character in text)


def escaped(text: str) -> str:
    r"""Give a text on one line: what `is_plain` forbids as Python writes it, a tab as \\t."""
    return "".join(
        character if is_plain(character) else character.encode("unicode_escape").decode()
        for character in text
    )


def number(name: str, value: object) -> float:
    """Give a real number as a float, infinite if it is too large; else raise TypeError."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name}: got {short(value)}, want a number")
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def rounded(name: str, value: object) -> float:
    """Give a number as the core computes with it: rounded to float32, where it may be infinite."""
    with np.errstate(over="ignore"):
        return float(np.float32(number(name, value)))


def real(
    name: str,
    value: object,
    low: float,
    high: float = math.inf,
    closed: str = "left",
    *,
    in_float32: bool = False,
) -> float:
    """Give a finite number of an interval as a float; else raise TypeError or ValueError.

    `closed` says which of its ends belong to it: "left", "both" or "neither". `in_float32`: the
    number has to be there as the core computes with it, too.
    """
    given = number(name, value)
    seen = rounded(name, value) if in_float32 else given
    if low < seen < high or (closed != "neither" and seen == low):
        return given
    if closed == "both" and seen == high:
        return given
    least = f"above {low:g}" if closed == "neither" else f"of at least {low:g}"
    if low == -math.inf:
        wanted = "a finite number"
    elif high == math.inf:
        wanted = f"a finite number {least}"
    elif closed == "both":
        wanted = f"a number from {low:g} to {high:g}"
    else:
        wanted = f"a number {least} and below {high:g}"
    if in_float32:
        wanted += ", in float32"
    raise ValueError(f"{name}: got {short(value)}, want {wanted}")


def whole(name: str, value: object, least: int, most: int | None = None) -> int:
    """Give a whole number within the limits as an int; else raise TypeError or ValueError."""
    is_whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if is_whole:
        given = int(value)  # type: ignore[call-overload]
        if given >= least and (most is None or given <= most):
            return int(given)
    limit = f"of at least {least}" if most is None else f"from {least} to {most}"
    error = ValueError if is_whole else TypeError
    raise error(f"{name}: got {short(value)}, want a whole number {limit}")


def one_of(name: str, value: object, choices: Iterable[str], other: str = "") -> str:
    """Give a name that is among the choices; else raise TypeError or ValueError.

    `other` ends what an error says is wanted.
    """
    choices = list(choices)
    if isinstance(value, str) and value in choices:
        return value
    text = f"{name}: got {short(value)}, want one of {', '.join(choices)}{other}"
    if isinstance(value, str):
        raise ValueError(text + _meant(value, choices))
    raise TypeError(text)


def _meant(value: str, choices: Iterable[str]) -> str:
    """Say which of the choices a misspelt name is likely to mean."""
    from difflib import get_close_matches

    plain = {choice.lower().replace("_", "-"): choice for choice in choices}
    like = get_close_matches(value[:100].lower().replace("_", "-"), plain, 1)
    return f"; did you mean {plain[like[0]]!r}?" if like else ""


def truth(name: str, value: object) -> bool:
    """Give True or False; raise TypeError for anything else."""
    if not isinstance(value, bool):
        raise TypeError(f"{name}: got {short(value)}, want True or False")
    return value


Kind = TypeVar("Kind")


def instance(name: str, value: object, kind: type[Kind], wanted: str) -> Kind:
    """Give an object of this class; raise TypeError, with what is wanted, for others."""
    if not isinstance(value, kind):
        raise TypeError(f"{name}: got {short(value)}, want {wanted}")
    return value


def named(
    name: str, value: object, table: Mapping[str, Kind], kind: type[Kind], wanted: str
) -> Kind:
    """Give an object of this class, or what a name stands for in a table of such."""
    if isinstance(value, str):
        return table[one_of(name, value, table)]
    return instance(name, value, kind, f"{wanted} or one of {', '.join(table)}")


def path(name: str, value: object) -> str:
    """Give a path as text; raise TypeError for what is none."""
    if not isinstance(value, (str, bytes, os.PathLike)):
        raise TypeError(f"{name}: got {short(value)}, want a path")
    return os.fsdecode(value)


def items(name: str, value: object, what: str) -> Iterator[Any]:
    """Give an iterable's items in turn; raise TypeError for text and what cannot be iterated."""
    # a memoryview of several dimensions has an iterator that gives nothing
    if not isinstance(value, (str, memoryview)):
        with suppress(TypeError):
            return iter(value)  # type: ignore[call-overload, no-any-return]
    raise TypeError(f"{name}: got {short(value)}, want a list of {what}")


@contextmanager
def named_in(argument: str) -> Iterator[None]:
    """Say in errors of the parts of an argument which one it is."""
    try:
        yield
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{argument}: {error}") from None


def numbers(name: str, value: ArrayLike, kinds: str = "fiub") -> NDArray[Any]:
    """Give an array of real numbers; raise TypeError for others. `kinds` are numpy's letters."""
    given = array(name, value)
    if given.dtype.kind not in kinds:
        what = "real numbers" if "f" in kinds else "integers"
        raise TypeError(f"{name}: dtype {given.dtype}, want {what}")
    return given


def floats(name: str, given: NDArray[Any]) -> NDArray[np.float32]:
    """Give real numbers as the core computes with them, a copy, all of them finite."""
    with np.errstate(over="ignore"):  # what overflows is infinite, and told below
        values = np.array(given, np.float32, order="C")
    if not np.isfinite(values).all():
        raise ValueError(f"{name}: some are NaN or infinite in float32, want finite values")
    return values


def weights(name: str, value: ArrayLike, n: int, one: bool = False) -> NDArray[np.float64]:
    """Give a weight for each of n images, a copy: finite, none negative, not all of them 0.

    `one`: there is one image, whose weight may be a number.
    """
    given = numbers(name, value)
    if one and given.ndim == 0:
        given = given.reshape(1)
    if given.shape != (n,):
        raise ValueError(f"{name}: shape {given.shape}, want ({n},), one for each image")
    found = np.array(given, np.float64)
    bad = ~(np.isfinite(found) & (found >= 0))
    if bad.any():
        row = int(np.argmax(bad))
        raise ValueError(f"{name}: row {row} is {given[row]}, want finite numbers of at least 0")
    with np.errstate(over="ignore"):
        total = found.sum()
    if not 0 < total < math.inf:
        raise ValueError(f"{name}: adds up to {total:g}, want more than 0, and a finite number")
    return found


def targets(
    name: str, value: NDArray[Any], n: int, classes: int, one: bool = False
) -> NDArray[np.float64]:
    """Give each image's probabilities of the classes, a copy whose rows add up to 1.

    Parameters
    ----------
    name : str
    value : float array (n, classes)
        None negative; each row adds up to 1 within a thousandth.
    n, classes : int
    one : bool
        There is one image, and `value` may be (classes,).

    Returns
    -------
    float64 array (n, classes)
    """
    given = value[None] if one and value.ndim == 1 else value
    if given.shape != (n, classes):
        raise ValueError(
            f"{name}: shape {value.shape}, want ({n}, {classes}), each class's probability, or "
            f"({n},), integers"
        )
    found = np.array(given, np.float64)
    bad = ~(np.isfinite(found) & (found >= 0)).all(axis=1)
    if bad.any():
        row = int(np.argmax(bad))
        raise ValueError(f"{name}: row {row} has a probability that is negative or not finite")
    with np.errstate(over="ignore"):  # infinity is off, too
        sums = found.sum(axis=1, keepdims=True)
    off = np.abs(sums[:, 0] - 1.0) > 1e-3
    if off.any():
        row = int(np.argmax(off))
        raise ValueError(f"{name}: row {row} adds up to {sums[row, 0]:g}, want probabilities: 1")
    found /= sums
    return found


def array(name: str, value: Any) -> NDArray[Any]:
    """Give an array of any dtype, in this machine's order of bytes, of whatever makes one.

    Taken are lists, what has ``__array__`` or ``__dlpack__`` (the tensors of other libraries, which
    may ask for a gradient), and lists of those.

    Raises
    ------
    TypeError
        For tensors whose values cannot be seen from here: of a dtype that numpy has not, or on
        another device.
    ValueError
        For lists of unequal lengths, and masked arrays where something is masked.
    """
    if not isinstance(value, np.ndarray):
        if isinstance(value, (list, tuple)) and value and _is_foreign(value[0]):
            value = [_seen(f"{name}: {i}", each) for i, each in enumerate(value)]
        elif _is_foreign(value):
            value = _seen(name, value)
    elif isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise ValueError(
            f"{name}: {int(np.ma.getmaskarray(value).sum())} masked values, want all of them: "
            f"{name} = {name}.filled(0)"
        )
    try:
        given = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name}: not an array ({error})") from None
    except (BufferError, RuntimeError, TypeError) as error:
        raise _unseen(name, value, error) from None
    return given if given.dtype.isnative else given.astype(given.dtype.newbyteorder("="))


def _is_foreign(value: object) -> bool:
    """Whether it is another library's array."""
    return hasattr(value, "__dlpack__") and not isinstance(value, (np.ndarray, np.generic))


def _seen(name: str, tensor: Any) -> NDArray[Any]:
    """Give another library's array as numpy's, without a copy where that can be."""
    if getattr(tensor, "requires_grad", False) and hasattr(tensor, "detach"):
        tensor = tensor.detach()  # the gradient ends here in any case
    try:
        return np.asarray(tensor) if hasattr(tensor, "__array__") else np.from_dlpack(tensor)
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        raise _unseen(name, tensor, error) from None


def _unseen(name: str, value: Any, error: Exception) -> TypeError:
    """Say that numpy cannot take a tensor."""
    what = f"{type(value).__module__.partition('.')[0]} {type(value).__name__}"
    kind = f" of {value.dtype}" if hasattr(value, "dtype") else ""
    where = f" on {value.device}" if hasattr(value, "device") else ""
    return TypeError(
        f"{name}: got a {what}{kind}{where}, which numpy cannot take, want one in the processor's "
        f"memory, of a dtype that numpy has ({' '.join(str(error).split())})"
    )


def warn(text: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the caller's line: the first one outside of the library."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None:
        if frame.f_globals.get("__name__", "").partition(".")[0] != __package__:
            break
        level, frame = level + 1, frame.f_back
    warnings.warn(text, category, stacklevel=level)
