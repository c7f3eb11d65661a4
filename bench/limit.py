"""How near each path is to the machine's limit: python -m bench.limit [--write].

For each instruction set of this processor, in a process of its own and on one thread: images a
second, the fraction of the multiply-add peak measured in turns with it, a modelled floor, and the
share of time of each layer. --write puts the report into docs/limit.md.

The floor counts, in units of one vector multiply-add at the measured peak (a *slot*; a processor
with two such units has two slots a cycle):

- a slot for each vector of multiply-adds of convolutions, dense layers and RBF units: one image
  forward, and for a training step also the gradients of all trained weights and of all inputs but
  the image;
- for each vector of squashed values SQUASH_SLOTS, since a clamp and four numbers that are looked up
  for a polynomial, or two polynomials and a quotient, are twelve operations at the least (so six
  cycles at two a cycle). A step squashes once, on the way forward;
- with one image, a layer cannot be faster than its weights come from the second-level cache at
  BYTES_A_SLOT (64 bytes a cycle, two slots a cycle), once forward; a step reads them again for
  the input's gradient and writes them once. Layer by layer the larger of the two counts. In a
  batch the reading is shared and left out.

Pooling, loading, the loss, sums of gradients, the update and Python are free in the model. It is a
floor for direct convolution: batches run by Winograd's, in fewer multiply-adds, and may be faster.
Everywhere the multiply-adds of the direct sums are counted.
"""

from __future__ import annotations

import datetime
import os
import time
from collections.abc import Callable
from statistics import median

from bench import counts
from bench.common import ROOT, add_isa, add_output, by_recipe, duration, markdown, parser
from bench.paths import (
    DATA,
    PATHS,
    PROFILE_WINDOWS,
    Measured,
    Path,
    Report,
    run,
    training_set,
)
from lenet_c import LENET5_1998, Adam, LeNet5, Trainer, __version__, _core, get_threading
from lenet_c.recipes import RECIPES

OUTPUT = ROOT / "docs" / "limit.md"
SQUASH_SLOTS = 12
BYTES_A_SLOT = 32
WORK = ("forward", "backward_input", "backward_weights")  # each passes over the weights once
TITLES = {
    "load": "loading",
    "forward": "forward",
    "loss": "loss",
    "backward_input": "backward, inputs",
    "backward_weights": "backward, weights",
    "update": "sums and update",
    "call": "the call, Python",
}

# What this project aims at: a fraction of the peak, or seconds on a processor of these peaks.
AIM_PEAKS = {"avx512": 260e9, "avx2": 130e9}
AIMS = {
    ("avx512", "1998: predict 1024"): 0.66,
    ("avx2", "1998: predict 1024"): 0.66,
    ("avx512", "1998: step 128, Adam"): 0.70,
    ("avx512", "caffe: predict 1024"): 0.65,
    ("avx2", "caffe: predict 1024"): 0.65,
    ("avx512", "caffe: step 128, Adam"): 0.60,
    ("avx2", "caffe: step 128, Adam"): 0.60,
}
AIMS_IN_SECONDS = {
    ("avx512", "1998: predict 1"): 7e-6,
    ("avx2", "1998: predict 1"): 11e-6,
    ("avx512", "1998: step 1, SGD"): 16e-6,
}
AIM_OF_PASS, AIM_OF_TRAINING = 0.40, 6.0  # seconds, two threads
BATCH = 128
RUNS = 3

METHOD = """\
`python -m bench.limit --write` printed this. Each path runs on one thread, from Python, with raw
uint8 images, in turns with the core's loop of multiply-adds (the peak): peak, path, peak, path ...
over {rounds} rounds. Time is the median of the rounds; "of peak" is the median, least and most of
the rounds' ratios to the better of the two peaks beside. A multiply-add is two operations;
convolutions, dense layers and RBF units count, as many as direct sums have: with batches AVX-512
makes do with three fifths of those of C1 and C3, AVX2, in reading, with three fifths of C3's
(Winograd). The floor is a model of direct sums: multiply-adds at the peak, {squash} multiply-adds
of time for each vector that is squashed, and for one image every weight read from the second-level
cache at {bytes} bytes a vector multiply-add; all else is free (`bench/limit.py` says more).

The peak's loop reads nothing, and kernels do: one vector for every two to four multiply-adds.
Beside the peak stands what is left of it when the same loop reads one for every two from the
innermost cache, the median of the rounds; on some processors the clock is slower then. In portable
C the compiler also moves that loop's sums to memory and back.

The share of time of each layer is taken in further calls, the middle one of {windows} windows of
them; the line "slower by" says what reading the clock so often costs. In parentheses is the
fraction of the peak that the layer's multiply-adds reach in that time, squashing and all. Backward
through pooling counts as "inputs"; where an input's gradient and the update are made in one go,
they count in one place. S2 and S4 count with C1 and C3, also in what those reach of the peak, where
these run by Winograd."""


