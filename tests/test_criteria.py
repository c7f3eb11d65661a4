"""Criteria of strings against paths one by one, a float64 reference, differences and PyTorch."""

from __future__ import annotations

import signal

import numpy as np
import pytest
import string_reference
from closeness import assert_close

from lenet_c import _core
from lenet_c.criteria import discriminative_loss, forward_loss, positions_needed, viterbi_loss

LOSSES = {
    "forward": forward_loss,
    "viterbi": viterbi_loss,
    "discriminative": discriminative_loss,
}


def random_string(rng, positions, classes, blank, exact=False):
    """One that fits; exact: one that takes all positions, or one less."""
    characters = [c for c in range(classes) if c != blank]
    string = rng.choice(characters, positions if exact else rng.integers(0, positions + 1))
    while positions_needed(string) > positions:
        string = string[:-1]
    return string


def random_grammar(rng, states, classes, string):
    """An automaton with arcs here and there, that accepts this string too."""
    following = rng.integers(-1, states, (states, classes))
    state = 0
    for c in string:
        following[state, c] = following[state, c] if following[state, c] >= 0 else state
        state = following[state, c]
    accept = rng.random(states) < 0.3
    accept[state] = True
    return following, accept


def run(kind, outputs, string, blank, scale, j, grammar):
    more = {"grammar": grammar} if kind == "discriminative" else {}
    result = LOSSES[kind](
        [outputs],
        [string],
        blank=blank,
        temperature=1 / abs(scale),
        penalties=bool(scale < 0),
        j=j,
        **more,
    )
    (loss,), (gradient,) = result
    return loss, gradient


@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize("seed", range(40))
def test_all_paths_one_by_one(kind, seed):
    rng = np.random.default_rng(seed)
    positions, classes = int(rng.integers(1, 6)), int(rng.integers(2, 4))
    blank = int(rng.integers(classes))
    outputs = rng.normal(size=(positions, classes)).astype(np.float32) * 3
    string = random_string(rng, positions, classes, blank, exact=seed % 4 == 0)
    scale = rng.choice([1.0, -1.0, 0.5, -0.25])
    j = rng.choice([None, 0.0, 1.5])
    grammar = random_grammar(rng, int(rng.integers(1, 5)), classes, string)
    loss, gradient = run(kind, outputs, string, blank, scale, j, grammar)
    want, slopes = string_reference.loss(
        kind, outputs, string, blank, scale, j, grammar, string_reference.by_all_paths
    )
    assert loss == pytest.approx(want, rel=1e-12, abs=1e-12)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-6, atol=1e-7)
    again, by_arcs = string_reference.loss(kind, outputs, string, blank, scale, j, grammar)
    assert again == pytest.approx(want, rel=1e-12, abs=1e-12)
    np.testing.assert_allclose(by_arcs, slopes, atol=1e-12)


@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize("size", [1, 30, 300, 3000])  # of the evidence
@pytest.mark.parametrize("exact", [False, True])
def test_larger_ones(kind, size, exact):
    rng = np.random.default_rng(size)
    for positions, classes in [(40, 11), (17, 30), (120, 5)]:
        blank = int(rng.integers(classes))
        outputs = (rng.normal(size=(positions, classes)) * size).astype(np.float32)
        string = random_string(rng, positions, classes, blank, exact)
        grammar = random_grammar(rng, 7, classes, string)
        for j in (None, 0.7 * size):
            loss, gradient = run(kind, outputs, string, blank, -0.5, j, grammar)
            want, slopes = string_reference.loss(kind, outputs, string, blank, -0.5, j, grammar)
            assert loss == pytest.approx(want, rel=1e-11, abs=1e-9)
            assert_close(gradient, slopes, 1e-6)
            # nothing so small that it slows the layers below down
            assert np.abs(gradient[gradient != 0]).min() >= 1e-30


@pytest.mark.parametrize("kind", LOSSES)
def test_gradients_are_differences(kind, rng):
    """Four points, all of them float32 exactly; of the best path where it stays the same."""
    step = 2.0**-7
    outputs = np.round(rng.normal(size=(9, 4)) * 2**10) / 2**10
    string, grammar = [2, 2, 0], random_grammar(rng, 4, 4, [2, 2, 0])
    _, gradient = run(kind, outputs, string, 3, -0.5, 1.0, grammar)
    slopes = np.zeros_like(outputs)
    for place in np.ndindex(outputs.shape):
        values = []
        for steps in (-2, -1, 1, 2):
            moved = outputs.copy()
            moved[place] += steps * step
            values.append(run(kind, moved, string, 3, -0.5, 1.0, grammar)[0])
        slopes[place] = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * step)
    assert_close(gradient, slopes, 1e-6)


