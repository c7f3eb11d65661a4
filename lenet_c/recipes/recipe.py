"""What a recipe is: every setting that trains a network."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lenet_c.architecture import Architecture
from lenet_c.distort import Distortion
from lenet_c.losses import DEFAULT_J
from lenet_c.model import LeNet5
from lenet_c.optimizers import SDLM, Optimizer
from lenet_c.trainer import Trainer

__all__ = ["DIGITS_IMAGES", "Recipe", "round_weights"]

DIGITS_IMAGES = 1437  # of scikit-learn's digits: what `digits_epochs` is for


@dataclass(frozen=True)
class Recipe:
    """Settings that train a network from the start, or go on with one.

    Attributes
    ----------
    architecture : Architecture
    loss : str
    optimizers : dict
        By name, with the settings of each; the first is the default.
    batch_size : int
        Of SDLM it is 1.
    epochs : int
        On MNIST.
    digits_epochs : int
        On scikit-learn's digits, a fortieth of MNIST.
    distortion : Distortion or None
    j : float
        The constant of the loss "map".
    temperature : float
        What the losses "map" and "cross_entropy" divide penalties or logits by.
    """

    architecture: Architecture
    loss: str
    optimizers: Mapping[str, Optimizer]
    batch_size: int
    epochs: int
    digits_epochs: int = 60
    distortion: Distortion | None = None
    j: float = DEFAULT_J
    temperature: float = 1.0

    @property
    def optimizer(self) -> Optimizer:
        """The default one."""
        return next(iter(self.optimizers.values()))

    def with_optimizer(self, optimizer: Optimizer) -> Recipe:
        """Give the same recipe with another default optimizer, and the size of batch it is for."""
        size = optimizer.batch_size if isinstance(optimizer, SDLM) else self.batch_size
        return dataclasses.replace(self, optimizers={optimizer.kind: optimizer}, batch_size=size)

    def passes(self, images: int) -> int:
        """Give passes for so many images of one's own: at least the updates that digits have."""
        updates = self.digits_epochs * -(-DIGITS_IMAGES // self.batch_size)
        return max(self.epochs, -(-updates // -(-images // self.batch_size)))

    def trainer(self, network: LeNet5, **settings: Any) -> Trainer:
        """Give a trainer of a network by this recipe.

        Parameters
        ----------
        network : LeNet5
        **settings
            Those of `Trainer` that no recipe has: seed, freeze, callbacks, num_threads.

        Returns
        -------
        Trainer
        """
        return Trainer(
            network,
            self.optimizer,
            self.loss,
            j=self.j,
            temperature=self.temperature,
            batch_size=self.batch_size,
            distort=self.distortion,
            **settings,
        )


def round_weights(network: LeNet5) -> None:
    """Round the weights to values that float16 has, as the last step before a network is shipped.

    They stay float32, and pack into two thirds of the bytes.

    Parameters
    ----------
    network : LeNet5
        No weight may be beyond 65,504, the largest value of float16.
    """
    network.parameters = network.parameters.astype(np.float16).astype(np.float32)
