"""Training for printed characters, and testing, in `lenet-c`."""

from __future__ import annotations

import argparse
import time

from lenet_c.commands import committees
from lenet_c.commands.files import check_model_name, check_output
from lenet_c.commands.strings import refuse
from lenet_c.cpu import cpu_info, get_num_threads
from lenet_c.recipes import printed as recipe

OTHERS = (
    *("architecture", "hold_out", "codes", "resume", "activation", "loss", "j", "temperature"),
    *("optimizer", "momentum", "weight_decay", "schedule", "plot", "start", "validation", "freeze"),
    *("batch_size", "rate", "distort", "steps", "dataset", "data", "animate"),
    *committees.OPTIONS,
)


def train(arguments: argparse.Namespace) -> None:
    """Train a reader of printed characters as the library's was, test it and save it."""
    refuse(arguments, "--printed", OTHERS)
    check_model_name(arguments.output)
    check_output(arguments.output)
    fonts = {part: recipe.fonts(part) for part in recipe.PARTS}
    paths = {part: recipe.find(fonts[part], arguments.fonts) for part in recipe.PARTS}
    families = [font.family for font in fonts["train"]]
    epochs = arguments.epochs or recipe.RECIPE.epochs
    print(f"drawing in {len(families)} fonts of {len(set(families))} families")
    images, labels = recipe.training_pictures(paths["train"], families, seed=arguments.seed)
    print(
        f"training {recipe.RECIPE.architecture.name} on {len(images):,} pictures, {epochs} epochs; "
        f"seed {arguments.seed}; threads {get_num_threads()}"
    )
    began = time.perf_counter()
    network = recipe.train(
        images,
        labels,
        epochs=epochs,
        seed=arguments.seed,
        verbose=0 if arguments.quiet else 2,
    )
    seconds = time.perf_counter() - began
    recipe.finish(network, *recipe.calibration_pictures(paths["validation"]))
    result = recipe.evaluate(network, paths["test"])
    network.notes = {
        "command": f"lenet-c train --printed --epochs {epochs} --seed {arguments.seed}",
        "families": len(set(families)),
        "isa": cpu_info()["isa"],
        "right": round(result.right, 6),
        "right_merged": round(result.right_merged, 6),
        "drawn_by": recipe.drawn_by(),
    }
    network.save(arguments.output)
    tested = {font.family for font in fonts["test"]}
    print(
        f"of {result.pictures:,} pictures in {len(tested)} other families {result.right:.2%} are "
        f"read right, {result.right_merged:.2%} where {' '.join(recipe.SAME)} count as one each"
    )
    print(f"training took {seconds:.1f} s")
    print(f"saved {arguments.output}")
