"""A network as an ONNX graph: see `lenet_c.export.onnx`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import lenet_c
from lenet_c import checks, model_file, serialization
from lenet_c.architecture import Architecture
from lenet_c.chain import TANH_SCALES
from lenet_c.layers import RBF, Conv, Dense, Layer, MaxPool, Subsample
from lenet_c.network import Network
from lenet_c.tables import table_matrix

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lenet_c.ensemble import Ensemble

Floats = NDArray[np.float32]

OPSET, IR_VERSION = 17, 8
VERSION = 1  # of the metadata
IMAGES = "images"
MAX_BYTES = serialization.LIMITS.file

_ACTIVATIONS = {"tanh": "Tanh", "relu": "Relu", "sigmoid": "Sigmoid"}


def need_onnx() -> Any:
    """Import onnx, or say how to get it."""
    try:
        import onnx
    except ImportError:
        raise ImportError('ONNX needs onnx: pip install "lenet_c[interchange]"') from None
    return onnx


def model(network: Network | Ensemble, input: str, size: object) -> Any:
    """Build the model.

    Parameters
    ----------
    network : Network or Ensemble
    input : str
        "uint8" or "float32".
    size : (int, int) or None

    Returns
    -------
    onnx.ModelProto
    """
    helper = need_onnx().helper
    parts = [network] if isinstance(network, Network) else network.members()
    snapshots = [part._snapshot() for part in parts]
    taken = sum(parameters.nbytes for parameters in snapshots)
    if not all(np.isfinite(parameters).all() for parameters in snapshots):
        raise ValueError("parameters: some are NaN or infinite, want finite values")
    if taken > MAX_BYTES // 2:  # a table takes up to as much again, or a dense C3
        raise ValueError(f"parameters: {taken:,} bytes, want at most {MAX_BYTES // 2:,} in a graph")
    found = _size(network._architecture, input, size)
    graph = _Graph(network._architecture)
    if isinstance(network, Network):
        _add_layers(graph, network, snapshots[0], input, found)
    else:
        for part, parameters in zip(parts, snapshots, strict=True):
            graph.begin(part.architecture)
            _add_layers(graph, part, parameters, input, found)
        graph.add_up(network._scales, network._network.is_rbf)
    made = helper.make_model(
        graph.made(input, found),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="lenet_c",
        producer_version=lenet_c.__version__,
    )
    helper.set_model_props(made, _metadata(network, input, found))
    if made.ByteSize() > MAX_BYTES:
        raise ValueError(f"the graph takes {made.ByteSize():,} bytes, want at most {MAX_BYTES:,}")
    return made


def _add_layers(
    graph: _Graph, network: Network, parameters: Floats, input: str, size: tuple[int, int]
) -> None:
    graph.read_images(input, size)
    codes = network._codes_of(parameters)
    for layer in network.architecture.layers:
        values = {
            name.partition(".")[2]: parameters[slice(*network._ranges[name])].reshape(shape)
            for name, shape in network._shapes.items()
            if name.partition(".")[0] == layer.name
        }
        if codes is not None and isinstance(layer, RBF):
            values = {"weight": codes}
        graph.add(layer, values)


def _size(architecture: Architecture, input: str, given: object) -> tuple[int, int]:
    """Give the images' height and width."""
    height, width = own = architecture.image_shape[1:]
    if given is None:
        is_mnist = own == (32, 32) and input == "uint8" and not architecture.blank
        return (28, 28) if is_mnist else own
    if not isinstance(given, (tuple, list)) or len(given) != 2:
        raise TypeError(f"size: got {checks.short(given)}, want (height, width)")
    size = checks.whole("size", given[0], 1), checks.whole("size", given[1], 1)
    spare = height - size[0], width - size[1]
    if spare != (0, 0) and (input == "float32" or architecture.blank):
        what = "float32 images are" if input == "float32" else "a strip is as high as the input,"
        raise ValueError(f"size: got {size}, want None: {what} {height}x{width}")
    if not all(0 <= left <= 8 and left % 2 == 0 for left in spare):
        raise ValueError(
            f"size: got {size}, want {height}x{width}, or up to 8 pixels less, by an even number"
        )
    return size


def _metadata(network: Network | Ensemble, input: str, size: tuple[int, int]) -> dict[str, str]:
    """Give what the graph itself does not say, each as JSON."""
    if isinstance(network, Network):
        about = model_file._metadata(network)
    else:
        about = model_file.noted(network.notes) | model_file.calibration_of(network)
        about["networks"] = len(network)
    known = json.loads(serialization.encode(about))
    del known["format"], known["version"]
    if "rejection" in known:  # which rejects by what the graph does not give
        known["rejection"].pop("distance", None)
    known.setdefault("temperature", 1.0)
    if network._architecture.blank:
        known["blank"] = network._architecture.classes - 1
    known["lenet_c"] = {"version": VERSION, "input": input, "size": list(size)}
    return {name: json.dumps(value) for name, value in known.items()}


