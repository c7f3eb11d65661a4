"""Decoding against sums over all paths, one by one, on small alphabets; and its corners."""

import itertools
import math
import threading
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lenet_c import _core
from lenet_c.decoding import best_path, decode
from lenet_c.patterns import automaton

NAMES = "abcdefgh"


def softmax(outputs):
    powers = np.exp(outputs.astype(np.float64) - outputs.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def collapsed(path, blank):
    """Give a path's string, and where each of its characters begins and ends."""
    string, spans, last = [], [], blank
    for t, c in enumerate(path):
        if c != blank and c != last:
            string.append(c)
            spans.append([t, t])
        if c != blank:
            spans[-1][1] = t
        last = c
    return tuple(string), spans


def all_paths(p, blank):
    """Map each string to its paths: their probability, and the spans of their characters."""
    found = {}
    for path in itertools.product(range(p.shape[1]), repeat=len(p)):
        string, spans = collapsed(path, blank)
        weight = math.prod(float(p[t, c]) for t, c in enumerate(path))
        found.setdefault(string, []).append((weight, spans))
    return found


def spelt(string, blank):
    """Text of classes by names that leave out the blank."""
    return "".join(NAMES[c - (c > blank)] for c in string)


def draw(rng, positions, classes, spread=2.0):
    return (rng.normal(size=(positions, classes)) * spread).astype(np.float32)


def births(paths, accepted, c, first, end):
    """Sum up how probable it is that one of class c begins in a place, over accepted paths."""
    total = count = 0.0
    for string in accepted:
        for weight, spans in paths[string]:
            total += weight
            begun = [s[0] for k, s in zip(string, spans, strict=True) if k == c]
            count += weight * sum(first <= t < end for t in begun)
    return min(1.0, count / total)


def places(one, positions):
    ends = [0, *(one.spans[:, 1] + 1), positions]
    begins = [*one.spans[:, 0], positions]
    return [(ends[i], begins[i + 1]) for i in range(len(one.spans))]


CONDITIONS = [
    {},
    {"pattern": "a*b?"},
    {"pattern": "(ab|b)+a?"},
    {"length": 2},
    {"length": (1, 3)},
    {"lexicon": ["a", "ab", "bb", "abab", ""]},
]


@pytest.mark.parametrize("condition", CONDITIONS, ids=str)
@pytest.mark.parametrize("total", [None, False])
def test_all_strings_of_a_wide_beam(condition, total):
    rng = np.random.default_rng(0)
    for positions, blank in itertools.product(range(6), range(3)):
        outputs = draw(rng, positions, 3)
        p = softmax(outputs)
        paths = all_paths(p, blank)
        machine = automaton("ab", **condition)
        wanted = {
            s: sum(weight for weight, _ in paths[s])
            for s in paths
            if machine.accepts(spelt(s, blank))
        }
        got = decode(outputs, "ab", blank, n_best=300, total=total, **condition)
        if not wanted:
            assert not got.found
            continue
        listed = [got, *got.alternatives]
        assert {one.classes: one.probability for one in listed} == pytest.approx(wanted, abs=1e-12)
        assert [one.text for one in listed] == [spelt(one.classes, blank) for one in listed]
        falling = [one.log_probability for one in listed]
        assert falling == sorted(falling, reverse=True)
        all_of_them = sum(wanted.values())
        if condition and total is False:
            assert math.isnan(got.log_accepted)
            assert math.isnan(got.probability_accepted)
        else:
            assert math.exp(got.log_accepted) == pytest.approx(all_of_them, abs=1e-12)
            assert got.probability_accepted == pytest.approx(got.probability / all_of_them)
        for one in listed[:5]:
            best = max(weight for weight, _ in paths[one.classes])
            likeliest = [
                spans
                for weight, spans in paths[one.classes]
                if weight == pytest.approx(best, rel=1e-12)
            ]
            assert one.spans.tolist() in likeliest
            for c, (first, end), confidence in zip(
                one.classes, places(one, positions), one.confidence, strict=True
            ):
                if condition and total is False:
                    assert one.probability / all_of_them - 1e-9 <= confidence <= 1.0
                else:
                    wanted_births = births(paths, wanted, c, first, end)
                    assert confidence == pytest.approx(wanted_births, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 5),
    st.integers(1, 4),
    st.sampled_from([0.0, 1.0, 5.0, 300.0]),
    st.integers(1, 4),
)
def test_random_automata(seed, positions, classes, spread, states):
    """Of the core by itself: states that lead nowhere, circles, all beams."""
    rng = np.random.default_rng(seed)
    blank = int(rng.integers(classes))
    outputs = draw(rng, positions, classes, spread)
    following = rng.integers(-1, states, (states, classes)).astype(np.int32)
    accept = rng.integers(0, 2, states).astype(np.uint8)
    grammar = _core.Grammar(following, accept, blank)
    paths = all_paths(softmax(outputs), blank)

    def accepted(string):
        state = 0
        for c in string:
            state = following[state, c]
            if state < 0:
                return False
        return bool(accept[state])

    wanted = {s: sum(w for w, _ in paths[s]) for s in paths if accepted(s)}
    for total in (False, True):
        got, log_accepted = _core.decode(outputs, blank, 400, 400, grammar, total)
        assert {tuple(one[0]) for one in got} == set(wanted)
        for one in got:
            assert math.exp(one[1]) == pytest.approx(wanted[tuple(one[0])], rel=1e-6, abs=1e-300)
        if total:
            whole = sum(wanted.values())
            if whole > 1e-249 or not wanted:
                assert math.exp(log_accepted) == pytest.approx(whole, rel=1e-6, abs=1e-300)
            elif whole < 1e-251:
                assert math.isnan(log_accepted)
        # a string is found with the narrowest beam, if there is one
        for beam in (1, 2):
            few, _ = _core.decode(outputs, blank, beam, 1, grammar, total)
            assert len(few) == bool(wanted)
            for one in few:
                assert tuple(one[0]) in wanted
                assert math.exp(one[1]) <= wanted[tuple(one[0])] * (1 + 1e-6) + 1e-300


