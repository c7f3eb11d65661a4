"""`lenet-c export`: a network in a form that other programs read."""

from __future__ import annotations

import argparse
import os

from lenet_c import export
from lenet_c.commands.files import check_output, network_of


def run(arguments: argparse.Namespace) -> None:
    """Write the files that the arguments ask for."""
    if arguments.onnx is None:
        raise ValueError("nothing to write, want --onnx FILE")
    check_output(arguments.onnx)
    network = network_of(arguments.model)
    export.onnx(network, arguments.onnx, input=arguments.input, size=arguments.size)
    size = os.path.getsize(arguments.onnx)
    print(f"{network.architecture.name} written to {arguments.onnx}, {size / 1000:.0f} kB")
