"""Weights from and to PyTorch, Keras and safetensors.

Frameworks differ in the order of axes and in how they flatten maps; here that is put right, and
what does not fit is refused. Whole networks come and go as ONNX graphs: `lenet_c.export`.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from lenet_c import checks, files, model_file, serialization
from lenet_c.architecture import Architecture
from lenet_c.layers import RBF, AveragePool, Conv, Dense, Layer, MaxPool
from lenet_c.model import LeNet5
from lenet_c.serialization import ModelFileError
from lenet_c.tables import table_matrix

if TYPE_CHECKING:
    import torch

__all__ = [
    "from_keras",
    "from_safetensors",
    "from_torch",
    "to_keras",
    "to_safetensors",
    "to_torch",
]

Floats = NDArray[np.float32]

ORDERS = ("channels_first", "channels_last")


# ---- PyTorch ----


def from_torch(
    network: LeNet5,
    state_dict: Any,
    *,
    names: Mapping[str, str] | None = None,
    flatten: str = "channels_first",
) -> LeNet5:
    """Give a network the weights of a PyTorch model of the same layers.

    Parameters
    ----------
    network : LeNet5
        Whose architecture is the model's: say ``LeNet5(LENET5_28.with_activation("relu"))``. State
        has no activations, so they cannot be compared; `lenet_c.export.load_onnx` reads them too.
    state_dict : torch.nn.Module, or mapping of str to tensor or array
        ``model.state_dict()``, also as arrays, or from ``safetensors.numpy.load_file(path)``.
    names : mapping of str to str, optional
        What the state calls each of the network's parameters: ``{"C1.weight": "conv1.weight",
        ...}``. By default both are in the order of the layers.
    flatten : str
        How the model flattens maps: "channels_first", or "channels_last" if it permutes them to
        (N, height, width, channels) before.

    Returns
    -------
    LeNet5
        The network given.

    Raises
    ------
    TypeError, ValueError
        If there are more or fewer parameters, or some have other shapes, or are not finite, or
        connections that the network's table lacks have weights. Nothing is then copied.

    Notes
    -----
    A dense layer takes a convolution's weights where that sees its whole input, and the other way
    round. A `Subsample` takes a coefficient a map, of any shape, or (maps, 1, 2, 2) of four alike.
    Fixed codes of an `RBF` may be there, last, and must then be the network's.
    """
    checks.instance("network", network, LeNet5, "a LeNet5")
    given = _state(state_dict)
    pairs = _paired(network, given) if names is None else _named(network, names, given)
    _copy(network, {ours: (theirs, given[theirs]) for ours, theirs in pairs.items()}, flatten)
    return network


def to_torch(
    network: LeNet5,
    like: Any = None,
    *,
    names: Mapping[str, str] | None = None,
    flatten: str = "channels_first",
) -> dict[str, torch.Tensor]:
    """Give a network's weights as a PyTorch model of the same layers takes them.

    Parameters
    ----------
    network : LeNet5
    like : torch.nn.Module, or mapping of str to tensor or array, optional
        Whose names and shapes to give, as for `from_torch`. By default the network's names, a
        convolution's weights (maps, input maps, k, k), with 0 where its table has no connection,
        and last an RBF's codes.
    names, flatten : as for `from_torch`

    Returns
    -------
    dict of str to torch.Tensor
        What ``model.load_state_dict`` takes: float32 copies.

    Raises
    ------
    TypeError, ValueError
        If the model has other layers.
    ImportError
        If PyTorch is not there.
    """
    try:
        import torch
    except ImportError:
        raise ImportError(
            "to_torch needs PyTorch: pip install torch --index-url "
            "https://download.pytorch.org/whl/cpu"
        ) from None

    checks.instance("network", network, LeNet5, "a LeNet5")
    shapes: dict[str, tuple[int, ...] | None]
    if like is None:
        pairs = {name: name for name in _all_names(network)}
        shapes = dict.fromkeys(pairs)
    else:
        given = _state(like)
        pairs = _paired(network, given) if names is None else _named(network, names, given)
        shapes = {ours: given[theirs].shape for ours, theirs in pairs.items()}
    arrays = _given_out(network, shapes, flatten)
    return {theirs: torch.from_numpy(arrays[ours]) for ours, theirs in pairs.items()}


def _state(given: Any) -> dict[str, NDArray[Any]]:
    """Give a state as arrays, by name."""
    if not isinstance(given, Mapping) and callable(getattr(given, "state_dict", None)):
        given = given.state_dict()
    if not isinstance(given, Mapping):
        raise TypeError(
            f"state_dict: got {checks.short(given)}, want a mapping of names to arrays, "
            "model.state_dict()"
        )
    return {str(name): checks.array(f"state_dict: {name}", each) for name, each in given.items()}


# ---- Keras ----


def from_keras(network: LeNet5, model: Any, *, flatten: str | None = None) -> LeNet5:
    """Give a network the weights of a Keras model of the same layers.

    Parameters
    ----------
    network : LeNet5
    model : keras.Model, or list of arrays
        A model whose layers are in one row, which are compared with the network's: kinds, sizes,
        padding and activations. Of a list, ``model.get_weights()``, only the sizes can be.
    flatten : str, optional
        How it flattens maps: "channels_last" or "channels_first". By default as the model says, of
        a list "channels_last", as Keras has it unless it is told otherwise.

    Returns
    -------
    LeNet5
        The network given.

    Raises
    ------
    TypeError, ValueError
        Naming the layer, if the model has others. Nothing is then copied.
    """
    checks.instance("network", network, LeNet5, "a LeNet5")
    arrays, order = _keras_weights(network, model, flatten)
    pairs = _zipped("model", network, [f"weights[{i}]" for i in range(len(arrays))])
    given = map(_from_last, arrays)
    _copy(network, {o: (t, a) for (o, t), a in zip(pairs.items(), given, strict=True)}, order)
    return network


def to_keras(network: LeNet5, model: Any, *, flatten: str | None = None) -> list[Floats]:
    """Give a network's weights as a Keras model of the same layers takes them.

    Parameters
    ----------
    network : LeNet5
    model : keras.Model, or list of arrays
        Whose weights have the order and the shapes to give; see `from_keras`. It is not changed.
    flatten : as for `from_keras`

    Returns
    -------
    list of float32 array
        What ``model.set_weights`` takes.

    Raises
    ------
    TypeError, ValueError
        Naming the layer, if the model has others.
    """
    checks.instance("network", network, LeNet5, "a LeNet5")
    arrays, order = _keras_weights(network, model, flatten)
    ours = _zipped("model", network, [f"weights[{i}]" for i in range(len(arrays))])
    shapes = {name: _from_last(each).shape for name, each in zip(ours, arrays, strict=True)}
    return [_to_last(each) for each in _given_out(network, shapes, order).values()]


def _from_last(array: NDArray[Any]) -> NDArray[Any]:
    """Put axes as Keras has them, (k, k, in, out) and (in, out), in PyTorch's order."""
    return array.transpose({4: (3, 2, 0, 1), 2: (1, 0)}.get(array.ndim))


