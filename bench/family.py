"""Errors of the networks around LeNet-5 beside the published: python -m bench.family [--write].

Each row is a network by its recipe, trained from some seeds and tested once, after its last pass.
Settings are compared on the last 10,000 training images (--validation). Every result is appended to
a file as it comes, and what is there is not run again: a run can be stopped, and split with --only.
--write puts the report into docs/family.md.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.common import (
    ROOT,
    Data,
    Images,
    add_output,
    by_recipe,
    hold_out,
    markdown,
    mnist,
    need,
    parser,
)
from lenet_c import (
    LENET1,
    LENET4,
    LENET5_1998,
    LENET5_MAX,
    LENET5_MODERN,
    LENET_CAFFE,
    LENET_D2L,
    SGD,
    Adam,
    Architecture,
    LeNet5,
    __version__,
    _core,
    datasets,
)
from lenet_c.recipes import RECIPES, Recipe

OUTPUT = ROOT / "docs" / "family.md"
FASHION = "fashion-mnist"
SEEDS = 5
NEIGHBOURS = 3  # whose classes are counted
LOCAL = 100  # nearest patterns that a last layer is fitted to for each image,
RIDGE = 30.0  # and how much its weights count beside its errors
PIECE = 1000  # images at a time

METHOD = """\
`python -m bench.family --write` printed this. Errors are those on the 10,000 test images after the
last pass: the median, and the range, of so many trainings from different seeds. No setting was
chosen on the test images: `lenet-c train`'s were on the last 10,000 training images, and the other
networks have those of `LENET5_MODERN`. All but the 1998 network end in logits and learn by
cross-entropy.

"K neighbours" are the classes of the {neighbours} training images whose outputs of the last hidden
layer lie nearest, and a "local last layer" is fitted for each image anew, by least squares with
weight decay, to its {local} nearest (Bottou and Vapnik, "Local learning algorithms", 1992):
`bench/family.py` has both."""

CIFAR = """\
`LENET_CIFAR` has no row: CIFAR-10 is not among the data sets here (published: 54 to 55% right after
two passes). `tests/test_torch.py` holds it against PyTorch, with the tutorial's own settings
(`lenet_c.recipes.CIFAR`)."""


@dataclass(frozen=True)
class Row:
    """A line of a table.

    Attributes
    ----------
    what : str
    recipe : Recipe
    data : str
        "mnist" or "fashion-mnist".
    published : str
    mirrored : bool
        Whether mirror images are learnt from, too.
    reads : callable, optional
        From a network, what it learnt from and images to classes; by default the network's.
    seeds : int
    """

    what: str
    recipe: Recipe
    data: str = "mnist"
    published: str = "-"
    mirrored: bool = False
    reads: Callable[[LeNet5, Images, np.ndarray], np.ndarray] | None = None
    seeds: int = SEEDS


def hidden(network: LeNet5, images: np.ndarray) -> NDArray[np.float32]:
    """Give the last hidden layer's outputs, (N, units)."""
    name = network.architecture.layers[-2].name
    pieces = [
        network.activations(images[i : i + PIECE], num_threads=1)[name].reshape(-1, _units(network))
        for i in range(0, len(images), PIECE)
    ]
    return np.concatenate(pieces)


def _units(network: LeNet5) -> int:
    return int(np.prod(network.architecture.input_shapes[network.architecture.layers[-1].name]))


def nearest(known: np.ndarray, asked: np.ndarray, k: int) -> NDArray[np.intp]:
    """Give the places of the k nearest of `known` (N, units) to each of `asked`, in no order."""
    middle = known.mean(axis=0)  # from which distances are the same, and roundings smaller
    known, asked = known - middle, asked - middle
    far = (known**2).sum(axis=1) - 2 * asked @ known.T
    return np.argpartition(far, k, axis=1)[:, :k]


def by_neighbours(network: LeNet5, train: Images, images: np.ndarray) -> np.ndarray:
    """Read by the classes of the nearest training images."""
    need("sklearn")
    from sklearn.neighbors import KNeighborsClassifier

    reader = KNeighborsClassifier(NEIGHBOURS, algorithm="brute", n_jobs=1)
    reader.fit(hidden(network, train[0]), train[1])
    return np.asarray(reader.predict(hidden(network, images)))


