"""Trains the committee that `Ensemble.pretrained` gives: python -m lenet_c.recipes.committee.

1998 networks with seeds from 1 on learn from all 60,000 training images of MNIST by the recipe of
`LeNet5.pretrained("mnist")`, with fewer passes. That network is the committee's first, so that its
weights are in the library once: the file has the others, in float16. Temperatures and thresholds
for doubts are those of a second committee, trained in the same way, its first network too, on the
first 50,000 images and calibrated on the last 10,000. One seed and one version of lenet_c give the
same bits on one instruction set, for any number of threads.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lenet_c import _core, datasets
from lenet_c.classes import DIGITS
from lenet_c.ensemble import Ensemble
from lenet_c.model import LeNet5
from lenet_c.recipes import mnist

__all__ = ["NETWORKS", "RECIPE", "main"]

RECIPE = dataclasses.replace(mnist.RECIPES["mnist"], epochs=60)
NETWORKS = 5
BITS = 7
"""Of a weight's mantissa, with the first one: what float16 has more is 0, and takes no space in a
compressed wheel."""


def shortened(parameters: NDArray[np.float32], bits: int = BITS) -> NDArray[np.float32]:
    """Round parameters to so many bits of a mantissa, and to float16."""
    mantissa, exponent = np.frexp(parameters)
    rounded = np.ldexp(np.rint(np.ldexp(mantissa, bits)), exponent - bits)
    return np.asarray(rounded, np.float16).astype(np.float32)


def assembled(
    networks: Sequence[LeNet5], twins: Sequence[LeNet5], data: datasets.Arrays
) -> Ensemble:
    """Give the committee of what is in its file, calibrated.

    Parameters
    ----------
    networks : sequence of LeNet5
        All but the first, trained on all images.
    twins : sequence of LeNet5
        One for each network of the committee, the first too, that did not see the last sixth.
    data : (images, labels)
        All training images.
    """
    others = mnist.parted(data)[1]
    for twin in twins:
        twin.calibrate(*others, reject=None)
    for network, twin in zip(networks, twins[1:], strict=True):
        network.parameters = shortened(network.parameters)
        network.temperature = twin.temperature
    committee = Ensemble(networks)
    like = Ensemble(twins).calibrate(*others)
    committee.temperature, committee.rejection = like.temperature, like.rejection
    return committee


def main(argv: Sequence[str] | None = None) -> None:
    """Train, test and save.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; by default those of the process.
    """
    parser = argparse.ArgumentParser(
        prog="python -m lenet_c.recipes.committee", description=__doc__
    )
    option = parser.add_argument
    option("--output", default=".", metavar="FOLDER", help="for the file; default: here")
    option("--data", metavar="FOLDER", help="with MNIST's four files")
    option("--epochs", type=int, metavar="N", help="passes; default: the recipe's")
    option("--networks", type=int, default=NETWORKS, metavar="N", help="default: %(default)s")
    option("--threads", type=int, metavar="N", help="change the time, not the weights")
    arguments = parser.parse_args(argv)
    os.makedirs(arguments.output, exist_ok=True)
    data, test = datasets.mnist(arguments.data)
    how = {"epochs": arguments.epochs, "num_threads": arguments.threads}
    seeds = range(arguments.networks)
    networks = [mnist.train(RECIPE, data, seed=seed, **how) for seed in seeds[1:]]
    learnt, _ = mnist.parted(data)
    twins = [mnist.train(RECIPE, learnt, seed=seed, **how) for seed in seeds]
    committee = assembled(networks, twins, data)
    whole = Ensemble([LeNet5.pretrained("mnist"), *committee.networks])
    result = whole.evaluate(*test, num_threads=arguments.threads)
    committee.class_names = DIGITS
    committee.notes = {
        "command": "python -m lenet_c.recipes.committee",
        "epochs": arguments.epochs or RECIPE.epochs,
        "distortion": RECIPE.distortion and dataclasses.asdict(RECIPE.distortion),
        "isa": _core.isa()[0],
        "test_error_rate": round(result.error_rate, 6),
    }
    path = os.path.join(arguments.output, "committee.npz")
    committee.save(path, half=True)
    print(
        f"committee of {len(whole)}: test error {result.error_rate:.2%}, saved {path}", flush=True
    )


if __name__ == "__main__":
    main()