def test_probabilities_add_up_to_one_at_most():
    rng = np.random.default_rng(1)
    for spread in (0.0, 0.1, 3.0, 50.0):
        got = decode(draw(rng, 4, 4, spread), "abc", 3, n_best=400)
        whole = math.fsum(one.probability for one in [got, *got.alternatives])
        assert 1.0 - 1e-9 < whole <= 1.0 + 1e-15
        got = decode(draw(rng, 30, 4, spread), "abc", 3, n_best=20)
        assert math.fsum(one.probability for one in [got, *got.alternatives]) <= 1.0 + 1e-15


def test_a_string_behind_a_wide_gap():
    """Probabilities that no float64 holds keep their order and their logarithms."""
    outputs = np.full((40, 3), -900.0, np.float32)
    outputs[:, 2] = 0.0  # nothing but blanks
    got = decode(outputs, "ab", 2, length=2, n_best=4)
    assert [one.text for one in (got, *got.alternatives)] == ["ab", "ba", "aa", "bb"]
    assert got.probability == 0.0
    # two characters of one position each somewhere, apart where they are equal
    assert got.log_probability == pytest.approx(-1800 + math.log(40 * 39 / 2))
    assert got.alternatives[1].log_probability == pytest.approx(-1800 + math.log(39 * 38 / 2))
    assert math.isnan(got.log_accepted)  # too little to be summed
    got = decode(outputs / 4, "ab", 2, length=2, n_best=4)
    assert got.log_accepted == pytest.approx(-450 + math.log(2 * 40 * 39 / 2 + 2 * 39 * 38 / 2))


def test_best_path():
    rng = np.random.default_rng(2)
    for positions, blank in itertools.product(range(7), range(4)):
        outputs = draw(rng, positions, 4)
        p = softmax(outputs)
        string, spans = collapsed(outputs.argmax(axis=1), blank)
        got = best_path(outputs, "abc", blank)
        assert got.classes == string
        assert got.text == spelt(string, blank)
        assert got.spans.tolist() == spans
        assert got.log_probability == pytest.approx(np.log(p.max(axis=1)).sum())
        if positions < 6:
            paths = all_paths(p, blank)
            for c, (first, end), confidence in zip(
                got.classes, places(got, positions), got.confidence, strict=True
            ):
                assert confidence == pytest.approx(births(paths, paths, c, first, end), abs=1e-6)


