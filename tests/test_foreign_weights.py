"""Weights from and to PyTorch, Keras and safetensors: orders of axes, and what does not fit."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from lenet_c import (
    LENET5_28,
    LENET5_1998,
    LENET5_MODERN,
    RBF,
    Architecture,
    AveragePool,
    Conv,
    Dense,
    LeNet5,
    ModelFileError,
    Subsample,
    codes,
    weights,
)

pytestmark = pytest.mark.filterwarnings("ignore::lenet_c.InputWarning")  # of random images

TRAINED_CODES = Architecture(
    "trained codes",
    (
        Conv("C1", maps=4, kernel=5),
        Subsample("S2"),
        Conv("C3", maps=6, kernel=5, table=((0, 1), (1, 2), (2, 3)) * 2),
        AveragePool("S4"),
        Dense("F5", units=84),
        RBF("output", trained=True),
    ),
)


def network_of(architecture, seed=3):
    starts = codes.DIGITS if architecture.code_length else None
    network = LeNet5(architecture, codes=starts, seed=seed)
    for name in network:
        if name.endswith("bias"):
            network[name] = np.random.default_rng(seed).normal(size=network[name].shape)
    return network


def state_of(network, last=False):
    """Give what another library would have, by its layers' numbers and in the order of ours."""
    state = {}
    shapes = network.architecture.input_shapes
    for i, layer in enumerate(network.architecture.layers):
        for name in network:
            if name.partition(".")[0] != layer.name:
                continue
            values = np.array(network[name])
            if getattr(layer, "table", None) is not None and name.endswith("weight"):
                full = np.zeros((layer.maps, shapes[layer.name][0], 5, 5), np.float32)
                pairs = [(o, i) for o, inputs in enumerate(layer.table) for i in inputs]
                for (o, i_), kernel in zip(pairs, values, strict=True):
                    full[o, i_] = kernel
                values = full
            maps, height, width = shapes[layer.name]
            if last and layer.kind == "dense" and name.endswith("weight") and height > 1:
                # row by row and column by column, all maps of a place together
                parts = values.reshape(-1, maps, height, width)
                values = np.stack(
                    [parts[:, m, y, x] for y in range(height) for x in range(width)
                     for m in range(maps)], 1
                )  # fmt: skip
            state[f"{i}.{name.partition('.')[2]}"] = values
    return state


# ---- PyTorch's order, of arrays ----


@pytest.mark.parametrize("flatten", weights.ORDERS)
@pytest.mark.parametrize(
    "architecture", [LENET5_28, LENET5_MODERN, LENET5_1998, TRAINED_CODES], ids=lambda a: a.name
)
def test_a_state_comes_over_bit_for_bit(architecture, flatten):
    given = network_of(architecture)
    state = {
        f"net.{4 * int(name[0])}{name[1:]}": values  # "net.12" is behind "net.4"
        for name, values in state_of(given, last=flatten == "channels_last").items()
    }
    for order in (dict, lambda s: dict(sorted(s.items()))):  # as files have it, biases first
        network = LeNet5(architecture, codes=codes.DIGITS if architecture.code_length else None)
        assert weights.from_torch(network, order(state), flatten=flatten) is network
        assert network.parameters.tobytes() == given.parameters.tobytes()


def test_the_order_of_flattening_matters():
    given = network_of(LENET5_28)
    network = weights.from_torch(LeNet5(LENET5_28), state_of(given, last=True))
    images = np.random.default_rng(0).integers(0, 256, (20, 28, 28), np.uint8)
    assert np.abs(network.forward(images) - given.forward(images)).max() > 1e-4
    assert (network["C3.weight"] == given["C3.weight"]).all()
    with pytest.raises(ValueError, match="flatten: got 'NHWC', want one of channels_first, cha"):
        weights.from_torch(network, state_of(given), flatten="NHWC")


