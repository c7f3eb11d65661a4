"""What files and other libraries keep of a network: python -m bench.interchange [--threads N].

Prints two tables. The first: what comes back from a round trip, each compared with what went out.
The second: what ONNX Runtime makes of exported networks, beside the network itself, on all of
MNIST's test images; the reader of strings reads them five in a row.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from bench.common import markdown, mnist, need, parser
from lenet_c import LENET5_28, Adam, LeNet5, Rejection, Trainer, export, weights

Trip = Callable[[LeNet5], LeNet5]
AT_ONCE = 1000


def by_file(write: Callable[[LeNet5, Any], None], read: Callable[[Any], LeNet5]) -> Trip:
    """Give a round trip through a file."""

    def trip(network: LeNet5) -> LeNet5:
        file = io.BytesIO()
        write(network, file)
        file.seek(0)
        return read(file)

    return trip


def by_torch(network: LeNet5) -> LeNet5:
    """Go to PyTorch's state and back."""
    return weights.from_torch(LeNet5(network.architecture), weights.to_torch(network))


def by_keras(network: LeNet5) -> LeNet5:
    """Go to the arrays of Keras and back."""
    like = [
        np.zeros(shape[2:] + shape[1::-1] if len(shape) == 4 else shape[::-1], np.float32)
        for shape in (network[name].shape for name in network)
    ]
    arrays = weights.to_keras(network, like)
    return weights.from_keras(LeNet5(network.architecture), arrays)


TRIPS: dict[str, tuple[Trip, bool]] = {  # and whether the network has to be there before
    "`save`": (by_file(LeNet5.save, LeNet5.load), False),
    "safetensors": (by_file(weights.to_safetensors, weights.from_safetensors), False),
    "ONNX": (by_file(export.onnx, export.load_onnx), False),
    "PyTorch": (by_torch, True),
    "Keras": (by_keras, True),
}

PARTS: dict[str, Callable[[LeNet5], Any]] = {
    "weights, bit for bit": lambda net: net.parameters.tobytes(),
    "layers, their names and tables, grey levels": lambda net: net.architecture,
    "`class_names`": lambda net: net.class_names,
    "`temperature`": lambda net: net.temperature,
    "`rejection`: penalty, margin": lambda net: (
        net.rejection and (net.rejection.penalty, net.rejection.margin)
    ),
    "`rejection`: distance, `subspaces`": lambda net: (
        (net.rejection or Rejection()).distance,
        None if net.subspaces is None else net.subspaces.tobytes(),
    ),
    "`learnt_from`": lambda net: net.learnt_from,
    "`notes`": lambda net: net.notes,
}


def calibrated(images: np.ndarray, labels: np.ndarray) -> LeNet5:
    """Give a network of which nothing is as in a new one."""
    network = LeNet5(LENET5_28, seed=1)
    Trainer(network, Adam(3e-3)).fit(images[200:], labels[200:], 2)
    network.calibrate(images[:200], labels[:200], reject=0.05)
    assert network.rejection is not None
    network.rejection = Rejection(network.rejection.penalty, 0.1, network.rejection.distance)
    network.class_names = [f"digit {i}" for i in range(10)]
    network.notes = {"trained on": "MNIST"}
    return network


def kept(network: LeNet5) -> Iterator[list[str]]:
    """Give the rows of the first table."""
    found = {name: trip(network) for name, (trip, _) in TRIPS.items()}
    new = LeNet5(network.architecture)
    for part, of in PARTS.items():
        assert part.startswith("layers") or of(network) != of(new), part
        cells = []
        for name, (_, is_given) in TRIPS.items():
            if is_given and part.startswith("layers"):
                cells.append("given")
            else:
                cells.append("kept" if of(found[name]) == of(network) else "lost")
        yield [part, *cells]


def compared(network: LeNet5, images: np.ndarray, threads: int) -> list[str]:
    """Give a row of the second table."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    file = io.BytesIO()
    export.onnx(network, file)
    session = onnxruntime.InferenceSession(
        file.getvalue(), options, providers=["CPUExecutionProvider"]
    )
    outputs = []
    if network.architecture.blank:
        images = strips(images)
    for first in range(0, len(images), AT_ONCE):
        outputs.append(session.run(None, {"images": images[first : first + AT_ONCE]})[0])
    got = np.concatenate(outputs)
    call = network.sweep if network.architecture.blank else network.forward
    wanted = np.asarray(call(images, num_threads=threads))
    best = np.argmin if network.codes is not None else np.argmax
    differ = int((best(got, -1) != best(wanted, -1)).sum())
    return [
        network.architecture.name,
        f"{len(file.getvalue()) / 1000:.0f} kB",
        f"{wanted[..., 0].size:,}",
        f"{differ}",
        f"{np.abs(got - wanted).max() / np.abs(wanted).max():.1e}",
    ]


def strips(images: np.ndarray) -> np.ndarray:
    """Put images five in a row, 32 pixels high."""
    padded = np.pad(images, ((0, 0), (2, 2), (0, 0)))
    return np.ascontiguousarray(
        padded.reshape(-1, 5, 32, 28).transpose(0, 2, 1, 3).reshape(-1, 32, 140)
    )


def main(argv: list[str] | None = None) -> None:
    command = parser("interchange", __doc__)
    command.add_argument("--threads", type=int, default=1, metavar="N", help="default: 1")
    arguments = command.parse_args(argv)
    need("onnx", "onnxruntime", "safetensors", "torch")
    (images, labels), (test, _) = mnist()
    header = ["what comes back", *TRIPS]
    print(markdown(header, kept(calibrated(images[:2000], labels[:2000]))))
    header = ["network", "file", "outputs compared", "classes that differ", "largest difference"]
    networks = (LeNet5.pretrained(name) for name in ("mnist", "mnist-modern", "strings"))
    print(f"\n{markdown(header, (compared(net, test, arguments.threads) for net in networks))}")


if __name__ == "__main__":
    main()
