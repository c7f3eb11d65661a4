"""The command `lenet-c`: train, evaluate, predict, summary, info.

Results go to standard output; the progress bar and errors, one line each, to standard error.
Exit codes: 0; 2 for an error; 130 for Ctrl-C; 141 when nobody reads the output any more.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
import math
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from typing import Any, NoReturn, TextIO

import numpy as np
from numpy.typing import NDArray

import lenet_c
from lenet_c import _core, calibration, checks, codes, datasets, distort, files, plot, preprocess
from lenet_c.architectures import (
    ACTIVATIONS,
    LENET5_28,
    LENET5_1998,
    LENET5_MODERN,
    LENET_3X3,
    Architecture,
)
from lenet_c.cpu import cpu_info, get_num_threads, set_num_threads
from lenet_c.model import DEFAULT_J, LeNet5, loss_for
from lenet_c.optimizers import SCHEDULES, SDLM, SGD, Adam, Optimizer
from lenet_c.rejection import Rejection, best_two
from lenet_c.trainer import Trainer

Split = tuple[NDArray[np.uint8], NDArray[np.uint8]]

ARCHITECTURES: dict[str, Architecture] = {
    architecture.name: architecture
    for architecture in (LENET5_1998, LENET5_MODERN, LENET5_28, LENET_3X3)
}


MODEL = "file that train saved; or mnist or mnist-modern, which come with the library"


@dataclass(frozen=True)
class Recipe:
    """What `lenet-c train` does unless told otherwise.

    Attributes
    ----------
    loss : str
    j : float
        The constant of the loss "map".
    optimizers : dict
        By the name that --optimizer takes, with the settings of each; the first is the default.
    batch_size : int
        Of sdlm it is 1.
    epochs : int
        On MNIST.
    digits_epochs : int
        On the digits, a fortieth of MNIST.
    """

    loss: str
    j: float
    optimizers: dict[str, Optimizer]
    batch_size: int
    epochs: int
    digits_epochs: int


# sgd's rates were chosen on a fifth of the digits' training images, held out, and looked at on
# MNIST's last 10,000 training images.
_LINEAR = Recipe(
    loss="cross_entropy",
    j=DEFAULT_J,
    optimizers={
        "adam": Adam(3e-3, schedule="one_cycle"),
        "sgd": SGD(0.15, schedule="one_cycle", momentum=0.9),
        "sdlm": SDLM(),
    },
    batch_size=64,
    epochs=12,
    digits_epochs=60,
)

RECIPES: dict[str, Recipe] = {
    LENET5_1998.name: Recipe(
        loss="map",
        j=DEFAULT_J,
        optimizers={
            "adam": Adam(8e-3, schedule="one_cycle", weight_decay=0.05),
            "sgd": SGD(0.005, schedule="one_cycle", momentum=0.9),
            "sdlm": SDLM(mu=0.5),  # docs/reproduction.md
        },
        batch_size=64,
        epochs=10,
        digits_epochs=60,
    ),
    LENET5_MODERN.name: _LINEAR,
    LENET5_28.name: _LINEAR,
    LENET_3X3.name: _LINEAR,
}
"""The default settings of `lenet-c train`, by architecture."""

DISTORTED: dict[str, Recipe] = RECIPES | {
    LENET5_1998.name: dataclasses.replace(
        RECIPES[LENET5_1998.name],
        optimizers={
            **RECIPES[LENET5_1998.name].optimizers,
            "adam": Adam(6e-3, schedule="one_cycle", weight_decay=0.03),
        },
        batch_size=128,
        epochs=100,
        digits_epochs=120,
    ),
    LENET5_MODERN.name: dataclasses.replace(
        _LINEAR,
        optimizers={
            **_LINEAR.optimizers,
            "adam": Adam(3e-3, schedule="one_cycle", weight_decay=0.05),
        },
        epochs=40,
    ),
}
"""Those of `lenet-c train --distort`: distorted images bear, and want, more passes."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; by default those of the process.

    Returns
    -------
    int
        The exit code.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Lines appear as they happen, and odd file names can be printed, also into a pipe.
        sys.stdout.reconfigure(errors="backslashreplace", line_buffering=True)
    try:
        try:
            arguments = _parser().parse_args(argv)
            if arguments.threads is not None:
                set_num_threads(arguments.threads)
            return arguments.run(arguments) or 0
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except KeyboardInterrupt:
        return fail("interrupted", 130)
    except BrokenPipeError:
        _drop(sys.stdout)
        return 141
    except (ArithmeticError, ImportError, MemoryError, OSError, RuntimeError, ValueError) as error:
        return fail(f"error: {_one_line(error)}", 2)


