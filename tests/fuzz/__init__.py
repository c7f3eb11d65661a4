"""Attempts to break the library, by seed: see docs/reliability.md; `python -m tests.fuzz --help`."""

from __future__ import annotations

import importlib
from typing import Any

# where each fuzzer lives
FUZZERS = {
    "files": "Files",
    "idx": "Idx",
    "pictures": "Pictures",
    "arguments": "Arguments",
    "core": "Core",
    "sequences": "Sequences",
}


def made(name: str) -> Any:
    """Give a fuzzer of that name."""
    return getattr(importlib.import_module(f"tests.fuzz.{name}"), FUZZERS[name])()
