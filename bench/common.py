"""What the commands share: parsers, tables, MNIST, and a line where something is missing."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lenet_c import LeNet5, _core, datasets
from lenet_c.recipes import Recipe

ROOT = Path(__file__).resolve().parent.parent
HELD_OUT = 10_000  # the last of MNIST's training images, on which settings are chosen

Images = tuple[np.ndarray, np.ndarray]  # with their labels
Data = tuple[Images, Images]


def parser(name: str, text: str | None) -> argparse.ArgumentParser:
    """Make the parser of python -m bench.NAME, whose help shows the module's text as it is."""
    return argparse.ArgumentParser(
        prog=f"python -m bench.{name}",
        description=text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_isa(command: argparse.ArgumentParser, default: int | None = None) -> None:
    """Add --isa: some of this processor's instruction sets, by default all, or so many."""
    isas = _core.available_isas()
    chosen = isas[:default]
    command.add_argument(
        "--isa",
        nargs="+",
        choices=isas,
        default=chosen,
        metavar="ISA",
        help=f"of {', '.join(isas)}; default: {', '.join(chosen)}",
    )


def with_isa(isa: str, name: str, *arguments: str, **environment: str) -> Any:
    """Run python -m bench.NAME in a process of its own, with an instruction set of this processor.

    What it prints is JSON: give what that says.
    """
    answer = subprocess.run(
        [sys.executable, "-m", f"bench.{name}", *arguments],
        cwd=ROOT,
        env={**os.environ, "LENET_C_ISA": isa, **environment},
        stdout=subprocess.PIPE,
        text=True,
    )
    if answer.returncode:
        raise SystemExit(f"error: cannot measure {isa}; what is wrong is said above")
    return json.loads(answer.stdout)


def add_output(command: argparse.ArgumentParser, output: Path) -> None:
    """Add --write and --output, for a command that prints a report."""
    command.add_argument("--write", action="store_true", help=f"write {output.name} as well")
    command.add_argument("--output", type=Path, default=output, help="default: %(default)s")


def outcome(reached: bool) -> str:
    """Say what came of an aim."""
    return "reached" if reached else "missed"


def duration(seconds: float) -> str:
    """Write a time with three digits and its unit."""
    for scale, unit in ((1.0, "s"), (1e3, "ms"), (1e6, "us")):
        if seconds * scale >= 1.0 or unit == "us":
            break
    value = seconds * scale
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{digits}f} {unit}"


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay out a table, the first column to the left and the others to the right."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (header, rule, *rows))


def need(*modules: str) -> None:
    """End with a line unless all of these are installed: before the work, not after it."""
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise SystemExit(f'error: needs {", ".join(missing)}: pip install -e ".[dev]"')


def mnist(folder: str | None = None) -> Data:
    """Give MNIST's training and test sets, or end with a line that says why not."""
    try:
        return datasets.mnist(folder)
    except (OSError, ValueError) as error:
        raise SystemExit(f"error: {error}") from None


def load(model: str | Path) -> LeNet5:
    """Give a saved network, or end with a line that says why not."""
    try:
        return LeNet5.load(model)
    except (OSError, ValueError) as error:
        raise SystemExit(f"error: {error}") from None


def hold_out(train: Images) -> Data:
    """Split the training set: what to train on, and the last 10,000 to choose settings on."""
    images, labels = train
    return (images[:-HELD_OUT], labels[:-HELD_OUT]), (images[-HELD_OUT:], labels[-HELD_OUT:])


def by_recipe(
    recipe: Recipe,
    train: Images,
    *,
    epochs: int | None = None,
    seed: int = 0,
    threads: int | None = None,
) -> LeNet5:
    """Train a new network as `lenet-c train` does by this recipe."""
    network = LeNet5(recipe.architecture, seed=seed)
    trainer = recipe.trainer(network, seed=seed, num_threads=threads)
    trainer.fit(*train, epochs or recipe.epochs)
    return network


def put_tables(page: Path, tables: dict[str, str]) -> None:
    """Put tables into a page, each between its two comments; raise where there are none."""
    text = page.read_text(encoding="utf-8")
    for name, content in tables.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        before, found, rest = text.partition(begin)
        _, also, after = rest.partition(end)
        if not (found and also):
            raise ValueError(f"{page}: no place for the table {name!r}")
        text = before + begin + content.rstrip("\n") + "\n" + end + after
    page.write_text(text, encoding="utf-8")