# ---- commands ----


def _train(arguments: argparse.Namespace) -> None:
    architecture = ARCHITECTURES[arguments.architecture]
    recipe = (DISTORTED if arguments.distort else RECIPES)[architecture.name]
    if arguments.activation is not None:
        architecture = architecture.with_activation(arguments.activation)
    # Every setting is checked before data are read, perhaps downloaded, and time is spent.
    _check_output(arguments.output)
    _check_plots(arguments.plot)
    network = LeNet5(architecture, seed=arguments.seed)
    optimizer = _optimizer(recipe, arguments)
    loss = arguments.loss or recipe.loss
    if arguments.j is not None and loss != "map":
        raise ValueError(f"--j is for --loss map, not {loss}")
    trainer = Trainer(
        network,
        optimizer,
        loss,
        j=recipe.j if arguments.j is None else arguments.j,
        batch_size=arguments.batch_size
        or (optimizer.batch_size if isinstance(optimizer, SDLM) else recipe.batch_size),
        distort=distort.AFFINE if arguments.distort else None,
        seed=arguments.seed,
    )
    name, (images, labels), test = _dataset(arguments)
    validation = None
    if arguments.hold_out is not None:
        left = len(images) - arguments.hold_out
        if left < 1:
            raise ValueError(f"--hold-out: got {arguments.hold_out}, want less than {len(images)}")
        validation = images[left:], labels[left:]
        images, labels = images[:left], labels[:left]
    epochs = arguments.epochs or (recipe.epochs if name == "mnist" else recipe.digits_epochs)
    print(
        f"training {architecture.name} ({network.n_parameters:,} parameters) on {name}: "
        f"{len(images):,} images, {epochs} epochs\n"
        f"{_settings(trainer)}; seed {arguments.seed}; threads {get_num_threads()}"
    )
    began = time.perf_counter()
    with _Progress(epochs, len(images)) if not arguments.quiet else nullcontext() as progress:
        if progress is not None:
            trainer.callbacks.append(progress)
        try:
            watched = test if arguments.plot is not None and validation is None else validation
            trainer.fit(images, labels, epochs, watched, calibrate=validation is not None)
        except FloatingPointError as error:
            reason = str(error).partition(";")[0]
            raise FloatingPointError(f"{reason}; nothing is saved, try a lower --rate") from None
    seconds = time.perf_counter() - began
    network.save(arguments.output)
    _report(network, test, trainer.loss, trainer.j)
    print(f"training took {seconds:.1f} s")
    print(f"saved {arguments.output}")
    if arguments.plot is not None:
        curves = plot.learning_curves(
            trainer.history, validation="test" if validation is None else "validation"
        )
        _save_plots(arguments.plot, {"learning_curves": curves, **_plots(network, test)})


def _network(model: str) -> LeNet5:
    """Load a file, or where there is none the weights of that name that come with the library."""
    if not os.path.isfile(model):
        with suppress(ValueError):  # another name: load says what is wrong with it
            return LeNet5.pretrained(model)
    return LeNet5.load(model)


def _evaluate(arguments: argparse.Namespace) -> None:
    _check_plots(arguments.plot)
    network = _network(arguments.model)
    name, _, test = _dataset(arguments)
    classes = network.architecture.classes
    if test[1].max() >= classes:
        raise ValueError(
            f"{arguments.model}: reads {classes} classes, {name} has labels 0 to {test[1].max()}"
        )
    print(f"reading the test images of {name} with {network.architecture.name}")
    _report(network, test, *loss_for(network, None, DEFAULT_J))
    if arguments.plot is not None:
        _save_plots(arguments.plot, _plots(network, test))


