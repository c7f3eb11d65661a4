"""What fuzzers share: cases by seed, what a call may do, and processes that may crash.

A fuzzer is a class with a `name` and a method `run(case)`, which draws everything from
`case.random`, so that a case comes again from its seed and number, and hypothesis can shrink it.
An input is one call of the library with what was drawn: `case.call` counts them.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import json
import mmap
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lenet_c import InputWarning
from tests.sanitized import SANITIZED

ROOT = Path(__file__).parent.parent.parent

SECONDS = 2.0  # of processor time that one call may take
MEGABYTES = 400  # by which one call may raise the most memory that the process ever had
ADDRESS_SPACE = 6 << 30  # bytes; a process that wants more gets a MemoryError
SILENCE = 60.0  # seconds without a new case before a process counts as hanging
MOST_CRASHES = 8  # of one fuzzer, then it ends
MOST_KINDS = 25  # of findings of one fuzzer, then it ends


class Finding(AssertionError):
    """What must not happen has happened."""


DOCUMENTED = (TypeError, ValueError, FloatingPointError, MemoryError, OSError)


def most_memory() -> int:
    """Give the most memory that the process ever had, in kilobytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


class Case:
    """One case: its random numbers, and the calls it makes.

    Attributes
    ----------
    random : random.Random
    number : int
    n_inputs : int
    n_refused : int
        Calls that ended with a documented exception.
    seconds : float
        Of processor time that the longest call took.
    kilobytes : int
        By which a call raised the most memory that the process ever had, at most.
    """

    def __init__(self, source: random.Random, dump: Path | None = None, number: int = -1) -> None:
        self.random = source
        self.number = number
        self.n_inputs = 0
        self.seconds = 0.0
        self.kilobytes = 0
        self.n_refused = 0
        self.input: object = None
        self._dump = dump

    def generator(self) -> np.random.Generator:
        """Give a numpy generator that this case's numbers seed."""
        return np.random.default_rng(self.random.getrandbits(32))

    @contextlib.contextmanager
    def timed(self) -> Iterator[None]:
        """Count the processor time and the memory of what the library does in the block."""
        before, peak = time.process_time(), most_memory()
        try:
            yield
        finally:
            self.seconds = max(self.seconds, time.process_time() - before)
            self.kilobytes = max(self.kilobytes, most_memory() - peak)

    def show(self, given: object) -> None:
        """Say what the next call gets: bytes of a file, or anything with a repr."""
        self.input = given
        if self._dump is not None:
            save(self._dump, given)

    def call(
        self,
        function: Callable[..., Any],
        *arguments: Any,
        names: Collection[str] = (),
        allowed: tuple[type[BaseException], ...] = DOCUMENTED,
        **keywords: Any,
    ) -> Any:
        """Call the library: its result, or the documented exception that it raised.

        Parameters
        ----------
        names : of which the exception's message has to name one; none: any message will do
        allowed : exceptions that are documented; UnicodeError, a ValueError, never is
        """
        self.n_inputs += 1
        try:
            with self.timed():
                return function(*arguments, **keywords)
        except allowed as error:
            if isinstance(error, (UnicodeError, Warning)):
                raise Finding(f"{_name(function)}: {_line(error)}") from error
            text = str(error)
            named = isinstance(error, MemoryError) or getattr(error, "filename", None) is not None
            named = named or any(name in text for name in names)
            if names and not named:
                raise Finding(
                    f"{_name(function)}: no word of {' or '.join(names)} in {_line(error)}"
                ) from error
            self.n_refused += 1
            error.__traceback__ = None
            return error
        except Exception as error:
            raise Finding(f"{_name(function)}: {_line(error)}") from error


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__qualname__", repr(function))


def _line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def hear_interrupts() -> None:
    """Undo that a shell's background job ignores interrupts, as would what it starts."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def scratch() -> str:
    """Give a folder for this process's files, in memory where the system has such."""
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    folder = tempfile.mkdtemp(prefix="lenet_c-fuzz-", dir=memory)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def expect(condition: object, what: str) -> None:
    """Raise a Finding unless the condition holds."""
    if not condition:
        raise Finding(what)


def save(path: Path, given: object) -> None:
    """Write an input beside the findings."""
    if isinstance(given, (bytes, bytearray)):
        path.with_suffix(".bin").write_bytes(given)
    else:
        path.with_suffix(".txt").write_text(_text(given), "utf-8", "backslashreplace")


def _text(given: object) -> str:
    try:
        return repr(given)
    except Exception as error:
        return f"(no repr: {error!r})"


# ---- memory that ends at a page that nobody may touch --------------------------------------------


