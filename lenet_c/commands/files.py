"""The files that the commands read and write, looked at before work begins."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lenet_c import ensemble_file, files, plot, preprocess
from lenet_c.ensemble import Ensemble
from lenet_c.model import LeNet5
from lenet_c.model_file import pretrained_files


def network_of(model: str) -> LeNet5:
    """Load a file, or where there is none the weights of that name that come with the library."""
    if not os.path.isfile(model):
        if model in ensemble_file.pretrained_files():
            names = ", ".join(pretrained_files())
            raise ValueError(f"{model}: a committee, want one network: a file of one, or {names}")
        with suppress(ValueError):  # another name: load says what is wrong with it
            return LeNet5.pretrained(model)
    return LeNet5.load(model)


def reader_of(model: str) -> LeNet5 | Ensemble:
    """Load a network or a committee: a file, or what comes with the library."""
    if not os.path.isfile(model):
        with suppress(ValueError):
            return Ensemble.pretrained(model)
    elif ensemble_file.is_committee(model):
        return Ensemble.load(model)
    return network_of(model)


def grey_network_of(model: str) -> LeNet5:
    """Load a network as `network_of` does, one that reads the grey pictures of the commands."""
    network = network_of(model)
    _check_grey(model, network)
    return network


def grey_reader_of(model: str) -> LeNet5 | Ensemble:
    """Load a network or a committee that reads the grey pictures of the commands."""
    reader = reader_of(model)
    _check_grey(model, reader)
    return reader


def _check_grey(model: str, reader: LeNet5 | Ensemble) -> None:
    channels = reader._architecture.image_shape[0]
    if channels > 1:
        raise ValueError(
            f"{model}: the network reads pictures of {channels} channels, want one of grey "
            "pictures; others are read from Python: lenet_c.LeNet5.load(path).predict(images)"
        )


def character(path: str, line: tuple[float, float] | None = None) -> NDArray[np.uint8]:
    """Read a picture of one character; an error names the file."""
    try:
        return preprocess.character(path, line=line)
    except ValueError as error:
        text = str(error).replace("line: ", "--line: ", line is not None)
        raise ValueError(
            f"{path}: {text.removeprefix('image: ')}" if text.startswith("image: ") else text
        ) from None


def check_model_name(path: str) -> None:
    """Raise if `path` would hide a network that comes with the library."""
    for name in (*pretrained_files(), *ensemble_file.pretrained_files()):
        if os.path.abspath(path) == os.path.abspath(name):
            raise ValueError(
                f"{path}: the name of a network that comes with the library; want another, say "
                f"{name}.npz"
            )


def check_output(path: str) -> None:
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


def check_apart(**paths: str | None) -> None:
    """Raise if two options, named as `arguments` has them, would write to one place."""
    places: dict[str, str] = {}
    for name, path in paths.items():
        if path is not None:
            place = os.path.realpath(path)
            if place in places:
                raise ValueError(f"--{name}: {path} is --{places[place]}'s too, want another")
            places[place] = name


def check_plots(folder: str | None) -> None:
    """Raise unless pictures can be drawn, and written to `folder`, which is made."""
    if folder is None:
        return
    plot.new_figure(1, 1)
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise OSError(error.errno, f"cannot write here ({error.strerror})", folder) from None
    check_output(os.path.join(folder, "plot.png"))


def save_plots(folder: str, drawn: dict[str, Any]) -> None:
    """Write pictures as PNG files, and print their names."""
    for name, picture in drawn.items():
        plot.save(picture, os.path.join(folder, f"{name}.png"))
    print(f"plotted {', '.join(f'{name}.png' for name in drawn)} in {folder}")
