"""Fine-tuning beside training from scratch: python -m bench.fine_tuning.

Prints the tables of docs/fine_tuning.md: the weights that come with the library learn to read other
digits, those of scikit-learn, and ten letters printed in fonts of matplotlib. Settings are the same
for all and were not searched.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import numpy as np

from bench.common import Images, need, parser
from bench.printed import fonts, printed
from lenet_c import LENET5_1998, Adam, Distortion, LeNet5, Trainer, codes, datasets

LETTERS = "ABCDEFGHIJ"
SMALL = Distortion(translation=1, scaling=0.05, squeezing=0.05, shearing=0.1)
UPDATES = 600

# what is taken over from the shipped weights, and what of it is frozen
WAYS: dict[str, tuple[list[str], list[str]]] = {
    "from scratch": ([], []),
    "C1 to S4 kept": (["C1", "S2", "C3", "S4"], ["C1", "S2", "C3", "S4"]),
    "C1 to C5 kept": (["C1", "S2", "C3", "S4", "C5"], ["C1", "S2", "C3", "S4", "C5"]),
    "C1 to S4 taken over, all trained": (["C1", "S2", "C3", "S4"], []),
    "C1 to C5 taken over, all trained": (["C1", "S2", "C3", "S4", "C5"], []),
}


def error_rate(
    way: str, train: Images, test: Images, characters: str, seed: int, threads: int | None
) -> float:
    """Train in one way and test."""
    taken, frozen = WAYS[way]
    network = LeNet5(
        LENET5_1998.with_classes(len(characters)), codes=codes.of(characters), seed=seed
    )
    if taken:
        network.copy_from(LeNet5.pretrained("mnist"), taken)
    batch = min(32, len(train[0]))
    trainer = Trainer(
        network,
        Adam(3e-3, schedule="one_cycle"),
        batch_size=batch,
        distort=SMALL,
        seed=seed,
        freeze=frozen,
        num_threads=threads,
    )
    trainer.fit(*train, UPDATES // -(-len(train[0]) // batch))
    return network.evaluate(*test).error_rate


def some(data: Images, each: int, seed: int) -> Images:
    """Give so many images of each class."""
    rng = np.random.default_rng(seed)
    images, labels = data
    chosen = [rng.permutation(np.flatnonzero(labels == c))[:each] for c in np.unique(labels)]
    rows = np.concatenate(chosen)
    return images[rows], labels[rows]


def table(
    title: str,
    columns: dict[str, Sequence[Images]],
    test: Images,
    characters: str,
    threads: int | None,
) -> str:
    """Compare the ways for some training sets, each given once for every seed."""
    lines = [
        f"| {title} | {' | '.join(columns)} |",
        "| --- |" + " --- |" * len(columns),
    ]
    for way in WAYS:
        cells = []
        for sets in columns.values():
            rates = [
                error_rate(way, train, test, characters, seed, threads)
                for seed, train in enumerate(sets)
            ]
            cells.append(f"{statistics.median(rates):.1%}")
        lines.append(f"| {way} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main(argv: list[str] | None = None) -> None:
    command = parser("fine_tuning", __doc__)
    command.add_argument("--seeds", type=int, default=5, metavar="N", help="default: 5")
    command.add_argument("--threads", type=int, metavar="N")
    arguments = command.parse_args(argv)
    need("sklearn", "matplotlib", "PIL")
    seeds = range(arguments.seeds)

    train, test = datasets.digits()
    unchanged = LeNet5.pretrained("mnist").evaluate(*test).error_rate
    print(f"scikit-learn's digits; the shipped weights as they are: {unchanged:.1%}\n")
    columns = {
        f"{each} of each digit": [some(train, each, seed) for seed in seeds] for each in (1, 3, 10)
    } | {f"all {len(train[0]):,}": [train for _ in seeds]}
    print(table("way", columns, test, "0123456789", arguments.threads))

    files = fonts()
    learnt = [file for file in files if file.stem.startswith("DejaVuSans")]
    others = [file for file in files if file not in learnt]
    columns = {
        "1 font": [printed(LETTERS, [learnt[seed % len(learnt)]]) for seed in seeds],
        f"{len(learnt)} fonts": [printed(LETTERS, learnt) for _ in seeds],
    }
    print(f"the letters {LETTERS}, read in {len(others)} other fonts\n")
    print(table("way", columns, printed(LETTERS, others), LETTERS, arguments.threads))


if __name__ == "__main__":
    main()
