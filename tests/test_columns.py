"""Tables of numbers as pictures: pixels, and columns that are anything else."""

from __future__ import annotations

import numpy as np
import pytest

from lenet_c import LENET5_28, LENET5_1998, LENET5_MODERN, Architecture, preprocess
from lenet_c.columns import Features, Pixels, cells_of, side_of
from lenet_c.layers import Conv, Dense

OBLONG = Architecture(
    "oblong",
    (Conv("C1", maps=2, kernel=3), Dense("output", units=3, activation="identity")),
    input_shape=(20, 30),
)


def grey(n: int, *shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), np.uint8)


def pixels(x: np.ndarray, architecture: Architecture = LENET5_1998, **settings: object) -> Pixels:
    given = {"white": None, "invert": False, **settings}
    return Pixels.learn(x.reshape(len(x), -1), x.shape[1:], architecture, **given)  # type: ignore


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32, np.float64])
@pytest.mark.parametrize("white", [1, 255])
def test_pixels_are_as_preprocess_has_them(dtype: type, white: int) -> None:
    raw = grey(2500, 28, 28)  # several parts
    x = raw.astype(dtype) if white == 255 else (raw / np.float64(255)).astype(dtype)
    form = pixels(x)
    assert form.white == white
    want = preprocess.images(x)
    assert len(np.unique(want)) > 1
    np.testing.assert_array_equal(form.images(x.reshape(2500, -1)), want)
    inverted = pixels(x, invert=True)
    np.testing.assert_array_equal(inverted.images(x.reshape(2500, -1)), 255 - want)


def test_pixels_of_bool_and_of_another_white() -> None:
    ink = grey(5, 28, 28) > 100
    np.testing.assert_array_equal(
        pixels(ink).images(ink.reshape(5, -1)), ink.astype(np.uint8) * 255
    )
    levels = grey(5, 8, 8) // 16  # 0 to 15
    form = pixels(levels, LENET5_28, white=15)
    np.testing.assert_array_equal(form.images(levels.reshape(5, -1)), enlarged(levels * 17, 28))
    with pytest.raises(ValueError, match=r"X: has values from 0 to 15, neither .*white=16"):
        pixels(levels)
    with pytest.raises(ValueError, match=r"X: has values from -1 to .*columns='features'"):
        pixels(levels - 1.0)


def enlarged(images: np.ndarray, side: int) -> np.ndarray:
    return np.array(
        [np.rint(preprocess.resize(image.astype(np.float32), side, side)) for image in images],
        np.uint8,
    )


