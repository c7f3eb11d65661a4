"""Signals end any call soon, in processes of their own."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lenet_c import (
    SGD,
    Architecture,
    Conv,
    Dense,
    Distortion,
    LeNet5,
    Subsample,
    Trainer,
    _core,
    distort,
    kernels,
)

ROOT = Path(__file__).parent.parent
SECONDS = 1.5  # a call may go on for, here of seconds to minutes; a tenth is usual

# An image takes some 0.4 G multiply-adds, and three times as many to learn.
LARGE = Architecture(
    "large",
    (
        Conv("C1", maps=16, kernel=5),
        Subsample("S2"),
        Conv("C3", maps=128, kernel=5),
        Subsample("S4"),
        Dense("output", units=4, activation="identity"),
    ),
    input_shape=(192, 192),
)


def calls(threads: int) -> dict[str, Callable[[], object]]:
    rng = np.random.default_rng(0)
    net = LeNet5(LARGE, seed=1)
    images = rng.integers(0, 256, (512, 192, 192), np.uint8)
    labels = rng.integers(0, 4, len(images))
    trainer = Trainer(net, SGD(1e-6), loss="mse", batch_size=len(images), num_threads=threads)
    samples = _core.Samples(net._network, images, labels)
    before = net.parameters.copy()

    def step() -> None:
        try:
            trainer.step(images, labels)
        finally:
            assert np.array_equal(net.parameters, before)

    x = np.ones((6000, 8, 32, 32), np.float32)
    w = np.ones((32, 8, 5, 5), np.float32)
    dy = np.ones((6000, 32, 28, 28), np.float32)
    return {
        "forward": lambda: net.forward(images, num_threads=threads),
        "activations": lambda: net.activations(images[:384], num_threads=threads),
        "gradient": lambda: net.loss_and_gradient(images, labels, num_threads=threads),
        "step": step,
        "curvature": lambda: net._network.curvature(samples, None, "mse", 1.0, threads),
        "conv_backward": lambda: kernels.conv_backward(x, w, dy),
        "distort": lambda: distort.preview(
            np.ones((64, 1000, 1000), np.uint8), Distortion(elastic=1.0), n=6
        ),
    }


class Stop(Exception):
    pass


def interrupted(what: str, threads: int) -> None:
    call = calls(threads)[what]

    def stop(*_: object) -> None:
        raise Stop

    def tell() -> None:
        time.sleep(0.3)
        sent.append(time.monotonic())
        signal.raise_signal(signal.SIGINT)

    sent: list[float] = []
    signal.signal(signal.SIGINT, stop)
    threading.Thread(target=tell).start()
    try:
        call()
        print("ended by itself")
    except Stop:
        print(f"ended {time.monotonic() - sent[0]:.3f} s after the signal")


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("what", ["forward", "activations", "gradient", "step", "curvature"])
def test_a_signal_ends_calls_on_threads(what: str, threads: int) -> None:
    check_it_ends(what, threads)


@pytest.mark.parametrize("what", ["conv_backward", "distort"])
def test_a_signal_ends_other_calls(what: str) -> None:
    check_it_ends(what, 1)


def check_it_ends(what: str, threads: int) -> None:
    child = subprocess.run(
        [sys.executable, "-m", "tests.test_interrupts", what, str(threads)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    assert child.stdout.startswith("ended "), child.stdout
    assert child.stdout != "ended by itself\n"
    assert float(child.stdout.split()[1]) < SECONDS


if __name__ == "__main__":
    interrupted(sys.argv[1], int(sys.argv[2]))
