"""Attempts to break the library, by seed: docs/reliability.md, `python -m tests.fuzz --help`."""

from __future__ import annotations

import importlib
from typing import Any

# a module each, with a class of that name
FUZZERS = ("files", "idx", "pictures", "arguments", "core", "sequences", "native")


def made(name: str) -> Any:
    """Give a fuzzer of that name."""
    return getattr(importlib.import_module(f"tests.fuzz.{name}"), name.capitalize())()
