"""What committees gain on MNIST: python -m bench.committee [--only PART] [--write].

"shipped": `Ensemble.pretrained("committee")`, and what fewer of its networks reach. "boosted":
three LENET4 by `committee.boost`, as LeCun et al. 1998 boost LeNet-4. "distilled": one 1998 network
that learns the committee's answers, beside one that learns labels, with the same seed and passes.
Networks are trained on all 60,000 images and tested once, on the 10,000 test images, after the last
pass. --write puts the parts that were run into docs/committee.md.
"""

from __future__ import annotations

import dataclasses
import itertools
import statistics
import zlib
from collections.abc import Callable
from pathlib import Path

from bench.common import ROOT, Data, by_recipe, markdown, mnist, parser, put_tables
from lenet_c import (
    LENET4,
    LENET5_1998,
    Adam,
    Ensemble,
    LeNet5,
    committee,
    ensemble_file,
    serialization,
)
from lenet_c.recipes import DISTORTED

DOCUMENT = ROOT / "docs" / "committee.md"
BOOSTED_PASSES = 15
PATTERNS = 20_000  # of the second and the third
DISTILLED_PASSES = 10
ERROR = 0.005  # of what is left, when some are rejected


def percent(rate: float) -> str:
    return f"{rate:.2%}"


def shipped(data: Data, threads: int | None) -> str:
    """Test the committee that comes with the library, and all smaller ones of its networks."""
    whole = Ensemble.pretrained("committee")
    rows = []
    for k in range(1, len(whole) + 1):
        rates = [
            Ensemble(some).evaluate(*data[1], num_threads=threads).error_rate
            for some in itertools.combinations(whole.networks, k)
        ]
        first = Ensemble(whole.networks[:k])
        error = first.evaluate(*data[1], num_threads=threads).error_rate
        spread = f"{percent(min(rates))} to {percent(max(rates))}"
        rows.append([str(k), percent(error), percent(statistics.median(rates)), spread, size(k)])
    header = ["networks", "the first so many", "all choices: median", "range", "kB in the wheel"]
    return markdown(header, rows)


def size(networks: int) -> str:
    """Give how much the first so many take in the wheel, besides what `mnist` has anyway."""
    file = ensemble_file.pretrained_files()["committee"]
    _, arrays = serialization.read(Path(str(file)))
    taken = sum(
        len(zlib.compress(array.tobytes(), 9))
        for name, array in arrays.items()
        if int(name.partition(".")[0]) < networks - 1
    )
    return f"{taken / 1000:.0f}"


def boosted(data: Data, threads: int | None) -> str:
    """Boost LENET4, and tell what each network and the three together do."""
    recipe = DISTORTED[LENET4.name]
    three = committee.boost(
        *data[0], recipe, n=PATTERNS, epochs=BOOSTED_PASSES, verbose=2, num_threads=threads
    )
    named = {
        "the first, distorted images": (three.networks[0], "1.1%, not distorted", "1.8%"),
        "the second, half misread by the first": (three.networks[1], "", ""),
        "the third, where the two disagree": (three.networks[2], "", ""),
        "outputs added": (three, "0.7%", "0.5%"),
    }
    rows = []
    for what, (network, published, rejected) in named.items():
        curve = network.rejection_curve(*data[1])
        left = percent(curve.reaching(ERROR).rejected)
        rows.append([what, percent(float(curve.error_rate[0])), published, left, rejected])
    header = ["LENET4", "error", "published", "rejected for 0.5%", "published"]
    return markdown(header, rows)


def distilled(data: Data, threads: int | None) -> str:
    """Train by the committee's answers, and by labels."""
    recipe = DISTORTED[LENET5_1998.name]
    adam = Adam(6e-3, schedule="one_cycle", weight_decay=0.03)
    recipe = dataclasses.replace(recipe.with_optimizer(adam), j=8.0, temperature=10.0)
    teacher = Ensemble.pretrained("committee")
    plain = by_recipe(recipe, data[0], epochs=DISTILLED_PASSES, threads=threads)

    def tell(epoch: int, loss: float, network: LeNet5) -> None:
        print(f"epoch {epoch}/{DISTILLED_PASSES}  loss {loss:.4f}", flush=True)

    taught = committee.distil(
        teacher,
        data[0][0],
        None,
        recipe,
        epochs=DISTILLED_PASSES,
        on_epoch=tell,
        num_threads=threads,
    )
    rows = [
        [what, percent(one.evaluate(*data[1], num_threads=threads).error_rate)]
        for what, one in (
            (f"the 1998 network, labels, {DISTILLED_PASSES} passes", plain),
            (f"the same, the committee's probabilities, {DISTILLED_PASSES} passes", taught),
            (f"the committee of {len(teacher)}", teacher),
        )
    ]
    return markdown(["learns from", "test error"], rows)


PARTS: dict[str, Callable[[Data, int | None], str]] = {
    "shipped": shipped,
    "boosted": boosted,
    "distilled": distilled,
}


def main(argv: list[str] | None = None) -> None:
    command = parser("committee", __doc__)
    option = command.add_argument
    option("--only", choices=list(PARTS), nargs="+", help="default: all")
    option("--threads", type=int, metavar="N")
    option("--write", action="store_true", help="put the tables into docs/committee.md")
    arguments = command.parse_args(argv)
    data = mnist()
    for name in arguments.only or PARTS:
        found = PARTS[name](data, arguments.threads)
        print(found, flush=True)
        if arguments.write:
            put_tables(DOCUMENT, {name: found})


if __name__ == "__main__":
    main()
