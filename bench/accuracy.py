"""Error rates on MNIST's test images beside the published ones: python -m bench.accuracy.

Each row is a recipe, trained from some seeds and tested once, after its last pass. Settings were
chosen on the last 10,000 training images. Every result is appended to a file as it comes, and what
is there is not run again: a run can be stopped, and split with --only. --write puts the tables into
docs/accuracy.md. The rows named tutorial-* train as `bench.tutorials` does.
"""

from __future__ import annotations

import itertools
import json
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench import elsewhere, tutorials
from bench.common import ROOT, Data, Images, by_recipe, mnist, need, outcome, parser, put_tables
from lenet_c import LeNet5, _core
from lenet_c.recipes import DISTORTED, RECIPES

DOCUMENT = ROOT / "docs" / "accuracy.md"

Measure = Callable[[Data, int, "int | None"], float]


@dataclass(frozen=True)
class Row:
    """A line of the table; error rates in percent.

    Attributes
    ----------
    what : str
    measure : callable
        From the data, a seed and the number of threads to an error rate in [0, 1].
    target : float
        The error rate to reach.
    published : str
    seeded : bool
        Whether the seed makes a difference.
    """

    what: str
    measure: Measure
    target: float
    published: str = "-"
    seeded: bool = True


def trained(
    name: str,
    train: Images,
    seed: int,
    threads: int | None,
    *,
    distorted: bool = False,
    epochs: int | None = None,
) -> LeNet5:
    """Train as `lenet-c train` does, with or without --distort and --epochs."""
    recipe = (DISTORTED if distorted else RECIPES)[name]
    return by_recipe(recipe, train, epochs=epochs, seed=seed, threads=threads)


def by_command(name: str, distorted: bool = False, epochs: int | None = None) -> Measure:
    def measure(data: Data, seed: int, threads: int | None) -> float:
        network = trained(name, data[0], seed, threads, distorted=distorted, epochs=epochs)
        return network.evaluate(*data[1]).error_rate

    return measure


def by_tutorial(recipe: tutorials.Tutorial) -> Measure:
    def measure(data: Data, seed: int, threads: int | None) -> float:
        return 1 - tutorials.accuracy(recipe, *data, seed, threads)

    return measure


def as_shipped(name: str) -> Measure:
    def measure(data: Data, seed: int, threads: int | None) -> float:
        return LeNet5.pretrained(name).evaluate(*data[1]).error_rate

    return measure


# What tutorials report as accuracies, by network.
PUBLISHED = {"lenet5-modern": "about 1 to 1.5%", "lenet-3x3": "1.64%"}


def _tutorial_rows() -> dict[str, Row]:
    rows = {}
    for recipe in tutorials.TUTORIALS:
        name, target = recipe.architecture.name, 100 - recipe.target
        for suffix, chosen, how in (
            ("", recipe, "Keras's default rate"),
            ("-annealed", tutorials.annealed(recipe), "annealed"),
            ("-decayed", tutorials.decayed(recipe), "annealed, decay"),
        ):
            rows[f"tutorial-{name}{suffix}"] = Row(
                f"{name}, {how}",
                by_tutorial(chosen),
                target,
                PUBLISHED.get(name, "-"),
            )
    return rows


ROWS: dict[str, Row] = {
    "quick": Row("the 1998 network, `lenet-c train`", by_command("lenet5-1998"), 0.95, "0.95%"),
    "plain": Row(
        "the 1998 network, `lenet-c train --epochs 20`",
        by_command("lenet5-1998", epochs=20),
        0.90,
        "0.95%",
    ),
    "distorted": Row(
        "the 1998 network, `lenet-c train --distort`",
        by_command("lenet5-1998", distorted=True),
        0.60,
        "0.8%",
    ),
    "shipped": Row('`pretrained("mnist")`', as_shipped("mnist"), 0.55, seeded=False),
    "modern": Row(
        "the modern network, `lenet-c train --distort`",
        by_command("lenet5-modern", distorted=True),
        0.60,
    ),
    "shipped-modern": Row(
        '`pretrained("mnist-modern")`', as_shipped("mnist-modern"), 0.60, seeded=False
    ),
    **_tutorial_rows(),
}