def _predict(arguments: argparse.Namespace) -> int:
    network = _network(arguments.model)
    code = 0
    answers: list[dict[str, Any]] = []
    for path in arguments.images:
        try:
            image = _character(path)
        except (MemoryError, OSError, ValueError) as error:
            # the other pictures are read all the same
            code = 2
            if arguments.json:
                answers.append({"file": path, "error": _one_line(error)})
            else:
                fail(f"error: {_one_line(error)}", code)
            continue
        answer = network.read(image, reject=arguments.reject)[0]
        doubtful = answer.pop("rejected")
        answers.append({"file": path, **answer, "doubtful": doubtful})
        if not arguments.json:
            mark = "\tdoubtful" if doubtful else ""
            print(f"{path}\t{answer['label']}\t{answer['probability']:.4f}{mark}")
    if arguments.json:
        print(json.dumps(answers, indent=2, allow_nan=False))
    return code


def _character(path: str) -> NDArray[np.uint8]:
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Image size .*")  # Pillow's; character refuses more
            return preprocess.character(path)
    except ValueError as error:
        text = str(error)
        raise ValueError(
            f"{path}: {text.removeprefix('image: ')}" if text.startswith("image: ") else text
        ) from None


def _summary(arguments: argparse.Namespace) -> None:
    if arguments.model is not None:
        network = _network(arguments.model)
    else:
        network = LeNet5(ARCHITECTURES[arguments.architecture or LENET5_1998.name])
    print(network.summary())


def _info(arguments: argparse.Namespace) -> None:
    cpu: dict[str, Any] = cpu_info()
    rows = {
        "lenet_c": lenet_c.__version__,
        "processor": cpu["processor"],
        "instruction set": f"{cpu['isa']} ({cpu['lanes']} images at once)",
        "available": ", ".join(cpu["available"]),
        "threads": cpu["threads"],
        "threading": f"{cpu['threading']} (of {', '.join(cpu['available_threading'])})",
        "compiler": cpu["compiler"],
        "numpy": np.__version__,
    }
    for key, value in rows.items():
        print(f"{key:<15}  {value}")


# ---- what the commands share ----


def _dataset(arguments: argparse.Namespace) -> tuple[str, Split, Split]:
    """Give the dataset's name, its training set and its test set."""
    wanted, folder = arguments.dataset, arguments.data
    if wanted == "digits":
        if folder is not None:
            raise ValueError("--data is for --dataset mnist: the digits come with scikit-learn")
        return "digits", *datasets.digits()
    try:
        return "mnist", *_mnist(folder)
    except OSError as error:
        if wanted == "mnist" or _is_told(folder):
            raise
        print(f"MNIST cannot be had, using digits instead ({_one_line(error)})")
    return "digits", *datasets.digits()


def _is_told(folder: str | None) -> bool:
    """Whether somebody said where MNIST is: then it is there, or that was a mistake."""
    return folder is not None or bool(os.environ.get("LENET_C_DATA"))


def _mnist(folder: str | None) -> tuple[Split, Split]:
    try:
        return datasets.mnist(folder, download=False)
    except FileNotFoundError as error:
        if _is_told(folder):
            raise
        missing = str(error).partition(";")[0]
    print(f"{missing}: downloading it (11 MB) to {datasets.cache_folder()}")
    return datasets.mnist()


def _optimizer(recipe: Recipe, arguments: argparse.Namespace) -> Optimizer:
    kind = arguments.optimizer or next(iter(recipe.optimizers))
    optimizer = recipe.optimizers[kind]
    given = {
        "lr": arguments.rate,
        "momentum": arguments.momentum,
        "weight_decay": arguments.weight_decay,
        "schedule": arguments.schedule,
    }
    if arguments.momentum is not None and not isinstance(optimizer, SGD):
        raise ValueError(f"--momentum is for --optimizer sgd, not {kind}")
    return dataclasses.replace(optimizer, **{k: v for k, v in given.items() if v is not None})


