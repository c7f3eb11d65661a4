"""The images that the commands train and test with: data sets, or pictures of one's own."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lenet_c import checks, datasets
from lenet_c.catalogue import SETS
from lenet_c.classes import DIGITS, names_or_digits, shortened
from lenet_c.commands.errors import one_line
from lenet_c.ensemble import Ensemble
from lenet_c.folders import TABLE
from lenet_c.model import LeNet5

Split = tuple[NDArray[np.uint8], NDArray[np.uint8]]

REFUSED_SHOWN = 5


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
    codes : str, optional
        Characters whose codes RBF outputs take for the classes, whose names are none.
    """

    name: str
    class_names: tuple[str, ...]
    train: Split
    validation: Split | None = None
    test: Split | None = None
    codes: str | None = None


def training_data(arguments: argparse.Namespace) -> Data:
    """Give what a network is trained, validated and tested with."""
    if is_pictures(arguments):
        if arguments.hold_out is not None:
            raise ValueError("--hold-out is for data sets; --validation takes a share")
        pictures = _pictures(arguments.data, arguments)
        name, names, test = arguments.data, pictures.class_names, None
        stand_ins = None
    else:
        name, (images, labels), test = dataset(arguments)
        names = datasets.class_names(name)
        stand_ins = None if max(map(len, names)) == 1 else "".join(DIGITS)
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
        return Data(name, names, (images[:left], labels[:left]), validation, test, stand_ins)
    return Data(name, names, pictures, validation, test, stand_ins)


def test_data(network: LeNet5 | Ensemble, arguments: argparse.Namespace) -> tuple[str, Split]:
    """Give what a network is tested with, labelled by the classes as it has them."""
    classes = network._architecture.characters
    names = names_or_digits(network.class_names, classes)
    if is_pictures(arguments):
        if names is None:
            raise ValueError(
                f"{arguments.model}: does not say what its {classes} classes are called; "
                "net.class_names = [...] and net.save do"
            )
        return arguments.data, _pictures(arguments.data, arguments, names)
    name, _, (images, labels) = dataset(arguments)
    has = datasets.class_names(name)
    if network.class_names is not None and set(has) <= set(network.class_names):
        labels = np.array([network.class_names.index(one) for one in has])[labels]
    elif network.class_names is not None or labels.max() >= classes:
        reads = f"{classes} classes" if names is None else shortened(names)
        raise ValueError(f"{arguments.model}: reads {reads}, {name} has labels 0 to {labels.max()}")
    return name, (images, labels)


def is_pictures(arguments: argparse.Namespace) -> bool:
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
    if isinstance(pictures, datasets.Fields):
        raise ValueError(
            f"{place}: has texts of fields, want single characters, a column class; a reader "
            "of fields is trained --from strings"
        )
    told_refused(place, pictures)
    return pictures


def told_refused(place: str, pictures: datasets.Pictures | datasets.Fields) -> None:
    """Print what is left out, and why."""
    refused = pictures.refused
    if refused:
        n = len(pictures if isinstance(pictures, datasets.Fields) else pictures.labels)
        print(f"{place}: left out {len(refused):,} of {len(refused) + n:,}")
        for file, reason in refused[:REFUSED_SHOWN]:
            print(f"  {checks.escaped(file)}: {checks.escaped(' '.join(reason.split()))}")
        if len(refused) > REFUSED_SHOWN:
            print(f"  and {len(refused) - REFUSED_SHOWN:,} more")


def dataset(arguments: argparse.Namespace) -> tuple[str, Split, Split]:
    """Give the dataset's name, its training set and its test set."""
    wanted, folder = arguments.dataset, arguments.data
    if wanted == "digits":
        if folder is not None:
            raise ValueError("--data is for other data sets: the digits come with scikit-learn")
        return "digits", *datasets.digits()
    name = wanted or "mnist"
    try:
        return name, *_loaded(name, folder)
    except OSError as error:
        if folder is not None and wanted is None and isinstance(error, FileNotFoundError):
            raise FileNotFoundError(
                f"{error}; or pictures of your own: a folder for each class, or {TABLE}"
            ) from None
        if wanted is not None or _is_told(folder):
            raise
        print(f"MNIST cannot be had, using digits instead ({one_line(error)})")
    return "digits", *datasets.digits()


def digit_dataset(arguments: argparse.Namespace) -> tuple[str, Split, Split]:
    """Give what `dataset` does, if it shows digits."""
    wanted = arguments.dataset
    if wanted is not None and datasets.class_names(wanted) != DIGITS:
        fitting = [one for one in (*SETS, "digits") if datasets.class_names(one) == DIGITS]
        raise ValueError(f"--dataset: {wanted} has no digits, want one of {', '.join(fitting)}")
    return dataset(arguments)


def _is_told(folder: str | None) -> bool:
    """Whether somebody said where the data are: then they are there, or that was a mistake."""
    return folder is not None or bool(os.environ.get("LENET_C_DATA"))


def _loaded(name: str, folder: str | None) -> tuple[Split, Split]:
    try:
        return datasets.load(name, folder, download=False)
    except FileNotFoundError as error:
        if _is_told(folder):
            raise
        missing = str(error).partition(";")[0]
    size = SETS[name].megabytes
    print(f"{missing}: downloading it ({size} MB) to {datasets.cache_folder()}")
    return datasets.load(name)