def test_the_sum_over_paths_beats_the_best_path():
    # "" by one path of 0.36; "a" by three that have 0.64 together
    outputs = np.log([[0.4, 0.6], [0.4, 0.6]])
    assert best_path(outputs, "a", 1).text == ""
    got = decode(outputs, "a", 1)
    assert got.text == "a"
    assert got.probability == pytest.approx(0.64)


def test_equal_scores():
    """The lower class first, the shorter string first; on every run, on any thread."""
    outputs = np.zeros((4, 5), np.float32)
    assert best_path(outputs, "abcd", 4).text == "a"
    exact = {}
    for path in itertools.product(range(5), repeat=4):
        string = spelt(collapsed(path, 4)[0], 4)
        exact[string] = exact.get(string, 0) + Fraction(1, 5**4)
    wanted = sorted(exact, key=lambda s: (-exact[s], s))
    got = decode(outputs, "abcd", 4, n_best=1000)
    assert [one.text for one in (got, *got.alternatives)] == wanted

    # where the beam is full: what was there stays, then the lower class
    for beam in (1, 2, 3):
        got = decode(outputs[:1, 2:], "ab", 2, beam=beam, n_best=beam)
        assert [one.text for one in (got, *got.alternatives)] == ["", "a", "b"][:beam]

    # and where something better comes, the last of equal ones goes: "a", not ""
    better = np.log([[0.25, 0.5, 0.25]])
    got = decode(better, "ab", 2, beam=2, n_best=2)
    assert [one.text for one in (got, *got.alternatives)] == ["b", ""]

    answers = []

    def run():
        one = decode(outputs, "abcd", 4, n_best=8)
        answers.append([(o.text, o.log_probability) for o in (one, *one.alternatives)])

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    run()
    assert len(answers) == 5
    assert all(answer == answers[0] for answer in answers)
    # the first position of a tie is where a character begins, the last where it ends
    assert best_path(np.zeros((4, 2), np.float32), "a", 1).spans.tolist() == [[0, 3]]


def test_no_positions():
    nothing = np.zeros((0, 3), np.float32)
    got = decode(nothing, "ab", 2)
    assert (got.text, got.probability, got.found) == ("", 1.0, True)
    assert got.confidence.shape == (0,)
    assert got.spans.shape == (0, 2)
    assert decode(nothing, "ab", 2, pattern="a*").found
    assert not decode(nothing, "ab", 2, length=1).found
    assert best_path(nothing, "ab", 2).text == ""


def test_what_cannot_be_spelt():
    outputs = draw(np.random.default_rng(3), 5, 3)
    for total in (True, False):
        # equal neighbours need a blank between them
        assert decode(outputs, "ab", 2, lexicon=["aaa"], total=total).text == "aaa"
        got = decode(outputs, "ab", 2, lexicon=["aaab", "bbbb"], total=total, n_best=3)
        assert not got.found
        assert (got.text, got.probability, got.probability_accepted) == ("", 0.0, 0.0)
        assert got.alternatives == ()
        got = decode(outputs, "ab", 2, length=5, total=total, beam=100, n_best=100)
        assert sorted(o.text for o in (got, *got.alternatives)) == ["ababa", "babab"]
        assert not decode(outputs, "ab", 2, length=(6, 60), total=total).found


def test_the_narrowest_beam_leaves_room_for_equal_neighbours():
    outputs = np.zeros((5, 3), np.float32)
    outputs[:, 2] = 5.0  # blanks tempt to wait until it is too late
    for total in (True, False):
        assert decode(outputs, "ab", 2, lexicon=["aaa"], beam=1, total=total).text == "aaa"
        assert decode(outputs, "ab", 2, lexicon=["aba"], beam=1, total=total).text == "aba"


def test_what_left_the_beam_and_came_back_is_one_string():
    rng = np.random.default_rng(10)
    for _ in range(300):
        got = decode(draw(rng, 20, 3, 4.0), "ab", 2, beam=12, n_best=12)
        texts = [one.text for one in (got, *got.alternatives)]
        assert len(set(texts)) == len(texts)


