"""What a network makes of images whose classes are known: printed and drawn."""

from __future__ import annotations

from typing import Any

import numpy as np

from lenet_c import calibration, codes, plot
from lenet_c.commands.data import Split
from lenet_c.ensemble import Ensemble
from lenet_c.losses import Criterion
from lenet_c.model import LeNet5
from lenet_c.rejection import best_two


def report(
    network: LeNet5 | Ensemble, test: Split, criterion: Criterion, what: str = "test"
) -> None:
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
    outputs, is_rbf = network.forward(test[0]), network._network.is_rbf
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


def plots(network: LeNet5 | Ensemble, test: Split) -> dict[str, Any]:
    """Draw a network and what it makes of the test images; by the names of the files."""
    images, labels = test
    answers, _, margin = best_two(network.forward(images), network._network.is_rbf)
    unsure = margin.argsort(kind="stable")[:60]
    rejection = plot.rejection_curve(network.rejection_curve(images, labels, "margin"))
    plot.rejection_curve(network.rejection_curve(images, labels, "penalty"), rejection)
    drawn: dict[str, Any] = {
        "confusion_matrix": plot.confusion_matrix(network.evaluate(images, labels)),
        "misclassified": plot.misclassified(images, labels, answers),
        "least_sure": plot.predictions(images[unsure], labels[unsure], answers[unsure]),
        "rejection": rejection,
    }
    if isinstance(network, Ensemble):
        return drawn
    drawn["feature_maps"] = plot.feature_maps(network, images[0])
    for layer in network.architecture.layers:
        # a deep layer has a thousand kernels and more: too small to be seen
        if layer.kind == "conv" and network[f"{layer.name}.weight"].size <= 10_000:
            drawn[f"filters_{layer.name}"] = plot.filters(network, layer.name)
    if network.architecture.code_length == codes.DIGITS.shape[1]:
        drawn["codes"] = plot.codes(network)
    return drawn
