"""The tutorials' networks by the tutorials' recipes: python -m bench.tutorials.

Each network is trained over some seeds and tested on MNIST once, after its last pass; the table has
the median and the range beside the published figure. Adam, the loss, the batch and the passes are
the tutorials'. The rate is not published: it is Keras's default, or with --annealed one that rises
and falls, or with --decayed that and weight decay. With --validation the last 10,000 training
images take the place of the test set, and training goes without them.
"""

from __future__ import annotations

import dataclasses
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import lenet_c
from bench.common import hold_out, mnist, outcome, parser
from lenet_c import Adam, Architecture, LeNet5, Trainer, datasets, preprocess
from lenet_c.optimizers import Optimizer

# Keras's, in whose words the tutorials are written.
KERAS_ADAM = Adam(1e-3, epsilon=1e-7)
# Chosen on the last 10,000 training images, for batches of 32. At a constant rate the weights after
# the last pass are those of one step or another around the minimum.
ANNEALED_ADAM = Adam(3e-3, epsilon=1e-7, schedule="one_cycle")
DECAY = 0.1


def raw(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Leave it to the core, which pads and scales by the architecture's grey levels."""
    return images


@dataclass(frozen=True)
class Tutorial:
    """How a tutorial trains its network, and what it reports.

    Attributes
    ----------
    architecture : Architecture
    epochs, batch_size : int
    published : str
        Accuracy on MNIST's test images, or a dash.
    target : float
        Accuracy to reach, in percent.
    optimizer : Optimizer
    init : str
        Initial weights; Keras's default is "glorot".
    normalize : callable
        From raw images to what the network takes.
    """

    architecture: Architecture
    epochs: int
    batch_size: int
    published: str
    target: float
    optimizer: Optimizer = KERAS_ADAM
    init: str = "glorot"
    normalize: Callable[[NDArray[np.uint8]], NDArray[np.generic]] = raw


TUTORIALS = (
    # Tutorials differ in its batch and epochs: these are those of the 28x28 network.
    Tutorial(
        lenet_c.LENET5_MODERN, epochs=10, batch_size=128, published="about 98.5 to 99%", target=98.5
    ),
    Tutorial(lenet_c.LENET5_28, epochs=10, batch_size=128, published="-", target=98.8),
    Tutorial(
        lenet_c.LENET_3X3,
        epochs=10,
        batch_size=32,
        published="98.36%",
        target=98.36,
        normalize=preprocess.normalize_columns,
    ),
)


def accuracy(
    recipe: Tutorial,
    train: datasets.Arrays,
    test: datasets.Arrays,
    seed: int,
    num_threads: int | None = None,
) -> float:
    """Train by a recipe.

    Parameters
    ----------
    recipe : Tutorial
    train, test : (images, labels)
        Raw images.
    seed : int
        Of the weights and of the order.
    num_threads : int, optional

    Returns
    -------
    float
        Accuracy on `test` after the last pass, in [0, 1].
    """
    network = LeNet5(recipe.architecture, seed=seed, init=recipe.init)
    trainer = Trainer(
        network,
        recipe.optimizer,
        "cross_entropy",
        batch_size=recipe.batch_size,
        seed=seed,
        num_threads=num_threads,
    )
    trainer.fit(recipe.normalize(train[0]), train[1], recipe.epochs)
    result = network.evaluate(recipe.normalize(test[0]), test[1], num_threads=num_threads)
    return result.accuracy


def row(recipe: Tutorial, accuracies: list[float], seconds: float) -> str:
    """Format a line of the table.

    Parameters
    ----------
    recipe : Tutorial
    accuracies : list of float
        One a seed, in [0, 1].
    seconds : float
        A median training run took.

    Returns
    -------
    str
    """
    middle, low, high = (100 * f(accuracies) for f in (statistics.median, min, max))
    optimizer = recipe.optimizer
    how = f"{type(optimizer).__name__} {optimizer.lr:g} {optimizer.schedule}"
    if optimizer.weight_decay:
        how += f", decay {optimizer.weight_decay:g}"
    how += f", batch {recipe.batch_size}"
    cells = (
        recipe.architecture.name,
        f"{recipe.architecture.n_parameters:,}",
        f"{how}, {recipe.epochs} passes",
        f"{middle:.2f}% ({low:.2f} to {high:.2f})",
        recipe.published,
        f"{recipe.target:.2f}%: {outcome(middle >= recipe.target)}",
        f"{seconds:.0f} s",
    )
    return "| " + " | ".join(cells) + " |"


def main(argv: list[str] | None = None) -> None:
    command = parser("tutorials", __doc__)
    command.add_argument("--seeds", type=int, default=5, metavar="N", help="default: 5")
    command.add_argument("--only", choices=[r.architecture.name for r in TUTORIALS])
    command.add_argument("--relu", action="store_true", help='ReLU and "he" in place of tanh')
    rates = command.add_mutually_exclusive_group()
    rates.add_argument("--annealed", action="store_true", help="a rate that rises and falls")
    rates.add_argument("--decayed", action="store_true", help="the same, and weight decay")
    command.add_argument("--validation", action="store_true", help="leave the test set alone")
    command.add_argument("--threads", type=int, metavar="N")
    arguments = command.parse_args(argv)
    train, test = mnist()
    if arguments.validation:
        train, test = hold_out(train)
    print(
        "| network | parameters | recipe | accuracy, median (range) | published | to reach "
        "| training |\n| --- | --- | --- | --- | --- | --- | --- |"
    )
    for recipe in TUTORIALS:
        if arguments.only not in (None, recipe.architecture.name):
            continue
        if arguments.relu:
            recipe = with_relu(recipe)
        if arguments.annealed:
            recipe = annealed(recipe)
        if arguments.decayed:
            recipe = decayed(recipe)
        accuracies, seconds = [], []
        for seed in range(arguments.seeds):
            began = time.perf_counter()
            accuracies.append(accuracy(recipe, train, test, seed, arguments.threads))
            seconds.append(time.perf_counter() - began)
            print(f"{recipe.architecture.name}, seed {seed}: {accuracies[-1]:.2%}", file=sys.stderr)
        print(row(recipe, accuracies, statistics.median(seconds)), flush=True)


def with_relu(recipe: Tutorial) -> Tutorial:
    """Give the same recipe with ReLU in place of tanh, and initial weights that suit it."""
    architecture = recipe.architecture.with_activation("relu")
    return dataclasses.replace(recipe, architecture=architecture, init="he")


def annealed(recipe: Tutorial) -> Tutorial:
    """Give the same recipe with a rate that rises and falls, larger for larger batches."""
    rate = ANNEALED_ADAM.lr * (recipe.batch_size / 32) ** 0.5
    return dataclasses.replace(recipe, optimizer=dataclasses.replace(ANNEALED_ADAM, lr=rate))


def decayed(recipe: Tutorial) -> Tutorial:
    """Give the annealed recipe with weight decay, which the tutorials have not."""
    recipe = annealed(recipe)
    optimizer = dataclasses.replace(recipe.optimizer, weight_decay=DECAY)
    return dataclasses.replace(recipe, optimizer=optimizer)


if __name__ == "__main__":
    main()
