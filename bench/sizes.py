"""What convolutions of all sizes reach: python -m bench.sizes [--write] [--isa ISA ...].

For each picture, kernel and number of maps a small network is made: a 1x1 layer that gives the
maps, the convolution, a dense layer. One thread predicts and trains on a group of random pictures,
and the core's profile says how long the convolution took forward, backward to its input and to its
weights. Beside it, in turns, runs the core's loop of multiply-adds: the peak. --write puts the page
into docs/sizes.md.
"""

from __future__ import annotations

import datetime
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from functools import partial
from statistics import median

import numpy as np

from bench.common import ROOT, add_isa, add_output, markdown, parser, with_isa
from lenet_c import (
    SGD,
    Architecture,
    Conv,
    Dense,
    LeNet5,
    Trainer,
    __version__,
    _core,
    cpu_info,
)

OUTPUT = ROOT / "docs" / "sizes.md"
IMAGES = 16  # one group of AVX-512's lanes: short enough for calls that nothing interrupts
TOO_LARGE = 90_000_000  # multiply-adds a picture
PARTS = {  # of the core's profile
    "reading": "forward",
    "training": "forward",
    "to input": "backward_input",
    "to weights": "backward_weights",
}
DIRECTIONS = tuple(PARTS)
KERNELS = (3, 5, 7)
REFERENCE = ((32, 32), (16, 16))
SQUARES = (8, 10, 12, 14, 17, 20, 21, 24, 28, 32, 33, 36, 40, 47, 48, 64)
WIDE = (9, 12, 48, 64, 100, 128, 256)
PICTURES = (*((side, side) for side in SQUARES), *((32, width) for width in WIDE))
MAPS = (
    *((1, 1), (1, 6), (1, 16), (1, 64), (2, 3), (4, 4), (6, 16), (7, 11), (8, 8)),
    *((16, 1), (16, 16), (16, 64), (32, 32), (64, 1), (64, 16), (64, 64)),
)
PICTURES_OF_MAPS = ((20, 20), (36, 36), (32, 64))
SECONDS, FEWEST, FEWEST_DISTURBED = 0.1, 7, 25  # of calls for one size
CALM = 0.95  # processor time by wall time of calls that other processes leave alone
LONG = 2e-3  # seconds, that seldom pass without one
PEAK_ROUNDS = 5_000
PROCESSES = 3
WANTED, WANTED_OF_FEW = 0.7, 0.6
FEW_COLUMNS, FEW_MAPS = 8, 4
LOWEST = 12

METHOD = """\
`python -m bench.sizes --write` printed this. A network of a 1x1 layer, the convolution (ReLU, all
maps connected) and a dense layer predicts and trains on {images} random pictures, on one thread.
The core's profile says how long the convolution took: forward in reading and in training, backward
to its input and to its weights. The core's loop of multiply-adds runs in turns with it. The
shortest of many times counts, in the best of {processes} processes: memory lies elsewhere in
each, and so in the caches. Where other processes leave this one no {long:.0f} ms alone, what
takes longer is its share of the calls' time, times their processor time: that may be off by a
fifth.

Cells are the fraction of that peak, and in parentheses the ratio to the reference: the same kernel
and direction with 16 maps over 16 maps on 32x32, which goes by direct sums. "Picture" is what the
convolution sees. Multiply-adds are counted as direct sums have them, everywhere; what goes by
Winograd makes do with three fifths of them, and may exceed 1. At least {wanted} of the reference
is wanted, {wanted_of_few} where outputs have fewer than {few_columns} columns or one side has
fewer than {few_maps} maps; less is in bold.

Where it is lowest, and why:

- One output map, 3x3: a tile has three to nine multiply-adds for each input that it reads and each
  output that it writes, and three sums are too few for multiply-adds that take four cycles.
- Few input maps, forward: what an output takes besides, storing it and ReLU, is as much as there
  are multiply-adds for it.
- Few outputs, to the weights (7x7 on 8x8): each sum, of which there is one a lane, is read and
  written for four products.
- Wide pictures and many maps, 3x3: maps that no cache holds come from memory for few
  multiply-adds. Blocks of columns and of rows keep what is read again in the L2.
- AVX2: its sixteen registers hold fewer sums, so that they wait for one another more often, and one
  output map has too few for two multiply-adds a cycle.
- AVX2, 7x7 on 8x8 to the input: a kernel row is two multiply-adds for each of eight sums, which
  wait for one another."""