def test_what_the_criteria_are_to_each_other(rng):
    outputs = rng.normal(size=(6, 20, 5)) * 3
    strings = [rng.integers(0, 4, n) for n in (0, 1, 3, 5, 7, 8)]
    for j in (None, 0.0, 2.0):
        forward = forward_loss(outputs, strings, blank=4, j=j)
        best = viterbi_loss(outputs, strings, blank=4, j=j)
        assert (forward.losses[1:] < best.losses[1:]).all()
        assert forward.losses[0] == pytest.approx(best.losses[0])  # all blanks: one path
        # any string: one state that leads to itself
        anything = np.zeros((1, 5), int), [True]
        for grammar in (None, anything):
            against = discriminative_loss(outputs, strings, blank=4, grammar=grammar, j=j)
            np.testing.assert_allclose(against.losses, forward.losses, rtol=1e-12)
            np.testing.assert_allclose(against.gradients, forward.gradients, atol=1e-7)
    # the strings of one grammar share all its probability
    pair = [[-1, 1, 1], [-1, 2, 2], [-1, -1, -1]]
    strings = [[a, b] for a in (1, 2) for b in (1, 2)]
    losses, _ = discriminative_loss(
        np.repeat(outputs[:1, :, :3], 4, axis=0), strings, blank=0, grammar=(pair, [0, 0, 1])
    )
    assert np.exp(-losses).sum() == pytest.approx(1.0)


def test_a_few_by_hand():
    even = np.zeros((1, 2, 2))
    assert forward_loss(even, [[0]], blank=1).losses == pytest.approx(-np.log(3 / 4))
    assert forward_loss(even, [[]], blank=1).losses == pytest.approx(-np.log(1 / 4))
    # with a rubbish class as likely as each of them, a ninth a path
    assert forward_loss(even, [[0]], blank=1, j=0).losses == pytest.approx(-np.log(3 / 9))
    best = viterbi_loss(np.zeros((1, 3, 2)), [[0]], blank=1)
    assert best.losses == pytest.approx(-np.log(1 / 8))
    # of equal ones that which goes on first: the character, then blanks
    np.testing.assert_allclose(best.gradients, [[[-0.5, 0.5], [0.5, -0.5], [0.5, -0.5]]])


def test_evidence_without_bounds(rng):
    """The right string farther behind than any double could say."""
    outputs = (rng.normal(size=(9, 4)) * 1e30).astype(np.float32)
    for kind in LOSSES:
        loss, gradient = run(
            kind, outputs, [1, 1, 2], 0, 1.0, 5.0, random_grammar(rng, 3, 4, [1, 1, 2])
        )
        assert np.isfinite(loss)
        assert np.isfinite(gradient).all()
        assert np.abs(gradient).max() <= 1.0
    surely = np.full((5, 3), -1e30, np.float32)
    surely[np.arange(5), [0, 1, 0, 1, 2]] = 1e30
    assert forward_loss([surely], [[1, 1, 2]], blank=0).losses == 0.0
    assert forward_loss([surely], [[2]], blank=0).losses > 1e12


def test_a_long_strip(rng):
    outputs = rng.normal(size=(1, 4000, 11)) * 4
    string = rng.integers(0, 10, 700)
    loss, gradient = forward_loss(outputs, [string], blank=10)
    want, slopes = string_reference.loss("forward", outputs[0].astype(np.float32), string, 10)
    assert loss[0] == pytest.approx(want, rel=1e-12)
    assert_close(gradient[0], slopes, 1e-6)


