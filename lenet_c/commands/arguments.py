"""The arguments of `lenet-c`: their names, kinds and help."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import lenet_c
from lenet_c import calibration, checks
from lenet_c.catalogue import SETS
from lenet_c.commands.draw import KINDS
from lenet_c.cpu import MAX_THREADS
from lenet_c.distort import DISTORTIONS
from lenet_c.ensemble import MOST
from lenet_c.folders import FORMS, TABLE
from lenet_c.layers import ACTIVATIONS
from lenet_c.losses import LOSSES
from lenet_c.networks import LENET5_1998, NETWORKS
from lenet_c.optimizers import OPTIMIZERS, SCHEDULES
from lenet_c.rejection import Rejection
from lenet_c.strips import VIEWS

Command = Callable[[argparse.Namespace], "int | None"]

MODEL = (
    "file that train saved; or mnist, mnist-modern, printed or strings, which come with the library"
)
READER = "file that train saved; or mnist, mnist-modern, printed, strings or committee"


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


def _validation(text: str) -> float | str:
    try:
        share = float(text)
    except ValueError:
        return _path(text)
    if not 0.0 <= share < 1.0:
        raise argparse.ArgumentTypeError(
            f"got {text!r}, want a share of the images, from 0 to below 1, or a folder"
        )
    return share


def _length(text: str) -> int | tuple[int, int]:
    least, dash, most = text.partition("-")
    try:
        found = int(least), int(most) if dash else int(least)
    except ValueError:
        found = 1, 0
    if not 0 <= found[0] <= found[1]:
        raise argparse.ArgumentTypeError(f"got {text!r}, want how many, as 5, or from to, as 4-9")
    return found if dash else found[0]


def _size(text: str) -> tuple[int, int]:
    height, cross, width = text.partition("x")
    if not (cross and height.isdecimal() and width.isdecimal()) or len(text) > 20:
        raise argparse.ArgumentTypeError(f"got {text!r}, want height and width, as 28x28")
    return int(height), int(width)


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


def _line(text: str) -> tuple[float, float]:
    try:
        top, baseline = map(float, text.split(","))
    except ValueError:
        top, baseline = math.nan, math.nan
    if not -math.inf < top < baseline < math.inf:
        raise argparse.ArgumentTypeError(
            f"got {text!r}, want two rows of the picture, as --line=8,31"
        )
    return top, baseline


def parser(commands: Mapping[str, Command]) -> argparse.ArgumentParser:
    """Make the parser.

    Parameters
    ----------
    commands : dict
        What "train", "evaluate", "predict", "read", "export", "plot", "summary" and "info" call
        with their arguments.

    Returns
    -------
    argparse.ArgumentParser
    """
    top = _Parser(prog="lenet-c", description=lenet_c.__doc__)
    top.add_argument("--version", action="version", version=f"lenet-c {lenet_c.__version__}")
    top.set_defaults(threads=None)
    added = top.add_subparsers(metavar="command", required=True)

    def command(name: str, text: str) -> _Parser:
        one = added.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        one.set_defaults(run=commands[name])
        return one

    train = command("train", "train a network, test it and save it")
    train.epilog = "What is left out follows the architecture's recipe; the first lines say what."
    _add_architecture(train)
    _add_data(train)
    option = train.add_argument
    validation = train.add_mutually_exclusive_group()
    validation.add_argument(
        "--validation",
        type=_validation,
        metavar="SHARE|FOLDER",
        help="do not train on this share of each class (0 is none), or on these pictures: keep the "
        "weights of the epoch with the lowest loss on them, and calibrate with them (default for "
        "pictures of one's own: 0.2)",
    )
    validation.add_argument(
        "--hold-out",
        type=_whole(calibration.FEWEST),
        metavar="N",
        help="do not train on the last N images: calibrate probabilities and doubts with them",
    )
    option(
        "--from",
        dest="start",
        type=_path,
        metavar="MODEL",
        help="fine-tune a network, " + MODEL + "; classes that it lacks are new outputs",
    )
    option(
        "--freeze",
        type=_path,
        metavar="LAYERS",
        help="layers that stay as they are, as C1,S2,C3,S4",
    )
    option(
        "--codes",
        type=_path,
        metavar="TEXT|FILE",
        help="codes of RBF outputs: a character for each class, in the order of their names, or a "
        "file of numbers, .npy or text; default: the names, where they are single characters",
    )
    option(
        "--resume",
        type=_path,
        metavar="FILE",
        help="keep the training in this file after each epoch, and go on from it if it is there",
    )
    option(
        "--activation",
        choices=[kind for kind in ACTIVATIONS if kind != "identity"],
        help="of every layer but the last (1998: but F6 too); default: the architecture's",
    )
    option("--loss", choices=LOSSES, help="default: the architecture's")
    option("--j", type=_number, help="constant of the loss map, above 0")
    option("--temperature", type=_number, help="what the loss divides outputs by: 1e-30 to 1e30")
    option(
        "--optimizer",
        choices=list(OPTIMIZERS),
        help="with settings of its own where the options below do not say",
    )
    option("--rate", type=_number, help="learning rate")
    option("--momentum", type=_number, help="of sgd, below 1")
    option("--weight-decay", type=_number, metavar="DECAY", help="decoupled")
    option("--schedule", choices=list(SCHEDULES), help="how the rate changes")
    option("--epochs", type=_whole(1), metavar="N", help="passes over the training images")
    together = train.add_mutually_exclusive_group()
    together.add_argument(
        "--committee",
        type=_whole(2, MOST),
        metavar="N",
        help="train N networks, of seeds from --seed on, whose outputs are added",
    )
    together.add_argument(
        "--boost",
        action="store_true",
        default=None,
        help="train three whose outputs are added: the second on what the first gets wrong, the "
        "third on what these two disagree on; implies --distort",
    )
    together.add_argument(
        "--distil",
        type=_path,
        metavar="MODEL",
        help="train a network to answer as a committee, or another network; implies --distort",
    )
    option(
        "--strings",
        action="store_true",
        help="train a reader of digit strings from the start, on strips made of the dataset's "
        "digits, as the one that comes with the library; fields of one's own: --from strings",
    )
    option("--steps", type=_whole(1), metavar="N", help="updates, of a reader of strings")
    option(
        "--printed",
        action="store_true",
        help="train a reader of printed characters from the start, on pictures drawn in fonts, as "
        "the one that comes with the library",
    )
    option(
        "--fonts",
        type=_path,
        metavar="FOLDER",
        help="where the fonts of --printed lie, at any depth (default: matplotlib's and the "
        "system's)",
    )
    option("--batch-size", type=_whole(1), metavar="N", help="images an update")
    option(
        "--distort",
        nargs="?",
        const=True,
        choices=list(DISTORTIONS),
        help="show the images randomly moved and deformed, by affine maps if no kind is named "
        "(default: only slightly, with --from)",
    )
    option(
        "--no-distort",
        dest="distort",
        action="store_const",
        const=False,
        help="show the images as they are",
    )
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
    option(
        "--animate",
        type=_path,
        metavar="FILE",
        help="also draw how the kernels of the first convolution change, as a GIF file",
    )
    option("--quiet", action="store_true", help="report only the result, not the progress")

    evaluate = command("evaluate", "test a saved network")
    evaluate.add_argument("model", help=READER)
    _add_data(evaluate)
    _add_plot(evaluate)
    _add_threads(evaluate)

    predict = command("predict", "read pictures of one character each")
    predict.add_argument("model", help=READER)
    predict.add_argument(
        "images",
        nargs="+",
        metavar="image",
        help="PNG, JPEG, PGM, PPM, BMP, WebP, TIFF or GIF file",
    )
    predict.add_argument(
        "--reject",
        type=_rejection,
        metavar="margin=M,penalty=P",
        help="doubt answers whose best two are closer than M or whose penalty is above P, and with "
        "distance=D pictures further than D from those of the class (default: as calibrated)",
    )
    predict.add_argument(
        "--line",
        type=_line,
        metavar="TOP,BASELINE",
        help="of printed characters: the rows of each picture where the line's capital letters "
        "begin and where they stand, which tell c from C, and a comma from a quote",
    )
    predict.add_argument("--json", action="store_true", help="print one JSON array of objects")
    _add_threads(predict)

    read = command("read", "read pictures of fields: strings of characters")
    read.add_argument(
        "fields",
        nargs="+",
        metavar="field",
        help="picture of one line of characters, as of predict",
    )
    read.add_argument(
        "--model",
        type=_path,
        default="strings",
        help="file that train saved; or strings, which comes with the library (default)",
    )
    read.add_argument(
        "--pattern", metavar="P", help=r"regular expression that the whole text matches, as \d{5}"
    )
    read.add_argument(
        "--lexicon", type=_path, metavar="FILE", help="all texts that there can be, one a line"
    )
    read.add_argument(
        "--length", type=_length, metavar="N|N-M", help="how many characters, as 5, or 4-9"
    )
    read.add_argument(
        "--views",
        type=_whole(1, len(VIEWS)),
        default=1,
        metavar="N",
        help=f"look at each line so often, slightly changed, up to {len(VIEWS)}: surer and slower",
    )
    read.add_argument(
        "--reject",
        type=_rejection,
        metavar="penalty=P",
        help="doubt texts whose probability is below exp(-P) (default: as calibrated)",
    )
    table = read.add_mutually_exclusive_group()
    table.add_argument("--json", action="store_true", help="print one JSON array of objects")
    table.add_argument("--csv", action="store_true", help="print a table with a heading")
    _add_threads(read)

    export = command("export", "write a network in a form that other programs read")
    export.add_argument("model", help=READER)
    export.add_argument("--onnx", type=_path, metavar="FILE", help="as an ONNX graph, opset 17")
    export.add_argument("--c", type=_path, metavar="FILE", help="as one C99 file without libraries")
    export.add_argument(
        "--input",
        choices=("uint8", "float32"),
        help="images that the graph takes: grey levels, or normalised (default: uint8)",
    )
    export.add_argument(
        "--precision",
        choices=("float32", "int8"),
        help="of the C file; int8 is scaled by training images of --dataset or --data (default: "
        "float32)",
    )
    export.add_argument(
        "--prefix",
        metavar="NAME",
        help="what the C file's names begin with (default: the file's name)",
    )
    _add_data(export)
    export.add_argument(
        "--size",
        type=_size,
        metavar="HxW",
        help="of grey images (default: 28x28 for networks of 32x32, else the network's own)",
    )

    plot = command("plot", "draw a network")
    plot.add_argument(
        "what",
        choices=KINDS,
        help="its architecture, the kernels of a layer, what each layer makes of a picture, or the "
        "codes of its classes",
    )
    plot.add_argument("model", nargs="?", help=MODEL)
    plot.add_argument("image", nargs="?", help="picture of one character, for maps")
    _add_architecture(plot)
    plot.add_argument(
        "--layer", type=_path, metavar="NAME", help="of filters: a convolution; default: the first"
    )
    plot.add_argument(
        "--output",
        type=_path,
        metavar="FILE",
        help="where to draw it, .png or .svg (default: network.png, and so on)",
    )

    summary = command("summary", "show a network's layers")
    either = summary.add_mutually_exclusive_group()
    either.add_argument("model", nargs="?", help=READER)
    _add_architecture(either)

    command("info", "show version, processor, instruction set and threads")
    return top


def _add_architecture(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--architecture",
        choices=list(NETWORKS),
        help=f"default: {LENET5_1998.name}",
    )


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--dataset",
        choices=(*SETS, "digits"),
        help="default: mnist if it is there or can be downloaded, else digits",
    )
    parser.add_argument(
        "--data",
        type=_path,
        metavar="FOLDER",
        help="with the files of the data set, MNIST's if --dataset names none; or pictures of one "
        f"character each, in a folder for each class, or listed in {TABLE} with the columns file "
        "and class; or fields, listed with the columns file and text",
    )
    parser.add_argument(
        "--form",
        choices=FORMS,
        default=FORMS[0],
        help="of such pictures: find the character on each, or take 28x28 pixels as they are "
        "(default: %(default)s)",
    )


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
        type=_whole(1, MAX_THREADS),
        metavar="N",
        help="default: the processors that this process may use",
    )
