"""`lenet-c export`: a network in a form that other programs read."""

from __future__ import annotations

import argparse
import os
from typing import Any

from lenet_c import datasets, export
from lenet_c.commands import data
from lenet_c.commands.files import check_apart, check_output, reader_of
from lenet_c.ensemble import Ensemble
from lenet_c.model import LeNet5

SHOWN = 1000  # images by which whole numbers are scaled; strips have several characters
STRIPS = 100


def run(arguments: argparse.Namespace) -> None:
    """Write the files that the arguments ask for."""
    paths = [path for path in (arguments.onnx, arguments.c) if path is not None]
    if not paths:
        raise ValueError("nothing to write, want --onnx FILE or --c FILE")
    for name, needed in (("input", "onnx"), ("precision", "c"), ("prefix", "c")):
        if getattr(arguments, name) is not None and getattr(arguments, needed) is None:
            raise ValueError(f"--{name} is for --{needed}")
    check_apart(onnx=arguments.onnx, c=arguments.c)
    for path in paths:
        check_output(path)
    network = reader_of(arguments.model)
    if arguments.c is not None:  # first, since more can be wrong with it
        export.c(
            network,
            arguments.c,
            prefix=arguments.prefix,
            precision=arguments.precision or "float32",
            images=_images(network, arguments) if arguments.precision == "int8" else None,
            size=arguments.size,
        )
    if arguments.onnx is not None:
        export.onnx(network, arguments.onnx, input=arguments.input or "uint8", size=arguments.size)
    name = repr(network) if isinstance(network, Ensemble) else network.architecture.name
    for path in paths:
        kilobytes = os.path.getsize(path) / 1000
        print(f"{name} written to {path}, {kilobytes:.0f} kB")


def _images(network: LeNet5 | Ensemble, arguments: argparse.Namespace) -> Any:
    """Give images or strips as the network will be given them."""
    if data.is_pictures(arguments):
        pictures = datasets.folder(arguments.data, form=arguments.form)
        if isinstance(pictures, datasets.Fields):
            raise ValueError(f"{arguments.data}: has fields, want single characters")
        split: Any = pictures
    else:
        split = data.dataset(arguments)[1]
    images, labels = split
    if network._architecture.blank:
        return datasets.strings(images, labels).batch(STRIPS)[0]
    return images[:: max(1, len(images) // SHOWN)][:SHOWN]
