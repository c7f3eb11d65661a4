"""What is measured, and the network and images that every contender gets."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.common import Data, mnist, need
from lenet_c import (
    LENET5_28,
    LENET5_MODERN,
    LENET_CAFFE,
    SGD,
    Adam,
    Dense,
    LeNet5,
    MaxPool,
    Trainer,
    datasets,
    preprocess,
)
from lenet_c.optimizers import Optimizer

Floats = NDArray[np.float32]
Weights = list[Floats]

RATE = 1e-3
N_BATCHES = 16  # that training steps go round
N_CHECKED_STEPS = 4
N_IMAGES = 60_000
NETWORKS = {"modern": LENET5_MODERN, "caffe": LENET_CAFFE}


@dataclass(frozen=True)
class Task:
    """One thing to measure: what is done, on how many images at a time, and with what network."""

    kind: Literal["inference", "training", "epoch"]
    batch: int
    network: str = "modern"

    @property
    def name(self) -> str:
        """What the tables call it."""
        if self.kind == "epoch":
            return "MNIST epoch"
        solver = f", {'SGD' if self.sgd else 'Adam'}" if self.kind == "training" else ""
        of = "" if self.network == "modern" else f"{self.network}: "
        return f"{of}{self.kind} {self.batch}{solver}"

    @property
    def sgd(self) -> bool:
        """Whether training is by plain SGD; else by Adam."""
        return self.kind == "training" and self.batch == 1

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer as lenet_c has it."""
        return SGD(RATE) if self.sgd else Adam(RATE)


TASKS = (
    Task("inference", 1),
    Task("inference", 64),
    Task("inference", 1024),
    Task("training", 1),
    Task("training", 128),
    Task("epoch", 128),
    Task("inference", 1, "caffe"),
    Task("inference", 1024, "caffe"),
    Task("training", 128, "caffe"),
)


class Form(NamedTuple):
    """What is between the layers with weights: two convolutions, pooled, then dense layers.

    Attributes
    ----------
    maps, units : str
        The activations of convolutions, and of dense layers but the last: "tanh", "relu" or
        "identity".
    is_max : bool
        Whether pooling takes the largest of 2x2; else their mean.
    """

    maps: str
    units: str
    is_max: bool


@dataclass(frozen=True)
class Problem:
    """A task's network and images.

    Attributes
    ----------
    network : LeNet5
        With the weights to begin from.
    images : uint8 (N, 28, 28)
    labels : int64 (N,)
    test : (images, labels)
    """

    network: LeNet5
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    test: tuple[NDArray[np.uint8], NDArray[np.uint8]]

    @property
    def weights(self) -> Weights:
        """Weights and biases layer by layer: two convolutions, then the dense layers.

        The last convolution of the 32x32 network covers the whole map, so it is a dense layer; its
        weights and those of the 28x28 network's first dense layer are (120, 16, k, k) here.
        """
        arrays = [self.network[name].copy() for name in self.network]
        side = self.side
        arrays[4] = arrays[4].reshape(-1, arrays[2].shape[0], side, side)
        return arrays

    @property
    def form(self) -> Form:
        """What is between them."""
        first, pool, *_, hidden, _ = self.network.architecture.layers
        assert isinstance(hidden, Dense)
        return Form(getattr(first, "activation", ""), hidden.activation, isinstance(pool, MaxPool))

    @property
    def side(self) -> int:
        """Height and width of the last maps."""
        return int(self.network.architecture.output_shapes["S4"][1])

    def normalised(self, n: int | None = None) -> Floats:
        """Give the first n images as other libraries like them: padded, float32 (N, H, W)."""
        a = self.network.architecture
        padded = preprocess.pad(self.images[:n], a.input_shape[0])
        return preprocess.normalize(padded, a.background, a.foreground)

    def batches(self, size: int) -> list[tuple[Floats, NDArray[np.int64]]]:
        """Give the training batches, normalised."""
        x = self.normalised(N_BATCHES * size)
        starts = range(0, len(x), size)
        return [(x[i : i + size].copy(), self.labels[i : i + size].copy()) for i in starts]

    def raw_batches(self, size: int) -> list[tuple[NDArray[np.uint8], NDArray[np.int64]]]:
        """Give the same batches as lenet_c takes them."""
        starts = range(0, N_BATCHES * size, size)
        return [(self.images[i : i + size], self.labels[i : i + size]) for i in starts]

    def losses(self, task: Task) -> list[float]:
        """Give the losses of lenet_c's first training steps."""
        trainer = Trainer(self.copy(), task.optimizer, num_threads=1)
        return [trainer.step(*b) for b in self.raw_batches(task.batch)[:N_CHECKED_STEPS]]

    def copy(self) -> LeNet5:
        """Make a network of its own with the same weights."""
        network = LeNet5(self.network.architecture)
        network.parameters[...] = self.network.parameters
        return network

    def error_rate(self, weights: Weights) -> float:
        """Give the share of test images that these weights read wrongly."""
        network = self.copy()
        network.parameters[...] = np.concatenate([np.ravel(w) for w in weights])
        return network.evaluate(*self.test, num_threads=1).error_rate


def data_name() -> str:
    """Tell what `problem` uses."""
    return "MNIST" if os.environ.get("LENET_C_DATA") else "digits, repeated to 60,000 images"


def problem(task: Task) -> Problem:
    """Make a task's network and images, the same in every process."""
    train, test = data()
    take = np.arange(N_IMAGES) % len(train[0])
    # the paper's first weights, under convolutions without activation, give logits near 0
    init = "glorot" if task.network == "caffe" else None
    network = LeNet5(
        LENET5_28 if task.kind == "epoch" else NETWORKS[task.network], seed=0, init=init
    )
    return Problem(network, train[0][take], train[1][take].astype(np.int64), test)


@cache
def data() -> Data:
    """Give the training and test sets of `problem`, or end with a line that says why not."""
    if os.environ.get("LENET_C_DATA"):
        return mnist(os.environ["LENET_C_DATA"])
    need("sklearn")
    return datasets.digits()
