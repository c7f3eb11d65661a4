"""Types of the compiled core; see _core.pyx."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lenet_c.reader import Answers

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]
Bytes = NDArray[np.uint8]
Appearance = tuple[int, tuple[float, float], tuple[float, float], tuple[float, float]]
Layer = tuple[str, str, int, int, Bytes | None, bool, int]

KINDS: dict[str, int]
ACTIVATIONS: dict[str, int]
LOSSES: dict[str, int]
STRING_LOSSES: dict[str, int]
STRING_REFUSALS: dict[int, str]
OPTIMIZERS: dict[str, int]
MAX_LAYERS: int
MAX_MAPS: int
MAX_SIDE: int
MAX_CHANNELS: int
MAX_INPUTS: int
MAX_BEAM: int
UNLIKE: tuple[str, ...]
PARTS: tuple[str, ...]
CALLS: tuple[str, ...]

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
def set_memory_limit(limit: int | None) -> None: ...
def get_memory_limit() -> int | None: ...
def check_memory(what: str, wanted: int, remedy: str = "") -> None: ...

class Samples:
    @property
    def n(self) -> int: ...
    @property
    def labels(self) -> Integers: ...
    @property
    def is_single(self) -> bool: ...
    @property
    def is_grey(self) -> bool: ...
    def __init__(
        self,
        network: Plan,
        images: ArrayLike,
        labels: ArrayLike | None = None,
        learn: int = 0,
        name: str = "images",
        look: bool = True,
        weights: ArrayLike | None = None,
        soft: bool = False,
    ) -> None: ...
    @property
    def weights(self) -> NDArray[np.float64] | None: ...
    def weight(self, order: Integers | None = None) -> float: ...
    def some(self, most: int = 256) -> NDArray[Any]: ...

class OptimizerState:
    step: int
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
    @property
    def first(self) -> Floats | None: ...
    @property
    def second(self) -> Floats | None: ...
    @property
    def frozen(self) -> Integers | None: ...
    @property
    def n_updates(self) -> int: ...
    @property
    def n_images(self) -> int: ...
    def freeze(self, ranges: Sequence[tuple[int, int]]) -> None: ...
    def forget_if_bad(self) -> None: ...
    def __setstate__(self, state: tuple[object, ...]) -> None: ...

class Profile:
    def seconds(self, part: str, layer: int = 0) -> float: ...

class Pictures:
    def __init__(self, network: Plan, pictures: ArrayLike | Sequence[ArrayLike]) -> None: ...
    @property
    def n(self) -> int: ...
    @property
    def is_one_array(self) -> bool: ...
    @property
    def positions(self) -> NDArray[np.int32]: ...

class LabelledPictures(Pictures):
    def __init__(
        self,
        network: Plan,
        pictures: ArrayLike | Sequence[ArrayLike],
        labels: Sequence[ArrayLike],
        name: str = "images",
    ) -> None: ...
    @property
    def classes(self) -> list[NDArray[np.int32]]: ...

class Plan:
    profile: Profile | None
    @property
    def n_parameters(self) -> int: ...
    @property
    def channels(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def classes(self) -> int: ...
    @property
    def is_rbf(self) -> bool: ...
    @property
    def background(self) -> tuple[float, ...]: ...
    @property
    def foreground(self) -> tuple[float, ...]: ...
    @property
    def learnt_from(self) -> Appearance | None: ...
    @learnt_from.setter
    def learnt_from(self, values: Appearance | None) -> None: ...
    @property
    def assumed(self) -> bool: ...
    def assume(self) -> None: ...
    def remedy(self, images: Any) -> str: ...
    def workspace_size(self, what: str, n: int, threads: int) -> int: ...
    def forward(
        self,
        images: ArrayLike | Samples,
        num_threads: int | None = None,
        finite: bool = False,
        reader: Answers | None = None,
        in_lanes: bool = False,
    ) -> Floats: ...
    def predict(
        self,
        images: ArrayLike,
        num_threads: int | None = None,
        reader: Answers | None = None,
    ) -> Integers: ...
    def probabilities(
        self,
        images: ArrayLike,
        num_threads: int | None = None,
        temperature: float = 1.0,
        reader: Answers | None = None,
    ) -> Floats: ...
    def activations(
        self, images: ArrayLike | Samples, num_threads: int | None = None
    ) -> list[Floats]: ...
    def positions(self, height: int, width: int) -> tuple[int, int]: ...
    def sweep(
        self, pictures: ArrayLike | Sequence[ArrayLike], num_threads: int | None = None
    ) -> tuple[Floats, Pictures]: ...
    def sweep_activations(self, picture: ArrayLike) -> list[Floats]: ...
    def evaluate(
        self,
        samples: Samples,
        loss: str,
        j: float,
        temperature: float,
        num_threads: int | None = None,
        reader: Answers | None = None,
    ) -> tuple[float, int, Integers]: ...

class Model(Plan):
    def __init__(self, network: Network, parameters: Floats) -> None: ...
    @property
    def parameters(self) -> Floats: ...

class Committee(Plan):
    def __init__(self, members: Sequence[Model], scales: Sequence[float]) -> None: ...

class Network(Plan):
    def __init__(
        self,
        layers: Sequence[Layer],
        image: tuple[int, int, int],
        background: Sequence[float],
        foreground: Sequence[float],
        codes: Floats | None,
        blank: bool = False,
    ) -> None: ...
    @property
    def parameters(self) -> Floats: ...
    def strings_gradient(
        self,
        strings: LabelledPictures,
        loss: str,
        j: float,
        temperature: float,
        num_threads: int | None = None,
    ) -> tuple[float, int, Floats]: ...
    def strings_step(
        self,
        strings: LabelledPictures,
        order: NDArray[np.int64] | None,
        loss: str,
        j: float,
        temperature: float,
        state: OptimizerState,
        rate: float,
        num_threads: int | None = None,
        fallback: Floats | None = None,
    ) -> tuple[float, int]: ...
    def gradient(
        self,
        samples: Samples,
        loss: str,
        j: float,
        temperature: float,
        num_threads: int | None = None,
    ) -> tuple[float, int, Floats]: ...
    def curvature(
        self,
        samples: Samples,
        order: Integers | None,
        loss: str,
        j: float,
        temperature: float,
        num_threads: int | None = None,
    ) -> Floats: ...
    def step(
        self,
        samples: Samples,
        order: Integers | None,
        loss: str,
        j: float,
        temperature: float,
        state: OptimizerState,
        rate: float,
        num_threads: int | None = None,
        distortion: tuple[Sequence[float], int] | None = None,
        fallback: Floats | None = None,
    ) -> tuple[float, int]: ...
    def apply(
        self,
        gradient: Floats,
        n: int,
        state: OptimizerState,
        rate: float,
        fallback: Floats | None = None,
    ) -> None: ...

def distort(
    strengths: Sequence[float], seed: int, first: int, images: Bytes, out: Bytes
) -> None: ...
def transform(parameters: Sequence[float], images: Bytes, out: Bytes) -> None: ...
def string_losses(
    kind: str,
    outputs: Floats,
    positions: ArrayLike,
    labels: ArrayLike,
    lengths: ArrayLike,
    blank: int,
    scale: float,
    j: float,
    grammar: tuple[ArrayLike, ArrayLike] | None,
    losses: NDArray[np.float64],
    gradient: Floats | None,
) -> tuple[int, str] | None: ...
def string_limits() -> list[float]: ...

class Strings:
    def __init__(
        self,
        images: Bytes,
        order: Integers,
        starts: Integers,
        classes: int,
        digits: Sequence[int],
        marks: Sequence[bool],
        stands: bool,
        length: Sequence[int],
        gap: Sequence[int],
        empty: float,
        repeat: float,
        strengths: Sequence[float],
        chances: Sequence[float],
        seed: int,
    ) -> None: ...
    def draw(
        self, n: int, first: int, num_threads: int | None = None
    ) -> tuple[list[Bytes], list[Integers]]: ...

def layer_forward(
    kind: str,
    maps: int,
    kernel: int,
    table: NDArray[np.uint8] | None,
    x: Floats,
    weights: Floats | None,
    biases: Floats | None,
    y: Floats,
    padding: int = 0,
) -> None: ...
def layer_backward(
    kind: str,
    maps: int,
    kernel: int,
    table: NDArray[np.uint8] | None,
    x: Floats,
    weights: Floats | None,
    dy: Floats,
    dx: Floats,
    dweights: Floats | None,
    dbiases: Floats | None,
    padding: int = 0,
) -> None: ...
def squash(a: Floats, activation: str, y: Floats) -> None: ...
def squash_backward(y: Floats, dy: Floats, activation: str, da: Floats) -> None: ...

Found = tuple[list[int], float, NDArray[np.int32], NDArray[np.float64]]

class Grammar:
    classes: int
    blank: int
    n_edges: int
    @property
    def n_states(self) -> int: ...
    @property
    def least_positions(self) -> int | None: ...
    def __init__(
        self, following: NDArray[np.int32], accept: NDArray[np.uint8], blank: int
    ) -> None: ...

def best_path(evidence: Floats, blank: int) -> list[Found]: ...
def decode(
    evidence: Floats,
    blank: int,
    beam: int,
    n_best: int,
    grammar: Grammar | None = None,
    total: bool = False,
) -> tuple[list[Found], float]: ...
