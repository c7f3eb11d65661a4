"""From a network's outputs along a strip to the string that it shows.

A network that is swept over a line of characters gives evidence for each class at each position. A
path takes one class a position; it spells what is left when runs of one class are made one and the
blank class, which stands between and around characters, is left out. A string's probability is the
sum over all paths that spell it (forward training has the same sum: LeCun et al. 1998, section
VI.C). `decode` looks for the likeliest strings, among those that a pattern, a lexicon or a length
allows: composition with a grammar as in sections VII and X, by sums in place of the best path.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lenet_c import _core, checks, classes, patterns
from lenet_c.losses import evidence_scale

BEAM = 8
"""Beginnings of strings that `decode` follows at once."""

_CHEAP = 1 << 14  # positions times edges: the sum over all accepted strings takes some 0.1 ms


@dataclass(frozen=True, eq=False)
class Decoded:
    """A string that a strip shows.

    Attributes
    ----------
    text : str
        The names of its characters' classes, one after another.
    classes : tuple of int
        Its characters' classes.
    log_probability : float
        Natural logarithm of its probability among all strings, accepted or not, so that it is low
        where the picture shows something else.
    log_accepted : float
        The same of all strings together that the pattern, lexicon or length accepts: 0 without
        these; minus infinity where nothing is found; NaN where it was not computed, or the
        probability is below 1e-250.
    confidence : float64 array (characters,)
        How probable it is that a character of this class stands in this place, between the end of
        the character before and the beginning of the next: that one begins there, summed over all
        paths (of accepted strings, where there is a condition). Where `log_accepted` is NaN, it is
        the share of the strings that the search ended with in which one does, by their
        probabilities.
    spans : int32 array (characters, 2)
        The first and the last position of each character, on the string's likeliest path (of equal
        paths the one that moves on first).
    found : bool
        False if no accepted string can be spelt in the positions there are; then the text is empty
        and its probability 0.
    alternatives : tuple of Decoded
        The next likeliest strings, which have no alternatives of their own.
    """

    text: str
    classes: tuple[int, ...]
    log_probability: float
    log_accepted: float
    confidence: NDArray[np.float64] = field(repr=False)
    spans: NDArray[np.int32] = field(repr=False)
    found: bool = True
    alternatives: tuple[Decoded, ...] = ()

    @property
    def probability(self) -> float:
        """Its probability among all strings, accepted or not."""
        return math.exp(self.log_probability)

    @property
    def probability_accepted(self) -> float:
        """Its probability among the accepted strings; NaN where `log_accepted` is."""
        if not self.found:
            return 0.0
        if math.isnan(self.log_accepted):
            return math.nan
        return math.exp(min(0.0, self.log_probability - self.log_accepted))


def decode(
    outputs: ArrayLike,
    class_names: str | Iterable[str],
    blank: int,
    *,
    pattern: str | None = None,
    lexicon: Iterable[str | Sequence[str]] | None = None,
    length: int | tuple[int, int] | None = None,
    automaton: patterns.Automaton | None = None,
    n_best: int = 1,
    beam: int | None = None,
    temperature: float = 1.0,
    penalties: bool = False,
    total: bool | None = None,
) -> Decoded:
    r"""Find the likeliest string of a strip, by prefix beam search.

    Parameters
    ----------
    outputs : array (positions, classes)
        Logits, or penalties, of all classes, the blank among them; computed with in float32. There
        may be no positions.
    class_names : str or iterable of str
        The classes in their order, without the blank or with any name in its place.
    blank : int
        Which class is the blank.
    pattern, lexicon, length : optional
        Which strings can be, as `patterns.automaton` has them; compiled for this call.
    automaton : patterns.Automaton, optional
        In their place: `patterns.automaton(class_names, ...)`, compiled once for many calls.
    n_best : int
        How many strings are wanted, the best one among them.
    beam : int, optional
        How many beginnings of strings are followed at once, up to 4096; `BEAM`, or `n_best` if that
        is more. Twice as many take twice as long, and find the likeliest string more surely.
    temperature : float
        The outputs are divided by it, from 1e-30 to 1e30; above 1, probabilities are more even.
    penalties : bool
        Whether outputs are penalties, as those of RBF units, of which the lowest is likeliest.
    total : bool, optional
        Whether to sum over all accepted strings, for `log_accepted` and for confidences that do not
        depend on the search. None: where positions times the automaton's edges are few.

    Returns
    -------
    Decoded
        An accepted string wherever one can be spelt in the positions; else its `found` is False.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.

    Notes
    -----
    The same outputs give the same answer on every run and on any thread. Of strings of equal
    probability, the one with the lower class first, or that ends first, comes first; where the beam
    is full, a beginning stays that was there before one of equal probability.

    Examples
    --------
    >>> outputs = np.log([[0.1, 0.1, 0.8], [0.6, 0.3, 0.1], [0.1, 0.5, 0.4]])
    >>> decode(outputs, "ab", blank=2).text, decode(outputs, "ab", 2, pattern="a").text
    ('ab', 'a')
    """
    evidence = _evidence(outputs, temperature, penalties)
    n_classes = evidence.shape[1]
    blank = checks.whole("blank", blank, 0, n_classes - 1)
    names = _names(class_names, n_classes, blank)
    n_best = checks.whole("n_best", n_best, 1, _core.MAX_BEAM)
    width = max(BEAM, n_best) if beam is None else checks.whole("beam", beam, 1, _core.MAX_BEAM)
    if width < n_best:
        raise ValueError(f"beam: got {beam}, want at least n_best, {n_best}")
    conditions = {"pattern": pattern, "lexicon": lexicon, "length": length}
    given = [name for name, value in conditions.items() if value is not None]
    if automaton is not None:
        checks.instance("automaton", automaton, patterns.Automaton, "patterns.automaton(...)")
        if given:
            raise ValueError(f"{given[0]}: got one beside automaton=, want only one of the two")
        if automaton.class_names != names:
            raise ValueError(
                f"automaton: of the classes {classes.shortened(automaton.class_names)}, want "
                f"{classes.shortened(names)}"
            )
    elif given:
        automaton = patterns.automaton(names, pattern=pattern, lexicon=lexicon, length=length)
    grammar = None if automaton is None else automaton.grammar(blank)
    if total is not None:
        checks.truth("total", total)
    elif grammar is not None:
        total = grammar.n_edges * len(evidence) <= _CHEAP
    found, log_accepted = _core.decode(evidence, blank, width, n_best, grammar, bool(total))
    if not found:
        none = np.empty((0, 2), np.int32)
        return Decoded("", (), -math.inf, log_accepted, np.empty(0), none, found=False)
    whole = math.fsum(math.exp(one[1]) for one in found)
    excess = math.log(whole) if whole > 1.0 else 0.0  # by rounding
    others = tuple(_decoded(one, names, blank, log_accepted, excess) for one in found[1:])
    return _decoded(found[0], names, blank, log_accepted, excess, others)


def best_path(
    outputs: ArrayLike,
    class_names: str | Iterable[str],
    blank: int,
    *,
    temperature: float = 1.0,
    penalties: bool = False,
) -> Decoded:
    """Read off the likeliest class of each position: the string of the single likeliest path.

    Parameters
    ----------
    outputs, class_names, blank, temperature, penalties
        As for `decode`.

    Returns
    -------
    Decoded
        Its `log_probability` is that of the path alone, less than the string's. Of equal classes
        the lower one is taken.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.
    """
    evidence = _evidence(outputs, temperature, penalties)
    blank = checks.whole("blank", blank, 0, evidence.shape[1] - 1)
    names = _names(class_names, evidence.shape[1], blank)
    return _decoded(_core.best_path(evidence, blank)[0], names, blank, 0.0, 0.0)


class Seen(NamedTuple):
    """A string that several views of a strip show: see `Decoded`."""

    text: str
    log_probability: float  # of the mean of its probabilities in all of them
    confidence: NDArray[np.float64]  # the mean likewise
    spans: NDArray[np.int32]
    view: int  # the first that shows it, which spans are of

    @property
    def probability(self) -> float:
        """The mean of its probabilities."""
        return math.exp(self.log_probability)


def together(views: Sequence[Decoded]) -> list[Seen]:
    """Give the strings of several views, the likeliest first.

    Parameters
    ----------
    views : sequence of Decoded
        Of one strip. A string that is not among one's alternatives has no probability there.

    Returns
    -------
    list of Seen
        None where nothing was found in any.
    """
    found: dict[tuple[int, ...], list[tuple[int, Decoded]]] = {}
    for view, best in enumerate(views):
        for one in (best, *best.alternatives) if best.found else ():
            found.setdefault(one.classes, []).append((view, one))
    seen = []
    for shown in found.values():
        (view, first), logs = shown[0], [one.log_probability for _, one in shown]
        largest = max(logs)
        mean = math.fsum(math.exp(value - largest) for value in logs) / len(views)
        confidence = sum(one.confidence for _, one in shown) / len(views)
        seen.append(
            Seen(first.text, largest + math.log(mean), np.asarray(confidence), first.spans, view)
        )
    return sorted(seen, key=lambda one: -one.log_probability)


def _decoded(
    found: _core.Found,
    names: tuple[str, ...],
    blank: int,
    log_accepted: float,
    excess: float,
    alternatives: tuple[Decoded, ...] = (),
) -> Decoded:
    places, log_probability, spans, confidence = found
    return Decoded(
        "".join([names[place - (place > blank)] for place in places]),
        tuple(places),
        log_probability - excess,
        log_accepted,
        confidence,
        spans,
        alternatives=alternatives,
    )


def _evidence(outputs: ArrayLike, temperature: float, penalties: bool) -> NDArray[np.float32]:
    given = checks.numbers("outputs", outputs)
    if given.ndim != 2 or given.shape[1] < 1:
        raise ValueError(f"outputs: shape {given.shape}, want (positions, classes) of one strip")
    scale = evidence_scale(temperature, penalties)
    if scale == 1.0:
        return np.ascontiguousarray(given, np.float32)  # the core sees whether it is finite
    with np.errstate(over="ignore", invalid="ignore"):
        return np.ascontiguousarray(given * scale, np.float32)


def _names(given: str | Iterable[str], n_classes: int, blank: int) -> tuple[str, ...]:
    """Give the names of the classes but the blank."""
    names = classes.letters(given)
    if not isinstance(names, tuple):
        names = tuple(checks.items("class_names", names, "names"))
    if len(names) == n_classes:
        names = names[:blank] + names[blank + 1 :]
    if len(names) != n_classes - 1:
        raise ValueError(
            f"class_names: got {len(names)}, want {n_classes - 1}, or {n_classes} with one for the "
            f"blank, for outputs of {n_classes} classes"
        )
    return _checked(names)


@functools.lru_cache(maxsize=64)
def _checked(names: tuple[str, ...]) -> tuple[str, ...]:
    return classes.checked_names("class_names", names) if names else ()
