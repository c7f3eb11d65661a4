"""The files and the figures of a network: read, checked before work begins, printed and drawn."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from typing import Any

import numpy as np

from lenet_c import calibration, codes, files, plot
from lenet_c.commands.data import Split
from lenet_c.losses import Criterion
from lenet_c.model import LeNet5
from lenet_c.model_file import pretrained_files
from lenet_c.rejection import best_two


def network_of(model: str) -> LeNet5:
    """Load a file, or where there is none the weights of that name that come with the library."""
    if not os.path.isfile(model):
        with suppress(ValueError):  # another name: load says what is wrong with it
            return LeNet5.pretrained(model)
    return LeNet5.load(model)


def report(network: LeNet5, test: Split, criterion: Criterion, what: str = "test") -> None:
    """Print what a network makes of images whose classes are known."""
    loss, j, temperature = criterion
    result = network.evaluate(*test, loss, j=j, temperature=temperature)
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


def plots(network: LeNet5, test: Split) -> dict[str, Any]:
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


def save_plots(folder: str, drawn: dict[str, Any]) -> None:
    """Write pictures as PNG files, and print their names."""
    for name, picture in drawn.items():
        plot.save(picture, os.path.join(folder, f"{name}.png"))
    print(f"plotted {', '.join(f'{name}.png' for name in drawn)} in {folder}")


def check_model_name(path: str) -> None:
    """Raise if `path` would hide a network that comes with the library."""
    for name in pretrained_files():
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
