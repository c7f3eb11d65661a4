"""Signals end any call soon, in processes of their own."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from lenet_c import (
    SGD,
    Architecture,
    Conv,
    Dense,
    LeNet5,
    Subsample,
    Trainer,
    _core,
    kernels,
    updates,
)
from tests.sanitized import SLOWER

ROOT = Path(__file__).parent.parent
SECONDS = 1.5 * SLOWER  # a call may go on for, here of seconds to minutes; a tenth is usual

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


def prepared(what: str, threads: int) -> Callable[[], object]:
    """Give a call that would take seconds to minutes."""
    if what == "conv_backward":
        x, dy = np.ones((2000, 32, 20, 20), np.float32), np.ones((2000, 32, 16, 16), np.float32)
        return partial(kernels.conv_backward, x, np.ones((32, 32, 5, 5), np.float32), dy)
    if what == "distort":
        images = np.ones((160, 1024, 1024), np.uint8)
        return partial(_core.distort, (1, 0, 0, 0, 0, 1, 2, *[0] * 7), 0, 0, images, images.copy())
    net = LeNet5(LARGE, seed=1)
    images = np.random.default_rng(0).integers(0, 256, (512, 192, 192), np.uint8)
    labels = np.arange(len(images)) % 4
    trainer = Trainer(net, SGD(1e-6), loss="mse", batch_size=len(images), num_threads=threads)
    samples = _core.Samples(net._network, images, labels)
    before = net.parameters.copy()

    def step() -> None:
        try:
            trainer.step(images, labels)
        finally:
            assert np.array_equal(net.parameters, before)

    calls: dict[str, Callable[[], object]] = {
        "forward": lambda: net.forward(images, num_threads=threads),
        "activations": lambda: net.activations(images[:128], num_threads=threads),
        "gradient": lambda: net.loss_and_gradient(images, labels, num_threads=threads),
        "step": step,
        "curvature": lambda: net._network.curvature(samples, None, "mse", 1.0, 1.0, threads),
    }
    if what in ("sweep", "strings", "strings step"):
        reader = LeNet5(replace(LARGE, blank=True), seed=1)
        if what == "sweep":
            long = images[0].repeat(20, axis=1)
            return partial(reader.sweep, [long] * 200, num_threads=threads)
        strips = [images[0, :, :48].repeat(5, axis=1)] * 200
        learner = Trainer(reader, SGD(1e-6), num_threads=threads)
        labels = ["0120"] * len(strips)
        reader.class_names = list("012")
        strings = updates.strings_of(reader, strips, labels)
        if what == "strings step":
            return partial(learner.step, strips, labels)
        return partial(reader._network.strings_gradient, strings, "forward", np.inf, 1.0, threads)
    return calls[what]


class Stop(Exception):
    pass


def interrupted(what: str, threads: int) -> None:
    call = prepared(what, threads)

    def stop(*_: object) -> None:
        raise Stop

    def tell() -> None:
        time.sleep(0.15)  # the call has begun; what comes earlier is Python's to see
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


@pytest.mark.parametrize(
    ("what", "threads"),
    [
        *(("forward", 1), ("forward", 2), ("activations", 2), ("gradient", 1), ("gradient", 2)),
        *(("step", 1), ("step", 2), ("curvature", 1), ("curvature", 2)),
        *(("sweep", 1), ("sweep", 2), ("strings", 1), ("strings", 2), ("strings step", 2)),
    ],
)
def test_a_signal_ends_calls_on_threads(what: str, threads: int) -> None:
    check_it_ends(what, threads)


@pytest.mark.parametrize("what", ["conv_backward", "distort"])
def test_a_signal_ends_other_calls(what: str) -> None:
    check_it_ends(what, 1)


def test_signals_that_end_nothing_change_nothing() -> None:
    rng = np.random.default_rng(0)
    net = LeNet5()
    images, labels = rng.integers(0, 256, (30_000, 28, 28), np.uint8), np.arange(30_000) % 10
    want, outputs = net.loss_and_gradient(images, labels)[1], net.forward(images)
    heard: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda number, _: heard.append(number))
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
    try:
        gradient = net.loss_and_gradient(images, labels)[1]
        heard_in_call = len(heard)
        again = net.forward(images)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert heard_in_call > 1  # more than the one that Python sees behind the call
    np.testing.assert_array_equal(gradient, want)
    np.testing.assert_array_equal(again, outputs)


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
