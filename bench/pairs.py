"""Whether a change made a path slower: python -m bench.pairs OTHER [--isa ISA].

OTHER is another checkout of this project, built in place. Both run each path of `bench.limit` in
turns, in processes of their own, beside a second process of OTHER: how far that differs from the
first is the machine's, not the code's. A ratio is of processor times, this checkout's over OTHER's.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import IO

PAIRS = 41
SECONDS = 0.04  # of a path, each time
GROUP_SECONDS = 5e-4


def work() -> None:
    """Answer each path's name on a line with the least processor time of a call."""
    from bench.paths import PATHS  # of the checkout that this process is given

    ready = {}
    for line in sys.stdin:
        name = line.strip()
        if name not in ready:
            ready[name] = PATHS[name].prepare()[1]
            ready[name]()
        call = ready[name]
        began = time.perf_counter()
        call()
        group = max(1, round(GROUP_SECONDS / (time.perf_counter() - began)))
        least, end = float("inf"), time.perf_counter() + SECONDS
        while time.perf_counter() < end:
            before = time.thread_time()
            for _ in range(group):
                call()
            least = min(least, (time.thread_time() - before) / group)
        print(least, flush=True)


class Worker:
    """A process that runs a checkout's paths."""

    def __init__(self, checkout: Path, isa: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve()), "--worker"],
            cwd=checkout,
            env={**os.environ, "PYTHONPATH": str(checkout), "LENET_C_ISA": isa},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def seconds(self, path: str) -> float:
        """Give the processor time of a call."""
        to, back = self.pipe(self.process.stdin), self.pipe(self.process.stdout)
        to.write(path + "\n")
        to.flush()
        answer = back.readline()
        if not answer:
            raise SystemExit("error: a process ended; what is wrong is said above")
        return float(answer)

    @staticmethod
    def pipe(end: IO[str] | None) -> IO[str]:
        """Give a pipe that is there."""
        if end is None:
            raise RuntimeError("no pipe")
        return end

    def close(self) -> None:
        """End the process."""
        self.pipe(self.process.stdin).close()
        self.process.wait()
        self.pipe(self.process.stdout).close()


def main(argv: list[str] | None = None) -> int:
    from bench.common import ROOT, add_isa, duration, markdown, parser
    from bench.paths import PATHS

    command = parser("pairs", __doc__)
    command.add_argument("other", type=Path, help="the folder of another checkout")
    command.add_argument("--pairs", type=int, default=PAIRS, help="default: %(default)s")
    command.add_argument("--only", nargs="+", choices=list(PATHS), metavar="PATH")
    command.add_argument("--most", type=float, default=1.02, help="ratio; default: %(default)s")
    add_isa(command)
    options = command.parse_args(argv)
    other = options.other.resolve()
    if not list((other / "lenet_c").glob("_core*.so")) and os.name == "posix":
        raise SystemExit(f"error: {other} is no checkout of lenet_c that was built in place")
    rows, slower = [], []
    for isa in options.isa:
        workers = [Worker(checkout, isa) for checkout in (other, ROOT, other)]
        for path in options.only or PATHS:
            times: list[list[float]] = [[], [], []]
            for turn in range(options.pairs):
                for k in (turn % 3, (turn + 1) % 3, (turn + 2) % 3):
                    times[k].append(workers[k].seconds(path))
            old, new, again = times
            ratio, itself = (
                median(a / b for a, b in zip(each, old, strict=True)) for each in (new, again)
            )
            rows.append([f"{isa}, {path}", duration(median(old)), f"{ratio:.3f}", f"{itself:.3f}"])
            if ratio > options.most:
                slower.append(f"{isa}, {path}")
        for worker in workers:
            worker.close()
    print(markdown(["path", "other", "ratio", "other, again"], rows))
    if slower:
        print(f"\nabove {options.most}: {'; '.join(slower)}")
    return 1 if slower else 0


if __name__ == "__main__":
    if sys.argv[1:] == ["--worker"]:
        work()
    else:
        sys.exit(main())