def test_the_empty_string():
    outputs = np.zeros((3, 3), np.float32)
    outputs[:, 2] = 20.0
    got = decode(outputs, "ab", 2)
    assert got.text == ""
    assert got.probability > 0.99
    got = decode(outputs, "ab", 2, length=(1, 2))
    assert len(got.text) == 1
    assert got.probability < 1e-6  # the picture says otherwise
    assert got.probability_accepted == pytest.approx(0.5, abs=0.01)
    assert decode(np.ones((4, 1), np.float32), "", 0).text == ""  # no class but the blank


def seen_as(text, names, rng, apart=4, noise=1.0):
    """Outputs of a strip that shows a text: peaks among blanks, with noise."""
    outputs = draw(rng, apart * (len(text) + 1), len(names) + 1, noise)
    outputs[:, -1] += 5.0
    for i, letter in enumerate(text):
        outputs[apart * (i + 1), names.index(letter)] += 10.0
    return outputs


def test_a_pattern_decides_between_alike():
    names = "0123456789O"
    rng = np.random.default_rng(4)
    outputs = seen_as("90210", names, rng, noise=0.1)
    outputs[:, 10] = outputs[:, 0] + 0.5  # O looks a little likelier than 0
    assert decode(outputs, names, 11).text == "9O21O"
    got = decode(outputs, names, 11, pattern=r"\d{5}")
    assert got.text == "90210"
    assert got.probability < 0.2 < 0.9 < got.probability_accepted
    assert got.confidence.min() > 0.9
    plain = decode(outputs, names, 11, lexicon=["90210", "9O21O"], total=False)
    assert plain.text == "9O21O"
    assert 0.2 < 1 - plain.confidence[1] < 0.4
    assert plain.confidence[0] > 0.99


def test_a_pattern_that_the_picture_does_not_fit():
    """Seven digits read as five: the best is found, since the beam looks ahead to the ends."""
    names = "0123456789"
    rng = np.random.default_rng(5)
    five = automaton(names, pattern=r"\d{5}")
    for _ in range(5):
        outputs = seen_as("1234567", names, rng)
        wide = decode(outputs, names, 10, automaton=five, beam=2000)
        got = decode(outputs, names, 10, automaton=five)
        assert got.log_probability == pytest.approx(wide.log_probability, abs=1e-9)
        assert got.probability < 1e-3


def test_a_large_lexicon():
    names = "abcdefghijklmnopqrstuvwxyz"
    rng = np.random.default_rng(6)
    words = sorted({"".join(rng.choice(list(names), rng.integers(3, 10))) for _ in range(30_000)})
    machine = automaton(names, lexicon=words)
    assert machine.n_states > 20_000
    for word in rng.choice(words, 20):
        got = decode(seen_as(word, names, rng), names, 26, automaton=machine, n_best=3)
        assert got.text == word
        assert all(one.text in words for one in got.alternatives)
        assert math.isnan(got.log_accepted)


def test_a_long_strip():
    names = "0123456789"
    rng = np.random.default_rng(7)
    text = "".join(rng.choice(list(names), 500))
    outputs = seen_as(text, names, rng, noise=0.5)
    for condition in ({}, {"pattern": r"\d+"}, {"length": 500}):
        got = decode(outputs, names, 10, **condition)
        assert got.text == text
        assert got.spans[:, 0].tolist() == [4 * (i + 1) for i in range(500)]


def test_temperature_and_penalties():
    outputs = draw(np.random.default_rng(8), 6, 4)
    one = decode(outputs / 2.0, "abc", 1, n_best=5)
    for other in (
        decode(outputs, "abc", 1, temperature=2.0, n_best=5),
        decode(-outputs.astype(np.float64), "abc", 1, temperature=2.0, penalties=True, n_best=5),
    ):
        assert [o.text for o in other.alternatives] == [o.text for o in one.alternatives]
        assert other.log_probability == pytest.approx(one.log_probability)
    assert best_path(-outputs, "abc", 1, penalties=True).text == best_path(outputs, "abc", 1).text


