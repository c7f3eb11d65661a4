"""Initial weights: the paper's, and those that other activations and frameworks use.

"paper"
    Weights and biases uniform in [-2.4 / F, 2.4 / F], F the number of inputs of the unit (LeCun et
    al. 1998, appendix A).
"he"
    For rectified units: weights uniform with variance 2 / F, biases 0 (He et al. 2015).
"glorot"
    As Keras does unless told otherwise: weights uniform with variance 2 / (F + G), G the number of
    units that an input feeds, biases 0 (Glorot and Bengio 2010).

With "he" and "glorot" a `Subsample` begins as the plain mean: a coefficient of either sign would
leave half of the rectified maps without a gradient.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from lenet_c import checks
from lenet_c.architecture import Architecture

INITS = ("paper", "he", "glorot")


def check(init: str | None) -> None:
    """Raise ValueError unless `init` is None or one of `INITS`."""
    if init is not None:
        checks.one_of("init", init, INITS)


def draw(
    architecture: Architecture, name: str, init: str | None, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw one parameter's initial values.

    Parameters
    ----------
    architecture : Architecture
    name : str
        The parameter's, "C1.weight".
    init : str, optional
        One of `INITS`; None: "he" if the layer's units are rectified, else "paper".
    rng : numpy.random.Generator

    Returns
    -------
    float64 array of the parameter's shape
    """
    layer = next(la for la in architecture.layers if la.name == name.partition(".")[0])
    shape = architecture.parameter_shapes[name]
    if init is None:
        init = "he" if getattr(layer, "activation", None) == "relu" else "paper"
    fan_in = np.array(architecture.fan_in[name], float).reshape(-1, *[1] * (len(shape) - 1))
    if init == "paper":
        limit = 2.4 / fan_in
    elif name.endswith(".bias"):
        return np.zeros(shape)
    elif name.endswith(".coefficient"):
        return np.full(shape, 1 / 4)
    elif init == "he":
        limit = np.sqrt(6.0 / fan_in)
    else:
        inputs = architecture.input_shapes[layer.name]
        fan_out = math.prod(shape) / (math.prod(inputs) if layer.flat else inputs[0])
        limit = np.sqrt(6.0 / (fan_in + fan_out))
    return limit * rng.uniform(-1.0, 1.0, shape)