def _to_last(array: Floats) -> Floats:
    return np.ascontiguousarray(array.transpose({4: (2, 3, 1, 0), 2: (1, 0)}.get(array.ndim)))


def _keras_weights(
    network: LeNet5, model: Any, flatten: str | None
) -> tuple[list[NDArray[Any]], str]:
    """Give a model's weights in its order, and how it flattens; compare its layers."""
    order = "channels_last"
    given = model
    if callable(getattr(model, "get_weights", None)):
        order = _compare(network, model) or order
        given = model.get_weights()
    elif not isinstance(model, (list, tuple)):
        raise TypeError(
            f"model: got {checks.short(model)}, want a Keras model or its get_weights()"
        )
    arrays = [checks.array(f"weights[{i}]", each) for i, each in enumerate(given)]
    return arrays, order if flatten is None else flatten


_KERAS = {"Conv2D": Conv, "Dense": Dense, "AveragePooling2D": AveragePool, "MaxPooling2D": MaxPool}
_KERAS_ACTIVATIONS = {
    **{name: name for name in ("tanh", "relu", "sigmoid")},
    **dict.fromkeys(("linear", "softmax", "log_softmax"), "identity"),
}
_WITH_WEIGHTS = {"Conv2D", "conv", "Dense", "dense"}
_NO_LAYERS = ("InputLayer", "Flatten", "Dropout", "SpatialDropout2D", "Rescaling", "Normalization")