AIMED = """\
Times were aimed at for peaks of {avx512} GFLOP/s with AVX-512 and {avx2} with AVX2. "For this peak"
is the time of as large a fraction of the peak that was measured here."""


def floor(path: Path, lanes: int, peak: float) -> float:
    """Model the least time of a call: see the module's text.

    Parameters
    ----------
    path : Path
    lanes : int
    peak : float
        Operations a second, two a multiply-add.

    Returns
    -------
    float
        Seconds.
    """
    work = counts.by_part(path.architecture)
    if not path.trains:
        work = {"forward": work["forward"]}
    reading = counts.weight_bytes(path.architecture) if path.images == 1 else {}
    slots = sum(
        max(n / lanes, reading.get(layer, 0) / BYTES_A_SLOT)
        for layers in work.values()
        for layer, n in layers.items()
    )
    slots += SQUASH_SLOTS * sum(counts.squashes(path.architecture).values()) / lanes
    return path.images * slots * 2 * lanes / peak


def row(path: Path, found: Measured, lanes: int) -> list[str]:
    """Write a path's line of the first table."""
    seconds, peak = median(found.seconds), median(found.peaks)
    least = floor(path, lanes, peak)
    ratios = found.ratios(path)
    gflops = 2e-9 * path.multiply_adds * path.images / seconds
    return [
        path.name,
        f"{duration(seconds)} ({duration(min(found.seconds))} to {duration(max(found.seconds))})",
        f"{path.images / seconds:,.0f}",
        f"{gflops:.1f}",
        f"{median(ratios):.1%} ({min(ratios):.1%} to {max(ratios):.1%})",
        f"{duration(least)}, {path.images / least:,.0f}/s",
        f"{least / seconds:.0%}",
    ]


def shares(paths: list[Path], report: Report) -> str:
    """Write the table of where the time goes: parts and layers down, paths across."""
    rows = []
    for part in (*_core.PARTS, "call"):
        for layer in dict.fromkeys(n.name for p in paths for n in p.architecture.layers):
            cells = [share(path, report.paths[path.name], part, layer) for path in paths]
            if any(cells):
                rows.append([f"{TITLES[part]}{f' {layer}' if part in WORK else ''}", *cells])
    slower = [report.paths[path.name] for path in paths]
    rows.append(["slower by", *(f"{m.profiled / median(m.seconds) - 1:.1%}" for m in slower)])
    return markdown(["part, layer", *(path.name for path in paths)], rows)


def share(path: Path, found: Measured, part: str, layer: str) -> str:
    """Write one cell: the share of time, and of the peak where the layer multiplies."""
    time_share = found.profile[part].get(layer, 0.0)
    if abs(time_share) < 5e-4:
        return ""
    text = f"{time_share:.1%}"
    multiply_adds = counts.by_part(path.architecture).get(part, {}).get(layer)
    if multiply_adds:
        flops = 2 * multiply_adds * path.images / (time_share * found.profiled)
        text += f" ({flops / median(found.peaks):.0%})"
    return text


def section(report: Report) -> str:
    """Write an instruction set's part of the report."""
    peaks = [peak for found in report.paths.values() for peak in found.peaks]
    paths = [PATHS[name] for name in report.paths]
    header = ["path", "a call", "images/s", "GFLOP/s", "of peak", "floor", "floor / time"]
    rows = [row(path, report.paths[path.name], report.lanes) for path in paths]
    middle, low, high = (f"{f(peaks) / 1e9:.1f}" for f in (median, min, max))
    parts = [
        f"## {report.isa}",
        (
            f"Peak: {middle} GFLOP/s ({low} to {high}), {report.loading:.0%} of it with one load "
            f"for every two multiply-adds; {report.lanes} images a vector."
        ),
        markdown(header, rows),
    ]
    for trains in (False, True):
        parts.append(shares([path for path in paths if path.trains == trains], report))
    return "\n\n".join(parts)


