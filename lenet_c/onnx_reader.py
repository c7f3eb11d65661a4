"""Networks read from ONNX graphs: see `lenet_c.export.load_onnx`.

What this library wrote is made anew from its metadata and weights, and is taken only if the graph
of that network is the file's. Any other graph is walked from its images to its outputs.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from lenet_c import checks, files, model_file, onnx_writer, serialization
from lenet_c.architecture import Architecture
from lenet_c.chain import Chain
from lenet_c.classes import checked_codes
from lenet_c.inputs import Appearance
from lenet_c.layers import MAX_NAME, RBF, AveragePool, Conv, MaxPool, Subsample
from lenet_c.model import LeNet5
from lenet_c.serialization import ModelFileError
from lenet_c.tables import table_matrix

Array = NDArray[Any]
Level = float | tuple[float, ...] | None

_MOST_NODES = 1000
# what nodes raise that have too few inputs, or attributes of another type
_WRONG = (ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError)
_BATCH = -1  # stands for the number of images in a shape


def load(
    path: str | os.PathLike[str] | BinaryIO, mean: Level, std: Level, max_bytes: int | None
) -> LeNet5:
    """Read a network: see `lenet_c.export.load_onnx`."""
    onnx = onnx_writer.need_onnx()
    limit = onnx_writer.MAX_BYTES if max_bytes is None else checks.whole("max_bytes", max_bytes, 1)
    name = files.name_of(path)
    content = files.get(path, limit)
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except Exception as error:  # protobuf's own, which it has not in one place
        raise ModelFileError(f"{name}: not an ONNX model ({error})") from None
    if not model.graph.node or not model.graph.output:
        raise ModelFileError(f"{name}: not an ONNX model (it has no graph)")
    try:
        if any(entry.key == "networks" for entry in model.metadata_props):
            raise ValueError("a committee; want the file of one of its networks")
        about = _metadata(model)
        network = _as_written(model, about)
        if network is None:
            network = _Walk(onnx, model).network(mean, std)
        elif mean is not None or std is not None:
            raise ValueError("mean, std: this graph says itself how it scales, want None")
        _take_over(network, about)
    except (KeyError, TypeError, ValueError) as error:
        what = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise ModelFileError(f"{name}: {what}") from None
    return network


# ---- what this library wrote ----


def _metadata(model: Any) -> dict[str, Any]:
    """Give what the metadata says that this library knows, as JSON has it."""
    known = {
        *("architecture", "class_names", "learnt_from", "lenet_c", "notes", "rejection"),
        "temperature",
    }
    about = {}
    for entry in model.metadata_props:
        if entry.key not in known:
            continue
        try:
            about[entry.key] = serialization.decode(entry.value)
        except ValueError as error:
            if entry.key in ("architecture", "lenet_c"):
                raise ValueError(f"metadata: {entry.key}: {error}") from None
    return about


def _as_written(model: Any, about: dict[str, Any]) -> LeNet5 | None:
    """Give the network whose graph this is; None: it is no graph of this library, or changed."""
    how = about.get("lenet_c")
    if not isinstance(how, dict) or "architecture" not in about:
        return None
    if how.get("version") != onnx_writer.VERSION:
        return None
    architecture = Architecture.from_dict(about["architecture"])
    if 4 * architecture.n_parameters > model.ByteSize():  # before memory is taken for them
        return None
    constants = {}
    numpy_helper = onnx_writer.need_onnx().numpy_helper
    for tensor in model.graph.initializer:
        if tensor.data_type == 1 and not tensor.external_data:  # float32
            constants[tensor.name] = numpy_helper.to_array(tensor)
    last = architecture.layers[-1]
    try:
        codes = constants[f"{last.name}.codes"] if isinstance(last, RBF) else None
        network = LeNet5(architecture, codes=checked_codes(architecture, codes))
        for layer in architecture.layers:
            for name in network._names_of([layer.name], "layers"):
                if name == network._code_name:
                    continue
                values = constants[name.replace(".coefficient", ".weight")]
                if isinstance(layer, Conv) and layer.table is not None and values.ndim == 4:
                    values = values[table_matrix(layer.table, values.shape[1]) > 0]
                elif isinstance(layer, Subsample) and values.ndim == 4:
                    values = values[:, 0, 0, 0]
                network[name] = values.reshape(network[name].shape)
        size = how.get("size")
        again = onnx_writer.model(network, how.get("input", ""), size)
    except (KeyError, IndexError, TypeError, ValueError):
        return None
    return network if again.graph == model.graph else None


def _take_over(network: LeNet5, about: dict[str, Any]) -> None:
    """Set what the metadata say of names and calibration."""
    model_file.take_over(network, about, None)
    if isinstance(about.get("notes"), dict):
        network.notes = about["notes"]
    if "learnt_from" in about:
        network._network.learnt_from = Appearance.from_dict(about["learnt_from"])
    else:
        network._network.assume()


# ---- other graphs ----


class _Value:
    """Maps or units under way: what each axis of an array is, and how long.

    Attributes
    ----------
    axes : list of (str, int)
        "N", "C", "H" and "W", in their order. The number of images has no length.
    """

    def __init__(self, axes: list[tuple[str, int]]) -> None:
        self.axes = axes

    @property
    def sizes(self) -> list[int]:
        return [size for _, size in self.axes]

    def place(self, axis: str) -> int:
        """Give where an axis lies; ValueError if there is none."""
        for place, (name, _) in enumerate(self.axes):
            if name == axis:
                return place
        raise ValueError(f"no axis {axis} in {self}")

    def __str__(self) -> str:
        return "(" + ", ".join(n if n == "N" else f"{n} {size}" for n, size in self.axes) + ")"


class _Walk:
    """Walks a graph from its images on."""

    def __init__(self, onnx: Any, model: Any) -> None:
        self._to_array = onnx.numpy_helper.to_array
        self._attribute = onnx.helper.get_attribute_value
        self._types = onnx.TensorProto
        self._graph = model.graph
        self._constants: dict[str, Array] = {}
        self._past: dict[str, _Value] = {}
        self._folded = 0  # bytes that were computed of constants
        self._codes: NDArray[np.float32] | None = None  # that are being compared with
        if len(self._graph.node) > _MOST_NODES:
            raise ValueError(f"{len(self._graph.node)} nodes, want at most {_MOST_NODES}")
        for tensor in self._graph.initializer:
            self._constants[tensor.name] = self._array(tensor)
        self._open()

    def _open(self) -> None:
        inputs = [each for each in self._graph.input if each.name not in self._constants]
        if len(inputs) != 1 or len(self._graph.output) != 1:
            raise ValueError(
                f"{len(inputs)} inputs and {len(self._graph.output)} outputs, want one of each"
            )
        self._last = inputs[0].name
        kind = inputs[0].type.tensor_type
        if kind.elem_type not in (self._types.UINT8, self._types.FLOAT):
            raise ValueError(f"input {self._last!r}: want uint8 or float32")
        self._is_grey = kind.elem_type == self._types.UINT8
        dims = [dim.dim_value for dim in kind.shape.dim]
        if len(dims) not in (3, 4) or min(dims[1:]) < 1:
            sizes = ", ".join(dim.dim_param or str(dim.dim_value or "?") for dim in kind.shape.dim)
            raise ValueError(
                f"input {self._last!r}: shape ({sizes}), want (N, height, width) or (N, channels, "
                "height, width) of which only N may vary"
            )
        self._batch = dims[0]
        names = "NHW" if len(dims) == 3 else self._layout(dims)
        self._value = _Value(list(zip(names, [_BATCH, *dims[1:]], strict=True)))
        sizes_of = dict(self._value.axes)
        self._chain = Chain((sizes_of.get("C", 1), sizes_of["H"], sizes_of["W"]))

    def _layout(self, dims: list[int]) -> str:
        """Tell whether channels come first or last, by the first convolution's weights."""
        for node in self._graph.node:
            weight = self._constants.get(node.input[1]) if len(node.input) > 1 else None
            if node.op_type == "Conv" and weight is not None and weight.ndim == 4:
                return "NHWC" if weight.shape[1] != dims[1] else "NCHW"
        return "NHWC" if dims[1] > dims[3] else "NCHW"

    def network(self, mean: Level, std: Level) -> LeNet5:
        """Give the network."""
        for number, node in enumerate(self._graph.node):
            where = f"node {node.name or number!r} ({node.op_type})"
            try:
                self._visit(node)
            except _WRONG as error:
                raise ValueError(f"{where}: {error}") from None
        if self._last != self._graph.output[0].name:
            raise ValueError(
                f"output {self._graph.output[0].name!r}: not what the last node gives, want that"
            )
        scale, shift = self._chain.range
        if self._is_grey:
            if mean is not None or std is not None:
                raise ValueError("mean, std: the graph takes uint8 images, want None")
            background, foreground = shift, 255 * scale + shift
        else:
            if self._chain.is_scaled and std is None:
                raise ValueError(
                    f"the graph multiplies its images by {scale[0]:.4g} and adds {shift[0]:.4g}: "
                    "want mean= and std=, which say what it takes: std=1 / 255 for levels from 0 "
                    "to 255, std=1 for 0 to 1"
                )
            means, deviations = (
                _each(name, given, default, len(scale))
                for name, given, default in (("mean", mean, 0.0), ("std", std, 1.0))
            )
            if not (deviations > 0).all():
                raise ValueError(f"std: got {checks.short(std)}, want numbers above 0")
            background = scale * (-means / deviations) + shift
            foreground = scale * ((1 - means) / deviations) + shift
        given = self._graph.name  # bytes, where it is no text
        name = "".join(c for c in str(given) if c.isprintable())[:MAX_NAME]
        return self._chain.network(name or "onnx", background, foreground)

    # ---- nodes ----

    def _visit(self, node: Any) -> None:
        if node.domain not in ("", "ai.onnx"):
            raise ValueError(f"of {node.domain}, want ONNX's own nodes")
        attributes = {each.name: self._attribute(each) for each in node.attribute}
        inputs = list(node.input)
        while inputs and not inputs[-1]:
            inputs.pop()
        if node.op_type == "Shape" and inputs[0] in {self._last, *self._past}:
            value = self._past.get(inputs[0], self._value)
            first, last = attributes.get("start", 0), attributes.get("end")
            self._constants[node.output[0]] = np.array(value.sizes[first:last], np.int64)
            return
        if self._last not in inputs:
            if any(name in self._past for name in inputs):
                raise ValueError("reads what another node has read: want layers in one row")
            self._constants[node.output[0]] = self._fold(node, inputs, attributes)
            return
        if inputs.count(self._last) > 1:
            raise ValueError("takes the same values twice, want layers in one row")
        for extra in node.output[1:]:
            if extra and any(extra in other.input for other in self._graph.node):
                raise ValueError("its second output is read, want one")
        apply = _NODES.get(node.op_type)
        if apply is None:
            raise ValueError(f"no layer of a LeNet, want one of {', '.join(sorted(_NODES))}")
        if self._codes is not None and node.op_type != "ReduceSumSquare":
            raise ValueError("of differences from codes, want the sum of their squares")
        constants = [None if name in ("", self._last) else self._constant(name) for name in inputs]
        self._past[self._last] = self._value
        apply(self, constants, attributes, inputs.index(self._last))
        self._last = node.output[0]

    def _constant(self, name: str) -> Array:
        if name not in self._constants:
            raise ValueError(f"{name!r} is no constant, want weights that are part of the graph")
        return self._constants[name]

    def _array(self, tensor: Any) -> Array:
        if tensor.external_data:
            raise ValueError(
                f"{tensor.name!r} is in a file of its own, want weights in the graph: "
                "onnx.save(onnx.load(path), path)"
            )
        try:
            values: Array = self._to_array(tensor)
        except Exception as error:  # whatever is wrong with it
            raise ValueError(f"{tensor.name!r} is damaged ({error})") from None
        return values

    def _fold(self, node: Any, inputs: list[str], attributes: dict[str, Any]) -> Array:
        """Compute what depends on constants alone."""
        if node.op_type == "Constant":
            ((kind, value),) = attributes.items()
            if kind == "value":
                return self._array(value)
            self._need(kind.removeprefix("value_") in ("float", "floats", "int", "ints"), kind)
            return np.array(value, np.float32 if "float" in kind else np.int64)
        compute = _FOLDED.get(node.op_type)
        if compute is None:
            raise ValueError(f"no layer of a LeNet, and none of {', '.join(sorted(_FOLDED))}")
        given = [self._constant(name) for name in inputs]
        self._folded += sum(each.nbytes for each in given)  # none makes more of them
        if self._folded > onnx_writer.MAX_BYTES:
            raise ValueError(f"more than {onnx_writer.MAX_BYTES} bytes computed of constants")
        return compute(given, attributes)

    # ---- what nodes do; `at` is which of the inputs the values under way are ----

    def _conv(self, constants: list[Array | None], attributes: dict[str, Any], at: int) -> None:
        self._need(at == 0 and constants[1] is not None, "want constant weights")
        weight = _float32(constants[1])
        bias = _float32(constants[2]) if len(constants) > 2 else None
        self._need(weight.ndim == 4, f"weights of {weight.ndim} axes, want 4: images are flat")
        self._need_maps_first()
        group = attributes.get("group", 1)
        _need_ones(attributes, "dilations")
        maps = self._chain.shape[0]
        if (
            group == maps
            and weight.shape == (maps, 1, 2, 2)
            and attributes.get("strides") == [2, 2]
        ):
            _need_no_padding(attributes)
            block = weight.reshape(maps, 4)
            self._need((block == block[:, :1]).all(), "weights of a map differ, want 4 alike")
            self._chain.subsample(block[:, 0], bias)
        else:
            self._need(group == 1, f"group {group}, want 1")
            _need_ones(attributes, "strides")
            self._chain.conv(weight, bias, _padding(attributes, weight.shape[2]))
        self._see_maps()

    def _gather(self, constants: list[Array | None], attributes: dict[str, Any], at: int) -> None:
        places = constants[1] if at == 0 and len(constants) > 1 else None
        self._need(places is not None and places.dtype.kind in "iu", "want constant places")
        assert places is not None
        self._need(places.ndim == 1, f"places of {places.ndim} axes, want 1")
        self._need_maps_first()
        found = attributes.get("axis", 0)
        self._need(found in (1, -3), f"axis {found}, want 1")
        self._chain.gather(places.tolist())
        self._see_maps()

    def _pool(self, kind: type[AveragePool] | type[MaxPool], attributes: dict[str, Any]) -> None:
        self._need_maps_first()
        for name in ("kernel_shape", "strides"):
            found = attributes.get(name, [1, 1])
            self._need(list(found) == [2, 2], f"{name} {list(found)}, want [2, 2]")
        _need_ones(attributes, "dilations")
        odd = any(side % 2 for side in self._chain.shape[1:])
        _need_no_padding(attributes, even=not odd)
        self._need(not (odd and attributes.get("ceil_mode")), "ceil_mode 1 on an odd side, want 0")
        self._chain.pool(kind)
        self._see_maps()

    def _gemm(self, constants: list[Array | None], attributes: dict[str, Any], at: int) -> None:
        self._need(at == 0 and constants[1] is not None, "want constant weights")
        for name, wanted in (("alpha", 1.0), ("beta", 1.0), ("transA", 0)):
            found = attributes.get(name, wanted)
            self._need(found == wanted, f"{name} {found:g}, want {wanted:g}")
        weight = _float32(constants[1])
        self._need(weight.ndim == 2, f"weights of {weight.ndim} axes, want 2")
        bias = _float32(constants[2]) if len(constants) > 2 else None
        self._dense(weight if attributes.get("transB") else weight.T, bias)

    def _matmul(self, constants: list[Array | None], attributes: dict[str, Any], at: int) -> None:
        self._need(at == 0 and constants[1] is not None, "want constant weights behind the values")
        weight = _float32(constants[1])
        self._need(weight.ndim == 2, f"weights of {weight.ndim} axes, want 2")
        self._dense(weight.T, None)

    def _dense(self, weight: NDArray[np.float32], bias: NDArray[np.float32] | None) -> None:
        self._need(len(self._value.axes) == 2, f"got {self._value}, want it flattened before")
        self._chain.dense(np.ascontiguousarray(weight), bias)
        self._value = _Value([("N", _BATCH), ("C", self._chain.shape[0])])

    def _arithmetic(self, op: str, constants: list[Array | None], at: int) -> None:
        self._need(len(constants) == 2, "want two inputs")
        if op == "Sub" and at == 0 and self._is_rbf(constants[1]):
            return
        values = self._by_map(constants[1 - at])
        if op == "Sub" and at == 1:
            self._chain.multiply(np.full(1, -1.0))
            op = "Add"
        elif op == "Sub":
            values, op = -values, "Add"
        elif op == "Div":
            self._need(at == 0 and (values != 0).all(), "want values divided by a constant")
            values, op = 1 / values, "Mul"
        (self._chain.add if op == "Add" else self._chain.multiply)(values)

    def _by_map(self, constant: Array | None) -> NDArray[np.float64]:
        """Give a constant as one number, or one for each map, (maps,)."""
        assert constant is not None
        n = len(self._value.axes)
        self._need(constant.ndim <= n, f"a constant of {constant.ndim} axes, want at most {n}")
        if constant.size == 1:
            return constant.astype(np.float64).reshape(1)
        place = self._value.place("C") - n  # from the end
        sizes = [1] * max(constant.ndim, -place)
        sizes[place] = self._value.sizes[place]
        self._need(
            constant.size == sizes[place] and constant.shape[place:] == tuple(sizes[place:]),
            f"a constant of shape {constant.shape} with {self._value}, want one for each map",
        )
        return constant.astype(np.float64).reshape(-1)

    def _is_rbf(self, codes: Array | None) -> bool:
        """Take codes that are compared with (N, 1, units); tell whether they are such."""
        shape = [size for name, size in self._value.axes[1:]]
        if codes is None or codes.ndim != 2 or self._chain.shape[1:] != (1, 1):
            return False
        if shape != [1, codes.shape[1]]:
            return False
        self._codes = _float32(codes)
        return True

    def _rbf(self, constants: list[Array | None], attributes: dict[str, Any]) -> None:
        codes, self._codes = self._codes, None
        axes = constants[1] if len(constants) > 1 else attributes.get("axes")
        found = None if axes is None else np.asarray(axes).reshape(-1).tolist()
        self._need(codes is not None, "no distance to codes before it, want an RBF")
        self._need(
            found in ([-1], [2]) and attributes.get("keepdims", 1) == 0,
            f"axes {found}, want [-1] and keepdims 0",
        )
        assert codes is not None
        self._chain.rbf(codes)
        self._value = _Value([("N", _BATCH), ("C", len(codes))])

    def _activation(self, kind: str) -> None:
        self._chain.activation(kind)

    def _softmax(self, attributes: dict[str, Any]) -> None:
        axis = attributes.get("axis", -1)
        self._need(len(self._value.axes) == 2 and axis in (-1, 1), f"axis {axis}, want the last")
        self._chain.softmax()

    def _cast(self, attributes: dict[str, Any]) -> None:
        self._need(attributes.get("to") == self._types.FLOAT, "want a cast to float32")

    def _dropout(self, constants: list[Array | None]) -> None:
        training = constants[2] if len(constants) > 2 else None
        self._need(training is None or not training.any(), "a dropout that is training, want none")

    def _pad(self, constants: list[Array | None], attributes: dict[str, Any]) -> None:
        mode = attributes.get("mode", b"constant")
        value = constants[2] if len(constants) > 2 else attributes.get("value", 0)
        self._need(mode == b"constant" and not np.any(np.asarray(value)), "want padding with 0")
        given = constants[1] if len(constants) > 1 else attributes.get("pads")
        pads = np.asarray(given).reshape(-1).tolist()
        n = len(self._value.axes)
        self._need(len(constants) < 4 and len(pads) == 2 * n, f"pads {pads}, want {2 * n} numbers")
        around = {}
        for place, (name, _) in enumerate(self._value.axes):
            before, behind = pads[place], pads[n + place]
            alike = before == behind >= 0 and (before == 0 or name in "HW")
            self._need(alike, f"pads {pads}, want as much on both sides, of rows and columns alone")
            around[name] = before
        height, width = around.get("H", 0), around.get("W", 0)
        if self._is_grey and self._chain.is_empty and not self._chain.is_scaled:
            self._chain.enlarge(height, width)
        else:
            self._need(height == width, f"pads {pads}, want as many rows as columns")
            self._chain.pad(height)
        self._value = _Value(
            [(name, size + 2 * around.get(name, 0)) for name, size in self._value.axes]
        )

    # ---- axes ----

    def _transpose(self, attributes: dict[str, Any]) -> None:
        n = len(self._value.axes)
        order = list(attributes.get("perm", reversed(range(n))))
        self._need(
            sorted(order) == list(range(n)) and order[0] == 0,
            f"perm {order}, want the images to stay first",
        )
        self._value = _Value([self._value.axes[place] for place in order])

    def _flatten(self, attributes: dict[str, Any]) -> None:
        axis = attributes.get("axis", 1)
        self._need(axis in (1, 1 - len(self._value.axes)), f"axis {axis}, want 1")
        self._reshape([_BATCH, math.prod(self._value.sizes[1:])])

    def _squeeze(self, constants: list[Array | None], attributes: dict[str, Any]) -> None:
        axes = self._axes(constants, attributes, len(self._value.axes))
        self._need(0 not in axes, "want the axis of the images to stay")
        self._reshape([s for place, s in enumerate(self._value.sizes) if place not in axes])

    def _unsqueeze(self, constants: list[Array | None], attributes: dict[str, Any]) -> None:
        n = len(self._value.axes)
        sizes = self._value.sizes
        for place in sorted(self._axes(constants, attributes, n + 1)):
            sizes.insert(place, 1)
        self._reshape(sizes)

    def _axes(self, constants: list[Array | None], attributes: dict[str, Any], n: int) -> set[int]:
        given = constants[1] if len(constants) > 1 else attributes.get("axes")
        self._need(given is not None, "want its axes")
        axes = np.asarray(given).reshape(-1).tolist()
        self._need(all(-n <= axis < n for axis in axes), f"axes {axes} of {n}")
        return {axis % n for axis in axes}

    def _reshape_node(self, constants: list[Array | None], at: int) -> None:
        self._need(at == 0 and len(constants) == 2, "want a constant shape")
        assert constants[1] is not None
        dims = constants[1].reshape(-1).tolist()
        sizes = self._value.sizes
        for place, size in enumerate(dims):
            if size == 0 and place < len(sizes):
                dims[place] = sizes[place]
        if dims and dims[0] == self._batch:
            dims[0] = _BATCH
        rest = math.prod(size for size in dims[1:] if size != -1)
        if rest > 0 and dims.count(-1) - (dims[0] == _BATCH) == 1:
            total = math.prod(sizes[1:])
            dims = [dims[0], *(total // rest if size == -1 else size for size in dims[1:])]
        self._reshape(dims)

    def _reshape(self, dims: list[int]) -> None:
        """See the same values in another shape: without or with axes of length 1, or flattened."""
        value, rest = self._value, dims[1:]
        old = value.axes[1:]
        fits = bool(dims) and dims[0] == _BATCH and math.prod(rest) == math.prod(value.sizes[1:])
        longer = [axis for axis in old if axis[1] != 1]
        if not fits or not 1 <= len(rest) <= 3:
            raise ValueError(f"makes {dims} of {value}, want the images to stay apart")
        if len(rest) == 1:
            if len(old) > 1:
                letters = [name for name, _ in old]
                order = [*letters, *(name for name in "CHW" if name not in letters)]
                first, second, third = ("CHW".index(name) for name in order)
                self._chain.flatten((first, second, third))
            self._value = _Value([("N", _BATCH), ("C", rest[0])])
            return
        if [size for size in rest if size != 1] != [size for _, size in longer]:
            raise ValueError(f"makes {dims} of {value}, want it flattened or with axes of length 1")
        spare = [name for name in "CHW" if name not in dict(longer)]
        names = iter([name for name, _ in longer])
        self._value = _Value(
            [("N", _BATCH), *((next(names) if s != 1 else spare.pop(0), s) for s in rest)]
        )

    def _need_maps_first(self) -> None:
        names = "".join(name for name, _ in self._value.axes)
        self._need(names == "NCHW", f"got {self._value}, want (N, channels, height, width)")

    def _see_maps(self) -> None:
        sizes = zip("CHW", self._chain.shape, strict=True)
        self._value = _Value([("N", _BATCH), *sizes])

    @staticmethod
    def _need(is_so: object, message: str) -> None:
        if not is_so:
            raise ValueError(message)


def _float32(values: Array | None) -> NDArray[np.float32]:
    if values is None or values.dtype != np.float32:
        raise ValueError(f"{'nothing' if values is None else values.dtype}, want float32 weights")
    return values


def _each(name: str, given: Level, default: float, channels: int) -> NDArray[np.float64]:
    if given is None:
        given = default
    values = [
        checks.number(name, each) for each in (given if isinstance(given, tuple) else [given])
    ]
    if len(values) not in (1, channels) or not all(map(math.isfinite, values)):
        raise ValueError(
            f"{name}: got {checks.short(given)}, want a finite number, or one for each of "
            f"{channels} channels"
        )
    return np.array(values * (channels // len(values)), np.float64)


def _need_ones(attributes: dict[str, Any], name: str) -> None:
    found = list(attributes.get(name, [1]))
    if any(step != 1 for step in found):
        raise ValueError(f"{name} {found}, want 1")


def _padding(attributes: dict[str, Any], kernel: int) -> int:
    """Give how many zeros a convolution has on each side."""
    way = attributes.get("auto_pad", b"NOTSET")
    if way in (b"SAME_UPPER", b"SAME_LOWER"):
        if kernel % 2 == 0:
            raise ValueError(f"auto_pad with a kernel of {kernel}, want an odd one")
        return int(kernel // 2)
    pads = list(attributes.get("pads", [0])) if way == b"NOTSET" else [0]
    if any(pad != pads[0] for pad in pads) or pads[0] < 0:
        raise ValueError(f"pads {pads}, want the same on all sides")
    return int(pads[0])


def _need_no_padding(attributes: dict[str, Any], even: bool = False) -> None:
    way = attributes.get("auto_pad", b"NOTSET")
    same = way in (b"SAME_UPPER", b"SAME_LOWER")
    if any(attributes.get("pads", [])) or (same and not even):
        raise ValueError("with padding, want none")


_Apply = Callable[["_Walk", list["Array | None"], dict[str, Any], int], None]

_NODES: dict[str, _Apply] = {
    "Add": lambda walk, c, a, at: walk._arithmetic("Add", c, at),
    "AveragePool": lambda walk, c, a, at: walk._pool(AveragePool, a),
    "Cast": lambda walk, c, a, at: walk._cast(a),
    "Conv": _Walk._conv,
    "Div": lambda walk, c, a, at: walk._arithmetic("Div", c, at),
    "Dropout": lambda walk, c, a, at: walk._dropout(c),
    "Flatten": lambda walk, c, a, at: walk._flatten(a),
    "Gather": _Walk._gather,
    "Gemm": _Walk._gemm,
    "Identity": lambda walk, c, a, at: None,
    "LogSoftmax": lambda walk, c, a, at: walk._softmax(a),
    "MatMul": _Walk._matmul,
    "MaxPool": lambda walk, c, a, at: walk._pool(MaxPool, a),
    "Mul": lambda walk, c, a, at: walk._arithmetic("Mul", c, at),
    "Pad": lambda walk, c, a, at: walk._pad(c, a),
    "ReduceSumSquare": lambda walk, c, a, at: walk._rbf(c, a),
    "Relu": lambda walk, c, a, at: walk._activation("relu"),
    "Reshape": lambda walk, c, a, at: walk._reshape_node(c, at),
    "Sigmoid": lambda walk, c, a, at: walk._activation("sigmoid"),
    "Softmax": lambda walk, c, a, at: walk._softmax(a),
    "Squeeze": lambda walk, c, a, at: walk._squeeze(c, a),
    "Sub": lambda walk, c, a, at: walk._arithmetic("Sub", c, at),
    "Tanh": lambda walk, c, a, at: walk._activation("tanh"),
    "Transpose": lambda walk, c, a, at: walk._transpose(a),
    "Unsqueeze": lambda walk, c, a, at: walk._unsqueeze(c, a),
}
"""What each kind of node does to the network."""


def _given_axes(values: list[Array], attributes: dict[str, Any]) -> tuple[int, ...]:
    given = values[1] if len(values) > 1 else attributes["axes"]
    return tuple(np.asarray(given).reshape(-1).tolist())


def _gather(values: list[Array], attributes: dict[str, Any]) -> Array:
    if values[0].ndim != 1 or values[1].size > len(values[0]) or attributes.get("axis", 0) != 0:
        raise ValueError("some of the weights, want all")
    return values[0][values[1]]


def _cast_constant(values: list[Array], attributes: dict[str, Any]) -> Array:
    kinds = {1: np.float32, 6: np.int32, 7: np.int64}
    if attributes.get("to") not in kinds:
        raise ValueError("a cast of a constant, want one to float32, int32 or int64")
    return values[0].astype(kinds[attributes["to"]])


def _slice(values: list[Array], attributes: dict[str, Any]) -> Array:
    start, end = (int(each.reshape(-1)[0]) for each in values[1:3])
    if values[0].ndim != 1 or any(each.size != 1 for each in values[1:]):
        raise ValueError("a slice of weights, want none")
    return values[0][start:end]


_FOLDED: dict[str, Callable[[list[Array], dict[str, Any]], Array]] = {
    "Cast": _cast_constant,
    "Concat": lambda v, a: np.concatenate(v, axis=a["axis"]),
    "Constant": lambda v, a: v[0],
    "Gather": _gather,
    "Identity": lambda v, a: v[0],
    "Reshape": lambda v, a: v[0].reshape(v[1].reshape(-1).tolist()),
    "Slice": _slice,
    "Squeeze": lambda v, a: np.squeeze(v[0], _given_axes(v, a)),
    "Transpose": lambda v, a: v[0].transpose(a.get("perm")),
    "Unsqueeze": lambda v, a: np.expand_dims(v[0], _given_axes(v, a)),
}
"""What is computed of constants, and of shapes."""