def _compare(network: LeNet5, model: Any) -> str | None:
    """Raise ValueError where a model's layers are not the network's; give their data_format."""
    theirs: list[tuple[Any, str | None]] = []  # the layer, and its activation
    order = None
    for layer in model.layers:
        kind = type(layer).__name__
        what = f"model: layer {layer.name!r}"
        if kind in ("Activation", "ReLU", "Softmax") and theirs:
            before, activation = theirs[-1]
            name = kind.lower() if kind != "Activation" else _activation_of(layer)
            if activation not in ("identity", None) or name is None:
                raise ValueError(f"{what} ({kind}) behind {before.name!r}, want one activation")
            theirs[-1] = before, _KERAS_ACTIVATIONS.get(name, name)
        elif kind in _KERAS:
            theirs.append((layer, _activation_of(layer)))
            order = getattr(layer, "data_format", None) or order
        elif kind not in _NO_LAYERS:
            raise ValueError(f"{what} is a {kind}, want one of {', '.join(_KERAS)}")
    ours = network.architecture.layers
    if len(theirs) != len(ours):
        raise ValueError(
            f"model: {len(theirs)} layers, and {network.architecture.name} has {len(ours)}, want "
            "the same"
        )
    for layer, (other, activation) in zip(ours, theirs, strict=True):
        what = f"model: layer {other.name!r}"
        kinds = {type(other).__name__, layer.kind}
        # where a convolution sees all of its input it is a dense layer
        if _KERAS[type(other).__name__] is not type(layer) and not kinds <= _WITH_WEIGHTS:
            raise ValueError(f"{what} is no {layer.kind}, as {layer.name!r} is")
        mine = getattr(layer, "activation", None)
        if activation in (*_KERAS_ACTIVATIONS.values(), None) and activation != mine:
            raise ValueError(
                f"{what} has {activation}, and {layer.name!r} has {mine}, want the same"
            )
        _compare_padding(what, layer, other)
    return order


def _activation_of(layer: Any) -> str | None:
    found = getattr(layer, "activation", None)
    name = getattr(found, "__name__", None)
    return _KERAS_ACTIVATIONS.get(name, name) if name is not None else None


def _compare_padding(what: str, layer: Layer, other: Any) -> None:
    strides = tuple(getattr(other, "strides", ()) or ())
    wanted = 2 if isinstance(layer, (AveragePool, MaxPool)) else 1
    if any(step != wanted for step in strides):
        raise ValueError(f"{what} has strides {strides}, want {wanted}")
    if isinstance(layer, Conv) and type(other).__name__ == "Conv2D":
        padded = other.padding == "same"
        if layer.padding != (layer.kernel // 2 if padded else 0) or (
            padded and layer.kernel % 2 == 0
        ):
            raise ValueError(
                f"{what} has padding {other.padding!r}, and {layer.name!r} {layer.padding}, want "
                "the same"
            )


# ---- either ----


def _all_names(network: LeNet5) -> list[str]:
    """Give the names of the parameters and, last, of fixed codes."""
    fixed = network.codes is not None and network._code_name is None
    return [*network, *([f"{network.architecture.layers[-1].name}.weight"] if fixed else [])]


