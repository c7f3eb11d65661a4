"""Calibration of a reader of lines: its temperature and its threshold, from fields with texts."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lenet_c import criteria
from lenet_c.rejection import curve

Floats = NDArray[np.float32]

FEWEST = 50
"""Fields that a calibration takes at least."""


def temperature(
    outputs: Sequence[Floats], labels: Sequence[NDArray[np.int32]], blank: int, penalties: bool
) -> float:
    """Find the temperature by which the right strings are likeliest, by golden section."""

    def loss(log_temperature: float) -> float:
        found = criteria.forward_loss(
            outputs,
            labels,
            blank=blank,
            temperature=math.exp(log_temperature),
            penalties=penalties,
            gradient=False,
        )
        return float(found.losses.mean())

    golden = (math.sqrt(5) - 1) / 2
    low, high = math.log(0.05), math.log(20.0 if not penalties else 2000.0)
    inner, outer = high - golden * (high - low), low + golden * (high - low)
    at_inner, at_outer = loss(inner), loss(outer)
    while high - low > 0.01:
        if at_inner < at_outer:
            high, outer, at_outer = outer, inner, at_inner
            inner = high - golden * (high - low)
            at_inner = loss(inner)
        else:
            low, inner, at_inner = inner, outer, at_outer
            outer = low + golden * (high - low)
            at_outer = loss(outer)
    return math.exp((low + high) / 2)


def threshold(penalty: NDArray[np.float64], right: NDArray[np.bool_], wrong: float) -> float:
    """Give the highest penalty up to which no more than this share of the answers is wrong."""
    by_penalty = curve("penalty", penalty, ~right)
    if by_penalty.error_rate.min() > wrong:
        return float(penalty.min()) / 2  # nothing is sure enough
    return by_penalty.reaching(wrong).rejection.penalty
