"""Many threads and forks, for minutes: memory, open files and threads stay as many as they were.

python -m tests.fuzz.soak [--minutes N] [--threading openmp|team] [--seed S]
"""

from __future__ import annotations

import argparse
import copy
import io
import os
import pickle
import random
import signal
import sys
import threading
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.fuzz.engine import scratch

WARM_UP = 0.2  # of the time, 30 s at most: until then caches and heaps fill
MEMORY_MB = 48.0  # by which the memory may grow after that
FILES = 2  # open files more
THREADS = 2  # threads more
PATIENCE = 60.0  # seconds that a forked child and a call may take


def memory_mb() -> float:
    """Give the memory that is in use."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 2**20


def open_files() -> int:
    """Give how many files are open."""
    return len(os.listdir("/proc/self/fd"))


def n_threads() -> int:
    """Give how many threads there are, Python's and others."""
    return len(os.listdir("/proc/self/task"))


class Soak:
    """What the threads share: a network that nobody changes, and what it answers.

    Attributes
    ----------
    counts : Counter
        Of each kind of work.
    found : list of str
    """

    def __init__(self, seed: int) -> None:
        import lenet_c

        self.library = lenet_c
        self.net = lenet_c.LeNet5.pretrained("mnist")
        rng = np.random.default_rng(seed)
        self.images = rng.integers(0, 256, (300, 28, 28), np.uint8)
        self.labels = rng.integers(0, 10, 300)
        self.answers = self.net.predict(self.images, num_threads=1)
        self.trained = self._train(1)
        self.learning = lenet_c.Trainer(lenet_c.LeNet5(seed=4), lenet_c.SGD(1e-4))
        self.folder = scratch()
        self.seed = seed
        self.counts: Counter[str] = Counter()
        self.found: list[str] = []
        self.stop = threading.Event()
        self.changing = threading.Lock()

    def _train(self, threads: int | None) -> np.ndarray:
        net = self.library.LeNet5(seed=3)
        trainer = self.library.Trainer(
            net, self.library.SGD(0.01, 0.9), num_threads=threads, batch_size=32
        )
        trainer.fit(self.images[:64], self.labels[:64], 1)
        trainer.step(self.images[:3], self.labels[:3])
        return net.parameters.copy()

    # ---- what threads do, again and again

    def predict(self, rng: random.Random) -> None:
        """Read a batch, one image, and gradients."""
        n = rng.choice([1, 5, 33, 100, 300])
        got = self.net.predict(self.images[:n], num_threads=rng.choice([None, 1, 2, 4]))
        assert np.array_equal(got, self.answers[:n]), "other answers"
        self.net.predict_proba(self.images[:n])
        self.net.loss_and_gradient(self.images[:n], self.labels[:n])

    def train(self, rng: random.Random) -> None:
        """Train a copy: the same bits as alone."""
        got = self._train(rng.choice([None, 1, 2, 3]))
        assert np.array_equal(got, self.trained), "other weights"

    def keep(self, rng: random.Random) -> None:
        """Save, load, pickle and copy."""
        path = os.path.join(self.folder, f"{threading.get_ident()}.npz")
        self.net.save(path)
        loaded = self.library.LeNet5.load(path)
        file = io.BytesIO()
        loaded.save(file)
        for net in (loaded, pickle.loads(pickle.dumps(loaded)), copy.deepcopy(loaded)):
            assert np.array_equal(net.parameters, self.net.parameters), "other weights"

    def learn(self, rng: random.Random) -> None:
        """Train the network that `keep_learning` saves."""
        n = rng.choice([1, 4, 40])
        self.learning.step(self.images[:n], self.labels[:n])

    def keep_learning(self, rng: random.Random) -> None:
        """Save and copy a network that another thread trains: what was kept is whole."""
        file = io.BytesIO()
        self.learning.network.save(file)
        self.library.LeNet5.load(io.BytesIO(file.getvalue()))
        copied = pickle.loads(pickle.dumps(self.learning.network))
        assert np.isfinite(copied.parameters).all(), "weights that are not finite"

    def refuse(self, rng: random.Random) -> None:
        """Be refused, and hold nothing of it."""
        for images in (
            self.images.astype(np.float64),
            self.images[:, :5],
            None,
            np.zeros((0, 28, 28)),
        ):
            try:
                self.net.predict(images)  # type: ignore[arg-type]
            except (TypeError, ValueError):
                continue
            raise AssertionError("it was not refused")
        try:
            self.library.LeNet5.load(io.BytesIO(b"PK\3\4" + bytes(100)))
        except ValueError:
            return
        raise AssertionError("a damaged file was loaded")

    def settings(self, rng: random.Random) -> None:
        """Change how many threads there are."""
        self.library.set_num_threads(rng.choice([None, 1, 2, 4, 8]))

    def fork(self, rng: random.Random) -> None:
        """A child of this process predicts, and ends."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of a fork where there are threads
            child = os.fork()
        if child == 0:
            code = 1
            try:
                signal.alarm(int(PATIENCE))
                code = 0 if np.array_equal(self.net.predict(self.images), self.answers) else 3
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        assert status == 0, f"a child's status is {status}"

    # ---- the main thread: interrupts arrive there

    def interrupted(self) -> None:
        """A long call of the main thread ends by a signal, and soon."""

        def handler(*_: object) -> None:
            raise KeyboardInterrupt

        before = signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        try:
            while True:
                self.net.predict(self.images)
        except KeyboardInterrupt:
            pass
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

    def run_thread(self, work: list[Callable[[random.Random], None]], number: int) -> None:
        """Do the kinds of work in a random order until told to stop."""
        rng = random.Random(f"soak {self.seed} {number}")
        while not self.stop.is_set():
            task = rng.choice(work)
            try:
                task(rng)
            except BaseException as error:
                line = f"{task.__name__}: {type(error).__name__}: {error}"
                if line not in self.found and len(self.found) < 20:
                    self.found.append(line)
                    traceback.print_exc()
            self.counts[task.__name__] += 1

    def run(self, minutes: float) -> list[str]:
        """Run for so long; a line a minute, and what was found."""
        kinds = [
            self.predict, self.train, self.keep, self.keep_learning, self.refuse, self.settings,
        ]  # fmt: skip
        work = [kinds, kinds, [self.learn], [self.fork, self.predict, self.keep_learning]]
        threads = [
            threading.Thread(target=self.run_thread, args=(tasks, number))
            for number, tasks in enumerate(work)
        ]
        began = time.monotonic()
        end = began + 60 * minutes
        warm = began + min(60 * minutes * WARM_UP, 30)
        first: tuple[float, int, int] | None = None
        seen: list[tuple[float, int, int]] = []
        told = began
        for thread in threads:
            thread.start()
        try:
            while time.monotonic() < end:
                self.interrupted()
                self.counts["interrupted"] += 1
                time.sleep(0.05)
                now = memory_mb(), open_files(), n_threads()
                if time.monotonic() > warm:
                    # the most of the first tenth: threads and files come and go
                    if time.monotonic() < warm + 6 * minutes:
                        first = now if first is None else tuple(map(max, first, now))  # type: ignore[assignment]
                    else:
                        seen.append(now)
                if time.monotonic() - told > 60:
                    told = time.monotonic()
                    self.tell(now, (told - began) / 60)
        finally:
            self.stop.set()
            for thread in threads:
                thread.join(PATIENCE)
        if any(thread.is_alive() for thread in threads):
            self.found.append("a thread hangs")
        # of the last fifth, the least: what is left for good
        last = [min(column) for column in zip(*seen[-max(1, len(seen) // 5) :], strict=True)]
        if first is None or not last:
            self.found.append("too short: nothing was measured")
            return self.found
        names = zip(
            ("MB of memory", "open files", "threads"), first, last, (MEMORY_MB, FILES, THREADS),
            strict=True,
        )  # fmt: skip
        for what, then, now_, most in names:
            print(f"  {what}: {then:.0f} at first, {now_:.0f} at last (at most {most:g} more)")
            if now_ > then + most:
                self.found.append(f"{now_:.0f} {what}, {then:.0f} at first")
        return self.found

    def tell(self, now: tuple[float, int, int], minutes: float) -> None:
        """Print a line."""
        memory, files, threads = now
        print(
            f"  {minutes:4.1f} min: {memory:.0f} MB, {files} files, {threads} threads; "
            + ", ".join(f"{n:,} {kind}" for kind, n in sorted(self.counts.items())),
            flush=True,
        )


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--threading", choices=["openmp", "team"])
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    import lenet_c

    if arguments.threading:
        try:
            lenet_c.set_threading(arguments.threading)
        except ValueError as error:  # built without it
            print(error)
            return 2
    kind = lenet_c.cpu_info()["threading"]
    warnings.simplefilter("error")
    warnings.simplefilter("ignore", lenet_c.InputWarning)  # noise looks like no character
    soak = Soak(arguments.seed)
    found = soak.run(arguments.minutes)
    total = sum(soak.counts.values())
    for what in found:
        print(f"  found: {what}")
    print(f"soak: {arguments.minutes:g} minutes on {kind}: {total:,} calls; {len(found)} found")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
