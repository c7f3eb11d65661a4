"""How fast it is: the kernels by themselves, reading, training, a pass over MNIST.

Run with `make bench`. Operations are counted from the architecture: a multiply-add is two, and
of a network only convolutions, dense layers and RBF units count.
"""

from __future__ import annotations

import dataclasses
import math
import time
from functools import partial

import numpy as np
import pytest

from bench.counts import multiply_adds, step_multiply_adds
from bench.paths import NETWORKS
from lenet_c import (
    LENET5_1998,
    RBF,
    SGD,
    Adam,
    LeNet5,
    Subsample,
    Trainer,
    codes,
    distort,
    get_num_threads,
    kernels,
)

pytestmark = pytest.mark.benchmark(max_time=0.6, min_time=2e-4)

THREADS = sorted({1, get_num_threads()})
KERNEL_IMAGES = 256
FLOPS_PER_POOLED = {"forward": 5, "backward": 7}  # an output of subsample: sums, products, bias


# ---- kernels -------------------------------------------------------------------------------------


def _kernel(name: str, direction: str):
    """Make a call of a 1998 layer's kernel on random arrays; count its operations an image."""
    rng = np.random.default_rng(1998)

    def random(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape, np.float32)

    forward = direction == "forward"
    outputs = LENET5_1998.output_shapes
    if name == "squash":
        squashed = sum(math.prod(s) for layer, s in outputs.items() if layer != "output")
        a = random(KERNEL_IMAGES, squashed)
        if forward:
            return partial(kernels.squash, a), None
        return partial(kernels.squash_backward, kernels.squash(a), a), None

    layer = next(each for each in LENET5_1998.layers if each.name == name)
    inputs = LENET5_1998.input_shapes[name]
    x, dy = random(KERNEL_IMAGES, *inputs), random(KERNEL_IMAGES, *outputs[name])
    parameters = [random(*shape) for shape in layer.parameter_shapes(inputs).values()]
    if isinstance(layer, Subsample):
        flops = FLOPS_PER_POOLED[direction] * math.prod(outputs[name])
        if forward:
            return partial(kernels.subsample, x, *parameters), flops
        return partial(kernels.subsample_backward, x, parameters[0], dy), flops

    flops = multiply_adds(LENET5_1998)[name] * (2 if forward else 4)
    if outputs[name][1:] == (1, 1):
        x, dy = x.reshape(KERNEL_IMAGES, -1), dy.reshape(KERNEL_IMAGES, -1)
        if isinstance(layer, RBF):
            if forward:
                return partial(kernels.rbf, x, codes.DIGITS), flops
            return partial(kernels.rbf_backward, x, codes.DIGITS, dy), flops
        # C5 too: a convolution over the whole map is a dense layer
        weights = parameters[0].reshape(dy.shape[1], -1)
        if forward:
            return partial(kernels.dense, x, weights, parameters[1]), flops
        return partial(kernels.dense_backward, x, weights, dy), flops
    if forward:
        return partial(kernels.conv, x, *parameters, layer.table), flops
    return partial(kernels.conv_backward, x, parameters[0], dy, layer.table), flops


@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("name", ["C1", "S2", "C3", "S4", "C5", "F6", "output", "squash"])
def test_kernel(measure, name: str, direction: str) -> None:
    call, flops = _kernel(name, direction)
    shown = {"output": "rbf", "squash": "squash, all layers"}.get(name, name)
    measure(f"kernel {shown}, {direction}, {KERNEL_IMAGES}", call, KERNEL_IMAGES, flops)


# ---- networks ------------------------------------------------------------------------------------


# One image runs on the calling thread whatever is asked.
@pytest.mark.parametrize(
    ("n", "threads"), [(1, 1), *((n, threads) for n in (64, 1024) for threads in THREADS)]
)
@pytest.mark.parametrize("network", NETWORKS)
def test_predict(measure, mnist, network: str, n: int, threads: int) -> None:
    net = LeNet5(NETWORKS[network])
    call = partial(net.predict, mnist[0][:n], num_threads=threads)
    flops = 2 * sum(multiply_adds(net.architecture).values())
    measure(f"{network}: predict {n}", call, n, flops, threads=threads)


@pytest.mark.parametrize(("n", "threads"), [(1, 1), *((128, threads) for threads in THREADS)])
@pytest.mark.parametrize("network", NETWORKS)
def test_training_step(measure, mnist, network: str, n: int, threads: int) -> None:
    net = LeNet5(NETWORKS[network])
    optimizer = SGD(1e-4) if n == 1 else Adam(1e-4)
    trainer = Trainer(net, optimizer, num_threads=threads)
    call = partial(trainer.step, mnist[0][:n], mnist[1][:n])
    flops = 2 * step_multiply_adds(net.architecture)
    path = f"{network}: step {n}, {type(optimizer).__name__}"
    measure(path, call, n, flops, threads=threads)


DISTORTIONS = {
    "none": None,
    "affine": distort.AFFINE,
    "affine and elastic": dataclasses.replace(distort.AFFINE, elastic=0.7),
    "world": distort.WORLD,
}


def test_share_of_distortions(mnist) -> None:
    """What distorting adds to a step of 128, in turns with a plain one: clocks drift."""
    seconds: dict[str, list[float]] = {name: [] for name in DISTORTIONS}
    trainers = {
        name: Trainer(LeNet5(), Adam(1e-4), distort=distortion, num_threads=1)
        for name, distortion in DISTORTIONS.items()
    }
    for _ in range(300):
        for name, trainer in trainers.items():
            began = time.perf_counter()
            trainer.step(mnist[0][:128], mnist[1][:128])
            seconds[name].append(time.perf_counter() - began)
    plain, *others = (float(np.quantile(times, 0.1)) for times in seconds.values())
    for name, other in zip(list(DISTORTIONS)[1:], others, strict=True):
        print(
            f"{name}: {(other - plain) / 128 * 1e6:.2f} us an image, "
            f"{(other - plain) / plain:.0%} of a step"
        )
    affine, _, world = others
    assert affine - plain <= 0.25 * plain  # the most that it may take
    assert world - affine <= 0.25 * plain


@pytest.mark.parametrize("threads", THREADS)
def test_epoch(measure, mnist, data_name: str, threads: int) -> None:
    images, labels = mnist
    trainer = Trainer(LeNet5(), Adam(1e-3), num_threads=threads)
    call = partial(trainer.fit, images, labels, epochs=1)
    flops = 2 * step_multiply_adds(LENET5_1998)
    path = f"1998: epoch, {len(images):,} {data_name}, batch {trainer.batch_size}, Adam"
    measure(path, call, len(images), flops, threads=threads, rounds=3, data=data_name)