def test_lists_and_arrays_give_the_same(rng):
    outputs = rng.normal(size=(3, 12, 5)).astype(np.float32)
    strings = rng.integers(0, 4, (3, 4))
    losses, gradients = forward_loss(outputs, strings, blank=4)
    assert losses.dtype == np.float64
    assert gradients.dtype == np.float32
    assert gradients.shape == outputs.shape
    wide = np.zeros((3, 24, 5))
    wide[:, ::2] = outputs
    for same in (wide[:, ::2], np.asfortranarray(outputs), outputs.astype(">f8")):
        np.testing.assert_array_equal(forward_loss(same, strings, blank=4).gradients, gradients)
    lengths = [12, 7, 9]
    ragged = [strip[:n] for strip, n in zip(outputs, lengths, strict=True)]
    listed = forward_loss(ragged, strings.tolist(), blank=4)
    for i, n in enumerate(lengths):
        loss, gradient = forward_loss(outputs[i : i + 1, :n], strings[i : i + 1], blank=4)
        assert listed.losses[i] == loss[0]
        np.testing.assert_array_equal(listed.gradients[i], gradient[0])
    assert forward_loss(ragged, strings, blank=4, gradient=False).gradients is None
    assert forward_loss(outputs[:0], [], blank=4).losses.shape == (0,)
    assert forward_loss([outputs[0]], iter([strings[0]]), blank=4).losses[0] == losses[0]


GOOD = np.zeros((2, 5, 4))


@pytest.mark.parametrize(
    ("outputs", "strings", "message"),
    [
        (
            GOOD,
            [[0], [1, 3]],
            "strings: row 1 has class 3 at place 1, want 0 to 3 and not the blank, 3",
        ),
        (GOOD, [[0, 4], [1]], "strings: row 0 has class 4 at place 1"),
        (GOOD, [[0], [-1]], "strings: row 1 has class -1 at place 0"),
        (GOOD, [[0], [2**40]], "strings: row 1 has class 1099511627776"),
        (GOOD, [[0], [1, 1, 1, 0]], "strings: row 1 needs 6 positions, its outputs have 5"),
        (GOOD, [[0], [1, 2, 1, 2, 1, 2]], "strings: row 1 needs 6 positions, its outputs have 5"),
        (GOOD, [[0]], "strings: got 1, want 2"),
        (GOOD, [[0], "12"], "strings: row 1: got '12', want the class of each character"),
        (GOOD, [[0], [0.5]], "strings: row 1: dtype float64, want integers"),
        (GOOD, [[0], [[1]]], r"strings: row 1: shape \(1, 1\), want one dimension"),
        (GOOD, 7, "strings: got 7"),
        (GOOD[0], [[0]], r"outputs: shape \(5, 4\), want \(N, positions, classes\)"),
        (GOOD[:, :0], [[], []], "want a position and a class"),
        ([GOOD[0], GOOD[0, :, :3]], [[0], [0]], "outputs: row 1 has 3 classes, want 4"),
        ([], [], "outputs: an empty list"),
        ([GOOD], [[0]], r"outputs: row 0: shape \(2, 5, 4\), want \(positions, classes\)"),
        (np.add(GOOD, [[[0]], [[np.nan]]]), [[0], [0]], "outputs: row 1 is NaN or infinite"),
        (
            np.add(GOOD, [[[1e300]], [[0]]]),
            [[0], [0]],
            "outputs: row 0 is NaN or infinite in float32",
        ),
        (GOOD.astype(str), [[0], [0]], "outputs: dtype <U32, want real numbers"),
    ],
)
@pytest.mark.parametrize("loss", [forward_loss, viterbi_loss])
def test_refused(loss, outputs, strings, message):
    with pytest.raises((TypeError, ValueError), match=message):
        loss(outputs, strings, blank=3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"blank": 4}, "blank: got 4, want a whole number from 0 to 3"),
        ({"blank": -1}, "blank"),
        ({"temperature": 0}, "temperature"),
        ({"temperature": 1e-300}, "temperature"),
        ({"penalties": 1}, "penalties: got 1, want True or False"),
        ({"j": -1}, "j: got -1"),
        ({"j": np.inf}, "j: got inf"),
        ({"gradient": None}, "gradient"),
        ({"grammar": 3}, "grammar: got 3"),
        ({"grammar": (np.zeros((1, 4), int),)}, "grammar: got 1 arrays, want two"),
        ({"grammar": (np.zeros((1, 3), int), [1])}, r"grammar: next \(1, 3\) and accept \(1,\)"),
        ({"grammar": (np.zeros((0, 4), int), [])}, "grammar"),
        ({"grammar": (np.zeros((1, 4)), [1])}, "grammar: next: dtype float64"),
        ({"grammar": (np.full((1, 4), 1), [1])}, "grammar: next has 1, want -1 to 0"),
        ({"grammar": (np.full((1, 4), -2), [1])}, "grammar: next has -2, want -1 to 0"),
        ({"grammar": (np.zeros((1, 4), int), [0])}, r"strings: row 0 is \[0\], which the grammar"),
        ({"grammar": (np.full((1, 4), -1), [1])}, r"strings: row 0 is \[0\], which the grammar"),
    ],
)
def test_settings_refused(settings, message):
    with pytest.raises((TypeError, ValueError), match=message):
        discriminative_loss(GOOD, [[0], []], **{"blank": 3, "grammar": None, **settings})


