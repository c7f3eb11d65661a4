"""The functional face of the kernels: each by itself, on arrays (N, maps, height, width).

The same code that the network runs, one image per lane, on the calling thread. Arrays of any
float dtype, contiguous or not, are taken and computed with as float32. What does not fit is a
TypeError or a ValueError that names the argument, what takes more memory than
`lenet_c.set_memory_limit` allows a MemoryError.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lenet_c import _core, checks
from lenet_c._core import MAX_MAPS, MAX_SIDE
from lenet_c.tables import check_table, table_matrix

_FEWER = "fewer rows at a time take less; "

Floats = NDArray[np.float32]
TableLike = Sequence[Sequence[int]] | NDArray[Any]


def _floats(name: str, value: ArrayLike, ndim: int | None) -> Floats:
    """Check an array of so many dimensions (None: any), and give it as the core takes it."""
    array = checks.array(name, value)
    if ndim == array.ndim == 4 and (array.shape[1] > MAX_MAPS or max(array.shape[2:]) > MAX_SIDE):
        raise ValueError(
            f"{name}: shape {array.shape}, want at most {MAX_MAPS} maps of {MAX_SIDE}x{MAX_SIDE}"
        )
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{name}: dtype {array.dtype}, want float32")
    if ndim is not None and array.ndim != ndim:
        raise ValueError(f"{name}: shape {array.shape}, want {ndim} dimensions")
    if array.size == 0:
        raise ValueError(f"{name}: shape {array.shape} is empty")
    if array.dtype != np.float32 or not array.flags.c_contiguous:
        _core.check_memory(f"{name}: a float32 copy", 4 * array.size, _FEWER)
    with np.errstate(over="ignore"):  # what overflows is infinite, and told below
        array = np.require(array, np.float32, ["C", "A"])
    if not np.isfinite(array).all():
        rows = array.reshape(len(array) if array.ndim else 1, -1)
        row = int(np.argmin(np.isfinite(rows).all(axis=1)))
        raise ValueError(f"{name}: row {row} is NaN or infinite, want finite values")
    return array


def _room(name: str, shape: tuple[int, ...]) -> Floats:
    """Make an array for a result, if it is not too large."""
    _core.check_memory(f"{name} of shape {shape}", 4 * math.prod(shape), _FEWER)
    return np.empty(shape, np.float32)


def _expect(name: str, array: NDArray[Any], shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise ValueError(f"{name}: shape {array.shape}, want {shape}")


def _connections(table: TableLike | None, maps: int, in_maps: int) -> NDArray[np.uint8] | None:
    """Read a table: for each output map its input maps, or a 0/1 matrix (maps, in_maps)."""
    if table is None:
        return None
    if isinstance(table, np.ndarray) and table.ndim == 2:
        if table.dtype.kind not in "iub":
            raise TypeError(f"table: dtype {table.dtype}, want integers or bool")
        _expect("table", table, (maps, in_maps))
        other = table[(table != 0) & (table != 1)]
        if other.size:
            raise ValueError(f"table: has {other[0]}, want 0 or 1 in an array (maps, input maps)")
        matrix = np.ascontiguousarray(table != 0, np.uint8)
    else:
        try:
            # no more of them than can be right
            rows = tuple(
                tuple(islice(checks.items("table", row, "maps"), in_maps + 1))
                for row in islice(checks.items("table", table, "rows"), maps + 1)
            )
        except TypeError:
            wanted = f"for each map its input maps, or an array ({maps}, {in_maps})"
            raise TypeError(f"table: got {checks.short(table)}, want {wanted}") from None
        check_table("table", rows, maps, in_maps)
        matrix = table_matrix(rows, in_maps)
    if not matrix.any(axis=1).all():
        raise ValueError(f"table: map {int(np.argmin(matrix.any(axis=1)))} reads no map")
    return matrix


def _conv_arguments(
    x: ArrayLike, w: ArrayLike, maps: int, table: TableLike | None, padding: int
) -> tuple[Floats, Floats, NDArray[np.uint8] | None]:
    x = _floats("x", x, 4)
    in_maps = x.shape[1]
    if maps > MAX_MAPS:
        raise ValueError(f"b: for {maps} maps, want at most {MAX_MAPS}")
    matrix = _connections(table, maps, in_maps)
    w = _floats("w", w, 4 if matrix is None else 3)
    kernel = w.shape[-1]
    if matrix is None:
        _expect("w", w, (maps, in_maps, kernel, kernel))
    else:
        _expect("w", w, (int(matrix.sum()), kernel, kernel))
    checks.whole("padding", padding, 0, max(kernel - 1, 0))
    sides = tuple(side + 2 * padding for side in x.shape[2:])
    if kernel > min(sides):
        around = " with its padding" if padding else ""
        raise ValueError(f"w: kernel of {kernel}x{kernel} does not fit x of {sides}{around}")
    if max(sides) > MAX_SIDE:
        raise ValueError(f"padding: got {padding}, which makes x {sides}, want at most {MAX_SIDE}")
    return x, w, matrix


def conv(
    x: ArrayLike, w: ArrayLike, b: ArrayLike, table: TableLike | None = None, padding: int = 0
) -> Floats:
    """Convolve with stride 1 (LeCun et al. 1998, section II.A), before squashing.

    Parameters
    ----------
    x : float array (N, C, H, W)
    w : float array (O, C, k, k), or (connections, k, k) with a table
        With a table, kernels are listed by output map, then by input map.
    b : float array (O,)
    table : optional
        For each output map the input maps that it reads (Table I), or a 0/1 array (O, C).
    padding : int
        Rows and columns of zeros on each side of the maps, p = 0 to k - 1.

    Returns
    -------
    float32 array (N, O, H + 2 p - k + 1, W + 2 p - k + 1)
    """
    b = _floats("b", b, 1)
    x, w, matrix = _conv_arguments(x, w, len(b), table, padding)
    kernel = w.shape[-1]
    height, width = (side + 2 * padding - kernel + 1 for side in x.shape[2:])
    y = _room("y", (len(x), len(b), height, width))
    _core.layer_forward("conv", len(b), kernel, matrix, x, w.reshape(-1), b, y, padding)
    return y


def conv_backward(
    x: ArrayLike, w: ArrayLike, dy: ArrayLike, table: TableLike | None = None, padding: int = 0
) -> tuple[Floats, Floats, Floats]:
    """Gradients of a loss through `conv`.

    Parameters
    ----------
    x, w, table, padding : as for `conv`
    dy : float array (N, O, H + 2 p - k + 1, W + 2 p - k + 1)
        Gradient for the output.

    Returns
    -------
    dx, dw, db : float32 arrays shaped like x, w and b
    """
    dy = _floats("dy", dy, 4)
    maps = dy.shape[1]
    x, w, matrix = _conv_arguments(x, w, maps, table, padding)
    kernel = w.shape[-1]
    height, width = (side + 2 * padding - kernel + 1 for side in x.shape[2:])
    _expect("dy", dy, (len(x), maps, height, width))
    dx, dw, db = np.empty_like(x), np.empty_like(w), np.empty(maps, np.float32)
    dx_dw_db = dx, dw.reshape(-1), db
    _core.layer_backward("conv", maps, kernel, matrix, x, w.reshape(-1), dy, *dx_dw_db, padding)
    return dx, dw, db


def _subsample_arguments(
    x: ArrayLike, coefficient: ArrayLike, table: TableLike | None
) -> tuple[Floats, Floats, NDArray[np.uint8] | None]:
    x, coefficient = _floats("x", x, 4), _floats("coefficient", coefficient, 1)
    if table is None:
        _expect("coefficient", coefficient, x.shape[1:2])
        return x, coefficient, None
    maps = len(coefficient)
    if maps > MAX_MAPS:
        raise ValueError(f"coefficient: for {maps} maps, want at most {MAX_MAPS}")
    matrix = _connections(table, maps, x.shape[1])
    assert matrix is not None
    several = matrix.sum(axis=1) > 1
    if several.any():
        raise ValueError(f"table: map {int(np.argmax(several))} reads several maps, want one")
    return x, coefficient, matrix


def subsample(
    x: ArrayLike, coefficient: ArrayLike, bias: ArrayLike, table: TableLike | None = None
) -> Floats:
    """Sum each 2x2 block, times a coefficient, plus a bias (section II.B), before squashing.

    Parameters
    ----------
    x : float array (N, C, H, W)
        An odd last row or column is left out.
    coefficient, bias : float arrays (O,)
    table : optional
        For each output map the one input map that it reads, or a 0/1 array (O, C); by default O is
        C, and each reads its own.

    Returns
    -------
    float32 array (N, O, H // 2, W // 2)
    """
    x, coefficient, matrix = _subsample_arguments(x, coefficient, table)
    bias = _floats("bias", bias, 1)
    _expect("bias", bias, coefficient.shape)
    if min(x.shape[2:]) < 2:
        raise ValueError(f"x: maps of {x.shape[2:]}, want at least 2x2")
    maps = len(coefficient)
    y = _room("y", (len(x), maps, x.shape[2] // 2, x.shape[3] // 2))
    _core.layer_forward("subsample", maps, 0, matrix, x, coefficient, bias, y)
    return y


def subsample_backward(
    x: ArrayLike, coefficient: ArrayLike, dy: ArrayLike, table: TableLike | None = None
) -> tuple[Floats, Floats, Floats]:
    """Gradients of a loss through `subsample`.

    Parameters
    ----------
    x, coefficient, table : as for `subsample`
    dy : float array (N, O, H // 2, W // 2)

    Returns
    -------
    dx, dcoefficient, dbias : float32 arrays shaped like x, coefficient and bias
    """
    x, coefficient, matrix = _subsample_arguments(x, coefficient, table)
    dy = _floats("dy", dy, 4)
    maps = len(coefficient)
    _expect("dy", dy, (len(x), maps, x.shape[2] // 2, x.shape[3] // 2))
    dx, dc, db = np.empty_like(x), np.empty_like(coefficient), np.empty_like(coefficient)
    _core.layer_backward("subsample", maps, 0, matrix, x, coefficient, dy, dx, dc, db)
    return dx, dc, db


def _matrix_arguments(x: ArrayLike, name: str, w: ArrayLike) -> tuple[Floats, Floats]:
    x, w = _floats("x", x, 2), _floats(name, w, 2)
    _expect("x", x, (len(x), w.shape[1]))
    if max(w.shape) > MAX_MAPS:
        raise ValueError(f"{name}: shape {w.shape}, want at most {MAX_MAPS} by {MAX_MAPS}")
    return x, w


def _as_maps(rows: Floats) -> Floats:
    """Each value a map of its own, (N, K, 1, 1)."""
    return rows.reshape(*rows.shape, 1, 1)


def _forward(kind: str, x: Floats, w: Floats, b: Floats | None, y: Floats) -> None:
    _core.layer_forward(kind, len(w), 0, None, _as_maps(x), w.reshape(-1), b, _as_maps(y))


def _backward(
    kind: str, x: Floats, w: Floats, dy: Floats, dx: Floats, dw: Floats, db: Floats | None
) -> None:
    shapes = _as_maps(x), w.reshape(-1), _as_maps(dy), _as_maps(dx), dw.reshape(-1)
    _core.layer_backward(kind, len(w), 0, None, *shapes, db)


def dense(x: ArrayLike, w: ArrayLike, b: ArrayLike) -> Floats:
    """Weighted sums plus biases (section II.B), before squashing.

    Parameters
    ----------
    x : float array (N, K)
    w : float array (units, K)
    b : float array (units,)

    Returns
    -------
    float32 array (N, units)
    """
    x, w = _matrix_arguments(x, "w", w)
    b = _floats("b", b, 1)
    _expect("b", b, w.shape[:1])
    y = _room("y", (len(x), len(w)))
    _forward("dense", x, w, b, y)
    return y


def dense_backward(x: ArrayLike, w: ArrayLike, dy: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Gradients of a loss through `dense`.

    Parameters
    ----------
    x, w : as for `dense`
    dy : float array (N, units)

    Returns
    -------
    dx, dw, db : float32 arrays shaped like x, w and b
    """
    x, w = _matrix_arguments(x, "w", w)
    dy = _floats("dy", dy, 2)
    _expect("dy", dy, (len(x), len(w)))
    dx, dw, db = np.empty_like(x), np.empty_like(w), np.empty(len(w), np.float32)
    _backward("dense", x, w, dy, dx, dw, db)
    return dx, dw, db


def rbf(x: ArrayLike, codes: ArrayLike) -> Floats:
    """Euclidean RBF units (eq. 7): squared distance of x to each code.

    Parameters
    ----------
    x : float array (N, K)
    codes : float array (classes, K)

    Returns
    -------
    float32 array (N, classes)
        Penalties: the smallest wins.
    """
    x, codes = _matrix_arguments(x, "codes", codes)
    y = _room("y", (len(x), len(codes)))
    _forward("rbf", x, codes, None, y)
    return y


def rbf_backward(x: ArrayLike, codes: ArrayLike, dy: ArrayLike) -> tuple[Floats, Floats]:
    """Gradients of a loss through `rbf`.

    Parameters
    ----------
    x, codes : as for `rbf`
    dy : float array (N, classes)

    Returns
    -------
    dx, dcodes : float32 arrays shaped like x and codes
    """
    x, codes = _matrix_arguments(x, "codes", codes)
    dy = _floats("dy", dy, 2)
    _expect("dy", dy, (len(x), len(codes)))
    dx, dcodes = np.empty_like(x), np.empty_like(codes)
    _backward("rbf", x, codes, dy, dx, dcodes, None)
    return dx, dcodes


def squash(a: ArrayLike, activation: str = "scaled_tanh") -> Floats:
    r"""Apply the squashing function, f(a) = 1.7159 tanh(2/3 a) (appendix A), or another.

    Parameters
    ----------
    a : float array
    activation : str
        "scaled_tanh", "tanh", "relu", "sigmoid" or "identity".

    Returns
    -------
    float32 array shaped like a

    Notes
    -----
    .. math:: f(a) = 1.7159 \tanh \tfrac{2}{3} a
    """
    checks.one_of("activation", activation, _core.ACTIVATIONS)
    values = _floats("a", a, None)
    y = np.empty_like(values)
    _core.squash(values.reshape(-1), activation, y.reshape(-1))
    return y


def squash_backward(y: ArrayLike, dy: ArrayLike, activation: str = "scaled_tanh") -> Floats:
    """Gradient of a loss through `squash`.

    Parameters
    ----------
    y : float array
        What `squash` gave.
    dy : float array shaped like y
    activation : str

    Returns
    -------
    float32 array shaped like y
        dy f'(a).
    """
    checks.one_of("activation", activation, _core.ACTIVATIONS)
    outputs, gradient = _floats("y", y, None), _floats("dy", dy, None)
    _expect("dy", gradient, outputs.shape)
    da = np.empty_like(outputs)
    _core.squash_backward(outputs.reshape(-1), gradient.reshape(-1), activation, da.reshape(-1))
    return da
