"""Which strengths of distortion help: trains on 50,000 images of MNIST, tests on the other 10,000.

The 10,000 are the last ones of the training set. `python -m bench.distortions` prints the table of
docs/distortions.md.
"""

from __future__ import annotations

import statistics
from dataclasses import asdict, replace

from bench.common import Data, by_recipe, hold_out, mnist, parser
from lenet_c import LENET5_1998, Distortion
from lenet_c.recipes import RECIPES

CANDIDATES: dict[str, Distortion | None] = {
    "none": None,
    "half as mild": Distortion(0.5, 0.03, 0.03, 0.05),
    "mild": Distortion(1, 0.05, 0.05, 0.1),
    "mild, shift 1.5": Distortion(1.5, 0.05, 0.05, 0.1),
    "mild, rotation 6": Distortion(1, 0.05, 0.05, 0.1, rotation=6),
    "mild, elastic 0.4": Distortion(1, 0.05, 0.05, 0.1, elastic=0.4),
    "medium": Distortion(1, 0.1, 0.1, 0.2),
    "medium, rotation 10": Distortion(1, 0.1, 0.1, 0.2, rotation=10),
    "medium, elastic 0.7": Distortion(1, 0.1, 0.1, 0.2, elastic=0.7),
    "strong": Distortion(1.5, 0.15, 0.15, 0.3),
}


def error_rate(
    distortion: Distortion | None, data: Data, seed: int, epochs: int, threads: int
) -> float:
    train, others = data
    recipe = replace(RECIPES[LENET5_1998.name], distortion=distortion)
    net = by_recipe(recipe, train, epochs=epochs, seed=seed, threads=threads)
    return net.evaluate(*others, num_threads=threads).error_rate


def _strengths(distortion: Distortion) -> str:
    used = {name: value for name, value in asdict(distortion).items() if value}
    if not distortion.elastic:
        del used["elastic_smoothness"]
    return ", ".join(f"{name} {value:g}" for name, value in used.items())


def main() -> None:
    command = parser("distortions", __doc__)
    command.add_argument("--epochs", type=int, default=20)
    command.add_argument("--seeds", type=int, default=2)
    command.add_argument("--threads", type=int, default=1)
    command.add_argument("--only", nargs="*", choices=list(CANDIDATES), default=list(CANDIDATES))
    options = command.parse_args()
    data = hold_out(mnist()[0])
    n_train, n_others = (len(images) for images, _ in data)
    print(f"{options.epochs} passes over {n_train:,} images; error on the {n_others:,} others\n")
    print("| distortion | strengths | error | by seed |")
    print("| --- | --- | --- | --- |")
    for name in options.only:
        distortion = CANDIDATES[name]
        rates = [
            100 * error_rate(distortion, data, seed, options.epochs, options.threads)
            for seed in range(options.seeds)
        ]
        strengths = "" if distortion is None else _strengths(distortion)
        each = " ".join(f"{rate:.2f}" for rate in rates)
        print(
            f"| {name} | {strengths} | {statistics.mean(rates):.2f}% | {each} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
