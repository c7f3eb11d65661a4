"""Reading fields, training for it and testing: strings of characters in `lenet-c`."""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from typing import Any

import numpy as np

from lenet_c import checks, datasets
from lenet_c.classes import DIGITS, shortened
from lenet_c.commands import committees
from lenet_c.commands.data import digit_dataset, is_pictures, told_refused
from lenet_c.commands.errors import fail, one_line
from lenet_c.commands.files import check_model_name, check_output, network_of
from lenet_c.cpu import cpu_info, get_num_threads
from lenet_c.folders import FORMS, TABLE, has_fields
from lenet_c.lines import LineEvaluation, LineReader
from lenet_c.model import LeNet5
from lenet_c.networks import LENET5_STRINGS
from lenet_c.optimizers import Adam, OneCycle
from lenet_c.progress import steps_shown
from lenet_c.recipes import strings as recipe
from lenet_c.recipes.recipe import round_weights

BATCH = 64
STEPS = 2000
NOT_FOR_STRINGS = (
    *("architecture", "hold_out", "codes", "resume", "activation", "loss", "j", "temperature"),
    *("optimizer", "momentum", "weight_decay", "schedule", "plot", "animate"),
    *committees.OPTIONS,
)
ONLY_FOR_FIELDS = ("start", "validation", "freeze", "epochs", "batch_size", "rate", "distort")


# ---- read ----


def read(arguments: argparse.Namespace) -> int:
    """Read pictures of fields, each by itself: one that fails does not stop the others."""
    reader = reader_of(arguments.model)
    lexicon = None if arguments.lexicon is None else _words(arguments.lexicon)
    given = arguments.pattern, lexicon, arguments.length
    automaton = None
    if any(one is not None for one in given):
        automaton = reader.automaton(pattern=given[0], lexicon=given[1], length=given[2])
    reader.read_strips([], reject=arguments.reject)  # raises if that is none for strings
    table = None
    if arguments.csv:
        table = csv.writer(sys.stdout, lineterminator="\n")
        table.writerow(["file", "text", "probability", "doubtful", "error"])
    answers: list[dict[str, Any]] = []
    code = 0
    for path in arguments.fields:
        error = ""
        try:
            answer = reader.read(
                path, automaton=automaton, views=arguments.views, reject=arguments.reject
            )
        except (MemoryError, OSError, ValueError) as problem:
            # the other pictures are read all the same
            error, code = _named(path, one_line(problem)), 2
        if arguments.json:
            answers.append({"file": path, **({"error": error} if error else answer.to_dict())})
        elif table is not None:
            row = ["", "", "", error]
            if not error:
                doubtful = "yes" if answer.rejected else "no"
                row = [answer.text, f"{answer.probability:.4f}", doubtful, answer.reason or ""]
            table.writerow([path, *row])
        elif error:
            fail(f"error: {error}", code)
        else:
            mark = "\tdoubtful" if answer.rejected else ""
            if answer.reason:
                mark += f"\t{checks.escaped(answer.reason)}"
            text = checks.escaped(answer.text)
            print(f"{checks.escaped(path)}\t{text}\t{answer.probability:.4f}{mark}")
    if arguments.json:
        print(json.dumps(answers, indent=2, allow_nan=False))
    return code


def reader_of(model: str) -> LineReader:
    """Give the reader of a file, or one that comes with the library."""
    network = network_of(model)
    try:
        return LineReader(network)
    except ValueError as error:
        raise ValueError(f"{model}: {str(error).removeprefix('network: ')}") from None


def _named(path: str, reason: str) -> str:
    """Say which picture it was, where the reason does not."""
    told = reason.removeprefix("picture: ")
    return reason if told == reason else f"{path}: {told}"


