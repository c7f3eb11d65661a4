"""The paths that `bench.limit` and `bench.check` measure, in turns with the peak of multiply-adds.

Both ask for a process for each instruction set (`run`), which answers in JSON on its output. One
thread, from Python: `LeNet5.predict` and `Trainer.step` on raw uint8 images.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from functools import partial
from statistics import median

import numpy as np

from bench import counts
from bench.common import mnist, parser, with_isa
from lenet_c import (
    LENET5_1998,
    LENET5_MODERN,
    LENET_CAFFE,
    SGD,
    Adam,
    Architecture,
    LeNet5,
    Trainer,
    _core,
    cpu_info,
    datasets,
)

NETWORKS = {"1998": LENET5_1998, "modern": LENET5_MODERN, "caffe": LENET_CAFFE}
DATA = "MNIST" if os.environ.get("LENET_C_DATA") else "synthetic"
RATE = 1e-4
GROUP_SECONDS = 5e-4  # calls that are timed together, so that reading the clock does not count
PROFILE_SECONDS = 0.02
PROFILE_WINDOWS = 15
PEAK_SECONDS = 0.03
PEAK_ROUNDS = 100_000  # a window of 1 to 10 ms, so that some window is not interrupted


@dataclass(frozen=True)
class Path:
    """One way through the core: a network, what is done with it, and on how many images."""

    network: str
    trains: bool
    images: int

    @property
    def name(self) -> str:
        """What tables and files call it."""
        if not self.trains:
            return f"{self.network}: predict {self.images}"
        return f"{self.network}: step {self.images}, {'SGD' if self.images == 1 else 'Adam'}"

    @property
    def architecture(self) -> Architecture:
        """The network's."""
        return NETWORKS[self.network]

    @property
    def multiply_adds(self) -> int:
        """Of one image."""
        if self.trains:
            return counts.step_multiply_adds(self.architecture)
        return sum(counts.multiply_adds(self.architecture).values())

    def prepare(self) -> tuple[LeNet5, Callable[[], object]]:
        """Make the network, and the call to time."""
        network = LeNet5(self.architecture)
        images, labels = (array[: self.images] for array in training_set())
        if not self.trains:
            return network, partial(network.predict, images, num_threads=1)
        optimizer = SGD(RATE) if self.images == 1 else Adam(RATE)
        trainer = Trainer(network, optimizer, num_threads=1)
        return network, partial(trainer.step, images, labels)


PATHS = {
    path.name: path
    for network in NETWORKS
    for trains, sizes in ((False, (1024, 64, 1)), (True, (128, 1)))
    for path in (Path(network, trains, images) for images in sizes)
}


@dataclass
class Measured:
    """What was found of one path.

    Attributes
    ----------
    peaks, seconds, fastest : list of float
        One a round: the peak beside it in operations a second, the median time of a call, and the
        least processor time of one, which other processes disturb less.
    profile : dict
        By part and layer, the share of a call's time; "call" is what is left: Python, and making
        the arrays. Only where it was asked for.
    profiled : float
        Time of a call while the profile is taken.
    """

    peaks: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    fastest: list[float] = field(default_factory=list)
    profile: dict[str, dict[str, float]] = field(default_factory=dict)
    profiled: float = 0.0

    def ratios(self, path: Path) -> list[float]:
        """Give the fraction of the peak in each round."""
        return self._ratios(path, self.seconds)

    def best_ratios(self, path: Path) -> list[float]:
        """Give the fraction of the peak of the fastest calls of each round."""
        return self._ratios(path, self.fastest)

    def _ratios(self, path: Path, seconds: list[float]) -> list[float]:
        flops = 2 * path.multiply_adds * path.images
        return [flops / s / p for s, p in zip(seconds, self.peaks, strict=True)]


@dataclass
class Report:
    """What one process found.

    Attributes
    ----------
    isa, processor, compiler, system : str
    lanes : int
    loading : float
        The fraction of the peak that is left with one load for every two multiply-adds.
    paths : dict of Measured, by the path's name
    """

    isa: str
    lanes: int
    loading: float
    processor: str
    compiler: str
    system: str
    paths: dict[str, Measured]


def peak_flops(seconds: float = PEAK_SECONDS, loads: bool = False) -> float:
    """Give the floating-point operations a second of the core's own loop, in its best window.

    Parameters
    ----------
    seconds : float
    loads : bool
        Whether it reads one vector from the innermost cache for every two multiply-adds.

    Returns
    -------
    float
    """
    fastest, end = 0.0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        began = time.perf_counter()
        done = _core.multiply_adds(PEAK_ROUNDS, loads)
        fastest = max(fastest, 2.0 * done / (time.perf_counter() - began))
    return fastest


