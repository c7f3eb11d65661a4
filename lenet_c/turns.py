"""Whose turn it is: to update a network's parameters, or to copy them."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from typing import TypeVar

__all__ = ["Turns"]


Copied = TypeVar("Copied")


class Turns:
    """Lets updates and copies of one network take turns, so that no copy mixes two updates.

    A copy waits for the update under way and for no second one. Both may be made from a signal
    handler that interrupts either. An update is made so, which takes 0.2 us::

        if turns.asked:
            turns.give_way()
        with turns.changing:
            ...

    Attributes
    ----------
    changing : RLock
        Held by who changes the parameters, or copies them.
    asked : bool
        Whether somebody waits to copy.

    Notes
    -----
    Locks are entered by `with` alone: an interrupt cannot come between taking one and the block.
    """

    __slots__ = ("__weakref__", "_copying", "asked", "changing")

    def __init__(self) -> None:
        self._renew()
        _all.add(self)

    def _renew(self) -> None:
        self.changing = threading.RLock()
        self._copying = threading.Lock()
        self.asked = False

    def _is_mine(self) -> bool:
        return self.changing._is_owned()  # type: ignore[attr-defined, no-any-return]

    def give_way(self) -> None:
        """Wait until who asked has its copy.

        A lock that is given back and taken again at once would never be anybody else's.
        """
        if not self._is_mine():
            with self._copying:
                pass

    def copy(self, make: Callable[[], Copied]) -> Copied:
        """Give what `make` copies, between two updates."""
        if self._is_mine():
            return make()
        with self._copying:
            try:
                self.asked = True
                with self.changing:
                    return make()
            finally:
                self.asked = False


_all: weakref.WeakSet[Turns] = weakref.WeakSet()


def _renew_all() -> None:
    """In a forked child nobody is left to give back what its parent's threads had taken."""
    for turns in list(_all):
        turns._renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
