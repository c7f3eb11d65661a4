"""Kills, interrupts and full disks: a file is always the old one or the new one.

python -m tests.fuzz.interrupts [--seconds N] [--seed S]
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from lenet_c import LeNet5
from tests.fuzz.engine import ROOT, Finding, expect, hear_interrupts, scratch

# Two networks are saved in turn, as soon as the first line is out.
SAVING = """
import sys
from lenet_c import LeNet5
nets = [LeNet5(seed=1), LeNet5(seed=2)]
nets[0].save(sys.argv[1])
print("ready", flush=True)
try:
    while True:
        for net in nets:
            net.save(sys.argv[1])
except KeyboardInterrupt:
    sys.exit(130)
"""

# A stand-in for a mirror: what the cache gets comes from here, slowly.
CACHING = """
import sys
try:
    from lenet_c.files import replacing
except ImportError:
    from lenet_c.serialization import replacing
print("ready", flush=True)
try:
    while True:
        for letter in (b"a", b"b"):
            with replacing(sys.argv[1]) as file:
                for _ in range(16):
                    file.write(letter * 4096)
except KeyboardInterrupt:
    sys.exit(130)
"""

FULL = """
import os, resource, signal, sys
from lenet_c import LeNet5
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
net = LeNet5(seed=2)
try:
    if sys.argv[3] == "path":
        net.save(sys.argv[1])
    else:
        with open(sys.argv[1], "wb", buffering=0 if sys.argv[3] == "raw" else -1) as file:
            net.save(file)
except OSError as error:
    print(f"{type(error).__name__}: {error}")
else:
    print("saved")
"""

SIGNALS = [signal.SIGKILL, signal.SIGTERM, signal.SIGINT]


def start(code: str, *arguments: str) -> subprocess.Popen[str]:
    """Run Python code in a process of its own, until it says that it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(),
    )  # fmt: skip
    assert process.stdout is not None
    expect(process.stdout.readline() == "ready\n", "the process did not begin")
    return process


