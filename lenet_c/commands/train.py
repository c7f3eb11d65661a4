"""The command `lenet-c train`."""

from __future__ import annotations

import argparse
import dataclasses
import os
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lenet_c import codes, distort, plot
from lenet_c.callbacks import BestWeights
from lenet_c.classes import shortened
from lenet_c.commands import committees, printed, results, strings
from lenet_c.commands.data import Data, training_data
from lenet_c.commands.errors import one_line
from lenet_c.commands.files import (
    check_apart,
    check_model_name,
    check_output,
    check_plots,
    grey_network_of,
    save_plots,
)
from lenet_c.cpu import get_num_threads
from lenet_c.layers import Conv
from lenet_c.model import LeNet5
from lenet_c.networks import LENET5_1998, LENET5_MODERN, NETWORKS
from lenet_c.optimizers import SDLM, SGD, Optimizer
from lenet_c.recipes import DISTORTED, RECIPES, Recipe, fine_tuning
from lenet_c.trainer import Trainer

_HOW_DISTORTED = {
    distort.AFFINE: "distorted",
    distort.SLIGHT: "slightly distorted",
    distort.WORLD: "distorted as the world does",
}


def run(arguments: argparse.Namespace) -> None:
    """Train a network, test it and save it."""
    if arguments.printed and arguments.strings:
        raise ValueError("--printed and --strings: got both, want one of them")
    if arguments.fonts is not None and not arguments.printed:
        raise ValueError("--fonts is for --printed")
    if arguments.strings:
        strings.train_digits(arguments)
        return
    if arguments.printed:
        printed.train(arguments)
        return
    # Every setting is checked before data are read, perhaps downloaded, and time is spent.
    check_model_name(arguments.output)
    check_output(arguments.output)
    check_apart(
        output=arguments.output,
        resume=arguments.resume,
        animate=arguments.animate,
        plot=arguments.plot,
    )
    check_plots(arguments.plot)
    if arguments.animate is not None:
        plot.new_figure(1, 1)
        check_output(arguments.animate)
    if arguments.resume is not None:
        check_model_name(arguments.resume)
        check_output(arguments.resume)
    base = _beginning(arguments)
    if base.architecture.blank:
        if arguments.start is None:
            raise ValueError(
                f"--architecture {base.architecture.name}: --strings trains it, and --from strings "
                "goes on with it on fields of one's own"
            )
        strings.train_fields(base, arguments)
        return
    if arguments.steps is not None:
        raise ValueError("--steps is for strings, want --epochs")
    committees.check(arguments)
    if (arguments.boost or arguments.distil is not None) and arguments.distort is None:
        arguments.distort = True
    _trainer(base, _recipe(base, arguments), arguments)
    data = training_data(arguments)
    network = _for_classes(base, data, arguments)
    has_new = base.known_classes(data.class_names) != data.class_names
    recipe = _recipe(base, arguments, has_new)
    trainer = _trainer(network, recipe, arguments)
    (images, labels), validation = data.train, data.validation
    epochs = arguments.epochs
    if epochs is None and arguments.start is None and data.test is not None:
        epochs = recipe.digits_epochs if data.name == "digits" else recipe.epochs
    elif epochs is None:
        epochs = recipe.passes(len(images))
    if committees.is_asked(arguments):
        committees.train(network, dataclasses.replace(recipe, epochs=epochs), data, arguments)
        return
    print(
        f"training {network.architecture.name} ({network.n_parameters:,} parameters) on "
        f"{data.name}: {len(images):,} images, {epochs} epochs\n"
        f"{_settings(trainer)}; seed {arguments.seed}; threads {get_num_threads()}"
    )
    before = None
    if arguments.start is not None and not has_new and validation is not None:
        before = network.evaluate(*validation).error_rate
        print(f"before: validation error {before:.2%}")
    best = None
    if validation is not None and arguments.hold_out is None:
        # the error rate of few images is often the same; their loss is not
        best = BestWeights(monitor="val_loss")
        trainer.callbacks.append(best)
    animation = None
    if arguments.animate is not None:
        animation = plot.Animation(_first_convolution(network))
        trainer.callbacks.append(animation)
    watched = data.test if arguments.plot is not None and validation is None else validation
    began = time.perf_counter()
    how = {"checkpoint": arguments.resume, "verbose": not arguments.quiet}
    try:
        if arguments.resume is not None and os.path.exists(arguments.resume):
            trainer = _resumed(arguments.resume, trainer, epochs)
            network = trainer.network
            trainer.resume(images, labels, watched, **how)
        else:
            trainer.fit(images, labels, epochs, watched, **how)
    except FloatingPointError as error:
        reason = str(error).partition(";")[0]
        raise FloatingPointError(f"{reason}; nothing is saved, try a lower --rate") from None
    seconds = time.perf_counter() - began
    if best is not None and best.epoch is not None:
        print(f"kept the weights of epoch {best.epoch}, with the lowest validation loss")
    if validation is not None:
        if before is not None and network.evaluate(*validation).error_rate >= before:
            print(f"it reads the validation images no better than {arguments.start} does")
        try:
            network.calibrate(*validation)
        except ValueError as error:  # few images, or it learnt nothing
            print(f"not calibrated: {one_line(error)}")
    network.save(arguments.output)
    what, tested = ("test", data.test) if data.test is not None else ("validation", validation)
    if tested is not None:
        results.report(network, tested, trainer._criterion, what)
    print(f"training took {seconds:.1f} s")
    print(f"saved {arguments.output}")
    if animation is not None:
        animation.save(arguments.animate)
        print(f"animated the kernels of {animation.layer} in {arguments.animate}")
    if arguments.plot is not None:
        curves = plot.learning_curves(
            trainer.history, validation="test" if validation is None else "validation"
        )
        drawn = {} if tested is None else results.plots(network, tested)
        save_plots(arguments.plot, {"learning_curves": curves, **drawn})