@dataclass(frozen=True)
class Size:
    """A convolution, by what it sees."""

    kernel: int
    picture: tuple[int, int]
    maps: tuple[int, int]

    @property
    def outputs(self) -> tuple[int, int]:
        """Height and width of the output maps."""
        return self.picture[0] - self.kernel + 1, self.picture[1] - self.kernel + 1

    @property
    def multiply_adds(self) -> int:
        """Of one picture in each direction."""
        return self.kernel**2 * self.maps[0] * self.maps[1] * self.outputs[0] * self.outputs[1]

    @property
    def wanted(self) -> float:
        """The least ratio to the reference."""
        few = self.outputs[1] < FEW_COLUMNS or min(self.maps) < FEW_MAPS
        return WANTED_OF_FEW if few else WANTED

    def __str__(self) -> str:
        height, width = self.picture
        return (
            f"{self.maps[0]} to {self.maps[1]} maps, {height}x{width}, {self.kernel}x{self.kernel}"
        )


def grid() -> list[Size]:
    """List the sizes, the references first; what would take long is left out."""
    references = [Size(kernel, *REFERENCE) for kernel in KERNELS]
    others = [Size(k, picture, REFERENCE[1]) for picture in PICTURES for k in KERNELS]
    others += [Size(k, p, maps) for p in PICTURES_OF_MAPS for maps in MAPS for k in KERNELS]
    others = [each for each in others if each.multiply_adds <= TOO_LARGE]
    return list(dict.fromkeys([*references, *others]))


def timed(call: Callable[[], object]) -> tuple[float, float]:
    """Make a call; give its wall time and its processor time."""
    busy, began = time.thread_time(), time.perf_counter()
    call()
    return time.perf_counter() - began, time.thread_time() - busy


def is_enough(walls: Sequence[float], own: Sequence[float], seconds: float) -> bool:
    """Say whether so many calls will do, of whose time so much was this process's."""
    calm = sum(own) > CALM * sum(walls)
    return len(walls) >= (FEWEST if calm else FEWEST_DISTURBED) and seconds > SECONDS


def fractions(size: Size) -> list[float]:
    """Measure what a size reaches of the peak in each of DIRECTIONS."""
    layers = (
        Conv("maps", size.maps[0], 1, activation="relu"),
        Conv("conv", size.maps[1], size.kernel, activation="relu"),
        Dense("out", 2, activation="identity"),
    )
    network = LeNet5(Architecture("sizes", layers, input_shape=size.picture), codes=None)
    rng = np.random.default_rng(0)
    images = rng.standard_normal((IMAGES, *size.picture), np.float32)
    labels = rng.integers(0, 2, len(images))
    trainer = Trainer(network, SGD(1e-9), "cross_entropy", batch_size=len(images), num_threads=1)
    read = partial(network.forward, images, num_threads=1)
    train = partial(trainer.step, images, labels)
    times: dict[str, list[float]] = {name: [] for name in DIRECTIONS}
    peaks: list[float] = []
    reached = []
    for call, parts in ((read, DIRECTIONS[:1]), (train, DIRECTIONS[1:])):
        call()
        walls: list[float] = []
        own: list[float] = []
        began = time.perf_counter()
        while not is_enough(walls, own, time.perf_counter() - began):
            peaks.append(timed(partial(_core.multiply_adds, PEAK_ROUNDS, False))[0])
            profile = network._network.profile = _core.Profile()
            wall, busy = timed(call)
            network._network.profile = None
            walls.append(wall)
            own.append(busy)
            for name in parts:
                times[name].append(profile.seconds(PARTS[name], 1))
        for name in parts:
            seconds = min(times[name])
            if seconds > LONG and sum(own) < CALM * sum(walls):
                seconds = min(seconds, sum(times[name]) / sum(walls) * median(own))
            reached.append(size.multiply_adds * len(images) / seconds)
    peak = _core.multiply_adds(PEAK_ROUNDS, False) / min(peaks)
    return [speed / peak for speed in reached]


def measure() -> list[tuple[Size, list[float]]]:
    """Measure all sizes; the references three times in between, of which the medians are kept."""
    sizes = grid()
    references, others = sizes[: len(KERNELS)], sizes[len(KERNELS) :]
    thirds = [others[i::3] for i in range(3)]
    found: dict[Size, list[float]] = {}
    several: dict[Size, list[list[float]]] = {size: [] for size in references}
    for third in thirds:
        for size in references:
            several[size].append(fractions(size))
        found |= {size: fractions(size) for size in third}
    for size, runs in several.items():
        found[size] = [median(column) for column in zip(*runs, strict=True)]
    return [(size, found[size]) for size in sizes]


