"""Trains the networks that `LeNet5.pretrained` gives: python -m lenet_c.recipes.mnist.

All 60,000 training images of MNIST, distorted anew in each pass. The temperature and the threshold
for doubts are those of a second network, trained in the same way on the first 50,000 and calibrated
on the last 10,000. One seed and one version of lenet_c give the same bits on one instruction set,
for any number of threads. The settings were chosen on the last 10,000 training images, too
(docs/accuracy.md).
"""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from lenet_c import _core, datasets, distort
from lenet_c.classes import DIGITS
from lenet_c.model import LeNet5
from lenet_c.networks import LENET5_1998, LENET5_MODERN
from lenet_c.optimizers import Adam
from lenet_c.recipes.recipe import Recipe, round_weights

__all__ = ["RECIPES", "main", "train"]


RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "mnist": Recipe(
            LENET5_1998,
            loss="map",
            optimizers={"adam": Adam(6e-3, schedule="one_cycle", weight_decay=0.03)},
            batch_size=128,
            epochs=600,
            distortion=distort.WORLD,
            j=8.0,
            temperature=10.0,
        ),
        "mnist-modern": Recipe(
            LENET5_MODERN,
            loss="cross_entropy",
            optimizers={"adam": Adam(4e-3, schedule="one_cycle", weight_decay=0.05)},
            batch_size=128,
            epochs=200,
            distortion=distort.WORLD,
        ),
    }
)
"""By the name that `LeNet5.pretrained` takes."""

_HELD_OUT = 6  # of the training images the last sixth, which calibrates


def parted(data: datasets.Arrays) -> tuple[datasets.Arrays, datasets.Arrays]:
    """Part images and labels: what networks learn from that are calibrated, and what with."""
    images, labels = data
    split = len(images) - len(images) // _HELD_OUT
    return (images[:split], labels[:split]), (images[split:], labels[split:])


def train(
    recipe: Recipe,
    data: datasets.Arrays,
    *,
    seed: int = 0,
    epochs: int | None = None,
    num_threads: int | None = None,
) -> LeNet5:
    """Train a network, printing a line a pass.

    Parameters
    ----------
    recipe : Recipe
    data : (images, labels)
        uint8 (N, 28, 28) and integers (N,).
    seed : int
        Of the weights, the order and the distortions.
    epochs : int, optional
        The recipe's by default.
    num_threads : int, optional
        The weights are the same bits for any number.

    Returns
    -------
    LeNet5
    """
    epochs = recipe.epochs if epochs is None else epochs
    network = LeNet5(recipe.architecture, seed=seed)
    trainer = recipe.trainer(network, seed=seed, num_threads=num_threads)
    trainer.fit(*data, epochs, verbose=2)
    return network


def calibrate(
    network: LeNet5,
    recipe: Recipe,
    data: datasets.Arrays,
    *,
    seed: int = 0,
    epochs: int | None = None,
    num_threads: int | None = None,
) -> None:
    """Give a network the calibration of one that did not see the last sixth of the images.

    Parameters
    ----------
    network : LeNet5
        Trained by this recipe on all of the images.
    recipe, data, seed, epochs, num_threads
        As of `train`.
    """
    learnt, others = parted(data)
    other = train(
        recipe,
        learnt,
        seed=seed,
        epochs=epochs,
        num_threads=num_threads,
    )
    other.calibrate(*others, num_threads=num_threads)
    network.temperature = other.temperature
    network.rejection = other.rejection
    network.subspaces = other.subspaces


def main(argv: Sequence[str] | None = None) -> None:
    """Train, test and save.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; by default those of the process.
    """
    parser = argparse.ArgumentParser(prog="python -m lenet_c.recipes.mnist", description=__doc__)
    option = parser.add_argument
    option("--which", choices=list(RECIPES), action="append", help="default: each in turn")
    option("--seed", type=int, default=0, metavar="N", help="default: 0, as in the wheel")
    option("--output", default=".", metavar="FOLDER", help="for the model files; default: here")
    option("--data", metavar="FOLDER", help="with MNIST's four files")
    option("--epochs", type=int, metavar="N", help="passes; default: the recipe's")
    option("--threads", type=int, metavar="N", help="change the time, not the weights")
    arguments = parser.parse_args(argv)
    os.makedirs(arguments.output, exist_ok=True)
    data, test = datasets.mnist(arguments.data)
    for name in arguments.which or RECIPES:
        recipe = RECIPES[name]
        network = train(
            recipe,
            data,
            seed=arguments.seed,
            epochs=arguments.epochs,
            num_threads=arguments.threads,
        )
        calibrate(
            network,
            recipe,
            data,
            seed=arguments.seed,
            epochs=arguments.epochs,
            num_threads=arguments.threads,
        )
        round_weights(network)
        network.class_names = DIGITS
        result = network.evaluate(*test, num_threads=arguments.threads)
        network.notes = {
            "command": f"python -m lenet_c.recipes.mnist --which {name} --seed {arguments.seed}",
            "epochs": arguments.epochs or recipe.epochs,
            "distortion": recipe.distortion and dataclasses.asdict(recipe.distortion),
            "isa": _core.isa()[0],
            "test_error_rate": round(result.error_rate, 6),
        }
        path = os.path.join(arguments.output, f"{name}.npz")
        network.save(path)
        print(f"{name}: test error {result.error_rate:.2%}, saved {path}", flush=True)


if __name__ == "__main__":
    main()