def _settings(trainer: Trainer) -> str:
    optimizer = trainer.optimizer
    words = [f"loss {trainer.loss}"]
    if trainer.loss == "map":
        words.append(f"j {trainer.j:g}")
    words += [optimizer.kind, f"rate {optimizer.lr:g} {optimizer.schedule}"]
    if isinstance(optimizer, SGD):
        words.append(f"momentum {optimizer.momentum:g}")
    if isinstance(optimizer, SDLM):
        words.append(f"mu {optimizer.mu:g}")
    if optimizer.weight_decay:
        words.append(f"weight decay {optimizer.weight_decay:g}")
    words.append(f"batch {trainer.batch_size}")
    if trainer.distort is not None:
        words.append("distorted")
    return "; ".join(words)


def _check_output(path: str) -> None:
    """Raise unless a file can be written at `path`."""
    target = files.target_of(path)
    folder = os.path.dirname(target)
    if os.path.isdir(folder):
        with suppress(FileNotFoundError):
            os.lstat(target)  # fails if the name is too long
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(error.errno, f"cannot write here ({error.strerror})", folder) from None


def _check_plots(folder: str | None) -> None:
    """Raise unless pictures can be drawn, and written to `folder`, which is made."""
    if folder is None:
        return
    plot.new_figure(1, 1)
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise OSError(error.errno, f"cannot write here ({error.strerror})", folder) from None
    _check_output(os.path.join(folder, "plot.png"))


def _plots(network: LeNet5, test: Split) -> dict[str, Any]:
    """Draw a network and what it makes of the test images; by the names of the files."""
    images, labels = test
    answers, _, margin = best_two(network.forward(images), network.codes is not None)
    unsure = margin.argsort(kind="stable")[:60]
    rejection = plot.rejection_curve(network.rejection_curve(images, labels, "margin"))
    plot.rejection_curve(network.rejection_curve(images, labels, "penalty"), rejection)
    drawn = {
        "confusion_matrix": plot.confusion_matrix(network.evaluate(images, labels)),
        "misclassified": plot.misclassified(images, labels, answers),
        "least_sure": plot.predictions(images[unsure], labels[unsure], answers[unsure]),
        "rejection": rejection,
        "feature_maps": plot.feature_maps(network, images[0]),
    }
    for layer in network.architecture.layers:
        # a deep layer has a thousand kernels and more: too small to be seen
        if layer.kind == "conv" and network[f"{layer.name}.weight"].size <= 10_000:
            drawn[f"filters_{layer.name}"] = plot.filters(network, layer.name)
    if network.architecture.code_length == codes.DIGITS.shape[1]:
        drawn["codes"] = plot.codes(network)
    return drawn


def _save_plots(folder: str, drawn: dict[str, Any]) -> None:
    for name, picture in drawn.items():
        plot.save(picture, os.path.join(folder, f"{name}.png"))
    print(f"plotted {', '.join(f'{name}.png' for name in drawn)} in {folder}")


def _report(network: LeNet5, test: Split, loss: str, j: float) -> None:
    result = network.evaluate(*test, loss, j=j)
    confusion = result.confusion
    images = int(confusion.sum())
    errors = images - int(np.trace(confusion))
    classes = list(network.class_names or map(str, range(len(confusion))))
    width = max(5, len(str(confusion.max())) + 1, *(len(name) + 1 for name in classes))
    print(f"test error {result.error_rate:.2%} ({errors:,} of {images:,}), loss {loss} ", end="")
    print(f"{result.loss:.4f}")
    outputs, is_rbf = network.forward(test[0]), network.codes is not None
    log_loss = calibration.log_loss(outputs, is_rbf, test[1].astype(np.int64), network.temperature)
    print(f"log loss of the probabilities {log_loss:.4f}, temperature {network.temperature:.3g}")
    if network.rejection is not None:
        left = network.predict(test[0], reject=network.rejection) >= 0
        wrong = int((best_two(outputs, is_rbf)[0] != test[1])[left].sum())
        print(f"doubtful {1 - left.mean():.2%}; of the other answers {wrong:,} are wrong")
    print("confusion (row: right class, column: class read)")
    print(" " * width + "".join(name.rjust(width) for name in classes))
    for name, row in zip(classes, confusion, strict=True):
        print(name.rjust(width) + "".join(str(count).rjust(width) for count in row))


