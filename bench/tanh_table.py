"""The pieces of tanh: python -m bench.tanh_table prints the numbers of csrc/kernels/tanh_table.h.

Each piece is a cubic in |a| that has the least relative error on its interval. The coefficients are
rounded to float32 from the highest power down, and what is left of them fitted again each time.
"""

from __future__ import annotations

import numpy as np

from bench.common import parser

PIECES = 32
PER_OCTAVE = 8  # of u = scale |a| + START
START = 1.125  # where u begins: it spans four octaves, so that five bits of it tell the piece
LIMIT = 7.6  # of S |a|; beyond it tanh is taken for constant

# A tanh(S a): name, A, S
FUNCTIONS = (("FIT_TANH", 1.0, 1.0), ("FIT_SCALED_TANH", 1.7159, 2 / 3))


def edges() -> np.ndarray:
    """Give the PIECES + 1 values of u at which pieces begin and end."""
    first = round((START - 1) * PER_OCTAVE)
    steps = np.arange(first, first + PIECES + 1)
    return 2.0 ** (steps // PER_OCTAVE) * (1 + steps % PER_OCTAVE / PER_OCTAVE)


def scale() -> float:
    """Give du / d(S |a|), a little less than fits, so that rounding never passes the last piece."""
    return float((edges()[-1] * (1 - 1e-5) - START) / LIMIT)


def minimax(columns: np.ndarray, target: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Fit target by columns with the least largest error relative to size (Lawson's iteration)."""
    weight, least, best = np.ones_like(target), np.inf, np.zeros(columns.shape[1])
    for _ in range(80):
        root = np.sqrt(weight) / size
        fit, *_ = np.linalg.lstsq(columns * root[:, None], target * root, rcond=None)
        error = np.abs((columns @ fit - target) / size)
        if error.max() < least:
            least, best = error.max(), fit
        weight = np.maximum(weight * (error / error.max() + 1e-9), 1e-9)
        weight /= weight.max()
    return best


def piece(index: int, amplitude: float, slope: float) -> np.ndarray:
    """Give the float32 coefficients, from the constant on, of one piece of A tanh(S a)."""
    low, high = (edges()[index : index + 2] - START) / scale() / slope
    high = min(high, LIMIT / slope)
    nodes = np.cos(np.pi * (np.arange(300) + 0.5) / 300)
    a = np.maximum(low + (high - low) * (nodes + 1) / 2, 1e-9)
    y = amplitude * np.tanh(slope * a)
    if index == PIECES - 1:  # its end stands for all that lies beyond
        a, y = np.append(a, LIMIT / slope), np.append(y, amplitude)

    rounded = np.zeros(4)
    left = [3, 2, 1] if index == 0 else [3, 2, 1, 0]  # nothing at 0
    while left:
        columns = np.stack([(a / high) ** k for k in left], axis=1)
        rest = y - sum(rounded[k] * a**k for k in range(4) if k not in left)
        power = left.pop(0)
        rounded[power] = np.float32(minimax(columns, rest, y)[0] / high**power)
    return rounded.astype(np.float32)


def table(amplitude: float, slope: float) -> np.ndarray:
    """Give the coefficients, [power][where u's bits say]."""
    coefficients = np.zeros((4, PIECES), np.float32)
    bits = edges()[:-1].astype(np.float32).view(np.int32) >> (23 - 3)  # exponent, 3 of mantissa
    for index in range(PIECES):
        coefficients[:, bits[index] % PIECES] = piece(index, amplitude, slope)
    return coefficients


def main() -> None:
    """Print the fits as C."""
    parser("tanh_table", __doc__).parse_args()
    for name, amplitude, slope in FUNCTIONS:
        print(f"static const tanh_fit {name} = {{")
        print(f"    .limit = {LIMIT / slope:.8g}f,")
        print(f"    .scale = {scale() * slope:.9g}f,")
        print("    .power = {")
        for row in table(amplitude, slope):
            numbers = [f"{value:.9e}f" for value in row]
            lines = [", ".join(numbers[i : i + 4]) for i in range(0, PIECES, 4)]
            print("        {" + ",\n         ".join(lines) + "},")
        print("    },\n};")


if __name__ == "__main__":
    main()
