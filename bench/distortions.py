"""Which strengths of distortion help: trains on 50,000 images of MNIST, tests on the other 10,000.

The 10,000 are the last ones of the training set. Run `python bench/distortions.py` with
LENET_C_DATA set to a folder that has MNIST; it prints the table of docs/distortions.md.
"""

from __future__ import annotations

import argparse
import statistics
from dataclasses import asdict

from lenet_c import Distortion, LeNet5, Trainer, datasets
from lenet_c.cli import RECIPES

TRAINING = 50_000

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


def error_rate(distortion: Distortion | None, seed: int, epochs: int, threads: int) -> float:
    (images, labels), _ = datasets.mnist(download=False)
    net = LeNet5(seed=seed)
    recipe = RECIPES[net.architecture.name]
    trainer = Trainer(
        net,
        recipe.optimizers["adam"],
        recipe.loss,
        j=recipe.j,
        batch_size=recipe.batch_size,
        distort=distortion,
        seed=seed,
        num_threads=threads,
    )
    trainer.fit(images[:TRAINING], labels[:TRAINING], epochs)
    return net.evaluate(images[TRAINING:], labels[TRAINING:], num_threads=threads).error_rate


def _strengths(distortion: Distortion) -> str:
    used = {name: value for name, value in asdict(distortion).items() if value}
    if not distortion.elastic:
        del used["elastic_smoothness"]
    return ", ".join(f"{name} {value:g}" for name, value in used.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", nargs="*", choices=list(CANDIDATES), default=list(CANDIDATES))
    options = parser.parse_args()
    print(f"{options.epochs} passes over {TRAINING:,} images; error on the 10,000 others\n")
    print("| distortion | strengths | error | by seed |")
    print("| --- | --- | --- | --- |")
    for name in options.only:
        distortion = CANDIDATES[name]
        rates = [
            100 * error_rate(distortion, seed, options.epochs, options.threads)
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
