"""Fine-tuning beside training from scratch: python -m bench.fine_tuning [--only DOMAIN] [--search].

Prints the tables of docs/fine_tuning.md: error rates on other people's pictures of what was learnt
from few of them, the median of some seeds and the lowest and highest. The domains:

students   digits of high-school students, read by a network that learnt from those of clerks: both
           are in MNIST, whose halves QMNIST's labels tell apart (qmnist/ in LENET_C_DATA)
digits     scikit-learn's, read by the weights that come with the library
fashion    Fashion-MNIST (fashion-mnist/ in LENET_C_DATA), begun with those weights
letters    ten letters in fonts of matplotlib, begun with those weights

With --search it prints what the settings were chosen on instead: other students of the training
set, the digits that are left of the training set, the last of Fashion-MNIST's training images, and
other fonts than those of the table.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.common import HELD_OUT, Images, mnist, need, parser
from bench.printed import fonts, printed
from lenet_c import Adam, LeNet5, Trainer, codes, datasets, distort
from lenet_c.recipes import DISTORTED

LETTERS = "ABCDEFGHIJ"
DIGITS = "0123456789"
FEATURES = ("C1", "S2", "C3", "S4")
CLERKS_EPOCHS = 20
BATCH = 32


@dataclass(frozen=True)
class Way:
    """How to learn from few images.

    Attributes
    ----------
    taken, frozen : sequence of str or None
        Layers taken over, and kept as they are; None: all that are taken over by `with_classes`.
    rate : float
    updates : int
        About so many; 0: ten passes.
    distorted : bool
    halfway : bool
        End in the middle between the weights begun with and those learnt.
    """

    taken: Sequence[str] | None = None
    frozen: Sequence[str] = ()
    rate: float = 1e-3
    updates: int = 300
    distorted: bool = True
    halfway: bool = False


NEAR: dict[str, Way] = {
    "3e-3, 10 passes, C1 to S4 kept, not distorted": Way(
        frozen=FEATURES, rate=3e-3, updates=0, distorted=False
    ),
    "C1 to C5 kept": Way(frozen=(*FEATURES, "C5")),
    "C1 to S4 kept": Way(frozen=FEATURES),
    "all trained": Way(),
    "all trained, 1,000 updates": Way(updates=1000),
    "all trained, halfway": Way(halfway=True),
    "from scratch, 3e-3, 1,000 updates": Way(taken=(), rate=3e-3, updates=1000),
}
FAR: dict[str, Way] = {
    "from scratch": Way(taken=(), rate=3e-3, updates=1000),
    "C1 to S4 taken over and kept": Way(FEATURES, FEATURES, 3e-3, 1000),
    "C1 to S4 taken over, all trained": Way(FEATURES, (), 3e-3, 1000),
    "all taken over, C1 to S4 kept": Way(None, FEATURES, 3e-3, 1000),
    "all taken over, all trained": Way(None, (), 3e-3, 1000),
}


@dataclass(frozen=True)
class Domain:
    """Where to learn from few images.

    Attributes
    ----------
    title : str
    base : LeNet5
    names : str
        Of the classes.
    ways : dict
    sizes : dict of str to callable
        Give the training set of a seed, and what was left of that, if anything.
    validation, test : (images, labels) or None
        None: what was left of the training set.
    """

    title: str
    base: LeNet5
    names: str
    ways: dict[str, Way]
    sizes: dict[str, Callable[[int], tuple[Images, Images]]]
    validation: Images | None
    test: Images


def error_rate(way: Way, domain: Domain, train: Images, test: Images, seed: int) -> float:
    """Train in one way and test."""
    if way.taken is None:
        net = domain.base.with_classes(domain.names, seed=seed)
    else:
        net = LeNet5(codes=codes.of(domain.names), seed=seed)
        net.copy_from(domain.base, way.taken)
    before = net.parameters.copy()
    batch = min(BATCH, len(train[0]))
    trainer = Trainer(
        net,
        Adam(way.rate, schedule="one_cycle"),
        batch_size=batch,
        distort=distort.SLIGHT if way.distorted else None,
        seed=seed,
        freeze=way.frozen,
    )
    trainer.fit(
        *train, max(1, round(way.updates / -(-len(train[0]) // batch))) if way.updates else 10
    )
    if way.halfway:
        net.parameters = (net.parameters + before) / 2
    return net.evaluate(*test).error_rate


def split(data: Images, each: int, seed: int) -> tuple[Images, Images]:
    """Give so many images of each class, and the others."""
    images, labels = data
    rng = np.random.default_rng(seed)
    chosen = np.zeros(len(labels), bool)
    for c in np.unique(labels):
        chosen[rng.permutation(np.flatnonzero(labels == c))[:each]] = True
    return (images[chosen], labels[chosen]), (images[~chosen], labels[~chosen])


def few(data: Images) -> dict[str, Callable[[int], tuple[Images, Images]]]:
    """Give training sets of 10, 30 and 100 images a class."""
    return {
        f"{each} a class": lambda seed, each=each: split(data, each, seed)  # type: ignore[misc]
        for each in (10, 30, 100)
    }


# ---- the domains ----


def data_folder(name: str) -> Path | None:
    """Find a folder of LENET_C_DATA."""
    folder = Path(os.environ.get("LENET_C_DATA", ""), name)
    return folder if os.environ.get("LENET_C_DATA") and folder.is_dir() else None


def students() -> Domain | None:
    folder = data_folder("qmnist")
    if folder is None:
        return None
    (x, y), (xt, yt) = mnist()

    origins, of_tests = datasets.qmnist(folder, download=False)
    is_students, writers = origins.series == 4, origins.writers
    base = LeNet5(seed=0)
    DISTORTED[base.architecture.name].trainer(base).fit(
        x[~is_students], y[~is_students], CLERKS_EPOCHS
    )
    everybody = np.unique(writers[is_students])
    np.random.default_rng(0).shuffle(everybody)
    learnt = is_students & np.isin(writers, everybody[:150])
    held_out = is_students & ~learnt
    of_test = of_tests.series[: len(yt)] == 4
    return Domain(
        "students' digits, after clerks'",
        base,
        DIGITS,
        NEAR,
        few((x[learnt], y[learnt])),
        (x[held_out], y[held_out]),
        (xt[of_test], yt[of_test]),
    )


def digits() -> Domain:
    train, test = datasets.digits()
    base = LeNet5.pretrained("mnist")
    return Domain("scikit-learn's digits", base, DIGITS, NEAR, few(train), None, test)


def fashion() -> Domain | None:
    folder = data_folder("fashion-mnist")
    if folder is None:
        return None
    (x, y), (xt, yt) = datasets.fashion_mnist(folder, download=False)
    return Domain(
        "Fashion-MNIST",
        LeNet5.pretrained("mnist"),
        LETTERS,  # its classes have no characters: any ten codes
        FAR,
        few((x[:-HELD_OUT], y[:-HELD_OUT])),
        (x[-HELD_OUT:], y[-HELD_OUT:]),
        (xt, yt),
    )


def letters() -> Domain:
    files = fonts()
    learnt = [file for file in files if file.stem.startswith("DejaVuSans")]
    others = [file for file in files if file not in learnt]
    sets = [printed(LETTERS, [file]) for file in learnt]
    whole = np.concatenate([x for x, _ in sets]), np.concatenate([y for _, y in sets])
    return Domain(
        f"{LETTERS}, in other fonts",
        LeNet5.pretrained("mnist"),
        LETTERS,
        FAR,
        {
            "1 font": lambda seed: (sets[seed % len(sets)], whole),
            f"{len(learnt)} fonts": lambda seed: (whole, whole),
        },
        printed(LETTERS, others[::2]),
        printed(LETTERS, others[1::2]),
    )


DOMAINS: dict[str, Callable[[], Domain | None]] = {
    "students": students,
    "digits": digits,
    "fashion": fashion,
    "letters": letters,
}


# ---- tables ----


def table(domain: Domain, ways: dict[str, Way], seeds: int, search: bool) -> None:
    """Print a line a way, as soon as it is there."""
    print(
        f"| {domain.title} | {' | '.join(domain.sizes)} |\n| --- |" + " ---: |" * len(domain.sizes)
    )
    if not search and domain.ways is NEAR:
        unchanged = domain.base.evaluate(*domain.test).error_rate
        print("| as it is |" + f" {unchanged:.2%} |" * len(domain.sizes))
    for name, way in ways.items():
        cells = []
        for draw in domain.sizes.values():
            rates = []
            for seed in range(seeds):
                train, left = draw(seed)
                test = (domain.validation or left) if search else domain.test
                rates.append(100 * error_rate(way, domain, train, test, seed))
            cells.append(f"{statistics.median(rates):.2f}% ({min(rates):.2f} to {max(rates):.2f})")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
    print()


def searched(ways: dict[str, Way]) -> dict[str, Way]:
    """Give each way with other rates and numbers of updates."""
    given = {}
    for (name, way), rate, updates in itertools.product(
        ways.items(), (3e-4, 1e-3, 3e-3), (100, 300, 1000)
    ):
        if way.updates == 300 or ways is FAR:
            other = dataclasses.replace(way, rate=rate, updates=updates)
            given[f"{name}, {rate:g}, {updates:,} updates"] = other
    return given


def main(argv: list[str] | None = None) -> None:
    command = parser("fine_tuning", __doc__)
    command.add_argument("--only", choices=list(DOMAINS), action="append", help="default: all")
    command.add_argument("--seeds", type=int, default=5, metavar="N", help="default: 5")
    command.add_argument("--search", action="store_true", help="choose, by validation images")
    arguments = command.parse_args(argv)
    need("sklearn", "matplotlib", "PIL")
    for name in arguments.only or DOMAINS:
        domain = DOMAINS[name]()
        if domain is None:
            print(f"{name}: its files are not in LENET_C_DATA, left out", file=sys.stderr)
            continue
        ways = searched(domain.ways) if arguments.search else domain.ways
        table(domain, ways, arguments.seeds, arguments.search)


if __name__ == "__main__":
    main()