def _paired(network: LeNet5, given: Mapping[str, NDArray[Any]]) -> dict[str, str]:
    """Pair parameters of the same names, or in the order of the layers, a bias last."""
    if set(given) in ({*network}, {*_all_names(network)}):
        return {name: name for name in _all_names(network) if name in given}
    layers = list(dict.fromkeys(name.rpartition(".")[0] for name in given))
    if list(given) == sorted(given):  # as files have them: "11" before "3", "bias" before "weight"
        layers.sort(key=lambda n: [int(p) if p.isdecimal() else p for p in re.split(r"(\d+)", n)])

    def place(name: str) -> tuple[int, bool, int]:
        layer, _, own = name.rpartition(".")
        return layers.index(layer), "bias" in own, -given[name].ndim

    return _zipped("state_dict", network, sorted(given, key=place))


def _zipped(argument: str, network: LeNet5, theirs: Sequence[str]) -> dict[str, str]:
    """Pair parameters in order; an error names the argument."""
    ours = list(network)
    if len(theirs) == len(ours) + 1:
        ours = _all_names(network)
    if len(theirs) != len(ours):
        came = f" {checks.short(', '.join(theirs))}," if theirs else ""
        raise ValueError(
            f"{argument}: got {len(theirs)} parameters,{came} want {len(ours)} for "
            f"{', '.join(ours)}"
        )
    return dict(zip(ours, theirs, strict=True))


def _named(network: LeNet5, names: Mapping[str, str], given: Mapping[str, Any]) -> dict[str, str]:
    if not isinstance(names, Mapping):
        raise TypeError(f"names: got {checks.short(names)}, want a mapping of ours to the state's")
    missing = [name for name in network if name not in names]
    if missing:
        raise ValueError(f"names: got none for {', '.join(missing)}, want one for each")
    for ours, theirs in names.items():
        checks.one_of("names", ours, _all_names(network))
        checks.one_of(f"names: {ours}", theirs, given)
    return {name: names[name] for name in _all_names(network) if name in names}


def _copy(network: LeNet5, given: Mapping[str, tuple[str, NDArray[Any]]], flatten: str) -> None:
    """Copy parameters in PyTorch's order of axes into a network, all or none."""
    checks.one_of("flatten", flatten, ORDERS)
    found = {}
    for ours, (theirs, array) in given.items():
        what = f"{theirs} for {ours}"
        values = checks.floats(what, checks.numbers(what, array))
        found[ours] = _taken(network, ours, what, values, flatten)
    for name in set(found) - set(network):  # fixed codes
        assert network.codes is not None
        if not np.array_equal(found.pop(name), network.codes):
            raise ValueError(f"{name}: got other codes, want LeNet5(codes=...), for they are fixed")
    with network._turns.changing:
        for name, values in found.items():
            network[name] = values


def _layer_of(network: LeNet5, name: str) -> tuple[Layer, tuple[int, int, int], str]:
    """Give a parameter's layer, that one's input shape, and the parameter's own name."""
    layer_name, _, parameter = name.rpartition(".")
    architecture = network.architecture
    (layer,) = (each for each in architecture.layers if each.name == layer_name)
    return layer, architecture.input_shapes[layer_name], parameter


def _taken(network: LeNet5, name: str, what: str, values: Floats, flatten: str) -> Floats:
    """Give what PyTorch has for a parameter in the network's shape."""
    layer, shape, parameter = _layer_of(network, name)
    wanted = network.codes.shape if name not in network else network._shapes[name]  # type: ignore[union-attr]
    if parameter in ("bias", "coefficient"):
        if parameter == "coefficient" and values.shape == (*wanted, 1, 2, 2):
            blocks = values.reshape(-1, 4)
            if not (blocks == blocks[:, :1]).all():
                raise ValueError(f"{what}: weights of a map differ, want four alike")
            values = blocks[:, 0]
        if values.size == wanted[0] and max(values.shape, default=1) == wanted[0]:
            return values.reshape(wanted)
    elif isinstance(layer, (Conv, Dense)):
        full = _full_shape(layer, shape)
        if values.shape == (full[0], math.prod(full[1:])) and _sees_all(layer, shape):
            values = _flattened_to(values, full, flatten)
        if values.shape == full:
            if isinstance(layer, Conv) and layer.table is not None:
                connected = table_matrix(layer.table, shape[0]) > 0
                if values[~connected].any():
                    raise ValueError(
                        f"{what}: weights where the table has no connection, want 0 there"
                    )
                values = values[connected]
            return values.reshape(wanted)
    if values.shape == wanted:
        return values
    raise ValueError(f"{what}: shape {values.shape}, want {_shape_as_theirs(layer, shape, wanted)}")


