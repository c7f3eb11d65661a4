"""Trains the committee that `Ensemble.pretrained` gives: python -m lenet_c.recipes.committee.

The first network is `LeNet5.pretrained("mnist")`, so that its weights are in the library once; the
file has the others. Some are trained in the same way from other first weights, with fewer passes;
some go on from the first with other distortions and a rate that rises again; all on the 60,000
training images of MNIST. Temperatures and thresholds for doubts are those of a second committee,
which learns from the first 50,000 images, with fewer passes its first network too, and is
calibrated on the last 10,000. One version of lenet_c gives the same bits on one instruction set,
for any number of threads.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lenet_c import _core, datasets, distort
from lenet_c.classes import DIGITS
from lenet_c.ensemble import Ensemble
from lenet_c.model import LeNet5
from lenet_c.optimizers import Adam
from lenet_c.recipes import mnist

__all__ = ["ANEW", "FURTHER", "NEW", "ON", "main"]

ANEW = dataclasses.replace(mnist.RECIPES["mnist"], epochs=60)
"""Of networks that are trained from the start."""

FURTHER = dataclasses.replace(
    mnist.RECIPES["mnist"],
    optimizers={"adam": Adam(3e-3, schedule="one_cycle", weight_decay=0.03)},
    distortion=dataclasses.replace(distort.AFFINE, elastic=0.8),
    epochs=30,
)
"""Of networks that go on."""

NEW = (2,)
ON = (1, 2)
"""Their seeds."""

BITS = 7
"""Of a weight's mantissa, with the first one: what float16 has more is 0, and takes no space in a
compressed wheel."""


def shortened(parameters: NDArray[np.float32], bits: int = BITS) -> NDArray[np.float32]:
    """Round parameters to so many bits of a mantissa, and to float16."""
    mantissa, exponent = np.frexp(parameters)
    rounded = np.ldexp(np.rint(np.ldexp(mantissa, bits)), exponent - bits)
    return np.asarray(rounded, np.float16).astype(np.float32)


def train(
    base: LeNet5, data: datasets.Arrays, epochs: int | None, num_threads: int | None
) -> list[LeNet5]:
    """Train all networks but the first, `base`, printing a line a pass."""
    found = [
        mnist.train(ANEW, data, seed=seed, epochs=epochs, num_threads=num_threads) for seed in NEW
    ]
    for seed in ON:
        network = LeNet5(base.architecture)
        network.copy_from(base)
        trainer = FURTHER.trainer(network, seed=seed, num_threads=num_threads)
        trainer.fit(*data, epochs or FURTHER.epochs, verbose=2)
        found.append(network)
    return found


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
    option("--epochs", type=int, metavar="N", help="passes of each; default: the recipes'")
    option("--threads", type=int, metavar="N", help="change the time, not the weights")
    arguments = parser.parse_args(argv)
    os.makedirs(arguments.output, exist_ok=True)
    data, test = datasets.mnist(arguments.data)
    epochs, threads = arguments.epochs, arguments.threads
    networks = train(LeNet5.pretrained("mnist"), data, epochs, threads)
    learnt, _ = mnist.parted(data)
    base = mnist.train(ANEW, learnt, epochs=epochs, num_threads=threads)
    twins = [base, *train(base, learnt, epochs, threads)]
    save(assembled(networks, twins, data), test, arguments.output)


def save(committee: Ensemble, test: datasets.Arrays, folder: str) -> None:
    """Test the committee with its first network, and write its file."""
    whole = Ensemble([LeNet5.pretrained("mnist"), *committee.networks])
    result = whole.evaluate(*test)
    committee.class_names = DIGITS
    committee.notes = {
        "command": "python -m lenet_c.recipes.committee",
        "isa": _core.isa()[0],
        "test_error_rate": round(result.error_rate, 6),
    }
    path = os.path.join(folder, "committee.npz")
    committee.save(path, half=True)
    print(
        f"committee of {len(whole)}: test error {result.error_rate:.2%}, saved {path}", flush=True
    )


if __name__ == "__main__":
    main()
