"""The error rate against the share rejected, on MNIST.

python -m bench.rejection [MODEL] reads a model that `lenet-c train` saved and prints what has to be
rejected of the test images for some error rates. Then it trains the same recipe on the first 50,000
training images, finds thresholds on the other 10,000, and prints what they do on the test images.
"""

from __future__ import annotations

import argparse

import numpy as np

from lenet_c import LENET5_1998, LeNet5, Trainer, datasets
from lenet_c.cli import RECIPES

WANTED = (0.005, 0.0025, 0.001)
N_TRAIN = 50_000
EPOCHS = 16

Arrays = tuple[np.ndarray, np.ndarray]


def shares(net: LeNet5, test: Arrays) -> None:
    """Print what has to be rejected of the test images."""
    curves = [net.rejection_curve(*test, by) for by in ("margin", "penalty")]
    print("| error rate of what is left | rejected by margin | by penalty |\n| --- | --- | --- |")
    for wanted in (float(curves[0].error_rate[0]), *WANTED):
        cells = [f"{curve.reaching(wanted).rejected:.2%}" for curve in curves]
        print(f"| {wanted:.2%} | {' | '.join(cells)} |")


def thresholds(validation: Arrays, test: Arrays, net: LeNet5) -> None:
    """Print what thresholds that were found on one set do on another."""
    print("| wanted | threshold | rejected | error rate of what is left |")
    print("| --- | --- | --- | --- |")
    images, labels = test
    for by in ("margin", "penalty"):
        curve = net.rejection_curve(*validation, by)
        for wanted in WANTED:
            rejection = curve.reaching(wanted).rejection
            answers = net.predict(images, reject=rejection)
            left = answers >= 0
            error_rate = (answers != labels)[left].mean()
            threshold = f"{by} {getattr(rejection, by):.1f}"
            print(f"| {wanted:.2%} | {threshold} | {1 - left.mean():.2%} | {error_rate:.2%} |")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="model.npz")
    net = LeNet5.load(parser.parse_args().model)
    (images, labels), test = datasets.mnist()
    shares(net, test)
    print()
    recipe = RECIPES[LENET5_1998.name]
    net = LeNet5(seed=0)
    optimizer = recipe.optimizers["adam"]
    trainer = Trainer(net, optimizer, recipe.loss, j=recipe.j, batch_size=recipe.batch_size)
    trainer.fit(images[:N_TRAIN], labels[:N_TRAIN], EPOCHS)
    print(f"trained on {N_TRAIN:,} images: test error {net.evaluate(*test).error_rate:.2%}\n")
    thresholds((images[N_TRAIN:], labels[N_TRAIN:]), test, net)


if __name__ == "__main__":
    main()
