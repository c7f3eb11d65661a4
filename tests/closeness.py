"""How near a float32 result must be to its float64 reference."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def assert_close(got: np.ndarray, want: ArrayLike, tolerance: float = 2e-6) -> float:
    """Hold every value within `tolerance` of the largest wanted one, not 0; give how far off."""
    want = np.asarray(want, np.float64)
    assert got.shape == want.shape
    scale = np.abs(want).max()
    assert scale > 0, "all zero: nothing is compared"
    off = np.abs(got - want)
    # written so that NaN fails
    assert off.max() <= tolerance * scale, (
        f"off by {off.max() / scale:.1e} of the largest value at "
        f"{tuple(int(i) for i in np.unravel_index(np.argmax(off), off.shape))}"
    )
    return float(off.max() / scale)
