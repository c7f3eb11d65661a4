"""The command `lenet-c`: train, evaluate, predict, summary, info.

Results go to standard output; the progress bar and errors, one line each, to standard error.
Exit codes: 0; 2 for an error; 130 for Ctrl-C; 141 when nobody reads the output any more.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from typing import Any, NoReturn, TextIO

import numpy as np
from numpy.typing import NDArray

import lenet_c
from lenet_c import calibration, checks, codes, datasets, distort, files, losses, plot, preprocess
from lenet_c.callbacks import BestWeights
from lenet_c.cpu import cpu_info, get_num_threads, set_num_threads
from lenet_c.folders import FORMS, TABLE, shortened
from lenet_c.layers import ACTIVATIONS
from lenet_c.losses import DEFAULT_J, LOSSES
from lenet_c.model import LeNet5, _pretrained
from lenet_c.networks import LENET5_28, LENET5_1998, LENET5_MODERN, LENET_3X3, NETWORKS
from lenet_c.optimizers import SCHEDULES, SDLM, SGD, Adam, Optimizer
from lenet_c.rejection import Rejection, best_two
from lenet_c.trainer import Trainer

Split = tuple[NDArray[np.uint8], NDArray[np.uint8]]

DIGITS = tuple("0123456789")
REFUSED_SHOWN = 5

MODEL = "file that train saved; or mnist or mnist-modern, which come with the library"


@dataclass(frozen=True)
class Recipe:
    """What `lenet-c train` does unless told otherwise.

    Attributes
    ----------
    loss : str
    j : float
        The constant of the loss "map".
    optimizers : dict
        By the name that --optimizer takes, with the settings of each; the first is the default.
    batch_size : int
        Of sdlm it is 1.
    epochs : int
        On MNIST.
    digits_epochs : int
        On the digits, a fortieth of MNIST.
    """

    loss: str
    j: float
    optimizers: dict[str, Optimizer]
    batch_size: int
    epochs: int
    digits_epochs: int


# sgd's rates were chosen on a fifth of the digits' training images, held out, and looked at on
# MNIST's last 10,000 training images.
_LINEAR = Recipe(
    loss="cross_entropy",
    j=DEFAULT_J,
    optimizers={
        "adam": Adam(3e-3, schedule="one_cycle"),
        "sgd": SGD(0.15, schedule="one_cycle", momentum=0.9),
        "sdlm": SDLM(),
    },
    batch_size=64,
    epochs=12,
    digits_epochs=60,
)

RECIPES: dict[str, Recipe] = {
    LENET5_1998.name: Recipe(
        loss="map",
        j=DEFAULT_J,
        optimizers={
            "adam": Adam(8e-3, schedule="one_cycle", weight_decay=0.05),
            "sgd": SGD(0.005, schedule="one_cycle", momentum=0.9),
            "sdlm": SDLM(mu=0.5),  # docs/reproduction.md
        },
        batch_size=64,
        epochs=10,
        digits_epochs=60,
    ),
    LENET5_MODERN.name: _LINEAR,
    LENET5_28.name: _LINEAR,
    LENET_3X3.name: _LINEAR,
}
"""The default settings of `lenet-c train`, by architecture."""

DISTORTED: dict[str, Recipe] = RECIPES | {
    LENET5_1998.name: dataclasses.replace(
        RECIPES[LENET5_1998.name],
        optimizers={
            **RECIPES[LENET5_1998.name].optimizers,
            "adam": Adam(6e-3, schedule="one_cycle", weight_decay=0.03),
        },
        batch_size=128,
        epochs=100,
        digits_epochs=120,
    ),
    LENET5_MODERN.name: dataclasses.replace(
        _LINEAR,
        optimizers={
            **_LINEAR.optimizers,
            "adam": Adam(3e-3, schedule="one_cycle", weight_decay=0.05),
        },
        epochs=40,
    ),
}
"""Those of `lenet-c train --distort`: distorted images bear, and want, more passes."""

FINE_TUNING = Recipe(
    loss="",  # the architecture's, as j and the other optimizers
    j=DEFAULT_J,
    optimizers={"adam": Adam(1e-3, schedule="one_cycle")},
    batch_size=32,
    epochs=5,
    digits_epochs=13,
)
"""What `lenet-c train --from` has of its own (docs/fine_tuning.md): some 600 updates."""

NEW_CLASSES = dataclasses.replace(
    FINE_TUNING, optimizers={"adam": Adam(3e-3, schedule="one_cycle")}, digits_epochs=22
)
"""What it has where there are new classes to learn: some 1,000 updates."""

DIGITS_IMAGES = 1437  # what digits_epochs is for


@dataclass(frozen=True)
class Data:
    """What a command trains and tests with.

    Attributes
    ----------
    name : str
    class_names : tuple of str
    train : (images, labels)
    validation, test : (images, labels) or None
        Of one's own pictures there are no others to test with.
    """

    name: str
    class_names: tuple[str, ...]
    train: Split
    validation: Split | None = None
    test: Split | None = None


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; by default those of the process.

    Returns
    -------
    int
        The exit code.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Lines appear as they happen, and odd file names can be printed, also into a pipe.
        sys.stdout.reconfigure(errors="backslashreplace", line_buffering=True)
    try:
        try:
            arguments = _parser().parse_args(argv)
            if arguments.threads is not None:
                set_num_threads(arguments.threads)
            return arguments.run(arguments) or 0
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except KeyboardInterrupt:
        return fail("interrupted", 130)
    except BrokenPipeError:
        _drop(sys.stdout)
        return 141
    except (ArithmeticError, ImportError, MemoryError, OSError, RuntimeError, ValueError) as error:
        return fail(f"error: {_one_line(error)}", 2)


# ---- commands ----


def _train(arguments: argparse.Namespace) -> None:
    # Every setting is checked before data are read, perhaps downloaded, and time is spent.
    _check_model_name(arguments.output)
    _check_output(arguments.output)
    _check_plots(arguments.plot)
    if arguments.resume is not None:
        _check_model_name(arguments.resume)
        _check_output(arguments.resume)
        if files.target_of(arguments.resume) == files.target_of(arguments.output):
            raise ValueError(f"--resume: {arguments.resume} is the model's file too, want another")
    base = _beginning(arguments)
    _trainer(base, _recipe(base, arguments), arguments)
    data = _training_data(arguments)
    network = _for_classes(base, data.class_names, arguments)
    has_new = base.known_classes(data.class_names) != data.class_names
    recipe = _recipe(base, arguments, has_new)
    trainer = _trainer(network, recipe, arguments)
    (images, labels), validation = data.train, data.validation
    epochs = arguments.epochs
    if epochs is None and arguments.start is None and data.test is not None:
        epochs = recipe.epochs if data.name == "mnist" else recipe.digits_epochs
    elif epochs is None:
        epochs = _passes(recipe, len(images), trainer.batch_size)
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
    watched = data.test if arguments.plot is not None and validation is None else validation
    began = time.perf_counter()
    with _Progress(epochs, len(images)) if not arguments.quiet else nullcontext() as progress:
        if progress is not None:
            trainer.callbacks.append(progress)
        try:
            if arguments.resume is not None and os.path.exists(arguments.resume):
                trainer = _resumed(arguments.resume, trainer, epochs)
                network = trainer.network
                trainer.resume(images, labels, watched, checkpoint=arguments.resume)
            else:
                trainer.fit(images, labels, epochs, watched, checkpoint=arguments.resume)
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
            print(f"not calibrated: {_one_line(error)}")
    network.save(arguments.output)
    what, tested = ("test", data.test) if data.test is not None else ("validation", validation)
    if tested is not None:
        _report(network, tested, trainer.loss, trainer.j, what)
    print(f"training took {seconds:.1f} s")
    print(f"saved {arguments.output}")
    if arguments.plot is not None:
        curves = plot.learning_curves(
            trainer.history, validation="test" if validation is None else "validation"
        )
        drawn = {} if tested is None else _plots(network, tested)
        _save_plots(arguments.plot, {"learning_curves": curves, **drawn})


def _beginning(arguments: argparse.Namespace) -> LeNet5:
    """Give the network to begin with, whatever its classes are."""
    if arguments.start is None:
        architecture = NETWORKS[arguments.architecture or LENET5_1998.name]
        if arguments.codes is not None and architecture.code_length is None:
            raise ValueError(f"--codes is for RBF outputs, and {architecture.name} has none")
        if arguments.activation is not None:
            architecture = architecture.with_activation(arguments.activation)
        return LeNet5(architecture, seed=arguments.seed)
    for option in ("architecture", "activation"):
        if getattr(arguments, option) is not None:
            raise ValueError(f"--{option} is for a new network, and --from has one")
    network = _network(arguments.start)
    if arguments.codes is not None and network.codes is None:
        raise ValueError(f"--codes is for RBF outputs, and {arguments.start} has none")
    return network


def _recipe(network: LeNet5, arguments: argparse.Namespace, has_new: bool = False) -> Recipe:
    """Give the defaults for a network, which with --from may have new classes."""
    recipes = DISTORTED if arguments.distort else RECIPES
    if arguments.start is None:
        return recipes[arguments.architecture or LENET5_1998.name]
    likely = LENET5_MODERN.name if network.codes is None else LENET5_1998.name
    recipe = recipes.get(network.architecture.name, recipes[likely])
    tuning = NEW_CLASSES if has_new else FINE_TUNING
    return dataclasses.replace(
        tuning,
        loss=recipe.loss,
        j=recipe.j,
        optimizers={**recipe.optimizers, **tuning.optimizers},
    )


def _for_classes(base: LeNet5, names: tuple[str, ...], arguments: argparse.Namespace) -> LeNet5:
    """Give the network for these classes; of one from a file say what becomes of its own."""
    given = None if arguments.codes is None else _codes(arguments.codes)
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
    if arguments.codes is not None and isinstance(given, str):
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
    optimizer = _optimizer(recipe, arguments)
    loss = arguments.loss or recipe.loss
    if arguments.j is not None and loss != "map":
        raise ValueError(f"--j is for --loss map, not {loss}")
    distortion = distort.AFFINE if arguments.distort else None
    if arguments.start is not None and arguments.distort is None:
        distortion = distort.SLIGHT
    return Trainer(
        network,
        optimizer,
        loss,
        j=recipe.j if arguments.j is None else arguments.j,
        batch_size=arguments.batch_size
        or (optimizer.batch_size if isinstance(optimizer, SDLM) else recipe.batch_size),
        distort=distortion,
        seed=arguments.seed,
        freeze=() if arguments.freeze is None else arguments.freeze.split(","),
    )


def _passes(recipe: Recipe, images: int, batch_size: int) -> int:
    """Give passes for images of one's own: as many updates as the digits have, at least."""
    updates = recipe.digits_epochs * -(-DIGITS_IMAGES // batch_size)
    return max(recipe.epochs, -(-updates // -(-images // batch_size)))


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
            "settings": (_settings(one), one.optimizer, one.j, one.distort),
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


def _network(model: str) -> LeNet5:
    """Load a file, or where there is none the weights of that name that come with the library."""
    if not os.path.isfile(model):
        with suppress(ValueError):  # another name: load says what is wrong with it
            return LeNet5.pretrained(model)
    return LeNet5.load(model)


def _evaluate(arguments: argparse.Namespace) -> None:
    _check_plots(arguments.plot)
    network = _network(arguments.model)
    name, test = _test_data(network, arguments)
    print(f"reading the test images of {name} with {network.architecture.name}")
    _report(network, test, *losses.checked(None, DEFAULT_J, network.codes is not None))
    if arguments.plot is not None:
        _save_plots(arguments.plot, _plots(network, test))


def _predict(arguments: argparse.Namespace) -> int:
    network = _network(arguments.model)
    code = 0
    answers: list[dict[str, Any]] = []
    for path in arguments.images:
        try:
            image = _character(path)
        except (MemoryError, OSError, ValueError) as error:
            # the other pictures are read all the same
            code = 2
            if arguments.json:
                answers.append({"file": path, "error": _one_line(error)})
            else:
                fail(f"error: {_one_line(error)}", code)
            continue
        answer = network.read(image, reject=arguments.reject)[0]
        doubtful = answer.pop("rejected")
        answers.append({"file": path, **answer, "doubtful": doubtful})
        if not arguments.json:
            mark = "\tdoubtful" if doubtful else ""
            print(f"{checks.escaped(path)}\t{answer['label']}\t{answer['probability']:.4f}{mark}")
    if arguments.json:
        print(json.dumps(answers, indent=2, allow_nan=False))
    return code


def _character(path: str) -> NDArray[np.uint8]:
    try:
        return preprocess.character(path)
    except ValueError as error:
        text = str(error)
        raise ValueError(
            f"{path}: {text.removeprefix('image: ')}" if text.startswith("image: ") else text
        ) from None


def _summary(arguments: argparse.Namespace) -> None:
    if arguments.model is not None:
        network = _network(arguments.model)
    else:
        network = LeNet5(NETWORKS[arguments.architecture or LENET5_1998.name])
    print(network.summary())


def _info(arguments: argparse.Namespace) -> None:
    cpu: dict[str, Any] = cpu_info()
    rows = {
        "lenet_c": lenet_c.__version__,
        "processor": cpu["processor"],
        "instruction set": f"{cpu['isa']} ({cpu['lanes']} images at once)",
        "available": ", ".join(cpu["available"]),
        "threads": cpu["threads"],
        "threading": f"{cpu['threading']} (of {', '.join(cpu['available_threading'])})",
        "compiler": cpu["compiler"],
        "numpy": np.__version__,
    }
    for key, value in rows.items():
        print(f"{key:<15}  {value}")


# ---- what the commands share ----


def _training_data(arguments: argparse.Namespace) -> Data:
    if _is_pictures(arguments):
        if arguments.hold_out is not None:
            raise ValueError("--hold-out is for mnist and digits; --validation takes a share")
        pictures = _pictures(arguments.data, arguments)
        name, names, test = arguments.data, pictures.class_names, None
    else:
        name, (images, labels), test = _dataset(arguments)
        names = DIGITS
        rows = map(str, range(len(images)))
        pictures = datasets.Pictures(images, labels.astype(np.int64), names, rows)
    validation: Split | None = None
    given = arguments.validation
    if given is None and test is None:
        given = 0.2
    if isinstance(given, str):
        validation = _pictures(given, arguments, names)
    elif given:
        pictures, validation = pictures.split(given, seed=arguments.seed)
    elif arguments.hold_out is not None:
        images, labels = pictures
        left = len(images) - arguments.hold_out
        if left < 1:
            raise ValueError(f"--hold-out: got {arguments.hold_out}, want less than {len(images)}")
        validation = images[left:], labels[left:]
        return Data(name, names, (images[:left], labels[:left]), validation, test)
    return Data(name, names, pictures, validation, test)


def _test_data(network: LeNet5, arguments: argparse.Namespace) -> tuple[str, Split]:
    """Give what a network is tested with, labelled by the classes as it has them."""
    classes = network.architecture.classes
    names = network.class_names or (DIGITS if classes == len(DIGITS) else None)
    if _is_pictures(arguments):
        if names is None:
            raise ValueError(
                f"{arguments.model}: does not say what its {classes} classes are called; "
                "net.class_names = [...] and net.save do"
            )
        return arguments.data, _pictures(arguments.data, arguments, names)
    name, _, (images, labels) = _dataset(arguments)
    if network.class_names is not None and set(DIGITS) <= set(network.class_names):
        labels = np.array([network.class_names.index(digit) for digit in DIGITS])[labels]
    elif network.class_names is not None or labels.max() >= classes:
        reads = f"{classes} classes" if names is None else shortened(names)
        raise ValueError(f"{arguments.model}: reads {reads}, {name} has labels 0 to {labels.max()}")
    return name, (images, labels)


def _is_pictures(arguments: argparse.Namespace) -> bool:
    """Whether --data leads to pictures in folders or a table, and not to MNIST's files."""
    place = arguments.data
    if place is None or arguments.dataset is not None or datasets.has_mnist(place):
        return False
    if not os.path.isdir(place):
        return os.path.isfile(place)
    with os.scandir(place) as entries:
        return any(e.name == TABLE or (e.is_dir() and e.name[0] != ".") for e in entries)


def _pictures(
    place: str, arguments: argparse.Namespace, names: tuple[str, ...] | None = None
) -> datasets.Pictures:
    quiet = getattr(arguments, "quiet", False)
    pictures = datasets.folder(
        place, form=arguments.form, class_names=names, progress=False if quiet else None
    )
    refused = pictures.refused
    if refused:
        print(f"{place}: left out {len(refused):,} of {len(refused) + len(pictures.labels):,}")
        for file, reason in refused[:REFUSED_SHOWN]:
            print(f"  {checks.escaped(file)}: {checks.escaped(' '.join(reason.split()))}")
        if len(refused) > REFUSED_SHOWN:
            print(f"  and {len(refused) - REFUSED_SHOWN:,} more")
    return pictures


def _dataset(arguments: argparse.Namespace) -> tuple[str, Split, Split]:
    """Give the dataset's name, its training set and its test set."""
    wanted, folder = arguments.dataset, arguments.data
    if wanted == "digits":
        if folder is not None:
            raise ValueError("--data is for --dataset mnist: the digits come with scikit-learn")
        return "digits", *datasets.digits()
    try:
        return "mnist", *_mnist(folder)
    except OSError as error:
        if folder is not None and wanted is None and isinstance(error, FileNotFoundError):
            raise FileNotFoundError(
                f"{error}; or pictures of your own: a folder for each class, or {TABLE}"
            ) from None
        if wanted == "mnist" or _is_told(folder):
            raise
        print(f"MNIST cannot be had, using digits instead ({_one_line(error)})")
    return "digits", *datasets.digits()


def _is_told(folder: str | None) -> bool:
    """Whether somebody said where MNIST is: then it is there, or that was a mistake."""
    return folder is not None or bool(os.environ.get("LENET_C_DATA"))


def _mnist(folder: str | None) -> tuple[Split, Split]:
    try:
        return datasets.mnist(folder, download=False)
    except FileNotFoundError as error:
        if _is_told(folder):
            raise
        missing = str(error).partition(";")[0]
    print(f"{missing}: downloading it (11 MB) to {datasets.cache_folder()}")
    return datasets.mnist()


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
    words += [optimizer.kind, f"rate {optimizer.lr:g} {optimizer.schedule}"]
    if isinstance(optimizer, SGD):
        words.append(f"momentum {optimizer.momentum:g}")
    if isinstance(optimizer, SDLM):
        words.append(f"mu {optimizer.mu:g}")
    if optimizer.weight_decay:
        words.append(f"weight decay {optimizer.weight_decay:g}")
    words.append(f"batch {trainer.batch_size}")
    if trainer.distort is not None:
        words.append("slightly distorted" if trainer.distort == distort.SLIGHT else "distorted")
    if trainer._frozen:
        words.append(f"frozen {', '.join(trainer._frozen)}")
    return "; ".join(words)


def _check_model_name(path: str) -> None:
    """Raise if `path` would hide a network that comes with the library."""
    for name in _pretrained():
        if os.path.abspath(path) == os.path.abspath(name):
            raise ValueError(
                f"{path}: the name of a network that comes with the library; want another, say "
                f"{name}.npz"
            )


def _check_output(path: str) -> None:
    """Raise unless a file can be written at `path`."""
    target = files.target_of(path)
    folder = os.path.dirname(target)
    if os.path.isdir(folder):
        with suppress(FileNotFoundError):
            os.lstat(target)  # fails if the name is too long
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(error.errno, f"cannot write here ({error.strerror})", folder) from None


def _check_plots(folder: str | None) -> None:
    """Raise unless pictures can be drawn, and written to `folder`, which is made."""
    if folder is None:
        return
    plot.new_figure(1, 1)
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise OSError(error.errno, f"cannot write here ({error.strerror})", folder) from None
    _check_output(os.path.join(folder, "plot.png"))


def _plots(network: LeNet5, test: Split) -> dict[str, Any]:
    """Draw a network and what it makes of the test images; by the names of the files."""
    images, labels = test
    answers, _, margin = best_two(network.forward(images), network.codes is not None)
    unsure = margin.argsort(kind="stable")[:60]
    rejection = plot.rejection_curve(network.rejection_curve(images, labels, "margin"))
    plot.rejection_curve(network.rejection_curve(images, labels, "penalty"), rejection)
    drawn = {
        "confusion_matrix": plot.confusion_matrix(network.evaluate(images, labels)),
        "misclassified": plot.misclassified(images, labels, answers),
        "least_sure": plot.predictions(images[unsure], labels[unsure], answers[unsure]),
        "rejection": rejection,
        "feature_maps": plot.feature_maps(network, images[0]),
    }
    for layer in network.architecture.layers:
        # a deep layer has a thousand kernels and more: too small to be seen
        if layer.kind == "conv" and network[f"{layer.name}.weight"].size <= 10_000:
            drawn[f"filters_{layer.name}"] = plot.filters(network, layer.name)
    if network.architecture.code_length == codes.DIGITS.shape[1]:
        drawn["codes"] = plot.codes(network)
    return drawn


def _save_plots(folder: str, drawn: dict[str, Any]) -> None:
    for name, picture in drawn.items():
        plot.save(picture, os.path.join(folder, f"{name}.png"))
    print(f"plotted {', '.join(f'{name}.png' for name in drawn)} in {folder}")


def _report(network: LeNet5, test: Split, loss: str, j: float, what: str = "test") -> None:
    result = network.evaluate(*test, loss, j=j)
    confusion = result.confusion
    images = int(confusion.sum())
    errors = images - int(np.trace(confusion))
    classes = list(network.class_names or map(str, range(len(confusion))))
    width = max(5, len(str(confusion.max())) + 1, *(len(name) + 1 for name in classes))
    print(f"{what} error {result.error_rate:.2%} ({errors:,} of {images:,}), loss {loss} ", end="")
    print(f"{result.loss:.4f}")
    outputs, is_rbf = network.forward(test[0]), network.codes is not None
    log_loss = calibration.log_loss(outputs, is_rbf, test[1].astype(np.int64), network.temperature)
    print(f"log loss of the probabilities {log_loss:.4f}, temperature {network.temperature:.3g}")
    if network.rejection is not None:
        answers = network.predict(test[0], reject=network.rejection)
        left = answers >= 0
        wrong = int((answers != test[1])[left].sum())
        print(f"doubtful {1 - left.mean():.2%}; of the other answers {wrong:,} are wrong")
    print("confusion (row: right class, column: class read)")
    print(" " * width + "".join(name.rjust(width) for name in classes))
    for name, row in zip(classes, confusion, strict=True):
        print(name.rjust(width) + "".join(str(count).rjust(width) for count in row))


class _Progress:
    """A trainer's callback: a line an epoch, and on a terminal a bar below the lines."""

    def __init__(self, epochs: int, images: int) -> None:
        self.epochs = epochs
        self.bar = _bar(f"epoch 1/{epochs}", epochs * images)
        self.epoch, self.images, self.loss, self.errors = 1, 0, 0.0, 0

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *exception: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def on_fit_begin(self, trainer: Trainer) -> None:
        """Begin where a resumed training stands."""
        done = len(trainer.history.epochs)
        self.epoch = done + 1
        if self.bar is not None and done:
            self.bar.update(done * self.bar.total // self.epochs)

    def on_batch_end(self, trainer: Trainer, batch: dict[str, Any]) -> None:
        if self.bar is None:
            return
        self.images += batch["images"]
        self.loss += batch["loss"] * batch["images"]
        self.errors += batch["errors"]
        self.bar.set_description(f"epoch {self.epoch}/{self.epochs}", refresh=False)
        self.bar.set_postfix_str(
            f"loss {self.loss / self.images:.4f}, error {self.errors / self.images:.2%}",
            refresh=False,
        )
        self.bar.update(batch["images"])

    def on_epoch_end(self, trainer: Trainer, record: dict[str, float]) -> None:
        validation = ""
        if "val_error_rate" in record:
            validation = f"validation {record['val_error_rate']:7.2%}  "
        line = (
            f"epoch {record['epoch']:{len(str(self.epochs))}}/{self.epochs}  "
            f"loss {record['loss']:.4f}  error {record['error_rate']:7.2%}  {validation}"
            f"{record['images_per_second']:,.0f} images/s"
        )
        if self.bar is None:
            print(line)
        else:
            self.bar.write(line, file=sys.stdout)
        self.epoch, self.images, self.loss, self.errors = self.epoch + 1, 0, 0.0, 0


def _bar(description: str, total: int) -> Any:
    if sys.stderr is None or not sys.stderr.isatty():
        return None
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    return tqdm(
        desc=description,
        total=total,
        unit=" images",
        unit_scale=True,
        leave=False,
        dynamic_ncols=True,
        bar_format="{desc}|{bar}| {elapsed}<{remaining}, {rate_fmt}{postfix}",
    )


# ---- errors ----


def fail(message: str, code: int) -> int:
    """Print what went wrong, after what was printed so far, and give the exit code."""
    _drop(sys.stdout)
    if sys.stderr is not None:
        with suppress(OSError):  # nobody reads that either
            print(f"lenet-c: {checks.escaped(message)}", file=sys.stderr)
        _drop(sys.stderr)
    return code


def _drop(output: TextIO | None) -> None:
    """Print what is left, or if that fails nothing, so that Python's exit does not try again."""
    if output is None:
        return
    try:
        output.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), output.fileno())


def _one_line(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        where = f"{os.fsdecode(error.filename)}: " if error.filename is not None else ""
        return " ".join(f"{where}{error.strerror}".splitlines())
    lines = [line.strip() for line in str(error).splitlines()]
    text = "; ".join(line for line in lines if line).replace(":; ", ": ")
    if isinstance(error, MemoryError):
        return f"out of memory ({text})" if text else "out of memory"
    return text or type(error).__name__


# ---- arguments ----


class _Parser(argparse.ArgumentParser):
    """Reports an error in one line, without the usage."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"lenet-c: error: {' '.join(message.split())} (see {self.prog} --help)\n")


def _whole(least: int, most: int | None = None) -> Callable[[str], int]:
    limit = f"of at least {least}" if most is None else f"from {least} to {most}"

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least or (most is not None and value > most):
            raise argparse.ArgumentTypeError(f"got {text!r}, want a whole number {limit}")
        return value

    return parse


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.0 <= checks.rounded(text, value) < math.inf:
        raise argparse.ArgumentTypeError(
            f"got {text!r}, want a number of at least 0, finite in float32"
        )
    return value


def _path(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("got '', want a path")
    return text


def _validation(text: str) -> float | str:
    try:
        share = float(text)
    except ValueError:
        return _path(text)
    if not 0.0 <= share < 1.0:
        raise argparse.ArgumentTypeError(
            f"got {text!r}, want a share of the images, from 0 to below 1, or a folder"
        )
    return share


def _rejection(text: str) -> Rejection:
    thresholds = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        if name not in ("margin", "penalty", "distance") or name in thresholds:
            raise argparse.ArgumentTypeError(
                f"got {text!r}, want margin=M, penalty=P, distance=D or some of them, as "
                "margin=M,penalty=P"
            )
        thresholds[name] = _number(value)
    return Rejection(**thresholds)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="lenet-c", description=lenet_c.__doc__)
    parser.add_argument("--version", action="version", version=f"lenet-c {lenet_c.__version__}")
    parser.set_defaults(threads=None)
    commands = parser.add_subparsers(metavar="command", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], int | None], text: str) -> _Parser:
        added = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        added.set_defaults(run=run)
        return added

    train = command("train", _train, "train a network, test it and save it")
    train.epilog = "What is left out follows the architecture's recipe; the first lines say what."
    _add_architecture(train)
    _add_data(train)
    option = train.add_argument
    validation = train.add_mutually_exclusive_group()
    validation.add_argument(
        "--validation",
        type=_validation,
        metavar="SHARE|FOLDER",
        help="do not train on this share of each class (0 is none), or on these pictures: keep the "
        "weights of the epoch with the lowest loss on them, and calibrate with them (default for "
        "pictures of one's own: 0.2)",
    )
    validation.add_argument(
        "--hold-out",
        type=_whole(calibration.FEWEST),
        metavar="N",
        help="do not train on the last N images: calibrate probabilities and doubts with them",
    )
    option(
        "--from",
        dest="start",
        type=_path,
        metavar="MODEL",
        help="fine-tune a network, " + MODEL + "; classes that it lacks are new outputs",
    )
    option(
        "--freeze",
        type=_path,
        metavar="LAYERS",
        help="layers that stay as they are, as C1,S2,C3,S4",
    )
    option(
        "--codes",
        type=_path,
        metavar="TEXT|FILE",
        help="codes of RBF outputs: a character for each class, in the order of their names, or a "
        "file of numbers, .npy or text; default: the names, where they are single characters",
    )
    option(
        "--resume",
        type=_path,
        metavar="FILE",
        help="keep the training in this file after each epoch, and go on from it if it is there",
    )
    option(
        "--activation",
        choices=[kind for kind in ACTIVATIONS if kind != "identity"],
        help="of every layer but the last (1998: but F6 too); default: the architecture's",
    )
    option("--loss", choices=LOSSES, help="default: the architecture's")
    option("--j", type=_number, help="constant of the loss map, above 0")
    option(
        "--optimizer",
        choices=list(RECIPES[LENET5_1998.name].optimizers),
        help="with settings of its own where the options below do not say",
    )
    option("--rate", type=_number, help="learning rate")
    option("--momentum", type=_number, help="of sgd, below 1")
    option("--weight-decay", type=_number, metavar="DECAY", help="decoupled")
    option("--schedule", choices=list(SCHEDULES), help="how the rate changes")
    option("--epochs", type=_whole(1), metavar="N", help="passes over the training images")
    option("--batch-size", type=_whole(1), metavar="N", help="images an update")
    option(
        "--distort",
        action=argparse.BooleanOptionalAction,
        help="show the images randomly moved and deformed (default: only slightly, with --from)",
    )
    _add_threads(train)
    option("--seed", type=_whole(0), default=0, metavar="N", help="default: 0")
    option(
        "--output",
        type=_path,
        default="model.npz",
        metavar="FILE",
        help="where to save the network, in place of an older one (default: model.npz)",
    )
    _add_plot(train)
    option("--quiet", action="store_true", help="report only the result, not the progress")

    evaluate = command("evaluate", _evaluate, "test a saved network")
    evaluate.add_argument("model", help=MODEL)
    _add_data(evaluate)
    _add_plot(evaluate)
    _add_threads(evaluate)

    predict = command("predict", _predict, "read pictures of one character each")
    predict.add_argument("model", help=MODEL)
    predict.add_argument(
        "images",
        nargs="+",
        metavar="image",
        help="PNG, JPEG, PGM, PPM, BMP, WebP, TIFF or GIF file",
    )
    predict.add_argument(
        "--reject",
        type=_rejection,
        metavar="margin=M,penalty=P",
        help="doubt answers whose best two are closer than M or whose penalty is above P, and with "
        "distance=D pictures further than D from those of the class (default: as calibrated)",
    )
    predict.add_argument("--json", action="store_true", help="print one JSON array of objects")
    _add_threads(predict)

    summary = command("summary", _summary, "show a network's layers")
    either = summary.add_mutually_exclusive_group()
    either.add_argument("model", nargs="?", help=MODEL)
    _add_architecture(either)

    command("info", _info, "show version, processor, instruction set and threads")
    return parser


def _add_architecture(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--architecture",
        choices=list(NETWORKS),
        help=f"default: {LENET5_1998.name}",
    )


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--dataset",
        choices=("mnist", "digits"),
        help="default: mnist if it is there or can be downloaded, else digits",
    )
    parser.add_argument(
        "--data",
        type=_path,
        metavar="FOLDER",
        help="with MNIST's four files; or pictures of one character each, in a folder for each "
        f"class, or listed in {TABLE} with the columns file and class",
    )
    parser.add_argument(
        "--form",
        choices=FORMS,
        default=FORMS[0],
        help="of such pictures: find the character on each, or take 28x28 pixels as they are "
        "(default: %(default)s)",
    )


def _add_plot(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--plot",
        type=_path,
        metavar="DIR",
        help="also draw the network and its results, as PNG files in this folder",
    )


def _add_threads(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--threads",
        type=_whole(1, 4096),
        metavar="N",
        help="default: the processors that this process may use",
    )
