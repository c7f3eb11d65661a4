"""The codes of the digits are the pictures in the paper; those of ASCII are drawn like them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lenet_c.codes import ASCII, CHARACTERS, DIGITS, of, show

# One picture after the other, not side by side as in the source.
PICTURES = """
.#####.
.......
..###..
.##.##.
##...##
##...##
##...##
##...##
.##.##.
..###..
.......
.......

...##..
..###..
.####..
...##..
...##..
...##..
...##..
...##..
...##..
.######
.......
.......

.#####.
.......
.#####.
##...##
#....##
....##.
..###..
.##....
##.....
#######
.......
.......

#######
.....##
....##.
...##..
..####.
.....##
.....##
.....##
##...##
.#####.
.......
.......

.#####.
.......
.......
.##..##
.##..##
###..##
##...##
##...##
##..###
.######
.....##
.....##

.#####.
.......
#######
##.....
##.....
.####..
..####.
.....##
##...##
.#####.
.......
.......

..####.
.##....
##.....
##.....
######.
###..##
##...##
##...##
###..##
.#####.
.......
.......

#######
.....##
.....##
....##.
...##..
...##..
..##...
..##...
..##...
..##...
.......
.......

.#####.
##...##
##...##
##...##
.#####.
##...##
##...##
##...##
##...##
.#####.
.......
.......

.#####.
##..###
##...##
##...##
##..###
.######
.....##
.....##
....##.
.####..
.......
.......
"""


def pictures() -> list[str]:
    return PICTURES.strip().split("\n\n")


@pytest.mark.parametrize("digit", range(10))
def test_codes_are_the_pictures(digit: int) -> None:
    art = pictures()[digit]
    expected = [1.0 if c == "#" else -1.0 for c in art.replace("\n", "")]
    assert len(expected) == 84
    assert DIGITS[digit].tolist() == expected
    assert show(digit) == show(str(digit)) == show(DIGITS[digit]) == art


def test_form() -> None:
    assert DIGITS.shape == (10, 84)
    assert DIGITS.dtype == np.float32
    assert DIGITS.flags.c_contiguous
    assert set(np.unique(DIGITS)) == {-1.0, 1.0}
    assert len(pictures()) == 10


def test_read_only() -> None:
    with pytest.raises(ValueError, match="read-only"):
        DIGITS[0, 0] = 0


def test_distances_between_codes() -> None:
    # The squared distance, which an RBF unit gives, is 4 for each pixel that differs.
    pixels = ((DIGITS[:, None] - DIGITS[None]) ** 2).sum(axis=2) / 4
    assert (pixels == pixels.T).all()
    assert (pixels.diagonal() == 0).all()
    pairs = pixels[np.triu_indices(10, 1)]
    assert (pairs.min(), pairs.max()) == (12, 50)
    # Characters that look alike have codes that lie close.
    for a, b in [(0, 8), (3, 5), (4, 9), (8, 9), (6, 8)]:
        assert pixels[a, b] < pairs.mean()


def test_show_draws_the_sign_of_any_real_values() -> None:
    values = np.full(84, -0.2)
    values[[0, 8, 83]] = [0.1, 3, 1e-30]
    values[1] = 0
    lines = show(values).split("\n")
    assert lines[:2] == ["#......", ".#....."]
    assert lines[2:11] == ["......."] * 9
    assert lines[11] == "......#"
    assert show(list(values)) == show(values)
    assert show(np.int64(3)) == show(3)


@pytest.mark.parametrize(
    ("code", "kind", "message"),
    [
        ("", ValueError, "code: got '', want one printable ASCII character, ' ' to '~'"),
        ("12", ValueError, "code: got '12', want one printable ASCII character, ' ' to '~'"),
        ("\n", ValueError, "code: got '\\n', want one printable ASCII character, ' ' to '~'"),
        ("\x7f", ValueError, "code: got '\\x7f', want one printable ASCII character, ' ' to '~'"),
        (
            "\u0663",
            ValueError,
            "code: got '\u0663', want one printable ASCII character, ' ' to '~'",
        ),
        (10, ValueError, "code: got 10, want a whole number from 0 to 9"),
        (-1, ValueError, "code: got -1, want a whole number from 0 to 9"),
        (True, ValueError, "code: shape (), want a character, a digit or (84,)"),
        (3.0, ValueError, "code: shape (), want a character, a digit or (84,)"),
        (
            np.zeros((12, 7)),
            ValueError,
            "code: shape (12, 7), want a character, a digit or (84,)",
        ),
        (np.zeros(84, complex), TypeError, "code: dtype complex128, want real numbers"),
        (["#"] * 84, TypeError, "code: dtype <U1, want real numbers"),
    ],
)
def test_show_refuses(code: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as caught:
        show(code)
    assert str(caught.value) == message


# ---- printable ASCII -----------------------------------------------------------------------------


def dots(a: str, b: str) -> int:
    """Dots that differ between two characters' pictures."""
    return int((of(a) != of(b)).sum())


