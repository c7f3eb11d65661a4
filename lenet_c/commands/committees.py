"""`lenet-c train` with --committee, --boost or --distil: several networks, or one of them."""

from __future__ import annotations

import argparse
import dataclasses
import time

from lenet_c import committee, losses
from lenet_c.classes import shortened
from lenet_c.commands import results
from lenet_c.commands.data import Data
from lenet_c.commands.errors import one_line
from lenet_c.commands.files import grey_reader_of
from lenet_c.cpu import get_num_threads
from lenet_c.ensemble import Ensemble
from lenet_c.model import LeNet5
from lenet_c.recipes import Recipe

OPTIONS = ("committee", "boost", "distil")
NOT_TOGETHER = ("start", "freeze", "resume", "plot", "animate")


def is_asked(arguments: argparse.Namespace) -> bool:
    """Tell whether the arguments ask for one of the three."""
    return any(getattr(arguments, name) is not None for name in OPTIONS)


def check(arguments: argparse.Namespace) -> None:
    """Raise ValueError for other options that the three do not have."""
    if not is_asked(arguments):
        return
    asked = next(name for name in OPTIONS if getattr(arguments, name) is not None)
    for name in NOT_TOGETHER:
        if getattr(arguments, name) is not None:
            option = "from" if name == "start" else name
            raise ValueError(f"--{option} is for training one network, not for --{asked}")
    if not arguments.committee and arguments.codes is not None:
        raise ValueError(f"--codes is for networks that are trained by themselves, not --{asked}")
    if not arguments.committee and arguments.distort is False:
        raise ValueError(f"--no-distort: --{asked} needs distortions")
    if arguments.distil is not None:
        grey_reader_of(arguments.distil)


def train(network: LeNet5, recipe: Recipe, data: Data, arguments: argparse.Namespace) -> None:
    """Train what is asked for, test it and save it.

    Parameters
    ----------
    network : LeNet5
        A new one, for the data's classes.
    recipe : Recipe
        With as many passes as are wanted.
    data, arguments
        As of `lenet-c train`.
    """
    images, labels = data.train
    recipe = dataclasses.replace(recipe, architecture=network.architecture)
    print(
        f"training {network.architecture.name} ({network.n_parameters:,} parameters) on "
        f"{data.name}: {len(images):,} images, {recipe.epochs} epochs each; "
        f"seed {arguments.seed}; threads {get_num_threads()}"
    )
    began = time.perf_counter()
    verbose = not arguments.quiet
    made: LeNet5 | Ensemble
    if arguments.distil is not None:
        made = _distilled(recipe, data, arguments)
    elif arguments.boost:
        made = committee.boost(
            images,
            labels,
            recipe,
            validation_data=data.validation,
            seed=arguments.seed,
            verbose=verbose,
        )
    else:
        made = _several(network, recipe, data, arguments)
    seconds = time.perf_counter() - began
    made.class_names = data.class_names
    if data.validation is not None and not arguments.boost:
        try:
            made.calibrate(*data.validation)
        except ValueError as error:
            print(f"not calibrated: {one_line(error)}")
    made.save(arguments.output)
    what, tested = ("test", data.test) if data.test is not None else ("validation", data.validation)
    if tested is not None:
        for k, one in enumerate(made.networks if isinstance(made, Ensemble) else ()):
            print(f"network {k + 1}: {what} error {one.evaluate(*tested).error_rate:.2%}")
        is_rbf = made._network.is_rbf
        results.report(made, tested, losses.checked(None, recipe.j, 1.0, is_rbf), what)
    print(f"training took {seconds:.1f} s")
    print(f"saved {arguments.output}")


def _several(
    network: LeNet5, recipe: Recipe, data: Data, arguments: argparse.Namespace
) -> Ensemble:
    """Train networks that differ in their seeds; calibrate each where there is what with."""
    networks = []
    for k in range(arguments.committee):
        seed = arguments.seed + k
        one = LeNet5(network.architecture, seed=seed, codes=network.codes)
        one.class_names = data.class_names
        recipe.trainer(one, seed=seed).fit(*data.train, recipe.epochs, verbose=not arguments.quiet)
        if data.validation is not None:
            one.calibrate(*data.validation, reject=None)
        networks.append(one)
    return Ensemble(networks)


def _distilled(recipe: Recipe, data: Data, arguments: argparse.Namespace) -> LeNet5:
    teacher = grey_reader_of(arguments.distil)
    if teacher.class_names not in (None, data.class_names):
        raise ValueError(
            f"--distil: {arguments.distil} reads {shortened(teacher.class_names)}, the images are "
            f"of {shortened(data.class_names)}: want the same classes"
        )

    def tell(epoch: int, loss: float, network: LeNet5) -> None:
        if not arguments.quiet:
            print(f"epoch {epoch}/{recipe.epochs}  loss {loss:.4f}")

    return committee.distil(
        teacher, data.train[0], None, recipe, seed=arguments.seed, on_epoch=tell
    )