@dataclass(frozen=True)
class Report:
    """What one instruction set reaches: of the peak and as a ratio to the reference."""

    isa: str
    found: dict[Size, list[float]]

    def ratio(self, size: Size, direction: int) -> float:
        """Give what a size reaches by what its reference does."""
        return self.found[size][direction] / self.found[Size(size.kernel, *REFERENCE)][direction]

    def table(self, title: str, rows: Sequence[tuple[str, Sequence[Size]]]) -> str:
        """Write a table of sizes that differ in their kernels in each row."""
        header = [title]
        header += [f"{k}x{k} {name}" for k in KERNELS for name in DIRECTIONS]
        cells = [
            [name, *(self.cell(s, d) for s in sizes for d in range(len(DIRECTIONS)))]
            for name, sizes in rows
        ]
        return markdown(header, cells)

    def cell(self, size: Size, direction: int) -> str:
        """Write the fraction of the peak, and the ratio; bold where that is less than wanted."""
        if size not in self.found:
            return ""
        ratio = self.ratio(size, direction)
        text = f"{self.found[size][direction]:.2f} ({ratio:.2f})"
        return f"**{text}**" if round(ratio, 2) < size.wanted else text

    def lowest(self) -> str:
        """Write the table of the lowest ratios."""
        every = [
            (self.ratio(size, d), size, d) for size in self.found for d in range(len(DIRECTIONS))
        ]
        every.sort(key=lambda each: each[0] / each[1].wanted)
        missing = sum(round(ratio, 2) < size.wanted for ratio, size, _ in every)
        rows = [
            [
                str(size),
                DIRECTIONS[d],
                f"{self.found[size][d]:.2f}",
                f"{ratio:.2f}",
                f"{size.wanted}",
            ]
            for ratio, size, d in every[:LOWEST]
        ]
        return f"{missing} of {len(every)} are below what is wanted. The lowest:\n\n" + markdown(
            ["convolution", "direction", "of peak", "ratio", "wanted"], rows
        )

    def section(self) -> str:
        """Write the part of the page."""
        pictures = [
            ("x".join(map(str, p)), [Size(k, p, REFERENCE[1]) for k in KERNELS]) for p in PICTURES
        ]
        parts = [
            f"## {self.isa}",
            self.lowest(),
            "16 maps over 16 maps:",
            self.table("picture", pictures),
        ]
        for picture in PICTURES_OF_MAPS:
            maps = [(f"{m[0]} to {m[1]}", [Size(k, picture, m) for k in KERNELS]) for m in MAPS]
            parts += [f"{picture[0]}x{picture[1]}:", self.table("maps", maps)]
        return "\n\n".join(parts)


def run(isa: str) -> Report:
    """Measure in processes of their own, with an instruction set of this processor."""
    found: dict[Size, list[float]] = {}
    for _ in range(PROCESSES):
        answer = with_isa(isa, "sizes", "--measure", OMP_NUM_THREADS="1")
        for (k, p, m), reached in answer:
            size = Size(k, tuple(p), tuple(m))
            best = found.get(size, reached)
            found[size] = [max(pair) for pair in zip(best, reached, strict=True)]
    return Report(isa, found)


def main() -> None:
    command = parser("sizes", __doc__)
    add_output(command, OUTPUT)
    add_isa(command, default=2)
    command.add_argument("--measure", action="store_true", help="by this process's; prints JSON")
    options = command.parse_args()
    if options.measure:
        json.dump([[astuple(size), reached] for size, reached in measure()], sys.stdout)
        return
    load, began = os.getloadavg()[0], time.perf_counter()
    reports = [run(isa) for isa in options.isa]
    minutes = (time.perf_counter() - began) / 60
    cpu = cpu_info()
    about = [
        f"lenet_c {__version__}, {cpu['compiler']}",
        f"{cpu['processor']}, {os.cpu_count()} processors; {load:.1f} other processes wanted one",
        f"{datetime.date.today()}; {minutes:.1f} minutes",
    ]
    method = METHOD.format(
        images=IMAGES,
        long=LONG * 1e3,
        processes=PROCESSES,
        wanted=WANTED,
        wanted_of_few=WANTED_OF_FEW,
        few_columns=FEW_COLUMNS,
        few_maps=FEW_MAPS,
    )
    text = "\n\n".join(
        [
            "# Convolutions of all sizes",
            "\n".join(f"- {each}" for each in about),
            method,
            *(report.section() for report in reports),
        ]
    )
    print(text)
    if options.write:
        options.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