class _Graph:
    """The nodes of a network's layers, one behind the other."""

    def __init__(self, architecture: Architecture) -> None:
        onnx = need_onnx()
        self._helper, self._from_array = onnx.helper, onnx.numpy_helper.from_array
        self._float, self._uint8 = onnx.TensorProto.FLOAT, onnx.TensorProto.UINT8
        self._architecture = architecture
        self._nodes: list[Any] = []
        self._constants: dict[str, Any] = {}
        self._last = IMAGES  # the value that the next node takes
        self._shape = architecture.image_shape  # of what the network itself has here
        self._is_flat = False
        self._taken: set[str] = set()
        self._prefix = ""  # of all names
        self._ends: list[str] = []  # the outputs of a committee's networks

    def begin(self, architecture: Architecture) -> None:
        """Begin with a network of a committee, from the images."""
        self._architecture, self._shape = architecture, architecture.image_shape
        self._last, self._is_flat = IMAGES, False
        self._prefix = f"{len(self._ends)}/"
        self._ends.append("")

    def add_up(self, scales: Sequence[float], is_rbf: bool) -> None:
        """End a committee: each network's outputs times its number, added."""
        parts = []
        for k, (end, scale) in enumerate(zip(self._ends, scales, strict=True)):
            self._prefix = f"{k}/"
            factor = self._constant("scale", np.array(scale, np.float32))
            parts.append(self._value("Mul", "scaled", end, factor))
        self._prefix = ""
        self._last = self._value("Sum", "sum", *parts)
        self._name_outputs(is_rbf)

    def made(self, input: str, size: tuple[int, int]) -> Any:
        """Give the graph."""
        architecture, info = self._architecture, self._helper.make_tensor_value_info
        channels = architecture.image_shape[0]
        images = ["N", *([channels] if channels > 1 else []), *size]
        outputs: list[str | int] = ["N", architecture.classes]
        if architecture.blank:
            images[-1] = "width"
            outputs.insert(1, "positions")
        kind = self._uint8 if input == "uint8" else self._float
        return self._helper.make_graph(
            self._nodes,
            architecture.name,
            [info(IMAGES, kind, images)],
            [info(self._last, self._float, outputs)],
            list(self._constants.values()),
        )

    # ---- images ----

    def read_images(self, input: str, size: tuple[int, int]) -> None:
        """Make maps of images, (N, channels, height, width), padded and in the network's range."""
        architecture = self._architecture
        background, foreground = (np.array(ends, np.float64) for ends in architecture.levels)
        if input == "uint8":
            self._node("Cast", "images.float", to=self._float)
        if architecture.image_shape[0] == 1:
            self._node("Unsqueeze", "images.maps", self._whole("axis.maps", 1))
        # what is put around uint8 images is scaled with them, from 0 to the background
        shift = -background if input == "float32" else np.zeros(1)
        if architecture.blank:
            self._by_map("Add", "images.shifted", shift)
            self._pad_strips(architecture.image_shape[2])
            self._by_map("Add", "images.shifted_back", -shift)
        elif size != architecture.image_shape[1:]:
            top, left = ((a - b) // 2 for a, b in zip(self._shape[1:], size, strict=True))
            pads = self._whole("images.pads", 0, 0, top, left, 0, 0, top, left)
            self._node("Pad", "images.padded", pads)
        if input == "uint8":
            self._by_map("Mul", "images.scaled", (foreground - background) / 255)
            self._by_map("Add", "images.normalised", background)

    def _by_map(self, op: str, output: str, values: NDArray[np.float64]) -> None:
        if op == "Add" and not values.any():
            return
        constant = values.astype(np.float32).reshape(-1, 1, 1)
        self._node(op, output, self._constant(f"{output}.by", constant))

    def _pad_strips(self, width: int) -> None:
        """Pad to the width of whole positions: narrow strips on both sides, others behind."""
        pools = [
            each for each in self._architecture.layers if not each.flat and each.kind != "conv"
        ]
        value, whole = self._value, self._whole
        own, stride = whole("strip.own", width), whole("strip.stride", 2 ** len(pools))
        zero, two = whole("strip.zero", 0), whole("strip.two", 2)
        given = value("Shape", "strip.width", self._last, start=3, end=4)
        beyond = value("Max", "strip.beyond", value("Sub", "strip.longer", given, own), zero)
        up = value("Add", "strip.up", beyond, whole("strip.rest", 2 ** len(pools) - 1))
        steps = value("Mul", "strip.wider", value("Div", "strip.steps", up, stride), stride)
        total = value("Add", "strip.total", steps, own)
        missing = value("Max", "strip.missing", value("Sub", "strip.shorter", own, given), zero)
        left = value("Div", "strip.left", missing, two)
        right = value("Sub", "strip.right", total, value("Add", "strip.used", left, given))
        none = whole("strip.none", 0, 0, 0)
        pads = value("Concat", "strip.pads", none, left, none, right, axis=0)
        self._node("Pad", "images.padded", pads)

    # ---- layers ----

    def add(self, layer: Layer, values: dict[str, NDArray[np.float32]]) -> None:
        """Add a layer."""
        shape, name = self._shape, layer.name
        if isinstance(layer, Conv):
            weight = values["weight"]
            if layer.table is not None:
                weight = np.zeros((layer.maps, shape[0], *weight.shape[1:]), np.float32)
                weight[table_matrix(layer.table, shape[0]) > 0] = values["weight"]
            self._conv(name, weight, values["bias"], pads=[layer.padding] * 4)
        elif isinstance(layer, Subsample):
            maps = layer.output_shape(shape)[0]
            if layer.table is not None:
                sources = self._whole(f"{name}.table", *layer.sources(shape))
                self._node("Gather", f"{name}.maps", sources, axis=1)
            block = np.broadcast_to(values["coefficient"][:, None, None, None], (maps, 1, 2, 2))
            self._conv(name, block, values["bias"], group=maps, strides=[2, 2])
        elif isinstance(layer, Dense):
            self._dense(layer, values)
        elif isinstance(layer, RBF):
            self._rbf(layer, values["weight"])
        else:
            op = "MaxPool" if isinstance(layer, MaxPool) else "AveragePool"
            self._node(op, name, kernel_shape=[2, 2], strides=[2, 2])
        self._shape = layer.output_shape(shape)
        self._activation(name, getattr(layer, "activation", "identity"))
        if layer is self._architecture.layers[-1]:
            self._finish(isinstance(layer, RBF))

    def _conv(self, name: str, weight: Any, bias: Any, **attributes: Any) -> None:
        self._node(
            "Conv",
            name,
            self._constant(f"{name}.weight", weight),
            self._constant(f"{name}.bias", bias),
            kernel_shape=list(weight.shape[2:]),
            **attributes,
        )

    def _dense(self, layer: Dense, values: dict[str, NDArray[np.float32]]) -> None:
        name, weight, bias = layer.name, values["weight"], values["bias"]
        if self._architecture.blank:  # at every position
            self._conv(name, weight.reshape(layer.units, *self._shape), bias)
            return
        self._flatten()
        inputs = self._constant(f"{name}.weight", weight), self._constant(f"{name}.bias", bias)
        self._node("Gemm", name, *inputs, transB=1)

    def _rbf(self, layer: RBF, codes: NDArray[np.float32]) -> None:
        name = layer.name
        if self._architecture.blank:
            self._positions()
        else:
            self._flatten()
        self._node("Unsqueeze", f"{name}.units", self._whole("axis.classes", -2))
        self._node("Sub", f"{name}.differences", self._constant(f"{name}.codes", codes))
        self._node("ReduceSumSquare", name, axes=[-1], keepdims=0)

    def _activation(self, name: str, kind: str) -> None:
        if kind == "scaled_tanh":
            for op, which, scale in (("Mul", "in", 0), ("Tanh", "tanh", None), ("Mul", "out", 1)):
                inputs = []
                if scale is not None:
                    factor = np.array(TANH_SCALES[scale], np.float32)
                    inputs = [self._constant(f"tanh.{which}", factor)]
                self._node(op, f"{name}.{which}", *inputs)
        elif kind != "identity":
            self._node(_ACTIVATIONS[kind], f"{name}.{kind}")

    def _flatten(self) -> None:
        if not self._is_flat:
            self._node("Flatten", "flat", axis=1)
            self._is_flat = True

    def _positions(self) -> None:
        """Make (N, positions, units) of (N, units, 1, positions)."""
        self._node("Squeeze", "rows", self._whole("axis.rows", 2))
        self._node("Transpose", "positions.units", perm=[0, 2, 1])

    def _finish(self, is_rbf: bool) -> None:
        if self._architecture.blank and not is_rbf:
            self._positions()
        if self._ends:
            self._ends[-1] = self._last
        else:
            self._name_outputs(is_rbf)

    def _name_outputs(self, is_rbf: bool) -> None:
        self._last = self._nodes[-1].output[0] = "penalties" if is_rbf else "logits"

    # ---- nodes ----

    def _constant(self, name: str, values: NDArray[Any]) -> str:
        name = self._prefix + name
        if name not in self._constants:
            self._constants[name] = self._from_array(np.ascontiguousarray(values), name)
        return name

    def _whole(self, name: str, *values: int) -> str:
        return self._constant(name, np.array(values, np.int64))

    def _node(self, op: str, output: str, *inputs: str, **attributes: Any) -> None:
        """Add a node that goes on from the last one."""
        self._last = self._value(op, output, self._last, *inputs, **attributes)

    def _value(self, op: str, output: str, *inputs: str, **attributes: Any) -> str:
        output = f"/{self._prefix}{output}"
        while output in self._taken:  # by a layer of that name
            output += "_"
        self._taken.add(output)
        self._nodes.append(self._helper.make_node(op, inputs, [output], output, **attributes))
        return output
