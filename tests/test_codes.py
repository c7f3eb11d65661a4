"""The codes of the digits are the pictures in the paper."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lenet_c.codes import DIGITS, show

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
        ("a", ValueError, "code is 'a', want a digit, '0' to '9'"),
        ("", ValueError, "code is '', want a digit, '0' to '9'"),
        ("12", ValueError, "code is '12', want a digit, '0' to '9'"),
        ("\u0663", ValueError, "code is '\u0663', want a digit, '0' to '9'"),
        (10, ValueError, "code is 10, want a digit, 0 to 9"),
        (-1, ValueError, "code is -1, want a digit, 0 to 9"),
        (True, ValueError, "code has shape (), want a digit or (84,)"),
        (3.0, ValueError, "code has shape (), want a digit or (84,)"),
        (np.zeros((12, 7)), ValueError, "code has shape (12, 7), want a digit or (84,)"),
        (np.zeros(84, complex), TypeError, "code has dtype complex128, want real numbers"),
        (["#"] * 84, TypeError, "code has dtype <U1, want real numbers"),
    ],
)
def test_show_refuses(code: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as caught:
        show(code)
    assert str(caught.value) == message