@pytest.mark.parametrize("flatten", weights.ORDERS)
def test_a_convolution_that_sees_all_is_a_dense_layer(flatten):
    """C5 is a Linear in most tutorials, and the other way round."""
    given = network_of(LENET5_MODERN)
    state = state_of(given)
    c5 = state["4.weight"]
    if flatten == "channels_last":
        c5 = c5.transpose(0, 2, 3, 1)
    state["4.weight"] = c5.reshape(120, 400)
    network = weights.from_torch(LeNet5(LENET5_MODERN), state, flatten=flatten)
    assert (network.parameters == given.parameters).all()

    dense = LeNet5(LENET5_28)
    state = state_of(network_of(LENET5_28))
    wanted = state["4.weight"].copy()
    state["4.weight"] = wanted.reshape(120, 16, 4, 4)
    assert (weights.from_torch(dense, state)["F5.weight"] == wanted).all()


def test_a_trained_mean_may_be_a_convolution():
    given = network_of(LENET5_1998)
    state = state_of(given)
    state["1.coefficient"] = np.repeat(state["1.coefficient"], 4).reshape(6, 1, 2, 2)
    state["3.coefficient"] = state["3.coefficient"].reshape(1, 16, 1, 1)
    network = weights.from_torch(LeNet5(), state)
    assert (network.parameters == given.parameters).all()
    state["1.coefficient"][3, 0, 1, 0] += 1
    with pytest.raises(ValueError, match=r"1\.coefficient for S2\.coefficient: .* want four alike"):
        weights.from_torch(network, state)


def test_codes_may_be_there_and_must_be_these():
    given = network_of(LENET5_1998)
    state = state_of(given) | {"6.codes": np.array(given.codes)}
    assert (weights.from_torch(LeNet5(), state).parameters == given.parameters).all()
    state["6.codes"][0, 0] *= -1
    network = LeNet5()
    before = network.parameters.copy()
    with pytest.raises(ValueError, match=r"output\.weight: got other codes, want LeNet5\(codes="):
        weights.from_torch(network, state)
    assert (network.parameters == before).all()


def test_names():
    given = network_of(LENET5_28)
    state = {f"net.{name}": np.array(given[name]) for name in reversed(list(given))}
    with pytest.raises(ValueError, match="want "):
        weights.from_torch(LeNet5(LENET5_28), state)
    names = {name: f"net.{name}" for name in given}
    network = weights.from_torch(LeNet5(LENET5_28), state, names=names)
    assert (network.parameters == given.parameters).all()
    del names["C3.bias"], names["F6.bias"]
    with pytest.raises(ValueError, match=r"names: got none for C3\.bias, F6\.bias, want one for"):
        weights.from_torch(network, state, names=names)
    with pytest.raises(ValueError, match=r"names: C1\.weight: got 'x', want one of net\.output"):
        weights.from_torch(network, state, names=dict.fromkeys(given, "x"))
    with pytest.raises(TypeError, match="names: got 3, want a mapping"):
        weights.from_torch(network, state, names=3)
    own = {name: np.array(given[name]) for name in sorted(given)}  # the network's own, in any order
    assert (weights.from_torch(LeNet5(LENET5_28), own).parameters == given.parameters).all()