def test_the_core_checks_by_itself():
    """Whatever is in its arrays, it reads no more than there is."""
    flat, losses = np.zeros((5, 4), np.float32), np.zeros(1)

    def call(**changed):
        given = {"outputs": flat, "positions": [5], "labels": [1], "lengths": [1], "blank": 3}
        given |= {"scale": 1.0, "j": 1.0, "grammar": None, "losses": losses, "gradient": None}
        return _core.string_losses("discriminative", **(given | changed))

    assert call() is None
    grammar = np.array([[0, 5, 0, 0]]), [1]
    for wrong in (
        {"positions": [6]},
        {"positions": [-5]},
        {"positions": [5, 0]},
        {"lengths": [2]},
        {"lengths": [-1]},
        {"labels": []},
        {"gradient": np.zeros((4, 4), np.float32)},
        {"losses": np.zeros(2)},
        {"blank": 4},
        {"scale": np.nan},
        {"j": -1.0},
        {"grammar": grammar},
        {"grammar": (grammar[0], [1, 1])},
    ):
        with pytest.raises(ValueError):
            call(**wrong)
    assert call(labels=[9]) == (0, "bad_label")


def test_memory_is_bounded():
    before = _core.get_memory_limit()
    _core.set_memory_limit(1000)
    try:
        with pytest.raises(MemoryError, match="strings: its workspace"):
            forward_loss(GOOD, [[0], [0]], blank=3)
    finally:
        _core.set_memory_limit(before)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers here")
@pytest.mark.parametrize("n", [1, 2_000_000])
def test_a_signal_ends_it(n):
    """One strip that takes seconds, and many that take as long together."""
    positions, classes, states = (12_000, 30, 60) if n == 1 else (2, 3, 1)
    outputs = np.zeros((n * positions, classes), np.float32)
    on = np.minimum(np.arange(states) + 1, states - 1)
    grammar = np.tile(on[:, None], (1, classes)), on >= 0
    ones = np.ones(n, np.int32)
    losses = np.full(n, np.nan)

    def handler(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(KeyboardInterrupt):
            _core.string_losses(
                "discriminative",
                outputs,
                positions * ones,
                ones,
                ones,
                0,
                1.0,
                1.0,
                grammar,
                losses,
                None,
            )
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert np.isnan(losses[-1])


@pytest.mark.parametrize("size", [1, 20])
def test_torch(rng, size):
    """As PyTorch's loss in float64, blanks first, last and between."""
    torch = pytest.importorskip("torch")
    n, positions, classes = 7, 49, 11
    outputs = (rng.normal(size=(n, positions, classes)) * size).astype(np.float32)
    lengths = [49, 49, 30, 20, 17, 9, 49]
    for blank in (0, 4, 10):
        others = [c for c in range(classes) if c != blank]
        strings = [rng.choice(others, k) for k in (8, 24, 5, 10, 8, 0, 1)]
        strings[4] = np.array(others)[[1] * 8]
        x = torch.tensor(outputs.astype(np.float64), requires_grad=True)
        want = torch.nn.functional.ctc_loss(
            x.log_softmax(2).transpose(0, 1),
            torch.tensor(np.concatenate(strings)),
            torch.tensor(lengths),
            torch.tensor([len(string) for string in strings]),
            blank,
            reduction="none",
        )
        want.sum().backward()
        ragged = [strip[:k] for strip, k in zip(outputs, lengths, strict=True)]
        losses, gradients = forward_loss(ragged, strings, blank=blank)
        off = assert_close(losses, want.detach().numpy(), 1e-5)
        slopes = x.grad.numpy()
        worst = max(
            assert_close(got, slopes[i, : lengths[i]], 1e-5) for i, got in enumerate(gradients)
        )
        print(f"evidence {size}, blank {blank}: losses {off:.1e}, gradients {worst:.1e}")
