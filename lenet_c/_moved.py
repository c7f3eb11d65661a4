"""Old places of names: they go on, with a DeprecationWarning that says the new place."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Mapping
from typing import Any


def getter(old: str, places: Mapping[str, str]) -> Callable[[str], Any]:
    """Give a module's `__getattr__`.

    Parameters
    ----------
    old : str
        The module's name.
    places : dict
        Name to the module that has it now.
    """

    def __getattr__(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {old!r} has no attribute {name!r}")
        new = places[name]
        warnings.warn(
            f"{old}.{name} is now {new}.{name}; the old place goes in a later version",
            DeprecationWarning,
            stacklevel=2,
        )
        return getattr(importlib.import_module(new), name)

    return __getattr__
