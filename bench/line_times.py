"""How long a field takes from picture to text, and the network on strips: for `bench.lines`."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import median

import numpy as np

from bench import counts
from bench.common import Data, Images, duration, markdown, outcome
from bench.line_scores import LENGTH, SEED
from bench.paths import peak_flops, time_call
from lenet_c import (
    LENET5_1998,
    LENET5_STRINGS,
    Adam,
    LeNet5,
    LineReader,
    Trainer,
    cpu_info,
    datasets,
    decoding,
    preprocess,
)

STRIP = (32, 224)
N_FIELDS = 8
BATCH = 64


def field(test: Images, seed: int) -> np.ndarray:
    """Draw five digits on grey paper, 200x60: as a scanner sees it, or without its noise."""
    strips, _ = datasets.strings(*test, length=LENGTH, preset="mnist", gap=(2, 6), seed=seed).batch(
        1
    )
    strip = strips[0]
    width = min(190, round(strip.shape[1] * 50 / 32))
    ink = np.zeros((60, 200))
    ink[5:55, 5 : 5 + width] = preprocess.resize(strip / 255, 50, width)
    noise = np.random.default_rng(seed).normal(0, 3 if seed % 2 == 0 else 0, ink.shape)
    return np.clip(225 - 170 * ink + noise, 0, 255).round().astype(np.uint8)


def sweep_multiply_adds(network: LeNet5, trains: bool = False) -> int:
    """Count the direct sums of a sweep over a strip, or of a training step on one."""
    arrays = network.sweep_activations(np.zeros(STRIP, np.uint8))
    shapes = network.architecture.output_shapes
    parts = counts.by_part(network.architecture)
    work = parts if trains else {"forward": parts["forward"]}
    return sum(
        n // int(np.prod(shapes[name][1:])) * _places(arrays[name].shape)
        for layers in work.values()
        for name, n in layers.items()
    )


def _places(shape: tuple[int, ...]) -> int:
    return shape[1] * shape[2] if len(shape) == 3 else shape[0]


def strips_of(images: Images, n: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Make strips of one size, each with its labels."""
    strips, labels = datasets.strings(*images, length=LENGTH, seed=SEED).batch(n)
    width = STRIP[1]
    wide = [np.pad(s[:, :width], ((0, 0), (0, max(0, width - s.shape[1])))) for s in strips]
    return wide, labels


@dataclass
class Timed:
    """A call: what it is, and its times and fractions of the peak, one a round."""

    what: str
    call: Callable[[], object]
    per: int = 1
    multiply_adds: int = 0

    def __post_init__(self) -> None:
        self.seconds: list[float] = []
        self.fastest: list[float] = []
        self.fractions: list[float] = []

    def take(self, seconds: float, peak: float) -> float:
        """Time it once, beside the peaks before and after; give the latter."""
        middle, least = time_call(self.call, seconds)
        after = peak_flops()
        self.seconds.append(middle / self.per)
        self.fastest.append(least / self.per)
        self.fractions.append(2 * self.multiply_adds / least / max(peak, after))
        return after

    def within(self, seconds: float) -> str:
        """Tell whether it takes no longer."""
        return f"{duration(seconds)}: {outcome(median(self.seconds) <= seconds)}"

    def at_least(self, epyc: float, xeon: float) -> str:
        """Tell whether it reaches such a fraction of the peak."""
        wanted = xeon if "Xeon" in cpu_info()["processor"] else epyc
        reached = outcome(round(median(self.fractions), 2) >= wanted)
        return f"{epyc:.0%} (EPYC), {xeon:.0%} (Xeon): {reached}"

    def row(self, aim: str = "-") -> list[str]:
        """Write its line of the table."""
        of_peak = f"{median(self.fractions):.0%}" if self.multiply_adds else "-"
        return [
            self.what, duration(median(self.seconds)), duration(min(self.fastest)), of_peak, aim
        ]  # fmt: skip