def spoilt(change):
    state = state_of(network_of(LENET5_1998))
    change(state)
    return state


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda s: s.pop("2.bias"), "^state_dict: got 11 parameters, .*, want 12 for C1.weight"),
        (lambda s: s.update({"9.a": 1, "9.b": 2}), "got 14 parameters, .*, want 12 for C1.weight"),
        (lambda s: s["2.weight"].__setitem__((0, 5), 1), "2.weight for C3.weight: weights where"),
        (lambda s: s.update({"5.weight": np.ones((84, 12))}), r"5.weight .*, want \(84, 120"),
        (lambda s: s["5.bias"].__setitem__(3, np.nan), "5.bias for F6.bias: some are NaN"),
        (lambda s: s.update({"5.bias": np.array(["a"] * 84)}), "5.bias for F6.bias: dtype <U1"),
        (lambda s: s.update({"0.weight": s["0.weight"][:, :, :3]}), r"want \(6, 1, 5, 5\)"),
        (lambda s: s.update({"2.weight": np.ones((16, 6, 3, 3))}), r"want \(16, 6, 5, 5\)"),
    ],
)  # fmt: skip
def test_what_does_not_fit(change, error):
    network = LeNet5()
    before = network.parameters.copy()
    with pytest.raises((TypeError, ValueError), match=error):
        weights.from_torch(network, spoilt(change))
    assert (network.parameters == before).all()
    with pytest.raises(TypeError, match="state_dict: got 3, want a mapping of names to arrays"):
        weights.from_torch(network, 3)
    with pytest.raises(TypeError, match="network: got 3, want a LeNet5"):
        weights.from_torch(3, {})


# ---- PyTorch itself ----


def test_pytorch_there_and_back():
    torch = pytest.importorskip("torch")
    nn = torch.nn
    model = nn.Sequential(
        *(nn.Conv2d(1, 6, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh()),
        *(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(256, 120), nn.Tanh(), nn.Linear(120, 84)),
        *(nn.Tanh(), nn.Linear(84, 10)),
    )
    network = weights.from_torch(LeNet5(LENET5_28), model)
    images = torch.rand(5, 1, 28, 28)
    outputs = model(images).detach().numpy()
    np.testing.assert_allclose(network.forward(images[:, 0]), outputs, atol=1e-6)
    state = weights.to_torch(network, model)
    assert list(state) == list(model.state_dict())
    assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())
    network["C1.bias"] = np.arange(6)
    model.load_state_dict(weights.to_torch(network, model))
    outputs = model(images).detach().numpy()
    np.testing.assert_allclose(network.forward(images[:, 0]), outputs, atol=1e-5)


@pytest.mark.parametrize("flatten", weights.ORDERS)
@pytest.mark.parametrize(
    "architecture", [LENET5_28, LENET5_MODERN, LENET5_1998, TRAINED_CODES], ids=lambda a: a.name
)
def test_tensors_of_every_network(architecture, flatten):
    pytest.importorskip("torch")
    network = network_of(architecture)
    starts = codes.DIGITS if architecture.code_length else None
    state = weights.to_torch(network, flatten=flatten)
    assert list(state) == [*network, *(["output.weight"] if "output.weight" not in network else [])]
    again = weights.from_torch(LeNet5(architecture, codes=starts), state, flatten=flatten)
    assert (again.parameters == network.parameters).all()
    like = state_of(network, last=flatten == "channels_last")
    state = weights.to_torch(network, like, flatten=flatten)
    assert all((state[name].numpy() == like[name]).all() for name in like)
    with pytest.raises(ValueError, match=r"(F6|F5)\.bias|output"):
        weights.to_torch(network, like | {list(like)[-1]: np.zeros(3)})


def test_without_pytorch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match="to_torch needs PyTorch: pip install torch"):
        weights.to_torch(LeNet5())


# ---- Keras ----


def keras_arrays(network, last=True):
    """Give what Keras's get_weights has."""
    turn = {4: (2, 3, 1, 0), 2: (1, 0)}
    arrays = state_of(network, last).values()
    return [np.ascontiguousarray(a.transpose(turn.get(a.ndim, (0,)))) for a in arrays]


@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("architecture", [LENET5_28, LENET5_MODERN], ids=lambda a: a.name)
def test_kerass_arrays_bit_for_bit(architecture, last):
    given = network_of(architecture)
    arrays = keras_arrays(given, last)
    how = {} if last else {"flatten": "channels_first"}
    network = weights.from_keras(LeNet5(architecture), arrays, **how)
    assert network.parameters.tobytes() == given.parameters.tobytes()
    back = weights.to_keras(network, arrays, **how)
    assert all((a == b).all() and a.shape == b.shape for a, b in zip(back, arrays, strict=True))
    with pytest.raises(ValueError, match=r"^model: got 9 parameters, .*, want 10 for C1.weight"):
        weights.from_keras(network, arrays[:-1])
    with pytest.raises(TypeError, match="model: got 3, want a Keras model or its get_weights"):
        weights.from_keras(network, 3)