def table(results: list[dict[str, object]]) -> str:
    """Format what was measured, in the order of the rows."""
    lines = [
        "| what | test error, median (range) | seeds | to reach | published | processor time |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, row in ROWS.items():
        mine = [result for result in results if result["row"] == name]
        if not mine:
            continue
        rates = [100 * float(str(result["error_rate"])) for result in mine]
        seconds = statistics.median(float(str(result["cpu_seconds"])) for result in mine)
        middle, low, high = statistics.median(rates), min(rates), max(rates)
        spread = f" ({low:.2f} to {high:.2f})" if len(rates) > 1 else ""
        reached = outcome(round(middle, 2) <= row.target)
        lines.append(
            f"| {row.what} | {middle:.2f}%{spread} | {len(rates) if row.seeded else '-'} "
            f"| {row.target:.2f}%: {reached} | {row.published} "
            f"| {f'{seconds:.0f} s' if row.seeded else '-'} |"
        )
    return "\n".join(lines) + "\n"


# ---- pictures from elsewhere ----


def elsewhere_table(data: Data, threads: int | None, cheques: Path | None = None) -> str:
    """Compare the shipped weights with a network that saw no distortions; refused is wrong."""
    networks = [
        trained("lenet5-1998", data[0], 0, threads, epochs=20),
        LeNet5.pretrained("mnist"),
        LeNet5.pretrained("mnist-modern"),
    ]
    lines = [
        "| pictures | images | no distortions | mnist | mnist-modern |",
        "| --- | --- | --- | --- | --- |",
    ]

    def add(what: str, n: str, rates: np.ndarray) -> None:
        lines.append(f"| {what} | {n} | {' | '.join(f'{rate:.2%}' for rate in rates)} |")

    families: dict[str, list[np.ndarray]] = {}

    def measure(kind: elsewhere.Kind) -> None:
        wrong = [
            (network.predict(kind.images, num_threads=threads) != kind.labels) | kind.refused
            for network in networks
        ]
        rates = np.mean(wrong, axis=1)
        add(kind.what, f"{len(kind.labels):,}", rates)
        families.setdefault(kind.family, []).append(rates)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that images look unlike MNIST: they do
        for kind in itertools.chain(elsewhere.moved(data[1]), elsewhere.corrupted(data[1])):
            measure(kind)
        seen, unseen = families["trained on"], families["never trained on"]
        add(f"MNIST-C: mean of all {len(seen + unseen)}", "", np.mean(seen + unseen, axis=0))
        add(f"MNIST-C: mean of the {len(unseen)} never trained on", "", np.mean(unseen, axis=0))
        for kind in elsewhere.drawn(data[1]):
            measure(kind)
        for kind in elsewhere.cheques(cheques) if cheques else ():
            measure(kind)
    return "\n".join(lines) + "\n"


# ---- the command ----


def main(argv: list[str] | None = None) -> None:
    command = parser("accuracy", __doc__)
    option = command.add_argument
    option("--only", choices=[*ROWS, "elsewhere"], nargs="*", help="default: everything")
    option("--seeds", type=int, default=5, metavar="N", help="default: 5")
    option("--results", type=Path, default=Path("build/accuracy.jsonl"), metavar="FILE")
    option("--threads", type=int, metavar="N")
    option("--cheques", type=Path, metavar="FOLDER", help="with cheques' pictures and boxes.json")
    option("--write", action="store_true", help="put the tables into docs/accuracy.md")
    arguments = command.parse_args(argv)
    wanted = [*ROWS, "elsewhere"] if arguments.only is None else arguments.only
    if "elsewhere" in wanted:
        need("matplotlib", "PIL", "scipy", "sklearn")
    data = mnist()
    results = []
    if arguments.results.exists():
        results = [json.loads(line) for line in arguments.results.read_text().splitlines()]
    arguments.results.parent.mkdir(parents=True, exist_ok=True)
    done = {(result["row"], result["seed"]) for result in results}
    for name in ROWS:
        for seed in range(arguments.seeds if ROWS[name].seeded else 1):
            if name not in wanted or (name, seed) in done:
                continue
            began = time.process_time()
            rate = ROWS[name].measure(data, seed, arguments.threads)
            seconds = time.process_time() - began
            result = {
                "row": name,
                "seed": seed,
                "error_rate": rate,
                "cpu_seconds": round(seconds, 1),
            }
            results.append(result | {"isa": _core.isa()[0]})
            with arguments.results.open("a") as file:
                file.write(json.dumps(results[-1]) + "\n")
            print(f"{name}, seed {seed}: {rate:.2%}, {seconds:.0f} s of processor", flush=True)
    tables = {"accuracy": table(results)}
    if "elsewhere" in wanted:
        tables["elsewhere"] = elsewhere_table(data, arguments.threads, arguments.cheques)
    print("\n".join(tables.values()))
    if arguments.write:
        put_tables(DOCUMENT, tables)


if __name__ == "__main__":
    main()