def field_calls(reader: LineReader, test: Images) -> list[Timed]:
    """Give the calls that read fields, whole and in parts."""
    pictures = [field(test, seed) for seed in range(N_FIELDS)]
    strips = [preprocess.line(picture) for picture in pictures]
    outputs = reader.outputs(strips, num_threads=1)
    names = reader.class_names
    decode = partial(
        decoding.decode,
        temperature=reader.network.temperature,
        penalties=reader.network.codes is not None,
    )
    return [
        Timed(
            "a field of 200x60, picture to text",
            lambda: [reader.read(picture, num_threads=1) for picture in pictures],
            N_FIELDS,
        ),
        Timed(
            "of this: `preprocess.line`",
            lambda: [preprocess.line(picture) for picture in pictures],
            N_FIELDS,
        ),
        Timed(
            "the network",
            lambda: [reader.outputs([strip], num_threads=1) for strip in strips],
            N_FIELDS,
        ),
        Timed("decoding", lambda: [decode(o, names, len(names)) for o in outputs], N_FIELDS),
    ]


def time_table(reader: LineReader, data: Data, rounds: int, seconds: float) -> str:
    """Time fields, sweeps and steps on one thread, in turns with the peak of multiply-adds."""
    fields = field_calls(reader, data[1])
    (strip, *_), _ = strips_of(data[1], 1)
    networks = [LeNet5(LENET5_1998), copy.deepcopy(reader.network)]
    networks[1].rejection = None  # else windows without a character are read again, turned
    sweeps = [
        Timed(
            f"{network.architecture.name}: a strip of {STRIP[0]}x{STRIP[1]}",
            partial(network.sweep, strip, num_threads=1),
            1,
            sweep_multiply_adds(network),
        )
        for network in networks
    ]
    stride, (_, n) = 4, networks[0].positions(*STRIP)
    windows = np.stack([strip[:, stride * i : stride * i + 32] for i in range(n)])
    batches = [
        Timed(
            f"{network.architecture.name}: its {n} windows as a batch",
            partial(network.forward, windows, num_threads=1),
            1,
            n * sum(counts.multiply_adds(network.architecture).values()),
        )
        for network in networks
    ]
    learner = LeNet5(LENET5_STRINGS)
    trainer = Trainer(learner, Adam(1e-5), "forward", num_threads=1)
    step = Timed(
        f"{learner.architecture.name}: a training step, {BATCH} strips of {STRIP[0]}x{STRIP[1]}",
        partial(trainer.step, *strips_of(data[0], BATCH)),
        1,
        BATCH * sweep_multiply_adds(learner, trains=True),
    )
    calls = [*fields, *sweeps, *batches, step]
    for timed in calls:
        timed.call()
    for _ in range(rounds):
        peak = peak_flops()
        for timed in calls:
            peak = timed.take(seconds, peak)
    whole, line, network, decoded = fields
    less = outcome(median(decoded.seconds) < median(network.seconds))
    rows = [
        whole.row(whole.within(2e-3)),
        line.row(line.within(1e-3)),
        network.row(),
        decoded.row(f"less than the network: {less}"),
        *(timed.row(timed.at_least(0.55, 0.40)) for timed in sweeps),
    ]
    for sweep, batch in zip(sweeps, batches, strict=True):
        ratio = median(b / a for a, b in zip(sweep.fastest, batch.fastest, strict=True))
        rows.append(batch.row(f"1.7 times as long: {ratio:.2f}, {outcome(ratio >= 1.7)}"))
    rows.append(step.row(step.at_least(0.60, 0.45)))
    method = (
        f"One thread, in turns over {rounds} rounds with the core's loop of multiply-adds, "
        f'{median(timed_peaks()) / 1e9:.0f} GFLOP/s at the end. "Median" is wall time, '
        '"shortest" processor time; "of peak" is the median of the rounds\' shortest. Direct '
        f"sums count, {sweep_multiply_adds(networks[0]):,} a strip of {LENET5_1998.name}. "
        f"A field is {N_FIELDS} drawn ones' mean, every other one without noise."
    )
    return "\n\n".join(
        [
            method,
            markdown(["what", "median", "shortest", "of peak", "to reach"], rows),
        ]
    )


def timed_peaks() -> list[float]:
    """Give some peaks."""
    return [peak_flops() for _ in range(3)]
