"""What `lenet-c train` does unless told otherwise, by architecture."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType

from lenet_c import distort
from lenet_c.networks import (
    LENET1,
    LENET4,
    LENET5_28,
    LENET5_1998,
    LENET5_MAX,
    LENET5_MODERN,
    LENET_3X3,
    LENET_CAFFE,
    LENET_CIFAR,
    LENET_D2L,
)
from lenet_c.optimizers import SDLM, SGD, Adam
from lenet_c.recipes.recipe import Recipe

# sgd's rates were chosen on a fifth of the digits' training images, held out, and looked at on
# MNIST's last 10,000 training images.
_MODERN = Recipe(
    LENET5_MODERN,
    loss="cross_entropy",
    optimizers={
        "adam": Adam(3e-3, schedule="one_cycle"),
        "sgd": SGD(0.15, schedule="one_cycle", momentum=0.9),
        "sdlm": SDLM(),
    },
    batch_size=64,
    epochs=12,
)

_1998 = Recipe(
    LENET5_1998,
    loss="map",
    optimizers={
        "adam": Adam(8e-3, schedule="one_cycle", weight_decay=0.05),
        "sgd": SGD(0.005, schedule="one_cycle", momentum=0.9),
        "sdlm": SDLM(mu=0.5),  # docs/reproduction.md
    },
    batch_size=64,
    epochs=10,
)

_28 = dataclasses.replace(_MODERN, architecture=LENET5_28)
_3X3 = dataclasses.replace(_MODERN, architecture=LENET_3X3)

_FAMILY = tuple(
    dataclasses.replace(_MODERN, architecture=architecture)
    for architecture in (LENET1, LENET4, LENET_CAFFE, LENET_D2L, LENET5_MAX)
)

RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {recipe.architecture.name: recipe for recipe in (_1998, _MODERN, _28, _3X3, *_FAMILY)}
)
"""The default settings of `lenet-c train`."""

CIFAR = Recipe(
    LENET_CIFAR,
    loss="cross_entropy",
    optimizers={"sgd": SGD(1e-3, schedule="constant", momentum=0.9)},
    batch_size=4,
    epochs=2,
)
"""PyTorch's tutorial's own settings for `LENET_CIFAR`; the command line does not read colours."""

_AFFINE = (
    dataclasses.replace(
        _1998,
        optimizers={
            **_1998.optimizers,
            "adam": Adam(6e-3, schedule="one_cycle", weight_decay=0.03),
        },
        batch_size=128,
        epochs=100,
        digits_epochs=120,
    ),
    dataclasses.replace(
        _MODERN,
        optimizers={
            **_MODERN.optimizers,
            "adam": Adam(3e-3, schedule="one_cycle", weight_decay=0.05),
        },
        epochs=40,
    ),
    _28,
    _3X3,
    *_FAMILY,
)

DISTORTED: Mapping[str, Recipe] = MappingProxyType(
    {
        recipe.architecture.name: dataclasses.replace(recipe, distortion=distort.AFFINE)
        for recipe in _AFFINE
    }
)
"""Those of `lenet-c train --distort`: distorted images bear, and want, more passes."""


def fine_tuning(recipe: Recipe, has_new: bool = False) -> Recipe:
    """Give the settings of `lenet-c train --from` (docs/fine_tuning.md).

    Parameters
    ----------
    recipe : Recipe
        The architecture's, with its loss, j, distortion and other optimizers.
    has_new : bool
        Whether there are new classes to learn: then some 1,000 updates, else some 600.

    Returns
    -------
    Recipe
    """
    adam = Adam(3e-3 if has_new else 1e-3, schedule="one_cycle")
    return dataclasses.replace(
        recipe,
        optimizers={**recipe.optimizers, "adam": adam},
        batch_size=32,
        epochs=5,
        digits_epochs=22 if has_new else 13,
    )
