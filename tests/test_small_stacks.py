"""Every public method on a thread whose stack has 64 KiB, in a process that may crash."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from lenet_c import (
    LENET5_1998,
    LENET5_MODERN,
    RBF,
    SDLM,
    SGD,
    Adam,
    Architecture,
    Conv,
    Dense,
    Distortion,
    LeNet5,
    Subsample,
    Trainer,
    distort,
    kernels,
)
from tests.sanitized import SANITIZED

ROOT = Path(__file__).parent.parent
STACK = 65536
LOSSES = ("mse", "map", "cross_entropy")

MANY_CODES = Architecture(
    "4,096 codes",
    (
        Conv("C1", maps=2, kernel=5, padding=2),
        Subsample("S2"),
        Dense("F3", units=9),
        RBF("output", 4096, True),
    ),
    input_shape=(12, 12),
)
MANY_LOGITS = Architecture(
    "4,096 logits",
    (Conv("C1", maps=2, kernel=5), Dense("output", units=4096, activation="identity")),
    input_shape=(12, 12),
)
LARGE = Architecture(
    "1,024 columns",
    (Conv("C1", maps=2, kernel=3), Subsample("S2"), Dense("output", 3, activation="identity")),
    input_shape=(8, 1024),
)
NETWORKS = [LENET5_1998, LENET5_MODERN, MANY_CODES, MANY_LOGITS, LARGE]


def run_network(architecture: Architecture) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (40, *architecture.input_shape), np.uint8)
    labels = rng.integers(0, architecture.classes, 40)
    codes = None
    if architecture.classes == 4096 and architecture.code_length:
        codes = rng.standard_normal((4096, architecture.code_length)).astype(np.float32)
    net = LeNet5(architecture, codes=codes)
    for n in (1, 5, 40):
        net.forward(images[:n])
        net.predict(images[:n])
        assert np.allclose(net.predict_proba(images[:n]).sum(axis=1), 1, atol=1e-5)
        net.activations(images[:n])
        for loss in LOSSES:
            net.loss_and_gradient(images[:n], labels[:n], loss=loss)
            net.evaluate(images[:n], labels[:n], loss=loss)
    for optimizer in (SGD(1e-6), SGD(1e-6, momentum=0.5), Adam(1e-6), SDLM(1e-9, samples=20)):
        for n in (1, 40):
            for loss in LOSSES:
                distort = Distortion(elastic=0.5) if n > 1 else None
                trainer = Trainer(net, optimizer, loss=loss, batch_size=n, distort=distort)
                trainer.step(images[:n], labels[:n])
        trainer.fit(images, labels, epochs=1)


def run_kernels() -> None:
    def ones(*shape: int) -> np.ndarray:
        return np.ones(shape, np.float32)

    x, w = ones(3, 2, 20, 20), ones(4, 2, 5, 5)
    kernels.conv_backward(x, w, kernels.conv(x, w, ones(4)))
    kernels.subsample_backward(x, ones(2), kernels.subsample(x, ones(2), ones(2)))
    x, w = ones(3, 4096), ones(4096, 4096)
    kernels.dense_backward(x, w, kernels.dense(x, w, ones(4096)))
    kernels.rbf_backward(x, w, kernels.rbf(x, w))
    for activation in ("scaled_tanh", "tanh", "relu", "sigmoid"):
        kernels.squash_backward(kernels.squash(x, activation), x, activation)
    images = np.full((3, 1000, 1024), 200, np.uint8)
    distort.preview(images, Distortion(elastic=2.0), n=1)
    distort.transform(images[0], scale=1.1)


def on_a_small_stack(what: str) -> None:
    try:
        threading.stack_size(STACK)
    except ValueError:
        threading.stack_size(2 * STACK)  # the least on 64-bit ARM
    failures: list[BaseException] = []

    def target() -> None:
        try:
            run_kernels() if what == "kernels" else run_network(NETWORKS[int(what)])
        except BaseException as error:
            failures.append(error)
            raise

    thread = threading.Thread(target=target)
    thread.start()
    thread.join()
    sys.exit(len(failures))


@pytest.mark.skipif(SANITIZED, reason="sanitizers need larger stacks")
@pytest.mark.parametrize("what", ["kernels", *map(str, range(len(NETWORKS)))])
def test_calls_on_a_stack_of_64_kib(what: str) -> None:
    child = subprocess.run(
        [sys.executable, "-m", "tests.test_small_stacks", what],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == 0, child.stderr


if __name__ == "__main__":
    on_a_small_stack(sys.argv[1])
