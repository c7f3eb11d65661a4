"""What a network's work is, counted from its architecture: multiply-adds, squashes, weights.

Convolutions, dense layers and RBF units count, a multiply-add for each connection without its
bias. An RBF unit's subtraction is free, and so are pooling, the loss and the update.
"""

from __future__ import annotations

import math

from lenet_c import RBF, Architecture, Conv, Dense

FLOAT = 4  # bytes


def multiply_adds(architecture: Architecture) -> dict[str, int]:
    """Count the connections without biases of each layer that multiplies, for one image."""
    inputs, outputs = architecture.input_shapes, architecture.output_shapes
    counts = {}
    for layer in architecture.layers:
        if isinstance(layer, Conv | Dense):
            weights = math.prod(layer.parameter_shapes(inputs[layer.name])["weight"])
            counts[layer.name] = weights * math.prod(outputs[layer.name][1:])
        elif isinstance(layer, RBF):
            counts[layer.name] = layer.n_connections(inputs[layer.name])
    return counts


def step_multiply_adds(architecture: Architecture) -> int:
    """Forward, gradients of all trained weights, and of all inputs but the image."""
    return sum(sum(counts.values()) for counts in by_part(architecture).values())


def by_part(architecture: Architecture) -> dict[str, dict[str, int]]:
    """Count a training step's multiply-adds for one image, by part (as in a profile) and layer."""
    forward = multiply_adds(architecture)
    first, last = architecture.layers[0].name, architecture.layers[-1]
    fixed = last.name if isinstance(last, RBF) and not last.trained else None
    return {
        "forward": forward,
        "backward_input": {name: n for name, n in forward.items() if name != first},
        "backward_weights": {name: n for name, n in forward.items() if name != fixed},
    }


def squashes(architecture: Architecture) -> dict[str, int]:
    """Count each layer's outputs that go through a tanh or a sigmoid, for one image."""
    return {
        layer.name: math.prod(architecture.output_shapes[layer.name])
        for layer in architecture.layers
        if getattr(layer, "activation", "identity") in ("tanh", "scaled_tanh", "sigmoid")
    }


def weight_bytes(architecture: Architecture) -> dict[str, int]:
    """Give the bytes of each multiplying layer's weights, without the biases."""
    outputs = architecture.output_shapes
    return {
        name: FLOAT * n // math.prod(outputs[name][1:])
        for name, n in multiply_adds(architecture).items()
    }