def end(process: subprocess.Popen[str], why: signal.Signals) -> tuple[str, str]:
    """Send a signal, and give what the process printed.

    An interrupt that reaches Python as it enters a finalizer (`zipfile.ZipFile.__del__`, about
    one in a thousand) is printed as ignored: the user presses Ctrl-C again, which has to do.
    """
    process.send_signal(why)
    with contextlib.suppress(subprocess.TimeoutExpired):
        return process.communicate(timeout=20)
    process.send_signal(why)
    try:
        out, errors = process.communicate(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        raise Finding(f"{why!r} twice did not end it: {process.communicate()}") from None
    expect("ignored" in errors, f"{why!r} was lost without a word")
    return out, errors


def environment() -> dict[str, str]:
    """Give an environment in which this project is found."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONWARNINGS": "error"}


def leftovers(folder: str) -> list[str]:
    """Give what lies in a folder beside files whose names do not begin with a dot."""
    return sorted(name for name in os.listdir(folder) if name.startswith("."))


class Interrupts:
    """Counts what it has tried.

    Attributes
    ----------
    counts : dict
        Of each kind of trial.
    """

    def __init__(self, seed: int = 0) -> None:
        self.random = random.Random(f"interrupts {seed}")
        self.counts = {
            "saves killed": 0,
            "caches killed": 0,
            "full disks": 0,
            "trainings killed": 0,
        }
        self.good = {}
        for seed_of in (1, 2):
            file = io.BytesIO()
            LeNet5(seed=seed_of).save(file)
            self.good[file.getvalue()] = seed_of

    def save(self) -> None:
        """End a process that saves at some moment: the file is one of the two, and loads."""
        with tempfile.TemporaryDirectory(dir=scratch_once()) as folder:
            path = os.path.join(folder, "model.npz")
            why = self.random.choice(SIGNALS)
            process = start(SAVING, path)
            time.sleep(self.random.random() * 0.05)
            _, errors = end(process, why)
            expect(why == signal.SIGINT or not errors, f"{why!r}: printed {errors[-200:]}")
            expect(
                Path(path).read_bytes() in self.good, f"{why!r}: neither the old file nor the new"
            )
            LeNet5.load(path)
            left = leftovers(folder)
            expect(len(left) <= 1, f"{why!r} left {left}")
            expect(why != signal.SIGINT or not left, f"an interrupt left {left}")
            for name in left:  # a save that was killed a while ago
                os.utime(os.path.join(folder, name), (0, 0))
            LeNet5(seed=1).save(path)
            expect(not leftovers(folder), f"{why!r}: the next save leaves {leftovers(folder)}")
        self.counts["saves killed"] += 1

    def cache(self) -> None:
        """End a process that fills a cache: what lies there is whole."""
        with tempfile.TemporaryDirectory(dir=scratch_once()) as folder:
            path = os.path.join(folder, "train-labels-idx1-ubyte.gz")
            why = self.random.choice(SIGNALS)
            process = start(CACHING, path)
            time.sleep(0.005 + self.random.random() * 0.03)
            end(process, why)
            if os.path.exists(path):
                content = Path(path).read_bytes()
                expect(content in (b"a" * 65536, b"b" * 65536), f"{why!r}: {len(content)} bytes")
            expect(len(leftovers(folder)) <= 1, f"{why!r} left {leftovers(folder)}")
        self.counts["caches killed"] += 1

    def full(self) -> None:
        """Save where only so many bytes fit: the old file stays, and the error names it."""
        with tempfile.TemporaryDirectory(dir=scratch_once()) as folder:
            path = os.path.join(folder, "model.npz")
            LeNet5(seed=1).save(path)
            old = Path(path).read_bytes()
            most = self.random.choice([0, 1, 100, 4096, 61440, len(old) - 1, len(old), 1 << 20])
            kind = self.random.choice(["path", "path", "raw", "buffered"])
            result = subprocess.run(
                [sys.executable, "-c", FULL, path, str(most), kind], cwd=ROOT, text=True,
                capture_output=True, env=environment(), timeout=60,
            )  # fmt: skip
            expect(result.returncode == 0, f"full disk: {result.stderr[-300:]}")
            content = Path(path).read_bytes()
            if most >= len(old):
                expect(result.stdout == "saved\n" and self.good.get(content) == 2, "not saved")
            else:
                expect("OSError" in result.stdout, f"{kind}: {most} bytes fit and it says saved")
                if kind == "path":
                    expect(content == old, "the old file is gone")
                    expect(path in result.stdout, f"no word of the file in {result.stdout}")
                    expect(not leftovers(folder), f"a full disk left {leftovers(folder)}")
        self.counts["full disks"] += 1

    def train(self) -> None:
        """Interrupt `lenet-c train` at some moment: one line at most, and a code that says so."""
        with tempfile.TemporaryDirectory(dir=scratch_once()) as folder:
            data = self._data(folder)
            path = os.path.join(folder, "model.npz")
            LeNet5(seed=1).save(path)
            old = Path(path).read_bytes()
            why = self.random.choice([signal.SIGINT, signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
            command = [sys.executable, "-m", "lenet_c", "train", "--output", path, "--data", data]
            command += ["--dataset", "mnist", "--epochs", "1"]
            ours = re.compile(r"lenet_c/(?!__init__|__main__)\w+\.py")
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                env={**environment(), "LENET_C_DATA": data}, cwd=ROOT,
            )  # fmt: skip
            # any moment from the start of the interpreter to after the end
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(self.random.random() * 1.6)
            out, errors = end(process, why)
            code = process.returncode
            begins = " ".join(errors.split())[:60]
            tell = f"{why.name} after {out[-60:]!r}: code {code}, {begins!r} .. {errors[-150:]!r}"
            starts = not out and not ours.search(errors) and ("Traceback" in errors or not errors)
            finalizes = "Exception ignored" in errors and "KeyboardInterrupt" in errors
            if why == signal.SIGINT and code in (1, -2, 130) and (starts or finalizes):
                self.counts["trainings killed"] += 1
                return  # Python itself was still starting, or in a finalizer
            expect("Traceback" not in errors and "Error" not in errors, tell)
            expect(len(errors.strip().splitlines()) <= 1, tell)
            if why == signal.SIGINT:
                expect(code in (0, 130), tell)
            else:
                expect(code in (0, -why, 128 + why), tell)
            content = Path(path).read_bytes()
            expect(content == old or LeNet5.load(path) is not None, tell)
            expect("saved" not in out or content != old, tell)
        self.counts["trainings killed"] += 1

    @staticmethod
    def _data(folder: str) -> str:
        from tests.fuzz.idx import NAMES, header

        place = os.path.join(folder, "mnist")
        os.mkdir(place)
        rng = np.random.default_rng(0)
        for name in NAMES:
            shape = (200, 28, 28) if "images" in name else (200,)
            values = rng.integers(0, 256 if len(shape) == 3 else 10, shape, np.uint8)
            Path(place, name).write_bytes(header(8, shape) + values.tobytes())
        return folder

    def run(self, seconds: float | None, trials: int | None = None) -> list[str]:
        """Try all kinds in turn until the time is over; what was found."""
        over = time.monotonic() + (1e9 if seconds is None else seconds)
        found: list[str] = []
        done = 0
        while time.monotonic() < over and (trials is None or done < trials):
            for trial in (self.save, self.full, self.train, self.cache):
                try:
                    trial()
                except Finding as error:
                    found.append(f"{trial.__name__}: {error}")
                done += 1
        return found


_folder: list[str] = []


def scratch_once() -> str:
    """Give this process's folder."""
    if not _folder:
        _folder.append(scratch())
    return _folder[0]


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.interrupts", description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    hear_interrupts()
    trials = Interrupts(arguments.seed)
    found = trials.run(arguments.seconds)
    for what in sorted(set(found)):
        print(f"  {found.count(what)} times: {what}")
    told = ", ".join(f"{n} {kind}" for kind, n in trials.counts.items())
    print(f"interrupts: {told}; {len(found)} found; seed {arguments.seed}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
