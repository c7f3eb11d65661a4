"""What went wrong, on one line of standard error."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TextIO

from lenet_c import checks


def fail(message: str, code: int) -> int:
    """Print what went wrong, after what was printed so far, and give the exit code."""
    drop(sys.stdout)
    if sys.stderr is not None:
        with suppress(OSError):  # nobody reads that either
            print(f"lenet-c: {checks.escaped(message)}", file=sys.stderr)
        drop(sys.stderr)
    return code


def drop(output: TextIO | None) -> None:
    """Print what is left, or if that fails nothing, so that Python's exit does not try again."""
    if output is None:
        return
    try:
        output.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), output.fileno())


def one_line(error: BaseException) -> str:
    """Give an error's text on one line, a file's name first."""
    if isinstance(error, OSError) and error.strerror:
        where = f"{os.fsdecode(error.filename)}: " if error.filename is not None else ""
        return " ".join(f"{where}{error.strerror}".splitlines())
    lines = [line.strip() for line in str(error).splitlines()]
    # without a mark under the place of an error, which points to nothing on one line
    text = "; ".join(line for line in lines if line not in ("", "^")).replace(":; ", ": ")
    if isinstance(error, MemoryError):
        return f"out of memory ({text})" if text else "out of memory"
    return text or type(error).__name__
