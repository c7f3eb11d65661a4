"""What differs where Python runs with the sanitizers of `make sanitize`."""

from __future__ import annotations

import os

SANITIZED = "libasan" in os.environ.get("LD_PRELOAD", "")

SLOWER = 10 if SANITIZED else 1
"""How many times as long everything may take."""


def without() -> dict[str, str]:
    """Give an environment for compilers, emulators and their programs, which are not sanitized."""
    return {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
