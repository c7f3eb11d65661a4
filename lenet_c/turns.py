"""Whose turn it is: to update a network's parameters, or to copy them."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeVar

__all__ = ["Turns"]


Copied = TypeVar("Copied")


class Turns:
    """Lets updates and copies of one network take turns, so that no copy mixes two updates.

    A copy waits for the update under way and for no second one. Both may be made from a signal
    handler that interrupts either.

    Notes
    -----
    Locks are entered by `with` alone: an interrupt cannot come between taking one and the block.
    """

    def __init__(self) -> None:
        self._renew()
        _all.add(self)

    def _renew(self) -> None:
        self._changing = threading.RLock()
        self._asked = threading.Lock()

    def _is_mine(self) -> bool:
        return self._changing._is_owned()  # type: ignore[attr-defined, no-any-return]

    def to_update(self) -> AbstractContextManager[object]:
        """Give a lock to update under, once nobody waits to copy."""
        # A lock that is given back and taken again at once would never be anybody else's.
        if self._asked.locked() and not self._is_mine():
            with self._asked:
                pass
        return self._changing

    def copy(self, make: Callable[[], Copied]) -> Copied:
        """Give what `make` copies, between two updates."""
        if self._is_mine():
            return make()
        with self._asked, self._changing:
            return make()


_all: weakref.WeakSet[Turns] = weakref.WeakSet()


def _renew_all() -> None:
    """In a forked child nobody is left to give back what its parent's threads had taken."""
    for turns in list(_all):
        turns._renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
