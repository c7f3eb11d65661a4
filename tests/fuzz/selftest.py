"""A fuzzer that finds things, to test what runs fuzzers."""

from __future__ import annotations

import ctypes
import os

from tests.fuzz.engine import Case


class Selftest:
    """Crashes in the case that LENET_C_FUZZ_CRASH names, raises a KeyError in case 5."""

    name = "selftest"

    def run(self, case: Case) -> None:
        """Make one call."""
        number = case.number
        case.show(f"case {number}")
        if str(number) == os.environ.get("LENET_C_FUZZ_CRASH"):
            ctypes.string_at(0)
        if number == 7:
            print("printed")
        case.call({}.__getitem__ if number == 5 else len, "x")
