"""Tells PyInstaller how to put lenet_c into a program (the entry point pyinstaller40)."""

from __future__ import annotations

import os


def get_hook_dirs() -> list[str]:
    """Give the folders that have hooks."""
    return [os.path.dirname(__file__)]