class Guarded:
    """Arrays whose last byte is followed by a page without access, from a few regions in turn."""

    def __init__(self, size: int = 1 << 16, regions: int = 24) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        page = mmap.PAGESIZE
        self._size, self._next, self._regions = size, 0, []
        for _ in range(regions):
            region = mmap.mmap(-1, size + page)
            start = ctypes.addressof(ctypes.c_char.from_buffer(region))
            if libc.mprotect(ctypes.c_void_p(start + size), ctypes.c_size_t(page), 0):
                raise OSError(ctypes.get_errno(), "mprotect")
            self._regions.append(region)

    def __call__(self, array: np.ndarray) -> np.ndarray:
        """Copy an array, in C order, to the end of a region; larger ones stay where they are."""
        array = np.asarray(array)
        if array.nbytes > self._size or not array.nbytes or array.dtype.hasobject:
            return array
        region = self._regions[self._next]
        self._next = (self._next + 1) % len(self._regions)
        guarded = np.frombuffer(region, array.dtype, array.size, self._size - array.nbytes)
        guarded = guarded.reshape(array.shape)
        guarded[...] = array
        return guarded


# ---- one process ---------------------------------------------------------------------------------


def case_of(fuzzer: str, seed: int, number: int, dump: Path | None = None) -> Case:
    """Give the case that a seed and a number make."""
    return Case(random.Random(f"{fuzzer} {seed} {number}"), dump, number)


@dataclass
class Limits:
    """What one process does: cases from `first` on, until it has made so many inputs or seconds."""

    seed: int = 0
    first: int = 0
    inputs: int | None = None
    seconds: float | None = None


def work(fuzzer: Any, limits: Limits, folder: Path, dump: bool = False) -> None:
    """Run cases in this process; what is found goes to the folder, progress to a shared file."""
    if not SANITIZED:  # sanitizers take terabytes of it
        resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # ends with the process that watches
    warnings.simplefilter(getattr(fuzzer, "warnings", "error"))
    warnings.simplefilter("ignore", InputWarning)  # of random pixels
    loose: list[str] = []
    sys.unraisablehook = lambda what: loose.append(f"unraisable: {what.exc_value!r} {what.object}")
    with open(folder / f"{fuzzer.name}.progress", "r+b") as file:
        progress = np.frombuffer(mmap.mmap(file.fileno(), 32), np.int64)
    deadline = time.monotonic() + (1e9 if limits.seconds is None else limits.seconds)
    wanted = limits.inputs if limits.inputs is not None else 1 << 62
    number, inputs, refused = limits.first, 0, 0
    kinds: set[str] = set()
    fuzzer.run(case_of(fuzzer.name, limits.seed, -1))  # what is loaded and cached once
    while inputs < wanted and time.monotonic() < deadline and len(kinds) < MOST_KINDS:
        progress[0] = number
        place = folder / f"{fuzzer.name}-{limits.seed}-{number}"
        case = case_of(fuzzer.name, limits.seed, number, place if dump else None)
        found = None
        try:
            fuzzer.run(case)
        except Finding as error:
            found = error
        except Exception as error:
            found = Finding(f"{_line(error)} (outside of a call)")
            found.__cause__ = error
        if found is None and case.seconds > SECONDS:
            found = Finding(f"took {case.seconds:.1f} s of processor time")
        if found is None and case.kilobytes > MEGABYTES << 10:
            found = Finding(f"took {case.kilobytes >> 10} MB of memory")
        if loose:
            found = found or Finding(loose[0])
            loose.clear()
        inputs += case.n_inputs
        refused += case.n_refused
        progress[1:3] = inputs, refused
        if found is not None:
            kind = kind_of(found)
            if kind not in kinds:
                kinds.add(kind)
                save(place, case.input)
                trace = "".join(traceback.format_exception(found))
                place.with_suffix(".trace").write_text(trace, "utf-8", "backslashreplace")
                with open(folder / f"{fuzzer.name}.found", "a") as file:
                    line = {"case": number, "what": str(found), "kind": kind}
                    file.write(json.dumps(line) + "\n")
        number += 1
        if number % 256 == 0:
            gc.collect()
    progress[3] = 1


def kind_of(found: Finding) -> str:
    """Give what findings of one kind have in common: where they come from, or their text."""
    error = found.__cause__
    text = "".join(c for c in str(found).rpartition(": ")[2] if not c.isdigit())[:60]
    if error is None or error.__traceback__ is None:
        return text
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} {last.filename}:{last.lineno} {str(found).split(':')[0]}"


# ---- the process that watches -------------------------------------------------------------------


