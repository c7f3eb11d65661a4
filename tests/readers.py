"""A reader of strings that is trained in seconds, and fields for it to read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from fields import MARKS, Field, dark, field, most

from lenet_c import (
    LENET5_STRINGS,
    Adam,
    LeNet5,
    LineReader,
    OneCycle,
    Trainer,
    datasets,
    line_training,
)

UPDATES = 200


def quick_reader(images: np.ndarray, labels: np.ndarray) -> LineReader:
    """Train a reader of digits, beginning with what the shipped network knows of single ones."""
    single = LeNet5.pretrained("mnist")
    network = LeNet5(LENET5_STRINGS, seed=0)
    network.copy_from(single, ["C1", "S2", "C3", "S4", "C5", "F6"])
    codes = single.codes
    assert codes is not None
    # of two codes the nearer one has the larger logit, and the blank wins where none is near
    network["output.weight"][:10] = 0.1 * codes
    network["output.bias"][:10] = -0.05 * (codes**2).sum(axis=1)
    network["output.weight"][10] = network["output.bias"][10] = 0.0
    reader = LineReader(network)
    trainer = Trainer(network, Adam(3e-3, schedule=OneCycle()), num_threads=1)
    stream = datasets.strings(
        images,
        labels,
        preset="mnist",
        length=(1, 5),
        gap=(1, 10),
        on_line=True,
        slant=(0.2, 0.5),
        width=0.15,
        thickness=(1.0, 0.7),
        blur=(0.6, 0.5),
    )
    for step in range(UPDATES):
        strips, texts = stream.batch(16, num_threads=1)
        batch = list(zip(strips, (text.astype(np.int32) for text in texts), strict=True))
        line_training.update(trainer, batch, step, UPDATES)
    return reader


def drawn(
    images: np.ndarray,
    labels: np.ndarray,
    text: str,
    rng: np.random.Generator,
    mark: str = "plain",
    **settings: float,
) -> tuple[Field, np.ndarray]:
    """Draw a text of digits, each a random one of its class: where they are, and the picture."""
    chosen = [images[rng.choice(np.flatnonzero(labels == int(c)))] for c in text]
    f = field(chosen, **settings)
    return f, dark(most(f, f.ink, MARKS[mark](f, rng)))


def texts(n: int, rng: np.random.Generator, lengths: Sequence[int] = (3, 4, 5)) -> list[str]:
    """Make up texts of digits."""
    return ["".join(map(str, rng.integers(0, 10, rng.choice(lengths)))) for _ in range(n)]
