r"""Which strings can be: patterns, lexicons and lengths, compiled to automata over class names.

An `Automaton` is the smallest deterministic one that accepts the strings that all of its conditions
allow. `decoding.decode` composes it with a network's outputs, as the paper composes graphs (LeCun
et al. 1998, section VIII) and reads amounts by a grammar (section X).

Patterns are regular expressions as Python's `re.fullmatch` takes them, without what needs memory or
looks around::

    a \. \x41 \u20ac     a character, which must be a class
    .                    any class
    \d \w \s \D \W \S    the classes that are digits; letters, digits or _; white space; others
    [0-9a-f] [^-.]       a set of classes; characters that are no class are ignored
    ab  a|b  (a)  (?:a)  one after another, one or another, groups
    * + ? {3} {3,} {3,5} {,5}    repetition

`^` at the beginning and `$` at the end mean nothing: a whole line is matched.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from lenet_c import _core, checks, classes

States = NDArray[np.int32]

MAX_STATES = 10_000
"""States of a pattern's automaton."""

MAX_ENTRIES = 1 << 26
"""States times classes of any automaton."""

_MAX_PLACES = 5_000  # characters and sets of a pattern, counted as often as they are repeated
_MAX_WORK = 5_000_000  # steps of the construction, a second or two
_MAX_DEPTH = 100  # groups in groups


class Automaton:
    """A deterministic automaton over class names, minimal; made by `automaton`.

    Attributes
    ----------
    class_names : tuple of str
        The classes but the blank, in their order.
    following : int32 array (states, classes)
        The state that a class leads to; -1: none. Strings begin in state 0.
    accepting : bool array (states,)
        Where a string may end.

    Notes
    -----
    Equal sets of strings over equal classes have equal arrays: states are numbered as a walk from
    the first meets them, breadth first, the lower class first.
    """

    def __init__(
        self, class_names: tuple[str, ...], following: States, accepting: NDArray[np.bool_]
    ) -> None:
        self.class_names = class_names
        self.following = following
        self.accepting = accepting
        for array in (following, accepting):
            array.setflags(write=False)
        self._grammars: dict[int, _core.Grammar] = {}

    @property
    def n_states(self) -> int:
        """How many states there are."""
        return len(self.following)

    def accepts(self, string: str | Sequence[str]) -> bool:
        """Tell whether a string, or a sequence of class names, is among those that can be."""
        places = {name: place for place, name in enumerate(self.class_names)}
        state = 0
        for name in string:
            if name not in places:
                return False
            state = int(self.following[state, places[name]])
            if state < 0:
                return False
        return bool(self.accepting[state])

    def grammar(self, blank: int) -> _core.Grammar:
        """Give what the core reads, for outputs whose class `blank` is the blank."""
        if blank not in self._grammars:
            following = np.insert(self.following, blank, -1, axis=1)
            self._grammars[blank] = _core.Grammar(following, self.accepting.astype(np.uint8), blank)
        return self._grammars[blank]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_grammars": {}}

    def __repr__(self) -> str:
        return f"Automaton({self.n_states} states over {classes.shortened(self.class_names)})"


