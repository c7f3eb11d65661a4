"""Timing a call, and picking the fastest of some."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

N_WINDOWS = 20
N_TRIALS = 3
TRIAL_SECONDS = 0.1


@dataclass(frozen=True)
class Sample:
    """What one turn found.

    Attributes
    ----------
    seconds : float
        A call's time, the median of the turn's windows.
    processors : float
        Processor time over wall time: how many cores the process kept busy.
    """

    seconds: float
    processors: float


def measure(call: Callable[[], Any], seconds: float) -> Sample:
    """Time a call for about so many seconds, after a fifth of that to warm up.

    A window is several calls, so that short ones are not timed by themselves, and ends when the
    last call's result is there.
    """
    calls, began = 0, time.perf_counter()
    while calls < 2 or time.perf_counter() - began < seconds / 5:
        settle(call())
        calls += 1
    each = (time.perf_counter() - began) / calls
    in_window = max(1, round(seconds / N_WINDOWS / each))
    windows = []
    cpu, began = time.process_time(), time.perf_counter()
    while len(windows) < 3 or time.perf_counter() - began < seconds:
        start = time.perf_counter()
        for _ in range(in_window):
            result = call()
        settle(result)
        windows.append((time.perf_counter() - start) / in_window)
    busy = (time.process_time() - cpu) / (time.perf_counter() - began)
    return Sample(median(windows), busy)


def measure_once(call: Callable[[], Any]) -> Sample:
    """Time one long call."""
    cpu, began = time.process_time(), time.perf_counter()
    call()
    seconds = time.perf_counter() - began
    return Sample(seconds, (time.process_time() - cpu) / seconds)


def settle(result: Any) -> np.ndarray:
    """Wait until the result is there; give it as an array."""
    if isinstance(result, list):
        return np.concatenate([np.asarray(part) for part in result])
    return np.asarray(result)


def fastest(seconds: Mapping[str, float]) -> str:
    """Give the name with the least time."""
    return min(seconds, key=seconds.__getitem__)