class _Progress:
    """A trainer's callback: a line an epoch, and on a terminal a bar below the lines."""

    def __init__(self, epochs: int, images: int) -> None:
        self.epochs = epochs
        self.bar = _bar(f"epoch 1/{epochs}", epochs * images)
        self.epoch, self.images, self.loss, self.errors = 1, 0, 0.0, 0

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *exception: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def on_batch_end(self, trainer: Trainer, batch: dict[str, Any]) -> None:
        if self.bar is None:
            return
        self.images += batch["images"]
        self.loss += batch["loss"] * batch["images"]
        self.errors += batch["errors"]
        self.bar.set_description(f"epoch {self.epoch}/{self.epochs}", refresh=False)
        self.bar.set_postfix_str(
            f"loss {self.loss / self.images:.4f}, error {self.errors / self.images:.2%}",
            refresh=False,
        )
        self.bar.update(batch["images"])

    def on_epoch_end(self, trainer: Trainer, record: dict[str, float]) -> None:
        line = (
            f"epoch {record['epoch']:{len(str(self.epochs))}}/{self.epochs}  "
            f"loss {record['loss']:.4f}  error {record['error_rate']:7.2%}  "
            f"{record['images_per_second']:,.0f} images/s"
        )
        if self.bar is None:
            print(line)
        else:
            self.bar.write(line, file=sys.stdout)
        self.epoch, self.images, self.loss, self.errors = self.epoch + 1, 0, 0.0, 0


def _bar(description: str, total: int) -> Any:
    if sys.stderr is None or not sys.stderr.isatty():
        return None
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    return tqdm(
        desc=description,
        total=total,
        unit=" images",
        unit_scale=True,
        leave=False,
        dynamic_ncols=True,
        bar_format="{desc}|{bar}| {elapsed}<{remaining}, {rate_fmt}{postfix}",
    )


# ---- errors ----


def fail(message: str, code: int) -> int:
    """Print what went wrong, after what was printed so far, and give the exit code."""
    _drop(sys.stdout)
    if sys.stderr is not None:
        with suppress(OSError):  # nobody reads that either
            print(f"lenet-c: {message}", file=sys.stderr)
        _drop(sys.stderr)
    return code


def _drop(output: TextIO | None) -> None:
    """Print what is left, or if that fails nothing, so that Python's exit does not try again."""
    if output is None:
        return
    try:
        output.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), output.fileno())


