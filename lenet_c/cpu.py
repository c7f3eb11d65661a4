"""The processor, the kernels picked for it, and the threads."""

from __future__ import annotations

import os
import platform

from lenet_c import _core

MAX_THREADS = 4096  # a call, as the core has it


def set_num_threads(n: int | None) -> None:
    """Set how many threads a call uses when it does not say.

    Parameters
    ----------
    n : int or None
        None goes back to what OpenMP is limited to in the calling thread (by OMP_NUM_THREADS or
        threadpoolctl), or else to the processors that this thread may use and that the control
        group grants.

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


def set_threading(name: str | None) -> None:
    """Pick whose threads run batches, for all of this process; results are the same bits.

    One call at a time has threads; a call that comes meanwhile works alone, on its own.

    Parameters
    ----------
    name : str or None
        "openmp": OpenMP's threads, the default where the build has them. They are those of the
        first Python thread that uses them, as long as it lives; other threads and forked children
        use the team. Where the system refuses to start a thread, GNU's OpenMP ends the process:
        nothing that a library could catch. "team": the core's own threads, which work with those
        that the system gives. None goes back to LENET_C_THREADS in the environment, or else to the
        default. It counts from the next batch on.

    Raises
    ------
    TypeError, ValueError
        Unless it is the name of threads that this build has (`cpu_info()["available_threading"]`),
        or None.
    """
    _core.set_threading(name)


def get_threading() -> str:
    """Tell whose threads run batches in this process.

    Returns
    -------
    str
        "openmp" or "team", or "none" where the build has neither.

    Raises
    ------
    RuntimeError
        If LENET_C_THREADS asks for threads that are not there.
    """
    return _core.get_threading()


def cpu_info() -> dict[str, object]:
    """Tell what the core runs on.

    Returns
    -------
    dict
        "processor": str; "isa": instruction set in use; "lanes": images it works on at once;
        "available": instruction sets that LENET_C_ISA may name here, the best first;
        "threads": int; "threading": whose they are, "openmp", "team" or "none";
        "available_threading": those that LENET_C_THREADS may name, the default first;
        "compiler": str.

    Raises
    ------
    RuntimeError
        If LENET_C_ISA or LENET_C_THREADS asks for what is not there.
    """
    isa, lanes = _core.isa()
    return {
        "processor": _processor(),
        "isa": isa,
        "lanes": lanes,
        "available": _core.available_isas(),
        "threads": get_num_threads(),
        "threading": get_threading(),
        "available_threading": _core.available_threadings(),
        "compiler": _core.compiler(),
    }


def _processor() -> str:
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