def _beginning(arguments: argparse.Namespace) -> LeNet5:
    """Give the network to begin with, whatever its classes are."""
    if arguments.start is None:
        architecture = NETWORKS[arguments.architecture or LENET5_1998.name]
        if architecture.image_shape[0] > 1:
            raise ValueError(
                f"--architecture {architecture.name}: it reads colours, and this command's "
                "pictures are grey, want lenet_c.recipes.CIFAR in Python"
            )
        if arguments.codes is not None and architecture.code_length is None:
            raise ValueError(f"--codes is for RBF outputs, and {architecture.name} has none")
        if arguments.activation is not None:
            architecture = architecture.with_activation(arguments.activation)
        return LeNet5(architecture, seed=arguments.seed)
    for option in ("architecture", "activation"):
        if getattr(arguments, option) is not None:
            raise ValueError(f"--{option} is for a new network, and --from has one")
    network = grey_network_of(arguments.start)
    if arguments.codes is not None and network.codes is None:
        raise ValueError(f"--codes is for RBF outputs, and {arguments.start} has none")
    return network


def _first_convolution(network: LeNet5) -> str:
    for layer in network.architecture.layers:
        if isinstance(layer, Conv):
            return layer.name
    raise ValueError(f"--animate: {network.architecture.name} has no convolution")


def _recipe(network: LeNet5, arguments: argparse.Namespace, has_new: bool = False) -> Recipe:
    """Give the settings: the architecture's recipe, changed by what the arguments say.

    With --from the network may have new classes.
    """
    recipes = DISTORTED if arguments.distort else RECIPES
    if arguments.start is None:
        recipe = recipes[arguments.architecture or LENET5_1998.name]
    else:
        likely = LENET5_MODERN.name if network.codes is None else LENET5_1998.name
        recipe = fine_tuning(recipes.get(network.architecture.name, recipes[likely]), has_new)
        if arguments.distort is None:
            recipe = dataclasses.replace(recipe, distortion=distort.SLIGHT)
    if isinstance(arguments.distort, str):
        recipe = dataclasses.replace(recipe, distortion=distort.DISTORTIONS[arguments.distort])
    recipe = recipe.with_optimizer(_optimizer(recipe, arguments))
    loss = arguments.loss or recipe.loss
    if arguments.j is not None and loss != "map":
        raise ValueError(f"--j is for --loss map, not {loss}")
    if arguments.temperature is not None and loss == "mse":
        raise ValueError("--temperature is for --loss map and cross_entropy, not mse")
    return dataclasses.replace(
        recipe,
        loss=loss,
        j=recipe.j if arguments.j is None else arguments.j,
        temperature=recipe.temperature if arguments.temperature is None else arguments.temperature,
        batch_size=arguments.batch_size or recipe.batch_size,
    )