def _words(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8-sig") as file:
            words = [line.rstrip("\r\n") for line in file]
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: is not text (UTF-8): {error}") from None
    words = [word for word in words if word]
    if not words:
        raise ValueError(f"{path}: has no text, want one a line")
    return words


# ---- train ----


def train_digits(arguments: argparse.Namespace) -> None:
    """Train a reader of digit strings as the library's was, test it and save it."""
    refuse(arguments, "--strings", (*NOT_FOR_STRINGS, *ONLY_FOR_FIELDS))
    _check_output(arguments)
    name, digits, test = digit_dataset(arguments)
    learnt, held_out = recipe.split(*digits)
    steps = arguments.steps or recipe.STEPS
    batch = sum(recipe.SHARES.values())
    print(
        f"training {LENET5_STRINGS.name} on strips of the digits of {name}: {steps:,} "
        f"updates of {batch} strips; seed {arguments.seed}; threads {get_num_threads()}"
    )
    began = time.perf_counter()
    with steps_shown(not arguments.quiet, steps, batch) as progress:
        reader = recipe.train(
            *learnt,
            steps=steps,
            seed=arguments.seed,
            on_step=None if progress is None else lambda k, loss, _: progress.step(k, loss),
        )
    seconds = time.perf_counter() - began
    _calibrate(lambda: recipe.calibrate(reader, *held_out, seed=arguments.seed))
    round_weights(reader.network)
    reader.network.class_names = DIGITS
    reader.network.notes = {
        "command": f"lenet-c train --strings --steps {steps} --seed {arguments.seed}",
        "dataset": name,
        "isa": cpu_info()["isa"],
    }
    reader.save(arguments.output)
    report_digits(reader, test)
    print(f"training took {seconds:.1f} s")
    print(f"saved {arguments.output}")


def train_fields(network: LeNet5, arguments: argparse.Namespace) -> None:
    """Go on with a reader on fields of one's own, test it and save it."""
    what = f"--from {arguments.start}, which reads strings"
    refuse(arguments, what, NOT_FOR_STRINGS)
    _check_output(arguments)
    if arguments.data is None:
        raise ValueError(
            f"--data: want fields of your own, {TABLE} with the columns file and text; --strings "
            "trains on strips of digits from the start"
        )
    reader = LineReader(network)
    fields = _fields(arguments.data)
    names = reader.class_names
    new = tuple(name for name in fields.class_names if name not in names)
    words = shortened(names, 12) + (f"; new {shortened(new, 12)}" if new else "")
    print(f"from {arguments.start}: goes on with {words}")
    if new:
        reader = reader.with_classes((*names, *new), seed=arguments.seed)
    validation = None
    share = 0.2 if arguments.validation is None else arguments.validation
    if isinstance(share, str):
        validation = _fields(share, reader.class_names)
    elif share:
        fields, validation = fields.split(share, seed=arguments.seed)
    synthetic = None
    if arguments.dataset is not None:
        synthetic = _strips(reader, arguments)
    batch = arguments.batch_size or BATCH
    steps = arguments.steps or STEPS
    if arguments.epochs is not None:
        steps = arguments.epochs * -(-len(fields) // batch)
    rate = 1e-3 if arguments.rate is None else arguments.rate
    print(
        f"training {reader.network.architecture.name} ({reader.network.n_parameters:,} parameters) "
        f"on {arguments.data}: {len(fields):,} fields, {steps:,} updates of {batch} strips; "
        f"rate {rate:g}; seed {arguments.seed}; threads {get_num_threads()}"
    )
    if validation is not None and not new:
        print(f"before: {told(reader.evaluate(validation), 'validation')}")
    began = time.perf_counter()
    settings: dict[str, Any] = {}
    if isinstance(arguments.distort, str):
        settings["distort"] = arguments.distort
    elif arguments.distort is False:
        settings["distort"] = None
    try:
        reader.fit(
            fields,
            steps=steps,
            validation_data=validation,
            synthetic=synthetic,
            batch_size=batch,
            optimizer=Adam(rate, schedule=OneCycle()),
            seed=arguments.seed,
            freeze=() if arguments.freeze is None else arguments.freeze.split(","),
            verbose=not arguments.quiet,
            **settings,
        )
    except FloatingPointError as error:
        reason = str(error).partition(";")[0]
        raise FloatingPointError(f"{reason}; nothing is saved, try a lower --rate") from None
    seconds = time.perf_counter() - began
    if validation is not None:
        _calibrate(lambda: reader.calibrate(validation))
    reader.network.class_names = reader.class_names
    reader.save(arguments.output)
    if validation is not None:
        print(told(reader.evaluate(validation), "validation"))
    print(f"training took {seconds:.1f} s")
    print(f"saved {arguments.output}")


def _check_output(arguments: argparse.Namespace) -> None:
    check_model_name(arguments.output)
    check_output(arguments.output)
    if arguments.steps is not None and arguments.epochs is not None:
        raise ValueError("--steps and --epochs: got both, want one of them")


def refuse(arguments: argparse.Namespace, what: str, options: tuple[str, ...]) -> None:
    """Raise ValueError if one of some options is given that do not go with what is trained."""
    for name in options:
        if getattr(arguments, name) is not None:
            option = "from" if name == "start" else name.replace("_", "-")
            raise ValueError(f"--{option} is not for {what}")
    if arguments.form != FORMS[0]:
        raise ValueError(f"--form is not for {what}")


def _calibrate(calibrate: Any) -> None:
    try:
        calibrate()
    except ValueError as error:  # few fields, or it learnt nothing
        print(f"not calibrated: {one_line(error)}")


def _strips(reader: LineReader, arguments: argparse.Namespace) -> datasets.Strings:
    """Give strips of the dataset's digits, labelled by the reader's classes."""
    names = reader.class_names
    if not set(DIGITS) <= set(names):
        raise ValueError(f"--dataset: has digits, the reader has {shortened(names)}")
    without_data = argparse.Namespace(**{**vars(arguments), "data": None})
    _, (images, labels), _ = digit_dataset(without_data)
    own = [names.index(digit) for digit in DIGITS]
    return datasets.strings(
        images,
        [own[label] for label in labels],
        digits=own == list(range(10)),
        seed=arguments.seed,
    )


# ---- evaluate ----


def evaluate(network: LeNet5, arguments: argparse.Namespace) -> bool:
    """Test a reader of strings; False if the data are characters of one's own, one a picture."""
    if arguments.plot is not None:
        raise ValueError(f"--plot is not for {arguments.model}, which reads strings")
    reader = LineReader(network)
    if not is_pictures(arguments):
        name, _, test = digit_dataset(arguments)
        if not set(DIGITS) <= set(reader.class_names):
            names = shortened(reader.class_names)
            raise ValueError(f"{arguments.model}: reads {names}, {name} has digits")
        print(f"reading strips of the test digits of {name} with {network.architecture.name}")
        report_digits(reader, test)
        return True
    if not has_fields(arguments.data):
        return False
    found = _fields(arguments.data, reader.class_names)
    print(f"reading the fields of {arguments.data} with {network.architecture.name}")
    print(told(reader.evaluate(found), "test"))
    return True


def report_digits(reader: LineReader, test: tuple[Any, Any]) -> None:
    """Print how many strips of test digits are read right."""
    for what, result in recipe.evaluate(reader, *test).items():
        right = result.n - result.wrong
        print(
            f"strings of five test digits, {what}: {right / result.n:.2%} right "
            f"({right:,} of {result.n:,})"
        )
    images, labels = test
    own = np.array([reader.class_names.index(digit) for digit in DIGITS])
    errors = reader.network.evaluate(images, own[labels]).error_rate
    print(f"single test digits: error {errors:.2%}")


def told(result: LineEvaluation, what: str) -> str:
    """Say how well fields were read."""
    line = (
        f"{what} error {result.error_rate:.2%} ({result.wrong:,} of {result.n:,} texts), of "
        f"characters {result.character_error_rate:.2%}"
    )
    if result.rejected:
        line += (
            f"; doubtful {result.rejected / result.n:.2%}; of the other answers "
            f"{result.accepted_wrong:,} are wrong"
        )
    return line


def _fields(place: str, names: tuple[str, ...] | None = None) -> datasets.Fields:
    found = datasets.folder(place, class_names=names)
    if not isinstance(found, datasets.Fields):
        raise ValueError(
            f"{place}: has single characters, want fields: {TABLE} with the columns file and text"
        )
    told_refused(place, found)
    return found
