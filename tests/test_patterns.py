"""Automata of patterns, lexicons and lengths against Python's re, sets and len."""

import itertools
import pickle
import re
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lenet_c import patterns
from lenet_c.patterns import automaton


def strings(alphabet, longest):
    for n in range(longest + 1):
        for letters in itertools.product(alphabet, repeat=n):
            yield "".join(letters)


def made_if(wanted, alphabet, **conditions):
    """Give the automaton; none can be made if no string is wanted."""
    try:
        return automaton(alphabet, **conditions)
    except ValueError as error:
        if wanted or "no string over" not in str(error):
            raise
        return None


def same_as_re(pattern, alphabet, longest):
    """Compare an automaton with re.fullmatch on all strings; give it, or None: there is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of sets that re may read in another way some day
        compiled = re.compile(pattern)
    wanted = {s for s in strings(alphabet, longest) if compiled.fullmatch(s)}
    machine = made_if(wanted, alphabet, pattern=pattern)
    if machine is None:
        return None
    assert {s for s in strings(alphabet, longest) if machine.accepts(s)} == wanted
    return machine


@pytest.mark.parametrize(
    ("pattern", "states"),
    [
        ("a", 2),
        ("", 1),
        ("^ab$", 3),
        ("a|", 2),
        ("a|b|ab", 3),
        ("a*", 1),
        ("a+b?", 3),
        ("(a|b)*abb", 4),
        ("(a*)*", 1),
        ("(a*b*)+", 1),
        ("((a|b)?-)*", 2),
        ("a{3}", 4),
        ("a{2,}", 3),
        ("a{,2}", 3),
        ("a{0}", 1),
        ("(ab){2,3}", 7),
        ("(a?){3}", 4),
        ("(?:ab|a-)*b", 3),
        ("(aa|aaa)*", 3),
        ("[ab]-", 3),
        ("[^a]*", 1),
        ("[a-b-]{2}", 3),
        ("[]a]", 2),
        ("[^]a]", 2),
        (r"[a\-]", 2),
        (r"[\w]+", 2),
        (r"\W*", 1),
        (r"\Da\S", 4),
        (r"\x61\u0062", 3),
        (r"a\-", 3),
        (r".", 2),
        ("[xyz]?a", 2),
        ("a{1}b", 3),
    ],
)
def test_patterns_are_those_of_re(pattern, states):
    machine = same_as_re(pattern, "ab-", 6)
    assert machine.n_states == states  # no smaller one does


def test_braces_that_count_nothing_are_characters():
    for pattern in ("a{", "a{}", "a{b", "a{,b}", "{", "}", "a{{1}"):
        same_as_re(pattern, "a{},b", 5)


def patterns_over(alphabet):
    literal = st.sampled_from([*alphabet, ".", r"\d", r"\w", r"\D"])
    members = st.lists(st.sampled_from([*alphabet, r"\d", "0-1", "x"]), min_size=1, max_size=3)
    sets = st.builds(lambda no, m: f"[{no}{''.join(m)}]", st.sampled_from(["", "^"]), members)
    counts = st.sampled_from(["*", "+", "?", "{0}", "{2}", "{1,}", "{0,2}", "{,2}", "{2,3}"])
    return st.recursive(
        literal | sets,
        lambda part: st.one_of(
            st.builds(lambda p, q: f"(?:{p}){q}", part, counts),
            st.builds(lambda ps: "".join(ps), st.lists(part, min_size=2, max_size=3)),
            st.builds(lambda ps: f"({'|'.join(ps)})", st.lists(part, min_size=2, max_size=3)),
            st.builds(lambda p: f"({p}|)", part),
        ),
        max_leaves=6,
    )


@settings(max_examples=150, deadline=None)
@given(patterns_over("a01"))
def test_random_patterns_are_those_of_re(pattern):
    machine = same_as_re(pattern, "a01", 5)
    if machine is not None:
        # written otherwise it is the same automaton: the smallest, its states numbered in one order
        other = automaton("a01", pattern=f"(?:{pattern})|(?:{pattern}){{1}}")
        assert np.array_equal(machine.following, other.following)
        assert np.array_equal(machine.accepting, other.accepting)


@pytest.mark.parametrize(
    ("pattern", "at", "told"),
    [
        ("a**", 2, "group"),
        ("a*?", 2, "lazy"),
        ("a+?", 2, "lazy"),
        ("a*+", 2, "possessive"),
        ("a{1}{2}", 4, "group"),
        ("*a", 0, "nothing to repeat"),
        ("a|{2}", 2, "nothing to repeat"),
        ("a{3,2}", 1, "at least 3"),
        ("a{9999999}", 1, "too often"),
        ("(a", 0, r"without its \)"),
        ("ab)", 2, r"without its \("),
        ("a[b", 1, "without its"),
        ("[]", 0, "without its"),
        ("a\\", 1, "nothing behind it"),
        ("(?=a)", 0, "only"),
        ("(?<!a)b", 0, "only"),
        ("(?P<x>a)", 0, "only"),
        ("(?i)a", 0, "only"),
        (r"(a)\1", 3, "back references"),
        (r"a\b", 1, "not supported"),
        (r"\Aa", 0, "not supported"),
        ("a^b", 1, "whole line"),
        ("a$b", 1, "whole line"),
        ("(^a)", 1, "whole line"),
        ("[b-a]", 1, "lower one first"),
        (r"[a-\d]", 1, "lower one first"),
        (r"\x6", 0, "hexadecimal"),
        (r"\UFFFFFFFF", 0, "no character"),
        ("ax", 1, "'x' is no class"),
        (r"a\.", 1, "is no class"),
        (r"a\n", 1, "is no class"),
        ("(" * 101 + ")" * 101, 100, "100 groups"),
        ("a{4000}b{4000}", 0, "too large"),
        ("(a|b){4000}", 0, "too large"),
    ],
)
def test_mistakes_are_pointed_at(pattern, at, told):
    with pytest.raises(ValueError, match=told) as caught:
        automaton("ab", pattern=pattern)
    text = str(caught.value)
    assert f"at position {at}:" in text
    if at < 60:
        shown, mark = text.splitlines()[1:]
        assert shown[2 + at :].startswith(pattern[at : at + 1])
        assert mark == " " * (2 + at) + "^"


def test_too_many_states():
    with pytest.raises(ValueError, match="10000 states"):
        automaton("ab", pattern="[ab]*a[ab]{14}")


def test_ends():
    assert automaton("a$", pattern=r"^a\$").accepts("a$")
    assert automaton("a\\", pattern=r"a\\$").accepts("a\\")
    assert automaton("ab", pattern="^").accepts("")


def test_lengths():
    assert [n for n in range(6) if automaton("ab", length=3).accepts("a" * n)] == [3]
    assert [n for n in range(6) if automaton("ab", length=(0, 2)).accepts("b" * n)] == [0, 1, 2]
    for wrong in (-1, (2, 1), (-1, 2)):
        with pytest.raises(ValueError, match="length"):
            automaton("ab", length=wrong)
    for wrong in ("3", 1.5, (1,), (1, 2, 3), [1, 2], True):
        with pytest.raises(TypeError, match="length"):
            automaton("ab", length=wrong)


words_over_abc = st.lists(st.text("abc", max_size=5), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(words_over_abc)
def test_lexicons_are_sets(words):
    machine = automaton("abc", lexicon=words)
    assert {s for s in strings("abc", 5) if machine.accepts(s)} == set(words)
    # the smallest, whatever it comes from
    other = automaton("abc", pattern="|".join(words))
    assert np.array_equal(machine.following, other.following)


@settings(max_examples=40, deadline=None)
@given(words_over_abc, patterns_over("abc"), st.integers(0, 3), st.integers(0, 3))
def test_all_conditions_together(words, pattern, least, more):
    compiled = re.compile(pattern)
    wanted = {w for w in words if compiled.fullmatch(w) and least <= len(w) <= least + more}
    conditions = {"lexicon": iter(words), "pattern": pattern, "length": (least, least + more)}
    machine = made_if(wanted, "abc", **conditions)
    got = {s for s in strings("abc", 5) if machine.accepts(s)} if machine else set()
    assert got == wanted


def test_a_large_lexicon():
    rng = np.random.default_rng(0)
    stems = ["".join(rng.choice(list("abcdefghij"), rng.integers(2, 8))) for _ in range(8000)]
    words = {stem + end for stem in stems for end in ("", "s", "ed", "ing", "er")}
    assert len(words) > 30_000
    machine = automaton("abcdefghijnrsg"[:13], lexicon=words)
    assert machine.n_states < 60_000
    for word in itertools.islice(words, 500):
        assert machine.accepts(word)
        assert machine.accepts(word + "e") == (word + "e" in words)


def test_names_of_several_characters():
    machine = automaton(["1", "ten", "x"], lexicon=[("1", "ten"), ["x"], "x1"])
    assert machine.accepts(("1", "ten"))
    assert machine.accepts("x1")
    assert not machine.accepts("ten")
    with pytest.raises(ValueError, match="'ten' has a name of more than one character"):
        automaton(["1", "ten"], pattern="1")
    with pytest.raises(ValueError, match=r"word 1, 'ten', has 't'.*lists of names"):
        automaton(["1", "ten"], lexicon=["1", "ten"])


def test_wrong_arguments():
    with pytest.raises(ValueError, match=r"word 2, 'axb', has 'x', want the classes a, b"):
        automaton("ab", lexicon=["a", "b", "axb"])
    with pytest.raises(ValueError, match="no words"):
        automaton("ab", lexicon=[])
    for wrong in ("ab", 3):
        with pytest.raises(TypeError, match="lexicon"):
            automaton("ab", lexicon=wrong)
    for wrong in ([3], [("a", 3)], [None]):
        with pytest.raises(TypeError, match="word 0"):
            automaton("ab", lexicon=wrong)
    with pytest.raises(TypeError, match="pattern"):
        automaton("ab", pattern=3)
    with pytest.raises(ValueError, match="twice"):
        automaton("aa", pattern="a")
    with pytest.raises(ValueError, match="lexicon and length: no string over the classes a, b"):
        automaton("ab", lexicon=["a"], length=2)
    with pytest.raises(ValueError, match="pattern: no string"):
        automaton("ab", pattern="a[xyz]")
    with pytest.raises(ValueError, match="states or more, want at most"):
        automaton("ab", length=patterns.MAX_ENTRIES)


def test_an_automaton_is_reusable_and_constant():
    machine = automaton("0123456789-", pattern=r"\d{5}(-\d{4})?")
    assert repr(machine).startswith("Automaton(11 states")
    with pytest.raises(ValueError):
        machine.following[0, 0] = 3
    grammar = machine.grammar(4)
    assert machine.grammar(4) is grammar
    assert (grammar.n_states, grammar.n_edges, grammar.least_positions) == (11, 91, 5)
    again = pickle.loads(pickle.dumps(machine))
    assert np.array_equal(again.following, machine.following)
    assert again.accepts("12345-6789")
    assert automaton("ab").n_states == 1  # no condition: every string
