"""The command `lenet-c plot`: a network, drawn."""

from __future__ import annotations

import argparse
from typing import Any

from lenet_c import plot
from lenet_c.commands.files import character, check_output, grey_network_of, network_of
from lenet_c.layers import Conv
from lenet_c.networks import LENET5_1998, NETWORKS

KINDS = ("network", "filters", "maps", "codes")
FORMS = (".png", ".svg")


def run(arguments: argparse.Namespace) -> None:
    """Draw what was asked for, and say where it is."""
    what = arguments.what
    output = arguments.output or f"{what}.png"
    if not output.lower().endswith(FORMS):
        raise ValueError(f"--output: got {output!r}, want a name that ends in {' or '.join(FORMS)}")
    if arguments.architecture is not None and (what != "network" or arguments.model is not None):
        raise ValueError("--architecture is for network, in place of a model")
    if arguments.model is None and what != "network":
        raise ValueError(f"model: want one to draw the {what} of, as lenet-c plot {what} mnist")
    if (arguments.image is not None) != (what == "maps"):
        raise ValueError(
            "image: want one to draw the maps of, as lenet-c plot maps mnist seven.png"
            if what == "maps"
            else f"image: got {arguments.image!r}, want none for {what}"
        )
    if arguments.layer is not None and what != "filters":
        raise ValueError(f"--layer is for filters, not {what}")
    check_output(output)
    plot.new_figure(1, 1)  # tells what is missing before there is work
    plot.save(_drawn(arguments), output)
    print(f"plotted the {what} in {output}")


def _drawn(arguments: argparse.Namespace) -> Any:
    if arguments.what == "network":
        if arguments.model is None:
            return plot.network(NETWORKS[arguments.architecture or LENET5_1998.name])
        return plot.network(network_of(arguments.model))
    if arguments.what == "maps":
        return plot.feature_maps(grey_network_of(arguments.model), character(arguments.image))
    network = network_of(arguments.model)
    if arguments.what == "codes":
        return plot.codes(network, names=network.class_names)
    layers = [one.name for one in network.architecture.layers if isinstance(one, Conv)]
    if not layers:
        raise ValueError(f"{arguments.model}: has no convolution, whose filters could be drawn")
    return plot.filters(network, arguments.layer or layers[0])