def by_local_layer(network: LeNet5, train: Images, images: np.ndarray) -> np.ndarray:
    """Read by a last layer that is fitted to each image's nearest patterns.

    Its targets are +1 for the right class and -1 for the others; it is fitted by least squares with
    weight decay, whose solution is a sum over the patterns (k, k), as k is smaller than needed.
    """
    known, asked = hidden(network, train[0]), hidden(network, images)
    classes = network.architecture.classes
    read = np.empty(len(asked), np.int64)
    for begin in range(0, len(asked), PIECE // 10):
        some = slice(begin, begin + PIECE // 10)
        places = nearest(known, asked[some], LOCAL)
        patterns = known[places].astype(np.float64)
        middle = patterns.mean(axis=1, keepdims=True)
        patterns -= middle
        wanted = np.where(train[1][places][:, :, None] == np.arange(classes), 1.0, -1.0)
        mean = wanted.mean(axis=1, keepdims=True)
        inner = patterns @ patterns.transpose(0, 2, 1) + RIDGE * np.eye(LOCAL)
        weights = np.linalg.solve(inner, wanted - mean)
        likeness = patterns @ (asked[some, None] - middle).transpose(0, 2, 1)
        read[some] = (mean[:, 0] + (likeness * weights).sum(axis=1)).argmax(axis=1)
    return read


def _adam(
    architecture: Architecture,
    rate: float,
    epochs: int,
    decay: float,
    batch: int,
) -> Recipe:
    return dataclasses.replace(
        RECIPES[LENET5_MODERN.name],
        architecture=architecture,
        optimizers={"adam": Adam(rate, schedule="one_cycle", weight_decay=decay)},
        epochs=epochs,
        batch_size=batch,
    )


D2L = Recipe(  # that book's own settings
    LENET_D2L,
    loss="cross_entropy",
    optimizers={"sgd": SGD(0.9, schedule="constant", momentum=0.0)},
    batch_size=256,
    epochs=10,
)
D2L_MAX = dataclasses.replace(
    D2L, architecture=LENET5_MAX, optimizers={"sgd": SGD(0.1, schedule="constant", momentum=0.0)}
)
_1998, _4 = RECIPES[LENET5_1998.name], RECIPES[LENET4.name]

ROWS: dict[str, Row] = {
    "lenet1": Row("LENET1", RECIPES[LENET1.name], published="1.7%"),
    "lenet4": Row("LENET4", _4, published="1.1%"),
    "lenet4-neighbours": Row("LENET4, K neighbours", _4, published="1.1%", reads=by_neighbours),
    "lenet4-local": Row("LENET4, local last layer", _4, published="1.1%", reads=by_local_layer),
    "1998": Row("LENET5_1998", _1998, published="0.95%"),
    "1998-neighbours": Row("LENET5_1998, K neighbours", _1998, reads=by_neighbours),
    "1998-local": Row("LENET5_1998, local last layer", _1998, reads=by_local_layer),
    "modern": Row("LENET5_MODERN", RECIPES[LENET5_MODERN.name], published="about 1 to 1.5%"),
    "max": Row("LENET5_MAX", RECIPES[LENET5_MAX.name]),
    "d2l": Row("LENET_D2L", RECIPES[LENET_D2L.name]),
    "fashion-d2l-own": Row("LENET_D2L, the book's settings", D2L, FASHION, "about 20% (its plot)"),
    "fashion-1998": Row("LENET5_1998", _1998, FASHION),
    "fashion-modern": Row("LENET5_MODERN", RECIPES[LENET5_MODERN.name], FASHION),
    "fashion-d2l": Row("LENET_D2L", RECIPES[LENET_D2L.name], FASHION),
    "fashion-max": Row("LENET5_MAX", RECIPES[LENET5_MAX.name], FASHION, "15.1%"),
    "fashion-best": Row(
        "LENET5_MAX, with mirror images and weight decay",
        _adam(LENET5_MAX, 3e-3, 12, 0.05, 128),
        FASHION,
        mirrored=True,
    ),
    "caffe": Row("LENET_CAFFE", RECIPES[LENET_CAFFE.name], published="1.03%", seeds=1),
    "fashion-caffe": Row("LENET_CAFFE", RECIPES[LENET_CAFFE.name], FASHION, seeds=1),
}


def fashion() -> Data:
    """Give Fashion-MNIST, or end with a line that says why not."""
    try:
        return datasets.fashion_mnist()
    except (OSError, ValueError) as error:
        raise SystemExit(f"error: {error}") from None


def trained(row: Row, train: Images, seed: int, threads: int | None) -> LeNet5:
    """Train a network as a row says."""
    images, labels = train
    if row.mirrored:
        images, labels = np.concatenate([images, images[:, :, ::-1]]), np.tile(labels, 2)
    return by_recipe(row.recipe, (images, labels), seed=seed, threads=threads)


def error_rate(row: Row, network: LeNet5, train: Images, test: Images) -> float:
    """Give the share of images that it reads wrongly."""
    if row.reads is None:
        return network.evaluate(*test, num_threads=1).error_rate
    return float((row.reads(network, train, test[0]) != test[1]).mean())


Result = dict[str, object]


def table(results: list[Result], data: str) -> str:
    """Write the table of a data set, in the order of the rows."""
    rows = []
    for name, row in ROWS.items():
        mine = [result for result in results if result["row"] == name]
        if row.data != data or not mine:
            continue
        rates = [100 * float(str(result["error_rate"])) for result in mine]
        spread = f" ({min(rates):.2f} to {max(rates):.2f})" if len(rates) > 1 else ""
        rows.append(
            [
                row.what,
                f"{row.recipe.architecture.n_parameters:,}",
                f"{statistics.median(rates):.2f}%{spread}",
                str(len(rates)),
                str(row.recipe.epochs),
                row.published,
            ]
        )
    header = ["network", "parameters", "error, median (range)", "seeds", "passes", "published"]
    return markdown(header, rows)


def write_up(results: list[Result]) -> str:
    """Write the report."""
    return "\n\n".join(
        [
            "# The networks around LeNet-5",
            f"lenet_c {__version__}, {_core.isa()[0]}.",
            METHOD.format(neighbours=NEIGHBOURS, local=LOCAL),
            "## MNIST",
            table(results, "mnist"),
            "## Fashion-MNIST",
            table(results, FASHION),
            "## CIFAR-10",
            CIFAR,
        ]
    )


def main(argv: list[str] | None = None) -> None:
    command = parser("family", __doc__)
    add_output(command, OUTPUT)
    option = command.add_argument
    option("--only", choices=list(ROWS), nargs="*", help="default: every row")
    option("--seeds", type=int, metavar="N", help="at most; default: each row's")
    option("--results", type=Path, default=Path("build/family.jsonl"), metavar="FILE")
    option("--threads", type=int, metavar="N")
    option("--validation", action="store_true", help="test on the last 10,000 training images")
    options = command.parse_args(argv)
    results: list[Result] = []
    if options.results.exists():
        results = [json.loads(line) for line in options.results.read_text().splitlines()]
    options.results.parent.mkdir(parents=True, exist_ok=True)
    done = {(result["row"], result["seed"]) for result in results}
    read: dict[str, Data] = {}
    networks: dict[tuple[str, str, int], LeNet5] = {}  # the last one, which readers share
    wanted = list(ROWS if options.only is None else options.only)
    # each row from one seed first, so that a run that is stopped has most of the table
    for seed, name in itertools.product(range(options.seeds or SEEDS), wanted):
        row = ROWS[name]
        if seed >= row.seeds or (name, seed) in done:
            continue
        if row.data not in read:
            given = mnist() if row.data == "mnist" else fashion()
            read[row.data] = hold_out(given[0]) if options.validation else given
        train, test = read[row.data]
        began, key = time.process_time(), (row.data, row.recipe.architecture.name, seed)
        if row.reads is None or key not in networks:
            networks = {key: trained(row, train, seed, options.threads)}  # one at a time
        rate = error_rate(row, networks[key], train, test)
        seconds = round(time.process_time() - began, 1)
        results.append({"row": name, "seed": seed, "error_rate": rate, "cpu_seconds": seconds})
        with options.results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(results[-1]) + "\n")
        print(f"{name}, seed {seed}: {rate:.2%}, {seconds:.0f} s of processor", flush=True)
    text = write_up(results)
    print(text)
    if options.write:
        options.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
