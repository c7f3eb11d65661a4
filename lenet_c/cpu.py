"""The processor, the kernels picked for it, and the threads."""

from __future__ import annotations

import os
import platform

from lenet_c import _core


def set_num_threads(n: int | None) -> None:
    """Set how many threads a call uses when it does not say.

    Parameters
    ----------
    n : int or None
        None goes back to OMP_NUM_THREADS, or else the processors that this process may use.

    Raises
    ------
    TypeError, ValueError
        Unless n is a whole number from 1 to 4096, or None.
    """
    _core.set_num_threads(n)


def get_num_threads() -> int:
    """Give how many threads a call uses at most when it does not say.

    Returns
    -------
    int
    """
    return _core.get_num_threads()


def cpu_info() -> dict[str, object]:
    """Tell what the core runs on.

    Returns
    -------
    dict
        "processor": str; "isa": instruction set in use; "lanes": images it works on at once;
        "available": instruction sets that LENET_C_ISA may name here, the best first;
        "threads": int; "threading": str, "POSIX", "OpenMP" or "none"; "compiler": str.

    Raises
    ------
    RuntimeError
        If LENET_C_ISA asks for an instruction set that is not there.
    """
    isa, lanes = _core.isa()
    return {
        "processor": _processor(),
        "isa": isa,
        "lanes": lanes,
        "available": _core.available_isas(),
        "threads": get_num_threads(),
        "threading": _core.threading_kind(),
        "compiler": _core.compiler(),
    }


def _processor() -> str:
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