def _for_classes(base: LeNet5, data: Data, arguments: argparse.Namespace) -> LeNet5:
    """Give the network for these classes; of one from a file say what becomes of its own."""
    given = None if arguments.codes is None else _codes(arguments.codes)
    names = data.class_names
    if given is None and base.codes is not None and base.known_classes(names) != names:
        given = data.codes
    try:
        network = base.with_classes(names, codes=given, seed=arguments.seed)
    except ValueError as error:
        if not str(error).startswith("codes: "):
            raise
        raise ValueError(
            f"{error}; --codes takes a text of such characters, say {codes.CHARACTERS[33:36]} for "
            "three classes in the order of their names, or a file of numbers, a row a class"
        ) from None
    if arguments.start is not None:
        known = base.known_classes(names)
        new = [name for name in names if name not in known]
        unnamed = " (without class names: taken for the digits)" if base.class_names is None else ""
        words = [f"{shortened(known)}{unnamed}" if known else "no class"]
        if new:
            words.append(f"new {shortened(new)}")
        print(f"from {arguments.start}: goes on with {'; '.join(words)}")
    if isinstance(given, str):
        pairs = [f"{name} = {code}" for name, code in zip(names, given, strict=True)]
        print(f"codes: {shortened(pairs)}")
    return network


def _codes(given: str) -> str | NDArray[Any]:
    """Read --codes: a file of numbers, or the characters themselves."""
    if not os.path.isfile(given):
        return given
    try:
        if given.endswith(".npy"):
            array: NDArray[Any] = np.load(given, allow_pickle=False)
            return array
        return np.loadtxt(
            given, np.float32, ndmin=2, delimiter="," if given.endswith(".csv") else None
        )
    except (UnicodeDecodeError, ValueError, EOFError) as error:
        raise ValueError(f"--codes: {given}: want numbers, a row a class ({error})") from None


def _trainer(network: LeNet5, recipe: Recipe, arguments: argparse.Namespace) -> Trainer:
    freeze = () if arguments.freeze is None else arguments.freeze.split(",")
    return recipe.trainer(network, seed=arguments.seed, freeze=freeze)


def _resumed(path: str, wanted: Trainer, epochs: int) -> Trainer:
    """Read a training under way, which has to be the one that this command would begin."""
    trainer = Trainer.load(path, callbacks=wanted.callbacks)
    run = trainer._run
    if run is None:
        raise ValueError(f"{path}: no training is under way in it; remove it to begin anew")

    def told(one: Trainer, passes: int) -> dict[str, Any]:
        return {
            "classes": one.network.class_names,
            "architecture": one.network.architecture,
            "codes": one.network._fixed_codes,
            "settings": (_settings(one), one.optimizer, one._criterion, one.distort),
            "frozen layers": one._frozen,
            "seed": one._distort_seed,
            "epochs": passes,
        }

    before, now = told(trainer, run.epochs), told(wanted, epochs)
    other = [key for key in now if now[key] != before[key]]
    if other:
        raise ValueError(
            f"{path}: was begun with other {' and '.join(other)} than this command says; give the "
            "command that began it, or remove the file to begin anew"
        )
    done = len(trainer.history.epochs)
    print(f"going on from {path}: {done} of {epochs} epochs are done")
    return trainer


def _optimizer(recipe: Recipe, arguments: argparse.Namespace) -> Optimizer:
    kind = arguments.optimizer or next(iter(recipe.optimizers))
    optimizer = recipe.optimizers[kind]
    given = {
        "lr": arguments.rate,
        "momentum": arguments.momentum,
        "weight_decay": arguments.weight_decay,
        "schedule": arguments.schedule,
    }
    if arguments.momentum is not None and not isinstance(optimizer, SGD):
        raise ValueError(f"--momentum is for --optimizer sgd, not {kind}")
    return dataclasses.replace(optimizer, **{k: v for k, v in given.items() if v is not None})


def _settings(trainer: Trainer) -> str:
    optimizer = trainer.optimizer
    words = [f"loss {trainer.loss}"]
    if trainer.loss == "map":
        words.append(f"j {trainer.j:g}")
    if trainer.loss != "mse" and trainer.temperature != 1.0:
        words.append(f"temperature {trainer.temperature:g}")
    words += [optimizer.kind, f"rate {optimizer.lr:g} {optimizer.schedule}"]
    if isinstance(optimizer, SGD):
        words.append(f"momentum {optimizer.momentum:g}")
    if isinstance(optimizer, SDLM):
        words.append(f"mu {optimizer.mu:g}")
    if optimizer.weight_decay:
        words.append(f"weight decay {optimizer.weight_decay:g}")
    words.append(f"batch {trainer.batch_size}")
    if trainer.distort is not None:
        words.append(_HOW_DISTORTED.get(trainer.distort, "distorted"))
    if trainer._frozen:
        words.append(f"frozen {', '.join(trainer._frozen)}")
    return "; ".join(words)
