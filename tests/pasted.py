"""Code blocks of a document, run as somebody would who pastes them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from lenet_c import datasets


def blocks(document: str) -> list[str]:
    """Give the document's blocks of Python."""
    return re.findall(r"```python\n(.*?)```", document, re.DOTALL)


def mnist_is_there() -> bool:
    """Tell whether MNIST can be had without a download."""
    try:
        datasets.mnist(download=False)
    except OSError:
        return False
    return True


def run(code: str, folder: Path) -> str:
    """Run code that must print no error or warning, in a folder; give what it prints.

    Where MNIST is not there, digits take its place, for ten times as many passes.
    """
    if "datasets.mnist()" in code and not mnist_is_there():
        pytest.importorskip("sklearn")
        code = code.replace("datasets.mnist()", "datasets.digits()")
        code = code.replace("epochs=3", "epochs=30")
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=folder, capture_output=True, text=True
    )
    assert result.stderr == "", result.stderr
    return result.stdout