class Model:
    """What a Keras model looks like from here; without Keras."""

    def __init__(self, network, layers):
        self.layers, self._arrays = layers, keras_arrays(network)

    def get_weights(self):
        return self._arrays


def layer(kind, **attributes):
    if "activation" in attributes:
        attributes["activation"] = SimpleNamespace(__name__=attributes["activation"])
    return type(kind, (), {"name": kind.lower(), **attributes})()


def conv(activation="tanh", padding="valid", strides=(1, 1), order="channels_last"):
    return layer(
        "Conv2D", activation=activation, padding=padding, strides=strides, data_format=order
    )


def layers_28(first=None, order="channels_last"):
    pool = [layer("AveragePooling2D", strides=(2, 2))]
    dense = [layer("Dense", activation=each) for each in ("tanh", "tanh", "softmax")]
    convs = [[first] if first else [conv(order=order)], [conv("linear", order=order)]]
    return [
        *(layer("InputLayer"), *convs[0], *pool, *convs[1], layer("Activation", activation="tanh")),
        *(*pool, layer("Dropout"), layer("Flatten"), *dense),
    ]


def test_a_keras_models_layers_are_compared():
    given = network_of(LENET5_28)
    model = Model(given, layers_28())
    assert (weights.from_keras(LeNet5(LENET5_28), model).parameters == given.parameters).all()
    first = Model(given, layers_28(order="channels_first"))  # which is how it then flattens
    first._arrays = keras_arrays(given, last=False)
    assert (weights.from_keras(LeNet5(LENET5_28), first).parameters == given.parameters).all()
    for layers, error in (
        (layers_28(conv("relu")), "layer 'conv2d' has relu, and 'C1' has tanh, want the same"),
        (layers_28(conv(padding="same")), "has padding 'same', and 'C1' 0, want the same"),
        (layers_28(conv(strides=(2, 2))), r"has strides \(2, 2\), want 1"),
        (layers_28(layer("BatchNormalization")), "is a BatchNormalization, want one of Conv2D"),
        (layers_28(layer("MaxPooling2D", strides=(2, 2))), "'maxpooling2d' is no conv, as 'C1' is"),
        (layers_28()[:-1], "model: 6 layers, and lenet5-28 has 7, want the same"),
        ([*layers_28(), layer("ReLU")], None),
        ([*layers_28()[:2], layer("ReLU")], r"\(ReLU\) behind 'conv2d', want one activation"),
    ):
        with pytest.raises(ValueError, match=error):
            weights.from_keras(LeNet5(LENET5_28), Model(given, layers))


def test_keras_there_and_back():
    keras = pytest.importorskip("keras")
    k = keras.layers
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            *(k.Conv2D(6, 5, activation="tanh"), k.AveragePooling2D(2)),
            *(k.Conv2D(16, 5), k.Activation("tanh"), k.AveragePooling2D(2), k.Flatten()),
            *(k.Dense(120, activation="tanh"), k.Dense(84, activation="tanh"), k.Dense(10)),
        ]
    )
    network = weights.from_keras(LeNet5(LENET5_28), model)
    images = np.random.default_rng(0).random((5, 28, 28), np.float32)
    np.testing.assert_allclose(network.forward(images), model(images[..., None]), atol=1e-6)
    for got, wanted in zip(weights.to_keras(network, model), model.get_weights(), strict=True):
        assert got.tobytes() == wanted.tobytes()
    network["C1.bias"] = np.arange(6)
    model.set_weights(weights.to_keras(network, model))
    np.testing.assert_allclose(network.forward(images), model(images[..., None]), atol=1e-5)
    with pytest.raises(ValueError, match=r"layer 'conv2d.*' has tanh, and 'C1' has relu, want the"):
        weights.from_keras(LeNet5(LENET5_28.with_activation("relu")), model)


