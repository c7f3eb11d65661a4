"""A contender's process, and the handle on it.

The child reads commands and writes answers, a line of JSON each. Between its turns it is stopped
(SIGSTOP), so that no idle thread spins while another is measured.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from bench.peers.clock import (
    N_TRIALS,
    TRIAL_SECONDS,
    Sample,
    fastest,
    measure,
    measure_once,
    settle,
)
from bench.peers.peer import Call, Failure, Pass, Peer
from bench.peers.tasks import N_CHECKED_STEPS, Problem, Task, problem

TOLERANCE = 1e-4
ROOT = Path(__file__).resolve().parents[2]


# ---- in the child -----------------------------------------------------------------------------


class Session:
    """Prepares tasks and measures them, with one peer."""

    def __init__(self, spec: str, threads: int) -> None:
        module, _, name = spec.partition(":")
        self.peer: Peer = getattr(importlib.import_module(module), name)(threads)
        self.ready: dict[Task, Call] = {}

    def prepare(self, kind: Any, batch: int, network: str) -> dict[str, Any]:
        """Check every setting of a task and keep the fastest."""
        task = Task(kind, batch, network)
        given = problem(task)
        if task.kind == "epoch":
            return self._prepare_passes(task, given)
        right, errors = {}, {}
        for name, call in getattr(self.peer, task.kind)(given, task).items():
            try:
                check(call, given, task)
                right[name] = call
            except Exception as error:  # of whatever kind a library raises: the others go on
                errors[name] = f"{name}: {reason(error)}"
        if not right:
            raise Failure("; ".join(errors.values()))
        turns = [
            {name: measure(call, TRIAL_SECONDS).seconds for name, call in right.items()}
            for _ in range(N_TRIALS)
        ]
        found = {name: min(turn[name] for turn in turns) for name in right}
        best = fastest(found)
        self.ready[task] = right[best]
        return {"setting": best, "trials": found, "errors": errors}

    def _prepare_passes(self, task: Task, given: Problem) -> dict[str, Any]:
        passes: dict[str, Pass] = self.peer.epoch(given, task)
        wrong, found, errors = {}, {}, {}
        for name, each in passes.items():
            try:
                each.run()
                wrong[name] = given.error_rate(each.weights())
                found[name] = measure_once(each.run).seconds
            except Exception as error:
                errors[name] = f"{name}: {reason(error)}"
        if not found:
            raise Failure("; ".join(errors.values()))
        best = fastest(found)
        self.ready[task] = passes[best].run
        return {"setting": best, "trials": found, "errors": errors, "error_rate": wrong[best]}

    def measure(self, kind: Any, batch: int, network: str, seconds: float) -> dict[str, Any]:
        """Time a task that was prepared."""
        task = Task(kind, batch, network)
        call = self.ready[task]
        return asdict(measure_once(call) if kind == "epoch" else measure(call, seconds))


def check(call: Call, given: Problem, task: Task) -> None:
    """Raise Failure unless logits, or the first steps' losses, are those of lenet_c."""
    if task.kind == "inference":
        want = given.network.forward(given.images[: task.batch], num_threads=1)
        what, got = "logits", settle(call())
    else:
        want = np.array(given.losses(task))
        what, got = "losses", np.array([float(settle(call())) for _ in range(N_CHECKED_STEPS)])
    if got.shape != want.shape:
        raise Failure(f"{what} {got.shape}, lenet_c's are {want.shape}")
    off = np.abs(got - want).max()
    if not off <= TOLERANCE:  # NaN included
        raise Failure(f"{what} differ from lenet_c's by {off:.1e}")


def reason(error: BaseException) -> str:
    """Give an error in a line."""
    text = " ".join(str(error).split()) or "no message"
    kind = "" if isinstance(error, Failure) else f"{type(error).__name__}: "
    return f"{kind}{text[:160]}"


def main() -> None:
    """Answer commands until there are no more."""
    os.setpgrp()  # should the parent end, the system wakes and ends a stopped group without one
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    session: Session | None = None
    for line in sys.stdin:
        command, *arguments = json.loads(line)
        try:
            if command == "open":
                session = Session(*arguments)
                answer = None
            else:
                answer = getattr(session, command)(*arguments)
            message = {"answer": answer}
        except Exception as error:  # whatever a library raises is the parent's to report
            if not isinstance(error, Failure):
                sys.excepthook(type(error), error, error.__traceback__)
            message = {"failure": reason(error)}
        answers.write(json.dumps(message) + "\n")
        answers.flush()


# ---- in the parent ----------------------------------------------------------------------------


def environment(threads: int) -> dict[str, str]:
    """Give what a contender's process finds in its environment."""
    return os.environ | {
        "OMP_NUM_THREADS": str(threads),
        # keep freed memory: without these glibc gives large batches' memory back at every call
        "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
        "MALLOC_TRIM_THRESHOLD_": str(1 << 32),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "KERAS_BACKEND": "tensorflow",
        "JAX_PLATFORMS": "cpu",
        "TORCHINDUCTOR_COMPILE_THREADS": "1",
        "PYTHONWARNINGS": "ignore",
    }


class Worker:
    """A contender's process, stopped except while it answers.

    Parameters
    ----------
    spec : str
        "module:class" of the peer.
    threads : int
    """

    def __init__(self, spec: str, threads: int) -> None:
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the process)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bench.peers.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            env=environment(threads),
            cwd=ROOT,
            text=True,
        )
        try:
            self.ask("open", spec, threads)
        except Failure:
            self.close()
            raise

    def prepare(self, task: Task) -> dict[str, Any]:
        """Get a task ready; give its setting, the trials, and the error rate after a pass."""
        return self.ask("prepare", task.kind, task.batch, task.network)

    def measure(self, task: Task, seconds: float) -> Sample:
        """Time a task that is ready."""
        return Sample(**self.ask("measure", task.kind, task.batch, task.network, seconds))

    def ask(self, *command: Any, timeout: float = 300.0) -> Any:
        """Wake the process, let it answer, and stop it again.

        Raises
        ------
        Failure
            If it says that it cannot, ends, or takes too long.
        """
        if self.process.returncode is not None:
            raise Failure("its process has ended")
        try:
            self.process.send_signal(signal.SIGCONT)
            self.process.stdin.write(json.dumps(command) + "\n")
            self.process.stdin.flush()
            if not select.select([self.process.stdout], [], [], timeout)[0]:
                self.close()
                raise Failure(f"no answer to {command[0]} for {timeout:.0f} s")
            line = self.process.stdout.readline()
            if not line:
                raise BrokenPipeError
        except BrokenPipeError:
            said = self.last_words()
            self.close()
            code = self.process.returncode
            raise Failure(f"its process ended with code {code}; it said: {said}") from None
        self.process.send_signal(signal.SIGSTOP)
        os.waitpid(self.process.pid, os.WUNTRACED)  # until it stands still
        message = json.loads(line)
        if "failure" in message:
            raise Failure(message["failure"])
        return message["answer"]

    def last_words(self) -> str:
        """Give the last line that it wrote to its standard error, or nothing."""
        self.log.seek(0)
        lines = self.log.read().decode(errors="replace").split("\n")
        return next((line.strip()[-200:] for line in reversed(lines) if line.strip()), "nothing")

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.log):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


if __name__ == "__main__":
    main()
