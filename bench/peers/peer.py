"""What a contender implements, and which there are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from bench.peers.tasks import Problem, Task

PIECE = 64  # images at a time where a large batch may be cut up

Call = Callable[..., Any]
Settings = dict[str, Call]


class Failure(Exception):
    """A contender cannot do a task; the message is the reason."""


@dataclass(frozen=True)
class Pass:
    """Training that goes on from where it is.

    Attributes
    ----------
    run : call
        Trains for one pass in a new order, and returns when it is done.
    weights : call
        Gives the weights as `Problem.weights` has them.
    """

    run: Call
    weights: Call


class Peer:
    """A library, limited to so many threads, in a process of its own.

    Each method prepares a task in every setting that may be the fastest, by name; the harness
    checks each and goes on with the fastest. Images and labels are put into the library's own
    form beforehand: only the run is timed.

    A peer leaves out the methods of what its library cannot do. Those here then tell the harness
    so, by a Failure, whose message stands in the report in place of a figure.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def inference(self, problem: Problem, task: Task) -> Settings:
        """Give calls that return the logits, or pieces of them in order, when they are there."""
        raise Failure("has no inference")

    def training(self, problem: Problem, task: Task) -> Settings:
        """Give calls that take a step on the next batch each time and return the loss before.

        The loss may be a promise; the harness asks for its value after some steps.
        """
        raise Failure("does not train")

    def epoch(self, problem: Problem, task: Task) -> dict[str, Pass]:
        """Give passes over all images."""
        raise Failure("does not train")


@dataclass(frozen=True)
class Contender:
    """Where to find a peer: "module:class", and the distributions that it needs ("a|b": either)."""

    name: str
    spec: str
    needs: tuple[str, ...] = ()

    def versions(self) -> dict[str, str]:
        """Give the versions of what it needs; raise PackageNotFoundError if something is not."""
        return dict(_version(package) for package in self.needs)


def _version(package: str) -> tuple[str, str]:
    first, _, others = package.partition("|")
    try:
        return first, metadata.version(first)
    except metadata.PackageNotFoundError:
        if not others:
            raise
        return _version(others)


OURS = Contender("lenet_c", "bench.peers.ours:Ours", ("lenet_c",))
CONTENDERS = (
    OURS,
    Contender("PyTorch eager", "bench.peers.pytorch:Eager", ("torch",)),
    Contender("PyTorch channels-last", "bench.peers.pytorch:ChannelsLast", ("torch",)),
    Contender("PyTorch compiled", "bench.peers.pytorch:Compiled", ("torch",)),
    Contender("ONNX Runtime", "bench.peers.onnx_runtime:OnnxRuntime", ("onnx", "onnxruntime")),
    Contender("OpenVINO", "bench.peers.open_vino:OpenVino", ("onnx", "openvino")),
    Contender(
        "LiteRT",
        "bench.peers.litert:LiteRT",
        ("ai_edge_litert", "keras", "tensorflow|tensorflow_cpu"),
    ),
    Contender("MNN", "bench.peers.mnn:Mnn", ("onnx", "MNN")),
    Contender("ncnn", "bench.peers.ncnn_net:Ncnn", ("ncnn",)),
    Contender("JAX", "bench.peers.jax_xla:Jax", ("jax", "jaxlib")),
    Contender("Keras", "bench.peers.keras_tf:Keras", ("keras", "tensorflow|tensorflow_cpu")),
)