def middle_peak(report: Report) -> float:
    """Give the median of the peaks that were measured, operations a second."""
    return median(peak for found in report.paths.values() for peak in found.peaks)


def aim(seconds: float, isa: str, peak: float, show: Callable[[float], str]) -> list[str]:
    """Write an aim in seconds, and the same fraction of this processor's peak in seconds."""
    return [show(seconds), show(seconds * AIM_PEAKS[isa] / peak) if isa in AIM_PEAKS else "-"]


def fits(isa: str, peak: float) -> list[list[str]]:
    """Time trainings on two threads by this process's instruction set, for the table of aims."""
    train = training_set()

    def middle(call: Callable[[], object]) -> float:
        times = []
        for _ in range(RUNS):
            began = time.perf_counter()
            call()
            times.append(time.perf_counter() - began)
        return median(times)

    recipe = RECIPES[LENET5_1998.name]
    trainer = Trainer(LeNet5(), Adam(1e-3), recipe.loss, batch_size=BATCH, num_threads=2)
    one_pass = middle(lambda: trainer.fit(*train, 1))
    training = middle(lambda: by_recipe(recipe, train, threads=2))
    return [
        [
            f"1998: a pass over MNIST, Adam, batch {BATCH}, two threads",
            *aim(AIM_OF_PASS, isa, peak, "{:.2f} s".format),
            f"{one_pass:.2f} s",
        ],
        [
            f"`lenet-c train`'s {recipe.epochs} passes, two threads, wall time",
            *aim(AIM_OF_TRAINING, isa, peak, "{:.1f} s".format),
            f"{training:.1f} s",
        ],
    ]


def aims(reports: list[Report], trainings: list[list[str]]) -> str:
    """Write what was aimed at beside what was reached."""
    rows = []
    for report in reports:
        for name, found in report.paths.items():
            key, title = (report.isa, name), f"{name}, {report.isa}"
            if key in AIMS:
                reached = f"{median(found.ratios(PATHS[name])):.0%} of peak"
                rows.append([title, f"{AIMS[key]:.0%} of peak", "", reached])
            elif key in AIMS_IN_SECONDS:
                reached = duration(median(found.seconds))
                wanted = aim(AIMS_IN_SECONDS[key], report.isa, middle_peak(report), duration)
                rows.append([title, *wanted, reached])
    return markdown(["path", "aimed at", "for this peak", "reached"], rows + trainings)


def write_up(
    reports: list[Report], trainings: list[list[str]], rounds: int, load: float, minutes: float
) -> str:
    """Write the whole report."""
    first = reports[0]
    about = [
        f"lenet_c {__version__}, {first.compiler}, {first.system}; threads: {get_threading()}",
        f"{first.processor}, {os.cpu_count()} processors; {load:.1f} other processes wanted one",
        f"{datetime.date.today()}; {minutes:.1f} minutes; images: {DATA}",
    ]
    return "\n\n".join(
        [
            "# How near the limit",
            "\n".join(f"- {line}" for line in about),
            METHOD.format(
                rounds=rounds, squash=SQUASH_SLOTS, bytes=BYTES_A_SLOT, windows=PROFILE_WINDOWS
            ),
            "## What was aimed at",
            AIMED.format(**{isa: f"{peak / 1e9:.0f}" for isa, peak in AIM_PEAKS.items()}),
            aims(reports, trainings),
            *map(section, reports),
        ]
    )


def main() -> None:
    command = parser("limit", __doc__)
    add_output(command, OUTPUT)
    command.add_argument("--rounds", type=int, default=11, help="default: 11")
    command.add_argument("--seconds", type=float, default=0.1, help="a path, in a round")
    add_isa(command)
    options = command.parse_args()
    load, began = os.getloadavg()[0], time.perf_counter()
    reports = [
        run(isa, rounds=options.rounds, seconds=options.seconds, profile=True)
        for isa in options.isa
    ]
    trainings = []
    for report in reports:
        if report.isa == _core.isa()[0]:  # trainings run in this process
            trainings = fits(report.isa, middle_peak(report))
    minutes = (time.perf_counter() - began) / 60
    text = write_up(reports, trainings, options.rounds, load, minutes)
    print(text)
    if options.write:
        options.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