@dataclass
class Outcome:
    """What became of one fuzzer."""

    name: str
    cases: int = 0
    inputs: int = 0
    refused: int = 0
    seconds: float = 0.0
    found: list[dict[str, Any]] = field(default_factory=list)

    def line(self) -> str:
        """Say it in one line."""
        rate = self.inputs / max(self.seconds, 1e-9)
        return (
            f"{self.name:<10} {self.inputs:>10,} inputs, {self.refused:>9,} refused "
            f"({rate:,.0f}/s), {len(self.found)} found"
        )


def watch(name: str, limits: Limits, folder: Path) -> Iterator[Outcome]:
    """Run a fuzzer in a process of its own, and again behind a case that ended it.

    Yields None while it runs, and its outcome at last.
    """
    outcome = Outcome(name)
    began = time.monotonic()
    progress_file = folder / f"{name}.progress"
    found_file = folder / f"{name}.found"
    found_file.unlink(missing_ok=True)
    first, crashes = limits.first, 0
    left, inputs = limits.seconds, limits.inputs
    while True:
        progress_file.write_bytes(bytes(32))
        process = _start(name, limits.seed, first, inputs, left, folder)
        why, seen, since = None, -1, time.monotonic()
        while process.poll() is None:
            number = int(np.fromfile(progress_file, np.int64)[0])
            if number != seen:
                seen, since = number, time.monotonic()
            elif time.monotonic() - since > SILENCE:
                process.kill()
                why = f"hangs (nothing for {SILENCE:g} s)"
            yield None  # type: ignore[misc]
        number, done, refused, finished = map(int, np.fromfile(progress_file, np.int64))
        outcome.inputs += done
        outcome.refused += refused
        outcome.cases += number - first + 1
        printed = (folder / f"{name}.out").read_text("utf-8", "replace").strip()
        if finished and process.returncode == 0:
            if printed:
                what = f"something was printed: {printed[-300:]}"
                outcome.found.append({"case": -1, "what": what})
            break
        lines = [
            line.strip() for line in printed.splitlines() if line.startswith(("Fatal", "  File"))
        ]
        told = " ".join(lines[:3]) if process.returncode < 0 else printed
        why = why or f"ended with {process.returncode}: {told[-300:]}"
        outcome.found.append({"case": number, "what": why})
        crashes += 1
        # once more, with its input written down before each call
        again = _start(name, limits.seed, number, 1, None, folder, dump=True)
        try:
            again.wait(SILENCE)
            same = again.returncode != 0
        except subprocess.TimeoutExpired:
            again.kill()
            again.wait()
            same = True
        if not same:
            outcome.found[-1]["what"] += " (not again when run alone)"
        first = number + 1
        if limits.seconds is not None:
            left = limits.seconds - (time.monotonic() - began)
        if inputs is not None:
            inputs -= done
        spent = (left is not None and left < 1) or (inputs is not None and inputs < 1)
        if spent or crashes >= MOST_CRASHES:
            break
    if found_file.exists():
        outcome.found += [json.loads(line) for line in found_file.read_text().splitlines()]
    outcome.seconds = time.monotonic() - began
    yield outcome


def _start(
    name: str,
    seed: int,
    first: int,
    inputs: int | None,
    seconds: float | None,
    folder: Path,
    dump: bool = False,
) -> subprocess.Popen[bytes]:
    settings = {"seed": seed, "first": first, "inputs": inputs, "seconds": seconds}
    command = [sys.executable, "-X", "faulthandler", "-m", "tests.fuzz", name]
    command += ["--worker", json.dumps(settings), "--folder", str(folder)]
    if dump:
        command.append("--dump")
    # what may be printed by accident goes to a file, which has to stay empty
    with open(folder / (f"{name}.again" if dump else f"{name}.out"), "wb") as out:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *_paths()])},
        )


def _paths() -> list[str]:
    return [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]


def run_all(
    names: Collection[str],
    limits: Limits,
    folder: Path,
    jobs: int,
    tell: Callable[[str], None] = print,
) -> list[Outcome]:
    """Run fuzzers, some at a time; a line each when it ends."""
    waiting = list(names)
    running: dict[str, Iterator[Outcome]] = {}
    outcomes: list[Outcome] = []
    while waiting or running:
        while waiting and len(running) < jobs:
            name = waiting.pop(0)
            running[name] = watch(name, limits, folder)
        for name in list(running):
            outcome = next(running[name])
            if outcome is None:
                continue
            del running[name]
            outcomes.append(outcome)
            tell(outcome.line())
            for found in outcome.found:
                tell(f"  case {found['case']}: {found['what']}")
                if found["case"] >= 0:
                    tell(
                        f"    again: python -m tests.fuzz {name} --seed {limits.seed} "
                        f"--first {found['case']} --inputs 1"
                    )
        time.sleep(0.05)
    return outcomes