def _one_line(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        where = f"{os.fsdecode(error.filename)}: " if error.filename is not None else ""
        return " ".join(f"{where}{error.strerror}".splitlines())
    lines = [line.strip() for line in str(error).splitlines()]
    text = "; ".join(line for line in lines if line).replace(":; ", ": ")
    if isinstance(error, MemoryError):
        return f"out of memory ({text})" if text else "out of memory"
    return text or type(error).__name__


# ---- arguments ----


class _Parser(argparse.ArgumentParser):
    """Reports an error in one line, without the usage."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"lenet-c: error: {' '.join(message.split())} (see {self.prog} --help)\n")


def _whole(least: int, most: int | None = None) -> Callable[[str], int]:
    limit = f"of at least {least}" if most is None else f"from {least} to {most}"

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least or (most is not None and value > most):
            raise argparse.ArgumentTypeError(f"got {text!r}, want a whole number {limit}")
        return value

    return parse


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.0 <= checks.rounded(text, value) < math.inf:
        raise argparse.ArgumentTypeError(
            f"got {text!r}, want a number of at least 0, finite in float32"
        )
    return value


def _path(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("got '', want a path")
    return text


def _rejection(text: str) -> Rejection:
    thresholds = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        if name not in ("margin", "penalty", "distance") or name in thresholds:
            raise argparse.ArgumentTypeError(
                f"got {text!r}, want margin=M, penalty=P, distance=D or some of them, as "
                "margin=M,penalty=P"
            )
        thresholds[name] = _number(value)
    return Rejection(**thresholds)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="lenet-c", description=lenet_c.__doc__)
    parser.add_argument("--version", action="version", version=f"lenet-c {lenet_c.__version__}")
    parser.set_defaults(threads=None)
    commands = parser.add_subparsers(metavar="command", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], int | None], text: str) -> _Parser:
        added = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        added.set_defaults(run=run)
        return added

    train = command("train", _train, "train a network, test it and save it")
    train.epilog = "What is left out follows the architecture's recipe; the first lines say what."
    _add_architecture(train, LENET5_1998.name)
    _add_data(train)
    option = train.add_argument
    option(
        "--activation",
        choices=[kind for kind in ACTIVATIONS if kind != "identity"],
        help="of every layer but the last (1998: but F6 too); default: the architecture's",
    )
    option("--loss", choices=_core.LOSSES, help="default: the architecture's")
    option("--j", type=_number, help="constant of the loss map, above 0")
    option(
        "--optimizer",
        choices=list(RECIPES[LENET5_1998.name].optimizers),
        help="with settings of its own where the options below do not say",
    )
    option("--rate", type=_number, help="learning rate")
    option("--momentum", type=_number, help="of sgd, below 1")
    option("--weight-decay", type=_number, metavar="DECAY", help="decoupled")
    option("--schedule", choices=list(SCHEDULES), help="how the rate changes")
    option("--epochs", type=_whole(1), metavar="N", help="passes over the training images")
    option("--batch-size", type=_whole(1), metavar="N", help="images an update")
    option(
        "--hold-out",
        type=_whole(calibration.FEWEST),
        metavar="N",
        help="do not train on the last N images: calibrate probabilities and doubts with them",
    )
    option("--distort", action="store_true", help="show the images randomly moved and deformed")
    _add_threads(train)
    option("--seed", type=_whole(0), default=0, metavar="N", help="default: 0")
    option(
        "--output",
        type=_path,
        default="model.npz",
        metavar="FILE",
        help="where to save the network, in place of an older one (default: model.npz)",
    )
    _add_plot(train)
    option("--quiet", action="store_true", help="report only the result, not the progress")

    evaluate = command("evaluate", _evaluate, "test a saved network")
    evaluate.add_argument("model", help=MODEL)
    _add_data(evaluate)
    _add_plot(evaluate)
    _add_threads(evaluate)

    predict = command("predict", _predict, "read pictures of one character each")
    predict.add_argument("model", help=MODEL)
    predict.add_argument("images", nargs="+", metavar="image", help="PNG, JPEG or PGM file")
    predict.add_argument(
        "--reject",
        type=_rejection,
        metavar="margin=M,penalty=P",
        help="doubt answers whose best two are closer than M or whose penalty is above P, and with "
        "distance=D pictures further than D from the class's mean (default: as calibrated)",
    )
    predict.add_argument("--json", action="store_true", help="print one JSON array of objects")
    _add_threads(predict)

    summary = command("summary", _summary, "show a network's layers")
    either = summary.add_mutually_exclusive_group()
    either.add_argument("model", nargs="?", help=MODEL)
    _add_architecture(either, None)

    command("info", _info, "show version, processor, instruction set and threads")
    return parser


def _add_architecture(parser: argparse._ActionsContainer, default: str | None) -> None:
    parser.add_argument(
        "--architecture",
        choices=list(ARCHITECTURES),
        default=default,
        help=f"default: {LENET5_1998.name}",
    )


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--dataset",
        choices=("mnist", "digits"),
        help="default: mnist if it is there or can be downloaded, else digits",
    )
    parser.add_argument("--data", type=_path, metavar="FOLDER", help="with MNIST's four files")


def _add_plot(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--plot",
        type=_path,
        metavar="DIR",
        help="also draw the network and its results, as PNG files in this folder",
    )


def _add_threads(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--threads",
        type=_whole(1, 4096),
        metavar="N",
        help="default: the processors that this process may use",
    )