def all_pairs() -> np.ndarray:
    differ = (ASCII[:, None] != ASCII[None]).sum(axis=2)
    pairs: np.ndarray = differ[np.triu_indices(len(ASCII), 1)]
    return pairs


def test_form_of_ascii() -> None:
    assert "".join(c for c in map(chr, range(128)) if c.isprintable()) == CHARACTERS
    assert ASCII.shape == (95, 84)
    assert ASCII.dtype == np.float32
    assert ASCII.flags.c_contiguous
    assert set(np.unique(ASCII)) == {-1.0, 1.0}
    with pytest.raises(ValueError, match="read-only"):
        ASCII[0, 0] = 0


def test_of() -> None:
    np.testing.assert_array_equal(of(CHARACTERS), ASCII)
    np.testing.assert_array_equal(of("0123456789"), DIGITS)
    three = of("zAz")
    assert three.shape == (3, 84)
    assert three.dtype == np.float32
    np.testing.assert_array_equal(three[0], three[2])
    assert (three[0] != three[1]).any()
    three[0] = 7  # the caller's own
    assert ASCII.max() == 1


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("", ValueError, "text: got none, want printable ASCII characters"),
        ("A\n", ValueError, "text: got '\\n', want printable ASCII characters, ' ' to '~'"),
        ("\u00e9", ValueError, "text: got '\u00e9', want printable ASCII characters, ' ' to '~'"),
        (7, TypeError, "text: got 7, want a str"),
    ],
)
def test_of_refuses(text: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as caught:
        of(text)
    assert str(caught.value) == message


@pytest.mark.parametrize("character", CHARACTERS)
def test_show_round_trip(character: str) -> None:
    art = show(character)
    assert [len(line) for line in art.split("\n")] == [7] * 12
    code = [1.0 if c == "#" else -1.0 for c in art.replace("\n", "")]
    np.testing.assert_array_equal(code, of(character)[0])
    # The picture belongs to the character: the file has both.
    assert code == ASCII[ord(character) - 32].tolist()


def test_some_pictures() -> None:
    assert show(" ") == "\n".join(["......."] * 12)
    assert show("_") == "\n".join(["......."] * 11 + ["#######"])
    assert show("L") == "\n".join(["##....."] * 9 + ["#######"] + ["......."] * 2)
    assert show("v") == "\n".join(
        ["......."] * 2
        + ["##...##"] * 4
        + [".##.##."] * 2
        + ["..###..", "...#...", ".......", "......."]
    )


def test_ascii_codes_are_distinct() -> None:
    pairs = all_pairs()
    assert pairs.min() == 3  # B and 8, I and l
    assert pairs.mean() > 30


ALIKE = "Oo O0 o0 l1 lI l| I1 I| 1| il cC sS vV wW xX zZ pP kK uU mM S5 s5 B8 Z2 CG EF"


@pytest.mark.parametrize("pair", ALIKE.split())
def test_characters_that_look_alike_have_near_codes(pair: str) -> None:
    assert dots(*pair) < all_pairs().mean()
    if pair != "pP":
        assert dots(*pair) < np.quantile(all_pairs(), 0.1)


def test_letters_stand_on_a_line() -> None:
    """Capitals and ascenders from row 0, small letters from row 2, all down to row 9."""

    def rows(text: str) -> set[tuple[int, int]]:
        ink = [np.flatnonzero((code.reshape(12, 7) > 0).any(axis=1)) for code in of(text)]
        return {(int(r[0]), int(r[-1])) for r in ink}

    assert rows("ABCDEFGHIJKLMNOPRSTUVWXYZ" + "bdfhiklt") == {(0, 9)}
    assert rows("acemnorsuvwxz") == {(2, 9)}
    assert rows("gpqy") == {(2, 11)}
    assert rows("j") == {(0, 11)}
    assert rows("Q") == {(0, 10)}