@pytest.mark.parametrize(
    ("architecture", "side", "wanted"),
    [
        (LENET5_1998, 28, 28),
        (LENET5_1998, 32, 32),
        (LENET5_MODERN, 24, 24),
        (LENET5_1998, 29, 28),
        (LENET5_1998, 22, 28),
        (LENET5_1998, 64, 28),
        (LENET5_28, 8, 28),
        (LENET5_28, 32, 28),
        (LENET5_28, 20, 20),
    ],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_pictures_get_a_size_that_the_network_takes(
    architecture: Architecture, side: int, wanted: int
) -> None:
    x = grey(3, side, side)
    got = pixels(x, architecture).images(x.reshape(3, -1))
    assert got.dtype == np.uint8
    np.testing.assert_array_equal(got, x if side == wanted else enlarged(x, wanted))


def test_pictures_keep_their_proportions() -> None:
    for shape in ((20, 30), (18, 24)):
        x = grey(3, *shape)
        np.testing.assert_array_equal(pixels(x, OBLONG).images(x.reshape(3, -1)), x)
    assert pixels(grey(3, 40, 60), OBLONG).size == (20, 30)
    with pytest.raises(ValueError, match="X: pictures of 30x20, want the proportions"):
        pixels(grey(3, 30, 20), OBLONG)


def test_channels_come_first_in_what_the_network_takes() -> None:
    x = grey(4, 30, 30, 3)
    np.testing.assert_array_equal(pixels(x).images(x.reshape(4, -1)), preprocess.channels_first(x))
    small = grey(4, 10, 10, 3)
    got = pixels(small).images(small.reshape(4, -1))
    for channel in range(3):
        np.testing.assert_array_equal(got[:, channel], enlarged(small[..., channel], 28))


def test_a_range_stays_what_it_was() -> None:
    x = grey(50, 28, 28).reshape(50, -1) / 255.0
    form = Pixels.learn(x, (28, 28), LENET5_1998, None, False)
    dim = x * 0.001
    assert form.images(dim).max() == 0  # by itself it might be anything
    assert form.images(x * 1.001).max() == 255
    for bad in (x * 255, x * 2, x - 0.7):
        with pytest.raises(ValueError, match="want pixels from 0 to 1 as fit had"):
            form.images(bad)


@pytest.mark.parametrize("white", [1.0, 16.0, 255.0])
def test_values_somewhat_beyond_the_range_count_as_its_end(white: float) -> None:
    x = grey(50, 28, 28).reshape(50, -1) / 255.0 * white
    form = Pixels((28, 28), white, False, (28, 28))
    for beyond in (x * 1.4, x - 0.1 * white, (x - 0.1 * white) * 1.2):
        np.testing.assert_array_equal(form.images(beyond), form.images(beyond.clip(0, white)))
    dark_on_light = Pixels((28, 28), white, True, (28, 28))
    beyond = x - 0.4 * white
    np.testing.assert_array_equal(
        dark_on_light.images(beyond), dark_on_light.images(beyond.clip(0, white))
    )
    for moved, other in ((x - 0.5 * white, form), (x + 0.5 * white, dark_on_light)):
        with pytest.raises(ValueError, match="as fit had"):  # the background, elsewhere
            other.images(moved)
    # far ones as well, if they are few: a scaler has hardly seen their columns
    x[7, 300:312] = [1000 * white] * 6 + [-1000 * white] * 6
    np.testing.assert_array_equal(form.images(x), form.images(x.clip(0, white)))
    x[7, 312] = 1000 * white
    with pytest.raises(ValueError, match=f"want pixels from 0 to {white:g} as fit had"):
        form.images(x)
    small = Pixels((8, 8), white, True, (28, 28))
    x = grey(5, 8, 8).reshape(5, -1) / 255.0 * white
    x[3, :4] = 9 * white
    np.testing.assert_array_equal(small.images(x), small.images(x.clip(0, white)))
    x[3, 4] = 9 * white
    with pytest.raises(ValueError, match="as fit had"):
        small.images(x)


def test_a_white_that_is_said_has_to_be_that_of_what_is_learnt_from() -> None:
    x = grey(50, 28, 28).astype(np.float64)
    for bad in (x * 1.1, x - 9):
        with pytest.raises(ValueError, match=r"^X: has values from .* to 255, as white has it"):
            pixels(bad, white=255)


def test_fractions_where_fit_had_whole_numbers_to_255_are_of_another_scale() -> None:
    raw = grey(50, 28, 28).reshape(50, -1)
    raw[5] = 0
    raw[5, :30] = 1
    form = Pixels.learn(raw, (28, 28), LENET5_1998, None, False)
    np.testing.assert_array_equal(form.images(raw.astype(np.float64)), form.images(raw))
    np.testing.assert_array_equal(form.images(raw[5:6] * 1.0), form.images(raw)[5:6])
    for rows in (slice(None), slice(3, 4), slice(5, 6)):
        with pytest.raises(ValueError, match=r"X: has .* want pixels from 0 to 255 as fit had"):
            form.images(raw[rows] / 255)
    # not where fit had fractions, or white was said
    for given in (
        Pixels.learn(raw * 0.99, (28, 28), LENET5_1998, None, False),
        Pixels.learn(raw, (28, 28), LENET5_1998, 255, False),
    ):
        assert given.images(raw / 255).max() == 1


def test_polarity_is_told_from_the_borders() -> None:
    light = np.full((20, 28, 28), 250, np.uint8)
    light[:, 10:18, 12:16] = 10
    form = pixels(light, invert="auto")
    assert form.invert
    np.testing.assert_array_equal(form.images(light.reshape(20, -1)), 255 - light)
    assert not pixels(255 - light, invert="auto").invert
    light[::2] = 255 - light[::2]
    with pytest.raises(ValueError, match=r"^X: the borders of 50% of .* are light") as caught:
        pixels(light, invert="auto")
    assert "x" not in str(caught.value).split()
    assert "characters" not in str(caught.value)
    with pytest.raises(ValueError, match=r"^X: .* by X = X / 1023; or say what white is"):
        pixels(light * 4.0)


def test_which_columns_may_be_pixels() -> None:
    assert [side_of(n) for n in (64, 784, 1024)] == [8, 28, 32]
    assert [side_of(n) for n in (1, 4, 49, 63, 65, 785)] == [None] * 6
    assert [cells_of(n) for n in (1, 2, 4, 5, 9, 10, 784, 785)] == [1, 2, 2, 3, 3, 4, 28, 29]


# ---- columns that are no pixels ------------------------------------------------------------------


def slow_pictures(x: np.ndarray, weights: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Cell by cell, in float64."""
    side = int(np.ceil(np.sqrt(x.shape[1])))
    cell = min(size) // side
    out = np.zeros((len(x), *size))
    top, left = (size[0] - side * cell) // 2, (size[1] - side * cell) // 2
    for column in range(x.shape[1]):
        mean = (weights * x[:, column]).sum() / weights.sum()
        deviation = np.sqrt((weights * (x[:, column] - mean) ** 2).sum() / weights.sum())
        row, place = divmod(column, side)
        for i in range(cell):
            for j in range(cell):
                out[:, top + row * cell + i, left + place * cell + j] = (
                    x[:, column] - mean
                ) / deviation
    return np.clip(out, -10, 10)


@pytest.mark.parametrize("size", [(32, 32), (28, 30)])
@pytest.mark.parametrize("columns", [1, 2, 4, 5, 13, 100, 784])
def test_features_are_scaled_and_laid_out(columns: int, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(5, 3, (40, columns)) * 10.0 ** rng.integers(-5, 6, columns)
    weights = rng.uniform(0.1, 3, 40)
    got = Features.learn(x, weights, size).images(x)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, slow_pictures(x, weights, size), rtol=1e-5, atol=1e-5)
    assert got.std() > 0.5
    plain = Features.learn(x, None, size).images(x)
    np.testing.assert_allclose(plain, slow_pictures(x, np.ones(40), size), rtol=1e-5, atol=1e-5)
    # a row's picture is its own
    np.testing.assert_array_equal(Features.learn(x, None, size).images(x[3:4]), plain[3:4])


def test_features_that_are_extreme() -> None:
    x = np.array([[1e300, 7, 0, 1e-300], [-1e300, 7, 0, 2e-300], [1e308, 7, 0, 1e-300]])
    form = Features.learn(x, None, (32, 32))
    assert np.isfinite(form.images(x)).all()
    assert form.images(x)[:, :16, 16:].max() == 0  # always the same: no information
    far = form.images(np.full((1, 4), 1.7e308))
    assert far.max() == 10
    assert np.isfinite(far).all()