# ---- safetensors ----


@pytest.fixture
def tensors():
    return pytest.importorskip("safetensors.numpy")


@pytest.mark.parametrize("name", ["mnist", "mnist-modern", "strings"])
def test_safetensors_keep_everything(name, tensors, tmp_path):
    network = LeNet5.pretrained(name)
    path = tmp_path / "network.safetensors"
    weights.to_safetensors(network, path)
    again = weights.from_safetensors(path)
    assert again.parameters.tobytes() == network.parameters.tobytes()
    for what in ("architecture", "class_names", "temperature", "rejection", "notes", "learnt_from"):
        assert getattr(again, what) == getattr(network, what)
    for what in ("codes", "subspaces"):
        assert np.array_equal(getattr(again, what), getattr(network, what))
    stored = tensors.load_file(path)
    assert {*network} <= {*stored} <= {*network, "codes", "subspaces"}
    assert (stored["C3.weight"] == network["C3.weight"]).all()


def test_safetensors_of_trained_codes(tensors):
    network = network_of(TRAINED_CODES)
    network.codes[...] += 0.25
    file = io.BytesIO()
    weights.to_safetensors(network, file)
    file.seek(0)
    again = weights.from_safetensors(file)
    assert (again.parameters == network.parameters).all()
    assert (again.codes == network.codes).all()


def test_safetensors_that_are_none(tensors, tmp_path):
    path = tmp_path / "x.safetensors"
    for content in (b"", bytes(7), b"\xff" * 100, b"\2\0\0\0\0\0\0\0{]"):
        path.write_bytes(content)
        with pytest.raises(ModelFileError, match=r"x\.safetensors: not a safetensors file"):
            weights.from_safetensors(path)
    tensors.save_file(state_of(network_of(LENET5_28)), path)
    with pytest.raises(
        ModelFileError, match=r"weights alone, no network: want .*from_torch\(network"
    ):
        weights.from_safetensors(path)
    given = network_of(LENET5_28)  # such weights come in so, biases first and by name
    found = weights.from_torch(LeNet5(LENET5_28), tensors.load_file(path))
    assert (found.parameters == given.parameters).all()

    def written(change, about=None):
        file = io.BytesIO()
        weights.to_safetensors(given, file)
        arrays = tensors.load(file.getvalue())
        length = int.from_bytes(file.getvalue()[:8], "little")
        import json

        metadata = json.loads(file.getvalue()[8 : 8 + length])["__metadata__"]
        change(arrays)
        if about:
            metadata["lenet_c"] = about
        return io.BytesIO(tensors.save(arrays, metadata))

    for change, about, error in (
        (lambda a: a.pop("C3.bias"), None, "it has no 'C3.bias'"),
        (lambda a: a.update({"C3.bias": np.ones(16)}), None, "C3.bias: float64 .*, want float32"),
        (lambda a: a["C3.bias"].fill(np.nan), None, "parameters: some are NaN"),
        (lambda a: None, "[1]", "written by a newer lenet_c, or damaged"),
        (lambda a: None, '{"version": 9}', "written by a newer lenet_c, or damaged"),
        (lambda a: None, '{"version": 1}', "it has no 'architecture'"),
        (lambda a: None, "[" * 1000, "more than 100 lists"),
    ):
        with pytest.raises(ModelFileError, match=error):
            weights.from_safetensors(written(change, about))


def test_without_safetensors(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    for call in (lambda p: weights.to_safetensors(LeNet5(), p), weights.from_safetensors):
        with pytest.raises(ImportError, match=r'safetensors: pip install "lenet_c\[interchange\]"'):
            call(tmp_path / "x")
