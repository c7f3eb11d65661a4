"""Types of the compiled core; see _core.pyx."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]
Bytes = NDArray[np.uint8]
Layer = tuple[str, str, int, int, Bytes | None, bool]

KINDS: dict[str, int]
ACTIVATIONS: dict[str, int]
LOSSES: dict[str, int]
OPTIMIZERS: dict[str, int]
PARTS: tuple[str, ...]

def available_isas() -> list[str]: ...
def isa() -> tuple[str, int]: ...
def compiler() -> str: ...
def available_threadings() -> list[str]: ...
def get_threading() -> str: ...
def set_threading(name: str | None) -> None: ...
def set_num_threads(n: int | None) -> None: ...
def get_num_threads() -> int: ...
def check_num_threads(n: int | None) -> None: ...
def multiply_adds(rounds: int, loads: bool = False) -> float: ...

class Samples:
    n: int
    labels: Integers
    is_single: bool
    is_grey: bool
    def __init__(
        self, network: Network, images: ArrayLike, labels: ArrayLike | None = None
    ) -> None: ...

class OptimizerState:
    first: Floats | None
    second: Floats | None
    step: int
    n_updates: int
    n_images: int
    n_measured: int
    rate: float | None
    def __init__(
        self,
        kind: str,
        n: int,
        *,
        momentum: float = 0.0,
        beta1: float = 0.0,
        beta2: float = 0.0,
        epsilon: float = 0.0,
        weight_decay: float = 0.0,
    ) -> None: ...
    def freeze(self, ranges: Sequence[tuple[int, int]]) -> None: ...
    def forget_if_bad(self) -> None: ...

class Profile:
    def seconds(self, part: str, layer: int = 0) -> float: ...

class Network:
    profile: Profile | None
    parameters: Floats
    shapes: list[tuple[int, int, int]]
    height: int
    width: int
    classes: int
    def __init__(
        self,
        layers: Sequence[Layer],
        height: int,
        width: int,
        background: float,
        foreground: float,
        codes: Floats | None,
    ) -> None: ...
    def forward(
        self, images: ArrayLike, num_threads: int | None = None, finite: bool = False
    ) -> Floats: ...
    def predict(self, images: ArrayLike, num_threads: int | None = None) -> Integers: ...
    def probabilities(self, images: ArrayLike, num_threads: int | None = None) -> Floats: ...
    def activations(self, images: ArrayLike, num_threads: int | None = None) -> list[Floats]: ...
    def evaluate(
        self, samples: Samples, loss: str, j: float, num_threads: int | None = None
    ) -> tuple[float, int, Integers]: ...
    def gradient(
        self, samples: Samples, loss: str, j: float, num_threads: int | None = None
    ) -> tuple[float, int, Floats]: ...
    def curvature(
        self,
        samples: Samples,
        order: Integers | None,
        loss: str,
        j: float,
        num_threads: int | None = None,
    ) -> Floats: ...
    def step(
        self,
        samples: Samples,
        order: Integers | None,
        loss: str,
        j: float,
        state: OptimizerState,
        rate: float,
        num_threads: int | None = None,
        distortion: tuple[Sequence[float], int] | None = None,
        fallback: Floats | None = None,
    ) -> tuple[float, int]: ...

def distort(
    strengths: Sequence[float], seed: int, first: int, images: Bytes, out: Bytes
) -> None: ...
def transform(parameters: Sequence[float], images: Bytes, out: Bytes) -> None: ...
def conv(
    x: Floats, weights: Floats, bias: Floats, kernel: int, table: Bytes | None, y: Floats
) -> None: ...
def conv_backward(
    x: Floats,
    weights: Floats,
    kernel: int,
    table: Bytes | None,
    dy: Floats,
    dx: Floats,
    dw: Floats,
    db: Floats,
) -> None: ...
def subsample(x: Floats, coefficient: Floats, bias: Floats, y: Floats) -> None: ...
def subsample_backward(
    x: Floats, coefficient: Floats, dy: Floats, dx: Floats, dcoefficient: Floats, dbias: Floats
) -> None: ...
def dense(x: Floats, weights: Floats, bias: Floats, y: Floats) -> None: ...
def dense_backward(
    x: Floats, weights: Floats, dy: Floats, dx: Floats, dw: Floats, db: Floats
) -> None: ...
def rbf(x: Floats, codes: Floats, y: Floats) -> None: ...
def rbf_backward(x: Floats, codes: Floats, dy: Floats, dx: Floats, dcodes: Floats) -> None: ...
def squash(a: Floats, activation: str, y: Floats) -> None: ...
def squash_backward(y: Floats, dy: Floats, activation: str, da: Floats) -> None: ...