def _given_out(
    network: LeNet5, shapes: Mapping[str, tuple[int, ...] | None], flatten: str
) -> dict[str, Floats]:
    """Give parameters in PyTorch's order of axes, in these shapes (None: what it usually has)."""
    checks.one_of("flatten", flatten, ORDERS)
    parameters = network._snapshot()
    found = {}
    for name, wanted in shapes.items():
        layer, shape, parameter = _layer_of(network, name)
        if name in network:
            values = parameters[slice(*network._ranges[name])].reshape(network._shapes[name])
        else:
            values = np.array(network.codes)
        usual: tuple[int, ...] = values.shape
        if parameter == "coefficient" and wanted == (*usual, 1, 2, 2):
            values = np.broadcast_to(values[:, None, None, None], wanted)
        elif isinstance(layer, (Conv, Dense)) and parameter == "weight":
            full = _full_shape(layer, shape)
            if isinstance(layer, Conv) and layer.table is not None and wanted != usual:
                filled = np.zeros(full, np.float32)
                filled[table_matrix(layer.table, shape[0]) > 0] = values
                values = filled
            usual = values.shape
            flat = full[0], math.prod(full[1:])
            if wanted is None:
                wanted = usual
            if wanted == flat and _sees_all(layer, shape):
                values = _flattened_from(values.reshape(full), flatten)
            elif wanted == full:
                values = values.reshape(full)
        elif wanted is not None and math.prod(wanted) == values.size == max(wanted, default=1):
            values = values.reshape(wanted)
        if wanted is not None and values.shape != wanted:
            raise ValueError(f"{name}: shape {values.shape} here, {wanted} there, want the same")
        found[name] = np.array(values, np.float32, order="C")
    return found


