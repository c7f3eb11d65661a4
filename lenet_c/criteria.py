"""The criteria that strings are learnt by, on the outputs of a network swept over wide pictures.

A strip's outputs are (positions, classes). At each position a path through them takes one class; it
spells what is left when runs of one class are made one and the *blank*, a class that stands between
and around characters, is left out. A path's probability is the product of the softmax probabilities
of its classes, a string's the sum over all paths that spell it.

`forward_loss` is the forward criterion of section VI.C in Proc. IEEE 86(11), 1998, which with this
blank is connectionist temporal classification (Graves et al. 2006); `viterbi_loss` is Viterbi
training (VI.A), `discriminative_loss` discriminative forward training (VI.D). `lenet_c.graphs` has
the same sums on graphs of any build.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lenet_c import _core, checks
from lenet_c.losses import evidence_scale

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Grammar = tuple[ArrayLike, ArrayLike]

_FEWER = "fewer strips at a time take less; "


class StringLosses(NamedTuple):
    """Losses of strips, and their gradients for the outputs.

    Attributes
    ----------
    losses : float64 array (N,)
    gradients : float32 array like the outputs, list of arrays where those were one, or None
        Of each strip's own loss: divide by N for the gradient of the mean.
    """

    losses: Doubles
    gradients: Floats | list[Floats] | None


def forward_loss(
    outputs: ArrayLike | Sequence[ArrayLike],
    strings: Sequence[ArrayLike] | NDArray[Any],
    *,
    blank: int,
    temperature: float = 1.0,
    penalties: bool = False,
    j: float | None = None,
    gradient: bool = True,
) -> StringLosses:
    """Minus the logarithm of each string's probability (section VI.C).

    Parameters
    ----------
    outputs : float array (N, positions, classes), or list of arrays (positions_i, classes)
        Logits, or penalties. Computed with as float32; sums are taken in float64.
    strings : sequence of N sequences of int, or int array (N, length)
        The classes of each string's characters, without the blank; a string may be empty.
    blank : int
        The class between and around characters.
    temperature : float
        Outputs are divided by it.
    penalties : bool
        Whether the outputs are penalties, of which the smallest is likeliest.
    j : float, optional
        The penalty of the rubbish class, 0 or more, which adds e^-j to the sum of each position's
        softmax (eq. 9). None: there is none.
    gradient : bool
        Whether the gradients are wanted.

    Returns
    -------
    StringLosses

    Raises
    ------
    ValueError
        For a string that has the blank or a class that there is not, or that cannot be spelt in the
        positions there are: one a character, and one between equal neighbours. It names the row.
    """
    return _losses("forward", outputs, strings, blank, temperature, penalties, j, None, gradient)


def viterbi_loss(
    outputs: ArrayLike | Sequence[ArrayLike],
    strings: Sequence[ArrayLike] | NDArray[Any],
    *,
    blank: int,
    temperature: float = 1.0,
    penalties: bool = False,
    j: float | None = None,
    gradient: bool = True,
) -> StringLosses:
    """Minus the logarithm of the probability of each string's likeliest path (section VI.A).

    Of equally likely paths it is the one that goes on to the next character first.

    Parameters
    ----------
    outputs, strings, blank, temperature, penalties, j, gradient : as for `forward_loss`

    Returns
    -------
    StringLosses
    """
    return _losses("viterbi", outputs, strings, blank, temperature, penalties, j, None, gradient)


def discriminative_loss(
    outputs: ArrayLike | Sequence[ArrayLike],
    strings: Sequence[ArrayLike] | NDArray[Any],
    *,
    blank: int,
    grammar: Grammar | None,
    temperature: float = 1.0,
    penalties: bool = False,
    j: float | None = None,
    gradient: bool = True,
) -> StringLosses:
    """Forward penalty of each string less that of all strings that a grammar allows (VI.D, eq. 17).

    e to the minus it is the string's probability among those of the grammar.

    Parameters
    ----------
    outputs, strings, blank, temperature, penalties, gradient : as for `forward_loss`
    grammar : pair of arrays, or None
        A deterministic automaton: `next` (states, classes), int, the state that a class leads to,
        or -1; and `accept` (states,), bool, where a string may end. It begins in state 0; the
        blank's column is ignored. None: all strings are allowed, which makes this `forward_loss`.
    j : float, optional
        The penalty of the rubbish class, which stands wherever a blank may in the grammar's paths.

    Returns
    -------
    StringLosses

    Raises
    ------
    ValueError
        As `forward_loss`, and for a string that the grammar does not accept.
    """
    return _losses(
        "discriminative", outputs, strings, blank, temperature, penalties, j, grammar, gradient
    )


def positions_needed(string: ArrayLike) -> int:
    """Count the positions that a string takes: one a character, one between equal neighbours."""
    classes = np.asarray(string)
    return len(classes) + int(np.count_nonzero(classes[1:] == classes[:-1]))


def refusal(
    why: str, row: int, string: ArrayLike, positions: int, classes: int, blank: int
) -> ValueError:
    """Say why the core refused a row.

    Parameters
    ----------
    why : str
        One of the names in `_core.STRING_REFUSALS`.
    row : int
    string : int array (length,)
        The row's.
    positions, classes : int
        The shape of the row's outputs.
    blank : int

    Returns
    -------
    ValueError
    """
    labels = np.asarray(string)
    if why == "bad_label":
        place = int(np.argmax((labels < 0) | (labels >= classes) | (labels == blank)))
        return ValueError(
            f"strings: row {row} has class {labels[place]} at place {place}, "
            f"want 0 to {classes - 1} and not the blank, {blank}"
        )
    if why == "too_short":
        needed = positions_needed(labels)
        return ValueError(
            f"strings: row {row} needs {needed} positions, its outputs have {positions}: one for "
            f"each of {len(labels)} characters and one between equal neighbours; want a wider "
            "picture or a shorter string"
        )
    if why == "not_allowed":
        return ValueError(
            f"strings: row {row} is {checks.short(labels.tolist())}, which the grammar does not "
            "accept; want a string that it does"
        )
    return ValueError(f"outputs: row {row} is NaN or infinite in float32, want finite values")


# ---- how -----------------------------------------------------------------------------------------


def _losses(
    kind: str,
    outputs: ArrayLike | Sequence[ArrayLike],
    strings: Sequence[ArrayLike] | NDArray[Any],
    blank: int,
    temperature: float,
    penalties: bool,
    j: float | None,
    grammar: Grammar | None,
    gradient: bool,
) -> StringLosses:
    flat, positions, shape = _flat_outputs(outputs)
    classes = flat.shape[1]
    blank = checks.whole("blank", blank, 0, classes - 1)
    scale = evidence_scale(temperature, penalties)
    rubbish = math.inf if j is None else checks.real("j", j, 0.0)
    labels = _checked_strings(strings, len(positions))
    automaton = None if grammar is None else _checked_grammar(grammar, classes)
    losses = np.zeros(len(positions))
    slopes = None
    if checks.truth("gradient", gradient):
        _core.check_memory("gradients", flat.nbytes, _FEWER)
        slopes = np.empty_like(flat)
    refused = _core.string_losses(
        kind,
        flat,
        positions,
        _core_labels(labels),
        [len(label) for label in labels],
        blank,
        scale,
        rubbish,
        automaton,
        losses,
        slopes,
    )
    if refused is not None:
        row, why = refused
        raise refusal(why, row, labels[row], positions[row], classes, blank)
    if slopes is None:
        return StringLosses(losses, None)
    if shape is None:
        return StringLosses(losses, np.split(slopes, np.cumsum(positions)[:-1]))
    return StringLosses(losses, slopes.reshape(shape))


def _flat_outputs(
    outputs: ArrayLike | Sequence[ArrayLike],
) -> tuple[Floats, list[int], tuple[int, ...] | None]:
    """Give outputs one below the other, the positions of each, and the shape of one array."""
    if isinstance(outputs, (list, tuple)):
        strips = [_strip(f"outputs: row {i}", strip, 2) for i, strip in enumerate(outputs)]
        if not strips:
            raise ValueError(
                "outputs: an empty list, want an array (positions, classes) for each string"
            )
        for i, strip in enumerate(strips):
            if strip.shape[1] != strips[0].shape[1]:
                raise ValueError(
                    f"outputs: row {i} has {strip.shape[1]} classes, want {strips[0].shape[1]} as "
                    "the first has"
                )
        return np.concatenate(strips), [len(strip) for strip in strips], None
    array = _strip("outputs", outputs, 3)
    n, positions, classes = array.shape
    return array.reshape(-1, classes), [positions] * n, array.shape


def _strip(name: str, value: Any, ndim: int) -> Floats:
    array = checks.numbers(name, value, "fiu")
    wanted = "(N, positions, classes) or a list of (positions, classes)"
    if array.ndim != ndim:
        wanted = "(positions, classes)" if ndim == 2 else wanted
        raise ValueError(f"{name}: shape {array.shape}, want {wanted}")
    if 0 in array.shape[ndim - 2 :]:
        raise ValueError(f"{name}: shape {array.shape}, want a position and a class at least")
    if array.dtype != np.float32 or not array.flags.c_contiguous:
        _core.check_memory(f"{name}: a float32 copy", 4 * array.size, _FEWER)
    with np.errstate(over="ignore"):  # what overflows is infinite, which the core tells
        return np.require(array, np.float32, ["C", "A"])


def _checked_strings(strings: Any, n: int) -> list[NDArray[np.int64]]:
    """Give the classes of each string, which the core will check."""
    labels = []
    for i, string in enumerate(checks.items("strings", strings, "strings")):
        name = f"strings: row {i}"
        if isinstance(string, (str, bytes)):
            raise TypeError(f"{name}: got {checks.short(string)}, want the class of each character")
        label = checks.array(name, string)
        if label.ndim != 1:
            raise ValueError(
                f"{name}: shape {label.shape}, want one dimension: a class a character"
            )
        if label.size and label.dtype.kind not in "iu":
            raise TypeError(f"{name}: dtype {label.dtype}, want integers")
        labels.append(label.astype(np.int64))
    if len(labels) != n:
        raise ValueError(f"strings: got {len(labels)}, want {n}: one for each row of the outputs")
    return labels


def _core_labels(labels: list[NDArray[np.int64]]) -> NDArray[np.int32]:
    """Give them one behind the other; those that int32 does not hold stay such as no class has."""
    flat = np.concatenate([*labels, np.zeros(0, np.int64)])
    labels_in_core: NDArray[np.int32] = np.clip(flat, -1, 2**31 - 1).astype(np.int32)
    return labels_in_core


def _checked_grammar(grammar: Any, classes: int) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    pair = tuple(checks.items("grammar", grammar, "two arrays: next and accept"))
    if len(pair) != 2:
        raise ValueError(f"grammar: got {len(pair)} arrays, want two: next and accept")
    following = checks.numbers("grammar: next", pair[0], "iu")
    accept = checks.numbers("grammar: accept", pair[1], "iub")
    if accept.ndim != 1 or not accept.size or following.shape != (len(accept), classes):
        raise ValueError(
            f"grammar: next {following.shape} and accept {accept.shape}, want (states, {classes}) "
            "and (states,)"
        )
    least, most = int(following.min()), int(following.max())
    if least < -1 or most >= len(accept):
        raise ValueError(
            f"grammar: next has {least if least < -1 else most}, want -1 to {len(accept) - 1}"
        )
    return following.astype(np.int32), (accept != 0).astype(np.uint8)