def training_set() -> datasets.Arrays:
    """Give MNIST's training set from LENET_C_DATA, or else random images as many and as large."""
    if os.environ.get("LENET_C_DATA"):
        return mnist(os.environ["LENET_C_DATA"])[0]
    rng = np.random.default_rng(1998)
    images = rng.integers(0, 256, (60_000, 28, 28), np.uint8)
    return images, rng.integers(0, 10, len(images), np.uint8)


def time_call(call: Callable[[], object], seconds: float) -> tuple[float, float]:
    """Time a call for so long, in groups of calls of half a millisecond or more.

    Returns
    -------
    (float, float)
        The median time of a call, and the least processor time.
    """
    began = time.perf_counter()
    call()
    group = max(1, round(GROUP_SECONDS / (time.perf_counter() - began)))
    times: list[float] = []
    busy: list[float] = []
    end = time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        began, busy_before = time.perf_counter(), time.thread_time()
        for _ in range(group):
            call()
        busy.append((time.thread_time() - busy_before) / group)
        times.append((time.perf_counter() - began) / group)
    return median(times), min(busy)


def measure(names: Iterable[str], rounds: int, seconds: float, profile: bool = False) -> Report:
    """Measure paths in rounds: peak, path, peak, path, ..., each path beside the better peak.

    A round begins with the peak's loop with loads.
    """
    ready = {name: PATHS[name].prepare() for name in names}
    found = {name: Measured() for name in ready}
    for _, call in ready.values():
        time_call(call, seconds / 4)  # warms up
    loading = []
    for _ in range(rounds):
        loaded = peak_flops(loads=True)
        before = peak_flops()
        loading.append(loaded / before)
        for name, (_, call) in ready.items():
            middle, least = time_call(call, seconds)
            found[name].seconds.append(middle)
            found[name].fastest.append(least)
            after = peak_flops()
            found[name].peaks.append(max(before, after))
            before = after
    if profile:
        for name, (network, call) in ready.items():
            take_profile(network, call, found[name])
    cpu = cpu_info()
    system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    isa, lanes = _core.isa()
    return Report(
        isa, lanes, median(loading), str(cpu["processor"]), str(cpu["compiler"]), system, found
    )


def take_profile(network: LeNet5, call: Callable[[], object], found: Measured) -> None:
    """Add the shares of a call's time, from the window whose calls took the middle time."""
    windows = [profile_window(network, call) for _ in range(PROFILE_WINDOWS)]
    each, found.profile = sorted(windows, key=lambda window: window[0])[PROFILE_WINDOWS // 2]
    found.profiled = each


def profile_window(
    network: LeNet5, call: Callable[[], object]
) -> tuple[float, dict[str, dict[str, float]]]:
    """Give a call's time, and the shares of its parts and layers."""
    times = network._network.profile = _core.Profile()
    calls, began = 0, time.perf_counter()
    while not calls or time.perf_counter() - began < PROFILE_SECONDS:
        call()
        calls += 1
    whole = time.perf_counter() - began
    network._network.profile = None
    layers = [layer.name for layer in network.architecture.layers]
    shares = {
        part: {name: times.seconds(part, i) / whole for i, name in enumerate(layers)}
        for part in _core.PARTS
    }
    rest = 1.0 - sum(sum(by_layer.values()) for by_layer in shares.values())
    return whole / calls, shares | {"call": {layers[0]: rest}}


def run(
    isa: str,
    names: Iterable[str] = tuple(PATHS),
    *,
    rounds: int,
    seconds: float,
    profile: bool = False,
) -> Report:
    """Measure in a process of its own, with an instruction set of this processor."""
    arguments = ["--rounds", str(rounds), "--seconds", str(seconds)]
    fields = with_isa(isa, "paths", *arguments, *["--profile"] * profile, *names)
    paths = {name: Measured(**found) for name, found in fields.pop("paths").items()}
    return Report(**fields, paths=paths)


def main() -> None:
    command = parser("paths", __doc__)
    command.add_argument("--rounds", type=int, default=9)
    command.add_argument("--seconds", type=float, default=0.08, help="a path, in a round")
    command.add_argument("--profile", action="store_true")
    command.add_argument("paths", nargs="*", choices=[[], *PATHS], metavar="PATH")
    options = command.parse_args()
    found = measure(options.paths or PATHS, options.rounds, options.seconds, options.profile)
    json.dump(asdict(found), sys.stdout)


if __name__ == "__main__":
    main()