def automaton(
    class_names: str | Iterable[str],
    *,
    pattern: str | None = None,
    lexicon: Iterable[str | Sequence[str]] | None = None,
    length: int | tuple[int, int] | None = None,
) -> Automaton:
    r"""Compile conditions to the automaton that accepts the strings which meet them all.

    Parameters
    ----------
    class_names : str or iterable of str
        The classes but the blank, in their order: "0123456789", or a list of names.
    pattern : str, optional
        A regular expression for the whole string (see the module). Its classes need names of one
        character.
    lexicon : iterable of str or of sequences of names, optional
        The strings that can be; sequences of names, as ("ten", "4"), where a name is longer than
        one character.
    length : int or (int, int), optional
        How many characters a string has, or the least and the most.

    Returns
    -------
    Automaton
        Compiled once, it serves any number of readings.

    Raises
    ------
    TypeError
        If an argument is of the wrong type.
    ValueError
        If the pattern is none, or has what is not supported; if a character of it, or of a word, is
        no class; if an automaton grows too large; or if no string meets the conditions.

    Examples
    --------
    >>> zip_code = automaton("0123456789-", pattern=r"\d{5}(-\d{4})?")
    >>> zip_code.accepts("90210"), zip_code.accepts("9021")
    (True, False)
    """
    names = classes.checked_names("class_names", classes.letters(class_names))
    parts = []
    if pattern is not None:
        parts.append(_of_pattern(checks.instance("pattern", pattern, str, "a text"), names))
    if lexicon is not None:
        parts.append(_of_lexicon(lexicon, names))
    if length is not None:
        parts.append(_of_length(length, len(names)))
    small: _Machine | None = parts.pop(0) if parts else _everything(len(names))
    for part in [*parts, None]:
        small = small and _smallest(small)
        small = _both(small, part) if small and part else small
    if small is None:
        given = {"pattern": pattern, "lexicon": lexicon, "length": length}
        told = " and ".join(name for name, value in given.items() if value is not None)
        raise ValueError(
            f"{told}: no string over the classes {classes.shortened(names)} can be, want at least "
            "one"
        )
    return Automaton(names, small.following, small.accepting)


# ---- automata ------------------------------------------------------------------------------------


class _Machine(NamedTuple):
    """A deterministic automaton; state 0 is the first, and all are reached from there."""

    following: States
    accepting: NDArray[np.bool_]


def _check_size(name: str, states: int, n_classes: int) -> None:
    if states * n_classes > MAX_ENTRIES:
        raise ValueError(
            f"{name}: its automaton has {states} states or more, want at most "
            f"{MAX_ENTRIES // n_classes} for {n_classes} classes"
        )
    _core.check_memory(f"{name}: its automaton", 4 * states * n_classes)


def _everything(n_classes: int) -> _Machine:
    return _Machine(np.zeros((1, n_classes), np.int32), np.array([True]))


def _of_length(length: object, n_classes: int) -> _Machine:
    if isinstance(length, tuple) and len(length) == 2:
        least = checks.whole("length", length[0], 0)
        most = checks.whole("length", length[1], least)
    elif isinstance(length, (tuple, list)):
        raise TypeError(f"length: got {checks.short(length)}, want a number or (least, most)")
    else:
        least = most = checks.whole("length", length, 0)
    _check_size("length", most + 1, n_classes)
    following = np.repeat(np.arange(1, most + 2, dtype=np.int32)[:, None], n_classes, axis=1)
    following[most] = -1
    return _Machine(following, np.arange(most + 1) >= least)