def test_names_and_arrays():
    outputs = draw(np.random.default_rng(9), 6, 4)
    text = decode(outputs, "abc", 1).text
    assert decode(outputs, ["a", "", "b", "c"], 1).text == text
    assert decode(outputs.astype(np.float64)[::1], list("abc"), 1).text == text
    assert decode(np.asfortranarray(outputs), "abc", 1).text == text
    long = decode(outputs, ["one", "two", "ten"], 1)
    assert long.text == "".join({"a": "one", "b": "two", "c": "ten"}[c] for c in text)
    machine = automaton("abc", length=2)
    assert decode(outputs, "abc", 1, automaton=machine) is not None
    assert decode(outputs, ["a", "b", "c", "-"], 3, automaton=machine).found  # another blank


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        ({"outputs": np.zeros(3)}, ValueError, r"outputs: shape \(3,\)"),
        ({"outputs": np.zeros((2, 3, 3))}, ValueError, "one strip"),
        ({"outputs": np.zeros((2, 0))}, ValueError, "outputs: shape"),
        ({"outputs": np.zeros((2, 3), complex)}, TypeError, "outputs: dtype"),
        ({"outputs": np.full((2, 3), np.nan)}, ValueError, "outputs: some are NaN"),
        ({"outputs": np.full((2, 3), -np.inf)}, ValueError, "outputs: some are NaN"),
        ({"blank": 3}, ValueError, "blank"),
        ({"blank": -1}, ValueError, "blank"),
        ({"blank": 1.0}, TypeError, "blank"),
        ({"class_names": "abcd"}, ValueError, "class_names: got 4, want 2, or 3"),
        ({"class_names": "aa"}, ValueError, "twice"),
        ({"class_names": 3}, TypeError, "class_names"),
        ({"n_best": 0}, ValueError, "n_best"),
        ({"n_best": 5000}, ValueError, "n_best"),
        ({"beam": 0}, ValueError, "beam"),
        ({"beam": 2, "n_best": 3}, ValueError, "beam: got 2, want at least n_best, 3"),
        ({"temperature": 0.0}, ValueError, "temperature"),
        ({"temperature": 1e-39}, ValueError, "temperature"),
        ({"penalties": 1}, TypeError, "penalties"),
        ({"total": 1}, TypeError, "total"),
        ({"automaton": "a"}, TypeError, "automaton"),
        ({"automaton": automaton("xy")}, ValueError, "automaton: of the classes x, y, want a, b"),
        ({"automaton": automaton("ab"), "length": 2}, ValueError, "only one of the two"),
        ({"pattern": "c"}, ValueError, "'c' is no class"),
    ],
)
def test_wrong_arguments(change, error, told):
    right = {"outputs": np.zeros((2, 3)), "class_names": "ab", "blank": 2}
    decode(**right)
    with pytest.raises(error, match=told):
        decode(**{**right, **change})


def test_the_core_checks_what_it_is_given():
    following = np.zeros((2, 3), np.int32)
    with pytest.raises(ValueError, match="refused"):
        _core.Grammar(following + 2, np.ones(2, np.uint8), 2)
    with pytest.raises(ValueError, match="accept"):
        _core.Grammar(following, np.ones(3, np.uint8), 2)
    with pytest.raises(ValueError, match="blank"):
        _core.Grammar(following, np.ones(2, np.uint8), 3)
    grammar = _core.Grammar(following, np.ones(2, np.uint8), 2)
    following[:] = 99  # it has its own
    outputs = np.zeros((2, 3), np.float32)
    assert _core.decode(outputs, 2, 4, 1, grammar)[0]
    with pytest.raises(ValueError, match="classes and blank"):
        _core.decode(outputs, 1, 4, 1, grammar)
    for beam, n_best in ((0, 1), (1, 0), (1, 2), (5000, 1)):
        with pytest.raises(ValueError, match="beam"):
            _core.decode(outputs, 2, beam, n_best)
    with pytest.raises(ValueError, match="blank"):
        _core.decode(outputs, 3, 4, 1)
    with pytest.raises(ValueError, match="blank"):
        _core.best_path(outputs, -1)
