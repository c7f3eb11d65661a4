"""Every kernel against the float64 reference: sizes, tables, alignment, strides, errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from closeness import assert_close

import reference as ref
from lenet_c import kernels
from lenet_c.networks import C3_TABLE

BATCHES = [1, 2, 7, 15, 16, 17, 33, 100]
ACTIVATIONS = ["scaled_tanh", "tanh", "relu", "sigmoid", "identity"]

EVERY_OTHER = tuple(tuple(range(o % 2, 5, 2)) for o in range(7))
ONE_EACH = ((2,), (0,), (1,), (2,))
UNREAD_MAP = ((0, 3), (0,), (1, 3))  # nothing reads map 2

# input maps, output maps, height, width, kernel, table
CONVS = [
    (1, 6, 32, 32, 5, None),  # C1 and C3 of 1998, and C5
    (6, 16, 14, 14, 5, C3_TABLE),
    (16, 120, 5, 5, 5, None),
    (6, 16, 14, 14, 5, None),
    (1, 6, 28, 28, 5, None),  # LENET5_28
    (6, 16, 12, 12, 5, None),
    (1, 6, 28, 28, 3, None),  # LENET_3X3
    (6, 16, 13, 13, 3, None),
    (2, 5, 9, 14, 5, None),  # the same widths, other heights
    (3, 2, 7, 12, 5, None),
    (5, 7, 8, 13, 3, EVERY_OTHER),
    (1, 1, 1, 1, 1, None),
    (3, 4, 9, 7, 1, None),
    (2, 5, 8, 11, 2, None),
    (3, 4, 6, 5, 2, ONE_EACH),
    (1, 1, 3, 3, 3, None),
    (3, 7, 6, 33, 3, None),
    (5, 7, 12, 9, 3, EVERY_OTHER),
    (2, 1, 5, 19, 5, None),
    (4, 3, 11, 8, 5, UNREAD_MAP),
    (3, 6, 15, 20, 7, None),
    (4, 3, 10, 8, 7, UNREAD_MAP),
    (2, 2, 21, 7, 7, None),
]


def conv_name(case: tuple[Any, ...]) -> str:
    in_maps, maps, height, width, kernel, table = case
    return f"{in_maps}x{height}x{width}-{maps}@{kernel}{'-table' if table else ''}"


def conv_arguments(rng: np.random.Generator, case: tuple[Any, ...], n: int) -> list[np.ndarray]:
    """x, w, b and dy, in float32."""
    in_maps, maps, height, width, kernel, table = case
    pairs = (maps, in_maps) if table is None else (sum(map(len, table)),)
    shapes = [
        (n, in_maps, height, width),
        (*pairs, kernel, kernel),
        (maps,),
        (n, maps, height - kernel + 1, width - kernel + 1),
    ]
    return [rng.standard_normal(shape).astype(np.float32) for shape in shapes]


def wide(*arrays: np.ndarray) -> list[ref.Array]:
    return [array.astype(np.float64) for array in arrays]


@pytest.mark.parametrize("n", BATCHES)
@pytest.mark.parametrize("case", CONVS, ids=conv_name)
def test_conv(rng: np.random.Generator, case: tuple[Any, ...], n: int) -> None:
    x, w, b, dy = conv_arguments(rng, case, n)
    table = case[-1]
    y = kernels.conv(x, w, b, table)
    assert y.dtype == np.float32
    assert_close(y, ref.conv(*wide(x, w, b), table))
    got = kernels.conv_backward(x, w, dy, table)
    want = ref.conv_backward(*wide(x, w, dy), table)
    # dw and db are sums of up to 100 * 28 * 28 products
    for one, other, tolerance in zip(got, want, (2e-6, 1e-5, 1e-5), strict=True):
        assert one.dtype == np.float32
        assert_close(one, other, tolerance)


@pytest.mark.parametrize("n", [1, 16, 33])
@pytest.mark.parametrize("case", CONVS, ids=conv_name)
def test_conv_with_padding(rng: np.random.Generator, case: tuple[Any, ...], n: int) -> None:
    in_maps, maps, height, width, kernel, table = case
    for padding in sorted({kernel // 2, kernel - 1} - {0}):
        smaller = (in_maps, maps, max(1, height - padding), max(1, width - padding), kernel, table)
        x, w, b, _ = conv_arguments(rng, (*smaller[:2], height, width, kernel, table), n)
        x = x[:, :, : smaller[2], : smaller[3]]
        if min(x.shape[2:]) + 2 * padding < kernel:
            continue
        y = kernels.conv(x, w, b, table, padding=padding)
        assert_close(y, ref.conv(*wide(x, w, b), table, padding))
        dy = rng.standard_normal(y.shape).astype(np.float32)
        got = kernels.conv_backward(x, w, dy, table, padding=padding)
        want = ref.conv_backward(*wide(x, w, dy), table, padding)
        for one, other, tolerance in zip(got, want, (2e-6, 1e-5, 1e-5), strict=True):
            assert_close(one, other, tolerance)


@pytest.mark.parametrize(
    ("padding", "kind", "message"),
    [
        (-1, ValueError, "padding: got -1, want a whole number from 0 to 2"),
        (3, ValueError, "padding: got 3, want a whole number from 0 to 2"),
        (1.0, TypeError, "padding: got 1.0, want a whole number from 0 to 2"),
        (1, ValueError, r"padding: got 1, which makes x \(8, 1026\), want at most 1024"),
    ],
)
def test_padding_that_cannot_be(padding: Any, kind: type[Exception], message: str) -> None:
    x, w = np.zeros((1, 1, 6, 1024), np.float32), np.zeros((2, 1, 3, 3), np.float32)
    with pytest.raises(kind, match=message):
        kernels.conv(x, w, np.zeros(2, np.float32), padding=padding)


def test_conv_table_as_matrix(rng: np.random.Generator) -> None:
    x, w, b, dy = conv_arguments(rng, (6, 16, 14, 14, 5, C3_TABLE), 3)
    matrix = np.array([[i in row for i in range(6)] for row in C3_TABLE])
    np.testing.assert_array_equal(kernels.conv(x, w, b, matrix), kernels.conv(x, w, b, C3_TABLE))
    for one, other in zip(
        kernels.conv_backward(x, w, dy, matrix),
        kernels.conv_backward(x, w, dy, C3_TABLE),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("n", BATCHES)
@pytest.mark.parametrize(
    "shape", [(6, 28, 28), (16, 10, 10), (1, 2, 2), (3, 3, 2), (5, 7, 9), (2, 4, 11), (4, 13, 6)]
)
def test_subsample(rng: np.random.Generator, shape: tuple[int, int, int], n: int) -> None:
    maps, height, width = shape
    x = rng.standard_normal((n, *shape)).astype(np.float32)
    coefficient, bias = rng.standard_normal((2, maps)).astype(np.float32)
    y = kernels.subsample(x, coefficient, bias)
    assert y.dtype == np.float32
    assert_close(y, ref.subsample(*wide(x, coefficient, bias)))
    # around 1, so that the one sum of a single map does not cancel
    dy = 1 + rng.standard_normal((n, maps, height // 2, width // 2)).astype(np.float32)
    got = kernels.subsample_backward(x, coefficient, dy)
    want = ref.subsample_backward(*wide(x, coefficient, dy))
    for one, other in zip(got, want, strict=True):
        assert_close(one, other)


PAIRS = ((0,), (0,), (1,), (1,), (2,), (2,), (3,), (3,))
SHUFFLED = ((2,), (0,), (2,), (2,), (4,))  # maps 1 and 3 feed nothing


@pytest.mark.parametrize("n", BATCHES)
@pytest.mark.parametrize(
    ("shape", "table"), [((4, 28, 28), PAIRS), ((5, 7, 9), SHUFFLED), ((3, 2, 2), ((1,),))]
)
def test_subsample_with_a_table(
    rng: np.random.Generator,
    shape: tuple[int, int, int],
    table: tuple[tuple[int, ...], ...],
    n: int,
) -> None:
    x = rng.standard_normal((n, *shape)).astype(np.float32)
    coefficient, bias = rng.standard_normal((2, len(table))).astype(np.float32)
    y = kernels.subsample(x, coefficient, bias, table)
    assert_close(y, ref.subsample(*wide(x, coefficient, bias), table))
    dy = 1 + rng.standard_normal(y.shape).astype(np.float32)
    got = kernels.subsample_backward(x, coefficient, dy, table)
    want = ref.subsample_backward(*wide(x, coefficient, dy), table)
    for one, other in zip(got, want, strict=True):
        assert_close(one, other)
    own = tuple((i,) for i in range(shape[0]))
    coefficient, bias = rng.standard_normal((2, shape[0])).astype(np.float32)
    same = kernels.subsample(x, coefficient, bias, own)
    np.testing.assert_array_equal(same, kernels.subsample(x, coefficient, bias))


@pytest.mark.parametrize("n", BATCHES)
@pytest.mark.parametrize(("inputs", "classes"), [(84, 10), (84, 95), (1, 1), (3, 2), (17, 5)])
def test_rbf(rng: np.random.Generator, inputs: int, classes: int, n: int) -> None:
    x = rng.standard_normal((n, inputs)).astype(np.float32)
    codes = rng.choice([-1.0, 1.0], (classes, inputs)).astype(np.float32)
    assert_close(kernels.rbf(x, codes), ref.rbf(*wide(x, codes)))
    codes = rng.standard_normal((classes, inputs)).astype(np.float32)
    assert_close(kernels.rbf(x, codes), ref.rbf(*wide(x, codes)))
    dy = rng.standard_normal((n, classes)).astype(np.float32)
    got = kernels.rbf_backward(x, codes, dy)
    for one, other in zip(got, ref.rbf_backward(*wide(x, codes, dy)), strict=True):
        assert_close(one, other)


@pytest.mark.parametrize("n", BATCHES)
@pytest.mark.parametrize(
    ("inputs", "units"), [(400, 120), (120, 84), (84, 10), (1, 1), (3, 2), (17, 5)]
)
def test_dense(rng: np.random.Generator, inputs: int, units: int, n: int) -> None:
    x = rng.standard_normal((n, inputs)).astype(np.float32)
    w = rng.standard_normal((units, inputs)).astype(np.float32)
    b = rng.standard_normal(units).astype(np.float32)
    y = kernels.dense(x, w, b)
    assert y.dtype == np.float32
    assert_close(y, ref.dense(*wide(x, w, b)))
    # around 1, so that the one sum of a single unit does not cancel
    dy = 1 + rng.standard_normal((n, units)).astype(np.float32)
    got = kernels.dense_backward(x, w, dy)
    for one, other in zip(got, ref.dense_backward(*wide(x, w, dy)), strict=True):
        assert_close(one, other)


# Around 0, where the fits are clamped (7.8, 11.7, 87), and at the ends of float.
NEAR_LIMITS = np.array(
    [
        *(0.0, 1e-37, 1e-30, 1e-12, 1e-6, 1e-3, 0.1, 0.5, 1.0, 2.0, 4.0, 7.5, 7.79, 7.8, 7.81),
        *(8.5, 9.0, 11.69, 11.7, 11.71, 13.0, 17.0, 86.9, 87.0, 88.0, 100.0, 1e4, 1e19, 1e30),
        3.4028235e38,
    ],
    np.float32,
)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_squash_value_by_value(activation: str) -> None:
    a = np.concatenate([NEAR_LIMITS, -NEAR_LIMITS, np.linspace(-14, 14, 9001, dtype=np.float32)])
    y = kernels.squash(a, activation)
    want = ref.activate(activation, a.astype(np.float64))
    # a sigmoid is at least what it is at -87
    np.testing.assert_allclose(y, want, rtol=7e-7, atol=2e-38 if activation == "sigmoid" else 0)
    assert np.abs(y).max() > 0.99
    if activation == "sigmoid":
        assert 0 < y.min() < y.max() == 1
    if activation in ("scaled_tanh", "tanh"):  # odd, and within the limits
        np.testing.assert_array_equal(kernels.squash(-a, activation), -y)
        assert np.abs(y).max() <= (1.7159 if activation == "scaled_tanh" else 1.0) * (1 + 2e-7)


@pytest.mark.parametrize("n", [*BATCHES, 1000])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_squash(rng: np.random.Generator, activation: str, n: int) -> None:
    a, dy = (3 * rng.standard_normal((2, n))).astype(np.float32)
    a[0] = abs(a[0])  # so that relu has something to give
    y = kernels.squash(a, activation)
    assert y.dtype == np.float32
    assert_close(y, ref.activate(activation, a.astype(np.float64)))
    want = dy * ref.activate_derivative(activation, a.astype(np.float64))
    da = kernels.squash_backward(y, dy, activation)
    # f' comes from f: where that is nearly flat, an error of y counts twice
    assert_close(da, want, 5e-6)


def test_squash_keeps_the_shape(rng: np.random.Generator) -> None:
    a = rng.standard_normal((2, 3, 5, 7)).astype(np.float32)
    y = kernels.squash(a)
    assert_close(y, ref.squash(a.astype(np.float64)))
    want = a * ref.squash_derivative(a.astype(np.float64))
    assert_close(kernels.squash_backward(y, a), want, 5e-6)
    assert kernels.squash(np.float32(1)).shape == ()
    assert_close(kernels.squash(2.0), ref.squash(np.array(2.0)))


def shifted(array: np.ndarray, by: int) -> np.ndarray:
    """A copy whose address is `by` bytes past a multiple of 64."""
    memory = np.zeros(array.nbytes + 128, np.uint8)
    start = -memory.ctypes.data % 64 + by
    copy = memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    assert copy.ctypes.data % 64 == by
    return copy


def strided(array: np.ndarray) -> np.ndarray:
    """A view with the same values that is contiguous along no axis."""
    memory = np.full([2 * size + 1 for size in array.shape], np.nan, array.dtype)
    view = memory[tuple(slice(1, None, 2) for _ in array.shape)]
    view = view[tuple(slice(None, None, -1) for _ in array.shape)]
    view[...] = array
    return view


def read_only(array: np.ndarray) -> np.ndarray:
    array = array.copy()
    array.flags.writeable = False
    return array


LAYOUTS: dict[str, Callable[[np.ndarray], Any]] = {
    "4 bytes off": lambda a: shifted(a, 4),
    "60 bytes off": lambda a: shifted(a, 60),
    "1 byte off": lambda a: shifted(a, 1),
    "strided": strided,
    "fortran": np.asfortranarray,
    "float64": lambda a: a.astype(np.float64),
    "float16": lambda a: a.astype(np.float16),
    "big-endian": lambda a: a.astype(">f4"),
    "read-only": read_only,
    "lists": lambda a: a.tolist(),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_in_memory(rng: np.random.Generator, layout: str) -> None:
    place = LAYOUTS[layout]

    def some(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float16).astype(np.float32)

    x, w, b, dy = some(17, 6, 9, 8), some(60, 3, 3), some(16), some(17, 16, 7, 6)
    calls: list[tuple[Callable[..., Any], tuple[np.ndarray, ...], tuple[Any, ...]]] = [
        (kernels.conv, (x, w, b), (C3_TABLE,)),
        (kernels.conv_backward, (x, w, dy), (C3_TABLE,)),
        (kernels.subsample, (x, some(6), some(6)), ()),
        (kernels.subsample_backward, (x, some(6), some(17, 6, 4, 4)), ()),
        (kernels.dense, (some(17, 21), some(5, 21), some(5)), ()),
        (kernels.dense_backward, (some(17, 21), some(5, 21), some(17, 5)), ()),
        (kernels.rbf, (some(17, 21), some(5, 21)), ()),
        (kernels.rbf_backward, (some(17, 21), some(5, 21), some(17, 5)), ()),
        (kernels.squash, (some(7, 11),), ()),
        (kernels.squash_backward, (some(7, 11), some(7, 11)), ()),
    ]
    for kernel, arrays, more in calls:
        want = kernel(*arrays, *more)
        got = kernel(*map(place, arrays), *more)
        for one, other in zip(
            got if isinstance(got, tuple) else (got,),
            want if isinstance(want, tuple) else (want,),
            strict=True,
        ):
            assert np.abs(other).max() > 0
            np.testing.assert_array_equal(one, other)


X = np.ones((2, 3, 6, 7), np.float32)
W = np.ones((4, 3, 3, 3), np.float32)
B = np.ones(4, np.float32)
DY = np.ones((2, 4, 4, 5), np.float32)
FLAT, CODES = np.ones((2, 5), np.float32), np.ones((3, 5), np.float32)


def with_nan(array: np.ndarray) -> np.ndarray:
    array = array.copy()
    array[1] = np.nan
    return array


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: kernels.conv(X[0], W, B), ValueError, r"x: shape \(3, 6, 7\), want 4 dim"),
        (lambda: kernels.conv(X.astype(complex), W, B), TypeError, "x: dtype complex128, want"),
        (lambda: kernels.conv(X > 0, W, B), TypeError, "x: dtype bool, want float32"),
        (lambda: kernels.conv(X[:0], W, B), ValueError, r"x: shape \(0, 3, 6, 7\) is empty"),
        (lambda: kernels.conv(with_nan(X), W, B), ValueError, "x: row 1 is NaN or infinite"),
        (lambda: kernels.conv(X, with_nan(W), B), ValueError, "w: row 1 is NaN or infinite"),
        (lambda: kernels.conv(X, W, B * np.inf), ValueError, "b: row 0 is NaN or infinite"),
        (lambda: kernels.conv(X, W, B[:, None]), ValueError, r"b: shape \(4, 1\), want 1 dim"),
        (lambda: kernels.conv(X, W, B[:3]), ValueError, r"w: shape .*, want \(3, 3, 3, 3\)"),
        (lambda: kernels.conv(X, W[:, :2], B), ValueError, r"w: shape .*, want \(4, 3, 3, 3\)"),
        (lambda: kernels.conv(X, W[:, :, :2], B), ValueError, r"w: shape .*, want \(4, 3, 3, 3\)"),
        (lambda: kernels.conv(X, W[0], B), ValueError, r"w: shape \(3, 3, 3\), want 4 dim"),
        (
            lambda: kernels.conv(X, np.ones((4, 3, 7, 7)), B),
            ValueError,
            r"w: kernel of 7x7 does not fit x of \(6, 7\)",
        ),
        (
            lambda: kernels.conv(X, W[:, 0], B, [[0], [1], [2], [3]]),
            ValueError,
            r"table\[3\]: got 3, want a whole number from 0 to 2",
        ),
        (
            lambda: kernels.conv(X, W[:, 0], B, [[0], [1], [2]]),
            ValueError,
            "table: got 3 entries, want 4, one for each map",
        ),
        (
            lambda: kernels.conv(X, W[:, 0], B, [[0], [], [2], [1]]),
            ValueError,
            r"table\[1\]: got none, want at least one input map",
        ),
        (
            lambda: kernels.conv(X, W[:, 0], B, [[0], [0, 1], [2], [1]]),
            ValueError,
            r"w: shape \(4, 3, 3\), want \(5, 3, 3\)",
        ),
        (
            lambda: kernels.conv_backward(X, W, DY[:1]),
            ValueError,
            r"dy: shape \(1, 4, 4, 5\), want \(2, 4, 4, 5\)",
        ),
        (lambda: kernels.conv_backward(X, W, DY[..., :4]), ValueError, r"dy: .*want \(2, 4, 4, 5"),
        (lambda: kernels.conv_backward(X, W, with_nan(DY)), ValueError, "dy: row 1 is NaN"),
        (lambda: kernels.subsample(X, B, B[:3]), ValueError, r"coefficient: .*, want \(3,\)"),
        (lambda: kernels.subsample(X, B[:3], B), ValueError, r"bias: shape \(4,\), want \(3,\)"),
        (
            lambda: kernels.subsample(X, B[:2], B[:2], ((0,), (1, 2))),
            ValueError,
            "table: map 1 reads several maps, want one",
        ),
        (
            lambda: kernels.subsample(X, B[:2], B[:2], ((0,),)),
            ValueError,
            "table: got 1 entries, want 2, one for each map",
        ),
        (
            lambda: kernels.subsample(X[:, :, :1], B[:3], B[:3]),
            ValueError,
            r"x: maps of \(1, 7\), want at least 2x2",
        ),
        (
            lambda: kernels.subsample_backward(X, B[:3], X),
            ValueError,
            r"dy: shape \(2, 3, 6, 7\), want \(2, 3, 3, 3\)",
        ),
        (lambda: kernels.dense(FLAT[:, :4], CODES, B), ValueError, r"x: .* want \(2, 5\)"),
        (lambda: kernels.dense(FLAT, CODES, B), ValueError, r"b: shape \(4,\), want \(3,\)"),
        (lambda: kernels.dense(FLAT, with_nan(CODES), B[:3]), ValueError, "w: row 1 is NaN"),
        (
            lambda: kernels.dense_backward(FLAT, CODES, FLAT),
            ValueError,
            r"dy: shape \(2, 5\), want \(2, 3\)",
        ),
        (lambda: kernels.rbf(FLAT[:, :4], CODES), ValueError, r"x: shape \(2, 4\), want \(2, 5\)"),
        (lambda: kernels.rbf(FLAT, CODES[0]), ValueError, r"codes: shape \(5,\), want 2 dim"),
        (lambda: kernels.rbf(FLAT, with_nan(CODES)), ValueError, "codes: row 1 is NaN"),
        (
            lambda: kernels.rbf_backward(FLAT, CODES, FLAT),
            ValueError,
            r"dy: shape \(2, 5\), want \(2, 3\)",
        ),
        (
            lambda: kernels.squash(B, "swish"),
            ValueError,
            "activation: got 'swish', want one of identity, scaled_tanh, tanh, relu, sigmoid",
        ),
        (lambda: kernels.squash(with_nan(B)), ValueError, "a: row 1 is NaN or infinite"),
        (lambda: kernels.squash(with_nan(FLAT)), ValueError, "a: row 1 is NaN or infinite"),
        (lambda: kernels.squash(np.nan), ValueError, "a: row 0 is NaN or infinite"),
        (lambda: kernels.squash_backward(FLAT, with_nan(FLAT)), ValueError, "dy: row 1 is NaN"),
        (lambda: kernels.squash(["a"]), TypeError, "a: dtype <U1, want float32"),
        (lambda: kernels.squash([]), ValueError, r"a: shape \(0,\) is empty"),
        (
            lambda: kernels.squash_backward(B, B[:3]),
            ValueError,
            r"dy: shape \(3,\), want \(4,\)",
        ),
        (lambda: kernels.squash_backward(B, with_nan(B)), ValueError, "dy: row 1 is NaN"),
    ],
)
def test_input_errors(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_sizes_beyond_the_core() -> None:
    with pytest.raises(ValueError, match=r"codes: shape \(2, 5000\), want at most 4096"):
        kernels.rbf(np.zeros((1, 5000)), np.zeros((2, 5000)))
    with pytest.raises(ValueError, match=r"x: shape .* want at most 4096 maps of 1024x1024"):
        kernels.conv(np.zeros((1, 1, 1, 2000)), np.zeros((1, 1, 1, 1)), np.zeros(1))
    with pytest.raises(ValueError, match="b: for 5000 maps, want at most 4096"):
        kernels.conv(np.zeros((1, 1, 1, 1)), np.zeros((5000, 1, 1, 1)), np.zeros(5000))


def test_what_overflows_float32_is_an_error_without_a_warning() -> None:
    with pytest.raises(ValueError, match="a: row 0 is NaN or infinite"):
        kernels.squash(1e300)


def test_lists_that_are_no_arrays_and_tables_that_are_no_tables() -> None:
    ragged: Any = [[1.0, 2.0], [3.0]]
    with pytest.raises(ValueError, match=r"^a: not an array"):
        kernels.squash(ragged)
    with pytest.raises(ValueError, match=r"^dy: not an array"):
        kernels.squash_backward([1.0, 2.0], ragged)
    with pytest.raises(ValueError, match=r"^codes: not an array"):
        kernels.rbf(np.ones((2, 3)), ragged)
    for table in (5, [0, 1]):
        with pytest.raises(TypeError, match=r"^table: got .*, want for each map its input maps"):
            kernels.conv(np.ones((1, 2, 5, 5)), np.ones((2, 3, 3)), np.ones(2), table)
    for matrix in (np.array([["0", "1"]]), np.array([[np.nan, 1.0]])):
        with pytest.raises(TypeError, match=r"^table: dtype .*, want integers or bool"):
            kernels.conv(np.ones((1, 2, 5, 5)), np.ones((2, 3, 3)), np.ones(1), matrix)
    for matrix in (np.array([[0, 2]]), np.array([[-1, 1]])):  # input maps, or what else is meant
        with pytest.raises(ValueError, match=r"^table: has .*, want 0 or 1"):
            kernels.conv(np.ones((1, 2, 5, 5)), np.ones((2, 3, 3)), np.ones(1), matrix)
    with pytest.raises(TypeError, match=r"^activation: got \['tanh'\], want one of"):
        kernels.squash([1.0], ["tanh"])


def test_a_table_must_be_ascending() -> None:
    x, b = np.ones((1, 3, 3, 3)), np.zeros(2)
    with pytest.raises(ValueError, match=r"table\[0\]: got 0 after 2, want ascending"):
        kernels.conv(x, np.ones((3, 2, 2)), b, [[2, 0], [1]])


def test_many_maps_are_connected_at_once() -> None:
    """A plan's connections take time in proportion to their number."""
    x = np.random.default_rng(0).random((1, 1024, 1, 1))
    y = kernels.conv(x, np.ones((1024, 1024, 1, 1)), np.zeros(1024))
    np.testing.assert_allclose(y[0, :, 0, 0], x.sum(), rtol=1e-5)