def _both(a: _Machine, b: _Machine) -> _Machine:
    """Give the automaton of the strings that both accept: its states are pairs."""
    size = len(b.following)
    pairs = frontier = np.zeros(1, np.int64)
    rows = []
    while len(frontier):
        one, other = a.following[frontier // size], b.following[frontier % size]
        row = np.where((one >= 0) & (other >= 0), one * np.int64(size) + other, -1)
        rows.append(row)
        frontier = np.setdiff1d(row[row >= 0], pairs)
        pairs = np.concatenate((pairs, frontier))
        _check_size("pattern, lexicon and length together", len(pairs), row.shape[1])
    order = np.argsort(pairs)
    following = np.concatenate(rows)
    there = following >= 0
    following[there] = order[np.searchsorted(pairs, following[there], sorter=order)]
    accepting = a.accepting[pairs // size] & b.accepting[pairs % size]
    return _Machine(following.astype(np.int32), accepting)


def _walk(following: States) -> NDArray[np.int64]:
    """List the states that a walk from the first meets, in its order."""
    seen = np.zeros(len(following), bool)
    seen[0] = True
    found = [np.zeros(1, np.int64)]
    while len(found[-1]):
        reached = following[found[-1]].ravel()
        reached = reached[reached >= 0]
        reached = reached[~seen[reached]]
        _, first = np.unique(reached, return_index=True)
        found.append(reached[np.sort(first)].astype(np.int64))
        seen[found[-1]] = True
    return np.concatenate(found)


def _kept(machine: _Machine, states: NDArray[np.int64]) -> _Machine:
    """Give the automaton of some of its states, in this order."""
    new = np.full(len(machine.following) + 1, -1, np.int32)  # the last is that of -1
    new[states] = np.arange(len(states), dtype=np.int32)
    return _Machine(new[machine.following[states]], machine.accepting[states])


def _smallest(machine: _Machine) -> _Machine | None:
    """Give the minimal automaton, its states in the order of a walk; None: it accepts nothing."""
    merged = _merged(machine)
    if merged is None:
        return None
    return _kept(merged, _walk(merged.following))


def _merged(machine: _Machine) -> _Machine | None:
    """Merge states from which the same strings are accepted; without those that accept none."""
    following, accepting = machine
    n = len(following)
    sources, columns = np.nonzero(following >= 0)
    targets = following[sources, columns]
    order = np.argsort(targets, kind="stable")
    into = sources[order]  # the states before each state
    begin = np.searchsorted(targets[order], np.arange(n + 1))

    def before(states: NDArray[np.int64]) -> NDArray[np.int64]:
        counts = begin[states + 1] - begin[states]
        offsets = np.repeat(begin[states] - np.cumsum(counts) + counts, counts)
        return np.asarray(into[offsets + np.arange(counts.sum())])

    # how many characters it takes to an accepting state; -1: none is reached
    level = np.where(accepting, 0, -1)
    frontier = np.flatnonzero(accepting)
    while len(frontier):
        reached = np.unique(before(frontier))
        reached = reached[level[reached] < 0]
        level[reached] = level[frontier[0]] + 1
        frontier = reached
    if level[0] < 0:
        return None
    alive = level >= 0
    to = np.where((following >= 0) & alive[following], following, -1)  # the last row is that of -1

    # from the ends backward: a state is done when all that it leads to are, and has a number by
    # what it accepts and where it leads
    number = np.full(n + 1, -1, np.int64)
    left = (to >= 0).sum(axis=1)
    frontier = np.flatnonzero(alive & (left == 0))
    rows: list[NDArray[np.int64]] = []
    count = n_done = 0
    while len(frontier):
        n_done += len(frontier)
        row, place = _distinct(np.column_stack((accepting[frontier], number[to[frontier]])))
        number[frontier] = count + place
        rows.append(row)
        count += len(row)
        reached, times = np.unique(before(frontier), return_counts=True)
        left[reached] -= times
        frontier = reached[left[reached] == 0]
    if n_done == alive.sum():
        table = np.concatenate(rows)
    else:  # there are circles
        number[:n], table = _refined(accepting, to, level)
    first = int(number[0])
    swap = np.arange(len(table) + 1)
    swap[[0, first]] = swap[[first, 0]]
    swap[-1] = -1
    table = table[swap[:-1]]
    return _Machine(swap[table[:, 1:]].astype(np.int32), table[:, 0].astype(bool))


def _distinct(keys: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give the distinct rows, and the place of each row among them."""
    if len(keys) == 1:
        return keys, np.zeros(1, np.int64)
    # by a number that is rarely that of two rows: sorting many columns takes long
    factors = np.random.default_rng(0).integers(1 << 62, size=keys.shape[1])
    _, first, place = np.unique(keys @ factors, return_index=True, return_inverse=True)
    if (keys[first][place] != keys).any():
        place = np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1)
        first = np.unique(place, return_index=True)[1]
    return keys[first], place


def _refined(
    accepting: NDArray[np.bool_], to: States, level: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Part the states until those of one part lead to the same parts (Moore's algorithm)."""
    number = level.copy()  # states of different levels are not alike
    columns = np.unique(to, axis=1)  # most classes lead alike
    living = np.flatnonzero(level >= 0)
    count = 0
    while True:
        keys = np.column_stack((number[living], np.append(number, -1)[columns[living]]))
        rows, place = _distinct(keys)
        number[living] = place
        if len(rows) == count:
            break
        count = len(rows)
    first = living[np.unique(place, return_index=True)[1]]
    return number, np.column_stack((accepting[first], np.append(number, -1)[to[first]]))


# ---- lexicons ------------------------------------------------------------------------------------


def _places_of(words: list[Any], places: dict[str, int]) -> NDArray[np.int32] | list[int]:
    """Give the class of each character of all words, one after another; -1: none."""
    if not all(isinstance(word, str) for word in words):
        return [places.get(name, -1) for word in words for name in word]
    text = "".join(words).encode("utf-32-le", "surrogatepass")
    points, kinds = np.unique(np.frombuffer(text, np.uint32), return_inverse=True)
    return np.array([places.get(chr(point), -1) for point in points], np.int32)[kinds]


def _of_lexicon(lexicon: object, names: tuple[str, ...]) -> _Machine:
    places = {name: place for place, name in enumerate(names)}
    words: list[Any] = list(checks.items("lexicon", lexicon, "strings, or of lists of names"))
    for row, word in enumerate(words):
        if not isinstance(word, str) and not (
            isinstance(word, (tuple, list)) and all(isinstance(name, str) for name in word)
        ):
            raise TypeError(
                f"lexicon: word {row} is {checks.short(word)}, want a text or a list of names"
            )
    if not words:
        raise ValueError("lexicon: got no words, want at least one")
    lengths = np.array([len(word) for word in words])
    longest = int(lengths.max())
    _core.check_memory("lexicon: its words", 8 * len(words) * (longest + 1))
    letters = _places_of(words, places)
    coded = np.full((len(words), longest + 1), -1, np.int32)
    coded[np.arange(longest + 1) < lengths[:, None]] = letters
    bad = np.flatnonzero((coded >= 0).sum(axis=1) != lengths)
    if len(bad):
        word = words[bad[0]]
        name = next(name for name in word if name not in places)
        hint = ""
        if isinstance(word, str) and any(len(name) > 1 for name in names):
            hint = "; names of more than one character need words as lists of names"
        raise ValueError(
            f"lexicon: word {bad[0]}, {checks.short(word)}, has {name!r}, want the classes "
            f"{classes.shortened(names)}{hint}"
        )
    # a word below the one before it adds a state for each character past what both begin with
    order = np.lexsort(coded.T[::-1])
    coded, lengths = coded[order], lengths[order]
    differs = coded[1:] != coded[:-1]
    apart = np.append(0, np.where(differs.any(axis=1), differs.argmax(axis=1), longest + 1))
    is_new = (np.arange(longest + 1) >= apart[:, None]) & (
        np.arange(longest + 1) < lengths[:, None]
    )
    n_states = 1 + int(is_new.sum())
    _check_size("lexicon", n_states, len(names))
    following = np.full((n_states, len(names)), -1, np.int32)
    accepting = np.zeros(n_states, bool)
    state = np.zeros(len(words), np.int64)  # of each word, after so many characters
    n_states = 1
    for depth in range(longest + 1):
        accepting[state[lengths == depth]] = True
        going = lengths > depth
        new = is_new[:, depth]
        after = n_states - 1 + np.cumsum(new)  # words that begin alike follow each other
        following[state[going], coded[going, depth]] = after[going]
        state = np.where(going, after, state)
        n_states += int(new.sum())
    return _Machine(following, accepting)


# ---- patterns ------------------------------------------------------------------------------------


class _Node(NamedTuple):
    """A part of a pattern."""

    kind: str  # "set", "all", "any" (one after another, one or another) or "repeat"
    parts: tuple[_Node, ...] = ()
    classes: int = 0  # of a set, a bit each
    least: int = 0
    most: int | None = None
    at: int = 0  # where it is in the pattern


def _fail(pattern: str, at: int, what: str) -> NoReturn:
    shown = checks.escaped(pattern)
    mark = len(checks.escaped(pattern[:at]))
    begin = max(0, mark - 60)
    raise ValueError(
        f"pattern: at position {at}: {what}\n"
        f"  {shown[begin : mark + 20]}\n"
        f"  {' ' * (mark - begin)}^"
    )


_KINDS = {
    "d": str.isdecimal,
    "w": lambda name: name.isalnum() or name == "_",
    "s": str.isspace,
}
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v", "a": "\a"}
_HEXADECIMAL = {"x": 2, "u": 4, "U": 8}


class _Parser:
    """Reads a pattern by recursive descent."""

    def __init__(self, pattern: str, names: tuple[str, ...]) -> None:
        self.pattern = pattern
        self.at = 0
        self.end = len(pattern)
        self.names = names
        self.bits = {name: 1 << place for place, name in enumerate(names)}
        self.every = (1 << len(names)) - 1
        self.depth = 0

    def parse(self) -> _Node:
        if self.pattern.startswith("^"):
            self.at = 1
        body = self.pattern[self.at :]
        slashes = len(body) - 1 - len(body[:-1].rstrip("\\"))
        if body.endswith("$") and slashes % 2 == 0:
            self.end -= 1
        node = self.alternatives()
        if self.at < self.end:
            self.fail("a ) without its (")
        return node

    def fail(self, what: str, at: int | None = None) -> NoReturn:
        _fail(self.pattern, self.at if at is None else at, what)

    def peek(self) -> str:
        return self.pattern[self.at] if self.at < self.end else ""

    def alternatives(self) -> _Node:
        parts = [self.sequence()]
        while self.peek() == "|":
            self.at += 1
            parts.append(self.sequence())
        return parts[0] if len(parts) == 1 else _Node("any", tuple(parts))

    def sequence(self) -> _Node:
        parts = []
        while self.peek() not in ("", "|", ")"):
            parts.append(self.repeated())
        return parts[0] if len(parts) == 1 else _Node("all", tuple(parts))

    def repeated(self) -> _Node:
        at = self.at
        node = self.atom()
        limits = self.quantifier()
        if limits is None:
            return node
        if self.peek() == "?":
            self.fail("lazy repetition is not supported: a whole line is matched either way")
        if self.peek() == "+":
            self.fail("possessive repetition is not supported")
        again = self.at
        if self.quantifier() is not None:
            self.fail("a repetition of a repetition, want a group (?: ) around the first", again)
        return _Node("repeat", (node,), least=limits[0], most=limits[1], at=at)

    def quantifier(self) -> tuple[int, int | None] | None:
        here = self.peek()
        if here in ("*", "+", "?") and here:
            self.at += 1
            return {"*": (0, None), "+": (1, None), "?": (0, 1)}[here]
        if here != "{":
            return None
        close = self.pattern.find("}", self.at, self.end)
        least, comma, most = self.pattern[self.at + 1 : max(close, 0)].partition(",")
        if close < 0 or not all(n.isascii() and (n.isdigit() or not n) for n in (least, most)):
            return None
        if not (least or comma):
            return None  # {} is two characters
        if max(len(least), len(most)) > 6:
            self.fail(f"a repetition of more than {_MAX_PLACES} times, which is too often")
        limits = int(least or 0), (int(most) if most else None) if comma else int(least)
        if limits[1] is not None and limits[1] < limits[0]:
            self.fail(f"at most {limits[1]} times, but at least {limits[0]}")
        self.at = close + 1
        return limits

    def atom(self) -> _Node:
        at = self.at
        here = self.peek()
        if here == "(":
            return self.group()
        if here == "[":
            return self.set()
        if here == ".":
            self.at += 1
            return _Node("set", classes=self.every, at=at)
        if here == "\\":
            return _Node("set", classes=self.escape(in_set=False)[0], at=at)
        if here in ("*", "+", "?") or (here == "{" and self.quantifier() is not None):
            self.fail("nothing to repeat", at)
        if here in ("^", "$"):
            self.fail(
                f"{here} within a pattern is not supported: a whole line is matched; "
                f"\\{here} is the character"
            )
        self.at += 1
        return _Node("set", classes=self.literal(here, at), at=at)

    def literal(self, character: str, at: int) -> int:
        if character not in self.bits:
            self.fail(
                f"{character!r} is no class, want one of {classes.shortened(self.names, 100)}", at
            )
        return self.bits[character]

    def group(self) -> _Node:
        at = self.at
        self.at += 1
        if self.peek() == "?":
            if self.pattern[self.at : self.at + 2] != "?:":
                self.fail("of groups with (? only (?: is supported", at)
            self.at += 2
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            self.fail(f"more than {_MAX_DEPTH} groups in each other", at)
        node = self.alternatives()
        self.depth -= 1
        if self.peek() != ")":
            self.fail("a ( without its )", at)
        self.at += 1
        return node

    def escape(self, in_set: bool) -> tuple[int, str | None]:
        """Read an escape: the classes it means and, where it is one, the character."""
        at = self.at
        self.at += 1
        here = self.peek()
        self.at += 1
        if not here:
            self.fail("a \\ with nothing behind it", at)
        if here.lower() in _KINDS:
            found = sum(self.bits[n] for n in self.names if _KINDS[here.lower()](n))
            return (found if here.islower() else self.every & ~found), None
        if here in _HEXADECIMAL:
            n = _HEXADECIMAL[here]
            digits = self.pattern[self.at : min(self.at + n, self.end)]
            if len(digits) < n or not all(d in "0123456789abcdefABCDEF" for d in digits):
                self.fail(f"\\{here} needs {n} hexadecimal digits", at)
            if int(digits, 16) > 0x10FFFF:
                self.fail("no character has this number", at)
            self.at += n
            character = chr(int(digits, 16))
        elif here in _CONTROLS:
            character = _CONTROLS[here]
        elif here.isascii() and here.isdigit():
            self.fail("back references, and characters in octal, are not supported", at)
        elif here.isascii() and here.isalpha():
            self.fail(f"\\{here} is not supported", at)
        else:
            character = here
        return (self.bits.get(character, 0) if in_set else self.literal(character, at)), character

    def set(self) -> _Node:
        at = self.at
        self.at += 1
        negated = self.peek() == "^"
        self.at += negated
        found = 0
        first = True
        while first or self.peek() != "]":
            if not self.peek():
                self.fail("a [ without its ]", at)
            first = False
            begin = self.at
            member, low = self.member()
            dash = self.peek() == "-" and self.pattern[self.at + 1 : self.end][:1] not in ("", "]")
            if dash:
                self.at += 1
                high = self.member()[1]
                if low is None or high is None or high < low:
                    self.fail("a range needs two characters, the lower one first", begin)
                member = sum(self.bits[n] for n in self.names if low <= n <= high)
            found |= member
        self.at += 1
        return _Node("set", classes=self.every & ~found if negated else found, at=at)

    def member(self) -> tuple[int, str | None]:
        if self.peek() == "\\":
            return self.escape(in_set=True)
        self.at += 1
        character = self.pattern[self.at - 1]
        return self.bits.get(character, 0), character


class _Ends(NamedTuple):
    """Of a part of a pattern: whether it may be empty, and places where it may begin and end."""

    empty: bool
    first: int
    last: int


class _Builder:
    """Turns a pattern into an automaton: a state is the set of places that may have come last.

    Each character or set of the pattern, as often as it is repeated, is a place, a bit of an
    integer (Glushkov's construction; then that of subsets).
    """

    def __init__(self, pattern: str, names: tuple[str, ...]) -> None:
        self.pattern = pattern
        self.n_classes = len(names)
        self.accepts: list[int] = [0]  # of a place: its classes; the first is the beginning
        self.follow: list[int] = [0]  # of a place: those that may come next
        self.work = 0

    def spend(self, steps: int, at: int) -> None:
        self.work += steps
        if len(self.accepts) > _MAX_PLACES or self.work > _MAX_WORK:
            _fail(
                self.pattern,
                at,
                f"too large: more than {_MAX_PLACES} characters and sets, counted as often as they "
                "are repeated, or too many ways through them",
            )

    def link(self, last: int, first: int, at: int) -> None:
        while last:
            low = last & -last
            self.follow[low.bit_length() - 1] |= first
            last ^= low
            self.spend(1, at)

    def ends(self, node: _Node) -> _Ends:
        self.spend(1, node.at)
        if node.kind == "set":
            self.accepts.append(node.classes)
            self.follow.append(0)
            bit = 1 << (len(self.accepts) - 1)
            return _Ends(False, bit, bit)
        if node.kind == "any":
            choices = [self.ends(each) for each in node.parts]
            first = last = 0
            for choice in choices:
                first |= choice.first
                last |= choice.last
            return _Ends(any(choice.empty for choice in choices), first, last)
        if node.kind == "all":
            after = _Ends(True, 0, 0)
            for each in reversed(node.parts):
                after = self.joined(self.ends(each), after, node.at)
            return after
        return self.repeated(node)

    def joined(self, one: _Ends, after: _Ends, at: int) -> _Ends:
        self.link(one.last, after.first, at)
        return _Ends(
            one.empty and after.empty,
            one.first | (after.first if one.empty else 0),
            after.last | (one.last if after.empty else 0),
        )

    def repeated(self, node: _Node) -> _Ends:
        part = node.parts[0]
        if node.most is None:
            loop = self.ends(part)
            self.link(loop.last, loop.first, node.at)
            after = _Ends(loop.empty or node.least == 0, loop.first, loop.last)
            times = max(node.least - 1, 0)
        else:
            after = _Ends(True, 0, 0)
            for _ in range(node.most - node.least):  # a(a(a)?)?
                after = self.joined(self.ends(part), after, node.at)._replace(empty=True)
            times = node.least
        for _ in range(times):
            after = self.joined(self.ends(part), after, node.at)
        return after

    def build(self, node: _Node) -> _Machine:
        whole = self.ends(node)
        self.follow[0] = whole.first
        ending = whole.last | (1 if whole.empty else 0)
        by_class = [0] * self.n_classes
        for place, accepted in enumerate(self.accepts):
            while accepted:
                low = accepted & -accepted
                by_class[low.bit_length() - 1] |= 1 << place
                accepted ^= low
        alike: dict[int, list[int]] = {}  # classes that lead alike everywhere
        for c, places in enumerate(by_class):
            alike.setdefault(places, []).append(c)
        states = {1: 0}
        rows: list[list[int]] = []
        waiting = [1]
        for places in waiting:  # grows meanwhile
            self.spend(places.bit_count() + len(alike), 0)
            following, rest = 0, places
            while rest:
                low = rest & -rest
                following |= self.follow[low.bit_length() - 1]
                rest ^= low
            row = [-1] * self.n_classes
            for accepted, same in alike.items():
                after = following & accepted
                if not after:
                    continue
                if after not in states:
                    states[after] = len(states)
                    waiting.append(after)
                for c in same:
                    row[c] = states[after]
            rows.append(row)
            if len(states) > MAX_STATES:
                raise ValueError(
                    f"pattern: {checks.short(self.pattern)} needs more than {MAX_STATES} states, "
                    "want a simpler one"
                )
        accepting = np.array([places & ending != 0 for places in waiting])
        return _Machine(np.array(rows, np.int32), accepting)


def _of_pattern(pattern: str, names: tuple[str, ...]) -> _Machine:
    for name in names:
        if len(name) > 1:
            raise ValueError(
                f"pattern: the class {name!r} has a name of more than one character, for which "
                "there are no patterns; want lexicon= or length="
            )
    return _Builder(pattern, names).build(_Parser(pattern, names).parse())