def _full_shape(layer: Conv | Dense, shape: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """Give the shape of a layer's weights as a convolution has them."""
    if isinstance(layer, Conv):
        return layer.maps, shape[0], layer.kernel, layer.kernel
    return (layer.units, *shape)


def _sees_all(layer: Conv | Dense, shape: tuple[int, int, int]) -> bool:
    if isinstance(layer, Dense):
        return True
    return layer.padding == 0 and layer.output_shape(shape)[1:] == (1, 1)


def _flattened_to(values: Floats, full: tuple[int, int, int, int], flatten: str) -> Floats:
    """Make (units, maps, height, width) of rows that run over flattened maps."""
    units, maps, height, width = full
    if flatten == "channels_last":
        return values.reshape(units, height, width, maps).transpose(0, 3, 1, 2)
    return values.reshape(full)


def _flattened_from(values: Floats, flatten: str) -> Floats:
    if flatten == "channels_last":
        values = values.transpose(0, 2, 3, 1)
    return values.reshape(len(values), -1)


def _shape_as_theirs(
    layer: Layer, shape: tuple[int, int, int], wanted: tuple[int, ...]
) -> tuple[int, ...]:
    is_table = isinstance(layer, Conv) and layer.table is not None and len(wanted) == 3
    return _full_shape(layer, shape) if is_table else wanted  # type: ignore[arg-type]


# ---- safetensors ----


def _need_safetensors() -> Any:
    try:
        import safetensors.numpy
    except ImportError:
        raise ImportError(
            'safetensors files need safetensors: pip install "lenet_c[interchange]"'
        ) from None
    return safetensors.numpy


def to_safetensors(network: LeNet5, path: str | os.PathLike[str] | BinaryIO) -> None:
    """Write a network to a safetensors file, with all that `LeNet5.save` keeps.

    Each parameter is a tensor of its name, "C1.weight", in the network's own shape; fixed codes are
    "codes", and subspaces "subspaces". The rest is JSON in the metadata, under "lenet_c".

    Parameters
    ----------
    network : LeNet5
    path : str, path or binary file
        A file is replaced only once the new one is complete and on disk.

    Raises
    ------
    TypeError, ValueError
        As for `LeNet5.save`.
    ImportError
        If safetensors is not there.
    OSError
        If the file cannot be written.
    """
    library = _need_safetensors()
    checks.instance("network", network, LeNet5, "a LeNet5")
    metadata, arrays = model_file.parts(network, half=False)
    parameters = arrays.pop("parameters")
    if network._code_name is not None:
        del arrays["codes"]  # they are parameters
    for name, shape in network._shapes.items():
        arrays[name] = np.ascontiguousarray(
            parameters[slice(*network._ranges[name])].reshape(shape)
        )
    about = serialization.encode(metadata).decode()
    content: bytes = library.save(
        {name: np.ascontiguousarray(array) for name, array in arrays.items()}, {"lenet_c": about}
    )
    if len(content) > serialization.LIMITS.file:
        raise ValueError(f"the network takes {len(content)} bytes, want less to be read back")
    files.put(path, content)


def from_safetensors(
    path: str | os.PathLike[str] | BinaryIO, *, max_bytes: int | None = None
) -> LeNet5:
    """Read a network that `to_safetensors` wrote.

    Parameters
    ----------
    path : str, path or binary file
    max_bytes : int, optional
        The largest file to accept; 256 MiB by default.

    Returns
    -------
    LeNet5

    Raises
    ------
    lenet_c.ModelFileError
        If the file is damaged, or is another program's: those have weights alone, which
        `from_torch` takes.
    ImportError
        If safetensors is not there.
    OSError
        If the file cannot be read.
    """
    library = _need_safetensors()
    limits = serialization.LIMITS
    most = limits.file if max_bytes is None else checks.whole("max_bytes", max_bytes, 1)
    name = files.name_of(path)
    content = files.get(path, most)
    try:
        arrays: dict[str, NDArray[Any]] = library.load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        about = header.get("__metadata__", {}).get("lenet_c")
    except Exception as error:  # the library's own has no class of Python's
        raise ModelFileError(f"{name}: not a safetensors file ({error})") from None
    if about is None:
        raise ModelFileError(
            f"{name}: weights alone, no network: want lenet_c.weights.from_torch(network, "
            "safetensors.numpy.load_file(path))"
        )
    try:
        metadata = serialization.decode(about)
        if not isinstance(metadata, dict) or metadata.get("version", 0) > serialization.VERSION:
            raise ValueError("written by a newer lenet_c, or damaged")
        return model_file.made(LeNet5, metadata, _joined(metadata, arrays))
    except KeyError as error:
        raise ModelFileError(f"{name}: it has no {error}") from None
    except (TypeError, ValueError) as error:
        raise ModelFileError(f"{name}: {error}") from None


def _joined(metadata: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Give the arrays as a model file has them: parameters as one vector."""
    architecture = Architecture.from_dict(metadata["architecture"])
    pieces = [np.zeros(0, np.float32)]
    for name, shape in architecture.parameter_shapes.items():
        array = arrays.pop(name)
        if array.shape != shape or array.dtype != np.float32:
            raise ValueError(f"{name}: {array.dtype} {array.shape}, want float32 {shape}")
        pieces.append(array.reshape(-1))
        last = architecture.layers[-1]
        if isinstance(last, RBF) and name == f"{last.name}.weight":
            arrays["codes"] = array
    return {**arrays, "parameters": np.concatenate(pieces)}
